"""What can go wrong between a worker and the gateway."""

from __future__ import annotations

_NOT_IN_GATEWAY = (
    "alforja.SessionStore works in a request that the alforja gateway has sent in managed mode, "
    "and {why}. Run the application under\n"
    "    alforja serve --mode managed -- python3 -m alforja.worker --factory APP.create_publisher\n"
    "or, in shared mode and without a gateway, use alforja.DirectorySessionStore."
)


class GatewayError(RuntimeError):
    """The gateway refused, or could not be asked.

    `status` is its HTTP status, or None when there was no answer. 503 means that
    another request holds the session: worth another try later.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class NotInGateway(GatewayError):
    """There is no request, or it did not come through the gateway in managed mode."""

    def __init__(self, why: str) -> None:
        super().__init__(_NOT_IN_GATEWAY.format(why=why))


class SignatureError(GatewayError):
    """The request's session is not signed with this worker's key.

    Nothing of it has been unpickled: whoever sent it may not be the gateway.
    """
