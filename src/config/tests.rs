use clap::Parser;

use super::*;
use crate::exit::Status;
use crate::outcome::ErrorInput;
use crate::outcome::OutputFormat;
use crate::record::Separator;
use crate::schedule::policy::{MaxErrors, OnError};
use crate::shape::Format;

const CPUS: usize = 7;

fn resolve(words: &str) -> Result<Config, Unusable> {
    let words = ["mtask"].into_iter().chain(words.split(' '));
    let surroundings = Surroundings {
        cpus: || NonZeroUsize::new(CPUS).unwrap(),
        python_unbuffered: PythonUnbuffered::Absent,
        places: || Ok((0..CPUS).collect()),
        gpus: || Ok(vec!["0".into(), "1".into(), "2".into()]),
        is_set: |_| false,
        path: None,
    };
    Config::resolve(
        Arguments::try_parse_from(words).expect("well formed"),
        &surroundings,
    )
}

fn config(words: &str) -> Config {
    resolve(words).expect("usable")
}

/// The message of a usage error, which must name `option`.
#[track_caller]
fn assert_refused(words: &str, option: &str) {
    let refusal = resolve(words).expect_err("a usage error");
    assert_eq!(refusal.status, Status::Usage);
    assert!(refusal.message.contains(option), "{refusal}");
}

#[test]
fn defaults_are_those_of_the_manual() {
    let config = config("cat");
    assert_eq!(config.inputs, [InputSource::Stdin]);
    assert_eq!(config.shape.format, Format::Lines);
    assert_eq!(config.shape.separator, Separator::Newline);
    assert_eq!(config.shape.max_record, 64 << 20);
    assert_eq!(config.buffer, 64 << 20);
    assert_eq!((&config.output, &config.errors), (&None, &None));
    assert_eq!(config.rendering.output_format, OutputFormat::Raw);
    assert_eq!(config.rendering.error_input, ErrorInput::Whole);
    assert_eq!(config.launcher.workers(), CPUS);
    assert_eq!(config.stderr_tags, StderrTags::None);
    assert_eq!(config.verbosity, Verbosity::Normal);
    assert_eq!(config.mode, Mode::Run);
    assert!(config.hints.is_empty());
    let policy = config.policy;
    assert_eq!(policy.jobs.get(), CPUS);
    assert_eq!(policy.order, Order::Input);
    assert_eq!(policy.window, Window::Auto);
    assert_eq!(policy.failures.on_error, OnError::Defer);
    assert_eq!(policy.delivery, Delivery::AtLeastOnce);
    assert_eq!(
        (policy.limits.timeout, policy.limits.init_timeout),
        (None, None)
    );
    assert_eq!(
        (policy.failures.retries, policy.failures.max_restarts),
        (0, 5)
    );
    assert_eq!(policy.failures.max_errors, None);
    assert_eq!(policy.lifespan, Lifespan::Unlimited);
    assert_eq!(policy.limits.grace, Duration::from_secs(5));
    assert_eq!(policy.limits.exit_timeout, Duration::from_secs(60));
}

#[test]
fn inputs_are_read_in_the_order_given_and_a_dash_is_stdin() {
    let inputs = config("-i a -i - -a b cat").inputs;
    assert_eq!(
        inputs,
        [
            InputSource::File("a".into()),
            InputSource::Stdin,
            InputSource::File("b".into())
        ]
    );
}

#[test]
fn a_dash_as_output_is_stdout() {
    assert_eq!(config("-o - cat").output, None);
    assert_eq!(config("-o ./- cat").output, Some("./-".into()));
}

#[test]
fn error_records_go_to_a_file_with_a_name() {
    assert_refused("--errors - cat", "/dev/stderr");
}

#[test]
fn there_are_as_many_workers_as_worker_arguments_or_a_multiple() {
    assert_eq!(
        config("--worker-arg a --worker-arg b cat").launcher.workers(),
        2
    );
    assert_eq!(
        config("-j4 --worker-arg a --worker-arg b cat").launcher.workers(),
        4
    );
    assert_eq!(config("--shared-arg a=1 cat").launcher.workers(), CPUS);
    assert_refused("-j3 --worker-arg a --worker-arg b cat", "--jobs 4");
    assert_refused("-j1 --worker-arg a --worker-arg b cat", "--worker-arg");
}

#[test]
fn records_end_with_nul_in_lines_format_only() {
    assert_eq!(config("-0 cat").shape.separator, Separator::Nul);
    assert_refused("-0 --format jsonl cat", "--null");
}

#[test]
fn a_timeout_brings_a_longer_one_until_a_process_is_ready() {
    let policy = config("--timeout 2s cat").policy;
    assert_eq!(policy.limits.timeout, Some(Duration::from_secs(2)));
    assert_eq!(policy.limits.init_timeout, Some(Duration::from_secs(300)));
    let policy = config("--timeout 2s --init-timeout 1m cat").policy;
    assert_eq!(policy.limits.init_timeout, Some(Duration::from_secs(60)));
    assert_eq!(config("--init-timeout 1m cat").policy.limits.timeout, None);
}

#[test]
fn a_timeout_of_0_is_none() {
    let policy = config("--timeout 0 --window full cat").policy;
    assert_eq!(
        (policy.limits.timeout, policy.limits.init_timeout),
        (None, None)
    );
    assert_eq!(
        config("--timeout 1 --init-timeout 0 cat").policy.limits.init_timeout,
        None
    );
}

#[test]
fn a_timeout_cannot_be_told_with_a_full_window() {
    assert_refused("--timeout 1 --window full cat", "--window full");
    assert_eq!(
        config("--init-timeout 1 --window full cat").policy.window,
        Window::Full
    );
}

#[test]
fn at_most_once_means_one_record_at_a_time_and_no_retries() {
    let config = config("--at-most-once --retries 3 cat");
    assert_eq!(config.policy.delivery, Delivery::AtMostOnce);
    assert_eq!(config.policy.window, Window::Records(NonZeroUsize::MIN));
    assert_eq!(config.policy.failures.retries, 0);
    assert!(config.hints[0].contains("--retries"));
}

#[test]
fn a_limit_of_failures_has_no_effect_where_the_first_ends_the_run() {
    for action in ["raise", "drain"] {
        let config = config(&format!("--on-error {action} --max-errors 5 cat"));
        let hint = &config.hints[0];
        assert!(hint.contains("--max-errors has no effect") && hint.contains(action));
    }
    for options in ["--on-error ignore --max-errors 5", "--on-error raise"] {
        assert!(config(&format!("{options} cat")).hints.is_empty());
    }
}

#[test]
fn empty_braces_in_the_command_give_a_hint() {
    assert!(config("echo a{}b").hints[0].contains("stdin"));
    assert!(config("echo {x} }{").hints.is_empty());
}

#[test]
fn a_broken_json_object_gives_a_hint() {
    assert!(config("--worker-arg {a:1} cat").hints[0].contains("{a:1}"));
}

#[test]
fn what_is_written_is_as_asked() {
    let config = config(
        "-u --output-format envelope --error-input none --errors e --tag-stderr -q --dry-run \
         --max-errors 3 --lifespan 9 --on-error drain cat",
    );
    assert_eq!(config.policy.order, Order::Finish);
    assert_eq!(config.rendering.output_format, OutputFormat::Envelope);
    assert_eq!(config.rendering.error_input, ErrorInput::Omitted);
    assert_eq!(config.errors, Some("e".into()));
    assert_eq!(config.stderr_tags, StderrTags::Worker);
    assert_eq!(config.verbosity, Verbosity::Quiet);
    assert_eq!(config.mode, Mode::DryRun);
    assert_eq!(config.policy.failures.max_errors, Some(MaxErrors::Count(3)));
    assert_eq!(config.policy.lifespan, NonZeroUsize::new(9).into());
    assert_eq!(config.policy.failures.on_error, OnError::Drain);
}
