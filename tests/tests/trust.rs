//! Who is let in, and for what: on this machine by tokens, and where others listen with certificates as well.

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use e2e::{DEADLINE, Done, Place, Running, eventually};
use gramwise_trust::{Bearer, Peer, Token};
use gramwise_wire::v1;
use gramwise_wire::v1::sweeps_client::SweepsClient;
use gramwise_wire::v1::work_client::WorkClient;
use rustix::process::Signal;
use tonic::Code;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::serve::Site;
use crate::sweeps::{Sweep, all_gone, assert_balanced};

/// A site whose calls are encrypted.
fn encrypted() -> Site {
    let site = Site::new();
    let said = site.place.gramwise(&["serve", "--init"]).expect(0);
    assert!(said.stderr.contains("1. here: `gramwise serve --listen 0.0.0.0:7117`"), "{said}");
    site
}

fn token(place: &Place, words: &[&str]) -> Token {
    Token::parse(&place.gramwise(&[&["token", "create"], words].concat()).expect(0).stdout).unwrap()
}

fn ended(processes: impl IntoIterator<Item = Running>) -> Vec<Done> {
    let end = |process: Running| {
        process.signal(Signal::TERM);
        process.wait().expect(0)
    };
    processes.into_iter().map(end).collect()
}

#[test]
fn encrypted_workers_join_once_and_work() {
    let site = encrypted();
    let place = &site.place;
    let mode = |name: &str| place.path(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("sweeps.trust"), mode("sweeps.trust/authority.key")), (0o700, 0o600));
    Sweep::default().told("--stdout").noting_pids(place).write(place);
    let coordinator = site.serve();
    let worker = site.worker_with("one", "sweeps.trust/worker.token");
    let by_client = ["--coordinator", &site.url, "--token-file", "sweeps.trust/client.token"];
    let ask = |words: &[&str]| place.gramwise(&[words, &by_client].concat());
    ask(&["submit", "sweep.yaml"]).expect(0);
    site.ended(1);
    // Questions are answered by the coordinator, as its own database would.
    for question in
        [&["report"][..], &["ls"], &["trials", "1"], &["show", "1"], &["explain", "1"], &["history"]]
    {
        let words = [question, &["-o", "json"]].concat();
        assert_eq!(ask(&words).expect(0).stdout, place.gramwise(&words).expect(0).stdout);
    }
    let logs = ask(&["logs", "1", "--follow"]).expect(0);
    assert_eq!(
        logs.stdout.matches("gramwise: {").count(),
        2,
        "what a trial wrote is with the coordinator: {logs}"
    );
    eventually("what the last trial wrote is there too", DEADLINE, || {
        let logs = ask(&["logs", "3"]);
        if logs.stdout.matches("gramwise: {").count() == 2 { Ok(()) } else { Err(logs.to_string()) }
    });
    assert_eq!(ask(&["logs", "3", "--stderr"]).expect(0).stdout, "");
    let unknown = ask(&["show", "77"]).expect(2);
    assert!(unknown.stderr.contains("no trial 77"), "{unknown}");
    // It joined once: with another token, and without one, it is still known.
    ended([worker]);
    place.gramwise(&["token", "revoke", &token_id(place, "sweeps.trust/client.token")]).expect(0);
    let refused = ask(&["ls"]).expect(4);
    assert!(refused.stderr.contains("was revoked\nhint: "), "{refused}");
    place.gramwise(&["submit", "sweep.yaml", "--coordinator", &site.url]).expect(0);
    let worker = site.worker_with("one", "sweeps.trust/worker.token");
    site.ended(2);
    let listed = place.gramwise(&["token", "ls"]).expect(0).stdout;
    assert_eq!(listed.matches("joined by").count(), 1, "{listed}");
    // ... until its token is revoked, and with it all that joined by it.
    let revoked = place.gramwise(&["token", "revoke", &token_id(place, "sweeps.trust/worker.token")]);
    revoked.expect(0);
    let refused = worker.wait().expect(4);
    assert!(refused.stderr.contains("this worker was revoked\nhint: "), "{refused}");
    let refused = site.worker_with("one", "sweeps.trust/worker.token").wait().expect(4);
    assert!(refused.stderr.contains("was revoked\nhint: "), "{refused}");
    ended([coordinator]);
    all_gone(place).unwrap();
    assert_balanced(place);
}

#[test]
fn a_revoked_worker_comes_back_with_a_new_token_only() {
    let site = encrypted();
    let place = &site.place;
    let coordinator = site.serve();
    let worker = site.worker_with("one", "sweeps.trust/worker.token");
    let joined = || {
        let listed = place.gramwise(&["token", "ls"]).expect(0).stdout;
        let rows = listed.lines().filter(|line| line.contains("joined by"));
        rows.filter_map(|row| row.split_whitespace().next().map(str::to_owned)).collect::<Vec<String>>()
    };
    eventually("it joined, and keeps what it is known by", DEADLINE, || {
        let kept = std::fs::read_dir(place.path("one/identity")).map_err(|error| error.to_string())?;
        kept.filter_map(Result::ok)
            .find(|entry| entry.path().extension().is_some_and(|ending| ending == "pem"))
            .map(drop)
            .ok_or_else(|| "no".to_owned())
    });
    let name = joined().remove(0);
    let revoked = place.gramwise(&["token", "revoke", &name]).expect(0);
    let by = token_id(place, "sweeps.trust/worker.token");
    assert!(revoked.stderr.contains(&format!("`gramwise token revoke {by}`")), "{revoked}");
    for process in [worker, site.worker_with("one", "sweeps.trust/worker.token")] {
        let refused = process.wait().expect(4);
        assert!(refused.stderr.contains("this worker was revoked\nhint: with a new token"), "{refused}");
    }
    assert_eq!(joined().len(), 1, "the same token does not let it in as another");
    let new = token(place, &["--role", "worker"]);
    place.write("new.token", &new.secret());
    let worker = site.worker_with("one", "new.token");
    eventually("it joined anew", DEADLINE, || {
        if joined().len() == 2 { Ok(()) } else { Err(joined().join(" ")) }
    });
    ended([worker, coordinator]);
}

#[test]
fn what_is_there_is_kept_and_what_is_lost_is_named() {
    let site = encrypted();
    let place = &site.place;
    let init = || place.gramwise(&["serve", "--init"]);
    let (worker, client) = ("sweeps.trust/worker.token", "sweeps.trust/client.token");
    let before = (place.text(worker), place.text(client));
    let again = init().expect(0);
    assert!(again.stderr.contains("are already in"), "{again}");
    assert_eq!((place.text(worker), place.text(client)), before);
    // A token that opens nothing any more is made anew, and that is said.
    place.write(client, "rubbish");
    let mended = init().expect(0);
    assert!(mended.stderr.contains("client.token did not open this coordinator any more"), "{mended}");
    assert_ne!(place.text(client), "rubbish");
    // A token that the environment names is somebody's for another coordinator.
    let other =
        place.write("other.token", &Token::random(gramwise_trust::Role::Client, None).unwrap().secret());
    let kept = place.text("other.token");
    let mut listing = place.command(&["token", "ls"]);
    e2e::run(listing.env("GRAMWISE_TOKEN_FILE", &other)).expect(0);
    assert_eq!(place.text("other.token"), kept);
    // Without its list or its authority it would lock everyone out.
    std::fs::rename(place.path("sweeps.trust/access.json"), place.path("list")).unwrap();
    let refused = place.gramwise(&["serve", "--listen", "127.0.0.1:0"]).expect(2);
    assert!(
        refused.stderr.contains("the list of who is let in is gone from")
            && refused.stderr.contains("hint: "),
        "{refused}"
    );
    std::fs::rename(place.path("list"), place.path("sweeps.trust/access.json")).unwrap();
    std::fs::remove_file(place.path("sweeps.trust/authority.pem")).unwrap();
    let refused = init().expect(2);
    assert!(
        refused.stderr.contains("names an authority that is not in") && refused.stderr.contains("hint: "),
        "{refused}"
    );
    // Nobody's database.
    let nobody = Place::new();
    for words in [&["token", "ls"][..], &["token", "create", "--role", "worker"]] {
        let refused = nobody.gramwise(words).expect(2);
        assert!(refused.stderr.contains("no coordinator has served this database\nhint: "), "{refused}");
    }
    assert!(nobody.names().is_empty(), "nothing is made");
}

#[test]
fn a_client_cannot_have_the_coordinator_read_a_file() {
    let site = Site::new();
    let place = &site.place;
    let coordinator = site.serve();
    place.write("client.token", &token(place, &["--role", "client"]).secret());
    let secret =
        place.write("secret.csv", "from_utc,to_utc,g_per_kwh\n2023-03-14T12:00Z,2023-03-14T13:00Z,55\n");
    let more: &'static str = format!("carbon: {{zone: GB, intensity: {}}}", secret.display()).leak();
    Sweep { more, ..Sweep::default() }.write(place);
    let submit = |token: &str| {
        place.gramwise(&["submit", "sweep.yaml", "--coordinator", &site.url, "--token-file", token])
    };
    let refused = submit("client.token").expect(4);
    assert!(refused.stderr.contains("which a client cannot have read\nhint: "), "{refused}");
    submit("sweeps.token").expect(0);
    ended([coordinator]);
}

fn token_id(place: &Place, file: &str) -> String {
    Token::parse(&place.text(file)).unwrap().id
}

#[test]
fn another_coordinator_is_not_believed() {
    let (site, other) = (encrypted(), encrypted());
    Sweep::default().write(&site.place);
    let coordinator = site.serve();
    let foreign = other.place.path("sweeps.token").display().to_string();
    for (token, why) in [(foreign.as_str(), "UnknownIssuer"), ("sweeps.plain", "")] {
        let plain = Token::random(gramwise_trust::Role::Owner, None).unwrap();
        site.place.write("sweeps.plain", &plain.secret());
        let refused =
            site.place.gramwise(&["submit", "sweep.yaml", "--coordinator", &site.url, "--token-file", token]);
        assert!(matches!(refused.code, Some(3 | 4)) && refused.stderr.contains(why), "{refused}");
    }
    assert_eq!(site.place.number("SELECT count(*) FROM journal"), 0);
    // A worker does not wait for somebody who will never be the right one.
    other.place.gramwise(&["token", "create", "--role", "worker"]).expect(0);
    let foreign = other.place.path("sweeps.trust/worker.token").display().to_string();
    let refused = site.worker_with("one", &foreign).wait().expect(4);
    assert!(
        refused.stderr.contains("is not the coordinator that the token is for")
            && refused.stderr.contains("hint: "),
        "{refused}"
    );
    ended([coordinator]);
}

/// What a script could try.
struct Intruder {
    sweeps: SweepsClient<InterceptedService<Channel, Bearer>>,
    work: WorkClient<InterceptedService<Channel, Bearer>>,
}

impl Intruder {
    async fn with(url: &str, token: Token) -> Self {
        let peer = Peer::by_token(url.parse().unwrap(), token);
        let channel = peer.endpoint().unwrap().connect().await.unwrap();
        Self {
            sweeps: SweepsClient::with_interceptor(channel.clone(), peer.bearer()),
            work: WorkClient::with_interceptor(channel, peer.bearer()),
        }
    }

    async fn lease(&mut self) -> Code {
        let request = v1::LeaseRequest { worker: "intruder".to_owned(), request: 1, ..Default::default() };
        code(self.work.lease(request).await)
    }

    async fn submit(&mut self, bytes: usize) -> Code {
        code(self.sweeps.submit(v1::SubmitRequest { yaml: "#".repeat(bytes), by: String::new() }).await)
    }
}

fn code<T>(answer: Result<T, tonic::Status>) -> Code {
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

/// Kibibytes that a process holds in memory at most so far.
pub(crate) fn peak_kib(process: &Running) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.pid())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn whoever_may_not_is_refused_logged_once_and_changes_nothing() {
    let site = Site::new();
    let place = &site.place;
    let coordinator = site.serve_saying();
    let mode = place.path("sweeps.token").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "for its user alone");
    let (client, worker) = (token(place, &["--role", "client"]), token(place, &["--role", "worker"]));
    let revoked = token(place, &["--role", "client", "--expires", "1h"]);
    place.gramwise(&["token", "revoke", &revoked.id]).expect(0);
    let expired = token(place, &["--role", "client", "--expires", "1s"]);
    let stranger = Token::random(gramwise_trust::Role::Owner, None).unwrap();
    std::thread::sleep(Duration::from_millis(1100));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = &site.url;
        let mut nobody = {
            let channel = Peer::by_token(url.parse().unwrap(), client.clone()).endpoint().unwrap();
            WorkClient::new(channel.connect().await.unwrap())
        };
        for _ in 0..20 {
            assert_eq!(code(nobody.lease(v1::LeaseRequest::default()).await), Code::Unauthenticated);
            for token in [&revoked, &expired, &stranger] {
                assert_eq!(Intruder::with(url, token.clone()).await.submit(10).await, Code::Unauthenticated);
            }
            assert_eq!(Intruder::with(url, client.clone()).await.lease().await, Code::PermissionDenied);
            assert_eq!(Intruder::with(url, worker.clone()).await.submit(10).await, Code::PermissionDenied);
            // Too large, and not what it should be, by those who may speak.
            let mut known = Intruder::with(url, client.clone()).await;
            assert_eq!(known.submit(20 << 20).await, Code::OutOfRange);
            assert_eq!(known.submit(10).await, Code::InvalidArgument);
            let mut known = Intruder::with(url, worker.clone()).await;
            let report = v1::ReportRequest { worker: "x".to_owned(), ..Default::default() };
            assert_eq!(code(known.work.report(report).await), Code::InvalidArgument);
            let output =
                v1::OutputRequest { worker: "x".to_owned(), bytes: vec![0; 1 << 20], ..Default::default() };
            assert_eq!(code(known.work.output(output).await), Code::InvalidArgument);
        }
    });
    rubbish(&site.url);
    assert!(peak_kib(&coordinator) < 100 << 10, "{} KiB", peak_kib(&coordinator));
    assert_eq!(place.number("SELECT count(*) FROM journal"), 0);
    let place_ok = place.gramwise(&["ls", "--coordinator", &site.url]).expect(0);
    assert!(place_ok.stderr.is_empty(), "{place_ok}");
    let said = ended([coordinator]).remove(0).stderr;
    let logged: Vec<&str> = said.lines().filter(|line| line.contains("refused")).collect();
    // By call and kind of refusal: Work/Lease twice, Sweeps/Submit four times, Work/Report and Work/Output once.
    assert_eq!(logged.len(), 8, "{said}");
    assert_eq!(logged.iter().filter(|line| line.contains("/Lease")).count(), 2, "{said}");
    for secret in [&client, &worker, &revoked, &expired, &stranger].map(Token::secret) {
        let own = secret.rsplit('-').next().unwrap().to_owned();
        assert!(!said.contains(&own));
        for file in ["sweeps.db", "sweeps.trust/access.json"] {
            let bytes = std::fs::read(place.path(file)).unwrap();
            assert!(!bytes.windows(own.len()).any(|window| window == own.as_bytes()), "{file}");
        }
    }
}

/// What is no gRPC at all: bytes, and requests of another protocol.
fn rubbish(url: &str) {
    use std::io::{Read, Write};
    for bytes in [&b"\0\xff\0\xff"[..], b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", &vec![b'x'; 100_000], b""] {
        let mut stream = std::net::TcpStream::connect(url.trim_start_matches("http://")).unwrap();
        // It may hang up before all of it is sent.
        let _ = stream.write_all(bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    }
}

#[test]
fn a_worker_speaks_for_itself_alone() {
    let site = encrypted();
    let place = &site.place;
    let coordinator = site.serve();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let join = |folder: &str| {
        let token = Token::parse(&place.text("sweeps.trust/worker.token")).unwrap();
        let folder = place.path(folder);
        let joining = gramwise_worker::join(site.url.parse().unwrap(), token, &folder, "gpu 1;x");
        runtime.block_on(joining).unwrap()
    };
    let (one, other) = (join("one"), join("other"));
    let name = |peer: &Peer| peer.worker().unwrap().to_owned();
    assert!(name(&one).starts_with("gpu1x-") && name(&one) != name(&other), "{one:?}");
    assert_eq!(name(&join("one")), name(&one), "it is kept");
    runtime.block_on(async {
        let channel = one.endpoint().unwrap().connect().await.unwrap();
        let mut work = WorkClient::with_interceptor(channel.clone(), one.bearer());
        for (worker, expected) in
            [(name(&other) + "-1", Code::PermissionDenied), (name(&one), Code::PermissionDenied)]
        {
            let report = v1::ReportRequest { worker, ..Default::default() };
            assert_eq!(code(work.report(report).await), expected);
        }
        let report = v1::ReportRequest { worker: name(&one) + "-1-1", ..Default::default() };
        assert_eq!(code(work.report(report).await), Code::InvalidArgument, "let in, but malformed");
        let mut sweeps = SweepsClient::with_interceptor(channel, one.bearer());
        assert_eq!(code(sweeps.submit(v1::SubmitRequest::default()).await), Code::Unauthenticated);
        // A token alone does not work where calls are encrypted.
        let token = Token::parse(&place.text("sweeps.trust/worker.token")).unwrap();
        assert_eq!(Intruder::with(&site.url, token).await.lease().await, Code::Unauthenticated);
    });
    eventually("the coordinator lives", DEADLINE, || {
        place
            .gramwise(&["ls", "--coordinator", &site.url])
            .code
            .filter(|code| *code == 0)
            .map(drop)
            .ok_or_else(String::new)
    });
    ended([coordinator]);
}
