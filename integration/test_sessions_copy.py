"""`alforja sessions copy`: a running site moves to another store, and nothing is lost or comes back."""

import itertools
import json
import os
import pty
import re
import signal
import subprocess
import threading

import pytest

from harness import BINARY, DEADLINE, Client, Gateway, concurrently, managed, wait_until
from stored_sessions import contents, load, make, make_many, sessions


def copy(source, target, *flags, **options):
    """Make a pass and return its counts; with --repeat those of the last one."""
    done = sessions(
        "copy", "--json", *flags, f"directory:{source}", f"directory:{target}", **options
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_passes(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    for i in range(100):
        make(source, f"s{i}", user=f"u{i}", idle=60)
    counts = copy(source, target)
    assert (counts["created"], counts["failed"]) == (100, 0)
    assert contents(target) == contents(source)
    assert copy(source, target)["unchanged"] == 100
    make(source, "s1", user="changed")
    (source / "s2").unlink()
    os.utime(source / "s3", (1, 1))
    make(target, "s4", user="newer there")
    make(source, "s101", idle=60)
    counts = copy(source, target)
    del counts["unchanged"]
    assert counts == {
        "created": 1,
        "updated": 1,
        "touched": 0,
        "newer": 1,
        "deleted": 0,
        "failed": 0,
    }
    assert load(target, "s1").user == "changed"
    assert load(target, "s4").user == "newer there"
    assert (target / "s2").exists()
    sessions("copy", "--delete", f"directory:{source}", f"directory:{target}", code=2)
    assert (target / "s2").exists()
    assert copy(source, target, "--delete", "--yes")["deleted"] == 1
    assert not (target / "s2").exists()


# Where a pass is killed: at the Nth such system call of one of its threads.
POINTS = [
    ("renameat2", 5),  # two are made when a store is opened
    ("renameat2", 20),
    ("utimensat", 1),
    ("utimensat", 2),
    ("utimensat", 20),
    ("pwrite64", 1),
    ("pwrite64", 10),
    ("ftruncate", 1),
    ("unlinkat", 12),
    ("flock", 40),
]


def killed(source, target, call, when):
    """Make a pass that is killed at a point, and return whether it was."""
    done = subprocess.run(
        [
            *("strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}"),
            *("-e", f"inject={call}:signal=SIGKILL:when={when}"),
            *(BINARY, "sessions", "copy", f"directory:{source}", f"directory:{target}"),
        ],
        capture_output=True,
        timeout=DEADLINE * 2,
    )
    for id, (data, _) in contents(target).items():
        assert data.endswith(b"."), f"{id} is torn after {call}"
    return done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL)


def fill(source):
    """Save sessions of up to six kilobytes: longer ones than a page are stored by other system calls."""
    for i in range(150):
        make(source, f"s{i}", user="first", filler="x" * (40 * i))


def change(source, round):
    """Change some sessions, every second one at the same length; some come, some go."""
    for i in range(round, 150, 10):
        if (source / f"s{i}").exists():
            user = "again" if i // 10 % 2 else f"r{round}"
            make(source, f"s{i}", user=user, filler="y" * (40 * i))
    make(source, f"new{round}", user="new")
    (source / f"s{140 + round}").unlink(missing_ok=True)


def whole_passes(source, target):
    """Make six passes, and return how many sessions they changed."""
    changed = 0
    for _ in range(6):
        counts = copy(source, target)
        assert counts["failed"] == 0
        changed += counts["created"] + counts["updated"]
    return changed


def killed_passes(source, target):
    """Make passes, one killed at each point, and return how many sessions they changed at least."""
    for round, (call, when) in enumerate(POINTS):
        while not killed(source, target, call, when):
            # The work was shared by more threads: sooner, then.
            assert when > 1, f"no pass makes a {call}"
            when //= 2
            change(source, round)
        change(source, round)
    return len(os.listdir(target))


@pytest.mark.parametrize("passes", [whole_passes, killed_passes])
def test_a_running_site_moves(tmp_path, run, passes):
    """Eight clients count and log out while the passes run; then the site is served from the copy."""
    source, target = tmp_path / "source", tmp_path / "target"
    fill(source)
    before = run(Gateway(tmp_path, "--workers", "4", command=managed(), store=source))
    moving = threading.Event()

    def client(number):
        """Count until the passes are over; log out and in again on the way."""
        browser, counted, gone = Client(before.http), 0, []
        for round in itertools.count(1):
            if number % 2 and round % 20 == 0:
                gone.append(browser.cookies["QX_session"])
                assert browser.post("/logout", {}).status in (200, 302, 303)
                browser.cookies.clear()
                counted = 0
            page = browser.get("/counter")
            counted += 1
            assert int(page.text) == counted
            if moving.is_set() and round > 45:
                break
        browser.close()
        return browser.cookies["QX_session"], counted, gone

    def move():
        try:
            return passes(source, target)
        finally:
            moving.set()

    *clients, changed = concurrently(9, lambda i: move() if i == 8 else client(i))
    assert changed > 100, "the passes met a site at work"
    before.stop()
    counts = copy(source, target, "--delete", "--yes", "--repeat")
    assert (counts["newer"], counts["failed"]) == (0, 0)
    assert {id: data for id, (data, _) in contents(target).items()} == {
        id: data for id, (data, _) in contents(source).items()
    }

    after = run(Gateway(tmp_path, "--workers", "4", command=managed(), store=target, name="after"))
    assert sum(len(gone) for _, _, gone in clients) >= 8
    for id, counted, gone in clients:
        browser = Client(after.http)
        browser.cookies["QX_session"] = id
        assert int(browser.get("/counter").text) == counted + 1
        for id in gone:
            assert not (target / id).exists()
            browser.cookies["QX_session"] = id
            assert browser.get("/counter").text == "1", "logged out is logged out"


def test_killed_at_ten_points_and_resumed(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    fill(source)
    killed_passes(source, target)
    counts = copy(source, target, "--delete", "--yes")
    assert (counts["newer"], counts["failed"]) == (0, 0)
    assert {id: data for id, (data, _) in contents(target).items()} == {
        id: data for id, (data, _) in contents(source).items()
    }
    assert copy(source, target)["created"] == 0


def test_interrupted_says_what_was_done(tmp_path):
    source, target = tmp_path / "source", tmp_path / "target"
    make_many(source, 2000)
    pass_ = subprocess.Popen(
        [BINARY, "sessions", "copy", "--json", f"directory:{source}", f"directory:{target}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_until(lambda: target.exists() and len(os.listdir(target)) > 50, "some are copied")
    pass_.send_signal(signal.SIGINT)
    out, err = pass_.communicate(timeout=DEADLINE)
    assert pass_.returncode == 1
    assert "interrupted" in err
    counts = json.loads(out)
    assert counts["failed"] == 0
    assert counts["created"] == len(os.listdir(target)) < 2000
    assert copy(source, target)["created"] == 2000 - counts["created"]


def test_progress_is_for_terminals(tmp_path):
    source = tmp_path / "source"
    make_many(source, 3000)
    master, slave = pty.openpty()
    with subprocess.Popen(
        [BINARY, "sessions", "copy", f"directory:{source}", f"directory:{tmp_path}/target"],
        stdout=subprocess.PIPE,
        stderr=slave,
        text=True,
    ) as pass_:
        os.close(slave)
        shown = b""
        with pytest.raises(OSError):  # the terminal's end
            while True:
                shown += os.read(master, 65536)
        assert pass_.stdout.read().startswith("3000 created")
    os.close(master)
    assert re.search(rb"\[#*\.*\] +\d+ %, \d+ sessions, \d+ a second, \S+ left", shown)
    assert shown.endswith(b"\r\x1b[K")
    done = sessions("copy", f"directory:{source}", f"directory:{tmp_path}/other")
    assert done.stderr == ""
