//! The tables, and how older files become newer ones.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::Connection;

use crate::Error;

/// "gram" in ASCII: tells our files from other programs' (`PRAGMA application_id`).
const APPLICATION_ID: i64 = 0x6772_616d;

/// One script per version; version n is reached by running the first n. Released scripts are never edited.
const MIGRATIONS: [&str; 4] = [
    include_str!("migrations/0001_first.sql"),
    include_str!("migrations/0002_several_hosts.sql"),
    include_str!("migrations/0003_workers.sql"),
    include_str!("migrations/0004_history.sql"),
];

/// Brings a connection's file to the newest version.
pub(crate) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), Error> {
    let version = version(connection, path)?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    for (index, script) in MIGRATIONS.iter().enumerate() {
        let target = i64::try_from(index + 1).unwrap_or(i64::MAX);
        if target > version {
            let transaction = connection.transaction()?;
            transaction.execute_batch(script)?;
            transaction.pragma_update(None, "user_version", target)?;
            transaction.pragma_update(None, "application_id", APPLICATION_ID)?;
            transaction.commit()?;
        }
    }
    debug_assert!(version <= known);
    Ok(())
}

/// Does a file of this version hold all that is asked of one?
pub(crate) fn is_newest(version: i64) -> bool {
    usize::try_from(version) == Ok(MIGRATIONS.len())
}

/// Checks that a file is ours and not from the future; answers its version, 0 for an empty file.
pub(crate) fn version(connection: &Connection, path: &Path) -> Result<i64, Error> {
    let foreign = |error: rusqlite::Error| match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::NotADatabase) => Error::Foreign(path.to_owned()),
        Some(_) | None => Error::Sqlite(error),
    };
    let application: i64 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(foreign)?;
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0)).map_err(foreign)?;
    if application != APPLICATION_ID && (application != 0 || tables > 0) {
        return Err(Error::Foreign(path.to_owned()));
    }
    let found: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if found > known {
        return Err(Error::Newer { path: path.to_owned(), found, known });
    }
    let steps = usize::try_from(found).unwrap_or(0);
    // What somebody added is theirs.
    if steps > 0 && !columns_of(steps)?.is_subset(&columns(connection)?) {
        return Err(Error::Unreleased(path.to_owned()));
    }
    Ok(found)
}

/// All tables with their columns and types.
fn columns(connection: &Connection) -> rusqlite::Result<BTreeSet<(String, String, String)>> {
    let sql = "SELECT t.name, c.name, c.type FROM sqlite_schema t, pragma_table_xinfo(t.name) c
               WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%'";
    let mut select = connection.prepare(sql)?;
    let rows = select.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
    rows.collect()
}

/// The same of a file of this version, as the scripts make it.
fn columns_of(version: usize) -> rusqlite::Result<BTreeSet<(String, String, String)>> {
    let reference = Connection::open_in_memory()?;
    for script in &MIGRATIONS[..version] {
        reference.execute_batch(script)?;
    }
    columns(&reference)
}
