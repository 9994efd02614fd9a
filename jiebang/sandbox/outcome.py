"""What a worker hands to the sandbox, and how it reads what a hostile child may have left there."""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NoReturn

RESULT_FILE = "result.json"
CRASH_FILE = "crash.txt"
MAX_RESULT_BYTES = 8 * 1024 * 1024
MAX_DEPTH = 32
_MAX_DETAIL_BYTES = 4096
# The closing quote is optional: an open string swallows the rest at once, where a second try at each of its quotes
# would take quadratic time.
_STRING_OR_BRACKET = re.compile(rb'"(?:[^"\\]|\\.)*+"?|[\[\]{}]', re.DOTALL)


# What runs confined: (dataset, output, arguments) to a JSON object.
Task = Callable[[Path, Path, dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Job:
    """One judgement: `kind` is `scan` or `score`.

    `dataset` (a file or a folder) may be read, `output` (an existing empty folder, the caller's to remove) may be
    written; `arguments` are JSON values: see `jiebang.sandbox.tasks`.
    """

    kind: str
    dataset: Path
    output: Path
    arguments: dict[str, Any] = field(default_factory=dict)


class OutcomeStatus(StrEnum):
    """How a child ended. The first two are answers; the next two are the dataset's doing; `crashed` may be ours."""

    DONE = "done"
    REFUSED = "refused"
    KILLED_MEMORY = "killed_memory"
    KILLED_TIME = "killed_time"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of one job.

    `result` is the answer when done, the refusal (`code`, `title`, `detail`, `fault`, …) when refused, else empty.
    `detail` says why otherwise, without any content of the dataset. `peak_bytes` is resident memory at its highest.
    """

    status: OutcomeStatus
    result: dict[str, Any] = field(default_factory=dict)
    detail: str = ""
    cpu_seconds: float = 0.0
    peak_bytes: int = 0


class HostileOutput(Exception):
    """The child left something that no honest child leaves."""


def read_output(output: Path, name: str, *, limit: int) -> bytes | None:
    """Read one plain file that a child left directly in `output`; None when it left none.

    Raises `HostileOutput` for anything but a plain file of at most `limit` bytes with a single name.
    """
    if "/" in name or name in {"", ".", ".."}:
        raise ValueError(f"not a plain file name: {name!r}")
    try:
        # Non-blocking, so that a pipe in place of the file cannot hold us; it is refused a line later.
        handle = os.open(output / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise HostileOutput(f"{name} cannot be opened: {error.strerror}") from error
    # A folder cannot even be wrapped as a file, so this is asked of the bare handle.
    facts = os.fstat(handle)
    if not stat.S_ISREG(facts.st_mode) or facts.st_nlink != 1:
        os.close(handle)
        raise HostileOutput(f"{name} is not a plain file")
    with os.fdopen(handle, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise HostileOutput(f"{name} is larger than {limit} bytes")
    return content


def read_result(output: Path) -> dict[str, Any]:
    """The child's result as JSON: at most 8 MiB and 32 levels deep, an object, finite numbers. Else `HostileOutput`."""
    content = read_output(output, RESULT_FILE, limit=MAX_RESULT_BYTES)
    if content is None:
        raise HostileOutput("the child ended well but left no result")
    _check_depth(content)
    try:
        result = json.loads(content.decode("utf-8"), parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise HostileOutput("the result is not JSON") from error
    if not isinstance(result, dict):
        raise HostileOutput("the result is not a JSON object")
    return result


def read_crash(output: Path) -> str:
    """The frames of the child's last traceback, printable and short; empty when there is none."""
    try:
        content = read_output(output, CRASH_FILE, limit=_MAX_DETAIL_BYTES)
    except HostileOutput:
        return ""
    text = (content or b"").decode("utf-8", "replace")
    return "".join(character if character.isprintable() or character == "\n" else "?" for character in text)


def _check_depth(content: bytes) -> None:
    """Count brackets outside strings, so that the parser never recurses further than we allow."""
    depth = 0
    for token in _STRING_OR_BRACKET.finditer(content):
        if token[0] in b"{[":
            depth += 1
            if depth > MAX_DEPTH:
                raise HostileOutput(f"the result is nested deeper than {MAX_DEPTH} levels")
        elif token[0] in b"}]":
            depth -= 1


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number
