"""What runs have written while they went on is there after a crash: as JSON, as a stream from where a reader was, on the command line."""
import json
import os
import random

import pytest

import crash
from pawl import cli, row_key, wait_until

# Two lines and a half in one piece, then a wait for somebody to write to the fifo, in the first attempt only.
SCRIPT = 'printf "one of $PAWL_ATTEMPT\\ntwo of $PAWL_ATTEMPT\\nhalf"; [ $PAWL_ATTEMPT = 2 ] && exit; read line < {fifo}; echo rest'

WORKER = """
echo "worker begins" >&2
while read -r line; do
    echo "working on it" >&2
    read -r line < {fifo}
done
"""


@pytest.fixture
def fifo(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


def fire(daemon, **pipeline):
    return daemon.fire_ok(daemon.create_webhook_trigger(daemon.create_pipeline(**pipeline)))


def parts(daemon, run_id, attempt=1):
    """What the database has of a log while its attempt goes on, or went on."""
    with daemon.db() as con:
        rows = con.execute("SELECT text FROM log_parts WHERE run = ? AND attempt = ? ORDER BY at", (row_key(run_id), attempt))
        return b"".join(text for text, in rows).decode()


def wait_parts(daemon, run_id, text):
    wait_until(lambda: text in parts(daemon, run_id), 30, f"'{text}' to be in the database", every=0.05)


def messages(daemon, run_id, attempt=None):
    query = f"?attempt={attempt}" if attempt else ""
    return [line["message"] for line in daemon.get(f"/api/v1/runs/{run_id}/logs{query}").expect(200).json()["logs"]]


def test_kinds_of_runs(daemon, fifo):
    """A command with another attempt and one without, a run of steps, a worker's."""
    retried = fire(daemon, argv=["/bin/sh", "-c", SCRIPT.format(fifo=fifo)], retry={"max_attempts": 2, "backoff_seconds": 0})
    last = fire(daemon, argv=["/bin/sh", "-c", SCRIPT.format(fifo=fifo)])
    steps = daemon.post("/api/v1/pipelines", {"namespace": "default", "layer": "bronze", "name": "steps", "steps": [
        {"name": "first", "argv": ["/bin/echo", "done"]}, {"name": "second", "argv": ["/bin/sh", "-c", SCRIPT.format(fifo=fifo)]}]})
    steps = daemon.fire_ok(daemon.create_webhook_trigger(steps.expect(201).json()))
    service = fire(daemon, executor={"type": "service", "argv": ["/bin/sh", "-c", WORKER.format(fifo=fifo)]})
    for run_id in (retried, last, steps):
        wait_parts(daemon, run_id, "two of 1")
    wait_parts(daemon, service, "working on it")
    with daemon.follow(retried) as s:
        lines = s.until("log", message="two of 1")
    seen = [e for e in lines if e[0] == "log"]
    assert [e[1] for e in seen] == ["1.1", "1.2"]
    daemon.kill()
    daemon.start()

    run = daemon.wait_run(retried, "success")
    assert run["attempt"] == 2 and run["attempts"][0]["status"] == "interrupted"
    assert messages(daemon, retried, 1) == ["one of 1", "two of 1"] and messages(daemon, retried) == ["one of 2", "two of 2", "half"]
    # Line by line the same as those who read along have seen, so that they go on from wherever they were.
    events = [e for e in daemon.follow(retried) if e[0] == "log"]
    assert events[:2] == seen and [e[1] for e in events] == ["1.1", "1.2", "2.1", "2.2", "2.3"]
    assert [e[1] for e in daemon.follow(retried, "1.1")] == ["1.2", "2.1", "2.2", "2.3", "end"]
    assert [e[1] for e in daemon.follow(retried, "1.2")] == ["2.1", "2.2", "2.3", "end"]
    assert [e[1] for e in daemon.follow(retried, "1.3")] == ["2.1", "2.2", "2.3", "end"]  # a line that was seen, and is lost

    run = daemon.wait_run(last, "failed")
    assert run["error"] == "interrupted" and messages(daemon, last) == ["one of 1", "two of 1"]
    assert [e[1] for e in daemon.follow(last, "1.1")] == ["1.2", "end"]
    assert cli("logs", last, "--server", daemon.url).stdout.splitlines() == ["one of 1", "two of 1"] == \
        cli("logs", "-f", last, "--server", daemon.url).stdout.splitlines()

    daemon.wait_run(steps, "failed")
    assert [(line["step"], line["message"]) for line in daemon.logs(steps)] == [
        ("first", "done"), ("second", "one of 1"), ("second", "two of 1")]
    daemon.wait_run(service, "failed")
    assert "working on it" in messages(daemon, service)

    daemon.kill()  # it stays
    daemon.start()
    assert messages(daemon, retried, 1) == ["one of 1", "two of 1"] and messages(daemon, last) == ["one of 1", "two of 1"]


def test_the_end_leaves_nothing(daemon, fifo):
    """An end in order brings the whole log, with what was never written before."""
    run_id = fire(daemon, argv=["/bin/sh", "-c", SCRIPT.format(fifo=fifo)])
    wait_parts(daemon, run_id, "two of 1")
    fifo.write_text("go\n")
    daemon.wait_run(run_id, "success")
    assert messages(daemon, run_id) == ["one of 1", "two of 1", "halfrest"]
    assert parts(daemon, run_id) == ""
    with daemon.db() as con:
        assert con.execute("SELECT count(*) FROM log_parts").fetchone() == (0,)


def test_a_stop_leaves_nothing(make_daemon, fifo):
    """What is interrupted by a stop has its whole log, with the line that had no end."""
    daemon = make_daemon(config={"stop_grace_seconds": 0})
    run_id = fire(daemon, argv=["/bin/sh", "-c", SCRIPT.format(fifo=fifo)])
    wait_parts(daemon, run_id, "two of 1")
    daemon.stop()
    assert parts(daemon, run_id) == ""
    daemon.start()
    assert daemon.run(run_id)["error"] == "interrupted" and messages(daemon, run_id) == ["one of 1", "two of 1", "half"]


def test_kills_at_any_moment(daemon):
    """Of each attempt what was in the database when the daemon died is shown: every line once, in order, from the first one on."""
    chance = random.Random(crash.seed_of_the_day())
    script = 'i=0; while :; do i=$((i+1)); echo "$PAWL_ATTEMPT $i"; sleep 0.0$((i % 9)); done'
    runs = [fire(daemon, argv=["/bin/sh", "-c", script], retry={"max_attempts": 10, "backoff_seconds": 0}) for _ in range(4)]
    kept = {}
    for attempt in (1, 2, 3):
        wanted = chance.randrange(1, 30)
        for run_id in runs:
            wait_until(lambda: parts(daemon, run_id, attempt).count("\n") >= wanted, 30, f"{wanted} lines of attempt {attempt}")
        daemon.kill()
        for run_id in runs:
            kept[run_id, attempt] = [json.loads(line) for line in parts(daemon, run_id, attempt).splitlines()]
        daemon.start()
    for run_id in runs:
        daemon.post(f"/api/v1/runs/{run_id}/cancel").expect(200)
        lines = {id: data for event, id, data in daemon.follow(run_id) if event == "log"}
        for attempt in (1, 2, 3):
            log = kept[run_id, attempt]
            assert [line["message"] for line in log] == [f"{attempt} {i}" for i in range(1, len(log) + 1)] == messages(daemon, run_id, attempt)
            assert [lines.get(f"{attempt}.{i}") for i in range(1, len(log) + 2)] == [*log, None]
