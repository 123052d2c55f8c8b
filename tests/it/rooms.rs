//! The modules right under `src` build on each other without a circle, so that each can be read,
//! and changed, knowing only those below it. So do those of `src/schedule`: all of them may call the
//! methods of `Scheduler`, but what one names of another, it needs. And no file is too long to be
//! read at once, and no struct of the scheduler to be held in mind.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// The most lines of a file.
const MOST_LINES: usize = 500;

/// The most fields of a struct of the scheduler.
const MOST_FIELDS: usize = 12;

/// Each module of `src`, and those that its files name.
type Needs = BTreeMap<String, BTreeSet<String>>;

#[test]
fn no_module_needs_one_that_needs_it() {
    let mut needs = Needs::new();
    let src = root().join("src");
    for (path, room) in entries(&src) {
        gather(&path, &room, &["crate::"], &mut needs);
    }
    assert!(needs["engine"].contains("schedule"), "{needs:?}");
    assert!(needs["run"].contains("report"), "{needs:?}");
    assert_no_circle(&needs);
}

#[test]
fn no_module_of_the_scheduler_needs_one_that_needs_it() {
    let schedule = root().join("src/schedule");
    let mut needs = Needs::new();
    for (path, room) in entries(&schedule).into_iter().filter(|(_, room)| room != "mod") {
        // What lies in a folder names the modules beside that folder by their whole way.
        let ways: &[&str] = match path.is_dir() {
            true => &["crate::schedule::", "super::super::"],
            false => &["crate::schedule::", "super::"],
        };
        gather(&path, &room, ways, &mut needs);
    }
    let owners = passed_on(&schedule.join("mod.rs"));
    assert_eq!(owners["Death"], "process");
    for named in needs.values_mut() {
        let resolved = named.iter().map(|name| owners.get(name).unwrap_or(name).clone());
        *named = resolved.collect();
    }
    for (room, named) in &mut needs {
        named.remove(room);
    }
    assert!(needs["death"].contains("process"), "{needs:?}");
    assert!(needs["process"].contains("pace"), "{needs:?}");
    assert_no_circle(&needs);
}

#[test]
fn no_file_is_too_long_to_be_read_at_once() {
    let mut lengths = BTreeMap::new();
    for folder in ["src", "tests", "python", "benches"] {
        visit(&root().join(folder), &mut |path, source| {
            lengths.insert(path.to_owned(), source.lines().count());
        });
    }
    assert!(lengths.len() > 300, "{}", lengths.len());
    // The licences of others, which packaging puts there, are none of ours.
    lengths.retain(|path, lines| *lines > MOST_LINES && !path.ends_with("THIRD-PARTY"));
    assert!(
        lengths.is_empty(),
        "more than {MOST_LINES} lines: look for the second purpose of {lengths:?}, and give that a file of \
         its own"
    );
}

#[test]
fn no_struct_of_the_scheduler_has_too_many_fields() {
    let mut counts = BTreeMap::new();
    visit(&root().join("src/schedule"), &mut |path, source| {
        let path = path.strip_prefix(root()).expect("a path in it");
        let is_test = path.iter().any(|part| part.to_string_lossy().starts_with("tests"));
        if !is_test {
            counts.extend(fields(source));
        }
    });
    assert!(
        counts.get("Process").is_some_and(|count| *count > 3),
        "{counts:?}"
    );
    assert!(
        counts.get("Scheduler").is_some_and(|count| *count > 3),
        "{counts:?}"
    );
    counts.retain(|_, count| *count > MOST_FIELDS);
    assert!(
        counts.is_empty(),
        "more than {MOST_FIELDS} fields: look for what belongs together in {counts:?}"
    );
}

/// How many fields each struct of a file has whose fields have names, as rustfmt lays it out.
fn fields(source: &str) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let mut open = None;
    for line in source.lines() {
        let words = line.split(' ').skip_while(|word| *word != "struct").collect::<Vec<_>>();
        if let (["struct", name, ..], false, true) =
            (&words[..], line.starts_with("//"), line.ends_with('{'))
        {
            open = Some(name.split('<').next().unwrap_or(name).to_owned());
        } else if line.trim() == "}" {
            open = None;
        } else if let Some(name) = &open {
            let code = line.trim_start();
            let is_field = code.contains(": ") && !code.starts_with("//") && !code.starts_with('#');
            *counts.entry(name.clone()).or_default() += usize::from(is_field);
        }
    }
    counts
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Shows each file of a folder that is text, and of those in it.
fn visit(folder: &Path, see: &mut impl FnMut(&Path, &str)) {
    for (path, _) in entries(folder) {
        if path.is_dir() {
            visit(&path, see);
        } else if let Ok(source) = fs::read_to_string(&path) {
            see(&path, &source);
        }
    }
}

/// What a module takes from those in it, and passes on by its own name: each name, and whose it is.
fn passed_on(path: &Path) -> BTreeMap<String, String> {
    let source = fs::read_to_string(path).expect("a source file");
    let uses = source.split(';').filter_map(|part| part.split("use ").nth(1));
    let from = uses.filter_map(|path| path.split_once("::"));
    from.flat_map(|(room, names)| {
        let names = names.split(|c: char| !c.is_alphanumeric() && c != '_');
        names.map(move |name| (name.to_owned(), room.to_owned()))
    })
    .collect()
}

fn assert_no_circle(needs: &Needs) {
    let mut sorted = BTreeSet::new();
    for room in needs.keys() {
        descend(room, needs, &mut sorted, &mut Vec::new());
    }
}

/// Visits what a module needs before the module itself, which is on the `way` meanwhile.
fn descend<'a>(
    room: &'a str,
    needs: &'a Needs,
    sorted: &mut BTreeSet<&'a str>,
    way: &mut Vec<&'a str>,
) {
    assert!(
        !way.contains(&room),
        "{} and {room} again: a circle",
        way.join(" needs ")
    );
    if sorted.contains(room) {
        return;
    }
    way.push(room);
    for below in needs.get(room).into_iter().flatten() {
        descend(below, needs, sorted, way);
    }
    way.pop();
    sorted.insert(room);
}

/// Notes which modules a file names, or the files of a folder. Tests may look anywhere.
fn gather(path: &Path, room: &str, ways: &[&str], needs: &mut Needs) {
    if (path.file_stem()).is_some_and(|stem| stem == "tests") {
        return;
    }
    if path.is_dir() {
        for (path, _) in entries(path) {
            gather(&path, room, ways, needs);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        let source = fs::read_to_string(path).expect("a source file");
        let named = ways.iter().flat_map(|way| named(&source, way));
        let named = named.filter(|name| name != room);
        needs.entry(room.to_owned()).or_default().extend(named);
    }
}

/// The names that follow `way`, alone or in braces.
fn named(source: &str, way: &str) -> Vec<String> {
    let code: String =
        source.lines().map(|line| line.split("//").next().unwrap_or_default()).collect();
    let mut names = Vec::new();
    for path in code.split(way).skip(1) {
        let mut depth = 0;
        let mut is_begin = true;
        for word in path.split_inclusive(|c: char| !c.is_alphanumeric() && c != '_') {
            let name = word.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '_');
            if is_begin && !name.is_empty() {
                names.push(name.to_owned());
                is_begin = false;
            }
            match &word[name.len()..] {
                "{" => depth += 1,
                "}" => depth -= 1,
                "," if depth == 1 => is_begin = true,
                _ => {}
            }
            if depth == 0 {
                break;
            }
        }
    }
    names
}

/// What a folder holds, and the name of each without its extension.
fn entries(folder: &Path) -> Vec<(std::path::PathBuf, String)> {
    let entries = fs::read_dir(folder).expect("a folder of sources");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    paths
        .map(|path| {
            let name = path.file_stem().expect("a name");
            let name = name.to_string_lossy().into_owned();
            (path, name)
        })
        .collect()
}
