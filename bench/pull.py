#!/usr/bin/python3
"""pull.py - the rate at which workers take no-op runs over HTTP and complete them, all of it durable

A backlog of webhook runs is made first. Then workers, each with one connection, claim a batch and complete it, until they have their
share. Every run is two updates of its row, and a row of its lease that comes and goes, in grouped commits.
"""
import argparse
import subprocess
import sys

from peers import Pawl, Table, Workplace, binary_of, die_with_parent, machine, median, wrk

WORKERS, BATCH = 4, 100


def fill(server, goal):
    """Webhook runs of one pipeline, at least that many."""
    token = server.queue_trigger()
    while server.runs_created() < goal:
        wrk(server.url + "/api/v1/webhooks", token, 64, 2)


def measure(work, runs):
    server = Pawl(work)
    fill(server, runs)
    worker, share = binary_of("pull_worker"), runs // WORKERS - BATCH
    cmd = [worker, str(server.daemon.port), str(BATCH), str(share)]
    going = [subprocess.Popen(cmd, stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent) for _ in range(WORKERS)]
    answers = [p.communicate()[0].split() for p in going]
    if any(p.returncode != 0 for p in going):
        sys.exit("a worker failed")
    rate = sum(int(n) for n, _ in answers) / max(float(s) for _, s in answers)
    ended = server.daemon.get("/api/v1/runs?status=success&limit=1").json()["total"]
    if ended != sum(int(n) for n, _ in answers):
        sys.exit(f"{ended} runs ended")
    work.end(server)
    return rate


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--runs", type=int, default=200_000)
    a = p.parse_args()
    work = Workplace("pull")
    rates = [measure(work, a.runs) for _ in range(a.rounds)]
    work.close()
    t = Table()
    t.row("backlog", f"{a.runs:,} runs and more")
    t.at_least(f"{WORKERS} workers, batches of {BATCH}: runs completed/s", median(rates), 20_000, "{:,.0f}")
    print(machine())
    return t.show()


if __name__ == "__main__":
    sys.exit(main())
