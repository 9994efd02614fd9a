"""Rebuilding every board from the topics, into a new generation of entries beside the old one; emits nothing.

The heads are noted first, then the topics are read from their start to their end. So whatever a noted head had folded
is in what was read, unless it never was in a topic; what was folded since is taken from the board as it stands. Then
each board's head is switched to its new generation by the same compare-and-set that a fold uses: a fold in between
makes the switch start again, and nothing is lost or said twice.

A fact that the board has not folded although its event was acknowledged was lost: it is put on the new board without a
word. One whose event is still to be read in the ordinary way is left to that way, which also says it.

A board with facts that no topic knows is left as it stands, unless these are to be dropped: more likely than that they
are wrong, the topics have been lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from services.ranking.boards import Boards, Race, load
from services.ranking.commands import board_fact
from services.ranking.leaderboard import Leaderboard
from services.ranking.projection import Board, BoardFact, Record, canonical
from services.ranking.store import Leaderboards
from shared.contracts.envelope import Event
from shared.logs import get_logger

log = get_logger(__name__)

TOPICS = ("intake.submissions", "scoring.scores")

Replay = Callable[[str], AsyncIterator[Sequence[tuple[Event[Any], bool]]]]
"""Every event of a topic from its start to its present end, and whether it was acknowledged in the ordinary way."""

_WRITTEN_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Comparison:
    """How a rebuilt board compares with the one it takes the place of."""

    challenge: str
    phase: str
    facts: int
    found: int
    """Facts that the board had lost: their events were acknowledged, and it did not know them."""
    dropped: int
    """Facts on the board that no topic knows."""
    altered: int
    """Facts on the board that are not what the topics say."""
    same: bool
    """Whether standing, pending and history are byte for byte the same."""
    switched: bool = True
    """Whether it took its place: not where facts would have been dropped that nobody wanted dropped."""


@dataclass(frozen=True, slots=True)
class ReadFact:
    """A fact in a topic, and whether its event was acknowledged in the ordinary way."""

    fact: BoardFact
    handled: bool


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A board made anew."""

    board: Board
    comparison: Comparison


async def rebuild(
    *,
    generation: str,
    stale: Iterable[str],
    boards: Boards,
    store: Leaderboards,
    replay: Replay,
    drop: bool = False,
) -> list[Comparison]:
    """Rebuild all boards into `generation` and switch to it; `stale` are generations that earlier attempts left.

    Facts that no topic knows are let go of only with `drop`.

    Raises:
        DependencyDown: some boards may be switched and some not, each of them whole; a later rebuild starts anew.
    """
    noted = {head.id: head for head in await store.heads()}
    read: dict[tuple[str, str], list[ReadFact]] = {}
    for topic in TOPICS:
        async for events in replay(topic):
            for event, handled in events:
                if found := board_fact(event):
                    challenge, phase, fact = found
                    read.setdefault((challenge, phase), []).append(ReadFact(fact, handled))
    for head in noted.values():
        read.setdefault((head.challenge, head.phase), [])
    comparisons = []
    for (challenge, phase), facts in sorted(read.items()):
        empty = Leaderboard(challenge, phase)
        noted_head = noted.get(empty.id, empty)
        comparison = await _switch(noted_head, facts, generation, boards=boards, store=store, drop=drop)
        for leftover in stale:
            await store.discard(replace(empty, generation=leftover))
        log.info("board_rebuilt", generation=generation, **asdict(comparison))
        comparisons.append(comparison)
    return comparisons


async def _switch(
    noted: Leaderboard, read: Sequence[ReadFact], generation: str, *, boards: Boards, store: Leaderboards, drop: bool
) -> Comparison:
    """Make one board anew and switch its head to it, unless it lacks what the one that stands has."""
    race = Race(noted.id)
    while True:
        # Held, so that this process folds nothing meanwhile; another one may, and then the switch is refused.
        async with boards.held(noted.challenge, noted.phase) as live:
            head, records = await load(store, await store.head(noted.challenge, noted.phase))
            rebuilt = await asyncio.to_thread(made_anew, noted, head, records, read)
            if rebuilt.comparison.dropped and not drop:
                return replace(rebuilt.comparison, switched=False)
            target = replace(head, generation=generation)
            await _write(store, target, rebuilt.board.records.values())
            if await store.advance(head, head.switched(generation, differs=not rebuilt.comparison.same)):
                await boards.catch_up(live)
                await store.discard(head)
                return rebuilt.comparison
            await store.discard(target)
        await race.lost()


def made_anew(noted: Leaderboard, head: Leaderboard, records: Iterable[Record], read: Iterable[ReadFact]) -> Rebuilt:
    """The board of the facts that were read, and of those folded since `noted`, beside the one that stands. Pure."""
    standing = Board(fact for record in records for fact in record.facts)
    folded = {_identity(fact): fact for fact in standing.facts()}
    in_topics = {_identity(one.fact): one.fact for one in read}
    facts = [
        replace(one.fact, seq=folded[key].seq if key in folded else 0)
        for one in read
        if (key := _identity(one.fact)) in folded or one.handled
    ]
    facts += [fact for key, fact in folded.items() if key not in in_topics and fact.seq > noted.seq]
    board = Board(facts)
    kept = {_identity(fact) for fact in board.facts()}
    comparison = Comparison(
        challenge=head.challenge,
        phase=head.phase,
        facts=len(kept),
        found=len(kept - folded.keys()),
        dropped=sum(key not in in_topics and fact.seq <= noted.seq for key, fact in folded.items()),
        altered=sum(key in in_topics and fact != in_topics[key] for key, fact in folded.items()),
        same=canonical(board) == canonical(standing),
    )
    return Rebuilt(board, comparison)


def _identity(fact: BoardFact) -> tuple[str, str]:
    return fact.submission, fact.event


async def _write(store: Leaderboards, head: Leaderboard, records: Iterable[Record]) -> None:
    every = list(records)
    for start in range(0, len(every), _WRITTEN_AT_ONCE):
        await store.write(head, every[start : start + _WRITTEN_AT_ONCE])
