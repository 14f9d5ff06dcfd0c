"""The processes of a gateway: its workers, and the gateways that take its place."""

import contextlib
import datetime
import os
import pathlib
import re
import signal

import harness
from harness import wait_until


def running(g):
    """The process ids of the workers that have not ended.

    In an hour, another process may have the number of one that has: it began later.
    """
    started = {line["pid"]: line["time"] for line in g.lines() if line["msg"] == "worker started"}
    return {pid for pid, time in started.items() if harness.alive(pid) and began_before(pid, time)}


def began_before(pid, time):
    """Whether a process that has not ended began before a time, or in the second after it."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        ticks = int(pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        [boot] = re.findall(r"^btime (\d+)", pathlib.Path("/proc/stat").read_text(), re.MULTILINE)
        seconds = int(boot) + ticks / os.sysconf("SC_CLK_TCK")
        return seconds < datetime.datetime.fromisoformat(time).timestamp() + 1
    return False


def successors(g):
    return [line["pid"] for line in g.lines() if line["msg"] == "another gateway takes over"]


def reload_workers(g):
    done = times(g, "reloaded")
    os.kill(g.current, signal.SIGHUP)
    wait_until(lambda: times(g, "reloaded") == done + 1, "the workers are reloaded", interval=0.1)


def replace_program(g):
    done = len(successors(g))
    os.kill(g.current, signal.SIGUSR2)
    wait_until(lambda: len(successors(g)) == done + 1, "another is started", interval=0.1)
    wait_until(lambda: not harness.alive(g.current), f"{g.current} has ended", interval=0.1)
    g.current = successors(g)[-1]


def times(g, message):
    return sum(line["msg"] == message for line in g.lines())
