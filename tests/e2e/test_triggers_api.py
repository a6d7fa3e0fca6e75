"""The triggers of a pipeline over REST: every example and every error of the Triggers API that webhook triggers can show."""
import hashlib
import json
import re
import subprocess
import uuid

import pytest

from pawl import deadline, wait_until

# As they stand in the Triggers API.
EXAMPLE = """{
  "type": "webhook",
  "config": {}
}"""
LIST = "curl http://localhost:8080/api/v1/pipelines/default/silver/orders/triggers"
CREATE = """\
curl -X POST http://localhost:8080/api/v1/pipelines/default/silver/orders/triggers \\
  -H "Content-Type: application/json" \\
  -d '{
    "type": "landing_zone_upload",
    "config": {
      "namespace": "default",
      "zone_name": "raw-uploads"
    },
    "enabled": true,
    "cooldown_seconds": 60
  }'"""
GET = "curl http://localhost:8080/api/v1/pipelines/default/silver/orders/triggers/trigger-uuid"
UPDATE = """\
curl -X PUT http://localhost:8080/api/v1/pipelines/default/silver/orders/triggers/trigger-uuid \\
  -H "Content-Type: application/json" \\
  -d '{
    "config": { "namespace": "default", "zone_name": "new-zone" },
    "enabled": false,
    "cooldown_seconds": 120
  }'"""
DELETE = "curl -X DELETE http://localhost:8080/api/v1/pipelines/default/silver/orders/triggers/trigger-uuid"

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,3})?Z")
UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
CREATED = {"id", "pipeline_id", "type", "config", "webhook_url", "webhook_token", "enabled", "cooldown_seconds", "created_at",
           "updated_at"}
SHOWN = (CREATED - {"webhook_token"}) | {"last_triggered_at", "last_run_id", "paused"}


@pytest.fixture
def orders(daemon):
    """The pipeline of the examples."""
    return daemon.create_pipeline("orders", layer="silver")


@pytest.fixture
def triggers(daemon, orders):
    """The path of its triggers."""
    return "/api/v1/pipelines/default/silver/orders/triggers"


def create(daemon, path, **fields):
    return daemon.post(path, {"type": "webhook", "config": {}, **fields}).expect(201).json()


def curl(daemon, command, trigger_id="trigger-uuid"):
    """Runs an example in a shell; its status, and its body as JSON."""
    script = command.replace("http://localhost:8080", daemon.url).replace("trigger-uuid", trigger_id)
    done = subprocess.run(["sh", "-c", script.replace("curl ", "curl -sS -w '\\n%{http_code}' ", 1)], capture_output=True, text=True,
                          timeout=deadline(60), check=True)
    body, status = done.stdout.rsplit("\n", 1)
    return int(status), json.loads(body) if body else None


def test_curl_examples(daemon, orders):
    daemon.create_zone("raw-uploads")
    daemon.create_zone("new-zone")
    assert curl(daemon, LIST) == (200, {"triggers": [], "total": 0})
    status, t = curl(daemon, CREATE)
    assert status == 201 and set(t) == CREATED - {"webhook_url", "webhook_token"}
    assert (t["pipeline_id"], t["type"], t["enabled"], t["cooldown_seconds"]) == (orders["id"], "landing_zone_upload", True, 60)
    assert t["config"] == {"namespace": "default", "zone_name": "raw-uploads"}
    status, shown = curl(daemon, GET, t["id"])
    assert status == 200 and shown == {**t, "last_triggered_at": None, "last_run_id": None, "paused": False}
    assert curl(daemon, LIST) == (200, {"triggers": [shown], "total": 1})
    status, changed = curl(daemon, UPDATE, t["id"])
    assert status == 200 and changed["updated_at"] >= t["updated_at"]
    assert changed == {**shown, "config": {"namespace": "default", "zone_name": "new-zone"}, "enabled": False, "cooldown_seconds": 120,
                       "updated_at": changed["updated_at"]}
    assert curl(daemon, DELETE, t["id"]) == (204, None)
    for command in (GET, UPDATE, DELETE):
        for trigger_id in (t["id"], "trigger-uuid"):
            status, answer = curl(daemon, command, trigger_id)
            assert status == 404 and answer["error"]["code"] == "NOT_FOUND"


def test_create_webhook_as_documented(daemon, orders, triggers):
    r = daemon.post(triggers, EXAMPLE).expect(201)
    t = r.json()
    assert set(t) == CREATED
    assert r.headers["content-type"] == "application/json"
    assert UUID.fullmatch(t["id"])
    assert t["pipeline_id"] == orders["id"]
    assert t["type"] == "webhook"
    assert t["enabled"] is True
    assert t["cooldown_seconds"] == 0
    assert re.fullmatch("[0-9a-f]{64}", t["webhook_token"])
    assert t["config"] == {"token_hash": hashlib.sha256(t["webhook_token"].encode()).hexdigest()}
    assert t["webhook_url"] == f"{daemon.url}/api/v1/webhooks"
    assert TIME.fullmatch(t["created_at"]) and t["updated_at"] == t["created_at"]


def test_tokens_differ(daemon, triggers):
    assert len({create(daemon, triggers)["webhook_token"] for _ in range(20)}) == 20


def test_get_shows_everything_but_the_token(daemon, triggers):
    t = create(daemon, triggers, enabled=False, cooldown_seconds=60)
    shown = daemon.get(f"{triggers}/{t['id']}").expect(200).json()
    assert set(shown) == SHOWN
    assert shown["last_triggered_at"] is None and shown["last_run_id"] is None
    assert shown["enabled"] is False and shown["cooldown_seconds"] == 60
    assert {k: shown[k] for k in shown if k in t} == {k: t[k] for k in t if k in shown}


def test_token_is_nowhere_on_disk(daemon, triggers):
    token = create(daemon, triggers)["webhook_token"]
    with daemon.db() as db:
        dump = "\n".join(db.iterdump())
    assert token not in dump and token.upper() not in dump
    assert token not in daemon.stderr()


def test_list(daemon, orders, triggers):
    assert daemon.get(triggers).expect(200).json() == {"triggers": [], "total": 0}
    made = [create(daemon, triggers, cooldown_seconds=i) for i in range(3)]
    listed = daemon.get(triggers).expect(200).json()
    assert listed["total"] == 3
    assert [t["id"] for t in listed["triggers"]] == [t["id"] for t in made]
    assert all(set(t) == SHOWN for t in listed["triggers"])
    assert listed["triggers"][1] == daemon.get(f"{triggers}/{made[1]['id']}").json()


def test_list_returns_all_unless_limited(daemon, triggers):
    ids = [create(daemon, triggers)["id"] for _ in range(60)]
    assert [t["id"] for t in daemon.get(triggers).json()["triggers"]] == ids
    page = daemon.get(triggers + "?limit=7&offset=5").expect(200).json()
    assert [t["id"] for t in page["triggers"]] == ids[5:12]
    assert page["total"] == 60
    for bad in ("limit=0", "limit=-1", "limit=x", "limit=", "offset=-1", "offset=1.5"):
        r = daemon.get(f"{triggers}?{bad}").expect(400)
        assert r.error == "INVALID_ARGUMENT" and bad.split("=")[0] in r.message


def test_list_shows_only_the_pipelines_own(daemon, triggers):
    other = daemon.create_pipeline("customers", layer="silver")
    mine, theirs = create(daemon, triggers), daemon.create_webhook_trigger(other)
    assert [t["id"] for t in daemon.get(triggers).json()["triggers"]] == [mine["id"]]
    assert [t["id"] for t in daemon.get(daemon.pipeline_path(other) + "/triggers").json()["triggers"]] == [theirs["id"]]


def test_firing_shows_in_the_trigger(daemon, triggers):
    t = create(daemon, triggers)
    run = daemon.fire_ok(t)
    shown = daemon.get(f"{triggers}/{t['id']}").json()
    assert shown["last_run_id"] == run
    assert TIME.fullmatch(shown["last_triggered_at"])
    assert shown["updated_at"] == t["updated_at"]


def test_update_changes_one_field_at_a_time(daemon, triggers):
    t = create(daemon, triggers)
    path = f"{triggers}/{t['id']}"
    assert set(daemon.put(path, {"enabled": False}).expect(200).json()) == SHOWN
    off = daemon.get(path).json()
    assert off["enabled"] is False and off["cooldown_seconds"] == 0 and off["config"] == t["config"]
    slow = daemon.put(path, {"cooldown_seconds": 120}).expect(200).json()
    assert slow["enabled"] is False and slow["cooldown_seconds"] == 120
    on = daemon.put(path, {"enabled": True, "cooldown_seconds": 1}).expect(200).json()
    assert on["enabled"] is True and on["cooldown_seconds"] == 1
    assert on["created_at"] == t["created_at"] and on["updated_at"] >= off["updated_at"] >= t["updated_at"]
    assert daemon.put(path, {}).expect(200).json()["cooldown_seconds"] == 1


def test_what_was_read_can_be_written_back(daemon, triggers):
    t = create(daemon, triggers, cooldown_seconds=5)
    path = f"{triggers}/{t['id']}"
    daemon.fire_ok(t)
    before = daemon.get(path).json()
    after = daemon.put(path, before).expect(200).json()
    assert {k: v for k, v in after.items() if k != "updated_at"} == {k: v for k, v in before.items() if k != "updated_at"}
    daemon.fire(t).expect(429)
    daemon.post(triggers, t).expect(201)


def test_what_clients_say_about_our_fields_has_no_effect(daemon, triggers):
    theirs = {"id": str(uuid.uuid4()), "pipeline_id": str(uuid.uuid4()), "last_triggered_at": "2001-01-01T00:00:00Z",
              "last_run_id": str(uuid.uuid4()), "created_at": "2001-01-01T00:00:00Z", "updated_at": "2001-01-01T00:00:00Z",
              "webhook_url": "http://evil/", "webhook_token": "1" * 64}
    hash_of_known_token = hashlib.sha256(b"known").hexdigest()
    t = create(daemon, triggers, config={"token_hash": hash_of_known_token}, **theirs)
    assert t["config"]["token_hash"] != hash_of_known_token
    assert not any(t[k] == v for k, v in theirs.items() if k in t)
    daemon.fire("known").expect(404)
    daemon.fire("1" * 64).expect(404)
    path = f"{triggers}/{t['id']}"
    put = daemon.put(path, theirs).expect(200).json()
    assert not any(put[k] == v for k, v in theirs.items() if k in put)
    assert daemon.put(path, {"config": {"token_hash": hash_of_known_token}}).expect(400).message.startswith("config")
    daemon.fire("known").expect(404)
    daemon.fire_ok(t)


def test_config_of_a_webhook_cannot_be_changed(daemon, triggers):
    t = create(daemon, triggers)
    path = f"{triggers}/{t['id']}"
    for config in ({}, {"token_hash": "0" * 64}, {"bogus": 1}, {**t["config"], "bogus": 1}):
        r = daemon.put(path, {"config": config, "cooldown_seconds": 99}).expect(400)
        assert r.error == "INVALID_ARGUMENT" and r.message.startswith("config")
    assert daemon.get(path).json()["cooldown_seconds"] == 0, "an invalid update changed something"
    assert daemon.put(path, {"config": t["config"], "cooldown_seconds": 3}).expect(200).json()["cooldown_seconds"] == 3


def test_delete(daemon, triggers):
    t = create(daemon, triggers)
    path = f"{triggers}/{t['id']}"
    r = daemon.delete(path).expect(204)
    assert r.body == b""
    for again in (daemon.delete(path), daemon.get(path), daemon.put(path, {"enabled": True}), daemon.fire(t)):
        assert again.expect(404).error == "NOT_FOUND"
    assert daemon.get(triggers).json()["total"] == 0


NO_SUCH_PIPELINE = "/api/v1/pipelines/default/silver/nothing/triggers"


@pytest.mark.parametrize("method,tail,body", [
    ("GET", "", None),
    ("POST", "", {"type": "webhook", "config": {}}),
    ("GET", "/{id}", None),
    ("PUT", "/{id}", {"enabled": False}),
    ("DELETE", "/{id}", None),
])
def test_unknown_pipeline_is_404(daemon, triggers, method, tail, body):
    t = create(daemon, triggers)
    r = daemon.request(method, NO_SUCH_PIPELINE + tail.format(**t), body).expect(404)
    assert r.error == "NOT_FOUND" and "pipeline" in r.message


@pytest.mark.parametrize("method,body", [("GET", None), ("PUT", {"enabled": False}), ("DELETE", None)])
def test_unknown_trigger_is_404(daemon, triggers, method, body):
    for unknown in (str(uuid.uuid4()), "trigger-uuid", "0", "%20"):
        assert daemon.request(method, f"{triggers}/{unknown}", body).expect(404).error == "NOT_FOUND"


def test_trigger_under_the_wrong_pipeline_is_404(daemon, triggers):
    daemon.create_pipeline("customers", layer="silver")
    t = create(daemon, triggers)
    wrong = f"/api/v1/pipelines/default/silver/customers/triggers/{t['id']}"
    for r in (daemon.get(wrong), daemon.put(wrong, {"enabled": False}), daemon.delete(wrong)):
        r.expect(404)
    assert daemon.get(f"{triggers}/{t['id']}").expect(200).json()["enabled"] is True


@pytest.mark.parametrize("body,says", [
    ('{"config": {}}', "type: is required"),
    ('{"type": null, "config": {}}', "type: is required"),
    ('{"type": "webhook"}', "config: is required"),
    ('{"type": 7, "config": {}}', "type: "),
    ('{"type": "webhook", "config": []}', "config: "),
    ('{"type": "webhook", "config": "x"}', "config: "),
    ('{"type": "webhook", "config": {"secret": "x"}}', "config.secret: "),
    ('{"type": "webhook", "config": {}, "enabled": "yes"}', "enabled: "),
    ('{"type": "webhook", "config": {}, "enabled": 1}', "enabled: "),
    ('{"type": "webhook", "config": {}, "cooldown_seconds": -1}', "cooldown_seconds: "),
    ('{"type": "webhook", "config": {}, "cooldown_seconds": 1.5}', "cooldown_seconds: "),
    ('{"type": "webhook", "config": {}, "cooldown_seconds": "60"}', "cooldown_seconds: "),
    ('{"type": "webhook", "config": {}, "cooldown_seconds": true}', "cooldown_seconds: "),
    ('{"type": "webhook", "config": {}, "cooldown_seconds": 99999999999}', "cooldown_seconds: "),
    ('{"type": "webhook", "config": {}, "colour": "red"}', "colour: "),
    ('{"type": "webhook", "config": {}, "type": "webhook"}', "line 1"),
    ('{"type": "webhook", "config": {}', "line 1"),
    ('{"type": "webhook",\n "config": {},,}', "line 2"),
    ('["webhook"]', "object"),
    ('', "object"),
    ('null', "object"),
    (b'{"type": "webhook\xff", "config": {}}', "line 1"),
    ('{"type": "web\\u0000hook", "config": {}}', "line 1"),
    ('{"type": "webhook", "config": ' + "[" * 10000 + "]" * 10000 + "}", "nesting"),
])
def test_bad_create_is_400_and_names_the_field(daemon, triggers, body, says):
    r = daemon.post(triggers, body).expect(400)
    assert r.error == "INVALID_ARGUMENT"
    assert says in r.message
    assert daemon.get(triggers).json()["total"] == 0


@pytest.mark.parametrize("type_", ["bogus", "", "Webhook", "webhook ", "web\n\"hook", "é"])
def test_unknown_type_is_400_and_lists_the_known_ones(daemon, triggers, type_):
    r = daemon.post(triggers, {"type": type_, "config": {}}).expect(400)
    assert r.error == "INVALID_ARGUMENT"
    assert r.message.startswith("type: ") and "webhook" in r.message.split("there are:")[1]


@pytest.mark.parametrize("body,says", [
    ({"type": "cron"}, "type: cannot be changed"),
    ({"type": 3}, "type: "),
    ({"enabled": "no"}, "enabled: "),
    ({"cooldown_seconds": -5}, "cooldown_seconds: "),
    ({"cooldown_seconds": 0.5}, "cooldown_seconds: "),
    ({"config": None, "colour": 1}, "colour: "),
    ({"config": [1]}, "config: "),
])
def test_bad_update_is_400_and_changes_nothing(daemon, triggers, body, says):
    t = create(daemon, triggers, cooldown_seconds=7)
    path = f"{triggers}/{t['id']}"
    before = daemon.get(path).json()
    r = daemon.put(path, {"cooldown_seconds": 8, **body}).expect(400)
    assert r.error == "INVALID_ARGUMENT" and says in r.message
    assert daemon.get(path).json() == before


def test_same_type_in_update_is_fine(daemon, triggers):
    t = create(daemon, triggers)
    daemon.put(f"{triggers}/{t['id']}", {"type": "webhook", "enabled": False}).expect(200)


@pytest.mark.parametrize("host,url", [
    ("pawl.example.org", "http://pawl.example.org/api/v1/webhooks"),
    ("pawl.example.org:8443", "http://pawl.example.org:8443/api/v1/webhooks"),
    ("[2001:db8::1]:80", "http://[2001:db8::1]:80/api/v1/webhooks"),
    ("evil\"><script>", "/api/v1/webhooks"),
    ("user@host", "/api/v1/webhooks"),
    ("host/path", "/api/v1/webhooks"),
    ("host:port", "/api/v1/webhooks"),
])
def test_webhook_url_comes_from_a_well_formed_host(daemon, triggers, host, url):
    t = create(daemon, triggers)
    r = daemon.get(f"{triggers}/{t['id']}", headers={"Host": host})
    if r.status == 400:  # the server may refuse such a Host altogether
        assert url.startswith("/")
        return
    assert r.expect(200).json()["webhook_url"] == url


@pytest.mark.parametrize("given", ["https://hooks.example.org/pawl", "https://hooks.example.org/pawl/"])
def test_webhook_url_comes_from_public_url_before_the_host(make_daemon, given):
    d = make_daemon("--public-url", given)
    t = d.create_webhook_trigger(d.create_pipeline())
    assert t["webhook_url"] == "https://hooks.example.org/pawl/api/v1/webhooks"


def test_everything_survives_a_crash(daemon, triggers):
    kept = create(daemon, triggers, cooldown_seconds=3600)
    dropped = create(daemon, triggers)
    daemon.delete(f"{triggers}/{dropped['id']}").expect(204)
    daemon.put(f"{triggers}/{kept['id']}", {"cooldown_seconds": 1800}).expect(200)
    run = daemon.fire_ok(kept)
    shown = daemon.get(f"{triggers}/{kept['id']}").json()
    daemon.kill()
    daemon.start()
    after = daemon.get(triggers).json()
    assert after["total"] == 1
    del shown["webhook_url"], after["triggers"][0]["webhook_url"]  # the port is another one
    assert after["triggers"] == [shown]
    assert shown["last_run_id"] == run
    daemon.fire(kept).expect(429)
    daemon.fire(dropped).expect(404)
    wait_until(lambda: daemon.run(run)["status"] in ("success", "failed"), what="the run to end")
