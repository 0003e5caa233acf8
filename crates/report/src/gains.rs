//! What each improvement cost, and from where on little was gained.

use std::collections::BTreeMap;

use gramwise_model::rows::{SweepRecord, TrialRow, TrialState};
use gramwise_model::{Because, GainPerKg, Timestamp, TrialId};
use serde::Serialize;

use crate::pruning::estimate;
use crate::ties::{Comparison, Ties};

/// The last trials are one in so many of those that ended.
const LAST_OF: usize = 5;

/// The search as a purchase: grams for improvements of the primary objective.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gains {
    /// The trials that were the best when they completed, in order.
    pub improvements: Vec<Improvement>,
    /// What the last fifth of the trials brought.
    pub last_trials: Option<LastTrials>,
    /// From where on a gram bought less than it should.
    pub diminishing: Option<Diminishing>,
    /// The last improvement that is more than chance. `null` where the first completed trial cannot be told from the best.
    pub last_beyond_chance: Option<BeyondChance>,
    /// The first trial that cannot be told from the best.
    pub first_tied: Option<FirstTied>,
}

/// The first improvement that cannot be told from the best.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct FirstTied {
    /// The trial.
    pub trial: TrialId,
    /// What the sweep had emitted until it completed, in all accounts.
    pub spent_g: f64,
    /// What it emitted after that.
    pub after_g: f64,
}

/// One trial that became the best.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Improvement {
    /// The trial.
    pub trial: TrialId,
    /// Its primary objective.
    pub value: f64,
    /// Better than the best before by so much; `null` for the first.
    pub gain: Option<f64>,
    /// What the sweep had emitted until it completed, in all accounts.
    pub spent_g: f64,
    /// What it emitted since the improvement before, or since its beginning.
    pub price_g: f64,
    /// The gain by that, in units of the objective per kgCO2e.
    pub gain_per_kg: Option<f64>,
    /// Is the gain above what matters to the user (`meaningful`)?
    pub matters: Option<bool>,
}

/// What the last trials brought.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct LastTrials {
    /// So many.
    pub trials: u64,
    /// The best became better by so much while they ended.
    pub gain: f64,
    /// What the sweep emitted meanwhile.
    pub co2e_g: f64,
    /// One by the other, in units of the objective per kgCO2e.
    pub gain_per_kg: Option<f64>,
}

/// Where the gain less the price of the grams was largest.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Diminishing {
    /// The improvement there.
    pub trial: TrialId,
    /// What the sweep had emitted until then.
    pub spent_g: f64,
    /// The share of all that it emitted.
    pub share: f64,
    /// What was gained after it.
    pub gain_after: f64,
    /// The price: gain that a kilogram should bring.
    pub threshold_per_kg: f64,
    /// Where that is from.
    pub threshold_from: String,
}

/// An improvement that is more than chance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct BeyondChance {
    /// The best before it, which can be told from the best.
    pub from: TrialId,
    /// The first that cannot.
    pub to: TrialId,
    /// Their difference.
    pub gain: f64,
    /// What the sweep emitted from one to the other.
    pub price_g: f64,
    /// The gain by that, in units of the objective per kgCO2e.
    pub gain_per_kg: Option<f64>,
}

/// What a sweep had emitted in all accounts at each moment.
pub(crate) struct Spent(Vec<(u64, f64)>);

impl Spent {
    pub(crate) fn of(record: &SweepRecord) -> Self {
        let mut sum = 0.0;
        let mut points = vec![(record.sweep.submitted_at.0, 0.0)];
        for row in &record.spending {
            sum += row.co2e.grams().get();
            points.push((row.to.0, sum));
        }
        Self(points)
    }

    /// In grams; between two bookings it grows evenly.
    pub(crate) fn at(&self, moment: Timestamp) -> f64 {
        let after = self.0.partition_point(|(at, _)| *at < moment.0);
        match (after.checked_sub(1).map(|before| self.0[before]), self.0.get(after).copied()) {
            (Some((from, low)), Some((to, high))) if to > from => {
                let share = moment.0.saturating_sub(from) as f64 / (to - from) as f64;
                low + share * (high - low)
            }
            (_, Some((_, grams))) | (Some((_, grams)), None) => grams,
            (None, None) => 0.0,
        }
    }

    pub(crate) fn total(&self) -> f64 {
        self.0.last().map_or(0.0, |(_, grams)| *grams)
    }
}

/// Moments by trial.
type Ends = BTreeMap<TrialId, Timestamp>;

/// A completed trial, when it ended, and its primary objective as a cost.
type Completed<'a> = (Timestamp, f64, &'a TrialRow);

/// When each trial's last attempt ended.
pub(crate) fn ends(record: &SweepRecord) -> Ends {
    // In order of their numbers: the last one stays.
    let last: BTreeMap<TrialId, Option<Timestamp>> =
        record.attempts.iter().map(|attempt| (attempt.trial, attempt.ended_at)).collect();
    last.into_iter().filter_map(|(trial, end)| Some((trial, end?))).collect()
}

pub(crate) fn gains(record: &SweepRecord, ties: Option<&Ties>) -> Gains {
    let spent = Spent::of(record);
    let ends = ends(record);
    let completed = completed(record, &ends);
    let improvements = improvements(record, &completed, &spent);
    let ties = ties.filter(|ties| ties.by != Comparison::Nothing);
    let last_beyond_chance = ties.and_then(|ties| beyond_chance(&improvements, ties));
    let tied = ties.and_then(|ties| improvements.iter().find(|one| ties.not_beaten.contains(&one.trial)));
    Gains {
        last_trials: last_trials(record, (&ends, &completed), &spent),
        diminishing: diminishing(record, &improvements, spent.total()),
        last_beyond_chance,
        first_tied: tied.map(|first| FirstTied {
            trial: first.trial,
            spent_g: first.spent_g,
            after_g: (spent.total() - first.spent_g).max(0.0),
        }),
        improvements,
    }
}

/// The completed trials that keep the constraints, as they ended.
fn completed<'a>(record: &'a SweepRecord, ends: &Ends) -> Vec<Completed<'a>> {
    let of = |trial: &TrialRow| -> Option<(Timestamp, f64)> {
        let costs = record.sweep.spec.costs(&trial.metrics)?;
        Some((*ends.get(&trial.id)?, *costs.first()?))
    };
    let trials = record.trials.iter().filter(|trial| trial.state == TrialState::Completed);
    let mut found: Vec<_> =
        trials.filter_map(|trial| of(trial).map(|(at, cost)| (at, cost, trial))).collect();
    found.sort_by_key(|(at, _, trial)| (*at, trial.id));
    found
}

/// The trials that were the best when they completed.
pub(crate) fn improving(record: &SweepRecord) -> Vec<TrialId> {
    improvements(record, &completed(record, &ends(record)), &Spent::of(record))
        .into_iter()
        .map(|one| one.trial)
        .collect()
}

fn improvements(record: &SweepRecord, completed: &[Completed<'_>], spent: &Spent) -> Vec<Improvement> {
    let primary = record.sweep.spec.primary();
    let mut best: Option<(f64, f64)> = None;
    let mut improvements = Vec::new();
    for (at, cost, trial) in completed.iter().copied() {
        if best.is_some_and(|(least, _)| cost >= least) {
            continue;
        }
        let spent_g = spent.at(at);
        let gain = best.map(|(least, _)| least - cost);
        let price_g = spent_g - best.map_or(0.0, |(_, before)| before);
        improvements.push(Improvement {
            trial: trial.id,
            value: primary.cost(cost),
            gain,
            spent_g,
            price_g,
            gain_per_kg: gain.and_then(|gain| per_kg(gain, price_g)),
            matters: gain.zip(primary.meaningful).map(|(gain, margin)| gain >= margin),
        });
        best = Some((cost, spent_g));
    }
    improvements
}

fn per_kg(gain: f64, grams: f64) -> Option<f64> {
    Some(gain / grams * 1000.0).filter(|ratio| ratio.is_finite())
}

fn last_trials(
    record: &SweepRecord,
    (all, completed): (&Ends, &[Completed<'_>]),
    spent: &Spent,
) -> Option<LastTrials> {
    let mut ends: Vec<Timestamp> = record
        .trials
        .iter()
        .filter(|trial| {
            matches!(trial.state, TrialState::Completed | TrialState::Pruned | TrialState::Failed)
        })
        .filter_map(|trial| all.get(&trial.id).copied())
        .collect();
    ends.sort_unstable();
    let count = ends.len().div_ceil(LAST_OF);
    let before = *ends.get(ends.len().checked_sub(count + 1)?)?;
    let best = |until: Timestamp| {
        let costs = completed.iter().filter(|(at, ..)| *at <= until).map(|(_, cost, _)| *cost);
        costs.min_by(f64::total_cmp)
    };
    let gain = best(before)? - best(*ends.last()?)?;
    let co2e_g = (spent.total() - spent.at(before)).max(0.0);
    Some(LastTrials { trials: count as u64, gain, co2e_g, gain_per_kg: per_kg(gain, co2e_g) })
}

/// The improvement at which the gain since the first completed trial less the price of the grams since then was largest. The price is
/// the sweep's own where it has one in units of the objective; else what the search gained per kilogram on the whole, which makes it the
/// knee of the curve ("Finding a 'Kneedle' in a Haystack", Satopää et al. 2011).
fn diminishing(record: &SweepRecord, improvements: &[Improvement], total: f64) -> Option<Diminishing> {
    let (first, last) = (improvements.first()?, improvements.last()?);
    let primary = record.sweep.spec.primary();
    let gained = |one: &Improvement| primary.cost(first.value) - primary.cost(one.value);
    let (threshold_per_kg, threshold_from) = threshold(record).or_else(|| {
        let whole = per_kg(gained(last), total - first.spent_g).filter(|ratio| *ratio > 0.0)?;
        Some((whole, "what the whole search gained per kg".to_owned()))
    })?;
    let worth = |one: &Improvement| gained(one) - threshold_per_kg * (one.spent_g - first.spent_g) / 1000.0;
    // Of equals the first.
    let at = improvements.iter().rev().max_by(|a, b| worth(a).total_cmp(&worth(b)))?;
    Some(Diminishing {
        trial: at.trial,
        spent_g: at.spent_g,
        share: if total > 0.0 { (at.spent_g / total).min(1.0) } else { 0.0 },
        gain_after: gained(last) - gained(at),
        threshold_per_kg,
        threshold_from,
    })
}

/// The price that trials were held against, in units of the primary objective.
fn threshold(record: &SweepRecord) -> Option<(f64, String)> {
    let spec = &record.sweep.spec;
    let reported = spec.objectives.iter().filter(|objective| !objective.is_co2e()).count();
    if let (Some(GainPerKg::Fixed(per_kg)), 1) = (spec.prune.gain_per_kg, spec.objectives.len().max(reported))
    {
        return Some((per_kg, "the sweep file".to_owned()));
    }
    let of = |because: &Because| {
        let estimate = estimate(because).filter(|estimate| estimate.unit == spec.primary().name)?;
        Some((estimate.threshold_per_kg, estimate.threshold_from.clone()))
    };
    record.decisions.iter().rev().find_map(|row| of(&row.because)).filter(|(price, _)| *price > 0.0)
}

fn beyond_chance(improvements: &[Improvement], ties: &Ties) -> Option<BeyondChance> {
    let at = improvements.iter().position(|one| ties.not_beaten.contains(&one.trial))?;
    let (to, from) = (improvements.get(at)?, improvements.get(at.checked_sub(1)?)?);
    let gain = to.gain?;
    Some(BeyondChance {
        from: from.trial,
        to: to.trial,
        gain,
        price_g: to.price_g,
        gain_per_kg: to.gain_per_kg,
    })
}
