"""Listing and expiring hold no list of the sessions. bench_store.py --million measures the rest."""

import pathlib
import tempfile

import pytest

import store_driver
from store_driver import Driver, state_of

FEW, MANY = 4_000, 40_000
SLACK = 3 << 19  # bytes: the names alone of MANY sessions would take more


@pytest.fixture(scope="module", autouse=True)
def driver_is_built():
    store_driver.build()


def peak(sessions, count):
    """The most memory that a process takes that lists and expires so many."""
    with Driver(sessions, "-create") as driver:
        assert driver.ask("fill", str(count), state_of("a", 266)) == "ok"
    with Driver(sessions) as driver:
        assert driver.ask("list") == str(count)
        assert driver.ask("expire", "3h") == f"0 {count}"
        assert driver.ask("expire", "1h") == f"{count} 0"
        return int(driver.ask("peak"))


def test_memory_does_not_grow_with_the_sessions(monkeypatch):
    monkeypatch.setenv("GOGC", "10")  # so that garbage counts for little
    with tempfile.TemporaryDirectory(dir="/dev/shm") as tmpfs:
        few = peak(pathlib.Path(tmpfs, "few"), FEW)
        many = peak(pathlib.Path(tmpfs, "many"), MANY)
    assert many - few < SLACK, f"{few} bytes for {FEW}, {many} for {MANY}"
    assert many < 64 << 20
