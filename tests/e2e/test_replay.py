"""Dead runs: listed, and run again, one by one or by filter."""
import concurrent.futures
import json
import uuid

import pytest

from pawl import cli


@pytest.fixture
def flag(tmp_path):
    """Pipelines that need it fail until it is there."""
    return tmp_path / "flag"


def needy(daemon, flag, name, **fields):
    return daemon.create_pipeline(name, argv=["/bin/sh", "-c", f"cat; [ -e {flag} ]"], **fields)


def start(daemon, pipeline, **fields):
    body = {"namespace": pipeline["namespace"], "layer": pipeline["layer"], "pipeline": pipeline["name"], **fields}
    return daemon.post("/api/v1/runs", body).expect(202).json()["run_id"]


def dead(daemon, **filters):
    return [r["id"] for r in daemon.all_runs(dead="true", **filters)]


def replay(daemon, run, body=None):
    return daemon.post(f"/api/v1/runs/{run}/replay", body)


def replay_many(daemon, status=202, **body):
    return daemon.post("/api/v1/runs/replay", body).expect(status).json()


def die(daemon, pipeline, n=1):
    runs = [start(daemon, pipeline) for _ in range(n)]
    for r in runs:
        daemon.wait_run(r, "failed")
    return runs


def test_one_by_one(daemon, flag):
    p = needy(daemon, flag, "p")
    t = daemon.create_webhook_trigger(p)
    original = daemon.fire_ok(t, b'{"n": 1}')
    shown = daemon.wait_run(original, "failed")
    assert shown["dead"] is True and shown["replay_of"] is None and shown["replayed_as"] is None
    assert dead(daemon) == [original]
    flag.touch()
    answer = replay(daemon, original).expect(202).json()
    assert set(answer) == {"run_id", "status", "replay_of"}
    assert answer["status"] == "pending" and answer["replay_of"] == original and answer["run_id"] != original
    again = daemon.wait_run(answer["run_id"], "success")
    assert again["replay_of"] == original and again["event_id"] == shown["event_id"] and again["attempt"] == 1
    assert (again["trigger"], again["trigger_id"]) == ("trigger:webhook", t["id"])
    assert again["output"]["payload"] == {"n": 1} and again["output"]["trigger"] == {"id": t["id"], "type": "webhook"}
    assert dead(daemon) == []
    shown = daemon.run(original)
    assert shown["status"] == "failed" and shown["dead"] is False and shown["replayed_as"] == again["id"]
    assert daemon.get(f"/api/v1/event-log/{shown['event_id']}").json()["run_ids"] == [original, again["id"]]
    assert [r["id"] for r in daemon.all_runs(status="failed")] == [original]


def test_a_replay_that_fails_is_dead_itself(daemon, flag):
    [original] = die(daemon, needy(daemon, flag, "p"))
    again = replay(daemon, original).expect(202).json()["run_id"]
    daemon.wait_run(again, "failed")
    assert dead(daemon) == [again]


def test_what_has_ended_otherwise_is_replayed_when_asked_for(daemon):
    run = start(daemon, daemon.create_pipeline(argv=["/bin/cat"]), input=[1])
    daemon.wait_run(run, "success")
    again = replay(daemon, run).expect(202).json()["run_id"]
    assert daemon.wait_run(again, "success")["output"]["payload"] == [1]
    assert daemon.run(run)["status"] == "success"


def test_current_version_or_the_one_it_had(daemon):
    p = daemon.create_pipeline("p", argv=["/bin/sh", "-c", "echo one; exit 1"])
    [original] = die(daemon, p)
    daemon.put(daemon.pipeline_path(p), {"executor": {"type": "command", "argv": ["/bin/echo", "two"]}}).expect(200)
    now = daemon.wait_run(replay(daemon, original).json()["run_id"], "success")
    assert (now["pipeline_version"], now["output"]) == (2, "two\n")
    then = daemon.wait_run(replay(daemon, original, {"version": "original"}).json()["run_id"], "failed")
    assert (then["pipeline_version"], then["output"]) == (1, "one\n")


def test_refusals(daemon, flag):
    p = needy(daemon, flag, "p")
    [original] = die(daemon, p)
    running = start(daemon, daemon.create_pipeline("sleeper", argv=["/bin/sleep", "600"]))
    waiting = start(daemon, daemon.create_pipeline("pulled", executor={"type": "pull"}))
    for run in (running, waiting):
        r = replay(daemon, run).expect(409)
        assert r.error == "FAILED_PRECONDITION" and r.message == "the run has not ended"
    for unknown in (uuid.uuid4(), "x"):
        assert replay(daemon, unknown).expect(404).error == "NOT_FOUND"
    assert "version: " in replay(daemon, original, {"version": "2"}).expect(400).message
    assert "bogus: " in replay(daemon, original, {"bogus": 1}).expect(400).message
    assert "dead: " in daemon.get("/api/v1/runs?dead=1").expect(400).message
    daemon.delete(daemon.pipeline_path(p)).expect(204)
    assert replay(daemon, original).expect(409).message == "the run's pipeline was deleted"
    assert replay_many(daemon) == {"replayed": 0, "refused": 0, "remaining": 0, "dry_run": False, "runs": []}
    assert len(daemon.all_runs()) == 3
    daemon.post(f"/api/v1/runs/{running}/cancel").expect(200)


@pytest.mark.parametrize("body,field", [
    ({"limit": 0}, "limit: "), ({"limit": 501}, "limit: "), ({"dry_run": 1}, "dry_run: "), ({"trigger_id": "x"}, "trigger_id: "),
    ({"started_after": "yesterday"}, "started_after: "), ({"started_before": 1}, "started_before: "), ({"namespace": 1}, "namespace: "),
    ({"pipeline": "default.bronze.load"}, "pipeline: "), ({"layer": ""}, "layer: "),
    ({"status": "failed"}, "status: "), ({"version": "x"}, "version: ")])
def test_bad_filters(daemon, body, field):
    assert field in daemon.post("/api/v1/runs/replay", body).expect(400).message


def test_by_filter(daemon, flag):
    a, b = needy(daemon, flag, "a"), needy(daemon, flag, "b", layer="silver")
    runs = die(daemon, a, 3)
    others = die(daemon, b, 2)
    daemon.wait_run(start(daemon, daemon.create_pipeline("good")), "success")
    assert dead(daemon) == (runs + others)[::-1] and dead(daemon, layer="silver") == others[::-1]
    assert dead(daemon, status="success") == [] and dead(daemon, status="failed", pipeline="a") == runs[::-1]
    page = daemon.get("/api/v1/runs?dead=true&limit=2").json()
    assert page["total"] == 5 and [r["id"] for r in page["runs"]] == [others[1], others[0]]
    assert daemon.get(f"/api/v1/runs?dead=true&limit=2&cursor={page['next_cursor']}").json()["runs"][0]["id"] == runs[2]

    flag.touch()
    trial = replay_many(daemon, 200, pipeline="a", limit=2, dry_run=True)
    assert trial == {"replayed": 2, "refused": 0, "remaining": 1, "dry_run": True,
                     "runs": [{"run_id": None, "replay_of": r} for r in runs[:2]]}
    assert len(dead(daemon)) == 5
    first = replay_many(daemon, pipeline="a", limit=2)
    assert (first["replayed"], first["remaining"], first["dry_run"]) == (2, 1, False)
    assert [r["replay_of"] for r in first["runs"]] == runs[:2]  # the oldest first
    for r in first["runs"]:
        assert daemon.wait_run(r["run_id"], "success")["replay_of"] == r["replay_of"]
    assert replay_many(daemon, started_after="2999-01-01T00:00:00Z")["replayed"] == 0
    rest = replay_many(daemon)
    assert rest["replayed"] == 3 and rest["remaining"] == 0
    assert replay_many(daemon) == {"replayed": 0, "refused": 0, "remaining": 0, "dry_run": False, "runs": []}
    assert dead(daemon) == []


def test_calls_at_the_same_time_replay_each_once(daemon, flag):
    runs = die(daemon, needy(daemon, flag, "p"), 30)
    flag.touch()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: replay_many(daemon, limit=10), range(12)))
    made = [r["replay_of"] for a in answers for r in a["runs"]]
    while (more := replay_many(daemon))["replayed"]:
        made += [r["replay_of"] for r in more["runs"]]
    assert sorted(made) == sorted(runs)


def test_limits_hold(daemon, flag):
    """Replays wait for their turn like any run."""
    p = needy(daemon, flag, "p", concurrency=1)
    die(daemon, p, 5)
    daemon.put(daemon.pipeline_path(p), {"executor": {"type": "command", "argv": ["/bin/sleep", "0.02"]}}).expect(200)
    again = [daemon.wait_run(r["run_id"], "success") for r in replay_many(daemon)["runs"]]
    again.sort(key=lambda r: r["started_at"])
    assert all(x["finished_at"] <= y["started_at"] for x, y in zip(again, again[1:]))


def test_a_full_queue_takes_no_more(daemon, flag):
    p = needy(daemon, flag, "p")
    runs = die(daemon, p, 3)
    daemon.put(daemon.pipeline_path(p), {"executor": {"type": "pull"}, "concurrency": {"max_runs": 1, "max_queue": 2}}).expect(200)
    answer = replay_many(daemon)
    assert (answer["replayed"], answer["refused"], answer["remaining"]) == (2, 1, 1)
    assert dead(daemon) == [runs[2]]
    r = replay(daemon, runs[2]).expect(429)
    assert r.error == "RESOURCE_EXHAUSTED" and r.headers["retry-after"]


def test_over_a_crash(make_daemon, flag):
    """What was acknowledged is there, and no run was made again twice."""
    d = make_daemon()
    p = needy(d, flag, "p")
    runs = die(d, p, 20)
    d.put(d.pipeline_path(p), {"executor": {"type": "pull"}}).expect(200)
    acknowledged = {r["run_id"] for _ in range(2) for r in replay_many(d, limit=5)["runs"]}
    d.kill()
    d.start()
    rest = replay_many(d)
    acknowledged |= {r["run_id"] for r in rest["runs"]}
    assert rest["replayed"] == 10 and len(acknowledged) == 20
    listed = d.all_runs(status="pending")
    assert {r["id"] for r in listed} == acknowledged and sorted(r["replay_of"] for r in listed) == sorted(runs)
    claim = d.post("/api/v1/runs/claim", {"pipelines": ["*"], "max": 100, "wait_seconds": 60}).expect(200).json()["runs"]
    assert {c["run_id"] for c in claim} == acknowledged and json.dumps(claim).count('"payload": null') == 20


# ---- pawl replay ----

def command(daemon, *args):
    return cli("replay", *args, "--server", daemon.url)


def test_command_by_id(daemon, flag):
    runs = die(daemon, needy(daemon, flag, "p"), 2)
    flag.touch()
    r = command(daemon, *runs)
    assert r.returncode == 0, r.stderr
    lines = [line.split() for line in r.stdout.splitlines()]
    assert [line[0] for line in lines] == runs and all(line[1:3] == ["replayed", "as"] for line in lines)
    for line in lines:
        assert daemon.wait_run(line[3], "success")["replay_of"] == line[0]
    unknown = str(uuid.uuid4())
    r = command(daemon, unknown, runs[0])
    assert r.returncode == 1 and "NOT_FOUND: there is no such run" in r.stderr
    assert r.stdout.startswith(runs[0])  # the others are replayed all the same


def test_command_by_filter(daemon, flag):
    a, b = needy(daemon, flag, "a"), needy(daemon, flag, "b")
    runs, others = die(daemon, a, 3), die(daemon, b, 1)
    flag.touch()
    r = command(daemon, "--pipeline", "default.bronze.a", "--since", "1h", "--dry-run")
    assert r.returncode == 0 and r.stdout.split() == runs and r.stderr == "3 would be replayed, 0 left\n"
    r = command(daemon, "--pipeline", "a", "--until", "1h")
    assert (r.returncode, r.stdout, r.stderr) == (0, "", "0 replayed, 0 left\n")
    r = command(daemon, "--pipeline", "a", "--limit", "2", "--original-version")
    assert r.returncode == 0 and r.stderr == "2 replayed, 1 left\n"
    assert [line.split()[0] for line in r.stdout.splitlines()] == runs[:2]
    r = command(daemon, "--all")
    assert r.returncode == 0 and r.stderr == "2 replayed, 0 left\n"
    assert [line.split()[0] for line in r.stdout.splitlines()] == [runs[2], *others]


@pytest.mark.parametrize("args,says", [
    ([], "which runs?"), (["x"], "'x' is not the id of a run"), ([str(uuid.UUID(int=1)), "--all"], "either runs are named"),
    (["--pipeline", "a.b"], "--pipeline: 'a.b'"), (["--pipeline", "a.b.c.d"], "--pipeline: "), (["--since", "dawn"], "--since: 'dawn'"),
    (["--all", "--limit", "0"], "--limit: "), (["--all", "--server", "nowhere"], "--server: ")])
def test_command_mistakes(args, says):
    r = cli("replay", *args)
    assert r.returncode == 2 and says in r.stderr and r.stdout == ""


def test_command_without_a_daemon():
    r = cli("replay", "--all", "--server", "http://127.0.0.1:1")
    assert r.returncode == 1 and "http://127.0.0.1:1" in r.stderr
