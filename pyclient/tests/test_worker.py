"""A worker process on descriptor 3, and what a bad or vanished peer does to it."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from alforja.scgi import read_request
from alforja.worker import inherited_socket, listening, load_factory
from fake_gateway import FakeGateway, parse, read_all, scgi, send_to

GET = {"SCGI": "1", "REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "REMOTE_ADDR": "::1"}


def block(path="/", **more):
    return scgi({"CONTENT_LENGTH": "0", **GET, "PATH_INFO": path, **more})


def ask(worker, data):
    return parse(worker.send(data), None)


def test_hello(worker, gateway_to):
    browser = gateway_to(worker().send)
    assert browser.get("/").text == "hello"
    assert browser.get("/").header("Content-Length") == "5"


def test_children_inherit_no_socket(worker, gateway_to):
    assert gateway_to(worker().send).get("/fds").text == "False None"


def test_environ_is_latin_1_without_session_variables(worker, gateway_to):
    environ = json.loads(gateway_to(worker().send).get("/environ?q=%C3%B1", HTTP_X="ñ").text)
    assert environ["HTTP_X"] == "ñ" and environ["QUERY_STRING"] == "q=%C3%B1"
    assert not [name for name in environ if name.startswith("ALFORJA")]


def test_head_has_no_body(worker, gateway_to):
    answer = gateway_to(worker().send).get("/", method="HEAD")
    assert answer.body == b"" and answer.header("Content-Length") == "5"


def test_big_page(worker, gateway_to):
    assert len(gateway_to(worker().send).get("/big").body) == 5_000_000


@pytest.mark.parametrize("size", [0, 1, 60_000, 3_000_000])
def test_body(worker, gateway_to, size):
    assert gateway_to(worker().send).post("/body", x="y" * size).text == str(size)


def test_header_and_body_in_single_bytes(worker):
    w = worker()
    data = block("/body", CONTENT_LENGTH="5", CONTENT_TYPE="application/x-www-form-urlencoded")
    with w.connect() as conn:
        for byte in data + b"x=abc":
            conn.sendall(bytes([byte]))
        assert parse(read_all(conn), None).text == "3"


@pytest.mark.parametrize("at_once", [True, False])
def test_body_ends_where_its_length_says(at_once):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(block(CONTENT_LENGTH="5") + (b"abcdef" if at_once else b"a"))
        _, body = read_request(theirs)
        if not at_once:
            ours.sendall(b"bcdef")
        assert body.read() == b"abcde"


def test_large_header(worker, gateway_to):
    environ = gateway_to(worker().send).get("/environ", X_STATE="s" * 3_000_000)
    assert len(json.loads(environ.text)["X_STATE"]) == 3_000_000


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"GET / HTTP/1.0\r\n\r\n", id="http"),
        pytest.param(b":,", id="no length"),
        pytest.param(b"-5:abc,", id="negative length"),
        pytest.param(b"5", id="cut in the length"),
        pytest.param(b"99999999999999:", id="endless length"),
        pytest.param(b"99999999:x", id="header too long"),
        pytest.param(block()[:-20], id="cut in the header"),
        pytest.param(block()[:-1] + b";", id="no comma"),
        pytest.param(b"8:a\0b\0c\0d,", id="last value not ended"),
        pytest.param(b"6:a\0b\0c\0,", id="odd number of items"),
        pytest.param(scgi({"CONTENT_LENGTH": "0", "PATH_INFO": "/"}), id="no SCGI"),
        pytest.param(b"0:,", id="empty header"),
        pytest.param(b"\xff" * 100, id="garbage"),
    ],
)
def test_malformed_requests_are_answered_400(worker, data):
    w = worker()
    with w.connect() as conn:
        conn.sendall(data)
        conn.shutdown(socket.SHUT_WR)
        assert parse(read_all(conn), None).status == 400
    assert ask(w, block()).text == "hello"
    assert b"Traceback" not in w.log.read_bytes()


@pytest.mark.parametrize("length", ["x", "1x", "1.5"])
def test_bad_content_length_is_400(worker, length):
    w = worker()
    assert ask(w, block(CONTENT_LENGTH=length)).status == 400
    assert ask(w, block()).text == "hello"


def test_body_that_ends_early_is_400(worker):
    w = worker()
    with w.connect() as conn:
        conn.sendall(block("/body", CONTENT_LENGTH="100000") + b"x=1")
        conn.shutdown(socket.SHUT_WR)
        assert parse(read_all(conn), None).status == 400


def test_one_who_connects_and_leaves_is_no_news(worker):
    w = worker()
    w.connect().close()
    assert ask(w, block()).text == "hello"
    assert w.log.read_bytes() == b""


def test_one_who_leaves_before_the_answer(worker):
    w = worker()
    with w.connect() as conn:
        conn.sendall(block("/big"))
    assert ask(w, block()).text == "hello"
    assert b"GET /big: the gateway has gone while sending the response" in w.log.read_bytes()


@pytest.mark.parametrize("sent", [b"20:CONTENT", block("/body", CONTENT_LENGTH="100000") + b"x"])
def test_one_who_falls_silent(worker, sent):
    w = worker(arguments=["--timeout", "0.2"])
    with w.connect() as conn:
        conn.sendall(sent)
        read_all(conn)
        assert ask(w, block()).text == "hello"


def test_one_who_does_not_read(worker):
    w = worker(arguments=["--timeout", "0.2"])
    with w.connect() as conn:
        conn.sendall(block("/big"))
        assert ask(w, block()).text == "hello"


def test_stream_that_fails_at_once_is_500(worker):
    w = worker()
    answer = ask(w, block("/badstream", QUERY_STRING="n=10"))
    assert (answer.status, answer.text) == (500, "500 Internal Server Error\n")
    assert b"in the stream" in w.log.read_bytes()
    assert ask(w, block()).text == "hello"


def test_stream_that_fails_later_is_cut(worker):
    w = worker()
    answer = ask(w, block("/badstream", QUERY_STRING="n=400000"))
    assert answer.status == 200 and len(answer.body) == 400_000
    assert b"the response was cut" in w.log.read_bytes()


def test_sigterm_finishes_the_request(worker, tmp_path):
    begun, go = str(tmp_path / "begun"), str(tmp_path / "go")
    os.mkfifo(begun)
    os.mkfifo(go)
    w = worker()
    with w.connect() as conn:
        conn.sendall(block("/slow", QUERY_STRING=f"begun={begun}&go={go}"))
        open(begun).close()
        with w.connect():  # nobody will answer this one
            w.process.send_signal(signal.SIGTERM)
            open(go, "w").close()
            assert parse(read_all(conn), None).text == "done"
            assert w.process.wait(20) == 0


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_idle_worker_ends_at_once(worker, signum):
    w = worker()
    assert ask(w, block()).text == "hello"
    w.process.send_signal(signum)
    assert w.process.wait(20) == 0


def test_system_exit_ends_the_worker(worker):
    w = worker()
    w.send(block("/exit"))
    assert w.process.wait(20) == 7


@pytest.mark.parametrize(
    ("factory", "reason"),
    [
        ("no_such_module.create", b"ModuleNotFoundError"),
        ("apps.no_such_function", b"AttributeError"),
        ("apps.create_broken", b"RuntimeError: cannot be made"),
        ("apps", b"has no dot"),
    ],
)
def test_factory_that_cannot_be_had(worker, factory, reason):
    w = worker(factory=factory)
    assert w.process.wait(20) == 1
    log = w.log.read_bytes()
    assert b"Traceback" in log and reason in log
    assert (
        log.rstrip()
        .splitlines()[-1]
        .endswith(b"no publisher from --factory %s: see above" % factory.encode())
    )


def run_worker(*arguments, **environ):
    return subprocess.Popen(
        [sys.executable, "-m", "alforja.worker", *arguments],
        env={**os.environ, **environ},
        cwd=os.path.dirname(__file__),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )


@pytest.mark.parametrize("environ", [{}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}])
def test_without_a_socket(environ):
    process = run_worker("--factory", "apps.create_publisher", **environ)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2 and b"nowhere to listen" in err


def test_two_sockets_are_refused(monkeypatch):
    monkeypatch.setenv("LISTEN_FDS", "2")
    monkeypatch.setenv("LISTEN_PID", str(os.getpid()))
    with pytest.raises(ValueError, match="one socket"):
        inherited_socket()
    assert "LISTEN_FDS" not in os.environ


def test_help_has_examples():
    out, _ = run_worker("--help").communicate(timeout=20)
    assert b"alforja serve --workers 4 -- python3 -m alforja.worker --factory" in out


def test_listen_on_a_unix_socket(tmp_path):
    path = str(tmp_path / "s")
    with listening("unix:" + path) as first:
        assert os.stat(path).st_mode & 0o777 == 0o600
        with pytest.raises(OSError), listening("unix:" + path):
            pass
        os.link(path, path + "2")
        first.close()
        os.rename(path + "2", path)
        with listening("unix:" + path):  # nobody listens there any more
            socket.socket(socket.AF_UNIX).connect(path)
        open(path, "w").close()
    assert not os.path.exists(path)


@pytest.mark.parametrize("address", ["127.0.0.1:0", "[::1]:0", "localhost:0"])
def test_listen_on_tcp(address):
    with listening(address) as listener:
        socket.create_connection(listener.getsockname()[:2], 5).close()


@pytest.mark.parametrize("address", ["", "unix:", "localhost", "localhost:x", ":"])
def test_listen_nowhere(address):
    with pytest.raises(ValueError, match="neither unix:PATH nor host:port"), listening(address):
        pass


def test_sessions_over_tcp_need_a_key(tmp_path):
    process = run_worker("--factory", "alforja.demo.create_publisher", "--listen", "127.0.0.1:0")
    port = int(re.search(rb"127.0.0.1', (\d+)", process.stderr.readline())[1])

    def send(data):
        with socket.create_connection(("127.0.0.1", port), 20) as conn:
            conn.sendall(data)
            return read_all(conn)

    gateway = FakeGateway(send, tmp_path)
    try:
        environ = gateway.environ("GET", "/counter", "abc")
        assert gateway.request(environ).status == 500
    finally:
        gateway.close()
        process.terminate()
        assert b"must be signed" in process.communicate(timeout=20)[1]


def test_factory_is_a_dotted_name():
    assert load_factory("os.path.join") is os.path.join


def test_send_to_a_path_is_what_a_worker_serves(worker):
    w = worker()
    assert b"hello" in send_to(w.path)(block())


def ask_on(conn, data):
    """Send one request on an open connection; return the response, its end known by its length."""
    conn.sendall(data)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += conn.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    length = int(re.search(rb"(?i)content-length: (\d+)", head)[1])
    while len(body) < length:
        body += conn.recv(65536)
    return parse(head + b"\r\n\r\n" + body, None)


def test_a_connection_is_kept_when_offered(worker):
    process = worker()
    with process.connect() as conn, process.connect() as other:
        for token in ("t1", "t2", "t3"):
            answer = ask_on(conn, block(ALFORJA_KEEP=token))
            assert (answer.text, answer.header("Alforja-Keep")) == ("hello", token)
        # Meanwhile it serves who else comes.
        assert ask_on(other, block(ALFORJA_KEEP="x")).text == "hello"
        assert ask_on(conn, block(ALFORJA_KEEP="t4")).header("Alforja-Keep") == "t4"
        # Without an offer it is closed, as SCGI has it.
        assert ask_on(conn, block()).header("Alforja-Keep") is None
        assert conn.recv(1) == b""
    with process.connect() as conn:
        assert "ALFORJA_KEEP" not in ask_on(conn, block("/environ", ALFORJA_KEEP="t")).text


@pytest.mark.parametrize("path", ["/setlength", "/badstream"])
def test_a_connection_is_not_kept_when_its_end_is_in_doubt(worker, path):
    """The application has set the length, or the body is a stream."""
    process = worker()
    with process.connect() as conn:
        conn.sendall(block(path, ALFORJA_KEEP="t", QUERY_STRING="n=5"))
        answer = read_all(conn)  # to its end: the worker closes
    assert answer.startswith(b"Status: ") and b"Alforja-Keep" not in answer


@pytest.mark.parametrize("query", ["", "close"])
def test_a_connection_is_not_kept_with_a_body_unread(worker, query):
    """It would be closed with the next request on its way."""
    process = worker(factory="apps.create_lazy")
    for _ in range(2):  # and the worker goes on
        with process.connect() as conn:
            post = {**GET, "REQUEST_METHOD": "POST", "PATH_INFO": "/", "QUERY_STRING": query}
            conn.sendall(scgi({"CONTENT_LENGTH": "3", **post, "ALFORJA_KEEP": "t"}) + b"abc")
            answer = read_all(conn)
    assert answer.endswith(b"hello") and b"Alforja-Keep" not in answer


def test_a_connection_is_not_kept_with_a_body_given_up(worker):
    """What comes of it yet would be read as a request."""
    process = worker(arguments=["--timeout", "0.3"], factory="apps.create_lazy")
    with process.connect() as conn:
        post = {**GET, "REQUEST_METHOD": "POST", "PATH_INFO": "/"}
        conn.sendall(scgi({"CONTENT_LENGTH": "300", **post, "ALFORJA_KEEP": "t"}) + b"abc")
        answer = read_all(conn)
    assert answer.endswith(b"hello") and b"Alforja-Keep" not in answer


def test_the_promise_to_keep_ends_the_header(worker):
    """A value that ends the header leaves none in it: the rest would begin the next response."""
    process = worker()
    with process.connect() as conn:
        assert ask_on(conn, block(ALFORJA_KEEP="t")).headers[-1] == ("Alforja-Keep", "t")
        conn.sendall(block("/split", ALFORJA_KEEP="t"))
        answer = b""
        while b"Alforja-Keep: t\r\n\r\nhello" not in answer:
            answer += conn.recv(65536)
    assert b"Alforja-Keep" not in answer.partition(b"\r\n\r\n")[0]
