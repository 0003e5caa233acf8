//! How a search proposes configurations, and how it ends trials early. Any of the one goes with any of the other.

use serde::{Deserialize, Serialize};

/// How configurations are proposed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sampler {
    /// By a model of learning curves over the space (a Gaussian process): W&B's `bayes`.
    #[default]
    Gp,
    /// Tree-structured Parzen estimator.
    Tpe,
    /// Scrambled Sobol points.
    Sobol,
    /// Independent draws from each distribution.
    Random,
    /// Every combination of the choices, in order.
    Grid,
}

/// How trials are ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pruner {
    /// By expected gain per kg of `CO2e`.
    #[default]
    GainPerKg,
    /// Never.
    None,
    /// Worse than the median of the others at the same step.
    Median,
    /// Asynchronous successive halving.
    Asha,
    /// Successive halving in brackets that begin at different steps.
    Hyperband,
}

impl Sampler {
    /// All, with their names; `bayes` is W&B's word for `gp`.
    pub const ALL: [(&'static str, Self); 6] = [
        ("gp", Self::Gp),
        ("bayes", Self::Gp),
        ("tpe", Self::Tpe),
        ("sobol", Self::Sobol),
        ("random", Self::Random),
        ("grid", Self::Grid),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gp => "gp",
            Self::Tpe => "tpe",
            Self::Sobol => "sobol",
            Self::Random => "random",
            Self::Grid => "grid",
        }
    }
}

impl Pruner {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::GainPerKg => "gain-per-kg",
            Self::None => "none",
            Self::Median => "median",
            Self::Asha => "asha",
            Self::Hyperband => "hyperband",
        }
    }

    /// All, with their names.
    pub const ALL: [(&'static str, Self); 5] = [
        ("gain-per-kg", Self::GainPerKg),
        ("none", Self::None),
        ("median", Self::Median),
        ("asha", Self::Asha),
        ("hyperband", Self::Hyperband),
    ];
}
