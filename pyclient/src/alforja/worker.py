"""Serves a Quixote application over SCGI, one request at a time.

    alforja serve -- python3 -m alforja.worker --factory app.create_publisher
    python3 -m alforja.worker --factory app.create_publisher --listen unix:/run/app.sock

The process accepts connections by itself: no parent hands them on, which is where
quixote.server.scgi_server spends half of its time. For more requests at a time,
run more workers. On SIGTERM it finishes the request it is at and ends.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import gc
import io
import os
import select
import signal
import socket
import struct
import sys
import traceback
from http.client import responses
from importlib import import_module
from typing import Any, Callable, Iterable, Iterator

from alforja.exchange import close_exchange, open_exchange
from alforja.preload import preload_socket, serve_forks
from alforja.scgi import BadRequest, Output, PeerGone, is_read, read_request

_LISTEN_FDS_START = 3  # sd_listen_fds(3)


class Worker:
    """Serves `publisher` to whoever connects to `listener`.

    A publisher is Quixote's: process(stdin, environ) returns a response that
    can write itself. `timeout` is how long, in seconds, a peer may stay silent, or not
    read, in the middle of a request. Default: 60.
    """

    def __init__(self, publisher: Any, listener: socket.socket, timeout: float = 60) -> None:
        self._publisher = publisher
        self._listener = listener
        seconds, fraction = divmod(timeout, 1)
        self._timeval = struct.pack("ll", int(seconds), int(fraction * 1e6))
        # Whoever can connect to a TCP port can send a pickle; a Unix socket has permissions.
        self._open_peer = listener.family != socket.AF_UNIX
        self._stopped = False
        self._wake_read, self._wake_write = socket.socketpair()
        self._wake_write.setblocking(False)

    def stop(self) -> None:
        """Let serve() return after the request it is at."""
        self._stopped = True
        with contextlib.suppress(BlockingIOError):
            self._wake_write.send(b"\0")

    def stop_on(self, *signals: int) -> None:
        """Call stop() at the first of these signals; a second one ends the process at once.

        To be called from the main thread.
        """

        def stop(signum: int, frame: Any) -> None:
            self.stop()
            signal.signal(signum, signal.SIG_DFL)

        # Python runs its handlers between two instructions. A signal that comes after the last
        # of them before poll() would wait there for the next connection; this write does not.
        signal.set_wakeup_fd(self._wake_write.fileno(), warn_on_full_buffer=False)
        for signum in signals:
            signal.signal(signum, stop)

    def serve(self) -> None:
        """Serve until stop() is called."""
        # A connection that the poll has announced may be gone; then accept must not block.
        self._listener.setblocking(False)
        poll = select.poll()
        listener, wake = self._listener.fileno(), self._wake_read.fileno()
        poll.register(listener, select.POLLIN)
        poll.register(wake, select.POLLIN)
        connections: dict[int, socket.socket] = {}
        with contextlib.ExitStack() as stack:
            stack.callback(lambda: _close_all(connections.values()))
            while not self._stopped:
                for fd, _ in poll.poll():
                    if fd == wake:
                        self._wake_read.recv(4096)
                    elif fd == listener:
                        # Not read before there is something: who only connects holds nobody up.
                        conn = self._accept()
                        if conn is not None:
                            connections[conn.fileno()] = conn
                            poll.register(conn, select.POLLIN)
                    elif not self.handle(connections[fd]):
                        poll.unregister(fd)
                        connections.pop(fd).close()
                    if self._stopped:
                        break

    def _accept(self) -> socket.socket | None:
        try:
            conn, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return None
        # By the kernel: sockets with Python's own timeouts poll before every call.
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, self._timeval)
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, self._timeval)
        return conn

    def handle(self, conn: socket.socket) -> bool:
        """Answer one request; what the application raises is answered too.

        Returns whether the connection can take another request: the peer has offered that
        (ALFORJA_KEEP), and both sides know where this request and its response end.
        """
        output = Output(conn)
        what = "request"
        try:
            environ, body = read_request(conn)
            what = environ.get("REQUEST_METHOD", "") + " " + environ.get("PATH_INFO", "")
            kept = self._respond(environ, body, output)
            output.flush()
            return kept
        except BadRequest as err:
            log(f"{what} answered with 400: {err}")
            _send_error(output, 400)
        except PeerGone as err:
            if str(err):
                log(f"{what}: the gateway has gone {err}")
        finally:
            close_exchange()
        return False

    def _respond(self, environ: dict[str, str], body: Any, output: Output) -> bool:
        keep = environ.pop("ALFORJA_KEEP", "")
        if "ALFORJA_NONCE" in environ:
            open_exchange(environ, self._open_peer)
        with_body = environ.get("REQUEST_METHOD") != "HEAD"
        try:
            response = self._publisher.process(body, environ)
            if keep and not self._stopped and _length_is_known(response) and is_read(body):
                _promise_to_keep(response, keep)
            else:
                keep = ""
            response.write(output, include_body=with_body)
            return keep != ""
        except PeerGone:
            raise
        except Exception as err:
            # Quixote answers for the application's errors itself. What arrives here was raised
            # outside of that: by HTTPRequest() over a bad CONTENT_LENGTH, by a Stream, by the
            # session store when a page has ended in a PublishError.
            traceback.print_exc()
            if output.begun:
                log("the response was cut: an error while it was being sent")
            else:
                _send_error(output, getattr(err, "status_code", 500), with_body)
            return False


def _close_all(connections: Iterable[socket.socket]) -> None:
    for conn in connections:
        conn.close()


def _length_is_known(response: Any) -> bool:
    """Whether what `response` will write is as long as its headers say.

    A Stream may end elsewhere than it promised, and an application can set any header.
    """
    body = response.body
    return (
        isinstance(body, bytes)
        and "content-length" not in response.headers
        and "transfer-encoding" not in response.headers
        and response.get_status_code() not in (204, 304)
    )


def _promise_to_keep(response: Any, token: str) -> None:
    """Have the last line of the header promise it.

    An application that lets its users write into its header lets them end it, and what they make
    of the body's length then holds. The promise is in the body there, and means nothing.
    """
    generate_headers = response.generate_headers
    response.generate_headers = lambda: [*generate_headers(), ("Alforja-Keep", token)]


def _send_error(output: Output, status: int, with_body: bool = True) -> None:
    text = f"{status} {responses.get(status, 'Error')}\n".encode("ascii")
    output.discard()
    output.write(
        b"Status: %bContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n"
        % (text.replace(b"\n", b"\r\n"), len(text))
    )
    if with_body:
        output.write(text)
    # Whoever sent a bad request may be gone as well.
    with contextlib.suppress(PeerGone):
        output.flush()


def log(message: str) -> None:
    print(f"alforja.worker[{os.getpid()}]: {message}", file=sys.stderr)


def inherited_socket() -> socket.socket | None:
    """Return the listening socket that the parent process has opened, or None.

    It is descriptor 3, by the convention of sd_listen_fds(3): LISTEN_FDS counts
    the sockets, LISTEN_PID is the process that they are meant for. Children of this process
    inherit neither. Raises ValueError when there is more than one socket.
    """
    pid = os.environ.pop("LISTEN_PID", "")
    count = os.environ.pop("LISTEN_FDS", "")
    if pid != str(os.getpid()) or count in ("", "0"):
        return None
    if count != "1":
        raise ValueError(f"LISTEN_FDS is {count}; one socket is what a worker serves")
    os.set_inheritable(_LISTEN_FDS_START, False)
    return socket.socket(fileno=_LISTEN_FDS_START)


def tell_importing() -> None:
    """Tell whoever has started this process that it will say when it is ready: sd_notify(3).

    Of a process that says nothing the gateway believes after a while that it is ready.
    """
    _notify(b"STATUS=importing the application\n")


def tell_ready() -> None:
    """Tell whoever has started this process that it can answer requests: sd_notify(3)."""
    _notify(b"READY=1\n")
    os.environ.pop("NOTIFY_SOCKET", None)


def _notify(state: bytes) -> None:
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:  # nobody wants to know
        return
    if address[0] == "@":
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        try:
            notify.sendto(state, address)
        except OSError as err:
            log(f"NOTIFY_SOCKET: {err}")


@contextlib.contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    """Listen on unix:PATH or host:port until the context ends.

    A Unix socket is made for its owner alone, because who can connect can send
    a pickle; one that nobody listens on any more is replaced. Raises OSError
    and, for an address of no known form, ValueError.
    """
    kind, _, path = address.partition(":")
    if kind == "unix" and path:
        with _listening_unix(path) as listener:
            yield listener
        return
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdigit():
        raise ValueError(f"{address!r} is neither unix:PATH nor host:port")
    host = host.strip("[]")
    family, *_, bind_to = socket.getaddrinfo(host or None, int(port), 0, socket.SOCK_STREAM)[0]
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(bind_to)
        listener.listen(128)
        yield listener


@contextlib.contextmanager
def _listening_unix(path: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        with contextlib.suppress(FileNotFoundError), socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
            except ConnectionRefusedError:
                os.unlink(path)
        umask = os.umask(0o177)
        try:
            listener.bind(path)
        finally:
            os.umask(umask)
        try:
            listener.listen(128)
            yield listener
        finally:
            os.unlink(path)


def load_factory(name: str) -> Callable[[], Any]:
    """Return what package.module.attribute names."""
    module, dot, attribute = name.rpartition(".")
    if not dot:
        raise ImportError(f"{name!r} has no dot; a factory is named like package.create_publisher")
    factory: Callable[[], Any] = getattr(import_module(module), attribute)
    return factory


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    options = _parser().parse_args(arguments)
    if sys.stderr is not None:
        faulthandler.enable()
    # Where they go to the gateway's log, what is printed is to be there at once, in its order.
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True)
    control = preload_socket()
    if control is not None:
        return _preload(options, control)
    with contextlib.ExitStack() as stack:
        try:
            listener = inherited_socket()
            if options.listen:
                listener = stack.enter_context(listening(options.listen))
                log(f"listening on {listener.getsockname()}")
        except (OSError, ValueError) as err:
            log(f"cannot listen: {err}")
            return 2
        if listener is None:
            log(
                "nowhere to listen: start me by `alforja serve -- ...`, which gives me a socket "
                "(LISTEN_FDS, LISTEN_PID), or with --listen unix:PATH"
            )
            return 2
        return _run(options, listener)


def _run(options: argparse.Namespace, listener: socket.socket) -> int:
    tell_importing()
    publisher = _make_publisher(options.factory)
    if publisher is None:
        return 1
    _serve(publisher, listener, options.timeout)
    return 0


def _preload(options: argparse.Namespace, control: socket.socket) -> int:
    publisher = _make_publisher(options.factory)
    if publisher is None:
        return 1

    def run(listener: socket.socket) -> int:
        _serve(publisher, listener, options.timeout)
        return 0

    return serve_forks(control, run)


def _make_publisher(factory: str) -> Any:
    """The publisher, or None when there is none, which is told."""
    try:
        publisher = load_factory(factory)()
    except Exception:
        traceback.print_exc()
        log(f"no publisher from --factory {factory}: see above")
        return None
    # The application is there to stay: leave it out of every later collection. In processes that
    # are forked from here a collection would copy its memory.
    gc.collect()
    gc.freeze()
    return publisher


def _serve(publisher: Any, listener: socket.socket, timeout: float) -> None:
    worker = Worker(publisher, listener, timeout)
    worker.stop_on(signal.SIGTERM, signal.SIGINT)
    tell_ready()
    worker.serve()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m alforja.worker",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Serve a Quixote application over SCGI, one request at a time.",
        epilog="""\
examples:
  # four workers behind the gateway, which gives each its socket
  alforja serve --workers 4 -- python3 -m alforja.worker --factory app.create_publisher

  # by itself; the gateway is told of it by --backend unix:/run/app.sock
  python3 -m alforja.worker --factory app.create_publisher --listen unix:/run/app.sock

  # on another machine; sessions then need a key on both sides, and there are none
  # but each request's own: no page for administrators
  ALFORJA_KEY_FILE=/etc/alforja/key \\
      python3 -m alforja.worker --factory app.create_publisher --listen 10.0.0.7:4000

The current directory is searched for the factory's module first. A Unix socket
is made for its owner alone. SIGTERM and SIGINT let the current request finish.
""",
    )
    parser.add_argument(
        "--factory",
        required=True,
        metavar="NAME",
        help="the function that makes the publisher, as package.module.function",
    )
    parser.add_argument(
        "--listen",
        metavar="ADDRESS",
        help="unix:PATH or host:port; by default the socket that the parent has opened",
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=60,
        metavar="SECONDS",
        help="give up on a peer that is silent, or does not read, for so long (default: 60)",
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
