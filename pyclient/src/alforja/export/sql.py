"""session3's tables in MySQL and MariaDB, and in PostgreSQL, read and written as they are.

Of session3 3.4 this follows the columns (`setup`) and the meaning of `modify_time`. The drivers are
imported by name: they carry no types, and this package does not depend on them.
"""

from __future__ import annotations

import importlib
import re
from contextlib import contextmanager
from typing import Any, Iterator
from urllib.parse import unquote, urlsplit

from alforja.export.record import BadSession, Record, StoreError, found

_TABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SECOND = 10**9  # nanoseconds


class MySQL:
    """session3's MySQLSessionStore, by PyMySQL.

    A table of session3's own making compares ids without regard to case, ends a state at 64 KiB,
    and on servers since MySQL 8.0 and MariaDB 10.10 leaves modify_time NULL. The one that is made
    here does none of that, and session3 uses it as its own.
    """

    _CREATE = """\
CREATE TABLE IF NOT EXISTS {table} (
id VARCHAR(255) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
pickle MEDIUMBLOB NOT NULL,
modify_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP)"""
    _DUPLICATE = 1062
    _TOO_LONG = 1406

    def __init__(self, path: str, create: bool, table: str) -> None:
        self._driver = _driver("pymysql", "PyMySQL")
        self._error = self._driver.err.MySQLError
        self._table = _checked(table)
        self._create = create
        with _reported(self._error):
            self._connection = self._driver.connect(
                read_default_file="~/.my.cnf",
                # Strict: a state that is too long is refused and not cut. UTC: the hour that
                # summer time has twice is no guess.
                init_command="SET time_zone = '+00:00', sql_mode = 'STRICT_ALL_TABLES'",
                **_mysql_address(path),
            )
            self._cursor = self._connection.cursor(self._driver.cursors.SSCursor)
            if create:
                self._cursor.execute(self._CREATE.format(table=table))

    def read(self) -> Iterator[Record | BadSession]:
        with _reported(self._error):
            self._cursor.execute(
                f"SELECT id, pickle, UNIX_TIMESTAMP(modify_time) FROM {self._table}"
            )
            for id, state, modified in self._cursor:
                yield found(id, state, int(modified * _SECOND) if modified else None)

    def write(self, record: Record) -> bool:
        seconds = None if record.modified is None else record.modified // _SECOND
        with _reported(self._error):
            try:
                self._cursor.execute(
                    f"INSERT INTO {self._table} (id, pickle, modify_time)"
                    " VALUES (%s, %s, COALESCE(FROM_UNIXTIME(%s), CURRENT_TIMESTAMP))",
                    (record.id, record.state, seconds),
                )
            except self._error as error:
                if error.args[0] == self._DUPLICATE:
                    return self._has_other(record.id)
                if error.args[0] == self._TOO_LONG:
                    raise BadSession(f"{record.id[:8]}...: {error.args[1]}") from error
                raise
        return True

    def _has_other(self, id: str) -> bool:
        """Return False: the table has this id. BadSession: it has one that it takes for it."""
        self._cursor.execute(f"SELECT id FROM {self._table} WHERE id = %s", (id,))
        [(there,)] = self._cursor.fetchall()
        if there != id:
            raise BadSession(f"{id[:8]}...: to this table the same as {there[:8]}...")
        return False

    def close(self) -> None:
        with _reported(self._error):
            if self._create:
                self._connection.commit()
            self._connection.close()


class Postgres:
    """session3's PostgresSessionStore, by psycopg 3.

    session3 makes the column `pickle` TEXT, as Python 2's protocol 0 was. Under Python 3 it saves
    hexadecimal digits there, which it cannot load. Both are read here, but what is written is
    BYTEA, with which session3 works.
    """

    _CREATE = """\
CREATE TABLE IF NOT EXISTS {table} (
id TEXT PRIMARY KEY NOT NULL,
pickle BYTEA NOT NULL,
modify_time TIMESTAMP NOT NULL DEFAULT now())"""
    _BYTEA = 17  # its oid in pg_type
    # What PostgreSQL has made of bytes, or else the bytes that it keeps: what Python 2 has sent.
    _OF_TEXT = (
        r"CASE WHEN left(pickle, 2) = '\x' THEN pickle::bytea"
        " ELSE convert_to(pickle, getdatabaseencoding()) END"
    )

    def __init__(self, path: str, create: bool, table: str) -> None:
        psycopg = _driver("psycopg", "psycopg[binary]")
        self._error = psycopg.Error
        self._table = _checked(table)
        address = f"postgresql:{path}" if path.startswith("//") else ""
        given = {} if address else {"dbname": path}
        with _reported(self._error):
            self._connection = psycopg.connect(address, client_encoding="UTF8", **given)
            self._cursor = self._connection.cursor()
            if create:
                self._cursor.execute(self._CREATE.format(table=table))
            self._cursor.execute(f"SELECT pickle FROM {table} LIMIT 0")
            self._is_bytes = self._cursor.description[0].type_code == self._BYTEA
        if create and not self._is_bytes:
            self._connection.close()
            raise StoreError(
                f"{table}.pickle is text, which session3 under Python 3 cannot load: "
                f"ALTER TABLE {table} ALTER COLUMN pickle TYPE bytea USING {self._OF_TEXT}"
            )

    def read(self) -> Iterator[Record | BadSession]:
        state = "pickle" if self._is_bytes else self._OF_TEXT
        microseconds = "(extract(epoch FROM modify_time::timestamptz) * 1000000)::bigint"
        with _reported(self._error), self._connection.cursor(name="reading") as cursor:
            cursor.execute(f"SELECT id, {state}, {microseconds} FROM {self._table}")
            for id, pickle, modified in cursor:
                yield found(id, pickle, modified * 1000)

    def write(self, record: Record) -> bool:
        microseconds = None if record.modified is None else record.modified // 1000
        with _reported(self._error):
            # A column without a time zone: session3 writes now() by the connection's.
            self._cursor.execute(
                f"INSERT INTO {self._table} (id, pickle, modify_time) VALUES (%s, %s, COALESCE("
                "timestamptz 'epoch' + %s::bigint * interval '1 microsecond', now())::timestamp)"
                " ON CONFLICT (id) DO NOTHING",
                (record.id, record.state, microseconds),
            )
        return bool(self._cursor.rowcount)

    def close(self) -> None:
        with _reported(self._error):
            self._connection.commit()
            self._connection.close()


def _driver(module: str, package: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise StoreError(f"{error}: pip install '{package}'") from error


def _checked(table: str) -> str:
    if not _TABLE.match(table):
        raise StoreError(f"{table!r} is no name of a table")
    return table


@contextmanager
def _reported(kind: type[Exception]) -> Iterator[None]:
    try:
        yield
    except kind as error:
        said = error.args[-1] if error.args else error
        raise StoreError(" ".join(str(said).split())) from error


def _mysql_address(path: str) -> dict[str, str | int]:
    """Return what PyMySQL's connect() takes.

    >>> _mysql_address("shop")
    {'database': 'shop'}
    >>> _mysql_address("//app:p%40ss@db.example:3307/shop")
    {'user': 'app', 'password': 'p@ss', 'host': 'db.example', 'port': 3307, 'database': 'shop'}
    """
    if not path.startswith("//"):
        return {"database": path}
    try:
        url = urlsplit(f"mysql:{path}")
        port = url.port
    except ValueError as error:
        raise StoreError(f"mysql: {error}") from error
    if url.query or url.fragment:
        raise StoreError("mysql: want mysql://USER@HOST:PORT/DATABASE; see ~/.my.cnf for the rest")
    parts = {
        "user": url.username,
        "password": url.password,
        "host": url.hostname,
        "port": port,
        "database": url.path[1:],
    }
    return {
        name: unquote(part) if isinstance(part, str) else part
        for name, part in parts.items()
        if part
    }
