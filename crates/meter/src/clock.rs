//! The clocks of a reading.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// A moment on two clocks. Neither follows the wall clock, so no step of that one moves them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub(crate) struct Moment {
    /// Time since boot, suspend included: what readings are stamped with, also by other processes.
    pub(crate) boot: Duration,
    /// Time since boot, suspend excluded: what power is multiplied by. A machine that sleeps burns next to nothing, and
    /// a power seen before and after the sleep says nothing of it.
    pub(crate) awake: Duration,
}

impl Moment {
    /// Now.
    pub(crate) fn now() -> Self {
        Self { boot: read(ClockId::Boottime), awake: read(ClockId::Monotonic) }
    }

    /// The time awake since an earlier moment; zero if that one is not earlier.
    pub(crate) fn since(self, earlier: Self) -> Duration {
        self.awake.saturating_sub(earlier.awake)
    }

    /// A moment so many seconds after boot, on a machine that never slept.
    #[cfg(test)]
    pub(crate) fn at(seconds: f64) -> Self {
        let time = Duration::from_secs_f64(seconds);
        Self { boot: time, awake: time }
    }
}

/// Time since boot, suspend included: the clock that readings are stamped with.
pub fn boot_time() -> Duration {
    read(ClockId::Boottime)
}

fn read(clock: ClockId) -> Duration {
    let now = clock_gettime(clock);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_clocks_run_and_sleep_does_not_count() {
        let (first, second) = (Moment::now(), Moment::now());
        assert!(second >= first && first.boot >= first.awake.saturating_sub(Duration::from_millis(1)));
        let slept = Moment { boot: Duration::from_secs(3600), awake: Duration::from_secs(2) };
        assert_eq!(slept.since(Moment::at(1.0)), Duration::from_secs(1));
        assert_eq!(Moment::at(1.0).since(slept), Duration::ZERO);
    }
}
