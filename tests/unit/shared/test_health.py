"""What `/livez`, `/readyz` and `/metrics` say, and what counts as standing still."""

from __future__ import annotations

import time
from collections import deque
from typing import Any

import httpx
import pytest
from aiokafka import TopicPartition

from shared import consumption as consumption_module
from shared.consumption import Consumption
from shared.contracts.envelope import Event
from shared.health import Health

PARTITION = TopicPartition("board.teams", 3)


async def ask(health: Health, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=health.application())
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        return await client.get(path)


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
    assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


class Consumer:
    """A consumer as far as progress is seen of it."""

    def __init__(self, polled: float) -> None:
        self.polled = polled
        self.paused_partitions: set[TopicPartition] = set()

    def assignment(self) -> set[TopicPartition]:
        return {PARTITION}

    def paused(self) -> set[TopicPartition]:
        return self.paused_partitions

    def last_poll_timestamp(self, partition: TopicPartition) -> int | None:
        return int(self.polled * 1000)


class Subscriber:
    def __init__(self, consumer: Any) -> None:
        self.consumer = consumer
        self.running = True


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
    busy.begin()
    assert busy.stalled(60) is None
    monkeypatch.setattr(consumption_module, "LONGEST_HANDLING", -1.0)
    told = busy.stalled(60)
    assert told is not None
    assert "a handler" in told
    busy.end()
    assert busy.stalled(60) is None
