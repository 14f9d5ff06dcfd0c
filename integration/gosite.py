"""The program in gohandlers/: pages in Go, and Quixote workers beside."""

import pathlib

from harness import Gateway, managed, stock

CLASSES = {
    "session": "session3.Session.Session",
    "dict": "session3.DictSession.DictSession",
    "quixote": "testapp.DirtySession",
    "shop": "migrating.ShopSession",
}


def environment(name):
    """What the Quixote workers are told. Each would pickle a set in an order of its own."""
    return {"SESSION_CLASS": name, "PYTHONHASHSEED": "0"}


class Site(Gateway):
    """The Go program with its Quixote workers."""

    def __init__(self, tmp, binary, mode, name, *options, **variables):
        factory = "migrating.create_publisher"
        command = (
            managed(factory) if mode == "managed" else stock("migrating.create_shared_publisher")
        )
        sessions = pathlib.Path(tmp) / "sessions"
        env = {"SESSIONS_DIR": str(sessions), **environment(name), **variables}
        super().__init__(tmp, env=env)
        options = [*options, "--http", "127.0.0.1:0", "--store", sessions, "--mode", mode]
        self.argv = [str(a) for a in (binary, *options, "--class", CLASSES[name], "--", *command)]
