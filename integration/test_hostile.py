"""Cookies and pickles that want to do harm."""

import pickle
import re
import struct
import subprocess
import time

import pytest

import harness
from harness import Client, managed, stock

COOKIES = {
    "parent": "../evil",
    "absolute": "/etc/passwd",
    "encoded": "%2e%2e%2fevil",
    "empty": "",
    "dot": ".",
    "dotdot": "..",
    "deleted": "*del*",
    "long": "a" * 5000,
    "tab": "a\tb",
    "high": "\xe9vil",
    "quoted": '"../evil"',
    "escaped": '"..\\/evil"',
    "semicolon": '"a;b"',
    "space": "a b",
    "slash": "a/b",
    "doubled": "good; QX_session=../evil",
    "comma": "good, QX_session=../evil",
    "hidden": 'good"; QX_session="../evil',
}


@pytest.mark.parametrize("mode", ["managed", "shared"])
def test_no_file_outside_the_ids_is_opened(gateway, tmp_path, mode):
    """strace sees every file that the gateway and its workers open."""
    evil = tmp_path / "evil"
    evil.write_bytes(touching(tmp_path / "executed"))
    command = managed() if mode == "managed" else stock()
    g = gateway(
        "--mode",
        mode,
        "--workers",
        "2",
        command=command,
        env={"SESSIONS_DIR": str(tmp_path / "sessions")},
    )
    Client(g.http).get("/plain")  # all modules are imported by now
    trace = tmp_path / "trace"
    pids = [str(p) for p in (g.pid, *g.workers().values())]
    strace = subprocess.Popen(
        [
            "strace",
            "-f",
            "-qq",
            "-e",
            "trace=%file",
            "-o",
            str(trace),
            *sum([["-p", p] for p in pids], []),
        ],
        stderr=subprocess.DEVNULL,
    )
    try:
        marker = tmp_path / "sessions" / "traced"
        harness.wait_until(lambda: seen(g, marker, trace), "strace sees a known session's file")
        for name, value in COOKIES.items():
            answer = Client(g.http).request(
                "GET", "/whoami", headers={"Cookie": f"QX_session={value}".encode("latin-1")}
            )
            assert (answer.status, answer.json()["session"]) == (200, None), name
    finally:
        strace.terminate()
        strace.wait(harness.DEADLINE)
    opened = set(re.findall(r'"([^"]*)"', trace.read_text(errors="replace")))
    ours = {
        path
        for path in opened
        if "evil" in path or "passwd" in path or "a" * 100 in path or "del" in path
    }
    assert not ours, ours
    assert not (tmp_path / "executed").exists()


def seen(g, marker, trace):
    Client(g.http).request("GET", "/whoami", headers={"Cookie": f"QX_session={marker.name}"})
    return trace.exists() and f'{marker.name}"' in trace.read_text(errors="replace")


@pytest.mark.parametrize("separator", ["; ", ", "])
def test_the_last_cookie_counts_as_in_quixote(gateway, separator):
    g = gateway("--workers", "1")
    browser = Client(g.http)
    browser.get("/counter")
    good = browser.cookies["QX_session"]
    for header, who in (
        (f"QX_session=../evil{separator}QX_session={good}", good),
        (f"QX_session={good}{separator}QX_session=../evil", None),
        (f'a="x{separator}QX_session=y"{separator}QX_session={good}', good),
    ):
        answer = Client(g.http).request("GET", "/whoami", headers={"Cookie": header})
        assert answer.json()["session"] == who, header


def test_a_cookie_that_would_hang_quixote_is_refused(gateway):
    g = gateway("--workers", "1")
    answer = Client(g.http).request("GET", "/whoami", headers={"Cookie": 'a="' + "\\a" * 3000})
    assert answer.status == 400
    assert Client(g.http).get("/whoami").status == 200


def touching(path):
    """A pickle that creates a file when it is loaded."""
    return b"cos\nsystem\n(S'touch " + str(path).encode() + b"'\ntR."


def stack_global(path):
    def text(s):
        return b"\x8c" + bytes([len(s)]) + s.encode()

    return b"\x80\x04" + text("os") + text("system") + b"\x93" + text(f"touch {path}") + b"\x85R."


def framed(path):
    body = stack_global(path)[2:]
    return b"\x80\x04\x95" + struct.pack("<Q", len(body)) + body


def inst(path):
    return b"(S'touch " + str(path).encode() + b"'\nios\nsystem\n."


def with_session_before(path):
    """Harm first, then a harmless dictionary as the result."""
    return touching(path)[:-1] + b"0}."


HOSTILE = {
    "REDUCE": touching,
    "STACK_GLOBAL": stack_global,
    "behind a frame": framed,
    "trailing bytes": lambda path: touching(path) + b"\0" * 50,
    "INST": inst,
    "popped": with_session_before,
}
BROKEN = {
    "empty": b"",
    "half": pickle.dumps({"a": "b" * 100}, 4)[:60],
    "garbage": bytes(range(256)),
    "text": b"<html>not a pickle</html>",
    "zeros": b"\0" * 4096,
}


@pytest.mark.parametrize("mode", ["managed", "shared"])
@pytest.mark.parametrize("kind", [*HOSTILE, *BROKEN])
def test_a_bad_state_is_neither_executed_nor_in_the_way(gateway, tmp_path, mode, kind):
    executed = tmp_path / "executed"
    state = HOSTILE[kind](executed) if kind in HOSTILE else BROKEN[kind]
    if kind in HOSTILE:  # it does what it says, where nothing is in between
        subprocess.run(
            [harness.PYTHON, "-c", f"import pickle; pickle.loads({state!r})"], check=True
        )
        assert executed.exists()
        executed.unlink()
    g = gateway(
        "--mode",
        mode,
        "--workers",
        "1",
        command=managed() if mode == "managed" else stock(),
        env={"SESSIONS_DIR": str(tmp_path / "sessions")},
    )
    start = time.monotonic()
    Client(g.http).get("/whoami")
    alone = time.monotonic() - start
    (g.sessions / "victim").write_bytes(state)

    browser = Client(g.http, timeout=10)
    browser.cookies["QX_session"] = "victim"
    start = time.monotonic()
    answer = browser.get("/whoami")
    took = time.monotonic() - start
    assert (answer.status, answer.json()["session"]) == (200, None)
    assert took < 1 + 10 * alone, f"{took} s, and {alone} s without"
    assert not executed.exists()

    assert not (g.sessions / "victim").exists()
    [kept] = [
        p
        for p in (tmp_path / "sessions.alforja" / "corrupt").iterdir()
        if p.name.startswith("victim")
    ]
    assert kept.read_bytes() == state
    [line] = g.logged("set aside")
    assert line["reason"], line
    assert len(browser.get("/counter").text) == 1, "the user has a fresh session"
    assert len([x for x in g.lines() if "set aside" in x["msg"]]) == 1, "logged once"


def test_report_only_lets_harmless_strangers_pass(gateway, tmp_path):
    """policy = report logs what it would refuse, and serves it."""
    g = gateway("--policy", "report", "--workers", "1")
    state = b"\x80\x04\x8c\x0csubprocess\x94."
    (g.sessions / "victim").write_bytes(b"csubprocess\nPopen\n0" + b"N.")
    browser = Client(g.http)
    browser.cookies["QX_session"] = "victim"
    browser.get("/whoami")
    [line] = g.logged("policy would refuse")
    assert "subprocess" in line["err"], state
