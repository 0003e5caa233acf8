//! What pruning saved, and what it may have cost.

use std::collections::BTreeMap;

use gramwise_carbon::{Energy, Interval, Spread};
use gramwise_model::rows::{DecisionRow, SweepRecord, TrialRow, TrialState, Verdict};
use gramwise_model::{Because, GainEstimate, TrialId};
use serde::Serialize;

use crate::winners::winners;

/// What pruning saved, by the predictions it was decided on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pruning {
    /// Grams that pruned and paused trials were predicted to need to their last step. `null` where trials were
    /// pruned or paused and none of those decisions came with a prediction.
    pub avoided_g: Option<f64>,
    /// Lower bound.
    pub avoided_low_g: Option<f64>,
    /// Upper bound.
    pub avoided_high_g: Option<f64>,
    /// Where the bounds come from, in words.
    pub avoided_interval_from: String,
    /// Trials that the sum is over.
    pub avoided_trials: u64,
    /// Trials pruned.
    pub pruned: u64,
    /// Trials paused.
    pub paused: u64,
    /// Doomed trials that ran on, so that the regret of pruning is measured.
    pub audited: u64,
    /// Those of them that ended better than the best trial when they were doomed.
    pub audited_winners: u64,
    /// Expected number of pruned trials that would have ended better, by the primary objective, than the best trial when they
    /// were pruned. `null` where trials were pruned and no prediction says so.
    pub expected_winners_pruned: Option<f64>,
    /// Lower bound of 95 %.
    pub expected_winners_low: Option<u64>,
    /// Upper bound.
    pub expected_winners_high: Option<u64>,
    /// Trials that the expectation is over.
    pub expected_winners_trials: u64,
}

pub(crate) fn pruning(record: &SweepRecord) -> Pruning {
    let given_up = given_up(record);
    let left: Vec<f64> = given_up.iter().filter_map(|because| avoided(because)).collect();
    let known = given_up.is_empty() || !left.is_empty();
    let sum_avoided = sum(&left);
    let (spread, from) = spread(record);
    let bounds = Interval::around(sum_avoided, spread);
    let winners = winners(record);
    let in_state = |state| record.trials.iter().filter(|trial| trial.state == state).count() as u64;
    let is_known = winners.of > 0 || in_state(TrialState::Pruned) == 0;
    Pruning {
        avoided_g: known.then_some(sum_avoided),
        avoided_low_g: known.then_some(bounds.low),
        avoided_high_g: known.then_some(bounds.high),
        avoided_interval_from: from,
        avoided_trials: left.len() as u64,
        pruned: in_state(TrialState::Pruned),
        paused: in_state(TrialState::Paused),
        audited: winners.audited,
        audited_winners: winners.audited_won,
        expected_winners_pruned: is_known.then_some(winners.expected),
        expected_winners_low: is_known.then_some(winners.low),
        expected_winners_high: is_known.then_some(winners.high),
        expected_winners_trials: winners.of,
    }
}

/// The decision that says why a trial is where it is: the last one that was not about an attempt of the past.
pub(crate) fn last_decision(record: &SweepRecord, trial: TrialId) -> Option<&DecisionRow> {
    record.decisions.iter().rev().find(|row| row.trial == trial && row.because != Because::Stale)
}

/// The estimate behind a decision, also one that a guard overruled.
pub(crate) fn estimate(because: &Because) -> Option<&GainEstimate> {
    match because {
        Because::Gain(estimate) => Some(estimate),
        Because::Guarded { estimate, .. } => estimate.as_ref(),
        Because::Sampled { .. }
        | Because::Enqueued { .. }
        | Because::Replicates { .. }
        | Because::Beginning { .. }
        | Because::Rung(_)
        | Because::LastStep
        | Because::Diverged { .. }
        | Because::NoObjective { .. }
        | Because::Again { .. }
        | Because::SweepEnding { .. }
        | Because::Stale => None,
    }
}

/// Assumed where there is nothing to learn from: the predicted rest of a trial is extrapolated from its own
/// first steps, and a first step has been seen to cost 27 % of a whole training.
const ASSUMED_ERROR: f64 = 0.60;

/// So many back-tests before their spread is trusted more than the assumption.
const ENOUGH: usize = 5;

/// Why pruned and paused trials were given up, one reason each.
fn given_up(record: &SweepRecord) -> Vec<&Because> {
    let mut last: BTreeMap<TrialId, (Verdict, &Because)> = record
        .trials
        .iter()
        .filter_map(|trial| Some((trial.id, (trial.verdict?, trial.because.as_ref()?))))
        .collect();
    for row in record.decisions.iter().filter(|row| row.because != Because::Stale) {
        last.insert(row.trial, (row.verdict, &row.because));
    }
    // A trial that was through before the word to stop reached it was not given up.
    let is_given_up = |trial: &TrialRow| match trial.state {
        TrialState::Pruned | TrialState::Paused | TrialState::Stopping => true,
        TrialState::Waiting | TrialState::Running | TrialState::Completed | TrialState::Failed => false,
    };
    record
        .trials
        .iter()
        .filter(|trial| is_given_up(trial))
        .filter_map(|trial| last.remove(&trial.id))
        .filter(|(verdict, _)| matches!(verdict, Verdict::Prune | Verdict::Pause))
        .map(|(_, because)| because)
        .collect()
}

/// The grams a trial was predicted to need to its last step, where the decision came with a prediction.
pub(crate) fn avoided(because: &Because) -> Option<f64> {
    let left = match because {
        Because::Rung(comparison) => Some(comparison.grams_left),
        Because::Beginning { grams_left, .. } => *grams_left,
        other => estimate(other).map(to_last),
    };
    left.filter(|left| left.is_finite()).map(|left| left.max(0.0))
}

fn to_last(estimate: &GainEstimate) -> f64 {
    estimate.grams_to_last.unwrap_or(estimate.grams_left)
}

/// From a positive zero: the standard library's empty sum of floats is a negative one, and JSON would show it.
pub(crate) fn sum(parts: &[f64]) -> f64 {
    parts.iter().fold(0.0, |sum, part| sum + part)
}

/// How far such predictions are from the truth, relative to it, and where that is known from: twice the root
/// mean square error of the earliest prediction of each completed trial, held against what the trial then
/// burnt. The errors of one sweep share their causes, so they are not taken to average out over its trials.
fn spread(record: &SweepRecord) -> (Spread, String) {
    let earliest = earliest_estimates(record);
    let back_test = |trial| back_test(record, trial, earliest.get(&trial.id)?);
    let errors: Vec<f64> = record.trials.iter().filter_map(back_test).collect();
    if errors.len() < ENOUGH {
        return (Spread::symmetric(ASSUMED_ERROR), format!("±{:.0} % assumed", ASSUMED_ERROR * 100.0));
    }
    let mean_square = errors.iter().map(|error| error * error).sum::<f64>() / errors.len() as f64;
    let burnt = record.accounts.iter().fold(Energy::ZERO, |sum, row| sum + row.footprint.energy);
    let burnt = Spread::with_grid(&burnt, &record.sweep.factors, crate::grid::spread(record));
    // Grams that were never burnt cannot be known better than those that were.
    let spread = Spread::symmetric(2.0 * mean_square.sqrt()).and(burnt);
    (spread, format!("from the predictions for {} completed trials against what they burnt", errors.len()))
}

/// The first estimate about each trial after its first step.
fn earliest_estimates(record: &SweepRecord) -> BTreeMap<TrialId, &GainEstimate> {
    let mut earliest = BTreeMap::new();
    for row in &record.decisions {
        if let Some(estimate) = estimate(&row.because).filter(|estimate| estimate.step > 0) {
            earliest.entry(row.trial).or_insert(estimate);
        }
    }
    earliest
}

/// The relative error of a prediction for a trial that ran to its last step in one attempt. What it had burnt
/// at that step is not in the record: the same grams for every step are assumed, and what that gets wrong
/// counts as the prediction's error too.
fn back_test(record: &SweepRecord, trial: &TrialRow, predicted: &GainEstimate) -> Option<f64> {
    let last = record.sweep.spec.resource.max;
    if trial.state != TrialState::Completed || trial.step != last || trial.attempts != 1 {
        return None;
    }
    let steps_left = last.checked_sub(predicted.step).filter(|steps| *steps > 0)?;
    let burnt = trial.booked.co2e.grams().get() * steps_left as f64 / last as f64;
    let error = burnt / to_last(predicted) - 1.0;
    error.is_finite().then_some(error)
}
