"""A sponsor's subscription: which events it wants, where they go, how they are signed, how it does. Pure."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from jiebang.errors import JiebangError
from services.notify.retries import Health
from shared.contracts.board import PhaseClosed, PhaseOpened
from shared.contracts.envelope import Fact, Moment
from shared.contracts.intake import (
    SubmissionAccepted,
    SubmissionCancelled,
    SubmissionFailed,
    SubmissionRanked,
    SubmissionReceived,
    SubmissionRejected,
)
from shared.contracts.notify import SubscriptionDisabled
from shared.contracts.ranking import EntryRecorded, LeaderboardChanged, LeaderChanged
from shared.contracts.scoring import CertificateIssued, CertificateRevoked, ScoreCompleted, ScoreFailed

OUTCOMES: tuple[type[Fact], ...] = (
    SubmissionReceived,
    SubmissionAccepted,
    SubmissionRejected,
    SubmissionFailed,
    SubmissionCancelled,
    SubmissionRanked,
    ScoreCompleted,
    ScoreFailed,
    CertificateIssued,
    CertificateRevoked,
    EntryRecorded,
    LeaderboardChanged,
    LeaderChanged,
    PhaseOpened,
    PhaseClosed,
)
"""What a sponsor can be told about its challenges."""

OUTCOME_TYPES = tuple(fact.type for fact in OUTCOMES)

SECRET_PREFIX = "whsec_"
SECRET_BYTES = 32
OLD_SECRET_LIVES = timedelta(hours=24)


class SubscriptionRefused(JiebangError):
    """The subscription is not in a state in which this can be done."""


class SubscriptionState(StrEnum):
    """`failing` is active too: the last attempt failed and the next one is on its way."""

    ACTIVE = "active"
    FAILING = "failing"
    PAUSED = "paused"
    DISABLED = "disabled"
    DELETED = "deleted"


class DisabledBecause(StrEnum):
    """Why the platform switched a subscription off."""

    GONE = "gone"
    FIVE_DAYS_OF_FAILURE = "five_days_of_failure"


class Filters(BaseModel):
    """Which events a subscription wants; without any filter, every outcome of the sponsor's challenges.

    `types`, `min_total` (scores of at least that much) and `new_leader` add to each other; `challenges` narrows all
    of them; where `score.completed.v1` is wanted and `min_total` given, lower scores are left out.
    """

    model_config = ConfigDict(frozen=True, extra="ignore")

    challenges: tuple[str, ...] = ()
    types: tuple[str, ...] = ()
    min_total: str | None = None
    new_leader: bool = False

    def want(self, challenge: str, fact: Fact) -> bool:
        """Whether this fact about this challenge is to be delivered."""
        if not isinstance(fact, OUTCOMES) or (self.challenges and challenge not in self.challenges):
            return False
        if isinstance(fact, ScoreCompleted) and self.min_total is not None:
            return Decimal(fact.total) >= Decimal(self.min_total)
        if isinstance(fact, LeaderChanged) and self.new_leader:
            return True
        if self.types:
            return fact.type in self.types
        return self.min_total is None and not self.new_leader


class SigningSecret(BaseModel):
    """One secret of a subscription; never shown by repr, str or logs."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    value: Annotated[str, Field(repr=False)]
    expires_at: Moment | None = None


def secret_of(random: bytes) -> str:
    """A secret as Standard Webhooks writes it, from 32 random bytes."""
    assert len(random) == SECRET_BYTES
    return SECRET_PREFIX + base64.b64encode(random).decode()


class Subscription(BaseModel):
    """A subscription of a sponsor. `quiet_until` is what the receiver asked for with `Retry-After`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    id: str
    owner: str
    url: str
    description: str | None = None
    filters: Filters
    secrets: tuple[SigningSecret, ...]
    created_at: Moment
    stopped: SubscriptionState | None = None
    reason: str | None = None
    stopped_at: Moment | None = None
    deleted_at: Moment | None = None
    health: Health = Health()
    quiet_until: Moment | None = None

    @property
    def state(self) -> SubscriptionState:
        """Where the subscription stands."""
        if self.stopped is not None:
            return self.stopped
        return SubscriptionState.ACTIVE if self.health.clean else SubscriptionState.FAILING

    def live_secrets(self, now: datetime) -> tuple[str, ...]:
        """The secrets that sign at `now`, newest first."""
        return tuple(secret.value for secret in self.secrets if secret.expires_at is None or now < secret.expires_at)

    def wants(self, challenge: str, fact: Fact, at: datetime) -> bool:
        """Whether to deliver this fact, which happened at `at`; nothing older than the subscription is."""
        return at >= self.created_at and self.filters.want(challenge, fact)


def create(
    subscription: str, *, owner: str, url: str, filters: Filters, description: str | None, secret: str, now: datetime
) -> tuple[Subscription, Sequence[Fact]]:
    """A new subscription, active at once."""
    state = Subscription(
        id=subscription,
        owner=owner,
        url=url,
        description=description,
        filters=filters,
        secrets=(SigningSecret(value=secret),),
        created_at=now,
    )
    return state, []


def pause(state: Subscription, now: datetime) -> tuple[Subscription, Sequence[Fact]]:
    """Holds deliveries until `resume`; events go on being stored for it."""
    if state.stopped is SubscriptionState.DISABLED:
        raise SubscriptionRefused(
            "subscription_disabled", "A disabled subscription cannot be paused.", "Resume it once the receiver is well."
        )
    if state.stopped is SubscriptionState.PAUSED:
        return state, []
    return state.model_copy(update={"stopped": SubscriptionState.PAUSED, "stopped_at": now}), []


def resume(state: Subscription) -> tuple[Subscription, Sequence[Fact]]:
    """Delivers again, after a pause or after the platform switched the subscription off; the record starts clean."""
    if state.stopped is None:
        return state, []
    fresh = {"stopped": None, "reason": None, "stopped_at": None, "health": Health(), "quiet_until": None}
    return state.model_copy(update=fresh), []


def delete(state: Subscription, now: datetime) -> tuple[Subscription, Sequence[Fact]]:
    """Ends a subscription for good and forgets its secrets; what is on its way to it is given up."""
    gone = {"stopped": SubscriptionState.DELETED, "stopped_at": now, "deleted_at": now, "secrets": ()}
    return state.model_copy(update=gone), []


def rotate(state: Subscription, secret: str, now: datetime) -> tuple[Subscription, Sequence[Fact]]:
    """Signs with a new secret, and for 24 hours with the one before as well; older ones end now.

    A rotation to the secret that is the newest already (a repeated request) changes nothing.
    """
    newest = state.secrets[0]
    if newest.value == secret:
        return state, []
    old = SigningSecret(value=newest.value, expires_at=now + OLD_SECRET_LIVES)
    return state.model_copy(update={"secrets": (SigningSecret(value=secret), old)}), []


def succeeded(state: Subscription) -> tuple[Subscription, Sequence[Fact]]:
    """The receiver took a delivery: whatever failed before is forgiven."""
    if state.health.clean and state.quiet_until is None:
        return state, []
    return state.model_copy(update={"health": Health(), "quiet_until": None}), []


def failed(
    state: Subscription, now: datetime, *, gone: bool = False, quiet_until: datetime | None = None
) -> tuple[Subscription, Sequence[Fact]]:
    """The receiver did not take a delivery; `gone` is the answer 410, which ends the subscription at once."""
    if state.stopped in (SubscriptionState.DISABLED, SubscriptionState.DELETED):
        return state, []
    health = state.health.failed(now)
    state = state.model_copy(update={"health": health, "quiet_until": quiet_until or state.quiet_until})
    because = None
    if gone:
        because = DisabledBecause.GONE
    elif health.given_up(now):
        because = DisabledBecause.FIVE_DAYS_OF_FAILURE
    if because is None:
        return state, []
    disabled = state.model_copy(
        update={"stopped": SubscriptionState.DISABLED, "reason": because.value, "stopped_at": now}
    )
    return disabled, [SubscriptionDisabled(subscription=state.id, reason=because.value, at=now)]
