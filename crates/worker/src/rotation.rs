//! Outputs that grow without end: what was read of them is let go of, all but the last part.
//!
//! The trial holds its files open, so that they cannot be continued in others. Their beginnings become holes instead, which take no room
//! (fallocate(2), `FALLOC_FL_PUNCH_HOLE`); every byte keeps its place. Where a file system has no holes, files grow.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{FallocateFlags, SeekFrom, fallocate, seek};

/// A file that takes more room than this is cut.
const LONG: u64 = 64 << 20;
/// So much of its end is kept.
const KEPT: u64 = 16 << 20;
/// File systems let go of whole blocks.
const BLOCK: u64 = 4096;

/// Lets go of the beginning of a file that has become long, as far as it was read.
pub(crate) fn bound(path: &Path, read: u64) {
    let Ok(found) = path.metadata() else { return };
    if found.blocks().saturating_mul(512) <= LONG {
        return;
    }
    let end = read.min(found.len().saturating_sub(KEPT)) / BLOCK * BLOCK;
    let cut = |file: File| fallocate(file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, 0, end);
    if end > 0
        && let Ok(file) = File::options().write(true).open(path)
        && let Err(error) = cut(file)
    {
        tracing::debug!(%error, path = %path.display(), "no holes here: a long output stays");
    }
}

/// The first byte from a place on that was not let go of.
pub(crate) fn first_kept(file: &File, from: u64) -> u64 {
    // An error says that there is nothing more, or that holes are not known here.
    seek(file, SeekFrom::Data(from)).unwrap_or(from)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_long_file_keeps_its_end_and_its_places() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stdout.log");
        let mut file = File::options().create(true).append(true).open(&path).unwrap();
        let room = || path.metadata().unwrap().blocks() * 512;
        let piece = vec![b'x'; 1 << 20];
        for _ in 0..70 {
            file.write_all(&piece).unwrap();
        }
        bound(&path, 0);
        assert!(room() >= LONG, "nobody has read it yet");
        bound(&path, 70 << 20);
        let kept = File::open(&path).unwrap();
        if first_kept(&kept, 0) == 0 {
            return; // This file system has no holes.
        }
        assert!(room() <= KEPT + BLOCK * 256, "{}", room());
        assert_eq!((first_kept(&kept, 0), path.metadata().unwrap().len()), (54 << 20, 70 << 20));
        file.write_all(b"end").unwrap();
        assert_eq!(first_kept(&kept, 70 << 20), 70 << 20);
        assert_eq!(std::fs::read(&path).unwrap().len(), (70 << 20) + 3);
    }
}
