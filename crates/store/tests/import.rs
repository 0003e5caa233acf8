//! Databases of several coordinators, put together: no gram twice, whatever the order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use gramwise_carbon::{CarbonFactors, Footprint};
use gramwise_model::rows::SweepSummary;
use gramwise_model::{SweepId, SweepSpec, Timestamp};
use gramwise_search::Fact;
use gramwise_sim::{Cluster, Weather};
use gramwise_store::{Error, Journal, Reader, What};

const YAML: &str = "
name: world
command: [train, \"${args}\"]
objectives: [{name: error, goal: minimize}]
parameters: {lr: {distribution: log_uniform_values, min: 0.0001, max: 1.0}}
resource: {name: epoch, min: 1, max: 9, checkpoint: true}
budget: {trials: 6}
";

const NOW: Timestamp = Timestamp(5_000_000);

/// What happened in a sweep of a user.
fn facts(seed: u64, number: u32, by: &str) -> Vec<Fact> {
    let (spec, _) = SweepSpec::from_yaml(YAML).expect("a legal sweep");
    let factors = CarbonFactors::yearly(Some("DE"), None).expect("Germany is in the table");
    let history = Cluster::new(seed, 3, Weather::STORM).run(spec, &factors).expect("the world ends");
    let mut facts: Vec<Fact> =
        history.facts.into_iter().map(|fact| fact.renumbered(SweepId(number))).collect();
    let Some(Fact::SweepSubmitted { by: stated, .. }) = facts.first_mut() else { panic!("it begins") };
    by.clone_into(stated);
    facts
}

/// A database of two sweeps.
fn database(path: &Path, seed: u64, by: &str) {
    let mut journal = Journal::open(path).expect("the database is at hand");
    journal.append(&facts(seed, 1, by), Timestamp(1000)).expect("the database is at hand");
    journal.append(&facts(seed + 1, 2, by), Timestamp(2000)).expect("the database is at hand");
}

fn summaries(path: &Path) -> Vec<SweepSummary> {
    Reader::open(path).expect("the database is at hand").summaries().expect("the database is at hand")
}

/// What each sweep came to, by who submitted it: numbers differ.
fn totals(path: &Path) -> Vec<(String, Footprint, u64)> {
    let of = |one: SweepSummary| (one.sweep.submitted_by, one.total, one.trials.values().sum());
    let mut totals: Vec<_> = summaries(path).into_iter().map(of).collect();
    totals.sort_by_key(|(by, total, _)| (by.clone(), total.co2e));
    totals
}

fn imported(into: &Path, from: &[&PathBuf]) -> Vec<What> {
    let mut journal = Journal::open(into).expect("the database is at hand");
    from.iter()
        .flat_map(|from| journal.import(from, NOW).expect("the database is at hand"))
        .map(|one| one.what)
        .collect()
}

#[test]
fn two_databases_imported_twice_in_any_order_give_the_same_totals() {
    let folder = tempfile::tempdir().unwrap();
    let [a, b, ab, ba, third] =
        ["a.db", "b.db", "ab.db", "ba.db", "third.db"].map(|name| folder.path().join(name));
    database(&a, 10, "ada@gpu01");
    database(&b, 20, "grace@gpu02");
    let new = [What::New; 4];
    assert_eq!(imported(&ab, &[&a, &b]), new);
    assert_eq!(imported(&ab, &[&b, &a]), [What::Known; 4]);
    assert_eq!(imported(&ba, &[&b, &a]), new);
    assert_eq!(imported(&ba, &[&a, &b, &ba]), [What::Known; 8], "and of itself");
    let mut both = totals(&a);
    both.extend(totals(&b));
    assert_eq!(totals(&ab), both);
    assert_eq!(totals(&ba), both);
    // By way of another that imported them, and straight.
    assert_eq!(imported(&third, &[&ab]), new);
    assert_eq!(imported(&third, &[&a, &ba]), [What::Known; 6]);
    assert_eq!(totals(&third), both);
    // Into one that has its own, and back.
    assert_eq!(imported(&a, &[&third]), [What::Known, What::Known, What::New, What::New]);
    assert_eq!(totals(&a), both);
    // Nobody runs them here, and the projection comes out of the journal.
    let mut journal = Journal::open(&third).unwrap();
    assert!(journal.all_unfinished().unwrap().is_empty());
    journal.rebuild().unwrap();
    drop(journal);
    assert_eq!(totals(&third), both);
}

#[test]
fn a_sweep_that_went_on_brings_what_is_new_and_an_older_copy_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let [half, whole, here] = ["half.db", "whole.db", "here.db"].map(|name| folder.path().join(name));
    let facts = facts(3, 1, "ada@gpu01");
    let middle = facts.len() / 2;
    Journal::open(&half).unwrap().append(&facts[..middle], Timestamp(1000)).unwrap();
    let mut journal = Journal::open(&whole).unwrap();
    journal.append(&facts[..middle], Timestamp(1000)).unwrap();
    journal.append(&facts[middle..], Timestamp(2000)).unwrap();
    drop(journal);
    assert_eq!(
        imported(&here, &[&half, &half, &whole, &half]),
        [What::New, What::Known, What::GoneOn, What::Known]
    );
    assert_eq!(totals(&here), totals(&whole));
    assert!(Journal::open(&here).unwrap().all_unfinished().unwrap().is_empty(), "it is another's to run");
    // Two went on with one sweep, each in its own way.
    let mut other = Journal::open(&half).unwrap();
    other.append(&facts[middle..=middle], Timestamp(7777)).unwrap();
    drop(other);
    assert_eq!(imported(&here, &[&half]), [What::Otherwise]);
    assert_eq!(totals(&here), totals(&whole));
}

#[test]
fn what_is_no_database_is_named_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let [here, text, none] = ["here.db", "notes.txt", "none.db"].map(|name| folder.path().join(name));
    std::fs::write(&text, "not a database at all, but long enough to be looked at as if it were one")
        .unwrap();
    let mut journal = Journal::open(&here).unwrap();
    assert!(matches!(journal.import(&text, NOW), Err(Error::Foreign(_))));
    assert!(matches!(journal.import(&none, NOW), Err(Error::Missing(_))));
    drop(journal);
    assert!(summaries(&here).is_empty());
}

#[test]
fn the_parts_of_the_workers_sum_to_the_sweep_and_the_sweep_to_its_report() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    database(&path, 30, "ada@gpu01");
    let reader = Reader::open(&path).unwrap();
    for one in summaries(&path) {
        let record = reader.record(one.sweep.id).unwrap().unwrap();
        let accounts = record.accounts.iter().fold(Footprint::ZERO, |sum, row| sum + row.footprint);
        let workers = one.workers.iter().fold(Footprint::ZERO, |sum, share| sum + share.footprint);
        assert_eq!((one.total, workers), (accounts, accounts));
        let states = record.trials.iter().fold(BTreeMap::new(), |mut counts, trial| {
            *counts.entry(trial.state).or_insert(0) += 1;
            counts
        });
        assert_eq!(one.trials, states);
        let spent = record
            .spending
            .iter()
            .fold((0, 0), |(energy, co2e), row| (energy + row.energy.get(), co2e + row.co2e.get()));
        assert_eq!(spent, (accounts.energy.total().get(), accounts.co2e.get()));
    }
}

#[test]
fn a_reader_brings_an_older_database_up_to_date_with_all_that_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.db");
    database(&path, 40, "ada@gpu01");
    let newest = summaries(&path);
    assert!(newest.iter().all(|one| one.workers.iter().all(|share| !share.host.is_empty())));
    let older = "DROP VIEW sweep_cost; DROP VIEW trial_cost; DROP VIEW host_cost; DROP TABLE spent;
        DROP INDEX trial_by_state; DROP INDEX attempt_by_worker;
        ALTER TABLE host DROP COLUMN host; ALTER TABLE host DROP COLUMN cpus;
        ALTER TABLE host DROP COLUMN memory; ALTER TABLE sweep DROP COLUMN origin; PRAGMA user_version = 3";
    rusqlite::Connection::open(&path).unwrap().execute_batch(older).unwrap();
    let held = {
        let held = Journal::open(&path).unwrap();
        // Held by a coordinator of the older version, as far as its lock tells.
        rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 3).unwrap();
        held
    };
    assert!(matches!(Reader::open(&path), Err(Error::Older { found: 3, .. })));
    drop(held);
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 4).unwrap();
    rusqlite::Connection::open(&path).unwrap().execute_batch(older).unwrap();
    assert_eq!(summaries(&path), newest);
}
