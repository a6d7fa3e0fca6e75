"""What the documents say of flags, settings and endpoints is what the binary has."""
import os
import re
import subprocess

import pytest

import pawl


def document(name):
    with open(os.path.join(pawl.ROOT, "docs", name), encoding="utf-8") as f:
        return f.read()


def test_every_setting_is_documented_and_no_other():
    section = pawl.cli("help", "config").stdout.split("Triggers, by")[0]
    settings = set(re.findall(r"^ +([a-z_]+) +(?:string|integer|boolean|object)", section, re.M))
    text = document("configuration.md").split("## The file")[1].split("## Limits")[0]
    assert settings == set(re.findall(r"^\| `([a-z_]+)` \|", text, re.M))


def test_every_flag_is_documented_and_no_other():
    flags = set(re.findall(r"^ +(--[a-z-]+)", pawl.cli("help", "serve").stdout, re.M)) - {"--help"}
    text = document("configuration.md").split("## The file")[0]
    assert flags == set(re.findall(r"^\| `(--[a-z-]+)", text, re.M))


def test_every_metric_is_documented(daemon):
    names = set(re.findall(r"^# TYPE ([a-z_]+)", daemon.get("/metrics").expect(200).body.decode(), re.M))
    assert len(names) > 10
    assert names - set(re.findall(r"[a-z_]+", document("operations.md"))) == set()


def test_the_readme_names_documents_that_exist():
    with open(os.path.join(pawl.ROOT, "README.md"), encoding="utf-8") as f:
        links = re.findall(r"\]\(((?!http)[^)]+)\)", f.read())
    assert "docs/API.md" in links
    assert [link for link in links if not os.path.exists(os.path.join(pawl.ROOT, link))] == []


def commands(name):
    """The document's examples that are commands: indented blocks that begin like one."""
    blocks = re.findall(r"(?:^    .*\n)+", document(name), re.M)
    return [b for b in blocks if re.match(r" +(?:curl |[A-Z]+=)", b)]


@pytest.mark.parametrize("name", ["triggers.md", "landing-zones.md"])
def test_the_examples_work_as_they_are_written(daemon, tmp_path, name):
    (tmp_path / "orders.csv").write_text("a,b\n")
    preface = commands("triggers.md")[0].replace("http://127.0.0.1:8080", daemon.url)
    examples = [b for b in commands(name) if not b.startswith("    PAWL=")]
    script = "set -e\ncurl() { command curl -sS --fail-with-body \"$@\"; echo; }\n" + preface + "curl -X POST $T -d '" \
        '{"type": "webhook", "config": {}}' "' >hook\nID=$(cut -d'\"' -f4 hook)\n" + "".join(examples)
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(examples) >= 1 and done.stdout.count('"id"') >= 4
