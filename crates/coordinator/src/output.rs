//! What trials wrote, wherever they ran: kept beside the database, so that `gramwise logs` finds it when the host is gone.
//!
//! A stream that grows long is continued in a new file; the one before is kept as `.1`, and what came before that is dropped. The
//! whole is on the host that ran the trial.

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
/// The endings of the file that was continued, and of the one that says where the new one begins.
const EARLIER: &str = "log.1";
const BEGINS: &str = "log.from";

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
        if path.metadata().map_or(0, |found| found.len()) + new.len() as u64 > LONG {
            // First where the new file begins: should it end here, the old one is the longer for it.
            fs::write(path.with_extension(BEGINS), known.to_string())?;
            fs::rename(&path, path.with_extension(EARLIER))?;
        }
        File::options().create(true).append(true).open(&path)?.write_all(new)?;
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

/// Where in its stream a kept file begins: after what was continued in it.
fn begin_of(path: &Path) -> u64 {
    if !path.with_extension(EARLIER).exists() {
        return 0;
    }
    fs::read_to_string(path.with_extension(BEGINS))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

/// What is there of a stream from a byte on, as far as it was kept, with the byte where that begins. It is what a trial wrote, with files
/// that are continued in new ones ([`Outputs`]), or whose beginning the worker let go of.
pub fn kept_output(path: &Path, from: u64) -> io::Result<(u64, Vec<u8>)> {
    use rustix::fs::SeekFrom::Data;
    let begin = begin_of(path);
    let mut bytes = Vec::new();
    let mut at = from.max(begin);
    if from < begin {
        let earlier = fs::read(path.with_extension(EARLIER)).unwrap_or_default();
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
        assert_eq!((length("stderr.log.1"), length("stderr.log")), (LONG, LARGEST_PIECE as u64));
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
