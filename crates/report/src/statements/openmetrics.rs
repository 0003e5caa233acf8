//! `OpenMetrics` text (prometheus.io/docs/specs/om): what a sweep burnt so far, by account, component and how it is known, for a file that a
//! collector reads.

use std::fmt::Write;

use gramwise_carbon::Amount;
use gramwise_model::rows::SweepRecord;

use crate::report::report;

pub(super) fn metrics(record: &SweepRecord) -> String {
    let report = report(record);
    let labels = format!("sweep=\"{}\",name=\"{}\"", record.sweep.id, escaped(&record.sweep.spec.name));
    let family = |name: &str, kind: &str, unit: &str, help: &str| {
        let unit = if unit.is_empty() { String::new() } else { format!("# UNIT {name} {unit}\n") };
        format!("# TYPE {name} {kind}\n{unit}# HELP {name} {help}\n")
    };
    let mut out = family("gramwise_energy_joules", "counter", "joules", "Energy burnt by the sweep.");
    for row in &record.accounts {
        let energy = &row.footprint.energy;
        let parts =
            [("gpu", energy.gpu), ("cpu", energy.cpu), ("memory", energy.memory), ("rest", energy.rest)];
        for (component, Amount { measured, modelled, estimated }) in parts {
            for (how, amount) in [("measured", measured), ("modelled", modelled), ("estimated", estimated)] {
                let _ = writeln!(
                    out,
                    "gramwise_energy_joules_total{{{labels},account=\"{}\",component=\"{component}\",provenance=\"{how}\"}} {}",
                    row.account,
                    amount.joules().get()
                );
            }
        }
    }
    out +=
        &family("gramwise_co2e_grams", "counter", "grams", "Operational CO2e of the sweep, location-based.");
    for row in &record.accounts {
        let grams = row.footprint.co2e.grams().get();
        let _ = writeln!(out, "gramwise_co2e_grams_total{{{labels},account=\"{}\"}} {grams}", row.account);
    }
    out += &family("gramwise_trials", "gauge", "", "Trials of the sweep by state.");
    let trials = &report.trials;
    for (state, count) in [
        ("completed", trials.completed),
        ("pruned", trials.pruned),
        ("paused", trials.paused),
        ("failed", trials.failed),
        ("running", trials.running),
    ] {
        let _ = writeln!(out, "gramwise_trials{{{labels},state=\"{state}\"}} {count}");
    }
    out + "# EOF\n"
}

/// A text as a label's value.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
