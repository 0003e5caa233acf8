//! Why something was decided, with the numbers it was decided on. `explain` only prints this.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::TrialId;

/// The reason of a decision. Every assignment, promotion, pause, prune and continuation carries one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Because {
    /// A new configuration by a sampler.
    Sampled {
        /// The sampler's name: `gp`, `tpe`, `sobol`, `random`, `grid`.
        sampler: String,
        /// The index of the point in the sampler's sequence.
        index: u64,
    },
    /// Somebody had it tried, by `gramwise enqueue`.
    Enqueued {
        /// `user@host`.
        by: String,
    },
    /// It runs a trial of another sweep again.
    Replicates {
        /// That trial.
        of: TrialId,
        /// With which of the seeds, counted from 1.
        seed: u32,
    },
    /// The search begins: trials are first seen for some steps each, the best of them for longer.
    Beginning {
        /// The step to run to.
        to: u64,
        /// Predicted grams from there to the last step, where the trial stops there.
        grams_left: Option<f64>,
    },
    /// The gain per gram was compared with the threshold.
    Gain(GainEstimate),
    /// A guard kept the trial going whatever its gain.
    Guarded {
        /// Which guard.
        guard: Guard,
        /// The estimate, where there was one to be overruled.
        estimate: Option<GainEstimate>,
    },
    /// Asynchronous successive halving compared the trial with others at a rung.
    Rung(Comparison),
    /// The trial reached its last step.
    LastStep,
    /// The trial reported that it diverged.
    Diverged {
        /// The metric that did.
        metric: String,
    },
    /// The trial does not report its objective.
    NoObjective {
        /// The objective's name.
        metric: String,
        /// What it reported instead.
        found: Vec<String>,
    },
    /// A lapsed lease, a stopped worker or a retry made room for another attempt.
    Again {
        /// The attempt before.
        after_attempt: u32,
        /// How it ended, in words.
        ended: String,
    },
    /// The sweep is ending.
    SweepEnding {
        /// Why, in words.
        why: String,
    },
    /// A newer attempt of the trial exists, or the trial is over.
    Stale,
}

/// What a trial still promises, what it still costs, and what that was compared with.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GainEstimate {
    /// The step it was estimated at; 0 for a new configuration.
    pub step: u64,
    /// What gain is counted in: the objective's name, or `hypervolume` for several.
    pub unit: String,
    /// The objective's last value, in its own unit (the primary one if there are several).
    /// `None` for a new configuration.
    pub value: Option<f64>,
    /// Predicted value at the last step.
    pub predicted: f64,
    /// Standard deviation of the prediction (in the objective's unit).
    pub predicted_sd: f64,
    /// Expected improvement over what is known, in `unit`.
    pub expected_gain: f64,
    /// Standard deviation of the improvement at the last step, in `unit`.
    pub gain_sd: f64,
    /// Predicted grams from here on. The trial is expected to stop wherever going on ceases to pay, so these are fewer than
    /// those to the last step.
    pub grams_left: f64,
    /// Predicted grams from here to the last step: what an end saves.
    #[serde(default)]
    pub grams_to_last: Option<f64>,
    /// The probability that the primary objective ends better than the best so far.
    #[serde(default)]
    pub chance: Option<f64>,
    /// `expected_gain` per kg of `grams_left`.
    pub gain_per_kg: f64,
    /// The threshold it was compared with, in the same unit.
    pub threshold_per_kg: f64,
    /// How the threshold came about, in words.
    pub threshold_from: String,
    /// The trial that holds the best finished value, if one has finished.
    pub incumbent: Option<TrialId>,
    /// The values improvement was counted against: the incumbent's objectives, by name.
    pub incumbent_values: BTreeMap<String, f64>,
    /// Trials whose curves the prediction learnt from.
    pub learnt_from: u32,
}

/// A trial's place among those that reached the same rung.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The rung's step.
    pub rung: u64,
    /// Its place by non-dominated sorting, from 1.
    pub place: u32,
    /// How many reached the rung.
    pub of: u32,
    /// How many of them go on.
    pub keep: u32,
    /// Its metrics at the rung, by name.
    pub values: BTreeMap<String, f64>,
    /// The trial at the last place that goes on.
    pub cut: Option<TrialId>,
    /// Predicted grams from here to the last step: what a pause saves.
    pub grams_left: f64,
}

/// Why a trial is not ended although its gain is below the threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// It is among the best third of those that came as far: the model may be wrong.
    Incumbent,
    /// Chosen by `prune.audit` to run on, so that the regret of pruning is measured.
    Audit,
}

impl Guard {
    /// The guard in words.
    pub fn describe(self) -> &'static str {
        match self {
            Self::Incumbent => "among the best third of those that came as far",
            Self::Audit => "doomed, but runs on to measure the regret of pruning",
        }
    }
}
