"""Stand-ins for whatever a pickle may import: they take any call and note it.

Nothing that a pickle names is imported here. An import is a class of its own,
so that NEWOBJ, INST, REDUCE, BUILD, APPEND and the like work on it and on its
instances; getattr() yields the stand-in for the attribute.
"""

import _compat_pickle
import importlib.util
import pathlib

CORPUS = pathlib.Path(__file__).resolve().parents[2] / "pickle" / "testdata"

_spec = importlib.util.spec_from_file_location("check", CORPUS / "check.py")
check = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(check)

MAX_CLASSES = 20000  # stand-ins kept for later pickles


class Import(type):
    """The metaclass: a class that cannot be changed."""

    def __setattr__(cls, name, value):
        pass

    def __setitem__(cls, key, value):
        pass


class Made(metaclass=Import):
    """What a call returns. It keeps the call, and what was done to it since."""

    __slots__ = ("args", "kwargs", "steps", "number", "__weakref__")
    path = ("builtins", "object")

    def __new__(cls, *args, **kwargs):
        self = object.__new__(cls)
        self.args, self.kwargs, self.steps = args, kwargs, []
        self.number = len(numbered)
        numbered.append(None)
        return self

    def __hash__(self):
        """Not the address: two loads of one pickle must order sets alike."""
        return self.number

    def __repr__(self):
        return f"<{type(self).__name__}>"  # without the address, which ends up in text

    def __call__(self, *args, **kwargs):
        return Made(self, *args, **kwargs)

    def append(*args):
        args[0].note("item", *args[1:])

    def extend(*args):
        for items in args[1:]:
            for item in items:
                args[0].note("item", item)

    def add(*args):
        args[0].note("member", *args[1:])

    def __setitem__(self, key, value):
        self.note("pair", key, value)

    def __setstate__(*args):
        args[0].note("state", *args[1:])

    def note(self, *what):
        if isinstance(self, Made):  # a class is changed by nothing
            self.steps.append(what)


class Getattr(Import):
    """The metaclass of the stand-in for getattr, which works, on stand-ins."""

    def __call__(cls, *args):
        made = attribute(*args)
        return Made(*args) if made is None else made


numbered = []  # as long as the number of instances made by this load
attributes = []  # names of what getattr has taken in this load
classes = {}


def forget():
    """Begin another load."""
    del numbered[:], attributes[:]


def attribute(*args):
    """Return the stand-in for an attribute of an import, None when that is not what args ask for."""
    if len(args) != 2 or not isinstance(args[0], Import) or type(args[1]) is not str:
        return None
    module, name = args[0].path
    names = module, name + "." + args[1]
    attributes.append(names)
    return standin(*names)


def standin(module, name):
    """Return the class that stands for an import, always the same one."""
    cls = classes.get((module, name))
    if cls is None:
        if len(classes) > MAX_CLASSES:
            classes.clear()
        kind = Getattr if (module, name) == ("builtins", "getattr") else Import
        cls = kind(
            name.replace("\0", "0"),
            (Made,),
            {"__slots__": (), "__module__": module, "path": (module, name)},
        )
        classes[module, name] = cls
    return cls


def resolved(module, name, protocol):
    """Return the names under which load() imports."""
    if protocol < 3:
        if (module, name) in _compat_pickle.NAME_MAPPING:
            return _compat_pickle.NAME_MAPPING[module, name]
        return _compat_pickle.IMPORT_MAPPING.get(module, module), name
    return module, name


class Comparer(check.Comparer):
    """Knows what a stand-in holds."""

    def content(self, a, b, path):
        if not isinstance(a, Made):
            return super().content(a, b, path)
        self.all(list(a.args), list(b.args), path + ".args")
        self.same(a.kwargs, b.kwargs, path + ".kwargs", fresh=True)
        if len(a.steps) != len(b.steps):
            raise check.Different(f"{path}: {len(a.steps)} and {len(b.steps)} steps")
        for x, y in zip(a.steps, b.steps):
            self.all(list(x), list(y), path + ".steps")
