"""The topics of a running platform read again and made anew: what stands is what they say, to the byte."""

from __future__ import annotations

import random
import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiokafka import AIOKafkaProducer

from deploy.local.platform import Platform
from tests.system.competition import Competition, until
from tests.system.topics import all_read, records_about

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]


@pytest.fixture
async def competition(platform: Platform, keys: dict[str, str], rng: random.Random) -> AsyncIterator[Competition]:
    played = Competition(platform, keys, rng)
    await played.publish()
    await played.register(4)
    for number in range(16):
        await played.submit(played.teams[number % 4])
    await played.submit(played.teams[0], b"\x00\x01 not a table", "readings.parquet")
    assert await played.check_promises() == {"ranked": 16, "rejected": 1}
    yield played
    await played.close()


async def _state(competition: Competition) -> dict[str, bytes]:
    """All that teams and the public see."""
    board = f"/v1/leaderboards/{competition.challenge}"
    seen = {path: (await competition.call("GET", path)).content for path in (board, f"{board}/history")}
    for team in competition.teams:
        quota = f"/v1/quota?challenge={competition.challenge}"
        seen[team.id] = (await competition.call("GET", quota, team.key)).content
        seen[f"{team.id} explained"] = (await competition.call("GET", f"{board}/teams/{team.id}")).content
    for id, received in competition.receipts.items():
        key = next(team.key for team in competition.teams if team.id == received["team"])
        seen[id] = (await competition.call("GET", f"/v1/submissions/{id}", key)).content
    return seen


async def test_everything_published_again_and_shuffled_changes_not_a_byte(competition: Competition) -> None:
    """Fault 34: every event of the competition comes twice more, in no order at all."""
    platform = competition.platform
    await until(lambda: all_read(platform), "everything is read")
    before = await _state(competition)
    records = await records_about(platform, competition.challenge)
    ids = {event.id for event in await competition.events()}
    again = [*records, *records]
    competition.rng.shuffle(again)

    producer = AIOKafkaProducer(bootstrap_servers=platform.kafka_bootstrap)
    await producer.start()
    for record in again:
        await producer.send(record.topic, record.value, key=record.key, headers=list(record.headers))
    await producer.stop()

    assert len(await records_about(platform, competition.challenge)) >= 3 * len(records), "they are there again"
    await until(lambda: all_read(platform), "all of it is read again", within=180)
    assert await _state(competition) == before
    assert {event.id for event in await competition.events()} == ids, "what was read again made something new"


async def test_boards_made_anew_from_the_topics_are_the_boards_that_stand(competition: Competition) -> None:
    """Fault 34: a rebuild beside the live boards finds the same and says nothing."""
    before = await _state(competition)
    said = await records_about(competition.platform, competition.challenge)
    key = competition.keys["operator"]
    asked = (await competition.call("POST", "/v1/ops/ranking/rebuilds", key)).json()
    found: dict[str, Any] = {}

    async def done() -> bool:
        found.update((await competition.call("GET", f"/v1/ops/ranking/rebuilds/{asked['id']}", key)).json())
        return bool(found["state"] == "done")

    await until(done, "the boards are made anew", within=120)
    assert found["same"], found
    assert any(competition.challenge in str(board) for board in found["boards"]), "this board was made anew"
    after = await _state(competition)
    assert after != before, "the boards that are shown are not those that were made anew"
    assert _but_for_the_generation(after) == _but_for_the_generation(before)
    assert len(await records_about(competition.platform, competition.challenge)) == len(said), "a rebuild spoke"


def _but_for_the_generation(state: dict[str, bytes]) -> dict[str, bytes]:
    return {name: re.sub(rb'"generation":"[^"]+",', b"", body) for name, body in state.items()}
