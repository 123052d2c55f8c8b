//! Which shards there are, by their journals, and what is wrong with those that cannot be joined.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::BufReader;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::config::files::directory_of;
use crate::exit::{Status, Unusable};
use crate::journal::format::{self, Extent, JournalFault, Past};
use crate::journal::retried::is_tried_again;
use crate::journal::vouches_for;
use crate::outcome::Ranges;
use crate::shard::{PLACEHOLDER, Shard, has_place, place, split_once};
use crate::visible;

/// Why a shard cannot be joined: how it is, and what shows that.
type ShardFault = (&'static str, String);

/// The options that decide what is written, with their values.
type Terms = BTreeMap<String, String>;

const DAMAGED: &str = "damaged";
const OF_ANOTHER_RUN: &str = "of another run";

/// So many ranges of numbers are listed.
const MOST_LISTED: usize = 1000;

/// A shard that is done.
#[derive(Debug)]
pub(super) struct DoneShard {
    pub(super) shard: Shard,
    pub(super) past: Past,
    pub(super) output: PathBuf,
    pub(super) errors: Option<PathBuf>,
}

impl DoneShard {
    /// How many records it has.
    pub(super) fn records(&self) -> u64 {
        self.past.done.ranges.count()
    }

    /// How many of them failed.
    pub(super) fn failed(&self) -> u64 {
        self.past.done.failures()
    }

    /// How many results the others gave.
    pub(super) fn results(&self) -> u64 {
        self.past.done.parts
    }

    pub(super) fn separator(&self) -> u8 {
        if self.term("--null") == "yes" {
            0
        } else {
            b'\n'
        }
    }

    pub(super) fn is_in_order(&self) -> bool {
        self.term("--unordered") != "yes"
    }

    pub(super) fn has_envelopes(&self) -> bool {
        matches!(self.term("--output-format"), "envelope" | "pair")
    }

    /// Whether each answer named its record.
    pub(super) fn names_records(&self) -> bool {
        self.term("--protocol") != "lines"
    }

    /// All files that it has written, of which the journals have that name.
    pub(super) fn files(&self, journals: &Path) -> impl Iterator<Item = PathBuf> {
        let files = [
            Some(self.output.clone()),
            self.errors.clone(),
            Some(self.shard.place(journals)),
        ];
        files.into_iter().flatten()
    }

    fn term(&self, option: &str) -> &str {
        self.past.header.terms.get(option).map_or("", String::as_str)
    }
}

/// The shards of a run, as their journals tell of them.
#[derive(Debug)]
pub(super) struct Shards {
    of: u64,
    /// What is under the names that the journals have, by the digits in them.
    found: BTreeMap<String, Result<Past, ShardFault>>,
    journals: PathBuf,
    outputs: PathBuf,
    errors: Option<PathBuf>,
}

impl Shards {
    /// Reads all journals of that name, `{shard}` standing for any number.
    pub(super) fn look_up(
        journals: &Path,
        outputs: &Path,
        errors: Option<&Path>,
    ) -> Result<Self, Unusable> {
        let mut found = BTreeMap::new();
        for digits in digits_of(journals)? {
            let past = read(&place(journals, &digits));
            found.insert(digits, past);
        }
        let mut numbers: BTreeMap<u64, usize> = BTreeMap::new();
        for past in found.values().flatten() {
            if let Some(shard) = shard_of(past) {
                *numbers.entry(shard.of()).or_default() += 1;
            }
        }
        let most = numbers.into_iter().max_by_key(|(_, count)| *count);
        let Some((of, _)) = most else {
            return Err(Unusable::new(
                Status::Fault,
                format!(
                    "--resume {}: there is no journal of a shard under such a name; {PLACEHOLDER} stands \
                     where the number of the shard does",
                    visible::name(journals)
                ),
            ));
        };
        Ok(Self {
            of,
            found,
            journals: journals.to_owned(),
            outputs: outputs.to_owned(),
            errors: errors.map(ToOwned::to_owned),
        })
    }

    /// Those that are done, in the order of the input, and what is wrong with the others.
    pub(super) fn sort(mut self) -> (Vec<DoneShard>, Troubles) {
        let mut done = Vec::new();
        let mut troubles = Troubles::of(self.of);
        let mut next = 0;
        let found = std::mem::take(&mut self.found);
        let usual = self.usual_terms(&found);
        // Names with as many digits stand in the order of their numbers.
        for (digits, past) in found {
            let Some(shard) = self.shard_of_name(&digits) else {
                let own = match past.as_ref().ok().and_then(shard_of) {
                    Some(shard) => format!("it is of --shard {shard}"),
                    None => "it is of no shard".into(),
                };
                let name = visible::name(place(&self.journals, &digits));
                troubles.others.push(format!("{name} is not of this run: {own}"));
                continue;
            };
            troubles.note_missing(next..shard.number());
            next = shard.number() + 1;
            match past.and_then(|past| self.judge(shard, past, &usual)) {
                Ok(shard) => done.push(shard),
                Err(fault) => troubles.note(fault, shard.number()..next),
            }
        }
        troubles.note_missing(next..self.of);
        (done, troubles)
    }

    /// Which shard of this run a journal with these digits is of.
    fn shard_of_name(&self, digits: &str) -> Option<Shard> {
        let shard = Shard::new(digits.parse().ok()?, self.of)?;
        (shard.name() == digits).then_some(shard)
    }

    /// What most shards were run with.
    fn usual_terms(&self, found: &BTreeMap<String, Result<Past, ShardFault>>) -> Terms {
        let mut counts: BTreeMap<Terms, usize> = BTreeMap::new();
        for past in found.values().flatten() {
            if shard_of(past).is_some_and(|shard| shard.of() == self.of) {
                *counts.entry(terms_of_run(past)).or_default() += 1;
            }
        }
        let most = counts.into_iter().max_by_key(|(_, count)| *count);
        most.map(|(terms, _)| terms).unwrap_or_default()
    }

    /// Whether a shard is done, in a run with these terms.
    fn judge(&self, shard: Shard, past: Past, usual: &Terms) -> Result<DoneShard, ShardFault> {
        match shard_of(&past) {
            Some(own) if own == shard => {}
            Some(own) => {
                return Err((OF_ANOTHER_RUN, format!("the journal is of --shard {own}")));
            }
            None => return Err((OF_ANOTHER_RUN, "the journal is of no shard".into())),
        }
        if let Some(difference) = difference(&terms_of_run(&past), usual) {
            return Err((OF_ANOTHER_RUN, difference));
        }
        if !past.is_whole {
            return Err(("unfinished", "the run has not come to its end".into()));
        }
        if is_tried_again(&shard.place(&self.journals)) {
            let fault =
                "what failed is being tried again: run it with --retry-failed until that has ended";
            return Err(("unfinished", fault.into()));
        }
        let output = shard.place(&self.outputs);
        check(&output, past.output)?;
        let errors = match (&self.errors, &past.files.errors) {
            (Some(errors), Some(_)) => Some(shard.place(errors)),
            (None, None) => None,
            (Some(_), None) => {
                let fault = "it was run without --errors: leave the second name out";
                return Err((OF_ANOTHER_RUN, fault.into()));
            }
            (None, Some(_)) => {
                let fault = "it was run with --errors: name those files too, behind the outputs";
                return Err((OF_ANOTHER_RUN, fault.into()));
            }
        };
        if let Some(errors) = &errors {
            check(errors, past.errors)?;
        }
        Ok(DoneShard {
            shard,
            past,
            output,
            errors,
        })
    }
}

/// Whether the file is what its journal vouches for.
fn check(path: &Path, extent: Extent) -> Result<(), ShardFault> {
    let name = visible::name(path);
    let fault = match File::open(path).and_then(|file| vouches_for(&file, extent)) {
        Ok(true) => return Ok(()),
        Ok(false) => format!("{name} is not what the journal vouches for"),
        Err(error) => format!("{name}: {error}"),
    };
    Err(("not as it was", fault))
}

/// What is wrong with shards.
#[derive(Debug)]
pub(super) struct Troubles {
    of: u64,
    /// The shards by what is wrong with them.
    shards: BTreeMap<ShardFault, Ranges>,
    /// Journals that are of no shard of this run.
    others: Vec<String>,
}

impl Troubles {
    fn of(of: u64) -> Self {
        Self {
            of,
            shards: BTreeMap::new(),
            others: Vec::new(),
        }
    }

    fn note(&mut self, fault: ShardFault, numbers: Range<u64>) {
        add(self.shards.entry(fault).or_default(), numbers);
    }

    fn note_missing(&mut self, numbers: Range<u64>) {
        if !numbers.is_empty() {
            self.note(("missing", "there is no journal".into()), numbers);
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shards.is_empty() && self.others.is_empty()
    }

    /// All of it, a line each.
    pub(super) fn lines(&self) -> Vec<String> {
        let shards = self.shards.iter().map(|((kind, fault), numbers)| {
            let are = if numbers.count() == 1 { "is" } else { "are" };
            format!("{} of {} {are} {kind}: {fault}", list(numbers), self.of)
        });
        shards.chain(self.others.iter().cloned()).collect()
    }

    /// What to do about it.
    pub(super) fn way_out(&self) -> String {
        let mut left = Ranges::default();
        for range in self.shards.values().flat_map(Ranges::iter) {
            add(&mut left, range);
        }
        if left.is_empty() {
            return "nothing is joined: move what is not of this run away".into();
        }
        let is_of_no_use = |(kind, _): &ShardFault| [DAMAGED, OF_ANOTHER_RUN].contains(kind);
        let first = match self.shards.keys().any(is_of_no_use) {
            true => "move journals that are damaged or of another run away, and their outputs; ",
            false => "",
        };
        format!(
            "nothing is joined: {} of {} shards are done; {first}run the others again (--array={} in \
             Slurm), and join then",
            self.of - left.count(),
            self.of,
            in_ranges(&left)
        )
    }
}

fn add(numbers: &mut Ranges, range: Range<u64>) {
    let is_new = numbers.insert(range);
    debug_assert!(is_new, "a shard is noted once");
}

/// These shards by name.
pub(super) fn list(numbers: &Ranges) -> String {
    let plural = if numbers.count() == 1 { "" } else { "s" };
    format!("shard{plural} {}", in_ranges(numbers))
}

/// As batch systems write them: `3,5-9`.
fn in_ranges(numbers: &Ranges) -> String {
    let range = |range: Range<u64>| match range.end - range.start {
        1 => range.start.to_string(),
        _ => format!("{}-{}", range.start, range.end - 1),
    };
    let mut ranges: Vec<_> = numbers.iter().take(MOST_LISTED).map(range).collect();
    if numbers.len() > MOST_LISTED {
        ranges.push("…".into());
    }
    ranges.join(",")
}

/// The shard that a journal is of.
fn shard_of(past: &Past) -> Option<Shard> {
    past.header.terms.get(format::SHARD)?.parse().ok()
}

/// What a shard was run with, but for its number.
fn terms_of_run(past: &Past) -> Terms {
    let mut terms = past.header.terms.clone();
    terms.remove(format::SHARD);
    terms
}

/// In what a shard differs from most.
fn difference(own: &Terms, usual: &Terms) -> Option<String> {
    let mut options = own.keys().chain(usual.keys());
    let option = options.find(|option| own.get(*option) != usual.get(*option))?;
    let value = |terms: &Terms| terms.get(option).cloned().unwrap_or_default();
    Some(format!(
        "it has {option} {}, where most have {}",
        value(own),
        value(usual)
    ))
}

fn read(journal: &Path) -> Result<Past, ShardFault> {
    let damaged = |why: String| (DAMAGED, why);
    // Not by opening it: a named pipe would wait for its writer.
    let found = fs::metadata(journal).map_err(|error| damaged(error.to_string()))?;
    if !found.is_file() {
        return Err(damaged("the journal is no regular file".into()));
    }
    let file = File::open(journal).map_err(|error| damaged(error.to_string()))?;
    match format::read(BufReader::new(file)) {
        Ok(Some(past)) => Ok(past),
        Ok(None) => Err(("unfinished", "the journal has not been begun".into())),
        Err(fault) => Err(damaged(match fault {
            JournalFault::Foreign => "the file is no journal of mtask".into(),
            JournalFault::Version(version) => {
                format!("the journal is of version {version}, which this mtask does not know")
            }
            JournalFault::Damaged(line) => format!("the journal is damaged in line {line}"),
            JournalFault::OutOfPlace(line) => {
                format!("line {line} of the journal does not follow what stands before it")
            }
            JournalFault::Unreadable(why) => why,
        })),
    }
}

/// The digits that stand for `{shard}` in the names of files that are there.
fn digits_of(template: &Path) -> Result<Vec<String>, Unusable> {
    let failed = |directory: &Path, error| {
        let name = visible::name(directory);
        Unusable::new(
            Status::Fault,
            format!("cannot look for journals in {name}: {error}"),
        )
    };
    // The first part of the path that holds the number, and what leads to it.
    let ancestors: Vec<&Path> = template.ancestors().collect();
    let numbered = ancestors.iter().rev().find(|path| has_place(path.as_os_str()));
    let numbered = numbered.copied().unwrap_or(template);
    let directory = directory_of(numbered);
    let name = numbered.file_name().unwrap_or_default();
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).map_err(|error| failed(directory, error))? {
        let entry = entry.map_err(|error| failed(directory, error))?;
        if let Some(digits) = digits_in(&entry.file_name(), name)
            && place(template, &digits).exists()
        {
            found.push(digits);
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// The digits for which the template gives that name.
fn digits_in(name: &OsStr, template: &OsStr) -> Option<String> {
    let (before, _) = split_once(template.as_bytes())?;
    let rest = name.as_bytes().strip_prefix(before)?;
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    // What follows may begin with a digit too.
    (1..=count).rev().find_map(|count| {
        let digits = str::from_utf8(&rest[..count]).ok()?;
        (place(Path::new(template), digits).as_os_str() == name).then(|| digits.to_owned())
    })
}
