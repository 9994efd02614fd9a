"""Starts the small service as a process, and kills, freezes, questions and ends it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx

from shared.settings import Settings
from tests.eventually import eventually

ROOT = Path(__file__).resolve().parents[3]


class SmallService:
    """One process of the small service."""

    def __init__(self, settings: Settings, folder: Path, name: str = "one", **environment: str) -> None:
        self.log = folder / f"{name}.log"
        self.fault_done = folder / "fault.done"
        self._environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "JIEBANG_KAFKA_BOOTSTRAP": ",".join(settings.kafka_bootstrap),
            "JIEBANG_KAFKA_TOPIC_PREFIX": settings.kafka_topic_prefix,
            "JIEBANG_MONGO_URI": settings.mongo_uri,
            "JIEBANG_MONGO_DATABASE_PREFIX": settings.mongo_database_prefix,
            "FAULT_DONE": str(self.fault_done),
            **environment,
        }
        self._process: asyncio.subprocess.Process | None = None
        self.api = httpx.AsyncClient(timeout=20, trust_env=False)
        self._internal = ""

    async def start(self) -> Self:
        """Start it and return when it listens."""
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.component.shared.small_service",
                stdout=log, stderr=log, env=self._environment, cwd=ROOT,
            )  # fmt: skip
        return self

    async def listening(self) -> None:
        """Return when it says where it listens."""
        started = await eventually(lambda: self._logged("process_started"), what=f"{self.log} says where")
        self.api.base_url = httpx.URL(f"http://127.0.0.1:{started['port']}")
        self._internal = f"http://127.0.0.1:{started['internal_port']}"

    async def ready(self) -> Self:
        """Return when it is ready."""
        await self.listening()
        await eventually(self.is_ready, within=60, what=f"{self.log} is ready")
        return self

    async def is_ready(self) -> bool:
        return (await self.asked("readyz")).status_code == 200

    async def asked(self, path: str) -> httpx.Response:
        """What the internal port answers."""
        try:
            return await self.api.get(f"{self._internal}/{path}", timeout=3)
        except httpx.TransportError:
            return httpx.Response(0)

    async def metric(self, name: str, **labels: str) -> float:
        """One value of a metric, 0 if it is not there."""
        for line in (await self.asked("metrics")).text.splitlines():
            if line.startswith(name) and all(f'{label}="{value}"' in line for label, value in labels.items()):
                return float(line.rpartition(" ")[2])
        return 0.0

    def events(self, name: str) -> list[dict[str, Any]]:
        """The log lines of an event."""
        lines = [json.loads(line) for line in self.log.read_text("utf-8").splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == name]

    def _logged(self, name: str) -> dict[str, Any] | None:
        found = self.events(name)
        return found[-1] if found else None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def is_frozen(self) -> bool:
        """True while the kernel has it stopped."""
        return Path(f"/proc/{self.pid}/stat").read_text("ascii").rpartition(")")[2].split()[0] == "T"

    def thaw(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)

    async def ended(self, within: float = 30) -> int:
        """The exit code, when it has ended; -9 if it was killed."""
        assert self._process is not None
        return await asyncio.wait_for(self._process.wait(), within)

    async def stop(self) -> int:
        """Tell it to stop, and wait."""
        assert self._process is not None
        if self._process.returncode is None:
            self._process.terminate()
        return await self.ended()

    async def __aenter__(self) -> Self:
        return await self.start()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.api.aclose()
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
