//! What a sweep will take, before it starts: from what earlier sweeps of the same search took, and from its budget.
//!
//! Energy and time of a trial vary from sweep to sweep as log-normals. With `k` earlier sweeps the deviation of the logarithm
//! is pooled with two pseudo-observations at 0.5, and the range is the predictive one of 90 %.

use gramwise_carbon::{CarbonFactors, GramsCo2e, Joules};
use gramwise_model::rows::{SweepState, SweepSummary};
use gramwise_model::{SweepId, SweepSpec};
use serde::Serialize;

use crate::output::Screen;
use crate::sweeps::counts;
use crate::units::{duration, energy, grams};
use crate::{Format, Terminal, csv, json, words};

/// The standard normal's quantile at 95 %.
const QUANTILE: f64 = 1.645;
/// The deviation of a logarithm that is assumed, and how many sweeps' weight that has.
const ASSUMED: (f64, f64) = (0.5, 2.0);

/// An amount with its range.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
struct Range {
    low: f64,
    expected: f64,
    high: f64,
}

#[derive(Debug, Serialize)]
struct Preview<'a> {
    schema: u32,
    name: &'a str,
    /// Configurations at most; `null` where the budget does not say.
    trials: Option<u64>,
    co2e_g: Option<Range>,
    energy_j: Option<Range>,
    seconds: Option<Range>,
    /// The earlier sweeps it is from.
    from: Vec<SweepId>,
    /// What the budget allows at most.
    most_co2e_g: Option<f64>,
    most_seconds: Option<f64>,
}

/// What a sweep of this file will take. `past` are the sweeps of the database; [`Format::Value`] is the expected grams.
pub fn preview(
    spec: &SweepSpec,
    factors: &CarbonFactors,
    past: &[SweepSummary],
    format: Format,
    terminal: Terminal,
) -> String {
    let preview = of(spec, factors, past);
    match format {
        Format::Table => as_text(&preview, spec, terminal),
        Format::Json => json::document(&preview),
        Format::Csv => as_csv(&preview),
        Format::Value => preview.co2e_g.map_or("\n".to_owned(), |range| format!("{}\n", range.expected)),
    }
}

fn of<'a>(spec: &'a SweepSpec, factors: &CarbonFactors, past: &[SweepSummary]) -> Preview<'a> {
    let alike: Vec<&SweepSummary> = past.iter().filter(|one| is_alike(spec, one)).collect();
    let grams_per_joule = factors.intensity.get() * factors.pue.get() / Joules::from_kwh(1.0).get();
    let budget = &spec.budget;
    let most_co2e_g = budget.most_co2e(factors).map(GramsCo2e::get);
    let most_seconds = budget.wall.map(|limit| limit.as_secs_f64());
    let trials = budget.trials.map(u64::from);
    let range = |of: &dyn Fn(&SweepSummary) -> Option<f64>, most: Option<f64>| {
        let each: Vec<f64> = alike.iter().filter_map(|one| of(one)).map(f64::ln).collect();
        Some(predictive(&each, trials? as f64)?.within(most))
    };
    let joules = |one: &SweepSummary| positive(one.total.energy.joules().get() * scale(spec, one));
    let seconds = |one: &SweepSummary| {
        let took = one.sweep.ended_at?.since(one.sweep.submitted_at).as_secs_f64();
        positive(took * scale(spec, one))
    };
    let energy_j = range(&joules, most_co2e_g.map(|most| most / grams_per_joule));
    Preview {
        schema: json::SCHEMA,
        name: &spec.name,
        trials,
        co2e_g: energy_j.map(|range| range.times(grams_per_joule)),
        energy_j,
        seconds: range(&seconds, most_seconds),
        from: alike.iter().map(|one| one.sweep.id).collect(),
        most_co2e_g,
        most_seconds,
    }
}

/// Is an earlier sweep of the same search: the same program, and the same hyperparameters?
fn is_alike(spec: &SweepSpec, past: &SweepSummary) -> bool {
    let names = |spec: &SweepSpec| -> Vec<String> {
        spec.space.parameters().iter().map(|parameter| parameter.name.clone()).collect()
    };
    let other = &past.sweep.spec;
    past.sweep.state == SweepState::Ended
        && counts(past).total > 0
        && other.command == spec.command
        && names(other) == names(spec)
}

/// What makes of an earlier sweep's total one trial of this one: steps count in proportion.
fn scale(spec: &SweepSpec, past: &SweepSummary) -> f64 {
    let (now, then) = (&spec.resource, &past.sweep.spec.resource);
    let longer = if now.is_open() || then.is_open() { 1.0 } else { now.max as f64 / then.max as f64 };
    longer / counts(past).total as f64
}

fn positive(amount: f64) -> Option<f64> {
    (amount > 0.0).then_some(amount)
}

/// So many times what the logarithms are of, with its range. `None` of none.
fn predictive(logs: &[f64], times: f64) -> Option<Range> {
    let count = logs.len() as f64;
    let mean = (count > 0.0).then(|| logs.iter().sum::<f64>() / count)?;
    let squares: f64 = logs.iter().map(|log| (log - mean).powi(2)).sum();
    let (assumed, weight) = ASSUMED;
    let deviation = ((squares + weight * assumed * assumed) / (count - 1.0 + weight)).sqrt();
    let half = QUANTILE * deviation * (1.0 + 1.0 / count).sqrt();
    let at = |offset: f64| times * (mean + offset).exp();
    Some(Range { low: at(-half), expected: at(0.0), high: at(half) })
}

impl Range {
    fn times(self, factor: f64) -> Self {
        Self { low: self.low * factor, expected: self.expected * factor, high: self.high * factor }
    }

    /// What a hard limit leaves of it.
    fn within(self, most: Option<f64>) -> Self {
        let most = most.unwrap_or(f64::INFINITY);
        Self { low: self.low.min(most), expected: self.expected.min(most), high: self.high.min(most) }
    }

    fn in_words(self, unit: impl Fn(f64) -> String) -> String {
        format!("{} ({} to {} at about 90 %)", unit(self.expected), unit(self.low), unit(self.high))
    }
}

fn as_text(preview: &Preview<'_>, spec: &SweepSpec, terminal: Terminal) -> String {
    let mass = |amount: f64| grams(GramsCo2e::new(amount));
    let time = |seconds: f64| duration(std::time::Duration::from_secs_f64(seconds));
    let mut screen = Screen::new(terminal, 9);
    screen.title(&format!("preview of {}", preview.name));
    screen.say(
        "trials",
        &preview.trials.map_or("as many as the budget allows".to_owned(), |most| {
            format!("{} at most", words::counted(most, "trial"))
        }),
    );
    match (preview.co2e_g, preview.energy_j) {
        (Some(co2e), Some(joules)) => {
            screen.say("CO2e", &co2e.in_words(mass));
            screen.say("energy", &joules.in_words(|amount| energy(Joules::new(amount).to_exact())));
        }
        (Some(_), None) | (None, _) => {
            screen.say("CO2e", "unknown before it runs");
        }
    }
    screen.say(
        "time",
        &preview.seconds.map_or("unknown before it runs".to_owned(), |range| range.in_words(time)),
    );
    let limits =
        [preview.most_co2e_g.map(|most| format!("{} CO2e", mass(most))), preview.most_seconds.map(time)];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    screen.say(
        "at most",
        &if limits.is_empty() {
            "no budget of CO2e, energy or time is set".to_owned()
        } else {
            format!("{} (budget)", limits.join(", "))
        },
    );
    match preview.from.as_slice() {
        [] => {
            screen.say("from", "no earlier sweep in the database has this command and these hyperparameters");
            screen.more("hint: a first one with `budget: {trials: 5}` shows what a trial takes");
        }
        some => {
            let ids: Vec<String> = some.iter().map(ToString::to_string).collect();
            let of = words::counted(some.len() as u64, "earlier sweep");
            screen.say("from", &format!("{of} of this search ({})", ids.join(", ")));
            if preview.trials.is_none() {
                screen.more(&format!("hint: `budget: {{trials: N}}` would say how much {} takes", spec.name));
            }
        }
    }
    screen.finish()
}

fn as_csv(preview: &Preview<'_>) -> String {
    let header = ["what", "low", "expected", "high", "most"];
    let row = |what: &str, range: Option<Range>, most: Option<f64>| -> Vec<String> {
        let cell =
            |of: fn(&Range) -> f64| range.as_ref().map_or(String::new(), |range| of(range).to_string());
        vec![
            what.to_owned(),
            cell(|range| range.low),
            cell(|range| range.expected),
            cell(|range| range.high),
            most.map_or(String::new(), |most| most.to_string()),
        ]
    };
    let rows = [
        row("co2e_g", preview.co2e_g, preview.most_co2e_g),
        row("energy_j", preview.energy_j, None),
        row("seconds", preview.seconds, preview.most_seconds),
    ];
    csv(&header, &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_narrows_with_experience() {
        let one = predictive(&[1.0], 10.0).unwrap();
        let many = predictive(&[1.0; 20], 10.0).unwrap();
        assert!((one.expected - 10.0 * 1f64.exp()).abs() < 1e-9);
        assert!(one.low < many.low && many.low < many.expected && many.high < one.high);
        // One sweep: the assumed deviation, over a mean that is as uncertain.
        let assumed = 1.645 * (2.0f64 * 0.25 / 2.0).sqrt() * 2f64.sqrt();
        assert!(((one.high / one.expected).ln() - assumed).abs() < 1e-12);
        assert!(predictive(&[], 10.0).is_none());
    }

    #[test]
    fn a_hard_limit_cuts_the_range() {
        let range = Range { low: 1.0, expected: 2.0, high: 4.0 };
        assert_eq!(range.within(Some(3.0)), Range { high: 3.0, ..range });
        assert_eq!(range.within(None), range);
    }
}
