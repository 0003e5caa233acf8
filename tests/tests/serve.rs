//! Coordinator and workers as processes of their own: what is killed, stopped or away costs time, and nothing else.

use std::net::TcpListener;
use std::time::Duration;

use e2e::{DEADLINE, Place, Running, eventually};
use rustix::process::Signal;

use crate::sweeps::{Sweep, all_gone, assert_balanced, count, noted};

/// A coordinator that can be killed and comes back at the same address.
pub(crate) struct Site {
    pub(crate) place: Place,
    pub(crate) url: String,
    listen: String,
}

impl Site {
    pub(crate) fn new() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self { place: Place::new(), url: format!("http://{free}"), listen: free.to_string() }
    }

    /// One that other hosts can reach.
    pub(crate) fn everywhere() -> Self {
        let site = Self::new();
        site.place.gramwise(&["serve", "--init", "--quiet"]).expect(0);
        let listen = format!("0.0.0.0:{}", site.port());
        Self { listen, ..site }
    }

    pub(crate) fn port(&self) -> u16 {
        self.listen
            .rsplit(':')
            .next()
            .and_then(|port| port.parse().ok())
            .expect("an address ends with a port")
    }

    pub(crate) fn serve(&self) -> Running {
        self.serve_with(&["--quiet", "--lease", "3s"])
    }

    /// ... that gives its workers time.
    pub(crate) fn serve_patiently(&self) -> Running {
        self.serve_with(&["--quiet"])
    }

    /// ... with what it has to say.
    pub(crate) fn serve_saying(&self) -> Running {
        self.serve_with(&["--lease", "3s"])
    }

    fn serve_with(&self, more: &[&str]) -> Running {
        let words = [&["serve", "--listen", &self.listen], more].concat();
        let running = Running::start(&mut self.place.command(&words));
        eventually("the coordinator listens", DEADLINE, || {
            std::net::TcpStream::connect(&self.listen).map(drop).map_err(|error| error.to_string())
        });
        running
    }

    pub(crate) fn worker(&self, files: &str) -> Running {
        self.worker_with(files, "sweeps.token")
    }

    /// One whose trials go on so long without it.
    pub(crate) fn worker_orphaned(&self, files: &str, orphaned: &str) -> Running {
        self.start_worker(files, &["--token-file", "sweeps.token", "--orphaned", orphaned])
    }

    /// One on a machine of its own.
    pub(crate) fn worker_on(&self, name: &str, files: &str) -> Running {
        self.start_worker(files, &["--token-file", "sweeps.token", "--name", name])
    }

    /// One that shows a token.
    pub(crate) fn worker_with(&self, files: &str, token: &str) -> Running {
        self.start_worker(files, &["--token-file", token])
    }

    fn start_worker(&self, files: &str, more: &[&str]) -> Running {
        let arguments = [
            "worker",
            "--quiet",
            "--no-gpu",
            "--slots",
            "1",
            "--grace",
            "1s",
            "--coordinator",
            &self.url,
            "--files",
            files,
        ];
        Running::start(&mut self.place.command(&[&arguments, more].concat()))
    }

    /// Waits until so many sweeps have ended.
    pub(crate) fn ended(&self, sweeps: i64) {
        eventually(&format!("{sweeps} sweeps have ended"), DEADLINE * 2, || {
            let ended = self.place.number("SELECT count(*) FROM sweep WHERE state = 'ended'");
            if ended >= sweeps { Ok(()) } else { Err(format!("{ended}, {} trials done", self.done())) }
        });
    }

    fn done(&self) -> i64 {
        ["completed", "pruned", "paused"].iter().map(|state| count(&self.place, state)).sum()
    }

    fn until(&self, done: i64) {
        eventually(&format!("{done} trials are done"), DEADLINE * 2, || {
            let now = self.done();
            if now >= done { Ok(()) } else { Err(now.to_string()) }
        });
    }
}

#[test]
fn a_sweep_survives_its_coordinator_its_workers_and_a_long_silence() {
    let site = Site::new();
    let place = &site.place;
    let lr = (1..=14).map(|index| f64::from(index) / 20.0).collect();
    let more = "retry: {max: 3}";
    Sweep { lr, more, ..Sweep::default() }.told("--ms 150").noting_pids(place).write(place);
    let coordinator = site.serve();
    let (first, second) = (site.worker("one"), site.worker("two"));
    assert_eq!(place.gramwise(&["submit", "sweep.yaml", "--coordinator", &site.url]).expect(0).stdout, "1\n");

    site.until(2);
    coordinator.signal(Signal::KILL);
    coordinator.wait();
    std::thread::sleep(Duration::from_millis(600)); // Trials end meanwhile, and nobody can be told.
    let coordinator = site.serve();
    site.until(5);
    let attempts = |how: &str| place.json(&["report"])["attempts"][how].as_i64().unwrap();
    assert_eq!((attempts("lost"), attempts("interrupted")), (0, 0), "its workers went on without it");

    first.signal(Signal::KILL);
    first.wait();
    let first = site.worker("one");
    site.until(7);
    coordinator.signal(Signal::KILL);
    coordinator.wait();
    let coordinator = site.serve();

    // Silent for longer than its lease: its trial is another's now, and what it did meanwhile is still paid for.
    second.signal(Signal::STOP);
    eventually("the silent worker's trial is lost", DEADLINE, || {
        let lost = attempts("lost") + attempts("interrupted");
        if lost >= 2 || site.done() == 14 { Ok(()) } else { Err(lost.to_string()) }
    });
    second.signal(Signal::CONT);
    site.ended(1);
    assert_eq!(site.done(), 14);
    for worker in [first, second] {
        worker.signal(Signal::TERM);
        worker.wait().expect(0);
    }
    coordinator.signal(Signal::TERM);
    coordinator.wait().expect(0);
    all_gone(place).unwrap();
    assert_balanced(place);
    let finished = "SELECT count(*) FROM (SELECT trial FROM attempt WHERE json_extract(outcome, '$') IN ('finished', 'stopped')
                    GROUP BY trial HAVING count(*) > 1)";
    assert_eq!(place.number(finished), 0, "no trial ended well twice");
    for (attempt, processes) in noted(place) {
        let trials = processes.iter().filter(|(_, role)| role == "trial").count();
        assert_eq!(trials, 1, "attempt {attempt:?} began once");
    }
}

#[test]
fn sweeps_share_the_workers_and_one_can_be_cancelled() {
    let site = Site::new();
    let place = &site.place;
    let coordinator = site.serve();
    let nobody = place.gramwise(&["submit", "sweep.yaml", "--coordinator", "http://127.0.0.1:9"]).expect(2);
    assert!(nobody.stderr.contains("cannot read sweep.yaml"), "{nobody}");
    Sweep::default().noting_pids(place).held(place, 1).write(place);
    let nobody = place.gramwise(&["submit", "sweep.yaml", "--coordinator", "http://127.0.0.1:9"]).expect(3);
    assert!(
        nobody.stderr.contains("no coordinator answers at 127.0.0.1:9")
            && nobody.stderr.contains("hint: `gramwise serve` starts one"),
        "{nobody}"
    );
    for _ in 0..2 {
        place.gramwise(&["submit", "sweep.yaml", "--coordinator", &site.url]).expect(0);
    }
    let (first, second) = (site.worker("one"), site.worker("two"));
    eventually("each sweep has a worker and a trial", DEADLINE, || {
        let rows = place.rows("SELECT sweep, count(*) FROM attempt GROUP BY sweep ORDER BY sweep");
        if rows == [[1, 1], [2, 1]] { Ok(()) } else { Err(format!("{rows:?}")) }
    });
    place.gramwise(&["cancel", "1", "--coordinator", &site.url]).expect(0);
    site.ended(1);
    let unknown = place.gramwise(&["cancel", "9", "--coordinator", &site.url]).expect(2);
    assert!(unknown.stderr.contains('9'), "{unknown}");
    place.write("go", "");
    site.ended(2);
    assert_eq!(place.number("SELECT count(*) FROM trial WHERE sweep = 2 AND state = 'completed'"), 3);
    for process in [first, second, coordinator] {
        process.signal(Signal::TERM);
        process.wait().expect(0);
    }
    all_gone(place).unwrap();
    assert_balanced(place);
}

#[test]
fn what_others_could_reach_is_refused() {
    let place = Place::new();
    let refused = place.gramwise(&["serve", "--listen", "0.0.0.0:0"]).expect(2);
    assert!(refused.stderr.contains("nothing is encrypted yet\nhint: `gramwise serve --init`"), "{refused}");
    assert!(place.names().is_empty(), "nothing is created");
    let wrong = place.gramwise(&["cancel", "1", "--coordinator", "not an address"]).expect(2);
    assert!(wrong.stderr.contains("is no address of a coordinator"), "{wrong}");
}

#[test]
fn a_worker_ends_also_when_nobody_is_left_to_tell() {
    let site = Site::new();
    let place = &site.place;
    Sweep::default().noting_pids(place).held(place, 1).write(place);
    let (coordinator, worker) = (site.serve(), site.worker("one"));
    place.gramwise(&["submit", "sweep.yaml", "--coordinator", &site.url]).expect(0);
    eventually("a trial has started", DEADLINE, || {
        noted(place).pop_first().map(drop).ok_or_else(|| "none".to_owned())
    });
    coordinator.signal(Signal::TERM);
    coordinator.wait().expect(0);
    worker.signal(Signal::TERM);
    worker.wait().expect(0);
    all_gone(place).unwrap();
    let journals = || {
        let entries = place.path("one/workers").read_dir().unwrap().filter_map(Result::ok);
        entries.filter(|entry| entry.path().extension().is_some_and(|ending| ending == "jsonl")).count()
    };
    assert_eq!(journals(), 1, "its journal keeps what it could not tell");
    // The next worker tells it.
    place.write("go", "");
    let (coordinator, worker) = (site.serve(), site.worker("one"));
    site.ended(1);
    for process in [worker, coordinator] {
        process.signal(Signal::TERM);
        process.wait().expect(0);
    }
    assert_eq!(place.path("one/workers").read_dir().unwrap().count(), 0);
    assert_balanced(place);
}
