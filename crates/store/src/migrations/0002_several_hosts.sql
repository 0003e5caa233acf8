-- Several hosts: sweeps that are held, hosts that are left alone, and sweeps kept as a whole.

-- A sweep may be `paused`. SQLite changes no CHECK in place.
CREATE TABLE sweep_2 (
    id               INTEGER PRIMARY KEY,
    name             TEXT    NOT NULL,
    state            TEXT    NOT NULL CHECK (state IN ('running', 'paused', 'ending', 'ended')),
    submitted_by     TEXT    NOT NULL,
    submitted_at_ms  INTEGER NOT NULL,
    ended_at_ms      INTEGER,
    ended_because    TEXT,
    spec             TEXT    NOT NULL CHECK (json_valid(spec)),
    factors          TEXT    NOT NULL CHECK (json_valid(factors))
) STRICT;
INSERT INTO sweep_2 SELECT id, name, state, submitted_by, submitted_at_ms, ended_at_ms, ended_because, spec, factors FROM sweep;
DROP TABLE sweep;
ALTER TABLE sweep_2 RENAME TO sweep;

-- Hosts that a sweep's trials are not run on any more.
CREATE TABLE excluded_host (
    sweep  INTEGER NOT NULL,
    host   TEXT    NOT NULL,
    why    TEXT    NOT NULL,
    PRIMARY KEY (sweep, host)
) STRICT, WITHOUT ROWID;

-- Sweeps as they were at a place in the journal, so that not all of it need be read to go on. Only a shortcut: it may be deleted
-- at any time, and is only believed by the build that wrote it.
CREATE TABLE snapshot (
    sweep    INTEGER PRIMARY KEY,
    through  INTEGER NOT NULL,
    build    INTEGER NOT NULL,
    body     BLOB    NOT NULL
) STRICT;
