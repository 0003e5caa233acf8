//! Training, epoch by epoch, in a way that a stop and a resume leave no trace of.
//!
//! No random generator lives longer than an epoch: each epoch makes its own from the seed and its number. So
//! the weights and the optimizer's memory are all that a checkpoint has to keep.

use rand::rngs::ChaCha8Rng;
use rand::seq::SliceRandom;
use rand::{RngExt, SeedableRng};
use serde::{Deserialize, Serialize};

use crate::data::{Digits, Images};
use crate::hyperparameters::Hyperparameters;
use crate::network::Network;
use crate::optimizer::Optimizer;

/// A network on its way.
#[derive(Clone, Debug)]
pub(crate) struct Training {
    /// What is being tried.
    pub(crate) hyperparameters: Hyperparameters,
    /// What the random numbers are derived from.
    seed: u64,
    /// What is being trained.
    pub(crate) network: Network,
    /// What trains it.
    pub(crate) optimizer: Optimizer,
    /// How far it got.
    pub(crate) progress: Progress,
}

/// How far a training got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Progress {
    /// The number of the last epoch that was begun, from 1; 0 before the first.
    pub(crate) epoch: u32,
    /// The scores after the last epoch that was finished.
    pub(crate) scores: Option<Scores>,
}

/// How good the network was after an epoch.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Scores {
    /// Share of the validation images that were given a wrong digit, from 0 to 1.
    pub(crate) val_error: f32,
    /// Mean cross entropy in nats over the batches of the epoch, dropout included.
    pub(crate) train_loss: f32,
}

/// How an epoch ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Epoch {
    /// All images were used.
    Finished(Scores),
    /// The loss or a weight is no finite number any more, and never will be again.
    Diverged,
}

/// What a stream of random numbers is for; each purpose in each epoch has its own.
#[derive(Clone, Copy, Debug)]
enum Purpose {
    /// The initial weights.
    Weights,
    /// The order of the images.
    Shuffle,
    /// Which units drop out.
    Dropout,
}

impl Training {
    /// A training before its first epoch.
    pub(crate) fn new(hyperparameters: Hyperparameters, seed: u64) -> Self {
        let hidden = hyperparameters.architecture().hidden;
        let network = Network::new(hidden.as_ref(), &mut stream(seed, Purpose::Weights, 0));
        let optimizer = Optimizer::new(&hyperparameters, network.parameters.len());
        Self { hyperparameters, seed, network, optimizer, progress: Progress::default() }
    }

    /// The number of the last epoch, from 1; 0 before the first.
    pub(crate) fn epoch(&self) -> u32 {
        self.progress.epoch
    }

    /// The scores after the last epoch.
    pub(crate) fn last_scores(&self) -> Option<Scores> {
        self.progress.scores
    }

    /// Uses each training image once, then measures the validation error.
    pub(crate) fn run_epoch(&mut self, digits: &Digits) -> Epoch {
        self.progress.epoch += 1;
        let train_loss = self.learn(&digits.training);
        // The loss alone would not tell: a rectifier turns a weight that is no number into a unit that is
        // silent.
        let finite = self.network.parameters.iter().all(|value| value.is_finite());
        if !(finite && train_loss.is_finite()) {
            return Epoch::Diverged;
        }
        let scores = Scores { val_error: self.network.error(&digits.validation), train_loss };
        self.progress.scores = Some(scores);
        Epoch::Finished(scores)
    }

    /// Goes through `images` in random order and returns the mean loss in nats, or stops early at one that is
    /// not finite.
    fn learn(&mut self, images: &Images) -> f32 {
        let epoch = self.progress.epoch;
        let lr = self.hyperparameters.lr_in(epoch);
        let mut scale = dropout(self.hyperparameters.dropout, stream(self.seed, Purpose::Dropout, epoch));
        let mut order: Vec<usize> = (0..images.len()).collect();
        order.shuffle(&mut stream(self.seed, Purpose::Shuffle, epoch));
        let mut total = 0.0;
        for rows in order.chunks(self.hyperparameters.batch.into()) {
            let loss = self.learn_batch(&images.select(rows), lr, &mut scale);
            total += loss * rows.len() as f32;
            if !total.is_finite() {
                break;
            }
        }
        total / images.len() as f32
    }

    /// Makes one step of the optimizer and returns the mean loss before it, in nats.
    fn learn_batch(&mut self, batch: &Images, lr: f32, scale: impl FnMut() -> f32) -> f32 {
        let gradient = self.network.gradient(batch, self.hyperparameters.weight_decay, scale);
        self.optimizer.step(&mut self.network.parameters, &gradient.slope, lr);
        gradient.loss
    }
}

/// Gives the factor on each next hidden unit's output: 0 with probability `rate`, else what keeps the mean at
/// 1.
fn dropout(rate: f32, mut rng: ChaCha8Rng) -> impl FnMut() -> f32 {
    let kept = 1.0 / (1.0 - rate);
    move || {
        if rate > 0.0 && rng.random::<f32>() < rate { 0.0 } else { kept }
    }
}

/// The random numbers of one `purpose` in one `epoch`.
fn stream(seed: u64, purpose: Purpose, epoch: u32) -> ChaCha8Rng {
    let mut key = [0; 32];
    key[..8].copy_from_slice(&seed.to_le_bytes());
    key[8..12].copy_from_slice(&epoch.to_le_bytes());
    key[12] = purpose as u8;
    ChaCha8Rng::from_seed(key)
}

/// Hyperparameters for tests: softmax regression with a plain optimizer.
#[cfg(test)]
pub(crate) fn example() -> Hyperparameters {
    use crate::hyperparameters::{Activation, OptimizerKind};

    Hyperparameters {
        lr: 0.1,
        lr_decay: 0.95,
        batch: 32,
        opt: OptimizerKind::Sgd,
        momentum: 0.9,
        beta2: 0.999,
        layers: 0,
        width: 8,
        activation: Activation::Tanh,
        dropout: 0.2,
        weight_decay: 1e-4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hyperparameters::Activation;

    #[test]
    fn softmax_regression_learns_the_digits() {
        let digits = Digits::load().expect("the data is well formed");
        let mut training = Training::new(example(), 0);
        for _ in 0..10 {
            training.run_epoch(&digits);
        }
        let scores = training.last_scores().expect("ten epochs were run");
        assert!(scores.val_error < 0.1, "{scores:?}");
    }

    #[test]
    fn scores_survive_a_checkpoint_to_the_last_bit() {
        for wrong in 0..=600_u16 {
            let val_error = f32::from(wrong) / 600.0;
            let scores = Scores { val_error, train_loss: 1.0 / (1.0 + val_error) };
            let json = serde_json::to_string(&scores).expect("scores are legal JSON");
            assert_eq!(serde_json::from_str::<Scores>(&json).expect("it was just written"), scores);
        }
    }

    #[test]
    fn the_seed_decides_the_result() {
        let digits = Digits::load().expect("the data is well formed");
        let run = |seed| Training::new(example(), seed).run_epoch(&digits);
        assert_eq!(run(1), run(1));
        assert_ne!(run(1), run(2));
    }

    #[test]
    fn a_weight_that_is_no_number_is_noticed() {
        let digits = Digits::load().expect("the data is well formed");
        for activation in [Activation::Relu, Activation::Tanh] {
            let mut training = Training::new(Hyperparameters { activation, layers: 2, ..example() }, 0);
            training.network.parameters[0] = f32::NAN;
            assert_eq!(training.run_epoch(&digits), Epoch::Diverged);
        }
    }

    #[test]
    fn an_absurd_learning_rate_diverges() {
        let digits = Digits::load().expect("the data is well formed");
        let hyperparameters = Hyperparameters { lr: 1e38, ..example() };
        let mut training = Training::new(hyperparameters, 0);
        assert_eq!(training.run_epoch(&digits), Epoch::Diverged);
        assert_eq!(training.epoch(), 1);
    }
}
