"""Tasks no honest engine would run: what an attacker who took over the parser might try."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import socket
import threading
import time
from pathlib import Path
from typing import Any

from jiebang.errors import DatasetRefused

Arguments = dict[str, Any]


def answer(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    return {"text": dataset.read_text(), "echo": arguments}


def look_around(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    open_files = [handle for handle in range(256) if _is_open(handle)]
    return {
        "environment": dict(os.environ),
        "open_files": open_files,
        "where": os.getcwd(),
        "own_group": os.getpgrp() == os.getpid(),
    }


def _is_open(handle: int) -> bool:
    try:
        os.fstat(handle)
    except OSError:
        return False
    return True


def refuse(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    raise DatasetRefused("not_a_dataset", "There is nothing here.", "Hand in a table.", path="x")


def fail(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    raise RuntimeError("the content of a cell: 13800138000")


def loop(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    while True:
        pass


def wait(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    (output / "waiting").touch()
    threading.Event().wait()
    return {}


def eat_memory(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    held = []
    while True:
        held.append(b"x" * 10_000_000)
        time.sleep(0.001)


def eat_shared_memory(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    held = []
    while True:
        pages = mmap.mmap(-1, 10_000_000)
        pages.write(b"x" * 10_000_000)
        held.append(pages)


def ask_for_the_absurd(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    return {"length": len(bytearray(1 << 44))}


def write_one_large_file(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    with open(output / "bomb", "wb") as file:
        while True:
            file.write(b"0" * 1_000_000)


def write_many_files(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    number = 0
    while True:
        number += 1
        (output / f"bomb-{number}").write_bytes(b"0" * 1_000_000)


def write_nameless_files(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    held = []
    while True:
        file = open(output / "bomb", "wb", buffering=0)  # noqa: SIM115 - it is held on purpose
        file.write(b"0" * 10_000_000)
        os.unlink(output / "bomb")
        held.append(file)
        time.sleep(0.02)


def dig(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    """Thousands of folders in each other, deeper than any path can name."""
    for _ in range(arguments["levels"]):
        os.mkdir("deeper")
        os.chdir("deeper")
    Path("bottom").touch()
    os.mkdir("closed", 0)
    if arguments["stay"]:
        threading.Event().wait()
    return {}


def fork_bomb(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    refused = 0
    for _ in range(1000):
        try:
            if os.fork() == 0:
                time.sleep(60)
        except OSError:
            refused += 1
    return {"refused": refused}


def open_a_socket(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    socket.socket()
    return {}


def run_a_program(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    os.execv("/bin/true", ["true"])


def read_a_foreign_file(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    return {"text": Path(arguments["path"]).read_text()}


def signal_the_worker(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    os.kill(arguments["pid"], 9)
    return {}


def crash_hard(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    ctypes.string_at(1)
    return {}


def leave(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    """Bypass the ordinary way and leave a result of the attacker's own making."""
    (output / "result.json").write_bytes(arguments["content"].encode("latin-1"))
    os._exit(0)


def leave_depth(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    (output / "result.json").write_text('{"a":' + "[" * 100_000 + "]" * 100_000 + "}")
    os._exit(0)


def leave_size(dataset: Path, output: Path, arguments: Arguments) -> Arguments:
    (output / "result.json").write_text(json.dumps({"a": "x" * 9_000_000}))
    os._exit(0)


TASKS = {
    task.__name__: task
    for task in (
        answer,
        look_around,
        refuse,
        fail,
        loop,
        wait,
        eat_memory,
        eat_shared_memory,
        ask_for_the_absurd,
        write_one_large_file,
        write_many_files,
        write_nameless_files,
        dig,
        fork_bomb,
        open_a_socket,
        run_a_program,
        read_a_foreign_file,
        signal_the_worker,
        crash_hard,
        leave,
        leave_depth,
        leave_size,
    )
}
