//! A positive quantity, linear in its logarithm: what a configuration will burn.
use serde::{Deserialize, Serialize};

use crate::factor::{cholesky, dot};

/// Ridge on every feature but the constant: as much as a third of an observation.
const RIDGE: f64 = 0.3;
/// The variance of a logarithm is not believed to be more: a factor of two either way.
const LARGEST_VARIANCE: f64 = 0.6;

/// `log y = features . coefficients + N(0, variance)`, by ridge regression. "Simple, low-variance cost models predict
/// training times effectively" (Guinet, Perrone and Archambeau 2020, "Pareto-efficient Acquisition Functions for
/// Cost-Aware Bayesian Optimization", section 4).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LogLinear {
    coefficients: Vec<f64>,
    variance: f64,
    /// The Cholesky factor of the regularised normal equations.
    factor: Vec<f64>,
}

/// One observation of a [`LogLinear`]: its features, the constant first, and the logarithm observed.
pub type LogRow = (Vec<f64>, f64);

impl LogLinear {
    /// Least squares with a ridge towards `prior` (one coefficient a feature; the first feature, a constant, is free).
    /// `None` without a row.
    pub fn fit(rows: &[LogRow], prior: &[f64]) -> Option<Self> {
        let p = prior.len();
        if rows.is_empty() || p == 0 {
            return None;
        }
        let mut normal = vec![0.0; p * p];
        let mut right = vec![0.0; p];
        for (features, log) in rows {
            for i in 0..p {
                right[i] += features[i] * log;
                for j in 0..=i {
                    normal[i * p + j] += features[i] * features[j];
                }
            }
        }
        for i in 0..p {
            let ridge = if i == 0 { 1e-6 } else { RIDGE };
            normal[i * p + i] += ridge;
            right[i] += ridge * prior[i];
        }
        if !cholesky(&mut normal, p) {
            return None;
        }
        for i in 0..p {
            right[i] = (right[i] - dot(&normal[i * p..i * p + i], &right[..i])) / normal[i * p + i];
        }
        for i in (0..p).rev() {
            right[i] /= normal[i * p + i];
            let known = right[i];
            right[..i].iter_mut().zip(&normal[i * p..]).for_each(|(r, l)| *r -= l * known);
        }
        let residuals: f64 = rows.iter().map(|(features, log)| (log - dot(features, &right)).powi(2)).sum();
        let freedom = (rows.len() as f64 - 0.5 * p as f64).max(2.0);
        let variance = (residuals / freedom).min(LARGEST_VARIANCE);
        Some(Self { coefficients: right, variance, factor: normal })
    }

    /// The mean logarithm at some features.
    pub fn log(&self, features: &[f64]) -> f64 {
        dot(features, &self.coefficients)
    }

    /// The variance of the logarithm around it, where much was observed.
    pub fn variance(&self) -> f64 {
        self.variance
    }

    /// The variance of what will be observed at some features: larger where they are unlike what was seen
    /// (Bishop 2006, "Pattern Recognition and Machine Learning", equation 3.59).
    pub fn predictive_variance(&self, features: &[f64]) -> f64 {
        let p = features.len();
        let mut seen = features.to_vec();
        for i in 0..p {
            seen[i] = (seen[i] - dot(&self.factor[i * p..i * p + i], &seen[..i])) / self.factor[i * p + i];
        }
        self.variance * (1.0 + dot(&seen, &seen))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_power_law_is_found() {
        let rows: Vec<LogRow> = (1..60)
            .map(|i| {
                let (t, w) = (f64::from(i).ln(), f64::from(i % 7));
                (vec![1.0, t, w], 2.0 + t + 0.3 * w + if i % 2 == 0 { 0.1 } else { -0.1 })
            })
            .collect();
        let model = LogLinear::fit(&rows, &[0.0, 1.0, 0.0]).unwrap();
        assert!((model.log(&[1.0, 2.0, 3.0]) - 4.9).abs() < 0.05);
        assert!((model.variance().sqrt() - 0.1).abs() < 0.02);
        let (known, unknown) =
            (model.predictive_variance(&[1.0, 2.0, 3.0]), model.predictive_variance(&[1.0, 20.0, 3.0]));
        assert!(model.variance() < known && known < unknown);
        assert!(LogLinear::fit(&[], &[0.0]).is_none());
    }

    #[test]
    fn one_row_keeps_the_prior_slope() {
        let model = LogLinear::fit(&[(vec![1.0, 0.0], 3.0)], &[0.0, 1.0]).unwrap();
        assert!((model.log(&[1.0, 2.0]) - 5.0).abs() < 1e-3);
    }
}
