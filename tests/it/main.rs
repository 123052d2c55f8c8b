//! Tests of the mtask binary, a module for each part of what it promises.
//!
//! `cargo test --test it deaths::` runs one module. [`env`], [`live`], [`done`], [`examples`],
//! [`processes`], [`terminal`] and [`wait`] are what the others are written with; the worker they
//! use is `tests/worker`.

mod browser;
mod done;
mod env;
mod examples;
mod live;
mod processes;
mod terminal;
#[path = "../wait.rs"]
mod wait;

mod chaos;
mod cluster;
mod order;
mod property;

mod coprocess;
mod foreign_text;
mod fuzz;
mod input;
mod jsonl;
mod limits;
mod pools;
mod process_limit;
mod rates;
mod refusals;

mod gpus;
mod pin;
mod startup;
mod threads;
mod usage;
mod worker_args;
mod worker_memory;
mod worker_stderr;
mod workers;

mod blame;
mod deaths;
mod delays;
mod each;
mod ends;
mod on_error;
mod restarts;
mod retries;
mod timeouts;
mod unkillable;

mod python;
mod python_batch;
mod python_concurrency;
mod python_expression;
mod python_model;
mod python_module;
mod python_start;

mod contract;
mod ends_of_workers;
mod json;
mod places;

mod backpressure;
mod completions;
mod error_records;
mod generate;
mod guides;
mod log;
mod memory;
mod metrics;
mod objects;
mod output;
mod packaging;
mod parts;
mod passed_errors;
mod pid1;
mod progress;
mod readme;
mod report;
mod reports;
mod resume;
mod rooms;
mod rows;
mod several_lines;
mod shards;
mod signals;
mod stats;
mod status_line;
mod waits;
