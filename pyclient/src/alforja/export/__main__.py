"""python3 -m alforja.export FROM [TO]"""

from __future__ import annotations

import argparse
import os
import sys
from typing import Iterable, Iterator

from alforja.export.python2 import Strings, convert
from alforja.export.record import BadSession, Record, StoreError, lines, to_line
from alforja.export.stores import Store, open_store

_DESCRIPTION = """\
Copy the sessions of a store of session3's or session2's to another store, or to JSON Lines
for `alforja sessions import`. FROM and TO are one of

  directory:PATH     session3's DirectorySessionStore, alforja's, session2's
  shelve:FILE        ShelveSessionStore
  durus:FILE         DurusSessionStore, with --unpickle
  mysql:DATABASE     MySQLSessionStore, in MySQL or MariaDB
  postgres:DATABASE  PostgresSessionStore
  -                  JSON Lines, as alforja sessions import and export have them

Pickles are taken as they are. Nothing that they name is imported or called, but for Durus.
A shelf and Durus do not know when a session was last used: it counts as used when it is imported.

A database elsewhere: mysql://USER@HOST:PORT/DATABASE, postgres://USER@HOST:PORT/DATABASE.
What that leaves out, a password above all, is taken from ~/.my.cnf, group [client]; for PostgreSQL
from ~/.pgpass and the variables PGHOST, PGUSER and so on. A table that is missing in TO is made.
The drivers are PyMySQL and psycopg[binary], on PyPI.

What TO has already stays. A session that cannot be copied is named and stops nothing;
the exit code is 1 then, and 2 when nothing could be done. Stop the application first.
"""

_EPILOG = """\
examples:
  python3 -m alforja.export shelve:sessions.db | alforja sessions import --store directory:PATH
  python3 -m alforja.export mysql:shop > sessions.jsonl
  python3 -m alforja.export --python2 utf-8 --attribute digest=bytes directory:OLD > new.jsonl
  alforja sessions export --store directory:PATH | python3 -m alforja.export - shelve:sessions.db
"""


def main(arguments: list[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_intermixed_args(arguments)
    if options.python2 and options.source.startswith("durus:"):
        parser.error(
            "--python2 is of no use for Durus: unpickling has taken every str for text. "
            "See docs/migrating.md, From session2, for how Python 2 takes them out"
        )
    try:
        strings = _strings(options.python2, options.attribute)
    except ValueError as error:
        parser.error(str(error))
    try:
        copied, kept, failed = _run(options, strings)
    except BrokenPipeError:
        raise
    except KeyboardInterrupt:
        print("alforja.export: interrupted; run it again, what TO has stays", file=sys.stderr)
        return 1
    except (StoreError, OSError) as error:
        print(f"alforja.export: {error}", file=sys.stderr)
        try:
            sys.stdout.flush()
        except OSError:
            _drop_output()
        return 2
    print(f"{copied} copied, {kept} there already, {failed} failed", file=sys.stderr)
    return 1 if failed else 0


def _drop_output() -> None:
    """Let Python's last flush of what could not be written succeed: its failure has a status."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m alforja.export",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("source", metavar="FROM")
    parser.add_argument("target", metavar="TO", nargs="?", default="-", help="default: -")
    parser.add_argument(
        "--unpickle",
        action="store_true",
        help="unpickle what is in Durus: that can run whatever its writer wanted",
    )
    parser.add_argument(
        "--table",
        metavar="NAME",
        default="sessions",
        help="the table in the database; default: sessions",
    )
    parser.add_argument(
        "--python2",
        metavar="CODEC",
        help="the pickles are Python 2's: take each str for text in CODEC, or for bytes",
    )
    parser.add_argument(
        "--attribute",
        metavar="NAME=CODEC",
        action="append",
        default=[],
        help="with --python2: another codec, or bytes, for all that attribute NAME holds",
    )
    return parser


def _strings(default: str | None, attributes: list[str]) -> Strings | None:
    if default is None:
        if attributes:
            raise ValueError("--attribute goes with --python2")
        return None
    pairs = dict(_pair(text) for text in attributes)
    for codec in (default, *pairs.values()):
        if codec != "bytes":
            _check_codec(codec)
    return Strings(default, pairs)


def _pair(text: str) -> tuple[str, str]:
    name, separator, codec = text.partition("=")
    if not name or not separator:
        raise ValueError(f"--attribute {text!r}: want NAME=CODEC")
    return name, codec


def _check_codec(codec: str) -> None:
    try:
        b"a".decode(codec)
    except LookupError as error:
        raise ValueError(f"{codec!r} is no codec for text, and not bytes") from error


def _run(options: argparse.Namespace, strings: Strings | None) -> tuple[int, int, int]:
    """Copy, and return how many were copied, were there already, and failed."""
    copied = kept = failed = 0
    _check_apart(options.source, options.target)
    reading = _opened(options.source, False, options)
    items: Iterable[Record | BadSession] = _lines_of_stdin() if reading is None else reading.read()
    try:
        writing = _opened(options.target, True, options)
        try:
            for item in _converted(items, strings):
                try:
                    if isinstance(item, BadSession):
                        raise item
                    if writing is None:
                        print(to_line(item))
                    elif not writing.write(item):
                        kept += 1
                        continue
                    copied += 1
                except BadSession as error:
                    print(f"alforja.export: {error}", file=sys.stderr)
                    failed += 1
            sys.stdout.flush()
        finally:
            if writing is not None:
                writing.close()
    finally:
        if reading is not None:
            reading.close()
    return copied, kept, failed


def _check_apart(source: str, target: str) -> None:
    """Refuse a directory within the other: session3 takes what lies there for sessions."""
    kind = "directory:"
    if source.startswith(kind) and target.startswith(kind):
        paths = [os.path.realpath(name[len(kind) :]) for name in (source, target)]
        if os.path.commonpath(paths) in paths:
            raise StoreError(f"{source} and {target} are the same, or one is inside of the other")


def _lines_of_stdin() -> Iterator[Record | BadSession]:
    # What is no UTF-8 must be one bad line, not the end.
    with open(
        sys.stdin.fileno(), encoding="utf-8", errors="surrogateescape", closefd=False
    ) as text:
        yield from lines(text)


def _opened(name: str, create: bool, options: argparse.Namespace) -> Store | None:
    if name == "-":
        return None
    return open_store(name, create, unpickle=options.unpickle, table=options.table)


def _converted(
    items: Iterable[Record | BadSession], strings: Strings | None
) -> Iterator[Record | BadSession]:
    for item in items:
        if strings is None or isinstance(item, BadSession):
            yield item
            continue
        try:
            yield item._replace(state=convert(item.state, strings))
        except BadSession as error:
            yield BadSession(f"{item.id[:8]}...: {error}")


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:  # whoever read our output has gone
        _drop_output()
        sys.exit(1)
