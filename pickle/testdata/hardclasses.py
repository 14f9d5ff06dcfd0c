"""The classes that adversary.py pickles and check.py loads: Python 3.6 and later."""

import abc
import array
import collections
import copyreg
import datetime
import decimal
import enum
import fractions
import ipaddress
import pathlib
import random
import sys
import typing
import uuid

try:
    import dataclasses
except ImportError:
    dataclasses = None


class Log:
    """Notes what is done to it, in order."""

    def __init__(self, *args):
        self.log = [("init",) + args]

    def append(self, v):
        self.log.append(("append", v))

    def extend(self, items):
        for v in items:
            self.append(v)

    def add(self, v):
        self.log.append(("add", v))

    def __setitem__(self, key, v):
        self.log.append(("item", key, v))

    def __setstate__(self, state):
        self.log.append(("state", state))


class Plain:
    pass


class Plan:
    """Pickles as a call of whatever it was given, with up to six parts."""

    def __init__(self, *parts):
        self.parts = parts

    def __reduce_ex__(self, protocol):
        return tuple(
            iter(p) if i in (3, 4) and p is not None else p for i, p in enumerate(self.parts)
        )


def setter(o, state):
    o.state = state
    return o


def maker(*args):
    return Log("maker", *args)


def swallow(*args):
    return None


class Outer:
    class Inner:
        class Innermost:
            def method(self):
                return self

        @staticmethod
        def static():
            return Log("static")

        @classmethod
        def make(cls, *args):
            o = cls()
            o.args = args
            return o

        def __reduce__(self):
            return Outer.Inner.make, getattr(self, "args", ())

    class Color(enum.Enum):
        RED = "red"
        GREEN = "green"

    class Constant:
        def __reduce__(self):
            return "Outer.CONSTANT"

    CONSTANT = Constant()


class Lonely:
    def __reduce__(self):
        return "LONELY"


LONELY = Lonely()


class Meta(type):
    pass


class WithMeta(metaclass=Meta):
    pass


class Abstract(abc.ABC):
    def __init__(self, **kw):
        vars(self).update(kw)


Generic = typing.Generic[typing.TypeVar("T")]


class Box(Generic):
    pass


class NewArgs:
    def __new__(cls, *args, **kw):
        self = object.__new__(cls)
        self.new = (args, kw)
        return self

    def __getnewargs__(self):
        return self.new[0]


class NewArgsEx(NewArgs):
    def __getnewargs_ex__(self):
        return self.new


class State:
    """Gives the state that it was given, and takes any."""

    def __init__(self, state):
        self.state = state

    def __getstate__(self):
        return getattr(self, "state", None)

    def __setstate__(self, state):
        self.state = state


class DefaultState:
    """The same, but that it leaves taking it to pickle."""

    __slots__ = ("__dict__", "slot", "other")

    def __getstate__(self):
        return getattr(self, "slot", None)


class Slots:
    __slots__ = ("a", "_b", "__c", "me")


class SlotsChild(Slots):
    __slots__ = "single"


class SlotsDict(Slots):
    __slots__ = ("__dict__", "__weakref__", "d")


class IntSub(int):
    pass


class IntSlots(int):
    __slots__ = ()


class StrSub(str):
    pass


class BytesSub(bytes):
    pass


class FloatSub(float):
    pass


class ComplexSub(complex):
    pass


class TupleSub(tuple):
    pass


class ListSub(list):
    pass


class DictSub(dict):
    pass


class SetSub(set):
    pass


class FrozenSub(frozenset):
    pass


class ArraySub(bytearray):
    pass


class OrderedSub(collections.OrderedDict):
    pass


class DefaultSub(collections.defaultdict):
    pass


class DequeSub(collections.deque):
    pass


class CounterSub(collections.Counter):
    pass


class ChainSub(collections.ChainMap):
    pass


class DateSub(datetime.date):
    pass


class TimeSub(datetime.time):
    pass


class DatetimeSub(datetime.datetime):
    pass


class DeltaSub(datetime.timedelta):
    pass


class Zone(datetime.tzinfo):
    """A time zone with a state of its own."""

    def __init__(self, hours=1):
        self.hours = hours

    def utcoffset(self, when):
        return datetime.timedelta(hours=self.hours)

    def dst(self, when):
        return None

    def tzname(self, when):
        return "Z%d" % self.hours


class DecimalSub(decimal.Decimal):
    pass


class FractionSub(fractions.Fraction):
    pass


class UUIDSub(uuid.UUID):
    pass


class AddressSub(ipaddress.IPv4Address):
    pass


class PathSub(pathlib.PurePosixPath):
    pass


class RandomSub(random.Random):
    pass


class NumbersSub(array.array):
    pass


class Plus(enum.Enum):
    """Members of all kinds of values, an alias, attributes."""

    TUPLE = (1, [2])
    NONE = None
    LIST = [3]
    ALIAS = None

    def __init__(self, *args):
        self.extra = args


class StrMember(str, enum.Enum):
    A = "a"


class IntMember(enum.IntEnum):
    ONE = 1
    BIG = 2**70


class Bits(enum.Flag):
    A = enum.auto()
    B = enum.auto()
    AB = 3


class IntBits(enum.IntFlag):
    X = 1
    Y = 8


Functional = enum.Enum("Functional", "P Q", module=__name__)

if sys.version_info >= (3, 11):

    class Lower(enum.StrEnum):
        NAME = enum.auto()


class Point(collections.namedtuple("Point", "x y")):
    __slots__ = ()


class PointDict(collections.namedtuple("PointDict", "x y")):
    pass


class Typed(typing.NamedTuple):
    name: str
    items: list = []


class Error(Exception):
    def __init__(self, first, *more):
        super().__init__(first, *more)
        self.more = more


class OSErrorSub(OSError):
    pass


class KeyByName:
    """A key whose hash needs its state: what pickle makes of cycles differs."""

    def __init__(self, name):
        self.name = name

    def __hash__(self):
        return hash(getattr(self, "name", ""))

    def __eq__(self, other):
        return isinstance(other, KeyByName) and getattr(self, "name", "") == getattr(
            other, "name", ""
        )


if dataclasses:

    @dataclasses.dataclass
    class Data:
        a: int
        b: list = dataclasses.field(default_factory=list)

    @dataclasses.dataclass(frozen=True, order=True)
    class Frozen:
        a: int
        b: tuple = ()

    if sys.version_info >= (3, 10):

        @dataclasses.dataclass(slots=True)
        class DataSlots:
            a: int
            b: object = None

        @dataclasses.dataclass(slots=True, frozen=True, kw_only=True)
        class FrozenSlots:
            a: int
            b: object = None


class Registered:
    def __init__(self, value=None):
        self.value = value


copyreg.pickle(Registered, lambda o: (Registered, (o.value,)))
