"""What lies in Kafka: the records of the platform's topics, its dead letters, and how far each service has read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from faststream.kafka.security import parse_security

from shared.archive.container import ArchiveRefused
from shared.codec import Record
from shared.contracts.registry import topics
from shared.failures import DependencyDown
from shared.kafka import CLIENT_TIMEOUT_MS, MAX_RECORD_BYTES, dead_letter_topic, handled, members, security
from shared.settings import Settings

READERS = tuple((reader, row.name) for row in topics() for reader in row.readers)
"""Which service reads which topic, each in a consumer group of its own."""

TOPICS: Mapping[str, int] = {row.name: row.partitions for row in topics()} | {
    dead_letter_topic(f"{reader}.{topic}"): 1 for reader, topic in READERS
}
"""Every topic of the platform without its prefix, and how many partitions it has."""

OWNERS: Mapping[str, str] = {row.name: row.owner for row in topics()}
"""Which service tells its events in a topic."""

Offsets = dict[str, dict[int, int]]
"""Topic, or service and topic with a blank between → partition → offset."""

_AT_ONCE = 2_000
_PATIENCE = 20.0

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Bounds:
    """The first and the next offset of a partition."""

    start: int
    end: int


class Streams:
    """The topics, for whoever takes an archive of them or puts one back."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._reader: AIOKafkaConsumer | None = None

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Connect for as long as the block runs.

        Raises:
            DependencyDown: no broker answers.
        """
        self._reader = AIOKafkaConsumer(**self._client(), enable_auto_commit=False, auto_offset_reset="earliest",
                                        max_partition_fetch_bytes=MAX_RECORD_BYTES, fetch_max_wait_ms=100)  # fmt: skip
        try:
            with _translated():
                await self._reader.start()
            yield
        finally:
            await self._reader.stop()
            self._reader = None

    def _client(self) -> dict[str, Any]:
        return {
            "bootstrap_servers": list(self._settings.kafka_bootstrap),
            "client_id": "jiebang-archive",
            "request_timeout_ms": CLIENT_TIMEOUT_MS,
            **parse_security(security(self._settings)),
        }

    def _full(self, name: str) -> str:
        return f"{self._settings.kafka_topic_prefix}{name}"

    async def all_bounds(self) -> dict[str, dict[int, Bounds]]:
        """From where to where each partition of each topic goes, all of which are there or about to be.

        Raises:
            DependencyDown: some are not there after a while.
        """

        async def whole() -> dict[str, dict[int, Bounds]]:
            found = await self.bounds()
            if missing := [name for name in TOPICS if len(found.get(name, ())) < TOPICS[name]]:
                raise DependencyDown("kafka", f"not there yet: {', '.join(missing[:5])}")
            return found

        return await _patiently(whole)

    async def bounds(self) -> dict[str, dict[int, Bounds]]:
        """From where to where each partition of each topic goes now; topics that are not there are left out."""
        assert self._reader is not None
        with _translated():
            there = await self._reader._client.fetch_all_metadata()
            numbers = {name: there.partitions_for_topic(self._full(name)) or set() for name in TOPICS}
            places = [
                TopicPartition(self._full(name), number)
                for name, its in numbers.items()
                for number in sorted(its)
                if number < TOPICS[name]
            ]
            starts = await self._reader.beginning_offsets(places)
            ends = await self._reader.end_offsets(places)
        return {
            name: {
                number: Bounds(starts[place], ends[place])
                for number in range(TOPICS[name])
                if (place := TopicPartition(self._full(name), number)) in starts
            }
            for name, its in numbers.items()
            if its
        }

    async def positions(self) -> Offsets:
        """How far each service has acknowledged what it reads."""
        return {
            f"{reader} {topic}": await _patiently(
                lambda reader=reader, topic=topic: handled(self._settings, service=reader, topic=topic)  # type: ignore[misc]
            )
            for reader, topic in READERS
        }

    async def read(self, topic: str, partition: int, bounds: Bounds) -> AsyncIterator[Sequence[Record]]:
        """The records of a partition between two offsets, in batches; what was deleted by age is left out."""
        assert self._reader is not None
        place = TopicPartition(self._full(topic), partition)
        with _translated():
            self._reader.assign([place])
            self._reader.seek(place, bounds.start)
            while await self._reader.position(place) < bounds.end:
                got = await self._reader.getmany(place, timeout_ms=1000, max_records=_AT_ONCE)
                if within := [record for record in got.get(place, ()) if record.offset < bounds.end]:
                    yield within

    # --- putting back

    async def refuse_while_running(self) -> None:
        """Make sure that nobody reads from the topics.

        Raises:
            ArchiveRefused: a service does.
        """
        groups = {self._full(f"{reader}.{topic}"): reader for reader, topic in READERS}
        there = await _patiently(lambda: members(self._settings, list(groups)))
        running = sorted({groups[group] for group, count in there.items() if count})
        if running:
            raise ArchiveRefused(
                "platform_runs",
                f"The platform is running: {', '.join(running)} read from its topics. Nothing was written.",
                "Stop every service (kubectl scale deployment --replicas=0 …), and import then. One that was killed is "
                "forgotten after ten seconds.",
                running=running,
            )

    async def refuse_what_is_unread(self, bounds: Mapping[str, Mapping[int, Bounds]]) -> None:
        """Make sure that the services have read all that is in the topics: what is put behind it counts as read.

        Raises:
            ArchiveRefused: they have not.
        """
        read = await self.positions()
        for reader, topic in READERS:
            for partition, found in bounds.get(topic, {}).items():
                if found.end > found.start and read[f"{reader} {topic}"].get(partition, 0) < found.end:
                    raise ArchiveRefused(
                        "unread_events",
                        f"{reader} has not read all of {topic} that is here. Nothing was written.",
                        "Start the platform, let it read, stop it, and import then.",
                    )

    @asynccontextmanager
    async def producer(self) -> AsyncIterator[AIOKafkaProducer]:
        """What puts records back, acknowledged by all in-sync replicas."""
        producer = AIOKafkaProducer(**self._client(), acks="all", enable_idempotence=True, linger_ms=5,
                                    max_request_size=2 * MAX_RECORD_BYTES)  # fmt: skip
        try:
            with _translated():
                await producer.start()
            yield producer
        finally:
            with suppress(KafkaError, TimeoutError):
                await asyncio.wait_for(producer.stop(), 10)

    async def put(
        self, producer: AIOKafkaProducer, topic: str, partition: int, records: Sequence[Mapping[str, Any]]
    ) -> None:
        """Put records at the end of a partition, in their order, and wait until they are there."""
        with _translated():
            sent = [
                await producer.send(
                    self._full(topic),
                    record["value"],
                    key=record["key"],
                    partition=partition,
                    headers=[(name, value) for name, value in record["headers"]],
                )
                for record in records
            ]
            await asyncio.gather(*sent)

    async def place(self, reader: str, topic: str, offsets: Mapping[int, int]) -> None:
        """Note how far a service has read."""
        if not offsets:
            return
        group = self._full(f"{reader}.{topic}")
        consumer = AIOKafkaConsumer(**self._client(), group_id=group, enable_auto_commit=False)
        try:
            with _translated():
                await consumer.start()
                places = {TopicPartition(self._full(topic), number): offset for number, offset in offsets.items()}
                consumer.assign(list(places))
                await consumer.commit(places)
        finally:
            await consumer.stop()


async def _patiently(ask: Callable[[], Awaitable[Answer]]) -> Answer:
    """Ask again for a while: new brokers know nothing of consumer groups until they were asked a first time."""
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return await ask()
        except DependencyDown:
            if time.monotonic() > deadline:
                raise
        await asyncio.sleep(0.5)


@contextmanager
def _translated() -> Any:
    try:
        yield
    except (KafkaError, OSError) as error:
        raise DependencyDown("kafka", repr(error)) from error
