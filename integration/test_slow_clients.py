"""Clients that send or take one byte a second, beside others: they hold nothing that others need.

ALFORJA_SLOW_CLIENTS says how many there are of each kind; 200 by default. With 1000, use a build without
the race detector, which is many times slower: ALFORJA=bin/alforja ALFORJA_SLOW_CLIENTS=1000.
"""

import asyncio
import http.client
import multiprocessing
import os
import pathlib
import random
import resource
import socket
import statistics
import time

import pytest

import harness
from harness import Client

COUNT = int(os.environ.get("ALFORJA_SLOW_CLIENTS", "200"))
LONG = 20  # so many of the readers want a page that no socket buffer holds
PER_SECOND = 200  # requests of the normal load
LOAD_SECONDS = 4


async def slow_sender(address):
    """A form that comes one byte a second."""
    await asyncio.sleep(random.random())
    _, writer = await asyncio.open_connection(*address)
    writer.write(b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
    while True:
        writer.write(b"x")
        await writer.drain()
        await asyncio.sleep(1)


async def slow_reader(address, path):
    """A page that is taken one byte a second, with as little buffering as the kernel allows."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(random.random())
    with socket.socket() as conn:
        conn.setblocking(False)
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        await loop.sock_connect(conn, address)
        await loop.sock_sendall(conn, b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % path.encode())
        while await loop.sock_recv(conn, 1):
            await asyncio.sleep(1)


def slow_clients(address, count, ready, broken):
    """Run all of them until killed; broken counts those that were thrown out."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4 * count + 200,) * 2)

    async def watched(client):
        try:
            await client
        except OSError:
            pass
        broken.value += 1

    async def main():
        clients = [watched(slow_sender(address)) for _ in range(count)]
        for i in range(count):
            size = 5_000_000 if i < LONG else 200_000
            clients.append(watched(slow_reader(address, f"/big?bytes={size}")))
        everybody = asyncio.gather(*clients)
        await asyncio.sleep(2 + count / 100)
        ready.set()
        await everybody

    asyncio.run(main())


def normal_load(address, seconds):
    """Milliseconds of each request of a steady load, and the statuses."""
    took, statuses = [], set()
    conns = [http.client.HTTPConnection(*address, timeout=harness.DEADLINE) for _ in range(4)]

    def client(conn, begin):
        due = begin
        while due < begin + seconds:
            time.sleep(max(0.0, due - time.monotonic()))
            start = time.perf_counter()
            conn.request("GET", "/plain")
            answer = conn.getresponse()
            answer.read()
            took.append(1000 * (time.perf_counter() - start))
            statuses.add(answer.status)
            due += len(conns) / PER_SECOND

    begin = time.monotonic()
    step = 1 / PER_SECOND
    harness.concurrently(len(conns), lambda i: client(conns[i], begin + i * step))
    for conn in conns:
        conn.close()
    return took, statuses


def percentile(values, share):
    return sorted(values)[int(len(values) * share)]


def memory(pid):
    """Resident megabytes of a process."""
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0


@pytest.fixture
def crowd():
    """Start the slow clients of an address in a process of their own: crowd(address) -> count of those gone."""
    context = multiprocessing.get_context("spawn")
    running = []

    def start(address):
        ready, broken = context.Event(), context.Value("i", 0)
        process = context.Process(target=slow_clients, args=(address, COUNT, ready, broken))
        process.start()
        running.append(process)
        assert ready.wait(60 + COUNT / 10), "the slow clients are there"
        return broken

    def stop():
        while running:
            process = running.pop()
            process.kill()
            process.join()

    start.stop = stop
    yield start
    stop()


def test_slow_clients_beside_normal_ones(gateway, crowd):
    """The 99th percentile is at most 1.5 times that without them, and no worker is held."""
    g = gateway("--workers", "4")
    normal_load(g.http, 1)
    before = memory(g.pid)
    without, beside = [], []
    four_at_once(g)
    unhindered = four_at_once(g)
    for _ in range(3):
        took, statuses = normal_load(g.http, LOAD_SECONDS)
        assert statuses == {200}
        without.append(percentile(took, 0.99))

        broken = crowd(g.http)
        took, statuses = normal_load(g.http, LOAD_SECONDS)
        assert statuses == {200}
        beside.append(percentile(took, 0.99))
        during = memory(g.pid)

        assert four_at_once(g) < 1.5 * unhindered, (
            "one would wait for another if a worker were held"
        )
        assert broken.value == 0, "slow clients are served, not thrown out"
        crowd.stop()

    alone, crowded = statistics.median(without), statistics.median(beside)
    print(
        f"\n{COUNT} slow senders and {COUNT} slow readers: p99 {alone:.2f} ms without, {crowded:.2f} ms beside them "
        f"(of each: {without}, {beside}); {before:.0f} MB without, {during:.0f} MB with"
    )
    # 2 ms is what a scheduler makes of one request in a hundred.
    assert crowded <= 1.5 * alone + 2


def four_at_once(g):
    """How many seconds four requests take that each keep a worker for a while."""
    start = time.monotonic()
    answers = harness.concurrently(4, lambda _: Client(g.http).get("/sleep?ms=1500"))
    assert [a.status for a in answers] == [200] * 4
    return time.monotonic() - start


def test_a_client_that_stands_still_is_cut_off(gateway):
    """Slow is served; still is not: neither a body that stops coming nor a page that is not taken."""
    g = gateway("--workers", "1", "--stall-timeout", "1s")
    with socket.create_connection(g.http, harness.DEADLINE) as conn:
        conn.sendall(b"POST /login HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nabc")
        assert conn.recv(4096).startswith(b"HTTP/1.1 408 ")
    with socket.socket() as conn:
        conn.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        conn.settimeout(harness.DEADLINE)
        conn.connect(g.http)
        conn.sendall(b"GET /big?bytes=20000000 HTTP/1.1\r\nHost: x\r\n\r\n")
        [line] = g.logged('"path": "/big"')
        assert line["bytes"] < 20_000_000
    assert Client(g.http).get("/plain").status == 200
