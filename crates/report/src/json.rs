//! From the model's types to the JSON that users see.

use std::collections::BTreeMap;

use gramwise_model::{Config, Metric, Metrics};
use serde::Serialize;

/// The version of every JSON answer. It grows when a key changes its meaning or goes; new keys may come any time.
pub(crate) const SCHEMA: u32 = 1;

/// A JSON object of plain values by name.
pub(crate) type Plain = BTreeMap<String, serde_json::Value>;

/// An indented document that ends with a newline.
pub(crate) fn document<T: Serialize>(answer: &T) -> String {
    serde_json::to_string_pretty(answer).expect("plain data with text keys becomes JSON") + "\n"
}

/// An answer that is part of another one elsewhere, as a document of its own: with the version that it has there from the whole.
pub(crate) fn versioned<T: Serialize>(answer: &T) -> String {
    let mut value = serde_json::to_value(answer).expect("plain data with text keys becomes JSON");
    if let Some(object) = value.as_object_mut() {
        object.insert("schema".to_owned(), SCHEMA.into());
    }
    document(&value)
}

pub(crate) fn config(config: &Config) -> Plain {
    config.iter().map(|(name, value)| (name.clone(), value.to_json())).collect()
}

/// Numbers, and the word `diverged`.
pub(crate) fn metrics(metrics: &Metrics) -> Plain {
    metrics.iter().map(|(name, value)| (name.clone(), metric(*value))).collect()
}

pub(crate) fn metric(metric: Metric) -> serde_json::Value {
    match metric {
        Metric::Finite(value) => value.into(),
        Metric::Diverged => "diverged".into(),
    }
}

/// A plain value as a field of CSV: text bare, everything else as in JSON.
pub(crate) fn field(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
