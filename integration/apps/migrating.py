"""An application that is on its way from Python to Go: its Python half.

The session class is named by $SESSION_CLASS: session, dict, quixote or shop. $COOKIE, in JSON, says how
the session cookie is set: name, path, domain, secure, httponly, samesite.
"""

from __future__ import annotations

import json
import os
import pickle
from collections import UserDict

from quixote import get_field, get_response, get_session, get_session_manager
from quixote.directory import Directory
from quixote.publish import Publisher
from session3.DictSession import DictSession
from session3.Session import Session
from session3.SessionManager import SessionManager

import alforja
import testapp
from alforja import demo


class Line:
    def __init__(self, sku, n):
        self.sku, self.n = sku, n


class Cart:
    """What Go has no type for: a class, a shared line, a set with a tuple in it."""

    def __init__(self):
        self.lines = [Line("helmet", 1), Line("lance", 2)]
        self.favourite = self.lines[0]
        self.seen = {("a", 2.5), frozenset({"b"})}


class ShopSession(Session):
    def __init__(self, id):
        super().__init__(id)
        self.note = ""
        self.counter = 0
        self.cart = None

    def has_info(self):
        return bool(self.cart) or super().has_info()


class Root(Directory):
    _q_exports = ["counter", "fill", "login", "logout", "pickled", "token", "use", "whoami"]

    def login(self):
        session = get_session()
        session.set_user(demo.text_field("name"))
        if isinstance(session, UserDict):
            session["counter"] = 0  # session3's manager does not save one without items
        return "welcome\n"

    def logout(self):
        get_session_manager().expire_session()
        return "bye\n"

    def counter(self):
        session = get_session()
        count = testapp.count_of(session) + 1
        demo.pause(demo.text_field("ms"))
        if isinstance(session, UserDict):
            session["counter"] = count
        else:
            session.counter = count
        return plain(count)

    def fill(self):
        get_session().cart = Cart()
        return "filled\n"

    def pickled(self):
        """The cart alone, as protocol 4 has it, in hex."""
        cart = get_session().cart
        assert cart.favourite is cart.lines[0]
        return plain(pickle.dumps(cart, 4).hex())

    def token(self):
        return plain(get_session().create_form_token())

    def use(self):
        session, token = get_session(), str(get_field("token"))
        if not session.has_form_token(token):
            get_response().set_status(403)
            return "no such token\n"
        session.remove_form_token(token)
        return "used\n"

    def whoami(self):
        session = get_session()
        return demo.json_page(
            id=session.id,
            user=session.user,
            counter=testapp.count_of(session),
            type=type(session).__name__,
            note=getattr(session, "note", None),
            address=session.get_remote_address(),
            age=session.get_creation_age(),
        )


def plain(value):
    get_response().set_content_type("text/plain")
    return str(value)


CLASSES = {"session": Session, "dict": DictSession, "shop": ShopSession}


COOKIE = json.loads(os.environ.get("COOKIE", "{}"))
SAMESITE = COOKIE.pop("samesite", None)  # Quixote's configuration has none


class Manager(SessionManager):
    def _set_cookie(self, value, **attrs):
        return super()._set_cookie(value, **attrs, samesite=SAMESITE)


def publisher(store):
    if os.environ["SESSION_CLASS"] == "quixote":
        manager = testapp.QuixoteSessionManager(
            session_class=testapp.DirtySession, session_store=store
        )
    else:
        manager = Manager(store, session_class=CLASSES[os.environ["SESSION_CLASS"]])
    config = {f"session_cookie_{key}": value for key, value in COOKIE.items()}
    return Publisher(Root(), session_manager=manager, display_exceptions="plain", **config)


def create_publisher():
    return publisher(alforja.SessionStore())


def create_shared_publisher():
    return publisher(testapp.directory_store())
