//! What an earlier sweep did, as a new one understands it.

use std::collections::BTreeMap;

use gramwise_carbon::{CarbonFactors, Footprint};
use gramwise_model::rows::{StepRow, TrialRow, TrialState};
use gramwise_model::{Config, SweepSpec};

use crate::state::{Step, Trial};
use crate::strategy::{EarlierTrial, Fate, Launch};
use crate::sweep_strategy::{seen, strategy};
use crate::unit_cube::{probability_of, value_at};

/// A number is inside its bounds if it comes back from the unit cube but for rounding, as a share of the middle half's width.
const ROUNDING: f64 = 1e-6;

/// The trials of an earlier sweep that a new one can learn from: those whose configurations are of its space, and which
/// reported its objectives, at most so many. `Err` says why there is none. `steps` are of each trial by attempt and step.
pub fn recall(
    spec: &SweepSpec,
    factors: &CarbonFactors,
    trials: &[(TrialRow, Vec<StepRow>)],
    most: usize,
) -> Result<Vec<EarlierTrial>, String> {
    let mut search = strategy(spec, factors, Vec::new());
    let mut refused = None;
    let mut recalled = 0;
    for (row, steps) in trials {
        let config = match adopted(spec, &row.config) {
            Ok(config) => config,
            Err(why) => {
                refused.get_or_insert(format!("trial {} {why}", row.id));
                continue;
            }
        };
        let path = path(steps, factors);
        let mut trial = Trial::proposed(row.id, config.clone().into(), 0);
        let index = search.started(config);
        search.launched(index, Launch::unpriced(usize::MAX, false));
        let last = path.last_key_value().map(|(step, _)| *step);
        for (step, point) in path {
            trial.curve.insert(step, point);
            let is_over = row.state == TrialState::Completed && last == Some(step);
            if let Some(seen) = seen(spec, &trial, is_over) {
                recalled += 1;
                search.seen(index, &seen);
            }
        }
        if row.state == TrialState::Failed {
            search.ended(index, Fate::Failed);
        }
    }
    if recalled > 0 {
        return Ok(search.as_earlier(most));
    }
    let objectives: Vec<String> = spec.objectives.iter().map(|one| format!("`{}`", one.name)).collect();
    Err(refused.unwrap_or_else(|| format!("none of its trials reported {}", objectives.join(" and "))))
}

/// The steps of a trial's path: a later attempt ends what earlier ones reported from its first step on.
fn path(steps: &[StepRow], factors: &CarbonFactors) -> BTreeMap<u64, Step> {
    let mut path = BTreeMap::new();
    let mut attempt = 0;
    for row in steps {
        if row.attempt != attempt {
            attempt = row.attempt;
            path.split_off(&row.step);
        }
        // Its energy, as grams where the new sweep runs. Nothing looks at the energy itself.
        let footprint = Footprint { co2e: factors.co2e(row.energy.joules()), ..Footprint::ZERO };
        path.insert(row.step, Step { metrics: row.metrics.clone(), footprint });
    }
    path
}

/// A configuration as one of the sweep's space. `Err` says what it lacks or what lies outside.
fn adopted(spec: &SweepSpec, config: &Config) -> Result<Config, String> {
    let mut problem = None;
    let adopted = spec.space.build(|_, parameter| {
        let (name, distribution) = (&parameter.name, &parameter.distribution);
        let (Some(value), true) = (config.get(name), distribution.is_searched()) else {
            if distribution.is_searched() {
                problem.get_or_insert(format!("has no `{name}`"));
            }
            return value_at(distribution, 0.5);
        };
        let restored = value_at(distribution, probability_of(distribution, value));
        let is_inside = match (value.number(), restored.number()) {
            (Some(value), Some(restored)) => {
                let quarter = |at: f64| value_at(distribution, at).number().unwrap_or_default();
                let width = quarter(0.75) - quarter(0.25);
                (value - restored).abs() <= ROUNDING * value.abs().max(width)
            }
            _ => restored.same_as(value),
        };
        if !is_inside {
            problem.get_or_insert(format!("has `{name}` {value}, which this space does not"));
        }
        value.clone()
    });
    match problem {
        Some(problem) => Err(problem),
        None if !spec.space.allows(&adopted) => Err("is forbidden here".to_owned()),
        None => Ok(adopted),
    }
}
