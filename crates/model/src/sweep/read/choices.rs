//! Single values and lists of them: what a trial may be handed.

use std::collections::BTreeSet;

use super::distributions::brief;
use super::fields::{Field, Fields};
use crate::document::{Content, Findings, Node};
use crate::{Distribution, Value};

/// `values:`, with `probabilities:` where they are given.
pub(super) fn categorical(
    findings: &mut Findings<'_>,
    fields: &Fields<'_>,
    name: &str,
) -> Option<Distribution> {
    let field = fields.require(findings, "values", "add `values: [...]`")?;
    let items = field.list(findings, "for example `values: [16, 32]`")?;
    if items.is_empty() {
        field.wrong(findings, "a list with at least one value", "for a fixed value write `value:`");
        return None;
    }
    let choices: Vec<Option<Value>> = items.iter().map(|item| value(findings, item)).collect();
    let mut seen = BTreeSet::new();
    for (item, choice) in items.iter().zip(&choices) {
        if let Some(choice) = choice.as_ref().filter(|choice| !seen.insert(identity(choice))) {
            let message = format!("`{}` holds the value {choice} twice", field.path);
            findings.error(&item.node.span, message, "remove one; for more weight use `probabilities`");
            return None;
        }
    }
    let probabilities = match fields.get("probabilities") {
        Some(field) => Some(probabilities(findings, &field, choices.len())?),
        None if name == "categorical_w_probabilities" => {
            fields.require(findings, "probabilities", "add one for each value, or use `categorical`")?;
            None
        }
        None => None,
    };
    Some(Distribution::Categorical { choices: choices.into_iter().collect::<Option<_>>()?, probabilities })
}

fn probabilities(findings: &mut Findings<'_>, field: &Field<'_>, count: usize) -> Option<Vec<f64>> {
    /// Decimal fractions like 0.1 add up to 1 to within rounding.
    const ROUNDING: f64 = 1e-6;
    let items = field.list(findings, "one for each value")?;
    if items.len() != count {
        let message = format!("`{}` has {} entries for {count} values", field.path, items.len());
        findings.error(&field.node.span, message, "write one for each value");
        return None;
    }
    let mut shares = Vec::with_capacity(count);
    for item in &items {
        let share = item.number(findings)?;
        if share < 0.0 {
            item.wrong(findings, "a list of numbers that are not negative", "");
            return None;
        }
        shares.push(share);
    }
    let sum: f64 = shares.iter().sum();
    if (sum - 1.0).abs() > ROUNDING {
        let message = format!("`{}` must add up to 1, found a sum of {}", field.path, brief(sum));
        findings.error(&field.node.span, message, "divide each by the sum");
        return None;
    }
    Some(shares)
}

/// A value for a trial: a scalar.
pub(super) fn value(findings: &mut Findings<'_>, field: &Field<'_>) -> Option<Value> {
    match &field.node.content {
        Content::Null => Some(Value::Null),
        Content::Bool(value) => Some(Value::Bool(*value)),
        Content::Int(..) => field.integer(findings).map(Value::Int),
        Content::Float(..) => field.number(findings).map(Value::Float),
        Content::Plain(text) => {
            warn_of_old_booleans(findings, field.node, text);
            Some(Value::Text(text.clone()))
        }
        Content::Quoted(text) => Some(Value::Text(text.clone())),
        Content::List(_) | Content::Map(_) => {
            field.wrong(
                findings,
                "a number, a text, true, false or null",
                "write it as a text in quotes, and let the program take it apart",
            );
            None
        }
    }
}

/// YAML 1.1 read these as truth values; W&B's reader still does.
fn warn_of_old_booleans(findings: &mut Findings<'_>, node: &Node, text: &str) {
    let meant = match text.to_ascii_lowercase().as_str() {
        "yes" | "on" => "true",
        "no" | "off" => "false",
        _ => return,
    };
    let message = format!("`{text}` is a text here; older readers of YAML take it for {meant}");
    findings.warning(&node.span, message, format!("write {meant}, or \"{text}\" in quotes"));
}

/// Equal for values that [`Value::same_as`] takes for the same.
fn identity(value: &Value) -> (u8, u64, String) {
    match value {
        Value::Null => (0, 0, String::new()),
        Value::Bool(value) => (1, u64::from(*value), String::new()),
        // Adding zero turns -0 into 0.
        Value::Int(_) | Value::Float(_) => {
            (2, (value.number().unwrap_or_default() + 0.0).to_bits(), String::new())
        }
        Value::Text(text) => (3, 0, text.clone()),
    }
}
