//! Whether the coordinator is heard, for people, and for a worker that only waits to say goodbye.

use std::time::{Duration, Instant};

use gramwise_trust::Address;
use tonic::Status;

use crate::calls;

/// A worker that leaves tries for so long to tell its last report; after that its journal keeps it for the next life.
const GOODBYE: Duration = Duration::from_secs(5);

/// Since when it is not.
#[derive(Debug, Default)]
pub(crate) struct Hearing {
    unheard_since: Option<Instant>,
    /// The same of a worker that has nothing more to do than to tell its last.
    leaving_since: Option<Instant>,
}

impl Hearing {
    /// A report did not come through.
    pub(crate) fn unheard(&mut self, address: &Address, status: &Status) {
        if self.unheard_since.is_none() {
            tracing::warn!(
                "{address} does not answer ({}); trials go on, and what they do is told later",
                calls::cause(status)
            );
        }
        self.unheard_since.get_or_insert_with(Instant::now);
    }

    /// Has a worker that only wants to leave waited long enough?
    pub(crate) fn is_hopeless(&mut self) -> bool {
        self.leaving_since.get_or_insert_with(Instant::now).elapsed() > GOODBYE
    }

    /// One came through.
    pub(crate) fn heard(&mut self, address: &Address) {
        self.leaving_since = None;
        if let Some(since) = self.unheard_since.take() {
            tracing::warn!("{address} answers again after {} s", since.elapsed().as_secs());
        }
    }
}
