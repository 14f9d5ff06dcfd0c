"""What the gateway's own front does: TLS, the PROXY protocol, files, the access log."""

import http.client
import os
import pathlib
import re
import signal
import ssl
import time

import pytest

import harness
from certificates import SecureClient, make_certificate
from harness import Client, Gateway, Server, free_port, managed, wait_until


def test_https(run, tmp_path):
    """The application is told; a new certificate counts without a restart, half of one does not."""
    make_certificate(tmp_path, "first")
    cert, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    listen = ("--https", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", key)
    g = run(Gateway(tmp_path, "--workers", "1", command=managed(), listen=listen))
    address = wait_until(g.listening, "it listens")[0][1]
    first = SecureClient(address, cert)
    base = f"https://127.0.0.1:{address[1]}"
    assert [first.get("/counter").text for _ in range(2)] == ["1", "2"]
    assert first.get("/url").text == f"{base}/url"
    assert first.get("/redirect").headers["Location"].startswith(f"{base}/")
    environ = first.get("/environ").json()
    assert (environ["HTTPS"], environ["REQUEST_SCHEME"], environ["SERVER_PORT"]) == (
        "on",
        "https",
        str(address[1]),
    )

    old = tmp_path / "old.pem"
    old.write_text(cert.read_text())
    cert.write_text("nonsense")
    time.sleep(1.1)  # the files are looked at once a second
    assert SecureClient(address, old).get("/plain").status == 200
    g.logged("not usable")
    make_certificate(tmp_path, "second")
    time.sleep(1.1)
    assert SecureClient(address, cert).get("/plain").status == 200
    with pytest.raises(ssl.SSLCertVerificationError):
        SecureClient(address, old).get("/plain")
    assert first.get("/plain").status == 200, "a connection from before goes on"


@pytest.mark.parametrize("version", ["send-proxy", "send-proxy-v2"])
def test_proxy_protocol(gateway, run, tmp_path, version):
    """HAProxy passes connections on unread; the client's address is told all the same."""
    inner, outer = free_port(), free_port()
    address = f"127.0.0.1:{inner}"
    gateway(
        "--workers", "1", "--proxy-protocol", address, "--trusted-proxy", "127.0.0.1",
        listen=("--http", address),
    )  # fmt: skip
    config = tmp_path / "haproxy.cfg"
    config.write_text(
        f"""
defaults
    mode tcp
    timeout connect 5s
    timeout client 60s
    timeout server 60s
listen site
    bind 127.0.0.1:{outer}
    server gateway {address} {version}
"""
    )
    run(Server(["/usr/sbin/haproxy", "-db", "-f", config], tmp_path / "haproxy.log"))
    wait_until(lambda: harness.listens(("127.0.0.1", outer)), "HAProxy listens")
    client = Client(("127.0.0.1", outer))
    client.connection = http.client.HTTPConnection(
        "127.0.0.1", outer, timeout=harness.DEADLINE, source_address=("127.0.0.2", 0)
    )
    environ = client.get("/environ").json()
    assert environ["REMOTE_ADDR"] == "127.0.0.2"
    assert environ["SERVER_PORT"] == str(outer)
    with pytest.raises((http.client.HTTPException, ConnectionError)):
        Client(("127.0.0.1", inner), timeout=15).get("/plain")  # no header, no page


def test_files(gateway, tmp_path):
    """Static files need no worker; an application sends its own by name, from where it may."""
    files = tmp_path / "files"
    files.mkdir()
    (files / "site.css").write_text("body { color: green }")
    (files / "report.pdf").write_bytes(b"0123456789")
    (tmp_path / "secret").write_text("secret")
    (files / "link").symlink_to(tmp_path / "secret")
    g = gateway("--workers", "1", "--static", f"/static={files}", "--sendfile-root", str(files))
    browser = Client(g.http)

    answer = browser.get("/static/site.css")
    assert answer.text == "body { color: green }"
    assert answer.headers["Content-Type"].startswith("text/css")
    assert browser.get("/static/site.css", If_None_Match=answer.headers["ETag"]).status == 304
    part = browser.get("/static/report.pdf", Range="bytes=3-5")
    assert (part.status, part.body) == (206, b"345")
    for path in ("/static/link", "/static/", "/static/../secret", "/static/no"):
        assert browser.get(path).status == 404, path
    os.kill(g.workers()["1"], signal.SIGSTOP)
    assert Client(g.http, timeout=5).get("/static/site.css").status == 200
    os.kill(g.workers()["1"], signal.SIGCONT)

    def sent(path):
        return browser.get(f"/echo-header?name=X-Sendfile&value={path}")

    assert sent(files / "report.pdf").body == b"0123456789"
    assert "X-Sendfile" not in sent(files / "report.pdf").headers
    as_gzip = browser.get(
        f"/echo-header?name=X-Sendfile&value={files / 'report.pdf'}&encoding=gzip"
    )  # is said of the page, which nobody gets
    assert (as_gzip.headers["Content-Encoding"], as_gzip.body) == (None, b"0123456789")
    for path in (files / "link", tmp_path / "secret", "/etc/passwd", files / ".." / "secret"):
        assert sent(path).status == 404, path
    g.logged("file not sent")


COMBINED = re.compile(
    r'127\.0\.0\.1 - - \[[^]]+\] "(\S+) (\S+) HTTP/1\.1" (\d+) (\d+) "([^"]*)" "([^"]*)"\n\Z'
)


def test_access_log(gateway, tmp_path):
    """In a file of its own, in the combined format, and opened anew when it was moved away."""
    log = tmp_path / "access.log"
    g = gateway("--workers", "1", "--access-log", str(log), "--access-log-format", "combined")
    browser = Client(g.http)
    browser.get("/plain?a=%22b", User_Agent='cu"rl', Referer="http://r/")
    line = wait_until(log.read_text, "a line")
    method, target, status, _, referer, agent = COMBINED.match(line).groups()
    assert (method, target, status) == ("GET", "/plain?a=%22b", "200")
    assert (referer, agent) == ("http://r/", r"cu\x22rl")
    assert '"msg":"request"' not in g.text()

    moved = pathlib.Path(log.rename(tmp_path / "access.log.1"))
    g.process.send_signal(signal.SIGUSR1)
    wait_until(log.exists, "the log is opened anew")
    browser.get("/second")
    wait_until(lambda: "/second" in log.read_text(), "it goes on there")
    assert "/second" not in moved.read_text()


def test_trace(gateway):
    """A traceparent reaches the application and the log."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    g = gateway("--workers", "1")
    assert Client(g.http).get("/environ", traceparent=trace).json()["HTTP_TRACEPARENT"] == trace
    [line] = g.logged(trace)
    assert line["traceparent"] == trace
