//! What configurations that were each run once would come to on average, if they were run again and again.
//!
//! The same kernel with one rung: what near configurations have in common is their mean; what is peculiar to one result, be it chance
//! or a configuration that is unlike its neighbours, is taken for chance. So differences are told apart later rather than sooner.

use super::{Axis, Observation, Parameters, S0, S1, S2, S3, SQRT_5, fit, matern, noise, squared_distance};
use crate::factor::cholesky;

/// Fewer results say too little of how much is chance.
const FEWEST: usize = 8;
/// The fit is cubic in the results: of more, the first are taken.
const MOST: usize = 300;
const ITERATIONS: usize = 60;

/// Joint normal beliefs about means.
#[derive(Debug, Clone, PartialEq)]
pub struct Means {
    expected: Vec<f64>,
    /// Row by row.
    covariance: Vec<f64>,
    noise_sd: f64,
}

impl Means {
    /// Conditions on one result a configuration (one coordinate an axis each), at most the first 300. `None` for fewer than eight,
    /// for results that are all the same, and for numbers that are not finite.
    pub fn of(axes: &[Axis], configurations: &[Vec<f64>], results: &[f64]) -> Option<Self> {
        let n = results.len().min(configurations.len()).min(MOST);
        let (configurations, results) = (&configurations[..n], &results[..n]);
        if n < FEWEST || results.iter().any(|value| !value.is_finite()) {
            return None;
        }
        let centre = results.iter().sum::<f64>() / n as f64;
        let scale = (results.iter().map(|value| (value - centre).powi(2)).sum::<f64>() / n as f64).sqrt();
        let largest = results.iter().fold(0.0, |largest: f64, value| largest.max(value.abs()));
        if scale <= 1e-12 * largest || !scale.is_finite() {
            return None;
        }
        let scores: Vec<f64> = results.iter().map(|value| (value - centre) / scale).collect();
        let observation = |(trial, value): (usize, &f64)| Observation { trial, rung: 0, value: *value };
        let observations: Vec<Observation> = scores.iter().enumerate().map(observation).collect();
        let start = Parameters::prior(axes.len());
        let parameters = fit(axes, &[1], configurations, &observations, &start, ITERATIONS);
        let weights: Vec<f64> = parameters.0[..axes.len()].iter().map(|log| log.exp()).collect();
        let with_x = parameters.scale(S0) + parameters.scale(S1);
        let common = |a: usize, b: usize| {
            let distance = squared_distance(axes, &weights, &configurations[a], &configurations[b]);
            with_x * matern(SQRT_5 * distance.sqrt()) + parameters.scale(S3)
        };
        let chance = parameters.scale(S2) + noise(&parameters);
        let prior: Vec<f64> = (0..n * n).map(|at| common(at / n, at % n)).collect();
        let mut factor = prior.clone();
        (0..n).for_each(|at| factor[at * n + at] += chance);
        if !cholesky(&mut factor, n) {
            return None;
        }
        // L⁻¹ of the prior's columns, and of the scores: their products are what was learnt.
        let whitened = |mut column: Vec<f64>| {
            for row in 0..n {
                let known: f64 = (0..row).map(|at| factor[row * n + at] * column[at]).sum();
                column[row] = (column[row] - known) / factor[row * n + row];
            }
            column
        };
        let seen = whitened(scores);
        let columns: Vec<Vec<f64>> =
            (0..n).map(|at| whitened(prior[at * n..(at + 1) * n].to_vec())).collect();
        let product = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let expected = columns.iter().map(|column| centre + scale * product(column, &seen)).collect();
        let covariance = (0..n * n).map(|at| {
            let learnt = product(&columns[at / n], &columns[at % n]);
            (prior[at] - learnt) * scale * scale
        });
        Some(Self { expected, covariance: covariance.collect(), noise_sd: chance.sqrt() * scale })
    }

    /// How many configurations there are.
    pub fn count(&self) -> usize {
        self.expected.len()
    }

    /// A configuration's mean.
    pub fn mean(&self, of: usize) -> f64 {
        self.expected[of]
    }

    /// The standard deviation of one result around its configuration's mean.
    pub fn noise_sd(&self) -> f64 {
        self.noise_sd
    }

    /// How much more the first is than the second: mean and standard deviation.
    pub fn difference(&self, first: usize, second: usize) -> (f64, f64) {
        let n = self.expected.len();
        let at = |a: usize, b: usize| self.covariance[a * n + b];
        let variance = at(first, first) + at(second, second) - at(first, second) - at(second, first);
        (self.expected[first] - self.expected[second], variance.max(0.0).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::ChaCha8Rng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    fn normal(dice: &mut ChaCha8Rng) -> f64 {
        let (a, b): (f64, f64) = (dice.random(), dice.random());
        (-2.0 * (1.0 - a).ln()).sqrt() * (std::f64::consts::TAU * b).cos()
    }

    /// Smooth in two numbers, with a better category.
    fn truth(x: &[f64]) -> f64 {
        (x[0] - 0.3).powi(2) + 0.5 * (x[1] - 0.7).powi(2) + if x[2] > 0.5 { 0.05 } else { 0.0 }
    }

    #[test]
    fn differences_cover_the_truth_and_are_smaller_than_what_results_differ_by() {
        let axes = [Axis::Number, Axis::Number, Axis::Category];
        let (mut held, mut all, mut sharper) = (0, 0, 0);
        for case in 0..60 {
            let mut dice = ChaCha8Rng::seed_from_u64(case);
            let n = 15 + dice.random_range(0..30);
            let noise = 0.01 + 0.05 * dice.random::<f64>();
            let points: Vec<Vec<f64>> = (0..n)
                .map(|_| vec![dice.random(), dice.random(), f64::from(u8::from(dice.random::<bool>()))])
                .collect();
            let results: Vec<f64> = points.iter().map(|x| truth(x) + noise * normal(&mut dice)).collect();
            let means = Means::of(&axes, &points, &results).unwrap();
            let best = (0..n).min_by(|a, b| means.mean(*a).total_cmp(&means.mean(*b))).unwrap();
            for other in (0..n).filter(|other| *other != best) {
                let (mean, sd) = means.difference(other, best);
                let real = truth(&points[other]) - truth(&points[best]);
                held += u32::from((real - mean).abs() < 1.96 * sd);
                sharper += u32::from(sd < 1.4 * means.noise_sd());
                all += 1;
            }
        }
        assert!(f64::from(held) / f64::from(all) > 0.9, "{held} of {all}");
        assert!(f64::from(sharper) / f64::from(all) > 0.5, "{sharper} of {all} learn from neighbours");
    }

    #[test]
    fn too_few_or_equal_results_say_nothing() {
        let points: Vec<Vec<f64>> = (0..10).map(|at| vec![f64::from(at) / 10.0]).collect();
        let axes = [Axis::Number];
        assert_eq!(Means::of(&axes, &points[..7], &[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0]), None);
        assert_eq!(Means::of(&axes, &points, &[0.1; 10]), None);
        assert_eq!(Means::of(&axes, &points, &[f64::NAN; 10]), None);
    }
}
