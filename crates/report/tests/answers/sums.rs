//! Nothing is lost between the ledger and the answer, and nothing is counted twice.

use gramwise_carbon::{Footprint, GramsCo2e, Quality};
use gramwise_model::rows::{Account, AccountRow, GrowthRow, SweepRecord, TrialState, Verdict};
use gramwise_model::{Because, Metric, TrialId};
use gramwise_report::report;
use proptest::prelude::*;

use crate::sample::{burnt, empty, record};

#[test]
fn accounts_and_provenances_sum_to_the_total_exactly() {
    let record = record();
    let answer = report(&record);
    let accounts: u64 = Account::ALL.iter().map(|account| answer.accounts.get(*account).energy_uj).sum();
    let parts = answer.energy_by_provenance;
    assert_eq!(accounts, answer.energy_uj);
    assert_eq!(parts.measured_uj + parts.modelled_uj + parts.estimated_uj, answer.energy_uj);
    let metered: u64 = answer.hosts.iter().map(|host| host.energy_uj).sum();
    assert_eq!(metered - answer.other_tenants.energy_uj, answer.energy_uj);
}

proptest! {
    #[test]
    fn any_accounts_sum_exactly(parts in prop::collection::vec((0usize..4, 0u64..1 << 50, 0u64..1 << 50, 0u64..1 << 50), 0..9)) {
        let row = |(account, a, b, c): &(usize, u64, u64, u64)| {
            AccountRow { account: Account::ALL[*account], footprint: burnt(*a, *b, *c) }
        };
        let record = SweepRecord { accounts: parts.iter().map(row).collect(), ..empty() };
        let answer = report(&record);
        let booked: u64 = parts.iter().map(|(_, a, b, c)| a + b + c).sum();
        let accounts: u64 = Account::ALL.iter().map(|account| answer.accounts.get(*account).energy_uj).sum();
        prop_assert_eq!((answer.energy_uj, accounts), (booked, booked));
        prop_assert!(answer.co2e_low_g <= answer.co2e_g && answer.co2e_g <= answer.co2e_high_g);
    }
}

#[test]
fn states_and_outcomes_are_counted_once_each() {
    let answer = report(&record());
    let trials = answer.trials;
    let states = [
        trials.completed,
        trials.pruned,
        trials.paused,
        trials.failed,
        trials.running,
        trials.stopping,
        trials.waiting,
    ];
    assert_eq!(states, [5, 1, 1, 1, 1, 0, 1]);
    assert_eq!(states.iter().sum::<u64>(), trials.total);
    let attempts = answer.attempts;
    let outcomes = [
        attempts.finished,
        attempts.stopped,
        attempts.failed,
        attempts.interrupted,
        attempts.lost,
        attempts.running,
    ];
    assert_eq!(outcomes, [5, 2, 1, 0, 1, 1]);
    assert_eq!(outcomes.iter().sum::<u64>(), attempts.total);
}

#[test]
fn the_best_keeps_the_constraints_and_has_numbers() {
    let mut record = record();
    assert_eq!(report(&record).best.unwrap().trial, TrialId(2));
    // Without its bound, the trial that broke it has the lowest error.
    record.sweep.spec.constraints.clear();
    let answer = report(&record);
    assert_eq!(answer.best.unwrap().trial, TrialId(3));
    assert_eq!(answer.front.iter().map(|trial| trial.trial.0).collect::<Vec<_>>(), [3, 2, 1]);
    // A metric that a constraint speaks of and a trial does not report is not known to keep it.
    record.sweep.spec.constraints = crate::sample::spec().constraints;
    record.trials[1].metrics.remove("latency_ms");
    assert_eq!(report(&record).best.unwrap().trial, TrialId(1));
}

#[test]
fn worse_in_one_objective_and_equal_in_the_rest_is_off_the_front_and_twins_share_it() {
    let mut record = record();
    let on_front = |record: &SweepRecord| -> Vec<u32> {
        report(record).front.iter().map(|trial| trial.trial.0).collect()
    };
    // Trial 10 reaches the error of trial 1 for more grams.
    let first = record.trials[0].metrics.clone();
    record.trials[9].metrics.insert("val_error".to_owned(), first["val_error"]);
    record.trials[9].metrics.insert("co2e".to_owned(), Metric::Finite(0.0025));
    assert_eq!(on_front(&record), [2, 1]);
    record.trials[9].metrics.insert("co2e".to_owned(), first["co2e"]);
    assert_eq!(on_front(&record), [2, 1, 10]);
    // Maximised objectives turn round.
    record.sweep.spec.objectives[0].goal = gramwise_model::Goal::Maximize;
    assert_eq!(report(&record).best.unwrap().trial, TrialId(1), "of equals, the one that burnt less");
}

#[test]
fn avoided_grams_are_those_of_trials_last_pruned_or_paused() {
    let mut record = record();
    let pruning = report(&record).pruning;
    assert!((pruning.avoided_g.unwrap() - (0.002_5 + 0.002_7)).abs() < 1e-12);
    assert!((pruning.avoided_low_g.unwrap() - 0.4 * 0.005_2).abs() < 1e-12);
    assert!((pruning.avoided_high_g.unwrap() - 1.6 * 0.005_2).abs() < 1e-12);
    assert_eq!((pruning.avoided_trials, pruning.pruned, pruning.paused, pruning.audited), (2, 1, 1, 1));
    // A paused trial that goes on again saves nothing.
    let mut again = record.decisions.last().unwrap().clone();
    again.verdict = Verdict::Promote;
    record.decisions.push(again);
    assert!((report(&record).pruning.avoided_g.unwrap() - 0.002_5).abs() < 1e-12);
}

#[test]
fn what_pruning_avoided_is_unknown_without_a_prediction_and_nothing_without_pruning() {
    let mut record = record();
    record.decisions.clear();
    for trial in &mut record.trials {
        trial.because = trial.because.as_ref().map(|_| Because::SweepEnding { why: "budget".to_owned() });
    }
    let unknown = report(&record).pruning;
    assert_eq!(
        (unknown.avoided_g, unknown.avoided_low_g, unknown.expected_winners_pruned),
        (None, None, None)
    );
    let none = report(&empty()).pruning;
    let zeros = [none.avoided_g, none.avoided_low_g, none.avoided_high_g, none.expected_winners_pruned];
    assert!(
        zeros
            .iter()
            .all(|value| value
                .is_some_and(|value| value.abs() < f64::MIN_POSITIVE && value.is_sign_positive()))
    );
}

#[test]
fn expected_winners_are_the_stated_chances_corrected_by_audits() {
    let mut record = record();
    // Trial 5 was pruned with a chance of 2.1 %; trial 10 is under audit and not through.
    record.trials[9].state = TrialState::Running;
    let winners = report(&record).pruning;
    assert!((winners.expected_winners_pruned.unwrap() - 0.021).abs() < 1e-12);
    assert_eq!((winners.expected_winners_trials, winners.audited, winners.audited_winners), (1, 1, 0));
    assert_eq!((winners.expected_winners_low, winners.expected_winners_high), (Some(0), Some(0)));
    // It comes to its end better than trial 2, against a chance of 2.1 %: the stated chances were too low.
    record.trials[9].state = TrialState::Completed;
    record.trials[9].metrics.insert("val_error".to_owned(), Metric::Finite(0.01));
    let winners = report(&record).pruning;
    assert_eq!(winners.audited_winners, 1);
    assert!((winners.expected_winners_pruned.unwrap() - 0.021 * 2.0 / 1.021).abs() < 1e-12);
    // It comes to its end no better: they were a little too high.
    record.trials[9].metrics.insert("val_error".to_owned(), Metric::Finite(0.02));
    let winners = report(&record).pruning;
    assert!((winners.expected_winners_pruned.unwrap() - 0.021 / 1.021).abs() < 1e-12);
}

#[test]
fn what_was_avoided_is_learnt_from_how_completed_trials_grew() {
    let mut record = record();
    // Trials 1, 2 and 10 had a third of their grams at step 6, where trial 5 was pruned, and a tenth at step 3, where trial 6 was paused.
    let grams = |mg: f64| GramsCo2e::new(mg / 1000.0).to_exact();
    let mut grow = |growths: [f64; 3]| {
        let rows = [1, 2, 10].into_iter().zip(growths).flat_map(|(trial, growth)| {
            let row = |step, mg| GrowthRow { trial: TrialId(trial), step, co2e: grams(mg) };
            [row(30, 3.0), row(6, 3.0 / growth), row(3, 0.3)]
        });
        record.growth = rows.collect();
        report(&record).pruning
    };
    let alike = grow([3.0; 3]);
    assert_eq!(alike.avoided_interval_from, "by how completed trials grew from the same steps");
    let expected = 0.0005 * 2.0 + 0.0004 * 9.0;
    assert!((alike.avoided_g.unwrap() - expected).abs() < 1e-9, "{alike:?}");
    // Nothing varies: only the yearly intensity and the meter are in doubt.
    let relative = alike.avoided_high_g.unwrap() / expected;
    assert!((1.75..1.78).contains(&relative), "{relative}");
    // Growths that differ: a wider interval, by Student's t with two degrees of freedom (4.303).
    let spread = grow([2.0, 3.0, 4.5]);
    let (mean, sd) = (3f64.ln(), 1.5f64.ln());
    let centre = mean + 0.5 * sd * sd;
    let high = 0.0005 * ((centre + 4.302_65 * sd * (4.0f64 / 3.0).sqrt()).exp() - 1.0) + 0.0036;
    let g = 0.0005 * (centre.exp() - 1.0) + 0.0036;
    assert!((spread.avoided_g.unwrap() - g).abs() < 1e-9);
    let burnt = relative.ln();
    let combined = ((high / g).ln().powi(2) + burnt * burnt).sqrt().exp();
    assert!((spread.avoided_high_g.unwrap() / g - combined).abs() < 1e-3, "{spread:?}");
}

#[test]
fn a_sweep_without_energy_has_the_worst_label_and_no_share() {
    let answer = report(&empty());
    assert_eq!((answer.quality, answer.energy_uj), (Quality::D, 0));
    assert_eq!(Footprint::ZERO.energy.quality(), Quality::D);
}

#[test]
fn a_diverged_metric_is_a_word_in_json() {
    let record = record();
    assert_eq!(record.trials[3].metrics["val_error"], Metric::Diverged);
    assert_eq!(record.trials[3].state, TrialState::Completed);
    let json = crate::sample::listed(gramwise_report::trials(&record), gramwise_report::ListFormat::Json);
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(rows[3]["metrics"]["val_error"], "diverged");
    assert_eq!(rows[3]["config"]["batch"], 64);
}
