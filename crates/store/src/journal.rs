//! The one writer of a database: facts in order, each transaction on disk before anything follows from it.
//!
//! Durability is `WAL` with `synchronous = FULL`: a committed transaction survives the power going out, not only the
//! process. `docs/decisions/0003-durability.md` has the reasons and the price.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use gramwise_model::{SweepId, SweepSpec, Timestamp, WorkerId};
use gramwise_search::{Fact, State, SweepPhase, apply};
use rusqlite::{Connection, OptionalExtension};

use crate::paths::{beside, real};
use crate::values::{from_json, int, json, uint};
use crate::{Error, projection, schema, snapshots};

/// A database opened for writing. One at a time holds it: a lock file beside it keeps others out, and is let go of
/// however the process ends.
#[derive(Debug)]
pub struct Journal {
    pub(crate) connection: Connection,
    path: PathBuf,
    _lock: File,
}

impl Journal {
    /// Opens a database, creating it (and the folders above it) where there is none, and brings it to the newest version.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let file_error = |source| Error::File { path: path.to_owned(), source };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(file_error)?;
        }
        if path.exists() && !path.is_file() {
            return Err(Error::Foreign(path.to_owned()));
        }
        // Two names of one file, such as a link, must meet at one lock.
        let path = &real(path).map_err(file_error)?;
        let lock = lock(path)?;
        let mut connection = Connection::open(path)?;
        schema::version(&connection, path)?;
        connection.busy_timeout(Duration::from_secs(5))?;
        // More than there are statements: none is to be prepared twice.
        connection.set_prepared_statement_cache_capacity(64);
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "foreign_keys", "ON")?;
        schema::migrate(&mut connection, path)?;
        Ok(Self { connection, path: path.to_owned(), _lock: lock })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes facts, all or none, together with what they change in the projection. On disk when it returns.
    pub fn append(&mut self, facts: &[Fact], at: Timestamp) -> Result<(), Error> {
        if facts.is_empty() {
            return Ok(());
        }
        let transaction = self.connection.transaction()?;
        {
            let mut insert = transaction
                .prepare_cached("INSERT INTO journal (sweep, at_ms, kind, body) VALUES (?1, ?2, ?3, ?4)")?;
            for fact in facts {
                insert.execute((fact.sweep().0, int(at.0), fact.kind(), json(fact)))?;
                projection::project(&transaction, transaction.last_insert_rowid(), at, fact)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// The highest sweep number given so far; 0 for none.
    pub fn last_sweep(&self) -> Result<SweepId, Error> {
        let sql = "SELECT coalesce(max(id), 0) FROM sweep";
        Ok(SweepId(self.connection.query_row(sql, [], |row| row.get(0))?))
    }

    /// When the newest fact was written; 0 for none.
    pub fn last_moment(&self) -> Result<Timestamp, Error> {
        // Facts of other databases bear the times of other clocks.
        let sql = "SELECT coalesce((SELECT at_ms FROM journal JOIN sweep ON sweep.id = journal.sweep
                   WHERE origin IS NULL ORDER BY seq DESC LIMIT 1), 0)";
        Ok(Timestamp(uint(self.connection.query_row(sql, [], |row| row.get(0))?)?))
    }

    /// The newest sweep that has not ended and does exactly what `spec` says.
    pub fn unfinished(&self, spec: &SweepSpec) -> Result<Option<SweepId>, Error> {
        let sql = "SELECT id, spec FROM sweep WHERE state <> 'ended' AND origin IS NULL ORDER BY id DESC";
        let mut select = self.connection.prepare(sql)?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            if from_json::<SweepSpec>(&row.get::<_, String>(1)?)? == *spec {
                return Ok(Some(SweepId(row.get(0)?)));
            }
        }
        Ok(None)
    }

    /// All sweeps that have not ended, the oldest first. Those of other databases are others' to run.
    pub fn all_unfinished(&self) -> Result<Vec<SweepId>, Error> {
        let mut select = self
            .connection
            .prepare("SELECT id FROM sweep WHERE state <> 'ended' AND origin IS NULL ORDER BY id")?;
        let ids = select.query_map([], |row| row.get(0))?;
        Ok(ids.map(|id| id.map(SweepId)).collect::<Result<_, _>>()?)
    }

    /// The sweep that a worker served, if that is over.
    pub fn ended_sweep_of(&self, worker: &WorkerId) -> Result<Option<SweepId>, Error> {
        let mut select = self.connection.prepare_cached(
            "SELECT s.id FROM host h JOIN sweep s ON s.id = h.sweep
             WHERE h.worker = ?1 AND s.state = 'ended' AND s.origin IS NULL ORDER BY s.id DESC LIMIT 1",
        )?;
        Ok(select.query_row([&worker.0], |row| row.get(0)).optional()?.map(SweepId))
    }

    /// Brings a state to where a sweep is: from what was kept of it, and the facts since.
    pub fn replay(&self, sweep: SweepId, state: &mut State) -> Result<(), Error> {
        let through = snapshots::restore(&self.connection, sweep, state)?;
        let sql = "SELECT body FROM journal WHERE sweep = ?1 AND seq > ?2 ORDER BY seq";
        let mut select = self.connection.prepare(sql)?;
        let mut rows = select.query((sweep.0, through))?;
        while let Some(row) = rows.next()? {
            apply(state, &from_json(row.get_ref(0)?.as_str().map_err(rusqlite::Error::from)?)?);
        }
        Ok(())
    }

    /// Keeps sweeps as they are in a state that all facts made, for [`Journal::replay`]. What is over is forgotten.
    pub fn keep(&mut self, sweeps: &[SweepId], state: &State) -> Result<(), Error> {
        let transaction = self.connection.transaction()?;
        for sweep in sweeps {
            let is_over = |phase: &SweepPhase| matches!(phase, SweepPhase::Ended { .. });
            match state.sweep(*sweep) {
                Some(sweep) if !is_over(&sweep.phase) => snapshots::keep(&transaction, sweep.id, state)?,
                Some(_) | None => snapshots::forget(&transaction, *sweep)?,
            }
        }
        transaction.commit()?;
        Ok(())
    }

    /// The facts of one sweep in order, each with the time it was written.
    pub fn facts(&self, sweep: SweepId) -> Result<Vec<(Timestamp, Fact)>, Error> {
        let mut select =
            self.connection.prepare("SELECT at_ms, body FROM journal WHERE sweep = ?1 ORDER BY seq")?;
        let mut rows = select.query([sweep.0])?;
        let mut facts = Vec::new();
        while let Some(row) = rows.next()? {
            facts.push((Timestamp(uint(row.get(0)?)?), from_json(&row.get::<_, String>(1)?)?));
        }
        Ok(facts)
    }

    /// Empties the projection and makes it anew from the journal, in one transaction.
    pub fn rebuild(&mut self) -> Result<(), Error> {
        let transaction = self.connection.transaction()?;
        projection::clear(&transaction)?;
        {
            let mut select = transaction.prepare("SELECT seq, at_ms, body FROM journal ORDER BY seq")?;
            let mut rows = select.query([])?;
            while let Some(row) = rows.next()? {
                let fact: Fact = from_json(&row.get::<_, String>(2)?)?;
                projection::project(&transaction, row.get(0)?, Timestamp(uint(row.get(1)?)?), &fact)?;
            }
        }
        transaction.commit()?;
        Ok(())
    }
}

fn lock(path: &Path) -> Result<File, Error> {
    let lock_path = beside(path, ".lock");
    let file_error = |source| Error::File { path: lock_path.clone(), source };
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).open(&lock_path).map_err(file_error)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse(path.to_owned())),
        Err(TryLockError::Error(source)) => Err(file_error(source)),
    }
}
