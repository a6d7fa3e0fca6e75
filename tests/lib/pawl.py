"""pawl.py - runs the real daemon for a test and talks to it.

    d = Daemon(tmp_path)                    # $PAWL_BIN serve --listen 127.0.0.1:0 --data tmp_path/data
    d.start()                               # returns when the ready line was printed
    p = d.create_pipeline(argv=["/bin/cat"])
    t = d.create_webhook_trigger(p)
    run_id = d.fire_ok(t, b'{"n": 1}')
    run = d.wait_run(run_id)                # polls until the run has ended
    d.kill(); d.start()                     # crash and come back with the same data
    d.stop()                                # SIGTERM; checks exit code 0 and that no sanitizer complained

Nothing here waits blindly: everything waits for a condition with a deadline, and says what it waited for when the deadline passes.
A deadline says nothing about speed, it only ends a test that hangs: it is at least a minute, and multiplied by $PAWL_PATIENCE (default 1).
"""
import base64
import contextlib
import http.client
import itertools
import json
import os
import random
import re
import select
import shutil
import signal
import socket
import sqlite3
import subprocess
import tempfile
import threading
import time
import uuid

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PATIENCE = float(os.environ.get("PAWL_PATIENCE", "1"))
DEADLINE_SECONDS = 60
FINAL = ("success", "failed", "cancelled")
SANITIZER = re.compile(r"ERROR: \w+Sanitizer|runtime error: |WARNING: ThreadSanitizer|SUMMARY: \w+Sanitizer")


def deadline(seconds):
    """For how many seconds something is waited for that ought to take no longer than so many: a busy machine may take far longer."""
    return max(seconds, DEADLINE_SECONDS) * PATIENCE


def binary():
    """The pawl under test."""
    return os.environ.get("PAWL_BIN", os.path.join(ROOT, "build", "pawl"))


def fixed_port():
    """A port for what has to be found at the same place again after a restart. Nobody is given it meanwhile: it is below those that the
    kernel hands out, and no other test process takes it as long as this one lives."""
    with open("/proc/sys/net/ipv4/ip_local_port_range", encoding="ascii") as f:
        end = int(f.read().split()[0])
    for port in random.sample(range(max(1024, end - 10000), end), min(1000, end - max(1024, end - 10000))):
        lock, probe = socket.socket(socket.AF_UNIX), socket.socket()
        try:
            lock.bind(f"\0pawl-test-port-{port}")
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
        except OSError:
            lock.close()
        else:
            _port_locks.append(lock)
            return port
        finally:
            probe.close()
    raise AssertionError("there is no free port")


_port_locks = []


def wait_until(condition, timeout=10.0, what="the condition", every=0.005):
    """Calls condition() until it is true and returns its value. Fails the test when it is not within deadline(timeout)."""
    end = time.monotonic() + deadline(timeout)
    never = threading.Event()
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"waited {deadline(timeout):.0f} s for {what}")
        never.wait(every)
        every = min(every * 1.3, 0.1)


def readable(file, seconds):
    """Whether there is something to be read, or the end, within that time. (Not select(2): a test may have many descriptors.)"""
    poll = select.poll()
    poll.register(file, select.POLLIN)
    return bool(poll.poll(seconds * 1000))


def environment(extra=None):
    """What every pawl process of a test gets as its environment."""
    env = dict(os.environ)
    env.setdefault("ASAN_OPTIONS", "exitcode=99:detect_leaks=1:allocator_may_return_null=1")
    env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1:exitcode=99")
    env.update(extra or {})
    return env


def cli(*args, timeout=30, env=None, **kw):
    """Runs a pawl command to its end: the CompletedProcess, with text output."""
    return subprocess.run([binary(), *map(str, args)], stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace",
                          timeout=deadline(timeout), env=environment(env), **kw)


class Response:
    """An HTTP answer: .status, .headers (lower-case names), .body (bytes), .json(), .error (the code in an error envelope)."""

    def __init__(self, status, headers, body, reason="", version="HTTP/1.1"):
        self.status, self.reason, self.version, self.body = status, reason, version, body
        self.headers, self.header_list = {}, [(name.lower(), value) for name, value in headers]
        for name, value in self.header_list:
            self.headers.setdefault(name, value)

    def all_headers(self, name):
        """The values of all headers of that name."""
        return [v for n, v in self.header_list if n == name]

    def json(self):
        return json.loads(self.body)

    @property
    def error(self):
        return self.json()["error"]["code"]

    @property
    def message(self):
        return self.json()["error"]["message"]

    def expect(self, status):
        """Itself, when the status is the expected one."""
        assert self.status == status, f"status {self.status}, not {status}: {self.body[:2000]!r}"
        return self

    def __repr__(self):
        return f"<{self.status} {self.body[:500]!r}>"


class Wire:
    """A raw connection, for what a well-behaved HTTP client would never send."""

    def __init__(self, address, timeout=10.0):
        self.sock = socket.create_connection(address, timeout=deadline(timeout))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buf = b""

    def send(self, data):
        self.sock.sendall(data if isinstance(data, bytes) else data.encode())
        return self

    def shutdown_write(self):
        self.sock.shutdown(socket.SHUT_WR)
        return self

    def _more(self):
        data = self.sock.recv(65536)
        self.buf += data
        return len(data) > 0

    def _until(self, mark):
        while mark not in self.buf:
            if not self._more():
                raise EOFError(f"connection closed after {self.buf[:500]!r}")
        head, self.buf = self.buf.split(mark, 1)
        return head

    def _exactly(self, n):
        while len(self.buf) < n:
            if not self._more():
                raise EOFError(f"connection closed {n - len(self.buf)} bytes before the end of a body")
        data, self.buf = self.buf[:n], self.buf[n:]
        return data

    def response(self, head=False):
        """Reads one response (head: it answers HEAD, so there is no body whatever Content-Length says)."""
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, reason = (lines[0] + " ").split(" ", 2)
        headers = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
        r = Response(int(status), headers, b"", reason.strip(), version)
        if head or r.status in (204, 304) or r.status < 200:
            return r
        if "content-length" in r.headers:
            r.body = self._exactly(int(r.headers["content-length"]))
        elif r.headers.get("transfer-encoding") == "chunked":
            while True:
                size = int(self._until(b"\r\n").split(b";")[0], 16)
                r.body += self._exactly(size)
                self._until(b"\r\n")
                if size == 0:
                    break
        else:
            r.body = self.rest()
        return r

    def rest(self):
        """Everything until the other side closes. A reset counts as the end."""
        with contextlib.suppress(ConnectionResetError):
            while self._more():
                pass
        data, self.buf = self.buf, b""
        return data

    def is_open(self):
        """False once the other side has closed (or sent something that was not asked for)."""
        return not readable(self.sock, 0)

    def wait_closed(self, timeout=10.0):
        """Waits for the other side to close; returns what it still sent."""
        self.sock.settimeout(deadline(timeout))
        return self.rest()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class EventStream(Wire):
    """Server-sent events, as they come: iterating gives (event, id, data) until the stream ends; data is parsed JSON. `comments`
    counts the lines without meaning, `complete` says that the server ended it properly."""

    def __init__(self, daemon, path, last_id=None, timeout=30.0, send=True):
        super().__init__((daemon.host, daemon.port), timeout)
        self.comments, self.complete, self.text = 0, False, b""
        headers = daemon._headers({"Accept": "text/event-stream", **({"Last-Event-ID": last_id} if last_id is not None else {})})
        lines = [f"GET {path} HTTP/1.1", "Host: x", *(f"{k}: {v}" for k, v in headers.items())]
        self.request = "\r\n".join(lines) + "\r\n\r\n"
        if send:
            self.ask()

    def ask(self):
        """Sends the request and takes the head of the answer."""
        self.send(self.request)
        lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
        self.head = Response(int(lines[0].split(" ")[1]), [tuple(p.strip() for p in line.split(":", 1)) for line in lines[1:]], b"")
        if "content-length" in self.head.headers:
            self.head.body = self._exactly(int(self.head.headers["content-length"]))
            self.complete = True
        return self

    def _chunk(self):
        """False at the end."""
        size = int(self._until(b"\r\n"), 16)
        self.text += self._exactly(size)
        assert self._until(b"\r\n") == b""
        self.complete = size == 0
        return size > 0

    def __iter__(self):
        return self

    def __next__(self):
        while True:
            while b"\n\n" not in self.text:
                if self.complete or not self._chunk():
                    assert self.text == b"", f"half an event: {self.text!r}"
                    raise StopIteration
            text, self.text = self.text.split(b"\n\n", 1)
            if text.startswith(b":"):
                self.comments += 1
                continue
            fields = dict(line.split(": ", 1) for line in text.decode().split("\n"))
            return fields["event"], fields.get("id"), json.loads(fields["data"])

    def until(self, event, **data):
        """Takes events up to the first of that name with that data; returns all of them."""
        got = []
        for e in self:
            got.append(e)
            if e[0] == event and data.items() <= e[2].items():
                return got
        raise AssertionError(f"the stream ended without {event} {data}: {got[-5:]}")

    def messages(self):
        """The text of every line that is still to come."""
        return [data["message"] for event, _, data in self if event == "log"]


class Daemon:
    """One pawl daemon with its data directory. See the top of this file."""

    _names = itertools.count(1)

    def __init__(self, directory, *args, listen=("127.0.0.1:0",), config=None, env=None, data=None, wrapper=()):
        """args: further arguments of `pawl serve`. config: an object, written as the --config file. wrapper: a command that runs pawl."""
        self.directory = str(directory)
        os.makedirs(self.directory, exist_ok=True)
        self.data = str(data) if data else os.path.join(self.directory, "data")
        self.args, self.listen, self.env, self.wrapper = list(args), list(listen), dict(env or {}), list(wrapper)
        self.config_file = os.path.join(self.directory, "config.yaml") if config is not None else None
        if config is not None:
            self.write_config(config)
        self.stderr_file = os.path.join(self.directory, "stderr.log")
        self.process = self.url = self.host = self.port = None
        self.api_key = None
        self.complaints = []

    # ---- life ----

    def write_config(self, config):
        with open(self.config_file, "w", encoding="utf-8") as f:
            json.dump(config, f)  # JSON is YAML

    def command(self):
        cmd = [*self.wrapper, binary(), "serve"]
        for address in self.listen:
            cmd += ["--listen", address]
        cmd += ["--data", self.data]
        if self.config_file:
            cmd += ["--config", self.config_file]
        return cmd + [str(a) for a in self.args]

    def launch(self):
        """Starts the process without waiting for it to be ready."""
        assert not self.running, "already running"
        with open(self.stderr_file, "ab") as err:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=err,
                                            env=environment(self.env), cwd=self.directory)
        os.set_blocking(self.process.stdout.fileno(), False)
        self._stdout = b""
        return self

    def start(self, timeout=20.0):
        """Starts it and returns when it serves."""
        self.launch()
        self.wait_ready(timeout)
        return self

    def wait_ready(self, timeout=20.0):
        end = time.monotonic() + deadline(timeout)
        while b"\n" not in self._stdout:
            left = end - time.monotonic()
            if not readable(self.process.stdout, max(left, 0)):
                raise AssertionError(f"no ready line within {deadline(timeout):.0f} s; stderr:\n{self.stderr_tail()}")
            data = os.read(self.process.stdout.fileno(), 65536)
            if not data:
                code = self.process.wait()
                self.process.stdout.close()
                self.process = None
                self._scan()
                raise AssertionError(f"pawl ended with {code} before it was ready; stderr:\n{self.stderr_tail()}")
            self._stdout += data
        line = self._stdout.split(b"\n", 1)[0].decode()
        m = re.fullmatch(r"ready (http://(\[[0-9a-f:]+\]|[0-9.]+):([0-9]+))", line)
        assert m, f"not a ready line: {line!r}"
        self.url, self.host, self.port = m.group(1), m.group(2).strip("[]"), int(m.group(3))

    def start_fails(self, timeout=20.0):
        """Starts it, expecting it to give up: (exit code, what it wrote to stderr)."""
        before = os.path.getsize(self.stderr_file) if os.path.exists(self.stderr_file) else 0
        self.launch()
        try:
            code = self.process.wait(deadline(timeout))
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError("pawl was expected to refuse to start, but it runs") from None
        self._reap()
        with open(self.stderr_file, encoding="utf-8", errors="replace") as f:
            f.seek(before)
            return code, f.read()

    @property
    def running(self):
        return self.process is not None and self.process.poll() is None

    @property
    def pid(self):
        return self.process.pid

    def signal(self, signo):
        self.process.send_signal(signo)
        return self

    def begin_stop(self):
        """SIGTERM, and wait until it is taken notice of: whatever comes now comes to a daemon that stops."""
        before = self.stderr().count('"msg":"stopping"')  # it may have stopped earlier, too
        self.signal(signal.SIGTERM)
        wait_until(lambda: self.stderr().count('"msg":"stopping"') > before, what="the daemon to begin to stop")
        return self

    def stop(self, timeout=30.0):
        """SIGTERM and wait. Anything but a clean exit with code 0 fails the test."""
        if self.process is None:
            return
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        self.wait_exit(timeout)

    def wait_exit(self, timeout=30.0, code=0):
        """Waits for the process to end by itself, with that exit code."""
        try:
            self.process.wait(deadline(timeout))
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"pawl did not end within {deadline(timeout):.0f} s; stderr:\n{self.stderr_tail()}") from None
        got = self._reap()
        assert got == code, f"pawl ended with {got}, not {code}; stderr:\n{self.stderr_tail()}"
        assert not self.complaints, self.complaint_text()

    def kill(self):
        """SIGKILL, as a crash."""
        if self.process is None:
            return
        died = self.process.poll()
        self.process.kill()
        self.process.wait()
        self._reap()
        if died not in (None, 0):
            self.complaints.append(f"pawl had already died with {died}")

    def restart(self):
        self.stop()
        return self.start()

    def finish(self):
        """For fixtures: ends it if it runs, and fails the test if anything was wrong with it at any time."""
        if self.process is not None:
            self.stop()
        self._scan()
        assert not self.complaints, self.complaint_text()

    def _reap(self):
        with contextlib.suppress(BlockingIOError):
            while True:
                data = os.read(self.process.stdout.fileno(), 65536)
                if not data:
                    break
                self._stdout += data
        self.process.stdout.close()
        code, self.process = self.process.returncode, None
        extra = self._stdout.split(b"\n", 1)[1] if b"\n" in self._stdout else b""
        if extra:
            self.complaints.append(f"more than the ready line on stdout: {extra[:500]!r}")
        self._scan()
        return code

    def _scan(self):
        if SANITIZER.search(self.stderr()) and "a sanitizer complained" not in self.complaints:
            self.complaints.append("a sanitizer complained")

    def complaint_text(self):
        return f"{'; '.join(self.complaints)}; stderr:\n{self.stderr_tail(200)}"

    def stderr(self):
        try:
            with open(self.stderr_file, encoding="utf-8", errors="replace") as f:
                return f.read()
        except FileNotFoundError:
            return ""

    def stderr_tail(self, lines=60):
        return "\n".join(self.stderr().splitlines()[-lines:])

    # ---- HTTP ----

    def request(self, method, path, body=None, headers=None, timeout=30.0):
        """One request on a connection of its own. A body that is not bytes or str is sent as JSON."""
        con = http.client.HTTPConnection(self.host, self.port, timeout=deadline(timeout))
        try:
            return exchange(con, method, path, body, self._headers(headers))
        finally:
            con.close()

    def _headers(self, headers):
        headers = dict(headers or {})
        if self.api_key and not any(h.lower() in ("x-api-key", "authorization") for h in headers):
            headers["X-Api-Key"] = self.api_key
        return headers

    def get(self, path, **kw):
        return self.request("GET", path, **kw)

    def post(self, path, body=None, **kw):
        return self.request("POST", path, body, **kw)

    def topic_metrics(self, topic):
        """What /metrics says of a topic: {"ready": 1, "received_total": 3, ...}."""
        found = re.findall(r'^pawl_topic_(\w+)\{topic="' + re.escape(topic) + r'"\} (\d+)$', self.get("/metrics").expect(200).body.decode(), re.M)
        return {name: int(value) for name, value in found}

    def put(self, path, body=None, **kw):
        return self.request("PUT", path, body, **kw)

    def delete(self, path, **kw):
        return self.request("DELETE", path, **kw)

    def session(self, timeout=30.0):
        """A keep-alive connection: session(method, path, body, headers) -> Response; session.close()."""
        return Session(self, timeout)

    def wire(self, timeout=10.0):
        """A raw connection."""
        return Wire((self.host, self.port), timeout)

    # ---- pipelines, triggers, runs ----

    def create_pipeline(self, name=None, argv=("/bin/true",), executor=None, namespace="default", layer="bronze", **fields):
        """Creates a pipeline, by default one that runs argv, and returns the object."""
        body = {"namespace": namespace, "layer": layer, "name": name or f"p{next(self._names)}",
                "executor": executor or {"type": "command", "argv": list(argv)}, **fields}
        return self.post("/api/v1/pipelines", body).expect(201).json()

    @staticmethod
    def pipeline_path(pipeline):
        return "/api/v1/pipelines/{namespace}/{layer}/{name}".format(**pipeline)

    def create_trigger(self, pipeline, type, config, **fields):
        """Creates a trigger (cooldown_seconds=, enabled=) and returns the object."""
        body = {"type": type, "config": config, **fields}
        return self.post(self.pipeline_path(pipeline) + "/triggers", body).expect(201).json()

    def create_webhook_trigger(self, pipeline, **fields):
        """Creates a webhook trigger (cooldown_seconds=, enabled=, config=) and returns the object with its webhook_token."""
        body = {"type": "webhook", "config": {}, **fields}
        return self.post(self.pipeline_path(pipeline) + "/triggers", body).expect(201).json()

    def fire(self, trigger, body=b"{}", headers=None, query="", timeout=30.0):
        """Calls the webhook of a trigger (or of a plaintext token): the Response, whatever it is."""
        token = trigger if isinstance(trigger, str) else trigger["webhook_token"]
        return self.post("/api/v1/webhooks" + (f"?{query}" if query else ""), body,
                         headers={"X-Webhook-Token": token, **(headers or {})}, timeout=timeout)

    def fire_ok(self, trigger, body=b"{}", **kw):
        """Calls the webhook, which must be accepted: the run's id."""
        return self.fire(trigger, body, **kw).expect(201).json()["run_id"]

    def fire_sync(self, trigger, body=b"{}", wait="5m", **kw):
        """Calls the webhook and waits for the run on the server's side: the Response."""
        return self.fire(trigger, body, query=f"mode=sync&timeout={wait}", timeout=360, **kw)

    # ---- ArkEvents ----

    def apply(self, *documents):
        """Applies manifests, all of them or none: the results."""
        text = "\n---\n".join(d if isinstance(d, str) else json.dumps(d) for d in documents)
        return self.post("/api/v1/apply", text).expect(200).json()["results"]

    def create_team(self, name, argv=("/bin/true",), namespace="ai", **fields):
        """A pipeline that ArkEvents of its namespace can name."""
        return self.create_pipeline(name, argv, namespace=namespace, layer="team", **fields)

    def create_event(self, name, *targets, source=None, namespace="ai", **spec):
        """An ArkEvent, by default a webhook: "namespace/name". Each target is a team's name or an object."""
        targets = [t if isinstance(t, dict) else {"team": t} for t in targets]
        self.apply({"apiVersion": "arkonis.dev/v1alpha1", "kind": "ArkEvent", "metadata": {"name": name, "namespace": namespace},
                    "spec": {"source": source or {"type": "webhook"}, "targets": targets, **spec}})
        return f"{namespace}/{name}"

    @staticmethod
    def event_path(event):
        namespace, name = event.split("/")
        return f"/apis/arkonis.dev/v1alpha1/namespaces/{namespace}/arkevents/{name}"

    def event(self, event):
        """The ArkEvent as the API shows it."""
        return self.get(self.event_path(event)).expect(200).json()

    def event_token(self, event):
        """The token in the Secret of an ArkEvent."""
        namespace, name = event.split("/")
        secret = self.get(f"/api/v1/namespaces/{namespace}/secrets/{name}-webhook-token").expect(200).json()
        return base64.b64decode(secret["data"]["token"]).decode()

    def fire_event(self, event, body=b"{}", token=None, query="", headers=None, timeout=60.0):
        """Calls an ArkEvent with its token, or another one ("": none): the Response."""
        token = self.event_token(event) if token is None else token
        return self.post(f"/triggers/{event}/fire" + (f"?{query}" if query else ""), body, timeout=timeout,
                         headers={**({"Authorization": f"Bearer {token}"} if token else {}), **(headers or {})})

    # ---- landing zones ----

    def create_zone(self, name=None, namespace="default", **fields):
        """Creates a landing zone and returns the object."""
        body = {"namespace": namespace, "name": name or f"z{next(self._names)}", **fields}
        return self.post("/api/v1/landing-zones", body).expect(201).json()

    @staticmethod
    def zone_path(zone):
        return "/api/v1/landing-zones/{namespace}/{name}".format(**zone)

    def zone(self, zone):
        return self.get(self.zone_path(zone)).expect(200).json()

    def create_file_trigger(self, pipeline, zone, pattern=None, **fields):
        """A trigger for the files of a zone, with a pattern of type file_pattern."""
        config = {"namespace": zone["namespace"], "zone_name": zone["name"], **({"pattern": pattern} if pattern else {})}
        body = {"type": "file_pattern" if pattern else "landing_zone_upload", "config": config, **fields}
        return self.post(self.pipeline_path(pipeline) + "/triggers", body).expect(201).json()

    def upload(self, zone, filename, content=b"hello", content_type="text/plain", timeout=30.0):
        """Sends a file to a zone: the Response, whatever it is. filename may be bytes, quotes and all."""
        name = filename if isinstance(filename, bytes) else filename.replace("\\", "\\\\").replace('"', '\\"').encode()
        body = (b'--frontier\r\nContent-Disposition: form-data; name="file"; filename="' + name + b'"\r\nContent-Type: ' +
                content_type.encode() + b"\r\n\r\n" + content + b"\r\n--frontier--\r\n")
        return self.post(self.zone_path(zone) + "/files", body, timeout=timeout,
                         headers={"Content-Type": "multipart/form-data; boundary=frontier"})

    def file_events(self, zone, events="subject"):
        """What arrived in a zone, oldest first, as the database has it: a list of paths below it."""
        with self.db() as con:
            con.text_factory = bytes
            return [bytes(row[0]) for row in con.execute(
                f"SELECT {events} FROM events WHERE zone = (SELECT key FROM zones WHERE id = ?) ORDER BY key", (uuid_blob(zone["id"]),))]

    def wait_files(self, zone, *names, timeout=20.0):
        """Waits until just these files have arrived in the zone, in any order, once each."""
        wanted = sorted(n if isinstance(n, bytes) else n.encode() for n in names)
        wait_until(lambda: len(self.file_events(zone)) >= len(wanted), timeout, f"{len(wanted)} files in {zone['name']}")
        got = sorted(self.file_events(zone))
        assert got == wanted, f"got {got[:20]}, wanted {wanted[:20]}"

    # ---- runs ----

    def run(self, run_id):
        return self.get(f"/api/v1/runs/{run_id}").expect(200).json()

    def wait_run(self, run_id, status=None, timeout=20.0):
        """Waits until the run has ended, or has the given status, and returns it."""
        seen = {}

        def there():
            seen.update(self.run(run_id))
            if status and seen["status"] in FINAL and seen["status"] != status:
                raise AssertionError(f"run {run_id} ended as {seen['status']}, not {status}: {seen}")
            return seen["status"] == status if status else seen["status"] in FINAL

        wait_until(there, timeout, f"run {run_id} to be {status or 'ended'}")
        return dict(seen)

    def wait_runs(self, trigger, count=1, status=None, timeout=20.0):
        """Waits until a trigger has made that many runs (of that status) and returns them, newest first."""
        filters = {"trigger_id": trigger["id"], "limit": 200, **({"status": status} if status else {})}
        query = "&".join(f"{k}={v}" for k, v in filters.items())

        def there():
            runs = self.get(f"/api/v1/runs?{query}").expect(200).json()["runs"]
            return runs if len(runs) >= count else None

        return wait_until(there, timeout, f"{count} runs of trigger {trigger['id']}", every=0.05)

    def logs(self, run_id):
        return self.get(f"/api/v1/runs/{run_id}/logs").expect(200).json()["logs"]

    def follow(self, run_id, last_id=None, timeout=30.0):
        """The run's log as a stream of events: an EventStream, from its beginning or from behind an event."""
        return EventStream(self, f"/api/v1/runs/{run_id}/logs", last_id, timeout)

    def all_runs(self, **filters):
        """Every run, newest first, through all pages."""
        runs, cursor = [], None
        while True:
            query = "&".join(f"{k}={v}" for k, v in {"limit": 200, **filters, **({"cursor": cursor} if cursor else {})}.items())
            page = self.get(f"/api/v1/runs?{query}").expect(200).json()
            runs += page["runs"]
            cursor = page.get("next_cursor")
            if not cursor or not page["runs"]:
                return runs

    # ---- what is on disk ----

    @contextlib.contextmanager
    def db(self):
        """A read-only sqlite3 connection. While pawl is down it is to a copy, so that looking leaves the crash's files as they are."""
        if self.running:
            con = sqlite3.connect(f"file:{self.data}/pawl.db?mode=ro", uri=True, timeout=10)
            with contextlib.closing(con):
                yield con
            return
        with tempfile.TemporaryDirectory() as copy:
            for suffix in ("", "-wal"):
                with contextlib.suppress(FileNotFoundError):
                    shutil.copy(f"{self.data}/pawl.db{suffix}", copy)
            with contextlib.closing(sqlite3.connect(f"{copy}/pawl.db")) as con:
                yield con

    # ---- what the process costs ----

    def rss_bytes(self):
        """Resident memory."""
        with open(f"/proc/{self.pid}/status", encoding="ascii") as f:
            return next(int(line.split()[1]) * 1024 for line in f if line.startswith("VmRSS"))

    def open_fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def open_targets(self, kind):
        """What its descriptors lead to, as far as that begins with kind, such as "socket:" or a directory. Some others, such as those of the readers
        of the database, are opened when they are needed."""
        targets = []
        for fd in os.listdir(f"/proc/{self.pid}/fd"):
            with contextlib.suppress(FileNotFoundError):
                targets.append(os.readlink(f"/proc/{self.pid}/fd/{fd}"))
        return [t for t in targets if t.startswith(kind)]


class Session:
    """Requests one after the other on one keep-alive connection."""

    def __init__(self, daemon, timeout):
        self.daemon = daemon
        self.con = http.client.HTTPConnection(daemon.host, daemon.port, timeout=deadline(timeout))

    def __call__(self, method, path, body=None, headers=None):
        return exchange(self.con, method, path, body, self.daemon._headers(headers))

    def close(self):
        self.con.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def exchange(con, method, path, body, headers):
    """One request and its response on an http.client connection."""
    if body is not None and not isinstance(body, (bytes, str)):
        body = json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    if isinstance(body, str):
        body = body.encode()
    con.request(method, path, body=body, headers=headers)
    r = con.getresponse()
    return Response(r.status, r.getheaders(), r.read(), r.reason)


def row_uuid(key, rest):
    """The id of an event's or a run's row, as text; src/io/store/row_key.h draws the two columns."""
    high = key >> 21 << 16 | 7 << 12 | key >> 9 & 0xFFF
    low = 2 << 62 | (key & 0x1FF) << 53 | rest
    return str(uuid.UUID(int=high << 64 | low))


def row_key(text):
    """The key of the row with that id."""
    id = uuid.UUID(text).int
    high, low = id >> 64, id & (1 << 64) - 1
    return high >> 16 << 21 | (high & 0xFFF) << 9 | low >> 53 & 0x1FF


def uuid_text(blob):
    """A 16-byte id from the database as its text."""
    return str(uuid.UUID(bytes=bytes(blob)))


def uuid_blob(text):
    """The text of an id as it stands in the database."""
    return uuid.UUID(text).bytes
