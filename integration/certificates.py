"""TLS with a certificate of our own, at both ends."""

import http.client
import ssl
import subprocess

from harness import Client


def make_certificate(where, name):
    """Write cert.pem and key.pem for a host name."""
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
        "-days", "2", "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1",
        "-keyout", where / "key.pem", "-out", where / "cert.pem",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)


class SecureClient(Client):
    """A client that trusts one certificate."""

    def __init__(self, address, certificate):
        super().__init__(address)
        self.context = ssl.create_default_context(cafile=str(certificate))

    def request(self, method, path, body=None, headers=None):
        if self.connection is None:
            self.connection = http.client.HTTPSConnection(
                *self.address, timeout=self.timeout, context=self.context
            )
        return super().request(method, path, body, headers)
