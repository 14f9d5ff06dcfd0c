"""Objects that are hard by what they refer to and by how they are made."""

import collections
import datetime as dt
import enum
import functools
import sys
import types

import hardclasses as hard


def cycles():
    items = []
    items.append(items)
    yield "list", items
    d = {}
    d["d"] = d
    yield "dict", d
    for n in range(1, 7):
        items = []
        t = (items,) + (0,) * (n - 1)
        items.append(t)
        yield "tuple%d" % n, t
        yield "tuple%d-by-list" % n, items
        d = {}
        t = (1,) * (n - 1) + (d,)
        d[n] = t
        yield "tuple%d-by-dict" % n, [t, d]
    a, b = [], []
    t, u = (a, b), (b, a)
    a.extend([t, u])
    b.extend([u, t])
    yield "tuples-crossed", [t, u, a]
    nested = []
    inner = (nested,)
    outer = (inner, (inner, 1, 2, 3))
    nested.append(outer)
    yield "tuples-nested", [outer, inner]
    o = hard.Plain()
    o.set = {o}
    yield "set", o.set
    o = hard.Plain()
    o.frozen = frozenset([o])
    yield "frozenset", o.frozen
    yield "frozenset-by-object", o
    o = hard.Plain()
    o.pair = (frozenset([o]), frozenset([o, 1]))
    yield "frozensets", [o.pair, o]
    o = hard.Plain()
    o.d = {o: o, (o,): [o]}
    yield "key", o.d
    k = hard.KeyByName("k")
    k.me, k.d = k, {"x": k}
    yield "key-by-name", [k, {k: 1}]
    for cls in (hard.ListSub, hard.DequeSub, collections.deque):
        s = cls()
        s.append(s)
        yield cls.__name__, s
        t = cls()
        t.append((t, [t]))
        yield cls.__name__ + "-in-tuple", (t, t)
    for cls in (hard.DictSub, hard.OrderedSub, collections.OrderedDict, hard.CounterSub):
        m = cls()
        m["me"] = m
        yield cls.__name__, m
        m = cls()
        if hasattr(m, "__dict__"):
            m.attribute = m
            yield cls.__name__ + "-attribute", m
    m = collections.defaultdict(list)
    m["me"] = m
    yield "defaultdict", [m, m["me"]]
    for cls in (
        hard.SetSub,
        hard.FrozenSub,
        hard.TupleSub,
        hard.IntSub,
        hard.StrSub,
        hard.BytesSub,
        hard.FloatSub,
        hard.ArraySub,
    ):
        s = cls()
        s.me, s.items = s, [s]
        yield cls.__name__, s
    s = hard.Slots()
    s.a, s.me = [s], s
    yield "slots", s
    s = hard.SlotsDict()
    s.a, s.me, s.free = (s,), s, {"s": s}
    yield "slots-dict", s
    for part, name in enumerate(["args", "state", "items", "dict"], 1):
        parts = [hard.Log, (), None, None, None]
        p = hard.Plan()
        parts[part] = [([p],), [p], [p, [p]], [(1, p), ("k", [p])]][part - 1]
        p.parts = parts
        yield "reduce-" + name, p
        yield "reduce-%s-twice" % name, [p, p, parts[part]]
    p = hard.Plan()
    box = [p]
    p.parts = (hard.Log, (box, (box,)), {"s": p}, [p], [(1, p)])
    yield "reduce-everywhere", [p, box]
    if sys.version_info >= (3, 8):
        p = hard.Plan()
        p.parts = (hard.Plain, (), [p], None, None, hard.setter)
        yield "reduce-setter", [p, p]
        q = hard.Plan(hard.Plain, (), (p, [p]), None, None, hard.setter)
        yield "reduce-setters", [q, p, q]
    n = types.SimpleNamespace()
    n.me, n.items = n, [n]
    yield "namespace", n
    p = functools.partial(hard.maker)
    p.__setstate__((hard.maker, ([p],), {"p": p}, {"attribute": p}))
    yield "partial", p
    e = hard.Error("x")
    e.me = e
    yield "exception", e
    a, b = hard.Plain(), hard.Plain()
    a.b, b.a, a.all = b, a, (a, b, [a, b])
    yield "objects", (a, b)
    x = hard.NewArgs([])
    x.new[0][0].append(x)
    yield "newargs", x
    x = hard.NewArgsEx([], key=[])
    x.new[1]["key"].append(x)
    yield "newargs-ex", x
    c = collections.ChainMap()
    c.maps.append({"c": c})
    yield "chain", c
    it = []
    it.append(iter(it))
    yield "iterator", it


def reduces():
    plan, log = hard.Plan, hard.Log
    yield "two", plan(log, ())
    yield "two-args", plan(log, (1, [2], (3,), {4: 5}, None))
    many = list(range(12))
    for i, state in enumerate(
        [None, False, 0, "", (), [], {}, {"a": 1}, (None, {}), ({"a": 1}, {"b": 2}), "text"]
    ):
        yield "state%d" % i, plan(log, (), state)
        yield "state-items%d" % i, plan(log, (1,), state, many[:i], [(k, [k]) for k in many[:i]])
        if sys.version_info >= (3, 8):
            yield "setter%d" % i, [plan(log, (), state, [1], [(2, 3)], hard.setter), 1]
            yield "setter-only%d" % i, [plan(hard.Plain, (), state, None, None, hard.setter)] * 2
            yield (
                "setter-returns%d" % i,
                [plan(hard.Plain, (), [], None, None, hard.swallow), state],
            )
    yield "no-items", plan(log, (), None, [], [])
    yield "function", plan(hard.maker, (1, "a"))
    yield "static", plan(hard.Outer.Inner.static, ())
    yield (
        "classmethod",
        [hard.Outer.Inner.make(), hard.Outer.Inner.make(1, [2]), hard.Outer.Inner.make()],
    )
    yield (
        "builtin-made",
        [
            plan(list, ((1, 2),)),
            plan(dict, (((1, 2),),)),
            plan(tuple, ([1],)),
            plan(str, (5,)),
            plan(int, ("5",)),
        ],
    )
    yield (
        "set-of-set",
        [
            plan(set, ({1},)),
            plan(frozenset, ((1, 2),)),
            plan(set, ()),
            plan(frozenset, ()),
            plan(set, ([1],)),
        ],
    )
    yield (
        "bytes-made",
        [
            plan(bytes, ()),
            plan(bytes, ([65],)),
            plan(bytearray, ()),
            plan(bytearray, (b"x",)),
            plan(bytearray, (b"",)),
        ],
    )
    yield (
        "codec",
        [
            plan(__import__("_codecs").encode, ("\xe9", "latin1")),
            plan(__import__("_codecs").encode, ("\xe9", "utf-8")),
        ],
    )
    yield (
        "items-of-builtin",
        [
            plan(list, (), None, [1, 2]),
            plan(dict, (), None, None, [(1, 2)]),
            plan(collections.OrderedDict, (), None, None, [(1, 2)]),
        ],
    )
    yield (
        "getattr",
        [
            plan(getattr, (hard.Outer, "Inner")),
            plan(getattr, (hard.Outer, "CONSTANT")),
            hard.Outer.Inner,
        ],
    )
    yield "none-made", [plan(hard.swallow, (1,)), plan(type, (None,)), plan(type, ([],))]
    yield "same-made", plan(hard.maker, (plan(hard.maker, (1,)), plan(hard.maker, (1,))))
    yield "names", [hard.LONELY, hard.Outer.CONSTANT, hard.Outer.Constant(), hard.LONELY]
    yield "registered", [hard.Registered(), hard.Registered([hard.Registered(1)])]
    yield "object", [object(), object()]
    caller = functools.partial(hard.maker, 1)
    yield "call-of-instance", plan(caller, (2,))
    yield "call-of-method", plan(hard.Outer.Inner.Innermost().method, ())
    yield "named-args", plan(hard.maker, hard.Point(1, 2))
    yield "state-of-list", plan(hard.ListSub, (), {"a": 1}, [1], None)


def states():
    for i, s in enumerate(
        [
            None,
            False,
            0,
            (),
            [],
            {},
            "",
            (None,),
            (None, None),
            (None, {}),
            ({}, None),
            ({}, {}),
            1.5,
            b"",
        ]
    ):
        yield "own%d" % i, [hard.State(s), 1]
    for i, s in enumerate(
        [
            None,
            {},
            {"a": 1},
            (None, {"other": 1}),
            ({"a": 1}, {"other": 2}),
            ({}, {}),
            ({"a": 1}, None),
        ]
    ):
        o = hard.DefaultState()
        o.slot = s
        yield "default%d" % i, [o, 1]
    a, b, c = hard.Slots(), hard.SlotsChild(), hard.SlotsDict()
    yield "slots-empty", [a, b, c]
    a, b, c = hard.Slots(), hard.SlotsChild(), hard.SlotsDict()
    for o in (a, b, c):
        o.a, o._b, o._Slots__c = 1, [2], o
    b.single = c.d = c.free = "x"
    yield "slots", [a, b, c, a]
    for args in ((), (1,), (1, 2), (1, 2, 3, 4), ([],), (None,), ((),)):
        n, x = (
            hard.NewArgs(*args),
            hard.NewArgsEx(*args, **{"k%d" % i: a for i, a in enumerate(args)}),
        )
        n.more = x.more = args
        yield "newargs%d-%s" % (len(args), type(args[0]).__name__ if args else ""), [n, n, args]
        yield "newargs-ex%d-%s" % (len(args), type(args[0]).__name__ if args else ""), [x, x, args]
    o = hard.Plain()
    vars(o).update({"": 1, "a b": 2, "\xe9": 3, "__dunder__": 4, "\ud800": 5, "a\n": 6})
    yield "odd-attributes", o
    o = hard.Plain()
    vars(o).update({1: 2, None: 3, (4,): 5})
    yield "no-text-attributes", o
    yield "nothing", [hard.Plain(), hard.Plain()]


def graph(r):
    """A random value of all kinds, whose parts occur more than once and in cycles."""
    pool = [
        None,
        True,
        5,
        -1.5,
        "text",
        b"bytes",
        (),
        2**70,
        "\u20ac",
        "",
        b"",
        hard.Plain,
        hard.Plus.LIST,
        dt.date(2024, 1, 1),
    ]
    growing = []
    for i in range(r.randrange(3, 40)):
        parts = [r.choice(pool) for _ in range(r.choice((0, 1, 2, 3, 4, 7)))]
        hashable = [p for p in parts if isinstance(p, (int, str, bytes, enum.Enum, frozenset))]
        attributes = {"k%d" % k: p for k, p in enumerate(parts)}
        v = r.choice(
            [
                lambda: list(parts),
                lambda: tuple(parts),
                lambda: dict(attributes),
                lambda: set(hashable),
                lambda: frozenset(hashable),
                lambda: hard.Abstract(**attributes),
                lambda: hard.ListSub(parts),
                lambda: hard.DictSub(attributes),
                lambda: collections.OrderedDict(attributes),
                lambda: collections.deque(parts, 9),
                lambda: hard.NewArgs(*parts),
                lambda: hard.NewArgsEx(*parts, **attributes),
                lambda: hard.Plan(
                    hard.Log,
                    tuple(parts),
                    r.choice([None, parts, attributes]),
                    parts[:2],
                    list(attributes.items()),
                ),
                lambda: hard.Point(i, parts),
                lambda: types.SimpleNamespace(**attributes),
                lambda: bytearray(b"%d" % i),
                lambda: "s%d" % r.randrange(30),
                lambda: r.random() * 10 ** r.randrange(-300, 300),
                lambda: hard.FrozenSub(hashable),
                lambda: hard.State(parts),
            ]
        )()
        pool.append(v)
        if isinstance(v, (list, dict, set, collections.deque)):
            growing.append(v)
        if growing and r.random() < 0.4:
            g, v = r.choice(growing), r.choice(pool)
            if isinstance(g, dict):
                g["late%d" % i] = v
            elif not isinstance(g, set):
                g.append(v)
            elif isinstance(v, (str, int)):
                g.add(v)
    return pool[-10:]


GROUPS = (cycles, reduces, states)
