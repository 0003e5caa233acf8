//! What every [`Device`](crate::Device) must keep to: one test body for all implementations.

#![cfg(test)]

use crate::device::{Device, Raw};

/// Checks a device whose hardware the test can drive: `burn(n)` makes it have burnt `n` joules since the test began.
pub(crate) fn check(device: &mut dyn Device, mut burn: impl FnMut(u64)) {
    assert!(!device.name().is_empty(), "a device has a name");
    burn(0);
    let first = counter(device);
    assert_eq!(counter(device), first, "two readings at one moment agree: reading has no effect");
    burn(5);
    assert_eq!(counter(device) - first, 5_000_000, "five joules are 5,000,000 microjoules");
    burn(6);
    assert_eq!(counter(device) - first, 6_000_000, "counters are cumulative");
    if let Some(range) = device.range() {
        assert!(range > counter(device), "a reading lies below the range");
    }
    assert!(device.max_power().is_none_or(|power| power.get() > 0.0), "a limit of power is above zero");
}

fn counter(device: &mut dyn Device) -> u64 {
    match device.read() {
        Ok(Raw::Counter(value)) => value,
        other => panic!("expected a counter, found {other:?}"),
    }
}
