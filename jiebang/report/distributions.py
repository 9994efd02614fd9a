"""How the cells of a column are distributed, in exact integers: what the page draws beside each column.

They are for reading and no part of a report's JSON. A cell is never quoted but as a value that many records share, and
nothing is told of a column in which personal data or a secret was found, or whose name tells of a person.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from jiebang.dataset.tables import Column, ColumnType, Table

if TYPE_CHECKING:
    import duckdb

LEAST = 5
"""The fewest records of which a value is named, and the fewest cells of which anything is drawn."""

_SHOWN, _COUNTED, _LONGEST, _MANY = 8, 50, 60, 2000
_MOST_COLUMNS = 300
_MOST_BINS = 20
_BUCKETS = 64
_ROUNDS = 10
_TAIL = 100
"""At most one cell in so many is left outside of a histogram at either end, where a few would flatten it."""

_MILLION = 1_000_000
_TIME_STEPS = tuple(
    seconds * _MILLION
    for seconds in (
        *(1, 5, 15, 30, 60, 300, 900, 1800, 3600, 10_800, 21_600, 43_200),
        *(86_400 * days for days in (1, 7, 14, 30, 91, 182, 365, 1826, 3652, 36_525)),
    )
)
_DAY = 86_400 * _MILLION


@dataclass(frozen=True, slots=True)
class Distribution:
    """A column's distribution.

    `kind` is `values` (the most frequent ones and how many records have them), `numbers`, `times` or `lengths` (a
    histogram: one edge more than counts, the upper edge of each bin being outside of it), `withheld`, or `nothing`.
    """

    kind: str
    cells: int = 0
    values: tuple[tuple[str, int], ...] = ()
    other_values: int = 0
    others: int = 0
    edges: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    below: int = 0
    above: int = 0

    def as_dict(self) -> dict[str, Any]:
        """The distribution as plain facts for the page."""
        return {name: getattr(self, name) for name in self.__slots__}


_NOTHING = Distribution("nothing")
_WITHHELD = Distribution("withheld")


def distributions(connection: duckdb.DuckDBPyConnection, table: Table) -> Iterator[Distribution]:
    """The distributions of a table's first columns, in their order; the table must have been looked through."""
    from jiebang.detectors.catalogue import CLASSES
    from jiebang.detectors.definition import Kind
    from jiebang.detectors.schema import names_person

    assert table.finds is not None
    found = connection.execute(f"SELECT DISTINCT c, d FROM {table.finds}").fetchall()
    telling = {column for column, _ in found}
    # Sensitive data are told by several columns together, such as a place by its latitude and longitude.
    whole = any(CLASSES[number].kind is Kind.SENSITIVE for _, number in found)
    for column in table.columns[:_MOST_COLUMNS]:
        if not column.present or not table.records:
            yield _NOTHING
        elif whole or column.index in telling or names_person(column.name):
            yield _WITHHELD
        else:
            yield _distribution(connection, table.relation, column)


def _distribution(connection: duckdb.DuckDBPyConnection, relation: str, column: Column) -> Distribution:
    if column.has_x:
        smallest = _MILLION if column.type is ColumnType.INTEGER else 1
        return _histogram(connection, relation, f"x{column.index}", "numbers", _round_steps(smallest), _number)
    if column.has_t:
        return _histogram(connection, relation, f"t{column.index}", "times", _TIME_STEPS, _instant)
    if column.type in (ColumnType.DATE, ColumnType.TIMESTAMP):
        instant = f"epoch_us(TRY_CAST(CASE WHEN k{column.index} = 1 THEN s{column.index} END AS TIMESTAMP))"
        return _histogram(connection, relation, instant, "times", _TIME_STEPS, _instant)
    return _values(connection, relation, f"s{column.index}")


def _values(connection: duckdb.DuckDBPyConnection, relation: str, cell: str) -> Distribution:
    """The values that many records share; of texts that are hardly repeated how long they are."""
    asked = f"SELECT count({cell}), approx_count_distinct({cell}), max(length({cell})) FROM {relation}"
    cells, about, longest = connection.execute(asked).fetchall()[0]
    if cells < LEAST:
        return _NOTHING
    # Labels that nobody declared may be people: few, short and repeated ones are taken for classes, as in BAL-1.
    if about <= _MANY and longest <= _LONGEST:
        counted = connection.execute(
            f"SELECT {cell}, count(*) AS n FROM {relation} WHERE {cell} IS NOT NULL GROUP BY {cell}"
            f" ORDER BY n DESC, {cell} LIMIT {_COUNTED + 1}"
        ).fetchall()
        shown = tuple((str(value), int(n)) for value, n in counted[:_SHOWN] if n >= LEAST)
        if shown and len(counted) <= _COUNTED and cells >= 2 * len(counted):
            others = cells - sum(n for _, n in shown)
            return Distribution("values", cells, shown, other_values=len(counted) - len(shown), others=others)
    return _histogram(connection, relation, f"length({cell})", "lengths", _round_steps(1), str)


def _round_steps(smallest: int) -> tuple[int, ...]:
    """The steps 1, 2 and 5 of every power of ten, from the smallest."""
    return tuple(smallest * digit * 10**power for power in range(26) for digit in (1, 2, 5))


@dataclass
class _Histogram:
    """The bounds of a histogram on the way: `outside` cells lie below and above it."""

    connection: duckdb.DuckDBPyConnection
    relation: str
    value: str
    low: int
    high: int
    cells: int
    outside: list[int] = field(default_factory=lambda: [0, 0])

    def buckets(self, low: int, high: int, width: int) -> list[int]:
        """The cells in each bucket from `low` to `high`, both within."""
        counts = [0] * ((high - low) // width + 1)
        for bucket, count in self.connection.execute(
            f"SELECT ({self.value}::HUGEINT - ({low})) // ({width}) AS b, count(*) FROM {self.relation}"
            f" WHERE {self.value}::HUGEINT BETWEEN {low} AND {high} GROUP BY b"
        ).fetchall():
            counts[int(bucket)] = int(count)
        return counts

    def cut_tails(self) -> None:
        """Leave out the tails, where the few cells in them take up most of the range."""
        allowed = self.cells // _TAIL
        for _ in range(_ROUNDS):
            width = (self.high - self.low) // _BUCKETS + 1
            counts = self.buckets(self.low, self.high, width)
            first, below = _leading(counts, allowed - self.outside[0])
            last, above = _leading(counts[::-1], allowed - self.outside[1])
            kept = len(counts) - first - last
            if 2 * kept >= len(counts):
                return
            self.outside[0] += below
            self.outside[1] += above
            self.low, self.high = (
                self.low + first * width,
                min(self.high, self.low + (len(counts) - last) * width - 1),
            )


def _leading(counts: Sequence[int], allowed: int) -> tuple[int, int]:
    """How many buckets at the beginning hold no more cells together than allowed, and how many cells."""
    held = 0
    for place, count in enumerate(counts):
        if held + count > allowed:
            return place, held
        held += count
    return 0, 0


def _histogram(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    value: str,
    kind: str,
    steps: Sequence[int],
    shown: Callable[[int], str],
) -> Distribution:
    """A histogram whose edges are round numbers, so that they tell no cell."""
    asked = f"SELECT count({value}), min({value}), max({value}) FROM {relation}"
    cells, low, high = connection.execute(asked).fetchall()[0]
    if cells < LEAST:
        return _NOTHING
    drawn = _Histogram(connection, relation, value, int(low), int(high), cells)
    drawn.cut_tails()
    smallest = steps[0]
    step = next((step for step in steps if drawn.high // step - drawn.low // step < _MOST_BINS), steps[-1])
    begin = drawn.low // step * step
    bins = drawn.high // step - drawn.low // step + 1
    end = begin + bins * step
    counts = drawn.buckets(begin, end - 1, step)
    below, above = connection.execute(
        f"SELECT count(*) FILTER (WHERE {value}::HUGEINT < {begin}), count(*) FILTER (WHERE {value}::HUGEINT >= {end})"
        f" FROM {relation}"
    ).fetchall()[0]
    if kind == "numbers" and step == smallest == _MILLION and bins <= _SHOWN:
        named = tuple((shown(begin + place * step), n) for place, n in enumerate(counts) if n >= LEAST)
        rare = [n for n in counts if 0 < n < LEAST]
        return Distribution("values", cells, named, len(rare), sum(rare) + below + above)
    while counts[-1] == 0:
        counts.pop()
    edges = tuple(shown(begin + place * step) for place in range(len(counts) + 1))
    return Distribution(kind, cells, edges=edges, counts=tuple(counts), below=below, above=above)


def _number(millionths: int) -> str:
    return f"{(Decimal(millionths) / _MILLION).normalize():f}"


def _instant(microseconds: int) -> str:
    """A time as people write it; one beyond the years that a calendar has is its nearest."""
    bounded = max(-719_162 * _DAY, min(microseconds, 2_932_896 * _DAY))
    moment = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=bounded)
    return moment.date().isoformat() if bounded % _DAY == 0 else moment.isoformat(" ", "minutes")
