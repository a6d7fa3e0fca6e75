#!/usr/bin/python3
"""chain.py - completions: a chain of 1,000 pipelines hop by hop, and one success with 10,000 dependents

All pipelines are pulled by one worker over two connections: on one it waits for the next run, on the other it completes the one
it has. A hop is from sending the completion to having the next run: two commits, one with the end, its event and the next run, one with
the lease. A commit's price is measured in the same minute and directory: 8 pages written over and fdatasync. A chain is cut after 64
completions, so it is taken up by hand where it was cut.
"""
import argparse
import json
import os
import socket
import sys
import time

from peers import Pawl, Table, Workplace, machine, median
from seed import add_triggers

CHAIN = 1000
PAGES = 8


def fsync_ms(work, n=200):
    """The median time of one commit's share of the disk."""
    path, page, times = os.path.join(work.path, "fsync"), os.urandom(PAGES * 4096), []
    fd = os.open(path, os.O_CREAT | os.O_RDWR)
    os.pwrite(fd, bytes(64 * len(page)), 0)
    os.fsync(fd)
    for i in range(n):
        start = time.perf_counter()
        os.pwrite(fd, page, i % 64 * len(page))
        os.fdatasync(fd)
        times.append((time.perf_counter() - start) * 1000)
    os.close(fd)
    os.unlink(path)
    return median(times)


class Line:
    """A connection for small requests whose answers come when they come."""

    def __init__(self, daemon):
        self.sock = socket.create_connection((daemon.host, daemon.port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, path, body):
        body = json.dumps(body)
        self.sock.sendall(f"POST {path} HTTP/1.1\r\nHost: pawl\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode())

    def receive(self):
        data = b""
        while b"\r\n\r\n" not in data:
            data += self.sock.recv(65536)
        head, body = data.split(b"\r\n\r\n", 1)
        length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
        while len(body) < length:
            body += self.sock.recv(65536)
        if not head.startswith(b"HTTP/1.1 20"):
            sys.exit(f"unexpected answer: {data!r}")
        return json.loads(body)

    def close(self):
        self.sock.close()


def pull_pipelines(server, names):
    with server.daemon.session() as call:
        for name in names:
            body = {"namespace": "bench", "layer": "bronze", "name": name, "executor": {"type": "pull"}}
            call("POST", "/api/v1/pipelines", body).expect(201)


def config_after(name):
    return {"namespace": "bench", "layer": "bronze", "pipeline": name}


def run_by_hand(server, name):
    body = {"namespace": "bench", "layer": "bronze", "pipeline": name}
    server.daemon.post("/api/v1/runs", body).expect(202)


CLAIM = ("/api/v1/runs/claim", {"pipelines": ["bench.*"], "wait_seconds": 30})


def chain(work, hops):
    """The times of the hops, in ms."""
    server, times, taken = Pawl(work, "chain"), [], 0
    pull_pipelines(server, (f"link{i}" for i in range(hops + 1)))
    with server.daemon.session() as call:
        for i in range(hops):
            body = {"type": "pipeline_success", "config": config_after(f"link{i}")}
            call("POST", f"/api/v1/pipelines/bench/bronze/link{i + 1}/triggers", body).expect(201)
    waits, ends = Line(server.daemon), Line(server.daemon)
    waits.send(*CLAIM)
    while taken < hops:
        run_by_hand(server, f"link{taken}")
        [run] = waits.receive()["runs"]
        for _ in range(min(64, hops - taken)):
            waits.send(*CLAIM)
            start = time.perf_counter()
            ends.send(f"/api/v1/runs/{run['run_id']}/complete", {"lease_token": run["lease_token"]})
            ends.receive()
            [run] = waits.receive()["runs"]
            times.append((time.perf_counter() - start) * 1000)
            taken += 1
        waits.send(*CLAIM)
        if run["pipeline"] != f"bench.bronze.link{taken}":
            sys.exit(f"the chain went to {run['pipeline']} instead of link{taken}")
    waits.close()
    ends.close()
    work.end(server)
    return times


def fan_out(work, n):
    """Milliseconds from sending a completion to its answer, which comes when the runs of all dependents are durable."""
    server = Pawl(work, "fan")
    pull_pipelines(server, (f"p{i}" for i in range(100)))
    server.daemon.stop()
    add_triggers(server.daemon, "pipeline_success", (json.dumps(config_after("up")) for _ in range(n)))
    server.daemon.start(timeout=60)
    pull_pipelines(server, ["up"])
    run_by_hand(server, "up")
    line = Line(server.daemon)
    line.send("/api/v1/runs/claim", {"pipelines": ["bench.bronze.up"], "wait_seconds": 30})
    [run] = line.receive()["runs"]
    start = time.perf_counter()
    line.send(f"/api/v1/runs/{run['run_id']}/complete", {"lease_token": run["lease_token"], "output": {"n": 1}})
    line.receive()
    ms = (time.perf_counter() - start) * 1000
    if server.runs_created() != n + 1:
        sys.exit(f"{server.runs_created() - 1} runs for {n} dependents")
    line.close()
    work.end(server)
    return ms


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    p.add_argument("--rounds", type=int, default=5)
    a = p.parse_args()
    work, t, rounds = Workplace("chain"), Table(), []
    for _ in range(a.rounds):
        before = fsync_ms(work)
        hops = chain(work, CHAIN)
        rounds.append((median(hops), (before + fsync_ms(work)) / 2))
    t.row("one commit on this disk, ms", f"{median([fsync for _, fsync in rounds]):.2f}")
    t.row(f"a hop of a chain of {CHAIN:,}, ms, p50", f"{median([hop for hop, _ in rounds]):.2f}")
    t.at_most("  beyond two commits, ms", median([hop - 2 * fsync for hop, fsync in rounds]), 0.5)
    t.at_most("one success with 10,000 dependents: all runs durable after, ms", median([fan_out(work, 10000) for _ in range(a.rounds)]),
              200, "{:.0f}")
    work.close()
    print(machine())
    return t.show()


if __name__ == "__main__":
    sys.exit(main())
