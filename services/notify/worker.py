"""Delivers what is due, from the store: `python -m services.notify.worker`."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

from services.notify import commands
from services.notify.delivery import Delivery, LeaseLost
from services.notify.sender import Resolver, Sender, Sends
from services.notify.settings import WorkerSettings
from services.notify.store import Store
from services.notify.store_mongo import MongoStore
from shared import metrics
from shared.app import Service
from shared.failures import DependencyDown
from shared.logs import get_logger

log = get_logger(__name__)

LEASE_IN_TIME_OUTS = 4
"""How much longer than an attempt may take a delivery is held: the rest is for the database, before and after."""
_DEPENDENCY_WAIT = 1.0


class Dispatcher:
    """Keeps many attempts under way, few at any one endpoint, so that a slow one holds up nobody else."""

    def __init__(self, store: Store, sender: Sends, settings: WorkerSettings) -> None:
        self._store = store
        self._sender = sender
        self._concurrency = settings.concurrency
        self._per_endpoint = settings.per_endpoint
        self._poll_every = settings.poll_every.total_seconds()
        self._lease = LEASE_IN_TIME_OUTS * settings.time_out
        self._last_attempt = settings.time_out.total_seconds() + 5
        self._under_way: set[asyncio.Task[None]] = set()
        self._lanes: Counter[str] = Counter()
        self._failing: set[str] = set()

    async def run(self) -> None:
        """Delivers until cancelled, then lets the attempts that are under way end."""
        try:
            while True:
                if not await self._begin_some():
                    await self._rest()
        finally:
            if self._under_way:
                await asyncio.wait(self._under_way, timeout=self._last_attempt)

    async def _begin_some(self) -> int:
        free = self._concurrency - len(self._under_way)
        if free <= 0:
            return 0
        busy = [lane for lane, number in self._lanes.items() if number >= self._allowed(lane)]
        try:
            claimed = await self._store.claim(busy, free, self._lease)
        except DependencyDown as error:
            log.warning("claim_failed", error=str(error))
            await asyncio.sleep(_DEPENDENCY_WAIT)
            return 0
        for delivery in claimed:
            self._lanes[delivery.lane] += 1
            task = asyncio.get_running_loop().create_task(self._attempt(delivery))
            self._under_way.add(task)
            task.add_done_callback(self._under_way.discard)
        return len(claimed)

    async def _rest(self) -> None:
        """Waits for room or for something to become due, whichever may be first."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=self._poll_every, return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(self._poll_every)

    async def _attempt(self, delivery: Delivery) -> None:
        lane = delivery.lane
        try:
            reply = await commands.deliver(
                delivery, lease=self._lease, store=self._store, sender=self._sender, chance=random.random()
            )
            if reply is not None:
                (self._failing.discard if reply.taken else self._failing.add)(lane)
        except LeaseLost as error:
            log.info("lease_lost", error=str(error))
        except DependencyDown as error:
            # The lease runs out and the delivery is due again, with the same id for the receiver to know it by.
            log.warning("attempt_not_recorded", delivery=delivery.id, error=str(error))
        except Exception as error:  # one bad delivery must not end all delivering; its lease bounds how often
            log.error("attempt_failed", delivery=delivery.id, exc_info=error)
        finally:
            self._lanes[lane] -= 1
            if not self._lanes[lane]:
                del self._lanes[lane]

    def _allowed(self, lane: str) -> int:
        return 1 if lane in self._failing else self._per_endpoint


def create_service(settings: WorkerSettings) -> Service:
    """The process, composed and not yet running."""
    service = Service("notify", settings)
    store = MongoStore(service.database, relay=service.relay, clock=service.clock, ids=service.ids)
    service.prepare(store.prepare)

    async def deliver() -> None:
        resolver = Resolver()
        async with Sender(
            store.now,
            resolver,
            allow_loopback=settings.webhook_allow_loopback,
            whole_time_out=settings.time_out.total_seconds(),
        ) as sender:
            try:
                await Dispatcher(store, sender, settings).run()
            finally:
                resolver.close()

    service.background("deliveries", deliver)
    metrics.begin_at_zero(metrics.DELIVERIES, ["succeeded"], ["given_up"])
    return service


if __name__ == "__main__":
    create_service(WorkerSettings.load_or_exit()).run()
