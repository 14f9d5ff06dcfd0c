import contextlib
import os
import shutil
import signal
import subprocess

import pytest

import harness
from browsing import start_browser
from harness import wait_until
from processes import successors


def pytest_configure():
    if not harness.BINARY.exists():
        raise pytest.UsageError(
            f"{harness.BINARY} is missing: run `make build bin/alforja-race`, or just `make test`"
        )
    programs = (
        "nginx strace chromium chromedriver apache2 lighttpd caddy haproxy openssl systemd-analyze"
    )
    for program in programs.split():
        if shutil.which(program) is None:
            raise pytest.UsageError(f"{program} is missing: run `make setup`")


@pytest.fixture
def run(tmp_path, request):
    """Start servers that end with the test, and none of whose processes outlives it."""
    servers = []

    def start(server):
        servers.append(server)
        return server.start()

    yield start
    failures = []
    for server in reversed(servers):
        try:
            server.stop()
        except AssertionError as error:
            failures.append(str(error))
    for server in servers:
        if isinstance(server, harness.Gateway):
            for pid in server.workers().values():
                if harness.alive(pid):
                    os.kill(pid, signal.SIGKILL)
                    failures.append(f"worker {pid} outlived its gateway")
    assert not failures, "\n".join(failures)


@pytest.fixture
def gateway(tmp_path, run):
    """Start a managed gateway with 4 workers of the test application: gateway(*flags, **options)."""

    def start(*args, **options):
        options.setdefault("command", harness.managed())
        return run(harness.Gateway(tmp_path, *args, **options))

    return start


@pytest.fixture
def browser(tmp_path):
    driver = start_browser(tmp_path / "profile")
    yield driver
    driver.quit()


@pytest.fixture
def chain():
    """Gateways that replaced one another: the last one is nobody's child, and is ended here."""
    gateways = []
    yield gateways
    for g in gateways:
        for pid in successors(g):
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            harness.wait_until(lambda pid=pid: not harness.alive(pid), f"{pid} ends")


@pytest.fixture(scope="session")
def gohandlers(tmp_path_factory):
    path = tmp_path_factory.mktemp("bin") / "gohandlers"
    subprocess.run(
        ["go", "build", "-race", "-o", path, "./integration/gohandlers"],
        cwd=harness.TREE,
        check=True,
    )
    return path


@pytest.fixture
def workers_site(gateway, tmp_path):
    """A gateway with the workers' application: workers_site(*flags, version=None)."""
    version = tmp_path / "VERSION"

    def start(*args, **options):
        version.write_text(options.pop("version", "1"))
        options.setdefault("command", harness.managed("workerapp.create_publisher"))
        if options.pop("admin", False):
            args += ("--admin", f"unix:{tmp_path}/admin")
        g = gateway(*args, env={"VERSION_FILE": str(version)}, **options)
        g.version, g.admin = version, f"unix:{tmp_path}/admin"
        wait_until(lambda: len(g.logged("worker ready")) >= len(g.workers()), "they are up")
        return g

    return start
