//! A cgroup (v2) for each trial, where this process may make one: its CPU time is then exact whatever the trial's processes do, and
//! ending it ends all of them. Nothing depends on it; without one, the process tree below the shim tells.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use gramwise_meter::{Finding, Status};
use rustix::fs::{FlockOperation, flock};
use rustix::process::{Pid, Signal, kill_process};

use crate::processes::started;

const MOUNT: &str = "/sys/fs/cgroup";
/// What the names of all begin with; then come the worker's process and a number.
const PREFIX: &str = "gramwise-";

/// The kernel's usual period of processor quotas, in microseconds.
const CPU_PERIOD_US: u64 = 100_000;

/// A trial's cgroup.
#[derive(Debug)]
pub(crate) struct Cgroup {
    folder: PathBuf,
}

/// The cgroup of this process, in which others may be made; `Err` says why not, in words.
fn own() -> Result<PathBuf, String> {
    let membership =
        fs::read_to_string("/proc/self/cgroup").map_err(|error| format!("/proc/self/cgroup: {error}"))?;
    own_at(Path::new(MOUNT), &membership)
}

fn own_at(mount: &Path, membership: &str) -> Result<PathBuf, String> {
    // A hybrid host has version 2 beside version 1.
    let roots = [mount.to_owned(), mount.join("unified")];
    let root = roots.iter().find(|root| root.join("cgroup.procs").exists()).ok_or("no cgroup v2 here")?;
    let path = membership.lines().find_map(|line| line.strip_prefix("0::/")).ok_or("no cgroup v2 here")?;
    let own = root.join(path);
    let probe =
        Cgroup::make_in(&own, "gramwise-probe").map_err(|error| format!("{}: {error}", own.display()))?;
    probe.remove();
    Ok(own)
}

impl Cgroup {
    /// Makes one; `None` where that is not possible.
    pub(crate) fn make(name: &str) -> Option<Self> {
        let made = own().and_then(|own| Self::make_in(&own, name).map_err(|error| error.to_string()));
        made.inspect_err(|why| tracing::debug!(why, "no cgroup for the trial: its process tree is followed"))
            .ok()
    }

    fn make_in(own: &Path, name: &str) -> io::Result<Self> {
        let folder = own.join(name);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {} // Of an earlier life of the same number.
            made => made?,
        }
        Ok(Self { folder })
    }

    /// One that was made, in the shim.
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self { folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Runs something in it: what it starts stays, this process comes back. A process that must not be ended with its trial can
    /// start it so, without a moment in which the trial is outside.
    pub(crate) fn within<T>(&self, act: impl FnOnce() -> T) -> T {
        // Where it cannot be entered, the trial runs where its shim does.
        let is_in = fs::write(self.folder.join("cgroup.procs"), "0").is_ok();
        let done = act();
        if let Some(outside) = self.folder.parent().filter(|_| is_in) {
            let _ = fs::write(outside.join("cgroup.procs"), "0");
        }
        done
    }

    /// Says that its shim lives, for as long as the answer is kept: the kernel lets go of the lock with the process.
    pub(crate) fn held(&self) -> Option<File> {
        let folder = File::open(&self.folder).ok()?;
        flock(&folder, FlockOperation::NonBlockingLockShared).ok()?;
        Some(folder)
    }

    /// Does its shim live?
    fn is_held(&self) -> bool {
        let lock = |folder: File| flock(&folder, FlockOperation::NonBlockingLockExclusive);
        File::open(&self.folder).is_ok_and(|folder| lock(folder) == Err(rustix::io::Errno::WOULDBLOCK))
    }

    /// Ends all that is in it.
    pub(crate) fn kill(&self) {
        let file = self.folder.join("cgroup.kill");
        if file.exists() {
            let _ = fs::write(file, "1");
            return;
        }
        // Before Linux 5.14: one by one, until nobody is left to fork.
        for _ in 0..100 {
            let members = fs::read_to_string(self.folder.join("cgroup.procs")).unwrap_or_default();
            let members: Vec<Pid> =
                members.lines().filter_map(|line| Pid::from_raw(line.trim().parse().ok()?)).collect();
            if members.is_empty() {
                return;
            }
            for member in members {
                let _ = kill_process(member, Signal::KILL);
            }
        }
    }

    /// The name of a cgroup for a trial of this process: with the time it was started, as numbers are used again.
    pub(crate) fn name(number: u64) -> String {
        let process = std::process::id();
        format!("{PREFIX}{process}-{}-{number}", started(process).unwrap_or(0))
    }

    /// Bounds what all in it use together, where the controllers can be had: what wants more memory is ended by the kernel, what wants
    /// more processor time waits.
    pub(crate) fn limit(&self, cpus: Option<u32>, memory: Option<u64>) {
        let quota = |cpus| u64::from(cpus) * CPU_PERIOD_US;
        let cpus = cpus.map(|cpus: u32| ("cpu", "cpu.max", format!("{} {CPU_PERIOD_US}", quota(cpus))));
        let memory = memory.map(|bytes| ("memory", "memory.max", bytes.to_string()));
        for (controller, file, most) in cpus.into_iter().chain(memory) {
            if let Some(parent) = self.folder.parent() {
                // It is on already, or cannot be had: processes of its own stand in the way, or nobody delegated it.
                let _ = fs::write(parent.join("cgroup.subtree_control"), format!("+{controller}"));
            }
            if let Err(error) = fs::write(self.folder.join(file), most) {
                tracing::debug!(%error, controller, "a trial cannot be limited here");
            }
        }
    }

    /// CPU time of all that was ever in it.
    pub(crate) fn cpu(&self) -> Option<Duration> {
        gramwise_meter::cgroup_cpu(&self.folder)
    }

    /// Removes it; the kernel refuses while something is in it.
    pub(crate) fn remove(&self) {
        for _ in 0..50 {
            if fs::remove_dir(&self.folder).is_ok() || !self.folder.exists() {
                return;
            }
            std::thread::sleep(Duration::from_millis(2)); // What was killed is leaving.
        }
    }
}

/// Ends what workers left that were killed together with their shims, and removes their cgroups. What has its shim has somebody who
/// ends it: it may be another worker's by now.
pub(crate) fn sweep_up() {
    if let Ok(own) = own() {
        sweep_up_at(&own);
    }
}

fn sweep_up_at(own: &Path) {
    let left = |folder: &PathBuf| {
        let name = folder.file_name()?.to_str()?.strip_prefix(PREFIX)?;
        let mut parts = name.split('-').map(str::parse::<u64>);
        let (process, start) = (u32::try_from(parts.next()?.ok()?).ok()?, parts.next()?.ok()?);
        // Not one of ours without a number after these.
        parts.next()?.ok()?;
        (started(process) != Some(start)).then_some(())
    };
    let entries = fs::read_dir(own).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    for cgroup in entries.filter(|folder| left(folder).is_some()).map(Cgroup::at) {
        if !cgroup.is_held() {
            tracing::debug!(cgroup = %cgroup.folder.display(), "of a worker that is gone: ended");
            cgroup.kill();
            cgroup.remove();
        }
    }
}

/// How trials' CPU time is known here, for `gramwise doctor`.
pub fn finding() -> Finding {
    let component = "trials".to_owned();
    match own() {
        Ok(own) => {
            let how = format!("a cgroup each, in {}: exact CPU time, and nothing escapes", own.display());
            Finding { component, status: Status::Measured, how, fix: None }
        }
        Err(why) => Finding {
            component,
            status: Status::Modelled,
            how: format!("by process tree, 10 ms at a time ({why})"),
            fix: Some(
                "systemd-run --user --scope -p Delegate=yes gramwise run ...  (in a unit: Delegate=yes)"
                    .to_owned(),
            ),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A made-up mount: files where the kernel would have them.
    fn mount() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("cgroup.procs"), "").unwrap();
        fs::create_dir_all(root.path().join("user.slice/worker.scope")).unwrap();
        root
    }

    #[test]
    fn the_own_cgroup_is_found_by_membership_and_probed() {
        let root = mount();
        let own = own_at(root.path(), "2:cpuacct:/x\n0::/user.slice/worker.scope\n").unwrap();
        assert_eq!(own, root.path().join("user.slice/worker.scope"));
        assert_eq!(fs::read_dir(&own).unwrap().count(), 0, "the probe is gone");
        for (membership, what) in [("2:cpuacct:/x\n", "no cgroup v2"), ("0::/elsewhere\n", "No such file")] {
            assert!(own_at(root.path(), membership).unwrap_err().contains(what));
        }
        assert!(own_at(&root.path().join("user.slice"), "0::/\n").is_err());
        let hybrid = tempfile::tempdir().unwrap();
        fs::create_dir(hybrid.path().join("unified")).unwrap();
        fs::write(hybrid.path().join("unified/cgroup.procs"), "").unwrap();
        assert_eq!(own_at(hybrid.path(), "0::/\n").unwrap(), hybrid.path().join("unified/"));
    }

    #[test]
    fn what_is_left_is_ended_unless_its_shim_lives() {
        let own = tempfile::tempdir().unwrap();
        // No process was started at that time.
        let make = |name: &str| Cgroup::make_in(own.path(), name).unwrap();
        let (left, held) = (make("gramwise-1-77-1"), make("gramwise-1-77-2"));
        let mine = make(&Cgroup::name(3));
        make("gramwise-probe");
        let shim = held.held().unwrap();
        sweep_up_at(own.path());
        assert_eq!([&left, &held, &mine].map(|one| one.folder.exists()), [false, true, true]);
        drop(shim);
        sweep_up_at(own.path());
        assert!(!held.folder.exists() && mine.folder.exists());
    }

    #[test]
    fn limits_are_what_the_kernel_reads() {
        let own = tempfile::tempdir().unwrap();
        let cgroup = Cgroup::make_in(own.path(), "gramwise-1-2-3").unwrap();
        cgroup.limit(Some(3), Some(1 << 30));
        let read = |file: &str| fs::read_to_string(cgroup.folder.join(file)).unwrap();
        assert_eq!(
            (read("cpu.max"), read("memory.max")),
            ("300000 100000".to_owned(), "1073741824".to_owned())
        );
    }

    #[test]
    fn a_trial_is_started_inside_by_a_shim_that_comes_back() {
        let root = mount();
        let own = root.path().join("user.slice/worker.scope");
        fs::write(own.join("cgroup.procs"), "").unwrap();
        let cgroup = Cgroup::make_in(&own, "gramwise-1-2-1").unwrap();
        let read = |file: &str| fs::read_to_string(cgroup.folder().join(file)).unwrap_or_default();
        let inside =
            cgroup.within(|| (read("cgroup.procs"), fs::read_to_string(own.join("cgroup.procs")).unwrap()));
        assert_eq!(inside, ("0".to_owned(), String::new()));
        assert_eq!(fs::read_to_string(own.join("cgroup.procs")).unwrap(), "0", "and back");
        fs::write(cgroup.folder().join("cgroup.kill"), "").unwrap();
        cgroup.kill();
        assert_eq!(read("cgroup.kill"), "1");
        fs::write(cgroup.folder().join("cpu.stat"), "usage_usec 1234567\nuser_usec 1\n").unwrap();
        assert_eq!(cgroup.cpu(), Some(Duration::from_micros(1_234_567)));
        let nowhere = Cgroup::at(root.path().join("nowhere/at/all"));
        assert_eq!(nowhere.within(|| 5), 5);
        assert_eq!(nowhere.cpu(), None);
        nowhere.remove();
    }
}
