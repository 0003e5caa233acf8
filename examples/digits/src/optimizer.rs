//! The rules that turn a gradient into a step: stochastic gradient descent with momentum, and Adam.

use crate::hyperparameters::{Hyperparameters, OptimizerKind};

/// An optimizer and what it remembers from step to step.
#[derive(Clone, Debug)]
pub(crate) struct Optimizer {
    /// The rule and its constants.
    rule: Rule,
    /// What it remembers of each parameter: SGD the last step, Adam the mean and the mean square of the
    /// gradient. One list as long as the parameters, or two.
    pub(crate) memory: Vec<Vec<f32>>,
    /// Steps made so far.
    pub(crate) steps: u32,
}

/// How steps are made.
#[derive(Clone, Copy, Debug)]
enum Rule {
    /// Stochastic gradient descent.
    Sgd {
        /// Share of the last step that is added to the next.
        momentum: f32,
    },
    /// Adam.
    Adam {
        /// Memory of the mean square of the gradient.
        beta2: f32,
    },
}

impl Optimizer {
    /// The optimizer of `hyperparameters` for so many `parameters`, before its first step.
    pub(crate) fn new(hyperparameters: &Hyperparameters, parameters: usize) -> Self {
        let (rule, lists) = match hyperparameters.opt {
            OptimizerKind::Sgd => {
                let momentum = hyperparameters.momentum;
                (Rule::Sgd { momentum }, 1)
            }
            OptimizerKind::Adam => {
                let beta2 = hyperparameters.beta2;
                (Rule::Adam { beta2 }, 2)
            }
        };
        Self { rule, memory: vec![vec![0.0; parameters]; lists], steps: 0 }
    }

    /// Moves `parameters` down the `slope` at the learning rate `lr`; both are as long as the memory.
    pub(crate) fn step(&mut self, parameters: &mut [f32], slope: &[f32], lr: f32) {
        self.steps += 1;
        match (self.rule, self.memory.as_mut_slice()) {
            (Rule::Sgd { momentum }, [velocity]) => {
                sgd(parameters, slope, velocity, lr, momentum);
            }
            (Rule::Adam { beta2 }, [mean, square]) => {
                let steps = self.steps as f32;
                let mean_bias = 1.0 - BETA1.powf(steps);
                let square_bias = 1.0 - beta2.powf(steps);
                let lr = lr * square_bias.sqrt() / mean_bias;
                adam(parameters, slope, mean, square, lr, beta2);
            }
            _ => unreachable!("the memory is made for the rule"),
        }
    }
}

/// One step of gradient descent with the heavy ball's `velocity`.
fn sgd(parameters: &mut [f32], slope: &[f32], velocity: &mut [f32], lr: f32, momentum: f32) {
    for ((parameter, slope), velocity) in parameters.iter_mut().zip(slope).zip(velocity) {
        *velocity = flushed(momentum * *velocity + slope);
        *parameter = flushed(*parameter - lr * *velocity);
    }
}

/// One step of Adam; `lr` has the corrections for the first steps in it.
fn adam(parameters: &mut [f32], slope: &[f32], mean: &mut [f32], square: &mut [f32], lr: f32, beta2: f32) {
    let memory = mean.iter_mut().zip(square);
    for ((parameter, slope), (mean, square)) in parameters.iter_mut().zip(slope).zip(memory) {
        *mean = flushed(BETA1 * *mean + (1.0 - BETA1) * slope);
        *square = flushed(beta2 * *square + (1.0 - beta2) * slope * slope);
        *parameter = flushed(*parameter - lr * *mean / (square.sqrt() + EPSILON));
    }
}

/// `value`, or 0 where it is all but 0.
///
/// Weights of pixels that are never inked decay for ever, and arithmetic with the subnormal numbers that they
/// would become is slow: without this, an epoch can take twice as long.
fn flushed(value: f32) -> f32 {
    if value.abs() < NEGLIGIBLE { 0.0 } else { value }
}

/// Adam's memory of the mean gradient; the usual value, not tuned here.
const BETA1: f32 = 0.9;

/// Keeps Adam's division finite.
const EPSILON: f32 = 1e-8;

/// A weight or a memory this small has no effect on any result.
const NEGLIGIBLE: f32 = 1e-30;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::training::example;

    #[test]
    fn momentum_adds_up_steps() {
        let hyperparameters = Hyperparameters { momentum: 0.5, ..example() };
        let mut optimizer = Optimizer::new(&hyperparameters, 1);
        let mut parameters = [0.0];
        optimizer.step(&mut parameters, &[1.0], 0.1);
        optimizer.step(&mut parameters, &[1.0], 0.1);
        assert!((parameters[0] + 0.1 + 0.15).abs() < 1e-6, "{parameters:?}");
    }

    #[test]
    fn the_first_step_of_adam_is_the_learning_rate() {
        let hyperparameters = Hyperparameters { opt: OptimizerKind::Adam, ..example() };
        let mut optimizer = Optimizer::new(&hyperparameters, 2);
        let mut parameters = [0.0, 0.0];
        optimizer.step(&mut parameters, &[100.0, -0.01], 0.1);
        assert!((parameters[0] + 0.1).abs() < 1e-3, "{parameters:?}");
        assert!((parameters[1] - 0.1).abs() < 1e-3, "{parameters:?}");
    }
}
