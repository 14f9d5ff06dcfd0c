"""`alforja sessions` at a terminal, and ended by a signal: it asks, and says what it has done."""

import base64
import json
import re
import signal
import subprocess

import pytest

from harness import BINARY, DEADLINE, wait_until
from stored_sessions import make
from terminal import Terminal


@pytest.fixture
def some(tmp_path):
    """A directory with twelve sessions, three of them alonso's."""
    directory = tmp_path / "some"
    for i in range(12):
        make(directory, f"id-{i}", [None, "alonso", "sancho", "dulcinea"][i % 4])
    return directory


@pytest.mark.parametrize(
    ("answer", "code", "left"), [("y\n", 0, 9), ("\n", 1, 12), ("no\n", 1, 12)]
)
def test_a_terminal_is_asked(some, answer, code, left):
    t = Terminal("delete", "--store", f"directory:{some}", "--user", "alonso")
    t.expect("3 now")
    t.expect("[y/N]")
    assert len(list(some.iterdir())) == 12
    t.send(answer)
    assert t.wait() == code, t.text
    assert len(list(some.iterdir())) == left


@pytest.mark.parametrize(
    ("args", "last"),
    [
        (["verify"], "13 sessions, 1 failed"),
        (["list", "--sort", "id"], "id-9"),
        (["list", "--broken"], "empty"),
        (["list", "--user", "alonso"], "alonso"),
        (["edit-class", "--dry-run", "shop.A", "shop.B"], "0 would change"),
        (["globals"], "testapp.ShopSession"),
    ],
)
def test_progress_is_shown_beside_the_results(some, args, last):
    (some / "empty").touch()  # is waited for, as it might be being written
    t = Terminal(*args, "--store", f"directory:{some}")
    t.wait()
    shown, _, results = t.text.rpartition("\r\x1b[K")
    assert re.search(r"\r\x1b\[K\d+ sessions, \d+ a second, \S+$", shown), t.text
    assert last in results and "a second" not in results
    # What is printed before the end stands on lines of its own.
    assert "a second" not in re.sub(r"\r\x1b\[K[^\r\n]*(?=\r\x1b)", "", t.text)


def test_a_list_that_scrolls_by_has_no_progress_line(some):
    (some / "empty").touch()
    t = Terminal("list", "--store", f"directory:{some}")
    assert t.wait() == 0 and "id-9" in t.text and "a second" not in t.text


def test_a_terminal_gets_no_pickle(some):
    t = Terminal("show", "--raw", "--store", f"directory:{some}", "id-1")
    assert t.wait() == 2 and "standard output is a terminal" in t.text and "\x80" not in t.text


def test_interrupted_at_the_question(some):
    t = Terminal("expire", "--store", f"directory:{some}", "--idle", "1ns")
    t.expect("[y/N]")
    t.process.send_signal(signal.SIGINT)
    assert t.wait() == 1
    assert "nothing was changed" in t.text
    assert len(list(some.iterdir())) == 12


def test_import_ends_by_a_signal_while_it_waits(tmp_path):
    waiting = subprocess.Popen(
        [BINARY, "sessions", "import", "--store", f"directory:{tmp_path}/s"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    line = json.dumps({"id": "a", "pickle": base64.b64encode(b"N.").decode()})
    waiting.stdin.write(line + "\n")
    waiting.stdin.flush()
    wait_until(lambda: (tmp_path / "s" / "a").exists(), "the first line is imported")
    waiting.send_signal(signal.SIGINT)
    code = waiting.wait(DEADLINE)  # before communicate, which ends the input
    out, err = waiting.communicate()
    assert (code, out) == (1, "1 created, 0 updated, 0 touched, 0 unchanged\n")
    assert "interrupted" in err
