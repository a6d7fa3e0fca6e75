"""Landing zones when the kernel gives no more notices: limits of inotify are reported, directories are gone through instead, and when
there is room again they are watched. The limits are those of a user namespace of the daemon's own; nobody else has them."""
import os
import subprocess
import time

import pytest

from pawl import wait_until

LIMIT = 'echo "$1" > "/proc/sys/user/$0" || exit 1; shift; exec "$@"'


def limited(make_daemon, name, value):
    """A daemon in a user namespace with a limit of its own."""
    wrapper = ("unshare", "--user", "--map-root-user", "sh", "-c", LIMIT, name, str(value))
    if subprocess.run([*wrapper, "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("there are no user namespaces here")
    return make_daemon(wrapper=wrapper)


def set_limit(daemon, name, value):
    subprocess.run(["nsenter", "--user", "--preserve-credentials", "--target", str(daemon.pid), "sh", "-c", LIMIT, name, str(value), "true"],
                   check=True)


def expect_reported(daemon, zone, part):
    wait_until(lambda: daemon.zone(zone)["status"] == "error", what="the limit to be reported")
    assert part in daemon.zone(zone)["error"]
    assert part in daemon.get("/health/ready").expect(200).json()["landing_zones"][f"default.{zone['name']}"]
    assert part in daemon.stderr() and "landing zone cannot be watched" in daemon.stderr()


def expect_well(daemon, zone):
    wait_until(lambda: daemon.zone(zone)["status"] == "watching", what="the zone to be watched")
    assert daemon.zone(zone)["error"] is None
    assert "landing_zones" not in daemon.get("/health/ready").expect(200).json()
    assert "landing zone is watched again" in daemon.stderr()


def test_too_many_watches(make_daemon, tmp_path):
    names = [f"d{i}/file" for i in range(40)]
    for i in range(40):
        (tmp_path / "in" / f"d{i}").mkdir(parents=True)
    daemon = limited(make_daemon, "max_inotify_watches", 8)
    z = daemon.create_zone(path=str(tmp_path / "in"), recursive=True, rescan_seconds=1)
    expect_reported(daemon, z, "fs.inotify.max_user_watches")
    for name in names:
        (tmp_path / "in" / name).write_text("x")
    daemon.wait_files(z, *names)
    set_limit(daemon, "max_inotify_watches", 1000)
    expect_well(daemon, z)
    daemon.put(daemon.zone_path(z), {"rescan_seconds": 86400}).expect(200)
    (tmp_path / "in" / "d39" / "noticed").write_text("x")
    daemon.wait_files(z, *names, "d39/noticed")


@pytest.mark.parametrize("name,part", [("max_inotify_watches", "fs.inotify.max_user_watches"),
                                       ("max_inotify_instances", "fs.inotify.max_user_instances")])
def test_no_notices_at_all(make_daemon, tmp_path, name, part):
    top = tmp_path / "above" / "in"
    top.mkdir(parents=True)
    (top / "old").write_text("x")
    daemon = limited(make_daemon, name, 0)
    z = daemon.create_zone(path=str(top), rescan_seconds=1)
    expect_reported(daemon, z, part)
    (top / "a").write_text("x")
    daemon.wait_files(z, "a")
    daemon.kill()
    daemon.start()
    (top / "b").write_text("x")
    daemon.wait_files(z, "a", "b")
    set_limit(daemon, name, 100)
    expect_well(daemon, z)
    daemon.put(daemon.zone_path(z), {"rescan_seconds": 86400}).expect(200)
    (top / "noticed").write_text("x")
    daemon.wait_files(z, "a", "b", "noticed")
    (tmp_path / "above").rename(tmp_path / "away")
    top.mkdir(parents=True)
    (top / "elsewhere").write_text("x")
    daemon.wait_files(z, "a", "b", "noticed", "elsewhere")


def test_rescans_wait_until_a_file_has_settled(make_daemon, tmp_path):
    """As on a file system that tells nothing: a file that is opened, lengthened and closed again and again is taken once, as a whole."""
    (tmp_path / "in").mkdir()
    daemon = limited(make_daemon, "max_inotify_watches", 0)
    z = daemon.create_zone(path=str(tmp_path / "in"), rescan_seconds=1, settle_ms=3000)
    (tmp_path / "in" / "still").write_text("x")
    path = tmp_path / "in" / "growing"
    size, written, paused = 0, [time.time()], 0
    while b"still" not in daemon.file_events(z):  # several rescans at least
        with open(path, "a", encoding="ascii") as f:
            f.write("x")
        size += 1
        written.append(os.stat(path).st_mtime)
        paused = max(paused, written[-1] - written[-2])
        assert daemon.file_events(z).count(b"growing") == 0 or paused > 2.5
    if paused > 2.5:
        pytest.skip("this machine pauses for so long that it looks like the end of the writing")
    daemon.wait_files(z, "still", "growing")
    with daemon.db() as con:
        [(arrived_ms,)] = con.execute("SELECT time FROM events WHERE CAST(subject AS TEXT) = 'growing'")
    assert arrived_ms / 1000 - written[-1] > 2.9
    sizes = {f["filename"]: f["size_bytes"] for f in daemon.get(daemon.zone_path(z) + "/files").json()["files"]}
    assert sizes == {"still": 1, "growing": os.path.getsize(path)} and size == os.path.getsize(path)
