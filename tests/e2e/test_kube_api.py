"""The Kubernetes-style API, byte by byte: what kubectl relies on, and what it never sends."""
import base64
import concurrent.futures
import json
import pathlib
import uuid

import pytest

from pawl import Wire, cli

G = "/apis/arkonis.dev/v1alpha1"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
MERGE = {"Content-Type": "application/merge-patch+json"}
JSON_PATCH = {"Content-Type": "application/json-patch+json"}


def manifest(name="ev", namespace="ai-team", source=None, targets=("t",), **metadata):
    return {"apiVersion": "arkonis.dev/v1alpha1", "kind": "ArkEvent", "metadata": {"name": name, "namespace": namespace, **metadata},
            "spec": {"source": source or {"type": "webhook"}, "targets": [{"team": t} for t in targets]}}


def all_of(namespace="ai-team"):
    return f"{G}/namespaces/{namespace}/arkevents"


def one(name="ev", namespace="ai-team"):
    return f"{all_of(namespace)}/{name}"


def create(daemon, *args, **kw):
    doc = manifest(*args, **kw)
    return daemon.post(all_of(doc["metadata"]["namespace"]), doc).expect(201).json()


def patch(daemon, path, body, headers=MERGE):
    return daemon.request("PATCH", path, body, headers=headers)


def version(obj):
    return int(obj["metadata"]["resourceVersion"])


def check_status(r, code, reason, message=None, details=None):
    status = r.expect(code).json()
    assert (status["kind"], status["apiVersion"], status["status"], status["metadata"]) == ("Status", "v1", "Failure", {})
    assert (status["code"], status["reason"]) == (code, reason)
    if message is not None:
        assert status["message"] == message
    if details is not None:
        assert status["details"] == details
    return status


class Watch(Wire):
    """A watch: iterating gives (type, object)."""

    def __init__(self, daemon, path, accept=None):
        super().__init__((daemon.host, daemon.port), 30.0)
        self.text, self.complete = b"", False
        self.send(f"GET {path}{'&' if '?' in path else '?'}watch=true HTTP/1.1\r\nHost: x\r\n" +
                  (f"Accept: {accept}\r\n" if accept else "") + "\r\n")
        head = self._until(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200") and b"\nContent-Type: application/json" in head, head

    def __iter__(self):
        return self

    def __next__(self):
        while b"\n" not in self.text:
            size = int(self._until(b"\r\n"), 16)
            self.text += self._exactly(size)
            assert self._until(b"\r\n") == b""
            if size == 0:
                self.complete = True
                raise StopIteration
        line, self.text = self.text.split(b"\n", 1)
        event = json.loads(line)
        return event["type"], event["object"]

    def take(self, n):
        return [(t, o["metadata"].get("name")) for t, o in (next(self) for _ in range(n))]


# ---- discovery ----

def test_discovery(daemon):
    assert daemon.get("/api").expect(200).json() == {"kind": "APIVersions", "versions": ["v1"]}
    group = daemon.get("/apis").expect(200).json()["groups"][0]
    version_ = {"groupVersion": "arkonis.dev/v1alpha1", "version": "v1alpha1"}
    assert group == {"name": "arkonis.dev", "versions": [version_], "preferredVersion": version_}
    arks = daemon.get(G).expect(200).json()
    assert arks["kind"] == "APIResourceList" and arks["groupVersion"] == "arkonis.dev/v1alpha1"
    assert [r["name"] for r in arks["resources"]] == ["arkevents", "arkevents/status"]
    assert arks["resources"][0]["singularName"] == "arkevent" and arks["resources"][0]["shortNames"] == ["arkev"]
    core = daemon.get("/api/v1").expect(200).json()
    assert [(r["name"], r["namespaced"]) for r in core["resources"]] == [("namespaces", False), ("secrets", True)]
    assert daemon.get("/version").expect(200).json()["gitVersion"] == "v1.30.0"
    r = daemon.get("/openapi/v2").expect(200)
    assert r.headers["content-type"] == "application/octet-stream" and r.body.startswith(b"\n\x032.0")
    aggregated = daemon.get("/apis", headers={"Accept": "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json"})
    assert aggregated.expect(200).headers["content-type"] == "application/json" and aggregated.json()["kind"] == "APIGroupList"


@pytest.mark.parametrize("path", ["/openapi/v3", "/apis/other.group", f"{G}/nothing", "/api/v2", "/apis/", "/api/v1/namespaces/x/events"])
def test_unknown_paths(daemon, path):
    if path == "/apis/":
        daemon.get(path).expect(200)  # a slash at the end is ignored
        return
    check_status(daemon.get(path), 404, "NotFound", "the server could not find the requested resource")


def test_paths_of_either_kind(daemon):
    r = daemon.get("/api/v1/nothing")
    check_status(r, 404, "NotFound")
    assert r.error == "NOT_FOUND"
    assert "kind" not in daemon.get("/api/v1/pipelines/a/b/c").expect(404).json()


def test_methods(daemon):
    for method, path in [("DELETE", all_of()), ("POST", one()), ("PUT", "/api/v1/namespaces/x/secrets/y"),
                         ("POST", "/api/v1/namespaces/x/secrets"), ("DELETE", "/api/v1/namespaces/x/secrets/y")]:
        check_status(daemon.request(method, path), 405, "MethodNotAllowed",
                     "the server does not allow this method on the requested resource")


# ---- objects ----

def test_create_and_get(daemon):
    made = create(daemon, labels={"a": "b"}, annotations={"n": "text"})
    assert made["metadata"]["generation"] == 1 and made["metadata"]["creationTimestamp"].endswith("Z")
    assert "." not in made["metadata"]["creationTimestamp"]
    assert made["metadata"]["labels"] == {"a": "b"} and made["metadata"]["annotations"] == {"n": "text"}
    assert made["status"]["conditions"][0]["reason"] == "TargetNotFound"
    assert made["status"]["observedGeneration"] == 1
    assert made["status"]["webhookURL"] == f"http://{daemon.host}:{daemon.port}/triggers/ai-team/ev/fire"
    got = daemon.get(one()).expect(200).json()
    assert got == made
    assert daemon.get(one() + "/status").expect(200).json() == made
    details = {"name": "ev", "group": "arkonis.dev", "kind": "arkevents"}
    check_status(daemon.post(all_of(), manifest()), 409, "AlreadyExists", 'arkevents.arkonis.dev "ev" already exists', details)
    check_status(daemon.get(one("zz")), 404, "NotFound", 'arkevents.arkonis.dev "zz" not found', {**details, "name": "zz"})


def test_bodies(daemon):
    text = json.dumps(manifest())
    for n, kind in enumerate([None, "application/json", "application/json; charset=utf-8", "application/yaml", "text/yaml"]):
        headers = {"Content-Type": kind} if kind else {}
        daemon.request("POST", all_of(f"n{n}"), text.replace("ai-team", f"n{n}").encode(), headers=headers).expect(201)
    yaml = b"apiVersion: arkonis.dev/v1alpha1\nkind: ArkEvent\nmetadata:\n  name: y\nspec:\n  source: {type: cron, cron: \"0 8 * * *\"}\n" \
           b"  targets:\n  - team: t\n"
    made = daemon.request("POST", all_of(), yaml, headers={"Content-Type": "application/yaml"}).expect(201).json()
    assert made["metadata"]["namespace"] == "ai-team" and "nextFireAt" in made["status"]
    check_status(daemon.request("POST", all_of(), b"a: [", headers={"Content-Type": "application/yaml"}), 400, "BadRequest")
    check_status(daemon.request("POST", all_of(), b"{", headers={}), 400, "BadRequest")
    check_status(daemon.request("POST", all_of(), b"[]", headers={}), 400, "BadRequest")
    check_status(daemon.request("POST", all_of(), b"", headers={}), 400, "BadRequest")
    check_status(daemon.request("POST", all_of(), b"x", headers={"Content-Type": "application/vnd.kubernetes.protobuf"}), 415,
                 "UnsupportedMediaType")
    check_status(daemon.request("POST", all_of(), b" " * (2 << 20), headers={}), 413, "RequestEntityTooLarge")


def test_invalid_ones(daemon):
    status = check_status(daemon.post(all_of(), manifest(source={"type": "x"})), 422, "Invalid")
    assert status["message"].startswith('ArkEvent.arkonis.dev "ev" is invalid: spec.source.type: Unsupported value: "x": supported values: "webhook"')
    assert {k: status["details"][k] for k in ("name", "group", "kind")} == {"name": "ev", "group": "arkonis.dev", "kind": "ArkEvent"}
    cause = status["details"]["causes"][0]
    assert cause["reason"] == "FieldValueNotSupported" and cause["field"] == "spec.source.type"
    doc = manifest()
    doc["spec"] = {"source": {"type": "x"}}
    status = check_status(daemon.post(all_of(), doc), 422, "Invalid")
    assert len(status["details"]["causes"]) == 2 and "is invalid: [spec." in status["message"] and status["message"].endswith("]")
    doc["metadata"] = {}
    assert "metadata.name" in check_status(daemon.post(all_of(), doc), 422, "Invalid")["message"]
    check_status(daemon.post(all_of("other"), manifest()), 400, "BadRequest",
                 "the namespace of the object (ai-team) does not match the namespace on the URL (other)")
    check_status(daemon.post(all_of(), {**manifest(), "kind": "Pod"}), 400, "BadRequest")
    check_status(daemon.post(all_of(), {**manifest(), "apiVersion": "v1"}), 400, "BadRequest")
    assert daemon.get(all_of()).json()["items"] == []


def test_field_validation(daemon):
    doc = manifest()
    doc["spec"]["bogus"] = 1
    doc["spec"]["\r\nX: \"y\\"] = 1
    strict = check_status(daemon.post(all_of() + "?fieldValidation=Strict", doc), 400, "BadRequest")
    assert strict["message"].startswith('ArkEvent in version "v1alpha1" cannot be handled as a ArkEvent: strict decoding error: unknown field "spec.bogus"')
    warned = daemon.post(all_of() + "?fieldValidation=Warn&unknown=parameter", doc).expect(201)
    assert warned.headers["warning"] == r'299 - "unknown field \"spec.bogus\""'
    many = {**doc, "metadata": {"name": "many"}, "spec": {**doc["spec"], **{f"x{i}": 1 for i in range(9)}}}
    warned = daemon.post(all_of() + "?fieldValidation=Warn", many).expect(201).all_headers("warning")
    assert len(warned) == 4 and warned[0] == r'299 - "unknown field \"spec.bogus\""' and warned[3] == '299 - "8 more unknown fields"'
    doc["metadata"]["name"] = "ev2"
    assert "warning" not in daemon.post(all_of() + "?fieldValidation=Ignore", doc).expect(201).headers
    check_status(patch(daemon, one() + "?fieldValidation=Strict", {"spec": {"other": 1}}), 400, "BadRequest")


def test_unknown_fields_are_not_kept(daemon):
    """Else they would be in the way of all who write strictly afterwards."""
    clean = manifest()["spec"]
    doc = manifest()
    doc["spec"]["bogus"] = {"source": 1}
    doc["spec"]["source"]["more"] = [1]
    doc["spec"]["targets"][0].update(input={"any": "text"}, **{f"x{i}": i for i in range(40)})
    clean["targets"][0]["input"] = {"any": "text"}
    made = daemon.post(all_of(), doc).expect(201).json()
    assert made["spec"] == clean and daemon.get(one()).json() == made
    assert patch(daemon, one(), {"spec": {"bogus": 1}}).expect(200).json() == made  # nothing has changed
    made["metadata"]["labels"] = {"a": "b"}
    assert daemon.put(one() + "?fieldValidation=Strict", {**made, "spec": clean}).expect(200).json()["metadata"]["generation"] == 1
    doc["metadata"]["name"] = "other"
    assert daemon.post(all_of() + "?dryRun=All", doc).expect(201).json()["spec"] == clean


def test_replace(daemon):
    made = create(daemon)
    doc = daemon.get(one()).json()
    doc["spec"]["cooldownSeconds"] = 5
    changed = daemon.put(one(), doc).expect(200).json()
    assert changed["metadata"]["generation"] == 2 and version(changed) > version(made)
    assert changed["metadata"]["uid"] == made["metadata"]["uid"]
    conflict = "Operation cannot be fulfilled on arkevents.arkonis.dev \"ev\": the object has been modified; please apply your changes " \
               "to the latest version and try again"
    check_status(daemon.put(one(), doc), 409, "Conflict", conflict)
    same = daemon.put(one(), changed).expect(200).json()
    assert same["metadata"] == changed["metadata"]
    del doc["metadata"]["resourceVersion"]
    doc["metadata"]["labels"] = {"x": "y"}
    doc["status"] = {"firedCount": 99}
    labelled = daemon.put(one(), doc).expect(200).json()
    assert labelled["metadata"]["generation"] == 2 and labelled["status"]["firedCount"] == 0
    doc["metadata"]["uid"] = "01a1fbe8-b5a1-734a-94d9-1699870bc9c4"
    assert "UID in precondition" in check_status(daemon.put(one(), doc), 409, "Conflict")["message"]
    check_status(daemon.put(one("other"), doc), 404, "NotFound")
    create(daemon, "other")
    check_status(daemon.put(one("other"), doc), 400, "BadRequest", "the name of the object (ev) does not match the name on the URL (other)")


def test_patch(daemon):
    made = create(daemon, annotations={"a": "1", "b": "2"})
    got = patch(daemon, one(), {"metadata": {"annotations": {"a": None, "c": "3"}}}).expect(200).json()
    assert got["metadata"]["annotations"] == {"b": "2", "c": "3"} and got["metadata"]["generation"] == 1
    assert patch(daemon, one(), {}).expect(200).json()["metadata"] == got["metadata"]
    ops = [{"op": "test", "path": "/spec/targets/0/team", "value": "t"}, {"op": "add", "path": "/spec/targets/-", "value": {"team": "u"}}]
    got = patch(daemon, one(), ops, JSON_PATCH).expect(200).json()
    assert [t["team"] for t in got["spec"]["targets"]] == ["t", "u"] and got["metadata"]["generation"] == 2
    ops[0]["value"] = "x"
    why = "cannot be applied: /spec/targets/0/team: is not what the patch expects"
    check_status(patch(daemon, one(), ops, JSON_PATCH), 422, "Invalid", f'ArkEvent.arkonis.dev "ev" is invalid: patch: {why}',
                 {"name": "ev", "group": "arkonis.dev", "kind": "ArkEvent",
                  "causes": [{"reason": "FieldValueInvalid", "message": why, "field": "patch"}]})
    check_status(patch(daemon, one(), {}, JSON_PATCH), 400, "BadRequest")
    check_status(patch(daemon, one(), [1]), 400, "BadRequest")
    check_status(patch(daemon, one(), b"{", MERGE), 400, "BadRequest")
    check_status(patch(daemon, one(), {"spec": {"targets": None}}), 422, "Invalid")
    check_status(patch(daemon, one(), {"metadata": {"resourceVersion": made["metadata"]["resourceVersion"]}}), 409, "Conflict")
    check_status(patch(daemon, one("zz"), {}), 404, "NotFound")
    for kind in ["application/strategic-merge-patch+json", "application/apply-patch+yaml", "application/json"]:
        for name in ("ev", "zz"):
            check_status(patch(daemon, one(name), {}, {"Content-Type": kind}), 415, "UnsupportedMediaType",
                         "the body of the request was in an unknown format - accepted media types include: "
                         "application/json-patch+json, application/merge-patch+json")
    assert daemon.get(one()).json() == got


def test_status_is_not_written(daemon):
    made = create(daemon)
    assert patch(daemon, one() + "/status", {"status": {"firedCount": 7}}).expect(200).json() == made
    assert daemon.put(one() + "/status", {**made, "status": {}}).expect(200).json() == made
    check_status(daemon.put(one() + "/status", {**made, "metadata": {"resourceVersion": "77"}}), 409, "Conflict")


def test_delete(daemon):
    made = create(daemon)
    uid = made["metadata"]["uid"]
    wrong = {"preconditions": {"uid": "01a1fbe8-b5a1-734a-94d9-1699870bc9c4"}}
    check_status(daemon.request("DELETE", one(), wrong), 409, "Conflict")
    daemon.request("DELETE", one(), {"dryRun": ["All"]}).expect(200)
    daemon.request("DELETE", one() + "?dryRun=All").expect(200)
    gone = daemon.request("DELETE", one(), {"propagationPolicy": "Background", "preconditions": {"uid": uid}}).expect(200).json()
    assert gone["status"] == "Success" and gone["details"] == {"name": "ev", "group": "arkonis.dev", "kind": "arkevents", "uid": uid}
    check_status(daemon.get(one()), 404, "NotFound")
    check_status(daemon.delete(one()), 404, "NotFound")


def test_dry_run(daemon):
    r = daemon.post(all_of() + "?dryRun=All", manifest()).expect(201).json()
    assert uuid.UUID(r["metadata"]["uid"]).int and "resourceVersion" not in r["metadata"] and r["status"]["conditions"]
    assert "lastFiredAt" not in r["status"] and "nextFireAt" not in r["status"]
    cron = daemon.post(all_of() + "?dryRun=All", manifest(source={"type": "cron", "cron": "0 8 * * *"})).expect(201).json()
    assert cron["status"]["nextFireAt"] > cron["metadata"]["creationTimestamp"]
    check_status(daemon.get(one()), 404, "NotFound")
    made = create(daemon)
    check_status(daemon.post(all_of() + "?dryRun=All", manifest()), 409, "AlreadyExists")
    r = patch(daemon, one() + "?dryRun=All", {"spec": {"suspended": True}}).expect(200).json()
    assert r["metadata"]["generation"] == 2 and r["status"]["conditions"][0]["reason"] == "Suspended"
    check_status(patch(daemon, one() + "?dryRun=All", {"spec": {"suspended": 1}}), 422, "Invalid")
    assert daemon.get(one()).json() == made


@pytest.mark.parametrize("query", ["dryRun=Some", "dryRun=all", "dryRun=true", "dryRun=", "fieldValidation=strict"])
def test_options_that_there_are_none_of(daemon, query):
    """What was to be tried only is not done."""
    made = create(daemon)
    name, value = query.split("=")
    for method, path, body, kind in [("POST", all_of(), manifest("new"), "CreateOptions"), ("PUT", one(), manifest(labels={"a": "b"}), "UpdateOptions"),
                                     ("PATCH", one(), {"spec": {"cooldownSeconds": 7}}, "PatchOptions"),
                                     ("PATCH", one() + "/status", {}, "PatchOptions"), ("DELETE", one(), {}, "DeleteOptions"),
                                     ("POST", "/api/v1/namespaces", {"metadata": {"name": "n"}}, "CreateOptions"),
                                     ("PUT", "/api/v1/namespaces/ai-team", {"metadata": {"labels": {"a": "b"}}}, "UpdateOptions"),
                                     ("PATCH", "/api/v1/namespaces/ai-team", {"metadata": {"labels": {"a": "b"}}}, "PatchOptions"),
                                     ("DELETE", "/api/v1/namespaces/none-such", {}, "DeleteOptions")]:
        if path.endswith("none-such"):
            daemon.post("/api/v1/namespaces", {"metadata": {"name": "none-such"}}).expect(201)
        r = daemon.request(method, f"{path}?{query}", body, headers=MERGE if method == "PATCH" else {})
        said = check_status(r, 422, "Invalid")
        assert said["message"].startswith(f'{kind}.meta.k8s.io "" is invalid: {name}: Unsupported value: "{value}": supported values: ')
    assert daemon.get(G + "/arkevents").json()["items"] == [made]
    assert [n["metadata"]["name"] for n in daemon.get("/api/v1/namespaces").json()["items"]] == ["ai-team", "none-such"]


@pytest.mark.parametrize("options,status", [({"dryRun": ["Some"]}, 422), ({"dryRun": ["All", 1]}, 422), ({"dryRun": "All"}, 400), ({"dryRun": None}, 200),
                                            ({"dryRun": []}, 200)])
def test_options_in_the_body_of_a_delete(daemon, options, status):
    create(daemon)
    daemon.request("DELETE", one(), options).expect(status)
    daemon.get(one()).expect(404 if status == 200 else 200)


# ---- lists and tables ----

def names(r):
    return [(o["metadata"]["namespace"], o["metadata"]["name"]) for o in r.expect(200).json()["items"]]


def test_lists(daemon):
    for ns, name, labels in [("b", "x", {"app": "one"}), ("a", "z", {"app": "two"}), ("a", "y", {})]:
        create(daemon, name, ns, labels=labels)
    r = daemon.get(G + "/arkevents?limit=1").json()
    assert r["kind"] == "ArkEventList" and r["apiVersion"] == "arkonis.dev/v1alpha1"
    assert version(r) == max(version(o) for o in r["items"])
    assert names(daemon.get(G + "/arkevents")) == [("a", "y"), ("a", "z"), ("b", "x")]
    assert names(daemon.get(all_of("a"))) == [("a", "y"), ("a", "z")]
    assert names(daemon.get(all_of("none"))) == []
    for selector, found in [("app=one", ["x"]), ("app", ["z", "x"]), ("!app", ["y"]), ("app!=one", ["y", "z"]),
                            ("app%20in%20(one,two)", ["z", "x"]), ("app%20notin%20(one)", ["y", "z"]), ("app=one,app=two", [])]:
        assert [n for _, n in names(daemon.get(f"{G}/arkevents?labelSelector={selector}"))] == found, selector
    assert names(daemon.get(G + "/arkevents?fieldSelector=metadata.name=z")) == [("a", "z")]
    assert names(daemon.get(G + "/arkevents?fieldSelector=metadata.name!=z,metadata.namespace=a")) == [("a", "y")]
    check_status(daemon.get(all_of() + "?fieldSelector=spec.x=1"), 400, "BadRequest", "field label not supported: spec.x")
    check_status(daemon.get(all_of() + "?labelSelector=a%3D%3D%3Db"), 400, "BadRequest")


def test_tables(daemon):
    create(daemon)
    create(daemon, "daily", source={"type": "cron", "cron": "0 8 * * *"})
    table = daemon.get(all_of(), headers={"Accept": TABLE}).expect(200).json()
    assert (table["kind"], table["apiVersion"]) == ("Table", "meta.k8s.io/v1") and int(table["metadata"]["resourceVersion"]) >= 2
    assert [(c["name"], c["priority"]) for c in table["columnDefinitions"]] == [
        ("Name", 0), ("Type", 0), ("Suspended", 0), ("Fired", 0), ("Last Fired", 0), ("Next Fire", 0), ("Age", 0), ("URL", 1)]
    daily, ev = table["rows"]
    assert daily["cells"][:5] == ["daily", "cron", False, 0, None] and daily["cells"][5].startswith("in ")
    assert ev["cells"][:2] == ["ev", "webhook"] and ev["cells"][7].endswith("/triggers/ai-team/ev/fire")
    assert ev["object"]["kind"] == "PartialObjectMetadata" and ev["object"]["metadata"]["name"] == "ev"
    whole = daemon.get(all_of() + "?includeObject=Object", headers={"Accept": TABLE}).json()
    assert whole["rows"][0]["object"]["kind"] == "ArkEvent" and whole["rows"][0]["object"]["spec"]
    assert len(daemon.get(one(), headers={"Accept": TABLE}).expect(200).json()["rows"]) == 1
    assert daemon.get(all_of("none"), headers={"Accept": TABLE}).json()["rows"] == []
    for accept in ["application/json", "*/*", "application/json,application/json;as=Table;v=v1;g=meta.k8s.io"]:
        assert daemon.get(all_of(), headers={"Accept": accept}).json()["kind"] == "ArkEventList"


def test_a_list_of_many(daemon):
    """More than one page: it comes in pieces, complete and in order."""
    text = "x" * 20000
    for i in range(40):
        create(daemon, f"e{i:03}", annotations={"text": text})
    r = daemon.get(all_of()).expect(200)
    assert "transfer-encoding" in r.headers
    assert [o["metadata"]["name"] for o in r.json()["items"]] == [f"e{i:03}" for i in range(40)]
    rows = daemon.get(all_of(), headers={"Accept": TABLE}).json()["rows"]
    assert [row["cells"][0] for row in rows] == [f"e{i:03}" for i in range(40)]
    with Watch(daemon, all_of() + "?sendInitialEvents=true") as w:
        got = [next(w) for _ in range(41)]
        assert [o["metadata"]["name"] for _, o in got[:40]] == [f"e{i:03}" for i in range(40)]
        assert got[40][0] == "BOOKMARK"
        create(daemon, "new")
        assert w.take(1) == [("ADDED", "new")]
    since = r.json()["metadata"]["resourceVersion"]
    for i in range(40):
        patch(daemon, one(f"e{i:03}"), {"metadata": {"labels": {"a": "b"}}}).expect(200)
    with Watch(daemon, f"{all_of()}?resourceVersion={since}") as w:
        assert w.take(41) == [("ADDED", "new"), *(("MODIFIED", f"e{i:03}") for i in range(40))]


# ---- watches ----

def test_watch_from_a_version(daemon):
    create(daemon, "before")
    since = version(daemon.get(all_of()).json())
    with Watch(daemon, f"{all_of()}?resourceVersion={since}") as w, Watch(daemon, f"{all_of()}?resourceVersion={since}", TABLE) as t, \
            Watch(daemon, f"{G}/arkevents?resourceVersion={since}&fieldSelector=metadata.name=b") as f:
        create(daemon, "a")
        events = [next(w)]  # each change before the next one: who is late is told the last state only
        kind, table = next(t)
        create(daemon, "b", "elsewhere")
        patch(daemon, one("a"), {"spec": {"suspended": True}}).expect(200)
        events.append(next(w))
        daemon.delete(one("a")).expect(200)
        events.append(next(w))
        assert [(e, o["metadata"]["name"]) for e, o in events] == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a")]
        versions = [version(o) for _, o in events]
        assert versions == sorted(versions) and versions[0] > since
        assert kind == "ADDED" and table["kind"] == "Table" and table["rows"][0]["cells"][0] == "a"
        assert table["rows"][0]["object"]["metadata"]["resourceVersion"] == str(versions[0])
        assert f.take(1) == [("ADDED", "b")]
    with Watch(daemon, f"{all_of()}?resourceVersion={versions[0]}") as w:
        create(daemon, "c")
        assert w.take(2) == [("DELETED", "a"), ("ADDED", "c")]


def test_watch_from_the_beginning(daemon):
    create(daemon, "a")
    create(daemon, "b")
    for query in ["", "resourceVersion=0", "resourceVersion="]:
        with Watch(daemon, f"{all_of()}?{query}") as w:
            assert w.take(2) == [("ADDED", "a"), ("ADDED", "b")]
            patch(daemon, one("a"), {"metadata": {"labels": {"x": str(len(query))}}})
            assert w.take(1) == [("MODIFIED", "a")]


def test_bookmark_after_what_was_there(daemon):
    create(daemon, "a")
    with Watch(daemon, f"{all_of()}?sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true") as w:
        assert w.take(1) == [("ADDED", "a")]
        kind, mark = next(w)
        assert kind == "BOOKMARK" and mark["kind"] == "ArkEvent" and mark["apiVersion"] == "arkonis.dev/v1alpha1"
        assert mark["metadata"] == {"resourceVersion": str(version(daemon.get(all_of()).json())),
                                    "annotations": {"k8s.io/initial-events-end": "true"}}
        create(daemon, "b")
        assert w.take(1) == [("ADDED", "b")]


def test_selectors_filter_a_watch(daemon):
    create(daemon, "a", labels={"app": "x"})
    create(daemon, "b")
    with Watch(daemon, all_of() + "?labelSelector=app=x") as w:
        assert w.take(1) == [("ADDED", "a")]
        patch(daemon, one("b"), {"metadata": {"labels": {"app": "x"}}}).expect(200)
        patch(daemon, one("b"), {"spec": {"suspended": True}}).expect(200)
        patch(daemon, one("a"), {"metadata": {"labels": {"app": "y"}}}).expect(200)
        patch(daemon, one("a"), {"spec": {"suspended": True}}).expect(200)
        daemon.delete(one("a")).expect(200)
        daemon.delete(one("b")).expect(200)
        assert w.take(4) == [("ADDED", "b"), ("MODIFIED", "b"), ("DELETED", "a"), ("DELETED", "b")]


def test_watch_ends_at_its_timeout(daemon):
    with Watch(daemon, all_of() + "?timeoutSeconds=1") as w:
        assert list(w) == [] and w.complete


def test_watch_from_what_is_not_known(daemon):
    create(daemon)
    with Watch(daemon, all_of() + "?resourceVersion=999999") as w:
        kind, status = next(w)
        assert kind == "ERROR" and (status["code"], status["reason"]) == (410, "Expired")
        assert status["message"] == f"too old resource version: 999999 ({version(daemon.get(all_of()).json())})"
        assert list(w) == []
    check_status(daemon.get(all_of() + "?watch=1&resourceVersion=x"), 400, "BadRequest")
    check_status(daemon.get(all_of() + "?watch=1&timeoutSeconds=-1"), 400, "BadRequest")


def test_watch_goes_on_after_a_restart(daemon):
    create(daemon, "a")
    since = version(daemon.get(all_of()).json())
    create(daemon, "b")
    daemon.kill()
    daemon.start()
    with Watch(daemon, f"{all_of()}?resourceVersion={since}") as w:
        create(daemon, "c")
        assert w.take(2) == [("ADDED", "b"), ("ADDED", "c")]
        daemon.stop()
        assert list(w) == []


def test_firings_and_conditions_are_seen(daemon):
    create(daemon)
    token = base64.b64decode(daemon.get("/api/v1/namespaces/ai-team/secrets/ev-webhook-token").expect(200).json()["data"]["token"]).decode()
    since = version(daemon.get(all_of()).json())
    with Watch(daemon, f"{all_of()}?resourceVersion={since}") as w:
        daemon.create_pipeline("t", namespace="ai-team", layer="team")
        kind, ready = next(w)
        assert kind == "MODIFIED" and ready["status"]["conditions"][0]["reason"] == "WebhookReady"
        daemon.post("/triggers/ai-team/ev/fire", {}, headers={"Authorization": f"Bearer {token}"}).expect(202)
        kind, fired = next(w)
        assert kind == "MODIFIED" and fired["status"]["firedCount"] == 1 and fired["status"]["lastFiredAt"]
        assert fired["status"]["conditions"] == ready["status"]["conditions"]


def test_many_watchers_see_every_change(many_descriptors, daemon):
    watches = [Watch(daemon, all_of()) for _ in range(1000)]
    for i in range(20):
        create(daemon, f"e{i:02}")
    for w in watches:
        assert w.take(20) == [("ADDED", f"e{i:02}") for i in range(20)]
        w.close()
    create(daemon, "after")  # those that have gone hold up nobody


def test_a_watch_that_begins_amid_changes_tells_each_once(daemon):
    """What is on disk already may not have come to those who watch yet."""
    created, count = create(daemon), 100

    def change():
        with daemon.session() as call:
            for i in range(count):
                call("PATCH", one(), {"metadata": {"labels": {"n": str(i)}}}, dict(MERGE)).expect(200)

    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        changing = pool.submit(change)
        watches = [Watch(daemon, f"{all_of()}?resourceVersion={version(created)}") for _ in range(400)]
        changing.result()
    for w in watches:
        seen = [version(created)]
        while seen[-1] < version(created) + count:
            seen.append(version(next(w)[1]))
            assert seen[-1] > seen[-2]
        w.close()


def test_a_slow_watcher_gets_what_it_missed(daemon):
    """More than any queue holds: then it is the last state that counts."""
    since = version(daemon.get(all_of()).json())
    text = "x" * 50000
    with Watch(daemon, f"{all_of()}?resourceVersion={since}") as w, Watch(daemon, f"{all_of()}?labelSelector=a=b") as labelled:
        for i in range(200):
            create(daemon, f"e{i:03}", annotations={"text": text}, labels={"a": "b"})
        patch(daemon, one("e000"), {"metadata": {"labels": {"last": "change"}}}).expect(200)
        for stream in (w, labelled):
            last = {}
            for _, o in stream:
                last[o["metadata"]["name"]] = o
                if len(last) == 200 and "last" in last["e000"]["metadata"]["labels"]:
                    break


@pytest.mark.parametrize("query", ["", "?watch=true", "?watch=true&resourceVersion=1"])
def test_clients_that_take_nothing(daemon, query):
    """Long answers to those who do not read them, leave, or are there when the daemon stops."""
    text = "x" * 100000
    for i in range(120):
        create(daemon, f"e{i:03}", annotations={"text": text})
    lazy = [Wire((daemon.host, daemon.port)) for _ in range(6)]
    for w in lazy:
        w.send(f"GET {all_of()}{query} HTTP/1.1\r\nHost: x\r\n\r\n")
        assert w._until(b"\r\n\r\n").startswith(b"HTTP/1.1 200")
    for w in lazy[:3]:
        w.close()
    lazy[3].shutdown_write()
    create(daemon, "new")
    daemon.get("/health").expect(200)
    daemon.stop()
    for w in lazy[3:]:
        w.close()


def test_stop_while_lists_are_read(daemon):
    for i in range(30):
        create(daemon, f"e{i:03}", annotations={"text": "x" * 50000})
    for n in range(5):
        wires = [Wire((daemon.host, daemon.port)) for _ in range(20)]
        for i, w in enumerate(wires):
            w.send(f"GET {all_of()}?watch={'true' if i % 2 else 'false'} HTTP/1.1\r\nHost: x\r\n\r\n")
        daemon.stop()
        for w in wires:
            w.close()
        daemon.start()


# ---- secrets ----

def test_secrets(daemon):
    secrets = "/api/v1/namespaces/ai-team/secrets"
    made = create(daemon)
    create(daemon, "daily", source={"type": "cron", "cron": "0 8 * * *"})
    secret = daemon.get(f"{secrets}/ev-webhook-token").expect(200).json()
    assert (secret["kind"], secret["apiVersion"], secret["type"]) == ("Secret", "v1", "Opaque")
    token = base64.b64decode(secret["data"]["token"]).decode()
    assert len(bytes.fromhex(token)) == 32
    assert secret["metadata"]["ownerReferences"][0]["uid"] == made["metadata"]["uid"]
    for name in ["daily-webhook-token", "zz-webhook-token", "zz", "-webhook-token"]:
        check_status(daemon.get(f"{secrets}/{name}"), 404, "NotFound", f'secrets "{name}" not found', {"name": name, "kind": "secrets"})
    for path in [secrets, "/api/v1/secrets"]:
        listed = daemon.get(path).expect(200).json()
        assert listed["kind"] == "SecretList" and listed["items"] == [secret]
    table = daemon.get(secrets, headers={"Accept": TABLE}).json()
    assert table["rows"][0]["cells"][:3] == ["ev-webhook-token", "Opaque", 1] and token not in json.dumps(table)
    assert daemon.get(secrets + "?fieldSelector=metadata.name=ev-webhook-token").json()["items"] == [secret]
    assert daemon.get(secrets + "?labelSelector=a=b").json()["items"] == []
    with Watch(daemon, secrets) as w:
        assert next(w) == ("ADDED", secret)
        patch(daemon, one(), {"metadata": {"labels": {"a": "b"}}}).expect(200)
        assert base64.b64decode(daemon.get(f"{secrets}/ev-webhook-token").json()["data"]["token"]).decode() == token
        patch(daemon, one("daily"), {"spec": {"source": {"type": "webhook", "cron": None}}}).expect(200)
        daemon.delete(one()).expect(200)
        assert w.take(2) == [("ADDED", "daily-webhook-token"), ("DELETED", "ev-webhook-token")]
    check_status(daemon.get(f"{secrets}/ev-webhook-token"), 404, "NotFound")
    again = create(daemon)
    assert again["metadata"]["uid"] != made["metadata"]["uid"]
    fresh = daemon.get(f"{secrets}/ev-webhook-token").json()
    assert base64.b64decode(fresh["data"]["token"]).decode() != token
    assert token not in daemon.stderr()
    database = b"".join(p.read_bytes() for p in pathlib.Path(daemon.data).glob("pawl.db*"))
    assert len(database) > 0
    assert token.encode() not in database and base64.b64encode(token.encode()) not in database


# ---- namespaces ----

NAMESPACES = "/api/v1/namespaces"


def test_namespaces_are_there_with_what_is_in_them(daemon):
    check_status(daemon.get(f"{NAMESPACES}/ai-team"), 404, "NotFound", 'namespaces "ai-team" not found', {"name": "ai-team", "kind": "namespaces"})
    create(daemon)
    daemon.create_pipeline(namespace="ns-x")
    daemon.create_pipeline(namespace="ns")
    daemon.create_zone(namespace="zone")
    ns = daemon.get(f"{NAMESPACES}/ai-team").expect(200).json()
    assert (ns["kind"], ns["spec"], ns["status"]) == ("Namespace", {}, {"phase": "Active"})
    listed = daemon.get(NAMESPACES).expect(200).json()
    assert listed["kind"] == "NamespaceList" and [n["metadata"]["name"] for n in listed["items"]] == ["ai-team", "ns", "ns-x", "zone"]
    rows = daemon.get(NAMESPACES, headers={"Accept": TABLE}).json()["rows"]
    assert [r["cells"][:2] for r in rows] == [[n, "Active"] for n in ["ai-team", "ns", "ns-x", "zone"]]
    assert [n["metadata"]["name"] for n in daemon.get(NAMESPACES + "?fieldSelector=metadata.name=ns").json()["items"]] == ["ns"]
    check_status(daemon.delete(f"{NAMESPACES}/ai-team"), 409, "Conflict")
    daemon.delete(one()).expect(200)
    check_status(daemon.get(f"{NAMESPACES}/ai-team"), 404, "NotFound")
    events = [json.loads(line) for line in daemon.get(NAMESPACES + "?watch=true").expect(200).body.splitlines()]
    assert [(e["type"], e["object"]["metadata"]["name"]) for e in events] == [("ADDED", n) for n in ["ns", "ns-x", "zone"]]
    told = daemon.get(NAMESPACES + "?watch=true&sendInitialEvents=true&allowWatchBookmarks=true").expect(200).body.splitlines()
    assert [json.loads(line) for line in told] == [*events, {"type": "BOOKMARK", "object": {"kind": "Namespace", "apiVersion": "v1", "metadata": {
        "resourceVersion": daemon.get(NAMESPACES).json()["metadata"]["resourceVersion"], "annotations": {"k8s.io/initial-events-end": "true"}}}}]


def test_namespaces_that_are_made(daemon):
    made = daemon.post(NAMESPACES, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "n", "labels": {"a": "b"}}}).expect(201).json()
    assert made["metadata"]["labels"] == {"a": "b"}
    check_status(daemon.post(NAMESPACES, {"metadata": {"name": "n"}}), 409, "AlreadyExists", 'namespaces "n" already exists')
    check_status(daemon.post(NAMESPACES, {"metadata": {"name": "No"}}), 422, "Invalid")
    check_status(daemon.post(NAMESPACES, {"metadata": {}}), 422, "Invalid")
    for kind in ["application/merge-patch+json", "application/strategic-merge-patch+json"]:
        patch(daemon, f"{NAMESPACES}/n", {"metadata": {"annotations": {kind[12:17]: "x"}}}, {"Content-Type": kind}).expect(200)
    daemon.restart()
    got = daemon.get(f"{NAMESPACES}/n").expect(200).json()
    assert len(got["metadata"]["annotations"]) == 2 and got["metadata"]["creationTimestamp"] == made["metadata"]["creationTimestamp"]
    assert got["metadata"]["uid"] == made["metadata"]["uid"]
    check_status(daemon.put(f"{NAMESPACES}/n", made), 409, "Conflict")
    assert daemon.put(f"{NAMESPACES}/n", got).expect(200).json() == got
    daemon.request("DELETE", f"{NAMESPACES}/n", {"dryRun": ["All"]}).expect(200)
    daemon.delete(f"{NAMESPACES}/n").expect(200)
    check_status(daemon.delete(f"{NAMESPACES}/n"), 404, "NotFound")
    daemon.restart()
    check_status(daemon.get(f"{NAMESPACES}/n"), 404, "NotFound")


def test_namespaces_in_protobuf(daemon):
    body = b"k8s\0\n\x0f\n\x02v1\x12\tNamespace\x12\x0a\n\x08\n\x02pn\x12\0\x1a\0\x1a\0\"\0"
    kind = {"Content-Type": "application/vnd.kubernetes.protobuf"}
    daemon.request("POST", NAMESPACES, body, headers=kind).expect(201)
    daemon.get(f"{NAMESPACES}/pn").expect(200)
    for bad in [b"", b"k8s\0", b"k8s\0\xff\xff", b"x" * 40, body[:30]]:
        check_status(daemon.request("POST", NAMESPACES, bad, headers=kind), 400, "BadRequest")


# ---- keys ----

def test_keys(make_daemon):
    daemon = make_daemon(start=False)
    key = cli("key", "add", "ops", "--data", str(daemon.data)).stdout.strip().splitlines()[-1].strip()
    daemon.start()
    for path in ["/api", "/apis", "/version", "/openapi/v2", G, all_of(), one(), all_of() + "?watch=1", "/api/v1/secrets", NAMESPACES]:
        check_status(daemon.get(path), 401, "Unauthorized", "Unauthorized")
    check_status(daemon.post(all_of(), manifest()), 401, "Unauthorized")
    basic = base64.b64encode(f"user:{key}".encode()).decode()
    for value in [f"Basic {basic}", f"Bearer {key}"]:
        daemon.get(all_of(), headers={"Authorization": value}).expect(200)
    check_status(daemon.get(all_of(), headers={"Authorization": "Basic " + base64.b64encode(b"user:wrong").decode()}), 401, "Unauthorized")


# ---- the triggers API ----

def test_it_is_a_trigger_of_its_targets(daemon):
    pipelines = [daemon.create_pipeline(n, namespace="ai-team", layer="team") for n in ("t", "u", "other")]
    made = create(daemon, targets=("t", "u"))
    uid = made["metadata"]["uid"]
    for p in pipelines[:2]:
        path = daemon.pipeline_path(p) + "/triggers"
        listed = daemon.get(path).expect(200).json()
        assert listed["total"] == 1 and listed["triggers"][0]["id"] == uid
        assert listed["triggers"][0]["type"] == "arkevent" and listed["triggers"][0]["config"]["metadata"]["name"] == "ev"
        assert daemon.get(f"{path}/{uid}").expect(200).json()["pipeline_id"] == p["id"]
        for r in [daemon.put(f"{path}/{uid}", {"enabled": False}), daemon.delete(f"{path}/{uid}")]:
            assert r.expect(409).error == "FAILED_PRECONDITION" and "manifest" in r.message
    path = daemon.pipeline_path(pipelines[2]) + "/triggers"
    assert daemon.get(path).json()["triggers"] == []
    daemon.get(f"{path}/{uid}").expect(404)
    daemon.delete(one()).expect(200)
    assert daemon.get(daemon.pipeline_path(pipelines[0]) + "/triggers").json() == {"triggers": [], "total": 0}
