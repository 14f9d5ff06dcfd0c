"""The two kinds of locks that docs/store.md describes, on Linux.

A file's flock is held for one read or write. The session's lock, a byte range of
one file beside the session directory, is held for a whole load, change and save.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import struct
import time
from typing import Callable, Iterator

# Seconds to wait for a file's flock, or lease: a stopped process may hold it for ever.
FLOCK_WAIT = 2.0

_F_OFD_SETLK = 37  # fcntl has the name from Python 3.9 on
_PAUSE = 0.001  # seconds between two tries


class BusyError(OSError):
    """Another process has held the file or the session for too long. Worth another try."""

    def __init__(self, what: str) -> None:
        super().__init__(errno.EAGAIN, "another process holds " + what)


def flock(fd: int, operation: int, what: str) -> None:
    """Take the flock of a file, or raise BusyError after FLOCK_WAIT."""

    def attempt() -> bool:
        try:
            fcntl.flock(fd, operation | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    _until(attempt, time.monotonic() + FLOCK_WAIT, what)


def open_leased(path: str, flags: int, what: str) -> int:
    """Open a file with O_NONBLOCK, or raise BusyError after FLOCK_WAIT.

    A gateway that looks whether somebody has the file open for writing has a lease on it for
    that moment, in which the kernel refuses to open it.
    """
    opened: list[int] = []

    def attempt() -> bool:
        with contextlib.suppress(BlockingIOError):
            opened.append(os.open(path, flags))
        return bool(opened)

    _until(attempt, time.monotonic() + FLOCK_WAIT, what)
    return opened[0]


@contextlib.contextmanager
def session_lock(state_dir: str, id: str, wait: float) -> Iterator[None]:
    """Hold the lock of the session `id`, as the gateway does that has this `state_dir`.

    The directory is there already. BusyError is raised after `wait` seconds.
    """
    turnstile = _offset(id)
    what = f"session {id[:8]}..."
    fd = _open_lock(state_dir)
    try:
        if not _range(fd, fcntl.F_WRLCK, turnstile + 1):
            deadline = time.monotonic() + wait
            _until(lambda: _range(fd, fcntl.F_WRLCK, turnstile), deadline, what)
            _until(lambda: _range(fd, fcntl.F_WRLCK, turnstile + 1), deadline, what)
            _range(fd, fcntl.F_UNLCK, turnstile)
        yield
    finally:
        os.close(fd)  # gives up both bytes


def give_to_owner(fd: int, directory: str) -> None:
    """As root, give what this process has just made to the owner of a directory, as Go does."""
    if os.geteuid() != 0:
        return
    with contextlib.suppress(OSError):  # in a container root may not give anything away
        os.fchown(fd, os.stat(directory).st_uid, -1)


def _open_lock(state_dir: str) -> int:
    path, flags = os.path.join(state_dir, "lock"), os.O_RDWR | os.O_CLOEXEC
    with contextlib.suppress(FileNotFoundError):
        return os.open(path, flags)
    try:
        # Made by nobody else: root gives away no file that a link leads to.
        fd = os.open(path, flags | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return os.open(path, flags)
    give_to_owner(fd, state_dir)
    return fd


def _offset(id: str) -> int:
    (number,) = struct.unpack(">Q", hashlib.sha256(id.encode("ascii")).digest()[:8])
    return int(number) >> 3 << 1


def _range(fd: int, kind: int, offset: int) -> bool:
    """Lock or unlock one byte; False when another holds it. Open-file-description locks."""
    # struct flock: l_type, l_whence, l_start, l_len, l_pid, which must be 0.
    request = struct.pack("hhqqi4x", kind, os.SEEK_SET, offset, 1, 0)
    try:
        fcntl.fcntl(fd, _F_OFD_SETLK, request)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _until(attempt: Callable[[], bool], deadline: float, what: str) -> None:
    while not attempt():
        if time.monotonic() >= deadline:
            raise BusyError(what)
        time.sleep(_PAUSE)
