//! Which shards there are, by their journals, and what is wrong with those that cannot be joined.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::BufReader;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::config::files::directory_of;
use crate::exit::{Status, Unusable};
use crate::journal::format::{self, JournalFault, Past};
use crate::journal::vouches_for;
use crate::shard::{PLACEHOLDER, Shard, has_place, place, split_once};
use crate::visible;

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
        self.term("--output-format") == "envelope"
    }

    /// Whether each answer named its record.
    pub(super) fn names_records(&self) -> bool {
        self.term("--protocol") != "lines"
    }

    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        [Some(&*self.output), self.errors.as_deref()].into_iter().flatten()
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
    found: BTreeMap<String, Result<Past, String>>,
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
        let mut done: Vec<DoneShard> = Vec::new();
        let mut troubles = Troubles::of(self.of);
        for number in 0..self.of {
            let shard = Shard::new(number, self.of).expect("numbers are below N");
            let name = shard.name();
            let judged = match self.found.remove(&name) {
                None => Err(("missing", "there is no journal".to_owned())),
                Some(Err(fault)) => Err(("damaged", fault)),
                Some(Ok(past)) => self.judge(shard, past, done.first()),
            };
            match judged {
                Ok(shard) => done.push(shard),
                Err((kind, fault)) => troubles.note(kind, fault, number),
            }
        }
        for (digits, past) in &self.found {
            let own = match past.as_ref().ok().and_then(shard_of) {
                Some(shard) => format!("it is of --shard {shard}"),
                None => "it is of no shard".into(),
            };
            let name = visible::name(place(&self.journals, digits));
            troubles.others.push(format!("{name} is not of this run: {own}"));
        }
        (done, troubles)
    }

    /// Whether a shard is done, in the same run as the `first` one that is.
    fn judge(
        &self,
        shard: Shard,
        past: Past,
        first: Option<&DoneShard>,
    ) -> Result<DoneShard, (&'static str, String)> {
        match shard_of(&past) {
            Some(own) if own == shard => {}
            Some(own) => {
                return Err(("of another run", format!("the journal is of --shard {own}")));
            }
            None => return Err(("of another run", "the journal is of no shard".into())),
        }
        if let Some(difference) = first.and_then(|first| difference(&past, &first.past)) {
            return Err(("of another run", difference));
        }
        if !past.is_whole {
            return Err(("unfinished", "the run has not come to its end".into()));
        }
        let output = shard.place(&self.outputs);
        let changed = |fault| ("not as it was", fault);
        vouches_for(&output, past.output).map_err(changed)?;
        let errors = match (&self.errors, &past.files.errors) {
            (Some(errors), Some(_)) => Some(shard.place(errors)),
            (None, None) => None,
            (Some(_), None) => {
                let fault = "it was run without --errors: leave the second name out";
                return Err(("of another run", fault.into()));
            }
            (None, Some(_)) => {
                let fault = "it was run with --errors: name those files too, behind the outputs";
                return Err(("of another run", fault.into()));
            }
        };
        if let Some(errors) = &errors {
            vouches_for(errors, past.errors).map_err(changed)?;
        }
        Ok(DoneShard {
            shard,
            past,
            output,
            errors,
        })
    }
}

/// What is wrong with shards.
#[derive(Debug)]
pub(super) struct Troubles {
    of: u64,
    /// The shards by what is wrong with them.
    shards: BTreeMap<(&'static str, String), Vec<u64>>,
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

    fn note(&mut self, kind: &'static str, fault: String, number: u64) {
        self.shards.entry((kind, fault)).or_default().push(number);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.shards.is_empty() && self.others.is_empty()
    }

    /// All of it, a line each.
    pub(super) fn lines(&self) -> Vec<String> {
        let shards = self.shards.iter().map(|((kind, fault), numbers)| {
            let are = if numbers.len() == 1 { "is" } else { "are" };
            format!("{} of {} {are} {kind}: {fault}", list(numbers), self.of)
        });
        shards.chain(self.others.iter().cloned()).collect()
    }

    /// What to do about it.
    pub(super) fn way_out(&self) -> String {
        let mut left: Vec<u64> = self.shards.values().flatten().copied().collect();
        left.sort_unstable();
        match left.len() {
            0 => "nothing is joined: move what is not of this run away".into(),
            count => format!(
                "nothing is joined: {} of {} shards are done; run the others again (--array={} in Slurm), and \
                 join then",
                self.of - count as u64,
                self.of,
                ranges(&left)
            ),
        }
    }
}

/// These shards by name.
pub(super) fn list(numbers: &[u64]) -> String {
    let plural = if numbers.len() == 1 { "" } else { "s" };
    format!("shard{plural} {}", ranges(numbers))
}

/// Rising numbers as batch systems write them: `3,5-9`.
fn ranges(numbers: &[u64]) -> String {
    let runs = numbers.chunk_by(|one, next| one + 1 == *next);
    let run = |run: &[u64]| match run {
        [one] => one.to_string(),
        [first, .., last] => format!("{first}-{last}"),
        [] => String::new(),
    };
    runs.map(run).collect::<Vec<_>>().join(",")
}

/// The shard that a journal is of.
fn shard_of(past: &Past) -> Option<Shard> {
    past.header.terms.get(format::SHARD)?.parse().ok()
}

/// In what a run differs from the first one.
fn difference(past: &Past, first: &Past) -> Option<String> {
    let (own, other) = (&past.header.terms, &first.header.terms);
    let mut options = own.keys().chain(other.keys());
    let differs = |option: &&String| own.get(*option) != other.get(*option);
    let option = options.find(|option| *option != format::SHARD && differs(option))?;
    let value = |terms: &BTreeMap<String, String>| terms.get(option).cloned().unwrap_or_default();
    Some(format!(
        "it has {option} {}, where the first one has {}",
        value(own),
        value(other)
    ))
}

fn read(journal: &Path) -> Result<Past, String> {
    let file = File::open(journal).map_err(|error| error.to_string())?;
    match format::read(BufReader::new(file)) {
        Ok(Some(past)) => Ok(past),
        Ok(None) => Err("the journal has not been begun".into()),
        Err(JournalFault::Foreign) => Err("the file is no journal of mtask".into()),
        Err(JournalFault::Version(version)) => Err(format!(
            "the journal is of version {version}, which this mtask does not know"
        )),
        Err(JournalFault::Damaged(line)) => Err(format!("the journal is damaged in line {line}")),
        Err(JournalFault::OutOfPlace(line)) => Err(format!(
            "line {line} of the journal does not follow what stands before it"
        )),
        Err(JournalFault::Unreadable(why)) => Err(why),
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
