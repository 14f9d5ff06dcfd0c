"""`alforja sessions` makes files as the gateway does: of its modes, owners and layout, also when root runs it."""

import base64
import json
import os
import pathlib
import shutil
import stat
import subprocess
import tempfile

import pytest

from harness import BINARY
from stored_sessions import CLASSES, load, make, sessions

USER, GROUP, STRANGER = 12321, 12322, 12323


@pytest.fixture
def base():
    """A directory that other users may enter, as they may not enter pytest's."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="alforja-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def theirs(base):
    """The session directory of a user who is not root, with two sessions."""
    directory = base / "sessions"
    for i, cls in enumerate(CLASSES[:2]):
        make(directory, f"old-{i}", user="alonso", cls=cls, idle=60)
    for path in [directory, *directory.iterdir()]:
        os.chown(path, USER, USER)
    directory.chmod(0o700)
    return directory


def line(id, state=b"N."):
    return json.dumps({"id": id, "pickle": base64.b64encode(state).decode()}) + "\n"


def as_user(user, *args, groups=(), stdin=None):
    """Run a command as another user, and return what it says."""
    return subprocess.run(
        [BINARY, "sessions", *[str(a) for a in args]],
        user=user,
        group=user,
        extra_groups=list(groups),
        input=stdin,
        capture_output=True,
        text=True,
        timeout=60,
        cwd="/",
    )


def owners(directory):
    return {p.lstat().st_uid for p in [directory, *directory.rglob("*")]}


def uses(user, directory, *flags, groups=()):
    """A user's gateway reads every session, replaces one and makes one."""
    store = ["--store", f"directory:{directory}", *flags]
    listed = as_user(user, "list", *store, "--json", groups=groups)
    found = [json.loads(x) for x in listed.stdout.splitlines()]
    assert found
    assert not [x for x in found if "error" in x]
    new = line(found[0]["id"], b"I1\n.") + line("theirs")
    args = ["import", *store, "--overwrite", "--yes", "-"]
    done = as_user(user, *args, groups=groups, stdin=new)
    assert (done.returncode, done.stdout) == (0, "1 created, 1 updated, 0 touched, 0 unchanged\n")


def test_what_root_makes_is_the_gateways(theirs, base):
    store = ["--store", f"directory:{theirs}"]
    sessions("import", *store, stdin=line("new"))
    sessions("edit-class", *store, "--yes", "--undo", base / "undo", "session3.*", "s4.*")
    sessions("import", *store, "--overwrite", "--yes", base / "undo")
    (theirs / "torn").write_bytes(b"\x80\x04torn")
    os.utime(theirs / "torn", (0, 0))
    sessions("verify", *store, "--quarantine", "--yes", code=1)
    state = base / "sessions.alforja"
    assert owners(theirs) == {USER}
    assert owners(state) - {USER} <= {0}  # what was set aside keeps whom it belonged to
    for path in (state, state / "lock", state / "tmp", state / "corrupt"):
        assert path.stat().st_uid == USER
    uses(USER, theirs)


def test_a_copy_that_is_missing_is_made_for_the_owner_of_the_first(theirs, base):
    copy = base / "copy"
    sessions("copy", f"directory:{theirs}", f"directory:{copy}")
    assert owners(copy) == owners(base / "copy.alforja") == {USER}
    assert copy.stat().st_mode & 0o777 == 0o700
    uses(USER, copy)
    other = base / "other"
    sessions("copy", "--store-owner", STRANGER, f"directory:{theirs}", f"directory:{other}")
    assert owners(other) == owners(base / "other.alforja") == {STRANGER}
    assert owners(base / "sessions.alforja") == {USER}
    uses(STRANGER, other)


def test_import_says_for_whom_it_makes_a_directory(base):
    new = base / "new"
    done = sessions("import", "--store", f"directory:{new}", stdin=line("a"))
    assert "--store-owner" in done.stderr
    done = sessions(
        "import", "--store", f"directory:{base}/theirs", "--store-owner", USER, stdin=line("a")
    )
    assert done.stderr == ""
    uses(USER, base / "theirs")


@pytest.fixture
def config(base):
    """Write a gateway's configuration: config(key=value...) returns its path."""

    def write(**keys):
        keys = {"store": f"directory:{base}/sessions", "http": [":0"], "command": ["true"], **keys}
        path = base / "alforja.toml"
        path.write_text("".join(f"{k} = {json.dumps(v)}\n" for k, v in keys.items()))
        return path

    return write


def test_configuration_shares_with_a_group(theirs, base, config):
    shared = base / "shared"
    path = config(
        store=f"directory:{shared}",
        store_mode="0660",
        store_owner=str(USER),
        store_group=str(GROUP),
    )
    sessions("import", "--config", path, stdin=line("a"))
    sessions("copy", "--to-config", path, f"directory:{theirs}", f"directory:{shared}")
    for session in shared.iterdir():
        found = session.stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (USER, GROUP, 0o660)
    assert stat.S_IMODE(shared.stat().st_mode) == 0o2770
    uses(STRANGER, shared, "--store-mode", "0660", groups=[GROUP])
    assert as_user(STRANGER, "list", "--store", f"directory:{shared}").returncode == 1
    sessions("import", "--config", path, "--store-mode", "0640", stdin=line("b"))
    assert stat.S_IMODE((shared / "b").stat().st_mode) == 0o640, "the command line wins"


def test_configuration_fans_out(theirs, config):
    path = config(store_fan_out=True)
    sessions("import", "--config", path, stdin=line("a"))
    (made,) = theirs.glob("*/*/a")
    assert owners(theirs) == {USER}
    assert "a " in sessions("list", "--store", f"directory:{theirs}").stdout
    uses(USER, theirs, "--store-fan-out")
    wrong = config(store_fan_out=True, mode="shared")
    assert "shared mode" in sessions("list", "--config", wrong, code=2).stderr


def test_configuration_has_states_outlive_a_power_cut(theirs, base, config):
    synced = {}
    for durability in ("process", "power"):
        trace = base / durability
        subprocess.run(
            [
                *("strace", "-f", "-o", trace, "-e", "trace=fsync,fdatasync", BINARY, "sessions"),
                *("import", "--config", config(durability=durability)),
            ],
            input=line(durability),
            text=True,
            check=True,
            capture_output=True,
            timeout=60,
        )
        synced[durability] = trace.read_text().count("sync(")
    assert synced["process"] == 0
    assert synced["power"] >= 2


def test_configuration_is_strict(theirs, config):
    path = config(policy="strict")
    shop = make(theirs, "shop", user="x")
    os.chown(theirs / "shop", USER, USER)
    name = f"{type(shop).__module__}.{type(shop).__name__}"
    failed = sessions("verify", "--config", path, code=1)
    assert "shop: " in failed.stdout
    assert name in failed.stdout
    sessions("verify", "--config", path, "--policy", "enforce")
    sessions("verify", "--config", path, "--allow", name)
    told = sessions("globals", "--config", path).stdout
    assert f"{name}  (class)  REFUSED" in told
    assert f'\n  "{name}",\n' in told, "and it is what to paste"
    assert load(theirs, "shop").user == "x"
