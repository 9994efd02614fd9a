"""One suite for both stores of notify: what one promises, the other keeps."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from services.notify import delivery as deliveries
from services.notify import subscription as subscriptions
from services.notify.delivery import Delivery, DeliveryState, LeaseLost, Reply
from services.notify.store import KeptEvent, Store
from services.notify.subscription import Filters, Subscription, SubscriptionState, secret_of
from shared.mongo import AggregateExists, AggregateMissing
from tests.eventually import eventually

SECOND = timedelta(seconds=1)
LEASE = timedelta(seconds=60)
LATE = timedelta(milliseconds=100)
"""The store's moment is behind the database's own by as long as an answer took, some milliseconds most often."""
HOUR = timedelta(hours=1)


async def subscribed(store: Store, id: str, owner: str = "spn_a") -> Subscription:
    state, _ = subscriptions.create(
        id,
        owner=owner,
        url="https://example.org/hook",
        filters=Filters(types=("score.completed.v1",), min_total="90"),
        description="Over 90",
        secret=secret_of(b"1" * 32),
        now=await store.now(),
    )
    await store.add_subscription(state)
    return state


async def queued(
    store: Store, id: str, lane: str = "a.example:443", due: timedelta = -SECOND, subscription: str = "whk_a"
) -> Delivery:
    now = await store.now()
    delivery = Delivery(
        id=id,
        subscription=subscription,
        event="evt_a",
        type="score.completed.v1",
        lane=lane,
        created_at=now,
        due_at=now + due,
    )
    assert await store.queue(delivery)
    return delivery


async def test_a_subscription_comes_back_as_it_was_stored_secrets_and_all(store: Store) -> None:
    state = await subscribed(store, "whk_a")
    assert await store.subscription("whk_a") == state
    with pytest.raises(AggregateExists):
        await store.add_subscription(state)
    with pytest.raises(AggregateMissing):
        await store.update_subscription("whk_x", subscriptions.resume)


async def test_another_owners_and_deleted_subscriptions_are_not_there(store: Store) -> None:
    await subscribed(store, "whk_a")
    await subscribed(store, "whk_b", "spn_b")
    assert await store.subscription("whk_a", "spn_b") is None
    assert [each.id for each in await store.subscriptions("spn_a")] == ["whk_a"]
    now = await store.now()
    await store.update_subscription("whk_a", lambda before: subscriptions.delete(before, now))
    assert await store.subscription("whk_a") is None
    assert await store.subscription("whk_a", "spn_a") is None
    assert await store.subscriptions("spn_a") == []


async def test_the_health_of_a_subscription_survives_the_store(store: Store) -> None:
    await subscribed(store, "whk_a")
    now = await store.now()
    for hours in range(0, 130, 10):
        at = now + hours * HOUR
        state = await store.update_subscription(
            "whk_a",
            lambda before, at=at: subscriptions.failed(before, at),  # type: ignore[misc]
        )
    assert state.state is SubscriptionState.DISABLED
    assert await store.subscription("whk_a") == state
    assert await store.disabled() == 1


async def test_endpoints_that_fail_are_counted_until_they_take_something_again(store: Store) -> None:
    await subscribed(store, "whk_a")
    await subscribed(store, "whk_b")
    assert await store.failing() == 0
    now = await store.now()
    await store.update_subscription("whk_a", lambda before: subscriptions.failed(before, now))
    assert await store.failing() == 1
    await store.update_subscription("whk_a", subscriptions.succeeded)
    assert await store.failing() == 0


async def test_what_has_been_due_for_too_long_is_counted(store: Store) -> None:
    await queued(store, "dlv_a", due=-2 * SECOND)
    await queued(store, "dlv_b", due=-90 * SECOND)
    await queued(store, "dlv_c", due=HOUR)
    assert await store.overdue(60 * SECOND) == 1
    assert await store.overdue(SECOND) == 2


async def test_the_first_word_on_a_challenges_sponsor_stays(store: Store) -> None:
    assert await store.sponsor_of("chl_a") is None
    await store.learn_sponsor("chl_a", "spn_a")
    await store.learn_sponsor("chl_a", "spn_b")
    assert await store.sponsor_of("chl_a") == "spn_a"


async def test_kept_events_come_back_byte_for_byte_by_owner_and_time(store: Store) -> None:
    now = await store.now()
    events = [
        KeptEvent(f"evt_{number}", owner, "chl_a", "score.completed.v1", now + number * SECOND, '{"名": 1.50}')
        for number, owner in enumerate(["spn_a", "spn_b", "spn_a", "spn_a"])
    ]
    for event in [*events, events[0]]:
        await store.keep_event(event)
    assert await store.event("evt_2") == events[2]
    assert await store.event("evt_9") is None
    assert await store.events("spn_a", now, now + 3 * SECOND, None, 10) == [events[0], events[2]]
    assert await store.events("spn_a", now, now + HOUR, None, 1) == [events[0]]


async def test_kept_events_go_on_after_a_place_also_among_those_of_one_moment(store: Store) -> None:
    now = await store.now()
    moments = [now, now, now, now + SECOND, now + SECOND]
    events = [
        KeptEvent(f"evt_{number}", "spn_a", "chl_a", "score.completed.v1", at, "{}")
        for number, at in enumerate(moments)
    ]
    for event in events:
        await store.keep_event(event)
    for number, event in enumerate(events):
        assert await store.events("spn_a", now, now + HOUR, (event.at, event.id), 10) == events[number + 1 :]
    assert await store.events("spn_a", now + SECOND, now + HOUR, (now, "evt_1"), 10) == events[3:]


async def test_a_delivery_is_queued_once(store: Store) -> None:
    delivery = await queued(store, "dlv_a")
    assert not await store.queue(delivery)
    assert await store.pending() == 1
    assert await store.delivery("dlv_a", "whk_a") == delivery
    assert await store.delivery("dlv_a", "whk_b") is None


async def test_what_is_not_due_is_not_claimed_and_what_is_claimed_is_leased(store: Store) -> None:
    await queued(store, "dlv_later", due=HOUR)
    await queued(store, "dlv_now")
    (claimed,) = await store.claim([], 10, LEASE)
    assert (claimed.id, claimed.claims, claimed.tried, claimed.sending) == ("dlv_now", 1, 1, True)
    assert claimed.due_at is not None
    assert timedelta(0) < claimed.due_at - await store.now() <= LEASE + LATE
    assert await store.claim([], 10, LEASE) == []


async def test_one_of_each_lane_is_claimed_at_a_time_and_busy_lanes_are_left_alone(store: Store) -> None:
    for lane in ("a", "b", "c"):
        for number in range(3):
            await queued(store, f"dlv_{lane}{number}", lane)
    assert sorted(each.id for each in await store.claim(["b"], 10, LEASE)) == ["dlv_a0", "dlv_c0"]
    assert sorted(each.id for each in await store.claim(["b"], 10, LEASE)) == ["dlv_a1", "dlv_c1"]
    assert [each.id for each in await store.claim([], 10, LEASE) if each.lane == "b"] == ["dlv_b0"]


async def test_a_lane_with_a_backlog_waits_for_the_first_of_the_others(store: Store) -> None:
    for number in range(5):
        await queued(store, f"dlv_flood{number}", "flood", due=-HOUR)
    await store.claim([], 1, LEASE)
    await queued(store, "dlv_quiet", "quiet")
    assert [each.id for each in await store.claim([], 1, LEASE)] == ["dlv_quiet"]


async def test_of_many_workers_each_delivery_goes_to_one(store: Store) -> None:
    for number in range(20):
        await queued(store, f"dlv_{number}", f"lane{number}")
    claims = await asyncio.gather(*(store.claim([], 20, LEASE) for _ in range(8)))
    ids = [each.id for claimed in claims for each in claimed]
    assert len(ids) == len(set(ids)) == 20


async def test_a_claim_that_was_overtaken_cannot_be_recorded(store: Store) -> None:
    await queued(store, "dlv_a")
    (first,) = await store.claim([], 1, LEASE)
    now = await store.now()
    await store.update_delivery("dlv_a", lambda before: deliveries.postpone(before, first.claims, now - SECOND))
    (second,) = await store.claim([], 1, LEASE)
    assert second.claims == 2

    def late(before: Delivery) -> tuple[Delivery, object]:
        return deliveries.record(before, first.claims, Reply(status=200), now, chance=0.5)

    with pytest.raises(LeaseLost):
        await store.update_delivery("dlv_a", late)  # type: ignore[arg-type]
    done = await store.update_delivery(
        "dlv_a", lambda before: deliveries.record(before, second.claims, Reply(status=200), now, chance=0.5)
    )
    assert done.state is DeliveryState.SUCCEEDED
    assert await store.delivery("dlv_a", "whk_a") == done
    assert await store.claim([], 1, LEASE) == []


async def test_deliveries_are_listed_newest_first_by_page_and_state(store: Store) -> None:
    for number in range(4):
        await queued(store, f"dlv_{number}")
    await queued(store, "dlv_9", subscription="whk_b")
    now = await store.now()
    await store.update_delivery("dlv_2", lambda before: deliveries.give_up(before, now, "gone"))
    page = await store.deliveries("whk_a", state=None, after=None, limit=3)
    assert [each.id for each in page] == ["dlv_3", "dlv_2", "dlv_1"]
    assert [each.id for each in await store.deliveries("whk_a", state=None, after="dlv_1", limit=3)] == ["dlv_0"]
    failed = await store.deliveries("whk_a", state=DeliveryState.FAILED, after=None, limit=3)
    assert [each.id for each in failed] == ["dlv_2"]


async def test_failures_are_found_from_a_moment_on(store: Store) -> None:
    now = await store.now()
    for number in range(3):
        await queued(store, f"dlv_{number}")
        at = now + number * HOUR
        await store.update_delivery(
            f"dlv_{number}",
            lambda before, at=at: deliveries.give_up(before, at, "exhausted"),  # type: ignore[misc]
        )
    assert [each.id for each in await store.failed_since("whk_a", now + HOUR, 10)] == ["dlv_1", "dlv_2"]
    assert [each.id for each in await store.failed_since("whk_a", now, 1)] == ["dlv_0"]


async def test_hastening_makes_due_what_waits_and_leaves_alone_what_is_being_sent(store: Store) -> None:
    await queued(store, "dlv_sent")
    await store.claim([], 1, LEASE)
    await queued(store, "dlv_waits", "b", due=HOUR)
    await queued(store, "dlv_other", "c", due=HOUR, subscription="whk_b")
    await store.hasten("whk_a")
    claimed: list[str] = []

    async def due_now() -> bool:
        claimed.extend(each.id for each in await store.claim([], 10, LEASE))
        return bool(claimed)

    await eventually(due_now, within=5)
    assert claimed == ["dlv_waits"]
