//! Data for programs and for people: stable keys, the width of the screen, pipes that close, and names that are not there.

use std::process::Stdio;
use std::sync::OnceLock;

use e2e::{Done, Place, Running, gramwise, run};
use serde_json::Value;

use crate::sweeps::Sweep;

/// The lists and answers that are about one sweep.
const QUESTIONS: [&str; 5] = ["report", "trials", "front", "status", "ls"];

fn swept() -> &'static Place {
    static PLACE: OnceLock<Place> = OnceLock::new();
    PLACE.get_or_init(|| {
        let place = Place::new();
        let more = "constraints: [{name: val_error, max: 100}]\ncarbon: {zone: DE, pue: 1.3}";
        Sweep { name: "a-sweep-with-a-long-name", more, ..Sweep::default() }.told("--ms 30").write(&place);
        place.run_sweep(&["--slots", "1"]).expect(0);
        place
    })
}

/// Checks that an object has keys.
#[track_caller]
fn assert_has(value: &Value, keys: &[&str]) {
    for key in keys {
        // `energy_uj` or, deeper, `accounts.trial.energy_uj`.
        let found = key.split('.').try_fold(value, |value, key| value.get(key));
        assert!(found.is_some(), "no `{key}` in {value:#}");
    }
}

#[test]
fn the_report_has_the_keys_it_promises() {
    let report = swept().json(&["report"]);
    assert_has(
        &report,
        &[
            "schema",
            "sweep",
            "name",
            "state",
            "trials.completed",
            "trials.pruned",
            "trials.paused",
            "trials.failed",
            "trials.running",
            "attempts",
            "steps",
            "energy_j",
            "energy_uj",
            "co2e_g",
            "co2e_low_g",
            "co2e_high_g",
            "embodied_g",
            "quality",
            "accounts.trial.energy_uj",
            "accounts.trial.co2e_g",
            "accounts.lost.energy_uj",
            "accounts.idle.energy_uj",
            "accounts.overhead.energy_uj",
            "objectives",
            "best.trial",
            "best.config.lr",
            "best.metrics.val_error",
            "best.co2e_g",
            "front",
            "ties",
            "pruning.avoided_g",
            "pruning.avoided_low_g",
            "pruning.avoided_high_g",
            "pruning.expected_winners_pruned",
            "pruning.audited",
            "grid",
            "pue",
        ],
    );
    assert!(report["sweep"].is_u64() && report["energy_uj"].is_u64(), "{report:#}");
    assert_eq!(report["pue"], 1.3);
    assert_has(&report["grid"][0], &["zone", "g_per_kwh", "source", "year"]);
    assert_eq!(report["grid"][0]["zone"], "DE");
    assert!(["A", "B", "C", "D"].contains(&report["quality"].as_str().unwrap()), "{report:#}");
    let grams = |key: &str| report[key].as_f64().unwrap();
    assert!(grams("co2e_low_g") <= grams("co2e_g") && grams("co2e_g") <= grams("co2e_high_g"), "{report:#}");
    // Energy x PUE x intensity: the report's own figures must agree with each other.
    let grid = report["grid"][0]["g_per_kwh"].as_f64().unwrap();
    let expected = report["energy_j"].as_f64().unwrap() / 3.6e6 * 1.3 * grid;
    assert!((grams("co2e_g") / expected - 1.0).abs() < 1e-4, "{} g, expected {expected} g", grams("co2e_g"));
}

#[test]
fn lists_have_the_keys_they_promise() {
    let place = swept();
    let trials = place.json(&["trials"]);
    let keys = [
        "trial",
        "state",
        "config",
        "metrics",
        "step",
        "energy_uj",
        "co2e_g",
        "quality",
        "attempts",
        "because",
    ];
    trials.as_array().unwrap().iter().for_each(|trial| assert_has(trial, &keys));
    assert_eq!(trials[0]["metrics"]["val_error"], 0.475);
    assert!(trials[0]["metrics"]["co2e"].is_f64(), "measured, not reported: {trials:#}");
    let history = place.json(&["history"]);
    assert_has(&history, &["total.sweeps", "total.trials", "total.energy_j", "total.co2e_g", "groups"]);
    let status = place.json(&["status"]);
    assert_has(
        &status,
        &["sweep", "name", "state", "trials.completed", "co2e_g", "energy_j", "budget", "best"],
    );
    let sweeps = place.json(&["ls"]);
    let keys =
        ["sweep", "name", "state", "trials.completed", "energy_j", "co2e_g", "quality", "submitted_at_ms"];
    sweeps.as_array().unwrap().iter().for_each(|sweep| assert_has(sweep, &keys));
    assert_has(&place.json(&["best"]), &["trial", "config", "metrics", "co2e_g"]);
    assert_has(&place.json(&["front"])[0], &["trial", "config", "metrics", "co2e_g"]);
    assert_has(
        &place.json(&["show", "1"]),
        &["trial.trial", "trial.config", "attempts", "steps", "decisions"],
    );
    assert_has(&place.json(&["explain", "1"]), &["trial", "state", "because", "decisions"]);
    let findings = place.json(&["doctor", "--no-gpu"]);
    assert_has(&findings[0], &["component", "status", "how", "fix"]);
}

#[test]
fn run_ends_with_the_report_in_the_form_asked_for() {
    let place = Place::new();
    Sweep::default().write(&place);
    let done = place.run_sweep(&["-o", "json"]).expect(0);
    let report: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {done}"));
    assert_eq!(report, place.json(&["report"]));
    assert_eq!(done.stderr, "", "quiet");
}

/// What a person sees in a narrow window.
fn narrow(question: &str) -> Done {
    run(swept().command(&[question]).env("COLUMNS", "60").env("NO_COLOR", "1")).expect(0)
}

#[test]
fn no_line_is_wider_than_the_screen() {
    for question in QUESTIONS {
        let done = narrow(question);
        assert!(done.stdout.lines().count() >= 2, "{done}");
        // All letters that gramwise prints of its own are one column wide.
        for line in done.stdout.lines() {
            assert!(line.chars().count() <= 60, "{}: `{line}`\n{done}", line.chars().count());
        }
    }
}

#[test]
fn nothing_is_coloured_but_a_terminal() {
    for question in QUESTIONS {
        for done in [narrow(question), swept().gramwise(&[question]).expect(0)] {
            assert!(!done.stdout.contains('\u{1b}'), "{done}");
        }
    }
}

#[test]
fn a_pipe_that_closes_is_no_failure() {
    for question in QUESTIONS {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = swept().command(&[question]).stdout(Stdio::from(writer)).stderr(Stdio::piped()).output();
        let output = output.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!((output.status.code(), &*said), (Some(0), ""), "{question}");
    }
}

#[test]
fn a_name_that_is_not_there_gets_a_hint() {
    let place = swept();
    for (arguments, what, hint) in [
        (&["report", "nope"][..], "no sweep `nope`", "`gramwise ls`"),
        (&["trials", "7"], "no sweep `7`", "`gramwise ls`"),
        (&["show", "99"], "no trial 99", "`gramwise trials`"),
        (&["explain", "99"], "no trial 99", "`gramwise trials`"),
        (&["logs", "99"], "no trial 99", "`gramwise trials`"),
        (&["logs", "1", "--attempt", "4"], "no attempt 4", "`gramwise show 1`"),
    ] {
        let done = place.gramwise(arguments).expect(2);
        let (error, rest) = done.stderr.split_once("\nhint: ").unwrap_or_else(|| panic!("no hint: {done}"));
        assert!(error.starts_with("error: ") && error.contains(what), "{done}");
        assert!(rest.contains(hint), "{done}");
        assert_eq!(done.stdout, "");
    }
}

#[test]
fn without_a_database_there_is_a_hint() {
    let place = Place::new();
    for question in ["report", "trials", "front", "best", "status", "ls", "history"] {
        let done = place.gramwise(&[question]).expect(2);
        assert!(done.stderr.starts_with("error: no database at "), "{done}");
        assert!(done.stderr.contains("\nhint: `gramwise run FILE` creates it"), "{done}");
    }
    assert!(place.names().is_empty(), "a question creates nothing");
}

#[test]
fn a_file_that_is_no_database_is_refused_and_kept() {
    let place = Place::new();
    Sweep::default().write(&place);
    place.write("sweeps.db", "dear diary, ");
    for done in [place.gramwise(&["ls"]), place.run_sweep(&[])] {
        let done = done.expect(4);
        assert!(done.stderr.contains("is not a gramwise database\nhint: "), "{done}");
    }
    assert_eq!(place.text("sweeps.db"), "dear diary, ");
}

#[test]
fn the_database_is_in_the_user_s_data_folder_by_default() {
    let place = Place::new();
    Sweep::default().write(&place);
    let mut command = place.program(gramwise());
    command.args(["run", "sweep.yaml", "--quiet", "--no-gpu"]).env("XDG_DATA_HOME", place.path("data"));
    Running::start(&mut command).wait().expect(0);
    assert!(place.path("data/gramwise/gramwise.db").exists());
    let mut command = place.program(gramwise());
    let listed =
        run(command.args(["ls", "-o", "value"]).env("GRAMWISE_DB", place.path("data/gramwise/gramwise.db")));
    assert_eq!(listed.expect(0).stdout, "1\n");
}
