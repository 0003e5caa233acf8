//! The best trial, and the front.

use gramwise_model::rows::{SweepRecord, TrialRow};

use crate::json;
use crate::listing::Listing;
use crate::output::Screen;
use crate::report::TrialSummary;
use crate::{Format, Terminal, pareto, trials, words};

/// The best completed trial that keeps the constraints, by the primary objective; `None` where there is none.
/// [`Format::Value`] is its number.
pub fn best(record: &SweepRecord, format: Format, terminal: Terminal) -> Option<String> {
    let trial = pareto::best(record)?;
    Some(match format {
        Format::Table => as_text(record, trial, terminal),
        Format::Json => json::versioned(&TrialSummary::of(trial)),
        Format::Csv => trials::list(record, &[trial]).records.csv(),
        Format::Value => format!("{}\n", trial.id),
    })
}

/// The completed trials that keep the constraints and that no other beats in every objective, by the primary
/// one. [`crate::ListFormat::Value`] is their numbers.
pub fn front(record: &SweepRecord) -> Listing {
    trials::list(record, &pareto::front(record))
}

fn as_text(record: &SweepRecord, trial: &TrialRow, terminal: Terminal) -> String {
    let resource = &record.sweep.spec.resource.name;
    let objectives = &record.sweep.spec.objectives;
    let mut screen = Screen::new(terminal, 10);
    screen.title(&format!("trial {} is the best of sweep {}", trial.id, record.sweep.id));
    screen.say("by", &words::listed(objectives.iter().take(1).map(words::objective)));
    screen.say(
        "metrics",
        &format!("{} at {resource} {}", words::metrics(&trial.metrics, &record.sweep.spec), trial.step),
    );
    screen.say("config", &words::config_exact(&trial.config));
    screen.say("co2e", &words::footprint(&trial.booked));
    screen.finish()
}
