//! What the strategy's behaviour depends on besides what a user says: one place, so that a benchmark can turn one knob and
//! say what it did. Why each stands where it does is in `docs/design/search.md`.

use serde::{Deserialize, Serialize};

/// All knobs at their tested places by default.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Knobs {
    /// Random candidates looked at for a new configuration.
    pub random: usize,
    /// Candidates near the best trials.
    pub near: usize,
    /// Trials that these are near to.
    pub near_best: usize,
    /// How far from them, in the unit cube.
    pub near_scale: f64,
    /// New candidates that are left after a look at their means.
    pub shortlist: usize,
    /// Candidates, new and paused, that get a forecast of every rung.
    pub full: usize,
    /// Paused trials looked at.
    pub paused: usize,
    /// Rows of the model.
    pub rows: usize,
    /// Rows that its parameters are fitted to.
    pub fit_rows: usize,
    /// Steps of the fit.
    pub fit_steps: usize,
    /// The model is fitted again when its rows have grown by this factor.
    pub refit: f64,
    /// Configurations of the cold start.
    pub cold: usize,
    /// The same with several objectives.
    pub cold_several: usize,
    /// Trials that the cold start runs to their end, with several objectives.
    pub scouts_several: usize,
    /// Steps that a new trial runs at least, where the user asks for no more.
    pub first_steps: u64,
    /// Standard deviations are widened by this much until outcomes say otherwise.
    pub widen: f64,
    /// The share of the objective's spread that a full training is worth, where the user states no price.
    pub worth: f64,
    /// One decision in so many promotes by rank; 0 for none.
    pub hedge: u64,
    /// A segment is paused early when it has burnt so many times what was predicted.
    pub overrun: f64,
    /// Whole trainings without an improvement after which promises count half, where the user states a price.
    pub drought: f64,
    /// Grams that differ by less than so many standard deviations of what alike configurations burn are a tie.
    pub tie: f64,
    /// One decision in so many takes what is worth most, whatever it costs; 0 for none.
    pub bold: u64,
    /// Degrees of freedom of the tail in which a trial's chance to become the best lies.
    pub tail: f64,
    /// Typical whole trainings that are spent before a search ends by itself.
    pub least: f64,
    /// Is a trial that was stopped worth what it had reached?
    pub bank: bool,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            random: 200,
            near: 60,
            near_best: 5,
            near_scale: 0.12,
            shortlist: 60,
            full: 32,
            paused: 70,
            rows: 300,
            fit_rows: 200,
            fit_steps: 10,
            refit: 1.25,
            cold: 12,
            cold_several: 8,
            scouts_several: 2,
            first_steps: 2,
            widen: 1.5,
            worth: 0.01,
            hedge: 3,
            overrun: 3.0,
            drought: 0.5,
            tie: 1.0,
            bold: 4,
            tail: 5.0,
            least: 5.0,
            bank: true,
        }
    }
}

impl Knobs {
    /// Turns one knob by its name. `Err` names those there are.
    pub fn set(&mut self, name: &str, value: f64) -> Result<(), String> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a count, given as a number"
        )]
        let count = value as usize;
        match name {
            "random" => self.random = count,
            "near" => self.near = count,
            "near_best" => self.near_best = count,
            "near_scale" => self.near_scale = value,
            "shortlist" => self.shortlist = count,
            "full" => self.full = count,
            "paused" => self.paused = count,
            "rows" => self.rows = count,
            "fit_rows" => self.fit_rows = count,
            "fit_steps" => self.fit_steps = count,
            "refit" => self.refit = value,
            "cold" => self.cold = count,
            "cold_several" => self.cold_several = count,
            "scouts_several" => self.scouts_several = count,
            "first_steps" => self.first_steps = count as u64,
            "widen" => self.widen = value,
            "worth" => self.worth = value,
            "hedge" => self.hedge = count as u64,
            "overrun" => self.overrun = value,
            "drought" => self.drought = value,
            "tie" => self.tie = value,
            "bold" => self.bold = count as u64,
            "tail" => self.tail = value,
            "least" => self.least = value,
            "bank" => self.bank = value > 0.0,
            _ => {
                return Err(format!(
                    "no knob `{name}`; there are: random, near, near_best, near_scale, shortlist, full, paused, rows, fit_rows, \
                     fit_steps, refit, cold, cold_several, scouts_several, first_steps, widen, worth, hedge, overrun, drought, tie, bold, tail, least, bank"
                ));
            }
        }
        Ok(())
    }
}
