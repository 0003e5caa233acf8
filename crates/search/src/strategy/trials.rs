//! A trial as the strategy sees it: where it is in the search space, how its curve went, what it burnt.

use gramwise_model::Config;

use super::calibration::Statement;

/// Where a trial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Trial {
    pub(crate) config: Config,
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
    /// It reported NaN or an infinity, or failed, or broke a constraint.
    pub(crate) failed: bool,
}

impl Trial {
    pub(crate) fn is_running(&self) -> bool {
        matches!(self.place, Place::Running(_))
    }

    /// Could it be resumed?
    pub(crate) fn is_paused(&self) -> bool {
        self.place == Place::Paused
    }
}
