//! What trials wrote, wherever they ran: kept beside the database, so that `gramwise logs` finds it when the host is gone.
//!
//! A stream that grows long is continued in a new file; the one before is kept under a name with the byte of the stream where it ends, such
//! as `stdout.log.8388608`, and what came before that is dropped. The whole is on the host that ran the trial.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use gramwise_model::AttemptId;

/// Bytes of one file of a stream.
const LONG: u64 = 8 << 20;
/// Bytes that a worker hands over at once at most.
pub(crate) const LARGEST_PIECE: usize = 256 << 10;
/// Streams whose lengths are remembered; of others the file says how long it is.
const REMEMBERED: usize = 4096;

/// The kept outputs.
#[derive(Debug, Clone)]
pub(crate) struct Outputs {
    files: Arc<Path>,
    /// How far each stream is known.
    through: Arc<Mutex<HashMap<PathBuf, u64>>>,
}

impl Outputs {
    pub(crate) fn new(files: &Path) -> Self {
        Self { files: files.into(), through: Arc::default() }
    }

    /// Takes in a piece that begins at an offset; answers how far the stream is known then. A piece that is known already, or of which
    /// an earlier one is missing, changes nothing.
    pub(crate) fn append(
        &self,
        attempt: AttemptId,
        name: &str,
        offset: u64,
        bytes: &[u8],
    ) -> io::Result<u64> {
        let folder = self.files.join(attempt.folder());
        let path = folder.join(name);
        let mut through = self.through.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match through.get(&path) {
            Some(known) => *known,
            None => end_of(&path),
        };
        let new = known.checked_sub(offset).and_then(|skip| bytes.get(usize::try_from(skip).ok()?..));
        let Some(new) = new else { return Ok(known) };
        fs::create_dir_all(&folder)?;
        let length = path.metadata().map_or(0, |found| found.len());
        if length + new.len() as u64 > LONG {
            let before = earlier(&path);
            // One rename: it says both where the old file ends and where the new one begins.
            fs::rename(&path, path.with_extension(format!("log.{known}")))?;
            for (_, file) in before {
                // One that stays is older than the newest, and not read.
                let _ = fs::remove_file(file);
            }
        }
        let mut file = File::options().create(true).append(true).open(&path)?;
        let length = file.metadata()?.len();
        if let Err(error) = file.write_all(new) {
            // A full disk takes a part, which would be there twice when it comes again.
            let _ = file.set_len(length);
            return Err(error);
        }
        if through.len() >= REMEMBERED {
            through.clear();
        }
        through.insert(path, known + new.len() as u64);
        Ok(known + new.len() as u64)
    }
}

/// Where in its stream a file ends.
fn end_of(path: &Path) -> u64 {
    let length = path.metadata().map_or(0, |found| found.len());
    begin_of(path) + length
}

/// Where in its stream a file begins: where the one before it ends.
fn begin_of(path: &Path) -> u64 {
    earlier(path).last().map_or(0, |(end, _)| *end)
}

/// The files that a stream was continued from, with where they end, the last one last. There is one at most, but for a moment.
fn earlier(path: &Path) -> Vec<(u64, PathBuf)> {
    let folder = path.parent().and_then(|folder| fs::read_dir(folder).ok());
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let end =
        |file: &PathBuf| file.file_name()?.to_str()?.strip_prefix(&name)?.strip_prefix('.')?.parse().ok();
    let files = folder.into_iter().flatten().filter_map(Result::ok).map(|entry| entry.path());
    let mut found: Vec<(u64, PathBuf)> = files.filter_map(|file| Some((end(&file)?, file))).collect();
    found.sort();
    found
}

/// What is there of a stream from a byte on, as far as it was kept, with the byte where that begins. It is what a trial wrote, with files
/// that are continued in new ones ([`Outputs`]), or whose beginning the worker let go of.
pub fn kept_output(path: &Path, from: u64) -> io::Result<(u64, Vec<u8>)> {
    use rustix::fs::SeekFrom::Data;
    let before = earlier(path).pop();
    let begin = before.as_ref().map_or(0, |(end, _)| *end);
    let mut bytes = Vec::new();
    let mut at = from.max(begin);
    if let Some((_, before)) = before.filter(|_| from < begin) {
        let earlier = fs::read(before).unwrap_or_default();
        let starts = begin.saturating_sub(earlier.len() as u64);
        at = from.max(starts);
        bytes.extend(earlier.get(usize::try_from(at - starts).unwrap_or(usize::MAX)..).unwrap_or_default());
    }
    let mut file = match File::open(path) {
        // It has been continued in a file that is about to be there.
        Err(error) if error.kind() == io::ErrorKind::NotFound && !bytes.is_empty() => return Ok((at, bytes)),
        opened => opened?,
    };
    let within = from.saturating_sub(begin);
    // An error says that there is nothing more, or that holes are not known here.
    let data = rustix::fs::seek(&file, Data(within)).unwrap_or(within);
    if bytes.is_empty() {
        at = begin + data;
    }
    file.seek(SeekFrom::Start(data))?;
    file.read_to_end(&mut bytes)?;
    Ok((at, bytes))
}

#[cfg(test)]
mod tests {
    use gramwise_model::{SweepId, TrialId};

    use super::*;

    const ATTEMPT: AttemptId = AttemptId { sweep: SweepId(1), trial: TrialId(2), number: 3 };

    #[test]
    fn pieces_that_come_twice_or_too_early_change_nothing() {
        let files = tempfile::tempdir().unwrap();
        let outputs = Outputs::new(files.path());
        let append = |offset, bytes: &[u8]| outputs.append(ATTEMPT, "stdout.log", offset, bytes).unwrap();
        assert_eq!(append(0, b"hello "), 6);
        assert_eq!(append(0, b"hello "), 6);
        assert_eq!(append(3, b"lo world"), 11);
        assert_eq!(append(20, b"later"), 11, "what is between is missing");
        let path = files.path().join("sweep-1/trial-2/attempt-3/stdout.log");
        assert_eq!(fs::read_to_string(&path).unwrap(), "hello world");
        let again = Outputs::new(files.path());
        assert_eq!(again.append(ATTEMPT, "stdout.log", 6, b"world!").unwrap(), 12);
        assert_eq!(fs::read_to_string(&path).unwrap(), "hello world!");
    }

    #[test]
    fn a_long_stream_goes_on_in_a_new_file() {
        let files = tempfile::tempdir().unwrap();
        let outputs = Outputs::new(files.path());
        let piece = vec![b'x'; LARGEST_PIECE];
        let mut through = 0;
        while through <= LONG {
            through = outputs.append(ATTEMPT, "stderr.log", through, &piece).unwrap();
        }
        let length = |name: &str| {
            fs::metadata(files.path().join("sweep-1/trial-2/attempt-3").join(name)).unwrap().len()
        };
        assert_eq!(
            (length(&format!("stderr.log.{LONG}")), length("stderr.log")),
            (LONG, LARGEST_PIECE as u64)
        );
        // What is printed goes on where it was, over the change of files; of what is gone, nothing is printed.
        let kept = |from: u64| {
            let (at, bytes) =
                kept_output(&files.path().join("sweep-1/trial-2/attempt-3/stderr.log"), from).unwrap();
            (at, bytes.len() as u64)
        };
        assert_eq!(kept(0), (0, through));
        assert_eq!(kept(LONG - 5), (LONG - 5, LARGEST_PIECE as u64 + 5));
        assert_eq!(kept(through), (through, 0));
        while through <= 2 * LONG {
            through = outputs.append(ATTEMPT, "stderr.log", through, &piece).unwrap();
        }
        assert_eq!(kept(0), (LONG, through - LONG));
        assert_eq!(kept(2 * LONG + 1), (2 * LONG + 1, through - 2 * LONG - 1));
        // The coordinator was started again meanwhile.
        let again = Outputs::new(files.path());
        assert_eq!(again.append(ATTEMPT, "stderr.log", through, b"end").unwrap(), through + 3);
    }
}
