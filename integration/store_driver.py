"""The directory store by itself: the program that drives it, and sessions of a given size for it."""

import base64
import contextlib
import io
import os
import pathlib
import pickle
import pickletools
import signal
import subprocess

from session3.Session import Session
from session3.store.DirectorySessionStore import DirectorySessionStore

import harness

BINARY = pathlib.Path(os.environ.get("STOREDRIVE", harness.TREE / "bin" / "storedrive"))
FULL = os.environ.get("ALFORJA_FULL") == "1"  # all of a test of which `make test` runs a part


def build():
    """Bring the driver up to date."""
    if "STOREDRIVE" not in os.environ:
        subprocess.run(
            ["go", "build", "-o", BINARY, "./integration/storedrive"], cwd=harness.TREE, check=True
        )


class Driver:
    """A process with a directory store open. It does what ask() says, and answers with a line."""

    def __init__(self, sessions, *flags):
        self.process = subprocess.Popen(
            [BINARY, *flags, str(sessions)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        ready = self.answer()
        assert ready == "ready", ready or self.process.communicate()[1].decode()

    @property
    def pid(self):
        return self.process.pid

    def send(self, *words):
        line = " ".join(encoded(w) if isinstance(w, bytes) else w for w in words)
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    def answer(self, timeout=harness.DEADLINE):
        """The next line, or "" when the process has ended."""
        with within(timeout, "an answer"):
            return self.process.stdout.readline().decode().rstrip("\n")

    def ask(self, *words, timeout=harness.DEADLINE):
        self.send(*words)
        return self.answer(timeout)

    def load(self, id):
        """The state of a session, None when there is none."""
        answer = self.ask("load", id)
        assert not answer.startswith("error"), answer
        return None if answer == "none" else base64.b64decode(answer, validate=True)

    def kill(self):
        self.process.kill()
        self.process.wait()
        self._close()

    def stop(self):
        """End the process the quiet way."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            self.process.wait(harness.DEADLINE)
        finally:
            self.process.kill()
            self._close()

    def _close(self):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.stderr.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()


def encoded(state):
    return base64.b64encode(state).decode()


def session_of(id, filler="", count=0):
    """A session3 session, as its application would have it."""
    session = Session.__new__(Session)  # __init__ wants a request
    session.__dict__.update(
        id=id,
        user=f"count={count:012}",
        _remote_address="192.0.2.7",
        _creation_time=1.0,
        _access_time=2.0,
        _form_tokens=[],
        filler=filler,
    )
    return session


def state_of(id, size, letter="x", count=0):
    """A session as session3 pickles it, size bytes long."""
    length = size
    for _ in range(10):
        state = pickle.dumps(session_of(id, letter * length, count), 4)
        if len(state) == size:
            return state
        length += size - len(state)
        assert length >= 0, f"no session takes {size} bytes"
    # A string's header grows with it: some sizes need two strings.
    session = session_of(id, letter * (length - 100), count)
    for extra in range(200):
        session.more = letter * extra
        state = pickle.dumps(session, 4)
        if len(state) == size:
            return state
    raise AssertionError(f"no session of {size} bytes")


@contextlib.contextmanager
def within(seconds, what):
    """Break off what takes longer: session3 waits for ever for the rest of a file."""

    def too_long(*_):
        raise AssertionError(f"not within {seconds} s: {what}")

    before = signal.signal(signal.SIGALRM, too_long)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def python_load(sessions, id):
    """What session3's own store makes of a session: its attributes, or None."""
    with within(5, f"session3 loads {id}"):
        session = DirectorySessionStore(str(sessions)).load_session(id)
    return None if session is None else session.__dict__


def written(data):
    """The bytes of a file up to the end of its pickle: nobody reads on."""
    with contextlib.suppress(ValueError, EOFError):
        stream = io.BytesIO(data)
        for _ in pickletools.genops(stream):
            pass
        return data[: stream.tell()]
    return data


def python_lists(sessions):
    """How many sessions session3's delete_old_sessions counts; it trips over all that is none."""
    deleted, remaining = DirectorySessionStore(str(sessions)).delete_old_sessions(1_000_000_000)
    assert deleted == 0
    return remaining
