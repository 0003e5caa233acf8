//! What a team does with a coordinator: hold, stop and share sweeps, try what somebody has in mind, take machines out of service, and
//! start a killed worker again.

use e2e::{DEADLINE, Done, Running, eventually, is_alive};
use rustix::process::Signal;

use crate::serve::Site;
use crate::sweeps::{Sweep, all_gone, assert_balanced, count, noted, scripted};

impl Site {
    /// A command to the coordinator.
    pub(crate) fn tell(&self, words: &[&str]) -> Done {
        self.place.gramwise(&[words, &["--coordinator", &self.url]].concat())
    }

    /// The processes of trials that are there now.
    fn running(&self) -> Vec<(i64, i64)> {
        let lives = |processes: &Vec<(i32, String)>| processes.iter().any(|(pid, _)| is_alive(*pid));
        noted(&self.place).into_iter().filter(|(_, processes)| lives(processes)).map(|(id, _)| id).collect()
    }

    pub(crate) fn runs(&self, trials: usize) {
        eventually(&format!("{trials} trials run"), DEADLINE, || {
            let running = self.running();
            if running.len() == trials { Ok(()) } else { Err(format!("{running:?}")) }
        });
    }
}

pub(crate) fn end(processes: Vec<Running>) {
    for process in processes {
        process.signal(Signal::TERM);
        process.wait().expect(0);
    }
}

#[test]
fn a_sweep_is_held_let_go_and_stopped_and_its_trials_go_on_meanwhile() {
    let site = Site::new();
    let place = &site.place;
    Sweep { lr: vec![0.1, 0.2, 0.3, 0.4], ..Sweep::default() }.noting_pids(place).held(place, 1).write(place);
    let processes = vec![site.serve(), site.worker("one")];
    site.tell(&["submit", "sweep.yaml"]).expect(0);
    site.runs(1);
    site.tell(&["pause", "1"]).expect(0);
    assert_eq!(place.json(&["status"])["state"], "paused");
    place.write("go", "");
    eventually("the running trial has finished", DEADLINE, || match count(place, "completed") {
        1 => Ok(()),
        other => Err(other.to_string()),
    });
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(place.number("SELECT count(*) FROM attempt"), 1, "no other begins");
    std::fs::remove_file(place.path("go")).unwrap();
    site.tell(&["resume", "1"]).expect(0);
    site.runs(1);
    site.tell(&["stop", "1"]).expect(0);
    assert_eq!(site.tell(&["pause", "1"]).expect(2).stderr, "error: sweep 1 is over, or ending\n");
    place.write("go", "");
    site.ended(1);
    assert_eq!((count(place, "completed"), place.number("SELECT count(*) FROM trial")), (2, 2));
    assert!(place.json(&["report"])["ended_because"].as_str().unwrap().starts_with("stopped by "));
    end(processes);
    all_gone(place).unwrap();
    assert_balanced(place);
}

#[test]
fn what_is_enqueued_is_tried_first() {
    let site = Site::new();
    let place = &site.place;
    let coordinator = site.serve();
    Sweep { lr: vec![0.1, 0.2, 0.3, 0.4], ..Sweep::default() }.write(place);
    site.tell(&["submit", "sweep.yaml"]).expect(0);
    assert_eq!(site.tell(&["enqueue", "1", "lr=0.4"]).expect(0).stdout, "1\n");
    for (words, why) in [
        (&["enqueue", "1", "lr=0.4"][..], "trial 1 has this configuration already"),
        (&["enqueue", "1", "lr=0.7"], "`lr` cannot be 0.7: it is one of 0.1, 0.2, 0.3, 0.4"),
        (&["enqueue", "1", "momentum=1"], "the sweep has no hyperparameter `momentum`\nhint: it has lr"),
        (&["enqueue", "1", "lr"], "`lr` is no NAME=VALUE"),
        (&["enqueue", "1", "lr=0.1", "lr=0.2"], "`lr` is given twice"),
        (&["enqueue", "9", "lr=0.4"], "no sweep 9"),
    ] {
        let refused = site.tell(words).expect(2);
        assert!(refused.stderr.contains(why), "{refused}");
    }
    let worker = site.worker("one");
    site.ended(1);
    let first = &place.json(&["trials", "1"])[0];
    assert_eq!((&first["config"]["lr"], &first["state"]), (&0.4.into(), &"completed".into()), "{first:#}");
    assert_eq!(place.number("SELECT count(*) FROM trial WHERE state = 'completed'"), 4, "and no value twice");
    let why = place.gramwise(&["explain", "1"]).expect(0);
    assert!(why.stdout.contains("enqueued by "), "{why}");
    end(vec![worker, coordinator]);
    assert_balanced(place);
}

#[test]
fn a_machine_taken_out_of_service_finishes_what_it_runs() {
    let site = Site::new();
    let place = &site.place;
    Sweep { lr: vec![0.1, 0.2, 0.3], ..Sweep::default() }.noting_pids(place).held(place, 1).write(place);
    let coordinator = site.serve();
    site.tell(&["submit", "sweep.yaml"]).expect(0);
    let worker = site.worker("one");
    site.runs(1);
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let drained = site.tell(&["drain", &host]).expect(0);
    assert!(drained.stdout.starts_with(&host), "{drained}");
    assert_eq!(site.running().len(), 1, "what it runs goes on");
    place.write("go", "");
    worker.wait().expect(0);
    assert_eq!((count(place, "completed"), place.number("SELECT count(*) FROM attempt")), (1, 1));
    // A scheduler's way of saying the same; the machine is back before.
    std::fs::remove_file(place.path("go")).unwrap();
    let worker = site.worker("one");
    site.runs(1);
    worker.signal(Signal::USR1);
    place.write("go", "");
    worker.wait().expect(0);
    let unknown = site.tell(&["drain", "nobody"]).expect(2);
    assert!(unknown.stderr.contains("no worker and no host `nobody` is here"), "{unknown}");
    let worker = site.worker("one");
    site.ended(1);
    end(vec![worker, coordinator]);
    assert_balanced(place);
}

#[test]
fn a_sweep_of_higher_priority_gets_the_workers_without_stopping_a_trial() {
    let site = Site::new();
    let place = &site.place;
    let lr = (1..=20).map(|index| f64::from(index) / 41.0).collect();
    Sweep { lr, ..Sweep::default() }.told("--ms 500").noting_pids(place).write(place);
    let processes = vec![site.serve(), site.worker("one"), site.worker("two")];
    site.tell(&["submit", "sweep.yaml"]).expect(0);
    site.runs(2);
    Sweep { more: "priority: 5", ..Sweep::default() }.noting_pids(place).write(place);
    site.tell(&["submit", "sweep.yaml"]).expect(0);
    eventually("the second sweep is through", DEADLINE * 2, || {
        let ended = place.number("SELECT count(*) FROM sweep WHERE id = 2 AND state = 'ended'");
        let left = place.number("SELECT count(*) FROM trial WHERE sweep = 1 AND state = 'completed'");
        if ended == 1 { Ok(()) } else { Err(format!("of the first {left} trials are through")) }
    });
    assert_eq!(place.number("SELECT count(*) FROM sweep WHERE id = 1 AND state = 'running'"), 1);
    site.ended(2);
    let lost = "SELECT count(*) FROM attempt WHERE json_extract(outcome, '$') <> 'finished'";
    assert_eq!(place.number(lost), 0, "no trial was stopped for it");
    end(processes);
    all_gone(place).unwrap();
    assert_balanced(place);
}

#[test]
fn the_trials_of_a_killed_worker_go_on_with_its_next_life() {
    let site = Site::new();
    let place = &site.place;
    Sweep::default().told("--ms 100").noting_pids(place).held(place, 1).write(place);
    let coordinator = site.serve_patiently();
    site.tell(&["submit", "sweep.yaml"]).expect(0);
    let worker = site.worker("one");
    site.runs(1);
    worker.signal(Signal::KILL);
    worker.wait();
    for _ in 0..2 {
        comes_and_is_killed(&site, process_of_a_trial(&site));
    }
    let worker = site.worker("one");
    site.runs(1);
    place.write("go", "");
    site.ended(1);
    let outcomes = "SELECT count(*) FROM attempt WHERE json_extract(outcome, '$') = 'finished'";
    assert_eq!((place.number(outcomes), place.number("SELECT count(*) FROM attempt")), (3, 3));
    assert_eq!(
        place.number("SELECT count(*) FROM host"),
        1,
        "to the coordinator it is one worker all the time"
    );
    end(vec![worker, coordinator]);
    all_gone(place).unwrap();
    assert_balanced(place);
}

fn process_of_a_trial(site: &Site) -> i32 {
    let processes = noted(&site.place);
    processes.values().flatten().map(|(pid, _)| *pid).next().expect("a trial runs")
}

/// A worker comes, and is killed once it speaks for the trial again; the trial notices nothing.
fn comes_and_is_killed(site: &Site, trial: i32) {
    let heard = || site.place.number("SELECT max(heard_at_ms) FROM host");
    let worker = site.worker("one");
    let before = heard();
    eventually("the coordinator hears of it", DEADLINE, || {
        if heard() > before { Ok(()) } else { Err("no".to_owned()) }
    });
    assert!(is_alive(trial), "{:?} {:?}", noted(&site.place), site.place.json(&["show", "1"]));
    worker.signal(Signal::KILL);
    worker.wait();
    assert!(is_alive(trial), "it outlives its worker");
}

#[test]
fn the_trials_of_a_worker_that_never_comes_back_end_by_themselves() {
    let site = Site::new();
    let place = &site.place;
    Sweep::default().told("--daemon").noting_pids(place).held(place, 1).write(place);
    let coordinator = site.serve();
    site.tell(&["submit", "sweep.yaml"]).expect(0);
    let worker = site.worker_orphaned("one", "1s");
    site.runs(1);
    worker.signal(Signal::KILL);
    worker.wait();
    eventually("nothing of it is left", DEADLINE, || all_gone(place));
    // Another machine does it again.
    place.write("go", "");
    let other = site.worker("two");
    site.ended(1);
    assert_eq!(count(place, "completed"), 3);
    assert_eq!(place.json(&["report"])["attempts"]["lost"], 1);
    end(vec![other, coordinator]);
    assert_balanced(place);
}

#[test]
fn a_host_that_is_to_blame_is_left_alone() {
    let site = Site::new();
    let place = &site.place;
    let bad = place.path("bad").display().to_string();
    // Fails on the one machine only: by what it finds in its files.
    let script = format!(
        "#!/bin/sh\ncase \"$GRAMWISE_REPORT\" in *{bad}*) echo 'CUDA error: uncorrectable ECC error' >&2; exit 9;; esac\n\
         sleep 0.3; echo '{{\"step\": 1, \"val_error\": 0.5}}' >> $GRAMWISE_REPORT\n"
    );
    scripted(place, &script, &[0.1, 0.2, 0.3, 0.4]);
    let coordinator = site.serve();
    let (good, bad) = (site.worker_on("good-host", "good"), site.worker_on("bad-host", "bad"));
    site.tell(&["submit", "sweep.yaml"]).expect(0);
    site.ended(1);
    assert_eq!(count(place, "completed"), 4, "no trial fails for its machine's sake");
    assert_eq!(place.number("SELECT count(*) FROM excluded_host WHERE host = 'bad-host'"), 1);
    let failed = place
        .number("SELECT count(*) FROM attempt WHERE json_extract(outcome, '$.failed.message') IS NOT NULL");
    assert_eq!(failed, 1, "one attempt is enough");
    end(vec![good, bad, coordinator]);
    assert_balanced(place);
}
