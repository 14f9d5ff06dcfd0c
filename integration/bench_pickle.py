"""The paired comparison of the package pickle with CPython's _pickle, and with gopickle.

Each operation runs in turns here and in a Go program (picklebench), so that what else the machine
does falls on both. docs/performance.md says what came out.
"""

import argparse
import gc
import json
import os
import pathlib
import pickle
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time

import quixote.session
from quixote.directory import Directory
from quixote.http_request import HTTPRequest
from quixote.publish import Publisher
from session3.DictSession import DictSession

import harness

# `alforja serve` sets this for itself, unless the environment does.
GOGC = os.environ.get("GOGC", "400")

THEN = 1.7e9  # seconds since 1970


def small():
    """Quixote's own session, of someone who has logged in."""
    session = quixote.session.Session("Zk3vQ9xTbJ0aLw5cRm2fYh")
    session.set_user("sancho@example.org")
    session._form_tokens = [f"{n:016x}" for n in range(3)]
    return session


def shop(lines, visits, choices):
    """session3's session as a shop fills it: a cart, pages seen, small lists by name."""
    chance = random.Random(lines)
    session = DictSession("Zk3vQ9xTbJ0")
    session.set_user("sancho")
    session["cart"] = [
        {
            "sku": f"A-{chance.randrange(10**5):05}",
            "title": "".join(chance.choice("abcdefghij ") for _ in range(24)),
            "price": chance.randrange(10**4) / 100,
            "count": chance.randrange(1, 9),
            "options": ("red", chance.randrange(300), None),
            "gift": False,
        }
        for _ in range(lines)
    ]
    session["visits"] = [
        (f"/catalogue/{chance.randrange(10**4)}/item", THEN + chance.random())
        for _ in range(visits)
    ]
    session["choices"] = {f"k{n}": ["v", n, (n, n)] for n in range(choices)}
    return session


def states():
    request = HTTPRequest(None, {"REMOTE_ADDR": "192.0.2.7"})
    Publisher(Directory())._set_request(request)  # which new sessions ask for the address
    sessions = {"300 B": small(), "5 KB": shop(24, 30, 50), "200 KB": shop(950, 1400, 1800)}
    for session in sessions.values():
        session._creation_time = session._access_time = THEN
    return sessions


# What is compared: a name, ours, theirs.
COMPARISONS = (
    ("Verify : loads", "verify", "loads"),
    ("Verify, Check : loads", "check", "loads"),
    ("Decode : loads", "decode", "loads"),
    ("Append : dumps", "append", "dumps"),
    ("edit : loads, dumps", "edit", "edit"),
    ("Decode : gopickle", "decode", "gopickle"),
)


class Python:
    """Runs _pickle in this process, without its collector of cycles: as timeit does."""

    def __init__(self, session, protocol):
        self.session, self.protocol = session, protocol
        self.data = pickle.dumps(session, protocol)

    def __call__(self, operation, times):
        run = getattr(self, operation)
        gc.disable()
        processor, wall = time.process_time_ns(), time.perf_counter_ns()
        run(times)
        wall, processor = time.perf_counter_ns() - wall, time.process_time_ns() - processor
        gc.enable()
        return {"wall": wall / times, "processor": processor / times}

    def loads(self, times):
        loads, data = pickle.loads, self.data
        for _ in range(times):
            loads(data)

    def dumps(self, times):
        dumps, session, protocol = pickle.dumps, self.session, self.protocol
        for _ in range(times):
            dumps(session, protocol)

    def edit(self, times):
        for _ in range(times):
            session = pickle.loads(self.data)
            _ = session.user
            session._access_time = 1.8e9
            pickle.dumps(session, self.protocol)


class Go:
    """Runs operations in picklebench."""

    def __init__(self, directory):
        binary = directory / "picklebench"
        subprocess.run(
            ["go", "build", "-o", binary, "./integration/picklebench"], cwd=harness.TREE, check=True
        )
        self.process = subprocess.Popen(
            [binary],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
            env={**os.environ, "GOGC": GOGC},
        )
        self.file = directory / "pickle"

    def load(self, data):
        self.file.write_bytes(data)

    def __call__(self, operation, times):
        request = {"operation": operation, "file": str(self.file), "times": times}
        self.process.stdin.write(json.dumps(request) + "\n")
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"bench: picklebench ended in {operation}")
        return json.loads(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def times_for(run, operation, seconds):
    """Return how many runs of the operation take about so long."""
    times = 1
    while True:
        wall = run(operation, times)["wall"]
        if wall * times > seconds * 1e9 / 8:
            return max(1, int(seconds * 1e9 / wall))
        times *= 4


def compare(ours, theirs, one, other, options):
    """Return the rounds of both: each pair one after the other, in changing order."""
    mine = times_for(ours, one, options.seconds)
    yours = times_for(theirs, other, options.seconds)
    pairs = []
    for n in range(options.pairs):
        rounds = [lambda: ours(one, mine), lambda: theirs(other, yours)]
        if n % 2:
            second, first = rounds[1](), rounds[0]()
        else:
            first, second = rounds[0](), rounds[1]()
        pairs.append({"ours": first, "theirs": second})
    return pairs


def summarize(pairs):
    def median(side, what):
        return statistics.median(pair[side][what] for pair in pairs)

    def ratios(what):
        return [pair["theirs"][what] / pair["ours"][what] for pair in pairs]

    wall = ratios("wall")
    return {
        "ours_us": median("ours", "wall") / 1e3,
        "theirs_us": median("theirs", "wall") / 1e3,
        "ratio": statistics.median(wall),
        "ratio_least": min(wall),
        "ratio_most": max(wall),
        "ratio_processor": statistics.median(ratios("processor")),
        "allocs": median("ours", "allocs"),
        "bytes": median("ours", "bytes"),
    }


HEAD = """
Protocol {protocol}, sessions of {sizes} bytes.

| state | comparison | ours us | theirs us | times as fast | by processor time | allocations | bytes |
|---|---|---|---|---|---|---|---|"""

ROW = (
    "| {size} | {name} | {ours_us:.2f} | {theirs_us:.2f} | {ratio:.2f} ({ratio_least:.2f}-{ratio_most:.2f}) "
    "| {ratio_processor:.2f} | {allocs:.0f} | {bytes:,.0f} |"
)


def bench(go, options):
    """Compare everything, print rows as they are found, and return them all."""
    found, sessions = [], states()
    for protocol in options.protocols:
        sides = {size: Python(session, protocol) for size, session in sessions.items()}
        if not options.json:
            sizes = ", ".join(f"{len(side.data):,}" for side in sides.values())
            print(HEAD.format(protocol=protocol, sizes=sizes), flush=True)
        for size, python in sides.items():
            go.load(python.data)
            for name, one, other in COMPARISONS:
                theirs = go if other == "gopickle" else python
                pairs = compare(go, theirs, one, other, options)
                row = {"protocol": protocol, "size": size, "name": name, **summarize(pairs)}
                found.append({**row, "length": len(python.data), "pairs": pairs})
                if not options.json:
                    print(ROW.format(**row), flush=True)
    return found


def setting(options):
    version = subprocess.run(
        ["go", "version"], capture_output=True, text=True, check=True
    ).stdout.split()[2]
    return (
        f"CPython {platform.python_version()}, {version}, GOGC={GOGC}, {os.cpu_count()} processors; "
        f"{options.pairs} pairs of {options.seconds} s each; medians, and the least and the most of the ratios"
    )


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pairs", type=int, default=9, help="default: 9")
    parser.add_argument(
        "--seconds", type=float, default=0.2, help="of one side of a pair; default: 0.2"
    )
    parser.add_argument("--protocols", type=int, nargs="+", default=[4, 2], help="default: 4 2")
    parser.add_argument("--quick", action="store_true", help="a first look, not to be quoted")
    parser.add_argument("--json", action="store_true", help="every round, for programs")
    options = parser.parse_args(arguments)
    if options.quick:
        options.pairs, options.seconds, options.protocols = 3, 0.05, [4]
    return options


def main(arguments=None):
    options = parse(arguments)
    with tempfile.TemporaryDirectory() as directory:
        go = Go(pathlib.Path(directory))
        try:
            if not options.json:
                print(setting(options))
            found = bench(go, options)
        finally:
            go.close()
    if options.json:
        json.dump({"setting": setting(options), "comparisons": found}, sys.stdout, indent=1)
        print()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        print("\nbench: interrupted", file=sys.stderr)
        sys.exit(130)
