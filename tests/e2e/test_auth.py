"""API keys: who needs one, how it is shown, how it changes while the daemon runs."""
import base64
import concurrent.futures
import os
import signal

import pytest

from pawl import cli, wait_until


def add_key(data, name="ci"):
    r = cli("key", "add", name, "--data", data)
    assert r.returncode == 0, r.stderr
    return r.stdout.strip()


@pytest.fixture
def locked(make_daemon):
    """A daemon that asks for a key, which is in .api_key."""
    d = make_daemon(start=False)
    d.api_key = add_key(d.data)
    return d.start()


def basic(user, key):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{key}".encode()).decode()}


def test_without_keys_everybody_may(daemon):
    daemon.get("/api/v1/pipelines").expect(200)
    daemon.get("/api/v1/pipelines", headers={"X-Api-Key": "whatever"}).expect(200)


@pytest.mark.parametrize("method,path", [
    ("GET", "/api/v1/pipelines"), ("POST", "/api/v1/pipelines"), ("GET", "/api/v1/runs"), ("POST", "/api/v1/runs"),
    ("GET", "/api/v1/event-log"), ("GET", "/api/v1/pipelines/a/b/c/triggers"), ("GET", "/metrics"),
])
def test_a_key_is_needed(locked, method, path):
    for headers in ({"X-Api-Key": "wrong"}, {"X-Api-Key": ""}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer"},
                    basic("me", "wrong"), basic(locked.api_key, ""), {"Authorization": "Basic !!!"}, {"Authorization": locked.api_key},
                    {"X-Api-Key": locked.api_key[:-1]}, {"X-Api-Key": locked.api_key + "0"}):
        r = locked.request(method, path, headers=headers).expect(401)
        assert r.error == "UNAUTHENTICATED" and "www-authenticate" in r.headers
        assert locked.api_key not in r.message


def test_no_credentials_at_all(locked):
    with locked.wire() as w:
        r = w.send("GET /api/v1/pipelines HTTP/1.1\r\nHost: x\r\n\r\n").response()
    assert r.expect(401).error == "UNAUTHENTICATED" and "X-Api-Key" in r.message


def test_ways_to_show_a_key(locked):
    key = locked.api_key
    for headers in ({"X-Api-Key": key}, {"Authorization": f"Bearer {key}"}, {"Authorization": f"bearer {key}"}, basic("anyone", key),
                    basic("", key)):
        locked.get("/api/v1/pipelines", headers=headers).expect(200)


def test_what_needs_no_key(locked):
    t = locked.create_webhook_trigger(locked.create_pipeline())
    locked.api_key = None
    for path in ("/health", "/health/live", "/health/ready"):
        locked.get(path).expect(200)
    locked.fire_ok(t)
    locked.post("/api/v1/webhooks", b"").expect(400)
    locked.get("/api/v1/pipelines").expect(401)


def test_a_key_is_no_webhook_token(locked):
    locked.fire(locked.api_key).expect(404)


def test_an_event_is_called_with_its_token_alone(locked):
    locked.create_team("t")
    e = locked.create_event("e", "t")
    key, token = locked.api_key, locked.event_token(e)
    locked.api_key = None
    locked.fire_event(e, token=token).expect(202)
    locked.fire_event(e, token="", query=f"token={token}", headers=basic("me", key)).expect(202)
    locked.fire_event(e, token=key).expect(401)
    locked.fire_event(e, token="", headers={"X-Api-Key": key}).expect(401)
    locked.get("/api/v1/namespaces/ai/secrets/e-webhook-token").expect(401)
    locked.get("/api/v1/pipelines", headers={"Authorization": f"Bearer {token}"}).expect(401)


CROSS = [{"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": ""}, {"Origin": "http://evil.example"}, {"Origin": "null"},
         {"Origin": ""}, {"Sec-Fetch-Site": "cross-site", "Origin": "http://HOST"}, {"Origin": "http://HOST.evil.example"}, {"Origin": "http://HOST@evil.example"}]
OWN = [{}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": "http://HOST"}, {"Origin": "https://HOST"}]


def test_pages_of_other_sites_change_nothing(daemon):
    """A browser lets them send what a form could: without a preflight, and without seeing the answer."""
    def ask(method, path, body, headers):
        host = f"{daemon.host}:{daemon.port}"
        return daemon.request(method, path, body, headers={"Content-Type": "text/plain", **{n: v.replace("HOST", host) for n, v in headers.items()}})

    t = daemon.create_webhook_trigger(daemon.create_pipeline("p"))
    run = {"namespace": "default", "layer": "bronze", "pipeline": "p"}
    event = {"apiVersion": "arkonis.dev/v1alpha1", "kind": "ArkEvent", "metadata": {"name": "e"},
             "spec": {"source": {"type": "webhook"}, "targets": [{"team": "t"}]}}
    for headers in CROSS:
        assert ask("POST", "/api/v1/runs", run, headers).expect(403).error == "PERMISSION_DENIED"
        status = ask("POST", "/apis/arkonis.dev/v1alpha1/namespaces/default/arkevents", event, headers).expect(403).json()
        assert status["kind"] == "Status" and status["reason"] == "Forbidden"
        ask("DELETE", "/api/v1/pipelines/default/bronze/p", None, headers).expect(403)
        ask("GET", "/api/v1/pipelines", None, headers).expect(200)
        ask("POST", "/api/v1/webhooks", b"{}", {**headers, "X-Webhook-Token": t["webhook_token"]}).expect(201)
    assert len(daemon.all_runs()) == len(CROSS)
    for headers in OWN:
        ask("POST", "/api/v1/runs", run, headers).expect(202)
    assert len(daemon.all_runs()) == len(CROSS) + len(OWN)


def test_keys_change_while_it_runs(daemon):
    key = add_key(daemon.data, "first")
    wait_until(lambda: daemon.get("/api/v1/pipelines").status == 401, what="the key to be asked for")
    daemon.get("/api/v1/pipelines", headers={"X-Api-Key": key}).expect(200)
    second = add_key(daemon.data, "second")
    wait_until(lambda: daemon.get("/api/v1/pipelines", headers={"X-Api-Key": second}).status == 200, what="the second key")
    assert cli("key", "drop", "first", "--data", daemon.data).returncode == 0
    wait_until(lambda: daemon.get("/api/v1/pipelines", headers={"X-Api-Key": key}).status == 401, what="the first key to be dropped")
    daemon.get("/api/v1/pipelines", headers={"X-Api-Key": second}).expect(200)


def test_keys_survive_a_restart(locked):
    locked.restart()
    locked.get("/api/v1/pipelines").expect(200)
    locked.get("/api/v1/pipelines", headers={"X-Api-Key": "x"}).expect(401)


def test_keys_are_nowhere_in_plain(locked):
    locked.get("/api/v1/pipelines").expect(200)
    with locked.db() as db:
        assert locked.api_key not in "\n".join(db.iterdump())
    assert locked.api_key not in locked.stderr()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0"])
def test_other_addresses_need_a_key(make_daemon, address):
    d = make_daemon(start=False, listen=[address])
    code, said = d.start_fails()
    assert code != 0
    assert "key" in said and address.rsplit(":", 1)[0].strip("[]") in said


def test_other_addresses_with_a_key(make_daemon):
    d = make_daemon(start=False, listen=["0.0.0.0:0"])
    d.api_key = add_key(d.data)
    d.start()
    d.get("/api/v1/pipelines").expect(200)
    d.get("/api/v1/pipelines", headers={"X-Api-Key": "x"}).expect(401)
    assert cli("key", "drop", "ci", "--data", d.data).returncode == 0
    wait_until(lambda: d.get("/api/v1/pipelines").status == 401, what="the last key to be dropped")


def test_keys_made_at_the_same_time(tmp_path):
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        keys = set(pool.map(lambda n: add_key(tmp_path / "data", f"k{n}"), range(24)))
    assert len(keys) == 24
    assert len(cli("key", "list", "--data", tmp_path / "data").stdout.splitlines()) == 24


@pytest.mark.parametrize("verb", [["list"], ["drop", "ci"]])
def test_looking_for_keys_makes_no_database(tmp_path, verb):
    r = cli("key", *verb, "--data", tmp_path / "typo")
    assert r.returncode == 1 and "typo" in r.stderr
    assert not os.path.exists(tmp_path / "typo")


def test_told_about_keys_while_it_starts(make_daemon):
    """The lock says whom to tell, long before the daemon listens: being told early must not end it."""
    d = make_daemon(start=False).launch()
    lock = os.path.join(d.data, "pawl.lock")
    wait_until(lambda: os.path.exists(lock) and os.path.getsize(lock) > 0, what="the lock", every=0.0001)
    for _ in range(50):
        d.signal(signal.SIGHUP)
    d.wait_ready()
    d.get("/health").expect(200)
