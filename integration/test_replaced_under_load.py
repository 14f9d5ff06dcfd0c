"""Reloads and replacements of the program while 32 clients count: nobody is refused, and nothing is lost.

4,000 requests, 5 reloads and 2 replacements; ALFORJA_FULL=1 makes it 20,000, 20 and 5.
"""

import random

import pytest

import harness
from counters import Counters
from processes import reload_workers, replace_program
from store_driver import FULL

REQUESTS, RELOADS, REPLACEMENTS = (20_000, 20, 5) if FULL else (4_000, 5, 2)


@pytest.mark.parametrize("front", ["http", "nginx"])
def test_replaced_under_load(gateway, run, chain, tmp_path, front):
    listen = "--http", "127.0.0.1:0"
    if front == "nginx":
        listen = "--scgi", f"unix:{tmp_path}/scgi"
    g = gateway("--workers", "2", "--access-log", tmp_path / "access.log", listen=listen)
    chain.append(g)
    g.current = g.pid
    address = g.http if front == "http" else run(harness.Nginx(tmp_path, listen[1])).http
    events = [reload_workers] * RELOADS + [replace_program] * REPLACEMENTS
    random.Random(1).shuffle(events)
    with Counters(address) as counters:
        for n, event in enumerate(events, 1):
            counters.reach(REQUESTS * n // (len(events) + 1))
            event(g)
        counters.reach(REQUESTS)
    assert not any(counters.failures.values()), counters.failures
    counters.check(g.sessions)
    assert g.process.wait(harness.DEADLINE) == 0
