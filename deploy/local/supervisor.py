"""Keeps the parts of the platform running, as a kubelet does: what ends is started again, ever more slowly."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Protocol

from deploy.local.fetch import Say
from deploy.local.process import Process, StartFailed

_FIRST_DELAY = 0.2
_LONGEST_DELAY = 10.0
_STEADY_AFTER = 60.0


class Part(Protocol):
    """What the supervisor can keep running."""

    @property
    def process(self) -> Process: ...

    async def start(self) -> None: ...

    async def wait_ready(self) -> None: ...

    async def stop(self) -> None: ...


class Supervisor:
    """Watches parts that were started, and starts again those that end."""

    def __init__(self, say: Say) -> None:
        self._say = say
        self._watches: dict[str, asyncio.Task[None]] = {}
        self._held: dict[str, asyncio.Event] = {}

    def watch(self, part: Part) -> None:
        """Starts the part again whenever it ends, from now on."""
        name = part.process.name
        self._watches[name] = asyncio.create_task(self._keep_running(part), name=f"watch {name}")

    async def release(self, parts: Iterable[Part]) -> None:
        """Watches these parts no longer."""
        watches = [self._watches.pop(part.process.name, None) for part in parts]
        for watch in watches:
            if watch is not None:
                watch.cancel()
        await asyncio.gather(*(watch for watch in watches if watch is not None), return_exceptions=True)

    @asynccontextmanager
    async def held_down(self, part: Part) -> AsyncIterator[None]:
        """Kills the part, keeps it down inside the block, and has it ready again at the end of it."""
        name = part.process.name
        self._held[name] = asyncio.Event()
        part.process.kill()
        try:
            yield
        finally:
            try:
                await part.start()
            finally:
                self._held.pop(name).set()

    async def _keep_running(self, part: Part) -> None:
        process = part.process
        delay = _FIRST_DELAY
        while True:
            since = time.monotonic()
            code = await process.wait()
            if held := self._held.get(process.name):
                await held.wait()
                continue
            if time.monotonic() - since > _STEADY_AFTER:
                delay = _FIRST_DELAY
            self._say(f"{process.name} ended with {code}, starting it again in {delay:g} s (log: {process.log})")
            await asyncio.sleep(delay)
            delay = min(delay * 2, _LONGEST_DELAY)
            try:
                await part.start()
            except StartFailed as failed:
                self._say(str(failed))
            except Exception as error:  # noqa: BLE001  (whatever a client library makes of a server that dies under it)
                self._say(f"{process.name} could not be seen to be ready: {error!r}")
            else:
                self._say(f"{process.name} is ready again")
