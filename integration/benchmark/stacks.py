"""What is compared: the same application behind different servers."""

import json

import harness
from benchmark import processors

SESSIONS, WORKERS = 64, 4

# Without these two, pages that ask for the URL fail on the stock stack. Both sides have them.
NGINX_EXTRA = "scgi_param SCRIPT_NAME ''; scgi_param PATH_INFO $uri;"

# The number that --max-children gives is a string in Quixote 3.8, and does not work.
STOCK_SERVER = """\
import testapp
from quixote.server.scgi_server import run
run(testapp.create_shared_publisher, host="127.0.0.1", port={port}, max_children={children})
"""

# At the default of 100, more requests of one session are answered 503.
LOCK_QUEUE = 1000


class Stack:
    """A front that wrk loads, with what is behind it: two processes with their children.

    Subclasses start both; `behind` may be the front.
    """

    nginx = None  # or what stands before `behind`
    gateway = False  # whether `behind` is alforja

    def __init__(self, directory, sessions, exits):
        self.directory, self.sessions, self.exits = directory, sessions, exits
        directory.mkdir()
        sessions.mkdir()
        self.address = self.start()
        self.ids = [new_session(self.address) for _ in range(SESSIONS)]
        self.log_read = self.behind.log.stat().st_size

    def started(self, server):
        server.start()
        self.exits.callback(server.stop)
        return server

    def before(self, nginx):
        """Start nginx before what is behind it; return its address."""
        self.nginx = self.started(nginx)
        return self.nginx.http

    def python_server(self, *arguments):
        """Start a server written in Python, with the sessions for session3."""
        return self.started(
            harness.Server(
                [harness.PYTHON, *arguments],
                self.directory / "server.log",
                env={"SESSIONS_DIR": str(self.sessions)},
            )
        )

    def processor_seconds(self):
        """What this stack's processes have used up to now, by part."""
        table = processors.process_table()
        behind = processors.descendants(self.behind.pid, table)
        nginx = processors.descendants(self.nginx.pid, table) if self.nginx else []
        kernel = processors.descendants(processors.KTHREADD, table)
        parts = {
            "nginx": processors.seconds_of(nginx, table),
            "gateway": 0.0,
            "workers": processors.seconds_of(behind, table),
            # The kernel's threads write the disk for the stack that runs.
            "kernel": processors.seconds_of(kernel, table),
        }
        if self.gateway:
            parts["gateway"] = table[self.behind.pid][1]
            parts["workers"] -= parts["gateway"]
        return parts

    def count(self):
        """All increments that the sessions have kept."""
        return sum(int(visit(self.address, "/whoami", id).json()["counter"]) for id in self.ids)

    def new_log_lines(self):
        """What the access log says of the requests since the last call."""
        if not self.gateway:
            return []
        with self.behind.log.open("rb") as log:
            log.seek(self.log_read)
            text = log.read()
        self.log_read += len(text)
        lines = [json.loads(line) for line in text.splitlines() if line.startswith(b"{")]
        return [line for line in lines if line["msg"] == "request"]


class Stock(Stack):
    """nginx -> quixote.server.scgi_server, session3's store."""

    def start(self):
        port = harness.free_port()
        upstream = f"127.0.0.1:{port}"
        self.behind = self.python_server("-c", STOCK_SERVER.format(port=port, children=WORKERS))
        harness.wait_until(lambda: harness.listens(("127.0.0.1", port)), "the stock server listens")
        return self.before(harness.Nginx(self.directory, upstream, extra=NGINX_EXTRA))


class Gunicorn(Stack):
    """nginx -> gunicorn, one request at a time in each of its processes -> Quixote's WSGI, session3."""

    def start(self):
        socket = self.directory / "gunicorn.sock"
        self.behind = self.python_server(
            *("-m", "gunicorn", "--bind", f"unix:{socket}", "--workers", str(WORKERS)),
            *("--log-level", "warning", "testapp:create_wsgi_application()"),
        )
        harness.wait_until(socket.exists, "gunicorn listens")
        return self.before(ProxyingNginx(self.directory, f"http://unix:{socket}"))


class ProxyingNginx(harness.Nginx):
    """An nginx that passes requests on by HTTP."""

    def passing(self, upstream):
        return f"proxy_pass {upstream}; proxy_set_header Host $http_host;"


class Alforja(Stack):
    """nginx -> alforja -> workers."""

    gateway = True

    def start(self):
        upstream = f"unix:{self.directory / 'scgi.sock'}"
        self.behind = self.alforja("--scgi", upstream)
        return self.before(harness.Nginx(self.directory, upstream, extra=NGINX_EXTRA))

    def alforja(self, *listen):
        return self.started(
            harness.Gateway(
                self.directory,
                *("--mode", self.mode, "--workers", str(WORKERS)),
                *("--lock-queue", str(LOCK_QUEUE)),
                command=self.command(),
                store=self.sessions,
                env={"SESSIONS_DIR": str(self.sessions)},
                listen=listen,
            )
        )


class Managed(Alforja):
    """nginx -> alforja, which writes the sessions -> alforja.worker."""

    mode = "managed"
    command = staticmethod(harness.managed)


class Shared(Alforja):
    """nginx -> alforja -> stock scgi_server processes, session3's store."""

    mode = "shared"
    command = staticmethod(harness.stock)


class WithoutNginx(Managed):
    """alforja's own HTTP -> alforja.worker."""

    def start(self):
        self.behind = self.alforja("--http", "127.0.0.1:0")
        return self.behind.http


# The first is what the others are compared with.
STACKS = {
    "stock": Stock,
    "managed": Managed,
    "shared": Shared,
    "http": WithoutNginx,
    "gunicorn": Gunicorn,
}


def new_session(address):
    client = harness.Client(address)
    response = client.get("/counter")
    client.close()
    if response.status != 200 or "QX_session" not in client.cookies:
        raise SystemExit(f"bench: no session from /counter: {response}")
    return client.cookies["QX_session"]


def visit(address, path, id=None):
    client = harness.Client(address)
    if id:
        client.cookies["QX_session"] = id
    response = client.get(path)
    client.close()
    return response
