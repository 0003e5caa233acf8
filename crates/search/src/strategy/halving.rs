//! The baselines: asynchronous successive halving, Hyperband's brackets, the median rule.

use gramwise_model::Pruner;
use gramwise_surrogate::pareto_order;

use super::Strategy;
use super::setting::{Goal, Rank, Word};
use super::trials::Trial;

/// One in so many goes on from each rung (Li et al. 2020, "A System for Massively Parallel Hyperparameter Tuning").
pub(super) const REDUCTION: usize = 3;
/// Others that must have got as far before the median says anything.
const MEDIAN_OF: usize = 4;

impl Strategy {
    /// Trials that reached a rung, best first: by the first objective, or by non-dominated sorting.
    pub(super) fn standing(&self, rung: usize, among: impl Fn(&usize) -> bool) -> Vec<usize> {
        let reached: Vec<usize> = (0..self.trials.len())
            .filter(|at| self.trials[*at].curve.len() > rung && !self.trials[*at].is_unfit())
            .filter(among)
            .collect();
        let point = |at: &usize| -> Vec<f64> {
            let trial = &self.trials[*at];
            let value = |objective: usize| match self.setting.objectives[objective] {
                Goal::Reported => trial.curve[rung][objective],
                Goal::Grams => self.whole(trial),
            };
            self.in_order().map(value).collect()
        };
        let points: Vec<Vec<f64>> = reached.iter().map(point).collect();
        pareto_order(&points).into_iter().map(|at| reached[at]).collect()
    }

    /// Grams of a trial's whole training: what it burnt and what is ahead of it.
    /// The grams that a trial is predicted to need from where it is to its last step.
    pub fn grams_to_last(&self, trial: usize) -> Option<f64> {
        let trial = self.trials.get(trial)?;
        Some((self.whole(trial) - trial.grams).max(0.0)).filter(|grams| grams.is_finite())
    }

    pub(super) fn whole(&self, trial: &Trial) -> f64 {
        let from = trial.curve.len();
        let ahead = self.segments(&trial.features, Some((trial.step, trial.grams)), from);
        trial.grams + ahead[from.min(ahead.len())..].iter().sum::<f64>()
    }

    /// The paused trial with the best right to go on: at the highest rung, the best of the third that is kept.
    pub(super) fn promotable(&self) -> Option<(usize, usize)> {
        (0..self.brackets()).find_map(|bracket| {
            (self.bracket_start(bracket)..self.last_rung()).rev().find_map(|rung| {
                let order = self.standing(rung, |at| self.bracket(*at) == bracket);
                let kept = &order[..order.len() / REDUCTION];
                let waits =
                    |at: &&usize| self.trials[**at].is_paused() && self.trials[**at].curve.len() == rung + 1;
                kept.iter().find(waits).map(|at| (*at, rung + 1))
            })
        })
    }

    /// How many brackets there are: one that begins at each rung but the last, for Hyperband (Li et al. 2018, "Hyperband").
    fn brackets(&self) -> usize {
        if self.setting.pruner == Pruner::Hyperband { self.last_rung().max(1) } else { 1 }
    }

    /// The rung that trials of a bracket run to at first.
    pub(super) fn bracket_start(&self, bracket: usize) -> usize {
        bracket.min(self.last_rung())
    }

    /// The bracket of a trial: in turn, each as often as Hyperband's budgets make it, `REDUCTION` times as many for each rung
    /// that a bracket begins earlier.
    pub(super) fn bracket(&self, trial: usize) -> usize {
        let brackets = self.brackets();
        let sizes: Vec<usize> = (0..brackets)
            .map(|start| {
                let left = brackets - start;
                (brackets * REDUCTION.pow(u32::try_from(left - 1).unwrap_or(0).min(8))).div_ceil(left)
            })
            .collect();
        let round: usize = sizes.iter().sum();
        let mut place = trial % round;
        for (bracket, size) in sizes.iter().enumerate() {
            if place < *size {
                return bracket;
            }
            place -= size;
        }
        0
    }

    /// The median rule (Golovin et al. 2017, "Google Vizier", section 3.2.2): stop a trial whose best so far is worse than the
    /// median of the others' best at the same rung.
    pub(super) fn by_median(&self, trial: usize) -> Word {
        match self.rank_by_median(trial) {
            Some(rank) if rank.place >= rank.keep => Word::Stop,
            Some(_) | None => Word::Continue,
        }
    }

    /// The trial's place among those that got as far, of which half and the median are kept; `None` where it is not judged.
    pub(super) fn rank_by_median(&self, trial: usize) -> Option<Rank> {
        let one = &self.trials[trial];
        let rung = one.curve.len().checked_sub(1).filter(|rung| *rung < self.last_rung())?;
        let first = self.primary();
        let mut others: Vec<(f64, usize)> = (0..self.trials.len())
            .filter(|at| *at != trial && self.trials[*at].curve.len() > rung)
            .map(|at| (self.trials[at].curve[rung][first], at))
            .collect();
        if others.len() < MEDIAN_OF || one.step != self.rungs[rung] {
            return None;
        }
        others.sort_by(|a, b| a.0.total_cmp(&b.0));
        let (median, cut) = others[others.len() / 2];
        let better = others.iter().filter(|(other, _)| *other < one.best[first]).count();
        Some(Rank {
            rung,
            place: better,
            of: others.len() + 1,
            keep: others.iter().filter(|(other, _)| *other <= median).count(),
            cut: Some(cut),
            grams_to_last: self.whole(one) - one.grams,
        })
    }
}
