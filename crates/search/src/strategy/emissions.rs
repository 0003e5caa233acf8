//! What a configuration will burn on the way to each rung.
//!
//! `log(grams to step t) = features . a + b log t + c log² t`, the slope in `log t` shrunk to one; not constant per step,
//! since a first step that loads data costs more. A trial that ran corrects the model by its own offset.

use gramwise_surrogate::{LogLinear, LogRow, MAX_RUNGS};
use serde::{Deserialize, Serialize};

/// Grams are told apart down to this share of the typical amount; a meter's zero is not nothing.
const RESOLUTION: f64 = 1e-3;
/// `log² t` is scaled so that the ridge holds it as it holds the others.
const CURVATURE: f64 = 0.3;
/// A segment costs at least this share of an even one: predictions of later rungs may cross those of earlier ones.
const LEAST_SHARE: f64 = 0.02;

/// The mean of a log-normal is not taken to be more than some 7 times its median.
const LARGEST_VARIANCE: f64 = 4.0;

/// Predicts grams. Built anew when enough was learnt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Emissions {
    model: LogLinear,
    floor: f64,
}

/// What one trial burnt to reach one step.
pub(crate) struct Burnt<'a> {
    pub(crate) features: &'a [f64],
    pub(crate) step: u64,
    pub(crate) grams: f64,
}

impl Emissions {
    /// `None` while nothing was burnt that a meter saw.
    pub(crate) fn learn<'a>(seen: impl Iterator<Item = Burnt<'a>>) -> Option<Self> {
        let seen: Vec<Burnt<'_>> = seen.collect();
        let mut rates: Vec<f64> =
            seen.iter().map(|one| one.grams / one.step as f64).filter(|rate| *rate > 0.0).collect();
        rates.sort_by(f64::total_cmp);
        let floor = RESOLUTION * rates.get(rates.len() / 2)?;
        let rows: Vec<LogRow> = seen
            .iter()
            .map(|one| (row(one.features, one.step), one.grams.max(floor * one.step as f64).ln()))
            .collect();
        let mut prior = vec![0.0; rows.first()?.0.len()];
        let slope = prior.len() - 2;
        prior[slope] = 1.0;
        Some(Self { model: LogLinear::fit(&rows, &prior)?, floor })
    }

    /// Grams of the segment that ends at each rung from `from` on; `so_far` is how far the trial got, and what it burnt for
    /// that. Expected values: a log-normal's mean where nothing of the trial is known.
    pub(crate) fn segments(
        &self,
        features: &[f64],
        so_far: Option<(u64, f64)>,
        rungs: &[u64],
        from: usize,
    ) -> [f64; MAX_RUNGS] {
        let (mut before, offset) = match so_far {
            Some((step, grams)) if step > 0 => {
                let grams = grams.max(self.floor * step as f64);
                (grams, grams.ln() - self.model.log(&row(features, step)))
            }
            Some(_) | None => {
                let last = row(features, rungs[rungs.len() - 1]);
                (0.0, 0.5 * self.model.predictive_variance(&last).min(LARGEST_VARIANCE))
            }
        };
        let at = |step: u64| (self.model.log(&row(features, step)) + offset).exp();
        let last = rungs[rungs.len() - 1];
        let even = at(last).min(1e300) / last as f64;
        let least = (LEAST_SHARE * at(rungs[0]).min(even)).max(f64::MIN_POSITIVE);
        let mut segments = [0.0; MAX_RUNGS];
        for rung in from..rungs.len() {
            let after = at(rungs[rung]).min(1e300);
            segments[rung] = (after - before).max(least);
            before = before.max(after);
        }
        segments
    }

    /// The standard deviation of the logarithm of what an unseen configuration burns.
    pub(crate) fn spread(&self) -> f64 {
        self.model.variance().sqrt()
    }
}

fn row(features: &[f64], step: u64) -> Vec<f64> {
    let t = (step.max(1) as f64).ln();
    let mut row = features.to_vec();
    row.extend([t, CURVATURE * t * t]);
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_first_step_that_costs_more_is_seen() {
        let features = [1.0, 0.2];
        let grams = |step: u64| 5.0 + step as f64;
        let seen = [1, 2, 4, 8, 16].map(|step| Burnt { features: &features, step, grams: grams(step) });
        let emissions = Emissions::learn(seen.into_iter()).unwrap();
        let segments = emissions.segments(&features, Some((4, grams(4))), &[1, 2, 4, 8, 16], 3);
        // 9 g for the first four steps are not 9 g for the next four.
        assert!(segments[3] < 5.0 && segments[4] < 10.0, "{segments:?}");
        assert!(segments[0].abs() < 1e-300);
        assert!(emissions.spread() < 0.3);
    }

    #[test]
    fn zeros_of_a_meter_are_small_and_not_nothing() {
        let features = [1.0];
        let seen =
            [(1, 0.0), (2, 0.0), (4, 1.0)].map(|(step, grams)| Burnt { features: &features, step, grams });
        let emissions = Emissions::learn(seen.into_iter()).unwrap();
        assert!(
            emissions
                .segments(&features, Some((1, 0.0)), &[1, 2, 4], 1)
                .iter()
                .all(|grams| grams.is_finite())
        );
        let nothing = [Burnt { features: &features, step: 1, grams: 0.0 }];
        assert!(Emissions::learn(nothing.into_iter()).is_none());
    }
}
