"""Pickles of Python 2 for Python 3, by their opcodes: nothing is imported or called.

In Python 2 a str was text or bytes, as its user liked. Python 3's load takes all of them for
ASCII and fails at the first other byte. Here each becomes what the options say,
except for three cases that leave no choice: names of attributes are text, the packed
form of a date is bytes, and other arguments of calls are text.
"""

from __future__ import annotations

import ast
import io
import pickletools
import struct
from typing import Any, Mapping, NamedTuple

from alforja.export.record import BadSession

# What session2's and Quixote's own sessions keep as text.
_TEXT = {"id": "ascii", "_remote_address": "ascii", "_form_tokens": "ascii"}

_STRINGS = frozenset(["STRING", "BINSTRING", "SHORT_BINSTRING"])
_PUTS = frozenset(["PUT", "BINPUT", "LONG_BINPUT"])
_GETS = frozenset(["GET", "BINGET", "LONG_BINGET"])
_ADDING = frozenset(["APPEND", "APPENDS", "BUILD", "SETITEM", "SETITEMS"])
_DATES = frozenset(["datetime datetime", "datetime date", "datetime time"])


class Strings(NamedTuple):
    """What a str becomes: the name of a codec, or "bytes".

    `attributes` says it for all that an attribute of that name holds.
    """

    default: str = "ascii"
    attributes: Mapping[str, str] = {}


class _Op(NamedTuple):
    name: str
    arg: Any
    start: int  # bytes
    end: int


class _Slot(NamedTuple):
    """A value on the unpickler's stack, or a mark: what began it, and which opcodes are its own."""

    op: _Op
    first: int  # index of its first opcode
    after: int  # index behind its last
    parts: list[_Slot]  # a tuple's elements, a dict's keys and values

    @property
    def is_mark(self) -> bool:
        return self.op.name == "MARK"

    @property
    def is_string(self) -> bool:
        return self.op.name in _STRINGS


def convert(state: bytes, strings: Strings) -> bytes:
    r"""Return the pickle with its strings decoded; it keeps its protocol.

    >>> import pickle
    >>> old = b"}q\x01(U\x03keyU\x04\xc3\xa9\xc3\xa9u."
    >>> pickle.loads(convert(old, Strings("utf-8")))
    {'key': 'éé'}
    >>> pickle.loads(convert(old, Strings("bytes")))
    {b'key': b'\xc3\xa9\xc3\xa9'}

    A pickle that Python 3 has written holds no such string and comes back as it is.
    BadSession: it is no pickle, or a string is not in the codec.
    """
    try:
        ops = _ops(state)
        if all(op.name not in _STRINGS for op in ops):
            return state
        plan = _Plan(ops, strings)
        plan.run()
    except Exception as error:  # what pickletools raises on garbage, and an empty stack
        raise BadSession(f"not a pickle of Python 2: {error}") from error
    return plan.written(state)


def _ops(state: bytes) -> list[_Op]:
    ops: list[_Op] = []
    file = io.BytesIO(state)
    while not ops or ops[-1].name != "STOP":
        start = file.tell()
        code = file.read(1).decode("latin-1")
        if code not in _BY_CODE:
            raise ValueError(f"no opcode {code!r}" if code else "it ends before STOP")
        opcode = _BY_CODE[code]
        arg: Any = None
        if opcode.name == "STRING":
            # repr() of Python 2; pickletools takes what is escaped in it for ASCII.
            arg = ast.literal_eval("b" + file.readline().decode("ascii").strip())
        elif opcode.arg is not None:
            arg = opcode.arg.reader(file)
            if opcode.name in _STRINGS:
                arg = arg.encode("latin-1")
        ops.append(_Op(opcode.name, arg, start, file.tell()))
    return ops


class _Plan:
    """One walk over the opcodes that decides what each string becomes."""

    def __init__(self, ops: list[_Op], strings: Strings) -> None:
        self.ops = ops
        self.strings = strings
        self.stack: list[_Slot] = []
        self.memo: dict[int, _Slot] = {}
        # By index of the opcode that pushes it, a GET's too. What is decided first stands:
        # inner objects are built before outer ones.
        self.codecs: dict[int, str] = {}
        self.strings_at: dict[int, _Op] = {}
        self.defined_at: dict[int, int] = {}  # for a GET, the index of what it gets
        self.attributes = {**_TEXT, **strings.attributes}

    def run(self) -> None:
        for index, op in enumerate(self.ops):
            self._step(index, op)

    def written(self, state: bytes) -> bytes:
        out = bytearray()
        for index, op in enumerate(self.ops):
            string = self.strings_at.get(index)
            if string is None or (op is not string and not self._differs(index)):
                out += state[op.start : op.end]
            else:
                out += _encoded(string.arg, self._codec(index))
        return bytes(out)

    def _differs(self, get: int) -> bool:
        return self._codec(get) != self._codec(self.defined_at[get])

    def _codec(self, index: int) -> str:
        return self.codecs.get(index, self.strings.default)

    def _step(self, index: int, op: _Op) -> None:
        stack = self.stack
        if op.name in _PUTS:
            self.memo[op.arg] = stack[-1]
            stack[-1] = stack[-1]._replace(after=index + 1)
        elif op.name in _GETS:
            got = self.memo[op.arg]
            stack.append(got._replace(first=index, after=index + 1))
            if got.is_string:
                self.strings_at[index] = got.op
                self.defined_at[index] = got.first
        elif op.name in _STRINGS:
            self.strings_at[index] = op
            stack.append(_Slot(op, index, index + 1, []))
        elif op.name == "MARK":
            stack.append(_Slot(op, index, index + 1, []))
        else:
            self._other(index, op)

    def _other(self, index: int, op: _Op) -> None:
        code = _BY_NAME[op.name]
        taken = self._take(code)
        if op.name == "BUILD":
            self._attributes(taken[1])
        elif op.name == "REDUCE":
            self._arguments(taken[0], taken[1])
        if not code.stack_after:
            return
        first = min([index] + [slot.first for slot in taken])
        parts = [slot for slot in taken if not slot.is_mark]
        if op.name in _ADDING:
            parts[0].parts.extend(parts[1:])
            self.stack.append(parts[0]._replace(first=first, after=index + 1))
        else:
            self.stack.append(_Slot(op, first, index + 1, parts))

    def _take(self, code: pickletools.OpcodeInfo) -> list[_Slot]:
        """Pop what an opcode takes, the deepest first."""
        count = len(code.stack_before)
        if pickletools.markobject in code.stack_before:
            mark = max(i for i, slot in enumerate(self.stack) if slot.is_mark)
            count = len(self.stack) - mark + code.stack_before.index(pickletools.markobject)
        if count > len(self.stack):
            raise ValueError("a value is missing")
        rest = len(self.stack) - count
        taken = self.stack[rest:]
        del self.stack[rest:]
        return taken

    def _attributes(self, state: _Slot) -> None:
        """Decide on an object's attributes: a dict, or a tuple of it and one of slots."""
        for one in state.parts if state.op.name in ("TUPLE", "TUPLE2") else [state]:
            for key, value in zip(one.parts[::2], one.parts[1::2]):
                if not key.is_string:
                    continue
                self.codecs.setdefault(key.first, "ascii")
                codec = self.attributes.get(key.op.arg.decode("latin-1"))
                if codec is not None:
                    for index in range(value.first, value.after):
                        self.codecs.setdefault(index, codec)

    def _arguments(self, function: _Slot, arguments: _Slot) -> None:
        is_date = function.op.name == "GLOBAL" and function.op.arg in _DATES
        text = "latin-1" if self.strings.default == "bytes" else self.strings.default
        for part in arguments.parts:
            if part.is_string:
                self.codecs.setdefault(part.first, "bytes" if is_date else text)


_BY_NAME = {op.name: op for op in pickletools.opcodes}
_BY_CODE = {op.code: op for op in pickletools.opcodes}


def _encoded(raw: bytes, codec: str) -> bytes:
    if codec == "bytes":
        return b"B" + struct.pack("<I", len(raw)) + raw
    try:
        text = raw.decode(codec).encode("utf-8", "surrogatepass")
    except UnicodeDecodeError as error:
        shown = ascii(raw[:20])
        raise BadSession(f"{shown} is not {codec}: choose another codec") from error
    return b"X" + struct.pack("<I", len(text)) + text
