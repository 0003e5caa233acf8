//! The journal and its projection, filled by simulated storms: what is read is what was decided.

use std::path::Path;

use gramwise_carbon::{CarbonFactors, Energy, Footprint};
use gramwise_model::rows::{Account, SweepRecord};
use gramwise_model::{SweepSpec, Timestamp};
use gramwise_search::{Fact, State, apply};
use gramwise_sim::{Cluster, History, Weather};
use gramwise_store::{Error, Journal, Reader};

const YAML: &str = "
name: world
command: [train, \"${args}\"]
objectives: [{name: error, goal: minimize}, {name: co2e, goal: minimize}]
parameters: {lr: {distribution: log_uniform_values, min: 0.0001, max: 1.0}, layers: {min: 1, max: 9}}
resource: {name: epoch, min: 1, max: 27, checkpoint: true}
budget: {trials: 25}
";

fn storm(seed: u64) -> History {
    let (spec, _) = SweepSpec::from_yaml(YAML).expect("a legal sweep");
    let factors = CarbonFactors::yearly(Some("DE"), None).expect("Germany is in the table");
    Cluster::new(seed, 3, Weather::STORM).run(spec, &factors).expect("the world ends")
}

/// Writes a history in groups of a few facts, as the driver does.
fn written(path: &Path, history: &History) -> Journal {
    let mut journal = Journal::open(path).expect("a new database");
    for (index, group) in history.facts.chunks(7).enumerate() {
        journal.append(group, Timestamp(index as u64)).expect("it is writable");
    }
    journal
}

fn record(path: &Path) -> SweepRecord {
    let reader = Reader::open(path).expect("readable beside its writer");
    let id = reader.newest().expect("readable").expect("one sweep").id;
    reader.record(id).expect("readable").expect("there")
}

#[test]
fn facts_come_back_as_they_were_written_and_give_the_same_state() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("new/folders/sweeps.db");
    let history = storm(1);
    let journal = written(&path, &history);
    let sweep = journal.last_sweep().unwrap();
    let facts: Vec<Fact> = journal.facts(sweep).unwrap().into_iter().map(|(_, fact)| fact).collect();
    assert_eq!(facts, history.facts);
    let mut state = State { last_sweep: sweep.0, ..State::default() };
    for fact in &facts {
        apply(&mut state, fact);
    }
    assert_eq!(state, history.state);
}

#[test]
fn the_ledger_says_what_the_state_says_to_the_microjoule() {
    for seed in 2..6 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sweeps.db");
        let history = storm(seed);
        let _journal = written(&path, &history);
        let record = record(&path);
        let sweep = &history.state.sweeps[&record.sweep.id];
        for row in &record.accounts {
            assert_eq!(
                row.footprint,
                sweep.accounts.get(&row.account).copied().unwrap_or_default(),
                "{}",
                row.account
            );
        }
        // Accounts make up the hosts' totals, exactly.
        let booked: Energy = record.accounts.iter().fold(Energy::ZERO, |sum, row| sum + row.footprint.energy);
        let metered: Energy = record.hosts.iter().fold(Energy::ZERO, |sum, row| sum + row.total);
        let other: Energy = record.hosts.iter().fold(Energy::ZERO, |sum, row| sum + row.other);
        assert_eq!(booked.total() + other.total(), metered.total(), "seed {seed}");
        assert_eq!(record.trials.len(), sweep.trials.len());
        for (row, trial) in record.trials.iter().zip(sweep.trials.values()) {
            let sum = |account: Account| {
                let of = trial.attempts.iter().filter(|attempt| attempt.account == account);
                of.fold(Footprint::ZERO, |sum, attempt| sum + attempt.total)
            };
            assert_eq!((row.id, row.state, row.step), (trial.id, trial.phase.state(), trial.last_step()));
            assert_eq!((row.booked, row.lost), (sum(Account::Trial), sum(Account::Lost)), "trial {}", row.id);
        }
        for row in &record.attempts {
            let attempt = sweep.trials[&row.trial].attempt(row.number).unwrap();
            assert_eq!(row.footprint, attempt.total);
            assert_eq!(row.outcome, attempt.outcome);
        }
    }
}

#[test]
fn bookings_are_the_accounts_with_what_was_moved_where_it_is_now() {
    let mut lost = Footprint::ZERO;
    for seed in 2..4 {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sweeps.db");
        let _journal = written(&path, &storm(seed));
        let record = record(&path);
        let bookings = Reader::open(&path).unwrap().bookings(record.sweep.id).unwrap();
        for row in &record.accounts {
            let booked = bookings.iter().filter(|booking| booking.account == row.account);
            let booked = booked.fold(Footprint::ZERO, |sum, booking| sum + booking.footprint);
            assert_eq!(booked, row.footprint, "{} of seed {seed}", row.account);
            if row.account == Account::Lost {
                lost += booked;
            }
        }
    }
    assert_ne!(lost, Footprint::ZERO, "storms lose some");
}

#[test]
fn the_projection_can_be_made_anew_from_the_journal() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sweeps.db");
    let mut journal = written(&path, &storm(7));
    let before = record(&path);
    journal.rebuild().unwrap();
    assert_eq!(record(&path), before);
}

#[test]
fn an_unfinished_sweep_is_found_by_what_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sweeps.db");
    let history = storm(8);
    let half = History { facts: history.facts[..history.facts.len() / 2].to_vec(), ..history };
    let journal = written(&path, &half);
    let (spec, _) = SweepSpec::from_yaml(YAML).unwrap();
    assert_eq!(journal.unfinished(&spec).unwrap(), Some(journal.last_sweep().unwrap()));
    let (other, _) = SweepSpec::from_yaml(&YAML.replace("25", "26")).unwrap();
    assert_eq!(journal.unfinished(&other).unwrap(), None);
    drop(journal);
    let journal = written(&folder.path().join("ended.db"), &storm(8));
    assert_eq!(journal.unfinished(&spec).unwrap(), None);
}

#[test]
fn one_writer_at_a_time_and_readers_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sweeps.db");
    let journal = written(&path, &storm(9));
    assert!(matches!(Journal::open(&path), Err(Error::InUse(_))));
    record(&path);
    let link = folder.path().join("link.db");
    std::os::unix::fs::symlink(&path, &link).unwrap();
    assert!(matches!(Journal::open(&link), Err(Error::InUse(_))), "another name of the same file");
    assert!(matches!(Journal::open(folder.path()), Err(Error::Foreign(_))), "a folder is no database");
    drop(journal);
    Journal::open(&path).unwrap();
}

#[test]
fn what_is_no_database_of_ours_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("none.db");
    assert!(matches!(Reader::open(&missing), Err(Error::Missing(_))));
    assert!(!missing.exists());
    let text = folder.path().join("text.db");
    std::fs::write(
        &text,
        "this is no database, only a text that is long enough to be taken for one ".repeat(20),
    )
    .unwrap();
    let before = std::fs::read(&text).unwrap();
    assert!(matches!(Journal::open(&text), Err(Error::Foreign(_))));
    assert!(matches!(Reader::open(&text), Err(Error::Foreign(_))));
    assert_eq!(std::fs::read(&text).unwrap(), before);
    let other = folder.path().join("other.db");
    rusqlite::Connection::open(&other).unwrap().execute_batch("CREATE TABLE songs (title TEXT)").unwrap();
    assert!(matches!(Journal::open(&other), Err(Error::Foreign(_))));
}

#[test]
fn a_database_of_a_newer_version_is_refused_with_both_versions() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sweeps.db");
    drop(Journal::open(&path).unwrap());
    rusqlite::Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let refused = Journal::open(&path).unwrap_err().to_string();
    assert!(refused.contains("version 99") && refused.contains("up to 4"), "{refused}");
}

#[test]
fn an_older_version_becomes_the_newest_and_keeps_all_and_an_unreleased_one_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (path, other) = (folder.path().join("sweeps.db"), folder.path().join("other.db"));
    let history = storm(3);
    drop(written(&path, &history));
    let newest = record(&path);
    let change =
        |path: &Path, sql: &str| rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
    // As the first version had it.
    let first = include_str!("../src/migrations/0001_first.sql");
    let old = folder.path().join("old.db");
    change(&old, first);
    change(
        &old,
        &format!(
            "PRAGMA application_id = 0x6772616d; PRAGMA user_version = 1; ATTACH '{}' AS new;
        INSERT INTO journal SELECT * FROM new.journal",
            path.display()
        ),
    );
    let mut journal = Journal::open(&old).unwrap();
    journal.rebuild().unwrap();
    drop(journal);
    assert_eq!(record(&old), newest);
    drop(Journal::open(&old).unwrap());
    change(
        &other,
        &first
            .replace("CREATE TABLE decision", "CREATE TABLE decisions")
            .replace("ON decision ", "ON decisions "),
    );
    change(&other, "PRAGMA application_id = 0x6772616d; PRAGMA user_version = 1");
    let before = std::fs::read(&other).unwrap();
    for refused in [Journal::open(&other).unwrap_err(), Reader::open(&other).unwrap_err()] {
        assert!(
            matches!(refused, Error::Unreleased(_)) && refused.to_string().contains("hint: `mv "),
            "{refused}"
        );
    }
    assert_eq!(std::fs::read(&other).unwrap(), before, "it is left as it was");
}

#[test]
fn what_was_kept_and_the_facts_since_give_the_same_state() {
    let history = storm(7);
    let sweep = history.facts[0].sweep();
    let (before, after) = history.facts.split_at(history.facts.len() / 2);
    let mut half = State::default();
    for fact in before {
        apply(&mut half, fact);
    }
    let replayed = |journal: &Journal| {
        let mut state = State::default();
        journal.replay(sweep, &mut state).unwrap();
        // When somebody came or went is of no sweep.
        State { shifted_at: history.state.shifted_at, ..state }
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sweeps.db");
    let mut journal = Journal::open(&path).unwrap();
    journal.append(before, Timestamp(1)).unwrap();
    journal.keep(&[sweep], &half).unwrap();
    journal.append(after, Timestamp(2)).unwrap();
    assert_eq!(replayed(&journal), history.state);
    drop(journal);
    let change = |sql: &str| rusqlite::Connection::open(&path).unwrap().execute(sql, []).unwrap();
    // That it is used shows in that the facts before it are not.
    change("UPDATE journal SET body = json_set(body, '$.no_such', 1), kind = 'x' WHERE seq < 3");
    change("CREATE TABLE away AS SELECT * FROM journal WHERE seq < 9");
    change("DELETE FROM ledger_entry");
    change("DELETE FROM journal WHERE seq < 9");
    assert_eq!(replayed(&Journal::open(&path).unwrap()), history.state);
    change("INSERT INTO journal SELECT * FROM away");
    change("UPDATE journal SET body = json_remove(body, '$.no_such') WHERE seq < 3");
    // Of another build, or damaged, it is not believed.
    change("UPDATE snapshot SET build = build + 1");
    assert_eq!(replayed(&Journal::open(&path).unwrap()), history.state);
    change("UPDATE snapshot SET build = build - 1, body = substr(body, 1, length(body) / 2)");
    assert_eq!(replayed(&Journal::open(&path).unwrap()), history.state);
    // What is over is not kept.
    Journal::open(&path).unwrap().keep(&[sweep], &history.state).unwrap();
    let kept: i64 = rusqlite::Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM snapshot", [], |row| row.get(0))
        .unwrap();
    assert_eq!(kept, 0);
}
