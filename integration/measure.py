"""What a command costs by itself."""

import subprocess
import sys

# A process starts with the memory of the one that it is forked from: the
# caller's would be counted. This one is small.
_CHILD = """
import os, sys, time
start = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, usage = os.wait4(pid, 0)
took = time.perf_counter() - start
print(usage.ru_maxrss, took, usage.ru_utime + usage.ru_stime, file=sys.stderr)
sys.exit(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 99)
"""


class Run:
    """A command that has ended as it may: its output, what it said on standard error,
    the KiB of memory that it had at most, its seconds."""

    def __init__(self, command, timeout=300, env=None, stdout=subprocess.PIPE, may_end=(0,)):
        done = subprocess.run(
            [sys.executable, "-S", "-c", _CHILD, *map(str, command)],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            timeout=timeout,
            env=env,
        )
        assert done.returncode in may_end, done
        self.output = done.stdout
        *errors, measured = done.stderr.splitlines(keepends=True)
        self.errors = "".join(errors)
        kib, took, used = measured.split()
        self.kib, self.seconds, self.processor_seconds = int(kib), float(took), float(used)
