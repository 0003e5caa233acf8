//! Commands with a deadline, and processes by their number.

use std::fs::File;
use std::io::{Read, Seek};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::{DEADLINE, eventually};

/// A command that has ended.
#[derive(Debug)]
pub struct Done {
    /// The command line.
    pub command: String,
    /// The exit code; `None` if a signal ended it.
    pub code: Option<i32>,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

/// A command that runs. Killed when dropped.
#[derive(Debug)]
pub struct Running {
    command: String,
    child: Child,
    stdout: File,
    stderr: File,
}

/// Runs a command to its end.
///
/// # Panics
/// If it cannot be started, or has not ended at the [`DEADLINE`].
pub fn run(command: &mut Command) -> Done {
    Running::start(command).wait()
}

/// Is there a process of this number that is more than a zombie?
pub fn is_alive(pid: i32) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{pid}/stat")) else { return false };
    let state = stat.rsplit_once(')').and_then(|(_, rest)| rest.split_whitespace().next());
    !matches!(state, None | Some("Z" | "X"))
}

impl Running {
    /// Starts a command. Its output goes to files without a name, so that no pipe can fill up.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn start(command: &mut Command) -> Self {
        let file = || tempfile::tempfile().expect("a temporary file can be made");
        let (stdout, stderr) = (file(), file());
        let other = |file: &File| Stdio::from(file.try_clone().expect("a file can be opened twice"));
        let line = format!("{command:?}");
        let child = command.stdin(Stdio::null()).stdout(other(&stdout)).stderr(other(&stderr)).spawn();
        let child = child.unwrap_or_else(|error| panic!("cannot start {line}: {error}"));
        Self { command: line, child, stdout, stderr }
    }

    /// The process's number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal to the process, and to no other of its group.
    ///
    /// # Panics
    /// If the system refuses.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("a child that was not waited for can be signalled");
    }

    /// Has it ended?
    ///
    /// # Panics
    /// If the system does not know it.
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("a child can be asked for").is_some()
    }

    /// Waits for the end.
    ///
    /// # Panics
    /// If it has not ended at the [`DEADLINE`], with what it wrote until then.
    pub fn wait(self) -> Done {
        self.wait_for(DEADLINE)
    }

    /// Waits for the end, so long at most.
    ///
    /// # Panics
    /// If it has not ended then, with what it wrote until then.
    pub fn wait_for(mut self, within: Duration) -> Done {
        let what = format!("the end of {}", self.command);
        let status: ExitStatus =
            eventually(&what, within, || match self.child.try_wait().expect("a child can be asked for") {
                Some(status) => Ok(status),
                None => Err(format!("{}\n{}", text(&mut self.stdout), text(&mut self.stderr))),
            });
        Done {
            command: self.command.clone(),
            code: status.code(),
            stdout: text(&mut self.stdout),
            stderr: text(&mut self.stderr),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Errors say that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Done {
    /// Checks the exit code.
    ///
    /// # Panics
    /// If it is another, with all that the command wrote.
    #[track_caller]
    #[expect(
        clippy::return_self_not_must_use,
        reason = "most tests want to know only that it went as expected"
    )]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{self}");
        self
    }
}

impl std::fmt::Display for Done {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { command, code, stdout, stderr } = self;
        write!(formatter, "{command} ended with {code:?}\nstdout:\n{stdout}\nstderr:\n{stderr}")
    }
}

/// All that a file holds. Looked at while others write it: their place in it is theirs, as reopening gives a place of its own.
fn text(file: &mut File) -> String {
    use std::os::fd::AsRawFd;
    let mut bytes = Vec::new();
    let opened = File::open(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let read = opened.and_then(|mut own| own.rewind().and_then(|()| own.read_to_end(&mut bytes)));
    read.expect("a temporary file can be read");
    String::from_utf8_lossy(&bytes).into_owned()
}
