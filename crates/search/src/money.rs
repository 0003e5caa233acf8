//! What a sweep may still spend: predictions of grams, reservations for what is in flight, and the end of the budget.

use std::time::Duration;

use gramwise_carbon::{GramsCo2e, Joules};
use gramwise_model::Timestamp;
use gramwise_model::rows::Account;

use crate::fact::Reservation;
use crate::state::{Sweep, Trial};
use crate::strategy::Launch;
use crate::sweep_strategy::index;

/// The time between the decision to stop and the last joule: one reporting period, and the trial's grace.
const REACTION: Duration = Duration::from_secs(2);

/// At the beginning of a sweep its setup and its idle hosts say little of what is to come.
const MOST_IN_ALL: f64 = 3.0;

/// What to set aside before a trial is started, resumed or taken further: what it is at most predicted to burn (at 95 %) to
/// the rung that it runs to. Zero while nothing has shown what a step costs: the first trials are always admitted.
pub(crate) fn reservation(sweep: &Sweep, trial: &Trial, launch: Option<Launch>) -> Reservation {
    // What earlier sweeps burnt, perhaps on other hosts, must not keep the first trials from starting.
    let is_first = sweep.strategy.spent() <= 0.0;
    let most = || sweep.strategy.most_grams(index(trial.id), &trial.config, launch.map(|launch| launch.to));
    let grams = if is_first { 0.0 } else { most() };
    let kilowatt_hours = grams / (sweep.factors.intensity.get() * sweep.factors.pue.get());
    let begun = trial.attempts.last().filter(|_| trial.is_live()).map(|attempt| attempt.total);
    let burnt = begun.unwrap_or_default();
    Reservation {
        co2e: burnt.co2e.grams() + GramsCo2e::new(grams),
        energy: burnt.energy.joules() + Joules::from_kwh(kilowatt_hours),
    }
}

/// Does the budget allow one more attempt that needs this much, beside what is in flight? Idle hosts and gramwise itself are
/// expected to go on taking their share. `Err` says which limit stands against it, in words.
pub(crate) fn admits(sweep: &Sweep, need: Reservation) -> Result<(), String> {
    let spent = sweep.spent();
    let held = in_flight(sweep);
    let in_all = in_all(sweep);
    if let Some(limit) = sweep.spec.budget.co2e {
        let wanted = spent.co2e.grams() + (held.co2e + need.co2e) * in_all;
        if wanted > limit {
            return Err(format!("budget: {} CO2e spent or set aside of {}", mass(wanted), mass(limit)));
        }
    }
    if let Some(limit) = sweep.spec.budget.energy {
        let wanted = spent.energy.joules() + (held.energy + need.energy) * in_all;
        if wanted > limit {
            return Err(format!("budget: {} spent or set aside of {}", work(wanted), work(limit)));
        }
    }
    Ok(())
}

/// Grams that trials may still burn, if what they burnt so far took its share of each budget: idle hosts and gramwise itself take
/// theirs on. `None` without a budget of this kind, and while nothing was burnt.
pub(crate) fn left(sweep: &Sweep, now: Timestamp) -> Option<f64> {
    let budget = &sweep.spec.budget;
    let spent = sweep.spent();
    let hard = 1.0 + margin(sweep, now);
    let shares = [
        budget.co2e.map(|limit| spent.co2e.grams().get() * hard / limit.get()),
        budget.energy.map(|limit| spent.energy.joules().get() * hard / limit.get()),
        budget.wall.map(|limit| age(sweep, now).as_secs_f64() / limit.as_secs_f64()),
        budget.gpu_hours.map(|limit| gpu_hours(sweep, now) / limit),
    ];
    let spent = shares.into_iter().flatten().reduce(f64::max)?;
    let left = sweep.strategy.spent() * (1.0 - spent) / spent;
    (sweep.strategy.spent() > 0.0 && left.is_finite()).then(|| left.max(0.0))
}

/// What a sweep spends in all for each gram of its attempts, so far; at most three.
fn in_all(sweep: &Sweep) -> f64 {
    let of = |accounts: &[Account]| -> f64 {
        accounts.iter().filter_map(|one| sweep.accounts.get(one)).map(|one| one.co2e.grams().get()).sum()
    };
    let (attempts, all) = (of(&[Account::Trial, Account::Lost]), of(&Account::ALL));
    if attempts > 0.0 { (all / attempts).min(MOST_IN_ALL) } else { 1.0 }
}

/// What is spent while a sweep comes to its end, as a share of what it spent so far.
fn margin(sweep: &Sweep, now: Timestamp) -> f64 {
    if sweep.live.is_empty() {
        0.0
    } else {
        (REACTION.as_secs_f64() / age(sweep, now).as_secs_f64()).min(0.25)
    }
}

/// How long the sweep ran.
fn age(sweep: &Sweep, now: Timestamp) -> Duration {
    now.since(sweep.submitted_at).saturating_sub(sweep.away)
}

/// The limit that ends the sweep now, in words. Hard limits end it early enough that what is in flight stays below:
/// at the present rate of spending, for as long as stopping takes.
pub(crate) fn exhausted(sweep: &Sweep, now: Timestamp) -> Option<String> {
    let budget = &sweep.spec.budget;
    let spent = sweep.spent();
    let age = age(sweep, now);
    let margin = margin(sweep, now);
    let grams = spent.co2e.grams();
    if let Some(limit) = budget.co2e.filter(|limit| grams * (1.0 + margin) >= *limit) {
        return Some(format!("budget: {} CO2e of {} spent", mass(grams), mass(limit)));
    }
    let energy = spent.energy.joules();
    if let Some(limit) = budget.energy.filter(|limit| energy * (1.0 + margin) >= *limit) {
        return Some(format!("budget: {} of {} spent", work(energy), work(limit)));
    }
    if let Some(limit) = budget.wall.filter(|limit| age >= *limit) {
        return Some(format!("budget: wall time of {} s is over", limit.as_secs()));
    }
    let gpu_hours = gpu_hours(sweep, now);
    budget
        .gpu_hours
        .filter(|limit| gpu_hours >= *limit)
        .map(|limit| format!("budget: {gpu_hours:.3} of {limit:.3} GPU-hours used"))
}

/// GPU-hours leased so far, running attempts included.
fn gpu_hours(sweep: &Sweep, now: Timestamp) -> f64 {
    let live: f64 = sweep
        .live
        .iter()
        .filter_map(|id| sweep.trials.get(&id.trial)?.attempt(id.number))
        .map(|attempt| now.since(attempt.leased_at).as_secs_f64() * attempt.gpus.len() as f64)
        .sum();
    (sweep.gpu_ms as f64 / 1000.0 + live) / 3600.0
}

/// What running attempts have set aside and not yet spent.
fn in_flight(sweep: &Sweep) -> Reservation {
    let mut held = Reservation::default();
    for id in &sweep.live {
        if let Some(attempt) = sweep.trials.get(&id.trial).and_then(|trial| trial.attempt(id.number)) {
            let co2e = attempt.reserved.co2e.get() - attempt.total.co2e.grams().get();
            let energy = attempt.reserved.energy.get() - attempt.total.energy.joules().get();
            held.co2e += GramsCo2e::new(co2e.max(0.0));
            held.energy += Joules::new(energy.max(0.0));
        }
    }
    held
}

/// A mass in words, in the unit that suits its size.
pub(crate) fn mass(grams: GramsCo2e) -> String {
    match grams.get() {
        grams if grams >= 1000.0 => format!("{:.3} kg", grams / 1000.0),
        grams if grams >= 1.0 => format!("{grams:.3} g"),
        grams if grams >= 1e-4 => format!("{:.3} mg", grams * 1e3),
        grams => format!("{:.3} µg", grams * 1e6),
    }
}

/// An energy in words, in the unit that suits its size.
fn work(energy: Joules) -> String {
    match energy.get() {
        joules if joules >= 3.6e5 => format!("{:.3} kWh", energy.kwh()),
        joules => format!("{joules:.1} J"),
    }
}
