"""The command line: errors that help, exit codes, a configuration file with a key for every flag."""

import json
import re
import subprocess

import pytest

from harness import BINARY, Client, Gateway, managed


def alforja(*args):
    return subprocess.run([BINARY, *args], capture_output=True, text=True, timeout=30)


@pytest.mark.parametrize(
    ("args", "code", "says"),
    [
        (["serv"], 2, "did you mean serve?"),
        (["serve", "--htpp", ":0"], 2, "did you mean --http?"),
        (["serve", "--mode", "manged"], 2, '"managed"'),
        (
            ["serve", "--http", "nonsense", "--store", "memory:", "--", "true"],
            2,
            "neither host:port nor unix:PATH",
        ),
        (["serve", "--store", "memory:", "--", "true"], 2, "set http, https or scgi"),
        (["serve", "--http", "127.0.0.1:0", "--store", "memory:"], 2, "set a command"),
        (["serve", "--http", "127.0.0.1:0", "--", "true"], 2, "--store directory:PATH"),
        (
            ["serve", "--http", "127.0.0.1:0", "--store", "direktory:x", "--", "true"],
            2,
            "did you mean directory?",
        ),
        (
            ["serve", "--http", "127.0.0.1:0", "--store", "memory:", "--", "/no/such/worker"],
            1,
            "/no/such/worker",
        ),
        (["serve", "stray"], 2, "behind --"),
        (
            [
                "serve",
                "--http",
                "127.0.0.1:0",
                "--store",
                "memory:",
                "--access-log-format",
                "common",
                "--",
                "true",
            ],
            2,
            "--access-log-format",
        ),
        (
            ["serve", "--http", "127.0.0.1:0", "--store", "memory:", "--backend", "127.0.0.1:1"],
            2,
            "set a key",
        ),
        (["serve", "--config", "/no/such.toml"], 2, "/no/such.toml"),
        (["demo", "--python", "/no/such/python"], 1, "make demo"),
    ],
)
def test_errors_say_what_to_do(args, code, says):
    done = alforja(*args)
    assert (done.returncode, done.stdout) == (code, ""), done
    assert says in done.stderr, done.stderr
    assert done.stderr.count("\n") <= 3, done.stderr


def test_version():
    assert re.fullmatch(
        r"alforja \d+\.\d+\.\d+\S* \(commit \S+, go1\.\d+.*\)\n", alforja("version").stdout
    )
    assert set(json.loads(alforja("version", "--json").stdout)) == {"version", "commit", "go"}


def test_version_as_a_flag():
    assert alforja("--version").stdout == alforja("version").stdout


def test_help_has_examples():
    for command in ([], ["serve"], ["demo"], ["version"]):
        done = alforja(*command, "--help")
        assert done.returncode == 0
        assert "Examples:" in done.stdout, command


def test_configuration_file(run, tmp_path):
    config = tmp_path / "alforja.toml"
    config.write_text(
        f"""
        http = ["127.0.0.1:0"]
        store = "directory:{tmp_path}/from-the-file"
        workers = 2
        lock_wait = "5s"
        cookie = "MANCHA"
        log_format = "json"
        command = {json.dumps(managed())}
        """
    )
    g = Gateway(tmp_path, "--config", str(config), "--workers", "1", listen=())
    g.argv = [
        str(BINARY),
        "serve",
        "--config",
        str(config),
        "--workers",
        "1",
        "--store",
        f"directory:{g.sessions}",
        "--http",
        "127.0.0.1:0",
    ]
    run(g)
    assert Client(g.http).get("/plain").status == 200
    assert list(g.workers()) == ["1"], "the command line wins"
    assert g.sessions.exists()
    assert not (tmp_path / "from-the-file").exists()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("wrokers = 2", "did you mean workers?"),
        ("lock-wait = '5s'", "did you mean lock_wait?"),
        ("workers = 'many'", "workers"),
        ("http = 8080", "list of strings"),
        ("command = [1]", "list of strings"),
        ("workers =", "line 1"),
        ("[pool]\nworkers = 1", "with two brackets"),
    ],
)
def test_configuration_errors(tmp_path, text, says):
    config = tmp_path / "alforja.toml"
    config.write_text(text)
    done = alforja("serve", "--config", str(config))
    assert done.returncode == 2
    assert says in done.stderr
    assert str(config) in done.stderr


def test_mode_of_the_socket(run, tmp_path):
    path = tmp_path / "a.sock"
    run(
        Gateway(
            tmp_path,
            "--socket-mode",
            "0620",
            command=managed(),
            listen=("--scgi", f"unix:{path}"),
        )
    )
    assert path.stat().st_mode & 0o777 == 0o620


def test_every_flag_has_its_key(tmp_path):
    """A file with a key for each flag of --help is understood."""
    flags = re.findall(r"^ +--([a-z-]+) ?(\S*)", alforja("serve", "--help").stdout, re.M)
    assert len(flags) > 20
    for flag, _ in flags:
        if flag in ("config", "help"):
            continue
        config = tmp_path / f"{flag}.toml"
        config.write_text(
            f"{flag.replace('-', '_')} = {{}}"
        )  # a table: known keys complain about the value
        done = alforja("serve", "--config", str(config))
        assert "unknown key" not in done.stderr, done.stderr


CHECKED = """
http = ["127.0.0.1:0"]
store = "directory:%s/sessions"
command = ["sh", "-c", "true"]
"""


def check(tmp_path, text):
    (tmp_path / "alforja.toml").write_text(text)
    return subprocess.run(
        [BINARY, "check", "--config", tmp_path / "alforja.toml"],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip


def test_check_finds_nothing_and_leaves_nothing(tmp_path):
    done = check(tmp_path, CHECKED % tmp_path)
    assert (done.returncode, done.stdout) == (0, "good\n"), done.stderr
    sizes = "max_body = '100M'\nmax_header = '16K'\nresponse_file = 1000000\n"
    log = f"access_log = '{tmp_path}/log'\n"
    assert check(tmp_path, CHECKED % tmp_path + sizes + log).stdout == "good\n"
    assert [p.name for p in tmp_path.iterdir()] == ["alforja.toml"]


def test_check_says_everything_by_line(tmp_path):
    done = check(
        tmp_path, CHECKED % tmp_path + 'wrokers = 3\nlock_wait = "soon"\n[[pool]]\nname = "a"\n'
    )
    assert done.returncode == 2
    assert f'{tmp_path}/alforja.toml:5: unknown key "wrokers": did you mean workers?' in done.stderr
    assert f"{tmp_path}/alforja.toml:6: lock_wait: " in done.stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[[pool]]\nname = 'a'\n", "alforja.toml:5: the pool has no prefix"),
        ("lock_wait = '-1s'\nlock_queue = -1\n", "alforja.toml:5: lock wait is negative"),
        ("lock_wait = '-1s'\nlock_queue = -1\n", "alforja.toml:6: lock queue is negative"),
        ("max_body = '100X'\n", 'alforja.toml:5: max_body: "100X" is no number of bytes'),
        ("scgi = [':99999']\n", 'alforja.toml:5: address ":99999": "99999" is no port'),
        ("access_log = '/no/such/dir/log'\n", "alforja.toml:5: --access-log /no/such/dir/log"),
        ("access_log = '/'\n", "alforja.toml:5: --access-log / cannot be written: is a directory"),
        ("workers = 2\nmin_workers = 3\n", "alforja.toml:5: min workers 3 is more than"),
        ("log_format = 'xml'\n", "alforja.toml:5: --log-format"),
        ("access_log_format = 'combined'\n", "alforja.toml:5: --access-log-format"),
        (
            "[[pool]]\nname = 'a'\nprefix = '/a'\ncommand = ['no-such-command']\n",
            "alforja.toml:8: worker command",
        ),
        ("worker_user = 'no-such-user'\n", "user of the workers"),
        ("https = ['127.0.0.1:0']\ntls_cert = '/none'\ntls_key = '/none'\n", "/none"),
        ("mode = 'sharde'\n", "want one of"),
        ("socket_mode = 0o660\n", "alforja.toml:5: socket_mode: wants a text in quotes"),
        ("admin = ['0.0.0.0:1']\n", "can be reached from elsewhere"),
        ("static = ['/s=/no/such/dir']\n", "/no/such/dir"),
        ("store_mode = '0777'\n", "alforja.toml:5: "),
        ("run_dir = '/no/such/dir'\n", 'alforja.toml:5: run dir "/no/such/dir"'),
        ("state_dir = '/no/such/dir'\n", "alforja.toml:5: "),
        ("store_owner = 'no-such-user'\n", "alforja.toml:5: "),
        ("shared_method = ['GETT']\n", 'alforja.toml:5: shared method "GETT"'),
        ("store_patience = '-1s'\n", "alforja.toml:5: --store-patience -1s must be"),
        ("health_interval = '0s'\n", "alforja.toml:5: --health-interval"),
        ("max_body = 0\n", "alforja.toml:5: --max-body must be more than 0"),
        (
            "[[pool]]\nname = 'a'\nprefix = '/a'\nbackend = ['/x']\nqueue_length = 0\n",
            "--queue-length must be",
        ),
        ("health_path = '/'\n", "alforja.toml:5: --health-path / is for a --backend"),
        ("[[pool]]\nname = 'a'\nprefix = '/a'\n", "pool a: no workers: set a command"),
        ("[session]\nskip = ['/a']\n", 'alforja.toml:5: unknown key "session"'),
        ("session.skip = ['/a']\n", 'alforja.toml:5: unknown key "session"'),
    ],
)
def test_check_looks_at_what_is_named(tmp_path, text, says):
    done = check(tmp_path, CHECKED % tmp_path + text)
    assert (done.returncode, says in done.stderr) == (2, True), done.stderr
    assert len(done.stderr.splitlines()) <= len(text.splitlines()), (
        "what is wrong, not what follows"
    )
    assert not (tmp_path / "sessions").exists()
