//! Simulated worlds: the same core as in production, thousands of faults, every invariant after every fact.
//!
//! `GRAMWISE_WORLDS=10000 cargo test --release -p gramwise-sim --test worlds` runs the long campaign.

use std::collections::BTreeSet;

use gramwise_carbon::CarbonFactors;
use gramwise_model::rows::{Account, Outcome};
use gramwise_model::{Because, Constraint, SweepSpec};
use gramwise_search::{Fact, Next, Phase, State, Trial, apply};
use gramwise_sim::{Cluster, History, Planted, Weather};

fn spec(checkpoint: bool, objectives: &str, budget: &str) -> SweepSpec {
    read(27, checkpoint, "gp", (objectives, budget), 11)
}

fn read(
    last: u64,
    checkpoint: bool,
    method: &str,
    (objectives, budget): (&str, &str),
    seed: u64,
) -> SweepSpec {
    let yaml = format!(
        "name: world\n\
         command: [\"train\", \"${{args}}\"]\n\
         method: {method}\n\
         objectives: {objectives}\n\
         parameters:\n  lr: {{distribution: log_uniform_values, min: 0.0001, max: 1.0}}\n  \
         opt: {{values: [sgd, adam]}}\n  momentum: {{min: 0.0, max: 0.99, when: {{opt: sgd}}}}\n\
         resource: {{name: epoch, min: 1, max: {last}, checkpoint: {checkpoint}}}\n\
         budget: {budget}\n\
         prune: {{gain_per_kg: auto, grace: 1, audit: 0.1}}\n\
         priority: {}\n\
         seed: {seed}\n",
        seed % 2
    );
    SweepSpec::from_yaml(&yaml).expect("a legal sweep").0
}

const ONE: &str = "[{name: error, goal: minimize}]";
const TWO: &str = "[{name: error, goal: minimize}, {name: co2e, goal: minimize}]";

fn factors() -> CarbonFactors {
    CarbonFactors::yearly(Some("FR"), None).expect("France is in the table")
}

/// A search as sweeps do it, of forty trials.
fn world(seed: u64, weather: Weather) -> History {
    let spec = spec(!seed.is_multiple_of(3), if seed.is_multiple_of(2) { ONE } else { TWO }, "{trials: 40}");
    Cluster::new(seed, 1 + seed % 4, weather)
        .run(spec, &factors())
        .unwrap_or_else(|fault| panic!("world {seed}: {fault}"))
}

/// One to three small sweeps on one to four hosts: what matters is what goes wrong. One in eight searches by model.
fn small(seed: u64) -> (Cluster, Vec<SweepSpec>) {
    let method = if seed.is_multiple_of(8) { "gp" } else { "random" };
    let goal = if seed.is_multiple_of(2) { ONE } else { TWO };
    let one = |at| read(9, !seed.is_multiple_of(3), method, (goal, "{trials: 12}"), seed + at);
    (Cluster::new(seed, 1 + seed % 4, Weather::STORM), (0..=seed % 3).map(one).collect())
}

#[expect(clippy::disallowed_methods, reason = "a test may be told how long to run")]
fn campaign() -> u64 {
    std::env::var("GRAMWISE_WORLDS").ok().and_then(|text| text.parse().ok()).unwrap_or(200)
}

#[test]
fn storms_lose_nothing_and_book_nothing_twice() {
    let mut restarts = 0;
    for seed in 0..campaign() {
        let (cluster, specs) = small(seed);
        let sweeps = specs.len();
        let history =
            cluster.run_all(specs, &factors()).unwrap_or_else(|fault| panic!("world {seed}: {fault}"));
        restarts += history.restarts;
        assert_eq!(history.state.sweeps.len(), sweeps, "world {seed}");
        for sweep in history.state.sweeps.values() {
            assert!(sweep.trials.len() >= 12, "world {seed}");
            for trial in sweep.trials.values() {
                assert!(
                    matches!(
                        trial.phase,
                        Phase::Completed | Phase::Pruned | Phase::Paused | Phase::Failed { .. }
                    ),
                    "world {seed}: trial {} ended as {:?}",
                    trial.id,
                    trial.phase
                );
                // A trial that finished is never run again.
                let finished =
                    trial.attempts.iter().position(|attempt| attempt.outcome == Some(Outcome::Finished));
                assert!(finished.is_none_or(|index| index + 1 == trial.attempts.len()), "world {seed}");
            }
        }
        what_is_done_again_was_lost(&history, seed);
        no_step_is_judged_twice(&history, seed);
    }
    assert!(restarts > campaign(), "the coordinator was started again {restarts} times");
}

/// Killed at each of its commits in turn, before it is written and after.
#[test]
fn a_coordinator_may_die_at_every_transition() {
    let spec = || read(3, true, "random", (ONE, "{trials: 4}"), 5);
    let cluster = || Cluster::new(1, 2, Weather::default());
    let commits = cluster().run(spec(), &factors()).expect("the world ends").commits;
    assert!(commits > 10, "{commits}");
    for commit in 0..commits {
        for is_written in [false, true] {
            let killed = cluster().killed_at(commit, is_written).run(spec(), &factors());
            let history = killed.unwrap_or_else(|fault| panic!("killed at {commit}, {is_written}: {fault}"));
            assert_eq!(history.fates().iter().sum::<usize>(), 4, "killed at {commit}, {is_written}");
            // At the first commit the sweep is submitted: before that there is nothing to lose.
            assert_eq!(history.restarts, u64::from(commit > 0), "killed at {commit}");
            what_is_done_again_was_lost(&history, commit);
        }
    }
}

#[test]
fn faults_that_are_built_in_are_found() {
    for (fault, found) in [
        (Planted::BooksDifferences, "its attempts burnt"),
        (Planted::DropsStrayGrams, "not the metered"),
        (Planted::AcknowledgesEarly, "was acknowledged"),
    ] {
        let faults: Vec<String> = (0..20)
            .filter_map(|seed| {
                let (cluster, specs) = small(seed);
                cluster.planted(fault).run_all(specs, &factors()).err()
            })
            .collect();
        assert!(faults.len() >= 10, "{fault:?} was found in {} worlds of 20", faults.len());
        assert!(faults.iter().any(|what| what.contains(found)), "{fault:?}: {faults:?}");
    }
}

/// What an attempt burnt is in `lost` exactly if its trial had to be run again because of how it ended.
fn what_is_done_again_was_lost(history: &History, seed: u64) {
    for sweep in history.state.sweeps.values() {
        let mut lost = 0;
        for fact in history.facts.iter().filter(|fact| fact.sweep() == sweep.id) {
            if let Fact::AttemptEnded { attempt: id, next, .. } = fact {
                let attempt = sweep.trials[&id.trial].attempt(id.number).expect("it was leased");
                let expected = if *next == Next::Wait { Account::Lost } else { Account::Trial };
                assert_eq!(attempt.account, expected, "world {seed}: attempt {id}");
                lost += if *next == Next::Wait { attempt.total.energy.total().get() } else { 0 };
            }
        }
        let balance = sweep.accounts.get(&Account::Lost).copied().unwrap_or_default();
        assert_eq!(balance.energy.total().get(), lost, "world {seed}");
    }
}

/// One judgement of the gain and at most one of a rung for each step that was judged.
fn no_step_is_judged_twice(history: &History, seed: u64) {
    let mut judged = BTreeSet::new();
    for fact in &history.facts {
        if let Fact::Decided { attempt, step, because, .. } = fact {
            let by_rung = matches!(because, Because::Rung(_));
            assert!(
                judged.insert((*attempt, *step, by_rung)),
                "world {seed}: {attempt} at {step} was judged twice"
            );
        }
    }
}

#[test]
fn the_same_seed_and_the_same_reports_give_the_same_decisions() {
    for seed in 0..4 {
        assert_eq!(world(seed, Weather::STORM), world(seed, Weather::STORM));
    }
    assert_ne!(world(4, Weather::STORM).facts, world(5, Weather::STORM).facts);
}

#[test]
fn a_journal_replayed_from_any_point_gives_the_same_state() {
    let history = world(1, Weather::STORM);
    let mut state = State::default();
    let half = history.facts.len() / 2;
    for fact in &history.facts[..half] {
        apply(&mut state, fact);
    }
    // As it is stored: through JSON and back.
    for fact in &history.facts[half..] {
        let text = serde_json::to_string(fact).expect("a fact has a JSON form");
        let read: Fact = serde_json::from_str(&text).expect("and can be read from it");
        assert_eq!(&read, fact);
        apply(&mut state, &read);
    }
    assert_eq!(state, history.state);
}

#[test]
fn in_calm_weather_trials_are_completed_pruned_and_paused() {
    let history = world(2, Weather::default());
    let [completed, pruned, paused, failed] = history.fates();
    assert!(completed >= 1 && pruned >= 1 && paused >= 10, "{:?}", history.fates());
    assert_eq!(failed, 0);
}

#[test]
fn what_is_set_aside_covers_what_is_burnt() {
    let history = world(2, Weather::default());
    let sweep = history.state.sweeps.values().next().expect("one sweep");
    let attempts: Vec<_> = sweep.trials.values().flat_map(|trial| &trial.attempts).collect();
    let reserved = attempts.iter().filter(|attempt| attempt.reserved.co2e.get() > 0.0);
    let covers = |attempt: &&&gramwise_search::Attempt| attempt.reserved.co2e >= attempt.total.co2e.grams();
    let (all, covered) = (reserved.clone().count(), reserved.filter(covers).count());
    assert!(all * 10 > attempts.len() * 7, "{all} of {} attempts set something aside", attempts.len());
    assert!(covered * 100 >= all * 80, "{covered} of {all} burnt no more than was set aside");
}

#[test]
fn facts_can_be_read_again_whatever_is_constrained() {
    for (seed, most) in [(1u64, 0.001), (2, 0.25), (3, 0.5)] {
        let mut spec = spec(!seed.is_multiple_of(2), ONE, "{trials: 40}");
        spec.constraints = vec![Constraint { name: "error".to_owned(), min: None, max: Some(most) }];
        let history =
            Cluster::new(seed, 2, Weather::default()).run(spec, &factors()).expect("the world ends");
        for fact in &history.facts {
            let text = serde_json::to_string(fact).expect("a fact has a JSON form");
            let read: Fact = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
            assert_eq!(&read, fact);
        }
    }
}

#[test]
fn paused_trials_go_on() {
    let history = world(2, Weather::default());
    let sweep = history.state.sweeps.values().next().expect("one sweep");
    let resumed = sweep.trials.values().filter(|trial| trial.attempts.len() > 1).count();
    assert!(resumed >= 3, "{resumed} trials were resumed");
}

#[test]
fn an_objective_can_be_maximized() {
    let best = |goal: &str| {
        let spec = spec(true, &format!("[{{name: error, goal: {goal}}}]"), "{trials: 40}");
        let history = Cluster::new(3, 2, Weather::default()).run(spec, &factors()).expect("the world ends");
        let sweep = history.state.sweeps.values().next().expect("one sweep");
        let ends =
            sweep.completed().filter_map(|trial| trial.curve.values().last()?.metrics["error"].finite());
        ends.fold((0.0, 0.0), |(sum, count), end| (sum + end, count + 1.0))
    };
    let ((low, few), (high, many)) = (best("minimize"), best("maximize"));
    assert!(low / few < 0.7 * high / many, "completed trials end at {} and {}", low / few, high / many);
}

#[test]
fn a_hard_budget_is_not_overstepped() {
    for seed in 0..10 {
        let limit = 0.5;
        let spec = spec(true, ONE, &format!("{{trials: 1000, co2e: {limit} g}}"));
        let history =
            Cluster::new(seed, 3, Weather::default()).run(spec, &factors()).expect("the world ends");
        let spent = history.state.sweeps.values().next().expect("one sweep").spent().co2e.grams().get();
        assert!(spent <= limit, "world {seed}: {spent} g of {limit} g");
        assert!(spent > 0.5 * limit, "world {seed} ended at {spent} g of {limit} g");
    }
}

#[test]
fn a_small_budget_sees_one_trial_to_its_end() {
    let calm = world(2, Weather::default());
    let sweep = calm.state.sweeps.values().next().expect("one sweep");
    let burnt =
        |trial: &Trial| trial.attempts.iter().map(|attempt| attempt.total.co2e.grams().get()).sum::<f64>();
    let mut whole: Vec<f64> = sweep.completed().map(burnt).collect();
    whole.sort_by(f64::total_cmp);
    let all: f64 = sweep.spent().co2e.grams().get();
    let trials: f64 = sweep.trials.values().map(burnt).sum();
    // The dearest training, with its share of idle hosts and of gramwise itself.
    let training = whole[whole.len() - 1] * all / trials;
    for trainings in [0.7, 1.0, 1.5, 2.0] {
        let budget = format!("{{co2e: {:.6} mg}}", training * trainings * 1e3);
        let history = Cluster::new(0, 1, Weather::default())
            .run(spec(true, ONE, &budget), &factors())
            .unwrap_or_else(|fault| panic!("{trainings} trainings: {fault}"));
        let [completed, ..] = history.fates();
        assert!(completed >= 1, "{trainings} trainings: {:?}", history.fates());
    }
}
