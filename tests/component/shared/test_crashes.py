"""A process killed or frozen at the worst moments, on real Kafka and MongoDB: nothing lost, nothing twice, in order."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import httpx

from tests.component.shared.world import World
from tests.eventually import eventually


async def test_a_consumer_killed_before_its_effect_gives_the_event_to_its_successor(world: World) -> None:
    async with world.process(FAULT="kill before effect") as first:
        await first.ready()
        assert (await first.api.post("/v1/teams/team_1")).status_code == 201
        assert await first.ended() == -9
    assert await world.tally("team_1") is None, "it had no effect"
    async with world.process("two") as second:
        await second.ready()
        await eventually(lambda: world.counted("team_1", 1))
        assert await second.metric("duplicates_total", collection="tallies") == 0
    assert await world.tally("team_1") == {"team": "team_1", "events": 1, "last": 1}


async def test_a_consumer_killed_after_its_effect_and_before_the_commit_has_it_once(world: World) -> None:
    async with world.process(FAULT="kill after effect") as first:
        await first.ready()
        await first.api.post("/v1/teams/team_1")
        assert await first.ended() == -9
    assert await world.counted("team_1", 1), "it had its effect"
    async with world.process("two") as second:
        await second.ready()
        await eventually(lambda: _at_least(second.metric("duplicates_total", collection="tallies"), 1))
        assert await second.metric("duplicates_total", collection="tallies") == 1
    assert await world.tally("team_1") == {"team": "team_1", "events": 1, "last": 1}


async def test_a_relay_killed_between_save_and_publish_leaves_the_event_to_the_sweep(world: World) -> None:
    async with world.process(FAULT="kill before publish") as first:
        await first.ready()
        with suppress(httpx.TransportError):  # it dies while it answers, or just after
            await first.api.post("/v1/teams/team_1")
        assert await first.ended() == -9
    assert await world.outbox("team_1") == 1
    assert await world.published("team_1") == []
    async with world.process("two") as second:
        await second.ready()
        await eventually(lambda: world.counted("team_1", 1))
        await eventually(lambda: world.quiet("team_1"))
    assert len(await world.published("team_1")) == 1


async def test_a_relay_killed_between_publish_and_mark_publishes_twice_with_one_id(world: World) -> None:
    async with world.process(FAULT="kill after publish") as first:
        await first.ready()
        with suppress(httpx.TransportError):  # it dies while it answers, or just after
            await first.api.post("/v1/teams/team_1")
        assert await first.ended() == -9
    assert await world.outbox("team_1") == 1
    assert len(await world.published("team_1")) == 1
    async with world.process("two") as second:
        await second.ready()
        await eventually(lambda: world.quiet("team_1"))
        await eventually(lambda: _at_least(second.metric("duplicates_total", collection="tallies"), 1))
    records = await world.published("team_1")
    assert len(records) == 2
    assert len(set(records)) == 1, "one event, one id"
    assert await world.tally("team_1") == {"team": "team_1", "events": 1, "last": 1}


async def test_a_frozen_relay_that_wakes_up_late_changes_nothing(world: World) -> None:
    async with world.process("one", FAULT="freeze before publish") as frozen, world.process("two") as other:
        await frozen.ready()
        await other.ready()
        with suppress(httpx.TransportError):  # it freezes while it answers, or just after
            await frozen.api.post("/v1/teams/team_1", timeout=1)
        await eventually(frozen.is_frozen)
        await eventually(lambda: world.quiet("team_1"), what="the other one's sweep publishes")
        for _ in range(3):
            assert (await other.api.post("/v1/teams/team_1/registrations")).status_code == 200
        await eventually(lambda: world.quiet("team_1"))
        frozen.thaw()
        await eventually(lambda: _length(world.published("team_1"), 5), what="it publishes its own, late")
        await eventually(lambda: world.counted("team_1", 4), within=60)
    records = await world.published("team_1")
    assert [sequence for _id, sequence in dict.fromkeys(records)] == [1, 2, 3, 4]
    assert records.count(records[0]) == 2
    tally = await world.tally("team_1")
    assert tally is not None
    assert tally["events"] == 4


async def test_the_late_write_of_a_consumer_that_was_frozen_is_refused(world: World) -> None:
    async with world.process("one", FAULT="freeze before effect") as frozen:
        await frozen.ready()
        await frozen.api.post("/v1/teams/team_1")
        await eventually(frozen.is_frozen)
        async with world.process("two") as other:
            await other.ready()
            await eventually(lambda: world.counted("team_1", 1), within=60, what="its partitions have passed on")
            frozen.thaw()
            await eventually(lambda: _at_least(frozen.metric("duplicates_total", collection="tallies"), 1))
            await other.api.post("/v1/teams/team_1/registrations")
            await eventually(lambda: world.counted("team_1", 2), within=60)
    assert await world.tally("team_1") == {"team": "team_1", "events": 2, "last": 2}


async def test_a_process_told_to_stop_finishes_its_record_commits_it_and_exits_0(world: World) -> None:
    begun = world.folder / "begun"
    async with world.process(SLOW=str(begun)) as first:
        await first.ready()
        await first.api.post("/v1/teams/team_1")
        await eventually(begun.exists)
        assert await world.tally("team_1") is None
        assert await first.stop() == 0
    assert await world.counted("team_1", 1), "the record that was begun is finished"
    async with world.process("two") as second:
        await second.ready()
        await second.api.post("/v1/teams/team_2")
        await eventually(lambda: world.counted("team_2", 1))
        assert await second.metric("duplicates_total", collection="tallies") == 0, "and was committed"


async def _at_least(value: Any, expected: float) -> bool:
    return bool(await value >= expected)


async def _length(value: Any, expected: int) -> bool:
    return len(await value) >= expected
