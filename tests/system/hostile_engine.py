"""The engine, had the bytes of a dataset taken it over: what they say is what the confined child does.

A first line `#exploit <what>` names it; every other dataset is scanned as ever.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import Any

from jiebang.sandbox import tasks

MARK = b"#exploit "


def scan(dataset: Path, output: Path, arguments: dict[str, Any]) -> dict[str, Any]:
    """The gates, or what the dataset wants."""
    with dataset.open("rb") as file:
        first = file.readline(100)
    if first.startswith(MARK):
        _EXPLOITS[first.removeprefix(MARK).strip().decode()]()
    return tasks.scan(dataset, output, arguments)


def _eat_memory() -> None:
    held = []
    while True:
        held.append(b"x" * 10_000_000)


def _fork_without_end() -> None:
    while True:
        with contextlib.suppress(OSError):
            os.fork()


def _parse_without_end() -> None:
    while True:
        pass


_EXPLOITS = {"memory": _eat_memory, "fork": _fork_without_end, "parse": _parse_without_end}

TASKS = {"scan": scan}
