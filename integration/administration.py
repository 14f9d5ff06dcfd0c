"""What an operator has of a running gateway: the commands that speak to it, its admin address, its metrics."""

import http.client
import re
import socket
import subprocess

import harness


def alforja(g, *args):
    return subprocess.run(
        [harness.BINARY, *args, "--admin", g.admin], capture_output=True, text=True, timeout=60
    )


class AdminConnection(http.client.HTTPConnection):
    """To a Unix socket."""

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(harness.DEADLINE)
        self.sock.connect(self.host)


def ask(g, path, method="GET"):
    connection = AdminConnection(g.admin.removeprefix("unix:"))
    connection.request(method, path, headers={"Host": "x"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


def figure(text, name):
    """The value of a metric, labels included in its name."""
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
    return float(found[1]) if found else None
