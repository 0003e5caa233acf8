//! `parameters:`: the tree of names, flattened, each with its distribution and what it depends on.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::conditions;
use super::distributions::distribution;
use super::fields::{Field, Fields};
use crate::document::{Content, Findings};
use crate::{Condition, Distribution, Forbidden, Parameter, Sampler, Space};

/// The search keeps every parameter of every trial in memory and in the database.
const MOST_PARAMETERS: usize = 1000;
const EXAMPLE: &str = "for example `lr: {distribution: log_uniform_values, min: 1e-4, max: 1e-1}`";

/// A parameter as it stands in the file. What was wrong with it is already noted.
#[derive(Debug)]
pub(super) struct Draft<'n> {
    /// Its name, with dots.
    pub(super) name: String,
    /// Where its own part of the name stands.
    pub(super) key_span: Range<usize>,
    /// Its values; `None` if they are wrong.
    pub(super) distribution: Option<Distribution>,
    /// Its own `when` and those of the groups around it.
    when: Vec<Field<'n>>,
}

/// Reads `parameters` and `forbidden`. `None` if something was wrong.
pub(super) fn space(
    findings: &mut Findings<'_>,
    file: &Fields<'_>,
    method: Option<Sampler>,
) -> Option<Space> {
    let before = findings.error_count();
    let hint = "add what is searched: `parameters: {lr: {min: 0.001, max: 0.1}}`";
    let field = file.require(findings, "parameters", hint);
    let mut drafts = Vec::new();
    if let Some(field) = &field {
        group(findings, field, "", &[], &mut drafts);
        if drafts.is_empty() && findings.error_count() == before {
            field.wrong(findings, "a mapping with at least one parameter", EXAMPLE);
        }
    }
    if drafts.len() > MOST_PARAMETERS {
        let message = format!("{} parameters; at most {MOST_PARAMETERS} are searched", drafts.len());
        findings.error(
            &drafts[MOST_PARAMETERS].key_span,
            message,
            "search fewer, and set the others in the program",
        );
        return None;
    }
    unique_names(findings, &drafts);
    if method == Some(Sampler::Grid) {
        for draft in &drafts {
            on_a_grid(findings, draft);
        }
    }
    let is_known = field.is_some_and(|field| matches!(field.node.content, Content::Map(_)));
    let by_name: BTreeMap<&str, &Draft<'_>> =
        drafts.iter().map(|draft| (draft.name.as_str(), draft)).collect();
    let conditions: Vec<Vec<Condition>> = drafts
        .iter()
        .map(|draft| {
            draft.when.iter().flat_map(|field| conditions::when(findings, field, &by_name)).collect()
        })
        .collect();
    conditions::no_cycle(findings, &drafts, &conditions);
    let forbidden: Vec<Forbidden> =
        if is_known { conditions::forbidden(findings, file, &by_name) } else { Vec::new() };
    if findings.error_count() > before {
        return None;
    }
    let parameters = drafts.into_iter().zip(conditions).filter_map(|(draft, when)| {
        Some(Parameter { name: draft.name, distribution: draft.distribution?, when })
    });
    Space::new(parameters.collect(), forbidden).ok()
}

impl Draft<'_> {
    /// Where to show what is wrong with what it depends on.
    pub(super) fn when_span(&self) -> Range<usize> {
        self.when.last().map_or_else(|| self.key_span.clone(), |field| field.node.span.clone())
    }
}

/// Reads a mapping of parameters; groups call this again. The text's nesting is limited, so this ends.
fn group<'n>(
    findings: &mut Findings<'_>,
    field: &Field<'n>,
    prefix: &str,
    when: &[Field<'n>],
    drafts: &mut Vec<Draft<'n>>,
) {
    let Some(entries) = field.entries(findings, EXAMPLE) else { return };
    for entry in entries {
        let name = if prefix.is_empty() { entry.key.clone() } else { format!("{prefix}.{}", entry.key) };
        let child = field.child(entry);
        if !is_usable(&entry.key) {
            let message = format!("the name `{}` cannot be passed as an argument", entry.key);
            let hint = "begin with a letter or `_`; go on with letters, digits, `_`, `-` and `.`";
            findings.error(&entry.key_span, message, hint);
        }
        let mut when = when.to_vec();
        if let Content::Map(inner) = &child.node.content {
            when.extend(inner.iter().find(|entry| entry.key == "when").map(|entry| child.child(entry)));
            if inner.iter().any(|entry| entry.key == "parameters") {
                let known = &["parameters", "when"];
                let nested =
                    Fields::open(findings, &child, known, "").and_then(|fields| fields.get("parameters"));
                if let Some(nested) = nested {
                    group(findings, &nested, &name, &when, drafts);
                }
                continue;
            }
        }
        let distribution = distribution(findings, &child);
        drafts.push(Draft { name, key_span: entry.key_span.clone(), distribution, when });
    }
}

/// Can the name stand behind `--`, with nothing that a shell or a parser of arguments takes apart?
fn is_usable(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// A name with dots may be the same as a nested one.
fn unique_names(findings: &mut Findings<'_>, drafts: &[Draft<'_>]) {
    let mut seen = BTreeSet::new();
    for draft in drafts {
        if !seen.insert(draft.name.as_str()) {
            let message = format!("there are two parameters named `{}`", draft.name);
            findings.error(
                &draft.key_span,
                message,
                "names of groups and parameters are joined by dots; rename one of them",
            );
        }
    }
}

fn on_a_grid(findings: &mut Findings<'_>, draft: &Draft<'_>) {
    if draft.distribution.as_ref().is_some_and(|distribution| !distribution.is_listed()) {
        let message = format!("a grid needs a finite number of values, and `{}` is continuous", draft.name);
        let hint = "list them (`values: [0.1, 0.01]`), or use `method: random` or `method: sobol`";
        findings.error(&draft.key_span, message, hint);
    }
}
