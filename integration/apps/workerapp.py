"""What the tests of the workers' supervision ask: who are you, where do you run, now hang."""

from __future__ import annotations

import ctypes
import errno
import os
import pathlib
import signal
import sys
import threading
import time

from quixote import get_response, get_session
from quixote.directory import Directory
from quixote.publish import Publisher
from session3.SessionManager import SessionManager

import alforja
from alforja import demo

_hoard = []


class Root(Directory):
    _q_exports = ["", "pid", "counter", "leak", "hang", "job", "sleep", "version", "lie"]

    def _q_index(self):
        return "index"

    def pid(self):
        return str(os.getpid())

    def version(self):
        """What the file VERSION says since this process was started."""
        return VERSION

    def counter(self):
        session = get_session()
        session.count = getattr(session, "count", 0) + 1
        session.set_user("somebody")
        return str(session.count)

    def leak(self):
        _hoard.append(bytearray(int(demo.text_field("mb") or 1) << 20))
        for i in range(0, len(_hoard[-1]), 4096):
            _hoard[-1][i] = 1
        return "leaked"

    def job(self):
        """Have something done by a process that no longer belongs to the worker."""
        if os.fork() == 0:
            os.setsid()
            time.sleep(10)
            os._exit(0)
        return "begun"

    def sleep(self):
        demo.pause(demo.text_field("ms"))
        return "slept"

    def hang(self):
        get_session().set_user("changed and then hung")
        running = threading.Event()
        threading.Thread(target=_bystander, args=(running,), daemon=True).start()
        running.wait()
        how = demo.text_field("how")
        if how == "sleep":
            time.sleep(600)
        while how == "busy":
            pass
        if how == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        if how == "exit":
            os._exit(3)
        if how == "c":  # holds the interpreter's lock
            ctypes.PyDLL(None).sleep(600)
        if how == "deadlock":  # holds it too
            mutex = ctypes.create_string_buffer(256)
            while True:
                ctypes.PyDLL(None).pthread_mutex_lock(mutex)
        return "not hung"

    def lie(self):
        get_response().set_header("Content-Length", "1000")
        return "short"


def _bystander(running: threading.Event) -> None:
    """Another thread, which waits for nothing."""
    running.set()
    threading.Event().wait()


def _version() -> str:
    path = os.environ.get("VERSION_FILE")
    return pathlib.Path(path).read_text().strip() if path else ""


VERSION = _version()
_fork = os.fork


def _fork_unless_full() -> int:
    if _version() == "full":
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return _fork()


def create_publisher():
    if VERSION == "broken":
        print("about to fail", file=sys.stderr)
        raise RuntimeError("this version does not start")
    if VERSION == "crashing":
        os.kill(os.getpid(), signal.SIGSEGV)
    if VERSION == "broken late":
        time.sleep(7)  # longer than a silent process is waited for
        raise RuntimeError("this version does not start")
    if VERSION == "slow":
        time.sleep(1.5)
    if VERSION == "hangs":
        time.sleep(600)
    if VERSION == "prints":
        print("a line of the import")
        print("half a line", end="")
    if VERSION == "forks":
        os.fork = _fork_unless_full
    return Publisher(Root(), session_manager=SessionManager(alforja.SessionStore()))


def create_plain_publisher():
    """Without sessions."""
    return Publisher(Root())
