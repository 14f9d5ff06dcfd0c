"""What the package promises as a whole."""

from __future__ import annotations

import inspect
import pathlib

import pytest
import quixote.session
import session3.store.DirectorySessionStore
import session3.store.SessionStore

import alforja
from apps import QUIXOTE_HAS_STORES

SOURCES = pathlib.Path(alforja.__file__).parent

CONTRACTS = [
    session3.store.SessionStore.SessionStore,
    session3.store.DirectorySessionStore.DirectorySessionStore,
]
if QUIXOTE_HAS_STORES:
    CONTRACTS.append(quixote.session.SessionStore)


@pytest.mark.parametrize("store", [alforja.SessionStore, alforja.DirectorySessionStore])
@pytest.mark.parametrize("contract", CONTRACTS)
def test_every_documented_method(store, contract):
    """Whatever call the upstream stores take, ours take."""
    methods = inspect.getmembers(contract, inspect.isfunction)
    public = [(n, m) for n, m in methods if n == "__iter__" or not n.startswith("_")]
    assert len(public) >= 6
    for name, method in public:
        theirs = inspect.signature(method).parameters.values()
        ours = inspect.signature(getattr(store, name))
        required = [p for p in theirs if p.default is p.empty]
        ours.bind(*required)
        ours.bind(*theirs)
    for flag in ("is_multiprocess_safe", "is_thread_safe"):
        assert getattr(store, flag) is True


def test_the_core_is_one_file():
    """One file unpickles what the gateway sends; the directory's store does it without a gateway."""
    unpickling = [p.name for p in SOURCES.glob("*.py") if "pickle.load" in p.read_text()]
    assert sorted(unpickling) == ["directory.py", "store.py"]
    core = (SOURCES / "store.py").read_text()
    assert len(core.splitlines()) <= 300
    for word in ("socket", "threading", "wsgi", "select"):
        assert f"import {word}" not in core


def test_types_are_announced():
    assert (SOURCES / "py.typed").exists()
    assert set(alforja.__all__) <= set(dir(alforja))
