//! What a sweep cost, in the forms that papers, model cards and other tools ask for. Each names what it does not know by leaving it out.

mod boamps;
mod codecarbon;
mod green_algorithms;
mod huggingface;
mod openmetrics;
mod paper;
mod sci;

use std::time::Duration;

use gramwise_model::TrialId;
use gramwise_model::rows::SweepRecord;

use crate::hardware;

/// A form of statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Statement {
    /// A paragraph for a paper's section on compute resources.
    Paper,
    /// `co2_eq_emissions` of a model card on the Hugging Face Hub, in YAML.
    HuggingFace,
    /// `emissions.csv` as `CodeCarbon` writes it, a line a trial.
    CodeCarbon,
    /// A report of `BoAmps` 1.1.0, in JSON.
    BoAmps,
    /// The Software Carbon Intensity, of a trial and of a point gained.
    Sci,
    /// What the calculator of Green Algorithms would have said.
    GreenAlgorithms,
    /// What was burnt so far, for a collector of metrics.
    OpenMetrics,
}

/// A sweep's statement in a form. `version` is that of the program that measured.
pub fn statement(record: &SweepRecord, form: Statement, version: &str) -> String {
    match form {
        Statement::Paper => paper::paper(record),
        Statement::HuggingFace => huggingface::card(record),
        Statement::CodeCarbon => codecarbon::emissions(record),
        Statement::BoAmps => boamps::report(record, version),
        Statement::Sci => sci::intensity(record),
        Statement::GreenAlgorithms => green_algorithms::compared(record),
        Statement::OpenMetrics => openmetrics::metrics(record),
    }
}

/// How long attempts held their slots, those of one trial or all.
fn held(record: &SweepRecord, trial: Option<TrialId>) -> Duration {
    let of_it = record.attempts.iter().filter(|attempt| trial.is_none_or(|trial| attempt.trial == trial));
    of_it.map(|attempt| hardware::held(record, attempt)).sum()
}

/// Hosts by what they are, not by life of their workers: the description without its name, and how many names have it.
fn machines(record: &SweepRecord) -> Vec<(String, usize)> {
    let mut found: Vec<(String, Vec<String>)> = Vec::new();
    for host in &record.hosts {
        let (name, what) = host.description.split_once(": ").unwrap_or(("", &host.description));
        let known = found.iter().position(|(known, _)| known == what).unwrap_or_else(|| {
            found.push((what.to_owned(), Vec::new()));
            found.len() - 1
        });
        let names = &mut found[known].1;
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
    }
    found.into_iter().map(|(what, names)| (what, names.len())).collect()
}

/// Models of graphics cards, and how many of each there were at most at once on what served.
fn cards(record: &SweepRecord) -> Vec<(String, usize)> {
    let mut identities: Vec<(&str, &str)> = Vec::new();
    for card in record.hosts.iter().flat_map(|host| &host.gpus) {
        if !identities.iter().any(|(uuid, _)| *uuid == card.uuid) {
            identities.push((&card.uuid, &card.model));
        }
    }
    let mut counted: Vec<(String, usize)> = Vec::new();
    for (_, model) in identities {
        match counted.iter_mut().find(|(known, _)| known == model) {
            Some((_, count)) => *count += 1,
            None => counted.push((model.to_owned(), 1)),
        }
    }
    counted
}
