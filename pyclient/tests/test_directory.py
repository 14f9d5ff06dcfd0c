"""DirectorySessionStore: what it does that session3's does, and what it does better."""

from __future__ import annotations

import fcntl
import logging
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from types import SimpleNamespace

import pytest
from quixote import get_session, get_session_manager
from session3.store import DirectorySessionStore as session3_directory

import alforja
from alforja import files, locks
from apps import session3_app

VISIT = """
import sys
from types import SimpleNamespace
import alforja
store = alforja.DirectorySessionStore(sys.argv[1])
"""


@pytest.fixture
def store(tmp_path):
    return alforja.DirectorySessionStore(tmp_path / "sessions", create=True)


@pytest.fixture
def session3(store):
    return session3_directory.DirectorySessionStore(store.directory)


@pytest.fixture
def running():
    """Start Python code in a process of its own, which prints a line when it is there."""
    started = []

    def start(code, *arguments):
        process = subprocess.Popen(
            [sys.executable, "-c", code, *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()


def session(id, **attributes):
    return SimpleNamespace(id=id, **attributes)


def file(store, id):
    return os.path.join(store.directory, id)


def put(store, id, content, age=0.0):
    with open(file(store, id), "wb") as out:
        out.write(content)
    then = time.time() - age
    os.utime(file(store, id), (then, then))


def content(store, id):
    with open(file(store, id), "rb") as out:
        return out.read()


@pytest.mark.parametrize("size", [0, 100, 4000, 4090, 5000, 100_000])
@pytest.mark.parametrize("old_size", [None, 0, 4000, 5000, 100_000])
def test_session3_reads_what_is_saved_and_the_reverse(store, session3, size, old_size):
    if old_size is not None:
        session3.save_session(session("a", text="x" * old_size))
    store.save_session(session("a", text="y" * size))
    assert session3.load_session("a") == store.load_session("a") == session("a", text="y" * size)
    assert content(store, "a") == pickle.dumps(session("a", text="y" * size), 4)
    assert os.listdir(store.directory) == ["a"]
    tmp = os.path.join(store.state_dir, "tmp")
    assert not os.path.exists(tmp) or os.listdir(tmp) == []


def test_a_small_save_keeps_the_inode(store):
    store.save_session(session("a", text="long"))
    inode = os.stat(file(store, "a")).st_ino
    store.save_session(session("a", text=""))
    assert os.stat(file(store, "a")).st_ino == inode


def test_a_replaced_file_keeps_its_mode(store):
    store.save_session(session("a"))
    assert os.stat(file(store, "a")).st_mode & 0o777 == 0o600
    os.chmod(file(store, "a"), 0o640)
    store.save_session(session("a", text="x" * 5000))
    assert os.stat(file(store, "a")).st_mode & 0o777 == 0o640


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_what_root_makes_is_the_directorys_owners(store):
    os.chown(store.directory, 4242, -1)
    with store.locked("a"):
        store.save_session(session("a"))
    state = store.state_dir
    made = [file(store, "a"), state, os.path.join(state, "tmp"), os.path.join(state, "lock")]
    assert [os.stat(path).st_uid for path in made] == [4242] * 4
    # A link in place of the lock's file gives nothing away.
    target = os.path.join(store.directory, "..", "target")
    with open(target, "wb"):
        pass
    os.unlink(made[-1])
    os.symlink(target, made[-1])
    with store.locked("a"):
        pass
    assert os.stat(target).st_uid == 0


@pytest.mark.parametrize(("of_the_group", "mode"), [(True, 0o660), (False, 0o600)])
def test_a_file_of_another_user_is_replaced_by_our_own(store, monkeypatch, of_the_group, mode):
    store.save_session(session("a"))
    os.chmod(file(store, "a"), 0o660)
    calls = []

    def fchown(fd, uid, gid):
        calls.append((uid, gid))
        if uid != -1 or not of_the_group:
            raise PermissionError

    of_another = os.stat_result((0o100660, 0, 0, 1, os.getuid() + 1, os.getgid() + 1, *[0] * 4))
    monkeypatch.setattr(os, "fchown", fchown)
    with open(file(store, "a"), "rb") as ours:
        files._take_after(ours.fileno(), of_another)
        assert os.fstat(ours.fileno()).st_mode & 0o777 == mode
    assert calls == [(of_another.st_uid, of_another.st_gid), (-1, of_another.st_gid)]


@pytest.mark.parametrize("id", ["../evil", "", ".", "..", "a/b", "a\n", "a" * 129, "é", None, 7])
def test_what_is_no_id_touches_nothing(store, id):
    evil = os.path.join(store.directory, "..", "evil")
    with open(evil, "wb") as out:
        out.write(pickle.dumps(session("evil")))
    assert store.load_session(id, "none") == "none"
    assert store.has_session(id) is False
    store.delete_session(session(id))
    with pytest.raises(ValueError, match="not a session id"):
        store.save_session(session(id))
    with pytest.raises(ValueError, match="not a session id"), store.locked(id):
        pass
    assert os.path.exists(evil) and os.listdir(store.directory) == []


@pytest.mark.parametrize("what", [b"", pickle.dumps(session("a"), 4)[:-5], b"garbage", b"\x80"])
def test_a_damaged_file_is_no_session_within_a_second(store, caplog, what):
    put(store, "secretid-rest", what)
    began = time.monotonic()
    with caplog.at_level(logging.WARNING, logger="alforja"):
        assert store.load_session("secretid-rest", "none") == "none"
    assert 0.3 < time.monotonic() - began < 1
    assert content(store, "secretid-rest") == what
    assert "secretid..." in caplog.text and "secretid-" not in caplog.text
    put(store, "secretid-rest", what, age=10)
    began = time.monotonic()
    assert store.load_session("secretid-rest") is None
    assert time.monotonic() - began < 0.3
    assert list(store.iter_sessions()) == []
    store.save_session(session("secretid-rest", fresh=True))
    assert store.load_session("secretid-rest").fresh


def test_a_writer_that_truncates_first_is_waited_for(store, running):
    put(store, "a", pickle.dumps(session("a", old=True)))
    writer = running(
        "import pickle, sys, types\n"
        "out = open(sys.argv[1], 'wb')\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "pickle.dump(types.SimpleNamespace(id='a', old=False), out)\n"
        "out.close()\n",
        file(store, "a"),
    )
    timer = threading.Timer(0.1, lambda: writer.communicate("go\n"))
    timer.start()
    assert store.load_session("a").old is False
    timer.join()


def test_bytes_behind_the_end_do_not_count(store):
    put(store, "a", pickle.dumps(session("a", x=1), 4) + b"\x00rest of an older one")
    assert store.load_session("a").x == 1


def test_what_a_whole_pickle_raises_is_passed_on(store):
    put(store, "a", b"cno_such_module\nName\n.")
    with pytest.raises(ImportError):
        store.load_session("a")


def test_what_is_no_session_file(store, tmp_path):
    os.mkfifo(file(store, "fifo"))
    os.mkdir(file(store, "directory"))
    (tmp_path / "outside").write_bytes(pickle.dumps(session("link")))
    os.symlink(tmp_path / "outside", file(store, "link"))
    put(store, "not.an.id", b"N.")
    for id in ("fifo", "directory", "link", "not.an.id"):
        assert store.load_session(id) is None and not store.has_session(id)
        store.delete_session(id)
    assert list(store) == [] and store.delete_old_sessions(0) == (0, 0)
    assert len(os.listdir(store.directory)) == 4


def test_logged_out_is_logged_out(store):
    store.save_session(session("a"))
    mine = store.load_session("a")
    list(store.iter_sessions())
    other = alforja.DirectorySessionStore(store.directory)
    other.delete_session("a")
    store.save_session(mine)
    assert os.listdir(store.directory) == []
    # To look again, as session3's manager does before it saves, makes it no new one.
    assert store.load_session("a") is None and not store.has_session("a")
    store.save_session(mine)
    assert os.listdir(store.directory) == []
    other.save_session(mine)
    store.load_session("a")
    store.delete_session(mine)
    store.save_session(mine)  # whoever has deleted it may make it anew
    assert store.has_session("a")


def test_logged_out_during_a_request_of_session3(serve, store):
    def page():
        other = alforja.DirectorySessionStore(store.directory)
        other.delete_session(browser.cookie)
        assert not get_session_manager().has_session_cookie(must_exist=True)
        get_session().count += 1
        return "ok"

    browser = serve(session3_app(store=store, page=page))
    browser.get("/count")
    assert browser.get("/page").text == "ok"
    assert os.listdir(store.directory) == []


def test_iter_and_delete_old_sessions(store):
    for age in range(5):
        id = f"s{age}"
        store.save_session(session(id, age=age))
        then = time.time() - age * 60 - 1
        os.utime(file(store, id), (then, then))
    assert {id: s.age for id, s in store.iter_sessions()} == {f"s{i}": i for i in range(5)}
    with store.locked("s4"):
        assert store.delete_old_sessions(2.5) == (1, 4)
    assert sorted(store) == ["s0", "s1", "s2", "s4"]
    assert store.delete_old_sessions(2.5) == (1, 3)
    assert store.delete_old_sessions(0) == (3, 0)


def test_a_file_lock_that_is_kept_ends_in_an_error(store, running, monkeypatch):
    monkeypatch.setattr(locks, "FLOCK_WAIT", 0.2)
    store.save_session(session("a", x=1))
    before = content(store, "a")
    running(
        "import fcntl, sys\n"
        "out = open(sys.argv[1], 'rb')\n"
        "fcntl.flock(out, fcntl.LOCK_EX)\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n",
        file(store, "a"),
    )
    for attempt in (
        lambda: store.load_session("a"),
        lambda: store.save_session(session("a", x=2)),
        lambda: store.delete_session("a"),
    ):
        with pytest.raises(alforja.BusyError, match="session a"):
            attempt()
    assert content(store, "a") == before


def test_a_save_waits_for_the_lock_before_it_writes(store):
    store.save_session(session("a", x=1))
    before = content(store, "a")
    with open(file(store, "a"), "rb") as reader:
        fcntl.flock(reader, fcntl.LOCK_SH)
        saving = threading.Thread(target=store.save_session, args=(session("a", x=2),))
        saving.start()
        saving.join(0.1)
        assert saving.is_alive() and reader.read() == before
    saving.join()
    assert store.load_session("a").x == 2


def test_a_file_that_was_replaced_while_we_waited(store):
    store.save_session(session("a", x=1))
    with open(file(store, "a"), "rb") as old:
        fcntl.flock(old, fcntl.LOCK_EX)
        saving = threading.Thread(target=store.save_session, args=(session("a", x=3),))
        saving.start()
        saving.join(0.1)
        put(store, "beside", pickle.dumps(session("a", x=2), 4))
        os.rename(file(store, "beside"), file(store, "a"))
    saving.join()
    assert store.load_session("a").x == 3


def test_a_save_waits_for_a_lease(store):
    """A gateway has one while it looks whether somebody is writing."""
    store.save_session(session("a", x=1))
    asked = threading.Event()  # by the kernel, for the lease back
    before = signal.signal(signal.SIGIO, lambda *_: asked.set())
    try:
        with open(file(store, "a"), "rb") as reader:
            fcntl.fcntl(reader, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            saving = threading.Thread(target=store.save_session, args=(session("a", x=2),))
            saving.start()
            assert asked.wait(10) and saving.is_alive()
            fcntl.fcntl(reader, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        saving.join()
    finally:
        signal.signal(signal.SIGIO, before)
    assert store.load_session("a").x == 2


def test_locked_requests_lose_no_increment(store, running):
    store.save_session(session("a", count=0))
    code = VISIT + (
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "for _ in range(100):\n"
        "    with store.locked('a'):\n"
        "        session = store.load_session('a')\n"
        "        session.count += 1\n"
        "        store.save_session(session)\n"
    )
    processes = [running(code, store.directory) for _ in range(4)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    assert [process.wait(60) for process in processes] == [0] * 4
    assert store.load_session("a").count == 400


def test_locked_ends_with_its_process_and_with_its_wait(store, running):
    code = VISIT + (
        "with store.locked('a'):\n    print('ready', flush=True)\n    sys.stdin.readline()\n"
    )
    holder = running(code, store.directory)
    with pytest.raises(alforja.BusyError), store.locked("a", wait=0.05):
        pass
    with store.locked("b", wait=0):
        pass
    holder.send_signal(signal.SIGKILL)
    holder.wait()
    with store.locked("a", wait=5):
        pass


@pytest.mark.parametrize("size", [200, 100_000])
def test_a_killed_writer_leaves_the_old_state_or_the_new(store, running, size):
    code = VISIT + (
        "n = 0\n"
        "while True:\n"
        "    n += 1\n"
        "    size = int(sys.argv[2]) >> n % 2\n"
        "    store.save_session(SimpleNamespace(id='a', n=n, text=str(n) * size))\n"
        "    if n == 1: print('ready', flush=True)\n"
    )
    for attempt in range(15):
        writer = running(code, store.directory, size)
        time.sleep(0.003 * attempt)  # where in the loop it is killed is left to chance
        writer.kill()
        writer.wait()
        found = store.load_session("a")
        assert found.text == str(found.n) * (size >> found.n % 2)


def test_what_a_killed_writer_left_is_removed(store):
    store.save_session(session("a"))
    tmp = os.path.join(store.state_dir, "tmp")
    for name, age in ("old", 700), ("new", 500):
        path = os.path.join(tmp, name)
        with open(path, "wb"):
            pass
        os.utime(path, (time.time() - age, time.time() - age))
    alforja.DirectorySessionStore(store.directory)
    assert os.listdir(tmp) == ["new"]


def test_threads_share_a_store(store):
    def visit(id):
        for n in range(50):
            store.save_session(session(id, n=n))
            assert store.load_session(id).n == n
        done.append(id)

    done = []
    threads = [threading.Thread(target=visit, args=(f"s{i}",)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(done) == ["s0", "s1", "s2", "s3"]


def test_directories_that_will_not_do(tmp_path):
    with pytest.raises(OSError, match="does not exist"):
        alforja.DirectorySessionStore(tmp_path / "missing")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(OSError):
        alforja.DirectorySessionStore(tmp_path / "file", create=True)
    (tmp_path / "fan.alforja").mkdir()
    (tmp_path / "fan.alforja" / "fanout").write_bytes(b"")
    with pytest.raises(OSError, match="fanned-out"):
        alforja.DirectorySessionStore(tmp_path / "fan", create=True)
