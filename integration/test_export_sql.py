"""`python3 -m alforja.export`: session3's tables in MariaDB and PostgreSQL, brought over and back."""

import json
import os
import pickle
import sys
import time
from contextlib import closing

import psycopg
import pytest
from session3.DictSession import DictSession
from session3.store.MySQLSessionStore import MySQLSessionStore
from session3.store.PostgresSessionStore import PostgresSessionStore

from alforja.export.__main__ import main
from databases import MariaDB, PostgreSQL
from exporting import BYTES, COUNT, PYTHON2, all_there, bring, export, made, same
from stored_sessions import CLASSES, contents, load, make

AUTUMN = 1_762_041_600  # 2025-11-02T00:00:00Z, when summer time ends in databases.ZONE

STORES = {MariaDB: MySQLSessionStore, PostgreSQL: PostgresSessionStore}

mariadb = pytest.mark.parametrize("server", [MariaDB], indirect=True)
postgresql = pytest.mark.parametrize("server", [PostgreSQL], indirect=True)


@pytest.fixture(scope="module", params=STORES, ids=lambda kind: kind.__name__)
def server(request):
    with request.param() as started:
        yield started


@pytest.fixture
def database(server, monkeypatch):
    """A database without a table, and where the exporter finds it."""
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    server.run("DROP TABLE IF EXISTS sessions")
    return server


@pytest.fixture
def store(database):
    """session3's store, on what its setup() makes."""
    with closing(database.connect()) as connection:
        made = STORES[type(database)](connection)
        made.setup()
        yield made


def rows(database):
    return dict(database.run("SELECT id, pickle FROM sessions"))


def test_a_table_to_a_directory_and_back(database, store, tmp_path):
    wanted = made()
    for session in wanted.values():
        store.save_session(session)
    out = export(database.name)
    assert f"{COUNT} copied, 0 there already, 0 failed" in out.stderr
    directory = bring(tmp_path / "imported", out.stdout)
    all_there(directory, wanted)

    database.run("DROP TABLE sessions")
    assert f"{COUNT} copied" in export(f"directory:{directory}", database.name).stderr
    assert rows(database) == {path.name: path.read_bytes() for path in directory.iterdir()}
    for id, session in wanted.items():
        same(store.load_session(id), session)
        session.user = "sancho"
        store.save_session(session)
    for id, session in wanted.items():
        same(store.load_session(id), session)
        store.delete_session(session)
    assert rows(database) == {}


def test_what_is_there_already_stays(database, store, tmp_path):
    database.run("DROP TABLE sessions")
    make(tmp_path / "new", "a", user="new")
    export(f"directory:{tmp_path}/new", database.name)
    make(tmp_path / "old", "a", user="old")
    make(tmp_path / "old", "b", user="old")
    out = export(f"directory:{tmp_path}/old", database.name)
    assert "1 copied, 1 there already, 0 failed" in out.stderr
    assert store.load_session("a").user == "new" and store.load_session("b").user == "old"


def test_times_there_and_back(database, tmp_path):
    """To the second in MySQL, to the microsecond in PostgreSQL."""
    for i in range(20):
        make(tmp_path / "old", f"s{i}", cls=CLASSES[i % 4], idle=i * 36000.25)
    export(f"directory:{tmp_path}/old", database.name)
    there = contents(bring(tmp_path / "imported", export(database.name).stdout))
    step = 10**9 if isinstance(database, MariaDB) else 1000
    assert there == {
        id: (state, modified // step * step)
        for id, (state, modified) in contents(tmp_path / "old").items()
    }


@mariadb
def test_times_when_the_clocks_go_back(database, tmp_path):
    """03:30 and 04:30 UTC were both 01:00 in the server's time zone, two hours, each its own."""
    for id, hour in (("first", 3.5), ("second", 4.5)):
        make(tmp_path / "old", id)
        os.utime(tmp_path / "old" / id, (AUTUMN + hour * 3600,) * 2)
    export(f"directory:{tmp_path}/old", database.name)
    export(database.name, f"directory:{tmp_path}/new")
    assert contents(tmp_path / "new") == contents(tmp_path / "old")


def test_times_are_those_that_session3_writes(database, store, monkeypatch):
    """Wherever the exporter is. PostgreSQL's column has no time zone but the server's."""
    monkeypatch.setenv("TZ", "America/Caracas")
    for session in made(1).values():
        store.save_session(session)
    if isinstance(database, MariaDB):
        assert "modified" not in json.loads(export(database.name).stdout)
        database.run("UPDATE sessions SET modify_time = CURRENT_TIMESTAMP")
    line = json.loads(export(database.name).stdout)
    now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
    soon = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() - 60))
    assert soon <= line["modified"] <= now + "~"


def test_another_table_and_nothing_unpickled(database, tmp_path):
    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / "called"), "w")

    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a").write_bytes(pickle.dumps(Trap()))
    database.run("DROP TABLE IF EXISTS carts")
    export(f"directory:{tmp_path}/old", database.name, "--table", "carts")
    export(database.name, f"directory:{tmp_path}/new", "--table", "carts")
    assert (tmp_path / "new" / "a").read_bytes() == pickle.dumps(Trap())
    assert not (tmp_path / "called").exists()
    assert "sessions" in export(database.name, code=2).stderr


def test_ids_that_are_none(database, store):
    session = made(1)["id-0_"]
    for session.id in ("../evil", "ñ", "a b", "good"):
        store.save_session(session)
    out = export(database.name, code=1)
    assert "1 copied, 0 there already, 3 failed" in out.stderr
    assert "'../evil'" in out.stderr and json.loads(out.stdout)["id"] == "good"


@mariadb
def test_what_a_table_of_session3_in_mysql_cannot_hold(database, store, tmp_path):
    """Its column is BLOB, 64 KiB, and it takes ids that differ in case for the same."""
    store.save_session(made(1)["id-0_"])
    for id, blob in (("ID-0_", b""), ("long", b"x" * 65536), ("short", b"x" * 60000)):
        make(tmp_path / "old", id, blob=blob)
    out = export(f"directory:{tmp_path}/old", database.name, code=1)
    assert "1 copied, 0 there already, 2 failed" in out.stderr
    assert "ID-0_...: to this table the same as id-0_" in out.stderr
    assert "long...: Data too long for column 'pickle'" in out.stderr
    assert set(rows(database)) == {"id-0_", "short"}
    assert len(store.load_session("short").blob) == 60000


@mariadb
def test_session3_commits_nothing_in_mysql(database, store):
    """Upstream's failure on any but MyISAM tables, and why the guide asks for autocommit."""
    store.conn.autocommit(False)
    store.save_session(made(1)["id-0_"])
    assert export(database.name).stdout == ""
    store.conn.commit()
    assert json.loads(export(database.name).stdout)["id"] == "id-0_"


@mariadb
def test_the_table_that_is_made_in_mysql_holds_more(database, tmp_path):
    for id, blob in (("id", b""), ("ID", b""), ("long", b"x" * 4_000_000)):
        make(tmp_path / "old", id, blob=blob, idle=3600)
    assert "3 copied" in export(f"directory:{tmp_path}/old", database.name).stderr
    with closing(database.connect()) as connection:
        store = MySQLSessionStore(connection)
        assert (store.load_session("id").id, store.load_session("ID").id) == ("id", "ID")
        assert len(store.load_session("long").blob) == 4_000_000
        store.save_session(store.load_session("id"))  # which counts as used now
        store.delete_old_sessions(30)
    assert set(rows(database)) == {"id"}


@postgresql
def test_what_session3_cannot_do_in_postgresql(database, store, tmp_path):
    """Upstream's failures, which decide what a new table is like."""
    session = make(tmp_path / "old", "a")
    store.save_session(session)
    assert database.run("SELECT left(pickle, 6) FROM sessions") == [(r"\x8004",)]
    with pytest.raises(TypeError, match="a bytes-like object is required, not 'str'"):
        store.load_session("a")
    store.conn.rollback()

    # has_session loads it, and one without items is false.
    database.run("DELETE FROM sessions")
    empty = make(tmp_path / "old", "b", cls=DictSession)
    empty.user = "quijote"
    refused = export(f"directory:{tmp_path}/old", database.name, code=2).stderr
    assert "is text" in refused
    database.run(refused[refused.index("ALTER TABLE") :])
    store.save_session(empty)
    with pytest.raises(psycopg.errors.UniqueViolation):
        store.save_session(empty)


@postgresql
def test_the_advice_for_a_table_of_text(database, store, tmp_path):
    """It turns what either Python has written into what session3 loads."""
    wanted = made(8)
    for session in wanted.values():
        store.save_session(session)
    make(tmp_path / "old", "a", note="\\xe9")
    old = pickle.dumps(load(tmp_path / "old", "a"), 0)
    database.run("INSERT INTO sessions VALUES ('a', convert_from(%s, 'UTF8'))", old)
    refused = export(f"directory:{tmp_path}/old", database.name, code=2).stderr
    assert dict(database.run("SELECT id, pg_typeof(pickle)::text FROM sessions"))["a"] == "text"
    database.run(refused[refused.index("ALTER TABLE") :])
    assert "0 copied, 1 there" in export(f"directory:{tmp_path}/old", database.name).stderr
    assert store.load_session("a").note == "\\xe9"
    for id, session in wanted.items():
        same(store.load_session(id), session)


@postgresql
@pytest.mark.parametrize("encoding", ["UTF8", "LATIN1", "SQL_ASCII"])
def test_python2_sessions_in_postgresql(database, encoding, tmp_path, monkeypatch):
    """Protocol 0 in a column of text: the bytes that the application once sent."""
    monkeypatch.setenv("PGDATABASE", "old")
    database.create("old", encoding)
    lines = [json.loads(line) for line in PYTHON2.read_text().splitlines()]
    states = {x["name"]: bytes.fromhex(x["hex"]) for x in lines if x["protocol"] == 0}
    if encoding == "UTF8":  # which never took a pickle with é in Latin-1
        states = {id: state.replace(b"\xe9", b"e") for id, state in states.items()}
    with closing(database.connect("old")) as connection:
        PostgresSessionStore(connection).setup()
        for item in states.items():
            connection.execute(
                "INSERT INTO sessions VALUES (%s, convert_from(%s, getdatabaseencoding()))", item
            )
        connection.commit()
    copied = export("postgres:old", f"directory:{tmp_path}/raw")
    assert "3 copied" in copied.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "raw").iterdir()} == states
    flags = [flag for name in BYTES for flag in ("--attribute", f"{name}=bytes")]
    listed = export("postgres:old", "--python2", "utf-8", *flags).stdout
    directory = bring(tmp_path / "imported", listed)
    assert {path.name for path in directory.iterdir()} == {"plain", "mixed", "cart"}


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [("mysql:shop", "pymysql", "PyMySQL"), ("postgres:shop", "psycopg", "psycopg[binary]")],
)
def test_a_driver_that_is_missing(name, module, package, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, module, None)
    assert main([name]) == 2
    assert f"pip install '{package}'" in capsys.readouterr().err


def test_a_database_that_is_not_there(database):
    for name in (f"{database.name}ping", database.name.replace(":", "://nobody@127.0.0.1:1/")):
        out = export(name, code=2)
        assert out.stdout == "" and out.stderr.startswith("alforja.export: ")
        assert "Traceback" not in out.stderr
