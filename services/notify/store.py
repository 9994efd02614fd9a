"""What notify needs of a store: subscriptions, deliveries and the events under way."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from services.notify.delivery import Delivery, DeliveryState
from services.notify.subscription import Subscription
from shared.contracts.envelope import Fact

LONGEST_TURN = 1000
"""A delivery's turn is how many of its endpoint are unfinished before it, counted up to this."""

State = TypeVar("State")
Change = Callable[[State], tuple[State, Sequence[Fact]]]


@dataclass(frozen=True, slots=True)
class KeptEvent:
    """An event as it is delivered, byte for byte, and what it is looked up by."""

    id: str
    owner: str
    challenge: str
    type: str
    at: datetime
    body: str
    subject: str = ""


EventPlace = tuple[datetime, str]
"""The place of an event among those of its owner: its moment and its id."""


class Store(Protocol):
    """What notify remembers. Reads for people take the owner whose things they are."""

    async def now(self) -> datetime:
        """The present moment by the clock that judges when a delivery is due."""
        ...

    async def learn_sponsor(self, challenge: str, sponsor: str) -> None:
        """Whose challenge it is; a challenge keeps its sponsor, so the first word stays."""
        ...

    async def sponsor_of(self, challenge: str) -> str | None:
        """The owner of a challenge, or None while nothing was heard of it."""
        ...

    async def add_subscription(self, state: Subscription) -> None:
        """Stores a new subscription; raises `AggregateExists` if the id is taken."""
        ...

    async def subscription(self, id: str, owner: str | None = None) -> Subscription | None:
        """A subscription that is not deleted; with `owner`, only if it is that owner's."""
        ...

    async def subscriptions(self, owner: str) -> Sequence[Subscription]:
        """An owner's subscriptions that are not deleted, oldest first."""
        ...

    async def update_subscription(self, id: str, change: Change[Subscription]) -> Subscription:
        """Changes a subscription; raises `AggregateMissing`."""
        ...

    async def keep_event(self, event: KeptEvent) -> None:
        """Keeps an event for 30 days; a second time is nothing."""
        ...

    async def event(self, id: str) -> KeptEvent | None:
        """A kept event."""
        ...

    async def said_before(self, event: KeptEvent) -> bool:
        """Whether another event of the same type and subject is kept: what is told once only was told again."""
        ...

    async def events(
        self, owner: str, since: datetime, until: datetime, after: EventPlace | None, limit: int
    ) -> Sequence[KeptEvent]:
        """An owner's kept events of [since, until), oldest first, those after a place only."""
        ...

    async def queue(self, delivery: Delivery) -> bool:
        """Stores a new delivery unless it is there already; True if it is new.

        Its turn is how many deliveries its lane has unfinished, so that one with a backlog waits for the others.
        """
        ...

    async def claim(self, busy: Collection[str], limit: int, lease: timedelta) -> Sequence[Delivery]:
        """Takes deliveries that are due, by turn and age, none of a busy lane and one of each other lane at most.

        Each is leased for so long; if the worker says nothing until then, it is due again.
        """
        ...

    async def delivery(self, id: str, subscription: str) -> Delivery | None:
        """A delivery of a subscription."""
        ...

    async def deliveries(
        self, subscription: str, *, state: DeliveryState | None, after: str | None, limit: int
    ) -> Sequence[Delivery]:
        """The deliveries of a subscription from the newest on, those older than the one with id `after`."""
        ...

    async def failed_since(self, subscription: str, since: datetime, limit: int) -> Sequence[Delivery]:
        """Deliveries that failed at `since` or later, the earliest failure first."""
        ...

    async def update_delivery(self, id: str, change: Change[Delivery]) -> Delivery:
        """Changes a delivery; raises `AggregateMissing`."""
        ...

    async def hasten(self, subscription: str) -> None:
        """Makes what waits for a subscription due now."""
        ...

    async def pending(self) -> int:
        """How many deliveries wait for an attempt."""
        ...

    async def disabled(self) -> int:
        """How many subscriptions are switched off."""
        ...

    async def failing(self) -> int:
        """How many live subscriptions have an endpoint that did not take the last attempt."""
        ...

    async def overdue(self, age: timedelta) -> int:
        """How many deliveries have been due for an attempt for longer than that."""
        ...


def visible(subscription: Subscription, owner: str | None) -> bool:
    """Whether a subscription is there for this owner; `None` sees everybody's."""
    return subscription.deleted_at is None and owner in (None, subscription.owner)
