"""What comes from outside cannot touch another session."""

import base64

import harness
from harness import Client, raw


def test_client_sent_variables_are_dropped(gateway, run, tmp_path):
    g = gateway("--scgi", "127.0.0.1:0")
    for headers in (
        {"ALFORJA_SESSION": "gASVAAAA", "Alforja-Session": "x delete y", "Alforja-Nonce": "x"},
        {"Alforja_Session_Id": "victim", "ALFORJA-API": "/tmp/x"},
    ):
        environ = Client(g.http).request("GET", "/environ", headers=headers).json()
        assert not [name for name in environ if "ALFORJA" in name.upper()], environ
    variables = {
        "CONTENT_LENGTH": "0",
        "SCGI": "1",
        "REQUEST_METHOD": "GET",
        "REQUEST_URI": "/environ",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "ALFORJA_SESSION": "gASVAAAA",
        "ALFORJA_SESSION_ID": "victim",
        "ALFORJA_NONCE": "mine",
        "ALFORJA_SOMETHING": "else",
        "HTTP_ALFORJA_SESSION": "x",
        "HTTP_PROXY": "evil:80",
    }
    block = "".join(f"{k}\0{v}\0" for k, v in variables.items()).encode()
    answer = raw(g.scgi, b"%d:%s," % (len(block), block))
    assert answer.startswith(b"Status: 200"), answer
    assert b"ALFORJA_" not in answer
    assert b"HTTP_PROXY" not in answer


def test_an_echoed_header_cannot_write_sessions(gateway):
    """An application that copies user input into a response header."""
    g = gateway()
    victim = Client(g.http)
    victim.get("/counter")
    id = victim.cookies["QX_session"]
    before = (g.sessions / id).read_bytes()
    state = base64.b64encode(b"N.").decode()
    attacker = Client(g.http)
    for directive in (
        f"guessednonce delete {id}",
        f"guessednonce save {id} {state}",
        f"guessednonce create planted {state}",
        f"delete {id}",
    ):
        answer = attacker.request(
            "GET",
            "/echo-header?name=Alforja-Session&value="
            + directive.replace(" ", "%20").replace("+", "%2B"),
        )
        assert answer.status == 200
        assert "Alforja-Session" not in answer.headers
    assert (g.sessions / id).read_bytes() == before
    assert [p.name for p in g.sessions.iterdir()] == [id]
    assert len(g.logged("dropped an Alforja-Session header")) == 4
    assert victim.get("/counter").text == "2"


def test_own_session_next_to_an_injected_header(gateway):
    """Two directives in one response: none is followed."""
    g = gateway("--workers", "1")
    browser = Client(g.http)
    browser.get("/counter")
    [path] = g.sessions.iterdir()
    before = path.read_bytes()
    line = "Alforja-Session: x delete " + path.name
    answer = browser.request(
        "GET", "/echo-header?name=X-Echo&value=" + "a%0D%0A" + line.replace(" ", "%20")
    )
    assert answer.status in (200, 502)
    assert path.exists()
    assert "Alforja-Session" not in answer.headers
    assert (
        before
    )  # whether the page's own save counted does not matter; that the session is whole does
    assert browser.get("/whoami").json()["session"] == path.name


def test_the_worker_sees_no_secret_in_an_error_page(gateway):
    g = gateway("--workers", "1")
    browser = Client(g.http)
    browser.get("/counter")
    page = browser.get("/incrementfail")
    assert page.status == 500
    assert "ALFORJA_" not in page.text
    assert harness.alive(g.workers()["1"])
