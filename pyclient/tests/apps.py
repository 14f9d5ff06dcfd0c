"""Publishers and session classes of the tests."""

from __future__ import annotations

import json
import os

import quixote.session
from quixote import get_field, get_request, get_response, get_session, get_session_manager
from quixote.directory import Directory
from quixote.errors import AccessError
from quixote.http_response import Stream
from quixote.publish import Publisher
from session3.DictSession import DictSession
from session3.Session import Session
from session3.SessionManager import SessionManager

import alforja


class CountSession(Session):
    """An application's own session; its pickle does not depend on the time."""

    count = 0
    gone = False

    def has_info(self):
        return bool((self.count or self.user) and not self.gone)

    def _set_access_time(self, resolution):
        pass


class TimedSession(CountSession):
    """One whose access time changes with every request, as session3's does after a second."""

    def _set_access_time(self, resolution):
        self._access_time += 1


class QuixoteSession(quixote.session.Session):
    count = 0

    def has_info(self):
        return bool(self.count) or super().has_info()

    def is_dirty(self):
        return self.has_info()

    def _set_access_time(self, resolution):
        pass


# Quixote 3.0 has no stores yet.
QUIXOTE_HAS_STORES = hasattr(quixote.session, "BaseSessionManager")

if QUIXOTE_HAS_STORES:

    class QuixoteManager(quixote.session.BaseSessionManager):
        ACCESS_TIME_RESOLUTION = 1


class Pages(Directory):
    """The pages that every test has, and those that it brings."""

    def __init__(self, pages):
        for name in (
            "count",
            "fail",
            "interrupt",
            "logout",
            "logoutfail",
            "look",
            "expireinterrupt",
        ):
            pages.setdefault(name, getattr(self, "_" + name))
        self._q_exports = list(pages)
        self.__dict__.update(pages)

    def _look(self):
        return str(getattr(get_session(), "count", None))

    def _count(self):
        get_session().count += 1
        return str(get_session().count)

    def _fail(self):
        get_session().count += 1
        raise RuntimeError("on purpose")

    def _interrupt(self):
        get_session().count += 1
        raise AccessError("on purpose")

    def _logout(self):
        get_session_manager().expire_session()
        return "bye"

    def _logoutfail(self):
        get_session_manager().expire_session()
        raise RuntimeError("on purpose")

    def _expireinterrupt(self):
        get_session_manager().expire_session()
        raise AccessError("on purpose")


def session3_app(session_class=CountSession, key=None, store=None, **pages):
    def create():
        manager = SessionManager(
            store or alforja.SessionStore(key=key), session_class=session_class
        )
        return Publisher(Pages(pages), session_manager=manager, display_exceptions="plain")

    return create


def quixote_app(session_class=None, store=None, **pages):
    def create():
        manager = QuixoteManager(session_class or QuixoteSession, store or alforja.SessionStore())
        return Publisher(Pages(pages), session_manager=manager, display_exceptions="plain")

    return create


APPS = [session3_app] + [quixote_app] * QUIXOTE_HAS_STORES


class BasketSession(DictSession):
    def __bool__(self):
        return True


class WorkerPages(Directory):
    """What the tests of a worker process ask for."""

    _q_exports = [
        "",
        "big",
        "body",
        "environ",
        "slow",
        "badstream",
        "setlength",
        "split",
        "exit",
        "fds",
    ]

    def _q_index(self):
        return "hello"

    def body(self):
        return str(len(get_field("x", "")))

    def big(self):
        return b"x" * 5_000_000

    def environ(self):
        return json.dumps(dict(get_request().environ))

    def slow(self):
        """Say that the request has begun, and wait to be told to go on."""
        with open(get_field("begun"), "w"), open(get_field("go")):
            return "done"

    def badstream(self):
        size = int(get_field("n"))

        def lines():
            yield "x" * size
            raise RuntimeError("in the stream")

        return Stream(lines())

    def setlength(self):
        get_response().set_header("Content-Length", "2")
        return "hello"

    def split(self):
        """As an application that has its users choose a value, with the header's end in it."""
        get_response().set_cookie("a", "1\r\nContent-Length: 5\r\n\r\nhello" + "x" * 100)
        return "hello"

    def exit(self):
        raise SystemExit(7)

    def fds(self):
        return f"{os.get_inheritable(3)} {os.environ.get('LISTEN_FDS')}"


def create_publisher():
    return Publisher(WorkerPages(), display_exceptions="plain")


class LazyPublisher(Publisher):
    """Leaves a request's body where it is, or closes it."""

    def parse_request(self, request):
        if request.get_environ("QUERY_STRING") == "close":
            request.stdin.close()


def create_lazy():
    return LazyPublisher(WorkerPages())


def create_broken():
    raise RuntimeError("cannot be made")
