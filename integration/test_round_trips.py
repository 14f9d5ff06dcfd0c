"""What export and import carry: every session, byte for byte, with its time.

`make test` has 2,000 made-up sessions and an eighth of the corpus, ALFORJA_FULL=1 has 100,000 and all.
"""

import gzip
import json
import os
import pickletools
import tarfile
from decimal import Decimal
from itertools import islice

import pytest
from session3.store.DirectorySessionStore import DirectorySessionStore

from alforja.export.record import from_line
from exporting import PATIENCE, all_there, made
from harness import TREE
from store_driver import FULL
from stored_sessions import contents, sessions

GENERATED = 100_000 if FULL else 2_000
CORPUS = TREE / "pickle" / "testdata"

both = pytest.mark.parametrize("suffix", [".jsonl", ".tar"])


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """A directory that session3 has filled, and the sessions by id."""
    directory = tmp_path_factory.mktemp("generated") / "sessions"
    store = DirectorySessionStore(str(directory), create=True)
    wanted = made(GENERATED)
    for n, session in enumerate(wanted.values()):
        store.save_session(session)
        modified = 1_700_000_000_000_000_000 + n * 1_234_567
        os.utime(directory / session.id, ns=(modified, modified))
    return directory, wanted


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """A directory with every pickle of the corpus."""
    directory = tmp_path_factory.mktemp("corpus") / "sessions"
    directory.mkdir()
    for name in ("good", "roundtrip"):
        with gzip.open(CORPUS / f"{name}.jsonl.gz", "rt") as text:
            for n, line in enumerate(islice(text, None, None, 1 if FULL else 8)):
                (directory / f"{name}-{n}").write_bytes(bytes.fromhex(json.loads(line)["hex"]))
    return directory


def members(file):
    """What an exported file holds, as Python reads it: {id: (state, time in nanoseconds)}."""
    if file.suffix == ".jsonl":
        with file.open() as text:
            return {x.id: (x.state, x.modified) for x in map(from_line, text)}
    with tarfile.open(file) as tar:
        return {
            member.name: (tar.extractfile(member).read(), nanoseconds(member)) for member in tar
        }


def nanoseconds(member):
    """tarfile makes a float of the time, but keeps what it has read."""
    return int(Decimal(member.pax_headers.get("mtime", member.mtime)) * 10**9)


def carry(source, target, suffix, *policy, code=0):
    """Export one directory and import it to another; return the file, and what import said."""
    flags = ["--tar"] if suffix == ".tar" else []
    file = target.with_suffix(suffix)
    sessions("export", "--store", f"directory:{source}", *flags, file, timeout=PATIENCE)
    flags += ["--store", f"directory:{target}", "--yes", *policy]
    done = sessions("import", *flags, file, code=code, timeout=PATIENCE)
    return file, done.stdout + done.stderr


@both
def test_generated_sessions(generated, suffix, tmp_path):
    directory, wanted = generated
    file, _ = carry(directory, tmp_path / "imported", suffix)
    assert members(file) == contents(tmp_path / "imported") == contents(directory)
    all_there(tmp_path / "imported", wanted)


@both
def test_the_corpus(corpus, suffix, tmp_path):
    """Whatever its pickle imports. One that no Python 3 loads is exported, but not imported."""
    before = contents(corpus)
    refused = {id for id, (state, _) in before.items() if not loads(state)}
    file, said = carry(corpus, tmp_path / "imported", suffix, "--policy", "report", code=1)
    assert members(file) == before
    assert f"{len(refused)} sessions could not be imported" in said
    assert contents(tmp_path / "imported") == {
        id: found for id, found in before.items() if id not in refused
    }
    assert 0 < len(refused) < len(before) / 10


def loads(state):
    """Whether Python 3 may load it: Python 2's str is text in ASCII, and what is imported has a name."""
    try:
        ops = [(op.name, arg) for op, arg, _ in pickletools.genops(state)]
    except UnicodeDecodeError:  # from STRING
        return False
    return all(
        arg.isascii() if name in ("BINSTRING", "SHORT_BINSTRING") else not arg.endswith(" ?")
        for name, arg in ops
        if name in ("BINSTRING", "SHORT_BINSTRING", "GLOBAL")
    )
