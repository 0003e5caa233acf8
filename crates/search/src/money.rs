//! What a sweep may still spend: predictions of grams, reservations for what is in flight, and the end of the budget.

use std::time::Duration;

use gramwise_carbon::{GramsCo2e, Joules};
use gramwise_model::Timestamp;

use crate::fact::Reservation;
use crate::state::{Sweep, Trial};

/// A reservation is this much more than the prediction: most trials then stay inside it, and the rest is caught by the
/// hard stop.
const PRUDENCE: f64 = 1.5;
/// The time between the decision to stop and the last joule: one reporting period, and the trial's grace.
const REACTION: Duration = Duration::from_secs(2);

/// Predicted grams for taking a trial from where it is to `step`, from its own grams per step, else from the median
/// of the other trials'; zero where nothing is known yet.
pub(crate) fn grams_to_step(sweep: &Sweep, trial: &Trial, step: u64) -> GramsCo2e {
    let steps = step.saturating_sub(trial.last_step()) as f64;
    GramsCo2e::new(steps * per_step(sweep, trial, grams_per_step).unwrap_or(0.0))
}

/// What to set aside before a trial is started or resumed: the way to its next rung.
pub(crate) fn reservation(sweep: &Sweep, trial: &Trial) -> Reservation {
    let from = trial.last_step();
    let next = sweep.spec.rungs().into_iter().find(|rung| *rung > from).unwrap_or(sweep.spec.resource.max);
    let steps = next.saturating_sub(from) as f64 * PRUDENCE;
    Reservation {
        co2e: GramsCo2e::new(steps * per_step(sweep, trial, grams_per_step).unwrap_or(0.0)),
        energy: Joules::new(steps * per_step(sweep, trial, joules_per_step).unwrap_or(0.0)),
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
            return Err(format!(
                "budget: {:.4} g CO2e spent or set aside of {:.4} g",
                wanted.get(),
                limit.get()
            ));
        }
    }
    if let Some(limit) = sweep.spec.budget.energy {
        let wanted = spent.energy.joules() + held.energy + need.energy;
        if wanted > limit {
            return Err(format!(
                "budget: {:.4} kWh spent or set aside of {:.4} kWh",
                wanted.kwh(),
                limit.kwh()
            ));
        }
    }
    Ok(())
}

/// The limit that ends the sweep now, in words. Hard limits end it early enough that what is in flight stays below:
/// at the present rate of spending, for as long as stopping takes.
pub(crate) fn exhausted(sweep: &Sweep, now: Timestamp) -> Option<String> {
    let budget = &sweep.spec.budget;
    let spent = sweep.spent();
    let age = now.since(sweep.submitted_at);
    let margin =
        if sweep.live.is_empty() { 0.0 } else { (REACTION.as_secs_f64() / age.as_secs_f64()).min(0.25) };
    let grams = spent.co2e.grams();
    if let Some(limit) = budget.co2e.filter(|limit| grams * (1.0 + margin) >= *limit) {
        return Some(format!("budget: co2e {:.4} g of {:.4} g spent", grams.get(), limit.get()));
    }
    let energy = spent.energy.joules();
    if let Some(limit) = budget.energy.filter(|limit| energy * (1.0 + margin) >= *limit) {
        return Some(format!("budget: energy {:.6} kWh of {:.6} kWh spent", energy.kwh(), limit.kwh()));
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

fn per_step(sweep: &Sweep, trial: &Trial, rate: impl Fn(&Trial) -> Option<f64>) -> Option<f64> {
    rate(trial).or_else(|| {
        let mut rates: Vec<f64> = sweep.trials.values().filter_map(&rate).collect();
        rates.sort_by(f64::total_cmp);
        rates.get(rates.len() / 2).copied()
    })
}

fn grams_per_step(trial: &Trial) -> Option<f64> {
    let (step, point) = trial.curve.last_key_value()?;
    (*step > 0).then(|| point.footprint.co2e.grams().get() / *step as f64)
}

fn joules_per_step(trial: &Trial) -> Option<f64> {
    let (step, point) = trial.curve.last_key_value()?;
    (*step > 0).then(|| point.footprint.energy.joules().get() / *step as f64)
}
