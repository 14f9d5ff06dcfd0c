"""Writes python2.jsonl: python2.7 python2_sessions.py > python2.jsonl

Sessions as session2 and Quixote 2 kept them, each in the protocols 0 to 2. Every str is
written with its bytes, because formatters and Python 3 see no difference to text.
"""

# ruff: noqa: UP004, I001
import binascii
import datetime
import decimal
import json
import pickle
import sys
import types
import UserDict

E_ACUTE = b"\xc3\xa9"  # in UTF-8


def module(name):
    made = sys.modules[name] = types.ModuleType(name)
    return made


class Session:
    pass


class DictSession(UserDict.UserDict, Session):
    pass


class Cart(object):
    pass


class Slots(object):
    __slots__ = ["token", "name"]

    def __getstate__(self):
        return None, {"token": self.token, "name": self.name}


def at_home(cls, name):
    cls.__module__ = name
    setattr(module(name), cls.__name__, cls)


module("session2")
at_home(Session, "session2.Session")
at_home(DictSession, "session2.DictSession")
module("shop")
at_home(Cart, "shop.cart")
at_home(Slots, "shop.slots")


def filled(cls):
    session = cls.__new__(cls) if issubclass(cls, object) else types.InstanceType(cls)
    if cls is DictSession:
        UserDict.UserDict.__init__(session)
    session.id = "a1b2c3d4e5f"
    session.user = E_ACUTE.decode("utf-8") + "va"
    session._remote_address = "10.0.0.1"
    session._creation_time = session._access_time = 1200000000.25
    session._form_tokens = ["0123456789abcdef"]
    return session


def plain():
    session = filled(Session)
    session.count = 5
    session.big = 1 << 70
    session.small = long(7)  # noqa: F821
    session.when = datetime.datetime(2008, 1, 10, 21, 20, 0, 250)
    session.day = datetime.date(2008, 1, 10)
    session.price = decimal.Decimal("12.50")
    session.tags = set(["a", "b"])
    return session


def mixed():
    session = filled(Session)
    session.title = b"Caf" + E_ACUTE
    session.digest = b"\xff\x00\x80"
    session.digests = [b"\xff\x01", ("nested", b"\xff\x02")]
    shared = "".join(["sha", "red"])
    session.name = shared
    session.blob = shared
    return session


def cart():
    session = filled(DictSession)
    session["note"] = b"se" + E_ACUTE.replace(b"\xa9", b"\xb1") + b"or"
    basket = session["cart"] = Cart()
    basket.items = {"lance": 2, b"caf" + E_ACUTE: 1}
    basket.digest = b"\xff\x03"
    slots = session["slots"] = Slots()
    slots.token = b"\xff\x04"
    slots.name = "quijano"
    return session


for make in (plain, mixed, cart):
    for protocol in (0, 1, 2):
        state = pickle.dumps(make(), protocol)
        line = [("name", make.__name__), ("protocol", protocol)]
        line.append(("hex", binascii.hexlify(state).decode("ascii")))
        sys.stdout.write(json.dumps(dict(line), sort_keys=True) + "\n")
