-- The journal is the truth; every other table is a projection of it and can be rebuilt.
-- Energies are whole microjoules (_uj), emissions whole nanograms of CO2e (_ng), times milliseconds since 1970 (_ms).

CREATE TABLE journal (
    seq    INTEGER PRIMARY KEY,
    sweep  INTEGER NOT NULL,
    at_ms  INTEGER NOT NULL,
    kind   TEXT    NOT NULL,
    body   TEXT    NOT NULL CHECK (json_valid(body))
) STRICT;
CREATE INDEX journal_by_sweep ON journal (sweep, seq);

CREATE TABLE sweep (
    id               INTEGER PRIMARY KEY,
    name             TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('running', 'ending', 'ended')),
    submitted_by     TEXT    NOT NULL,
    submitted_at_ms  INTEGER NOT NULL,
    ended_at_ms      INTEGER,
    ended_because    TEXT,
    spec             TEXT    NOT NULL CHECK (json_valid(spec)),
    factors          TEXT    NOT NULL CHECK (json_valid(factors))
) STRICT;

CREATE TABLE trial (
    sweep     INTEGER NOT NULL,
    id        INTEGER NOT NULL,
    state     TEXT    NOT NULL
              CHECK (state IN ('waiting', 'running', 'stopping', 'paused', 'completed', 'pruned', 'failed')),
    config    TEXT    NOT NULL CHECK (json_valid(config)),
    step      INTEGER NOT NULL DEFAULT 0,
    metrics   TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(metrics)),
    verdict   TEXT,
    because   TEXT    CHECK (because IS NULL OR json_valid(because)),
    message   TEXT,
    PRIMARY KEY (sweep, id)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
    sweep         INTEGER NOT NULL,
    trial         INTEGER NOT NULL,
    number        INTEGER NOT NULL,
    worker        TEXT    NOT NULL,
    gpus          TEXT    NOT NULL CHECK (json_valid(gpus)),
    leased_at_ms  INTEGER NOT NULL,
    ended_at_ms   INTEGER,
    outcome       TEXT    CHECK (outcome IS NULL OR json_valid(outcome)),
    PRIMARY KEY (sweep, trial, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE step (
    sweep         INTEGER NOT NULL,
    trial         INTEGER NOT NULL,
    attempt       INTEGER NOT NULL,
    step          INTEGER NOT NULL,
    metrics       TEXT    NOT NULL CHECK (json_valid(metrics)),
    energy_uj     INTEGER NOT NULL,
    co2e_ng       INTEGER NOT NULL,
    at_ms         INTEGER NOT NULL,
    PRIMARY KEY (sweep, trial, attempt, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE decision (
    seq      INTEGER PRIMARY KEY,
    sweep    INTEGER NOT NULL,
    trial    INTEGER NOT NULL,
    attempt  INTEGER NOT NULL,
    step     INTEGER NOT NULL,
    verdict  TEXT    NOT NULL,
    because  TEXT    NOT NULL CHECK (json_valid(because)),
    at_ms    INTEGER NOT NULL
) STRICT;
CREATE INDEX decision_by_trial ON decision (sweep, trial, seq);

CREATE TABLE host (
    sweep         INTEGER NOT NULL,
    worker        TEXT    NOT NULL,
    description   TEXT    NOT NULL,
    gpus          TEXT    NOT NULL CHECK (json_valid(gpus)),
    joined_at_ms  INTEGER NOT NULL,
    heard_at_ms   INTEGER NOT NULL,
    -- It ended, or lost its lease: what is heard of it later is of before.
    gone          INTEGER NOT NULL DEFAULT 0,
    -- Everything metered, and the part of other users of the host: by component and provenance.
    total         TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(total)),
    other         TEXT    NOT NULL DEFAULT '{}' CHECK (json_valid(other)),
    measured_uj INTEGER AS (
            coalesce(total ->> '$.gpu.measured', 0)
            + coalesce(total ->> '$.cpu.measured', 0)
            + coalesce(total ->> '$.memory.measured', 0)
            + coalesce(total ->> '$.rest.measured', 0)),
    modelled_uj INTEGER AS (
            coalesce(total ->> '$.gpu.modelled', 0)
            + coalesce(total ->> '$.cpu.modelled', 0)
            + coalesce(total ->> '$.memory.modelled', 0)
            + coalesce(total ->> '$.rest.modelled', 0)),
    estimated_uj INTEGER AS (
            coalesce(total ->> '$.gpu.estimated', 0)
            + coalesce(total ->> '$.cpu.estimated', 0)
            + coalesce(total ->> '$.memory.estimated', 0)
            + coalesce(total ->> '$.rest.estimated', 0)),
    other_measured_uj INTEGER AS (
            coalesce(other ->> '$.gpu.measured', 0)
            + coalesce(other ->> '$.cpu.measured', 0)
            + coalesce(other ->> '$.memory.measured', 0)
            + coalesce(other ->> '$.rest.measured', 0)),
    other_modelled_uj INTEGER AS (
            coalesce(other ->> '$.gpu.modelled', 0)
            + coalesce(other ->> '$.cpu.modelled', 0)
            + coalesce(other ->> '$.memory.modelled', 0)
            + coalesce(other ->> '$.rest.modelled', 0)),
    other_estimated_uj INTEGER AS (
            coalesce(other ->> '$.gpu.estimated', 0)
            + coalesce(other ->> '$.cpu.estimated', 0)
            + coalesce(other ->> '$.memory.estimated', 0)
            + coalesce(other ->> '$.rest.estimated', 0)),
    PRIMARY KEY (sweep, worker)
) STRICT, WITHOUT ROWID;

-- Grid intensities as they were stated, the one at the start included; each holds until the next.
CREATE TABLE intensity (
    sweep      INTEGER NOT NULL,
    at_ms      INTEGER NOT NULL,
    g_per_kwh  REAL    NOT NULL,
    kind       TEXT    NOT NULL CHECK (kind IN ('yearly', 'forecast', 'estimated', 'actual')),
    source     TEXT    NOT NULL,
    basis      TEXT    NOT NULL,
    year       INTEGER NOT NULL
) STRICT;
CREATE INDEX intensity_by_sweep ON intensity (sweep);

-- Who burnt what. Entries are only ever added; a change of account is two entries, one of them negative.
CREATE TABLE ledger_entry (
    id                   INTEGER PRIMARY KEY,
    fact                 INTEGER NOT NULL REFERENCES journal (seq),
    sweep                INTEGER NOT NULL,
    -- Row of `intensity` that was in force.
    intensity            INTEGER NOT NULL,
    account              TEXT    NOT NULL CHECK (account IN ('trial', 'lost', 'idle', 'overhead')),
    trial                INTEGER,
    attempt              INTEGER,
    worker               TEXT,
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
    intensity_g_per_kwh  REAL    NOT NULL,
    pue                  REAL    NOT NULL,
    at_ms                INTEGER NOT NULL,
    measured_uj          INTEGER AS (gpu_measured_uj + cpu_measured_uj + memory_measured_uj + rest_measured_uj),
    modelled_uj          INTEGER AS (gpu_modelled_uj + cpu_modelled_uj + memory_modelled_uj + rest_modelled_uj),
    estimated_uj         INTEGER AS (gpu_estimated_uj + cpu_estimated_uj + memory_estimated_uj + rest_estimated_uj),
    gpu_uj               INTEGER AS (gpu_measured_uj + gpu_modelled_uj + gpu_estimated_uj),
    cpu_uj               INTEGER AS (cpu_measured_uj + cpu_modelled_uj + cpu_estimated_uj),
    memory_uj            INTEGER AS (memory_measured_uj + memory_modelled_uj + memory_estimated_uj),
    rest_uj              INTEGER AS (rest_measured_uj + rest_modelled_uj + rest_estimated_uj),
    energy_uj            INTEGER AS (measured_uj + modelled_uj + estimated_uj)
) STRICT;
CREATE INDEX ledger_by_attempt ON ledger_entry (sweep, trial, attempt);

-- For people with sqlite3 at hand: the balances in everyday units.
CREATE VIEW balance AS
    SELECT sweep, account,
           sum(energy_uj) AS energy_uj,
           sum(energy_uj) / 3.6e12 AS energy_kwh,
           sum(gpu_uj) AS gpu_uj,
           sum(cpu_uj) AS cpu_uj,
           sum(memory_uj) AS memory_uj,
           sum(rest_uj) AS rest_uj,
           sum(co2e_ng) / 1e9 AS co2e_g
    FROM ledger_entry
    GROUP BY sweep, account;
