-- The database of a data directory, as of user_version 1.
--
-- Events and runs are appended all day, so they are ordinary rowid tables whose integer key is the
-- front of their UUIDv7 (row_key.h): SQLite appends to such a table without touching any page but
-- the last. `rest` is what the key does not hold of the id. Times are milliseconds since 1970.

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value
) WITHOUT ROWID;

CREATE TABLE pipelines (
    key INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    path TEXT NOT NULL,              -- namespace.layer.name
    version INTEGER NOT NULL,        -- the current one
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER               -- kept for the runs that name it, until retention takes them
);
CREATE UNIQUE INDEX pipelines_by_path ON pipelines (path) WHERE deleted_at IS NULL;

CREATE TABLE pipeline_versions (
    pipeline INTEGER NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    spec TEXT NOT NULL,
    PRIMARY KEY (pipeline, version)
) WITHOUT ROWID;

CREATE TABLE triggers (
    key INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    pipeline INTEGER NOT NULL,
    type TEXT NOT NULL,
    label TEXT NOT NULL,
    enabled INTEGER NOT NULL,
    cooldown_ms INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,
    config TEXT NOT NULL
);
CREATE INDEX triggers_by_pipeline ON triggers (pipeline);

-- What firing changes; narrow, because every commit writes here.
CREATE TABLE trigger_states (
    trigger INTEGER PRIMARY KEY,
    last_fired INTEGER NOT NULL,
    last_run BLOB,
    last_due INTEGER,                -- of a schedule: the last due time that was dealt with
    held INTEGER NOT NULL DEFAULT 0, -- events that the cooldown holds back
    held_from BLOB                   -- the first of them
);

-- When pipelines that triggers wait for last succeeded; by path, so that it outlives the pipeline.
CREATE TABLE successes (
    path TEXT PRIMARY KEY,
    at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE events (
    key INTEGER PRIMARY KEY,
    rest INTEGER NOT NULL,
    time INTEGER NOT NULL,
    source TEXT NOT NULL,
    type TEXT NOT NULL,
    subject TEXT,
    content_type TEXT,
    root BLOB,
    parent BLOB,
    depth INTEGER NOT NULL,
    decisions BLOB,                  -- core/decision.h
    payload BLOB                     -- last: lists never read as far as a long one
);

-- state: p pending, d pending but delayed until due_at, r running, s success, f failed, c cancelled.
-- A time that is not set yet is a number as wide as a real one (UNSET in stmt.h): a run's row never
-- grows when it is updated, so its full page never splits.
CREATE TABLE runs (
    key INTEGER PRIMARY KEY,
    rest INTEGER NOT NULL,
    event BLOB NOT NULL,
    pipeline INTEGER NOT NULL,
    version INTEGER NOT NULL,
    trigger INTEGER NOT NULL,        -- 0: asked for by hand
    state TEXT NOT NULL,
    attempt INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    due_at INTEGER,
    held_from BLOB                   -- the run is also for the files that arrived since this event
);
CREATE INDEX runs_by_pipeline ON runs (pipeline, state);
CREATE INDEX runs_by_due ON runs (pipeline, due_at) WHERE due_at IS NOT NULL;

-- Only for runs that said something.
CREATE TABLE run_outputs (
    run INTEGER PRIMARY KEY,
    error TEXT,
    output BLOB,
    log BLOB
);

-- Requests that may be repeated. Kept for a day; the event's key says since when.
CREATE TABLE dedupe (
    event INTEGER PRIMARY KEY,
    rest INTEGER NOT NULL,
    run BLOB NOT NULL,
    key BLOB NOT NULL UNIQUE
);

CREATE TABLE api_keys (
    name TEXT PRIMARY KEY,
    hash BLOB NOT NULL UNIQUE,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;
