"""What was found a moment ago, so that a burst of requests asks the database once."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from datetime import timedelta
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """Keeps values for a while. What is not there (None) is not remembered: it may be on its way.

    Only for what may be as old as `keep` without harm, such as a projection, which is late by itself.
    """

    def __init__(self, keep: timedelta, *, most: int = 5_000, seconds: Callable[[], float] = time.monotonic) -> None:
        self._keep = keep.total_seconds()
        self._most = most
        self._seconds = seconds
        self._values: OrderedDict[K, tuple[float, V]] = OrderedDict()

    async def get(self, key: K, find: Callable[[], Awaitable[V | None]]) -> V | None:
        """The value of a key: the remembered one if it is fresh, else what `find` gives."""
        kept = self._values.get(key)
        if kept is not None and self._seconds() - kept[0] < self._keep:
            return kept[1]
        asked = self._seconds()
        value = await find()
        if value is None:
            self._values.pop(key, None)
            return None
        self._values[key] = (asked, value)
        self._values.move_to_end(key)
        if len(self._values) > self._most:
            self._values.popitem(last=False)
        return value

    def forget(self, key: K) -> None:
        """Ask again next time."""
        self._values.pop(key, None)
