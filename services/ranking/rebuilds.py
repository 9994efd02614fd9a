"""Rebuilds as jobs: asked for by an operator, done by one replica at a time, told about afterwards."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import asdict
from typing import Any

from services.ranking.boards import Boards
from services.ranking.rebuild import rebuild
from services.ranking.store import Leaderboards, Reports
from shared.clock import Clock
from shared.codec import decode
from shared.contracts.envelope import Event, UnknownEvent, rfc3339
from shared.ids import Ids
from shared.jobs import Job, Jobs, JobState, Lease
from shared.kafka import handled, read_records
from shared.settings import Settings

_STATES = {JobState.QUEUED: "queued", JobState.LEASED: "running", JobState.DONE: "done", JobState.FAILED: "failed"}


class Rebuilds:
    """The queue of rebuilds, and what came of them."""

    def __init__(
        self,
        jobs: Jobs,
        reports: Reports,
        *,
        boards: Boards,
        store: Leaderboards,
        replay: Callable[[str], AsyncIterator[Sequence[tuple[Event[Any], bool]]]],
        ids: Ids,
        clock: Clock,
    ) -> None:
        self._jobs = jobs
        self._reports = reports
        self._boards = boards
        self._store = store
        self._replay = replay
        self._ids = ids
        self._clock = clock

    async def start(self, *, by: str, drop: bool = False) -> dict[str, Any]:
        """Ask for a rebuild, which lets go of facts that no topic knows only with `drop`; how it stands."""
        id = self._ids.new("rbd")
        await self._jobs.queue(id, {"by": by, "drop": drop})
        return {"id": id, "state": "queued"}

    async def find(self, id: str) -> dict[str, Any] | None:
        """How a rebuild stands, with its comparisons once it is done; None if there is none."""
        job = await self._jobs.find(id)
        return None if job is None else {**_shown(job), **(await self._reports.find(id) or {})}

    async def list(self) -> list[dict[str, Any]]:
        """How the rebuilds stand."""
        return [_shown(job) for job in await self._jobs.list()]

    async def work(self, lease: Lease) -> None:
        """Do one attempt at a rebuild."""
        comparisons = await rebuild(
            generation=f"{lease.id}.{lease.attempt}",
            stale=[f"{lease.id}.{earlier}" for earlier in range(1, lease.attempt)],
            boards=self._boards,
            store=self._store,
            replay=self._replay,
            drop=bool(lease.payload.get("drop")),
        )
        await self._reports.keep(
            lease.id,
            {
                "boards": [asdict(comparison) for comparison in comparisons],
                "same": all(comparison.same for comparison in comparisons),
                "switched": all(comparison.switched for comparison in comparisons),
                "finished_at": rfc3339(self._clock.now()),
            },
        )


def _shown(job: Job) -> dict[str, Any]:
    return {
        "id": job.id,
        "state": _STATES[job.state],
        "by": job.payload["by"],
        "requested_at": rfc3339(job.queued_at),
        "error": job.error,
    }


async def replay(settings: Settings, topic: str) -> AsyncIterator[Sequence[tuple[Event[Any], bool]]]:
    """Every event of a topic up to its present end, and whether ranking has acknowledged it already."""
    # Asked first: what was acknowledged before the reading began is surely among what is read.
    acknowledged = await handled(settings, service="ranking", topic=topic)
    async for records in read_records(settings, f"{settings.kafka_topic_prefix}{topic}"):
        events = []
        for record in records:
            try:
                event = decode(record)
            except ValueError:
                continue  # a dead letter of the ordinary reading
            if not isinstance(event, UnknownEvent):
                events.append((event, record.offset < acknowledged.get(record.partition, 0)))
        if events:
            yield events
