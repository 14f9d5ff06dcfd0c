"""Pages in Go and pages in Quixote, on the same sessions."""

import json
import os
import pickle
import signal

import pytest

import harness
from gosite import CLASSES, Site, environment
from harness import Client, Gateway, Nginx, concurrently, managed

# Go beside the Quixote workers in one gateway, in both modes, and Go in a worker of its own.
MODES = ["managed", "shared", "worker"]
EVERYWHERE = [
    *(("managed", name) for name in CLASSES),
    *(("shared", name) for name in ("session", "dict", "shop")),
    *(("worker", name) for name in ("dict", "shop")),
]


def configured(tmp, binary, name, script="", **variables):
    """The same by configuration alone: Go in a worker, which has several requests at a time."""
    config = tmp / "alforja.toml"
    command = [str(binary), "--worker", "--class", CLASSES[name], "--script-name", script]
    cookie = json.loads(variables.get("COOKIE", "{}"))
    config.write_text(f"""
workers = 4
script_name = "{script}"
cookie = "{cookie.get("name", "QX_session")}"

[[pool]]
name = "go"
prefix = "{script}/go/"
command = {json.dumps(command)}
workers = 2
worker_concurrency = 4
""")
    return Gateway(
        tmp,
        "--config",
        config,
        command=managed("migrating.create_publisher"),
        env={**environment(name), **variables},
    )


@pytest.fixture
def site(run, tmp_path, gohandlers):
    def start(mode, name):
        if mode == "worker":
            return run(configured(tmp_path, gohandlers, name))
        return run(Site(tmp_path, gohandlers, mode, name))

    return start


def load(g, client, monkeypatch):
    """The client's session as Python unpickles it."""
    monkeypatch.syspath_prepend(str(harness.APPS))
    monkeypatch.setitem(os.environ, "SESSION_CLASS", "session")
    return pickle.loads((g.sessions / client.cookies["QX_session"]).read_bytes())


@pytest.mark.parametrize(("mode", "name"), EVERYWHERE)
def test_one_login(site, mode, name):
    g = site(mode, name)
    for login, other in (("/login", "/go/"), ("/go/login", "/")):
        client = Client(g.http)
        assert client.get(f"{login}?name=quijote").status == 200
        id = client.cookies["QX_session"]
        if name == "dict" and other == "/":
            client.get("/go/counter")  # session3 does not save one without items
        seen = client.get(f"{other}whoami").json()
        assert (seen["id"], seen["user"]) == (id, "quijote")
        assert seen["type"] == CLASSES[name].rpartition(".")[2]
        assert seen["address"] == "127.0.0.1" and 0 <= seen["age"] < 60

        assert client.get(f"{other}logout").status == 200
        assert "QX_session" not in client.cookies
        assert not (g.sessions / id).exists()
        for page in ("/whoami", "/go/whoami"):
            stale = Client(g.http)
            stale.cookies["QX_session"] = id
            assert stale.get(page).json()["user"] is None


@pytest.mark.parametrize(("mode", "name"), EVERYWHERE)
def test_nothing_is_lost_between_the_two(site, mode, name):
    g = site(mode, name)
    first = Client(g.http)
    first.get("/login?name=quijote")
    clients, rounds = 8, 25

    def count(i):
        client = Client(g.http)
        client.cookies = dict(first.cookies)
        for n in range(rounds):
            page = "/counter" if (i + n) % 2 else "/go/counter"
            assert client.get(f"{page}?ms=2").status == 200
        client.close()

    concurrently(clients, count)
    for page in ("/whoami", "/go/whoami"):
        assert first.get(page).json()["counter"] == clients * rounds


@pytest.mark.parametrize("mode", MODES)
def test_a_cart_survives_what_go_writes(site, mode):
    g = site(mode, "shop")
    client = Client(g.http)
    client.get("/fill")
    path = g.sessions / client.cookies["QX_session"]
    cart = path.read_bytes().partition(b"cart")[2]
    pickled = client.get("/pickled").text
    for i in range(500):
        assert client.get(f"/go/note?text={i}%20%C3%B1").status == 200
        assert client.get("/go/counter").text == str(i + 1)
    # The cart is the last attribute: all that follows its name is as it was.
    assert path.read_bytes().partition(b"cart")[2] == cart
    assert client.get("/pickled").text == pickled
    assert client.get("/whoami").json()["note"] == "499 ñ"
    lines = [{"SKU": "helmet", "N": 1}, {"SKU": "lance", "N": 2}]
    assert client.get("/go/lines").json() == lines
    # These have the whole encoded anew: other bytes, the same cart.
    for page in ("new", "list", "delete"):
        assert client.get(f"/go/{page}").status == 200
        assert client.get("/pickled").text == pickled, page
        assert client.get("/go/lines").json() == lines
    assert client.get("/whoami").json()["note"] == ["a", "b"]


@pytest.mark.parametrize("name", CLASSES)
def test_python_loads_what_go_creates(site, name, monkeypatch):
    g = site("managed", name)
    client = Client(g.http)
    client.get("/go/login?name=quijote")
    session = load(g, client, monkeypatch)
    assert f"{type(session).__module__}.{type(session).__name__}" == CLASSES[name]
    assert (session.id, session.user) == (client.cookies["QX_session"], "quijote")
    assert session.has_info() and session.get_creation_age() < 60
    assert pickle.loads(pickle.dumps(session)).__dict__ == session.__dict__
    monkeypatch.setattr("quixote.get_request", lambda: None)
    before = dict(session.__dict__)
    session.set_user("Sancho")
    assert session.has_form_token(session.create_form_token())
    assert set(before) >= {"id", "user", "_form_tokens", "_access_time", "_creation_time"}


COOKIES = {
    "default": {},
    "name": {"name": "shop.session_1"},
    "path": {"path": '/app/a "quoted" path'},
    "domain": {"domain": ".example.com"},
    "secure": {"secure": True},
    "httponly": {"httponly": True},
    "samesite": {"samesite": "Strict"},
    "all": {
        "name": "S",
        "path": "/",
        "domain": "shop.example.com",
        "secure": True,
        "httponly": True,
        "samesite": "Lax",
    },
}


def cookie_lines(address, prefix, name):
    """What login and logout set, but for the id."""
    client = Client(address)
    answers = [client.get(f"{prefix}login?name=a")]
    id = client.cookies[name]
    answers.append(client.get(f"{prefix}logout"))
    assert [answer.status for answer in answers] == [200, 200]
    return [
        line.replace(id, "ID")
        for answer in answers
        for line in answer.headers.get_all("Set-Cookie")
    ]


def mounted(run, tmp, gohandlers, way, **variables):
    """Where the site is that has Go at $script/go/, and script."""
    if way == "worker":
        g = run(configured(tmp, gohandlers, "shop", script="/app", **variables))
        return g.http, "/app"
    if way == "http":
        return run(Site(tmp, gohandlers, "managed", "shop", **variables)).http, ""
    front = ["--scgi", f"unix:{tmp}/s", "--script-name", "/app"]
    run(Site(tmp, gohandlers, "managed", "shop", *front, **variables))
    return run(Nginx(tmp, f"unix:{tmp}/s", "scgi_param SCRIPT_NAME /app;")).http, "/app"


@pytest.mark.parametrize("way", ["http", "nginx", "worker"])
@pytest.mark.parametrize("cookie", COOKIES.values(), ids=COOKIES)
def test_the_cookie_is_written_as_quixote_does(run, tmp_path, gohandlers, cookie, way):
    address, script = mounted(run, tmp_path, gohandlers, way, COOKIE=json.dumps(cookie))
    name = cookie.get("name", "QX_session")
    lines = cookie_lines(address, f"{script}/", name)
    assert f"; path={cookie.get('path', f'{script}/')}" in lines[0]
    assert cookie_lines(address, f"{script}/go/", name) == lines


@pytest.mark.parametrize(("mode", "name"), EVERYWHERE)
def test_form_tokens_of_either_side(site, mode, name):
    g = site(mode, name)
    client = Client(g.http)
    client.get("/login?name=quijote")
    for make, use in (("/token", "/go/use"), ("/go/token", "/use")):
        token = client.get(make).text
        assert client.get(f"{use}?token={token}").status == 200
        for page in ("/use", "/go/use"):
            assert client.get(f"{page}?token={token}").status == 403


def test_login_in_go_leaves_nothing_to_session_fixation(site):
    g = site("managed", "shop")
    attacker = Client(g.http)
    attacker.get("/fill")
    victim = Client(g.http)
    victim.cookies = dict(attacker.cookies)
    assert victim.get("/go/login?name=quijote").status == 200
    assert victim.cookies != attacker.cookies
    assert attacker.get("/whoami").json()["user"] is None
    assert victim.get("/whoami").json()["user"] == "quijote"
    assert victim.get("/pickled").status == 200  # the cart has moved along


def test_a_worker_in_go_is_supervised_as_one_in_python(site):
    g = site("worker", "shop")
    client = Client(g.http)
    assert client.get("/login?name=quijote").status == 200

    def pids():
        return {pid for name, pid in g.workers().items() if name.startswith("go-")}

    def told(pid):
        lines = g.logged('"worker ready"')
        return [x["after_ms"] for x in lines if x.get("pid") == pid]

    harness.wait_until(lambda: len(pids()) == 2, "both run")
    first = pids()
    for pid in first:
        [after] = harness.wait_until(lambda pid=pid: told(pid), f"{pid} is ready")
        assert after < 5000  # then one that says nothing is believed to be ready
    assert client.get("/go/counter").text == "1"
    for pid in first:
        os.kill(pid, signal.SIGKILL)
    assert client.get("/go/counter").text == "2"
    harness.wait_until(lambda: len(pids()) == 2 and not pids() & first, "others run")
    second = pids()
    g.process.send_signal(signal.SIGHUP)
    harness.wait_until(lambda: not any(map(harness.alive, second)), "they are replaced")
    assert client.get("/go/counter").text == "3"
    assert client.get("/counter").text == "4"
