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
/// Growth of so many times what is possible is garbage. Far above any true reading on purpose: power limits are raised while
/// a meter runs, and a counter that moves in steps shows a whole step's energy in no time.
const ABSURD: f64 = 10.0;
/// The longest step of a counter, with a wide margin: NVML's are 20 to 100 ms.
const STEP: Duration = Duration::from_secs(1);

/// What became of a counter since its last good reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Advance {
    /// There was no reading before: nothing is known of the past.
    First,
    /// It grew by so much, a wrap included.
    Grew(Microjoules),
    /// The energy of this time is not known from it.
    Gap(Gap),
}

/// Why two readings do not tell the energy between them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gap {
    /// It fell, and not by a wrap.
    Reset,
    /// So much time went by that it may have wrapped more than once.
    Ambiguous,
    /// It grew by far more than the device can draw.
    Jump,
}

/// The last good reading of one counter.
#[derive(Debug, Clone)]
pub(crate) struct Counter {
    range: Option<u64>,
    max_power: Option<Watts>,
    last: Option<u64>,
}

impl Counter {
    /// A counter that was not read yet; `range` is the value at which it wraps, where it does.
    pub(crate) fn new(range: Option<u64>, max_power: Option<Watts>) -> Self {
        Self { range, max_power, last: None }
    }

    /// The last good reading.
    pub(crate) fn last(&self) -> Option<u64> {
        self.last
    }

    /// The same counter with another last reading.
    pub(crate) fn left_at(&self, raw: u64) -> Self {
        Self { last: Some(raw), ..self.clone() }
    }

    /// Takes in a good reading, so much time after the last good one.
    pub(crate) fn advance(&mut self, raw: u64, elapsed: Duration) -> Advance {
        let Some(before) = self.last.replace(raw) else { return Advance::First };
        let possible = self.max_power.map(|power| (power * TOLERANCE).over(elapsed) + SLACK);
        if let (Some(range), Some(possible)) = (self.range, possible)
            && possible >= Microjoules::new(range).joules()
        {
            return Advance::Gap(Gap::Ambiguous);
        }
        match raw.checked_sub(before) {
            Some(grown) if self.absurd(grown, elapsed) => Advance::Gap(Gap::Jump),
            Some(grown) => Advance::Grew(Microjoules::new(grown)),
            None => self.fall(before, raw, possible),
        }
    }

    fn fall(&self, before: u64, raw: u64, possible: Option<Joules>) -> Advance {
        let wrapped =
            self.range.and_then(|range| range.checked_sub(before)).map(|rest| rest.saturating_add(raw));
        match (wrapped.map(Microjoules::new), possible) {
            (Some(wrapped), Some(possible)) if wrapped.joules() <= possible => Advance::Grew(wrapped),
            (Some(_) | None, Some(_) | None) => Advance::Gap(Gap::Reset),
        }
    }

    fn absurd(&self, grown: u64, elapsed: Duration) -> bool {
        let bound = self.max_power.map(|power| (power * ABSURD).over(elapsed + STEP));
        bound.is_some_and(|bound| Microjoules::new(grown).joules() > bound)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    /// What most servers' packages wrap at.
    const RANGE: u64 = 262_143_328_850;

    fn joules(amount: f64) -> Advance {
        Advance::Grew(Joules::new(amount).to_exact())
    }

    fn package() -> Counter {
        Counter::new(Some(RANGE), Some(Watts::new(300.0)))
    }

    #[test]
    fn growth_is_the_difference_and_a_failed_reading_is_covered_by_the_next() {
        let mut counter = Counter::new(None, None);
        assert_eq!(counter.advance(5_000_000, Duration::ZERO), Advance::First);
        // The reading in between failed: nothing was handed in.
        assert_eq!(counter.advance(205_000_000, SECOND * 2), joules(200.0));
        assert_eq!(counter.advance(205_000_000, SECOND), joules(0.0));
    }

    #[test]
    fn a_fall_that_physics_allows_is_a_wrap() {
        let mut counter = package();
        counter.advance(262_143_000_000, Duration::ZERO);
        assert_eq!(counter.advance(150_000_000, SECOND), joules(150.328_85));
    }

    #[test]
    fn a_fall_that_physics_forbids_is_a_reset() {
        let mut counter = package();
        counter.advance(200_000_000_000, Duration::ZERO);
        assert_eq!(
            counter.advance(5_000_000, SECOND),
            Advance::Gap(Gap::Reset),
            "a wrap would mean 62 148 J in a second"
        );
        assert_eq!(counter.advance(9_000_000, SECOND), joules(4.0));
    }

    #[test]
    fn the_edge_of_what_physics_allows() {
        // 300 W x 1.2 x 1 s + 1 J = 361 J.
        for (raw, expected) in [(361_000_000, joules(361.0)), (361_000_001, Advance::Gap(Gap::Reset))] {
            let mut counter = package();
            counter.advance(RANGE, Duration::ZERO);
            assert_eq!(counter.advance(raw, SECOND), expected);
        }
    }

    #[test]
    fn a_counter_that_does_not_wrap_was_reset() {
        let mut counter = Counter::new(None, Some(Watts::new(700.0)));
        counter.advance(1_000_000, Duration::ZERO);
        assert_eq!(counter.advance(0, SECOND), Advance::Gap(Gap::Reset));
    }

    #[test]
    fn after_so_long_that_it_may_have_wrapped_twice_growth_means_nothing() {
        let mut counter = package();
        counter.advance(1_000_000, Duration::ZERO);
        assert_eq!(counter.advance(2_000_000, SECOND * 729), Advance::Gap(Gap::Ambiguous));
        assert_eq!(counter.advance(3_000_000, SECOND), joules(1.0));
    }

    #[test]
    fn growth_that_no_device_can_draw_is_not_energy() {
        let mut counter = Counter::new(None, Some(Watts::new(700.0)));
        counter.advance(1_000_000, Duration::ZERO);
        assert_eq!(counter.advance(1 << 50, SECOND), Advance::Gap(Gap::Jump));
        // A whole step's energy in an instant is true, and so is a limit that was tripled meanwhile.
        assert_eq!(counter.advance((1 << 50) + 70_000_000, Duration::ZERO), joules(70.0));
        assert_eq!(counter.advance((1 << 50) + 2_170_000_000, SECOND), joules(2100.0));
    }

    proptest! {
        /// A counter that wraps and never resets gives back what was burnt, to the microjoule.
        #[test]
        fn wraps_lose_nothing(start in 0..RANGE, steps in prop::collection::vec(0u64..300_000_000, 1..400)) {
            let (mut counter, mut burnt) = (package(), 0u64);
            counter.advance(start, Duration::ZERO);
            for step in &steps {
                burnt += step;
                prop_assert_eq!(
                    counter.advance((start + burnt) % RANGE, SECOND),
                    Advance::Grew(Microjoules::new(*step))
                );
            }
        }
    }
}
