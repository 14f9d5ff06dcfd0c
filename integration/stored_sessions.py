"""Sessions of real classes in directories, saved by session3, and the command that works on them."""

import json
import os
import subprocess
import sys
import time
from unittest import mock

import quixote.session
import session3.Session
from session3.DictSession import DictSession
from session3.store.DirectorySessionStore import DirectorySessionStore

from harness import APPS, BINARY

sys.path.insert(0, str(APPS))
import testapp  # noqa: E402

CLASSES = [session3.Session.Session, DictSession, quixote.session.Session, testapp.ShopSession]


def new(cls, id):
    """Make a session outside of a request."""
    request = mock.Mock(get_environ=lambda name, default=None: "127.0.0.1")
    with mock.patch("session3.Session.get_request", lambda: request), mock.patch(
        "quixote.session.get_request", lambda: request
    ):
        return cls(id)


def make(directory, id, user=None, cls=testapp.ShopSession, age=0, idle=0, **attributes):
    """Save a session by session3, `age` seconds old and not used for `idle` seconds."""
    session = new(cls, id)
    session.user = user
    session._creation_time -= age
    vars(session).update(attributes)
    DirectorySessionStore(str(directory), create=True).save_session(session)
    then = time.time() - idle
    os.utime(directory / id, (then, then))
    return session


def make_many(directory, count):
    """Save sessions s0, s1... of the same bytes, last used a minute ago."""
    make(directory, "s0", user="alonso", idle=60)
    state = (directory / "s0").read_bytes()
    then = (directory / "s0").stat().st_mtime
    for i in range(1, count):
        (directory / f"s{i}").write_bytes(state)
        os.utime(directory / f"s{i}", (then, then))


def load(directory, id):
    return DirectorySessionStore(str(directory)).load_session(id)


def sessions(*args, code=0, stdin=None, text=True, timeout=60):
    done = subprocess.run(
        [BINARY, "sessions", *[str(a) for a in args]],
        capture_output=True,
        input=stdin,
        stdin=subprocess.DEVNULL if stdin is None else None,
        text=text,
        timeout=timeout,
    )
    assert done.returncode == code, done
    return done


def lines(*args, **options):
    return [json.loads(x) for x in sessions(*args, **options).stdout.splitlines()]


def contents(directory):
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in directory.iterdir()}
