//! mtask streams records through persistent worker processes: each worker is started once, records
//! flow to it over stdio, and every record has exactly one outcome, in its place.
//!
//! The modules stand in the order in which a record passes through them.

pub mod budget;
pub mod record;
