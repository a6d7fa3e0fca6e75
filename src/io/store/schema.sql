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
    given_id TEXT,                   -- what its maker calls it instead of the UUID
    version INTEGER NOT NULL,        -- the current one
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER,              -- kept for the runs that name it, until retention takes them
    sweeping INTEGER NOT NULL DEFAULT 0 -- deleted, and runs of it may still stand there as pending (sweep.h)
);
CREATE INDEX pipelines_to_sweep ON pipelines (sweeping) WHERE sweeping = 1;
CREATE UNIQUE INDEX pipelines_by_path ON pipelines (path) WHERE deleted_at IS NULL;
CREATE UNIQUE INDEX pipelines_by_given_id ON pipelines (given_id)
    WHERE deleted_at IS NULL AND given_id IS NOT NULL;

CREATE TABLE pipeline_versions (
    pipeline INTEGER NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    spec TEXT NOT NULL,              -- its secrets are sealed (core/redact.h)
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
    held_from BLOB,                  -- the first of them
    fired INTEGER NOT NULL DEFAULT 0,  -- times; of an ArkEvent, as is
    version INTEGER NOT NULL DEFAULT 0 -- its resourceVersion as of the last firing
);
CREATE INDEX trigger_states_by_version ON trigger_states (version) WHERE version > 0;

-- ArkEvents: triggers with a name of their own (core/ark.h). A dropped one is kept for a while, for those who watch; its trigger's
-- row says since when.
CREATE TABLE arkevents (
    trigger INTEGER PRIMARY KEY,
    path TEXT NOT NULL,              -- namespace/name
    version INTEGER NOT NULL,        -- resourceVersion as of the last change but firings
    created_version INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    reason INTEGER NOT NULL,
    ready_since INTEGER NOT NULL,
    missing TEXT,                    -- the first target that is not there
    dropped INTEGER NOT NULL,
    token_hash BLOB,
    token_sealed BLOB
);
CREATE UNIQUE INDEX arkevents_by_path ON arkevents (path) WHERE dropped = 0;
CREATE INDEX arkevents_by_version ON arkevents (version);

-- Namespaces that somebody has made (core/namespace.h). Others are there because something is in them.
CREATE TABLE namespaces (
    name TEXT PRIMARY KEY,
    config TEXT NOT NULL,
    version INTEGER NOT NULL,
    created_at INTEGER NOT NULL
) WITHOUT ROWID;

-- What came from manifests (core/applied.h).
CREATE TABLE applied (
    object BLOB PRIMARY KEY,         -- the id of a pipeline, zone or trigger
    key TEXT NOT NULL UNIQUE,        -- kind/namespace/name
    owner TEXT NOT NULL
) WITHOUT ROWID;

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
    zone INTEGER,                    -- whose file it is about
    decisions BLOB,                  -- core/decision.h
    message INTEGER,                 -- its number, where it is a message of an embedded topic
    message_key BLOB,                -- that its sender gave it
    payload BLOB                     -- last: lists never read as far as a long one
);

CREATE INDEX events_by_zone ON events (zone) WHERE zone IS NOT NULL;

-- Embedded topics. Their next offset is the one behind their last message; first_offset, when there is none.
CREATE TABLE topics (
    key INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    age_ms INTEGER,                  -- how long messages are kept; NULL: as configured, 0: for ever
    bytes_max INTEGER,               -- how much of them; likewise
    first_offset INTEGER NOT NULL,   -- all before it have gone
    first_total INTEGER NOT NULL,    -- bytes of those
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
);
CREATE UNIQUE INDEX topics_by_name ON topics (name) WHERE deleted_at IS NULL;

-- One narrow row per message, in the order of their topic: what it says is in its event. The key is the message's number
-- (core/topic.h). total: bytes of all messages the topic ever had, so that any range of them is one subtraction.
CREATE TABLE messages (
    key INTEGER PRIMARY KEY,
    event INTEGER NOT NULL,
    total INTEGER NOT NULL
);

-- How far subscriptions to outside streams have come.
CREATE TABLE positions (
    subscription TEXT NOT NULL,
    partition INTEGER NOT NULL,
    at INTEGER NOT NULL,
    mark INTEGER NOT NULL,           -- what the reader knows the message there by
    PRIMARY KEY (subscription, partition)
) WITHOUT ROWID;

-- Directories that are watched.
CREATE TABLE zones (
    key INTEGER PRIMARY KEY,
    id BLOB NOT NULL UNIQUE,
    path TEXT NOT NULL,              -- namespace.name
    directory TEXT NOT NULL,
    spec TEXT NOT NULL,
    made_by_us INTEGER NOT NULL,
    primed INTEGER NOT NULL,         -- the files that were there before it are in the ledger
    new_since INTEGER NOT NULL,      -- until then: a file that has not changed since is one of them
    created_at INTEGER NOT NULL,
    updated_at INTEGER NOT NULL,
    deleted_at INTEGER
);
CREATE UNIQUE INDEX zones_by_path ON zones (path) WHERE deleted_at IS NULL;

-- The ledger: each file that has arrived, as it was then, or when its times were set. The key is its event's, if it has one. A file that is gone is kept for
-- a while, so that it is known when it is moved back.
CREATE TABLE files (
    key INTEGER PRIMARY KEY,
    rest INTEGER NOT NULL,
    zone INTEGER NOT NULL,
    inode INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,       -- of the inode, when the row was written
    arrived_at INTEGER NOT NULL,
    gone_at INTEGER,
    name BLOB,                       -- as its sender gave it, where that is not the end of path
    content_type TEXT,
    path BLOB NOT NULL               -- below the zone's directory, the file system's bytes
);
CREATE UNIQUE INDEX files_by_path ON files (zone, path);
CREATE INDEX files_by_zone ON files (zone) WHERE gone_at IS NULL;
CREATE INDEX files_gone ON files (gone_at) WHERE gone_at IS NOT NULL;

-- What a zone holds, so that nobody has to count.
CREATE TABLE zone_totals (
    zone INTEGER PRIMARY KEY,
    files INTEGER NOT NULL,
    bytes INTEGER NOT NULL
);
CREATE TRIGGER files_insert AFTER INSERT ON files WHEN new.gone_at IS NULL BEGIN
    UPDATE zone_totals SET files = files + 1, bytes = bytes + new.size WHERE zone = new.zone;
END;
CREATE TRIGGER files_delete AFTER DELETE ON files WHEN old.gone_at IS NULL BEGIN
    UPDATE zone_totals SET files = files - 1, bytes = bytes - old.size WHERE zone = old.zone;
END;
CREATE TRIGGER files_return AFTER UPDATE OF gone_at ON files WHEN old.gone_at IS NOT NULL AND new.gone_at IS NULL BEGIN
    UPDATE zone_totals SET files = files + 1, bytes = bytes + new.size WHERE zone = new.zone;
END;
CREATE TRIGGER files_leave AFTER UPDATE OF gone_at ON files WHEN old.gone_at IS NULL AND new.gone_at IS NOT NULL BEGIN
    UPDATE zone_totals SET files = files - 1, bytes = bytes - old.size WHERE zone = old.zone;
END;

-- What is paused: everything (kind a, key 0), a pipeline (p), a trigger (t).
CREATE TABLE pauses (
    kind TEXT NOT NULL,
    key INTEGER NOT NULL,
    at INTEGER NOT NULL,
    reason TEXT,
    PRIMARY KEY (kind, key)
) WITHOUT ROWID;

-- Runs that were in flight when a daemon died: processes of theirs may still be there. Emptied when they are certainly gone.
CREATE TABLE unswept (
    run INTEGER PRIMARY KEY,
    rest INTEGER NOT NULL
);

-- state: p pending, d pending but delayed until due_at, w pending but put aside as its trigger is paused, r running, s success,
-- f failed, x failed and made again, c cancelled.
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
CREATE INDEX runs_dead ON runs (state) WHERE state = 'f';
CREATE INDEX runs_held ON runs (trigger, held_from) WHERE held_from IS NOT NULL;
CREATE INDEX runs_by_due ON runs (pipeline, due_at) WHERE due_at IS NOT NULL;

-- Runs that get something else than their event's payload.
CREATE TABLE run_inputs (
    run INTEGER PRIMARY KEY,
    input BLOB NOT NULL
);

-- Running runs that workers outside have.
CREATE TABLE leases (
    run INTEGER PRIMARY KEY,
    expires_at INTEGER NOT NULL,
    hash BLOB NOT NULL
);

-- Only for runs that said something.
CREATE TABLE run_outputs (
    run INTEGER PRIMARY KEY,
    error TEXT,
    output BLOB,
    log BLOB,
    steps TEXT                       -- of a pipeline with `steps`: how each went (executor/progress.h)
);

-- Attempts that ended without ending their run. The last one is the run itself.
CREATE TABLE run_attempts (
    run INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    started_at INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    interrupted INTEGER NOT NULL,    -- by a crash or a stop
    error TEXT,
    log BLOB,
    steps TEXT,
    PRIMARY KEY (run, attempt)
) WITHOUT ROWID;

-- What an attempt had written so far, while it went on. It is the log of one that a crash cut off; others end with a whole log, and
-- leave nothing here. An attempt's parts are next to each other, and each is of whole lines: read in order they are the beginning of its log.
CREATE TABLE log_parts (
    run INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    at INTEGER NOT NULL,             -- bytes of the log before it
    text BLOB NOT NULL,
    PRIMARY KEY (run, attempt, at)
) WITHOUT ROWID;

-- Runs that were made again: which for which. Ids are split as in runs; the original may be gone.
CREATE TABLE replays (
    run INTEGER PRIMARY KEY,
    rest INTEGER NOT NULL,
    original INTEGER NOT NULL,
    original_rest INTEGER NOT NULL,
    event INTEGER NOT NULL
);
CREATE INDEX replays_by_original ON replays (original);
CREATE INDEX replays_by_event ON replays (event);

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
