"""Notify's store in memory, for tests of what is done with it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from services.notify.delivery import Delivery, DeliveryState
from services.notify.store import LONGEST_TURN, Change, EventPlace, KeptEvent, State, visible
from services.notify.subscription import Subscription, SubscriptionState
from shared.clock import Clock
from shared.contracts.envelope import Fact
from shared.mongo import AggregateExists, AggregateMissing


class MemoryStore:
    """The same, in this process's memory; `facts` is everything that would have been published."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sponsors: dict[str, str] = {}
        self._subscriptions: dict[str, Subscription] = {}
        self._events: dict[str, KeptEvent] = {}
        self._deliveries: dict[str, Delivery] = {}
        self.facts: list[Fact] = []

    async def now(self) -> datetime:
        """The present moment by the clock it was given."""
        return self._clock.now()

    async def learn_sponsor(self, challenge: str, sponsor: str) -> None:
        """See `Store`."""
        self._sponsors.setdefault(challenge, sponsor)

    async def sponsor_of(self, challenge: str) -> str | None:
        """See `Store`."""
        return self._sponsors.get(challenge)

    async def add_subscription(self, state: Subscription) -> None:
        """See `Store`."""
        if state.id in self._subscriptions:
            raise AggregateExists("memory", state.id)
        self._subscriptions[state.id] = state

    async def subscription(self, id: str, owner: str | None = None) -> Subscription | None:
        """See `Store`."""
        found = self._subscriptions.get(id)
        return found if found is not None and visible(found, owner) else None

    async def subscriptions(self, owner: str) -> Sequence[Subscription]:
        """See `Store`."""
        return [
            self._subscriptions[id] for id in sorted(self._subscriptions) if visible(self._subscriptions[id], owner)
        ]

    async def update_subscription(self, id: str, change: Change[Subscription]) -> Subscription:
        """See `Store`."""
        return self._update(self._subscriptions, id, change)

    async def keep_event(self, event: KeptEvent) -> None:
        """See `Store`."""
        self._events.setdefault(event.id, event)

    async def event(self, id: str) -> KeptEvent | None:
        """See `Store`."""
        return self._events.get(id)

    async def said_before(self, event: KeptEvent) -> bool:
        """See `Store`."""
        same = (event.subject, event.type)
        return any((kept.subject, kept.type) == same and kept.id != event.id for kept in self._events.values())

    async def events(
        self, owner: str, since: datetime, until: datetime, after: EventPlace | None, limit: int
    ) -> Sequence[KeptEvent]:
        """See `Store`."""
        within = [event for event in self._events.values() if event.owner == owner and since <= event.at < until]
        left = [event for event in within if after is None or (event.at, event.id) > after]
        return sorted(left, key=lambda event: (event.at, event.id))[:limit]

    async def queue(self, delivery: Delivery) -> bool:
        """See `Store`."""
        if delivery.id in self._deliveries:
            return False
        pending = [entry for entry in self._pending() if entry.lane == delivery.lane]
        self._deliveries[delivery.id] = delivery.model_copy(update={"turn": min(len(pending), LONGEST_TURN)})
        return True

    async def claim(self, busy: Collection[str], limit: int, lease: timedelta) -> Sequence[Delivery]:
        """See `Store`."""
        now = self._clock.now()
        firsts: dict[str, Delivery] = {}
        due = [entry for entry in self._pending() if entry.due_at is not None and entry.due_at <= now]
        for entry in sorted(due, key=lambda entry: (entry.turn, entry.due_at or now)):
            if entry.lane not in busy:
                firsts.setdefault(entry.lane, entry)
        claimed = []
        for entry in sorted(firsts.values(), key=lambda entry: entry.turn)[:limit]:
            leased = {"due_at": now + lease, "sending": True, "claims": entry.claims + 1, "tried": entry.tried + 1}
            self._deliveries[entry.id] = entry.model_copy(update=leased)
            claimed.append(self._deliveries[entry.id])
        return claimed

    async def delivery(self, id: str, subscription: str) -> Delivery | None:
        """See `Store`."""
        found = self._deliveries.get(id)
        return found if found is not None and found.subscription == subscription else None

    async def deliveries(
        self, subscription: str, *, state: DeliveryState | None, after: str | None, limit: int
    ) -> Sequence[Delivery]:
        """See `Store`."""
        found = [
            entry
            for entry in self._deliveries.values()
            if entry.subscription == subscription
            and (state is None or entry.state is state)
            and (after is None or entry.id < after)
        ]
        return sorted(found, key=lambda entry: entry.id, reverse=True)[:limit]

    async def failed_since(self, subscription: str, since: datetime, limit: int) -> Sequence[Delivery]:
        """See `Store`."""
        failed = [
            (entry.finished_at, entry.id)
            for entry in self._deliveries.values()
            if entry.subscription == subscription and entry.state is DeliveryState.FAILED
        ]
        since_then = sorted((at, id) for at, id in failed if at is not None and at >= since)
        return [self._deliveries[id] for _, id in since_then[:limit]]

    async def update_delivery(self, id: str, change: Change[Delivery]) -> Delivery:
        """See `Store`."""
        return self._update(self._deliveries, id, change)

    async def hasten(self, subscription: str) -> None:
        """See `Store`."""
        for entry in self._pending():
            if entry.subscription == subscription and not entry.sending:
                self._deliveries[entry.id] = entry.model_copy(update={"due_at": self._clock.now()})

    async def pending(self) -> int:
        """See `Store`."""
        return len(self._pending())

    async def disabled(self) -> int:
        """See `Store`."""
        return sum(entry.stopped is SubscriptionState.DISABLED for entry in self._subscriptions.values())

    async def failing(self) -> int:
        """See `Store`."""
        return sum(entry.state is SubscriptionState.FAILING for entry in self._subscriptions.values())

    async def overdue(self, age: timedelta) -> int:
        """See `Store`."""
        since = self._clock.now() - age
        return sum(entry.due_at is not None and entry.due_at <= since for entry in self._pending())

    def _pending(self) -> list[Delivery]:
        return [entry for entry in self._deliveries.values() if entry.state is DeliveryState.PENDING]

    def _update(self, kept: dict[str, State], id: str, change: Change[State]) -> State:
        if id not in kept:
            raise AggregateMissing("memory", id)
        kept[id], facts = change(kept[id])
        self.facts += facts
        return kept[id]
