//! A paragraph for a paper: what the `NeurIPS` checklist's question on compute resources asks (workers, memory, time of a run and of all,
//! runs that failed or came before), with emissions.

use std::fmt::Write;

use gramwise_carbon::{GramsCo2e, Microjoules};
use gramwise_model::rows::{Account, SweepRecord, SweepState};

use super::{cards, held, machines};
use crate::hardware;
use crate::report::report;
use crate::units::{duration, energy, grams, number, share};

pub(super) fn paper(record: &SweepRecord) -> String {
    let report = report(record);
    let mass = |g: f64| grams(GramsCo2e::new(g));
    let (trials, attempts) = (&report.trials, &report.attempts);
    let fates = [
        (trials.completed, "completed"),
        (trials.pruned, "pruned"),
        (trials.paused, "paused"),
        (trials.failed, "failed"),
        (trials.running + trials.stopping + trials.waiting, "not over"),
    ];
    let fates: Vec<String> =
        fates.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let machines: Vec<String> =
        machines(record).into_iter().map(|(what, count)| format!("{count} x ({what})")).collect();
    let total = report.energy_uj;
    let wasted: u64 = [Account::Lost, Account::Idle, Account::Overhead]
        .iter()
        .map(|account| report.accounts.get(*account).energy_uj)
        .sum();
    let part = |uj: u64| share(uj as f64, total as f64);
    let of_trials = report.accounts.trial.energy_uj;
    let who = match &report.best {
        Some(best) => format!(
            "the best trial took {}, all other trials {}",
            part(best.energy_uj),
            part(of_trials.saturating_sub(best.energy_uj))
        ),
        None => format!("trials, none of which may be called best, took {}", part(of_trials)),
    };
    let so_far = if report.state == SweepState::Ended { "" } else { ", which is not over," };
    let mut text = format!(
        "The hyperparameter search{so_far} ran {} trials{} in {} attempts and {} steps on {}. Trials ran for {} in all",
        trials.total,
        if fates.is_empty() { String::new() } else { format!(" ({})", fates.join(", ")) },
        attempts.total,
        report.steps,
        if machines.is_empty() { "no host".to_owned() } else { machines.join(" and ") },
        duration(held(record, None)),
    );
    let gpu_hours: f64 = record
        .attempts
        .iter()
        .map(|attempt| hardware::held(record, attempt).as_secs_f64() / 3600.0 * attempt.gpus.len() as f64)
        .sum();
    if gpu_hours > 0.0 {
        let cards: Vec<String> =
            cards(record).into_iter().map(|(model, count)| format!("{count} x {model}")).collect();
        let _ = write!(text, " ({} GPU-hours, {})", number(gpu_hours), cards.join(", "));
    }
    let _ = write!(
        text,
        ". All of it used {} of electricity, of which {who}, and attempts that were lost, waiting hosts and the search itself {} (quality {}: {}). ",
        energy(Microjoules::new(total)),
        part(wasted),
        report.quality,
        how(report.quality),
    );
    let grid: Vec<String> = report
        .grid
        .iter()
        .map(|grid| {
            format!("{} g/kWh ({}, {}, {})", number(grid.g_per_kwh), grid.zone, grid.source, grid.year)
        })
        .collect();
    let _ = write!(
        text,
        "That is {} CO2e (95 % interval {} to {}), location-based, at {}, with a power usage effectiveness of {}{}",
        mass(report.co2e_g),
        mass(report.co2e_low_g),
        mass(report.co2e_high_g),
        grid.join(" and "),
        number(report.pue),
        if report.pue_stated { "" } else { " (not stated: no facility is counted)" },
    );
    match &report.embodied {
        Some(hardware) => {
            let bounds = (mass(hardware.low_g), mass(hardware.high_g));
            let _ = write!(
                text,
                "; making the graphics cards adds {} for the time that they were held ({} to {}).",
                mass(hardware.g),
                bounds.0,
                bounds.1
            );
        }
        None => text += "; embodied emissions are not counted.",
    }
    text + "\n"
}

fn how(quality: gramwise_carbon::Quality) -> &'static str {
    use gramwise_carbon::Quality;
    match quality {
        Quality::A => "measured by counters",
        Quality::B => "partly measured by counters, partly modelled",
        Quality::C => "modelled from processor time",
        Quality::D => "mostly estimated",
    }
}
