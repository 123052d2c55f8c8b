//! What workers write to stdout, passed on to the scheduler as their protocol has it.

use std::time::Instant;

use super::Engine;
use super::processes::{RunningProcess, longest_unfinished};
use super::world::World;
use crate::outcome::Chunks;
use crate::protocol::message::{Message, Reception};
use crate::protocol::stdout::Tail;
use crate::protocol::{Aside, Listener, Reader};
use crate::record::{Framing, Index};
use crate::schedule::event::Event;
use crate::schedule::{Scheduler, WorkerId};
use crate::worker::child::Child;

impl<W: World> Engine<W> {
    /// Passes on what has been read into the buffer.
    pub(super) fn pass_answers(&mut self, worker: WorkerId, now: Instant) {
        if self.buffer.is_empty() {
            return;
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = self.listen(worker, now, |stdout, ear| stdout.read(&mut buffer, ear));
        self.buffer = buffer;
        if let Some(aside) = read {
            self.pass_aside(worker, aside);
            self.act();
        }
    }

    /// The same for what a process wrote after its last whole line, if that tells by itself what it
    /// is. If not, gives it: the process's end must tell.
    pub(super) fn pass_tail(&mut self, worker: WorkerId, now: Instant) -> Tail {
        let read = self.listen(worker, now, |stdout, ear| stdout.read_tail(ear));
        let Some((tail, aside)) = read else {
            return Tail::default();
        };
        self.pass_aside(worker, aside);
        self.act();
        tail
    }

    /// Has the scheduler hear what a process says, if it is there.
    fn listen<T>(
        &mut self,
        worker: WorkerId,
        now: Instant,
        read: impl FnOnce(&mut Reader, &mut Ear<'_, W::Child>) -> T,
    ) -> Option<T> {
        let (before, rest) = self.processes.split_at_mut(worker.0);
        let (process, behind) = rest.split_first_mut()?;
        let process = process.as_mut()?;
        let mut ear = Ear {
            scheduler: &mut self.scheduler,
            worker,
            now,
            framing: self.config.shape.framing(),
            child: &process.child,
            others: [before, behind],
            unfinished: process.stderr.unfinished(),
        };
        Some(read(&mut process.stdout, &mut ear))
    }

    /// Passes on what a process said that is not for the scheduler.
    fn pass_aside(&mut self, worker: WorkerId, aside: Aside) {
        let Some(process) = &mut self.processes[worker.0] else {
            return;
        };
        if !aside.log.is_empty() {
            // What cannot be written is counted at least.
            let may_wait = !self.messages.is_full();
            process.stderr.log(&aside.log, may_wait.then(|| self.messages.lines()));
            self.messages.flush();
        }
        if let Some(protocol) = aside.foreign
            && let event = (Event::Misspoken { worker, protocol })
            && let Some(notice) = self.report.hear(&event, || self.world.now())
        {
            self.messages.say(&notice);
        }
        let number = process.number;
        let mut failure = None;
        for exit in aside.exits {
            let begin = format!("{{\"worker\":{},\"process\":{number},\"exit\":", worker.0);
            let mut line = Chunks::from(begin.into_bytes());
            line.put(exit.into_bytes());
            line.put(b"}\n".to_vec());
            match self.output.keep_exit(line) {
                Ok(true) => {}
                Ok(false) => self.scheduler.exit_not_kept(),
                Err(error) => failure = Some(error),
            }
        }
        if let Some(error) = failure {
            self.output_failed(&error);
        }
    }
}

/// The scheduler, as it hears one process.
struct Ear<'e, C> {
    scheduler: &'e mut Scheduler,
    worker: WorkerId,
    now: Instant,
    framing: Framing,
    child: &'e C,
    /// The processes of the workers before and behind this one.
    others: [&'e [Option<RunningProcess<C>>]; 2],
    /// How much it has begun on its stderr.
    unfinished: usize,
}

impl<C: Child> Listener for Ear<'_, C> {
    fn owed(&self) -> usize {
        self.scheduler.owed(self.worker)
    }

    fn owes(&self, index: Index) -> bool {
        self.scheduler.owes(self.worker, index)
    }

    fn awaits_words(&self) -> bool {
        self.scheduler.awaits_words(self.worker)
    }

    fn unsent(&self) -> usize {
        self.child.unsent(self.framing)
    }

    fn longest_text(&self, begun: usize) -> usize {
        let [before, behind] = self.others;
        longest_unfinished(before.iter().chain(behind), begun + self.unfinished)
    }

    fn heard(&mut self, message: Message<'_, '_>) -> Reception {
        self.scheduler.heard(self.worker, message, self.now)
    }
}
