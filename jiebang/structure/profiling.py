"""What the data themselves say of their tables, for a person to confirm: keys, times, labels, references."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jiebang.dataset.tables import Column, ColumnType, Table
from jiebang.structure.names import RECORD_FIELDS

if TYPE_CHECKING:
    from jiebang.dataset.canonical import CanonicalDataset

LONGEST_KEY = 5
"""The most columns, from the first, that are tried together as a key."""

MOST_COLUMNS_COUNTED = 200
"""The most columns whose distinct values are counted, since each costs a pass over the cells."""

MOST_CLASSES = 50

_KEY_TYPES = (ColumnType.INTEGER, ColumnType.TEXT)
_TIME_TYPES = (ColumnType.TIMESTAMP, ColumnType.DATE)
_LABEL_TYPES = (ColumnType.TEXT, ColumnType.INTEGER, ColumnType.BOOLEAN)
_LABEL = re.compile(
    r"(.*[_ ])?(labels?|class|target|category|outcome|species|y)|.*(标签|类别|分类|目标).*", re.IGNORECASE
)


@dataclass(frozen=True)
class TableProfile:
    """One table: what each of its columns lacks, and what seem to be its key, time, labels and references.

    `key` is a set of columns that names every record; `labels` are columns of few values, one named as a label first;
    `text` are columns of free text, known of records with the fields of TC609; `references` are pairs of a column and
    the (table, column) in which every value of it is found.
    """

    table: Table
    missing: dict[str, int]
    key: tuple[str, ...]
    time: str | None
    labels: tuple[str, ...]
    text: tuple[str, ...] = ()
    references: tuple[tuple[str, str, str], ...] = ()

    @property
    def required(self) -> tuple[str, ...]:
        """The columns that are never missing."""
        return tuple(name for name, count in self.missing.items() if not count)


def profile(canonical: CanonicalDataset, progress: Callable[[str, float], None] | None = None) -> list[TableProfile]:
    """The profiles of all tables; `progress` is called with "describe" and the fraction of the tables done."""
    tables = [table for table in canonical.tables if table.records]
    found = []
    for number, table in enumerate(tables, start=1):
        found.append(_Profiler(canonical, table).profile())
        if progress is not None:
            progress("describe", number / len(tables))
    return _with_references(canonical, found)


class _Profiler:
    """Asks one table."""

    def __init__(self, canonical: CanonicalDataset, table: Table) -> None:
        self._connection = canonical.connection
        self._table = table
        self._columns = [column for column in table.columns if column.present]

    def profile(self) -> TableProfile:
        missing = self._missing()
        distinct = self._distinct([column for column in self._columns if column.type in _LABEL_TYPES])
        return TableProfile(
            self._table,
            missing,
            self._key(missing, distinct),
            self._time(),
            self._labels(distinct),
            ("data_content",) if self._has_record_fields and "data_content" in missing else (),
        )

    @property
    def _has_record_fields(self) -> bool:
        """Whether records have fields as TC609 gives them: more than half of its names are no accident."""
        return 2 * sum(column.name in RECORD_FIELDS for column in self._columns) > len(RECORD_FIELDS)

    def _time(self) -> str | None:
        times = [c.name for kind in _TIME_TYPES for c in self._columns if c.type is kind]
        if self._has_record_fields and "original_time" in times:
            return "original_time"
        return next(iter(times), None)

    def _row(self, expressions: Sequence[str]) -> list[int]:
        if not expressions:
            return []
        row = self._connection.execute(f"SELECT {', '.join(expressions)} FROM {self._table.relation}").fetchone()
        assert row is not None
        return [int(value) for value in row]

    def _missing(self) -> dict[str, int]:
        present = self._row([f"count(s{column.index})" for column in self._columns])
        return {column.name: self._table.records - count for column, count in zip(self._columns, present, strict=True)}

    def _distinct(self, columns: Sequence[Column]) -> dict[str, int]:
        counted = columns[:MOST_COLUMNS_COUNTED]
        # One at a time, so that the memory is that of one.
        return {column.name: self._row([f"count(DISTINCT s{column.index})"])[0] for column in counted}

    def _key(self, missing: dict[str, int], distinct: dict[str, int]) -> tuple[str, ...]:
        records = self._table.records
        whole = [column for column in self._columns if not missing[column.name]]
        for column in whole:
            if column.type in _KEY_TYPES and distinct.get(column.name) == records:
                return (column.name,)
        candidates = [c for c in whole if c.type is not ColumnType.DECIMAL]
        for length in range(1, min(LONGEST_KEY, len(candidates)) + 1):
            chosen = candidates[:length]
            if len(chosen) < 2 and chosen[0].type not in _TIME_TYPES:
                continue
            cells = ", ".join(f"s{column.index}" for column in chosen)
            query = f"SELECT count(*) FROM (SELECT DISTINCT {cells} FROM {self._table.relation}) AS keys"
            row = self._connection.execute(query).fetchone()
            if row is not None and row[0] == records:
                return tuple(column.name for column in chosen)
        return ()

    def _labels(self, distinct: dict[str, int]) -> tuple[str, ...]:
        few = [name for name, count in distinct.items() if 2 <= count <= min(MOST_CLASSES, self._table.records // 2)]
        return tuple(sorted(few, key=lambda name: _LABEL.fullmatch(name) is None))


def is_named_as_label(name: str) -> bool:
    """Whether a column is named as what is to be predicted."""
    return _LABEL.fullmatch(name) is not None


def _with_references(canonical: CanonicalDataset, profiles: Sequence[TableProfile]) -> list[TableProfile]:
    """The profiles with the references that hold throughout: to the key of another table, by the same name."""
    keyed = [(one.key[0], one.table) for one in profiles if len(one.key) == 1]
    found = []
    for one in profiles:
        references = [
            (name, table.name, name)
            for name, table in keyed
            if table is not one.table and one.key != (name,) and _refers(canonical, one.table, table, name)
        ]
        found.append(replace(one, references=tuple(references)))
    return found


def _refers(canonical: CanonicalDataset, table: Table, target: Table, name: str) -> bool:
    here = next((column for column in table.columns if column.name == name and column.present), None)
    there = next(column for column in target.columns if column.name == name)
    if here is None:
        return False
    lost, held = canonical.connection.execute(
        f"SELECT count(*) FILTER (WHERE s{here.index} NOT IN "
        f"(SELECT s{there.index} FROM {target.relation} WHERE s{there.index} IS NOT NULL)), count(s{here.index}) "
        f"FROM {table.relation}"
    ).fetchone() or (1, 0)
    return bool(held) and not lost
