#!/usr/bin/python3
"""http_executor.py - the rate of runs that are requests to a local nginx answering 204, against wrk posting to that nginx

Webhook runs are made while everything is paused; then they are carried out, as many at the same time as wrk has connections. Each
is an attempt with its start, its request and its end, both on disk. http_outbound.c sends the same requests through libcurl without runs:
what it gets is the most that runs can get. docs/benchmarks.md has the arithmetic.
"""
import argparse
import json
import os
import re
import subprocess
import sys
import time

from peers import Nginx, Pawl, Table, Workplace, machine, median, paired, target_of, wrk

CONNECTIONS = 512


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
    used, began = processor_s(d.pid), time.monotonic()
    d.post("/api/v1/resume").expect(200)
    while succeeded(server) < goal:
        time.sleep(0.05)
    r = {"rate": goal / (time.monotonic() - began), "us": 1e6 * (processor_s(d.pid) - used) / goal}
    work.end(server)
    return r


def measure_requests(url, seconds):
    """Requests without runs: {rate, us}, the latter of processor time for each."""
    cmd = [target_of("http_outbound"), url, str(CONNECTIONS), str(seconds)]
    return json.loads(subprocess.run(cmd, capture_output=True, text=True, check=True).stdout)


def processor_s(pid):
    """Processor time that a process has used."""
    with open(f"/proc/{pid}/stat", encoding="ascii") as f:
        fields = f.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def measure(work, runs, seconds):
    nginx = Silent(work, "nginx")
    url = f"http://127.0.0.1:{nginx.port}/"
    r = {"runs": measure_runs(work, url, runs), "requests": measure_requests(url, seconds),
         "wrk": wrk(url, "none", CONNECTIONS, seconds)["rate"]}
    work.end(nginx)
    return r


def show(t, rounds):
    t.row(f"wrk to nginx, {CONNECTIONS} connections", f"{median([r['wrk'] for r in rounds]):,.0f}/s")
    t.row(f"http: runs/s, {CONNECTIONS} at the same time", f"{median([r['runs']['rate'] for r in rounds]):,.0f}/s")
    t.at_least("  over wrk", paired(rounds, lambda r: r["runs"]["rate"], lambda r: r["wrk"]), 0.5)
    t.row("  processor time of the daemon, us a run", f"{median([r['runs']['us'] for r in rounds]):.1f}")
    t.row("  requests of libcurl alone over wrk", f"{paired(rounds, lambda r: r['requests']['rate'], lambda r: r['wrk']):.2f}")
    t.row("  processor time of libcurl alone, us a request", f"{median([r['requests']['us'] for r in rounds]):.1f}")


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
