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
        spelled(&Self::ALL, &self)
    }
}

impl Pruner {
    /// All, with their names.
    pub const ALL: [(&'static str, Self); 5] = [
        ("gain-per-kg", Self::GainPerKg),
        ("none", Self::None),
        ("median", Self::Median),
        ("asha", Self::Asha),
        ("hyperband", Self::Hyperband),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        spelled(&Self::ALL, &self)
    }
}

/// The first name of a method.
fn spelled<T: PartialEq>(all: &[(&'static str, T)], one: &T) -> &'static str {
    all.iter().find(|(_, method)| method == one).expect("every method has a name").0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_are_read() {
        assert_eq!(
            Sampler::ALL.map(|(_, sampler)| sampler.name()),
            ["gp", "gp", "tpe", "sobol", "random", "grid"]
        );
        assert_eq!(
            Pruner::ALL.map(|(name, pruner)| (name, pruner.name())),
            Pruner::ALL.map(|(name, _)| (name, name))
        );
    }
}
