from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import quixote
import quixote.publish

from alforja.worker import Worker
from fake_gateway import Browser, FakeGateway, read_all, send_to

HERE = Path(__file__).parent

# As the gateway starts a worker: the socket is descriptor 3, LISTEN_PID the process's own id.
LAUNCH = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ["LISTEN_PID"] = str(os.getpid())
os.execv(sys.executable, [sys.executable] + sys.argv[2:])
"""


@pytest.fixture
def serve(tmp_path):
    """Serve a publisher factory in this process; return a browser for it."""
    open_gateways = []

    def start(factory, key=None):
        with socket.socket(socket.AF_UNIX) as unused:
            worker = Worker(factory(), unused)

        def send(request):
            ours, theirs = socket.socketpair()
            with ours:
                ours.sendall(request)
                with theirs:
                    worker.handle(theirs)
                return read_all(ours)

        gateway = FakeGateway(send, tmp_path, key)
        open_gateways.append(gateway)
        return Browser(gateway)

    yield start
    for gateway in open_gateways:
        gateway.close()
    quixote.publish.cleanup()


class WorkerProcess:
    def __init__(self, path, log, arguments=(), factory="apps.create_publisher", environ=None):
        self.path = path
        self.log = log
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path)
            listener.listen(16)
            self.process = subprocess.Popen(
                [sys.executable, "-c", LAUNCH, str(listener.fileno())]
                + ["-m", "alforja.worker", "--factory", factory, *arguments],
                env={**os.environ, "LISTEN_FDS": "1", **(environ or {})},
                pass_fds=[listener.fileno()],
                stderr=log.open("wb"),
                cwd=str(HERE),
            )
        self.send = send_to(path)

    def connect(self):
        conn = socket.socket(socket.AF_UNIX)
        conn.settimeout(20)
        conn.connect(self.path)
        return conn

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@pytest.fixture
def worker(tmp_path):
    """Start worker processes; every one is stopped in the end."""
    workers = []

    def start(**kwargs):
        number = len(workers)
        log = tmp_path / f"worker{number}.log"
        workers.append(WorkerProcess(str(tmp_path / f"w{number}"), log, **kwargs))
        return workers[-1]

    yield start
    for started in workers:
        started.stop()


@pytest.fixture
def gateway_to(tmp_path):
    gateways = []

    def start(send):
        gateways.append(FakeGateway(send, tmp_path))
        return Browser(gateways[-1])

    yield start
    for gateway in gateways:
        gateway.close()
