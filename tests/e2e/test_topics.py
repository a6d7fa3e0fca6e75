"""Embedded topics: publishing, batches, repetition, reading, retention, triggers that listen, and crashes under load."""
import http.client
import json
import subprocess
import threading
import urllib.parse

import pytest

from pawl import binary, deadline, environment, wait_until

ND = {"Content-Type": "application/x-ndjson"}
TOPICS = "/api/v1/topics"


def publish(d, topic, body, headers=None):
    return d.post(f"{TOPICS}/{topic}/messages", body, headers=headers)


def messages(d, topic, offset=0):
    """Everything from there on, page by page."""
    out, at = [], offset
    while True:
        page = d.get(f"{TOPICS}/{topic}/messages?offset={at}&limit=200").expect(200).json()
        out += page["messages"]
        at = page["next_offset"]
        if at >= page["end_offset"]:
            return out


def runs(d):
    return d.get("/api/v1/runs?limit=200").expect(200).json()["runs"]


def listen(d, topic, **fields):
    p = d.create_pipeline(argv=["/bin/cat"])
    return d.create_trigger(p, "topic", {"topic": topic, **fields.pop("config", {})}, **fields)


def test_a_message_has_its_offset_and_its_event(daemon):
    for i in range(3):
        r = publish(daemon, "orders", b'{"n": %d}' % i, {"Content-Type": "application/json", "Pawl-Key": "k"}).expect(202).json()
        assert set(r) == {"topic", "offset", "event_id"}
        assert (r["topic"], r["offset"]) == ("orders", i)
    event = daemon.get(f"/api/v1/event-log/{r['event_id']}").expect(200).json()
    assert (event["source"], event["type"], event["subject"]) == ("topic", "message", "orders")
    assert event["decisions"] == [] and event["payload"] == '{"n": 2}'
    [last] = messages(daemon, "orders", 2)
    assert last == {"offset": 2, "event_id": r["event_id"], "time": event["time"], "key": "k", "content_type": "application/json",
                    "payload": '{"n": 2}', "payload_encoding": "text"}


def test_topics_count_for_themselves_and_survive_a_crash(daemon):
    for topic in ("a", "b", "a", "a.b_c-D"):
        publish(daemon, topic, b"x").expect(202)
    daemon.kill()
    daemon.start()
    assert publish(daemon, "a", b"yy").expect(202).json()["offset"] == 2
    assert publish(daemon, "b", b"yy").expect(202).json()["offset"] == 1
    listed = daemon.get(TOPICS).expect(200).json()
    assert [(t["name"], t["first_offset"], t["end_offset"], t["messages"], t["bytes"]) for t in listed["topics"]] == [
        ("a", 0, 3, 3, 4), ("a.b_c-D", 0, 1, 1, 1), ("b", 0, 2, 2, 3)]
    assert listed["total"] == 3
    first = daemon.get(TOPICS + "?limit=2").json()
    rest = daemon.get(f"{TOPICS}?limit=2&cursor={first['next_cursor']}").json()
    assert [t["name"] for t in first["topics"] + rest["topics"]] == ["a", "a.b_c-D", "b"]


def test_a_batch_is_one_message_per_line(daemon):
    listen(daemon, "t")
    body = b'{"n":1}\n\n  [2, "\\n"] \r\n"three"\n4'
    r = publish(daemon, "t", body, ND).expect(202).json()
    assert (r["offset"], r["count"]) == (0, 4)
    got = messages(daemon, "t")
    assert [m["payload"] for m in got] == ['{"n":1}', '[2, "\\n"]', '"three"', "4"]
    assert [m["offset"] for m in got] == [0, 1, 2, 3] and got[0]["event_id"] == r["event_id"]
    assert {m["content_type"] for m in got} == {"application/json"}
    wait_until(lambda: [x["status"] for x in runs(daemon)] == ["success"] * 4, what="a run for each line")


@pytest.mark.parametrize("body,says", [
    (b'{"n":1}\n{"n":\n{"n":3}', "line 2: "),
    (b"{} {}", "line 1: "),
    (b'\n\n"\xff"', "line 3: "),
    (b"1\n2\nnope", "line 3: "),
    (b"[" * 100 + b"]" * 100, "line 1: "),
    (b"", "the body is empty"),
    (b"\n \r\n", "the body is empty"),
])
def test_a_bad_line_refuses_the_whole_batch(daemon, body, says):
    r = publish(daemon, "t", body, ND).expect(400)
    assert r.error == "INVALID_ARGUMENT" and r.message.startswith(says)
    assert daemon.get(TOPICS).json()["topics"] == []


@pytest.mark.parametrize("topic,says", [
    ("-x", "topic: must be"), ("a b", "topic: must be"), ("a" * 128, "topic: must be"), ("ä", "topic: must be"), ("x:y", "topic: must be"),
    ("a/b", "topic: must be"),
])
def test_bad_names(daemon, topic, says):
    name = urllib.parse.quote(topic, safe="")
    assert publish(daemon, name, b"1").expect(400).message.startswith(says)
    assert daemon.put(f"{TOPICS}/{name}", {}).expect(400).message.startswith(says)
    assert daemon.get(f"{TOPICS}/{name}").expect(404)


@pytest.mark.parametrize("topic", ["nats:orders.new", "kafka:orders"])
def test_topics_of_brokers_are_not_published_to_here(daemon, topic):
    publish(daemon, topic, b"1").expect(400)
    assert daemon.get(TOPICS).json()["total"] == 0


def test_limits(daemon):
    mib = 1 << 20
    publish(daemon, "t", b"x" * mib).expect(202)
    r = publish(daemon, "t", b"x" * (mib + 1)).expect(413)
    assert r.error == "PAYLOAD_TOO_LARGE" and str(mib) in r.message
    assert publish(daemon, "t", b'1\n"' + b"x" * mib + b'"', ND).expect(413).message.startswith("line 2: ")
    assert "10000" in publish(daemon, "t", b"1\n" * 10001, ND).expect(413).message
    publish(daemon, "t", b"1\n" * 10000, ND).expect(202)
    publish(daemon, "t", b" " * (16 * mib + 1), ND).expect(413)
    assert publish(daemon, "t", b"1", {"Pawl-Key": "k" * 256}).expect(400).message.startswith("Pawl-Key: ")
    assert daemon.get(f"{TOPICS}/t").json()["messages"] == 10001


def test_any_bytes_are_a_message(daemon):
    publish(daemon, "t", b"\x00\xff").expect(202)
    publish(daemon, "t", b"").expect(202)
    binary, empty = messages(daemon, "t")
    assert (binary["payload"], binary["payload_encoding"]) == ("AP8=", "base64")
    assert empty["payload"] in ("", None) and empty["key"] is None


def test_a_repeated_request_gets_the_first_answer(daemon):
    key = {"Idempotency-Key": "order-7"}
    first = publish(daemon, "t", b"1", key).expect(202).json()
    publish(daemon, "t", b"2").expect(202)
    assert publish(daemon, "t", b"1", key).expect(202).json() == first
    daemon.kill()
    daemon.start()
    assert publish(daemon, "t", b"other", key).expect(202).json() == first
    assert publish(daemon, "u", b"1", key).expect(202).json()["topic"] == "u"
    batch = publish(daemon, "t", b"3\n4\n5", {**ND, "Idempotency-Key": "b"}).expect(202).json()
    assert publish(daemon, "t", b"3\n4\n5", {**ND, "Idempotency-Key": "b"}).expect(202).json() == batch
    assert (batch["offset"], batch["count"]) == (2, 3)
    assert [m["payload"] for m in messages(daemon, "t")] == ["1", "2", "3", "4", "5"]


def test_metrics_of_a_topic_that_is_listened_to(daemon):
    publish(daemon, "t", b"1", {"Idempotency-Key": "before"}).expect(202)
    publish(daemon, "t", b"1", {"Idempotency-Key": "before"}).expect(202)
    assert daemon.topic_metrics("t") == {"messages_total": 1}
    p = daemon.create_pipeline()
    t = daemon.create_trigger(p, "topic", {"topic": "t"})
    for _ in range(3):
        publish(daemon, "t", b"1\n2", {**ND, "Idempotency-Key": "b"}).expect(202)
    assert daemon.topic_metrics("t") == {"messages_total": 3, "ready": 1, "connected": 1, "received_total": 3, "duplicates_total": 4,
                                         "passed_over_total": 0, "in_flight": 0, "lag_messages": 0}
    daemon.delete(f"{daemon.pipeline_path(p)}/triggers/{t['id']}").expect(204)
    assert daemon.topic_metrics("t") == {"messages_total": 3}
    listen(daemon, "t")
    assert daemon.topic_metrics("t")["duplicates_total"] == 0


def test_a_repetition_at_the_same_time_waits_for_the_first(daemon):
    answers = []
    threads = [threading.Thread(target=lambda: answers.append(publish(daemon, "t", b"1", {"Idempotency-Key": "k"}).json()))
               for _ in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(answers) == 8 and all(a == answers[0] for a in answers)
    assert daemon.get(f"{TOPICS}/t").json()["messages"] == 1


# ---- triggers ----


def test_a_run_sees_the_message_and_its_key(daemon):
    t = listen(daemon, "orders")
    assert t["config"] == {"topic": "orders"}
    e = publish(daemon, "orders", b'{"id": 5}', {"Content-Type": "application/json", "Pawl-Key": "customer-1"}).expect(202).json()
    publish(daemon, "other", b"1").expect(202)
    [run] = wait_until(lambda: [r for r in runs(daemon) if r["status"] == "success"], what="the run")
    assert run["event_id"] == e["event_id"] and run["trigger"] == "trigger:topic:orders"
    doc = run["output"] if isinstance(run["output"], dict) else json.loads(run["output"])
    assert (doc["source"], doc["subject"], doc["key"], doc["payload"]) == ("topic", "orders", "customer-1", {"id": 5})


def test_a_queued_run_has_the_key_too(daemon):
    p = daemon.create_pipeline(argv=["/bin/cat"], concurrency=1)
    daemon.create_trigger(p, "topic", {"topic": "t"})
    publish(daemon, "t", b"\n".join(b"%d" % i for i in range(5)), {**ND, "Pawl-Key": "k"}).expect(202)
    done = wait_until(lambda: [r for r in runs(daemon) if r["status"] == "success"][4:] and runs(daemon), what="five runs")
    docs = [r["output"] if isinstance(r["output"], dict) else json.loads(r["output"]) for r in done]
    assert sorted((d["payload"], d["key"]) for d in docs) == [(i, "k") for i in range(5)]


def test_decisions_as_for_all_triggers(daemon):
    slow = listen(daemon, "t", cooldown_seconds=3600)
    off = listen(daemon, "t", enabled=False)
    verdicts = []
    for _ in range(2):
        event = daemon.get("/api/v1/event-log/" + publish(daemon, "t", b"1").json()["event_id"]).json()
        verdicts.append({d["trigger_id"]: d["decision"] for d in event["decisions"]})
    assert verdicts == [{slow["id"]: "fired", off["id"]: "disabled"}, {slow["id"]: "cooldown", off["id"]: "disabled"}]


@pytest.mark.parametrize("config,says", [
    ({}, "config.topic: "), ({"topic": 1}, "config.topic: "), ({"topic": "a b"}, "config.topic: must be"),
    ({"topic": "nats:a", "x": 1}, "config.x: "), ({"topic": "t", "pipeline_version": 0}, "config.pipeline_version: "),
    ({"topic": "t", "started_by": "me"}, "config.started_by: "), ({"topic": ""}, "config.topic: "),
])
def test_bad_configs(daemon, config, says):
    p = daemon.create_pipeline()
    r = daemon.post(daemon.pipeline_path(p) + "/triggers", {"type": "topic", "config": config}).expect(400)
    assert r.message.startswith(says), r.message


def test_runs_of_a_pinned_version(daemon):
    p = daemon.create_pipeline(argv=["/bin/echo", "one"])
    path = daemon.pipeline_path(p)
    daemon.create_trigger(p, "topic", {"topic": "t", "pipeline_version": 1})
    daemon.put(path, {"executor": {"type": "command", "argv": ["/bin/echo", "two"]}}).expect(200)
    publish(daemon, "t", b"1").expect(202)
    [run] = wait_until(lambda: [r for r in runs(daemon) if r["status"] == "success"], what="the run")
    assert (run["pipeline_version"], run["output"]) == (1, "one\n")


# ---- retention ----


def put_retention(d, topic, **fields):
    return d.put(f"{TOPICS}/{topic}", fields).expect(200).json()


def test_a_topic_keeps_so_many_bytes(daemon):
    publish(daemon, "t", b"\n".join(b'"%05d"' % i for i in range(1000)), ND).expect(202)
    publish(daemon, "u", b"untouched").expect(202)
    t = put_retention(daemon, "t", retention_bytes=70)
    assert (t["retention_bytes"], t["retention_seconds"]) == (70, None)
    wait_until(lambda: daemon.get(f"{TOPICS}/t").json()["first_offset"] == 990, what="the old ones to go")
    assert [m["offset"] for m in messages(daemon, "t")] == list(range(990, 1000))
    t = daemon.get(f"{TOPICS}/t").json()
    assert (t["end_offset"], t["messages"], t["bytes"]) == (1000, 10, 70)
    assert len(daemon.get("/api/v1/event-log?source=topic&limit=200").json()["events"]) == 11
    put_retention(daemon, "t", retention_bytes=1)
    wait_until(lambda: daemon.get(f"{TOPICS}/t").json()["messages"] == 0, what="all of them to go")
    daemon.kill()
    daemon.start()
    assert publish(daemon, "t", b"1").expect(202).json()["offset"] == 1000
    assert messages(daemon, "u")[0]["payload"] == "untouched"


def test_a_topic_keeps_for_so_long(daemon):
    publish(daemon, "t", b"old").expect(202)
    old = daemon.get(f"{TOPICS}/t").json()["created_at"]

    def is_later():
        return publish(daemon, "clock", b"x") and messages(daemon, "clock")[-1]["time"][:19] > old[:19]

    wait_until(is_later, what="the clock")
    wait_until(is_later, what="the clock")
    put_retention(daemon, "t", retention_seconds=1)

    def gone():
        put_retention(daemon, "t", retention_seconds=1)
        return daemon.get(f"{TOPICS}/t").json()["first_offset"] == 1

    wait_until(gone, what="the old one to go")
    put_retention(daemon, "t", retention_seconds=0)
    assert daemon.get(f"{TOPICS}/t").json()["retention_seconds"] == 0


@pytest.mark.parametrize("body,says", [
    ({"retention_seconds": -1}, "retention_seconds: "), ({"retention_bytes": "1"}, "retention_bytes: "), ({"bogus": 1}, "bogus: "),
    ([], "object"),
])
def test_bad_retention(daemon, body, says):
    assert says in daemon.put(f"{TOPICS}/t", body).expect(400).message
    daemon.get(f"{TOPICS}/t").expect(404)


def test_what_was_read_can_be_written_back(daemon):
    t = put_retention(daemon, "t", retention_seconds=60, retention_bytes=0)
    again = daemon.put(f"{TOPICS}/t", t).expect(200).json()
    assert (again["retention_seconds"], again["retention_bytes"]) == (60, 0)


def test_a_deleted_topic_begins_anew(daemon):
    t = listen(daemon, "t")
    publish(daemon, "t", b"1\n2\n3", ND).expect(202)
    daemon.delete(f"{TOPICS}/t").expect(204)
    daemon.delete(f"{TOPICS}/t").expect(404)
    daemon.get(f"{TOPICS}/t").expect(404)
    daemon.get(f"{TOPICS}/t/messages").expect(404)
    e = publish(daemon, "t", b"4").expect(202).json()
    assert e["offset"] == 0
    assert daemon.get(f"/api/v1/event-log/{e['event_id']}").json()["decisions"][0]["trigger_id"] == t["id"]
    daemon.kill()
    daemon.start()
    assert [m["payload"] for m in messages(daemon, "t")] == ["4"]


def test_reading_beyond_the_ends(daemon):
    publish(daemon, "t", b"1\n2\n3", ND).expect(202)
    page = daemon.get(f"{TOPICS}/t/messages?offset=99").expect(200).json()
    assert (page["messages"], page["first_offset"], page["next_offset"], page["end_offset"]) == ([], 0, 3, 3)
    page = daemon.get(f"{TOPICS}/t/messages?limit=2").json()
    assert ([m["offset"] for m in page["messages"]], page["next_offset"]) == ([0, 1], 2)
    for query in ("offset=-1", "offset=x", "limit=0"):
        daemon.get(f"{TOPICS}/t/messages?{query}").expect(400)


# ---- crashes ----


class Publisher(threading.Thread):
    """Publishes, alone and in batches, until the connection breaks; what was acknowledged, by payload."""

    def __init__(self, d, name):
        super().__init__()
        self.address, self.prefix, self.acknowledged, self.sent = (d.host, d.port), name, {}, 0

    def next(self):
        self.sent += 1
        return f'"{self.prefix}-{self.sent}"'

    def run(self):
        con = http.client.HTTPConnection(*self.address)
        try:
            while True:
                batch = [self.next() for _ in range(1 if self.sent % 3 else 7)]
                con.request("POST", f"{TOPICS}/t/messages", "\n".join(batch), ND)
                r = con.getresponse()
                body = json.loads(r.read())
                assert r.status == 202, body
                for i, payload in enumerate(batch):
                    self.acknowledged[payload] = body["offset"] + i
        except (OSError, http.client.HTTPException):
            con.close()


def test_killed_under_load_nothing_acknowledged_is_lost_or_doubled(daemon):
    p = daemon.create_pipeline(executor={"type": "pull"})
    daemon.create_trigger(p, "topic", {"topic": "t"})
    acknowledged = {}
    for round_ in range(3):
        publishers = [Publisher(daemon, f"{round_}-{i}") for i in range(6)]
        for x in publishers:
            x.start()
        wait_until(lambda: sum(len(x.acknowledged) for x in publishers) > 300, timeout=60, what="some load")
        daemon.kill()
        for x in publishers:
            x.join()
            acknowledged.update(x.acknowledged)
        daemon.start()
    got = messages(daemon, "t")
    assert [m["offset"] for m in got] == list(range(len(got)))
    payloads = [m["payload"] for m in got]
    assert len(set(payloads)) == len(payloads)
    assert all(payloads[offset] == payload for payload, offset in acknowledged.items())
    assert daemon.get("/api/v1/runs?limit=1").json()["total"] == len(got)
    assert publish(daemon, "t", b"1").expect(202).json()["offset"] == len(got)


# ---- the command line ----


def run_publish(d, *args, stdin=b""):
    return subprocess.run([binary(), "publish", *args, "--server", d.url], input=stdin, capture_output=True, timeout=deadline(60),
                          env=environment(), check=False)


def test_publish_from_the_command_line(daemon, tmp_path):
    file = tmp_path / "message"
    file.write_bytes(b'{"n": 1}')
    done = run_publish(daemon, "t", "-f", str(file), "--message-key", "k")
    assert (done.returncode, done.stderr) == (0, b"") and json.loads(done.stdout)["offset"] == 0
    for _ in range(2):
        done = run_publish(daemon, "t", "--lines", "--idempotency-key", "x", "-f", "-", stdin=b"2\n3\n")
        assert json.loads(done.stdout)["offset"] == 1
    assert run_publish(daemon, "t", "--content-type", "text/plain", stdin=b"four").returncode == 0
    assert [(m["payload"], m["key"], m["content_type"]) for m in messages(daemon, "t")] == [
        ('{"n": 1}', "k", "application/json"), ("2", None, "application/json"), ("3", None, "application/json"), ("four", None, "text/plain")]


@pytest.mark.parametrize("args,stdin,code,says", [
    ((), b"", 2, b"which topic?"), (("a", "b"), b"", 2, b"which topic?"), (("a b",), b"1", 1, b"topic: must be"),
    (("t", "--lines"), b"1\n{", 1, b"line 2: "), (("t", "-f", "/does/not/exist"), b"", 1, b"/does/not/exist"),
    (("t", "--message-key", "a\nb"), b"1", 2, b"--message-key"), (("t",), None, 1, b"1048576"),
    (("../../pipelines",), b"1", 1, b"topic: must be"),
])
def test_publish_says_what_is_wrong(daemon, args, stdin, code, says):
    done = run_publish(daemon, *args, stdin=stdin if stdin is not None else b"x" * ((1 << 20) + 1))
    assert done.returncode == code and says in done.stderr and done.stdout == b""
    assert daemon.get(TOPICS).json()["total"] == 0
