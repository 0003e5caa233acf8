//! A report of `BoAmps` 1.1.0 (Boavizta; schemas at `github.com/Boavizta/BoAmps`, CC-BY-4.0): one for the whole sweep, pruned trials included.

use gramwise_carbon::{Joules, Quality, utc};
use gramwise_model::Goal;
use gramwise_model::rows::{SweepRecord, SweepState};
use serde_json::{Map, Value, json};

use super::{cards, held, machines};
use crate::json;
use crate::report::{Report, report as of};

pub(super) fn report(record: &SweepRecord, version: &str) -> String {
    let report = of(record);
    let begun = record.sweep.submitted_at;
    let until = record.hosts.iter().map(|host| host.heard_at).max().unwrap_or(begun);
    let until = record.sweep.ended_at.unwrap_or(until);
    let mut document = json!({
        "header": {
            "formatVersion": "1.1.0",
            "formatVersionSpecificationUri": "https://github.com/Boavizta/BoAmps/tree/main/model",
            "reportId": format!("gramwise-{}-{}-{}", record.sweep.submitted_by, record.sweep.id, begun.0),
            "reportDatetime": utc::second(until.0),
            "reportStatus": if record.sweep.state == SweepState::Ended { "final" } else { "draft" },
        },
        "task": task(record, &report),
        "measures": [measure(record, &report, version)],
        "system": {"os": "linux"},
        "infrastructure": {"infraType": "other", "components": components(record)},
        "quality": match report.quality {
            Quality::A => "high",
            Quality::B | Quality::C => "medium",
            Quality::D => "low",
        },
    });
    if let (Some(grid), Some(object)) =
        (report.grid.first().filter(|grid| grid.zone_stated), document.as_object_mut())
    {
        object.insert(
            "environment".to_owned(),
            json!({"country": grid.zone, "powerSourceCarbonIntensity": grid.g_per_kwh}),
        );
    }
    json::document(&document)
}

fn task(record: &SweepRecord, report: &Report) -> Value {
    let spec = &record.sweep.spec;
    let trials = &report.trials;
    let description = format!(
        "hyperparameter search {}: {} trials, {} completed, {} pruned, {} paused, {} failed; all are in the measure, with lost attempts, waiting hosts and the search itself. Pue {}. Emissions, which this format does not hold: {} g CO2e ({} to {})",
        spec.name,
        trials.total,
        trials.completed,
        trials.pruned,
        trials.paused,
        trials.failed,
        report.pue,
        report.co2e_g,
        report.co2e_low_g,
        report.co2e_high_g
    );
    let mut algorithm = Map::from_iter([("algorithmType".to_owned(), json!("hyperparameter search"))]);
    if spec.resource.name.starts_with("epoch") {
        algorithm.insert("epochsNumber".to_owned(), json!(report.steps));
    }
    let mut task = Map::from_iter([
        ("taskStage".to_owned(), json!("training")),
        ("taskFamily".to_owned(), json!("hyperparameter search")),
        ("algorithms".to_owned(), json!([algorithm])),
        ("dataset".to_owned(), json!([{"dataUsage": "input", "dataType": "other"}])),
        ("taskDescription".to_owned(), json!(description)),
    ]);
    if let Some(accuracy) = accuracy(record, report) {
        task.insert("measuredAccuracy".to_owned(), json!(accuracy));
    }
    Value::Object(task)
}

/// The best trial's accuracy, where an objective is one: maximized, named so, and from 0 to 1.
fn accuracy(record: &SweepRecord, report: &Report) -> Option<f64> {
    let mut objectives = record.sweep.spec.objectives.iter();
    let one = objectives.find(|one| one.goal == Goal::Maximize && one.name.to_lowercase().contains("acc"))?;
    report.best.as_ref()?.metrics.get(&one.name)?.as_f64().filter(|value| (0.0..=1.0).contains(value))
}

fn measure(record: &SweepRecord, report: &Report, version: &str) -> Value {
    let total = crate::accounts::total(&record.accounts).energy;
    let mut measure = Map::from_iter([
        ("measurementMethod".to_owned(), json!("gramwise")),
        ("version".to_owned(), json!(version)),
        ("powerConsumption".to_owned(), json!(Joules::new(report.energy_j).kwh())),
        ("measurementDuration".to_owned(), json!(held(record, None).as_secs_f64())),
        ("measurementDateTime".to_owned(), json!(utc::second(record.sweep.submitted_at.0))),
    ]);
    for (key, amount) in [("cpuTrackingMode", total.cpu), ("gpuTrackingMode", total.gpu)] {
        let parts = [
            (amount.measured.get(), "measured by counters"),
            (amount.modelled.get(), "modelled"),
            (amount.estimated.get(), "estimated"),
        ];
        let words: Vec<&str> = parts.iter().filter(|(uj, _)| *uj > 0).map(|(_, word)| *word).collect();
        if !words.is_empty() {
            measure.insert(key.to_owned(), json!(words.join(", ")));
        }
    }
    Value::Object(measure)
}

fn components(record: &SweepRecord) -> Vec<Value> {
    let mut components: Vec<Value> = machines(record)
        .into_iter()
        .map(|(what, hosts)| {
            let first = what.split(", ").next().unwrap_or_default();
            let (count, model) = first.split_once(" x ").unwrap_or(("1", first));
            let cores = count.trim().parse::<usize>().unwrap_or(1) * hosts;
            json!({"componentName": model, "componentType": "cpu", "nbComponent": cores})
        })
        .collect();
    let card = |(model, count): (String, usize)| json!({"componentName": model, "componentType": "gpu", "nbComponent": count});
    components.extend(cards(record).into_iter().map(card));
    if components.is_empty() {
        components.push(json!({"componentType": "cpu", "nbComponent": 1}));
    }
    components
}
