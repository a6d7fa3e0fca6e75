"""receiver.py - an HTTP server for tests of what pawl sends: it keeps every request and answers as it is told.

    with Receiver() as r:
        r.answer = lambda request: Answer(200, b"done")         # called on a thread of its own; the default is 204
        ... r.url ...
        request = r.wait(1)[0]                                  # .method, .path, .headers (lower-case names), .body, .connection

An answer may also be bytes, written as they are, with the connection closed after them; or None: it is closed at once, or reset.
"""
import http.server
import socket
import ssl
import struct
import threading

from pawl import wait_until


class Answer:
    def __init__(self, status=200, body=b"", headers=None):
        self.status, self.body, self.headers = status, body, headers or {}


class Request:
    def __init__(self, handler, body):
        self.method, self.path, self.body = handler.command, handler.path, body
        self.headers = {}
        for name, value in handler.headers.items():
            assert name.lower() not in self.headers, f"{name} is there twice"
            self.headers[name.lower()] = value
        self.connection = handler.client_address


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def take(self):
        receiver = self.server.receiver
        length = int(self.headers.get("content-length", "0"))
        request = Request(self, self.rfile.read(length))
        with receiver.lock:
            receiver.requests.append(request)
        answer = receiver.answer(request)
        if isinstance(answer, Answer):
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if answer.status != 204:
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)
            return
        self.close_connection = True
        if answer is None:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        else:
            self.wfile.write(answer)

    do_POST = do_PUT = do_PATCH = do_GET = take

    def log_message(self, *_):
        pass


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        pass  # a client that goes away is part of many tests


class Receiver:
    def __init__(self, certificate=None):
        """certificate: (chain file, key file) makes it an https server."""
        self.lock, self.requests = threading.Lock(), []
        self.answer = lambda request: Answer(204)
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.receiver = self
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.port = self.server.server_address[1]
        self.url = f"{'https' if certificate else 'http'}://127.0.0.1:{self.port}"

    def wait(self, count, timeout=20.0):
        """The requests, as soon as there are that many."""
        wait_until(lambda: len(self.requests) >= count, timeout, f"{count} requests")
        with self.lock:
            return list(self.requests)

    def __enter__(self):
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()
