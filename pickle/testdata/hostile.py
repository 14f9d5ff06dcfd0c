"""Writes hostile.jsonl: pickles that must not be let through, opcode by opcode.

    python3 hostile.py

Each line holds name, hex and why: what loading it would do, or what in it two
readers see differently. Nothing here is ever loaded by the tests.
"""

import json
import os
import struct

CASES = []


def case(name, why, data):
    CASES.append((name, why, data))


def text(s):
    b = s if isinstance(s, bytes) else s.encode("utf-8")
    return b"\x8c" + bytes([len(b)]) + b


def name4(module, name):
    return text(module) + text(name) + b"\x93"


def frame(body, length=None):
    return b"\x95" + struct.pack("<Q", len(body) if length is None else length) + body


SYSTEM = b"cos\nsystem\n"
CALL = b"(S'id'\ntR."
P4 = b"\x80\x04"
OWN = b"cmyapp.sessions\nShopSession\n"  # an application's class, which alone is let through
MADE = OWN + b")\x81"

# The plain ways to run something.
case("reduce-os-system", "REDUCE os.system", SYSTEM + CALL)
case("reduce-posix-system", "the C module behind os", b"cposix\nsystem\n" + CALL)
case("reduce-nt-system", "the same on Windows", b"cnt\nsystem\n" + CALL)
case("reduce-eval", "builtins.eval", b"cbuiltins\neval\n" + CALL)
case("reduce-eval-python2-name", "fix_imports maps __builtin__", b"c__builtin__\neval\n" + CALL)
case(
    "reduce-execfile-renamed",
    "fix_imports maps names too: commands is subprocess",
    b"ccommands\ngetoutput\n" + CALL,
)
case("reduce-urllib2", "fix_imports: urllib.request.urlopen", b"curllib2\nurlopen\n" + CALL)
case("reduce-subprocess", "Popen", b"csubprocess\nPopen\n" + CALL)
case("reduce-protocol-2", "the same under protocol 2", b"\x80\x02" + SYSTEM + CALL)
case("stack-global", "names on the stack", P4 + name4("os", "system") + text("id") + b"\x85R.")
case(
    "stack-global-memo",
    "names by way of the memo",
    P4 + text("os") + b"\x940" + text("system") + b"\x940h\x00h\x01\x93" + text("id") + b"\x85R.",
)
case(
    "stack-global-put-order",
    "PUT 1 leaves a gap: MEMOIZE then writes entry 1, not 2",
    P4
    + text("json")
    + b"q\x010"
    + text("os")
    + b"\x940"
    + b"h\x01"
    + text("system")
    + b"\x93"
    + text("id")
    + b"\x85R.",
)
case(
    "memo-overwritten",
    "an entry is written twice",
    P4
    + text("json")
    + b"q\x000"
    + text("os")
    + b"q\x000h\x00"
    + text("system")
    + b"\x93"
    + text("id")
    + b"\x85R.",
)
case(
    "memo-overwritten-long",
    "the same by LONG_BINPUT and PUT",
    P4
    + text("json")
    + b"r\x05\x00\x00\x000"
    + text("os")
    + b"p5\n0g5\n"
    + text("system")
    + b"\x93"
    + text("id")
    + b"\x85R.",
)
case(
    "memo-far-then-near",
    "an index far beyond, and again when it has come near",
    P4
    + text("json")
    + b"p300\n0"
    + b"N0" * 160
    + text("os")
    + b"p300\n0g300\n"
    + text("system")
    + b"\x93"
    + text("id")
    + b"\x85R.",
)
case(
    "memoize-over-put",
    "MEMOIZE comes to an index that PUT has taken, and stays there: entry 4 is os",
    P4
    + b"]p4\n\x94"
    + text("a")
    + b"\x94"
    + text("b")
    + b"\x94"
    + text("myapp.sessions")
    + b"\x94"
    + text("os")
    + b"\x94"
    + b"h\x04"
    + text("cpu_count")
    + b"\x93)R"
    + b"\x86" * 5
    + b".",
)
case(
    "put-after-pop",
    "PUT of what lies below what was pushed last",
    P4 + text("os") + text("json") + b"0q\x00" + text("system") + b"\x93" + text("id") + b"\x85R.",
)
case(
    "put-after-mark-popped",
    "PUT of what lies below a mark that is gone",
    P4 + text("os") + b"(" + text("json") + b"1q\x00" + text("system") + b"\x93)R.",
)
case(
    "memoize-after-get",
    "MEMOIZE of what GET fetched",
    P4
    + text("os")
    + b"\x94"
    + text("path")
    + b"0h\x00\x940"
    + b"h\x01"
    + text("system")
    + b"\x93"
    + text("id")
    + b"\x85R0.",
)
case("stack-global-dup", "the module's name is the function's", P4 + text("code") + b"2\x93)R.")
case(
    "stack-global-pop",
    "a name dropped in between",
    P4 + text("os") + text("path") + b"0" + text("system") + b"\x93" + text("id") + b"\x85R.",
)
case(
    "stack-global-computed",
    "the module's name is the result of a call",
    P4 + OWN + b")R" + text("system") + b"\x93)R.",
)
case("stack-global-from-dict", "operands that are no text", P4 + b"}" + text("system") + b"\x93)R.")
case(
    "stack-global-subclass",
    "a str that the pickle makes",
    P4
    + name4("collections", "UserString")
    + text("os")
    + b"\x85\x81"
    + text("system")
    + b"\x93)R.",
)
case(
    "stack-global-escaped",
    "a name spelled with an escape",
    P4 + b"V\\u006fs\n" + text("system") + b"\x93)R.",
)
case(
    "stack-global-string-escaped",
    "the same in STRING",
    P4 + b"S'\\x6fs'\n" + text("system") + b"\x93)R.",
)
case(
    "stack-global-string-octal",
    "the same in octal",
    P4 + b"S'\\157s'\n" + text("system") + b"\x93)R.",
)
case(
    "stack-global-protocol-0",
    "STACK_GLOBAL without PROTO",
    name4("os", "system") + text("id") + b"\x85R.",
)
case("inst", "INST calls", b"(S'id'\nios\nsystem\n.")
case("inst-import-alone", "INST of a class of the standard library", b"(isubprocess\nPopen\n.")
case(
    "inst-own-borrowed",
    "a function that the application imported",
    b"(S'id'\nimyapp.tasks\nPopen\n.",
)
case("obj", "OBJ calls", b"(" + SYSTEM + b"S'id'\no.")
case(
    "newobj",
    "NEWOBJ of a class with an effect",
    P4 + name4("subprocess", "Popen") + text("id") + b"\x85\x81.",
)
case(
    "newobj-ex",
    "NEWOBJ_EX",
    P4 + name4("subprocess", "Popen") + b")}" + text("args") + text("id") + b"s\x92.",
)
case(
    "newobj-ex-harmless",
    "a harmless class with keywords that nobody writes",
    P4 + name4("uuid", "UUID") + b")}" + text("int") + b"K\x01s\x92.",
)
case("behind-frame", "after a frame that is harmless", P4 + frame(b"N0") + SYSTEM + b"(S'id'\ntR.")
case(
    "after-effects-broken-end",
    "the call comes before the end is found broken",
    SYSTEM + b"(S'id'\ntR\xff",
)
case("after-effects-cut", "the call comes before the input ends", SYSTEM + b"(S'id'\ntR")
case("popped", "called, and the result dropped", SYSTEM + b"(S'id'\ntR0N.")
case("second-pickle", "called, with a harmless pickle after STOP", SYSTEM + CALL + b"N.")
case("trailing-garbage", "called, with bytes after STOP", SYSTEM + CALL + b"\x00\xff")
case(
    "inside-session",
    "called while a session is built",
    MADE[:-1] + b"\x81}S'user'\n" + SYSTEM + b"(S'id'\ntRsb.",
)

# Import alone.
for module, what in (
    ("antigravity", "geohash"),
    ("this", "s"),
    ("idlelib.idle", "x"),
    ("test.regrtest", "x"),
    ("sitecustomize", "x"),
    ("lib2to3.tests", "x"),
    ("turtledemo.clock", "x"),
):
    case("import-" + module, "importing it is the effect", ("c%s\n%s\n." % (module, what)).encode())
case("import-popped", "imported and dropped", b"cantigravity\ngeohash\n0N.")

# Frames.
case(
    "frame-straddled",
    "a frame that ends amid an opcode",
    P4 + frame(b"X\x10\x00\x00\x00", 5) + SYSTEM + b"....." + b"0" + b"N.",
)
case("frame-reopened", "a frame inside a frame", P4 + frame(frame(b"N.", 2)))
case("frame-beyond", "a frame longer than the input", P4 + frame(b"N.", 1000))
case("frame-huge", "a frame of 2^63 bytes", P4 + b"\x95" + b"\xff" * 7 + b"\x7f" + b"N.")
case(
    "frame-early-stop",
    "STOP before the frame's end, another pickle behind it",
    P4 + frame(b"N." + SYSTEM + CALL),
)
case(
    "frame-line-straddled",
    "a text line that leaves its frame",
    P4 + frame(b"cos\n", 4)[:-1] + b"\nsystem\n)R.",
)

# Dotted names and attribute chains.
case(
    "dotted-module",
    "an application's module imports os",
    P4 + name4("myapp.sessions", "os.system") + text("id") + b"\x85R.",
)
case(
    "dotted-alias",
    "the same under an alias",
    P4 + name4("myapp.sessions", "_os.system") + text("id") + b"\x85R.",
)
case(
    "dotted-globals",
    "a function's globals",
    P4 + name4("myapp.sessions", "ShopSession.set_user.__globals__") + b".",
)
case(
    "dotted-dunder",
    "builtins through a class",
    P4 + name4("myapp.sessions", "ShopSession.__init__.__globals__") + b".",
)
case(
    "dotted-subclasses",
    "object's subclasses",
    P4 + name4("builtins", "object.__subclasses__") + b")R.",
)
case("dotted-harmless", "through a harmless module", P4 + name4("datetime", "sys.modules") + b".")
case(
    "dotted-collections",
    "through a harmless module to os",
    P4 + name4("collections", "_sys.modules") + b".",
)
case("dunder-name", "a module's builtins", b"cmyapp.sessions\n__builtins__\n.")
case("dunder-module", "a package's main", b"cmyapp.__main__\nmain\n)R.")
case("main-builtins", "the main module's builtins", b"c__main__\n__builtins__\n.")
GETATTR = b"c__builtin__\ngetattr\n"
case("getattr-os", "getattr(os, 'system')", GETATTR + b"(cos\npath\nVsystem\ntR.")
case(
    "getattr-own-module",
    "os by way of the application",
    GETATTR + b"(cmyapp.sessions\nos\nVsystem\ntR(Vid\ntR.",
)
case("getattr-dunder", "a class's mro", GETATTR + b"(" + OWN + b"V__mro__\ntR.")
case("getattr-on-object", "getattr of what was made", GETATTR + b"(" + MADE + b"Vrun\ntR(tR.")
case(
    "getattr-chain",
    "step by step to the globals",
    GETATTR + b"p0\n(g0\n(" + OWN + b"Vsave\ntRV__globals__\ntR.",
)
case("getattr-dotted", "a name with dots", GETATTR + b"(" + OWN + b"Va.b\ntR.")
case(
    "getattr-computed", "a name that is the result of a call", GETATTR + b"(" + OWN + MADE + b"tR."
)
case(
    "getattr-escaped",
    "a special name with escapes",
    GETATTR + b"(" + OWN + b"V\\u005f_mro__\ntR.",
)
case(
    "getattr-escaped-string",
    "the same in STRING",
    GETATTR + b"(" + OWN + b"S'\\x5f_mro__'\ntR.",
)
case(
    "getattr-surrogate",
    "a lone surrogate",
    GETATTR + b"(" + OWN + b"V\\ud800\ntR.",
)
case(
    "getattr-loaded",
    "getattr handed to the application",
    b"cmyapp.sessions\nrebuild\n(" + GETATTR + b"tR.",
)
case("getattr-default", "three arguments", GETATTR + b"(" + OWN + b"Vrun\nNtR.")
case(
    "getattr-harmless-alien",
    "a method of a harmless type",
    GETATTR + b"(cdatetime\ndatetime\nVstrptime\ntR(tR.",
)
case("attrgetter", "operator.attrgetter", b"coperator\nattrgetter\n(Vsystem\ntR.")
case("partial", "functools.partial", b"cfunctools\npartial\n(" + SYSTEM + b"Vid\ntR.")
case("methodcaller", "operator.methodcaller", b"coperator\nmethodcaller\n(Vsystem\nVid\ntR.")
case("reduce-a-result", "what a call returned is called", OWN + b"(tR(tR.")
case("reduce-a-made-object", "an instance is called", MADE + b"(tR.")
case(
    "newobj-of-object",
    "the class is what a call returned",
    P4 + name4("myapp.sessions", "pick") + b")R)\x81.",
)
case("reduce-list-arguments", "arguments that are no tuple", OWN + b"]R.")
case("reduce-made-arguments", "arguments that a call returned", OWN + OWN + b"(tRR.")

# How protocols 2 and 3 spell NEWOBJ_EX, and what resembles it. The harmless
# form is partial(new, class, **{}), of which nothing else may be made.
P2 = b"\x80\x02"
PARTIAL = b"cfunctools\npartial\n"
NEW = GETATTR + OWN + b"V__new__\n\x86R"
STATE_ARGS = OWN + b"\x85"


def partial(function, state=None, call=b")R."):
    body = P2 + PARTIAL + function + b"\x85R"
    if state is not None:
        body += b"(" + b"".join(state) + b"tb"
    return body + call


case(
    "partial-system",
    "partial(os.system)",
    partial(SYSTEM, (SYSTEM, text("id") + b"\x85", b"}", b"N")),
)
case(
    "partial-state-system",
    "partial(new) of which BUILD makes partial(os.system)",
    partial(NEW, (SYSTEM, text("id") + b"\x85", b"}", b"N")),
)
case(
    "partial-state-getattr",
    "another attribute than __new__",
    partial(NEW, (GETATTR + OWN + b"Vsave\n\x86R", STATE_ARGS, b"}", b"N")),
)
case(
    "partial-state-system-kept",
    "the same, for the application to call",
    partial(NEW, (SYSTEM, text("id") + b"\x85", b"}", b"N"), b"."),
)
case(
    "partial-state-own-kept",
    "a partial of an application's function, for the application to call",
    partial(NEW, (b"cmyapp.sessions\nrebuild\n", b")", b"}", b"N"), b"."),
)
case(
    "partial-new-popen",
    "new of a class with an effect",
    partial(GETATTR + b"csubprocess\nPopen\nV__new__\n\x86R", (NEW, STATE_ARGS, b"}", b"N")),
)
case(
    "partial-class-popen",
    "object.__new__ of a class with an effect",
    partial(NEW, (NEW, b"csubprocess\nPopen\n" + text("id") + b"\x86", b"}", b"N")),
)
case(
    "partial-class-computed",
    "the class is what a call returned",
    partial(NEW, (NEW, MADE + b"\x85", b"}", b"N")),
)
case("partial-no-class", "no class at all", partial(NEW, (NEW, b")", b"}", b"N")))
case(
    "partial-called-with",
    "further arguments at the call",
    partial(NEW, (NEW, STATE_ARGS, b"}", b"N"), text("id") + b"\x85R."),
)
case("partial-not-built", "called before BUILD", partial(NEW))
case(
    "partial-built-twice",
    "harmless at first, os.system then",
    partial(
        NEW,
        (NEW, STATE_ARGS, b"}", b"N"),
        b"(" + SYSTEM + text("id") + b"\x85}Ntb)R.",
    ),
)
case(
    "partial-built-again",
    "os.system by way of the memo, after the first call",
    P2
    + PARTIAL
    + NEW
    + b"\x85Rq\xff("
    + NEW
    + STATE_ARGS
    + b"}Ntb)R0h\xff("
    + SYSTEM
    + text("id")
    + b"\x85}Ntb)R.",
)
case(
    "partial-attributes",
    "attributes of the partial",
    partial(NEW, (NEW, STATE_ARGS, b"}", b"}" + text("func") + SYSTEM + b"s")),
)
case(
    "partial-keywords-int",
    "keywords that are no names",
    partial(NEW, (NEW, STATE_ARGS, b"}K\x01Ns", b"N")),
)
case(
    "partial-keywords-object",
    "keywords that a call returned",
    partial(NEW, (NEW, STATE_ARGS, MADE, b"N")),
)
case(
    "partial-two-arguments",
    "partial(os.system, 'id') at once",
    P2 + PARTIAL + SYSTEM + text("id") + b"\x86R)R.",
)
case("partial-c-module", "_functools.partial", partial(NEW).replace(b"cfunc", b"c_func"))
case("new-called", "__new__ called by itself", P2 + NEW + OWN + b"\x85R.")
case(
    "new-of-new",
    "an attribute of __new__",
    P2 + GETATTR + NEW + text("__self__") + b"\x86R.",
)
case("newobj-ex-keywords-int", "keywords that are no names", P4 + MADE[:-2] + b")}K\x01Ns\x92.")
case(
    "newobj-ex-by-name-popen",
    "copyreg.__newobj_ex__",
    b"ccopy_reg\n__newobj_ex__\n(csubprocess\nPopen\n(Vid\nt}tR.",
)
case(
    "newobj-by-name-popen",
    "copyreg.__newobj__",
    b"ccopy_reg\n__newobj__\n(csubprocess\nPopen\nVid\ntR.",
)

# BUILD, APPEND and SETITEM on what the pickle did not make.
case("build-class", "attributes of a class", OWN + b"}S'save'\ncmyapp.sessions\nrebuild\nsb.")
case("build-module", "attributes of a module", b"cmyapp\nsessions\n}S'DEBUG'\nI01\nsb.")
case("build-class-memo", "a class by way of the memo", OWN + b"p0\n0g0\n}S'a'\nNsb.")
case("build-class-dup", "a class by way of DUP", OWN + b"2}S'a'\nNsb0.")
case("build-getattr-class", "a nested class", GETATTR + b"(" + OWN + b"VInner\ntR}S'a'\nNsb.")
case("build-dunder-class", "__class__ in the slots", MADE + b"(N}V__class__\n" + OWN + b"stb.")
case("build-dunder-class-dict", "__class__ in the dict", MADE + b"}V__class__\n" + OWN + b"sb.")
case(
    "build-dunder-class-memo",
    "__class__ set by way of the memo",
    MADE + b"}p0\nV__class__\n" + OWN + b"s0g0\nb.",
)
case(
    "build-dunder-class-escaped",
    "__class__ spelled with an escape",
    MADE + b"(N}V\\u005f_class__\n" + OWN + b"stb.",
)
case(
    "build-dunder-class-string",
    "__class__ spelled with an escape, in STRING",
    MADE + b"(N}S'_\\137class__'\n" + OWN + b"stb.",
)
case("build-slots-dict", "__dict__ in the slots", MADE + b"(N}V__dict__\n}stb.")
case(
    "build-enum-member",
    "a member of the standard library's Enum is everybody's",
    b"chttp\nHTTPStatus\n(I200\ntR}S'phrase'\nNsb.",
)
case("build-list", "a list has no attributes", b"]}S'a'\nNsb.")
case("build-persistent", "an object of the application's", b"P1\n}S'a'\nNsb.")
case("append-module", "APPEND to a module", b"cmyapp\nsessions\nNa.")
case("appends-module", "APPENDS to a module", b"cmyapp\nsessions\n(Ne.")
case("setitem-module", "SETITEM on a module", b"cmyapp\nsessions\nVx\nNs.")
case(
    "additems-module",
    "ADDITEMS to a module",
    P4 + name4("myapp", "sessions") + b"(" + text("x") + b"\x90.",
)
case(
    "appends-uuid",
    "APPENDS to an instance that is no list",
    b"cuuid\nUUID\n)\x81(Ne.",
)
case("setitems-uuid", "SETITEMS on an instance that is no dict", b"cuuid\nUUID\n)\x81(Vint\nNu.")
case("append-class", "APPEND to a class", OWN + b"Na.")
case("appends-class", "APPENDS to a class", OWN + b"(Ne.")
case("setitem-class", "SETITEM on a class", OWN + b"NNs.")
case("setitem-module-dict", "a module's dict", GETATTR + b"(cmyapp\nsessions\nV__dict__\ntRVx\nNs.")
case("setitem-environ", "os.environ", b"cos\nenviron\nVPATH\nVx\ns.")
case("setitems-sys-modules", "sys.modules", b"csys\nmodules\n(Vjson\nNu.")
case("setitems-global", "a dict of the application's", b"cmyapp.settings\nOPTIONS\n(Va\nNu.")
case(
    "additems-class",
    "ADDITEMS to a class",
    P4 + name4("myapp.settings", "ADMINS") + b"(" + text("eve") + b"\x90.",
)
case(
    "additems-object",
    "add() of what was made",
    P4 + name4("myapp.sessions", "ShopSession") + b")\x81(N\x90.",
)
case("append-datetime", "a harmless type in the wrong way", b"cuuid\nUUID\n)\x81Na.")

# Names kept elsewhere, data kept elsewhere.
case("ext1-loaded", "an extension code that is not called", b"\x80\x02\x82\x01.")
case("ext1", "an extension code", b"\x80\x02\x82\x01)R.")
case("ext2", "an extension code", b"\x80\x02\x83\x01\x01)R.")
case("ext4", "an extension code", b"\x80\x02\x84\x01\x01\x01\x01)R.")
case("persid", "a persistent id", b"Pevil\n.")
case("binpersid", "a persistent id", b"U\x04evilQ.")
case("next-buffer", "an out-of-band buffer", b"\x80\x05\x97.")
case("readonly-buffer", "an out-of-band buffer", b"\x80\x05C\x01a\x98.")

# Protocol and names.
case("proto-twice", "a second PROTO", b"\x80\x02\x80\x04N.")
case(
    "proto-late",
    "PROTO 4 after names, so that dots are walked",
    b"N0\x80\x04" + name4("myapp.sessions", "os.system") + b")R.",
)
case(
    "proto-lowered",
    "PROTO 2 after PROTO 4, so that names are mapped",
    P4 + b"\x80\x02c__builtin__\neval\n" + CALL,
)
case("proto-6", "an unknown protocol", b"\x80\x06N.")
case("name-nul", "since 3.11 os\\0x imports os", b"cos\x00x\nsystem\n" + CALL)
case("name-nul-own", "the same behind an innocent name", b"cmyapp\x00os\nsystem\n" + CALL)
case("name-blank", "a blank in a name", b"cos \nsystem\n" + CALL)
case("name-cr", "CR in a name", b"cos\r\nsystem\r\n)R.")
case("name-empty", "no module", b"c\nsystem\n" + CALL)
case("name-relative", "a relative module", b"c.os\nsystem\n" + CALL)
case("name-dots", "an empty part", b"cos..path\njoin\n)R.")
case(
    "name-surrogate", "a lone surrogate", P4 + text(b"os\xed\xa0\x80") + text("system") + b"\x93)R."
)
case("name-not-utf8", "no text at all", b"co\xffs\nsystem\n)R.")

# Numbers in text that readers see differently.
case("put-plus", "PUT +0", b"Vos\np+0\n0N.")
case("put-zeros", "PUT 00", b"Vos\np00\n0N.")
case("put-blank", "PUT ' 0'", b"Vos\np 0\n0N.")
case("put-negative", "PUT -1", b"Vos\np-1\n0N.")
case("get-underscore", "GET 1_0", b"Vos\np10\n0g1_0\n.")
case("get-nul", "GET with NUL", b"Vos\np1\n0g1\x00\n.")
case("get-missing", "GET of nothing", b"g7\n.")
case("int-hex", "INT 0x10", b"I0x10\n.")
case("int-octal", "INT 010", b"I010\n.")
case("int-plus", "INT +1, which C takes for True", b"I+1\n.")
case("int-blank", "INT ' 1'", b"I 1\n.")
case("long-underscore", "LONG 1_0L", b"L1_0L\n.")
case("long-hex", "LONG 0x10L", b"L0x10L\n.")
case("float-underscore", "FLOAT 1_0.0", b"F1_0.0\n.")
case("float-overflow", "FLOAT 1e999", b"F1e999\n.")
case("float-hex", "FLOAT 0x1p3", b"F0x1p3\n.")
case("string-unquoted", "STRING without quotes", b"Sos\n.")
case("string-mixed-quotes", "STRING with two sorts of quotes", b"S'os\"\n.")
case("string-latin", "Python 2 bytes that load cannot decode", b"S'\xe9'\n.")
case("unicode-truncated-escape", "a cut escape", b"V\\u12\n.")

# Harmless names in a role, or with arguments, that are not.
case("codec-other", "another codec is imported by name", b"c_codecs\nencode\n(Vx\nVbz2\ntR.")
case("codec-computed", "a codec that a call returned", b"c_codecs\nencode\n(Vx\n" + MADE + b"tR.")
case("fraction-bomb", "Fraction('1e1000000000')", b"cfractions\nFraction\n(V1e1000000000\ntR.")
case("bytearray-bomb", "bytearray(10**10)", b"c__builtin__\nbytearray\n(L10000000000L\ntR.")
case(
    "list-of-range",
    "list(range(10**10))",
    b"c__builtin__\nlist\n(c__builtin__\nxrange\n(I0\nL10000000000L\nI1\ntRtR.",
)
case(
    "deque-of-range",
    "deque(range(10**10))",
    b"ccollections\ndeque\n(c__builtin__\nxrange\n(I0\nL10000000000L\nI1\ntRtR.",
)
case(
    "set-of-range",
    "set(range(10**10))",
    b"c__builtin__\nset\n(c__builtin__\nxrange\n(I0\nL10000000000L\nI1\ntRtR.",
)
case("type-call", "type() makes classes", b"c__builtin__\ntype\n(VX\n(t}tR.")
case("map-call", "map calls", b"c__builtin__\nmap\n(" + SYSTEM + b"(Vid\nltR.")
case(
    "reconstructor-computed",
    "_reconstructor of what a call returned",
    b"ccopy_reg\n_reconstructor\n(" + MADE + b"c__builtin__\nobject\nNtR.",
)
case(
    "reconstructor-module",
    "_reconstructor of a class with an effect",
    b"ccopy_reg\n_reconstructor\n(csubprocess\nPopen\nc__builtin__\nobject\nNtR.",
)
case("pickle-loads", "a pickle inside", b"c_pickle\nloads\n(C\x02N.tR.")
case(
    "pickle-loads-own",
    "a pickle inside, by way of the application",
    b"cmyapp.pickle\nloads\n(C\x02N.tR.",
)
case("open-file", "io.open", b"c_io\nopen\n(V/etc/passwd\ntR.")
case("path-read", "a method of a path", GETATTR + b"(cpathlib\nPosixPath\nVread_text\ntR(tR.")
case("zoneinfo-class", "ZoneInfo called", b"czoneinfo\nZoneInfo\n(V../../x\ntR.")
case("own-eval", "a function that the application imported", b"cmyapp.sessions\neval\n(V1\ntR.")
case(
    "own-os-module",
    "a module under the application's package",
    b"cmyapp.subprocess\ncall\n(Vid\ntR.",
)
case(
    "session3-store",
    "session3's own stores open files",
    b"csession3.store.DirectorySessionStore\nDirectorySessionStore\n(V/tmp\ntR.",
)
case(
    "quixote-ptl", "Quixote compiles templates", b"cquixote.ptl.ptl_compile\ncompile\n(Vx\nVy\ntR."
)
for module, what in (
    ("numpy.testing._private.utils", "runstring"),
    ("pandas", "read_pickle"),
    ("torch", "load"),
    ("joblib", "load"),
    ("cloudpickle", "loads"),
    ("dill", "loads"),
    ("pip", "main"),
    ("setuptools", "setup"),
    ("django.core.management", "call_command"),
    ("jinja2", "Template"),
    ("yaml", "unsafe_load"),
    ("six.moves.builtins", "eval"),
    ("gevent.subprocess", "Popen"),
    ("pkg_resources", "run_script"),
    ("IPython", "start_ipython"),
    ("sh", "Command"),
):
    case(
        "third-party-" + module, "a known gadget", ("c%s\n%s\n(Vid\ntR." % (module, what)).encode()
    )

# Stack, marks and memo.
case("empty", "no bytes", b"")
case("nul", "no opcode", b"\x00")
case("ff", "no opcode", b"\xff")
case("stop-alone", "nothing on the stack", b".")
case("left-over", "values left on the stack", b"NN.")
case("mark-left", "a mark left on the stack", b"(N.")
case("tuple-without-mark", "no MARK", b"Nt.")
case("reduce-underflow", "nothing to call", b")R.")
case("put-below-mark", "PUT of what lies below the mark", b"N(p0\n.")
case("memoize-empty", "MEMOIZE of nothing", P4 + b"\x94N.")
case("dup-below-mark", "DUP of what lies below the mark", b"N(2.")
case("tuple2-across-mark", "TUPLE2 across the mark", b"N(N\x86.")
case("setitems-odd", "a key without a value", b"}(Nu.")
case("unhashable-key", "a list as a key", b"}]Ns.")
case("unhashable-member", "a tuple of a list in a set", P4 + b"(]\x85\x91.")

# Resources.
case("length-bomb", "4 GB announced", P4 + b"B\xff\xff\xff\xffN.")
case("length-bomb-8", "2^63 bytes announced", P4 + b"\x8e" + b"\xff" * 7 + b"\x7fN.")
case("length-negative", "a negative length", b"T\xff\xff\xff\xffN.")
case("long4-negative", "a negative length", b"\x8b\xff\xff\xff\xffN.")
case("memo-bomb", "memo index 2^31 - 1", b"Nr\xff\xff\xff\x7f.")
case("memo-bomb-text", "memo index 2^31 - 1 in text", b"Np2147483647\n.")
case("memo-bomb-64", "memo index beyond 2^63", b"Np9999999999999999999\n.")
case("digits-bomb", "quadratic time before 3.11", b"L" + b"9" * 5000 + b"L\n.")
case("depth-bomb", "hashing overruns the C stack", b")" + b"\x85" * 12000 + b".")
case("hash-bomb", "a key that takes 2^60 steps to hash", b"})" + b"2\x86" * 60 + b"Ns.")
case(
    "hash-bomb-memo",
    "the same by way of the memo",
    b"})" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(60)) + b"Ns.",
)
case("hash-bomb-set", "the same in a set", P4 + b"\x8f()" + b"2\x86" * 60 + b"\x90.")
case("hash-bomb-frozenset", "the same in a frozenset", P4 + b"()" + b"2\x86" * 60 + b"\x91.")
case(
    "hash-bomb-reduce",
    "the same in set([...])",
    b"c__builtin__\nset\n(()" + b"2\x86" * 60 + b"ltR.",
)
case(
    "hash-bomb-ordered",
    "the same in OrderedDict([[key, None]])",
    b"ccollections\nOrderedDict\n((()" + b"2\x86" * 60 + b"NlltR.",
)
case(
    "hash-bomb-object",
    "the same in named tuples",
    b"}"
    + OWN
    + b"q\xff0)"
    + b"".join(b"q%c0h\xffh%ch%c\x86\x81" % (i, i, i) for i in range(60))
    + b"Ns.",
)


# Attributes that take the place of methods: load looks these up in the instance first.
def integer(n):
    b = n.to_bytes(n.bit_length() // 8 + 1, "little", signed=True)
    return (
        b"\x8a" + bytes([len(b)]) + b if len(b) < 256 else b"\x8b" + struct.pack("<I", len(b)) + b
    )


def state(*pairs):
    return b"}(" + b"".join(pairs) + b"u"


ORDERED = b"ccollections\nOrderedDict\n)R"
ENDLESS = b"cbuiltins\nrange\nK\x00" + integer(10**10) + b"K\x01\x87R"
REBUILD = b"cmyapp.sessions\nrebuild\n"
NESTED = b")" + b"2\x86" * 60  # takes 2^60 steps to hash, or to write as text
P2 = b"\x80\x02"
case(
    "attribute-append",
    "the attribute append is list, and APPEND calls it with a range",
    P4 + ORDERED + state(text("append"), b"cbuiltins\nlist\n") + b"b" + ENDLESS + b"a.",
)
for name in ("append", "extend"):
    case(
        "attribute-%s-own" % name,
        "the attribute %s is a function of the application" % name,
        P4 + MADE + state(text(name), REBUILD) + b"b(K\x01e.",
    )
case(
    "attribute-setstate",
    "BUILD makes __setstate__ a function, which the second BUILD calls",
    P4 + MADE + state(text("__setstate__"), REBUILD) + b"bK\x01b.",
)
case(
    "attribute-setstate-standard",
    "the same, and the function is list",
    P4 + ORDERED + state(text("__setstate__"), b"cbuiltins\nlist\n") + b"b" + ENDLESS + b"b.",
)
case(
    "attribute-setstate-by-call",
    "SimpleNamespace of Python 3.13 takes its attributes from a dict",
    P4 + b"ctypes\nSimpleNamespace\n" + state(text("__setstate__"), REBUILD) + b"\x85RK\x01b.",
)
case(
    "attribute-slot",
    "the same by setattr, of the second of a pair",
    P4 + MADE + b"N" + state(text("append"), REBUILD) + b"\x86bK\x01a.",
)
case(
    "attribute-value-encode",
    "a cookie calls its attribute value_encode",
    P4
    + b"chttp.cookies\nSimpleCookie\n)\x81"
    + state(text("value_encode"), b"cbuiltins\nlist\n")
    + b"b"
    + text("a")
    + ENDLESS
    + b"s.",
)
case(
    "attribute-data",
    "a UserDict passes items on to a dict of the application",
    P4
    + b"cmyapp.sessions\nBasket\n)\x81"
    + state(text("data"), b"cmyapp.settings\nOPTIONS\n")
    + b"b"
    + text("admin")
    + b"\x88s.",
)

# Classes exchanged by states that are no plain dict.
FAILURE = b"cmyapp.sessions\nFailure\n)R"
for group, start, new, end in (
    ("slots", MADE + b"N", b"cmyapp.sessions\nAdminSession\n", b"\x86b."),
    ("exception", FAILURE, b"cmyapp.sessions\nHarmless\n", b"b."),
):
    pair = text("__class__") + new
    for name, pairs in (
        ("ordered", ORDERED + pair + b"s"),
        ("ordered-called", b"ccollections\nOrderedDict\n((" + pair + b"ll\x85R"),
        ("own-dict", b"cmyapp.sessions\nTable\n)\x81" + pair + b"s"),
        (
            "own-dict-spread",
            b"cmyapp.sessions\nTable\ncmyapp.sessions\nPoint\n" + state(pair) + b"\x85\x85\x81R",
        ),
        ("own-dict-called", b"cmyapp.sessions\nTable\n" + state(pair) + b"\x85R"),
        (
            "text-in-disguise",
            state(b"cmyapp.sessions\nLabel\n" + text("__class__") + b"\x85\x81" + new),
        ),
    ):
        case(
            "class-by-%s-%s" % (group, name),
            "__class__ is set by setattr, from what is no plain dict",
            P4 + start + pairs + end,
        )

# What a function returns need not be made by the pickle.
case(
    "shared-settings",
    "a function returns the application's settings, and SETITEM changes them",
    P2 + b"cmyapp.settings\noptions\n)RX\x05\x00\x00\x00admin\x88s.",
)
case(
    "shared-module",
    "a function returns a module, and BUILD changes it",
    P2 + b"cmyapp.settings\nmodule\n)R}X\x07\x00\x00\x00OPTIONS\x88sb.",
)
case(
    "shared-class",
    "a function returns a class, and BUILD changes it by setattr",
    P2 + b"cmyapp.sessions\nclass_of\nX\x01\x00\x00\x00a\x85RN}X\x05\x00\x00\x00admin\x88s\x86b.",
)

# Names that are harmless with other arguments.
for name in ("SyntaxError", "ExceptionGroup"):
    case(
        "endless-" + name,
        "it makes a tuple of its second argument",
        P4 + b"cbuiltins\n%s\n" % name.encode() + text("a") + ENDLESS + b"\x86R.",
    )
case(
    "endless-Random",
    "setstate of version 2 makes a tuple of what it is given",
    P4 + b"crandom\nRandom\n)RK\x02" + ENDLESS + b"N\x87b.",
)
HUGE = integer((1 << 1_600_000) // 3)  # 200 kB
case(
    "huge-Fraction",
    "the greatest common divisor of two large numbers",
    P4 + b"cfractions\nFraction\n" + HUGE + integer((1 << 1_600_000) // 7) + b"\x86R.",
)
case(
    "huge-range",
    "the length of a range is a division of large numbers",
    P4 + b"cbuiltins\nrange\nK\x00" + HUGE + integer((1 << 800_000) // 7) + b"\x87R.",
)
case(
    "huge-RegexFlag",
    "a flag takes a number apart bit by bit",
    P4 + b"cre\nRegexFlag\n" + integer((1 << 160_000) // 3) + b"\x85R.",
)
case(
    "hash-bomb-cookie",
    "a cookie makes text of its values",
    P4 + b"chttp.cookies\nSimpleCookie\n)\x81" + text("a") + NESTED + b"s.",
)
for name, made in (
    ("UUID", b"cuuid\nUUID\n)\x81" + state(text("int"), NESTED)),
    ("UserString", b"ccollections\nUserString\n)\x81" + state(text("data"), NESTED)),
    ("dataclass", b"cmyapp.sessions\nFrozen\n)\x81" + state(text("a"), NESTED)),
):
    case(
        "hash-bomb-in-" + name,
        "a key whose state takes 2^60 steps to hash",
        P4 + b"}" + made + b"bNs.",
    )

# Packages of third parties that run code, load pickles or open files by name.
for path in """
    attr._make._compile_and_eval  git.repo.base.Repo  pygments.lexers.load_lexer_from_file  PIL.ImageShow.show
    decorator.decorate  Cython.Build.Inline.cython_inline  pyximport.install  patsy.dmatrix
    statsmodels.iolib.smpickle.load_pickle  mlflow.pyfunc.load_model  ray.cloudpickle.loads  gensim.utils.unpickle
    spacy.util.load_model  theano.compile.function.function  docutils.core.publish_file  lxml.etree.parse
    asteval.Interpreter  simpleeval.simple_eval  RestrictedPython.compile_restricted_exec  genshi.template.MarkupTemplate
    Cheetah.Template.Template  paste.util.import_string.eval_import  rq.utils.import_attribute  apscheduler.util.ref_to_obj
    debugpy.connect  docker.from_env  redis.Redis  psycopg2.connect  ZODB.FileStorage.FileStorage  markdown.markdownFromFile
    dulwich.porcelain.clone  pwn.process  zc.buildout.easy_install  mock.mock._importer  aiohttp.client.ClientSession
""".split():
    module, _, name = path.rpartition(".")
    case(
        "third-party-" + path,
        "a function of a well-known package",
        ("c%s\n%s\n" % (module, name)).encode() + CALL,
    )
for name, data in (
    ("inst", b"(S'id'\nimyapp.jobs\nrun\n."),
    ("inst-bare", b"(imyapp.jobs\nrun\n."),
    ("obj", b"(cmyapp.jobs\nrun\nS'id'\no."),
    ("obj-getattr", b"(cbuiltins\ngetattr\ncmyapp.sessions\nShopSession\nS'__subclasses__'\no."),
    (
        "inst-reconstructor",
        b"(cbuiltins\nbytearray\ncbuiltins\nbytearray\nI999999999999\nicopyreg\n_reconstructor\n.",
    ),
    ("obj-set", b"(cbuiltins\nset\n()" + b"2\x86" * 60 + b"lo."),
    ("obj-pool", b"(cmyapp.jobs\nPool\nK\x02o."),
):
    case("borrowed-call-by-" + name, "INST and OBJ call functions too", data)
case(
    "shared-settings-inst",
    "INST calls a function that returns the application's settings",
    b"\x80\x02(imyapp.settings\noptions\nX\x05\x00\x00\x00admin\x88s.",
)
for name in "run call load loads Thread Process Pool Timer urlopen exec_module kill chmod rename putenv".split():
    case(
        "borrowed-call-" + name,
        "what a module of the application may have imported under this name",
        b"cmyapp.jobs\n" + name.encode() + b"\n" + CALL,
    )


def main():
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "hostile.jsonl")
    names = [name for name, _, _ in CASES]
    assert len(names) == len(set(names)), "a name twice"
    with open(path, "w") as f:
        for name, why, data in CASES:
            f.write(json.dumps({"name": name, "why": why, "hex": data.hex()}) + "\n")
    print(len(CASES), "cases")


if __name__ == "__main__":
    main()
