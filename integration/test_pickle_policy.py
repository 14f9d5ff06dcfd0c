"""The policy's table in docs/pickle.md: what is refused, and what to allow for it."""

import builtins
import contextlib
import importlib
import pickle
import re
import subprocess
import sys
import types

import pytest

from harness import BINARY, TREE

ROWS = re.findall(
    r"^\| `(.+?)` \| `allow = \[(.+)\]` \|$",
    (TREE / "docs" / "pickle.md").read_text(),
    re.MULTILINE,
)


@pytest.fixture
def names(monkeypatch):
    """What the table's expressions may name: any module, and an application's own."""
    shop = types.ModuleType("shop")
    exec("def rate(x): return x", shop.__dict__)
    monkeypatch.setitem(sys.modules, "shop", shop)

    for _, listed in ROWS:  # email.message is an attribute of email once it is imported
        for name in re.findall('"([^"]+)"', listed):
            with contextlib.suppress(ImportError):
                importlib.import_module(name.rpartition(".")[0])

    class Names(dict):
        def __missing__(self, name):
            if hasattr(builtins, name):
                raise KeyError(name)
            return importlib.import_module(name)

    return Names()


def verified(data, allow):
    flags = [word for name in allow for word in ("--allow", name)]
    done = subprocess.run(
        [BINARY, "pickle", "verify", *flags, "-"], input=data, capture_output=True
    )
    return done.returncode == 0, done.stdout.decode()


def test_there_is_a_table():
    assert len(ROWS) > 20


@pytest.mark.parametrize(("expression", "listed"), ROWS)
def test_it_is_refused_and_can_be_allowed(expression, listed, names):
    value = eval(expression, {}, names)
    allow = re.findall('"([^"]+)"', listed)
    for protocol in (2, 4):
        data = pickle.dumps(value, protocol)
        assert not verified(data, [])[0]
        passes, says = verified(data, allow)
        assert passes, says
        for name in allow:
            assert not verified(data, [other for other in allow if other != name])[0], name
