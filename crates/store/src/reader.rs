//! Questions to a database, read-only: also while a coordinator writes it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use gramwise_carbon::{Footprint, Microjoules, Nanograms};
use gramwise_model::rows::{
    Account, AccountRow, AttemptRow, BookingRow, DecisionRow, GrowthRow, HostRow, IntensityRow,
    ReplicateResult, Replication, SpendingRow, StepRow, SweepRecord, SweepRow, SweepSummary, TrialRow,
    WorkerShare,
};
use gramwise_model::{Metrics, SweepId, Timestamp, TrialId, WorkerId};
use rusqlite::{Connection, OpenFlags, OptionalExtension, Row};

use crate::paths::beside;
use crate::values::{ENERGY, energy_columns, footprint, from_json, from_word, uint};
use crate::{Error, Journal, schema};

/// An existing database, to be read only, and its version.
pub(crate) fn opened(path: &Path) -> Result<(Connection, i64), Error> {
    if !path.exists() {
        return Err(Error::Missing(path.to_owned()));
    }
    if !path.is_file() {
        return Err(Error::Foreign(path.to_owned()));
    }
    let looked_at = |connection: Connection| {
        connection.busy_timeout(Duration::from_secs(5))?;
        match schema::version(&connection, path)? {
            0 => Err(Error::Foreign(path.to_owned())),
            version => Ok((connection, version)),
        }
    };
    let beside_a_writer = || looked_at(Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_ONLY)?);
    match beside_a_writer() {
        // A file in a folder that may not be written cannot be shared with a writer, so there is none.
        Err(Error::Sqlite(_)) if !beside(path, "-wal").exists() => {
            let escaped = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
            let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
            looked_at(Connection::open_with_flags(format!("file:{escaped}?immutable=1"), flags)?)
        }
        opened => opened,
    }
}

/// Sums of the ledger's amounts, in the order that [`footprint`] reads.
fn sums() -> String {
    let energy = energy_columns(|column| format!("coalesce(sum({column}), 0)"));
    format!("{energy}, coalesce(sum(co2e_ng), 0)")
}

/// A database opened for reading. Each question is one transaction: its rows belong to one moment.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
}

impl Reader {
    /// Opens an existing database.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let (mut connection, mut version) = opened(path)?;
        if !schema::is_newest(version) {
            drop(connection);
            // An older gramwise wrote it: it is brought up to date as any writer would, if nobody holds it.
            let older = |_| Error::Older { path: path.to_owned(), found: version };
            drop(Journal::open(path).map_err(older)?);
            (connection, version) = opened(path)?;
        }
        debug_assert!(schema::is_newest(version), "a writer brings it to the newest");
        Ok(Self { connection })
    }

    /// All sweeps, oldest first.
    pub fn sweeps(&self) -> Result<Vec<SweepRow>, Error> {
        let sql = format!("{SWEEP} ORDER BY id");
        self.all(&sql, [], sweep_row)
    }

    /// The sweep of a number, or the newest of a name.
    pub fn find(&self, name_or_number: &str) -> Result<Option<SweepRow>, Error> {
        let sql = format!("{SWEEP} WHERE id = ?1 OR name = ?2 ORDER BY id = ?1 DESC, id DESC LIMIT 1");
        let number: i64 = name_or_number.parse().unwrap_or(-1);
        Ok(self.all(&sql, (number, name_or_number), sweep_row)?.pop())
    }

    /// The newest sweep.
    pub fn newest(&self) -> Result<Option<SweepRow>, Error> {
        let sql = format!("{SWEEP} ORDER BY id DESC LIMIT 1");
        Ok(self.all(&sql, [], sweep_row)?.pop())
    }

    /// All sweeps with their sums, oldest first, as of one moment.
    pub fn summaries(&self) -> Result<Vec<SweepSummary>, Error> {
        let moment = self.connection.unchecked_transaction()?;
        let mut all: Vec<SweepSummary> = self
            .sweeps()?
            .into_iter()
            .map(|sweep| SweepSummary {
                sweep,
                trials: BTreeMap::new(),
                total: Footprint::ZERO,
                workers: Vec::new(),
            })
            .collect();
        let place =
            |all: &[SweepSummary], sweep: u32| all.binary_search_by_key(&SweepId(sweep), |one| one.sweep.id);
        let sql = "SELECT sweep, state, count(*) FROM trial GROUP BY sweep, state";
        for (sweep, state, count) in self.all(sql, [], |row| {
            Ok((row.get(0)?, from_word(&row.get::<_, String>(1)?)?, uint(row.get(2)?)?))
        })? {
            if let Ok(place) = place(&all, sweep) {
                all[place].trials.insert(state, count);
            }
        }
        let sql = format!(
            "SELECT spent.sweep, spent.worker, coalesce(host.host, ''), coalesce(host.gpus, '[]'),
                    (SELECT count(DISTINCT trial) FROM attempt
                     WHERE attempt.sweep = spent.sweep AND attempt.worker = spent.worker),
                    {}, sum(co2e_ng)
             FROM spent LEFT JOIN host ON host.sweep = spent.sweep AND host.worker = spent.worker
             GROUP BY spent.sweep, spent.worker",
            energy_columns(|column| format!("sum({column})"))
        );
        for (sweep, share) in self.all(&sql, [], |row| {
            Ok((
                row.get(0)?,
                WorkerShare {
                    worker: WorkerId(row.get(1)?),
                    host: row.get(2)?,
                    gpus: from_json(&row.get::<_, String>(3)?)?,
                    trials: uint(row.get(4)?)?,
                    footprint: footprint(row, 5)?,
                },
            ))
        })? {
            if let Ok(place) = place(&all, sweep) {
                all[place].total += share.footprint;
                all[place].workers.push(share);
            }
        }
        moment.commit()?;
        Ok(all)
    }

    /// What a sweep burnt in all accounts.
    pub fn total(&self, sweep: SweepId) -> Result<Footprint, Error> {
        let sql = format!("SELECT {} FROM ledger_entry WHERE sweep = ?1", sums());
        Ok(self.all(&sql, [sweep.0], |row| footprint(row, 0))?.pop().unwrap_or_default())
    }

    /// Everything known of a sweep, as of one moment.
    pub fn record(&self, sweep: SweepId) -> Result<Option<SweepRecord>, Error> {
        let moment = self.connection.unchecked_transaction()?;
        let sql = format!("{SWEEP} WHERE id = ?1");
        let Some(row) = self.all(&sql, [sweep.0], sweep_row)?.pop() else { return Ok(None) };
        let record = SweepRecord {
            sweep: row,
            trials: self.trials(sweep)?,
            attempts: self.attempts(sweep)?,
            accounts: self.accounts(sweep)?,
            hosts: self.hosts(sweep)?,
            intensities: self.intensities(sweep)?,
            decisions: self.decisions(sweep)?,
            steps_reported: self.steps_reported(sweep)?,
            growth: self.growth(sweep)?,
            spending: self.spending(sweep)?,
            replications: self.replications(sweep)?,
        };
        moment.commit()?;
        Ok(Some(record))
    }

    /// The steps of one trial, by attempt and step.
    pub fn steps(&self, sweep: SweepId, trial: TrialId) -> Result<Vec<StepRow>, Error> {
        let sql = "SELECT attempt, step, metrics, at_ms, energy_uj, co2e_ng
                   FROM step WHERE sweep = ?1 AND trial = ?2 ORDER BY attempt, step";
        self.all(sql, (sweep.0, trial.0), |row| step_row(row, trial))
    }

    /// The steps of all trials of a sweep, by trial, attempt and step.
    pub fn all_steps(&self, sweep: SweepId) -> Result<Vec<StepRow>, Error> {
        let sql = "SELECT attempt, step, metrics, at_ms, energy_uj, co2e_ng, trial
                   FROM step WHERE sweep = ?1 ORDER BY trial, attempt, step";
        self.all(sql, [sweep.0], |row| step_row(row, TrialId(row.get(6)?)))
    }

    /// Everything that was booked, in order. What was moved to another account since is in that one.
    pub fn bookings(&self, sweep: SweepId) -> Result<Vec<BookingRow>, Error> {
        // What is booked of an attempt, or of a host, was burnt since it was last heard of; at first, since its lease, or the
        // first lease on that host. A host tells of itself also when it has nothing to book.
        let energy = energy_columns(|column| format!("entry.{column}"));
        let sql = format!(
            "
            WITH told AS (
                SELECT seq,
                       lag(at_ms) OVER (
                           PARTITION BY kind, body -> '$.emission_booked.attempt', body ->> '$.host_metered.worker'
                           ORDER BY seq) AS before_ms
                FROM journal WHERE sweep = ?1 AND kind IN ('emission_booked', 'host_metered'))
            SELECT CASE WHEN EXISTS (
                       SELECT 1 FROM ledger_entry AS moved
                       WHERE moved.sweep = entry.sweep AND moved.trial = entry.trial
                         AND moved.attempt = entry.attempt AND moved.account = 'lost')
                   THEN 'lost' ELSE entry.account END,
                   entry.trial, {energy}, entry.co2e_ng,
                   coalesce(
                       told.before_ms,
                       attempt.leased_at_ms,
                       (SELECT min(leased_at_ms) FROM attempt WHERE sweep = ?1 AND worker = entry.worker),
                       entry.at_ms),
                   entry.at_ms
            FROM ledger_entry AS entry
            JOIN told ON told.seq = entry.fact
            LEFT JOIN attempt
                ON attempt.sweep = entry.sweep AND attempt.trial = entry.trial AND attempt.number = entry.attempt
            WHERE entry.sweep = ?1
            ORDER BY entry.id"
        );
        self.all(&sql, [sweep.0], |row| {
            Ok(BookingRow {
                account: from_word(&row.get::<_, String>(0)?)?,
                trial: row.get::<_, Option<u32>>(1)?.map(TrialId),
                footprint: footprint(row, 2)?,
                from: Timestamp(uint(row.get(3 + ENERGY.len())?)?),
                to: Timestamp(uint(row.get(4 + ENERGY.len())?)?),
            })
        })
    }

    /// The trials of a sweep, by number.
    pub fn trials(&self, sweep: SweepId) -> Result<Vec<TrialRow>, Error> {
        let sql = "SELECT t.id, t.state, t.config, t.step, t.metrics, t.verdict, t.because, t.message,
                   (SELECT count(*) FROM attempt a WHERE a.sweep = t.sweep AND a.trial = t.id)
                   FROM trial t WHERE t.sweep = ?1 ORDER BY t.id";
        let mut trials = self.all(sql, [sweep.0], |row| {
            Ok(TrialRow {
                id: TrialId(row.get(0)?),
                state: from_word(&row.get::<_, String>(1)?)?,
                config: from_json(&row.get::<_, String>(2)?)?,
                step: uint(row.get(3)?)?,
                metrics: from_json(&row.get::<_, String>(4)?)?,
                booked: Footprint::ZERO,
                lost: Footprint::ZERO,
                attempts: row.get(8)?,
                verdict: row.get::<_, Option<String>>(5)?.map(|word| from_word(&word)).transpose()?,
                because: row.get::<_, Option<String>>(6)?.map(|text| from_json(&text)).transpose()?,
                message: row.get(7)?,
            })
        })?;
        let sql = format!(
            "SELECT trial, account, {} FROM ledger_entry WHERE sweep = ?1 AND trial IS NOT NULL GROUP BY trial, account",
            sums()
        );
        let sums = self.all(&sql, [sweep.0], |row| {
            Ok((row.get::<_, u32>(0)?, from_word::<Account>(&row.get::<_, String>(1)?)?, footprint(row, 2)?))
        })?;
        for (trial, account, sum) in sums {
            let Ok(index) = trials.binary_search_by_key(&TrialId(trial), |row| row.id) else { continue };
            match account {
                Account::Trial => trials[index].booked = sum,
                Account::Lost => trials[index].lost = sum,
                Account::Idle | Account::Overhead => {}
            }
        }
        Ok(trials)
    }

    fn attempts(&self, sweep: SweepId) -> Result<Vec<AttemptRow>, Error> {
        let sum = energy_columns(|column| format!("sum({column}) AS {column}"));
        let columns = energy_columns(str::to_owned);
        let sql = format!(
            "SELECT trial, number, worker, gpus, leased_at_ms, ended_at_ms, outcome,
                    (SELECT count(*) FROM step s
                     WHERE s.sweep = a.sweep AND s.trial = a.trial AND s.attempt = a.number),
                    coalesce(lost_uj, 0) > 0, {columns}, coalesce(co2e_ng, 0)
             FROM attempt a LEFT JOIN (
                 SELECT trial AS of_trial, attempt AS of_attempt, {sum}, sum(co2e_ng) AS co2e_ng,
                        sum(CASE account WHEN 'lost' THEN energy_uj END) AS lost_uj
                 FROM ledger_entry WHERE sweep = ?1 AND trial IS NOT NULL GROUP BY trial, attempt
             ) ON of_trial = a.trial AND of_attempt = a.number
             WHERE sweep = ?1 ORDER BY trial, number"
        );
        self.all(&sql, [sweep.0], |row| {
            Ok(AttemptRow {
                trial: TrialId(row.get(0)?),
                number: row.get(1)?,
                worker: WorkerId(row.get(2)?),
                gpus: from_json(&row.get::<_, String>(3)?)?,
                leased_at: Timestamp(uint(row.get(4)?)?),
                ended_at: row.get::<_, Option<i64>>(5)?.map(uint).transpose()?.map(Timestamp),
                outcome: row.get::<_, Option<String>>(6)?.map(|text| from_json(&text)).transpose()?,
                steps: uint(row.get(7)?)?,
                footprint: footprint(row, 9)?,
                account: if row.get(8)? { Account::Lost } else { Account::Trial },
            })
        })
    }

    fn accounts(&self, sweep: SweepId) -> Result<Vec<AccountRow>, Error> {
        let sql = format!("SELECT {} FROM ledger_entry WHERE sweep = ?1 AND account = ?2", sums());
        Account::ALL
            .into_iter()
            .map(|account| {
                let sums = self.all(&sql, (sweep.0, account.name()), |row| footprint(row, 0))?.pop();
                Ok(AccountRow { account, footprint: sums.unwrap_or_default() })
            })
            .collect()
    }

    fn hosts(&self, sweep: SweepId) -> Result<Vec<HostRow>, Error> {
        let sql =
            "SELECT worker, description, total, other, gpus, joined_at_ms, heard_at_ms, gone, cpus, memory
                   FROM host WHERE sweep = ?1 ORDER BY worker";
        self.all(sql, [sweep.0], |row| {
            Ok(HostRow {
                worker: WorkerId(row.get(0)?),
                description: row.get(1)?,
                total: from_json(&row.get::<_, String>(2)?)?,
                other: from_json(&row.get::<_, String>(3)?)?,
                gpus: from_json(&row.get::<_, String>(4)?)?,
                joined_at: Timestamp(uint(row.get(5)?)?),
                heard_at: Timestamp(uint(row.get(6)?)?),
                gone: row.get(7)?,
                cpus: row.get(8)?,
                memory: uint(row.get(9)?)?,
            })
        })
    }

    /// What the intensity was stated to be, in order of the first time, and how much was booked under each.
    fn intensities(&self, sweep: SweepId) -> Result<Vec<IntensityRow>, Error> {
        let sql = "SELECT min(at_ms), g_per_kwh, kind, source, basis, year, count(*), coalesce(sum(uj), 0)
                   FROM intensity AS stated
                   LEFT JOIN (SELECT intensity, sum(energy_uj) AS uj FROM ledger_entry WHERE sweep = ?1 GROUP BY intensity)
                       AS booked ON booked.intensity = stated.rowid
                   WHERE sweep = ?1 GROUP BY g_per_kwh, kind, source, basis, year ORDER BY min(stated.rowid)";
        self.all(sql, [sweep.0], |row| {
            Ok(IntensityRow {
                at: Timestamp(uint(row.get(0)?)?),
                g_per_kwh: row.get(1)?,
                kind: from_word(&row.get::<_, String>(2)?)?,
                source: row.get(3)?,
                basis: row.get(4)?,
                year: row.get(5)?,
                statements: uint(row.get(6)?)?,
                energy: Microjoules::new(uint(row.get(7)?)?),
            })
        })
    }

    fn decisions(&self, sweep: SweepId) -> Result<Vec<DecisionRow>, Error> {
        let sql = "SELECT at_ms, trial, attempt, step, verdict, because FROM decision WHERE sweep = ?1 ORDER BY seq";
        self.all(sql, [sweep.0], |row| {
            Ok(DecisionRow {
                at: Timestamp(uint(row.get(0)?)?),
                trial: TrialId(row.get(1)?),
                attempt: row.get(2)?,
                step: uint(row.get(3)?)?,
                verdict: from_word(&row.get::<_, String>(4)?)?,
                because: from_json(&row.get::<_, String>(5)?)?,
            })
        })
    }

    /// What completed trials had emitted at their end and at the steps at which others were given up.
    fn growth(&self, sweep: SweepId) -> Result<Vec<GrowthRow>, Error> {
        let sql = "SELECT reached.trial, reached.step, max(reached.co2e_ng)
                   FROM trial JOIN step AS reached ON reached.sweep = trial.sweep AND reached.trial = trial.id
                   WHERE trial.sweep = ?1 AND trial.state = 'completed'
                     AND (reached.step = trial.step OR reached.step IN (
                         SELECT step FROM trial WHERE sweep = ?1 AND state IN ('pruned', 'paused', 'stopping')))
                   GROUP BY reached.trial, reached.step";
        self.all(sql, [sweep.0], |row| {
            Ok(GrowthRow {
                trial: TrialId(row.get(0)?),
                step: uint(row.get(1)?)?,
                co2e: Nanograms::new(uint(row.get(2)?)?),
            })
        })
    }

    /// What was booked over time, in a thousand intervals at most.
    fn spending(&self, sweep: SweepId) -> Result<Vec<SpendingRow>, Error> {
        let sql = "SELECT max(at_ms), sum(energy_uj), sum(co2e_ng),
                          coalesce(sum(energy_uj * intensity_g_per_kwh) / nullif(sum(energy_uj), 0), 0.0)
                   FROM ledger_entry, (SELECT min(at_ms) AS first, (max(at_ms) - min(at_ms)) / 1000 + 1 AS width
                                       FROM ledger_entry WHERE sweep = ?1)
                   WHERE sweep = ?1 GROUP BY (at_ms - first) / width ORDER BY 1";
        self.all(sql, [sweep.0], |row| {
            Ok(SpendingRow {
                to: Timestamp(uint(row.get(0)?)?),
                energy: Microjoules::new(uint(row.get(1)?)?),
                co2e: Nanograms::new(uint(row.get(2)?)?),
                g_per_kwh: row.get(3)?,
            })
        })
    }

    /// Sweeps that run trials of a sweep again, with what each took.
    pub fn replicates(&self, sweep: SweepId) -> Result<Vec<(SweepRow, Footprint)>, Error> {
        let sql = format!("{SWEEP} WHERE spec ->> '$.replicates.of' = ?1 ORDER BY id");
        let rows = self.all(&sql, [sweep.0], sweep_row)?;
        let with_total = |row: SweepRow| {
            let total = self.total(row.id)?;
            Ok((row, total))
        };
        rows.into_iter().map(with_total).collect()
    }

    /// What those came to.
    fn replications(&self, sweep: SweepId) -> Result<Vec<Replication>, Error> {
        let rows = self.replicates(sweep)?;
        let replication = |(row, total): (SweepRow, Footprint)| {
            let original = |trial| row.spec.replicates.as_ref()?.original(trial);
            let sql = "SELECT id, metrics FROM trial WHERE sweep = ?1 AND state = 'completed' ORDER BY id";
            let completed = self.all(sql, [row.id.0], |row| {
                Ok((TrialId(row.get(0)?), from_json(&row.get::<_, String>(1)?)?))
            })?;
            let result = |(trial, metrics): (TrialId, Metrics)| {
                let (original, seed) = original(trial)?;
                Some(ReplicateResult { of: original.trial, seed, metrics })
            };
            Ok(Replication {
                sweep: row.id,
                state: row.state,
                total,
                results: completed.into_iter().filter_map(result).collect(),
            })
        };
        rows.into_iter().map(replication).collect()
    }

    fn steps_reported(&self, sweep: SweepId) -> Result<u64, Error> {
        let sql = "SELECT count(*) FROM step WHERE sweep = ?1";
        let count: Option<i64> = self.connection.query_row(sql, [sweep.0], |row| row.get(0)).optional()?;
        uint(count.unwrap_or(0))
    }

    fn all<T>(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
        mut read: impl FnMut(&Row<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let mut statement = self.connection.prepare_cached(sql)?;
        let mut rows = statement.query(parameters)?;
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            found.push(read(row)?);
        }
        Ok(found)
    }
}

const SWEEP: &str = "SELECT id, spec, factors, state, submitted_at_ms, ended_at_ms, ended_because, submitted_by, origin FROM sweep";

fn step_row(row: &Row<'_>, trial: TrialId) -> Result<StepRow, Error> {
    Ok(StepRow {
        trial,
        attempt: row.get(0)?,
        step: uint(row.get(1)?)?,
        metrics: from_json(&row.get::<_, String>(2)?)?,
        at: Timestamp(uint(row.get(3)?)?),
        energy: Microjoules::new(uint(row.get(4)?)?),
        co2e: Nanograms::new(uint(row.get(5)?)?),
    })
}

fn sweep_row(row: &Row<'_>) -> Result<SweepRow, Error> {
    Ok(SweepRow {
        id: SweepId(row.get(0)?),
        spec: from_json(&row.get::<_, String>(1)?)?,
        factors: from_json(&row.get::<_, String>(2)?)?,
        state: from_word(&row.get::<_, String>(3)?)?,
        submitted_at: Timestamp(uint(row.get(4)?)?),
        ended_at: row.get::<_, Option<i64>>(5)?.map(uint).transpose()?.map(Timestamp),
        ended_because: row.get(6)?,
        submitted_by: row.get(7)?,
        origin: row.get(8)?,
    })
}
