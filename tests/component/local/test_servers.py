"""The real servers keep what they acknowledged across `kill -9`, and nothing is left when their starter is killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import textwrap
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorDatabase
from pymongo.errors import NetworkTimeout

from deploy.local.fetch import Programs
from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer
from deploy.local.process import StartFailed


async def create_topic(kafka: KafkaServer, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    await admin.close()


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


async def read_all(kafka: KafkaServer, topic: str, count: int) -> list[bytes]:
    consumer = AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        async with asyncio.timeout(60):
            return [(await consumer.getone()).value or b"" for _ in range(count)]
    finally:
        await consumer.stop()


async def test_a_killed_broker_has_every_acknowledged_record_on_the_same_port(kafka: KafkaServer, prefix: str) -> None:
    topic = prefix + "kept"
    await create_topic(kafka, topic)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    for number in range(50):
        await producer.send_and_wait(topic, str(number).encode())
    before, address = kafka.process.pid, kafka.bootstrap

    kafka.kill()
    assert kafka.process.exit_code == -signal.SIGKILL
    await kafka.restart()

    await producer.send_and_wait(topic, b"after")
    await producer.stop()
    assert kafka.process.pid != before
    assert kafka.bootstrap == address
    assert await read_all(kafka, topic, 51) == [*(str(number).encode() for number in range(50)), b"after"]


async def test_a_killed_mongod_has_every_acknowledged_write_on_the_same_port(
    mongo: MongoServer, mongo_database: AsyncIOMotorDatabase[dict[str, Any]]
) -> None:
    before = mongo.process.pid
    for number in range(50):
        await mongo_database.kept.insert_one({"_id": number})

    mongo.kill()
    assert mongo.process.exit_code == -signal.SIGKILL
    await mongo.restart()

    assert mongo.process.pid != before
    assert await mongo_database.kept.count_documents({}) == 50


async def test_a_frozen_mongod_answers_again_after_it_is_thawed(mongo: MongoServer) -> None:
    client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongo.uri, socketTimeoutMS=500, retryReads=False)
    await client.admin.command("ping")
    mongo.freeze()
    try:
        assert state_of(mongo.process.pid) == "T"
        with pytest.raises(NetworkTimeout):
            await client.admin.command("ping")
    finally:
        mongo.thaw()
    assert (await client.admin.command("ping"))["ok"] == 1
    client.close()


async def test_a_server_that_ends_at_once_is_reported_with_its_last_words(programs: Programs, tmp_path: Path) -> None:
    mongod = tmp_path / "mongod"
    mongod.write_text("#!/bin/sh\necho no disk left\nexit 3\n")
    mongod.chmod(0o755)
    server = MongoServer(tmp_path / "state", replace(programs, mongod=mongod))
    with pytest.raises(StartFailed, match=r"(?s)ended with 3.*no disk left"):
        await server.start()


async def test_a_taken_port_is_named_instead_of_trusting_whoever_answers_there(
    mongo: MongoServer, programs: Programs, tmp_path: Path
) -> None:
    (tmp_path / "ports.json").write_text(json.dumps({"mongo": mongo.port}))
    server = MongoServer(tmp_path, programs)
    with pytest.raises(StartFailed, match=f"port {mongo.port} is taken"):
        await server.start()


async def test_nothing_outlives_a_killed_starter(tmp_path: Path) -> None:
    starter = textwrap.dedent(
        f"""
        import time
        from pathlib import Path
        from deploy.local.process import Process
        child = Process("sleeper", ["sleep", "600"], log=Path({str(tmp_path)!r}) / "log")
        child.start()
        print(child.pid, flush=True)
        time.sleep(600)
        """
    )
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", starter, stdout=asyncio.subprocess.PIPE)
    assert parent.stdout is not None
    child = int(await parent.stdout.readline())
    descriptor = os.pidfd_open(child)
    try:
        parent.kill()
        await parent.wait()
        ended = asyncio.Event()
        asyncio.get_running_loop().add_reader(descriptor, ended.set)
        await asyncio.wait_for(ended.wait(), 10)
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)
        os.close(descriptor)


async def test_a_cluster_may_have_an_id_that_looks_like_an_option(
    programs: Programs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uuid, "uuid4", lambda: uuid.UUID(bytes=b"\xfb\xef" + bytes(14)))
    kafka = KafkaServer(tmp_path / "kafka", programs)
    try:
        await kafka.start()
        assert "cluster.id=--" in (tmp_path / "kafka" / "data" / "meta.properties").read_text()
    finally:
        await kafka.stop()
