//! Are forecasts as sure as they say? Each is kept with the 5 % quantile it stated for the rung at which the trial was to
//! pause next, and held against what came.
//!
//! The factor by which standard deviations are widened follows the outcomes, so that about one in twenty falls below,
//! whatever the curves are like: adaptive conformal inference (Gibbs and Candes 2021, "Adaptive Conformal Inference Under
//! Distribution Shift", equation 2). Later rungs say nothing about it: who reaches them was chosen for having done well.

use gramwise_surrogate::{Forecast, Warp};
use serde::{Deserialize, Serialize};

/// The share of outcomes that may fall below what was stated as unlikely.
const STATED: f64 = 0.05;
/// The standard normal's quantile there, without its sign.
const QUANTILE: f64 = 1.644_853_626_951_472_7;
/// What one outcome moves a quantile by.
const RATE: f64 = 0.3;
/// Factors stay inside: a forecast is not made surer than a half, nor wider than threefold.
const NARROWEST: f64 = 0.5;
const WIDEST: f64 = 3.0;

/// How wide forecasts must be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Calibration {
    /// For trials that are resumed, and for new ones.
    factors: [f64; 2],
    /// Outcomes held against a statement.
    held: u64,
    /// Those that fell below it.
    below: u64,
}

/// What a forecast stated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Statement {
    new: bool,
    /// The rung at which the trial pauses next.
    rung: usize,
    /// The 5 % quantile there, in the objective's unit.
    low: f64,
}

impl Calibration {
    pub(crate) fn new(widen: f64) -> Self {
        Self { factors: [widen; 2], held: 0, below: 0 }
    }

    /// The factor for a trial that is new or resumed.
    pub(crate) fn factor(&self, new: bool) -> f64 {
        self.factors[usize::from(new)]
    }

    /// What a forecast (widened by [`Calibration::factor`]) states of the first rung ahead.
    pub(crate) fn statement(new: bool, forecast: &Forecast, warp: &Warp) -> Statement {
        let rung = forecast.from;
        Statement { new, rung, low: warp.value(forecast.mean[rung] - QUANTILE * forecast.sd[rung]) }
    }

    /// Holds an outcome against a statement, if it is about that rung.
    pub(crate) fn hold(&mut self, statement: &Statement, rung: usize, outcome: f64) {
        if rung != statement.rung {
            return;
        }
        let is_below = outcome < statement.low;
        let factor = &mut self.factors[usize::from(statement.new)];
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
            let factor = calibration.factor(false);
            let mut forecast = Forecast { from: 2, rungs: 4, mean: [0.0; 8], sd: [0.5; 8], steps: [0.0; 8] };
            forecast.sd[2] *= factor;
            let statement = Calibration::statement(false, &forecast, &warp);
            calibration.hold(&statement, 2, warp.value(0.5 * z));
        }
        let (held, below) = calibration.record();
        assert!((below as f64 / held as f64 - 0.05).abs() < 0.005, "{below} of {held}");
        assert!((calibration.factor(false) - 2.0).abs() < 0.5);
        assert!((calibration.factor(true) - 1.3).abs() < 1e-12, "the other kind learnt nothing");
    }
}
