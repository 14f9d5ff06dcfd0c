"""The application that session3 is tested with, from its source distribution, on our stores.

PYTHONPATH has the distribution's directory `test`.
"""

import os

import test_session3

import alforja
import testapp


def create_managed():
    return test_session3.create_publisher(alforja.SessionStore())


def create_directory():
    store = alforja.DirectorySessionStore(os.environ["SESSIONS_DIR"], create=True)
    return test_session3.create_publisher(store)


def create_stock():
    """As it is: session3's own store."""
    return test_session3.create_publisher(testapp.directory_store())
