"""Notify's store, twice: in memory and on a real MongoDB."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from deploy.local.mongo import MongoServer
from services.notify.store import Store
from services.notify.store_memory import MemoryStore
from services.notify.store_mongo import MongoStore
from shared.clock import SystemClock
from shared.ids import SystemIds
from shared.mongo import client, database
from shared.outbox import Relay
from shared.settings import Settings
from tests.component.board.conftest import Published


@pytest.fixture(params=["memory", "mongo"])
async def store(request: pytest.FixtureRequest, mongo: MongoServer, prefix: str) -> AsyncIterator[Store]:
    """An empty store of each kind."""
    if request.param == "memory":
        yield MemoryStore(SystemClock())
        return
    settings = Settings(mongo_uri=mongo.uri, mongo_database_prefix=prefix.rstrip("."))
    connection = client(settings)
    kept = database(connection, settings, "notify")
    relay = Relay(Published())
    mongo_store = MongoStore(kept, relay=relay, clock=SystemClock(), ids=SystemIds())
    await mongo_store.prepare()
    yield mongo_store
    await relay.stop(5)
    await connection.drop_database(kept.name)
    connection.close()
