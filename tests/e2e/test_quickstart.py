"""The quickstart does what it prints: examples/quickstart/run.sh, with the very commands it tells people to copy."""
import contextlib
import os
import re
import signal
import socket
import stat
import subprocess
import time

import pawl
import pytest

SCRIPT = os.path.join(pawl.ROOT, "examples", "quickstart", "run.sh")
LAST_LINE = "Ctrl-C stops pawl"


class Quickstart:
    """A running run.sh; .text is what it has printed so far."""

    def __init__(self, data, address="127.0.0.1:0"):
        self.process = subprocess.Popen([SCRIPT, address, str(data)], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, env=pawl.environment({"PAWL_BIN": pawl.binary()}))
        self.text = ""

    def read_until(self, mark):
        end = time.monotonic() + pawl.deadline(30)
        while mark not in self.text:
            come = pawl.readable(self.process.stdout, max(end - time.monotonic(), 0))
            data = os.read(self.process.stdout.fileno(), 65536) if come else b""
            assert data, f"{mark!r} was not printed:\n{self.text}"
            self.text += data.decode()
        return self

    def commands(self):
        """What it tells people to copy."""
        return re.findall(r"^    ((?:curl|cat) .*)$", self.text, re.M)

    def end(self):
        """As Ctrl-C does; the exit code."""
        self.process.send_signal(signal.SIGINT)
        rest, _ = self.process.communicate(timeout=pawl.deadline(30))
        self.text += rest.decode()
        return self.process.returncode


@contextlib.contextmanager
def quickstart(data, **kw):
    q = Quickstart(data, **kw)
    try:
        yield q
    finally:
        if q.process.poll() is None:
            q.end()
        q.process.stdout.close()


def shell(command):
    return subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True, timeout=pawl.deadline(60)).stdout


def test_what_it_prints_works(tmp_path):
    data = tmp_path / "data"
    with quickstart(data) as q:
        q.read_until(LAST_LINE)
        assert "with new data" in q.text
        fire, newest, cat, sync = q.commands()
        assert '"run_id"' in shell(fire)
        assert "Hello, Grace!" in shell(sync)
        pawl.wait_until(lambda: os.path.exists(data / "greetings.txt") and "Hello, Ada!" in shell(cat), 20, "the greeting in the file")
        assert '"status":"success"' in shell(newest).replace(" ", "")
        assert q.end() == 0
        assert "the data stays in" in q.text
    assert stat.S_IMODE(os.stat(data).st_mode) == 0o700
    for name in os.listdir(data):
        assert stat.S_IMODE(os.stat(data / name).st_mode) & 0o077 == 0, f"{name} can be read by others"


def test_a_second_start_keeps_everything(tmp_path):
    tokens = []
    for words in ("with new data", "has kept its data"):
        with quickstart(tmp_path / "data") as q:
            q.read_until(LAST_LINE)
            assert words in q.text
            fire = q.commands()[0]
            assert '"run_id"' in shell(fire)
            tokens.append(re.search(r"X-Webhook-Token: ([0-9a-f]{64})", fire).group(1))
            assert q.end() == 0
    assert tokens[0] == tokens[1]


def test_a_taken_port_is_explained(tmp_path):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        with quickstart(tmp_path / "data", address=f"127.0.0.1:{s.getsockname()[1]}") as q:
            out, _ = q.process.communicate(timeout=pawl.deadline(30))
            assert q.process.returncode == 1
            assert "If the port is taken" in out.decode()


@pytest.mark.parametrize("payload, who", [('{"who": "Ada"}', "Ada"), ('{"a": 1}', "stranger"), ("who knows", "stranger")])
def test_hello_greets(daemon, tmp_path, payload, who):
    hello = os.path.join(pawl.ROOT, "examples", "quickstart", "hello")
    t = daemon.create_webhook_trigger(daemon.create_pipeline(argv=["/bin/sh", hello, str(tmp_path / "greetings")]))
    run = daemon.wait_run(daemon.fire_ok(t, payload), status="success")
    assert run["output"].startswith(f"Hello, {who}!")
    assert (tmp_path / "greetings").read_text(encoding="utf-8") == run["output"]
