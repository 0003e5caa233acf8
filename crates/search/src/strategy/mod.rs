//! The search itself, without workers, leases or books: ask it what to run next, tell it what was seen.
//!
//! One figure decides everything, the *expected gain per gram* of letting a trial run on with the option to stop it again
//! ([`gramwise_surrogate::staged`]): whether to start a new configuration or to resume a paused one, which, and whether
//! anything is worth its carbon at all. `docs/design/search.md` explains it.
//!
//! [`Strategy::choose`], [`Strategy::judge`] and [`Strategy::word`] look; [`Strategy::started`], [`Strategy::launched`],
//! [`Strategy::seen`], [`Strategy::ended`] and [`Strategy::fitted`] change. Equal changes in equal order give an equal strategy, and it decides
//! alike: nothing is drawn from a generator that is stored, no clock is read, and a fit is data that comes back.

mod ask_tell;
mod calibration;
mod choose;
mod cold;
mod earlier;
mod emissions;
mod encoding;
mod feasibility;
mod halving;
mod judge;
mod knobs;
mod model;
mod sampling;
mod setting;
mod trials;
mod worth;

use std::collections::BTreeSet;
use std::sync::Arc;

use gramwise_model::{Config, TrialId};
pub use gramwise_model::{Pruner, Sampler};
use gramwise_surrogate::{MAX_RUNGS, Parameters};
use rand::seq::SliceRandom;
use serde::{Deserialize, Serialize};

use crate::rng::{Purpose, rng};
pub use ask_tell::{AskTell, Doomed};
use calibration::Calibration;
pub use earlier::EarlierTrial;
use emissions::{Burnt, Emissions};
pub(crate) use encoding::Encoding;
pub use knobs::Knobs;
pub use model::FitTask;
use model::{Model, by_best, fit_task};
pub use setting::{
    Against, By, Choice, Fate, FirstPrice, Goal, Judgement, Launch, Promise, Rank, Seen, Setting, What, Why,
    Word,
};
use trials::{Place, Trial};
use worth::Frame;

/// Emissions are learnt anew when this much more was reported.
const RELEARN: f64 = 1.03;
/// With several objectives a first segment is at most this part of a whole training.
const SHORT: u64 = 4;
/// The standard deviation of the logarithm of what a trial burns next, once it has burnt something.
const OWN_SPREAD: f64 = 0.1;
/// No reservation is larger than so many times what is expected.
const MOST_PRUDENT: f64 = 5.0;
/// A whole training is to gain no less and no more of the spread than this, whatever the budget.
const LEAST_SHARE: f64 = 0.001;
const LARGEST_SHARE: f64 = 0.2;
/// Random configurations that say what is typical of a space.
const TYPICAL: usize = 64;

/// The search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Strategy {
    setting: Setting,
    knobs: Knobs,
    encoding: Encoding,
    rungs: Vec<u64>,
    trials: Vec<Trial>,
    /// Those of earlier sweeps, and their configurations.
    earlier: Vec<Trial>,
    earlier_configs: Vec<Arc<Config>>,
    /// Keys of the trials' configurations.
    known: BTreeSet<String>,
    /// One for each reported objective once it was fitted, the primary first.
    models: Vec<Model>,
    emissions: Option<Emissions>,
    /// Reports when emissions were last learnt.
    learnt_at: usize,
    reports: usize,
    launches: u64,
    /// Objective units per gram.
    price: Option<f64>,
    first_price: Option<FirstPrice>,
    /// What a gram promised to buy where one was last given, in objective units per gram.
    rate: Option<f64>,
    /// The best cost so far (one objective).
    best: f64,
    /// Grams that trials reported, and how many of them when something last improved.
    spent: f64,
    improved_at: f64,
    /// How several objectives are put on one scale.
    frame: Option<Frame>,
    calibration: Calibration,
    /// The cold start is over.
    warm: bool,
    /// Points of the grid before this one are known or not allowed.
    grid_from: u64,
}

impl Strategy {
    /// A search that has seen nothing.
    pub fn new(mut setting: Setting, knobs: Knobs) -> Self {
        let factor = match setting.pruner {
            Pruner::Asha | Pruner::Hyperband => 3,
            Pruner::GainPerKg | Pruner::None | Pruner::Median => 2,
        };
        let stated = std::mem::take(&mut setting.earlier);
        let encoding = Encoding::new(&setting.space, !stated.is_empty());
        let rungs = rungs(setting.first_step.max(1), setting.last_step.max(1), factor);
        let earlier = stated.iter().map(|one| one.as_trial(&encoding, &setting.objectives, &rungs)).collect();
        let earlier: Vec<Trial> = earlier;
        let mut strategy = Self {
            encoding,
            rungs,
            earlier_configs: earlier.iter().map(|trial| trial.config.clone()).collect(),
            earlier,
            knobs,
            trials: Vec::new(),
            known: BTreeSet::new(),
            models: Vec::new(),
            emissions: None,
            learnt_at: 0,
            reports: 0,
            launches: 0,
            price: setting.price,
            first_price: None,
            rate: None,
            best: f64::INFINITY,
            spent: 0.0,
            improved_at: 0.0,
            frame: None,
            calibration: Calibration::new(knobs.widen),
            warm: false,
            grid_from: 0,
            setting,
        };
        strategy.learn_emissions();
        strategy
    }

    /// What it is about.
    pub fn setting(&self) -> &Setting {
        &self.setting
    }

    /// The steps at which trials are compared and may be paused.
    pub fn rungs(&self) -> &[u64] {
        &self.rungs
    }

    /// Grams that trials burnt.
    pub fn spent(&self) -> f64 {
        self.spent
    }

    /// Statements of 5 % quantiles that an outcome was held against, and how many outcomes fell below.
    pub fn calibration(&self) -> (u64, u64) {
        self.calibration.record()
    }

    /// A trial exists, with this configuration; its index is the number of trials before it.
    pub fn started(&mut self, config: impl Into<Arc<Config>>) -> usize {
        let config = config.into();
        self.known.insert(sampling::key(&config));
        self.trials.push(Trial::new(config, &self.encoding, self.setting.objectives.len()));
        self.skip_known_grid_points();
        self.trials.len() - 1
    }

    /// A trial runs, to a rung at least, as a [`Choice`] or a [`Judgement`] said.
    pub fn launched(&mut self, trial: usize, Launch { to, price, warm, rate }: Launch) {
        let Some(one) = self.trials.get(trial) else { return };
        let new = one.place == Place::Waiting && one.step == 0;
        let from = one.curve.len();
        let to = to.clamp(from.min(self.last_rung()), self.last_rung());
        let ahead = if new { self.segments(&one.features, None, 0) } else { self.ahead(trial) };
        let expected: f64 = ahead[from.min(to)..=to].iter().sum();
        let limit = one.grams + self.knobs.overrun * expected;
        let bounded =
            self.setting.pruner == Pruner::GainPerKg && self.emissions.is_some() && self.knobs.overrun > 0.0;
        let statement =
            if from <= self.last_rung() { self.state(trial, new, if new { to } else { from }) } else { None };
        let one = &mut self.trials[trial];
        one.limit = if bounded { limit } else { f64::INFINITY };
        one.place = Place::Running(to);
        one.stated = statement;
        self.launches += u64::from(warm);
        self.warm |= warm;
        self.rate = rate.or(self.rate);
        if warm && self.setting.price.is_none() && price > 0.0 {
            self.price = Some(price);
        }
    }

    /// A trial reported. [`Strategy::word`] says what becomes of it.
    pub fn seen(&mut self, trial: usize, seen: &Seen) {
        self.reports += 1;
        let running_minimum = self.single();
        let Some(one) = self.trials.get_mut(trial) else { return };
        let before = one.grams;
        let reached = one.take(seen, &self.setting.objectives, &self.rungs);
        self.spent += one.grams - before;
        // With several objectives any whole training may improve the front.
        let best = self.best_whole().map_or(f64::INFINITY, |(_, best)| best);
        if (running_minimum && best < self.best)
            || (!running_minimum && seen.last && !self.trials[trial].is_unfit())
        {
            self.improved_at = self.spent;
        }
        self.best = best;
        for rung in reached {
            self.learn(trial, rung);
        }
        self.learn_emissions();
        if seen.last {
            self.trials[trial].place = Place::Complete;
        }
    }

    /// What becomes of a trial after its last report. Looks, and changes nothing.
    pub fn word(&self, trial: usize) -> Word {
        let Some(one) = self.trials.get(trial) else { return Word::Stop };
        let Place::Running(to) = one.place else {
            return if one.place == Place::Complete { Word::Continue } else { Word::Stop };
        };
        if self.has_diverged(one) {
            return Word::Stop;
        }
        match self.setting.pruner {
            Pruner::None => Word::Continue,
            Pruner::Median => self.by_median(trial),
            Pruner::GainPerKg | Pruner::Asha | Pruner::Hyperband => {
                if one.curve.len() > to || one.grams > one.limit { Word::Pause } else { Word::Continue }
            }
        }
    }

    /// Did the first objective come to nothing finite?
    fn has_diverged(&self, one: &Trial) -> bool {
        one.failed && !one.latest[self.primary()].is_finite()
    }

    /// A trial that was doomed runs on, to measure what ending trials costs.
    pub fn audited(&mut self, trial: usize) {
        if let Some(one) = self.trials.get_mut(trial) {
            one.audited = true;
        }
    }

    /// A trial's attempt is over.
    pub fn ended(&mut self, trial: usize, fate: Fate) {
        let Some(one) = self.trials.get_mut(trial) else { return };
        one.place = match fate {
            Fate::Complete => Place::Complete,
            Fate::Paused => Place::Paused,
            Fate::Stopped | Fate::Failed => Place::Over,
        };
        one.failed |= fate == Fate::Failed;
    }

    /// Fits that are due because enough was seen since the last; with `now`, because anything was.
    pub fn fits_due(&self, now: bool) -> Vec<FitTask> {
        if self.setting.pruner != Pruner::GainPerKg && self.setting.sampler != Sampler::Gp {
            return Vec::new();
        }
        // What others did says nothing of this search's own scale.
        if self.trials.iter().all(|trial| trial.curve.is_empty()) {
            return Vec::new();
        }
        let model_of = |objective: usize| self.models.iter().find(|model| model.objective == objective);
        let is_due = |objective: &usize| {
            model_of(*objective).is_none_or(|model| {
                let grown = model.process.observations() as f64 >= self.knobs.refit * model.built_with as f64;
                grown || (now && model.has_grown())
            })
        };
        let reported = self.in_order().filter(|at| self.setting.objectives[*at] == Goal::Reported);
        let due: Vec<usize> = reported.filter(is_due).collect();
        if due.is_empty() {
            return Vec::new();
        }
        let everyone = self.everyone();
        let mut order = by_best(self.primary(), &everyone);
        let address = TrialId(u32::try_from(self.launches).unwrap_or(u32::MAX));
        order.shuffle(&mut rng(self.setting.seed, address, Purpose::Fit));
        let task = |objective: usize| {
            let model = model_of(objective);
            let start = model.map_or_else(
                || Parameters::prior(self.encoding.axes().len()),
                |model| model.parameters.clone(),
            );
            let about = (self.encoding.axes(), self.rungs.as_slice());
            fit_task(objective, &start, about, &everyone, &self.knobs, &order)
        };
        due.into_iter().filter_map(task).collect()
    }

    /// Takes in what a fit found, as logarithms of parameters. What cannot be of this search changes nothing.
    pub fn fitted(&mut self, objective: usize, logs: &[f64]) {
        let about = (self.encoding.axes(), self.rungs.as_slice());
        let parameters = Parameters::from_logs(logs.to_vec(), self.encoding.axes().len());
        let is_known = self.setting.objectives.get(objective) == Some(&Goal::Reported);
        let everyone = (self.earlier.as_slice(), self.trials.as_slice());
        let build = |parameters| Model::build(objective, &parameters, about, everyone, &self.knobs);
        let Some(model) = parameters.filter(|_| is_known).and_then(build) else { return };
        self.models.retain(|model| model.objective != objective);
        self.models.push(model);
        let primary = self.primary();
        self.models.sort_by_key(|model| (model.objective != primary, model.objective));
        if !self.single() {
            self.frame = Some(self.new_frame());
        }
        // The more of the beginning is seen, the better is its spread known.
        if self.setting.price.is_none() && !self.warm && self.emissions.is_some() {
            let first = self.worth_of_a_training();
            self.price = Some(first.price);
            self.first_price = Some(first);
        }
    }

    /// All trials, those of earlier sweeps first.
    fn everyone(&self) -> Vec<&Trial> {
        self.earlier.iter().chain(&self.trials).collect()
    }

    /// The search's own trials that reached a rung, best first.
    fn by_best(&self) -> Vec<usize> {
        by_best(self.primary(), &self.trials.iter().collect::<Vec<_>>())
    }

    /// May a trial go on? One that is paused, or is held at its rung while it is weighed.
    fn may_go_on(&self, trial: usize, held: Option<usize>) -> bool {
        self.trials[trial].is_paused() || held == Some(trial)
    }

    /// May another configuration be begun?
    fn may_begin(&self) -> bool {
        self.setting.most_trials.is_none_or(|most| self.trials.len() < most)
    }

    fn single(&self) -> bool {
        self.setting.objectives.len() == 1
    }

    fn last_rung(&self) -> usize {
        self.rungs.len() - 1
    }

    /// The rung that a new trial runs to at least: one report says little. With several objectives, where only whole trainings
    /// count, short ones are not begun with half of themselves.
    fn first_rung(&self) -> usize {
        let short = if self.single() { u64::MAX } else { self.setting.last_step / SHORT };
        let least = self.knobs.first_steps.min(short);
        self.rungs.iter().position(|step| *step >= least).unwrap_or(self.last_rung())
    }

    fn learn(&mut self, trial: usize, rung: usize) {
        let one = &self.trials[trial];
        let outcome = one.curve[rung][self.primary()];
        if let Some(statement) = &one.stated {
            self.calibration.hold(statement, rung, outcome);
        }
        for model in &mut self.models {
            model.observe(trial, one, rung);
        }
    }

    fn learn_emissions(&mut self) {
        if self.emissions.is_some() && (self.reports as f64) < RELEARN * self.learnt_at as f64 {
            return;
        }
        let seen = self.everyone().into_iter().flat_map(|trial| {
            trial.grams_at.iter().enumerate().map(|(rung, grams)| Burnt {
                features: &trial.features,
                step: self.rungs[rung].min(trial.step),
                grams: *grams,
            })
        });
        self.emissions = Emissions::learn(seen).or(self.emissions.take());
        self.learnt_at = self.reports;
    }

    /// Grams of the segments from a rung on.
    fn segments(&self, features: &[f64], so_far: Option<(u64, f64)>, from: usize) -> [f64; MAX_RUNGS] {
        if let Some(emissions) = &self.emissions {
            return emissions.segments(features, so_far, &self.rungs, from);
        }
        // No meter saw anything burn yet: steps stand for grams.
        let mut even = [0.0; MAX_RUNGS];
        let mut before = if from == 0 { 0 } else { self.rungs[from - 1] };
        for (grams, step) in even.iter_mut().zip(&self.rungs).skip(from) {
            *grams = (step - before) as f64 * 1e-12;
            before = *step;
        }
        even
    }

    /// Grams of the segments that a paused trial has before it.
    fn ahead(&self, trial: usize) -> [f64; MAX_RUNGS] {
        let one = &self.trials[trial];
        self.segments(&one.features, Some((one.step, one.grams)), one.curve.len())
    }

    /// What gains are worth less for having been promised in vain: with a gamma prior that holds one success in `drought` whole
    /// trainings, a rate is expected to be `drought / (drought + F)` of itself after `F` without one. As a factor on the price.
    fn doubt_factor(&self) -> f64 {
        if self.setting.price.is_none() || self.knobs.drought <= 0.0 {
            return 1.0;
        }
        1.0 + (self.spent - self.improved_at) / (self.knobs.drought * self.typical_whole())
    }

    /// Grams of a typical whole training: the median over random configurations.
    pub(super) fn typical_whole(&self) -> f64 {
        let whole = |x: &Vec<f64>| self.segments(&self.encoding.features(x), None, 0).iter().sum::<f64>();
        let mut whole: Vec<f64> = self.typical().iter().map(whole).collect();
        whole.sort_by(f64::total_cmp);
        whole[whole.len() / 2]
    }

    /// Configurations that say what is typical of the space, in the model's space.
    fn typical(&self) -> Vec<Vec<f64>> {
        let mut dice = rng(self.setting.seed, TrialId(0), Purpose::Typical);
        let point = |_| self.encoding.encode(&self.encoding.config(&self.random_unit(&mut dice)));
        (0..TYPICAL).map(point).collect()
    }

    /// A share of the initial spread for a typical whole training: all that the budget allows are to gain it once, and without a
    /// budget of grams or trials it is `worth`.
    fn worth_of_a_training(&self) -> FirstPrice {
        let first = self.primary();
        let mut best: Vec<f64> =
            self.trials.iter().map(|trial| trial.best[first]).filter(|best| best.is_finite()).collect();
        best.sort_by(f64::total_cmp);
        let spread = match (best.first(), best.get(best.len() / 2)) {
            (Some(lowest), Some(middle)) if self.single() => {
                Some((middle - lowest).max(1e-6 * lowest.abs()).max(1e-300))
            }
            _ => None,
        };
        let whole = self.typical_whole();
        let by_grams = self.setting.most_grams.map(|grams| grams / whole);
        let by_trials = self.setting.most_trials.map(|trials| trials as f64);
        let trainings = by_grams.into_iter().chain(by_trials).reduce(f64::min);
        let share = trainings
            .map_or(self.knobs.worth, |trainings| (1.0 / trainings).clamp(LEAST_SHARE, LARGEST_SHARE));
        FirstPrice { share, spread, whole, trainings, price: share * spread.unwrap_or(1.0) / whole }
    }

    /// How the first price came about, where the user stated none.
    pub fn first_price(&self) -> Option<FirstPrice> {
        self.first_price
    }

    /// Grams that a trial, known or about to start, burns at most (at 95 %) from where it is to a rung; without one, to where it
    /// runs already. Zero while nothing is known.
    pub fn most_grams(&self, trial: usize, config: &Config, to: Option<usize>) -> f64 {
        let Some(emissions) = &self.emissions else { return 0.0 };
        let one = self.trials.get(trial);
        let (from, running_to) = match one {
            Some(one) => (one.curve.len(), if let Place::Running(to) = one.place { Some(to) } else { None }),
            None => (0, None),
        };
        let to = to.or(running_to).unwrap_or(self.last_rung()).min(self.last_rung());
        let known = one.filter(|one| one.step > 0);
        let segments = match known {
            Some(_) => self.ahead(trial),
            None => self.segments(&self.encoding.features(&self.encoding.encode(config)), None, 0),
        };
        let expected: f64 = segments[from.min(to)..=to].iter().sum();
        let spread = if known.is_some() { OWN_SPREAD } else { emissions.spread() };
        (expected * (1.645 * spread).exp().min(MOST_PRUDENT)).min(1e300)
    }

    /// Each objective from the best that was seen to what is typical of the space; grams from the least to the most that is
    /// predicted, in logarithms.
    fn new_frame(&self) -> Frame {
        let typical = self.typical();
        let ends = |objective: usize| -> (f64, f64) {
            let values =
                self.trials.iter().map(|trial| trial.best[objective]).filter(|value| value.is_finite());
            let low = values.clone().fold(f64::INFINITY, f64::min);
            let Some(model) = self.models.iter().find(|model| model.objective == objective) else {
                return (0.0, 1.0);
            };
            let about: Vec<(&[f64], Option<usize>)> = typical.iter().map(|x| (x.as_slice(), None)).collect();
            let mut means: Vec<f64> =
                model.process.ends(&about).into_iter().map(|(mean, _)| model.warp.value(mean)).collect();
            means.sort_by(f64::total_cmp);
            let high = means[means.len() / 2];
            if high > low { (low, high) } else { (low, values.fold(low, f64::max)) }
        };
        let grams = || -> (f64, f64) {
            let whole = typical
                .iter()
                .map(|x| self.segments(&self.encoding.features(x), None, 0).iter().sum::<f64>());
            let seen =
                self.trials.iter().filter(|trial| trial.place == Place::Complete).map(|trial| trial.grams);
            let all = whole.chain(seen).map(|grams| grams.max(f64::MIN_POSITIVE));
            all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), one| (low.min(one), high.max(one)))
        };
        let goals = self.setting.objectives.iter().enumerate();
        Frame::new(goals.map(|(at, goal)| match goal {
            Goal::Reported => ends(at),
            Goal::Grams => grams(),
        }))
    }
}

/// Steps from the first, each `factor` times the one before, up to the last; at most [`MAX_RUNGS`], beyond that evenly in the
/// logarithm.
fn rungs(first: u64, last: u64, factor: u64) -> Vec<u64> {
    let first = first.min(last);
    let mut rungs: Vec<u64> = std::iter::successors(Some(first), |step| step.checked_mul(factor))
        .take_while(|step| *step < last)
        .collect();
    if rungs.len() > 1 && rungs.last().is_some_and(|step| (last as f64) < 1.3 * *step as f64) {
        rungs.pop();
    }
    rungs.push(last);
    if rungs.len() > MAX_RUNGS {
        let (low, high) = (first as f64, last as f64);
        let even = |at: usize| (low * (high / low).powf(at as f64 / (MAX_RUNGS - 1) as f64)).round();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between the first and last step"
        )]
        let all = (0..MAX_RUNGS).map(|at| if at + 1 == MAX_RUNGS { last } else { even(at) as u64 });
        rungs = all.collect();
        rungs.dedup();
    }
    rungs
}

#[cfg(test)]
mod tests {
    use gramwise_model::hyperparameter::Hyperparameter;
    use gramwise_model::{Space, Value};

    use super::*;

    #[test]
    fn rungs_double_and_end_at_the_last_step() {
        assert_eq!(rungs(1, 50, 2), [1, 2, 4, 8, 16, 32, 50]);
        assert_eq!(rungs(1, 1, 2), [1]);
        assert_eq!(rungs(3, 25, 3), [3, 9, 25]);
        assert_eq!(rungs(5, 2, 2), [2]);
        let long = rungs(1, 100_000, 2);
        assert!(long.len() == MAX_RUNGS && long.is_sorted() && long[7] == 100_000);
    }

    #[test]
    fn a_constraint_counts_by_the_latest_report() {
        let x = Hyperparameter {
            name: "x".to_owned(),
            kind: "float".to_owned(),
            lower: Some(0.0),
            upper: Some(1.0),
            log: false,
            choices: None,
            condition: None,
        };
        let space = Space::from_hyperparameters(&[x]).unwrap();
        let mut search = Strategy::new(Setting::new(space, 8, vec![Goal::Reported]), Knobs::default());
        let x = |x: f64| Config::from([("x".to_owned(), Value::Float(x))]);
        let (one, two) = (search.started(x(0.5)), search.started(x(0.6)));
        search.launched(one, Launch::unpriced(3, false));
        search.launched(two, Launch::unpriced(3, false));
        let seen = |step: u64, cost: f64, feasible: bool| Seen {
            step,
            costs: vec![cost],
            grams: step as f64,
            last: false,
            feasible,
        };
        search.seen(one, &seen(1, 0.02, false));
        assert_eq!(search.best_whole(), None, "what breaks a constraint is not best");
        search.seen(one, &seen(2, 0.1, true));
        assert_eq!(
            search.best_whole(),
            Some((0, 0.1)),
            "it keeps them now, and what it was worth before does not count"
        );
        search.seen(two, &seen(1, 0.3, true));
        search.seen(one, &seen(3, 0.05, false));
        assert_eq!(search.best_whole(), Some((1, 0.3)));
        assert_eq!(search.best.to_bits(), 0.3f64.to_bits(), "gains are counted against the best that holds");
    }
}
