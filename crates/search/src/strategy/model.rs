//! What is known of one objective: its learning curves under one Gaussian process.

use std::collections::BTreeMap;

use gramwise_surrogate::{Axis, CurveProcess, Observation, Parameters, Warp, fit};
use serde::{Deserialize, Serialize};

use super::knobs::Knobs;
use super::trials::Trial;

/// Best trials whose whole curves stay in the model whatever its size.
const WHOLE_CURVES: usize = 40;
/// Best trials that every fit of the parameters sees.
const BEST_FITTED: usize = 10;
/// Longest curves that every fit of the parameters sees.
const LONGEST_FITTED: usize = 20;

/// A fit to be computed: plain data, so that any thread can.
#[derive(Debug, Clone, PartialEq)]
pub struct FitTask {
    /// The objective it is for.
    pub objective: usize,
    axes: Vec<Axis>,
    steps: Vec<u64>,
    configurations: Vec<Vec<f64>>,
    observations: Vec<Observation>,
    start: Parameters,
    iterations: usize,
}

impl FitTask {
    /// Computes it: some tenths of a second.
    pub fn solve(&self) -> Parameters {
        fit(&self.axes, &self.steps, &self.configurations, &self.observations, &self.start, self.iterations)
    }
}

/// One objective's model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Model {
    pub(crate) objective: usize,
    pub(crate) parameters: Parameters,
    pub(crate) warp: Warp,
    pub(crate) process: CurveProcess,
    /// The process's index of each of the search's own trials that is in it.
    places: Vec<Option<usize>>,
    /// Rows when it was built.
    pub(crate) built_with: usize,
}

/// A trial and one of its rungs.
type Row = (usize, usize);

impl Model {
    /// Conditions a process with these parameters on what the trials did. `None` while they did nothing finite.
    pub(crate) fn build(
        objective: usize,
        parameters: &Parameters,
        (axes, rungs): (&[Axis], &[u64]),
        (earlier, own): (&[Trial], &[Trial]),
        knobs: &Knobs,
    ) -> Option<Self> {
        let trials: Vec<&Trial> = earlier.iter().chain(own).collect();
        let rows = rows(objective, rungs, &trials, knobs);
        let (warp, scores) = scores(objective, &rows, &trials)?;
        let process = CurveProcess::new(axes, rungs, parameters);
        let mut model = Self {
            objective,
            parameters: parameters.clone(),
            warp,
            process,
            places: Vec::new(),
            built_with: rows.len(),
        };
        let mut places = vec![None; earlier.len()];
        for ((trial, rung), value) in rows.into_iter().zip(scores) {
            let x = &trials[trial].x;
            let place = match trial.checked_sub(earlier.len()) {
                Some(own) => model.place(own, x),
                None => *places[trial].get_or_insert_with(|| model.process.add(x.clone())),
            };
            model.process.observe(&Observation { trial: place, rung, value });
        }
        Some(model)
    }

    /// Takes in the value of a trial at a rung it reached.
    pub(crate) fn observe(&mut self, trial: usize, seen: &Trial, rung: usize) {
        let value = self.warp.score(seen.curve[rung][self.objective]);
        let trial = self.place(trial, &seen.x);
        self.process.observe(&Observation { trial, rung, value });
    }

    /// Was anything observed since it was built?
    pub(crate) fn has_grown(&self) -> bool {
        self.process.observations() > self.built_with
    }

    /// The process's index of a trial, which is added if it is not there.
    pub(crate) fn place(&mut self, trial: usize, x: &[f64]) -> usize {
        if self.places.len() <= trial {
            self.places.resize(trial + 1, None);
        }
        if let Some(place) = self.places[trial] {
            return place;
        }
        let place = self.process.add(x.to_vec());
        self.places[trial] = Some(place);
        place
    }

    /// The process's index of a trial that is in it.
    pub(crate) fn known(&self, trial: usize) -> Option<usize> {
        self.places.get(trial).copied().flatten()
    }
}

/// The search's own warp, and a score for each row. Losses of earlier sweeps are ranked among themselves: theirs may be of
/// other data, on another scale.
fn scores(objective: usize, rows: &[Row], trials: &[&Trial]) -> Option<(Warp, Vec<f64>)> {
    let value = |(trial, rung): &Row| trials[*trial].curve[*rung][objective];
    let mut values: BTreeMap<u32, Vec<f64>> = BTreeMap::new();
    for row in rows {
        values.entry(trials[row.0].origin).or_default().push(value(row));
    }
    let warps: BTreeMap<u32, Warp> =
        values.into_iter().filter_map(|(origin, values)| Some((origin, Warp::new(&values)?))).collect();
    let score = |row: &Row| warps.get(&trials[row.0].origin).map_or(0.0, |warp| warp.score(value(row)));
    let scores = rows.iter().map(score).collect();
    Some((warps.get(&0)?.clone(), scores))
}

/// The fit that is due: of whole trials, the ten best and the longest always among them, the rest in the order of `shuffled`.
pub(crate) fn fit_task(
    objective: usize,
    start: &Parameters,
    (axes, rungs): (&[Axis], &[u64]),
    trials: &[&Trial],
    knobs: &Knobs,
    shuffled: &[usize],
) -> Option<FitTask> {
    let rows = rows(objective, rungs, trials, knobs);
    let (_, scores) = scores(objective, &rows, trials)?;
    let best = by_best(objective, trials);
    let mut longest: Vec<usize> = shuffled.to_vec();
    longest.sort_by_key(|trial| std::cmp::Reverse(trials[*trial].curve.len()));
    let order = best.iter().take(BEST_FITTED).chain(longest.iter().take(LONGEST_FITTED)).chain(shuffled);
    let mut counts = vec![0; trials.len()];
    for (trial, _) in &rows {
        counts[*trial] += 1;
    }
    let (mut kept, mut count) = (vec![false; trials.len()], 0);
    for &trial in order {
        if !kept[trial] && count + counts[trial] <= knobs.fit_rows {
            kept[trial] = true;
            count += counts[trial];
        }
    }
    let observations = rows
        .iter()
        .zip(scores)
        .filter(|((trial, _), _)| kept[*trial])
        .map(|(&(trial, rung), value)| Observation { trial, rung, value })
        .collect();
    Some(FitTask {
        objective,
        axes: axes.to_vec(),
        steps: rungs.to_vec(),
        configurations: trials.iter().map(|trial| trial.x.clone()).collect(),
        observations,
        start: start.clone(),
        iterations: knobs.fit_steps,
    })
}

/// Trials that reached a rung: the search's own, best first, then those of earlier sweeps, the best of each first.
pub(crate) fn by_best(objective: usize, trials: &[&Trial]) -> Vec<usize> {
    let mut order = by_rank(objective, trials);
    order.sort_by_key(|trial| trials[*trial].origin > 0);
    order
}

/// Trials that reached a rung, by their place among those of the same sweep, as a share of these.
pub(crate) fn by_rank(objective: usize, trials: &[&Trial]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..trials.len()).filter(|trial| !trials[*trial].curve.is_empty()).collect();
    order.sort_by(|a, b| trials[*a].best[objective].total_cmp(&trials[*b].best[objective]));
    let mut places: BTreeMap<u32, f64> = BTreeMap::new();
    let mut ranked: Vec<(f64, usize)> = Vec::with_capacity(order.len());
    for trial in order {
        let place = places.entry(trials[trial].origin).or_default();
        ranked.push((*place, trial));
        *place += 1.0;
    }
    let share = |(place, trial): &(f64, usize)| place / places[&trials[*trial].origin];
    ranked.sort_by(|a, b| share(a).total_cmp(&share(b)));
    ranked.into_iter().map(|(_, trial)| trial).collect()
}

/// The rows that a model of limited size holds: all while they fit; else the inner rungs of all but the best are left
/// out, then all but the last; the worst trials beyond one and a half times the limit. By trial and rung.
fn rows(objective: usize, rungs: &[u64], trials: &[&Trial], knobs: &Knobs) -> Vec<Row> {
    let order = by_best(objective, trials);
    let total: usize = order.iter().map(|trial| trials[*trial].curve.len()).sum();
    let mut rows: Vec<Row> = Vec::new();
    for (rank, &index) in order.iter().enumerate() {
        let trial = trials[index];
        let reached = trial.curve.len();
        let first = if total <= knobs.rows || rank < WHOLE_CURVES {
            0
        } else if total <= 2 * knobs.rows {
            reached.saturating_sub(2)
        } else {
            reached - 1
        };
        // A curve that ended early has its last value at every later rung; only the end was seen.
        let ended_early = |rung: usize| rung + 1 < reached && trial.step < rungs[rung];
        rows.extend((first..reached).filter(|rung| !ended_early(*rung)).map(|rung| (index, rung)));
    }
    rows.truncate(knobs.rows * 3 / 2);
    rows.sort_unstable();
    rows
}
