"""`systemctl restart` with socket activation: the manager keeps the socket, one gateway follows another."""

import signal
import socket
import subprocess
import threading

import harness
from harness import Client, Server, wait_until


class Activated(Server):
    """A service whose socket, descriptor 3, stays open while it is restarted; sd_listen_fds(3)."""

    def __init__(self, tmp, *args):
        self.socket = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.http = self.socket.getsockname()
        argv = [
            harness.BINARY,
            "serve",
            "--log-format",
            "json",
            "--store",
            f"directory:{tmp}/sessions",
            *args,
        ]
        # LISTEN_PID is the process's own number, which it knows when it runs.
        listening = 'exec 3<&0 </dev/null; LISTEN_FDS=1 LISTEN_FDNAMES=web LISTEN_PID=$$ exec "$@"'
        super().__init__(["sh", "-c", listening, "sh", *argv], tmp / "log")

    def start(self):
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv, stdin=self.socket.fileno(), stdout=log, stderr=log, env=self.env
            )
        return self


def test_restart_refuses_nobody(tmp_path, run):
    """New connections wait in the socket, running requests are finished, no increment is lost."""
    service = run(
        Activated(tmp_path, "--workers", "2", "--http", "systemd:web", "--", *harness.managed())
    )
    assert Client(service.http).get("/plain").status == 200
    stop, failures, counts = threading.Event(), [], []

    def count():
        cookies, mine = {}, 0
        while not stop.is_set():
            client = Client(service.http)  # a connection each: they are what might be refused
            client.cookies = cookies
            try:
                answer = client.get("/counter")
            except OSError as error:
                failures.append(error)
                return
            client.close()
            mine += 1
            if (answer.status, answer.text) != (200, str(mine)):
                failures.append((mine, answer))
                return
        counts.append(mine)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            before = service.pid
            assert service.stop(signal.SIGTERM) == 0
            service.start()
            assert service.pid != before
            wait_until(lambda: Client(service.http).get("/plain").status == 200, "it serves")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failures
    assert len(counts) == 4 and min(counts) > 5
    assert "DATA RACE" not in service.text()
