//! A real model, whose weights come with its package: several processes give what one gives.

use std::process::Command;

use crate::done::records;
use crate::env::skip;
use crate::python::python;

const SOURCE: &str = r#"
import json, sys
from pathlib import Path

from magika import Magika

class Kind:
    """What kind of file a file is."""

    def __init__(self):
        self.model = Magika()  # run by onnxruntime

    def __call__(self, path):
        result = self.model.identify_path(Path(path))
        return [result.output.label, result.prediction.score]

class Kinds(Kind):
    def __call__(self, paths):
        # Scores depend a little on what else is in a batch.
        return [result.output.label for result in self.model.identify_paths(list(map(Path, paths)))]

if __name__ == "__main__":
    kind = Kind()
    for line in sys.stdin:
        print(json.dumps(kind(json.loads(line)), separators=(",", ":")))
"#;

#[test]
fn a_model_gives_the_same_in_several_processes_as_in_one() {
    let Some(env) = python(SOURCE) else { return };
    let is_there = Command::new("python3").args(["-c", "import magika"]).output();
    if !is_there.is_ok_and(|it| it.status.success()) {
        return skip("magika is not installed");
    }
    let listed = Command::new("find")
        .args([
            "src",
            "docs",
            "packaging",
            "benches",
            "-maxdepth",
            "1",
            "-type",
            "f",
        ])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("find runs");
    let listed = String::from_utf8(listed.stdout).expect("names are UTF-8");
    let mut paths: Vec<_> = listed.lines().collect();
    paths.sort_unstable();
    assert!(paths.len() > 40, "{} files", paths.len());
    let root = env!("CARGO_MANIFEST_DIR");
    let input = records(paths.iter().map(|path| format!("\"{root}/{path}\"")));
    env.write("in", &input);
    let alone = env.sh("python3 work.py < in");
    alone.assert_status(0);
    let kinds = String::from_utf8_lossy(&alone.stdout).into_owned();
    for kind in ["\"rust\"", "\"python\"", "\"markdown\""] {
        assert!(kinds.contains(kind), "no file is {kind}");
    }
    for options in ["-j2", "-j1 --concurrency 4"] {
        let run = env.mtask().words(options).words("--python work.py:Kind");
        run.run_on(&input).assert_output(&alone.stdout);
    }
    let label = |line: &str| line[1..].split(',').next().expect("a label").to_owned();
    env.mtask()
        .words("-j2 --batch 16 --python work.py:Kinds")
        .run_on(&input)
        .assert_output(records(kinds.lines().map(label)));
}
