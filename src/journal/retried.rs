//! What failed in a run is tried again (`--retry-failed`): one more case of resuming.
//!
//! What is tried again is a run of its own, beside the one that failed: the input passes the records
//! that failed and what is new, and the outcomes go to files of their own with a journal of their own,
//! which is resumed like any other. Once the input has ended and all is tried, `rewrite` puts the
//! outcomes into the places of the error records. Owns the files of the run that failed, locked, until
//! then. Always: these are as they were until all that takes their place is safe, and then a journal
//! that is renamed decides: until that has happened nothing has changed, and from then on what is left
//! to be renamed is, by whoever opens the journal next.

mod rewrite;

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

use super::format::{self, JournalFault, KeptPlaces, Past, RETRY_FAILED};
use super::open::{FoundFiles, Opened, Paths, goes_on_with, look_up, unreadable};
use super::{terms, vouches_for};
use crate::config::files::Taken;
use crate::config::{Config, EarlierFailures};
use crate::exit::{Status, Unusable};
use crate::outcome::{Places, Ranges};
use crate::output::{end_of_links, rename};
use crate::record::Separator;
use crate::schedule::policy::{Order, PlacesTold};
use crate::visible;
pub use rewrite::Retried;

/// A run that can be resumed, ready to begin or to go on.
#[derive(Debug)]
pub struct Resumed {
    /// Its files.
    pub opened: Opened,
    /// What the user should know of.
    pub warnings: Vec<String>,
    /// Where it tries again what failed: what is to be done at its end.
    pub retried: Option<RetriedRun>,
}

impl Resumed {
    /// Which places in the output its journal is to be told.
    pub fn places_told(&self, order: Order) -> PlacesTold {
        match (&self.retried, order) {
            (Some(_), Order::Input) => PlacesTold::All,
            _ => PlacesTold::Failures,
        }
    }
}

/// A run of which what failed is tried again.
#[derive(Debug)]
pub struct RetriedRun {
    /// Its files, which are as it left them.
    failed: FoundFiles,
    /// What it came to.
    past: Past,
    /// The files of what is tried again.
    beside: Beside,
    separator: Separator,
}

/// The files beside those of a run that failed.
#[derive(Debug)]
struct Beside {
    /// What has been tried again.
    again: Paths,
    /// The whole output, until it takes the place of the other.
    rewritten: PathBuf,
}

/// What was found of an earlier call that tried again what failed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum EarlierTry {
    /// Nothing.
    None,
    /// It was killed, or cut short.
    UnderWay,
    /// It was killed after all was decided; what was left to be renamed is renamed now.
    Ended,
}

/// Opens the journal at `path` and the outputs of `config`, none of which may be `taken`; where what
/// failed is to be tried again, the files beside them too.
///
/// # Errors
/// 2 where another command line would do, 1 where the files are not what they were.
pub fn open(config: &Config, path: &Path, taken: &mut Taken) -> Result<Resumed, Unusable> {
    let paths = Paths::of(config, path);
    let beside = Beside::of(&paths);
    let mut warnings = Vec::new();
    let is_asked = config.earlier_failures == EarlierFailures::TriedAgain;
    let keep = |past: &mut Past| {
        if is_asked {
            past.places = KeptPlaces::All;
        }
    };
    let journal = look_up(path, keep, taken, &mut warnings)?;
    let earlier = match journal.as_ref().and_then(|journal| journal.past.as_ref()) {
        Some(past) => beside.earlier(&paths, past)?,
        None => EarlierTry::None,
    };
    if earlier == EarlierTry::UnderWay && !is_asked {
        return Err(Unusable::usage(format!(
            "--resume {} says what failed, and that is being tried again: add --retry-failed to go on with \
             it, or remove {} to leave it",
            visible::name(path),
            visible::name(&beside.again.journal)
        )));
    }
    let header = terms::header(config, &paths);
    let mut found = FoundFiles::look_up(paths, header, journal, None, taken, &mut warnings)?;
    match found.past.take() {
        // What was killed at its very end has ended now, and what failed again stands.
        Some(past) if is_asked && earlier != EarlierTry::Ended && past.done.failures() > 0 => {
            try_again(config, found, past, earlier, beside, taken, warnings)
        }
        past => {
            found.past = past;
            let goes_on = found.past.as_ref().filter(|past| !past.done.is_empty());
            let goes_on = goes_on.map(|past| goes_on_with(past, &visible::name(path)));
            let opened = found.begin(config, &mut warnings)?;
            warnings.extend(goes_on);
            Ok(Resumed {
                opened,
                warnings,
                retried: None,
            })
        }
    }
}

/// Opens the files of what is tried again.
fn try_again(
    config: &Config,
    failed: FoundFiles,
    past: Past,
    earlier: EarlierTry,
    beside: Beside,
    taken: &mut Taken,
    mut warnings: Vec<String>,
) -> Result<Resumed, Unusable> {
    if earlier == EarlierTry::None && beside.rewritten.exists() {
        return Err(Unusable::usage(format!(
            "{} is in the way of --retry-failed, which would write it: move it away",
            visible::name(&beside.rewritten)
        )));
    }
    let failures = indices(&past.done.failed_at);
    if failures.count() != past.done.failures() {
        let name = visible::name(&failed.paths.journal);
        return Err(unreadable(JournalFault::Damaged(1), &name));
    }
    let mut header = terms::header(config, &beside.again);
    header.terms.insert(RETRY_FAILED.into(), past.chain.last().into());
    let begin = |again: &mut Past| again.follow(&past);
    let journal = look_up(&beside.again.journal, begin, taken, &mut warnings)?;
    let is_begun = journal.as_ref().is_some_and(|journal| journal.past.is_some());
    let again = beside.again.clone();
    let again = FoundFiles::look_up(again, header, journal, Some(&failed), taken, &mut warnings)?;
    let mut opened = again.begin(config, &mut warnings)?;
    if !is_begun {
        opened.past.follow(&past);
    }
    let left = failures.without(&opened.past.done.ranges).count();
    warnings.push(is_tried(failures.count(), left, &failed.paths));
    // What is done is what need not be tried again, and what has been.
    let mut done = past.done.ranges.without(&failures);
    for range in opened.past.done.ranges.iter() {
        if !done.insert(range) {
            let name = visible::name(&beside.again.journal);
            return Err(unreadable(JournalFault::Damaged(2), &name));
        }
    }
    opened.past.done.ranges = done;
    opened.past.done.parts += past.done.parts;
    Ok(Resumed {
        opened,
        warnings,
        retried: Some(RetriedRun {
            failed,
            past,
            beside,
            separator: config.shape.separator,
        }),
    })
}

fn is_tried(failures: u64, left: u64, paths: &Paths) -> String {
    let (journal, output) = (visible::name(&paths.journal), visible::name(&paths.output));
    let (records, are) = if failures == 1 {
        ("record", "is")
    } else {
        ("records", "are")
    };
    let gone_on = match failures - left {
        0 => String::new(),
        tried => format!(", {tried} of them have been"),
    };
    format!(
        "{failures} {records} failed, as {journal} says, and {are} tried again{gone_on}: {output} is \
         written anew at the end"
    )
}

/// The indices of the records that have these places.
fn indices(places: &Places) -> Ranges {
    let mut indices = Ranges::default();
    for place in places.iter() {
        // Twice the same is seen where they are counted.
        let _ = indices.insert(place.first..place.end());
    }
    indices
}

impl Beside {
    fn of(paths: &Paths) -> Self {
        let beside = |path: &Path| beside(path, "retry");
        Self {
            again: Paths {
                journal: beside(&paths.journal),
                output: beside(&paths.output),
                errors: paths.errors.as_deref().map(beside),
            },
            rewritten: self::beside(&paths.output, "retried"),
        }
    }

    /// Whether what failed was tried again before, as the journal says that stands beside that of
    /// `past`. What was decided is done.
    fn earlier(&self, paths: &Paths, past: &Past) -> Result<EarlierTry, Unusable> {
        let Some(again) = open_again(&self.again.journal) else {
            return Ok(EarlierTry::None);
        };
        // Its beginning alone: what follows goes on from what the other journal said then.
        let again = match format::read_first(&mut BufReader::new(again), &mut Vec::new()) {
            Ok(None) | Err(JournalFault::Foreign) => return Ok(EarlierTry::None),
            Ok(Some(again)) => again,
            Err(fault) => return Err(unreadable(fault, &visible::name(&self.again.journal))),
        };
        if past.header.made_from == Some(again.header.id) {
            self.take_their_places(paths, past)?;
            return Ok(EarlierTry::Ended);
        }
        if again.header.terms.get(RETRY_FAILED).is_some_and(|it| it == past.chain.last()) {
            return Ok(EarlierTry::UnderWay);
        }
        let (journal, again) = (
            visible::name(&paths.journal),
            visible::name(&self.again.journal),
        );
        Err(Unusable::new(
            Status::Fault,
            format!(
                "--resume {journal} has changed since what failed was begun to be tried again, as {again} \
                 tells: restore it, or remove {again} to leave what was tried"
            ),
        ))
    }

    /// Has the rewritten files take the places of the others, as far as they have not, and removes
    /// what is of no use then: `past` is what came of it.
    fn take_their_places(&self, paths: &Paths, past: &Past) -> Result<(), Unusable> {
        let errors = paths.errors.as_deref().zip(self.again.errors.as_deref());
        let moves = [
            Some((&*self.rewritten, &*paths.output, past.output)),
            errors.map(|(path, again)| (again, path, past.errors)),
        ];
        for (from, to, extent) in moves.into_iter().flatten() {
            let to = end_of_links(to);
            let moved = match File::open(from) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
                Ok(file) => match vouches_for(&file, extent) {
                    Ok(true) => rename(from, &to),
                    Ok(false) => {
                        return Err(Unusable::new(
                            Status::Fault,
                            format!(
                                "{} is not what --resume {} vouches for: restore it",
                                visible::name(from),
                                visible::name(&paths.journal)
                            ),
                        ));
                    }
                    Err(error) => Err(error),
                },
            };
            moved.map_err(|error| cannot_write(&to, &error))?;
        }
        // The journal last: it tells of the others.
        for path in [&self.again.output, &self.again.journal] {
            match fs::remove_file(path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Unusable::new(
                        Status::Fault,
                        format!("cannot remove {}: {error}", visible::name(path)),
                    ));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

/// What may be the journal of what was tried again.
fn open_again(path: &Path) -> Option<File> {
    let is_file = fs::metadata(path).is_ok_and(|found| found.is_file());
    is_file.then(|| File::open(path).ok()).flatten()
}

/// What has been tried again of what failed in a run, as the journal at that path says.
fn read_again(path: &Path, failed: &Past) -> Result<Option<Past>, Unusable> {
    let Some(file) = open_again(path) else {
        return Ok(None);
    };
    let read = format::read_from(BufReader::new(file), |past| past.follow(failed));
    read.map_err(|fault| unreadable(fault, &visible::name(path)))
}

/// Whether what failed is being tried again in the run that has this journal.
pub fn is_tried_again(journal: &Path) -> bool {
    beside(journal, "retry").exists()
}

/// The path beside this one that ends like that; where it is a link, beside the file.
fn beside(path: &Path, extension: &str) -> PathBuf {
    let path = match path.is_symlink() {
        true => &end_of_links(path),
        false => path,
    };
    let mut name: OsString = path.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(extension);
    path.with_file_name(name)
}

fn cannot_write(path: &Path, error: &std::io::Error) -> Unusable {
    let name = visible::name(path);
    Unusable::new(
        Status::Fault,
        format!("cannot write {name}: {error}; {STANDS}"),
    )
}

/// What holds where the rewriting fails.
const STANDS: &str = "what was tried again is kept, and the same command line goes on";
