"""What a pipeline does with events when it has as much to do as it may: queue, skip, replace."""
import json
import threading

import pytest

from pawl import wait_until

# Says that it runs, then waits until somebody says "go".
BUSY = ["/bin/sh", "-c", 'trap "exit 3" TERM; echo $PAWL_RUN_ID >> "$D/begun"; while [ ! -e "$D/go" ]; do sleep 0.05; done']


@pytest.fixture
def busy(daemon, tmp_path):
    def make(**concurrency):
        return daemon.create_pipeline(executor={"type": "command", "argv": BUSY, "env": {"D": str(tmp_path)}}, concurrency=concurrency)
    return make


def begun(tmp_path):
    f = tmp_path / "begun"
    return f.read_text().split() if f.exists() else []


def decisions(daemon, pipeline, trigger):
    r = daemon.get(f"{daemon.pipeline_path(pipeline)}/triggers/{trigger['id']}/decisions").expect(200).json()
    return [(d["decision"], d["detail"]) for d in r["decisions"]]


def by_hand(daemon, p):
    return daemon.post("/api/v1/runs", {"namespace": p["namespace"], "layer": p["layer"], "pipeline": p["name"]})


def test_a_full_queue_refuses_at_the_door(daemon, busy, tmp_path):
    p = busy(max_runs=1, max_queue=2)
    t = daemon.create_webhook_trigger(p)
    runs = [daemon.fire_ok(t) for _ in range(3)]
    r = daemon.fire(t).expect(429)
    assert r.error == "RESOURCE_EXHAUSTED" and "2 runs wait, max_queue is 2" in r.message
    assert int(r.headers["retry-after"]) >= 1
    r = by_hand(daemon, p).expect(429)
    assert "2 runs wait, max_queue is 2" in r.message and int(r.headers["retry-after"]) >= 1
    assert decisions(daemon, p, t)[0] == ("concurrency", "2 runs wait, max_queue is 2")
    # After a restart it counts as before: the interrupted run was the only one that ran.
    wait_until(lambda: begun(tmp_path) == runs[:1], 20, "the first run")
    daemon.kill()
    daemon.start()
    wait_until(lambda: begun(tmp_path) == runs[:2], 20, "the next run")
    daemon.fire_ok(t)
    daemon.fire(t).expect(429)
    (tmp_path / "go").touch()
    for run in runs[1:]:
        daemon.wait_run(run, "success")
    daemon.fire_ok(t)


def test_skip_starts_nothing(daemon, busy, tmp_path):
    p = busy(max_runs=1, policy="skip")
    t = daemon.create_webhook_trigger(p, cooldown_seconds=0)
    run = daemon.fire_ok(t)
    for _ in range(3):
        assert "1 run is under way, max_runs is 1" in daemon.fire(t).expect(429).message
    by_hand(daemon, p).expect(429)
    (tmp_path / "go").touch()
    daemon.wait_run(run, "success")
    daemon.wait_run(daemon.fire_ok(t), "success")
    assert len(daemon.all_runs()) == 2


def test_skip_counts_a_retry_that_waits(daemon):
    p = daemon.create_pipeline(argv=["/bin/false"], concurrency={"max_runs": 1, "policy": "skip"},
                               retry={"max_attempts": 2, "backoff_seconds": 3600, "max_backoff_seconds": 3600})
    t = daemon.create_webhook_trigger(p)
    run = daemon.fire_ok(t)
    wait_until(lambda: daemon.run(run)["attempt"] == 2, 20, "the second attempt")
    assert "1 run is under way" in daemon.fire(t).expect(429).message
    daemon.kill()
    daemon.start()
    daemon.fire(t).expect(429)


def test_replace_lets_the_newest_survive(daemon, busy, tmp_path):
    p = busy(max_runs=1, policy="replace")
    t = daemon.create_webhook_trigger(p)
    runs = [daemon.fire_ok(t)]
    wait_until(lambda: begun(tmp_path) == runs, 20, "the first run")
    runs += [daemon.fire_ok(t) for _ in range(5)]
    wait_until(lambda: begun(tmp_path)[-1] == runs[-1], 20, "the newest run")
    (tmp_path / "go").touch()
    assert daemon.wait_run(runs[-1])["status"] == "success"
    for run in runs[:-1]:
        r = daemon.wait_run(run, "cancelled")
        assert r["error"] == "replaced by a newer run"
    assert by_hand(daemon, p).status == 202


def test_whoever_waits_for_a_replaced_run_learns_it(daemon, busy, tmp_path):
    p = busy(max_runs=1, policy="replace")
    t = daemon.create_webhook_trigger(p)
    first = daemon.fire_ok(t)
    wait_until(lambda: begun(tmp_path) == [first], 20, "the first run")
    # Its command takes no notice of SIGTERM for a moment; so the second run pends when the third comes.
    answers = []
    waiter = threading.Thread(target=lambda: answers.append(daemon.fire_sync(t)))
    waiter.start()
    wait_until(lambda: len(daemon.all_runs()) == 2, 20, "the second run")
    last = daemon.fire_ok(t)
    waiter.join()
    assert answers[0].status == 500 and answers[0].json()["error"] == "replaced by a newer run"
    (tmp_path / "go").touch()
    daemon.wait_run(last, "success")


def test_pulled_runs_are_replaced(daemon):
    p = daemon.create_pipeline(executor={"type": "pull"}, concurrency={"max_runs": 1, "policy": "replace"})
    t = daemon.create_webhook_trigger(p)
    claim = {"pipelines": ["*"], "max": 10, "wait_seconds": 10}
    first = daemon.fire_ok(t)
    (leased,) = daemon.post("/api/v1/runs/claim", claim).expect(200).json()["runs"]
    assert leased["run_id"] == first
    second, third = daemon.fire_ok(t), daemon.fire_ok(t)
    (leased2,) = daemon.post("/api/v1/runs/claim", claim).expect(200).json()["runs"]
    assert leased2["run_id"] == third
    assert [daemon.run(r)["status"] for r in (first, second)] == ["cancelled", "cancelled"]
    daemon.post(f"/api/v1/runs/{first}/complete", {"lease_token": leased["lease_token"]}).expect(409)
    daemon.post(f"/api/v1/runs/{third}/complete", {"lease_token": leased2["lease_token"]}).expect(200)


def test_a_refused_file_is_in_the_next_firing(daemon, tmp_path):
    out = tmp_path / "out"
    script = f'cat >> {out}; while [ ! -e {tmp_path}/go ]; do sleep 0.05; done'
    p = daemon.create_pipeline(argv=["/bin/sh", "-c", script], concurrency={"max_runs": 1, "policy": "skip"})
    zone = daemon.create_zone()
    t = daemon.create_file_trigger(p, zone)
    daemon.upload(zone, "a.csv").expect(201)
    wait_until(lambda: out.exists() and out.read_bytes().endswith(b"\n"), 20, "the first run")
    daemon.upload(zone, "b.csv").expect(201)
    daemon.upload(zone, "c.csv").expect(201)
    wait_until(lambda: len(decisions(daemon, p, t)) == 3, 20, "the decisions")
    assert [d for d, _ in decisions(daemon, p, t)] == ["concurrency", "concurrency", "fired"]
    (tmp_path / "go").touch()
    wait_until(lambda: daemon.all_runs(status="success"), 20, "the end of the first run")
    daemon.kill()
    daemon.start()
    daemon.upload(zone, "d.csv").expect(201)
    wait_until(lambda: len(daemon.all_runs(status="success")) == 2, 20, "the second run")
    last = json.loads(out.read_text().splitlines()[-1])
    assert [f["filename"] for f in last["files"]] == ["b.csv", "c.csv", "d.csv"]
