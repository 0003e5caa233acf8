//! The coordinator over a real socket: every call can be repeated, and what is wrong is refused with a reason.

#![expect(clippy::unwrap_used, reason = "all of this program is a test, its helpers too")]

use std::time::Duration;

use gramwise_coordinator::{Answers, Coordinator, Grid, Options, Sweeps};
use gramwise_search::LEASE;
use gramwise_store::{Journal, Reader};
use gramwise_trust::{Access, Bearer, Peer, Role, Token};
use gramwise_wire::v1;
use gramwise_wire::v1::control_request::Action;
use gramwise_wire::v1::lease_reply::Answer;
use gramwise_wire::v1::sweeps_client::SweepsClient;
use gramwise_wire::v1::work_client::WorkClient;
use tokio::net::TcpListener;
use tonic::Code;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

const YAML: &str = "
name: wire
command: [train, \"${args}\"]
objectives: [{name: loss, goal: minimize}]
parameters: {lr: {min: 0.1, max: 0.9}}
resource: {name: epoch, max: 9}
budget: {trials: 2}
";

struct Running {
    coordinator: Coordinator,
    sweeps: SweepsClient<InterceptedService<Channel, Bearer>>,
    work: WorkClient<InterceptedService<Channel, Bearer>>,
    folder: tempfile::TempDir,
    peer: Peer,
}

impl Running {
    /// A worker's connection of its own.
    async fn anew(&self) -> WorkClient<InterceptedService<Channel, Bearer>> {
        let channel = self.peer.endpoint().unwrap().connect().await.unwrap();
        WorkClient::with_interceptor(channel, self.peer.bearer())
    }
}

async fn start() -> Running {
    start_in(tempfile::tempdir().unwrap(), Sweeps::One(None)).await
}

async fn start_in(folder: tempfile::TempDir, sweeps: Sweeps) -> Running {
    let journal = Journal::open(&folder.path().join("sweeps.db")).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = gramwise_grid::Client::new(gramwise_grid::Keys::default(), None, None);
    let grid = Grid { client, every: Duration::from_secs(300) };
    let token = Token::random(Role::Owner, None).unwrap();
    let options = Options {
        sweeps,
        grid,
        lease: LEASE,
        access: Access::only(&token),
        authority: None,
        files: folder.path().join("files"),
        answers: Answers::none(),
    };
    let coordinator = Coordinator::start(journal, listener, options).unwrap();
    let peer = Peer::by_token(coordinator.address().to_string().parse().unwrap(), token);
    let channel = peer.endpoint().unwrap().connect().await.unwrap();
    let sweeps = SweepsClient::with_interceptor(channel.clone(), peer.bearer());
    let work = WorkClient::with_interceptor(channel, peer.bearer());
    Running { coordinator, sweeps, work, folder, peer }
}

fn control(sweep: u32, action: Action) -> v1::ControlRequest {
    v1::ControlRequest { sweep, action: action.into(), by: "somebody@somewhere".to_owned() }
}

fn question(request: u64) -> v1::LeaseRequest {
    v1::LeaseRequest {
        worker: "host-1".to_owned(),
        request,
        description: "a host".to_owned(),
        host: "host".to_owned(),
        ..v1::LeaseRequest::default()
    }
}

#[expect(clippy::unnecessary_wraps, reason = "the shape that messages want")]
fn energy(uj: u64) -> Option<v1::Energy> {
    let gpu = v1::Amount { measured_uj: uj, modelled_uj: 0, estimated_uj: 0 };
    Some(v1::Energy { gpu: Some(gpu), ..v1::Energy::default() })
}

/// A report of one attempt that burnt `uj` and reached `step`.
fn report(seq: u64, attempt: Option<v1::AttemptId>, uj: u64, step: u64) -> v1::ReportRequest {
    let loss = v1::Metric { kind: Some(v1::metric::Kind::Finite(1.0 / step as f64)) };
    let step = v1::Step { step, metrics: [("loss".to_owned(), loss)].into(), total: energy(uj) };
    v1::ReportRequest {
        worker: "host-1".to_owned(),
        seq,
        total: energy(uj + 5),
        idle: energy(5),
        overhead: energy(0),
        other: energy(0),
        attempts: vec![v1::AttemptReport { attempt, total: energy(uj), steps: vec![step], ended: None }],
        leaving: false,
        kept: Vec::new(),
    }
}

fn assigned(reply: v1::LeaseReply) -> v1::Assignment {
    match reply.answer {
        Some(Answer::Assignment(assignment)) => assignment,
        other => panic!("expected an assignment, found {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn asked_twice_the_answer_is_the_same_and_told_twice_it_counts_once() {
    let mut running = start().await;
    let submit = v1::SubmitRequest { yaml: YAML.to_owned(), by: "me@here".to_owned() };
    let sweep = running.sweeps.submit(submit).await.unwrap().into_inner().sweep;
    assert_eq!(sweep, 1);
    let first = assigned(running.work.lease(question(1)).await.unwrap().into_inner());
    let again = assigned(running.work.lease(question(1)).await.unwrap().into_inner());
    assert_eq!(first, again);
    let other = assigned(running.work.lease(question(2)).await.unwrap().into_inner());
    assert_ne!(first.attempt, other.attempt);

    let told = report(1, first.attempt, 1_000_000, 1);
    for _ in 0..3 {
        let reply = running.work.report(told.clone()).await.unwrap().into_inner();
        assert_eq!(reply.acked_through, 1);
        assert_eq!(reply.instructions[0].stop, "", "it goes on");
    }
    running.coordinator.stop().await.unwrap();
    let reader = Reader::open(&running.folder.path().join("sweeps.db")).unwrap();
    let total = reader.total(reader.newest().unwrap().unwrap().id).unwrap();
    assert_eq!(total.energy.total().get(), 1_000_005);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_refused_and_changes_nothing() {
    let mut running = start().await;
    let unknown = running.work.report(report(1, None, 0, 1)).await.unwrap_err();
    assert_eq!(unknown.code(), Code::InvalidArgument, "an attempt has a number: {unknown}");
    let attempt = Some(v1::AttemptId { sweep: 1, trial: 1, number: 1 });
    let unknown = running.work.report(report(1, attempt, 0, 1)).await.unwrap_err();
    assert_eq!(unknown.code(), Code::NotFound, "{unknown}");

    let wrong = v1::SubmitRequest { yaml: YAML.replace("max: 0.9", "max: 0.01"), by: String::new() };
    let refused = running.sweeps.submit(wrong).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(
        refused.message().contains("line 5") && refused.message().contains("hint"),
        "{}",
        refused.message()
    );
    let refused = running.sweeps.control(control(7, Action::Cancel)).await.unwrap_err();
    assert_eq!(refused.code(), Code::NotFound);

    let submit = v1::SubmitRequest { yaml: YAML.to_owned(), by: String::new() };
    running.sweeps.submit(submit).await.unwrap();
    let leased = assigned(running.work.lease(question(1)).await.unwrap().into_inner());
    let mut unbalanced = report(1, leased.attempt, 1000, 1);
    unbalanced.total = energy(999);
    let refused = running.work.report(unbalanced).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    assert!(refused.message().contains("sum to 1005 uJ"), "{}", refused.message());
    running.work.report(report(1, leased.attempt, 1000, 1)).await.unwrap();
    let fell = running.work.report(report(2, leased.attempt, 500, 2)).await.unwrap_err();
    assert!(fell.message().contains("fell"), "{}", fell.message());
    running.coordinator.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_sweep_tells_its_workers_to_go() {
    let mut running = start().await;
    let submit = v1::SubmitRequest { yaml: YAML.to_owned(), by: String::new() };
    let sweep = running.sweeps.submit(submit).await.unwrap().into_inner().sweep;
    let leased = assigned(running.work.lease(question(1)).await.unwrap().into_inner());
    running.sweeps.control(control(sweep, Action::Cancel)).await.unwrap();
    let reply = running.work.report(report(1, leased.attempt, 10, 1)).await.unwrap().into_inner();
    assert!(!reply.instructions[0].stop.is_empty());
    let answer = running.work.lease(question(2)).await.unwrap().into_inner().answer;
    assert_eq!(answer, Some(Answer::Ended(true)));
    running.coordinator.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_word_of_a_sweep_that_is_over_is_booked_whoever_hears_it() {
    let mut running = start().await;
    let submit = v1::SubmitRequest { yaml: YAML.to_owned(), by: String::new() };
    let sweep = running.sweeps.submit(submit).await.unwrap().into_inner().sweep;
    let leased = assigned(running.work.lease(question(1)).await.unwrap().into_inner());
    running.sweeps.control(control(sweep, Action::Cancel)).await.unwrap();
    let mut told = report(1, leased.attempt, 1000, 1);
    told.attempts[0].ended =
        Some(v1::AttemptEnd { kind: v1::attempt_end::Kind::Stopped.into(), message: String::new() });
    running.work.report(told).await.unwrap();
    assert_eq!(running.work.lease(question(2)).await.unwrap().into_inner().answer, Some(Answer::Ended(true)));
    running.coordinator.stop().await.unwrap();
    // The sweep is over, and the next coordinator does not take it up; its worker was cut off, and burnt meanwhile.
    let mut running = start_in(running.folder, Sweeps::All).await;
    let refused = running.sweeps.control(control(sweep, Action::Pause)).await.unwrap_err();
    assert_eq!(refused.code(), Code::FailedPrecondition, "{refused}");
    let answer = running.work.lease(question(3)).await.unwrap().into_inner().answer;
    assert_eq!(answer, Some(Answer::Ended(true)), "no other sweep gets a worker that has a bill here");
    let late = report(2, leased.attempt, 3000, 2);
    assert_eq!(running.work.report(late).await.unwrap().into_inner().acked_through, 2);
    running.coordinator.stop().await.unwrap();
    let reader = Reader::open(&running.folder.path().join("sweeps.db")).unwrap();
    let total = reader.total(gramwise_model::SweepId(sweep)).unwrap();
    assert_eq!(total.energy.total().get(), 3005);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_at_once_are_all_answered() {
    let mut running = start().await;
    let yaml = YAML.replace("trials: 2", "trials: 5000");
    running.sweeps.submit(v1::SubmitRequest { yaml, by: String::new() }).await.unwrap();
    let mut calls = tokio::task::JoinSet::new();
    for number in 0..1500 {
        // A connection has so many calls at most; several make a crowd.
        let mut work = if number % 50 == 0 { running.anew().await } else { running.work.clone() };
        running.work = work.clone();
        let question = v1::LeaseRequest { worker: format!("host-{number}"), ..question(1) };
        calls.spawn(async move { work.lease(question).await.map(|reply| reply.into_inner().answer) });
    }
    while let Some(answered) = calls.join_next().await {
        let answer = answered.unwrap();
        assert!(matches!(answer, Ok(Some(_))), "nobody is forgotten: {answer:?}");
    }
    running.coordinator.stop().await.unwrap();
}
