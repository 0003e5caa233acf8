//! What a sweep may still spend: predictions of grams, reservations for what is in flight, and the end of the budget.

use std::time::Duration;

use gramwise_carbon::{Footprint, GramsCo2e, Joules};
use gramwise_model::Timestamp;

use crate::fact::Reservation;
use crate::state::{Step, Sweep, Trial};

/// A reservation is this much more than the prediction: most trials then stay inside it, and the rest is caught by the
/// hard stop.
const PRUDENCE: f64 = 1.5;
/// The time between the decision to stop and the last joule: one reporting period, and the trial's grace.
const REACTION: Duration = Duration::from_secs(2);

/// Predicted grams for taking a trial from where it is to `step`, from its own grams per step
/// and the mean of all trials'; zero where nothing is known yet.
pub(crate) fn grams_to_step(sweep: &Sweep, trial: &Trial, step: u64) -> GramsCo2e {
    let steps = step.saturating_sub(trial.last_step()) as f64;
    GramsCo2e::new(steps * per_step(sweep, trial, grams).unwrap_or(0.0))
}

/// What to set aside before a trial is started or resumed: the way to its next rung.
pub(crate) fn reservation(sweep: &Sweep, trial: &Trial) -> Reservation {
    if sweep.spec.resource.is_open() {
        let (co2e, energy) = (largest(sweep, grams) * PRUDENCE, largest(sweep, joules) * PRUDENCE);
        return Reservation { co2e: GramsCo2e::new(co2e), energy: Joules::new(energy) };
    }
    let from = trial.last_step();
    let next = sweep.spec.rungs().into_iter().find(|rung| *rung > from).unwrap_or(sweep.spec.resource.max);
    let steps = next.saturating_sub(from) as f64 * PRUDENCE;
    Reservation {
        co2e: GramsCo2e::new(steps * per_step(sweep, trial, grams).unwrap_or(0.0)),
        energy: Joules::new(steps * per_step(sweep, trial, joules).unwrap_or(0.0)),
    }
}

/// Does the budget allow one more attempt that needs this much, beside what is in flight? `Err` says which limit
/// stands against it, in words.
pub(crate) fn admits(sweep: &Sweep, need: Reservation) -> Result<(), String> {
    let spent = sweep.spent();
    let held = in_flight(sweep);
    if let Some(limit) = sweep.spec.budget.co2e {
        let wanted = spent.co2e.grams() + held.co2e + need.co2e;
        if wanted > limit {
            return Err(format!("budget: {} CO2e spent or set aside of {}", mass(wanted), mass(limit)));
        }
    }
    if let Some(limit) = sweep.spec.budget.energy {
        let wanted = spent.energy.joules() + held.energy + need.energy;
        if wanted > limit {
            return Err(format!("budget: {} spent or set aside of {}", work(wanted), work(limit)));
        }
    }
    Ok(())
}

/// The limit that ends the sweep now, in words. Hard limits end it early enough that what is in flight stays below:
/// at the present rate of spending, for as long as stopping takes.
pub(crate) fn exhausted(sweep: &Sweep, now: Timestamp) -> Option<String> {
    let budget = &sweep.spec.budget;
    let spent = sweep.spent();
    let age = now.since(sweep.submitted_at).saturating_sub(sweep.away);
    let margin =
        if sweep.live.is_empty() { 0.0 } else { (REACTION.as_secs_f64() / age.as_secs_f64()).min(0.25) };
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

/// An amount per step of one trial: its own sum and one step at the mean of all trials, over its steps and one. The mean
/// stands in while the trial has few steps of its own. `None` while no trial has reported a step.
fn per_step(sweep: &Sweep, trial: &Trial, burnt: impl Fn(&Footprint) -> f64) -> Option<f64> {
    let mean = mean_per_step(sweep, &burnt)?;
    let last = trial.curve.last_key_value();
    let (steps, own) = last.map_or((0, 0.0), |(step, point)| (*step, burnt(&point.footprint)));
    Some((own + mean) / (steps as f64 + 1.0))
}

/// The ratio of sums over all trials. A mean or median of each trial's own ratio would be wrong where steps are shorter than
/// what the meter resolves: most ratios are then zero, and the sums are right all the same.
fn mean_per_step(sweep: &Sweep, burnt: &impl Fn(&Footprint) -> f64) -> Option<f64> {
    let last = sweep.trials.values().filter_map(|trial| trial.curve.last_key_value());
    let add = |(steps, sum), (step, point): (&u64, &Step)| (steps + step, sum + burnt(&point.footprint));
    let (steps, sum) = last.fold((0, 0.0), add);
    (steps > 0).then(|| sum / steps as f64)
}

/// Predicted grams of a full training from its start, as a mean over the trials so far.
pub(crate) fn grams_of_full_training(sweep: &Sweep) -> Option<GramsCo2e> {
    let per_step = mean_per_step(sweep, &grams)?;
    (per_step > 0.0).then(|| GramsCo2e::new(per_step * sweep.spec.resource.max as f64))
}

fn grams(footprint: &Footprint) -> f64 {
    footprint.co2e.grams().get()
}

fn joules(footprint: &Footprint) -> f64 {
    footprint.energy.joules().get()
}

/// The most that a trial burnt that is over: what to expect of the next where steps say nothing.
fn largest(sweep: &Sweep, burnt: impl Fn(&Footprint) -> f64) -> f64 {
    let over = sweep.trials.values().filter(|trial| !trial.is_live());
    over.filter_map(|trial| trial.curve.last_key_value())
        .map(|(_, point)| burnt(&point.footprint))
        .fold(0.0, f64::max)
}

/// A mass in words, in the unit that suits its size.
fn mass(grams: GramsCo2e) -> String {
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
