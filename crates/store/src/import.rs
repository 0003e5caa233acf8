//! Sweeps of other coordinators' databases, so that one history covers them all.
//!
//! A sweep is taken over as its facts: renumbered, at the times they were written, and with what tells it from all others. What is known
//! already is not taken over twice, in whatever order databases come and however often; a sweep that went on meanwhile brings only
//! what is new.

use std::collections::BTreeMap;
use std::path::Path;

use gramwise_model::{SweepId, Timestamp};
use gramwise_search::Fact;
use rusqlite::{Connection, OptionalExtension, Transaction};

use crate::reader::opened;
use crate::values::{from_json, int, json, uint};
use crate::{Error, Journal, projection};

/// What became of one sweep of the other database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Its number there,
    pub there: SweepId,
    /// and here.
    pub here: SweepId,
    /// Its name.
    pub name: String,
    /// What was done.
    pub what: What,
}

/// What was done about a sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It was not known here.
    New,
    /// It was known, and went on since.
    GoneOn,
    /// All of it was known.
    Known,
    /// It is known here, and what is known is something else: it was left as it is here.
    Otherwise,
}

/// A fact, and when it was written.
type Written = (Timestamp, Fact);

impl Journal {
    /// Takes over the sweeps of another database, all or none. What that database does meanwhile is seen up to one moment.
    pub fn import(&mut self, from: &Path, now: Timestamp) -> Result<Vec<Imported>, Error> {
        let (other, _) = opened(from)?;
        let other = other.unchecked_transaction()?;
        let mut known = origins(&self.connection)?;
        let transaction = self.connection.transaction()?;
        let mut imported = Vec::new();
        let mut numbers: BTreeMap<SweepId, SweepId> = BTreeMap::new();
        for there in sweeps(&other)? {
            let (origin, facts) = told(&other, there)?;
            let Some((_, Fact::SweepSubmitted { spec, .. })) = facts.first() else { continue };
            let name = spec.name.clone();
            let (here, what) = if let Some(here) = known.get(&origin) {
                (*here, add(&transaction, *here, &facts, &numbers)?)
            } else {
                let here = SweepId(last_sweep(&transaction)? + 1);
                known.insert(origin.clone(), here);
                let mut facts = renumbered(facts, here, &numbers);
                // Behind the fact that it begins with: it says of what it is.
                facts.insert(1, (now, Fact::SweepImported { sweep: here, origin, at: now }));
                for written in &facts {
                    append(&transaction, written)?;
                }
                (here, What::New)
            };
            numbers.insert(there, here);
            imported.push(Imported { there, here, name, what });
        }
        transaction.commit()?;
        Ok(imported)
    }
}

fn sweeps(connection: &Connection) -> Result<Vec<SweepId>, Error> {
    let mut select = connection.prepare("SELECT id FROM sweep ORDER BY id")?;
    let ids = select.query_map([], |row| row.get(0))?;
    Ok(ids.map(|id| id.map(SweepId)).collect::<Result<_, _>>()?)
}

fn last_sweep(transaction: &Transaction<'_>) -> Result<u32, Error> {
    Ok(transaction.query_row("SELECT coalesce(max(id), 0) FROM sweep", [], |row| row.get(0))?)
}

/// The facts of a sweep as they were where it was run, and its origin.
fn told(connection: &Connection, sweep: SweepId) -> Result<(String, Vec<Written>), Error> {
    let mut select =
        connection.prepare_cached("SELECT at_ms, body FROM journal WHERE sweep = ?1 ORDER BY seq")?;
    let mut rows = select.query([sweep.0])?;
    let (mut origin, mut facts) = (None, Vec::new());
    while let Some(row) = rows.next()? {
        let at = Timestamp(uint(row.get(0)?)?);
        match from_json(&row.get::<_, String>(1)?)? {
            Fact::SweepImported { origin: stated, .. } => origin = Some(stated),
            fact => {
                if let Fact::SweepSubmitted { by, at, .. } = &fact {
                    origin.get_or_insert_with(|| own_origin(by, *at, sweep));
                }
                facts.push((at, fact));
            }
        }
    }
    Ok((origin.unwrap_or_default(), facts))
}

/// What tells a sweep from all others: no user submits two at one moment that get the same number.
fn own_origin(by: &str, at: Timestamp, sweep: SweepId) -> String {
    format!("{by} {} {sweep}", at.0)
}

/// The sweeps that are here, by origin.
fn origins(connection: &Connection) -> Result<BTreeMap<String, SweepId>, Error> {
    let mut select = connection.prepare("SELECT id, origin, submitted_by, submitted_at_ms FROM sweep")?;
    let mut rows = select.query([])?;
    let mut origins = BTreeMap::new();
    while let Some(row) = rows.next()? {
        let (id, stated) = (SweepId(row.get(0)?), row.get::<_, Option<String>>(1)?);
        let own = own_origin(&row.get::<_, String>(2)?, Timestamp(uint(row.get(3)?)?), id);
        origins.insert(stated.unwrap_or(own), id);
    }
    Ok(origins)
}

fn renumbered(facts: Vec<Written>, here: SweepId, numbers: &BTreeMap<SweepId, SweepId>) -> Vec<Written> {
    let renumber = |(at, fact): Written| {
        let mut fact = fact.renumbered(here);
        if let Fact::SweepSubmitted { spec, .. } = &mut fact
            && let Some(replicates) = &mut spec.replicates
            && let Some(of) = numbers.get(&replicates.of)
        {
            replicates.of = *of;
        }
        (at, fact)
    };
    facts.into_iter().map(renumber).collect()
}

/// Takes over what is new of a sweep that is here.
fn add(
    transaction: &Transaction<'_>,
    here: SweepId,
    facts: &[Written],
    numbers: &BTreeMap<SweepId, SweepId>,
) -> Result<What, Error> {
    let (_, kept) = told(transaction, here)?;
    let facts = renumbered(facts.to_vec(), here, numbers);
    let common = kept.len().min(facts.len());
    // As they are written: numbers that are not numbers are equal to themselves there.
    let same =
        |((at, one), (other_at, other)): (&Written, &Written)| at == other_at && json(one) == json(other);
    if !kept.iter().zip(&facts).all(same) {
        return Ok(What::Otherwise);
    }
    let fresh = &facts[common..];
    if fresh.is_empty() {
        return Ok(What::Known);
    }
    let origin: Option<String> = transaction
        .query_row("SELECT origin FROM sweep WHERE id = ?1", [here.0], |row| row.get(0))
        .optional()?
        .flatten();
    if origin.is_none() {
        // It is this database's own, and somebody went on with a copy of it.
        return Ok(What::Otherwise);
    }
    for written in fresh {
        append(transaction, written)?;
    }
    Ok(What::GoneOn)
}

fn append(transaction: &Transaction<'_>, (at, fact): &Written) -> Result<(), Error> {
    transaction
        .prepare_cached("INSERT INTO journal (sweep, at_ms, kind, body) VALUES (?1, ?2, ?3, ?4)")?
        .execute((fact.sweep().0, int(at.0), fact.kind(), json(fact)))?;
    projection::project(transaction, transaction.last_insert_rowid(), *at, fact)
}
