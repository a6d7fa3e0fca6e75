"""crash.py - kills pawl over and over under load, and compares what it acknowledged with what it has.

    with Crash(directory, seed) as c:
        c.kill_many(30)
        c.settle()          # one more start; every run that is not left to a pull queue comes to its end
        report = c.judge()  # the list of everything that is wrong; empty when nothing is
    print(c.summary())

Clients fire four webhooks as fast as they are answered: one whose runs wait in a pull queue (most calls, for many commits in flight),
one that runs a command, one that runs a command which is retried when it was interrupted, one with a cooldown. SIGKILL comes at
random moments, now and then while pawl is still starting. Promised, and checked:

  - every run id that was acknowledged is in the database, and belongs to the trigger that was called;
  - no call made two events or two runs: each event has one run, and there are not more events than calls;
  - nothing is left running, nothing but the pull queue's runs pending; what ended says how;
  - each run's command was started at least once and at most once per attempt;
  - two firings of the trigger with the cooldown are at least that far apart, also when pawl was killed in between.
"""
import collections
import datetime
import http.client
import os
import random
import threading
import time

import pawl

CLIENTS = 4
CALLS_BEFORE_A_KILL = 10
COOLDOWN_MS = 1000
# Wall and monotonic milliseconds are cut off at different moments.
CLOCK_ROUNDING_MS = 1
SETTLE_SECONDS = 300
# How often each trigger is called, out of a hundred.
WEIGHTS = {"queued": 86, "once": 4, "retried": 4, "cooled": 6}
STATES = {"p": "pending", "d": "pending", "r": "running", "s": "success", "f": "failed", "c": "cancelled"}


class Crash:
    def __init__(self, directory, seed, log=None):
        self.random = random.Random(seed)
        self.seed = seed
        self.log = log or (lambda text: None)
        self.executions = os.path.join(str(directory), "executions")
        open(self.executions, "w", encoding="ascii").close()
        self.daemon = pawl.Daemon(os.path.join(str(directory), "crash"))
        self.lock = threading.Lock()
        self.acknowledged = []      # (run id, name of the trigger)
        self.answers = collections.Counter()
        self.calls = self.kills = self.early_kills = 0
        self.ready = threading.Event()
        self.ended = threading.Event()
        self.failures = []
        self.clients = []

    def __enter__(self):
        self.daemon.start()
        self.create()
        self.clients = [threading.Thread(target=self.client, args=(self.random.random(),)) for _ in range(CLIENTS)]
        for c in self.clients:
            c.start()
        self.ready.set()
        return self

    def __exit__(self, *_):
        self.end_clients()
        if self.daemon.running:
            self.daemon.kill()

    def create(self):
        script = f'echo "$PAWL_RUN_ID $PAWL_ATTEMPT" >>{self.executions}'
        command = {"type": "command", "argv": ["/bin/sh", "-c", script]}
        retry = {"max_attempts": 50, "backoff_seconds": 0.01, "backoff_factor": 1}
        pipelines = {"queued": {"executor": {"type": "pull"}}, "once": {"executor": command},
                     "retried": {"executor": command, "retry": retry}, "cooled": {"executor": command}}
        self.triggers = {}
        for name, fields in pipelines.items():
            p = self.daemon.create_pipeline(name=name, **fields)
            self.triggers[name] = self.daemon.create_webhook_trigger(p, cooldown_seconds=COOLDOWN_MS // 1000 if name == "cooled" else 0)

    # ---- load ----

    def client(self, seed):
        rng, names = random.Random(seed), list(WEIGHTS)
        while not self.ended.is_set():
            self.ready.wait()
            con = http.client.HTTPConnection(self.daemon.host, self.daemon.port, timeout=60)
            try:
                while not self.ended.is_set():
                    self.call(con, rng.choices(names, WEIGHTS.values())[0])
            except (OSError, http.client.HTTPException):
                pass  # killed in the middle: nothing was promised
            except Exception as e:  # a client that dies would make the test weaker without a word
                self.failures.append(f"a client failed: {e!r}")
                return
            finally:
                con.close()

    def call(self, con, name):
        with self.lock:
            self.calls += 1
        headers = {"X-Webhook-Token": self.triggers[name]["webhook_token"]}
        r = pawl.exchange(con, "POST", "/api/v1/webhooks", b'{"n": 1}', headers)
        with self.lock:
            self.answers[r.status] += 1
            if r.status == 201:
                self.acknowledged.append((r.json()["run_id"], name))
            elif r.status != 429 or name != "cooled":
                self.failures.append(f"{name} was answered {r.status}: {r.body[:300]!r}")

    # ---- crashes ----

    def kill_many(self, n):
        moment = threading.Event()
        for i in range(n):
            seen = len(self.acknowledged)
            moment.wait(self.random.uniform(0.02, 0.35))
            # However slow it all is: a daemon that has had nothing to do yet has nothing to lose.
            pawl.wait_until(lambda: len(self.acknowledged) > seen + CALLS_BEFORE_A_KILL or self.failures, 60, "calls")
            self.ready.clear()
            self.daemon.kill()
            self.kills += 1
            if self.random.random() < 0.25:
                self.kill_early(moment)
            self.daemon.start(60)
            self.ready.set()
            if (i + 1) % 50 == 0:
                self.log(f"{i + 1} kills, {len(self.acknowledged)} webhooks acknowledged")

    def kill_early(self, moment):
        """Once more, while it is still starting."""
        self.daemon.launch()
        moment.wait(self.random.uniform(0, 0.03))
        self.daemon.kill()
        self.early_kills += 1

    def end_clients(self):
        self.ended.set()
        self.ready.set()
        for c in self.clients:
            c.join()
        self.clients = []

    def settle(self):
        """Stops the load once each trigger was called; then everything that can end must end."""
        pawl.wait_until(lambda: {name for _, name in self.acknowledged} == set(WEIGHTS) or self.failures, 60, "a call of each trigger")
        self.end_clients()

        def unfinished():
            with self.daemon.db() as con:
                return con.execute("SELECT count(*) FROM runs JOIN pipelines ON pipelines.key = runs.pipeline "
                                   "WHERE state NOT IN ('s', 'f', 'c') AND path NOT LIKE '%.queued'").fetchone()[0]

        pawl.wait_until(lambda: unfinished() == 0, SETTLE_SECONDS, "every run to end", every=0.1)
        self.daemon.stop()

    # ---- the verdict ----

    def judge(self):
        with self.daemon.db() as con:
            self.names = {key: path.rsplit(".", 1)[1] for key, path in con.execute(
                "SELECT triggers.key, path FROM triggers JOIN pipelines ON pipelines.key = triggers.pipeline")}
            self.runs = {pawl.row_uuid(key, rest): row for key, rest, *row in con.execute(
                "SELECT key, rest, event, trigger, state, attempt FROM runs")}
            self.events = {pawl.row_uuid(key, rest): time for key, rest, time in con.execute("SELECT key, rest, time FROM events")}
            self.errors = dict(con.execute("SELECT run, error FROM run_outputs"))
            integrity = [row[0] for row in con.execute("PRAGMA integrity_check")]
            left = con.execute("SELECT count(*) FROM log_parts p JOIN runs r ON r.key = p.run JOIN run_outputs o ON o.run = p.run "
                               "WHERE p.attempt = r.attempt AND o.log IS NOT NULL").fetchone()[0]
        wrong = list(self.failures)
        if integrity != ["ok"]:
            wrong.append(f"the database is damaged: {integrity[:5]}")
        if left > 0:
            wrong.append(f"{left} parts of logs were left behind by attempts that ended with a whole one")
        return wrong + self.judge_acknowledged() + self.judge_doubled() + self.judge_ended() + self.judge_executions() + self.judge_cooldown()

    def judge_acknowledged(self):
        wrong = []
        for run, name in self.acknowledged:
            if run not in self.runs:
                wrong.append(f"missing: run {run} of {name} was acknowledged")
            elif self.names[self.runs[run][1]] != name:
                wrong.append(f"run {run} was acknowledged to {name} and belongs to {self.names[self.runs[run][1]]}")
        if len({run for run, _ in self.acknowledged}) != len(self.acknowledged):
            wrong.append("the same run was acknowledged twice")
        return wrong

    def judge_doubled(self):
        per_event = collections.Counter(pawl.uuid_text(event) for event, *_ in self.runs.values())
        wrong = [f"doubled: event {event} has {n} runs" for event, n in per_event.items() if n != 1]
        wrong += [f"event {event} of a run does not exist" for event in per_event if event not in self.events]
        if len(self.events) > self.calls:
            wrong.append(f"{self.calls} calls made {len(self.events)} events")
        return wrong

    def judge_ended(self):
        wrong = []
        for run, (_, trigger, state, attempt) in self.runs.items():
            name, state = self.names[trigger], STATES[state]
            if name == "queued":
                good = state == "pending"
            elif name == "retried":
                good = state == "success"
            else:
                good = attempt == 1 and state in ("success", "failed")
            if not good:
                wrong.append(f"run {run} of {name} is {state} after attempt {attempt}")
        for run, error in self.errors.items():
            if error is not None and "interrupted" not in error:
                wrong.append(f"a run failed with {error!r}, not because it was interrupted")
        return wrong

    def judge_executions(self):
        wrong, started = [], collections.Counter()
        with open(self.executions, encoding="ascii") as f:
            for line in f:
                started[tuple(line.split())] += 1
        wrong += [f"attempt {attempt} of run {run} was started {n} times" for (run, attempt), n in started.items() if n != 1]
        wrong += [f"run {run} was started and does not exist" for run, _ in started if run not in self.runs]
        for run, (_, trigger, state, attempt) in self.runs.items():
            if STATES[state] == "success" and (run, str(attempt)) not in started:
                wrong.append(f"run {run} succeeded in attempt {attempt}, which never started")
        return wrong

    def judge_cooldown(self):
        times = sorted(self.events[pawl.uuid_text(event)] for event, trigger, *_ in self.runs.values() if self.names[trigger] == "cooled")
        return [f"the cooldown of {COOLDOWN_MS} ms was broken: {b - a} ms between firings at {when(a)} and {when(b)}"
                for a, b in zip(times, times[1:]) if b - a < COOLDOWN_MS - CLOCK_ROUNDING_MS]

    def summary(self):
        states = collections.Counter(f"{self.names[t]} {STATES[s]}" for _, t, s, _ in self.runs.values())
        retried = sum(attempt > 1 for *_, attempt in self.runs.values())
        return (f"seed {self.seed}: {self.kills} kills and {self.early_kills} while starting, {self.calls} calls, answers {dict(self.answers)}, "
                f"{len(self.acknowledged)} runs acknowledged, {len(self.runs)} stored, {retried} run again; {dict(states)}")


def when(ms):
    return datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).isoformat(timespec="milliseconds")


def seed_of_the_day():
    """A seed to start from, or the one in $PAWL_SEED."""
    return int(os.environ.get("PAWL_SEED", time.time_ns() % 1_000_000_007))
