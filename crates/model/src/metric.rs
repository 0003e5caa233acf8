//! What a trial reports.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The value of one metric at one step. There is no NaN and no infinity inside.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// A number.
    Finite(f64),
    /// The trial said NaN, infinity or `"diverged"`: a word, not a number.
    Diverged,
}

/// All metrics reported at one step, by name.
pub type Metrics = BTreeMap<String, Metric>;

impl Metric {
    /// A number as reported: NaN and infinities are [`Metric::Diverged`].
    pub fn new(value: f64) -> Self {
        if value.is_finite() { Self::Finite(value) } else { Self::Diverged }
    }

    /// The number, if it is one.
    pub fn finite(self) -> Option<f64> {
        match self {
            Self::Finite(value) => Some(value),
            Self::Diverged => None,
        }
    }
}
