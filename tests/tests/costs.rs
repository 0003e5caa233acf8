//! What searches cost together, and whether they were worth it: replicates, history, import, leaderboard, and the report's forms.

use e2e::{DEADLINE, Place, Running, eventually, run};
use serde_json::json;

use crate::serve::Site;
use crate::sweeps::{assert_balanced, scripted};

/// The error is the learning rate, and a little that is the seed's.
const SCRIPT: &str = "error=$(awk \"BEGIN { print $GRAMWISE_PARAM_LR + ($GRAMWISE_SEED % 7) / 1000 }\")\n\
                      echo \"{\\\"step\\\": 1, \\\"val_error\\\": $error}\" >> \"$GRAMWISE_REPORT\"\n";

/// A place in which a sweep of three learning rates was run.
fn searched() -> Place {
    let place = Place::new();
    scripted(&place, SCRIPT, &[0.3, 0.1, 0.2]);
    place.run_sweep(&[]).expect(0);
    place
}

#[test]
fn replicates_tell_the_best_from_the_others_and_are_counted_by_themselves() {
    let place = searched();
    let before = place.json(&["report", "1"]);
    assert_eq!(before["ties"]["by"], "nothing");
    let words = ["replicate", "1", "--top", "2", "--seeds", "3", "--quiet", "--no-gpu"];
    let dry = place.gramwise(&[&words[..], &["--dry-run"]].concat()).expect(0);
    assert!(dry.stdout.contains("trials 2, 3 of sweep 1, 3 seeds each"), "{dry}");
    place.gramwise(&words).expect(0);
    let again = place.json(&["report", "2"]);
    assert_eq!(again["trials"]["completed"], 6);
    // The n-th runs of both have one seed, and it is not the first search's.
    let seeds = place.rows(
        "SELECT body ->> '$.trial_proposed.seed' FROM journal WHERE kind = 'trial_proposed' ORDER BY seq",
    );
    let seeds: Vec<i64> = seeds.into_iter().map(|row| row[0]).collect();
    let (first, second) = seeds.split_at(3);
    assert!(second.chunks(2).all(|pair| pair[0] == pair[1]), "{second:?}");
    assert!(second.iter().all(|seed| !first.contains(seed)), "{seeds:?}");
    let report = place.json(&["report", "1"]);
    assert_eq!((&report["ties"]["by"], &report["ties"]["trials"]), (&json!("paired_t"), &json!([2])));
    assert_eq!(report["ties"]["replicated_by"][0]["energy_uj"], again["energy_uj"]);
    assert_eq!(report["energy_uj"], before["energy_uj"], "the first search cost what it cost");
    let why = place.gramwise(&["explain", "1", "--sweep", "2"]).expect(0);
    assert!(why.stdout.contains("trial 2 of the other sweep again, with seed 1"), "{why}");
    assert_balanced(&place);
    // What cannot be run again is named.
    let twice = place.gramwise(&["replicate", "2"]).expect(2);
    assert!(twice.stderr.contains("hint: `gramwise replicate 1`"), "{twice}");
    place.gramwise(&["replicate", "1", "--co2e", "20"]).expect(2);
    place.gramwise(&["replicate", "nothing"]).expect(2);
}

#[test]
fn a_coordinator_runs_replicates_too() {
    let site = Site::new();
    let _coordinator = site.serve();
    scripted(&site.place, SCRIPT, &[0.3, 0.1, 0.2]);
    let afar = |words: &[&str]| {
        let address = site.url.trim_start_matches("http://");
        run(&mut site.place.command(&[words, &["--coordinator", address]].concat()))
    };
    afar(&["submit", "sweep.yaml"]).expect(0);
    let _worker = site.worker("a");
    let ended = |sweep: &str| {
        eventually("the sweep ends", DEADLINE, || {
            let state = afar(&["status", sweep, "-o", "json"]).stdout;
            if state.contains("\"ended\"") { Ok(()) } else { Err(state) }
        });
    };
    ended("1");
    let begun = afar(&["replicate", "1", "--top", "2", "--seeds", "2"]).expect(0);
    assert_eq!(begun.stdout, "2\n");
    ended("2");
    let report = afar(&["report", "1", "-o", "json"]).expect(0).stdout;
    assert!(report.contains("\"paired_t\""), "{report}");
    let refused = afar(&["replicate", "7"]).expect(2);
    assert!(refused.stderr.contains("no sweep `7`"), "{refused}");
}

#[test]
fn databases_put_together_cost_what_they_cost_apart() {
    let (one, other, both) = (searched(), searched(), Place::new());
    let energy = |place: &Place| place.json(&["history"])["total"]["energy_uj"].as_u64().unwrap();
    let databases = [one.database().display().to_string(), other.database().display().to_string()];
    let [a, b] = [databases[0].as_str(), databases[1].as_str()];
    let told = both.gramwise(&["import", a, b]).expect(0);
    assert!(told.stderr.contains("new 1, went on since 0"), "{told}");
    let sum = energy(&one) + energy(&other);
    assert_eq!(energy(&both), sum);
    both.gramwise(&["import", b, a, b]).expect(0);
    assert_eq!(energy(&both), sum);
    assert_eq!(both.json(&["history"])["total"]["trials"], 6);
    // Questions go on as if it had been run here, and running the file again begins another sweep.
    assert_eq!(both.json(&["report", "1"])["energy_uj"], one.json(&["report"])["energy_uj"]);
    assert_balanced(&both);
    let by_host = both.json(&["history", "--group-by", "host,month"]);
    assert_eq!(by_host["groups"].as_array().unwrap().len(), 1, "{by_host}");
    let wrong =
        both.gramwise(&["import", &both.write("notes.db", "no database").display().to_string()]).expect(2);
    assert!(wrong.stderr.contains("is not a gramwise database"), "{wrong}");
}

#[test]
fn what_runs_is_not_imported_from_under_its_coordinator_and_is_brought_up_to_date_later() {
    let (here, away) = (Place::new(), Place::new());
    let script = format!("{SCRIPT}while [ ! -e {} ]; do sleep 0.05; done\n", away.path("go").display());
    scripted(&away, &script, &[0.1, 0.2]);
    let running: Running = away.start_sweep(&["--slots", "1"]);
    eventually("a trial runs", DEADLINE, || {
        let trials = away.rows("SELECT count(*) FROM step");
        if trials.first().is_some_and(|row| row[0] > 0) { Ok(()) } else { Err(format!("{trials:?}")) }
    });
    let database = away.database().display().to_string();
    here.gramwise(&["import", &database]).expect(0);
    assert_eq!(here.json(&["report", "1"])["state"], "running");
    // It is not this database's to run.
    assert!(here.gramwise(&["ls"]).expect(0).stdout.contains("running elsewhere"));
    assert!(here.gramwise(&["status", "1"]).expect(0).stdout.contains("as it was when it was imported"));
    std::fs::copy(away.path("sweep.yaml"), here.path("sweep.yaml")).unwrap();
    away.write("go", "");
    running.wait().expect(0);
    let told = here.gramwise(&["import", &database]).expect(0);
    assert!(told.stdout.contains("went on since"), "{told}");
    let same = |place: &Place| place.json(&["report", "1"])["energy_uj"].clone();
    assert_eq!(same(&here), same(&away));
    here.run_sweep(&[]).expect(0);
    assert_eq!(here.json(&["ls"]).as_array().unwrap().len(), 2, "it begins one of its own");
}

#[test]
fn every_form_of_a_report_and_of_a_list_is_written() {
    let place = searched();
    let page = place.gramwise(&["report", "-o", "html"]).expect(0).stdout;
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n") && !page.contains("<script"));
    assert!(place.gramwise(&["report", "-o", "markdown"]).expect(0).stdout.contains("| account | energy |"));
    assert!(place.gramwise(&["report", "-o", "latex"]).expect(0).stdout.contains("\\begin{tabular}"));
    for list in ["trials", "front", "ls", "history"] {
        let mut command = place.command(&[list, "-o", "parquet"]);
        let bytes = command.output().unwrap().stdout;
        assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"), "{list}");
        assert!(place.gramwise(&[list, "-o", "markdown"]).expect(0).stdout.contains("| ---"), "{list}");
    }
}

#[test]
fn a_leaderboard_of_files_and_sweeps() {
    let place = searched();
    place.write(
        "entries.csv",
        "entry,score,seed,co2e_g\nours,0.10,1,5\nours,0.11,2,5\nours,0.10,3,5\ntheirs,0.4,1,1\ntheirs,0.41,2,1\ntheirs,0.4,3,1\n",
    );
    let answer = place.json(&["leaderboard", "entries.csv", "--sweep", "1"]);
    let entry = |at: usize| answer["entries"][at]["entry"].as_str().unwrap().to_owned();
    assert_eq!((entry(2), &answer["entries"][2]["group"]), ("theirs".to_owned(), &json!(2)), "{answer}");
    assert!(entry(0).starts_with("scripted"), "of the ties, the one that emitted least: {answer}");
    for (text, says) in [
        ("entry,points\na,1\n", "no column `score`"),
        ("entry,score\na,good\n", "`score` is a number, found `good`"),
        ("entry,score,seed\na,1,1\na,2,1\n", "has seed 1 twice"),
        ("entry,score,co2e_g\na,1,-3\n", "`co2e_g` is 0 or more"),
        ("entry,score\na\n", "found record with 1 fields"),
    ] {
        place.write("wrong.csv", text);
        let refused = place.gramwise(&["leaderboard", "wrong.csv"]).expect(2);
        assert!(refused.stderr.contains(says), "{says}: {refused}");
    }
}
