//! The checkpoints that a worker has of trials which it runs no more, where the sweep wants only those that are of use.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use gramwise_model::{AttemptId, TrialId};

use crate::environment::Files;

/// What became of no use elsewhere is asked for so often; what ends here, at once.
const ASK: Duration = Duration::from_secs(30);
/// Named at once at most.
const NAMED: usize = 1000;

/// Trials of this worker's sweep, by what is on its disk.
#[derive(Debug, Default)]
pub(crate) struct Checkpoints {
    /// Does the sweep want those discarded that are of no more use?
    pub(crate) are_discarded: bool,
    kept: BTreeSet<AttemptId>,
    /// When they were last named.
    named: Option<Instant>,
}

impl Checkpoints {
    /// An attempt has ended here.
    pub(crate) fn add(&mut self, attempt: AttemptId) {
        if self.are_discarded {
            self.kept.insert(attempt);
            self.named = None;
        }
    }

    /// Those to be named in the next report: none while it is too early. `is_last`: there is no later one.
    pub(crate) fn names(&mut self, is_last: bool) -> Vec<u32> {
        if !is_last && self.named.is_some_and(|at| at.elapsed() < ASK) {
            return Vec::new();
        }
        self.named = Some(Instant::now());
        let trials: BTreeSet<u32> = self.kept.iter().map(|attempt| attempt.trial.0).collect();
        trials.into_iter().take(NAMED).collect()
    }

    /// Discards the checkpoints of trials, those of which `runs` here excepted.
    pub(crate) async fn discard(&mut self, trials: &[u32], root: &Path, runs: impl Fn(TrialId) -> bool) {
        for trial in trials.iter().map(|trial| TrialId(*trial)).filter(|trial| !runs(*trial)) {
            let of_it = self.kept.iter().filter(|attempt| attempt.trial == trial);
            let Some(attempt) = of_it.max().copied() else { continue };
            self.kept.retain(|attempt| attempt.trial != trial);
            let folder = Files::of(root, attempt).checkpoint;
            match tokio::fs::remove_dir_all(&folder).await {
                Ok(()) => tracing::debug!(%trial, "its checkpoint is of no more use: discarded"),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    tracing::warn!(%error, folder = %folder.display(), "cannot discard a checkpoint");
                }
            }
        }
    }
}
