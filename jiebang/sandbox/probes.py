"""Attempts to break out, made from inside: the tasks of the self-test."""

from __future__ import annotations

import ctypes
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from jiebang.sandbox.kernel import system_call
from jiebang.sandbox.outcome import Task

_UNSHARE = {"x86_64": 272, "aarch64": 97}
_PTRACE = {"x86_64": 101, "aarch64": 117}
_MOUNT = {"x86_64": 165, "aarch64": 40}
_PTRACE_ATTACH = 16
_NOBODY = 0x7FFFFFFF
_CLONE_NEWUSER = 0x10000000


def escape(dataset: Path, output: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """Try every way out: `escaped` names those that worked, `broken` what must work and does not.

    `foreign` in the arguments is a folder that is neither dataset nor output, with a file `secret`. Harmless where
    nothing is confined, so that a test can show that each way works there.
    """
    foreign = Path(arguments["foreign"])
    machine = os.uname().machine
    ways: dict[str, Callable[[], object]] = {
        "open a socket": lambda: socket.socket().close(),
        "open a Unix socket": lambda: socket.socketpair()[0].close(),
        "read a foreign file": (foreign / "secret").read_bytes,
        "read the password file": Path("/etc/passwd").read_bytes,
        "list the root folder": lambda: os.listdir("/"),
        "write elsewhere": lambda: (foreign / "planted").write_bytes(b"x"),
        "change the dataset": lambda: open(dataset, "ab").close(),
        "empty the dataset": lambda: os.close(os.open(dataset, os.O_RDONLY | os.O_TRUNC)),
        "link to a foreign file": lambda: os.symlink(foreign / "secret", output / "link"),
        # A program that is not there: "no such file" means that exec was possible.
        "run a program": lambda: os.execv(output / "no-such-program", ["no-such-program"]),
        "read another process": lambda: Path(f"/proc/{os.getppid()}/environ").read_bytes(),
        "signal another process": lambda: os.kill(os.getppid(), 0),
        "trace a process": lambda: system_call(_PTRACE[machine], ctypes.c_long(_PTRACE_ATTACH), ctypes.c_long(_NOBODY)),
        "mount": lambda: system_call(_MOUNT[machine], None, None, None, ctypes.c_long(0), None),
        "make a namespace": lambda: system_call(_UNSHARE[machine], ctypes.c_long(_CLONE_NEWUSER)),
        "start a process": _fork_a_thousand_times,
    }
    return {
        "escaped": [name for name, way in ways.items() if _works(way)],
        "broken": _broken(dataset, output),
    }


def _works(way: Callable[[], object]) -> bool:
    """Only a refusal is a refusal: any other error means that the kernel was willing to look at the request."""
    try:
        way()
    except PermissionError:
        return False
    except OSError:
        return True
    return True


def _fork_a_thousand_times() -> None:
    refusals = 0
    for _ in range(1000):
        try:
            child = os.fork()
        except OSError:
            refusals += 1
            continue
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)
    if refusals == 1000:
        raise PermissionError


def _broken(dataset: Path, output: Path) -> list[str]:
    """What an honest judgement needs and the confinement must leave working."""
    try:
        with duckdb.connect() as connection:
            connection.execute("SET threads = 2")
            relation = f"read_csv('{dataset}')"
            connection.execute(f"COPY (FROM {relation}) TO '{output / 'copy.parquet'}' (FORMAT parquet)")
            rows = connection.execute(f"SELECT count(*) FROM '{output / 'copy.parquet'}'").fetchall()
    except duckdb.Error as error:
        return [f"read and write with DuckDB ({type(error).__name__})"]
    return [] if rows == [(2,)] else ["read back what DuckDB wrote"]


TASKS: dict[str, Task] = {"escape": escape}
