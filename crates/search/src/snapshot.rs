//! A sweep as it is, so that a coordinator need not read all that ever happened to know it. Only a shortcut: the facts are the truth, and
//! what they give is the same.

use std::collections::BTreeMap;
use std::time::Duration;

use gramwise_model::{SweepId, Timestamp, WorkerId};
use serde::{Deserialize, Serialize};

use crate::state::{State, Sweep, SweepPhase, Worker};

/// One sweep of a state, with its workers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    sweep: Sweep,
    workers: BTreeMap<WorkerId, Worker>,
}

impl State {
    /// A sweep as it is now.
    pub fn snapshot(&self, sweep: SweepId) -> Option<Snapshot> {
        let workers = self.workers.iter().filter(|(_, worker)| worker.sweep == sweep);
        Some(Snapshot {
            sweep: self.sweep(sweep)?.clone(),
            workers: workers.map(|(id, worker)| (id.clone(), worker.clone())).collect(),
        })
    }

    /// Forgets a sweep and its workers. Their facts are on disk; [`State::restore`] and those bring them back.
    pub fn forget(&mut self, sweep: SweepId) {
        self.sweeps.remove(&sweep);
        self.workers.retain(|_, worker| worker.sweep != sweep);
    }

    /// Sweeps that are over, and of whose workers nothing was heard for so long.
    pub fn over_for(&self, quiet: Duration, now: Timestamp) -> Vec<SweepId> {
        let ended = self.sweeps.values().filter(|sweep| matches!(sweep.phase, SweepPhase::Ended { .. }));
        let is_quiet = |sweep: &Sweep| {
            let mut workers = self.workers.values().filter(|worker| worker.sweep == sweep.id);
            workers.all(|worker| worker.gone && now.since(worker.heard_at) > quiet)
        };
        ended.filter(|sweep| is_quiet(sweep)).map(|sweep| sweep.id).collect()
    }

    /// A sweep as it was, in place of the facts until then.
    pub fn restore(&mut self, snapshot: Snapshot) {
        let Snapshot { mut sweep, workers } = snapshot;
        sweep.strategy.share(sweep.trials.values().map(|trial| trial.config.clone()));
        self.last_sweep = self.last_sweep.max(sweep.id.0);
        self.sweeps.insert(sweep.id, sweep);
        self.workers.extend(workers);
    }
}
