//! What a sweep is to improve, and what it must keep to.

use serde::{Deserialize, Serialize};

/// The name of the objective that the worker measures and no script may report: grams of `CO2e` of a trial.
pub const CO2E: &str = "co2e";

/// Which way is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// Smaller is better.
    Minimize,
    /// Larger is better.
    Maximize,
}

/// One thing to improve.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Objective {
    /// The metric's name; [`CO2E`] is measured rather than reported.
    pub name: String,
    /// Which way is better.
    pub goal: Goal,
    /// A difference smaller than this does not matter to the user, in the metric's unit.
    pub meaningful: Option<f64>,
}

impl Objective {
    /// Is it measured by the worker (rather than reported by the trial)?
    pub fn is_co2e(&self) -> bool {
        self.name == CO2E
    }

    /// The value turned so that smaller is better.
    pub fn cost(&self, value: f64) -> f64 {
        match self.goal {
            Goal::Minimize => value,
            Goal::Maximize => -value,
        }
    }
}

/// A bound on a metric that a configuration must keep to for being a candidate for best.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Constraint {
    /// The metric's name.
    pub name: String,
    /// The metric must be at least this.
    pub min: Option<f64>,
    /// The metric must be at most this.
    pub max: Option<f64>,
}

impl Constraint {
    /// Does a value keep to the bounds?
    pub fn holds(&self, value: f64) -> bool {
        self.min.is_none_or(|min| value >= min) && self.max.is_none_or(|max| value <= max)
    }
}
