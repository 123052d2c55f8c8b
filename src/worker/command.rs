//! What each worker runs: its command line, with the init argument put in.
//!
//! Command lines are made once, before anything runs; a worker keeps its own through all its
//! processes. They are bytes, not text: what is not UTF-8 passes through.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use memchr::memchr;

use super::each::RecordPart;
use super::init::Init;
use crate::exit::Unusable;

/// What one worker runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerCommand {
    /// COMMAND.
    pub program: OsString,
    /// Its arguments.
    pub args: Vec<OsString>,
    /// The worker's whole init argument, for `MTASK_ARG`.
    pub arg: Option<String>,
}

/// What is dealt out to workers in turn.
#[derive(Clone, Copy, Debug, Default)]
pub struct Dealt<'a> {
    /// Init arguments.
    pub inits: &'a [Init],
    /// GPUs.
    pub gpus: &'a [String],
}

/// What one worker is dealt.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hand<'a> {
    worker: usize,
    pub(super) init: Option<&'a Init>,
    gpu: Option<&'a str>,
}

impl<'a> Dealt<'a> {
    pub(super) fn to(self, worker: usize) -> Hand<'a> {
        fn turn<T>(dealt: &[T], worker: usize) -> Option<&T> {
            Some(&dealt[worker.checked_rem(dealt.len())?])
        }
        Hand {
            worker,
            init: turn(self.inits, worker),
            gpu: turn(self.gpus, worker).map(String::as_str),
        }
    }
}

/// The command line of each of `workers`, in the order of their numbers. Where nothing is `dealt`,
/// nothing in `command` is replaced. What `added` gives for a worker's
/// init argument follows as the last words.
///
/// # Errors
/// A placeholder whose key some workers lack, or that could mean two things, or whose value cannot
/// stand in a command line.
///
/// # Panics
/// Where `command` is empty, which the definition of the command line rules out.
pub fn worker_commands(
    command: &[OsString],
    dealt: Dealt<'_>,
    workers: NonZeroUsize,
    added: impl Fn(Option<&Init>, &Placed<'_>) -> Vec<OsString>,
) -> Result<Vec<WorkerCommand>, Unusable> {
    let words = |replaced: Vec<OsString>, added: Vec<OsString>, arg: Option<String>| {
        let mut words = replaced.into_iter().chain(added);
        let program = words.next().expect("COMMAND is required");
        WorkerCommand {
            program,
            args: words.collect(),
            arg,
        }
    };
    if dealt.inits.is_empty() && dealt.gpus.is_empty() {
        let added = added(None, &Placed::default());
        return Ok(vec![words(command.to_vec(), added, None); workers.get()]);
    }
    let find = |name| placeholder(name, dealt);
    let pieces: Vec<Vec<TemplatePart>> = command.iter().map(|word| split(word, &find)).collect();
    let placed = Placed::of(pieces.iter().flatten());
    (0..workers.get())
        .map(|worker| {
            let hand = dealt.to(worker);
            let replaced =
                pieces.iter().map(|word| join(word, hand)).collect::<Result<Vec<_>, _>>()?;
            let added = added(hand.init, &placed);
            Ok(words(
                replaced,
                added,
                hand.init.map(|init| init.text.clone()),
            ))
        })
        .collect()
}

/// What is added to a COMMAND of the user's own: the init argument, where no part of it stands in
/// COMMAND.
pub fn init_unless_placed(init: Option<&Init>, placed: &Placed<'_>) -> Vec<OsString> {
    init.filter(|_| *placed == Placed::default())
        .map(|init| init.text.clone().into())
        .into_iter()
        .collect()
}

/// What stands in COMMAND of init arguments.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placed<'a> {
    /// The whole of them.
    pub is_whole: bool,
    /// Values of these keys.
    pub keys: Vec<&'a str>,
}

impl<'a> Placed<'a> {
    pub(super) fn of(pieces: impl IntoIterator<Item = &'a TemplatePart<'a>>) -> Self {
        let mut placed = Self::default();
        for piece in pieces {
            match piece {
                TemplatePart::Literal(_)
                | TemplatePart::Worker
                | TemplatePart::Gpu
                | TemplatePart::Record(_) => {}
                TemplatePart::Arg => placed.is_whole = true,
                TemplatePart::Key(key) => placed.keys.push(key),
            }
        }
        placed
    }
}

/// A part of a word of COMMAND.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TemplatePart<'a> {
    Literal(&'a [u8]),
    /// `{worker}`
    Worker,
    /// `{gpu}` where GPUs are dealt out.
    Gpu,
    /// `{arg}`
    Arg,
    /// `{KEY}` where at least one worker has the key.
    Key(&'a str),
    /// A part of the record, where a process is started for each.
    Record(RecordPart<'a>),
}

/// Cuts a word at its placeholders. It is cut as it was typed, so a value that is put in is never
/// itself looked at for placeholders.
pub(super) fn split<'a>(
    word: &'a OsStr,
    find: &dyn Fn(&'a str) -> Option<TemplatePart<'a>>,
) -> Vec<TemplatePart<'a>> {
    let mut pieces = Vec::new();
    let mut rest = word.as_bytes();
    let mut searched = 0;
    while let Some(open) = memchr(b'{', &rest[searched..]).map(|found| searched + found) {
        let Some(length) = memchr(b'}', &rest[open..]) else {
            break;
        };
        let name = str::from_utf8(&rest[open + 1..open + length]).ok();
        let Some(piece) = name.and_then(find) else {
            searched = open + 1;
            continue;
        };
        pieces.push(TemplatePart::Literal(&rest[..open]));
        pieces.push(piece);
        rest = &rest[open + length + 1..];
        searched = 0;
    }
    pieces.push(TemplatePart::Literal(rest));
    pieces
}

/// What stands between braces, if it is one of ours.
pub(super) fn placeholder<'a>(name: &'a str, dealt: Dealt<'_>) -> Option<TemplatePart<'a>> {
    match name {
        // An empty key would turn the `{}` of other tools into a placeholder.
        "" => None,
        "worker" => Some(TemplatePart::Worker),
        "gpu" if !dealt.gpus.is_empty() => Some(TemplatePart::Gpu),
        "arg" if !dealt.inits.is_empty() => Some(TemplatePart::Arg),
        key => dealt
            .inits
            .iter()
            .any(|init| init.value(key).is_some())
            .then_some(TemplatePart::Key(key)),
    }
}

fn join(pieces: &[TemplatePart<'_>], hand: Hand<'_>) -> Result<OsString, Unusable> {
    let mut word = Vec::new();
    for piece in pieces {
        word.extend(text(piece, hand)?);
    }
    Ok(OsString::from_vec(word))
}

/// What stands in place of a part that is no record's.
pub(super) fn text(piece: &TemplatePart<'_>, hand: Hand<'_>) -> Result<Vec<u8>, Unusable> {
    Ok(match piece {
        TemplatePart::Literal(bytes) => bytes.to_vec(),
        TemplatePart::Worker => {
            refuse_ambiguous("worker", "the worker's number", hand)?;
            hand.worker.to_string().into()
        }
        TemplatePart::Gpu => {
            refuse_ambiguous("gpu", "the worker's GPU", hand)?;
            hand.gpu.unwrap_or_default().into()
        }
        TemplatePart::Arg => {
            refuse_ambiguous("arg", "the whole init argument", hand)?;
            hand.init.map(|init| init.text.clone()).unwrap_or_default().into()
        }
        TemplatePart::Key(key) => value(key, hand)?.into(),
        TemplatePart::Record(_) => unreachable!("it is put in when the record is known"),
    })
}

fn refuse_ambiguous(name: &str, meaning: &str, hand: Hand<'_>) -> Result<(), Unusable> {
    if hand.init.and_then(|init| init.value(name)).is_none() {
        return Ok(());
    }
    Err(Unusable::usage(format!(
        "{{{name}}} in COMMAND is {meaning}, but --worker-arg or --shared-arg has a key `{name}` \
         too: name the key otherwise"
    )))
}

fn value<'a>(key: &str, hand: Hand<'a>) -> Result<&'a str, Unusable> {
    let worker = hand.worker;
    let Some(value) = hand.init.and_then(|init| init.value(key)) else {
        return Err(Unusable::usage(format!(
            "{{{key}}} in COMMAND: worker {worker} has no key `{key}`: give it in each \
             --worker-arg, or to all with --shared-arg {key}=VALUE"
        )));
    };
    if value.contains('\0') {
        return Err(Unusable::usage(format!(
            "{{{key}}} in COMMAND: the value for worker {worker} holds a NUL, which no command \
             line can: let the worker read it from MTASK_ARG"
        )));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::super::init::{SharedArg, inits};
    use super::*;

    /// Each worker's command line, its words joined with `|`.
    fn lines(
        workers: usize,
        worker_args: &[&str],
        shared: &[&str],
        command: &[&str],
    ) -> Result<Vec<String>, String> {
        let worker_args: Vec<String> = worker_args.iter().map(ToString::to_string).collect();
        let shared: Vec<SharedArg> = shared.iter().map(|s| SharedArg::parse(s).unwrap()).collect();
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        let workers = NonZeroUsize::new(workers).unwrap();
        inits(&worker_args, &shared)
            .and_then(|inits| {
                let dealt = Dealt {
                    inits: &inits,
                    gpus: &[],
                };
                worker_commands(&command, dealt, workers, init_unless_placed)
            })
            .map_err(|unusable| unusable.message)
            .map(|commands| commands.iter().map(line).collect())
    }

    fn line(command: &WorkerCommand) -> String {
        let mut words = vec![command.program.to_str().unwrap()];
        words.extend(command.args.iter().map(|arg| arg.to_str().unwrap()));
        words.join("|")
    }

    #[test]
    fn without_init_arguments_nothing_is_replaced_or_added() {
        let got = lines(2, &[], &[], &["cat", "{worker}", "{arg}", "{}"]).unwrap();
        assert_eq!(got, ["cat|{worker}|{arg}|{}"; 2]);
    }

    #[test]
    fn arguments_are_dealt_out_in_turn() {
        let got = lines(4, &["gpu=a", "gpu=b"], &[], &["w{worker}", "{gpu}"]).unwrap();
        assert_eq!(got, ["w0|a", "w1|b", "w2|a", "w3|b"]);
    }

    #[test]
    fn placeholders_stand_anywhere_in_a_word_and_other_braces_are_left_alone() {
        let got = lines(1, &["k=v"], &[], &["x", "a{k}{{k}}b{other}{", "{}", "{k"]).unwrap();
        assert_eq!(got, ["x|av{v}b{other}{|{}|{k"]);
    }

    #[test]
    fn a_value_that_was_put_in_is_not_scanned_again() {
        let got = lines(1, &[r#"{"a":"{b}","b":"{arg}"}"#], &[], &["x", "{a}{b}"]).unwrap();
        assert_eq!(got, ["x|{b}{arg}"]);
    }

    #[test]
    fn the_whole_argument_is_put_in_as_it_was_typed() {
        assert_eq!(lines(1, &["k=v"], &[], &["x", "{arg}"]).unwrap(), ["x|k=v"]);
        assert_eq!(
            lines(1, &["pl{ain}"], &[], &["x", "<{arg}>"]).unwrap(),
            ["x|<pl{ain}>"]
        );
    }

    #[test]
    fn where_nothing_but_the_workers_number_occurs_the_argument_is_added() {
        let got = lines(2, &["k=v"], &[], &["x", "{worker}"]).unwrap();
        assert_eq!(got, ["x|0|k=v", "x|1|k=v"]);
    }

    #[test]
    fn with_shared_keys_the_argument_is_one_object() {
        let got = lines(1, &["k=v"], &["s=1"], &["x"]).unwrap();
        assert_eq!(got, [r#"x|{"k":"v","s":"1"}"#]);
        assert_eq!(lines(1, &[], &["s=1"], &["x", "{s}"]).unwrap(), ["x|1"]);
    }

    #[test]
    fn a_key_that_some_workers_lack_is_refused_only_where_it_is_used() {
        let message = lines(2, &["a=1", "b=2"], &[], &["x", "{a}"]).unwrap_err();
        assert!(
            message.contains("worker 1") && message.contains("`a`"),
            "{message}"
        );
        assert!(lines(2, &["a=1", "plain"], &[], &["x", "{a}"]).is_err());
        assert!(lines(2, &["a=1", "b=2"], &[], &["x", "{arg}"]).is_ok());
        assert!(lines(2, &["a=1", "b=2"], &["a=3"], &["x", "{a}"]).is_ok());
    }

    #[test]
    fn a_key_with_a_name_of_ours_is_refused_where_it_could_be_meant() {
        assert!(lines(1, &["worker=x"], &[], &["x", "{worker}"]).is_err());
        assert!(lines(1, &["arg=x"], &[], &["x", "{arg}"]).is_err());
        assert_eq!(
            lines(1, &["worker=x"], &[], &["x"]).unwrap(),
            ["x|worker=x"]
        );
    }

    #[test]
    fn a_value_with_a_nul_cannot_be_put_in() {
        assert!(lines(1, &[r#"{"a":"\u0000"}"#], &[], &["x", "{a}"]).is_err());
        assert!(lines(1, &[r#"{"a":"\u0000"}"#], &[], &["x", "{arg}"]).is_ok());
    }

    #[test]
    fn gpus_are_dealt_out_beside_init_arguments() {
        let gpus = ["0".to_owned(), "MIG-x".to_owned()];
        let lines = |inits: &[Init]| {
            let dealt = Dealt { inits, gpus: &gpus };
            let command = ["x{gpu}", "{worker}", "{arg}"].map(OsString::from);
            let workers = NonZeroUsize::new(4).unwrap();
            let made = worker_commands(&command, dealt, workers, init_unless_placed)?;
            let words = |it: &WorkerCommand| (it.program.clone(), it.args.clone(), it.arg.clone());
            Ok::<_, Unusable>((words(&made[1]), words(&made[2])))
        };
        let alone =
            |gpu: &str, worker: &str| (gpu.into(), vec![worker.into(), "{arg}".into()], None);
        assert_eq!(
            lines(&[]).unwrap(),
            (alone("xMIG-x", "1"), alone("x0", "2"))
        );
        let init = Init::parse("k=v").unwrap();
        let (_, (program, args, arg)) = lines(&[init]).unwrap();
        assert_eq!((program, arg.as_deref()), ("x0".into(), Some("k=v")));
        assert_eq!(args, ["2", "k=v"]);
        let refusal = lines(&[Init::parse("gpu=7").unwrap()]).unwrap_err();
        assert!(refusal.message.contains("{gpu}"), "{refusal}");
    }

    #[test]
    fn words_that_are_not_utf8_survive() {
        let command = [
            OsString::from("x"),
            OsString::from_vec(b"\xff{k}\xfe{\xff}".to_vec()),
        ];
        let dealt = Dealt {
            inits: &[Init::parse("k=v").unwrap()],
            gpus: &[],
        };
        let made = worker_commands(&command, dealt, NonZeroUsize::MIN, init_unless_placed).unwrap();
        assert_eq!(
            made[0].args,
            [OsString::from_vec(b"\xffv\xfe{\xff}".to_vec())]
        );
    }
}
