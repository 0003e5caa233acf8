//! Sweeps as they were, to spare a coordinator the reading of all that ever happened.

use std::io::BufReader;

use gramwise_model::SweepId;
use gramwise_search::{Snapshot, State};
use rusqlite::{Connection, OptionalExtension};

use crate::Error;

/// What the code that a snapshot is made of hashes to (`build.rs`).
const BUILD: &str = env!("GRAMWISE_STATE_BUILD");

/// Puts a sweep's snapshot back, if this build wrote one; answers the place in the journal that it is of, else 0.
pub(crate) fn restore(connection: &Connection, sweep: SweepId, state: &mut State) -> Result<i64, Error> {
    let sql = "SELECT through FROM snapshot WHERE sweep = ?1 AND build = ?2";
    let through = connection.query_row(sql, (sweep.0, build()), |row| row.get(0)).optional()?;
    let Some(through) = through else { return Ok(0) };
    let body = connection.blob_open("main", "snapshot", "body", i64::from(sweep.0), true)?;
    // One that cannot be read is as good as none.
    match rmp_serde::from_read::<_, Snapshot>(BufReader::with_capacity(1 << 16, body)) {
        Ok(snapshot) => {
            state.restore(snapshot);
            Ok(through)
        }
        Err(_) => Ok(0),
    }
}

/// Keeps a sweep as it is after the newest fact. One that is over needs none.
pub(crate) fn keep(connection: &Connection, sweep: SweepId, state: &State) -> Result<(), Error> {
    let Some(body) = state.snapshot(sweep).and_then(|snapshot| rmp_serde::to_vec_named(&snapshot).ok())
    else {
        return Ok(());
    };
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO snapshot (sweep, through, build, body)
             VALUES (?1, (SELECT max(seq) FROM journal), ?2, ?3)",
        )?
        .execute((sweep.0, build(), body))?;
    Ok(())
}

/// Drops a sweep's snapshot.
pub(crate) fn forget(connection: &Connection, sweep: SweepId) -> Result<(), Error> {
    connection.prepare_cached("DELETE FROM snapshot WHERE sweep = ?1")?.execute([sweep.0])?;
    Ok(())
}

fn build() -> i64 {
    BUILD.parse().unwrap_or(0)
}
