"""The relay's order and patience, with a publisher that refuses when told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from shared.outbox import OutboxEntry, Pending, Relay
from tests.eventually import eventually
from tests.fakes import FakePublisher

AT = datetime(2026, 3, 1, tzinfo=UTC)


def entry(name: str) -> OutboxEntry:
    return OutboxEntry(id=f"evt_{name}", topic="intake.submissions", key="sub_1", body=name, time=AT)


class Documents:
    """Outboxes in memory."""

    name = "submissions"

    def __init__(self) -> None:
        self.outboxes: dict[str, list[OutboxEntry]] = {}
        self.order: list[str] = []

    def save(self, document: str, *entries: OutboxEntry) -> list[OutboxEntry]:
        self.outboxes.setdefault(document, []).extend(entries)
        return list(self.outboxes[document])

    async def pending(self, grace: timedelta, limit: int) -> Sequence[Pending]:
        return [Pending(id, tuple(left)) for id, left in self.outboxes.items() if left][:limit]

    async def published(self, ids: dict[str, list[str]]) -> None:
        self.order.append("marked")
        for document, events in ids.items():
            self.outboxes[document] = [left for left in self.outboxes[document] if left.id not in events]

    async def backlog(self) -> tuple[int, float]:
        return sum(bool(left) for left in self.outboxes.values()), 0.0


def relay(publisher: FakePublisher, documents: Documents, *, most: int = 500) -> Relay:
    made = Relay(publisher, most_documents=most, mark_after=timedelta(0))
    made.watch(documents)
    return made


async def test_a_flush_publishes_in_array_order_and_empties_the_outbox() -> None:
    publisher, documents = FakePublisher(), Documents()
    at_work = relay(publisher, documents)
    at_work.flush("submissions", "sub_1", documents.save("sub_1", entry("a"), entry("b"), entry("c")))
    assert await at_work.settle(5)
    assert publisher.values() == ["a", "b", "c"]
    assert documents.outboxes["sub_1"] == []


async def test_the_first_failure_stops_the_document_so_that_nothing_overtakes() -> None:
    publisher, documents = FakePublisher(refuse={b"b"}), Documents()
    at_work = relay(publisher, documents)
    at_work.flush("submissions", "sub_1", documents.save("sub_1", entry("a"), entry("b"), entry("c")))
    await at_work.settle(5)
    assert publisher.values() == ["a"]
    assert [left.body for left in documents.outboxes["sub_1"]] == ["b", "c"]

    publisher.refuse.clear()
    assert await at_work.sweep() == 1
    await at_work.settle(5)
    assert publisher.values() == ["a", "b", "c"]
    assert documents.outboxes["sub_1"] == []


async def test_another_documents_events_flow_while_one_is_refused() -> None:
    publisher, documents = FakePublisher(refuse={b"a"}), Documents()
    at_work = relay(publisher, documents)
    at_work.flush("submissions", "sub_1", documents.save("sub_1", entry("a")))
    at_work.flush("submissions", "sub_2", documents.save("sub_2", entry("z")))
    await at_work.settle(5)
    assert publisher.values() == ["z"]


async def test_nothing_is_marked_before_it_is_published() -> None:
    publisher, documents = FakePublisher(), Documents()
    publisher.open.clear()
    at_work = relay(publisher, documents)
    at_work.flush("submissions", "sub_1", documents.save("sub_1", entry("a")))
    assert not await at_work.settle(0.05)
    assert documents.order == []
    assert len(documents.outboxes["sub_1"]) == 1
    publisher.open.set()
    assert await at_work.settle(5)
    assert documents.outboxes["sub_1"] == []


async def test_a_save_during_a_publish_is_published_after_it_and_once() -> None:
    publisher, documents = FakePublisher(), Documents()
    publisher.open.clear()
    at_work = relay(publisher, documents)
    at_work.flush("submissions", "sub_1", documents.save("sub_1", entry("a")))
    at_work.flush("submissions", "sub_1", documents.save("sub_1", entry("b")))
    at_work.flush("submissions", "sub_1", documents.save("sub_1", entry("c")))
    await at_work.sweep()
    publisher.open.set()
    assert await at_work.settle(5)
    assert publisher.values() == ["a", "b", "c"]


async def test_beyond_the_bound_documents_wait_for_the_sweep() -> None:
    publisher, documents = FakePublisher(), Documents()
    publisher.open.clear()
    at_work = relay(publisher, documents, most=2)
    for number in range(5):
        id = f"sub_{number}"
        at_work.flush("submissions", id, documents.save(id, entry(f"e{number}")))
    publisher.open.set()
    assert await at_work.settle(5)
    assert publisher.values() == ["e0", "e1"]
    while await at_work.sweep():
        await at_work.settle(5)
    assert sorted(publisher.values()) == [f"e{number}" for number in range(5)]


async def test_a_kafka_that_is_away_leaves_everything_in_the_outbox_and_in_order_afterwards() -> None:
    publisher, documents = FakePublisher(down=True), Documents()
    at_work = relay(publisher, documents)
    for number in range(3):
        at_work.flush("submissions", "sub_1", documents.save("sub_1", entry(f"e{number}")))
        await at_work.settle(5)
    assert publisher.values() == []
    publisher.down = False
    loop = asyncio.get_running_loop().create_task(Relay.run(at_work))
    await eventually(lambda: publisher.values() == ["e0", "e1", "e2"])
    loop.cancel()
