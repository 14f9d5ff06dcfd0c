"""The session store of a worker behind the alforja gateway."""

from __future__ import annotations

import math
import os
import pickle
from typing import Any, Callable, Iterator, TypeVar

from alforja.api import API, Unreachable
from alforja.errors import GatewayError, NotInGateway
from alforja.exchange import Directive, Exchange, exchange_of
from alforja.ids import new_id, valid

HEADER = "Alforja-Session"

_Found = TypeVar("_Found")


class SessionStore:
    """Drop-in for the stores of session3 and of Quixote 3.1 and later.

    With session3:

        SessionManager(alforja.SessionStore())

    With Quixote's own classes two things must be added. BaseSessionManager
    reads an ACCESS_TIME_RESOLUTION (in seconds) that only its subclass defines,
    and Session.is_dirty() is always false, so that a session would be stored
    once and never again:

        class SessionManager(quixote.session.BaseSessionManager):
            ACCESS_TIME_RESOLUTION = 1

        class Session(quixote.session.Session):
            def is_dirty(self):
                return self.has_info()

        SessionManager(session_class=Session, session_store=alforja.SessionStore())

    The request's own session came with the request and goes back in a header of
    the response that is current when it is saved. Quixote throws that response
    away when a request fails, so a failed request stores nothing, not even what
    the application saved itself. Other sessions are read and written at once,
    over the gateway's API socket.

    One response can carry one directive, and only there can the own session be
    written. So when a request writes its own session and creates another one,
    as a login that changes the id does, the new one goes over the API socket. What
    a page ending in a PublishError may lose of it, docs/protocol.md says.

    Every method but setup() raises NotInGateway outside of a request that the
    gateway sent, SignatureError when the session is not signed with the key,
    and GatewayError when the gateway refuses or does not answer.

    `key` is the secret that the gateway signs sessions with. Default: what the file
    named by ALFORJA_KEY_FILE in the process's environment holds, white space at
    both ends left out. Without a key only requests are taken that nobody but the gateway can
    have sent: to processes that it has started, or to alforja.worker's Unix socket.
    """

    is_multiprocess_safe = True
    # One thread's request is never seen by another, as long as quixote.get_request()
    # keeps them apart as well.
    is_thread_safe = True
    pickle_protocol = 4  # as DirectorySessionStore's

    def __init__(self, key: bytes | None = None) -> None:
        self._key = _key_from_file() if key is None else key
        if self._key == b"":
            raise ValueError("the key of SessionStore is empty")

    # What session managers call.

    def load_session(self, id: Any, default: Any = None) -> Any:
        """Return the session, or `default` when there is none.

        What unpickling raises is passed on, as session3's stores do: a class that cannot
        be imported is the deployment's fault, and no reason to lose the session.
        """
        exchange = self._exchange()
        state = self._state(exchange, id)
        return default if state is None else pickle.loads(state)

    def has_session(self, id: Any) -> bool:
        exchange = self._exchange()
        if not valid(id):
            return False
        if id == exchange.own_id:
            return exchange.state is not None
        if id == exchange.id:
            return False
        return exchange.is_creating(id) or bool(_look(exchange, lambda api: api.exists(id)))

    def save_session(self, session: Any) -> None:
        """Store the session under session.id.

        A session that was in the store and is deleted by someone else meanwhile stays
        deleted. GatewayError is raised for a session under the id from the
        request's cookie when the store has no session of that id: managers give such
        a visitor a new id, and to use one that the visitor brought along would let
        others choose it (session fixation).
        """
        exchange = self._exchange()
        if not valid(session.id):
            raise ValueError(f"not a session id: {session.id!r}")
        state = pickle.dumps(session, self.pickle_protocol)
        if session.id == exchange.own_id:
            self._save_own(exchange, session, state)
        elif session.id == exchange.id:
            raise GatewayError(f"session {session.id[:8]}... has got a new id in this request")
        elif session.id in exchange.known:
            API(exchange.api_path).replace(session.id, state)
        elif exchange.directive is None or exchange.is_creating(session.id):
            _direct(exchange, Directive("create", session.id, state))
        else:
            self._create_now(exchange, Directive("create", session.id, state))

    def delete_session(self, session: Any) -> None:
        """Delete a session, given itself or its id. One that does not exist is no error."""
        exchange = self._exchange()
        id: Any = session if isinstance(session, str) else getattr(session, "id", None)
        if not valid(id):
            return
        if id == exchange.own_id:
            self._make_room(exchange)
            exchange.state = None
            _direct(exchange, Directive("delete", exchange.id))
        elif id == exchange.id:
            return
        elif exchange.is_creating(id):
            _direct(exchange, None)
        else:
            API(exchange.api_path).delete(id)
            exchange.known.discard(id)

    def renew_session(self, session: Any, set_cookie: Callable[[str], object]) -> None:
        """Give the request's own session a new id; the old one dies with this response.

        It is saved at once. `set_cookie(id)` sets the session cookie in the current response. What
        applications call is alforja.renew_session(). A session that is not in the store
        yet keeps its id, which nobody else knows.
        """
        exchange = self._exchange()
        if session.id is None or exchange.is_creating(session.id):
            return
        if session.id != exchange.own_id or exchange.arrived is None:
            raise ValueError("only the request's own session can get a new id")
        exchange.own_id = session.id = new_id()
        exchange.set_cookie = set_cookie
        self.save_session(session)

    # Quixote's hooks around a request.

    def transaction_start(self) -> None:
        self._exchange()

    def transaction_commit(self, session: Any) -> None:
        """Repeat the directive.

        When a PublishError ends a request, Quixote replaces the response before it calls
        this. A session that the application has expired must be deleted all the same.
        """
        exchange = self._exchange()
        if exchange.directive is not None:
            _direct(exchange, exchange.directive)

    def transaction_abort(self, session: Any) -> None:
        """Take the directive back. What went over the API socket stays done."""
        _direct(self._exchange(), None)

    # What administrators' pages call.

    def __iter__(self) -> Iterator[str]:
        """Iterate over the ids of all sessions in the store."""
        return iter(API(self._exchange().api_path).list())

    def iter_sessions(self) -> Iterator[tuple[str, Any]]:
        """Iterate over (id, session) of all sessions in the store, loading each in its turn."""
        for id in self:
            state = self._state(self._exchange(), id)
            if state is not None:
                yield id, pickle.loads(state)

    def delete_old_sessions(self, minutes: float) -> tuple[int, int]:
        """Delete the sessions not modified for that long, but for those in use.

        Returns how many were deleted and how many remain, as
        DirectorySessionStore.delete_old_sessions does.
        """
        return API(self._exchange().api_path).delete_idle(math.ceil(minutes * 60))

    def setup(self) -> None:
        """Do nothing: the gateway sets its store up."""

    # The request's exchange with the gateway.

    def _exchange(self) -> Exchange:
        exchange = exchange_of(_request().environ)
        exchange.check(self._key)
        return exchange

    def _state(self, exchange: Exchange, id: Any) -> bytes | None:
        if not valid(id):
            return None
        if id == exchange.own_id:
            return exchange.state
        if id == exchange.id:
            return None
        if exchange.directive is not None and exchange.is_creating(id):
            return exchange.directive.state
        state = _look(exchange, lambda api: api.get(id))
        if state is not None:
            exchange.known.add(id)
        return state

    def _save_own(self, exchange: Exchange, session: Any, state: bytes) -> None:
        id = session.id
        if exchange.arrived is None:
            raise GatewayError(
                f"the store has no session {id[:8]}..., and a new session needs an id "
                "of its own: leave session.id None until the session manager sets it"
            )
        self._make_room(exchange)
        exchange.state = state
        if id != exchange.id:
            _direct(exchange, Directive("renew", id, state))
        elif state == exchange.arrived:
            _direct(exchange, Directive("keep", id))
        elif exchange.unlocked and self._only_used(session, state, exchange.arrived):
            # Without the lock, an access time is no reason to write over what others have saved.
            _direct(exchange, Directive("keep", id))
        else:
            _direct(exchange, Directive("save", id, state))

    def _only_used(self, session: Any, state: bytes, arrived: bytes) -> bool:
        """Whether the session differs in its access time alone from what arrived."""
        before = pickle.loads(arrived)
        try:
            before._access_time = session._access_time
        except AttributeError:
            return False
        return pickle.dumps(before, self.pickle_protocol) == state

    def _make_room(self, exchange: Exchange) -> None:
        # The directive is wanted for the own session, which can go no other way.
        create = exchange.directive
        if create is not None and create.word == "create":
            self._create_now(exchange, create)

    def _create_now(self, exchange: Exchange, create: Directive) -> None:
        API(exchange.api_path).create(create.id, create.state)
        exchange.known.add(create.id)


def _look(exchange: Exchange, look: Callable[[API], _Found]) -> _Found | None:
    """Look for another session than the own one; None when there is none."""
    try:
        return look(API(exchange.api_path))
    except Unreachable:
        # Managers look whether a new session's id is free; the gateway creates no other anyway.
        if exchange.state is not None:
            raise
        return None


def _direct(exchange: Exchange, directive: Directive | None) -> None:
    """Make `directive` the one that the response carries; None takes it away."""
    exchange.directive = directive
    response = _request().response
    if directive is None:
        response.headers.pop(HEADER.lower(), None)
        return
    response.set_header(HEADER, directive.header(exchange.nonce))
    if directive.word == "renew" and exchange.set_cookie is not None:
        # Again, since Quixote may have replaced the response that had the cookie.
        exchange.set_cookie(directive.id)


def _request() -> Any:
    # Imported here, so that the package can be looked at where Quixote is not installed.
    from quixote import publish

    publisher = publish.get_publisher()
    request = publisher and publisher.get_request()
    if request is None:
        raise NotInGateway("there is no request")
    return request


def _key_from_file() -> bytes | None:
    path = os.environ.get("ALFORJA_KEY_FILE")
    if not path:
        return None
    with open(path, "rb") as file:
        key = file.read().strip()
    if not key:
        raise ValueError(f"ALFORJA_KEY_FILE: {path} is empty")
    return key
