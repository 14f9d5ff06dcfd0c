"""All kinds of load at once, for a while: what the gateway occupies afterwards is what it was.

By HTTP, by TLS, and by SCGI behind nginx. It takes a minute, of the forty that CI has for everything.
ALFORJA_SOAK=600 makes it ten, ALFORJA_FULL=1 an hour. The resident set counts in a build without the race
detector only: ALFORJA=bin/alforja.
"""

import contextlib
import hashlib
import http.client
import os
import random
import socket
import time

import harness
import stored_sessions
from certificates import SecureClient, make_certificate
from counters import Threads
from footprint import check_memory, footprint, settled
from harness import Client, wait_until
from processes import reload_workers, running
from store_driver import FULL
from uploads import MULTIPART, multipart

SECONDS = int(os.environ.get("ALFORJA_SOAK", 3600 if FULL else 60))
ROUNDS = 6
ROUND = SECONDS / ROUNDS


def pages(client, chance):
    assert client.get("/plain").text == "no session here\n"
    assert client.get("/no-such-page").status == 404
    assert client.get("/redirect").status == 302
    assert len(client.get("/big?bytes=300000").body) == 300_000


def counter(client, chance):
    """A session of one client, for as long as the round takes."""
    client.count = getattr(client, "count", 0) + 1
    assert client.get("/counter").text == str(client.count)


def crowd(client, chance):
    """A session of several, which is one for all rounds."""
    client.cookies = {"QX_session": "the-session-of-them-all"}
    assert client.get("/counter?ms=1").status == 200


def visitor(client, chance):
    """Somebody who logs in, buys, and logs out or just stays away."""
    client.cookies = {}
    client.post("/login", {"name": "Teresa"})
    id = client.cookies["QX_session"]
    client.post("/buy", {"item": "x" * chance.randrange(5000)})
    assert client.get("/whoami").json()["user"] == "Teresa"
    if chance.random() < 0.8:
        client.get("/logout")
        assert client.get("/whoami", Cookie=f"QX_session={id}").json()["user"] is None


def stream(client, chance):
    n = chance.randrange(40)
    want = "".join(f"line {line}\n" for line in range(n))
    assert client.get(f"/stream?n={n}&ms=1").text == want


def upload(client, chance):
    data = chance.randbytes(chance.randrange(400_000))
    answer = client.request("POST", "/upload", multipart(data), MULTIPART)
    assert answer.json() == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def leaver(client, chance):
    """A client that leaves in mid-request, or in mid-response."""
    request = chance.choice(
        [
            b"GET /stream?n=50&ms=2 HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /big?bytes=3000000 HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /counter?ms=20 HTTP/1.1\r\nHost: x\r\n\r\n",
            b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\nname="
            + 90_000 * b"x",
            b"GET /plain HTTP/1.1\r\nHo",
        ]
    )
    with socket.create_connection(client.address, harness.DEADLINE) as conn:
        conn.sendall(request)
        conn.settimeout(chance.random() / 10)
        with contextlib.suppress(TimeoutError):
            conn.recv(100)
    time.sleep(0.02)


KINDS = [pages, counter, counter, crowd, crowd, crowd, visitor, visitor, stream, upload, leaver]


class Load(Threads):
    """A client of each kind, from enter to exit; fronts makes a client of each front."""

    def __init__(self, fronts, turn):
        super().__init__()
        self.fronts, self.turn = fronts, turn
        self.requests, self.errors = 0, []

    def __enter__(self):
        for number, kind in enumerate(KINDS):
            # In the next turn each kind comes by the next front. To TLS a leaver would speak in the clear.
            front = 0 if kind is leaver else (number + self.turn) % len(self.fronts)
            self.start(self._run, kind, self.fronts[front](), random.Random(number))
        return self

    def _run(self, kind, client, chance):
        while not self.stopped:
            try:
                kind(client, chance)
            except (
                AssertionError,
                KeyError,
                ValueError,
                OSError,
                http.client.HTTPException,
            ) as error:
                self.errors.append((kind.__name__, error))
                return
            self.requests += 1
        client.close()


def test_soak(gateway, run, tmp_path):
    make_certificate(tmp_path, "localhost")
    cert = tmp_path / "cert.pem"
    g = gateway(
        "--workers", "2", "--worker-max-requests", "1000", "--access-log", "/dev/null",
        "--admin", f"unix:{tmp_path}/admin.sock", "--scgi", f"unix:{tmp_path}/scgi.sock",
        "--https", "127.0.0.1:0", "--tls-cert", cert, "--tls-key", tmp_path / "key.pem",
    )  # fmt: skip
    nginx = run(harness.Nginx(tmp_path, f"unix:{tmp_path}/scgi.sock"))
    fronts = [
        lambda: Client(g.http),
        lambda: SecureClient(g.https, cert),
        lambda: Client(nginx.http),
    ]
    g.admin, g.current = f"unix:{tmp_path}/admin.sock", g.pid
    stored_sessions.make(g.sessions, "the-session-of-them-all")
    wait_until(lambda: len(g.logged("worker ready")) == 2, "they are up")
    before, measured, expired = footprint(g), [], 0
    for turn in range(ROUNDS):
        with Load(fronts, turn) as load:
            time.sleep(ROUND / 2)
            reload_workers(g)
            # Those who have stayed away, of the round before.
            [counts] = stored_sessions.lines(
                *(
                    "expire",
                    "--store",
                    f"directory:{g.sessions}",
                    "--idle",
                    f"{ROUND}s",
                    "--yes",
                    "--json",
                )
            )
            expired += counts["deleted"]
            time.sleep(ROUND / 2)
        assert not load.errors
        wait_until(lambda: len(running(g)) == 2, "two workers run")
        measured.append(settled(g, before, len(KINDS)))
        print(measured[-1], load.requests, "requests")
    for now in measured[2:]:
        check_memory(measured[1], now)
    assert expired > 0
    assert not [line for line in g.lines() if line["level"] == "ERROR"]
