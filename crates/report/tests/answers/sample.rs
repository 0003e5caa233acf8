//! A sweep in which everything happened: a best trial and a front, a trial that breaks a constraint, one that
//! diverged, one pruned, one paused, one failed, one lost and waiting, one audited, one that runs.

use std::collections::BTreeMap;

use gramwise_carbon::{CarbonFactors, Component, Energy, Footprint, Microjoules, Nanograms, Provenance, Pue};
use gramwise_model::rows::{
    Account, AccountRow, AttemptRow, DecisionRow, HostRow, IntensityRow, Outcome, SpendingRow, StepRow,
    SweepRecord, SweepRow, SweepState, SweepSummary, TrialRow, TrialState, Verdict, WorkerShare,
};
use gramwise_model::work::Card;
use gramwise_model::{
    Because, Comparison, Config, GainEstimate, Guard, Metric, Metrics, SweepId, SweepSpec, Timestamp,
    TrialId, Value, WorkerId,
};
use gramwise_report::{ListFormat, Listing, Terminal};
use serde_json::json;

/// 2026-03-01 14:02 UTC.
pub(crate) const START: Timestamp = Timestamp(1_772_373_720_000);

pub(crate) const PRUNED: TrialId = TrialId(5);

pub(crate) fn wide() -> Terminal {
    Terminal { width: 100, colour: false }
}

/// A list as text.
pub(crate) fn listed(listing: Listing, format: ListFormat) -> String {
    String::from_utf8(listing.written(format, wide())).unwrap()
}

pub(crate) fn spec() -> SweepSpec {
    let none = serde_json::Value::Null;
    serde_json::from_value(json!({
        "name": "digits", "setup": none, "command": ["train", "${args}"], "method": "sobol",
        "objectives": [
            {"name": "val_error", "goal": "minimize", "meaningful": 0.002},
            {"name": "co2e", "goal": "minimize", "meaningful": none},
        ],
        "constraints": [{"name": "latency_ms", "min": none, "max": 20.0}],
        "space": {"parameters": [], "forbidden": []},
        "resource": {"name": "epoch", "min": 1, "max": 30, "checkpoint": true},
        "budget": {"co2e": 0.2, "energy": none, "trials": 20, "wall": {"secs": 7200, "nanos": 0}, "gpu_hours": 8.0},
        "prune": {"gain_per_kg": "auto", "audit": 0.05, "grace": 1},
        "retry": {"max": 2, "rules": []},
        "resources": {"gpus": 1, "cpus": none, "memory": none, "timeout": none},
        "carbon": {"zone": none, "pue": 1.2, "embodied": true, "defer": none},
        "seed": 7,
    }))
    .unwrap()
}

pub(crate) fn factors() -> CarbonFactors {
    CarbonFactors::yearly(None, Some(Pue::new(1.2).unwrap())).unwrap()
}

pub(crate) fn burnt(measured: u64, modelled: u64, estimated: u64) -> Footprint {
    let energy = Energy::new(Component::Gpu, Microjoules::new(measured), Provenance::Measured)
        + Energy::new(Component::Cpu, Microjoules::new(modelled), Provenance::Modelled)
        + Energy::new(Component::Gpu, Microjoules::new(estimated), Provenance::Estimated);
    Footprint { energy, co2e: factors().co2e(energy.joules()) }
}

pub(crate) fn estimate() -> GainEstimate {
    GainEstimate {
        step: 6,
        unit: "val_error".to_owned(),
        value: Some(0.143),
        predicted: 0.112,
        predicted_sd: 0.0471,
        expected_gain: 0.000_21,
        gain_sd: 0.001_1,
        grams_left: 0.001_92,
        grams_to_last: Some(0.002_5),
        chance: Some(0.021),
        gain_per_kg: 109.0,
        threshold_per_kg: 2350.0,
        threshold_from: "1 % of the spread per 5 full trainings".to_owned(),
        incumbent: Some(TrialId(2)),
        incumbent_values: BTreeMap::from([("val_error".to_owned(), 0.0183), ("co2e".to_owned(), 0.0031)]),
        learnt_from: 8,
    }
}

fn comparison() -> Comparison {
    Comparison {
        rung: 3,
        place: 5,
        of: 7,
        keep: 2,
        values: BTreeMap::from([("val_error".to_owned(), 0.31), ("co2e".to_owned(), 0.000_4)]),
        cut: Some(TrialId(1)),
        grams_left: 0.002_7,
    }
}

fn metrics(val_error: Metric, co2e: f64, latency_ms: f64) -> Metrics {
    Metrics::from([
        ("val_error".to_owned(), val_error),
        ("co2e".to_owned(), Metric::Finite(co2e)),
        ("latency_ms".to_owned(), Metric::Finite(latency_ms)),
    ])
}

fn config(lr: f64, opt: &str) -> Config {
    Config::from([
        ("lr".to_owned(), Value::Float(lr)),
        ("batch".to_owned(), Value::Int(64)),
        ("opt".to_owned(), Value::Text(opt.to_owned())),
    ])
}

pub(crate) fn trial(id: u32, state: TrialState, step: u64, booked: Footprint) -> TrialRow {
    TrialRow {
        id: TrialId(id),
        state,
        config: config(f64::from(id) * 0.001_234_567, if id.is_multiple_of(2) { "adam" } else { "sgd" }),
        step,
        metrics: Metrics::new(),
        booked,
        lost: Footprint::ZERO,
        attempts: 1,
        verdict: None,
        because: None,
        message: None,
    }
}

fn completed(id: u32, val_error: Metric, co2e: f64, latency_ms: f64, booked: Footprint) -> TrialRow {
    TrialRow {
        metrics: metrics(val_error, co2e, latency_ms),
        verdict: Some(Verdict::Stop),
        because: Some(Because::LastStep),
        ..trial(id, TrialState::Completed, 30, booked)
    }
}

fn decision(trial: u32, step: u64, verdict: Verdict, because: Because) -> DecisionRow {
    let at = Timestamp(START.0 + u64::from(trial) * 60_000 + step * 1000);
    DecisionRow { at, trial: TrialId(trial), attempt: 1, step, verdict, because }
}

fn trials() -> Vec<TrialRow> {
    let finite = Metric::Finite;
    vec![
        completed(1, finite(0.025), 0.0021, 10.0, burnt(12_000_000, 1_000_000, 0)),
        completed(2, finite(0.0183), 0.0031, 12.0, burnt(18_000_000, 1_500_000, 0)),
        completed(3, finite(0.015), 0.004, 30.0, burnt(22_000_000, 2_000_000, 0)),
        completed(4, Metric::Diverged, 0.001, 9.0, burnt(6_000_000, 500_000, 0)),
        TrialRow {
            metrics: metrics(finite(0.143), 0.0005, 11.0),
            verdict: Some(Verdict::Prune),
            because: Some(Because::Gain(estimate())),
            ..trial(5, TrialState::Pruned, 6, burnt(3_000_000, 250_000, 1))
        },
        TrialRow {
            metrics: metrics(finite(0.31), 0.0004, 11.0),
            verdict: Some(Verdict::Pause),
            because: Some(Because::Rung(comparison())),
            ..trial(6, TrialState::Paused, 3, burnt(2_000_000, 200_000, 0))
        },
        TrialRow {
            message: Some("exit code 1: CUDA out of memory, tried to allocate 2.00 GiB".to_owned()),
            ..trial(7, TrialState::Failed, 0, burnt(300_000, 40_000, 0))
        },
        TrialRow {
            metrics: metrics(finite(0.2), 0.0002, 11.0),
            ..trial(8, TrialState::Running, 2, burnt(900_000, 70_000, 0))
        },
        TrialRow { lost: burnt(500_000, 0, 60_000), ..trial(9, TrialState::Waiting, 0, Footprint::ZERO) },
        completed(10, finite(0.03), 0.0032, 12.0, burnt(18_000_000, 1_600_000, 0)),
    ]
}

fn attempts(trials: &[TrialRow]) -> Vec<AttemptRow> {
    let attempt = |row: &TrialRow| {
        let (outcome, account) = match row.state {
            TrialState::Completed => (Some(Outcome::Finished), Account::Trial),
            TrialState::Pruned | TrialState::Paused => (Some(Outcome::Stopped), Account::Trial),
            TrialState::Failed => {
                (Some(Outcome::Failed { message: "exit code 1".to_owned() }), Account::Trial)
            }
            TrialState::Running | TrialState::Stopping => (None, Account::Trial),
            TrialState::Waiting => (Some(Outcome::Lost), Account::Lost),
        };
        let leased_at = Timestamp(START.0 + u64::from(row.id.0) * 60_000);
        AttemptRow {
            trial: row.id,
            number: 1,
            worker: WorkerId("gpu01-3f".to_owned()),
            gpus: vec!["GPU-5f2c".to_owned()],
            leased_at,
            ended_at: outcome.as_ref().map(|_| Timestamp(leased_at.0 + 50_000)),
            outcome,
            account,
            footprint: if account == Account::Lost { row.lost } else { row.booked },
            steps: row.step,
        }
    };
    trials.iter().map(attempt).collect()
}

fn decisions() -> Vec<DecisionRow> {
    let early = GainEstimate {
        step: 4,
        gain_per_kg: 3120.0,
        expected_gain: 0.006_5,
        grams_left: 0.002_08,
        ..estimate()
    };
    let audited =
        Because::Guarded { guard: Guard::Audit, estimate: Some(GainEstimate { step: 12, ..estimate() }) };
    vec![
        decision(5, 0, Verdict::Continue, Because::Sampled { sampler: "sobol".to_owned(), index: 4 }),
        decision(5, 2, Verdict::Continue, Because::Beginning { to: 3, grams_left: None }),
        decision(5, 4, Verdict::Continue, Because::Gain(early)),
        decision(10, 12, Verdict::Continue, audited),
        decision(5, 6, Verdict::Prune, Because::Gain(estimate())),
        decision(5, 7, Verdict::Stop, Because::Stale),
        decision(6, 3, Verdict::Pause, Because::Rung(comparison())),
    ]
}

pub(crate) fn record() -> SweepRecord {
    let trials = trials();
    let sum = |of: fn(&TrialRow) -> Footprint| trials.iter().map(of).fold(Footprint::ZERO, |a, b| a + b);
    let accounts = vec![
        AccountRow { account: Account::Trial, footprint: sum(|row| row.booked) },
        AccountRow { account: Account::Lost, footprint: sum(|row| row.lost) },
        AccountRow { account: Account::Idle, footprint: burnt(4_000_001, 700_003, 0) },
        AccountRow { account: Account::Overhead, footprint: burnt(0, 350_007, 0) },
    ];
    let other = burnt(2_500_000, 0, 0).energy;
    let total = accounts.iter().fold(other, |sum, row| sum + row.footprint.energy);
    SweepRecord {
        sweep: SweepRow {
            id: SweepId(3),
            spec: spec(),
            factors: factors(),
            state: SweepState::Ended,
            submitted_at: START,
            ended_at: Some(Timestamp(START.0 + 723_000)),
            ended_because: Some("nothing left is worth its carbon".to_owned()),
            submitted_by: "ada@gpu01".to_owned(),
            origin: None,
        },
        attempts: attempts(&trials),
        trials,
        accounts,
        hosts: vec![HostRow {
            worker: WorkerId("gpu01-3f".to_owned()),
            description: "gpu01, AMD EPYC 7543, 1 x NVIDIA A100".to_owned(),
            total,
            other,
            gpus: vec![Card { uuid: "GPU-5f2c".to_owned(), model: "NVIDIA A100-SXM4-40GB".to_owned() }],
            cpus: 64,
            memory: 512_000_000_000,
            joined_at: START,
            heard_at: Timestamp(START.0 + 723_000),
            gone: false,
        }],
        intensities: vec![IntensityRow {
            at: START,
            g_per_kwh: factors().intensity.get(),
            kind: factors().kind,
            source: factors().source,
            basis: factors().basis,
            year: factors().year,
            statements: 1,
            energy: total.total(),
        }],
        decisions: decisions(),
        steps_reported: 167,
        growth: Vec::new(),
        spending: spending(),
        replications: Vec::new(),
    }
}

/// Ten minutes in which the grid became cleaner.
fn spending() -> Vec<SpendingRow> {
    let row = |minute: u64| SpendingRow {
        to: Timestamp(START.0 + minute * 72_300),
        energy: Microjoules::new(9_000_000),
        co2e: Nanograms::new(1_400_000 - minute * 50_000),
        g_per_kwh: 480.0 - 20.0 * minute as f64,
    };
    (1..=10).map(row).collect()
}

/// A sweep that has only been submitted.
pub(crate) fn empty() -> SweepRecord {
    let mut record = record();
    record.sweep.state = SweepState::Running;
    (record.sweep.ended_at, record.sweep.ended_because) = (None, None);
    record.trials.clear();
    record.attempts.clear();
    record.accounts.clear();
    record.hosts.clear();
    record.decisions.clear();
    record.steps_reported = 0;
    record.spending.clear();
    record
}

pub(crate) fn steps() -> Vec<StepRow> {
    let step = |step: u32| StepRow {
        trial: PRUNED,
        attempt: 1,
        step: u64::from(step),
        metrics: metrics(Metric::Finite(0.9 / f64::from(step)), f64::from(step) * 8e-5, 11.0),
        energy: burnt(u64::from(step) * 500_000, u64::from(step) * 41_666, 0).energy.total(),
        co2e: burnt(u64::from(step) * 500_000, u64::from(step) * 41_666, 0).co2e,
        at: Timestamp(START.0 + 300_000 + u64::from(step) * 1000),
    };
    (1..=3).map(step).collect()
}

pub(crate) fn summaries() -> Vec<SweepSummary> {
    let summary = |id: u32, name: &str, by: &str, days: u64, total: Footprint| {
        let mut sweep = record().sweep;
        sweep.id = SweepId(id);
        name.clone_into(&mut sweep.spec.name);
        by.clone_into(&mut sweep.submitted_by);
        sweep.submitted_at = Timestamp(START.0 + days * 86_400_000);
        let trials = BTreeMap::from([(TrialState::Completed, 5), (TrialState::Pruned, u64::from(id))]);
        let share = WorkerShare {
            worker: WorkerId(format!("{by}-{id}")),
            host: by.split('@').next_back().unwrap().to_owned(),
            gpus: vec![Card { uuid: format!("GPU-{id}"), model: "NVIDIA A100-SXM4-40GB".to_owned() }],
            trials: 5,
            footprint: total,
        };
        SweepSummary { sweep, trials, total, workers: vec![share] }
    };
    vec![
        summary(1, "digits", "ada@gpu01", 0, burnt(7_200_000_000, 300_000_001, 0)),
        summary(2, "digits", "ada@laptop", 35, burnt(0, 1_000_000_000, 7)),
        summary(3, "translation, de-en", "grace@gpu02", 36, burnt(90_000_000_000, 0, 0)),
        summary(4, "translation, de-en", "grace@gpu02", 36, Footprint::ZERO),
    ]
}
