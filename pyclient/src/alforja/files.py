"""The files of a session directory, under the locks of docs/store.md."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
import tempfile
import time
from typing import Any, ContextManager, Iterator

from alforja.ids import valid
from alforja.locks import BusyError, flock, give_to_owner, open_leased, session_lock

# One page: a write of that size is not torn when the process is killed.
_IN_PLACE = 4096  # bytes

# A file of that age in tmp/ is nobody's any more.
_LEFT_OVER = 600.0  # seconds


class SessionFiles:
    """One file for each session, in `directory`; what is being written is in `state_dir`.

    Every method opens, locks and closes for itself, so threads may share one object. An id
    that is none is a session that does not exist. OSError is passed on, and BusyError raised
    when another process keeps a file's lock.
    """

    def __init__(self, directory: str, state_dir: str) -> None:
        self.directory = directory
        self.state_dir = state_dir
        if os.path.exists(os.path.join(state_dir, "fanout")):
            raise OSError(f"{directory} has the fanned-out layout, which only Go reads")
        self._tmp = os.path.join(state_dir, "tmp")
        self._remove_leftovers()

    def ids(self) -> Iterator[str]:
        with os.scandir(self.directory) as entries:
            for entry in entries:
                if valid(entry.name) and entry.is_file(follow_symlinks=False):
                    yield entry.name

    def exists(self, id: Any) -> bool:
        if not valid(id):
            return False
        try:
            return stat.S_ISREG(os.lstat(self._path(id)).st_mode)
        except FileNotFoundError:
            return False

    def read(self, id: Any) -> tuple[bytes, int] | None:
        """Return a session's state, and its last change in nanoseconds since the epoch."""
        with self._open(id, os.O_RDONLY, fcntl.LOCK_SH) as fd:
            if fd is None:
                return None
            with open(fd, "rb", closefd=False) as file:
                return file.read(), os.fstat(fd).st_mtime_ns

    def update(self, id: str, state: bytes) -> bool:
        """Replace the state of a session; False when there is no such session."""
        with self._open(id, os.O_RDWR, fcntl.LOCK_EX) as fd:
            if fd is None:
                return False
            size = os.fstat(fd).st_size
            # Only over blocks that the file has, so that a full disk cannot tear it.
            if 0 < size <= _IN_PLACE and len(state) <= _IN_PLACE:
                _write_in_place(fd, state, size)
            else:
                self._replace(self._path(id), state, os.fstat(fd))
            return True

    def put(self, id: str, state: bytes) -> None:
        """Store a session, whether it exists or not."""
        if not self.update(id, state):
            self._replace(self._path(id), state)

    def add(self, id: str, state: bytes, modified: int | None) -> bool:
        """Store a new session with the time of its last change; False when the id is taken."""
        path = self._path(id)
        if os.path.lexists(path):  # which needs no lock, and whoever has it may keep it for long
            return False
        with self.locked(id, wait=30):
            if os.path.lexists(path):
                return False
            self._replace(path, state, modified=modified)
            return True

    def delete(self, id: Any) -> bool:
        """Delete a session; False when there is no such session."""
        with self._open(id, os.O_RDONLY, fcntl.LOCK_EX) as fd:
            if fd is None:
                return False
            os.unlink(self._path(id))
            return True

    def expire(self, id: str, before: float) -> bool:
        """Delete a session last changed before then, unless it is in use."""
        path = self._path(id)
        try:
            if os.lstat(path).st_mtime >= before:
                return False
            with self.locked(id, wait=0), self._open(id, os.O_RDONLY, fcntl.LOCK_EX) as fd:
                if fd is None or os.fstat(fd).st_mtime >= before:
                    return False
                os.unlink(path)
                return True
        except (BusyError, FileNotFoundError):
            return False

    def locked(self, id: str, wait: float) -> ContextManager[None]:
        """Hold the session's lock; BusyError is raised after `wait` seconds."""
        self._make(self.state_dir)
        return session_lock(self.state_dir, id, wait)

    def _make(self, path: str) -> None:
        """Make a directory for the session directory's owner, unless it is there."""
        if os.path.isdir(path):
            return
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with contextlib.suppress(FileExistsError):
            os.mkdir(path, 0o700)
            fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                give_to_owner(fd, self.directory)
            finally:
                os.close(fd)

    def _remove_leftovers(self) -> None:
        """Remove what processes that were killed in a save have left in tmp/."""
        before = time.time() - _LEFT_OVER
        # Another process may be removing them too; what is not ours to remove stays.
        with contextlib.suppress(OSError), os.scandir(self._tmp) as entries:
            for entry in entries:
                if entry.stat(follow_symlinks=False).st_mtime < before:
                    os.unlink(entry.path)

    def _path(self, id: str) -> str:
        return os.path.join(self.directory, id)

    @contextlib.contextmanager
    def _open(self, id: Any, flags: int, lock: int) -> Iterator[int | None]:
        """Open a session's file and lock it; None when there is no such session."""
        fd = self._open_locked(id, flags, lock)
        try:
            yield fd
        finally:
            if fd is not None:
                os.close(fd)

    def _open_locked(self, id: Any, flags: int, lock: int) -> int | None:
        while self.exists(id):
            path, what = self._path(id), f"the file of session {id[:8]}..."
            try:
                # O_NONBLOCK: a FIFO that takes the name now must not hang us.
                fd = open_leased(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, what)
            except FileNotFoundError:
                return None
            try:
                flock(fd, lock, what)
                # Another file may have got the name while we waited for this one's lock.
                if _same_file(fd, path):
                    return fd
            except BaseException:
                os.close(fd)
                raise
            os.close(fd)
        return None

    def _replace(
        self,
        path: str,
        state: bytes,
        like: os.stat_result | None = None,
        modified: int | None = None,
    ) -> None:
        """Write a file beside and rename it to `path`, with the mode and owner of `like`."""
        self._make(self.state_dir)
        self._make(self._tmp)
        fd, written = tempfile.mkstemp(dir=self._tmp)
        try:
            with open(fd, "wb") as file:
                file.write(state)
                if like is None:
                    give_to_owner(fd, self.directory)
                else:
                    _take_after(fd, like)
            if modified is not None:
                os.utime(written, ns=(modified, modified))
            os.rename(written, path)
        except BaseException:
            os.unlink(written)
            raise


def _same_file(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.lstat(path))
    except FileNotFoundError:
        return False


def _write_in_place(fd: int, state: bytes, size: int) -> None:
    os.pwrite(fd, state, 0)
    if size > len(state):
        # Behind the write: a kill in between leaves bytes behind the pickle's end, which
        # no reader looks at.
        os.ftruncate(fd, len(state))
        # session3 truncates and flushes without the lock, perhaps around our own cut.
        if os.pread(fd, len(state), 0) != state:
            os.pwrite(fd, state, 0)


def _take_after(fd: int, like: os.stat_result) -> None:
    own, mode = os.fstat(fd), stat.S_IMODE(like.st_mode)
    if (own.st_uid, own.st_gid) != (like.st_uid, like.st_gid):
        try:
            os.fchown(fd, like.st_uid, like.st_gid)
        except PermissionError:  # of another user's file: what replaces it is ours
            if not _take_group(fd, like.st_gid):
                mode &= ~stat.S_IRWXG  # which was meant for another group
    os.fchmod(fd, mode)


def _take_group(fd: int, gid: int) -> bool:
    try:
        os.fchown(fd, -1, gid)
    except PermissionError:
        return False
    return True
