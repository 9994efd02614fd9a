"""`--prepare`: topics and indexes are made once, by a process that then ends."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from motor.motor_asyncio import AsyncIOMotorClient

from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer
from shared.contracts.registry import topics
from tests.component.service_process import environment


async def prepare(kafka: KafkaServer, mongo: MongoServer, prefix: str, folder: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.scoring.app", "--prepare"),
        env=environment(kafka, mongo, prefix, JIEBANG_OBJECTS_URL=folder.as_uri()),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0, output.decode()


@pytest.mark.parametrize("times", [1, 2], ids=["once", "again"])
async def test_a_process_that_only_prepares_makes_topics_and_indexes_and_ends(
    kafka: KafkaServer, mongo: MongoServer, prefix: str, tmp_path: Path, times: int
) -> None:
    for _ in range(times):
        await prepare(kafka, mongo, prefix, tmp_path)
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo.uri)
    try:
        await admin.start()
        made = {name.removeprefix(prefix) for name in await admin.list_topics() if name.startswith(prefix)}
        indexes = await client[f"{prefix.rstrip('.')}_scoring"]["score"].index_information()
    finally:
        await admin.close()
        await client.drop_database(f"{prefix.rstrip('.')}_scoring")
        client.close()
    assert {row.name for row in topics()} <= made
    assert "unreported_1" in indexes
