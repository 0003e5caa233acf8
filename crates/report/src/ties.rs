//! Which trials cannot be told from the best, and which of them is the greenest.
//!
//! Where configurations were run again (`gramwise replicate`, or a hyperparameter called `seed`), by tests of their results; the result
//! by which a trial was chosen to be run again does not count, for it was chosen because it was good. Where nothing was repeated, by a
//! model of what each configuration would come to on average. Either way the best is among the ties with the stated confidence, if the
//! assumptions hold.

use std::collections::BTreeMap;

use gramwise_model::rows::{SweepRecord, TrialRow};
use gramwise_model::{CO2E, Metrics, Objective, TrialId, Value};
use gramwise_search::points;
use gramwise_significance::{Arm, By, ties as told_apart};
use gramwise_surrogate::{Means, normal_cdf};
use serde::Serialize;

use crate::gains::improving;
use crate::pareto;

/// Held by the set to contain the best.
const CONFIDENCE: f64 = 0.95;
/// Configurations that are compared with each other, at most.
const MOST: usize = 500;
/// Hyperparameters that are only there to repeat a configuration.
const SEEDS: [&str; 3] = ["seed", "random_seed", "random_state"];

/// The trials that cannot be told from the best by the primary objective.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ties {
    /// They, the one that is best on average first.
    pub trials: Vec<TrialId>,
    /// The one of them that burnt least.
    pub greenest: Option<TrialId>,
    /// What its training emitted, in grams.
    pub greenest_co2e_g: Option<f64>,
    /// The trials that were compared.
    pub of: u64,
    /// How.
    pub by: Comparison,
    /// A difference smaller than this does not matter (`meaningful`), in units of the objective.
    pub margin: f64,
    /// The best is among the ties with this probability.
    pub confidence: f64,
    /// What was compared, by trial.
    pub results: Vec<Repeated>,
    /// The standard deviation of a configuration's results around its mean, where a model says so.
    pub noise_sd: Option<f64>,
    /// Sweeps that ran trials again: not in this report's figures.
    pub replicated_by: Vec<ReplicatedBy>,
    /// Why the comparison may be worth little.
    pub warning: Option<String>,
    /// The ties, and those trials that were not run again and whose one result does not tell them from the best.
    #[serde(skip)]
    pub(crate) not_beaten: Vec<TrialId>,
}

/// How trials were told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Comparison {
    /// Student's t-tests of the differences of results of the same seeds.
    PairedT,
    /// Welch's t-tests.
    WelchT,
    /// Welch's t-tests; where there is one result, with the variance that the others have on average.
    PooledT,
    /// A Gaussian process over the configurations: nothing was repeated.
    Model,
    /// Not at all: nothing was repeated, and there are too few trials for a model.
    Nothing,
}

/// The results of one configuration.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Repeated {
    /// The trial.
    pub trial: TrialId,
    /// How often its configuration was run for this comparison.
    pub runs: u64,
    /// The mean of the results, or what the model makes of it.
    pub mean: f64,
    /// Their standard deviation, where there are several.
    pub sd: Option<f64>,
    /// The trial that is better beyond chance, where one is.
    pub beaten_by: Option<TrialId>,
    /// The p-value of that, corrected for all comparisons of this trial; or what the model makes of it.
    pub p: Option<f64>,
}

/// A sweep that ran trials of this one again.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReplicatedBy {
    /// The sweep.
    pub sweep: gramwise_model::SweepId,
    /// Its completed trials.
    pub results: u64,
    /// What it burnt in all accounts, in exact microjoules.
    pub energy_uj: u64,
    /// The grams of that.
    pub co2e_g: f64,
}

impl Comparison {
    /// In words.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::PairedT => "by paired t-tests over the seeds",
            Self::WelchT => "by Welch's t-tests",
            Self::PooledT => "by Welch's t-tests, with the others' variance where there is one result",
            Self::Model => "by a model: nothing was repeated",
            Self::Nothing => {
                "nothing was repeated, and a model cannot be made of so few trials or such values"
            }
        }
    }
}

/// The ties of a sweep; `None` where no trial may be called best.
pub(crate) fn ties(record: &SweepRecord) -> Option<Ties> {
    let candidates = pareto::ranked(record);
    if candidates.is_empty() {
        return None;
    }
    let primary = record.sweep.spec.primary();
    let again = replicated(record, &candidates);
    let within = if again.is_none() { repeated_within(record, &candidates) } else { None };
    let arms = again.as_ref().or(within.as_ref().map(|(arms, _)| arms));
    let mut found = match arms {
        Some(arms) => by_tests(arms, primary),
        None => by_model(record, &candidates, primary),
    };
    found.not_beaten.clone_from(&found.trials);
    if let Some(arms) = again {
        found.not_beaten.extend(not_beaten_at_once(record, arms, &candidates));
    } else if let Some((_, same)) = within {
        // All trials of one configuration are told apart or not together.
        found.not_beaten =
            same.into_iter().filter(|(_, arm)| found.trials.contains(arm)).map(|(id, _)| id).collect();
    }
    let took =
        |id: &TrialId| candidates.iter().find(|trial| trial.id == *id).map_or(f64::INFINITY, |one| took(one));
    // Where nothing is told apart, nothing says which of them will do.
    let compared = found.trials.iter().filter(|_| found.by != Comparison::Nothing);
    let greenest = compared.min_by(|a, b| took(a).total_cmp(&took(b)).then(a.cmp(b))).copied();
    let replicated_by = record.replications.iter().map(|one| ReplicatedBy {
        sweep: one.sweep,
        results: one.results.len() as u64,
        energy_uj: one.total.energy.total().get(),
        co2e_g: one.total.co2e.grams().get(),
    });
    Some(Ties {
        greenest,
        greenest_co2e_g: greenest.map(|id| took(&id)),
        replicated_by: replicated_by.collect(),
        ..found
    })
}

/// What a trial took to come to its result, in grams: not what was charged for it, which may be more.
pub(crate) fn took(trial: &TrialRow) -> f64 {
    let metric = trial.metrics.get(CO2E).and_then(|metric| metric.finite());
    metric.unwrap_or_else(|| trial.booked.co2e.grams().get())
}

/// A trial and the results of its configuration, by seed.
type Arms<'a> = Vec<(&'a TrialRow, Arm)>;

fn cost(metrics: &Metrics, objective: &Objective) -> Option<f64> {
    Some(objective.cost(metrics.get(&objective.name)?.finite()?))
}

/// What other sweeps made of trials of this one. `None` while nothing was run twice.
fn replicated<'a>(record: &SweepRecord, candidates: &[&'a TrialRow]) -> Option<Arms<'a>> {
    let primary = record.sweep.spec.primary();
    let mut arms: BTreeMap<TrialId, Arm> = BTreeMap::new();
    for replication in &record.replications {
        for result in &replication.results {
            // A diverged run is a result too: no mean is finite with it.
            let value = cost(&result.metrics, primary).unwrap_or(f64::INFINITY);
            // A seed that was run twice is one result.
            arms.entry(result.of).or_default().results.insert(u64::from(result.seed), value);
        }
    }
    let of = |id: &TrialId| candidates.iter().find(|trial| trial.id == *id).copied();
    let arms: Arms<'a> = arms.into_iter().filter_map(|(id, arm)| Some((of(&id)?, arm))).collect();
    arms.iter().any(|(_, arm)| arm.results.len() > 1).then_some(arms)
}

/// Trials that differ in their seed only, and the trial that stands for each of them. `None` where less than half of the configurations
/// were run twice: a chance meeting of two tells little of the others.
fn repeated_within<'a>(
    record: &SweepRecord,
    candidates: &[&'a TrialRow],
) -> Option<(Arms<'a>, BTreeMap<TrialId, TrialId>)> {
    let spec = &record.sweep.spec;
    let replicates = |trial: &TrialRow| Some(u64::from(spec.replicates.as_ref()?.original(trial.id)?.1));
    // By what the configuration is without its seeds, as text: values have no order of their own.
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let (mut arms, mut same): (Arms<'a>, BTreeMap<TrialId, TrialId>) = (Vec::new(), BTreeMap::new());
    for trial in candidates {
        let Some(value) = cost(&trial.metrics, spec.primary()) else { continue };
        let is_seed = |name: &String| SEEDS.contains(&name.as_str());
        let named = |(name, value): (&String, &Value)| format!("{name}={}\n", value.to_json());
        let what: String = trial.config.iter().filter(|(name, _)| !is_seed(name)).map(named).collect();
        let seeds: Vec<&Value> =
            trial.config.iter().filter(|(name, _)| is_seed(name)).map(|(_, value)| value).collect();
        let own = (1 << 40) + u64::from(trial.id.0);
        let seed = match (replicates(trial), seeds.as_slice()) {
            (Some(seed), _) => seed,
            (None, [Value::Int(seed)]) => seed.cast_unsigned(),
            // Of several seeds, or none, nobody knows which are alike.
            (None, _) => own,
        };
        let place = *places.entry(what).or_insert_with(|| {
            arms.push((trial, Arm::default()));
            arms.len() - 1
        });
        let (first, arm) = &mut arms[place];
        same.insert(trial.id, first.id);
        let seed = if arm.results.contains_key(&seed) { own } else { seed };
        arm.results.insert(seed, value);
    }
    let repeated = arms.iter().filter(|(_, arm)| arm.results.len() > 1).count();
    (repeated > 0 && repeated * 2 >= arms.len()).then_some((arms, same))
}

/// Trials that were the best when they completed, were run once, and are not told from the best of those that were run again.
fn not_beaten_at_once<'a>(record: &SweepRecord, arms: Arms<'a>, candidates: &[&'a TrialRow]) -> Vec<TrialId> {
    let primary = record.sweep.spec.primary();
    let improving = improving(record);
    let was_repeated = |trial: &TrialRow| arms.iter().any(|(known, _)| known.id == trial.id);
    let asked = |trial: &&&TrialRow| improving.contains(&trial.id) && !was_repeated(trial);
    let once = candidates.iter().filter(asked).filter_map(|trial| {
        let value = cost(&trial.metrics, primary)?;
        // A seed of its own: it is compared in no pair.
        Some((*trial, Arm { results: BTreeMap::from([(u64::MAX - u64::from(trial.id.0), value)]) }))
    });
    let once: Arms<'a> = once.collect();
    let repeated = arms.len();
    let all: Vec<(&TrialRow, Arm)> = arms.into_iter().chain(once).collect();
    let results: Vec<Arm> = all.iter().map(|(_, arm)| arm.clone()).collect();
    let found = told_apart(&results, primary.meaningful.unwrap_or(0.0), CONFIDENCE);
    found.members.into_iter().filter(|place| *place >= repeated).map(|place| all[place].0.id).collect()
}

fn by_tests(arms: &Arms<'_>, primary: &Objective) -> Ties {
    let margin = primary.meaningful.unwrap_or(0.0);
    let all = arms.len();
    let mut arms: Vec<&(&TrialRow, Arm)> = arms.iter().collect();
    arms.sort_by(|a, b| a.1.mean().total_cmp(&b.1.mean()));
    arms.truncate(MOST);
    let results: Vec<Arm> = arms.iter().map(|(_, arm)| arm.clone()).collect();
    let found = told_apart(&results, margin, CONFIDENCE);
    let is_same = |arm: &Arm| {
        let mut values = arm.results.values();
        let first = values.next();
        arm.results.len() > 1 && values.all(|value| Some(value) == first)
    };
    let warning = results.iter().all(is_same).then(|| {
        "all runs of a configuration came to the same: does the script use $GRAMWISE_SEED?".to_owned()
    });
    let warning = warning.or_else(|| only_the_best(arms.len(), all));
    let repeated = |(place, (trial, arm)): (usize, &&(&TrialRow, Arm))| {
        let beaten = found.beaten.get(&place);
        Repeated {
            trial: trial.id,
            runs: arm.results.len() as u64,
            mean: primary.cost(arm.mean()),
            sd: arm.sd(),
            beaten_by: beaten.map(|(by, _)| arms[*by].0.id),
            p: beaten.map(|(_, p)| *p),
        }
    };
    Ties {
        trials: found.members.iter().map(|place| arms[*place].0.id).collect(),
        greenest: None,
        greenest_co2e_g: None,
        of: arms.len() as u64,
        by: match found.by {
            By::Pairs => Comparison::PairedT,
            By::Welch => Comparison::WelchT,
            By::Pooled => Comparison::PooledT,
            By::Nothing => Comparison::Nothing,
        },
        margin,
        confidence: CONFIDENCE,
        results: arms.iter().enumerate().map(repeated).collect(),
        noise_sd: None,
        replicated_by: Vec::new(),
        not_beaten: Vec::new(),
        warning,
    }
}

fn only_the_best(compared: usize, all: usize) -> Option<String> {
    (compared < all).then(|| format!("only the best {compared} of {all} were compared"))
}

/// A trial is left out where its mean is above the best one's by more than the margin, but for a probability that is shared out over all
/// trials: the chance that any that is left out is the best is then at most one less the confidence.
fn by_model(record: &SweepRecord, candidates: &[&TrialRow], primary: &Objective) -> Ties {
    let margin = primary.meaningful.unwrap_or(0.0);
    let space = points(&record.sweep.spec.space, candidates.iter().map(|trial| &trial.config));
    let costs: Vec<f64> =
        candidates.iter().map(|trial| cost(&trial.metrics, primary).unwrap_or(f64::INFINITY)).collect();
    let means = Means::of(&space.axes, &space.points, &costs);
    let count = means.as_ref().map_or(0, Means::count);
    let best = means
        .as_ref()
        .and_then(|means| (0..means.count()).min_by(|a, b| means.mean(*a).total_cmp(&means.mean(*b))));
    let allowed = (1.0 - CONFIDENCE) / (count.max(2) - 1) as f64;
    let compared = |place: usize| -> (f64, Option<f64>) {
        match (&means, best) {
            (Some(means), Some(best)) if place < count => {
                let (difference, sd) = means.difference(place, best);
                let p = if place == best { 1.0 } else { normal_cdf((margin - difference) / sd.max(1e-300)) };
                (means.mean(place), Some(p).filter(|p| *p <= allowed))
            }
            _ => (costs[place], None),
        }
    };
    // Trials beyond those that a model can take are the worst ones, and are left out with them.
    let places = if means.is_some() { count } else { candidates.len() };
    let results: Vec<(f64, Repeated)> = (0..places)
        .map(|place| {
            let (mean, p) = compared(place);
            let beaten_by = p.and(best).map(|best| candidates[best].id);
            let p = p.map(|p| (p * (count.max(2) - 1) as f64).min(1.0));
            let trial = candidates[place].id;
            (mean, Repeated { trial, runs: 1, mean: primary.cost(mean), sd: None, beaten_by, p })
        })
        .collect();
    let mut members: Vec<&(f64, Repeated)> =
        results.iter().filter(|(_, one)| one.beaten_by.is_none()).collect();
    members.sort_by(|a, b| a.0.total_cmp(&b.0));
    Ties {
        trials: members.iter().map(|(_, one)| one.trial).collect(),
        greenest: None,
        greenest_co2e_g: None,
        of: places as u64,
        by: if means.is_some() { Comparison::Model } else { Comparison::Nothing },
        margin,
        confidence: CONFIDENCE,
        noise_sd: means.as_ref().map(Means::noise_sd),
        results: results.into_iter().map(|(_, one)| one).collect(),
        replicated_by: Vec::new(),
        not_beaten: Vec::new(),
        warning: only_the_best(places, candidates.len()),
    }
}
