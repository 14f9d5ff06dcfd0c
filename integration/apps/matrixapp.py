"""The application of the compatibility matrix: it runs on Python 3.8 and Quixote 3.0 as well.

The first component of a path names the session class that a new session gets.
"""

from __future__ import annotations

import os
import sys

from quixote import get_field, get_request, get_response, get_session, get_session_manager
from quixote.directory import Directory
from quixote.publish import Publisher
from session3.DictSession import DictSession
from session3.Session import Session
from session3.SessionManager import SessionManager


class Shelf(DictSession):
    """A DictSession that is there without items, too."""

    def __bool__(self):
        return True


class Line:
    def __init__(self, item):
        self.item = item


class ShopSession(Session):
    """An application's own class, with objects of another one in it."""

    def __init__(self, id):
        super().__init__(id)
        self.cart = []

    def has_info(self):
        return bool(self.cart) or super().has_info()


CLASSES = {"session": Session, "dict": DictSession, "shelf": Shelf, "own": ShopSession}


def new_session(id):
    return CLASSES[get_request().get_environ("PATH_INFO").split("/")[1]](id)


class Pages(Directory):
    _q_exports = [
        "buy",
        "counter",
        "login",
        "logout",
        "origins",
        "renew",
        "token",
        "use",
        "whoami",
    ]

    def login(self):
        session = get_session()
        session.set_user(get_field("name"))
        if isinstance(session, DictSession):
            session["counter"] = 0  # session3's manager does not save a DictSession without items
        return "welcome"

    def logout(self):
        get_session_manager().expire_session()
        return "bye"

    def counter(self):
        session = get_session()
        items = session if isinstance(session, DictSession) else vars(session)
        items["counter"] = items.get("counter", 0) + 1
        return str(items["counter"])

    def buy(self):
        get_session().cart.append(Line(get_field("item")))
        return " ".join(line.item for line in get_session().cart)

    def token(self):
        return get_session().create_form_token()

    def use(self):
        session, token = get_session(), get_field("token")
        if not session.has_form_token(token):
            get_response().set_status(403)
            return "no such token"
        session.remove_form_token(token)
        return "used"

    def renew(self):
        import alforja

        alforja.renew_session()
        return get_session().id

    def origins(self):
        """Which Python this is, and where the packages come from."""
        modules = [sys.modules[name] for name in ("quixote", "session3")]
        python = f"{sys.version_info[0]}.{sys.version_info[1]}"
        return " ".join([python] + [module.__file__ for module in modules])

    def whoami(self):
        return f"{type(get_session()).__name__} {get_session().user}"


class Root(Directory):
    _q_exports = []

    def _q_lookup(self, component):
        return Pages() if component in CLASSES else None


def publisher(store):
    manager = SessionManager(store, session_class=new_session)
    return Publisher(Root(), session_manager=manager, display_exceptions="plain")


def create_managed():
    import alforja

    return publisher(alforja.SessionStore())


def create_stock():
    from session3.store.DirectorySessionStore import DirectorySessionStore

    return publisher(DirectorySessionStore(os.environ["SESSIONS_DIR"], create=True))
