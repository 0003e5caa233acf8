//! What trials wrote, wherever they ran: kept beside the database, so that `gramwise logs` finds it when the host is gone.
//!
//! A stream that grows long is continued in a new file; the one before is kept as `.1`, and what came before that is dropped. The
//! whole is on the host that ran the trial.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Write};
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
        let length = || path.metadata().map_or(0, |found| found.len());
        // After a restart a rotated stream's own file does not say how long it is: the worker does.
        let is_rotated = || path.with_extension("log.1").exists();
        let known =
            through.get(&path).copied().unwrap_or_else(|| if is_rotated() { offset } else { length() });
        let new = known.checked_sub(offset).and_then(|skip| bytes.get(usize::try_from(skip).ok()?..));
        let Some(new) = new else { return Ok(known) };
        fs::create_dir_all(&folder)?;
        if length() + new.len() as u64 > LONG {
            fs::rename(&path, path.with_extension("log.1"))?;
        }
        File::options().create(true).append(true).open(&path)?.write_all(new)?;
        if through.len() >= REMEMBERED {
            through.clear();
        }
        through.insert(path, known + new.len() as u64);
        Ok(known + new.len() as u64)
    }
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
        // The coordinator was started again meanwhile.
        let again = Outputs::new(files.path());
        assert_eq!(again.append(ATTEMPT, "stderr.log", through, b"end").unwrap(), through + 3);
    }
}
