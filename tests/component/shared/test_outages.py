"""Kafka and MongoDB away, at the start and in between: receipts are given or refused, never lost; all is made good."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest

from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer
from shared.settings import Settings
from tests.component.shared.process import SmallService
from tests.component.shared.world import World
from tests.eventually import eventually


@pytest.fixture(autouse=True)
async def put_right(kafka: KafkaServer, mongo: MongoServer) -> AsyncIterator[None]:
    """Whatever a test did to the servers, the next one finds them running."""
    yield
    for server in (kafka, mongo):
        server.thaw() if server.process.running else await server.restart()
        await server.wait_ready()


async def test_with_kafka_away_at_the_start_the_api_works_and_the_rest_follows(
    world: World,
    kafka: KafkaServer,
) -> None:
    kafka.kill()
    async with world.process() as service:
        await service.listening()
        await eventually(lambda: _answers(service, "/v1/teams/team_1", 201))
        readyz = await service.asked("readyz")
        assert readyz.status_code == 503
        assert "kafka" in readyz.json()["wrong"]["start"]
        assert (await service.asked("livez")).status_code == 200
        assert await world.outbox("team_1") == 1
        await kafka.restart()
        await service.ready()
        await eventually(lambda: world.counted("team_1", 1), within=60)
        await eventually(lambda: world.quiet("team_1"))


async def test_with_kafka_away_for_a_while_receipts_are_given_and_events_follow_in_order(
    world: World,
    kafka: KafkaServer,
) -> None:
    async with world.process() as service:
        await service.ready()
        await service.api.post("/v1/teams/team_1")
        await eventually(lambda: world.counted("team_1", 1))
        kafka.kill()
        for _ in range(20):
            assert (await service.api.post("/v1/teams/team_1/registrations")).status_code == 200
        for number in range(20):
            assert (await service.api.post(f"/v1/teams/late_{number}")).status_code == 201
        assert await world.outbox("team_1") == 20, "the broker was away"
        assert (await service.asked("livez")).status_code == 200
        await asyncio.sleep(3)  # the length of the outage
        await kafka.restart()
        await eventually(lambda: world.counted("team_1", 21), within=60)
        for number in range(20):
            await eventually(_counted(world, f"late_{number}"))
    records = await world.published("team_1")
    assert [sequence for _id, sequence in dict.fromkeys(records)] == list(range(1, 22))
    assert await world.tally("team_1") == {"team": "team_1", "events": 21, "last": 21}


async def test_a_frozen_kafka_delays_events_and_loses_none(world: World, kafka: KafkaServer) -> None:
    async with world.process() as service:
        await service.ready()
        kafka.freeze()
        for number in range(5):
            assert (await service.api.post(f"/v1/teams/team_{number}")).status_code == 201
        await asyncio.sleep(12)  # longer than a request or a session may take
        kafka.thaw()
        for number in range(5):
            await eventually(_counted(world, f"team_{number}"), within=60)
            assert await world.tally(f"team_{number}") == {"team": f"team_{number}", "events": 1, "last": 1}


async def test_with_the_database_away_nothing_is_acknowledged_and_nothing_committed(
    world: World,
    mongo: MongoServer,
) -> None:
    async with world.process() as service:
        await service.ready()
        await service.api.post("/v1/teams/team_1")
        await eventually(lambda: world.counted("team_1", 1))
        mongo.kill()
        answer = await service.api.post("/v1/teams/team_1/registrations")
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        assert answer.json()["code"] == "platform_fault"
        assert (await service.asked("livez")).status_code == 200
        await mongo.restart()
        await eventually(lambda: _answers(service, "/v1/teams/team_1/registrations", 200))
        await eventually(lambda: world.counted("team_1", 2), within=60)
        assert await service.metric("dead_letters_total") == 0


async def test_a_database_killed_under_load_keeps_every_write_it_acknowledged(
    world: World,
    mongo: MongoServer,
) -> None:
    async with world.process() as service:
        await service.ready()
        given: list[str] = []
        refused = 0
        stop = asyncio.Event()

        async def submit(worker: int) -> None:
            nonlocal refused
            number = 0
            while not stop.is_set():
                id = f"team_{worker}_{number}"
                answer = await service.api.post(f"/v1/teams/{id}")
                if answer.status_code == 201:
                    given.append(id)
                    number += 1
                else:
                    assert answer.status_code == 503
                    refused += 1

        submitters = [asyncio.create_task(submit(worker)) for worker in range(4)]
        await eventually(lambda: len(given) > 40)
        mongo.kill()
        await eventually(lambda: refused > 0, what="the database was away")
        await mongo.restart()
        seen = len(given)
        await eventually(lambda: len(given) > seen + 40, within=60)
        stop.set()
        await asyncio.gather(*submitters)
        for id in given:
            await eventually(_counted(world, id), within=60)
        tallies = await world.stored["tallies"].find({}).to_list(None)
        assert {tally["state"]["events"] for tally in tallies} == {1}
        assert set(given) <= {tally["_id"] for tally in tallies}


async def test_with_the_database_away_at_the_start_the_process_waits_for_it(
    world: World,
    mongo: MongoServer,
) -> None:
    mongo.kill()
    async with world.process() as service:
        await service.listening()
        await eventually(lambda: _wrong(service, "mongodb"))
        assert (await service.asked("livez")).status_code == 200
        await mongo.restart()
        await service.ready()


async def test_a_process_whose_port_is_taken_says_so(settings: Settings, world: World) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        async with world.process(JIEBANG_RANKING_PORT=str(taken.getsockname()[1])) as service:
            assert await service.ended() == 1
            assert "ranking cannot listen" in service.log.read_text("utf-8")


async def test_a_process_with_a_wrong_setting_does_not_start(world: World) -> None:
    async with world.process(JIEBANG_KAFKA_BOOTSTRAPS="x") as service:
        assert await service.ended() == 2
        assert "JIEBANG_KAFKA_BOOTSTRAPS is not a setting" in service.log.read_text("utf-8")


async def test_a_process_whose_background_loop_ends_gives_up_so_that_it_is_restarted(
    world: World,
) -> None:
    async with world.process(FAULT="background") as service:
        await service.listening()
        assert await service.ended(60) == 1
        (line,) = service.events("process_gives_up")
        assert "a background loop that ends" in line["exception"]


async def _answers(service: SmallService, path: str, status: int) -> bool:
    try:
        return (await service.api.post(path)).status_code == status
    except httpx.TransportError:
        return False  # not listening yet


async def _wrong(service: SmallService, what: str) -> bool:
    answer = await service.asked("readyz")
    return answer.status_code == 503 and what in answer.json()["wrong"].get("start", "")


def _counted(world: World, team: str, events: int = 1) -> Callable[[], Awaitable[bool]]:
    return lambda: world.counted(team, events)
