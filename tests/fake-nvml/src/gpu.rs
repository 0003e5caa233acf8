//! What a GPU of the script answers at a given time.

use crate::code::Code;
use crate::script::{Gpu, Other};

impl Gpu {
    /// Whether the GPU has fallen off the bus by then.
    pub(crate) fn is_lost(&self, now_ns: i64) -> bool {
        self.lost_at_ns.is_some_and(|lost| now_ns >= lost)
    }

    /// The power of this instant, in milliwatts.
    pub(crate) fn power_mw(&self, now_ns: i64) -> u32 {
        u32::try_from(self.trace.power_mw(now_ns)).unwrap_or(u32::MAX)
    }

    /// The energy counter, in millijoules: since time 0 on top of its offset, or since its reset.
    pub(crate) fn counter_mj(&self, now_ns: i64) -> Result<u64, Code> {
        if !self.counter {
            return Err(Code::NotSupported);
        }
        let counted =
            |from_ns| self.trace.energy_mj(from_ns, now_ns).saturating_mul(self.counter_percent) / 100;
        Ok(match self.reset_at_ns {
            Some(reset) if now_ns >= reset => counted(reset),
            _ => self.offset_mj.saturating_add(counted(0)),
        })
    }

    /// The enforced power limit, in milliwatts.
    pub(crate) fn limit_mw(&self) -> u32 {
        u32::try_from(self.limit_mw).unwrap_or(u32::MAX)
    }

    /// How busy the GPU is, in percent: its power as a share of its limit, for want of anything better.
    pub(crate) fn busy_percent(&self, now_ns: i64) -> u32 {
        let percent = u64::from(self.power_mw(now_ns)) * 100 / u64::from(self.limit_mw().max(1));
        u32::try_from(percent.min(100)).unwrap_or(100)
    }

    /// Who else computes on it now.
    pub(crate) fn others(&self, now_ns: i64) -> impl Iterator<Item = &Other> {
        self.others.iter().filter(move |other| other.until_ns.is_none_or(|end| now_ns < end))
    }

    /// The memory that they hold, in bytes.
    pub(crate) fn used_bytes(&self, now_ns: i64) -> u64 {
        self.others(now_ns).map(|other| u64::from(other.memory_gb) << 30).sum()
    }

    /// The size of the memory in bytes.
    pub(crate) fn memory_bytes(&self) -> u64 {
        u64::from(self.memory_gb) << 30
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trace::Trace;

    const S: i64 = 1_000_000_000;

    /// 100 W at all times.
    fn gpu() -> Gpu {
        crate::script::default_gpus().swap_remove(0)
    }

    #[test]
    fn the_counter_starts_at_its_offset() {
        assert_eq!(gpu().counter_mj(0), Ok(123_456));
        assert_eq!(gpu().counter_mj(2 * S), Ok(123_456 + 200_000));
        assert_eq!(gpu().counter_mj(-S), Ok(123_456));
    }

    #[test]
    fn after_a_reset_the_counter_starts_at_zero() {
        let gpu = Gpu { reset_at_ns: Some(3 * S), ..gpu() };
        assert_eq!(gpu.counter_mj(3 * S - 10_000), Ok(123_456 + 299_999));
        assert_eq!(gpu.counter_mj(3 * S), Ok(0));
        assert_eq!(gpu.counter_mj(5 * S), Ok(200_000));
    }

    #[test]
    fn a_gpu_without_a_counter_says_so() {
        let gpu = Gpu { counter: false, ..gpu() };
        assert_eq!(gpu.counter_mj(S), Err(Code::NotSupported));
        assert_eq!(gpu.power_mw(S), 100_000);
    }

    #[test]
    fn a_gpu_is_lost_from_its_time_on() {
        let gpu = Gpu { lost_at_ns: Some(2 * S), ..gpu() };
        assert!(!gpu.is_lost(2 * S - 1));
        assert!(gpu.is_lost(2 * S));
    }

    #[test]
    fn the_share_of_the_limit_stops_at_a_hundred() {
        assert_eq!(gpu().busy_percent(0), 14);
        assert_eq!(Gpu { trace: Trace::constant(900), ..gpu() }.busy_percent(0), 100);
    }
}
