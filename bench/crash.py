#!/usr/bin/python3
"""crash.py - kills pawl 1,000 times under load and compares what it acknowledged with what it has
"""
import argparse
import sys

from peers import Table, Workplace, machine

import crash  # tests/lib/crash.py: this file is called the same, but is not imported


def main():
    p = argparse.ArgumentParser(description="kills pawl under load and compares what it acknowledged with what it has")
    p.add_argument("--kills", type=int, default=1000)
    p.add_argument("--seed", type=int, default=crash.seed_of_the_day())
    a = p.parse_args()
    work, t = Workplace("crash"), Table()
    with crash.Crash(work.path, a.seed, log=lambda text: print(text, file=sys.stderr)) as c:
        c.kill_many(a.kills)
        c.settle()
        wrong = c.judge()
    print("\n".join(wrong[:50]))
    print(c.summary())
    t.at_least("kills", c.kills + c.early_kills, a.kills, "{:.0f}")
    t.row("runs acknowledged", f"{len(c.acknowledged):,}")
    t.at_most("promises broken", len(wrong), 0, "{:.0f}")
    work.close()
    print(machine())
    return t.show()


if __name__ == "__main__":
    sys.exit(main())
