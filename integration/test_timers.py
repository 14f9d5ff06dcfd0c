"""The gateway's threads may be woken late, which saves processor time; its workers' may not."""

import os
import pathlib

from harness import Gateway, managed


def slack(thread):
    """How late the kernel may wake a thread, in nanoseconds."""
    return int(pathlib.Path("/proc", str(thread), "timerslack_ns").read_text())


def test_only_the_gateway_may_be_woken_late(tmp_path):
    g = Gateway(tmp_path, "--workers", "2", command=managed()).start()
    try:
        threads = [slack(thread) for thread in os.listdir(f"/proc/{g.pid}/task")]
        # But for the one that starts the workers: they have theirs from it.
        assert sorted(set(threads)) == [50_000, 300_000] and threads.count(50_000) == 1
        pids = g.logged("worker started") and g.workers().values()
        assert {slack(pid) for pid in pids} == {50_000}
    finally:
        assert g.stop() == 0
