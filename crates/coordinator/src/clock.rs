//! The coordinator's clock: wall time at the start, then monotonic. A step of the wall clock moves no lease.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use gramwise_model::Timestamp;

/// Hands out timestamps that never go backwards.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    at_start: Timestamp,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_start = Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX));
        Self { started: Instant::now(), at_start }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.at_start.plus(self.started.elapsed())
    }
}
