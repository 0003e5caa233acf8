//! What a database answers: rows that `store` reads and `report` turns into answers.

use std::collections::BTreeMap;
use std::fmt;

use gramwise_carbon::{CarbonFactors, Energy, Footprint, IntensityKind, Microjoules, Nanograms};
use serde::{Deserialize, Serialize};

use crate::work::Card;
use crate::{Because, Config, Metrics, SweepId, SweepSpec, Timestamp, TrialId, WorkerId};

/// Who is charged for an amount of energy. Every joule of a sweep's hosts is in exactly one account, except what
/// other users of a host burnt, which is no cost of the sweep and is stated apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Account {
    /// Attempts whose results count: completed, pruned, paused and failed trials.
    Trial,
    /// Attempts that were interrupted, lost or fenced.
    Lost,
    /// Hosts waiting.
    Idle,
    /// gramwise itself, and `setup`.
    Overhead,
}

impl Account {
    /// All accounts, in the order in which they are shown.
    pub const ALL: [Self; 4] = [Self::Trial, Self::Lost, Self::Idle, Self::Overhead];

    /// The account's name in tables, JSON and the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Trial => "trial",
            Self::Lost => "lost",
            Self::Idle => "idle",
            Self::Overhead => "overhead",
        }
    }
}

impl fmt::Display for Account {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.name())
    }
}

/// Where a sweep is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SweepState {
    /// Trials run, or will when a coordinator runs it again.
    Running,
    /// No new trials for now.
    Paused,
    /// No new trials; the last ones are finishing or being stopped.
    Ending,
    /// Over.
    Ended,
}

/// Where a trial is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrialState {
    /// Proposed, or interrupted and to be run again.
    Waiting,
    /// On a worker.
    Running,
    /// Told to stop, still burning.
    Stopping,
    /// Kept for later.
    Paused,
    /// Ran to its end.
    Completed,
    /// Not worth its carbon.
    Pruned,
    /// Ended by its own fault.
    Failed,
}

/// What was decided about a trial at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Go on.
    Continue,
    /// Go on from where it was paused.
    Promote,
    /// Stop, and keep it for later.
    Pause,
    /// Stop: not worth its carbon.
    Prune,
    /// Stop: done, failed, stale, or the sweep ends.
    Stop,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It exited with success by itself.
    Finished,
    /// It ended after it was told to.
    Stopped,
    /// It ended by its own fault.
    Failed {
        /// What happened, with the end of its output.
        message: String,
    },
    /// Its worker was interrupted.
    Interrupted,
    /// Its worker was not heard from again.
    Lost,
}

/// One sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepRow {
    /// Its number.
    pub id: SweepId,
    /// What it was asked to do.
    pub spec: SweepSpec,
    /// How its energy becomes grams.
    pub factors: CarbonFactors,
    /// Where it is.
    pub state: SweepState,
    /// When it was submitted.
    pub submitted_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Why it ended, in words.
    pub ended_because: Option<String>,
    /// Who submitted it (`user@host`).
    pub submitted_by: String,
    /// What tells it from all sweeps of all databases, where it was run by another coordinator and imported.
    pub origin: Option<String>,
}

/// One trial with its latest figures.
#[derive(Debug, Clone, PartialEq)]
pub struct TrialRow {
    /// Its number in the sweep.
    pub id: TrialId,
    /// Where it is.
    pub state: TrialState,
    /// Its hyperparameters.
    pub config: Config,
    /// The last step reported; 0 for none.
    pub step: u64,
    /// The metrics reported there; `co2e` (grams to that step) is among them.
    pub metrics: Metrics,
    /// Charged to account `trial` for it.
    pub booked: Footprint,
    /// Charged to account `lost` for it.
    pub lost: Footprint,
    /// How many attempts there were.
    pub attempts: u32,
    /// The last decision about it.
    pub verdict: Option<Verdict>,
    /// Why.
    pub because: Option<Because>,
    /// What failed, if it did.
    pub message: Option<String>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptRow {
    /// The trial.
    pub trial: TrialId,
    /// The attempt's number.
    pub number: u32,
    /// Who ran it.
    pub worker: WorkerId,
    /// GPUs leased, by UUID.
    pub gpus: Vec<String>,
    /// When it was leased.
    pub leased_at: Timestamp,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended; `None` while it runs.
    pub outcome: Option<Outcome>,
    /// The account its grams are in.
    pub account: Account,
    /// What it burnt.
    pub footprint: Footprint,
    /// How many steps it reported.
    pub steps: u64,
}

/// One step of one trial.
#[derive(Debug, Clone, PartialEq)]
pub struct StepRow {
    /// The trial.
    pub trial: TrialId,
    /// The attempt that reported it.
    pub attempt: u32,
    /// The step.
    pub step: u64,
    /// Its metrics; `co2e` (grams to this step) is among them.
    pub metrics: Metrics,
    /// What the trial had burnt to reach it.
    pub energy: Microjoules,
    /// The grams of that.
    pub co2e: Nanograms,
    /// When it was heard of.
    pub at: Timestamp,
}

/// One decision about one trial.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionRow {
    /// When.
    pub at: Timestamp,
    /// The trial.
    pub trial: TrialId,
    /// Its attempt then.
    pub attempt: u32,
    /// The step it was decided at; 0 before the first.
    pub step: u64,
    /// What was decided.
    pub verdict: Verdict,
    /// Why.
    pub because: Because,
}

/// The balance of one account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountRow {
    /// The account.
    pub account: Account,
    /// What is in it.
    pub footprint: Footprint,
}

/// Energy that was booked, and the time in which it was burnt: from the booking before to its own.
#[derive(Debug, Clone, PartialEq)]
pub struct BookingRow {
    /// The account that it is in now.
    pub account: Account,
    /// The trial, where it is one's.
    pub trial: Option<TrialId>,
    /// What was booked, with the grams as they were first stated.
    pub footprint: Footprint,
    /// When the time began in which it was burnt.
    pub from: Timestamp,
    /// When it was booked.
    pub to: Timestamp,
}

/// What one worker's host metered while it served the sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct HostRow {
    /// The worker (one life of its process).
    pub worker: WorkerId,
    /// Host, processor and GPUs, for people.
    pub description: String,
    /// Everything its counters and models said, in exact microjoules.
    pub total: Energy,
    /// The part of it burnt by other users of the host: no cost of the sweep.
    pub other: Energy,
    /// Its graphics cards.
    pub gpus: Vec<Card>,
    /// CPU cores that the worker may use; 0 where that was not told.
    pub cpus: u32,
    /// Memory that it may use, in bytes; 0 where that was not told.
    pub memory: u64,
    /// When it was first heard of.
    pub joined_at: Timestamp,
    /// When it was last heard of.
    pub heard_at: Timestamp,
    /// It ended, or lost its lease.
    pub gone: bool,
}

/// What a grid's intensity was stated to be.
#[derive(Debug, Clone, PartialEq)]
pub struct IntensityRow {
    /// When it was first.
    pub at: Timestamp,
    /// Grams per kWh.
    pub g_per_kwh: f64,
    /// How it was obtained.
    pub kind: IntensityKind,
    /// Who published it.
    pub source: String,
    /// What it counts.
    pub basis: String,
    /// The year it is of.
    pub year: u16,
    /// How often it was stated.
    pub statements: u64,
    /// The energy that was booked at this intensity.
    pub energy: Microjoules,
}

/// Everything the database knows of one sweep.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepRecord {
    /// The sweep.
    pub sweep: SweepRow,
    /// Its trials by number.
    pub trials: Vec<TrialRow>,
    /// Their attempts, by trial and number.
    pub attempts: Vec<AttemptRow>,
    /// All accounts, in the order of [`Account::ALL`].
    pub accounts: Vec<AccountRow>,
    /// The hosts that served it.
    pub hosts: Vec<HostRow>,
    /// Grid intensities as they were stated, in order.
    pub intensities: Vec<IntensityRow>,
    /// Decisions in the order they were taken.
    pub decisions: Vec<DecisionRow>,
    /// Number of distinct (trial, attempt, step) reports: the training cycles run.
    pub steps_reported: u64,
    /// What completed trials had emitted at the steps at which others were given up.
    pub growth: Vec<GrowthRow>,
    /// When it was burnt: a thousand intervals at most, in order.
    pub spending: Vec<SpendingRow>,
    /// Sweeps that ran configurations of this one again.
    pub replications: Vec<Replication>,
}

/// What a completed trial had emitted at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GrowthRow {
    /// The trial.
    pub trial: TrialId,
    /// The step.
    pub step: u64,
    /// To reach it.
    pub co2e: Nanograms,
}

/// One sweep among many: what it came to, and where.
#[derive(Debug, Clone, PartialEq)]
pub struct SweepSummary {
    /// The sweep.
    pub sweep: SweepRow,
    /// How many of its trials are in each state.
    pub trials: BTreeMap<TrialState, u64>,
    /// What all its accounts hold.
    pub total: Footprint,
    /// The parts of its workers; they sum to the total.
    pub workers: Vec<WorkerShare>,
}

/// What one worker burnt for a sweep, in all accounts.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkerShare {
    /// The worker (one life of its process).
    pub worker: WorkerId,
    /// Its machine; empty where that was not told.
    pub host: String,
    /// The machine's graphics cards.
    pub gpus: Vec<Card>,
    /// How many trials it ran, or part of them.
    pub trials: u64,
    /// What it burnt.
    pub footprint: Footprint,
}

/// What was booked in an interval of time.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SpendingRow {
    /// The last booking in it.
    pub to: Timestamp,
    /// Booked in it, all accounts together.
    pub energy: Microjoules,
    /// The grams of that.
    pub co2e: Nanograms,
    /// The grid's intensity, the mean by energy, in grams per kWh.
    pub g_per_kwh: f64,
}

/// A sweep that ran configurations of another again.
#[derive(Debug, Clone, PartialEq)]
pub struct Replication {
    /// Its number.
    pub sweep: SweepId,
    /// Where it is.
    pub state: SweepState,
    /// What all its accounts hold.
    pub total: Footprint,
    /// Its completed trials.
    pub results: Vec<ReplicateResult>,
}

/// One more result of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct ReplicateResult {
    /// The trial that was run again.
    pub of: TrialId,
    /// With which of the seeds.
    pub seed: u32,
    /// Its metrics at its last step.
    pub metrics: Metrics,
}
