use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use std::thread;

use super::lane::REMINDER;
use super::*;
use crate::output::{Destination, at_once};

fn destination(name: &str, file: File) -> Destination {
    Destination::file(name.into(), file)
}

fn start(files: Destinations<Destination>) -> Output<Destination> {
    let (budget, waker) = (Budget::new(1 << 20), Waker::new().unwrap());
    Output::new(files, None, &budget, &waker)
}

/// Results go to a file, errors to a pipe, whose reader is given too.
fn start_with_pipe() -> (OwnedFd, Output<Destination>) {
    let (reader, writer) = rustix::pipe::pipe().unwrap();
    let output = start(Destinations {
        results: destination("results", tempfile::tempfile().unwrap()),
        errors: Some(destination("errors", writer.into())),
        exits: None,
        log: None,
    });
    (reader, output)
}

/// Waits until the writing thread has ended.
fn end(output: Output<Destination>) {
    let outcomes = output.lane.ends.clone();
    drop(output);
    while outcomes.recv().is_ok() {}
}

#[test]
fn nothing_is_written_after_what_could_not_be() {
    let file = tempfile::tempfile().unwrap();
    let read_only = File::open("/dev/null").unwrap();
    let mut output = start(Destinations {
        results: destination("results", read_only),
        errors: Some(destination("errors", file.try_clone().unwrap())),
        exits: None,
        log: None,
    });
    let mut written = Written {
        results: b"1\n".repeat(PIPE_BUF).into(),
        errors: b"2\n".to_vec().into(),
        ..Written::default()
    };
    output.flush(&mut written, Instant::now()).unwrap();
    end(output);
    assert_eq!(file.metadata().unwrap().len(), 0);
}

#[test]
fn what_takes_nothing_is_named_at_doubling_intervals() {
    let (reader, mut output) = start_with_pipe();
    let mut written = Written {
        errors: vec![b'2'; 1 << 20].into(),
        ..Written::default()
    };
    let begin = Instant::now();
    output.flush(&mut written, begin).unwrap();
    written.results = b"1\n".repeat(PIPE_BUF).into();
    output.flush(&mut written, begin).unwrap();
    assert_eq!(output.next_reminder(), Some(begin + REMINDER));
    let said = (0..300).filter_map(|seconds| {
        let text = output.remind(begin + Duration::from_secs(seconds))?;
        assert!(text.starts_with("errors has taken nothing"), "{text}");
        Some(seconds)
    });
    assert!(said.eq([60, 120, 240]));
    drop(reader);
    end(output);
}

#[test]
fn what_has_moved_on_and_stops_then_is_named_too() {
    let (reader, mut output) = start_with_pipe();
    let mut written = Written {
        results: b"1\n".repeat(PIPE_BUF).into(),
        errors: vec![b'2'; 1 << 20].into(),
        ..Written::default()
    };
    let begin = Instant::now();
    output.flush(&mut written, begin).unwrap();
    while !output.has_news() {
        assert!(begin.elapsed() < REMINDER, "a file takes this at once");
        thread::yield_now();
    }
    let later = begin + REMINDER / 2;
    output.flush(&mut written, later).unwrap();
    assert_eq!(output.next_reminder(), Some(later + REMINDER));
    output.was_suspended(3 * REMINDER);
    assert_eq!(output.next_reminder(), Some(later + 4 * REMINDER));
    drop(reader);
    end(output);
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_that_others_fill_is_never_waited_for_and_stays_as_it_was() {
    use rustix::fs::{OFlags, fcntl_getfl};
    use rustix::io::Errno;

    let (_reader, writer) = rustix::pipe::pipe().unwrap();
    let at_once = at_once::AtOnce::of(writer.as_fd()).expect("a pipe can be opened again");
    assert_eq!(at_once.write(writer.as_fd(), b"1\n"), Ok(2));
    let other = at_once::AtOnce::of(writer.as_fd()).expect("and once more");
    while other.write(writer.as_fd(), &[b'n'; PIPE_BUF]).is_ok() {}
    assert_eq!(at_once.write(writer.as_fd(), b"1\n"), Err(Errno::AGAIN));
    let closed_to_us = at_once::AtOnce::Pipe;
    let written = closed_to_us.write(writer.as_fd(), b"1\n");
    // Older systems do not know how.
    assert!(matches!(written, Err(Errno::AGAIN | Errno::OPNOTSUPP)));
    assert!(!fcntl_getfl(&writer).unwrap().contains(OFlags::NONBLOCK));
}
