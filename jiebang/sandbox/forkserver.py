"""The worker's side of the sandbox: start the fork server, hand it jobs, stop it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jiebang.errors import Fault, JiebangError
from jiebang.sandbox.outcome import HostileOutput, Job, Outcome, OutcomeStatus, read_crash, read_result
from jiebang.sandbox.usage import remove_folders

DEFAULT_TASKS = "jiebang.sandbox.tasks"
DEFAULT_DISK_BYTES = 40 * 10**9

_START_SECONDS = 60.0
_BEAT_SECONDS = 1.0
# How long after its time a job's end may reach us before the server itself is taken for stuck.
_GRACE_SECONDS = 10.0
_MAX_EVENT_BYTES = 65536

# Set before the libraries load: each of them would start a thread in the server otherwise.
_ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "TZ": "UTC",
}


class SandboxUnavailable(JiebangError):
    """This machine cannot confine a child, or the fork server does not start; nothing may be judged here."""

    fault = Fault.PLATFORM

    def __init__(self, detail: str) -> None:
        super().__init__("sandbox_unavailable", "Untrusted data cannot be opened safely on this machine.", detail)


class _ServerGone(Exception):
    """The server process ended or closed its pipe."""


class ForkServer:
    """A process that has imported the engine and forks one confined child per job.

    Used from one thread at a time; from asyncio, `await asyncio.to_thread(server.run, job, …)`. It starts itself with
    the first job, and again when it was lost. When this process dies, however it dies, server and child die too.
    Also a context manager.
    """

    def __init__(self, tasks: str = DEFAULT_TASKS) -> None:
        self._tasks = tasks
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._pending = b""
        self.child: int | None = None

    def __enter__(self) -> ForkServer:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def pid(self) -> int | None:
        """The server's process id; None while it is not running."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the server, unless it runs, and wait until it is ready; raises `SandboxUnavailable`."""
        with self._lock:
            self._start()

    def run(
        self,
        job: Job,
        *,
        wall_seconds: float,
        memory_bytes: int,
        disk_bytes: int = DEFAULT_DISK_BYTES,
        heartbeat: Callable[[], None] | None = None,
    ) -> Outcome:
        """Run one job in a fresh child and wait for its end. Whatever the child does, the answer is an `Outcome`.

        `heartbeat` is called about once a second; when it raises, the child is killed and the exception goes on.
        Folders that the child made in its output are gone afterwards; the files directly in it are there.
        Raises `SandboxUnavailable` when no server can be started.
        """
        limits = {"wall_seconds": wall_seconds, "memory_bytes": memory_bytes, "disk_bytes": disk_bytes}
        order = {
            "kind": job.kind,
            "dataset": str(job.dataset.resolve()),
            "output": str(job.output.resolve()),
            "arguments": job.arguments,
            "limits": limits,
        }
        with self._lock:
            self._start()
            try:
                return self._run(job, order, wall_seconds, heartbeat)
            except _ServerGone:
                self._stop()
                return Outcome(OutcomeStatus.CRASHED, detail="The fork server was lost.")
            except BaseException:
                self._stop()
                raise
            finally:
                self.child = None
                remove_folders(job.output)

    def close(self) -> None:
        """Stop the server and any child; it may be started again."""
        with self._lock:
            self._stop()

    def _run(
        self, job: Job, order: dict[str, Any], wall_seconds: float, heartbeat: Callable[[], None] | None
    ) -> Outcome:
        assert self._process is not None
        assert self._process.stdin is not None
        deadline = time.monotonic() + wall_seconds + _GRACE_SECONDS
        try:
            self._process.stdin.write(json.dumps(order).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise _ServerGone from None
        while True:
            event = self._event(_BEAT_SECONDS)
            if event is None:
                if heartbeat is not None:
                    heartbeat()
                if time.monotonic() > deadline:
                    self._stop()
                    return Outcome(OutcomeStatus.KILLED_TIME, detail="The fork server did not answer in time.")
            elif event["event"] == "started":
                self.child = event["pid"]
            elif event["event"] == "ended":
                return _outcome(job, event)

    def _start(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        self._stop()
        self._pending = b""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-X", "utf8", "-m", "jiebang.sandbox.serve", self._tasks],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=_ENVIRONMENT,
            cwd="/",
            # A Ctrl-C at a terminal is for us: we end the server when we have put our own affairs in order.
            start_new_session=True,
        )
        try:
            event = self._event(_START_SECONDS)
        except _ServerGone:
            self._stop()
            raise SandboxUnavailable("The fork server ended while it started; its own words are in the log.") from None
        if event is None or event["event"] != "ready":
            self._stop()
            raise SandboxUnavailable(event["why"] if event else "The fork server did not start in a minute.")

    def _event(self, seconds: float) -> dict[str, Any] | None:
        """The server's next event; None when it said nothing for so long."""
        assert self._process is not None
        assert self._process.stdout is not None
        handle = self._process.stdout.fileno()
        poll = select.poll()
        poll.register(handle, select.POLLIN)
        while b"\n" not in self._pending:
            if not poll.poll(seconds * 1000):
                return None
            more = os.read(handle, _MAX_EVENT_BYTES)
            if not more:
                raise _ServerGone
            self._pending += more
        line, self._pending = self._pending.split(b"\n", 1)
        event: dict[str, Any] = json.loads(line)
        return event

    def _stop(self) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.close()
        try:
            # At the end of its input the server kills its child and leaves.
            process.wait(2)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        process.stdout.close()


def _outcome(job: Job, event: dict[str, Any]) -> Outcome:
    status = OutcomeStatus(event["status"])
    detail: str = event["detail"]
    result: dict[str, Any] = {}
    if status is OutcomeStatus.REFUSED and detail:
        result = JiebangError(
            "expands_too_far",
            "The dataset needs more room on disk than a submission may use.",
            "Hand in less, or uncompressed, so that its real size shows. " + detail,
        ).as_dict()
    elif status in (OutcomeStatus.DONE, OutcomeStatus.REFUSED):
        try:
            result = read_result(job.output)
        except HostileOutput as error:
            status, detail = OutcomeStatus.CRASHED, f"What it left is not acceptable: {error}."
    elif status is OutcomeStatus.CRASHED and not detail:
        detail = read_crash(Path(job.output))
    return Outcome(
        status=status,
        result=result,
        detail=detail,
        cpu_seconds=event["cpu_seconds"],
        peak_bytes=event["peak_bytes"],
    )
