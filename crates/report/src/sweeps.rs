//! The list of sweeps.

use gramwise_carbon::Quality;
use gramwise_model::rows::{SweepState, SweepSummary};
use gramwise_model::{CO2E, SweepId, Timestamp};
use serde::Serialize;

use crate::listing::{Listing, Records};
use crate::sheet::Sheet;
use crate::units::{energy, grams};
use crate::{Align, TrialCounts, calendar, json, words};

pub(crate) fn counts(row: &SweepSummary) -> TrialCounts {
    TrialCounts::of(row.trials.iter().map(|(state, count)| (*state, *count)))
}

/// Sweeps in the order given (`gramwise ls`). [`crate::ListFormat::Value`] is their numbers.
pub fn sweeps(rows: &[SweepSummary]) -> Listing {
    Listing {
        sheet: sheet(rows),
        records: records(rows),
        json: json::document(&rows.iter().map(SweepJson::of).collect::<Vec<_>>()),
        values: rows.iter().map(|row| row.sweep.id.to_string() + "\n").collect(),
    }
}

#[derive(Debug, Serialize)]
struct SweepJson<'a> {
    sweep: SweepId,
    name: &'a str,
    state: SweepState,
    trials: TrialCounts,
    energy_uj: u64,
    energy_j: f64,
    co2e_g: f64,
    quality: Quality,
    zone: &'a str,
    project: Option<&'a str>,
    tags: &'a [String],
    /// Of which database it is, where that is another.
    origin: Option<&'a str>,
    submitted_at_ms: Timestamp,
    ended_at_ms: Option<Timestamp>,
    ended_because: Option<&'a str>,
    submitted_by: &'a str,
}

impl<'a> SweepJson<'a> {
    fn of(row: &'a SweepSummary) -> Self {
        let sweep = &row.sweep;
        Self {
            sweep: sweep.id,
            name: &sweep.spec.name,
            state: sweep.state,
            trials: counts(row),
            energy_uj: row.total.energy.total().get(),
            energy_j: row.total.energy.joules().get(),
            co2e_g: row.total.co2e.grams().get(),
            quality: row.total.energy.quality(),
            zone: &sweep.factors.zone,
            project: sweep.spec.project.as_deref(),
            tags: &sweep.spec.tags,
            origin: sweep.origin.as_deref(),
            submitted_at_ms: sweep.submitted_at,
            ended_at_ms: sweep.ended_at,
            ended_because: sweep.ended_because.as_deref(),
            submitted_by: &sweep.submitted_by,
        }
    }
}

fn sheet(rows: &[SweepSummary]) -> Sheet {
    let header =
        ["sweep", "name", "state", CO2E, "trials", "completed", "energy", "quality", "submitted", "by"];
    let (left, right) = (Align::Left, Align::Right);
    let alignment = [right, left, left, right, right, right, right, left, left, left];
    let cells = rows.iter().map(|row| {
        let counted = counts(row);
        let quality =
            if row.total.energy.is_zero() { "-".to_owned() } else { row.total.energy.quality().to_string() };
        vec![
            row.sweep.id.to_string(),
            row.sweep.spec.name.clone(),
            state(row),
            grams(row.total.co2e.grams()),
            counted.total.to_string(),
            counted.completed.to_string(),
            energy(row.total.energy.total()),
            quality,
            calendar::minute(row.sweep.submitted_at),
            row.sweep.submitted_by.clone(),
        ]
    });
    Sheet::new(&header, cells.collect(), &alignment)
}

/// A sweep of another database that had not ended when it was imported is nobody's to run here.
fn state(row: &SweepSummary) -> String {
    let state = words::sweep_state(row.sweep.state);
    let is_left = row.sweep.origin.is_some() && row.sweep.state != SweepState::Ended;
    if is_left { format!("{state} elsewhere") } else { state.to_owned() }
}

fn records(rows: &[SweepSummary]) -> Records {
    let header = [
        "sweep",
        "name",
        "state",
        "trials",
        "trials_completed",
        "trials_pruned",
        "energy_uj",
        "co2e_g",
        "quality",
        "zone",
        "submitted_at_ms",
        "submitted_by",
        "project",
        "tags",
    ];
    let rows = rows
        .iter()
        .map(|row| {
            let counted = counts(row);
            vec![
                row.sweep.id.to_string(),
                row.sweep.spec.name.clone(),
                words::sweep_state(row.sweep.state).to_owned(),
                counted.total.to_string(),
                counted.completed.to_string(),
                counted.pruned.to_string(),
                row.total.energy.total().get().to_string(),
                row.total.co2e.grams().get().to_string(),
                row.total.energy.quality().to_string(),
                row.sweep.factors.zone.clone(),
                row.sweep.submitted_at.0.to_string(),
                row.sweep.submitted_by.clone(),
                row.sweep.spec.project.clone().unwrap_or_default(),
                row.sweep.spec.tags.join(", "),
            ]
        })
        .collect();
    Records { header: header.map(str::to_owned).to_vec(), rows }
}
