"""Pickles that Python 2.7 wrote, converted and then loaded by Python 3."""

from __future__ import annotations

import datetime
import decimal
import json
import pickle
import sys
import types
from pathlib import Path

import pytest

from alforja.export.python2 import Strings, convert
from alforja.export.record import BadSession

LINES = (Path(__file__).parent / "testdata" / "python2.jsonl").read_text().splitlines()
PICKLES = {
    (line["name"], line["protocol"]): bytes.fromhex(line["hex"]) for line in map(json.loads, LINES)
}
BYTES = {"digest": "bytes", "digests": "bytes", "blob": "bytes", "token": "bytes"}
UTF8 = Strings("utf-8", BYTES)
each_protocol = pytest.mark.parametrize("protocol", [0, 1, 2])


class Thing:
    pass


class Slots:
    __slots__ = ["name", "token"]


@pytest.fixture(autouse=True)
def modules(monkeypatch):
    """The application's classes, as Python 3 has them."""
    for package in ("session2", "shop"):
        monkeypatch.setitem(sys.modules, package, types.ModuleType(package))
    for module, name, cls in [
        ("session2.Session", "Session", Thing),
        ("session2.DictSession", "DictSession", Thing),
        ("shop.cart", "Cart", Thing),
        ("shop.slots", "Slots", Slots),
    ]:
        made = types.ModuleType(module)
        setattr(made, name, cls)
        monkeypatch.setitem(sys.modules, module, made)


@each_protocol
def test_plain_session(protocol):
    session = pickle.loads(convert(PICKLES["plain", protocol], UTF8))
    assert vars(session) == {
        "id": "a1b2c3d4e5f",
        "user": "éva",
        "_remote_address": "10.0.0.1",
        "_creation_time": 1200000000.25,
        "_access_time": 1200000000.25,
        "_form_tokens": ["0123456789abcdef"],
        "count": 5,
        "big": 1 << 70,
        "small": 7,
        "when": datetime.datetime(2008, 1, 10, 21, 20, 0, 250),
        "day": datetime.date(2008, 1, 10),
        "price": decimal.Decimal("12.50"),
        "tags": {"a", "b"},
    }


@each_protocol
def test_text_and_bytes_by_attribute(protocol):
    session = pickle.loads(convert(PICKLES["mixed", protocol], UTF8))
    assert session.title == "Café"
    assert session.digest == b"\xff\x00\x80"
    assert session.digests == [b"\xff\x01", (b"nested", b"\xff\x02")]
    # One str of Python 2 under two attributes, of which one holds text.
    assert (session.name, session.blob) == ("shared", b"shared")


@each_protocol
def test_objects_in_a_dict_session(protocol):
    session = pickle.loads(convert(PICKLES["cart", protocol], UTF8))
    assert sorted(session.data) == ["cart", "note", "slots"]
    assert session.data["note"] == "señor"
    assert vars(session.data["cart"]) == {
        "items": {"lance": 2, "café": 1},
        "digest": b"\xff\x03",
    }
    assert (session.data["slots"].token, session.data["slots"].name) == (b"\xff\x04", "quijano")


@each_protocol
def test_all_bytes_leaves_what_must_be_text(protocol):
    session = pickle.loads(convert(PICKLES["plain", protocol], Strings("bytes")))
    assert session.id == "a1b2c3d4e5f"
    assert session._form_tokens == ["0123456789abcdef"]
    assert session.price == decimal.Decimal("12.50")
    assert session.tags == {b"a", b"b"}
    cart = pickle.loads(convert(PICKLES["cart", protocol], Strings("bytes", {"data": "latin-1"})))
    assert cart.data["note"] == "seÃ±or"


@each_protocol
def test_a_string_in_another_codec_is_an_error(protocol):
    with pytest.raises(BadSession, match=r"is not ascii"):
        convert(PICKLES["mixed", protocol], Strings())
    with pytest.raises(BadSession, match=r"is not utf-8"):
        convert(PICKLES["mixed", protocol], Strings("utf-8"))


@each_protocol
@pytest.mark.parametrize("name", ["plain", "mixed", "cart"])
def test_converting_twice_changes_nothing(name, protocol):
    once = convert(PICKLES[name, protocol], UTF8)
    assert convert(once, Strings()) == once


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_python_3_come_back_as_they_are(protocol):
    shared = [b"\xff", datetime.date(2008, 1, 10)]
    state = pickle.dumps({"é": shared, "è": shared}, protocol)
    assert convert(state, Strings()) == state


def test_torn_pickles():
    for state in PICKLES.values():
        for end in range(len(state)):
            with pytest.raises(BadSession):
                convert(state[:end], UTF8)
        # Each byte damaged: an error or a pickle, and no other exception.
        for at in range(0, len(state), 3):
            try:
                convert(state[:at] + b"\xfe" + state[at + 1 :], UTF8)
            except BadSession:
                pass


@pytest.mark.parametrize("state", [b"", b".", b"S'a\n.", b"S'a' + 1\n.", b"U\x01a(t", b"t.", b"2."])
def test_what_is_no_pickle(state):
    with pytest.raises(BadSession):
        convert(b"U\x01x0" + state, UTF8)
