"""The daemon is killed with -9 while runs go on: what it leaves behind is ended before the next attempt, and every run ends once."""
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
    f = tmp_path / "began"
    d = make_daemon()
    p = d.create_pipeline(argv=["/bin/sh", "-c", f"trap '' TERM; echo x >> {f}; while :; do sleep 1; done"])
    run = d.fire_ok(d.create_webhook_trigger(p))
    wait_until(f.exists, 20, "the run")
    d.kill()
    d.start()
    assert d.run(run)["error"] == "interrupted"
    d.kill()  # it had no time to wait for the grace
    assert processes_of(run)
    d.start()
    wait_until(lambda: not processes_of(run), 30, "the end of what was left behind")


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
        assert worker.wait(20) == -signal.SIGTERM
    finally:
        worker.kill()


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

def command(d, f, **fields):
    return d.create_pipeline(argv=["/bin/sh", "-c", MARKS.format(f=f, exit="exit 0")], **fields)


def failing(d, f, **fields):
    return d.create_pipeline(argv=["/bin/sh", "-c", MARKS.format(f=f, exit="[ $PAWL_ATTEMPT -ge 3 ]")], **fields)


def pulled(d, f, **fields):
    return d.create_pipeline(executor={"type": "pull"}, **fields)


SERVICE = """
import json, sys, os
for line in sys.stdin:
    e = json.loads(line)
    with open(os.environ["MARKS"], "a") as f: f.write(f"{e['id']} {e['attempt']} begin\\n")
    with open(os.environ["MARKS"], "a") as f: f.write(f"{e['id']} {e['attempt']} end\\n")
    print(json.dumps({"id": e["id"], "status": "success"}), flush=True)
"""


def service(d, f, **fields):
    return d.create_pipeline(executor={"type": "service", "argv": ["/usr/bin/python3", "-c", SERVICE], "env": {"MARKS": str(f)}}, **fields)


# Another executor is another row.
KINDS = {"command": command, "service": service, "failing": failing, "pulled": pulled}
RETRY = {"max_attempts": 50, "backoff_seconds": 0.01, "max_backoff_seconds": 0.05}


def work(d, f, stop):
    """A worker outside: takes runs, marks them like a command does, and is not surprised by a daemon that dies."""
    while not stop.is_set():
        try:
            for run in d.post("/api/v1/runs/claim", {"pipelines": ["*"], "max": 3, "lease_seconds": 20, "wait_seconds": 0.1}).json()["runs"]:
                with open(f, "a", encoding="ascii") as marks:
                    marks.write(f"{run['run_id']} {run['attempt']} begin\n")
                d.post(f"/api/v1/runs/{run['run_id']}/complete", {"lease_token": run["lease_token"], "output": "done"})
        except (OSError, urllib.error.URLError, ValueError, KeyError, pawl.http.client.HTTPException, AttributeError):
            stop.wait(0.01)


def test_killed_at_random_moments(make_daemon, tmp_path):
    rng = random.Random(SEED)
    d = make_daemon()
    f = tmp_path / "marks"
    triggers = {k: d.create_webhook_trigger(make(d, f, retry=RETRY, concurrency=4)) for k, make in KINDS.items()}
    stop, runs = threading.Event(), {}
    worker = threading.Thread(target=work, args=(d, f, stop))
    worker.start()
    try:
        for _ in range(12):
            for _ in range(8):
                kind = rng.choice(list(triggers))
                runs[d.fire_ok(triggers[kind])] = kind
            stop.wait(rng.random() * 0.3)  # the moment is what is random
            d.kill()
            d.start()
        wait_until(lambda: all(d.run(r)["status"] in FINAL for r in runs), 120, "the end of all runs", every=0.2)
    finally:
        stop.set()
        worker.join()
    text = f.read_text()
    assert overlaps(text) == [], f"PAWL_SEED={SEED}"
    begun = {tuple(line.split()[:2]) for line in text.splitlines()}
    for run, kind in runs.items():
        r = d.run(run)
        assert r["status"] == "success", (kind, r)
        assert (run, str(r["attempt"])) in begun, (kind, r)  # the attempt that counts is one that took place
        assert sum(line.startswith(f"{run} {r['attempt']} begin") for line in text.splitlines()) == 1, (kind, r)
    assert len(d.all_runs()) == len(runs)
    with d.db() as con:
        assert con.execute("SELECT count(*) FROM unswept").fetchone() == (0,)
        assert con.execute("SELECT count(*) FROM leases").fetchone() == (0,)
    assert json.loads(d.get("/api/v1/runs?status=running").body)["total"] == 0
