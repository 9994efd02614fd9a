"""What every store of leaderboards promises."""

from __future__ import annotations

from dataclasses import replace

import pytest

from services.ranking.leaderboard import Leaderboard
from services.ranking.projection import Record
from services.ranking.store import Leaderboards
from shared.failures import DependencyDown
from shared.mongo import Database
from tests.component.ranking.conftest import mongo_store
from tests.unit.ranking.test_projection import ended, received, scored

EMPTY = Leaderboard("chl_1", "preliminary")


def record(submission: str, seq: int, total: str = "90.000000") -> Record:
    return Record(submission, "red").joined(replace(scored(submission, "red", total), seq=seq))


async def test_a_board_begins_empty(store: Leaderboards) -> None:
    assert await store.head("chl_1", "preliminary") == EMPTY
    assert await store.heads() == []
    assert await store.records(EMPTY) == []


async def test_a_head_is_advanced_once_from_where_it_was(store: Leaderboards) -> None:
    first = replace(EMPTY, seq=1, unwritten=(record("sub_1", 1),))
    assert await store.advance(EMPTY, first)
    assert not await store.advance(EMPTY, replace(first, unwritten=()))
    assert await store.head("chl_1", "preliminary") == first
    assert await store.advance(first, replace(first, seq=2))
    assert [head.seq for head in await store.heads()] == [2]


async def test_a_head_of_another_generation_is_another_head(store: Leaderboards) -> None:
    first = replace(EMPTY, seq=1)
    assert await store.advance(EMPTY, first)
    rebuilt = first.switched("rebuild_1", differs=False)
    assert await store.advance(first, rebuilt)
    assert not await store.advance(first, replace(first, seq=2)), "a fold made for the old generation came through"
    assert await store.advance(rebuilt, replace(rebuilt, seq=2))


async def test_phases_and_challenges_have_boards_of_their_own(store: Leaderboards) -> None:
    final = Leaderboard("chl_1", "final")
    assert await store.advance(final, replace(final, seq=1))
    await store.write(final, [record("sub_1", 1)])
    assert await store.head("chl_1", "preliminary") == EMPTY
    assert await store.records(EMPTY) == []


async def test_entries_come_back_as_they_were_written(store: Leaderboards) -> None:
    whole = (
        Record("sub_1", "red")
        .joined(replace(received("sub_1", "red"), seq=1))
        .joined(replace(scored("sub_1", "red", "90.000000"), seq=2))
        .joined(replace(scored("sub_1", "red", None, 11, rubric="f" * 64), seq=3))
        .joined(replace(ended("sub_1", "red"), seq=4))
    )
    await store.write(EMPTY, [whole])
    [back] = await store.records(EMPTY)
    assert back == whole
    assert [fact.seq for fact in back.facts] == [1, 2, 3, 4]


async def test_entries_are_read_from_a_fold_on(store: Leaderboards) -> None:
    await store.write(EMPTY, [record(f"sub_{number}", number) for number in (3, 1, 2)])
    assert [entry.submission for entry in await store.records(EMPTY)] == ["sub_1", "sub_2", "sub_3"]
    assert [entry.submission for entry in await store.records(EMPTY, after=2)] == ["sub_3"]


async def test_an_entry_that_is_newer_than_what_is_written_late_stays(store: Leaderboards) -> None:
    new = record("sub_1", 5).joined(replace(ended("sub_1", "red"), seq=6))
    await store.write(EMPTY, [new])
    await store.write(EMPTY, [record("sub_1", 5), record("sub_2", 4)])
    assert await store.records(EMPTY) == [record("sub_2", 4), new]


async def test_entries_that_no_majority_has_are_not_taken_for_written(own_database: Database) -> None:
    """The head lets go of a record once its entry is written, so a failover would lose it for good."""
    store = mongo_store(own_database)
    await store.write(EMPTY, [record("sub_1", 5)])
    admin = own_database.client.admin
    unsure = {
        "failCommands": ["update"],
        "namespace": f"{own_database.name}.entries",
        "writeConcernError": {"code": 64, "errmsg": "waiting for replication timed out"},
    }
    for records in ([record("sub_2", 6)], [record("sub_1", 4), record("sub_3", 7)]):
        await admin.command({"configureFailPoint": "failCommand", "mode": {"times": 1}, "data": unsure})
        with pytest.raises(DependencyDown):
            await store.write(EMPTY, records)
        await store.write(EMPTY, records)
    assert {entry.submission for entry in await store.records(EMPTY)} == {"sub_1", "sub_2", "sub_3"}


async def test_a_generation_is_discarded_alone(store: Leaderboards) -> None:
    other = replace(EMPTY, generation="rebuild_1")
    await store.write(EMPTY, [record("sub_1", 1)])
    await store.write(other, [record("sub_1", 1), record("sub_2", 2)])
    await store.discard(other)
    assert await store.records(other) == []
    assert len(await store.records(EMPTY)) == 1
