"""The fork server's own process: it imports the engine once, then forks one confined child per job.

Run as `python -I -m jiebang.sandbox.serve MODULE`; jobs come as JSON lines on standard input, events leave as JSON
lines on standard output. It has one thread, no sockets and no secrets, and it touches no byte of any dataset. When
standard input ends, the one who started it is gone: it kills the child and leaves.
"""

from __future__ import annotations

import contextlib
import errno
import gc
import importlib
import json
import os
import select
import signal
import sys
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import duckdb

from jiebang.errors import JiebangError
from jiebang.sandbox.confinement import Limits, confine
from jiebang.sandbox.outcome import CRASH_FILE, RESULT_FILE, OutcomeStatus, Task
from jiebang.sandbox.usage import disk_of, memory_of

_LOOK_SECONDS = 0.02
_DISK_LOOK_SECONDS = 0.5

# How a child says what happened; anything else, a signal included, is a crash.
_EXIT_DONE, _EXIT_REFUSED, _EXIT_MEMORY, _EXIT_DISK, _EXIT_CRASHED = 0, 10, 11, 12, 13


@dataclass(frozen=True, slots=True)
class _Ended:
    status: OutcomeStatus
    detail: str = ""


_READINGS = {
    _EXIT_DONE: _Ended(OutcomeStatus.DONE),
    _EXIT_REFUSED: _Ended(OutcomeStatus.REFUSED),
    _EXIT_MEMORY: _Ended(OutcomeStatus.KILLED_MEMORY, "It asked for more memory than it may have."),
    _EXIT_DISK: _Ended(OutcomeStatus.REFUSED, "It wrote a file larger than it may."),
    _EXIT_CRASHED: _Ended(OutcomeStatus.CRASHED),
}


class _StarterGone(Exception):
    """Standard input has ended."""


class _Control:
    """The two pipes to the process that started us."""

    def __init__(self) -> None:
        self.jobs = os.dup(0)
        self._events = os.dup(1)
        # A stray print in an imported package must not look like an event.
        os.dup2(2, 1)
        nowhere = os.open(os.devnull, os.O_RDONLY)
        os.dup2(nowhere, 0)
        os.close(nowhere)
        self._pending = b""

    def read_job(self) -> dict[str, Any]:
        """The next job; raises `_StarterGone` when there will be none."""
        while b"\n" not in self._pending:
            more = os.read(self.jobs, 65536)
            if not more:
                raise _StarterGone
            self._pending += more
        line, self._pending = self._pending.split(b"\n", 1)
        job: dict[str, Any] = json.loads(line)
        return job

    def send(self, **event: Any) -> None:
        """Tell one event; raises `_StarterGone` when nobody listens."""
        line = json.dumps(event).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._events, line) :]
        except BrokenPipeError:
            raise _StarterGone from None


def main(module: str) -> None:
    """Serve jobs until the starter goes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    control = _Control()
    with contextlib.suppress(_StarterGone):
        tasks: dict[str, Task] = importlib.import_module(module).TASKS
        threads = len(os.listdir("/proc/self/task"))
        if threads != 1:
            # A thread started before the fork would hold locks that no child could ever take.
            control.send(event="unfit", why=f"the engine's imports started {threads - 1} threads")
            return
        gc.collect()
        gc.freeze()
        control.send(event="ready", pid=os.getpid())
        while True:
            _serve(control, tasks, control.read_job())


def _serve(control: _Control, tasks: dict[str, Task], job: dict[str, Any]) -> None:
    limits = Limits(**job["limits"])
    output = Path(job["output"])
    server = os.getpid()
    child = os.fork()
    if child == 0:
        _child(tasks, job, limits, output, server)
    with contextlib.suppress(PermissionError, ProcessLookupError):
        os.setpgid(child, child)
    control.send(event="started", pid=child)
    descriptor = os.pidfd_open(child)
    try:
        stopped = _watch(control, child, descriptor, limits, output)
    finally:
        os.close(descriptor)
        # The child is not reaped yet, so its number cannot be anybody else's.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        _, status, usage = os.wait4(child, 0)
    ended = stopped or _reading_of(status)
    control.send(
        event="ended",
        status=ended.status,
        detail=ended.detail,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_bytes=usage.ru_maxrss * 1024,
    )


def _watch(control: _Control, child: int, descriptor: int, limits: Limits, output: Path) -> _Ended | None:
    """Wait for the child's end; say why when it has to be ended."""
    deadline = time.monotonic() + limits.wall_seconds
    poll = select.poll()
    poll.register(control.jobs, select.POLLIN)
    poll.register(descriptor, select.POLLIN)
    next_disk_look = time.monotonic() + _DISK_LOOK_SECONDS
    while True:
        ready = {handle for handle, _ in poll.poll(_LOOK_SECONDS * 1000)}
        if descriptor in ready:
            return None
        if control.jobs in ready:
            # Nobody sends a second job before the first has ended: this is the end of the pipe.
            raise _StarterGone
        if time.monotonic() >= deadline:
            return _Ended(OutcomeStatus.KILLED_TIME, f"It was stopped after {limits.wall_seconds:g} seconds.")
        if memory_of(child) > limits.memory_bytes:
            return _Ended(
                OutcomeStatus.KILLED_MEMORY, f"It was stopped at {limits.memory_bytes / 1e6:.0f} MB of memory."
            )
        if time.monotonic() >= next_disk_look:
            begun = time.monotonic()
            used = disk_of(output, child)
            # A tree of many files takes long to look at: then we look less often, not more.
            next_disk_look = time.monotonic() + max(_DISK_LOOK_SECONDS, 10 * (time.monotonic() - begun))
            if used is None:
                return _Ended(OutcomeStatus.REFUSED, "It made more files than it may.")
            if used > limits.disk_bytes:
                return _Ended(OutcomeStatus.REFUSED, f"It wrote more than {limits.disk_bytes / 1e6:.0f} MB.")


def _reading_of(status: int) -> _Ended:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        return _Ended(OutcomeStatus.CRASHED, f"It was ended by {signal.Signals(number).name}.")
    code = os.WEXITSTATUS(status)
    return _READINGS.get(code) or _Ended(OutcomeStatus.CRASHED, f"It ended with code {code}.")


def _child(tasks: dict[str, Task], job: dict[str, Any], limits: Limits, output: Path, server: int) -> NoReturn:
    """All of a child's life. It never returns into the server's loop."""
    code = _EXIT_CRASHED
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        dataset = Path(job["dataset"])
        confine(dataset=dataset, output=output, limits=limits, parent=server)
        result = tasks[job["kind"]](dataset, output, job["arguments"])
        _leave(output, RESULT_FILE, json.dumps(result, ensure_ascii=False, allow_nan=False))
        code = _EXIT_DONE
    except JiebangError as refusal:
        _leave(output, RESULT_FILE, json.dumps(refusal.as_dict(), ensure_ascii=False, allow_nan=False))
        code = _EXIT_REFUSED
    except (MemoryError, duckdb.OutOfMemoryException):
        code = _EXIT_MEMORY
    except BaseException as error:  # noqa: BLE001 - whatever it was, the frames are left behind and the child ends
        if _hit_file_limit(error):
            code = _EXIT_DISK
        else:
            _leave(output, CRASH_FILE, _frames(error))
    finally:
        os._exit(code)


def _hit_file_limit(error: BaseException) -> bool:
    if isinstance(error, OSError):
        return error.errno == errno.EFBIG
    return isinstance(error, duckdb.IOException) and os.strerror(errno.EFBIG) in str(error)


def _leave(output: Path, name: str, text: str) -> None:
    with open(output / name, "x", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)


def _frames(error: BaseException) -> str:
    """Where it failed, and not the message: that may hold what the dataset held."""
    frames = traceback.extract_tb(error.__traceback__)[-8:]
    lines = [f"{type(error).__module__}.{type(error).__name__}"]
    lines += [f"  {frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    if isinstance(error, OSError) and error.errno is not None:
        lines[0] += f" ({os.strerror(error.errno)})"
    return "\n".join(lines)[:4000]


if __name__ == "__main__":
    main(sys.argv[1])
