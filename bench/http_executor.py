#!/usr/bin/python3
"""http_executor.py - the rate of runs that are requests to a local nginx answering 204, against wrk posting to that nginx

Webhook runs are made while everything is paused; then they are carried out, as many at the same time as wrk has connections. Each
is an attempt with its start, its request and its end, both on disk.
"""
import argparse
import re
import sys
import time

from peers import Nginx, Pawl, Table, Workplace, machine, median, paired, wrk

CONNECTIONS = 256


class Silent(Nginx):
    """nginx answering 204 to everything."""

    def command(self):
        cmd = super().command()
        path = cmd[cmd.index("-c") + 1]
        with open(path, encoding="ascii") as f:
            text = f.read()
        with open(path, "w", encoding="ascii") as f:
            f.write(re.sub(r"return 201 '[^']*'", "return 204", text))
        return cmd


def succeeded(server):
    text = server.daemon.get("/metrics").expect(200).body.decode()
    return int(re.search(r'^pawl_runs_ended_total\{status="success"\} (\d+)', text, re.M).group(1))


def measure_runs(work, url, runs):
    server = Pawl(work, config={"running_max": CONNECTIONS})
    d = server.daemon
    token = d.create_webhook_trigger(d.create_pipeline(executor={"type": "http", "url": url}))["webhook_token"]
    d.post("/api/v1/pause").expect(200)
    while server.runs_created() < runs:
        wrk(server.url + "/api/v1/webhooks", token, 64, 1)
    goal = server.runs_created()
    began = time.monotonic()
    d.post("/api/v1/resume").expect(200)
    while succeeded(server) < goal:
        time.sleep(0.05)
    rate = goal / (time.monotonic() - began)
    work.end(server)
    return rate


def measure(work, runs, seconds):
    nginx = Silent(work, "nginx")
    url = f"http://127.0.0.1:{nginx.port}/"
    r = {"runs": measure_runs(work, url, runs), "wrk": wrk(url, "none", CONNECTIONS, seconds)["rate"]}
    work.end(nginx)
    return r


def show(t, rounds):
    t.row(f"wrk to nginx, {CONNECTIONS} connections", f"{median([r['wrk'] for r in rounds]):,.0f}/s")
    t.row(f"http: runs/s, {CONNECTIONS} at the same time", f"{median([r['runs'] for r in rounds]):,.0f}/s")
    t.at_least("  over wrk", paired(rounds, lambda r: r["runs"], lambda r: r["wrk"]), 0.5)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--runs", type=int, default=100_000)
    p.add_argument("--seconds", type=int, default=5)
    a = p.parse_args()
    work = Workplace("http_executor")
    rounds = [measure(work, a.runs, a.seconds) for _ in range(a.rounds)]
    work.close()
    t = Table()
    show(t, rounds)
    print(machine())
    return t.show()


if __name__ == "__main__":
    sys.exit(main())
