"""session3's own test application, and what upstream's source distributions have of tests for sessions."""

import os
import re
import subprocess
import types

import pytest

import harness
from harness import APPS, PYTHON, TREE, Client, concurrently, managed, stock, wait_until

SDISTS = TREE / ".venv" / "sdists"
SESSION3 = SDISTS / "session3-3.4.1"
QUIXOTE = SDISTS / "quixote-3.8"

if not (SESSION3.exists() and QUIXOTE.exists()):
    raise pytest.UsageError(f"{SDISTS} lacks what integration/sdists.txt lists: run `make setup`")

PATH = os.pathsep.join(map(str, [APPS, SESSION3 / "test"]))

WAYS = {
    "managed, our worker": ("managed", managed("upstream.create_managed")),
    "managed, stock server": ("managed", stock("upstream.create_managed")),
    "shared, stock server, our store": ("shared", stock("upstream.create_directory")),
    "shared, stock server": ("shared", stock("upstream.create_stock")),
    "shared, our worker": ("shared", managed("upstream.create_stock")),
}
ALONE = "our store, simple_server, no gateway"


@pytest.fixture(params=[*WAYS, ALONE])
def site(request, gateway, run, tmp_path):
    """Session3's test application, whichever way its sessions go."""
    sessions = tmp_path / "sessions"
    env = {"PYTHONPATH": PATH}
    if request.param == ALONE:
        yield simple_server(run, tmp_path, {**env, "SESSIONS_DIR": str(sessions)})
        return
    mode, command = WAYS[request.param]
    if mode == "shared":
        env["SESSIONS_DIR"] = str(sessions)
    g = gateway("--workers", "2", "--mode", mode, command=command, env=env)
    yield g
    assert not any("dropped" in line["msg"] for line in g.lines())


def simple_server(run, tmp_path, env):
    http = ("127.0.0.1", harness.free_port())
    argv = [PYTHON, "-m", "quixote.server.simple_server", f"--port={http[1]}"]
    argv += ["--host=127.0.0.1", "--factory=upstream.create_directory"]
    run(harness.Server(argv, tmp_path / "simple_server.log", env))
    wait_until(lambda: harness.listens(http), "simple_server listens")
    return types.SimpleNamespace(http=http, sessions=tmp_path / "sessions")


class Visitor(Client):
    """A browser at the test application."""

    def at(self, path, status=302):
        """Ask for a page; after a redirect it is at the index again."""
        answer = self.get(path)
        assert answer.status == status, answer
        if status == 302:
            assert answer.headers["Location"] == f"http://{self.address[0]}:{self.address[1]}/"
        return answer

    def index(self):
        """(session id, count) as the index page has them."""
        text = self.at("/", 200).text
        id, count = re.search(r"session ID is ([\w-]+)\.\s.*is at (\d+)\.", text, re.S).groups()
        return (None if id == "None" else id), int(count)

    def kept(self):
        """Have the session stored; return its id."""
        self.at("/keep")
        id, count = self.index()
        assert (id, count) == (self.cookies["QX_session"], 0)
        return id


def test_increment(site):
    visitor = Visitor(site.http)
    assert visitor.index() == (None, 0)
    id = visitor.kept()
    for count in (1, 2, 3):
        visitor.at("/increment")
        assert visitor.index() == (id, count)
    assert Visitor(site.http).index() == (None, 0), "it is nobody else's"


def test_increment_nokeep(site):
    """A session without has_info() is forgotten with the request."""
    visitor = Visitor(site.http)
    assert "Set-Cookie" not in visitor.at("/increment").headers
    assert visitor.index() == (None, 0)
    assert list(site.sessions.iterdir()) == []


def test_increment_fail(site):
    visitor = Visitor(site.http)
    id = visitor.kept()
    visitor.at("/increment")
    before = (site.sessions / id).read_bytes()
    assert "oops!" in visitor.at("/incrementfail", 500).text
    assert (site.sessions / id).read_bytes() == before
    assert visitor.index() == (id, 1), "what failed is not counted"
    visitor.at("/increment")
    assert visitor.index() == (id, 2)


def test_logout(site):
    visitor = Visitor(site.http)
    id = visitor.kept()
    visitor.at("/increment")
    answer = visitor.at("/logout")
    assert re.match(r'QX_session="?"?;.*max-age=0', answer.headers["Set-Cookie"], re.I)
    assert not (site.sessions / id).exists()
    assert visitor.index() == (None, 0)
    visitor.cookies["QX_session"] = id
    assert visitor.index() == (None, 0), "nor with the old cookie"
    assert visitor.kept() != id


def test_logout_fail(site):
    visitor = Visitor(site.http)
    id = visitor.kept()
    visitor.at("/increment")
    answer = visitor.at("/logoutfail", 500)
    assert "oops." in answer.text
    assert "Set-Cookie" not in answer.headers
    assert (site.sessions / id).exists()
    assert visitor.index() == (id, 1), "still logged in"


def test_logout_nokeep(site):
    visitor = Visitor(site.http)
    visitor.at("/logout")
    assert visitor.index() == (None, 0)
    visitor.at("/logoutfail", 500)
    assert visitor.index() == (None, 0)


def test_session_id(site):
    visitor = Visitor(site.http)
    id = visitor.kept()
    for path, status in (
        ("/", 200),
        ("/increment", 302),
        ("/incrementfail", 500),
        ("/keep", 302),
        ("/logoutfail", 500),
        ("/nowhere", 404),
        ("/increment", 302),
    ):
        assert "Set-Cookie" not in visitor.at(path, status).headers, path
        assert visitor.index()[0] == id, path
    assert visitor.index() == (id, 2)
    assert [path.name for path in site.sessions.iterdir()] == [id]


def test_increments_at_once(site):
    """Four clients with one cookie: the stock stack by itself would lose some of these."""
    visitor = Visitor(site.http)
    id = visitor.kept()

    def increment(i):
        client = Visitor(site.http)
        client.cookies["QX_session"] = id
        for _ in range(10):
            client.at("/increment")
            client.at("/incrementfail", 500)
        client.close()

    concurrently(4, increment)
    assert visitor.index() == (id, 40)


# What is not run, and why. A release that changes this must be looked at.


def test_session3s_test_runner_cannot_be_run():
    """test.py is of Python 2 and lacks its parts; what its scripts are named is tested above."""
    assert sorted(path.name for path in (SESSION3 / "test").iterdir() if path.suffix) == [
        "test.py",
        "test_session3.py",
    ]
    runner = (SESSION3 / "test" / "test.py").read_text()
    assert "from cStringIO import StringIO" in runner
    assert "import utils, test_session2" in runner
    missing = re.findall(r"twill\.execute_file\('(.+?)'\)", runner)
    assert missing and not any((SESSION3 / script).exists() for script in missing)
    flows = {os.path.basename(script) for script in missing}
    assert flows == {
        "increment",
        "increment+fail",
        "logout",
        "logout+fail",
        "logout+nokeep",
        "session_id",
    }
    for flow in flows:
        assert callable(globals()["test_" + flow.replace("+", "_")])


def test_quixote_has_no_tests_of_sessions():
    """One test there mentions a session, as the name of a cookie to parse; it passes."""
    tests = [p for p in QUIXOTE.rglob("*.py") if "test" in p.relative_to(QUIXOTE).as_posix()]
    mention = [p for p in tests if "session" in p.read_text().lower()]
    assert [p.relative_to(QUIXOTE).as_posix() for p in mention] == ["quixote/test/test_request.py"]
    (lines,) = ([x for x in p.read_text().splitlines() if "session" in x.lower()] for p in mention)
    assert {x.strip() for x in lines} == {
        """s = 'userid="joe"; QX_session="58a3ced39dcd0d"'""",
        "'QX_session': '58a3ced39dcd0d',",
    }
    command = [PYTHON, "-m", "pytest", "-q", "-p", "no:cacheprovider", mention[0]]
    subprocess.run(command, check=True, timeout=60, cwd=TREE)
