"""What the longest pickles that are taken may cost alforja pickle in memory and time."""

import os
import struct
import subprocess

import pytest

import measure
from harness import TREE

BINARY = TREE / "bin" / "alforja"  # the race detector takes memory of its own
MAX_BYTES = 4 << 20  # the default of pickle.Limits
MEMORY = 256 << 20  # GOMEMLIMIT
PROGRAM = 24 << 20  # what a process takes that GOMEMLIMIT does not count
SECONDS = 20  # of processor time


def repeated(head, body, tail, size):
    return head + body * ((size - len(head) - len(tail)) // len(body)) + tail


def nested(head, opening, closing, size):
    """Nested nearly as deep as is allowed, over and over."""
    one = head + opening * 9000 + closing * 8999
    return b"(" + one * (size // len(one)) + b"t."


def long4(size):
    return b"\x8b" + struct.pack("<i", size - 6) + b"\x7f" * (size - 6) + b"."


def descending(size):
    indices = range(min(size // 5, (1 << 17) - 1), 0, -1)
    return b"N" + b"".join(b"r" + struct.pack("<I", i) for i in indices) + b"."


BOMBS = {
    "marks": lambda n: b"(" * n,
    "lists": lambda n: repeated(b"(", b"]", b"t.", n),
    "lists, memoized": lambda n: repeated(b"\x80\x04(", b"]\x94", b"t.", n),
    "lists in lists": lambda n: nested(b"", b"]", b"a", n),
    "empty tuples": lambda n: repeated(b"(", b")", b"t.", n),
    "tuples of the last": lambda n: repeated(b"(", b")\x85", b"t.", n),
    "tuples in tuples": lambda n: nested(b")", b"\x85", b"", n),
    "pairs": lambda n: repeated(b"\x80\x04(", b"K\x01K\x02\x86\x94", b"l.", n),
    "dicts": lambda n: repeated(b"(", b"}", b"l.", n),
    "dicts with an item": lambda n: repeated(b"(", b"}NNs", b"l.", n),
    "dicts in dicts": lambda n: nested(b"}", b"N}", b"s", n),
    "sets": lambda n: repeated(b"\x80\x04(", b"\x8f", b"l.", n),
    "frozensets": lambda n: repeated(b"\x80\x04(", b"(\x91", b"l.", n),
    "memoize": lambda n: repeated(b"\x80\x04N", b"\x94", b".", n),
    "small ints": lambda n: repeated(b"(", b"K\x01", b"t.", n),
    "none": lambda n: repeated(b"(", b"N", b"l.", n),
    "floats": lambda n: repeated(b"(", b"G" + bytes(8), b"l.", n),
    "empty texts": lambda n: repeated(b"(", b"\x8c\x00", b"l.", n),
    "empty texts, in text": lambda n: repeated(b"(", b"V\n", b"l.", n),
    "empty bytes": lambda n: repeated(b"(", b"C\x00", b"l.", n),
    "empty longs": lambda n: repeated(b"(", b"\x8a\x00", b"l.", n),
    "bytearrays": lambda n: repeated(b"(", b"\x96" + bytes(8), b"l.", n),
    "dup": lambda n: repeated(b"(N", b"2", b"t.", n),
    "dup and tuple": lambda n: repeated(b")", b"2\x86", b".", n),
    "dup, dup and tuple": lambda n: repeated(b")", b"22\x87", b".", n),
    "dup and append": lambda n: repeated(b"]", b"2a", b".", n),
    "long4": long4,
    "text integer": lambda n: b"L" + b"9" * (n - 4) + b"L\n.",
    "text integers": lambda n: repeated(b"(", b"L" + b"9" * 4300 + b"L\n", b"l.", n),
    "integers of 9 bytes": lambda n: repeated(b"(", b"\x8a\x09" + b"\x7f" * 9, b"l.", n),
    "get": lambda n: repeated(b"(]p0\n", b"h\x00", b"t.", n),
    "get of long text": lambda n: repeated(b"(X\0\x10\0\0" + b"a" * 4096 + b"q\x00", b"h\x00", b"t.", n),
    "get of pairs": lambda n: repeated(b"(Nq\x00", b"h\x00h\x00\x86", b"t.", n),
    "memo, from above": descending,
    "memo, far": lambda n: repeated(b"N", b"r\xff\xff\x01\x00r\xfe\xff\x01\x00", b".", n),
    "imports": lambda n: repeated(b"(", b"ca\nB\n", b"l.", n),
    "imports by stack": lambda n: repeated(
        b"\x80\x04(\x8c\x01a\x94\x8c\x01B\x94", b"h\x00h\x01\x93", b"l.", n
    ),
    "imports by getattr": lambda n: repeated(
        b"cbuiltins\ngetattr\np0\n0(ca\nB\nVC\ntp1\n0(", b"g0\ng1\nR", b"l.", n
    ),
    "instances": lambda n: repeated(b"(ca\nB\nq\x00", b"h\x00)\x81", b"l.", n),
    "instances of old classes": lambda n: repeated(b"(", b"(ia\nB\n", b"l.", n),
    "instances by obj": lambda n: repeated(b"(ca\nB\nq\x00", b"(h\x00o", b"l.", n),
    "calls": lambda n: repeated(b"(ca\nB\nq\x00", b"h\x00)R", b"l.", n),
    "calls of anything": lambda n: repeated(b"(", b"N)R", b"l.", n),
    "build": lambda n: repeated(b"ca\nB\n)\x81", b"Nb", b".", n),
    "build with a dict": lambda n: repeated(b"ca\nB\n)\x81", b"}b", b".", n),
    "append to an instance": lambda n: repeated(b"ca\nB\n)\x81Nb", b"Na", b".", n),
    "items of an instance": lambda n: repeated(b"ca\nB\n)\x81Nb", b"NNs", b".", n),
    "persistent ids": lambda n: repeated(b"(", b"P1\n", b"l.", n),
    "bytes by latin1": lambda n: (
        b"c_codecs\nencode\np0\n0(V" + b"a" * (n // 2) + b"\nVlatin1\ntp1\n0("
        + b"g0\ng1\nR" * (n // 2 // 7 - 10) + b"l."
    ),
    "sets by a list": lambda n: (
        b"c__builtin__\nset\np0\n0((" + b"N" * (n // 2) + b"ltp1\n0("
        + b"g0\ng1\nR" * (n // 2 // 7 - 10) + b"l."
    ),
    "partials": lambda n: repeated(
        b"cfunctools\npartial\np0\n0c__builtin__\ngetattr\n(ca\nB\np2\nV__new__\ntRp1\n0(",
        b"g0\n(g1\ntR(g1\n(g2\nt}Ntb)R", b"t.", n,
    ),
}  # fmt: skip


@pytest.mark.parametrize("command", ["verify", "json --exact", "recode", "dis"])
@pytest.mark.parametrize("name", BOMBS)
def test_the_longest_pickles_cost_no_more_than_is_said(name, command, tmp_path):
    data = BOMBS[name](MAX_BYTES)
    assert MAX_BYTES * 0.99 < len(data) <= MAX_BYTES or name == "memo, from above"
    path = tmp_path / "pickle"
    path.write_bytes(data)
    run = measure.Run(
        [BINARY, "pickle", *command.split(), path],
        env={**os.environ, "GOMEMLIMIT": str(MEMORY)},
        stdout=subprocess.DEVNULL,
        may_end=(0, 1),
    )
    assert "goroutine" not in run.errors
    assert run.kib * 1024 <= MEMORY + PROGRAM
    assert run.processor_seconds < SECONDS
