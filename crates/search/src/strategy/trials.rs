//! A trial as the strategy sees it: where it is in the search space, how its curve went, what it burnt.

use std::sync::Arc;

use gramwise_model::Config;
use serde::{Deserialize, Serialize};

use super::calibration::Statement;
use super::encoding::Encoding;
use super::setting::{Goal, Seen};

/// Where a trial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Place {
    /// Not launched yet.
    Waiting,
    /// Runs, and pauses once it has reached this rung.
    Running(usize),
    /// Could go on.
    Paused,
    /// Ran to its end.
    Complete,
    /// Ended for good before.
    Over,
}

/// One configuration under evaluation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Trial {
    /// 0 for the search's own; each earlier sweep has its number.
    pub(crate) origin: u32,
    /// Shared with whoever else knows the trial; put back by [`super::Strategy::share`] after it was read.
    #[serde(skip)]
    pub(crate) config: Arc<Config>,
    /// In the unit cube.
    pub(crate) unit: Vec<f64>,
    /// In the model's space.
    pub(crate) x: Vec<f64>,
    /// What its emissions are linear in.
    pub(crate) features: Vec<f64>,
    pub(crate) place: Place,
    /// The last step reported.
    pub(crate) step: u64,
    /// The objectives at each rung reached, as costs; infinite where nothing finite was reported.
    pub(crate) curve: Vec<Vec<f64>>,
    /// The best of each objective so far.
    pub(crate) best: Vec<f64>,
    /// The same over reports that kept to every constraint.
    pub(crate) kept: Vec<f64>,
    /// The latest of each objective.
    pub(crate) latest: Vec<f64>,
    /// Grams to each rung reached.
    pub(crate) grams_at: Vec<f64>,
    /// Grams so far.
    pub(crate) grams: f64,
    /// The segment that runs is paused once `grams` passes this.
    pub(crate) limit: f64,
    /// What was stated of it when it was last launched.
    pub(crate) stated: Option<Statement>,
    /// It was doomed and runs to its end all the same.
    pub(crate) audited: bool,
    /// It reported NaN or an infinity, or failed.
    pub(crate) failed: bool,
    /// Its latest report kept to every constraint.
    pub(crate) feasible: bool,
}

impl super::Strategy {
    /// Puts the trials' configurations back after the strategy was read, in their order.
    pub(crate) fn share(&mut self, configs: impl Iterator<Item = Arc<Config>>) {
        for (trial, config) in self.trials.iter_mut().zip(configs) {
            trial.config = config;
        }
        for (trial, config) in self.earlier.iter_mut().zip(&self.earlier_configs) {
            trial.config = config.clone();
        }
    }
}

impl Trial {
    /// A trial that did nothing yet.
    pub(crate) fn new(config: Arc<Config>, encoding: &Encoding, objectives: usize) -> Self {
        let x = encoding.encode(&config);
        Self {
            origin: 0,
            unit: encoding.unit(&config),
            features: encoding.features(&x),
            x,
            config,
            place: Place::Waiting,
            step: 0,
            curve: Vec::new(),
            best: vec![f64::INFINITY; objectives],
            kept: vec![f64::INFINITY; objectives],
            latest: vec![f64::INFINITY; objectives],
            grams_at: Vec::new(),
            grams: 0.0,
            limit: f64::INFINITY,
            stated: None,
            audited: false,
            failed: false,
            feasible: true,
        }
    }

    /// Takes in a report; the rungs that were reached with it. Curves are of the best so far with one objective, of the latest
    /// with several.
    pub(crate) fn take(&mut self, seen: &Seen, goals: &[Goal], rungs: &[u64]) -> Vec<usize> {
        self.step = self.step.max(seen.step).max(1);
        self.grams = self.grams.max(if seen.grams.is_finite() { seen.grams } else { 0.0 });
        self.feasible = seen.feasible;
        let mut costs = seen.costs.iter();
        for (at, goal) in goals.iter().enumerate() {
            let cost = match goal {
                Goal::Grams => self.grams,
                Goal::Reported => {
                    let cost = costs.next().copied().unwrap_or(f64::INFINITY);
                    self.failed |= !cost.is_finite();
                    // No better than the worst: a loss of minus infinity has diverged as well.
                    if cost.is_finite() { cost } else { f64::INFINITY }
                }
            };
            self.latest[at] = cost;
            self.best[at] = self.best[at].min(cost);
            if seen.feasible {
                self.kept[at] = self.kept[at].min(cost);
            }
        }
        let mut reached = Vec::new();
        while self.curve.len() < rungs.len() && (seen.last || self.step >= rungs[self.curve.len()]) {
            reached.push(self.curve.len());
            self.curve.push(if goals.len() == 1 { self.best.clone() } else { self.latest.clone() });
            self.grams_at.push(self.grams);
        }
        if seen.last {
            // A curve that ended early was seen at its end only.
            reached.drain(..reached.len().saturating_sub(1));
        }
        reached
    }

    pub(crate) fn is_running(&self) -> bool {
        matches!(self.place, Place::Running(_))
    }

    /// Did it fail, or does it break a constraint?
    pub(crate) fn is_unfit(&self) -> bool {
        self.failed || !self.feasible
    }

    /// Could it be resumed?
    pub(crate) fn is_paused(&self) -> bool {
        self.place == Place::Paused
    }
}
