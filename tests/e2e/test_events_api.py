"""The Events API: start, status and stop of a pipeline's event trigger, the documented examples as they stand, and pipelines in its form."""
import json
import os
import shutil
import subprocess
import threading

import pytest

from pawl import deadline, wait_until

STEPS = [{"name": "validate", "argv": ["/bin/cat"]}, {"name": "ship", "argv": ["/bin/cat"]}]
NEW = {"name": "Order Processing", "options": {"event": "orders-topic"}, "steps": STEPS[:1]}
NO_EVENT = "Pipeline does not have an event option"

# As documented, with the host and the token filled in.
CURL = """\
# Start event trigger
curl -X POST https://api.dhub.io/api/v1/events/pipeline-abc123 \\
-H "Authorization: Bearer <access_token>"

# Check event status
curl https://api.dhub.io/api/v1/events/pipeline-abc123 \\
-H "Authorization: Bearer <access_token>"

# Stop event trigger
curl -X DELETE https://api.dhub.io/api/v1/events/pipeline-abc123 \\
-H "Authorization: Bearer <access_token>"
"""

JAVASCRIPT = """\
// 1. Create pipeline (with event option)
await fetch('/api/v1/pipelines/', {
method: 'POST',
headers: {
'Authorization': `Bearer ${token}`,
'Content-Type': 'application/json'
},
body: JSON.stringify({
name: 'Order Processing',
options: {
event: 'orders-topic'
},
steps: [...]
})
});

// 2. Start event trigger
await fetch(`/api/v1/events/${pipelineId}`, {
method: 'POST',
headers: { 'Authorization': `Bearer ${token}` }
});

// 3. Check status
const status = await fetch(`/api/v1/events/${pipelineId}`, {
headers: { 'Authorization': `Bearer ${token}` }
}).then(res => res.json());

console.log('Event ready:', status.ready);
"""


def create(d, **fields):
    return d.post("/api/v1/pipelines/", {**NEW, **fields}).expect(201).json()


def publish(d, body=b"1", topic="orders-topic"):
    return d.post(f"/api/v1/topics/{topic}/messages", body).expect(202).json()


def runs(d):
    return d.get("/api/v1/runs?limit=200").expect(200).json()["runs"]


def decisions(d, message):
    return d.get(f"/api/v1/event-log/{message['event_id']}").expect(200).json()["decisions"]


# ---- the documented examples ----


def test_curl_examples(daemon):
    create(daemon, id="pipeline-abc123")
    script = CURL.replace("https://api.dhub.io", daemon.url).replace("curl ", "curl -sS -w '\\n' ")
    done = subprocess.run(["sh", "-ec", script], capture_output=True, text=True, timeout=deadline(60), check=True)
    assert [json.loads(line) for line in done.stdout.splitlines()] == [
        {"message": "Event started successfully"}, {"ready": True}, {"message": "Event deleted successfully"}]


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")
def test_javascript_example(daemon):
    script = JAVASCRIPT.replace("'/api/", f"'{daemon.url}/api/").replace("`/api/", f"`{daemon.url}/api/").replace("[...]", json.dumps(STEPS[:1]))
    script = "const token = 'x', pipelineId = 'default.events.order-processing';\n" + script
    done = subprocess.run(["node", "--input-type=module", "-e", script], capture_output=True, text=True, timeout=deadline(60), check=True)
    assert done.stdout == "Event ready: true\n"
    publish(daemon, b'{"order": 1}')
    [run] = wait_until(lambda: [r for r in runs(daemon) if r["status"] == "success"], what="the run")
    assert run["trigger"] == "trigger:topic:orders-topic"


# ---- pipelines in that form ----


def test_the_short_form(daemon):
    p = create(daemon)
    assert (p["namespace"], p["layer"], p["name"], p["title"]) == ("default", "events", "order-processing", "Order Processing")
    assert p["options"] == NEW["options"] and p["steps"] == NEW["steps"] and "uuid" not in p
    for id_ in (p["id"], "default.events.order-processing"):
        assert daemon.get(f"/api/v1/pipelines/{id_}").expect(200).json() == p
    assert daemon.post("/api/v1/pipelines/", NEW).expect(409).error == "ALREADY_EXISTS"
    daemon.get("/api/v1/pipelines/default.events.other").expect(404)


def test_several_steps_run_in_order(daemon):
    p = create(daemon, steps=STEPS)
    daemon.post(f"/api/v1/events/{p['id']}").expect(200)
    publish(daemon)
    wait_until(lambda: [r["status"] for r in runs(daemon)] == ["success"], what="the run")


def test_a_given_id(daemon):
    p = create(daemon, id="pipeline-abc123")
    assert p["id"] == "pipeline-abc123" and len(p["uuid"]) == 36
    r = daemon.post("/api/v1/pipelines/", {**NEW, "name": "other", "id": "pipeline-abc123"}).expect(409)
    assert r.error == "ALREADY_EXISTS" and r.message.startswith("id: ")
    daemon.kill()
    daemon.start()
    for id_ in ("pipeline-abc123", p["uuid"], "default.events.order-processing"):
        assert daemon.get(f"/api/v1/pipelines/{id_}").expect(200).json() == p
    path = "/api/v1/pipelines/default/events/order-processing"
    assert daemon.put(path, p).expect(200).json()["id"] == "pipeline-abc123"
    daemon.delete(path).expect(204)
    daemon.get("/api/v1/pipelines/pipeline-abc123").expect(404)
    create(daemon, id="pipeline-abc123")


def test_a_pipeline_is_changed_paused_and_deleted_by_its_id(daemon):
    p = create(daemon, id="pipeline-abc123")
    daemon.post("/api/v1/events/pipeline-abc123").expect(200)
    for version, id_ in enumerate(("pipeline-abc123", p["uuid"], "default.events.order-processing"), 2):
        path = f"/api/v1/pipelines/{id_}"
        changed = daemon.put(path, {**NEW, "id": "pipeline-abc123", "description": f"{version}"}).expect(200).json()
        assert (changed["version"], changed["description"], changed["title"]) == (version, f"{version}", "Order Processing")
        assert daemon.post(path + "/pause").expect(200).json()["paused"]
        assert not daemon.post(path + "/resume").expect(200).json()["paused"]
    assert daemon.put(path, changed).expect(200).json()["steps"] == p["steps"]
    path = "/api/v1/pipelines/pipeline-abc123"
    for field, value in (("name", "Something else"), ("name", 5), ("namespace", "other"), ("layer", "other")):
        assert daemon.put(path, {field: value}).expect(400).message.startswith(f"{field}: cannot be changed")
    for method in ("PUT", "DELETE"):
        assert daemon.request(method, "/api/v1/pipelines/nothing", {}).expect(404).error == "NOT_FOUND"
    daemon.delete(path).expect(204)
    daemon.get(path).expect(404)
    daemon.get("/api/v1/events/pipeline-abc123").expect(404)


def test_a_name_in_any_script(daemon):
    p = create(daemon, id="Orders_1", name="주문 처리")
    assert (p["id"], p["name"], p["title"]) == ("Orders_1", "orders_1", "주문 처리")
    assert daemon.put("/api/v1/pipelines/Orders_1", {"name": "주문 처리"}).expect(200).json()["title"] == "주문 처리"
    daemon.post("/api/v1/pipelines/", {**NEW, "id": "1st", "name": "주문 처리"}).expect(400)


@pytest.mark.parametrize("fields,says", [
    ({"id": "a.b"}, "id: "), ({"id": ""}, "id: "), ({"id": 5}, "id: "), ({"id": "-x"}, "id: "), ({"id": "x" * 64}, "id: "),
    ({"name": "!!!"}, "name: "), ({"name": "42"}, "name: "), ({"name": None}, "name: "), ({"steps": []}, "steps"),
    ({"options": 1}, "options: "),
])
def test_bad_pipelines(daemon, fields, says):
    assert daemon.post("/api/v1/pipelines/", {**NEW, **fields}).expect(400).message.startswith(says)


def test_versions(daemon):
    p = create(daemon, id="p1")
    daemon.put("/api/v1/pipelines/default/events/order-processing", {"description": "two"}).expect(200)
    for base in ("p1", p["uuid"], "default/events/order-processing"):
        listed = daemon.get(f"/api/v1/pipelines/{base}/versions/").expect(200).json()
        assert [v["version"] for v in listed["versions"]] == [2, 1] and listed["total"] == 2
        one = daemon.get(f"/api/v1/pipelines/{base}/versions/1").expect(200).json()
        assert one["version"] == 1 and one["options"] == NEW["options"] and "description" not in one
        assert daemon.get(f"/api/v1/pipelines/{base}/versions/2").json()["description"] == "two"
        for none in ("3", "0", "x"):
            assert daemon.get(f"/api/v1/pipelines/{base}/versions/{none}").expect(404).error == "NOT_FOUND"
    page = daemon.get("/api/v1/pipelines/p1/versions?limit=1").json()
    rest = daemon.get(f"/api/v1/pipelines/p1/versions?limit=1&cursor={page['next_cursor']}").json()
    assert [v["version"] for v in page["versions"] + rest["versions"]] == [2, 1]


def test_a_layer_may_be_called_versions(daemon):
    daemon.create_pipeline("p", namespace="a", layer="versions")
    assert daemon.get("/api/v1/pipelines/a/versions/p").expect(200).json()["layer"] == "versions"


# ---- start, status, stop ----


def test_a_message_runs_the_pipeline_while_it_is_started(daemon):
    p = create(daemon)
    path = f"/api/v1/events/{p['id']}"
    publish(daemon, b"before")
    assert daemon.post(path).expect(200).json() == {"message": "Event started successfully"}
    assert daemon.get(path).expect(200).json() == {"ready": True}
    fired = publish(daemon, b"during")
    daemon.kill()
    daemon.start()
    assert daemon.get(path).expect(200).json() == {"ready": True}
    again = publish(daemon, b"after the crash")
    assert daemon.delete(path + "/").expect(200).json() == {"message": "Event deleted successfully"}
    publish(daemon, b"after")
    wait_until(lambda: all(r["status"] in ("success", "failed") for r in runs(daemon)), what="the runs")
    assert sorted(r["event_id"] for r in runs(daemon)) == sorted([fired["event_id"], again["event_id"]])


def test_starting_again_replaces(daemon):
    p = create(daemon)
    for _ in range(3):
        daemon.post(f"/api/v1/events/{p['id']}").expect(200)
    assert len(decisions(daemon, publish(daemon))) == 1
    assert daemon.get("/api/v1/pipelines/default/events/order-processing/triggers").json()["total"] == 1


def test_nothing_is_lost_while_it_is_replaced(daemon):
    p = create(daemon)
    daemon.post(f"/api/v1/events/{p['id']}").expect(200)
    over = threading.Event()

    def replace():
        while not over.is_set():
            daemon.post(f"/api/v1/events/{p['id']}").expect(200)

    t = threading.Thread(target=replace)
    t.start()
    try:
        sent = [publish(daemon) for _ in range(60)]
    finally:
        over.set()
        t.join()
    assert all([d["decision"] for d in decisions(daemon, m)] == ["fired"] for m in sent)


def test_the_topic_follows_the_option_when_it_is_started_again(daemon):
    p = create(daemon)
    daemon.post(f"/api/v1/events/{p['id']}").expect(200)
    daemon.put("/api/v1/pipelines/default/events/order-processing", {"options": {"event": "elsewhere"}}).expect(200)
    daemon.post(f"/api/v1/events/{p['id']}").expect(200)
    assert decisions(daemon, publish(daemon)) == []
    assert len(decisions(daemon, publish(daemon, topic="elsewhere"))) == 1


def test_other_triggers_of_the_pipeline_are_left_alone(daemon):
    p = create(daemon)
    own = daemon.create_trigger(p, "topic", {"topic": "orders-topic"})
    daemon.get(f"/api/v1/events/{p['id']}").expect(404)
    daemon.post(f"/api/v1/events/{p['id']}").expect(200)
    assert len(decisions(daemon, publish(daemon))) == 2
    daemon.delete(f"/api/v1/events/{p['id']}").expect(200)
    assert [d["trigger_id"] for d in decisions(daemon, publish(daemon))] == [own["id"]]


def test_ready_is_false_while_disabled(daemon):
    p = create(daemon)
    daemon.post(f"/api/v1/events/{p['id']}").expect(200)
    triggers = "/api/v1/pipelines/default/events/order-processing/triggers"
    [t] = daemon.get(triggers).json()["triggers"]
    assert t["config"] == {"topic": "orders-topic", "started_by": "events"}
    daemon.put(f"{triggers}/{t['id']}", {"enabled": False}).expect(200)
    assert daemon.get(f"/api/v1/events/{p['id']}").json() == {"ready": False}


def test_a_pinned_version(daemon):
    p = create(daemon, steps=[{"name": "one", "argv": ["/bin/echo", "one"]}])
    path = "/api/v1/pipelines/default/events/order-processing"
    daemon.put(path, {"steps": [{"name": "two", "argv": ["/bin/echo", "two"]}]}).expect(200)
    daemon.post(f"/api/v1/events/{p['id']}?pipeline_version=1").expect(200)
    publish(daemon)
    wait_until(lambda: [r["pipeline_version"] for r in runs(daemon) if r["status"] == "success"] == [1], what="a run of version 1")
    assert runs(daemon)[0]["output"] == "one\n"
    daemon.post(f"/api/v1/events/{p['id']}").expect(200)
    publish(daemon)
    wait_until(lambda: [r["pipeline_version"] for r in runs(daemon) if r["status"] == "success"] == [2, 1], what="a run of version 2")
    daemon.put(path, {"options": None}).expect(200)
    assert daemon.post(f"/api/v1/events/{p['id']}").expect(500).message == NO_EVENT
    daemon.post(f"/api/v1/events/{p['id']}?pipeline_version=2").expect(200)
    for version in ("4", "0", "-1", "x", "1.0"):
        assert daemon.post(f"/api/v1/events/{p['id']}?pipeline_version={version}").expect(404).error == "NOT_FOUND"


def test_errors(daemon):
    for method in ("POST", "GET", "DELETE"):
        assert daemon.request(method, "/api/v1/events/nothing").expect(404).error == "NOT_FOUND"
    for options in (None, {}, {"event": ""}, {"event": 5}):
        p = create(daemon, name=f"without {options}".replace("{", "").replace("}", ""), options=options)
        r = daemon.post(f"/api/v1/events/{p['id']}").expect(500)
        assert (r.error, r.message) == ("INTERNAL", NO_EVENT)
    p = create(daemon)
    for method in ("GET", "DELETE"):
        assert daemon.request(method, f"/api/v1/events/{p['id']}").expect(404).error == "NOT_FOUND"
    bad = create(daemon, name="bad", options={"event": "no such/topic"})
    assert "options.event: must be" in daemon.post(f"/api/v1/events/{bad['id']}").expect(400).message


# ---- scale to zero and out ----

WORKER = """
import json, os, sys
for line in sys.stdin:
    event = json.loads(line)
    os.close(os.open(event["payload"]["gate"], os.O_RDONLY))  # a fifo: waits for a writer
    print(json.dumps({"id": event["id"], "status": "success", "output": os.getpid()}), flush=True)
"""


def workers(d, script):
    out = subprocess.run(["ps", "-ww", "-o", "args=", "--ppid", str(d.pid)], capture_output=True, text=True, check=False).stdout
    return sum(str(script) in line for line in out.splitlines())


def test_the_service_scales_with_the_topic_from_zero_and_back(daemon, tmp_path):
    script, gate = tmp_path / "worker.py", tmp_path / "gate"
    script.write_text(WORKER)
    os.mkfifo(gate)
    service = {"type": "service", "argv": ["/usr/bin/python3", str(script)], "min_instances": 0, "max_instances": 3, "idle_seconds": 3600}
    p = create(daemon, steps=[{"name": "process", "executor": service}])
    daemon.post(f"/api/v1/events/{p['id']}").expect(200)
    assert workers(daemon, script) == 0
    message = json.dumps({"gate": str(gate)})
    r = daemon.post("/api/v1/topics/orders-topic/messages", "\n".join([message] * 20), headers={"Content-Type": "application/x-ndjson"})
    assert r.expect(202).json()["count"] == 20
    wait_until(lambda: workers(daemon, script) == 3, what="as many workers as there may be")
    opened = os.open(gate, os.O_RDWR)  # whoever waits, and will, goes on
    try:
        wait_until(lambda: [r["status"] for r in runs(daemon)] == ["success"] * 20, timeout=60, what="all runs")
        assert len({str(r["output"]) for r in runs(daemon)}) <= 3
        daemon.put(daemon.pipeline_path(p), {"steps": [{"name": "process", "executor": {**service, "idle_seconds": 1}}]}).expect(200)
        for n in (21, 22):
            wait_until(lambda: workers(daemon, script) == 0, timeout=30, what="the idle workers to end")
            publish(daemon, message.encode())
            wait_until(lambda n=n: [r["status"] for r in runs(daemon)] == ["success"] * n, timeout=60, what="a run after that")
    finally:
        os.close(opened)
