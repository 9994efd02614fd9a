from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer
from shared.mongo import Database, client, database
from shared.settings import Settings
from tests.component.shared.harness import Topic, delete_topics, settings_for
from tests.component.shared.world import World


@pytest.fixture
def settings(kafka: KafkaServer, mongo: MongoServer, prefix: str) -> Settings:
    """Settings for the real servers under names of the test's own."""
    return settings_for(kafka.bootstrap, prefix, mongo_uri=mongo.uri, mongo_database_prefix=prefix.rstrip("."))


@pytest.fixture
async def topic(settings: Settings) -> AsyncIterator[Topic]:
    """The topic `board.teams` of the test's own, with two partitions."""
    async with Topic(settings) as made:
        yield made


@pytest.fixture
async def world(settings: Settings, tmp_path: Path) -> AsyncIterator[World]:
    connection = client(settings)
    stored = database(connection, settings, "ranking")
    yield World(settings, tmp_path, stored)
    await connection.drop_database(stored.name)
    connection.close()
    await delete_topics(settings)


@pytest.fixture
async def mongo_database(settings: Settings) -> AsyncIterator[Database]:
    """An empty database of the test's own, by a client as services have it."""
    connection = client(settings)
    made = database(connection, settings, "test")
    yield made
    await connection.drop_database(made.name)
    connection.close()
