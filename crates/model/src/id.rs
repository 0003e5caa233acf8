//! Names of things. Each is its own type, so that a trial's number cannot be handed in as an attempt's.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A sweep's number, unique in one database, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SweepId(pub u32);

/// A trial's number, unique in its sweep, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrialId(pub u32);

/// One execution of a trial. The number grows with every retry and resumption, and fences the earlier ones:
/// what an older attempt reports is refused, what it burnt is booked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AttemptId {
    /// The sweep.
    pub sweep: SweepId,
    /// The trial.
    pub trial: TrialId,
    /// The execution, from 1.
    pub number: u32,
}

/// A worker's name: its host and the session (one life of its process), so that a restarted worker is another one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(pub String);

impl AttemptId {
    /// Its folder among the files of a worker, and among what a coordinator keeps of trials.
    pub fn folder(&self) -> PathBuf {
        [format!("sweep-{}", self.sweep), format!("trial-{}", self.trial), format!("attempt-{}", self.number)]
            .iter()
            .collect()
    }
}

impl fmt::Display for SweepId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for TrialId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}.{}", self.sweep, self.trial, self.number)
    }
}

impl fmt::Display for WorkerId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}
