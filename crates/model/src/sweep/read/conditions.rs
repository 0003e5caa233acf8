//! `when:` and `forbidden:`: what speaks of other parameters and their values.

use std::collections::{BTreeMap, BTreeSet};

use super::choices::value;
use super::fields::{Field, Fields, meant};
use super::parameters::Draft;
use crate::document::{Content, Entry, Findings};
use crate::{Condition, Config, Distribution, Forbidden, Value};

type ByName<'d, 'n> = BTreeMap<&'d str, &'d Draft<'n>>;

/// Reads one `when:`. What is wrong is left out.
pub(super) fn when(
    findings: &mut Findings<'_>,
    field: &Field<'_>,
    drafts: &ByName<'_, '_>,
) -> Vec<Condition> {
    let Some(entries) = field.entries(findings, "for example `when: {opt: sgd}`") else { return Vec::new() };
    if entries.is_empty() {
        field.wrong(findings, "a mapping with at least one parameter", "for example `when: {opt: sgd}`");
    }
    entries.iter().filter_map(|entry| condition(findings, field, entry, drafts)).collect()
}

fn condition(
    findings: &mut Findings<'_>,
    when: &Field<'_>,
    entry: &Entry,
    drafts: &ByName<'_, '_>,
) -> Option<Condition> {
    let other = known(findings, entry, drafts)?;
    let field = when.child(entry);
    let items = match &entry.value.content {
        Content::List(items) if items.is_empty() => {
            field.wrong(findings, "a value or a list of at least one", "");
            return None;
        }
        Content::List(items) => items.iter().map(|item| field.item(item)).collect(),
        _ => vec![field],
    };
    let any_of: Vec<Option<Value>> = items.iter().map(|item| taken(findings, item, other)).collect();
    Some(Condition { parameter: entry.key.clone(), any_of: any_of.into_iter().flatten().collect() })
}

/// Reads `forbidden:`.
pub(super) fn forbidden(
    findings: &mut Findings<'_>,
    file: &Fields<'_>,
    drafts: &ByName<'_, '_>,
) -> Vec<Forbidden> {
    let example = "for example `forbidden: [{opt: adam, batch: 16}]`";
    let Some(items) = file.get("forbidden").and_then(|field| field.list(findings, example)) else {
        return Vec::new();
    };
    let mut all = Vec::new();
    for item in items {
        let Some(entries) = item.entries(findings, example) else { continue };
        if entries.is_empty() {
            item.wrong(findings, "a mapping with at least one parameter", example);
        }
        let mut values = Config::new();
        for entry in entries {
            let Some(other) = known(findings, entry, drafts) else { continue };
            let field = item.child(entry);
            if let Content::List(_) = entry.value.content {
                field.wrong(findings, "one value", "write one combination for each value");
            } else if let Some(value) = taken(findings, &field, other) {
                values.insert(entry.key.clone(), value);
            }
        }
        all.push(Forbidden { values });
    }
    all
}

/// The parameter that a key names.
fn known<'d, 'n>(
    findings: &mut Findings<'_>,
    entry: &Entry,
    drafts: &ByName<'d, 'n>,
) -> Option<&'d Draft<'n>> {
    let found = drafts.get(entry.key.as_str()).copied();
    if found.is_none() {
        let names: Vec<&str> = drafts.keys().copied().collect();
        let nested = names.iter().find(|name| name.rsplit('.').next() == Some(entry.key.as_str())).copied();
        let hint = match meant(&entry.key, &names).or(nested) {
            Some(name) => format!("did you mean `{name}`?"),
            None => format!("parameters: {}", names[..names.len().min(20)].join(", ")),
        };
        findings.error(&entry.key_span, format!("there is no parameter named `{}`", entry.key), hint);
    }
    found
}

/// A value that the other parameter can take.
fn taken(findings: &mut Findings<'_>, field: &Field<'_>, other: &Draft<'_>) -> Option<Value> {
    let value = value(findings, field)?;
    let Some(distribution) = &other.distribution else { return Some(value) };
    if let Some(hint) = refusal(distribution, &value) {
        let message = format!("the parameter `{}` never has this value: {value}", other.name);
        findings.error(&field.node.span, message, hint);
        return None;
    }
    if is_a_point_of_many(distribution) {
        let message = format!("`{}` is continuous and all but never exactly {value}", other.name);
        findings.warning(&field.node.span, message, "name a parameter with choices or whole numbers");
    }
    Some(value)
}

fn is_a_point_of_many(distribution: &Distribution) -> bool {
    match distribution {
        Distribution::Uniform { .. }
        | Distribution::LogUniform { .. }
        | Distribution::Normal { .. }
        | Distribution::LogNormal { .. } => true,
        Distribution::IntUniform { .. }
        | Distribution::Quantized { .. }
        | Distribution::Categorical { .. }
        | Distribution::Constant(_) => false,
    }
}

/// Why a distribution never gives a value, as a hint; `None` if it can.
fn refusal(distribution: &Distribution, value: &Value) -> Option<String> {
    let (legal, hint) = match distribution {
        Distribution::Constant(only) => (only.same_as(value), format!("it is always {only}")),
        Distribution::Categorical { choices, .. } => {
            let shown: Vec<String> = choices.iter().take(20).map(Value::to_string).collect();
            (choices.iter().any(|choice| choice.same_as(value)), format!("its values: {}", shown.join(", ")))
        }
        Distribution::IntUniform { min, max } => {
            let inside = value
                .number()
                .is_some_and(|number| number.fract() == 0.0 && (*min as f64..=*max as f64).contains(&number));
            (inside, format!("its values: whole numbers from {min} to {max}"))
        }
        Distribution::Uniform { min, max } | Distribution::LogUniform { min, max } => {
            let inside = value.number().is_some_and(|number| (*min..=*max).contains(&number));
            (inside, format!("its values: {min} to {max}"))
        }
        Distribution::Normal { .. } => (value.number().is_some(), "its values are numbers".to_owned()),
        Distribution::LogNormal { .. } => (
            value.number().is_some_and(|number| number > 0.0),
            "its values are numbers above zero".to_owned(),
        ),
        Distribution::Quantized { step, .. } => {
            let steps = value.number().map(|number| number / step);
            let legal = steps.is_some_and(|steps| (steps - steps.round()).abs() < 1e-6);
            (legal, format!("its values are multiples of {step}"))
        }
    };
    (!legal).then_some(hint)
}

/// Reports every circle of parameters that wait for each other, once, by all its names.
pub(super) fn no_cycle(findings: &mut Findings<'_>, drafts: &[Draft<'_>], conditions: &[Vec<Condition>]) {
    let mut waiting: BTreeMap<&str, Vec<&str>> = drafts
        .iter()
        .zip(conditions)
        .map(|(draft, when)| {
            (draft.name.as_str(), when.iter().map(|condition| condition.parameter.as_str()).collect())
        })
        .collect();
    loop {
        remove_free(&mut waiting);
        // What is left stands on a circle or waits for one.
        let Some(first) =
            drafts.iter().map(|draft| draft.name.as_str()).find(|name| waiting.contains_key(name))
        else {
            return;
        };
        let circle = walk(&waiting, first);
        let Some(draft) = drafts.iter().find(|draft| circle.contains(&draft.name.as_str())) else { return };
        let start = circle.iter().position(|name| *name == draft.name).unwrap_or(0);
        let names: Vec<&str> = circle[start..].iter().chain(&circle[..=start]).copied().collect();
        let message = match circle.len() {
            1 => format!("`{}` depends on itself", draft.name),
            _ => format!("these parameters wait for each other: {}", names.join(" -> ")),
        };
        findings.error(&draft.when_span(), message, "remove one `when` on the way round");
        for name in circle {
            waiting.remove(name);
        }
    }
}

/// Takes out whatever waits for nothing that is left, until nothing changes.
fn remove_free(waiting: &mut BTreeMap<&str, Vec<&str>>) {
    loop {
        let names: BTreeSet<&str> = waiting.keys().copied().collect();
        waiting.retain(|_, others| others.iter().any(|other| names.contains(other)));
        if waiting.len() == names.len() {
            return;
        }
    }
}

/// Follows dependencies from `first` until a name comes again; returns the names on the circle.
fn walk<'a>(waiting: &BTreeMap<&'a str, Vec<&'a str>>, first: &'a str) -> Vec<&'a str> {
    let mut path = vec![first];
    loop {
        let last = path[path.len() - 1];
        let next =
            waiting.get(last).and_then(|others| others.iter().find(|other| waiting.contains_key(*other)));
        let Some(next) = next else { return path };
        if let Some(start) = path.iter().position(|name| name == next) {
            return path.split_off(start);
        }
        path.push(next);
    }
}
