"""session3's directory of sessions, for applications without a gateway."""

from __future__ import annotations

import collections
import contextlib
import logging
import os
import pickle
import pickletools
import threading
import time
from typing import Any, Callable, Iterator, NamedTuple

from alforja.files import SessionFiles
from alforja.ids import new_id, valid

_log = logging.getLogger("alforja")

# How long after its last change a cut file may still be one that is being written.
_PATIENCE = 0.5  # seconds

_PAUSE = 0.005  # seconds between two looks at such a file

_MISSING = object()


class _Renewal(NamedTuple):
    """A session that gets a new id when it is saved."""

    new: str
    old: str | None  # None once it is saved
    set_cookie: Callable[[str | None], object]


class _Thread(threading.local):
    """What a thread has done to sessions in its request."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        # Ids that were loaded, which a save must not create again: not even when a later look has
        # found them gone, since that is what they are after somebody else's logout.
        self.loaded: collections.deque[str] = collections.deque(maxlen=16)
        self.renewal: _Renewal | None = None

    def stored_id(self, id: Any) -> Any:
        """Return the id under which the store has the session `id`."""
        renewal = self.renewal
        return renewal.old if renewal and id == renewal.new and renewal.old else id

    def note_loaded(self, id: str) -> None:
        self.note_deleted(id)
        self.loaded.append(id)

    def note_deleted(self, id: Any) -> None:
        with contextlib.suppress(ValueError):
            self.loaded.remove(id)


class DirectorySessionStore:
    """Drop-in for session3's DirectorySessionStore, on the same files.

    >>> import tempfile, types
    >>> store = DirectorySessionStore(tempfile.mkdtemp() + "/sessions", create=True)
    >>> store.save_session(types.SimpleNamespace(id="a1", user="alonso"))
    >>> store.load_session("a1").user, store.has_session("a1")
    ('alonso', True)
    >>> [id for id, session in store.iter_sessions()]
    ['a1']
    >>> store.load_session("../../etc/passwd", "no such session")
    'no such session'
    >>> store.delete_session("a1")
    >>> list(store)
    []

    What differs from session3's:

    - an id that is not one of [A-Za-z0-9_-]{1,128} never gets to the file system;
    - a process killed at any instruction leaves the old state or the new one, never an
      empty or a cut file;
    - no wait is without an end: an empty or cut file counts as no session half a second
      after its last change, and BusyError (an OSError) comes two seconds after somebody took the
      file's lock and kept it;
    - a session that this thread has loaded, among its last 16, and somebody else has deleted
      since is not saved: logged out is logged out;
    - deleting what is not there is no error;
    - new files have the mode 0600 and the state directory 0700 whatever the umask, so users
      do not share a directory; what root makes belongs to the directory's owner. A file that is
      replaced keeps its mode, owner and group as far as the process may give them.

    Each method is safe among threads and processes. Two requests that load, change and
    save one session at once still lose one of the changes, unless they do it in
    locked() or behind the gateway. docs/store.md of the gateway describes the files; this
    store does what it says of `durability = "process"`, but replaces a state of more than a
    page by a plain rename.

    `directory` is made, for its owner alone, if it is missing and `create` is true. Beside it
    goes `state_dir` (default: the directory's path with ".alforja" behind it), on the
    same file system: the gateway's setting of that name must be the same.

    OSError: the directory is missing or is none, or holds the gateway's fanned-out layout.
    """

    is_multiprocess_safe = True
    is_thread_safe = True
    pickle_protocol = 4  # as session3's

    def __init__(
        self,
        directory: str | os.PathLike[str],
        create: bool = False,
        state_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self.directory = os.path.abspath(os.fspath(directory))
        self.state_dir = os.path.abspath(os.fspath(state_dir or self.directory + ".alforja"))
        if create:
            os.makedirs(self.directory, mode=0o700, exist_ok=True)
        if not os.path.isdir(self.directory):
            raise NotADirectoryError(f"{self.directory} does not exist or is no directory")
        self._files = SessionFiles(self.directory, self.state_dir)
        self._thread = _Thread()

    # What session managers call.

    def load_session(self, id: Any, default: Any = None) -> Any:
        """Return the session, or `default` when there is none or its file is damaged.

        A damaged file stays where it is and is logged. What a whole pickle raises, such as
        the ImportError of a class that is not there, is passed on.
        """
        stored_id = self._thread.stored_id(id)
        session = self._load(stored_id)
        if session is _MISSING:
            return default
        self._thread.note_loaded(stored_id)
        if stored_id != id:
            session.id = id
        return session

    def has_session(self, id: Any) -> bool:
        """Return whether there is a file for it. Nothing is unpickled."""
        return self._files.exists(self._thread.stored_id(id))

    def save_session(self, session: Any) -> None:
        """Store the session under session.id, which must be an id (ValueError)."""
        if not valid(session.id):
            raise ValueError(f"not a session id: {session.id!r}")
        state = pickle.dumps(session, self.pickle_protocol)
        renewal = self._thread.renewal
        if renewal and session.id == renewal.new:
            self._save_renewed(renewal, state)
        elif session.id in self._thread.loaded:
            self._files.update(session.id, state)
        else:
            self._files.put(session.id, state)

    def delete_session(self, session: Any) -> None:
        """Delete a session, given itself or its id. One that does not exist is no error."""
        id: Any = session if isinstance(session, str) else getattr(session, "id", None)
        stored_id = self._thread.stored_id(id)
        self._files.delete(stored_id)
        self._thread.note_deleted(stored_id)
        renewal = self._thread.renewal
        if renewal and id == renewal.new:
            self._thread.renewal = None

    def renew_session(self, session: Any, set_cookie: Callable[[str | None], object]) -> None:
        """Give a session that is stored a new id; the old one dies when the session is saved.

        `set_cookie(id)` sets the session cookie in the current response, and None takes it out
        again. What applications call is alforja.renew_session().
        """
        if session.id is None:
            return
        old = self._thread.stored_id(session.id)
        if not valid(old):
            raise ValueError(f"not a session id: {old!r}")
        session.id = new_id()
        self._thread.renewal = _Renewal(session.id, old, set_cookie)
        set_cookie(session.id)

    # Quixote's hooks around a request. What is saved is stored at once.

    def transaction_start(self) -> None:
        self._thread.forget()

    def transaction_commit(self, session: Any) -> None:
        """Save a session that has got a new id, changed or not."""
        renewal = self._thread.renewal
        if renewal and session is not None and session.id == renewal.new:
            self.save_session(session)
        self._thread.forget()

    def transaction_abort(self, session: Any) -> None:
        self._thread.forget()

    # What administrators' pages and scripts call.

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids of all sessions, in the file system's order."""
        return self._files.ids()

    def iter_sessions(self) -> Iterator[tuple[str, Any]]:
        """Iterate over (id, session), loading each in its turn. Damaged ones are left out."""
        for id in self:
            session = self._load(id)
            if session is not _MISSING:
                yield id, session

    def delete_old_sessions(self, minutes: float) -> tuple[int, int]:
        """Delete the sessions not modified for that long, but for those in use.

        Returns how many were deleted and how many remain.
        """
        before = time.time() - minutes * 60
        deleted = remaining = 0
        for id in self:
            if self._files.expire(id, before):
                deleted += 1
            else:
                remaining += 1
        return deleted, remaining

    def setup(self) -> None:
        """Do nothing: the directory is all that there is to set up."""

    @contextlib.contextmanager
    def locked(self, id: str, wait: float = 30.0) -> Iterator[None]:
        """Hold the session's lock, as the gateway does from a load to the commit.

        Nobody else who asks for it, in this process or another, has it meanwhile; session3
        does not ask. BusyError is raised after `wait` seconds, ValueError for what is no id.

            with store.locked(id):
                session = store.load_session(id)
                session.visits += 1
                store.save_session(session)
        """
        if not valid(id):
            raise ValueError(f"not a session id: {id!r}")
        with self._files.locked(id, wait):
            yield

    def _save_renewed(self, renewal: _Renewal, state: bytes) -> None:
        new, old, set_cookie = renewal
        if old is None:
            stored = self._files.update(new, state)
        else:
            self._files.put(new, state)
            stored = self._files.delete(old)
            if not stored:
                self._files.delete(new)  # deleted meanwhile, it stays deleted, under any id
            self._thread.note_loaded(new)
            self._thread.renewal = _Renewal(new, None, set_cookie)
        # Again, since Quixote may have replaced the response that had the cookie.
        set_cookie(new if stored else None)

    def _load(self, id: Any) -> Any:
        state = self._files.read(id)
        while state is not None:
            try:
                return pickle.loads(state[0])
            except Exception:
                if _whole(state[0]):
                    raise
                state = self._read_again(id, *state)
        return _MISSING

    def _read_again(self, id: str, state: bytes, modified: int) -> tuple[bytes, int] | None:
        """Return what a cut file holds when it has changed; None when it does not change.

        session3 truncates before it locks, so a file may be empty for a moment.
        """
        # The clock may have been set back: nobody waits longer than that for one state.
        deadline = time.monotonic() + min(_PATIENCE, modified / 1e9 + _PATIENCE - time.time())
        while time.monotonic() < deadline:
            time.sleep(_PAUSE)
            again = self._files.read(id)
            if again is None or again[0] != state:
                return again
        _log.warning("session %s...: its file is damaged (%d bytes)", id[:8], len(state))
        return None


def _whole(state: bytes) -> bool:
    """Whether there is a pickle up to its end. Nothing is imported or called.

    >>> _whole(pickle.dumps([1, 2])), _whole(pickle.dumps([1, 2])[:-1]), _whole(b"")
    (True, False, False)
    """
    try:
        for _ in pickletools.genops(state):
            pass
    except Exception:  # garbage makes it raise ValueError, UnicodeDecodeError and others
        return False
    return True
