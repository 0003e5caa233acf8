//! Entries of a competition: grouped where they cannot be told apart, and by their grams inside a group.

use std::collections::BTreeMap;

use gramwise_carbon::GramsCo2e;
use gramwise_model::rows::SweepRecord;
use gramwise_model::{Goal, Metrics};
use gramwise_significance::{Arm, ties};
use serde::Serialize;

use crate::accounts::total;
use crate::json::{self, SCHEMA};
use crate::listing::{Listing, Records};
use crate::sheet::Sheet;
use crate::units::{grams, number};
use crate::{Align, pareto};

const CONFIDENCE: f64 = 0.95;

/// One entry and its results.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// Whose it is.
    pub name: String,
    /// Its scores by seed or split, so that those of the same can be compared in pairs.
    pub scores: BTreeMap<u64, f64>,
    /// What it emitted in all; `None` where that is not known.
    pub co2e_g: Option<f64>,
}

/// Which way is better, and what matters.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Contest {
    /// Which way is better.
    pub goal: Goal,
    /// A difference smaller than this does not matter.
    pub margin: f64,
}

#[derive(Debug, Serialize)]
struct Leaderboard<'a> {
    schema: u32,
    confidence: f64,
    margin: f64,
    entries: Vec<Ranked<'a>>,
}

/// One row.
#[derive(Debug, Serialize)]
struct Ranked<'a> {
    /// From 1, over all groups.
    rank: u64,
    /// From 1: the entries that cannot be told from the best of those that no earlier group has.
    group: u64,
    entry: &'a str,
    mean: f64,
    sd: Option<f64>,
    runs: u64,
    co2e_g: Option<f64>,
    /// An entry of the group before that is better beyond chance, and the p-value of that, corrected for all comparisons of this entry.
    beaten_by: Option<&'a str>,
    p: Option<f64>,
}

/// The entries, ranked. Those whose scores are not all numbers are last, each in a group of its own.
pub fn leaderboard(entries: &[Entry], contest: Contest) -> Listing {
    let rows = ranked(entries, contest);
    let shown = |row: &Ranked<'_>| {
        vec![
            row.rank.to_string(),
            row.group.to_string(),
            row.entry.to_owned(),
            format!(
                "{}{}",
                number(row.mean),
                row.sd.map_or(String::new(), |sd| format!(" ± {}", number(sd)))
            ),
            row.runs.to_string(),
            row.co2e_g.map_or("unknown".to_owned(), |g| grams(GramsCo2e::new(g))),
            row.beaten_by.unwrap_or("-").to_owned(),
            row.p.map_or("-".to_owned(), number),
        ]
    };
    let exact = |row: &Ranked<'_>| {
        let optional = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        vec![
            row.rank.to_string(),
            row.group.to_string(),
            row.entry.to_owned(),
            row.mean.to_string(),
            optional(row.sd),
            row.runs.to_string(),
            optional(row.co2e_g),
            row.beaten_by.unwrap_or_default().to_owned(),
            optional(row.p),
        ]
    };
    let (left, right) = (Align::Left, Align::Right);
    let header = ["rank", "tied group", "entry", "mean", "runs", "co2e", "beaten by", "p"];
    let columns = ["rank", "group", "entry", "mean", "sd", "runs", "co2e_g", "beaten_by", "p"];
    Listing {
        sheet: Sheet::new(
            &header,
            rows.iter().map(shown).collect(),
            &[right, right, left, right, right, right, left, right],
        ),
        records: Records {
            header: columns.map(str::to_owned).to_vec(),
            rows: rows.iter().map(exact).collect(),
        },
        values: rows.iter().map(|row| row.entry.to_owned() + "\n").collect(),
        json: json::document(&Leaderboard {
            schema: SCHEMA,
            confidence: CONFIDENCE,
            margin: contest.margin,
            entries: rows,
        }),
    }
}

/// A sweep as an entry: its best trial with what came of running that again, else with its own result, and all that search and
/// replicates emitted. The trial is chosen by its first result, so that what it is scored by did not choose it.
pub fn entry(record: &SweepRecord) -> Option<Entry> {
    let best = pareto::best(record)?;
    let spec = &record.sweep.spec;
    let value = |metrics: &Metrics| metrics.get(&spec.primary().name).and_then(|metric| metric.finite());
    // Seeds of sweeps with one seed are the same, and those of others are others.
    let seed = |seed: u32| (1 << 60) ^ spec.seed.wrapping_mul(1_000_003).wrapping_add(u64::from(seed));
    let again = record.replications.iter().flat_map(|one| &one.results).filter(|result| result.of == best.id);
    let mut scores: BTreeMap<u64, f64> =
        again.map(|result| (seed(result.seed), value(&result.metrics).unwrap_or(f64::NAN))).collect();
    if scores.is_empty() {
        scores.insert(seed(0), value(&best.metrics)?);
    }
    let searched = total(&record.accounts).co2e.grams().get();
    let again: f64 = record.replications.iter().map(|one| one.total.co2e.grams().get()).sum();
    let name = format!("{} (sweep {})", spec.name, record.sweep.id);
    Some(Entry { name, scores, co2e_g: Some(searched + again) })
}

fn ranked(entries: &[Entry], contest: Contest) -> Vec<Ranked<'_>> {
    let cost = |score: &f64| match contest.goal {
        Goal::Minimize => *score,
        Goal::Maximize => -score,
    };
    let arm = |entry: &Entry| Arm {
        results: entry.scores.iter().map(|(seed, score)| (*seed, cost(score))).collect(),
    };
    let mut left: Vec<&Entry> = entries.iter().collect();
    let mut beaten: BTreeMap<&str, (&str, f64)> = BTreeMap::new();
    let (mut rows, mut group) = (Vec::new(), 0);
    while !left.is_empty() {
        group += 1;
        let arms: Vec<Arm> = left.iter().map(|entry| arm(entry)).collect();
        let found = ties(&arms, contest.margin, CONFIDENCE);
        let mut members: Vec<&Entry> = found.members.iter().map(|place| left[*place]).collect();
        if members.is_empty() {
            members.push(left[0]);
        }
        members.sort_by(|a, b| {
            let grams = |entry: &Entry| entry.co2e_g.unwrap_or(f64::INFINITY);
            grams(a).total_cmp(&grams(b)).then_with(|| a.name.cmp(&b.name))
        });
        for entry in &members {
            let by = beaten.get(entry.name.as_str());
            rows.push(Ranked {
                rank: rows.len() as u64 + 1,
                group,
                entry: &entry.name,
                mean: entry.scores.values().sum::<f64>() / entry.scores.len() as f64,
                sd: arm(entry).sd(),
                runs: entry.scores.len() as u64,
                co2e_g: entry.co2e_g,
                beaten_by: by.map(|(name, _)| *name),
                p: by.map(|(_, p)| *p),
            });
        }
        beaten.extend(
            found
                .beaten
                .iter()
                .map(|(worse, (better, p))| (left[*worse].name.as_str(), (left[*better].name.as_str(), *p))),
        );
        left.retain(|entry| !members.iter().any(|member| std::ptr::eq(*member, *entry)));
    }
    rows
}
