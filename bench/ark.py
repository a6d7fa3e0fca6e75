#!/usr/bin/python3
"""ark.py - ArkEvents: synchronous calls to a warm service worker, 1,000 targets at once, 50,000 events in a list, 1,000 watchers

A synchronous call is two commits, one with its run and one with the run's end. A commit's price is measured in the same minute and
directory (chain.py). While the list is made another process asks for /health/live without a pause: the longest of its times is as long
as the loop can have been stopped.
"""
import argparse
import json
import multiprocessing
import selectors
import socket
import sys
import time

from chain import fsync_ms
from peers import Pawl, Table, Workplace, binary_of, files_limit, machine, median, paired, wrk

ARKS = "/apis/arkonis.dev/v1alpha1"
TABLE = {"Accept": "application/json;as=Table;g=meta.k8s.io;v=v1"}
TARGETS, EVENTS, WATCHERS, CHANGES = 1000, 50_000, 1000, 20
MARK = b'"MODIFIED"'
APPLIED = 1000  # in one request


def call_url(server, event, query):
    return f"{server.url}/triggers/{event}/fire?{query}&token={server.daemon.event_token(event)}"


# ---- synchronous calls ----


def measure_sync(work, seconds):
    server = Pawl(work)
    d = server.daemon
    d.create_team("echo", executor={"type": "service", "argv": [binary_of("echo_worker")], "min_instances": 1, "per_instance": 64})
    url = call_url(server, d.create_event("call", "echo"), "mode=sync")
    queue = server.queue_trigger()
    wrk(url, "none", 1, 1)
    r = {"fsync": fsync_ms(work), "p50": wrk(url, "none", 1, seconds)["p50"], "sync": wrk(url, "none", 64, seconds)["rate"],
         "webhook": wrk(server.url + "/api/v1/webhooks", queue, 64, seconds)["rate"]}
    work.end(server)
    return r


# ---- many targets ----


def measure_targets(work, calls):
    """The times of calls that start every target, in ms: from sending to the answer, which follows the commit."""
    server = Pawl(work)
    d = server.daemon
    names = [f"t{i}" for i in range(TARGETS)]
    for name in names:
        d.create_team(name, executor={"type": "pull"})
    event = d.create_event("all", *names)
    path, headers = f"/triggers/{event}/fire", {"Authorization": "Bearer " + d.event_token(event)}
    times = []
    with d.session() as call:
        for _ in range(calls):
            start = time.perf_counter()
            r = call("POST", path, b"{}", headers)
            times.append((time.perf_counter() - start) * 1000)
            if len(r.expect(202).json()["runs"]) != TARGETS:
                sys.exit("not all targets were started")
    work.end(server)
    return median(times)


# ---- many events ----


def manifest(i):
    return json.dumps({"apiVersion": "arkonis.dev/v1alpha1", "kind": "ArkEvent", "metadata": {"name": f"e{i}", "namespace": f"n{i % 50}"},
                       "spec": {"source": {"type": "webhook"}, "targets": [{"team": "t"}]}})


def probe(address, stop, ret):
    """The longest time that a small request took, in ms."""
    longest = 0
    request = b"GET /health/live HTTP/1.1\r\nHost: bench\r\n\r\n"
    with socket.create_connection(address) as s:
        s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while not stop.is_set():
            start = time.perf_counter()
            s.sendall(request)
            s.recv(4096)
            longest = max(longest, (time.perf_counter() - start) * 1000)
    ret.value = longest


def beside_probe(d, work):
    """Does the work while a process asks for small answers: (seconds, longest of those in ms)."""
    stop, longest = multiprocessing.Event(), multiprocessing.Value("d")
    p = multiprocessing.Process(target=probe, args=((d.host, d.port), stop, longest))
    p.start()
    start = time.perf_counter()
    work()
    took = time.perf_counter() - start
    stop.set()
    p.join()
    return took, longest.value


def list_as_table(d, events):
    rows = d.get(f"{ARKS}/arkevents", headers=TABLE, timeout=60).expect(200).body.count(b'"cells"')
    if rows != events:
        sys.exit(f"the list has {rows} rows")


def measure_list(work, events):
    server = Pawl(work)
    d = server.daemon
    for at in range(0, events, APPLIED):
        d.apply(*(manifest(i) for i in range(at, min(at + APPLIED, events))))
    list_as_table(d, events)
    _, quiet = beside_probe(d, lambda: time.sleep(0.5))
    took, longest = beside_probe(d, lambda: list_as_table(d, events))
    work.end(server)
    return {"list": took, "longest": longest, "quiet": quiet}


# ---- many watchers ----


class Watcher:
    """A connection that counts the changes it sees."""

    def __init__(self, d, version):
        self.sock = socket.create_connection((d.host, d.port))
        self.sock.sendall(f"GET {ARKS}/arkevents?watch=1&resourceVersion={version} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        self.seen, self.rest = 0, b""

    def read(self):
        """False at the end."""
        more = self.sock.recv(1 << 18)
        data = self.rest + more
        self.seen += data.count(MARK)
        self.rest = data[1 - len(MARK):]  # shorter than the mark, so nothing counts twice
        return more != b""


def await_changes(watchers, n):
    """Until each of them has seen so many, and none has seen more."""
    with selectors.DefaultSelector() as s:
        for w in watchers:
            s.register(w.sock, selectors.EVENT_READ, w)
        while min(w.seen for w in watchers) < n:
            ready = s.select(20)
            if not ready:
                sys.exit(f"a watcher has seen {min(w.seen for w in watchers)} of {n} changes")
            for key, _ in ready:
                if not key.data.read():
                    sys.exit("a watch has ended")
    if max(w.seen for w in watchers) > n:
        sys.exit("a watcher saw a change twice")


def measure_watchers(work):
    """Seconds from the first change until every watcher has seen all of them."""
    server = Pawl(work)
    d = server.daemon
    d.create_team("t", executor={"type": "pull"})
    event = d.create_event("e", "t")
    token, version = d.event_token(event), d.event(event)["metadata"]["resourceVersion"]
    watchers = [Watcher(d, version) for _ in range(WATCHERS)]
    d.fire_event(event, token=token).expect(202)
    await_changes(watchers, 1)  # who has seen it is told of each one that follows, and not only of the last state
    start = time.perf_counter()
    for _ in range(CHANGES):
        d.fire_event(event, token=token).expect(202)
    await_changes(watchers, 1 + CHANGES)
    took = time.perf_counter() - start
    for w in watchers:
        w.sock.close()
    work.end(server)
    return took


def measure(work, a):
    return {**measure_sync(work, a.seconds), "targets": measure_targets(work, a.calls), **measure_list(work, a.events),
            "watch": measure_watchers(work)}


def show(t, a, rounds):
    def mid(name):
        return median([r[name] for r in rounds])

    t.row("a commit's price (fdatasync), ms", f"{mid('fsync'):.2f}")
    over = median([r["p50"] - 2 * r["fsync"] for r in rounds])
    t.row("synchronous call, 1 connection, p50, ms", f"{mid('p50'):.2f}")
    t.at_most("  beyond two commits, ms", over, 0.3)
    t.row("asynchronous webhook, 64 connections", f"{mid('webhook'):,.0f}/s")
    t.row("synchronous calls, 64 connections", f"{mid('sync'):,.0f}/s")
    t.at_least("  over the webhook", paired(rounds, lambda r: r["sync"], lambda r: r["webhook"]), 0.5)
    t.at_most(f"{TARGETS:,} targets durable and answered, ms", mid("targets"), 30, "{:.1f}")
    t.at_most(f"{a.events:,} ArkEvents as a Table, s", mid("list"), 1.5)
    t.row("longest small answer on its own, ms", f"{mid('quiet'):.1f}")
    t.at_most("longest small answer meanwhile, ms", mid("longest"), 5, "{:.1f}")
    t.row(f"{WATCHERS:,} watchers, {CHANGES} changes: all seen once", f"{mid('watch'):.2f} s", "", True)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=int, default=5)
    p.add_argument("--calls", type=int, default=20)
    p.add_argument("--events", type=int, default=EVENTS)
    a = p.parse_args()
    files_limit(WATCHERS + 200)
    work = Workplace("ark")
    rounds = [measure(work, a) for _ in range(a.rounds)]
    work.close()
    t = Table()
    show(t, a, rounds)
    print(machine())
    return t.show()


if __name__ == "__main__":
    sys.exit(main())
