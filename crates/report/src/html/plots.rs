//! The plots of a report, one function each.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use gramwise_model::rows::{StepRow, SweepRecord, TrialRow, TrialState};
use gramwise_model::{CO2E, Metrics, TrialId};

use super::chart::{Chart, escaped, in_unit, open};
use crate::gains::{Spent, ends};
use crate::ties::took;
use crate::units::{grams, number};
use crate::{Importance, Report, pareto, words};

/// A figure's heading, what it shows, and the figure itself.
pub(super) struct Figure {
    pub(super) title: String,
    pub(super) why: String,
    pub(super) svg: String,
    /// Marks and what they mean.
    pub(super) key: Vec<(&'static str, &'static str)>,
}

const DOT: &str = "<circle class=\"dot\" cx=\"7\" cy=\"7\" r=\"4\"/>";
const TIED: &str = "<circle class=\"tied\" cx=\"7\" cy=\"7\" r=\"5\"/>";
const FRONT: &str =
    "<path class=\"path\" d=\"M0 7H14\"/><circle class=\"front\" cx=\"7\" cy=\"7\" r=\"3.5\"/>";
const BEST: &str = "<circle class=\"best\" cx=\"7\" cy=\"7\" r=\"5\"/>";
const GREENEST: &str = "<circle class=\"greenest\" cx=\"7\" cy=\"7\" r=\"5\"/>";
const CROSS: &str = "<path class=\"ended\" d=\"M3 3l8 8m0 -8l-8 8\"/>";
const PAUSED: &str = "<rect class=\"paused\" x=\"4\" y=\"4\" width=\"6\" height=\"6\"/>";
const KEPT: &str = "<path class=\"kept\" d=\"M0 7H14\"/>";
const THIN: &str = "<path class=\"thin\" d=\"M0 7H14\"/>";
const AREA: &str = "<rect class=\"area\" x=\"1\" y=\"3\" width=\"12\" height=\"9\"/>";
const INTENSITY: &str = "<path class=\"intensity\" d=\"M0 7H14\"/>";
const OBJECTIVE: &str = "<rect class=\"objective\" x=\"1\" y=\"4\" width=\"12\" height=\"7\"/>";
const EMISSIONS: &str = "<rect class=\"emissions\" x=\"1\" y=\"4\" width=\"12\" height=\"7\"/>";

fn value(metrics: &Metrics, name: &str) -> Option<f64> {
    metrics.get(name)?.finite()
}

fn says(trial: &TrialRow, record: &SweepRecord) -> String {
    let metrics = words::metrics(&trial.metrics, &record.sweep.spec);
    format!("trial {}: {metrics}; {}", trial.id, words::config(&trial.config))
}

/// Completed trials by what they cost and what they came to, with the front, the ties and the greenest of them.
pub(super) fn front(report: &Report, record: &SweepRecord) -> Option<Figure> {
    let primary = record.sweep.spec.primary();
    let other = record.sweep.spec.objectives.get(1).map_or(CO2E, |objective| objective.name.as_str());
    let ranked = pareto::ranked(record);
    let across =
        |trial: &TrialRow| if other == CO2E { Some(took(trial)) } else { value(&trial.metrics, other) };
    let points: Vec<(&TrialRow, f64, f64)> = ranked
        .iter()
        .filter_map(|trial| Some((*trial, across(trial)?, value(&trial.metrics, &primary.name)?)))
        .collect();
    if points.len() < 2 {
        return None;
    }
    let most = points.iter().map(|(_, x, _)| *x).fold(0.0, f64::max);
    let (factor, unit) = if other == CO2E { in_unit(most) } else { (1.0, other.to_owned()) };
    let title = if other == CO2E { format!("{unit} of the trial") } else { unit };
    let mut chart = Chart::over(
        (&title, points.iter().map(|(_, x, _)| x * factor)),
        (&primary.name, points.iter().map(|(_, _, y)| *y)),
    );
    let ties: BTreeSet<TrialId> = report.ties.iter().flat_map(|ties| ties.trials.clone()).collect();
    let on_front: BTreeSet<TrialId> = pareto::front(record).iter().map(|trial| trial.id).collect();
    for (trial, x, y) in &points {
        let class = if ties.contains(&trial.id) { "tied" } else { "dot" };
        chart.dot((x * factor, *y), class, 3.5, &says(trial, record));
    }
    let mut line: Vec<&(&TrialRow, f64, f64)> =
        points.iter().filter(|(trial, ..)| on_front.contains(&trial.id)).collect();
    line.sort_by(|a, b| a.1.total_cmp(&b.1));
    chart.line(line.iter().map(|(_, x, y)| (x * factor, *y)), "path", "the front");
    for (trial, x, y) in line {
        chart.dot((x * factor, *y), "front", 3.5, &says(trial, record));
    }
    let special = [
        (report.best.as_ref().map(|best| best.trial), "best", 6.0),
        (report.ties.as_ref().and_then(|ties| ties.greenest), "greenest", 4.5),
    ];
    for (id, class, radius) in special {
        if let Some((trial, x, y)) = points.iter().find(|(trial, ..)| Some(trial.id) == id) {
            chart.dot((x * factor, *y), class, radius, &format!("{class}: {}", says(trial, record)));
        }
    }
    Some(Figure {
        title: format!(
            "{} against {}",
            primary.name,
            if other == CO2E { "what a trial emitted" } else { other }
        ),
        why: "completed trials that keep the constraints".to_owned(),
        svg: chart.finish("Pareto front"),
        key: vec![
            (FRONT, "front: none is better in everything"),
            (BEST, "best"),
            (TIED, "cannot be told from the best"),
            (GREENEST, "the greenest of those"),
            (DOT, "other trials"),
        ],
    })
}

/// The best so far against what the sweep had emitted.
pub(super) fn progress(report: &Report, record: &SweepRecord) -> Option<Figure> {
    let primary = record.sweep.spec.primary();
    let spent = Spent::of(record);
    let ranked = pareto::ranked(record);
    let ends = ends(record);
    let ended: Vec<(&TrialRow, f64, f64)> = ranked
        .iter()
        .filter_map(|trial| {
            Some((*trial, spent.at(*ends.get(&trial.id)?), value(&trial.metrics, &primary.name)?))
        })
        .collect();
    if ended.len() < 2 {
        return None;
    }
    let (factor, unit) = in_unit(spent.total());
    let mut chart = Chart::over(
        (
            &format!("{unit} of the sweep, all accounts"),
            ended.iter().map(|(_, x, _)| x * factor).chain([0.0, spent.total() * factor]),
        ),
        (&primary.name, ended.iter().map(|(_, _, y)| *y)),
    );
    for (trial, x, y) in &ended {
        chart.dot((x * factor, *y), "dot", 2.8, &says(trial, record));
    }
    let mut steps: Vec<(f64, f64)> = Vec::new();
    for one in &report.gains.improvements {
        if let Some((_, before)) = steps.last() {
            steps.push((one.spent_g * factor, *before));
        }
        steps.push((one.spent_g * factor, one.value));
    }
    if let Some((_, last)) = steps.last() {
        steps.push((spent.total() * factor, *last));
    }
    chart.line(steps.into_iter(), "path", "the best so far");
    if let Some(first) = &report.gains.first_tied {
        let says = format!("trial {}: as good as the best, as far as can be told", first.trial);
        chart.upright(first.spent_g * factor, 0.0, &says);
    }
    if let Some(point) = &report.gains.diminishing {
        chart.upright(point.spent_g * factor, 1.0, &format!("trial {}: returns diminish", point.trial));
    }
    Some(Figure {
        title: "What the grams bought".to_owned(),
        why: "the best so far against all that the sweep had emitted".to_owned(),
        svg: chart.finish("Metric against cumulative CO2e"),
        key: vec![(KEPT, "the best so far"), (DOT, "a trial, when it completed")],
    })
}

/// When it was emitted, and how clean the grid was.
pub(super) fn timeline(record: &SweepRecord) -> Option<Figure> {
    const BARS: usize = 60;
    let rows = &record.spending;
    let (first, last) = (record.sweep.submitted_at.0, rows.last()?.to.0);
    let span = last.checked_sub(first).filter(|span| *span > 0)?;
    // Coarser than the intervals of the record: bars that can be seen.
    let mut bars: Vec<(f64, f64, f64)> = vec![(0.0, 0.0, 0.0); BARS];
    for row in rows {
        let at = u128::from(row.to.0.saturating_sub(first)) * BARS as u128 / u128::from(span + 1);
        let bar = &mut bars[usize::try_from(at).unwrap_or(0).min(BARS - 1)];
        let joules = row.energy.joules().get();
        *bar = (bar.0 + row.co2e.grams().get(), bar.1 + joules, bar.2 + joules * row.g_per_kwh);
    }
    let (size, name) = match span {
        0..600_000 => (1e3, "seconds"),
        600_000..21_600_000 => (6e4, "minutes"),
        21_600_000..432_000_000 => (3.6e6, "hours"),
        _ => (8.64e7, "days"),
    };
    let width = span as f64 / size / BARS as f64;
    let (factor, unit) = in_unit(bars.iter().map(|bar| bar.0).fold(0.0, f64::max));
    let mut chart = Chart::over(
        (&format!("{name} since it was submitted"), [0.0, span as f64 / size].into_iter()),
        (&format!("{unit} in each bar"), bars.iter().map(|bar| bar.0 * factor).chain([0.0])),
    );
    let intensities: Vec<(f64, f64)> = bars
        .iter()
        .enumerate()
        .filter(|(_, bar)| bar.1 > 0.0)
        .map(|(at, bar)| ((at as f64 + 0.5) * width, bar.2 / bar.1))
        .collect();
    let right = chart.right("grid, g CO2e per kWh", intensities.iter().map(|(_, y)| *y).chain([0.0]));
    let floor = chart.y.at(0.0);
    for (at, (co2e, ..)) in bars.iter().enumerate().filter(|(_, bar)| bar.0 > 0.0) {
        let (x, to) = (chart.x.at(at as f64 * width), chart.x.at((at as f64 + 1.0) * width));
        let y = chart.y.at(co2e * factor);
        let says = grams(gramwise_carbon::GramsCo2e::new(*co2e));
        chart.draw(&format!(
            "<rect class=\"area\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{says}</title></rect>",
            (to - x - 0.6).max(0.4),
            (floor - y).max(0.3)
        ));
    }
    let line: Vec<String> =
        intensities.iter().map(|(x, y)| format!("{:.1},{:.1}", chart.x.at(*x), right.at(*y))).collect();
    chart.draw(&format!("<polyline class=\"intensity\" points=\"{}\"/>", line.join(" ")));
    Some(Figure {
        title: "When it was emitted".to_owned(),
        why: "all accounts, over the grid's intensity as it was stated then".to_owned(),
        svg: chart.finish("Emissions over time and grid intensity"),
        key: vec![(AREA, "emitted"), (INTENSITY, "intensity of the grid")],
    })
}

/// Learning curves, and where trials were ended.
pub(super) fn curves(record: &SweepRecord, steps: &[StepRow]) -> Option<Figure> {
    const MOST: usize = 300;
    const POINTS: usize = 80;
    let name = &record.sweep.spec.primary().name;
    let mut paths: BTreeMap<TrialId, BTreeMap<u64, f64>> = BTreeMap::new();
    for row in steps {
        if let Some(value) = value(&row.metrics, name) {
            paths.entry(row.trial).or_default().insert(row.step, value);
        }
    }
    paths.retain(|_, path| path.len() > 1);
    if paths.is_empty() {
        return None;
    }
    let all = paths.len();
    let ties: BTreeSet<TrialId> = pareto::front(record).iter().map(|trial| trial.id).collect();
    let shown: Vec<(TrialId, &BTreeMap<u64, f64>)> =
        paths.iter().map(|(id, path)| (*id, path)).step_by(all.div_ceil(MOST)).collect();
    let resource = &record.sweep.spec.resource.name;
    let mut chart = Chart::over(
        (resource, shown.iter().flat_map(|(_, path)| path.keys()).map(|step| *step as f64)),
        (name, shown.iter().flat_map(|(_, path)| path.values()).copied()),
    );
    let mut marks: Vec<(TrialState, (f64, f64), String)> = Vec::new();
    // Those on the front above the others.
    let ordered = shown
        .iter()
        .filter(|(id, _)| !ties.contains(id))
        .chain(shown.iter().filter(|(id, _)| ties.contains(id)));
    for (id, path) in ordered {
        let Some(trial) = record.trials.iter().find(|trial| trial.id == *id) else { continue };
        let says = says(trial, record);
        let every = path.len().div_ceil(POINTS).max(1);
        let last = path.last_key_value().map(|(step, value)| (*step as f64, *value));
        let points = path.iter().map(|(step, value)| (*step as f64, *value));
        let class = if ties.contains(id) { "kept" } else { "thin" };
        chart.line(points.step_by(every).chain(last), class, &says);
        if let (Some(last), TrialState::Pruned | TrialState::Paused | TrialState::Failed) =
            (last, trial.state)
        {
            marks.push((trial.state, last, says));
        }
    }
    for (state, place, says) in marks {
        if state == TrialState::Paused {
            let (x, y) = (chart.x.at(place.0), chart.y.at(place.1));
            chart.draw(&format!(
                "<rect class=\"paused\" x=\"{:.1}\" y=\"{:.1}\" width=\"5\" height=\"5\"><title>{}</title></rect>",
                x - 2.5,
                y - 2.5,
                escaped(&says)
            ));
        } else {
            chart.cross(place, "ended", &says);
        }
    }
    let why = if all > shown.len() {
        format!("{} of {all} trials, evenly chosen", shown.len())
    } else {
        format!("{} trials that reported more than one {resource}", shown.len())
    };
    Some(Figure {
        title: "Learning curves, and where trials were ended".to_owned(),
        why,
        svg: chart.finish("Learning curves"),
        key: vec![
            (KEPT, "on the front"),
            (THIN, "others"),
            (CROSS, "pruned or failed"),
            (PAUSED, "paused: not worth going on with"),
        ],
    })
}

/// How much each hyperparameter tells the best from the rest.
pub(super) fn importance(found: &Importance) -> Option<Figure> {
    const ROW: f64 = 30.0;
    const LEFT: f64 = 130.0;
    const RIGHT: f64 = 470.0;
    if found.parameters.is_empty() {
        return None;
    }
    let most = found
        .parameters
        .iter()
        .flat_map(|one| [one.objective.unwrap_or(0.0), one.emissions.unwrap_or(0.0)])
        .fold(0.01, f64::max);
    let height = 12.0 + ROW * found.parameters.len() as f64;
    let mut svg = open(height, "Importance of hyperparameters");
    for (at, one) in found.parameters.iter().enumerate() {
        let y = 8.0 + ROW * at as f64;
        let name: String = crate::output::truncated(&one.name, 18);
        let _ = write!(
            svg,
            "<text class=\"note\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            LEFT - 8.0,
            y + 15.0,
            escaped(&name)
        );
        for (row, (share, class)) in
            [(one.objective, "objective"), (one.emissions, "emissions")].into_iter().enumerate()
        {
            let (top, share) = (y + 1.0 + 12.0 * row as f64, share.unwrap_or(0.0));
            let width = (RIGHT - LEFT) * share / most;
            let _ = write!(
                svg,
                "<rect class=\"{class}\" x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"9\"/>\
                 <text class=\"tick\" x=\"{:.1}\" y=\"{:.1}\">{:.0} %</text>",
                width.max(1.0),
                LEFT + width + 5.0,
                top + 8.5,
                share * 100.0
            );
        }
    }
    svg.push_str("</svg>");
    Some(Figure {
        title: "What matters".to_owned(),
        why: "shares of what tells the best fifth of trials from all, beyond chance (PED-ANOVA)".to_owned(),
        svg,
        key: vec![(OBJECTIVE, "for the objective"), (EMISSIONS, "for the grams of a step")],
    })
}

/// Every configuration as a line through its hyperparameters.
pub(super) fn parallel(record: &SweepRecord) -> Option<Figure> {
    const MOST: usize = 200;
    const TALL: f64 = 230.0;
    let primary = record.sweep.spec.primary();
    let ranked = pareto::ranked(record);
    let space = gramwise_search::points(&record.sweep.spec.space, ranked.iter().map(|trial| &trial.config));
    if ranked.len() < 2 || space.names.is_empty() {
        return None;
    }
    let columns = space.names.len() + 1;
    let wide = 2.0 * super::chart::WIDTH;
    let (left, right, top, bottom) = (46.0, wide - 46.0, 34.0, TALL - 30.0);
    let x = |column: usize| left + (right - left) * column as f64 / (columns - 1).max(1) as f64;
    let y = |share: f64| bottom - share.clamp(0.0, 1.0) * (bottom - top);
    let values: Vec<f64> =
        ranked.iter().map(|trial| value(&trial.metrics, &primary.name).unwrap_or(f64::NAN)).collect();
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let place = |value: f64| if high > low { (value - low) / (high - low) } else { 0.5 };
    // Numbers are where they are in their range; names are in their order, evenly.
    let reach_of = |column: usize| {
        let most = space.points.iter().map(|point| point[column]).fold(0.0, f64::max);
        if space.axes[column] == gramwise_surrogate::Axis::Category { most.max(1.0) } else { 1.0 }
    };
    let reach: Vec<f64> = (0..space.names.len()).map(reach_of).collect();
    let mut svg = open(TALL, "Parallel coordinates")
        .replace(&format!("0 0 {}", super::chart::WIDTH), &format!("0 0 {wide}"));
    let best = ranked.len().div_ceil(10).max(3);
    let every = ranked.len().div_ceil(MOST);
    let shown = (0..ranked.len()).rev().filter(|at| *at < best || at % every == 0);
    for at in shown {
        let point = &space.points[at];
        let mut points: Vec<String> = Vec::new();
        for (column, (name, share)) in space.names.iter().zip(point).enumerate() {
            // What is not active here leaves a gap.
            if ranked[at].config.contains_key(name) {
                points.push(format!("{:.1},{:.1}", x(column), y(share / reach[column])));
            }
        }
        points.push(format!("{:.1},{:.1}", x(columns - 1), y(place(values[at]))));
        let class = if at < best { "kept" } else { "thin" };
        let _ = write!(
            svg,
            "<polyline class=\"{class}\" points=\"{}\"><title>{}</title></polyline>",
            points.join(" "),
            escaped(&says(ranked[at], record))
        );
    }
    let range = |name: &str| {
        let held = ranked.iter().filter_map(|trial| trial.config.get(name));
        let numbers: Vec<f64> = held.clone().filter_map(gramwise_model::Value::number).collect();
        if numbers.is_empty() {
            let names: BTreeSet<String> = held.map(ToString::to_string).collect();
            return (names.last().cloned().unwrap_or_default(), names.first().cloned().unwrap_or_default());
        }
        let (low, high) = numbers.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
            (low.min(*value), high.max(*value))
        });
        (number(high), number(low))
    };
    let named = space.names.iter().map(|name| (name.as_str(), range(name)));
    let all: Vec<(&str, (String, String))> =
        named.chain([(primary.name.as_str(), (number(high), number(low)))]).collect();
    for (column, (name, (above, below))) in all.iter().enumerate() {
        let at = x(column);
        let _ = write!(
            svg,
            "<line class=\"frame\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{top}\" y2=\"{bottom}\"/>\
             <text class=\"name\" x=\"{at:.1}\" y=\"12\" text-anchor=\"middle\">{}</text>\
             <text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\
             <text class=\"tick\" x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            escaped(&crate::output::truncated(name, 14)),
            top - 6.0,
            escaped(&crate::output::truncated(above, 12)),
            bottom + 14.0,
            escaped(&crate::output::truncated(below, 12))
        );
    }
    svg.push_str("</svg>");
    Some(Figure {
        title: "Every configuration".to_owned(),
        why: "completed trials; on the last axis, what each came to. The range above and below is what was tried.".to_owned(),
        svg,
        key: vec![(KEPT, "the best tenth"), (THIN, "others")],
    })
}
