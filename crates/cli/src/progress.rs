//! Live progress of a sweep on stderr: bars on a terminal, a line now and then elsewhere.
//!
//! It reads the database like everyone else, so what it shows is what is on disk.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gramwise_carbon::GramsCo2e;
use gramwise_model::SweepId;
use gramwise_model::rows::{SweepRecord, SweepState, TrialState};
use gramwise_report::{report, units};
use gramwise_store::Reader;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The time between two looks at the database.
const LOOK: Duration = Duration::from_millis(300);
/// The time between two lines where stderr is no terminal.
const LINE: Duration = Duration::from_secs(10);

/// A running display.
#[derive(Debug)]
pub(crate) struct Progress {
    stop: CancellationToken,
    task: Option<JoinHandle<()>>,
}

impl Progress {
    /// Shows the progress of a sweep until stopped; nothing when quiet.
    pub(crate) fn start(database: &Path, sweep: SweepId, quiet: bool) -> Self {
        let stop = CancellationToken::new();
        let display = Display { database: database.to_owned(), sweep, stop: stop.clone() };
        let task = (!quiet).then(|| tokio::task::spawn_blocking(move || display.run()));
        Self { stop, task }
    }

    /// Clears the display.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        if let Some(task) = self.task {
            // A display that failed has shown nothing worth failing for.
            let _ = task.await;
        }
    }
}

struct Display {
    database: PathBuf,
    sweep: SweepId,
    stop: CancellationToken,
}

impl Display {
    fn run(&self) {
        let Ok(reader) = Reader::open(&self.database) else { return };
        let began = Instant::now();
        let on_terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} [{bar:30}] {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        let mut said = Instant::now();
        while !self.stop.is_cancelled() {
            if let Ok(Some(record)) = reader.record(self.sweep) {
                let shown = shown(&record, began.elapsed());
                if on_terminal {
                    bar.set_length(1000);
                    bar.set_position(shown.permille);
                    bar.set_message(shown.lines.join("\n  "));
                    bar.tick();
                } else if said.elapsed() >= LINE {
                    said = Instant::now();
                    eprintln!("{}: {}", units::duration(began.elapsed()), shown.lines.join("; "));
                }
            }
            std::thread::sleep(LOOK);
        }
        bar.finish_and_clear();
    }
}

/// What there is to show.
struct Shown {
    permille: u64,
    lines: Vec<String>,
}

fn shown(record: &SweepRecord, elapsed: Duration) -> Shown {
    let done = fraction_done(record, elapsed);
    let trials = trials(record);
    let report = report(record);
    let mut lines = vec![trials, spent(record, elapsed, done)];
    if let Some(best) = &report.best {
        let values: Vec<String> = record
            .sweep
            .spec
            .objectives
            .iter()
            .filter_map(|objective| {
                let value = best.metrics.get(&objective.name)?.as_f64()?;
                let words = if objective.is_co2e() {
                    units::grams(GramsCo2e::new(value))
                } else {
                    units::number(value)
                };
                Some(format!("{} {words}", objective.name))
            })
            .collect();
        lines.push(format!("best: trial {} ({})", best.trial, values.join(", ")));
    }
    if record.sweep.state == SweepState::Ending {
        lines.push(format!("ending: {}", record.sweep.ended_because.as_deref().unwrap_or("-")));
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a fraction between 0 and 1")]
    let permille = (done * 1000.0) as u64;
    Shown { permille, lines }
}

fn trials(record: &SweepRecord) -> String {
    let states = [
        (TrialState::Running, "running"),
        (TrialState::Completed, "completed"),
        (TrialState::Pruned, "pruned"),
        (TrialState::Paused, "paused"),
        (TrialState::Failed, "failed"),
    ];
    let parts: Vec<String> = states
        .iter()
        .map(|(state, word)| (record.trials.iter().filter(|trial| trial.state == *state).count(), word))
        .filter(|(count, _)| *count > 0)
        .map(|(count, word)| format!("{count} {word}"))
        .collect();
    let of = record.sweep.spec.budget.trials.map_or(String::new(), |limit| format!(" of {limit}"));
    let setting_up = record.trials.iter().all(|trial| trial.step == 0);
    let note = if setting_up && record.sweep.spec.setup.is_some() { " (setting up)" } else { "" };
    format!("trials {}{of}: {}{note}", record.trials.len(), parts.join(", "))
}

fn spent(record: &SweepRecord, elapsed: Duration, done: f64) -> String {
    let grams = record.accounts.iter().map(|row| row.footprint.co2e.grams()).sum();
    let budget = &record.sweep.spec.budget;
    let of = budget.co2e.map_or(String::new(), |limit| format!(" of {}", units::grams(limit)));
    let left = if done > 0.02 && done < 1.0 {
        format!(", about {} left", units::duration(elapsed.mul_f64((1.0 - done) / done)))
    } else {
        String::new()
    };
    format!("CO2e {}{of}{left}", units::grams(grams))
}

/// How far the budget that is nearest to its end is used, between 0 and 1.
fn fraction_done(record: &SweepRecord, elapsed: Duration) -> f64 {
    let budget = &record.sweep.spec.budget;
    let over = |state: TrialState| match state {
        TrialState::Completed | TrialState::Pruned | TrialState::Failed | TrialState::Paused => true,
        TrialState::Waiting | TrialState::Running | TrialState::Stopping => false,
    };
    let trials = record.trials.iter().filter(|trial| over(trial.state)).count() as f64;
    let grams: f64 = record.accounts.iter().map(|row| row.footprint.co2e.grams().get()).sum();
    let joules: f64 = record.accounts.iter().map(|row| row.footprint.energy.joules().get()).sum();
    [
        budget.trials.map(|limit| trials / f64::from(limit)),
        budget.co2e.map(|limit| grams / limit.get()),
        budget.energy.map(|limit| joules / limit.get()),
        budget.wall.map(|limit| elapsed.as_secs_f64() / limit.as_secs_f64()),
    ]
    .into_iter()
    .flatten()
    .fold(0.0_f64, f64::max)
    .clamp(0.0, 1.0)
}
