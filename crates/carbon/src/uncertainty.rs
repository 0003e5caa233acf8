//! How wrong a sum of energy or grams may be.

use serde::{Deserialize, Serialize};

use crate::{CarbonFactors, Energy};

/// A low and a high bound around a figure, in the figure's own unit. Meant as a 95 % interval (k = 2).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

/// What an uncertainty belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    /// Energy read from a counter (NVML and RAPL state about 5 %).
    Measured,
    /// Energy modelled from CPU time, TDP and installed memory.
    Modelled,
    /// Energy from TDP alone, or filled into a gap.
    Estimated,
    /// A PUE nobody stated.
    UnknownPue,
    /// A yearly mean of grid intensity used for less than a day: the hour's value differs by -48..+64 %
    /// (5th to 95th percentile of 4-hour windows in 2023 hourly data of California and Spain).
    YearlyIntensity,
    /// The actual intensity of the hour: differences between publishers' factors and accounting of imports remain.
    HourlyIntensity,
}

impl Component {
    /// Relative half-width at k = 2.
    pub fn relative_half_width(self) -> f64 {
        match self {
            Self::Measured => 0.05,
            Self::Modelled => 0.40,
            Self::Estimated => 0.60,
            Self::UnknownPue => 0.25,
            Self::YearlyIntensity => 0.45,
            Self::HourlyIntensity => 0.10,
        }
    }
}

/// The relative half-width of grams: linear inside the energy (its parts share their causes), in quadrature
/// with the factors (they do not).
pub fn half_width(energy: &Energy, factors: &CarbonFactors) -> f64 {
    let grid = if factors.yearly { Component::YearlyIntensity.relative_half_width() } else { 0.0 };
    half_width_with(energy, factors, grid)
}

/// The same with another relative half-width of the intensity.
pub fn half_width_with(energy: &Energy, factors: &CarbonFactors, grid: f64) -> f64 {
    let total = energy.total().get() as f64;
    if total <= 0.0 {
        return 0.0;
    }
    let of_energy = [
        (energy.measured, Component::Measured),
        (energy.modelled, Component::Modelled),
        (energy.estimated, Component::Estimated),
    ]
    .into_iter()
    .map(|(part, component)| part.get() as f64 / total * component.relative_half_width())
    .sum::<f64>();
    let of_pue = if factors.pue_stated { 0.0 } else { Component::UnknownPue.relative_half_width() };
    (of_energy.powi(2) + of_pue.powi(2) + grid.powi(2)).sqrt()
}

impl Interval {
    /// The interval of `value` with a relative half-width, never below zero.
    pub fn around(value: f64, relative_half_width: f64) -> Self {
        Self {
            low: (value * (1.0 - relative_half_width)).max(0.0),
            high: value * (1.0 + relative_half_width),
        }
    }
}
