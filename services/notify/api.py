"""Subscriptions over HTTP: a sponsor's own, their delivery log, tests and replays."""

from __future__ import annotations

import contextlib
import difflib
import secrets
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Self

from fastapi import APIRouter, Depends, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from services.notify import commands
from services.notify.delivery import Delivery, DeliveryState
from services.notify.sender import Resolve
from services.notify.store import EventPlace, Store
from services.notify.subscription import OUTCOME_TYPES, SECRET_BYTES, Filters, Subscription
from shared.auth import Principal, require
from shared.contracts.board import Role
from shared.contracts.envelope import rfc3339
from shared.http import (
    After,
    GivenMoment,
    Limit,
    conditional,
    cursor_of,
    id_after,
    invalid_cursor,
    json_bytes,
    link_next,
    place_of,
)
from shared.ids import Ids
from shared.problems import not_found
from shared.repeats import Planned, Repeats

Sponsor = Annotated[Principal, Depends(require(Role.SPONSOR, Role.ORGANISER))]

ChallengeId = Annotated[str, Field(pattern=r"^chl_[0-9a-hjkmnp-tv-z]{26}$")]


class WantedFilters(BaseModel):
    """Which events to deliver; without any, every outcome of the sponsor's challenges."""

    model_config = ConfigDict(extra="forbid")

    challenges: Annotated[list[ChallengeId], Field(max_length=100)] = []
    types: Annotated[list[str], Field(max_length=len(OUTCOME_TYPES))] = []
    min_total: Annotated[str, Field(pattern=r"^[0-9]{1,3}(\.[0-9]{1,6})?$")] | None = None
    new_leader: bool = False

    @field_validator("types")
    @classmethod
    def _known(cls, types: list[str]) -> list[str]:
        for name in types:
            if name not in OUTCOME_TYPES:
                near = difflib.get_close_matches(name[:64], OUTCOME_TYPES, n=1, cutoff=0.3)
                hint = f"did you mean {near[0]}? " if near else ""
                raise ValueError(f"{name[:64]!r} is no type of event; {hint}known: {', '.join(OUTCOME_TYPES)}")
        return types

    @field_validator("min_total", mode="before")
    @classmethod
    def _number(cls, value: object) -> object:
        # A threshold that is written as a whole number means what it says.
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value

    @field_validator("min_total")
    @classmethod
    def _possible(cls, value: str | None) -> str | None:
        if value is not None and Decimal(value) > 100:
            raise ValueError("a total is at most 100")
        return value


class NewSubscription(BaseModel):
    """What to deliver, and where."""

    model_config = ConfigDict(extra="forbid")

    url: Annotated[str, Field(min_length=1, max_length=4096)]
    filters: WantedFilters = WantedFilters()
    description: Annotated[str, Field(max_length=200)] | None = None


class WantedReplay(BaseModel):
    """What to send again: one delivery, what failed since a moment, or what happened in a range."""

    model_config = ConfigDict(extra="forbid")

    delivery: Annotated[str, Field(max_length=64)] | None = None
    failed_since: GivenMoment | None = None
    since: Annotated[GivenMoment | None, Field(alias="from")] = None
    until: Annotated[GivenMoment | None, Field(alias="to")] = None
    after: Annotated[str | None, Field(max_length=200, description="The `next` of the answer before.")] = None

    @model_validator(mode="after")
    def _one_of_three(self) -> Self:
        ways = [self.delivery is not None, self.failed_since is not None, self.since is not None]
        if sum(ways) != 1 or (self.since is None and (self.until is not None or self.after is not None)):
            raise ValueError("send one of `delivery`, `failed_since`, or `from` with an optional `to` and `after`")
        return self


def create_router(store: Store, ids: Ids, repeats: Repeats, resolve: Resolve, *, allow_loopback: bool) -> APIRouter:
    """The routes of notify."""
    routes = APIRouter(prefix="/v1/subscriptions")

    @routes.post("", status_code=201)
    async def subscribe(request: Request, principal: Sponsor, wanted: NewSubscription) -> Response:
        """Subscribe to events; the answer holds the secret that signs them, which is shown this once."""
        planned = await repeats.plan(request, principal, wanted.model_dump(mode="json"), "whk")
        subscription, secret = await commands.subscribe(
            planned.ids[0],
            url=wanted.url,
            filters=Filters.model_validate(wanted.filters.model_dump()),
            description=wanted.description,
            random=_random(planned),
            principal=principal,
            store=store,
            resolve=resolve,
            allow_loopback=allow_loopback,
        )
        return _secret_answer(201, subscription, secret)

    @routes.get("")
    async def list_subscriptions(request: Request, principal: Sponsor) -> Response:
        """Your subscriptions, oldest first."""
        mine = await store.subscriptions(principal.owner)
        listed = [subscription_view(subscription) for subscription in mine]
        return conditional(request, json_bytes({"subscriptions": listed, "next": None}))

    @routes.get("/{id}")
    async def read_subscription(request: Request, principal: Sponsor, id: str) -> Response:
        """One of your subscriptions."""
        found = await commands.subscription_of(principal, id, store=store)
        return conditional(request, json_bytes(subscription_view(found)))

    @routes.delete("/{id}", status_code=204)
    async def delete_subscription(principal: Sponsor, id: str) -> Response:
        """End a subscription for good."""
        await commands.delete(principal, id, store=store)
        return Response(status_code=204)

    @routes.post("/{id}/pause")
    async def pause_subscription(principal: Sponsor, id: str) -> dict[str, Any]:
        """Hold deliveries; events go on being stored for the subscription."""
        return subscription_view(await commands.pause(principal, id, store=store))

    @routes.post("/{id}/resume")
    async def resume_subscription(principal: Sponsor, id: str) -> dict[str, Any]:
        """Deliver again, also after the platform has disabled the subscription."""
        return subscription_view(await commands.resume(principal, id, store=store))

    @routes.post("/{id}/rotate")
    async def rotate_secret(request: Request, principal: Sponsor, id: str) -> Response:
        """Get a new secret, shown this once; the old one signs along for 24 hours."""
        planned = await repeats.plan(request, principal, {}, "key")
        rotated, secret = await commands.rotate(principal, id, _random(planned), store=store)
        return _secret_answer(200, rotated, secret)

    @routes.post("/{id}/test", status_code=202)
    async def send_test_event(principal: Sponsor, id: str) -> dict[str, Any]:
        """Send a test event once; its delivery says how it went."""
        queued = await commands.send_test(principal, id, store=store, ids=ids)
        return {"delivery": queued.id}

    @routes.get("/{id}/deliveries")
    async def list_deliveries(
        request: Request,
        principal: Sponsor,
        id: str,
        limit: Limit = 50,
        after: After = None,
        state: Annotated[DeliveryState | None, Query(description="Only deliveries in this state.")] = None,
    ) -> Response:
        """The delivery log, newest event first, with every attempt."""
        await commands.subscription_of(principal, id, store=store)
        found = await store.deliveries(id, state=state, after=id_after(after), limit=limit + 1)
        following = cursor_of(found[limit - 1].id) if len(found) > limit else None
        listed = [delivery_view(delivery) for delivery in found[:limit]]
        answer = conditional(request, json_bytes({"deliveries": listed, "next": following}))
        link_next(request, answer, following)
        return answer

    @routes.get("/{id}/deliveries/{delivery}")
    async def read_delivery(request: Request, principal: Sponsor, id: str, delivery: str) -> Response:
        """One delivery with every attempt."""
        await commands.subscription_of(principal, id, store=store)
        found = await store.delivery(delivery, id)
        if found is None:
            raise not_found("delivery")
        return conditional(request, json_bytes(delivery_view(found)))

    @routes.post("/{id}/replay", status_code=202)
    async def replay_deliveries(principal: Sponsor, id: str, wanted: WantedReplay) -> dict[str, Any]:
        """Send again: one delivery, what failed since a moment, or what happened in a range.

        A range that goes on (`more`) is asked for again with `next` as `after`; what failed, with the same body.
        """
        if wanted.delivery is not None:
            done = await commands.replay_one(principal, id, wanted.delivery, store=store)
        elif wanted.failed_since is not None:
            done = await commands.replay_failed(principal, id, wanted.failed_since, store=store)
        else:
            assert wanted.since is not None
            until = wanted.until or await store.now()
            place = _event_place(wanted.after)
            done = await commands.replay_range(principal, id, wanted.since, until, after=place, store=store)
        following = None if done.after is None else cursor_of(rfc3339(done.after[0]), done.after[1])
        return {"replayed": done.deliveries, "more": done.more, "next": following}

    return routes


def _event_place(cursor: str | None) -> EventPlace | None:
    if cursor is None:
        return None
    match place_of(cursor):
        case (str(at), str(id)):
            with contextlib.suppress(ValueError):
                moment = datetime.fromisoformat(at)
                if moment.tzinfo is not None:
                    return moment, id
    raise invalid_cursor()


def subscription_view(subscription: Subscription) -> dict[str, Any]:
    """A subscription as the API shows it: nothing of its secrets but when an old one ends."""
    shown = subscription.model_dump(
        mode="json",
        include={"id", "url", "description", "filters", "created_at", "reason", "stopped_at", "quiet_until"},
    )
    old = [secret.model_dump(mode="json")["expires_at"] for secret in subscription.secrets[1:]]
    last_failure = subscription.health.last_failure
    return {
        **shown,
        "state": subscription.state.value,
        "old_secret_until": old[0] if old else None,
        "last_failure_at": None if last_failure is None else last_failure.isoformat(),
    }


def delivery_view(delivery: Delivery) -> dict[str, Any]:
    """A delivery as the API shows it; its id is the `webhook-id` of every attempt."""
    shown = delivery.model_dump(
        mode="json",
        include={"id", "event", "type", "test", "state", "created_at", "finished_at", "reason", "attempts"},
    )
    due = delivery.model_dump(mode="json", include={"due_at"})["due_at"]
    return {**shown, "next_attempt_at": None if delivery.sending else due}


def _random(planned: Planned) -> bytes:
    return planned.entropy[:SECRET_BYTES] if planned.entropy is not None else secrets.token_bytes(SECRET_BYTES)


def _secret_answer(status: int, subscription: Subscription, secret: str) -> Response:
    headers = {"Cache-Control": "no-store", "Location": f"/v1/subscriptions/{subscription.id}"}
    body = {**subscription_view(subscription), "secret": secret}
    return Response(json_bytes(body), status, headers, media_type="application/json")
