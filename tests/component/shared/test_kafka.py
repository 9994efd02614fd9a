"""The producer, the topics and replay, on a real broker."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.cluster import ClusterMetadata

from shared.contracts.registry import topics
from shared.failures import DependencyDown, PermanentError
from shared.kafka import MAX_RECORD_BYTES, Producer, ensure_topics, handled, read_records, replay
from shared.settings import Settings
from tests.component.shared.harness import Reading, Topic, create_topics, delete_topics, settings_for, team_event
from tests.eventually import eventually


async def test_an_event_counts_as_published_when_every_replica_has_it_and_is_written_once(settings: Settings) -> None:
    producer = Producer(settings)
    await producer.start()
    assert producer._producer is not None
    sender = producer._producer._sender
    assert sender._acks == -1, "all in-sync replicas"
    assert sender._txn_manager is not None, "idempotent"
    await producer.stop()


async def test_the_topics_of_the_platform_are_created_once_with_their_retention(settings: Settings) -> None:
    await ensure_topics(settings)
    await ensure_topics(settings)
    admin = AIOKafkaAdminClient(bootstrap_servers=list(settings.kafka_bootstrap))
    await admin.start()
    prefix = settings.kafka_topic_prefix
    described = {t["topic"]: t for t in await admin.describe_topics()}
    for row in topics():
        assert len(described[f"{prefix}{row.name}"]["partitions"]) == row.partitions
        for reader in row.readers:
            assert len(described[f"{prefix}{reader}.{row.name}.dlq"]["partitions"]) == 1
    asked = [
        ConfigResource(ConfigResourceType.TOPIC, f"{prefix}{name}")
        for name in ("board.challenges", "ranking.leaderboards")
    ]
    retention = {}
    for response in await admin.describe_configs(asked):
        for resource in response.resources:
            entries = {entry[0]: entry[1] for entry in resource[4]}
            retention[resource[3].removeprefix(prefix)] = entries["retention.ms"]
            assert entries["max.message.bytes"] == str(MAX_RECORD_BYTES)
    assert retention == {"board.challenges": "-1", "ranking.leaderboards": str(90 * 86_400_000)}
    await admin.close()
    await delete_topics(settings)


async def test_brokers_that_know_no_controller_yet_are_away(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ClusterMetadata, "update_metadata", _without_controller(ClusterMetadata.update_metadata))
    with pytest.raises(DependencyDown, match="nodeId"):
        await ensure_topics(settings)


def _without_controller(update: Callable[..., None]) -> Callable[..., None]:
    """What the client remembers of a broker that has just come back: all but its controller."""

    def updated(self: ClusterMetadata, metadata: object) -> None:
        update(self, metadata)
        self.controller = None

    return updated


async def test_a_record_that_no_topic_takes_is_refused_for_good(settings: Settings) -> None:
    await create_topics(settings, "small")
    producer = Producer(settings)
    with pytest.raises(DependencyDown):
        await producer.publish("x", key=None, value=b"", headers=[])
    await producer.start()
    with pytest.raises(PermanentError):
        await producer.publish(
            f"{settings.kafka_topic_prefix}small", key=None, value=bytes(MAX_RECORD_BYTES + 1), headers=[]
        )
    assert producer.broken is None
    assert await producer.reachable()
    await producer.stop()
    assert not await producer.reachable()
    await delete_topics(settings)


async def test_a_producer_without_a_broker_says_what_is_down(prefix: str) -> None:
    with pytest.raises(DependencyDown, match="kafka"):
        await Producer(settings_for("127.0.0.1:1", prefix)).start()
    with pytest.raises(DependencyDown, match="kafka"):
        await ensure_topics(settings_for("127.0.0.1:1", prefix))


async def test_a_replay_gives_every_event_to_the_present_end_in_order_per_key(settings: Settings, topic: Topic) -> None:
    for number in range(50):
        await topic.send(team_event("even" if number % 2 == 0 else "odd", number // 2 + 1), partition=number % 2)
    await topic.send(b"not an event")
    await topic.send(team_event("x").encode().replace(b"team.registered.v1", b"team.renamed.v1"))
    seen: dict[str, list[int]] = {}
    async for events in replay(settings, "board.teams", batch=7):
        assert len(events) <= 7
        for event in events:
            seen.setdefault(event.subject, []).append(event.sequence)
    assert seen == {"even": list(range(1, 26)), "odd": list(range(1, 26))}


async def test_an_empty_topic_is_replayed_at_once(settings: Settings, topic: Topic) -> None:
    assert [events async for events in replay(settings, "board.teams")] == []
    assert [records async for records in read_records(settings, topic.name)] == []


async def test_how_far_a_service_has_come_is_told_per_partition(settings: Settings, topic: Topic) -> None:
    async def nothing(event: object) -> None: ...

    async def told(expected: dict[int, int]) -> bool:
        try:
            return await handled(settings, service="ranking", topic="board.teams") == expected
        except DependencyDown:
            return False  # a young broker has nobody yet who knows of groups

    await eventually(lambda: told({}))
    for number in range(3):
        await topic.send(team_event(f"t{number}"), partition=1)
    async with Reading(settings, nothing):
        await eventually(lambda: told({1: 3}))
