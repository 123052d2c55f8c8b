use std::ffi::OsString;
use std::num::NonZeroUsize;
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use mtask::worker::command::{Dealt, init_unless_placed, worker_commands};
use mtask::worker::init::{SharedArg, inits};

/// Reads the bytes as init arguments and a command line, set apart by NUL.
pub(crate) fn placeholders(mut data: &[u8]) {
    let flags = super::take(&mut data);
    let (own, shared) = (flags % 3, flags / 3 % 3);
    let workers = NonZeroUsize::new(flags / 9 % 5 + 1).expect("at least 1");
    let mut words = data.split(|byte| *byte == 0);
    let mut texts = |count: usize| -> Vec<String> {
        let words = words.by_ref().take(count);
        words.map(|word| String::from_utf8_lossy(word).into_owned()).collect()
    };
    let worker_args = texts(own);
    let shared: Vec<SharedArg> =
        (texts(shared).iter()).filter_map(|text| SharedArg::parse(text).ok()).collect();
    let mut command: Vec<OsString> = words.map(|word| OsString::from_vec(word.into())).collect();
    if command.is_empty() {
        command.push("cat".into());
    }
    let Ok(inits) = inits(&worker_args, &shared) else {
        return;
    };
    if shared.is_empty() {
        let texts: Vec<_> = inits.iter().map(|init| &init.text).collect();
        assert_eq!(
            texts,
            worker_args.iter().collect::<Vec<_>>(),
            "an INIT is kept as it is"
        );
    } else {
        let is_object = |text: &str| serde_json::from_str::<serde_json::Map<_, _>>(text).is_ok();
        assert!(inits.iter().all(|init| is_object(&init.text)), "{inits:?}");
    }
    let dealt = Dealt {
        inits: &inits,
        gpus: &[],
    };
    let Ok(commands) = worker_commands(&command, dealt, workers, init_unless_placed) else {
        return;
    };
    assert_eq!(commands.len(), workers.get());
    for (number, made) in commands.iter().enumerate() {
        let mut line = vec![made.program.clone()];
        line.extend(made.args.clone());
        if inits.is_empty() {
            assert_eq!(
                (line, &made.arg),
                (command.clone(), &None),
                "nothing is replaced"
            );
            continue;
        }
        let init = &inits[number % inits.len()];
        assert_eq!(made.arg.as_ref(), Some(&init.text));
        let is_added = line.len() == command.len() + 1;
        assert!(is_added || line.len() == command.len());
        if is_added {
            assert_eq!(
                line.last().map(|word| word.as_bytes()),
                Some(init.text.as_bytes())
            );
        }
        for (word, typed) in line.iter().zip(&command) {
            let (bytes, typed) = (word.as_bytes(), typed.as_bytes());
            let expected = replace(typed, &|key| match key {
                "worker" => Some(number.to_string()),
                "arg" => Some(init.text.clone()),
                "" => None,
                key => init.value(key).map(ToOwned::to_owned),
            });
            assert_eq!(bytes, expected);
        }
    }
}

/// A simple model: from left to right, braces around a known name.
fn replace(word: &[u8], value: &dyn Fn(&str) -> Option<String>) -> Vec<u8> {
    let Some(open) = word.iter().position(|byte| *byte == b'{') else {
        return word.to_vec();
    };
    let (before, behind) = (&word[..open], &word[open + 1..]);
    let name = behind.split(|byte| *byte == b'}').next().unwrap_or_default();
    let is_closed = behind.len() > name.len();
    let known = str::from_utf8(name).ok().filter(|_| is_closed).and_then(value);
    match known {
        Some(known) => {
            let rest = replace(&behind[name.len() + 1..], value);
            [before, known.as_bytes(), &rest].concat()
        }
        None => [before, b"{", &replace(behind, value)].concat(),
    }
}
