"""POST /api/v1/webhooks: tokens, cooldowns, idempotency keys, sync mode, limits."""
import base64
import concurrent.futures
import datetime
import threading
import time

import pytest

from crash import CLOCK_ROUNDING_MS
from pawl import wait_until


@pytest.fixture
def pipeline(daemon):
    return daemon.create_pipeline()


@pytest.fixture
def trigger(daemon, pipeline):
    return daemon.create_webhook_trigger(pipeline)


def ms(text):
    """A time from the API in milliseconds."""
    return int(datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000 + 0.5)


def total(daemon, kind):
    return daemon.get(f"/api/v1/{kind}").expect(200).json()["total"]


def disable(daemon, pipeline, trigger, enabled=False):
    daemon.put(f"{daemon.pipeline_path(pipeline)}/triggers/{trigger['id']}", {"enabled": enabled}).expect(200)


# ---- tokens ----

def test_accepted(daemon, pipeline, trigger):
    r = daemon.fire(trigger, b'{"n": 1}').expect(201)
    assert set(r.json()) == {"run_id"}
    assert r.headers["content-type"] == "application/json"
    run = daemon.wait_run(r.json()["run_id"], "success")
    assert run["pipeline_id"] == pipeline["id"]
    assert run["trigger_id"] == trigger["id"]
    assert run["trigger"] == "trigger:webhook"


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER"])
def test_token_as_bearer(daemon, trigger, scheme):
    daemon.post("/api/v1/webhooks", b"x", headers={"Authorization": f"{scheme} {trigger['webhook_token']}"}).expect(201)


@pytest.mark.parametrize("headers", [
    {},
    {"X-Webhook-Token": ""},
    {"Authorization": "Bearer"},
    {"Authorization": "Bearer   "},
    {"Authorization": "Basic dTpw"},
    {"Authorization": "Bearerx"},
])
def test_no_token_is_400(daemon, headers):
    r = daemon.post("/api/v1/webhooks", b"{}", headers=headers).expect(400)
    assert r.error == "INVALID_ARGUMENT" and "X-Webhook-Token" in r.message


def test_unknown_token_is_404_and_leaves_no_trace(daemon, trigger):
    for token in ("nope", "0" * 64, trigger["webhook_token"].upper(), trigger["webhook_token"][:-1], trigger["webhook_token"] + "0",
                  trigger["config"]["token_hash"]):
        r = daemon.fire(token)
        assert r.expect(404).error == "NOT_FOUND"
    assert total(daemon, "event-log") == 0 and total(daemon, "runs") == 0


def test_trailing_slash(daemon, trigger):
    daemon.post("/api/v1/webhooks/", b"", headers={"X-Webhook-Token": trigger["webhook_token"]}).expect(201)


def test_get_is_405(daemon):
    assert daemon.get("/api/v1/webhooks").status == 405


@pytest.mark.parametrize("body,content_type", [
    (b'{"topic": "x"}', "application/json"),
    (b"a=1&b=2", "application/x-www-form-urlencoded"),
    (bytes(range(256)), "application/octet-stream"),
    (b"", None),
    (b"not json", "application/json"),
])
def test_any_body_is_taken_as_it_is(daemon, body, content_type):
    p = daemon.create_pipeline(argv=["/bin/cat"])
    t = daemon.create_webhook_trigger(p)
    run = daemon.wait_run(daemon.fire_ok(t, body, headers={"Content-Type": content_type} if content_type else None), "success")
    with daemon.db() as db:
        stored = [bytes(row[0] or b"") for row in db.execute("SELECT payload FROM events")]
    assert stored == [body]
    assert run["output"]


# ---- limits ----

def test_body_over_the_limit_is_413(daemon, trigger):
    daemon.fire_ok(trigger, b"x" * (1 << 20))
    assert daemon.fire(trigger, b"x" * ((1 << 20) + 1)).expect(413).error == "PAYLOAD_TOO_LARGE"
    assert total(daemon, "runs") == 1


# ---- disabled ----

def test_disabled_is_409(daemon, pipeline, trigger):
    disable(daemon, pipeline, trigger)
    r = daemon.fire(trigger).expect(409)
    assert r.error == "FAILED_PRECONDITION" and "disabled" in r.message
    assert total(daemon, "runs") == 0
    disable(daemon, pipeline, trigger, enabled=True)
    daemon.fire_ok(trigger)


# ---- cooldown ----

def fire_until_accepted(daemon, trigger):
    """Calls without a pause until it is let through: the run, and what the Retry-After of those that were refused was."""
    refused = []
    with daemon.session() as call:
        def attempt():
            r = call("POST", "/api/v1/webhooks", b"{}", {"X-Webhook-Token": trigger["webhook_token"]})
            if r.status == 201:
                return r.json()["run_id"]
            assert r.expect(429).error == "RESOURCE_EXHAUSTED"
            refused.append(r.headers["retry-after"])
            return None
        run = wait_until(attempt, what="the cooldown to end", every=0.0005)
    return run, refused


def test_cooldown_is_kept_to_the_millisecond(daemon, pipeline):
    refused = []
    while not refused:  # else the second call came when the cooldown was over
        t = daemon.create_webhook_trigger(pipeline, cooldown_seconds=1)
        daemon.fire_ok(t)
        _, refused = fire_until_accepted(daemon, t)
    assert set(refused) == {"1"}
    events = daemon.get(f"/api/v1/event-log?trigger_id={t['id']}&limit=200").expect(200).json()["events"]
    fired, held = ([ms(e["time"]) for e in events if e["decisions"][0]["decision"] == verdict] for verdict in ("fired", "cooldown"))
    assert fired[0] - fired[1] >= 1000 - CLOCK_ROUNDING_MS, "fired within its cooldown"
    assert len(held) == len(refused) and max(held) - fired[1] < 1000 + CLOCK_ROUNDING_MS, "refused calls extended the cooldown"


def test_retry_after_is_rounded_up(daemon, pipeline):
    t = daemon.create_webhook_trigger(pipeline, cooldown_seconds=3600)
    daemon.fire_ok(t)
    assert 3000 < int(daemon.fire(t).expect(429).headers["retry-after"]) <= 3600


@pytest.mark.parametrize("how", ["restart", "crash"])
def test_cooldown_survives(daemon, pipeline, how):
    t = daemon.create_webhook_trigger(pipeline, cooldown_seconds=3)
    first = daemon.fire_ok(t)
    if how == "crash":
        daemon.kill()
        daemon.start()
    else:
        daemon.restart()
    second, refused = fire_until_accepted(daemon, t)
    assert all(int(seconds) >= 1 for seconds in refused)
    assert ms(daemon.run(second)["created_at"]) - ms(daemon.run(first)["created_at"]) >= 3000 - CLOCK_ROUNDING_MS


def test_cooldown_is_each_triggers_own(daemon, pipeline):
    a = daemon.create_webhook_trigger(pipeline, cooldown_seconds=3600)
    b = daemon.create_webhook_trigger(pipeline, cooldown_seconds=3600)
    daemon.fire_ok(a)
    daemon.fire_ok(b)
    daemon.fire(a).expect(429)
    daemon.fire(b).expect(429)


def test_only_one_of_many_at_once_gets_through_a_cooldown(daemon, pipeline):
    t = daemon.create_webhook_trigger(pipeline, cooldown_seconds=3600)
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        statuses = [f.result().status for f in [pool.submit(daemon.fire, t) for _ in range(64)]]
    assert sorted(statuses) == [201] + [429] * 63
    assert total(daemon, "runs") == 1


def test_changing_the_cooldown_counts_from_the_last_firing(daemon, pipeline):
    t = daemon.create_webhook_trigger(pipeline)
    path = f"{daemon.pipeline_path(pipeline)}/triggers/{t['id']}"
    daemon.fire_ok(t)
    daemon.put(path, {"cooldown_seconds": 3600}).expect(200)
    daemon.fire(t).expect(429)
    daemon.put(path, {"cooldown_seconds": 0}).expect(200)
    daemon.fire_ok(t)


# ---- idempotency ----

@pytest.mark.parametrize("header", ["Idempotency-Key", "X-GitHub-Delivery", "webhook-id"])
def test_repeat_gets_the_first_run(daemon, trigger, header):
    key = {header: "delivery-1"}
    first = daemon.fire_ok(trigger, b"1", headers=key)
    assert daemon.fire_ok(trigger, b"2", headers=key) == first
    assert daemon.fire_ok(trigger, b"3", headers={header: "delivery-2"}) != first
    assert daemon.fire_ok(trigger, b"4") != first
    assert total(daemon, "runs") == 3
    verdicts = [d["decision"] for e in daemon.get("/api/v1/event-log").json()["events"] for d in e["decisions"]]
    assert sorted(verdicts) == ["duplicate", "fired", "fired", "fired"]


def test_key_belongs_to_its_trigger(daemon, pipeline, trigger):
    other = daemon.create_webhook_trigger(pipeline)
    key = {"Idempotency-Key": "same"}
    assert daemon.fire_ok(trigger, headers=key) != daemon.fire_ok(other, headers=key)


def test_repeat_after_a_crash(daemon, trigger):
    key = {"Idempotency-Key": "k"}
    first = daemon.fire_ok(trigger, headers=key)
    daemon.kill()
    daemon.start()
    assert daemon.fire_ok(trigger, headers=key) == first


def test_repeat_ignores_the_cooldown(daemon, pipeline):
    t = daemon.create_webhook_trigger(pipeline, cooldown_seconds=3600)
    key = {"Idempotency-Key": "k"}
    first = daemon.fire_ok(t, headers=key)
    assert daemon.fire_ok(t, headers=key) == first
    daemon.fire(t, headers={"Idempotency-Key": "other"}).expect(429)


def test_concurrent_repeats_fire_once(daemon, trigger):
    start = threading.Barrier(24)

    def call(i):
        start.wait()
        return daemon.fire_ok(trigger, b"%d" % i, headers={"Idempotency-Key": f"k{i % 3}"})

    with concurrent.futures.ThreadPoolExecutor(24) as pool:
        runs = list(pool.map(call, range(24)))
    for k in range(3):
        assert len(set(runs[k::3])) == 1
    assert len(set(runs)) == 3
    assert total(daemon, "runs") == 3
    assert total(daemon, "event-log") == 24


def test_what_fired_nothing_is_not_remembered(daemon, pipeline, trigger):
    key = {"Idempotency-Key": "k"}
    disable(daemon, pipeline, trigger)
    daemon.fire(trigger, headers=key).expect(409)
    disable(daemon, pipeline, trigger, enabled=True)
    first = daemon.fire_ok(trigger, headers=key)
    assert daemon.fire_ok(trigger, headers=key) == first
    daemon.fire("unknown", headers=key).expect(404)


def test_empty_key_is_none(daemon, trigger):
    assert daemon.fire_ok(trigger, headers={"Idempotency-Key": ""}) != daemon.fire_ok(trigger, headers={"Idempotency-Key": ""})


# ---- sync mode ----

def sync_trigger(daemon, *argv, **fields):
    return daemon.create_webhook_trigger(daemon.create_pipeline(argv=argv, **fields))


def test_sync_success(daemon):
    r = daemon.fire_sync(sync_trigger(daemon, "/bin/echo", "héllo \"you\"")).expect(200)
    answer = r.json()
    assert set(answer) == {"status", "output", "durationMs"}
    assert answer["status"] == "succeeded" and answer["output"] == "héllo \"you\"\n"
    assert isinstance(answer["durationMs"], int) and answer["durationMs"] >= 0


def test_sync_output_is_valid_json_whatever_it_was(daemon):
    t = sync_trigger(daemon, "/usr/bin/printf", "\\377\\001x")
    answer = daemon.fire_sync(t).expect(200).json()
    assert answer["output"] is None and base64.b64decode(answer["output_base64"]) == b"\xff\x01x"


@pytest.mark.parametrize("printed,output", [
    ('{"a": [1, null], "b": 2.50}\n', {"a": [1, None], "b": 2.5}), ("[]", []), ("42\n", 42), ("true", True), ('"x"\n', "x"),
    ("null", None), ("", None), ("\n", "\n"), ("42 apples", "42 apples"), ('{"a":1}\n{"a":2}\n', '{"a":1}\n{"a":2}\n')])
def test_output_that_is_json_is_json_everywhere(daemon, printed, output):
    first = daemon.create_pipeline("first", argv=["/usr/bin/printf", "%s", *filter(None, [printed])])
    then = daemon.create_pipeline("then", argv=["/bin/cat"])
    daemon.create_trigger(then, "pipeline_success", {"namespace": "default", "layer": "bronze", "pipeline": "first"})
    assert daemon.fire_sync(daemon.create_webhook_trigger(first)).expect(200).json()["output"] == output
    run = daemon.all_runs(pipeline="first")[0]
    assert run["output"] == output and "output_base64" not in run
    following = wait_until(lambda: daemon.all_runs(pipeline="then"), what="the run that follows")[0]
    assert daemon.wait_run(following["id"], "success")["output"]["payload"]["output"] == output


def test_sync_failure(daemon):
    answer = daemon.fire_sync(sync_trigger(daemon, "/bin/false")).expect(500).json()
    assert set(answer) == {"status", "error", "durationMs"}
    assert answer["status"] == "failed" and answer["error"]


def test_sync_of_a_program_that_is_not_there(daemon):
    answer = daemon.fire_sync(sync_trigger(daemon, "/no/such/program")).expect(500).json()
    assert answer["status"] == "failed" and "/no/such/program" in answer["error"]


def test_sync_timeout_leaves_the_run_alone(daemon):
    t = sync_trigger(daemon, "/bin/sleep", "3600")
    before = time.monotonic()
    r = daemon.fire_sync(t, wait="300ms").expect(504)
    assert (time.monotonic() - before) * 1000 >= 300 - CLOCK_ROUNDING_MS
    answer = r.json()
    assert set(answer) == {"error", "durationMs", "runs"}
    assert answer["error"].startswith("timed out after 300ms")
    assert answer["durationMs"] >= 300
    [run] = answer["runs"]
    daemon.wait_run(run, "running")
    assert daemon.post(f"/api/v1/runs/{run}/cancel").expect(200).json()["status"] == "cancelled"


def test_sync_of_a_cancelled_run(daemon):
    t = sync_trigger(daemon, "/bin/sleep", "60")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(daemon.fire_sync, t)
        run = wait_until(lambda: daemon.get("/api/v1/runs?status=running").json()["runs"], what="the run to start")[0]
        daemon.post(f"/api/v1/runs/{run['id']}/cancel").expect(200)
        answer = waiting.result().expect(500).json()
    assert answer["status"] == "cancelled"


def test_sync_of_a_run_whose_pipeline_goes(daemon):
    """One runs, one waits for its turn: both are over when the pipeline is deleted, and their callers hear it then."""
    pipeline = daemon.create_pipeline(argv=["/bin/sleep", "600"], concurrency=1)
    trigger = daemon.create_webhook_trigger(pipeline)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        calls = [pool.submit(daemon.fire_sync, trigger) for _ in range(2)]
        wait_until(lambda: sorted(r["status"] for r in daemon.all_runs(pipeline=pipeline["name"])) == ["pending", "running"], what="two runs")
        daemon.delete(daemon.pipeline_path(pipeline)).expect(204)
        answers = [c.result().expect(500).json() for c in calls]
    assert sorted((a["status"], a["error"]) for a in answers) == [("cancelled", "cancelled"), ("cancelled", "its pipeline was deleted")]


def test_sync_waits_through_retries(daemon):
    t = sync_trigger(daemon, "/bin/false", retry={"max_attempts": 2, "backoff_seconds": 0.05})
    daemon.fire_sync(t).expect(500)
    [run] = daemon.get("/api/v1/runs").json()["runs"]
    assert run["status"] == "failed" and run["attempt"] == 2


def test_sync_and_refusals(daemon, pipeline, trigger):
    daemon.fire("unknown", query="mode=sync").expect(404)
    disable(daemon, pipeline, trigger)
    daemon.fire_sync(trigger).expect(409)


def test_async_mode_by_name(daemon, trigger):
    assert set(daemon.fire(trigger, query="mode=async").expect(201).json()) == {"run_id"}


@pytest.mark.parametrize("query,says", [
    ("mode=fast", "mode: "),
    ("mode=", "mode: "),
    ("mode=SYNC", "mode: "),
    ("mode=sync&timeout=", "timeout: "),
    ("mode=sync&timeout=30", "timeout: "),
    ("mode=sync&timeout=-1s", "timeout: "),
    ("mode=sync&timeout=0s", "timeout: "),
    ("mode=sync&timeout=1d", "timeout: "),
    ("mode=sync&timeout=soon", "timeout: "),
])
def test_bad_mode_or_timeout_is_400_and_fires_nothing(daemon, trigger, query, says):
    r = daemon.fire(trigger, query=query).expect(400)
    assert r.error == "INVALID_ARGUMENT" and r.message.startswith(says)
    assert total(daemon, "runs") == 0


@pytest.mark.parametrize("wait", ["1m30s", "2m", "120s", "0.5h", "20000ms", "1000h"])
def test_timeouts_as_go_writes_them(daemon, trigger, wait):
    daemon.fire_sync(trigger, wait=wait).expect(200)


def test_sync_is_answered_when_the_daemon_stops(daemon):
    t = sync_trigger(daemon, "/bin/sleep", "60")
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(daemon.fire_sync, t)
        run = wait_until(lambda: daemon.get("/api/v1/runs?status=running").json()["runs"], what="the run to start")[0]
        daemon.stop(timeout=60)
        r = waiting.result()
    assert r.status in (500, 504)
    if r.status == 504:
        assert r.json()["runs"] == [run["id"]]


def test_a_client_that_left_does_not_cancel_anything(daemon, trigger):
    with daemon.wire() as w:
        w.send(f"POST /api/v1/webhooks HTTP/1.1\r\nHost: x\r\nX-Webhook-Token: {trigger['webhook_token']}\r\nContent-Length: 2\r\n\r\n{{}}")
    run = wait_until(lambda: daemon.get("/api/v1/runs").json()["runs"], what="the run")[0]
    daemon.wait_run(run["id"], "success")
