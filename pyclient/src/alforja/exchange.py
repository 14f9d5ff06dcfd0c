"""What one request carries between the gateway and this worker."""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os
import threading
from typing import Callable, NamedTuple

from alforja.errors import NotInGateway, SignatureError


class Directive(NamedTuple):
    """What the response tells the gateway to do: create, save, keep, renew or delete."""

    word: str
    id: str
    state: bytes = b""

    def header(self, nonce: str) -> str:
        value = f"{nonce} {self.word} {self.id}"
        if self.state:
            value += " " + binascii.b2a_base64(self.state, newline=False).decode("ascii")
        return value


class Exchange:
    """The session variables of one request, and what its response will say.

    Construction takes the variables out of `environ`, so that they show up in
    no error page and no dump. `open_peer` is for a connection that anybody could
    have made: then a store without a key refuses the request. Nor does it take one that is
    signed: somebody has a key, and meant this worker to have it. Only the gateway's own workers,
    to which nobody else can speak, may do without.
    """

    __slots__ = (
        "_checked_with",
        "_signature",
        "_state_text",
        "api_path",
        "arrived",
        "directive",
        "environ",
        "id",
        "known",
        "nonce",
        "open_peer",
        "own_id",
        "set_cookie",
        "state",
        "unlocked",
    )

    def __init__(self, environ: dict[str, str], open_peer: bool = False) -> None:
        take = environ.pop
        self.environ = environ
        self.nonce = take("ALFORJA_NONCE")
        self.api_path = take("ALFORJA_API", None)
        self.id: str = take("ALFORJA_SESSION_ID", "")
        # The same, or what renew_session() has put in its place; then set_cookie(own_id) makes
        # the current response bring it to the client.
        self.own_id = self.id
        self.set_cookie: Callable[[str], object] | None = None
        # The request has no lock on its session: others may be changing it.
        self.unlocked = take("ALFORJA_UNLOCKED", None) is not None
        self._state_text = take("ALFORJA_SESSION", None)
        self._signature = take("ALFORJA_SIGNATURE", "")
        self.open_peer = open_peer
        self._checked_with: object = self  # stands for "not yet"
        # The state that came with the request; None when the store has no such session.
        self.arrived: bytes | None = None
        # The same as this request has changed it; None once deleted.
        self.state: bytes | None = None
        # Ids of other sessions that are in the store.
        self.known: set[str] = set()
        self.directive: Directive | None = None

    def check(self, key: bytes | None) -> None:
        """Fill in the states, or raise SignatureError unless they are signed with `key`.

        The signature is HMAC-SHA256 over nonce, id and state as they were sent, in
        lower-case hex, see docs/protocol.md.
        """
        if self._checked_with == key:
            return
        if key is not None:
            self._check_signature(key)
        elif self.open_peer:
            raise SignatureError(
                "a session that comes over TCP, or to a server that the gateway has not started, "
                "must be signed: give the gateway and this worker the same key (ALFORJA_KEY_FILE)"
            )
        elif self._signature and not _supervised():
            raise SignatureError(
                "the request's session is signed, and this worker has no key: give it the "
                "gateway's (ALFORJA_KEY_FILE)"
            )
        if self._checked_with is self and self._state_text is not None:
            self.state = self.arrived = binascii.a2b_base64(self._state_text)
        self._checked_with = key

    def is_creating(self, id: str) -> bool:
        """Whether the response, as it stands, creates the session `id`."""
        directive = self.directive
        return directive is not None and directive.word == "create" and directive.id == id

    def _check_signature(self, key: bytes) -> None:
        text = "\n".join((self.nonce, self.id, self._state_text or ""))
        want = hmac.new(key, text.encode("latin-1"), hashlib.sha256).hexdigest()
        # As bytes: compare_digest raises TypeError on a str that is not ASCII.
        if not hmac.compare_digest(want.encode("ascii"), self._signature.encode("latin-1")):
            raise SignatureError(
                "the request's session is not signed with this worker's key"
                if self._signature
                else "the request's session is not signed, and this worker has a key"
            )


class _Slot(threading.local):
    exchange: Exchange | None = None


def _supervised() -> bool:
    """Whether the gateway has started this process, or the one that forked it.

    Such a process listens at the gateway's own socket, which nobody else can connect to.
    """
    return "ALFORJA_WORKER" in os.environ


# The exchange of the request that this thread is serving. It belongs to one environ, which it
# keeps alive, so that no later request's environ can be mistaken for it.
_slot = _Slot()


def open_exchange(environ: dict[str, str], open_peer: bool = False) -> Exchange:
    """Take the variables out of `environ` and remember them for this thread.

    The exchange of the request before is forgotten. Without variables from the
    gateway NotInGateway is raised.
    """
    _slot.exchange = None
    if "ALFORJA_NONCE" not in environ:
        raise NotInGateway("this request has no ALFORJA_NONCE variable")
    exchange = _slot.exchange = Exchange(environ, open_peer)
    return exchange


def exchange_of(environ: dict[str, str]) -> Exchange:
    """Return the exchange that belongs to `environ`; open it at first contact.

    A server that does not open it does not tell how the request came either.
    """
    exchange = _slot.exchange
    if exchange is not None and exchange.environ is environ:
        return exchange
    return open_exchange(environ, open_peer=not _supervised())


def close_exchange() -> None:
    """Forget this thread's exchange, and with it the session's state."""
    _slot.exchange = None
