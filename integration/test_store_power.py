"""The power fails in the midst of an operation on the store.

The system calls of operations are recorded, and every state that store_model's file systems may
be left in after each of them is made and loaded: by the store, and by Python's session3. With
durability "power" it is the old session or the new one, and the new one once the store has said so.
"""

import collections
import dataclasses
import os
import pathlib
import subprocess

import pytest

import store_driver
from store_driver import Driver, python_load, state_of, written
from store_model import CALLS, MODELS, Recording, contents, namespaces

ID = "abcDEF-_012345678901ab"
SIZES = (266, 4096, 4097, 100_000)
OLD, NEW = "o", "n"


@pytest.fixture(scope="module", autouse=True)
def driver_is_built():
    store_driver.build()


def recorded(sessions, durability, commands, *flags, names=()):
    """What a driver does from its start on, and says."""
    log = sessions.parent / "trace"
    lines = [
        " ".join(store_driver.encoded(w) if isinstance(w, bytes) else w for w in command) + "\n"
        for command in commands
    ]
    subprocess.run(
        # Without -f: the one thread that carries out operations.
        ["strace", "-y", "-xx", "-s", "1000000", "-e", f"trace={CALLS}", "-o", log]
        + [store_driver.BINARY, "-create", "-durability", durability, *flags, sessions],
        input="".join(lines),
        text=True,
        check=True,
        stdout=subprocess.DEVNULL,
        timeout=60,
    )
    ops = Recording(log.read_text(), names).ops
    said = [op.said for op in ops if op.said]
    assert said == ["ready", *("ok" if c[0] == "create" else "true" for c in commands)]
    return ops


def history():
    """Commands that take a session through all pairs of sizes, and what it is after each."""
    small = state_of(ID, 266, NEW)
    commands, states = [], [None]
    for old in SIZES:
        for new in SIZES:
            for size, letter in ((old, OLD), (new, NEW)):
                states.append(state_of(ID, size, letter))
                commands.append(("create" if len(states) == 2 else "update", ID, states[-1]))
    for operation, state in (("touch", states[-1]), ("delete", None), ("create", small)):
        commands.append((operation, ID, small) if operation == "create" else (operation, ID))
        states.append(state)
    return commands, states


class Enumerated:
    """The states that a model allows after every call of a recording, and those of them that may not be."""

    def __init__(self, model, recording):
        self.model, self.ops, self.states = model, recording.ops, recording.states
        # Every name that leads to the session; the first one's directory was there before.
        names = recording.session.relative_to(recording.root).parts
        steps = [recording.root.joinpath(*names[:n]) for n in range(1, len(names) + 1)]
        self.places = [(str(step.parent), step.name) for step in steps]
        self.count = 0
        self.distinct = set()

    def wrong(self):
        """Yields (number of calls, what is there, what may be)."""
        for made in range(len(self.ops) + 1):
            may = self._promised(made)
            for state in self._possible(made):
                self.count += 1
                self.distinct.add(state)
                if (None if state is None else written(state)) not in may:
                    yield made, state, may

    def _promised(self, made):
        said = [i for i, op in enumerate(self.ops[:made]) if op.said]
        done = max(len(said) - 1, 0)  # commands; the first line is "ready"
        begun = not said or said[-1] < made - 1
        return {self.states[done], self.states[min(done + begun, len(self.states) - 1)]}

    def _possible(self, made):
        ops = self.ops[:made]
        found = set()
        for names in namespaces(self.model, ops, dict.fromkeys(self.places)):
            if None in names.values():
                found.add(None)
            else:
                found |= contents(self.model, ops, names[self.places[-1]])
        return found


@dataclasses.dataclass
class History:
    """A recording, made in the directory root."""

    root: pathlib.Path
    session: pathlib.Path  # its file
    ops: list
    states: list  # of the session, after no, one, two... commands


@pytest.fixture(scope="module", params=["flat", "fan-out"])
def power(tmp_path_factory, request):
    root = tmp_path_factory.mktemp("power")
    commands, states = history()
    flags = ["-fan-out"] if request.param == "fan-out" else []
    ops = recorded(root / "sessions", "power", commands, *flags)
    [session] = {
        os.path.join(*place)
        for op in ops
        for place, file in op.entries
        if place[1] == ID and file is not None
    }
    return History(root, pathlib.Path(session), ops, states)


@pytest.mark.parametrize("model", MODELS)
def test_old_or_new_and_new_once_said(power, tmp_path, model, capsys):
    found = Enumerated(model, power)
    for wrong in found.wrong():
        pytest.fail(described(model, power.ops, *wrong))
    assert found.distinct == set(power.states), "each state is met"
    check_loads(tmp_path / "sessions", found.distinct)
    layout = "flat" if power.session.parent.name == "sessions" else "fan-out"
    with capsys.disabled():
        print(
            f"\n{layout}, {model}: {len(power.ops)} calls, {found.count} "
            f"states, {len(found.distinct)} different ones, all old or new"
        )


def check_loads(sessions, found):
    """Make each state, and load it as the two stores do."""
    with Driver(sessions, "-create") as driver:
        for state in found:
            path = sessions / ID
            path.unlink(missing_ok=True)
            if state is not None:
                path.write_bytes(state)
                os.utime(path, (1, 1))
            assert driver.load(ID) == state
            loaded = python_load(sessions, ID)
            assert (loaded and loaded["id"]) == (state and ID)


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", ["file", "directory"])
def test_without_a_sync_it_does_not_hold(power, model, kind):
    """The models rule out too little rather than too much: each fsync is needed in each of them."""
    directory = str(power.session.parent)
    kept = [op for op in power.ops if not op.sync or (op.file == directory) == (kind == "file")]
    assert len(kept) < len(power.ops)
    assert any(Enumerated(model, dataclasses.replace(power, ops=kept)).wrong())


def test_what_process_durability_leaves(tmp_path, capsys):
    """Nothing is promised. This counts what may come of it, and shows that the models see it."""
    kinds = collections.defaultdict(collections.Counter)
    for old in SIZES:
        for new in SIZES:
            sessions = tmp_path / f"{old}-{new}" / "sessions"
            sessions.parent.mkdir()
            before, after = state_of(ID, old, OLD), state_of(ID, new, NEW)
            with Driver(sessions, "-create", "-durability", "power") as driver:
                assert driver.ask("create", ID, before) == "ok"
            place = (str(sessions), ID)
            ops = recorded(sessions, "process", [("update", ID, after)], names={place: "old"})
            assert not any(op.sync for op in ops)
            way = "beside" if any(place in dict(op.entries) for op in ops) else "in place"
            for model in MODELS:
                found = kinds[way, model]
                for names in namespaces(model, ops, {place: "old"}):
                    held = before if names[place] == "old" else b""
                    for state in contents(model, ops, names[place], held):
                        found[kind_of(state, before, after)] += 1
    assert all(found["torn"] for found in kinds.values())
    assert all(found["empty"] for (way, _), found in kinds.items() if way == "beside")
    with capsys.disabled():
        print("\nprocess durability, different states after a power failure:")
        for (way, model), found in sorted(kinds.items()):
            counts = ", ".join(f"{kind} {found[kind]}" for kind in ("old", "new", "empty", "torn"))
            print(f"  {way:9}{model:10} {counts}")


def kind_of(state, before, after):
    if not state:
        return "empty"
    return {before: "old", after: "new"}.get(written(state), "torn")


@pytest.mark.parametrize("model", [m for m in MODELS if m != "weak"])
def test_setting_aside_loses_nothing(tmp_path, model):
    """It waits for no disk: the session may be back after a power failure, but is in one place."""
    sessions = tmp_path / "sessions"
    state = state_of(ID, 4097)
    ops = recorded(sessions, "power", [("create", ID, state), ("setaside", ID, state)])
    [aside] = {
        place
        for op in ops
        for place, file in op.entries
        if place[0].endswith("corrupt") and file is not None
    }
    session = (str(sessions), ID)
    first = [i for i, op in enumerate(ops) if op.said][1]
    seen = set()
    for made in range(first + 1, len(ops) + 1):
        for names in namespaces(model, ops[:made], {session: None, aside: None}):
            [file] = {names[session], names[aside]} - {None}
            assert contents(model, ops[:made], file) == {state}
            seen.add(names[session] is None)
    assert seen == {False, True}


def described(model, ops, made, state, may):
    def short(state):
        return "nothing" if state is None else f"{len(state)} bytes {state[-60:]!r}"

    calls = "\n".join(
        f"{op.file or ''} {op.entries} {'fsync' if op.sync else ''} {op.said}"
        for op in ops[max(0, made - 8) : made]
    )
    return (
        f"{model}: after call {made} there may be {short(state)}, and should be "
        f"{' or '.join(map(short, may))}; the last calls:\n{calls}"
    )
