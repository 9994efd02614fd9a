"""Boards as people read them: pages of entries, one team's rank explained, the history, the board as of a moment."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from services.ranking.boards import Boards
from services.ranking.challenge import Challenge, Phase
from services.ranking.leaderboard import Leaderboard
from services.ranking.projection import Board, Record
from services.ranking.ranking_rules import Place, decided_by, decimal6, least_dimension
from services.ranking.store import Challenges
from shared.contracts.envelope import rfc3339
from shared.http import cursor_of, etag_of, json_bytes, place_of
from shared.problems import Problem
from shared.remembered import Remembered

_PAST_BOARDS = 8

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


@dataclass(frozen=True, slots=True)
class Page:
    """A rendered page, its ETag, and the cursor of the next one."""

    body: bytes
    etag: str
    next: str | None = None


class Recent(OrderedDict[_Key, _Value]):
    """The values used last, at most so many."""

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most

    def keep(self, key: _Key, value: _Value) -> _Value:
        """Keep a value, and let go of the one unused for longest if there are too many."""
        self[key] = value
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)
        return value


@dataclass(frozen=True, slots=True)
class View:
    """A board at one state: everything that is shown of it is a function of this."""

    head: Leaderboard
    board: Board
    provisional: bool
    as_of: datetime | None

    @property
    def version(self) -> tuple[Any, ...]:
        """Equal for equal states."""
        return (self.head.id, self.head.generation, self.head.seq, self.provisional, self.as_of)

    def about(self) -> dict[str, Any]:
        """What stands at the top of everything shown."""
        return {
            "challenge": self.head.challenge,
            "phase": self.head.phase,
            "board_seq": self.head.seq,
            "provisional": self.provisional,
            "pending": self.board.pending,
            "as_of": rfc3339(self.as_of) if self.as_of else None,
            "generation": self.head.generation,
        }


class Reading:
    """Views of boards and pages of views; a page that is asked for again is not rendered again.

    `now` is the database's clock, which judges phases everywhere else too.
    """

    def __init__(
        self,
        boards: Boards,
        challenges: Challenges,
        now: Callable[[], Awaitable[datetime]],
        *,
        pages: int,
        fresh: timedelta = timedelta(),
    ) -> None:
        self._boards = boards
        self._challenges = challenges
        self._now = now
        self._known: Remembered[str, Challenge] = Remembered(fresh, most=1024)
        self._pages: Recent[tuple[Any, ...], Page] = Recent(pages)
        self._past: Recent[tuple[Any, ...], Board] = Recent(_PAST_BOARDS)
        self._rewinding = asyncio.Lock()

    async def challenge(self, id: str) -> Challenge | None:
        """A challenge as it was known up to `fresh` ago."""
        return await self._known.get(id, lambda: self._challenges.find(id))

    async def phase(self, challenge: Challenge, name: str | None) -> Phase | None:
        """The phase of a name; without one the phase that began last."""
        return challenge.phase(name, await self._now())

    async def view(self, challenge: Challenge, phase: Phase, at: datetime | None = None) -> View:
        """The board as it stands, or as it was at a moment.

        Raises:
            Problem: 422, if the moment is still to come.
        """
        now = await self._now()
        live = await self._boards.read(challenge.id, phase.name)
        head, board = live.head, live.board
        if at is None:
            provisional = challenge.provisional(phase, pending=board.pending, now=now)
            return View(head, board, provisional, board.as_of)
        if at > now:
            raise Problem(422, "moment_to_come", "Nobody knows this board yet.", "Ask for a moment in the past.")
        past = await self._rewound(head, board, at)
        provisional = challenge.provisional(phase, pending=past.pending, now=at)
        return View(head, past, provisional, at)

    async def _rewound(self, head: Leaderboard, board: Board, at: datetime) -> Board:
        """The board as of a moment, made off the event loop, one at a time."""
        key = (head.id, head.generation, head.seq, at)
        async with self._rewinding:
            if (known := self._past.get(key)) is not None:
                return known
            facts = [fact for fact in board.facts() if fact.at <= at]
            return self._past.keep(key, await asyncio.to_thread(Board, facts))

    def page(self, view: View, *, limit: int, after: str | None) -> Page:
        """Some entries of a board, from the best one on, or from the one after a cursor."""
        return self._rendered(("page", *view.version, limit, after), lambda: _entries(view, limit, after))

    def team(self, view: View, team: str, *, whole: bool) -> Page | None:
        """One team's rank, and why it is that; None if there is nothing to show of the team.

        What has no place on the board (pending, rejected, failed, cancelled) is shown only with `whole`.
        """
        records = [record for record in view.board.of_team(team) if whole or record.counted is not None]
        if not records:
            return None
        return self._rendered(("team", *view.version, team, whole), lambda: (_explained(view, team, records), None))

    def history(self, view: View, *, limit: int, after: str | None) -> Page:
        """Some lines of a board's history, the oldest first."""
        return self._rendered(("history", *view.version, limit, after), lambda: _moves(view, limit, after))

    def _rendered(self, key: tuple[Any, ...], render: Callable[[], tuple[dict[str, Any], str | None]]) -> Page:
        if (known := self._pages.get(key)) is not None:
            self._pages.move_to_end(key)
            return known
        content, following = render()
        body = json_bytes({**content, "next": following} if key[0] != "team" else content)
        return self._pages.keep(key, Page(body, etag_of(body), following))


def _entries(view: View, limit: int, after: str | None) -> tuple[dict[str, Any], str | None]:
    start = _offset(after)
    standing = view.board.standing
    shown = standing[start : start + limit]
    entries = [_entry(view.board, entry, rank) for rank, entry in enumerate(shown, start=start + 1)]
    end = start + len(shown)
    return {**view.about(), "entries": entries}, cursor_of(end) if end < len(standing) else None


def _entry(board: Board, entry: Place, rank: int) -> dict[str, Any]:
    record = board.records[entry.submission]
    score = record.score
    assert score is not None, "only scored submissions have a place"
    return {
        "rank": rank,
        "team": record.team,
        "submission": record.submission,
        "total": score.total,
        "grade": score.grade,
        "coverage": score.coverage,
        "least_dimension": least_dimension(score.dimensions),
        "dimensions": dict(score.dimensions),
        "received_at": rfc3339(score.received_at),
        "scored_at": rfc3339(score.at),
        "submissions": board.submissions(record.team),
    }


def _explained(view: View, team: str, records: list[Record]) -> dict[str, Any]:
    board = view.board
    best, rank = board.best(team), board.rank(team)
    neighbours: dict[str, Any] = {"ahead": None, "behind": None}
    if best is not None and rank is not None:
        if rank > 1:
            neighbours["ahead"] = _neighbour(board, board.standing[rank - 2], best)
        if rank < board.teams:
            neighbours["behind"] = _neighbour(board, board.standing[rank], best)
    return {
        **view.about(),
        "team": team,
        "rank": rank,
        "best": _entry(board, best, rank) if best is not None and rank is not None else None,
        **neighbours,
        "counted": [_counted(record, best) for record in records],
    }


def _neighbour(board: Board, other: Place, mine: Place) -> dict[str, Any]:
    """The team next to one: how far away, and what decided between the two."""
    return {
        "team": board.records[other.submission].team,
        "total": other.points,
        "difference": decimal6(abs(other.total - mine.total)),
        "decided_by": decided_by(min(other, mine), max(other, mine)),
    }


def _counted(record: Record, best: Place | None) -> dict[str, Any]:
    """One submission, and why it counts or not."""
    score = record.score
    if record.ended is not None:
        why = str(record.ended.end)
    elif score is None:
        why = "pending"
    elif record.counted is None:
        why = "cannot_rank"
    else:
        why = "best" if record.counted == best else "not_the_best"
    return {
        "submission": record.submission,
        "total": score.total if score else None,
        "grade": score.grade if score else None,
        "counted": why == "best",
        "why": why,
        "received_at": rfc3339(received.received_at) if (received := score or record.received) else None,
        "scored_at": rfc3339(score.at) if score else None,
    }


def _moves(view: View, limit: int, after: str | None) -> tuple[dict[str, Any], str | None]:
    start = _offset(after)
    history = view.board.history()
    changes = [
        {
            "board_seq": move.seq,
            "at": rfc3339(move.at),
            "team": move.team,
            "submission": move.submission,
            "rank": move.rank,
            "previous_rank": move.previous_rank,
            "leader": move.leader,
        }
        for move in history[start : start + limit]
    ]
    end = start + len(changes)
    return {**view.about(), "changes": changes}, cursor_of(end) if end < len(history) else None


def _offset(after: str | None) -> int:
    if after is None:
        return 0
    match place_of(after):
        case (int(offset),) if 0 <= offset < 1 << 31:
            return offset
    raise Problem(422, "invalid_cursor", "This is not the cursor of this list.", "Use the `next` of the page before.")
