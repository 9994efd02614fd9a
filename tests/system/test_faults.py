"""Parts of the running platform are killed and frozen; every receipt still ends, once, in order.

The numbers are those of the fault matrix in docs/reliability.md.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from aiokafka.admin import AIOKafkaAdminClient

from deploy.local.platform import Platform
from deploy.local.services import SERVICE_PROCESSES
from shared.contracts.registry import topics
from tests.system.competition import Competition, until

SERVICES = [row.name for row in SERVICE_PROCESSES]


@pytest.fixture
async def competition(platform: Platform, keys: dict[str, str], rng: random.Random) -> AsyncIterator[Competition]:
    played = Competition(platform, keys, rng)
    await played.publish()
    await played.register(3)
    yield played
    await played.close()


async def _submit_all(competition: Competition, count: int) -> None:
    """Submissions of all teams, a few at a time."""
    gate = asyncio.Semaphore(4)

    async def one(number: int) -> None:
        async with gate:
            await competition.submit(competition.teams[number % len(competition.teams)])

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(one(number))


@pytest.mark.parametrize("name", SERVICES)
async def test_a_service_killed_under_load_loses_nothing(competition: Competition, name: str) -> None:
    """Faults 3, 5, 7, 8, 10 and 31, wherever the kill happens to fall."""
    victim = competition.platform.process(name)
    before = victim.pid
    load = asyncio.create_task(_submit_all(competition, 12))
    await until(lambda: _some(competition, 3), "a few submissions are under way")
    victim.kill()
    given = len(competition.receipts)
    await load
    assert given < 12, "the load was over before the kill"
    ends = await competition.check_promises()
    assert ends == {"ranked": 12}
    await competition.platform.wait_ready()
    assert victim.pid != before, "the fault did not happen"


async def test_receipts_are_given_while_the_broker_is_down(competition: Competition) -> None:
    """Fault 16: the outbox grows, then drains in order."""
    await _submit_all(competition, 3)  # every team is known everywhere
    await competition.settled()
    before = set(competition.receipts)
    async with competition.platform.held_down("kafka"):
        await _submit_all(competition, 6)
        during = competition.receipts.keys() - before
        assert len(during) == 6
        states = [(await competition.status(submission))["state"] for submission in during]
        assert set(states) <= {"received", "scanning", "accepted"}, "events travelled although the broker is down"
    assert await competition.check_promises() == {"ranked": 9}


async def test_a_database_killed_under_load_comes_back_with_every_receipt(competition: Competition) -> None:
    """Fault 23."""
    victim = competition.platform.process("mongo")
    before = victim.pid
    load = asyncio.create_task(_submit_all(competition, 12))
    await until(lambda: _some(competition, 3), "a few submissions are under way")
    victim.kill()
    given = len(competition.receipts)
    await load
    assert given < 12, "the load was over before the database was killed"
    assert await competition.check_promises() == {"ranked": 12}
    assert victim.pid != before, "the fault did not happen"


async def test_without_its_database_the_api_says_503_and_when_to_come_back(competition: Competition) -> None:
    """Fault 24: no receipt, no 500, and everything goes on by itself."""
    team = competition.teams[0]
    upload = await competition.upload(team, competition.dataset())
    async with (
        competition.platform.held_down("mongo"),
        httpx.AsyncClient(base_url=competition.platform.url, timeout=30, trust_env=False) as http,
    ):
        answer = await http.post(
            "/v1/submissions",
            json={"challenge": competition.challenge, "upload": upload},
            headers={"Authorization": f"Bearer {team.key}", "Idempotency-Key": "while-away"},
        )
        assert answer.status_code == 503
        assert int(answer.headers["Retry-After"]) > 0
        assert answer.json()["fault"] == "platform"
        assert "receipt" not in answer.json()
    await competition.submit(team)
    assert await competition.check_promises() == {"ranked": 1}


async def test_a_frozen_database_is_waited_for(competition: Competition) -> None:
    """Fault 24, the slow form: connections stay open and silent."""
    mongo = competition.platform.process("mongo")
    await _submit_all(competition, 3)
    mongo.freeze()
    load = asyncio.create_task(_submit_all(competition, 3))
    done, _ = await asyncio.wait({load}, timeout=12)
    assert not done, "the database was frozen, and yet receipts were given"
    mongo.thaw()
    await load
    assert await competition.check_promises() == {"ranked": 6}


@pytest.mark.parametrize("name", ["scoring", "ranking", "ingest"])
async def test_a_consumer_frozen_beyond_its_session_does_no_double_work(competition: Competition, name: str) -> None:
    """Fault 9: its partitions are its own again afterwards, and what it writes late is refused."""
    victim = competition.platform.process(name)
    groups = [f"{name}.{topic.name}" for topic in topics() if name in topic.readers]
    async with administering(competition.platform) as admin:

        async def all_have(members: int) -> bool:
            return [await members_of(group, admin) for group in groups] == [members] * len(groups)

        await _submit_all(competition, 3)
        await until(lambda: all_have(1), f"{name} reads its topics")
        victim.freeze()
        # Without ingest there are no receipts: the load waits for it.
        load = asyncio.create_task(_submit_all(competition, 3))
        await until(lambda: all_have(0), f"the broker has expelled {name}")
        victim.thaw()
        await load
        await until(lambda: all_have(1), f"{name} reads its topics again")
    assert await competition.check_promises() == {"ranked": 6}


@pytest.mark.faults
@pytest.mark.timeout(1500)
async def test_a_random_process_killed_every_second_for_ten_minutes(competition: Competition) -> None:
    """Fault 12: L, D, O and C hold, and the platform has recovered within a minute of the last kill."""
    competition.patience = 600
    kills: dict[str, int] = {}
    stop = asyncio.Event()

    async def kill_on() -> None:
        names = [*SERVICES, "kafka", "mongo", "gateway"]
        while not stop.is_set():
            # What was killed is down for up to ten seconds: choose among those that are there to be killed.
            if alive := [name for name in names if competition.platform.process(name).running]:
                name = competition.rng.choice(alive)
                competition.platform.process(name).kill()
                kills[name] = kills.get(name, 0) + 1
            await asyncio.sleep(1)

    async def submit_on() -> None:
        while not stop.is_set():
            await competition.submit(competition.rng.choice(competition.teams))
            await asyncio.sleep(0.5)  # a load that two cores can score, so that the end is recovery and no backlog

    killing = asyncio.create_task(kill_on())
    submitting = [asyncio.create_task(submit_on()) for _ in range(2)]
    await asyncio.sleep(600)
    stop.set()
    await killing
    await asyncio.wait_for(competition.platform.wait_ready(), 60)
    await asyncio.gather(*submitting)
    ends = await competition.check_promises(within=60)
    assert sum(kills.values()) > 300, f"too few kills happened: {kills}"
    assert ends["ranked"] + ends["failed"] == len(competition.receipts)


@pytest.mark.faults
@pytest.mark.timeout(900)
async def test_all_brokers_down_for_two_minutes(competition: Competition) -> None:
    """Faults 16 and 21: every acknowledged event is readable after the broker's death, in order."""
    await _submit_all(competition, 4)
    async with competition.platform.held_down("kafka"):
        await _submit_all(competition, 20)
        await asyncio.sleep(120)
    assert await competition.check_promises(within=180) == {"ranked": 24}


@pytest.mark.faults
@pytest.mark.timeout(900)
async def test_scaling_up_and_down_and_a_rolling_restart_under_load(competition: Competition) -> None:
    """Fault 11: one to four replicas and back, then every process is told to stop in turn."""
    load = asyncio.create_task(_submit_all(competition, 120))
    scaled = ("ingest", "scoring", "ranking", "notify", "ingest-scan", "scoring-worker")
    for name in scaled:
        await competition.platform.scale(name, 4 if name in {"scoring", "ranking"} else 2)
    for name in scaled:
        await competition.platform.scale(name, 1)
    for name in SERVICES:
        process = competition.platform.process(name)
        assert await process.stop() == 0, f"{name} did not drain within its grace time"
        await competition.platform.wait_ready()
    await load
    assert await competition.check_promises(within=180) == {"ranked": 120}


@asynccontextmanager
async def administering(platform: Platform) -> AsyncIterator[AIOKafkaAdminClient]:
    """A client that asks the broker about its groups."""
    admin = AIOKafkaAdminClient(bootstrap_servers=platform.kafka_bootstrap)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()


async def members_of(group: str, admin: AIOKafkaAdminClient) -> int:
    """How many consumers a group has."""
    (answer,) = await admin.describe_consumer_groups([group])
    ((_error, _group, _state, _protocol_type, _protocol, members, *_),) = answer.groups
    return len(members)


async def _some(competition: Competition, count: int) -> bool:
    return len(competition.receipts) >= count
