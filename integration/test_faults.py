"""Stores that fail, workers that die."""

import os
import signal
import subprocess
import threading

import pytest

import harness
from administration import AdminConnection
from harness import Client, wait_until


@pytest.fixture
def small_disk(tmp_path):
    """A tmpfs of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)], check=True)
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


def check_refused(g, browser, path="/counter"):
    """An answer that says so, no cookie, a log line."""
    answer = browser.get(path)
    assert answer.status in (500, 503), answer
    assert "Set-Cookie" not in answer.headers
    assert [x for x in g.lines() if x["level"] == "ERROR" and x.get("err")], g.text()[-2000:]


def test_disk_full(gateway, small_disk):
    g = gateway("--workers", "1", store=small_disk / "sessions")
    known = Client(g.http)
    assert known.get("/counter").text == "1"
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"), filler.open("wb") as f:
        while True:
            f.write(b"x" * 4096)
            f.flush()

    check_refused(g, Client(g.http))
    # A session that exists still fits where it is.
    assert known.get("/counter").text == "2"
    # One that outgrows it does not, and keeps what it had.
    check_refused(g, known, "/fill?bytes=7000")
    assert known.get("/counter").text == "3"

    filler.unlink()
    fresh = Client(g.http)
    assert fresh.get("/counter").text == "1"
    assert fresh.cookies


def test_read_only(gateway, tmp_path):
    """A read-only file system in the place of the store's."""
    g = gateway("--workers", "1")
    known = Client(g.http)
    known.get("/counter")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(g.sessions)], check=True)
    try:
        check_refused(g, Client(g.http))
        check_refused(g, known)
    finally:
        subprocess.run(["umount", "-l", str(g.sessions)], check=True)
    assert known.get("/counter").text == "2"


@pytest.mark.parametrize("mode", ["managed", "shared"])
def test_directory_gone(gateway, tmp_path, mode):
    command = harness.managed() if mode == "managed" else harness.stock()
    g = gateway(
        "--workers",
        "1",
        "--mode",
        mode,
        command=command,
        env={"SESSIONS_DIR": str(tmp_path / "sessions")},
    )
    known = Client(g.http)
    known.get("/counter")
    away = tmp_path / "away"
    g.sessions.rename(away)
    if mode == "managed":
        check_refused(g, Client(g.http))
        check_refused(g, known)
    else:
        assert known.get("/whoami").status in (500, 503)
    away.rename(g.sessions)
    assert known.get("/counter").text == "2"
    assert Client(g.http).get("/counter").text == "1"


def test_directory_replaced_by_an_empty_one(gateway, tmp_path):
    """As a restored backup does: the new directory counts, without a restart."""
    g = gateway("--workers", "1")
    known = Client(g.http)
    known.get("/counter")
    g.sessions.rename(tmp_path / "away")
    g.sessions.mkdir(mode=0o700)
    assert known.get("/counter").text == "1"
    assert len(list(g.sessions.iterdir())) == 1


@pytest.mark.parametrize("mode", ["managed", "shared"])
def test_a_worker_killed_in_mid_request(gateway, tmp_path, mode):
    command = harness.managed() if mode == "managed" else harness.stock()
    g = gateway(
        "--workers",
        "2",
        "--mode",
        mode,
        command=command,
        env={"SESSIONS_DIR": str(tmp_path / "sessions"), "ALFORJA_DEMO_FAULTS": "1"},
    )
    browser = Client(g.http)
    browser.get("/counter")
    [path] = g.sessions.iterdir()
    before = path.read_bytes()
    workers = g.workers()
    answer = browser.get("/crash")
    assert answer.status == 502
    assert path.read_bytes() == before
    assert browser.get("/counter").text == "2"
    if mode == "managed":  # stock scgi_server's parent lives on and forks another child
        wait_until(lambda: g.workers() != workers, "the dead worker is replaced")


def test_whoever_reads_the_log_goes(tmp_path):
    """As with `alforja serve 2>&1 | logger` when that is started again."""
    front = tmp_path / "front"
    process = subprocess.Popen(
        [
            harness.BINARY, "serve", "--http", f"unix:{front}", "--store", f"directory:{tmp_path}/s",
            "--workers", "1", "--", *harness.managed(),
        ],
        stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(harness.APPS)},
    )  # fmt: skip
    try:
        while "worker ready" not in process.stderr.readline():
            pass
        process.stderr.close()
        for _ in range(3):
            connection = AdminConnection(str(front))
            connection.request("GET", "/plain", headers={"Host": "x"})
            assert connection.getresponse().status == 200
            connection.close()
        assert process.poll() is None
    finally:
        process.terminate()
        assert process.wait(harness.DEADLINE) == 0


def test_killed_from_outside_while_a_request_runs(gateway, tmp_path):
    g = gateway("--workers", "1")
    browser = Client(g.http)
    browser.get("/counter")
    answers = []
    running = tmp_path / "running"
    slow = threading.Thread(
        target=lambda: answers.append(browser.get(f"/sleep?ms=20000&touch={running}"))
    )
    slow.start()
    wait_until(running.exists, "the worker has the request")
    os.kill(g.workers()["1"], signal.SIGKILL)
    slow.join(harness.DEADLINE)
    assert [a.status for a in answers] == [502]
    assert browser.get("/counter").text == "2"


def test_a_request_is_not_sent_twice(run, tmp_path):
    """A backend that takes the request and breaks off gets it once; one that cannot be dialled is passed over."""
    import socketserver

    seen = []

    class BreaksOff(socketserver.BaseRequestHandler):
        def handle(self):
            seen.append(self.request.recv(65536))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), BreaksOff) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        nobody = harness.free_port()
        g = run(
            harness.Gateway(
                tmp_path,
                "--mode",
                "shared",
                "--backend",
                f"127.0.0.1:{nobody}",
                "--backend",
                f"127.0.0.1:{server.server_address[1]}",
            )
        )
        for count in (1, 2):
            assert Client(g.http).post("/counter", {"a": "b"}).status == 502
            assert len(seen) == count
        server.shutdown()


def test_no_backend_at_all(run, tmp_path):
    g = run(
        harness.Gateway(
            tmp_path,
            "--mode",
            "shared",
            "--backend",
            f"127.0.0.1:{harness.free_port()}",
            "--queue-wait",
            "500ms",
        )
    )
    answer = Client(g.http).get("/")
    assert answer.status == 503
    assert answer.headers["Retry-After"]


def test_all_workers_busy(gateway):
    g = gateway("--workers", "1", "--queue-length", "1", "--queue-wait", "10s")
    answers = harness.concurrently(4, lambda _: Client(g.http).get("/sleep?ms=1000"))
    refused = [a for a in answers if a.status == 503]
    assert len(refused) == 2
    assert all(a.headers["Retry-After"] for a in refused)
    assert sum(a.status == 200 for a in answers) == 2


def test_a_session_that_stays_locked(gateway, tmp_path):
    g = gateway("--workers", "2", "--lock-wait", "300ms")
    browser = Client(g.http)
    browser.get("/counter")
    holder = Client(g.http)
    holder.cookies = dict(browser.cookies)
    running = tmp_path / "running"
    slow = threading.Thread(target=lambda: holder.get(f"/sleep?ms=2000&touch={running}"))
    slow.start()
    wait_until(running.exists, "the slow request runs")
    answer = browser.get("/counter")
    assert answer.status == 503
    assert answer.headers["Retry-After"]
    slow.join()
    assert browser.get("/counter").text == "2"


def test_logged_out_stays_logged_out(gateway):
    """A logout while another request of the session runs, or waits, is not undone by it."""
    g = gateway("--workers", "4")
    for _ in range(10):
        browser = Client(g.http)
        browser.post("/login", {"name": "Dulcinea"})
        id = browser.cookies["QX_session"]

        def racer(i, id=id):
            client = Client(g.http)
            client.cookies["QX_session"] = id
            client.get("/logout" if i == 3 else "/counter?ms=3")

        harness.concurrently(8, racer)
        assert not (g.sessions / id).exists()
