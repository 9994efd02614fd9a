"""A service as the real process it is, on the test's own database and topics."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer
from deploy.local.ports import free_port
from deploy.local.process import Process


@dataclass
class Running:
    """A process of a service, its public and its internal address."""

    process: Process
    url: str
    internal: str

    async def until_ready(self, seconds: float = 30.0) -> None:
        """Waits until `/readyz` says so, or fails with the end of the log."""
        async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
            deadline = asyncio.get_running_loop().time() + seconds
            while asyncio.get_running_loop().time() < deadline:
                if not self.process.running:
                    raise self.process.failed(f"ended with {self.process.exit_code}")
                with contextlib.suppress(httpx.HTTPError):
                    if (await client.get(f"{self.internal}/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.05)
        raise self.process.failed("was not ready in time")

    def log(self) -> str:
        """Everything it has said."""
        return self.process.log.read_text(errors="replace")


def environment(kafka: KafkaServer, mongo: MongoServer, prefix: str, **more: str) -> dict[str, str]:
    """The settings of a process: the test's servers, under the test's prefix."""
    foreign = {name: value for name, value in os.environ.items() if not name.startswith("JIEBANG_")}
    return {
        **foreign,
        "JIEBANG_KAFKA_BOOTSTRAP": kafka.bootstrap,
        "JIEBANG_KAFKA_TOPIC_PREFIX": prefix,
        "JIEBANG_MONGO_URI": mongo.uri,
        "JIEBANG_MONGO_DATABASE_PREFIX": prefix.rstrip("."),
        **more,
    }


@contextlib.asynccontextmanager
async def running(module: str, name: str, folder: Path, settings: Mapping[str, str]) -> AsyncIterator[Running]:
    """A process of `python -m module`, ready; at the end it is asked to stop, and must do so by itself."""
    public, internal = free_port(), free_port()
    ports = {f"JIEBANG_{name}_INTERNAL_PORT": str(internal)}
    if not name.endswith(("_WORKER", "_SCAN")):
        ports[f"JIEBANG_{name}_PORT"] = str(public)
    process = Process(
        name, [sys.executable, "-m", module], log=folder / f"{name}-{internal}.log", environment={**settings, **ports}
    )
    process.start()
    there = Running(process, f"http://127.0.0.1:{public}", f"http://127.0.0.1:{internal}")
    try:
        await there.until_ready()
        yield there
    finally:
        killed = not process.running
        code = await process.stop()
        if not killed and code != 0:
            raise process.failed(f"ended with {code}")
