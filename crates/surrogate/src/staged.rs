//! What it is worth to let a trial run on, with the option to stop it at each later rung.
//!
//! A trial is a box that is opened in stages. Opening the next stage costs grams and moves the expected end of the curve;
//! at each stage the rest may be left closed. With `M_k` the posterior mean of the end as seen from rung `k` (a martingale
//! whose steps have the standard deviations `steps[k]` of [`Forecast`]), a price of one gram `p` and the grams `e_k` of the
//! segment that ends at rung `k`:
//!
//! ```text
//! J_last(m) = payoff(m)
//! J_k(m)    = max( banked_k(m),  E[ J_k+1(m + steps[k+1] Z) ] - p e_k+1 )
//! value     =                    E[ J_from(M + steps[from] Z) ] - p e_from
//! ```
//!
//! One stage is the Pandora's box of Weitzman (1979) in the form of Xie et al. (2024), "Cost-aware Bayesian Optimization
//! via the Pandora's Box Gittins Index"; the stages are ours. The gain and the grams of the best policy are carried along,
//! so that `value = gain - p grams`.

use crate::curve_process::{Forecast, MAX_RUNGS};

const NODES: usize = 121;
const LOWEST: f64 = -7.0;
const SPACING: f64 = 0.1;

/// Nodes and weights of Gauss-Hermite quadrature for the standard normal, 10 nodes (Abramowitz and Stegun 25.4.46 and
/// table 25.10, nodes times the square root of two, weights over that of pi); the other five are the negatives.
const QUADRATURE: [(f64, f64); 5] = [
    (0.484_935_707_515_497_7, 3.446_423_349_320_191e-1),
    (1.465_989_094_391_158, 1.354_837_029_802_677e-1),
    (2.484_325_841_638_955, 1.911_158_050_077_029e-2),
    (3.581_823_483_551_927, 7.580_709_343_122_177e-4),
    (4.859_462_828_332_312, 4.310_652_630_718_287e-6),
];

/// The gain of a curve that ends at a score, for scores from -7 to 5.
#[derive(Debug, Clone, PartialEq)]
pub struct Payoff {
    grid: [f64; NODES],
}

/// The worth of a policy: go on while it pays, stop where it does not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Staged {
    /// Expected gain, in the payoff's unit.
    pub gain: f64,
    /// Expected grams; those of the first segment are certain.
    pub grams: f64,
    /// `gain` less the price of `grams`.
    pub value: f64,
}

impl Payoff {
    /// Tabulates a gain as a function of the final score.
    pub fn new(gain: impl Fn(f64) -> f64) -> Self {
        Self { grid: std::array::from_fn(|node| gain(score(node))) }
    }

    /// The gain at a score, linear between nodes.
    pub fn at(&self, score: f64) -> f64 {
        let (node, share) = place(score);
        self.grid[node] * (1.0 - share) + self.grid[node + 1] * share
    }

    /// The expected gain of a normal score.
    pub fn expected(&self, mean: f64, sd: f64) -> f64 {
        expectation(|score| self.at(score), mean, sd)
    }
}

/// The worth of going on to the rung `forecast.from` at least. `grams` are those of the segment that ends at each rung.
/// With `bank`, a curve that was stopped at a rung is worth what it had reached there (its checkpoint is kept); without,
/// only its end counts.
pub fn staged(
    payoff: &Payoff,
    forecast: &Forecast,
    grams: &[f64; MAX_RUNGS],
    price: f64,
    bank: bool,
) -> Staged {
    let last = forecast.rungs - 1;
    let (mut gain, mut cost) = (payoff.grid, [0.0; NODES]);
    for rung in (forecast.from..last).rev() {
        // What is left from the rung's value to the curve's end, on average.
        let ahead = (forecast.mean[rung] - forecast.mean[last]).max(0.0);
        let step = forecast.steps[rung + 1];
        let (mut gains, mut costs) = ([0.0; NODES], [0.0; NODES]);
        for node in 0..NODES {
            let m = score(node);
            let [further, burnt] = expectations(&gain, &cost, m, step);
            let burnt = burnt + grams[rung + 1];
            let banked = if bank { payoff.at(m + ahead) } else { 0.0 };
            let goes_on = further - price * burnt > banked;
            (gains[node], costs[node]) = if goes_on { (further, burnt) } else { (banked, 0.0) };
        }
        (gain, cost) = (gains, costs);
    }
    let [gain, burnt] = expectations(&gain, &cost, forecast.mean[last], forecast.steps[forecast.from]);
    let grams = burnt + grams[forecast.from];
    Staged { gain, grams, value: gain - price * grams }
}

fn score(node: usize) -> f64 {
    LOWEST + SPACING * node as f64
}

/// The node below a score, and the share of the way to the next; scores outside are held at the ends.
fn place(score: f64) -> (usize, f64) {
    let position = ((score - LOWEST) / SPACING).clamp(0.0, (NODES - 1) as f64 - 1e-6);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to the nodes")]
    let node = position as usize;
    (node, position - node as f64)
}

fn expectation(f: impl Fn(f64) -> f64, mean: f64, sd: f64) -> f64 {
    QUADRATURE.iter().map(|(z, weight)| weight * (f(mean - sd * z) + f(mean + sd * z))).sum()
}

fn expectations(gain: &[f64; NODES], cost: &[f64; NODES], mean: f64, sd: f64) -> [f64; 2] {
    let mut sums = [0.0; 2];
    for (z, weight) in QUADRATURE {
        for at in [mean - sd * z, mean + sd * z] {
            let (node, share) = place(at);
            sums[0] += weight * (gain[node] * (1.0 - share) + gain[node + 1] * share);
            sums[1] += weight * (cost[node] * (1.0 - share) + cost[node + 1] * share);
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::normal::expected_improvement;

    fn forecast(from: usize, steps: &[f64], mean: f64) -> Forecast {
        let mut all = [0.0; MAX_RUNGS];
        all[..steps.len()].copy_from_slice(steps);
        Forecast { from, rungs: steps.len(), mean: [mean; MAX_RUNGS], sd: [1.0; MAX_RUNGS], steps: all }
    }

    #[test]
    fn one_stage_is_expected_improvement() {
        let payoff = Payoff::new(|score| (-0.5 - score).max(0.0));
        for mean in [-1.0, 0.0, 1.0] {
            let one = staged(&payoff, &forecast(0, &[0.8], mean), &[2.0; MAX_RUNGS], 0.01, false);
            let truth = expected_improvement(mean, 0.8, -0.5);
            // Ten nodes see the kink of the payoff to some per cent.
            assert!((one.gain - truth).abs() < 0.08 * truth.max(0.05), "{} {truth}", one.gain);
            assert!((one.value - (one.gain - 0.02)).abs() < 1e-12 && (one.grams - 2.0).abs() < 1e-12);
        }
    }

    #[test]
    fn free_stages_are_one_stage() {
        let payoff = Payoff::new(|score| (-score).max(0.0));
        let free = staged(&payoff, &forecast(0, &[0.6, 0.8], 0.5), &[0.0; MAX_RUNGS], 1.0, false);
        assert!((free.gain - expected_improvement(0.5, 1.0, 0.0)).abs() < 0.01);
    }

    /// Against a policy found by brute force: two stages, the second worth it only beyond a threshold.
    #[test]
    fn two_stages_by_brute_force() {
        let payoff = Payoff::new(|score| (-score).max(0.0));
        let (steps, grams, price) = ([0.7, 0.5], [1.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0], 0.05);
        let found = staged(&payoff, &forecast(0, &steps, 0.2), &grams, price, false);
        let (mut gain, mut burnt) = (0.0, 1.0);
        let n = 4000;
        for i in 0..n {
            let z = crate::normal::normal_quantile((f64::from(i) + 0.5) / f64::from(n));
            let further = expected_improvement(0.2 + 0.7 * z, 0.5, 0.0);
            if further > price * 3.0 {
                gain += further / f64::from(n);
                burnt += 3.0 / f64::from(n);
            }
        }
        assert!((found.gain - gain).abs() < 0.06 * gain, "{} {gain}", found.gain);
        assert!((found.grams - burnt).abs() < 0.2, "{} {burnt}", found.grams);
        let forced = expected_improvement(0.2, (0.49f64 + 0.25).sqrt(), 0.0) - price * 4.0;
        assert!(found.value > forced, "the option to stop is worth something");
    }

    #[test]
    fn what_was_reached_is_banked() {
        let payoff = Payoff::new(|score| (1.0 - score).max(0.0));
        let dear = [1.0, 1e9, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let stopped = staged(&payoff, &forecast(0, &[0.1, 0.1], 0.0), &dear, 1e-3, true);
        assert!((stopped.gain - 1.0).abs() < 0.02 && (stopped.grams - 1.0).abs() < 1e-9);
        assert!(staged(&payoff, &forecast(0, &[0.1, 0.1], 0.0), &dear, 1e-3, false).gain < 1e-9);
    }
}
