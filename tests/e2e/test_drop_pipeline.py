"""A pipeline with many pending runs is deleted: at once for everybody who looks, row by row on the disk."""
import os
import sqlite3
import time

from pawl import wait_until

RUNS = 20000


def fill(d, pipeline, count):
    """Pending runs, as webhooks would have made them."""
    d.stop()
    with sqlite3.connect(f"{d.data}/pawl.db") as db:
        [(key,)] = db.execute("SELECT key FROM pipelines WHERE path = ?", (f"default.bronze.{pipeline['name']}",))
        base = int(time.time() * 1000) << 21
        db.execute("""WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i + 1 < ?)
                      INSERT INTO runs (key, rest, event, pipeline, version, trigger, state, attempt, started_at, finished_at)
                      SELECT ? + i, 0, zeroblob(16), ?, 1, 0, 'p', 1, ?, ? FROM n""", (count, base, key, -(1 << 46), -(1 << 46)))
    db.close()
    d.start()


def left(d):
    with sqlite3.connect(f"file:{d.data}/pawl.db?mode=ro", uri=True, timeout=30) as db:
        [(n,)] = db.execute("SELECT count(*) FROM runs WHERE state IN ('p', 'd', 'w')")
    db.close()
    return n


def total(d, **filters):
    query = "&".join(f"{k}={v}" for k, v in filters.items())
    return d.get(f"/api/v1/runs?limit=1&{query}").expect(200).json()["total"]


def metric(d, name):
    return next(float(line.split()[-1]) for line in d.get("/metrics").body.decode().splitlines() if line.startswith(name + " "))


def check(d):
    for filters in ({}, {"pipeline": "p"}, {"layer": "bronze"}):
        assert total(d, status="pending", **filters) == 0
        assert total(d, status="cancelled", **filters) == RUNS
    run = d.get("/api/v1/runs?pipeline=p&limit=1").json()["runs"][0]
    assert run["status"] == "cancelled" and run["error"] == "its pipeline was deleted" and run["finished_at"]
    one = d.run(run["id"])
    assert one["status"] == "cancelled" and one["attempts"][0]["status"] == "cancelled"
    assert d.post(f"/api/v1/runs/{run['id']}/cancel").expect(409).message == "the run has ended already: cancelled"


def test_many_pending_runs(make_daemon):
    d = make_daemon()
    p = d.create_pipeline("p", executor={"type": "pull"})
    other = d.create_webhook_trigger(d.create_pipeline("other", executor={"type": "pull"}, layer="silver"))
    fill(d, p, RUNS)
    assert total(d, status="pending") == RUNS
    d.delete(d.pipeline_path(p)).expect(204)
    check(d)
    assert metric(d, 'pawl_runs_ended_total{status="cancelled"}') == RUNS and metric(d, "pawl_runs_pending") == 0
    d.kill()
    d.start()
    check(d)
    run = d.fire_ok(other)  # others go on meanwhile
    wait_until(lambda: left(d) == 1, what="the rows to follow", timeout=60)
    assert d.run(run)["status"] == "pending"
    d.restart()
    assert total(d, status="cancelled") == RUNS and total(d, status="pending") == 1


def test_runs_at_work_are_ended(daemon, tmp_path):
    command = ["/bin/sh", "-c", f"echo $$ >>{tmp_path}/pids; exec sleep 1000"]
    for executor in ({"type": "command", "argv": command}, {"type": "service", "argv": command}):
        p = daemon.create_pipeline(executor=executor, retry={"max_attempts": 3})
        run = daemon.post("/api/v1/runs", {"namespace": "default", "layer": "bronze", "pipeline": p["name"]}).expect(202).json()["run_id"]
        daemon.wait_run(run, "running")
        daemon.delete(daemon.pipeline_path(p)).expect(204)
        run = daemon.wait_run(run)
        assert (run["status"], run["error"], run["attempt"]) == ("cancelled", "cancelled", 1)
    pids = (tmp_path / "pids").read_text().split() if (tmp_path / "pids").exists() else []
    wait_until(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in pids), what="the end of the processes")
