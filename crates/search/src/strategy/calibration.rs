//! Are forecasts as sure as they say? Each is kept with the 5 % quantile it stated for every rung ahead, and held against
//! what came.
//!
//! The factor by which standard deviations are widened follows the outcomes, so that about one in twenty falls below,
//! whatever the curves are like: adaptive conformal inference (Gibbs and Candes 2021, "Adaptive Conformal Inference Under
//! Distribution Shift", equation 2), one factor for each distance ahead.

use gramwise_surrogate::{Forecast, MAX_RUNGS, Warp};

/// The share of outcomes that may fall below what was stated as unlikely.
const STATED: f64 = 0.05;
/// The standard normal's quantile there, without its sign.
const QUANTILE: f64 = 1.644_853_626_951_472_7;
/// What one outcome moves a quantile by.
const RATE: f64 = 0.15;
/// Factors stay inside: a forecast is not made surer than a half, nor wider than threefold.
const NARROWEST: f64 = 0.5;
const WIDEST: f64 = 3.0;
/// Rungs ahead that are told apart; more are one.
const DISTANCES: usize = 4;

/// How wide forecasts must be.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Calibration {
    /// By kind (new, resumed) and distance.
    factors: [[f64; DISTANCES]; 2],
    /// Outcomes held against a statement.
    held: u64,
    /// Those that fell below it.
    below: u64,
}

/// What a forecast stated.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    new: bool,
    from: usize,
    /// The 5 % quantile by rung, in the objective's unit.
    low: [f64; MAX_RUNGS],
}

impl Calibration {
    pub(crate) fn new(widen: f64) -> Self {
        Self { factors: [[widen; DISTANCES]; 2], held: 0, below: 0 }
    }

    /// Factors by rung for a forecast from a rung on.
    pub(crate) fn factors(&self, new: bool, from: usize) -> [f64; MAX_RUNGS] {
        std::array::from_fn(|rung| self.factors[usize::from(new)][distance(from, rung)])
    }

    /// What a forecast (widened by [`Calibration::factors`]) states.
    pub(crate) fn statement(new: bool, forecast: &Forecast, warp: &Warp) -> Statement {
        let low = std::array::from_fn(|rung| warp.value(forecast.mean[rung] - QUANTILE * forecast.sd[rung]));
        Statement { new, from: forecast.from, low }
    }

    /// Holds an outcome against a statement.
    pub(crate) fn hold(&mut self, statement: &Statement, rung: usize, outcome: f64) {
        if rung < statement.from {
            return;
        }
        let is_below = outcome < statement.low[rung];
        let factor = &mut self.factors[usize::from(statement.new)][distance(statement.from, rung)];
        let step = RATE * (f64::from(u8::from(is_below)) - STATED);
        *factor = (*factor + step).clamp(NARROWEST, WIDEST);
        self.held += 1;
        self.below += u64::from(is_below);
    }

    /// Outcomes held against statements, and how many of them fell below.
    pub(crate) fn record(&self) -> (u64, u64) {
        (self.held, self.below)
    }
}

fn distance(from: usize, rung: usize) -> usize {
    rung.saturating_sub(from).min(DISTANCES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_twenty_falls_below_whatever_the_spread() {
        let warp = Warp::new(&(0..1000).map(f64::from).collect::<Vec<f64>>()).unwrap();
        let mut calibration = Calibration::new(1.3);
        for i in 0..2000u32 {
            // Outcomes spread twice as wide as the forecast believes.
            let z = 2.0 * gramwise_surrogate::normal_quantile((f64::from(i) * 0.618_033_988_75).fract());
            let factor = calibration.factors(false, 2)[2];
            let mut forecast = Forecast { from: 2, rungs: 4, mean: [0.0; 8], sd: [0.5; 8], steps: [0.0; 8] };
            forecast.sd[2] *= factor;
            let statement = Calibration::statement(false, &forecast, &warp);
            calibration.hold(&statement, 2, warp.value(0.5 * z));
        }
        let (held, below) = calibration.record();
        assert!((below as f64 / held as f64 - 0.05).abs() < 0.005, "{below} of {held}");
        assert!((calibration.factors(false, 2)[2] - 2.0).abs() < 0.5);
        assert!((calibration.factors(true, 2)[2] - 1.3).abs() < 1e-12, "the other kind learnt nothing");
    }
}
