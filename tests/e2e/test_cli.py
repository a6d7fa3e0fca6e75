"""The command line: help, versions, keys, and mistakes."""
import re

import pytest

from pawl import cli


def said(r, code):
    """What a command wrote to stderr, when it ended with that code and wrote nothing to stdout."""
    assert r.returncode == code, (r.returncode, r.stdout, r.stderr)
    assert r.stdout == ""
    return r.stderr


def printed(*args):
    """What a command that succeeds wrote to stdout."""
    r = cli(*args)
    assert r.returncode == 0, r.stderr
    return r.stdout


@pytest.mark.parametrize("args", [["version"], ["--version"]])
def test_version(args):
    assert re.fullmatch(r"pawl \d+\.\d+\.\d+\n", printed(*args))


@pytest.mark.parametrize("args", [["help"], ["--help"], ["-h"]])
def test_help_lists_the_commands(args):
    text = printed(*args)
    for command in ("serve", "cron", "key", "runs", "logs", "cancel", "replay", "worker", "version", "help"):
        assert re.search(rf"^  {command} ", text, re.M)


@pytest.mark.parametrize("command", ["serve", "cron", "key", "runs", "logs", "cancel", "replay", "worker", "version", "help"])
def test_each_command_explains_itself(command):
    text = printed("help", command)
    assert text.startswith(f"usage: pawl {command}")
    assert text == printed(command, "--help") == printed(command, "-h")


def test_serve_help_names_its_options():
    text = printed("serve", "--help")
    for option in ("--listen", "--data", "--config"):
        assert option in text


def test_help_config_comes_from_the_tables():
    text = printed("help", "config")
    for word in ("webhook: ", "command: ", "argv", "pull: "):
        assert word in text


@pytest.mark.parametrize("args,says", [
    ([], "pawl help"),
    (["sreve"], "'sreve'; did you mean 'serve'?"),
    (["frobnicate"], "unknown command 'frobnicate'"),
    (["--frobnicate"], "'--frobnicate'"),
    (["version", "now"], "unexpected argument 'now'"),
    (["help", "nothing"], "'nothing'"),
    (["key"], "add, list or drop"),
    (["key", "make"], "'make'"),
    (["key", "add"], "NAME"),
    (["key", "add", "a", "b"], "unexpected argument 'b'"),
    (["key", "add", "a b", "--data", "{data}"], "name"),
    (["key", "add", "x" * 65, "--data", "{data}"], "name"),
    (["key", "list", "--dta", "x"], "'--dta'; did you mean '--data'?"),
    (["key", "list", "--data"], "--data: needs a value"),
    (["key", "list", "--data="], "--data: the value is empty"),
    (["key", "list", "-d"], "'-d'"),
    (["serve", "--lisen", "127.0.0.1:0"], "did you mean '--listen'?"),
    (["serve", "--listen"], "--listen: needs a value"),
    (["serve", "--listen", "nonsense", "--data", "{data}"], "nonsense"),
    (["serve", "--listen", "127.0.0.1:99999", "--data", "{data}"], "99999"),
    (["serve", "--listen", "127.0.0.1:-1", "--data", "{data}"], "-1"),
    (["serve", "extra", "--data", "{data}"], "extra"),
])
def test_mistakes_are_named(args, says, tmp_path):
    text = said(cli(*[a.format(data=tmp_path / "d") for a in args]), 2)
    assert says in text
    assert text.startswith("pawl")


@pytest.mark.parametrize("text,says", [
    ("running_max: 0", "running_max: 0 is out of range 1-10000"),
    ("running_max: '5'", "running_max: must be an integer"),
    ("retention_days: 99999999999999999999", "line 1, column 17"),
    ("listen: []", "listen: must be a string or a list of strings"),
    ("listen: [127.0.0.1:0, 5]", "listen: must be a list of strings"),
    ("listen: here", "listen: 'here' is not ADDRESS:PORT"),
    ("allow_unauthenticated: maybe", "allow_unauthenticated: must be true or false"),
    ("log_level: loud", "log_level: 'loud' is not"),
    ("public_url: gopher://x", "public_url: 'gopher://x' is not"),
    ("runing_max: 1", "runing_max: is not a known field"),
    ("running_max: 1\nrunning_max: 2", "line 2, column 1: the key \"running_max\" is given twice"),
    ("listen: [", "not valid YAML at line 2, column 1"),
    ("- a list", "must be a mapping of settings"),
    ("a: &x [*x]", "line 1, column 8"),
    ("running_max: 1\n---\nrunning_max: 2", "only one document"),
    ("\0", "control characters"),
])
def test_mistakes_in_the_file_are_named(text, says, tmp_path):
    file = tmp_path / "pawl.yaml"
    file.write_text(text)
    told = said(cli("serve", "--listen", "127.0.0.1:0", "--data", tmp_path / "d", "--config", file), 2)
    assert says in told and told.count(" at line ") <= 1
    assert not (tmp_path / "d").exists()


@pytest.mark.parametrize("path,says", [("nowhere", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read(path, says, tmp_path):
    told = said(cli("serve", "--data", tmp_path / "d", "--config", tmp_path / path), 2)
    assert says in told and str(tmp_path) in told


def test_keys(tmp_path):
    data = tmp_path / "data"
    key = printed("key", "add", "ci", "--data", data)
    assert re.fullmatch("[0-9a-f]{64}\n", key)
    assert printed("key", "add", "laptop", f"--data={data}") != key
    lines = printed("key", "list", "--data", data).splitlines()
    assert [line.split()[0] for line in lines] == ["ci", "laptop"]
    assert key.strip() not in "\n".join(lines)
    assert "'ci'" in said(cli("key", "add", "ci", "--data", data), 1)
    printed("key", "drop", "ci", "--data", data)
    assert "'ci'" in said(cli("key", "drop", "ci", "--data", data), 1)
    assert [line.split()[0] for line in printed("key", "list", "--data", data).splitlines()] == ["laptop"]


def test_key_in_a_place_that_cannot_be(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    assert str(file) in said(cli("key", "list", "--data", file), 1)


def test_full_standard_output_is_an_error():
    import subprocess
    from pawl import binary, environment
    with open("/dev/full", "w") as full:
        r = subprocess.run([binary(), "version"], stdout=full, stderr=subprocess.PIPE, text=True, env=environment())
    assert r.returncode == 1 and "standard output" in r.stderr
