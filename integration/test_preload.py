"""Workers that are forked from a process that has imported the application."""

import http.client
import os
import re
import signal
import subprocess

import harness
from administration import alforja, ask
from counters import load
from harness import Client, wait_until
from processes import running, times


def preloading(g):
    """The process ids of the processes that fork the workers."""
    pids = {line["pid"] for line in g.lines() if line["msg"] == "preloading the application"}
    return {pid for pid in pids if harness.alive(pid)}


def test_preload(workers_site):
    """Workers are forked from one process: killed, replaced and reloaded like others."""
    g = workers_site("--workers", "3", "--preload", "--worker-max-requests", "100")
    [parent] = preloading(g)
    pids = {Client(g.http).get("/pid").text for _ in range(3)}
    assert {int(pid) for pid in pids} <= running(g)
    with load(g):
        wait_until(lambda: len(g.logged("its number of requests is reached")) >= 3, "replaced")
        g.version.write_text("2")
        g.process.send_signal(signal.SIGHUP)
        wait_until(lambda: Client(g.http).get("/version").text == "2", "the new application")
        wait_until(lambda: not harness.alive(parent), "the old one is not kept")
    [parent] = preloading(g)
    os.kill(min(running(g)), signal.SIGKILL)
    wait_until(lambda: len(running(g)) == 3, "another is forked")
    assert preloading(g) == {parent}
    before = running(g)
    os.kill(parent, signal.SIGKILL)
    wait_until(lambda: not (before & running(g)), "its workers end with it")
    wait_until(lambda: len(running(g)) == 3, "all is started again")
    assert Client(g.http).get("/version").text == "2"
    assert Client(g.http).get("/hang?how=exit").status == 502
    g.stop()
    assert not preloading(g) | running(g)


def test_preload_hangs(workers_site):
    """The process that forks the workers, and is told of their ends, is itself stuck."""
    g = workers_site("--workers", "1", "--preload", "--request-timeout", "2s", "--queue-wait", "3s")
    [parent] = preloading(g)
    [worker] = running(g)
    os.kill(parent, signal.SIGSTOP)
    os.kill(worker, signal.SIGKILL)
    wait_until(lambda: Client(g.http).get("/version").status == 200, "all is started again")
    assert parent not in preloading(g)
    [parent] = preloading(g)
    os.kill(parent, signal.SIGSTOP)
    assert g.stop() == 0
    assert not preloading(g) | running(g)


def test_preload_goes_with_the_gateway(workers_site):
    g = workers_site("--workers", "2", "--preload")
    pids = wait_until(lambda: len(found := preloading(g) | running(g)) == 3 and found, "three run")
    g.stop(signal.SIGKILL)
    wait_until(lambda: not [pid for pid in pids if harness.alive(pid)], f"{pids} end")


def test_preload_leaves_signals_to_the_gateway(workers_site):
    """`docker stop`, and systemd without KillMode=mixed, signal every process: what runs is finished all the same."""
    g = workers_site("--workers", "2", "--preload", command=harness.managed())
    [parent] = preloading(g)
    connection = http.client.HTTPConnection(*g.http, timeout=harness.DEADLINE)
    connection.request("GET", "/stream?n=30&ms=100")
    answer = connection.getresponse()
    begin = answer.read(7)
    for pid in (parent, g.pid, *running(g)):
        os.kill(pid, signal.SIGTERM)
    assert begin + answer.read() == b"".join(b"line %d\n" % n for n in range(30))
    assert g.process.wait(harness.DEADLINE) == 0
    assert not preloading(g) | running(g)


def test_preload_fails_fast(tmp_path):
    done = subprocess.run(
        [
            harness.BINARY, "serve", "--http", "127.0.0.1:0", "--store", f"directory:{tmp_path}/s", "--preload",
            "--", *harness.managed("workerapp.no_such_factory"),
        ],
        capture_output=True, text=True, timeout=30, env={**os.environ, "PYTHONPATH": str(harness.APPS)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "the workers do not start" in done.stderr
    assert "no_such_factory" in done.stderr.rpartition("the workers do not start")[2]


def test_preload_hangs_at_a_reload(workers_site):
    g = workers_site("--workers", "2", "--preload", "--worker-start-timeout", "2s", admin=True)
    before, [parent] = running(g), preloading(g)
    g.version.write_text("hangs")
    done = alforja(g, "reload")
    assert (done.returncode, "not ready within 2s" in done.stderr) == (1, True), done.stderr
    assert alforja(g, "status").returncode == 0
    wait_until(lambda: preloading(g) == {parent}, "what hangs is ended")
    assert running(g) == before
    g.version.write_text("2")
    assert alforja(g, "reload").returncode == 0
    assert Client(g.http).get("/version").text == "2"


def test_preload_hangs_when_started_again(workers_site):
    """Meanwhile the workers are not said to be idle."""
    g = workers_site("--workers", "2", "--preload", "--worker-start-timeout", "2s", admin=True)
    [parent] = preloading(g)
    g.version.write_text("hangs")
    os.kill(parent, signal.SIGKILL)
    wait_until(lambda: preloading(g) - {parent}, "another is started")
    assert "2 starting" in alforja(g, "status").stdout
    assert ask(g, "/readyz")[0] == 503
    g.logged("had not answered within 2s")
    wait_until(lambda: times(g, "preloading the application") >= 3, "and another")
    g.version.write_text("2")
    wait_until(lambda: len(running(g)) == 2, "all is well again")
    assert Client(g.http).get("/version").text == "2"


def test_preload_cannot_fork(workers_site):
    """The other workers stay, and one more is forked when that can be done."""
    g = workers_site("--workers", "2", "--preload", version="forks")
    [parent], before = preloading(g), running(g)
    g.version.write_text("full")
    os.kill(min(before), signal.SIGKILL)
    g.logged("fork: [Errno 11] Resource temporarily unavailable")
    assert running(g) == before - {min(before)}
    assert Client(g.http).get("/version").text == "forks"
    g.version.write_text("forks")
    wait_until(lambda: len(running(g)) == 2, "another is forked")
    assert preloading(g) == {parent}


def test_preload_prints_once(workers_site):
    """What the import has printed, and no worker again."""
    g = workers_site(
        "--workers", "2", "--preload", "--worker-env", "PYTHONUNBUFFERED=", version="prints"
    )
    g.logged("a line of the import")
    g.stop()
    printed = [line for line in g.lines() if "a line" in line.get("line", "")]
    assert [line["worker"] for line in printed] == ["preload"] * 2


def test_preload_saves_memory(workers_site):
    """What the application has imported is there once: measured as the workers' private memory."""

    def private_kilobytes(pid):
        rollup = open(f"/proc/{pid}/smaps_rollup").read()
        return sum(int(n) for n in re.findall(r"Private_\w+: +(\d+) kB", rollup))

    def per_worker(*flags):
        g = workers_site("--workers", "2", *flags)
        for _ in range(20):
            Client(g.http).get("/counter")
        used = [private_kilobytes(pid) for pid in running(g)]
        g.stop()
        return max(used)

    alone, forked = per_worker(), per_worker("--preload")
    print(f"private memory of a worker: {alone} kB alone, {forked} kB forked")
    assert forked < 0.7 * alone
