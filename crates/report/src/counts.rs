//! How many trials and attempts came to which end.

use gramwise_model::rows::{AttemptRow, Outcome, TrialState};
use serde::Serialize;

/// Trials by state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct TrialCounts {
    /// All of them.
    pub total: u64,
    /// Ran to their end.
    pub completed: u64,
    /// Not worth their carbon.
    pub pruned: u64,
    /// Kept for later.
    pub paused: u64,
    /// Ended by their own fault.
    pub failed: u64,
    /// On a worker.
    pub running: u64,
    /// Told to stop, still burning.
    pub stopping: u64,
    /// Proposed, or to be run again.
    pub waiting: u64,
}

/// Attempts by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct AttemptCounts {
    /// All of them.
    pub total: u64,
    /// Exited with success by themselves.
    pub finished: u64,
    /// Ended after they were told to.
    pub stopped: u64,
    /// Ended by their own fault.
    pub failed: u64,
    /// Their worker was interrupted.
    pub interrupted: u64,
    /// Their worker was not heard from again.
    pub lost: u64,
    /// Not over.
    pub running: u64,
}

impl TrialCounts {
    pub(crate) fn of(counts: impl Iterator<Item = (TrialState, u64)>) -> Self {
        let mut sums = Self::default();
        for (state, count) in counts {
            sums.total += count;
            *match state {
                TrialState::Waiting => &mut sums.waiting,
                TrialState::Running => &mut sums.running,
                TrialState::Stopping => &mut sums.stopping,
                TrialState::Paused => &mut sums.paused,
                TrialState::Completed => &mut sums.completed,
                TrialState::Pruned => &mut sums.pruned,
                TrialState::Failed => &mut sums.failed,
            } += count;
        }
        sums
    }
}

impl AttemptCounts {
    pub(crate) fn of(attempts: &[AttemptRow]) -> Self {
        let mut counts = Self { total: attempts.len() as u64, ..Self::default() };
        for attempt in attempts {
            *match &attempt.outcome {
                Some(Outcome::Finished) => &mut counts.finished,
                Some(Outcome::Stopped) => &mut counts.stopped,
                Some(Outcome::Failed { .. }) => &mut counts.failed,
                Some(Outcome::Interrupted) => &mut counts.interrupted,
                Some(Outcome::Lost) => &mut counts.lost,
                None => &mut counts.running,
            } += 1;
        }
        counts
    }
}
