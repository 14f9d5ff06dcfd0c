"""Sessions that Python 2.7 has written, brought over: pages in Python 3 and in Go go on with them.

Protocols 0 to 2; unicode, long, dates, decimals, instances of old-style classes and of new ones.
"""

import json
import os

import pytest

import harness
from exporting import BYTES, PYTHON2, bring, export
from gosite import Site
from harness import Client
from stored_sessions import CLASSES, lines, load, sessions

# The application's classes as Python 3 has them, under the names that Python 2 had.
SHOP = {
    "__init__.py": "",
    "cart.py": "class Cart:\n    pass\n",
    "slots.py": 'class Slots:\n    __slots__ = ["name", "token"]\n',
}


FLAGS = ["--python2", "utf-8"]
FLAGS += [flag for name in BYTES for flag in ("--attribute", f"{name}=bytes")]


@pytest.fixture
def old(tmp_path, monkeypatch):
    """A directory of session2's."""
    (tmp_path / "shop").mkdir()
    for name, text in SHOP.items():
        (tmp_path / "shop" / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    directory = tmp_path / "old"
    directory.mkdir()
    for line in map(json.loads, PYTHON2.read_text().splitlines()):
        id = named(line["name"], line["protocol"])
        state = bytes.fromhex(line["hex"]).replace(b"a1b2c3d4e5f", id.encode())
        (directory / id).write_bytes(state)
    return directory


def named(name, protocol):
    """An id as long as the one in the pickles."""
    return f"{name}-{protocol}".ljust(11, "_")


@pytest.fixture
def brought(old, tmp_path):
    """session3's, made of it as docs/migrating.md says."""
    directory = bring(tmp_path / "sessions", export(f"directory:{old}", *FLAGS).stdout)
    renaming = ["--yes", "--undo", tmp_path / "undo.jsonl", "session2.*", "session3.*"]
    sessions("edit-class", "--store", f"directory:{directory}", *renaming)
    return directory


def test_what_is_not_in_the_codec_is_left_out(old):
    out = export(f"directory:{old}", "--python2", "ascii", code=1)
    assert "3 copied, 0 there already, 6 failed" in out.stderr


def test_session3_has_them(brought):
    for protocol in (0, 1, 2):
        plain = load(brought, named("plain", protocol))
        assert type(plain) is CLASSES[0]
        assert (plain.user, plain.count, plain.big, plain.small) == ("éva", 5, 1 << 70, 7)
        assert plain.when.microsecond == 250 and str(plain.price) == "12.50"
        mixed = load(brought, named("mixed", protocol))
        assert mixed.title == "Café" and mixed.digest == b"\xff\x00\x80"
        assert mixed.digests == [b"\xff\x01", (b"nested", b"\xff\x02")]
        cart = load(brought, named("cart", protocol))
        assert type(cart) is CLASSES[1] and cart["note"] == "señor"
        assert vars(cart["cart"]) == {"items": {"lance": 2, "café": 1}, "digest": b"\xff\x03"}
    store = ["--store", f"directory:{brought}"]
    listed = lines("list", *store, "--json")
    assert len(listed) == 9 and not any("error" in entry for entry in listed)
    assert {entry["user"] for entry in listed} == {"éva"}
    sessions("verify", *store, "--second-opinion")


def held(directory, id):
    """What a session holds, but for what a request changes."""
    session = load(directory, id)
    attributes = {k: v for k, v in vars(session).items() if k not in ("_access_time", "counter")}
    if "data" in attributes:
        attributes["data"] = {k: plain(v) for k, v in session.items() if k != "counter"}
    return type(session), attributes


def plain(value):
    if type(value).__name__ == "Slots":
        return value.name, value.token
    return getattr(value, "__dict__", value)


def test_pages_in_python_and_in_go(brought, run, tmp_path, gohandlers):
    before = {path.name: held(brought, path.name) for path in brought.iterdir()}
    assert len(before) == 9
    site = Site(tmp_path, gohandlers, "managed", "session")
    site.env["PYTHONPATH"] = os.pathsep.join([str(harness.APPS), str(tmp_path)])
    g = run(site)
    for id, (cls, _) in before.items():
        client = Client(g.http)
        client.cookies["QX_session"] = id
        for page in ("/whoami", "/go/whoami"):
            seen = client.get(page).json()
            assert (seen["user"], seen["address"]) == ("éva", "10.0.0.1")
            assert seen["type"] == cls.__name__ and seen["counter"] == 0
        counts = [int(client.get(page).text) for page in ("/counter", "/go/counter") * 2]
        assert counts == [1, 2, 3, 4]
        token = "0123456789abcdef"  # of a form that the user had open
        assert client.get(f"/go/use?token={token}").status == 200
        assert client.get(f"/use?token={token}").status == 403
    for id, (cls, attributes) in before.items():
        attributes["_form_tokens"] = []
        assert held(brought, id) == (cls, attributes)
