"""A new session id at login."""

from __future__ import annotations

from typing import Any

_CANNOT = (
    "alforja.renew_session() needs alforja.SessionStore or alforja.DirectorySessionStore as the "
    "session manager's store, and there is {}"
)


def renew_session() -> None:
    """Give the session of the request that runs now a new id; its data stays.

    To be called where a user logs in:

        def login(self):
            ...  # the password is right
            alforja.renew_session()
            get_session().set_user(name)

    Whoever has made the user come with an id that they know (session fixation) is left with one
    that is dead. get_session().id is the new id from here on. The change takes place
    when the request ends well: the cookie goes out, the old id is deleted, and a session
    that somebody has deleted meanwhile stays deleted. A request that fails changes
    nothing. A session that is not stored yet gets a new id anyway, and nothing is done here.

    It works with the session managers of session3 and of Quixote, on SessionStore (managed mode)
    and on DirectorySessionStore (shared mode, and without a gateway). RuntimeError is raised when
    there is no session or the store is another.
    """
    # Imported here, so that the package can be looked at where Quixote is not installed.
    from quixote import publish

    publisher = publish.get_publisher()
    request = publisher and publisher.get_request()
    session = getattr(request, "session", None)
    if session is None:
        raise RuntimeError("alforja.renew_session() works in a request that has a session")
    manager = publisher.session_manager
    store: Any = getattr(manager, "store", None)
    renew = getattr(store, "renew_session", None)
    if renew is None:
        raise RuntimeError(_CANNOT.format(_name(manager if store is None else store)))

    def set_cookie(id: str | None) -> None:
        # A store may save the session again in a later request, which has the cookie.
        if publisher.get_request() is not request:
            return
        if id is None:
            request.response.cookies.pop(publisher.config.session_cookie_name, None)
        else:
            manager.set_session_cookie(id)

    renew(session, set_cookie)


def _name(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__name__}"
