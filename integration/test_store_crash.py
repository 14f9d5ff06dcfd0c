"""A process that is killed in the midst of an operation on the store, at every system call of it.

`make test` runs every case of that, and 50 kills at random under load. ALFORJA_FULL=1 makes it 500.
"""

import collections
import contextlib
import hashlib
import random
import re
import subprocess
import time

import pytest

import harness
import store_driver
from store_driver import FULL, Driver, python_lists, python_load, state_of, within, written

ID = "abcDEF-_012345678901ab"
SIZES = (266, 4096, 4097, 100_000)
# The rest are the Go runtime's: they come and go as it wakes threads and collects garbage.
STORE_CALLS = frozenset(
    "openat newfstatat fstat flock pread64 pwrite64 ftruncate fallocate fchmod fchown fsync "
    "fdatasync linkat mkdirat renameat2 unlinkat utimensat getdents64 close write".split()
)
RANDOM_KILLS = 500 if FULL else 50

# (layout, durability, operation, size of the old state or None, size of the new state or None)
CASES = [
    (layout, durability, *case)
    for layout, sizes in (("flat", SIZES), ("fan-out", (266, 4097)))
    for durability in ("process", "power")
    for case in (
        *(("update", old, new) for old in sizes for new in sizes),
        *(("create", None, new) for new in sizes),
        *(("delete", old, None) for old in sizes),
        *(("setaside", old, None) for old in sizes),
        *(("touch", old, old) for old in sizes),
    )
]


@pytest.fixture(scope="module", autouse=True)
def driver_is_built():
    store_driver.build()


class Traced:
    """strace on the one thread of a driver that carries out operations."""

    def __init__(self, driver, log, *options):
        self.process = subprocess.Popen(
            ["strace", "-o", log, *options, "-p", str(driver.pid)],
            stderr=subprocess.PIPE,
            text=True,
        )
        with within(harness.DEADLINE, "strace attaches"):
            line = self.process.stderr.readline()
        assert "attached" in line, line

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # It ends when the driver does.
        self.process.communicate(timeout=harness.DEADLINE)


class Case:
    """One operation that is carried out again and again from the same state."""

    def __init__(self, tmp_path, layout, durability, operation, old, new):
        self.sessions = tmp_path / "sessions"
        self.folder = self.sessions  # that the session's file is in
        self.corrupt = tmp_path / "sessions.alforja" / "corrupt"
        self.log = tmp_path / "trace"
        self.flags = ("-create", "-durability", durability)
        if layout == "fan-out":
            self.flags += ("-fan-out",)
            first, second = hashlib.sha256(ID.encode()).digest()[:2]
            self.folder = self.sessions / f"{first:02x}" / f"{second:02x}"
        self.operation = operation
        self.old = old and state_of(ID, old, "o")
        self.new = new and (self.old if operation == "touch" else state_of(ID, new, "n"))
        self.command = (operation, ID)
        if operation in ("create", "update"):
            self.command += (self.new,)
        elif operation == "setaside":
            self.command += (self.old,)

    def prepared(self):
        """A driver with the old state stored. This is also the next save after a crash."""
        driver = Driver(self.sessions, *self.flags)
        for path in self.corrupt.iterdir():
            path.unlink()
        if self.old is None:
            assert driver.ask("delete", ID) in ("true", "false")
            for path in sorted(self.sessions.rglob("*"), reverse=True):
                path.rmdir()  # so that create makes its folders each time
            return driver
        if driver.ask("update", ID, self.old) == "false":
            assert driver.ask("create", ID, self.old) == "ok"
        assert driver.load(ID) == self.old
        return driver

    def calls(self):
        """How often the operation makes each system call."""
        with self.prepared() as driver:
            with Traced(driver, self.log):
                answer = driver.ask(*self.command)
                driver.process.stdin.close()  # ends it
            assert answer in ("ok", "true"), answer
        self.check(done=True)
        names = re.findall(r"^(\w+)\(", self.log.read_text(), re.MULTILINE)
        assert names.count("write") == 1, "the answer"
        made = collections.Counter(names[: names.index("write") + 1])
        del made["read"]  # the command
        return made

    def kill_at(self, call, nth):
        """Whether the operation met its nth such call, and was killed before the kernel did it."""
        inject = ("-e", f"trace={call}", "-e", f"inject={call}:signal=KILL:when={nth}")
        with self.prepared() as driver:
            with Traced(driver, self.log, *inject):
                with contextlib.suppress(BrokenPipeError):  # killed while it read the command
                    driver.send(*self.command)
                answer = driver.answer()
                if answer:
                    driver.kill()
            killed = answer == ""
        self.check(done=not killed)
        return killed

    def check(self, done):
        """The session is the old one or the new one, for every reader."""
        possible = [self.new] if done else [self.old, self.new]
        path = self.folder / ID
        data = written(path.read_bytes()) if path.exists() else None
        assert data in possible, "gone" if data is None else f"{len(data)} bytes, {data[:300]!r}"
        assert [p for p in self.sessions.rglob("*") if not p.is_dir()] == [path] * (
            data is not None
        )
        if self.folder.exists():  # else it was killed before it made it
            loaded = python_load(self.folder, ID)
            if data is None:
                assert loaded is None
            else:
                old_or_new = "o" if data == self.old else "n"
                assert (loaded["id"], loaded["filler"][:1]) == (ID, old_or_new)
            assert python_lists(self.folder) == (data is not None)
        if self.operation == "setaside":
            kept = [p.read_bytes() for p in self.corrupt.iterdir()]
            assert kept == [self.old] * (data is None)


points = collections.Counter()


@pytest.mark.parametrize("case", CASES, ids=lambda c: "-".join(map(str, c)))
def test_killed_at_every_system_call(tmp_path, case):
    case = Case(tmp_path, *case)
    for call, expected in case.calls().items():
        nth = 1
        while case.kill_at(call, nth):
            points[call] += 1
            nth += 1
        if call in STORE_CALLS:
            assert nth - 1 >= expected, f"{call} is called {expected} times, killed {nth - 1} times"
    case.prepared().stop()


def test_how_many_points(capsys):
    """Runs after the ones that count."""
    if points:
        with capsys.disabled():
            listed = ", ".join(f"{call} {n}" for call, n in points.most_common())
            print(f"\nkilled at {sum(points.values())} system calls: {listed}")


def test_killed_at_random_under_load(tmp_path, capsys):
    """Two processes with four goroutines each count up four sessions, and are killed."""
    sessions = tmp_path / "sessions"
    ids = [f"{ID[:-1]}{i}" for i in range(4)]
    with Driver(sessions, "-create") as driver:
        for id in ids:
            assert driver.ask("create", id, state_of(id, 266)) == "ok"
    states = ",".join(store_driver.encoded(state_of(ID, size)) for size in SIZES)
    chance = random.Random(5)
    saved = 0
    for _ in range(RANDOM_KILLS):
        before = counts(sessions, ids)
        drivers = [Driver(sessions) for _ in range(2)]
        with contextlib.ExitStack() as ends:
            for driver in drivers:
                ends.enter_context(driver)
                driver.send("hammer", "4", ",".join(ids), states)
            drivers[0].answer()  # it counts
            time.sleep(chance.uniform(0, 0.02))  # any moment will do
            chance.shuffle(drivers)
            heard = [acknowledged(driver) for driver in drivers]
        after = counts(sessions, ids)
        for id in ids:
            least = max([before[id], *(h.get(id, 0) for h in heard)])
            # Each of the two may have saved once more without living to say so.
            assert least <= after[id] <= least + 2, f"{id}: {least} acknowledged, {after[id]} there"
            saved += after[id] - before[id]
        assert python_lists(sessions) == len(ids)
        tmp = list((tmp_path / "sessions.alforja" / "tmp").iterdir())
        assert len(tmp) <= 8 * 2 * RANDOM_KILLS
    with capsys.disabled():
        print(f"\n{RANDOM_KILLS} x 2 processes killed at random in {saved} saves, none lost")


def acknowledged(driver):
    """Kill a driver; return the last count that it has said of each session."""
    driver.process.kill()
    lines = driver.process.stdout.read().decode().split("\n")[:-1]
    return {id: int(count) for id, count in map(str.split, lines)}


def counts(sessions, ids):
    """The counters, as Python's session3 loads them."""
    return {id: int(python_load(sessions, id)["user"].removeprefix("count=")) for id in ids}
