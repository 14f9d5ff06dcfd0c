"""Objects of the standard library, their subclasses, and sessions."""

import array
import collections
import datetime as dt
import decimal
import email.message
import fractions
import functools
import http
import http.cookies
import io
import ipaddress
import itertools
import math
import operator
import pathlib
import random
import re
import string
import struct
import sys
import time
import types
import urllib.parse
import uuid
import xmlrpc.client

import hardclasses as hard


def names():
    i = hard.Outer.Inner
    yield (
        "classes",
        [hard.Outer, i, i.Innermost, hard.Outer, i, i.Innermost, i.Innermost(), hard.Plain],
    )
    yield (
        "nested-enum",
        [hard.Outer.Color, hard.Outer.Color.RED, hard.Outer.Color.GREEN, {hard.Outer.Color.RED: 1}],
    )
    yield "functions", [hard.maker, hard.setter, hard.Outer.Inner.Innermost.method, i.static]
    yield (
        "builtins",
        [
            len,
            print,
            int,
            type,
            object,
            Exception,
            ValueError,
            range,
            map,
            filter,
            zip,
            open,
            property,
            bytes,
            str,
        ],
    )
    yield (
        "builtin-functions",
        [math.sqrt, operator.add, itertools.chain, functools.reduce, time.time, struct.pack],
    )
    yield (
        "singletons",
        [
            None,
            Ellipsis,
            NotImplemented,
            type(None),
            type(...),
            type(NotImplemented),
            True,
            None,
            ...,
        ],
    )
    yield (
        "moved",
        [
            urllib.parse.quote,
            io.StringIO,
            http.cookies.SimpleCookie,
            collections.UserDict,
            functools.reduce,
            itertools.filterfalse,
        ],
    )
    yield (
        "exceptions",
        [
            OSError,
            IOError,
            ConnectionError,
            FileNotFoundError,
            ImportError,
            ModuleNotFoundError,
            StopAsyncIteration,
            BlockingIOError,
        ],
    )
    yield (
        "meta",
        [hard.Meta, hard.WithMeta, hard.WithMeta(), hard.Abstract(a=1), hard.Box, hard.Box()],
    )
    yield (
        "unbound",
        [
            str.upper,
            list.append,
            dict.fromkeys,
            int.from_bytes,
            bytes.fromhex,
            dt.datetime.now,
            dict.get,
        ],
    )
    yield "module-of-text", ["hardclasses", "Outer", "Outer.Inner", i]


def subclasses():
    made = [
        hard.IntSub(5), hard.IntSub(2**70), hard.IntSlots(-1), hard.StrSub("s"), hard.StrSub(""), hard.BytesSub(b"\xff"),
        hard.FloatSub(-0.0), hard.ComplexSub(1, -0.0), hard.TupleSub((1, [2])), hard.TupleSub(), hard.ListSub([1, [2]]),
        hard.DictSub({"a": 1, 2: [3]}), hard.SetSub([1]), hard.FrozenSub([1]), hard.ArraySub(b"\xff"), hard.OrderedSub([(2, 1), (1, 2)]),
        hard.DefaultSub(list, {1: []}), hard.DequeSub([1], 2), hard.DequeSub([1]), hard.CounterSub("aab"), hard.ChainSub({1: 2}, {3: 4}),
        hard.DecimalSub("1.50"), hard.FractionSub(1, 3), hard.UUIDSub(int=5), hard.AddressSub("192.0.2.1"), hard.PathSub("a/b"),
        hard.DateSub(2024, 1, 2), hard.TimeSub(1, 2), hard.DatetimeSub(2024, 1, 2, fold=1), hard.DeltaSub(1), hard.RandomSub(5),
        hard.NumbersSub("i", [1]),
    ]  # fmt: skip
    for v in made:
        name = type(v).__name__
        yield name, [v, v]
        try:
            v.attribute, v.me = [1], v
        except (AttributeError, TypeError):
            continue
        yield name + "-attributes", [v, v]
        try:
            yield name + "-key", {v: v}
        except TypeError:
            pass


def dates():
    utc = dt.timezone.utc
    zones = [
        None,
        utc,
        dt.timezone(dt.timedelta(hours=5, minutes=30)),
        dt.timezone(dt.timedelta(0), "Z"),
        dt.timezone.min,
        dt.timezone.max,
    ]
    if sys.version_info >= (3, 7):
        zones += [dt.timezone(dt.timedelta(seconds=1, microseconds=5), "odd")]
    zones.append(hard.Zone(3))
    try:
        import zoneinfo

        zones += [zoneinfo.ZoneInfo("UTC"), zoneinfo.ZoneInfo.no_cache("UTC")]
        try:
            zones.append(zoneinfo.ZoneInfo("Europe/Madrid"))
        except zoneinfo.ZoneInfoNotFoundError:
            pass
    except ImportError:
        pass
    for i, z in enumerate(zones):
        yield (
            "zone%d" % i,
            [z, z, dt.datetime(2024, 10, 27, 2, 30, 1, 5, z), dt.time(1, 2, 3, 4, z)],
        )
        yield (
            "fold%d" % i,
            [dt.datetime(2024, 10, 27, 2, 30, tzinfo=z, fold=1), dt.time(23, 59, tzinfo=z, fold=1)],
        )
    yield "all-zones", [dt.datetime(1, 1, 2, tzinfo=z) for z in zones] * 2
    yield (
        "edges",
        [dt.datetime.min, dt.datetime.max, dt.date.min, dt.date.max, dt.time.min, dt.time.max],
    )
    yield (
        "deltas",
        [
            dt.timedelta.min,
            dt.timedelta.max,
            dt.timedelta.resolution,
            -dt.timedelta.resolution,
            dt.timedelta(-1, 5, 6),
            dt.timedelta(),
        ],
    )
    for month in (1, 10, 12):
        yield (
            "month%d" % month,
            [
                dt.datetime(255, month, 13, 10, 13, 10, 0x0A0D0A),
                dt.date(2570, month, 10),
                dt.datetime(2560, month, 10),
            ],
        )
    for year in (0x7F7F, 0x2010, 0x0D0A, 0x00FF, 0x1A5C):
        if year <= 9999:
            yield (
                "year%d" % year,
                [dt.date(year, 1, 1), dt.datetime(year, 12, 31, 23, 59, 59, 999999)],
            )
    try:
        yield "calendar", dt.date(2024, 1, 1).isocalendar()
    except Exception:
        pass


def standard():
    for i, s in enumerate(
        "0 -0 1.50 1E+3 1E-30 NaN -NaN sNaN sNaN123 Infinity -Infinity 0E-10 123456789012345678901234567890.5".split()
    ):
        yield "decimal%d" % i, [decimal.Decimal(s), {"d": decimal.Decimal(s)}]
    yield "context", [decimal.Context(prec=5), decimal.BasicContext.copy()]
    yield (
        "fractions",
        [
            fractions.Fraction(0),
            fractions.Fraction(-1, 10**30),
            fractions.Fraction(10**30),
            fractions.Fraction("0.1"),
        ],
    )
    u = uuid.uuid5(uuid.NAMESPACE_URL, "x")
    yield "uuids", [u, u, uuid.UUID(int=0), uuid.UUID(int=2**128 - 1), {u: 1}]
    for i, safe in enumerate(getattr(uuid, "SafeUUID", [])):
        yield "safe%d" % i, uuid.UUID(int=5, is_safe=safe)
    yield (
        "paths",
        [pathlib.PurePosixPath(p) for p in ("", ".", "/", "//a", "a/../b", "\xe9/\udc80")]
        + [pathlib.PureWindowsPath("c:\\a\\b")],
    )
    yield "addresses", [
        ipaddress.ip_address("0.0.0.0"), ipaddress.ip_address("::"), ipaddress.ip_address("::1"), ipaddress.ip_network("10.0.0.0/8"),
        ipaddress.ip_network("::/0"), ipaddress.ip_interface("10.1.2.3/8"), ipaddress.ip_interface("::1/64"),
    ]  # fmt: skip
    for code in "bBuhHiIlLqQfd":
        yield (
            "array-" + code,
            [array.array(code, "x\xe9" if code == "u" else [1, 2]), array.array(code)],
        )
    yield (
        "ranges",
        [
            range(0),
            range(5),
            range(-1, -10, -2),
            range(2**70, 2**71),
            slice(None),
            slice(1),
            slice(1, "a", [2]),
        ],
    )
    yield "patterns", [re.compile("a+"), re.compile(b"\xff", re.S), re.compile("\xe9", re.I)]
    r = random.Random(7)
    r.gauss(0, 1)
    yield "random", r
    yield "random-state", [r.getstate()]
    cookie = http.cookies.SimpleCookie('a="1 2"; b=3')
    cookie["a"]["httponly"] = cookie["b"]["secure"] = True
    yield "cookies", [cookie, cookie["a"], http.cookies.SimpleCookie()]
    yield (
        "namespaces",
        [types.SimpleNamespace(), types.SimpleNamespace(a=1, b=types.SimpleNamespace())],
    )
    yield (
        "proxies",
        [
            xmlrpc.client.DateTime("20240102T03:04:05"),
            xmlrpc.client.Binary(b"x"),
            xmlrpc.client.Fault(1, "f"),
        ],
    )
    m = email.message.Message()
    m["To"] = "x"
    m.set_payload("body")
    yield "message", m
    yield (
        "urls",
        [
            urllib.parse.urlsplit("//a:1/b?c#d"),
            urllib.parse.urlparse(b"x"),
            urllib.parse.urldefrag("a#b"),
        ],
    )
    yield "buffers", [io.BytesIO(b"\x00x"), io.StringIO("a\r\nb", newline="")]
    yield "template", string.Template("$x")
    yield (
        "partials",
        [
            functools.partial(hard.maker, 1, a=2),
            functools.partial(int),
            operator.itemgetter(1),
            operator.methodcaller("x", 1, k=2),
        ],
    )
    yield (
        "iterators",
        [
            iter([1, 2]),
            iter((1,)),
            iter(range(2)),
            reversed([1]),
            iter("ab"),
            iter(b"ab"),
            enumerate([1]),
            zip([1], [2]),
            iter([]),
        ],
    )
    yield (
        "more-iterators",
        [
            iter({1: 2}),
            iter({1}),
            map(hard.maker, [1]),
            filter(None, [1]),
            iter(bytearray(b"x")),
            iter(collections.OrderedDict([(1, 2)])),
        ],
    )
    yield (
        "itertools",
        [
            itertools.chain([1], [2]),
            itertools.count(5),
            itertools.count(1.5, 2),
            itertools.islice([1, 2], 1),
            itertools.repeat(1, 3),
        ],
    )
    if sys.version_info >= (3, 8):
        import pickle

        yield (
            "picklebuffer",
            [
                pickle.PickleBuffer(b"ro"),
                pickle.PickleBuffer(bytearray(b"rw")),
                pickle.PickleBuffer(bytearray(70000)),
            ],
        )
    if sys.version_info >= (3, 9):
        yield "alias", [list[int], dict[str, list[int]], types.GenericAlias(tuple, (int, ...))]
    if sys.version_info >= (3, 10):
        yield "union", [int | None, int | str | list[int]]
    if sys.version_info >= (3, 12):
        yield "days", [__import__("calendar").MONDAY, __import__("calendar").JANUARY]
    yield "views", [collections.OrderedDict(a=1).items().__class__, collections.abc.Mapping]


def containers():
    yield (
        "ordered",
        [
            collections.OrderedDict(),
            collections.OrderedDict([((1,), [2]), ("b", ())]),
            collections.OrderedDict.fromkeys("ba"),
        ],
    )
    o = collections.OrderedDict(a=1)
    o.attribute = o
    yield "ordered-attribute", o
    for i, factory in enumerate(
        [
            None,
            list,
            int,
            dict,
            set,
            str,
            hard.Plain,
            hard.Outer.Inner,
            hard.maker,
            collections.OrderedDict,
        ]
    ):
        yield (
            "defaultdict%d" % i,
            [collections.defaultdict(factory), collections.defaultdict(factory, {1: 2, "x": [3]})],
        )
    nested = collections.defaultdict(hard.Plan)
    nested.default_factory = functools.partial(collections.defaultdict, int)
    nested["a"]["b"] += 1
    yield "defaultdict-partial", nested
    yield (
        "deques",
        [
            collections.deque(),
            collections.deque([1, [2]]),
            collections.deque([1, 2], 2),
            collections.deque([], 0),
            collections.deque([1], None),
        ],
    )
    yield (
        "counters",
        [
            collections.Counter(),
            collections.Counter("hello"),
            collections.Counter({1: -1, None: 0}),
        ],
    )
    yield (
        "user",
        [
            collections.UserDict({1: 2}),
            collections.UserList([1]),
            collections.UserString("x"),
            collections.ChainMap({}, {1: 2}),
        ],
    )
    yield (
        "keys",
        {
            None: 1,
            True: 2,
            2: 3,
            2.5: 4,
            "s": 5,
            b"b": 6,
            (1, (2,)): 7,
            frozenset([1]): 8,
            2**70: 9,
            1j: 10,
            int: 11,
            ...: 12,
            len: 13,
        },
    )
    yield (
        "sets",
        [
            {None, True, 2, 2.5, "s", b"b", (1,), frozenset([frozenset()])},
            set(),
            {frozenset([1]), (frozenset([2]),)},
        ],
    )
    yield "sets-of-objects", [{hard.Plain()}, frozenset([hard.Plain(), 1])]
    yield "dict-order", [dict([(3, 1), (1, 2), (2, 3)]), {"b": 1, "a": 2}]


def applications():
    """Sessions of session3 and Quixote and of applications with classes of their own."""
    try:
        import quixote.session
        import session3.DictSession
        import session3.Session
    except (ImportError, SyntaxError):
        return  # Quixote's present version is written for 3.10 and later

    for cls in (
        session3.Session.Session,
        session3.DictSession.DictSession,
        quixote.session.Session,
    ):
        s = cls.__new__(cls)
        vars(s).update(
            id="abcDEF",
            user=None,
            _remote_address="192.0.2.1",
            _creation_time=1700000000.25,
            _access_time=1700000100.5,
            _form_tokens=[],
        )
        name = cls.__module__.partition(".")[0] + "-" + cls.__name__
        yield name, s
        s.user, s._form_tokens = "sancho", ["t1", "t2"]
        s.data = {
            "cart": [{"sku": "a", "n": 2}],
            "last": dt.datetime(2024, 2, 29),
            "total": decimal.Decimal("9.90"),
            "seen": {1, 2},
        }
        yield name + "-used", s
        s.data.update(("k%d" % i, ["v", i, (i, str(i)), {"x": i * 0.5}]) for i in range(60))
        yield name + "-large", s
        s.data = {
            "by": s,
            "enum": hard.Plus.TUPLE,
            "point": hard.Point(1, 2),
            "counter": collections.Counter("ab"),
        }
        yield name + "-objects", s


GROUPS = (names, subclasses, dates, standard, containers, applications)
