"""Manifests, applied over HTTP and with `pawl apply`."""
import json
import os
import re
import subprocess
import threading

import pytest

import pawl

with open(os.path.join(pawl.ROOT, "tests", "e2e", "manifests", "arkevents.yaml"), encoding="utf-8") as f:
    EVENTS = f.read()

PIPELINE = """
apiVersion: pawl.dev/v1
kind: Pipeline
metadata: {name: load, namespace: data}
spec:
  layer: bronze
  executor: {type: command, argv: [cat]}
"""
AFTER = """
apiVersion: pawl.dev/v1
kind: Pipeline
metadata: {name: after, namespace: data}
spec: {executor: {type: command, argv: ["true"]}}
"""
HOOK = """
apiVersion: pawl.dev/v1
kind: Trigger
metadata: {name: hook, namespace: data}
spec: {pipeline: bronze.load, type: webhook, config: {}, cooldown_seconds: 5}
"""
CHAIN = """
apiVersion: pawl.dev/v1
kind: Trigger
metadata: {name: chain, namespace: data}
spec:
  pipeline: after
  type: pipeline_success
  config: {namespace: data, layer: bronze, pipeline: load}
"""
ZONE = """
apiVersion: pawl.dev/v1
kind: LandingZone
metadata: {name: inbox, namespace: data}
spec: {description: what comes in}
"""
FILES = """
apiVersion: pawl.dev/v1
kind: Trigger
metadata: {name: files, namespace: data}
spec: {pipeline: bronze.load, type: landing_zone_upload, config: {namespace: data, zone_name: inbox}}
"""


def stream(*documents):
    return "---\n".join(documents)


def apply(daemon, text, status=200, **query):
    q = "&".join(f"{k}={v}" for k, v in query.items())
    return daemon.request("POST", "/api/v1/apply?" + q, text.encode() if isinstance(text, str) else text).expect(status).json()


def results(answer):
    return [(r["kind"], f'{r["namespace"]}/{r["name"]}', r["result"]) for r in answer["results"]]


def only(answer):
    return {r["result"] for r in answer["results"]}


def test_the_documented_events_as_written(daemon):
    first = apply(daemon, EVENTS)
    assert results(first) == [("ArkEvent", f"ai-team/{n}", "created")
                              for n in ("pipeline-trigger", "daily-report", "post-research-trigger")]
    assert only(apply(daemon, EVENTS)) == {"unchanged"}
    assert only(apply(daemon, EVENTS.replace("0 8 * * *", "0 9 * * *"))) == {"unchanged", "configured"}


def test_references_in_any_order_and_twice(daemon):
    everything = stream(CHAIN, FILES, HOOK, ZONE, AFTER, PIPELINE)
    first = apply(daemon, everything)
    assert only(first) == {"created"}
    assert [r for r in first["results"] if r["name"] == "hook"][0]["webhook_token"]
    second = apply(daemon, everything)
    assert only(second) == {"unchanged"}
    assert "webhook_token" not in json.dumps(second)
    p = daemon.get("/api/v1/pipelines/data/bronze/load").expect(200).json()
    assert p["version"] == 1
    named = daemon.get("/api/v1/pipelines/data/bronze/load/triggers").json()["triggers"]
    assert sorted(t["name"] for t in named) == ["files", "hook"]
    daemon.kill()
    daemon.start()
    assert only(apply(daemon, everything)) == {"unchanged"}


def test_changes_are_configured(daemon):
    apply(daemon, stream(PIPELINE, HOOK, ZONE))
    changed = stream(PIPELINE.replace("cat", "tac"), HOOK.replace("seconds: 5", "seconds: 6"), ZONE.replace("what", "all that"))
    assert only(apply(daemon, changed, dry_run="true")) == {"configured"}
    assert daemon.get("/api/v1/pipelines/data/bronze/load").json()["version"] == 1
    assert only(apply(daemon, changed)) == {"configured"}
    assert daemon.get("/api/v1/pipelines/data/bronze/load").json()["version"] == 2
    assert daemon.get("/api/v1/landing-zones/data/inbox").json()["description"] == "all that comes in"
    assert only(apply(daemon, changed)) == {"unchanged"}


def test_a_trigger_works_and_keeps_its_token(daemon):
    token = [r for r in apply(daemon, stream(PIPELINE, HOOK.replace(", cooldown_seconds: 5", "")))["results"]][1]["webhook_token"]
    apply(daemon, HOOK.replace("cooldown_seconds: 5", "enabled: true, cooldown_seconds: 0"))
    daemon.fire(token).expect(201)


def test_the_namespace_of_those_that_do_not_say(daemon):
    bare = "apiVersion: pawl.dev/v1\nkind: Pipeline\nmetadata: {name: a}\nspec: {executor: {type: pull}}\n"
    assert results(apply(daemon, bare)) == [("Pipeline", "default/events.a", "created")]
    assert results(apply(daemon, bare, namespace="other")) == [("Pipeline", "other/events.a", "created")]
    apply(daemon, bare, status=400, namespace="No")


ARK = "apiVersion: arkonis.dev/v1alpha1\nkind: ArkEvent\nmetadata: {name: e}\nspec:\n  source: {type: webhook}\n  targets:\n"

BAD = [
    # text, document, line, field, part of the message
    ("a: [1\n", 0, 2, "a", "not valid YAML: did not find"),
    ("a: 1\na: 2\n", 0, 2, "a", 'the key "a" is given twice'),
    ("a:\n\tb: 1\n", 0, 2, "a", "not valid YAML: found character that cannot start any token"),
    ("a: *nowhere\n", 0, 1, "a", "&nowhere"),
    (ZONE.replace("what comes in", "1e999"), 0, 5, "spec.description", "not valid YAML: the number is too big"),
    ("just a text\n", 1, 1, "", "must be an object"),
    ("# first\n---\n- a list\n", 1, 3, "", "must be an object"),
    ("apiVersion: v1\nkind: Pod\n", 1, 2, "kind", '"Pod"'),
    ("apiVersion: pawl.dev/v1\n", 1, 1, "kind", "Required value"),
    (PIPELINE.replace("pawl.dev/v1", "pawl.dev/v9"), 1, 2, "apiVersion", "supported values"),
    (PIPELINE.replace("name: load, ", ""), 1, 4, "metadata.name", "Required value"),
    (PIPELINE.replace("load", "Load!"), 1, 4, "metadata.name", "Load!"),
    (PIPELINE.replace("namespace: data", "labels: {}"), 1, 4, "metadata.labels", "unknown field"),
    (PIPELINE.replace("bronze", "2"), 1, 6, "spec.layer", "must be of type string"),
    (PIPELINE.replace("argv: [cat]", "arg: [cat]"), 1, 7, "spec.executor.argv", "is required"),
    (PIPELINE + "  retry: {max_attempts: 0}\n", 1, 8, "spec.retry.max_attempts", "out of range"),
    (PIPELINE + "  bogus: 1\n", 1, 8, "spec.bogus", "not a known field"),
    (PIPELINE + "---" + HOOK.replace("bronze.load", "nothing"), 2, 12, "spec.pipeline", "no such pipeline"),
    (PIPELINE + "---" + HOOK.replace("webhook", "webhok"), 2, 12, "spec.type", "is not a trigger type"),
    (PIPELINE + "---" + FILES, 2, 12, "spec.config.zone_name", "inbox"),
    (PIPELINE + "---" + PIPELINE, 2, 11, "metadata.name", "is defined in manifest:2, too"),
    (ZONE.replace("description", "path: relative, x"), 1, 5, "spec.path", "absolute"),
    (ZONE.replace("{description: what comes in}", "{path: /dev/null}"), 1, 5, "spec.path", "is not a directory"),
    (ARK + "  - tem: x\n", 1, 7, "spec.targets[0].tem", "unknown field"),
    (ARK + "  - team: a\n  - team: B\n", 1, 8, "spec.targets[1].team", "B"),
    (ARK.replace("webhook", "cron, cron: 'x'") + "  - team: a\n", 1, 5, "spec.source.cron", "x"),
    (json.dumps({"apiVersion": "pawl.dev/v1", "kind": "Pipeline", "metadata": {"name": "a"}, "spec": {}}, indent=1), 1, 7, "spec.executor", "required"),
    (json.dumps({"kind": "List", "items": [{"kind": "Pod"}]}, indent=1), 1, 5, "items[0].kind", "Pod"),
]


@pytest.mark.parametrize("text,document,line,field,part", BAD, ids=range(len(BAD)))
def test_bad_documents_are_named_by_line_and_field(daemon, text, document, line, field, part):
    answer = apply(daemon, text, status=400, file="manifest")
    assert answer["error"]["code"] == "INVALID_ARGUMENT"
    found = [(p["document"], p["line"], p["field"]) for p in answer["problems"]]
    assert (document, line, field) in found, answer
    assert any(part in p["message"] for p in answer["problems"]), answer
    assert {p["file"] for p in answer["problems"]} == {"manifest"}
    assert daemon.get("/api/v1/pipelines").json()["total"] == 0


@pytest.mark.parametrize("query,says", [({"prune": "maybe"}, "prune: must be true or false"), ({"files": "1"}, "files: must be true or false"),
                                        ({"dry_run": ""}, "dry_run: must be true or false"), ({"file": ""}, "file: must be 1 to 255 bytes"),
                                        ({"namespace": "A"}, "namespace: ")])
def test_parameters_that_are_wrong(daemon, query, says):
    assert apply(daemon, PIPELINE, status=400, **query)["error"]["message"].startswith(says)
    assert daemon.get("/api/v1/pipelines").json()["total"] == 0


def test_all_problems_at_once(daemon):
    text = stream(PIPELINE.replace("layer: bronze", "layer: 1"), ZONE.replace("inbox", "In"), HOOK.replace("config: {}", "confg: {}"))
    assert len({p["document"] for p in apply(daemon, text, status=400)["problems"]}) == 3


def test_one_bad_document_of_three_changes_nothing(daemon):
    apply(daemon, stream(PIPELINE, AFTER, HOOK, CHAIN.replace("pipeline: load", "pipeline: nothing")), status=400)
    assert daemon.get("/api/v1/pipelines").json()["total"] == 0
    assert only(apply(daemon, PIPELINE)) == {"created"}


def test_a_cycle_within_the_set(daemon):
    back = CHAIN.replace("chain", "back").replace("pipeline: after", "pipeline: bronze.load").replace("bronze, pipeline: load", "events, pipeline: after")
    answer = apply(daemon, stream(PIPELINE, AFTER, CHAIN, back), status=400)
    assert "data.bronze.load -> data.events.after -> data.bronze.load" in json.dumps(answer["problems"]) \
        or "data.events.after -> data.bronze.load -> data.events.after" in json.dumps(answer["problems"])
    allowed = back.replace("pipeline: after}", "pipeline: after, allow_cycle: true}")
    assert only(apply(daemon, stream(PIPELINE, AFTER, CHAIN, allowed))) == {"created"}


@pytest.mark.parametrize("text,part", [
    (b"a: " + b"x" * (10 << 20), "longer than 1048576 bytes"),
    (b"a0: &a0 x\n" + b"".join(b"a%d: &a%d [%s]\n" % (i, i, b",".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, 10)), "aliases expanded"),
    (b"\xff\xff", "not valid YAML"),
    (b"---\n".join(b"kind: Pod\n" for _ in range(1002)), "more than 1000 documents"),
], ids=["10 MB", "laughs", "bytes", "many"])
def test_hostile_texts_are_refused(daemon, text, part):
    answer = apply(daemon, text, status=400)
    assert any(part in p["message"] for p in answer["problems"]), str(answer)[:500]


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n---\n", "\ufeff" + AFTER, AFTER.replace("\n", "\r\n"),
                                  AFTER.replace("metadata: {", "metadata: &a {") + "---\n"])
def test_texts_that_are_fine(daemon, text):
    assert len(apply(daemon, text)["results"]) == ("Pipeline" in text)


def test_prune(daemon):
    other = PIPELINE.replace("namespace: data", "namespace: other")
    apply(daemon, stream(PIPELINE, HOOK, AFTER, CHAIN, ZONE, other))
    apply(daemon, EVENTS)
    by_hand = daemon.create_pipeline(namespace="data", layer="silver", name="mine", argv=["true"])
    would = apply(daemon, stream(PIPELINE, HOOK), prune="true", dry_run="true")
    pruned = [x for x in results(would) if x[2] == "pruned"]
    assert sorted(pruned) == [("LandingZone", "data/inbox", "pruned"), ("Pipeline", "data/events.after", "pruned"),
                              ("Trigger", "data/chain", "pruned")]
    assert daemon.get("/api/v1/pipelines/data/events/after").status == 200
    assert results(apply(daemon, stream(PIPELINE, HOOK), prune="true")) == results(would)
    assert daemon.get("/api/v1/pipelines/data/events/after").status == 404
    assert daemon.get("/api/v1/landing-zones/data/inbox").status == 404
    assert daemon.get("/api/v1/pipelines/other/bronze/load").status == 200
    assert daemon.get(f"/api/v1/pipelines/{by_hand['id']}").status == 200
    assert only(apply(daemon, EVENTS)) == {"unchanged"}
    # what a set refers to must not be pruned with it
    answer = apply(daemon, HOOK, prune="true", status=400)
    assert answer["problems"][0]["field"] == "spec.pipeline"


def test_what_was_deleted_by_hand_is_made_again(daemon):
    first = apply(daemon, stream(PIPELINE, HOOK))["results"][1]["webhook_token"]
    daemon.request("DELETE", "/api/v1/pipelines/data/bronze/load").expect(204)
    again = apply(daemon, stream(PIPELINE, HOOK))
    assert only(again) == {"created"} and again["results"][1]["webhook_token"] != first


def test_several_files_are_one_set(daemon):
    files = [{"file": "t.yaml", "text": HOOK}, {"file": "p.json", "text": json.dumps({
        "apiVersion": "pawl.dev/v1", "kind": "Pipeline", "metadata": {"name": "load", "namespace": "data"},
        "spec": {"layer": "bronze", "executor": {"type": "pull"}, "description": "\U0001f600"}})}]
    assert only(apply(daemon, json.dumps({"files": files}), files="true")) == {"created"}
    files.append({"file": "bad.yaml", "text": "a: [\n"})
    files[1]["text"] = files[1]["text"].replace("pull", "http")
    problems = apply(daemon, json.dumps({"files": files}), status=400, files="true")["problems"]
    assert {p["file"] for p in problems} == {"bad.yaml", "p.json"}
    for body in ("{}", "[]", '{"files":[1]}', '{"files":[{"file":"a"}]}', "{"):
        assert "problems" not in apply(daemon, body, status=400, files="true")


def test_kill_at_any_instant_leaves_all_or_nothing(make_daemon):
    d = make_daemon()
    sets = [stream(*(PIPELINE.replace("name: load", f"name: p{i}-{n}") for i in range(20))) for n in range(6)]
    for n, text in enumerate(sets):
        def send():
            try:
                apply(d, text)
            except (OSError, EOFError, AssertionError, ValueError):
                pass
        t = threading.Thread(target=send)
        t.start()
        if n % 2:
            t.join()
        d.kill()
        t.join()
        d.start()
        names = [p["name"] for p in d.get("/api/v1/pipelines?limit=200").json()["pipelines"] if p["name"].endswith(f"-{n}")]
        assert len(names) in ((20,) if n % 2 else (0, 20))
        assert only(apply(d, text)) == ({"unchanged"} if names else {"created"})


# ---- the command line


@pytest.fixture
def run(daemon, tmp_path):
    """Runs pawl against the daemon, in the test's directory."""
    def run(*args, code=0, stdin=None):
        r = subprocess.run([pawl.binary(), *map(str, args)], cwd=tmp_path, input=stdin, stdin=None if stdin else subprocess.DEVNULL,
                           capture_output=True, text=True, timeout=pawl.deadline(60), env=pawl.environment({"PAWL_SERVER": daemon.url}))
        assert r.returncode == code, (r.returncode, r.stdout, r.stderr)
        return r.stderr if code else r.stdout
    return run


def lines(text):
    return [re.split(r" {3,}", line) for line in text.splitlines()]


def test_apply_prints_what_became_of_each(run, tmp_path):
    (tmp_path / "events.yaml").write_text(EVENTS)
    created = "".join(f"arkevent.arkonis.dev/{n} created\n" for n in ("pipeline-trigger", "daily-report", "post-research-trigger"))
    assert run("apply", "-f", "events.yaml", "--dry-run") == created.replace("created", "created (dry run)")
    assert run("apply", "-f", "events.yaml") == created
    assert run("apply", "-f", "-", stdin=EVENTS) == created.replace("created", "unchanged")
    assert re.fullmatch(r"pipeline.pawl.dev/bronze.load created\ntrigger.pawl.dev/hook created\n  webhook_token: [0-9a-f]{64}\n",
                        run("apply", "-f", "-", stdin=stream(PIPELINE, HOOK)))
    assert only(json.loads(run("apply", "-f", "-", "-o", "json", stdin=PIPELINE))) == {"unchanged"}


def test_apply_of_directories_and_several_files(run, tmp_path):
    (tmp_path / "m" / "below").mkdir(parents=True)
    for name, text in (("b.yaml", PIPELINE), ("a.yml", HOOK), ("c.json", "[]"), ("d.txt", "kind: No"), (".e.yaml", "kind: No"), ("below/f.yaml", AFTER)):
        (tmp_path / "m" / name).write_text(text)
    assert "m/c.json:1:1: must be an object" in run("apply", "-f", "m", code=1)
    (tmp_path / "m" / "c.json").unlink()
    (tmp_path / "z.yaml").write_text(ZONE)
    out = run("apply", "-f", "m", "-f", "z.yaml")
    assert re.findall(r"\S+ created", out) == ["trigger.pawl.dev/hook created", "pipeline.pawl.dev/bronze.load created", "landingzone.pawl.dev/inbox created"]
    assert "pipeline.pawl.dev/events.after created" in run("apply", "-R", "-f", "m")
    assert "landingzone.pawl.dev/inbox pruned" in run("apply", "-f", "m", "--prune", "--dry-run")
    assert sorted(re.findall(r"\S+ pruned", run("apply", "-f", "m", "--prune"))) == ["landingzone.pawl.dev/inbox pruned", "pipeline.pawl.dev/events.after pruned"]


def test_apply_lists_problems_by_place(run, tmp_path):
    (tmp_path / "bad.yaml").write_text(PIPELINE.replace("argv: [cat]", "arg: [cat]") + "  bogus: 1\n---" + HOOK.replace("bronze.load", "no.thing"))
    err = run("apply", "-f", "bad.yaml", code=1)
    assert "bad.yaml:8:3: spec.bogus: " in err or "bad.yaml:7:" in err
    assert "bad.yaml:13:18: spec.pipeline: there is no such pipeline" in err
    assert err.splitlines()[-1].startswith("pawl apply: nothing was applied: ")
    (tmp_path / "latin.yaml").write_bytes(b"ok: 1\na: \xe9\n")
    assert "latin.yaml:2:4: not valid UTF-8" in run("apply", "-f", "latin.yaml", code=1)
    (tmp_path / "nul.yaml").write_bytes(b"ok: 1\na: \0b\n")
    assert "nul.yaml:2:4: NUL is not allowed" in run("apply", "-f", "nul.yaml", code=1)
    (tmp_path / "long.yaml").write_bytes(b"#" * (10 << 20))
    assert "'long.yaml' is larger than 1048576 bytes" in run("apply", "-f", "long.yaml", code=1)
    assert "cannot open 'missing.yaml'" in run("apply", "-f", "missing.yaml", code=1)
    (tmp_path / "empty").mkdir()
    assert "there are no *.yaml" in run("apply", "-f", "empty", code=1)
    (tmp_path / "nothing.yaml").write_text("---\n# nothing\n")
    assert "there are no documents" in run("apply", "-f", "nothing.yaml", code=1)
    assert run("apply", "-f", "nothing.yaml", "--prune") == "nothing to apply, and nothing to prune\n"


@pytest.mark.parametrize("args,says", [
    (["apply"], "apply what?"),
    (["apply", "x.yaml"], "files are named with -f"),
    (["apply", "-f", "-", "-n", "No"], "--namespace"),
    (["get"], "of what kind?"),
    (["get", "pipelin"], "did you mean 'pipeline'?"),
    (["get", "pods"], "there are: arkevents, pipelines, triggers, landingzones"),
    (["get", "pipelines", "-o", "xml"], "'xml' is not table"),
    (["get", "pipelines", "a", "-A"], "not with -A"),
    (["delete", "pipelines"], "delete which?"),
])
def test_mistakes(run, args, says):
    assert says in run(*args, code=2)


def test_get_in_all_forms(run):
    run("apply", "-f", "-", stdin=stream(PIPELINE, HOOK, ZONE, EVENTS))
    assert lines(run("get", "pipelines", "-n", "data"))[0] == ["NAME", "VERSION", "EXECUTOR", "PAUSED", "LATEST RUN", "AGE"]
    assert lines(run("get", "pl", "-A"))[1][:4] == ["data", "bronze.load", "1", "command"]
    assert lines(run("get", "Trigger", "hook", "-n", "data"))[1][:4] == ["hook", "bronze.load", "webhook", "true"]
    assert lines(run("get", "zones", "-n", "data"))[1][0] == "inbox"
    assert [row[:2] for row in lines(run("get", "ae", "-n", "ai-team"))] == [
        ["NAME", "TYPE"], ["daily-report", "cron"], ["pipeline-trigger", "webhook"], ["post-research-trigger", "team-output"]]
    daily = lines(run("get", "arkev", "daily-report", "-n", "ai-team"))[1]
    assert daily[:5] == ["daily-report", "cron", "false", "0", "<none>"] and re.fullmatch(r"in [0-9hms]+", daily[5]), daily
    assert run("get", "arkevents", "-n", "ai-team", "-o", "name").splitlines()[0] == "arkevent.arkonis.dev/daily-report"
    assert json.loads(run("get", "pipeline", "bronze.load", "-n", "data", "-o", "json"))["spec"]["executor"]["argv"] == ["cat"]
    assert len(json.loads(run("get", "ae", "-A", "-o", "json"))["items"]) == 3
    assert run("get", "pipelines") == ""
    assert lines(run("get", "pipelines", "data.bronze.load"))[1][0] == "bronze.load"
    for kind, name in (("pipeline", "none"), ("trigger", "none"), ("zone", "none"), ("ae", "none")):
        assert "no" in run("get", kind, name, code=1)


def test_what_get_prints_can_be_applied(run):
    team = PIPELINE.replace("name: load, namespace: data", "name: my-team, namespace: ai-team").replace("bronze", "team")
    run("apply", "-f", "-", stdin=stream(PIPELINE, HOOK, ZONE, AFTER, CHAIN, team, EVENTS))
    for kind in ("pipelines", "triggers", "zones", "ae"):
        for form in ("yaml", "json"):
            printed = run("get", kind, "-A", "-o", form)
            results = run("apply", "-f", "-", stdin=printed).splitlines()
            assert results and all(line.endswith(" unchanged") for line in results), results


def test_describe(run, daemon):
    run("apply", "-f", "-", stdin=stream(PIPELINE, HOOK, EVENTS))
    page = run("describe", "ae", "daily-report", "-n", "ai-team")
    assert "Name:       daily-report\nNamespace:  ai-team\n" in page and "TargetNotFound" in page
    token = json.loads(run("apply", "-f", "-", "-o", "json", stdin=HOOK.replace("name: hook", "name: other")))["results"][0]["webhook_token"]
    daemon.fire(token).expect(201)
    page = run("describe", "trigger", "other", "-n", "data")
    assert re.search(r"Last decisions:\n  TIME .*\n  .* fired ", page)
    assert re.search(r"Last runs:\n  RUN +STATUS", page)
    assert "argv:\n    - cat" in run("describe", "pipelines", "-n", "data") == run("describe", "pipeline", "data.bronze.load")


def test_delete(run):
    run("apply", "-f", "-", stdin=stream(PIPELINE, HOOK, AFTER, CHAIN, ZONE, EVENTS))
    assert run("delete", "ae", "daily-report", "-n", "ai-team") == "arkevent.arkonis.dev/daily-report deleted\n"
    assert '"daily-report" not found' in run("delete", "ae", "daily-report", "-n", "ai-team", code=1)
    assert run("delete", "trigger", "hook", "-n", "data") == "trigger.pawl.dev/hook deleted\n"
    assert "follows this pipeline" in run("delete", "pipeline", "bronze.load", "-n", "data", code=1)
    assert run("delete", "pipeline", "bronze.load", "after", "-n", "data", "--force").count("deleted") == 2
    assert run("delete", "zone", "inbox", "-n", "data") == "landingzone.pawl.dev/inbox deleted\n"
    assert run("get", "pipelines", "-A") == ""


def test_the_example_works(run, make_daemon):
    example = os.path.join(pawl.ROOT, "examples", "manifests")
    assert run("apply", "-f", example).count(" created") == 7
    d = make_daemon("--manifests", example)
    assert {f["state"] for f in d.get("/api/v1/manifests").json()["files"]} == {"applied"}
    assert d.get("/api/v1/pipelines/default/silver/count/triggers").json()["total"] == 2


def test_the_documents_of_the_documentation(run):
    with open(os.path.join(pawl.ROOT, "docs", "manifests.md"), encoding="utf-8") as f:
        text = re.search(r"```yaml\n(.*?)```", f.read(), re.S).group(1)
    assert re.findall(r"^(\w+)\.\S+ created", run("apply", "-f", "-", stdin=text), re.M) == ["pipeline", "trigger", "landingzone", "arkevent"]


def test_what_a_document_says_does_not_reach_the_terminal_as_it_is(run):
    err = run("apply", "-f", "-", stdin=AFTER.replace("spec: {", 'spec: {"a\\e[31m\\nb": 1, '), code=1)
    assert "\x1b" not in err and "a?[31m?b" in err
