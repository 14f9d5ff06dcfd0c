"""Writes adversary.jsonl.gz: pickles meant to be hard, in the form of roundtrip.jsonl.gz.

    python3 adversary.py [--path DIR] PYTHON...

DIR holds quixote and session3. Each value is pickled in every protocol by the
pickler in C, the one in Python, and in the ways that Pickler has to be used;
besides, CPython's own tests of pickle are run, and all that they load or dump
is kept, and pickles written by hand that no pickler writes. What the
interpreter cannot load again is left out.
"""

from __future__ import print_function

import io
import pickle
import pickletools
import random
import sys

import roundtrip

sys.dont_write_bytecode = True
PYTHON2 = sys.version_info[0] == 2
VERSION = "%d.%d" % sys.version_info[:2]
LARGE = 4000  # bytes; of what is larger one pickler's will do

if PYTHON2:
    import cPickle
    from oldvalues import graph, values

    BOTH = [("c", cPickle.Pickler), ("py", pickle.Pickler)]
else:
    import hardclasses
    from hardgraphs import graph
    from hardvalues import values

    BOTH = [("c", pickle.Pickler), ("py", pickle._Pickler)]


def plain(cls, value, protocol, f):
    cls(f, protocol).dump(value)


def fast(cls, value, protocol, f):
    p = cls(f, protocol)
    p.fast = True
    p.dump(value)


def in_band(cls, value, protocol, f):
    cls(f, protocol, buffer_callback=lambda buffer: True).dump(value)


def by_table(cls, value, protocol, f):
    """Has what is registered for no type made by a function of its own."""
    p = cls(f, protocol)
    p.dispatch_table = {
        hardclasses.Plain: lambda o: (hardclasses.Plain, (), vars(o)),
        complex: lambda z: (complex, (repr(z),)),
    }
    p.dump(value)


def by_override(cls, value, protocol, f):
    class Pickler(cls):
        def reducer_override(self, o):
            if type(o) is hardclasses.Plain:
                return hardclasses.maker, (1,), vars(o)
            return NotImplemented

    Pickler(f, protocol).dump(value)


def ways(name):
    yield "", plain
    if name.startswith(("cycles/", "sizes/")) or PYTHON2 and "byte" in name:
        return
    yield "-fast", fast
    if not PYTHON2:
        if sys.version_info >= (3, 8):
            if name in ("standard/picklebuffer", "texts/bytes255"):
                yield "-in-band", in_band
            if name.startswith(("sharing/", "states/n")):
                yield "-override", by_override
        if name.startswith(("sharing/", "numbers/complex", "states/n")):
            yield "-table", by_table


def write(name, value):
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        known = set()
        for way, dump in ways(name):
            for what, cls in BOTH:
                f = io.BytesIO()
                try:
                    dump(cls, value, protocol, f)
                except Exception:
                    continue
                keep(name, protocol, what + way, f.getvalue(), known)
                if what + way == "c" and len(f.getvalue()) < LARGE:
                    try:
                        keep(name, protocol, "opt", pickletools.optimize(f.getvalue()), known)
                    except Exception:
                        pass  # pickletools reads no str of Python 2 beyond ASCII


def keep(name, protocol, what, data, known):
    if data in known or len(data) > LARGE and (VERSION != "3.11" or what != "c"):
        return
    known.add(data)
    if loads(data):
        roundtrip.emit(name, VERSION, protocol, what, data)


def loads(data):
    try:
        if PYTHON2:
            cPickle.loads(data)
        else:
            pickle.loads(data, encoding="latin1")
        return True
    except Exception:
        return False


def memo():
    """An index beyond 65536, by opcodes that take one byte and four."""
    lists = [[] for _ in range(65540)]
    for protocol in (1, 4):
        roundtrip.emit(
            "memo65536",
            VERSION,
            protocol,
            "c",
            pickle.dumps([lists, lists[65530:], [], lists[:2]], protocol),
        )


def persistent(value):
    """Yields pickles in which every second text and list is elsewhere."""
    for what, cls in BOTH:
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            seen = []

            def persistent_id(o):
                if type(o) not in (str, list):
                    return None
                seen.append(o)
                if len(seen) % 2:
                    return None
                return "id%d" % len(seen) if protocol == 0 else ("id", len(seen))

            f = io.BytesIO()
            if PYTHON2 and what == "c":
                p = cls(f, protocol)
                p.persistent_id = persistent_id
            else:
                p = type(
                    "Pickler",
                    (cls, object) if PYTHON2 else (cls,),
                    {"persistent_id": lambda self, o: persistent_id(o)},
                )(f, protocol)
            p.dump(value)
            yield protocol, what, f.getvalue()


def by_hand():
    """Pickles that no pickler writes and all unpicklers load."""
    text = b"Va\np0\n"
    yield "dup", b"]2a."
    yield "dup-object", b"c__builtin__\nobject\n)R2\x86."
    yield "pop", b"N0]0K\x01."
    yield "pop-mark", b"](K\x01K\x021K\x07a."
    yield "pop-of-mark", b"](0K\x07a."
    yield "memo-again", b"]q\x000}q\x000h\x00."
    yield "memo-sparse", b"]p777\n0g777\n."
    yield "memo-long-index", b"]r\xff\xff\x01\x000j\xff\xff\x01\x00."
    yield "memo-of-memo", b"]q\x00q\x01h\x00h\x01\x86\x86."
    yield "memoize-after-put", b"\x80\x04]\x94q\x05\x94h\x02h\x05\x86\x86."
    yield "old-opcodes-late", b"\x80\x04(I5\nL6L\nF1.5\nVx\nI01\nt."
    yield "new-opcodes-early", b"(\x88\x89\x8a\x01\x05\x8c\x01x\x8fC\x01yt."
    yield "mixed-protocol", b"\x80\x05(lp0\nI1\na(dp1\nVk\nI2\nsa."
    yield "list-of-mark", b"(K\x01K\x02l(K\x03l\x86."
    yield "dict-of-mark", b"(K\x01K\x02K\x01K\x03d."
    yield "key-twice", b"}(K\x01K\x02K\x01K\x03u."
    yield "key-equal", b"}(K\x01K\x02I01\nK\x03G?\xf0\x00\x00\x00\x00\x00\x00K\x04u."
    yield "empty-batches", b"](e}(u\x86."
    yield "set-batches", b"\x80\x04\x8f(\x90(K\x01K\x01\x90."
    yield "frozen-empty", b"\x80\x04(\x91(\x91\x86."
    yield "tuples", b"(t(K\x01t)K\x01\x85\x86\x87."
    yield (
        "long-forms",
        b"\x80\x02(\x8a\x00\x8a\x01\x00\x8a\x02\x01\x00\x8a\x09"
        + b"\xff" * 9
        + b"\x8b\x00\x00\x00\x00\x8b\x01\x00\x00\x00\x80t.",
    )
    yield "ints", b"(I-0\nI007\nL0L\nL-5\nL12\nI-2147483649\nt."
    yield "floats", b"(F1\nF-0\nF1e5\nF1E5\nF.5\nF5.\nFinf\nFnan\nF-nan\nF1e400\nt."
    yield "unicode", b"(V\nV\\u0041\nV\\U0001f600\nV\\ud83d\\ude00\nV\\\\u0041\nV\xe9\nV\\\nt."
    yield (
        "long-strings",
        b"\x80\x05(\x8d\x01\x00\x00\x00\x00\x00\x00\x00x\x8e\x01\x00\x00\x00\x00\x00\x00\x00yX\x01\x00\x00\x00zB\x01\x00\x00\x00wt.",
    )
    yield "arrays", b"\x80\x05\x96\x01\x00\x00\x00\x00\x00\x00\x00xq\x00h\x00\x86."
    yield "strings", b"(S''\nS\"a'b\"\nS'\\x41\\101\\n\\t\\\\'\nU\x01xT\x01\x00\x00\x00yt."
    yield (
        "frames",
        b"\x80\x04\x95\x01\x00\x00\x00\x00\x00\x00\x00]\x95\x02\x00\x00\x00\x00\x00\x00\x00)a\x95\x01\x00\x00\x00\x00\x00\x00\x00.",
    )
    yield "frame-empty", b"\x80\x04\x95\x00\x00\x00\x00\x00\x00\x00\x00N."
    yield "frame-late", b"\x80\x04](\x95\x04\x00\x00\x00\x00\x00\x00\x00K\x01K\x02e."
    yield "global-again", b"\x80\x04\x8c\x08builtins\x94\x8c\x06object\x94\x93h\x00h\x01\x93\x86."
    yield "global-forms", b"\x80\x04cbuiltins\nobject\n\x8c\x08builtins\x8c\x06object\x93\x86."
    yield "protocol0-stack-global", b"\x8c\x0b__builtin__\x8c\x05range\x93."
    yield (
        "bytes-by-codec",
        b"\x80\x02c_codecs\nencode\nX\x02\x00\x00\x00\xc3\xa9q\x00X\x06\x00\x00\x00latin1q\x01\x86Rq\x02c_codecs\nencode\nh\x00h\x01\x86Rh\x02\x87.",
    )
    yield (
        "bytes-by-latin-1",
        b"\x80\x02c_codecs\nencode\nX\x01\x00\x00\x00aX\x07\x00\x00\x00latin-1\x86R.",
    )
    yield (
        "bytearray-of-text",
        b"\x80\x02c__builtin__\nbytearray\nX\x02\x00\x00\x00\xc3\xa9X\x07\x00\x00\x00latin-1\x86R.",
    )
    yield (
        "set-of-shared-list",
        b"\x80\x02]q\x00(K\x01K\x02ec__builtin__\nset\nh\x00\x85Rh\x00K\x03a\x87.",
    )
    yield (
        "sets-of-one-list",
        b"\x80\x02c__builtin__\nset\nq\x00]q\x01K\x01a\x85Rh\x00h\x01\x85R\x86.",
    )
    yield "set-of-tuple", b"\x80\x02c__builtin__\nfrozenset\nK\x01K\x02\x86\x85R."
    yield "set-of-nothing", b"\x80\x02c__builtin__\nset\n)Rc__builtin__\nfrozenset\n)R\x86."
    yield "state-none", b"c__builtin__\nobject\n)RNb."
    yield "ordered-items", b"\x80\x02ccollections\nOrderedDict\n)R(K\x01K\x02uK\x03K\x04s."
    yield "deque-appended", b"\x80\x02ccollections\ndeque\n)RK\x01a(K\x02K\x03eK\x04a."
    yield (
        "attributes-twice",
        b"\x80\x02ctypes\nSimpleNamespace\n)R}X\x01\x00\x00\x00aK\x01sb}X\x01\x00\x00\x00bK\x02sb.",
    )
    yield (
        "items-after-state",
        b"\x80\x02ccollections\nOrderedDict\n)R}X\x01\x00\x00\x00aK\x01sbK\x01K\x02s.",
    )
    yield "made-and-dropped", b"c__builtin__\nobject\n)R0]."
    yield "text-shared", text + b"g0\n\x86."
    yield "trailing", b"K\x05.garbage"


def main():
    if sys.argv[1:] != ["--emit"]:
        roundtrip.main(sys.argv[1:], "adversary")
        return
    for name, value in values():
        write(name, value)
    for i in range(60):
        write("graphs/%d" % i, graph(random.Random(i)))
    if VERSION == "3.11":
        memo()
    kept = [{"a": ["x", "y", "z"]}, ["t", ("u", "t"), ["v"]], "w"]
    for protocol, what, data in persistent(kept):
        roundtrip.emit("persistent", VERSION, protocol, what, data)
    for name, data in by_hand():
        if loads(data):
            protocol = ord(data[1:2]) if data[:1] == b"\x80" else 0
            roundtrip.emit("by-hand/" + name, VERSION, protocol, "hand", data)
    if not PYTHON2:
        import cpythontests

        for name, protocol, what, data in cpythontests.pickles(LARGE):
            if loads(data):
                roundtrip.emit("tests/" + name, VERSION, protocol, what, data)


if __name__ == "__main__":
    main()
