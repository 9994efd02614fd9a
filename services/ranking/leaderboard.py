"""The head of a leaderboard: the small document whose compare-and-set decides what has been folded. Pure.

The entries of a board are documents of their own. A fold writes the head: its new `seq`, the events, and the record
that the fold changed. The record stays in the head (`unwritten`) through later folds until its entry is known to be
written, which happens beside the folding, many at a time. So a fold is either in the head, with everything needed to
finish it, or it never happened; and the entries and the head's records together are always the whole board.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.ranking.projection import Board, BoardFact, Plan, Record, Scored
from shared.contracts.envelope import Fact
from shared.contracts.ranking import EntryRecorded, LeaderboardChanged, LeaderChanged


@dataclass(frozen=True, slots=True)
class Leaderboard:
    """One phase's board: which generation of entries it reads, how many folds it has seen, what may be unwritten."""

    challenge: str
    phase: str
    generation: str = "live"
    seq: int = 0
    unwritten: tuple[Record, ...] = ()

    @property
    def id(self) -> str:
        """The id of its document, and the subject of its events."""
        return f"{self.challenge}/{self.phase}"

    def fold(self, board: Board, fact: BoardFact, unwritten: Iterable[Record] = ()) -> Fold | None:
        """What folding a fact into `board`, which must be this head's, changes and says; None if it is known.

        `unwritten` are the records whose entries are not known to be written; the next head carries them on. Changes
        neither head nor board: the next head is to be stored first, then `Fold.apply` changes the board.
        """
        numbered = replace(fact, seq=self.seq + 1)
        plan = board.plan(numbered)
        if plan is None:
            return None
        carried = (record for record in unwritten if record.submission != fact.submission)
        head = replace(self, seq=self.seq + 1, unwritten=(*carried, plan.record))
        return Fold(head, numbered, plan, head._events(numbered, plan))

    def switched(self, generation: str, *, differs: bool) -> Leaderboard:
        """This head, reading another generation of entries; `seq` moves on only if anything to be seen differs."""
        return replace(self, generation=generation, seq=self.seq + differs, unwritten=())

    def _events(self, fact: BoardFact, plan: Plan) -> list[Fact]:
        about: dict[str, Any] = {"challenge": self.challenge, "phase": self.phase, "board_seq": self.seq}
        events: list[Fact] = []
        if isinstance(fact, Scored):
            events.append(
                EntryRecorded(
                    **about,
                    team=fact.team,
                    submission=fact.submission,
                    total=fact.total or "",  # the contract of a score has a total; the fold does not rely on it
                    grade=fact.grade,
                    rank=plan.rank,
                    previous_rank=plan.previous_rank,
                    is_best=plan.after is not None and plan.after.submission == fact.submission,
                    received_at=fact.received_at,
                )
            )
        if plan.changed:
            events.append(LeaderboardChanged(**about, teams=plan.teams, provisional=plan.pending > 0))
        if plan.leader_changed and plan.leader is not None and plan.leading_team is not None:
            events.append(
                LeaderChanged(
                    **about,
                    team=plan.leading_team,
                    submission=plan.leader.submission,
                    total=plan.leader.points,
                    previous_team=plan.previous_leading_team,
                )
            )
        return events


@dataclass(frozen=True, slots=True)
class Fold:
    """One fact's effect on a board, before it is stored: the next head, and the events to publish with it."""

    head: Leaderboard
    fact: BoardFact
    plan: Plan
    events: Sequence[Fact]

    def apply(self, board: Board) -> None:
        """Change the board, now that the head is stored."""
        board.apply(self.fact, self.plan)
