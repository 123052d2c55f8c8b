//! What arbitrary bytes must never do, as functions of the bytes: driven by `cargo fuzz` (see
//! `fuzz/`) and, on seeds and what chance makes of them, by `cargo test`.

mod answer_ends;
mod answers;
mod input;
mod journal;
mod placeholders;
mod record_placeholders;

pub(crate) use answer_ends::answer_ends;
pub(crate) use answers::answers;
pub(crate) use input::input;
pub(crate) use journal::journal;
pub(crate) use placeholders::placeholders;
pub(crate) use record_placeholders::record_placeholders;

/// Takes what decides a run off the front of the bytes.
fn take(data: &mut &[u8]) -> usize {
    let Some((first, rest)) = data.split_first() else {
        return 0;
    };
    *data = rest;
    usize::from(*first)
}
