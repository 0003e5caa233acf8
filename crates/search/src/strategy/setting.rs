//! What a search is about, what it is told and what it says.

use gramwise_model::{Config, Pruner, Sampler, Space};
use serde::{Deserialize, Serialize};

use super::earlier::EarlierTrial;

/// What a search is about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
    /// Differences that matter, one an objective and zero where none was stated: a gain below it counts nothing.
    pub meaningful: Vec<f64>,
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
    /// Configurations to start at most.
    pub most_trials: Option<usize>,
    /// Grams that may be burnt in all.
    pub most_grams: Option<f64>,
    /// When no new configuration is left, is the search to go on with paused trials at any price, until all are complete? A
    /// budget ends such a search. Otherwise it ends when none of them is worth its carbon.
    pub exhaustive: bool,
    /// Can a trial go on after it was stopped? If not, what would be a pause is an end.
    pub resumable: bool,
    /// The share of doomed trials that run on all the same, to measure what ending trials costs.
    pub audit: f64,
    /// What earlier sweeps of like spaces did. A strategy takes it over.
    pub earlier: Vec<EarlierTrial>,
}

impl Setting {
    /// A search of a space by gain per gram until a budget ends it, by trials that can be paused.
    pub fn new(space: Space, last_step: u64, objectives: Vec<Goal>) -> Self {
        Self {
            space,
            pool: Vec::new(),
            first_step: 1,
            last_step,
            meaningful: vec![0.0; objectives.len()],
            objectives,
            seed: 0,
            workers: 1,
            price: None,
            sampler: Sampler::Gp,
            pruner: Pruner::GainPerKg,
            most_trials: None,
            most_grams: None,
            exhaustive: true,
            resumable: true,
            audit: 0.0,
            earlier: Vec::new(),
        }
    }
}

/// One objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Goal {
    /// Reported by the trial, as a cost.
    Reported,
    /// Grams of the trial's whole training.
    Grams,
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

/// The price that a search finds itself: a share of the first trials' spread for a whole training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct FirstPrice {
    /// The share.
    pub share: f64,
    /// From the best to the median of the first trials, in objective units; `None` with several objectives, whose spread is
    /// the box of the hypervolume.
    pub spread: Option<f64>,
    /// Grams of a typical whole training.
    pub whole: f64,
    /// Whole trainings that the budget allows, if it is one of grams or trials: together they are to gain the spread once.
    pub trainings: Option<f64>,
    /// Objective units (or fractions of the box) per gram.
    pub price: f64,
}

impl FirstPrice {
    /// What a whole training is to gain, in words.
    pub fn in_words(&self) -> String {
        let share = self.share * 100.0;
        let digits = usize::from(share < 9.95);
        match self.spread {
            Some(spread) if (1e-3..1e6).contains(&spread) => {
                format!("{share:.digits$} % of the first trials' spread, {spread:.4},")
            }
            Some(spread) => format!("{share:.digits$} % of the first trials' spread, {spread:.3e},"),
            None => format!("{share:.digits$} % of the hypervolume"),
        }
    }
}

/// How far a trial is to run now.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Launch {
    /// The rung to run to, by its index.
    pub to: usize,
    /// The price of a gram that it was held against, in objective units.
    pub price: f64,
    /// Was it chosen after the cold start?
    pub warm: bool,
    /// The gain per gram that it was chosen for, where it was: what a gram buys now.
    pub rate: Option<f64>,
}

impl Launch {
    /// To a rung, held against no price.
    pub fn unpriced(to: usize, warm: bool) -> Self {
        Self { to, price: 0.0, warm, rate: None }
    }
}

impl Choice {
    /// How far what was chosen is to run.
    pub fn launch(&self) -> Launch {
        let (warm, rate) = match &self.by {
            By::Gain(promise) => (true, Some(promise.per_gram()).filter(|rate| rate.is_finite())),
            By::Rank | By::Sampler => (true, None),
            By::ColdStart | By::Nothing => (false, None),
        };
        // A fact holds numbers only: JSON has no infinity.
        Launch { to: self.to, price: self.price.min(f64::MAX), warm, rate }
    }
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

/// What a trial promises: the best policy for it goes on while it pays, and stops where it does not.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Promise {
    /// Expected gain of the best policy, in objective units or fractions of the hypervolume's box.
    pub gain: f64,
    /// Standard deviation of the gain of going on to the last step, in the same unit.
    pub gain_sd: f64,
    /// The grams that the best policy is expected to burn.
    pub grams: f64,
    /// The grams to the last step.
    pub grams_to_last: f64,
    /// The probability that the first objective ends better than the best so far.
    pub chance: f64,
    /// The first objective expected at the last step.
    pub predicted: f64,
    /// A value below which it ends with 5 % probability.
    pub predicted_low: f64,
    /// And one above which it does.
    pub predicted_high: f64,
    /// Trials whose curves this was learnt from.
    pub learnt_from: usize,
}

impl Promise {
    /// Gain per gram.
    pub fn per_gram(&self) -> f64 {
        self.gain / self.grams
    }
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

/// What becomes of a trial that has news, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// What.
    pub word: Word,
    /// How far it runs now, if it goes on beyond what it was launched for.
    pub launch: Option<Launch>,
    /// Why.
    pub why: Why,
}

impl Judgement {
    /// The trial goes on beyond what it was launched for.
    pub(super) fn go_on(launch: Launch, why: Why) -> Self {
        Self { word: Word::Continue, launch: Some(launch), why }
    }

    /// A word without a launch.
    pub(super) fn say(word: Word, why: Why) -> Self {
        Self { word, launch: None, why }
    }
}

/// Why a trial goes on or does not.
#[derive(Debug, Clone, PartialEq)]
pub enum Why {
    /// It has not come to where it was launched to.
    OnItsWay,
    /// An objective diverged.
    Diverged,
    /// The search begins: trials are first seen for some steps each.
    ColdStart,
    /// Its rank among those that came to the same rung.
    Rank(Rank),
    /// What it promises, held against what a gram may cost.
    Gain(Promise, Against),
    /// It is doomed, and runs on to measure what ending trials costs.
    Audit(Promise, Against),
    /// It is doomed, and among the best third at its rung: the model may be wrong.
    Among(Promise, Against),
}

/// What gain per gram was held against.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Against {
    /// The price of a gram.
    Price(f64),
    /// What a gram promised to buy where one was last given.
    Rate(f64),
}

impl Against {
    /// The gain per gram.
    pub fn per_gram(self) -> f64 {
        match self {
            Self::Price(rate) | Self::Rate(rate) => rate,
        }
    }
}

/// A place among the trials that came to a rung.
#[derive(Debug, Clone, PartialEq)]
pub struct Rank {
    /// The rung, by its index.
    pub rung: usize,
    /// From 0.
    pub place: usize,
    /// How many came there.
    pub of: usize,
    /// How many of them go on.
    pub keep: usize,
    /// The trial at the last place that goes on.
    pub cut: Option<usize>,
    /// Grams that the trial needs to its last step.
    pub grams_to_last: f64,
}

/// One report.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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
