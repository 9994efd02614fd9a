"""Everything notify does, one function each."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.notify import delivery as deliveries
from services.notify import subscription as subscriptions
from services.notify.addresses import AddressRefused, endpoint_of
from services.notify.delivery import Delivery, DeliveryState, Reply, delivery_id
from services.notify.retries import DELAYS
from services.notify.sender import Resolve, Sends, checked_addresses
from services.notify.store import EventPlace, KeptEvent, Store
from services.notify.subscription import Filters, Subscription, SubscriptionState, secret_of
from shared import metrics, tracing
from shared.auth import Principal
from shared.contracts.envelope import Event, Fact, rfc3339
from shared.contracts.intake import SubmissionAccepted
from shared.contracts.registry import parse
from shared.contracts.scoring import ScoreCompleted, ScoreFailed
from shared.failures import ProjectionBehind
from shared.ids import Ids
from shared.logs import get_logger
from shared.mongo import AggregateExists
from shared.problems import Fault, Problem, not_found
from shared.repeats import shown_before

log = get_logger(__name__)

TEST_TYPE = "webhook.test.v1"
TOLD_ONCE = (SubmissionAccepted, ScoreCompleted, ScoreFailed)
"""Facts that the platform repeats when a stage is late, as a new event; a sponsor is told the first time only."""
MOST_SUBSCRIPTIONS = 50
OVERDUE_AFTER = timedelta(minutes=1)
REPLAYED_AT_ONCE = 1000
_PAUSED_LOOKS_AGAIN = timedelta(minutes=15)
_EVENT_WRITTEN_WITHIN = timedelta(minutes=5)
_LOOKS_AGAIN_FOR_EVENT = timedelta(seconds=1)
_CHALLENGE_LOOKED_FOR = 50  # times, a tenth of a second apart


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many deliveries were put on their way again, and whether there are more to ask for.

    `after` is the last event of a range that was looked at, if the range goes on: its moment and id.
    """

    deliveries: int
    more: bool
    after: EventPlace | None = None


# --- what is heard


async def queue_deliveries(event: Event[Any], challenge: str, *, store: Store) -> int:
    """Stores a delivery for every subscription of the challenge's sponsor that wants the event; how many are new.

    Raises `ProjectionBehind` while nothing was heard of the challenge.
    """
    sponsor = await store.sponsor_of(challenge)
    if sponsor is None:
        raise ProjectionBehind(f"nothing was heard of {challenge} yet")
    wanting = [
        subscription
        for subscription in await store.subscriptions(sponsor)
        if subscription.wants(challenge, event.data, event.time)
    ]
    if not wanting:
        return 0
    body = event.encode().decode()
    kept = KeptEvent(event.id, sponsor, challenge, event.type, event.time, body, event.subject)
    if isinstance(event.data, TOLD_ONCE) and await store.said_before(kept):
        metrics.DUPLICATES.labels("events").inc()
        log.info("told_again_dropped", event_id=event.id, type=event.type, subject=event.subject)
        return 0
    now = await store.now()
    # All at once: a worker that is faster than the event's own write looks again a moment later.
    _, *new = await asyncio.gather(
        store.keep_event(kept), *(store.queue(_delivery(subscription, kept, now)) for subscription in wanting)
    )
    return sum(map(bool, new))


# --- what a sponsor does


async def subscribe(
    id: str,
    *,
    url: str,
    filters: Filters,
    description: str | None,
    random: bytes,
    principal: Principal,
    store: Store,
    resolve: Resolve,
    allow_loopback: bool,
) -> tuple[Subscription, str]:
    """Makes a subscription under an id, active at once, and its secret, which is shown this once.

    The same id with the same random bytes again is the subscription that is there and the same secret.
    """
    await check_url(url, resolve, allow_loopback=allow_loopback)
    for challenge in filters.challenges:
        await _own_challenge(challenge, principal, store)
    secret = secret_of(random)
    mine = await store.subscriptions(principal.owner)
    if len(mine) >= MOST_SUBSCRIPTIONS and id not in [subscription.id for subscription in mine]:
        raise Problem(
            409,
            "too_many_subscriptions",
            f"You have {MOST_SUBSCRIPTIONS} subscriptions already.",
            "Delete one first.",
            fault=Fault.SPONSOR,
            limit=MOST_SUBSCRIPTIONS,
        )
    state, _ = subscriptions.create(
        id,
        owner=principal.owner,
        url=url,
        filters=filters,
        description=description,
        secret=secret,
        now=await store.now(),
    )
    try:
        await store.add_subscription(state)
    except AggregateExists:
        found = await subscription_of(principal, id, store=store)
        if secret not in [known.value for known in found.secrets]:
            raise shown_before() from None
        return found, secret
    log.info("subscribed", subscription=id, owner=principal.owner)
    return state, secret


async def check_url(url: str, resolve: Resolve, *, allow_loopback: bool) -> None:
    """Refuses a URL that cannot be a receiver's, with what is wrong about it."""
    try:
        endpoint = endpoint_of(url)
        await checked_addresses(endpoint, resolve, allow_loopback=allow_loopback)
    except AddressRefused as refusal:
        raise Problem(
            422,
            refusal.code,
            refusal.sentence,
            "Give the public address of a receiver, https on port 443 where you can.",
            fault=Fault.SPONSOR,
        ) from refusal


async def subscription_of(principal: Principal, id: str, *, store: Store) -> Subscription:
    """The caller's subscription; another's is 404 like one that does not exist."""
    found = await store.subscription(id, principal.owner)
    if found is None:
        raise not_found("subscription")
    return found


async def pause(principal: Principal, id: str, *, store: Store) -> Subscription:
    """Holds the deliveries of a subscription; events go on being stored for it."""
    await subscription_of(principal, id, store=store)
    now = await store.now()
    return await store.update_subscription(id, lambda before: subscriptions.pause(before, now))


async def resume(principal: Principal, id: str, *, store: Store) -> Subscription:
    """Delivers again, what was held first; also after the platform has disabled the subscription."""
    await subscription_of(principal, id, store=store)
    resumed = await store.update_subscription(id, subscriptions.resume)
    await store.hasten(id)
    return resumed


async def rotate(principal: Principal, id: str, random: bytes, *, store: Store) -> tuple[Subscription, str]:
    """Signs with a new secret, which is shown this once; the old one signs along for 24 hours."""
    await subscription_of(principal, id, store=store)
    now, secret = await store.now(), secret_of(random)
    return await store.update_subscription(id, lambda before: subscriptions.rotate(before, secret, now)), secret


async def delete(principal: Principal, id: str, *, store: Store) -> None:
    """Ends a subscription for good; what is on its way to it is given up."""
    await subscription_of(principal, id, store=store)
    now = await store.now()
    await store.update_subscription(id, lambda before: subscriptions.delete(before, now))
    log.info("unsubscribed", subscription=id)


async def send_test(principal: Principal, id: str, *, store: Store, ids: Ids) -> Delivery:
    """Queues a test event: tried once, whatever state the subscription is in; its end says how it went."""
    subscription = await subscription_of(principal, id, store=store)
    now = await store.now()
    event = {
        "specversion": "1.0",
        "id": ids.new("evt"),
        "source": "/jiebang/notify",
        "type": TEST_TYPE,
        "subject": id,
        "time": rfc3339(now),
        "datacontenttype": "application/json",
        "data": {"subscription": id, "message": "This is a test. It says nothing about any challenge."},
    }
    kept = KeptEvent(
        id=str(event["id"]), owner=principal.owner, challenge="", type=TEST_TYPE, at=now, body=json.dumps(event)
    )
    await store.keep_event(kept)
    queued = _delivery(subscription, kept, now, test=True)
    await store.queue(queued)
    return queued


async def replay_one(principal: Principal, id: str, delivery: str, *, store: Store) -> Replayed:
    """Sends one delivery once more, with the same `webhook-id`; one that is still on its way goes on as it is."""
    await subscription_of(principal, id, store=store)
    if await store.delivery(delivery, id) is None:
        raise not_found("delivery")
    return Replayed(await _replay([delivery], store), more=False)


async def replay_failed(principal: Principal, id: str, since: datetime, *, store: Store) -> Replayed:
    """Sends once more what failed at `since` or later, at most a thousand at once, the earliest first."""
    await subscription_of(principal, id, store=store)
    found = await store.failed_since(id, since, REPLAYED_AT_ONCE + 1)
    number = await _replay([delivery.id for delivery in found[:REPLAYED_AT_ONCE]], store)
    return Replayed(number, more=len(found) > REPLAYED_AT_ONCE)


async def replay_range(
    principal: Principal, id: str, since: datetime, until: datetime, *, after: EventPlace | None = None, store: Store
) -> Replayed:
    """Sends once more every event of [since, until) that the subscription wants; looks at a thousand at once.

    From the events of the last 30 days that were kept because some subscription of the sponsor wanted them; those
    after a place only, if one is given.
    """
    subscription = await subscription_of(principal, id, store=store)
    found = await store.events(principal.owner, since, until, after, REPLAYED_AT_ONCE + 1)
    events = found[:REPLAYED_AT_ONCE]
    now, again, number = await store.now(), [], 0
    for kept in events:
        event = parse(kept.body.encode())
        if not isinstance(event, Event) or not subscription.wants(kept.challenge, event.data, kept.at):
            continue
        queued = _delivery(subscription, kept, now)
        if await store.queue(queued):
            number += 1
        else:
            again.append(queued.id)
    number += await _replay(again, store)
    more = len(found) > len(events)
    return Replayed(number, more=more, after=(events[-1].at, events[-1].id) if more else None)


async def measure(store: Store) -> None:
    """Exports how many deliveries wait, how many of them too long, and how many endpoints fail or were given up."""
    metrics.DELIVERIES_PENDING.set(await store.pending())
    metrics.DELIVERIES_OVERDUE.set(await store.overdue(OVERDUE_AFTER))
    metrics.SUBSCRIPTIONS_FAILING.set(await store.failing())
    metrics.SUBSCRIPTIONS_DISABLED.set(await store.disabled())


# --- what the worker does


async def deliver(delivery: Delivery, *, lease: timedelta, store: Store, sender: Sends, chance: float) -> Reply | None:
    """Makes one attempt at a claimed delivery and writes down how it went; None if there was none to make.

    Raises `LeaseLost` if another worker has taken the delivery since.
    """
    loop = asyncio.get_running_loop()
    # The claim was made by the database's clock: its moment is the start of the lease.
    assert delivery.due_at is not None
    claimed_at, started = delivery.due_at - lease, loop.time()
    claim = delivery.claims
    subscription = await store.subscription(delivery.subscription)
    event = await store.event(delivery.event)
    if event is None and claimed_at - delivery.created_at < _EVENT_WRITTEN_WITHIN:
        soon = claimed_at + _LOOKS_AGAIN_FOR_EVENT
        await store.update_delivery(delivery.id, lambda before: deliveries.postpone(before, claim, soon))
        return None
    unsendable = _unsendable(delivery, subscription, event)
    if subscription is None or event is None or unsendable is not None:
        reason = unsendable or "gone"
        await store.update_delivery(delivery.id, lambda before: deliveries.give_up(before, claimed_at, reason))
        metrics.DELIVERIES.labels("given_up").inc()
        return None
    wait_until = _held_until(delivery, subscription, claimed_at)
    if wait_until is not None:
        await store.update_delivery(delivery.id, lambda before: deliveries.postpone(before, claim, wait_until))
        if subscription.state is SubscriptionState.PAUSED:
            await _hasten_if_resumed(subscription.id, store)
        return None
    with tracing.span("webhook", traceparent=json.loads(event.body).get("traceparent")):
        reply = await sender.send(delivery.id, subscription.url, subscription.live_secrets(claimed_at), event.body)
    now = claimed_at + timedelta(seconds=loop.time() - started)
    if delivery.tried == 1 and not delivery.test:
        metrics.STAGE.labels("deliver", "waiting").observe(max(0.0, (claimed_at - delivery.created_at).total_seconds()))
    metrics.STAGE.labels("deliver", "work").observe(reply.duration_ms / 1000)
    if reply.taken and subscription.health.clean and not delivery.test and not delivery.made:
        metrics.DELIVERY_SECONDS.observe(max(0.0, (now - delivery.created_at).total_seconds()))
    await _record(delivery, claim, reply, now, chance, store)
    log.info(
        "delivery_attempted",
        delivery=delivery.id,
        subscription=subscription.id,
        status=reply.status,
        error=reply.error,
        duration_ms=reply.duration_ms,
    )
    return reply


async def _record(delivery: Delivery, claim: int, reply: Reply, now: datetime, chance: float, store: Store) -> None:
    await store.update_delivery(delivery.id, lambda before: deliveries.record(before, claim, reply, now, chance=chance))
    metrics.DELIVERIES.labels("succeeded" if reply.taken else reply.error or f"{(reply.status or 0) // 100}xx").inc()
    if delivery.test and not reply.taken:
        return  # a test that fails says nothing about the endpoint that its sender did not want to know
    if reply.taken:
        await store.update_subscription(delivery.subscription, subscriptions.succeeded)
        return
    quiet = None
    if reply.status in (429, 503) and reply.retry_after is not None:
        quiet = now + reply.retry_after
    after = await store.update_subscription(
        delivery.subscription,
        lambda before: subscriptions.failed(before, now, gone=reply.gone, quiet_until=quiet),
    )
    if after.state is SubscriptionState.DISABLED:
        log.warning("subscription_disabled", subscription=after.id, reason=after.reason)


def _unsendable(delivery: Delivery, subscription: Subscription | None, event: KeptEvent | None) -> str | None:
    """Why a delivery will never be sent, or None."""
    if subscription is None:
        return "subscription_deleted"
    if event is None:
        return "event_expired"
    if subscription.state is SubscriptionState.DISABLED and not delivery.test:
        return "subscription_disabled"
    # Workers that die with it each time use attempts up without ever recording one.
    return "exhausted" if delivery.tried > len(DELAYS) else None


def _held_until(delivery: Delivery, subscription: Subscription, now: datetime) -> datetime | None:
    """Until when a delivery must wait though it is due: for the sponsor's resume, or for the quiet that was asked."""
    if delivery.test:
        return None
    if subscription.state is SubscriptionState.PAUSED:
        # Resuming brings it forward; looking again only matters if a worker dies between postponing and asking again.
        return now + _PAUSED_LOOKS_AGAIN
    quiet = subscription.quiet_until
    return quiet if quiet is not None and quiet > now else None


async def _hasten_if_resumed(subscription: str, store: Store) -> None:
    """A resume passes by what a worker holds at that moment: whoever has just put it off asks once more."""
    present = await store.subscription(subscription)
    if present is not None and present.state is not SubscriptionState.PAUSED:
        await store.hasten(subscription)


async def _replay(ids: Sequence[str], store: Store) -> int:
    """Puts finished deliveries on their way again; how many. One that is on its way already goes on as it is."""
    now, sent = await store.now(), 0
    for id in ids:
        finished = False

        def again(before: Delivery) -> tuple[Delivery, Sequence[Fact]]:
            nonlocal finished
            finished = before.state is not DeliveryState.PENDING
            return deliveries.replay(before, now)

        await store.update_delivery(id, again)
        sent += finished
    return sent


async def _own_challenge(challenge: str, principal: Principal, store: Store) -> None:
    """Refuses a challenge of somebody else; one posted just now is waited for, as its event is still on the way."""
    for _ in range(_CHALLENGE_LOOKED_FOR):
        sponsor = await store.sponsor_of(challenge)
        if sponsor is not None:
            break
        await asyncio.sleep(0.1)
    if sponsor != principal.owner:
        raise Problem(
            422,
            "not_your_challenge",
            f"{challenge} is not a challenge of yours.",
            "Subscribe to your own challenges, or leave `challenges` out for all of them.",
            fault=Fault.SPONSOR,
        )


def _delivery(subscription: Subscription, event: KeptEvent, now: datetime, *, test: bool = False) -> Delivery:
    return Delivery(
        id=delivery_id(subscription.id, event.id, event.at),
        subscription=subscription.id,
        event=event.id,
        type=event.type,
        lane=endpoint_of(subscription.url).lane,
        test=test,
        created_at=now,
        due_at=now,
    )
