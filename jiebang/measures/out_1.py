"""OUT-1, extreme values.

Aligned with the risk of dataset inaccuracy of ISO/IEC 5259-2 and the correctness of content (数据内容正确性) of GB/T
36344-2018. Median and MAD after F. R. Hampel, 1974.

Example: twenty ages from 20 to 39 and three of 900: 20/23 = 0.869565. Four of 900 among 104 prices are a shape: the
column leaves.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from jiebang.measures.definition import (
    INT64_MAX,
    POINTERS,
    Aggregate,
    Answers,
    Ask,
    Measure,
    Plan,
    Rows,
    Subject,
    pointer_query,
    ratio,
)
from jiebang.measures.median import RankSearch, beyond, deviation_buckets, value_buckets
from jiebang.result import Evidence, MeasureResult

_NUMERIC = ("integer", "decimal")
_COLUMNS_SHOWN = 5
_BLOCK = 20  # the queries that are joined into one statement: planning grows faster than their number


@dataclass
class _Numbers:
    """What is found out about one numeric column."""

    index: int
    name: str
    cells: int = 0
    low: int = 0
    high: int = 0
    median: int = 0
    deviation: int = 0
    extreme: int = 0
    search: RankSearch = field(default_factory=lambda: RankSearch(0, 0, 1))

    @property
    def limit(self) -> int:
        """The greatest distance from the median that is not extreme: ⌊8·1.4826·MAD⌋, beyond int64 at times."""
        return 118608 * self.deviation // 10000

    @property
    def leaves(self) -> str | None:
        """Why the column is not judged, if so."""
        if self.deviation == 0:
            return "half of its values are equal"
        if self.extreme > 3 and 100 * self.extreme > self.cells:
            return f"{self.extreme} of {self.cells} values are extreme, which is a shape and no error"
        return None


def concerns(subject: Subject) -> bool:
    """Whether there is a column of numbers at all."""
    return any(column.type in _NUMERIC for column in subject.table.columns)


def plan(subject: Subject) -> Plan:
    """1 - extreme cells / numeric cells, over all columns of integers and decimals.

    A cell is extreme when |x - median| > ⌊8·1.4826·MAD⌋, in millionths; median and MAD (the median of |x - median|) are
    the element ⌈n/2⌉ in order. A column leaves when its MAD is 0, or when more than three cells and more than one in a
    hundred are extreme: a heavy tail is a shape, not an error. A mistyped 1000 among ages lowers it.
    """
    columns = [_Numbers(column.index, column.name) for column in subject.present if column.has_x]
    bounds = {n.index: [Aggregate(f"{what}(x{n.index})") for what in ("count", "min", "max")] for n in columns}
    answers = yield [ask for asks in bounds.values() for ask in asks]
    for numbers in columns:
        cells, low, high = bounds[numbers.index]
        numbers.cells = answers.integer(cells)
        numbers.low, numbers.high = answers.integer(low), answers.integer(high)
    columns = [numbers for numbers in columns if numbers.cells]
    relation = subject.table.relation

    for numbers in columns:
        numbers.search = RankSearch(numbers.low, numbers.high, (numbers.cells + 1) // 2)
    yield from _part_at_zero([numbers for numbers in columns if numbers.search.too_wide])
    yield from _search(columns, lambda n: value_buckets(relation, n.index, n.search))
    for numbers in columns:
        numbers.median = numbers.search.low
        farthest = max(numbers.high - numbers.median, numbers.median - numbers.low)
        numbers.search = RankSearch(0, min(farthest, INT64_MAX), (numbers.cells + 1) // 2)
    yield from _search(columns, lambda n: deviation_buckets(relation, n.index, n.median, n.search))
    for numbers in columns:
        numbers.deviation = numbers.search.low

    judged = [numbers for numbers in columns if numbers.deviation]
    counts = {n.index: Aggregate(f"count(*) FILTER (WHERE {_extreme(n)})") for n in judged}
    answers = yield list(counts.values())
    for numbers in judged:
        numbers.extreme = answers.integer(counts[numbers.index])

    kept = [numbers for numbers in columns if numbers.leaves is None]
    evidence = yield from _evidence(subject, [numbers for numbers in kept if numbers.extreme])
    left = [f"{numbers.name} ({numbers.leaves})" for numbers in columns if numbers.leaves]
    beyond_range = [f"{c.name} ({c.out_of_range} beyond int64 millionths)" for c in subject.present if c.out_of_range]
    notes = [f"not judged: {', '.join(left)}"] if left else []
    notes += [f"cells out of range: {', '.join(beyond_range)}"] if beyond_range else []
    den = sum(numbers.cells for numbers in kept)
    num = den - sum(numbers.extreme for numbers in kept)
    return ratio(MEASURE.id, subject, num, den, evidence=evidence, note="; ".join(notes) or None)


Step = Generator[Sequence[Ask], Answers, None]


def _part_at_zero(columns: list[_Numbers]) -> Step:
    if columns:
        below = {n.index: Aggregate(f"count(*) FILTER (WHERE x{n.index} < 0)") for n in columns}
        answers = yield list(below.values())
        for numbers in columns:
            numbers.search.part(answers.integer(below[numbers.index]))


def _search(columns: list[_Numbers], buckets: Callable[[_Numbers], str]) -> Step:
    """Narrow the search of every column, all of them in each round, until each has found its element."""
    while open_ones := [numbers for numbers in columns if not numbers.search.found]:
        asks = [
            Rows(" UNION ALL ".join(buckets(numbers) for numbers in open_ones[start : start + _BLOCK]))
            for start in range(0, len(open_ones), _BLOCK)
        ]
        answers = yield asks
        counted: dict[int, list[list[int]]] = {numbers.index: [] for numbers in open_ones}
        for ask in asks:
            for column, *bucket in answers.integers(ask):
                counted[column].append(bucket)
        for numbers in open_ones:
            numbers.search.keep(counted[numbers.index])


def _extreme(numbers: _Numbers) -> str:
    return beyond(f"x{numbers.index}", numbers.median, numbers.limit)


def _evidence(subject: Subject, columns: list[_Numbers]) -> Generator[Sequence[Ask], Answers, list[Evidence]]:
    if not columns:
        return []
    shown = sorted(columns, key=lambda numbers: (-numbers.extreme, numbers.index))[:_COLUMNS_SHOWN]
    limit = POINTERS // len(shown)
    queries = [pointer_query(subject.table.relation, _extreme(n), tag, limit) for tag, n in enumerate(shown)]
    ask = Rows(f"{' UNION ALL '.join(queries)} ORDER BY tag, f, r")
    rows = (yield [ask]).integers(ask)
    note = "far from the median of its column"
    return [subject.pointer(f, r, shown[tag].name, note) for tag, f, r in rows]


def advice(result: MeasureResult) -> str:
    """What to do about it."""
    if result.num is None or result.den is None:
        return "Hand in the columns of numbers that are demanded."
    columns = list(dict.fromkeys(f"`{pointer.column}`" for pointer in result.evidence))
    where = f", in {', '.join(columns)}" if columns else ""
    return f"Check {result.den - result.num} extreme of {result.den} numbers{where}: each may be a slip of the unit."


MEASURE = Measure("OUT-1", "extreme values", plan, advice, concerns=concerns)
