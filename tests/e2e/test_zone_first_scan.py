"""What was there before a zone is recorded and fires nothing; what comes from then on is an event, whatever happens before all of that is known."""
import os
import sqlite3

import pytest
from pawl import wait_until


def write(directory, name, content="x"):
    path = os.path.join(directory, name)
    with open(path, "w", encoding="utf-8") as f:
        f.write(content)
    return path


def known(daemon, zone):
    """The names in the ledger."""
    return {f["relative_path"] for f in daemon.get(f"{daemon.zone_path(zone)}/files").expect(200).json()["files"]}


def forget_the_first_scan(daemon):
    """As a kill leaves it that comes before the end of the first scan is on disk."""
    con = sqlite3.connect(os.path.join(daemon.data, "pawl.db"))
    with con:
        con.execute("UPDATE zones SET primed = 0")
        con.execute("DELETE FROM files WHERE path = CAST('before' AS BLOB)")
    con.close()


def test_files_that_come_before_the_first_scan_is_on_disk(daemon, tmp_path):
    directory = tmp_path / "in"
    directory.mkdir()
    write(directory, "before")
    zone = daemon.create_zone(path=str(directory))
    write(directory, "a", "one")
    daemon.wait_files(zone, "a")
    wait_until(lambda: known(daemon, zone) == {"before", "a"}, what="the first scan")
    daemon.kill()
    forget_the_first_scan(daemon)
    write(directory, "a", "two")
    os.chmod(directory / "a", 0o600)
    write(directory, "b")
    daemon.start()
    daemon.wait_files(zone, "a", "a", "b")
    wait_until(lambda: known(daemon, zone) == {"before", "a", "b"}, what="the first scan")


@pytest.mark.parametrize("crash", [False, True])
def test_what_a_wider_definition_finds_was_there_before_it(daemon, zone_of_csv, crash):
    zone = zone_of_csv
    write(zone["path"], "a.txt")
    write(zone["path"], "a.csv")
    daemon.wait_files(zone, "a.csv")
    daemon.put(daemon.zone_path(zone), {"include": []}).expect(200)
    wait_until(lambda: known(daemon, zone) == {"a.txt", "a.csv"}, what="the scan")
    if crash:
        daemon.kill()
    write(zone["path"], "b.txt")
    if crash:
        daemon.start()
    daemon.wait_files(zone, "a.csv", "b.txt")


@pytest.fixture
def zone_of_csv(daemon):
    return daemon.create_zone(include=["*.csv"])
