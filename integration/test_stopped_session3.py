"""A session3 process that is stopped in the middle of a save, with the flock of the session's file."""

import os
import signal
import subprocess
import sys
import time

import pytest

from harness import APPS, Client, Gateway, managed, wait_until

SAVING = """
import os, signal, sys
from session3.store import DirectorySessionStore as module

store = module.DirectorySessionStore(sys.argv[1])
session = store.load_session(sys.argv[2])
session.counter = 1000
dump = module.dump

def stopped(*args):
    os.kill(os.getpid(), signal.SIGSTOP)
    dump(*args)

module.dump = stopped
store.save_session(session)
"""
READING = """
import fcntl, os, signal, sys

with open(os.path.join(sys.argv[1], sys.argv[2]), "rb") as file:
    fcntl.flock(file, fcntl.LOCK_EX)
    os.kill(os.getpid(), signal.SIGSTOP)
"""


def is_stopped(process):
    assert process.poll() is None
    with open(f"/proc/{process.pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0] == "T"


@pytest.mark.parametrize(
    ("program", "size", "count"), [(SAVING, 0, 1001), (READING, None, 3)], ids=["saving", "reading"]
)
def test_stopped_session3_process(tmp_path, run, program, size, count):
    gateway = run(Gateway(tmp_path, "--workers", "2", command=managed()))
    browser = Client(gateway.http)
    assert [browser.get("/counter").text for _ in range(2)] == ["1", "2"]
    id = browser.cookies["QX_session"]
    environment = {**os.environ, "PYTHONPATH": str(APPS)}
    command = [sys.executable, "-c", program, gateway.sessions, id]
    with subprocess.Popen(command, env=environment) as process:
        try:
            wait_until(lambda: is_stopped(process), "session3 is stopped")
            if size is not None:
                assert (gateway.sessions / id).stat().st_size == size
            for path in ("/counter", "/logout"):
                begun = time.monotonic()
                answer = browser.get(path)
                assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
                assert "another process holds this session" in answer.text
                assert (
                    1.9 < time.monotonic() - begun < 10
                )  # it waits for 2 s; the rest is a busy machine
            assert Client(gateway.http).get("/counter").text == "1", "others are not held up"
        finally:
            os.kill(process.pid, signal.SIGCONT)
    assert process.returncode == 0
    assert browser.get("/counter").text == str(count)
    assert not any((tmp_path / "sessions.alforja" / "corrupt").iterdir())
