"""alforja pickle dis, verify, json and recode beside CPython's pickle and pickletools."""

import _compat_pickle
import gzip
import io
import json
import pickle
import pickletools
import pty
import random
import subprocess
import time

import pytest

from harness import BINARY, TREE

CORPORA = TREE / "pickle" / "testdata"


def alforja(*args, stdin=b"", timeout=120):
    return subprocess.run(
        [BINARY, "pickle", *map(str, args)], input=stdin, capture_output=True, timeout=timeout
    )


def corpus(name):
    path = CORPORA / name
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt") as lines:
        return [(s["name"], bytes.fromhex(s["hex"])) for s in map(json.loads, lines)]


def as_lines(samples):
    return "".join(
        json.dumps({"name": name, "hex": data.hex()}) + "\n" for name, data in samples
    ).encode()


def answers(samples, *args):
    """What --jsonl answers to samples: one line each, in order, with the same name."""
    done = alforja(*args, "--jsonl", stdin=as_lines(samples))
    got = [json.loads(line) for line in done.stdout.decode("utf-8", "strict").splitlines()]
    assert [a["name"] for a in got] == [name for name, _ in samples]
    assert done.returncode == any("error" in a for a in got), done.stderr
    return got


@pytest.fixture(scope="module")
def samples():
    roundtrip = corpus("roundtrip.jsonl.gz")
    chosen = random.Random(1).sample(roundtrip, 1500)
    return corpus("good.jsonl.gz") + corpus("hostile.jsonl") + chosen


def test_dis_prints_what_pickletools_prints(samples):
    accepted = 0
    for (name, data), answer in zip(samples, answers(samples, "dis", "--plain")):
        want = io.StringIO()
        try:
            pickletools.dis(data, want)
            accepted += 1
        except Exception as error:
            assert "error" in answer, (name, error)
            if "integer string conversion" in str(error):  # in the middle of a line
                text = want.getvalue()
                want = io.StringIO(text[: text.rfind("\n") + 1])
        else:
            assert "error" not in answer, (name, answer)
        assert answer["dis"] == want.getvalue(), name
    assert accepted > 2000


def test_remarks_keep_the_lines(samples):
    marked = answers(samples, "dis")
    for answer, plain in zip(marked, answers(samples, "dis", "--plain")):
        lines = [line for line in answer["dis"].splitlines() if not line.startswith("# ")]
        want = plain["dis"].splitlines()
        assert len(lines) == len(want), answer["name"]
        for line, without in zip(lines, want):
            assert line == without or line.startswith(without + "  # imports "), answer["name"]
    assert sum("  # imports " in a["dis"] for a in marked) > 1000


def test_remarks_name_what_python_imports(samples):
    """Every import that the unpickler makes has its remark."""

    class Imports(pickle.Unpickler):
        def find_class(self, module, name):
            if self.protocol < 3:
                renamed = _compat_pickle.IMPORT_MAPPING.get(module, module), name
                module, name = _compat_pickle.NAME_MAPPING.get((module, name), renamed)
            self.found.append(f"{module}.{name}")
            return lambda *args, **kwargs: {}

    compared = 0
    for (name, data), answer in zip(samples[:617], answers(samples[:617], "dis")):
        unpickler = Imports(io.BytesIO(data))
        unpickler.found, unpickler.protocol = [], data[1] if data[:1] == b"\x80" else 0
        try:
            unpickler.load()
        except Exception:
            pass  # the stand-ins do not take everything; what came before counts
        for found in unpickler.found:
            mapped = f"  # imports {found}"
            assert mapped in answer["dis"], (name, found, answer["dis"])
            compared += 1
    assert compared > 500


def test_dis_of_a_file(tmp_path):
    path = tmp_path / "p"
    path.write_bytes(pickle.dumps({"a": [1, 2]}, 4) + b"more")
    want = io.StringIO()
    pickletools.dis(path.read_bytes(), want)
    assert alforja("dis", path).stdout.decode() == want.getvalue()
    assert alforja("dis", "-", stdin=path.read_bytes()).stdout.decode() == want.getvalue()


def test_json_is_lossless(samples):
    """What recode makes of a pickle and of its exact JSON is the same."""
    readable = 0
    for exact in (["--exact"], []):
        done = alforja("json", "--jsonl", *exact, stdin=as_lines(samples))
        for line in done.stdout.decode("utf-8", "strict").splitlines():
            readable += "error" not in json.loads(line)
        if exact:
            again = alforja("recode", "--from-json", "--jsonl", stdin=done.stdout)
    want = answers(samples, "recode")
    got = [json.loads(line) for line in again.stdout.splitlines()]
    compared = 0
    for original, copy in zip(want, got, strict=True):
        assert original["name"] == copy["name"]
        assert original.get("hex") == copy.get("hex"), original["name"]
        compared += "hex" in original
    assert compared > 2000
    assert readable == 2 * compared


@pytest.mark.parametrize("protocol", range(6))
def test_recode_keeps_values(protocol):
    loop = []
    loop.append(loop)
    values = [
        None, True, -1, 2**64, -(2**2048), 0.1, -0.0, float("inf"), "\ud800\u20ac\x00", b"\xff\x00",
        bytearray(b"x"), (), (1, (2,)), {"a": {1: [2.5]}}, {1, 2}, frozenset("a"), complex(1, -0.0),
        loop, [loop, loop],
    ]  # fmt: skip
    given = [(number, pickle.dumps(value)) for number, value in enumerate(values)]
    for answer, value in zip(answers(given, "recode", "--protocol", protocol), values):
        data = bytes.fromhex(answer["hex"])
        assert repr(pickle.loads(data)) == repr(value)
        pickletools.dis(data, io.StringIO())
    again = pickle.loads(data)
    assert again[0] is again[1] is again[0][0]


def test_verify_agrees_with_its_report(samples):
    for (_, data), answer in zip(samples, answers(samples, "verify")):
        assert answer["ok"] == ("error" not in answer)
        if answer["ok"]:
            assert data[answer["report"]["used"] - 1 :][:1] == b"."
            assert {g["role"] for g in answer["report"]["globals"]} <= {
                "class", "called", "loaded", "imported"
            }  # fmt: skip


def test_verify_policies(tmp_path):
    path = tmp_path / "p"
    path.write_bytes(b"cshop.cart\nCart\n)R.")
    for flags, code in (
        ([], 0),
        (["--policy", "strict"], 1),
        (["--policy", "strict", "--allow", "shop.*"], 0),
        (["--policy", "strict", "--allow", "shop.cart.Cart"], 0),
        (["--policy", "none"], 0),
        (["--policy", "report"], 0),
    ):
        assert alforja("verify", *flags, path).returncode == code, flags
    path.write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    done = alforja("verify", path)
    assert done.returncode == 1
    assert b'allow = ["os.system"]' in done.stdout
    assert alforja("verify", "--policy", "none", path).returncode == 0
    refusal = done.stdout.decode().partition(": ")[2].partition("\n")[0]
    done = alforja("verify", "--policy", "report", path)
    told = f"{path}: ok, but enforce refuses it: {refusal}\n"
    assert done.returncode == 0 and done.stdout.decode().startswith(told)
    answer = json.loads(alforja("verify", "--policy", "report", "--json", path).stdout)
    assert (answer["ok"], answer["refused"], "error" in answer) == (True, refusal, False)
    answer = json.loads(alforja("verify", "--json", path).stdout)
    assert (answer["name"], answer["ok"], answer["allow"]) == (str(path), False, "os.system")
    assert answer["report"]["globals"][0]["role"] == "called"


def test_second_opinion():
    given = [
        ("fine", pickle.dumps([1, "a", {"b": (None, 1.5)}], 4)),
        ("panics", b"\xff"),
        ("not unescaped", pickle.dumps("\u20ac", 0)),
        ("takes 2 GiB", b"(" * (8 << 20)),
        ("fine again", pickle.dumps({1: 2}, 5)),
    ]
    said = {
        a["name"]: (a["second_opinion"]["says"], a["second_opinion"]["differs"])
        for a in answers(given, "verify", "--second-opinion", "--max-bytes", str(16 << 20))
    }
    assert said == {
        "fine": ("accepts", False),
        "panics": ("panics", False),
        "not unescaped": ("accepts", True),
        "takes 2 GiB": ("dies", False),
        "fine again": ("accepts", False),
    }


BAD_LINES = [
    b"", b"   ", b"nonsense", b"[]", b"{", b'{"name":"x"}', b'{"name":"x","hex":7}',
    b'{"name":"x","hex":"4e2"}', b'{"name":"x","hex":"zz"}', b'{"name":"\xff","hex":"4e2e"}',
    b'{"name":"x","hex":""}', b'{"name":"x","hex":"' + b"4e" * 3000 + b'"}', b"\x00" * 200_000,
    b'{"name":"x","hex":"4e"}',
]  # fmt: skip


@pytest.mark.parametrize("command", ["dis", "verify", "json", "recode"])
def test_one_bad_line_stops_nothing(command):
    good = b'{"name":"good","hex":"4e2e"}'
    lines = [line for bad in BAD_LINES for line in (good, bad)] + [good]
    done = alforja(command, "--jsonl", "--max-bytes", 1000, stdin=b"\n".join(lines))
    got = [json.loads(line) for line in done.stdout.decode("utf-8", "strict").splitlines()]
    assert len(got) == len(lines)
    for number, answer in enumerate(got, 1):
        if number % 2:
            assert answer["name"] == "good"
            assert "error" not in answer, answer
        else:
            assert answer["line"] == number
            assert answer["error"]
    assert done.returncode == 1
    assert f"{len(BAD_LINES)} of {len(lines)} lines failed" in done.stderr.decode()


def test_names_come_back():
    names = ["", 'a"\\\n\u202e', "\U0001f40e", "\ud800", 7, None, True, "$id", ["x"]]
    given = "".join(json.dumps({"hex": "4e2e", "name": name}) + "\n" for name in names)
    done = alforja("json", "--jsonl", stdin=given.encode())
    assert [json.loads(line)["name"] for line in done.stdout.splitlines()] == names


def test_deep_pickles(tmp_path):
    for name, data in {
        "lists": b"]" * 100_000 + b"a" * 99_999 + b".",
        "marks": b"(" * 100_000 + b"t" * 100_000 + b".",
        "dicts": b"}K\x00" * 100_000 + b"N" + b"s" * 100_000 + b".",
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        start = time.monotonic()
        done = alforja("dis", path)
        assert done.returncode == 0, done.stderr
        assert len(done.stdout) < 100 << 20
        for command in ("json", "recode", "verify"):
            done = alforja(command, path)
            assert done.returncode == 1
            text = (done.stdout + done.stderr).decode()
            assert "deep" in text or "MaxDepth" in text, text
        assert time.monotonic() - start < 60


def test_fan_out_does_not_grow():
    """Thirty lists, each twice in the next, and a long text fetched 20,000 times."""
    twice = b"\x80\x04(]\x94" + b"".join(b"](h%ch%ce\x94" % (i, i) for i in range(30)) + b"t."
    text = b"\x80\x04]X\x10\x27\x00\x00" + b"x" * 10_000 + b"\x940(" + b"h\x00" * 20_000 + b"e."
    for data in (twice, text):
        for flags in ([], ["--exact"]):
            done = alforja("json", "--compact", *flags, "-", stdin=data)
            assert done.returncode == 0, done.stderr
            assert len(done.stdout) < 40 * len(data)
            json.loads(done.stdout)


def test_large_pickle(tmp_path):
    path = tmp_path / "large"
    path.write_bytes(pickle.dumps([b"x" * 1000 + b"%d" % i for i in range(20_000)]))
    done = alforja("verify", path)
    assert done.returncode == 1
    assert b"raise --max-bytes" in done.stdout
    for command in ("verify", "recode", "json", "dis"):
        assert alforja(command, "--max-bytes", 100 << 20, path).returncode == 0
    done = alforja("recode", "--max-bytes", 100 << 20, path)
    assert done.stdout == path.read_bytes()


def test_recode_in_place(tmp_path):
    """The file is given its new content whole, keeps its mode, and stays when there is no room."""
    path, link = tmp_path / "session", tmp_path / "link"
    path.write_bytes(pickle.dumps(b"x" * 200_000, 4))
    path.chmod(0o640)
    link.symlink_to(path)
    before = path.read_bytes()
    command = f"ulimit -f 100; exec {BINARY} pickle recode --protocol 2 {link} -o {link}"
    done = subprocess.run(["sh", "-c", command], capture_output=True, timeout=30)
    assert done.returncode == 1
    assert b"session stays as it was: " in done.stderr and b"file too large" in done.stderr
    assert path.read_bytes() == before
    assert alforja("recode", "--protocol", "2", link, "-o", link).returncode == 0
    assert (
        path.read_bytes()[:2] == b"\x80\x02" and pickle.loads(path.read_bytes()) == b"x" * 200_000
    )
    assert path.stat().st_mode & 0o777 == 0o640 and link.is_symlink()
    assert alforja("recode", path, "-o", "/dev/stdout").stdout == pickle.dumps(b"x" * 200_000, 4)
    assert sorted(x.name for x in tmp_path.iterdir()) == ["link", "session"]


def test_no_binary_on_a_terminal(tmp_path):
    path = tmp_path / "p"
    path.write_bytes(b"N.")
    ours, theirs = pty.openpty()
    done = subprocess.run([BINARY, "pickle", "recode", path], stdout=theirs, stderr=-1, timeout=30)
    assert done.returncode == 2
    assert b"-o FILE" in done.stderr
    for fd in (ours, theirs):
        io.FileIO(fd, "r").close()
    out = tmp_path / "out"
    assert alforja("recode", path, "-o", out).returncode == 0
    assert pickle.loads(out.read_bytes()) is None
    assert out.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("command", [[], ["dis"], ["verify"], ["json"], ["recode"]])
def test_help_has_examples(command):
    done = alforja(*command, "--help")
    assert done.returncode == 0
    assert b"Examples:" in done.stdout
    assert b"second-opinion  " not in alforja("--help").stdout


def test_interrupt_ends_a_command_that_waits():
    with subprocess.Popen([BINARY, "pickle", "dis", "-"], stdin=-1, stdout=-1) as process:
        deadline = time.monotonic() + 30
        while process.poll() is None:
            process.terminate()  # again and again: it may come before the command is there
            assert time.monotonic() < deadline
            try:
                process.wait(0.05)
            except subprocess.TimeoutExpired:
                pass
    assert process.returncode == -15
