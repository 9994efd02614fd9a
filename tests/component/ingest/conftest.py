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
async def api_alone(
    request: pytest.FixtureRequest, kafka: KafkaServer, mongo: MongoServer, tmp_path: Path, prefix: str
) -> AsyncIterator[Stage]:
    """Ingest's API without a worker, for one test; `@pytest.mark.parametrize(..., indirect=True)` gives it settings."""
    given: dict[str, str] = getattr(request, "param", {})
    async with on_stage(kafka, mongo, tmp_path, prefix, **{"JIEBANG_INGEST_SWEEP_EVERY": "300ms"} | given) as made:
        yield made


def with_settings(**settings: str) -> pytest.MarkDecorator:
    """Give the `api_alone` of a test settings of `JIEBANG_INGEST_…`."""
    named = {f"JIEBANG_INGEST_{name.upper()}": value for name, value in settings.items()}
    return pytest.mark.parametrize("api_alone", [named], indirect=True, ids=[""])
