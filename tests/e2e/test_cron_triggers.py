"""cron triggers: every example and error of the Triggers API for that type, due times, restarts and missed times."""
import calendar
import json
import re
import sqlite3
import time

import pytest

from pawl import wait_until

TRIGGERS = "/api/v1/pipelines/default/silver/orders/triggers"

# As it stands in the Triggers API.
EXAMPLE = """{
  "type": "cron",
  "config": {
    "cron_expr": "0 * * * *"
  }
}"""
EXPRESSIONS = ["* * * * *", "0 * * * *", "0 0 * * *", "0 6 * * 1-5", "*/15 * * * *", "0 0 1 * *"]
EVERY_SECOND = "* * * * * *"


@pytest.fixture
def orders(daemon):
    return daemon.create_pipeline("orders", layer="silver")


def create(daemon, expr=EVERY_SECOND, fields=None, **config):
    body = {"type": "cron", "config": {"cron_expr": expr, **config}, **(fields or {})}
    return daemon.post(TRIGGERS, body).expect(201).json()


def events_of(daemon, trigger, limit=200):
    query = f"trigger_id={trigger['id']}&limit={limit}"
    return daemon.get(f"/api/v1/event-log?{query}").expect(200).json()["events"]


def seconds_of(text):
    """A time from the API in whole seconds since 1970."""
    return calendar.timegm(time.strptime(text[:19], "%Y-%m-%dT%H:%M:%S"))


def scheduled(daemon, trigger):
    """The due times that were dealt with, oldest first, in seconds since 1970."""
    found = []
    for e in reversed(events_of(daemon, trigger)):
        payload = json.loads(daemon.get(f"/api/v1/event-log/{e['id']}").json()["payload"])
        text = payload["scheduled_at"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.000)?Z", text), text
        found.append(seconds_of(text))
    return found


# ---- as documented ----


def test_example_as_written(daemon, orders):
    t = daemon.post(TRIGGERS, EXAMPLE).expect(201).json()
    assert t["type"] == "cron" and t["config"] == {"cron_expr": "0 * * * *"}
    assert set(t) == {"id", "pipeline_id", "type", "config", "enabled", "cooldown_seconds", "created_at", "updated_at"}
    shown = daemon.get(f"{TRIGGERS}/{t['id']}").expect(200).json()
    assert shown["last_triggered_at"] is None and shown["last_run_id"] is None
    assert daemon.get("/api/v1/event-log").json()["total"] == 0


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_example_expressions(daemon, orders, expr):
    assert create(daemon, expr)["config"] == {"cron_expr": expr}


def test_all_options_come_back(daemon, orders):
    options = {"timezone": "Europe/Berlin", "misfire": "skip", "misfire_window_seconds": 60, "jitter_seconds": 5,
               "cooldown_mode": "trailing"}
    assert create(daemon, "30 2 * * MON-FRI", **options)["config"] == {"cron_expr": "30 2 * * MON-FRI", **options}


def test_fires_at_each_due_time(daemon, orders):
    t = create(daemon, misfire="fire_all")  # so that a busy moment leaves none out
    runs = daemon.wait_runs(t, 3, "success")
    assert {r["trigger"] for r in runs} == {"trigger:cron:* * * * * *"}
    created = seconds_of(t["created_at"])
    seconds = scheduled(daemon, t)
    assert seconds == list(range(created + 1, created + 1 + len(seconds)))
    event = events_of(daemon, t)[-1]
    assert event["source"] == "cron" and event["type"] == "cron.tick"
    assert event["time"] >= time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds[0]))
    shown = daemon.get(f"{TRIGGERS}/{t['id']}").json()
    assert shown["last_triggered_at"] and shown["last_run_id"]


def test_every(daemon, orders):
    t = create(daemon, "@every 1s")
    daemon.wait_runs(t, 2)
    seconds = [e["time"] for e in events_of(daemon, t)]
    created = t["created_at"]
    assert all(s > created for s in seconds)


def test_cooldown(daemon, orders):
    """Due times within the cooldown are decided, not fired; trailing makes up for them."""
    drop = create(daemon, fields={"cooldown_seconds": 2})
    daemon.wait_runs(drop, 2)

    def decisions():
        return [d["decision"] for e in reversed(events_of(daemon, drop)) for d in e["decisions"]]

    assert decisions()[0] == "fired"
    wait_until(lambda: "cooldown" in decisions(), what="a due time within the cooldown")
    trailing = create(daemon, "@every 1s", {"cooldown_seconds": 3}, cooldown_mode="trailing")
    made_up = wait_until(lambda: [e for e in events_of(daemon, trailing) if e["source"] == "cooldown"], 20, "the cooldown to end")[-1]
    assert made_up["type"] == "cooldown.ended" and made_up["decisions"][0]["decision"] == "fired"
    payload = json.loads(daemon.get(f"/api/v1/event-log/{made_up['id']}").json()["payload"])
    assert payload["held"] >= 1
    first = daemon.get(f"/api/v1/event-log/{payload['since_event_id']}").expect(200).json()
    assert first["decisions"][0]["decision"] == "cooldown"


def test_disabled_trigger_rests(daemon, orders):
    t = create(daemon, fields={"enabled": False})
    other = create(daemon)
    daemon.wait_runs(other, 2)
    assert events_of(daemon, t) == []
    daemon.put(f"{TRIGGERS}/{t['id']}", {"enabled": True}).expect(200)
    daemon.wait_runs(t)
    assert scheduled(daemon, t)[0] > scheduled(daemon, other)[1]
    daemon.put(f"{TRIGGERS}/{t['id']}", {"enabled": False}).expect(200)
    before = len(events_of(daemon, t))
    more = len(events_of(daemon, other)) + 2
    daemon.wait_runs(other, more)
    assert len(events_of(daemon, t)) == before


def test_put_changes_the_schedule(daemon, orders):
    t = create(daemon, "0 0 1 1 *")
    changed = daemon.put(f"{TRIGGERS}/{t['id']}", {"config": {"cron_expr": EVERY_SECOND}}).expect(200).json()
    assert changed["config"] == {"cron_expr": EVERY_SECOND}
    assert daemon.wait_runs(t)[0]["trigger"] == f"trigger:cron:{EVERY_SECOND}"


def test_deleted_trigger_is_quiet(daemon, orders):
    t, other = create(daemon), create(daemon)
    daemon.wait_runs(t)
    daemon.delete(f"{TRIGGERS}/{t['id']}").expect(204)
    before = len(events_of(daemon, t))
    daemon.wait_runs(other, len(events_of(daemon, other)) + 2)
    assert len(events_of(daemon, t)) == before


# ---- across restarts ----


def set_last_due(daemon, trigger, seconds_ago):
    """As if the daemon had been down for that long."""
    assert not daemon.running
    with sqlite3.connect(f"{daemon.data}/pawl.db") as db:
        due = int(time.time() - seconds_ago) * 1000
        done = db.execute("UPDATE trigger_states SET last_due = ? WHERE trigger = (SELECT key FROM triggers WHERE id = ?)",
                          (due, bytes.fromhex(trigger["id"].replace("-", "")))).rowcount
        assert done == 1
    db.close()
    return due // 1000


def test_missed_times(daemon, orders):
    """What each policy makes of an hour without a daemon, for a schedule that is due every ten minutes."""
    far = (time.gmtime().tm_min + 5) % 10  # neither a due time nor the end of a window comes by while this goes on
    expr = f"{far}-59/10 * * * *"
    quiet = {"misfire_window_seconds": 86400}
    policies = {name: create(daemon, expr, misfire=name, **quiet) for name in ("skip", "fire_once", "fire_all")}
    default = create(daemon, expr)
    narrow = create(daemon, expr, misfire="fire_all", misfire_window_seconds=1300)
    daemon.stop()
    last = {name: set_last_due(daemon, t, 3600) for name, t in policies.items()}
    set_last_due(daemon, default, 3600)
    set_last_due(daemon, narrow, 3600)
    now = time.time()
    dues = [s for s in range(last["fire_all"] + 1, int(now)) if s % 600 == far * 60]
    daemon.start()
    for trigger, n in ((policies["fire_all"], len(dues)), (policies["fire_once"], 1), (default, 1), (narrow, 2)):
        daemon.wait_runs(trigger, n)
    assert scheduled(daemon, policies["fire_all"]) == dues
    assert scheduled(daemon, policies["fire_once"]) == scheduled(daemon, default) == dues[-1:]
    assert scheduled(daemon, narrow) == [s for s in dues if s > now - 1300]
    assert scheduled(daemon, policies["skip"]) == []
    daemon.restart()
    assert scheduled(daemon, policies["fire_all"]) == dues


def test_nothing_is_lost_or_doubled_by_a_crash(daemon, orders):
    t = create(daemon, misfire="fire_all")
    for _ in range(3):
        daemon.wait_runs(t, len(events_of(daemon, t)) + 2)
        daemon.kill()
        daemon.start()
    daemon.wait_runs(t, len(events_of(daemon, t)) + 1)
    seconds = scheduled(daemon, t)
    assert seconds == list(range(seconds[0], seconds[0] + len(seconds)))


@pytest.mark.parametrize("kind", ["cron", "cron_dependency"])
def test_a_zone_that_is_gone_lets_its_triggers_rest(daemon, orders, kind):
    """Zone files come and go with the system's packages; everything else goes on."""
    daemon.create_pipeline("up")
    more = {"dependencies": ["default.bronze.up"]} if kind == "cron_dependency" else {}
    config = {"cron_expr": "0 0 1 1 *", "timezone": "US/Pacific", **more}
    t = daemon.post(TRIGGERS, {"type": kind, "config": config}).expect(201).json()
    other = create(daemon)
    one = f"{TRIGGERS}/{t['id']}"
    daemon.stop()
    with sqlite3.connect(f"{daemon.data}/pawl.db") as db:
        text = json.dumps({**config, "cron_expr": EVERY_SECOND, "timezone": "US/Nowhere"})
        assert db.execute("UPDATE triggers SET config = ? WHERE id = ?", (text, bytes.fromhex(t["id"].replace("-", "")))).rowcount == 1
    db.close()
    daemon.start()
    assert "unknown time zone 'US/Nowhere'" in daemon.stderr()
    daemon.wait_runs(other, len(events_of(daemon, other)) + 2)
    assert events_of(daemon, t) == []
    assert "US/Nowhere" in daemon.put(one, {"enabled": True}).expect(400).message
    assert daemon.get(one).expect(200).json()["config"]["timezone"] == "US/Nowhere"
    daemon.put(one, {"config": {"cron_expr": EVERY_SECOND, **more}}).expect(200)
    wait_until(lambda: events_of(daemon, t), what="a due time")
    daemon.restart()
    daemon.delete(one).expect(204)


# ---- what is refused ----


@pytest.mark.parametrize("config, message", [
    ({}, "config.cron_expr: is required"),
    ({"cron_expr": 5}, "config.cron_expr: must be a string"),
    ({"cron_expr": ""}, "config.cron_expr: "),
    ({"cron_expr": "0 25 * * *"}, "config.cron_expr: field 2 (hour): 25 is out of range 0-23"),
    ({"cron_expr": "* * * *"}, "config.cron_expr: "),
    ({"cron_expr": "* * * * * * *"}, "config.cron_expr: "),
    ({"cron_expr": "0 0 30 2 *"}, "config.cron_expr: "),
    ({"cron_expr": "@fortnightly"}, "config.cron_expr: "),
    ({"cron_expr": "@every 10ms"}, "config.cron_expr: "),
    ({"cron_expr": "* " * 600}, "config.cron_expr: "),
    ({"cron_expr": "0 * * * *", "timezone": "Europe/Brelin"}, "config.timezone: unknown time zone 'Europe/Brelin'"),
    ({"cron_expr": "0 * * * *", "timezone": "../../etc/passwd"}, "config.timezone: unknown time zone"),
    ({"cron_expr": "0 * * * *", "timezone": 1}, "config.timezone: must be a string"),
    ({"cron_expr": "0 * * * *", "misfire": "maybe"}, "config.misfire: 'maybe' is none of skip, fire_once, fire_all"),
    ({"cron_expr": "0 * * * *", "misfire_window_seconds": -1}, "config.misfire_window_seconds: -1 is out of range"),
    ({"cron_expr": "0 * * * *", "misfire_window_seconds": 1.5}, "config.misfire_window_seconds: must be an integer"),
    ({"cron_expr": "0 * * * *", "jitter_seconds": 86401}, "config.jitter_seconds: 86401 is out of range 0-86400"),
    ({"cron_expr": "0 * * * *", "cooldown_mode": "x"}, "config.cooldown_mode: 'x' is neither drop nor trailing"),
    ({"cron_expr": "0 * * * *", "dependencies": []}, "config.dependencies: is not a known field"),
    ({"cron_expr": "0 * * * *", "zone": "x"}, "config.zone: is not a known field"),
])
def test_bad_configs(daemon, orders, config, message):
    r = daemon.post(TRIGGERS, {"type": "cron", "config": config}).expect(400)
    assert r.error == "INVALID_ARGUMENT" and r.message.startswith(message), r.message
    assert daemon.get(TRIGGERS).json()["total"] == 0


def test_an_expression_that_never_matches_says_so(daemon, orders):
    message = daemon.post(TRIGGERS, {"type": "cron", "config": {"cron_expr": "0 0 30 2 *"}}).expect(400).message
    assert "never" in message or "no date" in message, message


@pytest.mark.parametrize("body", [
    b'{"type": "cron"}', b'{"type": "cron", "config": []}', b'{"type": "cron", "config": null}', b'{"config": {"cron_expr": "0 * * * *"}}',
    b'{"type": "cron", "config": {"cron_expr": "\xff"}}', b'{"type": "cron", "config": {"cron_expr": "0 * * * *"}, "enabled": 1}',
    b'{"type": "cron", "config": {"cron_expr": "0 * * * *"}, "cooldown_seconds": -1}',
    b'{"type": "cron", "config": {"cron_expr": "0 * * * *"}, "cooldown_seconds": "1"}',
    b'{"type": "cron", "config": ' + b'{"a":' * 10000 + b"1" + b"}" * 10001,
])
def test_bad_bodies(daemon, orders, body):
    assert daemon.post(TRIGGERS, body).expect(400).error == "INVALID_ARGUMENT"


def test_unknown_pipeline(daemon):
    assert daemon.post(TRIGGERS, EXAMPLE).expect(404).error == "NOT_FOUND"


def test_an_invalid_put_changes_nothing(daemon, orders):
    t = create(daemon, "0 * * * *")
    one = f"{TRIGGERS}/{t['id']}"
    before = daemon.get(one).json()
    r = daemon.put(one, {"config": {"cron_expr": "61 * * * *"}, "cooldown_seconds": 5, "enabled": False}).expect(400)
    assert r.message.startswith("config.cron_expr: field 1 (minute): 61 is out of range 0-59")
    daemon.put(one, {"config": {}}).expect(400)
    daemon.put(one, {"type": "webhook"}).expect(400)
    assert daemon.get(one).json() == before
    assert daemon.put(one, before).expect(200).json()["config"] == before["config"]
