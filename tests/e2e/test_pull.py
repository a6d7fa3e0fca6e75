"""Workers take runs over HTTP: claims, leases, reports."""
import collections
import concurrent.futures
import datetime
import json
import os
import random
import re
import shutil
import subprocess
import sys
import threading
import time
import uuid

import pytest

from crash import CLOCK_ROUNDING_MS
from pawl import ROOT, deadline, wait_until

PULL = {"type": "pull"}
RUN_FIELDS = {"run_id", "attempt", "lease_token", "lease_expires_at", "pipeline", "pipeline_version", "trigger", "executor", "event"}


def make(daemon, n=1, **fields):
    """A pipeline that is pulled, with n runs: (pipeline, run ids in the order of their making)."""
    p = daemon.create_pipeline(executor=PULL, **fields)
    return p, [start(daemon, p, n=i) for i in range(n)]


def start(daemon, p, **payload):
    body = {"namespace": p["namespace"], "layer": p["layer"], "pipeline": p["name"], "input": payload}
    return daemon.post("/api/v1/runs", body).expect(202).json()["run_id"]


def claim(daemon, pipelines=("*",), **fields):
    return daemon.post("/api/v1/runs/claim", {"pipelines": list(pipelines), **fields}).expect(200).json()["runs"]


def report(daemon, run, verb, **fields):
    return daemon.post(f"/api/v1/runs/{run['run_id']}/{verb}", {"lease_token": run["lease_token"], **fields})


def one(daemon, run_id):
    return daemon.get(f"/api/v1/runs/{run_id}").expect(200).json()


def utc_now():
    """As the API writes times."""
    return datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def metric(daemon, name):
    for line in daemon.get("/metrics").body.decode().splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    raise AssertionError(f"no metric {name}")


def test_claim_and_complete(daemon):
    p, ids = make(daemon, 3)
    runs = claim(daemon, max=2)
    assert [r["run_id"] for r in runs] == ids[:2]  # oldest first
    for i, r in enumerate(runs):
        assert RUN_FIELDS <= set(r) and r["attempt"] == 1 and r["executor"] == PULL and r["pipeline_version"] == 1
        assert r["pipeline"] == f"default.bronze.{p['name']}" and r["trigger"] == {"id": None, "type": "manual"}
        assert len(r["lease_token"]) == 32 and r["event"]["payload"] == {"n": i} and r["event"]["run_id"] == r["run_id"]
        assert one(daemon, r["run_id"])["status"] == "running"
    assert runs[0]["lease_token"] != runs[1]["lease_token"]
    assert report(daemon, runs[0], "complete", output={"sum": 3}).expect(200).json()["status"] == "success"
    done = one(daemon, ids[0])
    assert done["status"] == "success" and done["output"] == {"sum": 3}
    report(daemon, runs[1], "complete", output="just text").expect(200)
    assert one(daemon, ids[1])["output"] == "just text"
    assert one(daemon, ids[2])["status"] == "pending"
    assert claim(daemon, max=10)[0]["run_id"] == ids[2]
    assert claim(daemon) == []


def test_a_report_counts_once(daemon):
    make(daemon, 1)
    run = claim(daemon)[0]
    report(daemon, run, "complete").expect(200)
    for verb in ("complete", "fail", "heartbeat"):
        r = report(daemon, run, verb).expect(409)
        assert r.error == "FAILED_PRECONDITION" and r.json()["status"] == "success" and r.json()["attempt"] == 1


def test_a_report_twice_in_one_request(daemon):
    """What the first one made is what the second one is told."""
    make(daemon, 1)
    run = claim(daemon)[0]
    once = {"run_id": run["run_id"], "lease_token": run["lease_token"], "status": "success"}
    first, *others = daemon.post("/api/v1/runs/complete", {"runs": [once, once, {**once, "status": "failed"}]}).expect(200).json()["runs"]
    assert first == {"run_id": run["run_id"], "status": "success"}
    assert [(o["error"]["code"], o["error"]["message"], o["status"]) for o in others] == [("FAILED_PRECONDITION", "the run has ended", "success")] * 2


def test_long_reports_are_cut(daemon):
    """As the output of a command, and the error of one, would be."""
    make(daemon, 2)
    text, json_text = claim(daemon, max=2)
    report(daemon, text, "complete", output="\u00e4" * (1 << 20)).expect(200)
    assert one(daemon, text["run_id"])["output"] == "\u00e4" * (1 << 19) + "\n[output truncated at 1048576 bytes]"
    report(daemon, json_text, "fail", output=["x" * (1 << 20)], error="\u00e4" * 4000).expect(200)
    done = one(daemon, json_text["run_id"])
    assert done["output"].startswith('["xxx') and done["output"].endswith("x\n[output truncated at 1048576 bytes]")
    assert done["error"] == "\u00e4" * 2048


def test_wrong_leases(daemon):
    _, ids = make(daemon, 1)
    run = claim(daemon)[0]
    wrong = {**run, "lease_token": "0" * 32}
    for verb in ("complete", "fail", "heartbeat"):
        assert report(daemon, wrong, verb).expect(409).error == "FAILED_PRECONDITION"
        report(daemon, {**run, "run_id": str(uuid.uuid4())}, verb).expect(404)
        report(daemon, {**run, "lease_token": "xyz"}, verb).expect(400)
        assert "lease_token: is required" in daemon.post(f"/api/v1/runs/{ids[0]}/{verb}", {}).expect(400).message
    daemon.post(f"/api/v1/runs/{ids[0]}/status", {"status": "success"}).expect(409)  # claimed: a token is needed
    assert one(daemon, ids[0])["status"] == "running"
    report(daemon, run, "complete").expect(200)


@pytest.mark.parametrize("body,says", [
    ({}, "pipelines: is required"),
    ({"pipelines": []}, "pipelines: must be 1 to"),
    ({"pipelines": ["A"]}, "pipelines: pattern 1"),
    ({"pipelines": ["*", "[a]"]}, "pipelines: pattern 2"),
    ({"pipelines": ["*"], "max": 1001}, "max: "),
    ({"pipelines": ["*"], "max": 0}, "max: "),
    ({"pipelines": ["*"], "lease_seconds": 0}, "lease_seconds: "),
    ({"pipelines": ["*"], "wait_seconds": 61}, "wait_seconds: "),
    ({"pipelines": ["*"], "pipeline": "x"}, "pipeline: "),
])
def test_bad_claims(daemon, body, says):
    r = daemon.post("/api/v1/runs/claim", body).expect(400)
    assert r.error == "INVALID_ARGUMENT" and says in r.message


def test_patterns_and_turns(daemon):
    make(daemon, 4, name="a", namespace="one")
    make(daemon, 4, name="b", namespace="one", layer="silver")
    make(daemon, 4, name="c", namespace="two")
    daemon.create_pipeline("cmd")  # not pulled: never handed out
    assert claim(daemon, ["one.gold.*", "three.*"], max=10) == []
    assert {r["pipeline"] for r in claim(daemon, ["*.silver.?"], max=1)} == {"one.silver.b"}
    # Small claims see every pipeline in turn, whoever has more.
    got = collections.Counter(claim(daemon, ["one.*", "two.bronze.c"], max=1)[0]["pipeline"] for _ in range(6))
    assert len(got) == 3 and max(got.values()) <= 3
    # A large one takes from several at once.
    rest = claim(daemon, max=100)
    assert len(rest) == 12 - 1 - 6 and len({r["pipeline"] for r in rest}) > 1


def test_long_poll(daemon):
    p, _ = make(daemon, 0)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(claim, daemon, max=5, wait_seconds=30)
        wait_until(lambda: metric(daemon, "pawl_claims_waiting") == 1, what="the claim to wait")
        run_id = start(daemon, p)
        assert [r["run_id"] for r in waiting.result(deadline(20))] == [run_id]
    began = time.monotonic()
    assert claim(daemon, wait_seconds=0.3) == []
    assert (time.monotonic() - began) * 1000 >= 300 - CLOCK_ROUNDING_MS


def test_a_claim_that_nobody_waits_for_takes_nothing(daemon):
    p, _ = make(daemon, 0)
    body = json.dumps({"pipelines": ["*"], "wait_seconds": 60, "lease_seconds": 600}) + " " * 500_000
    w = daemon.wire()
    w.send(f"POST /api/v1/runs/claim HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}")
    wait_until(lambda: metric(daemon, "pawl_claims_waiting") == 1, what="the claim to wait")
    assert metric(daemon, "pawl_http_buffered_bytes") == 0  # its body is not kept meanwhile
    w.close()
    wait_until(lambda: metric(daemon, "pawl_claims_waiting") == 0, what="the claim to be given up")
    run_id = start(daemon, p)
    assert [r["run_id"] for r in claim(daemon)] == [run_id]


def test_concurrency_of_the_pipeline(daemon):
    make(daemon, 5, concurrency=2)
    runs = claim(daemon, max=10)
    assert len(runs) == 2 and claim(daemon, max=10) == []
    report(daemon, runs[0], "complete").expect(200)
    assert len(claim(daemon, max=10, wait_seconds=5)) == 1


def test_leased_max(make_daemon):
    daemon = make_daemon(config={"leased_max": 3})
    make(daemon, 5)
    runs = claim(daemon, max=10)
    assert len(runs) == 3
    assert daemon.post("/api/v1/runs/claim", {"pipelines": ["*"]}).expect(429).error == "RESOURCE_EXHAUSTED"
    report(daemon, runs[0], "complete").expect(200)
    assert len(claim(daemon, max=10)) == 1


def test_expired_lease_is_the_next_attempt(daemon):
    _, ids = make(daemon, 1, retry={"max_attempts": 2, "backoff_seconds": 0})
    first = claim(daemon, lease_seconds=0.2)[0]
    second = claim(daemon, lease_seconds=0.2, wait_seconds=20)[0]
    assert second["run_id"] == first["run_id"] and second["attempt"] == 2 and second["lease_token"] != first["lease_token"]
    assert report(daemon, first, "complete").status == 409
    run = daemon.wait_run(ids[0], "failed")
    assert run["error"] == "lease expired" and run["attempt"] == 2
    assert report(daemon, second, "complete").expect(409).json()["status"] == "failed"


def test_heartbeats_keep_it(daemon):
    make(daemon, 1, retry={"max_attempts": 100, "backoff_seconds": 0})
    while True:
        run = claim(daemon, lease_seconds=1, wait_seconds=30)[0]
        long = report(daemon, run, "heartbeat", lease_seconds=3600)
        if long.status == 200:  # else it came too late, and the run is an attempt further
            break
    wait_until(lambda: utc_now() > run["lease_expires_at"], what="the time of the first lease to pass")
    assert long.json()["lease_expires_at"] > run["lease_expires_at"]
    report(daemon, run, "complete").expect(200)
    make(daemon, 1)
    run = claim(daemon, lease_seconds=3600)[0]  # and without a word it is as long again
    wait_until(lambda: report(daemon, run, "heartbeat").expect(200).json()["lease_expires_at"] > run["lease_expires_at"], what="a later end")


def test_failures(daemon):
    _, ids = make(daemon, 2, retry={"max_attempts": 3, "backoff_seconds": 0})
    a, b = claim(daemon, max=2)
    report(daemon, a, "fail", error="no luck").expect(200)
    again = claim(daemon, wait_seconds=20)[0]
    assert again["run_id"] == a["run_id"] and again["attempt"] == 2
    report(daemon, b, "fail", error="never", retry=False).expect(200)
    run = one(daemon, b["run_id"])
    assert run["status"] == "failed" and run["error"] == "never" and run["attempt"] == 1
    report(daemon, again, "complete").expect(200)
    assert one(daemon, ids[0])["status"] == "success"


def test_many_at_once(daemon):
    _, ids = make(daemon, 4)
    a, b, c, d = claim(daemon, max=4)
    items = [{**{k: r[k] for k in ("run_id", "lease_token")}, **more} for r, more in (
        (a, {"status": "success", "output": [1]}), (b, {"status": "failed", "error": "x"}), (c, {"status": "cancelled"}),
        ({**d, "lease_token": "f" * 32}, {"status": "success"}), ({**d, "run_id": str(uuid.uuid4())}, {"status": "success"}))]
    answers = daemon.post("/api/v1/runs/complete", {"runs": items}).expect(200).json()["runs"]
    assert [x["run_id"] for x in answers] == [x["run_id"] for x in items]
    assert [x.get("error", {}).get("code") for x in answers] == [None, None, None, "FAILED_PRECONDITION", "NOT_FOUND"]
    assert [one(daemon, i)["status"] for i in ids] == ["success", "failed", "cancelled", "running"]
    assert "runs[0].status: " in daemon.post("/api/v1/runs/complete", {"runs": [{**items[3], "status": "done"}]}).expect(400).message


def test_cancel(daemon):
    _, ids = make(daemon, 1, retry={"max_attempts": 3, "backoff_seconds": 0})
    run = claim(daemon)[0]
    assert daemon.post(f"/api/v1/runs/{ids[0]}/cancel").expect(200).json()["status"] == "cancelled"
    r = report(daemon, run, "heartbeat").expect(409)
    assert r.error == "FAILED_PRECONDITION" and r.json()["status"] == "cancelled"
    assert report(daemon, run, "complete").expect(409).json()["status"] == "cancelled"
    assert claim(daemon) == []


def test_deleted_pipeline(daemon):
    p, ids = make(daemon, 2)
    run = claim(daemon)[0]
    daemon.delete(daemon.pipeline_path(p)).expect(204)
    assert report(daemon, run, "complete").expect(409).json()["status"] == "cancelled"
    assert {one(daemon, i)["status"] for i in ids} == {"cancelled"}


def test_status_without_a_claim(daemon):
    _, ids = make(daemon, 4)
    say = lambda i, **b: daemon.post(f"/api/v1/runs/{ids[i]}/status", b)
    say(0, status="success", output="o").expect(200)
    run = one(daemon, ids[0])
    assert run["status"] == "success" and run["output"] == "o"
    assert say(0, status="failed").expect(409).json()["status"] == "success"
    say(1, status="running").expect(200)
    assert one(daemon, ids[1])["status"] == "running"
    say(1, status="running").expect(200)
    say(1, status="failed", error="e").expect(200)
    assert one(daemon, ids[1])["error"] == "e"
    say(2, status="pending").expect(400)
    daemon.post(f"/api/v1/runs/{uuid.uuid4()}/status", {"status": "success"}).expect(404)
    assert {r["run_id"] for r in claim(daemon, max=9)} == set(ids[2:])


def test_status_of_a_run_that_is_not_pulled(daemon):
    p = daemon.create_pipeline(argv=["/bin/sleep", "60"])
    run_id = start(daemon, p)
    wait_until(lambda: one(daemon, run_id)["status"] == "running", what="the run to start")
    daemon.post(f"/api/v1/runs/{run_id}/status", {"status": "success"}).expect(409)
    daemon.post(f"/api/v1/runs/{run_id}/cancel").expect(200)


def test_leases_survive_a_crash(daemon):
    _, ids = make(daemon, 3)
    a, b, c = claim(daemon, max=3, lease_seconds=600)
    report(daemon, c, "complete").expect(200)
    daemon.kill()
    daemon.start()
    assert [one(daemon, i)["status"] for i in ids] == ["running", "running", "success"]
    report(daemon, a, "heartbeat").expect(200)
    report(daemon, a, "complete").expect(200)
    assert report(daemon, {**b, "lease_token": "a" * 32}, "complete").status == 409
    daemon.restart()  # in order, too: nothing waits for workers
    report(daemon, b, "complete").expect(200)
    assert [one(daemon, i)["status"] for i in ids] == ["success"] * 3
    report(daemon, c, "complete").expect(409)


def test_stopping_answers_those_who_wait(daemon):
    make(daemon, 0)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(claim, daemon, wait_seconds=60)
        wait_until(lambda: metric(daemon, "pawl_claims_waiting") == 1, what="the claim to wait")
        daemon.stop()
        assert waiting.result(deadline(20)) == []


def test_workers_and_crashes(daemon):
    """Workers that die or are late, a daemon that is killed: no attempt is ever handed out twice, every run ends once."""
    _, ids = make(daemon, 60, retry={"max_attempts": 50, "backoff_seconds": 0})
    seen, ended, lock = collections.Counter(), collections.Counter(), threading.Lock()
    rng, over = random.Random(5), threading.Event()

    def work():
        while not over.is_set():
            try:
                for run in claim(daemon, max=5, lease_seconds=2, wait_seconds=1):
                    with lock:
                        seen[run["run_id"], run["attempt"]] += 1
                        dies = rng.random() < 0.15
                    if not dies:
                        with lock:
                            ended[run["run_id"]] += report(daemon, run, "complete").status == 200
            except (OSError, TypeError, ValueError, AssertionError):
                over.wait(0.05)  # the daemon is away

    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        workers = [pool.submit(work) for _ in range(4)]
        try:
            for _ in range(3):
                before = sum(ended.values())
                wait_until(lambda: sum(ended.values()) > before + 8 or sum(ended.values()) >= 50, timeout=30, what="progress")
                daemon.kill()
                daemon.start()
            wait_until(lambda: all(one(daemon, i)["status"] == "success" for i in ids), timeout=60, what="all runs to end", every=0.2)
        finally:
            over.set()
        for w in workers:
            w.result(deadline(70))
    assert max(seen.values()) == 1, "an attempt was handed out twice"
    assert max(ended.values()) == 1, "a run ended twice"


def test_completion_fires_what_follows(daemon):
    up, ids = make(daemon, 1, name="up")
    down = daemon.create_pipeline("down", executor=PULL)
    daemon.post(daemon.pipeline_path(down) + "/triggers",
                {"type": "pipeline_success", "config": {"namespace": "default", "layer": "bronze", "pipeline": "up"}, "cooldown_seconds": 0})
    run = claim(daemon, ["default.bronze.up"])[0]
    report(daemon, run, "complete", output={"rows": 7}).expect(200)
    followers = claim(daemon, ["default.bronze.down"], wait_seconds=10)
    assert len(followers) == 1 and followers[0]["event"]["payload"]["output"] == {"rows": 7}
    assert followers[0]["event"]["lineage"]["depth"] == 1


@pytest.mark.parametrize("language", ["python", "sh"])
def test_the_workers_of_the_documentation(daemon, tmp_path, language):
    with open(os.path.join(ROOT, "docs", "executors.md"), encoding="utf-8") as f:
        scripts = re.findall(rf"```{language}\n(.*?)```", f.read(), re.S)
    script = next(s for s in scripts if "claim" in s).replace("http://127.0.0.1:8080", daemon.url)
    if language == "sh" and not shutil.which("jq"):
        pytest.skip("there is no jq")
    (tmp_path / "work").write_text("#!/bin/sh\ncat >/dev/null\n")
    (tmp_path / "work").chmod(0o755)
    _, ids = make(daemon, 3)
    with open(tmp_path / "worker.log", "wb") as log, subprocess.Popen(
            [sys.executable if language == "python" else "sh", "-c", script], cwd=tmp_path, stdout=log, stderr=log) as worker:
        try:
            for run_id in ids:
                daemon.wait_run(run_id, "success")
        finally:
            worker.kill()
