"""What notify does, on a store in memory and a receiver that is a list."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.notify import commands
from services.notify.delivery import Delivery, DeliveryState, Reply
from services.notify.store_memory import MemoryStore
from services.notify.subscription import Filters, Subscription, SubscriptionState
from shared.auth import Principal
from shared.contracts.board import Role
from shared.contracts.envelope import Event, Fact
from shared.contracts.notify import DeliveryFailed, DeliverySucceeded, SubscriptionDisabled
from shared.contracts.registry import event_class
from shared.failures import ProjectionBehind
from shared.ids import CredentialId, OwnerId, SystemIds
from shared.problems import Problem
from tests.unit.notify.test_subscription import CLOSED, LEADER, score

LEASE = timedelta(minutes=1)
IDS = SystemIds()
SPONSOR = Principal(CredentialId("key_a"), OwnerId("spn_a"), Role.SPONSOR)
STRANGER = Principal(CredentialId("key_b"), OwnerId("spn_b"), Role.SPONSOR)


@dataclass
class Hands:
    """A clock that is set by hand."""

    at: datetime = datetime(2026, 3, 1, tzinfo=UTC)

    def now(self) -> datetime:
        return self.at


@dataclass
class Post:
    """A sender that gives the replies it was told to, the last one for ever."""

    replies: list[Reply] = field(default_factory=lambda: [Reply(status=200)])
    sent: list[tuple[str, str, tuple[str, ...], str]] = field(default_factory=list)

    async def send(self, webhook_id: str, url: str, secrets: Sequence[str], body: str) -> Reply:
        self.sent.append((webhook_id, url, tuple(secrets), body))
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]


async def resolves(host: str, port: int) -> Sequence[str]:
    return ["93.184.215.14"]


@dataclass
class World:
    """Notify with one sponsor and one challenge."""

    clock: Hands
    store: MemoryStore
    post: Post

    async def subscribe(
        self,
        url: str = "https://example.org/hook",
        id: str | None = None,
        random: bytes = b"r" * 32,
        **filters: Any,
    ) -> Subscription:
        subscription, _ = await commands.subscribe(
            id or IDS.new("whk"),
            url=url,
            filters=Filters.model_validate(filters),
            description=None,
            random=random,
            principal=SPONSOR,
            store=self.store,
            resolve=resolves,
            allow_loopback=False,
        )
        return subscription

    async def happen(self, fact: Fact) -> Event[Any]:
        event = event_class(type(fact))(
            id=IDS.new("evt"),
            source="/test",
            type=fact.type,
            subject=fact.subject,
            time=self.clock.at,
            sequence=1,
            partitionkey=fact.key,
            correlationid=fact.correlation,
            data=fact,
        )
        await commands.queue_deliveries(event, "chl_a", store=self.store)
        return event

    async def work(self) -> list[Reply | None]:
        """Does everything that is due, as one worker."""
        done: list[Reply | None] = []
        while claimed := await self.store.claim([], 10, LEASE):
            for delivery in claimed:
                done.append(
                    await commands.deliver(
                        delivery,
                        lease=LEASE,
                        store=self.store,
                        sender=self.post,
                        chance=0.5,
                    )
                )
        return done

    async def only(self, subscription: Subscription) -> Delivery:
        (delivery,) = await self.store.deliveries(subscription.id, state=None, after=None, limit=10)
        return delivery

    async def see(self, subscription: Subscription) -> Subscription:
        found = await self.store.subscription(subscription.id)
        assert found is not None
        return found


@pytest.fixture
async def world() -> World:
    clock = Hands()
    store = MemoryStore(clock)
    await store.learn_sponsor("chl_a", "spn_a")
    return World(clock, store, Post())


async def test_an_event_becomes_one_delivery_per_subscription_that_wants_it(world: World) -> None:
    both = [await world.subscribe(), await world.subscribe(min_total="90")]
    other = await world.subscribe(min_total="95")
    event = await world.happen(score("91.000000"))
    await world.work()
    assert {body for *_, body in world.post.sent} == {event.encode().decode()}
    assert len(world.post.sent) == len({id for id, *_ in world.post.sent}) == 2
    assert [(await world.only(each)).state for each in both] == [DeliveryState.SUCCEEDED] * 2
    assert await world.store.deliveries(other.id, state=None, after=None, limit=10) == []
    assert [type(fact) for fact in world.store.facts] == [DeliverySucceeded] * 2


async def test_a_score_that_is_told_again_as_another_event_is_delivered_once(world: World) -> None:
    subscription = await world.subscribe()
    first = await world.happen(score("91.000000"))
    again = await world.happen(score("91.000000"))
    assert again.id != first.id
    await world.work()
    assert (await world.only(subscription)).event == first.id
    await commands.queue_deliveries(first, "chl_a", store=world.store)
    await world.work()
    assert len(world.post.sent) == 1


async def test_an_event_that_nobody_wants_is_not_even_kept(world: World) -> None:
    await world.subscribe(new_leader=True)
    event = await world.happen(CLOSED)
    assert await world.store.event(event.id) is None


async def test_an_event_of_a_challenge_nobody_has_heard_of_is_waited_for() -> None:
    empty = World(Hands(), MemoryStore(Hands()), Post())
    with pytest.raises(ProjectionBehind):
        await empty.happen(LEADER)


async def test_a_dead_endpoint_is_disabled_after_five_days_says_so_and_gives_up_what_waits(world: World) -> None:
    world.post.replies = [Reply(error="connection_refused")]
    subscription = await world.subscribe()
    said = []
    for number in range(7 * 4):
        await world.happen(score("91.000000", submission=f"sub_{number}"))
        await world.work()
        world.clock.at += timedelta(hours=6)
        said = [fact for fact in world.store.facts if isinstance(fact, SubscriptionDisabled)]
        if said:
            break
    disabled = await world.see(subscription)
    assert disabled.state is SubscriptionState.DISABLED
    assert disabled.reason == "five_days_of_failure"
    assert timedelta(days=5) <= said[0].at - disabled.created_at < timedelta(days=5, hours=7)
    tries = len(world.post.sent)
    await world.happen(score("92.000000"))
    world.clock.at += timedelta(days=1)
    await world.work()
    assert len(world.post.sent) == tries
    assert await world.store.pending() == 0
    given_up = [fact for fact in world.store.facts if isinstance(fact, DeliveryFailed)]
    assert {fact.reason for fact in given_up} == {"exhausted", "subscription_disabled"}


async def test_a_resumed_subscription_gets_the_chance_of_five_new_days(world: World) -> None:
    world.post.replies = [Reply(status=410), Reply(status=500)]
    subscription = await world.subscribe()
    await world.happen(CLOSED)
    await world.work()
    resumed = await commands.resume(SPONSOR, subscription.id, store=world.store)
    assert resumed.state is SubscriptionState.ACTIVE
    await world.happen(CLOSED)
    await world.work()
    assert (await world.see(subscription)).state is SubscriptionState.FAILING


async def test_quiet_that_was_asked_for_is_kept_for_everything_on_the_way_there(world: World) -> None:
    world.post.replies = [Reply(status=429, retry_after=timedelta(hours=1)), Reply(status=200)]
    await world.subscribe()
    await world.happen(CLOSED)
    await world.work()
    later = await world.happen(score("91.000000"))
    await world.work()
    assert len(world.post.sent) == 1
    world.clock.at += timedelta(minutes=59)
    await world.work()
    assert len(world.post.sent) == 1
    world.clock.at += timedelta(minutes=2)
    await world.work()
    assert len(world.post.sent) == 3
    assert later.encode().decode() in [body for *_, body in world.post.sent]


@pytest.mark.parametrize("status", [404, 500])
async def test_retry_after_of_one_bad_answer_holds_that_delivery_only(world: World, status: int) -> None:
    world.post.replies = [Reply(status=status, retry_after=timedelta(hours=1)), Reply(status=200)]
    subscription = await world.subscribe()
    await world.happen(CLOSED)
    await world.work()
    due_at = (await world.only(subscription)).due_at
    assert due_at is not None
    assert due_at >= world.clock.at + timedelta(hours=1)
    await world.happen(score("91.000000"))
    await world.work()
    assert len(world.post.sent) == 2


async def test_a_delivery_whose_event_is_not_written_yet_waits_a_second_and_later_is_given_up(world: World) -> None:
    subscription = await world.subscribe()
    now = world.clock.at
    await world.store.queue(
        Delivery(
            id="dlv_a",
            subscription=subscription.id,
            event="evt_a",
            type="phase.closed.v1",
            lane="example.org:443",
            created_at=now,
            due_at=now,
        )
    )
    assert await world.work() == [None]
    assert (await world.only(subscription)).due_at == now + timedelta(seconds=1)
    world.clock.at += timedelta(minutes=6)
    assert await world.work() == [None]
    assert (await world.only(subscription)).reason == "event_expired"
    assert world.post.sent == []


async def test_a_delivery_that_kills_its_workers_is_given_up_at_last(world: World) -> None:
    subscription = await world.subscribe()
    await world.happen(CLOSED)
    for _ in range(8):
        assert len(await world.store.claim([], 10, LEASE)) == 1
        world.clock.at += LEASE
    assert await world.work() == [None]
    assert world.post.sent == []
    given_up = await world.only(subscription)
    assert (given_up.state, given_up.reason, given_up.attempts) == (DeliveryState.FAILED, "exhausted", ())


async def test_what_is_paused_is_looked_at_again_even_if_resuming_crossed_with_a_claim(world: World) -> None:
    subscription = await world.subscribe()
    await world.happen(CLOSED)
    await commands.pause(SPONSOR, subscription.id, store=world.store)
    (claimed,) = await world.store.claim([], 10, LEASE)
    paused = await world.see(subscription)
    await commands.resume(SPONSOR, subscription.id, store=world.store)
    # The worker still holds the paused subscription in its hands: it gives the delivery back for later.
    await world.store.update_subscription(subscription.id, lambda _: (paused, []))
    await commands.deliver(claimed, lease=LEASE, store=world.store, sender=world.post, chance=0.5)
    await world.store.update_subscription(subscription.id, lambda _: (subscription, []))
    assert await world.work() == []
    world.clock.at += timedelta(minutes=15)
    assert [reply.status for reply in await world.work() if reply] == [200]


async def test_a_failing_test_event_does_not_count_against_the_endpoint(world: World) -> None:
    world.post.replies = [Reply(status=410)]
    subscription = await world.subscribe()
    await commands.send_test(SPONSOR, subscription.id, store=world.store, ids=IDS)
    await world.work()
    assert (await world.see(subscription)).state is SubscriptionState.ACTIVE
    assert (await world.only(subscription)).state is DeliveryState.FAILED


async def test_a_test_event_is_not_part_of_a_replayed_range(world: World) -> None:
    subscription = await world.subscribe()
    await commands.send_test(SPONSOR, subscription.id, store=world.store, ids=IDS)
    await world.happen(CLOSED)
    await world.work()
    since, until = world.clock.at - LEASE, world.clock.at + LEASE
    done = await commands.replay_range(SPONSOR, subscription.id, since, until, store=world.store)
    assert (done.deliveries, done.more) == (1, False)


async def test_a_range_that_goes_on_is_replayed_part_by_part_each_event_once(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "REPLAYED_AT_ONCE", 2)
    subscription = await world.subscribe()
    await world.subscribe(id=IDS.new("whk"), new_leader=True)
    happened = []
    for number in range(5):
        happened.append((await world.happen(score(f"9{number}.000000", submission=f"sub_{number}"))).id)
        world.clock.at += timedelta(seconds=number % 2)
    await world.work()
    world.post.sent.clear()
    since, until, after, parts = world.clock.at - LEASE, world.clock.at + LEASE, None, []
    while True:
        done = await commands.replay_range(SPONSOR, subscription.id, since, until, after=after, store=world.store)
        parts.append(done.deliveries)
        assert done.more is (done.after is not None)
        if done.after is None:
            break
        after = done.after
    assert parts == [2, 2, 1]
    await world.work()
    assert [json.loads(body)["id"] for *_, body in world.post.sent] == happened


async def test_what_is_on_its_way_is_not_counted_as_replayed(world: World) -> None:
    subscription = await world.subscribe()
    await world.happen(CLOSED)
    since, until = world.clock.at - LEASE, world.clock.at + LEASE
    pending = await world.only(subscription)
    assert (await commands.replay_one(SPONSOR, subscription.id, pending.id, store=world.store)).deliveries == 0
    assert (await commands.replay_range(SPONSOR, subscription.id, since, until, store=world.store)).deliveries == 0
    await world.work()
    assert (await commands.replay_one(SPONSOR, subscription.id, pending.id, store=world.store)).deliveries == 1


async def test_a_sponsor_has_a_bounded_number_of_subscriptions(world: World) -> None:
    for _ in range(commands.MOST_SUBSCRIPTIONS):
        await world.subscribe()
    with pytest.raises(Problem) as refusal:
        await world.subscribe()
    assert refusal.value.code == "too_many_subscriptions"
    (first, *_) = await world.store.subscriptions("spn_a")
    await commands.delete(SPONSOR, first.id, store=world.store)
    await world.subscribe()


async def test_nothing_of_another_sponsors_subscription_can_be_touched(world: World) -> None:
    subscription = await world.subscribe()
    store, now = world.store, world.clock.at
    for touched in (
        commands.pause(STRANGER, subscription.id, store=store),
        commands.resume(STRANGER, subscription.id, store=store),
        commands.rotate(STRANGER, subscription.id, b"x" * 32, store=store),
        commands.delete(STRANGER, subscription.id, store=store),
        commands.send_test(STRANGER, subscription.id, store=store, ids=IDS),
        commands.replay_one(STRANGER, subscription.id, "dlv_a", store=store),
        commands.replay_failed(STRANGER, subscription.id, now, store=store),
        commands.replay_range(STRANGER, subscription.id, now, now, store=store),
    ):
        with pytest.raises(Problem) as refusal:
            await touched
        assert refusal.value.status == 404
    assert await world.see(subscription) == subscription


async def test_a_secret_that_cannot_be_made_again_is_not_shown_as_if_it_signed(world: World) -> None:
    """A request repeated with another API key of the same sponsor makes another secret, which signs nothing."""
    first = await world.subscribe(id="whk_a")
    assert await world.subscribe(id="whk_a") == first
    with pytest.raises(Problem) as refused:
        await world.subscribe(id="whk_a", random=b"s" * 32)
    assert (refused.value.status, refused.value.code) == (409, "secret_shown_before")


async def test_a_resume_that_crosses_with_a_claim_does_not_pass_the_delivery_by(world: World) -> None:
    subscription = await world.subscribe()
    await commands.pause(SPONSOR, subscription.id, store=world.store)
    await world.happen(score("91.000000"))
    read = world.store.subscription
    crossed = 0

    async def resumed_just_after_it_was_read(id: str, *owner: str) -> Subscription | None:
        nonlocal crossed
        seen = await read(id, *owner)
        if not owner and seen is not None and seen.state is SubscriptionState.PAUSED and not crossed:
            crossed += 1
            await commands.resume(SPONSOR, subscription.id, store=world.store)
        return seen

    world.store.subscription = resumed_just_after_it_was_read  # type: ignore[method-assign, assignment]
    (delivery,) = await world.store.claim([], 10, LEASE)
    await commands.deliver(delivery, lease=LEASE, store=world.store, sender=world.post, chance=0.5)
    assert crossed == 1
    assert world.post.sent == []
    await world.work()
    assert len(world.post.sent) == 1
