"""Session ids."""

from __future__ import annotations

import re
import secrets
from typing import Any

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")


def new_id() -> str:
    """Return a fresh id: 128 random bits, as Quixote's session managers make them.

    >>> valid(new_id()), len(new_id())
    (True, 22)
    """
    return secrets.token_urlsafe(16)


def valid(id: Any) -> bool:
    """Whether `id` may name a session. What else a cookie holds never gets to a file name.

    >>> valid("4x1QZb2iXh8"), valid("../evil"), valid(""), valid(None)
    (True, False, False, False)
    """
    return isinstance(id, str) and _ID.match(id) is not None
