//! A trial is a tree of processes: how it is told what to do, how it tells what it did, and how all of it ends.

use std::collections::BTreeMap;
use std::time::Duration;

use e2e::{DEADLINE, Place, Running, eventually};
use rustix::process::Signal;
use serde_json::Value;

use crate::sweeps::{Sweep, all_gone, assert_balanced, count, noted};

/// Starts a sweep whose last trial begins its first step only when no other runs, so that what it is compared with is certain,
/// and then never ends by itself.
fn started(place: &Place, sweep: Sweep, grace: &str) -> Running {
    let last = u32::try_from(sweep.lr.len()).unwrap();
    let file = place.path("begin").display().to_string();
    let sweep = sweep.told(&format!("--daemon --ms 20 --wait {file}")).noting_pids(place).held(place, last);
    sweep.write(place);
    let running = place.start_sweep(&["--slots", "1", "--grace", grace]);
    eventually("all others are done with, the last has started, each with a daemon", DEADLINE, || {
        let (over, noted) = (count(place, "completed") + count(place, "paused"), noted(place));
        let processes: usize = noted.values().map(Vec::len).sum();
        let all = over == i64::from(last) - 1 && processes == 2 * last as usize;
        if all { Ok(()) } else { Err(format!("{over} done with, processes {noted:?}")) }
    });
    place.write("begin", "");
    running
}

/// Runs such a sweep whose trials do not hear SIGTERM, with a second of grace, and answers its last trial. Of all trials,
/// those too that ended by themselves, nothing is left when the run is over.
fn stopped(place: &Place, sweep: Sweep, exit: i32) -> Value {
    started(place, sweep.told("--deaf"), "1s").wait().expect(exit);
    all_gone(place).unwrap();
    let trials = place.json(&["trials"]);
    trials.as_array().and_then(|trials| trials.last()).expect("there are trials").clone()
}

/// The milliseconds from the decision to stop a trial to the end of its attempt.
fn ms_to_stop(place: &Place, trial: i64) -> i64 {
    place.number(&format!(
        "SELECT a.ended_at_ms - d.at_ms FROM attempt a JOIN decision d ON d.trial = a.trial
         WHERE a.trial = {trial} AND d.verdict IN ('prune', 'pause')"
    ))
}

/// Two trials that are compared at their second epoch of six: the second is worse, and nothing is worth its carbon.
fn compared() -> Sweep {
    let more = "prune: {gain_per_kg: 1e15}";
    Sweep { lr: vec![0.1, 0.45], steps: 6, judged_from: 2, more, ..Sweep::default() }.told("--hold-after 2")
}

#[test]
fn a_pruned_trial_is_gone_after_its_grace_with_all_its_processes() {
    let place = Place::new();
    let trial = stopped(&place, compared(), 0);
    assert_eq!(trial["state"], "pruned", "{trial:#}");
    let took = ms_to_stop(&place, 2);
    assert!((1000..=3000).contains(&took), "{took} ms for a grace of 1 s");
}

#[test]
fn a_paused_trial_is_gone_after_its_grace_with_all_its_processes() {
    let place = Place::new();
    let trial = stopped(&place, Sweep { checkpoint: true, ..compared() }, 0);
    assert_eq!(trial["state"], "paused", "{trial:#}");
    let took = ms_to_stop(&place, 2);
    assert!((1000..=3000).contains(&took), "{took} ms for a grace of 1 s");
}

#[test]
fn a_trial_whose_time_is_up_is_gone_after_its_grace_with_all_its_processes() {
    let place = Place::new();
    let sweep = Sweep { lr: vec![0.1], more: "resources: {timeout: 1s}", ..Sweep::default() };
    let trial = stopped(&place, sweep, 1);
    assert_eq!(trial["state"], "failed", "{trial:#}");
    assert_eq!(trial["message"], "ran longer than its timeout of 1 s");
    let took = place.number("SELECT ended_at_ms - leased_at_ms FROM attempt");
    assert!((2000..=4000).contains(&took), "{took} ms for 1 s and a grace of 1 s");
}

#[test]
fn a_trial_that_ends_when_told_needs_no_grace() {
    let place = Place::new();
    started(&place, compared(), "30s").wait().expect(0);
    all_gone(&place).unwrap();
    let took = ms_to_stop(&place, 2);
    assert!(took < 2000, "{took} ms");
}

#[test]
fn a_failed_trial_is_quoted() {
    let place = Place::new();
    let sweep =
        Sweep { lr: vec![0.1], ..Sweep::default() }.told("--ms 30 --fail 3 2 --say CUDA_error:_out_of_luck");
    sweep.write(&place);
    place.run_sweep(&[]).expect(1);
    let trials = place.json(&["trials"]);
    assert_eq!(trials[0]["state"], "failed");
    assert_eq!(trials[0]["message"], "exit code 3\nCUDA_error:_out_of_luck");
    assert_eq!(trials[0]["step"], 1, "what it reported before is kept");
    let shown = place.gramwise(&["show", "1"]).expect(0).stdout;
    assert!(shown.contains("CUDA_error:_out_of_luck"), "{shown}");
    assert!(place.gramwise(&["logs", "1", "--stderr"]).expect(0).stdout.contains("out_of_luck"));
    // It counts as a trial, and what it burnt as a trial's: nothing is run again.
    assert_eq!(trials[0]["lost_energy_uj"], 0);
    assert_balanced(&place);
}

#[test]
fn a_trial_that_cannot_be_started_says_why() {
    let place = Place::new();
    let text = "name: none\ncommand: [./no-such-program, \"${args}\"]\nparameters: {lr: {values: [0.1]}}\n\
                method: grid\nobjectives: [{name: loss, goal: minimize}]\nbudget: {trials: 5}\n";
    place.write("sweep.yaml", text);
    place.run_sweep(&[]).expect(1);
    let message = place.json(&["trials"])[0]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("cannot start `./no-such-program`: No such file or directory"), "{message}");
}

#[test]
fn a_trial_that_does_not_report_its_objective_is_told_its_name() {
    let place = Place::new();
    // The first report is the first chance to notice: the trial does not have to come to its end.
    let sweep = Sweep { lr: vec![0.1], ..Sweep::default() }.told("--off-topic").held(&place, 1);
    sweep.write(&place);
    place.run_sweep(&[]).expect(1);
    let trial = place.json(&["trials"])[0].clone();
    assert_eq!(trial["state"], "failed", "{trial:#}");
    let message = trial["message"].as_str().unwrap();
    let expected = "the trial did not report its objective `val_error`; it reported: accuracy\nhint: ";
    assert!(message.starts_with(expected), "{message}");
    assert!(!message.contains("  "), "no stray blanks: {message}");
}

#[test]
fn a_retried_trial_has_its_first_grams_lost() {
    let place = Place::new();
    let sweep = Sweep { lr: vec![0.1], more: "retry: {max: 1}", ..Sweep::default() };
    sweep.told("--ms 40 --fail 3 2 --fail-attempts 1").write(&place);
    place.run_sweep(&[]).expect(0);
    let trial = place.json(&["trials"])[0].clone();
    assert_eq!((&trial["state"], &trial["attempts"]), (&"completed".into(), &2.into()), "{trial:#}");
    assert!(trial["lost_energy_uj"].as_u64() > Some(0), "{trial:#}");
    assert!(trial["energy_uj"].as_u64() > Some(0), "{trial:#}");
    let by_attempt = place.rows(
        "SELECT attempt, account = 'lost', sum(measured_uj + modelled_uj + estimated_uj) AS uj FROM ledger_entry
         WHERE trial = 1 GROUP BY 1, 2 HAVING uj <> 0 ORDER BY 1",
    );
    let accounts: Vec<[i64; 2]> = by_attempt.iter().map(|row| [row[0], row[1]]).collect();
    assert_eq!(accounts, [[1, 1], [2, 0]], "attempt 1 is lost, attempt 2 is the trial's");
    assert_balanced(&place);

    // One more failure than retries ends it.
    let place = Place::new();
    let sweep = Sweep { lr: vec![0.1], more: "retry: {max: 1}", ..Sweep::default() };
    sweep.told("--fail 3 1").write(&place);
    place.run_sweep(&[]).expect(1);
    let trial = place.json(&["trials"])[0].clone();
    assert_eq!((&trial["state"], &trial["attempts"]), (&"failed".into(), &2.into()), "{trial:#}");
}

#[test]
fn a_trial_goes_on_from_its_checkpoint() {
    let place = Place::new();
    let sweep = Sweep { lr: vec![0.1], steps: 4, judged_from: 4, checkpoint: true, ..Sweep::default() };
    let sweep = Sweep { more: "retry: {max: 1}", ..sweep };
    sweep.told("--checkpoint --fail 3 3 --fail-attempts 1").write(&place);
    place.run_sweep(&[]).expect(0);
    let steps = place.rows("SELECT attempt, step FROM step ORDER BY attempt, step");
    assert_eq!(steps, [[1, 1], [1, 2], [2, 3], [2, 4]], "attempt 2 begins where attempt 1 was");
}

#[test]
fn checkpoints_of_no_more_use_are_discarded_where_that_is_asked_for() {
    for (keep, left) in [("all", &["trial-1", "trial-2", "trial-3"][..]), ("best", &["trial-1"])] {
        let place = Place::new();
        Sweep { checkpoint: true, ..Sweep::default() }.told("--checkpoint").write(&place);
        let yaml =
            place.text("sweep.yaml").replace("checkpoint: true", &format!("checkpoint: true, keep: {keep}"));
        place.write("sweep.yaml", &yaml);
        place.run_sweep(&["--slots", "1"]).expect(0);
        let has =
            |trial: &&str| place.path(&format!("sweeps.files/sweep-1/{trial}/checkpoint/step")).exists();
        let found: Vec<&str> = ["trial-1", "trial-2", "trial-3"].into_iter().filter(has).collect();
        assert_eq!(found, left, "{keep}");
    }
}

#[test]
fn a_checkpoint_of_a_database_that_is_gone_is_not_gone_on_from() {
    let place = Place::new();
    let folder = place.database().with_extension("files").join("sweep-1/trial-1/checkpoint");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("step"), "3").unwrap();
    let sweep = Sweep { lr: vec![0.1], steps: 4, judged_from: 4, checkpoint: true, ..Sweep::default() };
    sweep.told("--checkpoint").write(&place);
    place.run_sweep(&[]).expect(0);
    assert_eq!(place.number("SELECT count(*) FROM step"), 4, "all steps of its own");
}

#[test]
fn the_file_and_stdout_report_the_same() {
    let reported = |flags: &str| {
        let place = Place::new();
        Sweep { lr: vec![0.1, 0.3], steps: 4, judged_from: 4, ..Sweep::default() }.told(flags).write(&place);
        place.run_sweep(&[]).expect(0);
        let trials = place.json(&["trials"]).as_array().unwrap().iter().map(what_it_did).collect::<Vec<_>>();
        (trials, place.number("SELECT count(*) FROM step"))
    };
    let by_file = reported("");
    assert_eq!((by_file.0.len(), by_file.1), (2, 8));
    assert_eq!(by_file.0[0]["step"], 4);
    assert_eq!(by_file, reported("--stdout"));
}

/// What a trial did, without what it burnt, and without decisions: steps that are told together are judged together.
fn what_it_did(trial: &Value) -> Value {
    let mut trial = trial.clone();
    trial["metrics"]["co2e"] = Value::Null;
    for key in ["energy_uj", "energy_j", "energy_by_component", "co2e_g", "quality", "verdict", "because"] {
        trial[key] = Value::Null;
    }
    trial
}

#[test]
fn a_trial_finds_what_it_needs_in_its_environment() {
    let place = Place::new();
    let file = place.path("environment").display().to_string();
    let sweep = Sweep { lr: vec![0.1, 0.3], ..Sweep::default() };
    sweep.told("--checkpoint").told(&format!("--environment {file}")).write(&place);
    place.run_sweep(&["--slots", "1"]).expect(0);
    let environment = |name: &str| -> BTreeMap<String, String> {
        let text = place.text(name);
        let pairs = text.lines().filter_map(|line| line.split_once('='));
        pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    };
    let (first, second) = (environment("environment-1-1"), environment("environment-2-1"));
    assert_eq!(first["GRAMWISE_TRIAL"], "1");
    assert_eq!(first["GRAMWISE_ATTEMPT"], "1");
    assert_eq!(first["GRAMWISE_STEPS"], "2");
    assert_eq!(first["GRAMWISE_PARAM_LR"], "0.1");
    assert_eq!(
        serde_json::from_str::<Value>(&first["GRAMWISE_PARAMS"]).unwrap(),
        serde_json::json!({"lr": 0.1})
    );
    assert_eq!(second["GRAMWISE_TRIAL"], "2");
    assert_eq!(second["GRAMWISE_PARAM_LR"], "0.3");
    let seed =
        |found: &BTreeMap<String, String>| found["GRAMWISE_SEED"].parse::<u64>().expect("a whole number");
    assert_ne!(seed(&first), seed(&second), "each trial has its own seed");
    assert_ne!(first["GRAMWISE_CHECKPOINT_DIR"], second["GRAMWISE_CHECKPOINT_DIR"]);
    assert_eq!(std::fs::read_to_string(format!("{}/step", first["GRAMWISE_CHECKPOINT_DIR"])).unwrap(), "2");
    assert!(std::fs::read_to_string(&first["GRAMWISE_REPORT"]).unwrap().contains("val_error"));
    assert_eq!(first["CUDA_VISIBLE_DEVICES"], "", "a trial that leased no GPU finds none");
}

#[test]
fn a_failing_setup_ends_the_run() {
    let place = Place::new();
    let more = "setup: echo no compiler here >&2; exit 7";
    Sweep { more, ..Sweep::default() }.noting_pids(&place).write(&place);
    let done = place.run_sweep(&[]).expect(1);
    let expected = "error: `setup: echo no compiler here >&2; exit 7` failed (exit code 7):";
    let (error, hint) = done.stderr.split_once("\nhint: ").unwrap_or_else(|| panic!("no hint: {done}"));
    assert!(error.starts_with(expected) && error.ends_with("no compiler here"), "{done}");
    assert!(hint.contains("the same command resumes"), "{done}");
    assert!(noted(&place).is_empty(), "no trial is started");
    assert_balanced_or_empty(&place);
}

/// Nothing has been booked to trials where none has run, but what there is must sum.
fn assert_balanced_or_empty(place: &Place) {
    let report = place.json(&["report"]);
    let metered: u64 =
        report["hosts"].as_array().unwrap().iter().map(|host| host["energy_uj"].as_u64().unwrap()).sum();
    assert_eq!(
        report["energy_uj"].as_u64().unwrap() + report["other_tenants"]["energy_uj"].as_u64().unwrap(),
        metered
    );
    assert_eq!(report["accounts"]["trial"]["energy_uj"], 0);
}

#[test]
fn setup_runs_once_and_is_overhead() {
    let place = Place::new();
    let more = "setup: i=0; while [ $i -lt 200000 ]; do i=$((i + 1)); done; echo done >> setup.log";
    Sweep { more, ..Sweep::default() }.write(&place);
    place.run_sweep(&["--slots", "2"]).expect(0);
    assert_eq!(place.text("setup.log"), "done\n");
    let report = place.json(&["report"]);
    assert!(report["accounts"]["overhead"]["energy_uj"].as_u64() > Some(0), "{report:#}");
}

#[test]
fn ctrl_c_again_ends_the_run_before_the_grace_is_over() {
    let place = Place::new();
    Sweep::default().told("--deaf").noting_pids(&place).held(&place, 1).write(&place);
    let mut running = place.start_sweep(&["--slots", "1", "--grace", "5s"]);
    eventually("a trial has started", DEADLINE, || {
        noted(&place).pop_first().ok_or_else(|| "none".to_owned())
    });
    // Signals of a kind that come together count as one, so it is asked until it hears.
    eventually("the run ends", Duration::from_secs(4), || {
        if running.is_over() {
            return Ok(());
        }
        running.signal(Signal::INT);
        Err("it runs".to_owned())
    });
    running.wait().expect(130);
    eventually("the trial ends all the same", DEADLINE, || all_gone(&place));
}
