"""Under systemd: its sockets, its notifications, the units of examples/."""

import os
import re
import shutil
import signal
import socket
import subprocess
import threading
import time

import pytest

from harness import BINARY, TREE, Client, Gateway, Server, free_port, managed, raw, wait_until

EXAMPLES = TREE / "examples"


def test_the_units_pass_verification(tmp_path):
    """systemd-analyze finds nothing to say about the example units, but for where the binary is."""
    if not shutil.which("systemd-analyze"):
        raise AssertionError("systemd-analyze is missing: run `make setup`")
    units = [p for p in EXAMPLES.iterdir() if p.suffix in (".service", ".socket", ".timer")]
    assert len(units) == 4
    for unit in units:
        text = unit.read_text().replace("/usr/bin/alforja", str(BINARY))
        (tmp_path / unit.name).write_text(text)
    checked = subprocess.run(
        ["systemd-analyze", "verify", *(tmp_path / unit.name for unit in units)],
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = [
        line for line in (checked.stdout + checked.stderr).splitlines() if "alforja" in line.lower()
    ]
    assert (checked.returncode, said) == (0, [])


def test_workers_get_no_signal_from_systemd():
    """`systemctl stop` by control group would end what forks preloaded workers, and them with it."""
    unit = (EXAMPLES / "alforja.service").read_text()
    assert "\nKillMode=mixed\n" in unit
    drain, end = 30, 10  # --drain-timeout; what a worker has to end after that
    assert int(re.search(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)[1]) > drain + end


class Activated(Gateway):
    """A gateway started by systemd-socket-activate when the first client comes."""

    def __init__(self, tmp, ports, names, *args):
        super().__init__(tmp, *args, command=managed(), listen=())
        sockets = [word for port in ports for word in ("--listen", f"127.0.0.1:{port}")]
        self.argv = [
            "systemd-socket-activate", *sockets, f"--fdname={names}", "--setenv=PYTHONPATH", "--setenv=PATH",
            *self.argv,
        ]  # fmt: skip

    def start(self):
        return Server.start(self)


def test_socket_activation(run, tmp_path):
    """Sockets are found by their names, whatever their order; who connected before is served."""
    ports = [free_port(), free_port()]
    g = run(
        Activated(
            tmp_path, ports, "scgi:web", "--workers", "1", "--http", "systemd:web", "--scgi",
            "systemd:scgi",
        )
    )  # fmt: skip
    wait_until(lambda: "Listening" in g.text(), "the sockets are open")
    browser = Client(("127.0.0.1", ports[1]))
    assert browser.get("/counter").text == "1"
    block = (
        b"CONTENT_LENGTH\x000\x00SCGI\x001\x00REQUEST_METHOD\x00GET\x00REQUEST_URI\x00/plain\x00"
    )
    scgi = raw(("127.0.0.1", ports[0]), b"%d:%s," % (len(block), block))
    assert scgi.startswith(b"Status: 200")


def test_a_name_that_systemd_does_not_know(run, tmp_path):
    port = free_port()
    g = run(Activated(tmp_path, [port], "web", "--workers", "1", "--http", "systemd:http"))
    wait_until(lambda: "Listening" in g.text(), "the socket is open")
    socket.create_connection(("127.0.0.1", port)).close()
    wait_until(lambda: "FileDescriptorName=http" in g.text(), "the error says what to do")
    wait_until(lambda: g.process.poll() is not None, "it ends")


@pytest.fixture
def manager(tmp_path):
    """The service manager's end of sd_notify(3): a list that grows with each message."""
    messages = []
    path = tmp_path / "notify"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(str(path))
        sock.settimeout(0.1)
        over = threading.Event()

        def listen():
            while not over.is_set():
                try:
                    messages.append(sock.recv(4096).decode())
                except TimeoutError:
                    continue

        thread = threading.Thread(target=listen)
        thread.start()
        yield path, messages
        over.set()
        thread.join()


def ready(messages):
    """Those that say so."""
    return [m for m in messages if "READY=1" in m.splitlines()]


def test_notifications(run, tmp_path, manager):
    path, messages = manager
    environment = {"NOTIFY_SOCKET": str(path), "WATCHDOG_USEC": "400000"}
    config = tmp_path / "alforja.toml"
    config.write_text("")
    g = run(
        Gateway(tmp_path, "--workers", "1", "--config", config, command=managed(), env=environment)
    )
    wait_until(lambda: ready(messages), "it says that it is ready")
    assert f"MAINPID={g.pid}" in ready(messages)[0]
    assert Client(g.http).get("/plain").status == 200
    wait_until(lambda: messages.count("WATCHDOG=1") >= 5, "the watchdog is fed, twice an interval")

    # A gateway that does nothing any more does not feed it.
    os.kill(g.pid, signal.SIGSTOP)
    settled = wait_until(lambda: len(messages), "messages")
    with pytest.raises(AssertionError):
        wait_until(lambda: len(messages) > settled + 1, "more", timeout=1)
    os.kill(g.pid, signal.SIGCONT)

    before = len(messages)
    g.process.send_signal(signal.SIGHUP)
    wait_until(
        lambda: [m for m in messages[before:] if m.startswith("RELOADING=1")],
        "it says that it reloads",
    )
    reloading = next(m for m in messages[before:] if m.startswith("RELOADING=1"))
    assert int(reloading.split("MONOTONIC_USEC=")[1]) > 0
    wait_until(lambda: ready(messages[before:]), "and that it has reloaded")

    # With Type=notify-reload, systemd waits for both, whatever becomes of the reload.
    before = len(messages)
    config.write_text("lock_wait = 'soon'")
    g.process.send_signal(signal.SIGHUP)
    g.logged("not reloaded")
    wait_until(lambda: ready(messages[before:]), "that it goes on")
    assert [m for m in messages[before:] if m.startswith("RELOADING=1")]

    g.stop()
    wait_until(lambda: "STOPPING=1" in messages, "it says that it stops")


def test_refused_reload_at_the_start(run, tmp_path, manager):
    """It is no reason to say that the workers are up."""
    path, messages = manager
    config = tmp_path / "alforja.toml"
    config.write_text("")
    slow = ["sh", "-c", 'sleep 4; exec "$@"', "sh", *managed()]
    g = run(
        Gateway(
            tmp_path, "--workers", "1", "--config", config,
            command=slow, env={"NOTIFY_SOCKET": str(path)},
        )
    )  # fmt: skip
    config.write_text("lock_wait = 'soon'")
    g.process.send_signal(signal.SIGHUP)
    g.logged("not reloaded")
    time.sleep(0.5)  # what it has said is read
    assert not ready(messages)
    wait_until(lambda: ready(messages), "it says that it is ready")
    assert g.logged("worker ready")
