"""What lies in the topics of a running platform, as bytes, and how far its services have read."""

from __future__ import annotations

from aiokafka import AIOKafkaConsumer, TopicPartition

from deploy.local.platform import Platform
from shared.codec import Record
from shared.contracts.registry import topics
from shared.kafka import handled, read_records
from shared.settings import Settings


def settings_of(platform: Platform) -> Settings:
    """Settings that lead to the platform's broker."""
    return Settings(kafka_bootstrap=(platform.kafka_bootstrap,))


async def records_about(platform: Platform, word: str) -> list[Record]:
    """Every record with a word in it (a challenge's id, say), topic by topic, in order per partition."""
    return [
        record
        for topic in topics()
        async for records in read_records(settings_of(platform), topic.name)
        for record in records
        if word.encode() in (record.value or b"")
    ]


async def all_read(platform: Platform) -> bool:
    """Whether every service has acknowledged all that its topics hold."""
    consumer = AIOKafkaConsumer(bootstrap_servers=platform.kafka_bootstrap, enable_auto_commit=False)
    await consumer.start()
    try:
        for topic in topics():
            partitions = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
            ends = {at.partition: end for at, end in (await consumer.end_offsets(partitions)).items() if end}
            for reader in topic.readers:
                done = await handled(settings_of(platform), service=reader, topic=topic.name)
                if any(done.get(partition, 0) < end for partition, end in ends.items()):
                    return False
    finally:
        await consumer.stop()
    return True
