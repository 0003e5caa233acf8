-- Questions about all sweeps at once, and sweeps of other databases.

-- Who burnt what, by sweep, worker and account: the ledger's sums, kept up with it.
CREATE TABLE spent (
    sweep                INTEGER NOT NULL,
    worker               TEXT    NOT NULL,
    account              TEXT    NOT NULL CHECK (account IN ('trial', 'lost', 'idle', 'overhead')),
    gpu_measured_uj      INTEGER NOT NULL,
    gpu_modelled_uj      INTEGER NOT NULL,
    gpu_estimated_uj     INTEGER NOT NULL,
    cpu_measured_uj      INTEGER NOT NULL,
    cpu_modelled_uj      INTEGER NOT NULL,
    cpu_estimated_uj     INTEGER NOT NULL,
    memory_measured_uj   INTEGER NOT NULL,
    memory_modelled_uj   INTEGER NOT NULL,
    memory_estimated_uj  INTEGER NOT NULL,
    rest_measured_uj     INTEGER NOT NULL,
    rest_modelled_uj     INTEGER NOT NULL,
    rest_estimated_uj    INTEGER NOT NULL,
    co2e_ng              INTEGER NOT NULL,
    PRIMARY KEY (sweep, worker, account)
) STRICT, WITHOUT ROWID;
INSERT INTO spent
    SELECT entry.sweep, coalesce(entry.worker, attempt.worker, ''), entry.account,
           sum(gpu_measured_uj), sum(gpu_modelled_uj), sum(gpu_estimated_uj),
           sum(cpu_measured_uj), sum(cpu_modelled_uj), sum(cpu_estimated_uj),
           sum(memory_measured_uj), sum(memory_modelled_uj), sum(memory_estimated_uj),
           sum(rest_measured_uj), sum(rest_modelled_uj), sum(rest_estimated_uj),
           sum(co2e_ng)
    FROM ledger_entry AS entry
    LEFT JOIN attempt
        ON attempt.sweep = entry.sweep AND attempt.trial = entry.trial AND attempt.number = entry.attempt
    GROUP BY 1, 2, 3;

-- How many trials are in each state, and who ran them, without their configurations being read.
CREATE INDEX trial_by_state ON trial (sweep, state);
CREATE INDEX attempt_by_worker ON attempt (sweep, worker, trial);

-- The machine's name, and what its worker may use of it, as the worker told.
ALTER TABLE host ADD COLUMN host TEXT NOT NULL DEFAULT '';
ALTER TABLE host ADD COLUMN cpus INTEGER NOT NULL DEFAULT 0;
ALTER TABLE host ADD COLUMN memory INTEGER NOT NULL DEFAULT 0;
UPDATE host SET (host, cpus, memory) = (
    SELECT coalesce(max(body ->> '$.worker_joined.host'), ''), coalesce(max(body ->> '$.worker_joined.cpus'), 0),
           coalesce(max(body ->> '$.worker_joined.memory'), 0)
    FROM journal
    WHERE journal.sweep = host.sweep AND kind = 'worker_joined'
      AND body ->> '$.worker_joined.worker' = host.worker);

-- Of which database a sweep is, and which it is there: null for those of this one.
ALTER TABLE sweep ADD COLUMN origin TEXT;

-- For people with sqlite3 at hand: what is asked most, in everyday units.
CREATE VIEW sweep_cost AS
    SELECT sweep.id AS sweep, sweep.name, sweep.spec ->> '$.project' AS project, sweep.submitted_by, sweep.state,
           sweep.factors ->> '$.zone' AS zone,
           strftime('%Y-%m', sweep.submitted_at_ms / 1000, 'unixepoch') AS month,
           (SELECT count(*) FROM trial WHERE trial.sweep = sweep.id) AS trials,
           coalesce(sum(gpu_measured_uj + gpu_modelled_uj + gpu_estimated_uj
               + cpu_measured_uj + cpu_modelled_uj + cpu_estimated_uj
               + memory_measured_uj + memory_modelled_uj + memory_estimated_uj
               + rest_measured_uj + rest_modelled_uj + rest_estimated_uj), 0) / 3.6e12 AS energy_kwh,
           coalesce(sum(co2e_ng), 0) / 1e9 AS co2e_g
    FROM sweep LEFT JOIN spent ON spent.sweep = sweep.id
    GROUP BY sweep.id;
CREATE VIEW trial_cost AS
    SELECT trial.sweep, trial.id AS trial, trial.state, trial.step, trial.config, trial.metrics,
           coalesce(sum(energy_uj), 0) / 3.6e12 AS energy_kwh,
           coalesce(sum(co2e_ng), 0) / 1e9 AS co2e_g
    FROM trial LEFT JOIN ledger_entry AS entry ON entry.sweep = trial.sweep AND entry.trial = trial.id
    GROUP BY trial.sweep, trial.id;
CREATE VIEW host_cost AS
    SELECT host.sweep, host.host, host.worker, host.gpus, spent.account,
           (gpu_measured_uj + gpu_modelled_uj + gpu_estimated_uj
               + cpu_measured_uj + cpu_modelled_uj + cpu_estimated_uj
               + memory_measured_uj + memory_modelled_uj + memory_estimated_uj
               + rest_measured_uj + rest_modelled_uj + rest_estimated_uj) / 3.6e12 AS energy_kwh,
           co2e_ng / 1e9 AS co2e_g
    FROM spent JOIN host ON host.sweep = spent.sweep AND host.worker = spent.worker;
