//! What two readings of a cumulative counter say about the energy between them.
//!
//! Readings may fall. A fall is a wrap only if physics allows it: if the energy that a wrap would mean could have been drawn in
//! the time that went by. Otherwise the counter was reset, and what was burnt in between is not known from it. Taking each
//! fall for a wrap invents tens of kilojoules after a driver restart; subtracting as it stands goes negative.

use std::time::Duration;

use gramwise_carbon::{Joules, Microjoules, Watts};

/// A wrap may mean this much more than the most the device can draw over the time: caps are exceeded for moments.
const TOLERANCE: f64 = 1.2;
/// ... and this much in any case, for very short times.
const SLACK: Joules = Joules::new(1.0);

/// What became of a counter since its last good reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advance {
    /// There was no reading before: nothing is known of the past.
    First,
    /// It grew by so much, a wrap included.
    Grew(Microjoules),
    /// It was reset: the energy of this time is not known from it.
    Reset {
        /// The time since the last good reading.
        gap: Duration,
    },
}

/// The last good reading of one counter.
#[derive(Debug, Clone)]
pub(crate) struct Counter {
    range: Option<u64>,
    max_power: Option<Watts>,
    last: Option<(u64, Duration)>,
}

impl Counter {
    /// A counter that was not read yet; `range` is the value at which it wraps, where it does.
    pub(crate) fn new(range: Option<u64>, max_power: Option<Watts>) -> Self {
        Self { range, max_power, last: None }
    }

    /// Takes in a good reading at a moment of the boot clock.
    pub(crate) fn advance(&mut self, raw: u64, at: Duration) -> Advance {
        let Some((before, then)) = self.last.replace((raw, at)) else { return Advance::First };
        let elapsed = at.saturating_sub(then);
        match raw.checked_sub(before) {
            Some(grown) => Advance::Grew(Microjoules::new(grown)),
            None => self.fall(before, raw, elapsed),
        }
    }

    fn fall(&self, before: u64, raw: u64, elapsed: Duration) -> Advance {
        let wrapped =
            self.range.and_then(|range| range.checked_sub(before)).map(|rest| rest.saturating_add(raw));
        let possible = self.max_power.map(|power| (power * TOLERANCE).over(elapsed) + SLACK);
        match (wrapped.map(Microjoules::new), possible) {
            (Some(wrapped), Some(possible)) if wrapped.joules() <= possible => Advance::Grew(wrapped),
            (Some(_) | None, Some(_) | None) => Advance::Reset { gap: elapsed },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn joules(amount: f64) -> Advance {
        Advance::Grew(Joules::new(amount).to_exact())
    }

    #[test]
    fn growth_is_the_difference_and_a_failed_reading_is_covered_by_the_next() {
        let mut counter = Counter::new(None, None);
        assert_eq!(counter.advance(5_000_000, SECOND), Advance::First);
        // The reading at 2 s failed: nothing was handed in.
        assert_eq!(counter.advance(205_000_000, SECOND * 3), joules(200.0));
    }

    #[test]
    fn a_fall_that_physics_allows_is_a_wrap() {
        let mut counter = Counter::new(Some(262_143_328_850), Some(Watts::new(300.0)));
        counter.advance(262_143_000_000, SECOND);
        assert_eq!(counter.advance(150_000_000, SECOND * 2), joules(150.328_85));
    }

    #[test]
    fn a_fall_that_physics_forbids_is_a_reset() {
        let mut counter = Counter::new(Some(262_143_328_850), Some(Watts::new(300.0)));
        counter.advance(200_000_000_000, SECOND);
        assert_eq!(counter.advance(5_000_000, SECOND * 2), Advance::Reset { gap: SECOND });
        assert_eq!(counter.advance(9_000_000, SECOND * 3), joules(4.0));
    }

    #[test]
    fn a_counter_that_does_not_wrap_was_reset() {
        let mut counter = Counter::new(None, Some(Watts::new(700.0)));
        counter.advance(1_000_000, SECOND);
        assert_eq!(counter.advance(0, SECOND * 2), Advance::Reset { gap: SECOND });
    }
}
