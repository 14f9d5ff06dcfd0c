"""SIGUSR2: another program takes the place of the gateway that runs."""

import json
import os
import signal
import threading

import pytest

import harness
from administration import ask
from counters import load
from harness import Client, wait_until
from processes import successors


def test_replaced_by_another_program(workers_site, chain):
    """SIGUSR2 under load: the next gateway takes the sockets, and nobody is refused."""
    g = workers_site("--workers", "2")
    chain.append(g)
    pid = g.pid
    with load(g, 8):
        for n in range(1, 6):
            os.kill(pid, signal.SIGUSR2)
            wait_until(lambda n=n: len(successors(g)) == n, "another is started")
            wait_until(lambda p=pid: not harness.alive(p), f"{pid} has ended")
            pid = successors(g)[-1]
    assert g.process.wait(harness.DEADLINE) == 0
    assert Client(g.http).get("/version").text == "1"
    assert harness.alive(pid)


@pytest.mark.parametrize("version", ["broken", "broken late"])
def test_not_replaced_by_what_does_not_start(workers_site, chain, version):
    g = workers_site("--workers", "2")
    chain.append(g)
    g.version.write_text(version)
    with load(g):
        g.process.send_signal(signal.SIGUSR2)
        [line] = g.logged("not replaced, everything stays as it was")
    assert "the new gateway is not ready: it has ended" in line["err"]
    assert g.process.poll() is None
    assert Client(g.http).get("/version").text == "1"


def test_the_operator_meets_the_new_one(workers_site, chain):
    """The old one, which still is at a long request, answers at the admin address no longer."""
    g = workers_site("--workers", "2", admin=True)
    chain.append(g)
    answers = []
    slow = threading.Thread(target=lambda: answers.append(Client(g.http).get("/sleep?ms=8000")))
    slow.start()
    wait_until(
        lambda: json.loads(ask(g, "/status")[1])["pools"][0]["workers"][0]["busy"], "it runs"
    )
    g.process.send_signal(signal.SIGUSR2)
    g.logged("stopping: waiting")  # the old one goes
    for _ in range(20):
        assert ask(g, "/readyz")[0] == 200
        assert json.loads(ask(g, "/status")[1])["pid"] == successors(g)[-1]
    assert g.process.poll() is None
    slow.join()
    assert [a.status for a in answers] == [200]


def test_drained_before_the_new_one_is_ready(workers_site, chain):
    """Who stops the gateway stops what it has begun."""
    g = workers_site("--workers", "1", admin=True)
    chain.append(g)
    g.version.write_text("hangs")
    g.process.send_signal(signal.SIGUSR2)
    wait_until(lambda: len(g.logged("worker started")) == 2, "the new one starts its worker")
    assert ask(g, "/drain", "POST")[0] == 202
    assert g.process.wait(harness.DEADLINE) == 0
    [successor] = successors(g)
    wait_until(lambda: not harness.alive(successor), "it has ended too")
