"""A Quixote application with sessions: who you are, and how often you came.

alforja serve --http :8080 --store directory:sessions -- \
    python3 -m alforja.worker --factory hello.create_publisher
"""

from quixote import get_field, get_session, get_session_manager, redirect
from quixote.directory import Directory
from quixote.html import htmltext
from quixote.publish import Publisher
from session3.Session import Session
from session3.SessionManager import SessionManager

import alforja


class VisitSession(Session):
    visits = 0


class Root(Directory):
    _q_exports = ["", "login", "logout"]

    def _q_index(self):
        session = get_session()
        if not session.user:
            return '<form action="login" method="post">Name <input name="name"></form>'
        session.visits += 1
        page = htmltext('<p>%s, visit %d. <a href="logout">Log out</a></p>')
        return page % (session.user, session.visits)

    def login(self):
        alforja.renew_session()  # an id that somebody else knows is worth nothing from here on
        get_session().set_user(get_field("name"))
        return redirect("./")

    def logout(self):
        get_session_manager().expire_session()
        return redirect("./")


def create_publisher():
    store = alforja.SessionStore()
    return Publisher(Root(), session_manager=SessionManager(store, session_class=VisitSession))
