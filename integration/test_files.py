"""The files are session3's: what either side wrote, the other reads."""

import json
import os
import pickle
import subprocess
import sys

import pytest

import harness
from harness import APPS, Client, managed, stock

IN_PYTHON = """
import json, os, sys
from functools import partial
print = partial(print, file=sys.stdout)  # a Publisher puts its own in the place of sys.stdout
import quixote, testapp
from quixote.http_request import HTTPRequest
from quixote.publish import Publisher
from session3.store.DirectorySessionStore import DirectorySessionStore
import io
publisher = Publisher(object.__new__(type("Root", (), {"_q_traverse": print})))
publisher._set_request(HTTPRequest(io.BytesIO(), {"REMOTE_ADDR": "192.0.2.7"}))
store = DirectorySessionStore(sys.argv[1], create=True)
"""


def in_python(sessions, code):
    """Run code in a fresh Python that has session3's store open, as `store`."""
    done = subprocess.run(
        [sys.executable, "-c", IN_PYTHON + code, str(sessions)],
        env={**os.environ, "PYTHONPATH": str(APPS)},
        capture_output=True,
        text=True,
        timeout=harness.DEADLINE,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


# What the class is called, the application that serves it, how it counts.
KINDS = {
    "session3": (
        "from session3.Session import Session as C",
        "testapp.create_session_publisher",
        "s.counter",
    ),
    "DictSession": (
        "from session3.DictSession import DictSession as C",
        "testapp.create_dict_publisher",
        "s['counter']",
    ),
    "own subclass": (
        "from testapp import ShopSession as C",
        "testapp.create_publisher",
        "s.counter",
    ),
    "Quixote's": (
        "from testapp import DirtySession as C",
        "testapp.create_quixote_publisher",
        "s.counter",
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_python_wrote_it(gateway, tmp_path, kind):
    """A session that session3's store has written is served, and loads there again afterwards."""
    name, factory, counter = KINDS[kind]
    in_python(
        tmp_path / "sessions",
        f"{name}\ns = C('made_by-Python1'); s.set_user('Dulcinea'); {counter} = 7; store.save_session(s)",
    )
    g = gateway(command=managed(factory))
    browser = Client(g.http)
    browser.cookies["QX_session"] = "made_by-Python1"
    who = browser.get("/whoami").json()
    assert (who["user"], who["session"]) == ("Dulcinea", "made_by-Python1")
    assert browser.get("/counter").text == "8"
    out = in_python(
        g.sessions,
        f"s = store.load_session('made_by-Python1')\nprint(json.dumps([s.user, {counter}, s._remote_address]))",
    )
    assert json.loads(out) == ["Dulcinea", 8, "192.0.2.7"]


def test_quixotes_bare_session(gateway, tmp_path):
    """quixote.session.Session is never dirty: it is served, and left as it is."""
    in_python(
        tmp_path / "sessions",
        "from quixote.session import Session as C\ns = C('bare'); s.set_user('Dulcinea'); store.save_session(s)",
    )
    before = (tmp_path / "sessions" / "bare").read_bytes()
    g = gateway("--workers", "1", command=managed("testapp.create_quixote_publisher"))
    browser = Client(g.http)
    browser.cookies["QX_session"] = "bare"
    assert browser.get("/whoami").json()["user"] == "Dulcinea"
    browser.get("/counter")
    assert (g.sessions / "bare").read_bytes() == before
    assert browser.get("/logout").status == 302
    assert not (g.sessions / "bare").exists()


def test_byte_for_byte_what_the_worker_pickled(gateway):
    g = gateway()
    browser = Client(g.http)
    browser.get("/counter")
    [path] = g.sessions.iterdir()
    assert path.name == browser.cookies["QX_session"]
    pickled = bytes.fromhex(browser.get("/pickled").text)  # what this request's save hands over
    assert path.read_bytes() == pickled
    assert pickled[:2] == b"\x80\x04", "session3's protocol"
    assert pickled[-1:] == pickle.STOP
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol_is_served(gateway, tmp_path, protocol):
    in_python(
        tmp_path / "sessions",
        f"store.pickle_protocol = {protocol}\nfrom testapp import ShopSession as C\n"
        "s = C('abc'); s.set_user('Sancho \\u00e9\\u4e2d'); s.counter = 1; store.save_session(s)",
    )
    g = gateway("--workers", "1")
    browser = Client(g.http)
    browser.cookies["QX_session"] = "abc"
    assert browser.get("/whoami").json()["user"] == "Sancho \u00e9\u4e2d"


def test_shared_mode_unmodified_under_the_supervisor(gateway, tmp_path):
    """A stock scgi_server with session3 on descriptor 3."""
    g = gateway(
        "--mode", "shared", command=stock(), env={"SESSIONS_DIR": str(tmp_path / "sessions")}
    )
    check_shared(g)


def test_shared_mode_unmodified_behind_a_backend(run, tmp_path):
    """A stock scgi_server with session3, started elsewhere with children of its own."""
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    port = harness.free_port()
    run(
        harness.Server(
            [*stock(), f"--port={port}"],
            tmp_path / "stock.log",
            env={"SESSIONS_DIR": str(sessions)},
        )
    )
    g = run(
        harness.Gateway(
            tmp_path,
            "--mode",
            "shared",
            "--backend",
            f"127.0.0.1:{port}",
            "--worker-concurrency",
            "5",
        )
    )
    check_shared(g)


def check_shared(g):
    browser = Client(g.http)
    assert [browser.get("/counter").text for _ in range(3)] == ["1", "2", "3"]
    assert browser.post("/login", {"name": "Rocinante"}).status in (200, 302)
    assert browser.get("/whoami").json()["user"] == "Rocinante"
    path = g.sessions / browser.cookies["QX_session"]
    assert path.exists()
    out = in_python(g.sessions, f"s = store.load_session({path.name!r})\nprint(s.counter, s.user)")
    assert out.split() == ["3", "Rocinante"]
    browser.get("/logout")
    assert not path.exists()
    assert not any("dropped" in line["msg"] for line in g.lines())
