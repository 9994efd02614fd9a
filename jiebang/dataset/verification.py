"""Proving guessed types right over all records, and finding the right ones where they are not."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import duckdb

from jiebang.dataset.cell_sql import NUMERIC, conforming_types
from jiebang.dataset.cells import Conforms
from jiebang.dataset.inference import decide_type
from jiebang.dataset.table_sql import Readings
from jiebang.dataset.tables import ColumnType

_GLANCED_ROWS = 20_000
_COLUMNS_A_SCAN = 100

# All the types of a cell that conforms to one of these.
_IMPLIED = {
    ColumnType.INTEGER: Conforms.INTEGER | Conforms.DECIMAL,
    ColumnType.DATE: Conforms.DATE | Conforms.TIMESTAMP,
}
# A conforming cell like this is of no earlier type, so the earlier one has fewer cells and does not win the tie.
_OF_NO_EARLIER_TYPE = {
    ColumnType.DECIMAL: "contains(s{i}, '.')",
    ColumnType.TIMESTAMP: "strlen(s{i}) > 10",
}


@dataclass(frozen=True)
class Counts:
    """What is counted of one column: non-missing cells, conforming ones, those with a value, and possible types."""

    cells: int
    conforming: int
    valued: int
    maybe_typed: int
    maybe_boolean: int


def count_columns(connection: duckdb.DuckDBPyConnection, relation: str, readings: Readings) -> dict[int, Counts]:
    """Count all columns, as many in one scan as are planned quickly."""
    counts: dict[int, Counts] = {}
    indexes = list(readings)
    for start in range(0, len(indexes), _COLUMNS_A_SCAN):
        block = indexes[start : start + _COLUMNS_A_SCAN]
        aggregates = [aggregate for i in block for aggregate in _aggregates(i, readings[i].type)]
        row = connection.execute(f"SELECT {', '.join(aggregates)} FROM {relation}").fetchall()[0]
        counts |= {i: Counts(*row[5 * place : 5 * place + 5]) for place, i in enumerate(block)}
    return counts


def _aggregates(i: int, column_type: ColumnType) -> tuple[str, ...]:
    # Not FILTER, which costs several times as much when there are many.
    if column_type is ColumnType.TEXT:
        typed = f"count(CASE WHEN s{i} < ':' THEN 1 END)"  # every number, date and time, and little else
        boolean = f"count(CASE WHEN strlen(s{i}) BETWEEN 4 AND 5 THEN 1 END)"
        return (f"count(s{i})", "0", "0", typed, boolean)
    valued = f"count(x{i})" if column_type in NUMERIC else "0"
    return (f"count(s{i})", f"coalesce(sum(k{i}), 0)::BIGINT", valued, "0", "0")


def wrong_types(
    connection: duckdb.DuckDBPyConnection,
    relation: str,
    readings: Readings,
    counts: dict[int, Counts],
    inferred: Collection[int],
) -> dict[int, ColumnType]:
    """The right types of the inferred columns whose guess is wrong."""
    glances = [i for i in inferred if readings[i].type in _OF_NO_EARLIER_TYPE and counts[i].cells]
    apart = _told_apart(connection, relation, readings, glances)
    wrong = {}
    for i in inferred:
        guess, count = readings[i].type, counts[i]
        if _is_proven(guess, count, told_apart=i in apart):
            continue
        known = _IMPLIED.get(guess)
        if known is None or 10 * count.conforming < 9 * count.cells:
            right = decide_type(_conforming_counts(connection, relation, i, "true"))
        else:
            # Nearly all conform, and those are known without a look: the others may still be of the wider type.
            others = _conforming_counts(connection, relation, i, f"k{i} = 0")
            right = decide_type({**others, int(known): others.get(int(known), 0) + count.conforming})
        if right is not guess:
            wrong[i] = right
    return wrong


def _is_proven(guess: ColumnType, count: Counts, *, told_apart: bool) -> bool:
    """Whether the counts leave no other type than the guess."""
    if guess is ColumnType.TEXT:
        return not count.cells or 10 * max(count.maybe_typed, count.maybe_boolean) < 9 * count.cells
    if not count.cells or 10 * count.conforming < 9 * count.cells:
        return False
    # What does not conform to a decimal, timestamp or boolean conforms to nothing that these do, and is too little.
    if guess in _OF_NO_EARLIER_TYPE:
        return told_apart
    return guess is ColumnType.BOOLEAN or count.conforming == count.cells


def _told_apart(
    connection: duckdb.DuckDBPyConnection, relation: str, readings: Readings, glances: list[int]
) -> set[int]:
    """Which columns have, among the first records, a cell that no earlier type takes."""
    if not glances:
        return set()
    tests = [
        f"count(*) FILTER (WHERE k{i} = 1 AND {_OF_NO_EARLIER_TYPE[readings[i].type].format(i=i)})" for i in glances
    ]
    row = connection.execute(f"SELECT {', '.join(tests)} FROM (FROM {relation} LIMIT {_GLANCED_ROWS})").fetchall()[0]
    return {i for i, found in zip(glances, row, strict=True) if found}


def _conforming_counts(connection: duckdb.DuckDBPyConnection, relation: str, i: int, condition: str) -> dict[int, int]:
    """How many non-missing cells of a column, of those under the condition, conform to each set of types."""
    rows = connection.execute(
        f"SELECT {conforming_types(f's{i}')} AS c, count(*) FROM {relation}"
        f" WHERE s{i} IS NOT NULL AND {condition} GROUP BY c"
    ).fetchall()
    return dict(rows)
