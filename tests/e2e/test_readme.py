"""The README does what it says: the commands of "Five minutes" and "More than webhooks", as somebody would copy them."""
import json
import os
import re
import subprocess

import pawl
from pawl import wait_until


def commands(heading):
    """The indented blocks of one section, a command each."""
    with open(os.path.join(pawl.ROOT, "README.md"), encoding="utf-8") as f:
        section = f.read().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = [line[4:] for line in re.findall(r"^    .*$", section, re.M)]
    return re.findall(r"^[^ ].*(?:\n .*)*", "\n".join(lines), re.M)


class Shell:
    """A terminal next to the daemon, in a directory of its own; the files of /tmp are in there."""

    def __init__(self, daemon, directory):
        self.daemon, self.directory = daemon, directory

    def __call__(self, command, **variables):
        command = command.replace("http://127.0.0.1:8080", self.daemon.url).replace("/tmp/", f"{self.directory}/")
        done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=pawl.deadline(60),
                              env=pawl.environment({"no_proxy": "*", **variables}))
        return json.loads(done.stdout) if command.startswith("curl") else None


def test_five_minutes(daemon, tmp_path):
    sh = Shell(daemon, tmp_path)
    pipeline, trigger, token, fire, fire_sync, runs, events = commands("Five minutes")
    assert sh(pipeline)["name"] == "count"
    token = {"TOKEN": sh(trigger)["webhook_token"]}
    accepted = [sh(fire, **token)]
    while "run_id" in (again := sh(fire, **token)):  # this machine took longer to ask again than the cooldown lasts
        accepted.append(again)
    assert list(accepted[0]) == ["run_id"] and again["error"]["code"] == "RESOURCE_EXHAUSTED"
    answers = []
    wait_until(lambda: answers.append(sh(fire_sync, **token)) or "error" not in answers[-1], timeout=20, every=0.2, what="the cooldown to end")
    assert answers[-1]["status"] == "succeeded" and answers[-1]["output"] > 0
    wait_until(lambda: [run["status"] for run in sh(runs)["runs"]] == ["success"] * (len(accepted) + 1), what="the runs")
    decisions = [event["decisions"][0]["decision"] for event in sh(events)["events"]]
    assert decisions[0] == "fired" and decisions[-1] in ("cooldown", "fired")


def test_more_than_webhooks(daemon, tmp_path):
    sh = Shell(daemon, tmp_path)
    sh(commands("Five minutes")[0])
    answers = [sh(command) for command in commands("More than webhooks")]
    assert len(answers) == 9 and [a for a in answers if a and a.get("error")] == []

    def ended(trigger, pipeline):
        return [r["status"] for r in daemon.all_runs() if r["trigger"].startswith(trigger) and r["pipeline"] == pipeline] == ["success"]

    wait_until(lambda: ended("trigger:file_pattern", "default.silver.count"), what="the run of the file")
    wait_until(lambda: ended("trigger:topic", "default.silver.count"), what="the run of the message")
    wait_until(lambda: [r["status"] for r in daemon.all_runs() if r["pipeline"] == "default.gold.report"] == ["success"] * 2, what="a report of each")
