"""Quixote's altdemo with its own pages and its own session class, and the gateway's store."""

from quixote.demo.altdemo import DemoSession, RootDirectory
from quixote.publish import Publisher
from quixote.session import BaseSessionManager

import alforja


class SessionManager(BaseSessionManager):
    ACCESS_TIME_RESOLUTION = 1  # in seconds; BaseSessionManager reads it and has none


def create_publisher():
    manager = SessionManager(session_class=DemoSession, session_store=alforja.SessionStore())
    return Publisher(RootDirectory(), session_manager=manager, display_exceptions="plain")
