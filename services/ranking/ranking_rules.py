"""The order of a leaderboard: total, and only where totals are equal what breaks the tie. No two ranks are shared."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import NamedTuple

_PLACES = Decimal(1_000_000)


class Place(NamedTuple):
    """Where a scored submission stands: the smaller place is the better one.

    Numbers are in millionths and negated, so that plain tuple order is the order of the board: total, then the least
    dimension, then coverage, each the higher the better; then who was received first; then the id.
    """

    total: int
    least_dimension: int
    coverage: int
    received_at: datetime
    submission: str

    @property
    def points(self) -> str:
        """The total as a decimal string with six places."""
        return decimal6(-self.total)


TIE_BREAKS = Place._fields
"""What the order looks at, in turn; `decided_by` answers one of these names."""


def millionths(number: str | None) -> int | None:
    """A decimal string in millionths, or None where it is missing, not a number, or not finite."""
    if number is None:
        return None
    try:
        value = Decimal(number)
    except InvalidOperation:
        return None
    return int((value * _PLACES).to_integral_value()) if value.is_finite() else None


def decimal6(millionths: int) -> str:
    """Millionths as a decimal string with six places."""
    sign, whole, rest = "-" * (millionths < 0), *divmod(abs(millionths), 1_000_000)
    return f"{sign}{whole}.{rest:06}"


def place(
    submission: str,
    *,
    total: str | None,
    dimensions: Mapping[str, str],
    coverage: str | None,
    received_at: datetime,
) -> Place | None:
    """Where a score stands, or None for one that cannot rank: a number in it is missing or not finite.

    A missing score is no zero: a total of 0 ranks last, a missing one does not rank. Without dimensions the least
    of them counts as 0.
    """
    numbers = [millionths(number) for number in (total, coverage, *dimensions.values())]
    if any(number is None for number in numbers):
        return None
    points, covered, *parts = (number for number in numbers if number is not None)
    return Place(-points, -min(parts, default=0), -covered, received_at, submission)


def least_dimension(dimensions: Mapping[str, str]) -> str | None:
    """The lowest of the dimensions, as it is written there; None without any."""
    return min(dimensions.values(), key=lambda number: millionths(number) or 0, default=None)


def decided_by(better: Place, worse: Place) -> str:
    """The first thing in which two places differ: why one is before the other."""
    for name, mine, theirs in zip(TIE_BREAKS, better, worse, strict=True):
        if mine != theirs:
            return name
    raise ValueError(f"{better.submission} was compared with itself")
