"""Ingest's processes for its component tests: one stage for a module, and a fresh one where a test kills things."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer
from tests.component.ingest.stage import Stage, on_stage


@pytest.fixture(scope="module")
async def stage(
    kafka: KafkaServer, mongo: MongoServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Stage]:
    """Ingest's API and a scan worker, shared by the tests of a module."""
    folder = tmp_path_factory.mktemp("ingest")
    async with on_stage(kafka, mongo, folder, f"ti{secrets.token_hex(4)}.") as made:
        await made.start_scanning()
        yield made


@pytest.fixture
async def api_alone(kafka: KafkaServer, mongo: MongoServer, tmp_path: Path, prefix: str) -> AsyncIterator[Stage]:
    """Ingest's API without a worker, for a test of its own."""
    async with on_stage(kafka, mongo, tmp_path, prefix, JIEBANG_INGEST_SWEEP_EVERY="500ms") as made:
        yield made
