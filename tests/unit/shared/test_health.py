"""What `/livez`, `/readyz` and `/metrics` say, and what counts as standing still."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import httpx
import pytest
from aiokafka import ConsumerRecord, TopicPartition

from shared import consumption as consumption_module
from shared import metrics
from shared.consumption import Consumption
from shared.contracts.envelope import Event
from shared.health import Health

PARTITION = TopicPartition("board.teams", 3)


async def ask(health: Health, path: str, accept: str = "*/*") -> httpx.Response:
    transport = httpx.ASGITransport(app=health.application())
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path, headers={"Accept": accept})


async def test_a_process_in_which_all_is_right_lives_and_is_ready() -> None:
    health = Health()
    health.alive_if("streams", lambda: None)
    health.ready_if("start", lambda: None)
    for path in ("/livez", "/readyz"):
        answer = await ask(health, path)
        assert (answer.status_code, answer.json()) == (200, {"ok": True})


async def test_a_process_that_starts_lives_and_is_not_ready() -> None:
    health = Health()
    health.ready_if("start", lambda: "mongodb: not reached yet")
    assert (await ask(health, "/livez")).status_code == 200
    answer = await ask(health, "/readyz")
    assert (answer.status_code, answer.json()["wrong"]) == (503, {"start": "mongodb: not reached yet"})


async def test_a_process_beyond_help_is_neither_alive_nor_ready() -> None:
    health = Health()
    health.alive_if("streams", lambda: "nobody polls")
    for path in ("/livez", "/readyz"):
        answer = await ask(health, path)
        assert (answer.status_code, answer.json()["wrong"]) == (503, {"streams": "nobody polls"})


async def test_the_metrics_are_exposed_with_their_help() -> None:
    answer = await ask(Health(), "/metrics")
    assert "# HELP dead_letters_total" in answer.text
    assert answer.headers["content-type"].startswith("text/plain; version=")


async def test_whoever_reads_openmetrics_is_led_from_a_slow_submission_to_its_trace() -> None:
    metrics.SUBMISSION_TO_RANK.observe(33.0, {"submission": "sub_a", "trace_id": "5" * 32})
    answer = await ask(Health(), "/metrics", accept="application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    assert answer.headers["content-type"].startswith("application/openmetrics-text")
    (line,) = [
        line for line in answer.text.splitlines() if line.startswith('submission_to_rank_seconds_bucket{le="60.0"}')
    ]
    assert f'{{submission="sub_a",trace_id="{"5" * 32}"}} 33.0' in line
    assert answer.text.endswith("# EOF\n")


class Consumer:
    """A consumer as far as progress is seen of it."""

    def __init__(self, polled: float) -> None:
        self.polled = polled
        self.paused_partitions: set[TopicPartition] = set()
        self.assigned = {PARTITION}

    def assignment(self) -> set[TopicPartition]:
        return self.assigned

    def paused(self) -> set[TopicPartition]:
        return self.paused_partitions

    def highwater(self, partition: TopicPartition) -> int:
        return 9

    async def position(self, partition: TopicPartition) -> int:
        return 7

    def last_poll_timestamp(self, partition: TopicPartition) -> int | None:
        return int(self.polled * 1000)


class Subscriber:
    def __init__(self, consumer: Any) -> None:
        self.consumer = consumer
        self.running = True


def record(age: float = 0) -> ConsumerRecord[bytes, bytes]:
    """A record that came so many seconds ago."""
    at = int((time.time() - age) * 1000)
    return ConsumerRecord("board.teams", 3, 7, at, 1, b"key", b"{}", None, 3, 2, ())


async def _handler(event: Event[Any]) -> None: ...


def stream_with(consumer: Consumer) -> Consumption:
    made = Consumption("board.teams", "board.teams", "ranking.board.teams", _handler, deque())
    made.attach(Subscriber(consumer))
    return made


def test_a_partition_that_nobody_polls_stands_still() -> None:
    stale = stream_with(Consumer(time.time() - 61))
    stale._last_end -= 61
    told = stale.stalled(60)
    assert told is not None
    assert "partition 3" in told


def test_a_stream_that_has_just_handled_something_moves_though_a_partition_waits_its_turn() -> None:
    assert stream_with(Consumer(time.time() - 61)).stalled(60) is None


def test_a_partition_that_is_paused_on_purpose_does_not_stand_still() -> None:
    consumer = Consumer(time.time() - 61)
    consumer.paused_partitions = {PARTITION}
    paused = stream_with(consumer)
    paused._last_end -= 61
    assert paused.stalled(60) is None


def test_a_handler_at_work_is_progress_until_it_takes_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = stream_with(Consumer(time.time() - 61))
    busy._last_end -= 61
    busy.begin(record())
    assert busy.stalled(60) is None
    monkeypatch.setattr(consumption_module, "LONGEST_HANDLING", -1.0)
    told = busy.stalled(60)
    assert told is not None
    assert "a handler" in told
    busy.end()
    assert busy.stalled(60) is None


async def test_the_time_lag_is_the_age_of_the_record_that_a_stream_cannot_get_past() -> None:
    stuck = stream_with(Consumer(time.time()))
    stuck.begin(record(age=90))
    stuck.end()
    await stuck.measure()
    assert metrics.CONSUMER_TIME_LAG.labels("board.teams")._value.get() == pytest.approx(90, abs=30)


async def test_the_lag_of_a_partition_that_went_to_another_process_is_no_longer_told() -> None:
    consumer = Consumer(time.time())
    stream = stream_with(consumer)
    series = f'consumer_lag_records{{partition="{PARTITION.partition}",stream="board.teams"}}'
    await stream.measure()
    assert f"{series} 2.0" in (await ask(Health(), "/metrics")).text
    consumer.assigned = set()
    await stream.measure()
    assert series not in (await ask(Health(), "/metrics")).text
