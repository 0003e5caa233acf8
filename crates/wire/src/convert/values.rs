//! Values shared by all messages.

use std::collections::{BTreeMap, HashMap};

use gramwise_carbon::{Amount, Energy, Microjoules};
use gramwise_model::{AttemptId, Config, Metric, Metrics, SweepId, TrialId, Value};

use super::Malformed;
use crate::v1;

pub(super) fn energy_to_wire(energy: &Energy) -> v1::Energy {
    let part = |part: &Amount| {
        (!part.is_zero()).then(|| v1::Amount {
            measured_uj: part.measured.get(),
            modelled_uj: part.modelled.get(),
            estimated_uj: part.estimated.get(),
        })
    };
    let Energy { gpu, cpu, memory, rest } = energy;
    v1::Energy { gpu: part(gpu), cpu: part(cpu), memory: part(memory), rest: part(rest) }
}

pub(super) fn energy_from_wire(
    energy: Option<&v1::Energy>,
    field: &'static str,
) -> Result<Energy, Malformed> {
    let v1::Energy { gpu, cpu, memory, rest } = energy.ok_or(Malformed::Missing(field))?;
    let part = |part: &Option<v1::Amount>| {
        part.as_ref().map_or(Amount::ZERO, |part| Amount {
            measured: Microjoules::new(part.measured_uj),
            modelled: Microjoules::new(part.modelled_uj),
            estimated: Microjoules::new(part.estimated_uj),
        })
    };
    Ok(Energy { gpu: part(gpu), cpu: part(cpu), memory: part(memory), rest: part(rest) })
}

/// An attempt as a message.
pub fn attempt_to_wire(id: AttemptId) -> v1::AttemptId {
    v1::AttemptId { sweep: id.sweep.0, trial: id.trial.0, number: id.number }
}

/// A message as an attempt.
pub fn attempt_from_wire(id: Option<v1::AttemptId>) -> Result<AttemptId, Malformed> {
    let v1::AttemptId { sweep, trial, number } = id.ok_or(Malformed::Missing("attempt"))?;
    if sweep == 0 || trial == 0 || number == 0 {
        let found = format!("{sweep}/{trial}.{number}");
        return Err(Malformed::Illegal { field: "attempt", expected: "three numbers from 1", found });
    }
    Ok(AttemptId { sweep: SweepId(sweep), trial: TrialId(trial), number })
}

pub(super) fn metrics_to_wire(metrics: &Metrics) -> HashMap<String, v1::Metric> {
    let metric = |metric: &Metric| v1::Metric {
        kind: Some(match metric {
            Metric::Finite(value) => v1::metric::Kind::Finite(*value),
            Metric::Diverged => v1::metric::Kind::Diverged(true),
        }),
    };
    metrics.iter().map(|(name, value)| (name.clone(), metric(value))).collect()
}

pub(super) fn metrics_from_wire(metrics: HashMap<String, v1::Metric>) -> Result<Metrics, Malformed> {
    let metric = |metric: v1::Metric| match metric.kind {
        Some(v1::metric::Kind::Finite(value)) => Ok(Metric::new(value)),
        Some(v1::metric::Kind::Diverged(_)) => Ok(Metric::Diverged),
        None => Err(Malformed::Missing("metric.kind")),
    };
    metrics.into_iter().map(|(name, value)| Ok((name, metric(value)?))).collect()
}

/// A configuration as a message.
pub fn config_to_wire(config: &Config) -> HashMap<String, v1::Value> {
    let value = |value: &Value| v1::Value {
        kind: Some(match value {
            Value::Bool(value) => v1::value::Kind::Boolean(*value),
            Value::Int(value) => v1::value::Kind::Integer(*value),
            Value::Float(value) => v1::value::Kind::Real(*value),
            Value::Text(value) => v1::value::Kind::Text(value.clone()),
            Value::Null => v1::value::Kind::Null(true),
        }),
    };
    config.iter().map(|(name, one)| (name.clone(), value(one))).collect()
}

/// A message as a configuration.
pub fn config_from_wire(
    config: HashMap<String, v1::Value, impl std::hash::BuildHasher>,
) -> Result<Config, Malformed> {
    let value = |value: v1::Value| match value.kind {
        Some(v1::value::Kind::Boolean(value)) => Ok(Value::Bool(value)),
        Some(v1::value::Kind::Integer(value)) => Ok(Value::Int(value)),
        Some(v1::value::Kind::Real(value)) => Ok(Value::Float(value)),
        Some(v1::value::Kind::Text(value)) => Ok(Value::Text(value)),
        Some(v1::value::Kind::Null(_)) => Ok(Value::Null),
        None => Err(Malformed::Missing("value.kind")),
    };
    config
        .into_iter()
        .map(|(name, one)| Ok((name, value(one)?)))
        .collect::<Result<BTreeMap<_, _>, Malformed>>()
}
