#!/usr/bin/python3
"""topics.py - messages published per second against webhooks, one by one and in batches; from NATS JetStream; with kills and restarts

Every measurement has a daemon and a data directory of its own; a round measures all of them, and ratios are taken within a round. The body is the
same 150 bytes everywhere, and so is what is committed before the answer: the event, its decision and its run, which waits in a pull queue.

webhook: POST /api/v1/webhooks. single: a message per request, to a topic that a trigger listens to. batch: a thousand messages per request.
At the end of each it is counted that there is one run per answered message.

jetstream: messages that wait in a stream with file storage, until pawl has them as events and runs and has acknowledged them. plain: the same by
bench/nats_consume.c, which acknowledges and does nothing else. Last, with --kills and --restarts, pawl is killed and nats-server restarted under load, and
it is counted that every message that JetStream acknowledged made one event.
"""
import argparse
import os
import subprocess
import sys
import time

from peers import BODY, Pawl, Table, Workplace, binary_of, machine, median, paired, wrk

import kafka
import kafka_crash
import nats
import nats_crash
import pawl

CONNECTIONS = 64
BATCH = 1000
BATCH_CONNECTIONS = 4
TOPIC = "bench"


def count(server, before, answered, unanswered_max):
    """wrk does not count what it leaves unanswered when it stops; what the warm-up left may be stored after `before` was taken."""
    made = server.runs_created() - before
    if not answered <= made <= answered + unanswered_max:
        sys.exit(f"pawl answered {answered} messages and stored {made} runs")


def measure_webhook(work, seconds):
    server = Pawl(work, "webhook")
    token, url = server.queue_trigger(), server.url + "/api/v1/webhooks"
    wrk(url, token, CONNECTIONS, 1)
    before = server.runs_created()
    out = wrk(url, token, CONNECTIONS, seconds)
    count(server, before, out["requests"], 2 * CONNECTIONS)
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
    count(server, before, out["requests"], 2 * CONNECTIONS)
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


JETSTREAM_PER_SECOND = 60000  # messages that wait at the start, for each second that a measurement should take


class Broker(nats.Server):
    """nats-server with a stream that has messages in it."""

    def __init__(self, work, seconds):
        self.directory = work.directory("nats-server")
        super().__init__(self.directory)
        work.add(self.start())
        self.talk = self.client()
        self.talk.add_stream("BENCH", ["bench.>"])
        self.messages = JETSTREAM_PER_SECOND * seconds

    def fill(self):
        for _ in range(0, self.messages, 5000):
            self.talk.publish_many("bench.x", [BODY] * 5000)

    def consumed(self):
        c = self.talk.consumers("BENCH")[0]
        return c["num_pending"] == 0 and c["num_ack_pending"] == 0


def measure_jetstream(work, seconds):
    """pawl begins to listen, is stopped, and finds the messages when it is started again."""
    broker = Broker(work, seconds)
    server = Pawl(work, "jetstream", config={"nats_url": broker.url})
    d = server.daemon
    d.create_trigger(d.create_pipeline(executor={"type": "pull"}), "topic", {"topic": "nats:bench.x"})
    pawl.wait_until(lambda: broker.talk.consumers("BENCH"), what="the consumer")
    d.stop()
    broker.fill()
    d.start()
    begin = time.monotonic()
    pawl.wait_until(broker.consumed, 600, "all messages", every=0.02)
    took = time.monotonic() - begin
    if server.runs_created() != broker.messages:
        sys.exit(f"{broker.messages} messages made {server.runs_created()} runs")
    work.end(server, broker)
    return broker.messages / took


def measure_plain(work, seconds):
    broker = Broker(work, seconds)
    broker.fill()
    out = subprocess.run([binary_of("nats_consume", "-lnats"), broker.url, "BENCH", "bench.x", str(broker.messages)], stdout=subprocess.PIPE,
                         text=True, check=True)
    work.end(broker)
    return float(out.stdout)


def show_crashes(work, table, kills, restarts):
    with nats_crash.NatsCrash(work.directory("crash"), 1, log=lambda text: print(text, file=sys.stderr)) as c:
        c.go(kills, restarts)
        wrong = c.judge()
    print("\n".join(wrong[:50]))
    table.at_least("pawl killed", c.kills, kills, "{:.0f}")
    table.at_least("nats-server restarted", c.restarts, restarts, "{:.0f}")
    table.row("messages acknowledged by JetStream meanwhile", f"{len(c.acknowledged):,}")
    table.at_most("of these without exactly one event", len(wrong), 0, "{:.0f}")


def show_kafka_crashes(work, table, kills, outages):
    with kafka_crash.KafkaCrash(work.directory("kafka"), 1, log=lambda text: print(text, file=sys.stderr)) as c:
        c.go(kills, outages)
        wrong = c.judge()
    print("\n".join(wrong[:50]))
    table.at_least("pawl killed, with Kafka", c.kills, kills, "{:.0f}")
    table.at_least("Kafka's brokers away and back", c.outages, outages, "{:.0f}")
    table.row("messages acknowledged by Kafka meanwhile", f"{len(c.acknowledged):,}")
    table.at_most("of these without exactly one event (Kafka)", len(wrong), 0, "{:.0f}")


# A broker's measurements are rows here, too: a function of (work, seconds) that returns messages per second.
PARTS = {"webhook": measure_webhook, "single": measure_single, "batch": measure_batch}
if nats.available():
    PARTS |= {"jetstream": measure_jetstream, "plain": measure_plain}


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--seconds", type=int, default=5, help="per measurement")
    p.add_argument("--kills", type=int, default=20, help="of pawl, with NATS, and with Kafka")
    p.add_argument("--restarts", type=int, default=20, help="of nats-server; outages of Kafka")
    a = p.parse_args()
    work, rounds = Workplace("topics"), []
    for i in range(a.rounds):
        rounds.append({})
        for name in list(PARTS) if i % 2 == 0 else list(reversed(PARTS)):
            print(f"round {i + 1} of {a.rounds}: {name}", file=sys.stderr)
            rounds[-1][name] = PARTS[name](work, a.seconds)
    t = Table()
    t.row(f"webhooks, {CONNECTIONS} connections", f"{median([r['webhook'] for r in rounds]):,.0f}/s")
    t.row(f"messages one by one, {CONNECTIONS} connections", f"{median([r['single'] for r in rounds]):,.0f}/s")
    t.at_least("messages one by one / webhooks", paired(rounds, lambda r: r["single"], lambda r: r["webhook"]), 0.9)
    t.at_least(f"messages in batches of {BATCH}, {BATCH_CONNECTIONS} connections, per second", median([r["batch"] for r in rounds]), 150000,
               "{:,.0f}")
    if "jetstream" in PARTS:
        t.at_least("JetStream to runs, messages per second", median([r["jetstream"] for r in rounds]), 20000, "{:,.0f}")
        t.at_least("JetStream to runs / plain consumption", paired(rounds, lambda r: r["jetstream"], lambda r: r["plain"]), 0.5)
        show_crashes(work, t, a.kills, a.restarts)
    if kafka.available():
        show_kafka_crashes(work, t, a.kills, a.restarts)
    work.close()
    print(f"{a.rounds} rounds of {a.seconds} s; {machine()}")
    return t.show()


if __name__ == "__main__":
    sys.exit(main())
