//! From the tree of a sweep file to a legal sweep.

mod choices;
mod command;
mod conditions;
mod distributions;
mod fields;
mod objectives;
mod parameters;
mod settings;
mod units;

use fields::{Field, Fields};
pub use units::co2e_of;

use crate::document::{Findings, compose};
use crate::{Problems, Sampler, SweepSpec};

/// Every key of the file, those of W&B included.
const KEYS: &[&str] = &[
    "name",
    "setup",
    "command",
    "program",
    "method",
    "objectives",
    "metric",
    "constraints",
    "parameters",
    "forbidden",
    "resource",
    "budget",
    "run_cap",
    "prune",
    "early_terminate",
    "retry",
    "resources",
    "carbon",
    "warm_start",
    "seed",
    "priority",
    "project",
    "tags",
    "description",
    "entity",
];

/// Reads a text. All that is wrong with it is returned together, in the order of the text; what is doubtful
/// comes beside the sweep.
pub(super) fn sweep(text: &str) -> Result<(SweepSpec, Problems), Problems> {
    let mut findings = Findings::new(text);
    let spec = compose(&mut findings).and_then(|root| file(&mut findings, &Field::root(&root)));
    let (errors, warnings) = findings.finish();
    match spec {
        Some(spec) if errors.0.is_empty() => Ok((spec, warnings)),
        _ => Err(errors),
    }
}

fn file(findings: &mut Findings<'_>, root: &Field<'_>) -> Option<SweepSpec> {
    let hint = "a sweep file begins like `name: digits`";
    let file = Fields::open(findings, root, KEYS, hint)?;
    let method = method(findings, &file);
    let space = parameters::space(findings, &file, method);
    let resource = settings::resource(findings, &file);
    // Where the method is not known, a budget may not be needed: one problem at a time.
    let needs_budget = method.is_some_and(|method| method != Sampler::Grid);
    let prune = settings::prune(findings, &file, &resource);
    ignored(findings, &file);
    let seed = file.get("seed").and_then(|field| field.unsigned(findings, 0..=u64::MAX)).unwrap_or(0);
    let priority = file
        .get("priority")
        .and_then(|field| field.unsigned(findings, 0..=1000))
        .map_or(0, |priority| u32::try_from(priority).unwrap_or(0));
    let name = file
        .get("name")
        .and_then(|field| field.text(findings))
        .unwrap_or_else(|| SweepSpec::DEFAULT_NAME.to_owned());
    let setup = file.get("setup").and_then(|field| field.text(findings));
    Some(SweepSpec {
        name,
        setup,
        command: command::command(findings, &file, file.get("parameters").is_some()),
        method: method.unwrap_or_default(),
        objectives: objectives::objectives(findings, &file),
        constraints: objectives::constraints(findings, &file),
        budget: settings::budget(findings, &file, needs_budget),
        prune,
        retry: settings::retry(findings, &file),
        resources: settings::resources(findings, &file),
        carbon: settings::carbon(findings, &file),
        space: space?,
        resource,
        warm_start: warm_start(findings, &file),
        seed,
        priority,
        project: file.get("project").and_then(|field| field.text(findings)),
        tags: tags(findings, &file),
        replicates: None,
    })
}

/// How configurations are proposed; `None` if it is wrong.
fn method(findings: &mut Findings<'_>, file: &Fields<'_>) -> Option<Sampler> {
    file.get("method").map_or(Some(Sampler::default()), |field| field.one_of(findings, &Sampler::ALL))
}

/// Earlier sweeps, by name or number: one, or a list.
fn warm_start(findings: &mut Findings<'_>, file: &Fields<'_>) -> Vec<String> {
    let hint = "such as `warm_start: digits`, or several: `warm_start: [digits, 12]`";
    names(findings, file, "warm_start", ("the name or number of a sweep", hint))
}

/// Words to find the sweep by: one, or a list.
fn tags(findings: &mut Findings<'_>, file: &Fields<'_>) -> Vec<String> {
    let hint = "such as `tags: thesis`, or several: `tags: [thesis, ablation]`";
    let mut tags = names(findings, file, "tags", ("a word", hint));
    tags.sort();
    tags.dedup();
    tags
}

/// One name, or a list of names.
fn names(
    findings: &mut Findings<'_>,
    file: &Fields<'_>,
    key: &str,
    (expected, hint): (&str, &str),
) -> Vec<String> {
    let Some(field) = file.get(key) else { return Vec::new() };
    let listed = if field.is_list() { field.list(findings, hint).unwrap_or_default() } else { vec![field] };
    listed.iter().filter_map(|one| one.name(findings, expected, hint)).collect()
}

/// W&B's keys that change nothing here.
fn ignored(findings: &mut Findings<'_>, file: &Fields<'_>) {
    for field in ["description", "entity"].iter().filter_map(|key| file.get(key)) {
        settings::not_yet(findings, &field);
    }
}
