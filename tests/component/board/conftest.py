"""The board's store, twice: in memory and on a real MongoDB."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import pytest

from deploy.local.mongo import MongoServer
from services.board.store import MemoryStore, MongoStore, Store
from shared.clock import SystemClock
from shared.ids import SystemIds
from shared.mongo import client, database
from shared.outbox import Relay
from shared.settings import Settings


class Published:
    """A publisher that keeps what it was given."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    async def publish(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        assert value is not None
        self.bodies.append(value)


Facts = Callable[[], Awaitable[list[str]]]
"""The types of the events that a store has published, as soon as it has published all."""


@pytest.fixture(params=["memory", "mongo"])
async def _kept(request: pytest.FixtureRequest, mongo: MongoServer, prefix: str) -> AsyncIterator[tuple[Store, Facts]]:
    if request.param == "memory":
        memory = MemoryStore(SystemClock())

        async def facts() -> list[str]:
            return [fact.type for fact in memory.facts]

        yield memory, facts
        return
    settings = Settings(mongo_uri=mongo.uri, mongo_database_prefix=prefix.rstrip("."))
    connection = client(settings)
    kept = database(connection, settings, "board")
    published = Published()
    relay = Relay(published)
    mongo_store = MongoStore(kept, relay=relay, clock=SystemClock(), ids=SystemIds())
    await mongo_store.prepare()

    async def events() -> list[str]:
        assert await relay.settle(10)
        return [json.loads(body)["type"] for body in published.bodies]

    yield mongo_store, events
    await relay.stop(5)
    await connection.drop_database(kept.name)
    connection.close()


@pytest.fixture
def store(_kept: tuple[Store, Facts]) -> Store:
    """An empty store of each kind."""
    return _kept[0]


@pytest.fixture
def published_facts(_kept: tuple[Store, Facts]) -> Facts:
    """What the store has published."""
    return _kept[1]
