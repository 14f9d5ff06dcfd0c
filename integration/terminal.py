"""A terminal for `alforja sessions`."""

import os
import pty
import select
import subprocess

from harness import BINARY, DEADLINE, wait_until


class Terminal:
    """A command whose standard streams are a terminal."""

    def __init__(self, *args, stdout=None, cwd=None):
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [BINARY, "sessions", *[str(a) for a in args]],
            stdin=slave,
            stdout=stdout or slave,
            stderr=slave,
            start_new_session=True,
            cwd=cwd,
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
