//! Workers: what each runs, and the processes that run it.

pub mod init;

pub mod command;
pub mod dry_run;
pub mod each;
pub mod launcher;
pub mod lookup;
pub mod machine;
pub mod python;

pub mod child;
pub mod memory;
pub mod oom;
pub mod process;
pub mod stderr;
