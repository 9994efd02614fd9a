"""How the command speaks: tables and words for people, JSON for programs, errors that say what to do."""

from __future__ import annotations

import io
import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import markup
from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)
from rich.table import Table

from jiebang.client import Problem, Unreachable
from jiebang.errors import DeclarationError, Fault, JiebangError

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

_PIPED_WIDTH = 200
"""Where no terminal has a width, lines are only broken when they are longer than this."""

_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:\d{2})$")

# A terminal takes these for orders: to clear itself, to change its title, to answer as if somebody had typed.
_ORDERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs instead of words.")]


def escape(words: str) -> str:
    """Words of a stranger, a dataset's column names among them, as text that neither rich nor a terminal obeys."""
    return markup.escape(_ORDERS.sub("�", words))


class Exit(IntEnum):
    """What the process ends with."""

    DONE = 0
    NO = 1
    WRONG_USE = 2
    UNAVAILABLE = 3


class WrongUse(JiebangError):
    """The command was asked for something it cannot mean."""


class Unexpected(JiebangError):
    """Something happened that nobody foresaw."""

    fault = Fault.PLATFORM

    def __init__(self, error: Exception) -> None:
        super().__init__(
            "unexpected",
            f"Something went wrong inside: {type(error).__name__}: {error}",
            "The traceback is on standard error; please report it.",
        )


_WRONG_USE_CODES = frozenset({"no_such_path", "malformed_key", "malformed_url"})
_WRONG_USE_STATUS = frozenset({400, 401, 422})


def exit_code(error: JiebangError) -> Exit:
    """Which exit code an error ends the process with."""
    if isinstance(error, WrongUse | DeclarationError) or error.code in _WRONG_USE_CODES:
        return Exit.WRONG_USE
    if isinstance(error, Unreachable):
        return Exit.UNAVAILABLE
    if isinstance(error, Problem):
        if error.status in _WRONG_USE_STATUS:
            return Exit.WRONG_USE
        return Exit.UNAVAILABLE if error.status >= 500 else Exit.NO
    return Exit.UNAVAILABLE if error.fault is Fault.PLATFORM else Exit.NO


def complain(error: JiebangError) -> None:
    """Say what is wrong and what to do, on standard error; a path or an id in it stays whole, to be copied."""
    err.print(f"[bold red]✗[/] [bold]{escape(error.title)}[/]", soft_wrap=True)
    if error.detail:
        err.print(f"  {escape(error.detail)}", soft_wrap=True)
    facts = {key: value for key, value in error.fields.items() if isinstance(value, str | int | float)}
    if facts:
        told = " · ".join(f"{key}: {value}" for key, value in facts.items())
        err.print(f"  [dim]{escape(told)}[/]", soft_wrap=True)
    err.print(f"  [dim]code: {escape(error.code)}[/]", soft_wrap=True)


def say(text: str) -> None:
    """A line for people, on standard error, so that standard output holds only what was asked for."""
    err.print(text)


def speak_any_text(as_json: bool) -> None:
    """Let no name or sentence end the command because the terminal has no such character; JSON is always UTF-8."""
    for stream in (sys.stdout, sys.stderr):
        if not isinstance(stream, io.TextIOWrapper):
            continue
        if as_json and stream is sys.stdout:
            stream.reconfigure(encoding="utf-8", errors="backslashreplace")
        else:
            stream.reconfigure(errors="replace")
    if not out.is_terminal and "COLUMNS" not in os.environ:
        out.width = _PIPED_WIDTH


def check_target(path: Path | None) -> None:
    """Raise WrongUse for a file that could not be written, before the work for it is done."""
    if path is None:
        return
    folder = path.absolute().parent
    if path.is_dir():
        why = f"{path} is a folder."
    elif not folder.is_dir():
        why = f"There is no folder {folder}."
    elif not os.access(path if path.exists() else folder, os.W_OK):
        why = f"You may not write {path}."
    else:
        return
    raise WrongUse("cannot_write", why, "Name a file in a folder that is there and that you may write to.")


def check_page(path: Path | None) -> None:
    """Raise WrongUse for a page under a name that no browser opens as one; pipes and devices have names of their own.

    `Report.save` has the same rule.
    """
    check_target(path)
    if path is None or path.suffix.lower() in {".html", ".htm"}:
        return
    if path.is_file() or not path.exists():
        raise WrongUse(
            "no_page", f"{path} is not the name of a page.", "--html writes HTML: name a file that ends in .html."
        )


def write_target(path: Path, text: str) -> bool:
    """Write a file that the command was asked for; a failure is told on standard error and does not end the command."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        complain(WrongUse("cannot_write", f"{path} could not be written: {error.strerror}.", "Name another file."))
        return False
    return True


def prefers_json(arguments: Sequence[str]) -> bool:
    """Whether a program is reading."""
    return "--json" in arguments


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=None if not sys.stdout.isatty() else 2)
    sys.stdout.write("\n")


def counted(count: int, one: str) -> str:
    """A number of things: `1 file`, `2 files`."""
    return f"{count} {one}" if count == 1 else f"{count} {one}s"


def table(*columns: str, title: str | None = None, right: Sequence[str] = (), whole: Sequence[str] = ()) -> Table:
    """An empty table in the house style.

    The columns named in `right` hold numbers; those in `whole` hold what is copied, such as ids, and are never broken.
    """
    result = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold dim",
        box=None,
        pad_edge=False,
        show_header=any(columns),
    )
    for column in columns:
        copied = column in whole
        result.add_column(
            column,
            justify="right" if column in right else "left",
            overflow="ignore" if copied else "fold",
            no_wrap=copied,
        )
    return result


def local_time(text: str | None) -> str:
    """An RFC 3339 moment in the reader's own time zone, whose name stands behind it."""
    if not text or not _MOMENT.match(text):
        return text or ""
    moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def utc_time(text: str) -> str:
    """What a person typed as a moment, as RFC 3339 in UTC; a time without zone is the reader's own."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        raise WrongUse(
            "wrong_time", f"{text!r} is not a time.", "Write it as 2026-01-31T18:00 or 2026-01-31."
        ) from None
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def size(count: int) -> str:
    """A number of bytes for people."""
    amount = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if amount < 1000:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1000
    return f"{amount:.1f} TB"


def title_of(value: Any) -> str:
    """A text in two languages as one line: `中文 · English`."""
    if isinstance(value, dict):
        return " · ".join(str(value[language]) for language in ("zh", "en") if value.get(language))
    return str(value or "")


def grade_style(grade: str | None) -> str:
    """The colour of a grade."""
    return {"A": "bold green", "B": "green", "C": "yellow", "D": "dark_orange", "E": "red"}.get(grade or "", "dim")


@contextmanager
def stages(quiet: bool) -> Iterator[Any]:
    """A progress bar for work in named stages; gives a callable of (stage, fraction)."""
    if quiet or not err.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description:<28}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task("opening", total=1.0)
        yield lambda stage, fraction: progress.update(task, description=stage, completed=fraction)


@contextmanager
def transfer(description: str, total: int, quiet: bool) -> Iterator[Any]:
    """A progress bar for bytes; gives a callable of the bytes done."""
    if quiet or not err.is_terminal:
        yield lambda done: None
        return
    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=err, transient=True) as progress:
        task = progress.add_task(description, total=total)
        yield lambda done: progress.update(task, completed=done)
