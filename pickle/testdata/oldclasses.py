"""The classes that adversary.py has Python 2 pickle and check.py loads with any Python."""

import collections
import sys


class Old:
    """Of old style: INST and OBJ."""


class OldArgs:
    def __init__(self, *args):
        self.args = args

    def __getinitargs__(self):
        return self.args


class OldState:
    def __init__(self):
        self.state = None

    def __getstate__(self):
        return self.state

    def __setstate__(self, state):
        self.state = state


class Nested:
    class Inner(object):
        pass


class Node(object):
    pass


class Slots(object):
    __slots__ = ("a", "b")


class NewArgs(object):
    def __new__(cls, *args):
        self = object.__new__(cls)
        self.args = args
        return self

    def __getnewargs__(self):
        return self.args


class Reduced(object):
    def __init__(self, *args):
        self.args = args

    def __reduce__(self):
        return Reduced, self.args


class IntSub(int):
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


class OrderedSub(collections.OrderedDict):
    pass


class DefaultSub(collections.defaultdict):
    pass


class DequeSub(collections.deque):
    pass


class Error(Exception):
    pass


class StrSub(str):
    """A str of Python 2, whose bytes Python 3 takes with the encoding of load."""


if sys.version_info[0] == 2:

    class UnicodeSub(unicode):  # noqa: F821
        pass

    class LongSub(long):  # noqa: F821
        pass
else:

    class UnicodeSub(str):
        pass

    class LongSub(int):
        pass


class Pair(collections.namedtuple("Pair", "a b")):
    __slots__ = ()


class Session(object):
    """What session2, the predecessor of session3, kept: attributes alone."""

    def __init__(self, id):
        self.id = id
        self.user = None
        self._remote_address = "192.0.2.1"
        self._creation_time = 1200000000.25
        self._access_time = 1200000100.5
        self._form_tokens = []


class DictSession(Session):
    def __init__(self, id):
        Session.__init__(self, id)
        self.data = {}
