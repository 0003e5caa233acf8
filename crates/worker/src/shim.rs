//! The process between a worker and a trial: the same binary, re-executed.
//!
//! It leads a session of its own (Ctrl-C in the worker's terminal does not reach the trial), adopts every orphan of the trial,
//! and leaves nothing behind: when the trial is over, or the worker closes the pipe (or dies, which closes it too), the whole
//! tree gets SIGTERM, a grace period, and SIGKILL. How it ended is written to a file, atomically.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, WaitStatus};
use serde::{Deserialize, Serialize};

use crate::cgroup::Cgroup;
use crate::processes::{children_cpu_ms, kill_tree};

/// The hidden command that makes gramwise a shim.
pub const COMMAND: &str = "__shim";

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
    /// The trial's cgroup, if it has one.
    pub cgroup: Option<PathBuf>,
    /// Program and arguments.
    pub command: Vec<String>,
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
}

impl Arguments {
    /// The command line that carries these arguments.
    pub(crate) fn to_words(&self) -> Vec<std::ffi::OsString> {
        let mut words: Vec<std::ffi::OsString> = vec![COMMAND.into()];
        words.extend([&self.exit, &self.stdout, &self.stderr].map(|path| path.clone().into_os_string()));
        words.push(self.grace.min(LONGEST_GRACE).as_millis().to_string().into());
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
    let cgroup = arguments.cgroup.clone().map(Cgroup::at);
    let started = match &cgroup {
        Some(cgroup) => cgroup.within(|| start(arguments)),
        None => start(arguments),
    };
    let mut exit = match started {
        Ok(child) => attend(child, arguments.grace, cgroup.as_ref())?,
        Err(error) => {
            let program = arguments.command.first().map_or("nothing", String::as_str);
            let not_started = Some(format!("cannot start `{program}`: {error}"));
            Exit { code: None, signal: None, not_started, cpu_ms: 0, at_ms: boot_ms() }
        }
    };
    if let Some(cpu) = cgroup.as_ref().and_then(Cgroup::cpu) {
        exit.cpu_ms = exit.cpu_ms.max(u64::try_from(cpu.as_millis()).unwrap_or(u64::MAX));
    }
    cgroup.iter().for_each(Cgroup::remove);
    write_exit(&arguments.exit, &exit)
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

/// Waits for the trial and its orphans; on the worker's word or death, ends them.
fn attend(child: Pid, grace: Duration, cgroup: Option<&Cgroup>) -> io::Result<Exit> {
    let this = rustix::process::getpid();
    let (over, is_over) = mpsc::channel::<()>();
    std::thread::Builder::new().name("stop".to_owned()).spawn(move || {
        let mut pipe = io::stdin();
        let mut byte = [0u8];
        // Either is the word to stop: a byte, or the pipe's end (the worker is gone).
        let _ = pipe.read(&mut byte);
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
    })
}

fn boot_ms() -> u64 {
    u64::try_from(gramwise_meter::boot_time().as_millis()).unwrap_or(u64::MAX)
}

/// Written whole or not at all: beside, flushed, and renamed.
fn write_exit(path: &Path, exit: &Exit) -> io::Result<()> {
    let beside = path.with_extension("tmp");
    let mut file = File::create(&beside)?;
    file.write_all(&serde_json::to_vec(exit).map_err(io::Error::other)?)?;
    file.sync_all()?;
    std::fs::rename(beside, path)
}
