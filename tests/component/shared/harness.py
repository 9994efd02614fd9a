"""One stream on a real broker, with the policy that services run under, and eyes on what it commits and buries."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from shared.clock import SystemClock
from shared.codec import Record
from shared.consumption import Consumption
from shared.contracts.board import TeamRegistered
from shared.contracts.envelope import Event
from shared.contracts.registry import event_class
from shared.dead_letters import Cemetery
from shared.failures import DeadLetterLimit, DeadLetters, FailurePolicy, Retries
from shared.ids import SystemIds
from shared.kafka import MAX_RECORD_BYTES, Producer, create_broker, dead_letter_topic, read_records, stream
from shared.settings import Settings

TOPIC = "board.teams"
SERVICE = "ranking"
QUICK = Retries(attempts=3, first_wait=timedelta(milliseconds=30), longest_wait=timedelta(milliseconds=200))
AT = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
IDS = SystemIds()

Handle = Callable[[Event[Any]], Awaitable[None]]


def team_event(team: str, sequence: int = 1, *, members: int = 1) -> Event[TeamRegistered]:
    """An event of one team."""
    fact = TeamRegistered(team=team, members=members)
    made: Event[TeamRegistered] = event_class(TeamRegistered)(
        id=IDS.new("evt"),
        source="/test",
        type=fact.type,
        subject=fact.subject,
        time=AT,
        sequence=sequence,
        partitionkey=fact.key,
        correlationid=fact.correlation,
        data=fact,
    )
    return made


def settings_for(bootstrap: str, prefix: str, **more: Any) -> Settings:
    """Settings that lead to the test's broker under the test's own names."""
    return Settings(kafka_bootstrap=(bootstrap,), kafka_topic_prefix=prefix, **more)


async def create_topics(settings: Settings, *names: str, partitions: int = 2) -> None:
    """Create topics under the settings' prefix."""
    admin = AIOKafkaAdminClient(bootstrap_servers=list(settings.kafka_bootstrap))
    await admin.start()
    try:
        configs = {"max.message.bytes": str(MAX_RECORD_BYTES)}
        made = [
            NewTopic(f"{settings.kafka_topic_prefix}{name}", 1 if name.endswith(".dlq") else partitions, 1,
                     topic_configs=configs)
            for name in names
        ]  # fmt: skip
        await admin.create_topics(made)
    finally:
        await admin.close()


async def delete_topics(settings: Settings) -> None:
    """Delete every topic under the settings' prefix."""
    admin = AIOKafkaAdminClient(bootstrap_servers=list(settings.kafka_bootstrap))
    await admin.start()
    try:
        mine = [name for name in await admin.list_topics() if name.startswith(settings.kafka_topic_prefix)]
        if mine:
            await admin.delete_topics(mine)
    finally:
        await admin.close()


class Reading:
    """Reads `board.teams` with one handler, as a service does."""

    def __init__(
        self,
        settings: Settings,
        handle: Handle,
        *,
        retries: Retries = QUICK,
        limit: DeadLetterLimit = DeadLetterLimit(),  # noqa: B008 (frozen)
        dead_letters: Callable[[Cemetery], DeadLetters] = lambda cemetery: cemetery,
    ) -> None:
        self.settings = settings
        self.producer = Producer(settings)
        self.policy = FailurePolicy(dead_letters(Cemetery(self.producer, SystemClock())), retries=retries, limit=limit)
        self.broker = create_broker(settings, self.policy)

        @stream(self.broker, settings, self.policy, service=SERVICE, topic=TOPIC)
        async def handler(event: Event[Any]) -> None:
            await handle(event)

    @property
    def consumption(self) -> Consumption:
        return self.policy.consumption(f"{self.settings.kafka_topic_prefix}{TOPIC}")

    async def __aenter__(self) -> Self:
        await self.producer.start()
        await self.broker.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.consumption.close()
        await self.consumption.drain(5)
        await self.broker.stop()
        await self.producer.stop()


class Topic:
    """The topic, its group's dead letters and its committed offsets, from outside."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.name = f"{settings.kafka_topic_prefix}{TOPIC}"
        self.group = f"{settings.kafka_topic_prefix}{SERVICE}.{TOPIC}"
        self._stack = AsyncExitStack()
        self._producer: AIOKafkaProducer | None = None

    async def __aenter__(self) -> Self:
        await create_topics(self.settings, TOPIC, f"{SERVICE}.{TOPIC}.dlq")
        self._producer = AIOKafkaProducer(
            bootstrap_servers=list(self.settings.kafka_bootstrap), max_request_size=MAX_RECORD_BYTES
        )
        await self._producer.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._producer is not None:
            await self._producer.stop()
        await delete_topics(self.settings)

    async def send(
        self,
        value: Event[Any] | bytes | None,
        *,
        partition: int = 0,
        key: bytes = b"team",
        headers: Sequence[tuple[str, bytes]] = (),
    ) -> int:
        """Put a record on a partition, whoever wrote it; its offset."""
        assert self._producer is not None
        body = value.encode() if isinstance(value, Event) else value
        sent = await self._producer.send_and_wait(self.name, body, key=key, partition=partition, headers=list(headers))
        offset: int = sent.offset
        return offset

    async def committed(self, partition: int = 0) -> int:
        """The offset that the group will read next, 0 if nothing was committed."""
        admin = AIOKafkaAdminClient(bootstrap_servers=list(self.settings.kafka_bootstrap))
        await admin.start()
        try:
            offsets = await admin.list_consumer_group_offsets(self.group)
        finally:
            await admin.close()
        at = offsets.get(TopicPartition(self.name, partition))
        return at.offset if at is not None else 0

    async def dead_letters(self) -> list[Record]:
        """The records of the group's dead-letter topic."""
        found: list[Record] = []
        async for records in read_records(self.settings, dead_letter_topic(self.group)):
            found.extend(records)
        return found

    async def dead_reasons(self) -> list[str]:
        """Why each of them is there."""
        return [dict(record.headers)["dlq-reason"].decode() for record in await self.dead_letters()]


def header(record: Record, name: str) -> str:
    """A header of a record as text."""
    return dict(record.headers)[name].decode()
