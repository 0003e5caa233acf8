//! Which grid intensities became a sweep's grams.

use gramwise_carbon::{CarbonFactors, IntensityKind, Spread};
use gramwise_model::rows::{IntensityRow, SweepRecord};
use serde::Serialize;

use crate::output::Screen;
use crate::units::{number, share};

/// A grid intensity with where it comes from. Several, where it changed: those of one publisher and kind are one entry.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Grid {
    /// Zone code.
    pub zone: String,
    /// Intensity: the mean by energy.
    pub g_per_kwh: f64,
    /// The lowest that was applied.
    pub lowest_g_per_kwh: f64,
    /// The highest.
    pub highest_g_per_kwh: f64,
    /// How often it was stated.
    pub statements: u64,
    /// The part of the energy that became grams by it, from 0 to 1.
    pub share: f64,
    /// Who published it.
    pub source: String,
    /// The year it is of.
    pub year: u16,
    /// What it counts.
    pub basis: String,
    /// How it was obtained.
    pub kind: IntensityKind,
    /// Was the zone stated by the user, rather than taken as the world's mean?
    pub zone_stated: bool,
}

impl Grid {
    /// Of one intensity for all.
    pub(crate) fn of(factors: &CarbonFactors) -> Self {
        let grams = factors.intensity.get();
        Self {
            zone: factors.zone.clone(),
            g_per_kwh: grams,
            lowest_g_per_kwh: grams,
            highest_g_per_kwh: grams,
            statements: 1,
            share: 1.0,
            source: factors.source.clone(),
            year: factors.year,
            basis: factors.basis.clone(),
            kind: factors.kind,
            zone_stated: factors.zone_stated,
        }
    }

    fn first(record: &SweepRecord, row: &IntensityRow, share: f64) -> Self {
        Self {
            g_per_kwh: row.g_per_kwh,
            lowest_g_per_kwh: row.g_per_kwh,
            highest_g_per_kwh: row.g_per_kwh,
            statements: row.statements,
            share,
            source: row.source.clone(),
            year: row.year,
            basis: row.basis.clone(),
            kind: row.kind,
            ..Self::of(&record.sweep.factors)
        }
    }

    fn add(&mut self, row: &IntensityRow, weight: f64) {
        let share = self.share + weight;
        self.g_per_kwh = (self.g_per_kwh * self.share + row.g_per_kwh * weight) / share;
        self.share = share;
        self.lowest_g_per_kwh = self.lowest_g_per_kwh.min(row.g_per_kwh);
        self.highest_g_per_kwh = self.highest_g_per_kwh.max(row.g_per_kwh);
        self.statements += row.statements;
    }

    fn is_like(&self, row: &IntensityRow) -> bool {
        (&self.source, &self.basis, self.kind, self.year) == (&row.source, &row.basis, row.kind, row.year)
    }

    /// In words.
    pub(crate) fn words(&self) -> String {
        let Self { zone, source, year, basis, kind, .. } = self;
        let figure = number(self.g_per_kwh);
        let what = match kind {
            IntensityKind::Yearly => {
                return format!("{zone} {figure} g/kWh, mean of {year} ({source}; {basis})");
            }
            IntensityKind::Forecast => "forecasts of the hour",
            IntensityKind::Estimated => "estimates of the hour",
            IntensityKind::Actual => "of the hour",
        };
        let range = if self.statements > 1 {
            let (low, high) = (number(self.lowest_g_per_kwh), number(self.highest_g_per_kwh));
            format!(", {low} to {high} over {} statements", self.statements)
        } else {
            String::new()
        };
        // A publisher's figures are of its own region, named by the source.
        let zone = if self.zone_stated { format!("{zone} ") } else { String::new() };
        format!("{zone}{figure} g/kWh on average{range}, {what} ({source}; {basis})")
    }
}

/// What was applied, by publisher and kind; those that no energy was booked under are left out unless there is nothing else.
pub(crate) fn grids(record: &SweepRecord) -> Vec<Grid> {
    let booked: f64 = record.intensities.iter().map(|row| row.energy.get() as f64).sum();
    let mut grids: Vec<Grid> = Vec::new();
    for row in record.intensities.iter().filter(|row| booked <= 0.0 || !row.energy.is_zero()) {
        let weight = if booked > 0.0 { row.energy.get() as f64 / booked } else { 1.0 };
        match grids.iter_mut().find(|grid| grid.is_like(row)) {
            Some(grid) => grid.add(row, weight),
            None => grids.push(Grid::first(record, row, weight)),
        }
    }
    grids
}

/// How far the intensities may be off: each kind by how much of the energy became grams by it.
pub(crate) fn spread(record: &SweepRecord) -> Spread {
    let parts: Vec<(f64, Spread)> =
        grids(record).iter().map(|grid| (grid.share, Spread::of_intensity(grid.kind))).collect();
    if parts.is_empty() { Spread::of_intensity(record.sweep.factors.kind) } else { Spread::mix(&parts) }
}

/// The intensities with their sources; a hint at how to state the zone where none was.
pub(crate) fn say(screen: &mut Screen, grids: &[Grid], hint: &str) {
    for (place, grid) in grids.iter().enumerate() {
        let part = if grids.len() > 1 {
            format!(", for {} of the energy", share(grid.share, 1.0))
        } else {
            String::new()
        };
        let words = format!("{}{part}", grid.words());
        if place == 0 {
            screen.say("grid", &words);
        } else {
            screen.more(&words);
        }
    }
    if grids.iter().any(|grid| !grid.zone_stated && grid.kind == IntensityKind::Yearly) {
        screen.more("no zone was stated, so the world's mean was used");
        screen.hint(hint);
    }
}
