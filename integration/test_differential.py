"""Package pickle against CPython's own unpicklers, over pickles made up and mutated."""

import subprocess
import sys

from harness import TREE

INPUTS = 100_000  # a minute's worth; `make differential` runs more
SEED = 20260101


def test_verify_and_cpython_agree(tmp_path):
    binary, findings = tmp_path / "differential", tmp_path / "findings.jsonl"
    subprocess.run(
        ["go", "build", "-o", binary, "./integration/differential"],
        cwd=TREE,
        check=True,
        timeout=300,
    )
    done = subprocess.run(
        [binary, "-n", str(INPUTS), "-seed", str(SEED), "-python", sys.executable]
        + ["-findings", findings],
        cwd=TREE,
        capture_output=True,
        text=True,
        timeout=1200,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:] + findings.read_text()[:4000]
    assert f"{INPUTS} inputs" in done.stdout


def test_a_disagreement_is_found(tmp_path):
    """The comparison can fail: an interpreter that errs about every pickle is noticed."""
    wrong = tmp_path / "python"
    wrong.write_text(f"#!{sys.executable}\n{WRONG}")
    wrong.chmod(0o755)
    done = subprocess.run(
        ["go", "run", "./integration/differential", "-n", "2000", "-python", wrong]
        + ["-second-opinion=false"],
        cwd=TREE,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 1, done.stdout + done.stderr[-2000:]
    assert "CPython refuses" in done.stdout.partition("Disagreements:")[2]


# Answers every request with an error, in the format of differential/unpickler.py.
WRONG = """
import struct, sys
requests, replies = sys.stdin.buffer, sys.stdout.buffer
while True:
    head = requests.read(5)
    if len(head) < 5:
        break
    flags, n = struct.unpack("<BI", head)
    requests.read(n)
    if flags & 4:
        requests.read(struct.unpack("<I", requests.read(4))[0])
    reply = struct.pack("<BII", 1, 0, 0) + bytes(20)
    replies.write(struct.pack("<I", len(reply)) + reply)
    replies.flush()
"""
