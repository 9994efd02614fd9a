"""The measuring itself: the engine in its sandbox, or a recorded report in its place."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

from jiebang.report import render_html
from jiebang.sandbox import Outcome, OutcomeStatus, read_output
from jiebang.sandbox.outcome import HostileOutput
from services.scoring.score import Assignment, Terms
from shared.sandboxes import Sandboxes

_PAGE = "report.html"
_LARGEST_PAGE = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Measured:
    """How a measuring ended; `page` is the report for people, if there is a report."""

    outcome: Outcome
    page: bytes = b""


class Measuring(Protocol):
    """Measures datasets, between `open` and `close`."""

    async def open(self) -> None:
        """Make everything ready."""
        ...

    async def close(self) -> None:
        """Leave nothing behind."""
        ...

    async def measure(self, assignment: Assignment, terms: Terms) -> Measured:
        """Measure the dataset of a submission under the terms of its challenge.

        Raises:
            DependencyDown: the object store is away.
            SandboxUnavailable: nothing may be opened on this machine.
        """
        ...


class SandboxedMeasuring:
    """Measures in a fresh confined child per dataset, with `threads` threads (by default one per core)."""

    def __init__(self, sandboxes: Sandboxes, *, threads: int | None = None) -> None:
        self._sandboxes = sandboxes
        self._threads = threads

    async def open(self) -> None:
        """Start the fork servers."""
        await self._sandboxes.open()

    async def close(self) -> None:
        """Stop the fork servers, with any child."""
        await self._sandboxes.close()

    async def measure(self, assignment: Assignment, terms: Terms) -> Measured:
        """Measure the dataset of a submission; if this is cancelled, the child is killed."""
        arguments: dict[str, Any] = {"demand": dict(terms.demand), "rubric": dict(terms.rubric)}
        if self._threads is not None:
            arguments["threads"] = self._threads
        return await self._sandboxes.run("score", assignment.upload, arguments, _with_page)


def _with_page(outcome: Outcome, output: Path) -> Measured:
    """The outcome, with the page that an honest child leaves beside its result."""
    if outcome.status is not OutcomeStatus.DONE:
        return Measured(outcome)
    try:
        page = read_output(output, _PAGE, limit=_LARGEST_PAGE)
    except HostileOutput as error:
        return Measured(replace(outcome, status=OutcomeStatus.CRASHED, detail=str(error)))
    if page is None:
        return Measured(replace(outcome, status=OutcomeStatus.CRASHED, detail="It left no page."))
    return Measured(outcome, page)


class RecordedMeasuring:
    """Gives every dataset the same recorded report: what is left is the cost of the platform itself."""

    def __init__(self, recorded: Path) -> None:
        self._report: dict[str, Any] = json.loads(recorded.read_text("utf-8"))
        self._page = render_html(self._report).encode()

    async def open(self) -> None:
        """Nothing is needed."""

    async def close(self) -> None:
        """Nothing was made."""

    async def measure(self, assignment: Assignment, terms: Terms) -> Measured:
        """The recorded report, as if it were of this dataset and by this rubric."""
        report = {
            **self._report,
            "dataset": {**self._report["dataset"], "digest": assignment.dataset_digest},
            "rubric": {**self._report["rubric"], "digest": assignment.rubric_digest},
        }
        return Measured(Outcome(OutcomeStatus.DONE, report), self._page)
