"""Notify's store on MongoDB."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta

from services.notify.delivery import Delivery, DeliveryState
from services.notify.store import LONGEST_TURN, Change, EventPlace, KeptEvent, visible
from services.notify.subscription import Subscription, SubscriptionState
from shared.clock import Clock
from shared.database_clock import DatabaseClock
from shared.ids import Ids
from shared.mongo import AFTER, Aggregates, Database, Document, database_now, translated
from shared.outbox import Relay

SOURCE = "/jiebang/notify"
EVENTS_KEPT = timedelta(days=30)
DELIVERIES_KEPT = timedelta(days=90)
_BEFORE_ALL = datetime.fromtimestamp(0, UTC)


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
        return found if found is not None and visible(found, owner) else None

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
            turn = await self._deliveries.collection.count_documents(unfinished, limit=LONGEST_TURN)
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
