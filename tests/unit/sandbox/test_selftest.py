"""The self-test is only worth something if its attempts succeed where nothing holds them back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from jiebang.sandbox import self_test
from jiebang.sandbox.seccomp import allowed_calls, program

UNCONFINED = """
import json, sys
from pathlib import Path
from jiebang.sandbox.probes import escape
root = Path(sys.argv[1])
print(json.dumps(escape(root / "data.csv", root / "output", {"foreign": str(root / "foreign")})))
"""


def test_escape_fails_on_this_machine() -> None:
    assert self_test() == []


def test_every_probe_gets_out_where_nothing_is_confined(tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "secret").write_text("secret")
    (tmp_path / "data.csv").write_text("a,b\n1,2\n3,4\n")
    finished = subprocess.run(
        [sys.executable, "-c", UNCONFINED, str(tmp_path)], capture_output=True, text=True, check=True, timeout=60
    )
    found = json.loads(finished.stdout)
    expected = {
        "open a socket",
        "open a Unix socket",
        "read a foreign file",
        "read the password file",
        "list the root folder",
        "write elsewhere",
        "change the dataset",
        "empty the dataset",
        "link to a foreign file",
        "run a program",
        "signal another process",
        "trace a process",
        "start a process",
    }
    if os.geteuid() == 0:
        expected |= {"read another process", "mount", "make a namespace"}
    assert expected <= set(found["escaped"])


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_filter_allows_no_way_out_on_either_architecture(machine: str) -> None:
    calls = allowed_calls(machine)
    assert len(calls) == len(set(calls.values()))
    assert not {"socket", "connect", "execve", "fork", "ptrace", "mount", "unshare", "io_uring_setup"} & set(calls)
    code = program(1234, machine)
    assert len(code) < 4096
    assert all(0 <= then < 256 and 0 <= otherwise < 256 for _, then, otherwise, _ in code)


@pytest.mark.parametrize(
    ("machine", "header", "prefix"),
    [
        ("x86_64", "/usr/include/x86_64-linux-gnu/asm/unistd_64.h", "__NR_"),
        ("aarch64", "/usr/include/asm-generic/unistd.h", "__NR_"),
    ],
)
def test_the_numbers_are_those_of_the_kernels_headers(machine: str, header: str, prefix: str) -> None:
    path = Path(header)
    if not path.exists():
        pytest.skip(f"{header} is not installed: nothing to compare with")
    numbers: dict[str, int] = {}
    for line in path.read_text().splitlines():
        words = line.replace("__NR3264_", "__NR_").split()
        if len(words) >= 3 and words[0] == "#define" and words[1].startswith(prefix) and words[2].isdigit():
            numbers.setdefault(words[1].removeprefix(prefix), int(words[2]))
    # The generic header names the 64-bit call after its 32-bit sibling.
    numbers.setdefault("newfstatat", numbers.get("fstatat", -1))
    assert {name: numbers.get(name) for name in allowed_calls(machine)} == allowed_calls(machine)
