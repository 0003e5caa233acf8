//! Grid intensity from outside. Only this crate speaks HTTP outward.
//!
//! To know: [`Client`], which asks a [`gramwise_carbon::Source`] for the intensities of a time, keeps what it got, and answers from that where the network does not.
//!
//! Nothing here may stop a trial: whatever a publisher answers, [`Client::fetch`] returns what is known and, beside it, what went
//! wrong.

mod cache;
mod client;
mod electricity_maps;
mod http;
mod uk;
mod watttime;

pub use client::{Client, Fetched, Keys};
pub use http::Error;

use gramwise_carbon::{GramsPerKwh, IntensityKind, IntensitySeries};

/// The intensity of one interval.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reading {
    /// Its beginning, in milliseconds since 1970 (UTC).
    pub from: u64,
    /// Its end, not included.
    pub to: u64,
    /// What the grid emitted for a kWh.
    pub intensity: GramsPerKwh,
    /// How the publisher came by it.
    pub kind: IntensityKind,
}

/// Readings as one series.
pub fn series(readings: &[Reading], column: &str) -> Option<IntensitySeries> {
    let intervals = readings.iter().map(|one| (one.from, one.to, one.intensity));
    IntensitySeries::of(intervals.collect(), column.to_owned())
}
