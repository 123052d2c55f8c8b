//! The files that are written: opened, locked, and how bytes get into them.
//!
//! Owns the descriptors. Who writes what and when is not decided here.

pub(crate) mod at_once;
mod destination;
pub mod files;
pub(crate) mod lock;
mod new_file;
pub mod rewrite;

pub use destination::{Destination, Destinations, Sink, WriteError};
pub(crate) use destination::{PIPE_BUF, Target};
pub(crate) use new_file::{NewFile, end_of_links, rename};
