"""Programs that others wrote, unchanged: Quixote's demos.

What Quixote's simple_server answers by itself is what must come through the gateway.
"""

import os
import re
import signal
from email.utils import parsedate_to_datetime
from html import unescape
from html.parser import HTMLParser
from typing import NamedTuple
from urllib.parse import urlencode, urljoin, urlsplit

import pytest

import harness
from harness import PYTHON, Client, concurrently, managed, stock, wait_until

MINI = "quixote.demo.mini_demo.create_publisher"
PTL = "quixote.demo.create_publisher"
ALTDEMO = "quixote.demo.altdemo.create_publisher"

URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}


# One page from two servers.


class Page(NamedTuple):
    """A response without what differs from server to server and from one moment to the next."""

    status: int
    headers: list
    body: bytes
    environ: dict  # what the page shows of the request's variables


# How a connection is kept and a body framed is the server's own affair.
HOP = {"connection", "content-length", "date", "server", "transfer-encoding"}

# Variables that speak of the server, that only SCGI has, or that simple_server says twice.
SERVERS_OWN = {
    "HTTP_CONTENT_LENGTH",
    "HTTP_CONTENT_TYPE",
    "REMOTE_PORT",
    "REQUEST_SCHEME",
    "REQUEST_URI",
    "SCGI",
    "SERVER_NAME",
    "SERVER_PORT",
    "SERVER_PROTOCOL",
    "SERVER_SOFTWARE",
}

# The pages show addresses of objects, and the time.
VARYING = [
    (rb"\bat (0x)?[0-9a-f]{8,}", b"at ADDRESS"),
    (rb"(page was created on) [^.]+\.", rb"\1 TIME."),
    (rb'name="time" value="[0-9.]+"', b'name="time" value="TIME"'),
]

HTML_ENVIRON = re.compile(rb"(?<=<h3>environ</h3><table>).*?(?=</table>)", re.S)
PLAIN_ENVIRON = re.compile(rb"(?<=\n\nEnvironment:\n).*\Z", re.S)


def page(response, address, ignored=frozenset()):
    host = f"{address[0]}:{address[1]}"
    body = response.body.replace(host.encode(), b"HOST")
    for pattern, replacement in VARYING:
        body = re.sub(pattern, replacement, body)
    rows = []
    if html := HTML_ENVIRON.search(body):
        rows = re.findall(r"<tr><th>(.*?)</th><td>(.*?)</td></tr>", html[0].decode(), re.S)
        rows = [(unescape(name), unescape(value)) for name, value in rows]
        body = HTML_ENVIRON.sub(b"ENVIRON", body)
    elif response.status == 500 and (plain := PLAIN_ENVIRON.search(body)):
        rows = [f"{line} ".split(" ", 1) for line in plain[0].decode().splitlines()]
        body = PLAIN_ENVIRON.sub(b"ENVIRON", body)
    environ = {name: value.strip() for name, value in rows}
    return Page(response.status, headers(response, host, ignored), body, environ)


def headers(response, host, ignored):
    found = []
    for name, value in response.headers.items():
        name = name.lower()
        if name == "expires" and value != "-1":
            date = parsedate_to_datetime(response.headers["Date"])
            value = str(parsedate_to_datetime(value) - date)
        if name not in HOP | ignored:
            found.append((name, value.replace(host, "HOST")))
    return sorted(found)


def assert_same(quixotes, ours, what):
    """Both are Pages; an empty variable is as good as none."""
    assert ours._replace(environ={}) == quixotes._replace(environ={}), what
    assert bool(ours.environ) == bool(quixotes.environ), what
    both = [
        {k: v for k, v in p.environ.items() if k not in SERVERS_OWN and v not in ("", "None")}
        for p in (quixotes, ours)
    ]
    assert both[1] == both[0], what
    assert not [name for name in ours.environ if "ALFORJA" in name], what


class Pair:
    """A browser at Quixote's simple_server and one at the gateway that do the same."""

    def __init__(self, quixote, gateway):
        self.quixote, self.gateway = Client(quixote), Client(gateway.http)

    def request(self, method, path, body=None, headers=None):
        """Compare the answers; return the gateway's."""
        # What a bundle says of caching depends on which of its pages its process served before.
        ignored = {"cache-control", "expires"} if "/bundle_data/" in path else set()
        quixotes = self.quixote.request(method, path, body, headers)
        ours = self.gateway.request(method, path, body, headers)
        assert_same(
            page(quixotes, self.quixote.address, ignored),
            page(ours, self.gateway.address, ignored),
            f"{method} {path}",
        )
        return ours

    def get(self, path):
        return self.request("GET", path)


def simple_server(run, tmp_path, factory):
    """Start Quixote's own HTTP server; return its address."""
    port = harness.free_port()
    argv = [PYTHON, "-m", "quixote.server.simple_server", "--host=127.0.0.1", f"--port={port}"]
    run(harness.Server([*argv, "--factory", factory], tmp_path / "simple_server.log"))
    wait_until(lambda: harness.listens(("127.0.0.1", port)), "simple_server listens")
    return ("127.0.0.1", port)


@pytest.fixture(params=["worker", "stock"])
def servers(request, gateway, run, tmp_path):
    """servers(factory): the address of simple_server, and a gateway with 4 workers."""

    def start(factory):
        if request.param == "worker":
            g = gateway("--workers", "4", command=managed(factory))
        else:
            g = gateway("--workers", "4", "--mode", "shared", command=stock(factory))
        return simple_server(run, tmp_path, factory), g

    return start


def served_by(g):
    """The workers that have answered a request."""
    return {line["worker"] for line in g.lines() if line["msg"] == "request" and line["worker"]}


def crawl(quixote, g, *starts, wanted=lambda path: True):
    """Follow all links, four at a time, and compare each page; return path: response."""
    pairs = [Pair(quixote, g) for _ in range(4)]
    pages, level = {}, list(starts)
    while level:
        # Bound now, since the next round has another level.
        fetched = concurrently(
            4, lambda i, level=level: {path: pairs[i].get(path) for path in level[i::4]}
        )
        found = {}
        for part in fetched:
            pages.update(part)
            for path, response in part.items():
                found.update(dict.fromkeys(links(response, path, g.http)))
        level = [path for path in found if path not in pages and wanted(path)]
    return pages


def links(response, path, address):
    here = f"http://{address[0]}:{address[1]}"
    targets = response.headers.get_all("Location") or []
    if response.headers.get("Content-Type", "").startswith("text/html"):
        targets += [unescape(t) for t in re.findall(r'(?:href|src)="([^"]+)"', response.text)]
    for target in targets:
        url = urlsplit(urljoin(here + path, target))
        if f"{url.scheme}://{url.netloc}" == here:
            yield url.path + (f"?{url.query}" if url.query else "")


def test_mini_demo(servers):
    quixote, g = servers(MINI)
    pages = crawl(quixote, g, "/", "/nowhere", "/hello/", "/hello?a=1&b=%20")
    assert {path: page.status for path, page in pages.items()} == {
        "/": 200,
        "/hello": 200,
        "/hello?a=1&b=%20": 200,
        "/hello/": 404,
        "/nowhere": 404,
    }
    assert "Hello world!" in pages["/hello"].text


def test_all_four_workers_serve_it(servers):
    quixote, g = servers(MINI)
    want = Client(quixote).get("/hello").body

    def all_have_served():
        bodies = concurrently(8, lambda _: Client(g.http).get("/hello").body)
        assert bodies == [want] * 8
        return served_by(g) == {"1", "2", "3", "4"}

    wait_until(all_have_served, "each of four workers has answered")


# Beside what the pages link to.
UNLINKED = [
    "/%73imple",
    "/css?a=1",
    "/dumpreq?a=1&a=2&b=%C3%A9%26&empty=",
    "/dynamic",
    "/extras",
    "/extras/-3/factorial",
    "/extras/1000/factorial",
    "/extras/3000/factorial",  # has more digits than Python will print: a page with a traceback
    "/extras/bundle_data/0123456789/errors.py",
    "/extras/bundle_data/nowhere.py",
    "/extras/not-a-number/",
    "/extras/src/%2e%2e/simple",
    "/extras/src/nowhere",
    "/extras/upload",
    "/favicon.ico",
    "/nowhere",
    "/simple/",
]


def ends_somewhere(path):
    """There is no last integer, and what Python compiles may change while the test runs."""
    integer = re.match(r"/extras/(-?\d+)/", path)
    return "__pycache__" not in path and (not integer or 11 <= int(integer[1]) <= 13)


def test_ptl_demo(servers):
    quixote, g = servers(PTL)
    pages = crawl(quixote, g, "/", *UNLINKED, wanted=ends_somewhere)
    status = {path: page.status for path, page in pages.items()}
    for path in ("/simple", "/plain", "/dumpreq", "/css", "/dynamic/", "/extras/form"):
        assert status[path] == 200, path
    assert status["/error"] == 500
    assert status["/publish_error"] == 400
    assert status["/nowhere"] == status["/extras/upload"] == 404
    assert status["/extras/12/next"] == 302
    assert "12! = 479001600" in pages["/extras/12/factorial"].text
    assert pages["/extras/chunked"].text.endswith("line 28\nline 29\n")
    assert pages["/favicon.ico"].headers["Content-Type"] == "image/x-icon"
    # The static directory is Quixote's own source, with subdirectories and compiled modules.
    for source in ("util.py", "demo/root.ptl", "server/scgi_server.py"):
        assert status[f"/extras/src/{source}"] == 200, source
    assert any(path.endswith(".so") for path in status)
    assert any(re.fullmatch(r"/extras/bundle_data/\w+/errors.py,session.py", p) for p in status)
    assert len(pages) > 80


def test_head(servers):
    pair = Pair(*servers(PTL))
    for path in ("/", "/plain", "/nowhere", "/extras/12/next", "/extras/src/util.py"):
        length = pair.get(path).headers["Content-Length"]
        head = pair.request("HEAD", path)
        assert head.body == b""
        assert head.headers["Content-Length"] == length


class Widgets(HTMLParser):
    """The fields of a form, and the values that each can have."""

    def __init__(self, text):
        super().__init__()
        self.values, self.select = {}, None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if tag == "select":
            self.select = attrs["name"]
        elif tag == "option":
            self.values.setdefault(self.select, []).append(attrs["value"])
        elif tag == "input":
            self.values.setdefault(attrs["name"], []).append(attrs.get("value", ""))


def multipart(fields, files=()):
    """The body and its headers, with the same boundary every time."""
    parts = [(f'name="{name}"', value.encode()) for name, value in fields]
    parts += [(f'name="{n}"; filename="{filename}"', data) for n, filename, data in files]
    body = b"".join(
        b"--b0undary\r\nContent-Disposition: form-data; %b\r\n\r\n%b\r\n" % (head.encode(), data)
        for head, data in parts
    )
    return body + b"--b0undary--\r\n", {"Content-Type": "multipart/form-data; boundary=b0undary"}


def test_form_with_every_widget(servers):
    pair = Pair(*servers(PTL))
    widgets = Widgets(pair.get("/extras/form").text).values
    assert {"name", "password", "confirm", "color", "size", "toppings", "file", "go"} <= set(
        widgets
    )
    fields = [(name, values[0]) for name, values in widgets.items() if name in ("_form_id", "time")]
    fields += [
        ("name", "Teresa Panza \u00e9\u4e2d <&>"),
        ("password", "Barataria"),
        ("confirm", widgets["confirm"][0]),
        ("color", widgets["color"][2]),
        ("size", widgets["size"][4]),
        ("toppings", widgets["toppings"][1]),
        ("toppings", widgets["toppings"][5]),
        ("go", widgets["go"][0]),
    ]
    data = bytes(range(256)) * 8192  # 2 MiB, with every byte there is
    answer = pair.request("POST", "/extras/form", *multipart(fields, [("file", "pizza.bin", data)]))
    assert answer.status == 200
    rows = re.findall(r"<td>(\w+)</td>\s*<td>(\w+)</td><td>(.*?)</td>", answer.text)
    shown = {name: (kind, unescape(value)) for name, kind, value in rows}
    assert shown["name"] == ("str", "'Teresa Panza \u00e9\u4e2d <&>'")
    assert shown["confirm"] == ("bool", "True")
    assert shown["color"] == ("str", "'brown'")
    assert shown["size"] == ("str", "'enormous'")
    assert "pepperoni" in shown["toppings"][1] and "anchovies" in shown["toppings"][1]
    assert "cheese" not in shown["toppings"][1]
    assert shown["file"][1].endswith(f"({len(data)} bytes {len(data)})")


def test_form_with_mistakes(servers):
    """What is required and missing is asked for again, and the rest is still there."""
    pair = Pair(*servers(PTL))
    widgets = Widgets(pair.get("/extras/form").text).values
    hidden = [(name, values[0]) for name, values in widgets.items() if name in ("_form_id", "time")]
    for missing in (["name"], ["password"], ["name", "password"]):
        fields = hidden + [("size", "large"), ("go", "Go!")]
        fields += [(name, "Cide") for name in ("name", "password") if name not in missing]
        answer = pair.request("POST", "/extras/form", *multipart(fields))
        assert answer.status == 200
        assert answer.text.count('<div class="error">required</div>') == len(missing)
        again = pair.request("POST", "/extras/form", urlencode(fields), URLENCODED)
        assert page(again, pair.gateway.address) == page(answer, pair.gateway.address)


def test_dump_of_a_request(servers):
    """What an application sees of a request is what the client sent."""
    pair = Pair(*servers(PTL))
    sent = {
        "Cookie": 'a=1; b="two"',
        "X-One": "1",
        "Referer": "http://example.org/?x",
        "Accept": "",
    }
    for method, body, kind in (
        ("GET", None, {}),
        ("POST", "a=1&b=%C3%A9&b=3", URLENCODED),
        ("POST", "", URLENCODED),
        ("POST", '{"a": 1}', {"Content-Type": "application/json"}),
    ):
        for path in ("/dumpreq?q=%2F&r", "/error?q=1"):
            answer = pair.request(method, path, body, {**sent, **kind})
            environ = page(answer, pair.gateway.address).environ
            assert environ["HTTP_X_ONE"] == "1"
            assert environ["QUERY_STRING"] == path.partition("?")[2]


# altdemo.


def requests_by_user(text):
    """The table of sessions as a sorted list of (user, number of requests)."""
    rows = re.findall(r"<tr><td>\d+</td><td>.*?</td><td>(.*?)</td><td>(\d+)</td>", text)
    return sorted((re.sub("<.*?>", "", user), int(count)) for user, count in rows)


def log_in(browser, name):
    answer = browser.request("POST", "/login", urlencode({"name": name}), URLENCODED)
    assert f"Welcome, {name}!" in answer.text
    return answer


def test_altdemo_as_it_is(run, gateway, tmp_path):
    """Its sessions are in the memory of the one worker; the gateway's store stays empty."""
    g = gateway("--workers", "1", command=managed(ALTDEMO))
    pair = Pair(simple_server(run, tmp_path, ALTDEMO), g)
    check_pages = Known(pair)

    assert "<table><tr><th></th>" not in check_pages.get("/").text, "there is no session yet"
    assert requests_by_user(check_pages.get("/").text) == [("None", 2)]
    assert 'action="login"' in check_pages.get("/login").text
    log_in(check_pages, "Dulcinea")
    index = check_pages.get("/").text
    assert "Hello, Dulcinea." in index
    assert f'font-weight:bold">{pair.gateway.cookies["QX_session"]}<' in index
    assert requests_by_user(index) == [("Dulcinea", 5)]
    assert check_pages.get("/nowhere").status == 404

    second = Client(g.http)
    log_in(second, "Rocinante")
    assert requests_by_user(second.get("/").text) == [("Dulcinea", 6), ("Rocinante", 2)]

    first = pair.gateway.cookies["QX_session"]
    assert "Goodbye, Dulcinea." in check_pages.get("/logout").text
    assert "QX_session" not in pair.gateway.cookies
    assert requests_by_user(second.get("/").text) == [("Rocinante", 3)]
    assert "That would be redundant." in check_pages.get("/logout").text
    pair.gateway.cookies["QX_session"] = first
    assert "Hello" not in pair.gateway.get("/").text, "who is logged out stays so"
    assert list(g.sessions.iterdir()) == []


class Known:
    """A Pair whose pages show session ids, which differ, and stand in their cookies."""

    def __init__(self, pair):
        self.pair = pair

    def request(self, method, path, body=None, headers=None):
        pages = []
        for client in (self.pair.quixote, self.pair.gateway):
            before = client.cookies.get("QX_session")
            answer = client.request(method, path, body, headers)
            known = [id for id in (before, client.cookies.get("QX_session")) if id]
            shown = page(answer, client.address)
            pages.append(
                shown._replace(
                    headers=[(name, without(value, known)) for name, value in shown.headers],
                    body=without(shown.body.decode(), known),
                    environ={k: without(v, known) for k, v in shown.environ.items()},
                )
            )
        assert_same(*pages, f"{method} {path}")
        return answer

    def get(self, path):
        return self.request("GET", path)


def without(text, ids):
    for id in ids:
        text = text.replace(id, "ID")
    return text


def test_altdemo_counts_for_every_browser(gateway):
    """Eight browsers at once, one worker: each has its own number of requests."""
    g = gateway("--workers", "1", command=managed(ALTDEMO))

    def visit(i):
        browser = Client(g.http)
        log_in(browser, f"user{i}")
        for _ in range(i):
            assert f"Hello, user{i}." in browser.get("/").text
        return f"user{i}", i + 1

    visits = concurrently(8, visit)
    assert requests_by_user(Client(g.http).get("/").text) == sorted(visits)


def test_altdemo_with_the_gateways_store(gateway):
    """The same pages and the same session class, in four workers.

    The table is made of what the store has, so there a session's own request is not counted yet.
    """
    g = gateway("--workers", "4", command=managed("demo_altdemo.create_publisher"))
    first, second = Client(g.http), Client(g.http)
    assert requests_by_user(first.get("/").text) == []
    assert requests_by_user(first.get("/").text) == [("None", 1)]
    log_in(first, "Dulcinea")
    id = first.cookies["QX_session"]
    assert "Hello, Dulcinea." in first.get("/").text
    log_in(second, "Rocinante")
    assert requests_by_user(second.get("/").text) == [("Dulcinea", 4), ("Rocinante", 1)]
    assert first.get("/nowhere").status == 404
    assert {path.name for path in g.sessions.iterdir()} == {id, second.cookies["QX_session"]}

    old = g.workers()
    for pid in old.values():
        os.kill(pid, signal.SIGKILL)
    wait_until(
        lambda: not set(old.values()) & set(g.workers().values()), "there are four new workers"
    )
    assert first.cookies["QX_session"] == id
    index = first.get("/").text
    assert "Hello, Dulcinea." in index, "a session outlives the processes"
    assert requests_by_user(index) == [("Dulcinea", 5), ("Rocinante", 2)]

    assert "Goodbye, Dulcinea." in first.get("/logout").text
    assert "QX_session" not in first.cookies
    assert not (g.sessions / id).exists()
    assert requests_by_user(second.get("/").text) == [("Rocinante", 2)]
    first.cookies["QX_session"] = id
    assert "Hello" not in first.get("/").text
    assert first.cookies["QX_session"] != id, "the old id is not used again"


def test_altdemo_in_four_workers_loses_no_count(gateway):
    """Requests of one session and of several, at once, until every worker had its share."""
    g = gateway("--workers", "4", command=managed("demo_altdemo.create_publisher"))
    browsers = [Client(g.http) for _ in range(4)]
    for i, browser in enumerate(browsers):
        log_in(browser, f"user{i}")
    rounds = 0

    def visit(i):
        browser = Client(g.http)
        browser.cookies = dict(browsers[i % 4].cookies)
        for _ in range(5):
            assert f"Hello, user{i % 4}." in browser.get("/").text

    def all_have_served():
        nonlocal rounds
        concurrently(8, visit)
        rounds += 1
        return served_by(g) == {"1", "2", "3", "4"}

    wait_until(all_have_served, "each of four workers has answered")
    assert requests_by_user(Client(g.http).get("/").text) == [
        (f"user{i}", 1 + rounds * 10) for i in range(4)
    ]
