"""The database's clock without asking the database each time."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

ASKED_EVERY = 5.0
"""Seconds between two questions."""


class DatabaseClock:
    """Asks the database for its time now and then, and counts on from there by a clock that nobody can set.

    A jump of this machine's clock changes nothing; a database that moved to another machine is followed in seconds.
    """

    def __init__(self, ask: Callable[[], Awaitable[datetime]], elapsed: Callable[[], float] = time.monotonic) -> None:
        self._ask = ask
        self._elapsed = elapsed
        self._known: tuple[datetime, float] | None = None

    async def now(self) -> datetime:
        """The present moment, to the millisecond."""
        known = self._known
        if known is None or self._elapsed() - known[1] > ASKED_EVERY:
            known = self._known = (await self._ask(), self._elapsed())
        moment = known[0] + timedelta(seconds=self._elapsed() - known[1])
        return moment.replace(microsecond=moment.microsecond // 1000 * 1000)
