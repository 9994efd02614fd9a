"""Hand-written stand-ins for what tests must decide themselves: time, ids, and a Kafka that can refuse."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from shared.failures import DependencyDown
from shared.ids import base32


class FixedClock:
    """A clock that moves only when told."""

    def __init__(self, moment: datetime = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)) -> None:
        self.moment = moment

    def now(self) -> datetime:
        """The moment it was set to."""
        return self.moment

    def advance(self, by: timedelta) -> None:
        """Move on."""
        self.moment += by


class CountingIds:
    """Ids that count, so that a test can name them."""

    def __init__(self) -> None:
        self._last = 0

    def uuid7(self) -> uuid.UUID:
        """The next number as a UUID."""
        self._last += 1
        return uuid.UUID(int=self._last)

    def new(self, prefix: str) -> str:
        """The next id with a prefix."""
        return f"{prefix}_{base32(self.uuid7())}"


@dataclass
class FakePublisher:
    """Takes records as Kafka does; refuses or holds them when told."""

    published: list[tuple[str, bytes | None, bytes | None]] = field(default_factory=list)
    refuse: set[bytes] = field(default_factory=set)
    """Values that are refused."""
    down: bool = False
    open: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.open.set()

    async def publish(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
    ) -> None:
        """Note a record, or refuse it."""
        await self.open.wait()
        if self.down or value in self.refuse:
            raise DependencyDown("kafka", "refused by the test")
        self.published.append((topic, key, value))
        await asyncio.sleep(0)

    def values(self) -> list[str]:
        """What was published, in order."""
        return [(value or b"").decode() for _topic, _key, value in self.published]
