"""Where leaderboards are kept: heads that are changed by compare-and-set, and one document per entry.

`MongoLeaderboards` and `MemoryLeaderboards` keep the same promises; one test suite runs over both.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any, Protocol

from pydantic import TypeAdapter
from pymongo import UpdateOne
from pymongo.errors import BulkWriteError

from services.ranking.challenge import Challenge, Phase
from services.ranking.leaderboard import Leaderboard
from services.ranking.projection import Record
from shared.contracts.envelope import Event, Fact
from shared.mongo import Aggregates, Collection, Database, DuplicateId, translated

_DUPLICATE_KEY = 11000


class Leaderboards(Protocol):
    """The boards of all phases."""

    async def head(self, challenge: str, phase: str) -> Leaderboard:
        """The head of a board; one without folds if nothing was ever folded."""
        ...

    async def heads(self) -> list[Leaderboard]:
        """The heads of all boards on which anything was folded."""
        ...

    async def advance(
        self, old: Leaderboard, new: Leaderboard, events: Sequence[Fact] = (), *, cause: Event[Any] | None = None
    ) -> bool:
        """Put `new` with its events in the place of `old`; False, and nothing done, if another was faster."""
        ...

    async def write(self, head: Leaderboard, records: Iterable[Record]) -> None:
        """Write entries of a head's generation; an entry that is newer than its record stays."""
        ...

    async def records(self, head: Leaderboard, *, after: int = -1) -> list[Record]:
        """The entries of a head's generation that a fold after `after` changed."""
        ...

    async def discard(self, head: Leaderboard) -> None:
        """Remove the entries of a head's generation, which no head points to."""
        ...


class _Overtaken(Exception):
    """The head is not the one that a fold was made for."""


class MongoLeaderboards:
    """Heads are aggregates (`shared.mongo.Aggregates`), entries are documents of a collection of their own."""

    def __init__(self, heads: Aggregates[Leaderboard], entries: Collection) -> None:
        self._heads = heads
        self._entries = entries
        self._record: TypeAdapter[Record] = TypeAdapter(Record)

    async def prepare(self) -> None:
        """Create the indexes."""
        await self._heads.prepare()
        with translated():
            await self._entries.create_index([("board", 1), ("generation", 1), ("seq", 1)])

    async def head(self, challenge: str, phase: str) -> Leaderboard:
        """The head of a board; one without folds if nothing was ever folded."""
        empty = Leaderboard(challenge, phase)
        return await self._heads.find(empty.id) or empty

    async def heads(self) -> list[Leaderboard]:
        """The heads of all boards on which anything was folded."""
        return await self._heads.query({}, limit=0)

    async def advance(
        self, old: Leaderboard, new: Leaderboard, events: Sequence[Fact] = (), *, cause: Event[Any] | None = None
    ) -> bool:
        """Put `new` with its events in the place of `old`; False, and nothing done, if another was faster."""

        def change(stored: Leaderboard) -> tuple[Leaderboard, Sequence[Fact]]:
            if (stored.generation, stored.seq) != (old.generation, old.seq):
                raise _Overtaken
            return new, events

        try:
            stored = await self._heads.update(
                old.id, change, cause=cause, initial=lambda: Leaderboard(old.challenge, old.phase)
            )
        except _Overtaken:
            return False
        # A cause that the head has seen already leaves it as it is: then somebody else has folded the fact.
        return (stored.generation, stored.seq) == (new.generation, new.seq)

    async def write(self, head: Leaderboard, records: Iterable[Record]) -> None:
        """Write entries of a head's generation; an entry that is newer than its record stays."""
        operations = [
            UpdateOne(
                {"_id": f"{head.generation}:{head.id}:{record.submission}", "seq": {"$lt": record.seq}},
                {
                    "$set": {
                        "board": head.id,
                        "generation": head.generation,
                        "seq": record.seq,
                        "record": self._record.dump_python(record),
                    }
                },
                upsert=True,
            )
            for record in records
        ]
        if not operations:
            return
        with translated():
            try:
                await self._entries.bulk_write(operations, ordered=False)
            except BulkWriteError as error:
                # An upsert that finds a newer entry tries to insert it again: that is the refusal we want. But an entry
                # that no majority has is not written: its head would let go of the record, which could then be lost.
                refused = all(failure["code"] == _DUPLICATE_KEY for failure in error.details["writeErrors"])
                if not refused or error.details["writeConcernErrors"]:
                    raise

    async def records(self, head: Leaderboard, *, after: int = -1) -> list[Record]:
        """The entries of a head's generation that a fold after `after` changed."""
        query = {"board": head.id, "generation": head.generation, "seq": {"$gt": after}}
        with translated():
            return [
                self._record.validate_python(document["record"])
                async for document in self._entries.find(query, {"record": 1}).sort("seq", 1)
            ]

    async def discard(self, head: Leaderboard) -> None:
        """Remove the entries of a head's generation, which no head points to."""
        with translated():
            await self._entries.delete_many({"board": head.id, "generation": head.generation})


class MemoryLeaderboards:
    """The same in memory, for tests of what stands on it."""

    def __init__(self) -> None:
        self._heads: dict[str, Leaderboard] = {}
        self._entries: dict[tuple[str, str], dict[str, Record]] = {}
        self.events: list[Fact] = []

    async def head(self, challenge: str, phase: str) -> Leaderboard:
        """The head of a board; one without folds if nothing was ever folded."""
        empty = Leaderboard(challenge, phase)
        return self._heads.get(empty.id, empty)

    async def heads(self) -> list[Leaderboard]:
        """The heads of all boards on which anything was folded."""
        return list(self._heads.values())

    async def advance(
        self, old: Leaderboard, new: Leaderboard, events: Sequence[Fact] = (), *, cause: Event[Any] | None = None
    ) -> bool:
        """Put `new` with its events in the place of `old`; False, and nothing done, if another was faster."""
        stored = await self.head(old.challenge, old.phase)
        if (stored.generation, stored.seq) != (old.generation, old.seq):
            return False
        self._heads[old.id] = replace(new)
        self.events += events
        return True

    async def write(self, head: Leaderboard, records: Iterable[Record]) -> None:
        """Write entries of a head's generation; an entry that is newer than its record stays."""
        entries = self._entries.setdefault((head.id, head.generation), {})
        for record in records:
            known = entries.get(record.submission)
            if known is None or known.seq < record.seq:
                entries[record.submission] = record

    async def records(self, head: Leaderboard, *, after: int = -1) -> list[Record]:
        """The entries of a head's generation that a fold after `after` changed."""
        entries = self._entries.get((head.id, head.generation), {}).values()
        return sorted((record for record in entries if record.seq > after), key=lambda record: record.seq)

    async def discard(self, head: Leaderboard) -> None:
        """Remove the entries of a head's generation, which no head points to."""
        self._entries.pop((head.id, head.generation), None)


class Challenges(Protocol):
    """What is known of challenges, fed by the events of the board."""

    async def find(self, id: str) -> Challenge | None:
        """The challenge, if it is known."""
        ...

    async def keep(self, challenge: Challenge) -> None:
        """Keep a version of a challenge unless a newer one is known; closed phases stay closed."""
        ...

    async def close(self, id: str, phase: str) -> None:
        """Note that a phase is over, even of a challenge that is not known yet."""
        ...


class MongoChallenges:
    """One document per challenge."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._phases: TypeAdapter[tuple[Phase, ...]] = TypeAdapter(tuple[Phase, ...])

    async def find(self, id: str) -> Challenge | None:
        """The challenge, if it is known."""
        with translated():
            found = await self._collection.find_one({"_id": id, "version": {"$exists": True}})
        if found is None:
            return None
        return Challenge(
            id=id,
            version=found["version"],
            sponsor=found["sponsor"],
            phases=self._phases.validate_python(found["phases"]),
            closed=frozenset(found.get("closed", ())),
        )

    async def keep(self, challenge: Challenge) -> None:
        """Keep a version of a challenge unless a newer one is known; closed phases stay closed."""
        older = {"_id": challenge.id, "version": {"$not": {"$gte": challenge.version}}}
        terms = {
            "version": challenge.version,
            "sponsor": challenge.sponsor,
            "phases": self._phases.dump_python(challenge.phases),
        }
        try:
            with translated():
                await self._collection.update_one(older, {"$set": terms}, upsert=True)
        except DuplicateId:
            return  # as new a version is known

    async def close(self, id: str, phase: str) -> None:
        """Note that a phase is over, even of a challenge that is not known yet."""
        with translated():
            await self._collection.update_one({"_id": id}, {"$addToSet": {"closed": phase}}, upsert=True)


class MemoryChallenges:
    """The same in memory, for tests of what stands on it."""

    def __init__(self) -> None:
        self._challenges: dict[str, Challenge] = {}
        self._closed: dict[str, set[str]] = {}

    async def find(self, id: str) -> Challenge | None:
        """The challenge, if it is known."""
        found = self._challenges.get(id)
        return None if found is None else replace(found, closed=frozenset(self._closed.get(id, ())))

    async def keep(self, challenge: Challenge) -> None:
        """Keep a version of a challenge unless a newer one is known; closed phases stay closed."""
        known = self._challenges.get(challenge.id)
        if known is None or known.version < challenge.version:
            self._challenges[challenge.id] = challenge

    async def close(self, id: str, phase: str) -> None:
        """Note that a phase is over, even of a challenge that is not known yet."""
        self._closed.setdefault(id, set()).add(phase)


def mongo_leaderboards(heads: Aggregates[Leaderboard], database: Database) -> MongoLeaderboards:
    """The boards in a service's own database."""
    return MongoLeaderboards(heads, database["entries"])


class Reports(Protocol):
    """What came of rebuilds."""

    async def keep(self, id: str, report: dict[str, Any]) -> None:
        """Keep what came of a rebuild; the first report of it stays."""
        ...

    async def find(self, id: str) -> dict[str, Any] | None:
        """What came of a rebuild."""
        ...


class MongoReports:
    """One document per rebuild."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection

    async def keep(self, id: str, report: dict[str, Any]) -> None:
        """Keep what came of a rebuild; the first report of it stays."""
        with translated():
            await self._collection.update_one({"_id": id}, {"$setOnInsert": report}, upsert=True)

    async def find(self, id: str) -> dict[str, Any] | None:
        """What came of a rebuild."""
        with translated():
            return await self._collection.find_one({"_id": id}, {"_id": 0})
