"""Rebuilding boards beside the ones that stand."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ranking import commands
from services.ranking.boards import Boards
from services.ranking.leaderboard import Leaderboard
from services.ranking.projection import Board, BoardFact, Record, Scored
from services.ranking.rebuild import ReadFact, made_anew, rebuild
from services.ranking.store import MemoryLeaderboards
from shared.contracts.envelope import Event, Fact
from shared.contracts.intake import SubmissionCancelled, SubmissionReceived
from shared.contracts.scoring import ScoreCompleted
from tests.component.scoring.world import event
from tests.fakes import FixedClock
from tests.unit.ranking.test_projection import TOTALS, at, image, lives, scored

PLACE = ("chl_1", "preliminary")
HEAD = Leaderboard(*PLACE)


def stored(facts: Sequence[BoardFact]) -> tuple[Leaderboard, list[Record]]:
    """A board that has folded facts: its head and its entries."""
    head, board = HEAD, Board()
    for fact in facts:
        if fold := head.fold(board, fact):
            fold.apply(board)
            head = fold.head
    return head, list(board.records.values())


@given(lives(TOTALS), st.randoms(use_true_random=False), st.integers(0, 20), st.integers(0, 20))
@settings(max_examples=100, deadline=None)
def test_a_rebuilt_board_is_the_one_that_stands_whatever_has_been_read(
    facts: list[BoardFact], dice: random.Random, noted: int, further: int
) -> None:
    dice.shuffle(facts)
    noted, further = min(noted, len(facts)), min(noted + further, len(facts))
    noted_head, _ = stored(facts[:noted])
    head, records = stored(facts[:further])
    # The topics hold everything; what lies behind the live reading is not acknowledged yet.
    read = [ReadFact(fact, handled=number < noted) for number, fact in enumerate(facts)]
    dice.shuffle(read)
    rebuilt = made_anew(noted_head, head, records, read)
    standing = Board(fact for record in records for fact in record.facts)
    assert rebuilt.comparison.same
    assert image(rebuilt.board) == image(standing)
    assert rebuilt.comparison.dropped == rebuilt.comparison.altered == 0
    folds = {fact.event: fact.seq for fact in standing.facts()}
    assert {fact.event: fact.seq for fact in rebuilt.board.facts()} == folds, "a rebuild renumbered the folds"


@given(lives(TOTALS), st.randoms(use_true_random=False))
@settings(max_examples=100, deadline=None)
def test_what_a_board_has_lost_is_found_again(facts: list[BoardFact], dice: random.Random) -> None:
    kept = [fact for fact in facts if dice.random() < 0.5]
    head, records = stored(kept)
    rebuilt = made_anew(head, head, records, [ReadFact(fact, handled=True) for fact in facts])
    assert image(rebuilt.board) == image(Board(facts))


def test_what_no_topic_knows_leaves_the_board_and_what_was_altered_is_put_right() -> None:
    true, false = scored("sub_1", "red", "60.000000"), scored("sub_2", "blue", "99.000000", 11)
    head, records = stored([replace(true, total="98.000000"), false])
    rebuilt = made_anew(head, head, records, [ReadFact(true, handled=True)])
    assert image(rebuilt.board) == image(Board([true]))
    comparison = rebuilt.comparison
    assert (comparison.dropped, comparison.altered, comparison.found, comparison.same) == (1, 1, 0, False)


def test_a_found_fact_is_said_when_its_event_comes_after_all() -> None:
    fact = scored("sub_1", "red", "60.000000")
    rebuilt = made_anew(HEAD, HEAD, [], [ReadFact(fact, handled=True)])
    fold = HEAD.fold(rebuilt.board, fact)
    assert fold is not None
    assert [type(said).__name__ for said in fold.events] == ["EntryRecorded"]
    fold.apply(rebuilt.board)
    assert fold.head.fold(rebuilt.board, fact) is None


# --- with a store


def say(kind: type[Fact], submission: str, team: str, **more: Any) -> Event[Any]:
    common = {
        "submission": submission,
        "challenge": "chl_1",
        "challenge_version": 1,
        "phase": "preliminary",
        "team": team,
        "received_at": at(0),
    }
    return event(kind(**common, **more), at=at(10), id=f"evt_{kind.__name__}_{submission}")


def score(submission: str, team: str, total: str) -> Event[Any]:
    return say(
        ScoreCompleted,
        submission,
        team,
        rubric_digest="e" * 64,
        total=total,
        dimensions={},
        coverage="1.000000",
        grade="B",
        provisional=False,
        dataset_digest="d" * 64,
        engine="1",
        report_key="r",
        report_sha256="f" * 64,
    )


def intake(kind: type[Fact], submission: str, team: str) -> Event[Any]:
    return say(kind, submission, team, upload="upl_1", digest="0" * 64, bytes=1)


class Topics:
    """What the topics hold; `meanwhile` happens after they were read and before any board is switched."""

    def __init__(self, scores: Sequence[Event[Any]], submissions: Sequence[Event[Any]] = ()) -> None:
        self.held = {"scoring.scores": scores, "intake.submissions": submissions}
        self.read = 0

    async def replay(self, topic: str) -> AsyncIterator[Sequence[tuple[Event[Any], bool]]]:
        self.read += 1
        for each in self.held[topic]:
            yield [(each, True)]


async def live(store: MemoryLeaderboards, events: Iterable[Event[Any]]) -> Boards:
    boards = Boards(store)
    for each in events:
        await commands.record(each, boards=boards, clock=FixedClock())
    return boards


SCORES = [score("sub_1", "red", "60.000000"), score("sub_2", "blue", "70.000000"), score("sub_3", "red", "80.000000")]
INTAKE = [intake(SubmissionReceived, "sub_1", "red"), intake(SubmissionCancelled, "sub_3", "red")]


async def test_a_rebuild_switches_every_board_and_says_nothing() -> None:
    store = MemoryLeaderboards()
    boards = await live(store, [*SCORES, *INTAKE])
    before, said = await store.head(*PLACE), list(store.events)
    topics = Topics(SCORES, INTAKE)
    [comparison] = await rebuild(generation="rbd_1.1", stale=(), boards=boards, store=store, replay=topics.replay)
    after = await store.head(*PLACE)
    assert (after.generation, after.seq) == ("rbd_1.1", before.seq)
    assert comparison.same
    assert store.events == said
    assert await store.records(before) == [], "the old generation was left behind"
    assert len(await store.records(after)) == 3


async def test_a_lost_board_is_rebuilt_from_the_topics_alone() -> None:
    store = MemoryLeaderboards()
    topics = Topics(SCORES, INTAKE)
    await rebuild(generation="rbd_1.1", stale=(), boards=Boards(store), store=store, replay=topics.replay)
    whole = await live(MemoryLeaderboards(), [*SCORES, *INTAKE])
    assert image((await Boards(store).read(*PLACE)).board) == image((await whole.read(*PLACE)).board)
    assert store.events == []


@pytest.mark.parametrize("drop", [False, True])
async def test_a_board_is_not_lost_with_its_topics_unless_that_is_wanted(drop: bool) -> None:
    store = MemoryLeaderboards()
    boards = await live(store, [*SCORES, *INTAKE])
    before = image((await boards.read(*PLACE)).board)
    [comparison] = await rebuild(
        generation="rbd_1.1", stale=(), boards=boards, store=store, replay=Topics([]).replay, drop=drop
    )
    assert comparison.dropped == 5
    assert comparison.switched is drop
    after = (await Boards(store).read(*PLACE)).board
    assert (image(after) == before) is not drop
    assert len(after.records) == (0 if drop else 3)


class Interrupted(MemoryLeaderboards):
    """A store in which another replica folds just before a head is switched."""

    def __init__(self) -> None:
        super().__init__()
        self.before_switch: list[Event[Any]] = []

    async def advance(
        self, old: Leaderboard, new: Leaderboard, events: Sequence[Fact] = (), *, cause: Event[Any] | None = None
    ) -> bool:
        if new.generation != old.generation and self.before_switch:
            await live_on(self, self.before_switch.pop())
        return await super().advance(old, new, events, cause=cause)


async def live_on(store: MemoryLeaderboards, fresh: Event[Any]) -> None:
    await commands.record(fresh, boards=Boards(store), clock=FixedClock())


async def test_a_fold_between_reading_and_switching_is_neither_lost_nor_said_twice() -> None:
    store = Interrupted()
    boards = await live(store, SCORES)
    fresh = [score(f"sub_{number}", "green", f"{number}.000000") for number in range(10, 15)]
    store.before_switch = list(fresh)
    topics = Topics(SCORES)  # read before the fresh ones came
    await rebuild(generation="rbd_1.1", stale=(), boards=boards, store=store, replay=topics.replay)
    assert store.before_switch == [], "nothing came in between"
    found = (await Boards(store).read(*PLACE)).board
    assert set(found.records) == {each.data.submission for each in [*SCORES, *fresh]}
    assert not await boards.fold(*PLACE, next(fact for fact in found.facts() if isinstance(fact, Scored)))
    said = [each for each in store.events if type(each).__name__ == "EntryRecorded"]
    assert len(said) == len(SCORES) + len(fresh)
