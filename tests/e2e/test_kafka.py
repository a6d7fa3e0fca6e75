"""Topics of Kafka: every message that the brokers acknowledged makes exactly one event, whoever is killed or goes away when."""
import kafka
import pytest
from pawl import wait_until

pytestmark = pytest.mark.skipif(not kafka.available(), reason="a C compiler or librdkafka-dev is not installed")


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
    def make(properties=None, brokers=None, **kw):
        config = {"kafka_brokers": brokers or cluster.bootstraps, "kafka": properties or {}}
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


def wait_reason(daemon, text, path="/api/v1/events/p-orders", timeout=30):
    return wait_until(lambda: text in state(daemon, path).get("reason", ""), timeout, f"the reason {text!r}")


def payloads(daemon):
    """Of all events that are messages, in their order."""
    with daemon.db() as db:
        return [bytes(row[0] or b"") for row in db.execute("SELECT payload FROM events WHERE source = 'topic' ORDER BY key")]


def wait_payloads(daemon, expected, timeout=30):
    wait_until(lambda: len(payloads(daemon)) >= len(expected), timeout, f"{len(expected)} events")
    assert payloads(daemon) == expected


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
    assert len(d.get("/api/v1/runs?limit=100").json()["runs"]) == 5


def test_the_brokers_are_gone_when_the_daemon_stops(make_pawl, cluster):
    d = make_pawl()
    listen(d)
    wait_ready(d)
    wait_payloads(d, cluster.produce("orders", count=10))
    cluster.stop()
    d.stop(timeout=20)
