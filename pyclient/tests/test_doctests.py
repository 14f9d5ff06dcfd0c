"""The examples in docstrings hold."""

from __future__ import annotations

import doctest
import importlib
import pathlib
import pkgutil

import pytest

import alforja

EXAMPLES = [
    module.name
    for module in pkgutil.walk_packages(alforja.__path__, "alforja.")
    if ">>>" in pathlib.Path(module.module_finder.find_spec(module.name).origin).read_text()
]


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(name))
    assert result.attempted > 0 and result.failed == 0


def test_there_are_examples():
    assert {"alforja.directory", "alforja.ids"} <= set(EXAMPLES)
