"""What a file system may hold after a power failure, given the system calls that were made before.

It follows "All File Systems Are Not Created Equal" (Pillai et al., OSDI 2014): calls are taken
apart into small changes, of a directory's entry, of a sector's bytes, of a file's size, and a state
is what any subset of the changes makes that the file system's rules allow and no fsync rules out.

    ordered     ext4, data=ordered, with delayed allocation: entries change in the order of the
                calls (one journal); an appended page and the size that shows it come together,
                page after page; what is overwritten may reach the disk sector by sector, in
                any order, before or after any entry or size
    xfs         the same but for appended pages, which come in any order; those that
                are missing below the size read as zeros
    writeback   ext4, data=writeback: the size may come without the data, and shows what the blocks
                held before
    weak        writeback, and entries change in any order, each half of a rename by itself, until
                their own directory is synced: less than any journal gives

An fsync of a file makes its data and size stay, one of a directory its entries; in the first three
also every change of an entry before it in the journal. A sector of 512 bytes is never torn. What
was there when the recording began is on the disk.
"""

import dataclasses
import itertools
import os
import random
import re

MODELS = ("ordered", "xfs", "writeback", "weak")
SECTOR, PAGE = 512, 4096
STALE = b"\xa5"  # what a block may have held before
CALLS = "mkdirat,openat,openat2,write,pwrite64,ftruncate,fsync,fdatasync,renameat2,linkat,unlinkat"
EXHAUSTIVE = 8  # so many pending sectors are tried in every combination, more in a choice of them


@dataclasses.dataclass
class Op:
    """One system call."""

    entries: tuple = ()  # ((directory, name), file or None): each becomes so
    file: object = None  # the one that is written, cut, made or synced
    data: tuple = ()  # (offset, bytes)
    size: int = -1  # that it is cut to
    sync: bool = False
    said: str = ""  # a line of standard output

    @property
    def touches(self):
        return {self.file} | {x for (parent, _), file in self.entries for x in (parent, file)}


class Recording:
    """The system calls of one strace, made with -y -xx and CALLS; names are the files that were there before."""

    def __init__(self, text, names=()):
        self.ops = []
        self.open = {}  # descriptor -> file
        self.names = dict(names)  # (directory, name) -> file
        self.made = 0
        for line in text.splitlines():
            parsed = re.match(r"(\w+)\((.*)\)\s+= (\d+)", line)
            if parsed:
                getattr(self, "_" + parsed[1])(arguments(parsed[2]), int(parsed[3]))

    def _place(self, argument, name):
        """(directory, name) of a path, for a descriptor and a path below it."""
        path = os.path.normpath(os.path.join(argument.path, name))
        return os.path.dirname(path), os.path.basename(path)

    def _new(self, place):
        self.made += 1
        self.names[place] = f"file {self.made}"
        return self.names[place]

    def _mkdirat(self, args, _):
        place = self._place(args[0], args[1])
        self.names[place] = path = os.path.join(*place)
        self.ops.append(Op(entries=((place, path),), file=path))

    def _openat(self, args, descriptor):
        place = self._place(args[0], args[1])
        if "O_DIRECTORY" in args[2]:
            self.open[descriptor] = os.path.join(*place)
            return
        if place not in self.names and "O_CREAT" in args[2]:
            file = self._new(place)
            self.ops.append(Op(entries=((place, file),), file=file))
        assert "O_TRUNC" not in args[2], args
        self.open[descriptor] = self.names.get(place, os.path.join(*place))

    _openat2 = _openat

    def _write(self, args, _):
        assert args[0].number == 1, "the store writes with pwrite"
        self.ops.append(Op(said=args[1].rstrip("\n")))

    def _pwrite64(self, args, count):
        data = args[1].encode("latin-1")[:count]
        self.ops.append(Op(file=self.open[args[0].number], data=(int(args[3]), data)))

    def _ftruncate(self, args, _):
        self.ops.append(Op(file=self.open[args[0].number], size=int(args[1])))

    def _fsync(self, args, _):
        self.ops.append(Op(file=self.open[args[0].number], sync=True))

    _fdatasync = _fsync

    def _renameat2(self, args, _):
        source = self._place(args[0], args[1])
        target = self._place(args[2], args[3])
        back = self.names.get(target) if "RENAME_EXCHANGE" in args[4] else None
        self._entries((target, self.names[source]), (source, back))

    def _linkat(self, args, _):
        source, target = self._place(*args[:2]), self._place(*args[2:4])
        self._entries((target, self.names[source]))

    def _unlinkat(self, args, _):
        self._entries((self._place(args[0], args[1]), None))

    def _entries(self, *changes):
        for place, file in changes:
            self.names[place] = file
        self.ops.append(Op(entries=changes))


@dataclasses.dataclass
class Descriptor:
    number: int
    path: str


def arguments(text):
    """strace's arguments: descriptors, strings and words."""
    found = []
    for match in re.finditer(r'(\w+)<((?:\\x\w\w)*)>|"((?:\\x\w\w)*)"|([^,\s][^,]*)', text):
        number, path, string, word = match.groups()
        if word is not None:
            found.append(word)
        elif string is not None:
            found.append(unescaped(string))
        else:
            found.append(Descriptor(-1 if number == "AT_FDCWD" else int(number), unescaped(path)))
    return found


def unescaped(text):
    return bytes.fromhex(text.replace("\\x", "")).decode("latin-1")


def namespaces(model, ops, before):
    """Every mapping of the places in before to files that may be on the disk after these calls."""
    changes = []  # (index of the call, place, file)
    for index, op in enumerate(ops):
        changes += [(index, place, file) for place, file in op.entries if place in before]
    if model == "weak":
        stays = {
            place: max(
                (i for i, op in enumerate(ops) if op.sync and op.file == place[0]), default=-1
            )
            for place in before
        }
        pending = [c for c in changes if c[0] > stays[c[1]]]
        subsets = itertools.chain.from_iterable(
            itertools.combinations(pending, n) for n in range(len(pending) + 1)
        )
    else:
        committed = max(  # the last change that a journal has written by now
            (
                index
                for at, sync in enumerate(ops)
                for index, op in enumerate(ops[:at])
                if sync.sync and op.entries and sync.file in op.touches
            ),
            default=-1,
        )
        pending = [c for c in changes if c[0] > committed]
        ends = sorted({-1, *(c[0] for c in pending)})
        subsets = [[c for c in pending if c[0] <= end] for end in ends]
    kept = [c for c in changes if c not in pending]
    seen = []
    for subset in subsets:
        names = dict(before)
        for _, place, file in sorted([*kept, *subset], key=lambda c: c[0]):
            names[place] = file
        if names not in seen:
            seen.append(names)
    return seen


def contents(model, ops, file, held=b""):
    """Everything that a file, which held that before, may hold on the disk after these calls."""
    synced = max((i for i, op in enumerate(ops) if op.sync and op.file == file), default=-1)
    units = []
    for index, op in enumerate(ops):
        if op.file != file or not (op.data or op.size >= 0):
            continue
        pieces = [op.size] if op.size >= 0 else sectors(*op.data)
        if index < synced:
            held = applied(held, pieces)
        else:
            units += pieces
    final = applied(held, units)
    found = set()
    for chosen in choices(units):
        if model == "ordered":
            chosen = without_holes(held, units, chosen)
        state = applied(held, chosen)
        found.add(state)
        if model in ("writeback", "weak"):
            found.add(applied(held, [len(final), *chosen], STALE))
    return found


def sectors(offset, data):
    """A write, cut at the borders of sectors."""
    end = offset + len(data)
    cuts = [offset, *range(offset // SECTOR * SECTOR + SECTOR, end, SECTOR), end]
    return [(at, data[at - offset : to - offset]) for at, to in itertools.pairwise(cuts)]


def applied(held, pieces, fill=b"\0"):
    """A file's bytes after writes, and cuts to a size."""
    held = bytearray(held)
    for piece in pieces:
        if isinstance(piece, int):
            held[:] = held[:piece].ljust(piece, fill)
        else:
            at, data = piece
            held += fill * (at - len(held))
            held[at : at + len(data)] = data
    return bytes(held)


def choices(units):
    """Subsets of pending changes, in their order: all of them, or those that tell most."""
    n = len(units)
    if n <= EXHAUSTIVE:
        masks = itertools.product((False, True), repeat=n)
    else:
        edges = [k for k in range(n + 1) if k % (PAGE // SECTOR) in (0, 1) or k >= n - 2]
        chance = random.Random(n)
        masks = [
            *([i < k for i in range(n)] for k in edges),  # the first ones
            *([i >= k for i in range(n)] for k in edges),  # the last ones
            *([i != k for i in range(n)] for k in edges),  # all but one
            *([chance.random() < 0.5 for _ in range(n)] for _ in range(64)),
        ]
    for mask in masks:
        yield list(itertools.compress(units, mask))


def without_holes(held, units, chosen):
    """Of the chosen changes those that ordered mode lets through: no appended page but after all before it."""
    missing = {unit[0] // PAGE for unit in units if isinstance(unit, tuple) and unit not in chosen}
    end = len(held)
    first = min((page for page in missing if (page + 1) * PAGE > end), default=None)
    return [
        unit
        for unit in chosen
        if isinstance(unit, int) or unit[0] < end or first is None or unit[0] // PAGE < first
    ]
