"""pipeline_success: a pipeline that runs when another one has succeeded. Every example and error of the Triggers API for that type."""
import json

import pytest

from pawl import wait_until

TRIGGERS = "/api/v1/pipelines/default/silver/orders/triggers"

# As it stands in the Triggers API.
EXAMPLE = """{
  "type": "pipeline_success",
  "config": {
    "namespace": "default",
    "layer": "bronze",
    "pipeline": "raw_orders"
  }
}"""
CONFIG = {"namespace": "default", "layer": "bronze", "pipeline": "raw_orders"}


@pytest.fixture
def raw(daemon):
    """The upstream pipeline of the example: says what it was called with."""
    return daemon.create_pipeline("raw_orders", argv=["/bin/cat"])


@pytest.fixture
def orders(daemon):
    return daemon.create_pipeline("orders", layer="silver", argv=["/bin/cat"])


def run_by_hand(daemon, name, **fields):
    body = {"namespace": "default", "layer": "bronze", "pipeline": name, **fields}
    return daemon.post("/api/v1/runs", body).expect(202).json()["run_id"]


def test_example_as_written(daemon, raw, orders):
    t = daemon.post(TRIGGERS, EXAMPLE).expect(201).json()
    assert t["type"] == "pipeline_success" and t["config"] == CONFIG
    assert set(t) == {"id", "pipeline_id", "type", "config", "enabled", "cooldown_seconds", "created_at", "updated_at"}
    upstream = run_by_hand(daemon, "raw_orders", input={"n": 1})
    [run] = daemon.wait_runs(t, status="success")
    assert run["trigger"] == "trigger:pipeline_success:default.bronze.raw_orders"
    event = daemon.get(f"/api/v1/event-log/{run['event_id']}").expect(200).json()
    assert event["source"] == "completion" and event["type"] == "run.success"
    assert event["subject"] == "default.bronze.raw_orders"
    assert event["lineage"] == {"root_event_id": daemon.run(upstream)["event_id"], "depth": 1}
    assert [d["decision"] for d in event["decisions"]] == ["fired"]
    payload = json.loads(event["payload"])
    assert (payload["run_id"], payload["pipeline"], payload["status"]) == (upstream, "default.bronze.raw_orders", "success")
    shown = daemon.get(f"{TRIGGERS}/{t['id']}").expect(200).json()
    assert shown["last_run_id"] == run["id"] and shown["last_triggered_at"]


def test_success_before_creation_does_not_count(daemon, raw, orders):
    daemon.wait_run(run_by_hand(daemon, "raw_orders"), "success")
    t = daemon.post(TRIGGERS, EXAMPLE).expect(201).json()
    second = run_by_hand(daemon, "raw_orders")
    daemon.wait_run(second, "success")
    [run] = daemon.wait_runs(t, status="success")
    assert json.loads(daemon.get(f"/api/v1/event-log/{run['event_id']}").json()["payload"])["run_id"] == second


def test_failure_does_not_fire(daemon, orders):
    bad = daemon.create_pipeline("raw_orders", argv=["/bin/false"])
    t = daemon.post(TRIGGERS, EXAMPLE).expect(201).json()
    daemon.wait_run(run_by_hand(daemon, "raw_orders"), "failed")
    daemon.put(daemon.pipeline_path(bad), {"executor": {"type": "command", "argv": ["/bin/true"]}}).expect(200)
    good = run_by_hand(daemon, "raw_orders")
    runs = daemon.wait_runs(t)
    assert [json.loads(daemon.get(f"/api/v1/event-log/{r['event_id']}").json()["payload"])["run_id"] for r in runs] == [good]


def test_chain_hands_output_on(daemon):
    """Each link is called with what the one before it said, and knows where the chain began."""
    pipelines = [daemon.create_pipeline(f"link{i}", argv=["/bin/cat"]) for i in range(4)]
    triggers = [daemon.create_trigger(p, "pipeline_success", {**CONFIG, "pipeline": f"link{i}"}) for i, p in enumerate(pipelines[1:])]
    first = run_by_hand(daemon, "link0", input={"word": "pawl"})
    root = daemon.run(first)["event_id"]
    for depth, t in enumerate(triggers, 1):
        [run] = daemon.wait_runs(t, status="success")
        event = daemon.get(f"/api/v1/event-log/{run['event_id']}").expect(200).json()
        assert event["lineage"] == {"root_event_id": root, "depth": depth}
    assert '"word":"pawl"' in json.dumps(daemon.run(run["id"])["output"], separators=(",", ":"))


def test_fan_out(daemon, raw):
    followers = [daemon.create_pipeline(f"follower{i}") for i in range(10)]
    triggers = [daemon.create_trigger(p, "pipeline_success", CONFIG) for p in followers]
    run_by_hand(daemon, "raw_orders")
    events = {daemon.wait_runs(t)[0]["event_id"] for t in triggers}
    assert len(events) == 1
    event = daemon.get(f"/api/v1/event-log/{events.pop()}").expect(200).json()
    assert [d["trigger_id"] for d in event["decisions"]] == [t["id"] for t in triggers]
    assert len(event["run_ids"]) == 10


def test_survives_restart(daemon, raw, orders):
    t = daemon.post(TRIGGERS, EXAMPLE).expect(201).json()
    daemon.restart()
    run_by_hand(daemon, "raw_orders")
    daemon.wait_runs(t)


# ---- what is refused ----


@pytest.mark.parametrize("config, message", [
    ({}, "config.namespace: is required"),
    ({"namespace": "default", "layer": "bronze"}, "config.pipeline: is required"),
    ({**CONFIG, "pipeline": 1}, "config.pipeline: must be a string"),
    ({**CONFIG, "layer": "No Slug"}, "config.layer: must be 1 to 63 of"),
    ({**CONFIG, "namespace": "../x"}, "config.namespace: must be 1 to 63 of"),
    ({**CONFIG, "bogus": 1}, "config.bogus: is not a known field"),
    ({**CONFIG, "cooldown_mode": "later"}, "config.cooldown_mode: 'later' is neither drop nor trailing"),
    ({**CONFIG, "allow_cycle": "yes"}, "config.allow_cycle: must be true or false"),
])
def test_bad_configs(daemon, raw, orders, config, message):
    r = daemon.post(TRIGGERS, {"type": "pipeline_success", "config": config}).expect(400)
    assert r.error == "INVALID_ARGUMENT" and r.message.startswith(message)
    assert daemon.get(TRIGGERS).json()["total"] == 0


def test_unknown_pipeline_in_path(daemon, raw):
    assert daemon.post(TRIGGERS, EXAMPLE).expect(404).error == "NOT_FOUND"


def test_unknown_upstream(daemon, orders):
    r = daemon.post(TRIGGERS, EXAMPLE).expect(404)
    assert r.error == "NOT_FOUND" and r.message == "config: there is no pipeline default.bronze.raw_orders"
    assert daemon.get(TRIGGERS).json()["total"] == 0


def test_put_checks_like_post(daemon, raw, orders):
    t = daemon.post(TRIGGERS, EXAMPLE).expect(201).json()
    one = f"{TRIGGERS}/{t['id']}"
    r = daemon.put(one, {"config": {**CONFIG, "pipeline": "gone"}, "cooldown_seconds": 9}).expect(404)
    assert r.message == "config: there is no pipeline default.bronze.gone"
    daemon.put(one, {"config": {**CONFIG, "bogus": 1}}).expect(400)
    daemon.put(one, {"type": "cron"}).expect(400)
    shown = daemon.get(one).json()
    assert shown["config"] == CONFIG and shown["cooldown_seconds"] == 0
    other = daemon.create_pipeline("other")
    changed = daemon.put(one, {"config": {**CONFIG, "pipeline": "other"}}).expect(200).json()
    assert changed["config"]["pipeline"] == "other"
    run_by_hand(daemon, "raw_orders")
    run = run_by_hand(daemon, other["name"])
    [made] = daemon.wait_runs(t)
    assert json.loads(daemon.get(f"/api/v1/event-log/{made['event_id']}").json()["payload"])["run_id"] == run


# ---- cycles ----


def follow(daemon, name, upstream, **config):
    body = {"type": "pipeline_success", "config": {**CONFIG, "pipeline": upstream, **config}}
    return daemon.post(f"/api/v1/pipelines/default/bronze/{name}/triggers", body)


def test_cycles_are_spelled_out(daemon):
    for name in "abc":
        daemon.create_pipeline(name)
    assert "default.bronze.a -> default.bronze.a" in follow(daemon, "a", "a").expect(400).message
    follow(daemon, "b", "a").expect(201)
    follow(daemon, "c", "b").expect(201)
    r = follow(daemon, "a", "c").expect(400)
    assert r.error == "INVALID_ARGUMENT"
    assert "default.bronze.a -> default.bronze.b -> default.bronze.c -> default.bronze.a" in r.message
    assert "allow_cycle" in r.message


def test_cycle_by_put(daemon):
    for name in "abc":
        daemon.create_pipeline(name)
    follow(daemon, "b", "a").expect(201)
    t = follow(daemon, "a", "c").expect(201).json()
    one = f"/api/v1/pipelines/default/bronze/a/triggers/{t['id']}"
    r = daemon.put(one, {"config": {**CONFIG, "pipeline": "b"}}).expect(400)
    assert "default.bronze.a -> default.bronze.b -> default.bronze.a" in r.message
    assert daemon.get(one).json()["config"]["pipeline"] == "c"


def test_allowed_cycle_ends_by_depth(daemon):
    daemon.create_pipeline("a")
    t = follow(daemon, "a", "a", allow_cycle=True).expect(201).json()
    run_by_hand(daemon, "a")

    def last():
        event = daemon.get("/api/v1/event-log?source=completion&limit=1").expect(200).json()["events"]
        return event and event[0]["decisions"][0]["decision"] != "fired" and event[0]

    event = wait_until(last, 60, "the chain to end")
    assert event["lineage"]["depth"] == 65
    assert [(d["trigger_id"], d["decision"]) for d in event["decisions"]] == [(t["id"], "depth")]
    assert len(daemon.all_runs(trigger_id=t["id"])) == 64


def test_cooldowns_do_not_begin_a_chain_anew(daemon):
    """What makes up for events that were held back is as far from the beginning as they were, also after a restart."""
    daemon.create_pipeline("a")
    t = follow(daemon, "a", "a", allow_cycle=True, cooldown_mode="trailing").expect(201).json()
    one = f"/api/v1/pipelines/default/bronze/a/triggers/{t['id']}"
    daemon.put(one, {"cooldown_seconds": 3600}).expect(200)
    run_by_hand(daemon, "a")

    def held():
        seen = daemon.get(one + "/decisions").expect(200).json()["decisions"]
        return len(seen) == 2 and seen[0]

    event = daemon.get("/api/v1/event-log/" + wait_until(held, what="a completion that is held back")["event_id"]).json()
    assert event["lineage"]["depth"] == 2
    daemon.kill()
    daemon.start()
    daemon.put(one, {"cooldown_seconds": 1}).expect(200)

    def ended():
        events = daemon.get("/api/v1/event-log?source=cooldown").expect(200).json()["events"]
        return events and events[-1]

    assert wait_until(ended, what="the end of the cooldown")["lineage"] == event["lineage"]


def test_a_cycle_can_still_be_switched_off(daemon):
    """A change that leaves the config alone is not asked about cycles."""
    for name in "ab":
        daemon.create_pipeline(name)
    t = follow(daemon, "b", "a").expect(201).json()
    follow(daemon, "a", "b", allow_cycle=True).expect(201)
    one = f"/api/v1/pipelines/default/bronze/b/triggers/{t['id']}"
    assert daemon.put(one, {"enabled": False}).expect(200).json()["enabled"] is False


def test_what_was_read_can_be_written_back(daemon):
    """Also when it would be refused by now: a config that is the same is not a new one."""
    paths = [daemon.pipeline_path(daemon.create_pipeline(name)) for name in "ab"]
    t = follow(daemon, "b", "a").expect(201).json()
    one = f"{paths[1]}/triggers/{t['id']}"
    follow(daemon, "a", "b", allow_cycle=True).expect(201)
    assert daemon.put(one, {**daemon.get(one).json(), "enabled": False}).expect(200).json()["enabled"] is False
    daemon.delete(f"{paths[0]}?force=true").expect(204)
    assert daemon.put(one, {**daemon.get(one).json(), "enabled": True}).expect(200).json()["enabled"] is True
    daemon.put(one, {"config": {**t["config"], "cooldown_mode": "trailing"}}).expect(404)


# ---- deleting what is followed ----


def test_followed_pipeline_is_not_deleted(daemon, raw, orders):
    t = daemon.post(TRIGGERS, EXAMPLE).expect(201).json()
    path = daemon.pipeline_path(raw)
    r = daemon.delete(path).expect(409)
    assert r.error == "FAILED_PRECONDITION" and "default.silver.orders" in r.message and t["id"] in r.message
    daemon.delete(f"{path}?force=false").expect(409)
    daemon.delete(f"{path}?force=maybe").expect(400)
    daemon.get(path).expect(200)
    daemon.delete(f"{path}?force=true").expect(204)
    assert daemon.get(f"{TRIGGERS}/{t['id']}").expect(200).json()["config"] == CONFIG


def test_forced_deletion_and_a_new_one_by_the_same_name(daemon, raw, orders):
    t = daemon.post(TRIGGERS, EXAMPLE).expect(201).json()
    daemon.delete(daemon.pipeline_path(raw) + "?force=true").expect(204)
    daemon.create_pipeline("raw_orders")
    run_by_hand(daemon, "raw_orders")
    daemon.wait_runs(t)


def test_own_trigger_does_not_hold_a_pipeline(daemon):
    p = daemon.create_pipeline("a")
    follow(daemon, "a", "a", allow_cycle=True).expect(201)
    daemon.delete(daemon.pipeline_path(p)).expect(204)


def test_deleted_follower_lets_go(daemon, raw, orders):
    t = daemon.post(TRIGGERS, EXAMPLE).expect(201).json()
    daemon.delete(f"{TRIGGERS}/{t['id']}").expect(204)
    daemon.delete(daemon.pipeline_path(raw)).expect(204)


def test_dependency_holds_a_pipeline(daemon, raw, orders):
    daemon.create_trigger(orders, "cron_dependency", {"cron_expr": "0 0 1 1 *", "dependencies": ["default.bronze.raw_orders"]})
    assert "default.silver.orders" in daemon.delete(daemon.pipeline_path(raw)).expect(409).message
