"""What becomes of records whose handling fails, on a real broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from shared import metrics
from shared.codec import MAX_EVENT_BYTES, Record
from shared.contracts.envelope import Event
from shared.failures import (
    DeadLetterLimit,
    DeadLetters,
    DependencyDown,
    PermanentError,
    ProjectionBehind,
    Reason,
    Retries,
    TransientError,
)
from shared.settings import Settings
from tests.component.shared.harness import TOPIC, Reading, Topic, create_topics, header, team_event
from tests.eventually import eventually


class Handler:
    """Notes what it is given; fails as it is told."""

    def __init__(self, fail: Callable[[Event[Any], int], Exception | None] = lambda event, attempt: None) -> None:
        self.fail = fail
        self.given: list[str] = []
        self.done: list[str] = []

    async def __call__(self, event: Event[Any]) -> None:
        self.given.append(event.subject)
        error = self.fail(event, self.given.count(event.subject))
        if error is not None:
            raise error
        self.done.append(event.subject)


def counted(counter: Any, *labels: str) -> float:
    value: float = counter.labels(*labels)._value.get()
    return value


async def test_records_are_handled_in_order_and_committed_afterwards(settings: Settings, topic: Topic) -> None:
    for number in range(20):
        await topic.send(team_event(f"t{number}"))
    handler = Handler()
    async with Reading(settings, handler):
        await eventually(lambda: len(handler.done) == 20)
        await eventually(lambda: _is(topic.committed(), 20))
    assert handler.done == [f"t{number}" for number in range(20)]


async def test_a_record_is_committed_only_after_its_effect(settings: Settings, topic: Topic) -> None:
    at_work, let_go = asyncio.Event(), asyncio.Event()

    async def slow(event: Event[Any]) -> None:
        if event.subject == "slow":
            at_work.set()
            await let_go.wait()

    await topic.send(team_event("quick"))
    await topic.send(team_event("slow"))
    await topic.send(team_event("after"))
    async with Reading(settings, slow) as reading:
        await at_work.wait()
        await eventually(lambda: _is(topic.committed(), 1), what="the record before is committed")
        await reading.consumption.commit()
        assert await topic.committed() == 1
        let_go.set()
        await eventually(lambda: _is(topic.committed(), 3))


async def test_a_record_whose_handling_was_cancelled_comes_again(settings: Settings, topic: Topic) -> None:
    at_work = asyncio.Event()

    async def stuck(event: Event[Any]) -> None:
        at_work.set()
        await asyncio.Event().wait()

    await topic.send(team_event("t1"))
    reading = Reading(settings, stuck)
    await reading.__aenter__()
    await at_work.wait()
    for task in list(_tasks_of(reading)):
        task.cancel()
    await reading.__aexit__(None, None, None)
    assert await topic.committed() == 0

    handler = Handler()
    async with Reading(settings, handler):
        await eventually(lambda: handler.done == ["t1"])


async def test_a_transient_failure_is_tried_again_after_a_wait_and_keeps_its_place(
    settings: Settings, topic: Topic
) -> None:
    times: list[float] = []

    def fail(event: Event[Any], attempt: int) -> Exception | None:
        if event.subject == "shaky":
            times.append(asyncio.get_running_loop().time())
        return TransientError("not now") if event.subject == "shaky" and attempt < 3 else None

    await topic.send(team_event("before"))
    await topic.send(team_event("shaky"))
    await topic.send(team_event("after"))
    handler = Handler(fail)
    async with Reading(settings, handler, retries=Retries(attempts=5, first_wait=timedelta(milliseconds=200))):
        await eventually(lambda: len(handler.done) == 3)
        await eventually(lambda: _is(topic.committed(), 3))
    assert handler.done == ["before", "shaky", "after"]
    assert handler.given == ["before", "shaky", "shaky", "shaky", "after"]
    assert times[1] - times[0] >= 0.16
    assert times[2] - times[1] >= 0.32
    assert await topic.dead_letters() == []


async def test_other_partitions_flow_while_a_record_waits_for_its_next_attempt(
    settings: Settings, topic: Topic
) -> None:
    def fail(event: Event[Any], attempt: int) -> Exception | None:
        return TransientError("not now") if event.subject == "shaky" and len(handler.done) < 10 else None

    await topic.send(team_event("shaky"), partition=0)
    handler = Handler(fail)
    async with Reading(settings, handler, retries=Retries(attempts=50, first_wait=timedelta(milliseconds=50))):
        await eventually(lambda: handler.given == ["shaky"])
        for number in range(10):
            await topic.send(team_event(f"t{number}"), partition=1)
        await eventually(lambda: len(handler.done) == 11)
    assert handler.done == [*(f"t{number}" for number in range(10)), "shaky"]


async def test_a_permanent_failure_is_dead_lettered_unchanged_and_the_next_record_flows(
    settings: Settings, topic: Topic
) -> None:
    bad = team_event("bad")
    handler = Handler(lambda event, _: PermanentError("cannot be") if event.subject == "bad" else None)
    offset = await topic.send(bad, key=b"the-key", headers=[("content-type", b"application/cloudevents+json")])
    await topic.send(team_event("good"))
    async with Reading(settings, handler):
        await eventually(lambda: handler.done == ["good"])
        await eventually(lambda: _is(topic.committed(), 2))
    assert handler.given == ["bad", "good"]
    (letter,) = await topic.dead_letters()
    assert letter.value == bad.encode()
    assert letter.key == b"the-key"
    assert letter.headers[0] == ("content-type", b"application/cloudevents+json")
    assert header(letter, "dlq-origin-topic") == topic.name
    assert header(letter, "dlq-origin-partition") == "0"
    assert header(letter, "dlq-origin-offset") == str(offset)
    assert header(letter, "dlq-group") == topic.group
    assert header(letter, "dlq-reason") == "permanent"
    assert header(letter, "dlq-attempts") == "1"
    assert "cannot be" in header(letter, "dlq-error")


@pytest.mark.parametrize("error", [TransientError("never"), ZeroDivisionError("a bug")])
async def test_a_record_is_given_up_after_the_last_attempt(settings: Settings, topic: Topic, error: Exception) -> None:
    handler = Handler(lambda event, _: error if event.subject == "bad" else None)
    await topic.send(team_event("bad"))
    await topic.send(team_event("good"))
    async with Reading(settings, handler, retries=Retries(attempts=3, first_wait=timedelta(milliseconds=20))):
        await eventually(lambda: handler.done == ["good"])
    assert handler.given == ["bad", "bad", "bad", "good"]
    (letter,) = await topic.dead_letters()
    assert header(letter, "dlq-reason") == "exhausted"
    assert header(letter, "dlq-attempts") == "3"


@pytest.mark.parametrize("error", [DependencyDown("mongodb"), ProjectionBehind("no challenge yet")])
async def test_what_is_not_the_records_fault_is_waited_for_and_counts_no_attempt(
    settings: Settings, topic: Topic, error: Exception
) -> None:
    handler = Handler(lambda event, attempt: error if attempt <= 12 else None)
    await topic.send(team_event("t1"))
    async with Reading(
        settings,
        handler,
        retries=Retries(attempts=2, first_wait=timedelta(milliseconds=5), longest_wait=timedelta(milliseconds=20)),
    ):
        await eventually(lambda: handler.given.count("t1") > 5, what="it is tried again and again")
        assert await topic.committed() == 0
        await eventually(lambda: handler.done == ["t1"])
    assert len(handler.given) == 13
    assert await topic.dead_letters() == []


async def test_what_never_comes_is_given_up_and_no_other_record_waits_for_it_all_over_again(
    settings: Settings, topic: Topic
) -> None:
    before = counted(metrics.DEAD_LETTERS, TOPIC, "projection_behind")
    lost = ProjectionBehind("chl_lost was never announced")
    handler = Handler(lambda event, attempt: lost if event.subject.startswith("lost") else None)
    for name in ("lost1", "lost2", "good"):
        await topic.send(team_event(name))
    patience = Retries(
        attempts=2,
        first_wait=timedelta(milliseconds=20),
        longest_wait=timedelta(milliseconds=100),
        longest_behind=timedelta(seconds=1),
    )
    async with Reading(settings, handler, retries=patience):
        await eventually(lambda: handler.done == ["good"])
        await eventually(lambda: _is(topic.committed(), 3))
    assert handler.given.count("lost1") > 2, "it was waited for, for longer than a failure is tried again"
    assert handler.given.count("lost2") == 1
    assert await topic.dead_reasons() == ["projection_behind"] * 2
    assert counted(metrics.DEAD_LETTERS, TOPIC, "projection_behind") == before + 2


POISON = {
    "not JSON": (b"{", []),
    "not an object": (b"[]", []),
    "not UTF-8": (b'{"type": "\xff"}', []),
    "no value": (None, []),
    "nested too deeply": (b"[" * 200_000, []),
    "wrong schema": (team_event("x").encode().replace(b'"members":1', b'"members":"many"'), []),
    "no envelope": (b'{"type": "team.registered.v1"}', []),
    "a header that is not UTF-8": (team_event("x").encode(), [("note", b"\xff\xfe")]),
    "oversized": (team_event("x").encode().ljust(MAX_EVENT_BYTES + 1), []),
    "as large as the topic takes": (b'"'.ljust(1_900_000, b"x"), []),
}


@pytest.mark.parametrize("poison", POISON)
async def test_poison_is_dead_lettered_with_its_cause_and_the_next_record_flows(
    settings: Settings, topic: Topic, poison: str
) -> None:
    value, headers = POISON[poison]
    handler = Handler()
    await topic.send(value, headers=headers)
    await topic.send(team_event("good"))
    async with Reading(settings, handler):
        await eventually(lambda: handler.done == ["good"])
        await eventually(lambda: _is(topic.committed(), 2))
    (letter,) = await topic.dead_letters()
    assert letter.value == value
    assert list(letter.headers[: len(headers)]) == headers
    assert header(letter, "dlq-reason") == "malformed"
    assert "MalformedEvent" in header(letter, "dlq-error")


async def test_an_event_of_an_unknown_type_is_ignored_and_counted(settings: Settings, topic: Topic) -> None:
    before = counted(metrics.EVENTS_UNKNOWN, TOPIC)
    handler = Handler()
    await topic.send(team_event("x").encode().replace(b"team.registered.v1", b"team.renamed.v1"))
    await topic.send(team_event("good"))
    async with Reading(settings, handler):
        await eventually(lambda: handler.done == ["good"])
        await eventually(lambda: _is(topic.committed(), 2))
    assert handler.given == ["good"]
    assert counted(metrics.EVENTS_UNKNOWN, TOPIC) == before + 1
    assert await topic.dead_letters() == []


class RefusesAtFirst:
    """Dead letters that cannot be published until the test says so."""

    def __init__(self, through: DeadLetters) -> None:
        self.through = through
        self.refused = 0
        self.refusing = True

    async def bury(self, record: Record, group: str, *, reason: Reason, attempts: int, error: BaseException) -> None:
        if self.refusing:
            self.refused += 1
            raise DependencyDown("dead-letter topic")
        await self.through.bury(record, group, reason=reason, attempts=attempts, error=error)


async def test_a_dead_letter_that_cannot_be_published_is_not_acknowledged(settings: Settings, topic: Topic) -> None:
    office: list[RefusesAtFirst] = []

    def refusing(through: DeadLetters) -> DeadLetters:
        office.append(RefusesAtFirst(through))
        return office[0]

    handler = Handler(lambda event, _: PermanentError("cannot be") if event.subject == "bad" else None)
    await topic.send(team_event("bad"))
    await topic.send(team_event("good"))
    async with Reading(settings, handler, dead_letters=refusing) as reading:
        await eventually(lambda: office[0].refused >= 3)
        await reading.consumption.commit()
        assert await topic.committed() == 0
        assert handler.done == []
        office[0].refusing = False
        await eventually(lambda: handler.done == ["good"])
    assert await topic.dead_reasons() == ["permanent"]


async def test_a_dead_letter_topic_that_is_not_there_loses_nothing(settings: Settings, prefix: str) -> None:
    async with Topic(settings) as topic:
        from aiokafka.admin import AIOKafkaAdminClient

        admin = AIOKafkaAdminClient(bootstrap_servers=list(settings.kafka_bootstrap))
        await admin.start()
        await admin.delete_topics([f"{topic.group}.dlq"])
        await eventually(lambda: _lacks(admin, f"{topic.group}.dlq"))
        handler = Handler(lambda event, _: PermanentError("cannot be") if event.subject == "bad" else None)
        failures = counted(metrics.DEAD_LETTER_FAILURES, TOPIC)
        await topic.send(team_event("bad"))
        await topic.send(team_event("good"))
        async with Reading(settings, handler):
            await eventually(
                lambda: counted(metrics.DEAD_LETTER_FAILURES, TOPIC) > failures, within=60, what="the fault happened"
            )
            assert await topic.committed() == 0
            await create_topics(settings, f"ranking.{TOPIC}.dlq")
            await eventually(lambda: handler.done == ["good"], within=60)
        await admin.close()
        assert set(await topic.dead_reasons()) == {"permanent"}


async def test_too_many_dead_letters_stop_the_stream_until_somebody_resumes_it(
    settings: Settings, topic: Topic
) -> None:
    broken = True
    handler = Handler(lambda event, _: PermanentError("a fault of ours") if broken else None)
    for number in range(40):
        await topic.send(team_event(f"t{number}"))
    limit = DeadLetterLimit(window=20, least=5, share=0.5)
    async with Reading(settings, handler, limit=limit) as reading:
        await eventually(lambda: reading.consumption.halted)
        await eventually(lambda: _is(topic.committed(), 5))
        assert len(await topic.dead_letters()) == 5
        assert metrics.STREAM_HALTED.labels(TOPIC)._value.get() == 1
        assert len(handler.given) == 6
        broken = False
        reading.consumption.resume()
        await eventually(lambda: len(handler.done) == 35)
    assert handler.done == [f"t{number}" for number in range(5, 40)]
    assert metrics.STREAM_HALTED.labels(TOPIC)._value.get() == 0


async def test_a_reply_address_in_a_record_makes_nobody_publish_there(settings: Settings, topic: Topic) -> None:
    await create_topics(settings, "replies")
    replies = f"{settings.kafka_topic_prefix}replies"
    handler = Handler()
    await topic.send(team_event("t1"), headers=[("reply_to", replies.encode()), ("correlation_id", b"1")])
    async with Reading(settings, handler):
        await eventually(lambda: _is(topic.committed(), 1))
    from shared.kafka import read_records

    assert [record async for batch in read_records(settings, replies) for record in batch] == []


async def test_one_keys_failures_are_buried_in_order_while_others_flow(settings: Settings, topic: Topic) -> None:
    handler = Handler(lambda event, _: TransientError("broken for this one") if event.subject == "bad" else None)
    for number in range(4):
        await topic.send(team_event("bad", number + 1), key=b"bad", partition=0)
        await topic.send(team_event(f"good{number}"), key=b"good", partition=1)
    async with Reading(settings, handler):
        await eventually(lambda: _is(topic.committed(0), 4))
        await eventually(lambda: _is(topic.committed(1), 4))
    assert handler.done == [f"good{number}" for number in range(4)]
    letters = await topic.dead_letters()
    assert [header(letter, "dlq-origin-offset") for letter in letters] == ["0", "1", "2", "3"]


async def _is(value: Any, expected: int) -> bool:
    return bool(await value == expected)


async def _lacks(admin: Any, name: str) -> bool:
    return name not in await admin.list_topics()


def _tasks_of(reading: Reading) -> list[asyncio.Task[Any]]:
    return [task for subscriber in reading.broker.subscribers for task in subscriber.tasks]  # type: ignore[attr-defined]
