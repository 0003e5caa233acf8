//! What is searched: hyperparameters, when each is active, and what is forbidden.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{Config, Value};

/// Where a hyperparameter's values come from. Bounds are values (never exponents) and `min < max`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Distribution {
    /// Uniform between the bounds.
    Uniform {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
    },
    /// Uniform in the logarithm; bounds above zero.
    LogUniform {
        /// Smallest value.
        min: f64,
        /// Largest value.
        max: f64,
    },
    /// Whole numbers, both bounds included.
    IntUniform {
        /// Smallest value.
        min: i64,
        /// Largest value.
        max: i64,
    },
    /// Normal with mean and standard deviation.
    Normal {
        /// Mean.
        mu: f64,
        /// Standard deviation, above zero.
        sigma: f64,
    },
    /// The logarithm is normal.
    LogNormal {
        /// Mean of the logarithm.
        mu: f64,
        /// Standard deviation of the logarithm, above zero.
        sigma: f64,
    },
    /// Rounded to multiples of `step`, after drawing from `inner`.
    Quantized {
        /// The distance of neighbouring values, above zero.
        step: f64,
        /// What is rounded; never itself quantized or categorical.
        inner: Box<Distribution>,
    },
    /// One of several values; numbers in ascending order count as ordered.
    Categorical {
        /// The values, at least one, no two the same.
        choices: Vec<Value>,
        /// Their probabilities, summing to 1; all alike when absent.
        probabilities: Option<Vec<f64>>,
    },
    /// Always the same value: passed to the trial, not searched.
    Constant(Value),
}

/// One hyperparameter.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parameter {
    /// Its name; nested names are joined by dots.
    pub name: String,
    /// Its values.
    pub distribution: Distribution,
    /// Active only when all of these hold.
    pub when: Vec<Condition>,
}

/// `when: {opt: sgd}`: another hyperparameter is active and has one of these values.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Condition {
    /// The other hyperparameter's name.
    pub parameter: String,
    /// The values that make this one active.
    pub any_of: Vec<Value>,
}

/// A combination that no configuration may hold: all of these values at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Forbidden {
    /// Names and values.
    pub values: Config,
}

/// All hyperparameters of a sweep, each after those that its `when` speaks of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Space {
    parameters: Vec<Parameter>,
    forbidden: Vec<Forbidden>,
}

/// Why a space is not legal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cycle {
    /// A hyperparameter on the cycle.
    pub(crate) parameter: String,
}

impl Condition {
    /// Does it hold in a (partial) configuration?
    pub fn holds(&self, config: &Config) -> bool {
        config.get(&self.parameter).is_some_and(|value| self.any_of.iter().any(|any| any.same_as(value)))
    }
}

impl Forbidden {
    /// Does a configuration hold this combination?
    pub fn matches(&self, config: &Config) -> bool {
        self.values.iter().all(|(name, value)| config.get(name).is_some_and(|found| found.same_as(value)))
    }
}

impl Space {
    /// Orders the parameters so that each comes after those it depends on, otherwise keeping their order.
    /// Names in conditions must exist (the reader checks them).
    pub(crate) fn new(parameters: Vec<Parameter>, forbidden: Vec<Forbidden>) -> Result<Self, Cycle> {
        let mut waiting = parameters;
        let mut ordered: Vec<Parameter> = Vec::with_capacity(waiting.len());
        let mut done = BTreeSet::new();
        while !waiting.is_empty() {
            let ready = waiting.iter().position(|parameter| {
                parameter.when.iter().all(|condition| done.contains(&condition.parameter))
            });
            match ready {
                Some(index) => {
                    let parameter = waiting.remove(index);
                    done.insert(parameter.name.clone());
                    ordered.push(parameter);
                }
                None => return Err(Cycle { parameter: waiting.swap_remove(0).name }),
            }
        }
        Ok(Self { parameters: ordered, forbidden })
    }

    /// The hyperparameters, parents first.
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// The forbidden combinations.
    pub fn forbidden(&self) -> &[Forbidden] {
        &self.forbidden
    }

    /// Does a configuration keep clear of every forbidden combination?
    pub fn allows(&self, config: &Config) -> bool {
        !self.forbidden.iter().any(|forbidden| forbidden.matches(config))
    }

    /// Builds a configuration by asking for each active hyperparameter's value in turn. The index is the
    /// parameter's position in [`Space::parameters`], whether or not earlier ones are active.
    pub fn build(&self, mut value_of: impl FnMut(usize, &Parameter) -> Value) -> Config {
        let mut config = Config::new();
        for (index, parameter) in self.parameters.iter().enumerate() {
            if parameter.when.iter().all(|condition| condition.holds(&config)) {
                config.insert(parameter.name.clone(), value_of(index, parameter));
            }
        }
        config
    }
}

impl Distribution {
    /// Could a value be one of this distribution's: a choice of a categorical, a number of the others? Numbers outside the
    /// bounds could.
    pub fn could_be(&self, value: &Value) -> bool {
        match self {
            Self::Constant(_) => true,
            Self::Categorical { choices, .. } => choices.iter().any(|choice| choice.same_as(value)),
            Self::Uniform { .. }
            | Self::LogUniform { .. }
            | Self::IntUniform { .. }
            | Self::Normal { .. }
            | Self::LogNormal { .. }
            | Self::Quantized { .. } => value.number().is_some(),
        }
    }

    /// Is a value one of this distribution's, within its bounds?
    pub fn holds(&self, value: &Value) -> bool {
        let within = |min: f64, max: f64| value.number().is_some_and(|number| (min..=max).contains(&number));
        match self {
            Self::Constant(only) => only.same_as(value),
            Self::Categorical { .. } => self.could_be(value),
            Self::Uniform { min, max } | Self::LogUniform { min, max } => within(*min, *max),
            Self::IntUniform { min, max } => {
                within(*min as f64, *max as f64) && value.number().is_some_and(|number| number.fract() == 0.0)
            }
            Self::Normal { .. } => value.number().is_some_and(f64::is_finite),
            Self::LogNormal { .. } => value.number().is_some_and(|number| number.is_finite() && number > 0.0),
            Self::Quantized { inner, .. } => inner.holds(value),
        }
    }

    /// A value that it holds, as a sampler would write it: `1` where one of the choices is `1.0`, a whole number as one.
    #[must_use]
    pub fn typed(&self, value: &Value) -> Value {
        let same = |choice: &&Value| choice.same_as(value);
        match (self, value) {
            (Self::Constant(only), _) => only.clone(),
            (Self::Categorical { choices, .. }, _) => choices.iter().find(same).unwrap_or(value).clone(),
            #[expect(
                clippy::cast_possible_truncation,
                reason = "it lies between two whole numbers of 64 bits"
            )]
            (Self::IntUniform { .. }, Value::Float(whole)) => Value::Int(*whole as i64),
            (Self::Uniform { .. } | Self::LogUniform { .. }, Value::Int(whole)) => {
                Value::Float(*whole as f64)
            }
            _ => value.clone(),
        }
    }

    /// Its values in words, for messages.
    pub fn describe(&self) -> String {
        match self {
            Self::Constant(only) => format!("always {only}"),
            Self::Categorical { choices, .. } => {
                let choices: Vec<String> = choices.iter().map(ToString::to_string).collect();
                format!("one of {}", choices.join(", "))
            }
            Self::Uniform { min, max } | Self::LogUniform { min, max } => {
                format!("a number from {min} to {max}")
            }
            Self::IntUniform { min, max } => format!("a whole number from {min} to {max}"),
            Self::Normal { .. } => "a number".to_owned(),
            Self::LogNormal { .. } => "a number above 0".to_owned(),
            Self::Quantized { step, inner } => format!("{} in steps of {step}", inner.describe()),
        }
    }

    /// Can a grid list its values? Steps between bounds are finitely many.
    pub fn is_listed(&self) -> bool {
        match self {
            Self::Constant(_) | Self::Categorical { .. } | Self::IntUniform { .. } => true,
            Self::Uniform { .. } | Self::LogUniform { .. } | Self::Normal { .. } | Self::LogNormal { .. } => {
                false
            }
            Self::Quantized { inner, .. } => {
                matches!(**inner, Self::Uniform { .. } | Self::LogUniform { .. })
            }
        }
    }

    /// Is there more than one value to choose from?
    pub fn is_searched(&self) -> bool {
        match self {
            Self::Constant(_) => false,
            Self::Categorical { choices, .. } => choices.len() > 1,
            Self::Uniform { .. }
            | Self::LogUniform { .. }
            | Self::IntUniform { .. }
            | Self::Normal { .. }
            | Self::LogNormal { .. }
            | Self::Quantized { .. } => true,
        }
    }
}
