"""Topics of NATS JetStream: every message that the server acknowledged makes exactly one event, whoever is killed or goes away when."""
import base64
import json
import os
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import nats
import nats_crash
import pytest
from pawl import wait_until

pytestmark = pytest.mark.skipif(not nats.available(), reason="nats-server is not installed, or pawl was built without NATS topics")


@pytest.fixture
def make_server(tmp_path):
    made = []

    def make(**kw):
        s = nats.Server(str(tmp_path / f"nats{len(made)}"), **kw)
        made.append(s)
        return s

    yield make
    for s in made:
        if s.process is not None:
            s.process.send_signal(signal.SIGCONT)
        s.kill()


@pytest.fixture
def server(make_server):
    s = make_server().start()
    s.client().add_stream("ORDERS", ["orders.>"])
    return s


def listen(daemon, topic="nats:orders.new", executor=None, name="orders", **options):
    """A started pipeline for a topic; its runs wait in a pull queue unless there is an executor. Returns its path in the Events API."""
    spec = {"id": f"p-{name}", "name": name, "options": {"event": topic}, "executor": executor or {"type": "pull"}, **options}
    daemon.post("/api/v1/pipelines/", spec).expect(201)
    path = f"/api/v1/events/p-{name}"
    daemon.post(path).expect(200)
    return path


def state(daemon, path):
    return daemon.get(path).expect(200).json()


def wait_ready(daemon, path, timeout=20):
    return wait_until(lambda: state(daemon, path)["ready"], timeout, "the topic to be consumed")


def wait_reason(daemon, path, text, timeout=20):
    return wait_until(lambda: text in state(daemon, path).get("reason", ""), timeout, f"the reason {text!r}")


def payloads(daemon):
    """Of all events that are messages, in their order."""
    with daemon.db() as db:
        return [bytes(row[0]) for row in db.execute("SELECT payload FROM events WHERE source = 'topic' ORDER BY key")]


def wait_payloads(daemon, expected, timeout=20):
    expected = list(expected)
    wait_until(lambda: len(payloads(daemon)) >= len(expected), timeout, f"{len(expected)} events")
    assert payloads(daemon) == expected


def wait_acknowledged(client, stream="ORDERS", timeout=20):
    """Until nothing is to be delivered, or to be acknowledged."""
    def done():
        all_ = client.consumers(stream)
        return len(all_) == 1 and all_[0]["num_ack_pending"] == 0 and all_[0]["num_pending"] == 0 and all_[0]
    return wait_until(done, timeout, "everything to be acknowledged")


def positions(daemon):
    with daemon.db() as db:
        return [row[0] for row in db.execute("SELECT at FROM positions")]


def numbers(n, begin=0):
    return [b"%d" % i for i in range(begin, begin + n)]


def test_messages_become_events_and_runs(make_daemon, server):
    daemon = make_daemon("--nats-url", server.url)
    client = server.client()
    client.publish("orders.new", b"before anybody listened")
    path = listen(daemon, executor={"type": "command", "argv": ["/bin/cat"]})
    wait_ready(daemon, path)
    client.publish("orders.new", b'{"n":1}', {"Content-Type": "application/json", "Nats-Msg-Id": "order-1"})
    client.publish("orders.other", b"not this one")
    client.publish("orders.new", b"\x00\xff")
    wait_payloads(daemon, [b'{"n":1}', b"\x00\xff"])
    wait_acknowledged(client)
    m = wait_until(lambda: (m := daemon.topic_metrics("nats:orders.new"))["in_flight"] == 0 and m, what="nothing to be in flight")
    again = m.pop("duplicates_total")  # of a slow daemon the server thinks that it has lost the message
    assert m == {"ready": 1, "connected": 1, "received_total": 2 + again, "passed_over_total": 0, "in_flight": 0, "lag_messages": 0}
    runs = wait_until(lambda: [r for r in daemon.all_runs() if r["status"] == "success"], what="runs")
    wait_until(lambda: len([r for r in daemon.all_runs() if r["status"] == "success"]) == 2, what="both runs")
    event = daemon.get(f"/api/v1/events?subject=orders.new&limit=10")
    del runs, event
    outputs = [json.loads(daemon.run(r["id"])["output"] if isinstance(daemon.run(r["id"])["output"], str) else json.dumps(daemon.run(r["id"])["output"]))
               for r in daemon.all_runs()]
    first = next(o for o in outputs if o.get("key") == "order-1")
    assert first["source"] == "topic" and first["subject"] == "orders.new" and first["payload"] == {"n": 1}


def test_what_was_published_right_after_the_start_is_not_missed(make_daemon, server):
    """The consumer is made later than the answer, and begins when the trigger came to be."""
    daemon = make_daemon("--nats-url", server.url)
    client = server.client()
    listen(daemon)
    client.publish("orders.new", b"at once")
    wait_payloads(daemon, [b"at once"])


def test_a_clean_stop_leaves_nothing_unacknowledged_and_resumes(make_daemon, server):
    daemon = make_daemon("--nats-url", server.url)
    client = server.client()
    path = listen(daemon)
    wait_ready(daemon, path)
    client.publish_many("orders.new", numbers(500))
    wait_until(lambda: payloads(daemon), what="the first events")
    daemon.stop()
    client.publish_many("orders.new", numbers(500, 500))
    daemon.start()
    wait_payloads(daemon, numbers(1000))
    wait_acknowledged(client)


def test_two_triggers_share_a_topic_and_wildcards_are_topics(make_daemon, server):
    daemon = make_daemon("--nats-url", server.url)
    client = server.client()
    one, two = listen(daemon, name="one"), listen(daemon, name="two")
    wild = listen(daemon, topic="nats:orders.*", name="wild")
    for path in (one, two, wild):
        wait_ready(daemon, path)
    client.publish("orders.new", b"x")
    wait_until(lambda: len(daemon.all_runs()) == 3, what="three runs")
    wait_until(lambda: all(c["num_ack_pending"] == 0 and c["num_pending"] == 0 for c in client.consumers("ORDERS")), what="acks")
    assert len(client.consumers("ORDERS")) == 2


def test_killed_under_load_every_message_makes_one_event(make_daemon, server):
    daemon = make_daemon("--nats-url", server.url)
    client = server.client()
    path = listen(daemon)
    wait_ready(daemon, path)
    total = 0
    for _ in range(3):
        seen = len(payloads(daemon))
        client.publish_many("orders.new", numbers(3000, total))
        total += 3000
        wait_until(lambda seen=seen: len(payloads(daemon)) > seen, what="events")
        daemon.kill()
        daemon.start()
    wait_payloads(daemon, numbers(total), timeout=60)
    wait_acknowledged(client, timeout=60)


def test_kills_and_restarts_under_load(tmp_path):
    with nats_crash.NatsCrash(tmp_path, 7, pause=0.05) as c:
        c.go(kills=2, restarts=2)
        wait_until(lambda: len(c.acknowledged) > 1000, 60, "some load")
        assert c.judge() == []


def test_the_server_restarts_under_load(make_daemon, server):
    daemon = make_daemon("--nats-url", server.url)
    client = server.client()
    path = listen(daemon)
    wait_ready(daemon, path)
    total = 0
    for signo in (signal.SIGTERM, signal.SIGKILL, signal.SIGTERM):
        client.publish_many("orders.new", numbers(2000, total))
        total += 2000
        server.stop(signo)
        wait_until(lambda: not state(daemon, path)["ready"], what="ready to become false")
        server.start()
        client = server.client()
    wait_ready(daemon, path)
    wait_payloads(daemon, numbers(total), timeout=60)
    wait_acknowledged(client, timeout=60)


class Relay:
    """Between pawl and a server: forwards both ways, and can break a connection so that much has arrived before the error."""

    def __init__(self, server):
        self.server, self.pairs, self.forwarded = server, [], 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"nats://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, far = self.listener.accept()[0], socket.create_connection(("127.0.0.1", self.server.port))
            except OSError:
                return
            self.pairs.append((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.forward, args=(a, b, a is far), daemon=True).start()

    def forward(self, a, b, count):
        try:
            while data := a.recv(4096):
                b.sendall(data)
                self.forwarded += len(data) if count else 0
        except OSError:
            pass

    def reset(self):
        for pair in self.pairs:
            for s in pair:
                s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                s.shutdown(socket.SHUT_RD)  # the threads end, too: only then the descriptor's last user is gone
                s.close()
        self.pairs = []


def test_a_connection_is_reset_behind_messages(make_daemon, server):
    """The error of the socket is seen before what had arrived is read."""
    relay = Relay(server)
    daemon = make_daemon("--nats-url", relay.url)
    path = listen(daemon)
    wait_ready(daemon, path)
    client = server.client()
    client.publish("orders.new", b"first")
    wait_payloads(daemon, [b"first"])
    sent = [b"%05d" % i + b"x" * 1000 for i in range(150)]
    daemon.process.send_signal(signal.SIGSTOP)
    try:
        before = relay.forwarded
        client.publish_many("orders.new", sent)
        wait_until(lambda: relay.forwarded - before > 150000, what="the messages to arrive")
        relay.reset()
    finally:
        daemon.process.send_signal(signal.SIGCONT)
    wait_payloads(daemon, [b"first", *sent])
    wait_acknowledged(client)
    relay.listener.close()


def test_the_server_is_away_at_the_start(make_daemon, make_server):
    server = make_server()
    daemon = make_daemon("--nats-url", server.url)
    path = listen(daemon)
    wait_reason(daemon, path, "cannot connect to NATS")
    m = daemon.topic_metrics("nats:orders.new")
    assert (m["ready"], m["connected"], "lag_messages" in m) == (0, 0, False)
    server.start()
    wait_reason(daemon, path, "no JetStream stream has this subject")
    m = daemon.topic_metrics("nats:orders.new")
    assert (m["ready"], m["connected"], "lag_messages" in m) == (0, 1, False)
    client = server.client()
    client.add_stream("ORDERS", ["orders.>"])
    wait_ready(daemon, path)
    m = daemon.topic_metrics("nats:orders.new")
    assert (m["ready"], m["connected"], m["lag_messages"]) == (1, 1, 0)
    client.publish("orders.new", b"1")
    wait_payloads(daemon, [b"1"])
    assert daemon.stderr().count("no JetStream stream has this subject") == 1


def test_a_server_that_says_nothing_any_more(make_daemon):
    """It has greeted, and does not answer."""
    def greet():
        while True:
            try:
                kept.append(listener.accept()[0])
            except OSError:
                return
            kept[-1].sendall(b'INFO {"server_id":"x","version":"2.9.10","proto":1,"headers":true,"max_payload":1048576}\r\n')

    kept, listener = [], socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=greet, daemon=True).start()
    daemon = make_daemon("--nats-url", f"nats://127.0.0.1:{listener.getsockname()[1]}")
    path = listen(daemon)
    wait_reason(daemon, path, "cannot connect to NATS")
    before = len(kept)
    wait_until(lambda: len(kept) > before, what="another attempt")
    daemon.stop()  # in the middle of it
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


def test_a_stream_made_anew_is_consumed_from_its_beginning(make_daemon, server):
    daemon = make_daemon("--nats-url", server.url)
    client = server.client()
    path = listen(daemon)
    wait_ready(daemon, path)
    client.publish_many("orders.new", numbers(20))
    wait_payloads(daemon, numbers(20))
    wait_acknowledged(client)
    client.delete_stream("ORDERS")
    client.add_stream("ORDERS", ["orders.>"])
    assert client.publish("orders.new", b"20") == 1
    wait_payloads(daemon, numbers(21), timeout=60)
    assert positions(daemon) == [1]  # the old one's is gone


@pytest.mark.parametrize("overtaken,retention", [(False, "limits"), (True, "limits"), (False, "interest"), (False, "workqueue")])
def test_a_stream_that_lost_its_end(make_daemon, make_server, overtaken, retention):
    """Its sequences come again for other messages: as many as were lost or fewer, or more while pawl is away."""
    server = make_server().start()
    client = server.client()
    client.add_stream("ORDERS", ["orders.>"], retention=retention)
    daemon = make_daemon("--nats-url", server.url)
    path = listen(daemon)
    wait_ready(daemon, path)
    client.publish_many("orders.new", numbers(10))
    wait_payloads(daemon, numbers(10))
    wait_acknowledged(client)
    server.stop()
    store, saved = os.path.join(server.directory, "store"), os.path.join(server.directory, "saved")
    shutil.copytree(store, saved)
    client = server.start().client()
    client.publish_many("orders.new", numbers(10, 10))
    wait_payloads(daemon, numbers(20))
    wait_acknowledged(client)
    if overtaken:
        daemon.stop()
    server.kill()
    shutil.rmtree(store)
    shutil.copytree(saved, store)
    total = 25 if not overtaken else 50
    client = server.start().client()
    assert client.publish_many("orders.new", numbers(total - 20, 20))[0] == 11
    if overtaken:
        daemon.start()
    wait_payloads(daemon, numbers(total), timeout=60)
    wait_acknowledged(client)
    assert "the end of a stream was lost" in daemon.stderr()
    daemon.kill()
    daemon.start()
    client.publish("orders.new", b"%d" % total)
    wait_payloads(daemon, numbers(total + 1), timeout=60)


def test_work_queues_and_interest_streams_lose_nothing(make_daemon, make_server):
    server = make_server().start()
    client = server.client()
    for retention in ("workqueue", "interest"):
        client.add_stream(retention.upper(), [f"{retention}.>"], retention=retention)
    daemon = make_daemon("--nats-url", server.url)
    paths = [listen(daemon, topic=f"nats:{r}.x", name=r) for r in ("workqueue", "interest")]
    for p in paths:
        wait_ready(daemon, p)
    client.publish_many("workqueue.x", numbers(1000))
    client.publish_many("interest.x", numbers(1000, 1000))
    wait_until(lambda: payloads(daemon), what="events")
    daemon.kill()
    daemon.start()
    wait_until(lambda: len(payloads(daemon)) == 2000, 60, "2000 events")
    assert sorted(payloads(daemon), key=int) == numbers(2000)
    for r in ("WORKQUEUE", "INTEREST"):
        wait_acknowledged(client, r)
        wait_until(lambda r=r: client.api(f"STREAM.INFO.{r}")["state"]["messages"] == 0, what=f"{r} to be empty")


def test_what_went_to_somebody_else_is_waited_for(make_daemon, server):
    """Another client takes some of the consumer's messages and dies: they come again behind newer ones, and must not be taken for old."""
    daemon = make_daemon("--nats-url", server.url)
    client, thief = server.client(), server.client()
    path = listen(daemon)
    wait_ready(daemon, path)
    consumer = client.consumers("ORDERS")[0]["name"]
    total = 0
    while total < 60 or "delivered to somebody else" not in daemon.stderr():
        thief.put(f"$JS.API.CONSUMER.MSG.NEXT.ORDERS.{consumer}", b'{"batch": 3, "expires": 60000000000}')
        client.publish_many("orders.new", numbers(20, total))
        total += 20
        assert total < 600, "nothing ever went to the thief"
        wait_payloads(daemon, numbers(total))
    wait_acknowledged(client)


def test_a_consumer_that_does_not_deliver_again_is_made_anew(make_daemon, server):
    """Somebody takes messages, and the consumer was told to wait for ten minutes before it delivers them again."""
    daemon = make_daemon("--nats-url", server.url)
    client, thief = server.client(), server.client()
    path = listen(daemon)
    wait_ready(daemon, path)
    client.publish_many("orders.new", numbers(20))
    wait_payloads(daemon, numbers(20))
    wait_acknowledged(client)
    daemon.stop()
    name = client.consumers("ORDERS")[0]["name"]
    assert client.api(f"CONSUMER.DELETE.ORDERS.{name}").get("success")
    config = {"durable_name": name, "filter_subject": "orders.new", "ack_policy": "explicit", "ack_wait": 600 * 10**9}
    assert "error" not in client.api(f"CONSUMER.DURABLE.CREATE.ORDERS.{name}", {"stream_name": "ORDERS", "config": config})
    client.publish_many("orders.new", numbers(20, 20))
    thief.put(f"$JS.API.CONSUMER.MSG.NEXT.ORDERS.{name}", b'{"batch": 25, "expires": 2000000000}')
    assert [thief.message()[1] for _ in range(25)] == numbers(25)
    daemon.start()
    wait_payloads(daemon, numbers(40))
    wait_acknowledged(client)
    assert "the consumer is made anew" in daemon.stderr()


def test_a_count_of_deliveries_that_goes_back_begins_a_new_session(make_daemon, server):
    """As after a restart of the server that has the stream, behind the one that pawl is connected to."""
    relay = Relay(server)
    daemon = make_daemon("--nats-url", relay.url)
    client = server.client()
    path = listen(daemon)
    wait_ready(daemon, path)
    client.publish_many("orders.new", numbers(3))
    wait_payloads(daemon, numbers(3))
    wait_acknowledged(client)
    name = client.consumers("ORDERS")[0]["name"]
    relay.pairs[-1][0].sendall(f"MSG orders.new 1 $JS.ACK.ORDERS.{name}.1.3.1.1668000000000000000.0 1\r\nx\r\n".encode())
    wait_until(lambda: "count of deliveries went back" in daemon.stderr(), what="it to be noticed")
    client.publish_many("orders.new", numbers(3, 3))
    wait_payloads(daemon, numbers(6))
    wait_acknowledged(client)
    relay.listener.close()


def test_lost_acknowledgements_make_no_second_event(make_daemon, make_server):
    permissions = 'permissions: { publish: { allow: [">"], deny: ["$JS.ACK.>"] } }'
    server = make_server(config='accounts { A { jetstream: enabled, users: [ { user: "all", password: "x" }, '
                                f'{{ user: "mute", password: "x", {permissions} }} ] }} }}\n').start()
    client = server.client(user="all", **{"pass": "x"})
    client.add_stream("ORDERS", ["orders.>"])
    daemon = make_daemon(config={"nats_url": server.url, "nats_user": "mute", "nats_password": "x"})
    path = listen(daemon)
    wait_ready(daemon, path)
    client.publish_many("orders.new", numbers(50))
    wait_payloads(daemon, numbers(50))
    wait_until(lambda: client.consumers("ORDERS")[0]["num_redelivered"] == 50, 30, "redeliveries")
    wait_until(lambda: daemon.topic_metrics("nats:orders.new")["duplicates_total"] >= 50, what="duplicates to be counted")
    daemon.stop()
    daemon.write_config({"nats_url": server.url, "nats_user": "all", "nats_password": "x"})
    daemon.start()
    client.publish("orders.new", b"50")
    wait_payloads(daemon, numbers(51))
    wait_acknowledged(client)
    assert payloads(daemon) == numbers(51)


def test_stopping_deletes_the_consumer_and_starting_again_begins_anew(make_daemon, server):
    daemon = make_daemon("--nats-url", server.url)
    client = server.client()
    path = listen(daemon)
    wait_ready(daemon, path)
    client.publish("orders.new", b"0")
    wait_payloads(daemon, [b"0"])
    daemon.delete(path).expect(200)
    wait_until(lambda: client.consumers("ORDERS") == [], what="the consumer to go")
    client.publish("orders.new", b"nobody listens")
    now = time.time()
    wait_until(lambda: time.time() > now + 0.01, what="another millisecond")  # the server tells times apart by it
    daemon.post(path).expect(200)
    client.publish("orders.new", b"1")
    wait_payloads(daemon, [b"0", b"1"])
    daemon.post(path).expect(200)  # replaced: nothing is lost, nothing comes twice
    client.publish("orders.new", b"2")
    wait_payloads(daemon, [b"0", b"1", b"2"])
    daemon.delete(path).expect(200)
    wait_until(lambda: client.consumers("ORDERS") == [], what="the consumer to go")
    assert positions(daemon) == [4]
    daemon.stop()
    daemon.start()
    wait_until(lambda: positions(daemon) == [], what="the position to go")


def test_a_message_that_is_too_large_is_terminated(make_daemon, make_server):
    server = make_server(config="max_payload: 3145728\n").start()
    client = server.client()
    client.add_stream("ORDERS", ["orders.>"])
    daemon = make_daemon("--nats-url", server.url)
    path = listen(daemon)
    wait_ready(daemon, path)
    for body in (b"a", b"x" * (2 << 20), b"b"):
        client.publish("orders.new", body)
    wait_payloads(daemon, [b"a", b"b"])
    wait_acknowledged(client)
    said = [json.loads(line) for line in daemon.stderr().splitlines() if "too large" in line]
    assert {line["sequence"] for line in said} == {2}  # once, unless the server thought that it was lost
    assert daemon.topic_metrics("nats:orders.new")["passed_over_total"] == len(said)


def test_many_bytes_go_through_a_bounded_window(make_daemon, server):
    daemon = make_daemon("--nats-url", server.url, config={"journal_bytes_max": 1 << 20})  # two do not fit: the journal says no
    client = server.client()
    path = listen(daemon)
    wait_ready(daemon, path)
    for i in range(60):
        client.publish("orders.new", (b"%04d" % i) + b"x" * 900_000)
    wait_until(lambda: len(payloads(daemon)) == 60, 60, "60 events")
    assert [p[:4] for p in payloads(daemon)] == [b"%04d" % i for i in range(60)]
    wait_acknowledged(client)


def test_a_server_that_hangs_does_not_hold_the_daemon_up(make_daemon, server):
    daemon = make_daemon("--nats-url", server.url)
    path = listen(daemon)
    wait_ready(daemon, path)
    server.process.send_signal(signal.SIGSTOP)
    try:
        assert state(daemon, path)
        daemon.stop()
        daemon.start()
        assert not state(daemon, path)["ready"]
        daemon.stop()
    finally:
        server.process.send_signal(signal.SIGCONT)
    daemon.start()
    wait_ready(daemon, path)


def test_without_jetstream_the_reason_is_said(make_daemon, make_server):
    server = make_server(jetstream=False).start()
    daemon = make_daemon("--nats-url", server.url)
    wait_reason(daemon, listen(daemon), "JetStream")


@pytest.mark.parametrize("topic", ["nats:", "nats:a b", "nats:a..b", "nats:a.>.b", "nats:a*", "nats:$JS.x", "nats:" + "x" * 201])
def test_names_that_cannot_be_subjects_are_refused(daemon, topic):
    p = daemon.create_pipeline(executor={"type": "pull"})
    r = daemon.post(f"{daemon.pipeline_path(p)}/triggers", {"type": "topic", "config": {"topic": topic}})
    assert r.status == 400 and "config.topic: must be nats: and a subject" in r.message


def test_messages_are_not_published_through_pawl(daemon):
    r = daemon.post("/api/v1/topics/nats:orders.new/messages", b"x")
    assert r.status == 400 and "NATS JetStream" in r.message


def test_a_plain_name_may_stand_for_a_subject(make_daemon, server):
    daemon = make_daemon(config={"nats_url": server.url, "topics": {"orders-topic": "nats:orders.new"}})
    path = listen(daemon, topic="orders-topic")
    wait_ready(daemon, path)
    server.client().publish("orders.new", b"1")
    wait_payloads(daemon, [b"1"])
    r = daemon.post("/api/v1/topics/orders-topic/messages", b"x").expect(400)
    assert "NATS JetStream" in r.message
    daemon.post("/api/v1/topics/other/messages", b"x").expect(202)
    assert [r["trigger"] for r in daemon.all_runs()] == ["trigger:topic:nats:orders.new"]
    daemon.stop()
    daemon.write_config({"nats_url": server.url})
    daemon.start()
    wait_ready(daemon, path)
    server.client().publish("orders.new", b"2")
    wait_until(lambda: len(daemon.all_runs()) == 2, what="a message of the subject, still")
    daemon.post(path).expect(200)
    daemon.post("/api/v1/topics/orders-topic/messages", b"3").expect(202)  # the name is its own again
    assert sorted(r["trigger"] for r in daemon.all_runs())[0] == "trigger:topic:orders-topic"


@pytest.mark.parametrize("topics,says", [
    ({"a b": "nats:x"}, "topics: 'a b' must be"), ({"a": "b"}, "topics.a: must be a broker's topic"), ({"a": 1}, "topics.a: must be a broker's"),
    ({"a": "nats:x..y"}, "topics.a: must be nats: and a subject"),
])
def test_plain_names_that_stand_for_nothing_are_refused(make_daemon, topics, says):
    assert says in make_daemon(start=False, config={"topics": topics}).start_fails()[1]


# ---- who one is, and TLS ----
IDENTITIES = {
    "user": ('authorization { user: "pawl", password: "s3cret-pass", timeout: 60 }\n', {"nats_user": "pawl", "nats_password": "s3cret-pass"},
             {"nats_user": "pawl", "nats_password": "wr0ng"}, {"user": "pawl", "pass": "s3cret-pass"}),
    "token": ('authorization { token: "s3cret-token", timeout: 60 }\n', {"nats_token": "s3cret-token"}, {"nats_token": "wr0ng"},
              {"auth_token": "s3cret-token"}),
}


@pytest.mark.parametrize("how", IDENTITIES)
def test_identities(make_daemon, make_server, how):
    config, right, wrong, client = IDENTITIES[how]
    server = make_server(config=config).start()
    server.client(**client).add_stream("ORDERS", ["orders.>"])
    daemon = make_daemon(config={**right, "nats_url": server.url})
    wait_ready(daemon, listen(daemon))
    other = make_daemon(config={**wrong, "nats_url": server.url})
    wait_reason(other, listen(other), "uthorization")
    for d in (daemon, other):
        assert "s3cret" not in d.stderr() and "wr0ng" not in d.stderr()


def test_credentials_in_the_url_are_not_shown(make_daemon, make_server):
    server = make_server(config=IDENTITIES["user"][0]).start()
    server.client(**IDENTITIES["user"][3]).add_stream("ORDERS", ["orders.>"])
    daemon = make_daemon("--nats-url", f"nats://pawl:s3cret-pass@127.0.0.1:{server.port}")
    path = listen(daemon)
    wait_ready(daemon, path)
    server.stop()
    wait_until(lambda: not state(daemon, path)["ready"], what="ready to become false")
    assert "s3cret" not in daemon.stderr() and "s3cret" not in daemon.get(path).body.decode()


def base32_key(prefix, raw):
    """An NKey as NATS writes it: base32 over prefix, key and CRC-16."""
    data = bytes(prefix) + raw
    crc = 0
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return base64.b32encode(data + crc.to_bytes(2, "little")).decode().rstrip("=")


USER, ACCOUNT, OPERATOR, SEED = 20 << 3, 0, 14 << 3, 18 << 3


class NKey:
    """A key pair as NATS has them: .public, .seed, and what it signs."""

    def __init__(self, directory, name, kind):
        self.directory = str(directory)
        self.pem = os.path.join(self.directory, f"{name}.pem")
        openssl("genpkey", "-algorithm", "ed25519", "-out", self.pem)
        self.public = base32_key([kind], self.der("-pubout"))
        self.seed = base32_key([SEED | kind >> 5, (kind & 31) << 3], self.der())

    def der(self, *args):
        return subprocess.run(["openssl", "pkey", "-in", self.pem, "-outform", "DER", *args], check=True, capture_output=True).stdout[-32:]

    def jwt(self, subject, name, claims):
        """What this key says of another one."""
        def part(data):
            return base64.urlsafe_b64encode(data).rstrip(b"=")

        body = {"jti": name, "iat": int(time.time()), "iss": self.public, "name": name, "sub": subject.public, "nats": {"version": 2, **claims}}
        text = part(b'{"typ":"JWT","alg":"ed25519-nkey"}') + b"." + part(json.dumps(body).encode())
        file = os.path.join(self.directory, "to-sign")
        with open(file, "wb") as f:
            f.write(text)
        signature = subprocess.run(["openssl", "pkeyutl", "-sign", "-inkey", self.pem, "-rawin", "-in", file], check=True, capture_output=True).stdout
        return (text + b"." + part(signature)).decode()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_nkeys(make_daemon, make_server, tmp_path):
    ours = NKey(tmp_path, "ours", USER)
    public, seed, other = ours.public, ours.seed, NKey(tmp_path, "other", USER).seed
    config = f'accounts {{ A {{ jetstream: enabled, users: [ {{ nkey: {public} }}, {{ user: "all", password: "x" }} ] }} }}\n'
    server = make_server(config=config).start()
    server.client(user="all", **{"pass": "x"}).add_stream("ORDERS", ["orders.>"])
    for name, text in (("right", seed), ("wrong", other)):
        file = tmp_path / name
        file.write_text(text)
        d = make_daemon(config={"nats_url": server.url, "nats_nkey": public, "nats_nkey_seed": str(file)})
        path = listen(d)
        if name == "right":
            wait_ready(d, path)
        else:
            wait_reason(d, path, "uthorization")
        assert text not in d.stderr()


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_credentials_files(make_daemon, make_server, tmp_path):
    operator, system, account, user = (NKey(tmp_path, n, k) for n, k in (
        ("operator", OPERATOR), ("system", ACCOUNT), ("account", ACCOUNT), ("user", USER)))
    limits = {name: -1 for name in ("subs", "data", "payload", "imports", "exports", "conn", "leaf", "mem_storage", "disk_storage", "streams", "consumer")}
    limits["wildcards"] = True
    no_storage = {k: v for k, v in limits.items() if k not in ("mem_storage", "disk_storage", "streams", "consumer")}
    user_jwt = account.jwt(user, "pawl", {"type": "user", "pub": {}, "sub": {}, "subs": -1, "data": -1, "payload": -1})
    server = make_server(config=f"""operator: {operator.jwt(operator, "o", {"type": "operator"})}
system_account: {system.public}
resolver: MEMORY
resolver_preload {{
  {system.public}: {operator.jwt(system, "s", {"type": "account", "limits": no_storage})}
  {account.public}: {operator.jwt(account, "a", {"type": "account", "limits": limits})}
}}
""").start()
    right, wrong = tmp_path / "right.creds", tmp_path / "wrong.creds"
    for file, seed in ((right, user.seed), (wrong, NKey(tmp_path, "other", USER).seed)):
        file.write_text(f"-----BEGIN NATS USER JWT-----\n{user_jwt}\n------END NATS USER JWT------\n\n"
                        f"-----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n")
    daemon = make_daemon("--nats-url", server.url, "--nats-credentials", str(right))
    wait_reason(daemon, listen(daemon), "no JetStream stream has this subject")
    for file, says in ((wrong, "uthorization"), (tmp_path / "absent.creds", "absent.creds")):
        d = make_daemon("--nats-url", server.url, "--nats-credentials", str(file))
        wait_reason(d, listen(d), says)
        assert user_jwt not in d.stderr() and user.seed not in d.stderr()


def openssl(*args):
    subprocess.run(["openssl", *args], check=True, capture_output=True)


def certificates(directory, name="localhost", address="127.0.0.1"):
    """An authority, and a certificate of it: their files."""
    os.makedirs(directory, exist_ok=True)
    at = lambda f: os.path.join(directory, f)  # noqa: E731
    openssl("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", at("ca.key"), "-out", at("ca.pem"), "-subj", "/CN=ca", "-days", "2")
    openssl("req", "-newkey", "rsa:2048", "-nodes", "-keyout", at("key.pem"), "-out", at("csr.pem"), "-subj", f"/CN={name}")
    with open(at("ext"), "w", encoding="utf-8") as f:
        f.write(f"subjectAltName=DNS:{name},IP:{address}\n")
    openssl("x509", "-req", "-in", at("csr.pem"), "-CA", at("ca.pem"), "-CAkey", at("ca.key"), "-CAcreateserial", "-out", at("cert.pem"),
            "-days", "2", "-extfile", at("ext"))
    return at("ca.pem"), at("cert.pem"), at("key.pem")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_tls(make_daemon, make_server, tmp_path):
    ca, cert, key = certificates(str(tmp_path / "right"))
    other_ca, other_cert, other_key = certificates(str(tmp_path / "other"))
    context = ssl.create_default_context(cafile=ca)
    context.load_cert_chain(cert, key)
    server = make_server(config=f'tls {{ cert_file: "{cert}", key_file: "{key}", ca_file: "{ca}", verify: true, timeout: 60 }}\n', tls=context).start()
    client = server.client()
    client.add_stream("ORDERS", ["orders.>"])
    url = server.url.replace("127.0.0.1", "localhost")
    ours = {"nats_url": url, "nats_tls_ca": ca, "nats_tls_cert": cert, "nats_tls_key": key}
    daemon = make_daemon(config=ours)
    path = listen(daemon)
    wait_ready(daemon, path)
    sent = [b"%05d" % i + b"x" * 20000 for i in range(200)]
    client.publish_many("orders.new", sent)
    wait_payloads(daemon, sent)
    for wrong in ({**ours, "nats_tls_ca": other_ca}, {**ours, "nats_tls_cert": other_cert, "nats_tls_key": other_key}):
        d = make_daemon(config=wrong)
        wait_reason(d, listen(d), "cannot connect to NATS")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
def test_a_certificate_for_another_name_is_refused(make_daemon, make_server, tmp_path):
    ca, cert, key = certificates(str(tmp_path), name="elsewhere", address="192.0.2.1")
    server = make_server(config=f'tls {{ cert_file: "{cert}", key_file: "{key}" }}\n').start()
    daemon = make_daemon(config={"nats_url": server.url, "nats_tls_ca": ca})
    wait_reason(daemon, listen(daemon), "cannot connect to NATS")


@pytest.mark.parametrize("config,field", [
    ({"nats_url": "http://x"}, "nats_url"), ({"nats_url": "nats://a, nats://b"}, "nats_url"), ({"nats_user": "x"}, "nats_user"),
    ({"nats_tls_key": "x"}, "nats_tls_key"), ({"nats_token": "x", "nats_credentials": "y"}, "only one of"),
    ({"nats_url": ",".join(["nats://a"] * 9)}, "nats_url"),
])
def test_settings_that_make_no_sense_are_refused(make_daemon, config, field):
    d = make_daemon(start=False, config=config)
    assert field in d.start_fails()[1]
