"""How a command is measured: as a whole process, by the operating system's own accounting."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

console = Console()


@dataclass(frozen=True)
class Cost:
    """What a finished process cost: CPU and wall seconds, peak resident memory in bytes."""

    cpu: float
    wall: float
    peak: int


class BenchFailed(RuntimeError):
    """A measured command did not do its work; its figures would mean nothing."""


def run(command: Sequence[str], *, environment: dict[str, str] | None = None) -> tuple[Cost, str]:
    """Run a command to its end; its cost (children that it waited for included) and what it printed.

    Raises:
        BenchFailed: it exited with anything but 0.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, env={**os.environ, **(environment or {})}, text=True)
    assert process.stdout is not None
    printed = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    wall = time.perf_counter() - began
    if process.returncode != 0:
        raise BenchFailed(f"{' '.join(command)[:200]} exited with {process.returncode}\n{printed[-2000:]}")
    return Cost(usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss * 1024), printed


def median_of(runs: int, command: Sequence[str]) -> tuple[Cost, str]:
    """The cost by the medians of several runs, and what the last one printed."""
    results = [run(command) for _ in range(runs)]
    costs = [cost for cost, _ in results]
    return (
        Cost(
            statistics.median(cost.cpu for cost in costs),
            statistics.median(cost.wall for cost in costs),
            max(cost.peak for cost in costs),
        ),
        results[-1][1],
    )


def python(code: str, *arguments: str) -> list[str]:
    """The command that runs a piece of Python in a fresh process of this interpreter."""
    return [sys.executable, "-c", code, *arguments]


@dataclass
class Sheet:
    """A table of figures under a title; every row names its rival and the ratio to it."""

    title: str

    def __post_init__(self) -> None:
        self._table = Table(title=self.title, title_justify="left")
        for name in ("what", "figure", "beside", "its figure", "ratio", "aim"):
            self._table.add_column(name, justify="left" if name in {"what", "beside", "aim"} else "right")

    def row(
        self, what: str, figure: str, rival: str = "", rival_figure: str = "", ratio: float | None = None, aim: str = ""
    ) -> None:
        """Add a row; `ratio` is figure over rival."""
        self._table.add_row(what, figure, rival, rival_figure, "" if ratio is None else f"{ratio:.2f}", aim)

    def print(self) -> None:
        """Print the table."""
        console.print(self._table)


def megabytes(size: int) -> str:
    """Bytes as MB."""
    return f"{size / 1e6:,.0f} MB"
