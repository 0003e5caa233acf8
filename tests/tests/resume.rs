//! A sweep goes on where it was, however it ended: nothing is run twice, nothing is booked twice, nothing is left behind.

use std::collections::BTreeSet;

use e2e::{DEADLINE, Place, Running, eventually};
use rustix::process::Signal;

use crate::sweeps::{Sweep, all_gone, assert_balanced, count, noted};

/// A sweep of eight trials, two at a time. From the fourth on they wait after each step until there is a file `go`.
fn half_way(place: &Place) -> Running {
    let lr = (1..=8).map(|index| f64::from(index) / 20.0).collect();
    Sweep { lr, ..Sweep::default() }.told("--ms 40").noting_pids(place).held(place, 4).write(place);
    let running = place.start_sweep(&["--slots", "2"]);
    eventually("three trials done, two half-way and their grams booked", DEADLINE, || {
        let rows = place.rows(
            "SELECT (SELECT count(*) FROM trial WHERE state = 'completed'),
                    (SELECT count(*) FROM step s JOIN trial t ON t.id = s.trial WHERE t.state = 'running'),
                    (SELECT count(DISTINCT trial) FROM ledger_entry JOIN trial t ON t.id = trial
                     WHERE t.state = 'running')",
        );
        if rows == [[3, 2, 2]] { Ok(()) } else { Err(format!("{rows:?}")) }
    });
    running
}

fn ids(place: &Place, sql: &str) -> BTreeSet<i64> {
    place.rows(sql).into_iter().map(|row| row[0]).collect()
}

/// Runs the same command again, with nothing to wait for, and checks what became of the first run's trials.
fn resumes(place: &Place) {
    let before = place.rows("SELECT trial, number FROM attempt ORDER BY 1, 2");
    assert_eq!(before.len(), 5, "{before:?}");
    let (done, cut_off) = (BTreeSet::from([1, 2, 3]), BTreeSet::from([4, 5]));
    assert_eq!(ids(place, "SELECT id FROM trial WHERE state = 'completed'"), done);
    place.write("go", "");
    place.run_sweep(&["--slots", "2"]).expect(0);

    assert_eq!(count(place, "completed"), 8);
    assert_eq!(place.number("SELECT count(*) FROM sweep WHERE state = 'ended'"), 1);
    let again = "SELECT trial FROM attempt GROUP BY trial HAVING count(*) > 1";
    assert_eq!(ids(place, again), cut_off, "trials with another attempt");
    assert_eq!(place.number("SELECT max(number) FROM attempt"), 2);
    let lost = place.rows(
        "SELECT trial, attempt, sum(measured_uj + modelled_uj + estimated_uj) FROM ledger_entry
         WHERE account = 'lost' GROUP BY 1, 2 ORDER BY 1",
    );
    let attempts: Vec<[i64; 2]> = lost.iter().map(|row| [row[0], row[1]]).collect();
    assert_eq!(attempts, [[4, 1], [5, 1]], "whose energy is lost");
    assert!(lost.iter().all(|row| row[2] > 0), "{lost:?}");
    let left_in_trial = "SELECT coalesce(sum(abs(s)), 0) FROM (
            SELECT sum(measured_uj + modelled_uj + estimated_uj) AS s FROM ledger_entry
            WHERE account = 'trial' AND trial IN (4, 5) AND attempt = 1 GROUP BY trial)";
    assert_eq!(place.number(left_in_trial), 0, "what is lost is in no other account");
    assert_balanced(place);
    // A trial was started once for each attempt, and its second attempt began after nothing was left of the first.
    let started: Vec<(i64, i64)> = noted(place).into_keys().collect();
    let attempts = place.rows("SELECT trial, number FROM attempt ORDER BY 1, 2");
    assert_eq!(started, attempts.iter().map(|row| (row[0], row[1])).collect::<Vec<_>>());
    all_gone(place).unwrap();
    let report = place.json(&["report"]);
    assert_eq!(report["attempts"]["total"], 10);
    assert_eq!(report["attempts"]["finished"], 8);
    restated(place, &report);
}

/// By other intensities the same energy is in the same accounts, and what was stated first is beside.
fn restated(place: &Place, report: &serde_json::Value) {
    let rows = "2020-01-01T00:00Z,2100-01-01T00:00Z,100\n";
    place.write("actual.csv", &format!("from_utc,to_utc,g_per_kwh\n{rows}"));
    let by = ["restate", "--intensity", "actual.csv"];
    let told = place.json(&by);
    assert_eq!(told["energy_uj"], report["energy_uj"]);
    let near = |a: &serde_json::Value, b: f64| (a.as_f64().unwrap() - b).abs() <= 1e-6 * b.abs() + 1e-12;
    assert!(near(&told["co2e_g"], report["co2e_g"].as_f64().unwrap()), "{told:#}");
    for account in ["trial", "lost", "idle", "overhead"] {
        let (now, then) = (&told["accounts"][account], &report["accounts"][account]);
        assert_eq!(now["energy_uj"], then["energy_uj"], "{account}");
        assert!(near(&now["co2e_g"], then["co2e_g"].as_f64().unwrap()), "{account}: {now} {then}");
        // Each booking is rounded to the nanogram.
        let expected = now["energy_uj"].as_f64().unwrap() / 3.6e12 * 100.0;
        assert!((now["restated_g"].as_f64().unwrap() - expected).abs() < 1e-7, "{account}: {now}");
    }
    assert_eq!(told["covered"], 1.0);
    let again = place.gramwise(&[&by[..], &["-o", "json"]].concat()).expect(0).stdout;
    assert_eq!(again, place.gramwise(&[&by[..], &["-o", "json"]].concat()).expect(0).stdout);
    place.write("wrong.csv", &format!("from_utc,to_utc,grams\n{rows}"));
    let wrong = place.gramwise(&["restate", "--intensity", "wrong.csv"]).expect(2);
    assert!(wrong.stderr.contains("wrong.csv, line 1: no column `g_per_kwh`"), "{wrong}");
}

#[test]
fn after_kill_9_the_same_command_goes_on() {
    let place = Place::new();
    let running = half_way(&place);
    running.signal(Signal::KILL);
    assert_eq!(running.wait().code, None, "ended by the signal");
    // Nobody was left to tell them; they end because their worker is gone.
    eventually("the trials of a killed run end", DEADLINE, || all_gone(&place));
    assert_eq!(count(&place, "running"), 2, "the database could not be told");
    std::thread::sleep(std::time::Duration::from_secs(2));
    resumes(&place);
    let after = "SELECT max(a.ended_at_ms - h.heard_at_ms) FROM attempt a JOIN host h ON h.worker = a.worker
                 WHERE a.trial IN (4, 5) AND a.number = 1";
    assert_eq!(place.number(after), 0, "nobody held anything while nobody ran it");
    assert_eq!(place.json(&["report"])["attempts"]["lost"], 2);
}

#[test]
fn after_ctrl_c_the_same_command_goes_on() {
    let place = Place::new();
    let running = half_way(&place);
    running.signal(Signal::INT);
    let done = running.wait().expect(130);
    assert_eq!(done.stdout, "", "no report of a sweep that is not over: {done}");
    all_gone(&place).unwrap();
    assert_eq!((count(&place, "running"), count(&place, "waiting")), (0, 2));
    assert_balanced(&place);
    resumes(&place);
    assert_eq!(place.json(&["report"])["attempts"]["interrupted"], 2);
}

#[test]
fn ctrl_c_says_how_to_go_on() {
    let place = Place::new();
    Sweep::default().noting_pids(&place).held(&place, 1).write(&place);
    let running = Running::start(&mut place.command(&["run", "sweep.yaml", "--no-gpu", "--slots", "1"]));
    eventually("a trial has started", DEADLINE, || {
        noted(&place).pop_first().ok_or_else(|| "none".to_owned())
    });
    running.signal(Signal::INT);
    let done = running.wait().expect(130);
    assert!(done.stderr.contains("the same command resumes sweep 1"), "{done}");
    all_gone(&place).unwrap();
}

#[test]
fn new_begins_another_sweep() {
    let place = Place::new();
    half_way(&place).signal(Signal::KILL);
    eventually("the trials of a killed run end", DEADLINE, || all_gone(&place));
    place.write("go", "");
    place.run_sweep(&["--new", "--slots", "2"]).expect(0);
    assert_eq!(place.rows("SELECT id, state = 'ended' FROM sweep ORDER BY id"), [[1, 0], [2, 1]]);
    assert_eq!(place.number("SELECT count(*) FROM trial WHERE sweep = 2 AND state = 'completed'"), 8);
    // The first is still there to be resumed.
    place.run_sweep(&["--slots", "2"]).expect(0);
    assert_eq!(place.rows("SELECT id, state = 'ended' FROM sweep ORDER BY id"), [[1, 1], [2, 1]]);
    assert_balanced(&place);
}

#[test]
fn one_run_at_a_time_has_a_database() {
    let place = Place::new();
    Sweep::default().noting_pids(&place).held(&place, 1).write(&place);
    let first = place.start_sweep(&["--slots", "1"]);
    eventually("a trial has started", DEADLINE, || {
        noted(&place).pop_first().ok_or_else(|| "none".to_owned())
    });
    let second = place.run_sweep(&[]).expect(4);
    assert!(second.stderr.contains("is in use by another gramwise\nhint: "), "{second}");
    assert_eq!(noted(&place).len(), 1, "the second run starts nothing");
    place.write("go", "");
    first.wait().expect(0);
    assert_eq!(place.number("SELECT count(*) FROM attempt"), 3);
}

#[test]
fn what_a_killed_worker_and_a_killed_shim_leave_is_ended_by_the_next_run() {
    let place = Place::new();
    let doctor = place.gramwise(&["doctor", "--no-gpu"]).expect(0);
    if !doctor.stdout.contains("a cgroup each") {
        return; // Nobody may make cgroups here: then only a shim can end a trial.
    }
    Sweep::default().noting_pids(&place).held(&place, 1).write(&place);
    let running = place.start_sweep(&["--slots", "1"]);
    let pids = eventually("a trial has started", DEADLINE, || {
        noted(&place).pop_first().map(|(_, pids)| pids).ok_or_else(|| "none".to_owned())
    });
    let trial = pids.iter().find(|(_, role)| role == "trial").unwrap().0;
    let stat = std::fs::read_to_string(format!("/proc/{trial}/stat")).unwrap();
    let shim: i32 = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(1).unwrap().parse().unwrap();
    let shim = rustix::process::Pid::from_raw(shim).unwrap();
    // Stopped, it cannot see that its worker is gone.
    rustix::process::kill_process(shim, Signal::STOP).unwrap();
    running.signal(Signal::KILL);
    rustix::process::kill_process(shim, Signal::KILL).unwrap();
    running.wait();
    assert!(e2e::is_alive(trial), "nobody was left to end it");
    place.write("go", "");
    place.run_sweep(&["--slots", "1"]).expect(0);
    assert!(!e2e::is_alive(trial));
    assert_balanced(&place);
}
