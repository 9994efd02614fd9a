"""The next version of services beside this one: each reads what the other writes, and strangers' events harm nobody."""

from __future__ import annotations

import asyncio
import json
import random
import re
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
import pytest
from aiokafka import AIOKafkaProducer
from jsonschema import Draft202012Validator

from deploy.local.platform import Platform
from deploy.local.ports import stored_port
from deploy.local.services import SERVICE_PROCESSES, ServiceProcess, service_part
from shared.contracts.registry import topics
from tests.system.competition import Competition, until
from tests.system.newer import is_newer
from tests.system.topics import all_read, records_about

pytestmark = [pytest.mark.faults, pytest.mark.timeout(900)]

ROOT = Path(__file__).resolve().parents[2]
IN_PLACE = ("board", "scoring-worker")
BESIDE = ("ingest", "ingest-scan", "ranking", "notify")
REPLICA = 8


class Versions:
    """A platform some of whose processes are of the next version; what they and the others count."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self._names = [row.name for row in SERVICE_PROCESSES if row.name != "board"]
        self._names += [f"{name}-{REPLICA}" for name in BESIDE]

    async def counted(self, metric: str) -> Counter[str]:
        """A counter over all processes, by stream."""
        found: Counter[str] = Counter()
        async with httpx.AsyncClient(timeout=10, trust_env=False) as http:
            for name in self._names:
                port = stored_port(self.platform.state, f"{name}.internal")
                text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
                for stream, value in re.findall(rf'^{metric}{{.*stream="([\w.]+)".*}} ([\d.e+]+)$', text, re.MULTILINE):
                    found[stream] += int(float(value))
        return found


@asynccontextmanager
async def the_next_version_beside(platform: Platform) -> AsyncIterator[Versions]:
    """The board and the worker that scores are of the next version; of most others there is one of each version."""
    settings = {**platform.settings_of_services(), "PYTHONPATH": str(ROOT)}
    async with AsyncExitStack() as stack:
        for row in SERVICE_PROCESSES:
            if row.name not in IN_PLACE + BESIDE:
                continue
            if row.name in IN_PLACE:
                await stack.enter_async_context(platform.held_down(row.name))
            newer = ServiceProcess(row.name, "tests.system.newer", public=row.public)
            part = service_part(
                newer,
                platform.state,
                {**settings, "NEWER": row.module},
                replica=1 if row.name in IN_PLACE else REPLICA,
            )
            await part.start()
            stack.push_async_callback(part.stop)
        yield Versions(platform)


async def _strangers(platform: Platform, stop: asyncio.Event) -> Counter[str]:
    """Events of types that nobody knows, into every topic, until told to stop; how many into each."""
    sent: Counter[str] = Counter()
    producer = AIOKafkaProducer(bootstrap_servers=platform.kafka_bootstrap)
    await producer.start()
    try:
        while not stop.is_set():
            for topic in topics():
                subject = f"str_{secrets.token_hex(6)}"
                event = {
                    "specversion": "1.0",
                    "id": f"evt_{secrets.token_hex(12)}",
                    "source": "/tomorrow",
                    "type": f"{topic.name.partition('.')[2].rstrip('s')}.dreamt.v1",
                    "subject": subject,
                    "data": {"of": ["electric", "sheep"]},
                }
                await producer.send_and_wait(topic.name, json.dumps(event).encode(), key=subject.encode())
                sent[topic.name] += 1
            await asyncio.sleep(0.1)  # the pace of the strangers
    finally:
        await producer.stop()
    return sent


async def test_old_and_new_services_read_each_other_and_ignore_what_neither_knows(
    platform: Platform, keys: dict[str, str], rng: random.Random
) -> None:
    """Fault 35: a challenge of the old board and one of the new, submissions to both, and strangers in every topic."""
    older, newer = Competition(platform, keys, rng), Competition(platform, keys, rng)
    await older.publish()
    await older.register(2)
    async with the_next_version_beside(platform) as versions:
        await newer.publish()
        await newer.register(2)
        unknown, dead = await versions.counted("events_unknown_total"), await versions.counted("dead_letters_total")
        stop = asyncio.Event()
        strangers = asyncio.create_task(_strangers(platform, stop))
        for number in range(20):
            played = (older, newer)[number % 2]
            await played.submit(played.teams[number // 2 % 2])
        assert await older.settled() == await newer.settled() == {"ranked": 10}
        stop.set()
        sent = await strangers
        await until(lambda: all_read(platform), "everything is read")

        assert await older.check_promises() == await newer.check_promises() == {"ranked": 10}
        ignored = await versions.counted("events_unknown_total") - unknown
        for topic in topics():
            assert ignored[topic.name] >= sent[topic.name] * len(topic.readers), f"{topic.name}: {ignored} of {sent}"
        assert await versions.counted("dead_letters_total") == dead
    await _check_that_both_wrote_and_old_schemas_hold(platform, older, newer)
    await older.close()
    await newer.close()


async def _check_that_both_wrote_and_old_schemas_hold(
    platform: Platform, older: Competition, newer: Competition
) -> None:
    """W: both versions wrote. A reader that has this version's schemas alone can read all of it."""
    seen: set[str] = set()
    by_version: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for record in [*await records_about(platform, older.challenge), *await records_about(platform, newer.challenge)]:
        assert record.value is not None
        event = json.loads(record.value)
        if event["id"] not in seen:  # two relays may both publish it
            by_version[is_newer(record.value)][event["type"]] += 1
        seen.add(event["id"])
        schema = ROOT / "shared" / "contracts" / "schemas" / f"{event['type']}.json"
        Draft202012Validator(json.loads(schema.read_text("utf-8"))).validate(event)
    assert by_version[False]["challenge.published.v1"] == by_version[True]["challenge.published.v1"] == 1
    assert by_version[True]["registration.accepted.v1"] == 2
    assert by_version[True]["score.completed.v1"] == 20
    assert by_version[False]["submission.received.v1"] == 20
