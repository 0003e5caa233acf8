//! What many sweeps cost together.

use std::collections::{BTreeMap, BTreeSet};

use gramwise_carbon::Footprint;
use gramwise_model::rows::{SweepSummary, WorkerShare};
use gramwise_model::{CO2E, SweepId, Timestamp};
use serde::Serialize;

use crate::json::{self, SCHEMA};
use crate::listing::{Listing, Records};
use crate::sheet::Sheet;
use crate::units::{energy, grams, share};
use crate::{Align, calendar};

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
    /// Its project.
    Project,
    /// Its tags, all of them together.
    Tags,
    /// The sweep itself: number and name.
    Sweep,
    /// The machine that burnt it. A sweep may have several.
    Host,
    /// The models of that machine's graphics cards.
    Gpu,
}

/// What stands for a thing that there is none of.
const NONE: &str = "none";

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
    fn asks_for(&self, item: &Item<'_>) -> bool {
        let at = item.row.sweep.submitted_at;
        self.since.is_none_or(|since| at >= since)
            && self.until.is_none_or(|until| at < until)
            && self.only.iter().all(|(by, word)| by.is(item, word))
    }

    /// Is a sweep to be told apart by its machines?
    fn is_of_machines(&self) -> bool {
        let is = |by: &GroupBy| matches!(by, GroupBy::Host | GroupBy::Gpu);
        self.group_by.iter().any(is) || self.only.iter().any(|(by, _)| is(by))
    }
}

/// What is summed: a sweep, or one worker's part of it.
struct Item<'a> {
    row: &'a SweepSummary,
    share: Option<&'a WorkerShare>,
}

fn items<'a>(rows: &'a [SweepSummary], query: &HistoryQuery) -> Vec<Item<'a>> {
    let mut items = Vec::new();
    for row in rows {
        if query.is_of_machines() && !row.workers.is_empty() {
            items.extend(row.workers.iter().map(|share| Item { row, share: Some(share) }));
        } else {
            items.push(Item { row, share: None });
        }
    }
    items.retain(|item| query.asks_for(item));
    items
}

/// What the sweeps that are asked for cost together and by group. Every sweep (by machines: every part of one) is in exactly one
/// group, so the groups' energy and grams sum to the total's. A trial that ran on several machines is counted on each.
/// [`crate::ListFormat::Value`] is the total grams with every digit.
pub fn history(rows: &[SweepSummary], query: &HistoryQuery) -> Listing {
    let items = items(rows, query);
    let mut total = Sum::default();
    let mut groups: BTreeMap<Vec<Key>, Sum> = BTreeMap::new();
    for item in &items {
        total.add(item);
        if !query.group_by.is_empty() {
            let key = query.group_by.iter().map(|by| Key::of(*by, item)).collect();
            groups.entry(key).or_default().add(item);
        }
    }
    let name = |key: Vec<Key>| key.into_iter().map(|key| key.name).collect();
    let groups: Vec<(Vec<String>, Sum)> = groups.into_iter().map(|(key, sum)| (name(key), sum)).collect();
    Listing {
        sheet: sheet(&total, &groups, query),
        records: records(&total, &groups, query),
        json: as_json(&total, &groups, query),
        values: format!("{}\n", total.footprint.co2e.grams().get()),
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
            Self::Project => "project",
            Self::Tags => "tags",
            Self::Sweep => "sweep",
            Self::Host => "host",
            Self::Gpu => "gpu",
        }
    }

    fn of(self, Item { row, share }: &Item<'_>) -> String {
        let or_none = |word: &str| if word.is_empty() { NONE.to_owned() } else { word.to_owned() };
        match self {
            Self::Month => calendar::month(row.sweep.submitted_at),
            Self::Name => row.sweep.spec.name.clone(),
            Self::User => {
                let by = row.sweep.submitted_by.as_str();
                by.split_once('@').map_or(by, |(user, _)| user).to_owned()
            }
            Self::Zone => row.sweep.factors.zone.clone(),
            Self::Project => or_none(row.sweep.spec.project.as_deref().unwrap_or_default()),
            Self::Tags => or_none(&row.sweep.spec.tags.join(", ")),
            Self::Sweep => format!("{} {}", row.sweep.id, row.sweep.spec.name),
            Self::Host => or_none(share.map_or("", |share| &share.host)),
            Self::Gpu => {
                let models: BTreeSet<&str> =
                    share.iter().flat_map(|share| &share.gpus).map(|card| card.model.as_str()).collect();
                or_none(&models.into_iter().collect::<Vec<_>>().join(" + "))
            }
        }
    }

    /// Does a word name the item's group, or one of its tags, its cards, its number?
    fn is(self, item: &Item<'_>, word: &str) -> bool {
        match self {
            Self::Tags => item.row.sweep.spec.tags.iter().any(|tag| tag == word) || self.of(item) == word,
            Self::Gpu => {
                let mut cards = item.share.iter().flat_map(|share| &share.gpus);
                cards.any(|card| card.model == word) || self.of(item) == word
            }
            Self::Sweep => item.row.sweep.id.to_string() == word || item.row.sweep.spec.name == word,
            Self::User => self.of(item) == word || item.row.sweep.submitted_by == word,
            Self::Zone => self.of(item).eq_ignore_ascii_case(word),
            Self::Month | Self::Name | Self::Project | Self::Host => self.of(item) == word,
        }
    }
}

/// What a group is called. Sweeps are in the order of their numbers, all else in that of its name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    number: u32,
    name: String,
}

impl Key {
    fn of(by: GroupBy, item: &Item<'_>) -> Self {
        let number = if by == GroupBy::Sweep { item.row.sweep.id.0 } else { 0 };
        Self { number, name: by.of(item) }
    }
}

/// Exact until it is shown.
#[derive(Debug, Clone, Default)]
struct Sum {
    sweeps: BTreeSet<SweepId>,
    trials: u64,
    footprint: Footprint,
}

impl Sum {
    fn add(&mut self, Item { row, share }: &Item<'_>) {
        self.sweeps.insert(row.sweep.id);
        self.trials += share.map_or_else(|| row.trials.values().sum::<u64>(), |share| share.trials);
        self.footprint += share.map_or(row.total, |share| share.footprint);
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
        ("sweeps", sum.sweeps.len().into()),
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

fn as_json(total: &Sum, groups: &[(Vec<String>, Sum)], query: &HistoryQuery) -> String {
    let group = |(key, sum): &(Vec<String>, Sum)| {
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

fn sheet(total: &Sum, groups: &[(Vec<String>, Sum)], query: &HistoryQuery) -> Sheet {
    let mut header = headings(query);
    if header.is_empty() {
        header.push("");
    }
    let mut alignment = vec![Align::Left; header.len()];
    let mut total_key = vec![String::new(); header.len()];
    "total".clone_into(&mut total_key[0]);
    header.extend([CO2E, "share", "sweeps", "trials", "energy", "quality"]);
    alignment.resize(header.len() - 1, Align::Right);
    let is_trend = query.group_by.first() == Some(&GroupBy::Month);
    if is_trend {
        header.push("trend");
        alignment.resize(header.len(), Align::Left);
    }
    let most = groups.iter().map(|(_, sum)| sum.footprint.co2e.get()).max().unwrap_or(0);
    let row = |key: Vec<String>, sum: &Sum| {
        let Footprint { energy: amount, co2e } = &sum.footprint;
        let part = share(co2e.get() as f64, total.footprint.co2e.get() as f64);
        let quality = if amount.is_zero() { "-".to_owned() } else { amount.quality().to_string() };
        let counts = [sum.sweeps.len().to_string(), sum.trials.to_string()];
        let figures = [grams(co2e.grams()), part].into_iter().chain(counts);
        key.into_iter().chain(figures).chain([energy(amount.total()), quality]).collect::<Vec<_>>()
    };
    let with_trend = |(key, sum): &(Vec<String>, Sum)| {
        let mut cells = row(key.clone(), sum);
        if is_trend {
            cells.push(bar(sum.footprint.co2e.get(), most));
        }
        cells
    };
    let mut rows: Vec<Vec<String>> = groups.iter().map(with_trend).collect();
    rows.push(row(total_key, total));
    Sheet::new(&header, rows, &alignment)
}

/// A part of the longest bar, in eighths of a column.
fn bar(part: u64, longest: u64) -> String {
    const COLUMNS: u128 = 16;
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = u128::from(part) * COLUMNS * 8 / u128::from(longest.max(1));
    let eighths = usize::try_from(eighths).unwrap_or(0);
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// One line per group, or the total alone where there are no groups: a spreadsheet adds up by itself.
fn records(total: &Sum, groups: &[(Vec<String>, Sum)], query: &HistoryQuery) -> Records {
    let mut header = headings(query);
    header.extend(["sweeps", "trials", "energy_uj", "co2e_g", "quality"]);
    let line = |key: &[String], sum: &Sum| {
        let mut cells = key.to_vec();
        cells.extend([
            sum.sweeps.len().to_string(),
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
    Records { header: header.into_iter().map(str::to_owned).collect(), rows }
}
