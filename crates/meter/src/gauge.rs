//! One device read at intervals: energy per interval, with how it was obtained.

use std::time::Duration;

use gramwise_carbon::{Energy, Microjoules, Provenance, Watts};

use crate::counter::{Advance, Counter};
use crate::device::{Device, Raw, ReadError};

/// A device, its last reading, and the power it was last seen at.
pub(crate) struct Gauge {
    device: Box<dyn Device>,
    counter: Counter,
    /// The last good reading's moment and the mean power before it: what a gap is filled with.
    last: Option<(Duration, Option<Watts>)>,
    /// The device said it is gone.
    gone: bool,
}

impl Gauge {
    pub(crate) fn new(device: Box<dyn Device>) -> Self {
        let counter = Counter::new(device.range(), device.max_power());
        Self { device, counter, last: None, gone: false }
    }

    /// Reads the device at a moment of the boot clock: the energy since the last good reading. Nothing where the reading
    /// failed (the next good one covers the hole); an estimate where the counter was reset or the device is gone.
    pub(crate) fn read(&mut self, at: Duration) -> Energy {
        if self.gone {
            return self.fill(at);
        }
        match self.device.read() {
            Ok(Raw::Counter(raw)) => self.by_counter(raw, at),
            Ok(Raw::Power(power)) => self.by_power(power, at),
            Err(ReadError::Retry(why)) => {
                tracing::debug!(device = self.device.name(), why, "reading failed");
                Energy::ZERO
            }
            Err(ReadError::Gone(why)) => {
                tracing::warn!(
                    device = self.device.name(),
                    why,
                    "device gone: its energy is estimated from here on"
                );
                self.gone = true;
                self.fill(at)
            }
        }
    }

    fn by_counter(&mut self, raw: u64, at: Duration) -> Energy {
        match self.counter.advance(raw, at) {
            Advance::First => {
                self.last = Some((at, None));
                Energy::ZERO
            }
            Advance::Grew(energy) => {
                self.note(energy, at);
                Energy::new(energy, Provenance::Measured)
            }
            Advance::Reset { gap } => {
                tracing::warn!(device = self.device.name(), ?gap, "counter was reset: the gap is estimated");
                self.fill(at)
            }
        }
    }

    /// Trapezoid between this power and the one before (the power NVML tells is itself a mean over up to a second).
    fn by_power(&mut self, power: Watts, at: Duration) -> Energy {
        let before = self.last.replace((at, Some(power)));
        let Some((then, Some(last))) = before else { return Energy::ZERO };
        let mean = (last + power) * 0.5;
        Energy::new(mean.over(at.saturating_sub(then)).to_exact(), Provenance::Measured)
    }

    /// Estimates the energy since the last reading at the power seen before it; nothing if none was seen.
    fn fill(&mut self, at: Duration) -> Energy {
        let Some((then, power)) = self.last else { return Energy::ZERO };
        self.last = Some((at, power));
        let energy = power.unwrap_or(Watts::ZERO).over(at.saturating_sub(then));
        Energy::new(energy.to_exact(), Provenance::Estimated)
    }

    fn note(&mut self, energy: Microjoules, at: Duration) {
        let (then, before) = self.last.unwrap_or((at, None));
        let elapsed = at.saturating_sub(then).as_secs_f64();
        // Counters step every 20 to 100 ms: over less time a mean power means nothing.
        let power = if elapsed >= 0.2 { Some(Watts::new(energy.joules().get() / elapsed)) } else { before };
        self.last = Some((at, power.or(before)));
    }
}

impl std::fmt::Debug for Gauge {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Gauge").field("device", &self.device.name()).finish_non_exhaustive()
    }
}
