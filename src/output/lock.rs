//! Who may write to a file: one run that can be resumed, or any number of those that cannot.
//!
//! A run that can be resumed vouches for every byte of its files, so it shares them with nobody.
//! The lock is the file's, and held until that is closed everywhere, however mtask ends.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::exit::{Status, Unusable};
use crate::visible;

/// For so long at most a run that was killed may still seem to be there.
const LAST_HOLD: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// Keeps all other runs from a file.
///
/// # Errors
/// 1 where another one uses it.
pub(crate) fn claim(
    file: &File,
    option: &str,
    path: &Path,
    warnings: &mut Vec<String>,
) -> Result<(), Unusable> {
    match lock(file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(()),
        Err(Errno::WOULDBLOCK) => Err(in_use(option, path)),
        // A file system without locks: better to run than not.
        Err(error) => {
            warnings.push(format!(
                "{option} {} cannot be locked ({error}): take care that no other run uses it",
                visible::name(path)
            ));
            Ok(())
        }
    }
}

/// Keeps runs that can be resumed from a file.
///
/// # Errors
/// 1 where one uses it.
pub(super) fn share(file: &File, option: &str, path: &Path) -> Result<(), Unusable> {
    match lock(file, FlockOperation::NonBlockingLockShared) {
        Err(Errno::WOULDBLOCK) => Err(in_use(option, path)),
        // Where there are no locks, no run that can be resumed has one either, and has said so. NFS
        // is said to refuse this one for files that are only written to; that is not tested.
        Ok(()) | Err(_) => Ok(()),
    }
}

pub(crate) fn in_use(option: &str, path: &Path) -> Unusable {
    let message = format!(
        "{option} {} is in use by another mtask, or locked by flock(1): wait for its end, or end it",
        visible::name(path)
    );
    Unusable::new(Status::Fault, message)
}

fn lock(file: &File, operation: FlockOperation) -> Result<(), Errno> {
    let asked = Instant::now();
    loop {
        match flock(file, operation) {
            // A run that was killed while it started a process holds its locks until that is
            // another program.
            Err(Errno::WOULDBLOCK) if asked.elapsed() < LAST_HOLD => thread::sleep(PAUSE),
            Err(Errno::INTR) => {}
            locked => return locked,
        }
    }
}
