"""Real servers for the tests: one Kafka and one MongoDB per test run, a database and a name prefix per test."""

from __future__ import annotations

import os
import random
import secrets
from collections.abc import AsyncIterator
from typing import Any

import pytest
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase

from deploy.local.fetch import Programs, fetch_all
from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer

SEED = int(os.environ.get("TEST_SEED") or secrets.randbits(32))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what chance was, in quiet runs too: with the seed a run can be repeated."""
    terminalreporter.write_line(f"seed {SEED} (TEST_SEED={SEED} repeats this run's random choices)")


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Random choices of one test, the same for the same seed of the run and name of the test."""
    return random.Random(f"{SEED} {request.node.name}")


@pytest.fixture(scope="session")
def programs() -> Programs:
    """The programs of the local platform, fetched into the cache if they are not there."""
    return fetch_all()


@pytest.fixture(scope="session")
async def kafka(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[KafkaServer]:
    """A real broker shared by the test run (`kafka.bootstrap`). A test that breaks it puts it right again."""
    server = KafkaServer(tmp_path_factory.mktemp("kafka"), programs, for_tests=True)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture(scope="session")
async def mongo(programs: Programs, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[MongoServer]:
    """A real mongod shared by the test run (`mongo.uri`). A test that breaks it puts it right again."""
    server = MongoServer(tmp_path_factory.mktemp("mongo"), programs, for_tests=True)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def mongo_database(mongo: MongoServer) -> AsyncIterator[AsyncIOMotorDatabase[dict[str, Any]]]:
    """An empty database of the test's own, dropped afterwards."""
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo.uri)
    name = f"test_{secrets.token_hex(6)}"
    yield client[name]
    await client.drop_database(name)
    client.close()


@pytest.fixture
def prefix() -> str:
    """A prefix of the test's own for Kafka topics, consumer groups and databases."""
    return f"t{secrets.token_hex(5)}."
