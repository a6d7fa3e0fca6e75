"""Runs that are carried out by worker processes that live on."""
import concurrent.futures
import contextlib
import json
import os
import random
import re
import signal
import subprocess
import threading

import pytest

from pawl import ROOT, wait_until

# Answers with its pid and what it got; payload.do says what else it does.
WORKER = """
import json, os, signal, sys
for line in sys.stdin:
    event = json.loads(line)
    what = event["payload"] or {}
    if what.get("do") == "log":
        print("about", what["n"], file=sys.stderr)
        print("plain text")
    if what.get("do") == "hang":
        signal.pause()
    if what.get("do") == "work":
        sum(range(300000))
    if what.get("do") == "exit":
        sys.exit(what["status"])
    if what.get("do") == "fail":
        print(json.dumps({"id": event["id"], "status": "failed", "error": "as asked"}), flush=True)
        continue
    if "wait" in what:
        os.close(os.open(what["wait"], os.O_RDONLY))  # a fifo: waits for a writer
    output = {"pid": os.getpid(), "event": event["event_id"], "n": what.get("n")}
    print(json.dumps({"id": event["id"], "status": "success", "output": output}), flush=True)
"""


@pytest.fixture
def worker(tmp_path):
    """The argv of the worker above."""
    path = tmp_path / "worker.py"
    path.write_text(WORKER)
    return ["/usr/bin/python3", str(path)]


def make(daemon, argv, retry=None, timeout_seconds=None, name=None, **fields):
    more = {k: v for k, v in (("retry", retry), ("timeout_seconds", timeout_seconds)) if v is not None}
    return daemon.create_pipeline(name=name, executor={"type": "service", "argv": argv, **fields}, **more)


def start(daemon, p, **payload):
    body = {"namespace": p["namespace"], "layer": p["layer"], "pipeline": p["name"], "input": payload}
    return daemon.post("/api/v1/runs", body).expect(202).json()["run_id"]


def output(run):
    return run["output"] if isinstance(run["output"], dict) else json.loads(run["output"])


def make_gate(tmp_path):
    """What runs with {"wait": gate} wait for: until somebody holds it open."""
    gate = str(tmp_path / "gate")
    os.mkfifo(gate)
    return gate


def children(daemon):
    """The pids of the daemon's child processes."""
    out = subprocess.run(["ps", "-o", "pid=", "--ppid", str(daemon.pid)], capture_output=True, text=True).stdout
    ps = {int(p) for p in out.split()}
    return {p for p in ps if os.path.exists(f"/proc/{p}/exe")}


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_one_worker_for_many_runs(daemon, worker):
    p = make(daemon, worker, max_instances=1)
    assert children(daemon) == set()  # nothing runs while there is nothing to do
    ids = [start(daemon, p, n=i) for i in range(20)]
    runs = [daemon.wait_run(i, "success") for i in ids]
    assert len({output(r)["pid"] for r in runs}) == 1
    assert [output(r)["n"] for r in runs] == list(range(20))
    assert output(runs[0])["event"] == runs[0]["event_id"]


def test_logs_belong_to_their_runs(daemon, worker):
    p = make(daemon, worker, max_instances=1)
    ids = [start(daemon, p, do="log", n=i) for i in range(10)]
    for n, i in enumerate(ids):
        daemon.wait_run(i, "success")
        messages = [line["message"] for line in daemon.get(f"/api/v1/runs/{i}/logs").expect(200).json()["logs"]]
        assert sorted(messages) == [f"about {n}", "plain text"]


def test_failure_and_retry(daemon, worker):
    p = make(daemon, worker, retry={"max_attempts": 2, "backoff_seconds": 0})
    run = daemon.wait_run(start(daemon, p, do="fail"), "failed")
    assert run["error"] == "as asked" and run["attempt"] == 2
    run = daemon.wait_run(start(daemon, p, do="exit", status=3), "failed")
    assert run["error"] == "worker exited with status 3 before answering" and run["attempt"] == 2
    daemon.wait_run(start(daemon, p), "success")


def test_timeout_replaces_the_worker(daemon, worker):
    p = make(daemon, worker, max_instances=1, timeout_seconds=5)
    before = output(daemon.wait_run(start(daemon, p), "success"))["pid"]
    hanging = start(daemon, p, do="hang")
    after = start(daemon, p)
    assert daemon.wait_run(hanging, "failed")["error"].startswith("timed out after ")
    assert output(daemon.wait_run(after, "success"))["pid"] != before
    assert not alive(before)


def test_cancel(daemon, worker):
    p = make(daemon, worker, max_instances=1)
    held, waits = start(daemon, p, do="hang"), start(daemon, p)
    wait_until(lambda: children(daemon), what="a worker")
    daemon.post(f"/api/v1/runs/{waits}/cancel").expect(200)
    daemon.wait_run(waits, "cancelled")
    (pid,) = children(daemon)
    daemon.post(f"/api/v1/runs/{held}/cancel").expect(200)
    daemon.wait_run(held, "cancelled")
    assert not alive(pid)
    daemon.wait_run(start(daemon, p), "success")


def test_from_zero_to_the_maximum_and_back(daemon, worker, tmp_path):
    p = make(daemon, worker, max_instances=3, idle_seconds=3600)
    gate = make_gate(tmp_path)
    assert children(daemon) == set()
    ids = [start(daemon, p, wait=gate, n=i) for i in range(40)]
    wait_until(lambda: len(children(daemon)) == 3, what="three workers")
    assert daemon.get(f"/api/v1/runs/{ids[-1]}").json()["status"] == "pending"  # the backlog is in the database
    opened = os.open(gate, os.O_RDWR)
    runs = [daemon.wait_run(i, "success") for i in ids]
    assert len({output(r)["pid"] for r in runs}) == 3
    os.close(opened)
    daemon.put(daemon.pipeline_path(p), {"executor": {**p["executor"], "idle_seconds": 0.2}}).expect(200)
    wait_until(lambda: not children(daemon), what="no worker of the old version")
    for _ in range(2):
        daemon.wait_run(start(daemon, p), "success")
        wait_until(lambda: not children(daemon), what="no worker")


def test_scale_with_the_backlog_of_a_topic(daemon, worker, tmp_path):
    """No process before, up to the maximum under load, none after: the pipeline consumes a topic."""
    gate = make_gate(tmp_path)
    body = {"name": "Order Processing", "options": {"event": "orders"},
            "executor": {"type": "service", "argv": worker, "max_instances": 3, "idle_seconds": 0.2}}
    made = daemon.post("/api/v1/pipelines/", body)
    if made.status == 400:
        pytest.skip("pipelines that name a topic are not there")
    key = made.expect(201).json()["id"]
    daemon.post(f"/api/v1/events/{key}").expect(200)
    assert children(daemon) == set()
    lines = "".join(json.dumps({"wait": gate, "n": n}) + "\n" for n in range(60))
    daemon.post("/api/v1/topics/orders/messages", lines, headers={"Content-Type": "application/x-ndjson"}).expect(202)
    wait_until(lambda: len(children(daemon)) == 3, what="three workers")
    opened = os.open(gate, os.O_RDWR)
    listing = lambda: daemon.get("/api/v1/runs?status=success&limit=100").expect(200).json()
    wait_until(lambda: len(listing()["runs"]) == 60, what="all runs")
    os.close(opened)
    assert sorted(output(r)["n"] for r in listing()["runs"]) == list(range(60))
    wait_until(lambda: not children(daemon), what="no worker")


def test_the_minimum_is_there_before_the_first_event(make_daemon, worker):
    daemon = make_daemon()
    p = make(daemon, worker, min_instances=2, idle_seconds=0)
    wait_until(lambda: len(children(daemon)) == 2, what="two workers")
    daemon.restart()
    wait_until(lambda: len(children(daemon)) == 2, what="two workers after a restart")
    victim = min(children(daemon))
    os.kill(victim, signal.SIGKILL)
    wait_until(lambda: len(children(daemon)) == 2 and victim not in children(daemon), what="the lost one to be replaced")
    daemon.delete(daemon.pipeline_path(p)).expect(204)
    wait_until(lambda: not children(daemon), what="no worker")


def test_a_new_version_gets_new_workers(daemon, worker, tmp_path):
    gate = make_gate(tmp_path)
    p = make(daemon, worker, max_instances=1)
    old = start(daemon, p, wait=gate)
    wait_until(lambda: children(daemon), what="a worker")
    daemon.put(daemon.pipeline_path(p), {"executor": {"type": "service", "argv": worker, "env": {"A": "2"}}}).expect(200)
    new = output(daemon.wait_run(start(daemon, p), "success"))["pid"]
    opened = os.open(gate, os.O_RDWR)
    old = output(daemon.wait_run(old, "success"))["pid"]
    os.close(opened)
    assert new != old
    wait_until(lambda: children(daemon) == {new}, what="the old worker to end")


def test_a_late_run_of_an_old_version_leaves_no_workers(daemon, worker):
    p = make(daemon, worker, min_instances=1, max_instances=1, idle_seconds=0.1, name="late")
    path = f"/api/v1/pipelines/default/{p['layer']}/late"
    daemon.post(f"{path}/pause", {}).expect(200)
    run = start(daemon, p)
    daemon.put(path, {"executor": {**p["executor"], "min_instances": 0}}).expect(200)
    wait_until(lambda: not children(daemon), what="the end of the old version's worker")
    daemon.post(f"{path}/resume", {}).expect(200)
    assert daemon.wait_run(run, "success")["pipeline_version"] == 1
    wait_until(lambda: not children(daemon), what="the end of the worker for the late run")


ONE_ONLY = """
import json, select, sys

event = json.loads(sys.stdin.readline())
print(json.dumps({"id": event["id"], "status": "success", "output": event["payload"]}), flush=True)
select.select([0], [], [])  # there is another event, or nothing will come: it is for somebody else
"""


def test_an_event_that_a_worker_left_unread_goes_to_another(daemon):
    """Workers that end after some events, as many do that leak memory, cost nothing."""
    p = make(daemon, ["/usr/bin/python3", "-c", ONE_ONLY], max_instances=1)
    runs = [start(daemon, p, n=n) for n in range(5)]
    ended = [daemon.wait_run(run) for run in runs]
    assert [(r["status"], r["output"], r["attempt"]) for r in ended] == [("success", {"n": n}, 1) for n in range(5)]


def test_crash_loop(daemon):
    p = make(daemon, ["/bin/sh", "-c", "exit 127"], max_instances=2)
    ids = [start(daemon, p, n=i) for i in range(6)]
    for i in ids:
        assert daemon.wait_run(i, "failed")["error"] == "worker exited with status 127 before answering"
    # Each of them was started once, and the waits between them grew.
    assert daemon.stderr().count("a worker ended before it had answered anything") <= 6
    missing = make(daemon, ["/no/such/worker"])
    assert "cannot start" in daemon.wait_run(start(daemon, missing), "failed")["error"]


def test_an_answer_too_many_is_told(daemon):
    """It ends the worker, and no run says why."""
    twice = """while read -r line; do
        answer=$(printf '%s\\n' "$line" | jq -c '{id, status: "success"}')
        printf '%s\\n' "$answer" "$answer"
    done"""
    p = make(daemon, ["/bin/sh", "-c", twice])
    daemon.wait_run(start(daemon, p), "success")
    wait_until(lambda: "its id is not that of an event which waits for an answer" in daemon.stderr(), what="the warning")
    daemon.wait_run(start(daemon, p), "success")


def test_stop_leaves_nothing_behind(make_daemon, worker, tmp_path):
    daemon = make_daemon(config={"stop_grace_seconds": 1})
    stubborn = ["/bin/sh", "-c", "trap '' TERM; read -r x; while :; do sleep 1; done"]
    idle, hung, deaf = make(daemon, worker), make(daemon, worker), make(daemon, stubborn, kill_grace_seconds=0.2)
    daemon.wait_run(start(daemon, idle), "success")
    runs = [start(daemon, hung, do="hang"), start(daemon, deaf)]
    pids = wait_until(lambda: len(children(daemon)) == 3 and children(daemon), what="three workers")
    daemon.stop()
    assert not any(alive(pid) for pid in pids)
    daemon.start()
    for run in runs:
        assert daemon.wait_run(run, "failed")["error"] == "interrupted"


def test_workers_end_with_a_daemon_that_was_killed(make_daemon, worker):
    daemon = make_daemon()
    p = make(daemon, worker)
    pid = output(daemon.wait_run(start(daemon, p), "success"))["pid"]
    daemon.kill()
    wait_until(lambda: not alive(pid), what="the worker to see the end of its stdin")
    daemon.start()


def test_a_worker_that_outlives_the_daemon_is_found(make_daemon):
    """It neither ends with its stdin nor when it is asked to."""
    daemon = make_daemon()
    deaf = ["/bin/sh", "-c", "trap '' TERM; while :; do read -r x || sleep 1; done"]
    p = make(daemon, deaf, max_instances=1, min_instances=1, kill_grace_seconds=0.2)
    (pid,) = wait_until(lambda: children(daemon), what="a worker")
    run = start(daemon, p)
    wait_until(lambda: daemon.run(run)["status"] == "running", what="the run to start")
    daemon.kill()
    assert alive(pid)
    daemon.start()
    wait_until(lambda: not alive(pid), what="the worker of the last life to be ended", timeout=30)
    assert daemon.wait_run(run, "failed")["error"] == "interrupted"
    wait_until(lambda: len(children(daemon)) == 1, what="a new worker")
    daemon.delete(daemon.pipeline_path(p)).expect(204)
    wait_until(lambda: not children(daemon), what="no worker")


def test_every_run_ends_once_while_workers_are_killed(daemon, worker):
    p = make(daemon, worker, max_instances=4, per_instance=3, retry={"max_attempts": 100, "backoff_seconds": 0})
    t = daemon.create_webhook_trigger(p)
    over = threading.Event()
    kills = []

    def done():
        return daemon.get("/api/v1/runs?status=success&limit=1").expect(200).json()["total"]

    def kill():
        """One after the other, and something is done in between: workers that start slowly must not all die before they have."""
        dice, seen = random.Random(7), 0
        while not over.wait(dice.uniform(0.01, 0.15)):
            if done() == seen:
                continue
            seen = done()
            workers = sorted(children(daemon))
            for pid in dice.sample(workers, min(1, len(workers))):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
                    kills.append(pid)

    killer = threading.Thread(target=kill)
    killer.start()
    ids = []
    try:
        with concurrent.futures.ThreadPoolExecutor(4) as pool:
            while len(kills) < 10 or len(ids) < 100 or not any(r["attempt"] > 1 for r in daemon.all_runs()):
                ids += pool.map(lambda n: daemon.fire_ok(t, json.dumps({"n": n, "do": "work"})), range(len(ids), len(ids) + 20))
                daemon.wait_run(ids[-1], "success", timeout=60)
    finally:
        over.set()
        killer.join()
    runs = [daemon.wait_run(i, "success", timeout=60) for i in ids]
    assert [output(r)["n"] for r in runs] == list(range(len(ids))) and len(set(ids)) == len(ids)


@pytest.mark.parametrize("executor,says", [
    ({}, "executor.argv: is required"),
    ({"argv": ["x"], "min_instances": 3, "max_instances": 2}, "executor.min_instances: must be at most max_instances, which is 2"),
    ({"argv": ["x"], "max_instances": 0}, "executor.max_instances: "),
    ({"argv": ["x"], "max_instances": 1001}, "executor.max_instances: "),
    ({"argv": ["x"], "per_instance": 0}, "executor.per_instance: "),
    ({"argv": ["x"], "idle_seconds": -1}, "executor.idle_seconds: "),
    ({"argv": ["x"], "env": {"PAWL_X": "1"}}, "executor.env: "),
    ({"argv": ["x"], "instances": 1}, "executor.instances: "),
])
def test_bad_configs(daemon, executor, says):
    body = {"namespace": "default", "layer": "bronze", "name": "x", "executor": {"type": "service", **executor}}
    assert says in daemon.post("/api/v1/pipelines", body).expect(400).message


# ---- the workers in docs/executors.md, as they stand there ----

def documented(language):
    with open(os.path.join(ROOT, "docs", "executors.md"), encoding="utf-8") as f:
        section = f.read().split("\n## service")[1].split("\n## ")[0]
    return re.search(rf"^```{language}\n(.*?)^```", section, re.M | re.S).group(1)


@pytest.mark.parametrize("language,program", [("sh", "sh"), ("python", "python3"), ("javascript", "node")])
def test_the_workers_in_the_documentation(daemon, tmp_path, language, program):
    path = tmp_path / "worker"
    path.write_text(documented(language))
    assert len(documented(language).splitlines()) <= 12
    p = make(daemon, [program, str(path)], max_instances=1)
    texts = ["a", "", "ä \" \\ \n", "x" * 5000]
    ids = [start(daemon, p, text=text) for text in texts]
    for text, i in zip(texts, ids):
        run = daemon.wait_run(i, "success", timeout=30)
        assert output(run) == {"length": len(text)}
