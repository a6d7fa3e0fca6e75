"""A full disk, failing writes, failing syncs, damage: callers get 503, nothing is half done, and service resumes by itself.

The faults come from tests/lib/fault_vfs.c, loaded into the real binary with LD_PRELOAD; what stands in a file decides which one hits.
"""
import contextlib
import itertools
import os
import sqlite3
import subprocess
import threading

import pytest

import nats
import pawl

LIB = os.path.join(pawl.ROOT, "tests", "lib")
FAULTS = ("enospc", "eio", "torn", "fsync")


@pytest.fixture(scope="module")
def preload(tmp_path_factory):
    so = tmp_path_factory.mktemp("fault") / "fault_vfs.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", so, os.path.join(LIB, "fault_vfs.c"), "-lsqlite3", "-lpthread"],
                   check=True)
    return str(so)


def environment(preload, file):
    asan = pawl.environment()["ASAN_OPTIONS"] + ":verify_asan_link_order=0"  # a sanitized binary has the sanitizer before the preload
    return {"LD_PRELOAD": preload, "PAWL_FAULT_FILE": str(file), "ASAN_OPTIONS": asan}


@pytest.fixture
def faulty(make_daemon, preload, tmp_path):
    """A daemon whose disk obeys faulty.set_fault(name); "" is no fault."""
    file = tmp_path / "fault"
    file.write_text("")
    d = make_daemon(env=environment(preload, file))

    def set_fault(name):
        # Written beside and renamed: the daemon must never read half a name.
        new = tmp_path / "fault.new"
        new.write_text(name)
        new.rename(file)

    d.set_fault = set_fault
    return d


def expect_unavailable(r):
    assert r.status == 503 and r.error == "UNAVAILABLE", r
    assert int(r.headers["retry-after"]) >= 1


@pytest.mark.parametrize("fault", FAULTS)
def test_refused_while_it_lasts_and_accepted_after(faulty, fault):
    d = faulty
    t = d.create_webhook_trigger(d.create_pipeline(executor={"type": "pull"}))
    accepted = [d.fire_ok(t) for _ in range(3)]
    d.set_fault(fault)
    for _ in range(3):
        expect_unavailable(d.fire(t))
    expect_unavailable(d.post("/api/v1/pipelines", {"namespace": "default", "layer": "bronze", "name": "never",
                                                    "executor": {"type": "pull"}}))
    assert d.get("/health/live").status == 200
    d.set_fault("")
    pawl.wait_until(lambda: d.fire(t).status == 201, what="the daemon to accept again")
    accepted.append(d.fire_ok(t))
    runs = {r["id"] for r in d.all_runs()}
    assert set(accepted) <= runs and len(runs) == 5
    d.kill()
    d.start()
    assert {r["id"] for r in d.all_runs()} == runs
    names = [p["name"] for p in d.get("/api/v1/pipelines").json()["pipelines"]]
    assert "never" not in names and len(names) == 1


@pytest.mark.parametrize("fault", FAULTS)
def test_cooldown_is_not_started_by_what_failed(faulty, fault):
    d = faulty
    t = d.create_webhook_trigger(d.create_pipeline(executor={"type": "pull"}), cooldown_seconds=3600)
    d.set_fault(fault)
    expect_unavailable(d.fire(t))
    d.set_fault("")
    d.fire_ok(t)
    assert d.fire(t).status == 429


def test_faults_come_and_go_under_load(faulty):
    """Every 201 is there afterwards, every 503 is not: runs and acknowledgements are the same set."""
    d = faulty
    t = d.create_webhook_trigger(d.create_pipeline(executor={"type": "pull"}))
    accepted, refused, others = [], [], []
    stop = threading.Event()

    def fire():
        while not stop.is_set():
            r = d.fire(t)
            if r.status == 201:
                accepted.append(r.json()["run_id"])
            else:
                (refused if r.status == 503 else others).append(r)

    threads = [threading.Thread(target=fire) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        for fault in FAULTS * 2:
            n, m = len(accepted), len(refused)
            pawl.wait_until(lambda: len(accepted) > n + 20, what="accepted webhooks")
            d.set_fault(fault)
            pawl.wait_until(lambda: len(refused) > m + 20, what="refused webhooks")
            d.set_fault("")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not others
    assert sorted(r["id"] for r in d.all_runs()) == sorted(accepted)
    d.stop()
    with d.db() as con:
        assert con.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        assert con.execute("SELECT count(*) FROM events").fetchone() == con.execute("SELECT count(*) FROM runs").fetchone()


def test_offsets_have_no_gap_when_publishing_fails(faulty):
    """What was answered with 202 stands at its offset, what was refused stands nowhere, single or in batches, repeated or not."""
    d = faulty
    d.create_trigger(d.create_pipeline(executor={"type": "pull"}), "topic", {"topic": "orders"})
    stored, refused, others = {}, set(), []  # offset -> payload
    stop = threading.Event()

    def publish(n):
        for i in itertools.count():
            if stop.is_set():
                return
            lines = [f'"{n}.{i}.{k}"' for k in range(3 if n % 2 else 1)]
            headers = {"Content-Type": "application/x-ndjson"}
            if n >= 4:
                headers["Idempotency-Key"] = f"{n}.{i}"
            r = d.post("/api/v1/topics/orders/messages", "\n".join(lines).encode(), headers=headers)
            if r.status == 503 and n >= 4:
                r = d.post("/api/v1/topics/orders/messages", "\n".join(lines).encode(), headers=headers)
            if r.status == 202:
                stored.update({r.json()["offset"] + k: line for k, line in enumerate(lines)})
            elif r.status == 503:
                refused.update(lines)
            else:
                others.append(r)

    threads = [threading.Thread(target=publish, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    try:
        for fault in FAULTS:
            n, m = len(stored), len(refused)
            pawl.wait_until(lambda: len(stored) > n + 20, what="published messages")
            d.set_fault(fault)
            pawl.wait_until(lambda: len(refused) > m + 20, what="refused messages")
            d.set_fault("")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not others
    d.kill()
    d.start()
    d.post("/api/v1/topics/orders/messages", b"last").expect(202)
    stored[len(stored)] = "last"
    found, page = {}, {"next_offset": 0, "end_offset": 1}
    while page["next_offset"] < page["end_offset"]:
        page = d.get(f"/api/v1/topics/orders/messages?limit=200&offset={page['next_offset']}").expect(200).json()
        found.update({m["offset"]: m["payload"] for m in page["messages"]})
    assert found == stored and sorted(found) == list(range(len(stored)))
    assert len(d.all_runs()) == len(stored)


def test_run_that_ends_while_the_disk_fails_is_recorded_later(faulty, tmp_path):
    d = faulty
    go = tmp_path / "go"
    os.mkfifo(go)
    t = d.create_webhook_trigger(d.create_pipeline(argv=["/bin/cat", str(go)]))
    run = d.fire_ok(t)
    d.wait_run(run, status="running")
    d.set_fault("enospc")
    go.write_text("late\n")
    expect_unavailable(d.fire(t))
    d.set_fault("")
    assert d.wait_run(run)["status"] == "success"
    assert d.run(run)["output"] == "late\n"


def test_full_disk_at_start_is_a_message(make_daemon, preload, tmp_path):
    file = tmp_path / "fault"
    file.write_text("enospc")
    d = make_daemon(env=environment(preload, file), start=False)
    code, said = d.start_fails()
    assert code == 1 and "the disk is full" in said
    file.write_text("")
    d.start()


def test_damaged_table_is_refused_and_said(make_daemon):
    """Damage in a place that is not read at start: calls are refused, nothing crashes, and the reason is in words."""
    d = make_daemon()
    t = d.create_webhook_trigger(d.create_pipeline())
    d.wait_run(d.fire_ok(t))
    d.stop()
    with contextlib.closing(sqlite3.connect(f"{d.data}/pawl.db")) as con:
        size = con.execute("PRAGMA page_size").fetchone()[0]
        page = con.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'events'").fetchone()[0]
    with open(f"{d.data}/pawl.db", "r+b") as f:
        f.seek((page - 1) * size)
        f.write(b"\xff" * size)
    d.start()
    expect_unavailable(d.fire(t))
    assert "damaged" in d.get("/health/ready").expect(503).json()["journal"]
    d.get("/api/v1/event-log").expect(503)
    d.get("/api/v1/runs").expect(200)
    assert "the database is damaged" in d.stderr()


@pytest.mark.skipif(not nats.available(), reason="nats-server is not installed")
@pytest.mark.parametrize("fault", ("enospc", "fsync"))
def test_messages_of_nats_wait_for_the_disk(make_daemon, preload, tmp_path, fault):
    """They are fed again in their order after a failed commit; none is acknowledged before, none is left out, none comes twice."""
    file = tmp_path / "fault"
    file.write_text("")
    server = nats.Server(str(tmp_path / "nats")).start()
    try:
        client = server.client()
        client.add_stream("ORDERS", ["orders.>"])
        d = make_daemon("--nats-url", server.url, env=environment(preload, file))
        d.create_trigger(d.create_pipeline(executor={"type": "pull"}), "topic", {"topic": "nats:orders.new"})
        pawl.wait_until(lambda: client.consumers("ORDERS"), what="the consumer")
        sent = [b"%d" % i for i in range(300)]
        client.publish_many("orders.new", sent[:100])
        file.write_text(fault)
        client.publish_many("orders.new", sent[100:200])
        pawl.wait_until(lambda: "commit failed" in d.stderr(), what="a failed commit")
        [consumer] = client.consumers("ORDERS")
        assert consumer["num_ack_pending"] + consumer["num_pending"] >= 100  # none of the second hundred, delivered or not
        client.publish_many("orders.new", sent[200:])
        file.write_text("")

        def events():
            with d.db() as db:
                return [bytes(row[0]) for row in db.execute("SELECT payload FROM events WHERE source = 'topic' ORDER BY key")]

        pawl.wait_until(lambda: len(events()) >= len(sent), 30, "all events")
        assert events() == sent
        pawl.wait_until(lambda: client.consumers("ORDERS")[0]["num_ack_pending"] == 0, 30, "acknowledgements")
        assert events() == sent
    finally:
        server.kill()


MANIFESTS = "\n---\n".join(f"""apiVersion: pawl.dev/v1
kind: {kind}
metadata: {{name: x, namespace: n}}
spec: {{{spec}}}""" for kind, spec in (("Pipeline", "executor: {type: pull}"), ("LandingZone", ""),
                                      ("Trigger", "pipeline: x, type: webhook, config: {}")))


@pytest.mark.parametrize("fault", FAULTS)
def test_manifests_that_cannot_be_written_are_not_applied(faulty, fault):
    d = faulty
    d.set_fault(fault)
    expect_unavailable(d.request("POST", "/api/v1/apply", MANIFESTS.encode()))
    d.set_fault("")
    assert d.get("/api/v1/pipelines").json()["total"] == 0 == d.get("/api/v1/landing-zones").json()["total"]
    results = d.request("POST", "/api/v1/apply", MANIFESTS.encode()).expect(200).json()["results"]
    assert {r["result"] for r in results} == {"created"}
    d.set_fault(fault)
    expect_unavailable(d.request("POST", "/api/v1/apply?prune=true&namespace=n", b""))
    d.set_fault("")
    again = d.request("POST", "/api/v1/apply", MANIFESTS.encode()).expect(200).json()["results"]
    assert {r["result"] for r in again} == {"unchanged"}


def test_a_directory_of_manifests_waits_for_the_disk(make_daemon, preload, tmp_path):
    fault, directory = tmp_path / "fault", tmp_path / "manifests"
    fault.write_text("")
    directory.mkdir()
    d = make_daemon("--manifests", str(directory), env=environment(preload, fault))
    (tmp_path / "full").write_text("enospc")
    (tmp_path / "full").rename(fault)
    (tmp_path / "new").write_text(MANIFESTS)
    (tmp_path / "new").rename(directory / "a.yaml")
    pawl.wait_until(lambda: "manifests cannot be applied now" in d.stderr())
    assert d.get("/api/v1/pipelines").json()["total"] == 0
    (tmp_path / "none").write_text("")
    (tmp_path / "none").rename(fault)
    pawl.wait_until(lambda: d.get("/api/v1/pipelines").json()["total"] == 1)
