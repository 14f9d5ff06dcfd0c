"""A session outside of a store, and the JSON Lines that hold many."""

from __future__ import annotations

import base64
import json
import re
import time
from calendar import timegm
from typing import IO, Iterator, NamedTuple

from alforja.ids import valid


class Record(NamedTuple):
    """`modified` is in nanoseconds since the epoch; None where the store does not know."""

    id: str
    state: bytes
    modified: int | None = None


class BadSession(ValueError):
    """One session cannot be moved. The others can."""


class StoreError(Exception):
    """The store as a whole cannot be used."""


def found(id: str, state: bytes, modified: int | None = None) -> Record | BadSession:
    """Return the session that a store has under this id."""
    return Record(id, state, modified) if valid(id) else BadSession(f"not a session id: {id!r}")


def to_line(record: Record) -> str:
    r"""Return the line that `alforja sessions import` takes, see docs/sessions.md.

    >>> to_line(Record("a1", b"N.", 1714564800123456789))
    '{"id": "a1", "modified": "2024-05-01T12:00:00.123456789Z", "pickle": "Ti4="}'
    """
    line = {"id": record.id}
    if record.modified is not None:
        seconds, nanoseconds = divmod(record.modified, 10**9)
        date = "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}".format(*time.gmtime(seconds)[:6])
        line["modified"] = f"{date}.{nanoseconds:09d}Z"
    line["pickle"] = base64.b64encode(record.state).decode("ascii")
    return json.dumps(line)


def from_line(line: str) -> Record:
    """Read what to_line() or `alforja sessions export` wrote.

    >>> from_line(to_line(Record("a1", b"N.", 1714564800123456789)))
    Record(id='a1', state=b'N.', modified=1714564800123456789)
    """
    try:
        fields = json.loads(line)
        id = fields["id"]
        state = base64.b64decode(fields["pickle"], validate=True)
        modified = fields.get("modified")
        when = None if modified is None else _nanoseconds(modified)
        if when is not None and when > time.time_ns():
            when = None  # or it would be idle only then
    except KeyError as error:
        raise BadSession(f"no key {error}") from error
    except (AttributeError, RecursionError, TypeError, ValueError) as error:
        raise BadSession(f"not a JSON line of a session: {error}") from error
    if not valid(id):
        raise BadSession(f"not a session id: {id!r}")
    return Record(id, state, when)


def lines(file: IO[str]) -> Iterator[Record | BadSession]:
    for number, line in enumerate(file, 1):
        if line.strip():
            try:
                yield from_line(line)
            except BadSession as error:
                yield BadSession(f"line {number}: {error}")


_DATE = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))\Z")


def _nanoseconds(date: str) -> int:
    """Read a time of RFC 3339. datetime has no nanoseconds.

    >>> _nanoseconds("1970-01-01T01:00:00.5+01:00")
    500000000
    """
    match = _DATE.match(date)
    if match is None:
        raise ValueError(f"{date!r} is no time of RFC 3339")
    second, fraction, sign, hours, minutes = match.groups()
    seconds = timegm(time.strptime(second, "%Y-%m-%dT%H:%M:%S"))
    if sign:
        offset = int(hours) * 3600 + int(minutes) * 60
        seconds += offset if sign == "-" else -offset
    return seconds * 10**9 + int((fraction or "0").ljust(9, "0"))
