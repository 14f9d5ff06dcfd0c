"""One cell of the matrix: a site of these versions, and a visit to it.

With the gateway in managed or in shared mode, and, to tell whose failure it is, without
anything of alforja: nginx, quixote.server.scgi_server, session3's own store.
"""

import contextlib
import os
import re
import tempfile
from typing import NamedTuple

import harness
from harness import APPS, TREE, Client, Gateway, Nginx, Server, free_port, wait_until
from matrix_packages import UpstreamFailure, installed, interpreter

SCGI = "2.2"
MODES = ("managed", "shared")

_ERROR = re.compile(r"^((?:\w+\.)*\w*(?:Error|Exception)(?:: .*)?)$", re.M)


class Cell(NamedTuple):
    python: str
    quixote: str
    session3: str


class VisitFailed(Exception):
    """A page did something else than it should."""


def run(cell, mode):
    """Return None, or why this cell does not work in this mode; (whose, why)."""
    try:
        path = packages(cell)
    except UpstreamFailure as failure:
        return "upstream", str(failure)
    why = visit_site(cell, path, mode)
    if why is None:
        return None
    stock = visit_site(cell, path, "stock")
    return ("alforja", why) if stock is None else ("upstream", stock)


def packages(cell):
    """Return the directories of scgi, Quixote and session3, or raise UpstreamFailure."""
    names = (("scgi", SCGI), ("quixote", cell.quixote), ("session3", cell.session3))
    return [installed(cell.python, f"{name}=={version}", "--no-deps") for name, version in names]


def visit_site(cell, path, mode):
    """Return None when all went well, else what went wrong."""
    with tempfile.TemporaryDirectory(prefix="matrix-") as tmp, contextlib.ExitStack() as stack:
        try:
            http = start(cell, path, mode, tmp, stack)
            check_origins(http, cell, path)
            visit(http, mode)
        except (VisitFailed, AssertionError) as failure:
            return shortened(str(failure))
    return None


def start(cell, path, mode, tmp, stack):
    python = interpreter(cell.python)
    env = {
        "PYTHONPATH": os.pathsep.join(map(str, [APPS, *path, TREE / "pyclient" / "src"])),
        "PYTHONDONTWRITEBYTECODE": "1",
        "SESSIONS_DIR": os.path.join(tmp, "sessions"),
    }
    server = [python, "-m", "quixote.server.scgi_server", "--factory", "matrixapp.create_stock"]
    if mode == "stock":
        port = free_port()
        worker = running(
            Server([*server, "--port", port], os.path.join(tmp, "worker.log"), env), stack
        )
        wait_until(
            lambda: harness.listens(("127.0.0.1", port)) or worker.process.poll() is not None,
            "scgi_server listens",
        )
        if worker.process.poll() is not None:
            raise VisitFailed(worker.text())
        extra = 'scgi_param SCRIPT_NAME ""; scgi_param PATH_INFO $document_uri;'
        return running(Nginx(tmp, f"127.0.0.1:{port}", extra), stack).http
    if mode == "managed":
        server = [python, "-m", "alforja.worker", "--factory", "matrixapp.create_managed"]
    flags = ("--mode", mode, "--workers", "1")
    return running(Gateway(tmp, *flags, command=server, env=env), stack).http


def running(server, stack):
    stack.callback(lambda: server.process and server.stop())
    return server.start()


def check_origins(http, cell, path):
    _, quixote, session3 = path
    seen = Visitor(http, "session").sees("origins")
    want = f"{cell.python} {quixote}/quixote/__init__.py {session3}/session3/__init__.py"
    if seen != want:
        raise RuntimeError(f"the site runs with {seen}, not with {want}")


def visit(http, mode):
    """Log in, count, use a form token, keep objects, log out: as each kind of session."""
    for name in ("session", "dict", "shelf", "own"):
        visitor = Visitor(http, name)
        visitor.sees("login?name=alonso", "welcome")
        first = visitor.cookie()
        for count in ("1", "2", "3"):
            visitor.sees("counter", count)
        kind = {"dict": "DictSession", "shelf": "Shelf", "own": "ShopSession"}.get(name, "Session")
        visitor.sees("whoami", f"{kind} alonso")
        token = visitor.sees("token")
        visitor.sees(f"use?token={token}", "used")
        visitor.sees(f"use?token={token}", "no such token", status=403)
        if name == "own":
            visitor.sees("buy?item=lance", "lance")
            visitor.sees("buy?item=helmet", "lance helmet")
        if mode == "managed":
            if visitor.sees("renew") != visitor.cookie():
                raise VisitFailed(f"/{name}/renew: no cookie for the new id")
            Visitor(http, name, first).sees("whoami", f"{kind} None")
            visitor.sees("counter", "4")
        last = visitor.cookie()
        visitor.sees("logout", "bye")
        if visitor.cookie() is not None:
            raise VisitFailed(f"/{name}/logout left the cookie")
        Visitor(http, name, last).sees("whoami", f"{kind} None")


class Visitor:
    def __init__(self, http, name, cookie=None):
        self.client, self.name = Client(http), name
        if cookie is not None:
            self.client.cookies["QX_session"] = cookie

    def cookie(self):
        return self.client.cookies.get("QX_session")

    def sees(self, page, text=None, status=200):
        """Return the page, which must be `text` unless that is None."""
        answer = self.client.get(f"/{self.name}/{page}")
        self.client.close()
        if answer.status != status or text not in (None, answer.text):
            where = f"/{self.name}/{page.partition('?')[0]}"
            raise VisitFailed(f"{where}: {answer.status} {answer.text}")
        return answer.text


def shortened(text):
    """The error that a traceback ends with, or the text's first line."""
    errors = _ERROR.findall(text)
    return (errors[-1] if errors else text.strip().partition("\n")[0])[:200]
