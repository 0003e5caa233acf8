//! Reasons in plain words, with every number in them.

use gramwise_carbon::GramsCo2e;
use gramwise_model::rows::Verdict;
use gramwise_model::{Because, Comparison, GainEstimate, SweepSpec};

use crate::units::{grams, number};
use crate::words::{listed, metric_value, values};

/// One line for a table.
pub(crate) fn short(because: &Because) -> String {
    match because {
        Because::Sampled { sampler, index } => format!("drawn by {sampler}, point {index}"),
        Because::Enqueued { by } => format!("enqueued by {by}"),
        Because::Replicates { of, seed } => format!("trial {of} of the other sweep again, with seed {seed}"),
        Because::Beginning { to, grams_left: _ } => {
            format!("the search begins: trials are first seen to step {to}")
        }
        Because::Gain(estimate) => against_threshold(estimate),
        Because::Guarded { guard, estimate: _ } => guard.describe().to_owned(),
        Because::Rung(Comparison { rung, place, of, keep, .. }) => {
            format!("place {place} of {of} at step {rung}, the first {keep} go on")
        }
        Because::LastStep => "reached its last step".to_owned(),
        Because::Diverged { metric } => format!("{metric} diverged"),
        Because::NoObjective { metric, found } => {
            format!("it does not report {metric}; it reports {}", listed(found.iter().cloned()))
        }
        Because::Again { after_attempt, ended } => format!("attempt {after_attempt}: {ended}"),
        Because::SweepEnding { why } => format!("the sweep ends: {why}"),
        Because::Stale => "a newer attempt exists, or the trial is over".to_owned(),
    }
}

/// All of it, one line for each thing to know.
pub(crate) fn long(because: &Because, verdict: Option<Verdict>, spec: &SweepSpec) -> Vec<String> {
    match because {
        Because::Gain(estimate) => gain(estimate, spec),
        Because::Guarded { guard, estimate } => {
            let mut lines = vec![guard.describe().to_owned()];
            lines.extend(estimate.iter().flat_map(|estimate| gain(estimate, spec)));
            lines
        }
        Because::Rung(comparison) => rung(comparison, verdict, spec),
        Because::Beginning { to: _, grams_left: Some(left) } => {
            vec![short(because), format!("predicted grams left {}", grams(GramsCo2e::new(*left)))]
        }
        Because::Sampled { .. }
        | Because::Enqueued { .. }
        | Because::Replicates { .. }
        | Because::Beginning { .. }
        | Because::LastStep
        | Because::Diverged { .. }
        | Because::NoObjective { .. }
        | Because::Again { .. }
        | Because::SweepEnding { .. }
        | Because::Stale => vec![short(because)],
    }
}

fn gain(estimate: &GainEstimate, spec: &SweepSpec) -> Vec<String> {
    let GainEstimate {
        step,
        unit,
        value,
        predicted,
        predicted_sd,
        expected_gain,
        gain_sd,
        grams_left,
        grams_to_last,
        chance,
        gain_per_kg: _,
        threshold_per_kg: _,
        threshold_from,
        incumbent,
        incumbent_values,
        learnt_from,
    } = estimate;
    let resource = &spec.resource;
    let primary = spec.objectives.first().map_or(unit.as_str(), |objective| objective.name.as_str());
    let curves = match learnt_from {
        1 => "learnt from 1 curve".to_owned(),
        more => format!("learnt from {more} curves"),
    };
    let over = match (incumbent, incumbent_values.is_empty()) {
        (Some(trial), true) => format!("trial {trial}"),
        (Some(trial), false) => format!("trial {trial} ({})", values(incumbent_values, spec)),
        (None, true) => "nothing: no trial counts yet".to_owned(),
        (None, false) => values(incumbent_values, spec),
    };
    let now = match value {
        Some(value) => format!("{primary} {} at {} {step}; ", metric_value(primary, *value), resource.name),
        None => format!("{primary} "),
    };
    let chance = chance.map_or(String::new(), |chance| format!("; {:.1} % to end better", chance * 100.0));
    let all = grams_to_last.map_or(String::new(), |all| {
        format!(" ({} to {} {})", grams(GramsCo2e::new(all)), resource.name, resource.max)
    });
    vec![
        format!(
            "{now}predicted {} ± {} at {} {} ({curves})",
            metric_value(primary, *predicted),
            metric_value(primary, *predicted_sd),
            resource.name,
            resource.max
        ),
        format!(
            "expected gain {} ± {} {unit} over {over}{chance}",
            metric_value(unit, *expected_gain),
            metric_value(unit, *gain_sd)
        ),
        format!("predicted grams left {}{all}", grams(GramsCo2e::new(*grams_left))),
        format!("{} ({threshold_from})", against_threshold(estimate)),
    ]
}

/// `gain per kg 109 < threshold 2 350`.
fn against_threshold(estimate: &GainEstimate) -> String {
    let GainEstimate { gain_per_kg, threshold_per_kg, .. } = estimate;
    let sign = if gain_per_kg < threshold_per_kg { "<" } else { "≥" };
    format!("gain per kg {} {sign} threshold {}", number(*gain_per_kg), number(*threshold_per_kg))
}

fn rung(comparison: &Comparison, verdict: Option<Verdict>, spec: &SweepSpec) -> Vec<String> {
    let Comparison { rung, place, of, keep, values: own, cut, grams_left } = comparison;
    let resource = &spec.resource.name;
    let mut lines = vec![
        format!("place {place} of {of} that reached {resource} {rung}; the first {keep} go on"),
        format!("its values there: {}", values(own, spec)),
    ];
    lines.extend(cut.map(|trial| format!("the last place that goes on is that of trial {trial}")));
    let saved = match verdict {
        Some(Verdict::Pause | Verdict::Prune) => ", which this saves",
        Some(Verdict::Continue | Verdict::Promote | Verdict::Stop) | None => "",
    };
    lines.push(format!("predicted grams left {}{saved}", grams(GramsCo2e::new(*grams_left))));
    lines
}
