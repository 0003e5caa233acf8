//! The list of a sweep's trials.

use std::collections::BTreeMap;

use gramwise_carbon::Quality;
use gramwise_model::rows::{SweepRecord, TrialRow, TrialState, Verdict};
use gramwise_model::{Because, CO2E, TrialId};
use serde::Serialize;

use crate::json::{self, Plain};
use crate::listing::{Listing, Records};
use crate::sheet::Sheet;
use crate::units::grams;
use crate::{Align, ByComponent, hardware, words};

/// All trials of a sweep by number: one row each, one JSON object each, or their bare numbers.
pub fn trials(record: &SweepRecord) -> Listing {
    let rows: Vec<&TrialRow> = record.trials.iter().collect();
    list(record, &rows)
}

/// Some trials of a sweep in the order given.
pub(crate) fn list(record: &SweepRecord, rows: &[&TrialRow]) -> Listing {
    let hardware = hardware::by_trial(record);
    Listing {
        sheet: sheet(record, rows),
        records: records(rows),
        json: json::document(&rows.iter().map(|row| TrialJson::of(row, &hardware)).collect::<Vec<_>>()),
        values: rows.iter().map(|row| row.id.to_string() + "\n").collect(),
    }
}

/// One trial in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct TrialJson<'a> {
    trial: TrialId,
    state: TrialState,
    config: Plain,
    metrics: Plain,
    step: u64,
    energy_uj: u64,
    energy_j: f64,
    energy_by_component: ByComponent,
    co2e_g: f64,
    embodied_g: Option<f64>,
    quality: Quality,
    attempts: u32,
    lost_energy_uj: u64,
    lost_co2e_g: f64,
    verdict: Option<Verdict>,
    because: Option<&'a Because>,
    message: Option<&'a str>,
}

impl<'a> TrialJson<'a> {
    pub(crate) fn of(row: &'a TrialRow, hardware: &BTreeMap<TrialId, f64>) -> Self {
        Self {
            trial: row.id,
            state: row.state,
            config: json::config(&row.config),
            metrics: json::metrics(&row.metrics),
            step: row.step,
            energy_uj: row.booked.energy.total().get(),
            energy_j: row.booked.energy.joules().get(),
            energy_by_component: ByComponent::of(&row.booked.energy),
            co2e_g: row.booked.co2e.grams().get(),
            embodied_g: hardware.get(&row.id).copied(),
            quality: row.booked.energy.quality(),
            attempts: row.attempts,
            lost_energy_uj: row.lost.energy.total().get(),
            lost_co2e_g: row.lost.co2e.grams().get(),
            verdict: row.verdict,
            because: row.because.as_ref(),
            message: row.message.as_deref(),
        }
    }
}

/// Objectives that are not `co2e`, which has its own column of what was booked.
fn reported_objectives(record: &SweepRecord) -> Vec<&str> {
    let names = record.sweep.spec.objectives.iter().map(|objective| objective.name.as_str());
    names.filter(|name| *name != CO2E).collect()
}

/// For people: what is metered, the objectives, and the hyperparameters.
pub(crate) fn sheet(record: &SweepRecord, rows: &[&TrialRow]) -> Sheet {
    let objectives = reported_objectives(record);
    let parameters = names(rows, |row| row.config.keys().collect());
    let mut header = vec!["trial", "state"];
    let mut alignment = vec![Align::Right, Align::Left];
    header.extend(&objectives);
    header.extend(["co2e", "step"]);
    alignment.resize(header.len(), Align::Right);
    header.extend(parameters.iter().map(String::as_str));
    alignment.resize(header.len(), Align::Left);
    header.extend(["attempts", "quality"]);
    alignment.extend([Align::Right, Align::Left]);
    let cells = rows.iter().map(|row| {
        let metric =
            |name: &&str| row.metrics.get(*name).map_or("-".to_owned(), |value| words::metric(name, *value));
        let parameter = |name: &String| row.config.get(name).map_or("-".to_owned(), words::value);
        let quality = if row.booked.energy.is_zero() {
            "-".to_owned()
        } else {
            row.booked.energy.quality().to_string()
        };
        let mut cells = vec![row.id.to_string(), words::trial_state(row.state).to_owned()];
        cells.extend(objectives.iter().map(metric));
        cells.extend([grams(row.booked.co2e.grams()), row.step.to_string()]);
        cells.extend(parameters.iter().map(parameter));
        cells.extend([row.attempts.to_string(), quality]);
        cells
    });
    Sheet::new(&header, cells.collect(), &alignment)
}

fn records(rows: &[&TrialRow]) -> Records {
    let parameters = names(rows, |row| row.config.keys().collect());
    let metrics = names(rows, |row| row.metrics.keys().collect());
    let mut header: Vec<String> = ["trial", "state", "step"].map(str::to_owned).to_vec();
    header.extend(parameters.iter().map(|name| format!("config.{name}")));
    header.extend(metrics.iter().map(|name| format!("metrics.{name}")));
    header.extend(
        ["energy_uj", "co2e_g", "quality", "attempts", "lost_energy_uj", "lost_co2e_g", "verdict", "message"]
            .map(str::to_owned),
    );
    let rows = rows
        .iter()
        .map(|row| {
            let mut cells =
                vec![row.id.to_string(), words::trial_state(row.state).to_owned(), row.step.to_string()];
            let parameter = |name: &String| row.config.get(name).map(|value| json::field(&value.to_json()));
            let metric =
                |name: &String| row.metrics.get(name).map(|value| json::field(&json::metric(*value)));
            cells.extend(parameters.iter().map(|name| parameter(name).unwrap_or_default()));
            cells.extend(metrics.iter().map(|name| metric(name).unwrap_or_default()));
            cells.extend([
                row.booked.energy.total().get().to_string(),
                row.booked.co2e.grams().get().to_string(),
                row.booked.energy.quality().to_string(),
                row.attempts.to_string(),
                row.lost.energy.total().get().to_string(),
                row.lost.co2e.grams().get().to_string(),
                row.verdict.map_or("", words::verdict).to_owned(),
                row.message.clone().unwrap_or_default(),
            ]);
            cells
        })
        .collect();
    Records { header, rows }
}

/// All names that occur, once each, sorted.
fn names<'a>(rows: &[&'a TrialRow], of: impl Fn(&'a TrialRow) -> Vec<&'a String>) -> Vec<String> {
    let all: std::collections::BTreeSet<&String> = rows.iter().flat_map(|row| of(row)).collect();
    all.into_iter().cloned().collect()
}
