//! What can be tuned: one flag for each hyperparameter, each with a default and a legal range.

use std::fmt::{self, Display, Formatter};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

/// The hyperparameters of one trial.
///
/// Those that only matter beside a certain value of another one say so; the search leaves their flags away
/// when they do not matter, and then the default stands in unused.
#[derive(Clone, Debug, Args)]
pub(crate) struct Hyperparameters {
    /// Learning rate in the first epoch
    #[arg(long, default_value_t = 0.05, value_parser = positive)]
    pub(crate) lr: f32,

    /// Factor on the learning rate from one epoch to the next
    #[arg(long = "lr_decay", alias = "lr-decay", default_value_t = 0.95, value_parser = positive)]
    pub(crate) lr_decay: f32,

    /// Images in one step of the optimizer
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u16).range(1..))]
    pub(crate) batch: u16,

    /// Optimizer
    #[arg(long, value_enum, default_value_t = OptimizerKind::Sgd)]
    pub(crate) opt: OptimizerKind,

    /// Share of the last step that is added to the next one (with --opt=sgd)
    #[arg(long, default_value_t = 0.9, value_parser = below_one)]
    pub(crate) momentum: f32,

    /// Memory of the mean square of the gradient (with --opt=adam)
    #[arg(long, default_value_t = 0.999, value_parser = below_one)]
    pub(crate) beta2: f32,

    /// Hidden layers; 0 is softmax regression
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=2))]
    pub(crate) layers: u8,

    /// Units in each hidden layer (with --layers=1 or 2)
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) width: u16,

    /// What a hidden unit does with its input (with --layers=1 or 2)
    #[arg(long, value_enum, default_value_t = Activation::Relu)]
    pub(crate) activation: Activation,

    /// Probability that a hidden unit is left out of a training step (with --layers=1 or 2)
    #[arg(long, default_value_t = 0.0, value_parser = below_one)]
    pub(crate) dropout: f32,

    /// Weight of the penalty on large weights: this times half of their sum of squares is added to the loss
    #[arg(long = "weight_decay", alias = "weight-decay", default_value_t = 1e-5, value_parser = not_negative)]
    pub(crate) weight_decay: f32,
}

impl Hyperparameters {
    /// The learning rate in `epoch`, counted from 1.
    pub(crate) fn lr_in(&self, epoch: u32) -> f32 {
        self.lr * self.lr_decay.powf(epoch.saturating_sub(1) as f32)
    }

    /// The values that a run must share with the checkpoint that it goes on from.
    pub(crate) fn architecture(&self) -> Architecture {
        Architecture {
            opt: self.opt,
            hidden: (self.layers > 0).then_some(Hidden {
                layers: self.layers,
                width: self.width,
                activation: self.activation,
            }),
        }
    }
}

/// What decides how many numbers are trained and what they mean: a checkpoint fits one architecture only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Architecture {
    /// The optimizer, because its memory is a part of the checkpoint.
    pub(crate) opt: OptimizerKind,
    /// The hidden layers, if there are any.
    pub(crate) hidden: Option<Hidden>,
}

impl Display for Architecture {
    /// Writes the flags that ask for it.
    fn fmt(&self, out: &mut Formatter<'_>) -> fmt::Result {
        match &self.hidden {
            None => write!(out, "--opt={} --layers=0", name(&self.opt)),
            Some(Hidden { layers, width, activation }) => {
                write!(out, "--opt={} --layers={layers} --width={width} ", name(&self.opt))?;
                write!(out, "--activation={}", name(activation))
            }
        }
    }
}

/// The hidden layers of a network; all of them are alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Hidden {
    /// How many layers, at least 1.
    pub(crate) layers: u8,
    /// Units in each.
    pub(crate) width: u16,
    /// What each unit does with its input.
    pub(crate) activation: Activation,
}

/// The rule that turns gradients into steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum OptimizerKind {
    /// Stochastic gradient descent with momentum.
    Sgd,
    /// Steps scaled by the recent size of each gradient (Kingma and Ba, 2015).
    Adam,
}

/// The function that a hidden unit applies to its input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Activation {
    /// The input where it is positive, else 0.
    Relu,
    /// The hyperbolic tangent.
    Tanh,
}

/// What a flag calls `choice`.
fn name(choice: &impl ValueEnum) -> String {
    choice.to_possible_value().expect("no choice is skipped").get_name().to_owned()
}

/// Parses a number above 0.
fn positive(text: &str) -> Result<f32, String> {
    parse(text, "above 0", |value| value > 0.0)
}

/// Parses a number from 0 on.
fn not_negative(text: &str) -> Result<f32, String> {
    parse(text, "0 or more", |value| value >= 0.0)
}

/// Parses a number from 0 to just below 1.
fn below_one(text: &str) -> Result<f32, String> {
    parse(text, "from 0 to just below 1", |value| (0.0..1.0).contains(&value))
}

/// Parses a finite number that is `legal`, or says that it must be `range`.
fn parse(text: &str, range: &str, legal: impl Fn(f32) -> bool) -> Result<f32, String> {
    text.parse()
        .ok()
        .filter(|value: &f32| value.is_finite() && legal(*value))
        .ok_or_else(|| format!("must be a number {range}"))
}
