//! mtask streams records through persistent worker processes: each worker is started once, records
//! flow to it over stdio, and every record has exactly one outcome, in its place.
//!
//! First what is asked of a run and how it ends, then the modules in the order in which a record
//! passes through them.

pub mod cli;
pub mod config;
pub mod exit;
pub mod generate;
pub mod run;
pub mod show;

pub mod budget;
pub mod object;
pub mod record;
pub mod shape;
pub mod shard;
pub mod visible;

pub mod engine;
pub mod input;
pub mod join;
pub mod journal;
pub mod outcome;
pub mod output;
pub mod protocol;
pub mod schedule;
pub mod worker;

pub mod report;

pub mod signal;
pub mod sys;
pub mod waker;
