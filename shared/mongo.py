"""MongoDB: the connection, its errors by name, and aggregates written with their events in one guarded update.

Besides the `store.py` files this is the only place that imports the driver (ADR 3).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from bson.errors import InvalidDocument
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection, AsyncIOMotorDatabase
from pydantic import TypeAdapter
from pymongo import ReturnDocument, UpdateOne, WriteConcern
from pymongo.errors import (
    ConfigurationError,
    DocumentTooLarge,
    DuplicateKeyError,
    InvalidOperation,
    PyMongoError,
    WriteError,
)
from pymongo.read_concern import ReadConcern

from shared import metrics, tracing
from shared.clock import Clock
from shared.codec import MAX_EVENT_BYTES
from shared.contracts.envelope import Event, Fact
from shared.contracts.registry import event_class
from shared.failures import DependencyDown, PermanentError, TransientError
from shared.ids import Ids
from shared.logs import get_logger
from shared.outbox import OutboxEntry, Pending, Relay
from shared.settings import Settings, SettingsError

log = get_logger(__name__)

Document = dict[str, Any]
Client = AsyncIOMotorClient[Document]
Database = AsyncIOMotorDatabase[Document]
Collection = AsyncIOMotorCollection[Document]

State = TypeVar("State")
Change = Callable[[State], tuple[State, Sequence[Fact]]]
"""A pure change of an aggregate: the state it had → the state it gets and the facts of the change."""

AFTER = ReturnDocument.AFTER
"""For `find_one_and_update`: return the document as it became."""

INBOX_KEPT = 64
LONGEST_CONFLICT = 20.0

# Marking an event as published may be lost (it is published again then), so it does not wait for the journal.
_MARKED = WriteConcern(w=1, j=False)


class DuplicateId(PermanentError):
    """A unique index has this already: an answer to whoever inserts, rather than a failure."""


class AggregateMissing(PermanentError):
    """There is no aggregate with this id."""

    def __init__(self, collection: str, id: str) -> None:
        super().__init__(f"no {id} in {collection}")
        self.id = id


class AggregateExists(PermanentError):
    """There is an aggregate with this id already."""

    def __init__(self, collection: str, id: str) -> None:
        super().__init__(f"{id} is in {collection} already")
        self.id = id


def client(settings: Settings) -> Client:
    """A client of the platform's database; connects when it is first used.

    Writes are acknowledged by a majority and its journals, reads are of what a majority has.

    Raises:
        SettingsError: the address is none, or names a file that cannot be used.
    """
    try:
        return AsyncIOMotorClient(
            settings.mongo_uri,
            tz_aware=True,
            w="majority",
            readConcernLevel="majority",
            retryWrites=True,
            retryReads=True,
            serverSelectionTimeoutMS=3_000,
            connectTimeoutMS=2_000,
            socketTimeoutMS=10_000,
            waitQueueTimeoutMS=5_000,
            maxPoolSize=64,
            appname=f"jiebang-{settings.process or 'tool'}",
        )
    except (PyMongoError, ValueError, OSError) as error:
        # The driver's words quote no part of the address that may be secret.
        raise SettingsError(f"JIEBANG_MONGO_URI: {error}") from None


def database(connection: Client, settings: Settings, service: str) -> Database:
    """A service's own database."""
    return connection[f"{settings.mongo_database_prefix}_{service}"]


async def ping(connection: Client) -> None:
    """Ask the database for a sign of life.

    Raises:
        DependencyDown: it gave none.
    """
    with translated():
        await connection.admin.command("ping")


async def database_now(connection: Client) -> datetime:
    """The present moment by the database's clock, which judges leases, deadlines and the ends of phases."""
    with translated():
        # A command is read with the driver's own defaults, not the client's: without these the moment is naive.
        hello = await connection.admin.command("hello", codec_options=connection.codec_options)
    moment: datetime = hello["localTime"]
    return moment


@contextmanager
def translated() -> Iterator[None]:
    """Turn what the driver raises into errors with a name; around every use of the driver.

    Raises:
        DuplicateId: a unique index has it already.
        DependencyDown: the database is away or cannot confirm.
        PermanentError: this can never be stored.
        TransientError: it refused for another reason.
    """
    try:
        yield
    except DuplicateKeyError as error:
        raise DuplicateId(str(error)) from error
    except (DocumentTooLarge, InvalidDocument, InvalidOperation, ConfigurationError, OverflowError) as error:
        raise PermanentError(repr(error)) from error
    except WriteError as error:
        raise PermanentError(f"{error.code}: {error}") from error
    except PyMongoError as error:
        if getattr(error, "code", None) in _REFUSALS:
            raise TransientError(repr(error)) from error
        raise DependencyDown("mongodb", f"{type(error).__name__}: {error}"[:300]) from error


# Answers of a database that is well: bad value, type mismatch, failed to parse, unknown command, index conflicts.
_REFUSALS = frozenset({2, 9, 14, 40, 59, 85, 86, 168})


@dataclass(frozen=True, slots=True)
class Versioned(Generic[State]):
    """An aggregate's state with the version it was read at (an ETag, if you like)."""

    state: State
    version: int


class Aggregates(Generic[State]):
    """The aggregates of one kind in one collection, each a document with its state, its version and its outbox.

    `{_id, state, version, subject, sequence, inbox: [cause…], outbox: [event…], outbox_since}`: state and events are
    written together by one guarded update, so that neither can be there without the other.
    """

    def __init__(
        self,
        database: Database,
        collection: str,
        state: type[State],
        *,
        source: str,
        relay: Relay,
        clock: Clock,
        ids: Ids,
    ) -> None:
        self.collection: Collection = database[collection]
        self._marks: Collection = self.collection.with_options(write_concern=_MARKED)
        self._snapshots: Collection = self.collection.with_options(read_concern=ReadConcern("local"))
        self._adapter: TypeAdapter[State] = TypeAdapter(state)
        self._source = source
        self._relay = relay
        self._clock = clock
        self._ids = ids
        relay.watch(self)
        for counter in (metrics.DUPLICATES, metrics.WRITE_CONFLICTS):
            metrics.begin_at_zero(counter, [self.name])

    @property
    def name(self) -> str:
        """The name of the collection."""
        return self.collection.name

    async def prepare(self) -> None:
        """Create the indexes that the mechanism needs; the store's own come from the store."""
        with translated():
            await self.collection.create_index("outbox_since", sparse=True)

    # --- reading

    def read(self, document: Mapping[str, Any]) -> State:
        """The state in a stored document."""
        return self._adapter.validate_python(document["state"])

    async def find(self, id: str) -> State | None:
        """The aggregate with this id, or None."""
        found = await self.versioned(id)
        return None if found is None else found.state

    async def load(self, id: str) -> State:
        """The aggregate with this id.

        Raises:
            AggregateMissing: there is none.
        """
        found = await self.versioned(id)
        if found is None:
            raise AggregateMissing(self.name, id)
        return found.state

    async def versioned(self, id: str) -> Versioned[State] | None:
        """The aggregate with this id and its version, or None."""
        with translated():
            document = await self.collection.find_one({"_id": id}, {"state": 1, "version": 1})
        return None if document is None else Versioned(self.read(document), document["version"])

    async def query(
        self,
        filter: Mapping[str, Any],
        *,
        sort: Sequence[tuple[str, int]] = (("_id", 1),),
        limit: int = 100,
    ) -> list[State]:
        """The aggregates that a filter (on `state.…`) selects; for `store.py` files, which name the intent."""
        with translated():
            cursor = self.collection.find(filter, {"state": 1}).sort(list(sort)).limit(limit)
            return [self.read(document) async for document in cursor]

    # --- writing

    async def add(self, id: str, state: State, facts: Sequence[Fact] = (), *, cause: Event[Any] | None = None) -> None:
        """Store a new aggregate with its facts.

        Raises:
            AggregateExists: the id is taken; nothing was stored.
        """
        if not await self.add_new(id, state, facts, cause=cause):
            raise AggregateExists(self.name, id)

    async def add_new(
        self, id: str, state: State, facts: Sequence[Fact] = (), *, cause: Event[Any] | None = None
    ) -> bool:
        """Store a new aggregate with its facts unless the id is taken; True if it was stored.

        The way to give an effect to an event once: an id made from the event's, and a duplicate is nothing.
        """
        now = self._clock.now()
        entries = self._stamp(facts, 0, cause, now)
        document: Document = {
            "state": self._adapter.dump_python(state),
            "version": 1,
            "sequence": len(entries),
            "inbox": [cause.id] if cause is not None else [],
            "outbox": [entry.document() for entry in entries],
        }
        if facts:
            document["subject"] = _subject(facts, None)
        insert: Document = {"$setOnInsert": document}
        if entries:
            insert["$currentDate"] = {"outbox_since": True}
        try:
            with translated():
                # An insert, in the form that lets the database's clock say since when events wait: the filter
                # matches no document that is there, so an id that is taken is a duplicate key.
                await self.collection.update_one({"_id": id, "version": {"$exists": False}}, insert, upsert=True)
        except DuplicateId:
            metrics.DUPLICATES.labels(self.name).inc()
            return False
        self._relay.flush(self.name, id, entries)
        return True

    async def update(
        self,
        id: str,
        change: Change[State],
        *,
        cause: Event[Any] | None = None,
        initial: Callable[[], State] | None = None,
    ) -> State:
        """Change an aggregate: load it, apply the pure `change`, write state and events in one guarded update.

        If another writer was faster, `change` is applied again to what that one wrote; so it may run more than once
        and must not do anything but compute. A `cause` that has had its effect here before changes nothing. A change
        that returns an equal state and no facts writes nothing. With `initial`, a missing aggregate begins as that.

        Raises:
            AggregateMissing: there is none, and no `initial`.
            PermanentError: an event is larger than may be published; nothing was stored.
        """
        deadline = asyncio.get_running_loop().time() + LONGEST_CONFLICT
        attempt = 0
        while True:
            with translated():
                document = await self._snapshots.find_one({"_id": id}, {"outbox": 0, "outbox_since": 0})
            if document is None:
                if initial is None:
                    raise AggregateMissing(self.name, id)
                state, facts = change(initial())
                if await self.add_new(id, state, facts, cause=cause):
                    return state
                continue
            before = self.read(document)
            if cause is not None and cause.id in document["inbox"]:
                metrics.DUPLICATES.labels(self.name).inc()
                log.info("duplicate_dropped", collection=self.name, id=id, event_id=cause.id)
                await self._confirm(document, deadline)
                return before
            after, facts = change(before)
            if not facts and after == before:
                await self._confirm(document, deadline)
                return before
            if await self._write(document, after, facts, cause):
                return after
            metrics.WRITE_CONFLICTS.labels(self.name).inc()
            attempt += 1
            if asyncio.get_running_loop().time() > deadline:
                raise TransientError(f"{id} in {self.name} is written to by too many at once")
            await asyncio.sleep(random.uniform(0, min(0.002 * 2**attempt, 0.1)))

    async def _confirm(self, read: Document, deadline: float) -> None:
        """Wait until a majority has what was read: nothing is written to it that would wait for that.

        Whoever is told that an event has had its effect acknowledges it. A primary that dies may take an effect along
        that only it had, and the event would not come again.
        """
        while True:
            with translated():
                safe = await self.collection.find_one({"_id": read["_id"]}, {"version": 1})
            if safe is not None and safe["version"] >= read["version"]:
                return
            if asyncio.get_running_loop().time() > deadline:
                raise TransientError(f"{read['_id']} in {self.name} is not safe yet")
            await asyncio.sleep(0.01)

    async def _write(self, before: Document, after: State, facts: Sequence[Fact], cause: Event[Any] | None) -> bool:
        """The guarded write; False if the document is no longer the one that was read."""
        id = before["_id"]
        guard: Document = {"_id": id, "version": before["version"]}
        update: Document = {"$set": {"state": self._adapter.dump_python(after)}, "$inc": {"version": 1}}
        push: Document = {}
        if cause is not None:
            guard["inbox"] = {"$ne": cause.id}
            push["inbox"] = {"$each": [cause.id], "$slice": -INBOX_KEPT}
        if facts:
            now = self._clock.now()
            entries = self._stamp(facts, before["sequence"], cause, now)
            update["$set"]["subject"] = _subject(facts, before.get("subject"))
            # Always set, never only where it is missing: a relay may unset it between our read and our write.
            update["$currentDate"] = {"outbox_since": True}
            update["$inc"]["sequence"] = len(entries)
            push["outbox"] = {"$each": [entry.document() for entry in entries]}
        if push:
            update["$push"] = push
        with translated():
            written: Document | None = await self.collection.find_one_and_update(
                guard, update, projection={"outbox": 1}, return_document=AFTER
            )
        if written is None:
            return False
        if facts:
            self._relay.flush(self.name, id, [OutboxEntry.of(entry) for entry in written["outbox"]])
        return True

    async def remove(self, id: str) -> None:
        """Remove an aggregate whose events are all published, or do nothing."""
        with translated():
            await self.collection.delete_one({"_id": id, "outbox": []})

    def _stamp(
        self, facts: Sequence[Fact], sequence: int, cause: Event[Any] | None, now: datetime
    ) -> list[OutboxEntry]:
        traceparent = tracing.current_traceparent() or (cause.traceparent if cause is not None else None)
        entries = []
        for number, fact in enumerate(facts, start=sequence + 1):
            event = event_class(type(fact))(
                id=self._ids.new("evt"),
                source=self._source,
                type=fact.type,
                subject=fact.subject,
                time=now,
                sequence=number,
                partitionkey=fact.key,
                correlationid=fact.correlation,
                causationid=cause.id if cause is not None else None,
                traceparent=traceparent,
                data=fact,
            )
            body = event.encode()
            if len(body) > MAX_EVENT_BYTES:
                raise PermanentError(
                    f"{fact.type} of {fact.subject} has {len(body)} bytes, more than {MAX_EVENT_BYTES}"
                )
            entries.append(OutboxEntry(event.id, fact.topic, fact.key, body.decode(), now, traceparent))
        return entries

    # --- the outboxes, for the relay

    async def pending(self, grace: timedelta, limit: int) -> Sequence[Pending]:
        """Documents whose outbox has waited longer than `grace` by the database's clock, the longest first."""
        waited = {"$lt": ["$outbox_since", {"$subtract": ["$$NOW", int(grace.total_seconds() * 1000)]}]}
        query: Document = {"outbox_since": {"$exists": True}, "$expr": waited}
        with translated():
            cursor = self.collection.find(query, {"outbox": 1}).sort("outbox_since", 1).limit(limit)
            return [
                Pending(document["_id"], tuple(OutboxEntry.of(entry) for entry in document["outbox"]))
                async for document in cursor
            ]

    async def published(self, ids: dict[str, list[str]]) -> None:
        """Take published events out of their outboxes; `outbox_since` goes when nothing is left, in the same step."""
        operations = []
        for document_id, events in ids.items():
            left = {"$filter": {"input": "$outbox", "cond": {"$not": [{"$in": ["$$this.id", events]}]}}}
            since = {"$cond": [{"$eq": ["$outbox", []]}, "$$REMOVE", "$outbox_since"]}
            operations.append(
                UpdateOne({"_id": document_id}, [{"$set": {"outbox": left}}, {"$set": {"outbox_since": since}}])
            )
        with translated():
            await self._marks.bulk_write(operations, ordered=False)

    async def backlog(self) -> tuple[int, float]:
        """How many documents have unpublished events, and the age in seconds of the oldest of them."""
        with translated():
            count = await self.collection.count_documents({"outbox_since": {"$exists": True}})
            oldest = await self.collection.find_one(
                {"outbox_since": {"$exists": True}}, {"outbox.time": 1}, sort=[("outbox_since", 1)]
            )
        if not oldest or not oldest["outbox"]:
            return count, 0.0
        return count, max(0.0, (self._clock.now() - oldest["outbox"][0]["time"]).total_seconds())


def _subject(facts: Sequence[Fact], stored: str | None) -> str:
    """The one subject of a document's facts: their sequence is counted in the document."""
    subjects = {fact.subject for fact in facts} | ({stored} if stored is not None else set())
    if len(subjects) != 1:
        raise TypeError(f"facts of one document must share one subject, not {sorted(subjects)}")
    return subjects.pop()
