"""`alforja sessions`: every command on real sessions of session3 and Quixote."""

import base64
import fcntl
import json
import os
import pickle
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from harness import BINARY, Client, concurrently, wait_until
from stored_sessions import CLASSES, contents, lines, load, make, sessions, testapp


@pytest.fixture
def some(tmp_path):
    """A directory with twelve sessions, three of each class."""
    directory = tmp_path / "some"
    for i in range(12):
        user = [None, "alonso", "sancho", ("a", 1)][i % 4]
        make(directory, f"id-{i}", user, CLASSES[i % 3], age=i * 3600, idle=i * 60)
    return directory


def test_list_says_what_python_sees(some):
    listed = {x["id"]: x for x in lines("list", "--store", f"directory:{some}", "--json")}
    assert len(listed) == 12
    for id, entry in listed.items():
        session, path = load(some, id), some / id
        user = session.user if not isinstance(session.user, tuple) else "<tuple>"
        assert entry["user"] == user
        assert entry["class"] == f"{type(session).__module__}.{type(session).__name__}"
        assert entry["protocol"] == 4
        assert entry["size"] == path.stat().st_size
        assert entry["modified"].endswith("Z")
        assert "error" not in entry


@pytest.mark.parametrize(
    ("flags", "ids"),
    [
        (["--user", "alonso"], {1, 5, 9}),
        (["--user", "<tuple>"], {3, 7, 11}),
        (["--class", "session3.DictSession.DictSession"], {1, 4, 7, 10}),
        (["--min-age", "9h30m"], {10, 11}),
        (["--max-age", "90m"], {0, 1}),
        (["--min-idle", "570s"], {10, 11}),
        (["--max-idle", "90s"], {0, 1}),
        (["--min-size", "1000"], set()),
        (["--user", "alonso", "--min-age", "4h30m"], {5, 9}),
        (["--broken"], set()),
    ],
)
def test_list_filters(some, flags, ids):
    listed = lines("list", "--store", f"directory:{some}", "--json", *flags)
    assert {x["id"] for x in listed} == {f"id-{i}" for i in ids}


def test_list_sorts(some):
    def ids(*flags):
        return [x["id"] for x in lines("list", "--store", f"directory:{some}", "--json", *flags)]

    oldest_first = [f"id-{i}" for i in reversed(range(12))]
    assert ids("--sort", "modified") == oldest_first
    assert ids("--sort", "created", "--reverse") == oldest_first[::-1]
    assert ids("--sort", "modified", "--limit", "2") == oldest_first[:2]
    sizes = [(some / id).stat().st_size for id in ids("--sort", "size")]
    assert sizes == sorted(sizes)
    table = sessions("list", "--store", f"directory:{some}", "--sort", "id").stdout.splitlines()
    assert table[0].split() == ["ID", "USER", "CLASS", "PROTO", "SIZE", "MODIFIED"]
    assert [line.split()[0] for line in table[1:]] == sorted(oldest_first)


def test_a_broken_session_stops_no_listing(some):
    (some / "empty").write_bytes(b"")
    (some / "torn").write_bytes((some / "id-1").read_bytes()[:50])
    (some / "huge").write_bytes(b"x" * (5 << 20))
    (some / "hostile").write_bytes(pickle.dumps(os.system, 4))
    listed = {x["id"]: x for x in lines("list", "--store", f"directory:{some}", "--json")}
    assert len(listed) == 16
    assert {id for id, x in listed.items() if "error" in x} == {"empty", "torn", "huge", "hostile"}
    assert listed["torn"]["class"] is None
    broken = lines("list", "--store", f"directory:{some}", "--json", "--broken", "--sort", "size")
    assert len(broken) == 4


def test_names_do_not_reach_the_terminal(tmp_path):
    directory = tmp_path / "s"
    make(directory, "a", user="\x1b[2Jeve\x9b31m\u202e")
    for args in (["list"], ["list", "--json"], ["show", "a"], ["show", "a", "--json"]):
        out = sessions(*args, "--store", f"directory:{directory}").stdout
        assert "eve" in out
        assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", out), args


def test_show(some):
    store = ["--store", f"directory:{some}"]
    assert (
        sessions("show", *store, "--raw", "id-1", text=False).stdout == (some / "id-1").read_bytes()
    )
    tree = sessions("show", *store, "id-1").stdout
    assert '"$class": "session3.DictSession.DictSession"' in tree
    assert re.search(r"^user +alonso$", tree, re.M)
    expected = subprocess.run(
        [sys.executable, "-m", "pickletools", some / "id-1"],
        capture_output=True,
        text=True,
        check=True,
    )
    dis = sessions("show", *store, "--dis", "id-1").stdout
    assert re.sub(" +# imports.*", "", dis) == expected.stdout
    (shown,) = lines("show", *store, "--json", "id-1")
    assert shown["value"]["state"]["user"] == shown["user"] == "alonso"
    assert "no session" in sessions("show", *store, "id-99", code=1).stderr
    assert "no session" in sessions("show", *store, "--", "-x", code=1).stderr
    (some / "torn").write_bytes((some / "id-1").read_bytes()[:50])
    assert sessions("show", *store, "--raw", "torn", text=False).stdout
    for flags in ([], ["--dis"], ["--json"]):
        done = sessions("show", *store, *flags, "torn", code=1)
        assert "session tor" in done.stderr
        assert done.stdout


def test_delete(some):
    store = ["--store", f"directory:{some}"]
    done = sessions("delete", *store, "id-0", code=2)
    assert "--yes" in done.stderr
    assert (some / "id-0").exists()
    assert "1 deleted" in sessions("delete", *store, "--yes", "id-0").stdout
    assert not (some / "id-0").exists()
    (counts,) = lines("delete", *store, "--yes", "--json", "id-0", "id-1")
    assert counts == {"deleted": 1, "not_found": 1, "failed": 0}
    sessions("delete", *store, "--yes", "id-0", code=1)
    sessions("delete", *store, "--yes", "../evil", code=2)
    (counts,) = lines("delete", *store, "--yes", "--json", "--user", "alonso")
    assert counts == {"deleted": 2, "not_found": 0, "failed": 0}
    assert {p.name for p in some.iterdir()} == {f"id-{i}" for i in (2, 3, 4, 6, 7, 8, 10, 11)}


def test_expire(some):
    def expire(*flags):
        (counts,) = lines("expire", "--store", f"directory:{some}", "--json", *flags)
        return counts

    nothing = {"failed": 0, "in_use": 0}
    assert expire("--idle", "570s", "--dry-run") == {
        **nothing,
        "deleted": 2,
        "remaining": 10,
        "dry_run": True,
    }
    assert expire("--idle", "570s", "--age", "30m", "--dry-run")["deleted"] == 11
    assert len(list(some.iterdir())) == 12
    assert (
        "--yes" in sessions("expire", "--store", f"directory:{some}", "--idle", "1m", code=2).stderr
    )
    assert expire("--idle", "570s", "--yes") == {
        **nothing,
        "deleted": 2,
        "remaining": 10,
        "dry_run": False,
    }
    assert {p.name for p in some.iterdir()} == {f"id-{i}" for i in range(10)}
    assert expire("--age", "90m", "--yes")["deleted"] == 8
    assert {p.name for p in some.iterdir()} == {"id-0", "id-1"}
    sessions("expire", "--store", f"directory:{some}", "--yes", code=2)


def test_expire_leaves_what_is_being_saved(some):
    """A session3 process has the file's flock, and saves while the command may be waiting for it."""
    path = some / "id-11"
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        store = ["--store", f"directory:{some}"]
        command = [BINARY, "sessions", "expire", *store, "--idle", "650s", "--yes"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as expiring:
            wait_until(
                lambda: expiring.poll() is not None or has_open(expiring.pid, path),
                "the command opens the file",
            )
            state = path.read_bytes()
            file.write(state)
            file.flush()
            fcntl.flock(file, fcntl.LOCK_UN)
            said, _ = expiring.communicate(timeout=60)
    assert path.read_bytes() == state
    assert said == "0 deleted, 12 remain (1 in use), 0 failed\n"


def has_open(pid, path):
    try:
        return any(os.path.realpath(fd) == str(path) for fd in Path(f"/proc/{pid}/fd").iterdir())
    except OSError:  # it has ended, or closed one just now
        return False


def test_verify(some):
    store = ["--store", f"directory:{some}"]
    assert sessions("verify", *store).stdout == "12 sessions, 0 failed\n"
    (some / "torn").write_bytes((some / "id-1").read_bytes()[:50])
    (some / "hostile").write_bytes(pickle.dumps(os.system, 4))
    os.utime(some / "torn", (0, 0))
    done = sessions("verify", *store, code=1)
    assert re.search("^torn: ", done.stdout, re.M)
    assert re.search(r"^hostile: .*posix\.system", done.stdout, re.M)
    assert "14 sessions, 2 failed" in done.stdout
    assert "1 failed" in sessions("verify", *store, "--policy", "report", code=1).stdout
    assert "1 failed" in sessions("verify", *store, "--allow", "posix.system", code=1).stdout
    sessions("verify", *store, "--quarantine", code=2)
    *failed, counts = lines("verify", *store, "--quarantine", "--yes", "--json", code=1)
    assert {x["id"] for x in failed if x["set_aside"]} == {"torn", "hostile"}
    assert counts == {"sessions": 14, "failed": 2, "set_aside": 2, "doubted": 0}
    assert len(list(some.iterdir())) == 12
    aside = some.with_name("some.alforja") / "corrupt"
    assert {p.name.split(".")[0] for p in aside.iterdir()} == {"torn", "hostile"}
    assert sessions("verify", *store).stdout == "12 sessions, 0 failed\n"


def test_second_opinion_changes_no_exit_code(some):
    # gopickle panics on bytes in a set; Python and alforja do not.
    make(some, "set", cls=testapp.ShopSession, cart=[{b"x"}])
    done = sessions("verify", "--store", f"directory:{some}", "--second-opinion")
    assert re.search("^set: second opinion: gopickle", done.stdout, re.M)
    assert "13 sessions, 0 failed, 1 doubted" in done.stdout


def test_globals(some):
    make(some, "shop", cls=testapp.ShopSession)
    (some / "hostile").write_bytes(pickle.dumps([os.system, "a\nb"], 4))
    out = sessions("globals", "--store", f"directory:{some}").stdout
    if sys.version_info >= (3, 11):
        import tomllib

        assert tomllib.loads(out) == {"allow": ["testapp.ShopSession"]}
    assert re.search(r'^  # "posix\.system",  # refused: ', out, re.M)
    counted = {x["name"]: x for x in lines("globals", "--store", f"directory:{some}", "--json")}
    assert counted["session3.Session.Session"]["sessions"] == 4
    assert counted["testapp.ShopSession"]["roles"] == {"class": 1}
    assert not counted["posix.system"]["allowed"]
    assert counted["posix.system"]["reason"]


@pytest.mark.parametrize("form", [[], ["--tar"]])
def test_export_and_import_are_lossless(some, tmp_path, form):
    (some / "torn").write_bytes(b"\x80\x04torn")
    file = tmp_path / "file"
    sessions("export", "--store", f"directory:{some}", *form, file)
    assert file.stat().st_mode & 0o777 == 0o600
    sessions("export", "--store", f"directory:{some}", *form, file, code=1)
    if form:
        with tarfile.open(file) as archive:
            assert {m.name for m in archive} == {p.name for p in some.iterdir()}
    else:
        for line in map(json.loads, file.read_text().splitlines()):
            assert base64.b64decode(line["pickle"]) == (some / line["id"]).read_bytes()
            assert ("error" in line) == (line["id"] == "torn")
    copy = tmp_path / "copy"
    done = sessions("import", "--store", f"directory:{copy}", *form, file, code=1)
    assert re.search(r"(line|entry) \d+: ", done.stderr)
    assert "12 created" in done.stdout
    (some / "torn").unlink()
    assert contents(copy) == contents(some)
    again = tmp_path / "again"
    piped = sessions("export", "--store", f"directory:{some}", *form, text=False).stdout
    sessions("import", "--store", f"directory:{again}", "-", stdin=piped, text=False)
    assert contents(again) == contents(some)


@pytest.mark.parametrize("form", [[], ["--tar"]])
def test_export_of_nothing_is_imported(tmp_path, form):
    (tmp_path / "none").mkdir()
    file = tmp_path / "file"
    sessions("export", "--store", f"directory:{tmp_path / 'none'}", *form, file)
    assert (
        "0 created" in sessions("import", "--store", f"directory:{tmp_path / 'new'}", file).stdout
    )


def test_import_overwrites_only_what_is_older(some, tmp_path):
    file = tmp_path / "file"
    sessions("export", "--store", f"directory:{some}", file)
    make(some, "id-1", user="dulcinea")
    store = ["--store", f"directory:{some}"]
    assert "1 newer" in sessions("import", *store, file).stdout
    assert load(some, "id-1").user == "dulcinea"
    sessions("import", *store, "--overwrite", file, code=2)
    sessions("import", *store, "--overwrite", "--yes", file)
    assert load(some, "id-1").user == "alonso"


def test_edit_class(some, tmp_path, monkeypatch):
    for i in range(3):
        make(some, f"shop-{i}", user="x", cart=["lanza", i], idle=1000)
    before = contents(some)
    store, undo = ["--store", f"directory:{some}"], tmp_path / "undo"
    names = ["testapp.ShopSession", "newshop.models.Session"]
    done = sessions("edit-class", *store, "--dry-run", *names)
    assert (
        '-  "$class": "testapp.ShopSession",\n+  "$class": "newshop.models.Session",' in done.stdout
    )
    assert "3 would change, 12 would not, 0 would fail" in done.stdout
    assert contents(some) == before
    sessions("edit-class", *store, *names, code=2)
    assert (
        "3 changed, 12 unchanged"
        in sessions("edit-class", *store, "--yes", "--undo", undo, *names).stdout
    )
    renamed = type("Session", (testapp.ShopSession,), {})
    module = type(sys)("newshop.models")
    module.Session = renamed
    monkeypatch.setitem(sys.modules, "newshop", type(sys)("newshop"))
    monkeypatch.setitem(sys.modules, "newshop.models", module)
    after = contents(some)
    for id, (data, mtime) in before.items():
        session = load(some, id)
        if id.startswith("shop"):
            assert type(session) is renamed
            assert session.cart == ["lanza", int(id[-1])]
            assert after[id][1] == mtime
        else:
            assert after[id] == (data, mtime)
    assert len(undo.read_text().splitlines()) == 3
    sessions("import", *store, "--overwrite", "--yes", undo)
    assert contents(some) == before


def test_edit_class_makes_nothing_that_a_gateway_refuses(some, tmp_path):
    before = contents(some)
    args = ["--yes", "--undo", tmp_path / "undo", "session3.Session.Session", "os.system"]
    done = sessions("edit-class", "--store", f"directory:{some}", *args, code=1)
    assert "4 failed" in done.stdout
    assert contents(some) == before
    assert not (tmp_path / "undo").exists()


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["lst"], 2, "did you mean list?"),
        (["list"], 2, "--store directory:PATH"),
        (["list", "--store", "memory:"], 2, "ends with its process"),
        (["list", "--store", "directory:/no/such"], 1, "no such directory"),
        (["export", "--store", "directory:/no/such", "/tmp/x"], 1, "no such directory"),
        (["copy", "directory:/no/such", "directory:/tmp/x"], 1, "no such directory"),
        (["copy", "directory:/tmp/x", "directory:/tmp/../tmp/x"], 2, "same store"),
        (["copy", "directory:/tmp/x"], 2, "FROM and TO"),
        (["list", "--store", "directory:/tmp", "--sort", "sze"], 2, "--sort"),
        (["list", "--store", "directory:/tmp", "--reverse"], 2, "--sort"),
        (["copy", "/tmp/x", "/tmp/y"], 2, "unknown store"),
        (["show", "--store", "directory:/tmp"], 2, "an ID"),
        (["show", "--store", "directory:/tmp", "../x"], 2, "no session id"),
        (["show", "--store", "directory:/tmp", "-x"], 2, "behind --"),
        (["delete", "--store", "directory:/tmp"], 2, "IDs or --user"),
        (["delete", "--store", "directory:/tmp", "--user", "", "--yes"], 2, "expire"),
        (["delete", "--store", "directory:/tmp", "--user", "-", "--yes"], 2, "expire"),
        (["delete", "--store", "directory:/tmp", "--user", "<tuple>", "--yes"], 2, "by ID"),
        (["delete", "--store", "directory:/tmp", "--user", "<shop.User>"], 2, "by ID"),
        (["expire", "--store", "directory:/tmp"], 2, "--idle or --age"),
        (["expire", "--store", "directory:/tmp", "--age", "1d"], 2, "a day is 24h"),
        (["expire", "--store", "directory:/tmp", "--idle", "30"], 2, "h, m, s"),
        (["list", "--store", "directory:/tmp", "--min-age", "1d"], 2, "a day is 24h"),
        (["list", "--store", "directory:/tmp", "--min-size", "1k"], 2, "a number of bytes"),
        (["list", "--store", "directory:/tmp", "--min-size", "-1"], 2, "below 0"),
        (["list", "--store", "directory:/tmp", "--max-idle", "-1s"], 2, "below 0"),
        (["list", "--store", "directory:/tmp", "--limit", "-1"], 2, "below 0"),
        (["copy", "directory:/tmp", "directory:/tmp/x"], 2, "inside of the other"),
        (["copy", "directory:/tmp", "directory:/"], 2, "inside of the other"),
        (["edit-class", "--store", "directory:/tmp", "a", "b"], 2, "module.Class"),
        (["import", "--store", "directory:/tmp/x", "/no/such"], 1, "/no/such"),
        (["verify", "--store", "directory:/tmp", "--policy", "lax"], 2, "--policy"),
    ],
)
def test_errors_say_what_to_do(args, code, says):
    done = sessions(*args, code=code)
    assert says in done.stderr
    assert done.stderr.count("\n") <= 2, done.stderr
    assert done.stdout == ""
    assert not os.path.exists("/no")
    assert not os.path.exists("/tmp/x")


@pytest.mark.parametrize(
    "args",
    [
        ["delete", "--yes", "a"],
        ["verify"],
        ["import", "/dev/null"],
        ["edit-class", "--dry-run", "shop.A", "shop.B"],
        ["list"],
        ["globals"],
        ["export"],
    ],
    ids=lambda args: args[0],
)
def test_a_full_disk_is_an_error(tmp_path, args):
    make(tmp_path / "s", "a")
    with open("/dev/full", "w") as full:
        command = [BINARY, "sessions", *args, "--store", f"directory:{tmp_path}/s"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60)
    assert done.returncode == 1 and "no space left on device" in done.stderr


def test_a_long_name_does_not_fill_the_screen(tmp_path):
    make(tmp_path / "s", "a", user="x" * 100_000)
    store = ["--store", f"directory:{tmp_path}/s"]
    assert max(map(len, sessions("list", *store).stdout.splitlines())) < 200
    assert len(lines("list", *store, "--json")[0]["user"]) == 100_000


@pytest.mark.parametrize("user", ["x" * 100, "esc\x1b[2J\u202e", "- ", "<a", "5", 5, "é\U0001f40e"])
def test_any_user_can_be_named_as_json_has_it(tmp_path, user):
    make(tmp_path / "s", "a", user=user)
    make(tmp_path / "s", "b", user="other")
    store = ["--store", f"directory:{tmp_path}/s"]
    named = {line["id"]: line["user"] for line in lines("list", *store, "--json")}["a"]
    assert [line["id"] for line in lines("list", *store, "--json", "--user", named)] == ["a"]
    assert "1 deleted" in sessions("delete", *store, "--yes", "--user", named).stdout
    assert [path.name for path in (tmp_path / "s").iterdir()] == ["b"]


def test_files_are_not_made_among_the_sessions(some):
    rename = ["edit-class", "--store", f"directory:{some}", "--yes", "testapp.*", "shop.*"]
    before = contents(some)
    done = sessions(*rename, "--undo", some / "undo.jsonl", code=2)
    assert "outside of it" in done.stderr and contents(some) == before
    done = sessions("export", "--store", f"directory:{some}", some / "backup", code=2)
    assert "outside of it" in done.stderr and contents(some) == before


def test_help_has_examples():
    listed = re.findall(r"^  ([a-z-]+)  ", sessions("--help").stdout, re.M)
    commands = [c for c in listed if c not in ("alforja",)]
    assert len(commands) >= 10
    for command in commands:
        assert "Examples:" in sessions(command, "--help").stdout, command


def test_configuration_file(some, tmp_path):
    config = tmp_path / "alforja.toml"
    config.write_text(
        f'store = "directory:{some}"\nallow = ["posix.system"]\nhttp = [":0"]\ncommand = ["true"]\n'
    )
    (some / "hostile").write_bytes(pickle.dumps(os.system, 4))
    assert "13 sessions, 0 failed" in sessions("verify", "--config", config).stdout
    other = tmp_path / "other"
    other.mkdir()
    assert sessions(
        "verify", "--config", config, "--store", f"directory:{other}"
    ).stdout.startswith("0 s")


@pytest.fixture
def costly(tmp_path):
    """A directory with one session that gateways serve, and that takes more memory to be looked into."""
    make(tmp_path / "costly", "big", "alonso", seen=[[] for _ in range(1_300_000)])
    return tmp_path / "costly"


def test_delete_says_whom_it_cannot_look_at(costly):
    store = ["--store", f"directory:{costly}"]
    sessions("verify", *store)
    assert "may be theirs" in sessions("delete", *store, "--yes", "--user", "alonso", code=1).stderr
    assert (costly / "big").exists()
    sessions("delete", *store, "--yes", "big")
    assert not (costly / "big").exists()


def test_verify_by_the_configured_memory(costly, tmp_path):
    config = tmp_path / "alforja.toml"
    config.write_text(f"store = 'directory:{costly}'\nsession_memory = '8M'\n")
    assert "MaxMemory" in sessions("verify", "--config", config, code=1).stdout
    [listed] = lines("list", "--config", config, "--json")
    assert "MaxMemory" in listed["error"]


def test_a_deleted_session_stays_deleted(gateway, tmp_path):
    """delete waits for the request that has the session, and its save brings nothing back."""
    g = gateway("--workers", "2")
    browser = Client(g.http)
    browser.post("/login", {"name": "alonso"})
    started = tmp_path / "started"

    def slow(_):
        return browser.get(f"/sleep?ms=700&touch={started}").status

    def delete(_):
        wait_until(started.exists, "the request runs")
        return sessions(
            "delete", "--store", f"directory:{g.sessions}", "--user", "alonso", "--yes"
        ).stdout

    results = concurrently(2, lambda i: [slow, delete][i](i))
    assert results[0] == 200
    assert "1 deleted" in results[1]
    assert not list(g.sessions.iterdir())
    assert browser.get("/whoami").json()["user"] is None
