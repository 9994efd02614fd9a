"""A leaderboard as a pure fold over facts: any order and any duplication of them end in the same board.

A fact says one thing about one submission: it was received, it was scored, it ended without a rank. Facts about one
submission are joined into a `Record`; joining is commutative, associative and idempotent. The board is then a function
of its records: each team stands where its best counted submission stands. What a fact would change is worked out
before anything is changed (`plan`), so that a board is never ahead of what was stored.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar

from services.ranking.ranking_rules import Place, place


class End(StrEnum):
    """How a submission ended without a rank; such an end is a tombstone, whatever score comes before or after."""

    REJECTED = "rejected"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Received:
    """The submission exists and its score is awaited. `at` is the event's time, `received_at` the upload's end."""

    submission: str
    team: str
    at: datetime
    event: str
    received_at: datetime
    seq: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Scored:
    """The submission has a score under one rubric; a later score of the same submission takes its place."""

    submission: str
    team: str
    at: datetime
    event: str
    received_at: datetime
    rubric_digest: str
    total: str | None
    coverage: str | None
    dimensions: Mapping[str, str]
    grade: str
    seq: int = field(default=0, compare=False)

    @property
    def place(self) -> Place | None:
        """Where this score stands, None if it cannot rank."""
        return place(
            self.submission,
            total=self.total,
            dimensions=self.dimensions,
            coverage=self.coverage,
            received_at=self.received_at,
        )


@dataclass(frozen=True, slots=True)
class Ended:
    """The submission will not be ranked."""

    submission: str
    team: str
    at: datetime
    event: str
    end: End
    seq: int = field(default=0, compare=False)


BoardFact = Received | Scored | Ended


_Kind = TypeVar("_Kind", Received, Scored, Ended)


def _moment(fact: BoardFact) -> tuple[datetime, str]:
    return fact.at, fact.event


def _first(known: _Kind, fact: _Kind) -> _Kind:
    """The earlier of two facts that say the same; of one fact twice, the one that was folded first."""
    if known == fact:
        return known if known.seq else fact
    return min(known, fact, key=_moment)


@dataclass(frozen=True, slots=True)
class Record:
    """All that is known of one submission; where two facts say the same thing, the earlier one stays.

    A fact's `seq` is the fold that made it known; 0 if a rebuild found it, so that nobody was told of it yet.
    """

    submission: str
    team: str
    received: Received | None = None
    scores: tuple[Scored, ...] = ()
    ended: Ended | None = None

    def joined(self, fact: BoardFact) -> Record:
        """This record and one more fact."""
        match fact:
            case Received():
                return replace(self, received=_first(self.received or fact, fact))
            case Ended():
                return replace(self, ended=_first(self.ended or fact, fact))
            case Scored():
                by_rubric = {score.rubric_digest: score for score in self.scores}
                known = by_rubric.get(fact.rubric_digest, fact)
                by_rubric[fact.rubric_digest] = _first(known, fact)
                return replace(self, scores=tuple(sorted(by_rubric.values(), key=_moment)))

    @property
    def facts(self) -> tuple[BoardFact, ...]:
        """The facts this record is made of."""
        return (*((self.received,) if self.received else ()), *self.scores, *((self.ended,) if self.ended else ()))

    @property
    def seq(self) -> int:
        """The last fold that changed this record."""
        return max((fact.seq for fact in self.facts), default=0)

    @property
    def score(self) -> Scored | None:
        """The score that stands: the latest."""
        return self.scores[-1] if self.scores else None

    @property
    def counted(self) -> Place | None:
        """Where the submission stands, None if it has no score, its score cannot rank, or it ended otherwise."""
        return self.score.place if self.score and not self.ended else None

    @property
    def pending(self) -> bool:
        """Whether the board still waits for this submission."""
        return self.received is not None and not self.scores and self.ended is None


@dataclass(frozen=True, slots=True)
class Plan:
    """What one fact changes on a board: computed before, applied after it was stored."""

    record: Record
    before: Place | None
    after: Place | None
    previous_rank: int | None
    rank: int | None
    leader: Place | None
    leading_team: str | None
    previous_leading_team: str | None
    teams: int
    pending: int

    @property
    def changed(self) -> bool:
        """Whether the order or a number on the board is not what it was."""
        return self.before != self.after

    @property
    def leader_changed(self) -> bool:
        """Whether another team is number one now."""
        return self.leading_team is not None and self.leading_team != self.previous_leading_team


@dataclass(frozen=True, slots=True)
class Move:
    """One line of a board's history: where a team stood before and after one of its submissions counted or left."""

    at: datetime
    seq: int
    team: str
    submission: str
    previous_rank: int | None
    rank: int | None
    leader: bool


class Board:
    """The leaderboard of one phase, in memory."""

    def __init__(self, facts: Iterable[BoardFact] = ()) -> None:
        self.records: dict[str, Record] = {}
        self.pending = 0
        self.as_of: datetime | None = None
        self._submissions: dict[str, set[str]] = {}
        self._counted: dict[str, list[Place]] = {}
        self._standing: list[Place] = []
        self._history: list[Move] = []
        self._history_ends: tuple[datetime, str] | None = None
        self._history_whole = True
        for fact in sorted(facts, key=_moment):
            if plan := self.plan(fact):
                self.apply(fact, plan)

    # --- folding -----------------------------------------------------------------------------------------------

    def plan(self, fact: BoardFact) -> Plan | None:
        """What `fact` would change, or None if the board knows it already. Changes nothing."""
        old = self.records.get(fact.submission) or Record(fact.submission, fact.team)
        new = old.joined(fact)
        if new == old and new.seq == old.seq and fact.submission in self.records:
            return None
        places = self._counted.get(new.team, [])
        before = places[0] if places else None
        others = (entry for entry in places if entry.submission != new.submission)
        after = min(filter(None, (next(others, None), new.counted)), default=None)
        previous_leader = self._standing[0] if self._standing else None
        rivals = (entry for entry in self._standing[:2] if entry != before)
        leader = min(filter(None, (next(rivals, None), after)), default=None)
        return Plan(
            record=new,
            before=before,
            after=after,
            previous_rank=self._rank(before),
            rank=self._rank(after, without=before),
            leader=leader,
            leading_team=new.team if leader is not None and leader == after else self._team(leader),
            previous_leading_team=self._team(previous_leader),
            teams=len(self._standing) - (before is not None) + (after is not None),
            pending=self.pending - old.pending + new.pending,
        )

    def apply(self, fact: BoardFact, plan: Plan) -> None:
        """Make the change that `plan(fact)` worked out."""
        record = plan.record
        known = self.records.get(record.submission)
        self.records[record.submission] = record
        self._submissions.setdefault(record.team, set()).add(record.submission)
        self.pending = plan.pending
        self.as_of = max(self.as_of or fact.at, fact.at)
        places = self._counted.setdefault(record.team, [])
        if known is not None and (gone := known.counted) is not None:
            del places[bisect_left(places, gone)]
        if (come := record.counted) is not None:
            insort(places, come)
        if plan.changed:
            if plan.before is not None:
                del self._standing[bisect_left(self._standing, plan.before)]
            if plan.after is not None:
                insort(self._standing, plan.after)
        self._note(fact, plan)

    def _team(self, entry: Place | None) -> str | None:
        return None if entry is None else self.records[entry.submission].team

    def _rank(self, entry: Place | None, *, without: Place | None = None) -> int | None:
        if entry is None:
            return None
        ahead = bisect_left(self._standing, entry)
        return ahead + 1 - (without is not None and without < entry)

    # --- reading -----------------------------------------------------------------------------------------------

    @property
    def standing(self) -> tuple[Place, ...]:
        """The place of each team's best submission, the best first: index + 1 is the rank."""
        return tuple(self._standing)

    @property
    def teams(self) -> int:
        """How many teams stand on the board."""
        return len(self._standing)

    def best(self, team: str) -> Place | None:
        """Where a team stands, None if none of its submissions counts."""
        places = self._counted.get(team)
        return places[0] if places else None

    def rank(self, team: str) -> int | None:
        """A team's rank, from 1."""
        return self._rank(self.best(team))

    def of_team(self, team: str) -> list[Record]:
        """All submissions of a team: those that count from the best down, then the others as they came."""
        own = [self.records[submission] for submission in self._submissions.get(team, ())]
        counted = sorted((record for record in own if record.counted), key=lambda record: record.counted or ())
        others = sorted((record for record in own if not record.counted), key=lambda record: record.submission)
        return [*counted, *others]

    def submissions(self, team: str) -> int:
        """How many submissions of a team count."""
        return len(self._counted.get(team, ()))

    def outcomes(self) -> Counter[str]:
        """How many submissions are pending, how many scored, and how many came to each other end."""
        return Counter(
            record.ended.end.value if record.ended else "scored" if record.scores else "pending"
            for record in self.records.values()
        )

    def bands(self) -> Counter[int]:
        """How many of the submissions that count have a total from 0, 10, … up to the next; 100 is with 90."""
        places = (entry for team in self._counted.values() for entry in team)
        return Counter(min(max(-entry.total // 10_000_000, 0), 9) * 10 for entry in places)

    def facts(self) -> Iterator[BoardFact]:
        """Every fact on the board."""
        for record in self.records.values():
            yield from record.facts

    def until(self, moment: datetime) -> Board:
        """The board as it was at a moment: made of the facts that had happened by then."""
        return Board(fact for fact in self.facts() if fact.at <= moment)

    # --- history -----------------------------------------------------------------------------------------------

    def history(self) -> list[Move]:
        """Every change of a rank in the order of the facts' own time, whatever order they arrived in."""
        if not self._history_whole:
            ordered = Board(self.facts())
            self._history, self._history_ends, self._history_whole = ordered._history, ordered._history_ends, True
        return self._history

    def _note(self, fact: BoardFact, plan: Plan) -> None:
        """Extend the history, or, if `fact` belongs before its end, leave it to `history` to be made anew."""
        if isinstance(fact, Received) or not self._history_whole:
            return
        if self._history_ends is not None and _moment(fact) < self._history_ends:
            self._history_whole = False
            return
        self._history_ends = _moment(fact)
        if isinstance(fact, Ended) and not plan.changed:
            return
        self._history.append(
            Move(
                at=fact.at,
                seq=fact.seq,
                team=fact.team,
                submission=fact.submission,
                previous_rank=plan.previous_rank,
                rank=plan.rank,
                leader=plan.leader_changed,
            )
        )


def canonical(board: Board) -> dict[str, Any]:
    """The whole board as JSON values, equal for equal facts: what a rebuild is compared by."""
    return {
        "standing": [[entry.submission, *map(str, entry[:3])] for entry in board.standing],
        "pending": board.pending,
        "records": {
            name: {
                "team": record.team,
                "received": record.received and [str(record.received.at), str(record.received.received_at)],
                "scores": [
                    [
                        score.event,
                        str(score.at),
                        str(score.received_at),
                        score.rubric_digest,
                        score.total,
                        score.coverage,
                        sorted(score.dimensions.items()),
                        score.grade,
                    ]
                    for score in record.scores
                ],
                "ended": record.ended and [record.ended.event, str(record.ended.at), str(record.ended.end)],
            }
            for name, record in sorted(board.records.items())
        },
        "history": [
            [str(move.at), move.team, move.submission, move.previous_rank, move.rank, move.leader]
            for move in board.history()
        ],
    }
