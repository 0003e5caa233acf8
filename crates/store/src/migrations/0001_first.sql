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
    measured_uj   INTEGER NOT NULL,
    modelled_uj   INTEGER NOT NULL,
    estimated_uj  INTEGER NOT NULL,
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
    sweep               INTEGER NOT NULL,
    worker              TEXT    NOT NULL,
    description         TEXT    NOT NULL,
    measured_uj         INTEGER NOT NULL DEFAULT 0,
    modelled_uj         INTEGER NOT NULL DEFAULT 0,
    estimated_uj        INTEGER NOT NULL DEFAULT 0,
    other_measured_uj   INTEGER NOT NULL DEFAULT 0,
    other_modelled_uj   INTEGER NOT NULL DEFAULT 0,
    other_estimated_uj  INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (sweep, worker)
) STRICT, WITHOUT ROWID;

-- Who burnt what. Entries are only ever added; a change of account is two entries, one of them negative.
CREATE TABLE ledger_entry (
    id                   INTEGER PRIMARY KEY,
    fact                 INTEGER NOT NULL REFERENCES journal (seq),
    sweep                INTEGER NOT NULL,
    account              TEXT    NOT NULL CHECK (account IN ('trial', 'lost', 'idle', 'overhead')),
    trial                INTEGER,
    attempt              INTEGER,
    worker               TEXT,
    measured_uj          INTEGER NOT NULL,
    modelled_uj          INTEGER NOT NULL,
    estimated_uj         INTEGER NOT NULL,
    co2e_ng              INTEGER NOT NULL,
    intensity_g_per_kwh  REAL    NOT NULL,
    pue                  REAL    NOT NULL,
    at_ms                INTEGER NOT NULL
) STRICT;
CREATE INDEX ledger_by_attempt ON ledger_entry (sweep, trial, attempt);

-- For people with sqlite3 at hand: the balances in everyday units.
CREATE VIEW balance AS
    SELECT sweep, account,
           sum(measured_uj + modelled_uj + estimated_uj) AS energy_uj,
           sum(measured_uj + modelled_uj + estimated_uj) / 3.6e12 AS energy_kwh,
           sum(co2e_ng) / 1e9 AS co2e_g
    FROM ledger_entry
    GROUP BY sweep, account;
