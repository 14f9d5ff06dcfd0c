"""docs/migrating.md: each of its commands and each of its programs in Python is run."""

import json
import os
import re
import shlex
import subprocess
import sys
import warnings

import pytest
from session3.store.MySQLSessionStore import MySQLSessionStore
from session3.store.PostgresSessionStore import PostgresSessionStore
from session3.store.ShelveSessionStore import ShelveSessionStore

from databases import MariaDB, PostgreSQL
from exporting import PYTHON2, all_there, bring, export, made
from harness import APPS, BINARY, TREE, Client, Gateway, Server, free_port, listens, wait_until
from matrix_packages import installed, interpreter
from stored_sessions import CLASSES, contents, load, make

OWN = "From Quixote's own sessions"
DATABASES = "From MySQL or PostgreSQL"


def page():
    """The commands and the programs in Python of each section that has any."""
    found = {}
    for section in (TREE / "docs" / "migrating.md").read_text().split("\n## ")[1:]:
        heading, text = section.split("\n", 1)
        commands = re.findall(r"^    ((?:alforja|python3) .*)$", text, re.M)
        python = re.findall(r"^```python\n(.*?)^```", text, re.M | re.S)
        if commands or python:
            found[heading] = commands, python
    return found


@pytest.fixture
def environ(tmp_path):
    """That of someone who has installed alforja."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "alforja").symlink_to(BINARY)
    search = [str(tmp_path / "bin"), os.path.dirname(sys.executable), os.environ["PATH"]]
    modules = os.pathsep.join([str(tmp_path), str(APPS)])
    return {**os.environ, "PATH": os.pathsep.join(search), "PYTHONPATH": modules}


@pytest.fixture
def shell(tmp_path, environ):
    def run(commands):
        assert commands
        for command in commands:
            done = subprocess.run(
                ["sh", "-c", command],
                timeout=60,
                cwd=tmp_path,
                env=environ,
                capture_output=True,
                text=True,
            )
            assert done.returncode == 0, done

    return run


def blocks(language):
    text = (TREE / "docs" / "migrating.md").read_text()
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.M | re.S)
    assert found
    return found


# What programs in Go take for granted.
GIVEN = """
var shopClass gateway.SessionClass
var shopClasses *pickle.Registry

func cartPages() http.Handler { return http.NotFoundHandler() }
"""
PACKAGES = {
    name.rpartition("/")[2]: name
    for name in ("context", "errors", "fmt", "log", "net/http", "os", "os/signal", "syscall")
    + ("alforja/gateway", "alforja/pickle", "alforja/store")
}


def test_programs_in_go_compile(tmp_path):
    replaced = {}
    for number, program in enumerate(blocks("go")):
        if not program.startswith("func "):
            head = "func run(ctx context.Context, sessions store.Store) error {"
            program = f"{head}\n{program}}}\n"
        program += GIVEN
        used = [path for name, path in PACKAGES.items() if re.search(rf"\b{name}\.", program)]
        imports = "\n".join(f'import "{path}"' for path in used)
        (tmp_path / f"{number}.go").write_text(f"package guide\n\n{imports}\n\n{program}")
        place = TREE / "integration" / f"guide{number}" / "guide.go"
        replaced[str(place)] = str(tmp_path / f"{number}.go")
    (tmp_path / "overlay.json").write_text(json.dumps({"Replace": replaced}))
    done = subprocess.run(
        ["go", "build", "-overlay", tmp_path / "overlay.json"]
        + [f"./integration/guide{n}" for n in range(len(replaced))],
        cwd=TREE,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


def test_configurations_are_good(tmp_path, shell):
    (tmp_path / "shop").write_text("#!/bin/sh\n")
    (tmp_path / "shop").chmod(0o755)
    for configuration in blocks("toml"):
        (tmp_path / "alforja.toml").write_text(configuration)
        shell(
            ["alforja check --config alforja.toml --http localhost:8080 --store directory:sessions"]
        )


def test_every_section_is_run():
    assert set(page()) == {
        OWN,
        "From session3",
        "From session2",
        DATABASES,
        "From a shelf or Durus",
    }


def test_from_session3(tmp_path, shell):
    for i in range(8):
        make(tmp_path / "sessions", f"s{i}", cls=CLASSES[i % 4])
    commands, [program] = page()["From session3"]
    shell([*commands, "python3 -c " + shlex.quote("import alforja\n" + program)])
    assert all(load(tmp_path / "sessions", f"s{i}").newsletter is False for i in range(8))


def test_from_session2(tmp_path, shell):
    (tmp_path / "old").mkdir()
    line = json.loads(PYTHON2.read_text().splitlines()[0])
    (tmp_path / "old" / "a").write_bytes(bytes.fromhex(line["hex"]))
    shell(page()["From session2"][0])
    assert load(tmp_path / "sessions", "a").user == "éva"


MAKE_OLD = """
import anydbm, sys
from durus.connection import Connection
from durus.file_storage import FileStorage
from durus.persistent_dict import PersistentDict
import cPickle
state = open(sys.argv[1], "rb").read()
shelf = anydbm.open("sessions.shelf", "n")
shelf["a"] = state
shelf.close()
connection = Connection(FileStorage("sessions.durus"))
connection.get_root()["sessions"] = PersistentDict(a=cPickle.loads(state))
connection.commit()
"""


def test_from_stores_of_python_2(tmp_path, shell):
    python = interpreter("2.7")
    if python is None:
        left_out = "Python 2's programs are not run: no Python 2.7 here: pyenv install 2.7"
        warnings.warn(left_out, stacklevel=1)
        pytest.skip("no Python 2.7")
    durus = installed("2.7", "durus==4.2")  # the last that has Python 2
    (tmp_path / "session2").mkdir()
    (tmp_path / "session2" / "__init__.py").touch()
    (tmp_path / "session2" / "Session.py").write_text("class Session: pass\n")
    line = json.loads(PYTHON2.read_text().splitlines()[0])
    (tmp_path / "a").write_bytes(bytes.fromhex(line["hex"]))

    def python2(program, *args):
        env = {"PYTHONPATH": f"{tmp_path}:{durus}", "PYTHONDONTWRITEBYTECODE": "1"}
        subprocess.run([python, "-c", program, *args], cwd=tmp_path, env=env, check=True)

    commands, (shelf, from_durus) = page()["From session2"]
    python2(MAKE_OLD, "a")
    refused = export("--unpickle", f"durus:{tmp_path}/sessions.durus", code=2).stderr
    assert "only Python 2 can take its sessions out" in refused and "Traceback" not in refused

    python2(from_durus)
    shell(commands)
    python2(shelf)
    flags = ["--python2", "utf-8", "--attribute", "digest=bytes"]
    bring(tmp_path / "again", export(*flags, f"shelve:{tmp_path}/sessions.dumb").stdout)
    shell([commands[2].replace(":sessions", ":again").replace("undo.jsonl", "undo2.jsonl")])
    for directory in (tmp_path / "sessions", tmp_path / "again"):
        session = load(directory, "a")
        assert (session.user, session.count, session.when.microsecond) == ("éva", 5, 250)


def test_from_databases(tmp_path, shell, environ):
    with MariaDB() as mariadb, PostgreSQL() as postgresql:
        environ.update(mariadb.env, **postgresql.env)
        wanted = made(8)
        with mariadb.connect() as first, postgresql.connect() as second:
            stores = [MySQLSessionStore(first), PostgresSessionStore(second)]
            stores[1].setup()
            for i, session in enumerate(wanted.values()):
                stores[i % 2].save_session(session)
        shell(page()[DATABASES][0])
        all_there(tmp_path / "sessions", wanted)
        states = {id: state for id, (state, _) in contents(tmp_path / "sessions").items()}
        for database in (mariadb, postgresql):
            assert dict(database.run("SELECT id, pickle FROM back")) == states


def test_from_a_shelf_or_durus(tmp_path, shell):
    from durus.connection import Connection
    from durus.file_storage import FileStorage
    from session3.store.DurusSessionStore import DurusSessionStore

    storage = FileStorage(str(tmp_path / "sessions.durus"))
    stores = [
        ShelveSessionStore(str(tmp_path / "sessions.shelf")),
        DurusSessionStore(Connection(storage)),
    ]
    wanted = made(8)
    for i, session in enumerate(wanted.values()):
        stores[i % 2].save_session(session)
    storage.close()
    shell(page()["From a shelf or Durus"][0])
    all_there(tmp_path / "sessions", wanted)
    assert contents(tmp_path / "copy") == contents(tmp_path / "sessions")


class Old(Server):
    """The site before: Quixote's own server, one process."""

    def __init__(self, tmp, factory, environ):
        self.http = ("127.0.0.1", free_port())
        host, port = map(str, self.http)
        argv = [sys.executable, "-m", "quixote.server.simple_server", "--host", host]
        super().__init__(
            [*argv, "--port", port, "--factory", factory], tmp / "old.log", environ, tmp
        )

    def start(self):
        super().start()
        wait_until(lambda: listens(self.http), "the old site listens")
        return self


def new_site(tmp, command, environ):
    """The site as the guide starts it, at a free port."""
    g = Gateway(tmp, env=environ)
    program, *words = shlex.split(command)
    assert program == "alforja"
    g.argv = [str(BINARY), *words]
    g.argv[g.argv.index("localhost:8080")] = "127.0.0.1:0"
    g.argv[2:2] = ["--log-format", "json"]
    g.cwd = tmp
    return g


def logged_in(address, count=3):
    clients = []
    for i in range(count):
        client = Client(address)
        assert client.get(f"/login?name=user{i}").status == 200
        client.token = client.get("/token").text
        clients.append(client)
    return clients


def go_on(clients, address):
    """Each client is who it was, its form is taken once, and what changes is kept."""
    for i, client in enumerate(clients):
        id = client.cookies["QX_session"]
        move(client, address)
        seen = client.get("/whoami").json()
        assert (seen["id"], seen["user"], seen["type"]) == (id, f"user{i}", "ShopSession")
        assert client.get(f"/use?token={client.token}").status == 200
        assert client.get(f"/use?token={client.token}").status == 500  # list.remove
        assert client.get(f"/login?name=other{i}").status == 200
        assert client.get("/whoami").json()["user"] == f"other{i}"


def move(client, address):
    client.close()
    client.address = address


def test_from_sessions_in_memory(tmp_path, shell, environ, run):
    (serve, rename), (site, save, _) = page()[OWN]
    (tmp_path / "shop.py").write_text(f"from memory_site import Root\n{site}")
    (tmp_path / "oldshop.py").write_text(
        f"from memory_site import Root, create_memory_publisher\n{save}\n"
        "Root.save = staticmethod(save)\n"
    )
    old = run(Old(tmp_path, "oldshop.create_memory_publisher", environ))
    clients = logged_in(old.http)
    assert Client(old.http).get("/save").text == "saved"
    old.stop()
    shell([rename])
    assert len(list((tmp_path / "sessions").iterdir())) == len(clients)
    g = run(new_site(tmp_path, serve, environ))
    go_on(clients, g.http)
    g.stop()
    g.start()
    for i, client in enumerate(clients):
        move(client, g.http)
        assert client.get("/whoami").json()["user"] == f"other{i}"


def test_from_a_store_of_ones_own(tmp_path, shell, environ, run):
    (serve, _), (site, _, copy) = page()[OWN]
    (tmp_path / "shop.py").write_text(
        f"from memory_site import FileStore, Root, create_file_publisher\n{site}\n"
        "def create_old():\n    return create_file_publisher(ShopSession)\n"
    )
    old = run(Old(tmp_path, "shop.create_old", environ))
    clients = logged_in(old.http)
    old.stop()
    shell(["python3 -c " + shlex.quote(copy)])
    g = run(new_site(tmp_path, serve, environ))
    go_on(clients, g.http)
