//! One device read at intervals: energy per interval, with how it was obtained.

use std::time::Duration;

use gramwise_carbon::{Amount, Microjoules, Provenance, Watts};

use crate::clock::Moment;
use crate::counter::{Advance, Counter};
use crate::device::{Device, Raw, ReadError};
use crate::handover::{GaugeLeft, Hole};

/// Counters step every 20 to 100 ms: over less time a mean power means nothing.
const SHORTEST_MEAN: Duration = Duration::from_millis(200);
/// Between two powers further apart than this, the power is not known: five periods of the meter's thread.
const LONGEST_TRAPEZOID: Duration = Duration::from_secs(5);
/// A device that cannot be read for so long is taken to be gone.
const PATIENCE: Duration = Duration::from_secs(60);
/// A device that is gone is taken to go on as before for so long; then its work has ended and it idles.
const LAST_WORK: Duration = Duration::from_secs(60);

/// A device, its last reading, and the powers it was seen at.
pub(crate) struct Gauge {
    device: Box<dyn Device>,
    counter: Counter,
    /// The moment up to which its energy is known.
    known_to: Option<Moment>,
    /// A power reading at that moment, where the device has no counter.
    power: Option<Watts>,
    /// The power last seen, as a mean or as it was read: what a gap is filled with.
    usual: Option<Watts>,
    /// The lowest power seen: what a device that is gone falls to.
    lowest: Option<Watts>,
    /// The last good reading of a device that is gone.
    gone: Option<Moment>,
    /// What was estimated since.
    guessed: Microjoules,
    /// What was estimated beyond what a device that came back had counted: held back from what it counts next.
    owed: Microjoules,
    /// The first reading of its counter in this life of the meter.
    first: Option<(u64, Moment)>,
}

impl Gauge {
    pub(crate) fn new(device: Box<dyn Device>) -> Self {
        let counter = Counter::new(device.range(), device.max_power());
        Self {
            device,
            counter,
            known_to: None,
            power: None,
            usual: None,
            lowest: None,
            gone: None,
            guessed: Microjoules::ZERO,
            owed: Microjoules::ZERO,
            first: None,
        }
    }

    pub(crate) fn name(&self) -> &str {
        self.device.name()
    }

    /// Its last good reading; `None` before the first.
    pub(crate) fn left(&self) -> Option<GaugeLeft> {
        let usual = self.usual.unwrap_or_else(|| self.device.usual_power());
        Some(GaugeLeft { raw: self.counter.last(), at: self.known_to?, usual })
    }

    /// What its counter grew from an earlier life's last reading to this life's first.
    pub(crate) fn hole(&self, left: &GaugeLeft) -> Hole {
        let (Some(raw), Some((first, at))) = (left.raw, self.first) else { return Hole::Unknown };
        let time = at.since(left.at);
        match self.counter.left_at(raw).advance(first, time) {
            Advance::Grew(energy) => Hole::Known(energy, time),
            Advance::First | Advance::Gap(_) => Hole::Unknown,
        }
    }

    /// Does it integrate power, for want of a counter? Not known before the first reading.
    pub(crate) fn integrates(&self) -> bool {
        self.power.is_some()
    }

    /// Reads the device: the energy since the last good reading. `None` where this reading failed: the next good one covers
    /// the hole. An estimate where the energy cannot be known: the counter was reset, the device is gone. A device that is gone
    /// is asked again each time: once it answers, what its counter grew takes the place of what was estimated.
    pub(crate) fn read(&mut self, at: Moment) -> Option<Amount> {
        match (self.device.read(), self.gone) {
            (Ok(raw), Some(gone)) => Some(self.back(raw, gone, at)),
            (Err(_), Some(_)) => {
                let energy = self.fill(at);
                self.guessed += energy.total();
                Some(energy)
            }
            (answer, None) => self.answered(answer, at),
        }
    }

    fn answered(&mut self, answer: Result<Raw, ReadError>, at: Moment) -> Option<Amount> {
        match answer {
            Ok(Raw::Counter(raw)) => Some(self.by_counter(raw, at)),
            Ok(Raw::Power(power)) => Some(self.by_power(power, at)),
            // What fails for so long does not come back with the next reading: what it burns is estimated, and settled if it does.
            Err(ReadError::Retry(why)) if self.known_to.is_none_or(|then| at.since(then) <= PATIENCE) => {
                tracing::debug!(device = self.device.name(), why, "reading failed");
                None
            }
            Err(ReadError::Gone(why) | ReadError::Fatal(why) | ReadError::Retry(why)) => {
                let device = self.device.name();
                tracing::warn!(device, why, "no more readings: energy is estimated from here on");
                self.gone = Some(self.known_to.unwrap_or(at));
                let energy = self.fill(at);
                self.guessed = energy.total();
                Some(energy)
            }
        }
    }

    /// A device that was gone answers again.
    fn back(&mut self, raw: Raw, gone: Moment, at: Moment) -> Amount {
        tracing::warn!(device = self.device.name(), "it can be read again");
        let guessed = std::mem::take(&mut self.guessed);
        let energy = match raw {
            Raw::Power(power) => {
                let energy = self.fill(at);
                self.power = Some(power);
                energy
            }
            Raw::Counter(raw) => match self.counter.advance(raw, at.since(gone)) {
                // How much is known; who burnt it when is not.
                Advance::Grew(energy) => {
                    self.known_to = Some(at);
                    let rest = energy.checked_sub(guessed).unwrap_or_default();
                    self.owed += guessed.checked_sub(energy).unwrap_or_default();
                    Amount::new(rest, Provenance::Modelled)
                }
                Advance::First | Advance::Gap(_) => self.fill(at),
            },
        };
        self.gone = None;
        energy
    }

    fn by_counter(&mut self, raw: u64, at: Moment) -> Amount {
        let elapsed = self.known_to.map_or(Duration::ZERO, |then| at.since(then));
        match self.counter.advance(raw, elapsed) {
            Advance::First => {
                self.first = Some((raw, at));
                self.known_to = Some(at);
                Amount::ZERO
            }
            Advance::Grew(energy) => {
                self.grew(energy, elapsed);
                self.known_to = Some(at);
                let held_back = energy.min(self.owed);
                self.owed = self.owed.checked_sub(held_back).unwrap_or_default();
                Amount::new(energy.checked_sub(held_back).unwrap_or_default(), Provenance::Measured)
            }
            Advance::Gap(gap) => {
                tracing::warn!(
                    device = self.device.name(),
                    ?gap,
                    ?elapsed,
                    "the counter does not tell: estimated"
                );
                self.fill(at)
            }
        }
    }

    fn grew(&mut self, energy: Microjoules, elapsed: Duration) {
        if elapsed >= SHORTEST_MEAN {
            self.saw(Watts::new(energy.joules().get() / elapsed.as_secs_f64()));
        }
    }

    fn saw(&mut self, power: Watts) {
        self.usual = Some(power);
        self.lowest = Some(self.lowest.filter(|lowest| *lowest <= power).unwrap_or(power));
    }

    /// Trapezoid between this power and the one before (the power NVML tells is itself a mean over up to a second).
    fn by_power(&mut self, power: Watts, at: Moment) -> Amount {
        let before = self.power.replace(power);
        let then = self.known_to.replace(at);
        self.saw(power);
        let (Some(before), Some(then)) = (before, then) else { return Amount::ZERO };
        let elapsed = at.since(then);
        let provenance =
            if elapsed <= LONGEST_TRAPEZOID { Provenance::Measured } else { Provenance::Estimated };
        Amount::new(((before + power) * 0.5).over(elapsed).to_exact(), provenance)
    }

    /// Estimates the energy since the last reading by the power seen before it, no higher than the device can draw.
    fn fill(&mut self, at: Moment) -> Amount {
        let Some(then) = self.known_to.replace(at) else { return Amount::ZERO };
        let usual = self.usual.unwrap_or_else(|| self.device.usual_power());
        let usual = self.device.max_power().filter(|most| *most < usual).unwrap_or(usual);
        let idle = self.lowest.filter(|lowest| *lowest < usual).unwrap_or(usual);
        let elapsed = at.since(then);
        let working =
            self.gone.map_or(elapsed, |gone| LAST_WORK.saturating_sub(then.since(gone)).min(elapsed));
        let energy = usual.over(working) + idle.over(elapsed.saturating_sub(working));
        Amount::new(energy.to_exact(), Provenance::Estimated)
    }
}

impl std::fmt::Debug for Gauge {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Gauge").field("device", &self.device.name()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use gramwise_carbon::Joules;

    use super::*;
    use crate::replay::{Replay, counter, gone, power, retry};

    #[expect(clippy::unnecessary_wraps, reason = "what a reading gives")]
    fn measured(joules: f64) -> Option<Amount> {
        Some(Amount::new(Joules::new(joules).to_exact(), Provenance::Measured))
    }

    #[expect(clippy::unnecessary_wraps, reason = "what a reading gives")]
    fn estimated(joules: f64) -> Option<Amount> {
        Some(Amount::new(Joules::new(joules).to_exact(), Provenance::Estimated))
    }

    /// Reads once a second from second 0 on.
    fn played(replay: Replay, seconds: u32) -> Vec<Option<Amount>> {
        let mut gauge = Gauge::new(Box::new(replay));
        (0..seconds).map(|second| gauge.read(Moment::at(f64::from(second)))).collect()
    }

    #[test]
    fn a_failed_reading_is_covered_by_the_next_good_one() {
        let played = played(Replay::new([counter(7.0), counter(107.0), retry(), counter(307.0)]), 4);
        assert_eq!(played, [Some(Amount::ZERO), measured(100.0), None, measured(200.0)]);
    }

    #[test]
    fn a_reset_is_filled_with_the_power_before_it_and_counting_goes_on() {
        let played = played(Replay::new([counter(900.0), counter(1000.0), counter(30.0), counter(70.0)]), 4);
        assert_eq!(played[1..], [measured(100.0), estimated(100.0), measured(40.0)]);
    }

    #[test]
    fn a_reset_before_any_power_was_seen_is_filled_with_the_usual_one() {
        let played = played(Replay::new([counter(900.0), counter(0.0), counter(4.0)]).usually(150.0), 3);
        assert_eq!(played[1..], [estimated(150.0), measured(4.0)]);
    }

    #[test]
    fn a_gap_is_not_filled_beyond_what_the_device_can_draw() {
        let replay = Replay::new([counter(0.0), counter(500.0), counter(1.0)]).at_most(300.0);
        assert_eq!(played(replay, 3)[1..], [measured(500.0), estimated(300.0)]);
    }

    #[test]
    fn a_device_that_is_gone_ends_its_work_and_then_idles() {
        let mut gauge =
            Gauge::new(Box::new(Replay::new([counter(0.0), counter(50.0), counter(350.0), gone()])));
        let at = |second| Moment::at(f64::from(second));
        let seen: Vec<Option<Amount>> =
            [0, 1, 2, 3, 62, 72].into_iter().map(|second| gauge.read(at(second))).collect();
        // 300 W to second 62, sixty seconds after the last reading; the 50 W of its first second from then on.
        assert_eq!(seen[3..], [estimated(300.0), estimated(59.0 * 300.0), estimated(500.0)]);
    }

    #[expect(clippy::unnecessary_wraps, reason = "what a reading gives")]
    fn modelled(joules: f64) -> Option<Amount> {
        Some(Amount::new(Joules::new(joules).to_exact(), Provenance::Modelled))
    }

    #[test]
    fn a_device_that_comes_back_settles_what_was_estimated() {
        // 100 J estimated for each of two seconds, and 350 J counted in the three.
        let answers = [counter(0.0), counter(100.0), gone(), retry(), counter(450.0), counter(500.0)];
        let seen = played(Replay::new(answers), 6);
        assert_eq!(seen[2..], [estimated(100.0), estimated(100.0), modelled(150.0), measured(50.0)]);
        // 200 J estimated and 50 J counted: 150 J are held back from what follows.
        let answers =
            [counter(0.0), counter(100.0), gone(), gone(), counter(150.0), counter(250.0), counter(350.0)];
        let seen = played(Replay::new(answers), 7);
        assert_eq!(seen[4..], [modelled(0.0), measured(0.0), measured(50.0)]);
        // Its counter began anew meanwhile: the estimate stands.
        let answers = [counter(0.0), counter(100.0), gone(), counter(3.0), counter(53.0)];
        assert_eq!(
            played(Replay::new(answers), 5)[2..],
            [estimated(100.0), estimated(100.0), measured(50.0)]
        );
    }

    #[test]
    fn power_is_integrated_by_trapezoids_and_a_long_hole_is_estimated() {
        let replay = Replay::new([power(100.0), power(300.0), retry(), power(100.0), power(100.0)]);
        let mut gauge = Gauge::new(Box::new(replay));
        let seen: Vec<Option<Amount>> =
            [0.0, 1.0, 2.0, 3.0, 13.0].into_iter().map(|second| gauge.read(Moment::at(second))).collect();
        assert_eq!(seen, [Some(Amount::ZERO), measured(200.0), None, measured(400.0), estimated(1000.0)]);
        assert!(gauge.integrates());
    }

    #[test]
    fn power_is_not_integrated_over_a_suspend() {
        let mut gauge = Gauge::new(Box::new(Replay::new([power(100.0), power(100.0)])));
        gauge.read(Moment::at(1.0));
        let woken = Moment { boot: Duration::from_secs(7200), awake: Duration::from_secs(2) };
        assert_eq!(gauge.read(woken), measured(100.0));
    }
}
