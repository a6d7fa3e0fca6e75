"""`pawl logs`: what a run wrote, and follows it."""
import os
import subprocess

import pytest

from pawl import binary, cli, deadline, environment, fixed_port

NO_RUN = "01a1fbe8-b5a1-734a-94d9-1699870bc9c4"


def logs(daemon, *args, **kw):
    return cli("logs", "--server", daemon.url, *args, **kw)


def run_of(daemon, script, **pipeline):
    return daemon.fire_ok(daemon.create_webhook_trigger(daemon.create_pipeline(argv=["/bin/sh", "-c", script], **pipeline)))


class Follower:
    """`pawl logs -f` as it goes."""

    def __init__(self, daemon, run_id):
        self.process = subprocess.Popen([binary(), "logs", "-f", run_id, "--server", daemon.url], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())

    def line(self):
        return self.process.stdout.readline()

    def end(self):
        out, err = self.process.communicate(timeout=deadline(30))
        return self.process.returncode, out, err


def test_both_streams(daemon):
    run_id = run_of(daemon, "echo one; echo two >&2; printf three")
    daemon.wait_run(run_id, "success")
    for args in ([], ["-f"], ["--attempt", "1"]):
        r = logs(daemon, run_id, *args)
        assert (r.returncode, r.stdout, r.stderr) == (0, "one\nthree\n", "two\n")


def test_lines_come_as_they_are_written(daemon, tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    run_id = run_of(daemon, f"echo one; read line < {fifo}; echo $line; exit 3")
    f = Follower(daemon, run_id)
    assert f.line() == "one\n"
    assert logs(daemon, run_id).stdout == "one\n"
    fifo.write_text("two\n")
    assert f.end() == (0, "two\n", "")


def test_through_a_restart(make_daemon, tmp_path):
    daemon = make_daemon(listen=[f"127.0.0.1:{fixed_port()}"])  # comes back at the same address
    flag = tmp_path / "flag"
    run_id = run_of(daemon, f"echo one; until [ -e {flag} ]; do sleep 0.05; done; echo two", retry={"max_attempts": 2, "backoff_seconds": 0.1})
    f = Follower(daemon, run_id)
    assert f.line() == "one\n"
    daemon.kill()
    daemon.start()
    assert f.line() == "one\n"  # of the second attempt
    flag.touch()
    assert f.end() == (0, "two\n", "")


def test_of_an_attempt(daemon, tmp_path):
    flag = tmp_path / "flag"
    run_id = run_of(daemon, f'[ -e {flag} ] && echo good || {{ touch {flag}; echo bad; exit 1; }}',
                    retry={"max_attempts": 2, "backoff_seconds": 0})
    daemon.wait_run(run_id, "success")
    assert logs(daemon, run_id).stdout == "good\n"
    assert logs(daemon, run_id, "--attempt", "1").stdout == "bad\n"
    assert logs(daemon, run_id, "--follow").stdout == "bad\ngood\n"


@pytest.mark.parametrize("args,code,says", [
    ([], 2, "one run is needed"), ([NO_RUN, NO_RUN], 2, "one run is needed"), (["7"], 2, "'7' is not the id of a run"),
    ([NO_RUN], 1, "NOT_FOUND: there is no such run"), ([NO_RUN, "-f"], 1, "NOT_FOUND: there is no such run"),
    ([NO_RUN, "-f", "--attempt", "1"], 2, "do not go together"), ([NO_RUN, "--attempt", "0"], 2, "--attempt: must be"),
])
def test_mistakes(daemon, args, code, says):
    r = logs(daemon, *args)
    assert r.returncode == code and r.stdout == "" and r.stderr.startswith("pawl logs: ") and says in r.stderr


def test_nobody_there():
    r = cli("logs", NO_RUN, "-f", "--server", "http://127.0.0.1:1")
    assert r.returncode == 1 and "cannot reach" in r.stderr


def test_a_full_disk(daemon):
    run_id = run_of(daemon, "echo one")
    daemon.wait_run(run_id)
    for args in ([], ["-f"]):
        with open("/dev/full", "w", encoding="ascii") as full:
            r = subprocess.run([binary(), "logs", run_id, "--server", daemon.url, *args], stdout=full, stderr=subprocess.PIPE, text=True,
                               env=environment(), timeout=deadline(30), check=False)
        assert r.returncode == 1 and r.stderr == "pawl logs: cannot write to standard output\n"
