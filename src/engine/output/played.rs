//! The writing thread as a test plays it, which says when anything is written.

use crossbeam_channel::{Receiver, unbounded};

use super::lane::{OutputWriter, WriteJob, Writing};
use super::{Output, Sink};

/// What stands in for the writing thread.
pub(in crate::engine) struct PlayedWriter<S> {
    parcels: Receiver<WriteJob>,
    writing: Writing<S>,
}

impl<S: Sink> PlayedWriter<S> {
    /// Whether there is anything to be written.
    pub(in crate::engine) fn has_work(&self) -> bool {
        !self.parcels.is_empty()
    }

    /// Writes the next job.
    pub(in crate::engine) fn write(&mut self) {
        if let Ok(job) = self.parcels.try_recv() {
            // Nobody asks for it any more where the engine is gone.
            let _ = self.writing.write(job);
        }
    }
}

impl<S: Sink> Output<S> {
    /// Takes the place of the writing thread, which is not there yet. No more than `most` bytes are
    /// on their way at a time.
    pub(in crate::engine) fn play_writer(&mut self, most: usize) -> PlayedWriter<S> {
        let (to_writer, parcels) = unbounded();
        let OutputWriter::NotYet(writing) = &self.lane.writer else {
            panic!("the thread has been started");
        };
        let writing = writing.again();
        self.lane.writer = OutputWriter::Thread(to_writer);
        self.most = most;
        PlayedWriter { parcels, writing }
    }
}
