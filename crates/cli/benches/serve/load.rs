//! Many workers on one coordinator, over real gRPC.
//!
//! 1,000 simulated workers report every second for a minute (`$GRAMWISE_WORKERS`, `$GRAMWISE_SECONDS`); and one worker asks, reports ten
//! times and ends, a thousand trials long (`$GRAMWISE_TRIALS`), as `bench/load/run.py` has Optuna do.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use gramwise_trust::{Bearer, Peer, Token};
use gramwise_wire::v1;
use gramwise_wire::v1::lease_reply::Answer;
use gramwise_wire::v1::work_client::WorkClient;

use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::served::{Served, cpu_of};

type Client = WorkClient<InterceptedService<Channel, Bearer>>;

const UJ_PER_STEP: u64 = 150_000_000;

/// A coordinator with a sweep that has trials for all.
fn served(folder: &Path, steps: u64) -> (Served, Peer) {
    let database = folder.join("load.db");
    let served = Served::on(&database);
    let yaml = format!(
        "name: load\ncommand: [train, \"${{args}}\"]\nmethod: random\n\
         objectives: [{{name: val_error, goal: minimize}}]\n\
         parameters:\n  lr: {{distribution: log_uniform_values, min: 0.0001, max: 0.1}}\n  \
         batch: {{values: [16, 32, 64, 128]}}\n  momentum: {{min: 0.0, max: 0.99}}\n  \
         decay: {{min: 0.0, max: 0.1}}\n  width: {{min: 1, max: 512}}\n  depth: {{min: 1, max: 12}}\n  \
         dropout: {{min: 0.0, max: 0.5}}\n  opt: {{values: [sgd, adam]}}\n\
         resource: {{name: epoch, min: {steps}, max: {steps}}}\nprune: {{rule: none}}\nbudget: {{trials: 1000000}}\n"
    );
    std::fs::write(folder.join("load.yaml"), yaml).expect("a file");
    let submitted = Command::new(env!("CARGO_BIN_EXE_gramwise"))
        .arg("--db")
        .arg(&database)
        .arg("submit")
        .arg(folder.join("load.yaml"))
        .args(["--quiet", "--coordinator", &served.address])
        .status();
    assert!(submitted.expect("gramwise starts").success());
    let token = std::fs::read_to_string(database.with_extension("token")).expect("a token");
    let peer =
        Peer::by_token(served.address.parse().expect("an address"), Token::parse(&token).expect("a token"));
    (served, peer)
}

/// One worker.
struct Worker {
    client: Client,
    name: String,
    request: u64,
    seq: u64,
    /// Burnt by trials before this one.
    before: u64,
    attempt: Option<v1::AttemptId>,
}

impl Worker {
    async fn new(peer: &Peer, index: u64) -> Self {
        let channel = peer.endpoint().expect("an address").connect().await.expect("the coordinator listens");
        let client = WorkClient::with_interceptor(channel, peer.bearer());
        Self { client, name: format!("host-{index}"), request: 0, seq: 0, before: 0, attempt: None }
    }

    async fn ask(&mut self) {
        self.request += 1;
        let (worker, request) = (self.name.clone(), self.request);
        let asked = v1::LeaseRequest { host: worker.clone(), worker, request, ..Default::default() };
        let answer = self.client.lease(asked).await.expect("an answer").into_inner().answer;
        let Some(Answer::Assignment(assignment)) = answer else { panic!("no trial: {answer:?}") };
        self.attempt = assignment.attempt;
    }

    /// Reports steps in one message; the time until the verdict.
    async fn report(&mut self, steps: std::ops::RangeInclusive<u64>, is_last: bool) -> Duration {
        self.seq += 1;
        let energy = |uj: u64| {
            let gpu = v1::Amount { measured_uj: uj, ..Default::default() };
            Some(v1::Energy { gpu: Some(gpu), ..Default::default() })
        };
        let burnt = steps.end() * UJ_PER_STEP;
        let told = steps.map(|step| {
            let value = v1::Metric { kind: Some(v1::metric::Kind::Finite(1.0 / step as f64)) };
            v1::Step {
                step,
                metrics: [("val_error".to_owned(), value)].into(),
                total: energy(step * UJ_PER_STEP),
            }
        });
        let ended = v1::AttemptEnd { kind: v1::attempt_end::Kind::Success.into(), message: String::new() };
        let report = v1::ReportRequest {
            worker: self.name.clone(),
            seq: self.seq,
            total: energy(self.before + burnt),
            idle: energy(0),
            overhead: energy(0),
            other: energy(0),
            attempts: vec![v1::AttemptReport {
                attempt: self.attempt,
                total: energy(burnt),
                steps: told.collect(),
                ended: is_last.then_some(ended),
            }],
            leaving: false,
            kept: Vec::new(),
        };
        let began = Instant::now();
        let reply = self.client.report(report).await.expect("a verdict").into_inner();
        assert_eq!(reply.acked_through, self.seq, "a report was lost");
        if is_last {
            self.before += burnt;
        }
        began.elapsed()
    }
}

pub(crate) async fn many(workers: u64, seconds: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let (served, peer) = served(folder.path(), seconds);
    let mut tasks = tokio::task::JoinSet::new();
    let (before, began) = (served.cpu(), Instant::now());
    for index in 0..workers {
        let peer = peer.clone();
        tasks.spawn(async move {
            let mut worker = Worker::new(&peer, index).await;
            worker.ask().await;
            // Workers do not report in step.
            tokio::time::sleep(Duration::from_millis(1000 * index / workers)).await;
            let mut every = tokio::time::interval(Duration::from_secs(1));
            let mut waits = Vec::new();
            for step in 1..=seconds {
                every.tick().await;
                waits.push(worker.report(step..=step, step == seconds).await);
            }
            waits
        });
    }
    let mut waits: Vec<Duration> = tasks.join_all().await.into_iter().flatten().collect();
    let (cpu, took) = (served.cpu().saturating_sub(before), began.elapsed());
    waits.sort();
    let at = |percent: usize| waits[(waits.len() - 1) * percent / 100];
    let (half, most) = (at(50), at(99));
    println!(
        "{workers} workers, a report a second for {seconds} s: {} reports, each acknowledged; verdict p50 {half:.2?}, p99 {most:.2?} ({:.1}x), worst {:.2?}",
        waits.len(),
        most.as_secs_f64() / half.as_secs_f64(),
        at(100),
    );
    println!(
        "coordinator: {:.1} % of a core, {:.0} us of CPU a report, at most {} MB, {} MB at the end",
        100.0 * cpu.as_secs_f64() / took.as_secs_f64(),
        1e6 * cpu.as_secs_f64() / waits.len() as f64,
        served.mib("VmHWM"),
        served.mib("VmRSS"),
    );
    let told = Command::new(env!("CARGO_BIN_EXE_gramwise"))
        .arg("--db")
        .arg(folder.path().join("load.db"))
        .args(["report", "-o", "json"])
        .output()
        .expect("gramwise starts");
    let report: serde_json::Value = serde_json::from_slice(&told.stdout).expect("a report");
    assert_eq!(report["steps"], workers * seconds, "a step was lost");
    assert_eq!(report["energy_uj"], workers * seconds * UJ_PER_STEP, "a joule was lost");
}

/// Trials one after the other: ask, ten reports, an end with the last.
pub(crate) async fn one_by_one(trials: u64) {
    let folder = tempfile::tempdir().expect("a folder");
    let (served, peer) = served(folder.path(), 10);
    let mut worker = Worker::new(&peer, 1).await;
    // A worker gathers what comes within ten milliseconds; a script that reports slower has each report in a message of its own.
    for (how, gathered) in [("gathered as by a worker", true), ("each report by itself", false)] {
        let (before, own) = (served.cpu(), cpu_of("self"));
        for _ in 0..trials {
            worker.ask().await;
            if gathered {
                worker.report(1..=10, true).await;
            } else {
                for step in 1..=10 {
                    worker.report(step..=step, step == 10).await;
                }
            }
        }
        let coordinator = served.cpu().saturating_sub(before).as_secs_f64() * 1e3 / trials as f64;
        let client = cpu_of("self").saturating_sub(own).as_secs_f64() * 1e3 / trials as f64;
        println!(
            "ask, ten reports and an end, durable, {how}: {:.2} ms of CPU a trial (coordinator {coordinator:.2}, client {client:.2}) over {trials} trials",
            coordinator + client
        );
    }
}
