//! Tasks of an array under a real Slurm: the controller and two nodes on this machine, in namespaces of
//! their own. The job is the one of docs/far.md; `tests/cluster/events.sh` says what happens to it.

use crate::env::{TestEnv, skip};
use crate::examples::{blocks, is_installed};

/// What the cluster is made of.
const PROGRAMS: [&str; 7] = [
    "slurmctld",
    "slurmd",
    "sbatch",
    "munged",
    "ip",
    "unshare",
    "ps",
];
const CONTAINER: &str = "unshare --net --pid --fork --kill-child --mount-proc";

#[test]
fn tasks_that_slurm_requeues_preempts_limits_and_cancels_are_joined_to_what_one_run_writes() {
    if let Some(missing) = PROGRAMS.into_iter().find(|program| !is_installed(program)) {
        return skip(&format!("Slurm: {missing} is not installed"));
    }
    let env = TestEnv::new();
    if env.sh(&format!("exec {CONTAINER} true")).status.code() != Some(0) {
        return skip("Slurm: no namespaces for processes and the network here");
    }
    let job = blocks(include_str!("../../docs/far.md"))
        .into_iter()
        .find(|block| block.comment == "file: array.sh")
        .expect("docs/far.md has a job");
    env.write_with_mode("array.sh", job.text, 0o755);
    let events = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/cluster/events.sh");
    let mtask = env!("CARGO_BIN_EXE_mtask");
    let script = format!("exec {CONTAINER} '{events}' '{mtask}' array.sh");
    let done = env.sh(&script);
    done.assert_status(0).assert_stdout("joined as one run\n");
}
