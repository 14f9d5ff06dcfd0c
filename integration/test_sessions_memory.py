"""Memory of `alforja sessions` does not grow with the number of sessions."""

import json
import os
import pathlib
import pickle
import shutil
import tempfile

import pytest

import bench_sessions
import measure
from harness import TREE
from stored_sessions import make

BINARY = pathlib.Path(
    os.environ.get("ALFORJA_PLAIN", TREE / "bin" / "alforja")
)  # the race detector takes several times the memory
COUNT = 24_000
LIMIT = 64 * 1024  # KiB


@pytest.fixture
def place():
    """A directory on tmpfs."""
    path = pathlib.Path(tempfile.mkdtemp(dir="/dev/shm"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def many(place):
    """Sessions of 24,000 users with long names: more than the limit all together."""
    template = make(place / "sessions", "x", cart=["lanza"] * 40)
    (place / "sessions" / "x").unlink()
    for i in range(COUNT):
        template.id, template.user = f"{i:022}", f"user{i}" + "x" * 3000
        (place / "sessions" / template.id).write_bytes(pickle.dumps(template, 4))
    return place


def peak(*args):
    """Run a command to its end and return the KiB of memory that it had at most, and its output."""
    run = measure.Run([BINARY, "sessions", *args])
    return run.kib, run.output


def test_every_command_stays_under_64_MiB(many):
    store = ["--store", f"directory:{many}/sessions"]
    lines = COUNT + 1
    for args, says in [
        (["list", *store, "--json"], COUNT),
        (["list", *store, "--sort", "user"], lines),
        (["verify", *store], f"{COUNT} sessions, 0 failed"),
        (["globals", *store], f"{COUNT} sessions"),
        (["export", *store, many / "file"], ""),
        (["import", "--store", f"directory:{many}/imported", many / "file"], f"{COUNT} created"),
        (["copy", f"directory:{many}/sessions", f"directory:{many}/copy"], f"{COUNT} created"),
        (["copy", f"directory:{many}/sessions", f"directory:{many}/copy"], "0 created"),
        (
            ["edit-class", *store, "--yes", "--undo", many / "undo", "testapp.*", "app.*"],
            f"{COUNT} changed",
        ),
        (["expire", *store, "--age", "1ns", "--yes"], f"{COUNT} deleted"),
    ]:
        kib, out = peak(*args)
        assert (len(out.splitlines()) == says) if isinstance(says, int) else says in out, args
        print(f"{args[0]}: {kib / 1024:.1f} MiB")
        assert kib < LIMIT, args


def test_large_sessions_are_not_gathered(place):
    store = ["--store", f"directory:{place}/sessions"]
    for i in range(60):
        make(place / "sessions", f"s{i}", cart=["x" * 3_000_000])
    for args in (
        ["list", *store, "--sort", "size"],
        ["verify", *store],
        ["globals", *store],
        ["export", *store, place / "file"],
        ["export", *store, "--tar", place / "tar"],
        ["import", "--store", f"directory:{place}/imported", place / "file"],
        ["copy", f"directory:{place}/sessions", f"directory:{place}/copy"],
        ["edit-class", *store, "--yes", "--undo", place / "undo", "testapp.*", "app.*"],
    ):
        kib, _ = peak(*args)
        print(f"{args[0]}: {kib / 1024:.1f} MiB")
        assert kib < LIMIT, args


def test_the_benchmark_runs(capsys, monkeypatch):
    monkeypatch.setattr(bench_sessions, "BINARY", BINARY)
    options = ["--count", "300", "--pairs", "1", "--where", "tmpfs", "--json"]
    assert bench_sessions.main(options) == 0
    runs = json.loads(capsys.readouterr().out)["runs"]
    assert {r["job"] for r in runs} == set(bench_sessions.JOBS)
    assert sorted(r["side"] for r in runs if r["job"] == "expire") == ["alforja", "python"]
