"""`alforja sessions convert`: between the flat and the fanned-out layout, while a gateway serves."""

import itertools
import json
import signal
import subprocess
import threading

import pytest

from harness import BINARY, DEADLINE, Client, Gateway, concurrently, managed
from stored_sessions import contents, lines, make_many, sessions
from terminal import Terminal


def flat(directory):
    return {p.name for p in directory.iterdir() if p.is_file()}


def fanned(directory):
    return {p.name for p in directory.glob("*/*/*")}


def convert(directory, *flags, code=0):
    done = sessions("convert", "--store", f"directory:{directory}", "--json", *flags, code=code)
    return json.loads(done.stdout)


def test_there_and_back(tmp_path):
    store = tmp_path / "sessions"
    make_many(store, 50)
    before = contents(store)
    all = set(before)
    counts = {"moved": 50, "in_place": 0, "left": 0}
    assert convert(store, "--fan-out", "--dry-run") == {**counts, "dry_run": True}
    assert (flat(store), fanned(store)) == (all, set())
    assert convert(store, "--fan-out", "--offline", "--yes") == {**counts, "dry_run": False}
    assert (flat(store), fanned(store)) == (set(), all)
    assert convert(store, "--fan-out", "--yes") == {
        "moved": 0,
        "in_place": 50,
        "left": 0,
        "dry_run": False,
    }
    (store / "s50").write_bytes(b"N.")
    assert convert(store, "--flat", "--dry-run")["in_place"] == 1
    assert convert(store, "--flat", "--yes")["moved"] == 50
    (store / "s50").unlink()
    assert contents(store) == before, "with their bytes and their times"


def test_it_wants_the_gateway_to_know(tmp_path):
    store, config = tmp_path / "sessions", tmp_path / "alforja.toml"
    make_many(store, 3)
    here = ["convert", "--store", f"directory:{store}"]
    assert "--offline" in sessions(*here, "--fan-out", "--yes", code=1).stderr
    assert "--yes" in sessions(*here, "--fan-out", "--offline", code=2).stderr
    assert "either" in sessions(*here, "--yes", code=2).stderr
    assert "either" in sessions(*here, "--yes", "--flat", "--fan-out", code=2).stderr
    for setting, flag in (("true", "--flat"), ("false", "--fan-out")):
        config.write_text(f'store = "directory:{store}"\nstore_fan_out = {setting}\n')
        done = sessions("convert", "--config", config, flag, "--yes", code=2)
        assert f"store_fan_out is {setting}" in done.stderr
    assert len(flat(store)) == 3
    # A store that fans out has been opened: it finds both layouts.
    config.write_text(f'store = "directory:{store}"\nstore_fan_out = true\n')
    sessions("list", "--config", config)
    sessions("convert", "--config", config, "--fan-out", "--yes")
    assert len(fanned(store)) == 3


def test_what_is_in_both_layouts_is_left(tmp_path):
    store = tmp_path / "sessions"
    make_many(store, 5)
    convert(store, "--fan-out", "--offline", "--yes")
    (store / "s1").write_bytes(b"N.")
    left = {"moved": 0, "in_place": 5, "left": 1, "dry_run": False}
    assert convert(store, "--fan-out", "--yes", code=1) == left


# Where it is killed: at the Nth such system call of one of its threads.
POINTS = {
    "--fan-out": [("renameat2", 5), ("renameat2", 40), ("mkdirat", 30), ("flock", 50)],
    "--flat": [("renameat2", 5), ("renameat2", 40), ("flock", 50), ("unlinkat", 300)],
}


@pytest.mark.parametrize("way", ["--fan-out", "--flat"])
def test_killed_and_resumed(tmp_path, way):
    store = tmp_path / "sessions"
    make_many(store, 300)
    expected = contents(store)
    if way == "--flat":
        convert(store, "--fan-out", "--offline", "--yes")
    killed = 0
    for call, when in POINTS[way]:
        done = subprocess.run(
            [
                *("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"),
                *("-e", f"inject={call}:signal=SIGKILL:when={when}"),
                *(BINARY, "sessions", "convert", "--store", f"directory:{store}"),
                *(way, "--offline", "--yes"),
            ],
            capture_output=True,
            timeout=2 * DEADLINE,
        )
        killed += done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)
        both = [*(p.name for p in store.glob("*/*/*")), *flat(store)]
        assert sorted(both) == sorted(expected), f"one place each after {call}"
    assert killed >= 3, killed
    assert convert(store, way, "--offline", "--yes")["left"] == 0
    if way == "--fan-out":
        convert(store, "--flat", "--yes")
    assert contents(store) == expected


def test_a_gateway_serves_meanwhile(tmp_path, run):
    """Eight clients count, log out and in, while thousands of sessions move there and back."""
    store = tmp_path / "sessions"
    make_many(store, 4000)
    browsers = [(Client(None), 0) for _ in range(8)]
    gone = []
    for way, flags in (("--fan-out", ["--store-fan-out"]), ("--flat", [])):
        gateway = run(
            Gateway(tmp_path, "--workers", "4", *flags, command=managed(), store=store, name=way)
        )
        browsers = [
            (client, counted)
            for client, counted, moved in moving(gateway, browsers, way, gone)
            if client is not None
        ]
        for client, counted in browsers:
            assert int(client.get("/counter").text) == counted + 1
            client.close()
        browsers = [(client, counted + 1) for client, counted in browsers]
        gateway.stop()
        here, there = (fanned, flat) if way == "--fan-out" else (flat, fanned)
        assert there(store) == set()
        assert here(store) >= {f"s{i}" for i in range(4000)}
        assert {c.cookies["QX_session"] for c, _ in browsers} <= here(store)
        assert not set(gone) & here(store), "logged out is logged out"
    assert len(gone) >= 8
    assert not [x for x in lines("list", "--store", f"directory:{store}", "--json") if "error" in x]


def moving(gateway, browsers, way, gone):
    """Convert while browsers count; return them, and how far they have counted."""
    done = threading.Event()

    def convert_all():
        try:
            counts = convert(gateway.sessions, way, "--yes")
            assert counts["moved"] >= 4000
            assert counts["left"] == 0
        finally:
            done.set()
        return None, 0, counts["moved"]

    def count(client, counted):
        client.address = gateway.http
        for round in itertools.count(1):
            if round % 15 == 0:
                gone.append(client.cookies["QX_session"])
                assert client.post("/logout", {}).status in (200, 302, 303)
                client.cookies.clear()
                counted = 0
            counted += 1
            assert int(client.get("/counter").text) == counted
            if done.is_set() and round > 20:
                return client, counted, 0

    work = [convert_all, *(lambda b=b: count(*b) for b in browsers)]
    return concurrently(len(work), lambda i: work[i]())


def test_progress_at_a_terminal(tmp_path):
    store = tmp_path / "sessions"
    make_many(store, 20_000)
    t = Terminal("convert", "--store", f"directory:{store}", "--fan-out", "--offline")
    t.expect("Move 20000 sessions of directory:")
    t.expect("[y/N]")
    t.send("y\n")
    t.expect("left")
    assert t.wait() == 0, t.text
    assert "%" in t.text
    assert "20000 moved, 0 were in place, 0 left" in t.text
