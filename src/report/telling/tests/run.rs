//! How a run ends.

use insta::assert_snapshot;

use super::*;
use crate::schedule::event::{Outstanding, Trigger, Turn};

fn no_worker(last: Option<Exit>, stderr: &str) -> Event {
    let stderr = stderr.as_bytes().to_vec();
    Event::Turned(Turn::NoWorker { last, stderr })
}

#[test]
fn a_signal_is_told_with_what_is_waited_for() {
    let signal = libc::SIGTERM;
    let wait = Some(40 * SECOND);
    let left = [
        (0, 0, None),
        (1, 0, None),
        (2, 0, None),
        (2, 1, None),
        (0, 1, wait),
        (1, 2, wait),
    ];
    let events = left.into_iter().flat_map(|(owed, waiting, wait)| {
        let outstanding = Outstanding {
            owed,
            waiting,
            wait,
        };
        [
            Event::Turned(Turn::Notified {
                signal,
                outstanding,
            }),
            Event::Turned(Turn::Interrupted {
                signal,
                outstanding,
            }),
        ]
    });
    assert_snapshot!(told_alone(usual, events), @"
    -
    -
    Warning: told to end by signal 15 (SIGTERM): 1 record that was sent may finish; SIGTERM ends within --grace
    Warning: told to end by signal 15 (SIGTERM): 1 record that was sent may finish within --grace 5s; a second signal ends at once
    Warning: told to end by signal 15 (SIGTERM): 2 records that were sent may finish; SIGTERM ends within --grace
    Warning: told to end by signal 15 (SIGTERM): 2 records that were sent may finish within --grace 5s; a second signal ends at once
    Warning: told to end by signal 15 (SIGTERM): 3 records that were sent may finish; SIGTERM ends within --grace; 1 record waits to be sent again
    Warning: told to end by signal 15 (SIGTERM): 3 records that were sent may finish within --grace 5s; a second signal ends at once; 1 record waits to be sent again
    Warning: told to end by signal 15 (SIGTERM): 1 record that was sent may finish; SIGTERM ends within --grace; 1 record waits to be sent again, in 40.0s
    Warning: told to end by signal 15 (SIGTERM): 1 record that was sent may finish within --grace 5s; a second signal ends at once; 1 record waits to be sent again, in 40.0s
    Warning: told to end by signal 15 (SIGTERM): 3 records that were sent may finish; SIGTERM ends within --grace; 2 records wait to be sent again, the first in 40.0s
    Warning: told to end by signal 15 (SIGTERM): 3 records that were sent may finish within --grace 5s; a second signal ends at once; 2 records wait to be sent again, the first in 40.0s
    ");
}

#[test]
fn what_a_worker_wrote_ends_the_run_with_the_option_for_it() {
    let events = || {
        [Trigger::Stray, Trigger::Failure].into_iter().flat_map(|trigger| {
            [
                Event::Turned(Turn::Raised(trigger)),
                Event::Turned(Turn::Draining(trigger)),
            ]
        })
    };
    assert_snapshot!(told_alone(usual, events()), @"
    Error: the run ends for this (--on-error raise)
    Error: nothing more is sent for this (--max-errors)
    -
    -
    ");
    assert_snapshot!(told_alone(|policy| policy.failures.on_error = OnError::Drain, events()), @"
    Error: the run ends for this (--on-error raise)
    Error: nothing more is sent for this (--on-error drain)
    -
    -
    ");
}

#[test]
fn the_last_worker_is_told_with_its_last_words_but_for_after_a_signal() {
    let events = [
        no_worker(None, ""),
        no_worker(Some(ExitStatus::Code(127).into()), "sh: no such thing\n"),
    ];
    assert_snapshot!(told_alone(usual, events), @"
    Error: no worker could be kept running; it said nothing on stderr: try COMMAND by itself, with a record on its stdin
    Error: no worker could be kept running: the last one died (exit status 127); its last words on stderr:
    sh: no such thing
    ");
    let signal = libc::SIGTERM;
    let events = [
        Event::Turned(Turn::Notified {
            signal,
            outstanding: Outstanding::default(),
        }),
        no_worker(None, ""),
    ];
    assert_snapshot!(told(&mut teller(usual), events), @"
    -
    -
    ");
}

#[test]
fn a_fault_of_mtask_is_told() {
    let lost = Event::Lost {
        read: 10,
        outcomes: 9,
    };
    assert_snapshot!(told_alone(usual, [lost]), @"Error: internal fault: 10 records were read and 9 have an outcome; please report this");
}

#[test]
fn nothing_is_said_of_other_ends() {
    let events = [Turn::Cut { signal: 15 }, Turn::OutputFailed, Turn::Finished];
    assert_eq!(told_alone(usual, events.map(Event::Turned)), "-\n-\n-");
}
