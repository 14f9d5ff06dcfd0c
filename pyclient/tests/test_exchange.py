"""What a request carries: taken out, kept apart from other requests, signed."""

from __future__ import annotations

import threading

import pytest
from quixote import get_request, get_session_manager
from quixote.directory import Directory
from quixote.http_request import HTTPRequest
from quixote.publish import Publisher, cleanup

import alforja
from alforja.exchange import Exchange, close_exchange, exchange_of, open_exchange
from apps import CountSession, session3_app
from fake_gateway import FakeGateway, sign

ENVIRON = {
    "SCRIPT_NAME": "",
    "REMOTE_ADDR": "127.0.0.1",
    "ALFORJA_NONCE": "n" * 22,
    "ALFORJA_API": "/nowhere",
    "ALFORJA_SESSION_ID": "abc",
    "ALFORJA_SESSION": "SzEu",  # K1. is the pickle of 49
}


def names(environ):
    return [name for name in environ if name.startswith("ALFORJA")]


@pytest.fixture
def publisher(monkeypatch):
    """As quixote.server.scgi_server has it, which takes no variables out, under the gateway."""
    monkeypatch.setenv("ALFORJA_WORKER", "1")
    yield Publisher(Directory())
    cleanup()
    close_exchange()


def test_worker_takes_the_variables_out_before_the_page(serve):
    browser = serve(session3_app(page=lambda: " ".join(names(get_request().environ))))
    assert browser.get("/page").text == ""


def test_error_page_shows_no_state(serve):
    browser = serve(session3_app())
    browser.get("/count")
    page = browser.get("/fail").text
    assert "REMOTE_ADDR" in page and "ALFORJA" not in page


def test_first_contact_takes_the_variables_out(publisher):
    environ = dict(ENVIRON)
    publisher._set_request(HTTPRequest(None, environ))
    assert alforja.SessionStore().load_session("abc") == 49
    assert names(environ) == []


def test_next_request_sees_nothing(publisher):
    store = alforja.SessionStore()
    publisher._set_request(HTTPRequest(None, dict(ENVIRON)))
    assert store.load_session("abc") == 49
    # An equal environ is another request all the same.
    publisher._set_request(HTTPRequest(None, {"SCRIPT_NAME": "", "REMOTE_ADDR": "127.0.0.1"}))
    with pytest.raises(alforja.NotInGateway):
        store.load_session("abc")
    environ = dict(ENVIRON, ALFORJA_SESSION_ID="def")
    del environ["ALFORJA_SESSION"]
    publisher._set_request(HTTPRequest(None, environ))
    assert store.load_session("def") is None


def test_exchange_belongs_to_its_environ():
    first = open_exchange(dict(ENVIRON))
    assert exchange_of(first.environ) is first
    second = dict(ENVIRON)
    assert exchange_of(second) is not first
    with pytest.raises(alforja.NotInGateway):
        exchange_of(first.environ)  # its variables are gone with its exchange
    close_exchange()


def test_exchange_belongs_to_its_thread():
    exchange = open_exchange(dict(ENVIRON))
    raised = []

    def elsewhere():
        try:
            exchange_of(exchange.environ)
        except alforja.NotInGateway as err:
            raised.append(err)

    thread = threading.Thread(target=elsewhere)
    thread.start()
    thread.join()
    assert raised
    close_exchange()


def calls():
    session = CountSession.__new__(CountSession)
    session.id = "abc"
    return {
        "load_session": lambda store: store.load_session("abc"),
        "load_session of None": lambda store: store.load_session(None),
        "has_session": lambda store: store.has_session("abc"),
        "save_session": lambda store: store.save_session(session),
        "delete_session": lambda store: store.delete_session(session),
        "__iter__": lambda store: iter(store),
        "iter_sessions": lambda store: list(store.iter_sessions()),
        "delete_old_sessions": lambda store: store.delete_old_sessions(60),
        "transaction_start": lambda store: store.transaction_start(),
        "transaction_commit": lambda store: store.transaction_commit(None),
        "transaction_abort": lambda store: store.transaction_abort(None),
    }


@pytest.mark.parametrize("name", list(calls()))
def test_outside_of_a_request(name):
    with pytest.raises(alforja.NotInGateway, match="there is no request.*"):
        calls()[name](alforja.SessionStore())


@pytest.mark.parametrize("name", list(calls()))
def test_without_the_gateway(name, publisher):
    publisher._set_request(HTTPRequest(None, {"SCRIPT_NAME": "", "REMOTE_ADDR": "::1"}))
    with pytest.raises(RuntimeError, match="ALFORJA_NONCE(.|\n)*alforja serve --mode managed"):
        calls()[name](alforja.SessionStore())


class TestSignature:
    KEY = b"sixteen byte key"

    def app(self, key):
        def page():
            return str(get_session_manager().store.has_session(None))

        return session3_app(key=key, page=page)

    def test_good(self, serve):
        browser = serve(self.app(self.KEY), key=self.KEY)
        browser.get("/count")
        assert browser.get("/count").text == "2"

    @pytest.mark.parametrize("signature", ["", "0" * 64, "ü", "A" * 64])
    def test_bad(self, serve, signature):
        browser = serve(self.app(self.KEY), key=self.KEY)
        browser.get("/count")
        answer = browser.get("/count", ALFORJA_SIGNATURE=signature)
        assert answer.status == 500 and "SignatureError" in answer.text
        assert answer.directive is None

    def test_key_of_another(self, serve):
        browser = serve(self.app(self.KEY), key=b"another")
        assert browser.get("/page").status == 500

    @pytest.mark.parametrize("name", ["ALFORJA_NONCE", "ALFORJA_SESSION_ID", "ALFORJA_SESSION"])
    def test_every_part_is_signed(self, name):
        environ = dict(ENVIRON)
        environ["ALFORJA_SIGNATURE"] = sign(self.KEY, environ)
        Exchange(dict(environ)).check(self.KEY)
        environ[name] = "SzIu"
        with pytest.raises(alforja.SignatureError):
            Exchange(environ).check(self.KEY)

    def test_key_file(self, tmp_path, monkeypatch):
        path = tmp_path / "key"
        path.write_bytes(self.KEY + b"\n")
        monkeypatch.setenv("ALFORJA_KEY_FILE", str(path))
        environ = dict(ENVIRON)
        environ["ALFORJA_SIGNATURE"] = sign(self.KEY, environ)
        Exchange(environ).check(alforja.SessionStore()._key)
        path.write_bytes(b"\n")
        with pytest.raises(ValueError, match="empty"):
            alforja.SessionStore()

    def test_tcp_needs_a_key(self):
        with pytest.raises(alforja.SignatureError, match="TCP"):
            Exchange(dict(ENVIRON), open_peer=True).check(None)
        environ = dict(ENVIRON)
        environ["ALFORJA_SIGNATURE"] = sign(self.KEY, environ)
        exchange = Exchange(environ, open_peer=True)
        exchange.check(self.KEY)
        assert exchange.arrived == b"K1."

    def test_a_server_that_the_gateway_has_not_started_needs_a_key(self, publisher, monkeypatch):
        monkeypatch.delenv("ALFORJA_WORKER")
        publisher._set_request(HTTPRequest(None, dict(ENVIRON)))
        with pytest.raises(alforja.SignatureError, match="has not started"):
            alforja.SessionStore().load_session("abc")
        environ = dict(ENVIRON)
        environ["ALFORJA_SIGNATURE"] = sign(self.KEY, environ)
        publisher._set_request(HTTPRequest(None, environ))
        assert alforja.SessionStore(key=self.KEY).load_session("abc") == 49

    def test_forgotten_key(self, serve, monkeypatch):
        browser = serve(self.app(None), key=self.KEY)
        answer = browser.get("/page")
        assert answer.status == 500 and "this worker has no key" in answer.text
        # A gateway that has a key, for other workers, signs for its own as well.
        monkeypatch.setenv("ALFORJA_WORKER", "1")
        assert browser.get("/page").status == 200


def test_double_refuses_a_foreign_directive(tmp_path):
    gateway = FakeGateway(None, tmp_path)
    with pytest.raises(AssertionError):
        gateway.commit({"ALFORJA_SESSION_ID": "a"}, "save", "b", "SzEu")
    gateway.close()
