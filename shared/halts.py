"""Streams that stopped reading because too much of them became dead letters: who has, and how they read on.

A halt is each process's own. It is noted in the service's database, where an operator sees the halts of all replicas
through any of them, and ends them by taking the notes away: each replica looks after its own every few seconds.
"""

from __future__ import annotations

import os
import socket
from typing import Annotated, Any

from fastapi import APIRouter, Depends

from shared.auth import Principal, require
from shared.consumption import Consumption
from shared.contracts.board import Role
from shared.contracts.envelope import rfc3339
from shared.logs import get_logger
from shared.mongo import Database, translated
from shared.problems import not_found

log = get_logger(__name__)

_SEEN_MS = 30_000
"""A note that its process has not looked after for so long is of one that is gone."""
_FORGOTTEN_SECONDS = 86_400


class Halts:
    """The halts of a service's streams, in all of its processes."""

    def __init__(self, database: Database, process: str = f"{socket.gethostname()}:{os.getpid()}") -> None:
        self._notes = database["halted_streams"]
        self._process = process
        self._consumptions: dict[str, Consumption] = {}
        self._noted: set[str] = set()

    def watch(self, consumption: Consumption) -> None:
        """Look after a stream."""
        self._consumptions[consumption.name] = consumption

    async def prepare(self) -> None:
        """Create the index."""
        with translated():
            await self._notes.create_index("seen_at", expireAfterSeconds=_FORGOTTEN_SECONDS)

    async def attend(self) -> None:
        """Note the halts of this process, and read on where an operator has taken a note away."""
        for name, consumption in self._consumptions.items():
            if not consumption.halted:
                self._noted.discard(name)
                continue
            note = {"_id": f"{name} {self._process}", "stream": name}
            if name not in self._noted:
                about = {"process": self._process, "why": consumption.halted_by}
                moments = {"since": True, "seen_at": True}
                with translated():
                    await self._notes.update_one(note, {"$set": about, "$currentDate": moments}, upsert=True)
                self._noted.add(name)
                continue
            with translated():
                seen = await self._notes.update_one(note, {"$currentDate": {"seen_at": True}})
            if seen.matched_count == 0:
                self._read_on(consumption)

    async def streams(self) -> list[dict[str, Any]]:
        """Every stream that the service reads, and the processes in which it is halted."""
        alive = {"$expr": {"$gt": ["$seen_at", {"$subtract": ["$$NOW", _SEEN_MS]}]}}
        with translated():
            notes = [note async for note in self._notes.find(alive).sort("_id", 1)]
        return [
            {
                "stream": name,
                "halted": [
                    {"process": note["process"], "since": rfc3339(note["since"]), "why": note["why"]}
                    for note in notes
                    if note["stream"] == name
                ],
            }
            for name in sorted(self._consumptions)
        ]

    async def resume(self, stream: str, by: str) -> list[str]:
        """Let every process read a stream on, this one at once; which processes had halted.

        Raises:
            Problem: 404, the service reads no such stream.
        """
        consumption = self._consumptions.get(stream)
        if consumption is None:
            raise not_found("stream")
        await self.attend()
        (found,) = [each for each in await self.streams() if each["stream"] == stream]
        with translated():
            await self._notes.delete_many({"stream": stream})
        if consumption.halted:
            self._read_on(consumption)
        log.info("stream_resumed", stream=stream, by=by)
        return [str(halt["process"]) for halt in found["halted"]]

    def _read_on(self, consumption: Consumption) -> None:
        self._noted.discard(consumption.name)
        consumption.resume()
        log.info("stream_reads_on", stream=consumption.name)


Operator = Annotated[Principal, Depends(require(Role.OPERATOR))]


def router(service: str, halts: Halts) -> APIRouter:
    """The routes `/v1/ops/<service>/streams…`, for operators."""
    routes = APIRouter(prefix=f"/v1/ops/{service}/streams", tags=["operations"])

    @routes.get("")
    async def list_streams(principal: Operator) -> dict[str, Any]:
        """Which streams the service reads, and which of its processes have halted one, since when and why."""
        return {"streams": await halts.streams()}

    @routes.post("/{stream}/resume", status_code=202)
    async def resume_stream(principal: Operator, stream: str) -> dict[str, Any]:
        """Read on after too many dead letters stopped a stream: in every process, within a few seconds."""
        return {"stream": stream, "resumed": await halts.resume(stream, principal.owner)}

    return routes
