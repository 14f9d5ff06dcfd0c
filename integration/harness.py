"""Real processes for the tests: the gateway, nginx, the stock SCGI stack, and a browser's worth of HTTP client."""

import contextlib
import http.client
import json
import os
import pathlib
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
import time

TREE = pathlib.Path(__file__).resolve().parent.parent
BINARY = pathlib.Path(os.environ.get("ALFORJA", TREE / "bin" / "alforja-race"))
APPS = TREE / "integration" / "apps"
PYTHON = sys.executable
DEADLINE = 30.0  # seconds after which a wait has failed

# A build with the race detector sleeps at its end, a second by default, so that races are still met.
os.environ.setdefault("GORACE", "atexit_sleep_ms=50")


def wait_until(condition, what, timeout=DEADLINE, interval=0.01):
    """Return condition()'s first true value."""
    end = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {timeout} s: {what}")
        time.sleep(interval)


def alive(pid):
    """Whether a process runs; a zombie does not."""
    try:
        state = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


class Server:
    """A process that logs to a file, ended with its whole group."""

    def __init__(self, argv, log, env=None, cwd=None):
        self.argv, self.log, self.cwd = [str(a) for a in argv], pathlib.Path(log), cwd
        self.env = {**os.environ, "PYTHONPATH": str(APPS), "PYTHONUNBUFFERED": "1", **(env or {})}
        self.process = None

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self.env,
                cwd=self.cwd,
            )
        return self

    @property
    def pid(self):
        return self.process.pid

    def text(self):
        return self.log.read_text(errors="replace")

    def stop(self, sig=signal.SIGTERM):
        """Send sig, wait for the end, return the exit status."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            return self.process.wait(DEADLINE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(
                f"{shlex.join(self.argv)} does not end:\n{self.text()[-4000:]}"
            ) from None


class Gateway(Server):
    """A running `alforja serve`. http and scgi are the (host, port) that it listens at."""

    def __init__(
        self,
        tmp,
        *args,
        command=None,
        store=None,
        env=None,
        name="gateway",
        listen=("--http", "127.0.0.1:0"),
    ):
        self.tmp = pathlib.Path(tmp)
        self.sessions = self.tmp / "sessions" if store is None else pathlib.Path(store)
        argv = [
            BINARY,
            "serve",
            "--log-format",
            "json",
            "--store",
            f"directory:{self.sessions}",
            *listen,
            *args,
        ]
        if command:
            argv += ["--", *command]
        super().__init__(argv, self.tmp / f"{name}.log", env)

    def start(self):
        before = len(self.listening())
        super().start()

        def listens():
            if self.process.poll() is not None:
                raise AssertionError(
                    f"alforja ended with {self.process.returncode}:\n{self.text()}"
                )
            return len(self.listening()) >= before + sum(
                a in ("--http", "--https", "--scgi") for a in self.argv
            )

        wait_until(listens, f"{self.argv} listens")
        for kind, address in self.listening()[before:]:
            setattr(self, kind, address)
        return self

    def lines(self):
        """The log as dictionaries; not a line that is just being written."""
        whole = self.text().rpartition("\n")[0]
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    def listening(self):
        if not self.log.exists():
            return []
        found = []
        for line in self.lines():
            if line["msg"] == "listening" and line["kind"] != "api":
                host, _, port = line["address"].rpartition(":")
                found.append(
                    (line["kind"], (host.strip("[]"), int(port)) if host else line["address"])
                )
        return found

    def workers(self):
        """The process ids of the workers that run now."""
        started = {}
        for line in self.lines():
            if line["msg"] == "worker started":
                started[line["worker"]] = line["pid"]
        return started

    def logged(self, text):
        """The log's lines that hold text, waited for."""
        return wait_until(
            lambda: [x for x in self.lines() if text in json.dumps(x)], f"{text!r} in the log"
        )

    def stop(self, sig=signal.SIGTERM):
        status = super().stop(sig)
        if "DATA RACE" in self.text():
            raise AssertionError(f"the race detector spoke:\n{self.text()}")
        return status


def managed(factory="testapp.create_publisher"):
    """The command of our own worker."""
    return [PYTHON, "-m", "alforja.worker", "--factory", factory]


def stock(factory="testapp.create_shared_publisher"):
    """The command of Quixote's own SCGI server; it takes descriptor 3 when there is one.

    It forks up to five children. (Its --max-children does not work in 3.8: it compares a number with a string.)
    """
    return [PYTHON, "-m", "quixote.server.scgi_server", "--factory", factory]


class Response:
    def __init__(self, status, headers, body):
        self.status, self.headers, self.body = status, headers, body

    @property
    def text(self):
        return self.body.decode("utf-8", "replace")

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {dict(self.headers)} {self.body[:300]!r}>"


class Client:
    """An HTTP client that keeps cookies and a connection, and follows no redirect."""

    def __init__(self, address, timeout=DEADLINE):
        self.address, self.timeout = address, timeout
        self.cookies = {}
        self.connection = None

    def request(self, method, path, body=None, headers=None):
        headers = dict(headers or {})
        if self.cookies and "Cookie" not in headers:
            headers["Cookie"] = "; ".join(f"{k}={v}" for k, v in self.cookies.items())
        if self.connection is None:
            self.connection = http.client.HTTPConnection(*self.address, timeout=self.timeout)
        try:
            self.connection.request(method, path, body, headers)
            answer = self.connection.getresponse()
            response = Response(answer.status, answer.headers, answer.read())
        except Exception:
            self.close()
            raise
        if answer.will_close:
            self.close()
        for line in response.headers.get_all("Set-Cookie") or []:
            name, value = re.match(r'([^=]+)="?([^";]*)', line).groups()
            if value == "" or "max-age=0" in line.lower():
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return response

    def get(self, path, **headers):
        return self.request(
            "GET", path, headers={k.replace("_", "-"): v for k, v in headers.items()}
        )

    def post(self, path, fields):
        from urllib.parse import urlencode

        return self.request(
            "POST", path, urlencode(fields), {"Content-Type": "application/x-www-form-urlencoded"}
        )

    def close(self):
        if self.connection is not None:
            self.connection.close()
            self.connection = None


def raw(address, data, half_close=False, timeout=DEADLINE):
    """Send bytes, return all bytes that come back until the peer closes."""
    with socket.create_connection(address, timeout) as conn:
        conn.sendall(data)
        if half_close:
            conn.shutdown(socket.SHUT_WR)
        answer = b""
        with contextlib.suppress(ConnectionResetError):
            while chunk := conn.recv(65536):
                answer += chunk
        return answer


_ports = iter(random.sample(range(10_000, 32_000), 20_000))


def free_port():
    """A port at which nobody listens, another each time.

    The kernel gives connections theirs from 32768 on: one of those may be taken before it is used.
    """
    for port in _ports:
        with contextlib.suppress(OSError), socket.socket() as s:
            s.bind(("", port))
            return port
    raise AssertionError("no port is free")


class Nginx(Server):
    """A real nginx whose / goes by SCGI, with Debian's stock scgi_params, to an address."""

    def __init__(self, tmp, upstream, extra="", name="nginx"):
        self.tmp = pathlib.Path(tmp) / name
        self.tmp.mkdir()
        self.port = free_port()
        self.http = ("127.0.0.1", self.port)
        conf = self.tmp / "nginx.conf"
        conf.write_text(f"""
daemon off;
pid {self.tmp}/pid;
error_log {self.tmp}/error.log info;
worker_processes 1;
user root;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {self.tmp}/body;
    scgi_temp_path {self.tmp}/scgi;
    proxy_temp_path {self.tmp}/proxy;
    fastcgi_temp_path {self.tmp}/fastcgi;
    uwsgi_temp_path {self.tmp}/uwsgi;
    client_max_body_size 100m;
    keepalive_requests 100000;
    server {{
        listen 127.0.0.1:{self.port};
        location / {{
            {self.passing(upstream)}
            {extra}
        }}
    }}
}}
""")
        super().__init__(["/usr/sbin/nginx", "-c", conf, "-p", self.tmp], self.tmp / "log")

    def passing(self, upstream):
        """The directives that pass a request on."""
        # Debian's newer scgi_params set HTTP_HOST to $host; the port is not 80 here.
        return f"""
            include /etc/nginx/scgi_params;
            scgi_param HTTP_HOST $host:$server_port;
            scgi_pass {upstream};"""

    def start(self):
        super().start()
        wait_until(lambda: listens(self.http), "nginx listens")
        return self


def listens(address):
    try:
        socket.create_connection(address, 1).close()
    except OSError:
        return False
    return True


def concurrently(count, work):
    """Run work(i) in count threads; raise the first exception, else return the results."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(count) as pool:
        return list(pool.map(work, range(count)))
