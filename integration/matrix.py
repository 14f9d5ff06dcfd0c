"""The compatibility matrix: every Python, Quixote and session3, run and written down.

make matrix    runs the whole grid and writes docs/compatibility.md
"""

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

from harness import TREE
from matrix_packages import full_version, installed, interpreter
from matrix_site import MODES, SCGI, Cell, packages, run

PYTHONS = ("3.8", "3.9", "3.10", "3.11", "3.12", "3.13")

# The last release of each minor one. Of 3.1 there are only pre-releases, of 4.0 there is none.
QUIXOTES = ("3.0", "3.1b1", "3.2", "3.3", "3.4", "3.5", "3.6", "3.7", "3.8")
SESSION3S = ("3.0.post0", "3.4.1")

PYTEST = "pytest==8.3.5"  # the last one for Python 3.8

DOCUMENT = TREE / "docs" / "compatibility.md"

BOTH, NEITHER = "both", "–"

_TEXT = """\
# Compatibility

Written by `make matrix`, from a run of the whole grid: every Python from 3.8 to 3.13, every minor
release of Quixote from 3.0 and of session3 from 3.0 that PyPI has. Of Quixote 3.1 there are
pre-releases only; of 4.0 there is nothing. `make test` runs a thinner grid and fails when
it differs from this table; a Python that is not there is named in its summary.

Each cell is a gateway with real workers, visited as `session3.Session`, as `DictSession`, as a
`DictSession` that is true without items, and as an application's own class: login, counter, form
tokens, objects, logout, and the old cookie afterwards. In `managed` mode that is `alforja.worker`
with `alforja.SessionStore`, and `alforja.renew_session()` besides; in `shared` mode
`quixote.server.scgi_server` (scgi {scgi}) with session3's `DirectorySessionStore`.

| | |
|---|---|
| `both` | both modes work |
| `managed`, `shared` | only this one does |
| `–` | neither does |

A number is a failure of upstream's: the packages do not install there, or the same visit
fails without anything of alforja as well (nginx, `quixote.server.scgi_server`, session3's
store). Below the table is what they say. Failures of alforja: {failures}.

{table}
{notes}
alforja's own package asks for Python 3.8 or later, and these are its tests on each, with the
newest of both that works there:

| Python | {pythons} |
|---|---|---|---|---|---|---|
| tests | {tests} |
"""


def whole_grid():
    return [Cell(p, q, s) for p in PYTHONS for q in QUIXOTES for s in SESSION3S]


def thin_grid(python):
    """Every Quixote with every session3 on one Python, and the others with the newest of both."""
    ends = (QUIXOTES[-1], SESSION3S[-1])
    return [c for c in whole_grid() if c.python == python or c[1:] == ends]


def missing():
    """Say which Pythons this machine lacks, and how to get them; "" when it has them all."""
    absent = " ".join(p for p in PYTHONS if interpreter(p) is None)
    return absent and f"no Python {absent} here: pyenv install {absent}"


def run_all(cells, jobs):
    """Generate (cell, {mode: None, or (whose failure, what it says)})."""

    def one(cell):
        return cell, {mode: run(cell, mode) for mode in MODES}

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(one, cells)


def package_tests(python, results):
    """Run the tests of our own package with the newest that work there; return their last line."""
    newest = [c for c in whole_grid() if c.python == python and works(results[c]) == BOTH][-1]
    path = [TREE / "pyclient" / "src", installed(python, PYTEST), *packages(newest)]
    command = [interpreter(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"]
    done = subprocess.run(
        command,
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        cwd=TREE / "pyclient",
        env={**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))},
    )
    return "pass" if done.returncode == 0 else done.stdout.strip().splitlines()[-1]


def works(outcome):
    """What a cell of the table says first."""
    good = [mode for mode in MODES if outcome[mode] is None]
    return BOTH if len(good) == len(MODES) else " ".join(good) or NEITHER


def said(outcome):
    """What upstream or alforja said, each once."""
    return list({failure[1]: None for failure in outcome.values() if failure})


def failures(results):
    """What alforja is to blame for, a line each."""
    return [
        f"{' '.join(cell)} {mode}: {failure[1]}"
        for cell, outcome in results.items()
        for mode, failure in outcome.items()
        if failure and failure[0] == "alforja"
    ]


def document(results, tests):
    notes = []

    def number(text):
        if text not in notes:
            notes.append(text)
        return f"[{notes.index(text) + 1}]"

    def text(outcome):
        return " ".join([works(outcome), *map(number, said(outcome))])

    lines = [
        f"| Quixote | session3 | {' | '.join(PYTHONS)} |",
        "|---|---|" + "---|" * len(PYTHONS),
    ]
    for quixote in QUIXOTES:
        for session3 in SESSION3S:
            cells = (text(results[Cell(p, quixote, session3)]) for p in PYTHONS)
            lines.append(f"| {quixote} | {session3} | {' | '.join(cells)} |")
    return _TEXT.format(
        scgi=SCGI,
        failures=len(failures(results)) or "none",
        table="\n".join(lines) + "\n",
        notes="".join(f"- [{n}] `{note}`\n" for n, note in enumerate(notes, 1)),
        tests=" | ".join(tests[p] for p in PYTHONS),
        pythons=" | ".join(map(full_version, PYTHONS)),
    )


def documented():
    """Return {cell: what the table in the documentation says first}."""
    rows = {}
    for line in DOCUMENT.read_text().splitlines():
        words = [word.strip() for word in line.strip("|").split("|")]
        if len(words) == 2 + len(PYTHONS) and words[0] in QUIXOTES:
            for python, text in zip(PYTHONS, words[2:]):
                rows[Cell(python, words[0], words[1])] = text.partition(" [")[0]
    return rows


def main():
    parser = argparse.ArgumentParser(prog="integration/matrix.py", description=__doc__)
    parser.add_argument(
        "--jobs", type=int, default=2, metavar="N", help="cells at a time (default: 2)"
    )
    options = parser.parse_args()
    if missing():
        print(missing())
        return 2
    results = {}
    for cell, outcome in run_all(whole_grid(), options.jobs):
        results[cell] = outcome
        print(f"{' '.join(cell):24} {works(outcome)} {'; '.join(said(outcome))}", flush=True)
    with ThreadPoolExecutor(options.jobs) as pool:
        tests = dict(zip(PYTHONS, pool.map(lambda p: package_tests(p, results), PYTHONS)))
    for python, line in tests.items():
        print(f"{python:24} the package's own tests: {line}")
    DOCUMENT.write_text(document(results, tests))
    print(f"{len(results)} cells, {DOCUMENT.relative_to(TREE)} is written")
    for line in failures(results):
        print(f"FAILED {line}")
    return 1 if failures(results) or set(tests.values()) != {"pass"} else 0


if __name__ == "__main__":
    sys.exit(main())
