"""Waiting for what another process or loop does: poll with a deadline, never a fixed sleep."""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Callable
from typing import Any


async def eventually(condition: Callable[[], Any], *, within: float = 30.0, every: float = 0.05, what: str = "") -> Any:
    """The first true value of a condition; the test fails if there is none in time."""
    deadline = time.monotonic() + within
    while True:
        found = condition()
        value = await found if inspect.isawaitable(found) else found
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(
                f"not within {within} s: {what or inspect.getsource(condition).strip()}; last {value!r}"
            )
        await asyncio.sleep(every)
