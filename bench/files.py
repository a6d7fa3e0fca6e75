#!/usr/bin/python3
"""files.py - files renamed into a landing zone, against incron and a bare inotify reader, and the way of one file to the disk

A program renames N small files into a directory as fast as it can. pawl: until the event, the ledger's row and the pending run of each
are committed with synchronous=FULL; then it is counted that none is missing and none is there twice. The bare reader: until it has
read N notices; it stores nothing. incron: until it has run a command (which appends a byte to a file) for each; fewer files, because
it starts a process for each and loses what its queue cannot hold. Last, pawl is killed and started again in the middle, and has to do
with a queue of 64 notices.
"""
import argparse
import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
import time

from peers import Pawl, Table, Workplace, binary_of, die_with_parent, machine, median, paired
import pawl as harness  # peers has made it findable

INCRON_FILES = 2000
QUEUE_LIMIT = "/proc/sys/fs/inotify/max_queued_events"


class Renamer:
    """Makes n files beside a directory, and renames them into it when told to."""

    def __init__(self, target, n):
        source = target + ".source"
        os.makedirs(source, exist_ok=True)
        self.process = subprocess.Popen([binary_of("files_rename"), source, target, str(n)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
        if self.process.stdout.readline() != "made\n":
            sys.exit("files could not be made")

    def go(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def instants(self):
        out, _ = self.process.communicate()
        if self.process.returncode != 0:
            sys.exit("files could not be renamed")
        return [float(x) for x in out.split()]


def zone_of(server, trigger=True):
    zone = server.daemon.create_zone("files")
    if trigger:
        server.daemon.create_file_trigger(server.daemon.create_pipeline(executor={"type": "pull"}), zone)
    return zone


def wait_all(server, n, timeout=600):
    """The instant at which n runs were on disk, looked for every 2 ms."""
    con = sqlite3.connect(f"file:{server.daemon.data}/pawl.db?mode=ro", uri=True, timeout=10)
    deadline = time.monotonic() + timeout
    while True:
        stored = con.execute("SELECT files FROM zone_totals").fetchone()[0]
        at = time.monotonic()
        if stored >= n:
            con.close()
            return at
        if at > deadline:
            sys.exit(f"{stored} of {n} files arrived")
        time.sleep(0.002)


def check_all(server, n):
    with server.daemon.db() as con:
        events, names = con.execute("SELECT count(*), count(DISTINCT subject) FROM events WHERE zone IS NOT NULL").fetchone()
        runs, = con.execute("SELECT count(*) FROM runs").fetchone()
        partial, = con.execute("SELECT count(*) FROM files WHERE size <> 8").fetchone()
    if (events, names, runs, partial) != (n, n, n, 0):
        sys.exit(f"{n} files: {events} events for {names} names, {runs} runs, {partial} taken before they were complete")


def measure_pawl(work, n):
    server = Pawl(work)
    r = Renamer(zone_of(server)["path"], n)
    r.go()
    end = wait_all(server, n)
    begin, _ = r.instants()
    check_all(server, n)
    work.end(server)
    return n / (end - begin)


def measure_crash(work, n):
    server = Pawl(work)
    zone = zone_of(server)
    r = Renamer(zone["path"], n)
    r.go()
    harness.wait_until(lambda: server.daemon.zone(zone)["file_count"] > n // 10, 60, "some files")
    server.daemon.kill()
    server.daemon.start()
    wait_all(server, n)
    r.instants()
    check_all(server, n)
    work.end(server)


def measure_short_queue(work, n):
    """Whether the queue's limit could be set low; it counts when an inotify instance is made, so it is put back at once."""
    server = Pawl(work)
    with open(QUEUE_LIMIT, encoding="ascii") as f:
        before = f.read()
    try:
        with open(QUEUE_LIMIT, "w", encoding="ascii") as f:
            f.write("64")
        zone = zone_of(server)
    except OSError:
        work.end(server)
        return False
    finally:
        with contextlib.suppress(OSError), open(QUEUE_LIMIT, "w", encoding="ascii") as f:
            f.write(before)
    r = Renamer(zone["path"], n)
    r.go()
    wait_all(server, n)
    r.instants()
    check_all(server, n)
    work.end(server)
    return True


def measure_reader(work, n):
    target = work.directory("reader")
    reader = subprocess.Popen([binary_of("files_reader"), target, str(n)], stdout=subprocess.PIPE, text=True, preexec_fn=die_with_parent)
    reader.stdout.readline()
    r = Renamer(target, n)
    r.go()
    out, _ = reader.communicate()
    if reader.returncode != 0:
        sys.exit("the reader failed")
    begin, _ = r.instants()
    return n / (float(out) - begin)


def measure_incron(work, n):
    base, target = work.directory("incron"), work.directory("incron.in")
    for d in ("system", "user"):
        os.makedirs(f"{base}/{d}")
    log = f"{base}/log"
    with open(f"{base}/system/bench", "w", encoding="ascii") as f:
        f.write(f"{target} IN_MOVED_TO {binary_of('files_mark')} {log} $#\n")
    with open(f"{base}/incron.conf", "w", encoding="ascii") as f:
        f.write(f"system_table_dir = {base}/system\nuser_table_dir = {base}/user\nlockfile_dir = {base}\nlockfile_name = incrond\n")
    daemon = subprocess.Popen(["incrond", "-n", "-f", f"{base}/incron.conf"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                              preexec_fn=die_with_parent)

    def marks():
        return os.path.getsize(log) if os.path.exists(log) else 0

    def serves():  # it does not say when it watches
        name = f"{target}/probe{time.monotonic()}"
        open(base + "/probe", "w").close()
        os.rename(base + "/probe", name)
        return marks() > 0

    harness.wait_until(serves, 20, "incron to watch", every=0.05)
    settled = marks()
    while True:
        time.sleep(0.3)
        if marks() == settled:
            break
        settled = marks()
    r = Renamer(target, n)
    r.go()
    harness.wait_until(lambda: marks() >= settled + n, 120, "incron to run its commands", every=0.002)
    end = time.monotonic()
    begin, _ = r.instants()
    daemon.send_signal(signal.SIGTERM)
    daemon.wait()
    return n / (end - begin)


def measure_sync(work, n):
    """The median of a write of one page with fdatasync, in ms."""
    path = os.path.join(work.directory("sync"), "file")
    fd, times = os.open(path, os.O_CREAT | os.O_WRONLY), []
    os.posix_fallocate(fd, 0, 4096 * n)
    os.fsync(fd)
    for i in range(n):
        begin = time.monotonic()
        os.pwrite(fd, b"x" * 4096, 4096 * i)
        os.fdatasync(fd)
        times.append((time.monotonic() - begin) * 1000)
    os.close(fd)
    return median(times)


def measure_one(work, n):
    """The median of close() to the row being there for others to read, in ms."""
    server, times = Pawl(work), []
    zone = zone_of(server)
    con = sqlite3.connect(f"file:{server.daemon.data}/pawl.db?mode=ro", uri=True, timeout=10)
    for i in range(n):
        f = os.open(f"{zone['path']}/f{i}", os.O_CREAT | os.O_WRONLY)
        os.write(f, b"12345678")
        begin = time.monotonic()
        os.close(f)
        while con.execute("SELECT files FROM zone_totals").fetchone()[0] <= i:
            pass
        times.append((time.monotonic() - begin) * 1000)
    con.close()
    work.end(server)
    return median(times)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--rounds", type=int, default=5)
    p.add_argument("--files", type=int, default=100_000)
    a = p.parse_args()
    work = Workplace("files")
    rounds = []
    for i in range(a.rounds):
        parts = [("pawl", measure_pawl, a.files), ("reader", measure_reader, a.files), ("incron", measure_incron, INCRON_FILES),
                 ("sync", measure_sync, 300), ("one", measure_one, 300)]
        rounds.append({name: f(work, n) for name, f, n in (parts if i % 2 == 0 else reversed(parts))})
    measure_crash(work, a.files)
    short = measure_short_queue(work, a.files)
    work.close()
    t = Table()
    t.row("files renamed in", f"{a.files:,}")
    t.row("pawl: on disk, files/s", f"{median([r['pawl'] for r in rounds]):,.0f}")
    t.row("bare reader, files/s", f"{median([r['reader'] for r in rounds]):,.0f}")
    t.row("incron, files/s", f"{median([r['incron'] for r in rounds]):,.0f}")
    t.at_least("pawl / bare reader", paired(rounds, lambda r: r["pawl"], lambda r: r["reader"]), 0.5, "{:.2f}")
    t.at_least("pawl / incron", paired(rounds, lambda r: r["pawl"], lambda r: r["incron"]), 5, "{:.1f}")
    t.row("missing, doubled, partial; also over a crash", "0", "0", True)
    t.row("  with a kernel queue of 64 notices", "0" if short else "the limit cannot be set", "0", short)
    t.row("one page and fdatasync, p50 ms", f"{median([r['sync'] for r in rounds]):.2f}")
    t.at_most("one file, close to commit, p50 ms", median([r["one"] for r in rounds]), median([r["sync"] for r in rounds]) + 1, "{:.2f}")
    print(machine())
    return t.show()


if __name__ == "__main__":
    sys.exit(main())
