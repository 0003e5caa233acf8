//! Where a learning curve ends, with its spread.

use crate::normal_quantile;

/// One point of a learning curve: a step from 1, and the value there (smaller is better).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The step.
    pub step: u64,
    /// The value.
    pub value: f64,
}

/// A predicted value at a later step: normal in the value, or in its logarithm where all curves are positive.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Prediction {
    location: f64,
    scale: f64,
    logarithmic: bool,
    /// How many other curves it learnt from.
    pub learnt_from: u32,
}

/// A curve's own slope counts this much against one other curve that runs to the end: it is one curve too, but
/// slopes flatten, so half.
const OWN_WEIGHT: f64 = 0.5;
/// The change is not known better than this fraction of its mean size plus [`FLOOR`], however well curves agree.
const RELATIVE_FLOOR: f64 = 0.15;
/// Smallest spread of the change over a full training, in logarithms (or in units of the others' spread).
const FLOOR: f64 = 0.05;

/// Predicts the value of `own` at step `last` from its own slope and from what other curves did after the same step.
/// Curves are ascending in step. `None` for an empty curve.
///
/// Time is the logarithm of the step, in which power laws (the usual shape of learning curves, Viering and Loog
/// 2022) are near to straight in log value. Each other curve that has points at or before the current step and
/// after it gives one change, scaled to the way left; the longer it ran, the more it counts.
pub fn predict(own: &[Point], others: &[&[Point]], last: u64) -> Option<Prediction> {
    let now = *own.last()?;
    let logarithmic = own.iter().chain(others.iter().copied().flatten()).all(|point| point.value > 0.0);
    let turn = |value: f64| if logarithmic { value.ln() } else { value };
    let location = turn(now.value);
    let way = log_ratio(now.step, last);
    if way <= 0.0 {
        return Some(Prediction { location, scale: 0.0, logarithmic, learnt_from: 0 });
    }
    let mut changes: Vec<(f64, f64)> = Vec::new();
    for curve in others {
        changes
            .extend(change_after(curve, now.step, last, turn).map(|(slope, seen)| (slope * way, seen / way)));
    }
    let learnt_from = u32::try_from(changes.len()).unwrap_or(u32::MAX);
    let start =
        own.iter().rev().find(|point| point.step * 3 <= now.step).or(own.first()).copied().unwrap_or(now);
    let own_way = log_ratio(start.step, now.step);
    if own_way > 0.0 {
        changes.push(((location - turn(start.value)) / own_way * way, OWN_WEIGHT * (own_way / way).min(1.0)));
    }
    let unit = if logarithmic { 1.0 } else { spread(others, own) };
    let (mean, variance) = pooled(&changes, unit * way.min(1.0));
    let floor = (RELATIVE_FLOOR * mean.abs()).max(FLOOR * unit * way.min(1.0));
    Some(Prediction {
        location: location + mean,
        scale: variance.sqrt().max(floor),
        logarithmic,
        learnt_from,
    })
}

impl Prediction {
    /// The value at a quantile of the prediction, `probability` in (0, 1).
    pub fn quantile(&self, probability: f64) -> f64 {
        let turned = self.location + self.scale * normal_quantile(probability);
        if self.logarithmic { turned.exp() } else { turned }
    }

    /// The median.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// `count` values that stand for the prediction with equal weight: the mid-points of as many equal slices of
    /// probability. Expectations are means over these.
    pub fn nodes(&self, count: u32) -> impl Iterator<Item = f64> {
        let this = *self;
        (0..count).map(move |index| this.quantile((f64::from(index) + 0.5) / f64::from(count)))
    }

    /// Half the distance between the quantiles at one standard deviation to either side: the standard deviation
    /// where the prediction is normal.
    pub fn sd(&self) -> f64 {
        (self.quantile(0.841_344_746_068_543) - self.quantile(0.158_655_253_931_457)) / 2.0
    }
}

/// The slope of a curve in log step after `step`, and how much log step it was seen for. `None` where the curve
/// says nothing about it.
fn change_after(curve: &[Point], step: u64, last: u64, turn: impl Fn(f64) -> f64) -> Option<(f64, f64)> {
    let before = curve.iter().rev().find(|point| point.step <= step)?;
    let after = curve.iter().rev().find(|point| point.step > step && point.step <= last)?;
    let seen = log_ratio(before.step, after.step);
    (seen > 0.0).then(|| ((turn(after.value) - turn(before.value)) / seen, seen))
}

fn log_ratio(from: u64, to: u64) -> f64 {
    (to.max(1) as f64 / from.max(1) as f64).ln()
}

/// Mean and predictive variance of weighted changes, with one pseudo-observation of "no change" that keeps the
/// variance honest when there is little to learn from.
fn pooled(changes: &[(f64, f64)], prior_sd: f64) -> (f64, f64) {
    let prior_weight = 0.5;
    let prior_variance = (0.5 * prior_sd).powi(2);
    let weight: f64 = changes.iter().map(|(_, weight)| weight).sum();
    let mean = changes.iter().map(|(change, weight)| change * weight).sum::<f64>() / (weight + 0.1);
    let scatter = changes.iter().map(|(change, weight)| weight * (change - mean).powi(2)).sum::<f64>();
    let variance = (scatter + prior_weight * prior_variance) / (weight + prior_weight);
    (mean, variance * (1.0 + 1.0 / (weight + prior_weight)))
}

/// Standard deviation of the last values of all curves: the unit where logarithms cannot be taken.
fn spread(others: &[&[Point]], own: &[Point]) -> f64 {
    let ends: Vec<f64> = others
        .iter()
        .copied()
        .chain([own])
        .filter_map(|curve| curve.last())
        .map(|point| point.value)
        .collect();
    let mean = ends.iter().sum::<f64>() / ends.len().max(1) as f64;
    let variance = ends.iter().map(|end| (end - mean).powi(2)).sum::<f64>() / ends.len().max(1) as f64;
    variance.sqrt().max(1e-9 + 1e-3 * mean.abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn power_law(start: f64, exponent: f64, steps: u64) -> Vec<Point> {
        (1..=steps).map(|step| Point { step, value: start * (step as f64).powf(-exponent) }).collect()
    }

    #[test]
    fn a_power_law_among_its_like_is_predicted_within_a_tenth() {
        let others: Vec<Vec<Point>> = (0..6).map(|i| power_law(0.5 + 0.1 * f64::from(i), 0.5, 30)).collect();
        let others: Vec<&[Point]> = others.iter().map(Vec::as_slice).collect();
        let own = power_law(0.9, 0.5, 5);
        let truth = 0.9 * 30f64.powf(-0.5);
        let prediction = predict(&own, &others, 30).unwrap();
        assert!((prediction.median() / truth - 1.0).abs() < 0.1, "{} vs {truth}", prediction.median());
        assert!(prediction.quantile(0.05) < truth && truth < prediction.quantile(0.95));
        assert_eq!(prediction.learnt_from, 6);
    }

    #[test]
    fn at_the_last_step_nothing_is_left_to_predict() {
        let own = power_law(1.0, 1.0, 10);
        let prediction = predict(&own, &[], 10).unwrap();
        assert!((prediction.median() - 0.1).abs() < 1e-12 && prediction.sd().abs() < 1e-12);
        assert!(predict(&[], &[], 10).is_none());
    }

    #[test]
    fn near_the_end_little_is_left_to_be_unsure_of() {
        let own: Vec<Point> = (1..=11).map(|step| Point { step, value: 0.21 }).collect();
        let prediction = predict(&own, &[], 12).unwrap();
        assert!((prediction.median() - 0.21).abs() < 0.005);
        assert!(prediction.sd() < 0.02, "{}", prediction.sd());
    }

    #[test]
    fn negative_values_are_predicted_on_their_own_scale() {
        let own = [Point { step: 1, value: -1.0 }, Point { step: 3, value: -2.0 }];
        let others = [[
            Point { step: 1, value: -1.5 },
            Point { step: 3, value: -2.0 },
            Point { step: 9, value: -2.5 },
        ]];
        let others: Vec<&[Point]> = others.iter().map(<[Point; 3]>::as_slice).collect();
        let prediction = predict(&own, &others, 9).unwrap();
        assert!(prediction.median() < -2.0 && prediction.median() > -3.5, "{}", prediction.median());
    }

    #[test]
    fn spread_shrinks_on_the_way() {
        let others: Vec<Vec<Point>> = (1..6).map(|i| power_law(0.8, 0.2 * f64::from(i), 30)).collect();
        let others: Vec<&[Point]> = others.iter().map(Vec::as_slice).collect();
        let own = power_law(0.8, 0.5, 30);
        let early = predict(&own[..2], &others, 30).unwrap();
        let late = predict(&own[..25], &others, 30).unwrap();
        assert!(late.sd() < early.sd());
    }
}
