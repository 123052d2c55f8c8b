//! What workers do and come to.

use insta::assert_snapshot;

use super::*;
use crate::outcome::TimeLimit;
use crate::protocol::message::Unasked;
use crate::schedule::event::{
    Asking, Breach, Ended, Expiry, Fate, Loss, LossCause, Moment, NoConcurrency, Overdue, Suspects,
};
use crate::schedule::{ProcessNumber, Reading};

const ENDED: Ended = Ended {
    worker: WORKER,
    pid: Some(4711),
    exit: Exit::Status(ExitStatus::Code(3)),
    moment: Moment::Work,
    held: Span {
        count: 0,
        low: Index(0),
        high: Index(0),
    },
    charged: None,
    again: 0,
};

fn ended(ended: Ended) -> Event {
    Event::Ended(Box::new(ended))
}

#[test]
fn a_death_is_told_with_its_exit() {
    let held = span(1, 7, 7);
    let events = exits().map(|exit| {
        ended(Ended {
            exit,
            held,
            ..ENDED
        })
    });
    assert_snapshot!(told_alone(usual, events), @"
    Warning: worker 3 (pid 4711) died (exit status 3) while it held 1 record (index 7)
    Warning: worker 3 (pid 4711) died (signal 9 (SIGKILL)) while it held 1 record (index 7)
    Warning: worker 3 (pid 4711) died (it closed its stdout) while it held 1 record (index 7)
    Warning: worker 3 (pid 4711) died (it closed its stdin and answered no more) while it held 1 record (index 7)
    Warning: worker 3 (pid 4711) died (it took too long over a record) while it held 1 record (index 7)
    Warning: worker 3 (pid 4711) died (no answer within --init-timeout 3s) while it held 1 record (index 7)
    Warning: worker 3 (pid 4711) died (it did not answer line by line) while it held 1 record (index 7)
    Warning: worker 3 (pid 4711) died (it gave an answer that nothing was asked for) while it held 1 record (index 7)
    Warning: worker 3 (pid 4711) died (it answered a record twice) while it held 1 record (index 7)
    Warning: worker 3 could not be started: no luck
    ");
    let of_pid = |pid| ended(Ended { pid, ..ENDED });
    let well = |moment| {
        let exit = ExitStatus::Code(0).into();
        ended(Ended {
            moment,
            exit,
            ..ENDED
        })
    };
    let unasked = ended(Ended {
        exit: Verdict::Unasked.into(),
        ..ENDED
    });
    let events = [
        of_pid(Some(4711)),
        of_pid(None),
        well(Moment::Work),
        well(Moment::End),
        unasked,
    ];
    assert_snapshot!(told_alone(usual, events), @"
    Warning: worker 3 (pid 4711) died (exit status 3) while it held no record
    Warning: worker 3 is ended (exit status 3) while it held no record
    -
    -
    -
    ");
}

#[test]
fn a_death_is_told_with_what_becomes_of_what_was_held() {
    let of = |count, charged, again| {
        ended(Ended {
            held: span(count, 7, 6 + count as u64),
            charged,
            again,
            ..ENDED
        })
    };
    let events = || {
        [
            of(3, None, 0),
            of(1, None, 1),
            of(3, None, 3),
            of(1, Some(Fate::Failed), 0),
            of(1, Some(Fate::TriedAgain), 0),
            of(1, Some(Fate::LeftOut), 0),
        ]
    };
    assert_snapshot!(told_alone(usual, events()), @"
    Warning: worker 3 (pid 4711) died (exit status 3) while it held 3 records (of indices 7 to 9)
    Warning: worker 3 (pid 4711) died (exit status 3) while it held 1 record (index 7); the record is sent again
    Warning: worker 3 (pid 4711) died (exit status 3) while it held 3 records (of indices 7 to 9); what it held is sent again, one record at a time
    Warning: worker 3 (pid 4711) died (exit status 3) while it held 1 record (index 7); the record fails
    Warning: worker 3 (pid 4711) died (exit status 3) while it held 1 record (index 7); the record is tried again
    Warning: worker 3 (pid 4711) died (exit status 3) while it held 1 record (index 7); the record is left without an outcome
    ");
    assert_snapshot!(told_alone(|policy| policy.window = Window::Full, events()), @"
    Warning: worker 3 (pid 4711) died (exit status 3) while it held 3 records (of indices 7 to 9)
    Warning: worker 3 (pid 4711) died (exit status 3) while it held 1 record (index 7); the record is sent again
    Warning: worker 3 (pid 4711) died (exit status 3) while it held 3 records (of indices 7 to 9); what it held is sent again
    Warning: worker 3 (pid 4711) died (exit status 3) while it held 1 record (index 7)
    Warning: worker 3 (pid 4711) died (exit status 3) while it held 1 record (index 7)
    Warning: worker 3 (pid 4711) died (exit status 3) while it held 1 record (index 7)
    ");
}

#[test]
fn a_death_at_the_end_fails_no_record_and_one_that_is_excused_is_not_told() {
    let events = [Moment::Start, Moment::Work, Moment::End, Moment::Excused];
    let exits = [
        ExitStatus::Code(3),
        ExitStatus::NotStarted("no luck".into()),
    ];
    let events = exits.into_iter().flat_map(|exit| {
        events.map(|moment| {
            let exit = exit.clone().into();
            ended(Ended {
                moment,
                exit,
                ..ENDED
            })
        })
    });
    assert_snapshot!(told_alone(usual, events), @"
    Warning: worker 3 (pid 4711) died (exit status 3) while it held no record; later ones like it are counted
    Warning: worker 3 (pid 4711) died (exit status 3) while it held no record
    Warning: worker 3 (pid 4711) died (exit status 3) after its last answer: no record is lost, but the status is 123
    -
    Warning: worker 3 could not be started: no luck; later ones like it are counted
    Warning: worker 3 could not be started: no luck
    Warning: worker 3 could not be started: no luck after its last answer: no record is lost, but the status is 123
    -
    ");
}

#[test]
fn of_deaths_that_are_alike_the_first_ones_are_told_and_then_one_now_and_then() {
    for (moment, last) in [(Moment::Start, 1), (Moment::Work, 10), (Moment::End, 10)] {
        let mut teller = teller(usual);
        let texts = (1..=1000).filter_map(|count| {
            let event = ended(Ended { moment, ..ENDED });
            let text = teller.tell(&event)?.text;
            let (_, how_many) = text.rsplit_once("; ")?;
            Some(format!("{count}: {how_many}"))
        });
        let texts: Vec<_> = texts.collect();
        let last = format!("{last}: later ones like it are counted");
        let later = [10, 100, 1000].map(|count| format!("{count}: it is the {count}th like it"));
        let later = later[usize::from(moment != Moment::Start)..].iter();
        assert!(
            texts.iter().eq([&last].into_iter().chain(later)),
            "{texts:?}"
        );
    }
}

#[test]
fn workers_that_cannot_run_are_told_where_others_can() {
    let loss = |number| {
        Event::GivenUp(Loss {
            worker: WorkerId(number),
            processes: 1,
            cause: LossCause::Unrunnable,
            last: None,
        })
    };
    let ready = Event::Ready {
        worker: WorkerId(1),
        took: SECOND,
    };
    let texts = told(&mut teller(usual), [loss(2), loss(0), ready]);
    assert_snapshot!(texts, @"
    -
    -
    Warning: workers 0, 2 are given up: COMMAND cannot run; 1 of 3 workers go on
    ");
}

#[test]
fn a_worker_that_is_given_up_is_told_with_what_its_processes_did() {
    let loss = |cause, processes| {
        Event::GivenUp(Loss {
            worker: WORKER,
            processes,
            cause,
            last: Some(ExitStatus::Code(3).into()),
        })
    };
    let losses = || {
        [
            loss(LossCause::OutOfStep, 5),
            loss(LossCause::LeftBehind, 5),
            loss(LossCause::Silent, 5),
            loss(LossCause::Unready, 5),
            loss(LossCause::Unready, 1),
            loss(LossCause::Unrunnable, 1),
        ]
    };
    assert_snapshot!(told_alone(usual, losses()), @"
    Warning: worker 3 is given up after 5 processes in a row that did not give one answer for each record (--max-restarts 5); 2 of 3 workers go on
    Warning: worker 3 is given up after 5 processes that could not be ended (--max-restarts 5); others are counted until a first answer
    Warning: worker 3 is given up after 5 processes in a row that answered nothing before their stdin was closed: each record is to be answered by one line, at once (--max-restarts 5); others are counted until a first answer
    Warning: worker 3 is given up after 5 processes in a row without an answer (--max-restarts 5); others are counted until a first answer
    Warning: worker 3 is given up after 1 process without an answer (--max-restarts 5); others are counted until a first answer
    -
    ");
    let alone = told_alone(
        |policy| policy.jobs = NonZeroUsize::MIN,
        [loss(LossCause::Unready, 5)],
    );
    assert_snapshot!(alone, @"Warning: worker 3 is given up after 5 processes in a row without an answer (--max-restarts 5)");
    let mut teller = teller(usual);
    teller.tell(&ready());
    assert_snapshot!(told(&mut teller, losses()), @"
    Warning: worker 3 is given up after 5 processes in a row that did not give one answer for each record (--max-restarts 5); 2 of 3 workers go on
    Warning: worker 3 is given up after 5 processes that could not be ended (--max-restarts 5); the last one died (exit status 3); 1 of 3 workers go on
    Warning: worker 3 is given up after 5 processes in a row that answered nothing before their stdin was closed: each record is to be answered by one line, at once (--max-restarts 5); the last one died (exit status 3); 0 of 3 workers go on
    Warning: worker 3 is given up after 5 processes in a row without an answer (--max-restarts 5); the last one died (exit status 3); 0 of 3 workers go on
    Warning: worker 3 is given up after 1 process without an answer (--max-restarts 5); the last one died (exit status 3); 0 of 3 workers go on
    Warning: worker 3 is given up after 1 process without an answer (it cannot be run); the last one died (exit status 3); 0 of 3 workers go on
    ");
}

fn ready() -> Event {
    let (worker, took) = (WORKER, SECOND);
    Event::Ready { worker, took }
}

#[test]
fn workers_that_were_given_up_before_are_named_once_one_is_ready() {
    let loss = |number| {
        Event::GivenUp(Loss {
            worker: WorkerId(number),
            processes: 5,
            cause: LossCause::Unready,
            last: None,
        })
    };
    let events = [loss(0), loss(2), loss(1), ready(), ready()];
    let texts = told(&mut teller(usual), events);
    assert_snapshot!(texts, @"
    Warning: worker 0 is given up after 5 processes in a row without an answer (--max-restarts 5); others are counted until a first answer
    -
    -
    Warning: workers 1, 2 are given up too; 0 of 3 workers go on
    -
    ");
}

#[test]
fn what_answers_nothing_is_told_with_the_results_in_doubt() {
    let of = |breach, ranges: &[(u64, u64)]| Event::OutOfStep {
        worker: WORKER,
        breach,
        in_doubt: doubts(ranges),
    };
    let events = || {
        [
            of(Breach::StrayLine(b"one\ttwo".repeat(20)), &[]),
            of(Breach::Tail(b"th\xff".to_vec()), &[(7, 7)]),
            of(Breach::NoAnswer(span(2, 7, 9)), &[(7, 9), (12, 12)]),
        ]
    };
    assert_snapshot!(told_alone(usual, events()), @r#"
    Error: worker 3 wrote a line with nothing to answer, "one\ttwoone\ttwoone\ttwoone\ttwoone\ttwoone\ttwoone\ttwoone\ttwoone\t…"; none of its answers is in doubt. One line is expected for each record: does it print something else than answers, or two lines for a record?
    Error: worker 3 wrote "th\xff" after its last answer; the answer of record 7 is in doubt. One line is expected for each record: does it print something else than answers?
    Error: worker 3 exited without an answer for 2 records (of indices 7 to 9); its answers of records 7 to 9 and 12 are in doubt. One line is expected for each record: does it skip records, or collect several for one line?
    "#);
    assert_snapshot!(told_alone(|policy| policy.shape.protocol = Protocol::Json, events()), @r#"
    Error: worker 3 wrote a line with nothing to answer, "one\ttwoone\ttwoone\ttwoone\ttwoone\ttwoone\ttwoone\ttwoone\ttwoone\t…": each record is to be answered once, with its id, before it exits
    Error: worker 3 wrote "th\xff" after its last answer: each record is to be answered once, with its id, before it exits
    Error: worker 3 exited without an answer for 2 records (of indices 7 to 9): each record is to be answered once, with its id, before it exits
    "#);
}

#[test]
fn answers_with_ids_that_are_none_are_told() {
    let worker = WORKER;
    let no_concurrency = || {
        let given = "\"four\"".into();
        Event::NoConcurrency(NoConcurrency { worker, given })
    };
    let events = [
        Event::AnsweredUnasked {
            worker,
            unasked: Unasked::Record(Index(7)),
        },
        Event::AnsweredUnasked {
            worker,
            unasked: Unasked::Line(b"{\"output\":1}".to_vec()),
        },
        no_concurrency(),
        no_concurrency(),
        Event::Spoilt { worker, errors: 4 },
    ];
    assert_snapshot!(told(&mut teller(usual), events), @r#"
    Error: worker 3 answered record 7, which it does not owe: each record is to be answered once, with the id it came with
    Error: worker 3 gave an answer whose id is missing or no whole number, "{"output":1}": each record is to be answered once, with the id it came with
    Warning: worker 3 says "concurrency":"four", which is ignored: a whole number of at least 1 is expected, without quotes
    -
    Warning: worker 3 answered its last 4 records with errors, and gave results before: its process is replaced, and they are tried again
    "#);
}

#[test]
fn a_record_that_is_waited_for_is_told_with_what_may_help() {
    let awaited = |is_first, reading| {
        Event::Overdue(Overdue {
            worker: WORKER,
            index: Index(7),
            age: 60 * SECOND,
            is_first,
            reading,
            expiry: Expiry::Record,
            is_full: false,
        })
    };
    let events = || {
        [true, false].into_iter().flat_map(|is_first| {
            let readings = [Reading::Unknown, Reading::Behind, Reading::All];
            readings.map(|reading| awaited(is_first, reading))
        })
    };
    assert_snapshot!(told_alone(usual, events()), @r#"
    Warning: worker 3 has not answered its first record (index 7) for 60 s: if it is not still starting: each record needs one line, flushed at once (sed -u, grep --line-buffered, jq --unbuffered, python -u, awk with fflush()), and an empty one where a filter drops it (not grep PATTERN; jq: if … then … else "" end). Does a command in a shell loop read the records? Give it </dev/null. --window N is for a worker that collects N records first, --window full for one that cannot be told, --protocol json for one whose answers say which record they are for; --timeout DURATION would end the wait
    Warning: worker 3 has not answered its first record (index 7) for 60 s: it has not read it: it is still starting, or does not read its stdin; --timeout DURATION would end the wait
    Warning: worker 3 has not answered its first record (index 7) for 60 s: it has read it; if it is not still at it: each record needs one line, flushed at once (sed -u, grep --line-buffered, jq --unbuffered, python -u, awk with fflush()), and an empty one where a filter drops it (not grep PATTERN; jq: if … then … else "" end). Does a command in a shell loop read the records? Give it </dev/null. --window N is for a worker that collects N records first, --window full for one that cannot be told, --protocol json for one whose answers say which record they are for; --timeout DURATION would end the wait
    Warning: worker 3 has not answered record 7 for 60 s; --timeout DURATION would end the wait
    Warning: worker 3 has not answered record 7 for 60 s (it has not read all that it was sent); --timeout DURATION would end the wait
    Warning: worker 3 has not answered record 7 for 60 s (it has read it: does it answer each record, or does a command in it read them? Give that one </dev/null); --timeout DURATION would end the wait
    "#);
    let json = |policy: &mut Policy| {
        policy.shape.protocol = Protocol::Json;
        policy.limits.timeout = Some(90 * SECOND);
    };
    assert_snapshot!(told_alone(json, events()), @r#"
    Warning: worker 3 has not answered its first record (index 7) for 60 s: if it is not still starting: each answer must be a line {"id":…,"output":…} of its own, flushed at once; --timeout 90s ends the wait
    Warning: worker 3 has not answered its first record (index 7) for 60 s: it has not read it: it is still starting, or does not read its stdin; --timeout 90s ends the wait
    Warning: worker 3 has not answered its first record (index 7) for 60 s: if it is not still starting: each answer must be a line {"id":…,"output":…} of its own, flushed at once; --timeout 90s ends the wait
    Warning: worker 3 has not answered record 7 for 60 s; --timeout 90s ends the wait
    Warning: worker 3 has not answered record 7 for 60 s (it has not read all that it was sent); --timeout 90s ends the wait
    Warning: worker 3 has not answered record 7 for 60 s (it has read it); --timeout 90s ends the wait
    "#);
    let full = Event::Overdue(Overdue {
        worker: WORKER,
        index: Index(7),
        age: 10 * SECOND,
        is_first: true,
        reading: Reading::Behind,
        expiry: Expiry::Start,
        is_full: true,
    });
    assert_snapshot!(told_alone(usual, [full]), @"Warning: worker 3 has not answered its first record (index 7) for 10 s: it has not read it: it is still starting, or does not read its stdin; --init-timeout DURATION would end the wait. What it collects must fit into --buffer, which is full: raise it");
}

#[test]
fn a_start_that_is_waited_for_is_told_with_its_limit() {
    let awaited = |expiry| Event::StartAwaited {
        worker: WORKER,
        age: 60 * SECOND,
        expiry,
    };
    let events = || {
        let trial = Event::Trial {
            worker: WORKER,
            trial: 6 * SECOND,
        };
        [awaited(Expiry::Record), awaited(Expiry::Start), trial]
    };
    assert_snapshot!(told_alone(usual, events()), @"
    Warning: worker 3 has not said that it is ready for 60 s; --timeout DURATION would end the wait
    Warning: worker 3 has not said that it is ready for 60 s; --init-timeout DURATION would end the wait
    Warning: worker 3 was not ready when it died, and no other is: the next process is sent nothing before it has stayed up for 6s
    ");
    let limited = |policy: &mut Policy| policy.limits.init_timeout = Some(300 * SECOND);
    assert_snapshot!(told_alone(limited, events()), @"
    Warning: worker 3 has not said that it is ready for 60 s; --timeout DURATION would end the wait
    Warning: worker 3 has not said that it is ready for 60 s; --init-timeout 300s ends the wait
    Warning: worker 3 was not ready when it died, and no other is: the next process is sent nothing before it has stayed up for 6s
    ");
}

#[test]
fn a_stdin_that_is_closed_before_its_time_is_told_with_the_reason() {
    let asked = |asking| Event::Asked {
        worker: WORKER,
        asking,
    };
    let starved = |is_news| Asking::Starved {
        buffer: 4096,
        is_news,
    };
    let events = [
        asked(Asking::Skipped(Index(7))),
        asked(Asking::Unanswered(Index(7), 300 * SECOND)),
        asked(starved(true)),
        asked(starved(false)),
        Event::AnsweredAtEnd { worker: WORKER },
        Event::ExitOverdue { worker: WORKER },
    ];
    assert_snapshot!(told_alone(usual, events), @"
    Warning: worker 3 may have skipped record 7: its stdin is closed to see whether the answer still comes
    Warning: worker 3 has read record 7 and not answered for 300 s: its stdin is closed to see whether the answer still comes
    Warning: --buffer is full (4096 bytes) and worker 3, which may wait for more records, is what everything waits for: its stdin is closed, so that it answers those it has, and its next process goes on. Raise --buffer if one process is to get them all
    -
    Warning: worker 3 answered only once its stdin was closed: it collects what it is sent, or a command in it reads the records (give that one </dev/null)
    Warning: worker 3 did not exit within --exit-timeout 60s of the end of its stdin; it is killed
    ");
}

#[test]
fn a_record_that_took_too_long_is_told_with_what_becomes_of_it() {
    let within = |suspects, limit| Event::TimedOut {
        worker: WORKER,
        suspects,
        limit,
        grace: None,
    };
    let uncancelled = Event::TimedOut {
        worker: WORKER,
        suspects: Suspects::Several(4),
        limit: TimeLimit::Usual(5 * SECOND),
        grace: Some(SECOND),
    };
    let timed_out = |suspects| within(suspects, TimeLimit::Usual(5 * SECOND));
    let failed = Suspects::One(Index(7), Fate::Failed);
    let learnt = TimeLimit::Learnt {
        limit: SECOND * 11 / 7,
        timeout: SECOND / 2,
    };
    let events = [
        timed_out(Suspects::One(Index(7), Fate::Failed)),
        timed_out(Suspects::One(Index(7), Fate::TriedAgain)),
        timed_out(Suspects::One(Index(7), Fate::LeftOut)),
        timed_out(Suspects::Several(4)),
        within(failed, TimeLimit::First(300 * SECOND)),
        within(failed, learnt),
        uncancelled,
    ];
    assert_snapshot!(told_alone(usual, events), @"
    Warning: worker 3 gave no answer for record 7 within --timeout 5s; its process is replaced, and the record fails
    Warning: worker 3 gave no answer for record 7 within --timeout 5s; its process is replaced, and the record is tried again
    Warning: worker 3 gave no answer for record 7 within --timeout 5s; its process is replaced, and the record is left without an outcome
    Warning: worker 3 gave no answer within --timeout 5s and may be at any of 4 records; its process is replaced, and they are sent again, one at a time
    Warning: worker 3 gave no answer for record 7 within --init-timeout 300s, the limit for a first answer; its process is replaced, and the record fails
    Warning: worker 3 gave no answer for record 7 within 1.571s (--timeout 500ms, and three times as long as a first answer took); its process is replaced, and the record fails
    Warning: worker 3 gave no answer within --timeout 5s, nor ended the call within --grace 1s when asked to, and may be at any of 4 records; its process is replaced, and they are sent again, one at a time
    ");
}

#[test]
fn nothing_is_said_of_what_goes_well_or_is_told_otherwise() {
    let worker = WORKER;
    let events = [
        settled(Ok(())),
        Event::Started {
            worker,
            process: ProcessNumber(0),
            is_restart: true,
        },
        ready(),
        Event::Gone {
            worker,
            exit: ExitStatus::Code(3).into(),
            peak: None,
        },
        Event::SentAgain {
            worker,
            first: Index(7),
            count: 2,
            charged: 0,
        },
    ];
    assert_eq!(told_alone(usual, events), "-\n-\n-\n-\n-");
}
