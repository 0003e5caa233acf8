//! Configurations as points of the unit cube, and back: each coordinate is a probability of its distribution.

use gramwise_model::{Distribution, Value};
use gramwise_surrogate::{normal_cdf, normal_quantile};

/// The value of a distribution at a probability in [0, 1): its quantile.
pub(crate) fn value_at(distribution: &Distribution, probability: f64) -> Value {
    match distribution {
        Distribution::Constant(value) => value.clone(),
        Distribution::Categorical { choices, probabilities } => {
            choices[choice_at(choices.len(), probabilities.as_deref(), probability)].clone()
        }
        Distribution::IntUniform { min, max } => Value::Int(int_at(*min, *max, probability)),
        Distribution::Uniform { .. }
        | Distribution::LogUniform { .. }
        | Distribution::Normal { .. }
        | Distribution::LogNormal { .. } => Value::Float(float_at(distribution, probability)),
        Distribution::Quantized { step, inner } => {
            let (min, max) = bounds(inner);
            quantized(float_at(inner, probability), *step, min, max)
        }
    }
}

/// A probability in [0, 1) at which [`value_at`] gives the value: the middle of those that do. Values outside the bounds are
/// held at them.
pub(crate) fn probability_of(distribution: &Distribution, value: &Value) -> f64 {
    let number = value.number().unwrap_or(0.0);
    let probability = match distribution {
        Distribution::Constant(_) => 0.5,
        Distribution::Categorical { choices, probabilities } => {
            let index = choices.iter().position(|choice| choice.same_as(value)).unwrap_or(0);
            let share =
                |at: usize| probabilities.as_deref().map_or(1.0 / choices.len() as f64, |all| all[at]);
            (0..index).map(share).sum::<f64>() + 0.5 * share(index)
        }
        Distribution::IntUniform { min, max } => {
            (number - *min as f64 + 0.5) / ((i128::from(*max) - i128::from(*min) + 1) as f64)
        }
        Distribution::Uniform { min, max } => (number - min) / (max - min),
        Distribution::LogUniform { min, max } => {
            (number / min).max(f64::MIN_POSITIVE).ln() / (max.ln() - min.ln())
        }
        Distribution::Normal { mu, sigma } => normal_cdf((number - mu) / sigma),
        Distribution::LogNormal { mu, sigma } => {
            normal_cdf((number.max(f64::MIN_POSITIVE).ln() - mu) / sigma)
        }
        Distribution::Quantized { inner, .. } => return probability_of(inner, value),
    };
    if probability.is_finite() { probability.clamp(0.0, 1.0 - f64::EPSILON) } else { 0.5 }
}

/// All values of a distribution for a grid; `None` where they cannot be listed.
pub(crate) fn listed(distribution: &Distribution) -> Option<Vec<Value>> {
    match distribution {
        Distribution::Constant(value) => Some(vec![value.clone()]),
        Distribution::Categorical { choices, .. } => Some(choices.clone()),
        Distribution::IntUniform { min, max } => Some((*min..=*max).map(Value::Int).collect()),
        Distribution::Quantized { step, inner } => {
            let (min, max) = bounds(inner);
            (min.is_finite() && max.is_finite()).then(|| {
                let first = (min / step).ceil();
                let count = ((max / step).floor() - first).max(0.0);
                let mut index = 0.0;
                let mut values = Vec::new();
                while index <= count {
                    values.push(whole_if_step_is((first + index) * step, *step));
                    index += 1.0;
                }
                values
            })
        }
        Distribution::Uniform { .. }
        | Distribution::LogUniform { .. }
        | Distribution::Normal { .. }
        | Distribution::LogNormal { .. } => None,
    }
}

/// How many values [`listed`] has.
pub(crate) fn count(distribution: &Distribution) -> Option<u64> {
    match distribution {
        Distribution::IntUniform { min, max } => Some(max.abs_diff(*min).saturating_add(1)),
        Distribution::Quantized { step, inner } => {
            let (min, max) = bounds(inner);
            let steps = (max / step).floor() - (min / step).ceil();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
            let count = steps.is_finite().then(|| (steps.max(0.0) as u64).saturating_add(1));
            count
        }
        Distribution::Constant(_)
        | Distribution::Categorical { .. }
        | Distribution::Uniform { .. }
        | Distribution::LogUniform { .. }
        | Distribution::Normal { .. }
        | Distribution::LogNormal { .. } => listed(distribution).map(|values| values.len() as u64),
    }
}

fn choice_at(count: usize, probabilities: Option<&[f64]>, probability: f64) -> usize {
    let mut reached = 0.0;
    (0..count)
        .find(|&index| {
            reached += probabilities.map_or(1.0 / count as f64, |all| all[index]);
            probability < reached
        })
        .unwrap_or(count - 1)
}

#[expect(clippy::cast_possible_truncation, reason = "the offset lies below the number of values")]
fn int_at(min: i64, max: i64, probability: f64) -> i64 {
    let count = (i128::from(max) - i128::from(min) + 1) as f64;
    let offset = (probability * count).floor() as i128;
    i64::try_from(i128::from(min) + offset).map_or(max, |value| value.clamp(min, max))
}

fn float_at(distribution: &Distribution, probability: f64) -> f64 {
    match distribution {
        Distribution::Uniform { min, max } => min + probability * (max - min),
        Distribution::LogUniform { min, max } => {
            (min.ln() + probability * (max.ln() - min.ln())).exp().clamp(*min, *max)
        }
        Distribution::Normal { mu, sigma } => mu + sigma * normal_quantile(probability),
        Distribution::LogNormal { mu, sigma } => (mu + sigma * normal_quantile(probability)).exp(),
        Distribution::IntUniform { min, max } => int_at(*min, *max, probability) as f64,
        Distribution::Quantized { inner, .. } => float_at(inner, probability),
        Distribution::Categorical { .. } | Distribution::Constant(_) => {
            unreachable!("a legal space quantizes numbers only")
        }
    }
}

fn bounds(distribution: &Distribution) -> (f64, f64) {
    match distribution {
        Distribution::Uniform { min, max } | Distribution::LogUniform { min, max } => (*min, *max),
        Distribution::IntUniform { min, max } => (*min as f64, *max as f64),
        Distribution::Normal { .. }
        | Distribution::LogNormal { .. }
        | Distribution::Quantized { .. }
        | Distribution::Categorical { .. }
        | Distribution::Constant(_) => (f64::NEG_INFINITY, f64::INFINITY),
    }
}

/// The nearest multiple of `step` that lies inside the bounds; where none does, the value itself.
fn quantized(value: f64, step: f64, min: f64, max: f64) -> Value {
    let (first, last) = ((min / step).ceil(), (max / step).floor());
    if first > last {
        return Value::Float(value);
    }
    whole_if_step_is((value / step).round().clamp(first, last) * step, step)
}

/// Multiples of a whole step are whole numbers, so that `width: 64` does not arrive as `64.0`.
#[expect(clippy::cast_possible_truncation, reason = "checked to be whole and within the range of i64")]
fn whole_if_step_is(value: f64, step: f64) -> Value {
    let whole = step.fract() == 0.0 && value.fract() == 0.0 && value.abs() < 9.0e15;
    if whole { Value::Int(value as i64) } else { Value::Float(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_of_the_unit_interval_are_ends_of_the_range() {
        let log = Distribution::LogUniform { min: 1e-4, max: 1.0 };
        let Value::Float(lowest) = value_at(&log, 0.0) else { panic!("a float") };
        assert!((1e-4..1.000_001e-4).contains(&lowest), "{lowest}");
        let Value::Float(middle) = value_at(&log, 0.5) else { panic!("a float") };
        assert!((middle - 1e-2).abs() < 1e-9);
        let int = Distribution::IntUniform { min: -2, max: 2 };
        assert_eq!(value_at(&int, 0.0), Value::Int(-2));
        assert_eq!(value_at(&int, 0.999_999), Value::Int(2));
        assert_eq!(
            value_at(&Distribution::IntUniform { min: i64::MIN, max: i64::MAX }, 0.0),
            Value::Int(i64::MIN)
        );
    }

    #[test]
    fn probabilities_of_values_lead_back_to_them() {
        let inner = Box::new(Distribution::LogUniform { min: 9.0, max: 100.0 });
        for distribution in [
            Distribution::Uniform { min: -2.0, max: 3.0 },
            Distribution::LogUniform { min: 1e-5, max: 2.0 },
            Distribution::IntUniform { min: -3, max: 9 },
            Distribution::Normal { mu: 1.0, sigma: 2.0 },
            Distribution::LogNormal { mu: 1.0, sigma: 2.0 },
            Distribution::Quantized { step: 8.0, inner },
            Distribution::Categorical {
                choices: vec![Value::Text("a".into()), Value::Int(3), Value::Null],
                probabilities: Some(vec![0.2, 0.7, 0.1]),
            },
        ] {
            for draw in [0.01, 0.3, 0.55, 0.93] {
                let value = value_at(&distribution, draw);
                let again = value_at(&distribution, probability_of(&distribution, &value));
                match (value.number(), again.number()) {
                    (Some(a), Some(b)) => assert!((a - b).abs() <= 1e-9 * a.abs().max(1.0), "{a} {b}"),
                    _ => assert_eq!(value, again),
                }
            }
        }
    }

    #[test]
    fn quantized_values_are_multiples_inside_the_bounds() {
        let inner = Box::new(Distribution::LogUniform { min: 9.0, max: 100.0 });
        let width = Distribution::Quantized { step: 8.0, inner };
        assert_eq!(value_at(&width, 0.0), Value::Int(16));
        assert_eq!(value_at(&width, 0.999), Value::Int(96));
        assert_eq!(listed(&width).unwrap().len(), 11);
        let inner = Box::new(Distribution::Uniform { min: 0.0, max: 1.0 });
        let tenths = listed(&Distribution::Quantized { step: 0.1, inner }).unwrap();
        assert_eq!(tenths.len(), 11);
    }

    #[test]
    fn choices_follow_their_probabilities() {
        let choices = vec![Value::Int(1), Value::Int(2)];
        let skewed = Distribution::Categorical { choices, probabilities: Some(vec![0.9, 0.1]) };
        assert_eq!(value_at(&skewed, 0.89), Value::Int(1));
        assert_eq!(value_at(&skewed, 0.91), Value::Int(2));
    }
}
