"""Landing zones: what arrives in their directories, however it comes, is noticed once; and the zones over REST."""
import base64
import contextlib
import ctypes
import json
import os
import re
import signal
import subprocess
import sys
import threading
import uuid

import pytest

from pawl import deadline, wait_until

ZONES = "/api/v1/landing-zones"
SHOWN = {"id", "namespace", "name", "path", "description", "include", "exclude", "recursive", "settle_ms", "rescan_seconds", "initial",
         "file_count", "total_bytes", "created_at", "updated_at", "status", "error"}


@pytest.fixture
def zone(daemon):
    return daemon.create_zone("raw-uploads")


@pytest.fixture
def drop(zone):
    """drop(name, content): writes a file elsewhere on the file system and renames it into the zone."""
    outside = zone["path"] + ".outside"
    os.mkdir(outside)

    def put(name, content="hello", at=zone["path"]):
        path = os.path.join(outside, uuid.uuid4().hex)
        with open(path, "w", encoding="utf-8") as f:
            f.write(content)
        os.rename(path, os.path.join(at, name))

    return put


def last_file(daemon, zone, drop, *before):
    """Puts a last file into the zone and waits for it: whatever was to be noticed before has been noticed then."""
    name = f"last-{uuid.uuid4().hex}"
    drop(name)
    wait_until(lambda: name.encode() in daemon.file_events(zone), what="the last file")
    assert sorted(daemon.file_events(zone)) == sorted([*(b if isinstance(b, bytes) else b.encode() for b in before), name.encode()])


# ---- the resource ----

def test_create_get_list_change_delete(daemon):
    z = daemon.post(ZONES, {"namespace": "default", "name": "raw-uploads", "description": "what the bank sends"}).expect(201).json()
    assert set(z) == SHOWN
    assert uuid.UUID(z["id"]).version == 7
    assert z["path"] == os.path.realpath(daemon.data) + "/zones/default/raw-uploads" and os.path.isdir(z["path"])
    assert z["exclude"] == [".*", "*.tmp", "*.part", "*.crdownload", "*~"] and z["include"] == [] and z["recursive"] is False
    assert z["status"] == "watching" and z["error"] is None
    assert (z["file_count"], z["total_bytes"]) == (0, 0)
    assert daemon.get(ZONES + "/default/raw-uploads").expect(200).json() == z
    assert daemon.get(ZONES).expect(200).json() == {"landing_zones": [z], "total": 1, "next_cursor": None}
    assert daemon.get(ZONES + "?namespace=other").expect(200).json()["landing_zones"] == []

    changed = daemon.put(ZONES + "/default/raw-uploads", {"include": ["*.csv"], "recursive": True}).expect(200).json()
    assert changed["include"] == ["*.csv"] and changed["recursive"] is True and changed["description"] == "what the bank sends"
    assert daemon.put(ZONES + "/default/raw-uploads", changed).expect(200).json()["include"] == ["*.csv"]  # what was read can be written back
    assert daemon.put(ZONES + "/default/raw-uploads", {"include": None}).expect(200).json()["include"] == []

    daemon.delete(ZONES + "/default/raw-uploads").expect(204)
    daemon.get(ZONES + "/default/raw-uploads").expect(404)
    wait_until(lambda: not os.path.exists(z["path"]), what="the directory to go")
    again = daemon.create_zone("raw-uploads")
    assert again["id"] != z["id"] and again["file_count"] == 0


@pytest.mark.parametrize("fields,part", [
    ({"name": "Raw"}, "name: must be"),
    ({"namespace": "a/b"}, "namespace: must be"),
    ({"namespace": None}, "namespace: is required"),
    ({"path": "relative"}, "path: must be an absolute path"),
    ({"path": "/a/../b"}, "path: must be an absolute path"),
    ({"path": "/"}, "path: must be an absolute path"),
    ({"path": 1}, "path"),
    ({"include": "*.csv"}, "include"),
    ({"include": ["*", "x[a"]}, "include[1]: at column 2: the [ is never closed"),
    ({"exclude": [""]}, "exclude[0]: must not be empty"),
    ({"exclude": ["\u2603[z-a]"]}, "exclude[0]: at column 3: the range z-a runs backwards"),
    ({"exclude": ["*", 1]}, "exclude[1]: must be a string"),
    ({"exclude": ["a" * 256]}, "exclude[0]: must be at most 255 bytes long"),
    ({"include": ["x"] * 65}, "include: must be at most 64"),
    ({"recursive": "yes"}, "recursive"),
    ({"settle_ms": -1}, "settle_ms"),
    ({"rescan_seconds": 86401}, "rescan_seconds"),
    ({"initial": "all"}, "initial: must be record or fire"),
    ({"bogus": 1}, "bogus: is not a known field (known: namespace, name, path, description, include,"),
    ({"config": {}}, "config: is not a known field"),
])
def test_bad_definitions_are_refused(daemon, fields, part):
    body = {"namespace": "default", "name": "z", **fields}
    body = {k: v for k, v in body.items() if v is not None}
    r = daemon.post(ZONES, body).expect(400)
    assert r.error == "INVALID_ARGUMENT" and part in r.message
    assert daemon.get(ZONES).json()["total"] == 0
    if "name" not in fields and "namespace" not in fields:
        z = daemon.create_zone("z")
        daemon.put(daemon.zone_path(z), {k: v for k, v in fields.items()}).expect(400)
        assert daemon.zone(z) == z


@pytest.mark.parametrize("body,part", [
    (b"", "a JSON object"),
    (b"[]", "object"),
    (b'{"namespace": "default", "name": "z"', "not valid JSON"),
    (b'{"namespace": "default", "name": "z", "name": "y"}', "not valid JSON"),
    (b'{"namespace": "default", "name": "z", "description": "\xff"}', "not valid JSON"),
    (b'{"namespace": "default", "name": "z", "include": ' + b"[" * 10000 + b"]" * 10000 + b"}", "levels of nesting"),
    (b'{"namespace": "default", "name": "z", "path": "/a\\u0000b"}', "NUL"),
    (b'{"namespace": "default", "name": "z", "settle_ms": 1e999}', "not valid JSON"),
    (b'{"namespace": "default", "name": "z", "settle_ms": 1.5}', "settle_ms"),
])
def test_bad_json_is_refused(daemon, body, part):
    r = daemon.post(ZONES, body).expect(400)
    assert r.error == "INVALID_ARGUMENT" and part in r.message
    z = daemon.create_zone("z")
    daemon.put(ZONES + "/default/z", body).expect(400)
    assert daemon.zone(z) == z and daemon.get(ZONES).json()["total"] == 1


def test_names_are_taken_once_and_ids_are_not_the_clients(daemon):
    z = daemon.post(ZONES, {"namespace": "default", "name": "z", "id": str(uuid.uuid4()), "file_count": 7}).expect(201).json()
    assert z["file_count"] == 0
    assert daemon.post(ZONES, {"namespace": "default", "name": "z"}).expect(409).error == "ALREADY_EXISTS"
    daemon.create_zone("z", namespace="other")
    assert daemon.get(ZONES + "/default/none").expect(404).error == "NOT_FOUND"
    daemon.put(ZONES + "/default/none", {}).expect(404)
    daemon.delete(ZONES + "/default/none").expect(404)
    assert "bogus: is not a known field" in daemon.post(ZONES, {"namespace": "default", "name": "y", "bogus": None}).expect(400).message
    assert "config: is not a known field" in daemon.put(ZONES + "/default/z", {"config": None}).expect(400).message
    assert "initial: cannot be changed" in daemon.put(ZONES + "/default/z", {"initial": "fire"}).expect(400).message
    for same in ("record", None):
        daemon.put(ZONES + "/default/z", {"initial": same}).expect(200)
    assert daemon.put(ZONES + "/default/z", {"id": 5, "created_at": "x", "status": None}).expect(200).json()["id"] == z["id"]
    assert "path: cannot be changed" in daemon.put(ZONES + "/default/z", {"path": "/elsewhere"}).expect(400).message


def test_the_data_directory_is_not_watched(daemon):
    data = os.path.realpath(daemon.data)
    for path in (data, data + "/x"):
        assert "data directory" in daemon.post(ZONES, {"namespace": "a", "name": "b", "path": path}).expect(400).message
    above = {"namespace": "a", "name": "b", "path": os.path.dirname(data)}
    assert "recursive" in daemon.post(ZONES, {**above, "recursive": True}).expect(400).message
    daemon.post(ZONES, above).expect(201)
    daemon.put(ZONES + "/a/b", {"recursive": True}).expect(400)


def test_lists_come_in_pages(daemon):
    for i in range(5):
        daemon.create_zone(f"z{i}")
    names, query = [], ""
    while True:
        page = daemon.get(f"{ZONES}?limit=2{query}").expect(200).json()
        names += [z["name"] for z in page["landing_zones"]]
        assert page["total"] == 5
        if not page["next_cursor"]:
            break
        query = "&cursor=" + page["next_cursor"]
    assert names == [f"z{i}" for i in range(5)]
    assert [z["name"] for z in daemon.get(f"{ZONES}?limit=2&offset=3").json()["landing_zones"]] == ["z3", "z4"]


# ---- arrivals ----

def test_closed_renamed_and_linked_files_arrive(daemon, zone, drop):
    with open(zone["path"] + "/written", "w", encoding="utf-8") as f:
        f.write("1")
    drop("renamed")
    with open(zone["path"] + ".outside/elsewhere", "w", encoding="utf-8") as f:
        f.write("3")
    os.link(zone["path"] + ".outside/elsewhere", zone["path"] + "/linked")
    daemon.wait_files(zone, "written", "renamed", "linked")
    z = daemon.zone(zone)
    assert (z["file_count"], z["total_bytes"]) == (3, 7)


def test_events_say_what_arrived(daemon, zone, drop):
    drop("orders.csv", "a,b,c")
    daemon.wait_files(zone, "orders.csv")
    event = daemon.get("/api/v1/event-log?source=zone").expect(200).json()["events"][0]
    event = daemon.get(f"/api/v1/event-log/{event['id']}").expect(200).json()
    assert event["type"] == "file.arrived" and event["subject"] == "orders.csv" and event["decisions"] == []
    payload = json.loads(event["payload"])
    assert payload.pop("modified_at")
    assert payload == {"namespace": "default", "zone": "raw-uploads", "filename": "orders.csv", "path": zone["path"] + "/orders.csv",
                       "relative_path": "orders.csv", "size_bytes": 5}
    file = daemon.get(daemon.zone_path(zone) + "/files").expect(200).json()["files"][0]
    assert file["id"] == event["id"] and file["size_bytes"] == 5 and file["filename"] == "orders.csv"


def test_a_rewritten_file_arrives_again_and_a_touched_name_does_not(daemon, zone, drop):
    drop("a", "one")
    daemon.wait_files(zone, "a")
    os.rename(zone["path"] + "/a", zone["path"] + ".outside/a")  # away and back: the same file
    wait_until(lambda: daemon.zone(zone)["file_count"] == 0, what="the file to be gone")
    os.rename(zone["path"] + ".outside/a", zone["path"] + "/a")
    wait_until(lambda: daemon.zone(zone)["file_count"] == 1, what="the file to be back")
    last_file(daemon, zone, drop, "a")
    with open(zone["path"] + "/a", "w", encoding="utf-8") as f:
        f.write("two")
    wait_until(lambda: daemon.file_events(zone).count(b"a") == 2, what="the rewritten file")


def test_excluded_and_other_things_do_not_arrive(daemon, zone, drop, tmp_path):
    for name in (".hidden", "x.tmp", "x.part", "x.crdownload", "x~"):
        drop(name)
    os.mkdir(zone["path"] + "/dir")
    drop("below", at=zone["path"] + "/dir")
    os.mkfifo(zone["path"] + "/fifo")
    (tmp_path / "secret").write_text("s")
    os.symlink(tmp_path / "secret", zone["path"] + "/link")
    os.symlink(tmp_path, zone["path"] + "/dirlink")
    last_file(daemon, zone, drop)


def test_include_and_exclude(daemon, tmp_path):
    z = daemon.create_zone(path=str(tmp_path / "in"), include=["*.csv", "sub/**"], exclude=["bad*"], recursive=True)
    assert z["status"] == "error" and "No such file" in z["error"]
    os.makedirs(tmp_path / "in" / "sub")
    wait_until(lambda: daemon.zone(z)["status"] == "watching", what="the directory to be found")
    for name in ("a.csv", "b.txt", "bad.csv", "sub/b.txt", "sub/bad.txt"):
        (tmp_path / "in" / name).write_text("x")
    daemon.wait_files(z, "a.csv", "sub/b.txt")


def test_subdirectories(daemon, tmp_path):
    (tmp_path / "in").mkdir()
    z = daemon.create_zone(path=str(tmp_path / "in"), recursive=True)
    for i in range(20):  # made and filled at once: files are there before the directory is watched
        d = tmp_path / "in" / f"d{i}" / "e" / "f"
        d.mkdir(parents=True)
        (d / "file").write_text("x")
    (tmp_path / "in" / ".git").mkdir()
    (tmp_path / "in" / ".git" / "config").write_text("x")
    names = [f"d{i}/e/f/file" for i in range(20)]
    daemon.wait_files(z, *names)
    moved = tmp_path / "moved"
    (moved / "deep").mkdir(parents=True)
    (moved / "deep" / "file").write_text("x")
    moved.rename(tmp_path / "in" / "moved")
    (tmp_path / "in" / "d0" / "e" / "f" / "second").write_text("x")
    daemon.wait_files(z, *names, "moved/deep/file", "d0/e/f/second")
    (tmp_path / "in" / "moved").rename(tmp_path / "moved away")
    wait_until(lambda: daemon.zone(z)["file_count"] == 21, what="the moved file to be gone")


def test_strange_names(daemon, zone, drop):
    names = ["with space", "with\nnewline", "naïve ☃", "-rf", "'\"$(x)", "a" * 255]
    for name in names:
        drop(name)
    raw = b"not-utf8-\xff\xfe"
    with open(os.fsencode(zone["path"]) + b"/" + raw, "wb") as f:
        f.write(b"x")
    daemon.wait_files(zone, *names, raw)
    files = {f["filename"]: f for f in daemon.get(daemon.zone_path(zone) + "/files").expect(200).json()["files"]}
    assert set(files) == {*names, "not-utf8-\ufffd\ufffd"}
    odd = files.pop("not-utf8-\ufffd\ufffd")
    assert base64.b64decode(odd["path_base64"]) == os.fsencode(zone["path"]) + b"/" + raw
    assert daemon.get(f"{daemon.zone_path(zone)}/files/{odd['id']}").expect(200).json() == odd
    assert not any("path_base64" in f for f in files.values())
    daemon.restart()
    last_file(daemon, zone, drop, *names, raw)


def test_a_file_that_is_open_for_writing_has_not_arrived(daemon, zone, drop):
    f = open(zone["path"] + "/growing", "w", encoding="utf-8")
    with contextlib.closing(f):
        f.write("half")
        f.flush()
        os.rename(zone["path"] + "/growing", zone["path"] + "/renamed while open")
        drop("a")
        daemon.wait_files(zone, "a")
        daemon.restart()  # the scan at the start must not take it either
        drop("b")
        daemon.wait_files(zone, "a", "b")
        daemon.put(daemon.zone_path(zone), {"description": "rescan"}).expect(200)
        last_file(daemon, zone, drop, "a", "b")
        f.write(" and half")
    wait_until(lambda: b"renamed while open" in daemon.file_events(zone), what="the closed file")
    assert daemon.file_events(zone).count(b"renamed while open") == 1
    assert daemon.zone(zone)["total_bytes"] == 3 * 5 + len("half and half")


def test_what_was_there_before_is_recorded_or_fired(daemon, tmp_path):
    for name in ("old", "older"):
        (tmp_path / name).mkdir()
        for i in range(3):
            (tmp_path / name / f"f{i}").write_text("x")
    recorded = daemon.create_zone(path=str(tmp_path / "old"))
    fired = daemon.create_zone(path=str(tmp_path / "older"), initial="fire")
    daemon.wait_files(fired, "f0", "f1", "f2")
    wait_until(lambda: daemon.zone(recorded)["file_count"] == 3, what="the old files")
    assert daemon.file_events(recorded) == []
    (tmp_path / "old" / "f0").write_text("rewritten")
    (tmp_path / "old" / "new").write_text("x")
    daemon.wait_files(recorded, "f0", "new")
    daemon.restart()
    (tmp_path / "old" / "newer").write_text("x")
    daemon.wait_files(recorded, "f0", "new", "newer")


def test_files_right_after_the_answer_are_not_taken_for_old_ones(daemon, tmp_path):
    for i in range(10):
        d = tmp_path / f"zone{i}"
        d.mkdir()
        for k in range(200):
            (d / f"old{k}").touch()
        z = daemon.create_zone(path=str(d))
        (d / "new").write_text("x")
        daemon.wait_files(z, "new")
        wait_until(lambda: daemon.zone(z)["file_count"] == 201, what="all of them")
        assert daemon.file_events(z) == [b"new"]


def test_what_came_and_went_while_down(daemon, zone, drop):
    for name in ("stays", "goes", "changes"):
        drop(name)
    daemon.wait_files(zone, "stays", "goes", "changes")
    daemon.stop()
    os.unlink(zone["path"] + "/goes")
    drop("changes", "something else")
    drop("came")
    daemon.start()
    daemon.wait_files(zone, "stays", "goes", "changes", "changes", "came")
    wait_until(lambda: daemon.zone(zone)["file_count"] == 3, what="the file that is gone to be noticed")


def test_two_zones_on_one_directory(daemon, tmp_path):
    (tmp_path / "in").mkdir()
    a = daemon.create_zone(path=str(tmp_path / "in"), include=["*.csv"])
    b = daemon.create_zone(path=str(tmp_path / "in"))
    (tmp_path / "in" / "x.csv").write_text("x")
    (tmp_path / "in" / "y.txt").write_text("y")
    daemon.wait_files(a, "x.csv")
    daemon.wait_files(b, "x.csv", "y.txt")
    daemon.delete(daemon.zone_path(a)).expect(204)
    (tmp_path / "in" / "z.csv").write_text("z")
    daemon.wait_files(b, "x.csv", "y.txt", "z.csv")
    daemon.delete(daemon.zone_path(b)).expect(204)
    assert sorted(os.listdir(tmp_path / "in")) == ["x.csv", "y.txt", "z.csv"]  # not ours


def test_a_zone_that_goes_while_another_on_its_directories_begins(daemon, tmp_path):
    """The two share the kernel's watches. The one that goes must not take from the other those that it was just given."""
    dirs = [tmp_path / "in" / f"d{i}" for i in range(1000)]
    for d in dirs:
        d.mkdir(parents=True)

    def fill(zone, name):
        for d in dirs:
            (d / name).write_text("x")
        count = sum(1 for _ in dirs[0].iterdir()) * len(dirs)
        wait_until(lambda: daemon.zone(zone)["file_count"] == count, what="a file in each directory")

    going = daemon.create_zone(path=str(tmp_path / "in"), recursive=True)
    fill(going, "first")
    for n in range(0, 12, 2):
        known = daemon.zone(going)["file_count"]
        coming = daemon.create_zone(path=str(tmp_path / "in"), recursive=True)
        for _ in range(n):  # meanwhile its first scan comes to somewhere between its beginning and its end
            daemon.zone(coming)
        daemon.delete(daemon.zone_path(going)).expect(204)
        wait_until(lambda: daemon.zone(coming)["file_count"] == known, what="the end of the first scan")
        assert daemon.file_events(coming) == []
        fill(coming, f"after {n}")
        going = coming


def test_a_directory_that_goes_and_comes_back(daemon, tmp_path):
    d = tmp_path / "in"
    d.mkdir()
    z = daemon.create_zone(path=str(d))
    (d / "a").write_text("x")
    daemon.wait_files(z, "a")
    d.rename(tmp_path / "away")
    wait_until(lambda: daemon.zone(z)["status"] == "error", what="the missing directory to be reported")
    assert "No such file or directory" in daemon.zone(z)["error"]
    ready = daemon.get("/health/ready").expect(200).json()
    assert "No such file" in ready["landing_zones"][f"default.{z['name']}"]
    assert "landing zone cannot be watched" in daemon.stderr()
    (tmp_path / "away" / "not ours any more").write_text("x")
    d.mkdir()
    (d / "b").write_text("x")
    daemon.wait_files(z, "a", "b")
    wait_until(lambda: daemon.zone(z)["status"] == "watching", what="the new directory to be watched")
    assert "landing_zones" not in daemon.get("/health/ready").expect(200).json()
    for entry in d.iterdir():
        entry.unlink()
    d.rmdir()
    d.mkdir()
    (d / "c").write_text("x")
    daemon.wait_files(z, "a", "b", "c")


def link_replaced(top, link, target):
    os.symlink(target, top / "next")
    os.replace(top / "next", link)


def last_link(top):
    os.symlink(top / "one" / "in", top / "here")
    return top / "here", lambda: link_replaced(top, top / "here", top / "two" / "in")


def link_on_the_way(top):
    os.symlink("one", top / "here")
    return top / "here" / "in", lambda: link_replaced(top, top / "here", "two")


def link_to_a_link(top):
    os.symlink("one", top / "there")
    os.symlink("./there/../there", top / "here")
    return top / "here" / "in", lambda: link_replaced(top, top / "there", "two")


def directory_above(top):
    def turn():
        os.rename(top / "one", top / "old")
        os.symlink("old", top / "one")  # still the same: nothing is to be told twice
        link_replaced(top, top / "one", "two")
    return top / "one" / "in", turn


@pytest.mark.parametrize("way", [last_link, link_on_the_way, link_to_a_link, directory_above])
@pytest.mark.parametrize("recursive", [False, True])
def test_a_path_that_comes_to_lead_elsewhere(daemon, tmp_path, way, recursive):
    for name in ("one", "two"):
        (tmp_path / name / "in").mkdir(parents=True)
    path, turn = way(tmp_path)
    old = os.open(tmp_path / "one" / "in", os.O_PATH)
    z = daemon.create_zone(path=str(path), recursive=recursive)
    (path / "a").write_text("x")
    daemon.wait_files(z, "a")
    turn()
    (tmp_path / "two" / "in" / "b").write_text("x")
    daemon.wait_files(z, "a", "b")
    os.close(os.open("not ours any more", os.O_CREAT | os.O_WRONLY, dir_fd=old))
    os.close(old)
    (tmp_path / "two" / "in" / "c").write_text("x")
    daemon.wait_files(z, "a", "b", "c")
    assert daemon.zone(z)["status"] == "watching"


def test_many_paths_that_come_to_lead_elsewhere_again_and_again(daemon, tmp_path):
    """The zones share what is on the way to them: when one lets go of a watch, another may just be given it."""
    names = [f"z{i}" for i in range(30)]
    for release in ("one", "two"):
        for name in names:
            (tmp_path / release / name / "sub").mkdir(parents=True)
    os.symlink("one", tmp_path / "here")
    zones = [daemon.create_zone(name, path=str(tmp_path / "here" / name), recursive=True) for name in names]
    for i in range(101):
        link_replaced(tmp_path, tmp_path / "here", ("two", "one")[i % 2])
        daemon.get("/health").expect(200)  # it goes on meanwhile
    for name in names:
        (tmp_path / "two" / name / "sub" / "last").write_text("x")
    for z in zones:
        daemon.wait_files(z, "sub/last")


def test_a_path_above_that_goes_for_a_while(daemon, tmp_path):
    (tmp_path / "one" / "in").mkdir(parents=True)
    z = daemon.create_zone(path=str(tmp_path / "one" / "in"))
    (tmp_path / "one" / "in" / "a").write_text("x")
    daemon.wait_files(z, "a")
    for name in ("b", "c"):
        (tmp_path / "one").rename(tmp_path / "away")
        wait_until(lambda: daemon.zone(z)["status"] == "error", what="the missing directory to be reported")
        (tmp_path / "away" / "in" / name).write_text("x")
        (tmp_path / "away").rename(tmp_path / "one")
        wait_until(lambda: daemon.zone(z)["status"] == "watching", what="the directory to be watched again")
    daemon.wait_files(z, "a", "b", "c")


def test_a_file_system_that_is_mounted_over_the_directory(make_daemon, tmp_path):
    apart = ("unshare", "--user", "--map-root-user", "--mount")
    if subprocess.run([*apart, "mount", "-t", "tmpfs", "none", tmp_path], check=False, capture_output=True).returncode != 0:
        pytest.skip("there are no mount namespaces here")
    (tmp_path / "above" / "in").mkdir(parents=True)
    daemon = make_daemon(wrapper=apart)
    z = daemon.create_zone(path=str(tmp_path / "above" / "in"))

    def sh(command):
        subprocess.run(["nsenter", "--user", "--mount", "--preserve-credentials", "--target", str(daemon.pid), "sh", "-ec", command],
                       cwd="/", check=True)

    sh(f"mount -t tmpfs none {tmp_path}/above/in; echo x > {tmp_path}/above/in/a")
    daemon.wait_files(z, "a")
    sh(f"umount {tmp_path}/above/in; echo x > {tmp_path}/above/in/b")
    daemon.wait_files(z, "a", "b")
    sh(f"mount -t tmpfs none {tmp_path}/above")
    wait_until(lambda: daemon.zone(z)["status"] == "error", what="the directory to be missing")
    sh(f"mkdir {tmp_path}/above/in; echo x > {tmp_path}/above/in/c")
    daemon.wait_files(z, "a", "b", "c")


def make_plain(make_daemon):
    """A daemon that may not read what its user may not, whoever that is."""
    drop_caps = ("setpriv", "--bounding-set", "-dac_override,-dac_read_search")
    return make_daemon(wrapper=drop_caps if os.geteuid() == 0 else ())


def test_an_unreadable_directory_is_reported(make_daemon, tmp_path):
    daemon = make_plain(make_daemon)
    d = tmp_path / "in"
    d.mkdir()
    (d / "old").write_text("x")
    d.chmod(0)
    z = daemon.create_zone(path=str(d))
    assert z["status"] == "error" and "Permission denied" in z["error"]
    d.chmod(0o300)  # not to be read yet
    (d / "meanwhile").write_text("x")
    d.chmod(0o700)
    daemon.wait_files(z, "meanwhile")
    assert daemon.zone(z)["status"] == "watching"
    assert daemon.zone(z)["file_count"] == 2


def test_an_unreadable_directory_below_is_reported(make_daemon, tmp_path):
    daemon = make_plain(make_daemon)
    d = tmp_path / "in" / "sub"
    d.mkdir(parents=True)
    d.chmod(0o300)
    z = daemon.create_zone(path=str(tmp_path / "in"), recursive=True)
    wait_until(lambda: daemon.zone(z)["error"] == "cannot open sub: Permission denied", what="the error")
    assert daemon.get("/health/ready").expect(200).json()["landing_zones"]
    (d / "one").write_text("x")
    (tmp_path / "in" / "beside").write_text("x")
    daemon.wait_files(z, "beside")
    d.chmod(0o700)
    daemon.wait_files(z, "beside", "sub/one")
    wait_until(lambda: daemon.zone(z)["status"] == "watching", what="the end of the error")
    (d / "two").write_text("x")
    daemon.wait_files(z, "beside", "sub/one", "sub/two")


def test_a_path_below_that_is_too_long_is_reported(daemon, tmp_path):
    top = tmp_path / "in"
    top.mkdir()
    at = os.open(top, os.O_RDONLY)
    for _ in range(18):
        os.mkdir("d" * 250, dir_fd=at)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(os.open("far", os.O_CREAT | os.O_WRONLY, dir_fd=at))
    os.close(at)
    (top / "near").write_text("x")
    z = daemon.create_zone(path=str(top), recursive=True, initial="fire")
    wait_until(lambda: daemon.zone(z)["status"] == "error", what="the long path to be reported")
    assert "cannot open dddd" in daemon.zone(z)["error"] and "File name too long" in daemon.zone(z)["error"]
    daemon.wait_files(z, "near")


def test_a_file_instead_of_a_directory(daemon, tmp_path):
    (tmp_path / "in").write_text("x")
    for path in (tmp_path / "in", tmp_path / "in" / "below"):
        r = daemon.post(ZONES, {"namespace": "default", "name": "z", "path": str(path)}).expect(400)
        assert r.error == "INVALID_ARGUMENT" and r.message.startswith("path: is not a directory")
    assert daemon.get(ZONES).json()["total"] == 0
    (tmp_path / "in").unlink()
    z = daemon.create_zone(path=str(tmp_path / "in"))  # what is not there yet may come
    assert "No such file" in z["error"]
    (tmp_path / "in").write_text("x")
    wait_until(lambda: "Not a directory" in daemon.zone(z)["error"], what="the file to be reported")


@pytest.mark.parametrize("down", [False, True])
def test_files_go_with_their_directory(daemon, tmp_path, down):
    d = tmp_path / "in"
    d.mkdir()
    z = daemon.create_zone(path=str(d))
    names = [f"f{i}" for i in range(1500)]
    for name in names:
        (d / name).write_text("x")
    daemon.wait_files(z, *names)
    if down:
        daemon.stop()
    d.rename(tmp_path / "away")
    if down:
        daemon.start()
    wait_until(lambda: daemon.zone(z)["file_count"] == 0, what="the files to be gone")
    assert daemon.zone(z)["total_bytes"] == 0 and daemon.get(daemon.zone_path(z) + "/files").json()["total"] == 0
    (tmp_path / "away" / "new").write_text("x")
    (tmp_path / "away").rename(d)
    wait_until(lambda: daemon.zone(z)["file_count"] == 1501, what="the files to be back")
    daemon.wait_files(z, *names, "new")


# ---- many ----

BURST = """
import os, sys
source, target, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
for i in range(first, last):
    with open(f"{source}/{i}", "w") as f:
        f.write(f"file {i}")
for i in range(first, last):
    os.rename(f"{source}/{i}", f"{target}/f{i:06d}")
"""


def burst(zone, first, last):
    """Another process renames files into the zone as fast as it can."""
    source = zone["path"] + ".source"
    os.makedirs(source, exist_ok=True)
    return subprocess.Popen([sys.executable, "-c", BURST, source, zone["path"], str(first), str(last)])


def expect_burst(daemon, zone, n, timeout=60):
    wait_until(lambda: len(daemon.file_events(zone)) >= n, timeout, f"{n} files", every=0.05)
    events = daemon.file_events(zone)
    assert len(events) == len(set(events)) == n
    with daemon.db() as con:
        sizes = dict(con.execute("SELECT path, size FROM files WHERE gone_at IS NULL"))
    assert all(size == len(f"file {int(path[1:])}") for path, size in sizes.items()), "a file was taken before it was complete"
    z = daemon.zone(zone)
    assert z["file_count"] == n and z["total_bytes"] == sum(sizes.values())


def test_a_burst_of_files(daemon, zone):
    p = burst(zone, 0, 10000)
    assert p.wait() == 0
    expect_burst(daemon, zone, 10000)


def test_a_burst_with_a_full_kernel_queue(daemon, zone):
    """The queue is filled with notices about names that do not matter, so that those about the burst are lost."""
    with open("/proc/sys/fs/inotify/max_queued_events", encoding="ascii") as f:
        room = int(f.read())
    if room > 200_000:
        pytest.skip("the queue is too long to be filled")
    others = [zone["path"] + name for name in ("/.a", "/.b")]
    for name in others:
        os.close(os.open(name, os.O_CREAT))
    daemon.signal(signal.SIGSTOP)
    for i in range(room + 1):  # two in turn, or the kernel makes one notice of them
        os.chmod(others[i % 2], 0o600)
    p = burst(zone, 0, 2000)
    assert p.wait() == 0
    daemon.signal(signal.SIGCONT)
    expect_burst(daemon, zone, 2000)
    assert "inotify's queue ran over" in daemon.stderr()


def test_a_burst_with_crashes(daemon, zone):
    p = burst(zone, 0, 10000)
    for part in (1000, 3000, 6000):
        wait_until(lambda: len(daemon.file_events(zone)) >= part or p.poll() is not None, 60, f"{part} files")
        daemon.kill()
        daemon.start()
    assert p.wait() == 0
    expect_burst(daemon, zone, 10000)


# ---- uploads ----

def test_upload_as_documented(daemon, zone):
    r = daemon.upload(zone, "orders.csv", b"id,total\n1,2\n", "text/csv").expect(201)
    f = r.json()
    assert set(f) == {"id", "zone_id", "filename", "path", "relative_path", "size_bytes", "content_type", "uploaded_at"}
    assert f["zone_id"] == zone["id"] and f["filename"] == "orders.csv" and f["content_type"] == "text/csv" and f["size_bytes"] == 13
    assert re.fullmatch(re.escape(zone["path"]) + r"/\d{8}T\d{9}Z-[0-9a-f]{6}_orders\.csv", f["path"])
    with open(f["path"], "rb") as stored:
        assert stored.read() == b"id,total\n1,2\n"
    shown = daemon.get(f"{daemon.zone_path(zone)}/files/{f['id']}").expect(200).json()
    assert {k: shown[k] for k in f} == f
    assert len(daemon.file_events(zone)) == 1  # and not once more for the rename
    daemon.delete(f"{daemon.zone_path(zone)}/files/{f['id']}").expect(204)
    assert not os.path.exists(f["path"])
    daemon.get(f"{daemon.zone_path(zone)}/files/{f['id']}").expect(404)
    daemon.delete(f"{daemon.zone_path(zone)}/files/{f['id']}").expect(404)
    assert daemon.zone(zone)["file_count"] == 0


@pytest.mark.parametrize("sent,name", [
    ("../../../etc/passwd", "passwd"),
    ("/etc/passwd", "passwd"),
    (b"C:\\Users\\x\\report.txt", "report.txt"),
    ("..", "file"),
    ("with space.csv", "with space.csv"),
    ('quo"te.csv', 'quo"te.csv'),
    ("snow☃.csv", "snow☃.csv"),
    (b"bad\xffutf8.csv", "bad_utf8.csv"),
    (".hidden", ".hidden"),
    ("x.tmp", "x.tmp"),
    ("\u0085c1", "_c1"),
    ("n" * 240 + ".csv", "n" * 196 + ".csv"),
])
def test_names_are_made_safe(daemon, zone, sent, name):
    f = daemon.upload(zone, sent).expect(201).json()
    assert f["filename"] == name
    assert os.path.dirname(f["path"]) == zone["path"] and os.path.isfile(f["path"])
    assert os.listdir(os.path.dirname(zone["path"])) == [os.path.basename(zone["path"])]
    daemon.restart()
    assert len(daemon.file_events(zone)) == 1
    assert daemon.get(daemon.zone_path(zone) + "/files").json()["files"][0]["filename"] == name


def form(daemon, zone, body, content_type="multipart/form-data; boundary=b"):
    return daemon.post(daemon.zone_path(zone) + "/files", body, headers={"Content-Type": content_type})


PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nhello\r\n'


@pytest.mark.parametrize("body,part", [
    (b"", "not complete"),
    (b"--b--\r\n", "file: is required"),
    (b"hello", "not complete"),
    (PART, "not complete"),
    (PART[:-7] + b"hel", "not complete"),
    (PART + PART + b"--b--\r\n", "file: there must be one"),
    (b'--b\r\nContent-Disposition: form-data; name="file"\r\n\r\nhello\r\n--b--\r\n', "filename"),
    (b'--b\r\nContent-Disposition: form-data; name="other"; filename="x"\r\n\r\nhello\r\n--b--\r\n', "file: is required"),
    (b"--b\r\nContent-Type: text/plain\r\n\r\nhello\r\n--b--\r\n", "no name"),
    (b'--b\r\nContent-Disposition: form-data; name="file"; filename="a\x01b"\r\n\r\nhello\r\n--b--\r\n', "control character"),
    (b"--b garbage\r\n\r\n", "boundary"),
    (b'--b\r\nX: ' + b"x" * 10000 + b'\r\n\r\nhello\r\n--b--\r\n', "too long"),
])
def test_bad_forms_are_refused(daemon, zone, body, part):
    r = form(daemon, zone, body).expect(400)
    assert part in r.message
    assert os.listdir(zone["path"]) == []


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data", "multipart/form-data; boundary=", "multipart/mixed; boundary=b",
                                          "multipart/form-data; boundary=" + "b" * 71])
def test_other_content_types_are_refused(daemon, zone, content_type):
    assert "Content-Type" in form(daemon, zone, PART + b"--b--\r\n", content_type).expect(400).message


@pytest.mark.parametrize("sent,name", [
    (b"UTF-8''na%C3%AFve%20%E2%98%83.csv", "naïve ☃.csv"),
    (b"iso-8859-1''na%EFve.csv", "naïve.csv"),
    (b"UTF-8''..%2F..%2Fetc%2Fpasswd", "passwd"),
    (b"UTF-8''a%00b%0Ac%FF", "a_b_c_"),
    (b"UTF-8''x; filename=\"y\"", "x"),
])
def test_names_that_are_not_ascii(daemon, zone, sent, name):
    """`filename*` of RFC 8187, which some clients send instead of `filename`, and some beside it."""
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename*=' + sent + b"\r\n\r\nhello\r\n--b--\r\n"
    f = form(daemon, zone, part).expect(201).json()
    assert f["filename"] == name and os.path.dirname(f["path"]) == zone["path"] and os.path.isfile(f["path"])


@pytest.mark.parametrize("sent", [b"x.csv", b"koi8-r''x.csv", b"UTF-8''x%zz", b"UTF-8''"])
def test_bad_names_that_are_not_ascii(daemon, zone, sent):
    part = b'--b\r\nContent-Disposition: form-data; name="file"; filename*=' + sent + b"\r\n\r\nhello\r\n--b--\r\n"
    form(daemon, zone, part).expect(400)
    assert os.listdir(zone["path"]) == []


def test_other_fields_are_ignored(daemon, zone):
    other = b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nhi\r\n'
    form(daemon, zone, other + PART + other + b"--b--\r\n").expect(201)
    form(daemon, zone, b"a preamble\r\n" + PART + b"--b--\r\nan epilogue", 'multipart/form-data; charset=utf-8; boundary="b"').expect(201)
    assert daemon.zone(zone)["total_bytes"] == 10


def test_bytes_come_through_as_they_are(daemon, zone):
    content = b"\r\n--frontie\r\n--frontie" + bytes(range(256)) * 5000 + b"\r\r\n--\r\n" + os.urandom(3_000_000) + b"\r\n--frontier"[:-1]
    f = daemon.upload(zone, "x.bin", content).expect(201).json()
    with open(f["path"], "rb") as stored:
        assert stored.read() == content
    assert daemon.upload(zone, "empty", b"").expect(201).json()["size_bytes"] == 0


def test_errors_of_the_files_api(daemon, zone):
    daemon.upload({"namespace": "default", "name": "none"}, "x").expect(404)
    for method in ("GET", "DELETE"):
        for name in ("none", str(uuid.uuid4())):
            assert daemon.request(method, f"{daemon.zone_path(zone)}/files/{name}").expect(404).error == "NOT_FOUND"
    daemon.get("/api/v1/landing-zones/default/none/files").expect(404)
    other = daemon.create_zone("other")
    f = daemon.upload(zone, "x").expect(201).json()
    daemon.get(f"{daemon.zone_path(other)}/files/{f['id']}").expect(404)
    daemon.delete(f"{daemon.zone_path(other)}/files/{f['id']}").expect(404)
    assert os.path.exists(f["path"])


def test_files_come_in_pages(daemon, zone):
    for i in range(5):
        daemon.upload(zone, f"f{i}").expect(201)
    names, query = [], ""
    while True:
        page = daemon.get(f"{daemon.zone_path(zone)}/files?limit=2{query}").expect(200).json()
        names += [f["filename"] for f in page["files"]]
        assert page["total"] == 5
        if not page["next_cursor"]:
            break
        query = "&cursor=" + page["next_cursor"]
    assert names == [f"f{i}" for i in reversed(range(5))]


def test_a_file_over_the_limit_is_refused(make_daemon):
    daemon = make_daemon(config={"upload_bytes_max": 1_000_000})
    zone = daemon.create_zone("z")
    daemon.upload(zone, "x", b"x" * 1_000_000).expect(201)
    r = daemon.upload(zone, "x", b"x" * 1_000_001).expect(413)
    assert r.error == "PAYLOAD_TOO_LARGE"
    with daemon.wire() as w:  # said at once, before the five gigabytes
        w.send(f"POST {daemon.zone_path(zone)}/files HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
               f"Content-Length: {5 << 30}\r\n\r\n")
        w.response().expect(413)
    with daemon.wire() as w:  # nor does it help not to say how long it is
        w.send(f"POST {daemon.zone_path(zone)}/files HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
               "Transfer-Encoding: chunked\r\n\r\n")
        w.send(f"{len(PART):x}\r\n".encode() + PART + b"\r\n")
        with contextlib.suppress(OSError):
            for _ in range(64):
                w.send(b"8000\r\n" + b"x" * 0x8000 + b"\r\n")
        w.response().expect(413)
    assert len(os.listdir(zone["path"])) == 1 and daemon.zone(zone)["file_count"] == 1


def test_an_aborted_upload_leaves_nothing(daemon, zone):
    zones = os.path.dirname(zone["path"])
    sockets = len(daemon.open_targets("socket:"))
    for size in (0, 10, 200_000, 5_000_000):
        with daemon.wire() as w:
            w.send(f"POST {daemon.zone_path(zone)}/files HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
                   f"Content-Length: 10000000\r\n\r\n".encode() + PART[:-2] + b"x" * size)
    daemon.get("/health").expect(200)  # all of the connections before it have been taken
    wait_until(lambda: len(daemon.open_targets("socket:")) <= sockets and daemon.open_targets(zones) == [], what="the uploads to be over")
    assert os.listdir(zone["path"]) == [] and os.listdir(zones) == [os.path.basename(zone["path"])]
    assert daemon.file_events(zone) == []


def test_uploads_are_not_held_in_memory(daemon, zone):
    daemon.upload(zone, "warm", b"x" * 100_000).expect(201)
    before, peak, done = daemon.rss_bytes(), [0], threading.Event()

    def watch():
        while not done.is_set():
            peak[0] = max(peak[0], daemon.rss_bytes())
            done.wait(0.005)

    t = threading.Thread(target=watch)
    t.start()
    daemon.upload(zone, "big", b"x" * 200_000_000, timeout=120).expect(201)
    done.set()
    t.join()
    assert peak[0] - before < 60_000_000


def test_many_uploads_at_once(daemon, zone):
    wrong = []

    def send(i):
        for k in range(5):
            content = os.urandom(100_000 + i * 1000 + k)
            r = daemon.upload(zone, f"f{i}-{k}", content, timeout=60)
            with contextlib.suppress(Exception):
                with open(r.json()["path"], "rb") as f:
                    if f.read() == content:
                        continue
            wrong.append(r)

    threads = [threading.Thread(target=send, args=(i,)) for i in range(12)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(deadline(600))
    assert wrong == []
    events = daemon.file_events(zone)
    assert len(events) == len(set(events)) == 60 == daemon.zone(zone)["file_count"]


def test_stopping_in_the_middle_of_an_upload(daemon, zone):
    with daemon.wire() as w:
        w.send(f"POST {daemon.zone_path(zone)}/files HTTP/1.1\r\nHost: x\r\nContent-Type: multipart/form-data; boundary=b\r\n"
               f"Content-Length: 10000000\r\n\r\n".encode() + PART[:-2])
        daemon.upload(zone, "x").expect(201)
        daemon.stop()
    assert len(os.listdir(zone["path"])) == 1


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
def test_a_full_disk(daemon, tmp_path):
    d = tmp_path / "small"
    d.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(d), b"tmpfs", 0, b"size=1m") != 0:
        pytest.skip("nothing can be mounted here")
    try:
        (d / "zone").mkdir()
        zone = daemon.create_zone(path=str(d / "zone"))
        r = daemon.upload(zone, "x", b"x" * 3_000_000).expect(503)
        assert r.error == "UNAVAILABLE" and "disk is full" in r.message and "retry-after" in r.headers
        assert os.listdir(d / "zone") == [] and os.listdir(d) == ["zone"]
        # The answer does not wait until the kernel has the room back; that is what Retry-After is for.
        wait_until(lambda: daemon.upload(zone, "x", b"x" * 100_000).status == 201, what="room for a small one")
        daemon.delete(daemon.zone_path(zone)).expect(204)
        wait_until(lambda: libc.umount(os.fsencode(d)) == 0, what="the file system to be let go of")
    finally:
        libc.umount2(os.fsencode(d), 2)
