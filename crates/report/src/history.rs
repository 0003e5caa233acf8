//! What many sweeps cost together.

use std::collections::BTreeMap;

use gramwise_carbon::Footprint;
use gramwise_model::{CO2E, Timestamp};
use serde::Serialize;

use crate::json::{self, SCHEMA};
use crate::units::{energy, grams, share};
use crate::{Align, Format, SweepSummary, Terminal, calendar, csv, table};

/// What sweeps are put together by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupBy {
    /// The month of submission (UTC), `2026-03`.
    Month,
    /// The sweep's name.
    Name,
    /// Who submitted it, without the host.
    User,
    /// The grid zone its grams were reckoned with.
    Zone,
}

/// How a history is asked for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HistoryQuery {
    /// One group for each combination of these that occurs, sorted by them; no groups where it is empty.
    pub group_by: Vec<GroupBy>,
    /// Only sweeps that were submitted then or later.
    pub since: Option<Timestamp>,
    /// Only sweeps that were submitted before.
    pub until: Option<Timestamp>,
    /// Only sweeps of these: their names, who submitted them, the zones of their grids. All of what is asked for must hold.
    pub only: Vec<(GroupBy, String)>,
}

impl HistoryQuery {
    fn asks_for(&self, row: &SweepSummary) -> bool {
        let at = row.sweep.submitted_at;
        self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at < until)
            && self.only.iter().all(|(by, word)| by.of(row) == *word)
    }
}

/// What the sweeps that are asked for cost together and by group. Every sweep is in exactly one group, so groups sum to the total.
/// [`Format::Value`] is the total grams with every digit.
pub fn history(rows: &[SweepSummary], query: &HistoryQuery, format: Format, terminal: Terminal) -> String {
    let rows = rows.iter().filter(|row| query.asks_for(row));
    let total = rows.clone().fold(Sum::default(), Sum::and);
    let mut groups: BTreeMap<Vec<String>, Sum> = BTreeMap::new();
    for row in rows.filter(|_| !query.group_by.is_empty()) {
        let key = query.group_by.iter().map(|by| by.of(row)).collect();
        let sum = groups.entry(key).or_default();
        *sum = sum.and(row);
    }
    match format {
        Format::Table => as_table(&total, &groups, query, terminal),
        Format::Json => as_json(&total, &groups, query),
        Format::Csv => as_csv(&total, &groups, query),
        Format::Value => format!("{}\n", total.footprint.co2e.grams().get()),
    }
}

impl GroupBy {
    /// Its name in headings and JSON keys.
    pub fn name(self) -> &'static str {
        match self {
            Self::Month => "month",
            Self::Name => "name",
            Self::User => "user",
            Self::Zone => "zone",
        }
    }

    fn of(self, row: &SweepSummary) -> String {
        match self {
            Self::Month => calendar::month(row.sweep.submitted_at),
            Self::Name => row.sweep.spec.name.clone(),
            Self::User => {
                let by = row.sweep.submitted_by.as_str();
                by.split_once('@').map_or(by, |(user, _)| user).to_owned()
            }
            Self::Zone => row.sweep.factors.zone.clone(),
        }
    }
}

/// Exact until it is shown.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    sweeps: u64,
    trials: u64,
    footprint: Footprint,
}

impl Sum {
    fn and(self, row: &SweepSummary) -> Self {
        Self {
            sweeps: self.sweeps + 1,
            trials: self.trials + row.trials.values().sum::<u64>(),
            footprint: self.footprint + row.total,
        }
    }
}

#[derive(Debug, Serialize)]
struct History {
    schema: u32,
    total: json::Plain,
    groups: Vec<json::Plain>,
}

fn figures(sum: &Sum) -> json::Plain {
    let energy = &sum.footprint.energy;
    [
        ("sweeps", sum.sweeps.into()),
        ("trials", sum.trials.into()),
        ("energy_uj", energy.total().get().into()),
        ("energy_j", energy.joules().get().into()),
        ("co2e_g", sum.footprint.co2e.grams().get().into()),
        ("quality", energy.quality().to_string().into()),
    ]
    .into_iter()
    .map(|(name, value): (_, serde_json::Value)| (name.to_owned(), value))
    .collect()
}

fn as_json(total: &Sum, groups: &BTreeMap<Vec<String>, Sum>, query: &HistoryQuery) -> String {
    let group = |(key, sum): (&Vec<String>, &Sum)| {
        let mut object = figures(sum);
        object.extend(
            query.group_by.iter().zip(key).map(|(by, value)| (by.name().to_owned(), value.as_str().into())),
        );
        object
    };
    json::document(&History {
        schema: SCHEMA,
        total: figures(total),
        groups: groups.iter().map(group).collect(),
    })
}

fn headings(query: &HistoryQuery) -> Vec<&'static str> {
    query.group_by.iter().map(|by| by.name()).collect()
}

fn as_table(
    total: &Sum,
    groups: &BTreeMap<Vec<String>, Sum>,
    query: &HistoryQuery,
    terminal: Terminal,
) -> String {
    let mut header = headings(query);
    if header.is_empty() {
        header.push("");
    }
    let mut alignment = vec![Align::Left; header.len()];
    let mut total_key = vec![String::new(); header.len()];
    "total".clone_into(&mut total_key[0]);
    header.extend([CO2E, "share", "sweeps", "trials", "energy", "quality"]);
    alignment.resize(header.len() - 1, Align::Right);
    let row = |key: Vec<String>, sum: &Sum| {
        let Footprint { energy: amount, co2e } = &sum.footprint;
        let part = share(co2e.get() as f64, total.footprint.co2e.get() as f64);
        let quality = if amount.is_zero() { "-".to_owned() } else { amount.quality().to_string() };
        let counts = [sum.sweeps.to_string(), sum.trials.to_string()];
        let figures = [grams(co2e.grams()), part].into_iter().chain(counts);
        key.into_iter().chain(figures).chain([energy(amount.total()), quality]).collect::<Vec<_>>()
    };
    let mut rows: Vec<Vec<String>> = groups.iter().map(|(key, sum)| row(key.clone(), sum)).collect();
    rows.push(row(total_key, total));
    table(&header, rows, &alignment, terminal)
}

/// One line per group, or the total alone where there are no groups: a spreadsheet adds up by itself.
fn as_csv(total: &Sum, groups: &BTreeMap<Vec<String>, Sum>, query: &HistoryQuery) -> String {
    let mut header = headings(query);
    header.extend(["sweeps", "trials", "energy_uj", "co2e_g", "quality"]);
    let line = |key: &[String], sum: &Sum| {
        let mut cells = key.to_vec();
        cells.extend([
            sum.sweeps.to_string(),
            sum.trials.to_string(),
            sum.footprint.energy.total().get().to_string(),
            sum.footprint.co2e.grams().get().to_string(),
            sum.footprint.energy.quality().to_string(),
        ]);
        cells
    };
    let rows: Vec<Vec<String>> = if query.group_by.is_empty() {
        vec![line(&[], total)]
    } else {
        groups.iter().map(|(key, sum)| line(key, sum)).collect()
    };
    csv(&header, &rows)
}
