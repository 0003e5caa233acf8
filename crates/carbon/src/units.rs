//! Units as types: an energy, a mass of `CO2e` and an intensity cannot be mistaken for each other.
//!
//! Two precisions live side by side. [`Microjoules`] and [`Nanograms`] are integers: what is booked is exact
//! and sums without drift. [`Joules`] and [`GramsCo2e`] are floating point: what is predicted or displayed.

use std::iter::Sum;
use std::ops::{Add, AddAssign, Mul, Sub};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Joules in one kilowatt-hour, by definition of both units.
const JOULES_PER_KWH: f64 = 3.6e6;

/// A value that its unit does not allow.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("{unit} must be {expected}, found {found}")]
pub struct OutOfRange {
    /// The unit's name.
    pub unit: &'static str,
    /// What would be legal, in words.
    pub expected: &'static str,
    /// What was handed in.
    pub found: f64,
}

/// Declares a floating-point unit with the arithmetic that every unit has: sums, differences, scaling.
macro_rules! float_unit {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(f64);

        impl $name {
            /// Zero of this unit.
            pub const ZERO: Self = Self(0.0);

            /// Wraps a number that is already in this unit.
            pub const fn new(value: f64) -> Self {
                Self(value)
            }

            /// The bare number, in this unit.
            pub const fn get(self) -> f64 {
                self.0
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0 + other.0)
            }
        }

        impl Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self {
                Self(self.0 - other.0)
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                self.0 += other.0;
            }
        }

        impl Mul<f64> for $name {
            type Output = Self;
            fn mul(self, factor: f64) -> Self {
                Self(self.0 * factor)
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
                Self(items.map(|item| item.0).sum())
            }
        }
    };
}

/// Declares an exact integer unit. Sums saturate: a total that cannot be represented must not wrap to zero.
macro_rules! exact_unit {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Zero of this unit.
            pub const ZERO: Self = Self(0);

            /// Wraps a number that is already in this unit.
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The bare number, in this unit.
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The difference, or `None` where `earlier` is the larger: a total that fell is never a negative amount.
            pub fn checked_sub(self, earlier: Self) -> Option<Self> {
                self.0.checked_sub(earlier.0).map(Self)
            }

            /// The difference, or zero where `earlier` is the larger.
            #[must_use]
            pub fn saturating_sub(self, earlier: Self) -> Self {
                Self(self.0.saturating_sub(earlier.0))
            }
        }

        impl Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self {
                Self(self.0.saturating_add(other.0))
            }
        }

        impl AddAssign for $name {
            fn add_assign(&mut self, other: Self) {
                *self = *self + other;
            }
        }

        impl Sum for $name {
            fn sum<I: Iterator<Item = Self>>(items: I) -> Self {
                items.fold(Self::ZERO, |total, item| total + item)
            }
        }
    };
}

float_unit!(
    /// Energy used by information technology, before the facility's own use (see [`Pue`]).
    Joules
);
float_unit!(
    /// Energy drawn by the facility: [`Joules`] multiplied by a [`Pue`].
    FacilityJoules
);
float_unit!(
    /// A mass of carbon dioxide equivalent, in grams.
    GramsCo2e
);
float_unit!(
    /// Power, in watts.
    Watts
);
exact_unit!(
    /// An exact amount of energy: what counters deliver and the ledger adds up. A `u64` holds 5 gigawatt-hours.
    Microjoules
);
exact_unit!(
    /// An exact mass of `CO2e`: what the ledger adds up. A `u64` holds 18,000 tonnes.
    Nanograms
);

impl Joules {
    /// This energy in kilowatt-hours.
    pub fn kwh(self) -> f64 {
        self.0 / JOULES_PER_KWH
    }

    /// The energy of so many kilowatt-hours.
    pub fn from_kwh(kwh: f64) -> Self {
        Self(kwh * JOULES_PER_KWH)
    }

    /// Rounded to the exact unit. A negative or non-finite energy becomes zero: it can only be an artefact of rounding.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to zero from below; `as` saturates above"
    )]
    pub fn to_exact(self) -> Microjoules {
        Microjoules((self.0 * 1e6).round().max(0.0) as u64)
    }
}

impl Microjoules {
    /// As floating-point joules, for formulas and display.
    pub fn joules(self) -> Joules {
        Joules(self.0 as f64 / 1e6)
    }

    /// Is there none?
    pub fn is_zero(&self) -> bool {
        self.0 == 0
    }
}

impl Nanograms {
    /// As floating-point grams, for formulas and display.
    pub fn grams(self) -> GramsCo2e {
        GramsCo2e(self.0 as f64 / 1e9)
    }
}

impl GramsCo2e {
    /// Rounded to the exact unit. A negative or non-finite mass becomes zero.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to zero from below; `as` saturates above"
    )]
    pub fn to_exact(self) -> Nanograms {
        Nanograms((self.0 * 1e9).round().max(0.0) as u64)
    }
}

impl Watts {
    /// The energy of this power held for `time`.
    pub fn over(self, time: Duration) -> Joules {
        Joules(self.0 * time.as_secs_f64())
    }
}

/// Carbon intensity of electricity, in grams of `CO2e` per kilowatt-hour. Finite and not negative.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct GramsPerKwh(f64);

impl GramsPerKwh {
    /// Checks that the intensity is finite and not negative.
    pub fn new(value: f64) -> Result<Self, OutOfRange> {
        if value.is_finite() && value >= 0.0 {
            Ok(Self(value))
        } else {
            Err(OutOfRange { unit: "carbon intensity", expected: "0 g/kWh or more", found: value })
        }
    }

    /// The bare number, in g/kWh.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for GramsPerKwh {
    type Error = OutOfRange;
    fn try_from(value: f64) -> Result<Self, OutOfRange> {
        Self::new(value)
    }
}

impl From<GramsPerKwh> for f64 {
    fn from(value: GramsPerKwh) -> f64 {
        value.0
    }
}

/// Power usage effectiveness (ISO/IEC 30134-2): facility energy over IT energy, at least 1.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Pue(f64);

impl Pue {
    /// No facility around the machine: a desk, or a value that is already the facility's.
    pub const ONE: Self = Self(1.0);

    /// Checks that the ratio lies between 1 and 10 (above, it is a slip of the pen).
    pub fn new(value: f64) -> Result<Self, OutOfRange> {
        if (1.0..=10.0).contains(&value) {
            Ok(Self(value))
        } else {
            Err(OutOfRange { unit: "PUE", expected: "between 1 and 10", found: value })
        }
    }

    /// The bare ratio.
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl TryFrom<f64> for Pue {
    type Error = OutOfRange;
    fn try_from(value: f64) -> Result<Self, OutOfRange> {
        Self::new(value)
    }
}

impl From<Pue> for f64 {
    fn from(value: Pue) -> f64 {
        value.0
    }
}

impl Mul<Pue> for Joules {
    type Output = FacilityJoules;
    fn mul(self, pue: Pue) -> FacilityJoules {
        FacilityJoules(self.0 * pue.0)
    }
}

impl Mul<GramsPerKwh> for FacilityJoules {
    type Output = GramsCo2e;
    fn mul(self, intensity: GramsPerKwh) -> GramsCo2e {
        GramsCo2e(self.0 / JOULES_PER_KWH * intensity.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_kwh_at_the_given_intensity_and_pue() {
        let grams = Joules::from_kwh(2.0) * Pue::new(1.5).unwrap() * GramsPerKwh::new(40.0).unwrap();
        assert!((grams.get() - 120.0).abs() < 1e-9);
    }

    #[test]
    fn illegal_values_are_refused_with_what_was_found() {
        assert_eq!(Pue::new(0.9).unwrap_err().to_string(), "PUE must be between 1 and 10, found 0.9");
        assert!(Pue::new(f64::NAN).is_err());
        assert!(GramsPerKwh::new(-1.0).is_err());
        assert!(GramsPerKwh::new(f64::INFINITY).is_err());
        assert!(serde_json::from_str::<Pue>("0.5").is_err());
    }

    #[test]
    fn exact_units_round_once_and_never_wrap() {
        assert_eq!(Joules::new(1.234_567_8).to_exact(), Microjoules::new(1_234_568));
        assert_eq!(Joules::new(-1.0).to_exact(), Microjoules::ZERO);
        assert_eq!(Joules::new(f64::NAN).to_exact(), Microjoules::ZERO);
        assert_eq!(Microjoules::new(u64::MAX) + Microjoules::new(1), Microjoules::new(u64::MAX));
        assert_eq!(Microjoules::new(1).checked_sub(Microjoules::new(2)), None);
    }
}
