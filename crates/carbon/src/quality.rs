//! The quality label that stands beside every sum of energy.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Energy;

/// How good a sum of energy is, in one letter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Quality {
    /// At least 95 % from counters and no more than 1 % estimated.
    A,
    /// Some of it measured, not enough for A.
    B,
    /// Nothing measured; modelled from measured quantities such as CPU time.
    C,
    /// Mostly estimated.
    D,
}

impl Quality {
    /// The label of an amount of energy. No energy at all is D: nothing is known.
    pub fn of(energy: &Energy) -> Self {
        let amount = energy.amount();
        let total = amount.total().get() as f64;
        if total <= 0.0 {
            return Self::D;
        }
        let measured = amount.measured.get() as f64 / total;
        let estimated = amount.estimated.get() as f64 / total;
        if measured >= 0.95 && estimated <= 0.01 {
            Self::A
        } else if estimated > 0.5 {
            Self::D
        } else if measured > 0.0 {
            Self::B
        } else {
            Self::C
        }
    }

    /// The letter's meaning in a few words.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::A => "measured",
            Self::B => "partly measured",
            Self::C => "modelled",
            Self::D => "estimated",
        }
    }
}

impl fmt::Display for Quality {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::A => "A",
            Self::B => "B",
            Self::C => "C",
            Self::D => "D",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Amount, Component, Microjoules};

    fn label(measured: u64, modelled: u64, estimated: u64) -> Quality {
        let amount = Amount {
            measured: Microjoules::new(measured),
            modelled: Microjoules::new(modelled),
            estimated: Microjoules::new(estimated),
        };
        Quality::of(&Energy::of(Component::Gpu, amount))
    }

    #[test]
    fn each_letter_at_its_edge() {
        assert_eq!(label(95, 5, 0), Quality::A);
        assert_eq!(label(95, 3, 2), Quality::B);
        assert_eq!(label(94, 6, 0), Quality::B);
        assert_eq!(label(0, 100, 0), Quality::C);
        assert_eq!(label(0, 49, 51), Quality::D);
        assert_eq!(label(0, 0, 0), Quality::D);
    }
}
