"""The processes of a gateway: its workers, and the gateways that take its place."""

import os
import signal

import harness
from harness import wait_until


def running(g):
    """The process ids of the workers that have not ended."""
    started = {line["pid"] for line in g.lines() if line["msg"] == "worker started"}
    return {pid for pid in started if harness.alive(pid)}


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
