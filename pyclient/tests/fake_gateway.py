"""A gateway in Python that keeps sessions in a dictionary and speaks docs/protocol.md."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.cookies
import http.server
import json
import os
import re
import secrets
import socket
import socketserver
import threading
import urllib.parse
from typing import NamedTuple


class Response(NamedTuple):
    status: int
    headers: list[tuple[str, str]]
    body: bytes
    directive: list[str] | None  # word, id, state; the nonce has been checked

    @property
    def text(self):
        return self.body.decode()

    def header(self, name):
        return next((v for n, v in self.headers if n.lower() == name.lower()), None)


class FakeGateway:
    """`send` takes the bytes of an SCGI request and returns those of the CGI response."""

    def __init__(self, send, directory, key=None):
        self.send = send
        self.key = key
        self.states = {}
        self.calls = []  # what came over the API socket
        self.last_environ = None
        self.api_path = os.path.join(str(directory), "api")
        self.api = _APIServer(self.api_path, _APIHandler)
        self.api.gateway = self
        threading.Thread(target=self.api.serve_forever, args=(0.01,), daemon=True).start()

    def close(self):
        self.api.shutdown()
        self.api.server_close()

    def environ(self, method, path, cookie, body=b"", content_type=None, extra=None):
        path, _, query = path.partition("?")
        environ = {
            "CONTENT_LENGTH": str(len(body)),
            "SCGI": "1",
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": urllib.parse.unquote(path, "latin-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.0",
            "REMOTE_ADDR": "127.0.0.1",
            "ALFORJA_NONCE": secrets.token_urlsafe(16),
            "ALFORJA_API": self.api_path,
        }
        if content_type:
            environ["CONTENT_TYPE"] = content_type
        if cookie and re.fullmatch(r"[A-Za-z0-9_-]{1,128}", cookie):
            environ["HTTP_COOKIE"] = "QX_session=" + cookie
            environ["ALFORJA_SESSION_ID"] = cookie
            if cookie in self.states:
                state = base64.b64encode(self.states[cookie]).decode()
                environ["ALFORJA_SESSION"] = state
        if self.key is not None:
            environ["ALFORJA_SIGNATURE"] = sign(self.key, environ)
        environ.update(extra or {})
        return environ

    def request(self, environ, body=b""):
        self.last_environ = environ
        response = parse(self.send(scgi(environ) + body), environ["ALFORJA_NONCE"])
        if response.directive:
            self.commit(environ, *response.directive)
        return response

    def commit(self, environ, word, id, state=None):
        own = environ.get("ALFORJA_SESSION_ID")
        is_new = word in ("create", "renew")
        assert is_new != (id == own), "a directive for another session"
        if word == "create":
            assert id not in self.states
            self.states[id] = base64.b64decode(state, validate=True)
        elif word == "renew":
            assert id not in self.states
            if self.states.pop(own, None) is not None:
                self.states[id] = base64.b64decode(state, validate=True)
        elif word == "save":
            if id in self.states:
                self.states[id] = base64.b64decode(state, validate=True)
        elif word == "delete":
            self.states.pop(id, None)
        else:
            assert word == "keep" and state is None


class Browser:
    """Sends requests and keeps the session cookie."""

    def __init__(self, gateway):
        self.gateway = gateway
        self.cookie = None

    def get(self, path, method="GET", **extra):
        return self._send(self.gateway.environ(method, path, self.cookie, extra=extra))

    def post(self, path, **fields):
        body = urllib.parse.urlencode(fields).encode()
        form = "application/x-www-form-urlencoded"
        return self._send(self.gateway.environ("POST", path, self.cookie, body, form), body)

    def _send(self, environ, body=b""):
        response = self.gateway.request(environ, body)
        cookie = http.cookies.SimpleCookie(response.header("Set-Cookie") or "")
        if "QX_session" in cookie:
            self.cookie = cookie["QX_session"].value or None
        return response


def scgi(environ):
    header = "".join(f"{k}\0{v}\0" for k, v in environ.items()).encode("latin-1")
    return b"%d:%b," % (len(header), header)


def sign(key, environ):
    names = ("ALFORJA_NONCE", "ALFORJA_SESSION_ID", "ALFORJA_SESSION")
    text = "\n".join(environ.get(name, "") for name in names)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def parse(data, nonce):
    head, blank, body = data.partition(b"\r\n\r\n")
    assert blank, f"no end of the headers in {data[:200]!r}"
    headers, directive, status = [], None, 200
    for line in head.decode().split("\r\n"):
        name, _, value = line.partition(": ")
        if name == "Status":
            status = int(value[:3])
        elif name == "Alforja-Session":
            assert directive is None
            got, *directive = value.split(" ")
            assert got == nonce
        else:
            headers.append((name, value))
    return Response(status, headers, body, directive)


def send_to(path):
    """Return a `send` that connects to a worker's Unix socket."""

    def send(request):
        with socket.socket(socket.AF_UNIX) as conn:
            conn.settimeout(20)
            conn.connect(path)
            conn.sendall(request)
            return read_all(conn)

    return send


def read_all(conn):
    parts = []
    while True:
        part = conn.recv(1 << 16)
        if not part:
            return b"".join(parts)
        parts.append(part)


class _APIServer(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


class _APIHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def _handle(self):
        gateway = self.server.gateway
        gateway.calls.append(f"{self.command} {self.path}")
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self._answer(*self._result(gateway.states, body))

    do_GET = do_HEAD = do_PUT = do_DELETE = _handle

    def _result(self, states, body):
        if self.path == "/sessions":
            return 200, "".join(id + "\n" for id in states).encode()
        if self.path.startswith("/sessions?idle="):
            count = len(states)
            states.clear()
            return 200, json.dumps({"deleted": count, "remaining": 0}).encode()
        id = self.path[len("/sessions/") :]
        if id.startswith("busy"):
            return 503, b"session is busy\n"
        if self.command == "PUT" and self.headers.get("If-None-Match") == "*":
            if id in states:
                return 412, b"session exists already\n"
            states[id] = body
            return 201, b""
        if id not in states:
            return 404, b"no such session\n"
        if self.command == "PUT":
            states[id] = body
            return 204, b""
        if self.command == "DELETE":
            del states[id]
            return 204, b""
        return 200, states[id]

    def _answer(self, status, body):
        self.send_response(status)
        if status != 204:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if body and self.command != "HEAD":
            self.wfile.write(body)

    def address_string(self):
        return "worker"

    def log_message(self, *args):
        pass
