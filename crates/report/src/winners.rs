//! How many trials that pruning ended would have become the best.
//!
//! Each was ended with a stated chance to end better than the best trial at that moment; their sum is what is expected. A
//! model's small probabilities may all be wrong by one factor, so the count is taken as Poisson with a rate of `M` times that
//! sum, `M` with a gamma prior of mean 1 and shape 1. Trials under audit ran on and tell: with `w` winners among them where
//! `a` were expected, the posterior is a gamma of shape `1 + w` and rate `1 + a` (Gelman et al., "Bayesian Data Analysis",
//! section 2.6), and the count is negative binomial.

use std::collections::BTreeMap;

use gramwise_model::rows::{DecisionRow, SweepRecord, TrialRow, TrialState, Verdict};
use gramwise_model::{Because, GainEstimate, Guard, TrialId};

use crate::pruning::sum;

/// Half of what lies outside the interval.
const TAIL: f64 = 0.025;

/// The count of pruned winners.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Winners {
    /// Expected.
    pub(crate) expected: f64,
    /// Interval of 95 %.
    pub(crate) low: u64,
    pub(crate) high: u64,
    /// Pruned trials with a stated chance.
    pub(crate) of: u64,
    /// Trials under audit, and those of them that became better than the best then.
    pub(crate) audited: u64,
    pub(crate) audited_won: u64,
}

pub(crate) fn winners(record: &SweepRecord) -> Winners {
    let audits = audits(record);
    let ended = |id: &TrialId| record.trials.iter().find(|trial| trial.id == *id);
    let (mut expected_of_audit, mut found) = (0.0, 0);
    for (id, estimate) in &audits {
        // Only a trial that came to its end says anything.
        if let Some(trial) = ended(id).filter(|trial| trial.state == TrialState::Completed) {
            expected_of_audit += estimate.chance.unwrap_or(0.0);
            found += u64::from(beats(record, trial, estimate));
        }
    }
    let chances: Vec<f64> = last_decisions(record)
        .filter(|row| row.verdict == Verdict::Prune)
        .filter_map(|row| if let Because::Gain(estimate) = &row.because { estimate.chance } else { None })
        .collect();
    let PrunedWinners { expected, low, high } = pruned_winners(sum(&chances), expected_of_audit, found);
    Winners {
        expected,
        low,
        high,
        of: chances.len() as u64,
        audited: audits.len() as u64,
        audited_won: found,
    }
}

/// How many of the trials that pruning ended would have become the best.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PrunedWinners {
    /// Expected.
    pub expected: f64,
    /// Interval of 95 %.
    pub low: u64,
    /// Upper bound.
    pub high: u64,
}

/// From the sum of their stated chances, and from trials under audit that came to their end: the sum of their chances, and how many of
/// them became better than the best when they were doomed.
pub fn pruned_winners(chances: f64, of_audited: f64, audited_won: u64) -> PrunedWinners {
    let shape = 1.0 + audited_won as f64;
    let expected = chances * shape / (1.0 + of_audited);
    PrunedWinners {
        expected,
        low: negative_binomial_quantile(shape, expected, TAIL),
        high: negative_binomial_quantile(shape, expected, 1.0 - TAIL),
    }
}

/// What was stated when each audited trial was found not to be worth its carbon.
fn audits(record: &SweepRecord) -> BTreeMap<TrialId, &GainEstimate> {
    let audit = |row: &DecisionRow| matches!(row.because, Because::Guarded { guard: Guard::Audit, .. });
    let mut audits = BTreeMap::new();
    for row in record.decisions.iter().filter(|row| audit(row)) {
        if let Because::Guarded { estimate: Some(estimate), .. } = &row.because {
            audits.entry(row.trial).or_insert(estimate);
        }
    }
    audits
}

/// Did a trial end better than what its estimate was held against?
fn beats(record: &SweepRecord, trial: &TrialRow, estimate: &GainEstimate) -> bool {
    let Some(primary) = record.sweep.spec.objectives.first() else { return false };
    let end = trial.metrics.get(&primary.name).and_then(|metric| metric.finite());
    let best = estimate.incumbent_values.get(&primary.name);
    matches!((end, best), (Some(end), Some(best)) if primary.cost(end) < primary.cost(*best))
}

/// The decision that counts of each pruned trial: the last one that was not about an attempt of the past.
fn last_decisions(record: &SweepRecord) -> impl Iterator<Item = &DecisionRow> {
    let told = record.decisions.iter().filter(|row| row.because != Because::Stale);
    let last: BTreeMap<TrialId, &DecisionRow> = told.map(|row| (row.trial, row)).collect();
    let pruned = record.trials.iter().filter(|trial| trial.state == TrialState::Pruned);
    pruned.filter_map(move |trial| last.get(&trial.id).copied())
}

/// The smallest count that a negative binomial of a shape and mean does not exceed with a probability.
fn negative_binomial_quantile(shape: f64, mean: f64, probability: f64) -> u64 {
    const MOST: u64 = 1_000_000;
    let success = shape / (shape + mean);
    // In logarithms: the chance of none may be less than the least number.
    let mut term = shape * success.ln();
    let (mut sum, mut count) = (term.exp(), 0);
    while sum < probability && count < MOST {
        term += ((count as f64 + shape) / (count as f64 + 1.0)).ln() + (1.0 - success).ln();
        count += 1;
        sum += term.exp();
    }
    count
}

#[cfg(test)]
mod tests {
    use super::negative_binomial_quantile;

    #[test]
    fn quantiles_are_those_of_the_geometric_and_near_those_of_poisson() {
        // Shape 1 is geometric: P(count > n) = (mean / (1 + mean))^(n + 1).
        assert_eq!(negative_binomial_quantile(1.0, 1.0, 0.5), 0);
        assert_eq!(negative_binomial_quantile(1.0, 1.0, 0.97), 5);
        assert_eq!(negative_binomial_quantile(1.0, 0.0, 0.975), 0);
        // Normal: mean 1e4, variance 1e4 + 1e8 / 200.
        assert!((8_500..8_800).contains(&negative_binomial_quantile(200.0, 1e4, 0.025)));
        // A large shape is Poisson: mean 3 holds 0 to 7.
        assert_eq!(negative_binomial_quantile(1e9, 3.0, 0.025), 0);
        assert_eq!(negative_binomial_quantile(1e9, 3.0, 0.975), 7);
    }
}
