"""The memory of ingest in MongoDB: aggregates with their outboxes, and projections of the board's events."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import TypeAdapter
from pymongo import ASCENDING, DESCENDING, ReturnDocument

from services.ingest.challenge import Challenge
from services.ingest.pace import SAMPLE, STAGE_ENDS, Pace
from services.ingest.quota import Entry, EntryState, Ledger
from services.ingest.store import Attempts, KeyTaken, Missing, Preflight, SubmissionChange, Unsubmitted, visible
from services.ingest.submission import WAITING, Stage, Submission, SubmissionState
from services.ingest.upload import UNENDED, Part, Upload, UploadState
from shared.auth import Principal
from shared.contracts.envelope import Event, Fact
from shared.database_clock import DatabaseClock
from shared.mongo import (
    AggregateMissing,
    Aggregates,
    Collection,
    Database,
    Document,
    DuplicateId,
    translated,
)
from shared.remembered import Remembered

PACE_KEPT = 5.0


class MongoUploads:
    """The uploads, one document each; they emit no events."""

    def __init__(self, uploads: Aggregates[Upload], moments: DatabaseClock) -> None:
        self._moments = moments
        self._uploads = uploads
        self._upload: TypeAdapter[Upload] = TypeAdapter(Upload)
        self._collection = self._uploads.collection

    async def prepare(self) -> None:
        """Create the indexes."""
        with translated():
            await self._collection.create_index(
                "state.key", unique=True, partialFilterExpression={"state.key": {"$type": "string"}}
            )
            await self._collection.create_index(
                [("state.state", ASCENDING), ("state.kept", ASCENDING), ("state.touched_at", ASCENDING)]
            )
            await self._collection.create_index(
                [("state.team", ASCENDING), ("state.state", ASCENDING)],
                partialFilterExpression={"state.kept": False},
                name="unsubmitted",
            )
            await self._collection.create_index(
                "state.state_at", partialFilterExpression={"state.collected": False}, name="uncollected"
            )

    async def add(self, upload: Upload) -> Upload:
        """See `store.Uploads`."""
        if await self._uploads.add_new(upload.id, upload):
            return upload
        found = await self.made_by(upload.key) if upload.key is not None else None
        if found is None:
            raise Missing("upload", upload.id)
        return found

    async def made_by(self, key: str) -> Upload | None:
        """See `store.Uploads`."""
        found = await self._uploads.query({"state.key": key}, limit=1)
        return found[0] if found else None

    async def load(self, id: str, reader: Principal | None) -> Upload:
        """See `store.Uploads`."""
        upload = await self._uploads.find(id)
        if upload is None or not visible(upload.team, reader):
            raise Missing("upload", id)
        return upload

    async def append(self, upload: Upload, parts: tuple[Part, ...]) -> Upload:
        """See `store.Uploads`; one guarded write, whose own moment is the one that counts."""
        reached = upload.offset + sum(part.size for part in parts)
        change: Document = {
            "state.offset": reached,
            "state.parts": {
                "$concatArrays": ["$state.parts", [{"name": part.name, "size": part.size} for part in parts]]
            },
            "state.touched_at": "$$NOW",
            "version": {"$add": ["$version", 1]},
        }
        if reached == upload.length:
            change |= {
                "state.state": UploadState.VERIFYING.value,
                "state.completed_at": "$$NOW",
                "state.state_at": "$$NOW",
            }
        guard = {"_id": upload.id, "state.offset": upload.offset, "state.state": UploadState.RECEIVING.value}
        # The rule itself says what is wrong with bytes beyond the length or after the end.
        upload.append(upload.offset, parts, upload.touched_at)
        with translated():
            written: Document | None = await self._collection.find_one_and_update(
                guard, [{"$set": change}], projection={"state": 1}, return_document=ReturnDocument.AFTER
            )
        if written is not None:
            return self._uploads.read(written)
        (await self.load(upload.id, None)).expect(upload.offset)
        raise AssertionError("the guard and the rule disagree")

    async def update(self, id: str, change: Callable[[Upload, datetime], Upload]) -> Upload:
        """See `store.Uploads`."""
        now = await self._moments.now()
        try:
            return await self._uploads.update(id, lambda upload: (change(upload, now), ()))
        except AggregateMissing as error:
            raise Missing("upload", id) from error

    async def replace(self, upload: Upload, change: Callable[[Upload, datetime], Upload]) -> Upload:
        """See `store.Uploads`; whatever changes an upload changes one of the four fields of the guard."""
        changed = change(upload, await self._moments.now())
        guard = {
            "_id": upload.id,
            "state.state": upload.state.value,
            "state.offset": upload.offset,
            "state.kept": upload.kept,
            "state.collected": upload.collected,
        }
        with translated():
            written = await self._collection.update_one(
                guard, {"$set": {"state": self._upload.dump_python(changed)}, "$inc": {"version": 1}}
            )
        return changed if written.matched_count else await self.update(upload.id, change)

    async def unsubmitted(self, team: str) -> list[Unsubmitted]:
        """See `store.Uploads`."""
        whole = {"state.collected": False, "$expr": {"$eq": ["$state.offset", "$state.length"]}}
        holding = {
            "state.team": team,
            "state.kept": False,
            "$or": [
                {"state.state": {"$in": [state.value for state in UNENDED]}},
                {"state.state": UploadState.EXPIRED.value, **whole},
            ],
        }
        with translated():
            found = self._collection.find(holding, {"state.length": 1, "state.state": 1})
            return [
                Unsubmitted(one["_id"], one["state"]["length"], one["state"]["state"] not in UNENDED)
                async for one in found
            ]

    async def keep(self, ids: Iterable[str]) -> None:
        """See `store.Uploads`."""
        unkept = {"_id": {"$in": list(ids)}, "state.kept": False}
        with translated():
            await self._collection.update_many(unkept, {"$set": {"state.kept": True}, "$inc": {"version": 1}})

    async def verifying_since(self, age: timedelta) -> list[str]:
        """See `store.Uploads`."""
        return await self._untouched([UploadState.VERIFYING], age)

    async def untouched_for(self, age: timedelta) -> list[str]:
        """See `store.Uploads`."""
        return await self._untouched([UploadState.RECEIVING, UploadState.VERIFIED], age)

    async def uncollected(self, age: timedelta) -> list[Upload]:
        """See `store.Uploads`."""
        before = await self._moments.now() - age
        states = [UploadState.REFUSED.value, UploadState.EXPIRED.value]
        return await self._uploads.query(
            {"state.collected": False, "state.state": {"$in": states}, "state.state_at": {"$lte": before}},
            sort=[("state.state_at", ASCENDING)],
        )

    async def _untouched(self, states: Sequence[UploadState], age: timedelta) -> list[str]:
        wanted = {
            "state.state": {"$in": [state.value for state in states]},
            "state.kept": False,
            "state.touched_at": {"$lte": await self._moments.now() - age},
        }
        with translated():
            return [found["_id"] async for found in self._collection.find(wanted, {"_id": 1}).limit(200)]


class MongoSubmissions:
    """The submissions, each document with its outbox."""

    def __init__(self, submissions: Aggregates[Submission], moments: DatabaseClock) -> None:
        self._moments = moments
        self._submissions = submissions
        self._collection = self._submissions.collection
        self._pace: dict[Stage, tuple[float, Pace]] = {}

    async def prepare(self) -> None:
        """Create the indexes."""
        with translated():
            await self._collection.create_index("state.key", unique=True)
            await self._collection.create_index([("state.team", ASCENDING), ("_id", DESCENDING)])
            await self._collection.create_index([("state.state", ASCENDING), ("state.received_at", ASCENDING)])
            await self._collection.create_index("state.upload")
            await self._collection.create_index(
                "state.deadline_at", partialFilterExpression={"state.deadline_at": {"$type": "date"}}
            )
            await self._collection.create_index(
                "state.refund_due", partialFilterExpression={"state.refund_due": True}, name="owed_refunds"
            )

    async def now(self) -> datetime:
        """See `store.Submissions`."""
        return await self._moments.now()

    async def add(self, submission: Submission, facts: Sequence[Fact]) -> Submission:
        """See `store.Submissions`."""
        if await self._submissions.add_new(submission.id, submission, facts):
            return submission
        existing = await self.made_by(submission.key)
        if existing is None:
            raise Missing("submission", submission.id)
        raise KeyTaken(existing)

    async def load(self, id: str, reader: Principal | None) -> Submission:
        """See `store.Submissions`."""
        submission = await self._submissions.find(id)
        if submission is None or not visible(submission.team, reader):
            raise Missing("submission", id)
        return submission

    async def made_by(self, key: str) -> Submission | None:
        """See `store.Submissions`."""
        found = await self._submissions.query({"state.key": key}, limit=1)
        return found[0] if found else None

    async def update(self, id: str, change: SubmissionChange, cause: Event[Fact] | None = None) -> Submission:
        """See `store.Submissions`."""
        now = await self._moments.now()
        try:
            return await self._submissions.update(id, lambda submission: change(submission, now), cause=cause)
        except AggregateMissing as error:
            raise Missing("submission", id) from error

    async def page(self, team: str, challenge: str | None, after: str | None, limit: int) -> list[Submission]:
        """See `store.Submissions`."""
        wanted: Document = {"state.team": team}
        if challenge is not None:
            wanted["state.challenge"] = challenge
        if after is not None:
            wanted["_id"] = {"$lt": after}
        return await self._submissions.query(wanted, sort=[("_id", DESCENDING)], limit=limit)

    async def overdue(self, limit: int) -> list[str]:
        """See `store.Submissions`."""
        now = await self._moments.now()
        wanted = {"state.deadline_at": {"$lte": now}}
        with translated():
            cursor = self._collection.find(wanted, {"_id": 1}).sort("state.deadline_at", ASCENDING).limit(limit)
            return [found["_id"] async for found in cursor]

    async def received_before(self, age: timedelta, limit: int) -> list[Submission]:
        """See `store.Submissions`."""
        before = await self._moments.now() - age
        return await self._submissions.query(
            {"state.state": SubmissionState.RECEIVED.value, "state.created_at": {"$lte": before}},
            sort=[("state.received_at", ASCENDING)],
            limit=limit,
        )

    async def owed_refunds(self, limit: int) -> list[str]:
        """See `store.Submissions`."""
        with translated():
            cursor = self._collection.find({"state.refund_due": True}, {"_id": 1}).limit(limit)
            return [found["_id"] async for found in cursor]

    async def ahead_of(self, submission: Submission) -> int:
        """See `store.Submissions`."""
        with translated():
            return await self._collection.count_documents(
                {"state.state": submission.state.value, "state.received_at": {"$lt": submission.received_at}}
            )

    async def pace(self, stage: Stage) -> Pace:
        """See `store.Submissions`; remembered for some seconds, since everybody in the queue asks."""
        at, pace = self._pace.get(stage, (-PACE_KEPT, Pace()))
        if time.monotonic() - at < PACE_KEPT:
            return pace
        pace = await self._measure(stage)
        self._pace[stage] = (time.monotonic(), pace)
        return pace

    async def _measure(self, stage: Stage) -> Pace:
        ends = [state.value for state in STAGE_ENDS[stage]]
        recent = {"state.timeline.state": {"$in": ends}}
        return Pace.of(stage, await self._submissions.query(recent, sort=[("_id", DESCENDING)], limit=SAMPLE))

    async def oldest(self, state: SubmissionState) -> timedelta | None:
        """See `store.Submissions`."""
        found = await self._submissions.query(
            {"state.state": state.value}, sort=[("state.received_at", ASCENDING)], limit=1
        )
        return await self._moments.now() - found[0].received_at if found else None

    async def accounted(self, forgotten: timedelta) -> int:
        """See `store.Submissions`."""
        late = await self._moments.now() - forgotten
        waiting = {"state.state": {"$in": [state.value for state in WAITING]}}
        lost = waiting | {"$nor": [{"state.deadline_at": {"$gt": late}}]}
        with translated():
            # Those that wait are few. All are counted first: what is added meanwhile is no loss then.
            everything = await self._collection.count_documents({}, hint="_id_")
            return everything - int(await self._collection.count_documents(lost))

    async def uses(self, upload: str) -> bool:
        """See `store.Submissions`."""
        with translated():
            return await self._collection.find_one({"state.upload": upload}, {"_id": 1}) is not None

    async def submitted(self, uploads: Iterable[str]) -> set[str]:
        """See `store.Submissions`."""
        with translated():
            return set(await self._collection.distinct("state.upload", {"state.upload": {"$in": list(uploads)}}))


class MongoLedgers:
    """The quota ledgers, one document per team and challenge."""

    def __init__(self, ledgers: Aggregates[Ledger], moments: DatabaseClock) -> None:
        self._moments = moments
        self._ledgers = ledgers

    async def prepare(self) -> None:
        """Create the indexes."""
        with translated():
            await self._ledgers.collection.create_index(
                "state.held_since", partialFilterExpression={"state.held_since": {"$type": "date"}}
            )

    async def load(self, team: str, challenge: str) -> Ledger:
        """See `store.Ledgers`."""
        return await self._ledgers.find(_ledger_id(team, challenge)) or Ledger(team, challenge)

    async def update(self, team: str, challenge: str, change: Callable[[Ledger], Ledger]) -> Ledger:
        """See `store.Ledgers`."""
        return await self._ledgers.update(
            _ledger_id(team, challenge),
            lambda ledger: (change(ledger), ()),
            initial=lambda: Ledger(team, challenge),
        )

    async def orphans(self, age: timedelta, limit: int) -> Mapping[tuple[str, str], dict[str, Entry]]:
        """See `store.Ledgers`."""
        before = await self._moments.now() - age
        ledgers = await self._ledgers.query(
            {"state.held_since": {"$lt": before}}, sort=[("state.held_since", ASCENDING)], limit=limit
        )
        return {(ledger.team, ledger.challenge): ledger.orphans(before) for ledger in ledgers}

    async def attempts(self) -> Attempts:
        """See `store.Ledgers`."""
        is_held = {"$eq": ["$$this.v.state", EntryState.RESERVED.value]}
        counted: list[Document] = [
            {
                "$project": {
                    "entries": {"$objectToArray": "$state.entries"},
                    "folded": {"$sum": {"$map": {"input": {"$objectToArray": "$state.folded"}, "in": "$$this.v"}}},
                }
            },
            {
                "$group": {
                    "_id": None,
                    "entries": {"$sum": {"$size": "$entries"}},
                    "held": {"$sum": {"$size": {"$filter": {"input": "$entries", "cond": is_held}}}},
                    "folded": {"$sum": "$folded"},
                }
            },
        ]
        with translated():
            async for row in self._ledgers.collection.aggregate(counted):
                return Attempts(used=row["folded"] + row["entries"] - row["held"], held=row["held"])
        return Attempts(0, 0)


def _ledger_id(team: str, challenge: str) -> str:
    return f"{team}:{challenge}"


class MongoBoard:
    """Projections of the board's events; each event carries the whole new state, so only the newest counts."""

    def __init__(self, database: Database) -> None:
        self._challenges: Collection = database["challenges"]
        self._registrations: Collection = database["registrations"]
        self._challenge: TypeAdapter[Challenge] = TypeAdapter(Challenge)
        # Both lag behind the board by themselves; a second more is nothing to them.
        self._known: Remembered[str, Challenge] = Remembered(timedelta(seconds=1), most=1_000)
        self._registered: Remembered[str, bool] = Remembered(timedelta(minutes=1))

    async def prepare(self) -> None:
        """Nothing to create: both collections are read by `_id` alone."""

    async def put_challenge(self, challenge: Challenge, sequence: int) -> None:
        """See `store.Board`."""
        document: dict[str, Any] = {"sequence": sequence, "state": self._challenge.dump_python(challenge)}
        guard = {"_id": challenge.id, "sequence": {"$lt": sequence}}
        self._known.forget(challenge.id)
        try:
            with translated():
                await self._challenges.find_one_and_update(guard, {"$set": document}, upsert=True)
        except DuplicateId:
            return  # the document is there and the guard did not hold: what is kept is as new or newer

    async def challenge(self, id: str) -> Challenge:
        """See `store.Board`."""
        found = await self._known.get(id, lambda: self._find_challenge(id))
        if found is None:
            raise Missing("challenge", id)
        return found

    async def _find_challenge(self, id: str) -> Challenge | None:
        with translated():
            document = await self._challenges.find_one({"_id": id}, {"state": 1})
        return None if document is None else self._challenge.validate_python(document["state"])

    async def put_registration(self, team: str, challenge: str) -> None:
        """See `store.Board`."""
        document = {"_id": _ledger_id(team, challenge), "team": team, "challenge": challenge}
        try:
            with translated():
                await self._registrations.insert_one(document)
        except DuplicateId:
            return

    async def is_registered(self, team: str, challenge: str) -> bool:
        """See `store.Board`."""
        id = _ledger_id(team, challenge)
        return await self._registered.get(id, lambda: self._find_registration(id)) is not None

    async def _find_registration(self, id: str) -> bool | None:
        with translated():
            return True if await self._registrations.find_one({"_id": id}, {"_id": 1}) else None


class MongoPreflights:
    """The answers of free checks, forgotten after a month."""

    def __init__(self, database: Database) -> None:
        self._preflights: Collection = database["preflights"]
        self._preflight: TypeAdapter[Preflight] = TypeAdapter(Preflight)

    async def prepare(self) -> None:
        """Create the index that forgets."""
        with translated():
            await self._preflights.create_index("at", expireAfterSeconds=30 * 86_400)

    async def begin(self, preflight: Preflight) -> Preflight:
        """See `store.Preflights`."""
        document = {"state": self._preflight.dump_python(preflight)}
        try:
            with translated():
                await self._preflights.update_one(
                    {"_id": preflight.id, "at": {"$exists": False}},
                    {"$setOnInsert": document, "$currentDate": {"at": True}},
                    upsert=True,
                )
        except DuplicateId:
            return await self.load(preflight.id, None)
        return preflight

    async def load(self, id: str, reader: Principal | None) -> Preflight:
        """See `store.Preflights`."""
        with translated():
            document = await self._preflights.find_one({"_id": id}, {"state": 1})
        preflight = None if document is None else self._preflight.validate_python(document["state"])
        if preflight is None or not visible(preflight.team, reader):
            raise Missing("preflight", id)
        return preflight

    async def answer(self, preflight: Preflight) -> None:
        """See `store.Preflights`; every answer to one question is the same, so the last one may win."""
        with translated():
            await self._preflights.update_one(
                {"_id": preflight.id, "state.team": preflight.team},
                {"$set": {"state": self._preflight.dump_python(preflight)}},
            )
