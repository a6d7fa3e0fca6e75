#!/usr/bin/python3
"""cron.py - a million cron triggers: start, memory, idling, making more; many due at once; lateness

The triggers are put into the database while the daemon is down; all belong to pull pipelines, so that schedules are measured and
not commands. What is durable is what another connection to the database sees: a commit is visible once it is synced. That
connection looks about every millisecond, and what it takes to look counts against pawl.
"""
import argparse
import contextlib
import os
import random
import sqlite3
import sys
import threading
import time

from peers import BODY, Pawl, Table, Workplace, machine, median, wrk
from seed import add_triggers

import peers

PIPELINES = 1000


def rarely(n, seed=1):
    """Configs of schedules that are due on one day of the year, months away."""
    r = random.Random(seed)
    month = (time.gmtime().tm_mon + 5) % 12 + 1
    return ('{"cron_expr":"%d %d %d %d *"}' % (r.randrange(60), r.randrange(24), r.randrange(1, 29), month) for _ in range(n))


def all_at(when, n):
    """Configs that are due at that second, and a year later."""
    t = time.gmtime(when)
    return ('{"cron_expr":"%d %d %d %d %d *"}' % (t.tm_sec, t.tm_min, t.tm_hour, t.tm_mday, t.tm_mon) for _ in range(n))


def server_with(work, name, pipelines=PIPELINES):
    """A stopped daemon with pull pipelines."""
    server = Pawl(work, name)
    with server.daemon.session() as call:
        for i in range(pipelines):
            body = {"namespace": "bench", "layer": "bronze", "name": f"p{i}", "executor": {"type": "pull"}}
            call("POST", "/api/v1/pipelines", body).expect(201)
    server.daemon.stop()
    return server


def cpu_s(pid):
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def reader(server):
    """A connection that sees what is durable."""
    db = sqlite3.connect(f"file:{server.daemon.data}/pawl.db?mode=ro", uri=True, isolation_level=None)
    return contextlib.closing(db)


def create_rate(server, seconds):
    """Triggers made per second over 64 connections."""
    peers.BODY = b'{"type":"cron","config":{"cron_expr":"0 0 1 1 *"}}'
    try:
        return wrk(f"{server.daemon.url}/api/v1/pipelines/bench/bronze/p7/triggers", "none", 64, seconds)["rate"]
    finally:
        peers.BODY = BODY


# ---- a million ----


def ready_s(server):
    start = time.monotonic()
    server.daemon.start(timeout=120)
    return time.monotonic() - start


def million(work, t, n, rounds, seconds):
    big, small = server_with(work, "big"), server_with(work, "small")
    add_triggers(big.daemon, "cron", rarely(n))
    add_triggers(small.daemon, "cron", rarely(1000))
    times = []
    for _ in range(rounds):
        times.append(ready_s(big))
        rss = big.daemon.rss_bytes()
        threading.Event().wait(1)
        used = cpu_s(big.daemon.pid)
        threading.Event().wait(seconds)
        used = cpu_s(big.daemon.pid) - used
        big.daemon.stop()
    t.at_most(f"{n:,} cron triggers: start to ready, s, median of {rounds}", median(times), 4)
    t.at_most("  resident memory, MB", rss / 1e6, 400, "{:.0f}")
    t.at_most(f"  CPU while idle for {seconds} s, %", 100 * used / seconds, 0.5)
    ratios = []
    for server in (big, small):
        server.daemon.start(timeout=120)
    for _ in range(rounds):
        ratios.append(create_rate(big, 3) / create_rate(small, 3))
    t.at_least(f"  triggers made per second, over those at 1,000, median of {rounds}", median(ratios), 0.7)
    work.end(big, small)


# ---- many at once ----


def storm(work, n):
    """Milliseconds from the second in which n triggers are due until all their runs are durable."""
    server = server_with(work, "storm")
    due = int(time.time()) + 8 + n // 50000
    add_triggers(server.daemon, "cron", all_at(due, n))
    server.daemon.start(timeout=120)
    if time.time() > due - 0.5:
        sys.exit("the daemon was not ready before its triggers were due")
    with reader(server) as db:
        threading.Event().wait(due - time.time())
        made = 0
        while made < n:
            made = db.execute("SELECT count(*) FROM runs").fetchone()[0]
            late = (time.time() - due) * 1000
            if late > 60000:
                sys.exit(f"only {made} of {n} runs after a minute")
            threading.Event().wait(0.003)
    events = server.daemon.get("/api/v1/event-log?source=cron&limit=1").expect(200).json()["total"]
    if made != n or events != n:
        sys.exit(f"{n} triggers were due once, there are {events} events and {made} runs")
    work.end(server)
    return late


# ---- lateness ----


def lateness(work, triggers, seconds):
    """For each fire of `triggers` that are due every second: milliseconds from its due time until it is durable."""
    server = server_with(work, "late", 100)
    add_triggers(server.daemon, "cron", ('{"cron_expr":"* * * * * *"}' for _ in range(triggers)))
    server.daemon.start()
    late, last = [], 0
    with reader(server) as db:
        start = int(time.time()) + 2
        threading.Event().wait(start - 0.5 - time.time())
        last = db.execute("SELECT ifnull(max(key), 0) FROM events").fetchone()[0]
        while time.time() < start + seconds - 0.5:
            rows = db.execute("SELECT key, payload FROM events WHERE key > ? ORDER BY key", (last,)).fetchall()
            now = time.time()
            for key, payload in rows:
                last = key
                due = time.strptime(payload[17:36].decode(), "%Y-%m-%dT%H:%M:%S")
                late.append((now - (time.mktime(due) - time.timezone)) * 1000)
            threading.Event().wait(0.0005)
    work.end(server)
    return sorted(late)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=int, default=60, help="of idling, and of triggers that are due every second")
    p.add_argument("--triggers", type=int, default=1000000)
    p.add_argument("--parts", default="million,storm,lateness")
    a = p.parse_args()
    work, t, parts = Workplace("cron"), Table(), a.parts.split(",")
    if "million" in parts:
        million(work, t, a.triggers, a.rounds, a.seconds)
    if "storm" in parts:
        for n, goal in ((100000, 1000), (10000, 150)):
            t.at_most(f"{n:,} due in one second: durable after, ms, median of {a.rounds}",
                      median([storm(work, n) for _ in range(a.rounds)]), goal, "{:.0f}")
    if "lateness" in parts:
        late = lateness(work, 100, a.seconds)
        t.at_least("100 triggers due every second: fires seen", len(late), 100 * a.seconds, "{:.0f}")
        t.at_least("  within 50 ms of being due, %", 100 * sum(ms <= 50 for ms in late) / len(late), 100, "{:.2f}")
        t.at_most("  due to durable, ms, p99", late[len(late) * 99 // 100], 10, "{:.1f}")
        t.row("  p50 and worst, ms", f"{median(late):.1f} {late[-1]:.1f}")
    work.close()
    print(machine())
    return t.show()


if __name__ == "__main__":
    sys.exit(main())
