//! Options of xargs and GNU parallel that mtask has not: what it has instead.

use clap::builder::StyledStr;
use clap::error::{ContextKind, ContextValue, ErrorKind};

const NOT_IN_COMMAND: &str = "records are not put into COMMAND: each worker reads them from its stdin, one a line. --each starts a \
     process for each, with {} and the like replaced";
const WINDOW: &str = "--each starts a process for each record; without it a worker gets as many records at a time as it is fast: --window N sets how \
                      many, and with --python, --batch N passes lists of them";
const SEEN: &str = "a bar with the time left is drawn where stderr is a terminal and results go to a \
                    file; --progress always draws it elsewhere too";
const RECORDS: &str = "a record is a line; -0 is for records that end with NUL, --format jsonl for \
                       JSON values";
const HOSTS: &str = "COMMAND may be ssh: --worker-arg host=a --worker-arg host=b ssh {host} ...";
const PIPED: &str = "that is what mtask does: records go to the workers' stdin, one a line";

/// What is asked for, in the words of xargs and parallel, and what does it here.
const INSTEAD: [(&[&str], &str); 17] = [
    (&["-I", "--replace", "-J"], NOT_IN_COMMAND),
    (
        &[
            "-n",
            "-N",
            "--max-args",
            "--max-replace-args",
            "-L",
            "-l",
            "--max-lines",
            "-X",
            "-m",
        ],
        WINDOW,
    ),
    (&["--xargs", "-s", "--max-chars", "-x"], WINDOW),
    (&["--bar", "--eta"], SEEN),
    (
        &["--joblog", "--results", "--res"],
        "--errors FILE keeps the failed records, --stats-file FILE the time of each worker, \
         --resume JOURNAL what is done",
    ),
    (
        &["--halt", "--halt-on-error"],
        "--on-error raise ends at the first failure, --on-error drain lets finish what was sent, \
         --max-errors N does so at the Nth",
    ),
    (
        &["--tag", "--tagstring"],
        "--output-format envelope gives each result its index; --tag-stderr puts the worker before \
         each line of stderr",
    ),
    (
        &["--colsep", "-C"],
        "--format csv or tsv makes an object of each row; else a worker gets the whole record and \
         splits it itself; with --python, --argument-type args passes the elements of a JSON array as \
         arguments",
    ),
    (
        &["--header"],
        "--format csv or tsv takes the names of the fields from the first row",
    ),
    (
        &["--arg-file"],
        "--input FILE, or -a FILE, reads records from a file",
    ),
    (
        &["--keep-order"],
        "leave it out: results are in input order unless -u is given",
    ),
    (&["-d", "--delimiter", "-E", "--eof"], RECORDS),
    (
        &["-r", "--no-run-if-empty"],
        "leave it out: no worker starts where there is no record",
    ),
    (&["--pipe", "--block", "--recstart", "--recend"], PIPED),
    (&["-S", "--sshlogin", "--sshloginfile", "--slf"], HOSTS),
    (
        &[
            "--line-buffer",
            "--lb",
            "--group",
            "--ungroup",
            "--linebuffer",
        ],
        "results are whole lines, written as soon as it is their turn; -u writes them as they finish",
    ),
    (
        &[
            "--max-procs",
            "-t",
            "--verbose",
            "-v",
            "-p",
            "--interactive",
        ],
        "-j N says how many workers there are, --dry-run what they run",
    ),
];

/// Puts what mtask has in place of a foreign option into the refusal. That an unknown option could
/// be COMMAND is never said: no command is called `-I`.
pub(super) fn advise(mut error: clap::Error) -> clap::Error {
    if error.kind() != ErrorKind::UnknownArgument {
        return error;
    }
    error.remove(ContextKind::Suggested);
    let Some(ContextValue::String(typed)) = error.get(ContextKind::InvalidArg) else {
        return error;
    };
    let name = typed.split('=').next().unwrap_or_default();
    let instead = INSTEAD.iter().find(|(names, _)| names.contains(&name));
    if let Some((_, instead)) = instead {
        error.remove(ContextKind::SuggestedArg);
        let tip = vec![StyledStr::from(*instead)];
        error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tip));
    }
    error
}
