"""Kafka records to events: nothing that a record holds may raise anywhere but here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from faststream.kafka.message import KafkaAckableMessage

from shared.contracts.envelope import Event, Fact, UnknownEvent
from shared.contracts.registry import MalformedEvent, parse

if TYPE_CHECKING:
    from faststream.kafka.message import ConsumerProtocol

MAX_EVENT_BYTES = 256 * 1024
"""An event larger than this is refused when it is saved, and is poison when it is read."""


class Record(Protocol):
    """A record as aiokafka's consumer hands it out."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes]]


class EventCodec:
    """FastStream's codec for our events; replaces its decoder, which handles no `application/cloudevents+json`."""

    async def decode(self, msg: Any) -> Any:
        """The event of a message.

        Raises:
            MalformedEvent: it cannot be read, now or ever.
        """
        return decode(msg.raw_message)

    async def encode(self, msg: Any, serializer: Any = None) -> tuple[bytes, str | None]:
        """Refused: events leave through an outbox, never through the broker."""
        raise TypeError("publish through an outbox (shared/outbox.py)")


def decode(record: Record) -> Event[Fact] | UnknownEvent:
    """The event in a record, or `MalformedEvent` with what is wrong with it."""
    for name, value in record.headers:
        try:
            value.decode()
        except UnicodeDecodeError:
            raise MalformedEvent(f"header {name!r} is not UTF-8") from None
    if record.value is None:
        raise MalformedEvent("no value")
    if len(record.value) > MAX_EVENT_BYTES:
        raise MalformedEvent(f"{len(record.value)} bytes, more than {MAX_EVENT_BYTES}")
    return parse(record.value)


def message(record: Record, position: ConsumerProtocol) -> KafkaAckableMessage:
    """FastStream's message around a record: never raises, and takes nothing from the headers.

    FastStream's own parser raises on a header that is not UTF-8, and the record would be skipped for good.
    """
    return KafkaAckableMessage(
        raw_message=record,
        body=record.value or b"",
        message_id=f"{record.topic}-{record.partition}-{record.offset}",
        correlation_id=f"{record.partition}-{record.offset}",
        consumer=position,
    )
