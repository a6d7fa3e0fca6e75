"""The event log: what happened, and what each trigger made of it."""
import uuid

import pytest


@pytest.fixture
def trigger(daemon):
    return daemon.create_webhook_trigger(daemon.create_pipeline(), cooldown_seconds=3600)


def events(daemon, query=""):
    return daemon.get(f"/api/v1/event-log?{query}").expect(200).json()["events"]


def test_event_with_decision_and_run(daemon, trigger):
    run = daemon.fire_ok(trigger, b'{"n": 1}', headers={"Content-Type": "application/json"})
    [listed] = events(daemon)
    event = daemon.get(f"/api/v1/event-log/{listed['id']}").expect(200).json()
    assert event["id"] == daemon.run(run)["event_id"]
    assert event["source"] == "webhook" and event["type"] == "webhook"
    assert event["content_type"] == "application/json"
    assert event["payload"] == '{"n": 1}'
    assert event["time"].endswith("Z")
    [decision] = event["decisions"]
    assert decision["trigger_id"] == trigger["id"] and decision["decision"] == "fired" and decision["run_ids"] == [run]


def test_why_it_did_not_fire(daemon, trigger):
    daemon.fire_ok(trigger)
    daemon.fire(trigger).expect(429)
    verdicts = [d["decision"] for e in events(daemon) for d in e["decisions"]]
    assert verdicts == ["cooldown", "fired"]
    assert events(daemon)[0]["decisions"][0]["run_ids"] == []


def test_binary_payload(daemon, trigger):
    daemon.fire_ok(trigger, b"\xff\x00\x01")
    [listed] = events(daemon)
    event = daemon.get(f"/api/v1/event-log/{listed['id']}").expect(200).json()
    assert event["payload"] == "/wAB" and event["payload_encoding"] == "base64"


def test_filters(daemon, trigger):
    p = daemon.create_pipeline("other")
    other = daemon.create_webhook_trigger(p)
    daemon.fire_ok(trigger)
    daemon.fire_ok(other)
    daemon.post("/api/v1/runs", {"namespace": "default", "layer": "bronze", "pipeline": "other"}).expect(202)
    assert len(events(daemon)) == 3
    assert [e["source"] for e in events(daemon, "source=manual")] == ["manual"]
    assert len(events(daemon, "source=webhook")) == 2
    assert [e["decisions"][0]["trigger_id"] for e in events(daemon, f"trigger_id={other['id']}")] == [other["id"]]
    assert events(daemon, f"trigger_id={uuid.uuid4()}") == []
    assert len(events(daemon, "since=2001-01-01T00:00:00Z")) == 3
    assert events(daemon, "since=2999-01-01T00:00:00Z") == []


def test_newest_first_and_paged(daemon):
    t = daemon.create_webhook_trigger(daemon.create_pipeline())
    made = [daemon.run(daemon.fire_ok(t))["event_id"] for _ in range(7)]
    page = daemon.get("/api/v1/event-log?limit=3").expect(200).json()
    assert page["total"] == 7 and [e["id"] for e in page["events"]] == made[::-1][:3]
    rest = daemon.get(f"/api/v1/event-log?limit=10&cursor={page['next_cursor']}").expect(200).json()
    assert [e["id"] for e in rest["events"]] == made[::-1][3:]


@pytest.mark.parametrize("query", ["trigger_id=x", "since=now", "limit=0", "cursor=x", "offset=x"])
def test_bad_filters_are_400(daemon, query):
    assert daemon.get(f"/api/v1/event-log?{query}").expect(400).message.startswith(query.split("=")[0] + ": ")


def test_unknown_event_is_404(daemon):
    for unknown in (uuid.uuid4(), "x"):
        assert daemon.get(f"/api/v1/event-log/{unknown}").expect(404).error == "NOT_FOUND"
