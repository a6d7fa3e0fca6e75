#!/usr/bin/python3
"""idle.py - what a daemon without work costs: memory, wake-ups in 60 seconds, time to be ready

Ready time: from the start of the process to its ready line, on an empty data directory, median of 20. Wake-ups: system calls
that strace sees in 60 seconds, after a second in which those that strace's own attaching interrupted are started again; and, without
strace, the voluntary context switches of all threads in the same time.
"""
import argparse
import glob
import os
import signal
import subprocess
import sys
import threading
import time

from peers import Pawl, Table, Workplace, die_with_parent, machine, median, pawl


def ready_ms(work):
    directory = work.directory("ready")
    d = pawl.Daemon(directory)
    start = time.monotonic()
    d.start()
    ms = (time.monotonic() - start) * 1000
    d.stop()
    return ms


def switches(pid):
    """How often the process's threads have gone to sleep by themselves."""
    total = 0
    for path in glob.glob(f"/proc/{pid}/task/*/status"):
        with open(path, encoding="ascii") as f:
            total += next(int(line.split()[1]) for line in f if line.startswith("voluntary_ctxt_switches"))
    return total


def syscalls(work, daemon, seconds):
    """The system calls of `seconds` that strace sees, but for those in its first second. A request at the end, outside of that
    time, shows that it does see them."""
    log = os.path.join(work.path, "strace")
    tracer = subprocess.Popen(["strace", "-f", "-ttt", "-o", log, "-p", str(daemon.pid)], stderr=subprocess.DEVNULL, preexec_fn=die_with_parent)
    start = time.time()
    threading.Event().wait(seconds + 1)
    end = time.time()
    daemon.get("/health/live").expect(200)
    tracer.send_signal(signal.SIGINT)
    tracer.wait()
    with open(log, encoding="ascii", errors="replace") as f:
        stamps = [float(line.split()[1]) for line in f if "<unfinished" not in line and "resumed>" not in line and "+++" not in line]
    if not any(s > end for s in stamps):
        sys.exit("strace saw nothing: may this user trace processes?")
    return sum(start + 1 < s < end for s in stamps)


def main():
    p = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    p.add_argument("--seconds", type=int, default=60)
    a = p.parse_args()
    work, t = Workplace("idle"), Table()
    t.at_most("ready on an empty data directory, ms, median of 20", median([ready_ms(work) for _ in range(20)]), 50, "{:.1f}")
    server = Pawl(work)
    # Some work first: an idle daemon is one that has worked.
    token = server.true_trigger()
    server.daemon.wait_run(server.daemon.fire_ok(token))
    threading.Event().wait(2)
    t.at_most("resident memory, MB", server.daemon.rss_bytes() / 1e6, 8, "{:.1f}")
    before = switches(server.daemon.pid)
    threading.Event().wait(a.seconds)
    t.at_most(f"context switches in {a.seconds} s", switches(server.daemon.pid) - before, 0, "{:.0f}")
    t.at_most(f"system calls in {a.seconds} s (strace)", syscalls(work, server.daemon, a.seconds), 0, "{:.0f}")
    work.close()
    print(machine())
    return t.show()


if __name__ == "__main__":
    sys.exit(main())
