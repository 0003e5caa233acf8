//! The report on one screen.

use std::time::Duration;

use gramwise_carbon::{GramsCo2e, Interval, LIFE_YEARS, Microjoules, Quality};
use gramwise_model::CO2E;
use gramwise_model::rows::{Account, SweepRecord, TrialRow};

use crate::output::Screen;
use crate::units::{duration, energy, grams, number, share};
use crate::{
    Align, ByComponent, ByProvenance, Comparison, Hardware, Report, Terminal, calendar, grid, pareto, table,
    words,
};

/// So many rows of the front, so that all stays on one screen.
const FRONT_ROWS: usize = 5;

/// The report for people: what the sweep found, what it cost and who was charged, and how well that is known.
/// `report` must be the answer for `record`.
pub fn report_text(report: &Report, record: &SweepRecord, terminal: Terminal) -> String {
    let mut screen = Screen::new(terminal, 11);
    screen.title(&title(report));
    ending(&mut screen, report);
    found(&mut screen, report, record);
    tied(&mut screen, report);
    front(&mut screen, record, terminal);
    cost(&mut screen, report);
    grid::say(&mut screen, &report.grid, "carbon: {zone: FR}");
    pue(&mut screen, report.pue, report.pue_stated);
    pruning(&mut screen, report);
    worth(&mut screen, report);
    screen.blank();
    screen.block(&accounts(report, terminal));
    screen.finish()
}

fn title(report: &Report) -> String {
    let took = report.ended_at_ms.map(|end| end.since(report.submitted_at_ms));
    let took = took.map_or(String::new(), |took| format!(" after {}", duration(took)));
    format!("sweep {} {}: {}{took}", report.sweep, report.name, words::sweep_state(report.state))
}

fn ending(screen: &mut Screen, report: &Report) {
    screen.say(
        "submitted",
        &format!("{} by {}", calendar::minute(report.submitted_at_ms), report.submitted_by),
    );
    if report.ended_at_ms.is_some() {
        screen.say("ended", report.ended_because.as_deref().unwrap_or("for an unknown reason"));
    }
    let trials = &report.trials;
    screen.say("trials", &format!("{}{}", words::counted(trials.total, "trial"), by_state(trials)));
    let attempts = &report.attempts;
    let outcomes = non_zero(&[
        (attempts.finished, "finished"),
        (attempts.stopped, "stopped"),
        (attempts.failed, "failed"),
        (attempts.interrupted, "interrupted"),
        (attempts.lost, "lost"),
        (attempts.running, "running"),
    ]);
    let steps = words::counted(report.steps, "step");
    screen.say("attempts", &format!("{}{outcomes}; {steps} run", words::counted(attempts.total, "attempt")));
}

/// `: 8 completed, 2 pruned`, without the states that no trial is in.
pub(crate) fn by_state(trials: &crate::TrialCounts) -> String {
    non_zero(&[
        (trials.completed, "completed"),
        (trials.pruned, "pruned"),
        (trials.paused, "paused"),
        (trials.failed, "failed"),
        (trials.running, "running"),
        (trials.stopping, "stopping"),
        (trials.waiting, "waiting"),
    ])
}

fn non_zero(counts: &[(u64, &str)]) -> String {
    let named = counts.iter().filter(|(count, _)| *count > 0).map(|(count, name)| format!("{count} {name}"));
    let named: Vec<String> = named.collect();
    if named.is_empty() { String::new() } else { format!(": {}", named.join(", ")) }
}

fn found(screen: &mut Screen, report: &Report, record: &SweepRecord) {
    screen.blank();
    match pareto::best(record) {
        Some(best) => {
            screen.say("best", &best_line(best, record));
            screen.more(&words::config(&best.config));
        }
        None if report.trials.completed == 0 => screen.say("best", "none: no trial has completed"),
        None => {
            screen.say(
                "best",
                "none: no completed trial has all objectives as numbers and keeps the constraints",
            );
        }
    }
}

/// `trial 9: val_error 0.0183, co2e 3.10 mg at epoch 30`.
pub(crate) fn best_line(best: &TrialRow, record: &SweepRecord) -> String {
    let resource = &record.sweep.spec.resource.name;
    format!(
        "trial {}: {} at {resource} {}",
        best.id,
        words::metrics(&best.metrics, &record.sweep.spec),
        best.step
    )
}

/// So many of the ties are named.
const TIES: usize = 8;

/// Which trials cannot be told from the best, and the greenest of them.
fn tied(screen: &mut Screen, report: &Report) {
    let (Some(ties), Some(best)) = (&report.ties, &report.best) else { return };
    if ties.by == Comparison::Nothing {
        screen.say("ties", &format!("unknown: {}", ties.by.words()));
        return;
    }
    let mass = |value: f64| grams(GramsCo2e::new(value));
    let margin = if ties.margin > 0.0 {
        format!("; less than {} does not matter", number(ties.margin))
    } else {
        String::new()
    };
    let by = ties.by.words();
    let found = match ties.trials.as_slice() {
        [only] => format!("none: trial {only} is better beyond chance than the other {}", ties.of - 1),
        many => {
            let named: Vec<String> = many.iter().take(TIES).map(ToString::to_string).collect();
            let more = many.len().saturating_sub(TIES);
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            format!("{} of {}: {}{more} cannot be told from the best", many.len(), ties.of, named.join(", "))
        }
    };
    screen.say("ties", &format!("{found} ({by}{margin})"));
    if let (Some(greenest), Some(co2e), true) = (ties.greenest, ties.greenest_co2e_g, ties.trials.len() > 1) {
        screen.more(&if greenest == best.trial {
            format!("the greenest of them: trial {greenest}, the best itself ({})", mass(co2e))
        } else {
            let took = best.metrics.get(CO2E).and_then(serde_json::Value::as_f64).unwrap_or(best.co2e_g);
            let best = format!("trial {}: {}", best.trial, mass(took));
            format!("the greenest of them: trial {greenest}, {} ({best})", mass(co2e))
        });
    }
    for one in &ties.replicated_by {
        let (sweep, runs) = (one.sweep, words::counted(one.results, "run"));
        screen.more(&format!(
            "sweep {sweep} ran them again: {runs}, {}, not in these figures",
            mass(one.co2e_g)
        ));
    }
    if let Some(warning) = &ties.warning {
        screen.more(&format!("warning: {warning}"));
    }
    if ties.by == Comparison::Model && ties.trials.len() > 1 {
        screen
            .hint(&format!("`gramwise replicate {}` runs the best again, to tell them apart", report.sweep));
    }
}

/// What the grams bought at last.
fn worth(screen: &mut Screen, report: &Report) {
    let gains = &report.gains;
    let mass = |value: f64| grams(GramsCo2e::new(value));
    let unit = report.objectives.first().map_or("", |primary| primary.name.as_str());
    let rate = |per_kg: Option<f64>| per_kg.map_or("-".to_owned(), number);
    let part = |grams: f64| share(grams, report.co2e_g);
    let is_compared = report.ties.as_ref().is_some_and(|ties| ties.by != Comparison::Nothing);
    let mut lines = Vec::new();
    if let Some(last) = gains.last_beyond_chance.filter(|_| is_compared) {
        let (from, to, gain, price) = (last.from, last.to, number(last.gain), mass(last.price_g));
        let rate = rate(last.gain_per_kg);
        lines.push(format!(
            "the last gain beyond chance, from trial {from} to {to}: {unit} by {gain} for {price} ({rate} per kg)"
        ));
    }
    if let Some(first) = gains.first_tied.filter(|_| is_compared) {
        let (trial, after) = (first.trial, first.after_g);
        lines.push(format!(
            "{} ({}) were emitted after trial {trial}, the first that cannot be told from the best",
            mass(after),
            part(after)
        ));
    }
    if let Some(last) = gains.last_trials.filter(|last| last.trials > 1) {
        let (trials, gain, co2e) = (last.trials, number(last.gain), mass(last.co2e_g));
        let rate = rate(last.gain_per_kg);
        lines.push(format!("the last {trials} trials: {unit} by {gain} for {co2e} ({rate} per kg)"));
    }
    if let Some(point) = gains.diminishing.as_ref().filter(|_| gains.improvements.len() > 2) {
        let (trial, spent, from) = (point.trial, mass(point.spent_g), &point.threshold_from);
        let price = number(point.threshold_per_kg);
        lines.push(format!(
            "returns diminish after trial {trial}, at {spent} ({}): then {unit} by {} in all, below {price} per kg ({from})",
            share(point.share, 1.0),
            number(point.gain_after)
        ));
    }
    let mut label = "worth it";
    for line in lines {
        screen.say(label, &line);
        label = "";
    }
}

fn front(screen: &mut Screen, record: &SweepRecord, terminal: Terminal) {
    let front = pareto::front(record);
    if front.len() < 2 {
        return;
    }
    let objectives = &record.sweep.spec.objectives;
    let mut header = vec!["front"];
    header.extend(objectives.iter().map(|objective| objective.name.as_str()));
    let mut alignment = vec![Align::Right; header.len()];
    header.push("config");
    alignment.push(Align::Left);
    let row = |trial: &&TrialRow| {
        let value =
            |name: &String| trial.metrics.get(name).map_or("-".to_owned(), |held| words::metric(name, *held));
        let mut cells = vec![trial.id.to_string()];
        cells.extend(objectives.iter().map(|objective| value(&objective.name)));
        cells.push(words::config(&trial.config));
        cells
    };
    screen.blank();
    screen.block(&table(&header, front.iter().take(FRONT_ROWS).map(row).collect(), &alignment, terminal));
    if front.len() > FRONT_ROWS {
        screen.more(&format!("and {} more on the front", front.len() - FRONT_ROWS));
    }
}

fn cost(screen: &mut Screen, report: &Report) {
    let mass = |value: f64| grams(GramsCo2e::new(value));
    screen.blank();
    if report.energy_uj == 0 {
        screen.say("CO2e", "unknown: no energy has been booked");
        return;
    }
    let bounds = Interval { low: report.co2e_low_g, high: report.co2e_high_g };
    burnt(screen, Microjoules::new(report.energy_uj), report.co2e_g, bounds);
    match &report.embodied {
        Some(Hardware { g, low_g, high_g, trial_g: _, unknown }) => {
            let [g, low, high] = [*g, *low_g, *high_g].map(mass);
            screen.more(&format!(
                "beside it, {g} for making the graphics cards ({low} to {high}, over {LIFE_YEARS} years)"
            ));
            if !unknown.is_empty() {
                screen.more(&format!("no figure for making {}", unknown.join(", ")));
            }
        }
        None => screen.more("making the hardware: unknown"),
    }
    components(screen, report.energy_by_component);
    quality(screen, report.quality, report.energy_by_provenance);
    if report.other_tenants.energy_uj > 0 {
        let other = energy(Microjoules::new(report.other_tenants.energy_uj));
        screen.more(&format!("other users of the hosts burnt {other}, which is not in these figures"));
    }
}

/// Energy, and its grams with their bounds.
pub(crate) fn burnt(screen: &mut Screen, amount: Microjoules, co2e_g: f64, bounds: Interval) {
    screen.say("energy", &format!("{} of IT equipment", energy(amount)));
    let [co2e, low, high] = [co2e_g, bounds.low, bounds.high].map(|mass| grams(GramsCo2e::new(mass)));
    screen.say("CO2e", &format!("{co2e} of operation (between {low} and {high} at about 95 %)"));
}

/// What burnt it.
pub(crate) fn components(screen: &mut Screen, parts: ByComponent) {
    let ByComponent { gpu_uj, cpu_uj, memory_uj, rest_uj } = parts;
    let total = gpu_uj + cpu_uj + memory_uj + rest_uj;
    let parts = [("GPU", gpu_uj), ("CPU", cpu_uj), ("memory", memory_uj), ("rest of the node", rest_uj)];
    let parts = parts.iter().filter(|(_, part)| *part > 0);
    let words: Vec<String> =
        parts.map(|(name, part)| format!("{name} {}", share(*part as f64, total as f64))).collect();
    screen.say("burnt by", &words.join(", "));
}

/// The label with its meaning, and how much of each kind there is.
pub(crate) fn quality(screen: &mut Screen, quality: Quality, parts: ByProvenance) {
    let ByProvenance { measured_uj, modelled_uj, estimated_uj } = parts;
    let part = |amount: u64| share(amount as f64, (measured_uj + modelled_uj + estimated_uj) as f64);
    let (measured, modelled, estimated) = (part(measured_uj), part(modelled_uj), part(estimated_uj));
    let meaning = quality.meaning();
    screen.say(
        "quality",
        &format!("{quality}: {meaning} ({measured} measured, {modelled} modelled, {estimated} estimated)"),
    );
}

pub(crate) fn pue(screen: &mut Screen, pue: f64, is_stated: bool) {
    let source = if is_stated { "as stated" } else { "not stated: no facility is counted" };
    screen.say("PUE", &format!("{} ({source})", number(pue)));
}

fn pruning(screen: &mut Screen, report: &Report) {
    let pruning = &report.pruning;
    let mass = |value: f64| grams(GramsCo2e::new(value));
    let (Some(avoided), Some(low), Some(high)) =
        (pruning.avoided_g, pruning.avoided_low_g, pruning.avoided_high_g)
    else {
        screen.say("pruning", "avoided an unknown amount: no trial was given up with a prediction");
        return;
    };
    if pruning.avoided_trials == 0 {
        screen.say("pruning", "no trial was given up, nothing was avoided");
    } else {
        let from = words::counted(pruning.avoided_trials, "trial");
        let bounds = format!("between {} and {}: {}", mass(low), mass(high), pruning.avoided_interval_from);
        screen.say("pruning", &format!("avoided {} that {from} would have needed ({bounds})", mass(avoided)));
        let bounds = pruning.expected_winners_low.zip(pruning.expected_winners_high);
        screen.more(&match (pruning.expected_winners_pruned, bounds) {
            (Some(winners), Some((low, high))) => format!(
                "expected winners pruned: {} ({low} to {high} at about 95 %; of {} with a prediction)",
                number(winners),
                words::counted(pruning.expected_winners_trials, "trial")
            ),
            (Some(_), None) | (None, _) => "expected winners pruned: unknown".to_owned(),
        });
    }
    if pruning.audited > 0 {
        screen.more(&format!(
            "{} ran on to audit the pruning, {} of them became the best",
            words::counted(pruning.audited, "doomed trial"),
            pruning.audited_winners
        ));
    }
}

fn accounts(report: &Report, terminal: Terminal) -> String {
    let row = |name: &str, energy_uj: u64, co2e_g: f64, quality: String| {
        let part = if name == "total" { String::new() } else { share(co2e_g, report.co2e_g) };
        let mass = grams(GramsCo2e::new(co2e_g));
        let quality = if energy_uj == 0 { "-".to_owned() } else { quality };
        vec![name.to_owned(), mass, part, energy(Microjoules::new(energy_uj)), quality]
    };
    let mut rows: Vec<Vec<String>> = Account::ALL
        .iter()
        .map(|account| {
            let balance = report.accounts.get(*account);
            row(account.name(), balance.energy_uj, balance.co2e_g, balance.quality.to_string())
        })
        .collect();
    rows.push(row("total", report.energy_uj, report.co2e_g, report.quality.to_string()));
    let alignment = [Align::Left, Align::Right, Align::Right, Align::Right, Align::Left];
    table(&["account", CO2E, "share", "energy", "quality"], rows, &alignment, terminal)
}

/// How long a sweep has taken until its end, or until now.
pub(crate) fn age(record: &SweepRecord, now: gramwise_model::Timestamp) -> Duration {
    record.sweep.ended_at.unwrap_or(now).since(record.sweep.submitted_at)
}
