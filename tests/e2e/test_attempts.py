"""Attempts: counted honestly, kept, and shown with their logs."""
import pytest

from pawl import wait_until

RETRY = {"max_attempts": 3, "backoff_seconds": 0.01, "backoff_factor": 1}
# Fails with its attempt's number, and says so.
FAILS = ["/bin/sh", "-c", "echo attempt $PAWL_ATTEMPT; exit $PAWL_ATTEMPT"]


def start(daemon, pipeline):
    body = {"namespace": pipeline["namespace"], "layer": pipeline["layer"], "pipeline": pipeline["name"]}
    return daemon.post("/api/v1/runs", body).expect(202).json()["run_id"]


def messages(daemon, run, query=""):
    log = daemon.get(f"/api/v1/runs/{run}/logs{query}").expect(200).json()
    return log["attempt"], [line["message"] for line in log["logs"]]


def test_every_attempt_is_shown_with_its_log(daemon):
    run = start(daemon, daemon.create_pipeline(argv=FAILS, retry=RETRY))
    shown = daemon.wait_run(run, "failed")
    assert shown["attempt"] == 3 and shown["error"] == "exit status 3"
    assert [(a["attempt"], a["status"], a["error"]) for a in shown["attempts"]] == [
        (n, "failed", f"exit status {n}") for n in (1, 2, 3)]
    for a in shown["attempts"]:
        assert set(a) == {"attempt", "status", "started_at", "finished_at", "duration_ms", "error"}
        assert a["started_at"] <= a["finished_at"] and a["duration_ms"] >= 0
    assert all(a["finished_at"] <= b["started_at"] for a, b in zip(shown["attempts"], shown["attempts"][1:]))
    assert messages(daemon, run) == (3, ["attempt 3"])
    for n in (1, 2, 3):
        assert messages(daemon, run, f"?attempt={n}") == (n, [f"attempt {n}"])
    assert daemon.get(f"/api/v1/runs/{run}/logs?attempt=4").expect(404).error == "NOT_FOUND"
    for bad in ("0", "-1", "x", "", "99999999999"):
        assert "attempt: " in daemon.get(f"/api/v1/runs/{run}/logs?attempt={bad}").expect(400).message
    assert "attempts" not in daemon.get("/api/v1/runs").json()["runs"][0]


def test_success_at_last(daemon):
    p = daemon.create_pipeline(argv=["/bin/sh", "-c", "[ $PAWL_ATTEMPT = 2 ]"], retry=RETRY)
    shown = daemon.wait_run(start(daemon, p), "success")
    assert [(a["status"], a["error"]) for a in shown["attempts"]] == [("failed", "exit status 1"), ("success", None)]
    assert shown["error"] is None


def test_a_timeout_is_a_failed_attempt(daemon):
    p = daemon.create_pipeline(argv=["/bin/sleep", "60"], timeout_seconds=0.05, retry={**RETRY, "max_attempts": 2})
    shown = daemon.wait_run(start(daemon, p), "failed")
    assert [a["error"] for a in shown["attempts"]] == ["timed out after 50ms"] * 2


def test_waiting_for_the_next_attempt(daemon):
    p = daemon.create_pipeline(argv=FAILS, retry={"max_attempts": 2, "backoff_seconds": 3600})
    run = start(daemon, p)
    shown = wait_until(lambda: (r := daemon.run(run))["attempt"] == 2 and r, what="the first attempt's end")
    assert shown["status"] == "pending" and shown["error"] == "exit status 1" and shown["started_at"] is None
    assert [a["status"] for a in shown["attempts"]] == ["failed", "pending"]
    assert messages(daemon, run) == (1, ["attempt 1"])
    daemon.post(f"/api/v1/runs/{run}/cancel").expect(200)
    assert [a["status"] for a in daemon.run(run)["attempts"]] == ["failed", "cancelled"]


def test_a_lost_lease_is_a_failed_attempt(daemon):
    p = daemon.create_pipeline(executor={"type": "pull"}, retry=RETRY)
    run = start(daemon, p)
    claim = {"pipelines": ["default.bronze." + p["name"]], "lease_seconds": 0.1, "wait_seconds": 30}
    assert daemon.post("/api/v1/runs/claim", claim).expect(200).json()["runs"][0]["attempt"] == 1
    second = daemon.post("/api/v1/runs/claim", {**claim, "lease_seconds": 60}).expect(200).json()["runs"][0]
    daemon.post(f"/api/v1/runs/{run}/complete", {"lease_token": second["lease_token"]}).expect(200)
    assert [(a["status"], a["error"]) for a in daemon.run(run)["attempts"]] == [("failed", "lease expired"), ("success", None)]


@pytest.mark.parametrize("end", ["kill", "stop"])
def test_started_attempts_count_over_a_crash(make_daemon, end):
    """The process that an attempt had is cut off; the attempt counts all the same, and the third is the last."""
    d = make_daemon(config={"stop_grace_seconds": 0})
    run = start(d, d.create_pipeline(argv=["/bin/sleep", "600"], retry=RETRY))
    for n in (1, 2, 3):
        wait_until(lambda n=n: (r := d.run(run))["attempt"] == n and r["status"] == "running", what=f"attempt {n}")
        if end == "kill":
            d.kill()
        else:
            d.stop()
        d.start()
    shown = d.run(run)
    assert shown["status"] == "failed" and shown["error"] == "interrupted"
    assert [(a["attempt"], a["status"], a["error"]) for a in shown["attempts"]] == [
        (1, "interrupted", "interrupted"), (2, "interrupted", "interrupted"), (3, "failed", "interrupted")]
    assert all(a["started_at"] and a["finished_at"] for a in shown["attempts"])


@pytest.mark.parametrize("begins", ["at start", "with a change"])
def test_what_retention_removes(make_daemon, begins):
    daemon = make_daemon(config={"retention_count": 2})
    p = daemon.create_pipeline(argv=FAILS, retry=RETRY)
    runs = [start(daemon, p) for _ in range(6)]
    for run in runs:
        daemon.wait_run(run, "failed")
    if begins == "at start":
        daemon.restart()
    else:
        daemon.post("/api/v1/topics/any/messages", b"1").expect(202)
        daemon.put("/api/v1/topics/any", {"retention_bytes": 1}).expect(200)

    def rows(con, table):
        return con.execute(f"SELECT count(*) FROM {table}").fetchone()[0]

    def removed():
        with daemon.db() as con:
            return rows(con, "runs") == 2
    wait_until(removed, what="the old runs to go")
    with daemon.db() as con:
        assert (rows(con, "run_outputs"), rows(con, "run_attempts"), rows(con, "log_parts")) == (2, 4, 0)
    kept = {run["id"] for run in daemon.all_runs()}
    for run in runs:
        status = 200 if run in kept else 404
        for path in ("", "/logs", "/logs?attempt=1"):
            daemon.get(f"/api/v1/runs/{run}{path}").expect(status)
        daemon.get(f"/api/v1/runs/{run}/logs", headers={"Accept": "text/event-stream"}).expect(status)
    assert len(kept) == 2
