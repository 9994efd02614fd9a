"""Events of the deliveries to sponsors."""

from __future__ import annotations

from shared.contracts.envelope import Fact, Moment

DELIVERIES = "notify.deliveries"


class _Delivery(Fact):
    delivery: str
    subscription: str
    event: str
    attempts: int
    at: Moment


class DeliverySucceeded(
    _Delivery, type="delivery.succeeded.v1", topic=DELIVERIES, subject="{delivery}", key="{subscription}"
):
    """Emitted by notify when a receiver took a delivery."""

    status: int


class DeliveryFailed(
    _Delivery, type="delivery.failed.v1", topic=DELIVERIES, subject="{delivery}", key="{subscription}"
):
    """Emitted by notify when a delivery is given up; it can be replayed."""

    reason: str


class SubscriptionDisabled(
    Fact, type="subscription.disabled.v1", topic=DELIVERIES, subject="{subscription}", key="{subscription}"
):
    """Emitted by notify when a subscription is switched off, with the reason."""

    subscription: str
    reason: str
    at: Moment
