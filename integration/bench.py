"""The paired comparison: nginx -> alforja -> workers against nginx -> stock scgi_server + session3.

All stacks run side by side and are loaded in turn, so that what else the machine does falls on
each of them. docs/performance.md says what came out, and what the lines mean.
"""

import argparse
import contextlib
import json
import os
import pathlib
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
from importlib.metadata import version

import harness
from benchmark import load, report, stacks

# The build that users run, not the race detector's.
BINARY = pathlib.Path(os.environ.get("ALFORJA", harness.TREE / "bin" / "alforja"))


def compare(base, todo, options, progress):
    """All runs with the sessions in one place; returns what load.compare does."""
    with contextlib.ExitStack() as exits:
        # Sockets need a short path; sessions are the only thing that is where --where says.
        tmp = pathlib.Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        kept = pathlib.Path(exits.enter_context(tempfile.TemporaryDirectory(dir=base)))
        running = {
            name: stacks.STACKS[name](tmp / name, kept / name, exits) for name in options.stacks
        }
        return load.compare(running, todo, options, progress)


def setting(options):
    """What was run on what, a line each."""
    packages = " ".join(f"{p} {version(p)}" for p in ("quixote", "session3", "scgi", "gunicorn"))
    nginx = subprocess.run(["nginx", "-v"], stderr=subprocess.PIPE, text=True, check=True).stderr
    alforja = subprocess.run(
        [BINARY, "version"], stdout=subprocess.PIPE, text=True, check=False
    ).stdout
    return [
        f"{os.cpu_count()} processors, Linux {platform.release()}, Python "
        f"{platform.python_version()}, {packages}, {nginx.split(':')[1].strip()}",
        alforja.strip(),
        f"{options.pairs} pairs of {options.seconds} s, {stacks.SESSIONS} sessions, "
        f"{stacks.WORKERS} workers or children each",
        "nginx: one process, no access log; gateway: access log on, JSON, to a file on the disk; "
        f"lock queue {stacks.LOCK_QUEUE}",
        f"load of the machine at the start: {os.getloadavg()[0]:.2f}",
    ]


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="integration/bench.py",
        description="Compare nginx -> alforja -> workers, in both modes, with nginx -> stock "
        "quixote.server.scgi_server + session3's DirectorySessionStore: the same pages, in one "
        "run, in turn. /counter changes the session of one of 64 cookies; /plain has none.",
        epilog="""\
stacks:
"""
        + "".join(f"  {name:9} {kind.__doc__}\n" for name, kind in stacks.STACKS.items())
        + """
examples:
  make bench                                   the default: about seven minutes
  make bench-all                               --stacks all --connections 1,8,32,256 --hot
  .venv/bin/python integration/bench.py --quick            a first look, not to be quoted
  .venv/bin/python integration/bench.py --where disk --pairs 9 --seconds 5
  .venv/bin/python integration/bench.py --json > run.json  every run, for scripts

ALFORJA in the environment names another build than bin/alforja. The exit status is 1
when a request failed or an increment that went through alforja was lost, and 2 when
something to run is missing. The parts by themselves:
  go test -run '^$' -bench . ./store/directory ./pickle ./gateway/scgi
""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--pairs", type=int, default=5, metavar="N", help="pairs (default: 5)")
    parser.add_argument(
        "--seconds", type=int, default=6, metavar="N", help="length of each run (default: 6)"
    )
    parser.add_argument("--quick", action="store_true", help="2 pairs of 1 second, no warm-up")
    parser.add_argument("--json", action="store_true", help="print JSON, with every single run")
    parser.add_argument(
        "--where",
        choices=("disk", "tmpfs", "both"),
        default="both",
        help="where the sessions are: the disk that this tree is on, /dev/shm, or both in turn "
        "(default)",
    )
    parser.add_argument(
        "--stacks",
        type=stack_names,
        default=["stock", "managed", "shared"],
        metavar="NAMES",
        help="what to compare with the first of them, or all (default: stock,managed,shared)",
    )
    parser.add_argument(
        "--connections",
        type=counts,
        default=[8],
        metavar="N,N",
        help="how many requests are under way at a time, one number after the other (default: 8)",
    )
    parser.add_argument(
        "--hot", action="store_true", help="load /counter with one session's requests as well"
    )
    options = parser.parse_args(arguments)
    if options.pairs < 1 or options.seconds < 1:
        parser.error("--pairs and --seconds are at least 1")
    options.warm_up = not options.quick
    if options.quick:
        options.pairs, options.seconds = 2, 1
    return options


def stack_names(text):
    names = list(stacks.STACKS) if text == "all" else text.split(",")
    if unknown := set(names) - set(stacks.STACKS):
        raise argparse.ArgumentTypeError(f"no such stack: {', '.join(sorted(unknown))}")
    return names


def counts(text):
    numbers = [int(number) for number in text.split(",")]
    if min(numbers) < 1:
        raise argparse.ArgumentTypeError("at least one connection is needed")
    return numbers


def missing():
    """What is needed and not there."""
    wanted = [program for program in ("wrk", "nginx") if shutil.which(program) is None]
    return wanted + ([] if BINARY.exists() else [str(BINARY)])


def main(arguments=None):
    options = parse(arguments)
    if missing():
        print(f"bench: not found: {', '.join(missing())}; `make bench` sees to it", file=sys.stderr)
        return 2
    harness.BINARY = BINARY
    disk = harness.TREE / ".cache"
    disk.mkdir(exist_ok=True)
    bases = {"disk": disk, "tmpfs": pathlib.Path("/dev/shm")}
    places = [where for where in bases if options.where in (where, "both")]
    todo = load.loads(options.connections, options.hot)
    total = len(places) * len(todo) * len(options.stacks) * options.pairs
    progress = load.Progress(total, options.seconds)
    lines = setting(options)
    if not options.json:
        print("\n".join(lines))
    runs, problems, lost = [], [], {}
    for where in places:
        found, lost[where], bad = compare(bases[where], todo, options, progress)
        runs += [{**run, "where": where} for run in found]
        problems += [f"{where}: {problem}" for problem in bad]
        if not options.json:
            others = statistics.median(r["others"] for r in found)
            report.show(where, bases[where], report.summarize(found), lost[where], others)
            sys.stdout.flush()
    if options.json:
        summary = {w: report.summarize([r for r in runs if r["where"] == w]) for w in places}
        json.dump(
            {
                "setting": lines,
                "summary": summary,
                "lost": lost,
                "problems": problems,
                "runs": runs,
            },
            sys.stdout,
            indent=1,
        )
        print()
    for problem in problems:
        print(f"bench: {problem}", file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\nbench: interrupted", file=sys.stderr)
        sys.exit(130)
