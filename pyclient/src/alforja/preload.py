"""Forks workers from a process that has imported the application.

`alforja serve --preload` starts its command once, with ALFORJA_PRELOAD naming the descriptor of
a socket (SOCK_SEQPACKET), and asks for worker after worker over it:

    request     NAME NUL NOTIFY_SOCKET, with two descriptors: the socket that the worker is
                to listen at, and where its standard output and error go
    answers     started PID, or failed REASON when there can be no further process; to each
                request in turn
                ended PID STATUS, the status as waitpid(2) has it

The process ends when the socket is closed, and its workers end with it.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import os
import select
import signal
import socket
import sys
from typing import Callable

_PR_SET_PDEATHSIG = 1  # prctl(2)


def preload_socket() -> socket.socket | None:
    """Return the socket by which workers are asked for, or None."""
    descriptor = os.environ.pop("ALFORJA_PRELOAD", "")
    if not descriptor:
        return None
    os.set_inheritable(int(descriptor), False)
    return socket.socket(fileno=int(descriptor))


def serve_forks(control: socket.socket, run: Callable[[socket.socket], int]) -> int:
    """Fork a worker for each request; `run` is what a worker does, given its listening socket.

    Returns the exit status: in the parent when `control` is closed, in a worker when `run` returns.
    """
    # The kernel tells of ended children through this pair: a handler alone would not end poll().
    wake_read, wake_write = socket.socketpair()
    wake_read.setblocking(False)
    wake_write.setblocking(False)
    signal.set_wakeup_fd(wake_write.fileno(), warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda signum, frame: None)
    # A container or a service manager may send these to every process. The workers, which end
    # with this one, have requests to finish, and the gateway to tell them when.
    ours = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
    for signum in ours:
        signal.signal(signum, signal.SIG_IGN)
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(wake_read, select.POLLIN)
    while True:
        for fd, _ in poll.poll():
            if fd == wake_read.fileno():
                wake_read.recv(4096)
                _tell_of_ended(control)
                continue
            request, descriptors = _receive(control)
            if not request:
                return 0
            _flush_output()
            try:
                pid = os.fork()
            except OSError as err:  # a limit of processes, or of memory: the others go on
                _close_all(descriptors)
                control.send(b"failed %s" % str(err).encode())
                continue
            if pid == 0:
                signal.set_wakeup_fd(-1)
                for signum in (signal.SIGCHLD, *ours):
                    signal.signal(signum, signal.SIG_DFL)
                for unused in (wake_read, wake_write, control):
                    unused.close()
                return run(_become_worker(request, descriptors))
            _close_all(descriptors)
            _set_group(pid)
            control.send(b"started %d" % pid)


def _flush_output() -> None:
    """Write what is printed: a worker has a copy of what is not, and would print it again."""
    # Quixote's logger has put another stream in stdout's place.
    for stream in (sys.stdout, sys.stderr, sys.__stdout__, sys.__stderr__):
        with contextlib.suppress(OSError, ValueError):  # broken, closed
            if stream is not None:
                stream.flush()


def _close_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)


def _receive(control: socket.socket) -> tuple[bytes, list[int]]:
    """One request and its descriptors; b"" when there will be no more."""
    descriptors = array.array("i")
    try:
        request, ancillary, _, _ = control.recvmsg(
            4096, socket.CMSG_SPACE(2 * descriptors.itemsize)
        )
    except ConnectionResetError:
        return b"", []
    for level, kind, data in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            descriptors.frombytes(data)
    return request, list(descriptors)


def _become_worker(request: bytes, descriptors: list[int]) -> socket.socket:
    """Make this new process what the request asks for; returns the socket to listen at."""
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended before that
        os._exit(1)
    _set_group(0)
    name, _, notify = request.decode().partition("\0")
    os.environ["ALFORJA_WORKER"] = name
    os.environ["NOTIFY_SOCKET"] = notify
    listener, output = descriptors
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    return socket.socket(fileno=listener)


def _set_group(pid: int) -> None:
    """Give a worker a process group of its own; parent and child both do, whoever comes first."""
    try:
        os.setpgid(pid, pid)
    except (PermissionError, ProcessLookupError):
        pass  # the other has done it, or it has ended


def _tell_of_ended(control: socket.socket) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        control.send(b"ended %d %d" % (pid, status))
