"""SIGHUP and `alforja reload`: which keys count at once, which are named as those that need a restart."""

import json
import os
import signal
import socket
import threading
import time

import pytest

import harness
import stored_sessions
from administration import alforja
from harness import Client, wait_until
from processes import running, successors


class Site:
    """A gateway by a configuration file, as set() makes it of the first settings and others."""

    def __init__(self, tmp, tables="", **first):
        self.tables = tables
        self.tmp, self.config = tmp, tmp / "alforja.toml"
        self.first = {
            "http": ["127.0.0.1:0"],
            "store": f"directory:{tmp}/sessions",
            "log_format": "json",
            "admin": [f"unix:{tmp}/admin.sock"],
            "workers": 2,
            "command": harness.managed(),
            **first,
        }
        self.write()
        self.gateway = g = harness.Gateway(tmp, listen=())
        g.argv = [harness.BINARY, "serve", "--config", self.config]
        g.start()
        g.admin = f"unix:{tmp}/admin.sock"
        g.http = dict(wait_until(g.listening, "it listens"))["http"]
        wait_until(lambda: len(g.logged("worker ready")) >= 2, "workers are up")

    def write(self, **others):
        settings = {**self.first, **others}
        self.config.write_text(
            "".join(f"{k} = {json.dumps(v)}\n" for k, v in settings.items()) + self.tables
        )

    def set(self, **others):
        self.write(**others)
        done = alforja(self.gateway, "reload")
        assert done.returncode == 0, done.stderr

    def get(self, path, **headers):
        return Client(self.gateway.http).get(path, **headers)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    site = Site(tmp_path_factory.mktemp("site"))
    yield site
    site.gateway.stop()


def test_request_timeout(site):
    site.set(request_timeout="500ms")
    assert site.get("/sleep?ms=5000").status == 504


def test_queue(site):
    """Two are at the workers, and nobody may wait."""
    site.set(queue_wait="100ms")
    busy = [threading.Thread(target=site.get, args=["/sleep?ms=3000"]) for _ in range(2)]
    for thread in busy:
        thread.start()
    wait_until(lambda: "2 busy" in alforja(site.gateway, "status").stdout, "both are busy")
    assert site.get("/plain").status == 503
    for thread in busy:
        thread.join()


@pytest.mark.parametrize("setting", [{"skip": ["/sleep"]}, {"shared_method": ["GET"]}])
def test_requests_without_a_lock(site, setting):
    """Of one session, two at a time: both are at workers."""
    client = Client(site.gateway.http)
    client.get("/counter")
    cookie = f"QX_session={client.cookies['QX_session']}"
    site.set(**setting)
    busy = [
        threading.Thread(target=lambda: site.get("/sleep?ms=3000", Cookie=cookie)) for _ in range(2)
    ]
    for thread in busy:
        thread.start()
    wait_until(lambda: "2 busy" in alforja(site.gateway, "status").stdout, "both are busy")
    for thread in busy:
        thread.join()


def test_policy(site):
    """What is refused, and what is allowed."""
    state = b"cos\ngetcwd\n(tR."
    for allow, kept in ((["os.getcwd"], True), ([], False)):
        site.set(allow=allow)
        id = f"allowed-{kept}"
        (site.tmp / "sessions" / id).write_bytes(state)
        site.get("/plain", Cookie=f"QX_session={id}")
        assert (site.tmp / "sessions" / id).exists() is kept


def test_files_and_lengths(site):
    (site.tmp / "files").mkdir()
    (site.tmp / "files" / "page").write_text("a file")
    assert site.get("/static/page").status == 404
    site.set(static=[f"/static={site.tmp}/files"], max_body=1000, max_header=1000)
    assert site.get("/static/page").text == "a file"
    client = Client(site.gateway.http)
    assert client.post("/login", {"name": "x" * 2000}).status == 413
    assert site.get("/plain", X="x" * 20_000).status == 431


def test_header_timeout(site):
    site.set(header_timeout="300ms")
    with socket.create_connection(site.gateway.http, 5) as conn:
        conn.sendall(b"GET /plain HTTP/1.1\r\n")
        assert conn.recv(100)[:13] in (b"", b"HTTP/1.1 408 ")


def test_trusted_proxies(site):
    says = {"X_Forwarded_For": "192.0.2.7"}
    assert site.get("/environ", **says).json()["REMOTE_ADDR"] == "127.0.0.1"
    site.set(trusted_proxy=["127.0.0.1"])
    assert site.get("/environ", **says).json()["REMOTE_ADDR"] == "192.0.2.7"
    site.set()
    assert site.get("/environ", **says).json()["REMOTE_ADDR"] == "127.0.0.1"


def test_cookie(site):
    """Its name, and that workers' output shows no session under it."""
    site.set(cookie="other")
    assert site.get("/crash", Cookie="other=" + 5 * "secret").status == 500
    [line, *_] = site.gateway.logged("other=secretse")
    assert "HTTP_COOKIE" in line["line"]
    assert 5 * "secret" not in site.gateway.text()


def test_access_log(site):
    """From the log of all else to a file, to another in another format, and back."""
    files = [site.tmp / "first", site.tmp / "second"]
    site.set(access_log=str(files[0]))
    site.get("/plain?first")
    wait_until(lambda: '"path":"/plain"' in files[0].read_text(), "a line in JSON")
    site.set(access_log=str(files[1]), access_log_format="combined")
    site.get("/plain?second")
    wait_until(lambda: '"GET /plain?second HTTP/1.1" 200' in files[1].read_text(), "one of another")
    site.set()
    before = sum(line["msg"] == "request" for line in site.gateway.lines())
    site.get("/plain?third")
    wait_until(
        lambda: sum(line["msg"] == "request" for line in site.gateway.lines()) == before + 1,
        "one with all else",
    )
    assert "third" not in files[1].read_text()
    open_files = [os.readlink(f"/proc/{site.gateway.pid}/fd/{fd}") for fd in fds(site.gateway.pid)]
    assert not {str(file) for file in files} & set(open_files)


def fds(pid):
    return [fd for fd in os.listdir(f"/proc/{pid}/fd") if os.path.islink(f"/proc/{pid}/fd/{fd}")]


def test_idle_clients_are_not_thrown_out(site):
    """A limit of the servers changes while clients keep connections: none meets a closed one."""
    stop, failures, counts = threading.Event(), [], []

    def browse():
        client, mine = Client(site.gateway.http), 0
        while not stop.is_set():
            try:
                assert client.get("/counter").text == str(mine + 1)
            except (OSError, AssertionError) as error:
                failures.append(error)
                return
            mine += 1
        counts.append(mine)

    threads = [threading.Thread(target=browse) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        for n in range(4):
            site.set(max_header=10_000 + n, lock_wait=f"{20 + n}s")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert len(counts) == 8 and min(counts) > 0


def test_what_needs_a_restart_is_named(site):
    g = site.gateway
    site.set(
        http=["127.0.0.1:1"],
        admin=[f"unix:{site.tmp}/other.sock"],
        store=f"directory:{site.tmp}/others",
        socket_mode="0660",
        lock_wait="3s",
    )
    line = g.logged("needs a restart")[-1]
    assert line["keys"] == ["admin", "http", "socket_mode", "store"]
    client = Client(g.http)
    assert [client.get("/counter").text for _ in range(2)] == ["1", "2"]
    assert stored_sessions.load(g.sessions, client.cookies["QX_session"])


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"policy": "lax"}, "--policy"),
        ({"max_body": -1}, "no number of bytes"),
        ({"mode": "shared"}, "needs a restart"),
        ({"worker_user": "nobody"}, "needs a restart"),
        ({"access_log": "/no/such/directory/log"}, "access-log"),
    ],
)
def test_refused(site, wrong, says):
    """With all that it says besides."""
    site.write(**wrong, request_timeout="100ms")
    done = alforja(site.gateway, "reload")
    assert (done.returncode, says in done.stderr) == (1, True), done.stderr
    assert site.get("/sleep?ms=500").status == 200


def test_pools_are_reloaded_together(tmp_path):
    """The second pool does not start: the first keeps its workers too."""

    def second(factory):
        command = json.dumps(harness.managed(factory))
        return f'[[pool]]\nname = "two"\nprefix = "/two"\nworkers = 1\ncommand = {command}\n'

    site = Site(tmp_path, second("testapp.create_publisher"))
    g = site.gateway
    wait_until(lambda: len(g.logged("worker ready")) == 3, "all are up")
    before = running(g)
    site.tables = second("testapp.nothing")
    site.write()
    assert alforja(g, "reload").returncode == 1
    wait_until(lambda: running(g) == before, "only the old workers run")
    assert site.get("/plain").status == 200
    g.stop()


@pytest.mark.parametrize("reloads", [False, True])
def test_sockets_are_as_before_when_not_replaced(tmp_path, reloads):
    """The next gateway ends before it takes the sockets: this one can still leave them, without another connection."""
    site = Site(tmp_path)
    g = site.gateway
    site.write(policy="lax")
    g.process.send_signal(signal.SIGUSR2)
    g.logged("not replaced, everything stays as it was")
    assert site.get("/plain").status == 200
    assert alforja(g, "status").returncode == 0
    if reloads:  # other fronts take the sockets
        site.set(max_header=10_000)
        assert site.get("/plain").status == 200
    start = time.monotonic()
    assert g.stop() == 0
    assert time.monotonic() - start < 10


@pytest.mark.parametrize("sig", [signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2])
def test_other_signals_while_stopping(tmp_path, sig):
    """What would end a program that does not mind them ends no request that is being finished."""
    site = Site(tmp_path)
    g = site.gateway
    answers = []
    slow = threading.Thread(target=lambda: answers.append(site.get("/sleep?ms=3000")))
    slow.start()
    wait_until(lambda: "1 busy" in alforja(g, "status").stdout, "it runs")
    g.process.send_signal(signal.SIGTERM)
    g.logged("stopping: waiting for running requests")
    g.process.send_signal(sig)
    slow.join()
    assert [answer.status for answer in answers] == [200]
    assert g.process.wait(harness.DEADLINE) == 0
    assert g.logged("signal ignored: the gateway is stopping")


@pytest.mark.parametrize("sig", [signal.SIGHUP, signal.SIGUSR2])
def test_signals_while_draining(tmp_path, sig):
    """`alforja drain` needs no signal; nothing new is begun all the same."""
    site = Site(tmp_path)
    g = site.gateway
    slow = threading.Thread(target=site.get, args=["/sleep?ms=3000"])
    slow.start()
    wait_until(lambda: "1 busy" in alforja(g, "status").stdout, "it runs")
    assert alforja(g, "drain").returncode == 0
    g.process.send_signal(sig)
    assert "the gateway is stopping" in g.logged("everything stays as it was")[0]["err"]
    slow.join()
    assert g.process.wait(harness.DEADLINE) == 0
    assert not successors(g)


def test_to_a_command_that_does_not_say_that_it_is_ready(tmp_path):
    """What is known of the old command is no reason to wait for a word of the new one."""
    say = (
        "import os, socket, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);"
        "s.sendto(b'READY=1', os.environ['NOTIFY_SOCKET']); time.sleep(600)"
    )
    site = Site(tmp_path, command=[harness.PYTHON, "-c", say], worker_start_timeout="15s")
    site.set(command=["sleep", "600"])
    assert site.gateway.stop() == 0
