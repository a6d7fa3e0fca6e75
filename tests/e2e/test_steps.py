"""Pipelines of several steps: order, what one hands to the next, failures, time limits, cancelling, crashes, what is shown."""
import base64
import itertools
import json
import os
import random
import signal
import threading

import pytest

import crash
from pawl import ROOT, wait_until
from receiver import Answer, Receiver

names = itertools.count()

# Prints a member of the event document on stdin as JSON.
MEMBER = "import json, sys; print(json.dumps(json.load(sys.stdin).get(sys.argv[1], 'absent')))"


def sh(name, script, *args, **fields):
    return {"name": name, "argv": ["/bin/sh", "-c", script, "sh", *map(str, args)], **fields}


def show(name, member):
    return {"name": name, "argv": ["/usr/bin/python3", "-c", MEMBER, member]}


def post(daemon, steps, **fields):
    return daemon.post("/api/v1/pipelines", {"namespace": "default", "layer": "bronze", "name": f"s{next(names)}", "steps": steps, **fields})


def start(daemon, pipeline, **fields):
    body = {"namespace": pipeline["namespace"], "layer": pipeline["layer"], "pipeline": pipeline["name"], **fields}
    return daemon.post("/api/v1/runs", body).expect(202).json()["run_id"]


def begin(daemon, *steps, input=None, **fields):
    """Creates a pipeline and starts a run of it."""
    return start(daemon, post(daemon, list(steps), **fields).expect(201).json(), **({"input": input} if input is not None else {}))


def statuses(run):
    return [(s["name"], s["status"]) for s in run["steps"]]


def messages(daemon, run_id):
    return [(line["step"], line["stream"], line["message"]) for line in daemon.logs(run_id)]


def wait_file(path):
    wait_until(lambda: os.path.exists(path) and os.path.getsize(path) > 0, what=f"{path} to be written")
    with open(path) as f:
        return f.read()


def wait_gone(pid):
    def gone():
        try:
            with open(f"/proc/{pid}/stat") as f:
                return f.read().rsplit(")", 1)[1].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True

    wait_until(gone, what=f"process {pid} to end")


# ---- order and hand-over ----


def test_steps_run_in_order_and_hand_over(daemon, tmp_path):
    trace = tmp_path / "trace"
    note = f"echo $PAWL_RUN_ID $PAWL_ATTEMPT >>{trace}; "
    run_id = begin(daemon,
                   sh("one", note + "echo '{\"rows\": 1.50}'; echo loud >&2"),
                   show("two", "previous_output"),
                   sh("three", note + "cat"), input={"n": 7})
    run = daemon.wait_run(run_id, "success")
    doc = run["output"]  # the output is the last step's, here all that it was given
    assert doc["previous_output"] == {"rows": 1.5} and doc["step"] == "three" and "files" not in doc
    assert doc["payload"] == {"n": 7} and doc["run_id"] == run_id and doc["attempt"] == 1
    assert statuses(run) == [("one", "success"), ("two", "success"), ("three", "success")]
    assert trace.read_text() == f"{run_id} 1\n" * 2
    lines = messages(daemon, run_id)
    assert lines[:2] in ([("one", "stdout", '{"rows": 1.50}'), ("one", "stderr", "loud")],
                         [("one", "stderr", "loud"), ("one", "stdout", '{"rows": 1.50}')])
    assert lines[2] == ("two", "stdout", '{"rows": 1.5}') and lines[3][:2] == ("three", "stdout") and len(lines) == 4


def test_times_of_steps(daemon):
    run = daemon.wait_run(begin(daemon, sh("one", "exit 0"), sh("two", "exit 0")), "success")
    one, two = run["steps"]
    assert set(one) == {"name", "status", "started_at", "finished_at", "duration_ms", "exit_status", "error"}
    assert run["started_at"] <= one["started_at"] <= one["finished_at"] <= two["started_at"] <= two["finished_at"] <= run["finished_at"]
    assert one["duration_ms"] >= 0 and one["exit_status"] == 0 and one["error"] is None


@pytest.mark.parametrize("script,member,becomes", [
    ("printf '[1, 2]'", "previous_output", [1, 2]),
    ("echo 42", "previous_output", 42),
    ("echo '\"text\"'", "previous_output", "text"),
    ("echo null", "previous_output", None),
    ("echo plain", "previous_output", "plain\n"),
    ("echo '{broken'", "previous_output", "{broken\n"),
    ("printf 'é'", "previous_output", "é"),
    ("true", "previous_output", None),
    ("printf '\\000\\377'", "previous_output", None),
    ("printf '\\000\\377'", "previous_output_base64", base64.b64encode(b"\0\xff").decode()),
    ("true", "previous_output_base64", "absent"),
])
def test_what_the_previous_output_becomes(daemon, script, member, becomes):
    run = daemon.wait_run(begin(daemon, sh("one", script), show("two", member)), "success")
    assert run["output"] == becomes


def test_the_first_step_has_no_previous_output(daemon):
    run = daemon.wait_run(begin(daemon, show("one", "previous_output"), sh("two", "cat")), "success")
    assert run["output"]["previous_output"] == "absent"
    run = daemon.wait_run(begin(daemon, show("only", "step")), "success")
    assert run["output"] == "absent"


def test_large_output_is_handed_over_whole(daemon, tmp_path):
    size = 1 << 20
    out = tmp_path / "out"
    run_id = begin(daemon,
                   {"name": "make", "argv": ["/usr/bin/python3", "-c", f"print('x' * {size}, end='')"]},
                   {"name": "pass", "argv": ["/usr/bin/python3", "-c",
                                             "import json, sys; print(json.load(sys.stdin)['previous_output'], end='')"]},
                   sh("keep", 'cat >"$1"', out))
    daemon.wait_run(run_id, "success")
    assert json.loads(out.read_text())["previous_output"] == "x" * size


def test_output_beyond_the_limit_is_cut_for_the_next(daemon):
    run_id = begin(daemon,
                   {"name": "make", "argv": ["/usr/bin/python3", "-c", "print('x' * (3 << 20))"]},
                   {"name": "look", "argv": ["/usr/bin/python3", "-c",
                                             "import json, sys; p = json.load(sys.stdin)['previous_output']; print(len(p), p[-40:])"]})
    mark = "\n[output truncated at 1048576 bytes]"
    text = daemon.wait_run(run_id, "success")["output"]
    assert text.startswith(str((1 << 20) + len(mark)) + " ") and text.endswith("[output truncated at 1048576 bytes]\n")


def test_one_step(daemon):
    p = post(daemon, [{"argv": ["/bin/echo", "a"]}]).expect(201).json()
    run_id = start(daemon, p)
    run = daemon.wait_run(run_id, "success")
    assert run["output"] == "a\n" and statuses(run) == [("step-1", "success")]
    assert "step" not in daemon.logs(run_id)[0]


def test_a_pipeline_with_an_executor_shows_no_steps(daemon):
    run = daemon.wait_run(start(daemon, daemon.create_pipeline()), "success")
    assert "steps" not in run


def test_many_steps(daemon):
    run_id = begin(daemon, *[{"argv": ["/bin/sh", "-c", f"echo {i}"]} for i in range(100)])
    run = daemon.wait_run(run_id, "success")
    assert [s["name"] for s in run["steps"]] == [f"step-{i + 1}" for i in range(100)]
    assert [m for _, _, m in messages(daemon, run_id)] == [str(i) for i in range(100)] and run["output"] == 99


def test_runs_in_lists_are_without_steps(daemon):
    daemon.wait_run(begin(daemon, sh("one", "exit 0"), sh("two", "exit 0")), "success")
    assert "steps" not in daemon.get("/api/v1/runs").json()["runs"][0]


def test_the_example_in_the_documents(daemon):
    with open(os.path.join(ROOT, "docs", "executors.md"), encoding="utf-8") as f:
        section = f.read().split("\n## Steps\n")[1].split("\n## ")[0]
    example, shown = (json.loads(block.split("```")[0]) for block in section.split("```json\n")[1:])
    p = daemon.post("/api/v1/pipelines", example).expect(201).json()
    run = daemon.wait_run(start(daemon, p), "success")
    assert run["output"] == 7
    assert [set(s) for s in shown["steps"]] == [set(s) for s in run["steps"]]


# ---- with other executors ----


@pytest.fixture
def receiver():
    with Receiver() as r:
        yield r


def to(name, receiver, **executor):
    return {"name": name, "executor": {"type": "http", "url": receiver.url, **executor}}


def test_a_request_between_two_programs(daemon, receiver):
    receiver.answer = lambda r: Answer(200, json.dumps({"doubled": 2 * json.loads(r.body)["n"]}).encode())
    run_id = begin(daemon, sh("one", "echo '{\"n\": 21}'"), to("two", receiver), show("three", "previous_output"), input={"n": 1})
    run = daemon.wait_run(run_id, "success")
    assert run["output"] == {"doubled": 42}
    [r] = receiver.requests
    assert r.headers["ce-pawlstep"] == "two" and r.headers["content-type"] == "application/json"
    assert statuses(run) == [("one", "success"), ("two", "success"), ("three", "success")]
    assert "exit_status" not in run["steps"][1]
    assert {step for step, _, _ in messages(daemon, run_id)} == {"one", "two", "three"}


def test_a_request_that_fails_for_good_ends_the_run_for_good(daemon, receiver):
    receiver.answer = lambda r: Answer(404)
    run_id = begin(daemon, sh("one", "exit 0"), to("two", receiver), sh("three", "exit 0"), retry={"max_attempts": 3, "backoff_seconds": 0})
    run = daemon.wait_run(run_id, "failed")
    assert run["error"] == "step 'two': the server answered with status 404" and run["attempt"] == 1
    assert len(receiver.requests) == 1


def test_the_time_of_a_run_ends_a_request(daemon, receiver):
    hold = threading.Event()
    receiver.answer = lambda r: hold.wait(3600) and None
    run_id = begin(daemon, to("one", receiver), sh("two", "exit 0"), timeout_seconds=1)
    run = daemon.wait_run(run_id, "failed")
    hold.set()
    assert run["error"] == "step 'one': timed out after 1s" and statuses(run) == [("one", "failed"), ("two", "skipped")]


# ---- failure ----


def test_the_first_failure_ends_the_run(daemon, tmp_path):
    mark = tmp_path / "mark"
    run_id = begin(daemon, sh("one", "echo 1"), sh("two", "echo 2; exit 3"), sh("three", 'touch "$1"', mark), sh("four", "exit 0"))
    run = daemon.wait_run(run_id, "failed")
    assert run["error"] == "step 'two': exit status 3" and run["output"] == 2
    assert statuses(run) == [("one", "success"), ("two", "failed"), ("three", "skipped"), ("four", "skipped")]
    two, three = run["steps"][1:3]
    assert two["exit_status"] == 3 and two["error"] == "exit status 3"
    assert three["started_at"] is None and three["finished_at"] is None and three["duration_ms"] is None and three["error"] is None
    assert "exit_status" not in three and not mark.exists()


def test_a_step_that_cannot_start(daemon):
    run = daemon.wait_run(begin(daemon, sh("one", "exit 0"), {"name": "two", "argv": ["/no/such/program"]}), "failed")
    assert run["error"] == "step 'two': cannot start \"/no/such/program\": No such file or directory"
    assert "exit_status" not in run["steps"][1]


def test_a_step_that_is_killed(daemon):
    run = daemon.wait_run(begin(daemon, sh("one", "kill -KILL $$"), sh("two", "exit 0")), "failed")
    assert run["error"] == "step 'one': killed by signal 9 (SIGKILL)"
    assert statuses(run) == [("one", "failed"), ("two", "skipped")]


def test_the_next_attempt_begins_at_the_first_step(daemon, tmp_path):
    trace = tmp_path / "trace"
    run_id = begin(daemon, sh("one", 'echo "one $PAWL_ATTEMPT" >>"$1"', trace),
                   sh("two", 'echo "two $PAWL_ATTEMPT" >>"$1"; test "$PAWL_ATTEMPT" = 2', trace),
                   retry={"max_attempts": 3, "backoff_seconds": 0})
    run = daemon.wait_run(run_id, "success")
    assert trace.read_text() == "one 1\ntwo 1\none 2\ntwo 2\n"
    assert run["attempt"] == 2 and statuses(run) == [("one", "success"), ("two", "success")] and run["error"] is None
    first, second = run["attempts"]
    assert statuses(first) == [("one", "success"), ("two", "failed")] and first["error"] == "step 'two': exit status 1"
    assert "steps" not in second  # they are the run's


# ---- time limits ----


def test_time_limit_of_a_step(daemon):
    run = daemon.wait_run(begin(daemon, sh("one", "exit 0"), sh("two", "exec sleep 1000", timeout_seconds=0.2), sh("three", "exit 0")),
                          "failed")
    assert run["error"] == "step 'two': timed out after 200ms"
    assert statuses(run) == [("one", "success"), ("two", "failed"), ("three", "skipped")]


def test_time_limit_of_one_step_does_not_count_for_another(daemon):
    sleep = "exec sleep 1.4"
    daemon.wait_run(begin(daemon, *[sh(f"s{i}", sleep, timeout_seconds=4) for i in range(3)]), "success")


def test_time_limit_of_the_run_covers_all_steps(daemon):
    run_id = begin(daemon, *[sh(f"s{i}", "exec sleep 0.2") for i in range(50)], timeout_seconds=0.5)
    run = daemon.wait_run(run_id, "failed")
    late = [s for s in run["steps"] if s["status"] == "failed"]
    assert len(late) == 1 and late[0]["error"] == "timed out after 500ms"
    assert run["error"] == f"step '{late[0]['name']}': timed out after 500ms"
    n = run["steps"].index(late[0])
    assert n <= 2 and all(s["status"] == "success" for s in run["steps"][:n])
    assert all(s["status"] == "skipped" for s in run["steps"][n + 1:])


def test_the_shorter_limit_of_a_single_step_counts(daemon):
    for step, run in ((0.1, 50), (50, 0.1), (0, 0.1)):
        r = daemon.wait_run(begin(daemon, sh("one", "exec sleep 1000", timeout_seconds=step), timeout_seconds=run), "failed")
        assert r["error"] == "timed out after 100ms"


def test_a_program_that_ignores_the_end_of_its_time(daemon):
    stubborn = {"name": "one", "executor": {"type": "command", "argv": ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"],
                                            "kill_grace_seconds": 0.2}}
    run = daemon.wait_run(begin(daemon, stubborn, sh("two", "exit 0"), timeout_seconds=0.5), "failed")
    assert run["error"] == "step 'one': timed out after 500ms" and statuses(run) == [("one", "failed"), ("two", "skipped")]


# ---- cancelling ----


@pytest.mark.parametrize("n", [0, 1, 2])
def test_cancel_in_each_step(daemon, tmp_path, n):
    here = tmp_path / "here"
    steps = [sh(f"s{i}", 'echo $$ >"$1"; exec sleep 1000', here) if i == n else sh(f"s{i}", "echo done") for i in range(3)]
    run_id = begin(daemon, *steps, retry={"max_attempts": 3, "backoff_seconds": 0})
    pid = int(wait_file(here))
    run = daemon.post(f"/api/v1/runs/{run_id}/cancel").expect(200).json()
    assert run["status"] == "cancelled" and run["error"] == "cancelled" and run["attempt"] == 1
    assert [s["status"] for s in run["steps"]] == (["success"] * n + ["cancelled", "skipped", "skipped"])[:3]
    wait_gone(pid)


def test_cancel_between_many_steps(daemon):
    """Wherever it hits, the run ends once, and no step begins after it."""
    for _ in range(10):
        run_id = begin(daemon, *[sh(f"s{i}", "exit 0") for i in range(60)], sh("last", "exec sleep 1000"))
        wait_until(lambda: any(s["status"] == "success" for s in daemon.run(run_id).get("steps", [])), what="a step to end")
        daemon.post(f"/api/v1/runs/{run_id}/cancel").expect(200)
        run = daemon.wait_run(run_id, "cancelled")
        order = [s["status"] for s in run["steps"]]
        n = order.count("success")
        assert order[:n] == ["success"] * n and set(order[n + 1:]) <= {"skipped"}


# ---- the daemon stops ----


def test_kill_in_the_second_step(make_daemon, tmp_path):
    """Nobody knows then how far the attempt got; the next one begins at the first step."""
    d = make_daemon()
    trace, here = tmp_path / "trace", tmp_path / "here"
    run_id = begin(d, sh("one", 'echo "one $PAWL_ATTEMPT" >>"$1"', trace),
                   sh("two", 'echo "two $PAWL_ATTEMPT" >>"$1"; test "$PAWL_ATTEMPT" = 2 && exit; echo $$ >"$2"; exec sleep 1000', trace, here),
                   sh("three", "echo end"), retry={"max_attempts": 2, "backoff_seconds": 0})
    pid = int(wait_file(here))
    assert statuses(d.run(run_id)) == [("one", "success"), ("two", "running"), ("three", "pending")]
    d.kill()
    try:
        d.start()
        run = d.wait_run(run_id, "success")
        assert run["attempt"] == 2 and statuses(run) == [("one", "success"), ("two", "success"), ("three", "success")]
        assert run["attempts"][0]["status"] == "interrupted" and "steps" not in run["attempts"][0]
        assert trace.read_text() == "one 1\ntwo 1\none 2\ntwo 2\n"
    finally:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def test_kills_at_any_moment(make_daemon, tmp_path):
    """Every run ends once, as a success, with all its steps in order in its last attempt; no step of an attempt began twice."""
    seed = crash.seed_of_the_day()
    chance = random.Random(seed)
    d = make_daemon(config={"running_max": 8})
    trace = tmp_path / "trace"
    p = post(d, [sh(f"s{i}", f'echo "$PAWL_RUN_ID $PAWL_ATTEMPT {i}" >>"$1"', trace) for i in range(4)],
             retry={"max_attempts": 100, "backoff_seconds": 0}).expect(201).json()
    runs = []
    for n in itertools.count():
        if n >= 8 and any(run["attempt"] > 1 for run in d.all_runs()):
            break  # there were kills, and not all of them came when everything was done
        wanted = chance.randrange(1, 30)
        before = trace.read_text().count("\n") if trace.exists() else 0
        runs += [start(d, p) for _ in range(10)]
        wait_until(lambda: trace.exists() and trace.read_text().count("\n") >= before + wanted, what="steps to run")
        d.kill()
        d.start()
    final = {run_id: d.wait_run(run_id, "success", timeout=60) for run_id in runs}
    lines = [tuple(line.split()) for line in trace.read_text().splitlines()]
    assert len(lines) == len(set(lines)), f"seed {seed}"
    for run_id, run in final.items():
        last = [step for r, attempt, step in lines if r == run_id and attempt == str(run["attempt"])]
        assert last == ["0", "1", "2", "3"], f"seed {seed}: {run}"
        assert [s["status"] for s in run["steps"]] == ["success"] * 4


def test_kill_without_another_attempt(make_daemon, tmp_path):
    d = make_daemon()
    here = tmp_path / "here"
    run_id = begin(d, sh("one", "exit 0"), sh("two", 'echo $$ >"$1"; exec sleep 1000', here))
    pid = int(wait_file(here))
    d.kill()
    try:
        d.start()
        run = d.wait_run(run_id, "failed")
        assert run["error"] == "interrupted" and "steps" not in run
    finally:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass


def test_stopping_interrupts_the_present_step(make_daemon, tmp_path):
    d = make_daemon(config={"stop_grace_seconds": 0})
    here = tmp_path / "here"
    run_id = begin(d, sh("one", "echo 1"), sh("two", 'echo $$ >"$1"; exec sleep 1000', here), sh("three", "exit 0"))
    wait_file(here)
    d.stop()
    d.start()
    run = d.wait_run(run_id, "failed")
    assert run["error"] == "interrupted"
    assert statuses(run) == [("one", "success"), ("two", "failed"), ("three", "skipped")]
    assert messages(d, run_id) == [("one", "stdout", "1")]


def test_stopping_lets_the_steps_end_within_the_grace(make_daemon, tmp_path):
    d = make_daemon(config={"stop_grace_seconds": 60})
    here, go = tmp_path / "here", tmp_path / "go"
    os.mkfifo(go)
    run_id = begin(d, sh("one", 'echo x >"$1"; read line <"$2"', here, go), sh("two", "echo 2"))
    wait_file(here)
    d.begin_stop()
    go.write_text("go\n")
    d.wait_exit()
    d.start()
    assert statuses(d.wait_run(run_id, "success")) == [("one", "success"), ("two", "success")]


def test_steps_survive_a_restart(make_daemon):
    d = make_daemon()
    run_id = begin(d, sh("one", "echo a"), sh("two", "echo b; exit 4"))
    before, log = d.wait_run(run_id, "failed"), d.logs(run_id)
    d.kill()
    d.start()
    assert d.run(run_id) == before and d.logs(run_id) == log


# ---- while it runs ----


def test_steps_are_shown_while_they_run(daemon, tmp_path):
    here, go = tmp_path / "here", tmp_path / "go"
    os.mkfifo(go)
    p = post(daemon, [sh("one", "exit 0"), sh("two", 'echo x >"$1"; read line <"$2"', here, go), sh("three", "exit 0")]).expect(201).json()
    run_id = start(daemon, p)
    wait_file(here)
    run = daemon.run(run_id)
    assert run["status"] == "running" and statuses(run) == [("one", "success"), ("two", "running"), ("three", "pending")]
    one, two, three = run["steps"]
    assert one["duration_ms"] is not None and two["started_at"] and two["finished_at"] is None and three["started_at"] is None
    go.write_text("go\n")
    assert statuses(daemon.wait_run(run_id, "success")) == [("one", "success"), ("two", "success"), ("three", "success")]


def test_a_running_run_always_shows_its_steps(daemon):
    """Also at the moments when it begins and when its end is being written."""
    for _ in range(20):
        run_id = begin(daemon, sh("one", "exit 0"), sh("two", "exit 0"))
        while True:
            run = daemon.run(run_id)
            if run["status"] != "pending":
                assert len(run["steps"]) == 2, run
            if run["status"] == "success":
                break
            assert run["status"] in ("pending", "running")


def test_a_followed_log_goes_on_from_step_to_step(daemon, tmp_path):
    here, go = tmp_path / "here", tmp_path / "go"
    os.mkfifo(go)
    run_id = begin(daemon, sh("one", "printf a"), sh("two", 'echo x >"$1"; read line <"$2"; echo b >&2', here, go), sh("three", "echo c"))
    wait_file(here)
    seen = []

    def follow():
        body = daemon.get(f"/api/v1/runs/{run_id}/logs", headers={"Accept": "text/event-stream"}).expect(200).body.decode()
        for event in body.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in event.split("\n") if ": " in line)
            if fields.get("event") == "log":
                line = json.loads(fields["data"])
                seen.append((fields["id"], line["step"], line["stream"], line["message"]))

    reader = threading.Thread(target=follow)
    reader.start()
    go.write_text("go\n")
    reader.join()
    assert seen == [("1.1", "one", "stdout", "a"), ("1.2", "two", "stderr", "b"), ("1.3", "three", "stdout", "c")]
    assert messages(daemon, run_id) == [line[1:] for line in seen]


# ---- bad input ----


@pytest.mark.parametrize("steps,says", [
    ({}, "steps: "),
    ([], "steps: must be an array of 1 to 100 steps"),
    ([{"argv": ["a"]}] * 101, "steps: must be an array of 1 to 100 steps"),
    ([{"argv": ["a"]}, "b"], "steps[1]: must be an object"),
    ([{"argv": ["a"]}, {"name": "b"}], "steps[1].executor: exactly one of executor and argv is required"),
    ([{"name": "a", "argv": ["a"]}, {"name": "a", "argv": ["b"]}], "steps[1].name: steps[0] has the name 'a' too"),
    ([{"name": "No Slug", "argv": ["a"]}], "steps[0].name: must be 1 to 63"),
    ([{"name": "a" * 64, "argv": ["a"]}], "steps[0].name: must be 1 to 63"),
    ([{"name": 1, "argv": ["a"]}], "steps[0].name: "),
    ([{"argv": ["a"]}, {"argv": []}], "steps[1].argv: must name a program"),
    ([{"argv": ["a"]}, {"argv": ["a"], "env": {}}], "steps[1].env: is not a known field"),
    ([{"argv": ["a"], "timeout_seconds": -1}], "steps[0].timeout_seconds: "),
    ([{"argv": ["a"], "timeout_seconds": "5"}], "steps[0].timeout_seconds: "),
    ([{"argv": ["a"], "timeout_seconds": 1e9}], "steps[0].timeout_seconds: "),
    ([{"argv": ["a"]}, {"executor": {"type": "pigeon"}}], "steps[1].executor.type: 'pigeon' is not one of"),
    ([{"argv": ["a"]}, {"executor": {"type": "pull"}}],
     "steps[1].executor.type: a pipeline whose runs are taken by workers (pull) has exactly one step, not 2"),
    ([{"executor": {"type": "pull"}}, {"argv": ["a"]}], "steps[0].executor.type: a pipeline whose runs are taken by workers"),
])
def test_bad_steps(daemon, steps, says):
    r = post(daemon, steps).expect(400)
    assert r.error == "INVALID_ARGUMENT" and r.message.startswith(says), r.message
    assert daemon.get("/api/v1/pipelines").json()["total"] == 0


def test_steps_and_executor_exclude_each_other(daemon):
    r = post(daemon, [{"argv": ["a"]}], executor={"type": "command", "argv": ["a"]}).expect(400)
    assert r.message == "executor: exactly one of executor and steps is required"


def test_a_single_step_may_be_pulled(daemon):
    run_id = begin(daemon, {"name": "outside", "executor": {"type": "pull"}})
    run = daemon.post("/api/v1/runs/claim", {"pipelines": ["default.*"]}).expect(200).json()["runs"][0]
    assert run["run_id"] == run_id and run["executor"] == {"type": "pull"}
    daemon.post(f"/api/v1/runs/{run_id}/complete", {"lease_token": run["lease_token"], "output": 1}).expect(200)
    assert daemon.wait_run(run_id, "success")["output"] == 1


def test_a_new_version_with_other_steps(daemon, tmp_path):
    here, go = tmp_path / "here", tmp_path / "go"
    os.mkfifo(go)
    p = post(daemon, [sh("one", 'echo x >"$1"; read line <"$2"', here, go), sh("two", "echo old")]).expect(201).json()
    old = start(daemon, p)
    wait_file(here)
    daemon.put(daemon.pipeline_path(p), {"steps": [sh("uno", "echo new")]}).expect(200)
    go.write_text("go\n")
    assert daemon.wait_run(old, "success")["output"] == "old\n"
    run = daemon.wait_run(start(daemon, p), "success")
    assert run["output"] == "new\n" and statuses(run) == [("uno", "success")]


def test_a_noisy_step_leaves_room_for_the_next(daemon):
    noisy = {"name": "noisy", "argv": ["/bin/sh", "-c", "yes 'a line like all the others' | head -n 40000"]}
    run = begin(daemon, noisy, {"name": "next", "argv": ["/bin/echo", "heard"]})
    daemon.wait_run(run, "success")
    log = daemon.get(f"/api/v1/runs/{run}/logs").expect(200).json()
    assert log["truncated"] is True
    assert [line["message"] for line in log["logs"] if line["step"] == "next"] == ["heard"]
    assert [line["step"] for line in log["logs"] if line.get("truncated")] == ["noisy"]
