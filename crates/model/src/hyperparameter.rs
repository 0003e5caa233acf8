//! Hyperparameters as programs state them: in the engine's protocol and in benchmark tables.

use serde::{Deserialize, Serialize};

use crate::space::{Condition, Distribution, Parameter, Space};
use crate::{Config, Value};

/// One hyperparameter, as JSON states it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Hyperparameter {
    /// Its name.
    pub name: String,
    /// `float`, `int`, `ordinal` or `categorical`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Smallest value of a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower: Option<f64>,
    /// Largest value of a number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<f64>,
    /// Is a number searched by its logarithm?
    #[serde(default)]
    pub log: bool,
    /// The values of an ordinal (in order) or a categorical.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<serde_json::Value>>,
    /// Active only while another one has one of these values.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Dependence>,
}

/// On what a hyperparameter's activity depends.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Dependence {
    /// The other one's name.
    pub parent: String,
    /// The values that make this one active.
    pub values: Vec<serde_json::Value>,
}

impl Space {
    /// The space of hyperparameters as programs state them. `Err` says what is wrong with which.
    pub fn from_hyperparameters(stated: &[Hyperparameter]) -> Result<Self, String> {
        let mut parameters = Vec::with_capacity(stated.len());
        for (at, one) in stated.iter().enumerate() {
            if stated[..at].iter().any(|other| other.name == one.name) {
                return Err(format!("hyperparameter `{}` is there twice", one.name));
            }
            let distribution =
                distribution(one).map_err(|what| format!("hyperparameter `{}`: {what}", one.name))?;
            let when = one
                .condition
                .iter()
                .map(|condition| condition_of(one, condition, stated))
                .collect::<Result<_, _>>()?;
            parameters.push(Parameter { name: one.name.clone(), distribution, when });
        }
        Self::new(parameters, Vec::new())
            .map_err(|cycle| format!("the conditions of `{}` depend on itself", cycle.parameter))
    }
}

fn condition_of(
    one: &Hyperparameter,
    on: &Dependence,
    stated: &[Hyperparameter],
) -> Result<Condition, String> {
    if !stated.iter().any(|other| other.name == on.parent) {
        return Err(format!(
            "hyperparameter `{}`: its condition names `{}`, which is not there",
            one.name, on.parent
        ));
    }
    let any_of = on.values.iter().map(value).collect::<Result<_, _>>()?;
    Ok(Condition { parameter: on.parent.clone(), any_of })
}

fn distribution(one: &Hyperparameter) -> Result<Distribution, String> {
    match one.kind.as_str() {
        "float" => {
            let (min, max) = bounds(one)?;
            Ok(match (min < max, one.log) {
                (false, _) => Distribution::Constant(Value::Float(min)),
                (true, true) => Distribution::LogUniform { min, max },
                (true, false) => Distribution::Uniform { min, max },
            })
        }
        "int" => {
            let (min, max) = bounds(one)?;
            #[expect(
                clippy::cast_possible_truncation,
                reason = "checked to be in the range of whole numbers"
            )]
            let (whole_min, whole_max) = (min.ceil() as i64, max.floor() as i64);
            if min.abs() > 9.0e15 || max.abs() > 9.0e15 || whole_min > whole_max {
                return Err(format!("no whole number lies between {min} and {max}"));
            }
            Ok(match (whole_min < whole_max, one.log) {
                (false, _) => Distribution::Constant(Value::Int(whole_min)),
                (true, true) => {
                    let inner = Box::new(Distribution::LogUniform { min, max });
                    Distribution::Quantized { step: 1.0, inner }
                }
                (true, false) => Distribution::IntUniform { min: whole_min, max: whole_max },
            })
        }
        "ordinal" | "categorical" => {
            let stated = one.choices.as_deref().unwrap_or_default();
            let choices: Vec<Value> = stated.iter().map(value).collect::<Result<_, _>>()?;
            let twice =
                (1..choices.len()).find(|at| choices[..*at].iter().any(|other| other.same_as(&choices[*at])));
            match (choices.len(), twice) {
                (0, _) => Err("`choices` is missing or empty".to_owned()),
                (_, Some(at)) => Err(format!("choice `{}` is there twice", choices[at])),
                (_, None) => Ok(Distribution::Categorical { choices, probabilities: None }),
            }
        }
        other => Err(format!("unknown type `{other}`: expected float, int, ordinal or categorical")),
    }
}

fn bounds(one: &Hyperparameter) -> Result<(f64, f64), String> {
    let (Some(lower), Some(upper)) = (one.lower, one.upper) else {
        return Err("`lower` and `upper` are needed".to_owned());
    };
    if !lower.is_finite() || !upper.is_finite() || lower > upper || !(upper - lower).is_finite() {
        return Err(format!("bounds {lower} to {upper} are no range"));
    }
    if one.log && lower <= 0.0 {
        return Err(format!("`log` needs a `lower` above 0, not {lower}"));
    }
    Ok((lower, upper))
}

/// A JSON scalar as a value.
pub fn value(json: &serde_json::Value) -> Result<Value, String> {
    match json {
        serde_json::Value::Null => Ok(Value::Null),
        serde_json::Value::Bool(value) => Ok(Value::Bool(*value)),
        serde_json::Value::String(value) => Ok(Value::Text(value.clone())),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(value), _) => Ok(Value::Int(value)),
            (None, Some(value)) if value.is_finite() => Ok(Value::Float(value)),
            (None, _) => Err(format!("{number} is no finite number")),
        },
        serde_json::Value::Array(_) | serde_json::Value::Object(_) => {
            Err(format!("expected a number or a word, not {json}"))
        }
    }
}

/// A JSON object as a configuration; members that are null are inactive.
pub fn config(json: &serde_json::Value) -> Result<Config, String> {
    let serde_json::Value::Object(members) = json else {
        return Err(format!("expected an object with one member a hyperparameter, not {json}"));
    };
    let active = members.iter().filter(|(_, member)| !member.is_null());
    active.map(|(name, member)| Ok((name.clone(), value(member)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn space(json: &str) -> Result<Space, String> {
        let stated: Vec<Hyperparameter> = serde_json::from_str(json).unwrap();
        Space::from_hyperparameters(&stated)
    }

    #[test]
    fn each_type_has_its_distribution() {
        let space = space(
            r#"[{"name":"m","type":"float","lower":0,"upper":0.99,"condition":{"parent":"opt","values":["sgd"]}},
                {"name":"lr","type":"float","lower":1e-4,"upper":0.1,"log":true},
                {"name":"units","type":"int","lower":16,"upper":512,"log":true},
                {"name":"opt","type":"categorical","choices":["sgd","adam"]},
                {"name":"one","type":"int","lower":3,"upper":3}]"#,
        )
        .unwrap();
        let names: Vec<&str> = space.parameters().iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["lr", "units", "opt", "m", "one"], "parents first");
        assert_eq!(space.parameters()[4].distribution, Distribution::Constant(Value::Int(3)));
        assert!(matches!(space.parameters()[1].distribution, Distribution::Quantized { .. }));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, what) in [
            (r#"[{"name":"a","type":"float","lower":1}]"#, "`lower` and `upper`"),
            (r#"[{"name":"a","type":"float","lower":0,"upper":1,"log":true}]"#, "above 0"),
            (r#"[{"name":"a","type":"float","lower":2,"upper":1}]"#, "no range"),
            (r#"[{"name":"a","type":"ordinal"}]"#, "`choices`"),
            (r#"[{"name":"a","type":"categorical","choices":[1,1.0]}]"#, "twice"),
            (r#"[{"name":"a","type":"complex"}]"#, "unknown type `complex`"),
            (r#"[{"name":"a","type":"int","lower":0.2,"upper":0.8}]"#, "no whole number"),
            (
                r#"[{"name":"a","type":"float","lower":0,"upper":1,"condition":{"parent":"b","values":[1]}}]"#,
                "not there",
            ),
        ] {
            let problem = space(json).unwrap_err();
            assert!(problem.contains(what) && problem.contains("`a`"), "{problem}");
        }
    }
}
