"""The consumption of one topic by one group: what is done, what is paused, how far behind, whether it still moves."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Coroutine
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Protocol

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.errors import CommitFailedError, IllegalStateError, KafkaError

from shared import metrics
from shared.codec import Record
from shared.logs import get_logger

if TYPE_CHECKING:
    from shared.contracts.envelope import Event

log = get_logger(__name__)

Handler = Callable[["Event[Any]"], Coroutine[Any, Any, None]]

# Offsets of finished records are committed together this often. A commit of each one costs more than handling it;
# a crash in between only means that the records of this moment are read again, and dropped.
COMMIT_EVERY = 0.5
# A handler that is still at work after this long will be expelled by the broker.
LONGEST_HANDLING = timedelta(minutes=4).total_seconds()


class Subscriber(Protocol):
    """FastStream's subscriber, as far as it is used here."""

    consumer: AIOKafkaConsumer | None
    running: bool


def partition_of(record: Record) -> TopicPartition:
    """The partition that a record is in."""
    return TopicPartition(record.topic, record.partition)


class Consumption:
    """What one process knows about one topic that it reads: attempts, pauses, finished offsets, progress.

    Records of a partition are handled one after the other. Only finished records are ever committed.
    """

    def __init__(self, name: str, topic: str, group: str, handler: Handler, outcomes: deque[bool]) -> None:
        self.name = name
        self.topic = topic
        self.group = group
        self.handler = handler
        self.outcomes = outcomes
        self.halted = False
        self.halted_by = ""
        self.closed = False
        self._subscriber: Subscriber | None = None
        self._attempts: dict[TopicPartition, tuple[int, int]] = {}
        self._waits: dict[TopicPartition, tuple[int, int]] = {}
        self._missed: dict[str, tuple[float, float]] = {}
        self._finished: dict[TopicPartition, int] = {}
        self._resumptions: dict[TopicPartition, asyncio.TimerHandle] = {}
        self._commit: asyncio.TimerHandle | None = None
        self._committing: asyncio.Task[None] | None = None
        self._begun: float | None = None
        self._idle = asyncio.Event()
        self._idle.set()
        self._measured: set[int] = set()
        self._last_record_at = 0.0
        self._last_end = time.monotonic()
        metrics.STREAM_HALTED.labels(name).set(0)
        metrics.CONSUMER_TIME_LAG.labels(name).set(0)
        for counter in (metrics.EVENTS_HANDLED, metrics.EVENTS_UNKNOWN, metrics.REBALANCES, metrics.COMMIT_FAILURES):
            metrics.begin_at_zero(counter, [name])

    def attach(self, subscriber: Subscriber) -> None:
        """Name FastStream's subscriber that reads for this consumption."""
        self._subscriber = subscriber

    def consumer(self) -> AIOKafkaConsumer | None:
        """The consumer that reads now, or None."""
        return None if self._subscriber is None else self._subscriber.consumer

    # --- the handling of one record, told by the failure policy

    def begin(self, record: Record) -> None:
        """A handler is at work on a record."""
        self._last_record_at = record.timestamp / 1000
        self._begun = time.monotonic()
        self._idle.clear()

    def end(self) -> None:
        """No handler is at work."""
        if self._begun is not None:
            metrics.HANDLING.labels(self.name).observe(time.monotonic() - self._begun)
        self._begun = None
        self._last_end = time.monotonic()
        self._idle.set()

    def succeeded(self, record: Record) -> None:
        """A record's effect is done."""
        metrics.EVENTS_HANDLED.labels(self.name).inc()
        self._over(record, dead=False)

    def buried(self, record: Record) -> None:
        """A record is safely among the dead letters."""
        self._over(record, dead=True)

    def _over(self, record: Record, *, dead: bool) -> None:
        partition = partition_of(record)
        self._attempts.pop(partition, None)
        self._waits.pop(partition, None)
        self.outcomes.append(dead)

    def attempted(self, record: Record) -> int:
        """Count a failed attempt at a record; how many there were."""
        return _count(self._attempts, record)

    def waited(self, record: Record) -> int:
        """Count a wait for something that is not the record's fault; how many there were."""
        return _count(self._waits, record)

    def missed_for(self, what: str, forgotten: timedelta) -> float:
        """Note that something is missing; for how many seconds it has been.

        Not asked for as long as `forgotten`, it counts as newly missing.
        """
        now = time.monotonic()
        kept = {it: (since, last) for it, (since, last) in self._missed.items()
                if now - last <= forgotten.total_seconds()}  # fmt: skip
        since, _ = kept.get(what, (now, now))
        self._missed = {**kept, what: (since, now)}
        return now - since

    def pause(self, record: Record, seconds: float) -> None:
        """Fetch nothing more of a record's partition for so long."""
        consumer, partition = self.consumer(), partition_of(record)
        if consumer is None or partition not in consumer.assignment():
            return
        consumer.pause(partition)
        if (timer := self._resumptions.pop(partition, None)) is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._resumptions[partition] = loop.call_later(seconds, self._resume, partition)

    def _resume(self, partition: TopicPartition) -> None:
        self._resumptions.pop(partition, None)
        consumer = self.consumer()
        if not (self.halted or self.closed) and consumer is not None and partition in consumer.assignment():
            consumer.resume(partition)

    # --- offsets, told by FastStream's acknowledgement

    def finish(self, record: Record) -> None:
        """A record is acknowledged: its offset goes with the next commit."""
        partition = partition_of(record)
        self._finished[partition] = max(self._finished.get(partition, 0), record.offset + 1)
        if self._commit is None:
            self._commit = asyncio.get_running_loop().call_later(COMMIT_EVERY, self._begin_commit)

    def _begin_commit(self) -> None:
        self._commit = None
        if self._committing is None or self._committing.done():
            self._committing = asyncio.get_running_loop().create_task(self.commit())
        elif self._finished:
            self._commit = asyncio.get_running_loop().call_later(COMMIT_EVERY, self._begin_commit)

    async def commit(self) -> None:
        """Commit what is finished, now. A failure is counted and made good by the next commit or by redelivery."""
        consumer = self.consumer()
        if consumer is None or not self._finished:
            return
        mine = consumer.assignment()
        offsets = {partition: offset for partition, offset in self._finished.items() if partition in mine}
        self._finished.clear()
        if not offsets:
            return
        try:
            await consumer.commit(offsets)
        except (CommitFailedError, IllegalStateError) as error:
            # The partitions belong to another member now: it reads the records again and drops them.
            metrics.COMMIT_FAILURES.labels(self.name).inc()
            log.warning("commit_refused", stream=self.name, error=repr(error))
        except KafkaError as error:
            metrics.COMMIT_FAILURES.labels(self.name).inc()
            log.warning("commit_failed", stream=self.name, error=repr(error))
            for partition, offset in offsets.items():
                self._finished[partition] = max(self._finished.get(partition, 0), offset)
            if self._commit is None:
                self._commit = asyncio.get_running_loop().call_later(1.0, self._begin_commit)

    async def drain(self, seconds: float) -> None:
        """Wait for the handler at work, at most so long, and commit what is finished."""
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            log.warning("handler_outlived_its_partitions", stream=self.name)
        # FastStream acknowledges just after the handler's end: let it.
        await asyncio.sleep(0)
        await self.commit()

    def rewind(self, partition: TopicPartition, offset: int) -> None:
        """Read a partition again from `offset`."""
        consumer = self.consumer()
        if consumer is not None and partition in consumer.assignment():
            consumer.seek(partition, offset)

    # --- the dead-letter limit

    def halt(self, why: str) -> None:
        """Stop reading until a person resumes."""
        self.halted, self.halted_by = True, why[:1000]
        metrics.STREAM_HALTED.labels(self.name).set(1)
        if (consumer := self.consumer()) is not None:
            consumer.pause(*consumer.assignment())

    def resume(self) -> None:
        """Read on after a halt, with a fresh window."""
        self.halted = False
        self.outcomes.clear()
        metrics.STREAM_HALTED.labels(self.name).set(0)
        if (consumer := self.consumer()) is not None:
            consumer.resume(*consumer.paused())

    # --- progress

    def listener(self) -> ConsumerRebalanceListener:
        """What aiokafka tells about partitions that come and go."""
        return _Rebalance(self)

    def not_running(self) -> str | None:
        """Why nothing is read, or None."""
        if self.closed:
            return "closed"
        running = self._subscriber is not None and self._subscriber.running
        return None if running else "not started"

    def close(self) -> None:
        """Take no new record; the one being handled is finished."""
        self.closed = True
        if self._subscriber is not None:
            self._subscriber.running = False

    def stalled(self, seconds: float) -> str | None:
        """What has not moved for `seconds`, or None: a stuck handler, or a partition that nobody polls."""
        if self._begun is not None:
            stuck = time.monotonic() - self._begun > LONGEST_HANDLING
            return f"{self.name}: a handler has been at work for too long" if stuck else None
        consumer = self.consumer()
        if consumer is None or time.monotonic() - self._last_end < seconds:
            return None
        oldest = (time.time() - seconds) * 1000
        for partition in consumer.assignment() - consumer.paused():
            polled = consumer.last_poll_timestamp(partition)
            if polled is not None and polled < oldest:
                return f"{self.name}: partition {partition.partition} was not polled for {seconds:.0f} s"
        return None

    async def measure(self) -> None:
        """Export how far behind each assigned partition is."""
        consumer = self.consumer()
        if consumer is None:
            return
        behind = 0
        assigned = {partition.partition for partition in consumer.assignment()}
        for gone in self._measured - assigned:
            # It is another process's to tell now; what this one last knew of it would be taken for true for ever.
            metrics.CONSUMER_LAG.remove(self.name, str(gone))
        self._measured &= assigned
        for partition in consumer.assignment():
            highwater = consumer.highwater(partition)
            if highwater is not None:
                lag = max(0, highwater - await consumer.position(partition))
                behind += lag
                self._measured.add(partition.partition)
                metrics.CONSUMER_LAG.labels(self.name, str(partition.partition)).set(lag)
        age = time.time() - self._last_record_at if behind and self._last_record_at else 0
        metrics.CONSUMER_TIME_LAG.labels(self.name).set(max(0, age))


class _Rebalance(ConsumerRebalanceListener):  # type: ignore[misc]
    def __init__(self, consumption: Consumption) -> None:
        self._consumption = consumption

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        if revoked:
            await self._consumption.drain(5)
        for timer in self._consumption._resumptions.values():
            timer.cancel()
        self._consumption._resumptions.clear()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        metrics.REBALANCES.labels(self._consumption.name).inc()
        consumption = self._consumption
        consumption._attempts = {at: count for at, count in consumption._attempts.items() if at in assigned}
        consumption._waits = {at: count for at, count in consumption._waits.items() if at in assigned}
        consumer = consumption.consumer()
        if consumption.halted and consumer is not None:
            consumer.pause(*assigned)


class Position:
    """One record's place in its partition, as FastStream's message sees its consumer."""

    def __init__(self, consumption: Consumption, record: Record) -> None:
        self._consumption = consumption
        self._record = record

    async def commit(self) -> None:
        """Acknowledge the record."""
        self._consumption.finish(self._record)

    def seek(self, partition: TopicPartition, offset: int) -> None:
        """Take the record back."""
        self._consumption.rewind(partition, offset)


def _count(counts: dict[TopicPartition, tuple[int, int]], record: Record) -> int:
    partition = partition_of(record)
    offset, count = counts.get(partition, (record.offset, 0))
    count = count + 1 if offset == record.offset else 1
    counts[partition] = (record.offset, count)
    return count
