//! Values of an objective on a scale where they are normal: the rank-normal (copula) warp.
//!
//! Losses are heavy-tailed: explosions to 1e18, half of the trials at chance level. A Gaussian process sees their ranks
//! as normal quantiles instead (Salinas, Shen and Perrone 2020, "A quantile-based approach for hyperparameter transfer
//! learning", section 4), and payoffs go back through the inverse.
use serde::{Deserialize, Serialize};

use crate::normal::normal_quantile;

/// How far below the best value, in standard deviations, anything is told apart.
const REACH: f64 = 3.0;

/// A monotone map from values to standard normal scores: ranks inside the data, a line below the best, flat above the
/// worst.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Warp {
    values: Vec<f64>,
    scores: Vec<f64>,
    /// Value per score below the best.
    slope: f64,
}

impl Warp {
    /// From observed values; smaller is better. Equal values share the mean of their ranks. `None` without a finite one.
    pub fn new(observed: &[f64]) -> Option<Self> {
        let mut sorted: Vec<f64> = observed.iter().copied().filter(|value| value.is_finite()).collect();
        sorted.sort_by(f64::total_cmp);
        let best = *sorted.first()?;
        let n = sorted.len() as f64;
        let (mut values, mut scores) = (Vec::new(), Vec::new());
        let mut from = 0;
        for tied in sorted.chunk_by(|a, b| a.total_cmp(b).is_eq()) {
            let rank = (from as f64 + 0.5 * tied.len() as f64) / n;
            values.push(tied[0]);
            scores.push(normal_quantile(rank.clamp(0.4 / n, 1.0 - 0.4 / n)));
            from += tied.len();
        }
        if values.len() < 2 {
            let above = best + (best.abs() * 1e-3).max(1e-9);
            values.push(above);
            scores.push(scores[0] + 1.0);
        }
        // The slope below the best is that of the best tenth.
        let tenth = (values.len() / 10).max(3).min(values.len() - 1);
        let slope = (values[tenth] - values[0]) / (scores[tenth] - scores[0]).max(1e-3);
        Some(Self { values, scores, slope: slope.clamp(f64::MIN_POSITIVE, f64::MAX) })
    }

    /// The score of a value.
    pub fn score(&self, value: f64) -> f64 {
        if value < self.values[0] {
            self.scores[0] - ((self.values[0] - value) / self.slope).min(REACH)
        } else {
            interpolate(&self.values, &self.scores, value)
        }
    }

    /// The value of a score.
    pub fn value(&self, score: f64) -> f64 {
        if score < self.scores[0] {
            self.values[0] - (self.scores[0] - score) * self.slope
        } else {
            interpolate(&self.scores, &self.values, score)
        }
    }
}

/// Linear between the knots, flat outside.
fn interpolate(xs: &[f64], ys: &[f64], x: f64) -> f64 {
    let after = xs.partition_point(|knot| *knot <= x);
    if after == 0 {
        return ys[0];
    }
    if after == xs.len() {
        return ys[after - 1];
    }
    let (x0, x1, y0, y1) = (xs[after - 1], xs[after], ys[after - 1], ys[after]);
    let share = (x - x0) / (x1 - x0);
    match (share.is_finite(), (y1 - y0).is_finite()) {
        (false, _) => y0,
        // In this order every step rounds monotonically, so the whole is monotone to the last digit.
        (true, true) => (y0 + (y1 - y0) * share).min(y1),
        (true, false) => y0 * (1.0 - share) + y1 * share,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ranks_become_quantiles_and_come_back() {
        let warp = Warp::new(&[0.1, 0.2, 0.3, 0.4, 5e18]).unwrap();
        assert!((warp.score(0.3) - 0.0).abs() < 1e-12, "the median");
        assert!((warp.score(0.1) - normal_quantile(0.1)).abs() < 1e-12);
        assert!((warp.value(warp.score(0.25)) - 0.25).abs() < 1e-12);
        assert!(warp.value(warp.score(0.05)) < 0.1);
        assert!(Warp::new(&[f64::NAN]).is_none());
    }

    #[test]
    fn one_value_is_enough() {
        let warp = Warp::new(&[0.5, 0.5]).unwrap();
        assert!(warp.score(0.5).is_finite() && warp.value(-1.0) < 0.5);
    }

    #[test]
    fn scores_between_two_values_keep_their_order_to_the_last_digit() {
        let warp = Warp::new(&[0.5, 1.4e34, 1.8e205, 331.97, 7.6e98, 5.4e254, 7.2e306]).unwrap();
        let mut low = 1.8e205;
        for _ in 0..10_000 {
            let high = low * 1.013;
            assert!(warp.score(low) <= warp.score(high), "{low:e}");
            low = high;
        }
    }

    proptest! {
        #[test]
        fn monotone_and_finite(mut values in prop::collection::vec(prop::num::f64::NORMAL, 1..40), x in prop::num::f64::NORMAL, y in prop::num::f64::NORMAL) {
            values.push(0.5);
            let warp = Warp::new(&values).unwrap();
            let (low, high) = if x < y { (x, y) } else { (y, x) };
            prop_assert!(warp.score(low).is_finite() && warp.score(high).is_finite());
            prop_assert!(warp.score(low) <= warp.score(high));
        }
    }
}
