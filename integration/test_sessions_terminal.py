"""`alforja sessions` at a terminal, and ended by a signal: it asks, and says what it has done."""

import base64
import json
import os
import pty
import select
import signal
import subprocess

import pytest

from harness import BINARY, DEADLINE, wait_until
from stored_sessions import make


@pytest.fixture
def some(tmp_path):
    """A directory with twelve sessions, three of them alonso's."""
    directory = tmp_path / "some"
    for i in range(12):
        make(directory, f"id-{i}", [None, "alonso", "sancho", "dulcinea"][i % 4])
    return directory


class Terminal:
    """A command whose standard streams are a terminal."""

    def __init__(self, *args, stdout=None):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [BINARY, "sessions", *[str(a) for a in args]],
            stdin=slave,
            stdout=stdout or slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.text = ""

    def read(self):
        ready, _, _ = select.select([self.master], [], [], 0.05)
        if ready:
            try:
                self.text += os.read(self.master, 65536).decode()
            except OSError:
                pass
        return self.text

    def expect(self, what):
        wait_until(lambda: what in self.read(), f"{what!r} on the terminal")

    def send(self, text):
        os.write(self.master, text.encode())

    def wait(self):
        wait_until(lambda: self.read() is None or self.process.poll() is not None, "the end")
        code = self.process.wait(DEADLINE)
        self.read()
        os.close(self.master)
        return code


@pytest.mark.parametrize(
    ("answer", "code", "left"), [("y\n", 0, 9), ("\n", 1, 12), ("no\n", 1, 12)]
)
def test_a_terminal_is_asked(some, answer, code, left):
    t = Terminal("delete", "--store", f"directory:{some}", "--user", "alonso")
    t.expect("3 now")
    t.expect("[y/N]")
    assert len(list(some.iterdir())) == 12
    t.send(answer)
    assert t.wait() == code, t.text
    assert len(list(some.iterdir())) == left


def test_interrupted_at_the_question(some):
    t = Terminal("expire", "--store", f"directory:{some}", "--idle", "1ns")
    t.expect("[y/N]")
    t.process.send_signal(signal.SIGINT)
    assert t.wait() == 1
    assert "nothing was changed" in t.text
    assert len(list(some.iterdir())) == 12


def test_import_ends_by_a_signal_while_it_waits(tmp_path):
    waiting = subprocess.Popen(
        [BINARY, "sessions", "import", "--store", f"directory:{tmp_path}/s"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    line = json.dumps({"id": "a", "pickle": base64.b64encode(b"N.").decode()})
    waiting.stdin.write(line + "\n")
    waiting.stdin.flush()
    wait_until(lambda: (tmp_path / "s" / "a").exists(), "the first line is imported")
    waiting.send_signal(signal.SIGINT)
    code = waiting.wait(DEADLINE)  # before communicate, which ends the input
    out, err = waiting.communicate()
    assert (code, out) == (1, "1 created, 0 updated, 0 touched, 0 unchanged\n")
    assert "interrupted" in err
