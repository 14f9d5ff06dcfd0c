"""CPython's side of the comparison: reads pickles in batches and says what load() does.

Standard input holds requests: flags (1 byte), a length (4 bytes, little-endian)
and that many bytes; with the flag PAIR a second length and pickle follow.
For each a reply is written: its length (4 bytes) and then

    outcome (1 byte: 0 loaded, 1 not), bytes read (4), persistent ids (4),
    five texts, each after its length (4): the imports in order and the
    attributes taken by getattr() (both as "module name" lines), the error, what other
    readers of CPython saw differently, and what went wrong with real types.

Flags: READERS loads from a buffered file too, PURE by the unpickler in Python
too, REAL with the harmless types of
the standard library in place of stand-ins, under an audit hook, and PAIR
compares what the two pickles load to. FLUSH says that the
replies so far are waited for.
"""

import _pickle
import io
import pickle
import resource
import signal
import struct
import sys
import time
import types

import standins

READERS, REAL, PAIR, FLUSH, PURE = 1, 2, 4, 8, 16
MEMORY = 1 << 30  # bytes of address space: a bomb raises MemoryError
SLOW = 1.0  # seconds of processor time for one load
PATIENCE = 2.0  # seconds of processor time for one input, at which SIGVTALRM ends the process


class Recorder:
    """What find_class and persistent_load are asked for, and stand-ins in reply."""

    def __init__(self, file, protocol):
        super().__init__(file)
        self.protocol, self.imports, self.persistent = protocol, [], 0

    def find_class(self, module, name):
        names = standins.resolved(module, name, self.protocol)
        self.imports.append(names)
        return standins.standin(*names)

    def persistent_load(self, pid):
        self.persistent += 1
        return standins.Made(pid)


class C(Recorder, _pickle.Unpickler):
    pass


class Pure(Recorder, pickle._Unpickler):
    pass


class Real(C):
    """Imports for real what belongs to the standard library: for pickles that the policy lets through."""

    def find_class(self, module, name):
        names = standins.resolved(module, name, self.protocol)
        if names[0].partition(".")[0] not in sys.stdlib_module_names or names[0] not in sys.modules:
            return standins.standin(*names)
        if names == ("builtins", "getattr"):
            return real_getattr
        return _pickle.Unpickler.find_class(self, module, name)


def real_getattr(*args):
    attribute = standins.attribute(*args)
    return getattr(*args) if attribute is None else attribute


def protocol_of(data):
    return data[1] if len(data) > 1 and data[0] == 0x80 else 0


def load(reader, data, buffered=False):
    """Return the unpickler, the value, and the error in place of it."""
    standins.forget()
    file = io.BytesIO(data)
    if buffered:
        file = io.BufferedReader(file)
    unpickler = reader(file, protocol_of(data))
    try:
        value, error = unpickler.load(), None
    except Exception as e:
        value, error = None, e
    unpickler.used = file.tell()
    unpickler.attributes = standins.attributes[:]
    return unpickler, value, error


def describe(error):
    return "" if error is None else f"{type(error).__name__}: {error}"


def other_readers(data, want, pure):
    """Load as from a buffered file, and by the unpickler in Python."""
    readers = [("buffered", C, True), ("pure", Pure, False)]
    for name, reader, buffered in readers if pure else readers[:1]:
        got, _, error = load(reader, data, buffered)
        if error is not None:
            return f"{name}: {describe(error)}"
        if (got.imports, got.attributes, got.persistent) != (
            want.imports,
            want.attributes,
            want.persistent,
        ):
            return f"{name}: {got.imports!r} {got.attributes!r}"
        if got.used != want.used:
            return f"{name}: read {got.used} bytes"
    return ""


class Audit:
    """Notes what loading does beside making objects."""

    # Names of files and packages in which zoneinfo looks up a key.
    ZONES = ("tzdata",)

    def __init__(self):
        self.on, self.events = False, []
        sys.addaudithook(self.hook)

    def hook(self, event, args):
        if not self.on:
            return
        if event in ("pickle.find_class", "array.__new__", "object.__getattr__"):
            return
        if event == "import" and str(args[0]).split(".")[0] in self.ZONES:
            return
        if event == "open" and "zoneinfo" in str(args[0]):
            return
        if event == "os.listdir" and args[0] in sys.path:
            return
        self.events.append(f"{event} {args!r:.80}")


def real(audit, data):
    audit.events, audit.on = [], True
    start = time.process_time()
    _, value, error = load(Real, data)
    took = time.process_time() - start
    audit.on = False
    if audit.events:
        return value, error, "; ".join(audit.events)
    if took > SLOW:
        return value, error, f"took {took:.1f} s"
    if isinstance(error, MemoryError):
        return value, error, "MemoryError"
    return value, error, ""


def compare(audit, data, again):
    """Load both with real types and compare; what data does not load to cannot be compared."""
    value, error, bad = real(audit, data)
    if error is not None or bad:
        return bad
    value2, error, _ = real(audit, again)
    if error is not None:
        return "encoded again: " + describe(error)
    try:
        Comparer().same(value, value2, "")
    except standins.check.Different as e:
        return f"encoded again: {e}"
    except RecursionError:
        return ""
    except Exception:
        return ""  # an object that its own methods cannot bear
    return ""


class Comparer(standins.Comparer):
    def reduced(self, a, b, path):
        """Half-made objects of the standard library often cannot be pickled again."""

    def attributes(self, a, b, path):
        if all(type(name) is str for name in getattr(a, "__dict__", ())):
            super().attributes(a, b, path)  # an instance of a stand-in as a name equals no other

    def same(self, a, b, path, fresh=False):
        if type(a) is types.FunctionType and type(b) is types.FunctionType:
            a, b = a.__qualname__, b.__qualname__  # each IPv6Network has its own
        super().same(a, b, path, fresh)


def text(s):
    b = s.encode("utf-8", "backslashreplace")
    return struct.pack("<I", len(b)) + b


def lines(names):
    return text("\n".join("{} {}".format(*n) for n in names))


def reply(audit, flags, data, again):
    signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
    start = time.process_time()
    u, value, error = load(C, data)
    differs, wrong = "", ""
    if error is None and flags & READERS:
        differs = other_readers(data, u, flags & PURE)
        if time.process_time() - start > SLOW:
            differs = differs or "slow"
    del value
    if error is None and flags & PAIR:
        wrong = compare(audit, data, again)
    elif error is None and flags & REAL:
        wrong = real(audit, data)[2]
    brief = not flags & READERS
    return b"".join(
        (
            struct.pack("<BII", error is not None, u.used, u.persistent),
            text("") if brief else lines(u.imports),
            text("") if brief else lines(u.attributes),
            text(describe(error)),
            text(differs),
            text(wrong),
        )
    )


def preload():
    """Import what the policy lets a pickle import, so that later imports show."""
    for module in (
        "array calendar codecs collections copyreg datetime decimal fractions functools http"
        " http.cookies ipaddress pathlib random time types urllib.parse uuid zoneinfo zoneinfo._zoneinfo"
        " encodings.latin_1 encodings.ascii importlib.resources importlib.metadata"
    ).split():
        __import__(module)
    try:
        __import__("zoneinfo").ZoneInfo("No/Such/Zone")
    except Exception:
        pass


def main():
    sys.dont_write_bytecode = True
    preload()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    audit = Audit()
    requests, replies = sys.stdin.buffer, open(1, "wb", buffering=1 << 17)
    while True:
        head = requests.read(5)
        if len(head) < 5:
            return
        flags, n = struct.unpack("<BI", head)
        data, again = requests.read(n), b""
        if flags & PAIR:
            again = requests.read(struct.unpack("<I", requests.read(4))[0])
        r = reply(audit, flags, data, again)
        replies.write(struct.pack("<I", len(r)) + r)
        if flags & FLUSH:
            replies.flush()


if __name__ == "__main__":
    main()
