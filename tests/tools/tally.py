#!/usr/bin/python3
"""tally.py - adds up what the test runners left in a directory, shows what failed, and ends with `N passed, N failed`.

DIR/*.xml are junit files. Beside those of meson stands NAME.json, meson's own log with the output of each program: it also tells
of programs that crashed after their last test. Each line of DIR/broken is a build or a runner that did not work, and counts as a
failure. Exits with 1 when anything failed or nothing ran.
"""
import glob
import json
import os
import sys
import xml.etree.ElementTree as ET

OUTPUT_LINES_MAX = 80
FINE = ("OK", "SKIP", "EXPECTEDFAIL")


def cases(path):
    """(programs, name, outcome) of every test in a junit file; outcome is passed, failed or skipped. A test stands either in the
    junit suite of its program, or is a program itself."""
    for suite in ET.parse(path).iter("testsuite"):
        program = suite.get("name", "").split(".", 1)[-1]
        for case in suite.iter("testcase"):
            if case.find("failure") is not None or case.find("error") is not None:
                outcome = "failed"
            elif case.find("skipped") is not None:
                outcome = "skipped"
            else:
                outcome = "passed"
            yield {program, case.get("name")}, ".".join(filter(None, [case.get("classname"), case.get("name")])), outcome


def programs(path):
    """What meson's log says of each program it ran, by name."""
    try:
        with open(path, encoding="utf-8") as f:
            return {entry["name"]: entry for entry in map(json.loads, f)}
    except FileNotFoundError:
        return {}


def show(name, entry):
    """Prints the end of what a failed program wrote."""
    text = entry.get("stdout", "") + entry.get("stderr", "")
    print(f"---- {name}: {entry['result']}, exit status {entry.get('returncode')}")
    for line in text.splitlines()[-OUTPUT_LINES_MAX:]:
        print(f"     {line}")


def judge(path):
    """(name, outcome) of every test a runner reported, and of every program that failed without saying where."""
    failed = set()
    for its_programs, name, outcome in cases(path):
        if outcome == "failed":
            failed |= its_programs
        yield name, outcome
    for name, entry in programs(path[:-4] + ".json").items():
        if entry["result"] in FINE:
            continue
        show(name, entry)
        if name not in failed:
            yield f"{name}: {entry['result']}, exit status {entry.get('returncode')}", "failed"


def main(directory):
    count = {"passed": 0, "failed": 0, "skipped": 0}
    for path in sorted(glob.glob(os.path.join(directory, "*.xml"))):
        runner = os.path.basename(path)[:-4]
        try:
            found = list(judge(path))
        except ET.ParseError as e:
            found = [(f"unreadable results: {e}", "failed")]
        for name, outcome in found:
            count[outcome] += 1
            if outcome != "passed":
                print(f"{outcome}: {runner}: {name}")
    broken = os.path.join(directory, "broken")
    if os.path.exists(broken):
        with open(broken, encoding="utf-8") as f:
            for line in f:
                count["failed"] += 1
                print(f"failed: {line.strip()}")
    if not sum(count.values()):
        print("no test ran")
    print(f"{count['passed']} passed, {count['failed']} failed")
    return 1 if count["failed"] or not count["passed"] else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
