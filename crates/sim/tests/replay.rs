//! The search replayed against a table: it finds what is there, for less carbon than chance does, and alike each time.

use std::fmt::Write;

use gramwise_search::strategy::{AskTell, EarlierTrial, Goal, Knobs, Pruner, Sampler, Setting, Strategy};
use gramwise_sim::replay::{Course, Outcome, Table, replay};

/// 300 configurations of two numbers and a word; the best is near (0.7, 0.2) with `b`. Cost grows with the first number.
fn table() -> Table {
    let space = r#"{"task":"made","max_epoch":16,"hyperparameters":[
        {"name":"x","type":"float","lower":0,"upper":1},{"name":"y","type":"float","lower":1e-3,"upper":1,"log":true},
        {"name":"c","type":"categorical","choices":["a","b"]}]}"#;
    let (mut configs, mut curves) =
        ("config_id,x,y,c\n".to_owned(), "config_id,epoch,val_error,seconds\n".to_owned());
    for id in 0..300u32 {
        let at = f64::from(id);
        let (x, u, c) =
            ((at * 0.618_034).fract(), (at * 0.754_878).fract(), if id % 2 == 0 { "a" } else { "b" });
        let _ = writeln!(configs, "{id},{x},{},{c}", 10f64.powf(-3.0 * u));
        let end = 0.05 + (x - 0.7).powi(2) + (u - 0.2).powi(2) + if c == "a" { 0.2 } else { 0.0 };
        for epoch in 1..=16 {
            let error = end + 0.5 / f64::from(epoch);
            let _ = writeln!(curves, "{id},{epoch},{error},{}", f64::from(epoch) * (10.0 + 20.0 * x));
        }
    }
    Table::parse(space, &configs, &curves).expect("the table is right")
}

fn run(
    table: &Table,
    seed: u64,
    sampler: Sampler,
    pruner: Pruner,
    objectives: &[Goal],
    price: Option<f64>,
) -> Outcome {
    let setting = Setting {
        seed,
        workers: 4,
        price,
        sampler,
        pruner,
        ..Setting::new(table.space.clone(), table.max_epoch, objectives.to_vec())
    };
    let mut searcher = AskTell::new(Strategy::new(setting, Knobs::default()));
    let course = Course { workers: 4, budget_fte: 12.0 };
    let outcome = replay(table, &mut searcher, &course).expect("the search asks for what can be");
    assert!(outcome.spent <= table.fte * 13.0);
    outcome
}

const ONE: [Goal; 1] = [Goal::Reported];

#[test]
fn less_carbon_than_chance_for_the_same() {
    let table = table();
    let mean = |sampler, pruner| {
        (0..5).map(|seed| run(&table, seed, sampler, pruner, &ONE, None).regret[3]).sum::<f64>() / 5.0
    };
    let (ours, chance) = (mean(Sampler::Gp, Pruner::GainPerKg), mean(Sampler::Random, Pruner::None));
    assert!(ours < 0.3 * chance, "regret after 10 trainings: {ours} against {chance}");
    let asha = mean(Sampler::Random, Pruner::Asha);
    assert!(asha < chance, "a baseline that is worth comparing with: {asha} against {chance}");
}

#[test]
fn what_earlier_searches_found_is_found_sooner() {
    let table = table();
    let course = Course { workers: 4, budget_fte: 12.0 };
    let search = |seed: u64, earlier: Vec<EarlierTrial>| {
        let setting = Setting {
            seed,
            workers: 4,
            earlier,
            ..Setting::new(table.space.clone(), table.max_epoch, ONE.to_vec())
        };
        let mut searcher = AskTell::new(Strategy::new(setting, Knobs::default()));
        let outcome = replay(&table, &mut searcher, &course).expect("the search asks for what can be");
        (outcome.regret[2], searcher.strategy().as_earlier(EarlierTrial::MOST))
    };
    let (mut cold, mut warm) = (0.0, 0.0);
    for seed in 0..5 {
        let (alone, earlier) = search(seed, Vec::new());
        assert!((10..=40).contains(&earlier.len()), "{}", earlier.len());
        cold += alone;
        warm += search(seed + 100, earlier).0;
    }
    assert!(warm < 0.5 * cold, "regret after five trainings: {warm} against {cold}");
}

#[test]
fn what_does_not_matter_gains_nothing() {
    let table = table();
    let stopped = |meaningful: f64| {
        let setting = Setting {
            price: Some(1e-15),
            meaningful: vec![meaningful],
            ..Setting::new(table.space.clone(), table.max_epoch, ONE.to_vec())
        };
        let mut searcher = AskTell::new(Strategy::new(setting, Knobs::default()));
        let course = Course { workers: 4, budget_fte: 12.0 };
        replay(&table, &mut searcher, &course).expect("the search asks for what can be").stopped_at
    };
    assert_eq!(stopped(0.0), None, "at no price to speak of, it goes on");
    assert!(stopped(1e6).is_some(), "no improvement is as large as that");
}

#[test]
fn the_same_seed_gives_the_same_on_any_number_of_threads() {
    let table = table();
    let alone = run(&table, 3, Sampler::Gp, Pruner::GainPerKg, &ONE, None);
    let together: Vec<Outcome> = std::thread::scope(|scope| {
        let start = || run(&table, 3, Sampler::Gp, Pruner::GainPerKg, &ONE, None);
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no thread panics")).collect()
    });
    assert!(together.iter().all(|outcome| *outcome == alone));
    assert_ne!(run(&table, 4, Sampler::Gp, Pruner::GainPerKg, &ONE, None), alone);
}

#[test]
fn a_price_ends_it_and_a_higher_one_sooner() {
    let table = table();
    let worth = (table.reference - table.best) / table.fte;
    let stopped =
        |share: f64| run(&table, 1, Sampler::Gp, Pruner::GainPerKg, &ONE, Some(share * worth)).stopped_at;
    let (cheap, dear) = (stopped(0.02), stopped(0.5));
    assert!(dear.is_some_and(|dear| cheap.is_none_or(|cheap| dear <= cheap)), "{cheap:?} {dear:?}");
}

#[test]
fn several_objectives_fill_the_volume() {
    let table = table();
    let both = [Goal::Reported, Goal::Grams];
    let mean = |sampler, pruner| {
        (0..3).map(|seed| run(&table, seed, sampler, pruner, &both, None).volume[3]).sum::<f64>() / 3.0
    };
    let (ours, chance) = (mean(Sampler::Gp, Pruner::GainPerKg), mean(Sampler::Random, Pruner::None));
    assert!(ours > chance, "share of the hypervolume after 10 trainings: {ours} against {chance}");
}

#[test]
fn a_table_that_is_wrong_is_named() {
    let (space, configs) = (
        r#"{"task":"t","max_epoch":1,"hyperparameters":[{"name":"x","type":"float","lower":0,"upper":1}]}"#,
        "config_id,x\n0,0.5\n",
    );
    for (space, configs, curves, what) in [
        ("{", configs, "", "space.json"),
        (space, "config_id\n0\n", "config_id,epoch,val_error,seconds\n", "no column `x`"),
        (space, configs, "config_id,epoch,seconds\n", "no column `val_error`"),
        (space, configs, "config_id,epoch,val_error,seconds\n0,1,bad,1\n", "line 2: `bad` is no number"),
        (space, configs, "config_id,epoch,val_error,seconds\n7,1,0.5,1\n", "in common"),
    ] {
        let problem = Table::parse(space, configs, curves).expect_err(what);
        assert!(problem.contains(what), "{problem}");
    }
}
