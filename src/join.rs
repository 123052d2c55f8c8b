//! Joining the outputs of all shards of a run into one (`--join`).
//!
//! The journals say what is there: nothing is written unless every shard is done, of the same run,
//! and its output is what its journal vouches for. Then the outputs follow each other in the order of
//! the input, with the indices that one run over all of it would have given. Always: the joined file
//! is there whole or not at all.

mod renumber;
mod shards;

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::cli::Arguments;
use crate::config::files::Identity;
use crate::exit::{Status, Unusable};
use crate::outcome::Ranges;
use crate::output::NewFile;
use crate::schedule::policy::{MaxErrors, OnError};
use crate::shard::{PLACEHOLDER, has_place};
use crate::visible;
use renumber::{CopyFault, ShardFile};
use shards::{DoneShard, Shards};

/// What was joined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Joined {
    /// The status that one run over all of the input would have had.
    pub status: Status,
    /// What was joined, in a line.
    pub summary: String,
}

/// Bytes that are written at a time.
const BLOCK: usize = 256 << 10;

/// What is to be joined, and into what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Join {
    /// The journals of the shards, `{shard}` in their name.
    journals: PathBuf,
    /// Their outputs, likewise.
    outputs: PathBuf,
    /// Their files of `--errors`, where they have them.
    errors: Option<PathBuf>,
    /// Where the joined outcomes go; stdout without one.
    to: Option<PathBuf>,
    /// Where the joined error records go.
    errors_to: Option<PathBuf>,
    /// Whether failed records count in the status.
    on_error: OnError,
    /// More than these always do.
    max_errors: Option<MaxErrors>,
}

impl Join {
    /// What `arguments` mean, where they ask for a join.
    ///
    /// # Errors
    /// Arguments that contradict each other.
    pub fn resolve(arguments: &Arguments) -> Result<Option<Self>, Unusable> {
        if !arguments.output.join {
            return Ok(None);
        }
        let usage = |text: String| Err(Unusable::usage(text));
        if !arguments.input.input.is_empty() || arguments.input.shard.is_some() {
            return usage(
                "--join reads what the shards have written: leave out --input and --shard".into(),
            );
        }
        if arguments.output.retry_failed {
            return usage(
                "--join joins what is there: try again what failed in each shard first, by --retry-failed with \
                 --shard"
                    .into(),
            );
        }
        let Some(journals) = arguments.output.resume.clone() else {
            return usage(format!(
                "--join needs --resume 'JOURNAL-{PLACEHOLDER}': the journals of the shards say what is done"
            ));
        };
        let (outputs, errors) = match &*arguments.command {
            [outputs] => (outputs, None),
            [outputs, errors] => (outputs, Some(errors)),
            _ => {
                return usage(format!(
                    "--join needs the name of the shards' outputs, 'OUT-{PLACEHOLDER}', and of their \
                     files of --errors if they have them: no other word"
                ));
            }
        };
        for name in [
            Some(journals.as_os_str()),
            Some(outputs),
            errors.map(|it| &**it),
        ] {
            if let Some(name) = name.filter(|name| !has_place(name)) {
                return usage(format!(
                    "{} names one file, and each shard has its own: write {PLACEHOLDER} where its number \
                     stands, in quotes",
                    visible::name(name)
                ));
            }
        }
        let is_file = |path: &PathBuf| path.as_os_str() != "-";
        let to = arguments.output.output.clone().filter(is_file);
        let errors_to = arguments.output.errors.clone();
        for to in [&to, &errors_to].into_iter().flatten() {
            if has_place(to.as_os_str()) {
                return usage(format!(
                    "{} is to be one file: name it without {PLACEHOLDER}",
                    visible::name(to)
                ));
            }
        }
        if errors.is_some() != errors_to.is_some() {
            return usage(
                "the shards' files of --errors are joined into one: name both, --errors FILE and behind \
                 the outputs 'ERRORS-{shard}'"
                    .into(),
            );
        }
        Ok(Some(Self {
            journals,
            outputs: outputs.into(),
            errors: errors.map(PathBuf::from),
            to,
            errors_to,
            on_error: arguments.failures.on_error,
            max_errors: arguments.failures.max_errors,
        }))
    }

    /// Joins. Tells people first what is wrong with each shard that cannot be joined.
    ///
    /// # Errors
    /// 1 where a shard is not done or a file cannot be read or written: then nothing is written.
    pub fn run(&self, tell: impl Fn(&str)) -> Result<Joined, Unusable> {
        let shards = Shards::look_up(&self.journals, &self.outputs, self.errors.as_deref())?;
        let (done, troubles) = shards.sort();
        if !troubles.is_empty() {
            troubles.lines().iter().for_each(|line| tell(line));
            return Err(Unusable::new(Status::Fault, troubles.way_out()));
        }
        self.refuse_own_files(&done)?;
        let joined = write(self.to.as_deref(), &ShardFile::of_outputs(&done))?;
        if let Some(errors_to) = self.errors_to.as_deref() {
            write(Some(errors_to), &ShardFile::of_errors(&done))?.put_in_place()?;
        }
        joined.put_in_place()?;
        Ok(Joined {
            status: self.status(&done),
            summary: summary(&done),
        })
    }

    /// The status that one run over all of the input would have had.
    fn status(&self, done: &[DoneShard]) -> Status {
        let failed = done.iter().map(DoneShard::failed).sum();
        let records = done.iter().map(DoneShard::records).sum();
        let are_too_many =
            (self.max_errors).is_some_and(|most| most.is_exceeded_at_the_end(failed, records));
        let count = self.on_error != OnError::Ignore || are_too_many;
        let of_shard = |done: &DoneShard| {
            let failed = done.failed() > 0 && count;
            let faults = done.past.worker_faults;
            if faults.protocol_violations > 0 && !done.names_records() {
                Status::InDoubt
            } else if failed || faults.bad_ends > 0 || faults.protocol_violations > 0 {
                Status::RecordFailed
            } else {
                Status::Success
            }
        };
        done.iter().map(of_shard).fold(Status::Success, Status::worst)
    }

    /// What is written must not be what is read.
    fn refuse_own_files(&self, done: &[DoneShard]) -> Result<(), Unusable> {
        let identity = |path: &Path| File::open(path).ok().and_then(|it| Identity::of_file(&it));
        let name = |path: &PathBuf| (visible::name(path), identity(path));
        let results = self.to.as_ref().map_or_else(
            || {
                let stdout = rustix::stdio::stdout();
                ("standard output".into(), Identity::of_stream(stdout))
            },
            name,
        );
        let files: Vec<_> =
            [Some(results), self.errors_to.as_ref().map(name)].into_iter().flatten().collect();
        let are_there = files.iter().any(|(_, file)| file.is_some());
        for read in done.iter().flat_map(|done| done.files(&self.journals)).filter(|_| are_there) {
            let Some(found) = identity(&read) else {
                continue;
            };
            if let Some((name, _)) = files.iter().find(|(_, file)| file.as_ref() == Some(&found)) {
                return Err(Unusable::usage(format!(
                    "{name} is {}, which a shard has written: name another file",
                    visible::name(&read)
                )));
            }
        }
        // Where neither is there yet, their names tell.
        let is_one = match &files[..] {
            [(_, Some(one)), (_, Some(other))] => one == other,
            _ => self.errors_to.is_some() && self.to == self.errors_to,
        };
        match &self.errors_to {
            Some(errors) if is_one => Err(Unusable::usage(format!(
                "--errors {} is where results go: name another file",
                visible::name(errors)
            ))),
            _ => Ok(()),
        }
    }
}

/// Writes these parts, one after the other, to a file that is not in its place yet.
fn write(to: Option<&Path>, parts: &[ShardFile<'_>]) -> Result<NewFile, Unusable> {
    let file = NewFile::create(to, "nothing is joined")?;
    let mut out = BufWriter::with_capacity(BLOCK, file.writer());
    let copied = parts.iter().try_for_each(|part| part.copy(&mut out));
    copied.and_then(|()| out.flush().map_err(CopyFault::Write)).map_err(|fault| match fault {
        CopyFault::Write(error) => file.failed(&error),
        CopyFault::Refused(refused) => refused,
    })?;
    drop(out);
    Ok(file)
}

fn summary(done: &[DoneShard]) -> String {
    let records: u64 = done.iter().map(DoneShard::records).sum();
    let failed: u64 = done.iter().map(DoneShard::failed).sum();
    let mut numbers = Ranges::default();
    for done in done.iter().filter(|done| done.failed() > 0) {
        let number = done.shard.number();
        assert!(
            numbers.insert(number..number + 1),
            "each shard is joined once"
        );
    }
    let shards = match done.len() {
        1 => "1 shard is".into(),
        count => format!("{count} shards are"),
    };
    let failures = match failed {
        0 => String::new(),
        _ => format!(", of which {failed} failed, in {}", shards::list(&numbers)),
    };
    let results: u64 = done.iter().map(DoneShard::results).sum();
    let results = match results + failed == records {
        true => String::new(),
        false => format!(", {results} results"),
    };
    format!("{shards} joined: {records} records{results}{failures}")
}
