"""Behind a real nginx with its stock scgi_params, and over HTTP without one: the same pages."""

import hashlib
import http.client
import os
import socket
import time

import pytest

import harness
from harness import Client, raw, wait_until


@pytest.fixture(params=["nginx", "nginx unbuffered", "http"])
def site(request, gateway, run, tmp_path):
    """(address, gateway) of the test application by each way in."""
    g = gateway("--scgi", f"unix:{tmp_path}/alforja.sock", "--workers", "2")
    if request.param == "http":
        return g.http, g
    extra = "scgi_buffering off;" if "unbuffered" in request.param else ""
    return run(harness.Nginx(tmp_path, f"unix:{tmp_path}/alforja.sock", extra)).http, g


def test_pages_and_urls(site):
    address, _ = site
    browser = Client(address)
    assert browser.get("/plain").status == 200
    host = f"http://{address[0]}:{address[1]}"
    assert browser.get("/url").text == f"{host}/url"
    assert browser.get("/url?a=1&b=%2F").text == f"{host}/url"
    assert browser.get("/nowhere").status == 404
    answer = browser.get("/redirect")
    assert answer.status == 302
    assert answer.headers["Location"].startswith(f"{host}/")


def test_a_session(site):
    browser = Client(site[0])
    assert [browser.get("/counter").text for _ in range(3)] == ["1", "2", "3"]
    answer = browser.post("/login", {"name": "Sancho Panza"})
    assert answer.status in (200, 302)
    assert browser.get("/whoami").json()["user"] == "Sancho Panza"


def test_environment(site):
    address, _ = site
    environ = (
        Client(address)
        .request("GET", "/environ?q=%20x&y", headers={"X-Two": "b", "Accept": "text/x"})
        .json()
    )
    assert environ["SCRIPT_NAME"] == ""
    assert environ["PATH_INFO"] == "/environ"
    assert environ["QUERY_STRING"] == "q=%20x&y"
    assert environ["REQUEST_METHOD"] == "GET"
    assert environ["REQUEST_URI"] == "/environ?q=%20x&y"
    assert environ["SERVER_PROTOCOL"] == "HTTP/1.0"
    assert environ["GATEWAY_INTERFACE"] == "CGI/1.1"
    assert environ["SCGI"] == "1"
    assert environ["CONTENT_LENGTH"] == "0"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["SERVER_PORT"] == str(address[1])
    assert environ["HTTP_HOST"] == f"{address[0]}:{address[1]}"
    assert environ["HTTP_X_TWO"] == "b"
    assert "HTTPS" not in environ or environ["HTTPS"] in ("", "off")


def test_twenty_megabytes_up_and_down(site):
    address, g = site
    data = os.urandom(1 << 20) * 20
    boundary = "b0undary"
    body = (
        (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n'
            "Content-Type: application/octet-stream\r\n\r\n"
        ).encode()
        + data
        + f"\r\n--{boundary}--\r\n".encode()
    )
    browser = Client(address)
    answer = browser.request(
        "POST", "/upload", body, {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    )
    assert answer.json() == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    down = browser.get(f"/big?bytes={20 << 20}")
    assert len(down.body) == 20 << 20
    assert hashlib.sha256(down.body).digest() == hashlib.sha256(b"0123456789" * (2 << 20)).digest()


def test_chunked_upload(site):
    address, _ = site
    data = os.urandom(300_000)
    boundary = "b0undary"
    body = (
        f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="f.bin"\r\n\r\n'.encode()
        + data
        + f"\r\n--{boundary}--\r\n".encode()
    )
    conn = http.client.HTTPConnection(*address, timeout=harness.DEADLINE)
    pieces = (body[i : i + 7000] for i in range(0, len(body), 7000))
    conn.request(
        "POST",
        "/upload",
        pieces,
        {"Content-Type": f"multipart/form-data; boundary={boundary}"},
        encode_chunked=True,
    )
    assert (
        harness.json.loads(conn.getresponse().read())["sha256"] == hashlib.sha256(data).hexdigest()
    )
    conn.close()


def test_head_and_304_have_no_body(site):
    address, _ = site
    got = Client(address).get("/plain")
    answer = raw(address, b"HEAD /plain HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert body == b""
    assert b"200 OK" in head
    assert f"content-length: {len(got.body)}".encode() in head.lower()
    answer = raw(address, b"GET /status?code=304 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b" 304 " in head
    assert body == b""


def test_a_stream_without_chunk_framing_in_it(site):
    address, _ = site
    answer = Client(address).get("/stream?n=100")
    assert answer.text == "".join(f"line {i}\n" for i in range(100))
    old = raw(address, b"GET /stream?n=100 HTTP/1.0\r\nHost: x\r\n\r\n")
    assert old.partition(b"\r\n\r\n")[2] == answer.body


def test_a_stream_streams(gateway):
    """The first line is there before the last is written."""
    g = gateway("--workers", "1")
    conn = http.client.HTTPConnection(*g.http, timeout=harness.DEADLINE)
    conn.request("GET", "/stream?n=20&ms=30")
    answer = conn.getresponse()
    start = time.monotonic()
    assert answer.readline() == b"line 0\n"
    first = time.monotonic() - start
    answer.read()
    assert first < (time.monotonic() - start) / 2
    conn.close()


def test_keep_alive(site):
    address, _ = site
    conn = http.client.HTTPConnection(*address, timeout=harness.DEADLINE)
    conn.connect()
    first = conn.sock
    for _ in range(20):
        conn.request("GET", "/plain")
        assert conn.getresponse().read()
    conn.request("POST", "/login", "name=x", {"Content-Type": "application/x-www-form-urlencoded"})
    conn.getresponse().read()
    assert conn.sock is first
    conn.close()


def test_100_continue(site):
    address, _ = site
    with socket.create_connection(address, harness.DEADLINE) as conn:
        conn.sendall(
            b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Length: 8\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        assert conn.recv(4096).startswith(b"HTTP/1.1 100 ")
        conn.sendall(b"name=Ama")
        answer = b""
        while chunk := conn.recv(65536):
            answer += chunk
    assert answer.split(b" ", 2)[1] in (b"200", b"302")


def test_a_client_that_leaves(site):
    """In the middle of its upload, and in the middle of its download: nothing is held, nothing breaks."""
    address, g = site
    for _ in range(4):
        with socket.create_connection(address) as conn:
            conn.sendall(
                b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1000
            )
        with socket.create_connection(address) as conn:
            conn.sendall(b"GET /big?bytes=20000000 HTTP/1.1\r\nHost: x\r\n\r\n")
            conn.recv(1000)
    assert Client(address).get("/plain").status == 200
    answers = harness.concurrently(2, lambda _: Client(address).get("/sleep?ms=200"))
    assert [a.status for a in answers] == [200, 200], "both workers are free"


def test_what_a_leaving_client_did_counts(site):
    """Who leaves after the request was sent has incremented all the same."""
    address, g = site
    browser = Client(address)
    browser.get("/counter")
    cookie = browser.cookies["QX_session"].encode()
    path = g.sessions / cookie.decode()
    before = path.read_bytes()
    with socket.create_connection(address) as conn:
        conn.sendall(
            b"GET /counter?ms=300 HTTP/1.1\r\nHost: x\r\nCookie: QX_session=" + cookie + b"\r\n\r\n"
        )
        time.sleep(0.1)  # it is being served, and the client leaves
    wait_until(lambda: path.read_bytes() != before, "the increment is committed")
    assert browser.get("/counter").text == "3"


def test_a_half_closed_client_gets_its_answer(gateway):
    g = gateway("--workers", "1")
    answer = raw(
        g.http,
        b"GET /sleep?ms=300 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        half_close=True,
    )
    assert b"200 OK" in answer


def test_sizes_that_must_pass(site):
    address, _ = site
    browser = Client(address)
    assert browser.get("/plain?" + "q" * 7900).status == 200
    assert browser.request("GET", "/plain", headers={"Cookie": "c=" + "x" * 7900}).status == 200
    many = {f"X-Header-{i}": "v" * 200 for i in range(80)}
    environ = browser.request("GET", "/environ", headers=many).json()
    assert sum(name.startswith("HTTP_X_HEADER_") for name in environ) == 80


def test_a_header_block_of_48_kilobytes(gateway):
    g = gateway("--scgi", "127.0.0.1:0", "--workers", "1")
    variables = [
        ("CONTENT_LENGTH", "0"),
        ("SCGI", "1"),
        ("REQUEST_METHOD", "GET"),
        ("REQUEST_URI", "/plain"),
    ]
    variables += [(f"HTTP_X_{i}", "v" * 1000) for i in range(47)]
    block = "".join(f"{k}\0{v}\0" for k, v in variables).encode()
    assert len(block) > 47_000
    assert raw(g.scgi, b"%d:%s," % (len(block), block)).startswith(b"Status: 200")


MALFORMED = {
    "NUL in the path": (
        b"GET /%00SCRIPT_NAME%00/evil HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        (400, 404),
    ),
    "bad Content-Length": (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n", (400,)),
    "two Content-Lengths": (
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        (400,),
    ),
    "options of the server": (
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        (200, 400, 405),
    ),
    "CONNECT": (
        b"CONNECT example.org:80 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        (400, 405),
    ),
    "no method": (b"/ HTTP/1.1\r\n\r\n", (400,)),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_a_clients_mistake_is_a_4xx(site, name):
    address, _ = site
    request, want = MALFORMED[name]
    status = int(raw(address, request).split(b" ", 2)[1])
    assert status in want
    assert Client(address).get("/plain").status == 200


def test_underscored_and_repeated_headers(site):
    address, _ = site
    answer = raw(
        address,
        b"GET /environ HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX_User: evil\r\nX-Multi: a\r\nX-Multi: b\r\n"
        b"Cookie: a=1\r\nCookie: b=2\r\nProxy: http://evil\r\n\r\n",
    )
    environ = harness.json.loads(answer.partition(b"\r\n\r\n")[2])
    assert "HTTP_X_USER" not in environ
    assert "HTTP_PROXY" not in environ
    assert environ["HTTP_X_MULTI"] == "a, b"
    assert environ["HTTP_COOKIE"] == "a=1; b=2"


def test_script_name(gateway, run, tmp_path):
    """--script-name puts right what stock scgi_params leave out, and what lighttpd puts into SCRIPT_NAME."""
    g = gateway(
        "--scgi", f"unix:{tmp_path}/alforja.sock", "--script-name", "/app", "--workers", "1"
    )
    nginx = run(harness.Nginx(tmp_path, f"unix:{tmp_path}/alforja.sock"))
    browser = Client(nginx.http)
    host = f"http://127.0.0.1:{nginx.port}"
    assert browser.get("/app/url").text == f"{host}/app/url"
    answer = browser.get("/app/counter")
    assert (answer.text, answer.status) == ("1", 200)
    assert "path=/app/" in answer.headers["Set-Cookie"].lower()
    assert browser.get("/elsewhere").status == 404
    assert browser.get("/application/url").status == 404
    environ = Client(g.http).get("/app/environ").json()
    assert (environ["SCRIPT_NAME"], environ["PATH_INFO"]) == ("/app", "/environ")

    block = b"CONTENT_LENGTH\x000\0SCGI\x001\0REQUEST_METHOD\0GET\0SCRIPT_NAME\0/app/url\0PATH_INFO\0\0SERVER_NAME\0h\0SERVER_PORT\x0080\0"
    with socket.socket(socket.AF_UNIX) as conn:
        conn.connect(f"{tmp_path}/alforja.sock")
        conn.sendall(b"%d:%s," % (len(block), block))
        answer = b""
        while chunk := conn.recv(65536):
            answer += chunk
    assert answer.endswith(b"\r\n\r\nhttp://h/app/url"), answer


def test_nginx_rewrites_are_not_bypassed(gateway, run, tmp_path):
    gateway("--scgi", f"unix:{tmp_path}/alforja.sock", "--workers", "1")
    nginx = run(
        harness.Nginx(
            tmp_path, f"unix:{tmp_path}/alforja.sock", extra="rewrite ^/old/(.*)$ /$1 break;"
        )
    )
    environ = Client(nginx.http).get("/old/environ").json()
    assert environ["PATH_INFO"] == "/environ"
    assert environ["REQUEST_URI"] == "/old/environ"


def test_an_unbuffered_upload_is_refused_by_name(gateway, run, tmp_path):
    """nginx with scgi_request_buffering off announces what it has so far: the rest would be cut."""
    gateway("--scgi", f"unix:{tmp_path}/alforja.sock", "--workers", "1")
    nginx = run(
        harness.Nginx(tmp_path, f"unix:{tmp_path}/alforja.sock", "scgi_request_buffering off;")
    )
    assert Client(nginx.http).get("/plain").status == 200
    with socket.create_connection(nginx.http, harness.DEADLINE) as conn:
        conn.sendall(
            b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
            b"Content-Length: 8\r\nConnection: close\r\n\r\nname"
        )
        answer = conn.recv(65536)
    assert b" 400 " in answer.partition(b"\r\n")[0]
    assert b"scgi_request_buffering" in answer


def test_an_upload_that_would_be_cut(gateway):
    """nginx with scgi_request_buffering off can announce less than the client did."""
    g = gateway("--scgi", "127.0.0.1:0", "--workers", "1")
    block = b"CONTENT_LENGTH\x000\0SCGI\x001\0REQUEST_METHOD\0POST\0REQUEST_URI\0/login\0HTTP_CONTENT_LENGTH\x008\0"
    assert raw(g.scgi, b"%d:%s,name=Ama" % (len(block), block)).startswith(b"Status: 400")


def test_slow_upload_holds_no_worker(gateway):
    g = gateway("--workers", "1")
    slow = socket.create_connection(g.http)
    slow.sendall(b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc")
    assert Client(g.http).get("/plain").status == 200
    slow.close()
