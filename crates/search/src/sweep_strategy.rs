//! A sweep and its strategy: how a sweep file sets it up, and what each trial's steps mean to it.
//!
//! The strategy counts trials from 0 and knows no attempts; a sweep counts them from 1.

use gramwise_carbon::{CarbonFactors, GramsCo2e};
use gramwise_model::{GainPerKg, Objective, SweepSpec, TrialId};

use crate::state::Trial;
use crate::strategy::{EarlierTrial, Goal, Knobs, Seen, Setting, Strategy};

/// The strategy of a sweep that begins.
pub(crate) fn strategy(spec: &SweepSpec, factors: &CarbonFactors, earlier: Vec<EarlierTrial>) -> Strategy {
    let goal = |objective: &Objective| if objective.is_co2e() { Goal::Grams } else { Goal::Reported };
    let mut objectives: Vec<Goal> = spec.objectives.iter().map(goal).collect();
    if !objectives.contains(&Goal::Reported) {
        // Grams alone: they are then a number like any other.
        objectives = vec![Goal::Reported; objectives.len()];
    }
    // Without a resource nothing is known of how far a trial is: it has one step, its end.
    let last_step = if spec.resource.is_open() { 1 } else { spec.resource.max };
    let setting = Setting {
        first_step: spec.first_step().min(last_step),
        meaningful: spec.objectives.iter().map(|objective| objective.meaningful.unwrap_or(0.0)).collect(),
        seed: spec.seed,
        price: match spec.prune.gain_per_kg {
            Some(GainPerKg::Fixed(per_kg)) => Some(per_kg / 1000.0),
            Some(GainPerKg::Auto) | None => None,
        },
        sampler: spec.method,
        pruner: spec.prune.rule,
        most_trials: spec.budget.trials.map(|most| most as usize),
        most_grams: spec.budget.most_co2e(factors).map(GramsCo2e::get),
        exhaustive: false,
        resumable: spec.resource.checkpoint,
        audit: spec.prune.audit,
        earlier,
        ..Setting::new(spec.space.clone(), last_step, objectives)
    };
    Strategy::new(setting, Knobs::default())
}

/// The strategy's number of a trial.
pub(crate) fn index(trial: TrialId) -> usize {
    (trial.0 as usize).saturating_sub(1)
}

/// The sweep's number of the strategy's trial.
pub(crate) fn trial_id(index: usize) -> TrialId {
    TrialId(u32::try_from(index + 1).unwrap_or(u32::MAX))
}

/// What the newest step of a trial tells the strategy. `None` where it tells nothing: before an objective was reported for the
/// first time, and on the way of a trial whose steps are not counted.
pub(crate) fn seen(spec: &SweepSpec, trial: &Trial, is_over: bool) -> Option<Seen> {
    let (step, point) = trial.curve.last()?;
    if spec.resource.is_open() && !is_over {
        return None;
    }
    let grams_alone = spec.objectives.iter().all(Objective::is_co2e);
    let cost = |objective: &Objective| {
        // A script may leave an objective out at some steps: what it said last stands.
        let reported = trial.curve.values().rev().find_map(|point| point.metrics.get(&objective.name))?;
        Some(reported.finite().map_or(f64::INFINITY, |value| objective.cost(value)))
    };
    let reported = spec.objectives.iter().filter(|objective| grams_alone || !objective.is_co2e());
    let last = is_over || step >= spec.resource.max;
    let keeps = |constraint: &gramwise_model::Constraint| {
        // A script may leave it out at some steps: what it said last stands. It must say it once.
        let metric = trial.curve.values().rev().find_map(|point| point.metrics.get(&constraint.name));
        metric.map_or(!last, |metric| metric.finite().is_some_and(|value| constraint.holds(value)))
    };
    Some(Seen {
        step: if spec.resource.is_open() { 1 } else { step },
        costs: reported.map(cost).collect::<Option<_>>()?,
        grams: point.footprint.co2e.grams().get(),
        last,
        feasible: spec.constraints.iter().all(keeps),
    })
}
