"""What the operator sees and does: metrics, health, status, reload, drain."""

import json
import os
import re
import signal
import subprocess
import threading

import pytest

import harness
from administration import alforja, ask, figure
from harness import Client, wait_until


@pytest.fixture
def site(gateway, tmp_path):
    def start(*args, **options):
        g = gateway("--admin", f"unix:{tmp_path}/admin.sock", *args, **options)
        g.admin = f"unix:{tmp_path}/admin.sock"
        wait_until(lambda: len(g.logged("worker ready")) >= 2, "workers are up")
        return g

    return start


def test_metrics(site):
    g = site("--workers", "2")
    browser = Client(g.http)
    for _ in range(3):
        browser.get("/counter")
    assert browser.get("/no-such-page").status == 404
    (g.sessions / "bad-session").write_bytes(b"garbage")
    assert browser.get("/plain", Cookie="QX_session=bad-session").status == 200
    (g.sessions / "evil-session").write_bytes(b"cposix\nsystem\n(S'true'\ntR.")
    assert browser.get("/plain", Cookie="QX_session=evil-session").status == 200
    text = wait_until(
        lambda: (
            (t := ask(g, "/metrics")[1])
            and figure(t, 'alforja_requests_total{code="200"}') == 5
            and t
        ),
        "five pages",
    )
    assert figure(text, 'alforja_requests_total{code="404"}') == 1
    assert figure(text, "alforja_request_duration_seconds_count") == 6
    assert figure(text, 'alforja_session_commits_total{action="create"}') == 1
    assert figure(text, 'alforja_session_commits_total{action="save"}') == 2
    assert figure(text, 'alforja_sessions_refused_total{reason="malformed"}') == 1
    assert figure(text, 'alforja_sessions_refused_total{reason="policy"}') == 1
    assert figure(text, 'alforja_workers{pool="/",state="idle"}') == 2
    assert figure(text, 'alforja_workers{pool="/",state="dead"}') == 0
    assert figure(text, 'alforja_queue_length{pool="/"}') == 0
    assert figure(text, 'alforja_worker_starts_total{pool="/"}') == 2
    assert figure(text, 'alforja_worker_resident_bytes{pool="/",worker="1"}') > 1 << 20
    assert figure(text, 'alforja_store_duration_seconds_count{operation="update"}') == 2
    assert figure(text, "process_open_fds") > 0
    assert figure(text, "go_goroutines") > 0


def test_why_requests_failed(site, tmp_path):
    g = site(
        "--workers", "2", "--queue-length", "1", "--queue-wait", "500ms", "--lock-wait", "300ms",
        "--request-timeout", "2s", env={"ALFORJA_DEMO_FAULTS": "1"},
    )  # fmt: skip
    harness.concurrently(5, lambda _: Client(g.http).get("/sleep?ms=1000"))
    browser = Client(g.http)
    browser.get("/counter")
    holder = Client(g.http)
    holder.cookies = dict(browser.cookies)
    path = f"/sleep?ms=1000&touch={tmp_path}/runs"
    slow = threading.Thread(target=holder.get, args=(path,))
    slow.start()
    wait_until((tmp_path / "runs").exists, "a request holds the session")
    assert browser.get("/counter").status == 503
    slow.join()
    assert browser.get("/crash").status == 502
    assert browser.get("/sleep?ms=10000").status == 504
    failed = {
        "queue_full": 2, "queue_wait": 1, "no_worker": 0, "session_busy": 1, "session_store": 0,
        "worker_broke_off": 1, "worker_timeout": 1, "disk": 0,
    }  # fmt: skip
    names = {f'alforja_requests_failed_total{{reason="{x}"}}': failed[x] for x in failed}

    def counted():
        text = ask(g, "/metrics")[1]
        return {name: figure(text, name) for name in names}

    wait_until(lambda: counted() == names, f"{failed} are counted")


def test_promtool_reads_the_metrics(site):
    """Every line is in the text format: name, labels, value."""
    g = site("--workers", "2")
    line = re.compile(
        r'(# (HELP|TYPE) \w+ .*|[a-z_]+(\{\w+="[^"]*"(,\w+="[^"]*")*\})? [-+.\deE]+(Inf)?)$'
    )
    for text in ask(g, "/metrics")[1].splitlines():
        assert line.match(text), text


def test_status_and_workers(site):
    g = site("--workers", "2")
    busy = threading.Thread(target=lambda: Client(g.http).get("/sleep?ms=10000"))
    busy.start()
    wait_until(lambda: "1 busy" in alforja(g, "status").stdout, "one is busy")
    done = alforja(g, "status")
    assert done.returncode == 0
    assert "pool /: 2 workers, 1 idle, 1 busy; 0 requests wait" in done.stdout
    status = json.loads(alforja(g, "status", "--json").stdout)
    assert status["pid"] == g.pid
    lines = [json.loads(x) for x in alforja(g, "workers", "--json").stdout.splitlines()]
    assert {x["pid"] for x in lines} == set(g.workers().values())
    assert sorted(x["state"] for x in lines) == ["busy", "idle"]
    assert all(x["resident"] > x["private"] > 1 << 20 for x in lines)
    table = alforja(g, "workers").stdout.splitlines()
    assert table[0].split() == [
        *("worker", "state", "busy", "requests", "pid", "MiB", "own", "reason")
    ]
    assert len(table) == 3
    busy.join()


def test_health(site, tmp_path):
    g = site("--workers", "2")
    assert ask(g, "/healthz") == (200, "ok\n")
    assert ask(g, "/readyz") == (200, "ready\n")
    os.rename(g.sessions, tmp_path / "moved")
    status, reason = ask(g, "/readyz")
    assert (status, "no such file" in reason or "directory" in reason) == (503, True), reason
    done = alforja(g, "status")
    assert (done.returncode, "not ready" in done.stderr) == (1, True)
    os.rename(tmp_path / "moved", g.sessions)
    assert ask(g, "/readyz") == (200, "ready\n")
    assert ask(g, "/debug/pprof/")[0] == 404
    assert ask(g, "/reload")[0] == 405


def test_reload_command(site):
    g = site("--workers", "2")
    before = set(g.workers().values())
    assert alforja(g, "reload").returncode == 0
    wait_until(lambda: not [p for p in before if harness.alive(p)], "the old ones end")
    assert Client(g.http).get("/plain").status == 200


def test_a_stop_does_not_wait_for_a_reload(workers_site):
    g = workers_site("--workers", "1", admin=True)
    g.version.write_text("hangs")
    answers = []
    reloading = threading.Thread(target=lambda: answers.append(alforja(g, "reload")))
    reloading.start()
    wait_until(lambda: len(g.logged("worker started")) == 2, "new workers are started")
    g.process.send_signal(signal.SIGTERM)
    reloading.join()
    assert answers[0].returncode == 1 and "the gateway is stopping" in answers[0].stderr
    assert g.process.wait(harness.DEADLINE) == 0
    assert not [line for line in g.lines() if "requests cut off" in line["msg"]]


def test_reload_command_tells_what_is_wrong(tmp_path, run):
    config = tmp_path / "alforja.toml"
    text = f"""http = ["127.0.0.1:0"]
store = "directory:{tmp_path}/sessions"
log_format = "json"
admin = ["unix:{tmp_path}/admin.sock"]
workers = 2
command = {json.dumps(harness.managed())}
"""
    config.write_text(text)
    g = harness.Gateway(tmp_path, listen=())
    g.argv = [harness.BINARY, "serve", "--config", config]
    run(g)
    g.admin = f"unix:{tmp_path}/admin.sock"
    wait_until(lambda: len(g.logged("worker ready")) >= 2, "workers are up")
    config.write_text(text + "worker_max_requets = 3\n")
    done = alforja(g, "reload")
    assert done.returncode == 1
    assert 'unknown key "worker_max_requets": did you mean worker_max_requests?' in done.stderr
    config.write_text(text.replace("testapp.create_publisher", "testapp.nothing"))
    done = alforja(g, "reload")
    assert (done.returncode, "the old ones stay" in done.stderr) == (1, True)
    assert figure(ask(g, "/metrics")[1], 'alforja_reloads_total{result="refused"}') == 2
    config.write_text(text + "worker_max_requests = 3\n")
    assert alforja(g, "reload").returncode == 0


def test_commands_over_tcp(gateway):
    g = gateway("--admin", f"127.0.0.1:{(port := harness.free_port())}", "--workers", "1")
    g.logged("worker ready")
    for address in (f"127.0.0.1:{port}", f"localhost:{port}"):
        g.admin = address
        for command in ("status", "workers", "reload"):
            done = alforja(g, command)
            assert done.returncode == 0, done.stderr


def test_drain_command(site):
    """What runs is finished; then the gateway ends, in order."""
    g = site("--workers", "2")
    answers = []
    slow = threading.Thread(target=lambda: answers.append(Client(g.http).get("/sleep?ms=5000")))
    slow.start()
    wait_until(lambda: "1 busy" in alforja(g, "status").stdout, "it runs")
    assert alforja(g, "drain").returncode == 0
    wait_until(lambda: not harness.listens(g.http), "no further connection")
    assert ask(g, "/readyz") == (503, "draining\n")
    slow.join()
    assert answers[0].status == 200
    assert g.process.wait(harness.DEADLINE) == 0


def test_only_the_owner_reaches_it(site):
    g = site("--workers", "2")
    assert os.stat(g.admin.removeprefix("unix:")).st_mode & 0o777 == 0o600


@pytest.mark.parametrize("address", ["0.0.0.0:9000", ":9000", "192.0.2.1:9000"])
def test_not_reachable_from_elsewhere(tmp_path, address):
    done = subprocess.run(
        [
            harness.BINARY, "serve", "--http", "127.0.0.1:0", "--store", f"directory:{tmp_path}/s",
            "--admin", address, "--", "true",
        ],
        capture_output=True, text=True, timeout=20,
    )  # fmt: skip
    assert (done.returncode, "can be reached from elsewhere" in done.stderr) == (2, True)


def test_profile(site):
    g = site("--workers", "2", "--admin-profile")
    assert ask(g, "/debug/pprof/")[0] == 200


def test_no_gateway_there(tmp_path):
    done = subprocess.run(
        [harness.BINARY, "status", "--admin", f"unix:{tmp_path}/none"],
        capture_output=True,
        text=True,
    )
    assert (done.returncode, "no gateway answers at" in done.stderr) == (1, True)
    done = subprocess.run([harness.BINARY, "reload"], capture_output=True, text=True)
    assert (done.returncode, "ALFORJA_ADMIN" in done.stderr) == (2, True)
