"""Stores of leaderboards: in memory, and in a real MongoDB."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer
from services.ranking.leaderboard import Leaderboard
from services.ranking.store import Leaderboards, MemoryLeaderboards, mongo_leaderboards
from shared.clock import SystemClock
from shared.ids import SystemIds
from shared.mongo import Aggregates, Database, client, database
from shared.outbox import Relay
from shared.settings import Settings
from tests.component.scoring.world import World, new_world
from tests.fakes import FakePublisher


def mongo_store(own: Database, relay: Relay | None = None) -> Leaderboards:
    """A store as one process has it; two of them on one database are two replicas."""
    heads = Aggregates(
        own,
        "leaderboards",
        Leaderboard,
        source="ranking",
        relay=relay or Relay(FakePublisher(down=True)),
        clock=SystemClock(),
        ids=SystemIds(),
    )
    return mongo_leaderboards(heads, own)


@pytest.fixture
async def own_database(mongo: MongoServer, prefix: str) -> AsyncIterator[Database]:
    """An empty database of the test's own, by a client as services have it; dropped afterwards."""
    settings = Settings(mongo_uri=mongo.uri, mongo_database_prefix=prefix.strip("."))
    connection = client(settings)
    own = database(connection, settings, "ranking")
    yield own
    await connection.drop_database(own.name)
    connection.close()


@pytest.fixture(params=["memory", "mongo"])
def store(request: pytest.FixtureRequest) -> Leaderboards:
    """Each test runs over both stores."""
    if request.param == "memory":
        return MemoryLeaderboards()
    return mongo_store(request.getfixturevalue("own_database"))


@pytest.fixture
async def world(kafka: KafkaServer, mongo: MongoServer, tmp_path: Path) -> AsyncIterator[World]:
    """Topics, databases and objects of the test's own."""
    async with new_world(kafka, mongo, tmp_path) as made:
        yield made
