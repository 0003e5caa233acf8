//! `objectives:` (or W&B's `metric:`) and `constraints:`.

use std::collections::BTreeSet;

use super::fields::{Field, Fields};
use crate::document::Findings;
use crate::{CO2E, Constraint, Goal, Objective};

const EXAMPLE: &str = "for example `objectives: [{name: val_error, goal: minimize}]`";
const GOALS: &[(&str, Goal)] = &[("minimize", Goal::Minimize), ("maximize", Goal::Maximize)];

/// The objectives in order; empty only if something was wrong.
pub(super) fn objectives(findings: &mut Findings<'_>, file: &Fields<'_>) -> Vec<Objective> {
    let metric = file.get("metric");
    let Some(field) = file.get("objectives") else {
        if let Some(field) = metric {
            return metric_as_objective(findings, &field).into_iter().collect();
        }
        if !file.is_meant("metric") {
            file.require(findings, "objectives", EXAMPLE);
        }
        return Vec::new();
    };
    if let Some(field) = metric {
        let message = "`objectives` and `metric` say the same thing twice";
        findings.error(&field.key_span, message, "keep `objectives`");
    }
    let Some(items) = field.list(findings, EXAMPLE) else { return Vec::new() };
    if items.is_empty() {
        field.wrong(findings, "a list with at least one objective", EXAMPLE);
    }
    let mut names = BTreeSet::new();
    items.iter().filter_map(|item| objective(findings, item, &mut names)).collect()
}

fn objective(
    findings: &mut Findings<'_>,
    item: &Field<'_>,
    names: &mut BTreeSet<String>,
) -> Option<Objective> {
    let fields = Fields::open(findings, item, &["name", "goal", "meaningful"], EXAMPLE)?;
    let name = unique_name(findings, &fields, names, "objective");
    let hint = "add `goal: minimize` or `goal: maximize`";
    let goal = fields.require(findings, "goal", hint).and_then(|field| {
        let goal = field.one_of(findings, GOALS)?;
        keep_co2e_down(findings, &field, name.as_deref(), goal)
    });
    let meaningful = fields.get("meaningful").and_then(|field| {
        field.positive(
            findings,
            "it is the smallest difference that matters to you; leave it out if you do not know",
        )
    });
    Some(Objective { name: name?, goal: goal?, meaningful })
}

/// W&B's single metric. Its goal may be absent and is then to minimise.
fn metric_as_objective(findings: &mut Findings<'_>, field: &Field<'_>) -> Option<Objective> {
    let example = "for example `metric: {name: val_error, goal: minimize}`";
    let fields = Fields::open(
        findings,
        field,
        &["name", "goal", "target", "impute", "impute_while_running"],
        example,
    )?;
    let name = fields.require(findings, "name", example).and_then(|field| field.text(findings));
    let goal = match fields.get("goal") {
        Some(field) => field
            .one_of(findings, GOALS)
            .and_then(|goal| keep_co2e_down(findings, &field, name.as_deref(), goal)),
        None => Some(Goal::Minimize),
    };
    for key in ["target", "impute", "impute_while_running"] {
        if let Some(field) = fields.get(key) {
            super::settings::not_yet(findings, &field);
        }
    }
    Some(Objective { name: name?, goal: goal?, meaningful: None })
}

fn keep_co2e_down(
    findings: &mut Findings<'_>,
    goal_field: &Field<'_>,
    name: Option<&str>,
    goal: Goal,
) -> Option<Goal> {
    if name == Some(CO2E) && goal == Goal::Maximize {
        let message = format!("the objective `{CO2E}` can only be minimized");
        findings.error(&goal_field.node.span, message, "write `goal: minimize`");
        return None;
    }
    Some(goal)
}

/// The constraints in order.
pub(super) fn constraints(findings: &mut Findings<'_>, file: &Fields<'_>) -> Vec<Constraint> {
    let Some(field) = file.get("constraints") else { return Vec::new() };
    let example = "for example `constraints: [{name: latency_ms, max: 20}]`";
    let Some(items) = field.list(findings, example) else { return Vec::new() };
    let mut names = BTreeSet::new();
    items.iter().filter_map(|item| constraint(findings, item, &mut names, example)).collect()
}

fn constraint(
    findings: &mut Findings<'_>,
    item: &Field<'_>,
    names: &mut BTreeSet<String>,
    example: &str,
) -> Option<Constraint> {
    let fields = Fields::open(findings, item, &["name", "min", "max"], example)?;
    let name = unique_name(findings, &fields, names, "constraint");
    let (min_field, max_field) = (fields.get("min"), fields.get("max"));
    if min_field.is_none() && max_field.is_none() && !fields.is_meant("min") && !fields.is_meant("max") {
        findings.error(&fields.place(), "this constraint has neither `min` nor `max`", example);
    }
    let min = min_field.as_ref().and_then(|field| field.number(findings));
    let max = max_field.and_then(|field| field.number(findings));
    if let (Some(low), Some(high), Some(field)) = (min, max, min_field)
        && low > high
    {
        let message = format!("`{}` is above `max`: {low} > {high}; no value keeps to both", field.path);
        findings.error(&field.node.span, message, "swap them");
    }
    Some(Constraint { name: name?, min, max })
}

fn unique_name(
    findings: &mut Findings<'_>,
    fields: &Fields<'_>,
    names: &mut BTreeSet<String>,
    kind: &str,
) -> Option<String> {
    let field = fields.require(findings, "name", "add the metric's `name`")?;
    let name = field.text(findings)?;
    if !names.insert(name.clone()) {
        let message = format!("there are two {kind}s named `{name}`");
        findings.error(&field.node.span, message, "remove or rename one of them");
    }
    Some(name)
}
