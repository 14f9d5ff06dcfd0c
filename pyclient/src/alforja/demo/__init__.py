"""An application to try sessions with: the counterpart of session3's test application.

    alforja serve -- python3 -m alforja.worker --factory alforja.demo.create_publisher

It logs in and out, counts, keeps attributes of its own and items of a DictSession,
and fails on purpose, to show that a failed request changes nothing.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any

from alforja.renewal import renew_session
from alforja.store import SessionStore

try:
    from quixote import get_field, get_request, get_response, get_session, get_session_manager
    from quixote import redirect as quixote_redirect
    from quixote.directory import Directory
    from quixote.publish import Publisher
    from session3.DictSession import DictSession
    from session3.SessionManager import SessionManager

    from alforja.demo.page import failure_page, index_page
except ImportError as err:
    raise ImportError(f"alforja.demo needs quixote and session3, and there is: {err}") from err


class DemoSession(DictSession):
    """A session with attributes of its own, that is also a dictionary."""

    def __init__(self, id: str | None) -> None:
        super().__init__(id)
        self.counter = 0
        self.kept = False
        self.attributes: dict[str, str] = {}

    def has_info(self) -> bool:
        """Whether there is anything to store; a visitor who only looks leaves no session."""
        return bool(self.user or self.counter or self.kept or self.attributes or self.data)

    def __bool__(self) -> bool:
        # session3's manager asks `if session`, and a dictionary without items is false: it
        # would neither save a DictSession without items nor log it out.
        return True


class Root(Directory):
    _q_exports = [
        "",
        "attributes",
        "counter",
        "dict",
        "increment",
        "incrementfail",
        "keep",
        "login",
        "logout",
        "logoutfail",
        "plain",
        "redirect",
        "whoami",
    ]

    def _q_index(self) -> Any:
        return index_page(get_session(), get_request().get_environ("SCRIPT_NAME", ""))

    def login(self) -> str:
        name = text_field("name")
        if name:
            renew_session()
            get_session().set_user(name)
        return back()

    def logout(self) -> str:
        get_session_manager().expire_session()
        return back()

    def logoutfail(self) -> str:
        """Fail after logging out: the visitor stays logged in."""
        get_session_manager().expire_session()
        raise RuntimeError("failed on purpose, after logging out")

    def increment(self) -> str:
        get_session().counter += 1
        return back()

    def incrementfail(self) -> str:
        """Fail after counting: the counter stays as it was."""
        get_session().counter += 1
        raise RuntimeError("failed on purpose, after counting")

    def counter(self) -> str:
        """Count, and answer with the number alone.

        `ms` is how many milliseconds to spend between reading the session and writing it.
        """
        session = get_session()
        pause(text_field("ms"))
        session.counter += 1
        get_response().set_content_type("text/plain")
        return str(session.counter)

    def keep(self) -> str:
        """Store the session even if there is nothing in it."""
        get_session().kept = True
        return back()

    def attributes(self) -> str:
        return self._set(get_session().attributes)

    def dict(self) -> str:
        return self._set(get_session())

    def _set(self, mapping: Any) -> str:
        name, value = text_field("name"), text_field("value")
        if name and value:
            mapping[name] = value
        elif name:
            mapping.pop(name, None)
        return back()

    def plain(self) -> str:
        """A page without a session."""
        get_response().set_content_type("text/plain")
        return "no session here\n"

    def redirect(self) -> str:
        return back()

    def whoami(self) -> str:
        session = get_session()
        return json_page(
            pid=os.getpid(),
            session=session.id,
            user=session.user,
            counter=session.counter,
        )


class DemoPublisher(Publisher):
    def _generate_internal_error(self, request: Any) -> Any:
        return failure_page(request.get_environ("SCRIPT_NAME", ""))


def create_publisher() -> Publisher:
    manager = SessionManager(SessionStore(), session_class=DemoSession)
    return DemoPublisher(Root(), session_manager=manager)


def back() -> str:
    """Redirect to the page that everything starts from."""
    result: str = quixote_redirect(get_request().get_environ("SCRIPT_NAME", "") + "/")
    return result


def text_field(name: str) -> str:
    """Return a form field's text; of a field that came twice, the first."""
    value = get_field(name, "")
    return str(value[0] if isinstance(value, list) else value)[:200].strip()


def pause(milliseconds: str) -> None:
    """Sleep for so long, a minute at most; what is no number is none."""
    if milliseconds.isdecimal():
        time.sleep(min(int(milliseconds), 60_000) / 1000)


def json_page(**values: Any) -> str:
    get_response().set_content_type("application/json")
    return json.dumps(values, sort_keys=True) + "\n"
