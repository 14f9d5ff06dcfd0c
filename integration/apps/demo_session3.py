"""A counter with the endpoints of the application that session3 is tested with.

Its sessions are stored from the moment that a visitor asks for it, at `keep`; two
endpoints fail after they have touched the session.
"""

import os

from quixote import get_path, get_session, get_session_manager, redirect
from quixote.directory import Directory
from quixote.publish import Publisher
from session3.Session import Session
from session3.SessionManager import SessionManager
from session3.store.DirectorySessionStore import DirectorySessionStore

import alforja


class CountingSession(Session):
    def __init__(self, id):
        super().__init__(id)
        self.count = 0
        self.kept = False

    def has_info(self):
        return self.kept


class Root(Directory):
    _q_exports = ["", "increment", "incrementfail", "keep", "logout", "logoutfail"]

    def _q_index(self):
        session = get_session()
        return f"<p>session {session.id}</p><p>count {session.count}</p>"

    def keep(self):
        get_session().kept = True
        return back()

    def increment(self):
        get_session().count += 1
        return back()

    def incrementfail(self):
        get_session().count += 1
        raise RuntimeError("failed after counting")

    def logout(self):
        get_session_manager().expire_session()
        return back()

    def logoutfail(self):
        get_session_manager().expire_session()
        raise RuntimeError("failed after logging out")


def back():
    return redirect(get_path(1) + "/")


def create_publisher():
    """Managed mode: the gateway's store."""
    return publisher(alforja.SessionStore())


def create_shared_publisher():
    """Shared mode: session3's own store in $SESSIONS_DIR."""
    return publisher(DirectorySessionStore(os.environ["SESSIONS_DIR"], create=True))


def publisher(store):
    manager = SessionManager(store, session_class=CountingSession)
    return Publisher(Root(), session_manager=manager, display_exceptions="html")
