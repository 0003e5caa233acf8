//! Several hosts, each with a network of its own, and everything that can happen to them in one sweep.

use std::path::Path;
use std::time::Duration;

use e2e::{DEADLINE, Host, Running, built, eventually};
use rustix::process::Signal;

use crate::serve::Site;
use crate::sweeps::{Sweep, all_gone, assert_balanced, count, noted};

/// As the clock of one of them is off, in seconds.
const OFF: &str = "3600";

impl Site {
    /// A worker on another host; `clock` is preloaded where its time is wrong.
    fn worker_there(&self, host: &Host, clock: Option<&Path>) -> Running {
        let address = host.address(self.port());
        let command = self.place.command(&[
            "worker",
            "--quiet",
            "--no-gpu",
            "--slots",
            "2",
            "--grace",
            "1s",
            "--name",
            &host.name,
            "--files",
            &host.name,
            "--token-file",
            "sweeps.trust/worker.token",
            "--coordinator",
            &address,
        ]);
        let mut there = host.on(&command);
        if let Some(library) = clock {
            there.env("LD_PRELOAD", library).env("FAKE_CLOCK_SECONDS", OFF);
        }
        Running::start(&mut there)
    }
}

#[test]
fn three_hosts_finish_every_trial_once_whatever_happens() {
    let site = Site::everywhere();
    let place = &site.place;
    let clock = built("fake-clock", "libfake_clock.so");
    let (hosts, are_namespaces) = Host::several(&["one", "two", "three"], site.port());
    if !are_namespaces {
        eprintln!("no network namespaces here: by relays on loopback");
    }
    let lr = (1..=60).map(|index| f64::from(index) / 125.0).collect();
    Sweep { lr, more: "retry: {max: 3}", ..Sweep::default() }
        .told("--ms 150")
        .noting_pids(place)
        .write(place);
    let coordinator = site.serve();
    let mut workers: Vec<Running> =
        hosts.iter().map(|host| site.worker_there(host, (host.name == "three").then_some(&*clock))).collect();
    place.gramwise(&["submit", "sweep.yaml", "--coordinator", &site.url]).expect(0);
    let done = || count(place, "completed");
    let until = |trials: i64| {
        eventually(&format!("{trials} trials are done"), DEADLINE * 2, || {
            if done() >= trials { Ok(()) } else { Err(done().to_string()) }
        });
    };
    until(6);
    kill(coordinator);
    std::thread::sleep(Duration::from_millis(500));
    let coordinator = site.serve();
    until(12);
    // Shorter than a lease: nothing is lost by it.
    hosts[0].pull(true);
    std::thread::sleep(Duration::from_secs(1));
    hosts[0].pull(false);
    until(20);
    kill(workers.remove(1));
    workers.insert(1, site.worker_there(&hosts[1], None));
    until(28);
    // Longer than a lease: its trials are others' now.
    hosts[2].pull(true);
    let lost = || place.json(&["report"])["attempts"]["lost"].as_i64().unwrap_or(0);
    eventually("the lease of the host that is away has lapsed", DEADLINE, || {
        if lost() >= 1 { Ok(()) } else { Err(done().to_string()) }
    });
    kill(coordinator);
    let coordinator = site.serve();
    until(40);
    hosts[2].pull(false);
    site.ended(1);
    assert_eq!(done(), 60);
    for process in workers {
        process.signal(Signal::TERM);
        process.wait().expect(0);
    }
    coordinator.signal(Signal::TERM);
    coordinator.wait().expect(0);
    all_gone(place).unwrap();
    assert_balanced(place);
    let twice =
        "SELECT count(*) FROM (SELECT trial FROM attempt WHERE json_extract(outcome, '$') = 'finished'
                 GROUP BY trial HAVING count(*) <> 1)";
    assert_eq!(place.number(twice), 0, "each trial finished once");
    assert_eq!(
        place.number(
            "SELECT count(DISTINCT trial) FROM attempt WHERE json_extract(outcome, '$') = 'finished'"
        ),
        60
    );
    for (attempt, processes) in noted(place) {
        let trials = processes.iter().filter(|(_, role)| role == "trial").count();
        assert_eq!(trials, 1, "attempt {attempt:?} began once");
    }
    let by_host = "SELECT count(DISTINCT substr(worker, 1, instr(worker, '-') - 1)) FROM attempt";
    assert_eq!(place.number(by_host), 3, "all had a part in it");
}

fn kill(process: Running) {
    process.signal(Signal::KILL);
    process.wait();
}
