"""Triggers of the types landing_zone_upload and file_pattern: the examples of the Triggers API as they stand there, and cooldown."""
import json
import os
import re

import pytest

from pawl import wait_until

TRIGGERS = "/api/v1/pipelines/default/silver/orders/triggers"


@pytest.fixture
def zone(daemon):
    return daemon.create_zone("raw-uploads")


@pytest.fixture
def orders(daemon):
    return daemon.create_pipeline("orders", ["/bin/cat"], layer="silver")


def drop(zone, name, content="x"):
    """As another program would: written under a name that is excluded, then renamed."""
    with open(f"{zone['path']}/.{name}", "w", encoding="utf-8") as f:
        f.write(content)
    os.rename(f"{zone['path']}/.{name}", f"{zone['path']}/{name}")


def wait_runs(daemon, n):
    wait_until(lambda: len(daemon.all_runs()) >= n, what=f"{n} runs")
    runs = daemon.all_runs()
    assert len(runs) == n
    return [daemon.wait_run(r["id"], "success") for r in reversed(runs)]


def document(run):
    return run["output"]


def names(run):
    return [f["filename"] for f in document(run)["files"]]


# ---- the examples ----

def test_create_landing_zone_upload_as_documented(daemon, zone, orders):
    r = daemon.post(TRIGGERS, """{
    "type": "landing_zone_upload",
    "config": {
      "namespace": "default",
      "zone_name": "raw-uploads"
    },
    "enabled": true,
    "cooldown_seconds": 60
  }""").expect(201)
    t = r.json()
    assert set(t) == {"id", "pipeline_id", "type", "config", "enabled", "cooldown_seconds", "created_at", "updated_at"}
    assert t["pipeline_id"] == orders["id"] and t["type"] == "landing_zone_upload"
    assert t["config"] == {"namespace": "default", "zone_name": "raw-uploads"}
    assert t["enabled"] is True and t["cooldown_seconds"] == 60

    daemon.upload(zone, "orders.csv", b"1,2").expect(201)
    run, = wait_runs(daemon, 1)
    listed = daemon.get(TRIGGERS).expect(200).json()
    assert listed["total"] == 1
    shown, = listed["triggers"]
    assert set(shown) == set(t) | {"last_triggered_at", "last_run_id", "paused"}
    assert shown["last_run_id"] == run["id"] and shown["last_triggered_at"] is not None
    assert daemon.get(f"{TRIGGERS}/{t['id']}").expect(200).json() == shown
    assert run["trigger_id"] == t["id"] and run["trigger"] == "trigger:landing_zone_upload:default.raw-uploads"


@pytest.mark.parametrize("text", ["""{
  "type": "landing_zone_upload",
  "config": {
    "namespace": "default",
    "zone_name": "raw-uploads"
  }
}""", """{
  "type": "file_pattern",
  "config": {
    "namespace": "default",
    "zone_name": "raw-uploads",
    "pattern": "*.csv"
  }
}"""])
def test_the_short_examples(daemon, zone, orders, text):
    t = daemon.post(TRIGGERS, text).expect(201).json()
    assert t["config"] == json.loads(text)["config"] and t["cooldown_seconds"] == 0 and t["enabled"] is True
    drop(zone, "orders.csv")
    run, = wait_runs(daemon, 1)
    assert document(run)["trigger"] == {"id": t["id"], "type": t["type"]}
    daemon.restart()
    drop(zone, "more.csv")
    wait_runs(daemon, 2)


def test_update_as_documented(daemon, zone, orders):
    t = daemon.create_file_trigger(orders, zone)
    body = """{
    "config": { "namespace": "default", "zone_name": "new-zone" },
    "enabled": false,
    "cooldown_seconds": 120
  }"""
    r = daemon.put(f"{TRIGGERS}/{t['id']}", body).expect(404)
    assert r.error == "NOT_FOUND" and "new-zone" in r.message
    assert daemon.get(f"{TRIGGERS}/{t['id']}").json()["config"]["zone_name"] == "raw-uploads"
    new = daemon.create_zone("new-zone")
    changed = daemon.put(f"{TRIGGERS}/{t['id']}", body).expect(200).json()
    assert changed["config"] == {"namespace": "default", "zone_name": "new-zone"}
    assert changed["enabled"] is False and changed["cooldown_seconds"] == 120 and changed["updated_at"] >= t["updated_at"]
    drop(zone, "a")
    drop(new, "b")
    daemon.wait_files(zone, "a")
    daemon.wait_files(new, "b")
    events = daemon.get("/api/v1/event-log").json()["events"]
    decisions = {e["subject"]: [d["decision"] for d in e["decisions"]] for e in events}
    assert decisions == {"a": [], "b": ["disabled"]}
    assert daemon.all_runs() == []
    daemon.delete(f"{TRIGGERS}/{t['id']}").expect(204)
    daemon.delete(daemon.zone_path(new)).expect(204)


def test_cooldown_as_documented(daemon, zone, orders):
    """The seed's three uploads, with a shorter cooldown: fires, is ignored, fires; the second is not forgotten."""
    t = daemon.create_file_trigger(orders, zone, cooldown_seconds=3600)
    daemon.upload(zone, "first").expect(201)
    daemon.upload(zone, "second").expect(201)
    first, = wait_runs(daemon, 1)
    assert names(first) == ["first"]
    at = first["created_at"]
    daemon.put(f"{TRIGGERS}/{t['id']}", {"cooldown_seconds": 1}).expect(200)  # since the firing
    wait_until(lambda: daemon.upload(zone, "x.probe").expect(201) and len(daemon.all_runs()) == 2, what="the end of the cooldown", every=0.2)
    run = wait_runs(daemon, 2)[1]
    assert run["created_at"] > at
    assert names(run)[0] == "second" and set(names(run)[1:]) == {"x.probe"}
    assert document(run)["payload"] == document(run)["files"][-1]


@pytest.mark.parametrize("config,status,part", [
    ({}, 400, "config.namespace: is required"),
    ({"namespace": "default"}, 400, "config.zone_name: is required"),
    ({"namespace": "default", "zone_name": "none"}, 404, "none"),
    ({"namespace": "other", "zone_name": "raw-uploads"}, 404, "other"),
    ({"namespace": "default", "zone_name": "Raw"}, 400, "config.zone_name: must be"),
    ({"namespace": 1, "zone_name": "raw-uploads"}, 400, "config.namespace"),
    ({"namespace": "default", "zone_name": "raw-uploads", "bogus": 1}, 400, "config.bogus: is not a known field"),
])
def test_bad_configs(daemon, zone, orders, config, status, part):
    for kind in ("landing_zone_upload", "file_pattern"):
        r = daemon.post(TRIGGERS, {"type": kind, "config": {**config, **({"pattern": "*"} if kind == "file_pattern" else {})}}).expect(status)
        assert r.error == ("NOT_FOUND" if status == 404 else "INVALID_ARGUMENT") and part in r.message
    assert daemon.get(TRIGGERS).json()["total"] == 0


@pytest.mark.parametrize("pattern,part", [
    ("", "must not be empty"),
    ("[a-z", "at column 1: the [ is never closed"),
    ("a[", "at column 2: the [ is never closed"),
    ("[!]", "at column 1: the [ is never closed"),
    ("x\\", "at column 2: the \\ is followed by nothing"),
    ("[z-a].csv", "at column 2: the range z-a runs backwards"),
    ("*[[:foo:]]", "at column 3: there is no such class"),
    ("**/**/**/**/**", "at column 13: there are more than 4 **"),
    ("a" * 256, "must be at most 255 bytes long"),
    (7, "must be a string"),
    (None, "is required"),
])
def test_bad_patterns(daemon, zone, orders, pattern, part):
    config = {"namespace": "default", "zone_name": "raw-uploads", "pattern": pattern}
    assert "config.pattern: " + part in daemon.post(TRIGGERS, {"type": "file_pattern", "config": config}).expect(400).message
    config["pattern"] = "*"
    t = daemon.post(TRIGGERS, {"type": "file_pattern", "config": config}).expect(201).json()
    daemon.put(f"{TRIGGERS}/{t['id']}", {"config": {**config, "pattern": pattern}}).expect(400)
    assert daemon.get(f"{TRIGGERS}/{t['id']}").json()["config"]["pattern"] == "*"
    upload = {"type": "landing_zone_upload", "config": {**config, "pattern": "*"}}
    assert "config.pattern" in daemon.post(TRIGGERS, upload).expect(400).message


# ---- matching ----

@pytest.mark.parametrize("pattern,matching,others", [
    ("*.csv", ["a.csv", "sub/b.csv"], ["a.csv.txt", "a.CSV", "csv"]),
    ("orders_*.json", ["orders_1.json", "orders_.json"], ["orders.json", "my_orders_1.json"]),
    ("[0-9][0-9].txt", ["42.txt"], ["4.txt", "421.txt"]),
    ("sub/*.csv", ["sub/a.csv"], ["a.csv", "sub/sub/a.csv"]),
    ("**/x", ["x", "sub/x", "sub/sub/x"], ["sub/y", "xx"]),
    ("with space*", ["with space and more"], ["without"]),
])
def test_patterns(daemon, orders, tmp_path, pattern, matching, others):
    d = tmp_path / "in"
    (d / "sub" / "sub").mkdir(parents=True)
    zone = daemon.create_zone(path=str(d), recursive=True)
    daemon.create_file_trigger(orders, zone, pattern)
    for name in matching + others:
        (d / name).write_text("x")
    daemon.wait_files(zone, *matching, *others)
    decisions = {}
    for e in daemon.get("/api/v1/event-log?limit=200").json()["events"]:
        decisions[e["subject"]] = e["decisions"][0]["decision"]
    assert decisions == {**{n: "fired" for n in matching}, **{n: "no_match" for n in others}}


def test_uploads_match_by_the_name_their_sender_gave(daemon, zone, orders):
    daemon.create_file_trigger(orders, zone, "orders_*.json")
    f = daemon.upload(zone, "orders_1.json", b"{}", "application/json").expect(201).json()
    daemon.upload(zone, "other.json").expect(201)
    run, = wait_runs(daemon, 1)
    payload = document(run)["payload"]
    assert payload["filename"] == "orders_1.json" and payload["path"] == f["path"] and payload["content_type"] == "application/json"
    assert payload["uploaded_at"] == f["uploaded_at"] and payload["size_bytes"] == 2
    assert document(run)["files"] == [payload]


def test_a_trigger_sees_only_what_comes_after_it(daemon, zone, orders):
    drop(zone, "before")
    daemon.wait_files(zone, "before")
    daemon.create_file_trigger(orders, zone)
    daemon.restart()
    drop(zone, "after")
    run, = wait_runs(daemon, 1)
    assert names(run) == ["after"]


def test_several_triggers_on_one_zone(daemon, zone, orders):
    other = daemon.create_pipeline("other", ["/bin/cat"])
    daemon.create_file_trigger(orders, zone, "*.csv")
    daemon.create_file_trigger(other, zone)
    drop(zone, "a.csv")
    wait_runs(daemon, 2)
    drop(zone, "b.txt")
    wait_runs(daemon, 3)


def test_a_zone_in_use_is_kept(daemon, zone, orders):
    t = daemon.create_file_trigger(orders, zone)
    r = daemon.delete(daemon.zone_path(zone)).expect(409)
    assert r.error == "FAILED_PRECONDITION" and t["id"] in r.message
    daemon.delete(daemon.zone_path(zone) + "?force=maybe").expect(400)
    daemon.delete(daemon.zone_path(zone) + "?force=true").expect(204)
    assert daemon.get(f"{TRIGGERS}/{t['id']}").expect(200).json()["config"]["zone_name"] == "raw-uploads"
    daemon.put(f"{TRIGGERS}/{t['id']}", {"cooldown_seconds": 5}).expect(200)  # what it names may come back
    drop(daemon.create_zone("raw-uploads"), "a")
    wait_runs(daemon, 1)


def test_a_long_zone_name_is_not_mistaken_for_another(daemon, orders):
    a, b = (daemon.create_zone("z" * 62 + c, namespace="n" * 63) for c in "ab")
    daemon.create_file_trigger(orders, a)
    drop(b, "b")
    daemon.wait_files(b, "b")
    drop(a, "a")
    run, = wait_runs(daemon, 1)
    assert names(run) == ["a"]


# ---- what a cooldown holds back ----

def test_held_back_files_survive_a_restart(daemon, zone, orders):
    t = daemon.create_file_trigger(orders, zone, "*.csv", cooldown_seconds=3600)
    drop(zone, "a.csv")
    wait_runs(daemon, 1)
    for name in ("b.csv", "c.txt", "d.csv"):
        drop(zone, name)
    daemon.wait_files(zone, "a.csv", "b.csv", "c.txt", "d.csv")
    daemon.kill()
    daemon.start()
    daemon.put(f"{TRIGGERS}/{t['id']}", {"cooldown_seconds": 0}).expect(200)
    drop(zone, "e.csv")
    run = wait_runs(daemon, 2)[1]
    assert sorted(names(run)) == ["b.csv", "d.csv", "e.csv"] and names(run)[-1] == "e.csv"
    drop(zone, "f.csv")
    assert names(wait_runs(daemon, 3)[2]) == ["f.csv"]


def test_trailing_does_not_wait_for_the_next_file(daemon, zone, orders):
    config = {"namespace": "default", "zone_name": "raw-uploads", "cooldown_mode": "trailing"}
    body = {"type": "landing_zone_upload", "config": config, "cooldown_seconds": 3600}
    t = daemon.post(TRIGGERS, body).expect(201).json()
    assert t["config"] == config
    for name in ("first", "second", "third"):
        daemon.upload(zone, name).expect(201)
    daemon.put(f"{TRIGGERS}/{t['id']}", {"cooldown_seconds": 1}).expect(200)  # since the firing
    first, trailing = wait_runs(daemon, 2)
    assert names(first) == ["first"] and names(trailing) == ["second", "third"]
    event = daemon.get(f"/api/v1/event-log/{trailing['event_id']}").expect(200).json()
    assert event["type"] == "cooldown.ended" and json.loads(event["payload"])["held"] == 2


def test_a_waiting_run_has_its_file(daemon, zone):
    """Of a pipeline that runs one at a time the second run is read back from the queue."""
    pipeline = daemon.create_pipeline("one", ["/bin/cat"], concurrency=1)
    daemon.create_file_trigger(pipeline, zone)
    for i in range(5):
        drop(zone, f"f{i}")
    assert sorted(names(r)[0] for r in wait_runs(daemon, 5)) == [f"f{i}" for i in range(5)]


def test_very_many_held_back_files_are_cut(daemon, zone):
    pipeline = daemon.create_pipeline("count", ["/usr/bin/python3", "-c", "import json, sys; d = json.load(sys.stdin); "
                                                "print(len(d['files']), d.get('files_truncated'))"])
    t = daemon.create_file_trigger(pipeline, zone, cooldown_seconds=3600)
    drop(zone, "first")
    wait_runs(daemon, 1)
    for i in range(10005):
        os.close(os.open(f"{zone['path']}/.s", os.O_CREAT | os.O_WRONLY))
        os.rename(f"{zone['path']}/.s", f"{zone['path']}/f{i}")
    wait_until(lambda: daemon.zone(zone)["file_count"] == 10006, 60, "all files")
    daemon.put(f"{daemon.pipeline_path(pipeline)}/triggers/{t['id']}", {"cooldown_seconds": 0}).expect(200)
    drop(zone, "last")
    assert wait_runs(daemon, 2)[1]["output"] == "10000 True\n"


def test_the_events_of_files_can_be_explained(daemon, zone, orders):
    t = daemon.create_file_trigger(orders, zone, "*.csv", cooldown_seconds=3600)
    for name in ("a.csv", "b.csv", "c.txt"):
        drop(zone, name)
        wait_until(lambda: name.encode() in daemon.file_events(zone), what=name)
    events = {e["subject"]: e for e in daemon.get(f"/api/v1/event-log?source=zone&trigger_id={t['id']}").json()["events"]}
    assert [events[n]["decisions"][0]["decision"] for n in ("a.csv", "b.csv", "c.txt")] == ["fired", "cooldown", "no_match"]
    assert re.fullmatch(r"[0-9a-f-]{36}", events["a.csv"]["run_ids"][0])
