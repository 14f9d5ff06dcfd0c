"""The application of the integration tests: the demo and what a test asks beside it.

Every function named create_... is a publisher factory:

    python3 -m alforja.worker --factory testapp.create_publisher
    SESSIONS_DIR=/tmp/s python3 -m quixote.server.scgi_server --factory \\
        testapp.create_shared_publisher
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections import UserDict

from quixote import get_field, get_request, get_response, get_session, get_session_manager
from quixote.directory import Directory
from quixote.http_response import Stream
from quixote.publish import Publisher
from quixote.session import BaseSessionManager
from quixote.session import Session as QuixoteSession
from quixote.wsgi import QWIP
from session3.DictSession import DictSession
from session3.Session import Session
from session3.SessionManager import SessionManager
from session3.store.DirectorySessionStore import DirectorySessionStore

import alforja
from alforja import demo


class ShopSession(demo.DemoSession):
    """An application's own session class."""

    def __init__(self, id):
        super().__init__(id)
        self.cart = []

    def has_info(self):
        return bool(self.cart) or super().has_info()


class Root(demo.Root):
    _q_exports = demo.Root._q_exports + [
        "big",
        "buy",
        "cart",
        "crash",
        ("echo-header", "echo_header"),
        "environ",
        "fill",
        "pickled",
        "sessions",
        "sleep",
        "status",
        "stream",
        "upload",
        "url",
    ]

    def login(self):
        """The demo's, without the new id, which session3's own stores cannot give."""
        name = demo.text_field("name")
        if name:
            get_session().set_user(name)
        return demo.back()

    def buy(self):
        get_session().cart.append(demo.text_field("item"))
        return demo.json_page(cart=get_session().cart)

    def cart(self):
        return demo.json_page(cart=get_session().cart)

    def sessions(self):
        """Everybody's sessions, as an administrator's page lists them."""
        users = {id: session.user for id, session in get_session_manager().store.iter_sessions()}
        return demo.json_page(sessions=users)

    def big(self):
        """As many bytes as asked for; 0123456789 over and over."""
        get_response().set_content_type("application/octet-stream")
        return repeated_digits(number("bytes", 1_000_000))

    def upload(self):
        """The size, in bytes, and the SHA-256 of the file in the field `file`."""
        upload = get_field("file")
        digest, size = hashlib.sha256(), 0
        for block in iter(lambda: upload.read(1 << 20), b""):
            digest.update(block)
            size += len(block)
        return demo.json_page(size=size, sha256=digest.hexdigest())

    def stream(self):
        """`n` lines, in a Stream of unknown length, `ms` milliseconds apart."""
        get_response().set_content_type("text/plain")
        get_response().buffered = False
        return Stream(lines(number("n", 5), demo.text_field("ms")))

    def status(self):
        code = number("code", 200)
        get_response().set_status(code)
        return "" if code in (204, 304) else f"status {code}\n"

    def url(self):
        get_response().set_content_type("text/plain")
        return get_request().get_url()

    def echo_header(self):
        """Set the response header `name` to `value`, both unchecked, and the page's `encoding`."""
        get_response().set_header(str(get_field("name", "X-Echo")), str(get_field("value", "")))
        if get_field("encoding"):
            get_response().set_header("Content-Encoding", str(get_field("encoding")))
        return "echoed\n"

    def environ(self):
        return demo.json_page(**get_request().environ)

    def fill(self):
        """Make the session longer by `bytes` bytes."""
        get_session().filler = "x" * number("bytes", 0)
        return "filled\n"

    def pickled(self):
        """The pickle that this request's session is saved as, in hex."""
        get_response().set_content_type("text/plain")
        return pickle.dumps(get_session(), 4).hex()

    def sleep(self):
        """Make the file `touch`, so that a test sees the request run, and sleep."""
        if get_field("touch"):
            open(get_field("touch"), "w").close()
        demo.pause(demo.text_field("ms"))
        return "slept\n"

    def crash(self):
        """End the process in mid-request."""
        if os.environ.get("ALFORJA_DEMO_FAULTS") != "1":
            raise RuntimeError("set ALFORJA_DEMO_FAULTS=1")
        get_session().counter += 1
        os._exit(1)


class ClassRoot(Directory):
    """Login and counter for whatever session class there is."""

    _q_exports = ["", "counter", "login", "logout", "whoami"]

    def _q_index(self):
        return "<p>hello</p>"

    def login(self):
        session = get_session()
        session.set_user(demo.text_field("name"))
        if isinstance(session, UserDict):
            # session3's manager does not save a DictSession without items: it is false.
            session["counter"] = count_of(session)
        return demo.back()

    def logout(self):
        get_session_manager().expire_session()
        return demo.back()

    def counter(self):
        session = get_session()
        count = count_of(session)
        demo.pause(demo.text_field("ms"))
        if isinstance(session, UserDict):
            session["counter"] = count + 1
        else:
            session.counter = count + 1
        get_response().set_content_type("text/plain")
        return str(count + 1)

    def whoami(self):
        session = get_session()
        return demo.json_page(
            pid=os.getpid(), session=session.id, user=session.user, counter=count_of(session)
        )


class DirtySession(QuixoteSession):
    """Quixote's own session, stored whenever there is anything in it."""

    counter = 0

    def has_info(self):
        return bool(self.counter) or super().has_info()

    def is_dirty(self):
        return self.has_info()


class QuixoteSessionManager(BaseSessionManager):
    """BaseSessionManager, with the attribute that it reads and does not have."""

    ACCESS_TIME_RESOLUTION = 1  # second


def create_publisher():
    """Managed mode; session3's manager and ShopSession."""
    return session3_publisher(Root(), alforja.SessionStore(), ShopSession)


def create_shared_publisher():
    """Shared mode: the same with session3's store in $SESSIONS_DIR, without alforja."""
    return session3_publisher(Root(), directory_store(), ShopSession)


def create_wsgi_application():
    """The same for a WSGI server."""
    return QWIP(create_shared_publisher())


def create_session_publisher():
    """Managed mode; session3.Session, which is stored once somebody has logged in."""
    return session3_publisher(ClassRoot(), alforja.SessionStore(), Session)


def create_dict_publisher():
    """Managed mode; session3.DictSession."""
    return session3_publisher(ClassRoot(), alforja.SessionStore(), DictSession)


def create_shared_session_publisher():
    return session3_publisher(ClassRoot(), directory_store(), Session)


def create_shared_dict_publisher():
    return session3_publisher(ClassRoot(), directory_store(), DictSession)


def create_quixote_publisher():
    """Managed mode; Quixote's own manager and session."""
    manager = QuixoteSessionManager(
        session_class=DirtySession, session_store=alforja.SessionStore()
    )
    return Publisher(ClassRoot(), session_manager=manager, display_exceptions="plain")


def session3_publisher(root, store, session_class):
    manager = SessionManager(store, session_class=session_class)
    return Publisher(root, session_manager=manager, display_exceptions="plain")


def directory_store():
    return DirectorySessionStore(os.environ["SESSIONS_DIR"], create=True)


def lines(count, milliseconds):
    # Quixote has forgotten the request when it reads a Stream: nothing may ask for fields here.
    for line in range(count):
        yield f"line {line}\n"
        demo.pause(milliseconds)


def count_of(session):
    if isinstance(session, UserDict):
        return session.get("counter", 0)
    return getattr(session, "counter", 0)


def repeated_digits(size):
    return (b"0123456789" * (size // 10 + 1))[:size]


def number(field, default):
    text = demo.text_field(field)
    return int(text) if text.isdecimal() else default
