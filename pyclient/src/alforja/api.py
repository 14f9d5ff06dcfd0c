"""The gateway's API socket: sessions other than the request's own.

The requests are those of docs/protocol.md. A connection serves one of them.
"""

from __future__ import annotations

import http.client
import json
import socket

from alforja.errors import GatewayError

# Longer than the gateway waits for a session that another request holds (30 s unless told).
_TIMEOUT = 90.0  # seconds


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_TIMEOUT)
        self._path = path

    def connect(self) -> None:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(_TIMEOUT)
            sock.connect(self._path)
        except BaseException:
            sock.close()
            raise
        self.sock = sock


class Unreachable(GatewayError):
    """There is no such socket here, or this process may not connect to it."""


class API:
    """Calls to the gateway's socket at `path`. Every method may raise GatewayError."""

    def __init__(self, path: str | None) -> None:
        self._path = path

    def get(self, session_id: str) -> bytes | None:
        """Return a session's state, or None."""
        status, body = self._call("GET", "/sessions/" + session_id, ok=(200, 404))
        return body if status == 200 else None

    def exists(self, session_id: str) -> bool:
        return self._call("HEAD", "/sessions/" + session_id, ok=(200, 404))[0] == 200

    def replace(self, session_id: str, state: bytes) -> bool:
        """Replace a session's state. False: it was deleted meanwhile and stays so."""
        return self._call("PUT", "/sessions/" + session_id, state, ok=(204, 404))[0] == 204

    def create(self, session_id: str, state: bytes) -> None:
        """Store a new session. An id that is taken is a GatewayError of status 412."""
        self._call("PUT", "/sessions/" + session_id, state, {"If-None-Match": "*"}, ok=(201,))

    def delete(self, session_id: str) -> None:
        """Delete a session; one that does not exist is no error."""
        self._call("DELETE", "/sessions/" + session_id, ok=(204, 404))

    def list(self) -> list[str]:
        return self._call("GET", "/sessions")[1].decode("ascii").split()

    def delete_idle(self, seconds: float) -> tuple[int, int]:
        """Delete what was not modified for longer; return how many were deleted and remain."""
        count = json.loads(self._call("DELETE", f"/sessions?idle={seconds}")[1])
        return count["deleted"], count["remaining"]

    def _call(
        self,
        method: str,
        target: str,
        body: bytes | None = None,
        headers: dict[str, str] | None = None,
        ok: tuple[int, ...] = (200,),
    ) -> tuple[int, bytes]:
        if self._path is None:
            raise GatewayError(
                f"{method} {target}: the gateway announced no API socket (ALFORJA_API)"
            )
        connection = _UnixConnection(self._path)
        try:
            connection.request(method, target, body, headers or {})
            response = connection.getresponse()
            content = response.read()
        except (OSError, http.client.HTTPException) as err:
            elsewhere = isinstance(err, (FileNotFoundError, PermissionError))
            kind = Unreachable if elsewhere else GatewayError
            raise kind(f"{method} {target} on {self._path}: {err or type(err)}") from err
        finally:
            connection.close()
        if response.status not in ok:
            reason = content.decode("utf-8", "replace").strip() or response.reason
            raise GatewayError(
                f"{method} {target}: {response.status} {reason}", status=response.status
            )
        return response.status, content
