"""Where "now" comes from: injected, so that rules and tests never ask the machine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time to whoever may not read a clock on their own."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC, to the millisecond."""
        ...


class SystemClock:
    """The clock of this machine."""

    def now(self) -> datetime:
        """The present moment to the millisecond, which is all that MongoDB keeps.

        A moment with more digits would differ between an event and the document it was stored with.
        """
        moment = datetime.now(UTC)
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
