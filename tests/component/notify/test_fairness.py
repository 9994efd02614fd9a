"""The dispatcher with real receivers: a slow endpoint with a backlog takes nothing from the others."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta

from services.notify.delivery import Delivery, DeliveryState
from services.notify.sender import Resolver, Sender
from services.notify.settings import WorkerSettings
from services.notify.store import KeptEvent
from services.notify.store_memory import MemoryStore
from services.notify.subscription import Filters, create, secret_of
from services.notify.worker import Dispatcher
from shared.clock import SystemClock
from tests.component.notify.receivers import Received, Receiver, answer, receiver

BACKLOG = 300


@dataclass
class Slow:
    """Answers when it is released, with a status that can be changed, and counts how many wait at once."""

    status: int = 200
    waiting: int = 0
    most: int = 0
    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, writer: asyncio.StreamWriter, request: Received) -> None:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        await self.release.wait()
        self.waiting -= 1
        await answer(self.status)(writer, request)


async def queue(store: MemoryStore, there: Receiver, count: int) -> str:
    """A subscription to a receiver with so many deliveries due."""
    now = await store.now()
    id = f"whk_{there.port}"
    await store.add_subscription(
        create(
            id,
            owner="spn_a",
            url=there.url,
            filters=Filters(),
            description=None,
            secret=secret_of(b"1" * 32),
            now=now,
        )[0]
    )
    await store.keep_event(KeptEvent("evt_a", "spn_a", "chl_a", "score.completed.v1", now, "{}"))
    for number in range(count):
        await store.queue(
            Delivery(
                id=f"dlv_{there.port}_{number:04}",
                subscription=id,
                event="evt_a",
                type="score.completed.v1",
                lane=f"127.0.0.1:{there.port}",
                created_at=now,
                due_at=now - timedelta(seconds=count - number),
            )
        )
    return id


@contextlib.asynccontextmanager
async def dispatching(store: MemoryStore) -> AsyncIterator[None]:
    resolver = Resolver()
    settings = WorkerSettings(concurrency=8, per_endpoint=4, poll_every=timedelta(milliseconds=20))
    async with Sender(store.now, resolver, allow_loopback=True) as sender:
        running = asyncio.create_task(Dispatcher(store, sender, settings).run())
        try:
            yield
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    resolver.close()


async def states(store: MemoryStore, subscription: str) -> set[DeliveryState]:
    found = await store.deliveries(subscription, state=None, after=None, limit=BACKLOG)
    return {delivery.state for delivery in found}


async def test_an_endpoint_with_a_backlog_holds_four_attempts_and_the_others_get_theirs() -> None:
    store, slow = MemoryStore(SystemClock()), Slow()
    async with receiver(slow) as flood, receiver(answer(200)) as good, dispatching(store):
        await queue(store, flood, BACKLOG)
        await flood.until(4)
        await queue(store, good, 20)
        await good.until(20)
        assert (slow.waiting, slow.most, len(flood.received)) == (4, 4, 4)
        slow.release.set()
        await flood.until(BACKLOG, 60)
        assert slow.most == 4


async def test_an_endpoint_that_fails_is_tried_by_one_attempt_at_a_time() -> None:
    store, slow = MemoryStore(SystemClock()), Slow(status=500)
    async with receiver(slow) as flood, dispatching(store):
        await queue(store, flood, 40)
        await flood.until(4)
        slow.release.set()
        await flood.until(8)
        slow.most = 0
        await flood.until(40)
        assert slow.most == 1


async def test_stopping_waits_for_what_is_under_way_and_begins_nothing_new() -> None:
    store, slow = MemoryStore(SystemClock()), Slow()
    async with receiver(slow) as there:
        async with dispatching(store):
            subscription = await queue(store, there, 10)
            await there.until(4)
            asyncio.get_running_loop().call_later(0.2, slow.release.set)
        assert len(there.received) == 4
        found = await store.deliveries(subscription, state=DeliveryState.SUCCEEDED, after=None, limit=BACKLOG)
        assert len(found) == 4
        assert await states(store, subscription) == {DeliveryState.PENDING, DeliveryState.SUCCEEDED}
