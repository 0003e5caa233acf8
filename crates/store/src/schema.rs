//! The tables, and how older files become newer ones.

use std::path::Path;

use rusqlite::Connection;

use crate::Error;

/// "gram" in ASCII: tells our files from other programs' (`PRAGMA application_id`).
const APPLICATION_ID: i64 = 0x6772_616d;

/// One script per version; version n is reached by running the first n. Released scripts are never edited.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/0001_first.sql")];

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
    Ok(found)
}
