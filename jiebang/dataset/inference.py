"""The type of an undeclared column: what most of its cells conform to, if at least nine tenths do."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from jiebang.dataset.cells import Conforms, conforming
from jiebang.dataset.tables import ColumnType

ORDER = (
    (ColumnType.INTEGER, Conforms.INTEGER),
    (ColumnType.DECIMAL, Conforms.DECIMAL),
    (ColumnType.BOOLEAN, Conforms.BOOLEAN),
    (ColumnType.DATE, Conforms.DATE),
    (ColumnType.TIMESTAMP, Conforms.TIMESTAMP),
)
"""The types in the order that decides ties."""


def decide_type(counts: Mapping[int, int]) -> ColumnType:
    """The type of a column, from how many of its non-missing cells have each set of conforming types."""
    cells = sum(counts.values())
    best, most = ColumnType.TEXT, 0
    for column_type, bit in ORDER:
        conform = sum(number for conforms, number in counts.items() if conforms & bit)
        if conform > most:
            best, most = column_type, conform
    return best if cells and 10 * most >= 9 * cells else ColumnType.TEXT


def guess_type(cells: Iterable[str]) -> ColumnType:
    """The type that a sample of canonical cells suggests."""
    counts: dict[int, int] = {}
    for cell in cells:
        conforms = int(conforming(cell))
        counts[conforms] = counts.get(conforms, 0) + 1
    return decide_type(counts)
