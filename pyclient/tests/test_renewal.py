"""A new session id at login: under both session managers, on both stores."""

from __future__ import annotations

import pickle

import pytest
import quixote.session
from quixote import get_session, get_session_manager
from quixote.errors import AccessError
from quixote.publish import Publisher
from session3.Session import Session
from session3.SessionManager import SessionManager

import alforja
from apps import APPS, QUIXOTE_HAS_STORES, CountSession, Pages, quixote_app, session3_app


class CleanSession(quixote.session.Session):
    """As Quixote has it: stored once and never again."""

    count = 0

    def has_info(self):
        return True


def store():
    return get_session_manager().store


def login():
    alforja.renew_session()
    get_session().user = "sancho"
    return get_session().id


class Site:
    """An application with its browser, and what its store holds."""

    def __init__(self, serve, app, directory, **pages):
        pages.setdefault("login", login)
        self.files = directory and alforja.DirectorySessionStore(directory, create=True)
        self.browser = serve(app(store=self.files, **pages))
        self.get = self.browser.get

    def stored(self):
        if self.files:
            return dict(self.files.iter_sessions())
        return {id: pickle.loads(s) for id, s in self.browser.gateway.states.items()}

    def begin(self):
        """Make a session; return its id."""
        self.get("/count")
        return self.browser.cookie

    def delete_all(self):
        for id in self.stored():
            self.files.delete_session(id) if self.files else self.browser.gateway.states.pop(id)


@pytest.fixture(params=["gateway", "directory"])
def site(request, serve, tmp_path):
    directory = tmp_path / "sessions" if request.param == "directory" else None
    return lambda app, **pages: Site(serve, app, directory, **pages)


@pytest.mark.parametrize("app", APPS)
class TestRenewal:
    def test_new_id_same_data(self, site, app):
        s = site(app)
        old = s.begin()
        new = s.get("/login").text
        assert new == s.browser.cookie != old and len(new) == 22
        ((id, session),) = s.stored().items()
        assert (id, session.id, session.count, session.user) == (new, new, 1, "sancho")
        assert s.get("/count").text == "2"
        assert list(s.stored()) == [new]

    def test_the_cookie_is_sent_once(self, site, app):
        s = site(app)
        s.begin()
        assert s.get("/login").header("Set-Cookie")
        assert s.get("/count").header("Set-Cookie") is None

    def test_the_old_id_is_dead(self, site, app):
        s = site(app)
        s.browser.cookie = old = s.begin()
        s.get("/login")
        s.browser.cookie = old
        assert s.get("/look").text == "0"

    @pytest.mark.parametrize("saves", [False, True])
    def test_login_that_ends_in_a_publish_error(self, site, app, saves):
        def refused():
            login()
            if saves:
                store().save_session(get_session())
            raise AccessError("but logged in")

        s = site(app, refused=refused)
        old = s.begin()
        assert s.get("/refused").status == 403
        assert list(s.stored()) == [s.browser.cookie] != [old]
        assert s.stored()[s.browser.cookie].user == "sancho"

    def test_a_request_that_fails_changes_nothing(self, site, app):
        def fails():
            login()
            raise RuntimeError("on purpose")

        s = site(app, fails=fails)
        old = s.begin()
        assert s.get("/fails").status == 500
        assert s.browser.cookie == old and list(s.stored()) == [old]
        assert s.get("/count").text == "2", "and is forgotten by the next one"
        assert s.get("/login").text != old

    def test_deleted_meanwhile_stays_deleted(self, site, app):
        s = site(app, login=lambda: (login(), s.delete_all()) and "in")
        old = s.begin()
        s.get("/login")
        assert s.stored() == {}
        if s.files:  # the real gateway takes the cookie out as well
            assert s.browser.cookie == old
        assert s.get("/look").text == "0"

    def test_logout_in_the_same_request(self, site, app):
        s = site(app, out=lambda: login() and get_session_manager().expire_session() or "out")
        s.begin()
        s.get("/out")
        assert s.stored() == {} and s.browser.cookie is None

    def test_a_session_that_loses_its_information(self, site, app):
        def forget():
            alforja.renew_session()
            get_session().count = 0
            return "forgotten"

        s = site(app, forget=forget)
        s.begin()
        assert s.get("/forget").status == 200
        assert s.stored() == {} and s.browser.cookie is None

    def test_a_session_that_is_not_stored(self, site, app):
        s = site(app)
        s.browser.cookie = "brought-along"
        s.get("/login")
        assert list(s.stored()) == [s.browser.cookie] != ["brought-along"]

    def test_twice(self, site, app):
        s = site(app, twice=lambda: f"{login()} {login()}")
        s.begin()
        first, second = s.get("/twice").text.split()
        assert first != second == s.browser.cookie
        assert list(s.stored()) == [second]

    def test_within_the_request(self, site, app):
        def page():
            new = login()
            store().save_session(get_session())
            assert store().has_session(new)
            again = store().load_session(new)
            assert (again.id, again.user) == (new, "sancho")
            store().save_session(again)
            return "ok"

        s = site(app, page=page)
        s.begin()
        assert s.get("/page").text == "ok"
        assert list(s.stored()) == [s.browser.cookie]

    def test_before_it_is_saved(self, site, app):
        def page():
            new = login()
            assert store().has_session(new)
            assert store().load_session(new).id == new
            return "ok"

        s = site(app, page=page)
        s.begin()
        assert s.get("/page").text == "ok"
        assert list(s.stored()) == [s.browser.cookie]


class TestOnTheGateway:
    def test_directive(self, serve):
        browser = serve(session3_app(login=login))
        browser.get("/count")
        browser.gateway.calls.clear()
        answer = browser.get("/login")
        assert answer.directive[:2] == ["renew", answer.text]
        assert browser.gateway.calls == []

    def test_the_old_id_within_the_request(self, serve):
        def page():
            old = get_session().id
            copy = store().load_session(old)
            login()
            assert not store().has_session(old) and store().load_session(old) is None
            store().delete_session(old)
            with pytest.raises(alforja.GatewayError, match="new id in this request"):
                store().save_session(copy)
            return "ok"

        browser = serve(session3_app(page=page))
        browser.get("/count")
        browser.gateway.calls.clear()
        assert browser.get("/page").text == "ok"
        assert browser.gateway.calls == [], "asking there would wait for this request itself"

    def test_beside_a_new_session(self, serve):
        def page():
            extra = CountSession("extra")
            extra.count = 9
            store().save_session(extra)
            return login()

        browser = serve(session3_app(page=page))
        browser.get("/count")
        assert browser.get("/page").directive[0] == "renew"
        assert sorted(browser.gateway.states) == sorted([browser.cookie, "extra"])

    def test_a_session_created_in_this_request_has_its_id_already(self, serve):
        def page():
            get_session().id = "made"
            store().save_session(get_session())
            return login()

        assert serve(session3_app(page=page)).get("/page").directive[:2] == ["create", "made"]

    def test_another_session(self, serve):
        def page():
            with pytest.raises(ValueError, match="the request's own"):
                store().renew_session(CountSession("other"), print)
            return "ok"

        browser = serve(session3_app(page=page))
        browser.get("/count")
        assert browser.get("/page").text == "ok"


if QUIXOTE_HAS_STORES:

    def test_a_session_that_is_never_dirty(site):
        s = site(quixote_app, session_class=CleanSession, look=lambda: get_session().id)
        old = s.begin()
        s.get("/login")
        assert list(s.stored()) == [s.browser.cookie] != [old]
        assert s.get("/look").text == s.browser.cookie


def test_without_a_request():
    with pytest.raises(RuntimeError, match="in a request that has a session"):
        alforja.renew_session()


def test_without_a_session(serve):
    browser = serve(lambda: Publisher(Pages({"login": login}), display_exceptions="plain"))
    assert "in a request that has a session" in browser.get("/login").text


class OtherStore:
    """What a store has at the least."""

    def load_session(self, id, default=None):
        return default

    def has_session(self, id):
        return False


def test_on_another_store(serve):
    def create():
        manager = SessionManager(OtherStore(), session_class=Session)
        return Publisher(
            Pages({"login": login}), session_manager=manager, display_exceptions="plain"
        )

    answer = serve(create).get("/login")
    assert answer.status == 500
    assert "alforja.DirectorySessionStore as the session manager's store" in answer.text
    assert "there is test_renewal.OtherStore" in answer.text


def test_deleted_and_saved_again_on_a_directory(tmp_path):
    store = alforja.DirectorySessionStore(tmp_path / "sessions", create=True)
    session, cookies = CountSession.__new__(CountSession), []
    session.id = "old"
    store.save_session(session)
    store.renew_session(session, cookies.append)
    store.save_session(session)
    assert list(store) == [session.id] and set(cookies) == {session.id}
    alforja.DirectorySessionStore(store.directory).delete_session(session)
    store.save_session(session)
    assert list(store) == [] and cookies[-1] is None
    store.delete_session(session)
    store.save_session(session)
    assert list(store) == [session.id]


def test_an_id_that_is_none_on_a_directory(tmp_path):
    session = CountSession.__new__(CountSession)
    session.id = "../evil"
    with pytest.raises(ValueError, match="not a session id"):
        alforja.DirectorySessionStore(tmp_path).renew_session(session, print)
