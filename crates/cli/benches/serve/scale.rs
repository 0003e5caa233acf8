//! A coordinator with a long history: a sweep of 10,000 trials of 50 reports each that has not ended.
//!
//! The database is written as the coordinator itself would have; then it is seen what `gramwise serve` takes to open it and to wait.

use std::path::Path;
use std::time::{Duration, Instant};

use gramwise_carbon::{CarbonFactors, Component, Energy, Microjoules, Provenance};
use gramwise_model::work::{AttemptEnd, AttemptReport, EndKind, Host, Report, StepReport};
use gramwise_model::{AttemptId, Metric, SweepSpec, Timestamp, WorkerId};
use gramwise_search::{Command as Word, State, apply, assigned, decide};
use gramwise_store::Journal;

use crate::served::Served;

const STEPS: u64 = 50;
const WORKERS: u64 = 8;
/// How long a coordinator without anything to do is watched.
const IDLE: Duration = Duration::from_secs(30);

pub(crate) fn scale(trials: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let database = folder.path().join("scale.db");
    let began = Instant::now();
    write(&database, trials);
    let bytes = database.metadata().map_or(0, |found| found.len());
    println!("{trials} trials x {STEPS} reports: {} MB, written in {:.0?}", bytes >> 20, began.elapsed());
    let began = Instant::now();
    let served = Served::on(&database);
    let (wall, opened) = (began.elapsed(), served.cpu());
    std::thread::sleep(Duration::from_secs(2));
    let before = served.cpu();
    std::thread::sleep(IDLE);
    let idle = served.cpu().saturating_sub(before);
    println!(
        "opens in {opened:.2?} of CPU ({wall:.2?}); at most {} MB, {} MB now",
        served.mib("VmHWM"),
        served.mib("VmRSS")
    );
    println!("waits with {:.3} % of a core", 100.0 * idle.as_secs_f64() / IDLE.as_secs_f64());
}

fn spec() -> SweepSpec {
    let yaml = "name: scale\ncommand: [train, \"${args}\"]\nmethod: random\n\
                objectives: [{name: val_error, goal: minimize}]\n\
                parameters:\n  lr: {distribution: log_uniform_values, min: 0.0001, max: 0.1}\n  \
                batch: {values: [16, 32, 64, 128]}\n  momentum: {min: 0.0, max: 0.99}\n  \
                decay: {min: 0.0, max: 0.1}\n  width: {min: 1, max: 512}\n  depth: {min: 1, max: 12}\n  \
                dropout: {min: 0.0, max: 0.5}\n  opt: {values: [sgd, adam]}\n\
                resource: {name: epoch, min: 50, max: 50, checkpoint: false}\nprune: {rule: none}\nbudget: {trials: 1000000}\n";
    match SweepSpec::from_yaml(yaml) {
        Ok((spec, _)) => spec,
        Err(problems) => panic!("{problems}"),
    }
}

/// Runs that many trials against the core, and journals what it decides.
fn write(database: &Path, trials: u64) {
    let mut journal = Journal::open(database).expect("a database");
    let (mut state, mut pending) = (State::default(), Vec::new());
    let mut now = Timestamp(1_750_000_000_000);
    let mut tell = |state: &mut State, word: &Word, now: Timestamp, is_last: bool| {
        for fact in decide(state, word, now).expect("nothing is refused") {
            apply(state, &fact);
            pending.push(fact);
        }
        if pending.len() > 2000 || is_last {
            journal.append(&std::mem::take(&mut pending), now).expect("it is written");
        }
    };
    let factors = CarbonFactors::yearly(Some("FR"), None).expect("France is in the table");
    tell(
        &mut state,
        &Word::Submit { spec: Box::new(spec()), factors, earlier: Vec::new(), by: "bench@here".to_owned() },
        now,
        false,
    );
    let energy = |uj: u64| Energy::new(Component::Gpu, Microjoules::new(uj), Provenance::Measured);
    let (mut burnt, mut seq) = (vec![0u64; 64], vec![0u64; 64]);
    for round in 0..trials.div_ceil(WORKERS) {
        let mut held: Vec<(WorkerId, AttemptId)> = Vec::new();
        for index in 0..WORKERS {
            let worker = WorkerId(format!("host-{index}"));
            let host = Host { name: worker.0.clone(), ..Host::default() };
            let request = round + 1;
            tell(
                &mut state,
                &Word::Ask { worker: worker.clone(), host, request, free_gpus: Vec::new() },
                now,
                false,
            );
            let attempt = assigned(&state, &worker, request).expect("there is always a trial").attempt;
            held.push((worker, attempt));
        }
        for step in 1..=STEPS {
            now = now.plus(Duration::from_secs(1));
            for (index, (worker, attempt)) in held.iter().enumerate() {
                seq[index] += 1;
                let metrics =
                    [("val_error".to_owned(), Metric::Finite(1.0 / (step as f64 + round as f64 % 7.0)))]
                        .into();
                let total = energy(step * 150_000_000);
                let ended =
                    (step == STEPS).then(|| AttemptEnd { kind: EndKind::Success, message: String::new() });
                let report = Report {
                    worker: worker.clone(),
                    seq: seq[index],
                    total: energy(burnt[index] + step * 150_000_000),
                    idle: Energy::ZERO,
                    overhead: Energy::ZERO,
                    other: Energy::ZERO,
                    attempts: vec![AttemptReport {
                        attempt: *attempt,
                        total,
                        steps: vec![StepReport { step, metrics, total }],
                        ended,
                    }],
                    leaving: false,
                };
                tell(&mut state, &Word::Report(report), now, false);
                tell(&mut state, &Word::Judge { worker: worker.clone() }, now, false);
            }
        }
        for sum in burnt.iter_mut().take(usize::try_from(WORKERS).unwrap_or(8)) {
            *sum += STEPS * 150_000_000;
        }
    }
    tell(&mut state, &Word::Tick, now, true);
    let sweeps: Vec<gramwise_model::SweepId> = state.sweeps.keys().copied().collect();
    journal.keep(&sweeps, &state).expect("it is written");
}
