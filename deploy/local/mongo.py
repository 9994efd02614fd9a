"""A real MongoDB server (a replica set of one) in a folder of its own."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from motor.motor_asyncio import AsyncIOMotorClient
from pymongo.errors import OperationFailure, PyMongoError

from deploy.local.fetch import Programs
from deploy.local.ports import require_free, stored_port
from deploy.local.process import Process

_ALREADY_INITIALISED = 23


class MongoServer:
    """Starts, stops, kills, freezes and restarts one mongod on the same disk and the same port."""

    def __init__(
        self,
        folder: Path,
        programs: Programs,
        *,
        for_tests: bool = False,
        address: str = "127.0.0.1",
        prefix: tuple[str, ...] = (),
    ) -> None:
        """`for_tests` adds failpoints (`configureFailPoint`) and a TTL monitor that runs every 5 seconds.

        `prefix` is put before the command, to run it in a network namespace that has the `address`.
        """
        self.folder = folder
        self.address = address
        self.port = stored_port(folder, "mongo")
        command: list[str | Path] = [*prefix, programs.mongod, "--dbpath", folder / "data", "--port", str(self.port)]
        command += ["--bind_ip", address, "--replSet", "rs0", "--wiredTigerCacheSizeGB", "0.25"]
        command += ["--oplogSize", "128", "--networkMessageCompressors", "disabled"]
        command += ["--setParameter", "diagnosticDataCollectionEnabled=false"]
        if for_tests:
            command += ["--setParameter", "enableTestCommands=1", "--setParameter", "ttlMonitorSleepSecs=5"]
        self.process = Process("MongoDB", command, log=folder / "mongod.log")

    @property
    def uri(self) -> str:
        """The address for clients, with the replica set's name."""
        return f"mongodb://{self.address}:{self.port}/?replicaSet=rs0"

    async def start(self, timeout: float = 60.0) -> None:
        """Starts the server on its disk and returns when it is a writable primary.

        Raises:
            StartFailed: with the last lines of the log.
        """
        (self.folder / "data").mkdir(parents=True, exist_ok=True)
        require_free(self.port, "MongoDB")
        self.process.start()
        await self.wait_ready(timeout)

    async def wait_ready(self, timeout: float = 60.0) -> None:
        """Returns when the server says it is a writable primary, making it a replica set of one the first time."""
        deadline = time.monotonic() + timeout
        client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(
            f"mongodb://{self.address}:{self.port}/?directConnection=true", serverSelectionTimeoutMS=500
        )
        trouble = "it never answered"
        try:
            while time.monotonic() < deadline:
                if not self.process.running:
                    raise self.process.failed(f"ended with {self.process.exit_code} while starting")
                try:
                    hello = await client.admin.command("hello")
                    if hello.get("isWritablePrimary"):
                        return
                    if "setName" not in hello:
                        await self._initiate(client)
                    trouble = "it did not become a writable primary"
                except PyMongoError as error:
                    trouble = str(error)
                await asyncio.sleep(0.05)
        finally:
            client.close()
        raise self.process.failed(f"was not ready within {timeout:.0f} s: {trouble}")

    async def _initiate(self, client: AsyncIOMotorClient[dict[str, Any]]) -> None:
        members = [{"_id": 0, "host": f"{self.address}:{self.port}"}]
        try:
            await client.admin.command("replSetInitiate", {"_id": "rs0", "members": members})
        except OperationFailure as error:
            if error.code != _ALREADY_INITIALISED:
                raise

    async def stop(self, grace: float = 20.0) -> None:
        """Lets the server write its checkpoint, then ends it."""
        await self.process.stop(grace)

    def kill(self) -> None:
        """Kills the server as `kill -9` does; its disk stays."""
        self.process.kill()

    async def restart(self) -> None:
        """Starts the server again on the same disk and port, however it ended."""
        await self.process.stop()
        await self.start()

    def freeze(self) -> None:
        """Stops the server where it stands; connections stay open and silent."""
        self.process.freeze()

    def thaw(self) -> None:
        """Lets a frozen server go on."""
        self.process.thaw()
