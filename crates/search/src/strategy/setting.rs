//! What a search is about, what it is told and what it says.

use gramwise_model::{Config, Space};

/// What a search is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Where configurations come from.
    pub space: Space,
    /// Choose among these only; empty for the whole space.
    pub pool: Vec<Config>,
    /// The first step at which a trial may be paused or judged, from 1.
    pub first_step: u64,
    /// The last step of a whole training.
    pub last_step: u64,
    /// What is minimised; at least one [`Goal::Reported`].
    pub objectives: Vec<Goal>,
    /// Seed of every draw.
    pub seed: u64,
    /// Workers that will ask.
    pub workers: usize,
    /// Objective units per gram (fractions of the hypervolume's box per gram, for several objectives), if the user says what a
    /// gram is worth.
    pub price: Option<f64>,
    /// How configurations are proposed.
    pub sampler: Sampler,
    /// How trials are ended early.
    pub pruner: Pruner,
}

/// One objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Goal {
    /// Reported by the trial, as a cost.
    Reported,
    /// Grams of the trial's whole training.
    Grams,
}

/// How configurations are proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampler {
    /// By the model of learning curves.
    Gp,
    /// Tree-structured Parzen estimator.
    Tpe,
    /// Scrambled Sobol points.
    Sobol,
    /// Independent draws.
    Random,
}

/// How trials are ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pruner {
    /// By expected gain per gram.
    GainPerKg,
    /// Never.
    None,
    /// Worse than the median of the others at the same step.
    Median,
    /// Asynchronous successive halving.
    Asha,
    /// Successive halving in brackets that begin at different rungs.
    Hyperband,
}

impl Sampler {
    /// All, with their names.
    pub const ALL: [(&'static str, Self); 4] =
        [("gp", Self::Gp), ("tpe", Self::Tpe), ("sobol", Self::Sobol), ("random", Self::Random)];
}

impl Pruner {
    /// All, with their names.
    pub const ALL: [(&'static str, Self); 5] = [
        ("gain-per-kg", Self::GainPerKg),
        ("none", Self::None),
        ("median", Self::Median),
        ("asha", Self::Asha),
        ("hyperband", Self::Hyperband),
    ];
}

/// What to do next, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// What.
    pub what: What,
    /// The rung, by its index, to which a trial is to run at least.
    pub to: usize,
    /// The price of a gram that it was held against, in objective units.
    pub price: f64,
    /// Why.
    pub by: By,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq)]
pub enum What {
    /// Start a configuration.
    New {
        /// Which.
        config: Config,
        /// Its place in the pool, if there is one.
        pool: Option<usize>,
    },
    /// Go on with a paused trial.
    Resume(usize),
    /// Nothing until something that runs has ended.
    Wait,
    /// Nothing seems worth its carbon: fit the model to all that is known, then ask again.
    Refit,
    /// Nothing is left to do.
    Done(String),
}

/// Why it was chosen.
#[derive(Debug, Clone, PartialEq)]
pub enum By {
    /// It promises the most gain per gram.
    Gain(Promise),
    /// It is among the best third at its rung: one decision in three is made so, since the model may be wrong.
    Rank,
    /// The search begins.
    ColdStart,
    /// The sampler proposed it.
    Sampler,
    /// There is nothing to choose.
    Nothing,
}

/// What a trial promises.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Promise {
    /// Expected gain of the best policy, in objective units or fractions of the hypervolume's box.
    pub gain: f64,
    /// The grams that this policy is expected to burn.
    pub grams: f64,
    /// The first objective expected at the last step.
    pub predicted: f64,
    /// A value below which it ends with 5 % probability.
    pub predicted_low: f64,
    /// And one above which it does.
    pub predicted_high: f64,
}

/// What to do with a trial that reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Word {
    /// Let it run.
    Continue,
    /// Stop it, and keep it.
    Pause,
    /// Stop it for good.
    Stop,
}

/// One report.
#[derive(Debug, Clone, PartialEq)]
pub struct Seen {
    /// The step.
    pub step: u64,
    /// The reported objectives in the order of [`Setting::objectives`], as costs; not finite where the trial diverged.
    pub costs: Vec<f64>,
    /// Grams of the trial so far.
    pub grams: f64,
    /// Is it the trial's last?
    pub last: bool,
    /// Does it keep to every constraint?
    pub feasible: bool,
}

/// How a trial's attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Ran to its end.
    Complete,
    /// Kept for later.
    Paused,
    /// Not to be run again.
    Stopped,
    /// By its own fault.
    Failed,
}
