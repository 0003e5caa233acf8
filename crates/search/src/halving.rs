//! Asynchronous successive halving (Li et al. 2020) that stops and promotes, with several objectives ranked by
//! non-dominated sorting (Schmucker et al., "Multi-objective Asynchronous Successive Halving", 2021).

use gramwise_model::{Comparison, Metric, TrialId};
use gramwise_surrogate::pareto_order;

use crate::money::grams_to_step;
use crate::state::{Phase, Step, Sweep, Trial};

/// One in so many goes on from each rung.
const REDUCTION: u32 = 3;

/// The trial's place at a rung among all that reached it, `trial` as it is now (the sweep may hold an older copy).
/// `None` if it has no finite objectives there.
pub(crate) fn compare(sweep: &Sweep, trial: &Trial, rung: u64) -> Option<Comparison> {
    let mut ids: Vec<TrialId> = Vec::new();
    let mut points: Vec<Vec<f64>> = Vec::new();
    let others = sweep.trials.values().filter(|other| other.id != trial.id);
    for one in others.chain([trial]) {
        if let Some(costs) = at_rung(one, rung).and_then(|point| costs(sweep, point)) {
            ids.push(one.id);
            points.push(costs);
        }
    }
    let order = pareto_order(&points);
    let place = order.iter().position(|&index| ids[index] == trial.id)?;
    let of = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    let keep = (of / REDUCTION).max(1);
    let cut = order.get(keep as usize - 1).map(|&index| ids[index]);
    Some(Comparison {
        rung,
        place: u32::try_from(place + 1).unwrap_or(u32::MAX),
        of,
        keep,
        values: finite(at_rung(trial, rung)?),
        cut,
        grams_left: grams_to_step(sweep, trial, sweep.spec.resource.max).get(),
    })
}

/// The paused trial that has the best right to go on: at the highest rung, the best place that is kept.
pub(crate) fn promotable(sweep: &Sweep) -> Option<(TrialId, Comparison)> {
    sweep.spec.rungs().into_iter().rev().find_map(|rung| {
        sweep
            .trials
            .values()
            .filter(|trial| trial.phase == Phase::Paused && current_rung(sweep, trial) == Some(rung))
            .filter_map(|trial| Some((trial.id, compare(sweep, trial, rung)?)))
            .filter(|(_, comparison)| comparison.place <= comparison.keep)
            .min_by_key(|(_, comparison)| comparison.place)
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
