//! Fits of models: computed off the thread that decides, and taken in as facts.

use gramwise_model::SweepId;

use crate::command::Command;
use crate::state::{State, SweepPhase};
use crate::strategy::FitTask;

/// A fit to be computed: plain data, so that any thread can.
#[derive(Debug, Clone, PartialEq)]
pub struct Fit {
    sweep: SweepId,
    task: FitTask,
}

impl Fit {
    /// Computes it, some tenths of a second, and says what to tell the core.
    pub fn solve(&self) -> Command {
        let parameters = self.task.solve().logs().to_vec();
        Command::Fitted { sweep: self.sweep, objective: self.task.objective, parameters }
    }
}

/// The fits that are due: where enough was seen since the last, and, where nothing runs while a worker waits for work or there is none
/// to ask, where anything was.
pub fn fits_due(state: &State, someone_waits: bool) -> Vec<Fit> {
    let running = state.sweeps.values().filter(|sweep| sweep.phase == SweepPhase::Running);
    running
        .flat_map(|sweep| {
            let nobody_asks = || !sweep.trials.is_empty() && state.serving(sweep.id).next().is_none();
            let tasks = sweep.strategy.fits_due(sweep.live.is_empty() && (someone_waits || nobody_asks()));
            tasks.into_iter().map(|task| Fit { sweep: sweep.id, task })
        })
        .collect()
}
