"""Where scoring keeps the terms of challenges and the scores it has recorded: on MongoDB, and in memory for tests."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Protocol

from services.scoring.score import Score, Terms
from shared.auth import Principal
from shared.contracts.board import Role
from shared.contracts.envelope import Event, Fact
from shared.mongo import AggregateMissing, Aggregates, Collection, translated
from shared.remembered import Remembered


class Scores(Protocol):
    """The scores, one per submission and rubric."""

    async def record(self, score: Score, facts: Sequence[Fact], *, cause: Event[Any] | None = None) -> bool:
        """Store a score with its event, unless there is one for its submission and rubric; True if it was stored."""
        ...

    async def tell_again(self, id: str, *, cause: Event[Any]) -> bool:
        """Emit the event of a recorded score once more because of `cause`, once for each; False if there is none."""
        ...

    async def find(self, id: str) -> Score | None:
        """The score of an assignment, for the work itself."""
        ...

    async def latest(self, submission: str) -> Score | None:
        """A submission's latest score, for the work itself."""
        ...

    async def readable(self, submission: str, reader: Principal) -> Score | None:
        """A submission's latest score, if `reader` may see it; what they may not see is not there for them."""
        ...


class AllTerms(Protocol):
    """The terms of every version of every challenge."""

    async def keep(self, terms: Terms) -> None:
        """Keep a version's terms; they never change."""
        ...

    async def find(self, challenge: str, version: int) -> Terms | None:
        """The terms of a version, None if the announcement has not been read yet."""
        ...


def may_read(score: Score, reader: Principal) -> bool:
    """Whether a report is the reader's to see: a team's own, those of a sponsor's challenges, all to organisers."""
    match reader.role:
        case Role.TEAM:
            return score.assignment.team == reader.owner
        case Role.SPONSOR:
            return score.assignment.sponsor == reader.owner
        case Role.ORGANISER | Role.OPERATOR:
            return True


class MongoScores:
    """Scores are aggregates: a score and its event are one write, and its id can exist once."""

    def __init__(self, scores: Aggregates[Score]) -> None:
        self._scores = scores

    async def prepare(self) -> None:
        """Create the indexes."""
        await self._scores.prepare()
        with translated():
            await self._scores.collection.create_index([("state.assignment.submission", 1), ("state.recorded_at", -1)])

    async def record(self, score: Score, facts: Sequence[Fact], *, cause: Event[Any] | None = None) -> bool:
        """Store a score with its event, unless there is one for its submission and rubric; True if it was stored."""
        return await self._scores.add_new(score.assignment.id, score, facts, cause=cause)

    async def tell_again(self, id: str, *, cause: Event[Any]) -> bool:
        """Emit the event of a recorded score once more because of `cause`, once for each; False if there is none."""
        try:
            await self._scores.update(id, lambda score: (score, [score.fact]), cause=cause)
        except AggregateMissing:
            return False
        return True

    async def find(self, id: str) -> Score | None:
        """The score of an assignment, for the work itself."""
        return await self._scores.find(id)

    async def latest(self, submission: str) -> Score | None:
        """A submission's latest score, for the work itself."""
        query = {"state.assignment.submission": submission}
        return next(iter(await self._scores.query(query, sort=[("state.recorded_at", -1), ("_id", 1)], limit=1)), None)

    async def readable(self, submission: str, reader: Principal) -> Score | None:
        """A submission's latest score, if `reader` may see it; what they may not see is not there for them."""
        query: dict[str, Any] = {"state.assignment.submission": submission}
        if reader.role is Role.TEAM:
            query["state.assignment.team"] = reader.owner
        elif reader.role is Role.SPONSOR:
            query["state.assignment.sponsor"] = reader.owner
        found = await self._scores.query(query, sort=[("state.recorded_at", -1), ("_id", 1)], limit=1)
        return next((score for score in found if may_read(score, reader)), None)


class MemoryScores:
    """The same in memory."""

    def __init__(self) -> None:
        self._scores: dict[str, Score] = {}
        self.facts: list[Fact] = []
        self._told: set[str] = set()

    async def record(self, score: Score, facts: Sequence[Fact], *, cause: Event[Any] | None = None) -> bool:
        """Store a score with its event, unless there is one for its submission and rubric; True if it was stored."""
        if score.assignment.id in self._scores:
            return False
        self._scores[score.assignment.id] = score
        self.facts += facts
        return True

    async def tell_again(self, id: str, *, cause: Event[Any]) -> bool:
        """Emit the event of a recorded score once more because of `cause`, once for each; False if there is none."""
        if (score := self._scores.get(id)) is None:
            return False
        if cause.id not in self._told:
            self._told.add(cause.id)
            self.facts.append(score.fact)
        return True

    async def find(self, id: str) -> Score | None:
        """The score of an assignment, for the work itself."""
        return self._scores.get(id)

    async def latest(self, submission: str) -> Score | None:
        """A submission's latest score, for the work itself."""
        own = [score for score in self._scores.values() if score.assignment.submission == submission]
        return max(own, key=lambda score: score.recorded_at, default=None)

    async def readable(self, submission: str, reader: Principal) -> Score | None:
        """A submission's latest score, if `reader` may see it; what they may not see is not there for them."""
        own = [score for score in self._scores.values() if score.assignment.submission == submission]
        seen = [score for score in own if may_read(score, reader)]
        return max(seen, key=lambda score: score.recorded_at, default=None)


class MongoTerms:
    """One document per version of a challenge."""

    def __init__(self, collection: Collection) -> None:
        self._collection = collection
        self._found: Remembered[tuple[str, int], Terms] = Remembered(timedelta(hours=1), most=200)

    async def keep(self, terms: Terms) -> None:
        """Keep a version's terms; they never change."""
        # As text: the names of columns may hold dots, dollars or anything else that a field name may not.
        document = {
            "sponsor": terms.sponsor,
            "demand": json.dumps(terms.demand),
            "rubric": json.dumps(terms.rubric),
            "rubric_digest": terms.rubric_digest,
        }
        with translated():
            await self._collection.update_one(
                {"_id": f"{terms.challenge}:{terms.version}"}, {"$setOnInsert": document}, upsert=True
            )

    async def find(self, challenge: str, version: int) -> Terms | None:
        """The terms of a version, None if the announcement has not been read yet."""
        return await self._found.get((challenge, version), lambda: self._find(challenge, version))

    async def _find(self, challenge: str, version: int) -> Terms | None:
        with translated():
            found = await self._collection.find_one({"_id": f"{challenge}:{version}"})
        if found is None:
            return None
        return Terms(
            challenge=challenge,
            version=version,
            sponsor=found["sponsor"],
            demand=json.loads(found["demand"]),
            rubric=json.loads(found["rubric"]),
            rubric_digest=found["rubric_digest"],
        )


class MemoryTerms:
    """The same in memory."""

    def __init__(self) -> None:
        self._terms: dict[tuple[str, int], Terms] = {}

    async def keep(self, terms: Terms) -> None:
        """Keep a version's terms; they never change."""
        self._terms.setdefault((terms.challenge, terms.version), terms)

    async def find(self, challenge: str, version: int) -> Terms | None:
        """The terms of a version, None if the announcement has not been read yet."""
        return self._terms.get((challenge, version))
