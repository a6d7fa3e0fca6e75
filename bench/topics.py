#!/usr/bin/python3
"""topics.py - messages published per second against webhooks, one by one and in batches of a thousand

Every measurement has a daemon and a data directory of its own; a round measures all of them, and ratios are taken within a round. The body is the
same 150 bytes everywhere, and so is what is committed before the answer: the event, its decision and its run, which waits in a pull queue.

webhook: POST /api/v1/webhooks. single: a message per request, to a topic that a trigger listens to. batch: a thousand messages per request.
At the end of each it is counted that there is one run per answered message.
"""
import argparse
import os
import sys

from peers import BODY, Pawl, Table, Workplace, machine, median, paired, wrk

CONNECTIONS = 64
BATCH = 1000
BATCH_CONNECTIONS = 4
TOPIC = "bench"


def count(server, before, answered, unanswered_max):
    """wrk does not count what it leaves unanswered when it stops."""
    made = server.runs_created() - before
    if not answered <= made <= answered + unanswered_max:
        sys.exit(f"pawl answered {answered} messages and stored {made} runs")


def measure_webhook(work, seconds):
    server = Pawl(work, "webhook")
    token, url = server.queue_trigger(), server.url + "/api/v1/webhooks"
    wrk(url, token, CONNECTIONS, 1)
    before = server.runs_created()
    out = wrk(url, token, CONNECTIONS, seconds)
    count(server, before, out["requests"], CONNECTIONS)
    work.end(server)
    return out["rate"]


def listening(work, name):
    server = Pawl(work, name)
    server.daemon.create_trigger(server.daemon.create_pipeline(executor={"type": "pull"}), "topic", {"topic": TOPIC})
    return server, f"{server.url}/api/v1/topics/{TOPIC}/messages"


def measure_single(work, seconds):
    server, url = listening(work, "single")
    wrk(url, "", CONNECTIONS, 1)
    before = server.runs_created()
    out = wrk(url, "", CONNECTIONS, seconds)
    count(server, before, out["requests"], CONNECTIONS)
    work.end(server)
    return out["rate"]


def measure_batch(work, seconds):
    server, url = listening(work, "batch")
    file = os.path.join(server.directory, "batch.ndjson")
    with open(file, "wb") as f:
        f.write((BODY + b"\n") * BATCH)
    extra = {"BENCH_BODY_FILE": file, "BENCH_TYPE": "application/x-ndjson"}
    out = wrk(url, "", BATCH_CONNECTIONS, seconds, extra=extra)
    count(server, 0, out["requests"] * BATCH, BATCH_CONNECTIONS * BATCH)
    work.end(server)
    return out["rate"] * BATCH


# A broker's measurements are rows here, too: a function of (work, seconds) that returns messages per second.
PARTS = {"webhook": measure_webhook, "single": measure_single, "batch": measure_batch}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=int, default=5, help="per measurement")
    a = p.parse_args()
    work, rounds = Workplace("topics"), []
    for i in range(a.rounds):
        rounds.append({})
        for name in list(PARTS) if i % 2 == 0 else list(reversed(PARTS)):
            print(f"round {i + 1} of {a.rounds}: {name}", file=sys.stderr)
            rounds[-1][name] = PARTS[name](work, a.seconds)
    work.close()
    t = Table()
    t.row(f"webhooks, {CONNECTIONS} connections", f"{median([r['webhook'] for r in rounds]):,.0f}/s")
    t.row(f"messages one by one, {CONNECTIONS} connections", f"{median([r['single'] for r in rounds]):,.0f}/s")
    t.at_least("messages one by one / webhooks", paired(rounds, lambda r: r["single"], lambda r: r["webhook"]), 0.9)
    t.at_least(f"messages in batches of {BATCH}, {BATCH_CONNECTIONS} connections, per second", median([r["batch"] for r in rounds]), 150000,
               "{:,.0f}")
    print(f"{a.rounds} rounds of {a.seconds} s; {machine()}")
    return t.show()


if __name__ == "__main__":
    sys.exit(main())
