"""alforja.DirectorySessionStore under real session managers, and beside the gateway."""

import io
import subprocess
import sys
import threading

import pytest
import quixote.publish
from quixote.session import Session as QuixoteSession
from session3.store.DirectorySessionStore import DirectorySessionStore as Session3Store

import alforja
import harness
from harness import APPS, Client, concurrently, wait_until
from stored_sessions import CLASSES, make, sessions, testapp

INCREMENT = """
import sys
sys.path.insert(0, sys.argv[1])
import alforja
store = alforja.DirectorySessionStore(sys.argv[2])
for _ in range(int(sys.argv[4])):
    with store.locked(sys.argv[3]):
        session = store.load_session(sys.argv[3])
        session.counter += 1
        store.save_session(session)
"""


class Browser:
    """A browser of an application in this process, without a gateway."""

    def __init__(self, publisher):
        self.publisher = publisher
        self.cookie = None

    def get(self, path, query=""):
        environ = {
            "REQUEST_METHOD": "GET",
            "SERVER_NAME": "localhost",
            "SERVER_PORT": "80",
            "SERVER_PROTOCOL": "HTTP/1.0",
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": query,
            "REMOTE_ADDR": "127.0.0.1",
        }
        if self.cookie:
            environ["HTTP_COOKIE"] = f"QX_session={self.cookie}"
        response = self.publisher.process(io.BytesIO(), environ)
        set_cookie = response.cookies.get("QX_session")
        if set_cookie is not None:
            self.cookie = set_cookie["value"] if set_cookie.get("max_age") != 0 else None
        return b"".join(response.generate_body_chunks()).decode()


@pytest.fixture
def store(tmp_path):
    return alforja.DirectorySessionStore(tmp_path / "sessions", create=True)


# Without Quixote's own Session, which is never dirty, and so never stored.
@pytest.fixture(params=[*(c for c in CLASSES if c is not QuixoteSession), testapp.DirtySession])
def browser(store, request):
    cls = request.param
    root = testapp.ClassRoot()
    if issubclass(cls, QuixoteSession):
        manager = testapp.QuixoteSessionManager(session_class=cls, session_store=store)
        publisher = quixote.publish.Publisher(root, session_manager=manager)
    else:
        publisher = testapp.session3_publisher(root, store, cls)
    yield Browser(publisher)
    quixote.publish.cleanup()


def test_login_counter_logout(browser, store):
    browser.get("/login", "name=alonso")
    assert browser.cookie is not None and list(store) == [browser.cookie]
    assert [browser.get("/counter") for _ in range(3)] == ["1", "2", "3"]
    stock = Session3Store(store.directory).load_session(browser.cookie)
    assert (stock.user, testapp.count_of(stock)) == ("alonso", 3)
    browser.get("/logout")
    assert browser.cookie is None and list(store) == []


def test_a_cookie_that_is_no_id_makes_a_fresh_session(browser, store, tmp_path):
    make(tmp_path, "evil", user="eve", cls=CLASSES[0])
    browser.cookie = "../evil"
    assert '"user": null' in browser.get("/whoami")
    assert list(store) == []


def test_the_gateway_and_scripts_take_one_lock(gateway, tmp_path):
    g = gateway("--workers", "4")
    client = Client(g.http)
    client.get("/counter")
    (id,) = client.cookies.values()

    def increment(number):
        if number < 2:
            arguments = [APPS, tmp_path / "sessions", id, 50]
            command = [sys.executable, "-c", INCREMENT, *map(str, arguments)]
            subprocess.run(command, check=True, timeout=60)
        else:
            browser = Client(g.http)
            browser.cookies = dict(client.cookies)
            for _ in range(50):
                assert browser.get("/counter?ms=1").status == 200
            browser.close()

    concurrently(6, increment)
    assert client.get("/counter").text == str(1 + 6 * 50 + 1)


def test_a_script_waits_for_the_request(gateway, tmp_path):
    g = gateway()
    client = Client(g.http)
    client.get("/counter")
    (id,) = client.cookies.values()
    store = alforja.DirectorySessionStore(tmp_path / "sessions")
    began = tmp_path / "began"
    request = threading.Thread(target=client.get, args=(f"/sleep?ms=500&touch={began}",))
    request.start()
    wait_until(began.exists, "the request runs")
    with pytest.raises(alforja.BusyError), store.locked(id, wait=0.05):
        pass
    with store.locked(id, wait=20):
        request.join(0.2)
        assert store.load_session(id).counter == 1
    request.join()


def test_the_command_waits_for_the_script(store):
    make(harness.pathlib.Path(store.directory), "a", user="alonso")
    flags = ["--store", f"directory:{store.directory}", "--yes", "--lock-wait", "100ms"]
    with store.locked("a"):
        sessions("delete", *flags, "a", code=1)
        assert store.has_session("a")
    sessions("delete", *flags, "a")
    assert not store.has_session("a")
