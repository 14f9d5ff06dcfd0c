"""alforja.renew_session() in real workers: a new id at login, and the old one is dead."""

import collections
import pickle

import pytest

from harness import APPS, Client, concurrently, managed, stock

FACTORIES = ["managed_session3", "managed_quixote", "shared_session3", "shared_quixote"]


@pytest.fixture
def site(gateway, tmp_path):
    def start(name, *flags):
        factory = f"renewing.create_{name}"
        if name.startswith("managed"):
            return gateway(*flags, "--workers", "4", command=managed(factory))
        env = {"SESSIONS_DIR": str(tmp_path / "sessions")}
        flags += ("--mode", "shared", "--workers", "4")
        return gateway(*flags, command=stock(factory), env=env)

    return start


def stored(g, monkeypatch):
    monkeypatch.syspath_prepend(str(APPS))
    return {path.name: pickle.loads(path.read_bytes()) for path in g.sessions.iterdir()}


@pytest.mark.parametrize("name", FACTORIES)
def test_login(site, name, monkeypatch):
    g = site(name)
    client, thief = Client(g.http), Client(g.http)
    client.get("/count")
    thief.cookies = dict(client.cookies)
    old = client.cookies["QX_session"]
    assert thief.get("/count").json() == {"id": old, "counter": 2}

    client.get("/login?name=sancho")
    new = client.cookies["QX_session"]
    assert new != old
    seen = client.get("/whoami").json()
    assert (seen["session"], seen["user"], seen["counter"]) == (new, "sancho", 2)
    ((id, session),) = stored(g, monkeypatch).items()
    assert (id, session.id, session.user) == (new, new, "sancho")

    seen = thief.get("/whoami").json()
    assert (seen["session"], seen["user"], seen["counter"]) == (None, None, 0)
    assert list(stored(g, monkeypatch)) == [new]


@pytest.mark.parametrize("name", FACTORIES)
def test_request_that_fails_or_is_refused(site, name):
    g = site(name)
    client = Client(g.http)
    client.get("/count")
    old = client.cookies["QX_session"]
    assert client.get("/fail").status == 500
    assert client.get("/count").json() == {"id": old, "counter": 2}
    assert client.get("/refuse").status == 403
    new = client.cookies["QX_session"]
    assert new != old
    assert client.get("/count").json() == {"id": new, "counter": 3}


@pytest.mark.parametrize("name", FACTORIES)
def test_requests_at_the_same_time(site, name):
    """What was counted under the old id is there under the new one; what comes later is not lost on it."""
    g = site(name)
    client = Client(g.http)
    client.get("/count")
    old = client.cookies["QX_session"]
    counted = collections.Counter({old: 1})

    def work(i):
        if i == 0:
            for _ in range(5):
                assert client.get("/count?ms=5").json()["id"] == old
            client.get("/login?name=sancho")
            return ["login"] + [old] * 5
        other = Client(g.http)
        ids = []
        while len(ids) < 200 and (not ids or ids[-1] == old):
            other.cookies = {"QX_session": old}
            ids.append(other.get("/count?ms=5").json()["id"])
        other.close()
        return ids

    for ids in concurrently(6, work):
        counted.update(ids)
    assert counted[None] == 5, "each client has met the dead id, and got a session of its own"
    new = client.cookies["QX_session"]
    assert client.get("/count").json() == {"id": new, "counter": counted[old] + 1}
    assert not (g.sessions / old).exists()


def test_in_the_access_log(site):
    g = site("managed_session3")
    client = Client(g.http)
    client.get("/count")
    client.get("/login?name=sancho")
    (line,) = g.logged('"action": "renew"')
    assert line["session"].startswith(client.cookies["QX_session"][:8])


def test_session3s_own_store_cannot(site):
    g = site("stock")
    client = Client(g.http)
    client.get("/count")
    old = dict(client.cookies)
    answer = client.get("/login?name=sancho")
    assert answer.status == 500
    assert "alforja.DirectorySessionStore as the session manager's store" in answer.text
    assert client.cookies == old and client.get("/count").json()["counter"] == 2
