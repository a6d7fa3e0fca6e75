"""ArkEvents that fire when a team's run has ended."""
import pytest

from pawl import wait_until


def follows(team, phase=None):
    return {"type": "team-output", "teamOutput": {"name": team, **({"onPhase": phase} if phase else {})}}


def fired(daemon, event):
    return daemon.event(event)["status"].get("firedCount", 0)


def hold(daemon, *events):
    """Waits until what was caused so far is done, and says how often each has fired."""
    wait_until(lambda: all(r["status"] in ("success", "failed", "cancelled") for r in daemon.all_runs()), what="the runs")
    return [fired(daemon, e) for e in events]


def run_by_hand(daemon, team, namespace="ai"):
    body = {"namespace": namespace, "layer": "team", "pipeline": team, "input": {}}
    return daemon.post("/api/v1/runs", body).expect(202).json()["run_id"]


def test_phases(daemon):
    daemon.create_team("up", ["/bin/sh", "-c", 'case "$(cat)" in *fail*) exit 1;; *wait*) exec sleep 300;; esac'])
    daemon.create_team("down")
    by_default = daemon.create_event("by-default", "down", source=follows("up"))
    failed = daemon.create_event("failed", "down", source=follows("up", "Failed"))
    any_end = daemon.create_event("any", "down", source=follows("up", "*"))
    call = daemon.create_event("call", "up")
    daemon.fire_event(call, "fine", query="mode=sync").expect(200)
    assert hold(daemon, by_default, failed, any_end) == [1, 0, 1]
    daemon.fire_event(call, "fail", query="mode=sync").expect(500)
    assert hold(daemon, by_default, failed, any_end) == [1, 1, 2]
    run = daemon.fire_event(call, "wait").expect(202).json()["runs"][0]
    daemon.wait_run(run, "running")
    daemon.post(f"/api/v1/runs/{run}/cancel").expect(200)
    daemon.wait_run(run, "cancelled")
    assert hold(daemon, by_default, failed, any_end) == [1, 1, 3]


def test_an_attempt_that_is_repeated_is_no_end(daemon):
    daemon.create_team("up", ["/bin/false"], retry={"max_attempts": 3, "backoff_seconds": 0})
    daemon.create_team("down")
    e = daemon.create_event("e", "down", source=follows("up", "*"))
    daemon.wait_run(run_by_hand(daemon, "up"), "failed")
    assert hold(daemon, e) == [1]


def test_teams_of_other_namespaces_do_not_count(daemon):
    for ns in ("ai", "other"):
        daemon.create_team("up", namespace=ns)
        daemon.create_team("down", namespace=ns)
    mine = daemon.create_event("e", "down", source=follows("up"))
    others = daemon.create_event("e", "down", source=follows("up"), namespace="other")
    daemon.wait_run(run_by_hand(daemon, "up"), "success")
    assert hold(daemon, mine, others) == [1, 0]


def test_chain(daemon):
    """The output goes from one to the next."""
    daemon.create_team("first", ["/bin/echo", "alpha"])
    daemon.create_team("second", ["/bin/cat"])
    daemon.create_team("third", ["/bin/cat"])
    daemon.create_event("one", {"team": "second", "input": {"got": "<{{ .trigger.output }}>"}}, source=follows("first"))
    two = daemon.create_event("two", {"team": "third", "input": {"all": "{{ .trigger.output }}", "by": "{{ .trigger.name }}"}},
                              source=follows("second"))
    run_by_hand(daemon, "first")
    wait_until(lambda: fired(daemon, two) == 1, what="the last of the chain")
    hold(daemon)
    last = daemon.all_runs(pipeline="third")[0]
    got = daemon.run(last["id"])["output"]["payload"]
    assert got["by"] == "two" and '"got":"<alpha\\n>"' in got["all"]


@pytest.mark.parametrize("said,given", [('{"id": 12345678901234567890, "n": 1.10}', '{"id":12345678901234567890,"n":1.10}'), ('{"a":1,"a":2}', '{"a":1,"a":2}'),
                                        ('"a\\u0000b"', "a\0b"), ("1e400", "1e400"), ("null", "")])
def test_output_is_handed_on_as_it_was(daemon, tmp_path, said, given):
    (tmp_path / "said").write_text(said)
    daemon.create_team("first", ["/bin/cat", str(tmp_path / "said")])
    daemon.create_team("second", ["/bin/cat"])
    e = daemon.create_event("e", {"team": "second", "input": {"got": "{{ .trigger.output }}"}}, source=follows("first"))
    run_by_hand(daemon, "first")
    wait_until(lambda: fired(daemon, e) == 1, what="the firing")
    hold(daemon)
    assert daemon.run(daemon.all_runs(pipeline="second")[0]["id"])["input"] == {"got": given}


def test_a_chain_that_leads_back_ends(daemon):
    daemon.create_team("t")
    e = daemon.create_event("e", "t", source=follows("t", "*"))
    run_by_hand(daemon, "t")
    wait_until(lambda: fired(daemon, e) == 64, 30, what="the last firing")
    assert hold(daemon, e) == [64] and len(daemon.all_runs()) == 65


def test_a_team_that_is_deleted_fires_nothing(daemon):
    """Its runs end with it; the team that is made anew has the event's attention again."""
    p = daemon.create_team("up", executor={"type": "pull"})
    daemon.create_team("down")
    e = daemon.create_event("e", "down", source=follows("up", "*"))
    waiting, leased = run_by_hand(daemon, "up"), run_by_hand(daemon, "up")
    daemon.post("/api/v1/runs/claim", {"pipelines": ["ai.team.up"]}).expect(200)
    daemon.delete(daemon.pipeline_path(p)).expect(204)
    for run in (waiting, leased):
        daemon.wait_run(run, "cancelled")
    assert fired(daemon, e) == 0
    daemon.create_team("up")
    daemon.wait_run(run_by_hand(daemon, "up"), "success")
    assert hold(daemon, e) == [1]


def test_runs_that_are_replaced(daemon):
    """One that is being carried out ends cancelled and fires; one that waits never was anything."""
    daemon.create_team("up", ["/bin/sleep", "300"], concurrency={"max_runs": 1, "policy": "replace"})
    daemon.create_team("down")
    e = daemon.create_event("e", "down", source=follows("up", "*"))
    first = run_by_hand(daemon, "up")
    daemon.wait_run(first, "running")
    second = run_by_hand(daemon, "up")
    daemon.wait_run(first, "cancelled")
    daemon.wait_run(second, "running")
    wait_until(lambda: fired(daemon, e) == 1, what="the firing")
    daemon.post(f"/api/v1/runs/{second}/cancel").expect(200)
    assert hold(daemon, e) == [2]


def test_the_end_of_what_a_crash_cut_off_fires(daemon):
    """That is sorted out before anything else is done; what it fires is carried out all the same."""
    daemon.create_team("up", ["/bin/sleep", "300"])
    daemon.create_team("down")
    e = daemon.create_event("e", "down", source=follows("up", "Failed"))
    run = run_by_hand(daemon, "up")
    daemon.wait_run(run, "running")
    daemon.kill()
    daemon.start()
    daemon.wait_run(run, "failed")
    assert hold(daemon, e) == [1]
    daemon.wait_run(run_by_hand(daemon, "down"), "success")
    assert [r["status"] for r in daemon.all_runs(pipeline="down")] == ["success"] * 2


@pytest.mark.parametrize("kills", [6])
def test_each_end_fires_once_over_crashes(daemon, kills):
    """The end of a run and what it starts are one transaction."""
    daemon.create_team("up")
    for t in ("a", "b"):
        daemon.create_team(t)
    e = daemon.create_event("e", "a", "b", source=follows("up"))
    version = 0
    for _ in range(kills):
        for _ in range(8):
            run_by_hand(daemon, "up")
        daemon.kill()
        daemon.start()
        seen = int(daemon.event(e)["metadata"]["resourceVersion"])
        assert seen >= version
        version = seen
    daemon.wait_run(run_by_hand(daemon, "up"), "success")  # the kills may have hit all the others
    hold(daemon)
    ups = [r for r in daemon.all_runs(pipeline="up")]
    done = [r for r in ups if r["status"] == "success"]
    assert len(ups) == 8 * kills + 1 and fired(daemon, e) == len(done)
    assert len(daemon.all_runs(pipeline="a")) == len(daemon.all_runs(pipeline="b")) == len(done)
