//! A sweep as it is run: everything a sweep file says, checked.

mod read;

pub use read::co2e_of;

use std::path::PathBuf;
use std::time::Duration;

use gramwise_carbon::{CarbonFactors, GramsCo2e, Joules, Pue, Source, UnknownSource};
use serde::{Deserialize, Serialize};

use crate::{
    Config, Constraint, Metrics, Objective, Parameter, Problems, Pruner, Sampler, Space, SweepId, TrialId,
};

/// A legal sweep. Built by [`SweepSpec::from_yaml`] only; what holds one need not check it again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SweepSpec {
    /// Its name, for people.
    pub name: String,
    /// A shell command run once per worker before the first trial, booked to `overhead`.
    pub setup: Option<String>,
    /// Program and arguments of a trial, macros not yet expanded.
    pub command: Vec<String>,
    /// How configurations are proposed.
    pub method: Sampler,
    /// At least one; the first is the one `best` ranks by.
    pub objectives: Vec<Objective>,
    /// Bounds that candidates for best keep to.
    pub constraints: Vec<Constraint>,
    /// What is searched.
    pub space: Space,
    /// The fidelity: what a step is and how many there are.
    pub resource: Resource,
    /// When to end.
    pub budget: Budget,
    /// When to prune.
    pub prune: PruneSpec,
    /// What to do after failures.
    pub retry: Retry,
    /// What one trial needs.
    pub resources: Resources,
    /// How its energy becomes grams.
    pub carbon: CarbonSpec,
    /// Earlier sweeps to learn from, by name or number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warm_start: Vec<String>,
    /// Seed of every random draw.
    pub seed: u64,
    /// Of several sweeps of one coordinator, workers serve those of the highest priority.
    #[serde(default)]
    pub priority: u32,
    /// What it is part of, for `gramwise history`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// Words to find it by, sorted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// It searches nothing: it runs configurations of another sweep again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replicates: Option<Replicates>,
}

/// Configurations of another sweep that are run again, so that what differs by chance can be told from what differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replicates {
    /// The sweep.
    pub of: SweepId,
    /// Its trials that are run again, the best first.
    pub originals: Vec<Original>,
    /// How often each is run again. The n-th runs of all have the same seed, so that they can be compared in pairs.
    pub seeds: u32,
    /// So many seeds were run by earlier replicates of the sweep: these are further ones.
    #[serde(default)]
    pub after: u32,
}

/// A trial of the other sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Original {
    /// Its number there.
    pub trial: TrialId,
    /// Its configuration.
    pub config: Config,
}

impl Replicates {
    /// How many trials there are.
    pub fn trials(&self) -> u32 {
        u32::try_from(self.originals.len()).unwrap_or(u32::MAX).saturating_mul(self.seeds)
    }

    /// What a trial runs again, and with which seed, counted from 1 over all replicates of the sweep. Each seed is run through all configurations before the next, so
    /// that a budget that runs out leaves as many whole comparisons as it can.
    pub fn original(&self, trial: TrialId) -> Option<(&Original, u32)> {
        let place = trial.0.checked_sub(1).filter(|place| *place < self.trials())?;
        let every = u32::try_from(self.originals.len()).unwrap_or(u32::MAX);
        Some((self.originals.get((place % every) as usize)?, self.after + place / every + 1))
    }
}

/// The trial's unit of progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resource {
    /// What a step is called: `epoch`, `iteration`.
    pub name: String,
    /// The first step at which a trial may be judged, from 1.
    pub min: u64,
    /// The step at which a trial is complete; [`Resource::OPEN`] where the file does not say.
    pub max: u64,
    /// Can a trial go on from `$GRAMWISE_CHECKPOINT_DIR` after it was stopped?
    pub checkpoint: bool,
    /// Which checkpoints of trials that are over are kept.
    #[serde(default)]
    pub keep: Keep,
}

/// Which checkpoints are kept of trials that do not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Keep {
    /// All.
    #[default]
    All,
    /// Those of trials that no other beats in every objective, and of each trial only the latest.
    Best,
}

/// What a sweep may use up; whichever is first ends it. `co2e` and `energy` are hard: they are not overstepped.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Budget {
    /// Operational `CO2e` of all accounts.
    pub co2e: Option<GramsCo2e>,
    /// IT energy of all accounts.
    pub energy: Option<Joules>,
    /// Configurations to try.
    pub trials: Option<u32>,
    /// Wall time since the sweep was submitted.
    pub wall: Option<Duration>,
    /// GPU-hours leased.
    pub gpu_hours: Option<f64>,
}

impl Budget {
    /// The grams that its limits of `CO2e` and of energy allow, whichever is less.
    pub fn most_co2e(&self, factors: &CarbonFactors) -> Option<GramsCo2e> {
        let by_energy = self.energy.map(|energy| energy * factors.pue * factors.intensity);
        let limits = self.co2e.into_iter().chain(by_energy);
        limits.reduce(|least, limit| if limit < least { limit } else { least })
    }
}

/// When a running trial is no longer worth its carbon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PruneSpec {
    /// How trials are ended early.
    #[serde(default)]
    pub rule: Pruner,
    /// The threshold on predicted gain per kg; `None` where the rule needs none.
    pub gain_per_kg: Option<GainPerKg>,
    /// The fraction of doomed trials that run on, to measure the regret of pruning.
    pub audit: f64,
    /// Steps before a trial may be pruned or paused.
    pub grace: u64,
}

/// The threshold of pruning.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GainPerKg {
    /// From the spread of the objective and the price of a full training.
    Auto,
    /// In units of the objective per kgCO2e (several objectives: in fractions of the hypervolume per kgCO2e).
    Fixed(f64),
}

/// What to do when an attempt fails.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Retry {
    /// Further attempts after a failed one.
    pub max: u32,
    /// Exceptions by what the trial's output holds; the first match counts.
    pub rules: Vec<RetryRule>,
}

/// One exception to [`Retry::max`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RetryRule {
    /// Text looked for in the end of the attempt's output.
    #[serde(rename = "match")]
    pub matches: String,
    /// What to do.
    pub action: RetryAction,
}

/// What a rule of [`Retry`] does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAction {
    /// The trial failed for good.
    Fail,
    /// Try again.
    Retry,
    /// Try again, on another host.
    ExcludeHost,
}

/// What one trial needs of its host.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Resources {
    /// Whole GPUs.
    pub gpus: u32,
    /// CPU cores; `None` leaves it to the worker's slots.
    pub cpus: Option<u32>,
    /// Memory in bytes.
    pub memory: Option<u64>,
    /// An attempt is ended as failed after this time.
    pub timeout: Option<Duration>,
}

/// How energy becomes grams.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CarbonSpec {
    /// Grid zone code, checked against the shipped table.
    pub zone: Option<String>,
    /// Power usage effectiveness.
    pub pue: Option<Pue>,
    /// Where the grid's intensity is from while the sweep runs; `None` is the shipped yearly mean.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intensity: Option<IntensityFrom>,
    /// State embodied emissions beside the operational ones?
    pub embodied: bool,
    /// Wait for cleaner electricity.
    pub defer: Option<Defer>,
}

impl Default for CarbonSpec {
    fn default() -> Self {
        Self { zone: None, pue: None, intensity: None, embodied: true, defer: None }
    }
}

/// Where a grid's intensity over time is from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IntensityFrom {
    /// A publisher is asked.
    Publisher(Source),
    /// A CSV file, as `gramwise restate` reads it.
    File(PathBuf),
}

impl IntensityFrom {
    /// Reads a publisher (`uk`, `electricity-maps:DE`, `watttime:CAISO_NORTH`) or a file (whatever ends in `.csv` or has a `/`). A
    /// publisher's region that is not stated is `zone`.
    pub fn parse(text: &str, zone: Option<&str>) -> Result<Self, UnknownSource> {
        if !text.contains("://") && text.contains('/') || text.to_ascii_lowercase().ends_with(".csv") {
            return Ok(Self::File(text.into()));
        }
        Source::parse(text, zone).map(Self::Publisher)
    }
}

/// Wait for electricity below an intensity, under a deadline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Defer {
    /// Local time of day, minutes since midnight, at which waiting ends.
    pub until_minute: u32,
    /// Start when the grid is at or below this, in g/kWh.
    pub max_g_per_kwh: f64,
}

impl Resource {
    /// What `max` is when the sweep file has no `resource`: trials run to their own end.
    pub const OPEN: u64 = u64::MAX;

    /// Has the sweep file no `resource`? Nothing is then known of how far a trial is, so none is judged on its way.
    pub fn is_open(&self) -> bool {
        self.max == Self::OPEN
    }
}

impl SweepSpec {
    /// What a sweep without a `name` is called here, where its file's name is not known.
    pub const DEFAULT_NAME: &str = "sweep";

    /// Reads a sweep file. All faults are returned together, each with its place in the text and a hint;
    /// warnings (legal, but probably not meant) come beside the sweep.
    pub fn from_yaml(text: &str) -> Result<(Self, Problems), Problems> {
        read::sweep(text)
    }

    /// The objective that `best` ranks by.
    ///
    /// # Panics
    /// Never: the reader refuses a sweep without an objective.
    pub fn primary(&self) -> &Objective {
        self.objectives.first().expect("a legal sweep has an objective")
    }

    /// What metrics come to in each objective, as costs, if all are numbers and every constraint is known to be kept.
    pub fn costs(&self, metrics: &Metrics) -> Option<Vec<f64>> {
        let value = |name: &str| metrics.get(name).and_then(|metric| metric.finite());
        let keeps =
            self.constraints.iter().all(|bound| value(&bound.name).is_some_and(|value| bound.holds(value)));
        let objectives = self.objectives.iter().filter(|_| keeps);
        let costs = objectives.map(|objective| Some(objective.cost(value(&objective.name)?)));
        costs.collect::<Option<Vec<f64>>>().filter(|costs| !costs.is_empty())
    }

    /// The same sweep with another sampler or pruner. `Err` says what keeps it from that.
    pub fn with(mut self, sampler: Option<Sampler>, pruner: Option<Pruner>) -> Result<Self, String> {
        if let Some(sampler) = sampler {
            let unlisted = |parameter: &&Parameter| !parameter.distribution.is_listed();
            let parameter = self.space.parameters().iter().find(unlisted);
            if let (Sampler::Grid, Some(parameter)) = (sampler, parameter) {
                return Err(format!(
                    "the sampler grid needs a list of values for `{}`\nhint: `values: [...]`, or a range with `q`",
                    parameter.name
                ));
            }
            self.method = sampler;
        }
        if let Some(pruner) = pruner {
            if self.resource.is_open() && pruner != Pruner::None {
                return Err(format!(
                    "the pruner {} needs `resource`: how far a trial is cannot be told without\n\
                     hint: add for example `resource: {{name: epoch, max: 30}}`",
                    pruner.name()
                ));
            }
            self.prune.rule = pruner;
            self.prune.gain_per_kg = if pruner == Pruner::GainPerKg {
                self.prune.gain_per_kg.or(Some(GainPerKg::Auto))
            } else {
                None
            };
        }
        Ok(self)
    }

    /// The first step at which a trial may be judged: `resource.min` or `prune.grace`, whichever is later.
    pub fn first_step(&self) -> u64 {
        self.resource.min.max(self.prune.grace).clamp(1, self.resource.max)
    }
}
