"""The daemon is killed with -9 while runs go on: what it leaves behind is ended before the next attempt, and every run ends once."""
import contextlib
import json
import os
import random
import signal
import subprocess
import threading
import time
import urllib.error

import pytest

import pawl
from pawl import FINAL, wait_until
from receiver import Answer, Receiver

SEED = int(os.environ.get("PAWL_SEED", time.strftime("%j")))

# Marks its begin and its end, with its attempt: whoever reads the marks sees what overlapped.
MARKS = 'echo "$PAWL_RUN_ID $PAWL_ATTEMPT begin" >> {f}; sleep 0.0$(($$ % 9)); echo "$PAWL_RUN_ID $PAWL_ATTEMPT end" >> {f}; {exit}'


def processes_of(run):
    """Those that carry the run's id."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/environ", "rb") as f:
                if f"PAWL_RUN_ID={run}".encode() in f.read().split(b"\0"):
                    found.append(int(pid))
        except OSError:
            pass
    return found


def group_of(leader):
    """The processes of a group, but for those that only nobody has asked about since they ended."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii", errors="replace") as f:
                state, _, group = f.read().rsplit(")", 1)[1].split()[:3]
            if int(group) == leader and state not in "ZX":
                found.append(int(pid))
        except OSError:
            pass
    return found


def overlaps(text):
    """Attempts of a run that began while a later one had begun already, or wrote after that."""
    latest, wrong = {}, []
    for line in text.splitlines():
        run, attempt, what = line.split()
        if int(attempt) < latest.get(run, 0):
            wrong.append(line)
        latest[run] = max(latest.get(run, 0), int(attempt))
    return wrong


@pytest.mark.parametrize("script", ["sleep 600", "setsid sleep 600 & wait", "trap '' TERM; while :; do sleep 1; done",
                                    "sleep 600 & exec env -u PAWL_RUN_ID sleep 600", "trap '' HUP; kill -STOP $$; sleep 600"],
                         ids=["plain", "setsid", "deaf", "no environment", "stopped"])
def test_what_is_left_is_ended_before_the_next_attempt(make_daemon, tmp_path, script):
    f = tmp_path / "pids"
    d = make_daemon()
    p = d.create_pipeline(argv=["/bin/bash", "-c", f'echo $PAWL_ATTEMPT $$ >> {f}; [ "$PAWL_ATTEMPT" = 1 ] || exit 0; {script}'],
                          retry={"max_attempts": 2, "backoff_seconds": 0})
    run = d.fire_ok(d.create_webhook_trigger(p))
    wait_until(lambda: f.exists() and f.read_text().count("\n") == 1, 20, "the first attempt")
    leader = int(f.read_text().split()[1])
    d.kill()
    assert processes_of(run), "the command goes on without its daemon"
    d.start()
    r = d.wait_run(run, "success", timeout=60)
    assert r["attempt"] == 2
    assert processes_of(run) == []
    assert group_of(leader) == []


def test_what_others_have_is_left_alone(make_daemon, tmp_path):
    d, other = make_daemon(), make_daemon()
    left = tmp_path / "left"
    for x in (d, other):
        x.kept = x.create_webhook_trigger(x.create_pipeline(argv=["/bin/sh", "-c", f"sleep 600 > /dev/null 2>&1 & echo $! >> {left}"]))
        x.wait_run(x.fire_ok(x.kept), "success")
    going = other.fire_ok(other.create_webhook_trigger(other.create_pipeline(argv=["/bin/sleep", "600"])))
    wait_until(lambda: processes_of(going), 20, "the other daemon's run")
    run = d.fire_ok(d.create_webhook_trigger(d.create_pipeline(argv=["/bin/sleep", "600"])))
    wait_until(lambda: processes_of(run), 20, "the run")
    # One that says it is of that run, but of another data directory.
    copy = subprocess.Popen(["/bin/sleep", "600"], env={"PAWL_RUN_ID": run, "PAWL_INSTANCE": "1-1/1"})
    try:
        d.kill()
        d.start()
        assert d.wait_run(run, "failed")["error"] == "interrupted"
        d.wait_run(d.fire_ok(d.kept), "success")  # things are started again, so the sweep is over
        assert not any(p != copy.pid for p in processes_of(run))
        assert copy.poll() is None
        assert other.run(going)["status"] == "running" and processes_of(going)
        for pid in left.read_text().split():
            os.kill(int(pid), signal.SIGKILL)  # raises if it is gone: it was left behind on purpose
        other.post(f"/api/v1/runs/{going}/cancel").expect(200)
    finally:
        copy.kill()
        copy.wait()


def test_killed_again_before_they_are_ended(make_daemon, tmp_path):
    d = make_daemon()
    t = d.create_webhook_trigger(d.create_pipeline(argv=["/bin/sh", "-c", f"trap '' TERM; echo x > {tmp_path}/$PAWL_RUN_ID; while :; do sleep 1; done"]))
    left = []
    while not left:  # unless it had the time to wait for the grace, all the same
        run = d.fire_ok(t)
        wait_until((tmp_path / run).exists, 20, "the run")
        d.kill()
        d.start()
        assert d.run(run)["error"] == "interrupted"
        d.kill()
        left = processes_of(run)
        d.start()
        wait_until(lambda run=run: not processes_of(run), 30, "the end of what was left behind")


def test_workers_of_an_earlier_life_are_ended(make_daemon):
    """Also when no run was in flight: a crash is enough."""
    d = make_daemon()
    instance = "{0.st_dev:x}-{0.st_ino:x}/0".format(os.stat(d.data))
    worker = subprocess.Popen(["/bin/sleep", "600"], env={"PAWL_WORKER_ID": "1", "PAWL_INSTANCE": instance}, start_new_session=True)
    try:
        d.restart()
        assert worker.poll() is None  # nothing is looked for after an end in order
        d.kill()
        d.start()
        assert worker.wait(pawl.deadline(20)) == -signal.SIGTERM
    finally:
        worker.kill()
        worker.wait()


def test_a_service_after_a_crash(make_daemon, tmp_path):
    """Its workers of before are gone; those that this life has started, meanwhile, stay."""
    f = tmp_path / "workers"
    d = make_daemon()
    d.create_pipeline(executor={"type": "service", "min_instances": 1, "argv": ["/bin/sh", "-c", f"echo $$ >> {f}; exec sleep 600"]})
    wait_until(lambda: f.exists() and f.read_text().endswith("\n"), 20, "a worker")
    d.kill()
    d.start()
    wait_until(lambda: f.read_text().count("\n") == 2, 20, "the next worker")
    d.wait_run(d.fire_ok(d.create_webhook_trigger(d.create_pipeline())), "success", timeout=60)  # so the sweep is over
    first, second = map(int, f.read_text().split())
    assert group_of(first) == [] and group_of(second) == [second]
    d.stop()


def test_the_daemon_stops_while_it_waits_for_them(make_daemon, tmp_path):
    f = tmp_path / "began"
    d = make_daemon()
    p = d.create_pipeline(argv=["/bin/sh", "-c", f"trap '' TERM; echo x >> {f}; while :; do sleep 1; done"])
    run = d.fire_ok(d.create_webhook_trigger(p))
    wait_until(f.exists, 20, "the run")
    d.kill()
    d.start()
    waiting = d.fire_ok(d.create_webhook_trigger(d.create_pipeline()))
    d.restart()
    d.wait_run(waiting, "success", timeout=60)
    assert processes_of(run) == []


# ---- at random moments ----

class Marks:
    """What every attempt of every run leaves behind, whoever carries it out."""

    def __init__(self, path):
        self.path, self.workers = path / "marks", path / "workers"
        self.path.touch()
        self.workers.touch()

    def add(self, run, attempt, what):
        with open(self.path, "a", encoding="ascii") as f:
            f.write(f"{run} {attempt} {what}\n")

    def text(self):
        return self.path.read_text(encoding="ascii")


class Peer(Receiver):
    """What http runs are sent to. It keeps some waiting, refuses some, forgets to answer some, and calls back for those that want it."""

    def __init__(self, marks, rng):
        super().__init__()
        self.marks, self.rng, self.daemon, self.stop, self.threads = marks, rng, None, threading.Event(), []
        self.codes = set()
        self.answer = self.carry_out

    def carry_out(self, request):
        h = request.headers
        self.marks.add(h["ce-pawlrunid"], h["ce-pawlattempt"], "begin")
        dice = self.rng.random()
        self.stop.wait(self.rng.random() * 0.05)
        if dice < 0.1:
            return Answer(503, headers={"Retry-After": "0"})
        if dice < 0.2:
            return None
        if "pawl-callback-url" not in h:
            return Answer(200, b"done")
        thread = threading.Thread(target=self.call_back, args=(h["pawl-callback-url"].split("/", 3)[3], h["pawl-callback-token"]))
        self.threads.append(thread)
        thread.start()
        return Answer(202)

    def call_back(self, path, token):
        """Until it was heard: 200, or 403 or 409 when that attempt is over."""
        self.stop.wait(self.rng.random() * 0.2)
        while not self.stop.is_set():
            with contextlib.suppress(OSError, pawl.http.client.HTTPException, AttributeError):
                r = self.daemon.post(f"/{path}", {"status": "success", "output": "done"}, headers={"Pawl-Callback-Token": token})
                if r.status != 503:
                    self.codes.add(r.status)
                    return
            self.stop.wait(0.02)

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join()


def command(d, marks, peer, **fields):
    return d.create_pipeline(argv=["/bin/sh", "-c", MARKS.format(f=marks.path, exit="exit 0")], **fields)


def failing(d, marks, peer, **fields):
    return d.create_pipeline(argv=["/bin/sh", "-c", MARKS.format(f=marks.path, exit="[ $PAWL_ATTEMPT -ge 3 ]")], **fields)


def pulled(d, marks, peer, **fields):
    return d.create_pipeline(executor={"type": "pull"}, **fields)


SERVICE = """
import json, sys, os, threading
def mark(name, text):
    with open(os.environ[name], "a") as f: f.write(text + "\\n")
mark("WORKERS", str(os.getpid()))
for line in sys.stdin:
    e = json.loads(line)
    mark("MARKS", f"{e['id']} {e['attempt']} begin")
    threading.Event().wait(os.getpid() % 20 / 1000)
    mark("MARKS", f"{e['id']} {e['attempt']} end")
    print(json.dumps({"id": e["id"], "status": "success"}), flush=True)
"""


def service(d, marks, peer, **fields):
    env = {"MARKS": str(marks.path), "WORKERS": str(marks.workers)}
    return d.create_pipeline(executor={"type": "service", "argv": ["/usr/bin/python3", "-c", SERVICE], "env": env}, **fields)


def sent(d, marks, peer, **fields):
    return d.create_pipeline(executor={"type": "http", "url": peer.url}, **fields)


def handed_over(d, marks, peer, **fields):
    return d.create_pipeline(executor={"type": "http", "url": peer.url, "callback": True}, **fields)


# Another executor is another row.
KINDS = {"command": command, "failing": failing, "handed over": handed_over, "pulled": pulled, "sent": sent, "service": service}
RETRY = {"max_attempts": 100, "backoff_seconds": 0.01, "max_backoff_seconds": 0.05}


def work(d, marks, stop):
    """A worker outside: takes runs, marks them like a command does, and is not surprised by a daemon that dies."""
    while not stop.is_set():
        try:
            for run in d.post("/api/v1/runs/claim", {"pipelines": ["*"], "max": 3, "lease_seconds": 20, "wait_seconds": 0.1}).json()["runs"]:
                marks.add(run["run_id"], run["attempt"], "begin")
                d.post(f"/api/v1/runs/{run['run_id']}/complete", {"lease_token": run["lease_token"], "output": "done"})
        except (OSError, urllib.error.URLError, ValueError, KeyError, pawl.http.client.HTTPException, AttributeError):
            stop.wait(0.01)


def kill_workers(marks, rng, stop, killed):
    """Now and then one of the service's workers is gone."""
    while not stop.wait(rng.random() * 0.15):
        pids = marks.workers.read_text(encoding="ascii").split()[-3:]
        with contextlib.suppress(OSError, IndexError):
            pid = rng.choice(pids)
            with open(f"/proc/{pid}/environ", "rb") as f:
                if f"WORKERS={marks.workers}".encode() in f.read().split(b"\0"):
                    os.kill(int(pid), signal.SIGKILL)
                    killed.append(pid)


# Their server may be at work for a daemon that is gone, and gets a request again when it closes a kept connection instead of answering.
ELSEWHERE = ("sent", "handed over")


def check_run(r, kind, begun):
    """It succeeded, in an attempt that took place, once, and every attempt before it says how it ended."""
    count = begun.count((r["id"], str(r["attempt"])))
    assert r["status"] == "success", (kind, r)
    assert count >= 1 if kind in ELSEWHERE else count == 1, (kind, r)
    assert [a["attempt"] for a in r["attempts"]] == list(range(1, r["attempt"] + 1)), (kind, r)
    assert all(a["status"] in ("failed", "interrupted") and a["error"] for a in r["attempts"][:-1]), (kind, r)
    tried = {int(attempt) for run, attempt in begun if run == r["id"]}
    assert max(tried) == r["attempt"], (kind, r)


def test_killed_at_random_moments(make_daemon, tmp_path):
    rng = random.Random(SEED)
    d, marks = make_daemon(), Marks(tmp_path)
    stop, runs, killed = threading.Event(), {}, []
    with Peer(marks, random.Random(rng.random())) as peer:
        peer.daemon = d
        triggers = {k: d.create_webhook_trigger(make(d, marks, peer, retry=RETRY, concurrency=4)) for k, make in KINDS.items()}
        threads = [threading.Thread(target=work, args=(d, marks, stop)),
                   threading.Thread(target=kill_workers, args=(marks, random.Random(rng.random()), stop, killed))]
        for t in threads:
            t.start()
        try:
            for _ in range(12):
                for _ in range(12):
                    kind = rng.choice(list(triggers))
                    runs[d.fire_ok(triggers[kind])] = kind
                stop.wait(rng.random() * 0.4)  # the moment is what is random
                d.kill()
                d.start()

            def one_is_gone():
                """One that was at work: whoever starts slowly has been missed until now."""
                runs[d.fire_ok(triggers["service"])] = "service"
                return killed

            wait_until(one_is_gone, 60, "a worker to be killed", every=0.05)
            wait_until(lambda: all(d.run(r)["status"] in FINAL for r in runs), 120, "the end of all runs", every=0.2)
        finally:
            stop.set()
            peer.end()
            for t in threads:
                t.join()
    text = marks.text()
    here = [line for line in text.splitlines(True) if runs.get(line.split()[0]) not in ELSEWHERE]
    assert overlaps("".join(here)) == [], f"PAWL_SEED={SEED}"
    begun = [tuple(line.split()[:2]) for line in text.splitlines() if line.endswith("begin")]
    for run, kind in runs.items():
        check_run(d.run(run), kind, begun)
    here = [line for line in here if line.endswith("begin\n")]
    assert len(here) == len(set(here)), f"PAWL_SEED={SEED}"
    assert killed and peer.codes <= {200, 403, 409}
    assert len(d.all_runs()) == len(runs)
    with d.db() as con:
        assert con.execute("SELECT count(*) FROM unswept").fetchone() == (0,)
        assert con.execute("SELECT count(*) FROM leases").fetchone() == (0,)
    assert json.loads(d.get("/api/v1/runs?status=running").body)["total"] == 0
