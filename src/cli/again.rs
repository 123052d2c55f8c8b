//! A command line, with some of its options left out.

use std::ffi::{OsStr, OsString};

use clap::{Arg, CommandFactory};

use super::Arguments;

/// The words of a command line behind the program's name, without the options of these names, given
/// without their hyphens, and what they are given.
pub fn without(words: impl IntoIterator<Item = OsString>, names: &[&str]) -> Vec<OsString> {
    let command = Arguments::command();
    let mut kept = Vec::new();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let text = word.to_string_lossy().into_owned();
        let Some(option) = text.strip_prefix('-').filter(|rest| !rest.is_empty() && *rest != "-")
        else {
            // What follows is COMMAND's own.
            kept.push(word);
            kept.extend(words);
            return kept;
        };
        let (arg, has_value) = match option.strip_prefix('-') {
            Some(long) => {
                let (name, value) =
                    long.split_once('=').map_or((long, None), |(name, value)| (name, Some(value)));
                (
                    command.get_arguments().find(|arg| arg.get_long() == Some(name)),
                    value.is_some(),
                )
            }
            None => short(&command, option),
        };
        let takes_next = !has_value && arg.is_some_and(|arg| arg.get_action().takes_values());
        let is_dropped = arg.is_some_and(|arg| names.contains(&arg.get_long().unwrap_or_default()));
        let value = takes_next.then(|| words.next()).flatten();
        if !is_dropped {
            kept.push(word);
            kept.extend(value);
        }
    }
    kept
}

/// The first option of a cluster that takes a value, else its last one; and whether the value is in it.
fn short<'a>(command: &'a clap::Command, cluster: &str) -> (Option<&'a Arg>, bool) {
    let mut last = None;
    for (at, letter) in cluster.char_indices() {
        let is_it = |arg: &&Arg| {
            arg.get_short() == Some(letter)
                || arg.get_all_short_aliases().is_some_and(|all| all.contains(&letter))
        };
        last = command.get_arguments().find(is_it);
        if last.is_some_and(|arg| arg.get_action().takes_values()) {
            return (last, at + letter.len_utf8() < cluster.len());
        }
    }
    (last, false)
}

/// Words as a shell reads them.
pub fn quoted(words: &[impl AsRef<OsStr>]) -> String {
    let quote = |word: &OsStr| {
        let text = word.to_string_lossy().into_owned();
        shlex::try_quote(&text).map_or(text.clone(), std::borrow::Cow::into_owned)
    };
    words.iter().map(|word| quote(word.as_ref())).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_left_out_with_their_values_and_the_command_is_not_looked_at() {
        let left = |words: &str| {
            let words = words.split(' ').map(OsString::from);
            quoted(&without(words, &["input", "output", "errors", "stats"]))
        };
        assert_eq!(
            left("-j4 -i in --output=o --errors e ./w -i x"),
            "-j4 ./w -i x"
        );
        assert_eq!(left("-uo out -j 4 --stats -- cat -o"), "-j 4 -- cat -o");
        assert_eq!(left("--worker-arg a=1 -a in cat"), "--worker-arg 'a=1' cat");
    }
}
