"""Why a trigger fired or did not: its decisions, and the event log."""
import uuid

import pytest

from pawl import wait_until


@pytest.fixture
def pipeline(daemon):
    return daemon.create_pipeline("orders", layer="silver")


def path(trigger):
    return f"/api/v1/pipelines/default/silver/orders/triggers/{trigger['id']}/decisions"


def decisions(daemon, trigger, query=""):
    return daemon.get(f"{path(trigger)}?{query}").expect(200).json()


def test_newest_first_with_everything(daemon, pipeline):
    t = daemon.create_webhook_trigger(pipeline, cooldown_seconds=3600)
    run = daemon.fire_ok(t)
    daemon.fire(t).expect(429)
    shown = decisions(daemon, t)
    assert set(shown) == {"decisions", "next_cursor"} and shown["next_cursor"] is None
    held, fired = shown["decisions"]
    assert set(held) == set(fired) == {"event_id", "time", "source", "type", "decision", "detail", "run_ids"}
    assert (held["decision"], held["run_ids"], held["source"], held["type"]) == ("cooldown", [], "webhook", "webhook")
    assert (fired["decision"], fired["run_ids"], fired["detail"]) == ("fired", [run], None)
    assert fired["event_id"] == daemon.run(run)["event_id"]
    event = daemon.get(f"/api/v1/event-log/{fired['event_id']}").expect(200).json()
    assert event["time"] == fired["time"] and event["decisions"][0]["run_ids"] == [run]


def test_other_triggers_are_left_out(daemon, pipeline):
    mine, other = daemon.create_webhook_trigger(pipeline), daemon.create_webhook_trigger(pipeline)
    for _ in range(3):
        daemon.fire_ok(other)
    run = daemon.fire_ok(mine)
    assert [d["run_ids"] for d in decisions(daemon, mine)["decisions"]] == [[run]]
    assert len(decisions(daemon, other)["decisions"]) == 3


def test_pages(daemon, pipeline):
    t = daemon.create_webhook_trigger(pipeline)
    runs = [daemon.fire_ok(t) for _ in range(7)][::-1]
    seen, cursor, pages = [], None, 0
    while cursor or not pages:
        page = decisions(daemon, t, "limit=3" + (f"&cursor={cursor}" if cursor else ""))
        seen += [d["run_ids"][0] for d in page["decisions"]]
        cursor, pages = page["next_cursor"], pages + 1
    assert seen == runs and pages == 3
    assert [d["run_ids"][0] for d in decisions(daemon, t, "offset=2&limit=2")["decisions"]] == runs[2:4]


def test_each_reason(daemon, pipeline):
    daemon.create_pipeline("raw")
    disabled = daemon.create_webhook_trigger(pipeline, enabled=False)
    daemon.fire(disabled).expect(409)
    assert decisions(daemon, disabled)["decisions"][0]["decision"] == "disabled"
    repeated = daemon.create_webhook_trigger(pipeline)
    for _ in range(2):
        daemon.fire_ok(repeated, headers={"Idempotency-Key": "k"})
    assert [d["decision"] for d in decisions(daemon, repeated)["decisions"]] == ["duplicate", "fired"]
    waiting = daemon.create_trigger(pipeline, "cron_dependency", {"cron_expr": "* * * * * *", "dependencies": ["default.bronze.raw"]})
    unmet = wait_until(lambda: decisions(daemon, waiting)["decisions"], 10, "a due time")[0]
    assert unmet["decision"] == "deps_unmet" and unmet["source"] == "cron" and unmet["type"] == "cron.tick"
    assert unmet["detail"] == "no success since the last firing: default.bronze.raw"
    [shown] = daemon.get(f"/api/v1/event-log/{unmet['event_id']}").expect(200).json()["decisions"]
    assert shown == {"trigger_id": waiting["id"], "decision": "deps_unmet", "detail": unmet["detail"], "run_ids": []}


def test_survives_restart(daemon, pipeline):
    t = daemon.create_webhook_trigger(pipeline, cooldown_seconds=3600)
    daemon.fire_ok(t)
    daemon.kill()
    daemon.start()
    daemon.fire(t).expect(429)
    assert [d["decision"] for d in decisions(daemon, t)["decisions"]] == ["cooldown", "fired"]


def test_what_is_not_there(daemon, pipeline):
    t = daemon.create_webhook_trigger(pipeline)
    assert decisions(daemon, t) == {"decisions": [], "next_cursor": None}
    for unknown in (str(uuid.uuid4()), "x"):
        assert daemon.get(path({"id": unknown})).expect(404).error == "NOT_FOUND"
    daemon.create_pipeline("orders", layer="gold")
    assert daemon.get(path(t).replace("silver", "gold")).expect(404).error == "NOT_FOUND"
    for query in ("limit=0", "limit=x", "cursor=x", "offset=-1"):
        assert daemon.get(f"{path(t)}?{query}").expect(400).message.startswith(query.split("=")[0] + ": ")
