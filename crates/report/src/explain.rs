//! Why a trial is where it is.

use gramwise_carbon::GramsCo2e;
use gramwise_model::rows::{DecisionRow, SweepRecord, TrialRow, TrialState, Verdict};
use gramwise_model::{Because, GainEstimate, SweepId, Timestamp, TrialId};
use serde::Serialize;

use crate::json::{self, Plain, SCHEMA};
use crate::output::Screen;
use crate::pruning::{avoided, estimate, last_decision};
use crate::units::{grams, number};
use crate::{Align, Format, Terminal, csv, explain_words, table, words};

/// Why a trial goes on or does not: the decision that counts, in words with all its numbers, then every
/// decision about the trial. `None` where there is no such trial. [`Format::Value`] is the last verdict.
pub fn explain(record: &SweepRecord, trial: TrialId, format: Format, terminal: Terminal) -> Option<String> {
    let row = record.trials.iter().find(|row| row.id == trial)?;
    let decisions: Vec<&DecisionRow> =
        record.decisions.iter().filter(|decision| decision.trial == trial).collect();
    Some(match format {
        Format::Table => as_text(record, row, &decisions, terminal),
        Format::Json => as_json(record, row, &decisions),
        Format::Csv => as_csv(&decisions),
        Format::Value => format!("{}\n", verdict_of(record, row).map_or("", words::verdict)),
    })
}

/// What is known of the decision that counts: from the decisions, else from the trial's own row.
struct Last<'a> {
    verdict: Option<Verdict>,
    because: &'a Because,
    step: u64,
}

fn last<'a>(record: &'a SweepRecord, row: &'a TrialRow) -> Option<Last<'a>> {
    let of_row = || Some(Last { verdict: row.verdict, because: row.because.as_ref()?, step: row.step });
    let of_decision = |found: &'a DecisionRow| Last {
        verdict: Some(found.verdict),
        because: &found.because,
        step: found.step,
    };
    last_decision(record, row.id).map(of_decision).or_else(of_row)
}

/// The verdict of the decision that counts; `None` before the first.
pub(crate) fn verdict_of(record: &SweepRecord, row: &TrialRow) -> Option<Verdict> {
    last(record, row).and_then(|last| last.verdict)
}

/// The decision that counts in words, if there is one.
pub(crate) fn fate(screen: &mut Screen, record: &SweepRecord, row: &TrialRow) {
    let Some(last) = last(record, row) else { return };
    if row.state == TrialState::Completed && matches!(last.verdict, Some(Verdict::Prune | Verdict::Pause)) {
        screen.more("it was through before the word to stop reached it");
        return;
    }
    for line in explain_words::long(last.because, last.verdict, &record.sweep.spec) {
        screen.more(&line);
    }
}

/// `trial 17 was pruned at epoch 6`.
pub(crate) fn headline(record: &SweepRecord, row: &TrialRow) -> String {
    let resource = &record.sweep.spec.resource.name;
    let decided_at = || last(record, row).map_or(row.step, |last| last.step);
    let at = if row.state == TrialState::Completed { row.step } else { decided_at() };
    let fate = match row.state {
        TrialState::Waiting => "is waiting",
        TrialState::Running => "is running",
        TrialState::Stopping => "is being stopped",
        TrialState::Paused => "was paused",
        TrialState::Completed => "has completed",
        TrialState::Pruned => "was pruned",
        TrialState::Failed => "has failed",
    };
    format!("trial {} {fate} at {resource} {at}", row.id)
}

fn as_text(record: &SweepRecord, row: &TrialRow, decisions: &[&DecisionRow], terminal: Terminal) -> String {
    let mut screen = Screen::new(terminal, 2);
    screen.title(&headline(record, row));
    if verdict_of(record, row).is_none() {
        screen.more("no decision has been taken about it yet");
    }
    fate(&mut screen, record, row);
    if let Some(message) = &row.message {
        screen.more(message);
    }
    if !decisions.is_empty() {
        screen.blank();
        screen.block(&as_table(record, decisions, terminal));
    }
    screen.finish()
}

fn as_table(record: &SweepRecord, decisions: &[&DecisionRow], terminal: Terminal) -> String {
    let resource = record.sweep.spec.resource.name.as_str();
    let header = [
        resource,
        "verdict",
        "why",
        "gain/kg",
        "threshold",
        "grams left",
        "gain",
        "±",
        "predicted",
        "±",
        "attempt",
    ];
    let mut alignment = [Align::Right; 11];
    (alignment[1], alignment[2]) = (Align::Left, Align::Left);
    let rows = decisions.iter().map(|row| {
        let found = estimate(&row.because);
        let figure = |value: Option<f64>| value.map_or("-".to_owned(), number);
        vec![
            row.step.to_string(),
            words::verdict(row.verdict).to_owned(),
            reason(&row.because),
            figure(found.map(|found| found.gain_per_kg)),
            figure(found.map(|found| found.threshold_per_kg)),
            grams_left(&row.because).map_or("-".to_owned(), |left| grams(GramsCo2e::new(left))),
            figure(found.map(|found| found.expected_gain)),
            figure(found.map(|found| found.gain_sd)),
            figure(found.map(|found| found.predicted)),
            figure(found.map(|found| found.predicted_sd)),
            row.attempt.to_string(),
        ]
    });
    table(&header, rows.collect(), &alignment, terminal)
}

/// The grams that a decision's figures are about: those expected to be burnt, else all to the last step.
fn grams_left(because: &Because) -> Option<f64> {
    estimate(because).map(|found| found.grams_left).or_else(|| avoided(because))
}

/// The reason without the figures that have their own columns.
fn reason(because: &Because) -> String {
    if matches!(because, Because::Gain(_)) { "gain".to_owned() } else { explain_words::short(because) }
}

#[derive(Debug, Serialize)]
struct Explanation<'a> {
    schema: u32,
    sweep: SweepId,
    trial: TrialId,
    state: TrialState,
    config: Plain,
    step: u64,
    verdict: Option<Verdict>,
    because: Option<&'a Because>,
    message: Option<&'a str>,
    decisions: Vec<Decision<'a>>,
}

/// One decision in JSON.
#[derive(Debug, Serialize)]
pub(crate) struct Decision<'a> {
    at_ms: Timestamp,
    attempt: u32,
    step: u64,
    verdict: Verdict,
    because: &'a Because,
}

impl<'a> Decision<'a> {
    pub(crate) fn of(row: &'a DecisionRow) -> Self {
        let DecisionRow { at, trial: _, attempt, step, verdict, because } = row;
        Self { at_ms: *at, attempt: *attempt, step: *step, verdict: *verdict, because }
    }
}

fn as_json(record: &SweepRecord, row: &TrialRow, decisions: &[&DecisionRow]) -> String {
    let last = last(record, row);
    json::document(&Explanation {
        schema: SCHEMA,
        sweep: record.sweep.id,
        trial: row.id,
        state: row.state,
        config: json::config(&row.config),
        step: row.step,
        verdict: last.as_ref().and_then(|last| last.verdict),
        because: last.map(|last| last.because),
        message: row.message.as_deref(),
        decisions: decisions.iter().map(|decision| Decision::of(decision)).collect(),
    })
}

/// One line per decision; the reason in words, its figures in columns of their own.
fn as_csv(decisions: &[&DecisionRow]) -> String {
    let header = [
        "at_ms",
        "attempt",
        "step",
        "verdict",
        "why",
        "unit",
        "value",
        "predicted",
        "predicted_sd",
        "expected_gain",
        "gain_sd",
        "grams_left",
        "gain_per_kg",
        "threshold_per_kg",
        "incumbent",
    ];
    let rows: Vec<Vec<String>> = decisions
        .iter()
        .map(|row| {
            let found = estimate(&row.because);
            let figure =
                |of: fn(&GainEstimate) -> f64| found.map_or(String::new(), |found| of(found).to_string());
            let incumbent = found.and_then(|found| found.incumbent);
            vec![
                row.at.0.to_string(),
                row.attempt.to_string(),
                row.step.to_string(),
                words::verdict(row.verdict).to_owned(),
                reason(&row.because),
                found.map_or(String::new(), |found| found.unit.clone()),
                found.and_then(|found| found.value).map_or(String::new(), |value| value.to_string()),
                figure(|found| found.predicted),
                figure(|found| found.predicted_sd),
                figure(|found| found.expected_gain),
                figure(|found| found.gain_sd),
                grams_left(&row.because).map_or(String::new(), |left| left.to_string()),
                figure(|found| found.gain_per_kg),
                figure(|found| found.threshold_per_kg),
                incumbent.map_or(String::new(), |trial| trial.to_string()),
            ]
        })
        .collect();
    csv(&header, &rows)
}
