#!/usr/bin/python3
"""layers.py - who may include whom: every #include below src/ and include/ against the table of the design.

    layers.py TREE          checks TREE/src and TREE/include, prints each offence as file:line, exits with 1 when there are any
    layers.py --self-test   checks planted toy trees, to show that offences are seen and that clean code passes

Arrows point down only: base < core < io < source, executor, api < app. Siblings never include each other. Each third-party
library has one home. A header that stands in no list below is an offence too: it needs a decision, which is a row here.
"""
import os
import re
import sys
import tempfile

# A directory, and the directories whose headers it may include. "pawl" is include/pawl.
LAYERS = {
    "pawl": ["pawl", "base"],
    "base": ["base", "pawl"],
    "core": ["core", "base", "pawl"],
    "io/loop": ["io/loop", "core", "base", "pawl"],
    "io/secret": ["io/secret", "core", "base", "pawl"],
    "io/yaml": ["io/yaml", "core", "base", "pawl"],
    "io/tzdata": ["io/tzdata", "core", "base", "pawl"],
    "io/http": ["io/http", "io/loop", "core", "base", "pawl"],
    "io/curl": ["io/curl", "io/loop", "core", "base", "pawl"],
    "io/kafka": ["io/kafka", "io/loop", "core", "base", "pawl"],
    "io/nats": ["io/nats", "io/loop", "core", "base", "pawl"],
    "io/process": ["io/process", "io/loop", "core", "base", "pawl"],
    "io/store": ["io/store", "io/loop", "core", "base", "pawl"],
    "source": ["source", "io", "core", "base", "pawl"],
    "executor": ["executor", "io", "core", "base", "pawl"],
    "api": ["api", "io", "core", "base", "pawl"],
    "cli": ["cli", "io", "base", "pawl"],
    "app": ["app", "cli", "api", "executor", "source", "io", "core", "base", "pawl"],
}

# Headers of another layer that one may include all the same.
EXCEPTIONS = {
    "cli": ["core/ark_doc.h", "core/cron.h", "core/tz.h"],  # `pawl cron` asks what the daemon would do: the same code must answer
}

# A third-party header, and where it may be included.
HOMES = {
    "uv.h": ["io/loop", "io/curl", "io/http", "io/kafka", "io/nats", "io/process", "io/store", "source", "executor", "cli", "app"],
    "sqlite3.h": ["io/store"],
    "sodium.h": ["io/secret"],
    "llhttp.h": ["io/http"],
    "yaml.h": ["io/yaml"],
    "curl/curl.h": ["io/curl"],
    "librdkafka/rdkafka.h": ["io/kafka"],
    "nats/nats.h": ["io/nats"],
    "nats/adapters/libuv.h": ["io/nats"],
    "jansson.h": ["pawl", "src/base/json.h"],
    "uthash.h": list(LAYERS),
    "utlist.h": list(LAYERS),
}

# What the C library offers without a clock, a descriptor, a thread or an environment. All that core may use.
PURE = """assert.h ctype.h errno.h float.h inttypes.h limits.h math.h stdalign.h stdarg.h stdbool.h stddef.h stdint.h stdio.h stdlib.h
    stdnoreturn.h string.h strings.h fnmatch.h""".split()

# The rest of what Linux and the C library offer.
SYSTEM = """arpa/inet.h dirent.h dlfcn.h fcntl.h fnmatch.h getopt.h grp.h locale.h malloc.h net/if.h netdb.h netinet/in.h netinet/tcp.h poll.h
    pthread.h pwd.h sched.h setjmp.h signal.h spawn.h stdatomic.h sys/epoll.h sys/eventfd.h sys/file.h sys/inotify.h sys/ioctl.h
    sys/mman.h sys/pidfd.h sys/prctl.h sys/random.h sys/resource.h sys/select.h sys/signalfd.h sys/socket.h sys/stat.h sys/statfs.h
    sys/statvfs.h sys/syscall.h sys/sysinfo.h sys/time.h sys/timerfd.h sys/types.h sys/uio.h sys/un.h sys/utsname.h sys/wait.h
    syscall.h termios.h time.h unistd.h""".split()

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')


def layer_of(path):
    """The row of LAYERS that a file below the tree belongs to: its longest directory prefix. None: it belongs to none."""
    path = path.replace("include/pawl/", "pawl/", 1) if path.startswith("include/") else path.replace("src/", "", 1)
    fits = [name for name in LAYERS if path.startswith(name + "/")]
    return max(fits, key=len) if fits else None


def within(layer, allowed):
    return any(layer == a or layer.startswith(a + "/") for a in allowed)


def judge_quoted(tree, path, layer, name):
    """Why a file of this layer may not include "name", or None."""
    if "/" not in name:
        beside = os.path.join(tree, os.path.dirname(path), name)
        return None if os.path.exists(beside) or name.endswith(".inc") else f'"{name}" is not beside it: write its path below src/'
    target = layer_of("include/" + name if name.startswith("pawl/") else "src/" + name)
    if target is None or ".." in name:
        return f'"{name}" is in no layer'
    if not within(target, LAYERS[layer]) and name not in EXCEPTIONS.get(layer, []):
        return f'{layer} must not include {target} ("{name}")'
    return None


def judge_system(path, layer, name):
    """Why a file of this layer may not include <name>, or None."""
    if name in HOMES:
        if within(layer, HOMES[name]) or path in HOMES[name]:
            return None
        return f"<{name}> is at home in {', '.join(HOMES[name])} only"
    if name in PURE:
        return None
    if name in SYSTEM or name.startswith(("linux/", "sanitizer/")):
        return f"<{name}> is not pure, and core must be" if layer == "core" else None
    return f"<{name}> has no home: give it a row in tests/tools/layers.py"


def check(tree):
    """All offences in a tree, as lines of text."""
    offences = []
    for top in ("include", "src"):
        for directory, _, names in os.walk(os.path.join(tree, top)):
            for name in sorted(names):
                if name.endswith((".c", ".h")):
                    offences += check_file(tree, os.path.relpath(os.path.join(directory, name), tree))
    return sorted(offences)


def check_file(tree, path):
    layer = layer_of(path)
    if layer is None:
        return [f"{path}: belongs to no layer"]
    offences = []
    with open(os.path.join(tree, path), encoding="utf-8") as f:
        for number, line in enumerate(f, 1):
            m = INCLUDE.match(line)
            if not m:
                continue
            why = judge_quoted(tree, path, layer, m.group(1)) if m.group(1) else judge_system(path, layer, m.group(2))
            if why:
                offences.append(f"{path}:{number}: {why}")
    return offences


# ---- the self-test: one file, one include, allowed or not ----
ALLOWED = [
    ("src/core/engine.c", '"core/engine.h"'), ("src/core/engine.c", '"base/str.h"'), ("src/core/engine.c", "<string.h>"),
    ("src/core/engine.c", "<uthash.h>"), ("src/io/store/db.c", "<sqlite3.h>"), ("src/io/http/server.c", '"io/loop/timers.h"'),
    ("src/app/main.c", '"api/api.h"'), ("src/source/webhook.c", "<uv.h>"), ("include/pawl/source.h", "<jansson.h>"),
    ("src/base/json.h", "<jansson.h>"), ("src/source/types.c", '"source_list.inc"'), ("src/base/log.c", "<time.h>"),
    ("src/api/runs.c", '"core/engine.h"'), ("src/executor/command.c", "<spawn.h>"), ("src/cli/cron.c", '"core/cron.h"'),
]
REFUSED = [
    ("src/core/engine.c", "<uv.h>"), ("src/core/engine.c", "<time.h>"), ("src/core/engine.c", '"io/store/db.h"'),
    ("src/core/engine.c", "<sys/socket.h>"), ("src/core/engine.c", "<pthread.h>"), ("src/base/str.c", '"core/engine.h"'),
    ("src/source/webhook.c", '"executor/dispatcher.h"'), ("src/executor/command.c", '"source/webhook.h"'),
    ("src/api/runs.c", '"app/app.h"'), ("src/api/runs.c", "<sqlite3.h>"), ("src/cli/key.c", '"core/engine.h"'),
    ("src/io/loop/worker.c", '"io/store/db.h"'), ("src/io/store/db.c", '"io/http/http.h"'), ("src/io/store/db.c", "<sodium.h>"),
    ("src/base/str.c", "<jansson.h>"), ("src/base/json.c", "<jansson.h>"), ("include/pawl/event.h", '"core/engine.h"'),
    ("src/app/main.c", "<openssl/ssl.h>"), ("src/api/runs.c", '"../core/engine.h"'), ("src/new/thing.c", "<string.h>"),
    ("src/app/main.c", '"missing.h"'), ("src/core/engine.c", " \t<uv.h> /* spaced */"),
]


def self_test():
    wrong = []
    for rows, expected in ((ALLOWED, 0), (REFUSED, 1)):
        for path, what in rows:
            with tempfile.TemporaryDirectory() as tree:
                os.makedirs(os.path.join(tree, os.path.dirname(path)))
                with open(os.path.join(tree, path), "w", encoding="utf-8") as f:
                    f.write(f"/* toy */\n#  include {what}\n")
                if len(check(tree)) != expected:
                    wrong.append(f"{path} including {what}: {'refused' if not expected else 'not seen'}")
    return wrong


if __name__ == "__main__":
    found = self_test() if sys.argv[1] == "--self-test" else check(sys.argv[1])
    print("\n".join(found) if found else "clean")
    sys.exit(1 if found else 0)
