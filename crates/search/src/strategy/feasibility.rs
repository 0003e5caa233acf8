//! Where trials fail or break a constraint: a share of the neighbours, as the probability that a configuration is of use.
//!
//! A kernel estimate with a `Beta(2, 0.5)` prior: where nothing was seen, four in five are taken to be fine, and each trial
//! weighs as much as it is near.

use super::trials::Trial;

/// Pseudo-counts of trials that are fine and that are not.
const PRIOR: (f64, f64) = (2.0, 0.5);
/// The distance in the unit cube at which a trial weighs e^-1/2.
const WIDTH: f64 = 0.25;

/// The probability that a configuration is fine; 1 while all were.
pub(super) fn probability(trials: &[Trial], x: &[f64]) -> f64 {
    if !trials.iter().any(Trial::is_unfit) {
        return 1.0;
    }
    let (mut fine, mut failed) = PRIOR;
    for trial in trials.iter().filter(|trial| trial.is_unfit() || trial.step > 0) {
        let squared: f64 = trial.x.iter().zip(x).map(|(a, b)| (a - b) * (a - b)).sum();
        let weight = (-0.5 * squared / (WIDTH * WIDTH * x.len().max(1) as f64)).exp();
        if trial.is_unfit() {
            failed += weight;
        } else {
            fine += weight;
        }
    }
    fine / (fine + failed)
}
