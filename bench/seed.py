"""seed.py - puts triggers into the database of a daemon that is down, faster than its API would."""
import contextlib
import os
import sqlite3
import time
import uuid


def new_id():
    """A version 7 UUID of now, as it stands in the database."""
    high = int(time.time() * 1000) << 16 | 7 << 12 | int.from_bytes(os.urandom(2), "big") >> 4
    low = 2 << 62 | int.from_bytes(os.urandom(8), "big") >> 2
    return uuid.UUID(int=high << 64 | low).bytes


def add_triggers(daemon, kind, configs):
    """Adds one trigger per config text, over all pipelines in turn. last_due is now: nothing has been missed."""
    assert not daemon.running
    now = int(time.time() * 1000)
    with contextlib.closing(sqlite3.connect(f"{daemon.data}/pawl.db")) as db:
        pipelines = [row[0] for row in db.execute("SELECT key FROM pipelines WHERE deleted_at IS NULL ORDER BY key")]
        first = db.execute("SELECT ifnull(max(key), 0) + 1 FROM triggers").fetchone()[0]
        with db:
            db.executemany("INSERT INTO triggers (key, id, pipeline, type, label, enabled, cooldown_ms, created_at, updated_at, config)"
                           f" VALUES (?, ?, ?, '{kind}', 'trigger:{kind}', 1, 0, {now}, {now}, ?)",
                           ((first + i, new_id(), pipelines[i % len(pipelines)], c) for i, c in enumerate(configs)))
            db.execute("INSERT INTO trigger_states (trigger, last_fired, last_due)"
                       f" SELECT key, {-(1 << 46)}, {now} FROM triggers WHERE key >= ?", (first,))
