//! The normal distribution's one function that a report needs.

/// The probability that a normal value lies below `value`. Where `sd` is zero it is certain.
pub(crate) fn probability_below(value: f64, mean: f64, sd: f64) -> f64 {
    if sd <= 0.0 {
        return if mean < value { 1.0 } else { 0.0 };
    }
    let z = (value - mean) / sd;
    if z < 0.0 { upper_tail(-z) } else { 1.0 - upper_tail(z) }
}

/// Abramowitz and Stegun, "Handbook of Mathematical Functions", formula 26.2.17: absolute error below 7.5e-8.
/// A report prints two digits of it, so a numerics library would be idle weight.
fn upper_tail(z: f64) -> f64 {
    const B: [f64; 5] = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let polynomial = B.iter().rev().fold(0.0, |sum, b| (sum + b) * t);
    let density = (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt();
    (density * polynomial).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_table() {
        for (z, expected) in [
            (0.0, 0.5),
            (1.0, 0.841_344_746),
            (1.959_963_985, 0.975),
            (-2.0, 0.022_750_132),
            (-5.0, 2.867e-7),
        ] {
            assert!((probability_below(3.0 + 2.0 * z, 3.0, 2.0) - expected).abs() < 1e-7, "{z}");
        }
        assert!((probability_below(1.0, 0.5, 0.0) - 1.0).abs() < 1e-12);
        assert!(probability_below(1.0, 1.0, 0.0).abs() < 1e-12);
    }
}
