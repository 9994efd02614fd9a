"""Where notify keeps subscriptions, deliveries and the events under way: once on MongoDB, once in memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol, TypeVar

from services.notify.delivery import Delivery, DeliveryState
from services.notify.subscription import Subscription, SubscriptionState
from shared.clock import Clock
from shared.contracts.envelope import Fact
from shared.database_clock import DatabaseClock
from shared.ids import Ids
from shared.mongo import (
    AFTER,
    AggregateExists,
    AggregateMissing,
    Aggregates,
    Database,
    Document,
    database_now,
    translated,
)
from shared.outbox import Relay

SOURCE = "/jiebang/notify"
EVENTS_KEPT = timedelta(days=30)
DELIVERIES_KEPT = timedelta(days=90)
_LONGEST_TURN = 1000
_BEFORE_ALL = datetime.fromtimestamp(0, UTC)

State = TypeVar("State")
Change = Callable[[State], tuple[State, Sequence[Fact]]]


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """An event as it is delivered, byte for byte, and what it is looked up by."""

    id: str
    owner: str
    challenge: str
    type: str
    at: datetime
    body: str
    subject: str = ""


EventPlace = tuple[datetime, str]
"""The place of an event among those of its owner: its moment and its id."""


class Store(Protocol):
    """What notify remembers. Reads for people take the owner whose things they are."""

    async def now(self) -> datetime:
        """The present moment by the clock that judges when a delivery is due."""
        ...

    async def learn_sponsor(self, challenge: str, sponsor: str) -> None:
        """Whose challenge it is; a challenge keeps its sponsor, so the first word stays."""
        ...

    async def sponsor_of(self, challenge: str) -> str | None:
        """The owner of a challenge, or None while nothing was heard of it."""
        ...

    async def add_subscription(self, state: Subscription) -> None:
        """Stores a new subscription; raises `AggregateExists` if the id is taken."""
        ...

    async def subscription(self, id: str, owner: str | None = None) -> Subscription | None:
        """A subscription that is not deleted; with `owner`, only if it is that owner's."""
        ...

    async def subscriptions(self, owner: str) -> Sequence[Subscription]:
        """An owner's subscriptions that are not deleted, oldest first."""
        ...

    async def update_subscription(self, id: str, change: Change[Subscription]) -> Subscription:
        """Changes a subscription; raises `AggregateMissing`."""
        ...

    async def keep_event(self, event: KeptEvent) -> None:
        """Keeps an event for 30 days; a second time is nothing."""
        ...

    async def event(self, id: str) -> KeptEvent | None:
        """A kept event."""
        ...

    async def said_before(self, event: KeptEvent) -> bool:
        """Whether another event of the same type and subject is kept: what is told once only was told again."""
        ...

    async def events(
        self, owner: str, since: datetime, until: datetime, after: EventPlace | None, limit: int
    ) -> Sequence[KeptEvent]:
        """An owner's kept events of [since, until), oldest first, those after a place only."""
        ...

    async def queue(self, delivery: Delivery) -> bool:
        """Stores a new delivery unless it is there already; True if it is new.

        Its turn is how many deliveries its lane has unfinished, so that one with a backlog waits for the others.
        """
        ...

    async def claim(self, busy: Collection[str], limit: int, lease: timedelta) -> Sequence[Delivery]:
        """Takes deliveries that are due, by turn and age, none of a busy lane and one of each other lane at most.

        Each is leased for so long; if the worker says nothing until then, it is due again.
        """
        ...

    async def delivery(self, id: str, subscription: str) -> Delivery | None:
        """A delivery of a subscription."""
        ...

    async def deliveries(
        self, subscription: str, *, state: DeliveryState | None, after: str | None, limit: int
    ) -> Sequence[Delivery]:
        """The deliveries of a subscription from the newest on, those older than the one with id `after`."""
        ...

    async def failed_since(self, subscription: str, since: datetime, limit: int) -> Sequence[Delivery]:
        """Deliveries that failed at `since` or later, the earliest failure first."""
        ...

    async def update_delivery(self, id: str, change: Change[Delivery]) -> Delivery:
        """Changes a delivery; raises `AggregateMissing`."""
        ...

    async def hasten(self, subscription: str) -> None:
        """Makes what waits for a subscription due now."""
        ...

    async def pending(self) -> int:
        """How many deliveries wait for an attempt."""
        ...

    async def disabled(self) -> int:
        """How many subscriptions are switched off."""
        ...

    async def failing(self) -> int:
        """How many live subscriptions have an endpoint that did not take the last attempt."""
        ...

    async def overdue(self, age: timedelta) -> int:
        """How many deliveries have been due for an attempt for longer than that."""
        ...


class MongoStore:
    """Notify's collections in its own database."""

    def __init__(self, database: Database, *, relay: Relay, clock: Clock, ids: Ids) -> None:
        self._sponsors = database["sponsors"]
        self._events = database["events"]
        self._subscriptions = Aggregates(
            database, "subscriptions", Subscription, source=SOURCE, relay=relay, clock=clock, ids=ids
        )
        self._deliveries = Aggregates(
            database, "deliveries", Delivery, source=SOURCE, relay=relay, clock=clock, ids=ids
        )
        self._clock = DatabaseClock(lambda: database_now(database.client))
        self._known: dict[str, str] = {}

    async def prepare(self) -> None:
        """Creates the indexes."""
        await self._subscriptions.prepare()
        await self._deliveries.prepare()
        pending = {"state.state": DeliveryState.PENDING.value}
        with translated():
            await self._subscriptions.collection.create_index("state.owner")
            await self._subscriptions.collection.create_index(
                "state.deleted_at", expireAfterSeconds=int(DELIVERIES_KEPT.total_seconds())
            )
            deliveries = self._deliveries.collection
            await deliveries.create_index(
                [("state.due_at", 1), ("state.turn", 1), ("state.lane", 1), ("_id", 1)],
                partialFilterExpression={"state.due_at": {"$gt": _BEFORE_ALL}},
            )
            await deliveries.create_index([("state.lane", 1)], partialFilterExpression=pending)
            await deliveries.create_index([("state.subscription", 1), ("_id", -1)])
            await deliveries.create_index([("state.subscription", 1), ("state.state", 1), ("state.finished_at", 1)])
            await deliveries.create_index("state.created_at", expireAfterSeconds=int(DELIVERIES_KEPT.total_seconds()))
            await self._events.create_index([("owner", 1), ("at", 1)])
            await self._events.create_index([("subject", 1), ("type", 1)])
            await self._events.create_index("at", expireAfterSeconds=int(EVENTS_KEPT.total_seconds()))

    async def now(self) -> datetime:
        """The present moment by the database's clock."""
        return await self._clock.now()

    async def learn_sponsor(self, challenge: str, sponsor: str) -> None:
        """See `Store`."""
        with translated():
            await self._sponsors.update_one({"_id": challenge}, {"$setOnInsert": {"sponsor": sponsor}}, upsert=True)

    async def sponsor_of(self, challenge: str) -> str | None:
        """See `Store`. Remembered in the process too: it never changes."""
        if challenge not in self._known:
            with translated():
                document = await self._sponsors.find_one({"_id": challenge})
            if document is None:
                return None
            self._known[challenge] = document["sponsor"]
        return self._known[challenge]

    async def add_subscription(self, state: Subscription) -> None:
        """See `Store`."""
        await self._subscriptions.add(state.id, state)

    async def subscription(self, id: str, owner: str | None = None) -> Subscription | None:
        """See `Store`."""
        found = await self._subscriptions.find(id)
        return found if found is not None and _visible(found, owner) else None

    async def subscriptions(self, owner: str) -> Sequence[Subscription]:
        """See `Store`."""
        return await self._subscriptions.query({"state.owner": owner, "state.deleted_at": None}, limit=1000)

    async def update_subscription(self, id: str, change: Change[Subscription]) -> Subscription:
        """See `Store`."""
        return await self._subscriptions.update(id, change)

    async def keep_event(self, event: KeptEvent) -> None:
        """See `Store`."""
        kept: Document = {
            "owner": event.owner,
            "challenge": event.challenge,
            "type": event.type,
            "at": event.at,
            "body": event.body,
            "subject": event.subject,
        }
        with translated():
            await self._events.update_one({"_id": event.id}, {"$setOnInsert": kept}, upsert=True)

    async def event(self, id: str) -> KeptEvent | None:
        """See `Store`."""
        with translated():
            document = await self._events.find_one({"_id": id})
        return None if document is None else _kept(document)

    async def said_before(self, event: KeptEvent) -> bool:
        """See `Store`."""
        same = {"subject": event.subject, "type": event.type, "_id": {"$ne": event.id}}
        with translated():
            return await self._events.find_one(same, {"_id": 1}) is not None

    async def events(
        self, owner: str, since: datetime, until: datetime, after: EventPlace | None, limit: int
    ) -> Sequence[KeptEvent]:
        """See `Store`."""
        within: Document = {"owner": owner, "at": {"$gte": since, "$lt": until}}
        if after is not None:
            at, id = after
            within["$or"] = [{"at": {"$gt": at}}, {"at": at, "_id": {"$gt": id}}]
            within["at"]["$gte"] = max(since, at)
        with translated():
            cursor = self._events.find(within).sort([("at", 1), ("_id", 1)]).limit(limit)
            return [_kept(document) async for document in cursor]

    async def queue(self, delivery: Delivery) -> bool:
        """See `Store`."""
        unfinished = {"state.lane": delivery.lane, "state.state": DeliveryState.PENDING.value}
        with translated():
            turn = await self._deliveries.collection.count_documents(unfinished, limit=_LONGEST_TURN)
        return await self._deliveries.add_new(delivery.id, delivery.model_copy(update={"turn": turn}))

    async def claim(self, busy: Collection[str], limit: int, lease: timedelta) -> Sequence[Delivery]:
        """See `Store`."""
        due: Document = {
            "state.due_at": {"$gt": _BEFORE_ALL, "$lte": await self.now()},
            "state.lane": {"$nin": list(busy)},
        }
        # The first of each lane: one with thousands due is one row here, not thousands. The index holds all of it.
        first = {"$min": {"turn": "$state.turn", "due_at": "$state.due_at", "id": "$_id"}}
        first_of_each_lane: list[Document] = [
            {"$match": due},
            {"$group": {"_id": "$state.lane", "first": first}},
            {"$sort": {"first.turn": 1}},
            {"$limit": limit},
        ]
        with translated():
            ids = [row["first"]["id"] async for row in self._deliveries.collection.aggregate(first_of_each_lane)]
        claimed = [await self._claim(id, lease) for id in ids]
        return [delivery for delivery in claimed if delivery is not None]

    async def _claim(self, id: str, lease: timedelta) -> Delivery | None:
        still_due: Document = {
            "_id": id,
            "state.state": DeliveryState.PENDING.value,
            "$expr": {"$lte": ["$state.due_at", "$$NOW"]},
        }
        change = {
            "state.due_at": {"$add": ["$$NOW", int(lease.total_seconds() * 1000)]},
            "state.sending": True,
            "state.claims": {"$add": ["$state.claims", 1]},
            "state.tried": {"$add": ["$state.tried", 1]},
            "version": {"$add": ["$version", 1]},
        }
        with translated():
            document: Document | None = await self._deliveries.collection.find_one_and_update(
                still_due, [{"$set": change}], return_document=AFTER
            )
        return None if document is None else self._deliveries.read(document)

    async def delivery(self, id: str, subscription: str) -> Delivery | None:
        """See `Store`."""
        found = await self._deliveries.find(id)
        return found if found is not None and found.subscription == subscription else None

    async def deliveries(
        self, subscription: str, *, state: DeliveryState | None, after: str | None, limit: int
    ) -> Sequence[Delivery]:
        """See `Store`."""
        query: Document = {"state.subscription": subscription}
        if state is not None:
            query["state.state"] = state.value
        if after is not None:
            query["_id"] = {"$lt": after}
        return await self._deliveries.query(query, sort=[("_id", -1)], limit=limit)

    async def failed_since(self, subscription: str, since: datetime, limit: int) -> Sequence[Delivery]:
        """See `Store`."""
        query: Document = {
            "state.subscription": subscription,
            "state.state": DeliveryState.FAILED.value,
            "state.finished_at": {"$gte": since},
        }
        return await self._deliveries.query(query, sort=[("state.finished_at", 1)], limit=limit)

    async def update_delivery(self, id: str, change: Change[Delivery]) -> Delivery:
        """See `Store`."""
        return await self._deliveries.update(id, change)

    async def hasten(self, subscription: str) -> None:
        """See `Store`."""
        waiting: Document = {
            "state.subscription": subscription,
            "state.state": DeliveryState.PENDING.value,
            "state.sending": False,
        }
        with translated():
            await self._deliveries.collection.update_many(
                waiting, {"$currentDate": {"state.due_at": True}, "$inc": {"version": 1}}
            )

    async def pending(self) -> int:
        """See `Store`."""
        with translated():
            return int(await self._deliveries.collection.count_documents({"state.state": DeliveryState.PENDING.value}))

    async def disabled(self) -> int:
        """See `Store`."""
        with translated():
            return int(
                await self._subscriptions.collection.count_documents(
                    {"state.stopped": SubscriptionState.DISABLED.value}
                )
            )

    async def failing(self) -> int:
        """See `Store`."""
        failing = {"state.stopped": None, "state.deleted_at": None, "state.health.last_failure": {"$ne": None}}
        with translated():
            return int(await self._subscriptions.collection.count_documents(failing))

    async def overdue(self, age: timedelta) -> int:
        """See `Store`."""
        overdue = {"state.due_at": {"$gt": _BEFORE_ALL, "$lte": await self.now() - age}}
        with translated():
            return int(await self._deliveries.collection.count_documents(overdue))


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
        return found if found is not None and _visible(found, owner) else None

    async def subscriptions(self, owner: str) -> Sequence[Subscription]:
        """See `Store`."""
        return [
            self._subscriptions[id] for id in sorted(self._subscriptions) if _visible(self._subscriptions[id], owner)
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
        self._deliveries[delivery.id] = delivery.model_copy(update={"turn": min(len(pending), _LONGEST_TURN)})
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


def _visible(subscription: Subscription, owner: str | None) -> bool:
    return subscription.deleted_at is None and owner in (None, subscription.owner)


def _kept(document: Document) -> KeptEvent:
    return KeptEvent(
        id=document["_id"],
        owner=document["owner"],
        challenge=document["challenge"],
        type=document["type"],
        at=document["at"],
        body=document["body"],
        subject=document.get("subject", ""),
    )
