"""Records in hostile_cpython.jsonl what CPython does with each pickle of hostile.jsonl.

    python3 hostile_cpython.py

Each pickle is loaded by the C unpickler in a process of its own: in namespaces
without a network and without other users, in an empty directory, with 512 MiB
of memory, 2 seconds of CPU time, and an audit hook that notes what happens and stops
whatever runs code, opens files to write, or leaves the process. The module
myapp.sessions of an imagined application is there to be imported.

A line holds the name, the first 16 hexadecimal digits of the pickle's SHA-256,
the version of CPython, what became of it, and where there are any: the imports that it asked for, the
calls of functions, the audit events, and the error, in which PREFIX is where that
CPython is installed, and SCRATCH the empty directory. What became of it is

    loads     nothing but objects were made
    effect    it called a function, imported what was not there, changed a class or module,
              or did what the hook stopped
    raises    an error before any effect
    memory    MemoryError, or the process was killed for memory
    hangs     it was still busy after 2 seconds of CPU time
    crashes   the interpreter died
"""

import _pickle
import builtins
import collections
import dataclasses
import hashlib
import io
import json
import os
import pickle
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
import types

HERE = os.path.dirname(os.path.abspath(__file__))
MEMORY = 512 << 20
SECONDS = 2

# Audit events that making objects raises by itself.
QUIET = {
    "pickle.find_class",
    "object.__getattr__",
    "object.__setattr__",
    "array.__new__",
    "import",
    "builtins.id",
}

# What harmless pickles import too is there beforehand, so that only other imports show.
HARMLESS = (
    "builtins collections copyreg datetime decimal fractions functools http operator pathlib random"
    " urllib.parse uuid zoneinfo encodings.latin_1 encodings.ascii"
).split()


class Stopped(BaseException):
    """The audit hook ends what would have an effect; nothing in a pickle catches it."""


class Recorder(_pickle.Unpickler):
    def find_class(self, module, name):
        imports.append("%s.%s" % (module, name))
        found = super().find_class(module, name)
        if isinstance(found, (types.FunctionType, types.BuiltinFunctionType)) and name != "getattr":
            return calling("%s.%s" % (module, name), found)
        return found


imports, calls, events = [], [], []


def calling(path, function):
    def called(*args, **kwargs):
        calls.append("%s%.100r" % (path, args))
        return function(*args, **kwargs)

    called.__reduce_ex__ = function.__reduce_ex__
    return called


def application():
    """Put a package into sys.modules, as an application with sessions has one."""
    app, sessions = types.ModuleType("myapp"), types.ModuleType("myapp.sessions")

    class ShopSession:
        class Inner:
            pass

        def save(self):
            calls.append("ShopSession.save")

        def set_user(self, user):
            self.user = user

        def run(self):
            calls.append("ShopSession.run")

    class AdminSession(ShopSession):
        pass

    class Basket(collections.UserDict):
        pass

    class Table(dict):
        pass

    class Label(str):
        pass

    class Failure(Exception):
        pass

    class Harmless(Failure):
        pass

    class Point(tuple):
        pass

    @dataclasses.dataclass(frozen=True)
    class Frozen:
        a: object = None

    def rebuild(*args):
        return ShopSession()

    rebuild.__module__ = "myapp.sessions"
    own = (ShopSession, AdminSession, Basket, Table, Label, Failure, Harmless, Frozen, Point)
    for c in own:
        c.__module__, c.__qualname__ = "myapp.sessions", c.__name__
        setattr(sessions, c.__name__, c)
    # What its own modules import is an attribute of them.
    sessions.__dict__.update(
        class_of=lambda name: ShopSession,
        rebuild=rebuild,
        pick=rebuild,
        os=os,
        _os=os,
        eval=eval,
        code=rebuild,
    )
    settings, tasks = types.ModuleType("myapp.settings"), types.ModuleType("myapp.tasks")
    settings.OPTIONS, settings.ADMINS = {}, set()
    settings.options, settings.module = lambda: settings.OPTIONS, lambda: settings
    tasks.Popen, own_pickle = subprocess.Popen, types.ModuleType("myapp.pickle")
    own_pickle.loads = pickle.loads
    own_subprocess = types.ModuleType("myapp.subprocess")
    own_subprocess.call = subprocess.call
    app.__path__, app.sessions = [], sessions
    sys.modules.update({
        "myapp": app, "myapp.sessions": sessions, "myapp.settings": settings, "myapp.tasks": tasks,
        "myapp.pickle": own_pickle, "myapp.subprocess": own_subprocess,
    })  # fmt: skip
    return (
        (ShopSession, dict(vars(ShopSession))),
        (app, dict(vars(app))),
        (sessions, dict(vars(sessions))),
    )


def changed(before):
    """Name the classes and modules of the application that are not as they were."""
    for thing, attributes in before:
        for name in set(vars(thing)) ^ set(attributes):
            yield "%s.%s" % (thing.__name__, name)
        for name in set(vars(thing)) & set(attributes):
            if vars(thing)[name] is not attributes[name]:
                yield "%s.%s" % (thing.__name__, name)
    if sys.modules["myapp.settings"].OPTIONS or sys.modules["myapp.settings"].ADMINS:
        yield "myapp.settings"


def hook(event, args):
    if not recording or event in QUIET:
        return
    if importing:  # modules are read and run
        if event in (
            "compile",
            "exec",
            "marshal.loads",
            "os.listdir",
            "os.scandir",
            "sys._getframe",
        ):
            return
        if event == "open" and not set(str(args[1] or "")) & set("wax+"):
            return
    if event == "open" and isinstance(args[0], int):
        return  # of a descriptor that it has already
    events.append("%s %.120r" % (event, args))
    raise Stopped(event)


def noting(importer):
    """Wrap __import__ to note what is imported that was not there."""

    def imported(name, *args, **kwargs):
        if recording and not importing and name not in sys.modules:
            events.append("import %s" % name)
        importing.append(name)
        try:
            return importer(name, *args, **kwargs)
        finally:
            importing.pop()

    return imported


importing = []
recording = False


def one(data):
    """Load one pickle in this process and print what it did."""
    global recording
    before = application()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS + 1))
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    for module in HARMLESS:
        __import__(module)
    builtins.__import__ = noting(builtins.__import__)
    sys.addaudithook(hook)
    outcome, error = "loads", None
    environ = dict(os.environ)
    recording = True
    try:
        value = Recorder(io.BytesIO(data)).load()
    except Stopped as e:
        outcome, error = "effect", str(e)
    except MemoryError:
        outcome = "memory"
    except Exception as e:
        outcome, error = "raises", "%s: %.150s" % (type(e).__name__, e)
    except BaseException as e:
        outcome, error = "effect", "%s: %.150s" % (type(e).__name__, e)
    recording = False
    effects = ["changes " + name for name in sorted(changed(before))]
    if dict(os.environ) != environ:
        effects.append("changes os.environ")
    failed_import = (error or "").startswith("ModuleNotFoundError")
    if outcome != "memory" and (calls or effects or events and not failed_import):
        outcome = "effect"
    if outcome == "loads":
        error = type(value).__module__ + "." + type(value).__qualname__
    line = {"outcome": outcome, "imports": imports, "calls": calls, "events": events + effects}
    if error:
        line["made" if outcome == "loads" else "error"] = error
    text = json.dumps({k: v for k, v in line.items() if v})
    for place, name in ((os.getcwd(), "SCRATCH"), (sys.prefix, "PREFIX")):
        text = text.replace(place, name)
    sys.stdout.write(re.sub("0x[0-9a-f]+", "0x0", text))


def isolated():
    """Return the command that gives a process namespaces of its own, where that is allowed."""
    command = ["unshare", "--user", "--map-root-user", "--net", "--ipc", "--pid", "--fork", "--"]
    try:
        subprocess.run([*command, "true"], check=True, capture_output=True, timeout=10)
    except (OSError, subprocess.SubprocessError):
        sys.exit(
            "hostile_cpython.py: unshare does not work here, and without it these pickles are not to be loaded"
        )
    return command


def run(command, data):
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        try:
            done = subprocess.run(
                [*command, sys.executable, "-I", "-B", os.path.abspath(__file__), "--one"],
                input=data,
                capture_output=True,
                cwd=scratch,
                env={"PATH": "/usr/bin:/bin", "HOME": scratch},
                timeout=30,
            )
        except subprocess.TimeoutExpired:
            return {"outcome": "hangs"}
        left = sorted(os.listdir(scratch))
    if done.returncode == 0 and done.stdout:
        line = json.loads(done.stdout.decode().rpartition("\n")[2])
    elif time.monotonic() - start >= SECONDS:
        line = {"outcome": "hangs"}
    else:
        line = {"outcome": "crashes", "error": "exit status %d" % done.returncode}
    if left:
        line["files"] = left
    return line


def main():
    if sys.argv[1:] == ["--one"]:
        return one(sys.stdin.buffer.read())
    command = isolated()
    python = platform.python_version()
    counts = {}
    with open(os.path.join(HERE, "hostile.jsonl")) as samples:
        cases = [json.loads(line) for line in samples]
    with open(os.path.join(HERE, "hostile_cpython.jsonl"), "w") as f:
        for c in cases:
            data = bytes.fromhex(c["hex"])
            line = {
                "name": c["name"],
                "sha256": hashlib.sha256(data).hexdigest()[:16],
                "python": python,
            }
            line.update(run(command, data))
            counts[line["outcome"]] = counts.get(line["outcome"], 0) + 1
            f.write(json.dumps(line) + "\n")
    print(counts)


if __name__ == "__main__":
    main()
