"""nats_crash.py - a broker that is restarted and a pawl that is killed, over and over under load: every message makes one event.

    with NatsCrash(directory, seed) as c:
        c.go(kills=20, restarts=20)
        wrong = c.judge()       # empty when nothing is wrong

A publisher sends messages in batches all the time, each with a number of its own that is never sent twice, and notes which of them JetStream
acknowledged. Promised, and checked: each acknowledged message made exactly one event, and no message made two.
"""
import collections
import os
import random
import signal
import threading

import nats
import pawl

BATCH = 200
SETTLE_SECONDS = 120


class NatsCrash:
    def __init__(self, directory, seed, log=None, pause=0.005):
        """pause: seconds between two batches of the publisher."""
        self.pause = pause
        self.random = random.Random(seed)
        self.log = log or (lambda text: None)
        self.server = nats.Server(os.path.join(str(directory), "nats"))
        self.daemon = pawl.Daemon(os.path.join(str(directory), "pawl"), "--nats-url", self.server.url)
        self.acknowledged = set()
        self.sent = self.kills = self.restarts = 0
        self.up = threading.Event()
        self.ended = threading.Event()
        self.failure = None
        self.thread = threading.Thread(target=self.publish)

    def __enter__(self):
        self.server.start()
        self.server.client().add_stream("CRASH", ["crash.>"])
        self.daemon.start()
        self.daemon.post("/api/v1/pipelines/", {"id": "p-crash", "name": "crash", "options": {"event": "nats:crash.x"},
                                                "executor": {"type": "pull"}}).expect(201)
        self.daemon.post("/api/v1/events/p-crash").expect(200)
        self.wait_ready()
        self.up.set()
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.end()
        if self.daemon.running:
            self.daemon.kill()
        self.server.kill()

    def end(self):
        self.ended.set()
        self.up.set()
        if self.thread.ident is not None:
            self.thread.join()

    # ---- load ----

    def publish(self):
        client = None
        while not self.ended.is_set():
            self.up.wait()
            self.ended.wait(self.pause)
            numbers = range(self.sent, self.sent + BATCH)
            self.sent += BATCH
            try:
                client = client or self.server.client()
                client.publish_many("crash.x", [b"%d" % n for n in numbers], self.acknowledge)
            except (OSError, AssertionError) as e:  # what of the batch was stored is not known
                client = None
                self.log(f"publisher: {e!r}")

    def acknowledge(self, payload):
        self.acknowledged.add(int(payload))

    # ---- trouble ----

    def wait_ready(self):
        pawl.wait_until(lambda: self.daemon.get("/api/v1/events/p-crash").json()["ready"], 60, "the topic to be consumed")

    def events(self):
        with self.daemon.db() as db:
            return db.execute("SELECT count(*) FROM events").fetchone()[0]

    def await_progress(self):
        """Work goes on, and then a moment at random passes."""
        seen = self.events()
        pawl.wait_until(lambda: self.events() > seen, 60, "events")
        threading.Event().wait(self.random.random() * 0.3)

    def kill(self):
        self.daemon.kill()
        self.daemon.start()
        self.kills += 1

    def restart(self):
        self.up.clear()
        self.server.stop(self.random.choice([signal.SIGTERM, signal.SIGKILL]))
        self.server.start()
        self.up.set()
        self.restarts += 1

    def go(self, kills, restarts):
        what = [self.kill] * kills + [self.restart] * restarts
        self.random.shuffle(what)
        for i, f in enumerate(what):
            self.await_progress()
            f()
            self.log(f"{i + 1} of {len(what)}: {f.__name__}, {len(self.acknowledged)} messages acknowledged, {self.events()} events")

    # ---- judgement ----

    def all_acknowledged(self):
        consumers = self.server.client().consumers("CRASH")
        return len(consumers) == 1 and consumers[0]["num_pending"] == 0 and consumers[0]["num_ack_pending"] == 0

    def judge(self):
        self.end()
        self.wait_ready()
        pawl.wait_until(self.all_acknowledged, SETTLE_SECONDS, "everything to be consumed")
        with self.daemon.db() as db:
            made = collections.Counter(int(row[0]) for row in db.execute("SELECT payload FROM events"))
        wrong = [f"message {n} was acknowledged to its publisher and made no event" for n in sorted(self.acknowledged - made.keys())]
        return wrong + [f"message {n} made {count} events" for n, count in sorted(made.items()) if count > 1]
