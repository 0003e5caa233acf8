//! What pruning saved, and what it may have cost.

use std::collections::BTreeMap;

use gramwise_carbon::{Energy, Interval, Spread};
use gramwise_model::rows::{DecisionRow, SweepRecord, TrialRow, TrialState, Verdict};
use gramwise_model::{Because, CO2E, GainEstimate, TrialId};
use gramwise_significance::student_quantile;
use serde::Serialize;

use crate::winners::winners;

/// What pruning saved.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pruning {
    /// Grams that pruned and paused trials would have needed to their last step ([`avoided_in_all`]). `null` where trials were
    /// pruned or paused and nothing says so.
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
    let known = !given_up.is_empty() || reasons(record).is_empty();
    let burnt = record.accounts.iter().fold(Energy::ZERO, |sum, row| sum + row.footprint.energy);
    let burnt = Spread::with_grid(&burnt, &record.sweep.factors, crate::grid::spread(record));
    let Avoided { g: sum_avoided, bounds, from } = avoided_in_all(&given_up, burnt);
    let winners = winners(record);
    let in_state = |state| record.trials.iter().filter(|trial| trial.state == state).count() as u64;
    let is_known = winners.of > 0 || in_state(TrialState::Pruned) == 0;
    Pruning {
        avoided_g: known.then_some(sum_avoided),
        avoided_low_g: known.then_some(bounds.low),
        avoided_high_g: known.then_some(bounds.high),
        avoided_interval_from: from,
        avoided_trials: given_up.len() as u64,
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

/// So many completed trials before how they grew is trusted more than that.
const FEWEST_GROWN: usize = 2;

/// So many say as much as more.
const MOST_GROWN: usize = 500;

/// The mean of a lognormal is above its median; with few completed trials their spread is too uncertain to say by more than this.
const LARGEST_VARIANCE: f64 = 1.0;

/// Growth beyond this, of few completed trials that differ a lot, says that nothing is known.
const LARGEST_LOG: f64 = 46.0;

/// The pruned and paused trials that were given up with a prediction, or from where completed ones are known to have gone on.
fn given_up(record: &SweepRecord) -> Vec<GivenUp> {
    let grown: BTreeMap<(TrialId, u64), f64> =
        record.growth.iter().map(|row| ((row.trial, row.step), row.co2e.grams().get())).collect();
    let completed: Vec<&TrialRow> =
        record.trials.iter().filter(|trial| trial.state == TrialState::Completed).collect();
    let growth = |completed: &TrialRow, step: u64| {
        let at = |step| grown.get(&(completed.id, step));
        let ratio = at(completed.step)? / at(step)?;
        Some(ratio).filter(|ratio| ratio.is_finite() && completed.step > step)
    };
    let mut by_step: BTreeMap<u64, Vec<f64>> = BTreeMap::new();
    let one = |(trial, because): (&TrialRow, &Because)| {
        let growths = by_step.entry(trial.step).or_insert_with(|| {
            completed.iter().filter_map(|other| growth(other, trial.step)).take(MOST_GROWN).collect()
        });
        GivenUp {
            grams: trial.metrics.get(CO2E).and_then(|metric| metric.finite()).unwrap_or(0.0),
            predicted: avoided(because),
            growths: growths.clone(),
        }
    };
    let is_known = |one: &GivenUp| one.predicted.is_some() || one.growths.len() >= FEWEST_GROWN;
    reasons(record).into_iter().map(one).filter(is_known).collect()
}

/// Why pruned and paused trials were given up, one reason each.
fn reasons(record: &SweepRecord) -> Vec<(&TrialRow, &Because)> {
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
        .filter_map(|trial| Some((trial, last.remove(&trial.id)?)))
        .filter(|(_, (verdict, _))| matches!(verdict, Verdict::Prune | Verdict::Pause))
        .map(|(trial, (_, because))| (trial, because))
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

/// A trial that was given up on its way.
#[derive(Debug, Clone, PartialEq)]
pub struct GivenUp {
    /// What it had emitted, in grams.
    pub grams: f64,
    /// What it was predicted to need still, when it was given up.
    pub predicted: Option<f64>,
    /// For each trial that came to its end: what that emitted in all, by what it had emitted at the same step.
    pub growths: Vec<f64>,
}

/// What all trials that were given up would have needed, with an interval of about 95 %.
#[derive(Debug, Clone, PartialEq)]
pub struct Avoided {
    /// In grams.
    pub g: f64,
    /// Its bounds.
    pub bounds: Interval,
    /// Where they come from, in words.
    pub from: String,
}

/// What trials still needed, by how those grew that came to their end from the same steps: the chain ladder of insurers ("Distribution-free
/// calculation of the standard error of chain ladder reserve estimates", Mack 1993), with growths that are lognormal. Those that were
/// given up are other configurations than those that were not, and differ from them for one reason: what is peculiar to one is not taken
/// to average out over all, and the interval is that of a single growth. Trials without others to compare them with count by what was
/// predicted when they were given up. `burnt` is how well the grams are known that were burnt: what never was cannot be known better.
pub fn avoided_in_all(given_up: &[GivenUp], burnt: Spread) -> Avoided {
    let (mut sums, mut grown) = ([0.0; 3], 0usize);
    for one in given_up {
        let logs: Vec<f64> =
            one.growths.iter().filter(|growth| **growth >= 1.0).map(|growth| growth.ln()).collect();
        let rest = if logs.len() < FEWEST_GROWN || one.grams <= 0.0 {
            let left = one.predicted.unwrap_or(0.0);
            [left, left * (1.0 - ASSUMED_ERROR), left * (1.0 + ASSUMED_ERROR)]
        } else {
            grown += 1;
            let n = logs.len() as f64;
            let mean = logs.iter().sum::<f64>() / n;
            let variance = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (n - 1.0);
            let error = student_quantile(0.975, n - 1.0) * (variance * (1.0 / n + 1.0)).sqrt();
            let centre = mean + 0.5 * variance.min(LARGEST_VARIANCE);
            [centre, centre - error, centre + error]
                .map(|log| one.grams * (log.min(LARGEST_LOG).exp() - 1.0).max(0.0))
        };
        sums.iter_mut().zip(rest).for_each(|(sum, rest)| *sum += rest);
    }
    let [g, low, high] = sums;
    // What is assumed covers all.
    let burnt = if grown > 0 { burnt } else { Spread::NONE };
    let bounds = if g > 0.0 {
        Interval::around(g, Spread { low: low / g, high: high / g }.and(burnt))
    } else {
        Interval { low, high }
    };
    let assumed = given_up.len() - grown;
    let from = match (grown, assumed) {
        (0, _) => format!("±{:.0} % assumed", ASSUMED_ERROR * 100.0),
        (_, 0) => "by how completed trials grew from the same steps".to_owned(),
        (_, some) => format!(
            "by how completed trials grew from the same steps; ±{:.0} % assumed for {some}",
            ASSUMED_ERROR * 100.0
        ),
    };
    Avoided { g, bounds, from }
}
