"""Writes good.jsonl.gz: pickles of ordinary sessions, by every Python given.

    python3 generate.py [--path DIR] PYTHON...

DIR holds quixote and session3, where the interpreters do not have them
themselves. Each line is one pickle:

    name       version/protocol/pickler/what
    hex        the bytes
    protocol   what PROTO says, or 0
    used       the offset after STOP, from pickletools.genops
    globals    what a recording find_class was asked for, sorted, with the names
               of Python 2 mapped as load maps them

Equal pickles of several versions are written once, under the first name.
"""

import gzip
import json
import os
import subprocess
import sys


def main(args):
    env = dict(os.environ)
    if args[:1] == ["--path"]:
        env["PYTHONPATH"] = args[1]
        args = args[2:]
    seen, lines = set(), []
    for python in args:
        out = subprocess.check_output([python, os.path.abspath(__file__), "--emit"], env=env)
        for line in out.decode("ascii").splitlines():
            code = json.loads(line)["hex"]
            if code not in seen:
                seen.add(code)
                lines.append(line)
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "good.jsonl.gz")
    with open(path, "wb") as f:
        with gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
            z.write(("\n".join(lines) + "\n").encode("ascii"))
    print("%d pickles, %d bytes" % (len(lines), os.path.getsize(path)))


# What follows runs in each interpreter.

APPLICATION = """
import collections, enum, http.cookies
try:
    import dataclasses
except ImportError:
    dataclasses = None
from session3.Session import Session
from session3.DictSession import DictSession

class ShopSession(Session):
    pass

class ShopDict(DictSession):
    pass

class Color(enum.Enum):
    RED = 1
    GREEN = "g"

class Perm(enum.IntFlag):
    R = 4
    W = 2

class Status(str, enum.Enum):
    OPEN = "open"

Point = collections.namedtuple("Point", "x y")

class Cart:
    class Line:
        class Price:
            pass
        def __init__(self, sku, n):
            self.sku, self.n = sku, n
    class Kind(enum.Enum):
        GIFT = 1

class Slots:
    __slots__ = ("a", "b")

class SlotsDict:
    __slots__ = ("a", "__dict__")

class State:
    def __getstate__(self):
        return (self.a, self.b)
    def __setstate__(self, state):
        self.a, self.b = state

def rebuild(a, b):
    return Reduced(a, b)

class Reduced:
    def __init__(self, a, b):
        self.a, self.b = a, b
    def __reduce__(self):
        return rebuild, (self.a, self.b)

class Keywords:
    def __new__(cls, *args, **kwargs):
        self = object.__new__(cls)
        self.args = (args, kwargs)
        return self
    def __getnewargs_ex__(self):
        return self.args

class MyDict(dict): pass
class MyList(list): pass
class MyStr(str): pass
class MyInt(int): pass
class MyBytes(bytes): pass
class MySet(set): pass
class MyTuple(tuple): pass
class MyOrdered(collections.OrderedDict): pass
class MyError(Exception): pass

def function(): pass

if dataclasses:
    @dataclasses.dataclass
    class Address:
        street: str
        lines: list
    @dataclasses.dataclass(frozen=True)
    class Frozen:
        a: int
        b: tuple
"""


def modules():
    """Makes the application, and stand-ins for what cannot be imported."""
    import types

    def module(name, source):
        m = types.ModuleType(name)
        sys.modules[name] = m
        parent, _, last = name.rpartition(".")
        if parent:
            setattr(sys.modules[parent], last, m)
        exec(source, m.__dict__)
        return m

    try:
        import quixote.session, session3.Session, session3.DictSession  # noqa
    except Exception:
        for name in [n for n in sys.modules if n.split(".")[0] in ("quixote", "session3")]:
            del sys.modules[name]
        module("quixote", "")
        module("quixote.session", "class Session: pass")
        module("session3", "")
        module("session3.Session", "class Session: pass")
        module(
            "session3.DictSession",
            "from collections import UserDict\n"
            "from session3.Session import Session\nclass DictSession(UserDict, Session): pass",
        )
    module("myapp", "")
    return module("myapp.sessions", APPLICATION)


def session(cls, **attributes):
    s = cls.__new__(cls)
    s.__dict__.update(
        id="b1946ac92492d2347c6235b4d2611184",
        user=None,
        _remote_address="192.0.2.7",
        _creation_time=1700000000.25,
        _access_time=1700000100.5,
        _form_tokens=[],
    )
    s.__dict__.update(attributes)
    return s


def values():
    import array
    import collections
    import datetime
    import decimal
    import fractions
    import http
    import http.cookies
    import io
    import ipaddress
    import pathlib
    import random
    import time
    import types
    import urllib.parse
    import uuid

    app = modules()
    import quixote.session
    import session3.DictSession
    import session3.Session

    dt = datetime

    yield "none", None
    yield (
        "scalars",
        [
            True,
            False,
            0,
            1,
            -1,
            255,
            256,
            65535,
            65536,
            2**31 - 1,
            -(2**31),
            2**31,
            2**63,
            -(2**2000),
            0.0,
            -0.0,
            1.5,
            1e300,
            5e-324,
            float("nan"),
            float("inf"),
            float("-inf"),
            1j,
        ],
    )
    yield (
        "text",
        [
            "",
            "a",
            "\n\\u0041\r\x00\x1a",
            "d\xe9j\xe0",
            "\u4e2d",
            "\U0001f600",
            "\ud800",
            "x" * 300,
            "'\"",
            "\\",
        ],
    )
    yield (
        "bytes",
        [
            b"",
            b"a",
            bytes(range(256)),
            b"x" * 300,
            bytearray(b""),
            bytearray(b"\xff\x00"),
            b"x" * 70000,
        ],
    )
    shared, loop = (1, "t"), []
    loop.append(loop)
    knot = ([],)
    knot[0].append(knot)
    yield (
        "containers",
        [
            [],
            (),
            {},
            set(),
            frozenset(),
            [1],
            (1,),
            (1, 2),
            (1, 2, 3),
            (1, 2, 3, 4),
            {"a": 1, 2: [3]},
            {1, "b"},
            frozenset([(1, 2)]),
            shared,
            shared,
            loop,
            knot,
            list(range(2500)),
            {i: i for i in range(1500)},
            {("a", ("b", 3)): 1},
        ],
    )
    deep = []
    for _ in range(150):
        deep = [deep]
    yield "deep", deep
    yield (
        "singletons",
        [
            Ellipsis,
            NotImplemented,
            type(None),
            int,
            dict,
            object,
            range(3),
            slice(1, None, 2),
            object(),
        ],
    )
    yield (
        "errors",
        [
            ValueError("x", 1),
            KeyError("k"),
            OSError(2, "no"),
            UnicodeDecodeError("utf-8", b"x", 0, 1, "bad"),
            app.MyError("own"),
        ],
    )
    yield (
        "datetime",
        [
            dt.datetime(2024, 2, 29, 1, 2, 3, 4),
            dt.date(2024, 1, 1),
            dt.time(1, 2, 3),
            dt.timedelta(1, 2, 3),
            dt.datetime.now(dt.timezone.utc).replace(2024, 1, 1, 0, 0, 0, 0),
            dt.datetime(2024, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=2), "EET")),
            dt.time(1, tzinfo=dt.timezone.utc),
            dt.timezone.utc,
        ],
    )
    yield (
        "numbers",
        [
            decimal.Decimal("1.50"),
            decimal.Decimal("NaN"),
            decimal.Decimal("1E+999"),
            fractions.Fraction(-3, 4),
            fractions.Fraction(5),
            2 + 3j,
        ],
    )
    yield (
        "uuid",
        [uuid.UUID(int=5), uuid.uuid5(uuid.NAMESPACE_DNS, "example.org"), uuid.uuid1(1, 2)],
    )
    d = collections.OrderedDict([("a", 1), ("b", 2)])
    dd = collections.defaultdict(list, a=[1])
    dd2 = collections.defaultdict(app.Cart.Line, {})
    yield (
        "collections",
        [
            d,
            dd,
            dd2,
            collections.defaultdict(None),
            collections.Counter("hello"),
            collections.deque([1, 2]),
            collections.deque([1], 5),
            collections.ChainMap({"a": 1}),
            collections.UserDict(a=1),
            collections.UserList([1]),
            collections.UserString("u"),
        ],
    )
    yield (
        "types",
        [
            types.SimpleNamespace(a=1, b=[2]),
            array.array("i", [1, 2]),
            io.BytesIO(b"x"),
            io.StringIO("y"),
            time.gmtime(0),
            random.Random(1),
        ],
    )
    cookie = http.cookies.SimpleCookie("a=1; b=2")
    cookie["a"]["path"] = "/"
    yield "http", [cookie, http.HTTPStatus(404)]
    yield (
        "net",
        [
            ipaddress.ip_address("192.0.2.1"),
            ipaddress.ip_address("2001:db8::1"),
            ipaddress.ip_network("192.0.2.0/24"),
            ipaddress.ip_network("2001:db8::/32"),
            ipaddress.ip_interface("192.0.2.1/24"),
            ipaddress.ip_interface("2001:db8::1/64"),
            urllib.parse.urlsplit("http://a/b?c#d"),
            urllib.parse.urlparse("http://a/b"),
            urllib.parse.urlsplit(b"http://a/b"),
        ],
    )
    yield (
        "pathlib",
        [
            pathlib.PurePosixPath("/a/b/c/d/e/f"),
            pathlib.PureWindowsPath("C:\\a"),
            pathlib.Path("x"),
            pathlib.PurePosixPath(),
        ],
    )
    try:
        import zoneinfo

        zones = [zoneinfo.ZoneInfo("UTC"), zoneinfo.ZoneInfo.no_cache("UTC")]
        yield "zoneinfo", zones + [dt.datetime(2024, 1, 1, tzinfo=zones[0])]
    except Exception:
        pass
    slots, slots_dict, state = app.Slots(), app.SlotsDict(), app.State()
    slots.a = slots_dict.a = slots_dict.c = state.a = 1
    slots.b = state.b = {"k": 2}
    yield (
        "enums",
        [
            app.Color.RED,
            app.Color.GREEN,
            app.Perm.R | app.Perm.W,
            app.Status.OPEN,
            {app.Color.RED: 1},
        ],
    )
    yield "nested-enum", [app.Cart.Kind.GIFT]
    yield "tuples", [app.Point(1, 2), {app.Point(1, 2): 1}, app.MyTuple([1, 2])]
    yield "nested", [app.Cart(), app.Cart.Line("s", 1), app.Cart.Line.Price(), app.Cart.Line]
    yield "slots", [slots, slots_dict]
    yield "own", [state, app.Reduced(1, "b"), app.Reduced, app.function, app.MyError]
    yield "keywords", app.Keywords(1, a=2)
    yield (
        "subclasses",
        [
            app.MyDict(a=1),
            app.MyList([1]),
            app.MyStr("s"),
            app.MyInt(5),
            app.MyBytes(b"b"),
            app.MySet([1]),
            app.MyOrdered(a=1),
        ],
    )
    if app.dataclasses:
        yield (
            "dataclasses",
            [app.Address("s", ["l"]), app.Frozen(1, (2,)), {app.Frozen(1, (2,)): 3}],
        )
    yield "session3", session(session3.Session.Session, user="sancho")
    ds = session(session3.DictSession.DictSession)
    ds.data = {"count": 7, "when": dt.datetime(2024, 1, 1)}
    yield "dictsession", ds
    yield "quixote", session(quixote.session.Session, user="quijote", _form_tokens=["abc", "def"])
    yield (
        "shop",
        session(
            app.ShopSession,
            cart=[app.Cart.Line("a", 1), app.Cart.Line("b", 2)],
            total=decimal.Decimal("9.99"),
            seen={1, 2},
            last=dt.datetime(2024, 1, 1),
            token=uuid.UUID(int=7),
            color=app.Color.RED,
            at=app.Point(1, 2),
        ),
    )
    ss = session(app.ShopDict)
    ss.data = {"k%d" % i: ["v", i, (i, i)] for i in range(200)}
    yield "shopdict", ss


def emit():
    import io
    import pickle
    import pickletools
    from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING

    def pure(value, protocol):
        f = io.BytesIO()
        pickle._Pickler(f, protocol).dump(value)
        return f.getvalue()

    def optimized(value, protocol):
        return pickletools.optimize(pickle.dumps(value, protocol))

    version = "%d.%d" % sys.version_info[:2]
    for what, value in values():
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            for pickler, dumps in (("c", pickle.dumps), ("py", pure), ("opt", optimized)):
                try:
                    data = dumps(value, protocol)
                except (TypeError, pickle.PicklingError, RecursionError):
                    continue  # slots below protocol 2, depth in the pure pickler
                asked = set()

                class Recorder(pickle.Unpickler):
                    def find_class(self, module, name):
                        asked.add((module, name))
                        return super().find_class(module, name)

                Recorder(io.BytesIO(data)).load()
                used = declared = 0
                for op, arg, pos in pickletools.genops(data):
                    used = pos + 1
                    if op.name == "PROTO":
                        declared = arg
                names = set()
                for module, name in asked:
                    if declared < 3:
                        if (module, name) in NAME_MAPPING:
                            module, name = NAME_MAPPING[module, name]
                        else:
                            module = IMPORT_MAPPING.get(module, module)
                    names.add((module, name))
                print(
                    json.dumps(
                        {
                            "name": "%s/p%d/%s/%s" % (version, protocol, pickler, what),
                            "hex": data.hex(),
                            "protocol": declared,
                            "used": used,
                            "globals": sorted(names),
                        }
                    )
                )


if __name__ == "__main__":
    if sys.argv[1:] == ["--emit"]:
        emit()
    else:
        main(sys.argv[1:])
