//! `--gpus`: a GPU for each worker, without any: what names them is played.

use std::path::Path;

use crate::done::{Done, numbers};
use crate::env::{Run, TestEnv, mtask};

/// A worker that tells for each record which GPU it was given.
const TELL: &str = r#"while read -r x; do
    echo "$x $MTASK_WORKER $1 $CUDA_VISIBLE_DEVICES $HIP_VISIBLE_DEVICES $CUDA_DEVICE_ORDER"
done"#;

fn tell(run: Run) -> Run {
    run.args(["--", "sh", "-c", TELL, "sh", "{gpu}"])
}

/// The GPUs of workers as a dry run shows them.
fn dealt(done: &Done) -> Vec<String> {
    done.assert_status(0);
    let shown = String::from_utf8_lossy(&done.stdout).into_owned();
    let words = shown.split_whitespace().map(|word| word.replace('\'', ""));
    words
        .filter_map(|word| Some(word.strip_prefix("CUDA_VISIBLE_DEVICES=")?.to_owned()))
        .collect()
}

/// A folder in which `nvidia-smi` is this script.
fn with_smi(script: &str) -> TestEnv {
    let env = TestEnv::new();
    std::fs::create_dir(env.path("bin")).expect("a folder");
    env.write_with_mode("bin/nvidia-smi", format!("#!/bin/sh\n{script}\n"), 0o755);
    env
}

/// A dry run with that first in PATH.
fn dry_run(env: &TestEnv, options: &str) -> Done {
    let run = env.mtask().shell("PATH=$PWD/bin:$PATH exec \"$0\" \"$@\"");
    run.words(&format!("--dry-run --gpus all {options} cat")).run()
}

#[test]
fn each_worker_has_the_gpu_that_stands_in_its_command_and_environment() {
    let done = tell(mtask("-j1 --gpus 3")).run_on("x\n");
    done.assert_output("x 0 3 3 3 PCI_BUS_ID\n");
    let name = "MIG-GPU-8932f937/1/0";
    let done = tell(mtask("--gpus").args([name])).run_on("x\n");
    done.assert_output(format!("x 0 {name} {name} {name} PCI_BUS_ID\n"));
    // What numbers mean is the user's to say.
    let done = tell(mtask("--gpus 0").var("CUDA_DEVICE_ORDER", "FASTEST_FIRST")).run_on("x\n");
    done.assert_output("x 0 0 0 0 FASTEST_FIRST\n");
}

#[test]
fn there_is_a_worker_for_each_or_a_multiple() {
    let dry_run = |options: &str| mtask("--dry-run").words(options).args(["cat"]).run();
    assert_eq!(dealt(&dry_run("--gpus 0,2")), ["0", "2"]);
    assert_eq!(dealt(&dry_run("--gpus 0,2 -j4")), ["0", "2", "0", "2"]);
    let three = "--worker-arg a=1 --worker-arg a=2 --worker-arg a=3";
    assert_eq!(dealt(&dry_run(&format!("--gpus 0,2 {three}"))).len(), 6);
    dry_run("--gpus 0,2 -j3").assert_status(2).assert_stderr_has("try --jobs 4");
    dry_run(&format!("--gpus 0,2 {three} -j3")).assert_status(2).assert_stderr_has("--jobs 6");
    for odd in ["", "0,,1", "0,0", "-1", "a b"] {
        let done = mtask("--gpus").args([odd, "cat"]).run();
        done.assert_status(2).assert_stderr_has("--gpus");
    }
}

#[test]
fn all_are_those_that_cuda_may_see() {
    let see = |visible| {
        let run = mtask("--dry-run --gpus all cat");
        run.var("CUDA_VISIBLE_DEVICES", visible).run()
    };
    for (visible, expected) in [
        ("1,3", &["1", "3"][..]),
        ("0,1,-1,2", &["0", "1"]),
        ("GPU-8932f937-d72c", &["GPU-8932f937-d72c"]),
        ("MIG-41b36223,MIG-9b2c", &["MIG-41b36223", "MIG-9b2c"]),
    ] {
        assert_eq!(dealt(&see(visible)), expected);
    }
    for none in ["", "-1", "NoDevFiles"] {
        let done = see(none);
        done.assert_status(2).assert_stdout("");
        done.assert_stderr_has(&format!("CUDA_VISIBLE_DEVICES is set to {none:?}"));
    }
}

#[test]
fn all_are_those_that_nvidia_smi_names_otherwise() {
    let two = with_smi(
        "[ \"$1\" = -L ] || exit 6
         echo 'GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6)'
         echo 'GPU 1: NVIDIA A100-SXM4-40GB (UUID: GPU-41b36223)'",
    );
    assert_eq!(dealt(&dry_run(&two, "")), ["0", "1"]);
    assert_eq!(dealt(&dry_run(&two, "-j4")), ["0", "1", "0", "1"]);
    let parts = with_smi(
        "echo 'GPU 0: NVIDIA A100-SXM4-40GB (UUID: GPU-5d5ba0d6)'
         echo '  MIG 3g.20gb     Device  0: (UUID: MIG-7c30)'
         echo '  MIG 3g.20gb     Device  1: (UUID: MIG-3f5e)'",
    );
    assert_eq!(dealt(&dry_run(&parts, "")), ["MIG-7c30", "MIG-3f5e"]);
}

#[test]
fn where_there_is_none_the_error_says_where_it_was_looked_for() {
    if Path::new("/proc/driver/nvidia/gpus").exists() {
        return crate::env::skip("there are GPUs");
    }
    let broken = with_smi("echo 'NVIDIA-SMI has failed' >&2; exit 9");
    let done = dry_run(&broken, "");
    done.assert_status(2).assert_stdout("");
    for place in [
        "CUDA_VISIBLE_DEVICES",
        "nvidia-smi failed",
        "/proc/driver/nvidia",
        "--gpus 0,1",
    ] {
        done.assert_stderr_has(place);
    }
}

#[test]
fn a_gpu_whose_worker_can_no_longer_start_is_given_up_by_name_and_the_others_go_on() {
    let script = "[ \"$1\" = 5 ] && exit 3; exec cat";
    for options in ["-j2", "-j4"] {
        let run = mtask(&format!("{options} --gpus 4,5 --max-restarts 1"));
        let done = run.args(["--", "sh", "-c", script, "sh", "{gpu}"]).run_on(numbers(1000));
        done.assert_status(0).assert_stdout(numbers(1000));
        done.assert_stderr_has("(GPU 5)").assert_stderr_has("given up");
        done.check(
            !done.stderr.contains("(GPU 4)"),
            "the other one is not named",
        );
    }
}
