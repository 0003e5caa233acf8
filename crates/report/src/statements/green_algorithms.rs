//! What the calculator of Green Algorithms would have said of the same machines for the same time: a check, and a measure of what metering
//! is worth ("Green Algorithms: Quantifying the Carbon Footprint of Computation", Lannelongue, Grealey and Inouye 2021, equation 1):
//! `E = t (n_cores P_core u + n_memory P_memory) PUE`.

use std::fmt::Write;

use gramwise_carbon::{GramsCo2e, Joules};
use gramwise_model::rows::{HostRow, SweepRecord};

use crate::report::report;
use crate::units::{duration, grams, number};

/// The calculator's figures for a processor core and a card of any kind, in watts.
const CORE_W: f64 = 12.0;
const GPU_W: f64 = 200.0;
/// Of memory, in watts per gigabyte.
const MEMORY_W: f64 = 0.3725;

pub(super) fn compared(record: &SweepRecord) -> String {
    let report = report(record);
    let mass = |g: f64| grams(GramsCo2e::new(g));
    let kwh: f64 = record.hosts.iter().map(|host| watts(host) * hours(host) / 1000.0).sum();
    let ours = Joules::new(report.energy_j).kwh();
    // What the sweep's grams were reckoned by, on average.
    let intensity =
        if ours > 0.0 { report.co2e_g / (ours * report.pue) } else { record.sweep.factors.intensity.get() };
    let theirs = kwh * report.pue * intensity;
    let mut text =
        "What the calculator of Green Algorithms makes of the machines and the time, at full use:\n\n"
            .to_owned();
    for host in &record.hosts {
        let memory = if host.memory > 0 {
            format!("{} GB", number(host.memory as f64 / 1e9))
        } else {
            "unknown memory".to_owned()
        };
        let _ = writeln!(
            text,
            "{}: {} for {} cores, {} GPUs and {memory}",
            host.worker,
            duration(host.heard_at.since(host.joined_at)),
            host.cpus,
            host.gpus.len()
        );
    }
    let _ = writeln!(
        text,
        "\nGreen Algorithms  {} kWh, {} CO2e\ngramwise          {} kWh, {} CO2e (quality {})",
        number(kwh),
        mass(theirs),
        number(ours),
        mass(report.co2e_g),
        report.quality
    );
    if ours > 0.0 && kwh > 0.0 {
        let _ = writeln!(text, "ratio             {}", number(kwh / ours));
    }
    let _ = writeln!(
        text,
        "\nBoth with PUE {} and {} g CO2e per kWh. Its figures for any hardware: {CORE_W} W a core, {GPU_W} W a GPU, {MEMORY_W} W a GB.",
        number(report.pue),
        number(intensity)
    );
    text
}

fn watts(host: &HostRow) -> f64 {
    f64::from(host.cpus) * CORE_W + host.gpus.len() as f64 * GPU_W + host.memory as f64 / 1e9 * MEMORY_W
}

fn hours(host: &HostRow) -> f64 {
    host.heard_at.since(host.joined_at).as_secs_f64() / 3600.0
}
