"""Sessions that processes of both kinds count up: the application behind gateways, and session3 alone.

python3 -m interplay SESSIONS WRITER SECONDS READ,... WRITTEN,...
"""

import json
import os
import random
import sys
import time
import zlib

from quixote import get_response, get_session
from quixote.directory import Directory
from quixote.publish import Publisher
from session3.Session import Session
from session3.SessionManager import SessionManager
from session3.store import DirectorySessionStore as session3_store

import alforja
from alforja import demo

SIZES = (0, 100, 3_800, 6_000, 60_000)  # bytes of filler: in place, and beside


def new_session(id):
    session = Session.__new__(Session)  # __init__ wants a request
    session.__dict__.update(
        id=id,
        user="Sancho",
        _remote_address="192.0.2.7",
        _creation_time=1.0,
        _access_time=time.time(),
        _form_tokens=[],
        counts={},
    )
    fill(session, "-", 0)
    return session


def count(session, writer, size):
    session.counts[writer] = session.counts.get(writer, 0) + 1
    fill(session, writer[-1], size)


def fill(session, letter, size):
    session.filler = letter * size
    session.checksum = checksum(session)


def checksum(session):
    return zlib.crc32(repr((session.counts, session.filler)).encode())


def whole(session):
    return session.checksum == checksum(session)


# Behind a gateway.


class Root(Directory):
    _q_exports = ["count"]

    def count(self):
        session = get_session()
        get_response().set_content_type("application/json")
        if session.id is None:
            return json.dumps({"fresh": True})
        was_whole = whole(session)
        count(session, demo.text_field("writer"), int(demo.text_field("size")))
        return json.dumps({"fresh": False, "whole": was_whole})


def create_publisher():
    manager = SessionManager(alforja.SessionStore(), session_class=Session)
    return Publisher(Root(), session_manager=manager, display_exceptions="plain")


# session3 by itself.


class CountedSleep:
    """What session3's store module has as time: how often it finds a file that is not whole."""

    def __init__(self):
        self.waits = 0

    def sleep(self, seconds):
        self.waits += 1
        time.sleep(seconds)


def read_and_write(sessions, writer, seconds, read, written):
    """Load and save as session3's manager does for each request; return what was met."""
    clock = session3_store.time = CountedSleep()
    store = session3_store.DirectorySessionStore(sessions)
    chance = random.Random(writer)
    met = {"loads": 0, "saves": {}, "torn": [], "longest": 0.0}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        id = chance.choice(read + written)
        start = time.monotonic()
        try:
            session = store.load_session(id)
        except Exception as error:  # anything that unpickling may raise
            met["torn"].append(f"{id}: {error!r}")
            continue
        met["loads"] += 1
        if session is None or session.id != id or not whole(session):
            met["torn"].append(f"{id}: {session and session.__dict__!r:.300}")
        elif id in written:
            session._set_access_time(1)
            count(session, writer, chance.choice(SIZES))
            store.save_session(session)
            met["saves"][id] = met["saves"].get(id, 0) + 1
        met["longest"] = max(met["longest"], time.monotonic() - start)
    met["waits"] = clock.waits
    return met


if __name__ == "__main__":
    sessions, writer, seconds, *lists = sys.argv[1:]
    read, written = (x.split(",") if x else [] for x in lists)
    os.nice(1)  # the gateways' clients measure nothing, and must not starve
    print(json.dumps(read_and_write(sessions, writer, float(seconds), read, written)))
