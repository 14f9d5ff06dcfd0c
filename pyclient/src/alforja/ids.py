"""Session ids."""

from __future__ import annotations

import re
from typing import Any

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")


def valid(id: Any) -> bool:
    """Whether `id` may name a session. What else a cookie holds never gets to a file name.

    >>> valid("4x1QZb2iXh8"), valid("../evil"), valid(""), valid(None)
    (True, False, False, False)
    """
    return isinstance(id, str) and _ID.match(id) is not None
