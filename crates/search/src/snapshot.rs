//! A sweep as it is, so that a coordinator need not read all that ever happened to know it. Only a shortcut: the facts are the truth, and
//! what they give is the same.

use std::collections::BTreeMap;

use gramwise_model::{SweepId, WorkerId};
use serde::{Deserialize, Serialize};

use crate::state::{State, Sweep, Worker};

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

    /// A sweep as it was, in place of the facts until then.
    pub fn restore(&mut self, snapshot: Snapshot) {
        let Snapshot { mut sweep, workers } = snapshot;
        sweep.strategy.share(sweep.trials.values().map(|trial| trial.config.clone()));
        self.last_sweep = self.last_sweep.max(sweep.id.0);
        self.sweeps.insert(sweep.id, sweep);
        self.workers.extend(workers);
    }
}
