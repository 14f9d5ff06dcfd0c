"""`alforja sessions list | verify | globals | expire` on many sessions, beside the same jobs by Python's pickle.

Both sides run in turn on the same sessions, in processes of their own, on both processors where
they use them. docs/performance.md says what came out.
"""

import argparse
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
from collections import Counter

from harness import APPS, TREE

BINARY = pathlib.Path(os.environ.get("ALFORJA", TREE / "bin" / "alforja"))
JOBS = ("list", "list --sort user", "verify", "globals", "expire --dry-run", "expire")
LIMIT = 64 * 1024  # KiB that a command may take
DAY = 86_400


# The jobs as Python does them.


def python_list(directory):
    for entry in os.scandir(directory):
        with open(entry.path, "rb") as file:
            state = file.read()
        session, status = pickle.loads(state), entry.stat()
        line = {
            "id": entry.name,
            "user": session.user,
            "class": f"{type(session).__module__}.{type(session).__name__}",
            "protocol": state[1],
            "size": status.st_size,
            "modified": status.st_mtime,
            "created": session._creation_time,
        }
        print(json.dumps(line))


def python_verify(directory):
    count = failed = 0
    for entry in os.scandir(directory):
        count += 1
        try:
            with open(entry.path, "rb") as file:
                pickle.load(file)
        except Exception as error:
            failed += 1
            print(f"{entry.name}: {error}")
    print(f"{count} sessions, {failed} failed")


def python_globals(directory):
    names = Counter()

    class Counting(pickle.Unpickler):
        def find_class(self, module, name):
            names[module, name] += 1
            return super().find_class(module, name)

    for entry in os.scandir(directory):
        with open(entry.path, "rb") as file:
            Counting(file).load()
    for (module, name), count in names.most_common():
        print(f"{count:9}  {module}.{name}")


def python_expire(directory):
    from session3.store.DirectorySessionStore import DirectorySessionStore

    print(
        "{} deleted, {} remain".format(*DirectorySessionStore(directory).delete_old_sessions(720))
    )


PYTHON = {
    "list": python_list,
    "verify": python_verify,
    "globals": python_globals,
    "expire": python_expire,
}


def python_side(job, directory):
    return [sys.executable, __file__, "--python-side", job, directory]


def alforja_side(job, directory):
    command = [BINARY, "sessions", *job.split(), "--store", f"directory:{directory}"]
    if job.startswith("list"):
        command.append("--json")
    if job.startswith("expire"):
        command += ["--idle", "12h", "--yes"]
    return command


# The sessions.


def fill(directory, count):
    """Make sessions of three classes, 100 different users, every second one a day idle."""
    from session3.DictSession import DictSession
    from session3.Session import Session

    import stored_sessions

    id, user = "i" * 22, "user-of-eleven"
    states = []
    for cls in (Session, DictSession, stored_sessions.testapp.ShopSession):
        session = stored_sessions.new(cls, id)
        session.user = user
        states.append(pickle.dumps(session, 4))
    directory.mkdir()
    long_ago = time.time() - DAY
    folder = os.open(directory, os.O_RDONLY)
    for i in range(count):
        name = f"{i:022}"
        state = states[i % 3].replace(id.encode(), name.encode())
        state = state.replace(user.encode(), f"user-{i % 100:09}".encode())
        file = os.open(name, os.O_WRONLY | os.O_CREAT, 0o600, dir_fd=folder)
        os.write(file, state)
        os.close(file)
        if i % 2:
            os.utime(name, (long_ago, long_ago), dir_fd=folder)
    os.close(folder)
    return statistics.mean(map(len, states))


def away(directory):
    shutil.rmtree(directory)
    shutil.rmtree(f"{directory}.alforja", ignore_errors=True)


# The runs.


def compare(where, base, options, progress):
    """Every job, the sides in turn. One row for each run."""
    from measure import Run

    runs = []
    with tempfile.TemporaryDirectory(dir=base) as tmp:
        directory = pathlib.Path(tmp, "sessions")
        progress.step(f"{where}: {options.count} sessions")
        size = fill(directory, options.count)
        os.sync()
        for job in options.jobs:
            for pair in range(options.pairs):
                sides = [("alforja", alforja_side)]
                if job in PYTHON:
                    sides.append(("python", python_side))
                for side, command in sides if pair % 2 == 0 else sides[::-1]:
                    progress.step(f"{where}: {job}, {side}, pair {pair + 1}")
                    if job == "expire" and runs and runs[-1]["job"] == job:
                        away(directory)
                        fill(directory, options.count)
                        os.sync()
                    run = Run(
                        command(job, directory),
                        timeout=7200,
                        env={**os.environ, "PYTHONPATH": str(APPS)},
                        stdout=subprocess.DEVNULL,
                    )
                    runs.append(
                        dict(where=where, job=job, pair=pair, side=side, bytes=size)
                        | dict(seconds=run.seconds, processor_seconds=run.processor_seconds)
                        | dict(kib=run.kib)
                    )
        progress.step(f"{where}: away with them")
    return runs


def report(where, base, runs, options):
    from benchmark.report import file_system

    print(
        f"\n{options.count} sessions of {runs[0]['bytes']:.0f} bytes on {where} ({file_system(base)})\n"
    )
    print(
        f"{'':18}{'alforja s':>10}{'processor s':>12}{'MiB':>7}{'python s':>10}{'MiB':>7}"
        f"{'python : alforja':>24}{'by processor time':>24}"
    )
    for job in options.jobs:
        sides = {side: [r for r in runs if (r["job"], r["side"]) == (job, side)] for side in SIDES}
        ours, theirs = (sides[side] for side in SIDES)
        print(
            f"{job:18}{median(ours, 'seconds'):>10.2f}{median(ours, 'processor_seconds'):>12.2f}"
            f"{peak(ours):>7.1f}",
            end="",
        )
        if theirs:
            print(
                f"{median(theirs, 'seconds'):>10.2f}{peak(theirs):>7.1f}"
                f"{ratio(theirs, ours, 'seconds'):>24}{ratio(theirs, ours, 'processor_seconds'):>24}",
                end="",
            )
        print()


SIDES = ("alforja", "python")


def median(runs, key):
    return statistics.median(r[key] for r in runs)


def peak(runs):
    return max(r["kib"] for r in runs) / 1024


def ratio(over, under, key):
    over, under = ({r["pair"]: r[key] for r in runs} for runs in (over, under))
    ratios = [over[pair] / under[pair] for pair in over]
    return f"{statistics.median(ratios):.1f} ({min(ratios):.1f}-{max(ratios):.1f})"


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="integration/bench_sessions.py",
        description="Time the commands that read a whole store, and the same jobs by Python's pickle.",
        epilog="""\
examples:
  .venv/bin/python integration/bench_sessions.py               a million sessions, on tmpfs and on the disk
  .venv/bin/python integration/bench_sessions.py --quick       a first look, not to be quoted
  .venv/bin/python integration/bench_sessions.py --where tmpfs --jobs list,verify --pairs 5
  .venv/bin/python integration/bench_sessions.py --json > run.json

A million sessions take 5 GiB. ALFORJA in the environment names another build than bin/alforja.
The exit status is 1 when a command takes more than 64 MiB.
""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--count", type=int, default=1_000_000, metavar="N", help="sessions")
    parser.add_argument("--pairs", type=int, default=3, metavar="N", help="pairs (default: 3)")
    parser.add_argument(
        "--jobs", default=",".join(JOBS), help="which, by commas (default: all): " + ", ".join(JOBS)
    )
    parser.add_argument(
        "--where",
        default="tmpfs,disk",
        help="on tmpfs (/dev/shm), on the disk that this tree is on, or both (default: tmpfs,disk)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON, with every single run")
    parser.add_argument("--quick", action="store_true", help="20000 sessions, one pair")
    options = parser.parse_args(arguments)
    options.jobs, options.where = options.jobs.split(","), options.where.split(",")
    if unknown := set(options.jobs) - set(JOBS) | set(options.where) - {"tmpfs", "disk"}:
        parser.error(f"unknown: {', '.join(unknown)}")
    if options.quick:
        options.count, options.pairs = 20_000, 1
    if options.count < 1 or options.pairs < 1:
        parser.error("at least one session and one pair")
    return options


def main(arguments=None):
    from benchmark.load import Progress

    options = parse(arguments)
    disk = TREE / ".cache"
    disk.mkdir(exist_ok=True)
    bases = {"tmpfs": pathlib.Path("/dev/shm"), "disk": disk}
    setting = (
        f"{os.cpu_count()} processors, Linux {platform.release()}, Python {platform.python_version()}, "
        f"{options.pairs} pairs, load at the start {os.getloadavg()[0]:.2f}"
    )
    if not options.json:
        print(setting)
    steps = len(options.where) * (2 + (2 * len(options.jobs) - 2) * options.pairs)
    progress = Progress(steps, options.count / 80_000)
    runs = []
    for where in options.where:
        runs += compare(where, bases[where], options, progress)
        progress.clear()
        if not options.json:
            report(where, bases[where], [r for r in runs if r["where"] == where], options)
            sys.stdout.flush()
    if options.json:
        json.dump({"setting": setting, "runs": runs}, sys.stdout, indent=1)
        print()
    return 1 if any(r["kib"] > LIMIT for r in runs if r["side"] == "alforja") else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["--python-side"]:
        PYTHON[sys.argv[2]](sys.argv[3])
        sys.exit()
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nbench: interrupted", file=sys.stderr)
        sys.exit(130)
