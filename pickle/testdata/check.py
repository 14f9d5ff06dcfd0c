"""Compares pickles in pairs, as CPython loads them.

Reads lines of JSON: {"name": ..., "a": hex, "b": hex}. Both are loaded by the
C unpickler, and b by the pure one too; every fourth b is also read by
pickletools.dis and optimize. The values must agree in type, in content (floats
by their bits), in the order of dicts, and in which of their parts are the same
object. Writes one line of JSON for each: {"name": ..., "error": ...} where the
error is null when they agree, or {"name": ..., "unloadable": ...} when this
Python cannot load a.
"""

import binascii
import io
import json
import pickle
import pickletools
import struct
import sys
import threading
import types
import zlib

sys.dont_write_bytecode = True
sys.setrecursionlimit(20000)

if sys.version_info[0] == 2:
    import cPickle

    load, load_pure = cPickle.loads, pickle.loads
    ATOMS = (int, long, float, complex, bool, type(None), xrange, slice)  # noqa: F821
    XRANGE = xrange  # noqa: F821
    NAMED = (type, types.ClassType, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)
    BASES = (int, long, float, complex, str, unicode, bytearray, tuple, list, dict, set, frozenset)  # noqa: F821
    TEXT = (str, unicode)  # noqa: F821
else:

    def load(data):
        return pickle.loads(data, encoding="latin1")

    def load_pure(data):
        return pickle._loads(data, encoding="latin1")

    ATOMS = (
        int,
        float,
        complex,
        bool,
        type(None),
        type(Ellipsis),
        type(NotImplemented),
        range,
        slice,
    )
    NAMED = (type, types.FunctionType, types.BuiltinFunctionType, types.ModuleType)
    XRANGE = range
    BASES = (int, float, complex, str, bytes, bytearray, tuple, list, dict, set, frozenset)
    TEXT = (str, bytes)


class Different(Exception):
    pass


def is_shared(v):
    """Of the empty frozenset and of short texts some loaders have but one object."""
    return type(v) in TEXT and len(v) < 2 or type(v) is frozenset and not v


class Comparer:
    """Walks two graphs at once and pairs their objects one to one."""

    def __init__(self):
        self.to, self.back, self.alive = {}, {}, []

    def same(self, a, b, path, fresh=False):
        if type(a) is not type(b):
            raise Different("%s: %r and %r" % (path, type(a), type(b)))
        if isinstance(a, types.BuiltinFunctionType) and not isinstance(
            a.__self__, types.ModuleType
        ):
            if a.__name__ != b.__name__:
                raise Different("%s: %r and %r" % (path, a, b))
            return self.same(a.__self__, b.__self__, path + ".__self__", fresh=True)
        if isinstance(a, NAMED):
            if a != b:
                raise Different("%s: %r and %r" % (path, a, b))
            return
        if getattr(a, "__class__", None) is not getattr(b, "__class__", None):
            raise Different("%s: classes of %.60r and %.60r" % (path, a, b))
        if type(a) in ATOMS or is_shared(a):
            return self.atom(a, b, path)
        self.alive.append((a, b))
        if not fresh:
            if id(a) in self.to or id(b) in self.back:
                if self.to.get(id(a)) != id(b) or self.back.get(id(b)) != id(a):
                    raise Different("%s: not the same sharing of %.60r" % (path, type(a)))
                return
            self.to[id(a)], self.back[id(b)] = id(b), id(a)
        self.content(a, b, path)

    def atom(self, a, b, path):
        if type(a) is float:
            ok = struct.pack("d", a) == struct.pack("d", b)
        elif type(a) is complex:
            ok = struct.pack("dd", a.real, a.imag) == struct.pack("dd", b.real, b.imag)
        elif type(a) is XRANGE:
            ok = repr(a) == repr(b)  # those of Python 2 are equal only to themselves
        elif type(a) is slice:
            return self.all([a.start, a.stop, a.step], [b.start, b.stop, b.step], path)
        else:
            ok = a == b
        if not ok:
            raise Different("%s: %.60r and %.60r" % (path, a, b))

    def all(self, a, b, path):
        if len(a) != len(b):
            raise Different("%s: lengths %d and %d" % (path, len(a), len(b)))
        for i, (x, y) in enumerate(zip(a, b)):
            self.same(x, y, "%s[%d]" % (path, i))

    def content(self, a, b, path):
        kind = next((k for k in BASES if isinstance(a, k)), None)
        if kind in TEXT or kind in (bytearray, int):
            if kind(a) != kind(b):
                raise Different("%s: %.60r and %.60r" % (path, a, b))
        elif kind in (float, complex):
            self.atom(kind(a), kind(b), path)
        elif kind in (tuple, list):
            self.all(list(kind.__iter__(a)), list(kind.__iter__(b)), path)
        elif kind is dict:
            pairs = [[x for p in dict.items(d) for x in p] for d in (a, b)]
            self.all(pairs[0], pairs[1], path)
        elif kind in (set, frozenset):
            self.members(list(a), list(b), path)
        if kind is not type(a):
            self.attributes(a, b, path)
            if kind is None:
                self.reduced(a, b, path)

    def members(self, a, b, path):
        """Sets of objects that hash by address have no order to rely on."""

        def key(x):
            return (
                type(x).__name__,
                repr(x) if isinstance(x, (str, bytes, int, float, tuple)) else "",
            )

        if [key(x) for x in a] != [key(x) for x in b]:
            a, b = sorted(a, key=key), sorted(b, key=key)
        self.all(a, b, path)

    def attributes(self, a, b, path):
        if hasattr(a, "__dict__") != hasattr(b, "__dict__"):
            raise Different("%s: __dict__" % path)
        if hasattr(a, "__dict__"):
            x, y = vars(a), vars(b)
            if list(x) != list(y):
                raise Different("%s: attributes %r and %r" % (path, list(x), list(y)))
            for k in x:
                self.same(x[k], y[k], "%s.%s" % (path, k))
        for cls in type(a).__mro__:
            slots = cls.__dict__.get("__slots__", ())
            for slot in [slots] if isinstance(slots, str) else slots:
                if slot in ("__dict__", "__weakref__"):
                    continue
                if slot.startswith("__") and not slot.endswith("__"):
                    slot = "_%s%s" % (cls.__name__.lstrip("_"), slot)
                missing = object()
                x, y = getattr(a, slot, missing), getattr(b, slot, missing)
                if (x is missing) != (y is missing):
                    raise Different("%s: slot %s" % (path, slot))
                if x is not missing:
                    self.same(x, y, "%s.%s" % (path, slot))

    def reduced(self, a, b, path):
        """What has no part that can be seen is compared by how it pickles."""
        if isinstance(a, BaseException):
            return self.all(a.args, b.args, path)
        try:
            x, y = a.__reduce_ex__(4), b.__reduce_ex__(4)
        except (TypeError, AttributeError):
            return
        if isinstance(x, str):
            if x != y:
                raise Different("%s: %s and %s" % (path, x, y))
            return
        x = [list(p) if p is not None and i in (3, 4) else p for i, p in enumerate(x)]
        y = [list(p) if p is not None and i in (3, 4) else p for i, p in enumerate(y)]
        for i, (p, q) in enumerate(zip(x, y)):
            if isinstance(p, (tuple, list)) and type(p) is type(q):
                if len(p) != len(q):
                    raise Different("%s: part %d" % (path, i))
                for s, t in zip(p, q):
                    self.same(s, t, "%s:%d" % (path, i), fresh=isinstance(s, (tuple, str, bytes)))
            else:
                self.same(p, q, "%s:%d" % (path, i), fresh=True)


def readable(data):
    """pickletools reads a str of Python 2 in STRING only when it is ASCII."""
    try:
        return all(
            "STRING" not in op.name or arg == arg.encode("ascii", "ignore").decode("ascii")
            for op, arg, _ in pickletools.genops(data)
        )
    except UnicodeDecodeError:
        return False


def check(line):
    a, b = binascii.unhexlify(line["a"]), binascii.unhexlify(line["b"])
    try:
        x = load(a)
    except Exception as e:
        return {"unloadable": "%s: %s" % (type(e).__name__, e)}
    try:
        Comparer().same(x, load(b), "C")
        Comparer().same(x, load_pure(b), "pure")
        if len(b) < 3000 and zlib.crc32(b) % 4 == 0 and readable(a):
            pickletools.dis(b, io.StringIO() if TEXT[0] is not bytes else io.BytesIO())
            Comparer().same(x, load(pickletools.optimize(b)), "optimized")
    except Exception as e:
        return {"error": "%s: %s" % (type(e).__name__, e)}
    return {"error": None}


def main():
    import roundtrip

    roundtrip.modules()
    try:
        from test import pickletester

        for name in "CDE":
            if hasattr(pickletester, name):
                setattr(sys.modules["__main__"], name, getattr(pickletester, name))
    except ImportError:
        pass
    for text in sys.stdin:
        line = json.loads(text)
        result = check(line)
        result["name"] = line["name"]
        print(json.dumps(result))


if __name__ == "__main__":
    threading.stack_size(512 << 20)  # bytes: the walk is as deep as what is compared
    walk = threading.Thread(target=main)
    walk.start()
    walk.join()
