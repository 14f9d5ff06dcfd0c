"""The values of Python 2 that adversary.py pickles: (name, value)."""

# ruff: noqa: F821 (names of Python 2)

import collections
import datetime as dt
import decimal
import fractions
import uuid
from array import array

import oldclasses as old


def text(s):
    """A unicode. Written with the prefix u, the formatter would make it a str."""
    return s.decode("raw_unicode_escape")


def values():
    for group in (texts, numbers, oldstyle, newstyle, cycles, standard, sessions):
        for name, value in group():
            yield "%s/%s" % (group.__name__, name), value


def texts():
    for c in range(256):
        yield "byte%d" % c, [chr(c), "a" + chr(c), chr(c) + "'", chr(c) + '"', "'\"" + chr(c)]
    every = "".join(map(chr, range(256)))
    yield "all-bytes", [every, every, every.decode("latin1")]
    for n in (0, 1, 254, 255, 256, 257, 65536):
        yield "str%d" % n, ["s" * n, text("u") * n]
        yield "utf8-%d" % n, ["\xc3\xa9" * (n // 2)]
    for i, u in enumerate(
        [
            "\ud800",
            "\U0001f600",
            "\ud83d\ude00",
            "\ude00\ud83d",
            "\\",
            "\u005cu0041",
            "\n",
            "\x00\r\x1a",
            "\xe9",
        ]
    ):
        yield "unicode%d" % i, [text(u), text(u + u), {text(u): text(u)}]
    s = "shared"
    yield "shared", [s, s, "sha" + "red"[:3], unicode(s), {s: s}, buffer("x") and s]
    yield (
        "escapes",
        ["\\", "\\\\", "\\n", "\\x41", "\\'", "'", '"', "\\\n", "\t\a\b\f\v", "\x7f\x80"],
    )
    yield "interned", [intern("attribute"), "attribute", "attr" + "ibute"]
    yield "keys", {"a": 1, text("b"): 2, "\xe9": 3, text("\xe9"): 4, 1: 5, (1, "x"): 6, None: 7}


def numbers():
    edges = [2**n + d for n in (7, 8, 15, 16, 31, 32, 62, 63, 64, 127) for d in (-1, 0, 1)]
    yield "ints", edges + [-n for n in edges]
    yield "longs", [long(n) for n in (0, 1, -1, 255, 256, -128, -129, 2**31)]
    yield "long4", [2**2039, 2**2040, -(2**4000)]
    yield "bools", [True, False, 1, 0, {True: 1}]
    yield (
        "floats",
        [
            0.0,
            -0.0,
            1e16,
            0.1,
            5e-324,
            1.7976931348623157e308,
            float("inf"),
            -float("inf"),
            float("nan"),
            1e22,
        ],
    )
    yield "complex", [1j, complex(-0.0, 2)]


def oldstyle():
    o, a, s = old.Old(), old.OldArgs(1, "x", [2]), old.OldState()
    o.a, o.b = 1, [a]
    s.state = [o]
    yield "instances", [o, a, s, o]
    yield "empty", [old.Old(), old.OldArgs()]
    for i, state in enumerate([None, 0, (), [], {}, "", "s", (1, 2)]):
        s = old.OldState()
        s.state = state
        yield "state%d" % i, s
    yield "classes", [old.Old, old.Nested, old.OldArgs, old.Old]
    o = old.Old()
    vars(o).update({"a": 1, "": 2, "\xe9": 3})
    yield "attributes", o


def newstyle():
    n, s = old.Node(), old.Slots()
    n.a = s.a = [1]
    yield "instances", [n, n, old.Node()]
    yield "slots", [s, old.Slots()]
    yield "newargs", [old.NewArgs(), old.NewArgs(1, "x"), old.NewArgs([])]
    yield "reduced", [old.Reduced(), old.Reduced(1, [2]), old.Reduced("s", text("u"))]
    made = [
        old.IntSub(5), old.LongSub(5), old.StrSub("x"), old.UnicodeSub(text("\xe9")), old.FloatSub(1.5), old.ComplexSub(1j), old.TupleSub((1, 2)),
        old.ListSub([1]), old.DictSub(a=1), old.SetSub([1]), old.FrozenSub([1]), old.OrderedSub([(2, 1)]), old.DefaultSub(list, a=[1]),
        old.DequeSub([1]), old.DequeSub([1, 2], 2),
    ]  # fmt: skip
    for v in made:
        yield type(v).__name__, [v, v]
        v.attribute, v.me = [1], v
        yield type(v).__name__ + "-attributes", [v, v]
    yield "pair", [old.Pair(1, "x"), {old.Pair(1, 2): 3}]
    e = old.Error("x", 1)
    e.note = "n"
    yield (
        "exceptions",
        [
            e,
            ValueError(text("x")),
            IOError(2, "no", "f"),
            KeyError(1),
            StandardError(),
            UnicodeDecodeError("u", "x", 0, 1, "r"),
        ],
    )
    yield (
        "globals",
        [
            old.Node,
            len,
            dict,
            unicode,
            xrange,
            range,
            map,
            filter,
            reduce,
            raw_input,
            intern,
            long,
            basestring,
            str,
        ],
    )
    yield "object", [object(), xrange(5)]


def cycles():
    a, b = old.Old(), old.Node()
    a.b, b.a, a.me, b.all = b, a, a, (a, b, [a, b])
    yield "instances", [a, b]
    arg = []
    o = old.OldArgs(arg)
    arg.append(o)
    yield "initargs", o
    for cls in (old.ListSub, old.DequeSub, collections.deque):
        s = cls()
        s.append(s)
        s.append((s,))
        yield cls.__name__, s
    for cls in (old.DictSub, old.OrderedSub, collections.OrderedDict):
        d = cls()
        d["me"] = [d]
        yield cls.__name__, d
    o = old.Node()
    o.s, o.f = set([o]), frozenset([o])
    yield "sets", [o, o.s, o.f]
    items = []
    t = (items, 1, items)
    items.append(t)
    yield "tuple", [t, items]
    d = collections.defaultdict(list)
    d["me"] = d
    yield "defaultdict", d


def standard():
    yield (
        "dates",
        [
            dt.date(2024, 2, 29),
            dt.datetime(2024, 10, 13, 10, 13, 10, 657930),
            dt.time(1, 2, 3),
            dt.timedelta(-1, 2, 3),
            dt.datetime.max,
        ],
    )
    yield "years", [dt.datetime(y, 1, 1) for y in (1, 10, 39, 92, 255, 256, 2560, 9999)]
    yield "decimals", [decimal.Decimal(s) for s in "0 -0 1.50 NaN -sNaN12 Infinity 1E+3".split()]
    yield "fractions", [fractions.Fraction(1, 3), fractions.Fraction(-5)]
    yield "uuid", [uuid.UUID(int=5), uuid.UUID(int=2**128 - 1)]
    yield (
        "ordered",
        [collections.OrderedDict(), collections.OrderedDict([("b", 1), (text("a"), [2])])],
    )
    yield "counter", [collections.Counter("hello"), collections.Counter()]
    yield "deque", [collections.deque([1, 2]), collections.deque([1], 5), collections.deque()]
    yield (
        "defaultdict",
        [collections.defaultdict(f, a=1) for f in (None, list, int, dict, old.Node, old.Old)],
    )
    yield "sets", [set(), frozenset(), set([1, "a"]), frozenset([text("b"), (1,)])]
    yield "arrays", [array("i", [1, 2]), array("d", [0.5]), array("c", "xy"), array("B", [255])]
    yield "ranges", [slice(1, 2, None), slice(None)]
    yield "bytearray", [bytearray(b"x\xe9"), bytearray()]


def sessions():
    for cls in (old.Session, old.DictSession):
        s = cls("abcDEF")
        yield cls.__name__, s
        s.user, s._form_tokens = "sancho", ["t1"]
        s.data = {
            "cart": [{"sku": "a", text("n"): 2}],
            "last": dt.datetime(2009, 2, 28),
            "total": decimal.Decimal("9.90"),
            "name": "se\xc3\xb1or",
        }
        yield cls.__name__ + "-used", s


def graph(r):
    """A random value of all kinds, whose parts occur more than once and in cycles."""
    pool = [
        None,
        True,
        5,
        -1.5,
        "text",
        "\xe9",
        text("\u20ac"),
        (),
        2**70,
        "",
        text(""),
        old.Node,
        old.Old,
    ]
    lists = []
    for i in range(r.randrange(3, 30)):
        parts = [r.choice(pool) for _ in range(r.choice((0, 1, 2, 3, 4, 7)))]
        attributes = dict(("k%d" % k, p) for k, p in enumerate(parts))
        kind = r.randrange(9)
        if kind < 2:
            v = (old.Old, old.Node)[kind]()
            vars(v).update(attributes)
        else:
            v = [
                list(parts),
                tuple(parts),
                attributes,
                old.ListSub(parts),
                old.OldArgs(*parts),
                "s%d" % r.randrange(30),
                text("u%d" % i),
            ][kind - 2]
        pool.append(v)
        if type(v) is list:
            lists.append(v)
        if lists and r.random() < 0.4:
            r.choice(lists).append(r.choice(pool))
    return pool[-10:]
