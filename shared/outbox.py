"""The outbox relay: events saved inside their aggregate's document go to Kafka, in order, at least once.

An event is published right after its save (`flush`), and by a sweep of any replica if that did not happen. There is
no leader: two relays may publish an event twice, with one id, and consumers drop the second.
"""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from shared import metrics
from shared.contracts.envelope import CONTENT_TYPE
from shared.failures import DependencyDown, PermanentError
from shared.logs import get_logger

log = get_logger(__name__)

REMEMBERED = 5.0


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """One event as an outbox keeps it: encoded once, when it was saved."""

    id: str
    topic: str
    key: str
    body: str
    time: datetime
    traceparent: str | None = None

    def document(self) -> dict[str, Any]:
        """The entry as it is stored."""
        return {
            "id": self.id, "topic": self.topic, "key": self.key, "body": self.body, "time": self.time,
            "traceparent": self.traceparent,
        }  # fmt: skip

    @classmethod
    def of(cls, document: dict[str, Any]) -> OutboxEntry:
        """The entry in a stored document."""
        return cls(**{name: document[name] for name in ("id", "topic", "key", "body", "time", "traceparent")})


@dataclass(frozen=True, slots=True)
class Pending:
    """A document with unpublished events."""

    document_id: str
    entries: tuple[OutboxEntry, ...]


class Publisher(Protocol):
    """Puts one record into Kafka and returns when all in-sync replicas have it (`shared.kafka.Producer`)."""

    async def publish(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        """Publish, or raise `DependencyDown` or `PermanentError`."""
        ...


class Outboxes(Protocol):
    """The outboxes of one collection (`shared.mongo.Aggregates`)."""

    @property
    def name(self) -> str:
        """The name of the collection."""
        ...

    async def pending(self, grace: timedelta, limit: int) -> Sequence[Pending]:
        """Documents whose outbox has waited longer than `grace`, the longest first."""
        ...

    async def published(self, ids: dict[str, list[str]]) -> None:
        """Take published events (document id → event ids) out of their outboxes."""
        ...

    async def backlog(self) -> tuple[int, float]:
        """How many documents have unpublished events, and the age in seconds of the oldest such event."""
        ...


@dataclass(slots=True)
class _Line:
    """What this relay knows of one document's outbox."""

    waiting: deque[OutboxEntry] = field(default_factory=deque)
    known: set[str] = field(default_factory=set)
    """Events that wait here, or were published and not marked in the database until a moment ago."""
    task: asyncio.Task[None] | None = None


class Relay:
    """Publishes outboxes. One per process; aggregates register their collections with `watch`."""

    def __init__(
        self,
        publisher: Publisher,
        *,
        topic_prefix: str = "",
        sweep_every: timedelta = timedelta(seconds=2),
        grace: timedelta = timedelta(seconds=3),
        most_documents: int = 500,
        mark_after: timedelta = timedelta(milliseconds=50),
    ) -> None:
        self._publisher = publisher
        self._prefix = topic_prefix
        self._sweep_every = sweep_every.total_seconds()
        self._grace = grace
        self._most = most_documents
        self._mark_after = mark_after.total_seconds()
        self._outboxes: dict[str, Outboxes] = {}
        self._lines: dict[tuple[str, str], _Line] = {}
        self._busy = 0
        self._marks: dict[str, dict[str, list[str]]] = {}
        self._marking: asyncio.Task[None] | None = None

    def watch(self, outboxes: Outboxes) -> None:
        """Publish the events of a collection from now on."""
        self._outboxes[outboxes.name] = outboxes
        metrics.OUTBOX_PENDING.labels(outboxes.name).set(0)
        metrics.OUTBOX_AGE.labels(outboxes.name).set(0)

    def flush(self, collection: str, document_id: str, entries: Iterable[OutboxEntry]) -> bool:
        """Begin to publish a document's outbox, as it was just saved, and return at once; False if there is no need.

        Beyond a bound on documents under way nothing is begun: the sweep takes them when there is room.
        """
        at = (collection, document_id)
        line = self._lines.get(at)
        if line is None:
            if self._busy >= self._most:
                return False
            line = self._lines[at] = _Line()
        for entry in entries:
            if entry.id not in line.known:
                line.known.add(entry.id)
                line.waiting.append(entry)
        if line.waiting and line.task is None:
            self._busy += 1
            line.task = asyncio.get_running_loop().create_task(self._publish(at, line))
            return True
        return False

    async def _publish(self, at: tuple[str, str], line: _Line) -> None:
        collection, document_id = at
        try:
            while line.waiting:
                entry = line.waiting[0]
                await self._publisher.publish(
                    f"{self._prefix}{entry.topic}",
                    key=entry.key.encode(),
                    value=entry.body.encode(),
                    headers=_headers(entry),
                )
                metrics.OUTBOX_PUBLISHED.labels(entry.topic).inc()
                line.waiting.popleft()
                self._mark(collection, document_id, entry.id)
        except (DependencyDown, PermanentError) as error:
            # The first failure stops the document: later events of it must not overtake. The sweep tries again.
            metrics.OUTBOX_FAILURES.labels(line.waiting[0].topic).inc()
            log.warning("outbox_publish_failed", document=document_id, event_id=line.waiting[0].id, error=repr(error))
            line.known.difference_update(entry.id for entry in line.waiting)
            line.waiting.clear()
        finally:
            line.task = None
            self._busy -= 1
            if not line.known:
                self._lines.pop(at, None)

    def _mark(self, collection: str, document_id: str, event_id: str) -> None:
        """Note that an event is published. Marks are written together: losing one only publishes an event twice."""
        self._marks.setdefault(collection, {}).setdefault(document_id, []).append(event_id)
        if self._marking is None or self._marking.done():
            self._marking = asyncio.get_running_loop().create_task(self._write_marks())

    async def _write_marks(self) -> None:
        wait = self._mark_after
        while self._marks:
            await asyncio.sleep(wait)
            for collection in list(self._marks):
                marks = self._marks.pop(collection)
                try:
                    await self._outboxes[collection].published(marks)
                except DependencyDown as error:
                    log.warning("outbox_mark_failed", collection=collection, error=repr(error))
                    later = self._marks.setdefault(collection, {})
                    for document_id, ids in marks.items():
                        later[document_id] = ids + later.get(document_id, [])
                    wait = 1.0
                    continue
                wait = self._mark_after
                # A save may still be on its way to us with an outbox from before the mark: remember for a while.
                later_on = asyncio.get_running_loop().call_later
                for document_id, ids in marks.items():
                    later_on(REMEMBERED, self._forget, (collection, document_id), ids)

    def _forget(self, at: tuple[str, str], ids: list[str]) -> None:
        line = self._lines.get(at)
        if line is not None:
            line.known.difference_update(ids)
            if not line.known and line.task is None:
                del self._lines[at]

    async def settle(self, seconds: float) -> bool:
        """Wait until everything begun is published and marked, at most so long; True if it is."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while tasks := self._under_way():
            if (left := deadline - loop.time()) <= 0:
                return False
            await asyncio.wait(tasks, timeout=left)
        return True

    def _under_way(self) -> list[asyncio.Task[None]]:
        tasks = [line.task for line in self._lines.values() if line.task is not None]
        if self._marking is not None and not self._marking.done():
            tasks.append(self._marking)
        return tasks

    async def sweep(self) -> int:
        """Begin to publish what was saved and not flushed, here or by a replica that died; how many documents."""
        begun = 0
        for name, outboxes in self._outboxes.items():
            if (room := self._most - self._busy) <= 0:
                break
            for pending in await outboxes.pending(self._grace, min(room, 200)):
                begun += self.flush(name, pending.document_id, pending.entries)
        return begun

    async def run(self) -> None:
        """Sweep until cancelled, in every replica, and export the backlog."""
        measured = 0.0
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._sweep_every * random.uniform(0.8, 1.2))
            try:
                if await self.sweep():
                    log.info("outbox_swept", documents=self._busy)
                if loop.time() - measured > 10:
                    measured = loop.time()
                    for name, outboxes in self._outboxes.items():
                        documents, age = await outboxes.backlog()
                        metrics.OUTBOX_PENDING.labels(name).set(documents)
                        metrics.OUTBOX_AGE.labels(name).set(age)
            except DependencyDown as error:
                metrics.SWEEPS_FAILED.labels("outbox").inc()
                log.warning("outbox_sweep_failed", error=repr(error))

    async def stop(self, seconds: float) -> None:
        """Publish what is begun, at most so long, then let go: what is left is swept by another replica."""
        if not await self.settle(seconds):
            log.warning("outbox_left_for_the_sweep", documents=self._busy)
        for task in self._under_way():
            task.cancel()
        await asyncio.gather(*self._under_way(), return_exceptions=True)


def _headers(entry: OutboxEntry) -> list[tuple[str, bytes]]:
    headers = [("content-type", CONTENT_TYPE.encode())]
    if entry.traceparent is not None:
        headers.append(("traceparent", entry.traceparent.encode()))
    return headers
