"""Pausing: events are accepted and recorded, runs wait, and what waited goes on in order."""
import subprocess

import pytest

import pawl
from pawl import wait_until


@pytest.fixture
def noted(tmp_path):
    """A command that notes its run, and what has been noted so far."""
    f = tmp_path / "noted"
    return ["/bin/sh", "-c", f"echo $PAWL_RUN_ID >> {f}"], lambda: f.read_text().split() if f.exists() else []


def metric(daemon, name):
    return next(int(line.split()[1]) for line in daemon.get("/metrics").body.decode().splitlines() if line.startswith(name + " "))


def statuses(daemon, runs):
    return {daemon.run(r)["status"] for r in runs}


def test_everything(daemon, noted):
    argv, done = noted
    t = daemon.create_webhook_trigger(daemon.create_pipeline(argv=argv, concurrency=1))
    assert daemon.get("/api/v1/pause").expect(200).json() == {"pipelines": 0, "triggers": 0, "paused": False}
    state = daemon.post("/api/v1/pause", {"reason": "the disk is being changed"}).expect(200).json()
    assert state["paused"] is True and state["pause_reason"] == "the disk is being changed" and state["paused_at"]
    assert daemon.post("/api/v1/pause").expect(200).json() == state  # once more changes nothing
    runs = [daemon.fire_ok(t) for _ in range(5)]
    daemon.kill()
    daemon.start()
    assert daemon.get("/api/v1/pause").json() == state
    assert daemon.get("/health").expect(200).json()["paused"] is True
    assert metric(daemon, "pawl_paused") == 1 and metric(daemon, "pawl_runs_pending") == 5
    runs.append(daemon.fire_ok(t))
    assert statuses(daemon, runs) == {"pending"} and done() == []
    assert daemon.post("/api/v1/resume").expect(200).json()["paused"] is False
    for run in runs:
        daemon.wait_run(run, "success")
    assert done() == runs
    assert "paused" not in daemon.get("/health").json() and metric(daemon, "pawl_paused") == 0
    daemon.wait_run(daemon.fire_ok(t), "success")


def test_a_pipeline(daemon, noted):
    argv, done = noted
    p, other = daemon.create_pipeline(argv=argv, concurrency=1), daemon.create_pipeline()
    t, free = daemon.create_webhook_trigger(p), daemon.create_webhook_trigger(other)
    path = daemon.pipeline_path(p)
    got = daemon.post(path + "/pause", {"reason": "r"}).expect(200).json()
    assert got["paused"] is True and got["paused_at"] and got["pause_reason"] == "r" and got["version"] == 1
    runs = [daemon.fire_ok(t) for _ in range(4)]
    daemon.wait_run(daemon.fire_ok(free), "success")
    daemon.put(path, {**daemon.get(path).json(), "description": "what was read can be written"}).expect(200)
    assert statuses(daemon, runs) == {"pending"}
    daemon.kill()
    daemon.start()
    daemon.wait_run(daemon.fire_ok(free), "success")
    assert statuses(daemon, runs) == {"pending"} and daemon.get(path).json()["paused"] is True
    assert metric(daemon, "pawl_paused_pipelines") == 1
    got = daemon.post(path + "/resume").expect(200).json()
    assert got["paused"] is False and "paused_at" not in got
    for run in runs:
        daemon.wait_run(run, "success")
    assert done() == runs


def test_a_trigger(daemon, noted):
    argv, done = noted
    p = daemon.create_pipeline(argv=argv, concurrency=1)
    t, free = daemon.create_webhook_trigger(p), daemon.create_webhook_trigger(p)
    path = f"{daemon.pipeline_path(p)}/triggers/{t['id']}"
    daemon.post("/api/v1/pause").expect(200)
    runs = [daemon.fire_ok(t) for _ in range(3)]  # these wait before their trigger is paused
    got = daemon.post(path + "/pause", {"reason": "r"}).expect(200).json()
    assert got["paused"] is True and got["pause_reason"] == "r"
    daemon.post("/api/v1/resume").expect(200)
    runs += [daemon.fire_ok(t) for _ in range(3)]
    others = []
    for _ in range(3):
        others.append(daemon.fire_ok(free))
        daemon.wait_run(others[-1], "success")
    daemon.kill()
    daemon.start()
    others.append(daemon.fire_ok(free))
    daemon.wait_run(others[-1], "success")
    assert statuses(daemon, runs) == {"pending"} and done() == others
    assert len(daemon.all_runs(status="pending")) == 6 and metric(daemon, "pawl_runs_pending") == 6
    assert daemon.get(path).json()["paused"] is True and metric(daemon, "pawl_paused_triggers") == 1
    daemon.post(f"/api/v1/runs/{runs.pop()}/cancel").expect(200)
    daemon.put(path, {**daemon.get(path).json(), "config": {"cooldown_mode": "trailing"}}).expect(200)
    daemon.post(path + "/resume").expect(200)
    for run in runs:
        daemon.wait_run(run, "success")
    assert done() == others + runs


def test_what_is_running_finishes_and_its_retry_waits(daemon, tmp_path):
    go = tmp_path / "go"
    p = daemon.create_pipeline(argv=["/bin/sh", "-c", f"while [ ! -e {go} ]; do sleep 0.05; done; exit $((PAWL_ATTEMPT == 1))"],
                               retry={"max_attempts": 2, "backoff_seconds": 0})
    t = daemon.create_webhook_trigger(p)
    path = f"{daemon.pipeline_path(p)}/triggers/{t['id']}"
    run = daemon.fire_ok(t)
    daemon.wait_run(run, "running")
    daemon.post(path + "/pause").expect(200)
    go.touch()
    wait_until(lambda: daemon.run(run)["attempt"] == 2, 20, "the end of the first attempt")
    assert daemon.run(run)["status"] == "pending"
    # Another trigger's run of the pipeline goes past it.
    daemon.wait_run(daemon.post("/api/v1/runs", {"namespace": p["namespace"], "layer": p["layer"], "pipeline": p["name"]})
                    .expect(202).json()["run_id"], "success")
    assert daemon.run(run)["status"] == "pending"
    daemon.post(path + "/resume").expect(200)
    daemon.wait_run(run, "success")


def test_workers_get_nothing(daemon):
    p = daemon.create_pipeline(executor={"type": "pull"})
    t = daemon.create_webhook_trigger(p)
    path = daemon.pipeline_path(p)
    claim = {"pipelines": ["*"], "max": 10}
    run = daemon.fire_ok(t)
    for where in (path, "/api/v1", f"{path}/triggers/{t['id']}"):
        daemon.post(where + "/pause").expect(200)
        assert daemon.post("/api/v1/runs/claim", claim).expect(200).json()["runs"] == []
        daemon.post(where + "/resume").expect(200)
    daemon.post(path + "/pause").expect(200)
    runs = daemon.post("/api/v1/runs/claim", {**claim, "wait_seconds": 0.2}).expect(200).json()["runs"]
    assert runs == []
    daemon.post(path + "/resume").expect(200)
    (leased,) = daemon.post("/api/v1/runs/claim", {**claim, "wait_seconds": 10}).expect(200).json()["runs"]
    assert leased["run_id"] == run


def test_a_paused_trigger_that_is_deleted_lets_its_runs_go(daemon, noted):
    argv, done = noted
    p = daemon.create_pipeline(argv=argv)
    t = daemon.create_webhook_trigger(p)
    path = f"{daemon.pipeline_path(p)}/triggers/{t['id']}"
    daemon.post(path + "/pause").expect(200)
    run = daemon.fire_ok(t)
    daemon.delete(path).expect(204)
    daemon.wait_run(run, "success")
    assert daemon.get("/api/v1/pause").json()["triggers"] == 0
    t = daemon.create_webhook_trigger(p)
    daemon.post(f"{daemon.pipeline_path(p)}/triggers/{t['id']}/pause").expect(200)
    daemon.post(daemon.pipeline_path(p) + "/pause").expect(200)
    run = daemon.fire_ok(t)
    daemon.delete(daemon.pipeline_path(p)).expect(204)
    assert daemon.run(run)["status"] == "cancelled"
    assert daemon.get("/api/v1/pause").json() == {"pipelines": 0, "triggers": 0, "paused": False}


def test_bad_bodies(daemon):
    for body, field in ((b"[]", ""), ({"why": "x"}, "why"), ({"reason": 1}, "reason"), ({"reason": "x" * 501}, "reason")):
        r = daemon.post("/api/v1/pause", body).expect(400)
        assert r.message.startswith(field)
    daemon.post("/api/v1/pipelines/default/bronze/none/pause").expect(404)
    assert daemon.get("/api/v1/pause").json()["paused"] is False


def test_from_the_command_line(daemon, noted):
    argv, done = noted
    p = daemon.create_pipeline(argv=argv)
    t = daemon.create_webhook_trigger(p)
    server = ["--server", f"http://{daemon.host}:{daemon.port}"]
    name = "{namespace}.{layer}.{name}".format(**p)

    def cli(*args):
        return subprocess.run([pawl.binary(), *args, *server], capture_output=True, text=True, timeout=pawl.deadline(60))

    assert cli("pause", "--reason", "so").returncode == 0
    assert daemon.get("/api/v1/pause").json()["pause_reason"] == "so"
    assert cli("pause", name).returncode == 0
    run = daemon.fire_ok(t)
    assert cli("resume").returncode == 0
    assert daemon.run(run)["status"] == "pending"
    assert cli("resume", name).returncode == 0
    daemon.wait_run(run, "success")
    r = cli("pause", "default.bronze.none")
    assert r.returncode == 1 and "NOT_FOUND" in r.stderr
    assert cli("pause", "none").returncode == 2
