//! One attempt from its first process to its last: start, watch, stop, and say how it ended.
//!
//! The trial runs behind a [shim](crate::shim). It is told to stop by one byte on the shim's pipe; should this worker die, the
//! pipe closes by itself, and the shim ends the trial unless a next life of the worker adopts it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use gramwise_meter::{ConsumerId, MeterHandle};
use gramwise_model::work::{Assignment, AttemptEnd, EndKind};
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, MissedTickBehavior};

use crate::cgroup::Cgroup;
use crate::command::{expand, json};
use crate::environment::{Files, variables};
use crate::journal::Held;
use crate::reports::Reports;
use crate::rotation;
use crate::shim::{Arguments, Exit, Orphan, boot_ms, fifo, orphan_file};
use crate::socket::Socket;
use crate::tail::Reported;

/// How often the files of a trial are looked at: the delay of a verdict.
const POLL: Duration = Duration::from_millis(25);
/// How often it is looked whether its outputs have become long.
const LOOK: Duration = Duration::from_secs(1);
/// Lines of the trial's errors that a failure's message quotes, and their length in all.
const QUOTED_LINES: usize = 20;
const QUOTED_BYTES: usize = 4000;
/// The shim needs so much longer than the grace to write how it ended.
pub(crate) const SHIM_SLACK: Duration = Duration::from_secs(10);

/// What an attempt is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wish {
    /// Go on.
    Run,
    /// End: the coordinator says so.
    Stop,
    /// End: the worker is being interrupted.
    Interrupt,
}

/// What an attempt has to tell.
#[derive(Debug)]
pub(crate) enum News {
    /// Steps, in the order they were written.
    Steps(Vec<Reported>),
    /// The last process is gone and the meter's window is closed.
    Ended(AttemptEnd),
}

/// What supervising needs from its surroundings.
pub(crate) struct Surroundings<'a> {
    pub(crate) shim: &'a Path,
    pub(crate) files: &'a Path,
    pub(crate) grace: Duration,
    /// How long a trial goes on without its worker.
    pub(crate) orphaned: Duration,
    pub(crate) meter: MeterHandle,
}

/// The process that stands before a trial.
enum Shim {
    /// Started here; one byte on its pipe is the word to stop.
    Own(Child, Option<ChildStdin>),
    /// Started by an earlier life of this worker. While the other end of its FIFO is held, it knows that somebody cares.
    Adopted(Option<Orphan>, Option<File>),
}

/// A process behind its shim.
struct Running {
    shim: Shim,
    files: Files,
    cgroup: Option<Cgroup>,
    /// Has its shim ended?
    is_over: bool,
}

/// What a shim that was killed could not end ends here. One that lives ends its trial by itself, with grace, once its pipe closes.
impl Drop for Running {
    fn drop(&mut self) {
        if let Some(cgroup) = self.cgroup.as_ref().filter(|_| self.is_over) {
            cgroup.kill();
            cgroup.remove();
        }
    }
}

/// Runs an attempt to its end. The meter's window is opened before the first process and closed after the last.
pub(crate) async fn attempt(
    assignment: &Assignment,
    consumer: ConsumerId,
    surroundings: &Surroundings<'_>,
    wish: watch::Receiver<Wish>,
    news: &mpsc::Sender<News>,
) {
    surroundings.meter.open(consumer, &assignment.gpus, assignment.plan.cpus);
    let deadline = assignment.plan.timeout.map(|timeout| Instant::now() + timeout);
    let (end, cpu) = match start(assignment, consumer, surroundings).await {
        Ok(started) => watch_over(started, (assignment, deadline), surroundings.grace, wish, news).await,
        Err(message) => (AttemptEnd { kind: EndKind::Failure, message }, None),
    };
    surroundings.meter.close(consumer, cpu);
    // The session outlives its attempts; if it is gone, nobody is left to tell.
    let _ = news.send(News::Ended(end)).await;
}

/// The shim of an attempt that an earlier life of this worker started, if it still runs.
pub(crate) fn orphan(files: &Files) -> Option<Orphan> {
    let orphan: Orphan = serde_json::from_slice(&std::fs::read(orphan_file(&files.exit())).ok()?).ok()?;
    orphan.runs().then_some(orphan)
}

/// Goes on with an attempt that an earlier life started, whose window the meter holds open. One that ended meanwhile is told as it ended.
pub(crate) async fn adopt(
    held: &Held,
    orphan: Option<Orphan>,
    surroundings: &Surroundings<'_>,
    wish: watch::Receiver<Wish>,
    news: &mpsc::Sender<News>,
) {
    let assignment = &held.assignment;
    let files = Files { socket: held.socket.clone(), ..Files::of(surroundings.files, assignment.attempt) };
    let (end, cpu) = if orphan.is_none() && !files.exit().exists() {
        // Its shim was killed too, or never began.
        let message = "its worker was killed, and it with it".to_owned();
        (AttemptEnd { kind: EndKind::Interrupted, message }, None)
    } else {
        // Nothing listens where the earlier life did.
        let socket = Socket::open(&files.socket).ok();
        let cgroup = orphan.as_ref().and_then(|orphan| orphan.cgroup.clone()).map(Cgroup::at);
        let word = if orphan.is_some() { held_fifo(&files).await } else { None };
        let running = Running { shim: Shim::Adopted(orphan, word), files, cgroup, is_over: false };
        let since = Duration::from_millis(boot_ms().saturating_sub(held.taken_ms));
        let left = assignment.plan.timeout.map(|timeout| timeout.saturating_sub(since));
        let deadline = left.map(|left| Instant::now() + left);
        watch_over((running, socket), (assignment, deadline), surroundings.grace, wish, news).await
    };
    surroundings.meter.close(held.consumer, cpu);
    let _ = news.send(News::Ended(end)).await;
}

/// Ends an attempt of an earlier life that nobody goes on with.
pub(crate) async fn end_orphan(files: &Files) {
    if orphan(files).is_none() {
        return;
    }
    if let Some(mut word) = held_fifo(files).await {
        // An error says that the shim is gone already.
        let _ = io::Write::write_all(&mut word, b"s");
    }
}

/// The other end of an orphan's FIFO. It is there once the shim has noticed that its worker is gone.
async fn held_fifo(files: &Files) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    let path = fifo(&files.exit());
    for _ in 0..40 {
        match rustix::fs::open(&path, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()) {
            Ok(end) => return Some(end.into()),
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
    None
}

/// Runs a sweep's `setup` by the shell, metered as its own consumer. `Err` holds what went wrong.
pub(crate) async fn setup(
    command: &str,
    consumer: ConsumerId,
    surroundings: &Surroundings<'_>,
    mut wish: watch::Receiver<Wish>,
) -> Result<(), String> {
    let words = ["/bin/sh", "-c", command].map(str::to_owned).to_vec();
    let files = Files::of_setup(surroundings.files);
    let folder = files.folder.clone();
    surroundings.meter.open(consumer, &[], None);
    let surroundings =
        &Surroundings { orphaned: Duration::ZERO, meter: surroundings.meter.clone(), ..*surroundings };
    let ended = match spawn(words, Vec::new(), (files, (None, None)), consumer, surroundings) {
        Ok(mut running) => {
            let told = tokio::select! {
                exit = running.over() => Some(exit),
                _ = wish.changed() => None,
            };
            match told {
                Some(exit) => exit,
                None => running.stop(surroundings.grace).await,
            }
        }
        Err(message) => Err(message),
    };
    surroundings.meter.close(consumer, ended.as_ref().ok().map(|exit| Duration::from_millis(exit.cpu_ms)));
    let exit = ended?;
    match exit.code {
        Some(0) => Ok(()),
        _ => Err(format!(
            "`setup: {command}` failed ({}): {}\nhint: its whole output is in {}; the same command resumes the sweep",
            described(&exit),
            last_lines(&folder.join("stderr.log")),
            folder.display()
        )),
    }
}

async fn start(
    assignment: &Assignment,
    consumer: ConsumerId,
    surroundings: &Surroundings<'_>,
) -> Result<(Running, Option<Socket>), String> {
    let files = Files::of(surroundings.files, assignment.attempt);
    let words =
        expand(&assignment.plan.command, &assignment.config, &files.args().display().to_string(), |name| {
            std::env::var(name).ok()
        })
        .map_err(|error| error.to_string())?;
    let variables = variables(assignment, &files);
    let args = (files.args(), json(&assignment.config));
    if assignment.attempt.number == 1 {
        // A checkpoint that is there already is that of another database that was here: nothing to go on from.
        match tokio::fs::remove_dir_all(&files.checkpoint).await {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(format!("cannot clear {}: {error}", files.checkpoint.display()));
            }
            Ok(()) | Err(_) => {}
        }
    }
    let made = tokio::fs::create_dir_all(&files.checkpoint).await;
    made.map_err(|error| format!("cannot create {}: {error}", files.checkpoint.display()))?;
    // Before the trial is there to look for it. A worker without a place for sockets still has files.
    let socket = Socket::open(&files.socket)
        .inspect_err(
            |error| tracing::warn!(%error, path = %files.socket.display(), "no socket for the trial"),
        )
        .ok();
    let limits = (assignment.plan.cpus, assignment.plan.memory);
    let running = spawn(words, variables, (files, limits), consumer, surroundings)?;
    tokio::fs::write(&args.0, args.1)
        .await
        .map_err(|error| format!("cannot write {}: {error}", args.0.display()))?;
    Ok((running, socket))
}

fn spawn(
    command: Vec<String>,
    variables: Vec<(String, String)>,
    (files, (cpus, memory)): (Files, (Option<u32>, Option<u64>)),
    consumer: ConsumerId,
    surroundings: &Surroundings<'_>,
) -> Result<Running, String> {
    let in_folder = |error: io::Error| format!("cannot write in {}: {error}", files.folder.display());
    // What an earlier run of the same attempt left would be taken for this one's.
    match std::fs::remove_dir_all(&files.folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(in_folder(error)),
        Ok(()) | Err(_) => {}
    }
    std::fs::create_dir_all(&files.folder).map_err(in_folder)?;
    let cgroup = Cgroup::make(&Cgroup::name(consumer.0));
    if let Some(cgroup) = &cgroup {
        cgroup.limit(cpus, memory);
    }
    let arguments = Arguments {
        cgroup: cgroup.as_ref().map(|cgroup| cgroup.folder().to_owned()),
        exit: files.exit(),
        stdout: files.stdout(),
        stderr: files.stderr(),
        grace: surroundings.grace,
        orphaned: surroundings.orphaned,
        command,
    };
    let mut shim = Command::new(surroundings.shim)
        .args(arguments.to_words())
        .envs(variables)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| format!("cannot start {}: {error}", surroundings.shim.display()))?;
    if let Some(pid) = shim.id() {
        surroundings.meter.attach(consumer, pid, cgroup.as_ref().map(|cgroup| cgroup.folder().to_owned()));
    }
    let word = shim.stdin.take();
    Ok(Running { shim: Shim::Own(shim, word), files, cgroup, is_over: false })
}

/// Forwards what the trial reports until it is over; stops it when told to, or when its time is up.
async fn watch_over(
    (mut running, socket): (Running, Option<Socket>),
    (assignment, deadline): (&Assignment, Option<Instant>),
    grace: Duration,
    mut wish: watch::Receiver<Wish>,
    news: &mpsc::Sender<News>,
) -> (AttemptEnd, Option<Duration>) {
    let mut report = Reports::of(&running.files, socket);
    let mut poll = tokio::time::interval(POLL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut look = tokio::time::interval(LOOK);
    let mut told = Wish::Run;
    let mut timed_out = false;
    let exit = loop {
        tokio::select! {
            exit = running.over() => break exit,
            _ = poll.tick() => report.forward(news, false).await,
            _ = look.tick() => {
                rotation::bound(&running.files.stdout(), report.stdout_read());
                rotation::bound(&running.files.stderr(), u64::MAX);
            }
            Ok(()) = wish.changed(), if told == Wish::Run => {
                told = *wish.borrow_and_update();
                if told != Wish::Run {
                    break end(&mut running, &report, grace).await;
                }
            }
            () = at(deadline) => {
                timed_out = true;
                break end(&mut running, &report, grace).await;
            }
        }
    };
    if let Some(socket) = &report.socket {
        socket.drained().await;
    }
    report.forward(news, true).await;
    let cpu = exit.as_ref().ok().map(|exit| Duration::from_millis(exit.cpu_ms));
    let end = match exit {
        Ok(_) if timed_out => {
            let limit = assignment.plan.timeout.unwrap_or_default().as_secs();
            AttemptEnd {
                kind: EndKind::Failure,
                message: format!("ran longer than its timeout of {limit} s"),
            }
        }
        Ok(exit) => described_end(&exit, told, &running.files, &report.faults),
        Err(message) => AttemptEnd { kind: EndKind::Failure, message },
    };
    (end, cpu)
}

/// Ends a trial: one that listens on its socket is asked, and has half the grace before it gets SIGTERM.
async fn end(running: &mut Running, report: &Reports, grace: Duration) -> Result<Exit, String> {
    let listens = report.socket.as_ref().is_some_and(Socket::ask_to_stop);
    let by_itself = if listens { tokio::time::timeout(grace / 2, running.over()).await.ok() } else { None };
    match by_itself {
        Some(exit) => exit,
        None => running.stop(grace).await,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

impl Running {
    /// Waits for the shim and reads how the trial ended.
    async fn over(&mut self) -> Result<Exit, String> {
        let shim = match &mut self.shim {
            Shim::Own(shim, _) => {
                let ended = shim.wait().await;
                ended.map_err(|error| format!("cannot wait for the trial: {error}"))?.to_string()
            }
            // Not a child of this process: nobody tells.
            Shim::Adopted(orphan, _) => {
                while orphan.as_ref().is_some_and(Orphan::runs) {
                    tokio::time::sleep(POLL).await;
                }
                "of an earlier life of this worker".to_owned()
            }
        };
        self.is_over = true;
        let path = self.files.exit();
        let text = tokio::fs::read(&path).await.map_err(|error| {
            format!("the trial's shim ended ({shim}) and left no {}: {error}", path.display())
        })?;
        serde_json::from_slice(&text).map_err(|error| format!("{}: {error}", path.display()))
    }

    /// Asks the trial to end and waits; kills the shim should it hang, which the kernel answers by killing nothing else,
    /// so this is the last resort of a sick machine.
    async fn stop(&mut self, grace: Duration) -> Result<Exit, String> {
        // An error says that the shim is gone already.
        match &mut self.shim {
            Shim::Own(_, word) => {
                if let Some(mut word) = word.take() {
                    let _ = word.write_all(b"s").await;
                }
            }
            Shim::Adopted(_, word) => {
                if let Some(mut word) = word.take() {
                    let _ = io::Write::write_all(&mut word, b"s");
                }
            }
        }
        match tokio::time::timeout(grace + SHIM_SLACK, self.over()).await {
            Ok(exit) => exit,
            Err(_elapsed) => {
                if let Shim::Own(shim, _) = &mut self.shim {
                    let _ = shim.start_kill();
                }
                Err("the trial did not end after SIGKILL; its process may hang in the kernel".to_owned())
            }
        }
    }
}

fn described_end(exit: &Exit, told: Wish, files: &Files, faults: &[String]) -> AttemptEnd {
    let kind = match (exit.code, told) {
        // By an earlier life of the worker, or because none came after it.
        (_, Wish::Run) if exit.was_stopped => EndKind::Interrupted,
        (Some(0), Wish::Run | Wish::Stop) => EndKind::Success,
        (_, Wish::Interrupt) => EndKind::Interrupted,
        (_, Wish::Stop) => EndKind::Stopped,

        (_, Wish::Run) => EndKind::Failure,
    };
    let mut message = described(exit);
    if !faults.is_empty() {
        message = format!("{message}\nunreadable reports: {}", faults.join("; "));
    }
    if kind == EndKind::Failure {
        let quoted = last_lines(&files.stderr());
        if !quoted.is_empty() {
            message = format!("{message}\n{quoted}");
        }
    }
    AttemptEnd { kind, message }
}

fn described(exit: &Exit) -> String {
    match exit {
        Exit { not_started: Some(why), .. } => why.clone(),
        Exit { code: Some(code), .. } => format!("exit code {code}"),
        Exit { signal: Some(signal), .. } => format!("ended by signal {signal}"),
        Exit { code: None, signal: None, not_started: None, .. } => "ended without a status".to_owned(),
    }
}

/// The end of a file, for a message. Empty if there is none.
fn last_lines(path: &Path) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        file.seek(SeekFrom::Start(length.saturating_sub(QUOTED_BYTES as u64)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let text = String::from_utf8_lossy(&read().unwrap_or_default()).into_owned();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(QUOTED_LINES)..].join("\n")
}
