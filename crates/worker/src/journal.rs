//! The worker's own journal: what a life of it last knew, on disk before it is told.
//!
//! One file a life, in `<files>/workers`; one line a report, of which the last whole one counts. A life that says goodbye removes its
//! file. One that was killed leaves it, and the next life on the same files tells the coordinator what is missing: the last
//! totals, and what the hardware counted until the trials ended ([`HostMeter::settle`](gramwise_meter::HostMeter::settle)).

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use gramwise_meter::{ConsumerId, Handover, HostSnapshot};
use gramwise_model::work::Assignment;
use gramwise_model::{AttemptId, WorkerId};
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};

/// Lines are on disk at least this often. In between they are the kernel's, which a killed process does not take with it; after a
/// power cut counters and clocks begin anew, and a second of totals is all that is missing.
const FLUSH: Duration = Duration::from_secs(1);
/// A file that has grown so long begins again with its last line.
const LONG: u64 = 1 << 20;

/// What a life knew at one moment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// The host it lived on: its clock and its counters are of no other.
    pub(crate) host: String,
    pub(crate) worker: WorkerId,
    /// The number of the report that tells it.
    pub(crate) seq: u64,
    /// Attempts that the coordinator may not know the end of.
    pub(crate) attempts: BTreeMap<ConsumerId, AttemptId>,
    /// The last step of each that the coordinator has.
    #[serde(default)]
    pub(crate) steps: BTreeMap<ConsumerId, u64>,
    /// The consumers of `setup`, charged to overhead: one that was killed is followed by another.
    #[serde(default, deserialize_with = "none_one_or_more")]
    pub(crate) setup: Vec<ConsumerId>,
    /// Is `setup` done, where the sweep has one?
    #[serde(default)]
    pub(crate) is_set_up: bool,
    /// The number of the last call for work.
    #[serde(default)]
    pub(crate) request: u64,
    /// What the host had burnt when it began to serve the sweep.
    pub(crate) before: HostSnapshot,
    pub(crate) left: Handover,
}

/// A life's file, locked as long as it lives.
#[derive(Debug)]
pub(crate) struct Journal {
    path: PathBuf,
    file: File,
    length: u64,
    flushed: Instant,
}

/// A life that ended without a goodbye.
#[derive(Debug)]
pub(crate) struct Earlier {
    pub(crate) record: Record,
    path: PathBuf,
    /// So that no other worker settles it at the same time.
    lock: File,
}

/// An attempt that a worker holds, on disk before its first process and until its end is acknowledged.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Held {
    pub(crate) consumer: ConsumerId,
    pub(crate) assignment: Assignment,
    /// Where its trial finds the worker.
    pub(crate) socket: PathBuf,
    /// When it was taken, in milliseconds on the boot clock.
    pub(crate) taken_ms: u64,
}

fn folder(files: &Path) -> PathBuf {
    files.join("workers")
}

impl Journal {
    /// Begins a life's file.
    pub(crate) fn begin(files: &Path, worker: &WorkerId) -> io::Result<Self> {
        let folder = folder(files);
        fs::create_dir_all(&folder)?;
        let legal = |letter: char| {
            if letter.is_ascii_alphanumeric() || "-_.".contains(letter) { letter } else { '_' }
        };
        let path = folder.join(format!("{}.jsonl", worker.0.chars().map(legal).collect::<String>()));
        room(files)?;
        let file = create(&path)?;
        Ok(Self { path, file, length: 0, flushed: Instant::now() })
    }

    /// Writes a record. Called before its report leaves.
    pub(crate) fn write(&mut self, record: &Record) -> io::Result<()> {
        let mut line = serde_json::to_vec(record).map_err(io::Error::other)?;
        line.push(b'\n');
        if self.length > LONG {
            let beside = self.path.with_extension("new");
            let mut file = create(&beside)?;
            file.write_all(&line)?;
            file.sync_data()?;
            fs::rename(&beside, &self.path)?;
            (self.file, self.length) = (file, line.len() as u64);
            return Ok(());
        }
        self.file.write_all(&line)?;
        self.length += line.len() as u64;
        if self.flushed.elapsed() >= FLUSH {
            self.file.sync_data()?;
            self.flushed = Instant::now();
        }
        Ok(())
    }

    /// Writes down that an attempt is held.
    pub(crate) fn hold(&self, held: &Held) -> io::Result<()> {
        let folder = held_in(&self.path);
        fs::create_dir_all(&folder)?;
        let (path, beside) = (folder.join(name_of(held.consumer)), folder.join("new"));
        let mut file = File::create(&beside)?;
        file.write_all(&serde_json::to_vec(held).map_err(io::Error::other)?)?;
        file.sync_data()?;
        fs::rename(beside, path)
    }

    /// Its end is acknowledged.
    pub(crate) fn let_go(&self, consumer: ConsumerId) {
        // One that stays is told again, which changes nothing.
        let _ = fs::remove_file(held_in(&self.path).join(name_of(consumer)));
    }

    /// The coordinator knows everything: nothing is left to tell.
    pub(crate) fn end(&self) {
        let _ = fs::remove_dir_all(held_in(&self.path));
        // A file that stays is settled by the next life, which changes nothing.
        let _ = fs::remove_file(&self.path);
    }
}

impl Earlier {
    /// The files of all lives, in the order of their names.
    pub(crate) fn paths(files: &Path) -> Vec<PathBuf> {
        let entries = fs::read_dir(folder(files)).into_iter().flatten().filter_map(Result::ok);
        let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
        paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
        paths.sort();
        paths
    }

    /// A life of this host that ended without a goodbye. The file of a worker that lives is locked, and left alone.
    pub(crate) fn open(path: PathBuf, host: &str) -> Option<Self> {
        // For writing too: some network file systems lock nothing else.
        let lock = File::options().read(true).write(true).open(&path).ok()?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive).ok()?;
        let bytes = fs::read(&path).ok()?;
        let mut lines = bytes.split(|byte| *byte == b'\n').rev();
        // The last line may be cut off.
        let Some(record) = lines.find_map(|line| serde_json::from_slice::<Record>(line).ok()) else {
            if bytes.contains(&b'\n') {
                tracing::warn!(path = %path.display(), "cannot read what an earlier worker left: it is of another version, or damaged");
            } else {
                let _ = fs::remove_file(&path); // A life that ended before it had anything to tell.
            }
            return None;
        };
        // Folders may be shared by hosts, and locks may not.
        (record.host == host).then_some(Self { record, path, lock })
    }

    /// The attempts that it held.
    pub(crate) fn held(&self) -> Vec<Held> {
        let entries = fs::read_dir(held_in(&self.path)).into_iter().flatten().filter_map(Result::ok);
        entries.filter_map(|entry| serde_json::from_slice(&fs::read(entry.path()).ok()?).ok()).collect()
    }

    /// The file as one of this life, which goes on with it.
    pub(crate) fn take_over(self) -> io::Result<Journal> {
        let Self { record: _, path, lock: mut file } = self;
        // What follows must not be the rest of a line that was cut off.
        let length = io::Seek::seek(&mut file, io::SeekFrom::End(0))?;
        file.write_all(b"\n")?;
        Ok(Journal { path, file, length: length + 1, flushed: Instant::now() })
    }

    /// It is settled.
    pub(crate) fn forget(self) {
        let _ = fs::remove_dir_all(held_in(&self.path));
        let _ = fs::remove_file(self.path);
    }
}

/// Is there room to write in a worker's folder? A disk that is full lets files be made, and nothing be written.
pub(crate) fn room(files: &Path) -> io::Result<()> {
    let probe = files.join(format!("probe-{}", std::process::id()));
    let written = fs::write(&probe, vec![0u8; 65_536]);
    let _ = fs::remove_file(&probe);
    written
}

/// Until one that was killed could be followed by another, there was one or none.
fn none_one_or_more<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<ConsumerId>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Setup {
        More(Vec<ConsumerId>),
        One(ConsumerId),
        None,
    }
    Ok(match Setup::deserialize(from)? {
        Setup::More(more) => more,
        Setup::One(one) => vec![one],
        Setup::None => Vec::new(),
    })
}

/// The folder of what a life holds.
fn held_in(journal: &Path) -> PathBuf {
    journal.with_extension("held")
}

fn name_of(consumer: ConsumerId) -> String {
    format!("{}.json", consumer.0)
}

/// A file of our own, locked.
fn create(path: &Path) -> io::Result<File> {
    let file = File::options().create(true).truncate(true).write(true).open(path)?;
    flock(&file, FlockOperation::NonBlockingLockExclusive)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(files: &Path, host: &str) -> Vec<Earlier> {
        Earlier::paths(files).into_iter().filter_map(|path| Earlier::open(path, host)).collect()
    }

    #[test]
    fn a_life_of_before_there_could_be_several_setups_is_read_too() {
        for (was, expected) in
            [("null", vec![]), ("3", vec![ConsumerId(3)]), ("[3,4]", vec![ConsumerId(3), ConsumerId(4)])]
        {
            let text = serde_json::to_string(&record(1))
                .unwrap()
                .replace("\"setup\":[]", &format!("\"setup\":{was}"));
            assert_eq!(serde_json::from_str::<Record>(&text).unwrap().setup, expected, "{text}");
        }
    }

    fn record(seq: u64) -> Record {
        let left = serde_json::json!({
            "boot": "b", "taken": {"boot": {"secs": 1, "nanos": 0}, "awake": {"secs": 1, "nanos": 0}},
            "snapshot": {"at": {"secs": 1, "nanos": 0}, "total": {}, "idle": {}, "overhead": {}, "other": {}, "consumers": {"1": {}}, "forgotten": {}},
            "lines": [], "cpu": {}, "roots": {}, "resident": [],
        });
        Record {
            host: "here".to_owned(),
            worker: WorkerId("a host/1".to_owned()),
            seq,
            attempts: BTreeMap::new(),
            steps: BTreeMap::new(),
            setup: Vec::new(),
            is_set_up: false,
            request: 0,
            before: HostSnapshot::default(),
            left: serde_json::from_value(left).unwrap(),
        }
    }

    #[test]
    fn the_last_whole_line_of_a_killed_life_is_found_by_the_next() {
        let files = tempfile::tempdir().unwrap();
        assert!(all(files.path(), "here").is_empty());
        let mut journal = Journal::begin(files.path(), &record(0).worker).unwrap();
        journal.write(&record(1)).unwrap();
        journal.write(&record(2)).unwrap();
        assert!(all(files.path(), "here").is_empty(), "it lives");
        let path = journal.path.clone();
        drop(journal);
        File::options().append(true).open(&path).unwrap().write_all(b"{\"worker\":").unwrap();
        assert!(all(files.path(), "elsewhere").is_empty(), "it is not theirs");
        let found = all(files.path(), "here");
        assert_eq!(found.iter().map(|life| &life.record).collect::<Vec<_>>(), [&record(2)]);
        assert!(all(files.path(), "here").is_empty(), "somebody settles it");
        found.into_iter().for_each(Earlier::forget);
        assert!(all(files.path(), "here").is_empty() && !path.exists());
    }

    #[test]
    fn a_life_that_says_goodbye_and_one_that_had_nothing_to_tell_leave_nothing() {
        let files = tempfile::tempdir().unwrap();
        let mut journal = Journal::begin(files.path(), &record(0).worker).unwrap();
        journal.write(&record(1)).unwrap();
        journal.end();
        drop(Journal::begin(files.path(), &record(0).worker).unwrap());
        assert!(all(files.path(), "here").is_empty());
        assert_eq!(fs::read_dir(folder(files.path())).unwrap().count(), 0);
    }

    #[test]
    fn a_long_file_begins_again_with_its_last_line() {
        let files = tempfile::tempdir().unwrap();
        let mut journal = Journal::begin(files.path(), &record(0).worker).unwrap();
        for seq in 1..=6000 {
            journal.write(&record(seq)).unwrap();
        }
        assert!(fs::metadata(&journal.path).unwrap().len() < LONG + 4096);
        assert!(all(files.path(), "here").is_empty(), "the new file is locked too");
        drop(journal);
        assert_eq!(all(files.path(), "here")[0].record.seq, 6000);
    }
}
