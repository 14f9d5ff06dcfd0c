"""Writes roundtrip.jsonl.gz: pickles of all kinds, by every Python given.

    python3 roundtrip.py [--path DIR] PYTHON...

DIR holds quixote and session3, where the interpreters do not have them
themselves. Each line is one pickle: its name, the version of Python that
wrote it, the protocol asked for, the bytes in hex. Equal pickles of several
versions are written once. The classes are those of generate.py, and of MORE
and LEGACY below; check.py defines them the same way.
"""

from __future__ import print_function

import gzip
import json
import os
import random
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))


def main(args, corpus="roundtrip"):
    script = os.path.join(HERE, corpus + ".py")
    env = dict(os.environ, PYTHONHASHSEED="0")
    if args[:1] == ["--path"]:
        env["PYTHONPATH"] = args[1]
        args = args[2:]
    seen, lines = set(), []
    for python in args:
        out = subprocess.check_output([python, "-W", "ignore", script, "--emit"], env=env)
        for line in out.decode("ascii").splitlines():
            fields = json.loads(line)
            if fields["hex"] not in seen:
                seen.add(fields["hex"])
                # What is alike side by side: it compresses to half.
                version, protocol, pickler, name = fields["name"].split("/", 3)
                lines.append((name, protocol, pickler, line))
    path = os.path.join(HERE, corpus + ".jsonl.gz")
    with open(path, "wb") as f:
        with gzip.GzipFile("", "wb", 9, f, mtime=0) as z:
            z.write(("\n".join(line[-1] for line in sorted(lines)) + "\n").encode("ascii"))
    print("%d pickles, %d bytes" % (len(lines), os.path.getsize(path)))


# The classes of the module myapp.more.
MORE = """
import collections, copyreg, enum

class Root:
    class Mid:
        class Leaf:
            pass
    def method(self): pass
    @classmethod
    def make(cls): return cls()

class Args:
    def __new__(cls, *args):
        self = object.__new__(cls)
        self.args = args
        return self
    def __getnewargs__(self):
        return self.args

class Keys:
    def __new__(cls, *args, **kw):
        self = object.__new__(cls)
        self.a, self.kw = args, kw
        return self
    def __getnewargs_ex__(self):
        return self.a, self.kw

class Six:
    def __init__(self):
        self.data = None
    def __reduce_ex__(self, protocol):
        return Six, (), self.data, None, None, set_six

def set_six(o, state):
    o.data = state

class Five:
    def __init__(self):
        self.l, self.d, self.s = [], [], None
    def append(self, v): self.l.append(v)
    def extend(self, v): self.l.extend(v)
    def __setitem__(self, k, v): self.d.append((k, v))
    def __setstate__(self, s): self.s = s
    def __reduce__(self):
        return Five, (), self.s, iter(self.l), iter(self.d)

class Singleton:
    def __reduce__(self):
        return "SINGLETON"
SINGLETON = Singleton()

class Registered:
    def __init__(self, a): self.a = a
def _reduce(o): return Registered, (o.a,)
copyreg.pickle(Registered, _reduce)

class Falsy:
    def __getstate__(self): return 0
    def __setstate__(self, s): self.s = s

class Node:
    def __init__(self): self.next = None

class SlotBase:
    __slots__ = ("a", "__b")
class SlotSub(SlotBase):
    __slots__ = ("c", "__dict__", "__weakref__")

class Flag(enum.Flag):
    A = 1
    B = 2
class Num(enum.IntEnum):
    ONE = 1
class Tup(enum.Enum):
    P = (1, "p")
    Q = (2, "q")
class FloatSub(float): pass
class FrozenSub(frozenset): pass
class ArraySub(bytearray): pass
class ComplexSub(complex): pass
class DequeSub(collections.deque): pass
class DefaultSub(collections.defaultdict): pass
class CounterSub(collections.Counter): pass
class Pair(collections.namedtuple("Pair", "a b")):
    __slots__ = ()
class PairDict(collections.namedtuple("PairDict", "a b")):
    pass
class Err(Exception):
    def __init__(self, a, b=2):
        Exception.__init__(self, a)
        self.b = b
class Key:
    def __init__(self, k): self.k = k
    def __eq__(self, o): return type(o) is Key and getattr(o, "k", None) == getattr(self, "k", None)
    def __hash__(self): return 7
"""

# The classes of the module legacy, which Python 2 instantiates.
LEGACY = """
class Old:
    pass
class OldArgs:
    def __init__(self, a, b): self.a, self.b = a, b
    def __getinitargs__(self): return (self.a, self.b)
class OldState:
    def __getstate__(self): return (self.x,)
    def __setstate__(self, s): self.x, = s
class New(object):
    pass
class NewSlots(object):
    __slots__ = ("a", "b")
class NewDict(dict): pass
class NewList(list): pass
class NewInt(int): pass
class NewSet(set): pass
class NewTuple(tuple): pass
class NewErr(Exception): pass
"""


def modules():
    sys.path.insert(0, HERE)
    import types

    def module(name, source):
        m = types.ModuleType(name)
        m.__file__ = name
        sys.modules[name] = m
        exec(source, m.__dict__)
        return m

    legacy = module("legacy", LEGACY)
    if sys.version_info[0] == 2:
        return None, None, legacy
    import generate

    app = generate.modules()
    more = module("myapp.more", MORE)
    sys.modules["myapp"].more = more
    return app, more, legacy


def scalars():
    for n in (0, 1, 7, 8, 15, 16, 31, 32, 63, 64, 127, 2039, 2040, 2048, 4000):
        for d in (-1, 0, 1):
            yield "int+%d%+d" % (n, d), 2**n + d
            yield "int-%d%+d" % (n, d), -(2**n) + d
    for i, f in enumerate(
        [0.0, -0.0, 1.5, -1.5, 1e15, 1e16, 1e17, 123456789012345680.0, 1e-4, 1e-5, 0.1, 1 / 3.0]
        + [1.7976931348623157e308, 5e-324, 2.2250738585072014e-308, 1e22, 1e23, 100.0, -1e100]
        + [float("inf"), float("-inf"), float("nan"), -float("nan")]
    ):
        yield "float%d" % i, f
    yield "bools", [True, False, None, True]
    for n in (0, 1, 2, 254, 255, 256, 257, 65534, 65535, 65536, 65537):
        yield "bytes%d" % n, b"\xe9" * n
        yield "bytearray%d" % n, bytearray(b"\x80a" * (n // 2))
        yield "str%d" % n, "s" * n
        yield "stru%d" % n, "\u20ac" * (n // 3) + "x" * (n % 3)
    for i in range(256):
        if i < 0x30 or i > 0x7A or i == 0x5C:
            yield "chr%d" % i, "a" + ("%c" % i) + "b\\u%c" % i
    for i, s in enumerate(["\\", "\\\\u0041", "\n", "a\nb", "\r\n\x00\x1a", "'\"", "\u2028"]):
        yield "esc%d" % i, [s, s, s + "x"]


def containers():
    for n in (0, 1, 2, 3, 4, 5, 255, 256, 257, 999, 1000, 1001, 2000, 2001):
        yield "list%d" % n, list(range(n))
        yield "dict%d" % n, dict.fromkeys(range(n))
        yield "set%d" % n, set(range(n))
        yield "frozenset%d" % n, frozenset(range(n))
        yield "tuple%d" % n, tuple(range(n))
        yield "strs%d" % n, ["k%d" % (i % 10) for i in range(n)] * 2
    for n in range(6):
        t = tuple([i] for i in range(n))
        yield "tuples%d" % n, [t, t, (t, t), {n: t}]
        loop = ([],) + (n,) * n
        loop[0].append(loop)
        yield "looptuple%d" % n, loop
        yield "looptuple-in%d" % n, [loop, loop[0]]
    a = []
    a.append(a)
    d = {}
    d[1] = d
    b = [a, d]
    a.append(b)
    yield "loops", [a, d, b, a]
    e = (), frozenset(), "", b"", [], {}
    yield "empty", [e, e, (), (), frozenset(), "", "", b"", b"", set(), set()]
    s = "shared string"
    y = b"shared bytes"
    z = bytearray(b"shared array")
    yield "sharing", [s, y, z, s, y, z, {s: y}, (s, z), "".join(["shared", " string"])]
    deep = 0
    for i in range(90):
        deep = ([deep], (deep,), {i: deep})[i % 3]
    yield "deep", deep
    yield "frames", ["x" * 30000, "y" * 30000, "z" * 30000, b"w" * 70000, [1], "v" * 70000, 2]
    yield "frames2", ["%06d" % (i % 7) for i in range(8000)]


def graph(r):
    """A random value whose parts occur more than once."""
    pool = [None, True, 5, 1.5, "text", b"bytes", (), 2**70, "\u20ac", "", b""]
    for i in range(r.randrange(3, 30)):
        n = r.choice((0, 1, 2, 3, 4, 7))
        parts = [r.choice(pool) for _ in range(n)]
        kind = r.randrange(9)
        if kind == 0:
            v = parts
        elif kind == 1:
            v = tuple(parts)
        elif kind == 2:
            v = dict(("k%d" % k, p) for k, p in enumerate(parts))
        elif kind == 3:
            v = "s%d" % r.randrange(100)
        elif kind == 4:
            v = set(p for p in parts if isinstance(p, (int, float, type(""), bytes)))
        elif kind == 5:
            v = frozenset(p for p in parts if isinstance(p, (int, type(""), bytes)))
        elif kind == 6:
            v = bytearray(b"%d" % i) if sys.version_info[0] > 2 else [i]
        elif kind == 7:
            v = r.randrange(-(10 ** r.randrange(1, 30)), 10**30)
        else:
            lists = [p for p in pool if isinstance(p, list)]
            if lists:
                r.choice(lists).extend(parts)
            dicts = [p for p in pool if isinstance(p, dict)]
            if dicts and parts:
                r.choice(dicts)[i] = parts[0]
            v = r.random()
        pool.append(v)
    return pool[-12:]


def objects(app, more):
    import array
    import collections
    import datetime as dt
    import decimal
    import fractions
    import functools
    import operator
    import types
    import uuid

    yield (
        "nested",
        [more.Root, more.Root.Mid, more.Root.Mid.Leaf, more.Root.Mid.Leaf(), more.Root.Mid],
    )
    yield "classmethod", [more.Root.make, more.Root().method]
    for i, args in enumerate([(), (1,), (1, 2), ([],), ((), "a"), (1, 2, 3, 4)]):
        o = more.Args(*args)
        o.extra = o.args
        yield "newargs%d" % i, [o, o]
        if i:
            k = more.Keys(*args, x=1, **{"y": o})
            yield "newargsex%d" % i, [k, k, {1: k}]
    o = more.Args([])
    o.args[0].append(o)
    yield "newargs-loop", o
    for i, state in enumerate([None, 0, {}, {"a": 1}, [1], ((),)]):
        s, f = more.Six(), more.Five()
        s.data = f.s = state
        f.l, f.d = [1] * i, [("k", s)] * i
        yield "six%d" % i, [s, f, s, f]
    f, s = more.Five(), more.Six()
    f.l, f.d, f.s = [f], [(1, f)], {"self": f}
    s.data = [s, f]
    yield "six-loop", [f, s]
    big = more.Five()
    big.l, big.d = list(range(1001)), [(i, i) for i in range(2001)]
    yield "five-big", big
    big = more.Five()
    big.l, big.d = list(range(2000)), [(i, i) for i in range(1000)]
    yield "five-batches", big
    yield "singleton", [more.SINGLETON, more.SINGLETON]
    yield "registered", [more.Registered(5), more.Registered([])]
    yield "falsy", more.Falsy()
    n, m = more.Node(), more.Node()
    n.next, m.next, n.me = m, n, n
    yield "nodes", [n, m]
    chain = None
    for _ in range(60):
        n = more.Node()
        n.next = chain
        chain = n
    yield "chain", chain
    b, c = more.SlotBase(), more.SlotSub()
    b.a = c.a = c.c = [1]
    c.free = c
    yield "slots", [b, c, more.SlotBase()]
    yield (
        "enums",
        [more.Flag.A, more.Flag.A | more.Flag.B, more.Num.ONE, more.Tup.P, more.Tup.Q, more.Tup.P],
    )
    yield "enum-keys", {more.Num.ONE: more.Tup.P, more.Tup.Q: 1}
    yield (
        "subs",
        [
            more.FloatSub(1.5),
            more.FrozenSub([1]),
            more.ArraySub(b"x"),
            more.ComplexSub(1, 2),
            more.DequeSub([1], 3),
            more.DefaultSub(list, a=[1]),
            more.CounterSub("aab"),
        ],
    )
    p, q = more.Pair(1, "x"), more.PairDict(1, [])
    q.more = p
    yield "pairs", [p, q, p, {p: q}]
    e = more.Err(1)
    e.note = "n"
    yield "exceptions", [e, Exception(), KeyError("k"), OSError(2, "no", "file"), StopIteration(1)]
    yield (
        "exceptions2",
        [
            ConnectionError(1),
            ModuleNotFoundError("m", name="n"),
            BlockingIOError(1, "x", 2),
            UnicodeEncodeError("u", "x", 0, 1, "r"),
        ],
    )
    k = more.Key(1)
    yield "keys", [{k: 1, more.Key(2): k}, {k}, frozenset([k])]
    loop = more.Key(3)
    loop.d = {loop: loop}
    loop.s = {loop}
    yield "key-loop", loop
    fs = more.Node()
    fs.next = frozenset([fs])
    yield "frozenset-loop", [fs, fs.next]
    yield "frozenset-loop2", fs.next
    yield (
        "functions",
        [
            len,
            operator.itemgetter,
            app.function,
            int,
            type(None),
            type(Ellipsis),
            type(NotImplemented),
            Ellipsis,
            NotImplemented,
        ],
    )
    yield (
        "partial",
        [
            functools.partial(int, "10", base=2),
            operator.itemgetter(1, 2),
            operator.attrgetter("a.b"),
        ],
    )
    od = collections.OrderedDict([("a", 1), (1, [2])])
    od["self"] = od
    od2 = collections.OrderedDict((i, i) for i in range(1001))
    yield "ordered", [od, od2, collections.OrderedDict()]
    dd = collections.defaultdict(list, {"a": [1]})
    dd["self"] = dd
    yield (
        "defaultdict",
        [dd, collections.defaultdict(None, {1: 2}), collections.defaultdict(more.Root.Mid)],
    )
    dq = collections.deque([1, 2], 7)
    dq.append(dq)
    yield "deque", [dq, collections.deque(range(1500)), collections.deque()]
    yield "counter", collections.Counter({"a": 2, "b": -1})
    for i, v in enumerate(
        [
            dt.date.min,
            dt.date.max,
            dt.datetime.min,
            dt.datetime.max,
            dt.time.min,
            dt.time.max,
            dt.timedelta.min,
        ]
        + [dt.timedelta.max, dt.timedelta(0, -1), dt.datetime(2020, 1, 1, fold=1), dt.timezone.utc]
        + [dt.datetime(2020, 1, 1, tzinfo=dt.timezone(dt.timedelta(hours=-5), "EST"))]
        + [
            decimal.Decimal("-0"),
            decimal.Decimal("sNaN12"),
            decimal.Decimal("1E-30"),
            decimal.Decimal(10) ** 40,
        ]
        + [
            fractions.Fraction(1, 3),
            fractions.Fraction(-(10**30)),
            complex(0.0, -0.0),
            complex(float("nan"), 1),
        ]
        + [
            range(0),
            range(1, 10, 3),
            range(10**20),
            slice(None),
            slice(1, 2, 3),
            uuid.UUID(int=0),
            uuid.UUID(int=2**128 - 1),
        ]
        + [
            types.SimpleNamespace(),
            types.SimpleNamespace(a=1, b=["x"]),
            array.array("d", [1.5]),
            array.array("u", "ab"),
        ]
        + [
            iter([1, 2]),
            iter((1, 2)),
            iter(range(3)),
            reversed([1, 2]),
            iter("ab"),
            memoryview,
            object(),
            Ellipsis,
        ]
    ):
        yield "std%d" % i, v
        yield "std%d-shared" % i, [v, v, (v,)]


def python2(legacy):
    import collections
    import datetime as dt
    import decimal
    import uuid

    yield (
        "strs",
        ["", "a", "\n\\'\"\x00\x1a\xe9", "x" * 300, "shared" * 2, "u", "\xe9\u20ac\U0001f600\\"],
    )
    s = "one string"
    yield "shared", [s, s, {s: s}, unicode(s)]  # noqa: F821
    yield "longs", [1, long(1), -(long(2) ** 70), sys.maxint, -sys.maxint - 1]  # noqa: F821
    old, state, new, slots = legacy.Old(), legacy.OldState(), legacy.New(), legacy.NewSlots()
    old.a, old.b, old.me = 1, [new], old
    state.x = "s"
    new.x, new.old = 1.5, old
    slots.a = 3
    yield "old", old
    yield "oldargs", [legacy.OldArgs(1, "b"), legacy.OldArgs([], None)]
    yield "oldstate", state
    yield "new", [new, new]
    yield "slots", slots
    yield (
        "subs",
        [
            legacy.NewDict(a=1),
            legacy.NewList([1]),
            legacy.NewInt(5),
            legacy.NewSet([1]),
            legacy.NewTuple([1]),
        ],
    )
    yield "errors", [legacy.NewErr("x"), ValueError(1), IOError(2, "no"), StandardError("s")]  # noqa: F821
    yield "classes", [legacy.Old, legacy.New, dict, xrange, unicode, long, len, legacy]  # noqa: F821
    yield "classes2", [legacy.Old, legacy.New, dict, unicode, len, set, map]  # noqa: F821
    yield "xrange", [xrange(3), slice(1, 2), 1j]  # noqa: F821
    yield (
        "std",
        [
            dt.datetime(2020, 1, 2),
            dt.date(2020, 1, 2),
            dt.timedelta(1),
            decimal.Decimal("1.5"),
            uuid.UUID(int=5),
        ],
    )
    yield (
        "collections",
        [
            collections.OrderedDict([(1, 2)]),
            collections.deque([1]),
            collections.defaultdict(list, a=[]),
        ],
    )
    yield "counter", collections.Counter("aab")


def write(name, value, version):
    import pickle
    import pickletools

    picklers = [("c", None)]
    if sys.version_info[0] == 2:
        import cPickle

        picklers = [("c", cPickle.dumps), ("py", pickle.dumps)]
    else:
        picklers = [("c", pickle.dumps), ("py", pickle._dumps)]
    highest = pickle.HIGHEST_PROTOCOL
    for protocol in range(highest + 1):
        first = None
        for what, dumps in picklers:
            try:
                data = dumps(value, protocol)
            except Exception:
                continue
            if data == first or len(data) > 5000 and (version != "3.11" or what != "c"):
                continue
            emit(name, version, protocol, what, data)
            if first is None:
                first = data
                if len(data) < 3000:
                    try:
                        emit(name, version, protocol, "opt", pickletools.optimize(data))
                    except Exception:
                        pass


def emit(name, version, protocol, what, data):
    import binascii

    code = binascii.hexlify(data).decode("ascii")
    name = "%s/p%d/%s/%s" % (version, protocol, what, name)
    print(json.dumps({"name": name, "python": version, "protocol": protocol, "hex": code}))


def constants(version):
    """The pickles in CPython's own tests."""
    try:
        from test import pickletester
    except ImportError:
        return
    places = [("", pickletester)] + [
        (k, v) for k, v in vars(pickletester).items() if isinstance(v, type)
    ]
    for where, place in places:
        for key, v in sorted(vars(place).items()):
            if (
                isinstance(v, bytes)
                and v.endswith(b".")
                and len(v) > 1
                and not key.startswith("__")
            ):
                protocol = ord(v[1:2]) if v[:1] == b"\x80" else 0
                emit("constants/%s-%s" % (where, key), version, protocol, "const", v)


def emit_all():
    app, more, legacy = modules()
    version = "%d.%d" % sys.version_info[:2]
    for name, value in scalars():
        if not isinstance(value, bytearray) or sys.version_info[0] > 2:
            write(name, value, version)
    for name, value in containers():
        write(name, value, version)
    for i in range(40):
        write("graph%d" % i, graph(random.Random(i)), version)
    if app is None:
        for name, value in python2(legacy):
            write(name, value, version)
    else:
        import generate

        # modules() made the classes already; make them once.
        generate.modules = lambda: app
        for group in (objects(app, more), generate.values()):
            for name, value in group:
                write(name, value, version)
                if isinstance(value, list) and 1 < len(value) < 40:
                    for i, v in enumerate(value):
                        write("%s.%d" % (name, i), v, version)
    constants(version)


if __name__ == "__main__":
    if sys.argv[1:] == ["--emit"]:
        emit_all()
    else:
        main(sys.argv[1:])
