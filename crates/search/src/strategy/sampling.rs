//! New configurations, by each sampler. None is proposed twice.

use gramwise_model::{Config, Sampler, Space, TrialId};
use gramwise_surrogate::tpe_point;
use rand::{Rng, RngExt};

use super::Strategy;
use super::model::by_rank;
use super::setting::What;
use crate::rng::{Purpose, rng};
use crate::unit_cube::{count, listed};

/// So many points in a row that are forbidden or known, and there is taken to be nothing new.
const PATIENCE: usize = 400;
/// A space of so many configurations is listed rather than drawn from once draws find nothing new.
const SMALL_SPACE: u64 = 100_000;
/// Configurations before TPE begins, as in Optuna.
const TPE_START: usize = 10;
/// The best share that TPE calls good, at most so many (Optuna's defaults).
const TPE_GOOD: f64 = 0.1;
const TPE_MOST: usize = 25;

impl Strategy {
    /// A new configuration by the sampler, without a look at the model; `index` is its place in the sequence.
    pub(super) fn sampled(&self, index: usize) -> Option<What> {
        if !self.may_begin() {
            return None;
        }
        let address = TrialId(u32::try_from(index).unwrap_or(u32::MAX));
        let mut dice = rng(self.setting.seed, address, Purpose::Sample);
        if !self.setting.pool.is_empty() {
            return self
                .pool_draws(&mut dice, 1)
                .into_iter()
                .next()
                .map(|(pool, config)| What::New { config, pool: Some(pool) });
        }
        if self.setting.sampler == Sampler::Grid {
            return self.next_on_grid(self.grid_from);
        }
        for attempt in 0..PATIENCE {
            let unit = match self.setting.sampler {
                Sampler::Gp | Sampler::Sobol if attempt == 0 => self.even_point(index),
                Sampler::Tpe if attempt < 8 && self.earlier.len() + self.trials.len() >= TPE_START => {
                    self.tpe(&mut dice)
                }
                Sampler::Gp | Sampler::Sobol | Sampler::Tpe | Sampler::Random | Sampler::Grid => {
                    self.random_unit(&mut dice)
                }
            };
            let config = self.encoding.config(&unit);
            if self.is_new(&config) {
                return Some(What::New { config, pool: None });
            }
        }
        // Few are left, or none: a small space is walked to its end.
        if grid_size(self.encoding.space()) <= SMALL_SPACE { self.next_on_grid(0) } else { None }
    }

    /// The first point of the grid, from an index on, that is allowed and no trial's.
    fn next_on_grid(&self, from: u64) -> Option<What> {
        let space = self.encoding.space();
        let mut points = (from..grid_size(space)).filter_map(|index| grid_point(space, index));
        points.find(|config| self.is_new(config)).map(|config| What::New { config, pool: None })
    }

    /// Remembers how far the grid is used up.
    pub(super) fn skip_known_grid_points(&mut self) {
        if self.setting.sampler != Sampler::Grid {
            return;
        }
        let space = self.encoding.space();
        let is_used = |index: &u64| grid_point(space, *index).is_none_or(|config| !self.is_new(&config));
        let used = (self.grid_from..grid_size(space)).take_while(is_used).count();
        self.grid_from += used as u64;
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
        let everyone = self.everyone();
        let order = by_rank(self.primary(), &everyone);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        let good = ((TPE_GOOD * order.len() as f64).ceil() as usize).clamp(1, TPE_MOST).min(order.len());
        let points =
            |trials: &[usize]| trials.iter().map(|at| everyone[*at].unit.as_slice()).collect::<Vec<_>>();
        let dimensions = self.encoding.space().parameters().len();
        tpe_point(&points(&order[..good]), &points(&order[good..]), dimensions, || dice.random())
    }
}

fn grid_size(space: &Space) -> u64 {
    let sizes = space.parameters().iter().map(|parameter| count(&parameter.distribution).unwrap_or(u64::MAX));
    sizes.fold(1, u64::saturating_mul)
}

/// The combination at an index, the last hyperparameter varying fastest. `None` where an inactive hyperparameter is
/// not at its first value: the same configuration was met before.
fn grid_point(space: &Space, index: u64) -> Option<Config> {
    let values: Vec<_> = space
        .parameters()
        .iter()
        .map(|parameter| listed(&parameter.distribution).unwrap_or_default())
        .collect();
    let mut digits = vec![0usize; values.len()];
    let mut rest = index;
    for (digit, values) in digits.iter_mut().zip(&values).rev() {
        let base = values.len().max(1) as u64;
        *digit = usize::try_from(rest % base).ok()?;
        rest /= base;
    }
    let config = space.build(|position, _| values[position][digits[position]].clone());
    let canonical = space
        .parameters()
        .iter()
        .zip(&digits)
        .all(|(parameter, digit)| *digit == 0 || config.contains_key(&parameter.name));
    canonical.then_some(config)
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
