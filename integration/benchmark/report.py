"""What the runs come to, in tables."""

import os
import pathlib
import statistics


def summarize(runs):
    """One row for each load and stack: medians, extremes, ratios to the first stack's run of the pair."""
    rows = []
    for load in distinct((r["page"], r["hot"], r["connections"]) for r in runs):
        chosen = [r for r in runs if (r["page"], r["hot"], r["connections"]) == load]
        names = distinct(r["stack"] for r in chosen)
        first = {r["pair"]: r for r in chosen if r["stack"] == names[0]}
        for name in names:
            rows.append(row([r for r in chosen if r["stack"] == name], first))
    return rows


def row(runs, first):
    """The row of one load on one stack; `first` is each pair's run to compare it with."""
    ratios = [r["per_second"] / max(first[r["pair"]]["per_second"], 1) for r in runs]
    return {
        **{key: runs[0][key] for key in ("page", "hot", "connections", "stack")},
        "per_second": spread([r["per_second"] for r in runs]),
        "p50_ms": spread([r["p50_ms"] for r in runs]),
        "p99_ms": spread([r["p99_ms"] for r in runs]),
        "ratios": ratios,
        "ratio": statistics.median(ratios),
        "p99_ratio": statistics.median(
            r["p99_ms"] / max(first[r["pair"]]["p99_ms"], 0.001) for r in runs
        ),
        "errors": sum(r["errors"] for r in runs),
        "cpu_us": medians([r["cpu_us"] for r in runs]),
        "inside": {
            key: [statistics.median(r["inside"][key][i] for r in runs) for i in (0, 1)]
            for key in runs[0]["inside"]
        },
    }


def distinct(items):
    """Each item once, in the order in which it came first."""
    return list(dict.fromkeys(items))


def spread(values):
    return {"median": statistics.median(values), "min": min(values), "max": max(values)}


def medians(dictionaries):
    return {key: statistics.median(d[key] for d in dictionaries) for key in dictionaries[0]}


def show(where, base, rows, lost, others):
    """Print the tables of the runs with the sessions in one place."""
    print(f"\nSessions on {where} ({file_system(base)}); others used {others:.2f} processors\n")
    print(
        f"{HEAD}{'requests/s':>22}{'p50 ms':>9}{'p99 ms':>22}"
        f"{'errors':>8}{'ratio':>7}  ratio of each pair"
    )
    for line in rows:
        print(speed(line, line["stack"] == rows[0]["stack"]))
    print("\nprocessor time for one request, us; times in the gateway's log, ms, p50/p99")
    print(
        f"{HEAD}{'nginx':>7}{'gateway':>9}{'workers':>9}{'kernel':>8}{'wrk':>6}"
        f"{'all of it':>16}{'lock':>16}{'queue':>16}"
    )
    for line in rows:
        print(costs(line))
    print("\nincrements lost: " + ", ".join(f"{name} {n}" for name, n in lost.items()))


HEAD = f"{'page':14}{'c':>4} {'stack':9}"


def head(line):
    page = line["page"] + (" hot" if line["hot"] else "")
    return f"{page:14}{line['connections']:>4} {line['stack']:9}"


def speed(line, is_first):
    rate, p99 = line["per_second"], line["p99_ms"]
    ratio = "" if is_first else f"{line['ratio']:.2f}"
    each = "" if is_first else " ".join(f"{r:.2f}" for r in line["ratios"])
    rates = f"{rate['median']:.0f} ({rate['min']:.0f}-{rate['max']:.0f})"
    slow = f"{p99['median']:.1f} ({p99['min']:.1f}-{p99['max']:.1f})"
    return (
        f"{head(line)}{rates:>22}{line['p50_ms']['median']:>9.2f}{slow:>22}"
        f"{line['errors']:>8}{ratio:>7}  {each}"
    ).rstrip()


def costs(line):
    cpu = line["cpu_us"]
    inside = "".join(
        f"{'{:.2f}/{:.2f}'.format(*line['inside'][key]):>16}"
        for key in ("ms", "lock_ms", "queue_ms")
        if line["inside"]
    )
    return (
        f"{head(line)}{cpu['nginx']:>7.0f}{cpu['gateway']:>9.0f}"
        f"{cpu['workers']:>9.0f}{cpu['kernel']:>8.0f}{cpu['wrk']:>6.0f}{inside}"
    )


def file_system(path):
    """The type of the file system that path is on."""
    best = ("", "unknown")
    for line in pathlib.Path("/proc/self/mounts").read_text().splitlines():
        mount, kind = line.split()[1:3]
        if os.path.commonpath([mount, path]) == mount and len(mount) >= len(best[0]):
            best = (mount, kind)
    return best[1]
