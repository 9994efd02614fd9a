"""A program run as a process of its own that cannot outlive this one."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True)


class StartFailed(Exception):
    """A part did not come up; the message says why, with the last lines of its log."""


class Process:
    """One program in its own process group; killed by the kernel when the thread that started it ends.

    Start it from the main thread: Linux sends the parent-death signal at the end of the starting thread.
    """

    def __init__(
        self, name: str, command: Sequence[str | Path], *, log: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.command = [str(word) for word in command]
        self.log = log
        self.environment = environment
        self.frozen = False
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The id of the running process, or of the last one."""
        if self._popen is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._popen.pid

    @property
    def started(self) -> bool:
        """Whether the process was ever started."""
        return self._popen is not None

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._popen is not None and self._poll() is None

    @property
    def exit_code(self) -> int | None:
        """What the process ended with (negative: the signal that ended it), None while it runs."""
        return None if self._popen is None else self._poll()

    def start(self) -> None:
        """Starts the program, its output appended to the log."""
        if self.running:
            raise RuntimeError(f"{self.name} is running already (process {self.pid})")
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with open(self.log, "ab") as log:
            self._popen = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=None if self.environment is None else dict(self.environment),
                start_new_session=True,
                preexec_fn=_die_with(os.getpid()),
            )
        self.frozen = False

    async def wait(self) -> int:
        """Waits until the process has ended and returns its exit code."""
        if self.running:
            ended = asyncio.Event()
            loop = asyncio.get_running_loop()
            descriptor = os.pidfd_open(self.pid)
            try:
                loop.add_reader(descriptor, ended.set)
                await ended.wait()
            finally:
                loop.remove_reader(descriptor)
                os.close(descriptor)
        code = self.exit_code
        if code is None:
            raise RuntimeError(f"{self.name} was never started")
        return code

    async def stop(self, grace: float = 15.0) -> int:
        """Asks the process to end (SIGTERM), kills it after `grace` seconds, and returns its exit code."""
        if self.running:
            os.kill(self.pid, signal.SIGTERM)
            self.thaw()
            try:
                return await asyncio.wait_for(self.wait(), grace)
            except TimeoutError:
                self.kill()
        return await self.wait()

    def kill(self) -> None:
        """Kills the process as `kill -9` does and waits for the kernel to have done it."""
        if self._popen is not None and self.running:
            os.kill(self.pid, signal.SIGKILL)
            self._popen.wait()
            self._end_group()

    def freeze(self) -> None:
        """Stops the process where it stands (SIGSTOP), every thread of it: its connections stay open and silent."""
        os.kill(self.pid, signal.SIGSTOP)
        while self.running and not self._stopped():
            time.sleep(0.001)  # the signal is on its way to each thread
        self.frozen = True

    def thaw(self) -> None:
        """Lets a frozen process go on."""
        os.kill(self.pid, signal.SIGCONT)
        self.frozen = False

    def failed(self, what: str) -> StartFailed:
        """The failure of this part to start, for a person: what happened, and the last lines of its log."""
        try:
            with open(self.log, "rb") as log:
                log.seek(max(0, os.fstat(log.fileno()).st_size - 16_384))
                lines = log.read().decode(errors="replace").splitlines()[-15:]
        except FileNotFoundError:
            lines = []
        said = "\n".join("    " + line for line in lines) or "    (nothing)"
        return StartFailed(f"{self.name} {what}. The end of its log {self.log}:\n{said}")

    def _stopped(self) -> bool:
        threads = Path(f"/proc/{self.pid}/task").glob("*/stat")
        return all(thread.read_text().rpartition(")")[2].split()[0] in "Tt" for thread in threads)

    def _poll(self) -> int | None:
        assert self._popen is not None
        if self._popen.returncode is not None:
            return self._popen.returncode
        code = self._popen.poll()
        if code is not None:
            self._end_group()
        return code

    def _end_group(self) -> None:
        """Ends what a dead process left in its group, as a container ends with its first process."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def _die_with(parent: int) -> Callable[[], None]:
    def in_child() -> None:
        if _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL) != 0 or os.getppid() != parent:
            os._exit(127)

    return in_child
