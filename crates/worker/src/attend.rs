//! A command metered by itself, without a sweep: in the terminal of whoever started it.
//!
//! Between the meter and the command stands the same binary, re-executed, as the shim stands before a trial. It adopts orphans,
//! so that their processor time is known, and ends with the command. Other than a shim it leaves the command its terminal and
//! its files, and ends nothing: what the command leaves behind goes on, unmetered.

use std::ffi::OsString;
use std::io;
use std::time::{Duration, Instant};

use gramwise_meter::{ConsumerId, HostSnapshot, MeterHandle};
use rustix::process::{Pid, Signal, WaitOptions, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::processes::{children_cpu_ms, descendants};

/// The hidden command that makes gramwise stand between the meter and a command.
pub const COMMAND: &str = "__attend";
/// Exit codes of a shell for what could not be started.
const NOT_FOUND: u8 = 127;
const NOT_EXECUTABLE: u8 = 126;

/// What a command burnt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Metered {
    /// Its exit code, or 128 and the signal that ended it.
    pub code: u8,
    /// How long it ran.
    pub took: Duration,
    /// What the host had burnt before.
    pub before: HostSnapshot,
    /// And after; the command is the only consumer.
    pub after: HostSnapshot,
}

impl Metered {
    /// The command, as the meter knows it.
    pub const CONSUMER: ConsumerId = ConsumerId(0);
}

/// Runs a command to its end with GPUs leased to it, by UUID. Ctrl-C is for the command to answer; SIGTERM and SIGHUP are passed
/// on to it.
pub async fn metered(command: &[OsString], gpus: &[String], meter: &MeterHandle) -> io::Result<Metered> {
    let before = snapshot(meter).await?;
    let began = Instant::now();
    meter.open(Metered::CONSUMER, gpus, None);
    let mut attendant =
        Command::new(std::env::current_exe()?).arg(COMMAND).args(command).kill_on_drop(true).spawn()?;
    if let Some(pid) = attendant.id() {
        meter.attach(Metered::CONSUMER, pid, None);
    }
    let code = passing_signals_on(&mut attendant).await?;
    let took = began.elapsed();
    meter.close(Metered::CONSUMER, children_cpu_ms().map(Duration::from_millis));
    Ok(Metered { code, took, before, after: snapshot(meter).await? })
}

async fn snapshot(meter: &MeterHandle) -> io::Result<HostSnapshot> {
    crate::snapshot(meter).await.ok_or_else(|| io::Error::other("the meter has ended"))
}

/// Stands between: starts the command, waits for it and for what it left and ended, and answers with its code.
pub fn main(command: &[OsString]) -> io::Result<u8> {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    let (program, arguments) = command.split_first().ok_or(io::ErrorKind::InvalidInput)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(async {
        match Command::new(program).args(arguments).spawn() {
            Ok(mut child) => passing_signals_on(&mut child).await,
            Err(error) => {
                eprintln!("error: cannot start `{}`: {error}", program.display());
                let is_missing = error.kind() == io::ErrorKind::NotFound;
                Ok(if is_missing { NOT_FOUND } else { NOT_EXECUTABLE })
            }
        }
    })?;
    // The processor time of an orphan that ended counts once it is reaped.
    while let Ok(Some(_)) = rustix::process::wait(WaitOptions::NOHANG) {}
    let left = descendants(rustix::process::getpid()).len();
    if left > 0 {
        eprintln!("warning: the command left processes that go on ({left}); what they burn is not metered");
    }
    Ok(code)
}

/// Waits for a child. A handler in place of a signal's default keeps Ctrl-C from ending this process before the child.
async fn passing_signals_on(child: &mut Child) -> io::Result<u8> {
    use std::os::unix::process::ExitStatusExt;
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let pass = |of: Signal| {
        if let Some(pid) = pid {
            let _ = kill_process(pid, of);
        }
    };
    let (mut interrupt, mut quit) = (signal(SignalKind::interrupt())?, signal(SignalKind::quit())?);
    let (mut terminate, mut hangup) = (signal(SignalKind::terminate())?, signal(SignalKind::hangup())?);
    let (mut terminated, mut hung_up) = (false, false);
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            // The terminal sends these to all of its foreground.
            _ = interrupt.recv() => {}
            _ = quit.recv() => {}
            // Once each: a second one is for many programs the word to drop everything.
            _ = terminate.recv(), if !terminated => {
                terminated = true;
                pass(Signal::TERM);
            }
            _ = hangup.recv(), if !hung_up => {
                hung_up = true;
                pass(Signal::HUP);
            }
        }
    };
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX))
}
