"""Apache Kafka: the broker as every service consumes from it, the one producer, the topics, and replay.

The only place with `.subscriber(`: what FastStream does by default loses messages (docs/adr).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code
from faststream import AckPolicy
from faststream.kafka import KafkaBroker
from faststream.kafka.security import parse_security
from faststream.security import BaseSecurity, SASLScram512

from shared.codec import EventCodec, Record, decode, message
from shared.consumption import Consumption, Handler, Position
from shared.contracts.envelope import Event, Fact, UnknownEvent
from shared.contracts.registry import topics
from shared.failures import DependencyDown, FailurePolicy, PermanentError
from shared.logs import get_logger
from shared.settings import Settings, SettingsError

log = get_logger(__name__)

CLIENT_TIMEOUT_MS = 10_000
ADMIN_SECONDS = 30.0
"""The admin client asks for ever where a broker dies under it; whoever started it decides then what to do."""
# AttributeError: what aiokafka's admin client makes of brokers that have just come back and know no controller yet.
_ADMIN_ERRORS = (KafkaError, OSError, AttributeError)
SESSION_TIMEOUT_MS = 10_000
# A dead letter is its record and some headers: it must fit where the record alone just fitted.
MAX_RECORD_BYTES = 2 * 1024 * 1024
FOREVER = -1
DAY_MS = 86_400_000


class Producer:
    """The one way into Kafka: acknowledged by all in-sync replicas, and idempotent.

    Used by the outbox relay and the dead letters alone.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: AIOKafkaProducer | None = None
        self._broken: str | None = None

    async def start(self) -> None:
        """Connect.

        Raises:
            DependencyDown: no broker answers.
        """
        producer = AIOKafkaProducer(
            bootstrap_servers=list(self._settings.kafka_bootstrap),
            client_id=f"jiebang-{self._settings.process or 'tool'}",
            **parse_security(security(self._settings)),
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            max_request_size=MAX_RECORD_BYTES,
            request_timeout_ms=CLIENT_TIMEOUT_MS,
            metadata_max_age_ms=60_000,
        )
        try:
            await producer.start()
        except (KafkaError, OSError) as error:
            await producer.stop()
            raise DependencyDown("kafka", repr(error)) from error
        self._producer = producer

    async def stop(self) -> None:
        """Disconnect; what was not acknowledged stays in its outbox."""
        producer, self._producer = self._producer, None
        if producer is not None:
            try:
                await asyncio.wait_for(producer.stop(), 5)
            except TimeoutError:
                log.warning("producer_stopped_with_unsent_records")

    @property
    def broken(self) -> str | None:
        """Why this producer will never work again, or None: the process has to be restarted then."""
        return self._broken

    async def publish(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        """Publish one record to a topic (its full name) and wait until all in-sync replicas have it.

        Waits for as long as the broker is away: an idempotent producer never gives up on what it has accepted.

        Raises:
            DependencyDown: it is not known to be there.
            PermanentError: the broker will never take this record.
        """
        if self._producer is None:
            raise DependencyDown("kafka", "not connected")
        try:
            await self._producer.send_and_wait(topic, value=value, key=key, headers=list(headers))
        except KafkaError as error:
            if type(error).__name__ in ("MessageSizeTooLargeError", "RecordTooLargeError", "InvalidTopicError"):
                raise PermanentError(repr(error)) from error
            if type(error).__name__ in ("OutOfOrderSequenceNumber", "ProducerFenced", "UnknownProducerId"):
                self._broken = repr(error)
            raise DependencyDown("kafka", repr(error)) from error

    async def reachable(self, seconds: float = 2.0) -> bool:
        """True if a broker answers a request now."""
        if self._producer is None:
            return False
        try:
            await asyncio.wait_for(self._producer.client.fetch_all_metadata(), seconds)
        except (TimeoutError, KafkaError):
            return False
        return True


def security(settings: Settings) -> BaseSecurity:
    """How to come to the brokers: with a password if there is a user, over TLS if there is an authority.

    Raises:
        SettingsError: the authority's file cannot be read, or holds none.
    """
    context = None
    if settings.kafka_ca_file:
        try:
            context = ssl.create_default_context(cafile=settings.kafka_ca_file)
        except ssl.SSLError:
            raise SettingsError(f"JIEBANG_KAFKA_CA_FILE: {settings.kafka_ca_file} holds no certificate (PEM)") from None
        except OSError as error:
            raise SettingsError(f"JIEBANG_KAFKA_CA_FILE: {settings.kafka_ca_file}: {error.strerror}") from None
        # An operator's own authority often leaves out what newer Pythons ask of the public ones (RFC 5280).
        context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not settings.kafka_username:
        return BaseSecurity(ssl_context=context, use_ssl=context is not None)
    return SASLScram512(
        settings.kafka_username, settings.kafka_password, ssl_context=context, use_ssl=context is not None
    )


def create_broker(settings: Settings, policy: FailurePolicy) -> KafkaBroker:
    """The broker that a service consumes from; it cannot publish, so nothing leaves except through an outbox."""

    async def parse(record: Record) -> Any:
        return message(record, Position(policy.consumption(record.topic), record))

    return KafkaBroker(
        list(settings.kafka_bootstrap),
        client_id=f"jiebang-{settings.process or 'tool'}",
        security=security(settings),
        consumer_only=True,
        allow_auto_create_topics=False,
        request_timeout_ms=CLIENT_TIMEOUT_MS,
        metadata_max_age_ms=60_000,
        graceful_timeout=settings.grace.total_seconds() / 2,
        ack_policy=AckPolicy.NACK_ON_ERROR,
        parser=parse,
        codec=EventCodec(),
        middlewares=(cast(Any, policy),),
        apply_types=False,
        logger=logging.getLogger("jiebang.faststream"),
        log_level=logging.DEBUG,
    )


def stream(
    broker: KafkaBroker, settings: Settings, policy: FailurePolicy, *, service: str, topic: str
) -> Callable[[Handler], Handler]:
    """Decorate the one handler of a topic in a service: `async def on_scores(event: Event[Any]) -> None`.

    The handler gets each known event at least once, in order per key; what it raises is judged by the policy.
    """
    full = f"{settings.kafka_topic_prefix}{topic}"
    group = f"{settings.kafka_topic_prefix}{service}.{topic}"

    def decorate(handler: Handler) -> Handler:
        consumption = Consumption(topic, full, group, handler, policy.limit.outcomes())
        policy.watch(consumption)
        subscriber = broker.subscriber(
            full,
            group_id=group,
            no_reply=True,
            auto_offset_reset="earliest",
            ack_policy=AckPolicy.NACK_ON_ERROR,
            listener=consumption.listener(),
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=3_000,
            fetch_max_wait_ms=500,
            max_partition_fetch_bytes=MAX_RECORD_BYTES,
        )
        consumption.attach(cast(Any, subscriber))

        async def handle(event: Any) -> None:
            await handler(event)

        subscriber(handle)
        return handler

    return decorate


def dead_letter_topic(group: str) -> str:
    """Where the dead letters of a consumer group go."""
    return f"{group}.dlq"


async def ensure_topics(settings: Settings) -> None:
    """Create the topics of topics.yaml, and the dead-letter topic of each reader, as far as they are missing.

    Raises:
        DependencyDown: no broker answers.
    """
    prefix = settings.kafka_topic_prefix
    wanted: list[NewTopic] = []
    for row in topics():
        retention = FOREVER if row.retention_days is None else row.retention_days * DAY_MS
        wanted.append(_new_topic(settings, f"{prefix}{row.name}", row.partitions, retention))
        # One partition: dead letters are few, and redriving them keeps the order they came in.
        wanted += [
            _new_topic(settings, dead_letter_topic(f"{prefix}{reader}.{row.name}"), 1, FOREVER)
            for reader in row.readers
        ]
    admin = _admin(settings)
    try:
        async with asyncio.timeout(ADMIN_SECONDS):
            await _create_missing(admin, wanted)
    except _ADMIN_ERRORS as error:
        raise DependencyDown("kafka", repr(error)) from error
    finally:
        await admin.close()


async def _create_missing(admin: AIOKafkaAdminClient, wanted: Sequence[NewTopic]) -> None:
    await admin.start()
    existing = set(await admin.list_topics())
    missing = [topic for topic in wanted if topic.name not in existing]
    if missing:
        answer = await admin.create_topics(missing, timeout_ms=CLIENT_TIMEOUT_MS)
        for name, code, *_ in answer.topic_errors:
            if code and for_code(code) is not TopicAlreadyExistsError:
                raise DependencyDown("kafka", f"{name}: {for_code(code).__name__}")
        log.info("topics_created", topics=[topic.name for topic in missing])


def _admin(settings: Settings) -> AIOKafkaAdminClient:
    return AIOKafkaAdminClient(
        bootstrap_servers=list(settings.kafka_bootstrap),
        request_timeout_ms=CLIENT_TIMEOUT_MS,
        **parse_security(security(settings)),
    )


def _new_topic(settings: Settings, name: str, partitions: int, retention_ms: int) -> NewTopic:
    configs = {
        "retention.ms": str(retention_ms),
        "max.message.bytes": str(MAX_RECORD_BYTES),
        # The broker refuses a record whose maker's clock is over an hour fast. Its own clock tells when records came;
        # an event carries its own time.
        "message.timestamp.type": "LogAppendTime",
    }
    if settings.kafka_replication > 1:
        configs["min.insync.replicas"] = str(settings.kafka_replication // 2 + 1)
    return NewTopic(name, partitions, settings.kafka_replication, topic_configs=configs)


async def replay(settings: Settings, topic: str, *, batch: int = 500) -> AsyncIterator[Sequence[Event[Fact]]]:
    """Every event of a topic from its start to its present end, in batches, in order per key; commits nothing.

    Events of unknown type and records that are not events are left out: their first reading has dealt with them.

    Raises:
        DependencyDown: the broker went away; begin anew.
    """
    async for records in read_records(settings, f"{settings.kafka_topic_prefix}{topic}", batch=batch):
        events = []
        for record in records:
            try:
                event = decode(record)
            except ValueError:
                continue
            if not isinstance(event, UnknownEvent):
                events.append(event)
        if events:
            yield events


async def handled(settings: Settings, *, service: str, topic: str) -> dict[int, int]:
    """For each partition of a topic, the offset up to which a service has acknowledged what it read.

    Partitions of which it has acknowledged nothing are left out.

    Raises:
        DependencyDown: no broker answers.
    """
    full = f"{settings.kafka_topic_prefix}{topic}"
    admin = _admin(settings)
    try:
        async with asyncio.timeout(ADMIN_SECONDS):
            await admin.start()
            offsets = await admin.list_consumer_group_offsets(f"{settings.kafka_topic_prefix}{service}.{topic}")
    except _ADMIN_ERRORS as error:
        raise DependencyDown("kafka", repr(error)) from error
    finally:
        await admin.close()
    return {at.partition: found.offset for at, found in offsets.items() if at.topic == full and found.offset >= 0}


async def members(settings: Settings, groups: Sequence[str]) -> dict[str, int]:
    """For each consumer group (by its full name), how many processes are in it now.

    Raises:
        DependencyDown: no broker answers.
    """
    admin = _admin(settings)
    try:
        async with asyncio.timeout(ADMIN_SECONDS):
            await admin.start()
            # One at a time: aiokafka reads the answer by the schema of a version before, and is lost after a group.
            answers = [answer for group in groups for answer in await admin.describe_consumer_groups([group])]
    except _ADMIN_ERRORS as error:
        raise DependencyDown("kafka", repr(error)) from error
    finally:
        await admin.close()
    return {group[1]: len(group[5]) for answer in answers for group in answer.groups}


async def read_records(
    settings: Settings, topic: str, *, batch: int = 500, start: int = 0
) -> AsyncIterator[Sequence[Record]]:
    """The records of a topic (by its full name) from an offset to its present end, in batches."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=list(settings.kafka_bootstrap),
        client_id=f"jiebang-{settings.process or 'tool'}-reader",
        **parse_security(security(settings)),
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        request_timeout_ms=CLIENT_TIMEOUT_MS,
        max_partition_fetch_bytes=MAX_RECORD_BYTES,
        fetch_max_wait_ms=100,
    )
    try:
        await consumer.start()
        numbers = consumer.partitions_for_topic(topic)
        if not numbers:
            await consumer._client.force_metadata_update()
            numbers = await _partitions(consumer, topic)
        partitions = [TopicPartition(topic, number) for number in sorted(numbers)]
        consumer.assign(partitions)
        ends: dict[TopicPartition, int] = await consumer.end_offsets(partitions)
        for partition in partitions:
            consumer.seek(partition, start) if start else await consumer.seek_to_beginning(partition)
        ahead = {partition for partition in partitions if ends[partition] > await consumer.position(partition)}
        while ahead:
            got = await consumer.getmany(*ahead, timeout_ms=1000, max_records=batch)
            for partition, records in got.items():
                within = [record for record in records if record.offset < ends[partition]]
                if within:
                    yield within
            ahead = {partition for partition in ahead if ends[partition] > await consumer.position(partition)}
    except (KafkaError, OSError) as error:
        raise DependencyDown("kafka", repr(error)) from error
    finally:
        await consumer.stop()


async def _partitions(consumer: AIOKafkaConsumer, topic: str) -> set[int]:
    metadata = await consumer._client.fetch_all_metadata()
    return metadata.partitions_for_topic(topic) or set()
