"""`pawl serve --manifests DIR`: a directory that is kept applied."""
import os
import shutil
import subprocess

import pytest

import pawl
from pawl import wait_until

PIPELINE = """
apiVersion: pawl.dev/v1
kind: Pipeline
metadata: {{name: {name}, namespace: data}}
spec: {{executor: {{type: command, argv: [{argv}]}}}}
"""


def pipeline(name, argv="cat"):
    return PIPELINE.format(name=name, argv=argv)


TRIGGER = """
apiVersion: pawl.dev/v1
kind: Trigger
metadata: {name: hook, namespace: data}
spec: {pipeline: a, type: webhook, config: {}}
"""


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "manifests").mkdir()
    return tmp_path / "manifests"


@pytest.fixture
def start(make_daemon, directory):
    return lambda **kw: make_daemon("--manifests", str(directory), **kw)


def names(d):
    return sorted(p["name"] for p in d.get("/api/v1/pipelines").expect(200).json()["pipelines"])


def wait_names(d, *expected):
    wait_until(lambda: names(d) == sorted(expected), what=f"the pipelines {expected}, there are {names(d)}")


def state(d, name=None):
    answer = d.get("/api/v1/manifests").expect(200).json()
    return answer if name is None else next((f for f in answer["files"] if f["file"] == name), None)


def wait_state(d, name, state_is):
    return wait_until(lambda: (state(d, name) or {}).get("state") == state_is and state(d, name), what=f"{name} to be {state_is}")


def put(directory, name, text):
    """Writes a file as careful programs do: beside it, then moved into its place."""
    (directory / f".{name}.swp").write_text(text)
    os.rename(directory / f".{name}.swp", directory / name)


def test_it_is_applied_before_the_daemon_is_ready(start, directory):
    (directory / "b.yaml").write_text(TRIGGER)
    (directory / "a.yml").write_text(pipeline("a"))
    (directory / "c.json").write_text('{"kind": "List", "items": []}')
    (directory / "notes.txt").write_text("kind: Nothing\n")
    d = start()
    assert names(d) == ["a"]
    s = state(d)
    assert s["directory"] == str(directory) and s["error"] is None
    assert [(f["file"], f["state"], f["objects"]) for f in s["files"]] == [("a.yml", "applied", 1), ("b.yaml", "applied", 1), ("c.json", "applied", 0)]
    d.restart()
    assert d.get("/api/v1/pipelines/data/events/a").json()["version"] == 1


def test_there_is_none(daemon):
    assert state(daemon) == {"directory": None, "error": None, "files": []}


def test_files_come_change_and_go(start, directory):
    d = start()
    put(directory, "a.yaml", pipeline("a"))
    wait_names(d, "a")
    put(directory, "a.yaml", pipeline("a", "tac"))
    wait_until(lambda: d.get("/api/v1/pipelines/data/events/a").json()["version"] == 2)
    with open(directory / "a.yaml", "a", encoding="utf-8") as f:
        f.write("---" + pipeline("b"))
    wait_names(d, "a", "b")
    os.rename(directory / "a.yaml", directory / "z.yaml")
    wait_state(d, "z.yaml", "applied")
    assert names(d) == ["a", "b"] and state(d, "a.yaml") is None
    assert d.get("/api/v1/pipelines/data/events/a").json()["version"] == 2
    os.unlink(directory / "z.yaml")
    wait_names(d)


def test_what_moves_to_another_file_stays(start, directory):
    put(directory, "a.yaml", pipeline("a") + "---" + pipeline("b"))
    d = start()
    before = d.get("/api/v1/pipelines/data/events/a").json()["id"]
    put(directory, "b.yaml", pipeline("a"))
    wait_state(d, "b.yaml", "error")
    assert "is defined in a.yaml" in state(d, "b.yaml")["problems"][0]["message"]
    put(directory, "a.yaml", pipeline("b"))
    wait_state(d, "b.yaml", "applied")
    os.unlink(directory / "a.yaml")
    wait_names(d, "a")
    assert d.get("/api/v1/pipelines/data/events/a").json()["id"] == before


@pytest.mark.parametrize("bad,line,field,part", [
    ("a: [1\n", 2, "a", "not valid YAML: did not find"),
    (pipeline("a").replace("argv", "arg"), 5, "spec.executor.argv", "is required"),
    (TRIGGER.replace("pipeline: a", "pipeline: none"), 5, "spec.pipeline", "no such pipeline"),
    ("", 1, "", "is empty"),
    ("x" * (2 << 20), 1, "", "longer than"),
], ids=["yaml", "field", "reference", "empty", "long"])
def test_a_bad_file_keeps_what_it_had(start, directory, bad, line, field, part):
    put(directory, "a.yaml", pipeline("a"))
    put(directory, "b.yaml", pipeline("b"))
    d = start()
    put(directory, "a.yaml", bad)
    problem = wait_state(d, "a.yaml", "error")["problems"][0]
    assert (problem["line"], problem["field"]) == (line, field) and part in problem["message"]
    put(directory, "c.yaml", pipeline("c"))
    os.unlink(directory / "b.yaml")
    wait_names(d, "a", "c")
    assert d.get("/health/ready").expect(200)
    assert f"{directory}/a.yaml:{line}:" in d.stderr()
    d.restart()
    assert names(d) == ["a", "c"]
    put(directory, "a.yaml", pipeline("a", "tac"))
    wait_state(d, "a.yaml", "applied")
    assert d.get("/api/v1/pipelines/data/events/a").json()["version"] == 2


def test_bad_at_start_does_not_keep_it_from_starting(start, directory):
    put(directory, "a.yaml", "a: [\n")
    put(directory, "b.yaml", pipeline("b"))
    d = start()
    assert names(d) == ["b"] and state(d, "a.yaml")["state"] == "error" and state(d, "a.yaml")["applied_at"] is None


def test_what_went_while_it_was_down_is_deleted(start, directory):
    put(directory, "a.yaml", pipeline("a"))
    d = start()
    d.create_pipeline(namespace="data", layer="events", name="by-hand", argv=["true"])
    d.stop()
    os.unlink(directory / "a.yaml")
    d.start()
    assert names(d) == ["by-hand"]


def test_a_directory_that_is_missing_deletes_nothing(start, directory):
    put(directory, "a.yaml", pipeline("a"))
    d = start()
    shutil.rmtree(directory)
    wait_until(lambda: state(d)["error"])
    assert names(d) == ["a"]
    d.restart()
    assert names(d) == ["a"]
    directory.mkdir()
    put(directory, "b.yaml", pipeline("b"))
    wait_names(d, "b")
    assert state(d)["error"] is None
    put(directory, "c.yaml", pipeline("c"))
    wait_names(d, "b", "c")


def test_a_directory_that_cannot_be_watched_is_looked_at_again_and_again(start, directory, tmp_path):
    so = tmp_path / "no_watches.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", so, os.path.join(pawl.ROOT, "tests", "lib", "no_watches.c")], check=True)
    asan = pawl.environment()["ASAN_OPTIONS"] + ":verify_asan_link_order=0"
    put(directory, "a.yaml", pipeline("a"))
    d = start(env={"LD_PRELOAD": str(so), "ASAN_OPTIONS": asan})
    for n in range(1, 3):
        put(directory, "a.yaml", pipeline("a", f"t{n}"))
        wait_until(lambda: d.get("/api/v1/pipelines/data/events/a").json()["version"] == n + 1)
    os.unlink(directory / "a.yaml")
    wait_names(d)
    assert d.stderr().count("cannot be watched") == 1 and "raise fs.inotify.max_user_watches" in d.stderr()


def test_the_swap_of_a_link_as_config_maps_do_it(start, directory):
    for n, text in (("1", pipeline("a")), ("2", pipeline("b"))):
        (directory / f"..{n}").mkdir()
        (directory / f"..{n}" / "x.yaml").write_text(text)
    os.symlink("..1", directory / "..data")
    os.symlink("..data/x.yaml", directory / "x.yaml")
    d = start()
    assert names(d) == ["a"]
    os.symlink("..2", directory / "..tmp")
    os.rename(directory / "..tmp", directory / "..data")
    wait_names(d, "b")


def test_a_link_that_leads_nowhere_for_a_while(start, directory, tmp_path):
    """What it leads to may be on a disk that is not there yet: nothing is deleted for it, and nobody has to say that it is back."""
    (tmp_path / "a.yaml").write_text(pipeline("a"))
    os.symlink(tmp_path / "a.yaml", directory / "a.yaml")
    d = start()
    assert names(d) == ["a"]
    os.rename(tmp_path / "a.yaml", tmp_path / "away")
    d.restart()
    assert names(d) == ["a"]
    problem, = state(d, "a.yaml")["problems"]
    assert problem["message"] == "cannot be read: the link leads nowhere"
    (tmp_path / "away").write_text(pipeline("a") + "---" + pipeline("b"))
    os.rename(tmp_path / "away", tmp_path / "a.yaml")
    wait_names(d, "a", "b")
    os.unlink(directory / "a.yaml")
    wait_names(d)


def test_a_directory_that_is_a_link_to_another(make_daemon, tmp_path):
    for n, text in (("one", pipeline("a")), ("two", pipeline("b"))):
        (tmp_path / n).mkdir()
        (tmp_path / n / "x.yaml").write_text(text)
    os.symlink("one", tmp_path / "link")
    d = make_daemon("--manifests", str(tmp_path / "link"))
    assert names(d) == ["a"]
    os.symlink("two", tmp_path / "link2")
    os.rename(tmp_path / "link2", tmp_path / "link")
    wait_names(d, "b")


def test_a_busy_editor(start, directory):
    """Truncates, writes in pieces, leaves its own files around: nothing that is defined all the time goes in between."""
    put(directory, "a.yaml", pipeline("a") + "---" + TRIGGER)
    d = start()
    before = d.get("/api/v1/pipelines/data/events/a/triggers").json()["triggers"][0]["id"]
    for i in range(30):
        with open(directory / "a.yaml", "w", encoding="utf-8") as f:
            text = pipeline("a", f"e{i}") + "---" + TRIGGER
            f.flush()
            f.write(text[:40])
            f.flush()
            f.write(text[40:])
        (directory / "a.yaml~").write_text("backup: [")
        (directory / "4913").write_text("")
        os.unlink(directory / "4913")
    wait_until(lambda: d.get("/api/v1/pipelines/data/events/a").json()["executor"]["argv"] == ["e29"])
    assert d.get("/api/v1/pipelines/data/events/a/triggers").json()["triggers"][0]["id"] == before
    assert [f["file"] for f in state(d)["files"]] == ["a.yaml"]


def test_runs_in_flight_are_left_alone(start, directory):
    fifo = directory.parent / "go"
    os.mkfifo(fifo)
    put(directory, "a.yaml", pipeline("a", f"cat, {fifo}"))
    d = start()
    run = d.post("/api/v1/runs", {"namespace": "data", "layer": "events", "pipeline": "a"}).expect(202).json()["run_id"]
    wait_until(lambda: d.get(f"/api/v1/runs/{run}").json()["status"] == "running")
    put(directory, "a.yaml", pipeline("a", '"true"'))
    wait_until(lambda: d.get("/api/v1/pipelines/data/events/a").json()["version"] == 2)
    assert d.get(f"/api/v1/runs/{run}").json()["status"] == "running"
    fifo.write_text("done")
    assert d.wait_run(run)["status"] == "success"


def test_killed_while_it_applies(start, directory):
    d = start()
    for n in range(5):
        for i in range(10):
            put(directory, f"{i}.yaml", pipeline(f"p{i}-{n}"))
        d.kill()
        d.start()
        assert names(d) == sorted(f"p{i}-{n}" for i in range(10))
        assert {f["state"] for f in state(d)["files"]} == {"applied"}


def test_stopped_while_it_applies(start, directory):
    d = start()
    for n in range(5):
        put(directory, "a.yaml", "---".join(pipeline(f"p{i}-{n}") for i in range(100)))
        d.restart()
        assert len(names(d)) == 50 or d.get("/api/v1/pipelines").json()["total"] == 100


def test_too_many_documents_change_nothing(start, directory):
    put(directory, "a.yaml", pipeline("a"))
    d = start()
    put(directory, "b.yaml", "---".join(pipeline(f"p{i}") for i in range(1001)))
    assert "more than 1000 documents" in wait_state(d, "b.yaml", "error")["problems"][0]["message"]
    assert names(d) == ["a"]


ZONE = """
apiVersion: pawl.dev/v1
kind: LandingZone
metadata: {{name: z{n}, namespace: data}}
spec: {{path: {path}}}
"""


def test_landing_zones_are_watched_once_it_is_ready_and_stopping_waits_for_none(start, directory, tmp_path):
    zones = [ZONE.format(n=n, path=tmp_path / f"z{n}") for n in range(20)]
    put(directory, "z.yaml", "---".join(zones[:10]))
    d = start()
    answer = d.get("/api/v1/landing-zones").json()
    assert {z["status"] for z in answer["landing_zones"]} <= {"watching", "error"} and answer["total"] == 10
    put(directory, "z.yaml", "---".join(zones))
    d.restart()
    assert d.get("/api/v1/landing-zones").json()["total"] == 20
    (tmp_path / "file").write_text("")
    put(directory, "z.yaml", zones[0] + "---" + ZONE.format(n=99, path=tmp_path / "file" / "below"))
    assert wait_state(d, "z.yaml", "error")["problems"][0]["field"] == "spec.path"
    assert d.get("/api/v1/landing-zones").json()["total"] == 20
