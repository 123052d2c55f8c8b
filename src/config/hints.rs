//! What is likely to be a mistake in what was typed, though it can be run.

use std::ffi::OsString;

use memchr::memchr;

use crate::cli::Arguments;
use crate::schedule::policy::OnError;
use crate::worker::init::Init;

/// What xargs and GNU parallel put a record in place of, or a part of it.
const REPLACED_BY_OTHERS: [&str; 7] = ["", ".", "/", "//", "/.", "#", "%"];

/// What is between the arguments that other tools take for records.
const LISTS_OF_OTHERS: [&str; 4] = [":::", ":::+", "::::", "::::+"];

/// A message for each mistake.
pub(super) fn hints(arguments: &Arguments, inits: &[Init]) -> Vec<String> {
    let mut hints = match arguments.workers.each {
        Some(_) => Vec::new(),
        None => placeholders(&arguments.command, inits),
    };
    let list = arguments.command.iter().find_map(|word| {
        let word = word.to_str()?;
        LISTS_OF_OTHERS.contains(&word).then_some(word)
    });
    hints.extend(list.map(|list| {
        format!(
            "{list} in COMMAND is left as it is: records are lines of stdin or of --input FILE, \
             as of printf '%s\\n' a b c | mtask ..."
        )
    }));
    hints.extend(inits.iter().filter(|init| init.is_broken_object()).map(|init| {
        format!(
            "--worker-arg {} is taken as plain text: it is not a JSON object, whose keys stand in \
             double quotes",
            init.text
        )
    }));
    if arguments.failures.at_most_once && arguments.failures.retries > 0 {
        hints.push(
            "--retries has no effect with --at-most-once, which sends no record twice".into(),
        );
    }
    if arguments.failures.retry_delay.is_some() && arguments.failures.retries == 0 {
        hints.push("--retry-delay has no effect without --retries N".into());
    }
    let ending = match arguments.failures.on_error {
        OnError::Defer | OnError::Ignore => None,
        OnError::Raise => Some("raise"),
        OnError::Drain => Some("drain"),
    };
    if let (Some(_), Some(action)) = (arguments.failures.max_errors, ending) {
        hints.push(format!(
            "--max-errors has no effect with --on-error {action}: the first failure is the last"
        ));
    }
    hints
}

/// What looks like a placeholder and is none.
fn placeholders(command: &[OsString], inits: &[Init]) -> Vec<String> {
    let mut hints: Vec<String> = Vec::new();
    for word in command {
        let word = word.as_encoded_bytes();
        let names = in_braces(word).filter_map(|name| str::from_utf8(name).ok());
        for name in names {
            let is_all = word.len() == name.len() + 2;
            let Some(reason) = left(name, is_all, inits) else {
                continue;
            };
            let hint = format!("{{{name}}} in COMMAND is left as it is{reason}");
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
    }
    hints
}

/// Why `{name}` is left as it is, where another was likely to be expected. `is_all` tells that
/// nothing else is in its word.
fn left(name: &str, is_all: bool, inits: &[Init]) -> Option<String> {
    let is_number = is_all && !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    if is_number || REPLACED_BY_OTHERS.contains(&name) {
        return Some(format!(
            ": records come on stdin, not in place of {{{name}}}; --each starts COMMAND for each of them"
        ));
    }
    if inits.is_empty() {
        let without = ", for there is no --worker-arg or --shared-arg";
        return match name {
            "worker" => Some(format!(
                "{without}: a process finds its worker's number in MTASK_WORKER"
            )),
            "arg" => Some(without.into()),
            _ => None,
        };
    }
    let keys = || inits.iter().flat_map(Init::keys).chain(["worker", "arg"]);
    if keys().any(|key| key == name) {
        return None;
    }
    let meant = keys().find(|key| is_misspelt(name, key))?;
    Some(format!(": is {{{meant}}} meant?"))
}

/// What stands between braces, without braces in it.
fn in_braces(word: &[u8]) -> impl Iterator<Item = &[u8]> {
    word.split(|byte| *byte == b'{')
        .skip(1)
        .filter_map(|rest| Some(&rest[..memchr(b'}', rest)?]))
}

/// Whether it differs in capitals, or in a letter too many, too few, wrong or in the wrong place.
fn is_misspelt(name: &str, key: &str) -> bool {
    let [one, other] = [name, key].map(|text| text.to_lowercase().into_bytes());
    if one == other {
        return true;
    }
    let start = one.iter().zip(&other).take_while(|(a, b)| a == b).count();
    let (one, other) = (&one[start..], &other[start..]);
    let end = one.iter().rev().zip(other.iter().rev()).take_while(|(a, b)| a == b).count();
    match (&one[..one.len() - end], &other[..other.len() - end]) {
        ([_], []) | ([], [_]) | ([_], [_]) => key.len() > 2,
        ([a, b], [c, d]) => (a, b) == (d, c),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hints_of(words: &[&str], inits: &[&str]) -> Vec<String> {
        let words: Vec<OsString> = words.iter().map(OsString::from).collect();
        let inits: Vec<Init> = inits.iter().map(|text| Init::parse(text).unwrap()).collect();
        placeholders(&words, &inits)
    }

    #[test]
    fn what_other_tools_replace_is_told_once() {
        for word in ["{}", "{.}", "x{/}", "{#}", "{1}"] {
            let hints = hints_of(&["convert", word, word], &[]);
            assert!(
                matches!(&hints[..], [hint] if hint.contains("records come on stdin")),
                "{word}"
            );
        }
        for word in ["{print}", "a{1}", "{ print }", "{", "{a", "}{"] {
            assert_eq!(hints_of(&["awk", word], &[]), [""; 0], "{word}");
        }
    }

    #[test]
    fn placeholders_of_ours_need_an_init_argument() {
        let hints = hints_of(&["x", "{worker}", "{arg}"], &[]);
        assert!(hints[0].starts_with("{worker} in COMMAND is left as it is, for there is no"));
        assert!(hints[0].contains("MTASK_WORKER") && hints[1].contains("{arg}"));
        assert_eq!(hints_of(&["x", "{worker}", "{arg}"], &["a=1"]), [""; 0]);
    }

    #[test]
    fn a_misspelt_key_is_told_with_what_is_meant() {
        for (word, meant) in [
            ("{GPU}", Some("{gpu}")),
            ("--gpu={gup}", Some("{gpu}")),
            ("{gpus}", Some("{gpu}")),
            ("{gp}", Some("{gpu}")),
            ("{Worker}", Some("{worker}")),
            ("{workers}", Some("{worker}")),
            ("{print}", None),
            ("{gpu}", None),
            ("{y}", None),
        ] {
            let hints = hints_of(&["x", word], &["gpu=0", r#"{"x":1}"#]);
            match meant {
                Some(meant) => assert!(hints[0].ends_with(&format!("is {meant} meant?")), "{word}"),
                None => assert_eq!(hints, [""; 0], "{word}"),
            }
        }
    }
}
