//! What the strategy decided, in the sweep's terms and with its numbers: what `explain` prints.

use std::collections::BTreeMap;

use gramwise_carbon::GramsCo2e;
use gramwise_model::{Because, Comparison, GainEstimate, GainPerKg, Guard, Metric};

use crate::money::mass;
use crate::state::{Step, Sweep, Trial};
use crate::strategy::{Against, By, Choice, Judgement, Promise, Rank, What, Why};
use crate::sweep_strategy::{index, trial_id};

/// Why a trial is run: a new one, or one that goes on.
pub(crate) fn of_choice(sweep: &Sweep, choice: &Choice) -> Because {
    let resumed = match choice.what {
        What::Resume(resumed) => sweep.trials.get(&trial_id(resumed)),
        What::New { .. } | What::Wait | What::Refit | What::Done(_) => None,
    };
    match (&choice.by, resumed) {
        (By::Gain(promise), trial) => {
            Because::Gain(estimate(sweep, trial, promise, Against::Price(choice.price)))
        }
        (By::ColdStart, _) => Because::Beginning { to: step_of(sweep, choice.to), grams_left: None },
        (By::Rank | By::Sampler | By::Nothing, Some(trial)) => by_rank(sweep, trial),
        (By::Rank | By::Sampler | By::Nothing, None) => Because::Sampled {
            sampler: sweep.spec.method.name().to_owned(),
            index: sweep.trials.len() as u64,
        },
    }
}

/// Why a running trial goes on or does not. `None` where nothing was decided: it is on its way.
pub(crate) fn of_judgement(sweep: &Sweep, trial: &Trial, judgement: &Judgement) -> Option<Because> {
    match &judgement.why {
        Why::OnItsWay => judgement.launch.map(|_| Because::Guarded { guard: Guard::Audit, estimate: None }),
        Why::Diverged => Some(Because::Diverged { metric: diverged(sweep, trial)? }),
        Why::ColdStart => {
            let further = judgement.launch.map(|launch| step_of(sweep, launch.to));
            let left = || sweep.strategy.rank(index(trial.id)).map(|rank| rank.grams_to_last);
            Some(Because::Beginning {
                to: further.unwrap_or_else(|| trial.last_step()),
                grams_left: if further.is_some() { None } else { left() },
            })
        }
        Why::Rank(rank) => Some(Because::Rung(comparison(sweep, trial, rank))),
        Why::Gain(own, against) => Some(Because::Gain(estimate(sweep, Some(trial), own, *against))),
        Why::Audit(own, against) => Some(guarded(Guard::Audit, sweep, trial, own, *against)),
        Why::Among(own, against) => Some(guarded(Guard::Incumbent, sweep, trial, own, *against)),
    }
}

fn guarded(guard: Guard, sweep: &Sweep, trial: &Trial, own: &Promise, against: Against) -> Because {
    Because::Guarded { guard, estimate: Some(estimate(sweep, Some(trial), own, against)) }
}

fn by_rank(sweep: &Sweep, trial: &Trial) -> Because {
    match sweep.strategy.rank(index(trial.id)) {
        Some(rank) => Because::Rung(comparison(sweep, trial, &rank)),
        None => Because::Beginning { to: sweep.spec.resource.max, grams_left: None },
    }
}

fn step_of(sweep: &Sweep, rung: usize) -> u64 {
    let rungs = sweep.strategy.rungs();
    rungs.get(rung).or(rungs.last()).copied().unwrap_or(1)
}

fn estimate(sweep: &Sweep, trial: Option<&Trial>, promise: &Promise, against: Against) -> GainEstimate {
    let primary = sweep.spec.primary();
    let several = sweep.spec.objectives.len() > 1;
    let incumbent = sweep.strategy.best_whole().map(|(index, _)| trial_id(index));
    let newest = trial.and_then(|trial| trial.curve.last());
    GainEstimate {
        step: newest.map_or(0, |(step, _)| step),
        unit: if several { "hypervolume".to_owned() } else { primary.name.clone() },
        value: newest.and_then(|(_, point)| point.metrics.get(&primary.name)?.finite()),
        predicted: number(primary.cost(promise.predicted)),
        predicted_sd: number(promise.predicted_high / 3.29 - promise.predicted_low / 3.29),
        expected_gain: number(promise.gain),
        gain_sd: number(promise.gain_sd),
        grams_left: number(promise.grams),
        grams_to_last: Some(number(promise.grams_to_last)),
        chance: Some(number(promise.chance)),
        gain_per_kg: number(promise.per_gram() * 1000.0),
        threshold_per_kg: number(against.per_gram() * 1000.0),
        threshold_from: threshold_from(sweep, against),
        incumbent,
        incumbent_values: incumbent
            .and_then(|id| values_of(sweep, sweep.trials.get(&id)?))
            .unwrap_or_default(),
        learnt_from: u32::try_from(promise.learnt_from).unwrap_or(u32::MAX),
    }
}

/// A reason is kept as JSON, which has no infinity and no NaN: the largest number stands for the one, zero for the other.
fn number(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value.clamp(f64::MIN, f64::MAX) }
}

/// How the threshold came about, in words.
fn threshold_from(sweep: &Sweep, against: Against) -> String {
    match (against, sweep.spec.prune.gain_per_kg) {
        (Against::Rate(_), _) => "what the last gram that was given promised to buy".to_owned(),
        (Against::Price(price), Some(GainPerKg::Fixed(stated))) => {
            let doubt = price * 1000.0 / stated;
            if doubt > 1.05 {
                format!("{stated} set in the sweep file, times {doubt:.2} for what was promised in vain")
            } else {
                "set in the sweep file".to_owned()
            }
        }
        (Against::Price(price), Some(GainPerKg::Auto) | None) => match sweep.strategy.first_price() {
            Some(first) => {
                let budget = first.trainings.map_or_else(String::new, |trainings| {
                    format!(
                        " (the budget is {} trainings at most)",
                        if trainings < 1.0 { format!("{trainings:.2}") } else { format!("{trainings:.0}") }
                    )
                });
                let falls = (first.price / price).log2();
                let since = match falls.round() {
                    falls if falls < 1.0 => String::new(),
                    falls if falls < 2.0 => ", halved once since".to_owned(),
                    falls => format!(", halved {falls} times since"),
                };
                format!(
                    "auto: {} for a whole training of {}{budget}{since}",
                    first.in_words(),
                    mass(GramsCo2e::new(first.whole))
                )
            }
            None => "auto: no price yet".to_owned(),
        },
    }
}

fn comparison(sweep: &Sweep, trial: &Trial, rank: &Rank) -> Comparison {
    let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let rung = step_of(sweep, rank.rung);
    Comparison {
        rung,
        place: count(rank.place + 1),
        of: count(rank.of),
        keep: count(rank.keep),
        values: trial.curve.at_or_after(rung).map(|(_, point)| finite(point)).unwrap_or_default(),
        cut: rank.cut.map(trial_id),
        grams_left: number(rank.grams_to_last),
    }
}

/// The objectives of the trial that improvement is counted against: the best of each with one objective, the last otherwise.
fn values_of(sweep: &Sweep, trial: &Trial) -> Option<BTreeMap<String, f64>> {
    let primary = sweep.spec.primary();
    if sweep.spec.objectives.len() > 1 {
        let newest = finite(trial.curve.last()?.1);
        let names: Vec<&String> = sweep.spec.objectives.iter().map(|objective| &objective.name).collect();
        return Some(newest.into_iter().filter(|(name, _)| names.contains(&name)).collect());
    }
    let reported = trial.curve.values().filter_map(|point| point.metrics.get(&primary.name)?.finite());
    let best = reported.min_by(|a, b| primary.cost(*a).total_cmp(&primary.cost(*b)))?;
    Some(BTreeMap::from([(primary.name.clone(), best)]))
}

/// The finite metrics of a step by name.
fn finite(point: &Step) -> BTreeMap<String, f64> {
    let number = |(name, metric): (&String, &Metric)| Some((name.clone(), metric.finite()?));
    point.metrics.iter().filter_map(number).collect()
}

/// The objective that diverged.
fn diverged(sweep: &Sweep, trial: &Trial) -> Option<String> {
    let names = sweep.spec.objectives.iter().map(|objective| &objective.name);
    let newest = |name: &String| trial.curve.values().rev().find_map(|point| point.metrics.get(name));
    names.into_iter().find(|name| newest(name) == Some(&Metric::Diverged)).cloned()
}
