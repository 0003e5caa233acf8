//! Which database, which sweep.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Context;
use etcetera::BaseStrategy;
use gramwise_model::Timestamp;
use gramwise_model::rows::{SweepRecord, SweepRow};
use gramwise_store::Reader;

use crate::args::Common;
use crate::exit::{Exit, Failure};

/// `--db`, else `$GRAMWISE_DB` (clap looks there), else the user's data directory: every sweep a user ever ran is in one
/// file, so that `history` covers them all.
pub(crate) fn path(common: &Common) -> anyhow::Result<PathBuf> {
    if let Some(path) = &common.db {
        return Ok(path.clone());
    }
    let base = etcetera::base_strategy::choose_base_strategy()
        .context("cannot find the home directory\nhint: name the database with --db")?;
    Ok(base.data_dir().join("gramwise").join("gramwise.db"))
}

/// The folder for files of trials: beside the database, named after it.
pub(crate) fn files(database: &std::path::Path) -> anyhow::Result<PathBuf> {
    let absolute = std::path::absolute(database).context("cannot find the current directory")?;
    Ok(absolute.with_extension("files"))
}

/// Opens the database read-only.
pub(crate) fn reader(common: &Common) -> anyhow::Result<Reader> {
    Ok(Reader::open(&path(common)?)?)
}

/// The sweep that a command is about.
pub(crate) fn sweep(reader: &Reader, name: Option<&str>) -> anyhow::Result<SweepRow> {
    let found = match name {
        Some(name) => reader.find(name)?,
        None => reader.newest()?,
    };
    found.ok_or_else(|| {
        let what = name.map_or("no sweep in this database".to_owned(), |name| format!("no sweep `{name}`"));
        Failure::error(Exit::WrongInput, format!("{what}\nhint: `gramwise ls` lists the sweeps"))
    })
}

/// Everything about the sweep that a command is about.
pub(crate) fn record(reader: &Reader, name: Option<&str>) -> anyhow::Result<SweepRecord> {
    let row = sweep(reader, name)?;
    reader.record(row.id)?.context("the sweep was removed while it was read")
}

/// The wall clock.
pub(crate) fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
