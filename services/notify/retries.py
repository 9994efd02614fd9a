"""When a delivery that failed is tried again, and when an endpoint that keeps failing is given up. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

# Before attempt 1, 2, …: the first is at once, the last ten hours after the one before it.
DELAYS = (
    timedelta(0),
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=10),
)
JITTER = 0.2
LONGEST_RETRY_AFTER = timedelta(hours=24)
DISABLE_AFTER = timedelta(days=5)
_APART_AT_LEAST = timedelta(hours=12)
_APART_AT_MOST = timedelta(hours=24)


def next_attempt(tried: int, now: datetime, *, chance: float, retry_after: timedelta | None = None) -> datetime | None:
    """The moment of the attempt after `tried` attempts, or None when there is none left.

    `chance` in [0, 1) spreads the wait by ±20 %, so that endpoints that failed together are not called together. What
    the receiver asked for in `Retry-After` is never undercut.
    """
    if tried >= len(DELAYS):
        return None
    wait = DELAYS[tried] * (1 + JITTER * (2 * chance - 1))
    return now + max(wait, retry_after or timedelta(0))


def retry_after(headers: Mapping[str, str], now: datetime) -> timedelta | None:
    """What a `Retry-After` header asks for, in seconds or as a date, at most 24 h; None without a readable one."""
    value = next((text for name, text in headers.items() if name.lower() == "retry-after"), "").strip()
    if value.isascii() and value.isdigit():
        # A number of any length is read without building it: nine digits are years already.
        seconds = int(value) if len(value) <= 9 else int(LONGEST_RETRY_AFTER.total_seconds())
        return min(timedelta(seconds=seconds), LONGEST_RETRY_AFTER)
    try:
        moment = parsedate_to_datetime(value)
    except (ValueError, IndexError, OverflowError):
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return min(max(moment - now, timedelta(0)), LONGEST_RETRY_AFTER)


@dataclass(frozen=True, slots=True)
class Health:
    """How an endpoint has been doing since its last success.

    The clock of five days starts with the first of two failures that lie 12 to 24 hours apart: one burst of failures
    in a bad hour is not a dead endpoint. Any success clears everything.
    """

    first_failure: datetime | None = None
    failing_since: datetime | None = None
    last_failure: datetime | None = None

    @property
    def clean(self) -> bool:
        """Nothing has failed since the last success."""
        return self.last_failure is None

    def failed(self, at: datetime) -> Health:
        """One more failure."""
        first = self.first_failure
        if first is None or (self.failing_since is None and at - first > _APART_AT_MOST):
            return replace(self, first_failure=at, last_failure=at)
        since = self.failing_since
        if since is None and at - first >= _APART_AT_LEAST:
            since = first
        return Health(first, since, at)

    def given_up(self, at: datetime) -> bool:
        """Nothing has succeeded for five days of failures: the subscription is to be disabled."""
        return self.failing_since is not None and at - self.failing_since >= DISABLE_AFTER
