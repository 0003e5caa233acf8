//! The power of a GPU over time, and its exact integral.
//!
//! All sums are in whole milliwatts and nanoseconds: a test can work out the energy by hand and compare
//! for equality.

use serde::Deserialize;

/// The latest time a script may name, in seconds: eleven and a half days.
///
/// With [`MAX_WATTS`] it keeps the integral within an `i128`.
const MAX_SECONDS: f64 = 1e6;

/// The highest power a script may name.
const MAX_WATTS: f64 = 1e5;

/// Twice a milliwatt-nanosecond, the unit of the running sum, goes this often into a millijoule.
///
/// Twice, so that the half in the area of a triangle stays whole.
const HALVES_PER_MILLIJOULE: i128 = 2_000_000_000;

/// Power that runs in straight lines from point to point.
///
/// The first value holds before the first point, the last value after the last. Two points at one time are
/// a jump; from that time on the later one holds.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Vec<(f64, f64)>")]
pub(crate) struct Trace {
    /// In the order of time; at least one.
    points: Vec<Point>,
}

#[derive(Debug, Clone, Copy)]
struct Point {
    at_ns: i128,
    milliwatts: i128,
}

impl Trace {
    /// The same power at all times.
    pub(crate) fn constant(watts: u32) -> Self {
        Self { points: vec![Point { at_ns: 0, milliwatts: i128::from(watts) * 1000 }] }
    }

    /// The power at a time, in milliwatts, rounded down.
    pub(crate) fn power_mw(&self, at_ns: i64) -> u64 {
        let at_ns = i128::from(at_ns);
        let (reached, ahead) =
            self.points.split_at(self.points.partition_point(|point| point.at_ns <= at_ns));
        let milliwatts = match (reached.last(), ahead.first()) {
            (None, Some(only)) | (Some(only), None) => only.milliwatts,
            (Some(from), Some(to)) => {
                let rise = (to.milliwatts - from.milliwatts) * (at_ns - from.at_ns);
                from.milliwatts + rise.div_euclid(to.at_ns - from.at_ns)
            }
            (None, None) => unreachable!("a trace has at least one point"),
        };
        whole(milliwatts)
    }

    /// The energy between two times, in millijoules, rounded down; what lies before time 0 counts nothing.
    pub(crate) fn energy_mj(&self, from_ns: i64, to_ns: i64) -> u64 {
        let halves = self.halves_until(to_ns) - self.halves_until(from_ns);
        whole(halves.div_euclid(HALVES_PER_MILLIJOULE))
    }

    /// Twice the energy from time 0 in milliwatt-nanoseconds, rounded down.
    fn halves_until(&self, end_ns: i64) -> i128 {
        let end_ns = i128::from(end_ns).max(0);
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else {
            unreachable!("a trace has at least one point");
        };
        let before = 2 * first.milliwatts * end_ns.min(first.at_ns);
        let after = 2 * last.milliwatts * (end_ns - last.at_ns).max(0);
        // Only the line that `end_ns` cuts can leave a fraction, so that one rounding is the only one.
        let between: i128 = self
            .points
            .iter()
            .zip(&self.points[1..])
            .filter(|(from, to)| from.at_ns < end_ns.min(to.at_ns))
            .map(|(from, to)| {
                let run = end_ns.min(to.at_ns) - from.at_ns;
                let rise = to.milliwatts - from.milliwatts;
                2 * from.milliwatts * run + (rise * run * run).div_euclid(to.at_ns - from.at_ns)
            })
            .sum();
        before + between + after
    }
}

impl TryFrom<Vec<(f64, f64)>> for Trace {
    type Error = String;

    fn try_from(pairs: Vec<(f64, f64)>) -> Result<Self, String> {
        if pairs.is_empty() {
            return Err("a trace needs at least one [seconds, watts]".to_owned());
        }
        let points = pairs
            .into_iter()
            .map(|(seconds, watts)| {
                let at_ns = i128::from(nanoseconds(seconds)?);
                Ok(Point { at_ns, milliwatts: i128::from(milliwatts(watts)?) })
            })
            .collect::<Result<Vec<_>, String>>()?;
        if !points.is_sorted_by_key(|point| point.at_ns) {
            return Err("the times of a trace go back".to_owned());
        }
        Ok(Self { points })
    }
}

/// A time of the script, in whole nanoseconds.
pub(crate) fn nanoseconds(seconds: f64) -> Result<i64, String> {
    if !(0.0..=MAX_SECONDS).contains(&seconds) {
        return Err(format!("{seconds} s is not a time from 0 to {MAX_SECONDS} s"));
    }
    Ok(nearest(seconds * 1e9))
}

/// A power of the script, in whole milliwatts.
pub(crate) fn milliwatts(watts: f64) -> Result<i64, String> {
    if !(0.0..=MAX_WATTS).contains(&watts) {
        return Err(format!("{watts} W is not a power from 0 to {MAX_WATTS} W"));
    }
    Ok(nearest(watts * 1e3))
}

#[expect(clippy::cast_possible_truncation, reason = "the callers have bounded the value: 1e15 at most")]
fn nearest(value: f64) -> i64 {
    value.round() as i64
}

/// No power is below 0, so neither is a sum of it; past the end of a `u64` lie 500 million years.
fn whole(value: i128) -> u64 {
    u64::try_from(value.max(0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000_000;

    fn trace(pairs: &[(f64, f64)]) -> Trace {
        Trace::try_from(pairs.to_vec()).expect("a good trace")
    }

    #[test]
    fn a_constant_power_is_a_rectangle() {
        let hundred = Trace::constant(100);
        assert_eq!(hundred.power_mw(-S), 100_000);
        assert_eq!(hundred.power_mw(3600 * S), 100_000);
        assert_eq!(hundred.energy_mj(0, 3600 * S), 360_000_000);
        // 100 W for 9 999 ns are 0.9999 mJ, one nanosecond more is a whole one.
        assert_eq!(hundred.energy_mj(0, 9_999), 0);
        assert_eq!(hundred.energy_mj(0, 10_000), 1);
    }

    #[test]
    fn a_triangle_on_a_base() {
        // 100 W up to 300 W at 5 s, back to 100 W at 10 s.
        let tent = trace(&[(0.0, 100.0), (5.0, 300.0), (10.0, 100.0)]);
        assert_eq!(tent.power_mw(0), 100_000);
        assert_eq!(tent.power_mw(5 * S / 2), 200_000);
        assert_eq!(tent.power_mw(5 * S), 300_000);
        assert_eq!(tent.power_mw(9 * S), 140_000);
        assert_eq!(tent.power_mw(11 * S), 100_000);
        // (100 + 200) / 2 W x 2.5 s.
        assert_eq!(tent.energy_mj(0, 5 * S / 2), 375_000);
        // (100 + 300) / 2 W x 5 s, and the same again.
        assert_eq!(tent.energy_mj(0, 5 * S), 1_000_000);
        assert_eq!(tent.energy_mj(0, 10 * S), 2_000_000);
        // And 2 s at 100 W after the end.
        assert_eq!(tent.energy_mj(0, 12 * S), 2_200_000);
        // From 4 s (260 W) to 6 s (260 W): two trapezia of 280 W x 1 s.
        assert_eq!(tent.energy_mj(4 * S, 6 * S), 560_000);
    }

    #[test]
    fn the_first_value_holds_before_the_first_point() {
        let late = trace(&[(2.0, 50.0), (4.0, 150.0)]);
        assert_eq!(late.power_mw(S), 50_000);
        assert_eq!(late.energy_mj(0, S), 50_000);
        // 2 s at 50 W, then 1 s from 50 W to 100 W.
        assert_eq!(late.energy_mj(0, 3 * S), 175_000);
        assert_eq!(late.energy_mj(0, 5 * S), 100_000 + 200_000 + 150_000);
    }

    #[test]
    fn two_points_at_one_time_are_a_jump() {
        let step = trace(&[(0.0, 100.0), (1.0, 100.0), (1.0, 400.0)]);
        assert_eq!(step.power_mw(S - 1), 100_000);
        assert_eq!(step.power_mw(S), 400_000);
        assert_eq!(step.energy_mj(0, 3 * S), 100_000 + 800_000);
    }

    #[test]
    fn the_time_before_zero_counts_nothing() {
        let tent = trace(&[(0.0, 100.0), (5.0, 300.0)]);
        assert_eq!(tent.power_mw(-S), 100_000);
        assert_eq!(tent.energy_mj(0, -S), 0);
        assert_eq!(tent.energy_mj(-S, S), 120_000);
    }

    #[test]
    fn a_fraction_is_rounded_down_once() {
        // 0 W to 1 W in 3 s: t^2 / 6 J, so 1 s is 166.66.. mJ and 2 s are 666.66.. mJ.
        let slope = trace(&[(0.0, 0.0), (3.0, 1.0)]);
        assert_eq!(slope.energy_mj(0, S), 166);
        assert_eq!(slope.energy_mj(0, 2 * S), 666);
        assert_eq!(slope.energy_mj(0, 3 * S), 1_500);
        assert_eq!(slope.power_mw(S), 333);
    }

    #[test]
    fn the_longest_and_steepest_trace_does_not_overflow() {
        let wall = trace(&[(0.0, 0.0), (MAX_SECONDS, MAX_WATTS)]);
        // Half of 1e6 s x 1e8 mW.
        assert_eq!(wall.energy_mj(0, 1_000_000 * S), 50_000_000_000_000);
        assert_eq!(wall.power_mw(i64::MAX), 100_000_000);
        let _ = wall.energy_mj(0, i64::MAX);
    }

    #[test]
    fn bad_traces_are_refused() {
        let fault = |pairs: &[(f64, f64)]| Trace::try_from(pairs.to_vec()).expect_err("a bad trace");
        assert_eq!(fault(&[]), "a trace needs at least one [seconds, watts]");
        assert_eq!(fault(&[(2.0, 1.0), (1.0, 1.0)]), "the times of a trace go back");
        assert_eq!(fault(&[(-1.0, 1.0)]), "-1 s is not a time from 0 to 1000000 s");
        assert_eq!(fault(&[(0.0, -5.0)]), "-5 W is not a power from 0 to 100000 W");
        assert_eq!(fault(&[(0.0, f64::NAN)]), "NaN W is not a power from 0 to 100000 W");
    }
}
