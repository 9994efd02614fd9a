"""The measuring itself: a dataset out of the object store, into the sandbox, and what comes back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
import threading
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from jiebang.report import render_html
from jiebang.sandbox import ForkServer, Job, Outcome, OutcomeStatus, read_output
from services.scoring.score import Assignment, Terms
from shared import metrics
from shared.failures import PermanentError
from shared.logs import get_logger
from shared.objects import Objects

log = get_logger(__name__)

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


class _Cancelled(Exception):
    """The work was taken away: its child is to be killed."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one measuring may use."""

    wall: timedelta
    memory_bytes: int
    threads: int | None = None


class SandboxedMeasuring:
    """Measures in a fresh confined child per dataset, as many at once as there are fork servers."""

    def __init__(self, objects: Objects, scratch: Path, bounds: Bounds, *, at_once: int) -> None:
        self._objects = objects
        self._scratch = scratch / "scoring" / str(os.getpid())
        self._bounds = bounds
        self._servers = [ForkServer() for _ in range(at_once)]
        self._free: asyncio.Queue[ForkServer] = asyncio.Queue()

    async def open(self) -> None:
        """Start the fork servers, and remove what workers that died have left in the scratch folder."""
        await asyncio.to_thread(self._open)
        for server in self._servers:
            self._free.put_nowait(server)

    async def close(self) -> None:
        """Stop the fork servers, with any child, and remove the scratch folder."""
        await asyncio.to_thread(self._close)

    def _open(self) -> None:
        for leftover in self._scratch.parent.glob("*"):
            if leftover == self._scratch or not Path("/proc", leftover.name).exists():
                shutil.rmtree(leftover, ignore_errors=True)
        self._scratch.mkdir(parents=True, exist_ok=True)
        for server in self._servers:
            server.start()

    def _close(self) -> None:
        for server in self._servers:
            server.close()
        shutil.rmtree(self._scratch, ignore_errors=True)

    async def measure(self, assignment: Assignment, terms: Terms) -> Measured:
        """Measure the dataset of a submission; if this is cancelled, the child is killed."""
        manifest = json.loads(await self._objects.get(f"datasets/{assignment.upload}/manifest.json"))
        server = await self._free.get()
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        cancelled = threading.Event()
        running: asyncio.Future[Measured] | None = None
        try:
            dataset = folder / "in" / _plain(manifest["filename"])
            dataset.parent.mkdir()
            await self._objects.fetch(f"datasets/{assignment.upload}/dataset", dataset)
            running = asyncio.get_running_loop().run_in_executor(
                None, self._run, server, folder, dataset, self._arguments(terms), cancelled
            )
            return await asyncio.shield(running)
        finally:
            cancelled.set()
            if running is not None and not running.done():
                # The thread has the folder and the server until its child is dead: within a second or two.
                with suppress(_Cancelled):
                    await asyncio.shield(running)
            shutil.rmtree(folder, ignore_errors=True)
            self._free.put_nowait(server)

    def _arguments(self, terms: Terms) -> dict[str, Any]:
        arguments: dict[str, Any] = {"demand": dict(terms.demand), "rubric": dict(terms.rubric)}
        if self._bounds.threads is not None:
            arguments["threads"] = self._bounds.threads
        return arguments

    def _run(
        self, server: ForkServer, folder: Path, dataset: Path, arguments: dict[str, Any], cancelled: threading.Event
    ) -> Measured:
        """One job, in a thread: everything here may block."""

        def heartbeat() -> None:
            if cancelled.is_set():
                raise _Cancelled

        output = folder / "out"
        output.mkdir()
        outcome = server.run(
            Job("score", dataset, output, arguments),
            wall_seconds=self._bounds.wall.total_seconds(),
            memory_bytes=self._bounds.memory_bytes,
            heartbeat=heartbeat,
        )
        if outcome.status in _KILLED:
            metrics.SANDBOX_KILLS.labels(outcome.status.value).inc()
        if outcome.status is not OutcomeStatus.DONE:
            return Measured(outcome)
        page = read_output(output, _PAGE, limit=_LARGEST_PAGE)
        if page is None:
            return Measured(replace(outcome, status=OutcomeStatus.CRASHED, detail="It left no page."))
        return Measured(outcome, page)


_KILLED = (OutcomeStatus.KILLED_MEMORY, OutcomeStatus.KILLED_TIME, OutcomeStatus.CRASHED)


def _plain(filename: object) -> str:
    """The name the dataset was handed in under, which ingest has made sure is a plain one."""
    if not isinstance(filename, str) or Path(filename).name != filename or filename in ("", ".", ".."):
        raise PermanentError("the manifest of the upload names no plain file")
    return filename


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
