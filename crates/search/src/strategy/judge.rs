//! What becomes of a running trial that has news.
//!
//! A trial runs to a rung, and there it is weighed. If a gram buys as much in it as it did where one was last given, it goes on
//! without a stop. If it buys less, the trial pauses, and is weighed against all that is paused and all that could be begun
//! whenever a worker is free. If it is not worth the price of a gram at all, it ends.

use gramwise_model::{Pruner, TrialId};
use gramwise_surrogate::{Forecast, Staged, normal_quantile, student_cdf};
use rand::RngExt;

use super::Strategy;
use super::choose::{Candidate, Look};
use super::halving::REDUCTION;
use super::model::Model;
use super::setting::{Against, Judgement, Launch, Promise, Rank, What, Why, Word};
use super::trials::{Place, Trial};
use crate::rng::{Purpose, rng};

/// Values that stand for a distribution.
const NODES: u32 = 64;

impl Strategy {
    /// What becomes of a running trial after its last report; `left` as in [`Strategy::choose`]. Looks, and changes nothing: a launch in it becomes so by
    /// [`Strategy::launched`], an end by [`Strategy::ended`].
    pub fn judge(&self, trial: usize, left: Option<f64>) -> Judgement {
        let word = self.word(trial);
        let Some(one) = self.trials.get(trial) else { return Judgement::say(word, Why::OnItsWay) };
        if self.has_diverged(one) {
            return Judgement::say(word, Why::Diverged);
        }
        match (word, self.setting.pruner) {
            (Word::Continue, _) => Judgement::say(word, Why::OnItsWay),
            (Word::Stop | Word::Pause, Pruner::Median) => {
                Judgement::say(word, self.rank_by_median(trial).map_or(Why::OnItsWay, Why::Rank))
            }
            (Word::Stop | Word::Pause, Pruner::GainPerKg) => self.judge_by_gain(trial, left),
            (Word::Stop | Word::Pause, Pruner::Asha | Pruner::Hyperband | Pruner::None) => {
                self.judge_by_rank(trial)
            }
        }
    }

    /// The word for what neither goes on nor is doomed.
    fn set_aside(&self) -> Word {
        if self.setting.resumable { Word::Pause } else { Word::Stop }
    }

    fn judge_by_gain(&self, trial: usize, left: Option<f64>) -> Judgement {
        if self.trials[trial].audited {
            return Judgement::go_on(Launch::unpriced(self.last_rung(), false), Why::OnItsWay);
        }
        let (Some((own, price)), true) = (self.promise(trial), self.warm) else {
            return self.judge_at_first(trial, left);
        };
        let launch = Launch { price: price.min(f64::MAX), ..Launch::unpriced(self.next_rung(trial), true) };
        let rate = self.rate.unwrap_or(price).max(price);
        if own.per_gram() >= rate {
            return Judgement::go_on(launch, Why::Gain(own, Against::Rate(rate)));
        }
        let is_worth_it = own.per_gram() >= price;
        let against = if is_worth_it { Against::Rate(rate) } else { Against::Price(price) };
        if is_worth_it && self.setting.resumable {
            return Judgement::say(Word::Pause, Why::Gain(own, against));
        }
        let is_among = self.rank(trial).is_some_and(|rank| rank.place < rank.keep);
        match (is_among, self.setting.resumable) {
            (true, true) => Judgement::say(Word::Pause, Why::Among(own, against)),
            (true, false) => Judgement::go_on(launch, Why::Among(own, against)),
            (false, _) if self.is_audited(trial) => {
                Judgement::go_on(Launch { to: self.last_rung(), ..launch }, Why::Audit(own, against))
            }
            (false, _) => Judgement::say(Word::Stop, Why::Gain(own, against)),
        }
    }

    /// While there is no model that has seen a whole curve.
    fn judge_at_first(&self, trial: usize, left: Option<f64>) -> Judgement {
        if let Some(launch) = self.cold_choice(trial, left) {
            return Judgement::go_on(launch, Why::ColdStart);
        }
        // What cannot be resumed goes on now or never: the best of those seen at the rung do.
        match self.rank(trial).filter(|_| !self.setting.resumable) {
            Some(rank) if rank.place < rank.keep => {
                Judgement::go_on(Launch::unpriced(self.next_rung(trial), false), Why::Rank(rank))
            }
            Some(rank) => Judgement::say(Word::Stop, Why::Rank(rank)),
            None => Judgement::say(self.set_aside(), Why::ColdStart),
        }
    }

    /// The first rung that a trial has not come to, or the last.
    pub(super) fn next_rung(&self, trial: usize) -> usize {
        self.trials[trial].curve.len().min(self.last_rung())
    }

    /// Is a doomed trial drawn for the audit?
    fn is_audited(&self, trial: usize) -> bool {
        let address = TrialId(u32::try_from(trial + 1).unwrap_or(u32::MAX));
        rng(self.setting.seed, address, Purpose::Audit).random::<f64>() < self.setting.audit
    }

    /// Does the cold start take the trial further?
    fn cold_choice(&self, trial: usize, left: Option<f64>) -> Option<Launch> {
        if self.warm || !self.setting.resumable {
            return None;
        }
        let choice = self.cold_start(Some(trial), left)?;
        (choice.what == What::Resume(trial)).then(|| choice.launch())
    }

    fn judge_by_rank(&self, trial: usize) -> Judgement {
        match self.rank(trial) {
            Some(rank) if rank.place < rank.keep => {
                let launch = Launch::unpriced((rank.rung + 1).min(self.last_rung()), true);
                Judgement::go_on(launch, Why::Rank(rank))
            }
            Some(rank) => Judgement::say(self.set_aside(), Why::Rank(rank)),
            None => Judgement::say(self.set_aside(), Why::OnItsWay),
        }
    }

    /// A trial's place among those of its bracket that came to the same rung, of which a third goes on, at least one.
    pub fn rank(&self, trial: usize) -> Option<Rank> {
        let own = self.trials.get(trial)?;
        let rung = own.curve.len().checked_sub(1)?;
        let bracket = self.bracket(trial);
        let order = self.standing(rung, |at| self.bracket(*at) == bracket);
        let keep = (order.len() / REDUCTION).max(1);
        let place = order.iter().position(|at| *at == trial)?;
        let grams_to_last = self.whole(own) - own.grams;
        Some(Rank { rung, place, of: order.len(), keep, cut: order.get(keep - 1).copied(), grams_to_last })
    }

    /// What a trial promises that goes on from where it is, and the price of a gram; `None` while there is no model.
    fn promise(&self, trial: usize) -> Option<(Promise, f64)> {
        let model = self.models.first()?;
        if self.trials[trial].curve.len() > self.last_rung() {
            return None;
        }
        let model = self.with_beliefs(model, Some(trial));
        let stake = self.stake(&model);
        let price = self.price.unwrap_or(0.0) * self.doubt_factor();
        let one = self.going_on(&model, &stake, trial);
        let forecast = self.forecast_of(&model, &one, Look::ONCE.wider);
        let worth = self.policy(&one.payoff, &forecast, &one.grams, one.feasible, price);
        Some((self.promised(&model, &one, &forecast, worth), price))
    }

    /// A candidate's policy with all that there is to say about it.
    pub(super) fn promised(
        &self,
        model: &Model,
        one: &Candidate,
        forecast: &Forecast,
        worth: Staged,
    ) -> Promise {
        let (mean, sd) = (forecast.end(), forecast.end_sd());
        let value = |z: f64| model.warp.value(mean + z * sd);
        let gains: Vec<f64> = (0..NODES)
            .map(|node| {
                one.payoff.at(mean + sd * normal_quantile((f64::from(node) + 0.5) / f64::from(NODES)))
            })
            .collect();
        // In units of the largest: squares of losses beyond 1e154 are infinite.
        let unit = gains.iter().copied().fold(f64::MIN_POSITIVE, f64::max);
        let average = gains.iter().map(|gain| gain / unit).sum::<f64>() / f64::from(NODES);
        let variance =
            gains.iter().map(|gain| (gain / unit - average).powi(2)).sum::<f64>() / f64::from(NODES);
        let best = self.best_whole().map_or(f64::INFINITY, |(_, best)| best);
        Promise {
            gain: worth.gain,
            gain_sd: variance.sqrt() * unit,
            grams: worth.grams,
            grams_to_last: one.grams[one.from..].iter().sum(),
            chance: if best.is_finite() {
                student_cdf((model.warp.score(best) - mean) / sd, self.knobs.tail)
            } else {
                1.0
            },
            predicted: value(0.0),
            predicted_low: value(-1.645),
            predicted_high: value(1.645),
            learnt_from: self.trials.iter().filter(|trial| !trial.curve.is_empty()).count(),
        }
    }

    /// The trial with the best first objective, and that: of all that was seen with one objective, of whole trainings with
    /// several. It is what improvement is counted against.
    pub fn best_whole(&self) -> Option<(usize, f64)> {
        let first = self.primary();
        let value = |one: &Trial| if self.single() { one.kept[first] } else { one.latest[first] };
        let counts = |one: &Trial| !one.is_unfit() && (self.single() || one.place == Place::Complete);
        let counted = self.trials.iter().enumerate().filter(|(_, one)| counts(one));
        let best = counted.map(|(trial, one)| (trial, value(one))).min_by(|a, b| a.1.total_cmp(&b.1));
        best.filter(|(_, value)| value.is_finite())
    }
}
