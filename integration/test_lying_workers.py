"""Workers that answer what no worker should: what the client gets, what the log says, what becomes of the session.

A response's header counts once it is whole: a lie that comes after it does not undo what it has said of the session.
ALFORJA_FULL=1 has 10 GB of body instead of 2.
"""

import http.client
import pathlib
import re
import sys

import pytest

import harness
from harness import Client, wait_until
from store_driver import FULL

sys.path.insert(0, str(harness.APPS))
import lyingworker  # noqa: E402

LONG_BODY = 10_000_000_000 if FULL else 2_000_000_000  # bytes
CUT = "cut"  # 200, and the client notices that it has not got all

UNTOUCHED, SAVED = "2", str(lyingworker.SAVED + 1)  # the next value of the session's counter
SAME, REPLACED = True, False  # the worker's process

LIES = [
    # Headers that are none.
    ("endless_line", 502, "header longer than", UNTOUCHED, SAME),
    ("endless_header", 502, "header longer than", UNTOUCHED, SAME),
    ("endless_interim", 502, "more than 5 interim responses", UNTOUCHED, SAME),
    ("trickling_header", 504, "took longer than the request timeout", UNTOUCHED, REPLACED),
    ("garbage", 502, "malformed header line", UNTOUCHED, SAME),
    ("page_without_header", 502, 'malformed header line "<html>"', UNTOUCHED, SAME),
    ("empty_header", 502, "no header", UNTOUCHED, SAME),
    ("two_statuses", 502, "two status lines", UNTOUCHED, SAME),
    ("two_lengths", 502, "two different Content-Length headers", UNTOUCHED, SAME),
    ("negative_length", 502, "Content-Length", UNTOUCHED, SAME),
    ("nothing", 502, "closed the connection without answering", UNTOUCHED, SAME),
    ("cut_header", 502, "header cut short", UNTOUCHED, SAME),
    ("dies_in_header", 502, "header cut short", UNTOUCHED, REPLACED),
    # Bodies that are not what the header says.
    ("longer", 200, "goes on behind its Content-Length", SAVED, SAME),
    ("longer_and_kept", 200, "goes on behind its Content-Length", SAVED, SAME),
    ("kept_and_closed", 200, None, SAVED, SAME),
    ("other_token", 200, None, SAVED, SAME),
    ("shorter", 502, "unexpected EOF", SAVED, SAME),
    ("shorter_in_a_file", 502, "unexpected EOF", SAVED, SAME),
    ("shorter_than_any_file", CUT, "unexpected EOF", SAVED, SAME),
    ("dies_in_body", 502, "unexpected EOF", SAVED, REPLACED),
    ("bad_chunk", CUT, "invalid byte in chunk length", SAVED, SAME),
    ("hangs_after_header", 504, "took longer than the request timeout", SAVED, REPLACED),
    ("hangs_in_body", 504, "took longer than the request timeout", SAVED, REPLACED),
    ("hangs_in_stream", CUT, "took longer than the request timeout", SAVED, REPLACED),
    # Sessions that are not the request's to write.
    ("two_directives", 200, "a second Alforja-Session header", UNTOUCHED, SAME),
    ("wrong_nonce", 200, "not this request's nonce", UNTOUCHED, SAME),
    ("torn_state", 500, "the session would not load again", UNTOUCHED, SAME),
]


@pytest.fixture(scope="module")
def liar(tmp_path_factory):
    g = harness.Gateway(
        tmp_path_factory.mktemp("liar"), "--workers", "1", "--request-timeout", "3s",
        command=[harness.PYTHON, harness.APPS / "lyingworker.py"],
    ).start()  # fmt: skip
    yield g
    g.stop()


def test_every_lie_is_in_the_table():
    told = {name for name, function in vars(lyingworker).items() if is_lie(function)}
    assert told == {name for name, *_ in LIES} | {"body", "endless_body"}


def is_lie(function):
    code = getattr(function, "__code__", None)
    return code is not None and code.co_varnames[: code.co_argcount] == ("conn", "environ")


@pytest.mark.parametrize(
    ("lie", "status", "said", "counter", "worker"), LIES, ids=[row[0] for row in LIES]
)
def test_lie(liar, lie, status, said, counter, worker):
    browser = Client(liar.http)
    assert browser.get("/counter").text == "1"
    pid = browser.get("/pid").text
    ready = len(liar.logged("worker ready"))
    if status is CUT:
        with pytest.raises(http.client.IncompleteRead):
            browser.get(f"/lie/{lie}")
    else:
        answer = browser.get(f"/lie/{lie}")
        assert answer.status == status
        assert answer.text == "hello" if status == 200 else answer.text.startswith(f"{status} ")
        assert "Alforja-Session" not in answer.headers
    if worker is REPLACED:
        wait_until(lambda: len(liar.logged("worker ready")) > ready, "another worker is ready")
    assert browser.get("/counter").text == counter
    assert (browser.get("/pid").text == pid) is worker
    [request] = [x for x in liar.logged(f"/lie/{lie}") if x["msg"] == "request"]
    assert request["status"] == (200 if status is CUT else status)
    assert request.get("cut", False) is (status is CUT)
    if said:
        [line] = [x for x in liar.logged(request["request"]) if x["msg"] != "request"]
        assert said in line["err"] and line["level"] in ("WARN", "ERROR")


def test_long_body(liar):
    """The client gets all of it, the gateway holds next to none of it."""
    browser = Client(liar.http)
    browser.get("/counter")
    before = most_memory(liar.pid)
    connection, answer = begin(browser, f"/lie/body?{LONG_BODY}")
    assert answer.length == LONG_BODY
    got, buffer = 0, bytearray(1 << 20)
    while n := answer.readinto(buffer):
        got += n
    assert got == LONG_BODY
    connection.close()
    assert browser.get("/counter").text == SAVED
    assert most_memory(liar.pid) - before < 32 << 20


def test_endless_body(liar):
    """When its client has left, the worker gets a while to end, and is free then."""
    browser = Client(liar.http)
    browser.get("/counter")
    pid = browser.get("/pid").text
    connection, answer = begin(browser, "/lie/endless_body")
    assert len(answer.read(100_000_000)) == 100_000_000
    connection.close()
    assert browser.get("/counter").text == SAVED
    assert browser.get("/pid").text == pid


def begin(browser, path):
    """Ask for a page by a connection of its own; the body is not read."""
    connection = http.client.HTTPConnection(*browser.address, timeout=harness.DEADLINE)
    cookie = "; ".join(f"{k}={v}" for k, v in browser.cookies.items())
    connection.request("GET", path, headers={"Cookie": cookie})
    answer = connection.getresponse()
    assert answer.status == 200
    return connection, answer


def most_memory(pid):
    """The most that a process has ever occupied, in bytes."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) << 10
