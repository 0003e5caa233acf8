//! Is a running trial still worth its carbon? See `docs/design/pruning.md`.
//!
//! A trial is pruned when its *gain per kg* (expected improvement over what is known, by the grams that its remaining
//! steps are predicted to take) stays below a threshold for two checks in a row, and no guard stands against it.

use std::collections::BTreeMap;

use gramwise_model::rows::Verdict;
use gramwise_model::{Because, Comparison, GainEstimate, GainPerKg, Guard, Metric, Objective, TrialId};
use gramwise_surrogate::{Point, Prediction, hypervolume_gain, predict};
use rand::RngExt;

use crate::fact::Next;
use crate::halving::{compare, costs};
use crate::money::{grams_of_full_training, grams_to_step};
use crate::rng::{Purpose, rng};
use crate::state::{Step, Sweep, Trial};

/// Consecutive checks below the threshold that doom a trial: one noisy step must not.
const PATIENCE: u32 = 2;
/// Trials that must have got past their second step before any is judged by its gain.
const TRIALS_TO_JUDGE_BY: usize = 4;
/// Values that stand for a predicted distribution. Improvements rarer than 1 in 128 count as none.
const NODES: u32 = 64;
/// The box of the hypervolume reaches so far beyond the worst value, as a fraction of the range: what the best trial in one
/// objective is worth although it is the worst in another.
const MARGIN: f64 = 0.5;
/// The automatic threshold says: this fraction of the objective's initial spread ...
const WORTHWHILE_FRACTION: f64 = 0.01;
/// ... is worth so many full trainings.
const WORTHWHILE_TRAININGS: f64 = 5.0;

/// What was decided about a running trial.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Judgement {
    pub(crate) verdict: Verdict,
    pub(crate) because: Because,
    /// What becomes of the trial once it stopped; `None` if it goes on.
    pub(crate) next: Option<Next>,
}

/// Judges a running trial by its newest step. Where it crossed a rung and its gain does not end it, there are two judgements:
/// the gain's, and the rung's, which counts.
pub(crate) fn judge(sweep: &Sweep, trial: &Trial) -> Vec<Judgement> {
    let Some((&step, point)) = trial.curve.last_key_value() else { return Vec::new() };
    if let Some(metric) = diverged(sweep, point) {
        return vec![end(Verdict::Prune, Because::Diverged { metric }, Next::Prune)];
    }
    if step == sweep.spec.resource.max {
        return vec![go_on(Because::LastStep)];
    }
    let by_gain = judge_gain(sweep, trial, step);
    let off = sweep.spec.prune.gain_per_kg.is_none();
    if off || by_gain.next.is_some() || trial.audited || is_audit(&by_gain.because) {
        return vec![by_gain];
    }
    let crossed = sweep.spec.rungs().into_iter().rev().find(|rung| trial.judged_at < *rung && *rung <= step);
    match crossed.and_then(|rung| compare(sweep, trial, rung)) {
        Some(comparison) => vec![by_gain, by_rung(sweep, comparison)],
        None => vec![by_gain],
    }
}

fn by_rung(sweep: &Sweep, comparison: Comparison) -> Judgement {
    if comparison.place <= comparison.keep {
        go_on(Because::Rung(comparison))
    } else if sweep.spec.resource.checkpoint {
        end(Verdict::Pause, Because::Rung(comparison), Next::Pause)
    } else {
        end(Verdict::Prune, Because::Rung(comparison), Next::Prune)
    }
}

fn judge_gain(sweep: &Sweep, trial: &Trial, step: u64) -> Judgement {
    let rule = &sweep.spec.prune;
    if rule.gain_per_kg.is_none() {
        return go_on(Because::Guarded { guard: Guard::Off, estimate: None });
    }
    if step < sweep.spec.resource.min.max(rule.grace) {
        return go_on(Because::Guarded { guard: Guard::Grace, estimate: None });
    }
    let Some(estimate) = estimate(sweep, trial, step) else {
        return go_on(Because::Guarded { guard: Guard::ColdStart, estimate: None });
    };
    if estimate.gain_per_kg >= estimate.threshold_per_kg {
        return go_on(Because::Gain(estimate));
    }
    let guard = if is_best_so_far(sweep, trial, &estimate) {
        Some(Guard::Incumbent)
    } else if estimate.checks_below < PATIENCE {
        Some(Guard::Patience)
    } else if trial.audited || rng(sweep.spec.seed, trial.id, Purpose::Audit).random::<f64>() < rule.audit {
        Some(Guard::Audit)
    } else {
        None
    };
    match guard {
        Some(guard) => go_on(Because::Guarded { guard, estimate: Some(estimate) }),
        None => end(Verdict::Prune, Because::Gain(estimate), Next::Prune),
    }
}

/// What the trial still promises and costs; `None` while too little is known to say.
pub(crate) fn estimate(sweep: &Sweep, trial: &Trial, step: u64) -> Option<GainEstimate> {
    let finished: Vec<(TrialId, Vec<f64>)> = sweep
        .completed()
        .filter(|done| done.id != trial.id)
        .filter_map(|done| Some((done.id, costs(sweep, done.curve.last_key_value()?.1)?)))
        .collect();
    let several = sweep.spec.objectives.len() > 1;
    let seasoned = sweep.trials.values().filter(|other| other.last_step() >= 2).count();
    if finished.len() < if several { 3 } else { 1 } || seasoned < TRIALS_TO_JUDGE_BY {
        return None;
    }
    let last = sweep.spec.resource.max;
    let grams_left = grams_to_step(sweep, trial, last).get();
    let grams_now = trial.curve.last_key_value()?.1.footprint.co2e.grams().get();
    let outlooks: Vec<Outlook> = sweep
        .spec
        .objectives
        .iter()
        .map(|objective| outlook(sweep, trial, objective, grams_now + grams_left))
        .collect::<Option<_>>()?;
    let known: Vec<Vec<f64>> = finished.iter().map(|(_, costs)| costs.clone()).collect();
    let gains = if several { volume_gains(&known, &outlooks) } else { improvements(&known, &outlooks[0]) };
    let expected_gain = gains.iter().sum::<f64>() / gains.len() as f64;
    let variance = gains.iter().map(|gain| (gain - expected_gain).powi(2)).sum::<f64>() / gains.len() as f64;
    let gain_per_kg = if grams_left > 0.0 { expected_gain / grams_left * 1000.0 } else { f64::MAX };
    let (threshold_per_kg, threshold_from) = threshold(sweep)?;
    let incumbent = finished.iter().min_by(|a, b| a.1[0].total_cmp(&b.1[0]))?;
    let primary = sweep.spec.primary();
    let (predicted, predicted_sd, learnt_from) = outlooks[0].summary();
    Some(GainEstimate {
        step,
        unit: if several { "hypervolume".to_owned() } else { primary.name.clone() },
        value: trial.curve.get(&step)?.metrics.get(&primary.name)?.finite()?,
        predicted: primary.cost(predicted),
        predicted_sd,
        expected_gain,
        gain_sd: variance.sqrt(),
        grams_left,
        gain_per_kg,
        threshold_per_kg,
        threshold_from,
        incumbent: Some(incumbent.0),
        incumbent_values: by_name(sweep, &incumbent.1),
        checks_below: if gain_per_kg < threshold_per_kg { trial.checks_below + 1 } else { 0 },
        learnt_from,
    })
}

/// What is expected of one objective at the last step, as a cost.
enum Outlook {
    Certain(f64),
    Uncertain(Prediction),
}

impl Outlook {
    fn nodes(&self) -> Vec<f64> {
        match self {
            Self::Certain(cost) => vec![*cost; NODES as usize],
            Self::Uncertain(prediction) => prediction.nodes(NODES).collect(),
        }
    }

    /// Median, standard deviation, and the number of curves it was learnt from.
    fn summary(&self) -> (f64, f64, u32) {
        match self {
            Self::Certain(cost) => (*cost, 0.0, 0),
            Self::Uncertain(prediction) => (prediction.median(), prediction.sd(), prediction.learnt_from),
        }
    }
}

fn outlook(sweep: &Sweep, trial: &Trial, objective: &Objective, grams_at_end: f64) -> Option<Outlook> {
    if objective.is_co2e() {
        return Some(Outlook::Certain(grams_at_end));
    }
    let own = curve(trial, objective);
    let others: Vec<Vec<Point>> = sweep
        .trials
        .values()
        .filter(|other| other.id != trial.id)
        .map(|other| curve(other, objective))
        .collect();
    let others: Vec<&[Point]> = others.iter().map(Vec::as_slice).collect();
    predict(&own, &others, sweep.spec.resource.max).map(Outlook::Uncertain)
}

fn curve(trial: &Trial, objective: &Objective) -> Vec<Point> {
    let point = |(step, point): (&u64, &Step)| {
        let value = objective.cost(point.metrics.get(&objective.name)?.finite()?);
        Some(Point { step: *step, value })
    };
    trial.curve.iter().filter_map(point).collect()
}

/// Improvements over the best known cost, one per node of the prediction.
fn improvements(known: &[Vec<f64>], outlook: &Outlook) -> Vec<f64> {
    let best = known.iter().map(|costs| costs[0]).fold(f64::INFINITY, f64::min);
    outlook.nodes().into_iter().map(|cost| (best - cost).max(0.0)).collect()
}

/// Growth of the hypervolume, one per node, in fractions of a box. The box reaches from the best value of each objective to
/// [`MARGIN`] beyond the worst, over what is known and what is predicted here: a trial that costs more than any before it
/// still gains what it improves elsewhere. The nodes of several objectives are paired by a lattice (every value of one meets a
/// different value of the next), which stands for independence.
fn volume_gains(known: &[Vec<f64>], outlooks: &[Outlook]) -> Vec<f64> {
    let axes: Vec<Axis> = outlooks
        .iter()
        .enumerate()
        .map(|(objective, outlook)| {
            Axis::over(known.iter().map(|costs| costs[objective]), outlook.summary().0)
        })
        .collect();
    let placed = |costs: &[f64]| -> Vec<f64> {
        costs.iter().zip(&axes).map(|(cost, axis)| axis.place(*cost)).collect()
    };
    let known: Vec<Vec<f64>> = known.iter().map(|costs| placed(costs)).collect();
    let reference = vec![1.0; outlooks.len()];
    let nodes: Vec<Vec<f64>> = outlooks.iter().map(Outlook::nodes).collect();
    (0..NODES as usize)
        .map(|index| {
            let costs: Vec<f64> = nodes
                .iter()
                .enumerate()
                .map(|(objective, values)| values[index * LATTICE[objective % LATTICE.len()] % values.len()])
                .collect();
            hypervolume_gain(&known, &placed(&costs), &reference)
        })
        .collect()
}

/// One edge of the box. Errors, losses and grams span orders of magnitude within one sweep, and halving them counts the same
/// everywhere: where all values are positive they are taken in logarithms.
struct Axis {
    logarithmic: bool,
    best: f64,
    length: f64,
}

impl Axis {
    fn over(known: impl Iterator<Item = f64> + Clone, predicted: f64) -> Self {
        let all = known.chain([predicted]);
        let logarithmic = all.clone().all(|cost| cost > 0.0);
        let turned = all.map(|cost| if logarithmic { cost.ln() } else { cost });
        let best = turned.clone().fold(f64::INFINITY, f64::min);
        let worst = turned.fold(f64::NEG_INFINITY, f64::max);
        let range = if worst > best { worst - best } else { best.abs().max(1e-12) };
        Self { logarithmic, best, length: range * (1.0 + MARGIN) }
    }

    /// Where a cost lies: 0 at the best, 1 at the reference.
    fn place(&self, cost: f64) -> f64 {
        let turned = if self.logarithmic { cost.max(f64::MIN_POSITIVE).ln() } else { cost };
        (turned - self.best) / self.length
    }
}

/// Odd multipliers, so that each walks through all of the 64 nodes once.
const LATTICE: [usize; 4] = [1, 19, 27, 45];

/// The threshold per kg and how it came about; `None` while no trial has shown what a step costs.
fn threshold(sweep: &Sweep) -> Option<(f64, String)> {
    let rule = sweep.spec.prune.gain_per_kg?;
    let several = sweep.spec.objectives.len() > 1;
    match rule {
        GainPerKg::Fixed(threshold) => Some((threshold, "set in the sweep file".to_owned())),
        GainPerKg::Auto => {
            let full = grams_of_full_training(sweep)?.get();
            let spread = if several { 1.0 } else { initial_spread(sweep)? };
            let threshold = WORTHWHILE_FRACTION * spread / (WORTHWHILE_TRAININGS * full) * 1000.0;
            let what = if several {
                "the hypervolume".to_owned()
            } else {
                format!("the initial spread {spread:.4}")
            };
            let why = format!(
                "auto: {:.0} % of {what} is worth {WORTHWHILE_TRAININGS:.0} full trainings of {full:.3e} g",
                WORTHWHILE_FRACTION * 100.0
            );
            Some((threshold, why))
        }
    }
}

/// The distance between the tenth and the ninetieth percentile of the primary objective at the first rung.
fn initial_spread(sweep: &Sweep) -> Option<f64> {
    let first = sweep.spec.rungs().first().copied().unwrap_or(1);
    let mut values: Vec<f64> = sweep
        .trials
        .values()
        .filter_map(|trial| trial.curve.range(first..).next())
        .filter_map(|(_, point)| Some(costs(sweep, point)?[0]))
        .collect();
    values.sort_by(f64::total_cmp);
    let tenth = values.len() / 10;
    let spread = values.get(values.len().checked_sub(1 + tenth)?)? - values.get(tenth)?;
    (spread > 0.0).then_some(spread)
}

/// Is the trial's primary objective already better than every finished trial's?
fn is_best_so_far(sweep: &Sweep, trial: &Trial, estimate: &GainEstimate) -> bool {
    let primary = sweep.spec.primary();
    let best = estimate.incumbent_values.get(&primary.name).map(|value| primary.cost(*value));
    let now = trial.curve.get(&estimate.step).and_then(|point| costs(sweep, point));
    matches!((best, now), (Some(best), Some(now)) if now[0] < best)
}

fn by_name(sweep: &Sweep, costs: &[f64]) -> BTreeMap<String, f64> {
    let objectives = sweep.spec.objectives.iter();
    objectives.zip(costs).map(|(objective, cost)| (objective.name.clone(), objective.cost(*cost))).collect()
}

fn diverged(sweep: &Sweep, point: &Step) -> Option<String> {
    let names = sweep.spec.objectives.iter().map(|objective| &objective.name);
    names.into_iter().find(|name| point.metrics.get(*name) == Some(&Metric::Diverged)).cloned()
}

fn is_audit(because: &Because) -> bool {
    matches!(because, Because::Guarded { guard: Guard::Audit, .. })
}

fn go_on(because: Because) -> Judgement {
    Judgement { verdict: Verdict::Continue, because, next: None }
}

fn end(verdict: Verdict, because: Because, next: Next) -> Judgement {
    Judgement { verdict, because, next: Some(next) }
}
