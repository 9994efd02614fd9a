"""One event on its way to one subscription: its attempts, and when the next one is. Pure."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

from services.notify.retries import next_attempt
from shared.contracts.envelope import Fact, Moment
from shared.contracts.notify import DeliveryFailed, DeliverySucceeded
from shared.ids import base32

ANSWER_KEPT = 4096
ATTEMPTS_KEPT = 50


class DeliveryState(StrEnum):
    """`pending` also while an attempt is under way; `failed` can be replayed."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


class Reply(BaseModel):
    """How one attempt ended: with a status, or with the `error` that kept the receiver from answering."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    status: int | None = None
    error: str | None = None
    answer: str = ""
    duration_ms: int = 0
    retry_after: timedelta | None = None

    @property
    def taken(self) -> bool:
        """The receiver has the event."""
        return self.error is None and self.status is not None and 200 <= self.status < 300

    @property
    def gone(self) -> bool:
        """The receiver wants no more events, ever."""
        return self.error is None and self.status == 410


class Attempt(BaseModel):
    """One line of the delivery log."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    number: int
    at: Moment
    status: int | None = None
    error: str | None = None
    answer: str = ""
    duration_ms: int = 0


class Delivery(BaseModel):
    """One event for one subscription; its id is the `webhook-id` of every attempt.

    `claims` counts how often a worker took it, ever: the latest number is the only one that may record. `tried` counts
    the attempts begun since the delivery was queued or last replayed, also those whose worker died. `made` counts the
    lines ever written to `attempts`. `due_at` is the next attempt while pending; while one is under way (`sending`) it
    is the end of its lease.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    subscription: str
    event: str
    type: str
    lane: str
    turn: int = 0
    test: bool = False
    state: DeliveryState = DeliveryState.PENDING
    created_at: Moment
    due_at: Moment | None
    sending: bool = False
    claims: int = 0
    tried: int = 0
    made: int = 0
    attempts: tuple[Attempt, ...] = ()
    finished_at: Moment | None = None
    reason: str | None = None


class LeaseLost(Exception):
    """Another attempt has begun since: what this one says no longer counts."""


def delivery_id(subscription: str, event: str, at: datetime) -> str:
    """The id of the delivery of an event to a subscription: the same however often the event is read.

    A UUIDv7 of the event's moment whose random bits are a hash of the pair.
    """
    digest = int.from_bytes(hashlib.sha256(f"{subscription}\n{event}".encode()).digest()[:10])
    milliseconds = int(at.timestamp() * 1000)
    number = milliseconds << 80 | 7 << 76 | (digest >> 68) << 64 | 2 << 62 | digest & ((1 << 62) - 1)
    return f"dlv_{base32(uuid.UUID(int=number))}"


def record(
    state: Delivery, claim: int, reply: Reply, now: datetime, *, chance: float
) -> tuple[Delivery, Sequence[Fact]]:
    """Writes down how attempt `claim` ended and decides what comes next; raises `LeaseLost` if it is not the latest."""
    if claim != state.claims or state.state is not DeliveryState.PENDING:
        raise LeaseLost(f"attempt {claim} of {state.id}")
    made = state.made + 1
    line = Attempt(
        number=made,
        at=now,
        status=reply.status,
        error=reply.error,
        answer=reply.answer[:ANSWER_KEPT],
        duration_ms=reply.duration_ms,
    )
    state = state.model_copy(
        update={"sending": False, "made": made, "attempts": (*state.attempts, line)[-ATTEMPTS_KEPT:]}
    )
    if reply.taken:
        assert reply.status is not None
        done = state.model_copy(update={"state": DeliveryState.SUCCEEDED, "due_at": None, "finished_at": now})
        fact = DeliverySucceeded(
            delivery=state.id,
            subscription=state.subscription,
            event=state.event,
            attempts=made,
            at=now,
            status=reply.status,
        )
        return done, [fact]
    if reply.gone:
        return give_up(state, now, "gone")
    # A test tells its sender at once how it went; it is not worth a retry.
    due_at = None if state.test else next_attempt(state.tried, now, chance=chance, retry_after=reply.retry_after)
    if due_at is None:
        return give_up(state, now, "exhausted")
    return state.model_copy(update={"due_at": due_at}), []


def give_up(state: Delivery, now: datetime, reason: str) -> tuple[Delivery, Sequence[Fact]]:
    """Ends a delivery that did not arrive; `replay` can begin it again."""
    if state.state is not DeliveryState.PENDING:
        return state, []
    given_up = state.model_copy(
        update={"state": DeliveryState.FAILED, "due_at": None, "sending": False, "finished_at": now, "reason": reason}
    )
    fact = DeliveryFailed(
        delivery=state.id,
        subscription=state.subscription,
        event=state.event,
        attempts=state.made,
        at=now,
        reason=reason,
    )
    return given_up, [fact]


def postpone(state: Delivery, claim: int, until: datetime) -> tuple[Delivery, Sequence[Fact]]:
    """Gives a claimed delivery back unsent: its subscription is paused, or the receiver asked for quiet."""
    if claim != state.claims or state.state is not DeliveryState.PENDING:
        raise LeaseLost(f"attempt {claim} of {state.id}")
    return state.model_copy(update={"due_at": until, "sending": False, "tried": max(0, state.tried - 1)}), []


def replay(state: Delivery, now: datetime) -> tuple[Delivery, Sequence[Fact]]:
    """Sends a finished delivery once more, with the whole table of retries; one that is pending goes on as it is."""
    if state.state is DeliveryState.PENDING:
        return state, []
    again = {"state": DeliveryState.PENDING, "due_at": now, "tried": 0, "finished_at": None, "reason": None}
    return state.model_copy(update=again), []
