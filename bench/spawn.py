#!/usr/bin/python3
"""spawn.py - the rate at which a daemon of 400 MB starts commands, against the same daemon at 10 MB

The memory is real: pipelines with long descriptions, which the catalog holds, until the process is that large. Sync webhooks running
/bin/true from 16 connections measure the rate. Every round measures a small and a large daemon, in turns.
"""
import argparse
import sys

from peers import Pawl, Table, Workplace, machine, median, paired, wrk

CONNECTIONS = 16
DESCRIPTION_BYTES = 900_000


def grow(server, bytes_min):
    """Fills the catalog until the daemon holds that much."""
    for _ in range(2000):
        if server.daemon.rss_bytes() >= bytes_min:
            return
        server.daemon.create_pipeline(executor={"type": "pull"}, description="d" * DESCRIPTION_BYTES)
    sys.exit("the daemon does not grow")


def measure(work, size, seconds):
    server = Pawl(work, f"pawl-{size}")
    token = server.true_trigger()
    grow(server, size)
    rss = server.daemon.rss_bytes()
    r = wrk(server.url + "/api/v1/webhooks?mode=sync", token, CONNECTIONS, seconds)
    work.end(server)
    return {"rss": rss, "rate": r["rate"]}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=int, default=5)
    a = p.parse_args()
    work, rounds = Workplace("spawn"), []
    for i in range(a.rounds):
        sizes = {"small": 10_000_000, "large": 400_000_000}
        order = list(sizes) if i % 2 == 0 else list(reversed(sizes))
        rounds.append({name: measure(work, sizes[name], a.seconds) for name in order})
    work.close()
    t = Table()
    for name in ("small", "large"):
        t.row(f"sync /bin/true at {median([r[name]['rss'] for r in rounds]) / 1e6:.0f} MB", f"{median([r[name]['rate'] for r in rounds]):,.0f}/s")
    t.at_least("large / small", paired(rounds, lambda r: r["large"]["rate"], lambda r: r["small"]["rate"]), 0.8)
    print(machine())
    return t.show()


if __name__ == "__main__":
    sys.exit(main())
