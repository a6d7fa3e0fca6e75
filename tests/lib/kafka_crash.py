"""kafka_crash.py - brokers that go away and a pawl that is killed, over and over under load: every message makes one event.

    with KafkaCrash(directory, seed) as c:
        c.go(kills=20, outages=20)
        wrong = c.judge()       # empty when nothing is wrong

A producer sends numbered messages all the time, and goes on until all are acknowledged. Promised, and checked: each of them is among the events,
and there are as many events as the brokers have messages. (A producer whose acknowledgement got lost sends again, and the mock brokers keep both.)
"""
import os
import random

import kafka
import pawl

PARTITIONS = 3
PER_SECOND = 600  # the brokers keep the last 100,000 messages of a partition, read or not
SETTLE_SECONDS = 120


class KafkaCrash:
    def __init__(self, directory, seed, log=None):
        self.random = random.Random(seed)
        self.log = log or (lambda text: None)
        os.makedirs(str(directory), exist_ok=True)
        self.cluster = kafka.Cluster(kafka.build(directory))
        self.daemon = pawl.Daemon(os.path.join(str(directory), "pawl"), config={
            "kafka_brokers": self.cluster.bootstraps, "kafka": {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}})
        self.kills = self.outages = 0
        self.acknowledged = set()

    def __enter__(self):
        self.cluster.topic("crash", PARTITIONS)
        self.daemon.start()
        self.daemon.post("/api/v1/pipelines/", {"id": "p-crash", "name": "crash", "options": {"event": "kafka:crash"},
                                                "executor": {"type": "pull"}}).expect(201)
        self.daemon.post("/api/v1/events/p-crash").expect(200)
        pawl.wait_until(self.ready, 60, "the topic to be consumed")
        return self

    def __exit__(self, *_):
        if self.daemon.running:
            self.daemon.kill()
        self.cluster.stop()

    def ready(self):
        return self.daemon.get("/api/v1/events/p-crash").json()["ready"]

    def count(self):
        with self.daemon.db() as db:
            return db.execute("SELECT count(*) FROM events WHERE source = 'topic'").fetchone()[0]

    def wait_progress(self):
        """Until some more messages have come, so that the next blow hits a busy daemon."""
        more = self.count() + self.random.randrange(1, 400)
        pawl.wait_until(lambda: self.count() >= more, SETTLE_SECONDS, "more events")

    def kill(self):
        self.kills += 1
        self.daemon.kill()
        self.daemon.start()

    def outage(self):
        self.outages += 1
        self.cluster.down()
        pawl.wait_until(lambda: not self.ready(), 60, "it to be noticed")
        self.cluster.up()

    def go(self, kills, outages):
        self.cluster.flood("crash", PARTITIONS, PER_SECOND)
        blows = [self.kill] * kills + [self.outage] * outages
        self.random.shuffle(blows)
        for n, blow in enumerate(blows):
            self.wait_progress()
            self.log(f"{n + 1} of {len(blows)}: {blow.__name__}")
            blow()
        self.wait_progress()
        self.acknowledged = self.cluster.flooded()

    def judge(self):
        """What is wrong, as lines of text."""
        there = sum(self.cluster.end("crash", p) for p in range(PARTITIONS))
        pawl.wait_until(lambda: self.count() >= there, SETTLE_SECONDS, f"{there} events")
        self.daemon.stop()
        with self.daemon.db() as db:
            got = {bytes(row[0]) for row in db.execute("SELECT payload FROM events WHERE source = 'topic'")}
        wrong = [f"{m.decode()}: no event" for m in sorted(self.acknowledged - got)]
        if self.count() != there:
            wrong.append(f"{self.count()} events of {there} messages")
        return wrong
