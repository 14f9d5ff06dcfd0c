"""A site that keeps its sessions with Quixote's own classes: in memory, or in files of its own."""

from __future__ import annotations

import os
import pickle

from quixote import get_field, get_response, get_session
from quixote.directory import Directory
from quixote.publish import Publisher
from quixote.session import BaseSessionManager, SessionManager, SessionStore

from alforja import demo


class Root(Directory):
    _q_exports = ["login", "save", "token", "use", "whoami"]

    def login(self):
        get_session().set_user(demo.text_field("name"))
        return "welcome\n"

    def token(self):
        get_response().set_content_type("text/plain")
        return get_session().create_form_token()

    def use(self):
        get_session().remove_form_token(str(get_field("token")))
        return "used\n"

    def whoami(self):
        session = get_session()
        return demo.json_page(id=session.id, user=session.user, type=type(session).__name__)


class FileStore(SessionStore):
    """What an application may have written after Quixote's documentation."""

    def __init__(self, directory):
        self.directory = directory
        os.makedirs(directory, exist_ok=True)

    def load_session(self, id):
        try:
            with open(self.path(id), "rb") as file:
                return pickle.load(file)
        except FileNotFoundError:
            return None

    def save_session(self, session):
        with open(self.path(session.id), "wb") as file:
            pickle.dump(session, file)

    def delete_session(self, id):
        os.unlink(self.path(id))

    def __iter__(self):
        return iter([name.partition(".")[0] for name in os.listdir(self.directory)])

    def path(self, id):
        return os.path.join(self.directory, f"{id}.session")


class FileManager(BaseSessionManager):
    ACCESS_TIME_RESOLUTION = 1  # second


def create_memory_publisher():
    return Publisher(Root(), session_manager=SessionManager(), display_exceptions="plain")


def create_file_publisher(session_class):
    manager = FileManager(session_class, FileStore("old"))
    return Publisher(Root(), session_manager=manager, display_exceptions="plain")
