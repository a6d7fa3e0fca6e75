"""ArkEvents that are called: POST /triggers/{namespace}/{name}/fire."""
import concurrent.futures
import contextlib
import json
import os
import re
import resource
import sqlite3
import subprocess
import uuid

import pytest

from pawl import binary, wait_until

FIRED_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


def script(text):
    return ["/bin/sh", "-c", text]


JSON = {"Content-Type": "application/json"}


def waits_for(path):
    """A command that ends when the file is there."""
    return script(f'until [ -e "{path}" ]; do sleep 0.02; done; echo done')


# ---- answers ----


def test_asynchronous(daemon):
    for t in ("a", "b"):
        daemon.create_team(t, ["/bin/cat"])
    e = daemon.create_event("both", "a", "b")
    body = daemon.fire_event(e, {"n": 1}).expect(202).json()
    assert set(body) == {"fired", "firedAt", "trigger", "targets", "runs"}
    assert body["fired"] is True and body["trigger"] == "both" and body["targets"] == 2 and FIRED_AT.fullmatch(body["firedAt"])
    runs = [daemon.wait_run(r, "success") for r in body["runs"]]
    assert [r["output"]["pipeline"] for r in runs] == ["ai.team.a", "ai.team.b"]
    assert [r["output"]["payload"] for r in runs] == [{"n": 1}] * 2 and not any("input" in r for r in runs)
    assert len({uuid.UUID(r) for r in body["runs"]}) == 2
    assert daemon.event(e)["status"]["firedCount"] == 1
    assert daemon.event(e)["status"]["lastFiredAt"][:19] == body["firedAt"][:19]


def test_synchronous(daemon):
    daemon.create_team("ok", ["/bin/cat"])
    daemon.create_team("bad", script("echo no luck >&2; exit 3"))
    e = daemon.create_event("one", "ok")
    body = daemon.fire_event(e, '{"topic":"quantum computing"}', headers=JSON, query="mode=sync&timeout=120s").expect(200).json()
    assert set(body) == {"status", "output", "durationMs"} and body["status"] == "succeeded"
    assert body["output"]["payload"] == {"topic": "quantum computing"} and body["durationMs"] >= 0
    body = daemon.fire_event(daemon.create_event("broken", "bad"), query="mode=sync").expect(500).json()
    assert set(body) == {"status", "error", "durationMs"} and body["status"] == "failed" and "3" in body["error"]
    body = daemon.fire_event(daemon.create_event("several", "ok", "bad"), [1], query="mode=sync").expect(500).json()
    assert set(body) == {"status", "results"} and body["status"] == "failed"
    ok, bad = body["results"]
    assert set(ok) == {"team", "status", "output", "durationMs"} and (ok["team"], ok["status"], ok["output"]["payload"]) == ("ok", "succeeded", [1])
    assert set(bad) == {"team", "status", "error", "durationMs"} and (bad["team"], bad["status"]) == ("bad", "failed")
    daemon.create_team("fine", ["/bin/cat"])
    body = daemon.fire_event(daemon.create_event("good", "ok", "fine"), b"1", query="mode=sync").expect(200).json()
    assert body["status"] == "succeeded" and [r["team"] for r in body["results"]] == ["ok", "fine"]


def test_outputs_that_would_be_a_flood(daemon):
    """Each waits for the last: what is too much for all of them together is left out, and said where it is."""
    teams = [f"t{i}" for i in range(12)]
    for t in teams:
        daemon.create_team(t, script("head -c 1048576 /dev/zero"))  # 6 MiB as JSON
    body = daemon.fire_event(daemon.create_event("many", *teams), query="mode=sync&timeout=5m", timeout=360).expect(200).json()
    assert [r["team"] for r in body["results"]] == teams
    whole, left_out = ([r for r in body["results"] if ("output_truncated" in r) == cut] for cut in (False, True))
    assert len(whole) == 10 and all(len(r["output"]) == 1 << 20 for r in whole)
    for r in left_out:
        assert set(r) == {"team", "status", "output", "output_truncated", "run", "durationMs"} and r["output"] is None
        assert len(daemon.run(r["run"])["output"]) == 1 << 20
    again = daemon.fire_event(daemon.create_event("few", *teams[:2]), query="mode=sync&timeout=5m", timeout=360).expect(200).json()
    assert [len(r["output"]) for r in again["results"]] == [1 << 20] * 2


def test_the_time_is_over(daemon, tmp_path):
    daemon.create_team("slow", waits_for(tmp_path / "go"))
    e = daemon.create_event("e", "slow")
    for asked, told in (("50ms", "50ms"), ("0.1s", "100ms")):
        body = daemon.fire_event(e, query=f"mode=sync&timeout={asked}").expect(504).json()
        assert set(body) == {"error", "durationMs", "runs"} and body["error"].startswith(f"timed out after {told}")
        assert body["durationMs"] >= 50 and len(body["runs"]) == 1
    (tmp_path / "go").touch()
    assert daemon.wait_run(body["runs"][0], "success")["output"] == "done\n"


@pytest.mark.parametrize("timeout", ["", "0", "0s", "-1s", "5", "1x", "s", "1h2", "1e3s", "99999999999999999999h", "+", ".s", "1 s"])
def test_durations_that_are_none(daemon, timeout):
    daemon.create_team("t")
    e = daemon.create_event("e", "t")
    r = daemon.fire_event(e, query="mode=sync&timeout=" + timeout.replace(" ", "%20")).expect(400)
    assert r.error == "INVALID_ARGUMENT" and r.message.startswith("timeout:")
    assert daemon.event(e)["status"].get("firedCount", 0) == 0


def test_durations_of_all_units(daemon):
    daemon.create_team("t")
    e = daemon.create_event("e", "t")
    for timeout in ("120s", "2m", "1m30s", "120000000us", "120000000000ns", "1h", "8000h", "1.5m"):
        daemon.fire_event(e, query=f"mode=sync&timeout={timeout}").expect(200)
    assert daemon.fire_event(e, query="mode=later").expect(400).message.startswith("mode:")


# ---- who may ----


def test_tokens(daemon):
    daemon.create_team("t")
    e, other = daemon.create_event("e", "t"), daemon.create_event("other", "t")
    token = daemon.event_token(e)
    assert re.fullmatch("[0-9a-f]{64}", token)
    for wrong in ("", "x", token[:-1], token.upper() if token.upper() != token else "x", token + "0", daemon.event_token(other)):
        assert daemon.fire_event(e, token=wrong).expect(401).error == "UNAUTHENTICATED"
    daemon.fire_event(e, token="", query=f"token={token}").expect(202)
    daemon.fire_event(e, token="", headers={"Authorization": f"bearer {token}"}).expect(202)
    daemon.fire_event(e, token="", query="token=wrong").expect(401)
    assert daemon.event(e)["status"]["firedCount"] == 2


def test_a_token_lasts_as_long_as_its_event(daemon):
    daemon.create_team("t")
    e = daemon.create_event("e", "t")
    token = daemon.event_token(e)
    daemon.create_event("e", "t", cooldownSeconds=0, concurrencyPolicy="Forbid")
    assert daemon.event_token(e) == token
    daemon.create_event("e", "t", source={"type": "cron", "cron": "0 8 * * *"})
    assert daemon.fire_event(e, token=token).expect(400).error == "INVALID_ARGUMENT"
    daemon.restart()
    daemon.create_event("e", "t")
    assert daemon.event_token(e) == token
    daemon.fire_event(e, token=token).expect(202)
    daemon.delete(daemon.event_path(e)).expect(200)
    daemon.fire_event(e, token=token).expect(404)
    daemon.create_event("e", "t")
    assert daemon.event_token(e) != token
    daemon.fire_event(e, token=token).expect(401)
    daemon.restart()
    daemon.fire_event(e, token=token).expect(401)
    daemon.fire_event(e).expect(202)


def test_tokens_are_nowhere_else(daemon):
    daemon.create_team("t")
    e = daemon.create_event("e", "t")
    token = daemon.event_token(e)
    daemon.fire_event(e, token="", query=f"token={token}").expect(202)
    daemon.fire_event(e, token=token).expect(202)
    for query in (f"mode=nonsense&token={token}", f"token={token}&timeout=x&mode=sync"):
        assert token.encode() not in daemon.fire_event(e, token="", query=query).expect(400).body
    assert token.encode() not in daemon.get(f"/triggers/{e}/fire?token={token}").expect(405).body
    assert token.encode() not in daemon.post(f"/triggers/ai/none/fire?token={token}").expect(404).body
    assert token not in json.dumps(daemon.event(e))
    daemon.stop()
    assert token not in daemon.stderr()
    for where, _, names in os.walk(daemon.data):
        for name in names:
            with open(os.path.join(where, name), "rb") as f:
                data = f.read()
            assert token.encode() not in data and bytes.fromhex(token) not in data, name
    assert os.stat(os.path.join(daemon.data, "secret.key")).st_mode & 0o7777 == 0o600


def test_refusals(daemon):
    daemon.create_team("t")
    e = daemon.create_event("e", "t")
    token = daemon.event_token(e)
    for method in ("GET", "PUT", "DELETE", "PATCH"):
        r = daemon.request(method, f"/triggers/{e}/fire", headers={"Authorization": f"Bearer {token}"}).expect(405)
        assert r.headers["allow"] == "POST"
    assert daemon.request("HEAD", f"/triggers/{e}/fire").expect(405).body == b""
    daemon.fire_event("ai/none", token=token).expect(404)
    daemon.fire_event("other/e", token=token).expect(404)
    for source in ({"type": "cron", "cron": "0 8 * * *"}, {"type": "team-output", "teamOutput": {"name": "x"}}):
        r = daemon.fire_event(daemon.create_event("none", "t", source=source), token=token).expect(400)
        assert r.error == "INVALID_ARGUMENT"
    daemon.create_event("e", "t", suspended=True)
    assert daemon.fire_event(e).expect(503).error == "UNAVAILABLE"
    assert daemon.event(e)["status"].get("firedCount", 0) == 0
    r = daemon.fire_event(daemon.create_event("lost", "t", "nobody")).expect(409)
    assert "ai.team.nobody" in r.message
    assert daemon.all_runs() == []


def test_cooldown(daemon):
    daemon.create_team("t")
    e = daemon.create_event("e", "t", cooldownSeconds=3600)
    daemon.fire_event(e).expect(202)
    r = daemon.fire_event(e).expect(429)
    assert r.error == "RESOURCE_EXHAUSTED" and 3500 < int(r.headers["retry-after"]) <= 3600
    daemon.restart()
    assert 3500 < int(daemon.fire_event(e, query="mode=sync").expect(429).headers["retry-after"]) <= 3600
    assert daemon.event(e)["status"]["firedCount"] == 1


def test_forbid(daemon, tmp_path):
    daemon.create_team("t", waits_for(tmp_path / "go"))
    daemon.create_team("quick")
    e = daemon.create_event("e", "quick", "t", concurrencyPolicy="Forbid")
    runs = daemon.fire_event(e).expect(202).json()["runs"]
    daemon.wait_run(runs[0], "success")
    r = daemon.fire_event(e).expect(429)
    assert r.error == "RESOURCE_EXHAUSTED" and int(r.headers["retry-after"]) >= 1
    (tmp_path / "go").touch()
    daemon.wait_run(runs[1], "success")
    daemon.fire_event(e).expect(202)


def test_forbid_lasts_until_the_last_attempt(daemon, tmp_path):
    """Whatever way a run takes to its end, and over a crash."""
    once = script(f'[ -e "{tmp_path}/two" ] && exit 0; [ -e "{tmp_path}/one" ] && exec sleep 300; : > "{tmp_path}/one"; exit 1')
    daemon.create_team("t", once, retry={"max_attempts": 3, "backoff_seconds": 0})
    e = daemon.create_event("e", "t", concurrencyPolicy="Forbid")
    run = daemon.fire_event(e).expect(202).json()["runs"][0]
    wait_until(lambda: daemon.run(run)["attempt"] == 2, what="the second attempt")
    daemon.fire_event(e).expect(429)
    daemon.kill()
    (tmp_path / "two").touch()
    daemon.start()
    daemon.wait_run(run, "success")
    daemon.fire_event(e).expect(202)


def test_forbid_of_runs_that_workers_take(daemon):
    p = daemon.create_team("t", executor={"type": "pull"})
    e = daemon.create_event("e", "t", concurrencyPolicy="Forbid")
    run = daemon.fire_event(e).expect(202).json()["runs"][0]
    daemon.fire_event(e).expect(429)
    daemon.restart()
    daemon.fire_event(e).expect(429)
    daemon.delete(daemon.pipeline_path(p)).expect(204)
    wait_until(lambda: daemon.run(run)["status"] == "cancelled", what="the run's end with its pipeline")
    daemon.create_team("t")
    daemon.fire_event(e).expect(202)


# ---- bodies ----


def input_of(daemon, body, texts, **kw):
    daemon.create_team("t", ["/bin/cat"])
    e = daemon.create_event("e", {"team": "t", "input": texts})
    return daemon.fire_event(e, body, query="mode=sync", **kw).expect(200).json()["output"]["payload"]


def test_inputs(daemon):
    got = input_of(daemon, '{"topic":"Quanten\\u00fc\\n \U0001f600","n":{"deep":[1,{"x":null}],"t":true,"f":1.5},"e":"{{ .trigger.name }}"}', {
        "topic": "on {{ .trigger.body.topic }}!", "deep": "{{.trigger.body.n.deep}}", "t": "{{ .trigger.body.n.t }}{{ .trigger.body.n.f }}",
        "none": "<{{ .trigger.body.a.b.c }}>", "once": "{{ .trigger.body.e }}", "name": "{{ .trigger.name }}",
        "at": "{{ .trigger.firedAt }}", "out": "{{ .trigger.output }}"})
    assert FIRED_AT.fullmatch(got.pop("at"))
    assert got == {"topic": "on Quanten\u00fc\n \U0001f600!", "deep": '[1,{"x":null}]', "t": "true1.5", "none": "<>",
                   "once": "{{ .trigger.name }}", "name": "e", "out": ""}


def test_numbers_keep_their_digits(daemon):
    """Also those that no type holds: they must not make the rest go missing."""
    body = b'{"id": 12345678901234567890, "topic": "moths", "more": {"n": [1.10, 1e400, 1E2]}, "nul": "\\u0000"}'
    texts = {"id": "{{ .trigger.body.id }}", "topic": "{{ .trigger.body.topic }}", "more": "{{ .trigger.body.more }}", "nul": "{{ .trigger.body.nul }}"}
    assert input_of(daemon, body, texts) == {"id": "12345678901234567890", "topic": "moths", "more": '{"n":[1.10,1e400,1E2]}', "nul": "\0"}


def test_bodies_that_are_no_json(daemon):
    assert input_of(daemon, b'{"x":"\xff\x00"}', {"b": "<{{ .trigger.body }}>", "c": "{{ .trigger.body.x }}"}) == {"b": "<>", "c": ""}
    daemon.create_event("e", "t")
    assert daemon.fire_event("ai/e", b"plain text", query="mode=sync").expect(200).json()["output"]["payload"] == "plain text"
    assert daemon.fire_event("ai/e", b"", query="mode=sync").expect(200).json()["output"]["payload"] in (None, "")


def test_how_large_a_body_may_be(daemon):
    daemon.create_team("t", script("wc -c"))  # of the payload and some 400 bytes around it
    e = daemon.create_event("e", "t", {"team": "u", "input": {"b": "{{ .trigger.body.b }}", "all": "{{ .trigger.body }}"}})
    daemon.create_team("u", script("wc -c"))
    text = json.dumps({"b": "x" * ((1 << 20) - 9)}).encode().ljust(1 << 20)
    assert len(text) == 1 << 20
    first, second = daemon.fire_event(e, text, query="mode=sync").expect(200).json()["results"]
    assert 1 << 20 < int(first["output"]) < (1 << 20) + 1000 and int(second["output"]) > 2 << 20
    assert daemon.fire_event(e, text + b" ").expect(413).error
    assert daemon.event(e)["status"]["firedCount"] == 1


def test_inputs_that_would_be_a_flood(daemon):
    """Of one large body, many times over: nothing starts, nor is any run replaced for it."""
    daemon.create_team("t")
    daemon.create_team("r", ["/bin/sleep", "300"], concurrency={"max_runs": 1, "policy": "replace"})
    going = daemon.fire_event(daemon.create_event("before", "r")).expect(202).json()["runs"][0]
    daemon.wait_run(going, "running")
    for name, texts in (("one", {"a": "{{ .trigger.body }}" * 800}), ("fields", {f"f{i}": "{{ .trigger.body }}" for i in range(40)})):
        e = daemon.create_event(name, "r", {"team": "t", "input": texts})
        r = daemon.fire_event(e, {"b": "x" * 500_000}).expect(413)
        assert r.error == "PAYLOAD_TOO_LARGE" and "8 MiB" in r.message
        assert daemon.event(e)["status"].get("firedCount", 0) == 0
    assert [r["id"] for r in daemon.all_runs()] == [going] and daemon.run(going)["status"] == "running"
    daemon.post(f"/api/v1/runs/{going}/cancel").expect(200)


def test_a_replay_gets_the_same_input(daemon, tmp_path):
    daemon.create_team("t", script(f'cat; [ -e "{tmp_path}/go" ]'))
    e = daemon.create_event("e", {"team": "t", "input": {"x": "{{ .trigger.body.x }} at {{ .trigger.firedAt }}"}})
    run = daemon.fire_event(e, {"x": "first"}).expect(202).json()["runs"][0]
    given = daemon.wait_run(run, "failed")["input"]
    said = daemon.logs(run)
    (tmp_path / "go").touch()
    again = daemon.post(f"/api/v1/runs/{run}/replay").expect(202).json()["run_id"]
    made = daemon.wait_run(again, "success")
    assert given == made["input"] == made["output"]["payload"]
    text = given["x"]
    assert text.startswith("first at ") and text in json.dumps(said)


# ---- connections ----


def test_pipelined_calls_are_answered_in_order(daemon, tmp_path):
    daemon.create_team("slow", waits_for(tmp_path / "go"))
    daemon.create_team("quick", ["/bin/echo", "done"])
    slow, quick = daemon.create_event("slow", "slow"), daemon.create_event("quick", "quick")

    def call(event, body):
        return (f"POST /triggers/{event}/fire?mode=sync HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {daemon.event_token(event)}\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}")

    with daemon.wire() as w:
        w.send(call(slow, "1") + call(quick, "2") + call(quick, "3"))
        wait_until(lambda: daemon.event(slow)["status"].get("firedCount") == 1, what="the first call")
        assert w.is_open()
        (tmp_path / "go").touch()
        assert [w.response().expect(200).json()["output"] for _ in range(3)] == ["done\n"] * 3


def test_a_call_that_is_half_closed_or_comes_in_bits(daemon):
    daemon.create_team("t", ["/bin/cat"])
    e = daemon.create_event("e", "t")
    text = (f"POST /triggers/{e}/fire?mode=sync HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {daemon.event_token(e)}\r\n"
            "Content-Length: 6\r\n\r\nslowly").encode()
    with daemon.wire() as w:
        for i in range(0, len(text), 9):
            w.send(text[i:i + 9])
        assert w.shutdown_write().response().expect(200).json()["output"]["payload"] == "slowly"


def sockets(daemon):
    """How many it has open. Other descriptors come and go: readers of the database, for one."""
    count = 0
    for fd in os.listdir(f"/proc/{daemon.pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            count += os.readlink(f"/proc/{daemon.pid}/fd/{fd}").startswith("socket:")
    return count


def test_the_run_goes_on_without_its_caller(daemon, tmp_path):
    daemon.create_team("t", waits_for(tmp_path / "go"))
    e = daemon.create_event("e", "t")
    head = f"POST /triggers/{e}/fire?mode=sync HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {daemon.event_token(e)}\r\n"
    before = sockets(daemon)
    for _ in range(3):
        with daemon.wire() as w:
            fired = daemon.event(e)["status"].get("firedCount", 0)
            w.send(head + "Content-Length: 2\r\n\r\n{}")
            wait_until(lambda: daemon.event(e)["status"].get("firedCount", 0) > fired, what="the call")  # noqa: B023
    (tmp_path / "go").touch()
    runs = wait_until(lambda: [r for r in daemon.all_runs() if r["status"] == "success"][2:] and daemon.all_runs(), what="three runs")
    assert [r["status"] for r in runs] == ["success"] * 3
    wait_until(lambda: sockets(daemon) <= before, what="the sockets of those who left")


def test_who_has_left_is_not_waited_for(daemon, tmp_path):
    daemon.create_team("t", waits_for(tmp_path / "go"))
    e = daemon.create_event("e", "t")
    before = sockets(daemon)
    head = f"POST /triggers/{e}/fire?mode=sync&timeout=5m HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {daemon.event_token(e)}\r\nContent-Length: 2\r\n\r\n"
    with daemon.wire() as left:
        left.send(head + "{}")
        wait_until(lambda: daemon.event(e)["status"].get("firedCount", 0) == 1, what="the call")
    with daemon.wire() as listens:
        answer = listens.send(head + "{}").shutdown_write().response().expect(504).json()
        assert "closed its side" in answer["error"] and answer["durationMs"] < 60_000
    wait_until(lambda: sockets(daemon) <= before, what="the sockets of those who left")
    wait_until(lambda: [r["status"] for r in daemon.all_runs()] == ["running"] * 2, what="the runs to go on")
    (tmp_path / "go").touch()
    wait_until(lambda: [r["status"] for r in daemon.all_runs()] == ["success"] * 2, what="the runs")


def test_callers_who_wait_hold_no_bodies(make_daemon):
    """Large bodies of those who wait would leave no room for what others send."""
    d = make_daemon(config={"buffered_bytes_max": 1 << 20})
    p = d.create_team("t", executor={"type": "pull"})
    e = d.create_event("e", "t")
    head = (f"POST /triggers/{e}/fire?mode=sync&timeout=5m HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {d.event_token(e)}\r\n"
            "Content-Length: 700000\r\n\r\n")
    with contextlib.ExitStack() as callers:
        calls = []
        for n in range(1, 4):
            calls.append(callers.enter_context(d.wire()).send(head + "x" * 700_000))
            wait_until(lambda: d.event(e)["status"].get("firedCount") == n or not calls[-1].is_open(), what="the call")  # noqa: B023
        assert all(c.is_open() for c in calls)
        wait_until(lambda: "\npawl_http_buffered_bytes 0\n" in d.get("/metrics").body.decode(), what="the bodies to be gone")
        d.delete(d.pipeline_path(p)).expect(204)
        assert [c.response().expect(500).json()["status"] for c in calls] == ["cancelled"] * 3


def test_stopping_while_callers_wait(daemon, tmp_path):
    """What ends in time is answered; who waits for a worker's run is told that it goes on."""
    daemon.create_team("t", waits_for(tmp_path / "go"))
    daemon.create_team("pulled", executor={"type": "pull"})
    ends, stays = daemon.create_event("ends", "t"), daemon.create_event("stays", "pulled", "t")
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        calls = {e: pool.submit(daemon.fire_event, e, query="mode=sync") for e in (ends, stays)}
        wait_until(lambda: all(daemon.event(e)["status"].get("firedCount") for e in calls), what="the calls")
        daemon.begin_stop()
        (tmp_path / "go").touch()
        assert calls[ends].result().expect(200).json()["output"] == "done\n"
        body = calls[stays].result().expect(504).json()
        assert "stopping" in body["error"] and len(body["runs"]) == 2
        daemon.wait_exit()
    daemon.start()
    assert [daemon.run(r)["status"] for r in body["runs"]] == ["pending", "success"]


CALLERS = """
import resource, socket, sys
host, port, n, path, token = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4], sys.argv[5]
resource.setrlimit(resource.RLIMIT_NOFILE, (n + 100, n + 100))
call = f"POST {path}?mode=sync&timeout=5h HTTP/1.1\\r\\nHost: x\\r\\nAuthorization: Bearer {token}\\r\\nContent-Length: 2\\r\\n\\r\\n{{}}"
waiting = []
for i in range(n):
    s = socket.create_connection((host, port), timeout=3600)
    s.sendall(call.encode())
    waiting.append(s)
print("sent", flush=True)
print(sum(s.recv(4096).startswith(b"HTTP/1.1 500 ") for s in waiting), flush=True)
"""
CALLERS_COUNT = 10000


@pytest.mark.skipif(resource.getrlimit(resource.RLIMIT_NOFILE)[1] < CALLERS_COUNT + 200, reason="too few open files are allowed")
def test_ten_thousand_callers_wait(make_daemon):
    """For runs that no worker takes, until their pipeline is deleted."""
    d = make_daemon(wrapper=("/bin/sh", "-c", f'ulimit -n {CALLERS_COUNT + 200} && exec "$@"', "sh"))
    p = d.create_team("t", executor={"type": "pull"})
    e = d.create_event("e", "t")
    before = d.rss_bytes()
    args = [d.host, str(d.port), str(CALLERS_COUNT), f"/triggers/{e}/fire", d.event_token(e)]
    with subprocess.Popen(["/usr/bin/python3", "-c", CALLERS, *args], stdout=subprocess.PIPE, text=True) as callers:
        assert callers.stdout.readline() == "sent\n"
        wait_until(lambda: d.event(e)["status"].get("firedCount") == CALLERS_COUNT, 60, "the calls")
        for_each = (d.rss_bytes() - before) / CALLERS_COUNT
        d.get("/health").expect(200)
        d.delete(d.pipeline_path(p)).expect(204)
        assert callers.stdout.readline() == f"{CALLERS_COUNT}\n"
    assert for_each < 16384 * (4 if is_sanitized() else 1)
    wait_until(lambda: d.open_fds() < 200, what="the connections to be gone")


def is_sanitized():
    with open(binary(), "rb") as f:
        return b"__asan_init" in f.read()


def test_the_key_is_lost(daemon):
    """Calls go on; the Secret cannot be read until the event is made again."""
    daemon.create_team("t")
    e = daemon.create_event("e", "t")
    token = daemon.event_token(e)
    daemon.stop()
    key = os.path.join(daemon.data, "secret.key")
    os.chmod(key, 0o644)
    _, why = daemon.start_fails()
    assert "secret.key" in why and "0600" in why
    os.unlink(key)
    daemon.start()
    assert "Secrets of ArkEvents cannot be read" in daemon.stderr() and '"first":"ai/e"' in daemon.stderr()
    daemon.fire_event(e, token=token).expect(202)
    secret = daemon.get("/api/v1/namespaces/ai/secrets/e-webhook-token").expect(200).json()
    assert secret["data"] == {} and "another key" in secret["metadata"]["annotations"]["pawl.dev/unreadable"]
    daemon.delete(daemon.event_path(e)).expect(200)
    daemon.create_event("e", "t")
    daemon.fire_event(e).expect(202)
    assert "annotations" not in daemon.get("/api/v1/namespaces/ai/secrets/e-webhook-token").json()["metadata"]
    before = daemon.stderr().count("cannot be read")
    daemon.restart()
    assert daemon.stderr().count("cannot be read") == before


def test_a_schedule_fires(daemon):
    """It says when it does next, and does not while it is suspended."""
    daemon.create_team("t", ["/bin/cat"])
    targets = [{"team": "t", "input": {"at": "{{ .trigger.firedAt }}", "by": "{{ .trigger.name }}", "with": "{{ .trigger.body.x }}"}}]
    e = daemon.create_event("e", *targets, source={"type": "cron", "cron": "@every 1s"})
    wait_until(lambda: daemon.event(e)["status"]["firedCount"] > 0, what="the first firing")
    doc = daemon.event(e)
    assert doc["status"]["nextFireAt"] > doc["status"]["lastFiredAt"]
    assert condition(daemon, e)[:2] == ("True", "Active") and condition(daemon, e)[2].startswith("next fire at 20")
    doc["spec"]["suspended"] = True
    del doc["metadata"]["resourceVersion"]
    suspended = daemon.put(daemon.event_path(e), doc).expect(200).json()
    assert "nextFireAt" not in suspended["status"] and condition(daemon, e)[:2] == ("False", "Suspended")
    runs = daemon.get("/api/v1/runs?namespace=ai").json()["runs"]
    assert len(runs) == suspended["status"]["firedCount"]
    given = daemon.wait_run(runs[-1]["id"], "success")["output"]["payload"]
    assert given == {"at": given["at"], "by": "e", "with": ""} and re.fullmatch(r"20[-0-9]+T[:0-9]+[.][0-9]{3}Z", given["at"])


def test_a_schedule_that_is_not_understood_any_more(daemon):
    """What another version of pawl took is kept, shows why it does not fire, and can be mended."""
    daemon.create_team("t")
    e = daemon.create_event("e", "t", source={"type": "cron", "cron": "0 8 * * *"})
    assert condition(daemon, e)[:2] == ("True", "Active")
    before = daemon.event(e)["metadata"]
    daemon.stop()
    with sqlite3.connect(os.path.join(daemon.data, "pawl.db")) as db:
        db.execute("UPDATE triggers SET config = replace(config, '0 8 * * *', '0 8 * * NEVER')")
    db.close()
    daemon.start()
    assert condition(daemon, e) == ("False", "InvalidCron", "the schedule cannot be read")
    assert "trigger:arkevent:ai/e" in daemon.stderr() and "NEVER" in daemon.stderr()
    after = daemon.event(e)["metadata"]
    assert after["generation"] == before["generation"] and int(after["resourceVersion"]) > int(before["resourceVersion"])
    assert daemon.event(e)["spec"]["source"]["cron"] == "0 8 * * NEVER"
    daemon.restart()
    assert condition(daemon, e)[1] == "InvalidCron" and daemon.event(e)["metadata"] == after
    doc = daemon.event(e)
    doc["spec"]["source"]["cron"] = "0 9 * * *"
    daemon.put(daemon.event_path(e), doc).expect(200)
    assert condition(daemon, e)[:2] == ("True", "Active") and daemon.event(e)["status"]["nextFireAt"]


def condition(daemon, e):
    c, = daemon.event(e)["status"]["conditions"]
    return c["status"], c["reason"], c["message"]
