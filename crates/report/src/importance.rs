//! Which hyperparameters matter, and what changes along the front.

use std::collections::BTreeMap;

use gramwise_model::rows::{SweepRecord, TrialRow, TrialState};
use gramwise_model::{Metric, TrialId, Value};
use gramwise_search::points;
use serde::Serialize;

use crate::pareto;
use crate::units::share;
use crate::words::{self, metric_value};

/// How much each hyperparameter tells the best fifth of the trials from all, beyond chance
/// ([`gramwise_surrogate::importance`]): shares that sum to one, or zeros where none goes beyond chance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Importance {
    /// The trials that it is from.
    pub trials: u64,
    /// One entry a hyperparameter that was searched, the most important for the objective first.
    pub parameters: Vec<OfParameter>,
}

/// One hyperparameter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OfParameter {
    /// Its name.
    pub name: String,
    /// For the primary objective; `null` for too few trials.
    pub objective: Option<f64>,
    /// For the grams of a step.
    pub emissions: Option<f64>,
}

/// One step along the front, to a trial that is worse by the primary objective and better by another.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trade {
    /// From this trial
    pub from: TrialId,
    /// to that.
    pub to: TrialId,
    /// How much each objective grows.
    pub changes: BTreeMap<String, f64>,
    /// The hyperparameters that differ: there and here; `null` where one is not active.
    pub config: BTreeMap<String, [serde_json::Value; 2]>,
}

/// Of trials of which the first are ranked, the best first.
fn shares(record: &SweepRecord, ordered: &[&TrialRow], ranked: usize) -> Option<BTreeMap<String, f64>> {
    let found = points(&record.sweep.spec.space, ordered.iter().map(|trial| &trial.config));
    let shares = gramwise_surrogate::importance(&found.axes, &found.points, ranked)?;
    // Whether a conditional one is active belongs to what it depends on.
    let own = &shares[..found.names.len().min(shares.len())];
    let sum: f64 = own.iter().sum();
    let share = |share: &f64| if sum > 0.0 { share / sum } else { 0.0 };
    Some(found.names.iter().cloned().zip(own.iter().map(share)).collect())
}

pub(crate) fn importance(record: &SweepRecord) -> Option<Importance> {
    let mut ordered = pareto::ranked(record);
    let ranked = ordered.len();
    // What was given up was not going to be among the best.
    let given_up = record.trials.iter().filter(|trial| {
        matches!(trial.state, TrialState::Pruned | TrialState::Paused)
            || trial.state == TrialState::Completed && record.sweep.spec.costs(&trial.metrics).is_none()
    });
    ordered.extend(given_up);
    let objective = shares(record, &ordered, ranked);
    let per_step = |trial: &TrialRow| trial.booked.co2e.get() as f64 / trial.step as f64;
    let mut metered: Vec<&TrialRow> =
        record.trials.iter().filter(|trial| trial.step > 0 && trial.booked.co2e.get() > 0).collect();
    metered.sort_by(|a, b| per_step(a).total_cmp(&per_step(b)));
    let emissions = shares(record, &metered, metered.len());
    let names = objective.as_ref().or(emissions.as_ref())?.keys();
    let of = |shares: &Option<BTreeMap<String, f64>>, name: &str| shares.as_ref()?.get(name).copied();
    let mut parameters: Vec<OfParameter> = names
        .map(|name| OfParameter {
            name: name.clone(),
            objective: of(&objective, name),
            emissions: of(&emissions, name),
        })
        .collect();
    parameters.sort_by(|a, b| b.objective.unwrap_or(0.0).total_cmp(&a.objective.unwrap_or(0.0)));
    Some(Importance { trials: ordered.len() as u64, parameters })
}

/// The steps along the front, by the primary objective.
pub(crate) fn trades(record: &SweepRecord) -> Vec<Trade> {
    let front = pareto::front(record);
    let value = |trial: &TrialRow, name: &str| trial.metrics.get(name).copied().and_then(Metric::finite);
    let trade = |pair: &[&TrialRow]| {
        let [from, to] = pair else { return None };
        let objectives = record.sweep.spec.objectives.iter();
        let change = |name: &String| Some((name.clone(), value(to, name)? - value(from, name)?));
        let names = from.config.keys().chain(to.config.keys());
        let shown = |trial: &TrialRow, name: &str| {
            trial.config.get(name).map_or(serde_json::Value::Null, Value::to_json)
        };
        let config = names
            .filter(|name| from.config.get(*name) != to.config.get(*name))
            .map(|name| (name.clone(), [shown(from, name), shown(to, name)]));
        Some(Trade {
            from: from.id,
            to: to.id,
            changes: objectives.filter_map(|objective| change(&objective.name)).collect(),
            config: config.collect(),
        })
    };
    // Twins are one place on the front.
    let moves = |trade: &Trade| trade.changes.values().any(|change| *change != 0.0);
    front.windows(2).filter_map(trade).filter(moves).collect()
}

/// `val_error +0.005 (30.0 %), co2e -9.00 µg (3.8 %): batch 64 to 128, lr 0.01 to 0.02`.
pub(crate) fn trade_words(record: &SweepRecord, trade: &Trade) -> String {
    let of = |id: TrialId| record.trials.iter().find(|trial| trial.id == id);
    let (Some(from), Some(to)) = (of(trade.from), of(trade.to)) else { return String::new() };
    let changes = record.sweep.spec.objectives.iter().filter_map(|objective| {
        let (name, change) = trade.changes.get_key_value(&objective.name)?;
        let before = from.metrics.get(name)?.finite()?;
        let sign = if *change < 0.0 { "-" } else { "+" };
        let (amount, part) = (metric_value(name, change.abs()), share(change.abs(), before.abs()));
        Some(format!("{name} {sign}{amount} ({part})"))
    });
    let shown = |held: Option<&Value>| held.map_or("none".to_owned(), words::value);
    let config = trade
        .config
        .keys()
        .map(|name| format!("{name} {} to {}", shown(from.config.get(name)), shown(to.config.get(name))));
    format!("{}: {}", words::listed(changes), words::listed(config))
}
