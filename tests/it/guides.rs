//! The guides under docs are true: their examples are run.

use crate::examples::run_all;

#[test]
fn every_worker_in_docs_workers_does_what_it_says() {
    run_all("docs/workers.md", include_str!("../../docs/workers.md"));
}
