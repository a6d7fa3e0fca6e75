#!/usr/bin/python3
"""connections.py - 10,000 idle keep-alive connections: memory, and what they cost the webhooks beside them

Every round measures one daemon without the connections and with them; the ratios are medians over the rounds.
"""
import argparse
import socket
import sys

from peers import Pawl, Table, Workplace, files_limit, machine, median, paired, wrk

REQUEST = b"GET /health/live HTTP/1.1\r\nHost: bench\r\n\r\n"


def open_connections(address, n):
    """n connections that have each had one request answered and are kept open."""
    out = []
    for _ in range(n):
        s = socket.create_connection(address, timeout=20)
        s.sendall(REQUEST)
        out.append(s)
        if len(out) % 100 == 0:
            for fresh in out[-100:]:
                if not fresh.recv(4096).startswith(b"HTTP/1.1 200"):
                    sys.exit("a keep-alive connection was not answered with 200")
    return out


def still_open(connections):
    for s in connections:
        s.setblocking(False)
    n = 0
    for s in connections:
        try:
            n += s.recv(1) != b""
        except BlockingIOError:
            n += 1
    return n


def measure(work, seconds, n):
    server = Pawl(work)
    token, url = server.queue_trigger(), server.url + "/api/v1/webhooks"
    out = {"rss_without": server.daemon.rss_bytes()}
    wrk(url, token, 64, 1)
    out["without"] = {c: wrk(url, token, c, seconds) for c in (64, 256)}
    rss_worked = server.daemon.rss_bytes()
    idle = open_connections((server.daemon.host, server.daemon.port), n)
    out["rss"] = server.daemon.rss_bytes()
    out["grown"] = out["rss"] - rss_worked
    out["with"] = {c: wrk(url, token, c, seconds) for c in (64, 256)}
    out["open"] = still_open(idle)
    for s in idle:
        s.close()
    work.end(server)
    return out


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--seconds", type=int, default=5)
    p.add_argument("--connections", type=int, default=10000)
    a = p.parse_args()
    files_limit(a.connections + 2000)
    work = Workplace("connections")
    rounds = [measure(work, a.seconds, a.connections) for _ in range(a.rounds)]
    work.close()
    t = Table()
    t.at_least("connections still open at the end", min(r["open"] for r in rounds), a.connections, "{:.0f}")
    t.at_most("resident memory with them, MB", median([r["rss"] for r in rounds]) / 1e6, 100, "{:.1f}")
    t.row("of which for each connection, bytes", f"{median([r['grown'] for r in rounds]) / a.connections:,.0f}")
    for c in (64, 256):
        t.row(f"webhooks, {c} connections, without", f"{median([r['without'][c]['rate'] for r in rounds]):,.0f}/s")
        t.at_least(f"webhooks, {c} connections, with / without",
                   paired(rounds, lambda r: r["with"][c]["rate"], lambda r: r["without"][c]["rate"]), 0.9)
    print(machine())
    return t.show()


if __name__ == "__main__":
    sys.exit(main())
