"""The Pythons of this machine, and the packages of the matrix for each, installed once."""

import functools
import os
import pathlib
import re
import subprocess
import sys
import threading

from harness import TREE

CACHE = TREE / ".cache" / "matrix"

# What pip says when it is the package that does not want to be installed.
_UPSTREAMS = re.compile("different python version|subprocess-exited-with-error")

# Where pip has said why it did not install something, the most telling line first.
_REASONS = (
    re.compile(r"different python version:.*?(Requires-Python \S+)"),
    re.compile(r"^\s*((?:\w+\.)*\w+(?:Error|Exception): .+)$", re.M),
    re.compile(r"^ERROR: (.+)$", re.M),
)


class UpstreamFailure(Exception):
    """What Quixote, session3 or scgi cannot do, in its own words."""


@functools.lru_cache(maxsize=None)
def interpreter(version):
    """Return the newest Python 3.x of this machine, or None."""
    if version == "{}.{}".format(*sys.version_info):
        return pathlib.Path(sys.executable)
    root = pathlib.Path(os.environ.get("PYENV_ROOT", pathlib.Path.home() / ".pyenv"))

    def patch(path):
        return int(path.parent.parent.name.rpartition(".")[2])

    found = sorted(root.glob(f"versions/{version}.[0-9]*/bin/python"), key=patch)
    return found[-1] if found else None


@functools.lru_cache(maxsize=None)
def full_version(version):
    command = [interpreter(version), "-c", "import platform; print(platform.python_version())"]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True).stdout.strip()


_locks = {}


def installed(version, requirement, *options):
    """Install name==version for a Python, once; return the directory to import it from.

    The options are pip's. A package that does not install there raises UpstreamFailure.
    """
    target = CACHE / full_version(version) / requirement
    with _locks.setdefault(target, threading.Lock()):
        failure = target.with_name(requirement + ".failure")
        if failure.exists():
            raise UpstreamFailure(failure.read_text())
        if not target.exists():
            _install([interpreter(version), "-m", "pip"], [*options, requirement], target, failure)
    return target


def _install(pip, what, target, failure):
    fresh = target.with_name(target.name + ".new")
    done = subprocess.run(
        [*pip, "install", "--no-compile", "--target", fresh, *what],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode == 0:
        fresh.rename(target)
        return
    if not _UPSTREAMS.search(done.stdout) or "installing build dependencies" in done.stdout:
        raise RuntimeError(f"pip did not get as far as {target.name}:\n{done.stdout}")
    reason = next(found[-1] for found in (p.findall(done.stdout) for p in _REASONS) if found)
    said = f"{target.name.partition('==')[0]} does not install: {reason}"
    failure.write_text(said)
    raise UpstreamFailure(said)
