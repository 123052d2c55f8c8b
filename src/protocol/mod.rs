//! How records and answers travel: from lines that a worker wrote to answers, and back.
//!
//! No module here knows of processes, or of what becomes of an answer.

pub mod json;
pub mod lines;
pub mod stdout;
