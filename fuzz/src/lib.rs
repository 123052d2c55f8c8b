//! What is fuzzed stands with the tests, which run it too.

#[path = "../../tests/it/fuzz/bodies/mod.rs"]
mod bodies;

/// How the input is cut into records.
pub fn input(data: &[u8]) {
    bodies::input(data);
}

/// What a worker writes, with both protocols.
pub fn answers(data: &[u8]) {
    bodies::answers(data);
}

/// What a worker writes whose answers are several lines.
pub fn answer_ends(data: &[u8]) {
    bodies::answer_ends(data);
}

/// Init arguments and what they replace in a command line.
pub fn placeholders(data: &[u8]) {
    bodies::placeholders(data);
}

/// A record, and what it replaces in the command that is started for it.
pub fn record_placeholders(data: &[u8]) {
    bodies::record_placeholders(data);
}

/// The journal of a run that can be resumed.
pub fn journal(data: &[u8]) {
    bodies::journal(data);
}
