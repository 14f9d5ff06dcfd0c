"""Two gateways and four session3 processes on the same sessions at the same time.

`make test` has it run for 15 seconds, ALFORJA_FULL=1 for two minutes.
"""

import collections
import json
import os
import random
import subprocess
import sys
import threading
import time

import pytest

import harness
from harness import APPS, Client, managed
from store_driver import FULL, within

sys.path.insert(0, str(APPS))
import interplay  # noqa: E402 (one of APPS)

SECONDS = 120 if FULL else 15
CONTROL_SECONDS = SECONDS / 5
LONGEST = 5  # seconds
GATEWAYS, CLIENTS, PYTHONS = 2, 3, 4
IDS = [f"interplay{n:03}" for n in range(50)]
OURS, MIXED = IDS[:25], IDS[25:]  # written through gateways alone, and by both kinds; read by all


@pytest.fixture
def sessions(tmp_path):
    directory = tmp_path / "sessions"
    store = interplay.session3_store.DirectorySessionStore(str(directory), create=True)
    for id in IDS:
        store.save_session(interplay.new_session(id))
    return directory


class Pythons:
    """Processes that use session3's store directly."""

    def __init__(self, sessions, written, read, seconds=SECONDS):
        self.running = {
            writer: subprocess.Popen(
                [sys.executable, "-m", "interplay", sessions, writer, str(seconds)]
                + [",".join(read), ",".join(written)],
                env={**os.environ, "PYTHONPATH": str(APPS)},
                stdout=subprocess.PIPE,
                text=True,
            )
            for writer in (f"python{n}" for n in range(PYTHONS))
        }

    def finish(self):
        """What each has met."""
        try:
            return {
                writer: json.loads(process.communicate(timeout=SECONDS + harness.DEADLINE)[0])
                for writer, process in self.running.items()
            }
        finally:
            for process in self.running.values():
                process.kill()
                process.wait()


class Visitor(threading.Thread):
    """A client that has one gateway count up one session after the other."""

    def __init__(self, address, writer, ids):
        super().__init__()
        self.address, self.writer, self.ids = address, writer, ids
        self.made = collections.Counter()  # by session
        self.odd = []
        self.longest = 0.0

    def run(self):
        chance = random.Random(self.writer)
        browser = Client(self.address)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            id, size = chance.choice(self.ids), chance.choice(interplay.SIZES)
            start = time.monotonic()
            browser.cookies = {"QX_session": id}
            answer = browser.get(f"/count?writer={self.writer}&size={size}")
            self.longest = max(self.longest, time.monotonic() - start)
            if answer.status == 200 and answer.json() == {"fresh": False, "whole": True}:
                self.made[id] += 1
            else:
                self.odd.append(f"{id}: {answer}")
        browser.close()


def test_gateways_and_session3_on_the_same_sessions(tmp_path, run, sessions, capsys):
    gateways = [
        run(
            harness.Gateway(
                tmp_path,
                *("--workers", "2"),
                command=managed("interplay.create_publisher"),
                name=f"gateway{n}",
            )
        )
        for n in range(GATEWAYS)
    ]
    pythons = Pythons(sessions, written=MIXED, read=OURS)
    visitors = [
        Visitor(g.http, f"gateway{n}client{c}", IDS)
        for n, g in enumerate(gateways)
        for c in range(CLIENTS)
    ]
    for visitor in visitors:
        visitor.start()
    for visitor in visitors:
        visitor.join(SECONDS + harness.DEADLINE)
        assert not visitor.is_alive(), "a request hangs"
    met = pythons.finish()

    assert [line for v in visitors for line in v.odd] == []
    assert [x for g in gateways for x in g.lines() if x["level"] in ("WARN", "ERROR")] == []
    assert list((tmp_path / "sessions.alforja" / "corrupt").iterdir()) == []
    # What session3 writes its own readers find torn: it truncates while they read. See the next test.
    assert [line for m in met.values() for line in m["torn"] if line[: len(IDS[0])] in OURS] == []

    made = {v.writer: v.made for v in visitors} | {w: m["saves"] for w, m in met.items()}
    assert all(sum(m.values()) > 0 for m in made.values()), "everybody has written"
    lost = lost_updates(sessions, made)
    longest = max([v.longest for v in visitors] + [m["longest"] for m in met.values()])
    with capsys.disabled():
        print(f"\n{SECONDS} s: {report(made, lost, met)}")
        print(f"the longest request or load took {longest:.2f} s")
    assert sum(lost[id] for id in OURS) == 0
    # Nobody waits but for a file that session3 has truncated and does not get on with; the rest is a busy machine.
    assert longest < LONGEST


def test_session3_by_itself(sessions, capsys):
    """The control: what its readers meet, and what is lost, without any gateway."""
    met = Pythons(sessions, written=IDS[:5], read=[], seconds=CONTROL_SECONDS).finish()
    made = {writer: m["saves"] for writer, m in met.items()}
    updates = sum(sum(m.values()) for m in made.values())
    lost = sum(lost_updates(sessions, made).values())
    with capsys.disabled():
        print(f"\nsession3 alone: {updates} updates, {lost} lost; {waits_and_torn(met)}")
    assert lost > 0


def lost_updates(sessions, made):
    """How many of the updates that were made each session does not show."""
    store = interplay.session3_store.DirectorySessionStore(str(sessions))
    lost = collections.Counter()
    for id in IDS:
        with within(5, f"session3 loads {id}"):
            session = store.load_session(id)
        assert session is not None and interplay.whole(session), id
        for writer, counts in made.items():
            there = session.counts.get(writer, 0)
            assert there <= counts.get(id, 0), f"{id}: {writer} counted {there}"
            lost[id] += counts.get(id, 0) - there
    return lost


def report(made, lost, met):
    def total(ids, kind):
        return sum(m.get(id, 0) for w, m in made.items() if w.startswith(kind) for id in ids)

    mixed = total(MIXED, "gateway") + total(MIXED, "python")
    return (
        f"{total(OURS, 'gateway')} updates through the gateways alone, "
        f"{sum(lost[id] for id in OURS)} lost; of sessions that session3 writes too {mixed} "
        f"updates, {sum(lost[id] for id in MIXED)} lost by its unlocked load and save; "
        f"{waits_and_torn(met)}"
    )


def waits_and_torn(met):
    loads, torn, waits = (
        sum(count(m) for m in met.values())
        for count in (lambda m: m["loads"], lambda m: len(m["torn"]), lambda m: m["waits"])
    )
    return (
        f"{loads} loads by session3, {torn} of them torn by its own saves, "
        f"{waits} waits for a file that it had truncated"
    )
