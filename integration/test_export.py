"""`python3 -m alforja.export`: sessions of every old store, brought over and back."""

import base64
import json
import os
import pickle
import random
import shelve
import signal
import subprocess
import sys
import types

import pytest
from session3.store.ShelveSessionStore import ShelveSessionStore

from alforja import DirectorySessionStore, files
from alforja.export.__main__ import main
from exporting import FEW, all_there, bring, export, made, same
from harness import wait_until
from stored_sessions import CLASSES, contents, load, make, new, sessions


def test_shelf_to_directory_and_back(tmp_path):
    wanted = made(FEW)
    shelf = ShelveSessionStore(str(tmp_path / "shelf"))
    for session in wanted.values():
        shelf.save_session(session)
    out = export(f"shelve:{tmp_path}/shelf")
    assert f"{len(wanted)} copied, 0 there already, 0 failed" in out.stderr
    directory = bring(tmp_path / "imported", out.stdout)
    all_there(directory, wanted)
    with shelve.open(str(tmp_path / "shelf"), "r") as db:
        for id in wanted:
            assert (directory / id).read_bytes() == db.dict[id.encode()]

    back = sessions("export", "--store", f"directory:{directory}").stdout
    export("-", f"shelve:{tmp_path}/again", stdin=back)
    again = ShelveSessionStore(str(tmp_path / "again"))
    for id, session in wanted.items():
        same(again.load_session(id), session)
    with shelve.open(str(tmp_path / "again"), "r") as db:
        assert len(db) == len(wanted)


def test_nothing_in_a_shelf_is_unpickled(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "called"),)

    with shelve.open(str(tmp_path / "shelf")) as db:
        db["a"] = Trap()
    line = json.loads(export(f"shelve:{tmp_path}/shelf").stdout)
    assert line["id"] == "a" and "modified" not in line
    export(f"shelve:{tmp_path}/shelf", f"directory:{tmp_path}/directory")
    assert (tmp_path / "directory" / "a").exists() and not (tmp_path / "called").exists()


def test_durus_to_directory_and_back(tmp_path):
    from durus.connection import Connection
    from durus.file_storage import FileStorage
    from session3.store.DurusSessionStore import DurusSessionStore

    wanted = made(FEW)
    storage = FileStorage(str(tmp_path / "old.durus"))
    store = DurusSessionStore(Connection(storage))
    for session in wanted.values():
        store.save_session(session)
    storage.close()

    refused = export(f"durus:{tmp_path}/old.durus", code=2)
    assert "--unpickle" in refused.stderr and refused.stdout == ""
    lines = export("--unpickle", f"durus:{tmp_path}/old.durus").stdout
    directory = bring(tmp_path / "imported", lines)
    all_there(directory, wanted)

    export("--unpickle", f"directory:{directory}", f"durus:{tmp_path}/new.durus")
    storage = FileStorage(str(tmp_path / "new.durus"), readonly=True)
    again = DurusSessionStore(Connection(storage))
    assert set(again.sessions_dict.keys()) == set(wanted)
    for id, session in wanted.items():
        same(again.load_session(id), session)
    storage.close()


def durus_of(path, session):
    """Make a Durus file with one session, and return it."""
    from durus.connection import Connection
    from durus.file_storage import FileStorage
    from session3.store.DurusSessionStore import DurusSessionStore

    storage = FileStorage(str(path))
    DurusSessionStore(Connection(storage)).save_session(session)
    storage.close()
    return path


@pytest.fixture
def gone(monkeypatch):
    """A session of an application's class in a module that nobody else finds."""
    module = types.ModuleType("goneshop")
    exec("from session3.Session import Session\nclass Shop(Session): pass", vars(module))
    monkeypatch.setitem(sys.modules, "goneshop", module)
    session = module.Shop.__new__(module.Shop)
    session.__dict__.update(id="a", user="alonso")
    return session


def test_durus_without_the_applications_module(tmp_path, gone):
    file = durus_of(tmp_path / "old.durus", gone)
    out = export("--unpickle", f"durus:{file}", code=2)
    assert out.stdout == "" and len(out.stderr.splitlines()) == 1
    assert "No module named 'goneshop': set PYTHONPATH" in out.stderr


def test_durus_made_without_the_applications_module(tmp_path, gone):
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "a").write_bytes(pickle.dumps(gone))
    out = export("--unpickle", f"directory:{tmp_path}/old", f"durus:{tmp_path}/new.durus", code=1)
    assert "a...: No module named 'goneshop': set PYTHONPATH" in out.stderr


def test_files_that_are_no_stores(tmp_path):
    garbage = {
        "noise": random.Random(7).randbytes(5000),
        "empty": b"",
        "header": b"DFS20\0",
        "zeros": bytes(5000),
        "dumb.dat": b"hello",
        "dumb.dir": b"'a', (0, 5)\n'b', (x\n",
        "cut": durus_of(tmp_path / "whole", new(CLASSES[0], "a")).read_bytes()[:-40],
    }
    for name, data in garbage.items():
        (tmp_path / name).write_bytes(data)
    for kind in ("durus", "shelve", "directory"):
        for name in (*garbage, "dumb"):
            for target in ("-", f"directory:{tmp_path}/made"):
                out = export("--unpickle", f"{kind}:{tmp_path}/{name}", target, code=2)
                assert out.stdout == "" and len(out.stderr.splitlines()) == 1, (kind, name)
                assert name in out.stderr
    for kind in ("durus", "shelve", "directory"):
        make(tmp_path / "good", "a")
        out = export("--unpickle", f"directory:{tmp_path}/good", f"{kind}:{tmp_path}/noise", code=2)
        assert len(out.stderr.splitlines()) == 1 and "noise" in out.stderr
    for name, data in garbage.items():
        assert (tmp_path / name).read_bytes() == data
    assert not (tmp_path / "made").exists()


def test_directory_to_directory_keeps_bytes_and_times(tmp_path):
    for i in range(20):
        make(tmp_path / "old", f"s{i}", cls=CLASSES[i % 4], idle=i * 3600.123456789)
    (tmp_path / "old" / "not.a.session").write_bytes(b"")
    export(f"directory:{tmp_path}/old", f"directory:{tmp_path}/new")
    (tmp_path / "old" / "not.a.session").unlink()
    assert contents(tmp_path / "new") == contents(tmp_path / "old")
    imported = bring(tmp_path / "imported", export(f"directory:{tmp_path}/old").stdout)
    assert contents(imported) == contents(tmp_path / "old")
    back = sessions("export", "--store", f"directory:{tmp_path}/imported").stdout
    export("-", f"directory:{tmp_path}/back", stdin=back)
    assert contents(tmp_path / "back") == contents(tmp_path / "old")


def test_what_is_there_already_stays(tmp_path):
    make(tmp_path / "old", "a", user="old")
    make(tmp_path / "old", "b", user="old")
    make(tmp_path / "new", "a", user="new")
    out = export(f"directory:{tmp_path}/old", f"directory:{tmp_path}/new")
    assert "1 copied, 1 there already, 0 failed" in out.stderr
    assert load(tmp_path / "new", "a").user == "new" and load(tmp_path / "new", "b").user == "old"


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["shelve:missing"], "no such file"),
        (["directory:missing"], "does not exist"),
        (["durus:missing", "--unpickle"], "no such file"),
        (["oracle:x"], "want shelve:FILE"),
        (["mysql:shop", "--table", "a b"], "no name of a table"),
        (["postgres:shop", "--table", "a;b"], "no name of a table"),
        (["mysql://user:secret@host:port/shop"], "mysql: "),
        (["mysql://user:secret@host/shop?table=x"], "want mysql://USER@HOST"),
        (["postgres://user:secret@host:port/shop"], "port"),
        (["shelve:"], "want shelve:FILE"),
        (["-", "x"], "want shelve:FILE"),
        (["-", "--python2", "hex"], "no codec for text"),
        (["-", "--python2", "no-such"], "no codec"),
        (["directory:.", "directory:./x"], "inside of the other"),
        (["directory:x/../y", "directory:y"], "the same"),
        (["durus:x", "--unpickle", "--python2", "ascii"], "how Python 2 takes them out"),
        (["-", "--attribute", "a=utf-8"], "goes with --python2"),
        (["-", "--attribute", "a", "--python2", "ascii"], "want NAME=CODEC"),
    ],
)
def test_what_cannot_be_done(args, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = export(*args, code=2)
    assert message in out.stderr and out.stdout == "" and "Traceback" not in out.stderr
    assert "secret" not in out.stderr
    assert list(tmp_path.iterdir()) == []


def test_options_may_stand_anywhere(tmp_path):
    make(tmp_path / "s", "a")
    table = ["--table", "other"]
    export(f"directory:{tmp_path}/s", *table, f"directory:{tmp_path}/to")
    assert contents(tmp_path / "to") == contents(tmp_path / "s")
    assert json.loads(export(f"directory:{tmp_path}/s", *table).stdout)["id"] == "a"


def test_a_session_in_use_is_named_and_stops_nothing(tmp_path, monkeypatch, capsys):
    for id in "abc":
        make(tmp_path / "from", id)
    make(tmp_path / "to", "a")
    there = DirectorySessionStore(tmp_path / "to")
    lock = files.session_lock
    monkeypatch.setattr(files, "session_lock", lambda state_dir, id, wait: lock(state_dir, id, 0))
    with there.locked("a"), there.locked("b"):
        code = main([f"directory:{tmp_path}/from", f"directory:{tmp_path}/to"])
    said = capsys.readouterr().err
    assert code == 1 and "1 copied, 1 there already, 1 failed" in said
    assert "b...: " in said and "another process holds" in said
    assert set(contents(tmp_path / "to")) == {"a", "c"}


def test_a_full_disk(tmp_path):
    make(tmp_path / "s", "a")
    # What Python still has in its buffer at the end is what it fails over once more.
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "alforja.export", f"directory:{tmp_path}/s"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=buffered,
            text=True,
            timeout=60,
        )
    assert done.returncode == 2
    assert [line.split(": ")[0] for line in done.stderr.splitlines()] == ["alforja.export"]
    assert "No space left" in done.stderr


def test_bad_lines_are_named_and_stop_nothing(tmp_path):
    good = json.dumps(
        {"id": "a", "pickle": "Ti4=", "user": None, "modified": "1970-01-01T00:00:01Z"}
    )
    bad = [
        "{",
        "[]",
        '"x"',
        '{"id": "a"}',
        '{"pickle": "Ti4="}',
        '{"id": "../a", "pickle": "Ti4="}',
    ]
    bad += ['{"id": "b", "pickle": "T"}', '{"id": "b", "pickle": "Ti4=", "modified": "yesterday"}']
    bad += ['{"id": 5, "pickle": "Ti4="}', '{"id": "b", "pickle": 5}']
    bad += ['{"id": "b", "pickle": "Ti4=", "modified": "2024-99-01T00:00:01Z"}']
    out = export("-", f"directory:{tmp_path}/s", stdin="\n".join([*bad, "", good]), code=1)
    assert f"1 copied, 0 there already, {len(bad)} failed" in out.stderr
    for number in range(1, len(bad) + 1):
        assert f"line {number}: " in out.stderr
    assert contents(tmp_path / "s") == {"a": (b"N.", 10**9)}


def test_hostile_lines_are_named_and_stop_nothing(tmp_path):
    bad = [b"[" * 100_000, b"\xff\xfe\x00", b'{"id": "\xff", "pickle": "Ti4="}', b"9" * 100_000]
    late = b'{"id": "late", "pickle": "Ti4=", "modified": "9999-01-01T00:00:00Z"}'
    early = b'{"id": "early", "pickle": "Ti4=", "modified": "0999-01-01T00:00:00Z"}'
    done = subprocess.run(
        [sys.executable, "-m", "alforja.export", "-"],
        input=b"\n".join([*bad, late, early]),
        capture_output=True,
        timeout=60,
    )
    assert done.returncode == 1
    assert [line.split(b": ")[1] for line in done.stderr.splitlines()[:-1]] == [
        b"line %d" % number for number in range(1, len(bad) + 1)
    ]
    found = {line["id"]: line.get("modified") for line in map(json.loads, done.stdout.splitlines())}
    assert found == {"late": None, "early": "0999-01-01T00:00:00.000000000Z"}


def test_one_session_that_cannot_be_pickled_is_not_all_of_them(tmp_path):
    (tmp_path / "s").mkdir()
    deep = b"\x80\x04" + b"]\x94" * 5000 + b"a" * 4999 + b"."
    for i, state in enumerate((pickle.dumps([1]), deep, pickle.dumps([2]))):
        (tmp_path / "s" / f"s{i}").write_bytes(state)
    out = export("--unpickle", f"directory:{tmp_path}/s", f"durus:{tmp_path}/d", code=1)
    assert "2 copied, 0 there already, 1 failed" in out.stderr
    assert "s1...: RecursionError" in out.stderr and "Traceback" not in out.stderr
    assert "2 copied" in export("--unpickle", f"durus:{tmp_path}/d").stderr


def test_interrupted(tmp_path):
    command = [sys.executable, "-m", "alforja.export", "-", f"directory:{tmp_path}/s"]
    pipe = subprocess.PIPE

    def heed():  # a shell has what it runs in the background ignore it
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    waiting = subprocess.Popen(command, stdin=pipe, stderr=pipe, text=True, preexec_fn=heed)
    waiting.stdin.write('{"id": "a", "pickle": "Ti4="}\n' * 10_000)
    waiting.stdin.flush()
    wait_until(lambda: (tmp_path / "s" / "a").exists(), "the first line is imported")
    waiting.send_signal(signal.SIGINT)
    code = waiting.wait(60)
    assert code == 1 and waiting.stderr.read().splitlines() == [
        "alforja.export: interrupted; run it again, what TO has stays"
    ]
    waiting.stdin.close()


def test_a_reader_that_leaves(tmp_path):
    for i in range(300):
        make(tmp_path / "s", f"s{i}", blob="x" * 1000)
    command = f"{sys.executable} -m alforja.export directory:{tmp_path}/s | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert pickle.loads(base64.b64decode(json.loads(done.stdout)["pickle"]))
    assert "Traceback" not in done.stderr and "Broken" not in done.stderr
