//! The Software Carbon Intensity of the search (ISO/IEC 21031:2024): `SCI = ((E * I) + M) per R`, with the energy of all accounts, the
//! location-based intensity, embodied emissions of the time that hardware was reserved, and no offsets.

use std::fmt::Write;

use gramwise_carbon::{GramsCo2e, Joules};
use gramwise_model::rows::{SweepRecord, TrialRow};
use gramwise_model::{Metric, Objective};

use crate::gains::ends;
use crate::pareto;
use crate::report::report;
use crate::units::{grams, number};

/// The unit of gain: a point of a hundred.
const POINT: f64 = 0.01;

pub(super) fn intensity(record: &SweepRecord) -> String {
    let report = report(record);
    let mass = |g: f64| grams(GramsCo2e::new(g));
    let kwh = Joules::new(report.energy_j).kwh() * report.pue;
    let embodied = report.embodied_g.unwrap_or(0.0);
    let all = report.co2e_g + embodied;
    let intensity = if kwh > 0.0 { number(report.co2e_g / kwh) } else { "unknown".to_owned() };
    let mut text = String::from("SCI = ((E * I) + M) per R, ISO/IEC 21031:2024, location-based\n");
    let _ = writeln!(
        text,
        "E  {} kWh, a power usage effectiveness of {} included",
        number(kwh),
        number(report.pue)
    );
    let _ = writeln!(text, "I  {intensity} g CO2e per kWh");
    let _ = match report.embodied_g {
        Some(_) => {
            writeln!(text, "M  {} CO2e, of graphics cards; of the rest no figures are known", mass(embodied))
        }
        None => writeln!(text, "M  not counted: no figures are known, or the sweep file says so"),
    };
    let trials = report.trials.total;
    if trials > 0 {
        let _ = writeln!(text, "\nR = a trial ({trials} of them): {} CO2e", mass(all / trials as f64));
    }
    for objective in record.sweep.spec.objectives.iter().filter(|objective| !objective.is_co2e()) {
        if let Some((first, best)) = gained(record, objective) {
            let points = (first.1 - best.1).abs() / POINT;
            let _ = writeln!(
                text,
                "R = {POINT} of {} gained (from {} of trial {}, the first that completed, to {} of trial {}): {} CO2e",
                objective.name,
                number(first.1),
                first.0.id,
                number(best.1),
                best.0.id,
                mass(all / points)
            );
        }
    }
    text
}

/// A trial, and its value of an objective.
type Reached<'a> = (&'a TrialRow, f64);

/// The first trial that completed and kept the constraints, and the best of those, each with its value, where the best is better.
fn gained<'a>(record: &'a SweepRecord, objective: &Objective) -> Option<(Reached<'a>, Reached<'a>)> {
    let value = |trial: &'a TrialRow| {
        Some((trial, trial.metrics.get(&objective.name).copied().and_then(Metric::finite)?))
    };
    let known: Vec<(&TrialRow, f64)> = pareto::ranked(record).into_iter().filter_map(value).collect();
    let ends = ends(record);
    let first = known.iter().min_by_key(|(trial, _)| (ends.get(&trial.id), trial.id))?;
    let cost = |value: f64| objective.cost(value);
    let best = known.iter().min_by(|a, b| cost(a.1).total_cmp(&cost(b.1)))?;
    (cost(best.1) < cost(first.1)).then_some((*first, *best))
}
