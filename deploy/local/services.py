"""The service processes of the platform: which there are, what each is told, and when it is ready."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy.local.ports import require_free, stored_port
from deploy.local.process import Process


@dataclass(frozen=True)
class ServiceProcess:
    """One row of the table of processes."""

    name: str
    module: str
    public: bool
    """Whether it serves a part of the API (behind the gateway) or works from its queue alone."""

    @property
    def variable(self) -> str:
        """What its own settings begin with."""
        return f"JIEBANG_{self.name.upper().replace('-', '_')}_"


SERVICE_PROCESSES = (
    ServiceProcess("board", "services.board.app", public=True),
    ServiceProcess("ingest", "services.ingest.app", public=True),
    ServiceProcess("ingest-scan", "services.ingest.scan_worker", public=False),
    ServiceProcess("scoring", "services.scoring.app", public=True),
    ServiceProcess("scoring-worker", "services.scoring.worker", public=False),
    ServiceProcess("ranking", "services.ranking.app", public=True),
    ServiceProcess("notify", "services.notify.app", public=True),
    ServiceProcess("notify-worker", "services.notify.worker", public=False),
)


class HttpPart:
    """A process that says over HTTP when it is ready."""

    def __init__(self, process: Process, ports: tuple[int, ...], ready_url: str, ready_status: int = 200) -> None:
        self.process = process
        self.name = process.name
        self._ports = ports
        self._ready_url = ready_url
        self._ready_status = ready_status

    async def start(self, timeout: float = 60.0) -> None:
        """Starts the process and returns when it is ready.

        Raises:
            StartFailed: it ended, or was not ready in time; with the last lines of its log.
        """
        for port in self._ports:
            require_free(port, self.name)
        self.process.start()
        await self.wait_ready(timeout)

    async def wait_ready(self, timeout: float = 60.0) -> None:
        """Returns when the process answers that it is ready."""
        deadline = time.monotonic() + timeout
        trouble = "it never answered"
        async with httpx.AsyncClient(timeout=2, trust_env=False) as client:
            while True:
                if not self.process.running:
                    raise self.process.failed(f"ended with {self.process.exit_code} while starting")
                try:
                    answer = await client.get(self._ready_url)
                    if answer.status_code == self._ready_status:
                        return
                    trouble = f"it answers {answer.status_code}: {answer.text[:500]}"
                except httpx.TransportError as error:
                    trouble = f"{trouble.partition(' (')[0]} ({error!r})" if "never" in trouble else trouble
                if time.monotonic() > deadline:
                    raise self.process.failed(f"was not ready within {timeout:.0f} s, {trouble}")
                await asyncio.sleep(0.05)

    async def stop(self, grace: float = 25.0) -> None:
        """Lets the process finish what it has begun, then ends it."""
        await self.process.stop(grace)


def service_part(row: ServiceProcess, state: Path, environment: Mapping[str, str], *, replica: int = 1) -> HttpPart:
    """The process of one row, with ports of its own; `replica` numbers further processes of the same row from 2."""
    name = row.name if replica == 1 else f"{row.name}-{replica}"
    internal = stored_port(state, f"{name}.internal")
    own = {f"{row.variable}INTERNAL_PORT": str(internal)}
    ports = [internal]
    if row.public:
        ports.append(stored_port(state, name))
        own[f"{row.variable}PORT"] = str(ports[-1])
    process = Process(
        name, [sys.executable, "-m", row.module], log=state / "logs" / f"{name}.log", environment={**environment, **own}
    )
    return HttpPart(process, tuple(ports), f"http://127.0.0.1:{internal}/readyz")


def gateway_part(state: Path, port: int) -> HttpPart:
    """The gateway in front of every public service."""
    command = [sys.executable, "-m", "deploy.local.gateway", "--port", str(port)]
    for row in SERVICE_PROCESSES:
        if row.public:
            command += ["--backend", f"{row.name}=127.0.0.1:{stored_port(state, row.name)}"]
    process = Process("gateway", command, log=state / "logs" / "gateway.log")
    # The gateway itself answers at the root, where no service has anything, that nothing is there.
    return HttpPart(process, (port,), f"http://127.0.0.1:{port}/", ready_status=404)
