"""Which changes of a file are another arrival, and which are not: writing is, setting times, modes and links is not."""
import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from pawl import wait_until

LONG_AGO = 5 * 10**9  # in nanoseconds: long before anything here was written


def set_time(path, ns=LONG_AGO):
    os.utime(path, ns=(ns, ns))


def ledger_times(daemon, zone):
    """What the ledger says of the files that are there: name -> mtime in ns."""
    with daemon.db() as con:
        return {os.fsdecode(p): t for p, t in con.execute(
            "SELECT f.path, f.mtime_ns FROM files f JOIN zones z ON z.key = f.zone WHERE z.path = ? AND f.gone_at IS NULL",
            (f"{zone['namespace']}.{zone['name']}",))}


def wait_ledger(daemon, zone, names, ns=LONG_AGO):
    wait_until(lambda: {n: t for n, t in ledger_times(daemon, zone).items() if n in names} == dict.fromkeys(names, ns),
               what="the ledger to have the times that were set")


def counts(daemon, zone):
    events = [os.fsdecode(p) for p in daemon.file_events(zone)]
    return {name: events.count(name) for name in set(events)}


@pytest.fixture
def zone(daemon, tmp_path):
    (tmp_path / "in").mkdir()
    return daemon.create_zone("in", path=str(tmp_path / "in"))


def write(zone, name, content="hello"):
    with open(os.path.join(zone["path"], name), "w", encoding="utf-8") as f:
        f.write(content)
    return os.path.join(zone["path"], name)


def born_later(zone, path):
    """Waits until what is made has another time than the last change of a file: the kernel counts them in steps of some milliseconds."""
    def later():
        probe.touch()
        return probe.stat().st_mtime_ns > os.stat(path).st_ctime_ns

    probe = pathlib.Path(zone["path"] + ".probe")
    wait_until(later, what="the next step of the clock")


def rewrite(zone, name, content):
    """As soon as the time of a change is another one than that of the last."""
    born_later(zone, os.path.join(zone["path"], name))
    return write(zone, name, content)


NAMES = [f"f{i}" for i in range(10)]


def crash(daemon, zone):
    daemon.kill()
    daemon.start()


def rescan(daemon, zone):
    daemon.put(daemon.zone_path(zone), {"description": "again"}).expect(200)


def nothing(daemon, zone):
    pass


@pytest.mark.parametrize("between", [nothing, crash, rescan])
def test_times_set_after_the_file_was_taken(daemon, zone, between):
    paths = [write(zone, n) for n in NAMES]
    daemon.wait_files(zone, *NAMES)
    ids = {f["filename"]: f["id"] for f in daemon.get(daemon.zone_path(zone) + "/files").json()["files"]}
    for p in paths:
        set_time(p)
    between(daemon, zone)
    wait_ledger(daemon, zone, NAMES)
    rescan(daemon, zone)
    write(zone, "last")
    daemon.wait_files(zone, *NAMES, "last")
    assert {f["filename"]: f["id"] for f in daemon.get(daemon.zone_path(zone) + "/files").json()["files"] if f["filename"] != "last"} == ids
    assert daemon.zone(zone)["file_count"] == 11


def test_times_set_while_down(daemon, zone):
    paths = [write(zone, n) for n in NAMES]
    daemon.wait_files(zone, *NAMES)
    daemon.kill()
    for p in paths:
        set_time(p)
    daemon.start()
    wait_ledger(daemon, zone, NAMES)
    daemon.wait_files(zone, *NAMES)


def test_times_set_before_the_look(daemon, zone):
    """Before the file is closed, and right after; pawl is held still, so that it looks afterwards."""
    daemon.signal(signal.SIGSTOP)
    with open(os.path.join(zone["path"], "before"), "w", encoding="utf-8") as f:
        f.write("x")
        f.flush()
        set_time(f.fileno())
    set_time(write(zone, "after"))
    daemon.signal(signal.SIGCONT)
    wait_ledger(daemon, zone, ["before", "after"])
    daemon.wait_files(zone, "before", "after")
    crash(daemon, zone)
    rescan(daemon, zone)
    write(zone, "last")
    daemon.wait_files(zone, "before", "after", "last")


def test_copies_that_keep_their_times(daemon, zone, tmp_path):
    """As fast as they can be made, so that pawl looks before and after the times are set."""
    (tmp_path / "source").mkdir()
    names = []
    for i in range(100):
        source = tmp_path / "source" / f"s{i}"
        source.write_text("x")
        set_time(source)
        shutil.copy2(source, os.path.join(zone["path"], f"copy2-{i}"))
        names.append(f"copy2-{i}")
    for command in (["cp", "-p"], ["install", "-p"], ["mv"]):
        subprocess.run([*command, source, os.path.join(zone["path"], command[0])], check=True)
        names.append(command[0])
        source = tmp_path / "source" / "s0"
    wait_ledger(daemon, zone, names)
    crash(daemon, zone)
    rescan(daemon, zone)
    write(zone, "last")
    daemon.wait_files(zone, *names, "last")


def test_renamed_into_place_then_dated(daemon, zone):
    """As curl -R and downloads of objects do: a temporary name, the last name, and then the time it has at its origin."""
    os.rename(write(zone, ".x.tmp"), os.path.join(zone["path"], "x"))
    daemon.wait_files(zone, "x")
    set_time(os.path.join(zone["path"], "x"))
    wait_ledger(daemon, zone, ["x"])
    daemon.wait_files(zone, "x")


def test_dated_and_renamed_into_place(daemon, zone):
    """As rsync does; a second transfer of the same size is another file with another inode."""
    for n in (1, 2):
        temp = write(zone, ".x.tmp")
        set_time(temp)
        os.rename(temp, os.path.join(zone["path"], "x"))
        wait_until(lambda: counts(daemon, zone) == {"x": n}, what="the file")
    crash(daemon, zone)
    write(zone, "last")
    daemon.wait_files(zone, "x", "x", "last")


@pytest.mark.parametrize("down", [False, True])
def test_rewriting_with_the_same_size_is_another_arrival(daemon, zone, down):
    path = write(zone, "a", "one")
    daemon.wait_files(zone, "a")
    if down:
        daemon.kill()
    rewrite(zone, "a", "two")
    os.chmod(path, 0o600)  # the last change of the inode is not the writing
    if down:
        daemon.start()
    daemon.wait_files(zone, "a", "a")


@pytest.mark.parametrize("meanwhile", ["looked", "held", "down"])
def test_a_copy_in_place_of_a_file_that_was_removed_is_another_arrival(daemon, zone, tmp_path, meanwhile):
    """Mostly it gets the inode of the one that was removed; its size is the same, and its time an older one. tar -x does the same."""
    path = write(zone, "a", "one")
    daemon.wait_files(zone, "a")
    (tmp_path / "source").write_text("two")
    set_time(tmp_path / "source")
    if meanwhile == "held":
        daemon.signal(signal.SIGSTOP)
    if meanwhile == "down":
        daemon.kill()
    born_later(zone, path)
    os.unlink(path)
    if meanwhile == "looked":
        wait_until(lambda: daemon.zone(zone)["file_count"] == 0, what="the file to be gone")
    shutil.copy2(tmp_path / "source", path)
    if meanwhile == "held":
        daemon.signal(signal.SIGCONT)
    if meanwhile == "down":
        daemon.start()
    daemon.wait_files(zone, "a", "a")
    wait_ledger(daemon, zone, ["a"])
    crash(daemon, zone)
    write(zone, "last")
    daemon.wait_files(zone, "a", "a", "last")


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("step", [-1, 1])
def test_another_version_with_its_own_time_is_another_arrival(daemon, zone, tmp_path, down, step):
    """cp -p over a file that came by cp -p, of the same size; also when the version is an older one."""
    def copy(content, ns):
        (tmp_path / "source").write_text(content)
        set_time(tmp_path / "source", ns)
        subprocess.run(["cp", "-p", tmp_path / "source", os.path.join(zone["path"], "a")], check=True)

    copy("one", LONG_AGO)
    daemon.wait_files(zone, "a")
    inode = os.stat(os.path.join(zone["path"], "a")).st_ino
    if down:
        daemon.kill()
    copy("two", LONG_AGO + step * 10**9)
    assert os.stat(os.path.join(zone["path"], "a")).st_ino == inode
    if down:
        daemon.start()
    daemon.wait_files(zone, "a", "a")


def test_the_same_time_and_size_is_the_same_arrival(daemon, zone):
    """What the four say is all there is to go by, and the documentation says so."""
    path = write(zone, "a", "one")
    set_time(path)
    wait_ledger(daemon, zone, ["a"])
    daemon.kill()
    write(zone, "a", "two")
    set_time(path)
    daemon.start()
    write(zone, "last")
    daemon.wait_files(zone, "a", "last")
    rescan(daemon, zone)
    daemon.wait_files(zone, "a", "last")


def test_modes_and_links_are_no_arrivals(daemon, zone, tmp_path):
    path = write(zone, "a")
    daemon.wait_files(zone, "a")
    for between in (nothing, crash, rescan):
        os.chmod(path, 0o640)
        os.chown(path, os.getuid(), os.getgid())
        os.link(path, tmp_path / "elsewhere")
        os.unlink(tmp_path / "elsewhere")
        between(daemon, zone)
    os.link(path, os.path.join(zone["path"], "b"))  # another name in the zone is another path
    daemon.wait_files(zone, "a", "b")


def test_times_of_files_that_were_there_before_the_zone(daemon, tmp_path):
    """Set while the zone is still being gone through for the first time: they are not taken for new ones."""
    names = [f"f{i}" for i in range(3000)]
    (tmp_path / "old").mkdir()
    for name in names:
        (tmp_path / "old" / name).touch()
    z = daemon.create_zone(path=str(tmp_path / "old"))
    for i, name in enumerate(names):
        set_time(tmp_path / "old" / name)
        if i < 100:
            shutil.copy2(tmp_path / "old" / name, tmp_path / "old" / f"new{i}")
    wait_ledger(daemon, z, names)
    daemon.wait_files(z, *(f"new{i}" for i in range(100)))


def test_a_file_that_comes_back_keeps_its_name_and_id(daemon, zone, tmp_path):
    f = daemon.upload(zone, "orders.csv", b"1", "text/csv").expect(201).json()
    shown = daemon.get(f"{daemon.zone_path(zone)}/files/{f['id']}").expect(200).json()
    os.rename(f["path"], tmp_path / "away")
    wait_until(lambda: daemon.zone(zone)["file_count"] == 0, what="the file to be gone")
    os.rename(tmp_path / "away", f["path"])
    wait_until(lambda: daemon.zone(zone)["file_count"] == 1, what="the file to be back")
    assert daemon.get(f"{daemon.zone_path(zone)}/files/{f['id']}").expect(200).json() == shown
    assert daemon.zone(zone)["total_bytes"] == 1
