//! What coordinator and worker say to each other. The worker knows no search, the search no machine: this is all that
//! passes between them.

use std::time::Duration;

use gramwise_carbon::Energy;
use serde::{Deserialize, Serialize};

use crate::{AttemptId, Config, Metrics, WorkerId};

/// One graphics card of a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Card {
    /// Its identity.
    pub uuid: String,
    /// Its model, as its driver names it.
    pub model: String,
}

/// Everything a worker needs for running an attempt, besides what the sweep says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Assignment {
    /// The attempt.
    pub attempt: AttemptId,
    /// The configuration.
    pub config: Config,
    /// The seed for the script.
    pub seed: u64,
    /// GPUs leased, by UUID.
    pub gpus: Vec<String>,
    /// Run up to this step.
    pub up_to_step: u64,
    /// How.
    pub plan: Plan,
}

/// The part of a sweep that a worker needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    /// A shell command run once per worker, before the first trial.
    pub setup: Option<String>,
    /// Program and arguments, macros not yet expanded.
    pub command: Vec<String>,
    /// An attempt that runs longer is ended as failed.
    pub timeout: Option<Duration>,
    /// CPU cores one trial may count on.
    pub cpus: Option<u32>,
    /// Memory that a trial may use, in bytes.
    pub memory: Option<u64>,
    /// Are checkpoints of no more use to be discarded?
    #[serde(default)]
    pub discards: bool,
}

/// What a worker says of its host.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Host {
    /// Its name.
    pub name: String,
    /// Host, processor and GPUs in one line, for people.
    pub description: String,
    /// Its graphics cards.
    pub gpus: Vec<Card>,
    /// CPU cores; 0 where that is not known.
    pub cpus: u32,
    /// Memory in bytes; 0 where that is not known.
    pub memory: u64,
    /// Where its trials' checkpoints are: workers that share a folder say the same.
    pub place: String,
}

/// What a worker is to do with an attempt it holds.
#[derive(Debug, Clone, PartialEq)]
pub enum Instruction {
    /// Go on.
    GoOn,
    /// Stop it, and say so when it is gone.
    Stop {
        /// Why, for the worker's log. The numbers are in the journal.
        why: String,
    },
}

/// Everything a worker has to tell, as totals at one moment: repeated, lost or late, it changes no sum.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// The worker.
    pub worker: WorkerId,
    /// The report's number, rising by one.
    pub seq: u64,
    /// Everything metered on the host since the worker started.
    pub total: Energy,
    /// The part that nobody is charged for but the sweep: waiting.
    pub idle: Energy,
    /// The part burnt by gramwise itself and `setup`.
    pub overhead: Energy,
    /// The part burnt by other users of the host.
    pub other: Energy,
    /// Its attempts: running ones, and those that ended since the last acknowledged report.
    pub attempts: Vec<AttemptReport>,
    /// The worker ends after this report.
    pub leaving: bool,
}

/// What one attempt did.
#[derive(Debug, Clone, PartialEq)]
pub struct AttemptReport {
    /// The attempt.
    pub attempt: AttemptId,
    /// What it burnt since its start.
    pub total: Energy,
    /// Steps not yet acknowledged, ascending.
    pub steps: Vec<StepReport>,
    /// How it ended, if it did.
    pub ended: Option<AttemptEnd>,
}

/// One step.
#[derive(Debug, Clone, PartialEq)]
pub struct StepReport {
    /// The step, from 1.
    pub step: u64,
    /// What the script reported; `co2e` is never among it.
    pub metrics: Metrics,
    /// What the attempt had burnt when the worker read it.
    pub total: Energy,
}

/// The end of an attempt as its worker saw it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptEnd {
    /// How.
    pub kind: EndKind,
    /// What happened, with the end of its output where it failed.
    pub message: String,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndKind {
    /// Exit code 0, by itself.
    Success,
    /// Another exit code or a signal, by itself; could not be started; timed out.
    Failure,
    /// After it was told to stop.
    Stopped,
    /// The worker is being interrupted and took it down.
    Interrupted,
}
