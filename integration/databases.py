"""MariaDB and PostgreSQL of a test's own: a directory, a Unix socket, no port, the database "shop".

Both are in another time zone than anybody.
"""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

import psycopg
import pymysql

from harness import Server, wait_until

ZONE = "America/St_Johns"  # half an hour off, and with summer time


class Database:
    """A server in a directory of its own below /tmp: a socket's path has at most 107 bytes."""

    user = None  # whom the server runs as when the tests are run by root

    def __init__(self):
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix="alforja-db-"))
        self.data = self.directory / "data"
        self.prefix = []
        if self.user and os.getuid() == 0:
            shutil.chown(self.directory, self.user)
            self.prefix = [
                "setpriv",
                f"--reuid={self.user}",
                f"--regid={self.user}",
                "--init-groups",
            ]

    def __enter__(self):
        log = self.directory / "log"
        with log.open("wb") as out:
            subprocess.run(
                [*self.prefix, *self.install], check=True, stdout=out, stderr=out, timeout=60
            )
        self.server = Server([*self.prefix, *self.command], log, {"TZ": ZONE})
        self.server.start()
        try:
            wait_until(self.answers, f"{self.command[0]} answers")
        except AssertionError:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        # To PostgreSQL SIGINT says not to wait for clients.
        self.server.stop(signal.SIGINT if self.user == "postgres" else signal.SIGTERM)
        shutil.rmtree(self.directory)

    def run(self, sql, *values):
        """Run a statement, and return its rows."""
        with self.connect() as connection:
            cursor = connection.cursor()
            cursor.execute(sql, values)
            return list(cursor.fetchall()) if cursor.description else []

    def answers(self):
        assert self.server.process.poll() is None, self.server.text()
        try:
            self.connect(self.first).close()
        except (pymysql.MySQLError, psycopg.Error):
            return False
        return True


class MariaDB(Database):
    first = "mysql"
    name = "mysql:shop"

    def __init__(self):
        super().__init__()
        self.socket = self.directory / "socket"
        options = ["--no-defaults", f"--datadir={self.data}"]
        options += ["--user=root"] if os.getuid() == 0 else []
        self.install = ["mariadb-install-db", *options, "--auth-root-authentication-method=normal"]
        self.install += ["--skip-test-db"]
        self.command = [
            "/usr/sbin/mariadbd",
            *options,
            f"--socket={self.socket}",
            "--skip-networking",
        ]
        self.command += [f"--pid-file={self.directory}/pid"]
        self.command += ["--innodb-flush-log-at-trx-commit=0"]

    def __enter__(self):
        super().__enter__()
        with self.connect(self.first) as connection:
            connection.cursor().execute("CREATE DATABASE shop")
        (self.directory / ".my.cnf").write_text(f"[client]\nsocket={self.socket}\nuser=root\n")
        # Where the exporter looks for what its address leaves out.
        self.env = {"HOME": str(self.directory)}
        return self

    def connect(self, database="shop"):
        return pymysql.connect(
            unix_socket=str(self.socket), user="root", database=database, autocommit=True
        )


class PostgreSQL(Database):
    user = "postgres"
    first = "postgres"
    name = "postgres:shop"

    def __init__(self):
        super().__init__()
        # The newest that is installed: Debian keeps them off the PATH.
        found = pathlib.Path("/usr/lib/postgresql").glob("*/bin")
        programs = max(found, key=lambda path: float(path.parent.name))
        options = ["--auth=trust", "--username=shop", "--encoding=UTF8", "--locale=C", "--no-sync"]
        self.install = [programs / "initdb", "-D", self.data, *options]
        self.command = [programs / "postgres", "-D", self.data, "-k", self.directory]
        self.command += [
            "-c",
            "listen_addresses=",
            "-c",
            "fsync=off",
            "-c",
            f"timezone={ZONE}",
        ]

    def __enter__(self):
        super().__enter__()
        self.create("shop", "UTF8")
        self.env = {"PGHOST": str(self.directory), "PGUSER": "shop"}
        return self

    def create(self, database, encoding):
        with self.connect(self.first) as connection:
            connection.autocommit = True
            connection.execute(f"DROP DATABASE IF EXISTS {database}")
            connection.execute(
                f"CREATE DATABASE {database} TEMPLATE template0 ENCODING '{encoding}'"
            )

    def connect(self, database="shop"):
        where = {"host": str(self.directory), "user": "shop", "dbname": database}
        # Not prepared: tables are made anew under open connections.
        return psycopg.connect(**where, prepare_threshold=None)
