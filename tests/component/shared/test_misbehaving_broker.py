"""A service process whose way to a real broker lies, loses answers, breaks and falls silent: one effect, in order."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from deploy.local.kafka import KafkaServer
from shared.settings import Settings
from tests.broker_proxy import (
    COORDINATOR_LOADING,
    COORDINATOR_NOT_AVAILABLE,
    NOT_COORDINATOR,
    NOT_ENOUGH_REPLICAS,
    NOT_ENOUGH_REPLICAS_AFTER_APPEND,
    NOT_LEADER,
    OFFSET_COMMIT,
    PRODUCE,
    REQUEST_TIMED_OUT,
    BrokerProxy,
    proxy,
)
from tests.component.shared.harness import Topic
from tests.component.shared.process import SmallService
from tests.component.shared.world import World
from tests.eventually import eventually

pytestmark = pytest.mark.faults


@pytest.fixture
async def between(kafka: KafkaServer, rng: random.Random) -> AsyncIterator[BrokerProxy]:
    """The proxy on the way to the broker; what a test asks of the broker itself does not come by it."""
    assert kafka.behind_proxy is not None
    assert kafka.proxy_port is not None
    async with proxy(("127.0.0.1", kafka.behind_proxy), kafka.proxy_port, rng.randrange(2**32)) as running:
        yield running


@asynccontextmanager
async def service_behind(between: BrokerProxy, world: World) -> AsyncIterator[SmallService]:
    """A ready process that knows the broker through the proxy alone."""
    async with world.process(JIEBANG_KAFKA_BOOTSTRAP=f"127.0.0.1:{between.port}") as service:
        await service.ready()
        yield service


async def work_of(service: SmallService, count: int, team: str = "team_1") -> None:
    """A team and `count` registrations of it: `count` + 1 events."""
    assert (await service.api.post(f"/v1/teams/{team}")).status_code == 201
    for _ in range(count):
        assert (await service.api.post(f"/v1/teams/{team}/registrations")).status_code == 200


async def everything_once(world: World, events: int, team: str = "team_1", *, within: float = 60) -> list[Any]:
    """Wait until every event had its effect and left its outbox; each had it once and in order. The records."""
    await eventually(lambda: world.counted(team, events), within=within, what=f"{events} events counted")
    await eventually(lambda: world.quiet(team), within=within, what="the outbox drained")
    records = await world.published(team)
    assert [sequence for _id, sequence in dict.fromkeys(records)] == list(range(1, events + 1))
    assert await world.tally(team) == {"team": team, "events": events, "last": events}
    return records


@pytest.mark.parametrize("code", [NOT_LEADER, REQUEST_TIMED_OUT, NOT_ENOUGH_REPLICAS, NOT_ENOUGH_REPLICAS_AFTER_APPEND])
async def test_a_record_whose_writing_is_said_to_have_failed_is_there_once(
    world: World, between: BrokerProxy, code: int
) -> None:
    """Fault 17, to a producer: the broker has the record, so only its idempotence keeps it from being there twice."""
    async with service_behind(between, world) as service:
        between.answer_with(PRODUCE, code, 4)
        await work_of(service, 6)
        records = await everything_once(world, 7)
        assert between.happened[f"error:{PRODUCE}:{code}"] == 4
        assert between.requests[PRODUCE] >= 7 + 4
        assert len(records) == 7, "a repeated write is one record"
        assert await service.metric("outbox_failures_total") == 0


@pytest.mark.parametrize("code", [COORDINATOR_LOADING, COORDINATOR_NOT_AVAILABLE, NOT_COORDINATOR])
async def test_a_coordinator_that_is_not_there_is_looked_for_again(
    world: World, between: BrokerProxy, settings: Settings, code: int
) -> None:
    """Fault 17, to a consumer."""
    async with service_behind(between, world) as service:
        between.answer_with(OFFSET_COMMIT, code, 3)
        await work_of(service, 6)
        await everything_once(world, 7)
        await eventually(lambda: between.happened[f"error:{OFFSET_COMMIT}:{code}"] == 3)
        await eventually(lambda: _all_committed(settings, 7), what="in the end it is committed")
        assert await service.metric("duplicates_total", collection="tallies") == 0


async def test_a_record_whose_acknowledgement_is_lost_has_its_effect_once(world: World, between: BrokerProxy) -> None:
    """Fault 18: written, and the connection gone before the answer."""
    async with service_behind(between, world) as service:
        between.lose_answers(PRODUCE, 4)
        await work_of(service, 6)
        await everything_once(world, 7)
        assert between.happened[f"lost:{PRODUCE}"] == 4


async def test_a_refused_commit_brings_the_records_again_and_they_are_dropped(
    world: World, between: BrokerProxy, settings: Settings
) -> None:
    """Fault 19: counted, one effect, and the stream goes on."""
    async with service_behind(between, world) as service:
        between.refuse_commits(1)
        await work_of(service, 3)
        await eventually(lambda: between.happened["commit refused"] == 1)
        await eventually(
            lambda: _at_least(service.metric("duplicates_total", collection="tallies"), 1),
            within=60,
            what="what was not committed came again",
        )
        assert await service.metric("offset_commit_failures_total", stream="board.teams") >= 1
        for _ in range(3):
            await service.api.post("/v1/teams/team_1/registrations")
        await everything_once(world, 7)
        await eventually(lambda: _all_committed(settings, 7), what="the stream does not stall")


async def test_a_broker_that_refuses_commits_for_long_stalls_nothing(world: World, between: BrokerProxy) -> None:
    """Fault 19, again and again: each refusal costs a rejoining, and the records in between are done once."""
    async with service_behind(between, world) as service:
        between.refuse_commits(4)
        await work_of(service, 5)
        await eventually(lambda: between.happened["commit refused"] == 4, within=120)
        await work_of(service, 5, "team_2")
        await everything_once(world, 6)
        await everything_once(world, 6, "team_2")
        assert await service.metric("offset_commit_failures_total", stream="board.teams") >= 4


async def test_silent_connections_are_given_up_and_nothing_storms(world: World, between: BrokerProxy) -> None:
    """Fault 25, half-open: connections are taken and nothing comes back, for longer than any time-out."""
    async with service_behind(between, world) as service:
        await work_of(service, 2)
        await everything_once(world, 3)
        connections, requests = between.connections, between.requests.total()
        between.frozen = True
        for _ in range(4):
            assert (await service.api.post("/v1/teams/team_1/registrations")).status_code == 200, "receipts are given"
        await asyncio.sleep(25)  # the length of the fault: more than twice the longest time-out
        assert between.happened["held"] > 0
        assert between.connections > connections, "nobody gave a silent connection up"
        assert between.connections - connections < 100, "connections are made in a storm"
        assert between.requests.total() - requests < 300, "requests are made in a storm"
        assert (await service.asked("livez")).status_code == 200
        between.frozen = False
        await everything_once(world, 7, within=90)


async def test_a_slow_way_to_the_broker_is_slow_and_nothing_else(
    world: World, between: BrokerProxy, settings: Settings
) -> None:
    """Fault 25: 300 ms each way."""
    async with service_behind(between, world) as service:
        between.latency = 0.3
        await work_of(service, 10)
        await everything_once(world, 11)
        await eventually(lambda: _all_committed(settings, 11))
        assert between.happened["delayed"] > 20
        assert await service.metric("offset_commit_failures_total") == 0
        assert await service.metric("duplicates_total", collection="tallies") == 0


async def test_a_way_that_resets_one_connection_in_twenty_loses_nothing(world: World, between: BrokerProxy) -> None:
    """Fault 25: 5 % of requests and answers meet a reset instead."""
    async with service_behind(between, world) as service:
        between.reset_share = 0.05
        for number in range(12):
            await work_of(service, 4, f"team_{number}")
        await eventually(lambda: between.happened["reset"] >= 10, within=120, what="resets happened")
        for number in range(12):
            await everything_once(world, 5, f"team_{number}", within=120)
        assert between.connections < 40 * between.happened["reset"], "connections are made in a storm"


async def _all_committed(settings: Settings, events: int) -> bool:
    topic = Topic(settings)
    return sum([await topic.committed(partition) for partition in range(12)]) == events


async def _at_least(value: Awaitable[float], expected: float) -> bool:
    return await value >= expected
