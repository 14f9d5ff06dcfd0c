"""The stores that sessions come from and go to.

Reading yields a Record for each session, or the BadSession that says why there is none.
"""

from __future__ import annotations

import dbm
import importlib
import io
import os
import pickle
from contextlib import contextmanager
from typing import Any, Iterator, Protocol

from alforja.directory import DirectorySessionStore
from alforja.export.record import BadSession, Record, StoreError, found
from alforja.export.sql import MySQL, Postgres
from alforja.files import SessionFiles
from alforja.locks import BusyError


class Store(Protocol):
    def read(self) -> Iterator[Record | BadSession]: ...

    def write(self, record: Record) -> bool:
        """Store a session; False when there is one of that id, which stays."""
        ...

    def close(self) -> None: ...


def open_store(name: str, create: bool, unpickle: bool, table: str) -> Store:
    """Open `kind:path`. `create` is for writing; Durus needs `unpickle`, a database its `table`."""
    kind, separator, path = name.partition(":")
    if kind not in (*_FILES, *_DATABASES) or not separator or not path:
        raise StoreError(
            f"{kind + separator!r}: want shelve:FILE, durus:FILE, mysql:DATABASE, "
            "postgres:DATABASE, directory:PATH or -"
        )
    if kind == "durus" and not unpickle:
        raise StoreError(
            "Durus keeps all sessions in one pickle, so they must be unpickled: that imports and "
            "calls what they name. If you trust who could write that file, give --unpickle, "
            "with PYTHONPATH set to where the application's modules are"
        )
    store: Store
    if kind in _DATABASES:
        store = _DATABASES[kind](path, create, table)
    else:
        store = _FILES[kind](path, create)
    return store


@contextmanager
def _damage_named(path: str, kind: str) -> Iterator[None]:
    """Make a StoreError of whatever a file of unknown content makes a library raise."""
    try:
        yield
    except StoreError:
        raise
    except OSError as error:
        if error.errno is None:  # a library's own, mostly without a word
            raise StoreError(
                f"{path}: a {kind} that is cut short or in use {error}".strip()
            ) from error
        raise StoreError(f"{path}: {error.strerror}") from error
    except Exception as error:
        raise StoreError(f"{path}: no {kind}, or damaged ({_said(error)})") from error


@contextmanager
def _modules_found(path: str) -> Iterator[None]:
    """Say what to do where an application's pickle cannot be unpickled."""
    try:
        yield
    except (ImportError, AttributeError) as error:
        raise StoreError(f"{path}: {error}: {_HINT}") from error
    except (UnicodeDecodeError, TypeError) as error:  # a str that is none; a date
        raise StoreError(
            f"{path}: {_said(error)}: where Python 2 has written it, only Python 2 can take its "
            "sessions out: see docs/migrating.md, From session2"
        ) from error


_HINT = "set PYTHONPATH to where the application's modules are"


def _said(error: Exception) -> str:
    if isinstance(error, ImportError):
        return f"{error}: {_HINT}"
    return f"{type(error).__name__}: {error}".rstrip(": ")


class Directory:
    """Session files, as they are; nothing is unpickled."""

    def __init__(self, path: str, create: bool) -> None:
        try:
            store = DirectorySessionStore(path, create=create)
            self._files = SessionFiles(store.directory, store.state_dir)
        except OSError as error:
            raise StoreError(str(error)) from error

    def read(self) -> Iterator[Record | BadSession]:
        for id in self._files.ids():
            try:
                found = self._files.read(id)
            except OSError as error:
                yield BadSession(f"{id[:8]}...: {error}")
            else:
                if found is not None:  # nobody has deleted it a moment ago
                    yield Record(id, *found)

    def write(self, record: Record) -> bool:
        try:
            return self._files.add(record.id, record.state, record.modified)
        except BusyError as error:
            raise BadSession(f"{record.id[:8]}...: {error}") from error

    def close(self) -> None:
        pass


class Shelf:
    """session3's ShelveSessionStore: each value in the dbm file is a pickle, taken as it is."""

    def __init__(self, path: str, create: bool) -> None:
        kind = dbm.whichdb(path)
        if kind is None and not create:
            raise StoreError(f"{path}: no such file, or not readable")
        if kind == "":
            raise StoreError(
                f"{path}: a dbm file of a kind that this Python does not know; "
                "run this with the Python that has written it"
            )
        self._path = path
        with _damage_named(path, "dbm file"):
            self._db: Any = dbm.open(path, "c" if create else "r", 0o600)

    def read(self) -> Iterator[Record | BadSession]:
        with _damage_named(self._path, "dbm file"):
            for key in self._db.keys():
                yield found(key.decode("utf-8", "replace"), self._db[key])

    def write(self, record: Record) -> bool:
        key = record.id.encode("ascii")
        if key in self._db:
            return False
        self._db[key] = record.state
        return True

    def close(self) -> None:
        self._db.close()


class _Pickler(pickle.Pickler):
    """A pickler that is asked about each object, as Durus's is, and so can go as deep."""

    def persistent_id(self, obj: Any) -> None:
        return None


class Durus:
    """session3's DurusSessionStore: a PersistentDict under the root's key "sessions"."""

    def __init__(self, path: str, create: bool) -> None:
        if not create and not os.path.isfile(path):
            raise StoreError(f"{path}: no such file")
        try:
            # By name: Durus carries no types, and few have it installed.
            storage = importlib.import_module("durus.file_storage")
            connection = importlib.import_module("durus.connection")
            persistent = importlib.import_module("durus.persistent_dict")
        except ImportError as error:
            raise StoreError(f"{error}: Durus is on PyPI (pip install durus)") from error
        self._create = create
        with _damage_named(path, "Durus file"):
            self._storage = storage.FileStorage(path, readonly=not create)
        self._connection = connection.Connection(self._storage)
        with _damage_named(path, "Durus file"), _modules_found(path):
            root = self._connection.get_root()
            if create and root.get("sessions") is None:
                root["sessions"] = persistent.PersistentDict()
            self._sessions: Any = root.get("sessions")
            if not hasattr(type(self._sessions), "items"):
                raise StoreError(f'{path}: its root has no "sessions"')
            self._sessions.keys()  # unpickles them all

    def read(self) -> Iterator[Record | BadSession]:
        for id, session in self._sessions.items():
            try:
                state = pickle.dumps(session, DirectorySessionStore.pickle_protocol)
            except Exception as error:  # an application's __reduce__ may raise anything
                yield BadSession(f"{str(id)[:8]}...: {_said(error)}")
            else:
                yield found(id, state)

    def write(self, record: Record) -> bool:
        if record.id in self._sessions:
            return False
        try:
            session = pickle.loads(record.state)
            # At the end, all are one pickle, some levels deeper: one failure would be all sessions'.
            _Pickler(io.BytesIO(), 2).dump([[[[session]]]])
            self._sessions[record.id] = session
        except Exception as error:  # so may its __setstate__
            raise BadSession(f"{record.id[:8]}...: {_said(error)}") from error
        return True

    def close(self) -> None:
        if self._create:
            self._connection.commit()
        self._storage.close()


_FILES: dict[str, Any] = {"directory": Directory, "shelve": Shelf, "durus": Durus}
_DATABASES: dict[str, Any] = {"mysql": MySQL, "postgres": Postgres}
