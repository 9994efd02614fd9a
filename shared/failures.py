"""What can go wrong, named by what is to be done about it; and what the consumption of events does then.

An error that is none of these is a bug: it is tried again like a transient one, then dead-lettered.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from faststream import BaseMiddleware
from faststream.exceptions import NackMessage

from shared import metrics, tracing
from shared.contracts.envelope import Event, UnknownEvent
from shared.contracts.registry import MalformedEvent
from shared.logs import bound_contextvars, get_logger

if TYPE_CHECKING:
    from faststream.kafka import KafkaMessage

    from shared.codec import Record
    from shared.consumption import Consumption

log = get_logger(__name__)


class TransientError(Exception):
    """May go well next time: tried again a few times with growing waits, then dead-lettered. HTTP: 503."""


class ProjectionBehind(TransientError):
    """An event of another stream that this one needs has not been read yet: waited for, for some minutes.

    The text names what is missing: what waits for the same thing waits for it together, from the first one on.
    """


class PermanentError(Exception):
    """Will never go well with this input: dead-lettered at once."""


class DependencyDown(Exception):
    """A database, broker or object store is away: waited for as long as it takes, counting no attempts. HTTP: 503."""

    def __init__(self, dependency: str, cause: str = "") -> None:
        super().__init__(f"{dependency} is not available{f': {cause}' if cause else ''}")
        self.dependency = dependency


RETRY_KINDS = ("dependency", "projection", "transient", "dead_letter")
"""Why a record is put back to be handled again; `dead_letter`: its dead letter could not be published."""


class Reason(StrEnum):
    """Why a record is a dead letter."""

    MALFORMED = "malformed"
    PERMANENT = "permanent"
    EXHAUSTED = "exhausted"
    BEHIND = "projection_behind"


@dataclass(frozen=True, slots=True)
class Retries:
    """How often and when a record that failed is handled again."""

    attempts: int = 6
    first_wait: timedelta = timedelta(milliseconds=200)
    longest_wait: timedelta = timedelta(seconds=10)
    longest_behind: timedelta = timedelta(minutes=10)
    """How long what an event of another stream has to bring is waited for; such an event may be lost."""

    def wait(self, attempt: int) -> float:
        """Seconds to wait after the `attempt`-th failure, doubling, with a jitter of a fifth."""
        doubled: float = self.first_wait.total_seconds() * 2.0 ** min(attempt - 1, 30)
        seconds = min(doubled, self.longest_wait.total_seconds())
        return seconds * random.uniform(0.8, 1.2)


@dataclass(frozen=True, slots=True)
class DeadLetterLimit:
    """How many of the last records may be dead letters before a stream stops and calls for a person.

    A fault of ours that breaks every record must not empty a topic into its dead letters.
    """

    window: int = 200
    least: int = 30
    share: float = 0.5

    def exceeded(self, outcomes: Sequence[bool]) -> bool:
        """True if one more dead letter would be one too many; `outcomes` has True for each dead letter."""
        dead = sum(outcomes) + 1
        return dead > self.least and dead > self.share * (len(outcomes) + 1)

    def outcomes(self) -> deque[bool]:
        """A fresh window."""
        return deque(maxlen=self.window)


class DeadLetters(Protocol):
    """Where records go that cannot be handled."""

    async def bury(self, record: Record, group: str, *, reason: Reason, attempts: int, error: BaseException) -> None:
        """Publish the record with unchanged bytes and headers, and headers that say where it was and why it failed.

        Raises:
            DependencyDown: it is not known to be stored; the record must not be acknowledged.
        """
        ...


class FailurePolicy:
    """Decides what becomes of each record: done, tried again, or a dead letter. One per broker.

    A record that is to be tried again stays where it is: its partition is paused for the wait and rewound to it,
    so that order is kept and the other partitions flow.
    """

    def __init__(
        self,
        dead_letters: DeadLetters,
        *,
        retries: Retries = Retries(),
        limit: DeadLetterLimit = DeadLetterLimit(),
    ) -> None:
        self.dead_letters = dead_letters
        self.retries = retries
        self.limit = limit
        self._consumptions: dict[str, Consumption] = {}

    def watch(self, consumption: Consumption) -> None:
        """Take charge of a stream."""
        self._consumptions[consumption.topic] = consumption
        name = consumption.name
        metrics.begin_at_zero(metrics.DEAD_LETTERS, *((name, reason.value) for reason in Reason))
        metrics.begin_at_zero(metrics.DEAD_LETTER_FAILURES, [name])
        metrics.begin_at_zero(metrics.RETRIES, *((name, kind) for kind in RETRY_KINDS))

    def consumption(self, topic: str) -> Consumption:
        """The consumption of a topic (by its full name)."""
        return self._consumptions[topic]

    def consumptions(self) -> tuple[Consumption, ...]:
        """Every stream in charge."""
        return tuple(self._consumptions.values())

    def __call__(self, msg: Record, *, context: Any) -> Handling:
        """The middleware around the handling of one record (FastStream's protocol)."""
        return Handling(msg, context=context, policy=self, consumption=self._consumptions[msg.topic])


class Handling(BaseMiddleware):
    """The handling of one record, from its arrival to its acknowledgement."""

    def __init__(self, msg: Record, *, context: Any, policy: FailurePolicy, consumption: Consumption) -> None:
        super().__init__(msg, context=context)
        self.record = msg
        self._policy = policy
        self._consumption = consumption

    async def on_receive(self) -> None:
        """Note that a handler is at work, for the watchdog."""
        self._consumption.begin(self.record)

    async def consume_scope(self, call_next: Any, msg: KafkaMessage) -> Any:  # type: ignore[override]
        """Hand a known event to the handler, inside its trace and with its ids bound to the log."""
        event = await msg.decode()
        if isinstance(event, UnknownEvent):
            metrics.EVENTS_UNKNOWN.labels(self._consumption.name).inc()
            log.info("unknown_event_ignored", stream=self._consumption.name, type=event.type, event_id=event.id)
            return None
        assert isinstance(event, Event)
        with (
            bound_contextvars(event_id=event.id, correlation=event.correlationid),
            tracing.span(f"{self._consumption.name} {event.type}", traceparent=event.traceparent),
        ):
            return await call_next(msg)

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_val: BaseException | None = None,
        exc_tb: TracebackType | None = None,
    ) -> bool | None:
        """Decide. Returning lets FastStream acknowledge; `NackMessage` makes it rewind the partition."""
        try:
            if exc_val is None:
                self._consumption.succeeded(self.record)
                return None
            if not isinstance(exc_val, Exception):
                return False  # cancelled: neither acknowledged nor counted, the record comes again
            await self._fail(exc_val)
            return True
        finally:
            self._consumption.end()

    async def _fail(self, error: Exception) -> None:
        consumption, retries = self._consumption, self._policy.retries
        if isinstance(error, DependencyDown):
            self._again(error, "dependency", retries.wait(consumption.waited(self.record)))
        reason = _reason(error)
        if isinstance(error, ProjectionBehind):
            attempts = consumption.waited(self.record)
            if consumption.missed_for(str(error), retries.longest_behind) < retries.longest_behind.total_seconds():
                self._again(error, "projection", retries.wait(attempts))
            reason = Reason.BEHIND
        else:
            attempts = consumption.attempted(self.record)
        if reason is None:
            if attempts < retries.attempts:
                self._again(error, "transient", retries.wait(attempts))
            reason = Reason.EXHAUSTED
        if self._policy.limit.exceeded(consumption.outcomes):
            consumption.halt(repr(error))
            log.error("stream_halted", stream=consumption.name, why="too many dead letters", exc_info=error)
            raise NackMessage from error
        try:
            await self._policy.dead_letters.bury(
                self.record, consumption.group, reason=reason, attempts=attempts, error=error
            )
        except DependencyDown as away:
            metrics.DEAD_LETTER_FAILURES.labels(consumption.name).inc()
            self._again(away, "dead_letter", retries.wait(consumption.waited(self.record)))
        metrics.DEAD_LETTERS.labels(consumption.name, reason.value).inc()
        consumption.buried(self.record)
        log.error(
            "dead_letter",
            stream=consumption.name,
            reason=reason.value,
            attempts=attempts,
            partition=self.record.partition,
            offset=self.record.offset,
            error=repr(error),
            exc_info=error if reason is Reason.EXHAUSTED else None,
        )

    def _again(self, error: Exception, kind: str, wait: float) -> None:
        """Leave the record where it is and come back to it after `wait` seconds; does not return."""
        metrics.RETRIES.labels(self._consumption.name, kind).inc()
        log.warning(
            "handled_again_later", stream=self._consumption.name, kind=kind, wait=round(wait, 3), error=repr(error)
        )
        self._consumption.pause(self.record, wait)
        raise NackMessage from error


def _reason(error: Exception) -> Reason | None:
    if isinstance(error, MalformedEvent):
        return Reason.MALFORMED
    if isinstance(error, PermanentError):
        return Reason.PERMANENT
    return None
