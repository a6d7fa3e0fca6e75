#!/usr/bin/python3
"""style.py - what a reader of the tree should never meet.

    style.py TREE           prints each offence as file:line, exits with 1 when there are any; large files are only mentioned
    style.py --self-test    checks planted offences, to show that they are seen

In C: block comments only, headers that open with what they are for, functions that fit a head, formatting by .clang-format (the
.c files; headers are laid out by hand). Everywhere: no marks of unfinished work. In tests: no sleeping.
"""
import os
import re
import shutil
import subprocess
import sys
import tempfile

FUNCTION_LINES_MAX = 70
FILE_LINES_LARGE = 500

# Functions that are longer for a reason: path and name.
LONG_FUNCTIONS = set()

UNFINISHED = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX", "HA" + "CK:", "W" + "IP:"]) + r")\b")
SLEEPS = re.compile(r"\b(?:time\.sleep|asyncio\.sleep|u?sleep|nanosleep|clock_nanosleep|uv_sleep)\s*\(")
FUNCTION_HEAD = re.compile(r"^[A-Za-z_][^;={]*\([^;]*\)?$")
C_DIRS = ("src", "include", "tests", "bench")
TEXT_DIRS = C_DIRS + ("docs", "examples", "subprojects", ".ci")
C_TOKENS = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', re.S)


def files(tree, tops, endings):
    for top in tops:
        for directory, _, names in os.walk(os.path.join(tree, top)):
            for name in sorted(names):
                if name.endswith(endings) and "__pycache__" not in directory:
                    yield os.path.relpath(os.path.join(directory, name), tree)


def line_comments(path, text):
    for m in C_TOKENS.finditer(text):
        if m.group().startswith("//"):
            yield f"{path}:{text.count(chr(10), 0, m.start()) + 1}: // comment: write /* */"


def opening(path, text):
    name = os.path.basename(path)
    if not re.match(r"/\* " + re.escape(name) + r" - \S", text):
        yield f"{path}:1: must open with `/* {name} - what it is for`"


def long_functions(path, text):
    start, name = None, ""
    for number, line in enumerate(text.split("\n"), 1):
        if FUNCTION_HEAD.match(line):
            name = line
        if line == "{":
            start = number
        elif line.startswith("}") and start is not None:
            length, start = number - start + 1, None
            m = re.search(r"(\w+)\(", name)
            who = m.group(1) if m else name
            if length > FUNCTION_LINES_MAX and f"{path} {who}" not in LONG_FUNCTIONS:
                yield f"{path}:{number}: {who}() has {length} lines, {FUNCTION_LINES_MAX} are the most"


def unfinished(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        m = UNFINISHED.search(line)
        if m:
            yield f"{path}:{number}: {m.group(1)}"


def sleeping(path, text):
    for number, line in enumerate(text.split("\n"), 1):
        if SLEEPS.search(line):
            yield f"{path}:{number}: sleeps instead of waiting for the thing itself"


def formatting(tree):
    tool = shutil.which("clang-format")
    if not tool:
        print("clang-format is not installed: formatting was not checked (./dev lint installs it)")
        return
    paths = list(files(tree, C_DIRS, (".c",)))
    r = subprocess.run([tool, "--dry-run", "-Werror", *paths], cwd=tree, capture_output=True, text=True, check=False)
    for path in sorted(set(re.findall(r"^(\S+?):\d+:\d+: error:", r.stderr, re.M))):
        yield f"{path}: not formatted: run ./dev fmt"


def read(tree, path):
    with open(os.path.join(tree, path), encoding="utf-8") as f:
        return f.read()


def check(tree):
    offences = []
    for path in files(tree, C_DIRS, (".c", ".h")):
        text = read(tree, path)
        offences += list(line_comments(path, text)) + list(long_functions(path, text))
        if path.endswith(".h"):
            offences += opening(path, text)
        lines = text.count("\n")
        if lines > FILE_LINES_LARGE and path.startswith("src"):
            print(f"note: {path} has {lines} lines: is it one idea?")
    for path in files(tree, TEXT_DIRS, (".c", ".h", ".py", ".sh", ".md", ".build", ".sql", ".json", ".lua")):
        offences += unfinished(path, read(tree, path))
    for path in files(tree, ("tests",), (".c", ".h", ".py", ".sh")):
        offences += sleeping(path, read(tree, path))
    return offences


# ---- the self-test: a file, its text, and whether it offends ----
GOOD = '/* a.h - a thing. */\nint a(void); /* http://example.org */\nconst char *u = "http://x";\n'
TOYS = [
    ("src/base/a.h", GOOD, False),
    ("src/base/a.h", GOOD + "int b; // note\n", True),
    ("src/base/a.h", "#ifndef A\n" + GOOD, True),
    ("src/base/a.c", "/* a.c - a. */\nint a(void)\n{\n" + "    a();\n" * (FUNCTION_LINES_MAX + 1) + "}\n", True),
    ("src/base/a.c", "/* a.c - a. */\nint a(void)\n{\n" + "    a();\n" * (FUNCTION_LINES_MAX - 2) + "}\n", False),
    ("src/base/a.c", "/* a.c - a. " + "TO" + "DO */\n", True),
    ("tests/e2e/test_a.py", "import time\ntime.sle" + "ep(1)\n", True),
    ("tests/unit/test_a.c", "int a(void)\n{\n    usle" + "ep(5);\n}\n", True),
    ("tests/e2e/test_a.py", "argv = ['/bin/sleep', '60']\n", False),
    ("docs/a.md", "to be done: " + "FIX" + "ME\n", True),
]


def self_test():
    wrong = []
    for path, text, offends in TOYS:
        with tempfile.TemporaryDirectory() as tree:
            os.makedirs(os.path.join(tree, os.path.dirname(path)))
            with open(os.path.join(tree, path), "w", encoding="utf-8") as f:
                f.write(text)
            if bool(check(tree)) != offends:
                wrong.append(f"{path}: {'not seen' if offends else 'refused'}: {text[:80]!r}")
    return wrong


if __name__ == "__main__":
    found = self_test() if sys.argv[1] == "--self-test" else check(sys.argv[1]) + list(formatting(sys.argv[1]))
    print("\n".join(found) if found else "clean")
    sys.exit(1 if found else 0)
