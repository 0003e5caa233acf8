//! What goes wrong on workers: killed at the wrong moment, forgotten, without room, flooded. Nothing is lost, and nothing is blamed on
//! a trial that is not its fault.

use e2e::{DEADLINE, Running, eventually, gramwise, run};
use rustix::process::Signal;

use crate::control::end;
use crate::serve::Site;
use crate::sweeps::{Sweep, all_gone, assert_balanced, count, scripted};
use crate::trust::peak_kib;

fn kill(process: Running) {
    process.signal(Signal::KILL);
    process.wait();
}

#[test]
fn a_worker_that_its_coordinator_does_not_know_ends_its_trials_and_begins_anew() {
    let site = Site::new();
    let place = &site.place;
    Sweep::default().noting_pids(place).held(place, 1).write(place);
    let (coordinator, worker) = (site.serve(), site.worker("one"));
    site.tell(&["submit", "sweep.yaml"]).expect(0);
    site.runs(1);
    kill(coordinator);
    // Somebody moved the database away.
    for name in place.names().iter().filter(|name| name.starts_with("sweeps.db")) {
        std::fs::remove_file(place.path(name)).unwrap();
    }
    let coordinator = site.serve();
    eventually("its trials are ended", DEADLINE, || all_gone(place));
    place.write("go", "");
    site.tell(&["submit", "sweep.yaml"]).expect(0);
    site.ended(1);
    assert_eq!(count(place, "completed"), 3);
    end(vec![worker, coordinator]);
    assert_balanced(place);
}

#[test]
fn a_setup_that_ended_with_its_worker_is_done_again() {
    let site = Site::new();
    let place = &site.place;
    let (begun, let_go) = (place.path("begun").display().to_string(), place.path("go").display().to_string());
    let setup = format!("setup: 'echo x >> {begun}; while ! [ -e {let_go} ]; do sleep 0.05; done'");
    let more: &'static str = setup.leak();
    Sweep { more, ..Sweep::default() }.noting_pids(place).write(place);
    let (coordinator, worker) = (site.serve_patiently(), site.worker("one"));
    site.tell(&["submit", "sweep.yaml"]).expect(0);
    let times = |times: usize| {
        let begun = || std::fs::read_to_string(place.path("begun")).unwrap_or_default().lines().count();
        eventually(&format!("setup has begun {times} times"), DEADLINE, || {
            if begun() == times { Ok(()) } else { Err(begun().to_string()) }
        });
    };
    times(1);
    kill(worker);
    let worker = site.worker("one");
    times(2);
    place.write("go", "");
    site.ended(1);
    assert_eq!(count(place, "completed"), 3);
    end(vec![worker, coordinator]);
    times(2);
    assert_balanced(place);
}

#[test]
fn two_killed_workers_on_one_folder_go_on_each_with_its_own() {
    for seconds_between in [0, 2] {
        killed_together(seconds_between);
    }
}

fn killed_together(together: u64) {
    let site = Site::new();
    let place = &site.place;
    Sweep::default().told("--ms 100").noting_pids(place).held(place, 1).write(place);
    let coordinator = site.serve_patiently();
    site.tell(&["submit", "sweep.yaml"]).expect(0);
    let workers = [site.worker("one"), site.worker("one")];
    site.runs(2);
    workers.into_iter().for_each(kill);
    let first = site.worker("one");
    // It must leave the other's alone; they may also come at once.
    std::thread::sleep(std::time::Duration::from_secs(together));
    let second = site.worker("one");
    place.write("go", "");
    site.ended(1);
    let finished = "SELECT count(*) FROM attempt WHERE json_extract(outcome, '$') = 'finished'";
    assert_eq!((place.number(finished), place.number("SELECT count(*) FROM attempt")), (3, 3));
    end(vec![first, second, coordinator]);
    all_gone(place).unwrap();
    assert_balanced(place);
}

#[test]
fn a_worker_that_goes_on_with_its_first_trial_ends_it_in_good_order() {
    let site = Site::new();
    let place = &site.place;
    Sweep::default().noting_pids(place).held(place, 1).write(place);
    let coordinator = site.serve_patiently();
    site.tell(&["submit", "sweep.yaml"]).expect(0);
    let worker = site.worker("one");
    site.runs(1);
    kill(worker);
    let worker = site.worker("one");
    eventually("it goes on", DEADLINE, || {
        let heard = place.rows("SELECT heard_at_ms - joined_at_ms FROM host");
        if heard.first().is_some_and(|row| row[0] > 1500) { Ok(()) } else { Err(format!("{heard:?}")) }
    });
    end(vec![worker]);
    all_gone(place).unwrap();
    let how = "SELECT count(*) FROM attempt WHERE json_extract(outcome, '$') = 'interrupted'";
    assert_eq!(place.number(how), 1, "that is told, and no lease need lapse");
    end(vec![coordinator]);
    assert_balanced(place);
}

#[test]
fn a_machine_that_waits_for_a_sweep_can_be_taken_out_of_service() {
    let site = Site::new();
    let (coordinator, worker) = (site.serve(), site.worker("one"));
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    eventually("it waits", DEADLINE, || {
        let drained = site.tell(&["drain", &host]);
        if drained.code == Some(0) { Ok(()) } else { Err(drained.to_string()) }
    });
    worker.wait().expect(0);
    end(vec![coordinator]);
}

#[test]
fn a_machine_is_out_of_service_although_its_sweep_was_ending() {
    let site = Site::new();
    let place = &site.place;
    Sweep { lr: vec![0.1], ..Sweep::default() }.noting_pids(place).held(place, 1).write(place);
    let coordinator = site.serve();
    site.tell(&["submit", "sweep.yaml"]).expect(0);
    let arguments = ["worker", "--quiet", "--no-gpu", "--slots", "2", "--coordinator", &site.url];
    let worker = Running::start(
        &mut place.command(&[&arguments[..], &["--token-file", "sweeps.token", "--files", "one"]].concat()),
    );
    site.runs(1);
    site.tell(&["stop", "1"]).expect(0);
    std::thread::sleep(std::time::Duration::from_millis(300)); // It hears that there is no second trial.
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    site.tell(&["drain", &host]).expect(0);
    place.write("go", "");
    worker.wait().expect(0);
    assert_eq!(count(place, "completed"), 1);
    end(vec![coordinator]);
    assert_balanced(place);
}

#[test]
fn a_full_disk_is_no_trials_fault() {
    let site = Site::new();
    let place = &site.place;
    // The second trial fills the disk before it has reported anything.
    let script = "#!/bin/sh\n\
        if [ $GRAMWISE_TRIAL = 2 ] && [ -e small ]; then dd if=/dev/zero of=$GRAMWISE_CHECKPOINT_DIR/x bs=64k || exit 1; fi\n\
        sleep 0.2; echo '{\"step\": 1, \"val_error\": 0.5}' >> $GRAMWISE_REPORT\n";
    scripted(place, script, &[0.1, 0.2, 0.3]);
    std::fs::create_dir(place.path("sweeps.files")).unwrap();
    place.write("small", "");
    let on_a_small_disk = |words: &[&str]| {
        let command = place.command(words);
        let mut inside = place.program("unshare".as_ref());
        inside.args(["--mount", "--map-root-user", "/bin/sh", "-c"]);
        inside.arg("mount -t tmpfs -o size=512k none sweeps.files && exec \"$@\"").arg("sh");
        inside.arg(gramwise()).args(command.get_args());
        inside
    };
    if run(&mut on_a_small_disk(&["--version"])).code != Some(0) {
        eprintln!("skipped: this system lets nobody mount");
        return;
    }
    let words = ["run", "sweep.yaml", "--quiet", "--no-gpu", "--slots", "1"];
    let failed = run(&mut on_a_small_disk(&words)).expect(2);
    assert!(
        failed.stderr.contains("No space left on device") && failed.stderr.contains("hint: "),
        "{failed}"
    );
    std::fs::remove_file(place.path("small")).unwrap();
    place.gramwise(&words).expect(0);
    assert_eq!(count(place, "completed"), 3);
    let how = "SELECT count(*) FROM attempt WHERE json_extract(outcome, '$') = 'interrupted'";
    assert_eq!((place.number(how), place.number("SELECT count(*) FROM attempt")), (1, 4));
    assert_balanced(place);
}

#[test]
fn a_flood_of_output_costs_little_memory_and_no_report() {
    let site = Site::new();
    let place = &site.place;
    let script = "#!/bin/sh\n\
        head -c 200000000 /dev/zero | tr '\\0' 'x' | fold -w 100\n\
        echo; echo 'gramwise: {\"step\": 1, \"val_error\": 0.5}'\n";
    scripted(place, script, &[0.1]);
    let (coordinator, worker) = (site.serve(), site.worker("one"));
    site.tell(&["submit", "sweep.yaml"]).expect(0);
    eventually("the trial is there", DEADLINE, || {
        if place.rows("SELECT number FROM attempt").is_empty() { Err(String::new()) } else { Ok(()) }
    });
    let followed = site.tell(&["logs", "1", "--follow"]).expect(0);
    site.ended(1);
    assert_eq!(count(place, "completed"), 1);
    assert!(followed.stdout.ends_with("\ngramwise: {\"step\": 1, \"val_error\": 0.5}\n"), "the end is there");
    let over = site.tell(&["cancel", "1"]).expect(2);
    assert!(over.stderr.contains("sweep 1 is over"), "{over}");
    assert!(peak_kib(&worker) < 150 << 10, "{} KiB", peak_kib(&worker));
    end(vec![worker, coordinator]);
}
