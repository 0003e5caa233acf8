//! The beginning, when there is nothing to model yet: all to a low rung, the best third some rungs further, one to the end.
//!
//! The one that runs to its end, the scout, shows how curves go on; without it, forecasts of late rungs are worth little. It
//! must not be dear: at most one and a half times the median. With several objectives only whole trainings count: the design
//! is smaller, none climbs, and the best is followed by the cheapest of the better half.

use gramwise_surrogate::Sobol;
use rand::{Rng, RngExt};

use super::Strategy;
use super::setting::{By, Choice, What};
use super::trials::{Place, Trial};
use crate::rng::{Purpose, rng};
use gramwise_model::TrialId;

/// The scout may cost so many times the median whole training.
const SCOUT: f64 = 1.5;
/// A trial runs to its end while so many times its grams are left.
const PRUDENT: f64 = 2.0;
/// Rungs that the best third of the design climbs before the model takes over.
const CLIMB: usize = 2;

impl Strategy {
    /// The next step of the beginning; `None` once the model can take over. A budget that is about to end is better spent on the
    /// end of one trial than on the beginnings of many.
    pub(super) fn cold_start(&self, held: Option<usize>, left: Option<f64>) -> Option<Choice> {
        if let Some(choice) = self.last_chance(held, left) {
            return Some(choice);
        }
        let cold = if self.single() { self.knobs.cold } else { self.knobs.cold_several };
        let design = cold
            .max(self.setting.workers.min(4 * self.knobs.cold))
            .min(self.setting.most_trials.unwrap_or(usize::MAX));
        let last = self.last_rung();
        let low = self.first_rung();
        let middle = (low + CLIMB).min(last);
        if self.trials.len() < design
            && let Some(what) = self.recalled(design).or_else(|| self.sampled(self.trials.len()))
        {
            return Some(self.cold(what, low));
        }
        let design = design.min(self.trials.len());
        if self.trials.iter().any(|trial| trial.is_running() && trial.curve.len() <= low) {
            return Some(self.cold(What::Wait, 0));
        }
        let mut order: Vec<usize> =
            (0..self.trials.len()).filter(|trial| self.trials[*trial].curve.len() > low).collect();
        let at = |trial: &usize| self.trials[*trial].curve[low][self.primary()];
        order.sort_by(|a, b| at(a).total_cmp(&at(b)));
        let climbers = if self.single() { (design / 3).max(1) } else { 0 };
        for &trial in order.iter().take(climbers) {
            if self.may_go_on(trial, held) && self.trials[trial].curve.len() <= middle {
                return Some(self.cold(What::Resume(trial), middle));
            }
        }
        let scouts = self.scouts();
        if scouts >= if self.single() { 1 } else { self.knobs.scouts_several } {
            return None;
        }
        let mut totals: Vec<f64> = self.trials.iter().map(|trial| self.whole(trial)).collect();
        let all = totals.clone();
        totals.sort_by(f64::total_cmp);
        let affordable = SCOUT * totals.get(totals.len() / 2)?;
        let mut paused = order;
        paused.retain(|trial| self.may_go_on(*trial, held) && all[*trial] <= affordable);
        let scout = if scouts.is_multiple_of(2) {
            paused.into_iter().next()
        } else {
            let half = paused.len().div_ceil(2);
            paused.into_iter().take(half).min_by(|a, b| all[*a].total_cmp(&all[*b]))
        };
        Some(self.cold(What::Resume(scout?), last))
    }

    /// How many trials run or ran to their end.
    fn scouts(&self) -> usize {
        let scouted = |trial: &&Trial| match trial.place {
            Place::Complete => true,
            Place::Running(to) => to == self.last_rung(),
            Place::Waiting | Place::Paused | Place::Over => false,
        };
        self.trials.iter().filter(scouted).count()
    }

    /// The best trial runs to its end if little more than that is left, and none did.
    fn last_chance(&self, held: Option<usize>, left: Option<f64>) -> Option<Choice> {
        let left = left.filter(|_| self.scouts() == 0)?;
        let open = self.by_best().into_iter().filter(|trial| self.may_go_on(*trial, held));
        // As much as is set aside for it.
        let most =
            |trial: &usize| self.most_grams(*trial, &self.trials[*trial].config, Some(self.last_rung()));
        let best = open.into_iter().find(|trial| most(trial) <= left)?;
        (left < PRUDENT * most(&best)).then(|| self.cold(What::Resume(best), self.last_rung()))
    }

    fn cold(&self, what: What, to: usize) -> Choice {
        let by = if what == What::Wait { By::Nothing } else { By::ColdStart };
        Choice { what, to, price: self.price.unwrap_or(0.0), by }
    }

    /// The point of a sequence that covers the space evenly; spaces beyond its dimensions are drawn at random.
    pub(super) fn even_point(&self, index: usize) -> Vec<f64> {
        let dimensions = self.encoding.space().parameters().len();
        match (Sobol::new(self.setting.seed, dimensions), u32::try_from(index)) {
            (Some(sobol), Ok(index)) => sobol.point(index),
            (None, _) | (_, Err(_)) => {
                let address = TrialId(u32::try_from(index).unwrap_or(u32::MAX));
                self.random_unit(&mut rng(self.setting.seed, address, Purpose::Sample))
            }
        }
    }

    pub(super) fn random_unit(&self, dice: &mut impl Rng) -> Vec<f64> {
        self.encoding.space().parameters().iter().map(|_| dice.random()).collect()
    }
}
