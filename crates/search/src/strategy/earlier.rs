//! Trials of earlier sweeps, from which a new search learns.
//!
//! They are trials of one more hyperparameter, the sweep they come from, whose length scale is fitted as that of any other: it
//! says how alike the sweeps are. Their best configurations are among the first that the new search tries.

use std::sync::Arc;

use gramwise_model::Config;
use serde::{Deserialize, Serialize};

use super::Strategy;
use super::encoding::Encoding;
use super::model::by_rank;
use super::setting::{Goal, Seen, What};
use super::trials::Trial;

/// One in so many of the first configurations is a best one of earlier sweeps. More help where the sweeps are alike, and cost where
/// what was best there is bad here.
const RECALLED: usize = 6;

/// A trial of an earlier sweep.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EarlierTrial {
    /// Which of the earlier sweeps it is of, from 1.
    pub sweep: u32,
    /// Its configuration, which is one of the new search's space.
    pub config: Config,
    /// Its reports in order, as the new search understands them. Finite.
    pub seen: Vec<Seen>,
}

impl EarlierTrial {
    /// More trials of earlier sweeps than this, all together, do not help a model of limited size.
    pub const MOST: usize = 40;

    pub(super) fn as_trial(&self, encoding: &Encoding, goals: &[Goal], rungs: &[u64]) -> Trial {
        let mut trial = Trial::new(Arc::new(self.config.clone()), encoding, goals.len());
        trial.origin = self.sweep.max(1);
        // The last coordinate tells sweeps apart; the search's own trials have zero.
        if let Some(origin) = trial.x.last_mut() {
            *origin = f64::from(trial.origin);
        }
        trial.features = encoding.features(&trial.x);
        for seen in &self.seen {
            trial.take(seen, goals, rungs);
        }
        trial
    }

    /// Those that cannot be used last, then by the best cost.
    fn order(&self) -> (bool, f64) {
        let first = self.seen.iter().filter_map(|seen| seen.costs.first().copied());
        let is_unfit = self.seen.last().is_none_or(|seen| !seen.feasible);
        (is_unfit, first.fold(f64::INFINITY, f64::min))
    }

    /// Of a sweep's trials, those that are worth keeping, best first: the best half, and even steps through the rest.
    fn chosen(mut trials: Vec<Self>, most: usize) -> Vec<Self> {
        trials.sort_by(|a, b| {
            let ((unfit, cost), (other_unfit, other_cost)) = (a.order(), b.order());
            unfit.cmp(&other_unfit).then(cost.total_cmp(&other_cost))
        });
        let rest = trials.split_off(trials.len().min(most.div_ceil(2)));
        let step = rest.len().div_ceil((most / 2).max(1)).max(1);
        trials.extend(rest.into_iter().step_by(step));
        trials.truncate(most);
        trials
    }
}

impl Strategy {
    /// What trials did here, for another search to learn from: so many of them at most.
    pub fn as_earlier(&self, most: usize) -> Vec<EarlierTrial> {
        let reported = |at: &usize| self.setting.objectives[*at] == Goal::Reported;
        let reported: Vec<usize> = (0..self.setting.objectives.len()).filter(reported).collect();
        let one = |trial: &Trial| EarlierTrial {
            sweep: 1,
            config: (*trial.config).clone(),
            seen: (0..trial.curve.len())
                .map(|rung| Seen {
                    step: self.rungs[rung].min(trial.step),
                    costs: reported.iter().map(|at| trial.curve[rung][*at]).collect(),
                    grams: trial.grams_at[rung],
                    last: rung == self.last_rung(),
                    feasible: !trial.is_unfit(),
                })
                .filter(|seen| seen.costs.iter().all(|cost| cost.is_finite()))
                .collect(),
        };
        let all = self.trials.iter().map(one).filter(|one| !one.seen.is_empty()).collect();
        EarlierTrial::chosen(all, most)
    }

    /// The best configuration of earlier sweeps that was not tried yet, while the first of so many are chosen.
    pub(super) fn recalled(&self, of: usize) -> Option<What> {
        let is_early = self.trials.len() < (of / RECALLED).max(1);
        if !is_early || !self.setting.pool.is_empty() || !self.may_begin() {
            return None;
        }
        let order = by_rank(self.primary(), &self.earlier.iter().collect::<Vec<_>>());
        let untried = order.into_iter().filter(|at| !self.earlier[*at].is_unfit());
        let config = untried.map(|at| &*self.earlier[at].config).find(|config| self.is_new(config))?;
        Some(What::New { config: config.clone(), pool: None })
    }
}
