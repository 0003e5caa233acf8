//! The mappings around the search itself: resource, budget, prune, retry, resources, carbon.

use gramwise_carbon::{Pue, zone, zone_hint};

use super::fields::{Field, Fields};
use super::units;
use crate::document::{Content, Findings};
use crate::{
    Budget, CarbonSpec, Defer, GainPerKg, IntensityFrom, Keep, PruneSpec, Pruner, Resource, Resources, Retry,
    RetryAction, RetryRule,
};

/// Warns that a legal key changes nothing in this version.
pub(super) fn not_yet(findings: &mut Findings<'_>, field: &Field<'_>) {
    findings.bare_warning(&field.key_span, format!("`{}` is accepted, not yet acted on", field.path));
}

const KEEPS: &[(&str, Keep)] = &[("all", Keep::All), ("best", Keep::Best)];

/// `resource:`, the fidelity.
pub(super) fn resource(findings: &mut Findings<'_>, file: &Fields<'_>) -> Resource {
    let mut resource =
        Resource { name: "step".to_owned(), min: 1, max: Resource::OPEN, checkpoint: false, keep: Keep::All };
    let example = "for example `resource: {name: epoch, max: 30}`";
    let Some(field) = file.get("resource") else { return resource };
    let known = &["name", "min", "max", "checkpoint", "keep"];
    let Some(fields) = Fields::open(findings, &field, known, example) else { return resource };
    if let Some(name) = fields.get("name").and_then(|field| field.text(findings)) {
        resource.name = name;
    }
    if let Some(checkpoint) = fields.get("checkpoint").and_then(|field| field.boolean(findings)) {
        resource.checkpoint = checkpoint;
    }
    if let Some(keep) = fields.get("keep").and_then(|field| field.one_of(findings, KEEPS)) {
        resource.keep = keep;
    }
    let hint = "add `max:`, the step at which a trial is complete";
    let max = fields.require(findings, "max", hint).and_then(|field| field.unsigned(findings, 1..=u64::MAX));
    let min = fields.get("min");
    resource.min = min.as_ref().and_then(|field| field.unsigned(findings, 1..=u64::MAX)).unwrap_or(1);
    resource.max = max.unwrap_or(u64::MAX);
    if let Some(field) = min.filter(|_| resource.min > resource.max) {
        let message = format!("`resource.min` is above `resource.max`: {} > {}", resource.min, resource.max);
        findings.error(&field.node.span, message, "swap them, or lower `min`");
    }
    resource
}

/// `budget:`, with W&B's `run_cap`. The method may do without one; `is_needed` says whether.
pub(super) fn budget(findings: &mut Findings<'_>, file: &Fields<'_>, is_needed: bool) -> Budget {
    let hint = "add for example `budget: {trials: 50}`";
    let run_cap = file.get("run_cap");
    let mut budget =
        Budget { trials: run_cap.as_ref().and_then(|field| field.count(findings, 1)), ..Budget::default() };
    let Some(field) = file.get("budget") else {
        if is_needed && run_cap.is_none() && !file.is_meant("budget") && !file.is_meant("run_cap") {
            findings.error(&file.place(), "`budget` is missing: nothing would end this sweep", hint);
        }
        return budget;
    };
    let known = &["co2e", "energy", "trials", "wall", "gpu_hours"];
    let before = findings.error_count();
    let Some(fields) = Fields::open(findings, &field, known, hint) else { return budget };
    let trials = fields.get("trials");
    if let (Some(field), Some(_)) = (&trials, &run_cap) {
        let message = "`budget.trials` and `run_cap` say the same thing twice";
        findings.error(&field.key_span, message, "keep one of the two");
    }
    budget.co2e = fields.get("co2e").and_then(|field| units::mass(findings, &field));
    budget.energy = fields.get("energy").and_then(|field| units::energy(findings, &field));
    budget.wall = fields.get("wall").and_then(|field| units::duration(findings, &field));
    budget.gpu_hours = fields.get("gpu_hours").and_then(|field| field.positive(findings, ""));
    budget.trials = trials.and_then(|field| field.count(findings, 1)).or(budget.trials);
    if is_needed && budget == Budget::default() && run_cap.is_none() && findings.error_count() == before {
        let message = format!("`budget` needs at least one of {}", known.join(", "));
        findings.error(&field.key_span, message, hint);
    }
    budget
}

/// `prune:`; without it trials are pruned on a price that gramwise finds itself.
pub(super) fn prune(findings: &mut Findings<'_>, file: &Fields<'_>, resource: &Resource) -> PruneSpec {
    let mut prune =
        PruneSpec { rule: Pruner::GainPerKg, gain_per_kg: Some(GainPerKg::Auto), audit: 0.0, grace: 1 };
    // How far a trial is cannot be told without a resource, so none is judged on its way.
    let is_open = resource.is_open() && file.get("resource").is_none();
    let Some(field) = file.get("prune") else {
        early_terminate(findings, file, &mut prune, is_open);
        return if is_open { switched_off(prune) } else { prune };
    };
    if let Some(twice) = file.get("early_terminate") {
        let message = "`early_terminate` is ignored: `prune` says when trials end early";
        findings.warning(&twice.key_span, message, "keep one of the two");
    }
    let example = "for example `prune: {gain_per_kg: auto}`, or `prune: {gain_per_kg: off}`";
    let Some(fields) = Fields::open(findings, &field, &["rule", "gain_per_kg", "audit", "grace"], example)
    else {
        return prune;
    };
    if let Some(rule) = fields.get("rule").and_then(|field| field.one_of(findings, &Pruner::ALL)) {
        prune.rule = rule;
    }
    if let Some(field) = fields.get("gain_per_kg") {
        prune.gain_per_kg = gain_per_kg(findings, &field);
        if prune.rule != Pruner::GainPerKg && prune.gain_per_kg.is_some() {
            let message = "`prune.gain_per_kg` changes nothing beside another `prune.rule`";
            findings.warning(&field.key_span, message, "leave one of the two out");
        }
    }
    if prune.rule != Pruner::GainPerKg {
        prune.gain_per_kg = None;
    } else if prune.gain_per_kg.is_none() {
        prune.rule = Pruner::None;
    }
    if let Some(field) = fields.get("audit") {
        match field.number(findings) {
            Some(audit) if (0.0..=1.0).contains(&audit) => prune.audit = audit,
            Some(_) => field.wrong(
                findings,
                "a fraction between 0 and 1",
                "`0.05` lets one doomed trial in twenty run on",
            ),
            None => {}
        }
    }
    if let Some(field) = fields.get("grace") {
        prune.grace = field.unsigned(findings, 1..=u64::MAX).unwrap_or(1);
        if prune.grace >= resource.max {
            let message = format!(
                "with `prune.grace` at {} no trial is ever pruned: it is complete at step {}",
                prune.grace, resource.max
            );
            findings.warning(&field.node.span, message, "lower `grace`, or write `gain_per_kg: off`");
        }
    }
    if is_open && prune.rule != Pruner::None {
        let message = "without `resource` no trial is pruned: how far a trial is cannot be told";
        findings.warning(&field.key_span, message, "add for example `resource: {name: epoch, max: 30}`");
    }
    if is_open { switched_off(prune) } else { prune }
}

fn switched_off(mut prune: PruneSpec) -> PruneSpec {
    (prune.rule, prune.gain_per_kg) = (Pruner::None, None);
    prune
}

/// W&B's `early_terminate`: Hyperband, with its `min_iter` as grace. How many brackets there are follows from `resource`.
fn early_terminate(findings: &mut Findings<'_>, file: &Fields<'_>, prune: &mut PruneSpec, is_open: bool) {
    let Some(field) = file.get("early_terminate") else { return };
    if is_open {
        let message = "without `resource` no trial ends early: how far a trial is cannot be told";
        findings.warning(&field.key_span, message, "add for example `resource: {name: epoch, max: 30}`");
    }
    let example = "for example `early_terminate: {type: hyperband, min_iter: 3}`";
    let known = &["type", "min_iter", "max_iter", "s", "eta", "strict"];
    let Some(fields) = Fields::open(findings, &field, known, example) else { return };
    let rule = fields.require(findings, "type", example);
    if rule.and_then(|field| field.one_of(findings, &[("hyperband", Pruner::Hyperband)])).is_some() {
        (prune.rule, prune.gain_per_kg) = (Pruner::Hyperband, None);
    }
    if let Some(grace) = fields.get("min_iter").and_then(|field| field.unsigned(findings, 1..=u64::MAX)) {
        prune.grace = grace;
    }
}

fn gain_per_kg(findings: &mut Findings<'_>, field: &Field<'_>) -> Option<GainPerKg> {
    let hint = "`auto` finds a threshold; `off` switches pruning off";
    match &field.node.content {
        Content::Plain(word) | Content::Quoted(word) if word == "auto" => Some(GainPerKg::Auto),
        Content::Plain(word) | Content::Quoted(word) if word == "off" => None,
        Content::Bool(false) => None,
        Content::Int(..) | Content::Float(..) => field.positive(findings, hint).map(GainPerKg::Fixed),
        Content::Null
        | Content::Bool(true)
        | Content::Plain(_)
        | Content::Quoted(_)
        | Content::List(_)
        | Content::Map(_) => {
            field.wrong(findings, "auto, off or a number", hint);
            None
        }
    }
}

/// `retry:`.
pub(super) fn retry(findings: &mut Findings<'_>, file: &Fields<'_>) -> Retry {
    let Some(field) = file.get("retry") else { return Retry::default() };
    let example = "for example `retry: {max: 2}`";
    let Some(fields) = Fields::open(findings, &field, &["max", "rules"], example) else {
        return Retry::default();
    };
    let max = fields.get("max").and_then(|field| field.count(findings, 0)).unwrap_or(0);
    let example = "for example `rules: [{match: \"CUDA out of memory\", action: fail}]`";
    let rules = fields.get("rules").and_then(|field| field.list(findings, example)).unwrap_or_default();
    let rules = rules.iter().filter_map(|rule| retry_rule(findings, rule, example)).collect();
    Retry { max, rules }
}

fn retry_rule(findings: &mut Findings<'_>, rule: &Field<'_>, example: &str) -> Option<RetryRule> {
    const ACTIONS: &[(&str, RetryAction)] = &[
        ("fail", RetryAction::Fail),
        ("retry", RetryAction::Retry),
        ("exclude_host", RetryAction::ExcludeHost),
    ];
    let fields = Fields::open(findings, rule, &["match", "action"], example)?;
    let matches = fields.require(findings, "match", example).and_then(|field| field.text(findings));
    let field = fields.require(findings, "action", example)?;
    let action = field.one_of(findings, ACTIONS)?;
    Some(RetryRule { matches: matches?, action })
}

/// `resources:`.
pub(super) fn resources(findings: &mut Findings<'_>, file: &Fields<'_>) -> Resources {
    let Some(field) = file.get("resources") else { return Resources::default() };
    let example = "for example `resources: {gpus: 1}`";
    let Some(fields) = Fields::open(findings, &field, &["gpus", "cpus", "memory", "timeout"], example) else {
        return Resources::default();
    };
    let memory = fields.get("memory");
    Resources {
        gpus: fields.get("gpus").and_then(|field| field.count(findings, 0)).unwrap_or(0),
        cpus: fields.get("cpus").and_then(|field| field.count(findings, 1)),
        memory: memory.and_then(|field| units::memory(findings, &field)),
        timeout: fields.get("timeout").and_then(|field| units::duration(findings, &field)),
    }
}

/// The keys of `carbon:`.
const CARBON: [&str; 5] = ["zone", "pue", "intensity", "embodied", "defer"];

/// `carbon:`.
pub(super) fn carbon(findings: &mut Findings<'_>, file: &Fields<'_>) -> CarbonSpec {
    let Some(field) = file.get("carbon") else { return CarbonSpec::default() };
    let example = "for example `carbon: {zone: FR, pue: 1.2}`";
    let Some(fields) = Fields::open(findings, &field, &CARBON, example) else {
        return CarbonSpec::default();
    };
    let zone = fields.get("zone").and_then(|field| grid_zone(findings, &field));
    CarbonSpec {
        intensity: fields.get("intensity").and_then(|field| intensity(findings, &field, zone.as_deref())),
        zone,
        pue: fields.get("pue").and_then(|field| {
            let number = field.number(findings)?;
            let hint = "it is facility energy over IT energy: 1 is a desk, 1.1 to 1.6 a data centre";
            Pue::new(number).map_err(|error| field.wrong(findings, error.expected, hint)).ok()
        }),
        embodied: fields.get("embodied").and_then(|field| field.boolean(findings)).unwrap_or(true),
        defer: fields.get("defer").and_then(|field| defer(findings, &field)),
    }
}

fn grid_zone(findings: &mut Findings<'_>, field: &Field<'_>) -> Option<String> {
    let code = field.text(findings)?;
    if let Ok(row) = zone(&code) {
        return Some(row.code.clone());
    }
    let hint = zone_hint(&code);
    findings.error(&field.node.span, format!("`{}` names an unknown grid zone: `{code}`", field.path), hint);
    None
}

fn intensity(findings: &mut Findings<'_>, field: &Field<'_>, zone: Option<&str>) -> Option<IntensityFrom> {
    let text = field.text(findings)?;
    let hint = "`uk`, `electricity-maps:DE`, `watttime:CAISO_NORTH`, or a CSV file; without it, the zone's yearly mean";
    IntensityFrom::parse(&text, zone)
        .map_err(|unknown| findings.error(&field.node.span, unknown.to_string(), hint))
        .ok()
}

fn defer(findings: &mut Findings<'_>, field: &Field<'_>) -> Option<Defer> {
    let example = "for example `defer: {until: \"18:00\", max_g_per_kwh: 60}`";
    not_yet(findings, field);
    let fields = Fields::open(findings, field, &["until", "max_g_per_kwh"], example)?;
    let until =
        fields.require(findings, "until", example).and_then(|field| units::time_of_day(findings, &field));
    let max =
        fields.require(findings, "max_g_per_kwh", example).and_then(|field| field.positive(findings, ""));
    Some(Defer { until_minute: until?, max_g_per_kwh: max? })
}
