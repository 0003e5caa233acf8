//! Ties, the greenest of them, and what improvements cost.

use gramwise_model::rows::{
    ReplicateResult, Replication, SpendingRow, SweepRecord, SweepState, TrialRow, TrialState,
};
use gramwise_model::{GainPerKg, Metric, Metrics, SweepId, Timestamp, TrialId, Value};
use gramwise_report::{Comparison, report};

use crate::sample::{START, burnt, record, trial};

/// A result of a trial that was run again.
fn again(of: u32, seed: u32, val_error: f64) -> ReplicateResult {
    let metrics = Metrics::from([
        ("val_error".to_owned(), Metric::Finite(val_error)),
        ("co2e".to_owned(), Metric::Finite(0.001)),
    ]);
    ReplicateResult { of: TrialId(of), seed, metrics }
}

/// Trials 1 and 2 of the sample, run again: the first errs so much more on average.
fn replicated(difference: f64) -> SweepRecord {
    let chances = [0.0, 0.002, -0.001, 0.001, -0.002];
    let results = (1..).zip(chances).flat_map(|(seed, chance)| {
        [again(1, seed, 0.02 + difference + chance), again(2, seed, 0.02 + 0.5 * chance)]
    });
    let mut record = record();
    record.replications = vec![Replication {
        sweep: SweepId(4),
        state: SweepState::Ended,
        total: burnt(9_000_000, 0, 0),
        results: results.collect(),
    }];
    record
}

#[test]
fn runs_with_several_seeds_tell_trials_apart_or_do_not() {
    let told = report(&replicated(0.006)).ties.unwrap();
    assert_eq!((told.by, told.of, told.margin), (Comparison::PairedT, 2, 0.002));
    assert_eq!(told.trials, [TrialId(2)]);
    let beaten = &told.results[1];
    assert_eq!((beaten.trial, beaten.runs, beaten.beaten_by), (TrialId(1), 5, Some(TrialId(2))));
    assert!(beaten.p.unwrap() < 0.05);
    // By less than matters: both stay, and the one that burnt less is the greenest.
    let tied = report(&replicated(0.0015)).ties.unwrap();
    assert_eq!(tied.trials, [TrialId(2), TrialId(1)]);
    assert_eq!(tied.greenest, Some(TrialId(1)));
    assert_eq!(tied.replicated_by[0].energy_uj, 9_000_000);
}

#[test]
fn what_chose_a_trial_does_not_count_for_it() {
    // Its first result was a lucky one: run again, it is the worse.
    let mut record = replicated(0.01);
    record.trials[0].metrics.insert("val_error".to_owned(), Metric::Finite(0.001));
    assert_eq!(report(&record).ties.unwrap().trials, [TrialId(2)]);
}

#[test]
fn a_script_that_ignores_its_seed_is_named_and_a_diverged_run_is_no_tie() {
    let mut record = replicated(0.0);
    for result in &mut record.replications[0].results {
        result.metrics.insert("val_error".to_owned(), Metric::Finite(f64::from(result.of.0) * 0.01));
    }
    assert!(report(&record).ties.unwrap().warning.unwrap().contains("GRAMWISE_SEED"));
    record.replications[0].results[1].metrics.insert("val_error".to_owned(), Metric::Diverged);
    assert_eq!(report(&record).ties.unwrap().trials, [TrialId(1)]);
}

#[test]
fn trials_that_differ_in_their_seed_are_runs_of_one_configuration() {
    let mut record = searched(&[0.10, 0.30, 0.11, 0.31, 0.09, 0.29, 0.105, 0.305]);
    for (at, trial) in (0u32..).zip(&mut record.trials) {
        let config = [("lr", i64::from(at % 2)), ("seed", i64::from(at / 2))];
        trial.config = config.map(|(name, value)| (name.to_owned(), Value::Int(value))).into();
    }
    let answer = report(&record);
    let ties = answer.ties.unwrap();
    assert_eq!((ties.by, ties.of), (Comparison::PairedT, 2));
    assert_eq!(ties.trials, [TrialId(5)], "the best run stands for its configuration");
    assert_eq!(ties.results.iter().map(|one| one.runs).collect::<Vec<_>>(), [4, 4]);
    // The first run of the better configuration was a tie already.
    assert_eq!(answer.gains.first_tied.unwrap().trial, TrialId(1));
    // One chance meeting of two says little of the others: a model is asked.
    for (at, trial) in (0i64..).zip(&mut record.trials) {
        trial.config.insert("lr".to_owned(), Value::Int(at.min(6)));
    }
    assert_ne!(report(&record).ties.unwrap().by, Comparison::PairedT);
}

#[test]
fn few_trials_that_ran_once_are_told_apart_by_nothing() {
    let ties = report(&record()).ties.unwrap();
    assert_eq!(ties.by, Comparison::Nothing);
    assert_eq!(ties.trials, [TrialId(2), TrialId(1), TrialId(10)]);
}

fn minute(number: u32) -> Timestamp {
    Timestamp(START.0 + u64::from(number) * 60_000)
}

/// Trials that end a minute apart, each with its error; the same is burnt every minute.
fn searched(errors: &[f64]) -> SweepRecord {
    let mut record = record();
    let row = |(id, error): (u32, &f64)| {
        let metrics = again(id, 1, *error).metrics.into_iter();
        let latency = ("latency_ms".to_owned(), Metric::Finite(10.0));
        let row = trial(id, TrialState::Completed, 30, burnt(6_000_000, 0, 0));
        TrialRow { metrics: metrics.chain([latency]).collect(), ..row }
    };
    let pattern = record.attempts[0].clone();
    record.trials = (1..).zip(errors).map(row).collect();
    let ids = || record.trials.iter().map(|row| row.id.0);
    record.attempts = ids()
        .map(|id| {
            let mut attempt = pattern.clone();
            (attempt.trial, attempt.ended_at) = (TrialId(id), Some(minute(id)));
            attempt
        })
        .collect();
    let spent = |id| {
        let burnt = burnt(6_000_000, 0, 0);
        SpendingRow { to: minute(id), energy: burnt.energy.total(), co2e: burnt.co2e, g_per_kwh: 480.0 }
    };
    record.spending = ids().map(spent).collect();
    record.decisions.clear();
    record
}

#[test]
fn improvements_have_their_price_and_returns_diminish_where_the_curve_bends() {
    let mut errors = vec![0.5, 0.3, 0.35, 0.1, 0.099];
    errors.extend([0.2; 15]);
    let gains = report(&searched(&errors)).gains;
    let each = burnt(6_000_000, 0, 0).co2e.grams().get();
    let expected = [(1, 1.0), (2, 1.0), (4, 2.0), (5, 1.0)];
    assert_eq!(gains.improvements.len(), expected.len());
    for (one, (trial, price)) in gains.improvements.iter().zip(expected) {
        assert_eq!(one.trial, TrialId(trial));
        assert!((one.price_g / each - price).abs() < 1e-6, "{one:?}");
    }
    assert_eq!(gains.improvements[3].matters, Some(false), "0.001 is less than `meaningful`");
    let bend = gains.diminishing.unwrap();
    assert_eq!(bend.trial, TrialId(4));
    assert!((bend.share - 0.2).abs() < 1e-6 && (bend.gain_after - 0.001).abs() < 1e-9, "{bend:?}");
    let last = gains.last_trials.unwrap();
    assert_eq!((last.trials, last.gain), (4, 0.0));
    assert!((last.co2e_g / each - 4.0).abs() < 1e-6);
}

#[test]
fn a_price_in_the_sweep_file_says_where_returns_diminish() {
    let mut record = searched(&[0.5, 0.3, 0.29, 0.1]);
    let each_kg = burnt(6_000_000, 0, 0).co2e.grams().get() / 1000.0;
    record.sweep.spec.objectives.truncate(1);
    // 0.15 a trial: the second is worth it, the two after it are not together.
    record.sweep.spec.prune.gain_per_kg = Some(GainPerKg::Fixed(0.15 / each_kg));
    let bend = report(&record).gains.diminishing.unwrap();
    assert_eq!((bend.trial, bend.threshold_from.as_str()), (TrialId(2), "the sweep file"));
    record.sweep.spec.prune.gain_per_kg = Some(GainPerKg::Fixed(0.05 / each_kg));
    assert_eq!(report(&record).gains.diminishing.unwrap().trial, TrialId(4));
}

#[test]
fn a_gain_beyond_chance_is_from_the_last_that_is_beaten_to_the_first_that_is_not() {
    // Trial 3 was the first that is as good as any; it and trial 2 were run again.
    let mut record = searched(&[0.5, 0.3, 0.1, 0.35, 0.3, 0.4, 0.2, 0.3]);
    let chances = [0.0, 0.002, -0.001];
    let results = (1..)
        .zip(chances)
        .flat_map(|(seed, chance)| [again(2, seed, 0.3 + chance), again(3, seed, 0.1 - chance)]);
    record.replications = vec![Replication {
        sweep: SweepId(4),
        state: SweepState::Ended,
        total: burnt(9_000_000, 0, 0),
        results: results.collect(),
    }];
    let gains = report(&record).gains;
    let last = gains.last_beyond_chance.unwrap();
    assert_eq!((last.from, last.to), (TrialId(2), TrialId(3)));
    let each = burnt(6_000_000, 0, 0).co2e.grams().get();
    assert!((last.price_g / each - 1.0).abs() < 1e-6 && (last.gain - 0.2).abs() < 1e-9);
    let first = gains.first_tied.unwrap();
    assert_eq!(first.trial, TrialId(3));
    assert!((first.after_g / each - 5.0).abs() < 1e-6);
}
