"""Eight clients, one session, no lost update; and the same against the stock stack."""

import pytest

import harness
from harness import Client, concurrently, managed, stock

CLIENTS, ROUNDS = 8, 50


def increment_together(address):
    """Have all clients increment one session's counter; return what it counts afterwards."""
    first = Client(address)
    start = int(first.get("/counter").text)
    assert first.cookies, "the first increment sets the session cookie"

    def client(_):
        browser = Client(address)
        browser.cookies = dict(first.cookies)
        for _ in range(ROUNDS):
            assert browser.get("/counter?ms=5").status == 200
        browser.close()

    concurrently(CLIENTS, client)
    return int(first.get("/counter").text) - start - 1


@pytest.mark.parametrize("mode", ["managed", "shared"])
def test_nothing_is_lost(gateway, tmp_path, mode):
    command = managed() if mode == "managed" else stock()
    env = {"SESSIONS_DIR": str(tmp_path / "sessions")}
    g = gateway("--mode", mode, "--workers", "4", command=command, env=env)
    assert increment_together(g.http) == CLIENTS * ROUNDS


def test_last_write_wins_is_what_it_says(gateway):
    g = gateway("--concurrency", "last-write-wins", "--workers", "4")
    assert increment_together(g.http) < CLIENTS * ROUNDS


def test_the_stock_stack_loses_about_half(tmp_path, run):
    sessions = tmp_path / "sessions"
    sessions.mkdir()
    port = harness.free_port()
    server = run(
        harness.Server(
            [*stock(), f"--port={port}"],
            tmp_path / "stock.log",
            env={"SESSIONS_DIR": str(sessions)},
        )
    )
    harness.wait_until(lambda: harness.listens(("127.0.0.1", port)), "the stock server listens")
    nginx = run(
        harness.Nginx(
            tmp_path,
            f"127.0.0.1:{port}",
            extra="scgi_param SCRIPT_NAME ''; scgi_param PATH_INFO $uri;",
        )
    )
    kept = increment_together(nginx.http)
    print(f"stock stack: {kept} of {CLIENTS * ROUNDS} increments kept")
    assert kept < CLIENTS * ROUNDS * 0.8, server.text()[-2000:]
