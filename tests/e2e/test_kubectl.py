"""An unmodified kubectl at work: the manifests and commands of the documentation, and what else people type.

PAWL_KUBECTL names another kubectl than the one in PATH."""
import base64
import datetime
import json
import os
import shutil
import subprocess

import pytest

from pawl import cli, deadline, wait_until

KUBECTL = os.environ.get("PAWL_KUBECTL") or shutil.which("kubectl")
pytestmark = pytest.mark.skipif(KUBECTL is None, reason="there is no kubectl")

PIPELINE_TRIGGER = """\
apiVersion: arkonis.dev/v1alpha1
kind: ArkEvent
metadata:
  name: pipeline-trigger
  namespace: ai-team
spec:
  source:
    type: webhook
  targets:
    - team: my-team
"""

DAILY_REPORT = """\
apiVersion: arkonis.dev/v1alpha1
kind: ArkEvent
metadata:
  name: daily-report
  namespace: ai-team
spec:
  source:
    type: cron
    cron: "0 8 * * *"   # every day at 08:00 UTC
  targets:
    - team: report-team
"""

POST_RESEARCH = """\
apiVersion: arkonis.dev/v1alpha1
kind: ArkEvent
metadata:
  name: post-research-trigger
  namespace: ai-team
spec:
  source:
    type: team-output
    teamOutput:
      name: research-team
      onPhase: Succeeded
  targets:
    - team: summarize-team
    - team: publish-team   # fan-out: both fire in parallel
"""

HOST = "http://ark-operator.ai-team.svc.cluster.local:8092"
FIRE = """\
TOKEN=$(kubectl get secret pipeline-trigger-webhook-token -n ai-team \\
  -o jsonpath='{.data.token}' | base64 -d)

curl -X POST \\
  "http://ark-operator.ai-team.svc.cluster.local:8092/triggers/ai-team/pipeline-trigger/fire?mode=sync&timeout=120s" \\
  -H "Authorization: Bearer $TOKEN" \\
  -H "Content-Type: application/json" \\
  -d '{"topic": "quantum computing"}'
"""
READY = {"type": "Ready", "status": "True", "reason": "WebhookReady", "message": "waiting for webhook POST"}


class Kubectl:
    """kubectl with a home of its own: it keeps what it has discovered there."""

    def __init__(self, daemon, home, user=""):
        self.home, self.url = home, f"http://{daemon.host}:{daemon.port}"
        self.env = {"PATH": os.environ["PATH"], "HOME": str(home), "KUBECONFIG": str(home / "config"), "LC_ALL": "C"}
        server = self.url.replace("http://", f"http://{user}@") if user else self.url
        (home / "config").write_text(json.dumps({
            "apiVersion": "v1", "kind": "Config", "current-context": "pawl",
            "clusters": [{"name": "pawl", "cluster": {"server": server}}],
            "contexts": [{"name": "pawl", "context": {"cluster": "pawl", "namespace": "ai-team", "user": ""}}]}))

    def __call__(self, *args, stdin=None, code=0, env=None):
        """Its output; errors are in it, too."""
        p = subprocess.run([KUBECTL, *args], input=stdin, env={**self.env, **(env or {})}, cwd=self.home, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=deadline(120), check=False)
        assert p.returncode == code, f"kubectl {' '.join(args)}: {p.returncode}\n{p.stdout}"
        return p.stdout

    def script(self, text):
        """What a shell prints that finds it as "kubectl"."""
        (self.home / "bin").mkdir(exist_ok=True)
        named = self.home / "bin" / "kubectl"
        named.write_text(f'#!/bin/sh\nexec {KUBECTL} "$@"\n')
        named.chmod(0o755)
        return subprocess.run(["/bin/sh", "-c", text], env={**self.env, "PATH": f"{self.home}/bin:{self.env['PATH']}"},
                              timeout=deadline(120), stdout=subprocess.PIPE, text=True, check=True).stdout

    def start(self, *args):
        return subprocess.Popen([KUBECTL, *args], env=self.env, cwd=self.home, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


@pytest.fixture
def kubectl(daemon, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    return Kubectl(daemon, home)


def test_the_documented_way(daemon, kubectl):
    """A webhook event is applied, its token read, and fired synchronously."""
    daemon.create_pipeline("my-team", namespace="ai-team", layer="team", argv=["/bin/cat"])
    (kubectl.home / "event.yaml").write_text(PIPELINE_TRIGGER)
    assert kubectl("apply", "-f", "event.yaml") == "arkevent.arkonis.dev/pipeline-trigger created\n"
    assert kubectl("apply", "-f", "event.yaml") == "arkevent.arkonis.dev/pipeline-trigger unchanged\n"
    body = json.loads(kubectl.script(FIRE.replace(HOST, kubectl.url)))
    assert set(body) == {"status", "output", "durationMs"} and body["status"] == "succeeded"
    assert body["output"]["payload"] == {"topic": "quantum computing"}
    url = kubectl("get", "arkevent", "pipeline-trigger", "-n", "ai-team", "-o", "jsonpath={.status.webhookURL}")
    assert url == f"{kubectl.url}/triggers/ai-team/pipeline-trigger/fire"
    assert kubectl("wait", "--for=condition=Ready", "arkevent/pipeline-trigger", "--timeout=120s") == \
        "arkevent.arkonis.dev/pipeline-trigger condition met\n"
    condition, = json.loads(kubectl("get", "arkevent", "pipeline-trigger", "-o", "json"))["status"]["conditions"]
    del condition["lastTransitionTime"]
    assert condition == READY


def test_the_documented_status(make_daemon, tmp_path):
    """The address is the one that others know it by."""
    daemon = make_daemon("--public-url", HOST)
    (tmp_path / "home").mkdir()
    kubectl = Kubectl(daemon, tmp_path / "home")
    kubectl("apply", "-f", "-", stdin=PIPELINE_TRIGGER)
    url = kubectl("get", "arkevent", "pipeline-trigger", "-o", "jsonpath={.status.webhookURL}")
    assert url == "http://ark-operator.ai-team.svc.cluster.local:8092/triggers/ai-team/pipeline-trigger/fire"


def test_the_documented_schedule(daemon, kubectl):
    daemon.create_team("report-team", namespace="ai-team")
    before = datetime.datetime.now(datetime.timezone.utc)
    kubectl("apply", "-f", "-", stdin=DAILY_REPORT)
    status = json.loads(kubectl("get", "arkevent", "daily-report", "-o", "json"))["status"]
    due = datetime.datetime.fromisoformat(status["nextFireAt"].replace("Z", "+00:00"))
    assert (due.hour, due.minute, due.second) == (8, 0, 0) and due > before
    assert due <= datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=1)
    condition, = status["conditions"]
    assert (condition["status"], condition["reason"], condition["message"]) == ("True", "Active", f"next fire at {status['nextFireAt']}")


def test_the_documented_chain(daemon, kubectl, tmp_path):
    """Each of the two waits for the other, so they end only if they run at the same time."""
    meet = tmp_path / "meet"
    os.mkfifo(meet)
    daemon.create_team("research-team", ["/bin/echo", "found"], namespace="ai-team")
    daemon.create_team("summarize-team", ["/bin/sh", "-c", f"echo summary > {meet}"], namespace="ai-team")
    daemon.create_team("publish-team", ["/bin/cat", str(meet)], namespace="ai-team")
    kubectl("apply", "-f", "-", stdin=POST_RESEARCH)
    run = daemon.post("/api/v1/runs", {"namespace": "ai-team", "layer": "team", "pipeline": "research-team"}).expect(202).json()["run_id"]
    daemon.wait_run(run, "success")
    wait_until(lambda: len(daemon.all_runs()) == 3, what="the runs of both targets")
    ended = {name: daemon.wait_run(daemon.all_runs(pipeline=name)[0]["id"], "success") for name in ("summarize-team", "publish-team")}
    assert ended["publish-team"]["output"] == "summary\n" and ended["summarize-team"]["event_id"] == ended["publish-team"]["event_id"]
    assert kubectl("get", "arkevent", "post-research-trigger", "-o", "jsonpath={.status.firedCount}") == "1"


def test_get(daemon, kubectl):
    kubectl("apply", "-f", "-", stdin="---\n".join([PIPELINE_TRIGGER, DAILY_REPORT, POST_RESEARCH]))
    lines = kubectl("get", "arkevents").splitlines()
    assert lines[0].split() == ["NAME", "TYPE", "SUSPENDED", "FIRED", "LAST", "FIRED", "NEXT", "FIRE", "AGE"]
    assert [line.split()[:4] for line in lines[1:]] == [["daily-report", "cron", "false", "0"], ["pipeline-trigger", "webhook", "false", "0"],
                                                        ["post-research-trigger", "team-output", "false", "0"]]
    assert kubectl("get", "arkev", "-A", "-o", "wide").splitlines()[0].split()[0] == "NAMESPACE"
    assert kubectl("get", "arkev", "-o", "wide").splitlines()[2].split()[-1] == f"{kubectl.url}/triggers/ai-team/pipeline-trigger/fire"
    assert kubectl("get", "arkevent,secret", "-o", "name").splitlines() == [
        *(f"arkevent.arkonis.dev/{n}" for n in ("daily-report", "pipeline-trigger", "post-research-trigger")),
        "secret/pipeline-trigger-webhook-token"]
    assert "kind: ArkEvent\n" in kubectl("get", "arkevent", "daily-report", "-o", "yaml")
    assert kubectl("get", "arkev", "--sort-by=.metadata.name", "--no-headers").splitlines()[0].startswith("daily-report")
    assert "No resources found in other namespace." in kubectl("get", "arkev", "-n", "other")
    assert 'Error from server (NotFound): arkevents.arkonis.dev "zz" not found' in kubectl("get", "arkev", "zz", code=1)
    described = kubectl("describe", "arkevent", "post-research-trigger")
    assert "Kind:         ArkEvent" in described and "Team:  publish-team" in described and "<none>" in described
    assert "Type:  Opaque" in kubectl("describe", "secret", "pipeline-trigger-webhook-token")
    assert kubectl("get", "ns").splitlines()[1].split()[:2] == ["ai-team", "Active"]
    assert "v1.30.0" in kubectl("version")
    kubectl("delete", "arkev", "--all")
    assert daemon.get("/apis/arkonis.dev/v1alpha1/arkevents").json()["items"] == []


def test_changes(daemon, kubectl):
    (kubectl.home / "event.yaml").write_text(PIPELINE_TRIGGER)
    assert kubectl("create", "-f", "event.yaml", "--dry-run=server").endswith("created (server dry run)\n")
    assert kubectl("create", "-f", "event.yaml") == "arkevent.arkonis.dev/pipeline-trigger created\n"
    assert "AlreadyExists" in kubectl("create", "-f", "event.yaml", code=1)
    kubectl("apply", "-f", "event.yaml")
    (kubectl.home / "event.yaml").write_text(PIPELINE_TRIGGER.replace("my-team", "other-team"))
    diff = kubectl("diff", "-f", "event.yaml", code=1)
    assert "-  - team: my-team" in diff and "+  - team: other-team" in diff
    assert "configured (server dry run)" in kubectl("apply", "-f", "event.yaml", "--dry-run=server")
    assert kubectl("apply", "-f", "event.yaml") == "arkevent.arkonis.dev/pipeline-trigger configured\n"
    assert kubectl("diff", "-f", "event.yaml") == ""
    one = ("arkevent", "pipeline-trigger")
    assert kubectl("patch", *one, "--type=merge", "-p", '{"spec":{"cooldownSeconds":7}}').endswith(" patched\n")
    assert kubectl("patch", *one, "--type=merge", "-p", '{"spec":{"cooldownSeconds":7}}').endswith(" patched (no change)\n")
    assert kubectl("patch", *one, "--type=json", "-p", '[{"op":"replace","path":"/spec/cooldownSeconds","value":8}]').endswith(" patched\n")
    assert 'The ArkEvent "pipeline-trigger" is invalid: patch: cannot be applied: /spec/none: does not exist' in \
        kubectl("patch", *one, "--type=json", "-p", '[{"op":"remove","path":"/spec/none"}]', code=1)
    assert "unknown format" in kubectl("patch", *one, "-p", "{}", code=1)
    assert kubectl("label", *one, "app=x").endswith(" labeled\n")
    assert kubectl("get", "arkev", "-l", "app=x", "-o", "name") == "arkevent.arkonis.dev/pipeline-trigger\n"
    assert "No resources found" in kubectl("get", "arkev", "-l", "app notin (x)")
    assert " annotate" in kubectl("annotate", *one, "note=hello")
    editor = kubectl.home / "editor.sh"
    editor.write_text("#!/bin/sh\nsed -i 's/cooldownSeconds: 8/cooldownSeconds: 9/' \"$1\"\n")
    editor.chmod(0o755)
    assert kubectl("edit", *one, env={"EDITOR": str(editor)}).endswith(" edited\n")
    got = json.loads(kubectl("get", *one, "-o", "json"))
    assert got["spec"] == {"source": {"type": "webhook"}, "targets": [{"team": "other-team"}], "cooldownSeconds": 9}
    assert got["metadata"]["labels"] == {"app": "x"} and got["metadata"]["annotations"]["note"] == "hello"
    token = kubectl("get", "secret", "pipeline-trigger-webhook-token", "-o", "jsonpath={.data.token}")
    assert kubectl("replace", "-f", "event.yaml").endswith(" replaced\n")
    assert kubectl("get", "secret", "pipeline-trigger-webhook-token", "-o", "jsonpath={.data.token}") == token
    assert kubectl("replace", "--force", "-f", "event.yaml").endswith(" replaced\n")
    assert kubectl("get", "secret", "pipeline-trigger-webhook-token", "-o", "jsonpath={.data.token}") != token
    (kubectl.home / "event.yaml").write_text(PIPELINE_TRIGGER.replace("webhook", "carrier-pigeon"))
    refused = kubectl("apply", "-f", "event.yaml", code=1)
    assert 'The ArkEvent "pipeline-trigger" is invalid' in refused and 'spec.source.type: Unsupported value: "carrier-pigeon"' in refused
    assert kubectl("delete", *one) .startswith('arkevent.arkonis.dev "pipeline-trigger" deleted')
    assert "NotFound" in kubectl("delete", *one, code=1)
    assert kubectl("delete", *one, "--ignore-not-found") == ""


def test_what_pawl_get_prints(daemon, kubectl):
    """kubectl reads YAML 1.1, in which more words mean something."""
    kubectl("apply", "-f", "-", stdin=DAILY_REPORT)
    kubectl("annotate", "arkev", "daily-report", "when=on", "sure=yes", "day=2026-02-13", "much=1_000")
    printed = cli("get", "ae", "daily-report", "-n", "ai-team", "-o", "yaml", "--server", kubectl.url).stdout
    assert kubectl("replace", "-f", "-", stdin=printed).endswith(" replaced\n")
    found = json.loads(kubectl("get", "arkev", "daily-report", "-o", "json"))["metadata"]["annotations"]
    assert [found[k] for k in ("when", "sure", "day", "much")] == ["on", "yes", "2026-02-13", "1_000"]


def test_watch_and_wait(daemon, kubectl):
    kubectl("apply", "-f", "-", stdin=DAILY_REPORT)
    w = kubectl.start("get", "arkev", "-w")
    try:
        assert w.stdout.readline().startswith("NAME")
        assert w.stdout.readline().startswith("daily-report")
        waiting = kubectl.start("wait", "--for=condition=Ready", "arkevent/daily-report", "--timeout=300s")
        gone = kubectl.start("wait", "--for=delete", "arkevent/daily-report", "--timeout=300s")
        wait_until(lambda: streams(daemon) >= 3, 60, "three watches")
        daemon.create_pipeline("report-team", namespace="ai-team", layer="team")
        assert waiting.communicate(timeout=deadline(300))[0] == "arkevent.arkonis.dev/daily-report condition met\n"
        assert w.stdout.readline().startswith("daily-report")
        kubectl("delete", "arkev", "daily-report")
        assert "daily-report" in gone.communicate(timeout=deadline(300))[0] and gone.returncode == 0
    finally:
        w.kill()
        w.communicate()


def streams(daemon):
    for line in daemon.get("/metrics").expect(200).body.decode().splitlines():
        if line.startswith("pawl_http_streams "):
            return int(float(line.split()[1]))
    raise AssertionError("there is no such metric")


def test_namespaces(daemon, kubectl):
    manifest = "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: by-file\n"
    assert kubectl("create", "ns", "by-name") == "namespace/by-name created\n"
    assert "already exists" in kubectl("create", "ns", "by-name", code=1)
    assert kubectl("apply", "-f", "-", stdin=manifest) == "namespace/by-file created\n"
    assert kubectl("apply", "-f", "-", stdin=manifest + "  labels: {a: b}\n") == "namespace/by-file configured\n"
    assert kubectl("get", "ns", "-l", "a=b", "-o", "name") == "namespace/by-file\n"
    assert [line.split()[0] for line in kubectl("get", "ns").splitlines()[1:]] == ["by-file", "by-name"]
    assert kubectl("delete", "ns", "by-name") == 'namespace "by-name" deleted\n'
    assert 'namespaces "by-name" not found' in kubectl("get", "ns", "by-name", code=1)


def test_keys(make_daemon, tmp_path):
    daemon = make_daemon(start=False)
    key = cli("key", "add", "ops", "--data", str(daemon.data)).stdout.strip().splitlines()[-1].strip()
    daemon.start()
    (tmp_path / "home").mkdir()
    (tmp_path / "other").mkdir()
    kubectl = Kubectl(daemon, tmp_path / "home", f"ops:{key}")
    assert "created" in kubectl("apply", "-f", "-", stdin=PIPELINE_TRIGGER)
    token = base64.b64decode(kubectl("get", "secret", "pipeline-trigger-webhook-token", "-o", "jsonpath={.data.token}"))
    assert len(token) == 64
    assert "You must be logged in" in Kubectl(daemon, tmp_path / "other")("get", "arkev", code=1)
