"""The element of a given rank of many integers, found exactly by counting: no sorting, no quantile of an engine.

Each round counts the integers of every column in equal buckets between known bounds, `(x - low) >> k`, and keeps the
one bucket that holds the rank, whose least and greatest integer are the next bounds. A round takes ten bits or more off
the distance between the bounds, and later rounds see only the few cells still between them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from jiebang.measures.definition import INT64_MAX, INT64_MIN, literal

BUCKET_BITS = 10


class RankSearch:
    """The search for one element: it lies in [low, high] and has `rank` (from 1) among the integers in there."""

    def __init__(self, low: int, high: int, rank: int) -> None:
        self.low, self.high, self.rank = low, high, rank

    @property
    def found(self) -> bool:
        """Whether one value is left, which is `low`."""
        return self.low == self.high

    @property
    def too_wide(self) -> bool:
        """Whether `x - low` could pass int64, so that the bounds must be parted at zero first."""
        return self.high - self.low > INT64_MAX

    @property
    def shift(self) -> int:
        """The k of the next round's buckets."""
        return max(0, (self.high - self.low).bit_length() - BUCKET_BITS)

    def keep(self, buckets: Iterable[Sequence[int]]) -> None:
        """Narrow the bounds to the bucket of the rank.

        `buckets` are those of one round, as (number, count, least, greatest), the latter two as distances from `low`.
        """
        for _, count, least, greatest in sorted(buckets, key=lambda bucket: bucket[0]):
            if self.rank <= count:
                self.low, self.high = self.low + least, self.low + greatest
                return
            self.rank -= count
        raise ValueError("the rank is beyond the counted integers")

    def part(self, below_zero: int) -> None:
        """Narrow bounds that are too wide, knowing how many of the integers are negative."""
        if self.rank <= below_zero:
            self.high = -1
        else:
            self.rank -= below_zero
            self.low = 0


def value_buckets(relation: str, column: int, search: RankSearch) -> str:
    """The counts of the values of column x{column} per bucket, as rows (column, bucket, count, least, greatest)."""
    x = f"x{column}"
    number = f"{x} - {literal(search.low)}"
    between = f"{x} >= {literal(search.low)} AND {x} <= {literal(search.high)}"
    return _counts(relation, column, number, between, search.shift)


def deviation_buckets(relation: str, column: int, median: int, search: RankSearch) -> str:
    """The counts of |x - median| per bucket, as rows (column, bucket, count, least, greatest).

    The bounds are put on x itself, before anything is subtracted: the distance of two int64 can pass int64, the one
    within the bounds cannot, since the median deviation never lies further than half of the integers reach.
    """
    x = f"x{column}"
    number = f"abs({x} - {literal(median)})"
    if search.low:
        number += f" - {literal(search.low)}"
    between = within(x, median, search.high)
    if search.low:
        between += f" AND {beyond(x, median, search.low - 1)}"
    return _counts(relation, column, number, between, search.shift)


def _counts(relation: str, column: int, number: str, condition: str, shift: int) -> str:
    bucket = f"v >> {shift}" if shift else "v"
    return (
        f"SELECT {column} AS c, {bucket} AS b, count(*) AS n, min(v) AS least, max(v) AS greatest FROM "
        f"(SELECT {number} AS v FROM {relation} WHERE {condition}) AS cells GROUP BY {bucket}"
    )


def within(x: str, centre: int, distance: int) -> str:
    """The condition |x - centre| <= distance, without subtracting."""
    low, high = max(INT64_MIN, centre - distance), min(INT64_MAX, centre + distance)
    return f"{x} >= {literal(low)} AND {x} <= {literal(high)}"


def beyond(x: str, centre: int, distance: int) -> str:
    """The condition |x - centre| > distance, without subtracting; false where nothing can be so far."""
    sides = []
    if centre - distance > INT64_MIN:
        sides.append(f"{x} < {literal(centre - distance)}")
    if centre + distance < INT64_MAX:
        sides.append(f"{x} > {literal(centre + distance)}")
    return f"({' OR '.join(sides)})" if sides else "1 = 0"
