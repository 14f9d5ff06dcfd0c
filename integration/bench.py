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
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile

import harness

# The build that users run, not the race detector's.
BINARY = pathlib.Path(os.environ.get("ALFORJA", harness.TREE / "bin" / "alforja"))

SESSIONS, CONNECTIONS, WORKERS = 64, 8, 4
PAGES = ("/counter", "/plain")
STACKS = ("stock", "managed", "shared")

KTHREADD = 2  # the parent of the kernel's own threads

# Without these two, pages that ask for the URL fail on the stock stack. Both sides have them.
NGINX_EXTRA = "scgi_param SCRIPT_NAME ''; scgi_param PATH_INFO $uri;"

# The number that --max-children gives is a string in Quixote 3.8, and does not work.
STOCK_SERVER = """\
import testapp
from quixote.server.scgi_server import run
run(testapp.create_shared_publisher, host="127.0.0.1", port={port}, max_children={children})
"""

# One request for each cookie, made before the clock runs, sent round and round.
LUA = """\
local ids = {%s}
local requests, sent = {}, 0

function init(args)
  if #ids == 0 then
    requests[1] = wrk.format("GET")
  end
  for i, id in ipairs(ids) do
    requests[i] = wrk.format("GET", nil, {["Cookie"] = "QX_session=" .. id})
  end
end

function request()
  sent = sent + 1
  return requests[sent %% #requests + 1]
end

function done(summary, latency, requests)
  local e = summary.errors
  io.write(string.format(
    'RESULT {"requests": %%d, "seconds": %%.6f, "p50_ms": %%.3f, "p99_ms": %%.3f, "max_ms": %%.3f, ' ..
    '"connect": %%d, "read": %%d, "write": %%d, "timeout": %%d, "status": %%d}\\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50) / 1e3,
    latency:percentile(99) / 1e3, latency.max / 1e3, e.connect, e.read, e.write, e.timeout, e.status))
end
"""


class Stack:
    """One nginx with what is behind it."""

    def __init__(self, name, directory, sessions, exits):
        self.name = name
        directory.mkdir()
        sessions.mkdir()
        self.behind = (
            self._stock_server(directory, sessions, exits)
            if name == "stock"
            else self._gateway(directory, sessions, exits)
        )
        self.nginx = started(harness.Nginx(directory, self.upstream, extra=NGINX_EXTRA), exits)
        self.ids = [new_session(self.nginx.http) for _ in range(SESSIONS)]
        self.log_read = self.behind.log.stat().st_size

    def _stock_server(self, directory, sessions, exits):
        port = harness.free_port()
        self.upstream = f"127.0.0.1:{port}"
        code = STOCK_SERVER.format(port=port, children=WORKERS)
        server = started(
            harness.Server(
                [harness.PYTHON, "-c", code],
                directory / "stock.log",
                env={"SESSIONS_DIR": str(sessions)},
            ),
            exits,
        )
        harness.wait_until(lambda: harness.listens(("127.0.0.1", port)), "the stock server listens")
        return server

    def _gateway(self, directory, sessions, exits):
        self.upstream = f"unix:{directory / 'scgi.sock'}"
        return started(
            harness.Gateway(
                directory,
                *("--mode", self.name, "--workers", str(WORKERS)),
                command=harness.managed() if self.name == "managed" else harness.stock(),
                store=sessions,
                env={"SESSIONS_DIR": str(sessions)},
                listen=("--scgi", self.upstream),
            ),
            exits,
        )

    def processor_seconds(self):
        """What this stack's processes have used up to now, by part."""
        table = process_table()
        behind = descendants(self.behind.pid, table)
        parts = {
            "nginx": seconds_of(descendants(self.nginx.pid, table), table),
            "gateway": 0.0,
            "workers": seconds_of(behind, table),
            # The kernel's threads write the disk for the stack that runs.
            "kernel": seconds_of(descendants(KTHREADD, table), table),
        }
        if self.name != "stock":
            parts["gateway"] = table[self.behind.pid][1]
            parts["workers"] -= parts["gateway"]
        return parts

    def count(self):
        """All increments that the sessions have kept."""
        return sum(int(visit(self.nginx.http, "/whoami", id).json()["counter"]) for id in self.ids)

    def new_log_lines(self):
        """What the access log says of the requests since the last call."""
        if self.name == "stock":
            return []
        with self.behind.log.open("rb") as log:
            log.seek(self.log_read)
            text = log.read()
        self.log_read += len(text)
        lines = [json.loads(line) for line in text.splitlines() if line.startswith(b"{")]
        return [line for line in lines if line["msg"] == "request"]


def started(server, exits):
    server.start()
    exits.callback(server.stop)
    return server


def new_session(address):
    client = harness.Client(address)
    response = client.get("/counter")
    client.close()
    if response.status != 200 or "QX_session" not in client.cookies:
        raise SystemExit(f"bench: no session from /counter: {response}")
    return client.cookies["QX_session"]


def visit(address, path, id=None):
    client = harness.Client(address)
    if id:
        client.cookies["QX_session"] = id
    response = client.get(path)
    client.close()
    return response


# Processor time, from /proc.


def process_table():
    """pid -> (parent, seconds of processor time, those of its dead children)."""
    tick = os.sysconf("SC_CLK_TCK")
    table = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                stat = pathlib.Path("/proc", entry, "stat").read_text()
                fields = stat.rpartition(")")[2].split()
                own, dead = (sum(map(int, fields[i : i + 2])) / tick for i in (11, 13))
                table[int(entry)] = (int(fields[1]), own, dead)
    return table


def descendants(pid, table):
    """pid and all processes below it."""
    found = [pid]
    for parent in found:
        found += [child for child, (above, *_) in table.items() if above == parent]
    return found


def seconds_of(pids, table):
    """What these processes and their dead children have used."""
    return sum(sum(table[pid][1:]) for pid in pids if pid in table)


def machine_seconds():
    """What all processes of this machine have used, the kernel's work for them included."""
    user, nice, system, _, _, irq, softirq, *_ = map(
        int, pathlib.Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]
    )
    return (user + nice + system + irq + softirq) / os.sysconf("SC_CLK_TCK")


def wrk_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


# One run.


def measure(stack, page, script, seconds):
    """Load one page of one stack; return what wrk, the access log and the clocks say."""
    os.sync()  # what the run before has left to write is not this one's
    stack.new_log_lines()
    before, machine, wrk = stack.processor_seconds(), machine_seconds(), wrk_seconds()
    url = "http://{}:{}{}".format(*stack.nginx.http, page)
    output = subprocess.run(
        ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "10s", "-s", script, url],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    ).stdout
    machine, wrk = machine_seconds() - machine, wrk_seconds() - wrk
    used = {part: s - before[part] for part, s in stack.processor_seconds().items()}
    found = [line[7:] for line in output.splitlines() if line.startswith("RESULT ")]
    if not found:
        raise SystemExit(f"bench: wrk says:\n{output}")
    result = json.loads(found[0])
    requests = result["requests"]
    result.update(
        stack=stack.name,
        page=page,
        per_second=requests / result["seconds"],
        errors=sum(result.pop(kind) for kind in ("connect", "read", "write", "timeout", "status")),
        cpu_us={part: s * 1e6 / max(requests, 1) for part, s in {**used, "wrk": wrk}.items()},
        others=max(0.0, machine - wrk - sum(used.values())) / result["seconds"],
        inside=inside_the_gateway(stack.new_log_lines()),
    )
    if requests == 0:
        result["errors"] += 1
    return result


def inside_the_gateway(lines):
    """Median and 99th percentile of the times in the access log."""
    times = {}
    for name in ("ms", "lock_ms", "queue_ms") if lines else ():
        values = sorted(line[name] for line in lines)
        times[name] = [values[len(values) * percent // 100] for percent in (50, 99)]
    return times


class Progress:
    """One line that says what runs, on a terminal only."""

    def __init__(self, total, pause):
        self.total, self.pause, self.done = total, pause, 0
        self.terminal = sys.stderr.isatty()

    def step(self, what):
        self.done += 1
        left = (self.total - self.done + 1) * self.pause
        self._show(f"[{self.done}/{self.total}] {what}, about {left:.0f} s left")

    def clear(self):
        self._show("")

    def _show(self, text):
        if self.terminal:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def compare(where, base, options, progress):
    """All runs with the sessions in one place; returns them, with the problems met."""
    runs, problems = [], []
    with contextlib.ExitStack() as exits:
        # Sockets need a short path; sessions are the only thing that is where --where says.
        tmp = pathlib.Path(exits.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        kept = pathlib.Path(exits.enter_context(tempfile.TemporaryDirectory(dir=base)))
        stacks = [Stack(name, tmp / name, kept / name, exits) for name in STACKS]
        scripts = {}
        for stack in stacks:
            for page in PAGES:
                ids = ", ".join(f'"{id}"' for id in stack.ids) if page == "/counter" else ""
                scripts[stack, page] = script = tmp / f"{stack.name}{page.replace('/', '-')}.lua"
                script.write_text(LUA % ids)
                if options.warm_up:
                    measure(stack, page, script, 1)
        counted = {stack: stack.count() for stack in stacks}
        for page in PAGES:
            for pair in range(options.pairs):
                for stack in stacks:
                    progress.step(f"{where}, {page}, pair {pair + 1}, {stack.name}")
                    run = measure(stack, page, scripts[stack, page], options.seconds)
                    run.update(where=where, pair=pair)
                    runs.append(run)
                    if run["errors"]:
                        problems.append(
                            f"{where} {page} {stack.name}, pair {pair + 1}: {run['errors']} errors "
                            "(sockets, time-outs, answers that are not 2xx or 3xx)"
                        )
        lost = {}
        for stack in stacks:
            # A request under way when wrk stops counts for the session and not for wrk.
            sent = sum(
                r["requests"] for r in runs if r["stack"] == stack.name and r["page"] == "/counter"
            )
            lost[stack.name] = max(0, sent - (stack.count() - counted[stack]))
            if lost[stack.name] and stack.name != "stock":
                problems.append(f"{where} {stack.name}: {lost[stack.name]} increments lost")
            plain = visit(stack.nginx.http, "/plain")
            if (plain.status, plain.text) != (200, "no session here\n"):
                problems.append(f"{where} {stack.name}: /plain answers {plain}")
    progress.clear()
    return runs, lost, problems


# The report.


def summarize(runs):
    """One row for each page and stack: medians, extremes, ratios to the stock run of the pair."""
    rows = []
    for page in PAGES:
        stock = {r["pair"]: r for r in select(runs, page, "stock")}
        for name in STACKS:
            chosen = select(runs, page, name)
            ratios = [r["per_second"] / max(stock[r["pair"]]["per_second"], 1) for r in chosen]
            rows.append(
                {
                    "page": page,
                    "stack": name,
                    "per_second": spread([r["per_second"] for r in chosen]),
                    "p50_ms": spread([r["p50_ms"] for r in chosen]),
                    "p99_ms": spread([r["p99_ms"] for r in chosen]),
                    "ratios": ratios,
                    "ratio": statistics.median(ratios),
                    "p99_ratio": statistics.median(
                        r["p99_ms"] / max(stock[r["pair"]]["p99_ms"], 0.001) for r in chosen
                    ),
                    "errors": sum(r["errors"] for r in chosen),
                    "cpu_us": medians([r["cpu_us"] for r in chosen]),
                    "inside": {
                        key: [
                            statistics.median(r["inside"][key][i] for r in chosen) for i in (0, 1)
                        ]
                        for key in chosen[0]["inside"]
                    },
                }
            )
    return rows


def select(runs, page, name):
    return [r for r in runs if (r["page"], r["stack"]) == (page, name)]


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def medians(dictionaries):
    return {key: statistics.median(d[key] for d in dictionaries) for key in dictionaries[0]}


def report(where, base, rows, lost, others):
    print(f"\nSessions on {where} ({file_system(base)}); others used {others:.2f} processors\n")
    print(
        f"{'page':9}{'stack':9}{'requests/s':>22}{'p50 ms':>8}{'p99 ms':>22}"
        f"{'errors':>8}{'ratio':>7}  ratio of each pair"
    )
    for row in rows:
        rate, p99 = row["per_second"], row["p99_ms"]
        is_stock = row["stack"] == "stock"
        ratio = "" if is_stock else f"{row['ratio']:.2f}"
        each = "" if is_stock else " ".join(f"{r:.2f}" for r in row["ratios"])
        rates = f"{rate['median']:.0f} ({rate['min']:.0f}-{rate['max']:.0f})"
        slow = f"{p99['median']:.1f} ({p99['min']:.1f}-{p99['max']:.1f})"
        print(
            f"{row['page']:9}{row['stack']:9}{rates:>22}{row['p50_ms']['median']:>8.2f}{slow:>22}"
            f"{row['errors']:>8}{ratio:>7}  {each}".rstrip()
        )
    print("\nprocessor time for one request, us; times in the gateway's log, ms, p50/p99")
    print(
        f"{'page':9}{'stack':9}{'nginx':>7}{'gateway':>9}{'workers':>9}{'kernel':>8}{'wrk':>6}"
        f"{'all of it':>14}{'lock':>14}{'queue':>14}"
    )
    for row in rows:
        cpu = row["cpu_us"]
        inside = "".join(
            f"{'{:.2f}/{:.2f}'.format(*row['inside'][key]):>14}"
            for key in ("ms", "lock_ms", "queue_ms")
            if row["inside"]
        )
        print(
            f"{row['page']:9}{row['stack']:9}{cpu['nginx']:>7.0f}{cpu['gateway']:>9.0f}"
            f"{cpu['workers']:>9.0f}{cpu['kernel']:>8.0f}{cpu['wrk']:>6.0f}{inside}"
        )
    print("\nincrements lost: " + ", ".join(f"{name} {n}" for name, n in lost.items()))


def file_system(path):
    """The type of the file system that path is on."""
    best = ("", "unknown")
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        mount, kind = line.split()[1:3]
        if os.path.commonpath([mount, path]) == mount and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]


def setting(options):
    """What was run on what, a line each."""
    from importlib.metadata import version

    packages = " ".join(f"{p} {version(p)}" for p in ("quixote", "session3", "scgi"))
    nginx = subprocess.run(["nginx", "-v"], stderr=subprocess.PIPE, text=True, check=True).stderr
    alforja = subprocess.run(
        [BINARY, "version"], stdout=subprocess.PIPE, text=True, check=False
    ).stdout
    return [
        f"{os.cpu_count()} processors, Linux {platform.release()}, Python "
        f"{platform.python_version()}, {packages}, {nginx.split(':')[1].strip()}",
        alforja.strip(),
        f"{options.pairs} pairs of {options.seconds} s, {SESSIONS} sessions, {CONNECTIONS} "
        f"connections, {WORKERS} workers (stock: {WORKERS} children)",
        "nginx: one process, no access log; gateway: access log on, JSON, to a file on the disk",
        f"load of the machine at the start: {os.getloadavg()[0]:.2f}",
    ]


def parse(arguments):
    parser = argparse.ArgumentParser(
        prog="integration/bench.py",
        description="Compare nginx -> alforja -> workers, in both modes, with nginx -> stock "
        "quixote.server.scgi_server + session3's DirectorySessionStore: the same pages, in one "
        "run, in turn. /counter changes the session of one of 64 cookies; /plain has none.",
        epilog="""\
examples:
  make bench                                   everything, about seven minutes
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
    options = parser.parse_args(arguments)
    if options.pairs < 1 or options.seconds < 1:
        parser.error("--pairs and --seconds are at least 1")
    options.warm_up = not options.quick
    if options.quick:
        options.pairs, options.seconds = 2, 1
    return options


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
    total = len(places) * len(PAGES) * len(STACKS) * options.pairs
    progress = Progress(total, options.seconds)
    lines = setting(options)
    if not options.json:
        print("\n".join(lines))
    runs, problems, lost = [], [], {}
    for where in places:
        found, lost[where], bad = compare(where, bases[where], options, progress)
        runs += found
        problems += bad
        if not options.json:
            others = statistics.median(r["others"] for r in found)
            report(where, bases[where], summarize(found), lost[where], others)
            sys.stdout.flush()
    if options.json:
        summary = {w: summarize([r for r in runs if r["where"] == w]) for w in places}
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
