"""Receivers that behave badly and workers that die: what they may do to a delivery, and to nobody else's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer
from tests.component.notify.platform import Notify, notify_running, score, states, until
from tests.component.notify.receivers import (
    HugeAnswer,
    Received,
    Receiver,
    answer,
    certificate,
    drip,
    never_answer,
    receiver,
)

QUICK = {"JIEBANG_NOTIFY_WORKER_TIME_OUT": "1s"}


@pytest.fixture(scope="module")
async def notify(
    kafka: KafkaServer, mongo: MongoServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Notify]:
    async with notify_running(kafka, mongo, tmp_path_factory.mktemp("notify")) as made:
        yield made


@dataclass
class Held:
    """Takes requests and answers 200 when it is told to."""

    release: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, writer: asyncio.StreamWriter, request: Received) -> None:
        await self.release.wait()
        await answer(200)(writer, request)


async def test_each_bad_receiver_ends_in_its_documented_state_and_the_good_one_gets_everything(
    notify: Notify, tmp_path: Path
) -> None:
    """Fault 30."""
    sponsor = await notify.sponsor()
    challenge = await sponsor.challenge()
    huge, (untrusted, _) = HugeAnswer(), certificate(tmp_path, "127.0.0.1")
    count = 10
    async with AsyncExitStack() as stack:

        async def open_receiver(behave: Any, tls: Any = None) -> Receiver:
            return await stack.enter_async_context(receiver(behave, tls))

        inside = await open_receiver(answer(200))
        receivers = {
            "good": await open_receiver(answer(204)),
            "silent": await open_receiver(never_answer),
            "broken": await open_receiver(answer(500, b"oh no")),
            "gone": await open_receiver(answer(410)),
            "busy": await open_receiver(answer(429, Retry_After="3600")),
            "redirecting": await open_receiver(answer(302, Location=inside.url)),
            "dripping": await open_receiver(drip),
            "huge": await open_receiver(huge),
            "untrusted": await open_receiver(answer(200), untrusted),
        }
        subscribed = {name: await sponsor.subscribe(there.url) for name, there in receivers.items()}
        async with notify.worker(**QUICK):
            events = [await notify.publish(score(challenge)) for _ in range(count)]
            received = await receivers["good"].until(count)
            assert {request.body for request in received} == {event.encode() for event in events}
            for request in received:
                Webhook(subscribed["good"].secret).verify(request.body, request.headers)
            await subscribed["good"].until(lambda all: states(all) == ["succeeded"] * count)
            assert (await subscribed["good"].read())["state"] == "active"
            await subscribed["huge"].until(lambda all: states(all) == ["succeeded"] * count, 60)

            gone = await subscribed["gone"].until_state("disabled")
            assert gone["reason"] == "gone"
            given_up = await subscribed["gone"].until(lambda all: states(all) == ["failed"] * count)
            assert {delivery["reason"] for delivery in given_up} <= {"gone", "subscription_disabled"}
            await until(lambda: notify.said("subscription.disabled.v1", subscription=gone["id"], reason="gone"))

            expected = {
                "silent": (None, "time_out"),
                "broken": (500, None),
                "busy": (429, None),
                "redirecting": (302, None),
                "dripping": (200, "time_out"),
                "untrusted": (None, "tls_failed"),
            }
            for name, (status, error) in expected.items():
                deliveries = await subscribed[name].until(lambda all: any(each["attempts"] for each in all))
                assert set(states(deliveries)) == {"pending"}, name
                outcomes = {(each["status"], each["error"]) for one in deliveries for each in one["attempts"]}
                assert outcomes == {(status, error)}, name
                assert (await subscribed[name].until_state("failing"))["last_failure_at"], name
    # Each fault happened, and what it could have led to did not.
    for name, there in receivers.items():
        if name != "untrusted":
            assert there.received, name
    assert inside.connections == 0
    assert huge.sent >= 65536
    busy = await subscribed["busy"].deliveries()
    # Quiet for an hour was asked: at most the four attempts that were under way at once came through.
    assert len(receivers["busy"].received) <= 4
    hour = datetime.now(UTC) + timedelta(minutes=58)
    attempted = [each for each in busy if each["attempts"]]
    assert all(datetime.fromisoformat(each["next_attempt_at"]) > hour for each in attempted)


async def test_a_receiver_that_recovers_gets_the_same_webhook_id_again_with_a_new_signature(notify: Notify) -> None:
    sponsor = await notify.sponsor()
    challenge = await sponsor.challenge()
    async with receiver(answer(500)) as there, notify.worker(**QUICK):
        subscription = await sponsor.subscribe(there.url)
        await notify.publish(score(challenge))
        await subscription.until(lambda all: bool(all and all[0]["attempts"]))
        await subscription.until_state("failing")
        there.behave = answer(200)
        first, second = await there.until(2)
        (delivery,) = await subscription.until(lambda all: states(all) == ["succeeded"])
        assert [attempt["status"] for attempt in delivery["attempts"]] == [500, 200]
        await subscription.until_state("active")
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == delivery["id"]
    assert first.headers["webhook-timestamp"] != second.headers["webhook-timestamp"]
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    assert Webhook(subscription.secret).verify(second.body, second.headers)


async def test_a_worker_killed_between_sending_and_recording_sends_the_same_webhook_id_again(notify: Notify) -> None:
    """Fault 31."""
    sponsor = await notify.sponsor()
    challenge = await sponsor.challenge()
    held = Held()
    async with receiver(held) as there:
        subscription = await sponsor.subscribe(there.url)
        async with notify.worker(JIEBANG_NOTIFY_WORKER_TIME_OUT="2s") as worker:
            await notify.publish(score(challenge))
            (first,) = await there.until(1)
            worker.process.kill()
        assert worker.process.exit_code == -9
        (delivery,) = await subscription.deliveries()
        assert (delivery["state"], delivery["attempts"]) == ("pending", [])
        held.release.set()
        async with notify.worker(**QUICK):
            _, second = await there.until(2, 30)
            (delivery,) = await subscription.until(lambda all: states(all) == ["succeeded"])
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == delivery["id"]
    assert first.body == second.body
    assert len(there.received) == 2
    assert Webhook(subscription.secret).verify(second.body, second.headers)


async def test_a_worker_frozen_past_its_lease_is_not_heard_when_it_wakes(notify: Notify) -> None:
    sponsor = await notify.sponsor()
    challenge = await sponsor.challenge()
    held = Held()
    async with receiver(held) as there:
        subscription = await sponsor.subscribe(there.url)
        async with notify.worker(**QUICK) as frozen:
            await notify.publish(score(challenge))
            await there.until(1)
            frozen.process.freeze()
            held.release.set()
            async with notify.worker(**QUICK):
                await there.until(2, 30)
                (delivery,) = await subscription.until(lambda all: states(all) == ["succeeded"])
            frozen.process.thaw()
            await until(lambda: _lost_its_lease(frozen))
        assert await subscription.deliveries() == [delivery]
    assert len(delivery["attempts"]) == 1


async def test_a_worker_told_to_stop_finishes_and_records_what_it_has_begun(notify: Notify) -> None:
    sponsor = await notify.sponsor()
    challenge = await sponsor.challenge()
    held = Held()
    async with receiver(held) as there:
        subscription = await sponsor.subscribe(there.url)
        async with notify.worker() as worker:
            await notify.publish(score(challenge))
            await there.until(1)
            stopping = asyncio.create_task(worker.process.stop(30))
            await until(lambda: _is_stopping(worker))
            assert worker.process.running
            held.release.set()
            assert await stopping == 0
        assert states(await subscription.deliveries()) == ["succeeded"]
        assert len(there.received) == 1


async def test_the_api_killed_while_events_come_loses_none_and_queues_none_twice(
    kafka: KafkaServer, mongo: MongoServer, tmp_path: Path
) -> None:
    async with notify_running(kafka, mongo, tmp_path) as notify:
        sponsor = await notify.sponsor()
        challenge = await sponsor.challenge()
        async with receiver(answer(200)) as there, notify.worker():
            await sponsor.subscribe(there.url)
            first = [await notify.publish(score(challenge)) for _ in range(30)]
            await there.until(1)
            notify.api.process.kill()
            assert notify.api.process.exit_code == -9
            second = [await notify.publish(score(challenge)) for _ in range(30)]
            notify.api.process.start()
            await notify.api.until_ready()
            await there.until(60, 60)
            last = await notify.publish(score(challenge))
            await there.until(61)
    bodies = [request.body for request in there.received]
    assert sorted(bodies) == sorted(event.encode() for event in [*first, *second, last])


async def _lost_its_lease(worker: Any) -> bool:
    return "lease_lost" in worker.log()


async def _is_stopping(worker: Any) -> bool:
    return "process_stops" in worker.log()
