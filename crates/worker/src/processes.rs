//! The descendants of a process, and ending all of them.

use rustix::process::{Pid, Signal, kill_process};

/// All descendants of a process that are there now, by the parent numbers in `/proc`. Orphans belong to the shim, which
/// is their subreaper, so a daemon that forked twice and left the session is still among them.
pub(crate) fn descendants(root: Pid) -> Vec<Pid> {
    let all = parents();
    let mut found = vec![root];
    let mut index = 0;
    while let Some(parent) = found.get(index).copied() {
        found.extend(all.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child));
        index += 1;
    }
    found.remove(0);
    found
}

/// Ends every descendant of a process: first all are stopped, so that none can fork while the others are killed. Until
/// none is left but zombies, which are reaped by whoever waits.
pub(crate) fn kill_tree(root: Pid) {
    for _round in 0..100 {
        let found = descendants(root);
        if found.is_empty() {
            return;
        }
        for pid in &found {
            let _ = kill_process(*pid, Signal::STOP);
        }
        // What was forked before its parent stopped is seen now.
        let all = descendants(root);
        for pid in &all {
            let _ = kill_process(*pid, Signal::KILL);
        }
        if all.len() == found.len() {
            return;
        }
    }
}

/// When a process was started, in ticks since boot; `None` if there is none.
pub(crate) fn started(process: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // After the name in brackets come state, parent, ...; the start is field 22 (proc(5), counted from 1).
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    // One that is over and not yet waited for is none.
    let state = fields.next()?;
    if state == "Z" { None } else { fields.nth(18)?.parse().ok() }
}

/// CPU time in milliseconds of all descendants of this process that were waited for: exact at the end, when all are.
pub(crate) fn children_cpu_ms() -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // After the name, cutime and cstime are the 14th and 15th fields.
    let ticks: u64 = fields.get(13)?.parse::<u64>().ok()? + fields.get(14)?.parse::<u64>().ok()?;
    Some(ticks * 1000 / rustix::param::clock_ticks_per_second())
}

fn parents() -> Vec<(Pid, Pid)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter_map(|entry| {
            let child = Pid::from_raw(entry.file_name().to_str()?.parse().ok()?)?;
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            // The name in brackets may hold spaces and brackets; the fields after it are state and parent.
            let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
            let state = fields.next()?;
            let parent = Pid::from_raw(fields.next()?.parse().ok()?)?;
            (state != "Z").then_some((child, parent))
        })
        .collect()
}
