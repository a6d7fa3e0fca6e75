"""Topics of Kafka: every message that the brokers acknowledged makes exactly one event, whoever is killed or goes away when."""
import os
import subprocess
import threading

import kafka
import kafka_crash
import pawl
import pytest
from pawl import wait_until

pytestmark = pytest.mark.skipif(not kafka.available(), reason="a C compiler or librdkafka-dev is not installed, or pawl was built without it")
QUICK = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 500}  # who was killed is missed soon


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    return kafka.build(tmp_path_factory.mktemp("kafka"))


@pytest.fixture
def make_cluster(program):
    made = []

    def make(brokers=1):
        made.append(kafka.Cluster(program, brokers))
        return made[-1]

    yield make
    for c in made:
        c.stop()


@pytest.fixture
def cluster(make_cluster):
    c = make_cluster()
    c.topic("orders")
    return c


@pytest.fixture
def make_pawl(cluster, make_daemon):
    """A daemon that has the cluster's brokers."""
    def make(properties=None, **kw):
        config = {"kafka_brokers": cluster.bootstraps, "kafka": {**QUICK, **(properties or {})}}
        return make_daemon(config=config, **kw)
    return make


def listen(daemon, topic="kafka:orders", name="orders", executor=None):
    """A started pipeline for a topic; its path in the Events API."""
    spec = {"id": f"p-{name}", "name": name, "options": {"event": topic}, "executor": executor or {"type": "pull"}}
    daemon.post("/api/v1/pipelines/", spec).expect(201)
    path = f"/api/v1/events/p-{name}"
    daemon.post(path).expect(200)
    return path


def state(daemon, path="/api/v1/events/p-orders"):
    return daemon.get(path).expect(200).json()


def wait_ready(daemon, path="/api/v1/events/p-orders", timeout=30):
    wait_until(lambda: state(daemon, path)["ready"], timeout, "the topic to be consumed")


def listening(make_pawl):
    """A daemon that reads the topic from now on."""
    d = make_pawl()
    listen(d)
    wait_ready(d)
    return d


def wait_reason(daemon, text, path="/api/v1/events/p-orders", timeout=30):
    return wait_until(lambda: text in state(daemon, path).get("reason", ""), timeout, f"the reason {text!r}")


def payloads(daemon):
    """Of all events that are messages, in their order."""
    with daemon.db() as db:
        return [bytes(row[0] or b"") for row in db.execute("SELECT payload FROM events WHERE source = 'topic' ORDER BY key")]


def wait_payloads(daemon, expected, timeout=30):
    wait_until(lambda: len(payloads(daemon)) >= len(expected), timeout, f"{len(expected)} events")
    assert payloads(daemon) == expected


def check_once(expected, *daemons):
    """Each of the expected messages has made one event at one of the daemons, and nothing else has."""
    got = sorted(p for d in daemons for p in payloads(d))
    missing = set(expected) - set(got)
    twice = [p for p, q in zip(got, got[1:]) if p == q]
    assert not missing and not twice and len(got) == len(expected), (missing, twice)


def wait_committed(cluster, offset, topic="orders", partition=0, group=None):
    wait_until(lambda: cluster.committed(group or f"pawl.{topic}", topic, partition) == offset, 30, f"the group's offset {offset}")


# ---- messages become events ----

def test_messages_make_runs_and_their_offsets_are_committed(make_pawl, cluster):
    d = make_pawl()
    cluster.produce("orders", count=3)
    listen(d)
    wait_ready(d)
    wait_committed(cluster, 3)  # it begins at the end
    expected = cluster.produce("orders", first=3, count=5)
    wait_payloads(d, expected)
    wait_committed(cluster, 8)
    wait_until(lambda: d.topic_metrics("kafka:orders").get("lag_messages") == 0, what="the lag to be known")
    m = d.topic_metrics("kafka:orders")
    again = m.pop("duplicates_total")  # of a slow daemon the group thinks that it has died, and reads behind its offset
    assert m == {"ready": 1, "connected": 1, "received_total": 5 + again, "passed_over_total": 0, "in_flight": 0, "lag_messages": 0}
    assert len(d.get("/api/v1/runs?limit=100").json()["runs"]) == 5


def test_key_content_type_and_subject(make_pawl, cluster):
    d = make_pawl()
    listen(d, executor={"type": "command", "argv": ["/bin/cat"]})
    wait_ready(d)
    cluster.message("orders", '{"n":1}', key="customer-7", content_type="application/json")
    run = d.wait_run(wait_until(lambda: d.get("/api/v1/runs").json()["runs"], 20, "a run")[0]["id"])
    event = run["output"]["event"] if "event" in run["output"] else run["output"]
    assert (event["source"], event["type"], event["subject"], event["key"]) == ("topic", "message", "kafka:orders", "customer-7")
    assert event["payload"] == {"n": 1}


def test_a_message_that_is_too_large_is_passed_over(make_pawl, cluster):
    d = listening(make_pawl)
    before = cluster.produce("orders", count=1)
    cluster.large("orders", (1 << 20) + 1)
    wait_payloads(d, before + cluster.produce("orders", first=1, count=1))
    assert "too large" in d.stderr()
    wait_committed(cluster, 3)
    m = d.topic_metrics("kafka:orders")
    assert (m["received_total"], m["passed_over_total"]) == (2, 1)


# ---- once, whatever happens ----

def test_it_goes_on_where_it_stopped(make_pawl, cluster):
    d = listening(make_pawl)
    first = cluster.produce("orders", count=2)
    wait_payloads(d, first)
    d.stop()
    assert cluster.committed("pawl.orders", "orders") == 2  # said on the way out
    later = cluster.produce("orders", first=2, count=2)
    d.start()
    wait_payloads(d, first + later)


def test_what_began_at_the_end_begins_there_after_a_crash_too(make_pawl, cluster):
    d = make_pawl()
    cluster.produce("orders", count=3)
    listen(d)
    wait_ready(d)
    d.kill()
    d.start()
    later = cluster.produce("orders", first=3, count=1)
    wait_payloads(d, later)


def test_the_own_position_is_the_truth(make_pawl, cluster):
    """A group that knows nothing of what was read: every message is delivered to it, and none makes a second event."""
    d = listening(make_pawl)
    first = cluster.produce("orders", count=5)
    wait_payloads(d, first)
    d.stop()
    d.write_config({"kafka_brokers": cluster.bootstraps, "kafka_group_prefix": "other.", "kafka": QUICK})
    d.start()
    wait_ready(d)
    wait_payloads(d, first + cluster.produce("orders", first=5, count=1))
    wait_committed(cluster, 6, group="other.orders")


def test_killed_under_load(make_pawl, cluster):
    d = listening(make_pawl)
    expected = []
    rounds, per_round = 4, 1500

    def produce():
        for _ in range(rounds):
            expected.extend(cluster.produce("orders", first=len(expected), count=per_round))

    t = threading.Thread(target=produce)
    t.start()
    for n in range(1, rounds):
        wait_until(lambda n=n: len(payloads(d)) >= n * per_round // 2, 60, "some events")
        d.kill()
        d.start()
    t.join()
    wait_payloads(d, expected, 90)


def test_killed_and_cut_off_under_load(tmp_path):
    with kafka_crash.KafkaCrash(tmp_path, 1) as c:
        c.go(kills=2, outages=1)
        assert c.judge() == []
        assert len(c.acknowledged) > 500


def test_a_full_disk_rewinds(make_pawl, cluster, tmp_path):
    so = str(tmp_path / "fault_vfs.so")
    source = os.path.join(pawl.ROOT, "tests", "lib", "fault_vfs.c")
    subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-D_GNU_SOURCE", "-o", so, source, "-lsqlite3", "-lpthread"], check=True)
    fault = tmp_path / "fault"
    fault.write_text("")
    asan = pawl.environment()["ASAN_OPTIONS"] + ":verify_asan_link_order=0"
    d = make_pawl(env={"LD_PRELOAD": so, "PAWL_FAULT_FILE": str(fault), "ASAN_OPTIONS": asan})
    listen(d)
    wait_ready(d)
    expected = cluster.produce("orders", count=3)
    wait_payloads(d, expected)
    (tmp_path / "new").write_text("enospc")
    os.rename(tmp_path / "new", fault)
    expected += cluster.produce("orders", first=3, count=500)
    wait_reason(d, "the store cannot take messages")
    expected += cluster.produce("orders", first=503, count=500)
    wait_committed(cluster, 3)
    (tmp_path / "new").write_text("")
    os.rename(tmp_path / "new", fault)
    wait_payloads(d, expected)
    wait_ready(d)
    wait_committed(cluster, 1003)


def test_a_small_journal_slows_it_down_and_loses_nothing(make_pawl, cluster):
    d = make_pawl()
    d.stop()
    d.write_config({"kafka_brokers": cluster.bootstraps, "journal_bytes_max": 1 << 20})
    d.start()
    listen(d)
    wait_ready(d)
    for _ in range(8):
        cluster.large("orders", 400_000)
    wait_until(lambda: len(payloads(d)) >= 8, 60, "8 events")
    assert [len(p) for p in payloads(d)] == [400_000] * 8


# ---- several in a group ----

def test_two_daemons_share_the_partitions(make_pawl, cluster):
    cluster.topic("shared", 4)
    a, b = make_pawl(), make_pawl()
    listen(a, "kafka:shared")
    wait_ready(a)
    expected = []
    for p in range(4):
        expected += cluster.produce("shared", p, count=50)
    wait_until(lambda: len(payloads(a)) == 200, 30, "200 events")
    for p in range(4):  # the mock takes no offsets while members join, unlike a real broker
        wait_committed(cluster, 50, "shared", p)
    listen(b, "kafka:shared")
    wait_ready(b)
    wait_ready(a)
    for p in range(4):
        expected += cluster.produce("shared", p, first=50, count=50)
    wait_until(lambda: len(payloads(a)) + len(payloads(b)) >= 400, 30, "400 events")
    assert len(payloads(b)) == 100
    for p in range(4):
        wait_committed(cluster, 100, "shared", p)
    a.stop()
    for p in range(4):
        expected += cluster.produce("shared", p, first=100, count=50)
    wait_until(lambda: len(payloads(b)) >= 300, 60, "the other one to take over")
    check_once(expected, a, b)
    for p in range(4):
        wait_committed(cluster, 150, "shared", p)
    a.start()
    wait_ready(a)
    for p in range(4):
        expected += cluster.produce("shared", p, first=150, count=50)
    wait_until(lambda: len(payloads(a)) + len(payloads(b)) >= 800, 60, "800 events")
    check_once(expected, a, b)


def test_more_members_than_partitions(make_pawl, cluster):
    a, b = make_pawl(), make_pawl()
    listen(a)
    wait_ready(a)
    listen(b)
    idle = wait_until(lambda: next((d for d in (a, b) if "more members" in state(d).get("reason", "")), None), 30, "one without work")
    busy = b if idle is a else a
    wait_ready(busy)
    busy.stop()
    wait_ready(idle)


# ---- what goes away and comes back ----

def test_brokers_go_away_and_come_back(make_pawl, cluster):
    d = listening(make_pawl)
    expected = cluster.produce("orders", count=5)
    wait_payloads(d, expected)
    cluster.down()
    wait_until(lambda: not state(d)["ready"], 30, "it to be noticed")
    assert state(d)["reason"]
    cluster.up()
    wait_ready(d, timeout=60)
    expected += cluster.produce("orders", first=5, count=5)
    wait_payloads(d, expected)


def test_nobody_is_there_at_first(make_pawl, cluster):
    cluster.down()
    d = make_pawl()
    listen(d)
    wait_reason(d, "refused")
    cluster.up()
    wait_ready(d, timeout=60)
    wait_payloads(d, cluster.produce("orders", count=2))


UNKNOWN_TOPIC = 3


def test_a_topic_that_is_missing(make_pawl, cluster):
    cluster.topic("later")
    cluster.error("later", UNKNOWN_TOPIC)
    d = make_pawl()
    listen(d, "kafka:later")
    wait_reason(d, "Unknown topic")
    cluster.error("later", 0)
    wait_ready(d, timeout=60)
    wait_payloads(d, cluster.produce("later", count=2))


def test_a_topic_that_was_made_anew(make_pawl, cluster, make_cluster):
    d = listening(make_pawl)
    first = cluster.produce("orders", count=20)
    wait_payloads(d, first)
    d.stop()
    other = make_cluster()
    other.topic("orders")
    second = other.produce("orders", count=5)
    d.write_config({"kafka_brokers": other.bootstraps, "kafka": QUICK})
    d.start()
    wait_payloads(d, first + second)
    assert "made anew" in d.stderr()
    third = other.produce("orders", first=5, count=30)
    wait_payloads(d, first + second + third)
    d.kill()
    d.start()
    wait_ready(d)
    wait_payloads(d, first + second + third + other.produce("orders", first=35, count=1))


# ---- who listens ----

def test_replaced_loses_nothing_and_started_again_begins_at_the_end(make_pawl, cluster):
    d = make_pawl()
    path = listen(d)
    wait_ready(d)
    expected = cluster.produce("orders", count=2)
    wait_payloads(d, expected)
    d.post(path).expect(200)
    expected += cluster.produce("orders", first=2, count=2)
    wait_payloads(d, expected)
    d.delete(path).expect(200)
    cluster.produce("orders", first=4, count=3)  # nobody listens
    d.post(path).expect(200)
    wait_ready(d)
    expected += cluster.produce("orders", first=7, count=2)
    wait_payloads(d, expected)
    d.restart()
    wait_ready(d)
    wait_payloads(d, expected + cluster.produce("orders", first=9, count=1))


def test_names(daemon):
    for name in ("kafka:", "kafka:..", "kafka:a b", "kafka:" + "x" * 250):
        daemon.post("/api/v1/pipelines/", {"id": "p", "name": "p", "options": {"event": name}, "executor": {"type": "pull"}})
        r = daemon.post("/api/v1/events/p")
        assert r.status == 400 and "kafka: and a topic's name" in r.message, (name, r)
        daemon.delete("/api/v1/pipelines/default/events/p").expect(204)


def test_publishing_is_refused(daemon):
    r = daemon.post("/api/v1/topics/kafka:orders/messages", b"x")
    assert r.status == 400 and "only embedded topics" in r.message


# ---- configuration ----

@pytest.mark.parametrize("properties, message", [
    ({"bogus.name": 1}, "kafka.bogus.name: is not a property"),
    ({"enable.auto.commit": True}, "kafka.enable.auto.commit: is set by pawl"),
    ({"bootstrap.servers": "x:1"}, "the setting for it is kafka_brokers"),
    ({"security.protocol": "magic"}, "kafka.security.protocol: "),
    ({"sasl.username": ["a"]}, "kafka.sasl.username: must be a text"),
])
def test_properties_that_cannot_be(make_daemon, properties, message):
    d = make_daemon(config={"kafka": {"sasl.password": "hunter2", **properties}}, start=False)
    code, stderr = d.start_fails()
    assert code == 1 and message in stderr
    assert "hunter2" not in stderr


def test_properties_reach_librdkafka_and_secrets_stay_inside(make_pawl, cluster):
    d = make_pawl(properties={"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "u",
                              "sasl.password": "hunter2", "client.id": "x", "fetch.wait.max.ms": 100})
    listen(d)
    wait_reason(d, "SASL")  # the mock brokers know nothing of it
    assert "hunter2" not in d.stderr() + str(state(d))


def test_the_library_is_loaded_when_it_is_needed(make_pawl, make_daemon, cluster):
    def is_loaded(d):
        with open(f"/proc/{d.pid}/maps", encoding="utf-8") as f:
            return "librdkafka" in f.read()
    d = make_daemon(config={"kafka_brokers": cluster.bootstraps})
    assert not is_loaded(d)
    listen(d)
    wait_ready(d)
    assert is_loaded(d)


# ---- the end, in every state ----

def test_stopped_while_nobody_answers(make_daemon, cluster):
    d = make_daemon(config={"kafka_brokers": cluster.bootstraps})
    cluster.down()
    listen(d)
    d.stop(timeout=20)
    d.start()
    wait_reason(d, "refused")
    d.stop(timeout=20)


def test_stopped_at_any_time_on_the_way(make_pawl, cluster):
    d = make_pawl()
    listen(d)
    d.stop()  # opening
    d.start()
    wait_until(lambda: "waiting for the group" in (s := state(d)).get("reason", "") or s["ready"], 30, "it to join")
    d.stop()  # joining, unless it has just done so
    d.start()
    wait_ready(d)
    t = threading.Thread(target=cluster.produce, args=("orders", 0, 0, 20000))
    t.start()
    wait_until(lambda: payloads(d), 20, "some events")
    d.stop()  # flowing
    t.join()


def test_the_brokers_are_gone_when_the_daemon_stops(make_pawl, cluster):
    d = listening(make_pawl)
    wait_payloads(d, cluster.produce("orders", count=10))
    cluster.stop()
    d.stop(timeout=25)
