//! Configurations as points: of the unit cube, where they are drawn, and of the space of the model, where near means alike.

use gramwise_model::{Config, Distribution, Parameter, Space, Value};
use gramwise_surrogate::Axis;
use rand::{Rng, RngExt};
use serde::{Deserialize, Serialize};

use crate::unit_cube::{probability_of, value_at};

/// The coordinate of a category that is not active: unlike every choice.
const NO_CHOICE: f64 = -1.0;
/// A number that is not active sits in the middle; its flag says that it means nothing.
const NO_NUMBER: f64 = 0.5;

/// How configurations of one space become coordinates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Encoding {
    space: Space,
    /// The searched parameters: positions in the space.
    searched: Vec<usize>,
    /// What each is.
    kinds: Vec<Kind>,
    /// The searched parameter whose activity each flag tells; parameters of equal conditions share one.
    flags: Vec<usize>,
    axes: Vec<Axis>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Kind {
    Number,
    /// Choices in order.
    Ordered,
    /// Names.
    Category,
}

impl Encoding {
    /// With `origin`, one more axis tells trials of earlier sweeps from the search's own.
    pub(crate) fn new(space: &Space, origin: bool) -> Self {
        let parameters = space.parameters();
        let searched: Vec<usize> =
            (0..parameters.len()).filter(|at| parameters[*at].distribution.is_searched()).collect();
        let kinds: Vec<Kind> = searched.iter().map(|at| kind(&parameters[*at])).collect();
        let mut flags: Vec<usize> = Vec::new();
        for &at in searched.iter().filter(|at| !parameters[**at].when.is_empty()) {
            if !flags.iter().any(|other| parameters[*other].when == parameters[at].when) {
                flags.push(at);
            }
        }
        let axis = |kind: &Kind| match kind {
            Kind::Number | Kind::Ordered => Axis::Number,
            Kind::Category => Axis::Category,
        };
        let mut axes: Vec<Axis> = kinds.iter().map(axis).collect();
        axes.resize(axes.len() + flags.len(), Axis::Number);
        if axes.is_empty() {
            axes.push(Axis::Number); // A space of constants has one point.
        }
        if origin {
            axes.push(Axis::Category);
        }
        Self { space: space.clone(), searched, kinds, flags, axes }
    }

    pub(crate) fn space(&self) -> &Space {
        &self.space
    }

    /// The axes of the model's space.
    pub(crate) fn axes(&self) -> &[Axis] {
        &self.axes
    }

    /// The configuration at a point of the unit cube; one coordinate a parameter of the space.
    pub(crate) fn config(&self, unit: &[f64]) -> Config {
        self.space.build(|at, parameter| value_at(&parameter.distribution, unit[at]))
    }

    /// A point of the unit cube whose configuration this is (or is near, if it lies outside the space); 0.5 where inactive.
    pub(crate) fn unit(&self, config: &Config) -> Vec<f64> {
        let coordinate = |parameter: &Parameter| {
            config.get(&parameter.name).map_or(0.5, |value| probability_of(&parameter.distribution, value))
        };
        self.space.parameters().iter().map(coordinate).collect()
    }

    /// The configuration in the model's space.
    pub(crate) fn encode(&self, config: &Config) -> Vec<f64> {
        let parameters = self.space.parameters();
        let mut x = Vec::with_capacity(self.axes.len());
        for (&at, kind) in self.searched.iter().zip(&self.kinds) {
            let Parameter { name, distribution, .. } = &parameters[at];
            x.push(match (config.get(name), kind) {
                (None, Kind::Category) => NO_CHOICE,
                (None, Kind::Number | Kind::Ordered) => NO_NUMBER,
                (Some(value), Kind::Number) => probability_of(distribution, value),
                (Some(value), Kind::Category) => choice(distribution, value) as f64,
                (Some(value), Kind::Ordered) => {
                    choice(distribution, value) as f64 / (choices(distribution).len() - 1).max(1) as f64
                }
            });
        }
        for at in &self.flags {
            x.push(f64::from(u8::from(config.contains_key(&parameters[*at].name))));
        }
        x.resize(self.axes.len(), 0.0);
        x
    }

    /// What the emissions of a configuration are linear in: a constant, numbers and their squares, one indicator a choice.
    pub(crate) fn features(&self, x: &[f64]) -> Vec<f64> {
        let mut features = vec![1.0];
        for ((&at, kind), value) in self.searched.iter().zip(&self.kinds).zip(x) {
            match kind {
                Kind::Number | Kind::Ordered => features.extend([value - 0.5, (value - 0.5).powi(2)]),
                Kind::Category => {
                    let count = choices(&self.space.parameters()[at].distribution).len();
                    features.extend(
                        (0..count).map(|index| f64::from(u8::from((value - index as f64).abs() < 0.5))),
                    );
                }
            }
        }
        features.extend_from_slice(&x[self.searched.len()..]);
        features
    }

    /// A point near another: some coordinates moved by about `scale`, some categories drawn anew.
    pub(crate) fn perturbed(&self, unit: &[f64], x: &[f64], scale: f64, dice: &mut impl Rng) -> Vec<f64> {
        let mut near = unit.to_vec();
        let all = dice.random::<f64>() < 0.3;
        let scale = scale * (0.3 + 1.4 * dice.random::<f64>());
        let chosen = dice.random_range(0..self.searched.len().max(1));
        for (index, (&at, kind)) in self.searched.iter().zip(&self.kinds).enumerate() {
            let moves = all || index == chosen || dice.random::<f64>() < 0.35;
            let inactive = match kind {
                Kind::Category => (x[index] - NO_CHOICE).abs() < 0.5,
                Kind::Number | Kind::Ordered => !self.is_active(x, at),
            };
            if inactive {
                near[at] = dice.random();
            } else if moves {
                near[at] = match kind {
                    Kind::Category if dice.random::<f64>() < 0.25 => dice.random(),
                    Kind::Category => unit[at],
                    Kind::Number | Kind::Ordered => reflected(unit[at] + scale * normal(dice)),
                };
            }
        }
        near
    }

    fn is_active(&self, x: &[f64], at: usize) -> bool {
        let parameters = self.space.parameters();
        let flag = self.flags.iter().position(|flag| parameters[*flag].when == parameters[at].when);
        flag.is_none_or(|flag| x[self.searched.len() + flag] > 0.5)
    }
}

fn kind(parameter: &Parameter) -> Kind {
    let choices = choices(&parameter.distribution);
    if choices.is_empty() {
        return Kind::Number;
    }
    let numbers: Vec<f64> = choices.iter().filter_map(Value::number).collect();
    let ordered = numbers.len() == choices.len() && numbers.is_sorted();
    if ordered { Kind::Ordered } else { Kind::Category }
}

fn choices(distribution: &Distribution) -> &[Value] {
    match distribution {
        Distribution::Categorical { choices, .. } => choices,
        Distribution::Uniform { .. }
        | Distribution::LogUniform { .. }
        | Distribution::IntUniform { .. }
        | Distribution::Normal { .. }
        | Distribution::LogNormal { .. }
        | Distribution::Quantized { .. }
        | Distribution::Constant(_) => &[],
    }
}

fn choice(distribution: &Distribution, value: &Value) -> usize {
    choices(distribution).iter().position(|choice| choice.same_as(value)).unwrap_or(0)
}

fn reflected(coordinate: f64) -> f64 {
    let inside = if coordinate < 0.0 { -coordinate } else { coordinate };
    let inside = if inside > 1.0 { 2.0 - inside } else { inside };
    inside.clamp(0.0, 1.0 - f64::EPSILON)
}

/// A standard normal draw (Box and Muller 1958).
fn normal(dice: &mut impl Rng) -> f64 {
    let radius = (-2.0 * dice.random::<f64>().max(1e-300).ln()).sqrt();
    radius * (std::f64::consts::TAU * dice.random::<f64>()).cos()
}
