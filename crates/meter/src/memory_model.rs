//! The power of installed memory where RAPL does not measure it.

use std::time::Duration;

use gramwise_carbon::{Joules, Watts};

/// Watts per gigabyte of installed memory (Lannelongue, Grealey and Inouye, "Green Algorithms", 2021, section 4.1, from
/// Karyakin and Salem 2017).
pub(crate) const WATTS_PER_GB: f64 = 0.3725;

/// The energy of so many bytes of memory over a time, whether used or not.
pub(crate) fn energy(bytes: u64, time: Duration) -> Joules {
    power(bytes).over(time)
}

/// The power of so many bytes of memory.
pub(crate) fn power(bytes: u64) -> Watts {
    Watts::new(bytes as f64 / 1e9 * WATTS_PER_GB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_figure_is_per_installed_gigabyte() {
        assert!((power(64_000_000_000).get() - 23.84).abs() < 1e-9);
        let energy = energy(64_000_000_000, Duration::from_secs(3600));
        assert!((energy.kwh() - 0.023_84).abs() < 1e-9);
    }
}
