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
    /// By the wall clock, but not before a moment: a clock that was set back would have leases last until it is there again.
    pub(crate) fn start(not_before: Timestamp) -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let wall = Timestamp(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX));
        if wall < not_before {
            let behind = not_before.since(wall);
            tracing::warn!(
                ?behind,
                "the clock is behind what the journal was written at: time goes on from there"
            );
        }
        Self { started: Instant::now(), at_start: wall.max(not_before) }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.at_start.plus(self.started.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_goes_on_from_the_journals_last_moment() {
        let tomorrow = Clock::start(Timestamp(0)).now().plus(std::time::Duration::from_secs(86_400));
        assert!(Clock::start(tomorrow).now() >= tomorrow);
        assert!(Clock::start(Timestamp(5)).now() < tomorrow);
    }
}
