"""Processor time, from /proc."""

import contextlib
import os
import pathlib
import resource

KTHREADD = 2  # the parent of the kernel's own threads


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


def dead_children_seconds():
    """What this process's children have used that have ended: of wrk, in a run."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
