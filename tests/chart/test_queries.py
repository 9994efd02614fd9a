"""The queries that KEDA counts the work of workers with, asked of a real MongoDB."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import yaml
from bson.json_util import loads
from motor.motor_asyncio import AsyncIOMotorDatabase

from deploy.helm.chart import CHART
from shared.jobs import Jobs

SERVICES = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))["services"]


async def count(database: AsyncIOMotorDatabase[dict[str, Any]], process: str) -> int:
    queue = SERVICES[process]["queue"]
    return await database[queue["collection"]].count_documents(loads(queue["query"]))


async def test_jobs_that_wait_or_are_under_way_count_and_those_done_do_not(
    mongo_database: AsyncIOMotorDatabase[dict[str, Any]],
) -> None:
    for process in ("ingest-scan", "scoring-worker"):
        jobs = Jobs(mongo_database, SERVICES[process]["queue"]["collection"])
        await jobs.prepare()
        for number in range(3):
            await jobs.queue(f"job {number}", {})
        assert await count(mongo_database, process) == 3
        lease = await jobs.claim("a worker")
        assert lease is not None
        assert await count(mongo_database, process) == 3
        await jobs.finish(lease)
        assert await count(mongo_database, process) == 2


async def test_deliveries_that_are_due_count_and_those_of_later_or_of_never_do_not(
    mongo_database: AsyncIOMotorDatabase[dict[str, Any]],
) -> None:
    now = datetime.now(UTC)
    due = [now - timedelta(minutes=1), now - timedelta(hours=1), now + timedelta(hours=1), None]
    await mongo_database["deliveries"].insert_many([{"state": {"due_at": moment}} for moment in due])
    assert await count(mongo_database, "notify-worker") == 2
