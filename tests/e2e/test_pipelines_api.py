"""Pipelines over REST."""
import pytest

COMMAND = {"type": "command", "argv": ["/bin/true"]}
NEW = {"namespace": "default", "layer": "silver", "name": "orders", "executor": COMMAND}
PATH = "/api/v1/pipelines/default/silver/orders"


def test_create_get_and_list(daemon):
    made = daemon.post("/api/v1/pipelines", NEW).expect(201).json()
    assert {k: made[k] for k in NEW} == NEW
    assert made["version"] == 1
    assert made["latest_run"] is None
    assert made["created_at"] == made["updated_at"] and made["created_at"].endswith("Z")
    assert daemon.get(PATH).expect(200).json() == made
    assert daemon.get(PATH + "/").expect(200).json() == made
    listed = daemon.get("/api/v1/pipelines").expect(200).json()
    assert [p["id"] for p in listed["pipelines"]] == [made["id"]] and listed["total"] == 1


def test_create_with_a_trailing_slash(daemon):
    daemon.post("/api/v1/pipelines/", NEW).expect(201)


def test_everything_given_is_returned(daemon):
    fields = {"description": "all of it – é", "options": {"a": [1, 2.5, None]}, "type": "sql", "source": "s3", "unique_key": ["id"],
              "owner": "me", "timeout_seconds": 60, "concurrency": {"max_runs": 3, "policy": "queue"},
              "retry": {"max_attempts": 3, "backoff_seconds": 0.5, "backoff_factor": 3, "max_backoff_seconds": 9}}
    made = daemon.post("/api/v1/pipelines", {**NEW, **fields}).expect(201).json()
    assert {k: made[k] for k in fields} == fields
    daemon.kill()
    daemon.start()
    assert daemon.get(PATH).json() == made


def test_latest_run(daemon):
    p = daemon.create_pipeline("orders", layer="silver")
    run = daemon.fire_ok(daemon.create_webhook_trigger(p))
    daemon.wait_run(run, "success")
    latest = daemon.get(PATH).json()["latest_run"]
    assert latest["id"] == run and latest["status"] == "success"


def test_taken_name_is_409(daemon):
    daemon.post("/api/v1/pipelines", NEW).expect(201)
    r = daemon.post("/api/v1/pipelines", NEW).expect(409)
    assert r.error == "ALREADY_EXISTS" and "default.silver.orders" in r.message
    daemon.post("/api/v1/pipelines", {**NEW, "layer": "gold"}).expect(201)


@pytest.mark.parametrize("change,says", [
    ({"namespace": None}, "namespace: is required"),
    ({"layer": None}, "layer: is required"),
    ({"name": None}, "name: is required"),
    ({"name": 5}, "name: "),
    ({"name": ""}, "name: "),
    ({"name": "Orders"}, "name: "),
    ({"name": "1orders"}, "name: "),
    ({"name": "a.b"}, "name: "),
    ({"name": "../x"}, "name: "),
    ({"name": "a" * 64}, "name: "),
    ({"layer": "sil ver"}, "layer: "),
    ({"namespace": "é"}, "namespace: "),
    ({"executor": None}, "executor: "),
    ({"executor": "command"}, "executor: "),
    ({"executor": {}}, "executor.type: "),
    ({"executor": {"type": "bogus"}}, "executor.type: "),
    ({"executor": {"type": "command"}}, "executor.argv: "),
    ({"executor": {"type": "command", "argv": []}}, "executor.argv"),
    ({"executor": {"type": "command", "argv": ["/bin/true"], "shell": True}}, "executor.shell: "),
    ({"colour": "red"}, "colour: "),
    ({"options": 1}, "options: "),
    ({"timeout_seconds": -1}, "timeout_seconds: "),
    ({"timeout_seconds": "1"}, "timeout_seconds: "),
    ({"concurrency": 0}, "concurrency: "),
    ({"concurrency": {"max_runs": 1, "policy": "newest"}}, "concurrency.policy: "),
    ({"retry": {"max_attempts": 0}}, "retry.max_attempts: "),
    ({"retry": {"tries": 1}}, "retry.tries: "),
])
def test_bad_create_is_400_and_names_the_field(daemon, change, says):
    r = daemon.post("/api/v1/pipelines", {**NEW, **change}).expect(400)
    assert r.error == "INVALID_ARGUMENT" and r.message.startswith(says)
    assert daemon.get("/api/v1/pipelines").json()["total"] == 0


def test_invalid_json_says_where(daemon):
    r = daemon.post("/api/v1/pipelines", '{"namespace": "default",\n  oops}').expect(400)
    assert "line 2" in r.message and "column" in r.message


def test_update_makes_a_new_version(daemon):
    made = daemon.post("/api/v1/pipelines", {**NEW, "description": "old", "timeout_seconds": 5}).expect(201).json()
    changed = daemon.put(PATH, {"description": "new"}).expect(200).json()
    assert changed["version"] == 2 and changed["description"] == "new"
    assert changed["timeout_seconds"] == 5 and changed["executor"] == COMMAND
    assert changed["id"] == made["id"] and changed["created_at"] == made["created_at"]
    without = daemon.put(PATH, {"timeout_seconds": None}).expect(200).json()
    assert "timeout_seconds" not in without and without["version"] == 3


def test_runs_keep_the_version_they_were_made_for(daemon):
    p = daemon.create_pipeline("orders", argv=["/bin/echo", "one"], layer="silver")
    t = daemon.create_webhook_trigger(p)
    first = daemon.wait_run(daemon.fire_ok(t), "success")
    daemon.put(PATH, {"executor": {"type": "command", "argv": ["/bin/echo", "two"]}}).expect(200)
    second = daemon.wait_run(daemon.fire_ok(t), "success")
    assert (first["pipeline_version"], first["output"]) == (1, "one\n")
    assert (second["pipeline_version"], second["output"]) == (2, "two\n")


def test_what_was_read_can_be_written_back(daemon):
    made = daemon.post("/api/v1/pipelines", NEW).expect(201).json()
    again = daemon.put(PATH, made).expect(200).json()
    assert again["version"] == 2
    assert {k: again[k] for k in NEW} == NEW


def test_executor_and_steps_replace_each_other(daemon):
    daemon.post("/api/v1/pipelines", NEW).expect(201)
    steps = [{"name": "only", "argv": ["/bin/true"]}]
    with_steps = daemon.put(PATH, {"steps": steps}).expect(200).json()
    assert with_steps["steps"] == steps and "executor" not in with_steps
    back = daemon.put(PATH, {"executor": COMMAND}).expect(200).json()
    assert back["executor"] == COMMAND and "steps" not in back
    assert daemon.put(PATH, {"executor": COMMAND, "steps": steps}).expect(400).message.startswith("executor: ")


@pytest.mark.parametrize("body,says", [
    ({"name": "other"}, "name: cannot be changed"),
    ({"namespace": 1}, "namespace: cannot be changed"),
    ({"executor": None}, "executor: "),
    ({"executor": {"type": "bogus"}}, "executor.type: "),
    ({"retry": {"max_attempts": "3"}}, "retry.max_attempts: "),
    ({"bogus": 1}, "bogus: "),
    ([], "object"),
])
def test_bad_update_is_400_and_changes_nothing(daemon, body, says):
    made = daemon.post("/api/v1/pipelines", NEW).expect(201).json()
    r = daemon.put(PATH, body).expect(400)
    assert r.error == "INVALID_ARGUMENT" and says in r.message
    assert daemon.get(PATH).json() == made


def test_delete_takes_the_triggers_along(daemon):
    p = daemon.post("/api/v1/pipelines", NEW).expect(201).json()
    t = daemon.create_webhook_trigger(p)
    daemon.delete(PATH).expect(204)
    for r in (daemon.get(PATH), daemon.delete(PATH), daemon.put(PATH, {}), daemon.get(PATH + "/triggers"), daemon.fire(t)):
        assert r.expect(404).error == "NOT_FOUND"
    again = daemon.post("/api/v1/pipelines", NEW).expect(201).json()
    assert again["id"] != p["id"] and again["version"] == 1
    assert daemon.get(PATH + "/triggers").json()["total"] == 0


def test_delete_with_force(daemon):
    daemon.post("/api/v1/pipelines", NEW).expect(201)
    assert daemon.delete(PATH + "?force=maybe").expect(400).message.startswith("force: ")
    daemon.delete(PATH + "?force=true").expect(204)


def test_list_filters_and_pages(daemon):
    for ns in ("alpha", "beta"):
        for layer in ("bronze", "silver"):
            for i in range(3):
                daemon.create_pipeline(f"p{i}", namespace=ns, layer=layer)

    def names(query):
        return [f"{p['namespace']}.{p['layer']}.{p['name']}" for p in daemon.get(f"/api/v1/pipelines?{query}").expect(200).json()["pipelines"]]

    every = names("")
    assert len(every) == 12 and every == sorted(every)
    assert names("namespace=alpha") == [n for n in every if n.startswith("alpha.")]
    assert names("layer=silver") == [n for n in every if ".silver." in n]
    assert names("namespace=beta&layer=bronze") == [n for n in every if n.startswith("beta.bronze.")]
    assert names("namespace=gamma") == []
    assert names("limit=5&offset=4") == every[4:9]
    seen, cursor = [], None
    while True:
        page = daemon.get("/api/v1/pipelines?limit=5" + (f"&cursor={cursor}" if cursor else "")).expect(200).json()
        assert page["total"] == 12
        seen += [f"{p['namespace']}.{p['layer']}.{p['name']}" for p in page["pipelines"]]
        cursor = page.get("next_cursor")
        if not cursor:
            break
    assert seen == every
    assert daemon.get("/api/v1/pipelines?cursor=bogus").expect(400).message.startswith("cursor: ")


def test_wrong_method_is_405(daemon):
    assert daemon.request("PATCH", "/api/v1/pipelines").status == 405


def test_null_takes_a_field_out_and_does_not_hide_a_wrong_one(daemon):
    p = daemon.create_pipeline("p", description="x")
    assert daemon.put(daemon.pipeline_path(p), {"description": None}).expect(200).json().get("description") is None
    assert "config: is not a known field" in daemon.put(daemon.pipeline_path(p), {"config": None}).expect(400).message
    assert "executor" in daemon.put(daemon.pipeline_path(p), {"executor": None}).expect(400).message
    assert daemon.get(daemon.pipeline_path(p)).json()["version"] == 2
