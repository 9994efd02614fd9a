"""A world for scoring."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer
from tests.component.scoring.world import World, new_world


@pytest.fixture
async def world(kafka: KafkaServer, mongo: MongoServer, tmp_path: Path) -> AsyncIterator[World]:
    """Topics, databases and objects of the test's own."""
    async with new_world(kafka, mongo, tmp_path) as made:
        yield made
