"""An application that gives the session a new id at login, under every manager and store that can."""

from __future__ import annotations

import os

from quixote import get_session
from quixote.errors import AccessError
from quixote.publish import Publisher

import alforja
import testapp
from alforja import demo


class Root(testapp.ClassRoot):
    _q_exports = [*testapp.ClassRoot._q_exports, "count", "fail", "refuse"]

    def login(self):
        alforja.renew_session()
        return super().login()

    def count(self):
        """Count up, and tell in which session."""
        return demo.json_page(counter=int(self.counter()), id=get_session().id)

    def fail(self):
        alforja.renew_session()
        raise RuntimeError("after the new id")

    def refuse(self):
        alforja.renew_session()
        raise AccessError("after the new id")


def directory_store():
    return alforja.DirectorySessionStore(os.environ["SESSIONS_DIR"], create=True)


def session3_publisher(store):
    return testapp.session3_publisher(Root(), store, testapp.ShopSession)


def quixote_publisher(store):
    manager = testapp.QuixoteSessionManager(session_class=testapp.DirtySession, session_store=store)
    return Publisher(Root(), session_manager=manager, display_exceptions="plain")


def create_managed_session3():
    return session3_publisher(alforja.SessionStore())


def create_managed_quixote():
    return quixote_publisher(alforja.SessionStore())


def create_shared_session3():
    return session3_publisher(directory_store())


def create_shared_quixote():
    return quixote_publisher(directory_store())


def create_stock():
    """session3's own store, which cannot do it."""
    return session3_publisher(testapp.directory_store())
