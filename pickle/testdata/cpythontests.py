"""Runs CPython's own tests of pickle, and keeps what they dump and load."""

import collections
import contextlib
import pickle
import sys
import unittest

MOST = 60  # pickles of one test

# What takes long, writes pickles too large to keep, or instances that change
# when they are pickled.
LEFT_OUT = ("big", "huge", "evil", "recursion", "memory", "framing_many", "inactive") + (
    "reduce_ex_",
    "reduce_overrides",
    "recursive_inst_state",
)


def pickles(most):
    """Lists (name, protocol, pickler, bytes) of all that are shorter than most, each once."""
    try:
        from test import pickletester
    except ImportError:
        return []
    found, count = {}, collections.Counter()
    case = [""]

    def note(data, protocol, pickler):
        if isinstance(data, bytes) and 1 < len(data) < most and count[case[0]] < MOST:
            count[case[0]] += data not in found
            found.setdefault(data, ("%s-%d" % (case[0], len(found)), protocol, pickler, data))

    suites = ["AbstractPickleTests", "AbstractUnpickleTests", "AbstractPicklingErrorTests"]
    bases = tuple(getattr(pickletester, n) for n in suites if hasattr(pickletester, n))

    class Tests(*bases, unittest.TestCase):
        py_version = sys.version_info
        optimized = False
        pickler, unpickler = pickle.Pickler, pickle.Unpickler
        bad_stack_errors = truncated_errors = truncated_data_error = size_overflow_errors = (
            Exception,
        )

        def run(self, result=None):
            case[0] = self._testMethodName[len("test_") :]
            return super().run(result)

        def dumps(self, arg, proto=None, **kw):
            data = pickle.dumps(arg, proto, **kw)
            note(data, pickle.DEFAULT_PROTOCOL if proto is None else proto, "c")
            return data

        def loads(self, data, **kw):
            if isinstance(data, bytes):
                note(data, data[1] if data[:1] == b"\x80" else 0, "const")
            return pickle.loads(data, **kw)

    names = [n for n in dir(Tests) if n.startswith("test_") and not any(s in n for s in LEFT_OUT)]
    with open("/dev/null", "w") as null, contextlib.redirect_stdout(
        null
    ), contextlib.redirect_stderr(null):
        unittest.TestSuite(Tests(n) for n in names).run(unittest.TestResult())
    return list(found.values())
