//! The process between a worker and a trial: the same binary, re-executed.
//!
//! It leads a session of its own (Ctrl-C in the worker's terminal does not reach the trial), adopts every orphan of the trial,
//! and leaves nothing behind: when the trial is over, or the worker says so, the whole tree gets SIGTERM, a grace period, and
//! SIGKILL. How it ended is written to a file, atomically.
//!
//! The worker holds a pipe to it, which closes when the worker dies. A shim that may be adopted then waits for the next life of the worker
//! to open its FIFO; nobody coming, it ends the trial.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::processes::{children_cpu_ms, kill_tree, started};

/// The hidden command that makes gramwise a shim.
pub const COMMAND: &str = "__shim";

/// How often an orphan looks for the next life of its worker.
const LOOK: Duration = Duration::from_millis(50);
/// Nobody waits longer for a trial to end.
const LONGEST_GRACE: Duration = Duration::from_secs(86_400);

/// What a shim is told on its command line.
#[derive(Debug, Clone)]
pub struct Arguments {
    /// Where to write how it ended.
    pub exit: PathBuf,
    /// Where the trial's output goes.
    pub stdout: PathBuf,
    /// Where the trial's errors go.
    pub stderr: PathBuf,
    /// The time between SIGTERM and SIGKILL.
    pub grace: Duration,
    /// A trial whose worker died goes on for so long, for the next life of the worker to adopt it; zero: it is ended at once.
    pub orphaned: Duration,
    /// The trial's cgroup, if it has one.
    pub cgroup: Option<PathBuf>,
    /// Program and arguments.
    pub command: Vec<String>,
}

/// What a shim writes down for the next life of its worker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Orphan {
    /// Its number.
    pub(crate) process: u32,
    /// When it was started: numbers are used again.
    pub(crate) started: u64,
    /// The trial's cgroup, if it has one.
    pub(crate) cgroup: Option<PathBuf>,
}

impl Orphan {
    /// Is it still there?
    pub(crate) fn runs(&self) -> bool {
        started(self.process) == Some(self.started)
    }
}

/// Where that is, beside the file of how a trial ended.
pub(crate) fn orphan_file(exit: &Path) -> PathBuf {
    exit.with_file_name("shim.json")
}

/// Where an orphan is spoken to.
pub(crate) fn fifo(exit: &Path) -> PathBuf {
    exit.with_file_name("word")
}

/// How a trial's process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exit {
    /// Its exit code, if it exited.
    pub(crate) code: Option<i32>,
    /// The signal that ended it, if one did.
    pub(crate) signal: Option<i32>,
    /// Why it could not be started, if so.
    pub(crate) not_started: Option<String>,
    /// CPU time of the whole tree, in milliseconds.
    pub(crate) cpu_ms: u64,
    /// When, in milliseconds on the boot clock.
    pub(crate) at_ms: u64,
    /// It had been told to stop, or was an orphan for too long.
    #[serde(default)]
    pub(crate) was_stopped: bool,
}

impl Arguments {
    /// The command line that carries these arguments.
    pub(crate) fn to_words(&self) -> Vec<std::ffi::OsString> {
        let mut words: Vec<std::ffi::OsString> = vec![COMMAND.into()];
        words.extend([&self.exit, &self.stdout, &self.stderr].map(|path| path.clone().into_os_string()));
        words.push(self.grace.min(LONGEST_GRACE).as_millis().to_string().into());
        words.push(self.orphaned.min(LONGEST_GRACE).as_millis().to_string().into());
        words.push(self.cgroup.clone().unwrap_or_default().into_os_string());
        words.extend(self.command.iter().map(Into::into));
        words
    }

    /// Reads them back; `None` if they are not a shim's.
    pub fn from_words(mut words: impl Iterator<Item = std::ffi::OsString>) -> Option<Self> {
        Some(Self {
            exit: words.next()?.into(),
            stdout: words.next()?.into(),
            stderr: words.next()?.into(),
            grace: Duration::from_millis(words.next()?.to_str()?.parse().ok()?),
            orphaned: Duration::from_millis(words.next()?.to_str()?.parse().ok()?),
            cgroup: Some(PathBuf::from(words.next()?)).filter(|path| !path.as_os_str().is_empty()),
            command: words.map(|word| word.into_string().ok()).collect::<Option<_>>()?,
        })
    }
}

/// Runs a trial to its end and writes how it ended. The process exits afterwards.
pub fn main(arguments: &Arguments) -> io::Result<()> {
    // Fails only for a process that leads a group already, as when run by hand.
    let _ = rustix::process::setsid();
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    let fifo = fifo(&arguments.exit);
    // Where there are no FIFOs, nobody could speak to an orphan: it ends with its worker.
    let may_be_adopted = !arguments.orphaned.is_zero()
        && rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).is_ok();
    if may_be_adopted {
        let process = std::process::id();
        let orphan = Orphan {
            process,
            started: started(process).unwrap_or_default(),
            cgroup: arguments.cgroup.clone(),
        };
        write_whole(&orphan_file(&arguments.exit), &orphan)?;
    }
    let cgroup = arguments.cgroup.clone().map(Cgroup::at);
    let _lives = cgroup.as_ref().and_then(Cgroup::held);
    let started = match &cgroup {
        Some(cgroup) => cgroup.within(|| start(arguments)),
        None => start(arguments),
    };
    let mut exit = match started {
        Ok(child) => attend(child, arguments, (fifo, may_be_adopted), cgroup.as_ref())?,
        Err(error) => {
            let program = arguments.command.first().map_or("nothing", String::as_str);
            let not_started = Some(format!("cannot start `{program}`: {error}"));
            Exit { code: None, signal: None, not_started, cpu_ms: 0, at_ms: boot_ms(), was_stopped: false }
        }
    };
    if let Some(cpu) = cgroup.as_ref().and_then(Cgroup::cpu) {
        exit.cpu_ms = exit.cpu_ms.max(u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX));
    }
    cgroup.iter().for_each(Cgroup::remove);
    write_whole(&arguments.exit, &exit)
}

fn start(arguments: &Arguments) -> io::Result<Pid> {
    use std::os::unix::process::CommandExt;
    let (program, rest) = arguments.command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let child = Command::new(program)
        .args(rest)
        .stdin(Stdio::null())
        .stdout(File::options().create(true).append(true).open(&arguments.stdout)?)
        .stderr(File::options().create(true).append(true).open(&arguments.stderr)?)
        .process_group(0)
        .spawn()?;
    Ok(Pid::from_child(&child)) // Reaped below, with all others: `Child` must not wait too.
}

/// Waits for the worker's word to stop.
fn word_to_stop(fifo: &Path, orphaned: Duration) {
    let mut byte = [0u8];
    let mut word: Box<dyn Read> = Box::new(io::stdin());
    // A byte is the word; the end of the pipe says that the worker is gone.
    while matches!(word.read(&mut byte), Ok(0)) {
        match adopted(fifo, orphaned) {
            Some(next) => word = Box::new(next),
            None => return,
        }
    }
}

/// The pipe to the next life of the worker, if one comes in time.
fn adopted(fifo: &Path, orphaned: Duration) -> Option<File> {
    use rustix::fs::{Mode, OFlags};
    let deadline = Instant::now() + orphaned;
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let mut look: File = rustix::fs::open(fifo, flags, Mode::empty()).ok()?.into();
    while Instant::now() < deadline {
        match look.read(&mut [0]) {
            // Nobody holds the other end.
            Ok(0) => std::thread::sleep(LOOK),
            // Somebody does, and says nothing yet: from here on it can be waited for.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                return rustix::fs::fcntl_setfl(&look, OFlags::RDONLY).is_ok().then_some(look);
            }
            // Somebody said it at once and went.
            Ok(_) | Err(_) => return None,
        }
    }
    None
}

/// Waits for the trial and its orphans; on the worker's word or death, ends them.
fn attend(
    child: Pid,
    arguments: &Arguments,
    (fifo, may_be_adopted): (PathBuf, bool),
    cgroup: Option<&Cgroup>,
) -> io::Result<Exit> {
    let this = rustix::process::getpid();
    let grace = arguments.grace;
    let orphaned = if may_be_adopted { arguments.orphaned } else { Duration::ZERO };
    let was_stopped = Arc::new(AtomicBool::new(false));
    let stopped = was_stopped.clone();
    let (over, is_over) = mpsc::channel::<()>();
    std::thread::Builder::new().name("stop".to_owned()).spawn(move || {
        word_to_stop(&fifo, orphaned);
        stopped.store(true, Ordering::SeqCst);
        let _ = rustix::process::kill_process_group(child, Signal::TERM);
        if is_over.recv_timeout(grace) == Err(mpsc::RecvTimeoutError::Timeout) {
            kill_tree(this);
        }
    })?;
    let mut status = None;
    while status.is_none() {
        // Orphans that end are reaped on the way.
        let reaped = rustix::process::wait(WaitOptions::empty())?;
        status = reaped.filter(|(pid, _)| *pid == child).map(|(_, ended)| ended);
    }
    drop(over);
    // What a trial leaves behind (daemons, data loaders) ends with it.
    kill_tree(this);
    if let Some(cgroup) = cgroup {
        cgroup.kill();
    }
    while let Ok(Some(_)) = rustix::process::wait(WaitOptions::empty()) {}
    let status: Option<WaitStatus> = status;
    Ok(Exit {
        code: status.and_then(WaitStatus::exit_status),
        signal: status.and_then(WaitStatus::terminating_signal),
        not_started: None,
        cpu_ms: children_cpu_ms().unwrap_or(0),
        at_ms: boot_ms(),
        was_stopped: was_stopped.load(Ordering::SeqCst),
    })
}

/// Now, in milliseconds on the boot clock.
pub(crate) fn boot_ms() -> u64 {
    u64::try_from(gramwise_meter::boot_time().as_millis()).unwrap_or(u64::MAX)
}

/// Written whole or not at all: beside, flushed, and renamed.
fn write_whole(path: &Path, what: &impl Serialize) -> io::Result<()> {
    let beside = path.with_extension("tmp");
    let mut file = File::create(&beside)?;
    file.write_all(&serde_json::to_vec(what).map_err(io::Error::other)?)?;
    file.sync_all()?;
    std::fs::rename(beside, path)
}
