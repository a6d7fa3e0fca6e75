"""Runs that are requests to a URL."""
import base64
import hashlib
import hmac
import json
import os
import re
import subprocess
import threading
import time

import pytest

from pawl import ROOT, cli, deadline, wait_until
from receiver import Answer, Receiver

SECRET_BYTES = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(SECRET_BYTES).decode()
REDACTED = "********"


@pytest.fixture
def receiver():
    with Receiver() as r:
        yield r


def make(daemon, url, retry=None, **executor):
    """A pipeline that sends to the URL, and its webhook."""
    fields = {"executor": {"type": "http", "url": url, **executor}}
    if retry:
        fields["retry"] = retry
    p = daemon.create_pipeline(**fields)
    return p, daemon.create_webhook_trigger(p)


def one(daemon, run_id):
    return daemon.get(f"/api/v1/runs/{run_id}").expect(200).json()


def fire_one(daemon, url, body=b'{"n": 1}', **fields):
    """One run to its end."""
    _, t = make(daemon, url, **fields)
    return daemon.wait_run(daemon.fire_ok(t, body, headers={"Content-Type": "application/json"}))


# ---- what is sent ----

def test_binary_mode(daemon, receiver):
    receiver.answer = lambda r: Answer(200, b'{"ok": true}', {"Content-Type": "application/json"})
    p, t = make(daemon, receiver.url + "/in?x=1", headers={"X-Team": "data", "X-Empty": ""})
    run = daemon.wait_run(daemon.fire_ok(t, b'{"n": 1}', headers={"Content-Type": "application/json"}))
    assert run["status"] == "success" and run["output"] == {"ok": True}
    [r] = receiver.requests
    assert (r.method, r.path, r.body) == ("POST", "/in?x=1", b'{"n": 1}')
    h = r.headers
    assert h["content-type"] == "application/json" and h["x-team"] == "data" and h["x-empty"] == ""
    assert h["ce-specversion"] == "1.0" and h["ce-source"] == "/pawl/webhook" and h["ce-type"] == "webhook"
    assert h["ce-id"] == run["event_id"] and h["ce-pawlrunid"] == run["id"] and h["ce-pawlattempt"] == "1"
    assert h["ce-pawlpipeline"] == f"default.bronze.{p['name']}" and re.fullmatch(r"\d{4}-.*Z", h["ce-time"])
    assert not any(name.startswith(("webhook-", "pawl-")) or name == "expect" for name in h)


def test_structured_mode(daemon, receiver):
    run = fire_one(daemon, receiver.url, mode="structured", method="PUT")
    assert run["status"] == "success" and run["output"] is None
    [r] = receiver.requests
    assert r.method == "PUT" and r.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    event = json.loads(r.body)
    assert event["data"] == {"n": 1} and event["id"] == run["event_id"] and event["pawlrunid"] == run["id"]
    assert not any(name.startswith("ce-") for name in r.headers)


@pytest.mark.parametrize("size", [10, 500_000])  # made on the loop, and on a thread
def test_signature(daemon, receiver, size):
    answers = iter([Answer(500), Answer(200)])
    receiver.answer = lambda r: next(answers)
    body = json.dumps({"x": "y" * size}).encode()
    run = fire_one(daemon, receiver.url, body, secret=SECRET, retry={"max_attempts": 2, "backoff_seconds": 0})
    assert run["status"] == "success"
    for r in receiver.requests:
        h = r.headers
        assert h["webhook-id"] == run["id"] and abs(int(h["webhook-timestamp"]) - time.time()) < deadline(60)
        signed = f"{h['webhook-id']}.{h['webhook-timestamp']}.".encode() + r.body
        expected = base64.b64encode(hmac.new(SECRET_BYTES, signed, hashlib.sha256).digest()).decode()
        assert h["webhook-signature"] == "v1," + expected and r.body == body
    assert [r.headers["ce-pawlattempt"] for r in receiver.requests] == ["1", "2"]


def test_the_user_agent_is_one(daemon, receiver):
    for headers in ({}, {"user-agent": "mine/1"}):
        fire_one(daemon, receiver.url, headers=headers)
    assert re.fullmatch(r"pawl/[0-9.]+", receiver.requests[0].headers["user-agent"])
    assert receiver.requests[1].headers["user-agent"] == "mine/1"


def test_a_content_type_cannot_become_a_header(daemon, receiver):
    _, t = make(daemon, receiver.url)
    daemon.wait_run(daemon.fire_ok(t, b"x", headers={"Content-Type": "text/plain; a=\"\xe4\""}))
    assert receiver.requests[0].headers["content-type"] == "application/octet-stream"


def test_connections_are_kept(daemon, receiver):
    _, t = make(daemon, receiver.url)
    for _ in range(5):
        daemon.wait_run(daemon.fire_ok(t))
    assert len({r.connection for r in receiver.requests}) == 1


def test_steps_pass_their_output_on(daemon, receiver):
    receiver.answer = lambda r: Answer(200, r.body + b"!")
    p = daemon.post("/api/v1/pipelines", {
        "namespace": "default", "layer": "bronze", "name": "stepped", "steps": [
            {"name": "say", "argv": ["/bin/echo", "-n", "hello"]},
            {"name": "tell", "executor": {"type": "http", "url": receiver.url, "secret": SECRET}}]}).expect(201).json()
    run = daemon.wait_run(daemon.fire_ok(daemon.create_webhook_trigger(p)))
    assert run["status"] == "success" and run["output"] == "hello!"
    [r] = receiver.requests
    assert r.body == b"hello" and r.headers["content-type"] == "text/plain; charset=utf-8"
    assert r.headers["ce-pawlstep"] == "tell" and r.headers["webhook-id"] == run["id"] + ":tell"
    assert p["steps"][1]["executor"]["secret"] == REDACTED


# ---- what comes back ----

@pytest.mark.parametrize("status, attempts", [(200, 1), (201, 1), (202, 1), (204, 1), (300, 1), (302, 1), (400, 1), (404, 1), (410, 1),
                                              (408, 2), (425, 2), (429, 2), (500, 2), (502, 2), (503, 2), (599, 2)])
def test_statuses(daemon, receiver, status, attempts):
    receiver.answer = lambda r: Answer(status, b"" if status == 204 else b"because", {"Location": "/else"} if status == 302 else {})
    run = fire_one(daemon, receiver.url, retry={"max_attempts": 2, "backoff_seconds": 0})
    assert len(receiver.requests) == attempts == run["attempt"]
    if status < 300:
        assert run["status"] == "success" and run["output"] == (None if status == 204 else "because")
        return
    assert run["status"] == "failed" and f"status {status}" in run["error"]
    log = json.dumps(daemon.get(f"/api/v1/runs/{run['id']}/logs").expect(200).json())
    assert "because" in log and f"status {status}" in log
    if status == 302:
        assert f"a redirection to {receiver.url}/else" in run["error"]


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(daemon, receiver, status):
    seen = []

    def answer(_):
        seen.append(time.monotonic())
        return Answer(status, b"", {"Retry-After": "1"}) if len(seen) == 1 else Answer(200)
    receiver.answer = answer
    run = fire_one(daemon, receiver.url, retry={"max_attempts": 2, "backoff_seconds": 0})
    assert run["status"] == "success" and seen[1] - seen[0] >= 0.9


def test_redirects_are_followed_on_the_same_server_only(daemon, receiver):
    targets = {"/a": "/b", "/b": "/c", "/loop": "/loop", "/away": "http://localhost:1/"}
    receiver.answer = lambda r: Answer(308, b"", {"Location": targets[r.path]}) if r.path in targets else Answer(200, r.body)
    run = fire_one(daemon, receiver.url + "/a", follow_redirects=True)
    assert run["status"] == "success" and run["output"] == {"n": 1}
    assert [(r.method, r.path, r.body) for r in receiver.requests] == [("POST", p, b'{"n": 1}') for p in ("/a", "/b", "/c")]
    run = fire_one(daemon, receiver.url + "/loop", follow_redirects=True)
    assert run["status"] == "failed" and "status 308" in run["error"] and len(receiver.requests) == 3 + 6
    run = fire_one(daemon, receiver.url + "/away", follow_redirects=True)
    assert run["status"] == "failed" and "a redirection to http://localhost:1/" in run["error"]


def test_redirects_share_the_time_of_the_request(daemon, receiver):
    never = threading.Event()
    receiver.answer = lambda r: never.wait(0.6) or Answer(307, b"", {"Location": "/again"})
    run = fire_one(daemon, receiver.url, follow_redirects=True, timeout_seconds=1)
    assert run["error"] == f"{receiver.url}: no complete answer within 1s" and len(receiver.requests) < 6


def test_a_huge_answer_is_refused(daemon, receiver):
    receiver.answer = lambda r: Answer(200, b"x" * 5_000_000)
    run = fire_one(daemon, receiver.url, retry={"max_attempts": 3})
    assert (run["status"], run["error"], run["attempt"]) == ("failed", "the answer is longer than 1048576 bytes", 1)
    receiver.answer = lambda r: Answer(200, b"123456")
    assert fire_one(daemon, receiver.url, max_response_bytes=6)["status"] == "success"
    assert fire_one(daemon, receiver.url, max_response_bytes=5)["error"] == "the answer is longer than 5 bytes"


def test_a_huge_page_of_an_error_is_only_cut(daemon, receiver):
    """A server that is busy may say so at length: the run is tried again all the same."""
    answers = iter([Answer(503, b"x" * 5_000_000, {"Retry-After": "0"}), Answer(200, b"done")])
    receiver.answer = lambda r: next(answers)
    run = fire_one(daemon, receiver.url, retry={"max_attempts": 2, "backoff_seconds": 0})
    assert (run["status"], run["attempt"], run["output"]) == ("success", 2, "done")


def test_an_answer_that_breaks_off_in_its_headers_is_none(daemon, receiver):
    receiver.answer = lambda r: b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nX-"
    run = fire_one(daemon, receiver.url)
    assert run["status"] == "failed" and run["error"].endswith("the answer ends within its headers")


def test_endless_headers_are_refused(daemon, receiver):
    receiver.answer = lambda r: b"HTTP/1.1 200 OK\r\n" + b"X-Long: " + b"y" * 2_000_000 + b"\r\n\r\n"
    assert fire_one(daemon, receiver.url)["status"] == "failed"


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", b"garbage\r\n\r\n", None])
def test_broken_answers_fail_the_run(daemon, receiver, raw):
    receiver.answer = lambda r: raw
    run = fire_one(daemon, receiver.url)
    assert run["status"] == "failed" and run["error"].startswith(f"http://127.0.0.1:{receiver.port}: "), run["error"]


def test_a_silent_server_times_out(daemon, receiver):
    over = threading.Event()
    receiver.answer = lambda r: over.wait(3600) and None
    p = daemon.create_pipeline(executor={"type": "http", "url": receiver.url, "timeout_seconds": 0.3})
    run = daemon.wait_run(daemon.fire_ok(daemon.create_webhook_trigger(p)))
    assert run["error"] == f"{receiver.url}: no complete answer within 300ms"
    p = daemon.create_pipeline(executor={"type": "http", "url": receiver.url}, timeout_seconds=0.4)
    run = daemon.wait_run(daemon.fire_ok(daemon.create_webhook_trigger(p)))
    assert run["error"] == f"{receiver.url}: no complete answer within 400ms"
    over.set()


def test_nobody_there(daemon):
    run = fire_one(daemon, "http://127.0.0.1:1/x?token=1")
    assert run["error"] == "cannot reach http://127.0.0.1:1: Connection refused"
    run = fire_one(daemon, "http://nobody.invalid/")
    assert run["error"].startswith("cannot reach http://nobody.invalid: ")


# ---- TLS ----

@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    d = tmp_path_factory.mktemp("tls")

    def openssl(*args):
        subprocess.run(["openssl", *args], check=True, capture_output=True, cwd=d)
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test ca", "-days", "2")
    for name, alt in (("good", "IP:127.0.0.1"), ("other", "DNS:other.example")):
        openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (d / "ext").write_text(f"subjectAltName={alt}\n")
        openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-out", f"{name}.pem",
                "-days", "2", "-extfile", "ext")
    return d


def test_tls(daemon, certificates):
    ca = str(certificates / "ca.pem")
    with Receiver((certificates / "good.pem", certificates / "good.key")) as r:
        run = fire_one(daemon, r.url, ca_file=ca)
        assert run["status"] == "success" and len(r.requests) == 1
        run = fire_one(daemon, r.url)  # not with the system's roots
        assert run["status"] == "failed" and f"{r.url}: its certificate is not trusted" in run["error"]
        run = fire_one(daemon, r.url, ca_file="/nowhere/ca.pem")
        assert run["status"] == "failed" and "/nowhere/ca.pem" in run["error"]
        assert len(r.requests) == 1
    with Receiver((certificates / "other.pem", certificates / "other.key")) as r:
        run = fire_one(daemon, r.url, ca_file=ca)
        assert run["status"] == "failed" and "its certificate is not trusted" in run["error"] and r.requests == []


# ---- the config ----

@pytest.mark.parametrize("fields, message", [
    ({"url": "file:///etc/passwd"}, "executor.url: must begin with http:// or https://"),
    ({"url": "ftp://127.0.0.1/"}, "executor.url: must begin with"),
    ({"url": "http://"}, "executor.url: must name a server"),
    ({"url": "http://:80/"}, "executor.url: must name a server"),
    ({"url": "http://a:b/"}, "executor.url: must name a server"),
    ({"url": "http://a:70000/"}, "executor.url: must name a server"),
    ({"url": "http://[::1/"}, "executor.url: must name a server"),
    ({"url": "http://user:pw@a/"}, "executor.url: must not hold a user or a password"),
    ({"url": "http://a/#x"}, "executor.url: must not have a fragment"),
    ({"url": "http://a/ b"}, "executor.url: has a character that must be percent-encoded"),
    ({"url": "http://a/\r\nX-Evil: 1"}, "executor.url: has a character that must be percent-encoded"),
    ({"url": "http://a/" + "x" * 2048}, "executor.url: is longer than 2048 bytes"),
    ({"url": 5}, "executor.url: must be a string"),
    ({}, "executor.url: is required"),
    ({"url": "http://a/", "method": "GET"}, "executor.method: must be POST, PUT or PATCH"),
    ({"url": "http://a/", "mode": "both"}, "executor.mode: must be binary or structured"),
    ({"url": "http://a/", "secret": "hunter2"}, "executor.secret: must be whsec_"),
    ({"url": "http://a/", "secret": "whsec_c2hvcnQ="}, "executor.secret: must be whsec_"),
    ({"url": "http://a/", "secret": {"sealed": "eHh4eA=="}}, "executor.secret: cannot be read"),
    ({"url": "http://a/", "headers": {"X-Team": {"sealed": "eHh4eA=="}}}, "executor.headers: X-Team: must be a string"),
    ({"url": "http://a/", "secret": REDACTED}, "executor.secret: that only stands for the secret"),
    ({"url": "http://a/", "headers": {"Authorization": REDACTED}}, "executor.headers: Authorization: that only stands for the value"),
    ({"url": "http://a/", "headers": {"X-A": "b\r\nX-Evil: 1"}}, "executor.headers: X-A: must be ASCII without control characters"),
    ({"url": "http://a/", "headers": {"X-A": "é"}}, "executor.headers: X-A: must be ASCII without control characters"),
    ({"url": "http://a/", "headers": {"X-A": "1", "x-a": "2"}}, "executor.headers: x-a: is the same header as X-A"),
    ({"url": "http://a/", "headers": {"X-A\r\nX-Evil": "b"}}, "is not a header's name"),
    ({"url": "http://a/", "headers": {"X A": "b"}}, "is not a header's name"),
    ({"url": "http://a/", "headers": {"Host": "b"}}, "executor.headers: Host: pawl itself sets it"),
    ({"url": "http://a/", "headers": {"CE-id": "b"}}, "executor.headers: CE-id: pawl itself sets it"),
    ({"url": "http://a/", "headers": {"webhook-signature": "b"}}, "pawl itself sets it"),
    ({"url": "http://a/", "headers": {"X-A": 1}}, "executor.headers: X-A: must be a string"),
    ({"url": "http://a/", "headers": {f"X-{i}": "v" for i in range(33)}}, "executor.headers: must be at most 32"),
    ({"url": "http://a/", "ca_file": "ca.pem"}, "executor.ca_file: must be an absolute path"),
    ({"url": "http://a/", "timeout_seconds": 0}, "executor.timeout_seconds: "),
    ({"url": "http://a/", "max_response_bytes": 2 << 20}, "executor.max_response_bytes: "),
    ({"url": "http://a/", "verify": False}, "executor.verify: is not a known field"),
])
def test_bad_config_is_refused(daemon, fields, message):
    r = daemon.post("/api/v1/pipelines", {"namespace": "default", "layer": "bronze", "name": "bad", "executor": {"type": "http", **fields}})
    assert r.status == 400 and message in r.message, r.message


def test_secrets_are_not_shown_and_stay(daemon, receiver):
    headers = {"Authorization": "Bearer s3cret", "X-Team": "data"}
    p, t = make(daemon, receiver.url + "/a", secret=SECRET, headers=headers)
    path = daemon.pipeline_path(p)
    shown = {"Authorization": REDACTED, "X-Team": "data"}
    for answer in (p, daemon.get(path).json(), daemon.get("/api/v1/pipelines").json()["pipelines"][0]):
        assert answer["executor"]["secret"] == REDACTED and answer["executor"]["headers"] == shown
    # What was read is written back, with another path: the secrets stay.
    changed = daemon.get(path).json()
    changed["executor"]["url"] = receiver.url + "/b"
    changed["description"] = "new"
    assert daemon.put(path, changed).expect(200).json()["executor"]["secret"] == REDACTED
    daemon.wait_run(daemon.fire_ok(t))
    [r] = receiver.requests
    assert r.path == "/b" and r.headers["authorization"] == "Bearer s3cret" and "webhook-signature" in r.headers
    # To another server they do not go.
    changed["executor"]["url"] = "http://else.invalid/b"
    r = daemon.put(path, changed).expect(400)
    assert "that only stands for" in r.message
    # Without them they are gone.
    del changed["executor"]["secret"], changed["executor"]["headers"]
    assert "secret" not in daemon.put(path, changed).expect(200).json()["executor"]
    assert "s3cret" not in daemon.stderr() and SECRET not in daemon.stderr()


def on_disk(daemon, text):
    """The files below the data directory that hold a text."""
    paths = [os.path.join(where, name) for where, _, names in os.walk(daemon.data) for name in names]
    return [path for path in paths if text.encode() in open(path, "rb").read()]


def as_manifest(url):
    return json.dumps({"apiVersion": "pawl.dev/v1", "kind": "Pipeline", "metadata": {"name": "sealed", "namespace": "default"}, "spec": {
        "layer": "bronze", "steps": [{"name": "tell", "executor": {"type": "http", "url": url, "secret": SECRET,
                                                                   "headers": {"Authorization": "Bearer s3cret"}}}]}})


def sealed_pipeline(daemon, url):
    """A pipeline with secrets, and its webhook."""
    assert [r["result"] for r in daemon.apply(as_manifest(url))] == ["created"]
    p = daemon.get("/api/v1/pipelines/default/bronze/sealed").expect(200).json()
    return p, daemon.create_webhook_trigger(p)


def genuine(r):
    h = r.headers
    signed = f"{h['webhook-id']}.{h['webhook-timestamp']}.".encode() + r.body
    expected = base64.b64encode(hmac.new(SECRET_BYTES, signed, hashlib.sha256).digest()).decode()
    return h["webhook-signature"] == "v1," + expected and h["authorization"] == "Bearer s3cret"


def test_secrets_are_sealed(daemon, receiver):
    """Neither the database, nor its log, nor ours has them; they work, and what did not change is no change."""
    p, t = sealed_pipeline(daemon, receiver.url)
    for restarts in range(2):
        assert daemon.wait_run(daemon.fire_ok(t))["status"] == "success" and genuine(receiver.requests[-1])
        assert [r["result"] for r in daemon.apply(as_manifest(receiver.url))] == ["unchanged"]
        assert daemon.get(daemon.pipeline_path(p)).json()["version"] == 1
        daemon.kill()
        assert on_disk(daemon, SECRET) == on_disk(daemon, "s3cret") == []
        daemon.start()
    daemon.put(daemon.pipeline_path(p), {"description": "another version"}).expect(200)
    assert daemon.wait_run(daemon.fire_ok(t))["status"] == "success" and genuine(receiver.requests[-1])
    daemon.stop()
    assert on_disk(daemon, SECRET) == on_disk(daemon, "s3cret") == []
    assert SECRET not in daemon.stderr() and "s3cret" not in daemon.stderr()


def test_the_key_is_another_one(daemon, receiver):
    """Nothing is sent, and everybody says why; with the right key, or the secrets anew, it goes on."""
    p, t = sealed_pipeline(daemon, receiver.url)
    path, key = daemon.pipeline_path(p), os.path.join(daemon.data, "secret.key")
    daemon.stop()
    os.rename(key, key + ".kept")
    daemon.start()
    assert "default.bronze.sealed" in daemon.stderr() and "secret.key" in daemon.stderr()
    run = daemon.wait_run(daemon.fire_ok(t), status="failed")
    assert "executor.secret: cannot be read" in run["error"] and "secret.key" in run["error"] and receiver.requests == []
    read = daemon.get(path).expect(200).json()
    assert read["steps"][0]["executor"]["secret"] == REDACTED and '"sealed":' not in json.dumps(read)
    assert "steps[0].executor.secret: cannot be read" in daemon.put(path, {"steps": read["steps"]}).expect(400).message
    daemon.stop()
    os.rename(key, key + ".other")
    os.rename(key + ".kept", key)
    daemon.start()
    daemon.post(f"/api/v1/runs/{run['id']}/replay").expect(202)
    receiver.wait(1)
    assert genuine(receiver.requests[0])
    daemon.stop()
    os.rename(key + ".other", key)
    daemon.start()
    assert [r["result"] for r in daemon.apply(as_manifest(receiver.url))] == ["configured"]
    assert daemon.wait_run(daemon.fire_ok(t))["status"] == "success" and genuine(receiver.requests[-1])


# ---- ending early ----

def test_cancel(daemon, receiver):
    over = threading.Event()
    receiver.answer = lambda r: over.wait(3600) and None
    _, t = make(daemon, receiver.url)
    run = daemon.fire_ok(t)
    receiver.wait(1)
    daemon.post(f"/api/v1/runs/{run}/cancel").expect(200)
    assert daemon.wait_run(run)["status"] == "cancelled"
    over.set()


def test_a_crash_repeats_the_request(daemon, receiver):
    over = threading.Event()
    receiver.answer = lambda r: (over.wait(3600) and None) if len(receiver.requests) == 1 else Answer(200, b"second")
    _, t = make(daemon, receiver.url, retry={"max_attempts": 2, "backoff_seconds": 0})
    run = daemon.fire_ok(t)
    receiver.wait(1)
    daemon.kill()
    daemon.start()
    run = daemon.wait_run(run)
    over.set()
    assert run["status"] == "success" and run["attempt"] == 2 and run["output"] == "second"
    assert receiver.requests[0].headers["ce-pawlrunid"] == receiver.requests[1].headers["ce-pawlrunid"]


def test_many_at_once(daemon, receiver):
    receiver.answer = lambda r: Answer(200, r.body)
    _, t = make(daemon, receiver.url)
    runs = [daemon.fire_ok(t, json.dumps({"n": i}).encode()) for i in range(100)]
    assert [daemon.wait_run(r)["output"]["n"] for r in runs] == list(range(100))


# ---- callbacks ----

def accepted(daemon, receiver, **fields):
    """A run whose server has answered 202, and which is in its hands: (id, the request, report(status, token=..., **fields))."""
    receiver.answer = lambda r: Answer(202, b"later")
    before = len(receiver.requests)
    _, t = make(daemon, receiver.url, callback=True, **fields)
    run = daemon.fire_ok(t)
    request = receiver.wait(before + 1)[before]
    wait_until(lambda: leases(daemon) == 1, 10, "the lease, which a crash must find on disk")

    def report(status, token=request.headers["pawl-callback-token"], **more):
        h = {"Pawl-Callback-Token": token} if token else {}
        return daemon.post(f"/api/v1/runs/{run}/status", {"status": status, **more}, headers=h)
    return run, request, report


def leases(daemon):
    with daemon.db() as con:
        return con.execute("SELECT count(*) FROM leases").fetchone()[0]


def metric(daemon, name):
    lines = daemon.get("/metrics").expect(200).body.decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(name + " ")))


def test_callback(daemon, receiver):
    run, request, report = accepted(daemon, receiver)
    assert request.headers["pawl-callback-url"] == f"{daemon.url}/api/v1/runs/{run}/status"
    assert one(daemon, run)["status"] == "running"
    assert report("success", token="f" * 32).expect(403).error == "PERMISSION_DENIED"
    report("success", token=None).expect(409)
    assert report("running", lease_seconds=100).expect(200).json()["lease_expires_at"]
    assert report("success", output={"sum": 3}).expect(200).json()["status"] == "success"
    run = one(daemon, run)
    assert run["status"] == "success" and run["output"] == {"sum": 3} and run["attempt"] == 1
    report("failed").expect(409)


def test_callbacks_to_all_addresses_are_warned_of(make_daemon, receiver):
    receiver.answer = lambda r: Answer(202)
    daemon = make_daemon("--allow-unauthenticated", listen=["0.0.0.0:0"])
    _, t = make(daemon, receiver.url, callback=True)
    for _ in range(2):
        daemon.fire_ok(t)
    assert receiver.wait(2)[0].headers["pawl-callback-url"].startswith("http://0.0.0.0:")
    assert daemon.stderr().count("set public_url") == 1


def test_callback_by_bearer_without_an_api_key(make_daemon, receiver):
    daemon = make_daemon()
    key = subprocess_key(daemon)
    daemon.api_key = key
    run, request, _ = accepted(daemon, receiver)
    url = f"/api/v1/runs/{run}/status"
    token = request.headers["pawl-callback-token"]
    daemon.api_key = None
    body = {"status": "failed", "error": "no luck"}
    daemon.post(url, body).expect(401)
    daemon.post(url, body, headers={"Authorization": "Bearer hello"}).expect(401)
    daemon.post(url, body, headers={"Authorization": "Bearer " + "0" * 32}).expect(403)
    daemon.post(f"/api/v1/runs/00000000-0000-7000-8000-000000000000/status", body, headers={"Pawl-Callback-Token": token}).expect(403)
    daemon.post(f"/api/v1/runs/{run}/cancel", headers={"Authorization": "Bearer " + token}).expect(401)
    daemon.get(f"/api/v1/runs/{run}", headers={"Authorization": "Bearer " + token}).expect(401)
    daemon.post(url, body, headers={"Authorization": "Bearer " + token}).expect(200)
    daemon.post(url, body, headers={"Authorization": "Bearer " + token}).expect(403)  # it is over
    daemon.api_key = key
    assert one(daemon, run)["error"] == "no luck"


def subprocess_key(daemon):
    out = cli("key", "add", "test", "--data", daemon.data)
    assert out.returncode == 0, out.stderr
    key = out.stdout.split()[-1]
    wait_until(lambda: daemon.get("/api/v1/runs").status == 401, 10, "the key")
    return key


@pytest.mark.parametrize("status", ["success", "failed"])
def test_the_log_is_what_the_callback_says(daemon, receiver, status):
    """Also for who has followed the run since before it was handed over, and in attempts that were not the last."""
    receiver.answer = lambda r: Answer(202, b"later")
    _, t = make(daemon, receiver.url, callback=True, retry={"max_attempts": 2, "backoff_seconds": 0})
    run = daemon.fire_ok(t)
    expected = []
    with daemon.follow(run) as stream:
        stream.until("status", status="running")
        for attempt, result in enumerate(["failed", status], start=1):
            request = receiver.wait(attempt)[-1]
            wait_until(lambda: metric(daemon, "pawl_runs_leased") >= 1, 10, "the lease")
            headers = {"Pawl-Callback-Token": request.headers["pawl-callback-token"]}
            body = {"status": result, "logs": [{"message": f"attempt {attempt}"}, {"message": "over"}]}
            daemon.post(f"/api/v1/runs/{run}/status", body, headers=headers).expect(200)
            expected += [f"attempt {attempt}", "over"]
        assert stream.messages() == expected
    assert [line["message"] for line in daemon.get(f"/api/v1/runs/{run}/logs").json()["logs"]] == expected[2:]


def test_callback_survives_a_restart(daemon, receiver):
    for end in (daemon.kill, daemon.stop):
        run, request, report = accepted(daemon, receiver)
        end()
        daemon.start()
        assert one(daemon, run)["status"] == "running"
        report("success", token="f" * 32).expect(403)
        report("success", output="done").expect(200)
        assert one(daemon, run)["output"] == "done" and one(daemon, run)["attempt"] == 1


def test_callback_frees_the_slot_and_counts_for_concurrency(make_daemon, receiver):
    daemon = make_daemon(config={"running_max": 1})
    run, _, report = accepted(daemon, receiver)
    other = daemon.create_webhook_trigger(daemon.create_pipeline())
    assert daemon.wait_run(daemon.fire_ok(other))["status"] == "success"  # there is a slot
    report("success").expect(200)


def test_no_callback(daemon, receiver):
    receiver.answer = lambda r: Answer(202, b"later")
    _, t = make(daemon, receiver.url, callback=True, callback_timeout_seconds=1)
    run = daemon.wait_run(daemon.fire_ok(t))
    assert (run["status"], run["error"]) == ("failed", "no callback within 1 seconds")
    headers = {"Pawl-Callback-Token": receiver.requests[0].headers["pawl-callback-token"]}
    daemon.post(f"/api/v1/runs/{run['id']}/status", {"status": "success"}, headers=headers).expect(409)


def test_the_time_of_a_run_ends_the_wait_for_a_callback(daemon, receiver):
    receiver.answer = lambda r: Answer(202, b"later")
    for seconds in (0.5, 2, 10, 50):
        p = daemon.create_pipeline(executor={"type": "http", "url": receiver.url, "callback": True}, timeout_seconds=seconds)
        run = daemon.wait_run(daemon.fire_ok(daemon.create_webhook_trigger(p)), "failed")
        if "no complete answer within" not in run["error"]:  # as it is when not even the 202 comes in time
            break
    waited = float(re.fullmatch(r"no callback within ([0-9.]+) seconds", run["error"])[1])
    assert 0 < waited <= seconds


def test_a_callback_may_fail_and_be_repeated(daemon, receiver):
    run, request, report = accepted(daemon, receiver, retry={"max_attempts": 2, "backoff_seconds": 0})
    report("failed", error="once more").expect(200)
    second = receiver.wait(2)[1]
    assert second.headers["ce-pawlattempt"] == "2" and second.headers["pawl-callback-token"] != request.headers["pawl-callback-token"]
    wait_until(lambda: one(daemon, run)["status"] == "running" and metric(daemon, "pawl_runs_leased") == 1, 10, "the second lease")
    report("success").expect(403)  # the first attempt's
    report("success", token=second.headers["pawl-callback-token"]).expect(200)
    assert one(daemon, run)["attempt"] == 2


def test_a_callback_may_be_faster_than_the_answer(daemon, receiver):
    codes = []

    def answer(r):
        status = "success" if len(codes) == 0 else "failed"
        path = r.headers["pawl-callback-url"].removeprefix(daemon.url)
        codes.append(daemon.post(path, {"status": "running"}, headers={"Pawl-Callback-Token": r.headers["pawl-callback-token"]}).status)
        codes.append(daemon.post(path, {"status": status, "output": "fast"},
                                 headers={"Pawl-Callback-Token": r.headers["pawl-callback-token"]}).status)
        return Answer(202)
    receiver.answer = answer
    _, t = make(daemon, receiver.url, callback=True, retry={"max_attempts": 2, "backoff_seconds": 0})
    run = daemon.wait_run(daemon.fire_ok(t))
    assert run["status"] == "success" and run["output"] == "fast"
    run = daemon.wait_run(daemon.fire_ok(t))
    assert run["status"] == "failed" and run["attempt"] == 2
    wait_until(lambda: len(codes) == 6, what="the answer to the last callback to be heard")
    assert codes == [200] * 6
    wait_until(lambda: metric(daemon, "pawl_runs_running") == 0 and metric(daemon, "pawl_runs_leased") == 0, 10, "the end")


def test_a_run_that_is_outside_can_be_cancelled(daemon, receiver):
    run, _, report = accepted(daemon, receiver)
    daemon.post(f"/api/v1/runs/{run}/cancel").expect(200)
    assert one(daemon, run)["status"] == "cancelled"
    assert report("success").expect(409).json()["status"] == "cancelled"


def test_other_answers_need_no_callback(daemon, receiver):
    receiver.answer = lambda r: Answer(200, b"at once")
    _, t = make(daemon, receiver.url, callback=True)
    assert daemon.wait_run(daemon.fire_ok(t))["output"] == "at once"


def test_runs_outside_have_a_limit(make_daemon, receiver):
    daemon = make_daemon(config={"leased_max": 1})
    accepted(daemon, receiver)
    _, t = make(daemon, receiver.url, callback=True)
    run = daemon.wait_run(daemon.fire_ok(t))
    assert run["error"] == "too many runs are carried out elsewhere (leased_max)" and len(receiver.requests) == 1


def test_callback_needs_a_pipeline_of_its_own(daemon):
    r = daemon.post("/api/v1/pipelines", {"namespace": "default", "layer": "bronze", "name": "two", "steps": [
        {"executor": {"type": "http", "url": "http://a/", "callback": True}}, {"argv": ["true"]}]}).expect(400)
    assert "steps[0].executor.callback: needs a pipeline with exactly one step" in r.message


def test_a_stop_interrupts_requests_and_hands_over_the_rest(make_daemon, receiver):
    """What is under way at the end of the grace is interrupted and done again; nothing of it is left behind."""
    daemon = make_daemon(config={"stop_grace_seconds": 0})
    over = threading.Event()
    receiver.answer = lambda r: (over.wait(3600) and None) if len(receiver.requests) == 1 else Answer(200, b"again")
    _, t = make(daemon, receiver.url, retry={"max_attempts": 2, "backoff_seconds": 0})
    run = daemon.fire_ok(t)
    receiver.wait(1)
    daemon.stop()
    over.set()
    daemon.start()
    run = daemon.wait_run(run)
    assert run["status"] == "success" and run["attempt"] == 2 and run["output"] == "again"


def test_the_proxy_of_the_environment(make_daemon, receiver):
    """It gets the requests to other machines, and none to this one."""
    daemon = make_daemon(env={"http_proxy": receiver.url})
    receiver.answer = lambda r: Answer(200, r.path.encode())
    run = fire_one(daemon, "http://elsewhere.invalid/x")
    assert run["status"] == "success" and run["output"] == "http://elsewhere.invalid/x"
    assert fire_one(daemon, receiver.url + "/y")["output"] == "/y"


def test_the_check_of_the_documentation(daemon, receiver):
    with open(os.path.join(ROOT, "docs", "executors.md"), encoding="utf-8") as f:
        script = re.search(r"```python\n(.*?)```", f.read().split("\n## http\n")[1], re.S).group(1)
    names = {}
    exec(script, names)  # pylint: disable=exec-used
    fire_one(daemon, receiver.url, secret=SECRET)
    [r] = receiver.requests
    assert names["is_genuine"](SECRET, r.headers, r.body)
    assert not names["is_genuine"](SECRET, r.headers, r.body + b" ")
