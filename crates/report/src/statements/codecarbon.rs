//! `emissions.csv` as `CodeCarbon` 3.3 writes it: a line a trial, emissions in kilograms, energies in kWh with the facility's overhead. What
//! gramwise does not know is empty.

use gramwise_carbon::{Energy, Joules, Microjoules, utc};
use gramwise_model::rows::{SweepRecord, TrialRow};

use super::{cards, held};
use crate::csv;

const COLUMNS: [&str; 38] = [
    "timestamp",
    "project_name",
    "run_id",
    "experiment_id",
    "duration",
    "emissions",
    "emissions_rate",
    "cpu_power",
    "gpu_power",
    "ram_power",
    "cpu_energy",
    "gpu_energy",
    "ram_energy",
    "energy_consumed",
    "water_consumed",
    "country_name",
    "country_iso_code",
    "region",
    "cloud_provider",
    "cloud_region",
    "os",
    "python_version",
    "codecarbon_version",
    "cpu_count",
    "cpu_model",
    "gpu_count",
    "gpu_model",
    "longitude",
    "latitude",
    "ram_total_size",
    "tracking_mode",
    "cpu_utilization_percent",
    "gpu_utilization_percent",
    "ram_utilization_percent",
    "ram_used_gb",
    "on_cloud",
    "pue",
    "wue",
];

pub(super) fn emissions(record: &SweepRecord) -> String {
    let rows: Vec<Vec<String>> = record.trials.iter().map(|trial| row(record, trial)).collect();
    csv(&COLUMNS, &rows)
}

fn row(record: &SweepRecord, trial: &TrialRow) -> Vec<String> {
    let footprint = trial.booked + trial.lost;
    let seconds = held(record, Some(trial.id)).as_secs_f64();
    let pue = record.sweep.factors.pue.get();
    let Energy { gpu, cpu, memory, .. } = footprint.energy;
    let joules = |amount: Microjoules| amount.joules().get();
    let kwh = |amount: Microjoules| Joules::new(joules(amount) * pue).kwh().to_string();
    let rate = |amount: f64| if seconds > 0.0 { (amount / seconds).to_string() } else { String::new() };
    let kilograms = footprint.co2e.grams().get() / 1000.0;
    let mut attempts = record.attempts.iter().filter(|attempt| attempt.trial == trial.id);
    let end = attempts.clone().filter_map(|attempt| attempt.ended_at).max();
    let gpus = attempts.clone().map(|attempt| attempt.gpus.len()).max().unwrap_or(0);
    let host = attempts
        .next_back()
        .and_then(|attempt| record.hosts.iter().find(|host| host.worker == attempt.worker));
    let models: Vec<String> = cards(record).into_iter().map(|(model, _)| model).collect();
    let zone = &record.sweep.factors.zone;
    let of_country = record.sweep.factors.zone_stated && zone.len() == 2;
    COLUMNS
        .iter()
        .map(|name| match *name {
            "timestamp" => end.map_or_else(String::new, |end| utc::second(end.0).replace(' ', "T")),
            "project_name" => record.sweep.spec.name.clone(),
            "run_id" => format!("sweep-{}-trial-{}", record.sweep.id, trial.id),
            "experiment_id" => format!("sweep-{}", record.sweep.id),
            "duration" => seconds.to_string(),
            "emissions" => kilograms.to_string(),
            "emissions_rate" => rate(kilograms),
            "cpu_power" => rate(joules(cpu.total())),
            "gpu_power" => rate(joules(gpu.total())),
            "ram_power" => rate(joules(memory.total())),
            "cpu_energy" => kwh(cpu.total()),
            "gpu_energy" => kwh(gpu.total()),
            "ram_energy" => kwh(memory.total()),
            "energy_consumed" => kwh(footprint.energy.total()),
            "country_iso_code" if of_country => zone.clone(),
            "region" if !of_country => zone.clone(),
            "os" => "Linux".to_owned(),
            "cpu_model" => host.map_or_else(String::new, |host| processor(&host.description)),
            "gpu_count" => gpus.to_string(),
            "gpu_model" if gpus > 0 => models.join(", "),
            "tracking_mode" => "process".to_owned(),
            "pue" => pue.to_string(),
            _ => String::new(),
        })
        .collect()
}

/// The processor in a host's description: `here: 64 x Intel Xeon, no GPU`.
fn processor(description: &str) -> String {
    let what = description.split_once(": ").map_or(description, |(_, what)| what);
    let first = what.split(", ").next().unwrap_or_default();
    first.split_once(" x ").map_or(first, |(_, model)| model).to_owned()
}
