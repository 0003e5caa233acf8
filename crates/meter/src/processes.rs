//! CPU time and memory of process trees, from `/proc`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What the meter asks about processes.
pub(crate) trait ProcessTable: Send + std::fmt::Debug {
    /// The identity of a running process, which its number is not: numbers are used again.
    fn identify(&self, process: u32) -> Option<Root>;
    /// What a tree used; `None` once its root has ended.
    fn tree(&self, root: Root) -> Option<Usage>;
    /// CPU time of this process itself, without its children.
    fn own(&self) -> Option<Duration>;
    /// CPU time of the host since it was started: everything but idling and waiting for disks.
    fn host(&self) -> Option<Duration>;
}

/// CPU time of all that was ever in a cgroup (v2), by its `cpu.stat`.
pub fn cgroup_cpu(folder: &Path) -> Option<Duration> {
    let text = std::fs::read_to_string(folder.join("cpu.stat")).ok()?;
    let usage = text.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
    usage.trim().parse().ok().map(Duration::from_micros)
}

/// Memory that a cgroup (v2) holds now, in bytes, where its controller is on.
pub(crate) fn cgroup_memory(folder: &Path) -> Option<u64> {
    std::fs::read_to_string(folder.join("memory.current")).ok()?.trim().parse().ok()
}

/// The root of a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Root {
    pub(crate) process: u32,
    /// When it started, in clock ticks since boot.
    pub(crate) started: u64,
}

/// The table that the kernel keeps in `/proc`.
#[derive(Debug, Clone)]
pub(crate) struct Processes {
    root: PathBuf,
    ticks_per_second: u64,
    page_bytes: u64,
}

/// What a process tree used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Usage {
    /// CPU time since the tree began, ended and reaped members included.
    pub(crate) cpu: Duration,
    /// Memory resident now, in bytes; pages that members share count once for each.
    pub(crate) resident: u64,
}

/// The figures of one process that are needed here.
struct Stat {
    parent: u32,
    own_ticks: u64,
    reaped_ticks: u64,
    started: u64,
    resident_pages: u64,
}

impl Processes {
    pub(crate) fn at(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            ticks_per_second: rustix::param::clock_ticks_per_second(),
            page_bytes: rustix::param::page_size() as u64,
        }
    }

    /// A tree's members, each after its parent: a child that is reaped while the tree is read is then missed this time rather
    /// than counted twice.
    fn members(&self, root: u32) -> Vec<u32> {
        let mut members = vec![root];
        let mut index = 0;
        let mut everyone: Option<BTreeMap<u32, Vec<u32>>> = None;
        while let Some(member) = members.get(index).copied() {
            match self.children(member) {
                Some(children) => members.extend(children),
                // Kernels without that file: look at all processes, once.
                None => members.extend(
                    everyone.get_or_insert_with(|| self.by_parent()).remove(&member).unwrap_or_default(),
                ),
            }
            index += 1;
        }
        members
    }

    fn time(&self, ticks: u64) -> Duration {
        Duration::from_micros(ticks * 1_000_000 / self.ticks_per_second)
    }

    /// Children of all threads of a process; `None` where the kernel does not tell.
    fn children(&self, process: u32) -> Option<Vec<u32>> {
        let threads = std::fs::read_dir(self.root.join(process.to_string()).join("task")).ok()?;
        let mut found = Vec::new();
        for thread in threads.filter_map(Result::ok) {
            match std::fs::read_to_string(thread.path().join("children")) {
                Ok(text) => found.extend(text.split_whitespace().filter_map(|word| word.parse::<u32>().ok())),
                // The thread ended meanwhile, or there is no such file at all.
                Err(_) if thread.path().exists() => return None,
                Err(_) => {}
            }
        }
        Some(found)
    }

    fn by_parent(&self) -> BTreeMap<u32, Vec<u32>> {
        let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for entry in std::fs::read_dir(&self.root).into_iter().flatten().filter_map(Result::ok) {
            let Some(process) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            if let Some(stat) = self.stat(process) {
                children.entry(stat.parent).or_default().push(process);
            }
        }
        children
    }

    fn stat(&self, process: u32) -> Option<Stat> {
        let text = std::fs::read_to_string(self.root.join(process.to_string()).join("stat")).ok()?;
        // The name in brackets may hold anything; after it come state, parent, ... (proc(5), counted from 3).
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_whitespace().collect();
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Stat {
            parent: u32::try_from(field(4)?).ok()?,
            own_ticks: field(14)? + field(15)?,
            reaped_ticks: field(16)? + field(17)?,
            started: field(22)?,
            resident_pages: field(24)?,
        })
    }
}

impl ProcessTable for Processes {
    fn identify(&self, process: u32) -> Option<Root> {
        Some(Root { process, started: self.stat(process)?.started })
    }

    /// A member whose parent died before it is found through the subreaper that adopted it, which the root of each trial's
    /// tree is.
    fn tree(&self, root: Root) -> Option<Usage> {
        if self.identify(root.process)? != root {
            return None;
        }
        let stats = self.members(root.process).into_iter().filter_map(|member| self.stat(member));
        let (mut ticks, mut pages) = (0, 0);
        for stat in stats {
            ticks += stat.own_ticks + stat.reaped_ticks;
            pages += stat.resident_pages;
        }
        Some(Usage { cpu: self.time(ticks), resident: pages * self.page_bytes })
    }

    fn own(&self) -> Option<Duration> {
        Some(self.time(self.stat(std::process::id())?.own_ticks))
    }

    fn host(&self) -> Option<Duration> {
        let text = std::fs::read_to_string(self.root.join("stat")).ok()?;
        let mut fields = text.lines().next()?.split_whitespace().skip(1).map(str::parse::<u64>);
        let mut ticks = 0;
        // user nice system [idle iowait] irq softirq [steal]; guest time is in user already, and what a hypervisor stole was
        // not used here.
        for index in 0..7 {
            let value = fields.next()?.ok()?;
            ticks += if index == 3 || index == 4 { 0 } else { value };
        }
        Some(self.time(ticks))
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Child, Command, Stdio};
    use std::time::Instant;

    use super::*;

    const DEADLINE: Duration = Duration::from_secs(30);

    /// A shell that runs a script and then waits for its input to end.
    fn shell(script: &str) -> Child {
        let script = format!("{script}; read line");
        Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap()
    }

    /// Looks at a tree until it satisfies a condition.
    fn wait(processes: &Processes, root: Root, met: impl Fn(Usage) -> bool) -> Usage {
        let began = Instant::now();
        loop {
            let usage = processes.tree(root).unwrap();
            if met(usage) {
                return usage;
            }
            assert!(began.elapsed() < DEADLINE, "the tree used {usage:?}");
            std::thread::yield_now();
        }
    }

    #[test]
    fn a_tree_counts_children_that_ended_already() {
        let mut shell = shell("sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'");
        let processes = Processes::at(Path::new("/proc"));
        let root = processes.identify(shell.id()).unwrap();
        // The shell's child burns CPU and is reaped; then only the shell is left, which did next to nothing itself.
        let all =
            |usage: Usage| usage.cpu >= Duration::from_millis(50) && processes.members(shell.id()).len() == 1;
        assert!(wait(&processes, root, all).resident > 0);
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert_eq!(processes.tree(root), None);
    }

    #[test]
    fn a_tree_reaches_grandchildren_that_still_run() {
        let mut shell = shell("sh -c 'timeout 20 sh -c \"while :; do :; done\" & wait' & child=$!");
        let processes = Processes::at(Path::new("/proc"));
        let root = processes.identify(shell.id()).unwrap();
        wait(&processes, root, |usage| usage.cpu >= Duration::from_millis(50));
        let members = processes.members(shell.id());
        assert!(members.len() >= 3, "{members:?}");
        for member in members.iter().skip(1) {
            let number = i32::try_from(*member).unwrap();
            let process = rustix::process::Pid::from_raw(number).unwrap();
            let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
        }
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }

    #[test]
    fn a_number_that_is_used_again_is_another_process() {
        let processes = Processes::at(Path::new("/proc"));
        let root = processes.identify(std::process::id()).unwrap();
        assert!(processes.tree(root).is_some());
        assert_eq!(processes.tree(Root { started: root.started + 1, ..root }), None);
        assert_eq!(processes.identify(u32::MAX), None);
    }

    #[test]
    fn names_may_hold_anything() {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("42")).unwrap();
        let fields: Vec<String> = (3..=52).map(|number| (number * 10).to_string()).collect();
        std::fs::write(root.path().join("42/stat"), format!("42 (a) R) {}", fields.join(" "))).unwrap();
        let stat = Processes::at(root.path()).stat(42).unwrap();
        assert_eq!((stat.parent, stat.own_ticks, stat.reaped_ticks), (40, 290, 330));
        assert_eq!((stat.started, stat.resident_pages), (220, 240));
    }

    #[test]
    fn busy_time_is_neither_idle_nor_stolen() {
        let root = tempfile::tempdir().unwrap();
        std::fs::write(root.path().join("stat"), "cpu  100 20 3 9999 9999 400 5000 77777 60 7\ncpu0 1\n")
            .unwrap();
        let processes = Processes::at(root.path());
        assert_eq!(processes.host(), Some(processes.time(5523)));
        assert_eq!(Processes::at(Path::new("/nonexistent")).host(), None);
        let here = Processes::at(Path::new("/proc"));
        assert!(here.host().unwrap() > Duration::ZERO);
        assert!(here.own().is_some());
    }
}
