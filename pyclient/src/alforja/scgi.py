"""The worker's end of SCGI: one request read from a socket, one response written to it.

The protocol is https://python.ca/scgi/protocol.txt; names and values become str by
ISO 8859-1, as the scgi package has it.
"""

from __future__ import annotations

import io
import socket

# A session's state travels in the header, up to 4 MiB of it in base64, beside the cookies.
MAX_HEADER = 8 << 20  # bytes

_RECV = 64 << 10  # bytes; nearly every request comes in one piece


class PeerGone(Exception):
    """The peer closed the connection, or neither sends nor reads any more."""


class BadRequest(Exception):
    """What came is not an SCGI request, or was cut."""


def read_request(conn: socket.socket) -> tuple[dict[str, str], io.BufferedIOBase]:
    """Read a request's header from `conn`; return its variables and its body.

    The body ends after CONTENT_LENGTH bytes, or earlier when the peer closes. Raises
    PeerGone and BadRequest; one who connects and leaves is a PeerGone without a text.
    """
    data = _recv(conn, _RECV)
    if not data:
        raise PeerGone
    colon = data.find(b":", 0, 10)
    while colon < 0:
        more = _recv(conn, _RECV) if len(data) < 10 else b""
        if not more:
            raise BadRequest(f"no netstring length in {data[:10]!r}")
        data += more
        colon = data.find(b":", 0, 10)
    digits = data[:colon]
    if not digits.isdigit():
        raise BadRequest(f"bad netstring length {digits!r}")
    size = int(digits)
    if size > MAX_HEADER:
        raise BadRequest(f"a header of {size} bytes; {MAX_HEADER} are allowed")
    start, end = colon + 1, colon + 1 + size
    if len(data) <= end:
        data = _read_up_to(conn, data, end + 1)
    if data[end] != 0x2C:  # a comma
        raise BadRequest("no comma after the header")
    environ = _environ(data[start:end])
    return environ, _body(conn, data[end + 1 :], environ.get("CONTENT_LENGTH", ""))


def _recv(conn: socket.socket, size: int) -> bytes:
    try:
        return conn.recv(size)
    except OSError as err:
        raise PeerGone(f"while reading the header: {err}") from err


def _read_up_to(conn: socket.socket, data: bytes, size: int) -> bytes:
    parts = bytearray(data)
    while len(parts) < size:
        more = _recv(conn, max(size - len(parts), _RECV))
        if not more:
            raise BadRequest(f"the header was cut after {len(parts)} of {size} bytes")
        parts += more
    return bytes(parts)


def _environ(header: bytes) -> dict[str, str]:
    items = header.decode("latin-1").split("\0")
    # The last NUL ends a value, so that an empty item is left over.
    if len(items) % 2 == 0 or items[-1]:
        raise BadRequest("the header's names and values do not pair up")
    environ = dict(zip(items[::2], items[1::2]))
    if environ.get("SCGI") != "1":
        raise BadRequest("no SCGI=1 in the header")
    return environ


def _body(conn: socket.socket, begun: bytes, content_length: str) -> io.BufferedIOBase:
    # A length that is no number is for the application to refuse.
    length = int(content_length) if content_length.isdecimal() else 0
    if length <= len(begun):
        return io.BytesIO(begun[:length])
    return io.BufferedReader(_Body(conn, begun, length), _RECV)


def is_read(body: io.BufferedIOBase) -> bool:
    """Whether all of a request's body has been read: what is left would begin the next request.

    An application that has closed it may have left some.
    """
    if body.closed or body.read(1) != b"":
        return False
    raw = getattr(body, "raw", None)
    return not isinstance(raw, _Body) or raw.complete


class _Body(io.RawIOBase):
    """A request's body: what came along with the header, then the socket."""

    def __init__(self, conn: socket.socket, begun: bytes, length: int) -> None:
        self._conn = conn
        self._begun = begun
        self._left = length
        self._given_up = False

    @property
    def complete(self) -> bool:
        """Whether all of it has come."""
        return self._left == 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        size = min(len(buffer), self._left)
        if self._begun:
            part = self._begun[:size]
            self._begun = self._begun[size:]
            size = len(part)
            buffer[:size] = part
        elif self._given_up:
            size = 0
        elif size:
            try:
                size = self._conn.recv_into(buffer, size)
            except OSError:
                # Quixote answers 400 to a body that ends early; an exception would be a 500.
                self._given_up = True
                size = 0
        self._left -= size
        return size


class Output:
    """Collects a response and sends it in as few pieces as the buffer allows.

    Quixote writes each header by itself; a page and its headers leave in one send.
    Raises PeerGone.
    """

    __slots__ = ("_conn", "_parts", "_size", "begun")

    BUFFER = 256 << 10  # bytes

    def __init__(self, conn: socket.socket) -> None:
        self._conn = conn
        self._parts: list[bytes] = []
        self._size = 0
        # Whether anything was sent: from then on no other response can be.
        self.begun = False

    def write(self, data: bytes) -> None:
        self._parts.append(data)
        self._size += len(data)
        if self._size >= self.BUFFER:
            self.flush()

    def flush(self) -> None:
        if self._size:
            data = b"".join(self._parts)
            self.discard()
            self.begun = True
            try:
                self._conn.sendall(data)
            except OSError as err:
                raise PeerGone(f"while sending the response: {err}") from err

    def discard(self) -> None:
        self._parts.clear()
        self._size = 0
