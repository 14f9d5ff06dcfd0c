"""Clients that count in sessions while something happens to the gateway, and what the store must hold afterwards."""

import collections
import contextlib
import http.client
import threading
import time

import stored_sessions
from harness import DEADLINE, Client, wait_until


class Threads:
    """Threads that go on from when they are started until the context ends."""

    def __init__(self):
        self._stop, self._threads = threading.Event(), []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def start(self, work, *args):
        """Run work(*args) in a thread; it is to return when this has stopped."""
        thread = threading.Thread(target=work, args=args)
        self._threads.append(thread)
        thread.start()

    @property
    def stopped(self):
        return self._stop.is_set()


class Counters(Threads):
    """Threads that ask for /counter, several at a session, from enter to exit.

    `acknowledged` has the numbers that the clients of each session were answered, by its id; `failures`
    what they met instead. A client that met anything but a page tries again.
    """

    def __init__(self, address, clients=32, sessions=16):
        super().__init__()
        self.address, self.clients, self.sessions = address, clients, sessions
        self.acknowledged, self.failures = {}, collections.defaultdict(list)

    def __enter__(self):
        cookies = []
        for _ in range(self.sessions):
            client = Client(self.address)
            assert client.get("/counter").text == "1"
            cookies.append(dict(client.cookies))
            self.acknowledged[client.cookies["QX_session"]] = [1]
            client.close()
        for i in range(self.clients):
            self.start(self._count, cookies[i % self.sessions])
        return self

    def _count(self, cookie):
        id = cookie["QX_session"]
        client = Client(self.address, timeout=DEADLINE)
        while not self.stopped:
            client.cookies = dict(cookie)
            try:
                answer = client.get("/counter")
            except (OSError, http.client.HTTPException) as error:
                self.failures[id].append(repr(error))
                time.sleep(0.02)  # nobody may listen just now
                continue
            if answer.status == 200:
                self.acknowledged[id].append(int(answer.text))
            else:
                self.failures[id].append(answer.status)
        client.close()

    @property
    def count(self):
        """How many pages there were."""
        return sum(len(numbers) for numbers in self.acknowledged.values())

    def reach(self, count, timeout=10 * DEADLINE):
        """Wait until there were so many."""
        wait_until(lambda: self.count >= count, f"{count} pages", timeout, interval=0.02)

    def proceed(self, count):
        """Wait for so many more."""
        self.reach(self.count + count)

    def check(self, directory):
        """Every acknowledged increment is in the store, none counted twice, and session3 loads every file.

        A request that failed may have counted all the same.
        """
        for path in directory.iterdir():
            assert stored_sessions.load(directory, path.name), path
        for id, numbers in self.acknowledged.items():
            stored = stored_sessions.load(directory, id).counter
            twice = [n for n, times in collections.Counter(numbers).items() if times > 1]
            assert not twice, (id, twice)
            assert len(numbers) <= stored <= len(numbers) + len(self.failures[id])
            assert max(numbers) <= stored


@contextlib.contextmanager
def load(g, clients=4):
    """Clients that count until the end; then nothing was refused and nothing lost.

    Every second one makes a connection for each request, as web servers do: it is them that another
    gateway's listening would meet.
    """
    failures, counts = [], []

    def count(keeps):
        client, mine = Client(g.http), 0
        while not threads.stopped:
            answer = client.get("/counter")
            if not keeps:
                client.close()
            if answer.status != 200:
                failures.append(answer)
                return
            mine += 1
            if answer.text != str(mine):
                failures.append((mine, answer.text))
                return
        counts.append(mine)

    with Threads() as threads:
        for i in range(clients):
            threads.start(count, i % 2 == 0)
        yield counts
    assert not failures
    assert len(counts) == clients and min(counts) > 0
