"""Folding by several replicas at once, over one store."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterable
from datetime import timedelta

import pytest

from services.ranking.boards import Boards
from services.ranking.leaderboard import Leaderboard
from services.ranking.projection import Board, BoardFact, Record, Scored
from services.ranking.store import Leaderboards, MemoryLeaderboards
from shared.contracts.ranking import EntryRecorded
from shared.failures import DependencyDown
from shared.mongo import Database
from shared.outbox import Relay
from tests.component.ranking.conftest import mongo_store
from tests.fakes import FakePublisher
from tests.unit.ranking.test_projection import ended, image, received, scored

PLACE = ("chl_1", "preliminary")


def season(submissions: int, seed: int) -> list[BoardFact]:
    """The facts of a season: every submission received and scored, one in ten withdrawn; each fact twice, shuffled."""
    dice = random.Random(seed)
    facts: list[BoardFact] = []
    for number in range(submissions):
        name, team = f"sub_{number:03}", f"team_{dice.randrange(7)}"
        facts.append(received(name, team, number))
        facts.append(scored(name, team, f"{dice.randrange(100)}.000000", number + dice.randrange(9)))
        if number % 10 == 0:
            facts.append(ended(name, team, minutes=number + 5))
    facts *= 2
    dice.shuffle(facts)
    return facts


async def entries(store: Leaderboards) -> int:
    """How many entries are written."""
    return len(await store.records(await store.head(*PLACE)))


async def fold_all(boards: Boards, facts: Iterable[BoardFact]) -> None:
    """Fold facts one after the other."""
    for fact in facts:
        await boards.fold(*PLACE, fact)


async def stored(store: Leaderboards) -> Board:
    """The board that the store holds, by a replica that has just started."""
    return (await Boards(store).read(*PLACE)).board


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_replicas_that_fold_the_same_facts_at_once_make_one_board(store: Leaderboards, seed: int) -> None:
    facts = season(40, seed)
    replicas = [Boards(store) for _ in range(3)]

    async def consume(boards: Boards, mine: Iterable[BoardFact]) -> int:
        return sum([await boards.fold(*PLACE, fact) for fact in mine])

    folded = await asyncio.gather(*(consume(boards, facts) for boards in replicas))
    assert sum(folded) == len({fact.event for fact in facts}), "a fact had its effect more or less than once"
    assert image(await stored(store)) == image(Board(facts))
    assert (await store.head(*PLACE)).seq == len({fact.event for fact in facts})


async def test_every_score_is_published_once(own_database: Database) -> None:
    publisher = FakePublisher()
    relay = Relay(publisher)
    facts = season(30, 4)
    replicas = [Boards(mongo_store(own_database, relay)) for _ in range(2)]
    await asyncio.gather(*(boards.fold(*PLACE, fact) for fact in facts for boards in replicas))
    assert await relay.settle(10)
    # A relay may publish an event twice, with one id: consumers drop the second.
    events = {event["id"]: event for event in map(json.loads, publisher.values())}
    entries = [event["data"] for event in events.values() if "entry_recorded" in event["type"]]
    assert sorted(entry["submission"] for entry in entries) == sorted(
        {fact.submission for fact in facts if isinstance(fact, Scored)}
    )
    assert [entry["board_seq"] for entry in entries] == sorted(entry["board_seq"] for entry in entries)


class Dying:
    """A store whose process dies at a chosen write: nothing after it happens."""

    def __init__(self, store: Leaderboards, *, entries_lost: bool) -> None:
        self._store = store
        self._entries_lost = entries_lost

    async def head(self, challenge: str, phase: str) -> Leaderboard:
        return await self._store.head(challenge, phase)

    async def heads(self) -> list[Leaderboard]:
        return await self._store.heads()

    async def advance(self, *heads, cause=None) -> bool:  # type: ignore[no-untyped-def]
        if not self._entries_lost:
            raise DependencyDown("mongodb", "died before the head was stored")
        return await self._store.advance(*heads, cause=cause)

    async def write(self, head: Leaderboard, records: Iterable[Record]) -> None:
        if self._entries_lost and list(records):
            raise DependencyDown("mongodb", "died before the entry was stored")

    async def records(self, head: Leaderboard, *, after: int = -1) -> list[Record]:
        return await self._store.records(head, after=after)

    async def discard(self, head: Leaderboard) -> None:
        await self._store.discard(head)


@pytest.mark.parametrize("entries_lost", [False, True])
async def test_a_replica_that_dies_in_the_middle_of_a_fold_is_made_good(
    store: Leaderboards, entries_lost: bool
) -> None:
    first, second = scored("sub_1", "red", "90.000000"), scored("sub_2", "blue", "80.000000", 11)
    victim = Boards(Dying(store, entries_lost=entries_lost))
    if entries_lost:
        assert await victim.fold(*PLACE, first)
        await victim.settle()
    else:
        with pytest.raises(DependencyDown):
            await victim.fold(*PLACE, first)
    assert await entries(store) == 0, "the fold was to die before its entry"
    assert (await stored(store)).teams == int(entries_lost)
    survivor = Boards(store)
    await survivor.fold(*PLACE, second)
    assert await survivor.fold(*PLACE, first) is not entries_lost
    await survivor.settle()
    assert image(await stored(store)) == image(Board([first, second]))
    assert await entries(store) == 2


async def test_entries_that_cannot_be_written_stay_in_the_head_until_they_are(store: Leaderboards) -> None:
    facts = [scored(f"sub_{number:03}", "red", f"{number}.000000") for number in range(100)]
    boards = Boards(Dying(store, entries_lost=True))
    for fact in facts[:10]:
        await boards.fold(*PLACE, fact)
    with pytest.raises(DependencyDown):  # folding goes on for a while, not for ever
        await fold_all(boards, facts)
    await boards.settle()
    folded = (await store.head(*PLACE)).seq
    assert 10 < folded < 100
    assert await entries(store) == 0
    assert len((await stored(store)).records) == folded
    boards._store = store  # the database is back
    await fold_all(boards, facts)
    await boards.settle()
    assert await entries(store) == 100
    assert image(await stored(store)) == image(Board(facts))


async def test_a_reader_sees_what_another_replica_folded(store: Leaderboards) -> None:
    writer, reader = Boards(store), Boards(store, fresh=timedelta(0))
    assert (await reader.read(*PLACE)).board.teams == 0
    await writer.fold(*PLACE, scored("sub_1", "red", "90.000000"))
    assert (await reader.read(*PLACE)).board.teams == 1
    await writer.fold(*PLACE, ended("sub_1", "red"))
    assert (await reader.read(*PLACE)).board.teams == 0


async def test_a_fresh_board_is_read_without_asking_the_store(store: Leaderboards) -> None:
    writer, reader = Boards(store), Boards(store, fresh=timedelta(hours=1))
    await reader.read(*PLACE)
    await writer.fold(*PLACE, scored("sub_1", "red", "90.000000"))
    assert (await reader.read(*PLACE)).board.teams == 0


async def test_what_was_said_in_memory_is_said_in_the_order_of_the_folds() -> None:
    store = MemoryLeaderboards()
    boards = Boards(store)
    for fact in season(20, 5):
        await boards.fold(*PLACE, fact)
    sequence = [event.board_seq for event in store.events if isinstance(event, EntryRecorded)]
    assert sequence == sorted(set(sequence))
