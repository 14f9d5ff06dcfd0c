"""The gateway and its workers are killed while 32 clients count: what was acknowledged is in the store.

The gateway 5 times and workers 20 times; ALFORJA_FULL=1 makes it 50 and 200.
"""

import os
import pathlib
import random
import signal

import pytest

import harness
from counters import Counters
from footprint import check_memory, footprint, settled
from harness import wait_until
from processes import running
from store_driver import FULL

GATEWAY_KILLS, WORKER_KILLS = (50, 200) if FULL else (5, 20)
MARK = "ALFORJA_TEST_MARK"  # in the environment of all that a gateway starts


@pytest.fixture
def site(tmp_path, run):
    def start(*args):
        (tmp_path / "run").mkdir()
        return run(
            harness.Gateway(
                tmp_path,
                *("--access-log", tmp_path / "access.log", "--run-dir", tmp_path / "run"),
                *args,
                command=harness.managed(),
                env={MARK: str(tmp_path)},
                listen=("--http", f"127.0.0.1:{harness.free_port()}"),
            )
        )

    return start


def processes(g):
    """The process ids of the gateway and of all that it has started, or that these have."""
    mark = f"{MARK}={g.tmp}\0".encode()
    found = set()
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                if mark in (entry / "environ").read_bytes() and harness.alive(entry.name):
                    found.add(int(entry.name))
            except OSError:
                pass  # it has ended
    return found


def test_gateway_killed(site):
    g = site("--workers", "2")
    chance = random.Random(1)
    with Counters(g.http) as counters:
        for kill in range(GATEWAY_KILLS):
            if kill % 3 < 2:  # else while its workers start
                counters.proceed(chance.randrange(100, 300))
            g.stop(signal.SIGKILL)
            wait_until(lambda: not processes(g), "all that it has started ends with it")
            g.start()
        counters.proceed(100)
    assert any(counters.failures.values())
    assert not refused(counters) - {502, 503}
    counters.check(g.sessions)
    g.stop()
    assert not processes(g)
    assert not list((g.tmp / "run").iterdir()), "what killed gateways have left is removed"


def test_workers_killed(site, tmp_path):
    g = site("--workers", "3", "--admin", f"unix:{tmp_path}/admin.sock")
    g.admin = f"unix:{tmp_path}/admin.sock"
    wait_until(lambda: len(g.logged("worker ready")) == 3, "they are up")
    assert len(processes(g)) == 5, "the gateway, a watcher and three workers"
    before = footprint(g)
    kill_workers(g, 3)
    warm = settled(g, before)
    counters = kill_workers(g, WORKER_KILLS)
    assert any(counters.failures.values())
    assert not refused(counters) - {502, 503}
    counters.check(g.sessions)
    wait_until(lambda: len(processes(g)) == 5, "as many processes as before")
    check_memory(warm, settled(g, before))
    g.stop()
    assert not processes(g)


def kill_workers(g, kills):
    """Kill workers while they have requests; the clients have left when this returns."""
    chance = random.Random(kills)
    with Counters(g.http) as counters:
        for _ in range(kills):
            counters.proceed(chance.randrange(20, 60))
            victim = wait_until(lambda: running(g), "a worker runs").pop()
            os.kill(victim, signal.SIGKILL)
            wait_until(lambda pid=victim: not harness.alive(pid), f"{victim} ends")
        counters.proceed(100)
    return counters


def refused(counters):
    """The statuses of the pages that were none."""
    return {f for failures in counters.failures.values() for f in failures if isinstance(f, int)}
