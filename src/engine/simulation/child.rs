//! A simulated process as the engine has it. The ledger is told of all that it does to it and reads
//! of it.

use std::cell::RefCell;
use std::rc::Rc;

use rustix::io::Errno;
use rustix::process::{Pid, Signal};

use super::actor::Actor;
use super::outside::Outside;
use super::scenario::{Beyond, Fault};
use crate::record::{Framing, Slice};
use crate::shape::{AnswerEnd, Protocol};
use crate::worker::child::{self, Reaped, Sent};

/// An actor of the simulated world.
pub(super) struct SimulatedChild {
    outside: Rc<RefCell<Outside>>,
    number: usize,
}

impl SimulatedChild {
    pub(super) fn new(outside: Rc<RefCell<Outside>>, number: usize) -> Self {
        Self { outside, number }
    }

    fn look<T>(&self, look: impl FnOnce(&Actor) -> T) -> T {
        let outside = self.outside.borrow();
        look(outside.processes[self.number].as_ref().expect("it is not forgotten"))
    }
}

impl child::Child for SimulatedChild {
    fn leader(&self) -> Pid {
        Pid::from_raw(self.number as i32 + 2).expect("a number")
    }

    fn awaits_stdin(&self) -> bool {
        self.look(Actor::awaits_stdin)
    }

    fn has_stdout(&self) -> bool {
        self.look(|actor| actor.stdout_is_open)
    }

    fn has_stderr(&self) -> bool {
        self.look(|actor| actor.stderr_is_open)
    }

    fn push(&mut self, bytes: Slice) {
        let outside = &mut *self.outside.borrow_mut();
        let now = outside.now;
        let actor = outside.process(self.number).0;
        let (worker, (first, count)) = (actor.worker, actor.indices(&bytes));
        trace!(outside, "> send {count} from {first} to {worker}");
        let (actor, ledger) = outside.process(self.number);
        ledger.sent(worker, first, count, now);
        actor.push(bytes);
    }

    fn push_note(&mut self, bytes: Slice) {
        let outside = &mut *self.outside.borrow_mut();
        let (actor, ledger) = outside.process(self.number);
        let worker = actor.worker;
        ledger.asked_to_give_up(worker, actor.asked_for(&bytes));
        actor.push_note(bytes);
        trace!(outside, "> ask {worker} to give up a record");
    }

    fn write(&mut self) -> Sent {
        let outside = &mut *self.outside.borrow_mut();
        let now = outside.now;
        let (actor, ledger) = outside.process(self.number);
        let (sent, worker) = (actor.write(), actor.worker);
        if sent == Sent::Refused {
            ledger.refused(worker, actor, now);
            let is_partially_written = actor.is_amid_record();
            if is_partially_written {
                outside.note(Fault::TornRecord);
            }
            trace!(outside, "< {worker} refuses records");
        }
        sent
    }

    fn is_amid_record(&self, _: Framing) -> bool {
        self.look(Actor::is_amid_record)
    }

    fn abandon_stdin(&mut self) {
        self.outside.borrow_mut().process(self.number).0.abandon_stdin();
    }

    fn close_stdin(&mut self) {
        let outside = &mut *self.outside.borrow_mut();
        let now = outside.now;
        let (actor, ledger) = outside.process(self.number);
        let worker = actor.worker;
        ledger.closed(worker, now);
        actor.close_stdin();
        trace!(outside, "> close stdin of {worker}");
    }

    fn has_read_all(&self) -> Option<bool> {
        self.look(Actor::has_read_all)
    }

    fn unsent(&self, _: Framing) -> usize {
        self.look(Actor::unsent)
    }

    fn read_stdout(&mut self, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
        let outside = &mut *self.outside.borrow_mut();
        if !outside.is_of_use_to_read(self.number) {
            return Err(Errno::AGAIN);
        }
        let now = outside.now;
        let (actor, ledger) = outside.process(self.number);
        let worker = actor.worker;
        let was_open = actor.stdout_is_open;
        let read = actor.read_stdout(buffer);
        let lines = actor.take_heard();
        let has_closed = read == Ok(0) && was_open && !actor.has_exited();
        if has_closed {
            ledger.hung_up(worker, now);
        }
        ledger.heard(worker, &lines, now);
        if read == Ok(0) && actor.is_buried {
            ledger.heard_tail(worker, actor.tail(), now);
        }
        if has_closed {
            trace!(outside, "< {worker} closed its stdout");
        } else if !lines.is_empty() {
            trace!(outside, "< {worker}: {}", lines.escape_ascii());
        }
        read
    }

    fn read_stderr(&mut self, buffer: &mut Vec<u8>) -> Result<usize, Errno> {
        self.outside.borrow_mut().process(self.number).0.read_stderr(buffer)
    }

    fn drop_pipes(&mut self) {
        let outside = &mut *self.outside.borrow_mut();
        let now = outside.now;
        let actor = outside.process(self.number).0;
        let (worker, signal) = (actor.worker, actor.last_signal());
        let what = actor.describe();
        trace!(outside, "> {signal:?} to {worker}: {what}");
        let (actor, ledger) = outside.process(self.number);
        match signal {
            Some(Signal::TERM) => ledger.terminated(worker, actor, now),
            _ => ledger.killed(worker, now),
        }
        actor.drop_pipes();
    }

    fn signal(&self, signal: Signal) -> Result<(), Errno> {
        let outside = &mut *self.outside.borrow_mut();
        let (now, mut rng) = (outside.now, outside.rng.clone());
        let is_beside = outside.is_beside(self.number);
        let (actor, ledger) = outside.process(self.number);
        if actor.has_exited() && signal == Signal::KILL && !is_beside {
            actor.is_buried = true;
            ledger.tore(actor.worker, actor);
        }
        let reached = actor.signal(signal, now, &mut rng);
        outside.rng = rng;
        reached
    }

    fn leave(&mut self) {
        let outside = &mut *self.outside.borrow_mut();
        let now = outside.now;
        let (actor, ledger) = outside.process(self.number);
        let (worker, beyond) = (actor.worker, actor.leave());
        ledger.left(worker, beyond == Beyond::Death, now);
        outside.reaped(worker, self.number);
        outside.note(match beyond {
            Beyond::Signals => Fault::BeyondSignals,
            Beyond::Death => Fault::BeyondDeath,
        });
        trace!(outside, "> leave {worker}");
    }

    fn has_exited(&self) -> bool {
        self.look(Actor::has_exited)
    }

    fn reap(&mut self) -> Reaped {
        let outside = &mut *self.outside.borrow_mut();
        let now = outside.now;
        let shape = outside.scenario.policy.shape;
        let actor = outside.process(self.number).0;
        let (worker, (exit, blame)) = (actor.worker, actor.exit());
        let reaped = Reaped {
            exit: exit.clone(),
            peak: None,
        };
        if actor.is_left {
            return reaped;
        }
        if outside.is_beside(self.number) {
            outside.forget_successor(self.number);
            trace!(outside, "< what was to follow in {worker} died: {exit}");
            return reaped;
        }
        let (actor, ledger) = outside.process(self.number);
        // A part of an answer of several lines is none.
        let may_count = shape.protocol == Protocol::Lines
            && (shape.answer_end == AnswerEnd::Separator || ledger.owed(worker) == Some(0));
        let has_partial = may_count && !actor.tail().is_empty();
        let how = (&exit, blame, has_partial);
        ledger.died(worker, Some(how), actor.unsent(), now);
        outside.reaped(worker, self.number);
        trace!(outside, "< {worker} died: {exit} ({blame:?})");
        reaped
    }
}

impl Drop for SimulatedChild {
    fn drop(&mut self) {
        // Where a law is broken, the world is being looked at.
        if let Ok(mut outside) = self.outside.try_borrow_mut() {
            outside.processes[self.number] = None;
            outside.forget_successor(self.number);
        }
    }
}
