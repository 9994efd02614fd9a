"""Looking through canonical tables: which record holds which class in which column, kept as a relation.

The relation of a table has a row for each record, column and class: `f` and `r` name the record as in the table, `c` is
the index of the column, `d` the number of the class. Its rows are the same however a table is cut into files, batches
or threads.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from jiebang.dataset.tables import Column, ColumnType, Table
from jiebang.dataset.text_columns import integer_array
from jiebang.detectors.catalogue import CLASSES, DETECTORS
from jiebang.detectors.column_scan import SHORTEST, ColumnScan
from jiebang.detectors.definition import plain_name
from jiebang.detectors.finds import Found
from jiebang.detectors.scanning import Scanner

_TYPED = (ColumnType.BOOLEAN, ColumnType.DATE, ColumnType.TIMESTAMP)
_NUMERIC = (ColumnType.INTEGER, ColumnType.DECIMAL)
_SHORTEST_NUMBER = 15
"""No number of fewer characters is of a class that a column of numbers may hold under any name."""

_COLUMNS_AT_ONCE = 20
_BATCH_BYTES = 16 << 20
_BATCH_ROWS = 65_536
_KEPT_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Look:
    """How one column is looked through.

    `nonconforming`: only cells that do not conform to the type; `longer`: and those of as many characters. `keyword`
    stands before each cell, `without` are the detectors that its name does not ask for.
    """

    column: Column
    nonconforming: bool = False
    longer: int = 0
    keyword: str = ""
    without: frozenset[str] = frozenset()

    @property
    def sql(self) -> str:
        """SQL for the cells, NULL where nothing can be."""
        s, k = f"s{self.column.index}", f"k{self.column.index}"
        if not self.nonconforming:
            return s
        longer = f" OR strlen({s}) >= {self.longer}" if self.longer else ""
        return f"CASE WHEN {k} = 0{longer} THEN {s} END"


def look_of(column: Column, *, timed: bool = False) -> Look:
    """How a column is looked through; `timed` if a declared time format says what conforms to its type."""
    name = plain_name(column.name)
    told = [detector for detector in DETECTORS if detector.telling and detector.telling.search(name)]
    keyword = next((detector.keyword for detector in told if detector.keyword), "")
    if column.type in _TYPED and not timed:
        return Look(column, nonconforming=True, keyword=keyword)
    if column.type in _NUMERIC:
        named = {detector.name for detector in DETECTORS if detector.named}
        without = frozenset(named - {detector.name for detector in told})
        return Look(column, not told, _SHORTEST_NUMBER, keyword, without)
    return Look(column, keyword=keyword)


class TableScan:
    """Looks through the tables of a connection, and leaves a relation of finds beside each."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, scanner: Scanner, as_of: datetime.date) -> None:
        self._connection = connection
        self._scanner = scanner
        self._as_of = as_of

    def scan(self, table: Table, *, timed: str | None = None) -> Table:
        """The table with its relation of finds; `timed` is the column that a declared time format reads."""
        finds = f"{table.relation}_finds"
        self._connection.execute(f"CREATE TABLE {finds} (f INTEGER, r BIGINT, c INTEGER, d INTEGER)")
        if table.records:
            looks = [look_of(column, timed=column.name == timed) for column in table.columns if column.present]
            for first in range(0, len(looks), _COLUMNS_AT_ONCE):
                self._scan_columns(table.relation, finds, looks[first : first + _COLUMNS_AT_ONCE])
        return replace(table, finds=finds)

    def _scan_columns(self, relation: str, finds: str, looks: Sequence[Look]) -> None:
        chosen, widest = self._worth_a_look(relation, looks)
        if not chosen:
            return
        rows = max(1, min(_BATCH_ROWS, _BATCH_BYTES // widest))
        columns = [ColumnScan(self._scanner, self._as_of, look.keyword, look.without) for look in chosen]
        cells = ", ".join(f"{look.sql} AS s{place}" for place, look in enumerate(chosen))
        # A cursor of its own, since finds are written while it is read.
        with self._connection.cursor() as reading:
            reader = reading.sql(f"SELECT f, r, {cells} FROM {relation}").to_arrow_reader(rows)
            kept = _Kept(self._connection, finds)
            for batch in reader:
                for place, look in enumerate(chosen):
                    kept.add(batch, look.column.index, *columns[place].scan(batch.column(2 + place)))
            kept.write()

    def _worth_a_look(self, relation: str, looks: Sequence[Look]) -> tuple[list[Look], int]:
        """The columns that can hold anything, and the most bytes that a cell of them has."""
        # A table in memory knows the longest text and the least number of a column without being read; a file may not.
        asked = [f"stats(s{look.column.index})" for look in looks]
        asked += [f"stats(k{look.column.index})" for look in looks if look.nonconforming]
        told = self._connection.execute(f"SELECT {', '.join(asked)} FROM {relation} LIMIT 1").fetchall()[0]
        conforming = {look: k.get("min") == 1 for look, k in zip(_typed(looks), told[len(looks) :], strict=True)}
        known = {look: s.get("max_string_length") for look, s in zip(looks, told, strict=False)}
        unknown = [look for look in looks if known[look] is None]
        if unknown:
            lengths = ", ".join(f"max(strlen({look.sql}))" for look in unknown)
            longest = self._connection.execute(f"SELECT {lengths} FROM {relation}").fetchall()[0]
            known |= dict(zip(unknown, (length or 0 for length in longest), strict=True))
        chosen = [
            look
            for look in looks
            if known[look] >= SHORTEST
            and not (conforming.get(look, False) and (not look.longer or known[look] < look.longer))
        ]
        return chosen, max((known[look] for look in chosen), default=0)


def _typed(looks: Sequence[Look]) -> list[Look]:
    return [look for look in looks if look.nonconforming]


class _Kept:
    """Finds on their way into their relation."""

    def __init__(self, connection: duckdb.DuckDBPyConnection, finds: str) -> None:
        self._connection = connection
        self._finds = finds
        self._parts: list[pa.RecordBatch] = []
        self._rows = 0

    def add(
        self, batch: pa.RecordBatch, column: int, rows: npt.NDArray[np.int64], classes: npt.NDArray[np.int16]
    ) -> None:
        """Take the finds of one column of a batch."""
        if not len(rows):
            return
        chosen = integer_array(rows)
        self._parts.append(
            pa.RecordBatch.from_arrays(
                [
                    batch.column(0).take(chosen),
                    batch.column(1).take(chosen),
                    integer_array(np.full(len(rows), column, dtype=np.int64)),
                    integer_array(classes.astype(np.int64)),
                ],
                names=["f", "r", "c", "d"],
            )
        )
        self._rows += len(rows)
        if self._rows >= _KEPT_AT_ONCE:
            self.write()

    def write(self) -> None:
        """Write what is held."""
        if self._parts:
            view = f"new_{self._finds}"
            self._connection.register(view, pa.Table.from_batches(self._parts))
            self._connection.execute(f"INSERT INTO {self._finds} SELECT f, r, c, d FROM {view}")
            self._connection.unregister(view)
        self._parts, self._rows = [], 0


def found_in(connection: duckdb.DuckDBPyConnection, table: Table) -> Iterator[Found]:
    """What was found in a table's cells, by class, file and column."""
    if table.finds is None:
        return
    names = {column.index: column.name for column in table.columns}
    asked = f"SELECT d, f, c, count(*), min(r) FROM {table.finds} GROUP BY d, f, c ORDER BY d, f, c"
    for d, f, c, count, first in connection.execute(asked).fetchall():
        yield Found(CLASSES[d].name, table.files[f], count, record=first, column=names[c])
