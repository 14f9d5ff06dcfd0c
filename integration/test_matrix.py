"""The thin grid of the compatibility matrix, and that the documentation says the same."""

import platform

import matrix
from matrix_site import MODES


def test_thin_grid():
    python = ".".join(platform.python_version_tuple()[:2])
    cells = matrix.available(matrix.thin_grid(python))
    assert len(cells) >= len(matrix.QUIXOTES) * len(matrix.SESSION3S)
    results = dict(matrix.run_all(cells, jobs=2))
    ran = sorted({cell.python for cell in cells})
    print(f"{len(cells)} cells in {' and '.join(MODES)} mode, on Python {' '.join(ran)}")
    assert matrix.failures(results) == []
    documented = matrix.documented()
    assert {cell: matrix.works(outcome) for cell, outcome in results.items()} == {
        cell: documented[cell] for cell in results
    }


def test_document_has_the_whole_grid():
    assert sorted(matrix.documented()) == sorted(matrix.whole_grid())
    assert "Failures of alforja: none." in matrix.DOCUMENT.read_text()
