//! What a sweep cost by the grid's actual intensities, beside what was first stated. Energy does not change.

use std::collections::BTreeMap;

use gramwise_carbon::{
    Energy, GramsCo2e, IntensityKind, IntensitySeries, Interval, Microjoules, Nanograms, Spread,
};
use gramwise_model::rows::{Account, BookingRow, SweepRow};
use gramwise_model::{CO2E, SweepId, Timestamp, TrialId};
use serde::{Serialize, Serializer};

use crate::output::Screen;
use crate::units::{energy, grams, number, share};
use crate::{Align, Format, Terminal, calendar, csv, json, table};

/// Intensities with where they are from.
#[derive(Debug, Clone, Copy)]
pub struct Actuals<'a> {
    /// By time.
    pub series: &'a IntensitySeries,
    /// A file, for people.
    pub source: &'a str,
    /// How they were obtained, the worst of them.
    pub kind: IntensityKind,
}

#[derive(Debug, Serialize)]
struct Answer<'a> {
    schema: u32,
    sweep: SweepId,
    name: &'a str,
    /// Where the intensities are from.
    source: &'a str,
    column: &'a str,
    energy_uj: u64,
    /// As first stated.
    co2e_g: f64,
    restated_g: f64,
    restated_low_g: f64,
    restated_high_g: f64,
    /// The share of the energy that the series tells of; the rest keeps the intensity of the first statement.
    covered: f64,
    /// Means by energy, over what was booked.
    first_g_per_kwh: f64,
    restated_g_per_kwh: Option<f64>,
    accounts: BTreeMap<&'static str, Sums>,
    trials: Vec<OfTrial>,
}

/// Sums, in exact units; JSON has grams.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Sums {
    energy_uj: Microjoules,
    #[serde(rename = "co2e_g", serialize_with = "as_grams")]
    first: Nanograms,
    #[serde(rename = "restated_g", serialize_with = "as_grams")]
    restated: Nanograms,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn as_grams<S: Serializer>(amount: &Nanograms, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(amount.grams().get())
}

#[derive(Debug, Serialize)]
struct OfTrial {
    trial: TrialId,
    #[serde(flatten)]
    sums: Sums,
}

impl Sums {
    fn add(&mut self, energy: Microjoules, first: Nanograms, restated: Nanograms) {
        self.energy_uj += energy;
        self.first += first;
        self.restated += restated;
    }
}

/// Answers what a sweep cost by other intensities; [`Format::Value`] is the grams.
pub fn restated(
    sweep: &SweepRow,
    bookings: &[BookingRow],
    actuals: &Actuals<'_>,
    format: Format,
    terminal: Terminal,
) -> String {
    let answer = of(sweep, bookings, actuals);
    match format {
        Format::Table => as_text(&answer, bookings, actuals, terminal),
        Format::Json => json::document(&answer),
        Format::Csv => as_csv(&answer),
        Format::Value => format!("{}\n", answer.restated_g),
    }
}

fn of<'a>(sweep: &'a SweepRow, bookings: &[BookingRow], actuals: &Actuals<'a>) -> Answer<'a> {
    let factors = &sweep.factors;
    let mut accounts: BTreeMap<&'static str, Sums> =
        Account::ALL.iter().map(|account| (account.name(), Sums::default())).collect();
    let mut trials: BTreeMap<TrialId, Sums> = BTreeMap::new();
    let (mut total, mut all, mut uncovered_j, mut covered_j, mut weighed) =
        (Energy::ZERO, Sums::default(), 0.0, 0.0, 0.0);
    for booking in bookings {
        let joules = booking.footprint.energy.joules();
        let mean = actuals.series.mean(booking.from.0, booking.to.0);
        let covered = mean.map_or(0.0, |mean| mean.covered);
        let actual = mean.map_or(0.0, |mean| mean.intensity.get());
        uncovered_j += joules.get() * (1.0 - covered);
        covered_j += joules.get() * covered;
        weighed += joules.get() * covered * actual;
        let (energy, first) = (booking.footprint.energy.total(), booking.footprint.co2e);
        let actual_g = mean.map_or(0.0, |mean| (joules * factors.pue * mean.intensity).get());
        let grams = GramsCo2e::new(covered * actual_g + (1.0 - covered) * first.grams().get()).to_exact();
        total += booking.footprint.energy;
        all.add(energy, first, grams);
        accounts.entry(booking.account.name()).or_default().add(energy, first, grams);
        if let Some(trial) = booking.trial {
            trials.entry(trial).or_default().add(energy, first, grams);
        }
    }
    let whole_j = total.joules().get();
    let covered = if whole_j > 0.0 { (1.0 - uncovered_j / whole_j).max(0.0) } else { 0.0 };
    let as_first = Spread::of_intensity(factors.kind);
    let grid = Spread::mix(&[(covered, Spread::of_intensity(actuals.kind)), (1.0 - covered, as_first)]);
    let restated_g = all.restated.grams().get();
    let bounds = Interval::around(restated_g, Spread::with_grid(&total, factors, grid));
    Answer {
        schema: json::SCHEMA,
        sweep: sweep.id,
        name: &sweep.spec.name,
        source: actuals.source,
        column: &actuals.series.column,
        energy_uj: all.energy_uj.get(),
        co2e_g: all.first.grams().get(),
        restated_g,
        restated_low_g: bounds.low,
        restated_high_g: bounds.high,
        covered,
        first_g_per_kwh: if whole_j > 0.0 {
            all.first.grams().get() / (total.joules().kwh() * factors.pue.get())
        } else {
            factors.intensity.get()
        },
        restated_g_per_kwh: (covered_j > 0.0).then(|| weighed / covered_j),
        accounts,
        trials: trials.into_iter().map(|(trial, sums)| OfTrial { trial, sums }).collect(),
    }
}

fn as_text(
    answer: &Answer<'_>,
    bookings: &[BookingRow],
    actuals: &Actuals<'_>,
    terminal: Terminal,
) -> String {
    let mass = |value: f64| grams(GramsCo2e::new(value));
    let mut screen = Screen::new(terminal, 11);
    screen.title(&format!("sweep {} {}: restated", answer.sweep, answer.name));
    screen
        .say("energy", &format!("{} of IT equipment, as before", energy(Microjoules::new(answer.energy_uj))));
    screen.say("first", &format!("{} CO2e at {} g/kWh", mass(answer.co2e_g), number(answer.first_g_per_kwh)));
    let (low, high) = (mass(answer.restated_low_g), mass(answer.restated_high_g));
    let at =
        answer.restated_g_per_kwh.map_or(String::new(), |at| format!(" at {} g/kWh on average", number(at)));
    let restated = mass(answer.restated_g);
    screen.say("restated", &format!("{restated} CO2e{at} (between {low} and {high} at about 95 %)"));
    screen.say("by", &format!("{}, column {}", answer.source, answer.column));
    if answer.covered < 1.0 {
        let (from, to) = actuals.series.span();
        let [from, to] = [from, to].map(|at| calendar::minute(Timestamp(at)));
        let told = share(answer.covered, 1.0);
        screen.more(&format!(
            "it tells of {told} of the energy (from {from} to {to}); the rest is as first stated"
        ));
        if let (Some(first), Some(last)) = (bookings.first(), bookings.last()) {
            let [first, last] = [first.from, last.to].map(calendar::minute);
            screen.hint(&format!("the sweep ran from {first} to {last}"));
        }
    }
    screen.blank();
    let row = |(name, sums): (&&str, &Sums)| {
        let [first, restated] = [sums.first, sums.restated].map(|amount| grams(amount.grams()));
        vec![(*name).to_owned(), energy(sums.energy_uj), first, restated]
    };
    let names = Account::ALL.map(Account::name);
    let rows: Vec<Vec<String>> =
        names.iter().filter_map(|name| answer.accounts.get_key_value(name)).map(row).collect();
    let alignment = [Align::Left, Align::Right, Align::Right, Align::Right];
    screen.block(&table(
        &["account", "energy", &format!("{CO2E} first"), "restated"],
        rows,
        &alignment,
        terminal,
    ));
    screen.finish()
}

fn as_csv(answer: &Answer<'_>) -> String {
    let rows: Vec<Vec<String>> = answer
        .trials
        .iter()
        .map(|one| {
            let grams = [one.sums.first, one.sums.restated].map(|amount| amount.grams().get().to_string());
            let [first, restated] = grams;
            vec![one.trial.to_string(), one.sums.energy_uj.get().to_string(), first, restated]
        })
        .collect();
    csv(&["trial", "energy_uj", "co2e_g", "restated_g"], &rows)
}
