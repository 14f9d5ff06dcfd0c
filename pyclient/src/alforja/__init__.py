"""Sessions for Quixote workers behind the alforja gateway.

    import alforja
    from session3.SessionManager import SessionManager

    manager = SessionManager(alforja.SessionStore())

To check what this package does with sessions, read alforja/store.py: that file alone
unpickles what the gateway sends, and decides what goes back. Nothing in it knows of servers, threads or
sockets; `alforja.exchange` hands it the request's variables and tests their signature.

The gateway loads the session before it asks the worker and commits it before
the client hears; the store here only hands it over. `alforja.worker` serves a
Quixote application, `alforja.demo` is one to try.

Without a gateway, DirectorySessionStore does for session3's store of that name what
can be done in Python alone. `python3 -m alforja.export` moves sessions between stores.
"""

from alforja.directory import DirectorySessionStore
from alforja.errors import GatewayError, NotInGateway, SignatureError
from alforja.locks import BusyError
from alforja.renewal import renew_session
from alforja.store import SessionStore

__all__ = [
    "BusyError",
    "DirectorySessionStore",
    "GatewayError",
    "NotInGateway",
    "SessionStore",
    "SignatureError",
    "__version__",
    "renew_session",
]

__version__ = "0.1.0"
