//! The normal distribution, where a formula needs it.

use statrs::distribution::{Continuous, ContinuousCDF, Normal};

/// The standard normal's quantile at `probability`, which is held inside (0, 1).
pub fn normal_quantile(probability: f64) -> f64 {
    Normal::standard().inverse_cdf(probability.clamp(1e-12, 1.0 - 1e-12))
}

/// Expected improvement below `best` of a normal value (Jones, Schonlau and Welch 1998, equation 15):
/// `(best - mean) Phi(z) + sd phi(z)`, `z = (best - mean) / sd`. In the unit of the arguments; `sd >= 0`.
pub fn expected_improvement(mean: f64, sd: f64, best: f64) -> f64 {
    if sd <= 0.0 {
        return (best - mean).max(0.0);
    }
    let z = (best - mean) / sd;
    let normal = Normal::standard();
    ((best - mean) * normal.cdf(z) + sd * normal.pdf(z)).max(0.0)
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
    fn quantiles_are_those_of_the_table() {
        assert!((normal_quantile(0.975) - 1.959_963_984_540_054).abs() < 1e-9);
        assert!(normal_quantile(0.0).is_finite());
    }
}
