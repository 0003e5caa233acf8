//! `co2_eq_emissions` of a model card (huggingface.co/docs/hub/model-cards-co2): grams, of the training of the model that is published. What
//! the whole search cost is said in its source, so that it is not forgotten.

use std::fmt::Write;

use gramwise_carbon::GramsCo2e;
use gramwise_model::rows::SweepRecord;

use super::{cards, machines};
use crate::report::report;
use crate::units::grams;

pub(super) fn card(record: &SweepRecord) -> String {
    let report = report(record);
    let mass = |g: f64| grams(GramsCo2e::new(g));
    let all = format!(
        "the whole search of {} trials emitted {} CO2e ({} to {})",
        report.trials.total,
        mass(report.co2e_g),
        mass(report.co2e_low_g),
        mass(report.co2e_high_g)
    );
    let (emissions, source) = match &report.best {
        Some(best) => {
            (best.co2e_g, format!("gramwise, trial {} of sweep {}; {all}", best.trial, report.name))
        }
        // No model came of it: what is stated is the search.
        None => (report.co2e_g, format!("gramwise, sweep {}, which found no model; {all}", report.name)),
    };
    let mut hardware: Vec<String> =
        cards(record).into_iter().map(|(model, count)| format!("{count} x {model}")).collect();
    if hardware.is_empty() {
        hardware = machines(record).into_iter().map(|(what, _)| what).collect();
    }
    let mut yaml = String::from("co2_eq_emissions:\n");
    let _ = writeln!(yaml, "  emissions: {emissions}");
    let _ = writeln!(yaml, "  source: {}", quoted(&source));
    if let Some(grid) = report.grid.first().filter(|grid| grid.zone_stated) {
        let _ = writeln!(yaml, "  geographical_location: {}", quoted(&grid.zone));
    }
    if !hardware.is_empty() {
        let _ = writeln!(yaml, "  hardware_used: {}", quoted(&hardware.join(", ")));
    }
    yaml
}

/// A text of JSON is one of YAML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}
