"""Logs as server-sent events: as they are written, from where a reader was, to many readers, through stops and crashes."""
import concurrent.futures
import os
import re
import signal
import socket

import pytest

from pawl import EventStream, cli, deadline, readable, wait_until

NO_RUN = "01a1fbe8-b5a1-734a-94d9-1699870bc9c4"


class Gate:
    """A command that says what it is told to say: each line of a FIFO is a shell command."""

    def __init__(self, daemon, tmp_path, name="gate", **pipeline):
        self.fifo = str(tmp_path / name)
        os.mkfifo(self.fifo)
        self.pipeline = daemon.create_pipeline(argv=["/bin/sh", "-c", 'while read -r line; do eval "$line"; done < "$0"', self.fifo],
                                               **pipeline)
        self.trigger = daemon.create_webhook_trigger(self.pipeline)
        self.daemon, self.pen = daemon, None

    def fire(self):
        self.run_id = self.daemon.fire_ok(self.trigger)
        return self.run_id

    def say(self, command):
        if self.pen is None:
            self.pen = open(self.fifo, "w", encoding="utf-8")  # waits for the command to open its end
        self.pen.write(command + "\n")
        self.pen.flush()

    def end(self):
        self.say("exit 0")
        self.leave()

    def leave(self):
        if self.pen is not None:
            self.pen.close()
            self.pen = None


@pytest.fixture
def gate(daemon, tmp_path):
    g = Gate(daemon, tmp_path)
    g.fire()
    yield g
    g.leave()


def messages(events):
    return [data["message"] for event, _, data in events if event == "log"]


def metric(daemon, name):
    text = daemon.get("/metrics").expect(200).body.decode()
    return int(re.search(rf"^{name} (\d+)$", text, re.M).group(1))


def no_streams(daemon):
    wait_until(lambda: metric(daemon, "pawl_http_streams") == 0, 10, "the streams to be gone")


# ---- what comes, and when ----

def test_lines_come_before_the_run_ends(daemon, gate):
    s = daemon.follow(gate.run_id)
    assert s.head.status == 200 and s.head.headers["content-type"] == "text/event-stream"
    assert s.head.headers["cache-control"] == "no-store"
    gate.say("echo one")
    event, id, data = s.until("log")[-1]
    assert id == "1.1" and data["message"] == "one" and data["stream"] == "stdout" and data["time"].endswith("Z")
    gate.say("echo two >&2")
    event, id, data = s.until("log")[-1]
    assert id == "1.2" and data["message"] == "two" and data["stream"] == "stderr"
    assert daemon.run(gate.run_id)["status"] == "running"
    gate.end()
    assert list(s) == [("status", "end", {"run_id": gate.run_id, "status": "success", "attempt": 1})]
    assert s.complete
    no_streams(daemon)


def test_what_is_kept_comes_first(daemon, gate):
    gate.say("echo one; echo two")
    with daemon.follow(gate.run_id) as first:
        first.until("log", message="two")
        with daemon.follow(gate.run_id) as late:
            assert messages(late.until("log", message="two")) == ["one", "two"]
            gate.say("printf 'three\\nfour'")
            gate.end()
            assert messages(first) == ["three", "four"] == late.messages()


def test_the_log_of_a_running_run_as_json(daemon, gate):
    gate.say("echo one; printf half")
    with daemon.follow(gate.run_id) as s:
        s.until("log", message="one")
        r = daemon.get(f"/api/v1/runs/{gate.run_id}/logs").expect(200).json()
        assert [line["message"] for line in r["logs"]] == ["one"] and r["truncated"] is False and r["run_id"] == gate.run_id
        assert daemon.get(f"/api/v1/runs/{gate.run_id}/logs?attempt=1").expect(200).json() == r
        gate.end()
        assert messages(s) == ["half"]
    assert [line["message"] for line in daemon.logs(gate.run_id)] == ["one", "half"]


def test_an_ended_run(daemon):
    t = daemon.create_webhook_trigger(daemon.create_pipeline(argv=["/bin/sh", "-c", "echo a; echo b; exit 3"]))
    run_id = daemon.fire_ok(t)
    daemon.wait_run(run_id)
    kept = daemon.logs(run_id)
    events = list(daemon.follow(run_id))
    assert [e[2] for e in events if e[0] == "log"] == kept and [line["message"] for line in kept] == ["a", "b"]
    assert [e[1] for e in events if e[0] == "log"] == ["1.1", "1.2"]
    assert events[-1] == ("status", "end", {"run_id": run_id, "status": "failed", "attempt": 1})


def test_no_such_run(daemon):
    r = daemon.get(f"/api/v1/runs/{NO_RUN}/logs", headers={"Accept": "text/event-stream"}).expect(404)
    assert r.error == "NOT_FOUND"
    daemon.get("/api/v1/runs/nonsense/logs", headers={"Accept": "text/event-stream"}).expect(404)


@pytest.mark.parametrize("accept,streams", [
    ("text/event-stream", True), ("application/json, Text/Event-Stream;q=0.5", True), ("*/*", False), ("text/*", False),
    ("application/json", False), ("text/event-streams", False), ("", False),
])
def test_accept(daemon, accept, streams):
    run_id = daemon.fire_ok(daemon.create_webhook_trigger(daemon.create_pipeline()))
    daemon.wait_run(run_id)
    r = daemon.get(f"/api/v1/runs/{run_id}/logs", headers={"Accept": accept}).expect(200)
    assert r.headers["content-type"] == ("text/event-stream" if streams else "application/json")


def test_a_pending_run_is_waited_for(daemon, tmp_path):
    gate = Gate(daemon, tmp_path, concurrency={"max_runs": 1})
    first, second = gate.fire(), gate.fire()
    with daemon.follow(second) as s:
        assert next(s) == ("status", None, {"run_id": second, "status": "pending", "attempt": 1})
        gate.say("echo mine; exit 0")
        gate.leave()
        assert daemon.wait_run(first, "success")
        assert next(s)[2]["status"] == "running"
        gate.say("echo yours; exit 0")
        gate.leave()
        assert messages(s) == ["yours"]


def test_a_cancelled_pending_run(daemon):
    run_id = daemon.fire_ok(daemon.create_webhook_trigger(daemon.create_pipeline(executor={"type": "pull"})))
    with daemon.follow(run_id) as s:
        assert next(s)[2]["status"] == "pending"
        daemon.post(f"/api/v1/runs/{run_id}/cancel").expect(200)
        assert [e[2]["status"] for e in s] == ["cancelled"]


def test_the_next_attempt(daemon, tmp_path):
    flag = tmp_path / "flag"
    p = daemon.create_pipeline(argv=["/bin/sh", "-c", f'echo "try $PAWL_ATTEMPT"; [ -e {flag} ] || {{ touch {flag}; exit 1; }}'],
                               retry={"max_attempts": 2, "backoff_seconds": 0.2})
    run_id = daemon.fire_ok(daemon.create_webhook_trigger(p))
    for _ in range(2):  # as it goes, and when it has ended
        with daemon.follow(run_id) as s:
            events = list(s)
        lines = [(e[1], e[2]["message"]) for e in events if e[0] == "log"]
        assert lines == [("1.1", "try 1"), ("2.1", "try 2")]
        assert events[-1][2] == {**events[-1][2], "status": "success", "attempt": 2}
    assert [e[1] for e in daemon.follow(run_id, "1.1")] == ["2.1", "end"]


def test_a_worker_reports_what_a_run_wrote(daemon):
    run_id = daemon.fire_ok(daemon.create_webhook_trigger(daemon.create_pipeline(executor={"type": "pull"})))
    with daemon.follow(run_id) as s:
        s.until("status", status="pending")
        claim = {"pipelines": ["*"], "wait_seconds": 10}
        lease = daemon.post("/api/v1/runs/claim", claim).expect(200).json()["runs"][0]["lease_token"]
        s.until("status", status="running")
        daemon.post(f"/api/v1/runs/{run_id}/complete", {"lease_token": lease, "output": "done", "logs": [
            {"message": "one\ntwo", "time": "2026-02-13T10:05:00.123Z"}, {"message": "three", "stream": "stderr"}]}).expect(200)
        lines = [e[2] for e in s.until("status", status="success") if e[0] == "log"]
    assert lines[:2] == [{"time": "2026-02-13T10:05:00.123Z", "stream": "stdout", "message": m} for m in ("one", "two")]
    assert (lines[2]["stream"], lines[2]["message"], len(lines)) == ("stderr", "three", 3)
    assert daemon.logs(run_id) == lines


@pytest.mark.parametrize("logs,says", [
    ("text", "logs: must be "), (["text"], "logs: [0] must be an object"), ([{"message": "a"}, {}], "logs: [1].message: is required"),
    ([{"message": "a", "stream": "tty"}], "logs: [0].stream: must be stdout or stderr"),
    ([{"message": "a", "time": "noon"}], "logs: [0].time: must be an RFC 3339 time"),
    ([{"message": "a", "level": 1}], "logs: [0].level: is not a known field"),
])
def test_a_bad_report_of_lines(daemon, logs, says):
    run_id = daemon.fire_ok(daemon.create_webhook_trigger(daemon.create_pipeline(executor={"type": "pull"})))
    r = daemon.post(f"/api/v1/runs/{run_id}/status", {"status": "success", "logs": logs}).expect(400)
    assert says in r.message
    assert daemon.run(run_id)["status"] == "pending"


def test_a_long_report_is_cut(daemon):
    run_id = daemon.fire_ok(daemon.create_webhook_trigger(daemon.create_pipeline(executor={"type": "pull"})))
    logs = [{"message": "x" * 16000}] * 100
    daemon.post(f"/api/v1/runs/{run_id}/status", {"status": "success", "logs": logs}).expect(200)
    r = daemon.get(f"/api/v1/runs/{run_id}/logs").expect(200).json()
    assert r["truncated"] and len(r["logs"]) == 66 and r["logs"][-1]["truncated"]


def test_a_report_as_large_as_it_may_be(daemon):
    """Both bounds are reached, and JSON writes each byte of the output as six."""
    run_id = daemon.fire_ok(daemon.create_webhook_trigger(daemon.create_pipeline(executor={"type": "pull"})))
    report = {"status": "success", "output": "\x01" * (1 << 20), "logs": [{"message": "x" * 16000}] * 60}
    daemon.post(f"/api/v1/runs/{run_id}/status", report).expect(200)
    assert daemon.run(run_id)["output"] == report["output"] and len(daemon.logs(run_id)) == 60


# ---- many, and slow ones ----

def test_many_readers_see_each_line_once(daemon, gate):
    """They come at different times, while lines are written as fast as a shell can."""
    count = 3000
    wanted = [str(i) for i in range(1, count + 1)]
    gate.say(f"i=0; while [ $i -lt {count} ]; do i=$((i+1)); echo $i; done")

    def read(n):
        with daemon.follow(gate.run_id, timeout=60) as s:
            return messages(s)

    with concurrent.futures.ThreadPoolExecutor(200) as pool:
        readers = [pool.submit(read, n) for n in range(200)]
        wait_until(lambda: metric(daemon, "pawl_http_streams") == 200, 30, "200 streams")
        gate.end()
        for r in readers:
            assert r.result() == wanted
    no_streams(daemon)


def test_a_reader_that_stops_reading_is_cut(make_daemon, tmp_path):
    """Its connection's buffers may hold all of a log: what is in them and is not taken counts."""
    daemon = make_daemon(config={"write_seconds": 5, "stop_grace_seconds": 1})
    gate = Gate(daemon, tmp_path)
    run_id = gate.fire()
    slow = EventStream(daemon, f"/api/v1/runs/{run_id}/logs", send=False)
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.ask()
    with daemon.follow(run_id) as s:
        gate.say('i=0; while [ $i -lt 900 ]; do i=$((i+1)); printf "%01000d\\n" $i; done')
        assert len(s.until("log", message="%01000d" % 900)) >= 900
        wait_until(lambda: metric(daemon, "pawl_http_streams_cut_total") == 1, 20, "the slow reader to be cut")
        assert metric(daemon, "pawl_http_streams") == 1
        gate.end()
        assert next(s)[2]["status"] == "success"
    # It comes again from where it was, and misses nothing.
    got = []
    with pytest.raises((EOFError, ConnectionResetError)):
        for e in slow:
            got.append(e)
    slow.close()
    last = [e[1] for e in got if e[0] == "log"][-1]
    assert last != "1.900"
    got += list(daemon.follow(run_id, last))
    assert messages(got) == ["%01000d" % i for i in range(1, 901)]


def test_a_slow_reader_gets_everything(daemon, gate):
    slow = EventStream(daemon, f"/api/v1/runs/{gate.run_id}/logs", send=False)
    slow.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    slow.ask()
    gate.say('i=0; while [ $i -lt 900 ]; do i=$((i+1)); printf "%01000d\\n" $i; done')
    gate.end()
    daemon.wait_run(gate.run_id, "success")
    assert messages(slow) == ["%01000d" % i for i in range(1, 901)]


def test_too_many_readers(many_descriptors, daemon, gate):
    gate.say("echo one")
    readers = [daemon.follow(gate.run_id, timeout=60) for _ in range(2000)]
    r = daemon.get(f"/api/v1/runs/{gate.run_id}/logs", headers={"Accept": "text/event-stream"}).expect(503)
    assert r.error == "UNAVAILABLE" and "retry-after" in r.headers
    daemon.get(f"/api/v1/runs/{gate.run_id}/logs").expect(200)
    gate.say("echo two")
    gate.end()
    for s in readers:
        assert s.messages() == ["one", "two"]
        s.close()
    no_streams(daemon)


# ---- coming back ----

def test_a_reader_comes_back(daemon, gate):
    gate.say("echo one; echo two; echo three")
    with daemon.follow(gate.run_id) as s:
        s.until("log", message="three")
    with daemon.follow(gate.run_id, "1.2") as s:
        assert s.until("log")[-1][:2] == ("log", "1.3")
        gate.say("echo four")
        assert s.until("log")[-1][:2] == ("log", "1.4")
        gate.end()
        assert [e[0] for e in s] == ["status"]
    daemon.wait_run(gate.run_id)
    with daemon.follow(gate.run_id, "1.3") as s:
        assert [e[1] for e in s] == ["1.4", "end"]
    with daemon.follow(gate.run_id, "1.4") as s:
        assert [e[1] for e in s] == ["end"]
    with daemon.follow(gate.run_id, "end") as s:  # a browser that comes again by itself is told to stop
        assert s.head.status == 204


@pytest.mark.parametrize("id", ["1", "1.", ".1", "1.x", "-1.1", "1.1.1", "99999999999.1", "over"])
def test_not_an_id(daemon, id):
    r = daemon.get(f"/api/v1/runs/{NO_RUN}/logs", headers={"Accept": "text/event-stream", "Last-Event-ID": id}).expect(400)
    assert r.error == "INVALID_ARGUMENT" and r.message.startswith("Last-Event-ID: ")


def test_a_crash_in_the_middle(daemon, gate):
    gate.say("echo one")
    s = daemon.follow(gate.run_id)
    s.until("log", message="one")
    daemon.kill()
    with pytest.raises((EOFError, ConnectionResetError)):
        list(s)
    gate.leave()
    daemon.start()
    with daemon.follow(gate.run_id, "1.1") as s:
        assert [e[2]["status"] for e in s] == ["failed"]


def test_what_ended_runs_wrote_survives(daemon):
    p = daemon.create_pipeline(argv=["/bin/sh", "-c", "echo one; echo two >&2; exit 3"])
    run_id = daemon.fire_ok(daemon.create_webhook_trigger(p))
    run, lines = daemon.wait_run(run_id, "failed"), daemon.logs(run_id)
    assert [line["message"] for line in lines] == ["one", "two"] and run["output"] == "one\n"
    daemon.kill()
    daemon.start()
    assert daemon.run(run_id) == run and daemon.logs(run_id) == lines
    assert [e[2] for e in daemon.follow(run_id) if e[0] == "log"] == lines


def test_a_stop_ends_streams_at_once(make_daemon, tmp_path):
    """Also that of a run that goes on for as long as it is let, and of one that waits."""
    daemon = make_daemon()
    gate = Gate(daemon, tmp_path, concurrency={"max_runs": 1})
    running, pending = gate.fire(), gate.fire()
    gate.say("echo one")
    a, b = daemon.follow(running), daemon.follow(pending)
    a.until("log", message="one")
    b.until("status", status="pending")
    daemon.signal(signal.SIGTERM)
    assert list(a) == [] and a.complete and list(b) == [] and b.complete
    assert daemon.running  # the run is let finish
    gate.end()
    daemon.wait_exit()
    daemon.start()
    with daemon.follow(running, "1.1") as s:
        assert [e[1] for e in s] == ["end"]
    gate.end()


# ---- clients ----

def test_head(daemon, gate):
    with daemon.wire() as w:
        request = f"HEAD /api/v1/runs/{gate.run_id}/logs HTTP/1.1\r\nHost: x\r\nAccept: text/event-stream\r\n\r\n"
        for _ in range(2):
            r = w.send(request).response(head=True)
            assert r.status == 200 and r.headers["content-type"] == "text/event-stream"
        assert w.send(request.replace(gate.run_id, NO_RUN)).response(head=True).status == 404
    no_streams(daemon)
    gate.end()


def test_http_1_0(daemon, gate):
    with daemon.wire() as w:
        w.send(f"GET /api/v1/runs/{gate.run_id}/logs HTTP/1.0\r\nAccept: text/event-stream\r\n\r\n")
        gate.say("echo one")
        gate.end()
        head, body = w.rest().split(b"\r\n\r\n", 1)
        assert b"Connection: close" in head and b"Transfer-Encoding" not in head
        assert re.findall(rb"^id: (.*)$", body, re.M) == [b"1.1", b"end"]


def test_requests_behind_a_stream_wait_for_it(daemon, gate):
    with daemon.follow(gate.run_id) as s:
        s.send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        gate.say("echo one")
        s.until("log", message="one")
        gate.end()
        assert next(s)[1] == "end" and list(s) == []
        assert s.response().status == 200


def test_clients_that_leave_leave_nothing(daemon, gate):
    before = daemon.open_fds()
    streams = [daemon.follow(gate.run_id) for _ in range(50)]
    for n, s in enumerate(streams):
        s.until("status", status="running")
        if n % 2:
            s.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")  # with a reset
        s.close()
    no_streams(daemon)
    wait_until(lambda: metric(daemon, "pawl_http_connections") == 1, 10, "the connections to be closed")  # but for that which asks
    assert daemon.open_fds() < before + 25  # the readers of the database have opened theirs
    gate.say("echo to nobody")
    gate.end()
    daemon.wait_run(gate.run_id, "success")


def test_a_client_that_has_said_all_gets_all(daemon, gate):
    with daemon.follow(gate.run_id) as s:
        s.shutdown_write()
        s.until("status", status="running")
        gate.say("echo one")
        gate.end()
        assert [e[1] for e in s] == ["1.1", "end"]


def test_a_silent_stream_is_kept(daemon, gate):
    """Nothing is written for longer than a proxy may wait: comments come."""
    with daemon.follow(gate.run_id) as s:
        s.until("status", status="running")
        assert readable(s.sock, deadline(40))
        assert s._until(b"\r\n") == b"3" and s._exactly(5) == b":\n\n\r\n"
        gate.end()
        assert [e[1] for e in s] == ["end"]


def test_a_key_is_needed(make_daemon):
    daemon = make_daemon()
    key = cli("key", "add", "test", "--data", daemon.data).stdout.split()[-1]
    wait_until(lambda: daemon.get("/api/v1/pipelines").status == 401, what="the key to be asked for")
    r = daemon.get(f"/api/v1/runs/{NO_RUN}/logs", headers={"Accept": "text/event-stream"}).expect(401)
    assert r.error == "UNAUTHENTICATED"
    daemon.get(f"/api/v1/runs/{NO_RUN}/logs", headers={"Accept": "text/event-stream", "X-Api-Key": key}).expect(404)
