//! `--dry-run`: what would be run is shown, for each worker or, with `--each`, for each record.

use std::io::{self, BufWriter, Write};

use crate::budget::Budget;
use crate::config::Config;
use crate::exit::Status;
use crate::input::{self, Arrival, Gone, LeftOut};
use crate::outcome::Failure;
use crate::protocol;
use crate::record::{Attempt, OwnRecord};
use crate::run::{print, printed, say};
use crate::schedule::policy::Lifespan;
use crate::worker::dry_run::{write_commands, write_program};

/// Writes what would be run to stdout.
///
/// # Errors
/// Where it cannot be written, or the input not be read.
pub fn show(config: Config) -> anyhow::Result<Status> {
    if config.policy.lifespan == Lifespan::OwnRecord {
        return show_records(config);
    }
    print(|to| write_commands(&config.launcher, to))
}

/// The command of each record, as if they were dealt out in turn.
fn show_records(config: Config) -> anyhow::Result<Status> {
    let budget = Budget::new(config.buffer);
    let mut to = BufWriter::new(io::stdout().lock());
    let (mut written, mut end) = (Ok(()), Ok(()));
    let workers = config.launcher.workers();
    let shape = config.shape;
    let mut show_one = |own: &OwnRecord| {
        let worker = own.index.0 as usize % workers;
        match config.launcher.program_for(own, worker, 0, workers) {
            Ok(program) => written = write_program(&program, &mut to),
            Err(why) => say(&format!("record {} cannot be run: {why}", own.index)),
        }
        written.is_ok()
    };
    let take = |arrival| {
        match arrival {
            Arrival::Records(mut block) => {
                while block.count > 0 {
                    let first = block.cut_records(1, shape.separator);
                    let mut own = OwnRecord {
                        index: first.first,
                        attempt: Attempt(1),
                        bytes: first.bytes,
                    };
                    own.bytes = protocol::write_own(&own, &shape, &budget);
                    if !show_one(&own) {
                        return Err(Gone);
                    }
                }
            }
            Arrival::Rejected(rejected) => {
                let failure = Failure::from(rejected);
                say(&format!(
                    "record {} cannot be run: {}",
                    failure.index,
                    failure.message()
                ));
            }
            Arrival::Failed(error) => end = Err(anyhow::anyhow!("{error}")),
            Arrival::Awaited(_) | Arrival::Odd(_) | Arrival::End | Arrival::Changed(_) => {}
        }
        Ok(())
    };
    input::read_all(
        config.inputs,
        shape,
        budget.clone(),
        LeftOut::default(),
        take,
    );
    let status = printed(written.and_then(|()| to.flush()))?;
    end?;
    Ok(status)
}
