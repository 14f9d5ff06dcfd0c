"""Old stores' sessions, `python3 -m alforja.export`, and what came of them."""

import os
import subprocess
import sys

from session3.DictSession import DictSession

from harness import APPS, TREE
from store_driver import FULL
from stored_sessions import CLASSES, load, new, sessions

PYTHON2 = TREE / "pyclient" / "tests" / "testdata" / "python2.jsonl"
COUNT = 10_000 if FULL else 40  # sessions in an old store
FEW = min(COUNT, 500)  # in one that session3 reads or writes whole for each session
PATIENCE = 900 if FULL else 60  # seconds for a command
BYTES = ["digest", "digests", "blob", "token"]  # the attributes in PYTHON2 that hold bytes


def export(*args, code=0, stdin=""):
    done = subprocess.run(
        [sys.executable, "-m", "alforja.export", *map(str, args)],
        capture_output=True,
        input=stdin,
        text=True,
        timeout=PATIENCE,
        env={**os.environ, "PYTHONPATH": str(APPS)},
    )
    assert done.returncode == code, done
    return done


def bring(directory, text):
    """Import JSON Lines into a directory, and return it."""
    sessions("import", "--store", f"directory:{directory}", "--yes", stdin=text, timeout=PATIENCE)
    return directory


def made(count=COUNT):
    """Sessions of every class, by id."""
    found = {}
    for i in range(count):
        id = f"id-{i}_{'x' * (i % 5)}"
        session = found[id] = new(CLASSES[i % 4], id)
        session.user = [None, "alonso", "é\u20ac", ("a", 1)][i // 4 % 4]
        if CLASSES[i % 4] is DictSession:
            session["number"] = i
        session.blob = bytes(range(256)) * (i % 5)
    return found


def same(loaded, expected):
    assert type(loaded) is type(expected)
    assert vars(loaded) == vars(expected)


def all_there(directory, wanted):
    """Each session and no other, as session3 loads it."""
    assert {path.name for path in directory.iterdir()} == set(wanted)
    for id, session in wanted.items():
        same(load(directory, id), session)
