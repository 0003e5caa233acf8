//! What to run next: of all paused trials and of new configurations, the one with the most expected gain per gram.

use gramwise_model::{Config, Pruner, Sampler, TrialId};
use gramwise_surrogate::{
    Forecast, MAX_RUNGS, Payoff, Staged, expected_improvement, log_expected_improvement,
};

use super::calibration::Calibration;
use super::model::Model;
use super::setting::{By, Choice, What};
use super::trials::Place;
use super::worth::Stake;
use super::{Strategy, feasibility};
use crate::rng::{Purpose, rng};

/// The price is halved so many times at most before any trial is taken.
const HALVINGS: usize = 40;
/// Before a search ends, so many times the candidates are looked at, and standard deviations are wider by this much.
const DOUBT_LOOK: usize = 8;
const DOUBT_WIDER: f64 = 1.25;
/// A promotion by rank may cost so many times the typical segment.
const RANK_COST: f64 = 3.0;
/// A guess at the standard deviation of a new trial's end, for the first look at many candidates.
const GUESSED_SD: f64 = 0.8;

/// A thing that could be run.
pub(super) struct Candidate {
    trial: Option<usize>,
    config: Config,
    pool: Option<usize>,
    x: Vec<f64>,
    /// The first rung at which it pauses.
    pub(super) from: usize,
    /// Grams of the segment that ends at each rung.
    pub(super) grams: [f64; MAX_RUNGS],
    /// The probability that it is of use.
    pub(super) feasible: f64,
    /// The payoff of its end, where it differs from others'.
    pub(super) payoff: Payoff,
    /// More gain per gram than this no policy has.
    bound: f64,
}

/// How hard to look.
#[derive(Clone, Copy)]
pub(super) struct Look {
    times: usize,
    pub(super) wider: f64,
}

impl Look {
    /// At each question.
    pub(super) const ONCE: Self = Self { times: 1, wider: 1.0 };
}

impl Strategy {
    /// The same, without these trials: they are elsewhere, and what they taught stays.
    #[must_use]
    pub fn without(&self, trials: impl Iterator<Item = usize>) -> Self {
        let mut other = self.clone();
        for trial in trials {
            if let Some(one) = other.trials.get_mut(trial) {
                one.place = Place::Over;
            }
        }
        other
    }

    /// What to do next. `left` is the grams that trials may still burn, if that is known. Looks, and changes nothing:
    /// [`Strategy::launched`] makes it so.
    pub fn choose(&self, left: Option<f64>) -> Choice {
        match self.setting.pruner {
            Pruner::GainPerKg => self.choose_by_gain(left),
            Pruner::None | Pruner::Median => self.choose_new(self.last_rung()),
            Pruner::Asha | Pruner::Hyperband => match self.promotable() {
                Some((trial, to)) => self.choice(What::Resume(trial), to, By::Rank),
                None => self.choose_new(self.bracket_start(self.bracket(self.trials.len()))),
            },
        }
    }

    fn choice(&self, what: What, to: usize, by: By) -> Choice {
        Choice { what, to, price: self.price.unwrap_or(0.0), by }
    }

    fn choose_by_gain(&self, left: Option<f64>) -> Choice {
        if !self.warm
            && let Some(choice) = self.cold_start(None, left)
        {
            return choice;
        }
        let Some(model) = self.models.first() else { return self.choose_new(self.first_rung()) };
        if self.knobs.hedge > 0
            && self.launches.is_multiple_of(self.knobs.hedge)
            && let Some((trial, to)) = self.by_rank()
        {
            return self.choice(What::Resume(trial), to, By::Rank);
        }
        let model = self.with_beliefs(model, None);
        let stake = self.stake(&model);
        let mut price = self.price.unwrap_or(0.0) * self.doubt_factor();
        let candidates = self.candidates(&model, &stake, Look::ONCE);
        let forecasts: Vec<Forecast> =
            candidates.iter().map(|one| self.forecast_of(&model, one, 1.0)).collect();
        for _ in 0..HALVINGS {
            if let Some((at, worth)) = self.best(&candidates, &forecasts, price) {
                return self.chosen(&model, &candidates[at], &forecasts[at], worth, price);
            }
            if self.setting.price.is_some() {
                return self.doubt(&model, &stake);
            }
            let nothing_new = candidates.iter().all(|one| one.trial.is_some());
            if !self.setting.exhaustive && nothing_new && self.sampled(self.trials.len()).is_none() {
                return self.nothing_left();
            }
            price *= 0.5;
        }
        // Nothing promises anything at any price: what is new teaches most.
        match self.sampled(self.trials.len()) {
            Some(what) => Choice { what, to: self.first_rung(), price, by: By::Sampler },
            None => self.nothing_left(),
        }
    }

    /// Nothing seems worth its carbon. Before that is said, everything that runs has ended, the model is fitted to all that is
    /// known, and many more candidates are looked at with wider forecasts.
    fn doubt(&self, model: &Model, stake: &Stake<'_>) -> Choice {
        // Where all that was seen is bad, a model believes that all is: it is not to be trusted before so much was seen.
        if self.spent < self.knobs.least * self.typical_whole()
            && let Some(what) = self.sampled(self.trials.len())
        {
            return self.choice(what, self.first_rung(), By::Sampler);
        }
        if self.trials.iter().any(|trial| trial.is_running() || trial.place == Place::Waiting) {
            return self.choice(What::Wait, 0, By::Nothing);
        }
        if self.models.iter().any(Model::has_grown) {
            return self.choice(What::Refit, 0, By::Nothing);
        }
        let price = self.price.unwrap_or(0.0) * self.doubt_factor();
        let look = Look { times: DOUBT_LOOK, wider: DOUBT_WIDER };
        let candidates = self.candidates(model, stake, look);
        let forecasts: Vec<Forecast> =
            candidates.iter().map(|one| self.forecast_of(model, one, DOUBT_WIDER)).collect();
        if let Some((at, worth)) = self.best(&candidates, &forecasts, price) {
            return self.chosen(model, &candidates[at], &forecasts[at], worth, price);
        }
        let why = "no trial, paused or new, is expected to gain what its carbon is worth".to_owned();
        self.choice(What::Done(why), 0, By::Nothing)
    }

    fn nothing_left(&self) -> Choice {
        let open = |place: Place| matches!(place, Place::Running(_) | Place::Waiting);
        if self.trials.iter().any(|trial| open(trial.place)) {
            return self.choice(What::Wait, 0, By::Nothing);
        }
        let by_halving = match self.setting.pruner {
            Pruner::GainPerKg | Pruner::Asha | Pruner::Hyperband => true,
            Pruner::None | Pruner::Median => false,
        };
        let any_whole = self.trials.iter().any(|trial| trial.place == Place::Complete);
        let is_enough = by_halving && !self.setting.exhaustive && any_whole;
        let paused = self.by_best().into_iter().find(|at| self.trials[*at].is_paused());
        if let Some(trial) = paused.filter(|_| !is_enough) {
            return self.choice(What::Resume(trial), self.next_rung(trial), By::Sampler);
        }
        if self.models.is_empty() && !self.fits_due(true).is_empty() {
            return self.choice(What::Refit, 0, By::Nothing);
        }
        let why = match (self.trials.len(), self.may_begin()) {
            (0, _) => "`forbidden` leaves no configuration to try".to_owned(),
            (tried, true) => format!("the space has no configuration beyond the {tried} that were tried"),
            (tried, false) => format!("all {tried} trials were run"),
        };
        let left = self.trials.iter().filter(|trial| trial.is_paused()).count();
        let unworthy = if left > 0 && self.setting.pruner == Pruner::GainPerKg {
            format!(", and none of the {left} paused ones is expected to gain what its carbon is worth")
        } else {
            String::new()
        };
        self.choice(What::Done(why + &unworthy), 0, By::Nothing)
    }

    /// A new configuration that is to run to a rung.
    fn choose_new(&self, to: usize) -> Choice {
        if let (Sampler::Gp, Some(model)) = (self.setting.sampler, self.models.first()) {
            let model = self.with_beliefs(model, None);
            let stake = self.stake(&model);
            let mut fresh = self.fresh(&model, &stake, Look::ONCE);
            let about: Vec<(&[f64], Option<usize>)> =
                fresh.iter().map(|one| (one.x.as_slice(), None)).collect();
            let best = model.warp.score(self.best);
            let mut ranked: Vec<(f64, usize)> = model
                .process
                .ends(&about)
                .into_iter()
                .enumerate()
                .map(|(at, (mean, sd))| {
                    let gain = if self.single() {
                        log_expected_improvement(mean, sd, best)
                    } else {
                        fresh[at].payoff.expected(mean, sd).max(1e-300).ln()
                    };
                    (gain + fresh[at].feasible.ln(), at)
                })
                .collect();
            ranked.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
            if let Some((_, at)) = ranked.first() {
                let Candidate { config, pool, .. } = fresh.swap_remove(*at);
                return self.choice(What::New { config, pool }, to, By::Sampler);
            }
        }
        match self.recalled(self.knobs.cold).or_else(|| self.sampled(self.trials.len())) {
            Some(what) => self.choice(what, to, By::Sampler),
            None => self.nothing_left(),
        }
    }

    /// The model, with what runs taken to come out at its mean.
    pub(super) fn with_beliefs(&self, model: &Model, held: Option<usize>) -> Model {
        let mut model = model.clone();
        for (index, trial) in self.trials.iter().enumerate() {
            if let (Place::Running(to), true) = (trial.place, held != Some(index)) {
                let place = model.place(index, &trial.x);
                model.process.believe(place, to);
            }
        }
        model
    }

    /// What could be run, the most promising by their bounds.
    fn candidates(&self, model: &Model, stake: &Stake<'_>, look: Look) -> Vec<Candidate> {
        let paused = self.standing_now().into_iter().filter(|trial| self.trials[*trial].is_paused());
        let paused = paused.take(self.knobs.paused * look.times);
        let mut candidates: Vec<Candidate> = paused.map(|trial| self.going_on(model, stake, trial)).collect();
        candidates.extend(self.fresh(model, stake, look));
        let about: Vec<(&[f64], Option<usize>)> = candidates
            .iter()
            .map(|one| (one.x.as_slice(), one.trial.and_then(|trial| model.known(trial))))
            .collect();
        let ends = model.process.ends(&about);
        for (one, (mean, sd)) in candidates.iter_mut().zip(ends) {
            let widen = self.calibration.factor(one.trial.is_none()) * look.wider;
            one.bound = one.feasible * one.payoff.expected(mean, sd * widen) / one.grams[one.from];
        }
        candidates.sort_by(|a, b| b.bound.total_cmp(&a.bound));
        candidates.truncate(self.knobs.full * look.times);
        candidates
    }

    /// A trial that could go on, as a candidate. Its bound is not computed.
    pub(super) fn going_on(&self, model: &Model, stake: &Stake<'_>, trial: usize) -> Candidate {
        let one = &self.trials[trial];
        let (from, grams) = (one.curve.len(), self.ahead(trial));
        let whole = one.grams + grams[from..].iter().sum::<f64>();
        let others = self.others(stake, &one.x, Some(trial), (whole, 0.0));
        Candidate {
            trial: Some(trial),
            config: Config::new(),
            pool: None,
            x: one.x.clone(),
            from,
            grams,
            feasible: if one.is_unfit() { feasibility::probability(&self.trials, &one.x) } else { 1.0 },
            payoff: self.payoff(stake, model, &others),
            bound: 0.0,
        }
    }

    /// Trials, the most promising by what is seen of them first.
    fn standing_now(&self) -> Vec<usize> {
        if self.single() {
            return self.by_best();
        }
        self.standing(0, |_| true)
    }

    /// New configurations, the most promising by their means.
    fn fresh(&self, model: &Model, stake: &Stake<'_>, look: Look) -> Vec<Candidate> {
        let mut looked: Vec<Candidate> = Vec::new();
        if !self.may_begin() {
            return looked;
        }
        let weights = model.process.mean_weights();
        let best = if self.single() { model.warp.score(self.best) } else { -1.0 };
        let from = self.first_rung();
        for (pool, config) in self.drawn(look) {
            if !self.is_new(&config) {
                continue;
            }
            let x = self.encoding.encode(&config);
            let mut grams = self.segments(&self.encoding.features(&x), None, 0);
            // A new trial does not pause before its first rung: what lies before is one segment with it.
            grams[from] = grams[..=from].iter().sum();
            let mean = model.process.quick_mean(&x, &weights);
            let bound = expected_improvement(mean, GUESSED_SD, best) / grams[from];
            let (trial, feasible) = (None, 1.0);
            let payoff = Payoff::new(|_| 0.0);
            looked.push(Candidate { trial, config, pool, x, from, grams, feasible, payoff, bound });
        }
        looked.sort_by(|a, b| b.bound.total_cmp(&a.bound));
        looked.truncate(self.knobs.shortlist * look.times);
        let spread = self.emissions.as_ref().map_or(0.0, super::emissions::Emissions::spread);
        for one in &mut looked {
            one.feasible = feasibility::probability(&self.trials, &one.x);
            let whole: f64 = one.grams[from..].iter().sum();
            one.payoff = self.payoff(stake, model, &self.others(stake, &one.x, None, (whole, spread)));
        }
        looked
    }

    /// Configurations to look at: anywhere in the space, and near the best trials.
    fn drawn(&self, look: Look) -> Vec<(Option<usize>, Config)> {
        let address = TrialId(u32::try_from(self.launches).unwrap_or(u32::MAX));
        let purpose = if look.times > 1 { Purpose::Doubt } else { Purpose::Candidates };
        let mut dice = rng(self.setting.seed, address, purpose);
        let (random, near) = (self.knobs.random * look.times, self.knobs.near * look.times);
        if !self.setting.pool.is_empty() {
            let drawn = self.pool_draws(&mut dice, random + near);
            return drawn.into_iter().map(|(at, config)| (Some(at), config)).collect();
        }
        if self.setting.sampler != Sampler::Gp {
            return match self.sampled(self.trials.len()) {
                Some(What::New { config, pool }) => vec![(pool, config)],
                Some(What::Resume(_) | What::Wait | What::Refit | What::Done(_)) | None => Vec::new(),
            };
        }
        let mut units: Vec<Vec<f64>> = (0..random).map(|_| self.random_unit(&mut dice)).collect();
        let best = self.standing_now();
        let best = &best[..best.len().min(self.knobs.near_best)];
        for at in 0..if best.is_empty() { 0 } else { near } {
            let trial = &self.trials[best[at % best.len()]];
            units.push(self.encoding.perturbed(&trial.unit, &trial.x, self.knobs.near_scale, &mut dice));
        }
        units.iter().map(|unit| (None, self.encoding.config(unit))).collect()
    }

    pub(super) fn forecast_of(&self, model: &Model, one: &Candidate, wider: f64) -> Forecast {
        let new = one.trial.is_none();
        let widen = self.calibration.factor(new) * wider;
        let known = one.trial.and_then(|trial| model.known(trial));
        forecast(model, &one.x, known, (new, one.from), widen)
    }

    /// The candidate with the most gain per gram among those that are worth their grams.
    fn best(&self, candidates: &[Candidate], forecasts: &[Forecast], price: f64) -> Option<(usize, Staged)> {
        let bold = self.knobs.bold > 0 && self.launches % self.knobs.bold == 1;
        let mut best: Option<(usize, Staged)> = None;
        for (at, (one, forecast)) in candidates.iter().zip(forecasts).enumerate() {
            // The quadratures of bound and policy differ by some per cent.
            if !bold && best.is_some_and(|(_, known)| known.gain / known.grams > 1.1 * one.bound) {
                break;
            }
            let worth = self.policy(&one.payoff, forecast, &one.grams, one.feasible, price);
            let better = best.is_none_or(|(_, known)| {
                if bold {
                    worth.value > known.value
                } else {
                    worth.gain / worth.grams > known.gain / known.grams
                }
            });
            if worth.value > 0.0 && better {
                best = Some((at, worth));
            }
        }
        best
    }

    /// The best paused trial of the highest rung at which it is in the best third of those that got there, unless it is dear.
    fn by_rank(&self) -> Option<(usize, usize)> {
        let typical: Vec<[f64; MAX_RUNGS]> =
            self.trials.iter().map(|trial| self.segments(&trial.features, None, 0)).collect();
        (0..self.last_rung()).rev().find_map(|rung| {
            let order = self.standing(rung, |_| true);
            let mut costs: Vec<f64> = typical.iter().map(|segments| segments[rung + 1]).collect();
            costs.sort_by(f64::total_cmp);
            let affordable = RANK_COST * costs.get(costs.len() / 2)?;
            let promotable = |trial: &&usize| {
                let one = &self.trials[**trial];
                one.is_paused() && one.curve.len() == rung + 1 && self.ahead(**trial)[rung + 1] <= affordable
            };
            order[..order.len() / 3].iter().find(promotable).map(|trial| (*trial, rung + 1))
        })
    }

    fn chosen(
        &self,
        model: &Model,
        one: &Candidate,
        forecast: &Forecast,
        worth: Staged,
        price: f64,
    ) -> Choice {
        let what = match one.trial {
            Some(trial) => What::Resume(trial),
            None => What::New { config: one.config.clone(), pool: one.pool },
        };
        Choice { what, to: one.from, price, by: By::Gain(self.promised(model, one, forecast, worth)) }
    }

    /// What is stated of a trial that is launched now.
    pub(super) fn state(
        &self,
        trial: usize,
        new: bool,
        from: usize,
    ) -> Option<super::calibration::Statement> {
        let first = self.primary();
        let model = self.models.iter().find(|model| model.objective == first)?;
        let widen = self.calibration.factor(new);
        let forecast = forecast(model, &self.trials[trial].x, model.known(trial), (new, from), widen);
        Some(Calibration::statement(new, &forecast, &model.warp))
    }
}

/// The forecast of a configuration that pauses at a rung for the first time.
fn forecast(
    model: &Model,
    x: &[f64],
    known: Option<usize>,
    (new, from): (bool, usize),
    widen: f64,
) -> Forecast {
    if !new {
        return model.process.forecast(x, known, from, widen);
    }
    let mut forecast = model.process.forecast(x, known, 0, widen);
    for rung in 0..from {
        forecast.steps[from] = forecast.steps[from].hypot(forecast.steps[rung]);
    }
    forecast.from = from;
    forecast
}
