//! Asynchronous successive halving (Li et al. 2020) that stops and promotes, with several objectives ranked by
//! non-dominated sorting (Schmucker et al., "Multi-objective Asynchronous Successive Halving", 2021).

use gramwise_model::{Comparison, Metric, TrialId};
use gramwise_surrogate::pareto_order;

use crate::money::grams_to_step;
use crate::state::{Phase, Step, Sweep, Trial};

/// One in so many goes on from each rung.
const REDUCTION: usize = 3;

/// Everyone who reached a rung, best first, and how many of them go on.
struct Standing {
    order: Vec<TrialId>,
    keep: usize,
}

impl Standing {
    fn at(sweep: &Sweep, rung: u64) -> Self {
        let (ids, points): (Vec<TrialId>, Vec<Vec<f64>>) = sweep
            .trials
            .values()
            .filter_map(|trial| Some((trial.id, costs(sweep, at_rung(trial, rung)?)?)))
            .unzip();
        let order: Vec<TrialId> = pareto_order(&points).into_iter().map(|index| ids[index]).collect();
        let keep = (order.len() / REDUCTION).max(1);
        Self { order, keep }
    }

    fn comparison(&self, sweep: &Sweep, trial: &Trial, rung: u64) -> Option<Comparison> {
        let place = self.order.iter().position(|id| *id == trial.id)?;
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        Some(Comparison {
            rung,
            place: count(place + 1),
            of: count(self.order.len()),
            keep: count(self.keep),
            values: finite(at_rung(trial, rung)?),
            cut: self.order.get(self.keep - 1).copied(),
            grams_left: grams_to_step(sweep, trial, sweep.spec.resource.max).get(),
        })
    }
}

/// The trial's place at a rung among all that reached it. `None` if it has no finite objectives there.
pub(crate) fn compare(sweep: &Sweep, trial: &Trial, rung: u64) -> Option<Comparison> {
    Standing::at(sweep, rung).comparison(sweep, trial, rung)
}

/// The paused trial that has the best right to go on: at the highest rung, the best place that is kept.
pub(crate) fn promotable(sweep: &Sweep) -> Option<(TrialId, Comparison)> {
    sweep.spec.rungs().into_iter().rev().find_map(|rung| {
        let waits = |trial: &Trial| trial.phase == Phase::Paused && current_rung(sweep, trial) == Some(rung);
        if !sweep.trials.values().any(waits) {
            return None;
        }
        let standing = Standing::at(sweep, rung);
        let mut kept = standing.order.iter().take(standing.keep).filter_map(|id| sweep.trials.get(id));
        let trial = kept.find(|trial| waits(trial))?;
        Some((trial.id, standing.comparison(sweep, trial, rung)?))
    })
}

/// The highest rung that a trial reached.
pub(crate) fn current_rung(sweep: &Sweep, trial: &Trial) -> Option<u64> {
    sweep.spec.rungs().into_iter().rev().find(|rung| trial.last_step() >= *rung)
}

/// The objectives of a step as costs (smaller is better); `None` where one is missing or diverged.
pub(crate) fn costs(sweep: &Sweep, point: &Step) -> Option<Vec<f64>> {
    let cost = |objective: &gramwise_model::Objective| {
        let value = point.metrics.get(&objective.name)?.finite()?;
        Some(objective.cost(value))
    };
    sweep.spec.objectives.iter().map(cost).collect()
}

/// The finite metrics of a step by name.
pub(crate) fn finite(point: &Step) -> std::collections::BTreeMap<String, f64> {
    let number = |(name, metric): (&String, &Metric)| Some((name.clone(), metric.finite()?));
    point.metrics.iter().filter_map(number).collect()
}

/// The point that a trial is compared by at a rung: its first at or after it.
fn at_rung(trial: &Trial, rung: u64) -> Option<&Step> {
    trial.curve.range(rung..).next().map(|(_, point)| point)
}
