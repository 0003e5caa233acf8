//! Everything about one trial.

use std::collections::BTreeSet;

use gramwise_carbon::{Quality, Spread};
use gramwise_model::rows::{Account, AttemptRow, Outcome, StepRow, SweepRecord, TrialRow};
use gramwise_model::{CO2E, SweepId, Timestamp, TrialId};
use serde::Serialize;

use crate::json::{self, Plain, SCHEMA};
use crate::output::Screen;
use crate::trials::TrialJson;
use crate::units::{duration, energy, grams, number};
use crate::{Align, Format, Terminal, calendar, csv, explain, pareto, table, words};

/// One trial: its configuration, attempts, steps and footprint, and the decision that counts. `steps` are the
/// trial's own. `None` where there is no such trial. [`Format::Csv`] is its steps, [`Format::Value`] its state.
pub fn show(
    record: &SweepRecord,
    trial: TrialId,
    steps: &[StepRow],
    format: Format,
    terminal: Terminal,
) -> Option<String> {
    let row = record.trials.iter().find(|row| row.id == trial)?;
    let steps: Vec<&StepRow> = steps.iter().filter(|step| step.trial == trial).collect();
    Some(match format {
        Format::Table => as_text(record, row, &steps, terminal),
        Format::Json => as_json(record, row, &steps),
        Format::Csv => as_csv(&steps),
        Format::Value => format!("{}\n", words::trial_state(row.state)),
    })
}

fn attempts_of(record: &SweepRecord, trial: TrialId) -> impl Iterator<Item = &AttemptRow> {
    record.attempts.iter().filter(move |attempt| attempt.trial == trial)
}

fn as_text(record: &SweepRecord, row: &TrialRow, steps: &[&StepRow], terminal: Terminal) -> String {
    let mut screen = Screen::new(terminal, 10);
    screen.title(&explain::headline(record, row));
    screen.say("sweep", &format!("{} {}", record.sweep.id, record.sweep.spec.name));
    screen.say("config", &words::config_exact(&row.config));
    let resource = &record.sweep.spec.resource.name;
    if row.metrics.is_empty() {
        screen.say("metrics", "none reported");
    } else {
        let metrics = words::metrics(&row.metrics, &record.sweep.spec);
        screen.say("metrics", &format!("{metrics} at {resource} {}", row.step));
    }
    screen.say("co2e", &words::footprint(&row.booked));
    if !row.lost.energy.is_zero() {
        screen.say("lost", &words::footprint(&row.lost));
    }
    beside_the_best(&mut screen, record, row);
    if let Some(message) = &row.message {
        screen.say("message", message);
    }
    screen.say("decision", explain::verdict_of(record, row).map_or("none yet", words::verdict));
    explain::fate(&mut screen, record, row);
    screen.blank();
    screen.block(&attempts_table(record, row.id, terminal));
    if steps.is_empty() {
        screen.say("steps", "none reported");
    } else {
        screen.blank();
        screen.block(&steps_table(record, steps, terminal));
    }
    screen.finish()
}

/// How much more or less it burnt than the best trial; what both are wrong by alike is left out, if one host ran both.
fn beside_the_best(screen: &mut Screen, record: &SweepRecord, row: &TrialRow) {
    let Some(best) = pareto::best(record).filter(|best| best.id != row.id) else { return };
    let hosts =
        |trial: TrialId| attempts_of(record, trial).map(|attempt| &attempt.worker).collect::<BTreeSet<_>>();
    let (own, of_best) = (&row.booked.energy, &best.booked.energy);
    if own.is_zero() || of_best.is_zero() || hosts(row.id) != hosts(best.id) || hosts(row.id).len() != 1 {
        return;
    }
    let times = own.joules().get() / of_best.joules().get();
    let Spread { low, high } = Spread::between(own, of_best);
    let [times, low, high] = [times, times * low, times * high].map(number);
    let range = if low == high { String::new() } else { format!("between {low} and {high}; ") };
    screen.say(
        "beside",
        &format!("{times} times the energy of the best, trial {} ({range}on one host)", best.id),
    );
}

fn attempts_table(record: &SweepRecord, trial: TrialId, terminal: Terminal) -> String {
    let header =
        ["attempt", "outcome", "account", CO2E, "energy", "steps", "took", "worker", "gpus", "leased"];
    let right = Align::Right;
    let left = Align::Left;
    let alignment = [right, left, left, right, right, right, right, left, left, left];
    let rows = attempts_of(record, trial).map(|attempt| {
        vec![
            attempt.number.to_string(),
            words::outcome(attempt.outcome.as_ref()).to_owned(),
            attempt.account.to_string(),
            grams(attempt.footprint.co2e.grams()),
            energy(attempt.footprint.energy.total()),
            attempt.steps.to_string(),
            attempt.ended_at.map_or("-".to_owned(), |end| duration(end.since(attempt.leased_at))),
            attempt.worker.to_string(),
            words::listed(attempt.gpus.iter().cloned()),
            calendar::minute(attempt.leased_at),
        ]
    });
    table(&header, rows.collect(), &alignment, terminal)
}

fn metric_names(steps: &[&StepRow]) -> Vec<String> {
    let names: BTreeSet<&String> = steps.iter().flat_map(|step| step.metrics.keys()).collect();
    names.into_iter().cloned().collect()
}

fn steps_table(record: &SweepRecord, steps: &[&StepRow], terminal: Terminal) -> String {
    let names = metric_names(steps);
    let mut header = vec![record.sweep.spec.resource.name.as_str()];
    header.extend(names.iter().map(String::as_str));
    header.extend(["energy", "attempt"]);
    let rows = steps.iter().map(|step| {
        let metric =
            |name: &String| step.metrics.get(name).map_or("-".to_owned(), |held| words::metric(name, *held));
        let mut cells = vec![step.step.to_string()];
        cells.extend(names.iter().map(metric));
        cells.extend([energy(step.energy), step.attempt.to_string()]);
        cells
    });
    table(&header, rows.collect(), &vec![Align::Right; header.len()], terminal)
}

#[derive(Debug, Serialize)]
struct Shown<'a> {
    schema: u32,
    sweep: SweepId,
    trial: TrialJson<'a>,
    attempts: Vec<AttemptJson<'a>>,
    steps: Vec<StepJson>,
    decisions: Vec<explain::Decision<'a>>,
}

#[derive(Debug, Serialize)]
struct AttemptJson<'a> {
    attempt: u32,
    worker: &'a str,
    gpus: &'a [String],
    leased_at_ms: Timestamp,
    ended_at_ms: Option<Timestamp>,
    outcome: &'static str,
    message: Option<&'a str>,
    account: Account,
    energy_uj: u64,
    co2e_g: f64,
    quality: Quality,
    steps: u64,
}

#[derive(Debug, Serialize)]
struct StepJson {
    attempt: u32,
    step: u64,
    metrics: Plain,
    energy_uj: u64,
    co2e_g: f64,
    at_ms: Timestamp,
}

fn as_json(record: &SweepRecord, row: &TrialRow, steps: &[&StepRow]) -> String {
    json::document(&Shown {
        schema: SCHEMA,
        sweep: record.sweep.id,
        trial: TrialJson::of(row, &crate::hardware::by_trial(record)),
        attempts: attempts_of(record, row.id).map(attempt_json).collect(),
        steps: steps.iter().map(|step| step_json(step)).collect(),
        decisions: record
            .decisions
            .iter()
            .filter(|decision| decision.trial == row.id)
            .map(explain::Decision::of)
            .collect(),
    })
}

fn attempt_json(row: &AttemptRow) -> AttemptJson<'_> {
    let message = match &row.outcome {
        Some(Outcome::Failed { message }) => Some(message.as_str()),
        Some(Outcome::Finished | Outcome::Stopped | Outcome::Interrupted | Outcome::Lost) | None => None,
    };
    AttemptJson {
        attempt: row.number,
        worker: &row.worker.0,
        gpus: &row.gpus,
        leased_at_ms: row.leased_at,
        ended_at_ms: row.ended_at,
        outcome: words::outcome(row.outcome.as_ref()),
        message,
        account: row.account,
        energy_uj: row.footprint.energy.total().get(),
        co2e_g: row.footprint.co2e.grams().get(),
        quality: row.footprint.energy.quality(),
        steps: row.steps,
    }
}

fn step_json(row: &StepRow) -> StepJson {
    StepJson {
        attempt: row.attempt,
        step: row.step,
        metrics: json::metrics(&row.metrics),
        energy_uj: row.energy.get(),
        co2e_g: row.co2e.grams().get(),
        at_ms: row.at,
    }
}

fn as_csv(steps: &[&StepRow]) -> String {
    let names = metric_names(steps);
    let mut header: Vec<String> = ["attempt", "step"].map(str::to_owned).to_vec();
    header.extend(names.iter().map(|name| format!("metrics.{name}")));
    header.extend(["energy_uj", "co2e_g", "at_ms"].map(str::to_owned));
    let rows: Vec<Vec<String>> = steps
        .iter()
        .map(|step| {
            let metric = |name: &String| step.metrics.get(name).map(|held| json::field(&json::metric(*held)));
            let mut cells = vec![step.attempt.to_string(), step.step.to_string()];
            cells.extend(names.iter().map(|name| metric(name).unwrap_or_default()));
            cells.extend([
                step.energy.get().to_string(),
                step.co2e.grams().get().to_string(),
                step.at.0.to_string(),
            ]);
            cells
        })
        .collect();
    csv(&header.iter().map(String::as_str).collect::<Vec<_>>(), &rows)
}
