"""How worker processes are started, watched, replaced and ended."""

import datetime
import json
import os
import pwd
import re
import signal
import subprocess

import pytest

import harness
from counters import load
from harness import Client, wait_until
from processes import running


def test_replaced_after_requests(workers_site):
    g = workers_site("--workers", "2", "--worker-max-requests", "50")
    with load(g):
        wait_until(lambda: len(g.logged("its number of requests is reached")) >= 6, "six replaced")
    wait_until(lambda: len(running(g)) == 2, "two run")


def test_replaced_after_time(workers_site):
    g = workers_site("--workers", "2", "--worker-max-age", "1s")
    first = set(g.workers().values())
    with load(g):
        wait_until(lambda: not (first & running(g)), "the first two have ended")
    assert g.logged("it runs for more than 1s")


def test_replaced_for_its_memory(workers_site):
    g = workers_site("--workers", "1", "--worker-max-memory", "150M")
    browser = Client(g.http)
    [first] = running(g)
    assert browser.get("/pid").text == str(first)
    browser.get("/leak?mb=200")
    g.logged("bytes of memory")
    wait_until(lambda: first not in running(g), "it is replaced")
    assert browser.get("/pid").text != str(first)


def test_replaced_for_its_childrens_memory(gateway):
    """What a stock server answers is answered by children of its own, and so it is they who grow."""
    g = gateway(
        "--workers", "1", "--mode", "shared", "--worker-max-memory", "250M",
        command=harness.stock("workerapp.create_plain_publisher"),
    )  # fmt: skip
    g.logged("worker ready")
    [first] = running(g)
    answered = int(Client(g.http).get("/pid").text)
    assert answered != first
    Client(g.http).get("/leak?mb=300")
    g.logged("bytes of memory")
    wait_until(lambda: first not in running(g), "it is replaced")
    wait_until(lambda: not harness.alive(answered), "with its children")
    assert Client(g.http).get("/pid").status == 200


def test_a_request_in_flight_is_finished(workers_site):
    """The worker is due while it is at a request."""
    g = workers_site("--workers", "1", "--worker-max-age", "300ms", command=harness.managed())
    assert Client(g.http).get("/sleep?ms=3000").status == 200


@pytest.mark.parametrize("version", ["broken", "crashing"])
def test_the_old_worker_stays_when_the_new_one_does_not_start(workers_site, version):
    g = workers_site("--workers", "1", "--worker-max-requests", "5")
    browser = Client(g.http)
    g.version.write_text(version)
    for _ in range(20):
        assert browser.get("/version").text == "1"
    g.logged("the replacement does not start, the old worker stays")
    assert browser.get("/version").text == "1"


def test_as_many_as_the_load_asks_for(workers_site):
    g = workers_site(
        "--workers", "4", "--min-workers", "1", "--worker-idle", "1s", command=harness.managed()
    )
    wait_until(lambda: len(running(g)) == 1, "one runs")
    harness.concurrently(8, lambda _: [Client(g.http).get("/sleep?ms=300") for _ in range(8)])
    assert len(g.workers()) == 4
    wait_until(lambda: len(running(g)) == 1, "one runs again")
    assert Client(g.http).get("/plain").status == 200


@pytest.mark.parametrize("version", ["broken", "crashing"])
def test_further_workers_that_do_not_start_are_given_up(workers_site, version):
    g = workers_site("--workers", "3", "--min-workers", "1", "--worker-idle", "1s")
    g.version.write_text(version)
    harness.concurrently(4, lambda _: Client(g.http).get("/sleep?ms=300"))
    g.logged("does not start and is not needed")
    wait_until(lambda: len(running(g)) == 1, "only the first is left")
    assert Client(g.http).get("/version").text == "1"


def test_start_fails_fast(tmp_path):
    """None of the workers starts at all: the command ends, and says why."""
    done = subprocess.run(
        [
            harness.BINARY, "serve", "--http", "127.0.0.1:0", "--store", f"directory:{tmp_path}/s",
            "--", *harness.managed("workerapp.no_such_factory"),
        ],
        capture_output=True, text=True, timeout=20, env={**os.environ, "PYTHONPATH": str(harness.APPS)},
    )  # fmt: skip
    assert done.returncode == 1
    assert says_why(done.stderr) == [
        "AttributeError: module 'workerapp' has no attribute 'no_such_factory'",
        "no publisher from --factory workerapp.no_such_factory: see above",
    ]


def test_start_fails_fast_for_a_stock_server(tmp_path):
    done = subprocess.run(
        [
            harness.BINARY, "serve", "--http", "127.0.0.1:0", "--mode", "shared",
            "--store", f"directory:{tmp_path}/s", "--", *harness.stock("no.such.factory"),
        ],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert done.returncode == 1
    assert says_why(done.stderr) == ["ModuleNotFoundError: No module named 'no'"]


def says_why(stderr):
    """What the last message of a gateway quotes behind the frames of a worker's traceback."""
    message = stderr.rpartition(
        "alforja: the workers do not start: exit status 1; it last said:\n"
    )[2]
    first, *lines = message.splitlines()
    assert first == "Traceback (most recent call last):"
    return [re.sub(r"^alforja.worker\[\d+\]: ", "", line) for line in lines if line[0] != " "]


@pytest.mark.parametrize("how", ["sleep", "busy", "stop", "c", "deadlock"])
def test_hung(workers_site, how):
    """The client is told, the log says where each thread was, the session is as it was."""
    g = workers_site("--workers", "1", "--request-timeout", "1s")
    browser = Client(g.http)
    assert browser.get("/counter").text == "1"
    [before] = running(g)
    assert browser.get(f"/hang?how={how}").status == 504
    wait_until(lambda: len(g.logged("worker ready")) == 2, "another worker is ready")
    assert browser.get("/counter").text == "2"
    assert before not in running(g)
    [refused] = g.logged("request not answered by a worker")
    assert refused["path"] == "/hang"
    assert refused["err"] == "the worker took longer than the request timeout"
    [ended] = g.logged("worker ended")
    if how == "stop":  # nobody can ask a stopped process
        assert ended["err"] == "signal: killed"
        return
    assert "signal: aborted" in ended["err"]
    assert g.logged('workerapp.py\\", line')
    assert g.logged("in hang")
    assert g.logged("in _bystander")


def test_what_a_dead_worker_has_forked_gets_no_request(workers_site):
    """It holds the connections to the gateway open, which were kept for the next request."""
    g = workers_site("--workers", "1", "--request-timeout", "5s")
    assert Client(g.http).get("/job").text == "begun"
    [first] = running(g)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: len(g.logged("worker ready")) == 2, "the second is ready")
    assert Client(g.http).get("/version").text == "1"
    assert len(g.logged("worker started")) == 2


def test_a_slow_start_is_no_hang(workers_site):
    """Requests that do not live to see a worker ready are no reason to end it and begin anew."""
    g = workers_site("--workers", "1", "--request-timeout", "1s")
    g.version.write_text("slow")
    [first] = running(g)
    os.kill(first, signal.SIGKILL)
    wait_until(lambda: len(g.logged("worker started")) == 2, "the second is started")
    assert Client(g.http).get("/version").status == 504
    wait_until(lambda: len(g.logged("worker ready")) == 2, "the second is ready")
    assert Client(g.http).get("/version").text == "slow"
    assert len(g.logged("worker started")) == 2


def test_a_stock_server_that_hangs_at_its_first_request(gateway, tmp_path):
    """It never says that it is ready; that it has accepted the request is known all the same."""
    g = gateway(
        "--workers", "1", "--mode", "shared", "--request-timeout", "1s",
        command=harness.stock("testapp.create_shared_publisher"), env={"SESSIONS_DIR": str(tmp_path / "sessions")},
    )  # fmt: skip
    assert Client(g.http).get("/sleep?ms=60000").status == 504
    [ended] = g.logged("worker ended")
    assert "signal: aborted" in ended["err"]
    wait_until(lambda: Client(g.http).get("/plain").status == 200, "the next one answers")


def test_surroundings(gateway, tmp_path):
    """A worker that only says where it runs: the interpreter of the tests may be closed to nobody."""
    nobody = pwd.getpwnam("nobody")
    say = 'echo "uid $(id -u), gid $(id -g), umask $(umask), files $(ulimit -n), in $(pwd), EXTRA $EXTRA"'
    g = gateway(
        "--workers", "1", "--worker-dir", "/usr", "--worker-env", "EXTRA=a b=c", "--worker-user", "nobody",
        "--worker-umask", "027", "--worker-limit", "nofile=123",
        command=["sh", "-c", say + "; exec sleep 600"],
    )  # fmt: skip
    [line] = g.logged("EXTRA")
    assert line["line"] == (
        f"uid {nobody.pw_uid}, gid {nobody.pw_gid}, umask 0027, files 123, in /usr, EXTRA a b=c"
    )
    [api] = [line["address"] for line in g.lines() if line.get("kind") == "api"]
    owner = os.stat(api)
    assert (owner.st_uid, owner.st_mode & 0o777) == (nobody.pw_uid, 0o600)
    assert os.stat(os.path.dirname(api)).st_mode & 0o777 == 0o711


@pytest.mark.parametrize("mode", ["managed", "shared"])
def test_another_user_says_that_it_is_ready(gateway, mode):
    """Workers reach NOTIFY_SOCKET in both modes; the interpreter is one that everybody may run."""
    say = (
        "import os, socket, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM);"
        "s.sendto(b'READY=1', os.environ['NOTIFY_SOCKET']); time.sleep(600)"
    )
    g = gateway(
        "--workers", "1", "--mode", mode, "--worker-user", "nobody", "--worker-dir", "/",
        command=["/usr/bin/python3", "-c", say],
    )  # fmt: skip
    [ready] = g.logged("worker ready")
    assert ready["after_ms"] < 4000, "it has said so: silence would have taken five seconds"


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--worker-user", "nobody-of-this-name"], "user of the workers"),
        (["--worker-dir", "/no/such/place"], "working directory of the workers"),
        (["--worker-limit", "files=3"], 'unknown limit "files" (known: as, core'),
        (["--worker-limit", "nofile=many"], "neither a number nor unlimited"),
        (["--worker-umask", "999"], "no octal mode"),
        (["--min-workers", "5"], "min workers 5 is more than workers 4"),
        (["--worker-env", "A"], "want NAME=value"),
        (["--worker-max-memory", "lots"], "no number of bytes"),
    ],
)
def test_wrong_settings(tmp_path, flags, message):
    done = subprocess.run(
        [
            harness.BINARY, "serve", "--http", "127.0.0.1:0", "--store", f"directory:{tmp_path}/s",
            *flags, "--", *harness.managed(),
        ],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert done.returncode in (1, 2)
    assert message in done.stderr


def test_pools_by_prefix(run, tmp_path):
    """Two applications on one gateway share the sessions; the longest prefix answers."""
    config = tmp_path / "alforja.toml"
    config.write_text(f"""
http = ["127.0.0.1:0"]
store = "directory:{tmp_path}/sessions"
workers = 1
log_format = "json"
worker_env = ["WHO=all", "VERSION_FILE={tmp_path}/one"]
command = {json.dumps(harness.managed("workerapp.create_publisher"))}

[[pool]]
name = "two"
prefix = "/version"
command = {json.dumps(harness.managed("workerapp.create_publisher"))}
worker_env = ["VERSION_FILE={tmp_path}/two"]
workers = 2
""")
    (tmp_path / "one").write_text("one")
    (tmp_path / "two").write_text("two")
    g = harness.Gateway(tmp_path, listen=())
    g.argv = [harness.BINARY, "serve", "--config", config]
    g.process = None
    run(g)
    g.logged("listening")
    browser = Client(wait_until(lambda: dict(g.listening()).get("http"), "it listens"))
    assert browser.get("/version").text == "two"
    assert browser.get("/versionx").status == 404
    assert [browser.get("/counter").text for _ in range(2)] == ["1", "2"]
    wait_until(lambda: set(g.workers()) == {"1", "two-1", "two-2"}, "three workers run")


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ('name = "a"\ncommand = ["true"]', "no prefix"),
        ('prefix = "/a"\ncommand = ["true"]', "want letters, digits and _"),
        ('name = "a"\nprefix = "/a"\nworker = 3', 'unknown key "worker": did you mean workers?'),
        ('name = "a"\nprefix = "a"\ncommand = ["true"]', "does not begin with a slash"),
        ('name = "a"\nprefix = "/"\ncommand = ["true"]', 'two pools answer "/"'),
        ('name = "a"\nprefix = "/a"', "no workers"),
    ],
)
def test_wrong_pools(tmp_path, table, message):
    config = tmp_path / "alforja.toml"
    config.write_text(
        f'http = ["127.0.0.1:0"]\nstore = "directory:{tmp_path}/s"\ncommand = ["true"]\n[[pool]]\n{table}\n'
    )
    done = subprocess.run(
        [harness.BINARY, "serve", "--config", config], capture_output=True, text=True, timeout=20
    )
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


def test_reload_under_load(workers_site):
    """Fresh workers, of the code as it is now, and no request refused."""
    g = workers_site("--workers", "3")
    with load(g, 8):
        for version in ("2", "3", "4", "5", "6"):
            g.version.write_text(version)
            before = running(g)
            g.process.send_signal(signal.SIGHUP)
            wait_until(lambda v=version: Client(g.http).get("/version").text == v, "the new one")
            wait_until(lambda b=before: not (b & running(g)), "the old ones end")
    assert len(g.logged('"reloaded"')) == 5


def test_reload_of_what_does_not_start(workers_site):
    g = workers_site("--workers", "2")
    browser = Client(g.http)
    before = running(g)
    g.version.write_text("broken")
    with load(g):
        g.process.send_signal(signal.SIGHUP)
        [line] = g.logged("not reloaded, everything stays as it was")
    assert "this version does not start" in line["err"]
    wait_until(lambda: running(g) == before, "the old ones and no others run")
    assert browser.get("/version").text == "1"
    g.version.write_text("2")
    g.process.send_signal(signal.SIGHUP)
    wait_until(lambda: browser.get("/version").text == "2", "the next reload works")


def test_crash_loops_back_off(workers_site):
    """It worked once; then it does not any more: the client is told soon, the log says why."""
    g = workers_site("--workers", "2")
    assert Client(g.http).get("/version").text == "1"
    g.version.write_text("broken")
    for pid in running(g):
        os.kill(pid, signal.SIGKILL)
    lines = g.logged("ended before it answered anything, once more")
    assert "this version does not start" in lines[0]["err"]
    wait_until(lambda: Client(g.http).get("/").status == 503, "nobody is left waiting", timeout=10)
    wait_until(lambda: len({line["again_in"] for line in g.logged("again_in")}) >= 2, "backs off")
    g.version.write_text("2")
    wait_until(lambda: Client(g.http).get("/version").text == "2", "it comes back", timeout=20)


def test_not_reloaded_to_what_crashes(workers_site):
    """Told at once, not when the time to start has passed."""
    g = workers_site("--workers", "2")
    g.version.write_text("crashing")
    g.process.send_signal(signal.SIGHUP)
    [line] = g.logged("not reloaded, everything stays as it was")
    assert "signal: segmentation fault" in line["err"]
    assert Client(g.http).get("/version").text == "1"


def test_ready_before_requests(workers_site):
    """A worker that takes its time to start gets no request while another is up."""
    g = workers_site("--workers", "1")
    g.version.write_text("slow")
    g.process.send_signal(signal.SIGHUP)
    while "slow" != Client(g.http).get("/version").text:
        pass
    [ready] = [moment(x) for x in g.logged("worker ready") if x["worker"] == "2"]
    begun = [moment(x) - x["ms"] / 1000 for x in g.logged('"path"') if x["worker"] == "2"]
    assert begun and min(begun) > ready - 0.5, (
        "its start takes 1.5 s, and the old one answered meanwhile"
    )


def moment(line):
    """When a line was logged, in seconds."""
    return datetime.datetime.fromisoformat(line["time"][:26] + "+00:00").timestamp()


def test_log_names_states(workers_site):
    """By the words of `alforja workers` and the metrics, from the start to the end."""
    g = workers_site("--workers", "1")
    g.process.send_signal(signal.SIGHUP)
    wait_until(lambda: g.logged("worker ended"), "the old worker has ended")
    told = [line["state"] for line in g.lines() if line.get("worker") == "1" and "state" in line]
    assert told == ["starting", "idle", "draining", "dead"]


@pytest.mark.parametrize("flags", [(), ("--preload",)])
def test_the_log_holds_no_whole_session_id(gateway, flags):
    """Quixote prints the cookie of a page that fails. Who may read the log gets no session by it."""
    g = gateway("--workers", "1", *flags)
    client = Client(g.http)
    client.get("/counter")
    assert client.get("/crash").status == 500
    id = client.cookies["QX_session"]
    assert any(id[:8] in line["line"] for line in g.logged("HTTP_COOKIE"))
    assert id not in g.text()
