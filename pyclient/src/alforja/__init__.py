"""Sessions for Quixote workers behind the alforja gateway.

    import alforja
    from session3.SessionManager import SessionManager

    manager = SessionManager(alforja.SessionStore())

The gateway loads the session before it asks the worker and commits it before
the client hears; the store here only hands it over. `alforja.worker` serves a
Quixote application, `alforja.demo` is one to try.
"""

from alforja.errors import GatewayError, NotInGateway, SignatureError
from alforja.store import SessionStore

__all__ = ["GatewayError", "NotInGateway", "SessionStore", "SignatureError", "__version__"]

__version__ = "0.1.0"
