//! Values of hyperparameters.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// One hyperparameter's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Value {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A finite number.
    Float(f64),
    /// A word.
    Text(String),
    /// No value (`null` among the choices).
    Null,
}

/// A configuration: the active hyperparameters of one trial by name. Nested names are joined by dots.
pub type Config = BTreeMap<String, Value>;

impl Value {
    /// The number behind an [`Value::Int`] or [`Value::Float`].
    pub fn number(&self) -> Option<f64> {
        match self {
            Self::Int(value) => Some(*value as f64),
            Self::Float(value) => Some(*value),
            Self::Bool(_) | Self::Text(_) | Self::Null => None,
        }
    }

    /// Are these the same value to a user: `1` and `1.0` are.
    #[expect(clippy::float_cmp, reason = "the same number, or 0 and -0; nearness is no sameness")]
    pub fn same_as(&self, other: &Self) -> bool {
        match (self.number(), other.number()) {
            (Some(a), Some(b)) => a.total_cmp(&b).is_eq() || a == b,
            (Some(_), None) | (None, Some(_)) => false,
            (None, None) => self == other,
        }
    }

    /// As plain JSON, the way scripts see it.
    pub fn to_json(&self) -> serde_json::Value {
        match self {
            Self::Bool(value) => (*value).into(),
            Self::Int(value) => (*value).into(),
            Self::Float(value) => (*value).into(),
            Self::Text(value) => value.as_str().into(),
            Self::Null => serde_json::Value::Null,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(formatter),
            Self::Int(value) => value.fmt(formatter),
            Self::Float(value) => value.fmt(formatter),
            Self::Text(value) => value.fmt(formatter),
            Self::Null => formatter.write_str("null"),
        }
    }
}
