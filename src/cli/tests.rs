use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::*;

fn parse(words: &[&str]) -> Result<Arguments, clap::Error> {
    Arguments::try_parse_from(["mtask"].iter().chain(words))
}

fn jobs(typed: &Arguments) -> usize {
    let jobs = typed.workers.jobs.expect("-j is given");
    jobs.on(|| unreachable!("it is a number")).get()
}

fn refusal(words: &[&str]) -> String {
    let error = parse(words).expect_err("refused");
    assert_eq!(error.exit_code(), 2);
    error.to_string()
}

#[test]
fn the_definition_is_sound() {
    Arguments::command().debug_assert();
}

#[test]
fn options_end_at_the_command() {
    let typed = parse(&["-j4", "sed", "-u", "--help", "-j9", "--", "s/x/y/"]).unwrap();
    assert_eq!(
        typed.command,
        ["sed", "-u", "--help", "-j9", "--", "s/x/y/"]
    );
    assert_eq!(jobs(&typed), 4);
    assert!(!typed.output.unordered);
}

#[test]
fn two_dashes_before_the_command_are_optional() {
    assert_eq!(
        parse(&["-q", "--", "cat", "-u"]).unwrap().command,
        ["cat", "-u"]
    );
    assert_eq!(
        parse(&["--", "-odd", "-u"]).unwrap().command,
        ["-odd", "-u"]
    );
}

#[test]
fn an_unknown_option_is_not_taken_for_the_command() {
    let message = refusal(&["--job", "4", "cat"]);
    assert!(
        message.contains("--job") && message.contains("--jobs"),
        "{message}"
    );
}

#[test]
fn options_of_xargs_and_parallel_are_answered_with_those_of_mtask() {
    for (option, instead) in [
        ("-I{}", "each worker reads them from its stdin"),
        ("-n1", "--window N"),
        ("-L", "--window N"),
        ("-X", "--window N"),
        ("--bar", "--progress always"),
        ("--eta", "--progress always"),
        ("--joblog=log", "--errors FILE"),
        ("--halt", "--on-error raise"),
        ("--tag", "--output-format envelope"),
        ("--colsep", "--argument-type args"),
        ("--colsep", "--format csv"),
        ("--header", "--format csv"),
        ("--arg-file=in", "--input FILE"),
        ("--keep-order", "input order"),
    ] {
        let error = Arguments::read(["mtask", option, "cat"]).expect_err("refused");
        let message = error.to_string();
        let tips = message.lines().filter(|line| line.trim_start().starts_with("tip:"));
        assert_eq!(tips.count(), 1, "{message}");
        assert!(message.contains(instead), "{message}");
    }
    // What is no option of anybody is no command either.
    let message = Arguments::read(["mtask", "--foo", "cat"]).expect_err("refused").to_string();
    assert!(!message.contains("tip:"), "{message}");
    let message = Arguments::read(["mtask", "--job", "cat"]).expect_err("refused").to_string();
    assert!(
        message.contains("'--jobs'") && !message.contains("as a value"),
        "{message}"
    );
}

#[test]
fn the_command_is_required_and_need_not_be_utf8() {
    assert_eq!(
        parse(&[]).unwrap_err().kind(),
        ErrorKind::MissingRequiredArgument
    );
    let odd = OsString::from_vec(vec![b'a', 0xff]);
    let typed = Arguments::try_parse_from(["mtask".into(), "cat".into(), odd.clone()]).unwrap();
    assert_eq!(typed.command[1], odd);
}

#[test]
fn the_letters_of_xargs_and_parallel_are_accepted() {
    let typed = parse(&["-a", "x", "-i", "-", "-P", "3", "-k", "-0", "cat"]).unwrap();
    assert_eq!(typed.input.input, [PathBuf::from("x"), PathBuf::from("-")]);
    assert_eq!(jobs(&typed), 3);
    assert!(typed.input.null);
}

#[test]
fn of_a_repeated_option_and_of_k_and_u_the_last_wins() {
    assert_eq!(jobs(&parse(&["-j1", "-q", "-j2", "-q", "cat"]).unwrap()), 2);
    assert!(!parse(&["-u", "-k", "cat"]).unwrap().output.unordered);
    assert!(parse(&["-k", "-u", "cat"]).unwrap().output.unordered);
}

#[test]
fn a_worker_argument_may_begin_with_a_dash() {
    let typed = parse(&["--worker-arg", "-5", "--worker-arg", "--x", "cat"]).unwrap();
    assert_eq!(typed.workers.worker_arg, ["-5", "--x"]);
}

#[test]
fn what_is_no_text_is_refused_by_the_name_of_its_option() {
    for option in ["--desc", "--worker-arg", "--shared-arg", "--python"] {
        let odd = OsString::from_vec(b"a=\xff".to_vec());
        let words = ["mtask".into(), option.into(), odd, "cat".into()];
        let message = Arguments::try_parse_from(words).unwrap_err().to_string();
        assert!(
            message.contains(option) && message.contains("not valid UTF-8"),
            "{message}"
        );
    }
}

#[test]
fn zero_is_refused_where_it_is_senseless() {
    for option in [
        "--jobs",
        "--lifespan",
        "--max-errors",
        "--window",
        "--buffer",
        "--max-record",
    ] {
        assert!(refusal(&[option, "0", "cat"]).contains(option));
    }
    assert!(refusal(&["--exit-timeout", "0", "cat"]).contains("--exit-timeout"));
}

#[test]
fn at_most_once_refuses_a_window_beside_it() {
    assert!(refusal(&["--at-most-once", "--window", "auto", "cat"]).contains("--window"));
    assert!(parse(&["--at-most-once", "cat"]).is_ok());
}

#[test]
fn a_refusal_names_the_option_even_for_a_negative_value() {
    let message = refusal(&["--timeout", "-5", "cat"]);
    assert!(
        message.contains("--timeout") && message.contains("negative"),
        "{message}"
    );
}

fn help_lines(mut help: impl FnMut(&mut clap::Command) -> String) -> Vec<String> {
    let mut command = Arguments::command().term_width(80);
    help(&mut command).lines().map(ToOwned::to_owned).collect()
}

#[test]
fn the_short_help_fits_a_screen() {
    let lines = help_lines(|command| command.render_help().to_string());
    assert!(lines.len() <= 50, "{} lines", lines.len());
    for line in &lines {
        assert!(line.chars().count() <= 80, "{line}");
    }
    // clap puts each help on a line of its own where one is too long to stand beside its option.
    for heading in [
        "Input",
        "Workers",
        "Output",
        "Backpressure",
        "Failures",
        seen::HEADING,
    ] {
        let place = lines.iter().position(|line| *line == format!("{heading}:"));
        let first = &lines[place.expect("a heading") + 1];
        assert!(first.trim_start().contains("  "), "{heading}: {first}");
    }
}

#[test]
fn the_long_help_has_every_option_and_every_value_with_its_meaning() {
    let help = help_lines(|command| command.render_long_help().to_string());
    let command = Arguments::command();
    for arg in command.get_arguments().filter(|arg| !arg.is_positional()) {
        let name = match arg.get_long() {
            Some(long) => format!("--{long}"),
            None => format!("-{}", arg.get_short().expect("an option has a name")),
        };
        assert!(arg.get_help_heading().is_some(), "{name} is in no group");
        let is_name = |word: &str| word.split(['[', ',']).next() == Some(&*name);
        let place =
            help.iter().position(|line| line.starts_with("  ") && line.split(' ').any(is_name));
        let place = place.unwrap_or_else(|| panic!("{name} is missing"));
        for value in arg.get_possible_values() {
            if !arg.get_action().takes_values() {
                continue;
            }
            let item = format!("- {}: ", value.get_name());
            let is_item = |line: &String| line.trim_start().starts_with(&item);
            assert!(help[place..].iter().any(is_item), "{name}: {item}");
        }
    }
}

#[test]
fn the_long_help_lists_exit_statuses_and_units_and_the_short_one_does_not() {
    let long = Arguments::command().render_long_help().to_string();
    let short = Arguments::command().render_help().to_string();
    for part in ["Exit status:", "DURATION  ", "SIZE  "] {
        assert!(long.contains(part) && !short.contains(part), "{part}");
    }
    assert!(long.contains("Examples:") && short.contains("Examples:"));
}
