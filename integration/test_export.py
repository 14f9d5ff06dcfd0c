"""`python3 -m alforja.export`: sessions of every old store, brought over and back."""

import base64
import json
import os
import pickle
import re
import shelve
import subprocess
import sys
import types

import pytest
from session3.store.ShelveSessionStore import ShelveSessionStore

from harness import APPS, BINARY, TREE
from stored_sessions import CLASSES, contents, lines, load, make, new, sessions

PYTHON2 = TREE / "pyclient" / "tests" / "testdata" / "python2.jsonl"


class Slots:
    __slots__ = ["name", "token"]


def export(*args, code=0, stdin=""):
    done = subprocess.run(
        [sys.executable, "-m", "alforja.export", *map(str, args)],
        capture_output=True,
        input=stdin,
        text=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(APPS)},
    )
    assert done.returncode == code, done
    return done


def made(count=40):
    """Sessions of every class, by id."""
    found = {}
    for i in range(count):
        session = found[f"id-{i}_{'x' * (i % 5)}"] = new(CLASSES[i % 4], f"id-{i}_{'x' * (i % 5)}")
        session.user = [None, "alonso", "é\u20ac", ("a", 1)][i // 4 % 4]
        session.blob = bytes(range(256)) * i
    return found


def same(loaded, expected):
    assert type(loaded) is type(expected)
    assert vars(loaded) == vars(expected)


@pytest.fixture
def bring(tmp_path):
    """Import JSON Lines into a new directory, and return it."""

    def into(text, *flags):
        target = tmp_path / "imported"
        sessions("import", "--store", f"directory:{target}", "--yes", *flags, stdin=text)
        return target

    return into


def test_shelf_to_directory_and_back(tmp_path, bring):
    wanted = made()
    shelf = ShelveSessionStore(str(tmp_path / "shelf"))
    for session in wanted.values():
        shelf.save_session(session)
    out = export(f"shelve:{tmp_path}/shelf")
    assert "40 copied, 0 there already, 0 failed" in out.stderr
    directory = bring(out.stdout)
    assert {p.name for p in directory.iterdir()} == set(wanted)
    with shelve.open(str(tmp_path / "shelf"), "r") as db:
        for id, session in wanted.items():
            assert (directory / id).read_bytes() == db.dict[id.encode()]
            same(load(directory, id), session)

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


def test_durus_to_directory_and_back(tmp_path, bring):
    from durus.connection import Connection
    from durus.file_storage import FileStorage
    from session3.store.DurusSessionStore import DurusSessionStore

    wanted = made()
    storage = FileStorage(str(tmp_path / "old.durus"))
    store = DurusSessionStore(Connection(storage))
    for session in wanted.values():
        store.save_session(session)
    storage.close()

    refused = export(f"durus:{tmp_path}/old.durus", code=2)
    assert "--unpickle" in refused.stderr and refused.stdout == ""
    directory = bring(export("--unpickle", f"durus:{tmp_path}/old.durus").stdout)
    assert {p.name for p in directory.iterdir()} == set(wanted)
    for id, session in wanted.items():
        same(load(directory, id), session)

    export("--unpickle", f"directory:{directory}", f"durus:{tmp_path}/new.durus")
    storage = FileStorage(str(tmp_path / "new.durus"), readonly=True)
    again = DurusSessionStore(Connection(storage))
    assert set(again.sessions_dict.keys()) == set(wanted)
    for id, session in wanted.items():
        same(again.load_session(id), session)
    storage.close()


def test_directory_to_directory_keeps_bytes_and_times(tmp_path, bring):
    for i in range(20):
        make(tmp_path / "old", f"s{i}", cls=CLASSES[i % 4], idle=i * 3600.123456789)
    (tmp_path / "old" / "not.a.session").write_bytes(b"")
    export(f"directory:{tmp_path}/old", f"directory:{tmp_path}/new")
    (tmp_path / "old" / "not.a.session").unlink()
    assert contents(tmp_path / "new") == contents(tmp_path / "old")
    assert contents(bring(export(f"directory:{tmp_path}/old").stdout)) == contents(tmp_path / "old")
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


def test_python2_sessions_reach_session3(tmp_path, bring, monkeypatch):
    """session2's directory -> JSON Lines -> the store -> session3's names -> session3 and Go."""
    shop = {"shop": {}, "shop.cart": {"Cart": type("Cart", (), {})}, "shop.slots": {"Slots": Slots}}
    for name, classes in shop.items():
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
        vars(sys.modules[name]).update(classes)
    old = tmp_path / "session2"
    old.mkdir()
    for line in map(json.loads, PYTHON2.read_text().splitlines()):
        name = f"{line['name']}-{line['protocol']}"
        (old / name).write_bytes(bytes.fromhex(line["hex"]))
    out = export(f"directory:{old}", "--python2", "ascii", code=1)
    assert "3 copied, 0 there already, 6 failed" in out.stderr
    flags = ["--python2", "utf-8"]
    for name in ("digest", "digests", "blob", "token"):
        flags += ["--attribute", f"{name}=bytes"]
    directory = bring(export(f"directory:{old}", *flags).stdout)
    store = ["--store", f"directory:{directory}"]
    renaming = ["--yes", "--undo", tmp_path / "undo.jsonl", "session2.*", "session3.*"]
    sessions("edit-class", *store, *renaming)
    for protocol in (0, 1, 2):
        plain = load(directory, f"plain-{protocol}")
        assert type(plain) is CLASSES[0]
        assert (plain.user, plain.count, plain.big, plain.small) == ("éva", 5, 1 << 70, 7)
        assert plain.when.microsecond == 250 and str(plain.price) == "12.50"
        mixed = load(directory, f"mixed-{protocol}")
        assert mixed.title == "Café" and mixed.digest == b"\xff\x00\x80"
        assert mixed.digests == [b"\xff\x01", (b"nested", b"\xff\x02")]
        cart = load(directory, f"cart-{protocol}")
        assert type(cart) is CLASSES[1] and cart["note"] == "señor"
        assert vars(cart["cart"]) == {"items": {"lance": 2, "café": 1}, "digest": b"\xff\x03"}
    listed = lines("list", *store, "--json")
    assert len(listed) == 9 and not any("error" in entry for entry in listed)
    assert {entry["user"] for entry in listed} == {"éva"}
    sessions("verify", *store, "--second-opinion")


def commands(heading):
    """The commands in a section of the guide."""
    guide = (TREE / "docs" / "migrating.md").read_text()
    section = guide.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    found = [line[4:] for line in section.splitlines() if line.startswith("    ")]
    python = re.findall("```python\n(.*?)```", section, re.S)
    return [x for x in found if x.startswith(("alforja ", "python3 "))], python


@pytest.mark.parametrize("heading", ["From session3", "From session2", "From other stores"])
def test_the_commands_of_the_guide(heading, tmp_path):
    from durus.connection import Connection
    from durus.file_storage import FileStorage
    from session3.store.DurusSessionStore import DurusSessionStore

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "alforja").symlink_to(BINARY)
    if heading == "From session3":
        for i in range(8):
            make(tmp_path / "sessions", f"s{i}", cls=CLASSES[i % 4])
    elif heading == "From session2":
        (tmp_path / "old").mkdir()
        line = json.loads(PYTHON2.read_text().splitlines()[0])
        (tmp_path / "old" / "a").write_bytes(bytes.fromhex(line["hex"]))
    else:
        storage = FileStorage(str(tmp_path / "sessions.durus"))
        old = [
            ShelveSessionStore(str(tmp_path / "sessions.shelf")),
            DurusSessionStore(Connection(storage)),
        ]
        for i, session in enumerate(made(8).values()):
            old[i % 2].save_session(session)
        storage.close()
    shell, python = commands(heading)
    assert len(shell) >= 2
    search = [str(tmp_path / "bin"), os.path.dirname(sys.executable), os.environ["PATH"]]
    environ = {**os.environ, "PATH": os.pathsep.join(search), "PYTHONPATH": str(APPS)}
    for command in shell:
        subprocess.run(["sh", "-c", command], check=True, timeout=60, cwd=tmp_path, env=environ)
    count = {"From session3": 8, "From session2": 1, "From other stores": 8}[heading]
    assert len(list((tmp_path / "sessions").iterdir())) == count
    if heading == "From session3":
        code = "import alforja\n" + python[0]
        subprocess.run(
            [sys.executable, "-c", code], check=True, timeout=60, cwd=tmp_path, env=environ
        )
        assert all(load(tmp_path / "sessions", f"s{i}").newsletter is False for i in range(8))
    if heading == "From other stores":
        assert contents(tmp_path / "copy") == contents(tmp_path / "sessions")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["shelve:missing"], "no such file"),
        (["directory:missing"], "does not exist"),
        (["durus:missing", "--unpickle"], "no such file"),
        (["mysql:x"], "want shelve:FILE"),
        (["shelve:"], "want shelve:FILE"),
        (["-", "x"], "want shelve:FILE"),
        (["-", "--python2", "hex"], "no codec for text"),
        (["-", "--python2", "no-such"], "no codec"),
        (["-", "--attribute", "a=utf-8"], "goes with --python2"),
        (["-", "--attribute", "a", "--python2", "ascii"], "want NAME=CODEC"),
    ],
)
def test_what_cannot_be_done(args, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    out = export(*args, code=2)
    assert message in out.stderr and out.stdout == "" and "Traceback" not in out.stderr
    assert list(tmp_path.iterdir()) == []


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


def test_a_reader_that_leaves(tmp_path):
    for i in range(300):
        make(tmp_path / "s", f"s{i}", blob="x" * 1000)
    command = f"{sys.executable} -m alforja.export directory:{tmp_path}/s | head -n 1"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, timeout=60)
    assert pickle.loads(base64.b64decode(json.loads(done.stdout)["pickle"]))
    assert "Traceback" not in done.stderr and "Broken" not in done.stderr
