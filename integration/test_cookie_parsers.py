"""The gateway's cookie parser against Quixote's own, through a whole gateway: where two parsers disagree is a hole."""

import http.client
import json
import random
import re
import socketserver
import threading

import pytest
from quixote.http_request import parse_cookies

import harness
from harness import Gateway

COUNT = 20_000
NAME = "QX_session"
VALID = re.compile(r"[A-Za-z0-9_-]{1,128}\Z")
PIECES = [
    NAME, "QX_sessionx", "xQX_session", "qx_session", "a", "$Path", "$Version",
    "=", "=", "=", ";", ";", "; ", ", ", ",", " ", "\t", '"', '"', "\\", '\\"', "\\\\",
    "abc", "AbC_-9", "x" * 128, "x" * 129, "../evil", "*del*", "0", ".", "/", "%2e", "\xa0", "\xe4", "\x85",
    f'{NAME}="', f"{NAME}=", f"{NAME} = ", f"; {NAME}=abc", f'; {NAME}="a\\b"', f", {NAME}=def",
]  # fmt: skip


class Echo(socketserver.StreamRequestHandler):
    """A worker that answers with the session and the cookies that it was given."""

    def handle(self):
        length = b""
        while (byte := self.rfile.read(1)) != b":":
            length += byte
        words = self.rfile.read(int(length) + 1).split(b"\0")
        environ = dict(zip(words[::2], words[1::2], strict=False))
        told = {
            name: environ[key].decode("latin-1") if key in environ else None
            for name, key in (("id", b"ALFORJA_SESSION_ID"), ("cookies", b"HTTP_COOKIE"))
        }
        page = json.dumps(told).encode()
        self.wfile.write(b"Content-Length: %d\r\n\r\n%s" % (len(page), page))


class Backend(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64


@pytest.fixture
def site(run, tmp_path):
    with Backend(str(tmp_path / "worker.sock"), Echo) as backend:
        threading.Thread(target=backend.serve_forever, daemon=True).start()
        yield run(
            Gateway(
                tmp_path, "--backend", f"unix:{tmp_path}/worker.sock", "--worker-concurrency", "8",
                "--access-log", str(tmp_path / "access.log"),
            )
        )  # fmt: skip
        backend.shutdown()


def headers():
    source = random.Random(1615)
    for _ in range(COUNT):
        text = "".join(source.choice(PIECES) for _ in range(source.randint(1, 14)))
        yield text.strip(" \t")  # HTTP takes blanks off a header's ends


def hangs_quixote(text):
    """Whether more than eight backslashes stand behind a quote that is never closed."""
    for match in re.finditer(r'=[ \t\r\n\f\v]*"', text):
        rest = text[match.end() :]
        if not re.match(r'(\\.|[^"\\])*"', rest) and rest.count("\\") > 8:
            return True
    return False


def test_the_session_is_the_one_that_quixote_sees(site):
    """The id that the gateway resolves is what Quixote reads from the header that it gets; all other cookies arrive."""
    tried = list(headers())
    seen = {"resolved": 0, "none": 0, "refused": 0, "bomb": 0}

    def check(part):
        conn = http.client.HTTPConnection(*site.http, timeout=harness.DEADLINE)
        for text in tried[part::4]:
            conn.putrequest("GET", "/")
            conn.putheader("Cookie", text.encode("latin-1"))
            conn.endheaders()
            answer = conn.getresponse()
            body = answer.read()
            if answer.status == 400:
                assert "\\" in text and text.count("\\") > 8, text
                seen["bomb"] += 1
                continue
            assert answer.status == 200, (text, answer.status)
            told = json.loads(body)
            sent = parse_cookies(text)
            arrived = parse_cookies(told["cookies"] or "")
            assert arrived.get(NAME) == told["id"], text
            wanted = sent.get(NAME)
            if wanted is not None and VALID.match(wanted):
                assert (told["id"], told["cookies"]) == (wanted, text)
                seen["resolved"] += 1
            else:
                assert told["id"] is None, text
                sent.pop(NAME, None)
                assert arrived == sent, text
                seen["refused" if wanted is not None else "none"] += 1
            assert not hangs_quixote(told["cookies"] or ""), text
        conn.close()

    harness.concurrently(4, check)
    assert min(seen["resolved"], seen["none"], seen["refused"]) > COUNT / 20, seen
