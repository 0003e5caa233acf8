//! How joules become grams.
//!
//! Three types to know: [`Energy`] (exact microjoules, by what burnt them and how they were obtained), [`CarbonFactors`]
//! (grid intensity and PUE with their source) and [`Nanograms`] (the ledger's exact unit of `CO2e`).
//! `energy * pue * intensity` compiles in this order of units only:
//!
//! ```
//! use gramwise_carbon::{GramsCo2e, GramsPerKwh, Joules, Pue};
//! let grams: GramsCo2e = Joules::new(3.6e6) * Pue::new(1.2).unwrap() * GramsPerKwh::new(100.0).unwrap();
//! assert!((grams.get() - 120.0).abs() < 1e-9);
//! ```
//!
//! This crate never reads a clock, a file or a device.

mod embodied;
mod energy;
mod intensity;
mod quality;
mod series;
mod source;
mod split;
mod uncertainty;
mod units;
pub mod utc;

pub use embodied::{Embodied, LIFE_YEARS, embodied};
pub use energy::{Amount, Component, Energy, Footprint, Provenance};
pub use intensity::{
    CarbonFactors, GridZone, IntensityKind, StatedIntensity, UnknownZone, WORLD, zone, zone_hint, zones,
};
pub use quality::Quality;
pub use series::{IntensitySeries, MOST_G_PER_KWH, Mean, SeriesError};
pub use source::{Publisher, Signal, Source, UnknownSource};
pub use split::split_exactly;
pub use uncertainty::{Interval, Spread};
pub use units::{
    FacilityJoules, GramsCo2e, GramsPerKwh, Joules, Microjoules, Nanograms, OutOfRange, Pue, Watts,
};
