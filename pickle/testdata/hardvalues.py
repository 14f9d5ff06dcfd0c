"""Values of Python 3 that adversary.py pickles: (name, value)."""

import collections
import datetime as dt
import decimal
import http
import http.cookies
import math
import re
import struct
import sys
import time
import urllib.parse
import uuid

import hardclasses as hard
import hardgraphs
import hardstandard


def values():
    for source in (sys.modules[__name__], hardgraphs, hardstandard):
        for group in source.GROUPS:
            for name, value in group():
                yield "%s/%s" % (group.__name__, name), value


def numbers():
    edges = [2**n + d for n in (7, 8, 15, 16, 31, 32, 62, 63, 64, 127, 128) for d in (-2, -1, 0, 1)]
    yield "ints", edges + [-n for n in edges]
    yield (
        "bytes-of-long",
        [
            s * (2 ** (8 * n + b)) + d
            for n in (1, 4, 8, 9, 254)
            for b in (-1, 0)
            for d in (-1, 0, 1)
            for s in (1, -1)
        ],
    )
    yield "long4", [2 ** (8 * 255 - 1), 2 ** (8 * 255), -(2**4000), 10**1200]
    yield (
        "bools-and-ints",
        [True, 1, False, 0, {True: 1}, {1: True}, {0: False, True: 1}, 1.0, {1.0: True}],
    )
    bits = [0, 1, 1 << 51, (1 << 52) - 1, 1 << 52, 0x3FF << 52, (0x7FF << 52) - 1, 0x7FF << 52]
    bits += [
        (0x7FF << 52) + 1,
        (0x7FF << 52) + (1 << 51),
        (0x7FF << 52) + (1 << 51) + 12345,
        (0x800 << 52) - 1,
    ]
    for i, b in enumerate(bits):
        for sign in (0, 1 << 63):
            f = struct.unpack("<d", struct.pack("<Q", b | sign))[0]
            yield "float%d%s" % (i, "-" if sign else ""), f
    yield (
        "floats",
        [1e-7, 123456789.0, 1e16, 9007199254740993.0, 5e-324, 1.1, 2.5e-310, 4.35, 0.1 + 0.2],
    )
    nan = float("nan")
    yield "nan-shared", [nan, nan, {nan: nan}, (nan,)]
    yield (
        "complex",
        [complex(a, b) for a in (0.0, -0.0, math.inf, 1.5) for b in (0.0, -0.0, -math.inf)],
    )


def texts():
    planes = [
        0,
        9,
        10,
        13,
        0x1A,
        0x1F,
        0x20,
        0x27,
        0x22,
        0x5C,
        0x7E,
        0x7F,
        0x80,
        0x85,
        0xA0,
        0xFF,
        0x100,
        0x2028,
    ]
    planes += [0xD7FF, 0xE000, 0xFEFF, 0xFFFD, 0xFFFE, 0xFFFF, 0x10000, 0x1F600, 0x10FFFF]
    for c in planes:
        yield "U+%04X" % c, [chr(c), chr(c) * 2, "\\" + chr(c), chr(c) + "\\u0041", "x%sy" % chr(c)]
    for i, s in enumerate(
        ["\ud800", "\udfff", "\ud83d\ude00", "\ude00\ud83d", "a\udc80b", "\ud800" * 100]
    ):
        yield "surrogate%d" % i, [s, {s: s}, s + "x"]
    for i, s in enumerate(
        [
            "\\",
            "\\\\",
            "\\u",
            "\\U",
            "\\x41",
            "\\N{DIGIT ONE}",
            "\\u0041",
            "\\\\u0041",
            "\\\n",
            "\\\\\n\\",
        ]
    ):
        yield "escape%d" % i, [s, s + s]
    yield "all-latin1", "".join(map(chr, range(256)))
    yield "quotes", ["'", '"', "'\"", "\\'", "''", "b'x'", "\x00'", "I01\n", "."]
    for n in (0, 1, 2, 255, 256):
        yield (
            "bytes%d" % n,
            [bytes(range(256))[:n], bytearray(range(256))[:n], bytes(range(256))[:n]],
        )
    yield "all-bytes", [bytes([i]) for i in range(256)]
    yield "same-text-bytes", ["abc", b"abc", bytearray(b"abc"), "abc"]
    yield "ascii-bytes", [b"ascii", b"ascii" + b"\x80", b"latin1", "latin1", b"latin1"]
    yield (
        "like-module",
        [
            "_codecs",
            "encode",
            b"x",
            "builtins",
            bytearray(b"y"),
            "bytearray",
            "copyreg",
            {1, 2},
            "set",
        ],
    )
    yield "utf8-lengths", ["\u20ac" * n for n in (84, 85, 86)] + ["\xe9" * n for n in (127, 128)]


def sizes():
    for n in (255, 256, 65535, 65536, 65537):
        yield "text%d" % n, ["t" * n, 1]
        yield "bytes%d" % n, [b"b" * n, 1]
        yield "array%d" % n, [bytearray(b"b" * n), 1]
    # Frames end with the object that reaches 64 KiB.
    for pad in (
        65536 - 30,
        65536 - 16,
        65536 - 15,
        65536 - 14,
        65536 - 13,
        65536 - 12,
        65536 - 8,
        65536,
    ):
        yield "frame%d" % pad, ["x" * (pad - 1000), "y" * 996, [], (1, 2), "z", {"k": "z"}]
    yield "frame-then-large", ["a", "x" * 65536, "b", b"y" * 65537, "c", bytearray(65536), "d", []]
    yield "frame-large-first", ("x" * 70000,)
    yield "frame-large-alone", "x" * 70000
    yield "frame-global", ["x" * 65510, hard.Plain, hard.Log, len]
    for n in (253, 254, 255, 256, 257):
        yield "memo%d" % n, [[[] for _ in range(n)]] * 2 + [["end"]] * 2
    for n in (999, 1000, 1001, 2000, 2001):
        yield "list%d" % n, [None] * n
        yield "dict%d" % n, dict.fromkeys(range(n))
        yield "set%d" % n, set(range(n))
        yield "frozen%d" % n, frozenset(range(n))
        yield "plan%d" % n, hard.Plan(hard.Log, (), None, [0] * n, [(0, 0)] * n)
        yield "ordered%d" % n, collections.OrderedDict.fromkeys(range(n))
    yield "attributes", hard.Abstract(**{"a%d" % i: i for i in range(1001)})
    deep = []
    for i in range(180):
        deep = ([deep], (deep,), {i: deep}, (i, deep, i, deep))[i % 4]
    yield "deep", deep
    node = None
    for i in range(120):
        node = hard.Abstract(next=node)
    yield "deep-objects", node


def sharing():
    t, f, s, b = (1, [2]), frozenset([3]), "text", b"bytes"
    a, d, items = bytearray(b"a"), {}, []
    yield "each-twice", [t, f, s, b, a, d, items, t, f, s, b, a, d, items]
    yield (
        "equal-not-same",
        [(1, 2), tuple([1, 2]), "".join(["te", "xt"]), "text", bytes([65, 66]), b"AB", [], []],
    )
    yield (
        "empties",
        [(), (), frozenset(), frozenset(), "", "", b"", b"", bytearray(), bytearray(), set(), {}],
    )
    yield "tuple-of-tuples", (t, (t, t), ((t,), t))
    yield "key-and-value", {s: s, t[:1]: s, b: b, f: f}
    o = hard.Plain()
    o.text = o.__dict__["other"] = s
    yield "attributes", [o, s, "text", "other", o.__dict__]
    yield "dict-of-object", [o.__dict__, o, o.__dict__]
    many = hard.Plain()
    yield "often", [many] * 300 + [[many] * 300]
    args = ([1], "shared")
    yield "args", [hard.Plan(hard.Log, args), hard.Plan(hard.Log, args), args, args[0]]
    state = {"x": items}
    yield (
        "state",
        [hard.Plan(hard.Plain, (), state), hard.Plan(hard.Plain, (), state), state, items],
    )
    name = "hardclasses"
    yield (
        "names",
        [name, "Plain", hard.Plain, sys.intern("Log"), hard.Log, hard.Plain(), "hardclasses"],
    )
    pairs = [("k", items), ("k", items)]
    yield "items", hard.Plan(hard.Log, (), None, pairs, pairs)
    z = dt.timezone(dt.timedelta(hours=1))
    yield (
        "zone",
        [
            dt.datetime(2024, 1, 1, tzinfo=z),
            dt.datetime(2025, 1, 1, tzinfo=z),
            z,
            z.utcoffset(None),
        ],
    )
    yield "methods", [hard.Outer.Inner.make, hard.Outer.Inner.make]
    m = hard.Outer.Inner.make
    yield "method-twice", [m, m, hard.Outer.Inner.make]
    yield "builtin-methods", [[].append, {}.get, "x".join, b"y".join, (1).__add__]


def enums():
    for cls in (
        hard.Plus,
        hard.StrMember,
        hard.IntMember,
        hard.Bits,
        hard.IntBits,
        hard.Functional,
        hard.Outer.Color,
    ):
        members = list(cls)
        yield cls.__name__, [members, members, cls]
        yield cls.__name__ + "-keys", {m: m for m in members}
    yield (
        "flags",
        [
            hard.Bits.A | hard.Bits.B,
            hard.Bits(0),
            hard.IntBits.X | hard.IntBits.Y,
            hard.IntBits(0),
            ~hard.IntBits.X,
        ],
    )
    yield "odd-flags", [hard.IntBits(64), hard.IntBits(9), hard.IntBits.Y]
    yield "alias", [hard.Plus.ALIAS, hard.Plus.NONE]
    yield (
        "standard",
        [http.HTTPStatus.OK, re.IGNORECASE, re.A | re.X, getattr(uuid, "SafeUUID", list)],
    )
    if sys.version_info >= (3, 11):
        yield "text", [hard.Lower.NAME, http.HTTPMethod.GET]


def records():
    p, q, t = hard.Point(1, [2]), hard.PointDict(1, 2), hard.Typed("n", [1])
    q.more = [p]
    yield "tuples", [p, p, q, t, t.items, hard.Typed("x"), {hard.Point(1, 2): p}]
    yield "in-tuples", (p, (p,), (q, (q, q)))
    if hard.dataclasses:
        d = hard.Data(1)
        d.b.append(d)
        d.extra = "x"
        yield "data", [d, hard.Data(2, [3]), hard.Frozen(1, (2,)), {hard.Frozen(1): 2}]
    if sys.version_info >= (3, 10):
        s = hard.DataSlots(1)
        s.b = [s]
        yield (
            "data-slots",
            [s, hard.DataSlots(2), hard.FrozenSlots(a=1, b=(2,)), {hard.FrozenSlots(a=1): 2}],
        )
    yield "struct-time", [time.gmtime(0), time.struct_time(range(9)), time.struct_time(range(11))]
    yield "stat", __import__("os").stat_result(range(10))
    yield "float-info", [sys.version_info[:3], struct.Struct("i").size]


def exceptions():
    e = hard.Error(1, [2])
    try:
        raise e from KeyError("cause")
    except hard.Error as caught:
        yield "raised", caught
    e = ValueError("x", 1)
    e.note = e.args
    yield "attributes", [e, e]
    yield (
        "os",
        [
            OSError(2, "no", "f"),
            OSError(2, "no"),
            OSError("x"),
            hard.OSErrorSub(5, "e"),
            OSError(17, "x", "a", None, "b"),
        ],
    )
    yield "kinds", [
        KeyError("k"), StopIteration(5), SystemExit(1), UnicodeDecodeError("u", b"x", 0, 1, "r"), ImportError("m", name="n", path="p"),
        SyntaxError("m", ("f", 1, 2, "t")), AttributeError("a"), NameError("n"), RecursionError(), MemoryError(), Exception(Exception(1)),
    ]  # fmt: skip
    yield (
        "modules",
        [
            ModuleNotFoundError("m"),
            decimal.InvalidOperation("x"),
            struct.error("s"),
            urllib.parse.quote,
        ],
    )
    if sys.version_info >= (3, 11):
        e = ValueError("n")
        e.add_note("one")
        yield "notes", e
        yield "group", ExceptionGroup("g", [ValueError(1), ExceptionGroup("h", [KeyError(2)])])  # noqa: F821


GROUPS = (numbers, texts, sizes, sharing, enums, records, exceptions)
