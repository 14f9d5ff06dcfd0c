"""The directory store beside Python's session3, and beside the least that the kernel must do.

All sides run in turn on sessions of the same bytes, each side in a directory of its own, so that
what else the machine does falls on each of them. docs/performance.md says what came out.
"""

import argparse
import contextlib
import json
import os
import pathlib
import pickle
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from session3.store.DirectorySessionStore import DirectorySessionStore

import store_driver
from benchmark.load import Progress
from benchmark.report import file_system
from harness import TREE
from store_driver import Driver, state_of

SIZES = (266, 5_000, 200_000)  # bytes
OPERATIONS = ("load", "save", "load+save")
SESSIONS = 64
WRITERS = (1, 2, 4, 8)
MEMORY = 64 << 20  # bytes that listing and expiring may take
A_FEW = 1_000  # sessions, to compare a million with


class Session3:
    """Python's store, in this process."""

    name = "session3"

    def __init__(self, directory, state):
        directory.mkdir()
        self.store = DirectorySessionStore(str(directory))
        self.sessions = [pickle.loads(state) for _ in range(SESSIONS)]
        for n, session in enumerate(self.sessions):
            session.id = f"session{n:015}"  # as long as the other side's
            self.store.save_session(session)

    def seconds(self, operation, length):
        """The time that one operation takes, and its processor time."""
        store, sessions = self.store, self.sessions
        work = {
            "load": lambda s: store.load_session(s.id),
            "save": store.save_session,
            "load+save": lambda s: store.save_session(store.load_session(s.id)),
        }[operation]
        return timed(work, sessions, length)


class Pickling:
    """What of session3's time is pickling, which a gateway leaves to its workers."""

    name = "pickling"

    def __init__(self, _, state):
        self.state, self.session = state, pickle.loads(state)

    def seconds(self, operation, length):
        work = {
            "load": lambda _: pickle.loads(self.state),
            "save": lambda _: pickle.dumps(self.session, 4),
            "load+save": lambda _: pickle.dumps(pickle.loads(self.state), 4),
        }[operation]
        return timed(work, range(SESSIONS), length)


class Go:
    """The store, or with "bare-" open, read, pwrite and close alone, in a process of its own."""

    def __init__(self, directory, state, prefix=""):
        self.name = "bare" if prefix else "alforja"
        self.prefix, self.state = prefix, state
        self.driver = Driver(directory, "-create")
        told(self.driver, "fill", str(SESSIONS), state)

    def seconds(self, operation, length, writers=1):
        many = f"*{writers}" if writers > 1 else ""
        return seconds_of(self.driver, self.prefix + operation + many, SESSIONS, length, self.state)


def timed(work, items, length):
    count, used, start = 0, time.process_time(), time.perf_counter()
    while True:
        for item in items:
            work(item)
        count += len(items)
        took = time.perf_counter() - start
        if took >= length:
            return took / count, (time.process_time() - used) / count


def told(driver, *words):
    """A driver's answer, however long it takes."""
    answer = driver.ask(*words, timeout=3600)
    if answer.startswith("error") or not answer:
        raise SystemExit(f"bench: {words[:2]}: {answer or 'the driver has ended'}")
    return answer


def seconds_of(driver, operation, sessions, length, state):
    """What one operation takes a driver, and its processor time."""
    answer = told(driver, "time", operation, str(sessions), f"{length}s", state)
    count, took, used = map(int, answer.split())
    return took / count / 1e9, used / count / 1e9


def against_session3(where, base, options, progress):
    """Every operation at every size, the sides in turn. One row for each run."""
    runs = []
    for size in SIZES:
        state = state_of("session000000000000000", size)
        with tempfile.TemporaryDirectory(dir=base) as tmp, contextlib.ExitStack() as ends:
            tmp = pathlib.Path(tmp)
            sides = [
                Session3(tmp / "session3", state),
                Go(tmp / "alforja", state),
                Go(tmp / "bare", state, prefix="bare-"),
                Pickling(None, state),
            ]
            for side in sides[1:3]:
                ends.callback(side.driver.kill)
            for operation in OPERATIONS:
                for pair in range(options.pairs):
                    progress.step(f"{where}, {size} bytes, {operation}, pair {pair + 1}")
                    for side in sides if pair % 2 == 0 else sides[::-1]:
                        took, used = side.seconds(operation, options.seconds)
                        runs.append(
                            dict(where=where, size=size, operation=operation, pair=pair)
                            | dict(side=side.name, us=took * 1e6, cpu_us=used * 1e6)
                        )
            for pair in range(options.pairs):
                progress.step(f"{where}, {size} bytes, writers, pair {pair + 1}")
                for writers in WRITERS:
                    took, used = sides[1].seconds("load+save", options.seconds, writers)
                    runs.append(
                        dict(where=where, size=size, operation="writers", pair=pair)
                        | dict(side=writers, us=took * 1e6, cpu_us=used * 1e6)
                    )
    return runs


def select(runs, key="us", **wanted):
    """pair -> microseconds."""
    return {r["pair"]: r[key] for r in runs if wanted.items() <= r.items()}


def ratio(over, under):
    """The median, least and greatest ratio of the pairs."""
    ratios = [over[pair] / under[pair] for pair in over]
    return [statistics.median(ratios), min(ratios), max(ratios)]


def summarize(runs, where):
    rows = []
    for size in SIZES:
        for operation in OPERATIONS:
            us, cpu = (
                {
                    side: select(runs, key, where=where, size=size, operation=operation, side=side)
                    for side in ("session3", "pickling", "alforja", "bare")
                }
                for key in ("us", "cpu_us")
            )
            rows.append(
                dict(where=where, size=size, operation=operation)
                | {side: statistics.median(us[side].values()) for side in us}
                | {"cpu " + side: statistics.median(cpu[side].values()) for side in cpu}
                | dict(faster=ratio(us["session3"], us["alforja"]))
                | dict(floor=ratio(us["alforja"], us["bare"]))
                | dict(cpu_floor=ratio(cpu["alforja"], cpu["bare"]))
            )
    return rows


def scaling(runs, where):
    rows = []
    for size in SIZES:
        us = {
            writers: select(runs, where=where, size=size, operation="writers", side=writers)
            for writers in WRITERS
        }
        rows.append(
            dict(where=where, size=size)
            | {str(w): ratio(us[WRITERS[0]], us[w]) for w in WRITERS}
            | dict(rate=1e6 / statistics.median(us[WRITERS[0]].values()))
        )
    return rows


def spread(values):
    return "{:.2f} ({:.2f}-{:.2f})".format(*values)


def report(where, base, rows, scaled):
    print(f"\nSessions on {where} ({file_system(base)}), microseconds for one\n")
    print(
        f"{'bytes':>7} {'operation':10}{'session3':>9}{'pickling':>9}{'alforja':>9}{'bare':>8}"
        f"{'session3/alforja':>23}{'alforja/bare':>20}{'the same, processor':>21}"
    )
    for row in rows:
        print(
            f"{row['size']:>7} {row['operation']:10}{row['session3']:>9.1f}{row['pickling']:>9.1f}"
            f"{row['alforja']:>9.1f}{row['bare']:>8.1f}{spread(row['faster']):>23}"
            f"{spread(row['floor']):>20}{spread(row['cpu_floor']):>21}"
        )
    print("\nload+save by several writers, each on sessions of its own: rate over that of one\n")
    print(f"{'bytes':>7}{'one, per s':>12}" + "".join(f"{w:>20}" for w in WRITERS[1:]))
    for row in scaled:
        print(
            f"{row['size']:>7}{row['rate']:>12.0f}"
            + "".join(f"{spread(row[str(w)]):>20}" for w in WRITERS[1:])
        )


# A million.


def million(where, base, options, progress):
    """What the number of sessions in one directory costs."""
    state = state_of("session000000000000000", 266)
    found = dict(where=where, sessions=options.count)
    with tempfile.TemporaryDirectory(dir=base) as tmp:
        few, many = pathlib.Path(tmp, "few"), pathlib.Path(tmp, "many")
        progress.step(f"{where}: {options.count} sessions")
        filled(few, A_FEW, state)
        filled(many, options.count, state)

        progress.step(f"{where}: load+save among them")
        with Driver(few) as a, Driver(many) as b:
            sides = ((a, A_FEW), (b, options.count))
            times = [
                [seconds_of(d, "load+save", n, options.seconds, state) for d, n in sides]
                for _ in range(options.pairs)
            ]
        found["rate"] = 1 / statistics.median(many[0] for _, many in times)
        found["rate_ratio"] = spread_of([few[0] / many[0] for few, many in times])
        found["cpu_rate_ratio"] = spread_of([few[1] / many[1] for few, many in times])

        starts = [[start_seconds(d) for d in (few, many)] for _ in range(4 * options.pairs)]
        found["start_ms"] = [statistics.median(s[n] for s in starts) * 1e3 for n in (0, 1)]
        found["start_ratio"] = spread_of([many / few for few, many in starts])

        found |= expiry(where, many, state, options, progress)
        progress.step(f"{where}: away with them")
    return found


def expiry(where, many, state, options, progress):
    """What it takes to expire them all, beside find -delete."""
    # All are made at first: an ext4 without a journal is slow to give the inodes of files away again
    # that were deleted within the last minutes (recently_deleted in its ialloc.c).
    places = [many] * (2 * options.expiries)
    if where == "disk":
        places = [many.with_name(f"many-{n}") for n in range(2 * options.expiries)]
        many.rename(places[-1])
        for place in places:
            progress.step(f"{where}: {options.count} sessions in {place.name}")
            filled(place, options.count, state)
    expiring, deleting, peaks = [], [], []
    for pair in range(options.expiries):
        for ours in (True, False) if pair % 2 == 0 else (False, True):
            place = places.pop()
            progress.step(f"{where}: {'expire' if ours else 'find -delete'}, pair {pair + 1}")
            if where != "disk":
                filled(place, options.count, state)
            os.sync()
            with Driver(place) as driver:
                assert told(driver, "list") == str(options.count)
                start = time.perf_counter()
                if ours:
                    assert told(driver, "expire", "1h") == f"{options.count} 0"
                    expiring.append(time.perf_counter() - start)
                    peaks.append(int(told(driver, "peak")))
                else:
                    subprocess.run(["find", place, "-type", "f", "-delete"], check=True)
                    deleting.append(time.perf_counter() - start)
    return dict(
        peak_bytes=max(peaks),
        expire_seconds=statistics.median(expiring),
        find_seconds=statistics.median(deleting),
        expire_ratio=spread_of([a / b for a, b in zip(expiring, deleting, strict=True)]),
    )


def filled(directory, count, state):
    with Driver(directory, "-create") as driver:
        told(driver, "fill", str(count), state)


def start_seconds(directory):
    """From starting a process to its store's being open."""
    start = time.perf_counter()
    with Driver(directory):
        return time.perf_counter() - start


def spread_of(ratios):
    return [statistics.median(ratios), min(ratios), max(ratios)]


def report_million(found, base):
    print(
        f"\n{found['sessions']} sessions in one directory on {found['where']} ({file_system(base)})\n"
    )
    print(
        f"load+save: {found['rate']:.0f}/s, {spread(found['rate_ratio'])} of the rate among {A_FEW}"
    )
    print(f"           {spread(found['cpu_rate_ratio'])} by processor time")
    few, many = found["start_ms"]
    print(f"start: {many:.1f} ms, {few:.1f} ms with {A_FEW}: {spread(found['start_ratio'])}")
    print(f"list and expire: at most {found['peak_bytes'] / 2**20:.1f} MiB resident")
    print(
        f"expire: {found['expire_seconds']:.2f} s, find -delete {found['find_seconds']:.2f} s: "
        f"{spread(found['expire_ratio'])}"
    )


# The whole.


def setting(options):
    from importlib.metadata import version

    return [
        f"{os.cpu_count()} processors, Linux {platform.release()}, Python "
        f"{platform.python_version()}, session3 {version('session3')}",
        f"{options.pairs} pairs of {options.seconds} s, {SESSIONS} sessions",
        f"load of the machine at the start: {os.getloadavg()[0]:.2f}",
    ]


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="integration/bench_store.py",
        description="Compare the directory store with Python's session3 and with bare system calls: "
        "load, save, both; then by how much 2, 4 and 8 writers are faster than one.",
        epilog="""\
examples:
  .venv/bin/python integration/bench_store.py                  everything but the million
  .venv/bin/python integration/bench_store.py --quick          a first look, not to be quoted
  .venv/bin/python integration/bench_store.py --million        a million sessions instead; 25 GB of the disk
  .venv/bin/python integration/bench_store.py --json > run.json

STOREDRIVE in the environment names another build than bin/storedrive, which is brought up to date.
The exit status is 1 when listing or expiring takes more than 64 MiB.
""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pairs", type=int, default=5, metavar="N", help="pairs (default: 5)")
    parser.add_argument(
        "--seconds", type=float, default=1.0, metavar="S", help="length of each run (default: 1)"
    )
    parser.add_argument("--quick", action="store_true", help="2 pairs of 0.1 seconds")
    parser.add_argument("--json", action="store_true", help="print JSON, with every single run")
    parser.add_argument(
        "--where",
        choices=("disk", "tmpfs", "both"),
        default="both",
        help="the disk that this tree is on, /dev/shm, or both in turn (default)",
    )
    parser.add_argument("--million", action="store_true", help="what many sessions cost")
    parser.add_argument(
        "--count", type=int, default=1_000_000, metavar="N", help="how many these are"
    )
    parser.add_argument(
        "--expiries", type=int, default=3, metavar="N", help="pairs of expiry (default: 3)"
    )
    options = parser.parse_args(arguments)
    if options.pairs < 1 or options.seconds <= 0 or options.count < A_FEW or options.expiries < 1:
        parser.error(f"at least one pair, a time above 0, and {A_FEW} sessions")
    if options.quick:
        options.pairs, options.seconds = 2, 0.1
    return options


def main(arguments=None):
    options = parse(arguments)
    if shutil.which("go") is None and "STOREDRIVE" not in os.environ:
        print("bench: go is missing", file=sys.stderr)
        return 2
    store_driver.build()
    os.environ.setdefault("GOGC", "400")  # as `alforja serve` has it
    disk = TREE / ".cache"
    disk.mkdir(exist_ok=True)
    bases = {"disk": disk, "tmpfs": pathlib.Path("/dev/shm")}
    places = [where for where in bases if options.where in (where, "both")]
    lines = setting(options)
    if not options.json:
        print("\n".join(lines))
    if options.million:
        found = run_million(places, bases, options)
    else:
        found = run_pairs(places, bases, options)
    if options.json:
        json.dump({"setting": lines, **found}, sys.stdout, indent=1)
        print()
    return 1 if any(m["peak_bytes"] > MEMORY for m in found.get("million", ())) else 0


def run_million(places, bases, options):
    # Making them takes most of the time: about a minute for a million.
    steps = len(places) * (3 + 2 * options.expiries) + 2 * options.expiries * ("disk" in places)
    progress = Progress(steps, options.count / 20_000)
    results = []
    for where in places:
        results.append(million(where, bases[where], options, progress))
        progress.clear()
        if not options.json:
            report_million(results[-1], bases[where])
    return {"million": results}


def run_pairs(places, bases, options):
    steps = len(places) * len(SIZES) * (len(OPERATIONS) + 1) * options.pairs
    progress = Progress(steps, 4 * options.seconds)
    runs, rows, scaled = [], [], []
    for where in places:
        new = against_session3(where, bases[where], options, progress)
        progress.clear()
        runs += new
        rows += summarize(new, where)
        scaled += scaling(new, where)
        if not options.json:
            report(
                where,
                bases[where],
                *([r for r in x if r["where"] == where] for x in (rows, scaled)),
            )
            sys.stdout.flush()
    return {"summary": rows, "writers": scaled, "runs": runs}


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nbench: interrupted", file=sys.stderr)
        sys.exit(130)
