//! One parameter's mapping to its distribution, in the vocabulary of Weights & Biases.

use super::choices::{categorical, value};
use super::fields::{Field, Fields};
use crate::Distribution;
use crate::document::{Content, Findings};

const EXAMPLE: &str = "for example `{values: [16, 32]}`, `{min: 0.0, max: 0.9}` or `{value: 3}`";

/// The names, and what each one is made of.
const NAMES: &[(&str, Kind)] = &[
    ("constant", Kind::Constant),
    ("categorical", Kind::Categorical),
    ("categorical_w_probabilities", Kind::Categorical),
    ("int_uniform", Kind::Int),
    ("uniform", Kind::Between(Scale::Linear)),
    ("q_uniform", Kind::Stepped(Scale::Linear)),
    ("log_uniform", Kind::Between(Scale::Exponents)),
    ("log_uniform_values", Kind::Between(Scale::Log)),
    ("q_log_uniform", Kind::Stepped(Scale::Exponents)),
    ("q_log_uniform_values", Kind::Stepped(Scale::Log)),
    ("inv_log_uniform", Kind::Between(Scale::InverseExponents)),
    ("inv_log_uniform_values", Kind::Between(Scale::Log)),
    ("normal", Kind::Bell { log: false, stepped: false }),
    ("q_normal", Kind::Bell { log: false, stepped: true }),
    ("log_normal", Kind::Bell { log: true, stepped: false }),
    ("q_log_normal", Kind::Bell { log: true, stepped: true }),
];

#[derive(Debug, Clone, Copy)]
enum Kind {
    Constant,
    Categorical,
    Int,
    Between(Scale),
    Stepped(Scale),
    Bell { log: bool, stepped: bool },
}

/// How `min` and `max` are meant.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Scale {
    /// Values, uniform between.
    Linear,
    /// Values, uniform in the logarithm. The logarithm of 1/x is then uniform as well.
    Log,
    /// Exponents of e.
    Exponents,
    /// Exponents of e, of 1/x.
    InverseExponents,
}

/// Reads one parameter. `None` if something is wrong.
pub(super) fn distribution(findings: &mut Findings<'_>, field: &Field<'_>) -> Option<Distribution> {
    let hint = match &field.node.content {
        Content::List(_) => "write `{values: [...]}`",
        Content::Map(_) | Content::Null => EXAMPLE,
        Content::Bool(_) | Content::Int(..) | Content::Float(..) | Content::Plain(_) | Content::Quoted(_) => {
            "for a fixed value write `{value: ...}`"
        }
    };
    let known = &[
        "distribution",
        "value",
        "values",
        "probabilities",
        "min",
        "max",
        "mu",
        "sigma",
        "q",
        "when",
        "parameters",
    ];
    let before = findings.error_count();
    let fields = Fields::open(findings, field, known, hint)?;
    let unknown = findings.error_count() > before;
    let (name, kind) = match fields.get("distribution") {
        Some(field) => {
            let names: Vec<(&'static str, (&'static str, Kind))> =
                NAMES.iter().map(|(name, kind)| (*name, (*name, *kind))).collect();
            field.one_of(findings, &names)?
        }
        None => match guess(&fields) {
            Some(guess) => guess,
            // A slip in a key is one problem, not two.
            None if unknown => return None,
            None => {
                let message = format!(
                    "`{}` has no values: `value`, `values`, or `min` and `max` are missing",
                    field.path
                );
                findings.error(&field.key_span, message, EXAMPLE);
                return None;
            }
        },
    };
    without_strays(findings, &fields, name, kind)?;
    match kind {
        Kind::Constant => {
            let field = fields.require(findings, "value", EXAMPLE)?;
            value(findings, &field).map(Distribution::Constant)
        }
        Kind::Categorical => categorical(findings, &fields, name),
        Kind::Int => int_uniform(findings, &fields),
        Kind::Between(scale) => between(findings, &fields, name, scale),
        Kind::Stepped(scale) => {
            let step = step(findings, &fields);
            let inner = Box::new(between(findings, &fields, name, scale)?);
            Some(Distribution::Quantized { step: step?, inner })
        }
        Kind::Bell { log, stepped } => {
            let step = if stepped { Some(step(findings, &fields)) } else { None };
            let inner = bell(findings, &fields, log)?;
            match step {
                Some(step) => Some(Distribution::Quantized { step: step?, inner: Box::new(inner) }),
                None => Some(inner),
            }
        }
    }
}

/// What is meant where `distribution` is absent.
fn guess(fields: &Fields<'_>) -> Option<(&'static str, Kind)> {
    if fields.get("value").is_some() {
        return Some(("constant", Kind::Constant));
    }
    if fields.get("values").is_some() {
        return Some(("categorical", Kind::Categorical));
    }
    let bounds = [fields.get("min"), fields.get("max")];
    if bounds.iter().all(Option::is_none) {
        return fields.get("mu").and(Some(("normal", Kind::Bell { log: false, stepped: false })));
    }
    let all_whole = bounds.iter().flatten().all(|field| matches!(field.node.content, Content::Int(..)));
    let guess = if fields.get("q").is_some() {
        ("q_uniform", Kind::Stepped(Scale::Linear))
    } else if all_whole {
        ("int_uniform", Kind::Int)
    } else {
        ("uniform", Kind::Between(Scale::Linear))
    };
    Some(guess)
}

/// Keys that mean nothing beside this distribution are slips.
fn without_strays(findings: &mut Findings<'_>, fields: &Fields<'_>, name: &str, kind: Kind) -> Option<()> {
    let used: &[&str] = match kind {
        Kind::Constant => &["value"],
        Kind::Categorical => &["values", "probabilities"],
        Kind::Int | Kind::Between(_) => &["min", "max"],
        Kind::Stepped(_) => &["min", "max", "q"],
        Kind::Bell { stepped: false, .. } => &["mu", "sigma"],
        Kind::Bell { stepped: true, .. } => &["mu", "sigma", "q"],
    };
    let strays: Vec<Field<'_>> = ["value", "values", "probabilities", "min", "max", "mu", "sigma", "q"]
        .iter()
        .filter(|key| !used.contains(*key))
        .filter_map(|key| fields.get(key))
        .collect();
    let Some(first) = strays.first() else { return Some(()) };
    let paths: Vec<String> = strays.iter().map(|field| format!("`{}`", field.path)).collect();
    let message = format!("beside the distribution {name} there is no meaning for {}", paths.join(" and "));
    findings.error(&first.key_span, message, format!("{name} takes {}", used.join(", ")));
    None
}

fn between(
    findings: &mut Findings<'_>,
    fields: &Fields<'_>,
    name: &str,
    scale: Scale,
) -> Option<Distribution> {
    let (min_field, max_field) = bounds(findings, fields);
    let min = min_field.as_ref().and_then(|field| field.number(findings));
    let max = max_field.as_ref().and_then(|field| field.number(findings));
    let (min_field, max_field, min, max) = (min_field?, max_field?, min?, max?);
    if scale == Scale::Log {
        for (field, bound) in [(&min_field, min), (&max_field, max)] {
            if bound <= 0.0 {
                field.wrong(
                    findings,
                    &format!("above zero for {name}"),
                    "a logarithm begins above zero; for example 1e-6",
                );
                return None;
            }
        }
    }
    if min >= max {
        above(findings, &min_field, &min.to_string(), &max.to_string());
        return None;
    }
    let (min, max) = match scale {
        Scale::Linear => return Some(Distribution::Uniform { min, max }),
        Scale::Log => return Some(Distribution::LogUniform { min, max }),
        Scale::Exponents => (min.exp(), max.exp()),
        Scale::InverseExponents => ((-max).exp(), (-min).exp()),
    };
    let hint = format!("if these are the smallest and the largest value, use `{name}_values`");
    if min <= 0.0 || !max.is_finite() || min >= max {
        let message =
            format!("the bounds of {name} are exponents of e, and e to these is no range of numbers");
        findings.error(&min_field.node.span, message, hint);
        return None;
    }
    let message = format!(
        "the bounds of {name} are exponents of e: values lie between {} and {}",
        brief(min),
        brief(max)
    );
    let place =
        fields.get("distribution").map_or(min_field.node.span.clone(), |field| field.node.span.clone());
    findings.warning(&place, message, hint);
    Some(Distribution::LogUniform { min, max })
}

fn int_uniform(findings: &mut Findings<'_>, fields: &Fields<'_>) -> Option<Distribution> {
    let (min_field, max_field) = bounds(findings, fields);
    let min = min_field.as_ref().and_then(|field| field.integer(findings));
    let max = max_field.and_then(|field| field.integer(findings));
    let (min, max) = (min?, max?);
    if min >= max {
        above(findings, &min_field?, &min.to_string(), &max.to_string());
        return None;
    }
    Some(Distribution::IntUniform { min, max })
}

fn bounds<'n>(findings: &mut Findings<'_>, fields: &Fields<'n>) -> (Option<Field<'n>>, Option<Field<'n>>) {
    (fields.require(findings, "min", "add `min:`"), fields.require(findings, "max", "add `max:`"))
}

fn above(findings: &mut Findings<'_>, min_field: &Field<'_>, min: &str, max: &str) {
    let (message, hint) = if min == max {
        (
            format!("`{}` is not below `max`: both are {min}", min_field.path),
            "for a fixed value write `value:`",
        )
    } else {
        (format!("`{}` is above `max`: {min} > {max}", min_field.path), "swap them")
    };
    findings.error(&min_field.node.span, message, hint);
}

fn bell(findings: &mut Findings<'_>, fields: &Fields<'_>, log: bool) -> Option<Distribution> {
    let mu = fields.get("mu").map_or(Some(0.0), |field| field.number(findings));
    let sigma = fields.get("sigma").map_or(Some(1.0), |field| {
        field.positive(findings, "it is the standard deviation; for a fixed value write `value:`")
    });
    let (mu, sigma) = (mu?, sigma?);
    Some(if log { Distribution::LogNormal { mu, sigma } } else { Distribution::Normal { mu, sigma } })
}

/// The distance between values; 1 where it is absent, as in W&B.
fn step(findings: &mut Findings<'_>, fields: &Fields<'_>) -> Option<f64> {
    fields.get("q").map_or(Some(1.0), |field| field.positive(findings, "it is the distance between values"))
}

/// A number with four significant digits.
pub(super) fn brief(number: f64) -> String {
    if number == 0.0 {
        return "0".to_owned();
    }
    if !(1e-3..1e5).contains(&number.abs()) {
        return format!("{number:.3e}");
    }
    let bounds = [1e-2, 1e-1, 1.0, 1e1, 1e2, 1e3];
    let decimals = bounds.iter().filter(|bound| number.abs() < **bound).count();
    let text = format!("{number:.decimals$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_messages_have_four_digits() {
        let shown: Vec<String> =
            [0.0, 1.1, 148.4132, 0.006_737_9, 1.2e-4, 22_026.47, 3e9].map(brief).to_vec();
        assert_eq!(shown, ["0", "1.1", "148.4", "0.006738", "1.200e-4", "22026", "3.000e9"]);
    }
}
