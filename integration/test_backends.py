"""Backends that fail and come back: who notices, and which requests suffer."""

import contextlib
import datetime
import json
import os
import signal
import threading
import time

import pytest

import harness
from administration import alforja, ask, figure
from harness import Client, wait_until

CONCURRENCY = 4


class Backends:
    """Stock scgi_servers on ports of their own, that can be stopped and started again."""

    def __init__(self, tmp, run, count):
        self.run, self.addresses = run, [f"127.0.0.1:{harness.free_port()}" for _ in range(count)]
        self.servers = []
        (tmp / "sessions").mkdir()
        for i in range(count):
            argv = [*harness.stock(), "--host=127.0.0.1", f"--port={self.port(i)}"]
            env = {"SESSIONS_DIR": str(tmp / "sessions")}
            self.servers.append(harness.Server(argv, tmp / f"backend-{i}.log", env))
            self.start(i)

    def port(self, i):
        return int(self.addresses[i].partition(":")[2])

    def start(self, i):
        self.run(self.servers[i])
        logged = self.servers[i].text
        wait_until(lambda: harness.listens(("127.0.0.1", self.port(i))), f"{logged()} listens")

    def kill(self, i):
        self.servers[i].process.kill()
        self.servers[i].process.wait()

    def signal(self, i, sig):
        os.kill(self.servers[i].pid, sig)

    def flags(self):
        return [x for address in self.addresses for x in ("--backend", address)]


@pytest.fixture
def site(tmp_path, run):
    def start(backends, *args):
        g = harness.Gateway(
            tmp_path, "--mode", "shared", "--admin", f"unix:{tmp_path}/admin.sock",
            "--worker-concurrency", str(CONCURRENCY), *backends.flags(), *args,
        )  # fmt: skip
        run(g)
        g.admin = f"unix:{tmp_path}/admin.sock"
        wait_until(lambda: len(g.logged("worker ready")) == len(backends.addresses), "all are up")
        return g

    return start


def requests_of(g, address):
    """How many requests a backend was given."""
    status = alforja(g, "workers").stdout
    return next(int(x.split()[3]) for x in status.splitlines() if x.split()[0] == address)


def state(g, address):
    """What log, metrics, command and status agree on."""
    table = alforja(g, "workers").stdout
    shown = next(x.split()[1] for x in table.splitlines() if x.split()[0] == address)
    up = figure(ask(g, "/metrics")[1], f'alforja_backend_up{{backend="{address}",pool="/"}}')
    logged = [x["msg"] for x in g.lines() if x.get("worker") == address and "worker " in x["msg"]]
    logged = [x for x in logged if x in ("worker ready", "worker dead")][-1:]
    dead = (shown == "dead", up == 0, logged == ["worker dead"])
    return "dead" if all(dead) else "up" if not any(dead) else f"{shown}, {up}, {logged}"


def becomes(g, address, wanted):
    wait_until(lambda: state(g, address) == wanted, f"{address} is {wanted}", interval=0.05)


@contextlib.contextmanager
def load(g, clients=8):
    """Requests without a pause; the list gets (begun, status) of each."""
    stop, answers = threading.Event(), []

    def work():
        client = Client(g.http)
        while not stop.is_set():
            begun = time.time()
            answers.append((begun, client.get("/whoami").status))

    threads = [threading.Thread(target=work) for _ in range(clients)]
    for thread in threads:
        thread.start()
    try:
        yield answers
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def died_at(g, address):
    """When the log said so last."""
    lines = [x for x in g.lines() if x["msg"] == "worker dead" and x["worker"] == address]
    # nanoseconds are more than Python reads
    return datetime.datetime.fromisoformat(
        lines[-1]["time"][:26].rstrip("Z") + "+00:00"
    ).timestamp()


def gets_requests(g, address):
    had = requests_of(g, address)
    wait_until(lambda: requests_of(g, address) > had + 20, f"{address} gets requests")


def more(answers):
    seen = len(answers)
    wait_until(lambda: len(answers) > seen + 50, "requests are answered")


@pytest.mark.parametrize("health", [[], ["--health-path", "/"]])
def test_one_is_killed_and_comes_back(site, tmp_path, run, health):
    """Requests fail only that the backend had when it was killed."""
    backends = Backends(tmp_path, run, 3)
    g = site(backends, "--health-interval", "300ms", *health)
    address = backends.addresses[0]
    with load(g) as answers:
        more(answers)
        backends.kill(0)
        gone = time.time()
        becomes(g, address, "dead")
        assert ask(g, "/readyz") == (200, "ready\n")
        more(answers)
        backends.start(0)
        becomes(g, address, "up")
        gets_requests(g, address)
    failed = [(begun, status) for begun, status in answers if status >= 400]
    assert all(begun < gone for begun, _ in failed), (gone, failed)
    assert len(failed) <= CONCURRENCY
    assert all(status == 502 for _, status in failed), failed


def test_one_is_stopped_and_goes_on(site, tmp_path, run):
    """A process that stands still accepts connections all the same: it takes a request to notice."""
    backends = Backends(tmp_path, run, 2)
    g = site(
        backends, "--health-path", "/", "--health-interval", "300ms", "--health-timeout", "1s",
        "--request-timeout", "3s",
    )  # fmt: skip
    address = backends.addresses[0]
    with load(g) as answers:
        more(answers)
        backends.signal(0, signal.SIGSTOP)
        try:
            becomes(g, address, "dead")
            noticed = died_at(g, address)
            more(answers)
            wait_until(lambda: [x for x in answers if x[1] == 504], "what hung is answered")
            assert state(g, address) == "dead"
        finally:
            backends.signal(0, signal.SIGCONT)
        becomes(g, address, "up")
        gets_requests(g, address)
    failed = [(begun, status) for begun, status in answers if status >= 400]
    assert all(begun < noticed for begun, _ in failed), (noticed, failed)
    assert 0 < len(failed) <= CONCURRENCY
    assert all(status == 504 for _, status in failed), failed


def test_none_is_left(site, tmp_path, run):
    backends = Backends(tmp_path, run, 1)
    g = site(backends, "--health-interval", "100ms")
    [address] = backends.addresses
    assert Client(g.http).get("/plain").status == 200
    backends.kill(0)
    becomes(g, address, "dead")
    assert ask(g, "/readyz") == (503, "pool / has no worker that can answer\n")
    assert "connection refused" in alforja(g, "workers").stdout
    g.logged("connection refused")
    wait_until(lambda: Client(g.http).get("/plain").status == 503, "it is refused")
    backends.start(0)
    becomes(g, address, "up")
    assert ask(g, "/readyz") == (200, "ready\n")
    assert Client(g.http).get("/plain").status == 200


def test_a_restart_of_the_only_one_refuses_nothing(site, tmp_path, run):
    backends = Backends(tmp_path, run, 1)
    g = site(backends)
    backends.kill(0)
    answers = []
    waiting = threading.Thread(target=lambda: answers.append(Client(g.http).get("/plain")))
    waiting.start()
    becomes(g, backends.addresses[0], "dead")
    backends.start(0)
    waiting.join()
    assert answers[0].status == 200


def test_checks_without_a_path_do_not_disturb(site, tmp_path, run):
    """A stock scgi_server loses a child by every connection that ends without a request."""
    backends = Backends(tmp_path, run, 1)

    def died():
        return backends.servers[0].text().count("Traceback (most recent call last)")

    wait_until(died, "Backends' own look has cost a child")
    before = died()
    g = site(backends, "--health-interval", "10ms")
    until = time.monotonic() + 1  # a hundred checks
    while time.monotonic() < until:
        assert Client(g.http).get("/plain").status == 200
    assert died() == before


def test_checks_are_signed(tmp_path, run):
    """Managed workers over TCP and a Unix socket answer checks by the gateway's key, and by no other."""
    for name in ("ours", "other"):
        (tmp_path / name).write_text(name * 8)
        (tmp_path / name).chmod(0o600)
    ports = [harness.free_port() for _ in range(2)]
    places = [
        (f"127.0.0.1:{ports[0]}", "ours"), (f"unix:{tmp_path}/worker", "ours"),
        (f"127.0.0.1:{ports[1]}", "other"),
    ]  # fmt: skip
    for number, (place, key) in enumerate(places):
        argv = [*harness.managed(), "--listen", place]
        env = {"ALFORJA_KEY_FILE": str(tmp_path / key)}
        server = run(harness.Server(argv, tmp_path / f"worker-{number}.log", env))
        wait_until(lambda server=server: "listening on" in server.text(), f"{place} listens")
    g = harness.Gateway(
        tmp_path, "--admin", f"unix:{tmp_path}/admin.sock", "--key-file", str(tmp_path / "ours"),
        "--health-path", "/counter", *[x for place, _ in places for x in ("--backend", place)],
    )  # fmt: skip
    run(g)
    g.admin = f"unix:{tmp_path}/admin.sock"
    for place, key in places:
        becomes(g, place, "up" if key == "ours" else "dead")
    browser = Client(g.http)
    assert [browser.get("/counter").text for _ in range(6)] == list("123456")
    assert len(list(g.sessions.iterdir())) == 1, "checks make no sessions"


def test_reload_with_other_backends(tmp_path, run):
    """One goes, one comes, nothing is refused; what a reload does not change is named."""
    backends = Backends(tmp_path, run, 3)
    config = tmp_path / "alforja.toml"

    def write(addresses, more=""):
        config.write_text(f"""http = ["127.0.0.1:0"]
store = "directory:{tmp_path}/sessions"
mode = "shared"
log_format = "json"
admin = ["unix:{tmp_path}/admin.sock"]
backend = {json.dumps(addresses)}
worker_concurrency = {CONCURRENCY}
{more}
""")

    first, second, third = backends.addresses
    write([first, second])
    g = harness.Gateway(tmp_path, listen=())
    g.argv = [harness.BINARY, "serve", "--config", config]
    run(g)
    g.admin = f"unix:{tmp_path}/admin.sock"
    g.http = dict(wait_until(g.listening, "it listens"))["http"]
    becomes(g, second, "up")
    with load(g) as answers:
        gets_requests(g, first)
        write([second, third], 'store_patience = "3s"')
        assert alforja(g, "reload").returncode == 0
        gets_requests(g, third)
        gets_requests(g, second)
        assert first not in alforja(g, "workers").stdout
    assert {status for _, status in answers} == {200}
    [line] = g.logged("needs a restart")
    assert line["keys"] == ["store_patience"]

    for wrong, says in (('policy = "lax"', "--policy"), ('lock_wait = "-1s"', "lock wait")):
        write([first], wrong)
        done = alforja(g, "reload")
        assert (done.returncode, says in done.stderr) == (1, True), done.stderr
    assert state(g, third) == "up"
