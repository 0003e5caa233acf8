//! How a sweep is getting on.

use gramwise_carbon::GramsCo2e;
use gramwise_model::rows::{HostRow, SweepRecord, SweepState, TrialState, Verdict};
use gramwise_model::{GainEstimate, SweepId, Timestamp, TrialId, WorkerId};
use serde::Serialize;

use crate::accounts::total;
use crate::output::Screen;
use crate::pruning::{avoided, estimate, last_decision};
use crate::report::TrialSummary;
use crate::text::{age, best_line, by_state};
use crate::units::{duration, energy, grams, number, share};
use crate::{Format, Terminal, TrialCounts, csv, json, pareto, words};

/// How many workers are named.
const NAMED: usize = 4;
/// A worker that is silent for longer is worth a word.
const SILENT: std::time::Duration = std::time::Duration::from_secs(10);

/// How many of the last decisions are shown.
const RECENT: usize = 5;

/// How a sweep is getting on: trials by state, what is spent of each budget, the best so far, what the last
/// trials promise per kg, and the time. [`Format::Csv`] is the budgets, [`Format::Value`] the grams spent.
pub fn status(record: &SweepRecord, now: Timestamp, format: Format, terminal: Terminal) -> String {
    let status = Status::of(record, now);
    match format {
        Format::Table => as_text(&status, record, terminal),
        Format::Json => json::document(&status),
        Format::Csv => as_csv(&status),
        Format::Value => format!("{}\n", status.co2e_g),
    }
}

#[derive(Debug, Serialize)]
struct Status {
    schema: u32,
    sweep: SweepId,
    name: String,
    state: SweepState,
    elapsed_s: f64,
    /// Those that serve it.
    workers: Vec<Serving>,
    trials: TrialCounts,
    energy_uj: u64,
    energy_j: f64,
    co2e_g: f64,
    /// Predicted for the trials that run, to their last steps; `null` where there is no prediction.
    running_left_g: Option<f64>,
    budget: Vec<Spent>,
    best: Option<TrialSummary>,
    gains: Vec<Recent>,
}

/// A worker that serves the sweep.
#[derive(Debug, Serialize)]
struct Serving {
    worker: WorkerId,
    /// Seconds since it was last heard of.
    silent_s: f64,
}

/// How much of one stated budget is used.
#[derive(Debug, Serialize)]
struct Spent {
    budget: &'static str,
    unit: &'static str,
    used: f64,
    limit: f64,
    #[serde(skip)]
    shown: String,
}

/// One of the last decisions that came with an estimate.
#[derive(Debug, Serialize)]
struct Recent {
    trial: TrialId,
    step: u64,
    verdict: Verdict,
    gain_per_kg: f64,
    threshold_per_kg: f64,
    unit: String,
}

impl Status {
    fn of(record: &SweepRecord, now: Timestamp) -> Self {
        let total = total(&record.accounts);
        Self {
            schema: json::SCHEMA,
            sweep: record.sweep.id,
            name: record.sweep.spec.name.clone(),
            state: record.sweep.state,
            elapsed_s: age(record, now).as_secs_f64(),
            workers: serving(record, now),
            trials: TrialCounts::of(record.trials.iter().map(|trial| (trial.state, 1))),
            energy_uj: total.energy.total().get(),
            energy_j: total.energy.joules().get(),
            co2e_g: total.co2e.grams().get(),
            running_left_g: running_left(record),
            budget: budget(record, now),
            best: pareto::best(record).map(TrialSummary::of),
            gains: gains(record),
        }
    }
}

fn serving(record: &SweepRecord, now: Timestamp) -> Vec<Serving> {
    let is_over = record.sweep.state == SweepState::Ended;
    let there = record.hosts.iter().filter(|host| !host.gone && !is_over);
    let serving = |host: &HostRow| Serving {
        worker: host.worker.clone(),
        silent_s: now.since(host.heard_at).as_secs_f64(),
    };
    there.map(serving).collect()
}

/// Who serves a sweep that is not over, in words.
fn served_by(workers: &[Serving]) -> String {
    if workers.is_empty() {
        return "none: its trials run once a `gramwise worker` has come".to_owned();
    }
    let named = workers.iter().map(|one| {
        let silent = std::time::Duration::from_secs_f64(one.silent_s);
        let heard =
            if silent > SILENT { format!(" (not heard of for {})", duration(silent)) } else { String::new() };
        format!("{}{heard}", one.worker)
    });
    let named: Vec<String> = named.take(NAMED).collect();
    let more = workers.len().saturating_sub(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("{}: {}{more}", workers.len(), named.join(", "))
}

fn running_left(record: &SweepRecord) -> Option<f64> {
    let left: Vec<f64> = record
        .trials
        .iter()
        .filter(|trial| trial.state == TrialState::Running)
        .filter_map(|trial| avoided(&last_decision(record, trial.id)?.because))
        .collect();
    (!left.is_empty()).then(|| left.iter().sum())
}

fn budget(record: &SweepRecord, now: Timestamp) -> Vec<Spent> {
    let spent = total(&record.accounts);
    let limits = &record.sweep.spec.budget;
    let mut out = Vec::new();
    if let Some(limit) = limits.co2e {
        let used = spent.co2e.grams();
        let shown = format!("co2e {} of {}", grams(used), grams(limit));
        out.push(Spent { budget: "co2e", unit: "g", used: used.get(), limit: limit.get(), shown });
    }
    if let Some(limit) = limits.energy {
        let used = spent.energy.joules();
        let shown = format!("energy {} of {}", energy(spent.energy.total()), energy(limit.to_exact()));
        out.push(Spent { budget: "energy", unit: "J", used: used.get(), limit: limit.get(), shown });
    }
    if let Some(limit) = limits.trials {
        let used = record.trials.len();
        let shown = format!("{used} of {limit} trials");
        out.push(Spent {
            budget: "trials",
            unit: "trials",
            used: used as f64,
            limit: f64::from(limit),
            shown,
        });
    }
    if let Some(limit) = limits.wall {
        let used = age(record, now);
        let shown = format!("wall time {} of {}", duration(used), duration(limit));
        out.push(Spent {
            budget: "wall",
            unit: "s",
            used: used.as_secs_f64(),
            limit: limit.as_secs_f64(),
            shown,
        });
    }
    if let Some(limit) = limits.gpu_hours {
        let used = gpu_hours(record, now);
        let shown = format!("{} of {} GPU-hours", number(used), number(limit));
        out.push(Spent { budget: "gpu_hours", unit: "h", used, limit, shown });
    }
    out
}

/// Hours of GPUs leased, until the end of each attempt or until now.
fn gpu_hours(record: &SweepRecord, now: Timestamp) -> f64 {
    let hours = record.attempts.iter().map(|attempt| {
        attempt.ended_at.unwrap_or(now).since(attempt.leased_at).as_secs_f64() / 3600.0
            * attempt.gpus.len() as f64
    });
    hours.fold(0.0, |sum, hours| sum + hours)
}

/// The last decisions that came with an estimate, newest first.
fn gains(record: &SweepRecord) -> Vec<Recent> {
    let newest = record.decisions.iter().rev();
    let gains = newest.filter_map(|row| {
        let GainEstimate { gain_per_kg, threshold_per_kg, unit, .. } = estimate(&row.because)?;
        Some(Recent {
            trial: row.trial,
            step: row.step,
            verdict: row.verdict,
            gain_per_kg: *gain_per_kg,
            threshold_per_kg: *threshold_per_kg,
            unit: unit.clone(),
        })
    });
    gains.take(RECENT).collect()
}

fn as_text(status: &Status, record: &SweepRecord, terminal: Terminal) -> String {
    let mut screen = Screen::new(terminal, 11);
    let elapsed = duration(std::time::Duration::from_secs_f64(status.elapsed_s));
    screen.title(&format!(
        "sweep {} {}: {} {} {elapsed}",
        status.sweep,
        status.name,
        words::sweep_state(status.state),
        if status.state == SweepState::Ended { "after" } else { "for" }
    ));
    screen.say(
        "trials",
        &format!("{}{}", words::counted(status.trials.total, "trial"), by_state(&status.trials)),
    );
    if status.state != SweepState::Ended {
        let elsewhere = "as it was when it was imported: it runs, or ran, elsewhere".to_owned();
        let served = if record.sweep.origin.is_some() { elsewhere } else { served_by(&status.workers) };
        screen.say("workers", &served);
    }
    screen.say("spent", &words::footprint(&total(&record.accounts)));
    if let Some(left) = status.running_left_g {
        screen.more(&format!("{} more predicted for the trials that run", grams(GramsCo2e::new(left))));
    }
    for (index, spent) in status.budget.iter().enumerate() {
        let line = format!("{} ({})", spent.shown, share(spent.used, spent.limit));
        screen.say(if index == 0 { "budget" } else { "" }, &line);
    }
    match pareto::best(record) {
        Some(best) => {
            screen.say("best", &best_line(best, record));
            screen.more(&words::config(&best.config));
        }
        None => screen.say("best", "none yet"),
    }
    for (index, gain) in status.gains.iter().enumerate() {
        let line = format!(
            "{} {}, threshold {}: trial {} at {} {}, {}",
            number(gain.gain_per_kg),
            gain.unit,
            number(gain.threshold_per_kg),
            gain.trial,
            record.sweep.spec.resource.name,
            gain.step,
            words::verdict(gain.verdict)
        );
        screen.say(if index == 0 { "gain/kg" } else { "" }, &line);
    }
    if let (Some(why), Some(_)) = (&record.sweep.ended_because, record.sweep.ended_at) {
        screen.say("ended", why);
    }
    screen.finish()
}

fn as_csv(status: &Status) -> String {
    let rows: Vec<Vec<String>> = status
        .budget
        .iter()
        .map(|spent| {
            vec![
                spent.budget.to_owned(),
                spent.unit.to_owned(),
                spent.used.to_string(),
                spent.limit.to_string(),
            ]
        })
        .collect();
    csv(&["budget", "unit", "used", "limit"], &rows)
}
