"""peers.py - starts pawl and what it is compared with, on free loopback ports, and drives them with wrk and redis-benchmark.

Everything lives in one directory on a real disk (build/bench) and ends when the benchmark ends, however that happens.
"""
import atexit
import contextlib
import ctypes
import json
import os
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
sys.path.insert(0, os.path.join(ROOT, "tests", "lib"))
import pawl  # noqa: E402

BODY = json.dumps({"event": "order.created", "id": "0191e7a0-5b1e-7c3a-9d54-2f6a1c8b7e90", "customer": "c-10482",
                   "amount_cents": 129900, "currency": "EUR", "n": ""}).encode()
BODY = BODY.replace(b'"n": ""', b'"n": "%s"' % (b"x" * (150 - len(BODY))))
assert len(BODY) == 150
TMPFS, RAMFS = 0x01021994, 0x858458F6
PR_SET_PDEATHSIG = 1


class Workplace:
    """The directory of one benchmark, emptied at its start and removed at its end, and the processes that run in it."""

    def __init__(self, name):
        self.path = os.path.join(os.environ.get("PAWL_BENCH_DIR", os.path.join(ROOT, "build", "bench")), name)
        shutil.rmtree(self.path, ignore_errors=True)
        os.makedirs(self.path)
        on_disk(self.path)
        self.servers = []
        # Ctrl-C and SIGTERM end the benchmark through the usual way out.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        atexit.register(self.close)

    def directory(self, name):
        """A new empty directory for a server."""
        path = os.path.join(self.path, name)
        shutil.rmtree(path, ignore_errors=True)
        os.makedirs(path)
        return path

    def add(self, server):
        self.servers.append(server)
        return server

    def end(self, *servers):
        """Stops these servers and removes their files."""
        for server in servers:
            self.servers.remove(server)
            server.stop()
            shutil.rmtree(server.directory, ignore_errors=True)

    def close(self):
        self.end(*list(self.servers))
        shutil.rmtree(self.path, ignore_errors=True)


def on_disk(path):
    """Refuses file systems that only pretend to sync."""
    out = subprocess.run(["stat", "-f", "-c", "%t", path], capture_output=True, text=True, check=True).stdout
    if int(out, 16) in (TMPFS, RAMFS):
        sys.exit(f"{path} is in memory, which syncs nothing: set PAWL_BENCH_DIR to a directory on a disk")


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def die_with_parent():
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


class Server:
    """A peer process; subclasses say how it is started and how one sees that it serves."""

    def __init__(self, work, name):
        self.work, self.name = work, name
        self.directory = work.directory(name)
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = open(os.path.join(self.directory, "output"), "wb")
        self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
                                        cwd=self.directory, preexec_fn=die_with_parent)
        work.add(self)
        pawl.wait_until(self.serves, 20, f"{name} to serve")

    def command(self):
        raise NotImplementedError

    def serves(self):
        if self.process.poll() is not None:
            with open(self.log.name, encoding="utf-8", errors="replace") as f:
                sys.exit(f"{self.name} ended at once:\n{f.read()}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
            return True
        return False

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.log.close()


class Redis(Server):
    """Redis that syncs every write to disk before it answers."""

    def command(self):
        return ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self.directory, "--appendonly", "yes",
                "--appendfsync", "always", "--save", "", "--auto-aof-rewrite-percentage", "0", "--daemonize", "no",
                "--maxclients", "20000"]

    def rpush(self, connections, requests):
        """RPUSH of the webhook's bytes: {rate, p50, p99} with times in ms."""
        cmd = ["redis-benchmark", "-h", "127.0.0.1", "-p", str(self.port), "-c", str(connections), "-n", str(requests), "--csv",
               "RPUSH", "events", BODY.decode()]
        out = subprocess.run(cmd, capture_output=True, text=True, check=True, preexec_fn=die_with_parent).stdout
        # "the command, unescaped","rps","avg","min","p50","p95","p99","max"
        rps, _, _, p50, _, p99, _ = (float(v.strip('"')) for v in out.strip().splitlines()[-1].rsplit(",", 7)[1:])
        return {"rate": rps, "p50": p50, "p99": p99}

    def rpush_for(self, connections, seconds):
        """The same for about that long: a short trial says how many requests that is."""
        trial = self.rpush(connections, max(connections * 20, 2000))
        return self.rpush(connections, int(trial["rate"] * seconds))


class Nginx(Server):
    """nginx answering a static 201 that stores nothing."""

    def command(self):
        answer = '{"run_id":"0191e7a0-5b1e-7c3a-9d54-2f6a1c8b7e90"}'
        with open(os.path.join(self.directory, "nginx.conf"), "w", encoding="ascii") as f:
            f.write(f"""daemon off; worker_processes auto; pid {self.directory}/nginx.pid; error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off; keepalive_requests 1000000000; default_type application/json;
    client_body_temp_path {self.directory}/body; proxy_temp_path {self.directory}/proxy; fastcgi_temp_path {self.directory}/fastcgi;
    uwsgi_temp_path {self.directory}/uwsgi; scgi_temp_path {self.directory}/scgi;
    server {{ listen 127.0.0.1:{self.port}; location / {{ return 201 '{answer}'; }} }}
}}
""")
        return ["nginx", "-p", self.directory, "-c", os.path.join(self.directory, "nginx.conf"), "-e", "stderr"]


class Webhook(Server):
    """adnanh/webhook firing /bin/true: at /hooks/async it answers at once, at /hooks/sync when the command has ended."""

    def command(self):
        rule = {"match": {"type": "value", "value": "f" * 64, "parameter": {"source": "header", "name": "X-Webhook-Token"}}}
        hook = {"execute-command": "/bin/true", "success-http-response-code": 201, "http-methods": ["POST"], "trigger-rule": rule}
        with open(os.path.join(self.directory, "hooks.json"), "w", encoding="ascii") as f:
            json.dump([{"id": "async", **hook}, {"id": "sync", **hook, "include-command-output-in-response": True}], f)
        return ["webhook", "-hooks", os.path.join(self.directory, "hooks.json"), "-ip", "127.0.0.1", "-port", str(self.port)]

    token = "f" * 64


class Pawl:
    """The daemon under measure, by the same harness as the end-to-end tests."""

    def __init__(self, work, name="pawl", **kw):
        self.directory = work.directory(name)
        self.daemon = pawl.Daemon(self.directory, **kw).start()
        self.url = self.daemon.url
        work.add(self)

    def queue_trigger(self):
        """The token of a webhook whose runs wait in a pull queue that nobody empties."""
        return self.daemon.create_webhook_trigger(self.daemon.create_pipeline(executor={"type": "pull"}))["webhook_token"]

    def true_trigger(self):
        """The token of a webhook that runs /bin/true."""
        return self.daemon.create_webhook_trigger(self.daemon.create_pipeline(argv=["/bin/true"]))["webhook_token"]

    def runs_created(self):
        return self.daemon.get("/api/v1/runs?limit=1").json()["total"]

    def stop(self):
        self.daemon.stop(timeout=120)


def wrk(url, token, connections, seconds, good="2", extra=None):
    """Posts BODY with one client thread: {rate, p50, p99, requests}, times in ms. Any answer that is not 2xx ends the benchmark.
    extra: settings of post.lua."""
    env = {**os.environ, "BENCH_BODY": BODY.decode(), "BENCH_TOKEN": token, **(extra or {})}
    cmd = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "20s", "--latency", "-s", os.path.join(ROOT, "bench", "post.lua"), url]
    out = subprocess.run(cmd, capture_output=True, text=True, env=env, preexec_fn=die_with_parent, check=False)
    lines = [line for line in out.stdout.splitlines() if line.startswith("{")]
    if out.returncode != 0 or not lines:
        sys.exit(f"wrk failed on {url}:\n{out.stdout}{out.stderr}")
    r = json.loads(lines[-1])
    if r["status_errors"] or r["socket_errors"]:
        sys.exit(f"{url}: {r['status_errors']} answers were not 2xx, {r['socket_errors']} connections failed")
    return r


def files_limit(n):
    """Lets this process and its children have n descriptors open."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (n if hard == resource.RLIM_INFINITY else min(n, hard), hard))


def binary_of(name, *libraries):
    """Builds bench/NAME.c and returns the program."""
    out = os.path.join(ROOT, "build", "bench-" + name)
    subprocess.run([os.environ.get("CC", "cc"), "-O2", "-D_GNU_SOURCE", "-o", out, os.path.join(ROOT, "bench", name + ".c"), *libraries], check=True)
    return out


def target_of(name):
    """Builds bench/NAME.c with pawl's libraries in it, where ./dev bench has built pawl, and returns the program."""
    build = os.path.join(ROOT, "build", "release")
    subprocess.run(["ninja", "-C", build, "--quiet", "bench/" + name], stdout=subprocess.DEVNULL, check=True)
    return os.path.join(build, "bench", name)


# ---- results ----

def median(values):
    return statistics.median(values)


def paired(rounds, of, over):
    """The median over the rounds of of(round) / over(round)."""
    return median([of(r) / over(r) for r in rounds])


class Table:
    """Measured, compared, judged: the rows that are printed at the end."""

    def __init__(self):
        self.rows = []
        self.short = 0

    def row(self, what, measured, goal="", ok=None):
        """ok: whether the goal was reached; None for a row that only informs."""
        verdict = "" if ok is None else ("ok" if ok else "SHORT")
        self.short += verdict == "SHORT"
        self.rows.append((what, measured, goal, verdict))

    def at_least(self, what, value, goal, form="{:.2f}"):
        self.row(what, form.format(value), "at least " + form.format(goal), value >= goal)

    def at_most(self, what, value, goal, form="{:.2f}"):
        self.row(what, form.format(value), "at most " + form.format(goal), value <= goal)

    def show(self):
        rows = [("", "measured", "goal", "")] + self.rows
        width = [max(len(r[i]) for r in rows) for i in range(4)]
        for i, r in enumerate(rows):
            print("| " + " | ".join(c.ljust(w) if k == 0 else c.rjust(w) for k, (c, w) in enumerate(zip(r, width))) + " |")
            if i == 0:
                print("|" + "|".join("-" * (w + 2) for w in width) + "|")
        return 1 if self.short else 0


def machine():
    """One line about where this was measured."""
    with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as f:
        models = [line.split(":", 1)[1].strip() for line in f if line.startswith("model name")]
    disk = subprocess.run(["stat", "-f", "-c", "%T", ROOT], capture_output=True, text=True, check=False).stdout.strip()
    return f"{len(os.sched_getaffinity(0))} cores ({models[0] if models else 'unknown'}), {disk}, Linux {os.uname().release}"
