from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer
from shared.settings import Settings
from tests.component.shared.harness import Topic, settings_for


@pytest.fixture
def settings(kafka: KafkaServer, mongo: MongoServer, prefix: str) -> Settings:
    """Settings for the real servers under names of the test's own."""
    return settings_for(kafka.bootstrap, prefix, mongo_uri=mongo.uri, mongo_database_prefix=prefix.rstrip("."))


@pytest.fixture
async def topic(settings: Settings) -> AsyncIterator[Topic]:
    """The topic `board.teams` of the test's own, with two partitions."""
    async with Topic(settings) as made:
        yield made
