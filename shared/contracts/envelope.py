"""The envelope of every event: CloudEvents 1.0 in structured JSON, and the facts that travel in it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, PlainSerializer

CONTENT_TYPE = "application/cloudevents+json"


def rfc3339(moment: datetime) -> str:
    """A moment as RFC 3339 in UTC to the microsecond, so that equal moments are equal text."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


Moment = Annotated[AwareDatetime, PlainSerializer(rfc3339, return_type=str, when_used="json")]
"""An aware moment in UTC."""

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in lower-case hex."""

Decimal6 = Annotated[str, Field(pattern=r"^-?[0-9]+\.[0-9]{6}$")]
"""A decimal with six places, as a string: numbers that decide a rank never pass through a float."""

Json = dict[str, JsonValue]


class Fact(BaseModel):
    """What happened, without the envelope: what an aggregate returns and a handler matches on.

    A subclass names its event type, its topic, and how the aggregate's id (`subject`) and the Kafka key are made
    of its own fields. Facts are frozen; unknown fields of newer writers are ignored.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    type: ClassVar[str]
    topic: ClassVar[str]
    subject_format: ClassVar[str]
    key_format: ClassVar[str]

    def __init_subclass__(
        cls, *, type: str = "", topic: str = "", subject: str = "", key: str = "", **kwargs: Any
    ) -> None:
        super().__init_subclass__(**kwargs)
        if type:
            cls.type, cls.topic, cls.subject_format, cls.key_format = type, topic, subject, key

    @property
    def subject(self) -> str:
        """The id of the aggregate that this fact is about."""
        return self.subject_format.format_map(self.__dict__)

    @property
    def key(self) -> str:
        """The Kafka key: facts with one key are read in the order they were written."""
        return self.key_format.format_map(self.__dict__)

    @property
    def correlation(self) -> str:
        """What ties the events of one submission together, across services."""
        submission: str | None = getattr(self, "submission", None)
        return submission or self.subject


F = TypeVar("F", bound=Fact, covariant=True)


class Event(BaseModel, Generic[F]):
    """A fact in its envelope, as published, stored in an outbox, and handed to sponsors.

    `sequence` counts the events of one subject from 1 without a gap; `id` is a UUIDv7 and the only idempotency key.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    specversion: Literal["1.0"] = "1.0"
    id: str
    source: str
    type: str
    subject: str
    time: Moment
    datacontenttype: Literal["application/json"] = "application/json"
    sequence: Annotated[int, Field(ge=1)]
    partitionkey: str
    correlationid: str
    causationid: str | None = None
    traceparent: str | None = None
    data: F

    @property
    def topic(self) -> str:
        """The topic that this event belongs to."""
        return self.data.topic

    def encode(self) -> bytes:
        """The event as the bytes that go to Kafka, to a webhook and to the event log: the same everywhere."""
        return self.model_dump_json(exclude_none=True).encode()


class UnknownEvent(BaseModel):
    """A well-formed event of a type this build does not know: ignored and counted, never a dead letter."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    type: str
    source: str = ""
    subject: str = ""
