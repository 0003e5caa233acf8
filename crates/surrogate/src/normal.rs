//! The normal distribution, where a formula needs it.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

use statrs::distribution::{ContinuousCDF, Normal, StudentsT};
use statrs::function::erf::erfc;

/// Terms of the continued fraction of [`log_improvement`]; at `u = -1` their error is below 1e-15.
const TERMS: u32 = 200;

/// The standard normal's quantile at `probability`, which is held inside (0, 1).
pub fn normal_quantile(probability: f64) -> f64 {
    Normal::standard().inverse_cdf(probability.clamp(1e-12, 1.0 - 1e-12))
}

/// The standard normal's density.
pub fn normal_density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

/// The standard normal's distribution function.
pub fn normal_cdf(z: f64) -> f64 {
    0.5 * erfc(-z * FRAC_1_SQRT_2)
}

/// Student's distribution function with so many degrees of freedom, which must be positive.
///
/// # Panics
/// If they are not.
pub fn student_cdf(value: f64, degrees: f64) -> f64 {
    StudentsT::new(0.0, 1.0, degrees).expect("degrees of freedom are positive").cdf(value)
}

/// Expected improvement below `best` of a normal value (Jones, Schonlau and Welch 1998, equation 15):
/// `(best - mean) Phi(z) + sd phi(z)`, `z = (best - mean) / sd`. In the unit of the arguments; `sd >= 0`.
pub fn expected_improvement(mean: f64, sd: f64, best: f64) -> f64 {
    if sd <= 0.0 {
        return (best - mean).max(0.0);
    }
    let z = (best - mean) / sd;
    ((best - mean) * normal_cdf(z) + sd * normal_density(z)).max(0.0)
}

/// The logarithm of [`expected_improvement`], right where the improvement itself rounds to zero (Ament et al. 2023,
/// "Unexpected Improvements to Expected Improvement", equation 9). Minus infinity where there is none at all.
pub fn log_expected_improvement(mean: f64, sd: f64, best: f64) -> f64 {
    if sd <= 0.0 {
        return (best - mean).max(0.0).ln();
    }
    sd.ln() + log_improvement((best - mean) / sd)
}

/// `log(u Phi(u) + phi(u))`. For `u <= -1`, with `x = -u` and the continued fraction of Mills' ratio
/// `Phi(-x) / phi(x) = 1 / (x + c)`, `c = 1 / (x + 2 / (x + 3 / ...))` (Abramowitz and Stegun 26.2.14), the sum is
/// `phi(x) c / (x + c)`: no difference of near numbers is left.
fn log_improvement(u: f64) -> f64 {
    if u > -1.0 {
        return (u * normal_cdf(u) + normal_density(u)).ln();
    }
    let x = -u;
    let c = (1..=TERMS).rev().fold(0.0, |below, k| f64::from(k) / (x + below));
    -0.5 * x * x - 0.5 * (2.0 * PI).ln() + (c / (x + c)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_improvement_agrees_with_known_values() {
        // At z = 0 it is sd / sqrt(2 pi); far below the best it is the difference.
        assert!((expected_improvement(1.0, 2.0, 1.0) - 2.0 * 0.398_942_280_401_432_7).abs() < 1e-12);
        assert!((expected_improvement(-100.0, 1.0, 0.0) - 100.0).abs() < 1e-9);
        assert!((expected_improvement(2.0, 0.0, 3.0) - 1.0).abs() < 1e-12);
        assert!(expected_improvement(50.0, 1.0, 0.0) < 1e-12);
    }

    #[test]
    fn its_logarithm_agrees_and_goes_on_where_it_vanishes() {
        for mean in [-3.0, -0.5, 0.0, 0.99, 1.0, 1.01, 2.0, 4.0, 6.0] {
            let plain = expected_improvement(mean, 1.0, 0.0).ln();
            assert!((log_expected_improvement(mean, 1.0, 0.0) - plain).abs() < 1e-7, "{mean}");
        }
        // Reference values by 50 digits of arithmetic (mpmath).
        for (mean, expected) in
            [(10.0, -55.553_122_036_122_36), (40.0, -808.298_568_356_62), (1000.0, -500_014.734_452_091_2)]
        {
            let found = log_expected_improvement(mean, 1.0, 0.0);
            assert!((found / expected - 1.0).abs() < 1e-13, "{mean}: {found}");
        }
        assert!(log_expected_improvement(1e150, 1.0, 0.0) < -1e299);
        assert!((log_expected_improvement(0.0, 0.0, 2.0) - 2f64.ln()).abs() < 1e-15);
    }

    #[test]
    fn quantiles_are_those_of_the_table() {
        assert!((normal_quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-9);
        assert!(normal_quantile(0.0).is_finite());
        assert!((normal_cdf(1.959_963_984_540_054) - 0.975).abs() < 1e-10);
    }
}
