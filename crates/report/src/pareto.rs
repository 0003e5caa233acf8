//! Which trials are worth having.

use gramwise_model::rows::{SweepRecord, TrialRow, TrialState};

/// A trial that may be called best, with its objectives turned so that smaller is better.
struct Candidate<'a> {
    trial: &'a TrialRow,
    costs: Vec<f64>,
}

/// The best trial by the primary objective; of equals the one that burnt less, then the earlier one.
pub(crate) fn best(record: &SweepRecord) -> Option<&TrialRow> {
    ranked(record).into_iter().next()
}

/// The trials that may be called best, in that order.
pub(crate) fn ranked(record: &SweepRecord) -> Vec<&TrialRow> {
    let mut all = candidates(record);
    all.sort_by(|a, b| {
        let primary = a.costs[0].total_cmp(&b.costs[0]);
        primary.then_with(|| (a.trial.booked.co2e, a.trial.id).cmp(&(b.trial.booked.co2e, b.trial.id)))
    });
    all.into_iter().map(|candidate| candidate.trial).collect()
}

/// The trials that no other beats in every objective, by the primary one. Equal trials are all kept.
pub(crate) fn front(record: &SweepRecord) -> Vec<&TrialRow> {
    let all = candidates(record);
    let beaten = |one: &Candidate<'_>| all.iter().any(|other| dominates(&other.costs, &one.costs));
    let mut kept: Vec<&Candidate<'_>> = all.iter().filter(|one| !beaten(one)).collect();
    kept.sort_by(|a, b| a.costs[0].total_cmp(&b.costs[0]).then(a.trial.id.cmp(&b.trial.id)));
    kept.into_iter().map(|candidate| candidate.trial).collect()
}

fn dominates(a: &[f64], b: &[f64]) -> bool {
    a.iter().zip(b).all(|(x, y)| x <= y) && a.iter().zip(b).any(|(x, y)| x < y)
}

/// Completed trials that have all objectives as numbers and are known to keep every constraint.
fn candidates(record: &SweepRecord) -> Vec<Candidate<'_>> {
    record.trials.iter().filter_map(|trial| candidate(record, trial)).collect()
}

fn candidate<'a>(record: &SweepRecord, trial: &'a TrialRow) -> Option<Candidate<'a>> {
    let costs = record.sweep.spec.costs(&trial.metrics).filter(|_| trial.state == TrialState::Completed)?;
    Some(Candidate { trial, costs })
}
