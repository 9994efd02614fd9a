"""From an event on Kafka to a verified webhook, through the API, the handlers and the worker as real processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from standardwebhooks import Webhook

from deploy.local.kafka import KafkaServer
from deploy.local.mongo import MongoServer
from shared.contracts.envelope import rfc3339
from shared.http import cursor_of
from tests.component.notify.platform import Notify, Sponsor, leader, notify_running, score, states, until
from tests.component.notify.receivers import Receiver, answer, receiver
from tests.component.service_process import Running


@pytest.fixture(scope="module")
async def notify(
    kafka: KafkaServer, mongo: MongoServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Notify]:
    async with notify_running(kafka, mongo, tmp_path_factory.mktemp("notify")) as made:
        yield made


@pytest.fixture(scope="module")
async def worker(notify: Notify) -> AsyncIterator[Running]:
    async with notify.worker() as process:
        yield process


@pytest.fixture
async def sponsor(notify: Notify, worker: Running) -> Sponsor:
    return await notify.sponsor()


@pytest.fixture
async def there() -> AsyncIterator[Receiver]:
    async with receiver(answer(200, b"thanks")) as made:
        yield made


async def test_a_score_reaches_its_sponsor_signed_and_the_log_says_so(
    notify: Notify, sponsor: Sponsor, there: Receiver
) -> None:
    challenge = await sponsor.challenge()
    subscription = await sponsor.subscribe(there.url, challenges=[challenge])
    event = await notify.publish(score(challenge))
    (request,) = await there.until(1)
    assert request.body == event.encode()
    body = Webhook(subscription.secret).verify(request.body, request.headers)
    assert (body["id"], body["data"]["total"]) == (event.id, "91.000000")
    (delivery,) = await subscription.until(lambda all: states(all) == ["succeeded"])
    assert delivery["id"] == request.headers["webhook-id"]
    assert (delivery["type"], delivery["event"], delivery["state"]) == (event.type, event.id, "succeeded")
    (attempt,) = delivery["attempts"]
    assert (attempt["number"], attempt["status"], attempt["answer"]) == (1, 200, "thanks")
    await until(lambda: notify.said("delivery.succeeded.v1", subscription=subscription.id))


async def test_filters_decide_what_is_delivered(notify: Notify, sponsor: Sponsor) -> None:
    mine, other = await sponsor.challenge(), await sponsor.challenge()
    async with receiver(answer(200)) as over_90, receiver(answer(200)) as leaders, receiver(answer(200)) as all_of_it:
        high = await sponsor.subscribe(over_90.url, min_total="90")
        leading = await sponsor.subscribe(leaders.url, challenges=[mine], new_leader=True)
        await sponsor.subscribe(all_of_it.url)
        published = [
            await notify.publish(fact)
            for fact in (score(mine, "89.999999"), score(other, "90.000000"), leader(mine), leader(other))
        ]
        bodies = [event.encode() for event in published]
        assert sorted(request.body for request in await all_of_it.until(4)) == sorted(bodies)
        assert [request.body for request in await over_90.until(1)] == [bodies[1]]
        assert [request.body for request in await leaders.until(1)] == [bodies[2]]
        for subscription in (high, leading):
            assert len(await subscription.deliveries()) == 1


async def test_nobody_hears_of_another_sponsors_challenge_and_cannot_subscribe_to_it(
    notify: Notify, sponsor: Sponsor
) -> None:
    stranger = await notify.sponsor()
    challenge = await sponsor.challenge()
    async with receiver(answer(200)) as ours, receiver(answer(200)) as theirs:
        await sponsor.subscribe(ours.url)
        everything = await stranger.subscribe(theirs.url)
        refused = await stranger.client.post(
            "/subscriptions", json={"url": theirs.url, "filters": {"challenges": [challenge]}}
        )
        assert (refused.status_code, refused.json()["code"]) == (422, "not_your_challenge")
        await notify.publish(score(challenge))
        await ours.until(1)
        assert await everything.deliveries() == []
        assert theirs.received == []


async def test_an_event_read_twice_is_delivered_once(notify: Notify, sponsor: Sponsor, there: Receiver) -> None:
    challenge = await sponsor.challenge()
    await sponsor.subscribe(there.url)
    event = await notify.publish(score(challenge))
    await there.until(1)
    for _ in range(3):
        await notify.publish_again(event)
    last = await notify.publish(score(challenge))
    await there.until(2)
    assert [request.body for request in there.received] == [event.encode(), last.encode()]


async def test_what_happened_before_the_subscription_is_not_delivered(
    notify: Notify, sponsor: Sponsor, there: Receiver
) -> None:
    challenge = await sponsor.challenge()
    await sponsor.subscribe(there.url)
    await notify.publish(score(challenge), at=datetime.now(UTC) - timedelta(hours=1))
    event = await notify.publish(score(challenge))
    await there.until(1)
    assert [request.body for request in there.received] == [event.encode()]


async def test_events_that_come_before_their_challenge_wait_for_it(notify: Notify, sponsor: Sponsor) -> None:
    async with receiver(answer(200)) as there:
        await sponsor.subscribe(there.url)
        fact = score("chl_01jnb3v8k2e7wqx0m5yt4c9rza")
        event = await notify.publish(fact)
        await until(lambda: _said(notify.api, "handled_again_later"))
        assert there.received == []
        await sponsor.challenge(fact.challenge)
        (request,) = await there.until(1, 30)
        assert request.body == event.encode()


async def test_a_test_event_goes_out_at_once_even_while_paused_and_is_tried_once(sponsor: Sponsor) -> None:
    async with receiver(answer(503, b"not yet")) as there:
        subscription = await sponsor.subscribe(there.url)
        await subscription.post("pause")
        queued = await subscription.post("test")
        (request,) = await there.until(1)
        body = Webhook(subscription.secret).verify(request.body, request.headers)
        assert (body["type"], request.headers["webhook-id"]) == ("webhook.test.v1", queued["delivery"])
        (delivery,) = await subscription.until(lambda all: states(all) == ["failed"])
        assert (delivery["test"], len(delivery["attempts"]), delivery["attempts"][0]["answer"]) == (True, 1, "not yet")
        assert (await subscription.read())["state"] == "paused"


async def test_a_paused_subscription_gets_everything_when_it_is_resumed(
    notify: Notify, sponsor: Sponsor, there: Receiver
) -> None:
    challenge = await sponsor.challenge()
    subscription = await sponsor.subscribe(there.url)
    assert (await subscription.post("pause"))["state"] == "paused"
    events = [await notify.publish(score(challenge)) for _ in range(3)]
    await subscription.until(lambda all: len(all) == 3)
    async with receiver(answer(200)) as witness:
        await sponsor.subscribe(witness.url)
        await notify.publish(score(challenge))
        await witness.until(1)
    assert there.received == []
    assert (await subscription.post("resume"))["state"] == "active"
    received = await there.until(4)
    assert {event.encode() for event in events} <= {request.body for request in received}


async def test_rotating_signs_with_both_secrets_and_shows_only_the_new_one(
    notify: Notify, sponsor: Sponsor, there: Receiver
) -> None:
    challenge = await sponsor.challenge()
    subscription = await sponsor.subscribe(there.url)
    rotated = await subscription.post("rotate")
    assert rotated["secret"] != subscription.secret
    until_then = datetime.fromisoformat(rotated["old_secret_until"]) - datetime.now(UTC)
    assert timedelta(hours=23) < until_then <= timedelta(hours=24)
    await notify.publish(score(challenge))
    (request,) = await there.until(1)
    for secret in (rotated["secret"], subscription.secret):
        assert Webhook(secret).verify(request.body, request.headers)
    assert "secret" not in await subscription.read()


def replayed(number: int) -> dict[str, Any]:
    """The answer to a replay that is complete."""
    return {"replayed": number, "more": False, "next": None}


async def test_replay_of_one_keeps_its_webhook_id_and_is_signed_anew(
    notify: Notify, sponsor: Sponsor, there: Receiver
) -> None:
    challenge = await sponsor.challenge()
    subscription = await sponsor.subscribe(there.url)
    await notify.publish(score(challenge))
    await there.until(1)
    (delivery,) = await subscription.until(lambda all: states(all) == ["succeeded"])
    assert await subscription.post("replay", {"delivery": delivery["id"]}) == {
        "replayed": 1,
        "more": False,
        "next": None,
    }
    first, second = await there.until(2)
    assert (first.headers["webhook-id"], first.body) == (second.headers["webhook-id"], second.body)
    assert Webhook(subscription.secret).verify(second.body, second.headers)
    await subscription.until(lambda all: [each["status"] for each in all[0]["attempts"]] == [200, 200])


async def test_replay_of_what_failed_and_of_a_range(notify: Notify, sponsor: Sponsor) -> None:
    challenge = await sponsor.challenge()
    began = rfc3339(datetime.now(UTC))
    async with receiver(answer(410)) as there:
        subscription = await sponsor.subscribe(there.url)
        gone = await notify.publish(score(challenge))
        assert (await subscription.until_state("disabled"))["reason"] == "gone"
        missed = await notify.publish(score(challenge))
        await subscription.until(lambda all: states(all) == ["failed", "failed"])
        there.behave = answer(200)
        assert (await subscription.post("resume"))["state"] == "active"
        assert await subscription.post("replay", {"failed_since": began}) == {
            "replayed": 2,
            "more": False,
            "next": None,
        }
        received = await there.until(3)
        assert {request.body for request in received[1:]} == {gone.encode(), missed.encode()}
        await subscription.until(lambda all: states(all) == ["succeeded", "succeeded"])
        assert await subscription.post("replay", {"from": began}) == replayed(2)
        assert len(await there.until(5)) == 5
        later = cursor_of("2999-01-01T00:00:00Z", "evt_x")
        assert await subscription.post("replay", {"from": began, "after": later}) == replayed(0)
        assert await subscription.post("replay", {"from": began, "to": began}) == {
            "replayed": 0,
            "more": False,
            "next": None,
        }


async def test_a_range_holds_what_a_later_subscription_missed_of_its_own_time_only(
    notify: Notify, sponsor: Sponsor
) -> None:
    challenge = await sponsor.challenge()
    began = rfc3339(datetime.now(UTC))
    async with receiver(answer(200)) as early, receiver(answer(200)) as late:
        await sponsor.subscribe(early.url)
        await notify.publish(score(challenge))
        await early.until(1)
        later = await sponsor.subscribe(late.url)
        assert await later.post("replay", {"from": began}) == replayed(0)


async def test_a_deleted_subscription_is_gone_and_what_was_on_its_way_is_given_up(
    notify: Notify, sponsor: Sponsor
) -> None:
    challenge = await sponsor.challenge()
    async with receiver(answer(500)) as there, receiver(answer(200)) as other:
        subscription = await sponsor.subscribe(there.url)
        await sponsor.subscribe(other.url)
        await notify.publish(score(challenge))
        await there.until(1)
        assert (await sponsor.client.delete(f"/subscriptions/{subscription.id}")).status_code == 204
        for path in ("", "/deliveries"):
            assert (await sponsor.client.get(f"/subscriptions/{subscription.id}{path}")).status_code == 404
        await until(lambda: notify.said("delivery.failed.v1", subscription=subscription.id), 30)
        (failed,) = await notify.said("delivery.failed.v1", subscription=subscription.id)
        assert failed.data.reason == "subscription_deleted"
        assert len(there.received) == 1


async def test_the_same_request_twice_is_one_subscription_with_one_secret(sponsor: Sponsor, there: Receiver) -> None:
    headers = {"Idempotency-Key": "mine"}
    body = {"url": there.url, "filters": {"min_total": 90}}
    answers = [await sponsor.client.post("/subscriptions", json=body, headers=headers) for _ in range(3)]
    assert {each.status_code for each in answers} == {201}
    assert len({(each.json()["id"], each.json()["secret"]) for each in answers}) == 1
    assert len((await sponsor.client.get("/subscriptions")).json()["subscriptions"]) == 1
    rotations = [
        (await sponsor.client.post(f"/subscriptions/{answers[0].json()['id']}/rotate", headers=headers)) for _ in "ab"
    ]
    assert {each.status_code for each in rotations} == {409}
    other = {"Idempotency-Key": "other"}
    rotations = [
        (await sponsor.client.post(f"/subscriptions/{answers[0].json()['id']}/rotate", headers=other)) for _ in "ab"
    ]
    assert len({each.json()["secret"] for each in rotations}) == 1
    different = await sponsor.client.post("/subscriptions", json={**body, "description": "x"}, headers=headers)
    assert (different.status_code, different.json()["code"]) == (409, "idempotency_conflict")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "invalid_request"),
        ({"url": ""}, "invalid_request"),
        ({"url": "https://example.org/", "filter": {}}, "invalid_request"),
        ({"url": "https://example.org/", "filters": {"types": ["score.complete.v1"]}}, "invalid_request"),
        ({"url": "https://example.org/", "filters": {"types": ["credential.issued.v1"]}}, "invalid_request"),
        ({"url": "https://example.org/", "filters": {"min_total": "ninety"}}, "invalid_request"),
        ({"url": "https://example.org/", "filters": {"min_total": "101"}}, "invalid_request"),
        ({"url": "https://example.org/", "filters": {"challenges": ["chl_x"]}}, "invalid_request"),
        ({"url": "ftp://example.org/"}, "url_refused"),
        ({"url": "https://user:pass@example.org/"}, "url_refused"),
        ({"url": "https://10.0.0.1/"}, "address_refused"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, "address_refused"),
        ({"url": "https://[fec0::1]/"}, "address_refused"),
        ({"url": "https://[::ffff:10.0.0.1]/"}, "address_refused"),
        ({"url": "http://8.8.8.8:22/"}, "port_refused"),
        ({"url": "https://no-such-host.invalid/"}, "unresolvable"),
    ],
)
async def test_a_subscription_that_cannot_be_is_refused_with_a_code(
    sponsor: Sponsor, body: dict[str, object], code: str
) -> None:
    answered = await sponsor.client.post("/subscriptions", json=body)
    assert (answered.status_code, answered.json()["code"]) == (422, code), answered.text
    assert (await sponsor.client.get("/subscriptions")).json()["subscriptions"] == []


async def test_a_type_that_is_nearly_right_is_answered_with_the_right_one(sponsor: Sponsor) -> None:
    body = {"url": "https://example.org/", "filters": {"types": ["score.complete.v1"]}}
    refused = await sponsor.client.post("/subscriptions", json=body)
    assert "did you mean score.completed.v1?" in refused.json()["detail"]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"delivery": "x", "from": "2026-01-01T00:00:00Z"},
        {"to": "2026-01-01T00:00:00Z"},
        {"failed_since": "2026-01-01T00:00:00Z", "after": "x"},
    ],
)
async def test_a_replay_says_one_thing(sponsor: Sponsor, there: Receiver, body: dict[str, str]) -> None:
    subscription = await sponsor.subscribe(there.url)
    refused = await sponsor.client.post(f"/subscriptions/{subscription.id}/replay", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("cursor", ["", "x", "WyJhIl0", "WyJhIiwiYiJd", "WyIyMDI2LTAxLTAxIiwiYiJd"])
async def test_a_replay_goes_on_from_no_place_of_its_own_making(sponsor: Sponsor, there: Receiver, cursor: str) -> None:
    subscription = await sponsor.subscribe(there.url)
    body = {"from": "2026-01-01T00:00:00Z", "after": cursor}
    refused = await sponsor.client.post(f"/subscriptions/{subscription.id}/replay", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_cursor")


async def test_another_sponsors_subscription_is_not_there(notify: Notify, sponsor: Sponsor, there: Receiver) -> None:
    subscription = await sponsor.subscribe(there.url)
    stranger = await notify.sponsor()
    path = f"/subscriptions/{subscription.id}"
    asked = [
        stranger.client.get(path),
        stranger.client.delete(path),
        stranger.client.get(f"{path}/deliveries"),
        stranger.client.get(f"{path}/deliveries/dlv_x"),
        *(stranger.client.post(f"{path}/{what}") for what in ("pause", "resume", "rotate", "test")),
        stranger.client.post(f"{path}/replay", json={"delivery": "dlv_x"}),
    ]
    for answered in await asyncio.gather(*asked):
        assert (answered.status_code, answered.json()["code"]) == (404, "unknown_subscription")
    assert (await stranger.client.get("/subscriptions")).json()["subscriptions"] == []
    assert (await subscription.read())["state"] == "active"
    anonymous = await stranger.client.get("/subscriptions", headers={"Authorization": "Bearer x"})
    assert anonymous.status_code == 401


async def test_no_secret_is_ever_in_a_log_or_an_event(
    notify: Notify, sponsor: Sponsor, worker: Running, there: Receiver
) -> None:
    challenge = await sponsor.challenge()
    subscription = await sponsor.subscribe(there.url)
    rotated = await subscription.post("rotate")
    await notify.publish(score(challenge))
    await there.until(1)
    await until(lambda: notify.said("delivery.succeeded.v1", subscription=subscription.id))
    published = "".join(event.encode().decode() for event in await notify.said("delivery.succeeded.v1"))
    said = notify.api.log() + worker.log() + published
    assert subscription.id in said
    for secret in (subscription.secret, rotated["secret"], sponsor.key):
        assert secret.removeprefix("whsec_") not in said
        assert secret.rpartition("_")[2] not in said


async def _said(process: Running, what: str) -> bool:
    return what in process.log()
