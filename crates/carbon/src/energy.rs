//! Amounts of energy that remember how they were obtained.

use std::fmt;
use std::ops::{Add, AddAssign};

use serde::{Deserialize, Serialize};

use crate::{Joules, Microjoules, Nanograms, Quality};

/// How a number of joules was obtained. Never mixed: amounts of different provenance are added side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// Read from a hardware counter or meter that covers exactly this consumer.
    Measured,
    /// Computed from a measured quantity by a model: CPU time x TDP, a share of a measured counter.
    Modelled,
    /// Computed without any measured quantity of the consumer, or filled into a gap.
    Estimated,
}

impl fmt::Display for Provenance {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Measured => "measured",
            Self::Modelled => "modelled",
            Self::Estimated => "estimated",
        })
    }
}

/// An exact amount of energy by [`Provenance`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Energy {
    /// From counters.
    pub measured: Microjoules,
    /// From models fed by measurements.
    pub modelled: Microjoules,
    /// From models without measurements.
    pub estimated: Microjoules,
}

impl Energy {
    /// Nothing.
    pub const ZERO: Self =
        Self { measured: Microjoules::ZERO, modelled: Microjoules::ZERO, estimated: Microjoules::ZERO };

    /// An amount of one provenance.
    pub fn new(amount: Microjoules, provenance: Provenance) -> Self {
        let mut energy = Self::ZERO;
        *energy.part_mut(provenance) = amount;
        energy
    }

    /// The sum over provenances.
    pub fn total(&self) -> Microjoules {
        self.measured + self.modelled + self.estimated
    }

    /// The sum over provenances, as floating-point joules.
    pub fn joules(&self) -> Joules {
        self.total().joules()
    }

    /// Is there none?
    pub fn is_zero(&self) -> bool {
        self.total() == Microjoules::ZERO
    }

    /// The growth since an earlier total of the same consumer, or `None` where any part fell: such a total is
    /// not a later one of the same series.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        Some(Self {
            measured: self.measured.checked_sub(earlier.measured)?,
            modelled: self.modelled.checked_sub(earlier.modelled)?,
            estimated: self.estimated.checked_sub(earlier.estimated)?,
        })
    }

    /// The label of the whole amount.
    pub fn quality(&self) -> Quality {
        Quality::of(self)
    }

    /// The part of one provenance.
    pub fn part_mut(&mut self, provenance: Provenance) -> &mut Microjoules {
        match provenance {
            Provenance::Measured => &mut self.measured,
            Provenance::Modelled => &mut self.modelled,
            Provenance::Estimated => &mut self.estimated,
        }
    }
}

impl Add for Energy {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            measured: self.measured + other.measured,
            modelled: self.modelled + other.modelled,
            estimated: self.estimated + other.estimated,
        }
    }
}

impl AddAssign for Energy {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// What something burnt: its energy and the `CO2e` that follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Footprint {
    /// IT energy, before PUE.
    pub energy: Energy,
    /// Operational `CO2e`, PUE included.
    pub co2e: Nanograms,
}

impl Footprint {
    /// Nothing burnt.
    pub const ZERO: Self = Self { energy: Energy::ZERO, co2e: Nanograms::ZERO };

    /// The growth since an earlier total of the same consumer; `None` where any part fell.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        Some(Self { energy: self.energy.since(&earlier.energy)?, co2e: self.co2e.checked_sub(earlier.co2e)? })
    }
}

impl Add for Footprint {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self { energy: self.energy + other.energy, co2e: self.co2e + other.co2e }
    }
}

impl AddAssign for Footprint {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_per_provenance_and_never_negative() {
        let early = Energy::new(Microjoules::new(5), Provenance::Measured);
        let late = early + Energy::new(Microjoules::new(7), Provenance::Modelled);
        assert_eq!(late.since(&early), Some(Energy::new(Microjoules::new(7), Provenance::Modelled)));
        assert_eq!(early.since(&late), None);
    }
}
