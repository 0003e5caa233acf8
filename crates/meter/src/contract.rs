//! What every [`Device`](crate::Device) must keep to: one test body for all implementations.

use crate::device::{Device, Raw};

/// Checks a device whose hardware the test can drive: `burn(n)` makes it have burnt `n` joules since the test began.
pub(crate) fn check_counter(device: &mut dyn Device, mut burn: impl FnMut(u64)) {
    check_description(device);
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
}

/// Checks a device without a counter: `draw(n)` makes it draw `n` watts.
pub(crate) fn check_power(device: &mut dyn Device, mut draw: impl FnMut(u32)) {
    check_description(device);
    assert_eq!(device.range(), None, "a power does not wrap");
    for watts in [0, 250, 100] {
        draw(watts);
        for _ in 0..2 {
            match device.read() {
                Ok(Raw::Power(power)) => assert!((power.get() - f64::from(watts)).abs() < 1e-9, "{power:?}"),
                other => panic!("expected a power, found {other:?}"),
            }
        }
    }
}

/// Checks what holds whether or not the device can be read.
pub(crate) fn check_description(device: &dyn Device) {
    assert!(!device.name().is_empty(), "a device has a name");
    assert!(device.max_power().is_none_or(|power| power.get() > 0.0), "a limit of power is above zero");
    let usual = device.usual_power();
    assert!(usual.get().is_finite() && usual.get() > 0.0, "a gap is filled with something");
    assert!(device.max_power().is_none_or(|power| usual <= power), "what is usual is possible");
}

fn counter(device: &mut dyn Device) -> u64 {
    match device.read() {
        Ok(Raw::Counter(value)) => value,
        other => panic!("expected a counter, found {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::{Replay, counter, power};

    #[test]
    fn replay_keeps_the_contract() {
        let answers = [100.0, 100.0, 105.0, 106.0, 106.0].map(counter);
        check_counter(&mut Replay::new(answers).wrapping(1_000_000_000).at_most(200.0), |_| {});
        check_power(&mut Replay::new([0.0, 0.0, 250.0, 250.0, 100.0, 100.0].map(power)), |_| {});
    }
}
