//! Which COMMAND it was that was ready: a hash of its words and of the script among them.
//!
//! To mend a worker and go on with the same words is what `--resume` is for, and what is mended may
//! be broken anew. So the script counts, as far as it can be told which file that is.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::hash::Hasher;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use twox_hash::XxHash3_64;

/// So much of a file is looked at, beside its length: scripts are shorter.
const LOOKED_AT: u64 = 1 << 20;

/// A hash of what these words run.
pub(super) fn hash(words: &[OsString]) -> u64 {
    let mut hash = XxHash3_64::new();
    for word in words {
        hash.write(word.as_bytes());
        hash.write(&[0]);
    }
    if let Some((length, head)) = script(words) {
        hash.write_u64(length);
        hash.write(&head);
    }
    hash.finish()
}

/// The length and the beginning of the script that is run: the program, where that is text, or else
/// the first file that is named behind it, subcommands and short options between them. A long
/// option may have a value, which is no script.
fn script(words: &[OsString]) -> Option<(u64, Vec<u8>)> {
    let mut words = words.iter();
    let program = words.next()?;
    if program == "--python" {
        // FILE.py:NAME
        let callable = words.next()?.as_bytes();
        let colon = callable.iter().rposition(|byte| *byte == b':')?;
        return look_at(OsStr::from_bytes(&callable[..colon]));
    }
    let program = look_at(program);
    if program.as_ref().is_some_and(|(_, head)| !head.contains(&0)) {
        return program;
    }
    words
        .take_while(|word| !word.as_bytes().starts_with(b"--"))
        .filter(|word| !word.as_bytes().starts_with(b"-"))
        .find_map(|word| look_at(word))
}

fn look_at(file: &OsStr) -> Option<(u64, Vec<u8>)> {
    let metadata = fs::metadata(Path::new(file)).ok()?;
    // Whatever else it is, to open it might take for ever.
    metadata.is_file().then_some(())?;
    let mut head = Vec::new();
    let file = File::open(file).ok()?;
    file.take(LOOKED_AT).read_to_end(&mut head).ok()?;
    Some((metadata.len(), head))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_and_the_script_count_and_other_files_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).into_os_string();
        let (binary, script, other) = (path("binary"), path("w.sh"), path("other"));
        fs::write(&binary, b"\x7fELF\0").unwrap();
        let mut python = script.clone();
        python.push(":f");
        let word = OsString::from;
        for (words, counts) in [
            (
                vec![word("sh"), word("-e"), script.clone(), other.clone()],
                [true, false],
            ),
            (
                vec![word("env"), word("A=1"), word("sh"), script.clone()],
                [true, false],
            ),
            (vec![script.clone(), other.clone()], [true, false]),
            (
                vec![binary.clone(), word("--log"), other.clone()],
                [false, false],
            ),
            (vec![word("--python"), python], [true, false]),
            (vec![word("cat")], [false, false]),
        ] {
            fs::write(&script, "one").unwrap();
            fs::write(&other, "one").unwrap();
            let before = hash(&words);
            for (file, counts) in [(&other, counts[1]), (&script, counts[0])] {
                fs::write(file, "two").unwrap();
                assert_eq!(hash(&words) != before, counts, "{words:?} {file:?}");
            }
            let more = [&words[..], &[word("x")]].concat();
            assert_ne!(hash(&more), hash(&words));
        }
    }
}
