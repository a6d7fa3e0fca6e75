#!/usr/bin/python3
"""executors.py - runs carried out by worker processes against commands, and a backlog of a million

Sync webhooks of 150 bytes: answered when the run has ended and that is on disk. `command` starts /bin/true for each; `service` has one
worker process that echoes (echo_worker.c), with one event at a time, and with 64. Everything of a round follows each other on the
same disk; the medians over the rounds are reported, and ratios are those within a round.

The backlog is of runs that nobody takes. Memory (the daemon's own: what it maps of the database belongs to the page cache, and is shown
beside it), the webhook rate of another pipeline, and how long a claim of 100 takes are measured
before it is made and when it is there. Workers that pull have a benchmark of their own: pull.py.
"""
import argparse
import os
import statistics
import sys
import time

import http_executor
from peers import Pawl, Table, Workplace, binary_of, machine, median, paired, wrk

PAGES = 8  # of a small commit
CLAIMS, BATCH = 20, 100


def fsync_ms(work, n=200):
    """A write of a small commit's size and its fdatasync, as the journal does it: the median in ms."""
    path, page, times = os.path.join(work.path, "fsync"), os.urandom(PAGES * 4096), []
    fd = os.open(path, os.O_CREAT | os.O_WRONLY)
    os.pwrite(fd, bytes(PAGES * 4096 * n), 0)
    os.fsync(fd)
    for i in range(n):
        began = time.perf_counter()
        os.pwrite(fd, page, i * len(page))
        os.fdatasync(fd)
        times.append((time.perf_counter() - began) * 1000)
    os.close(fd)
    os.unlink(path)
    return statistics.median(times)


# ---- sync webhooks, by executor: one more of them is one more row ----

def command(work):
    return {"type": "command", "argv": ["/bin/true"]}


def service(work):
    return {"type": "service", "argv": [binary_of("echo_worker")], "max_instances": 1}


def service_64(work):
    return {**service(work), "per_instance": 64}


EXECUTORS = {"command": command, "service": service, "service, 64 per instance": service_64}


def measure_sync(work, name, seconds):
    server = Pawl(work)
    p = server.daemon.create_pipeline(executor=EXECUTORS[name](work))
    token, url = server.daemon.create_webhook_trigger(p)["webhook_token"], server.url + "/api/v1/webhooks?mode=sync"
    wrk(url, token, 8, 1)
    out = {"64": wrk(url, token, 64, seconds)}
    before = fsync_ms(work)
    out["1"] = wrk(url, token, 1, seconds)
    out["fsync"] = (before + fsync_ms(work)) / 2
    if server.daemon.get("/api/v1/runs?status=failed&limit=1").json()["total"] > 0:
        sys.exit(f"{name}: runs failed")
    work.end(server)
    return out


def measure(work, i, seconds):
    names = list(EXECUTORS) if i % 2 == 0 else list(reversed(EXECUTORS))
    return {name: measure_sync(work, name, seconds) for name in names}


# ---- the backlog ----

def claim_ms(server, pipeline):
    """The median time of a claim of BATCH runs."""
    body = {"pipelines": ["{namespace}.{layer}.{name}".format(**pipeline)], "max": BATCH, "lease_seconds": 600}
    session, times = server.daemon.session(), []
    for _ in range(CLAIMS):
        began = time.perf_counter()
        runs = session("POST", "/api/v1/runs/claim", body).expect(200).json()["runs"]
        times.append((time.perf_counter() - began) * 1000)
        if len(runs) != BATCH:
            sys.exit(f"a claim got {len(runs)} runs")
    session.close()
    return median(times)


def fill(url, token, server, count):
    goal = server.runs_created() + count
    while server.runs_created() < goal:
        wrk(url, token, 64, 2)


def own_bytes(server):
    """Resident memory that is not the page cache's."""
    with open(f"/proc/{server.daemon.pid}/status", encoding="ascii") as f:
        return 1024 * sum(int(line.split()[1]) for line in f if line.startswith(("RssAnon:", "RssShmem:")))


def measure_backlog(work, count, seconds):
    server = Pawl(work)
    url = server.url + "/api/v1/webhooks"
    queue = server.daemon.create_pipeline(executor={"type": "pull"})
    token, other = server.daemon.create_webhook_trigger(queue)["webhook_token"], server.queue_trigger()
    fill(url, token, server, CLAIMS * BATCH)
    wrk(url, other, 64, 1)
    out = {"rate_before": wrk(url, other, 64, seconds)["rate"], "claim_before": claim_ms(server, queue)}
    own, rss = own_bytes(server), server.daemon.rss_bytes()
    fill(url, token, server, count)
    out["grown"], out["with_mapped"] = own_bytes(server) - own, server.daemon.rss_bytes() - rss
    out["rate_after"] = wrk(url, other, 64, seconds)["rate"]
    out["claim_after"] = claim_ms(server, queue)
    work.end(server)
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=int, default=5)
    p.add_argument("--backlog", type=int, default=1_000_000)
    p.add_argument("--requests", type=int, default=100_000, help="runs of the http executor in one round")
    a = p.parse_args()
    work, t = Workplace("executors"), Table()
    rounds = [measure(work, i, a.seconds) for i in range(a.rounds)]
    requests = [http_executor.measure(work, a.requests, a.seconds) for _ in range(a.rounds)]
    backlog = measure_backlog(work, a.backlog, a.seconds)
    work.close()
    for name in EXECUTORS:
        t.row(f"{name}: sync webhooks/s, 64 connections", f"{median([r[name]['64']['rate'] for r in rounds]):,.0f}")
    t.at_least("service over command", paired(rounds, lambda r: r["service"]["64"]["rate"], lambda r: r["command"]["64"]["rate"]), 10)
    t.row("one fsync on this disk, ms", f"{median([r['service']['fsync'] for r in rounds]):.2f}")
    t.row("service: p50 at one connection, ms", f"{median([r['service']['1']['p50'] for r in rounds]):.2f}")
    t.at_most("  beyond two fsyncs, ms", median([r["service"]["1"]["p50"] - 2 * r["service"]["fsync"] for r in rounds]), 0.3)
    http_executor.show(t, requests)
    t.at_most(f"{a.backlog:,} pending runs: memory, MB", backlog["grown"] / (1 << 20), 64, "{:.1f}")
    t.row("  with the mapped database", f"{backlog['with_mapped'] / (1 << 20):.1f}")
    t.at_least("  webhook rate over that without them", backlog["rate_after"] / backlog["rate_before"], 0.85)
    t.at_most(f"  time of a claim of {BATCH} over that without them", backlog["claim_after"] / backlog["claim_before"], 1.5)
    print(machine())
    return t.show()


if __name__ == "__main__":
    sys.exit(main())
