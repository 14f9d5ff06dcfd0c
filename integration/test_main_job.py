"""A person with a browser: log in, count, log out, over four workers and a restart of everything."""

import concurrent.futures
import os
import re
import signal

import pytest
from selenium.webdriver.common.by import By

import harness
from browsing import click, text
from harness import Client, Server, wait_until


class Demo(Server):
    """`alforja demo`, as a person starts it."""

    def __init__(self, tmp, port=0):
        super().__init__(
            [
                harness.BINARY, "demo", "--port", str(port), "--python", harness.PYTHON,
                "--store", f"directory:{tmp}/sessions", "--log-format", "json",
            ],
            tmp / "demo.log",
        )  # fmt: skip

    def start(self):
        seen = len(self.text()) if self.log.exists() else 0
        super().start()
        line = wait_until(
            lambda: re.search(r"Open (http://localhost:(\d+)/)", self.text()[seen:]),
            "the demo says where it is",
        )
        self.url, self.port = line[1], int(line[2])
        return self

    def worker_pids(self):
        return [int(pid) for pid in re.findall(r'"worker started".*?"pid":(\d+)', self.text())]


def test_log_in_count_restart_log_out(run, browser, tmp_path):
    demo = run(Demo(tmp_path))
    browser.get(demo.url)
    browser.find_element(By.NAME, "name").send_keys("Dulcinea")
    press(browser, "login")
    assert "Dulcinea" in text(browser)
    for _ in range(5):
        press(browser, "increment")
    assert count(browser) == 5

    demo.stop()
    assert not [pid for pid in demo.worker_pids() if harness.alive(pid)]
    demo = run(Demo(tmp_path, demo.port))
    browser.get(demo.url)
    assert "Dulcinea" in text(browser)
    assert count(browser) == 5

    for pid in demo.worker_pids():
        if harness.alive(pid):
            os.kill(pid, signal.SIGKILL)
    press(browser, "increment")
    assert count(browser) == 6

    [session] = (tmp_path / "sessions").iterdir()
    press(browser, "logout")
    assert "Dulcinea" not in text(browser)
    assert not session.exists()
    assert not [c for c in browser.get_cookies() if c["name"] == "QX_session"]


def press(browser, action):
    click(browser, f"form[action$={action}] button")


def count(browser):
    return int(text(browser, "#counter"))


def test_four_processes_share_the_session(gateway):
    """One session is counted on by every worker."""
    g = gateway("--workers", "4")
    browser = Client(g.http)
    browser.get("/counter")

    workers, pids = set(g.workers().values()), set()

    def visit(_):
        client = Client(g.http)
        pids.add(client.get("/whoami").json()["pid"])
        client.get("/counter?ms=20")  # holds a worker, so that the others' requests go elsewhere

    wait_until(lambda: harness.concurrently(4, visit) and pids == workers, "every worker serves")
    for expected in range(2, 30):
        assert browser.get("/counter").text == str(expected)


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_workers_go_with_the_gateway(run, tmp_path, sig):
    """Whatever way the gateway goes, its workers go too, and so do the children of a stock server."""
    for name, command in (("ours", harness.managed()), ("stock", harness.stock())):
        sessions = tmp_path / name
        g = run(
            harness.Gateway(
                tmp_path, "--mode", "managed" if name == "ours" else "shared", "--workers", "2",
                command=command, env={"SESSIONS_DIR": str(sessions)}, name=name, store=sessions,
            )
        )  # fmt: skip
        assert Client(g.http).get("/plain").status == 200
        pids = family(list(g.workers().values()))
        g.stop(sig)
        wait_until(lambda pids=pids: not [p for p in pids if harness.alive(p)], f"{pids} end")


def test_what_a_worker_forks_goes_too(run, tmp_path):
    """A shell in between, and the gateway killed: no signal of the kernel's reaches the grandchild."""
    line = " ".join(harness.managed()) + "; true"
    g = run(harness.Gateway(tmp_path, "--workers", "2", command=["/bin/sh", "-c", line + " "]))
    pids = list(g.workers().values()) or wait_until(
        lambda: list(g.workers().values()), "workers run"
    )
    wait_until(lambda: len(family(pids)) == 2 * len(pids), "each shell has its worker")
    everyone = family(pids)
    g.stop(signal.SIGKILL)
    wait_until(lambda: not [p for p in everyone if harness.alive(p)], f"{everyone} end")


def family(pids):
    """These processes and their children."""
    children = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                stat = open(f"/proc/{entry}/stat").read().rpartition(")")[2].split()
            except OSError:
                continue
            if int(stat[1]) in pids:
                children.append(int(entry))
    return pids + children


def test_term_lets_a_running_request_finish(gateway, tmp_path):
    g = gateway("--workers", "1")
    browser = Client(g.http)
    assert browser.get("/counter").text == "1"
    running = tmp_path / "running"
    with concurrent.futures.ThreadPoolExecutor() as pool:
        answer = pool.submit(browser.get, f"/sleep?ms=1500&touch={running}")
        wait_until(running.exists, "the request runs")
        assert g.stop() == 0
        assert answer.result().status == 200
