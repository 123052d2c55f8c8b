//! `--python`: a Python function or class as a worker.
//!
//! An adapter, which is part of mtask, is run by the user's interpreter as `python3 -c`, so that
//! there is nothing to install and nothing to find, inside a container or on another machine
//! either. It speaks the json protocol; `docs/python.md` says what it does with results, errors and
//! everything else that Python has.

use std::ffi::{OsStr, OsString};
use std::num::NonZeroUsize;
use std::path::Path;

use clap::ValueEnum;

use super::command::{Dealt, Placed, WorkerCommand, worker_commands};
use super::init::{Init, json_string};
use crate::exit::{Status, Unusable};
use crate::visible;

/// What the interpreter is told to run: the beginning of the adapter, which says how the rest
/// follows.
const ADAPTER: &str = include_str!("python/adapter/start.py");

/// A module as the adapter finds it among others.
macro_rules! module {
    ($name:literal, $file:literal) => {
        concat!("\x0c", $name, "\n", include_str!($file))
    };
}

/// The rest of the adapter, and the module `mtask` for an interpreter that has it not installed. It
/// may not be longer than a word of a command line (128 KiB on Linux).
const MODULES: &str = concat!(
    module!("_mtask", "python/adapter/__init__.py"),
    module!("_mtask.answers", "python/adapter/answers.py"),
    module!("_mtask.batches", "python/adapter/batches.py"),
    module!("_mtask.calls", "python/adapter/calls.py"),
    module!("_mtask.channel", "python/adapter/channel.py"),
    module!("_mtask.errors", "python/adapter/errors.py"),
    module!("_mtask.expression", "python/adapter/expression.py"),
    module!("_mtask.library", "python/adapter/library.py"),
    module!("_mtask.main", "python/adapter/main.py"),
    module!("_mtask.refusals", "python/adapter/refusals.py"),
    module!("_mtask.tasks", "python/adapter/tasks.py"),
    module!("_mtask.threads", "python/adapter/threads.py"),
    module!("_mtask.worker", "python/adapter/worker.py"),
    module!("mtask", "../../python/mtask/__init__.py"),
);

/// What starts the interpreter where no COMMAND is given.
const INTERPRETER: &str = "python3";

/// What `--python` and the options that go with it ask for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PythonWorker {
    /// What is called.
    pub callable: Callable,
    /// How a record is passed.
    pub argument_type: ArgumentType,
    /// How calls follow each other.
    pub calls: Calls,
}

/// How calls follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calls {
    /// One after another, with one record each.
    OneByOne,
    /// The same, with up to so many records each (`--batch`).
    Batches(NonZeroUsize),
    /// Up to so many at a time, with one record each (`--concurrency`).
    Overlapping(NonZeroUsize),
}

/// A function or class, `FILE.py:NAME` or `package.module:NAME`; or an expression, `lambda x: …`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Callable {
    /// As it was typed.
    text: String,
    /// Where the name's colon stands; an expression has none.
    colon: Option<usize>,
}

/// How a record is passed (`--argument-type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ArgumentType {
    /// As the one argument
    Single,
    /// A list of positional arguments
    Args,
    /// An object of keyword arguments
    Kwargs,
}

impl PythonWorker {
    /// The command line of each of `workers`: `command`, or `python3` without one, and the adapter.
    ///
    /// # Errors
    /// Those of [`worker_commands`].
    pub fn commands(
        &self,
        command: &[OsString],
        dealt: Dealt<'_>,
        workers: NonZeroUsize,
    ) -> Result<Vec<WorkerCommand>, Unusable> {
        let python = [OsString::from(INTERPRETER)];
        let command = if command.is_empty() { &python } else { command };
        worker_commands(command, dealt, workers, |init, placed| {
            let task = self.task(init, placed).into();
            vec!["-c".into(), ADAPTER.into(), task, MODULES.into()]
        })
    }

    /// What the adapter is to do, as JSON; the adapter's first lines explain it.
    fn task(&self, init: Option<&Init>, placed: &Placed<'_>) -> String {
        let (args, kwargs) = init.map_or_else(|| ("[]".into(), "{}".into()), Init::call);
        let mut used: Vec<&str> = placed.keys.clone();
        if placed.is_whole {
            used.push("arg");
            used.extend(init.into_iter().flat_map(Init::keys));
        }
        let used: Vec<String> = used.into_iter().map(json_string).collect();
        // Python decodes a command line as the locale has it: what names a file it encodes again in
        // the same way, and all else is to be the same in every locale.
        let callable = match self.callable.parts() {
            Some((place, name)) => {
                let place = json_string(place);
                let name = ascii(&json_string(name)[1..]);
                format!(r#""callable":{}:{name}"#, &place[..place.len() - 1])
            }
            None => format!(
                r#""expression":{}"#,
                ascii(&json_string(&self.callable.text))
            ),
        };
        let (batch, concurrency) = match self.calls {
            Calls::OneByOne => (None, None),
            Calls::Batches(most) => (Some(most), None),
            Calls::Overlapping(most) => (None, Some(most)),
        };
        let number = |number: Option<NonZeroUsize>| {
            number.map_or_else(|| "null".to_owned(), |number| number.to_string())
        };
        format!(
            r#"{{{callable},"args":{},"kwargs":{},"placed":[{}],"argument_type":"{}","batch":{},"concurrency":{}}}"#,
            ascii(&args),
            ascii(&kwargs),
            ascii(&used.join(",")),
            match self.argument_type {
                ArgumentType::Single => "single",
                ArgumentType::Args => "args",
                ArgumentType::Kwargs => "kwargs",
            },
            number(batch),
            number(concurrency),
        )
    }
}

impl Callable {
    /// As it was typed.
    pub fn typed(&self) -> &str {
        &self.text
    }

    /// Reads what `--python` was given; the error is a fragment that says what is expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        const EXPECTED: &str =
            "expected FILE.py:NAME, package.module:NAME or an expression, lambda x: …";
        if is_expression(text) {
            return Ok(Self {
                text: text.trim().into(),
                colon: None,
            });
        }
        let colon =
            text.rfind(':').filter(|colon| is_dotted_name(&text[colon + 1..])).ok_or(EXPECTED)?;
        let callable = Self {
            text: text.into(),
            colon: Some(colon),
        };
        let (place, _) = callable.parts().expect("it has a colon");
        if place.is_empty() {
            return Err(EXPECTED.into());
        }
        if callable.file().is_none() && !is_dotted_name(place) {
            return Err(format!(
                "{place} is no module: for a file write {place}.py, or ./{place} if it has no suffix"
            ));
        }
        Ok(callable)
    }

    /// Where it is, and its name there, if it has one.
    fn parts(&self) -> Option<(&str, &str)> {
        let colon = self.colon?;
        Some((&self.text[..colon], &self.text[colon + 1..]))
    }

    /// The file it is in, if it is not named by its module.
    fn file(&self) -> Option<&Path> {
        let (place, _) = self.parts()?;
        let is_file = place.ends_with(".py") || place.contains('/');
        is_file.then(|| place.as_ref())
    }

    /// Finds the file, if it is named.
    ///
    /// # Errors
    /// 127, as for a COMMAND that is not found.
    pub fn look_up(&self) -> Result<(), Unusable> {
        match self.file() {
            Some(file) if !file.is_file() => Err(Unusable::new(
                Status::NotFound,
                format!(
                    "--python {}: there is no file {}",
                    self.text,
                    visible::name(file)
                ),
            )),
            _ => Ok(()),
        }
    }
}

/// Whether a word of a command line is the adapter, or a part of it, which is of no interest to people.
pub fn is_adapter(word: &OsStr) -> bool {
    word == ADAPTER || word == MODULES
}

/// The same JSON in ASCII: only in its strings can there be anything else.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for c in json.chars() {
        if c.is_ascii() {
            text.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            text.push_str(&format!("\\u{unit:04x}"));
        }
    }
    text
}

/// Whether this is Python's `lambda`, and no name.
fn is_expression(text: &str) -> bool {
    let rest = text.trim_start().strip_prefix("lambda");
    rest.is_some_and(|rest| rest.starts_with(|c: char| c.is_whitespace() || matches!(c, ':' | '*')))
        && !is_dotted_name(text.trim_start_matches("lambda:"))
}

fn is_dotted_name(text: &str) -> bool {
    // Python allows more letters than can be told here.
    let is_letter = |c: char| c.is_alphanumeric() || c == '_' || !c.is_ascii();
    text.split('.')
        .all(|name| name.chars().all(is_letter) && name.starts_with(|c: char| !c.is_ascii_digit()))
}

/// Whether `command` surely starts an interpreter that sees the files that mtask does, and not one
/// in a container or on another machine.
pub fn is_run_here(command: &[OsString]) -> bool {
    let name = |word: &OsString| Path::new(word).file_name().map(OsStr::to_os_string);
    let mut words = command.iter().peekable();
    if words.peek().and_then(|word| name(word)) == Some("env".into()) {
        words.next();
        while words.next_if(|word| word.as_encoded_bytes().contains(&b'=')).is_some() {}
    }
    words.next().is_none_or(|word| {
        name(word).is_some_and(|name| name.as_encoded_bytes().starts_with(b"python"))
    })
}

#[cfg(test)]
mod tests {
    use super::super::init::inits;
    use super::*;

    fn dealt(inits: &[Init]) -> Dealt<'_> {
        Dealt { inits, gpus: &[] }
    }

    fn worker(callable: &str) -> PythonWorker {
        PythonWorker {
            callable: Callable::parse(callable).unwrap(),
            argument_type: ArgumentType::Single,
            calls: Calls::OneByOne,
        }
    }

    fn task(command: &[&str], init: &str) -> String {
        let command: Vec<OsString> = command.iter().map(OsString::from).collect();
        let inits = inits(&[init.to_owned()], &[]).unwrap();
        let made = worker("a.py:f").commands(&command, dealt(&inits), NonZeroUsize::MIN);
        let made = made.unwrap().remove(0);
        made.args[made.args.len() - 2].to_str().unwrap().to_owned()
    }

    #[test]
    fn a_callable_is_a_file_or_a_module_and_a_name_in_it() {
        for (text, file) in [
            ("embed.py:Embedder", Some("embed.py")),
            ("a:b/my-worker.py:f", Some("a:b/my-worker.py")),
            ("./tool:Class.method", Some("./tool")),
            ("package.module:f", None),
            ("größe:f", None),
            ("lambda:f", None),
            ("lambda s: s.upper()", None),
            (" lambda: 0", None),
            ("lambda *a: a", None),
        ] {
            assert_eq!(
                Callable::parse(text).unwrap().file(),
                file.map(Path::new),
                "{text}"
            );
        }
        for text in [
            "embed.py", ":f", "a.py:", "a.py:f()", "a.py:1f", "", "a:b c", "a..b:f", "a:.f",
        ] {
            assert!(Callable::parse(text).is_err(), "{text}");
        }
        assert!(Callable::parse("my-worker:f").unwrap_err().contains("my-worker.py"));
    }

    #[test]
    fn python3_runs_the_adapter_unless_a_command_is_given() {
        let workers = NonZeroUsize::new(2).unwrap();
        let made = worker("a.py:f").commands(&[], Dealt::default(), workers).unwrap();
        assert_eq!((made.len(), made[0].program.to_str()), (2, Some("python3")));
        assert_eq!(made[0].args[..2], ["-c".into(), OsString::from(ADAPTER)]);
        assert_eq!(made[0].args[3..], [OsString::from(MODULES)]);
        assert_eq!(
            made[0].args[2],
            r#"{"callable":"a.py:f","args":[],"kwargs":{},"placed":[],"argument_type":"single","batch":null,"concurrency":null}"#
        );
        let made = worker("a.py:f").commands(
            &["env".into(), "python3.9".into()],
            Dealt::default(),
            workers,
        );
        assert_eq!(made.unwrap()[1].program, "env");
    }

    #[test]
    fn the_adapter_is_told_the_init_argument_and_what_of_it_stands_in_the_command() {
        let task = |command: &[&str], init| -> serde_json::Value {
            serde_json::from_str(&task(command, init)).unwrap()
        };
        let made = task(&["env", "GPU={gpu}", "python3"], r#"{"gpu":0,"x":"{gpu}"}"#);
        assert_eq!(made["kwargs"], serde_json::json!({"gpu": 0, "x": "{gpu}"}));
        assert_eq!(made["placed"], serde_json::json!(["gpu"]));
        let made = task(&["python3"], "plain text");
        assert_eq!(made["args"], serde_json::json!(["plain text"]));
        let made = task(&["env", "ARG={arg}", "python3"], "gpu=0");
        assert_eq!(made["placed"], serde_json::json!(["arg", "gpu"]));
    }

    #[test]
    fn what_is_no_path_is_handed_over_in_ascii() {
        let inits = inits(&["größe=👍\u{7f}".to_owned()], &[]).unwrap();
        let made = worker("größe/é.py:Größe").task(inits.first(), &Placed::default());
        assert!(
            made.contains(r#""callable":"größe/é.py:Gr\u00f6\u00dfe","#),
            "{made}"
        );
        assert_eq!(made.matches(|c: char| !c.is_ascii()).count(), 3, "{made}");
        let inits =
            super::super::init::inits(&[r#"{"größe":"👍 \u00fc\\"}"#.to_owned()], &[]).unwrap();
        let made = worker("a.py:C").task(inits.first(), &Placed::default());
        assert!(made.is_ascii(), "{made}");
        let made: serde_json::Value = serde_json::from_str(&made).unwrap();
        assert_eq!(made["kwargs"], serde_json::json!({"größe": "👍 ü\\"}));
    }

    #[test]
    fn the_file_is_looked_for_only_where_the_interpreter_surely_sees_the_same_files() {
        let is_run_here = |words: &str| {
            let words: Vec<OsString> = words.split_whitespace().map(OsString::from).collect();
            is_run_here(&words)
        };
        for words in [
            "",
            "python3",
            "/opt/bin/python3.12 -O",
            "env A=1 B=2 python",
            "env",
        ] {
            assert!(is_run_here(words), "{words}");
        }
        for words in [
            "apptainer exec x.sif python3",
            "env A=1 ssh host python3",
            "docker run x",
        ] {
            assert!(!is_run_here(words), "{words}");
        }
    }
}
