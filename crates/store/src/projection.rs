//! How one fact changes the tables that are read. The only writer of every table but `journal`.

use std::sync::LazyLock;

use gramwise_carbon::{CarbonFactors, Footprint};
use gramwise_model::rows::{Account, TrialState};
use gramwise_model::{AttemptId, SweepId, Timestamp};
use gramwise_search::{Fact, Next};
use rusqlite::{Statement, Transaction, params};

use crate::Error;
use crate::values::{ENERGY, energy_columns, energy_values, from_json, int, json, word};

/// Empties all projected tables.
pub(crate) fn clear(transaction: &Transaction<'_>) -> Result<(), Error> {
    for table in [
        "ledger_entry",
        "decision",
        "step",
        "attempt",
        "trial",
        "host",
        "excluded_host",
        "intensity",
        "spent",
        "sweep",
    ] {
        transaction.execute(&format!("DELETE FROM {table}"), [])?;
    }
    Ok(())
}

/// Takes one fact into the projection. `seq` is its place in the journal.
#[expect(clippy::too_many_lines, reason = "one arm a fact: splitting it would hide that all are there")]
pub(crate) fn project(
    transaction: &Transaction<'_>,
    seq: i64,
    written_at: Timestamp,
    fact: &Fact,
) -> Result<(), Error> {
    let run = |sql: &str, parameters: &[&dyn rusqlite::ToSql]| -> Result<(), Error> {
        transaction.prepare_cached(sql)?.execute(parameters)?;
        Ok(())
    };
    let book = |entry: &Entry<'_>| entry.insert(transaction, seq, written_at);
    match fact {
        Fact::SweepSubmitted { sweep, spec, factors, earlier: _, by, at } => {
            run(
                "INSERT INTO sweep (id, name, state, submitted_by, submitted_at_ms, spec, factors)
                 VALUES (?1, ?2, 'running', ?3, ?4, ?5, ?6)",
                params![sweep.0, spec.name, by, int(at.0), json(spec), json(factors)],
            )?;
            state_intensity(transaction, *sweep, factors, *at)
        }
        Fact::SweepImported { sweep, origin, at: _ } => {
            run("UPDATE sweep SET origin = ?2 WHERE id = ?1", params![sweep.0, origin])
        }
        Fact::IntensityStated { sweep, stated, at } => {
            let factors = factors(transaction, *sweep)?.with(stated);
            run("UPDATE sweep SET factors = ?2 WHERE id = ?1", params![sweep.0, json(&factors)])?;
            state_intensity(transaction, *sweep, &factors, *at)
        }
        Fact::SweepHeld { sweep, held, by: _ } => run(
            "UPDATE sweep SET state = CASE WHEN ?2 THEN 'paused' ELSE 'running' END
             WHERE id = ?1 AND state IN ('running', 'paused')",
            params![sweep.0, held],
        ),
        Fact::HostExcluded { sweep, host, why } => run(
            "INSERT OR REPLACE INTO excluded_host (sweep, host, why) VALUES (?1, ?2, ?3)",
            params![sweep.0, host, why],
        ),
        Fact::HostReadmitted { sweep, host } => {
            run("DELETE FROM excluded_host WHERE sweep = ?1 AND host = ?2", params![sweep.0, host])
        }
        Fact::WorkerJoined { sweep, worker, description, gpus, host, place: _, cpus, memory, at } => {
            run(
                "INSERT INTO host (sweep, worker, description, gpus, joined_at_ms, heard_at_ms, host, cpus, memory)
             VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6, ?7, ?8)",
                params![sweep.0, worker.0, description, json(gpus), int(at.0), host, cpus, int(*memory)],
            )
        }
        Fact::WorkerGone { sweep, worker } => {
            run("UPDATE host SET gone = 1 WHERE sweep = ?1 AND worker = ?2", params![sweep.0, worker.0])
        }
        Fact::SweepResumed { .. } | Fact::ModelFitted { .. } | Fact::WorkerDismissed { .. } => Ok(()),
        Fact::TrialProposed { sweep, trial, config, seed: _, because } => run(
            "INSERT INTO trial (sweep, id, state, config, because) VALUES (?1, ?2, 'waiting', ?3, ?4)",
            params![sweep.0, trial.0, json(config), json(because)],
        ),
        Fact::AttemptLeased { attempt, worker, request: _, gpus, reserved: _, launch: _, because, at } => {
            run(
                "INSERT INTO attempt (sweep, trial, number, worker, gpus, leased_at_ms) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![attempt.sweep.0, attempt.trial.0, attempt.number, worker.0, json(gpus), int(at.0)],
            )?;
            run(
                "UPDATE trial SET state = 'running', because = ?3 WHERE sweep = ?1 AND id = ?2",
                params![attempt.sweep.0, attempt.trial.0, json(because)],
            )
        }
        Fact::StepReported { attempt, step, metrics, footprint, at } => {
            run(
                "INSERT OR REPLACE INTO step (sweep, trial, attempt, step, metrics, energy_uj, co2e_ng, at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    attempt.sweep.0,
                    attempt.trial.0,
                    attempt.number,
                    int(*step),
                    json(metrics),
                    int(footprint.energy.total().get()),
                    int(footprint.co2e.get()),
                    int(at.0)
                ],
            )?;
            run(
                "UPDATE trial SET step = ?3, metrics = ?4 WHERE sweep = ?1 AND id = ?2",
                params![attempt.sweep.0, attempt.trial.0, int(*step), json(metrics)],
            )
        }
        Fact::EmissionBooked { attempt, account, added, total: _ } => {
            book(&Entry { account: *account, amount: *added, sign: 1, of: Of::Attempt(*attempt) })
        }
        Fact::EmissionMoved { attempt, from, to, amount } => {
            book(&Entry { account: *from, amount: *amount, sign: -1, of: Of::Attempt(*attempt) })?;
            book(&Entry { account: *to, amount: *amount, sign: 1, of: Of::Attempt(*attempt) })
        }
        Fact::HostMetered { sweep, worker, seq: _, idle, overhead, total, other, at, .. } => {
            let of = Of::Host(*sweep, &worker.0);
            book(&Entry { account: Account::Idle, amount: *idle, sign: 1, of })?;
            book(&Entry { account: Account::Overhead, amount: *overhead, sign: 1, of })?;
            run(
                "UPDATE host SET total = ?3, other = ?4, heard_at_ms = CASE WHEN gone THEN heard_at_ms ELSE ?5 END
                 WHERE sweep = ?1 AND worker = ?2",
                params![sweep.0, worker.0, json(total), json(other), int(at.0)],
            )
        }
        Fact::Decided { attempt, step, verdict, launch: _, because, next } => {
            run(
                "INSERT INTO decision (seq, sweep, trial, attempt, step, verdict, because, at_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
                params![
                    seq,
                    attempt.sweep.0,
                    attempt.trial.0,
                    attempt.number,
                    int(*step),
                    word(verdict),
                    json(because),
                    int(written_at.0)
                ],
            )?;
            run(
                "UPDATE trial SET verdict = ?3, because = ?4, state = CASE WHEN ?5 THEN 'stopping' ELSE state END
                 WHERE sweep = ?1 AND id = ?2",
                params![attempt.sweep.0, attempt.trial.0, word(verdict), json(because), next.is_some()],
            )
        }
        Fact::AttemptEnded { attempt, outcome, next, at } => {
            run(
                "UPDATE attempt SET ended_at_ms = ?4, outcome = ?5 WHERE sweep = ?1 AND trial = ?2 AND number = ?3",
                params![attempt.sweep.0, attempt.trial.0, attempt.number, int(at.0), json(outcome)],
            )?;
            let (state, message) = fate(next);
            run(
                "UPDATE trial SET state = ?3, message = ?4 WHERE sweep = ?1 AND id = ?2",
                params![attempt.sweep.0, attempt.trial.0, word(&state), message],
            )
        }
        Fact::SweepEnding { sweep, why, budget: _, let_finish: _ } => {
            run("UPDATE sweep SET state = 'ending', ended_because = ?2 WHERE id = ?1", params![sweep.0, why])
        }
        Fact::SweepEnded { sweep, at } => run(
            "UPDATE sweep SET state = 'ended', ended_at_ms = ?2 WHERE id = ?1",
            params![sweep.0, int(at.0)],
        ),
    }
}

fn fate(next: &Next) -> (TrialState, Option<&str>) {
    match next {
        Next::Complete => (TrialState::Completed, None),
        Next::Prune => (TrialState::Pruned, None),
        Next::Pause => (TrialState::Paused, None),
        Next::Wait => (TrialState::Waiting, None),
        Next::Fail { message } => (TrialState::Failed, Some(message)),
    }
}

/// Whom an entry is about.
#[derive(Clone, Copy)]
enum Of<'a> {
    Attempt(AttemptId),
    Host(SweepId, &'a str),
}

/// One line of the ledger.
struct Entry<'a> {
    account: Account,
    amount: Footprint,
    /// 1 to charge the account, -1 to relieve it.
    sign: i64,
    of: Of<'a>,
}

impl Entry<'_> {
    fn insert(&self, transaction: &Transaction<'_>, seq: i64, at: Timestamp) -> Result<(), Error> {
        if self.amount == Footprint::ZERO {
            return Ok(());
        }
        let (sweep, trial, attempt, worker) = match self.of {
            Of::Attempt(id) => (id.sweep, Some(id.trial.0), Some(id.number), None),
            Of::Host(sweep, worker) => (sweep, None, None, Some(worker)),
        };
        let factors = factors(transaction, sweep)?;
        let in_force: i64 = transaction
            .prepare_cached("SELECT max(rowid) FROM intensity WHERE sweep = ?1")?
            .query_row([sweep.0], |row| row.get(0))?;
        let mut statement = transaction.prepare_cached(insertion())?;
        let known = params![
            seq,
            sweep.0,
            self.account.name(),
            trial,
            attempt,
            worker,
            self.sign * int(self.amount.co2e.get()),
            factors.intensity.get(),
            factors.pue.get(),
            int(at.0),
            in_force
        ];
        self.execute(&mut statement, known)?;
        drop(statement);
        self.add_up(transaction)
    }

    /// Runs a statement whose parameters are these and then the entry's energy.
    fn execute(&self, statement: &mut Statement<'_>, known: &[&dyn rusqlite::ToSql]) -> Result<(), Error> {
        for (place, value) in known.iter().enumerate() {
            statement.raw_bind_parameter(place + 1, value)?;
        }
        for (place, value) in energy_values(&self.amount.energy).into_iter().enumerate() {
            statement.raw_bind_parameter(known.len() + place + 1, self.sign * value)?;
        }
        statement.raw_execute()?;
        Ok(())
    }

    /// Takes the entry into the sums by sweep, worker and account.
    fn add_up(&self, transaction: &Transaction<'_>) -> Result<(), Error> {
        let mut statement = transaction.prepare_cached(addition())?;
        let (sweep, worker, attempt) = match self.of {
            Of::Attempt(id) => (id.sweep, None, Some(id)),
            Of::Host(sweep, worker) => (sweep, Some(worker), None),
        };
        let known = params![
            sweep.0,
            worker,
            attempt.map(|id| id.trial.0),
            attempt.map(|id| id.number),
            self.account.name(),
            self.sign * int(self.amount.co2e.get())
        ];
        self.execute(&mut statement, known)?;
        Ok(())
    }
}

fn addition() -> &'static str {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let columns = energy_columns(str::to_owned);
        let places: Vec<String> = (7..=6 + ENERGY.len()).map(|place| format!("?{place}")).collect();
        let added = energy_columns(|column| format!("{column} = {column} + excluded.{column}"));
        format!(
            "INSERT INTO spent (sweep, worker, account, co2e_ng, {columns})
             VALUES (?1, coalesce(?2, (SELECT worker FROM attempt WHERE sweep = ?1 AND trial = ?3 AND number = ?4), ''),
                     ?5, ?6, {})
             ON CONFLICT DO UPDATE SET co2e_ng = co2e_ng + excluded.co2e_ng, {added}",
            places.join(", ")
        )
    });
    &SQL
}

fn insertion() -> &'static str {
    static SQL: LazyLock<String> = LazyLock::new(|| {
        let columns = energy_columns(str::to_owned);
        let places: Vec<String> = (1..=11 + ENERGY.len()).map(|place| format!("?{place}")).collect();
        format!(
            "INSERT INTO ledger_entry
             (fact, sweep, account, trial, attempt, worker, co2e_ng, intensity_g_per_kwh, pue, at_ms, intensity, {columns})
             VALUES ({})",
            places.join(", ")
        )
    });
    &SQL
}

/// How a sweep's energy becomes grams now.
fn factors(transaction: &Transaction<'_>, sweep: SweepId) -> Result<CarbonFactors, Error> {
    let factors: String = transaction
        .prepare_cached("SELECT factors FROM sweep WHERE id = ?1")?
        .query_row([sweep.0], |row| row.get(0))?;
    from_json(&factors)
}

fn state_intensity(
    transaction: &Transaction<'_>,
    sweep: SweepId,
    factors: &CarbonFactors,
    at: Timestamp,
) -> Result<(), Error> {
    let CarbonFactors { intensity, kind, source, basis, year, .. } = factors;
    transaction
        .prepare_cached(
            "INSERT INTO intensity (sweep, at_ms, g_per_kwh, kind, source, basis, year)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![sweep.0, int(at.0), intensity.get(), kind.name(), source, basis, year])?;
    Ok(())
}
