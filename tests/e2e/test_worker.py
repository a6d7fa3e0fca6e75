"""pawl worker: a command for every pulled run."""
import json
import os
import signal
import subprocess
import time

import pytest

from pawl import SANITIZER, binary, cli, deadline, environment, fixed_port, wait_until

PULL = {"type": "pull"}


class Worker:
    """A worker process; stderr is collected."""

    def __init__(self, directory, daemon, *args, pipeline="*", command=("cat",), env=None, url=None):
        self.stderr_file = os.path.join(str(directory), f"worker{id(self)}.log")
        with open(self.stderr_file, "wb") as err:
            self.process = subprocess.Popen(
                [binary(), "worker", "--server", url or daemon.url, "--pipeline", pipeline, *map(str, args), "--", *command],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=err, env=environment(env))

    def stderr(self):
        with open(self.stderr_file, encoding="utf-8", errors="replace") as f:
            return f.read()

    def signal(self, signo=signal.SIGTERM):
        self.process.send_signal(signo)
        return self

    def wait(self, timeout=30):
        code = self.process.wait(deadline(timeout))
        assert not SANITIZER.search(self.stderr()), self.stderr()
        return code

    def says(self, text, timeout=20):
        wait_until(lambda: text in self.stderr(), timeout, f"the worker to say {text!r}, not {self.stderr()!r}")


@pytest.fixture
def worker(tmp_path):
    made = []

    def make(daemon, *args, **kw):
        made.append(Worker(tmp_path, daemon, *args, **kw))
        return made[-1]
    yield make
    for w in made:
        if w.process.poll() is None:
            w.process.kill()
            w.process.wait()
        assert not SANITIZER.search(w.stderr()), w.stderr()


def start(daemon, p, payload):
    body = {"namespace": p["namespace"], "layer": p["layer"], "pipeline": p["name"], "input": payload}
    return daemon.post("/api/v1/runs", body).expect(202).json()["run_id"]


def make(daemon, n=1, **fields):
    p = daemon.create_pipeline(executor=PULL, **fields)
    return p, [start(daemon, p, {"n": i}) for i in range(n)]


def one(daemon, run_id):
    return daemon.get(f"/api/v1/runs/{run_id}").expect(200).json()


def test_carries_runs_out(daemon, worker):
    p, ids = make(daemon, 20)
    w = worker(daemon, "-j", 3, pipeline=f"default.bronze.{p['name']}", command=["sh", "-c", "echo on stderr >&2; cat"])
    for i, run in enumerate(ids):
        run = daemon.wait_run(run)
        assert run["status"] == "success" and run["output"]["payload"] == {"n": i} and run["output"]["run_id"] == run["id"]
    logs = json.dumps(daemon.get(f"/api/v1/runs/{ids[0]}/logs").json())
    assert "on stderr" in logs and "payload" in logs
    assert w.signal().wait() == 0


def test_environment(daemon, worker):
    p, [run] = make(daemon)
    worker(daemon, command=["sh", "-c", "env | grep -E '^(PAWL_|MINE)' | sort"], env={"PAWL_API_KEY": "k", "PAWL_ODD": "1", "MINE": "2"})
    run = daemon.wait_run(run)
    env = dict(line.split("=", 1) for line in run["output"].splitlines())
    assert env == {"MINE": "2", "PAWL_RUN_ID": run["id"], "PAWL_EVENT_ID": run["event_id"], "PAWL_ATTEMPT": "1",
                   "PAWL_PIPELINE": f"default.bronze.{p['name']}", "PAWL_TRIGGER_TYPE": "manual"}


def test_the_document_is_not_touched(daemon, worker):
    p = daemon.create_pipeline(executor=PULL)
    t = daemon.create_webhook_trigger(p)
    payload = b'{"big":12345678901234567890123,"real":1.10,"text":"\\u20ac \\"]}{["}'
    run = daemon.fire_ok(t, payload, headers={"Content-Type": "application/json"})
    worker(daemon, command=["sh", "-c", "grep -cF \"$0\"", payload.decode()])
    assert daemon.wait_run(run)["output"] == 1


@pytest.mark.parametrize("command, error", [
    (["sh", "-c", "echo out; exit 3"], "exit status 3"),
    (["sh", "-c", "echo out; kill -9 $$"], "killed by signal 9 (SIGKILL)"),
    (["/nowhere/at-all"], 'cannot start "/nowhere/at-all": No such file or directory'),
])
def test_failures_are_reported(daemon, worker, command, error):
    _, [run] = make(daemon)
    worker(daemon, command=command)
    run = daemon.wait_run(run)
    assert (run["status"], run["error"]) == ("failed", error)
    assert run["output"] == ("out\n" if command[0] == "sh" else None)


def test_odd_output(daemon, worker):
    _, [run] = make(daemon)
    worker(daemon, command=["sh", "-c", r"printf 'a\000b\377'; head -c 3000000 /dev/zero | tr '\0' x"])
    run = daemon.wait_run(run, timeout=60)
    assert run["status"] == "success" and run["output"].startswith("a?b\ufffdxxx") and "truncated" in run["output"]


def test_heartbeats_keep_the_lease(daemon, worker, tmp_path):
    _, [run] = make(daemon)
    go = tmp_path / "go"
    os.mkfifo(go)
    w = worker(daemon, "--lease", 6, command=["sh", "-c", f"read x < {go}; echo $x"])
    wait_until(lambda: one(daemon, run)["status"] == "running", 20, "the run")
    with daemon.db() as con:
        [(end,)] = con.execute("SELECT expires_at FROM leases")
    wait_until(lambda: time.time() * 1000 > end + 1000, what="the end of the lease that it got at first")
    assert one(daemon, run)["attempt"] == 1 and one(daemon, run)["status"] == "running"
    go.write_text("on\n")
    assert daemon.wait_run(run)["output"] == "on\n"
    assert w.signal().wait() == 0


def pid_of(path):
    return int(wait_until(lambda: path.exists() and path.read_text().strip(), 20, "the command"))


def alive(pid):
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_a_cancelled_run_is_ended(daemon, worker, tmp_path):
    _, [run] = make(daemon)
    pid_file = tmp_path / "pid"
    w = worker(daemon, "--lease", 9, command=["sh", "-c", f"echo $$ > {pid_file}; exec sleep 1000"])
    pid = pid_of(pid_file)
    daemon.post(f"/api/v1/runs/{run}/cancel").expect(200)
    wait_until(lambda: not alive(pid), 20, "the end of the command")
    w.says("not ours any more")
    assert one(daemon, run)["status"] == "cancelled"
    assert w.signal().wait() == 0


def test_the_first_signal_finishes_the_second_ends(daemon, worker, tmp_path):
    _, [first] = make(daemon)
    go = tmp_path / "go"
    os.mkfifo(go)
    w = worker(daemon, command=["sh", "-c", f"read x < {go}; echo $x"])
    wait_until(lambda: one(daemon, first)["status"] == "running", 20, "the run")
    w.signal().says("finishing")
    go.write_text("done\n")
    assert w.wait() == 0 and one(daemon, first)["output"] == "done\n"

    _, [second] = make(daemon)
    w = worker(daemon, command=["sleep", "1000"])
    wait_until(lambda: one(daemon, second)["status"] == "running", 20, "the run")
    w.signal().says("finishing")
    w.signal()
    assert w.wait() == 0
    run = one(daemon, second)
    assert (run["status"], run["error"]) == ("failed", "the worker was stopped")


def test_survives_a_restart_of_the_server(make_daemon, worker, tmp_path):
    daemon = make_daemon(listen=[f"127.0.0.1:{fixed_port()}"])
    _, [run] = make(daemon)
    go = tmp_path / "go"
    os.mkfifo(go)
    w = worker(daemon, "--lease", 120, command=["sh", "-c", f"read x < {go}; echo $x"])
    wait_until(lambda: one(daemon, run)["status"] == "running", 20, "the run")
    daemon.kill()
    go.write_text("meanwhile\n")  # it ends while nobody is there to hear it
    daemon.start()
    run = daemon.wait_run(run, timeout=60)
    assert run["status"] == "success" and run["output"] == "meanwhile\n" and run["attempt"] == 1
    _, [other] = make(daemon)
    wait_until(lambda: one(daemon, other)["status"] == "running", 60, "the next run")
    go.write_text("after\n")
    assert daemon.wait_run(other)["status"] == "success"
    assert w.signal().wait() == 0


def test_what_has_ended_is_reported_however_long_the_server_is_away(make_daemon, worker, tmp_path):
    """The daemon gives every lease some time when it is back: what is done is not done again."""
    daemon = make_daemon(listen=[f"127.0.0.1:{fixed_port()}"])
    _, [run] = make(daemon, retry={"max_attempts": 5, "backoff_seconds": 0})
    go = tmp_path / "go"
    os.mkfifo(go)
    w = worker(daemon, "--lease", 6, command=["sh", "-c", f"read x < {go}; echo $x"])
    wait_until(lambda: one(daemon, run)["status"] == "running", 20, "the run")
    daemon.kill()
    go.write_text("done\n")
    w.says(f"run {run}: its end was not reported yet: cannot reach")
    with daemon.db() as con:
        [(end,)] = con.execute("SELECT expires_at FROM leases")
    wait_until(lambda: time.time() * 1000 > end, what="the end of the lease")
    daemon.start()
    run = daemon.wait_run(run, timeout=60)
    assert (run["status"], run["attempt"], run["output"]) == ("success", 1, "done\n")
    assert w.signal().wait() == 0
    assert "giving it up" not in w.stderr()


def test_a_server_that_stays_away_loses_the_run(daemon, worker, tmp_path):
    make(daemon)
    pid_file = tmp_path / "pid"
    w = worker(daemon, "--lease", 2, command=["sh", "-c", f"echo $$ > {pid_file}; exec sleep 1000"])
    pid = pid_of(pid_file)
    daemon.kill()
    wait_until(lambda: not alive(pid), 20, "the end of the command")
    w.says("not heard for too long")
    w.says("trying again")
    assert w.signal().wait() == 0


def test_sigkill_leaves_nothing_running_twice(daemon, worker, tmp_path):
    _, [run] = make(daemon, retry={"max_attempts": 100, "backoff_seconds": 0})
    pid_file = tmp_path / "pid"
    w = worker(daemon, "--lease", 1, command=["sh", "-c", f"echo $$ > {pid_file}; exec sleep 1000"])
    pid = pid_of(pid_file)
    w.process.kill()
    w.process.wait()
    wait_until(lambda: not alive(pid), 10, "the end of the command")
    worker(daemon, command=["sh", "-c", "echo $PAWL_ATTEMPT"])
    run = daemon.wait_run(run)
    assert run["status"] == "success" and run["output"] == run["attempt"] >= 2


def test_api_key(daemon, worker):
    out = cli("key", "add", "test", "--data", daemon.data)
    daemon.api_key = key = out.stdout.split()[-1]
    wait_until(lambda: daemon.get("/api/v1/runs", headers={"X-Api-Key": "no"}).status == 401, 10, "the key")
    w = worker(daemon)
    assert w.wait() == 1 and "UNAUTHENTICATED: an API key is needed" in w.stderr()
    _, [run] = make(daemon)
    worker(daemon, env={"PAWL_API_KEY": key})
    assert daemon.wait_run(run)["status"] == "success"


@pytest.mark.parametrize("args, message", [
    (["--", "cat"], "--pipeline: whose runs shall it be?"),
    (["--pipeline", "*"], "which command shall carry them out?"),
    (["--pipeline", "*", "-j", "0", "--", "cat"], "--jobs: '0' is not a number from 1 to 256"),
    (["--pipeline", "*", "--lease", "x", "--", "cat"], "--lease: 'x' is not a number"),
    (["--pipeline", "*", "--server", "ftp://a", "--", "cat"], "--server: 'ftp://a' is not an address"),
    (["--pipeline", "*", "--key", "a b", "--", "cat"], "--key: that is not a key"),
])
def test_usage(args, message):
    r = cli("worker", *args)
    assert r.returncode == 2 and message in r.stderr, r.stderr


def test_a_bad_pattern_ends_it(daemon, worker):
    w = worker(daemon, pipeline="NO!")
    assert w.wait() == 1 and "INVALID_ARGUMENT: pipelines: " in w.stderr()
