//! What a candidate is worth: the payoff of an end of its curve, and the best policy from here.

use gramwise_surrogate::{Forecast, MAX_RUNGS, Payoff, Region, Staged, staged};
use serde::{Deserialize, Serialize};

use super::Strategy;
use super::model::Model;
use super::setting::Goal;

/// The reference point beyond the worst that counts, in units of the box.
const REFERENCE: f64 = 1.0;
/// Nodes of the other objectives' distributions: quantiles of equal probability.
const NODES: [f64; 5] = [-1.281_551_565_5, -0.524_400_512_7, 0.0, 0.524_400_512_7, 1.281_551_565_5];

/// How several objectives are put on one scale: best 0, worst that counts 1. What is above zero counts by its logarithm: errors
/// and grams span orders of magnitude, and halving them is worth the same everywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Frame {
    axes: Vec<Edge>,
}

/// One edge of the box.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
struct Edge {
    low: f64,
    high: f64,
    logarithmic: bool,
}

impl Frame {
    /// From the best and the worst that counts of each objective.
    pub(super) fn new(bounds: impl Iterator<Item = (f64, f64)>) -> Self {
        let edge = |(low, high): (f64, f64)| {
            let logarithmic = low > 0.0;
            if logarithmic {
                Edge { low: low.ln(), high: high.ln(), logarithmic }
            } else {
                Edge { low, high, logarithmic }
            }
        };
        Self { axes: bounds.map(edge).collect() }
    }

    fn place(&self, objective: usize, value: f64) -> f64 {
        let Edge { low, high, logarithmic } = self.axes[objective];
        let value = if logarithmic { value.max(f64::MIN_POSITIVE).ln() } else { value };
        if high > low { ((value - low) / (high - low)).max(-1.0) } else { 0.0 }
    }
}

/// What gains are counted against.
pub(super) enum Stake<'a> {
    /// One objective: the best so far.
    Best(Box<Payoff>),
    /// Several: the region that no whole training dominates.
    Front { region: Region, frame: &'a Frame },
}

/// A candidate's other objectives at its end, on the frame's scale: nodes of equal weight.
type Others = Vec<Vec<f64>>;

impl Strategy {
    pub(super) fn stake<'a>(&'a self, model: &Model) -> Stake<'a> {
        let Some(frame) = &self.frame else {
            let least = self.setting.meaningful.first().copied().unwrap_or(0.0);
            // While nothing keeps the constraints, to do so at the worst value that was seen is no gain yet.
            let best = if self.best.is_finite() { self.best } else { self.worst_seen() };
            let gain = |score| {
                let gain = (best - model.warp.value(score)).clamp(0.0, f64::MAX);
                if gain >= least { gain } else { 0.0 }
            };
            return Stake::Best(Box::new(Payoff::new(gain)));
        };
        let spread = self.emissions.as_ref().map_or(0.0, super::emissions::Emissions::spread);
        let whole = self
            .trials
            .iter()
            .filter(|trial| trial.place == super::trials::Place::Complete && !trial.is_unfit());
        let front: Vec<Vec<f64>> = whole
            .map(|trial| {
                let value = |at: usize| match self.setting.objectives[at] {
                    Goal::Grams => frame.place(at, trial.grams * (-self.knobs.tie * spread).exp()),
                    Goal::Reported => {
                        let meaningful = self.setting.meaningful.get(at).copied().unwrap_or(0.0);
                        frame.place(at, trial.latest[at] - meaningful)
                    }
                };
                self.in_order().map(value).collect()
            })
            .collect();
        let region = Region::new(&front, &vec![REFERENCE; self.setting.objectives.len()]);
        Stake::Front { region, frame }
    }

    /// The worst finite value of the first objective, zero before the first.
    fn worst_seen(&self) -> f64 {
        let first = self.primary();
        let finite = self.trials.iter().map(|trial| trial.best[first]).filter(|best| best.is_finite());
        finite.reduce(f64::max).unwrap_or(0.0)
    }

    /// The payoff of a candidate: the same for all with one objective.
    pub(super) fn payoff(&self, stake: &Stake<'_>, model: &Model, others: &Others) -> Payoff {
        match stake {
            Stake::Best(payoff) => payoff.as_ref().clone(),
            Stake::Front { region, frame } => {
                let profile = region.along_first(|m, low, high| {
                    let nodes = &others[m - 1];
                    nodes.iter().map(|node| (high - node.max(low)).max(0.0)).sum::<f64>() / nodes.len() as f64
                });
                let first = self.primary();
                Payoff::new(|score| profile.at(frame.place(first, model.warp.value(score))))
            }
        }
    }

    /// The first reported objective, then the others in their order.
    pub(super) fn in_order(&self) -> impl Iterator<Item = usize> {
        let first = self.primary();
        std::iter::once(first).chain((0..self.setting.objectives.len()).filter(move |at| *at != first))
    }

    /// The first objective that is reported: the one whose curve the stages follow.
    pub(super) fn primary(&self) -> usize {
        self.setting.objectives.iter().position(|goal| *goal == Goal::Reported).unwrap_or(0)
    }

    /// What is expected of a candidate's other objectives at its end. `whole` is the grams of its whole training, and `spread`
    /// the standard deviation of their logarithm.
    pub(super) fn others(
        &self,
        stake: &Stake<'_>,
        x: &[f64],
        trial: Option<usize>,
        (whole, spread): (f64, f64),
    ) -> Others {
        let Stake::Front { frame, .. } = stake else { return Vec::new() };
        let nodes = |at: usize| match self.setting.objectives[at] {
            Goal::Grams => NODES.iter().map(|z| frame.place(at, whole * (spread * z).exp())).collect(),
            Goal::Reported => match self.models.iter().find(|model| model.objective == at) {
                Some(model) => {
                    let known = trial.and_then(|trial| model.known(trial));
                    let (mean, sd) = model.process.ends(&[(x, known)])[0];
                    NODES.iter().map(|z| frame.place(at, model.warp.value(mean + sd * z))).collect()
                }
                None => vec![REFERENCE],
            },
        };
        self.in_order().skip(1).map(nodes).collect()
    }

    /// The best policy for a candidate.
    pub(super) fn policy(
        &self,
        payoff: &Payoff,
        forecast: &Forecast,
        grams: &[f64; MAX_RUNGS],
        feasible: f64,
        price: f64,
    ) -> Staged {
        let bank = self.single() && self.knobs.bank;
        let mut worth = staged(payoff, forecast, grams, price, bank);
        worth.gain *= feasible;
        worth.value = worth.gain - price * worth.grams;
        worth
    }
}
