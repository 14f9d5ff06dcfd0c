"""The store under real Quixote and session3, over the protocol."""

from __future__ import annotations

import pickle
import socket

import pytest
from quixote import get_request, get_response, get_session, get_session_manager
from quixote.errors import AccessError

import alforja
from apps import (
    APPS,
    QUIXOTE_HAS_STORES,
    BasketSession,
    CountSession,
    QuixoteSession,
    TimedSession,
    quixote_app,
    session3_app,
)


def store():
    return get_session_manager().store


def only_state(browser):
    (state,) = browser.gateway.states.values()
    return pickle.loads(state)


def with_other_session(browser, id="other", count=5):
    """Put a second session into the store."""
    session = CountSession.__new__(CountSession)
    session.__dict__.update(id=id, user=None, count=count)
    browser.gateway.states[id] = pickle.dumps(session, 4)


def test_without_the_lock_use_is_no_reason_to_save(serve):
    browser = serve(session3_app(TimedSession))
    browser.get("/count")
    assert browser.get("/look").directive[0] == "save"
    unlocked = browser.get("/look", ALFORJA_UNLOCKED="1")
    assert unlocked.directive[0] == "keep"
    assert browser.get("/count", ALFORJA_UNLOCKED="1").directive[0] == "save"
    assert only_state(browser).count == 2


@pytest.mark.parametrize("app", APPS)
class TestFlows:
    """Flows that session3's manager and Quixote's have in common."""

    def test_create_save_keep_delete(self, serve, app):
        browser = serve(app())
        first = browser.get("/count")
        assert (first.text, first.directive[0]) == ("1", "create")
        assert browser.cookie == first.directive[1]
        second = browser.get("/count")
        assert (second.text, second.directive[0]) == ("2", "save")
        third = browser.get("/look")
        assert (third.text, third.directive[0], len(third.directive)) == ("2", "keep", 2)
        browser.gateway.calls.clear()
        last = browser.get("/logout")
        assert last.directive[0] == "delete"
        assert browser.gateway.states == {} and browser.cookie is None

    def test_a_visitor_who_looks_leaves_nothing(self, serve, app):
        browser = serve(app())
        assert browser.get("/look").directive is None
        assert browser.gateway.states == {} and browser.gateway.calls == []

    def test_own_session_needs_no_api(self, serve, app):
        browser = serve(app())
        browser.get("/count")
        browser.gateway.calls.clear()
        browser.get("/count")
        assert browser.gateway.calls == []

    def test_pickle_is_protocol_4(self, serve, app):
        browser = serve(app())
        browser.get("/count")
        (state,) = browser.gateway.states.values()
        assert state[:2] == b"\x80\x04" and state[-1:] == b"."

    def test_failed_request_commits_nothing(self, serve, app):
        browser = serve(app())
        browser.get("/count")
        before = dict(browser.gateway.states)
        failed = browser.get("/fail")
        assert failed.status == 500 and failed.directive is None
        assert browser.gateway.states == before

    def test_publish_error_commits(self, serve, app):
        browser = serve(app())
        browser.get("/count")
        answer = browser.get("/interrupt")
        assert (answer.status, answer.directive[0]) == (403, "save")
        assert only_state(browser).count == 2

    def test_logout_and_publish_error_logs_out(self, serve, app):
        browser = serve(app())
        browser.get("/count")
        answer = browser.get("/expireinterrupt")
        assert (answer.status, answer.directive[0]) == (403, "delete")
        assert browser.gateway.states == {}

    def test_logout_and_error_does_not_log_out(self, serve, app):
        browser = serve(app())
        browser.get("/count")
        answer = browser.get("/logoutfail")
        assert answer.status == 500 and answer.directive is None
        assert only_state(browser).count == 1
        assert browser.get("/count").text == "2"

    def test_unknown_id_gets_a_new_one(self, serve, app):
        browser = serve(app())
        browser.cookie = "chosen-by-somebody"
        answer = browser.get("/count")
        assert answer.directive[0] == "create" and answer.directive[1] != "chosen-by-somebody"

    def test_session_that_loses_its_information_is_deleted(self, serve, app):
        def forget():
            get_session().count = 0

        browser = serve(app(forget=lambda: forget() or "ok"))
        browser.get("/count")
        assert browser.get("/forget").directive[0] == "delete"

    def test_an_id_that_is_taken_is_not_used(self, serve, app, monkeypatch):
        ids = iter(["taken", "free"])
        for module in ("session3.SessionManager", "quixote.session"):
            monkeypatch.setattr(module + ".randbytes", lambda n: next(ids))
        browser = serve(app())
        with_other_session(browser, "taken")
        assert browser.get("/count").directive[1] == "free"


class TestOwnSession:
    def test_state_survives_byte_for_byte(self, serve):
        browser = serve(session3_app())
        created = browser.get("/count").directive
        assert pickle.loads(browser.gateway.states[created[1]]).count == 1

    def test_load_sees_what_was_saved_in_the_request(self, serve):
        def page():
            session = get_session()
            session.count = 7
            store().save_session(session)
            again = store().load_session(session.id)
            assert again is not session
            return str(again.count)

        browser = serve(session3_app(page=page))
        browser.get("/count")
        assert browser.get("/page").text == "7"

    def test_deleted_and_saved_again_is_saved(self, serve):
        def page():
            store().delete_session(get_session())
            assert store().load_session(get_session().id, "none") == "none"
            assert not store().has_session(get_session().id)
            return "ok"

        browser = serve(session3_app(page=page))
        browser.get("/count")
        assert browser.get("/page").text == "ok"
        assert only_state(browser).count == 1

    def test_deleted_by_id(self, serve):
        def page():
            store().delete_session(get_session().id)
            get_request().session = None
            return "ok"

        browser = serve(session3_app(page=page))
        browser.get("/count")
        assert browser.get("/page").directive[0] == "delete"

    def test_id_from_the_cookie_is_refused_for_a_new_session(self, serve):
        def page():
            session = get_session()
            session.id, session.count = "brought-along", 1
            store().save_session(session)

        browser = serve(session3_app(page=page))
        browser.cookie = "brought-along"
        answer = browser.get("/page")
        assert answer.status == 500 and "needs an id of its own" in answer.text
        assert answer.directive is None

    def test_id_cannot_break_the_header(self, serve):
        def page():
            get_session().id = "x\r\nSet-Cookie: a=b"
            store().save_session(get_session())

        answer = serve(session3_app(page=page)).get("/page")
        assert answer.status == 500 and "not a session id" in answer.text

    def test_state_whose_class_is_gone_is_an_error_and_is_kept(self, serve):
        browser = serve(session3_app())
        browser.cookie = "abc"
        browser.gateway.states["abc"] = b"cno_such_module\nSession\n."
        assert browser.get("/look").status == 500
        assert "abc" in browser.gateway.states


class TestTwoSessionsInARequest:
    def test_login_that_changes_the_id(self, serve):
        def login():
            session = get_session()
            store().delete_session(session)
            session.id = None
            return "ok"

        browser = serve(session3_app(login=login))
        browser.get("/count")
        old = browser.cookie
        answer = browser.get("/login")
        assert answer.directive == ["delete", old]
        assert list(browser.gateway.states) == [browser.cookie] and browser.cookie != old
        assert browser.get("/look").text == "1"

    def test_create_makes_room_for_the_own_session(self, serve):
        def page():
            extra = CountSession("extra")
            extra.count = 9
            store().save_session(extra)
            assert get_response().get_header("alforja-session").split()[1] == "create"
            assert store().load_session("extra").count == 9 and store().has_session("extra")
            get_session().count += 1
            return "ok"

        browser = serve(session3_app(page=page))
        browser.get("/count")
        assert browser.get("/page").directive[0] == "save"
        assert pickle.loads(browser.gateway.states["extra"]).count == 9

    def test_second_new_session_goes_over_the_api(self, serve):
        def page():
            for id in ("one", "two"):
                extra = CountSession(id)
                extra.count = 1
                store().save_session(extra)
            return "ok"

        browser = serve(session3_app(page=page))
        assert browser.get("/page").directive[:2] == ["create", "one"]
        assert sorted(browser.gateway.states) == ["one", "two"]
        assert browser.gateway.calls == ["PUT /sessions/two"]

    def test_new_session_deleted_again(self, serve):
        def page():
            store().save_session(CountSession("new"))
            store().delete_session("new")
            assert not store().has_session("new")
            return "ok"

        browser = serve(session3_app(page=page))
        assert browser.get("/page").directive is None and browser.gateway.states == {}

    def test_other_session_is_replaced_over_the_api(self, serve):
        def page():
            other = store().load_session("other")
            other.count += 1
            store().save_session(other)
            return "ok"

        browser = serve(session3_app(page=page))
        with_other_session(browser)
        assert browser.get("/page").directive is None
        assert pickle.loads(browser.gateway.states["other"]).count == 6

    def test_other_session_deleted_meanwhile_stays_deleted(self, serve):
        browser = serve(session3_app(page=lambda: page()))

        def page():
            other = store().load_session("other")
            del browser.gateway.states["other"]
            store().save_session(other)
            return "ok"

        with_other_session(browser)
        assert browser.get("/page").text == "ok"
        assert browser.gateway.states == {}

    def test_other_session_deleted(self, serve):
        def page():
            store().delete_session(store().load_session("other"))
            store().delete_session("never-there")
            store().delete_session(None)
            return "ok"

        browser = serve(session3_app(page=page))
        with_other_session(browser)
        assert browser.get("/page").text == "ok" and browser.gateway.states == {}

    def test_busy(self, serve):
        def page():
            try:
                store().delete_session("busy")
            except alforja.GatewayError as err:
                return f"{err.status} {err}"

        text = serve(session3_app(page=page)).get("/page").text
        assert text == "503 DELETE /sessions/busy: 503 session is busy"

    def test_gateway_without_api(self, serve):
        browser = serve(session3_app(page=lambda: str(store().has_session("x"))))
        browser.get("/count")
        browser.gateway.close()
        answer = browser.get("/page", ALFORJA_API="/nowhere/api")
        assert answer.status == 500 and "Unreachable" in answer.text

    @pytest.mark.parametrize("app", APPS)
    def test_new_session_on_another_machine(self, serve, app):
        browser = serve(app(page=lambda: str(list(store()))))
        assert browser.get("/count", ALFORJA_API="/nowhere/api").text == "1"
        assert browser.get("/count", ALFORJA_API="/nowhere/api").text == "2"
        assert browser.gateway.calls == []
        answer = browser.get("/page", ALFORJA_API="/nowhere/api")
        assert answer.status == 500 and "Unreachable" in answer.text

    def test_gateway_that_does_not_answer(self, serve, tmp_path):
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(str(tmp_path / "dead"))
        answer = serve(session3_app()).get("/count", ALFORJA_API=str(tmp_path / "dead"))
        assert answer.status == 500 and "GatewayError" in answer.text


class TestAdministration:
    def test_iteration(self, serve):
        def page():
            assert sorted(store()) == sorted(id for id, _ in store().iter_sessions())
            return " ".join(f"{id}={s.count}" for id, s in store().iter_sessions())

        browser = serve(session3_app(page=page))
        with_other_session(browser, "a", 1)
        with_other_session(browser, "b", 2)
        assert browser.get("/page").text == "a=1 b=2"

    def test_delete_old_sessions(self, serve):
        browser = serve(session3_app(page=lambda: str(store().delete_old_sessions(1.5))))
        with_other_session(browser)
        assert browser.get("/page").text == "(1, 0)"
        assert browser.gateway.calls == ["DELETE /sessions?idle=90"]

    def test_names_that_are_no_ids_are_not_there(self, serve):
        def page():
            bad = ["../evil", "", "a b", "x" * 129, "a\n", None, "*del*"]
            assert not any(store().has_session(id) for id in bad)
            return str([store().load_session(id, "none") for id in bad])

        browser = serve(session3_app(page=page))
        assert browser.get("/page").text == str(["none"] * 7)
        assert browser.gateway.calls == []

    def test_flags_and_setup(self):
        store = alforja.SessionStore()
        assert store.is_multiprocess_safe and store.is_thread_safe
        assert store.pickle_protocol == 4 and store.setup() is None


def test_dict_session(serve):
    def login():
        get_session().set_user("Sancho")
        get_session()["cart"] = ["donkey"]
        return "ok"

    browser = serve(
        session3_app(BasketSession, login=login, get=lambda: str(get_session()["cart"]))
    )
    browser.get("/login")
    assert browser.get("/get").text == "['donkey']"


def test_explicit_save_of_a_failed_request_is_dropped(serve):
    def page():
        get_session().count += 1
        store().save_session(get_session())
        raise RuntimeError("later")

    browser = serve(session3_app(page=page))
    browser.get("/count")
    assert browser.get("/page").directive is None


if QUIXOTE_HAS_STORES:

    def test_quixote_manager_iterates_sessions(serve):
        browser = serve(quixote_app(page=lambda: str([s.count for s in get_session_manager()])))
        browser.get("/count")
        assert browser.get("/page").text == "[1]"

    def test_quixote_session_is_the_class_that_was_pickled(serve):
        browser = serve(quixote_app())
        browser.get("/count")
        assert type(only_state(browser)) is QuixoteSession

    def test_interrupted_login_is_created(serve):
        def page():
            get_session().count = 1
            raise AccessError("but counted")

        browser = serve(quixote_app(page=page))
        assert browser.get("/page").directive[0] == "create"
        assert browser.get("/look").text == "1"
