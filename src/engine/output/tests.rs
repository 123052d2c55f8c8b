use std::fs::File;

use super::*;

fn destination(name: &str, file: File) -> Destination {
    Destination::file(name.into(), file)
}

fn start(files: Destinations) -> Output {
    let (budget, waker) = (Budget::new(1 << 20), Waker::new().unwrap());
    Output::start(files, None, &budget, &waker).unwrap()
}

/// Waits until the writing thread has ended.
fn end(output: Output) {
    let outcomes = output.from_writer.clone();
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
    });
    let mut written = Written {
        results: b"1\n".repeat(PIPE_BUF),
        errors: b"2\n".to_vec(),
        ..Written::default()
    };
    output.flush(&mut written).unwrap();
    end(output);
    assert_eq!(file.metadata().unwrap().len(), 0);
}
