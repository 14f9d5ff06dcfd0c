"""The thin grid of the compatibility matrix, and that the documentation says the same."""

import platform
import warnings

import pytest

import matrix


def test_thin_grid():
    python = ".".join(platform.python_version_tuple()[:2])
    cells = here(matrix.thin_grid(python))
    results = dict(matrix.run_all(cells, jobs=2))
    assert matrix.failures(results) == []
    documented = matrix.documented()
    assert {cell: matrix.works(outcome) for cell, outcome in results.items()} == {
        cell: documented[cell] for cell in results
    }


def here(cells):
    """The cells whose Python this machine has; what that leaves out is in pytest's summary."""
    if matrix.missing():
        warnings.warn(f"not the whole of the thin grid: {matrix.missing()}", stacklevel=2)
    return [cell for cell in cells if matrix.interpreter(cell.python)]


def test_what_is_left_out_is_said(monkeypatch):
    monkeypatch.setattr(matrix, "interpreter", {p: p for p in matrix.PYTHONS if p != "3.9"}.get)
    with pytest.warns(UserWarning, match="no Python 3.9 here: pyenv install 3.9"):
        cells = here(matrix.whole_grid())
    assert {cell.python for cell in cells} == {*matrix.PYTHONS} - {"3.9"}
    monkeypatch.setattr(matrix, "interpreter", lambda version: version)
    with warnings.catch_warnings(action="error"):
        assert here(matrix.whole_grid()) == matrix.whole_grid()


def test_document_has_the_whole_grid():
    assert sorted(matrix.documented()) == sorted(matrix.whole_grid())
    assert "Failures of alforja: none." in matrix.DOCUMENT.read_text()
