"""Memory of `alforja sessions` does not grow with the number of sessions."""

import os
import pathlib
import pickle
import shutil
import subprocess
import sys
import tempfile

import pytest

from harness import TREE
from stored_sessions import make

BINARY = pathlib.Path(
    os.environ.get("ALFORJA_PLAIN", TREE / "bin" / "alforja")
)  # the race detector takes several times the memory
COUNT = 24_000
LIMIT = 64 * 1024  # KiB


@pytest.fixture
def many():
    """Sessions on tmpfs, of 24,000 users with long names: more than the limit all together."""
    path = pathlib.Path(tempfile.mkdtemp(dir="/dev/shm"))
    template = make(path / "sessions", "x", cart=["lanza"] * 40)
    (path / "sessions" / "x").unlink()
    for i in range(COUNT):
        template.id, template.user = f"{i:022}", f"user{i}" + "x" * 3000
        (path / "sessions" / template.id).write_bytes(pickle.dumps(template, 4))
    yield path
    shutil.rmtree(path)


# A process starts with the memory of the one that it is forked from: pytest's
# would be counted. This one is small.
MEASURE = """
import os, sys
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
print(usage.ru_maxrss, file=sys.stderr)
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 99)
"""


def peak(*args):
    """Run a command to its end and return the KiB of memory that it had at most, and its output."""
    command = [sys.executable, "-S", "-c", MEASURE, BINARY, "sessions", *args]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done
    return int(done.stderr.splitlines()[-1]), done.stdout


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
