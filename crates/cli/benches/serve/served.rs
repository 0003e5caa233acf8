//! A real `gramwise serve`, watched from outside.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A coordinator that ends with the bench.
pub(crate) struct Served {
    process: Child,
    /// Where it listens.
    pub(crate) address: String,
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Served {
    /// Starts one on a database, and waits until it answers.
    pub(crate) fn on(database: &Path) -> Self {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|free| free.local_addr())
            .expect("a port")
            .port();
        let address = format!("127.0.0.1:{port}");
        let mut serve = Command::new(env!("CARGO_BIN_EXE_gramwise"));
        serve.arg("--db").arg(database).args(["serve", "--quiet", "--listen", &address]);
        let process = serve.stdin(Stdio::null()).spawn().expect("gramwise starts");
        let began = Instant::now();
        let answers = || {
            let mut ask = Command::new(env!("CARGO_BIN_EXE_gramwise"));
            ask.arg("--db").arg(database).args(["drain", "nobody", "--coordinator", &address]);
            let asked = ask.stderr(Stdio::piped()).output().expect("gramwise starts");
            String::from_utf8_lossy(&asked.stderr).contains("no worker and no host")
        };
        while !answers() {
            assert!(began.elapsed() < Duration::from_secs(300), "the coordinator does not answer");
            std::thread::sleep(Duration::from_millis(5));
        }
        Self { process, address }
    }

    /// CPU time of all its threads so far.
    pub(crate) fn cpu(&self) -> Duration {
        cpu_of(&self.process.id().to_string())
    }

    /// A line of `/proc/PID/status`, such as `VmRSS`, in MiB.
    pub(crate) fn mib(&self, name: &str) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.process.id())).expect("it lives");
        let line = status.lines().find(|line| line.starts_with(name)).expect("the kernel tells");
        line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") >> 10
    }
}

/// CPU time of a process, or of `self`.
pub(crate) fn cpu_of(process: &str) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).expect("it lives");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("a name").1.split_whitespace().collect();
    let ticks = fields[11..13].iter().map(|ticks| ticks.parse::<u64>().expect("ticks")).sum::<u64>();
    Duration::from_millis(ticks * 1000 / rustix::param::clock_ticks_per_second())
}
