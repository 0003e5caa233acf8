//! What can go wrong with a database, and what to do about it.

use std::path::PathBuf;

/// Why a database could not be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing is there.
    #[error("no database at {}\nhint: `gramwise run FILE` creates it; --db or $GRAMWISE_DB names another", .0.display())]
    Missing(PathBuf),
    /// Another coordinator writes it.
    #[error("{} is in use by another gramwise\nhint: wait for it to end, or give this one another --db", .0.display())]
    InUse(PathBuf),
    /// It is some other program's database, or none at all.
    #[error("{} is not a gramwise database\nhint: --db or $GRAMWISE_DB names another file", .0.display())]
    Foreign(PathBuf),
    /// A newer gramwise wrote it.
    #[error("{} has schema version {found}, this gramwise knows up to {known}\nhint: use the gramwise that wrote it, or a newer one", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The newest version known here.
        known: i64,
    },
    /// An older gramwise wrote it, and it cannot be brought up to date now.
    #[error("{} has schema version {found}, of an older gramwise, and cannot be brought up to date now: it is in use, or may not be written\nhint: end the coordinator that holds it, and start one of this version", path.display())]
    Older {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
    },
    /// It has a version's number and other tables: a gramwise wrote it that was never released.
    #[error("{at} is of a gramwise before its first release, whose tables were others\nhint: `mv {at} {at}.old`, or name another with --db", at = .0.display())]
    Unreleased(PathBuf),
    /// A file could not be opened or created.
    #[error("cannot open {}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A row does not hold what this program writes.
    #[error("the database is damaged: {0}\nhint: keep the file, and restore it from a copy")]
    Damaged(String),
    /// `SQLite` refused.
    #[error("the database refused: {0}")]
    Sqlite(rusqlite::Error),
}

impl Error {
    /// Is it for the user to mend: a name, a folder's rights, a disk without room?
    pub fn is_of_environment(&self) -> bool {
        use rusqlite::ErrorCode::{CannotOpen, DiskFull, PermissionDenied, ReadOnly, SystemIoFailure};
        match self {
            Self::Missing(_) | Self::File { .. } => true,
            Self::Sqlite(error) => matches!(
                error.sqlite_error_code(),
                Some(CannotOpen | DiskFull | PermissionDenied | ReadOnly | SystemIoFailure)
            ),
            Self::InUse(_)
            | Self::Foreign(_)
            | Self::Newer { .. }
            | Self::Older { .. }
            | Self::Unreleased(_)
            | Self::Damaged(_) => false,
        }
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
                Self::Damaged(error.to_string())
            }
            Some(_) | None => Self::Sqlite(error),
        }
    }
}
