"""What stands in examples/ runs as it is, but for paths and ports."""

import harness
from harness import Client, Gateway, Nginx, Server

EXAMPLES = harness.TREE / "examples"


class Configured(Gateway):
    """alforja serve --config, with everything from a file."""

    def __init__(self, tmp, config):
        super().__init__(tmp, listen=(), env={"PYTHONPATH": str(EXAMPLES)})
        self.argv = [str(harness.BINARY), "serve", "--config", str(config)]


def test_configuration_behind_nginx(run, tmp_path):
    text = (EXAMPLES / "alforja.toml").read_text()
    changes = {
        "/run/alforja": str(tmp_path),
        "/var/lib/app": str(tmp_path),
        '"python3"': f'"{harness.PYTHON}"',
    }
    for theirs, ours in changes.items():
        assert theirs in text
        text = text.replace(theirs, ours)
    (tmp_path / "alforja.toml").write_text(text)
    g = run(Configured(tmp_path, tmp_path / "alforja.toml"))
    harness.wait_until((tmp_path / "alforja.sock").exists, "the socket is there")

    nginx = Nginx(tmp_path, "unused")
    config = tmp_path / "nginx" / "nginx.conf"
    before, _, rest = config.read_text().partition("        location / {")
    location = (EXAMPLES / "nginx.conf").read_text()
    location = location.replace("/run/alforja", str(tmp_path)).replace(
        "include scgi_params", "include /etc/nginx/scgi_params"
    )
    config.write_text(before + location + rest.partition("        }\n")[2])
    run(nginx)

    browser = Client(nginx.http)
    assert "<form" in browser.get("/").text
    answer = browser.post("/login", {"name": "Sancho <b>"})
    assert answer.headers["Location"] == f"http://127.0.0.1:{nginx.port}/"
    assert "Sancho &lt;b&gt;, visit 1." in browser.get("/").text
    assert "visit 2." in browser.get("/").text
    assert [p.name for p in g.sessions.iterdir()] == [browser.cookies["QX_session"]]
    browser.get("/logout")
    assert "<form" in browser.get("/").text
    assert not list(g.sessions.iterdir())


def test_the_stock_server_runs_the_example_too(run, tmp_path):
    """alforja.SessionStore under Quixote's own SCGI server, on descriptor 3."""
    g = run(
        Gateway(
            tmp_path,
            "--workers",
            "2",
            command=harness.stock("hello.create_publisher"),
            env={"PYTHONPATH": str(EXAMPLES)},
        )
    )
    browser = Client(g.http)
    browser.post("/login", {"name": "Sancho"})
    assert [browser.get("/").text.partition("visit ")[2][0] for _ in range(3)] == ["1", "2", "3"]


def test_outside_of_the_gateway_it_says_what_is_wrong(run, tmp_path):
    port = harness.free_port()
    server = run(
        Server(
            [
                harness.PYTHON,
                "-m",
                "quixote.server.simple_server",
                "--factory",
                "hello.create_publisher",
                "--port",
                str(port),
            ],
            tmp_path / "log",
            env={"PYTHONPATH": str(EXAMPLES)},
        )
    )
    harness.wait_until(lambda: harness.listens(("127.0.0.1", port)), "it listens")
    browser = Client(("127.0.0.1", port))
    browser.post("/login", {"name": "Sancho"})
    harness.wait_until(lambda: "alforja serve" in server.text(), "the error says what to do")
