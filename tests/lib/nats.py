"""nats.py - a real nats-server on loopback for a test, and a client that speaks its protocol by hand.

    server = Server(tmp_path)               # JetStream with file storage below tmp_path; skip with available()
    server.start()                          # returns when it answers
    c = server.client()
    c.add_stream("ORDERS", ["orders.>"])
    seq = c.publish("orders.new", b"1")     # the sequence that JetStream acknowledged
    server.stop(); server.start()           # the same port, the same store
"""
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import time

import pawl

BINARY = shutil.which("nats-server") or ("/usr/sbin/nats-server" if os.access("/usr/sbin/nats-server", os.X_OK) else None)


def built_in():
    """Whether the pawl under test has NATS topics: the help of their kind is in it."""
    with open(pawl.binary(), "rb") as f:
        return b"subjects of NATS JetStream" in f.read()


def available():
    """Whether NATS topics can be tested here."""
    return BINARY is not None and built_in()


class Server:
    def __init__(self, directory, config="", tls=None, jetstream=True):
        """config: more lines of the server's configuration; tls: an ssl context for clients."""
        self.directory = directory
        os.makedirs(directory, exist_ok=True)
        self.port = pawl.fixed_port()
        self.tls = tls
        self.process = None
        self.file = os.path.join(directory, "nats.conf")
        with open(self.file, "w", encoding="utf-8") as f:
            f.write(f"host: 127.0.0.1\nport: {self.port}\n")
            if jetstream:
                f.write(f"jetstream {{ store_dir: \"{directory}/store\" }}\n")
            f.write(config)

    @property
    def url(self):
        return f"nats://127.0.0.1:{self.port}"

    def start(self):
        log = open(os.path.join(self.directory, "nats.log"), "ab")
        self.process = subprocess.Popen([BINARY, "-c", self.file], stdout=log, stderr=log)
        log.close()
        pawl.wait_until(self.answers, what="nats-server to answer")
        return self

    def answers(self):
        assert self.process.poll() is None, open(os.path.join(self.directory, "nats.log"), encoding="utf-8").read()
        try:
            with socket.create_connection(("127.0.0.1", self.port), 1) as s:
                return s.recv(4) == b"INFO"
        except OSError:
            return False

    def stop(self, signo=signal.SIGTERM):
        if self.process is not None:
            self.process.send_signal(signo)
            self.process.wait(pawl.deadline(30))
            self.process = None

    def kill(self):
        self.stop(signal.SIGKILL)

    def client(self, **options):
        return Client(self, **options)


class Client:
    """One connection, one request at a time, or many publishes and their acknowledgements."""

    def __init__(self, server, **options):
        self.sock = socket.create_connection(("127.0.0.1", server.port), pawl.deadline(10))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.sock.makefile("rb")
        assert self.file.readline().startswith(b"INFO")
        if server.tls is not None:
            self.sock = server.tls.wrap_socket(self.sock, server_hostname="localhost")
            self.file = self.sock.makefile("rb")
        hello = {"verbose": False, "pedantic": False, "headers": True, "no_responders": True, "lang": "test", "version": "1", **options}
        self.inbox = f"_INBOX.test{os.getpid()}{time.monotonic_ns()}"
        self.number = 0
        self.send(b"CONNECT " + json.dumps(hello).encode() + b"\r\nSUB " + self.inbox.encode() + b".* 1\r\nPING\r\n")
        assert self.file.readline() == b"PONG\r\n"

    def send(self, data):
        self.sock.sendall(data)

    def close(self):
        self.sock.close()

    def body(self, args):
        body = self.file.read(int(args[-1]) + 2)
        if not body.endswith(b"\r\n") or len(body) != int(args[-1]) + 2:
            raise ConnectionError("nats-server closed the connection")
        return body[:-2]

    def message(self):
        """The next one: (subject, payload)."""
        while True:
            line = self.file.readline()
            if not line.endswith(b"\n"):
                raise ConnectionError("nats-server closed the connection")
            word, *args = line.split()
            if word == b"PING":
                self.send(b"PONG\r\n")
            elif word == b"MSG":
                return args[0].decode(), self.body(args)
            elif word == b"HMSG":
                return args[0].decode(), self.body(args)[int(args[-2]):]
            elif word == b"-ERR":
                raise AssertionError(line)

    def put(self, subject, payload, headers=None):
        """Sends a message with a reply subject of its own; the number that its answer has."""
        self.number += 1
        reply = f"{self.inbox}.{self.number}"
        if headers:
            head = b"NATS/1.0\r\n" + b"".join(f"{k}: {v}\r\n".encode() for k, v in headers.items()) + b"\r\n"
            self.send(f"HPUB {subject} {reply} {len(head)} {len(head) + len(payload)}\r\n".encode() + head + payload + b"\r\n")
        else:
            self.send(f"PUB {subject} {reply} {len(payload)}\r\n".encode() + payload + b"\r\n")
        return self.number

    def request(self, subject, payload=b"", headers=None):
        number = self.put(subject, payload, headers)
        while True:
            where, body = self.message()
            if where == f"{self.inbox}.{number}":
                return body

    @staticmethod
    def answer(body):
        """What JetStream answered. Nobody does while it starts: then the server says so, without a body."""
        if not body:
            raise ConnectionError("JetStream is not there")
        return json.loads(body)

    def api(self, what, body=None):
        return self.answer(self.request(f"$JS.API.{what}", json.dumps(body).encode() if body is not None else b""))

    def add_stream(self, name, subjects, **config):
        answer = self.api(f"STREAM.CREATE.{name}", {"name": name, "subjects": subjects, "storage": "file", **config})
        assert "error" not in answer, answer

    def delete_stream(self, name):
        assert self.api(f"STREAM.DELETE.{name}").get("success")

    def consumers(self, stream):
        """What the server says of each consumer."""
        return self.api(f"CONSUMER.LIST.{stream}", {}).get("consumers") or []

    def publish(self, subject, payload, headers=None):
        answer = self.answer(self.request(subject, payload, headers))
        assert "error" not in answer, answer
        return answer["seq"]

    def publish_many(self, subject, payloads, acknowledged=None):
        """Sends all, then waits for all acknowledgements, and calls acknowledged(payload) at each. Their sequences."""
        first = self.number + 1
        out = []
        for p in payloads:
            self.number += 1
            out.append(f"PUB {subject} {self.inbox}.{self.number} {len(p)}\r\n".encode() + p + b"\r\n")
        self.send(b"".join(out))
        sequences = {}
        while len(sequences) < len(payloads):
            where, body = self.message()
            number = int(where.rsplit(".", 1)[1])
            if number >= first:
                answer = self.answer(body)
                assert "error" not in answer, answer
                sequences[number] = answer["seq"]
                if acknowledged:
                    acknowledged(payloads[number - first])
        return [sequences[n] for n in sorted(sequences)]
