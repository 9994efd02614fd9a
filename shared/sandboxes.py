"""The engine in its sandbox, for workers: a dataset out of the object store, a confined child, and what comes back."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from jiebang.sandbox import ForkServer, Job, Outcome, OutcomeStatus, self_test
from shared import metrics, tracing
from shared.failures import PermanentError
from shared.logs import get_logger
from shared.objects import Objects
from shared.settings import SettingsError

log = get_logger(__name__)

Answer = TypeVar("Answer")

_KILLED = (OutcomeStatus.KILLED_MEMORY, OutcomeStatus.KILLED_TIME, OutcomeStatus.CRASHED)


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one child may use."""

    wall: timedelta
    memory_bytes: int
    disk_bytes: int
    """What it may have written at a time, in files that it made."""


def scratch_of_process(scratch: Path) -> Path:
    """This process's own part of a scratch folder: once it is dead, the next worker to start removes it."""
    return scratch / str(os.getpid())


def exit_unless_confined(scratch: Path) -> None:
    """Prove that nothing escapes from a child on this machine; where it does, say how and exit with 1.

    Raises:
        SettingsError: the scratch folder cannot be made or written in.
    """
    try:
        wrong = self_test(scratch_of_process(scratch))
    except OSError as error:
        raise SettingsError(f"JIEBANG_SCRATCH_DIR: {scratch}: {error.strerror}") from None
    if wrong:
        sys.stderr.write("the sandbox does not hold on this machine; no dataset is opened here:\n")
        sys.stderr.writelines(f"  {line}\n" for line in wrong)
        raise SystemExit(1)


class _TakenAway(Exception):
    """The work was cancelled: its child is to be killed."""


class Sandboxes:
    """Fork servers, one per dataset that may be worked on at once, and a scratch folder for all of them."""

    def __init__(self, objects: Objects, scratch: Path, bounds: Bounds, *, at_once: int) -> None:
        self._objects = objects
        self._scratch = scratch_of_process(scratch)
        self._bounds = bounds
        self._servers = [ForkServer() for _ in range(at_once)]
        self._free: asyncio.Queue[ForkServer] = asyncio.Queue()
        metrics.begin_at_zero(metrics.SANDBOX_KILLS, *([status.value] for status in _KILLED))

    async def open(self) -> None:
        """Start the fork servers, and remove what workers that died have left in the scratch folder."""
        await asyncio.to_thread(self._open)
        for server in self._servers:
            self._free.put_nowait(server)

    async def close(self) -> None:
        """Stop the fork servers, with any child, and remove what is in the scratch folder."""
        await asyncio.to_thread(self._close)

    async def run(
        self, kind: str, upload: str, arguments: Mapping[str, Any], read: Callable[[Outcome, Path], Answer]
    ) -> Answer:
        """Do one task over the dataset of an upload in a fresh child; if this is cancelled, the child is killed.

        `read` makes the answer of the outcome and of the folder that the child could write in, which is gone
        afterwards; it runs in a thread.

        Raises:
            DependencyDown: the object store is away.
            SandboxUnavailable: nothing may be opened on this machine.
        """
        manifest = json.loads(await self._objects.get(f"datasets/{upload}/manifest.json"))
        server = await self._free.get()
        folder = Path(tempfile.mkdtemp(dir=self._scratch))
        cancelled = threading.Event()
        running: asyncio.Future[Answer] | None = None
        try:
            dataset = folder / "in" / _plain(manifest["filename"])
            dataset.parent.mkdir()
            await self._objects.fetch(f"datasets/{upload}/dataset", dataset)
            output = folder / "out"
            output.mkdir()
            job = Job(kind, dataset, output, dict(arguments))
            with tracing.span(f"sandbox {kind}"):
                running = asyncio.get_running_loop().run_in_executor(None, self._run, server, job, read, cancelled)
                return await asyncio.shield(running)
        finally:
            cancelled.set()
            if running is not None and not running.done():
                # The thread has the folder and the server until its child is dead: within a second or two.
                with suppress(_TakenAway):
                    await asyncio.shield(running)
            shutil.rmtree(folder, ignore_errors=True)
            self._free.put_nowait(server)

    def _run(
        self, server: ForkServer, job: Job, read: Callable[[Outcome, Path], Answer], cancelled: threading.Event
    ) -> Answer:
        """One job, in a thread: everything here may block."""

        def heartbeat() -> None:
            if cancelled.is_set():
                raise _TakenAway

        outcome = server.run(
            job,
            wall_seconds=self._bounds.wall.total_seconds(),
            memory_bytes=self._bounds.memory_bytes,
            disk_bytes=self._bounds.disk_bytes,
            heartbeat=heartbeat,
        )
        if outcome.status in _KILLED:
            metrics.SANDBOX_KILLS.labels(outcome.status.value).inc()
            log.warning("sandbox_child_lost", kind=job.kind, status=outcome.status.value, detail=outcome.detail)
        return read(outcome, job.output)

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


def _plain(filename: object) -> str:
    """The name the dataset was handed in under, which was made sure to be a plain one when it came."""
    if not isinstance(filename, str) or Path(filename).name != filename or filename in ("", ".", ".."):
        raise PermanentError("the manifest of the upload names no plain file")
    return filename
