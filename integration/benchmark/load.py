"""Load on one stack, by wrk, and what came of it."""

import json
import os
import subprocess
import sys
from typing import NamedTuple

from benchmark import processors
from benchmark.stacks import visit

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


class Load(NamedTuple):
    """What is asked for, and over how many connections at a time."""

    page: str
    connections: int
    hot: bool = False  # all requests are of one session

    @property
    def name(self):
        return self.page + (" hot" if self.hot else "")

    def ids(self, stack):
        """Whose requests these are."""
        if self.page != "/counter":
            return []
        return stack.ids[:1] if self.hot else stack.ids


def loads(connections, hot):
    """Every load of a run, one after the other."""
    kinds = [("/counter", False), *([("/counter", True)] if hot else []), ("/plain", False)]
    return [Load(page, count, one) for page, one in kinds for count in connections]


def measure(stack, load, seconds):
    """Load one stack; return what wrk, the access log and the clocks say."""
    script = stack.directory / "load.lua"
    script.write_text(LUA % ", ".join(f'"{id}"' for id in load.ids(stack)))
    os.sync()  # what the run before has left to write is not this one's
    stack.new_log_lines()
    before = stack.processor_seconds()
    machine, wrk = processors.machine_seconds(), processors.dead_children_seconds()
    output = subprocess.run(
        [
            *("wrk", "-t1", f"-c{load.connections}", f"-d{seconds}s", "--timeout", "10s"),
            *("-s", script, "http://{}:{}{}".format(*stack.address, load.page)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    ).stdout
    machine = processors.machine_seconds() - machine
    wrk = processors.dead_children_seconds() - wrk
    used = {part: s - before[part] for part, s in stack.processor_seconds().items()}
    found = [line[7:] for line in output.splitlines() if line.startswith("RESULT ")]
    if not found:
        raise SystemExit(f"bench: wrk says:\n{output}")
    result = json.loads(found[0])
    requests = result["requests"]
    result.update(
        load._asdict(),
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


def compare(stacks, todo, options, progress):
    """Load all stacks in turn; return the runs, the increments lost, and the problems met."""
    runs, problems = [], []
    if options.warm_up:
        for stack in stacks.values():
            for load in {load.page: load for load in todo}.values():
                measure(stack, load, 1)
    counted = {name: stack.count() for name, stack in stacks.items()}
    for load in todo:
        for pair in range(options.pairs):
            for name, stack in stacks.items():
                what = f"{load.name}, {load.connections} connections, pair {pair + 1}, {name}"
                progress.step(what)
                run = {**measure(stack, load, options.seconds), "stack": name, "pair": pair}
                runs.append(run)
                if run["errors"]:
                    problems.append(
                        f"{what}: {run['errors']} errors "
                        "(sockets, time-outs, answers that are not 2xx or 3xx)"
                    )
    lost = {}
    for name, stack in stacks.items():
        # A request under way when wrk stops counts for the session and not for wrk.
        sent = sum(r["requests"] for r in runs if (r["stack"], r["page"]) == (name, "/counter"))
        lost[name] = max(0, sent - (stack.count() - counted[name]))
        if lost[name] and stack.gateway:
            problems.append(f"{name}: {lost[name]} increments lost")
        plain = visit(stack.address, "/plain")
        if (plain.status, plain.text) != (200, "no session here\n"):
            problems.append(f"{name}: /plain answers {plain}")
    progress.clear()
    return runs, lost, problems


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
