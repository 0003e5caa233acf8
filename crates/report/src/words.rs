//! What things are called in tables, and short lines about them.

use std::collections::BTreeMap;

use gramwise_carbon::{Footprint, GramsCo2e};
use gramwise_model::rows::{Outcome, SweepState, TrialState, Verdict};
use gramwise_model::{CO2E, Config, Goal, Metric, Metrics, Objective, SweepSpec, Value};

use crate::units::{energy, grams, number};

pub(crate) fn trial_state(state: TrialState) -> &'static str {
    match state {
        TrialState::Waiting => "waiting",
        TrialState::Running => "running",
        TrialState::Stopping => "stopping",
        TrialState::Paused => "paused",
        TrialState::Completed => "completed",
        TrialState::Pruned => "pruned",
        TrialState::Failed => "failed",
    }
}

pub(crate) fn sweep_state(state: SweepState) -> &'static str {
    match state {
        SweepState::Running => "running",
        SweepState::Paused => "paused",
        SweepState::Ending => "ending",
        SweepState::Ended => "ended",
    }
}

pub(crate) fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Continue => "continue",
        Verdict::Promote => "promote",
        Verdict::Pause => "pause",
        Verdict::Prune => "prune",
        Verdict::Stop => "stop",
    }
}

/// How an attempt ended; one that has not is running.
pub(crate) fn outcome(outcome: Option<&Outcome>) -> &'static str {
    match outcome {
        Some(Outcome::Finished) => "finished",
        Some(Outcome::Stopped) => "stopped",
        Some(Outcome::Failed { .. }) => "failed",
        Some(Outcome::Interrupted) => "interrupted",
        Some(Outcome::Lost) => "lost",
        None => "running",
    }
}

/// A metric for people; grams carry their unit.
pub(crate) fn metric(name: &str, value: Metric) -> String {
    match value {
        Metric::Finite(value) => metric_value(name, value),
        Metric::Diverged => "diverged".to_owned(),
    }
}

pub(crate) fn metric_value(name: &str, value: f64) -> String {
    if name == CO2E { grams(GramsCo2e::new(value)) } else { number(value) }
}

/// `val_error 0.0183, co2e 3.10 mg, latency_ms 12`: the objectives in their order, then the rest.
pub(crate) fn metrics(metrics: &Metrics, spec: &SweepSpec) -> String {
    let named = metrics.iter().map(|(name, value)| (name.as_str(), metric(name, *value)));
    objectives_first(named, spec)
}

/// The same of bare numbers.
pub(crate) fn values(values: &BTreeMap<String, f64>, spec: &SweepSpec) -> String {
    let named = values.iter().map(|(name, value)| (name.as_str(), metric_value(name, *value)));
    objectives_first(named, spec)
}

fn objectives_first<'a>(named: impl Iterator<Item = (&'a str, String)>, spec: &SweepSpec) -> String {
    let place = |name: &str| spec.objectives.iter().position(|objective| objective.name == name);
    let mut named: Vec<(&str, String)> = named.collect();
    named.sort_by_key(|(name, _)| place(name).unwrap_or(usize::MAX));
    listed(named.into_iter().map(|(name, shown)| format!("{name} {shown}")))
}

/// A hyperparameter's value for people: floats to four digits.
pub(crate) fn value(value: &Value) -> String {
    match value {
        Value::Float(value) => number(*value),
        Value::Bool(_) | Value::Int(_) | Value::Text(_) | Value::Null => value.to_string(),
    }
}

/// `batch 64, lr 0.0123, opt adam`.
pub(crate) fn config(config: &Config) -> String {
    listed(config.iter().map(|(name, held)| format!("{name} {}", value(held))))
}

/// The same with every digit, to copy from.
pub(crate) fn config_exact(config: &Config) -> String {
    listed(config.iter().map(|(name, held)| format!("{name} {held}")))
}

pub(crate) fn objective(objective: &Objective) -> String {
    let goal = match objective.goal {
        Goal::Minimize => "minimize",
        Goal::Maximize => "maximize",
    };
    format!("{goal} {}", objective.name)
}

/// `3.10 mg from 12.0 J, quality B (partly measured)`; nothing burnt has no quality.
pub(crate) fn footprint(footprint: &Footprint) -> String {
    let amount = format!("{} from {}", grams(footprint.co2e.grams()), energy(footprint.energy.total()));
    if footprint.energy.is_zero() {
        return amount;
    }
    let quality = footprint.energy.quality();
    format!("{amount}, quality {quality} ({})", quality.meaning())
}

/// Parts with commas between them, `-` for none.
pub(crate) fn listed(parts: impl Iterator<Item = String>) -> String {
    let parts: Vec<String> = parts.collect();
    if parts.is_empty() { "-".to_owned() } else { parts.join(", ") }
}

/// `1 trial`, `2 trials`.
pub(crate) fn counted(count: u64, noun: &str) -> String {
    format!("{count} {noun}{}", if count == 1 { "" } else { "s" })
}
