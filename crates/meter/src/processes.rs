//! CPU time and memory of process trees, from `/proc`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where the figures of processes are.
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

/// CPU time of the whole host since it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct HostTime {
    /// Everything but idling and waiting for disks.
    pub(crate) busy: Duration,
}

/// The figures of one process that are needed here.
struct Stat {
    parent: u32,
    own_ticks: u64,
    reaped_ticks: u64,
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

    /// What a tree used; `None` if its root is gone. A member whose parent died before it is found through the subreaper that
    /// adopted it, which the root of each trial's tree is.
    pub(crate) fn tree(&self, root: u32) -> Option<Usage> {
        self.stat(root)?;
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
        let stats = members.iter().filter_map(|member| self.stat(*member));
        let (mut ticks, mut pages) = (0, 0);
        for stat in stats {
            ticks += stat.own_ticks + stat.reaped_ticks;
            pages += stat.resident_pages;
        }
        Some(Usage { cpu: self.time(ticks), resident: pages * self.page_bytes })
    }

    /// What one process used itself, without its children.
    pub(crate) fn own(&self, process: u32) -> Option<Usage> {
        let stat = self.stat(process)?;
        Some(Usage { cpu: self.time(stat.own_ticks), resident: stat.resident_pages * self.page_bytes })
    }

    /// CPU time of the host.
    pub(crate) fn host(&self) -> Option<HostTime> {
        let text = std::fs::read_to_string(self.root.join("stat")).ok()?;
        let mut fields = text.lines().next()?.split_whitespace().skip(1).map(str::parse::<u64>);
        let mut ticks = 0;
        // user nice system [idle iowait] irq softirq steal; guest time is in user already.
        for index in 0..8 {
            let value = fields.next()?.ok()?;
            ticks += if index == 3 || index == 4 { 0 } else { value };
        }
        Some(HostTime { busy: self.time(ticks) })
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
            resident_pages: field(24)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_tree_counts_children_that_ended_already() {
        // The shell's child burns CPU and is reaped; its time must be in the tree's.
        let mut shell = Command::new("sh")
            .args(["-c", "sh -c 'i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done'; read line"])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let processes = Processes::at(Path::new("/proc"));
        let began = std::time::Instant::now();
        let mut last = Usage::default();
        while last.cpu < Duration::from_millis(50) || processes.tree(shell.id()).is_none() {
            assert!(began.elapsed() < Duration::from_secs(30), "the tree used {last:?}");
            last = processes.tree(shell.id()).unwrap();
            std::thread::yield_now();
        }
        assert!(last.resident > 0);
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert_eq!(processes.tree(shell.id()), None);
    }

    #[test]
    fn the_host_was_busy_and_so_was_this_process() {
        let processes = Processes::at(Path::new("/proc"));
        assert!(processes.host().unwrap().busy > Duration::ZERO);
        assert!(processes.own(std::process::id()).is_some());
        assert_eq!(Processes::at(Path::new("/nonexistent")).host(), None);
    }
}
