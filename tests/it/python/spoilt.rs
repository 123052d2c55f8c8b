//! Errors after which a process is of no more use, and memory that runs out.

use crate::done::numbers;
use crate::python::{error, python};
use crate::python_concurrency::interpreters;

/// A process that is of no use from record 5 on, as one whose GPU is in error. Once is enough.
const SPOILT: &str = r#"
import asyncio, os
class Spoilt(Exception):
    restart = True
class Model:
    def __init__(self, *, how="attribute"):
        self.how, self.is_spoilt = how, False
    def __call__(self, x):
        if x == 5 and not os.path.exists("spoilt"):
            open("spoilt", "w").close()
            self.is_spoilt = True
        if self.is_spoilt:
            if self.how == "attribute":
                raise Spoilt("of no use")
            try:
                raise RuntimeError("CUDA error: device-side assert triggered")
            except RuntimeError as error:
                raise ValueError("in the model") from error
        return x
    def close(self):
        open("closed", "a").write("closed\n")
class Tasks(Model):
    async def __call__(self, x):
        await asyncio.sleep(0)
        return Model.__call__(self, x)
"#;

#[test]
fn a_process_that_is_of_no_more_use_is_replaced_after_its_answer() {
    let Some(env) = python(SPOILT) else { return };
    let interpreter = interpreters().remove(0);
    for how in ["how=attribute", "how=sticky"] {
        for (options, class) in [
            ("", "Model"),
            ("--concurrency 4", "Model"),
            ("--concurrency 4", "Tasks"),
        ] {
            let done = env
                .mtask()
                .words("-j1 --window 8 --shared-arg")
                .args([how])
                .words(options)
                .args(["--python", &format!("work.py:{class}"), "--", &interpreter])
                .run_on(numbers(50));
            done.assert_status(123);
            let failed = done.error_records();
            let is_right =
                (1..20).contains(&failed.len()) && failed.iter().any(|it| it["index"] == 5);
            done.check(is_right, "others fail than those that were under way");
            done.assert_stderr_has("the process is replaced: ");
            assert_eq!(done.lines()[49], b"49");
            std::fs::remove_file(env.path("spoilt")).expect("it was spoilt");
        }
    }
    assert_eq!(env.lines("closed").len(), 12, "each process ends well");
}

#[test]
fn a_batch_that_spoils_its_process_is_tried_one_by_one_in_the_next() {
    let source = r#"
is_spoilt = False
def work(batch):
    global is_spoilt
    is_spoilt = is_spoilt or 13 in batch
    if is_spoilt:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")
    return batch
"#;
    let Some(env) = python(source) else { return };
    let done = env.mtask().words("-j1 --batch 8 --python work.py:work").run_on(numbers(40));
    done.assert_status(123);
    done.assert_one_error(13, "worker_error");
    done.assert_results_but(13, &numbers(40));
}

#[test]
fn where_memory_runs_out_batches_have_fewer_records_from_then_on() {
    let source = r#"
class OutOfMemoryError(RuntimeError):
    "As torch has it."
sizes = []
class Work:
    def __init__(self, kind=None):
        self.error = MemoryError if kind == "memory" else OutOfMemoryError
    def __call__(self, batch):
        sizes.append(len(batch))
        if len(batch) > 5:
            raise self.error("out of memory")
        if 70 in batch and len(batch) == 1:
            raise self.error("too large")
        if 70 in batch:
            raise ValueError("70 is in it")
        return batch
    def close(self):
        return sizes
"#;
    let Some(env) = python(source) else { return };
    for kind in ["kind=memory", "kind=torch"] {
        let done = env
            .mtask()
            .words("-j1 --batch 32 --exits exits --shared-arg")
            .args([kind, "--python", "work.py:Work"])
            .run_on(numbers(100));
        done.assert_status(123);
        done.assert_one_error(70, "worker_error");
        assert_eq!(error(&done, 70)["message"], "too large");
        done.assert_results_but(70, &numbers(100));
        done.assert_stderr_has("calls have 16 records at most from now on: ");
        let said = done.stderr.matches("from now on").count();
        done.check(said == 1, "it is said more than once");
        let exit = env.lines("exits").concat();
        let sizes: serde_json::Value = serde_json::from_str(&exit).expect("JSON");
        let sizes: Vec<u64> = (sizes["exit"].as_array().expect("a list").iter())
            .filter_map(serde_json::Value::as_u64)
            .collect();
        assert_eq!(
            sizes.iter().filter(|size| **size > 5).count(),
            3,
            "{sizes:?}"
        );
        assert!(
            sizes.iter().filter(|size| **size == 4).count() > 15,
            "{sizes:?}"
        );
        std::fs::remove_file(env.path("exits")).expect("a file");
    }
}
