//! The report for programs: as JSON, as one line of a spreadsheet, and as one number.

use gramwise_model::rows::Account;

use crate::words::sweep_state;
use crate::{Report, csv, json};

/// The stable JSON, indented.
pub fn report_json(report: &Report) -> String {
    json::document(report)
}

/// One header line and one line of figures; lines of several sweeps can be put under one header. The best
/// trial's configuration and the front are in JSON only.
pub fn report_csv(report: &Report) -> String {
    let fields = fields(report);
    let header: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
    let row = fields.iter().map(|(_, value)| value.clone()).collect();
    csv(&header, &[row])
}

/// The total grams of `CO2e`, bare, with every digit.
pub fn report_value(report: &Report) -> String {
    format!("{}\n", report.co2e_g)
}

fn fields(report: &Report) -> Vec<(String, String)> {
    let mut fields: Vec<(String, String)> = Vec::new();
    let mut push = |name: &str, value: String| fields.push((name.to_owned(), value));
    push("sweep", report.sweep.to_string());
    push("name", report.name.clone());
    push("state", sweep_state(report.state).to_owned());
    let trials = &report.trials;
    for (name, count) in [
        ("trials", trials.total),
        ("trials_completed", trials.completed),
        ("trials_pruned", trials.pruned),
        ("trials_paused", trials.paused),
        ("trials_failed", trials.failed),
        ("attempts", report.attempts.total),
        ("steps", report.steps),
        ("energy_uj", report.energy_uj),
    ] {
        push(name, count.to_string());
    }
    push("co2e_g", report.co2e_g.to_string());
    push("co2e_low_g", report.co2e_low_g.to_string());
    push("co2e_high_g", report.co2e_high_g.to_string());
    push("quality", report.quality.to_string());
    for account in Account::ALL {
        let balance = report.accounts.get(account);
        push(&format!("{account}_energy_uj"), balance.energy_uj.to_string());
        push(&format!("{account}_co2e_g"), balance.co2e_g.to_string());
    }
    push("avoided_g", optional(report.pruning.avoided_g));
    push("avoided_low_g", optional(report.pruning.avoided_low_g));
    push("avoided_high_g", optional(report.pruning.avoided_high_g));
    push("best_trial", optional(report.best.as_ref().map(|best| best.trial)));
    push("best_co2e_g", optional(report.best.as_ref().map(|best| best.co2e_g)));
    let grid = report.grid.first();
    push("zone", optional(grid.map(|grid| &grid.zone)));
    push("g_per_kwh", optional(grid.map(|grid| grid.g_per_kwh)));
    push("pue", report.pue.to_string());
    fields
}

fn optional<T: ToString>(value: Option<T>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}
