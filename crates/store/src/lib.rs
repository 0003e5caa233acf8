//! One `SQLite` file: the journal of facts, and the ledger as its projection. Only this crate knows SQL.
//!
//! To know: [`Journal`] (the one writer; [`Journal::append`] is one transaction, on disk when it returns) and [`Reader`]
//! (read-only questions, also while a sweep runs). The journal is the truth; every other table can be rebuilt from it
//! ([`Journal::rebuild`]).

mod error;
mod import;
mod journal;
mod paths;
mod projection;
mod reader;
mod schema;
mod snapshots;
mod values;

pub use error::Error;
pub use import::{Imported, What};
pub use journal::Journal;
pub use reader::Reader;
