"""cron_dependency: a schedule that waits for other pipelines. Every example and error of the Triggers API for that type."""
import pytest

from pawl import wait_until

TRIGGERS = "/api/v1/pipelines/default/silver/orders/triggers"

# As it stands in the Triggers API.
EXAMPLE = """{
  "type": "cron_dependency",
  "config": {
    "cron_expr": "0 * * * *",
    "dependencies": [
      "default.bronze.raw_orders",
      "default.bronze.raw_customers"
    ]
  }
}"""
BOTH = ["default.bronze.raw_orders", "default.bronze.raw_customers"]


@pytest.fixture(autouse=True)
def pipelines(daemon):
    for name in ("raw_orders", "raw_customers"):
        daemon.create_pipeline(name)
    return daemon.create_pipeline("orders", layer="silver")


def create(daemon, expr="* * * * * *", dependencies=None, **config):
    body = {"type": "cron_dependency", "config": {"cron_expr": expr, "dependencies": dependencies or BOTH, **config}}
    return daemon.post(TRIGGERS, body).expect(201).json()


def succeed(daemon, name):
    body = {"namespace": "default", "layer": "bronze", "pipeline": name}
    daemon.wait_run(daemon.post("/api/v1/runs", body).expect(202).json()["run_id"], "success")


def last_decision(daemon, trigger):
    events = daemon.get(f"/api/v1/event-log?trigger_id={trigger['id']}&limit=1").expect(200).json()["events"]
    return events[0]["decisions"][0] if events else {}


def wait_unmet(daemon, trigger, *names):
    detail = "no success since the last firing: " + ", ".join(f"default.bronze.{n}" for n in names)
    wait_until(lambda: last_decision(daemon, trigger).get("detail") == detail, 10, detail)
    assert last_decision(daemon, trigger)["decision"] == "deps_unmet"


def test_example_as_written(daemon):
    t = daemon.post(TRIGGERS, EXAMPLE).expect(201).json()
    assert t["type"] == "cron_dependency" and t["config"] == {"cron_expr": "0 * * * *", "dependencies": BOTH}
    assert daemon.get(f"{TRIGGERS}/{t['id']}").expect(200).json()["config"] == t["config"]


def test_fires_when_all_have_succeeded(daemon):
    succeed(daemon, "raw_orders")  # before the trigger exists: does not count
    t = create(daemon)
    wait_unmet(daemon, t, "raw_orders", "raw_customers")
    succeed(daemon, "raw_customers")
    wait_unmet(daemon, t, "raw_orders")
    assert daemon.all_runs(trigger_id=t["id"]) == []
    succeed(daemon, "raw_orders")
    assert daemon.wait_runs(t)[0]["trigger"] == "trigger:cron_dependency:* * * * * *"
    # What it has fired for does not count again.
    wait_unmet(daemon, t, "raw_orders", "raw_customers")
    succeed(daemon, "raw_orders")
    succeed(daemon, "raw_customers")
    daemon.wait_runs(t, 2)
    wait_unmet(daemon, t, "raw_orders", "raw_customers")
    assert len(daemon.all_runs(trigger_id=t["id"])) == 2


def test_successes_survive_restarts(daemon):
    t = create(daemon)
    succeed(daemon, "raw_orders")
    daemon.kill()
    daemon.start()
    wait_unmet(daemon, t, "raw_customers")
    daemon.restart()
    succeed(daemon, "raw_customers")
    daemon.wait_runs(t)
    wait_unmet(daemon, t, "raw_orders", "raw_customers")
    daemon.restart()
    wait_unmet(daemon, t, "raw_orders", "raw_customers")
    assert len(daemon.all_runs(trigger_id=t["id"])) == 1


@pytest.mark.parametrize("crash", [False, True])
def test_what_succeeded_before_it_was_a_dependency_counts(daemon, crash):
    t = create(daemon, "0 0 1 1 *", BOTH[:1])
    succeed(daemon, "raw_orders")
    succeed(daemon, "raw_customers")
    if crash:
        daemon.kill()
        daemon.start()
    daemon.put(f"{TRIGGERS}/{t['id']}", {"config": {"cron_expr": "* * * * * *", "dependencies": BOTH}}).expect(200)
    daemon.wait_runs(t)
    assert [d["decision"] for d in daemon.get(f"{TRIGGERS}/{t['id']}/decisions").json()["decisions"]][-1] == "fired"


def test_each_trigger_counts_for_itself(daemon):
    first = create(daemon, dependencies=BOTH[:1])
    succeed(daemon, "raw_orders")
    daemon.wait_runs(first)
    second = create(daemon, dependencies=BOTH[:1])
    wait_unmet(daemon, second, "raw_orders")
    succeed(daemon, "raw_orders")
    daemon.wait_runs(first, 2)
    daemon.wait_runs(second)


def test_a_failure_is_no_success(daemon):
    t = create(daemon, dependencies=["default.bronze.bad"]) if daemon.create_pipeline("bad", argv=["/bin/false"]) else None
    run = daemon.post("/api/v1/runs", {"namespace": "default", "layer": "bronze", "pipeline": "bad"}).expect(202).json()["run_id"]
    daemon.wait_run(run, "failed")
    wait_unmet(daemon, t, "bad")


@pytest.mark.parametrize("config, status, message", [
    ({"dependencies": BOTH}, 400, "config.cron_expr: is required"),
    ({"cron_expr": "0 * * * *"}, 400, "config.dependencies: is required"),
    ({"cron_expr": "0 * * * *", "dependencies": "default.bronze.raw_orders"}, 400, "config.dependencies: must be an array"),
    ({"cron_expr": "0 * * * *", "dependencies": []}, 400, "config.dependencies: must hold 1 to 100 pipelines"),
    ({"cron_expr": "0 * * * *", "dependencies": ["default.bronze.raw_orders"] * 101}, 400, "config.dependencies: must hold 1 to 100"),
    ({"cron_expr": "0 * * * *", "dependencies": [1]}, 400, "config.dependencies[0]: must be the name of a pipeline"),
    ({"cron_expr": "0 * * * *", "dependencies": [BOTH[0], "raw_orders"]}, 400, "config.dependencies[1]: must be the name of a pipeline"),
    ({"cron_expr": "0 * * * *", "dependencies": ["default.bronze."]}, 400, "config.dependencies[0]: must be the name of a pipeline"),
    ({"cron_expr": "0 * * * *", "dependencies": ["a.b.c.d"]}, 400, "config.dependencies[0]: must be the name of a pipeline"),
    ({"cron_expr": "0 * * * *", "dependencies": [BOTH[0], BOTH[0]]}, 400, "config.dependencies[1]: default.bronze.raw_orders is listed twice"),
    ({"cron_expr": "0 * * * *", "dependencies": [BOTH[0], "default.bronze.gone"]}, 404,
     "config.dependencies[1]: there is no pipeline default.bronze.gone"),
    ({"cron_expr": "0 24 * * *", "dependencies": BOTH}, 400, "config.cron_expr: field 2 (hour): 24 is out of range 0-23"),
    ({"cron_expr": "0 * * * *", "dependencies": ["default.silver.orders"]}, 400,
     "config: would make a cycle: default.silver.orders -> default.silver.orders"),
    ({"cron_expr": "0 * * * *", "dependencies": BOTH, "bogus": 1}, 400, "config.bogus: is not a known field"),
])
def test_bad_configs(daemon, config, status, message):
    r = daemon.post(TRIGGERS, {"type": "cron_dependency", "config": config}).expect(status)
    assert r.error == {400: "INVALID_ARGUMENT", 404: "NOT_FOUND"}[status] and r.message.startswith(message), r.message
    assert daemon.get(TRIGGERS).json()["total"] == 0


def test_put_checks_like_post(daemon):
    t = create(daemon, "0 * * * *")
    one = f"{TRIGGERS}/{t['id']}"
    r = daemon.put(one, {"config": {"cron_expr": "0 * * * *", "dependencies": ["default.bronze.gone"]}}).expect(404)
    assert r.message == "config.dependencies[0]: there is no pipeline default.bronze.gone"
    assert daemon.get(one).json()["config"] == t["config"]
    daemon.put(one, {"config": {"cron_expr": "* * * * * *", "dependencies": BOTH[:1]}}).expect(200)
    wait_unmet(daemon, t, "raw_orders")


def test_cycles_through_schedules_and_completions(daemon):
    create(daemon, "0 * * * *")
    body = {"type": "pipeline_success", "config": {"namespace": "default", "layer": "silver", "pipeline": "orders"}}
    r = daemon.post("/api/v1/pipelines/default/bronze/raw_orders/triggers", body).expect(400)
    assert "default.bronze.raw_orders -> default.silver.orders -> default.bronze.raw_orders" in r.message
    body["config"]["allow_cycle"] = True
    daemon.post("/api/v1/pipelines/default/bronze/raw_orders/triggers", body).expect(201)
