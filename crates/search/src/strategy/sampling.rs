//! New configurations, by each sampler. None is proposed twice.

use gramwise_model::{Config, TrialId};
use gramwise_surrogate::tpe_point;
use rand::{Rng, RngExt};

use super::Strategy;
use super::model::by_best;
use super::setting::{Sampler, What};
use crate::rng::{Purpose, rng};

/// So many points in a row that are forbidden or known, and there is taken to be nothing new.
const PATIENCE: usize = 400;
/// Configurations before TPE begins, as in Optuna.
const TPE_START: usize = 10;
/// The best share that TPE calls good, at most so many (Optuna's defaults).
const TPE_GOOD: f64 = 0.1;
const TPE_MOST: usize = 25;

impl Strategy {
    /// A new configuration by the sampler, without a look at the model; `index` is its place in the sequence.
    pub(super) fn sampled(&self, index: usize) -> Option<What> {
        let address = TrialId(u32::try_from(index).unwrap_or(u32::MAX));
        let mut dice = rng(self.setting.seed, address, Purpose::Sample);
        if !self.setting.pool.is_empty() {
            return self
                .pool_draws(&mut dice, 1)
                .into_iter()
                .next()
                .map(|(pool, config)| What::New { config, pool: Some(pool) });
        }
        for attempt in 0..PATIENCE {
            let unit = match self.setting.sampler {
                Sampler::Gp | Sampler::Sobol if attempt == 0 => self.even_point(index),
                Sampler::Tpe if attempt < 8 && self.trials.len() >= TPE_START => self.tpe(&mut dice),
                Sampler::Gp | Sampler::Sobol | Sampler::Tpe | Sampler::Random => self.random_unit(&mut dice),
            };
            let config = self.encoding.config(&unit);
            if self.is_new(&config) {
                return Some(What::New { config, pool: None });
            }
        }
        None
    }

    /// Is it allowed, and no trial's?
    pub(super) fn is_new(&self, config: &Config) -> bool {
        self.encoding.space().allows(config) && !self.known.contains(&key(config))
    }

    /// Some of the pool that no trial has, at random.
    pub(super) fn pool_draws(&self, dice: &mut impl Rng, most: usize) -> Vec<(usize, Config)> {
        let unused: Vec<usize> = (0..self.setting.pool.len())
            .filter(|at| !self.known.contains(&key(&self.setting.pool[*at])))
            .collect();
        let mut left = unused;
        let mut drawn = Vec::new();
        while drawn.len() < most && !left.is_empty() {
            let at = left.swap_remove(dice.random_range(0..left.len()));
            drawn.push((at, self.setting.pool[at].clone()));
        }
        drawn
    }

    fn tpe(&self, dice: &mut impl Rng) -> Vec<f64> {
        let order = by_best(self.primary(), &self.trials);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        let good = ((TPE_GOOD * order.len() as f64).ceil() as usize).clamp(1, TPE_MOST).min(order.len());
        let points =
            |trials: &[usize]| trials.iter().map(|at| self.trials[*at].unit.as_slice()).collect::<Vec<_>>();
        let dimensions = self.encoding.space().parameters().len();
        tpe_point(&points(&order[..good]), &points(&order[good..]), dimensions, || dice.random())
    }
}

/// What tells configurations apart.
pub(super) fn key(config: &Config) -> String {
    let mut key = String::new();
    for (name, value) in config {
        key.push_str(name);
        key.push('=');
        key.push_str(&value.to_string());
        key.push(';');
    }
    key
}
