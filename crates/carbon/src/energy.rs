//! Amounts of energy that remember what burnt them and how they were obtained.

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

/// The part of a host that burnt it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// Graphics and other accelerator cards.
    Gpu,
    /// Processor packages.
    Cpu,
    /// DRAM.
    Memory,
    /// All else that a meter of the whole node shows: power supplies, fans, boards, disks, network.
    Rest,
}

impl Component {
    /// All of them, as reports list them.
    pub const ALL: [Self; 4] = [Self::Gpu, Self::Cpu, Self::Memory, Self::Rest];

    /// In lower case.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gpu => "gpu",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::Rest => "rest",
        }
    }
}

/// An exact amount of energy by [`Provenance`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Amount {
    /// From counters.
    #[serde(skip_serializing_if = "Microjoules::is_zero")]
    pub measured: Microjoules,
    /// From models fed by measurements.
    #[serde(skip_serializing_if = "Microjoules::is_zero")]
    pub modelled: Microjoules,
    /// From models without measurements.
    #[serde(skip_serializing_if = "Microjoules::is_zero")]
    pub estimated: Microjoules,
}

impl Amount {
    /// Nothing.
    pub const ZERO: Self =
        Self { measured: Microjoules::ZERO, modelled: Microjoules::ZERO, estimated: Microjoules::ZERO };

    /// An amount of one provenance.
    pub fn new(amount: Microjoules, provenance: Provenance) -> Self {
        match provenance {
            Provenance::Measured => Self { measured: amount, ..Self::ZERO },
            Provenance::Modelled => Self { modelled: amount, ..Self::ZERO },
            Provenance::Estimated => Self { estimated: amount, ..Self::ZERO },
        }
    }

    /// The sum over provenances.
    pub fn total(&self) -> Microjoules {
        self.measured + self.modelled + self.estimated
    }

    /// Is there none?
    pub fn is_zero(&self) -> bool {
        self.total().is_zero()
    }

    /// Each part by a function.
    #[must_use]
    pub fn map(&self, part: impl Fn(Microjoules) -> Microjoules) -> Self {
        Self { measured: part(self.measured), modelled: part(self.modelled), estimated: part(self.estimated) }
    }

    /// As much of it as asked for, the best known first, and what is left.
    pub fn split_off(&self, most: Microjoules) -> (Self, Self) {
        let measured = self.measured.min(most);
        let most = most.checked_sub(measured).unwrap_or_default();
        let modelled = self.modelled.min(most);
        let most = most.checked_sub(modelled).unwrap_or_default();
        let taken = Self { measured, modelled, estimated: self.estimated.min(most) };
        (taken, self.since(&taken).unwrap_or_default())
    }

    /// The growth since an earlier total; `None` where any part fell.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        Some(Self {
            measured: self.measured.checked_sub(earlier.measured)?,
            modelled: self.modelled.checked_sub(earlier.modelled)?,
            estimated: self.estimated.checked_sub(earlier.estimated)?,
        })
    }
}

impl Add for Amount {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            measured: self.measured + other.measured,
            modelled: self.modelled + other.modelled,
            estimated: self.estimated + other.estimated,
        }
    }
}

impl AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// An exact amount of energy by [`Component`] and [`Provenance`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Energy {
    /// Of graphics cards.
    #[serde(skip_serializing_if = "Amount::is_zero")]
    pub gpu: Amount,
    /// Of processors.
    #[serde(skip_serializing_if = "Amount::is_zero")]
    pub cpu: Amount,
    /// Of memory.
    #[serde(skip_serializing_if = "Amount::is_zero")]
    pub memory: Amount,
    /// Of all else in the node, where a meter shows it.
    #[serde(skip_serializing_if = "Amount::is_zero")]
    pub rest: Amount,
}

impl Energy {
    /// Nothing.
    pub const ZERO: Self =
        Self { gpu: Amount::ZERO, cpu: Amount::ZERO, memory: Amount::ZERO, rest: Amount::ZERO };

    /// What one component burnt.
    pub fn of(component: Component, amount: Amount) -> Self {
        let mut energy = Self::ZERO;
        *energy.part_mut(component) = amount;
        energy
    }

    /// One component's amount of one provenance.
    pub fn new(component: Component, amount: Microjoules, provenance: Provenance) -> Self {
        Self::of(component, Amount::new(amount, provenance))
    }

    /// The part of one component.
    pub fn part(&self, component: Component) -> &Amount {
        match component {
            Component::Gpu => &self.gpu,
            Component::Cpu => &self.cpu,
            Component::Memory => &self.memory,
            Component::Rest => &self.rest,
        }
    }

    /// The same, to change.
    pub fn part_mut(&mut self, component: Component) -> &mut Amount {
        match component {
            Component::Gpu => &mut self.gpu,
            Component::Cpu => &mut self.cpu,
            Component::Memory => &mut self.memory,
            Component::Rest => &mut self.rest,
        }
    }

    /// Each component's part by a function.
    #[must_use]
    pub fn map(&self, part: impl Fn(&Amount) -> Amount) -> Self {
        let Self { gpu, cpu, memory, rest } = self;
        Self { gpu: part(gpu), cpu: part(cpu), memory: part(memory), rest: part(rest) }
    }

    /// The sum over components.
    pub fn amount(&self) -> Amount {
        self.gpu + self.cpu + self.memory + self.rest
    }

    /// The sum of all.
    pub fn total(&self) -> Microjoules {
        self.amount().total()
    }

    /// The sum of all, as floating-point joules.
    pub fn joules(&self) -> Joules {
        self.total().joules()
    }

    /// Is there none?
    pub fn is_zero(&self) -> bool {
        self.total().is_zero()
    }

    /// The growth since an earlier total of the same consumer, or `None` where any part fell: such a total is
    /// not a later one of the same series.
    pub fn since(&self, earlier: &Self) -> Option<Self> {
        Some(Self {
            gpu: self.gpu.since(&earlier.gpu)?,
            cpu: self.cpu.since(&earlier.cpu)?,
            memory: self.memory.since(&earlier.memory)?,
            rest: self.rest.since(&earlier.rest)?,
        })
    }

    /// The label of the whole amount.
    pub fn quality(&self) -> Quality {
        Quality::of(self)
    }
}

impl Add for Energy {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            gpu: self.gpu + other.gpu,
            cpu: self.cpu + other.cpu,
            memory: self.memory + other.memory,
            rest: self.rest + other.rest,
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
    fn growth_is_per_part_and_never_negative() {
        let measured = Amount::new(Microjoules::new(5), Provenance::Measured);
        let modelled = Amount::new(Microjoules::new(7), Provenance::Modelled);
        let early = Energy::of(Component::Gpu, measured);
        let late = early + Energy::of(Component::Gpu, modelled) + Energy::of(Component::Memory, measured);
        let grown = Energy { gpu: modelled, memory: measured, ..Energy::ZERO };
        assert_eq!(late.since(&early), Some(grown));
        assert_eq!(early.since(&late), None);
        assert_eq!(late.amount(), Amount { measured: Microjoules::new(10), ..modelled });
    }

    #[test]
    fn what_is_nothing_is_not_written() {
        let energy = Energy::of(Component::Cpu, Amount::new(Microjoules::new(3), Provenance::Modelled));
        let text = serde_json::to_string(&energy).unwrap();
        assert_eq!(text, r#"{"cpu":{"modelled":3}}"#);
        assert_eq!(serde_json::from_str::<Energy>(&text).unwrap(), energy);
    }
}
