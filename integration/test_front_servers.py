"""Behind the web servers of Debian, each with the configuration of examples/: the same pages."""

import contextlib
import hashlib
import http.client
import json
import os
import pathlib
import ssl
import subprocess
import tempfile
import time

import pytest

import harness
from harness import TREE, Client, Server, free_port, wait_until
from uploads import MULTIPART, multipart

EXAMPLES = TREE / "examples"
ELSEWHERE = "127.0.0.2"  # where test clients come from; servers come from 127.0.0.1


def example(name, changes):
    """The text of an example, with what is this machine's put in; each change must find its place."""
    text = (EXAMPLES / name).read_text()
    for theirs, ours in changes.items():
        assert theirs in text, f"{theirs!r} in {name}"
        text = text.replace(theirs, str(ours))
    return text


class Front(Server):
    """A web server at two ports, with TLS at the second; home is a directory that all may enter."""

    def __init__(self, home):
        self.home = pathlib.Path(home)
        self.plain, self.tls = ("127.0.0.1", free_port()), ("127.0.0.1", free_port())
        self.sockets = {"/run/alforja": self.home}
        self.log = self.home / "front.log"
        self.write()
        super().__init__(self.command(), self.log)

    def start(self):
        super().start()
        for address in (self.plain, self.tls):
            wait_until(
                lambda a=address: self.process.poll() is not None or harness.listens(a),
                "it listens",
            )
        assert self.process.poll() is None, self.text()
        return self

    def file(self, name, text):
        (self.home / name).write_text(text)
        return self.home / name


class Nginx(Front):
    def write(self):
        location = example(
            "nginx.conf", {**self.sockets, "include scgi_params": "include /etc/nginx/scgi_params"}
        )
        temporary = "".join(
            f"{kind}_temp_path {self.home}/{kind};"
            for kind in ("client_body", "scgi", "proxy", "fastcgi", "uwsgi")
        )
        self.file(
            "nginx.conf",
            f"""
daemon off; pid {self.home}/pid; error_log {self.home}/error.log info; user root;
events {{ worker_connections 512; }}
http {{
    access_log off; {temporary} client_max_body_size 100m;
    server {{
        listen 127.0.0.1:{self.plain[1]};
        listen 127.0.0.1:{self.tls[1]} ssl;
        ssl_certificate {self.home}/cert.pem; ssl_certificate_key {self.home}/key.pem;
        {location}
    }}
}}""",
        )

    def command(self):
        return ["/usr/sbin/nginx", "-c", self.home / "nginx.conf", "-p", self.home]


class Apache(Front):
    def write(self):
        modules = "".join(
            f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"
            for name in ("mpm_event", "authz_core", "setenvif", "ssl", "proxy", "proxy_scgi")
        )
        site = example("apache.conf", self.sockets)
        self.file(
            "apache.conf",
            f"""
{modules}
ServerName localhost
PidFile {self.home}/pid
DefaultRuntimeDir {self.home}
Mutex file:{self.home}
ErrorLog {self.home}/error.log
User www-data
Group www-data
Listen 127.0.0.1:{self.plain[1]}
Listen 127.0.0.1:{self.tls[1]}
<VirtualHost *:{self.plain[1]}>
{site}
</VirtualHost>
<VirtualHost *:{self.tls[1]}>
SSLEngine on
SSLCertificateFile {self.home}/cert.pem
SSLCertificateKeyFile {self.home}/key.pem
{site}
</VirtualHost>""",
        )

    def command(self):
        return ["/usr/sbin/apache2", "-DFOREGROUND", "-f", self.home / "apache.conf"]


class Lighttpd(Front):
    def write(self):
        self.file(
            "lighttpd.conf",
            f"""
server.document-root = "{self.home}"
server.errorlog = "{self.home}/error.log"
server.upload-dirs = ( "{self.home}" )
server.bind = "127.0.0.1"
server.port = {self.plain[1]}
server.modules = ( "mod_openssl" )
$SERVER["socket"] == "127.0.0.1:{self.tls[1]}" {{
    ssl.engine = "enable"
    ssl.pemfile = "{self.home}/cert.pem"
    ssl.privkey = "{self.home}/key.pem"
}}
{example("lighttpd.conf", self.sockets)}""",
        )

    def command(self):
        return ["/usr/sbin/lighttpd", "-D", "-f", self.home / "lighttpd.conf"]


class Caddy(Front):
    def write(self):
        site = example("Caddyfile", {**self.sockets, "example.org {": "(site) {"})
        self.file(
            "Caddyfile",
            f"""{{
    admin off
    auto_https off
}}
{site}
http://127.0.0.1:{self.plain[1]} {{
    import site
}}
https://127.0.0.1:{self.tls[1]} {{
    tls {self.home}/cert.pem {self.home}/key.pem
    import site
}}""",
        )

    def command(self):
        return [
            "env",
            f"HOME={self.home}",
            "/usr/bin/caddy",
            "run",
            "--adapter",
            "caddyfile",
            "--config",
            self.home / "Caddyfile",
        ]


class HAProxy(Front):
    def write(self):
        both = (self.home / "cert.pem").read_text() + (self.home / "key.pem").read_text()
        self.file("site.pem", both)
        text = example(
            "haproxy.cfg",
            {
                **self.sockets,
                "bind :80": f"bind 127.0.0.1:{self.plain[1]}",
                "bind :443": f"bind 127.0.0.1:{self.tls[1]}",
                "/etc/haproxy/site.pem": self.home / "site.pem",
            },
        )
        self.file("haproxy.cfg", text)

    def command(self):
        return ["/usr/sbin/haproxy", "-db", "-f", self.home / "haproxy.cfg"]


@pytest.fixture
def home():
    """A directory with a certificate; web servers give up being root, and pytest's own are closed to all others."""
    with tempfile.TemporaryDirectory(prefix="front-") as name:
        os.chmod(name, 0o755)
        make = [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
            "-days", "2", "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1",
            "-keyout", f"{name}/key.pem", "-out", f"{name}/cert.pem",
        ]  # fmt: skip
        subprocess.run(make, check=True, capture_output=True)
        yield name


@pytest.fixture(params=[Nginx, Apache, Lighttpd, Caddy, HAProxy], ids=lambda c: c.__name__.lower())
def front(request, gateway, run, home):
    g = gateway(
        "--workers", "2", "--socket-group", "www-data", "--trusted-proxy", "unix",
        listen=("--scgi", f"unix:{home}/alforja.sock", "--http", f"unix:{home}/http.sock"),
    )  # fmt: skip
    front = run(request.param(home))
    front.gateway = g
    return front


class SecureClient(Client):
    """A client from elsewhere, by TLS."""

    def request(self, method, path, body=None, headers=None):
        if self.connection is None:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.connection = http.client.HTTPSConnection(
                *self.address, timeout=self.timeout, context=context, source_address=(ELSEWHERE, 0)
            )
        return super().request(method, path, body, headers)


class PlainClient(Client):
    """A client from elsewhere."""

    def request(self, method, path, body=None, headers=None):
        if self.connection is None:
            self.connection = http.client.HTTPConnection(
                *self.address, timeout=self.timeout, source_address=(ELSEWHERE, 0)
            )
        return super().request(method, path, body, headers)


def ways(front):
    return [
        (PlainClient(front.plain), f"http://127.0.0.1:{front.plain[1]}"),
        (SecureClient(front.tls), f"https://127.0.0.1:{front.tls[1]}"),
    ]


def test_pages_and_redirects(front):
    for browser, base in ways(front):
        assert browser.get("/plain").status == 200
        assert browser.get("/url?a=1").text == f"{base}/url"
        assert browser.get("/nowhere").status == 404
        assert browser.request("HEAD", "/plain").body == b""
        answer = browser.get("/redirect")
        assert (answer.status, answer.headers["Location"].startswith(f"{base}/")) == (302, True)
        answer = browser.get("/status?code=304")
        assert (answer.status, answer.body) == (304, b"")


def test_sessions(front):
    for browser, _ in ways(front):
        assert [browser.get("/counter").text for _ in range(3)] == ["1", "2", "3"]
        browser.post("/login", {"name": "Sancho Panza"})
        assert browser.get("/whoami").json()["user"] == "Sancho Panza"


def test_what_the_application_is_told(front):
    for browser, base in ways(front):
        environ = browser.request(
            "GET", "/environ?q=%20x&y", headers={"X-Two": "b", "Accept": "text/x"}
        ).json()
        scheme, port = base.split(":")[0], base.split(":")[2]
        assert environ["SCRIPT_NAME"] == ""
        assert environ["PATH_INFO"] == "/environ"
        assert environ["QUERY_STRING"] == "q=%20x&y"
        assert environ["REQUEST_URI"] == "/environ?q=%20x&y"
        assert environ["REMOTE_ADDR"] == ELSEWHERE
        assert environ["HTTP_HOST"] == f"127.0.0.1:{port}"
        assert environ["SERVER_PORT"] == port
        assert environ["REQUEST_SCHEME"] == scheme
        assert environ.get("HTTPS", "off") == ("on" if scheme == "https" else "off")
        assert environ["HTTP_X_TWO"] == "b"


def test_a_client_cannot_say_who_it_is(front):
    """What a client writes into the headers that proxies write is not believed."""
    lies = {
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Proto": "https",
        "X-Forwarded-Host": "evil.example",
        "Forwarded": "for=203.0.113.9;proto=https;host=evil.example",
        "Https": "on",
        "X-Real-IP": "203.0.113.9",
    }
    environ = PlainClient(front.plain).request("GET", "/environ", headers=lies).json()
    assert environ["REMOTE_ADDR"] == ELSEWHERE
    assert environ.get("HTTPS", "off") == "off"
    assert environ["HTTP_HOST"] == f"127.0.0.1:{front.plain[1]}"
    assert "evil" not in environ["SERVER_NAME"]


def test_the_log_has_the_client(front):
    PlainClient(front.plain).get("/plain?logged")
    [line] = [x for x in front.gateway.logged("/plain") if x["msg"] == "request"]
    assert line["client"].startswith(ELSEWHERE)


def test_an_upload(front):
    data = os.urandom(1 << 20) * 5
    want = {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    for browser, _ in ways(front):
        assert browser.request("POST", "/upload", multipart(data), MULTIPART).json() == want


def test_a_chunked_upload(front):
    """A body whose length the client does not say arrives whole, or is refused, and never cut."""
    data = os.urandom(300_000)
    body = multipart(data)
    conn = http.client.HTTPConnection(*front.plain, timeout=harness.DEADLINE)
    with contextlib.closing(conn):
        conn.request(
            "POST",
            "/upload",
            (body[i : i + 7000] for i in range(0, len(body), 7000)),
            {**MULTIPART, "Transfer-Encoding": "chunked"},
            encode_chunked=True,
        )
        answer = conn.getresponse()
        text = answer.read()
    if answer.status != 411:
        assert json.loads(text) == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def test_a_long_page(front):
    for browser, _ in ways(front):
        down = browser.get(f"/big?bytes={5 << 20}")
        assert (
            hashlib.sha256(down.body).digest()
            == hashlib.sha256((b"0123456789" * (1 << 19) + b"0123456789")[: 5 << 20]).digest()
        )


def test_a_stream(front):
    """No chunk framing in the page, and the first line is there before the last is made."""
    connection = http.client.HTTPConnection(*front.plain, timeout=harness.DEADLINE)
    with contextlib.closing(connection):
        start = time.monotonic()
        connection.request("GET", "/stream?n=20&ms=50")
        answer = connection.getresponse()
        lines = [answer.readline()]
        first = time.monotonic() - start
        lines += answer.readlines()
        last = time.monotonic() - start
    assert lines == [b"line %d\n" % i for i in range(20)]
    assert first < last / 2
