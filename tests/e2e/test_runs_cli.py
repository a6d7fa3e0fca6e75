"""`pawl runs` and `pawl cancel`."""
import pytest

from pawl import cli

NO_RUN = "01a1fbe8-b5a1-734a-94d9-1699870bc9c4"
HEADING = ["RUN", "PIPELINE", "TRIGGER", "STATUS", "ATTEMPT", "TOOK", "AGE", "ERROR"]


def table(daemon, *args):
    """The rows: lists of their first words."""
    r = cli("runs", "--server", daemon.url, *args)
    assert (r.returncode, r.stderr) == (0, ""), r.stderr
    heading, *rows = r.stdout.splitlines()
    assert heading.split() == HEADING
    return [row.split() for row in rows]


def test_runs(daemon):
    good, bad = daemon.create_pipeline(name="good"), daemon.create_pipeline(name="bad", argv=["/bin/false"], layer="silver")
    first = daemon.fire_ok(daemon.create_webhook_trigger(good))
    daemon.wait_run(first, "success")
    second = daemon.fire_ok(daemon.create_webhook_trigger(bad))
    daemon.wait_run(second, "failed")
    rows = table(daemon)
    assert [row[:5] for row in rows] == [[second, "default.silver.bad", "trigger:webhook", "failed", "1"],
                                         [first, "default.bronze.good", "trigger:webhook", "success", "1"]]
    assert rows[0][-3:] == ["exit", "status", "1"] and rows[1][-1] == "<none>"
    for args, expected in ((["-n", "1"], [second]), (["-p", "good"], [first]), (["-p", "default.silver.bad"], [second]),
                           (["-p", "default.silver.good"], []), (["-s", "success"], [first]), (["--dead"], [second])):
        assert [row[0] for row in table(daemon, *args)] == expected, args


@pytest.mark.parametrize("args,says", [
    (["--status", "odd"], "status"), (["--status", "a&b"], "--status: "), (["-n", "0"], "from 1 to 200"), (["-n", "201"], "from 1 to 200"),
    (["-p", "a.b"], "neither NAMESPACE.LAYER.NAME nor a name"), (["-p", "a/b"], "neither"), (["-p", "a.b.c.d"], "neither"), (["more"], "too much")])
def test_runs_refuses(daemon, args, says):
    r = cli("runs", "--server", daemon.url, *args)
    assert r.returncode in (1, 2) and says in r.stderr and r.stdout == ""


def test_cancel(daemon):
    t = daemon.create_webhook_trigger(daemon.create_pipeline(argv=["/bin/sleep", "600"], concurrency=1))
    runs = [daemon.fire_ok(t) for _ in range(2)]
    daemon.wait_run(daemon.fire_ok(daemon.create_webhook_trigger(daemon.create_pipeline())), "success")
    r = cli("cancel", "--server", daemon.url, *reversed(runs))
    assert (r.returncode, r.stdout) == (0, "".join(f"{run} cancelled\n" for run in reversed(runs)))
    assert [daemon.run(run)["status"] for run in runs] == ["cancelled", "cancelled"]
    r = cli("cancel", "--server", daemon.url, runs[0], NO_RUN)
    assert r.returncode == 1 and r.stdout == "" and r.stderr.count("pawl cancel: ") == 2
    for args, says in (([], "which runs?"), (["x"], "'x' is not the id of a run")):
        r = cli("cancel", "--server", daemon.url, *args)
        assert r.returncode == 2 and says in r.stderr
