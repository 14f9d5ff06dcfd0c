"""A worker that lies at /lie/NAME, by the function NAME here, and is alforja.worker at any other path.

    alforja serve ... -- python3 lyingworker.py

Every lie that has a header to do it in also has the session's counter saved as SAVED.
"""

from __future__ import annotations

import base64
import contextlib
import itertools
import os
import pickle
import re
import signal
import socket
import time

from alforja.scgi import read_request
from alforja.worker import Worker, inherited_socket, tell_ready
from workerapp import create_publisher

SAVED = 100
PIECE = b"0123456789abcdef" * 4096


def header(environ: dict[str, str], *lines: str) -> bytes:
    """A response's header, with its empty line."""
    return "\r\n".join(["Status: 200 OK", *lines, saving(environ), "\r\n"]).encode()


def saving(environ: dict[str, str], nonce: str = "") -> str:
    session = pickle.loads(base64.b64decode(environ["ALFORJA_SESSION"]))
    session.count = SAVED
    state = base64.b64encode(pickle.dumps(session, 4)).decode()
    nonce = nonce or environ["ALFORJA_NONCE"]
    return f"Alforja-Session: {nonce} save {environ['ALFORJA_SESSION_ID']} {state}"


def endless_line(conn, environ):
    conn.sendall(b"X-Endless: ")
    while True:
        conn.sendall(PIECE)


def endless_header(conn, environ):
    conn.sendall(header(environ)[:-2])
    for n in itertools.count():
        conn.sendall(b"X-%d: %b\r\n" % (n, PIECE))


def endless_interim(conn, environ):
    while True:
        conn.sendall(b"Status: 103 Early Hints\r\nLink: </style.css>\r\n\r\n")


def trickling_header(conn, environ):
    for byte in itertools.cycle(b"X-Slow: 1\r\n"):
        conn.sendall(bytes([byte]))
        time.sleep(0.05)


def garbage(conn, environ):
    conn.sendall(b"\x80\x04\x95\x00garbage\xff\r\n\r\n")


def page_without_header(conn, environ):
    conn.sendall(b"<html>\n<p>Hello\n\n</html>")


def empty_header(conn, environ):
    conn.sendall(b"\r\nhello")


def two_statuses(conn, environ):
    conn.sendall(header(environ, "Content-Length: 5", "Status: 302 Found") + b"hello")


def two_lengths(conn, environ):
    conn.sendall(header(environ, "Content-Length: 5", "Content-Length: 6") + b"hello!")


def negative_length(conn, environ):
    conn.sendall(header(environ, "Content-Length: -1") + b"hello")


def nothing(conn, environ):
    pass


def cut_header(conn, environ):
    conn.sendall(header(environ, "Content-Length: 5")[:-4])


def dies_in_header(conn, environ):
    cut_header(conn, environ)
    os._exit(3)


def longer(conn, environ):
    conn.sendall(header(environ, "Content-Length: 5") + b"hello and more")


def longer_and_kept(conn, environ):
    """What is too much would begin the next response."""
    token = environ["ALFORJA_KEEP"]
    page = header(environ, "Content-Length: 5", f"Alforja-Keep: {token}") + b"hello"
    conn.sendall(page + b"Status: 200 OK\r\nContent-Length: 6\r\n\r\npoison")
    return True


def kept_and_closed(conn, environ):
    token = environ["ALFORJA_KEEP"]
    conn.sendall(header(environ, "Content-Length: 5", f"Alforja-Keep: {token}") + b"hello")


def other_token(conn, environ):
    conn.sendall(header(environ, "Content-Length: 5", f"Alforja-Keep: {16 * 'a'}") + b"hello")
    return True


def shorter(conn, environ):
    conn.sendall(header(environ, "Content-Length: 100") + b"hello")


def shorter_in_a_file(conn, environ):
    conn.sendall(header(environ, "Content-Length: 10000000") + PIECE)


def shorter_than_any_file(conn, environ):
    conn.sendall(header(environ, "Content-Length: 10000000000") + PIECE)


def dies_in_body(conn, environ):
    shorter(conn, environ)
    os._exit(3)


def bad_chunk(conn, environ):
    conn.sendall(header(environ, "Transfer-Encoding: chunked") + b"5\r\nhello\r\nxyz\r\n")


def hangs_after_header(conn, environ):
    conn.sendall(header(environ, "Content-Length: 100"))
    time.sleep(600)


def hangs_in_body(conn, environ):
    conn.sendall(header(environ, "Content-Length: 100") + b"hello")
    time.sleep(600)


def hangs_in_stream(conn, environ):
    conn.sendall(header(environ) + b"hello")
    time.sleep(600)


def two_directives(conn, environ):
    conn.sendall(header(environ, saving(environ), "Content-Length: 5") + b"hello")


def wrong_nonce(conn, environ):
    conn.sendall(
        f"Status: 200 OK\r\nContent-Length: 5\r\n{saving(environ, 22 * 'A')}\r\n\r\nhello".encode()
    )


def torn_state(conn, environ):
    line = saving(environ)
    torn = base64.b64encode(base64.b64decode(line.split()[-1])[:-20]).decode()
    line = " ".join([*line.split()[:-1], torn])
    conn.sendall(f"Status: 200 OK\r\nContent-Length: 5\r\n{line}\r\n\r\nhello".encode())


def body(conn, environ):
    """As many bytes as the query says, of a length that is announced."""
    size = int(environ["QUERY_STRING"])
    conn.sendall(header(environ, f"Content-Length: {size}"))
    for _ in range(size // len(PIECE)):
        conn.sendall(PIECE)
    conn.sendall(PIECE[: size % len(PIECE)])


def endless_body(conn, environ):
    conn.sendall(header(environ))
    while True:
        conn.sendall(PIECE)


class LyingWorker(Worker):
    def handle(self, conn):
        begin = conn.recv(1 << 20, socket.MSG_PEEK)
        lie = re.search(rb"\0PATH_INFO\0/lie/(\w+)\0", begin)
        if not lie:
            return super().handle(conn)
        environ, _ = read_request(conn)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            return globals()[lie[1].decode()](conn, environ) or False
        return False


if __name__ == "__main__":
    worker = LyingWorker(create_publisher(), inherited_socket())
    worker.stop_on(signal.SIGTERM, signal.SIGINT)
    tell_ready()
    worker.serve()
